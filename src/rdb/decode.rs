//! Values out of RDB.

use super::encode::{NODE_PACKED, NODE_PLAIN};
use super::{Error, Reader, kind, stream};
use crate::data::hash::FieldExpiry;
use crate::data::intset::Intset;
use crate::data::list::Side;
use crate::data::listpack::{Element, Listpack};
use crate::data::{Hash, Limits, List, Malformed, NewValue, Set, SortedSet};
use crate::resp::request::parse_i64;
use std::collections::HashSet;

/// No field expires later than this, in ms.
const FIELD_EXPIRY_MAX_MS: i64 = 0xffff_ffff_ffff;

/// Reads a value of this kind.
///
/// # Errors
/// If it is damaged, empty, or of a kind that is not known.
pub fn decode_value(
    kind: u8,
    reader: &mut Reader<'_>,
    limits: &Limits,
) -> Result<NewValue<'static>, Error> {
    Ok(match kind {
        kind::STRING => {
            let bytes = reader.string()?;
            match parse_i64(&bytes) {
                Some(number) => NewValue::Integer(number),
                None => NewValue::Loaded(bytes.into_owned()),
            }
        }
        kind::LIST | kind::LIST_QUICKLIST_2 => NewValue::List(list(kind, reader, limits)?),
        kind::SET | kind::SET_INTSET | kind::SET_LISTPACK => {
            NewValue::Set(set(kind, reader, limits)?)
        }
        kind::ZSET | kind::ZSET_2 | kind::ZSET_LISTPACK => {
            NewValue::SortedSet(sorted_set(kind, reader, limits)?)
        }
        kind::HASH | kind::HASH_METADATA | kind::HASH_LISTPACK | kind::HASH_LISTPACK_EX => {
            NewValue::Hash(hash(kind, reader, limits)?)
        }
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => {
            NewValue::Stream(stream::decode(kind, reader)?)
        }
        _ => return Err(reader.error("an unknown kind of value")),
    })
}

fn malformed(reader: &Reader<'_>, malformed: Malformed) -> Error {
    reader.error(malformed.what)
}

/// A listpack, which has at least one element. What could be an integer in it is one, so that equal elements are
/// equal bytes.
fn listpack(reader: &mut Reader<'_>) -> Result<Listpack, Error> {
    let bytes = reader.string()?;
    let listpack = Listpack::from_bytes(&bytes).map_err(|error| malformed(reader, error))?;
    if listpack.is_empty() {
        return Err(reader.error("an empty value"));
    }
    let is_odd = |element| matches!(element, Element::Bytes(bytes) if parse_i64(bytes).is_some());
    if !listpack.iter().any(is_odd) {
        return Ok(listpack);
    }
    let mut rebuilt = Listpack::new();
    listpack.iter().for_each(|element| element.with_bytes(|bytes| rebuilt.push_back(bytes)));
    Ok(rebuilt)
}

/// How many elements follow: at least one.
fn count(reader: &mut Reader<'_>, bytes_min: usize) -> Result<usize, Error> {
    match reader.count(bytes_min)? {
        0 => Err(reader.error("an empty value")),
        count => Ok(count),
    }
}

