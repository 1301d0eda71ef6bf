//! Decoding of values.

use super::encode::{NODE_PACKED, NODE_PLAIN};
use super::reader::Text;
use super::{Dialect, Error, Problem, Reader, kind, module, stream, ziplist, zipmap};
use crate::data::hash::{FIELD_EXPIRY_MAX_MS, FieldExpiry, NewField};
use crate::data::intset::Intset;
use crate::data::list::Side;
use crate::data::listpack::{Element, Listpack};
use crate::data::sorted_set::Builder;
use crate::data::{Hash, Limits, List, Malformed, NewValue, Set, SortedSet};
use crate::resp::request::parse_i64;

/// Elements that are read before they are inserted into a table, so that their slots are fetched
/// together.
const BATCH: usize = 16;

const ELEMENT: &str = "a list's element";
const NODE: &str = "a list's node";
const MEMBER: &str = "a set's member";
const SCORED: &str = "a sorted set's member";
const SCORE: &str = "a score";
const FIELD: &str = "a hash's field";
const FIELD_VALUE: &str = "the value of a hash's field";
const FIELD_EXPIRY: &str = "the expiry time of a hash's field";

/// Reads a value of this kind. Converts it if another encoding applies here, as Redis does when
/// loading.
///
/// # Errors
/// If it is damaged, empty ([`Problem::Empty`]), a module's, or of an unknown kind.
pub fn decode_value<'a>(
    kind: u8,
    reader: &mut Reader<'a>,
    dialect: Dialect,
    limits: &Limits,
) -> Result<NewValue<'a>, Error> {
    match kind {
        kind::STRING => string(reader),
        kind::LIST | kind::LIST_ZIPLIST | kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => {
            list(kind, reader, limits).map(NewValue::List)
        }
        kind::SET | kind::SET_INTSET | kind::SET_LISTPACK => {
            set(kind, reader, limits).map(NewValue::Set)
        }
        kind::ZSET | kind::ZSET_2 | kind::ZSET_ZIPLIST | kind::ZSET_LISTPACK => {
            sorted_set(kind, reader, limits).map(NewValue::SortedSet)
        }
        kind::HASH | kind::HASH_ZIPMAP | kind::HASH_ZIPLIST | kind::HASH_LISTPACK => {
            hash(kind, reader, limits).map(NewValue::Hash)
        }
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => {
            stream::decode(kind, reader).map(NewValue::Stream)
        }
        kind::MODULE_PRE_GA | kind::MODULE_2 => Err(module::refuse(reader)),
        _ => match (dialect, kind) {
            (Dialect::Valkey, kind::HASH_2) => big_hash(Expiry::After, reader, limits),
            (Dialect::Redis, kind::HASH_METADATA_PRE_GA) => {
                big_hash(Expiry::Absolute, reader, limits)
            }
            (Dialect::Redis, kind::HASH_METADATA) => {
                reader.reading(FIELD_EXPIRY);
                let min_ms = u64::from_le_bytes(reader.array()?);
                big_hash(Expiry::Relative { min_ms }, reader, limits)
            }
            (Dialect::Redis, kind::HASH_LISTPACK_EX | kind::HASH_LISTPACK_EX_PRE_GA) => {
                expiring_hash(kind, reader, limits)
            }
            _ => Err(reader.problem(Problem::Unknown(kind))),
        }
        .map(NewValue::Hash),
    }
}

fn malformed(reader: &Reader<'_>, malformed: Malformed) -> Error {
    reader.error(malformed.what)
}

fn empty(reader: &Reader<'_>) -> Error {
    reader.problem(Problem::Empty)
}

fn string<'a>(reader: &mut Reader<'a>) -> Result<NewValue<'a>, Error> {
    use std::borrow::Cow;
    reader.reading("a string");
    Ok(match reader.text()? {
        Text::Integer(number) => NewValue::Integer(number),
        Text::Bytes(bytes) => match (parse_i64(&bytes), bytes) {
            (Some(number), _) => NewValue::Integer(number),
            (None, Cow::Borrowed(bytes)) => NewValue::Text { bytes, edited: false },
            (None, Cow::Owned(bytes)) => NewValue::Loaded(bytes),
        },
    })
}

/// A listpack, which may be empty. Strings of digits become integers, so that equal elements have
/// equal bytes.
fn listpack(reader: &mut Reader<'_>) -> Result<Listpack, Error> {
    let bytes = reader.string()?;
    let listpack = Listpack::from_bytes(&bytes).map_err(|error| malformed(reader, error))?;
    let is_odd = |element| matches!(element, Element::Bytes(bytes) if parse_i64(bytes).is_some());
    if !listpack.iter().any(is_odd) {
        return Ok(listpack);
    }
    let mut rebuilt = Listpack::new();
    listpack.iter().for_each(|element| element.with_bytes(|bytes| rebuilt.push_back(bytes)));
    Ok(rebuilt)
}