fn list(kind: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<List, Error> {
    let mut list = List::new();
    let push = |list: &mut List, element: &[u8]| {
        list.make_room(1, element.len(), limits);
        list.push(Side::Right, element);
    };
    for _ in 0..count(reader, 1)? {
        if kind == kind::LIST {
            push(&mut list, &reader.string()?);
            continue;
        }
        match reader.number()? {
            NODE_PLAIN => push(&mut list, &reader.string()?),
            NODE_PACKED => list.push_node(listpack(reader)?, limits),
            _ => return Err(reader.error("an unknown container of list elements")),
        }
    }
    list.settle(limits);
    Ok(list)
}

fn set(kind: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<Set, Error> {
    const TWICE: &str = "a set with a member twice";
    let small = match kind {
        kind::SET_INTSET => {
            let bytes = reader.string()?;
            let intset = Intset::from_bytes(&bytes).map_err(|error| malformed(reader, error))?;
            let fits = intset.len() <= limits.set_intset_entries;
            (Set::of_intset(intset), fits)
        }
        kind::SET_LISTPACK => {
            let members = listpack(reader)?;
            let mut seen = HashSet::new();
            if !members.iter().all(|member| seen.insert(member.to_vec())) {
                return Err(reader.error(TWICE));
            }
            let fits = members.len() <= limits.set_listpack_entries;
            (Set::of_listpack(members), fits)
        }
        _ => {
            let count = count(reader, 1)?;
            let first = reader.string()?;
            let mut set = Set::for_members(&first, count, limits);
            // Redis does not ask here how many members a listpack may have.
            if count > limits.set_intset_entries {
                set.make_table(limits.hasher);
            }
            set.insert(&first, limits);
            for _ in 1..count {
                if !set.insert(&reader.string()?, limits) {
                    return Err(reader.error(TWICE));
                }
            }
            return Ok(set);
        }
    };
    match small {
        (set, _) if set.is_empty() => Err(reader.error("an empty value")),
        (set, true) => Ok(set),
        (mut set, false) => {
            set.make_table(limits.hasher);
            Ok(set)
        }
    }
}

fn sorted_set(kind: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<SortedSet, Error> {
    if kind == kind::ZSET_LISTPACK {
        let elements = listpack(reader)?;
        let len = elements.len() / 2;
        let mut set =
            SortedSet::from_listpack(elements).map_err(|error| malformed(reader, error))?;
        set.grow_for(len, limits);
        return Ok(set);
    }
    let count = count(reader, 2)?;
    // What a server wrote in this form was too big for a listpack, or it knew none.
    let mut set: Option<SortedSet> = None;
    for known in 0..count {
        let member = reader.string()?;
        let score = if kind == kind::ZSET { reader.text_double()? } else { reader.double()? };
        if score.is_nan() {
            return Err(reader.error("a score that is no number"));
        }
        let set = set.get_or_insert_with(|| SortedSet::new(count, member.len(), limits));
        set.set(&member, score, limits);
        if set.len() == known {
            return Err(reader.error("a sorted set with a member twice"));
        }
    }
    set.ok_or(reader.error("an empty value"))
}

fn hash(kind: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<Hash, Error> {
    let has_expiry = matches!(kind, kind::HASH_METADATA | kind::HASH_LISTPACK_EX);
    let expiry_min_ms = if has_expiry { reader.milliseconds()? } else { 0 };
    let mut hash = match kind {
        kind::HASH_LISTPACK => {
            let pairs = listpack(reader)?;
            Hash::from_listpack(pairs).map_err(|error| malformed(reader, error))?
        }
        kind::HASH_LISTPACK_EX => {
            let triples = listpack(reader)?;
            Hash::from_expiring_listpack(&triples).map_err(|error| malformed(reader, error))?
        }
        _ => return big_hash(has_expiry, expiry_min_ms, reader, limits),
    };
    hash.settle(limits);
    Ok(hash)
}

fn big_hash(
    has_expiry: bool,
    expiry_min_ms: i64,
    reader: &mut Reader<'_>,
    limits: &Limits,
) -> Result<Hash, Error> {
    let mut hash = Hash::new();
    let count = count(reader, if has_expiry { 3 } else { 2 })?;
    if count > limits.hash_listpack_entries {
        hash.make_table(limits.hasher);
    }
    for _ in 0..count {
        let mut expiry = FieldExpiry::Clear;
        if has_expiry {
            let after = reader.number()?;
            if after > 0 {
                let at = expiry_min_ms.checked_add_unsigned(after - 1);
                let at = at.filter(|at| (1..=FIELD_EXPIRY_MAX_MS).contains(at));
                let wrong = reader.error("an expiry time of a field that is none");
                expiry = FieldExpiry::At(at.ok_or(wrong)?);
            }
        }
        let (name, value) = (reader.string()?, reader.string()?);
        if !hash.set(&name, &value, expiry, limits) {
            return Err(reader.error("a hash with a field twice"));
        }
    }
    Ok(hash)
}