/// A ziplist as a listpack, which may be empty.
fn listpack_of_ziplist(reader: &mut Reader<'_>) -> Result<Listpack, Error> {
    let bytes = reader.string()?;
    ziplist::to_listpack(&bytes).map_err(|error| malformed(reader, error))
}

/// A listpack or ziplist as a listpack; not empty.
fn small(is_ziplist: bool, reader: &mut Reader<'_>) -> Result<Listpack, Error> {
    let listpack = if is_ziplist { listpack_of_ziplist(reader)? } else { listpack(reader)? };
    if listpack.is_empty() { Err(empty(reader)) } else { Ok(listpack) }
}

/// The number of elements that follow: at least one.
fn count(reader: &mut Reader<'_>, bytes_min: usize) -> Result<usize, Error> {
    match reader.count(bytes_min)? {
        0 => Err(empty(reader)),
        count => Ok(count),
    }
}

fn list(kind: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<List, Error> {
    let mut list = List::new();
    let push = |list: &mut List, element: &[u8]| {
        list.make_room(1, element.len(), limits);
        list.push(Side::Right, element);
    };
    reader.reading(NODE);
    match kind {
        kind::LIST => {
            for _ in 0..count(reader, 1)? {
                reader.reading(ELEMENT);
                push(&mut list, &reader.string()?);
            }
        }
        kind::LIST_ZIPLIST => {
            let bytes = reader.string()?;
            let pushed = ziplist::for_each(&bytes, |element| {
                element.with_bytes(|bytes| push(&mut list, bytes));
                Ok(())
            });
            pushed.map_err(|error| malformed(reader, error))?;
        }
        _ => {
            for _ in 0..count(reader, 1)? {
                let container = match kind {
                    kind::LIST_QUICKLIST => NODE_PACKED,
                    _ => reader.number()?,
                };
                let node = match container {
                    NODE_PLAIN => {
                        push(&mut list, &reader.string()?);
                        continue;
                    }
                    NODE_PACKED if kind == kind::LIST_QUICKLIST => listpack_of_ziplist(reader)?,
                    NODE_PACKED => listpack(reader)?,
                    _ => return Err(reader.error("an unknown container of elements")),
                };
                if !node.is_empty() {
                    list.push_node(node, limits);
                }
            }
        }
    }
    if list.is_empty() {
        return Err(empty(reader));
    }
    list.settle(limits);
    Ok(list)
}

fn set(kind: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<Set, Error> {
    const TWICE: &str = "a set with a member twice";
    reader.reading(MEMBER);
    let (mut set, fits) = match kind {
        kind::SET_INTSET => {
            let bytes = reader.string()?;
            let intset = Intset::from_bytes(&bytes).map_err(|error| malformed(reader, error))?;
            if intset.is_empty() {
                return Err(reader.error("an intset without integers"));
            }
            let fits = intset.len() <= limits.set_intset_entries;
            (Set::of_intset(intset), fits)
        }
        kind::SET_LISTPACK => {
            let members = small(false, reader)?;
            if members.has_repeats(1) {
                return Err(reader.error(TWICE));
            }
            let fits = members.len() <= limits.set_listpack_entries;
            (Set::of_listpack(members), fits)
        }
        _ => {
            let count = count(reader, 1)?;
            let first = reader.string()?;
            let mut set = Set::for_members(&first, count, limits);
            // Redis does not check the limit of a listpack's members here.
            if count > limits.set_intset_entries {
                set.make_table(limits.hasher);
            }
            set.insert(&first, limits);
            let mut members = Vec::with_capacity(BATCH);
            for left in (1..count).rev() {
                members.push(reader.string()?);
                if members.len() < BATCH && left > 1 {
                    continue;
                }
                if !set.insert_all(&members, limits) {
                    return Err(reader.error(TWICE));
                }
                members.clear();
            }
            return Ok(set);
        }
    };
    if !fits {
        set.make_table(limits.hasher);
    }
    Ok(set)
}

fn sorted_set(kind: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<SortedSet, Error> {
    reader.reading(SCORED);
    if matches!(kind, kind::ZSET_LISTPACK | kind::ZSET_ZIPLIST) {
        let elements = small(kind == kind::ZSET_ZIPLIST, reader)?;
        let len = elements.len() / 2;
        let mut set =
            SortedSet::from_listpack(elements).map_err(|error| malformed(reader, error))?;
        set.grow_for(len, limits);
        return Ok(set);
    }
    let mut builder = Builder::new(limits);
    for known in 0..count(reader, 2)? {
        reader.reading(SCORED);
        let member = reader.string()?;
        reader.reading(SCORE);
        let score = if kind == kind::ZSET { reader.text_double()? } else { reader.double()? };
        if score.is_nan() {
            return Err(reader.error("a score that is no number"));
        }
        builder.merge(&member, score, |before| before);
        if builder.len() == known {
            return Err(reader.error("a sorted set with a member twice"));
        }
    }
    Ok(builder.finish())
}

fn hash(kind: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<Hash, Error> {
    reader.reading(FIELD);
    let (pairs, longest) = match kind {
        kind::HASH => return big_hash(Expiry::Never, reader, limits),
        kind::HASH_ZIPMAP => {
            let bytes = reader.string()?;
            zipmap::to_listpack(&bytes).map_err(|error| malformed(reader, error))?
        }
        _ => (small(kind == kind::HASH_ZIPLIST, reader)?, 0),
    };
    let mut hash = Hash::from_listpack(pairs).map_err(|error| malformed(reader, error))?;
    hash.settle(limits);
    if longest > limits.hash_listpack_value_bytes {
        hash.make_table(limits.hasher);
    }
    Ok(hash)
}

/// A listpack of names, values and expiry times, after the earliest of these.
fn expiring_hash(kind: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<Hash, Error> {
    reader.reading(FIELD_EXPIRY);
    if kind == kind::HASH_LISTPACK_EX {
        reader.milliseconds()?;
    }
    reader.reading(FIELD);
    let triples = small(false, reader)?;
    let hash = Hash::from_expiring_listpack(&triples);
    let mut hash = hash.map_err(|error| malformed(reader, error))?;
    hash.settle(limits);
    Ok(hash)
}

/// Position and base of a field's expiry time.
#[derive(Clone, Copy)]
enum Expiry {
    /// No expiry times.
    Never,
    /// Before the field: 0, or a Unix time in ms.
    Absolute,
    /// Before the field: 0, or the ms after the earliest time plus 1.
    Relative { min_ms: u64 },
    /// After the value: -1, or a Unix time in ms, in eight bytes.
    After,
}

impl Expiry {
    /// The least bytes of a field.
    fn field_bytes_min(self) -> usize {
        match self {
            Expiry::Never => 2,
            Expiry::Absolute | Expiry::Relative { .. } => 3,
            Expiry::After => 10,
        }
    }

    /// The time before a field.
    fn before(self, reader: &mut Reader<'_>) -> Result<FieldExpiry, Error> {
        let number = match self {
            Expiry::Never | Expiry::After => return Ok(FieldExpiry::Clear),
            Expiry::Absolute | Expiry::Relative { .. } => {
                reader.reading(FIELD_EXPIRY);
                reader.number()?
            }
        };
        match (self, number) {
            (_, 0) => Ok(FieldExpiry::Clear),
            (Expiry::Relative { min_ms }, after) => at(min_ms.checked_add(after - 1), reader),
            _ => at(Some(number), reader),
        }
    }

    /// The time after a value.
    fn after(self, before: FieldExpiry, reader: &mut Reader<'_>) -> Result<FieldExpiry, Error> {
        let Expiry::After = self else { return Ok(before) };
        reader.reading(FIELD_EXPIRY);
        match reader.milliseconds()? {
            -1 => Ok(FieldExpiry::Clear),
            ms => at(u64::try_from(ms).ok(), reader),
        }
    }
}

fn at(ms: Option<u64>, reader: &Reader<'_>) -> Result<FieldExpiry, Error> {
    match ms.and_then(|ms| i64::try_from(ms).ok()) {
        Some(ms @ 1..=FIELD_EXPIRY_MAX_MS) => Ok(FieldExpiry::At(ms)),
        _ => Err(reader.error("an invalid time")),
    }
}

fn big_hash(expiry: Expiry, reader: &mut Reader<'_>, limits: &Limits) -> Result<Hash, Error> {
    let mut hash = Hash::new();
    reader.reading(FIELD);
    let count = count(reader, expiry.field_bytes_min())?;
    if count > limits.hash_listpack_entries {
        hash.make_table(limits.hasher);
    }
    let mut fields = Vec::with_capacity(BATCH);
    for left in (0..count).rev() {
        let time = expiry.before(reader)?;
        reader.reading(FIELD);
        let name = reader.string()?;
        reader.reading(FIELD_VALUE);
        let value = reader.string()?;
        let expiry = expiry.after(time, reader)?;
        fields.push(NewField { name, value, expiry });
        if fields.len() < BATCH && left > 0 {
            continue;
        }
        if !hash.set_all(&fields, limits) {
            return Err(reader.error("a hash with a field twice"));
        }
        fields.clear();
    }
    Ok(hash)
}
