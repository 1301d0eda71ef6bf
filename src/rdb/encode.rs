//! Encoding of values.

use super::{NotHeld, Target, Writer, kind, stream};
use crate::data::hash::Field;
use crate::data::list::NodeView;
use crate::data::sorted_set::Entry;
use crate::data::{Hash, List, Set, SortedSet, Value};

/// Containers of a list's node.
pub(super) const NODE_PLAIN: u64 = 1;
pub(super) const NODE_PACKED: u64 = 2;

/// Appends the kind of a value and the value, and returns the kind. Strings are compressed if
/// `compress` is set.
///
/// # Errors
/// If the target cannot hold the value; nothing is appended then.
pub fn encode_value(
    value: Value<'_>,
    target: Target,
    compress: bool,
    out: &mut Vec<u8>,
) -> Result<u8, NotHeld> {
    let kind = kind_of(value, target)?;
    out.push(kind);
    encode_contents(value, kind, &mut Writer::new(out, compress));
    Ok(kind)
}

/// The kind of a value in a target.
///
/// # Errors
/// If there is none.
pub fn kind_of(value: Value<'_>, target: Target) -> Result<u8, NotHeld> {
    Ok(match value {
        Value::Integer(_) | Value::Text { .. } => kind::STRING,
        Value::List(_) if target < Target::V10 => kind::LIST,
        Value::List(_) => kind::LIST_QUICKLIST_2,
        Value::Set(set) if set.as_intset().is_some() => kind::SET_INTSET,
        Value::Set(set) if set.as_listpack().is_some() && target >= Target::V11 => {
            kind::SET_LISTPACK
        }
        Value::Set(_) => kind::SET,
        Value::SortedSet(set) if set.as_listpack().is_some() && target >= Target::V10 => {
            kind::ZSET_LISTPACK
        }
        Value::SortedSet(_) => kind::ZSET_2,
        Value::Hash(hash) => return kind_of_hash(hash, target),
        Value::Stream(_) => match target {
            Target::V9 => kind::STREAM_LISTPACKS,
            Target::V10 => kind::STREAM_LISTPACKS_2,
            _ => kind::STREAM_LISTPACKS_3,
        },
    })
}

fn kind_of_hash(hash: &Hash, target: Target) -> Result<u8, NotHeld> {
    let expires = hash.next_expiry_ms().is_some();
    Ok(match target {
        Target::V12 if hash.as_expiring_listpack().is_some() => kind::HASH_LISTPACK_EX,
        Target::V12 if expires => kind::HASH_METADATA,
        Target::Valkey80 if expires => kind::HASH_2,
        _ if expires => return Err(NotHeld { target, what: "a hash with expiring fields" }),
        Target::V9 => kind::HASH,
        _ if hash.as_listpack().is_some() => kind::HASH_LISTPACK,
        _ => kind::HASH,
    })
}

/// Appends a value without its kind, which [`kind_of`] has returned for it.
pub fn encode_contents(value: Value<'_>, kind: u8, writer: &mut Writer<'_>) {
    match value {
        Value::Integer(number) => writer.integer(number),
        Value::Text { bytes, .. } => writer.string(bytes),
        Value::List(list) => encode_list(list, kind, writer),
        Value::Set(set) => encode_set(set, kind, writer),
        Value::SortedSet(set) => encode_sorted_set(set, kind, writer),
        Value::Hash(hash) => encode_hash(hash, kind, writer),
        Value::Stream(stream) => stream::encode(stream, kind, writer),
    }
}

fn encode_list(list: &List, kind: u8, writer: &mut Writer<'_>) {
    let count = if kind == kind::LIST { list.len() } else { list.nodes().count() };
    writer.number(count as u64);
    for node in list.nodes() {
        encode_node(node, kind, writer);
    }
}

/// Appends a node of a list of this kind.
pub fn encode_node(node: NodeView<'_>, kind: u8, writer: &mut Writer<'_>) {
    match node {
        NodeView::Packed(listpack) if kind == kind::LIST => {
            listpack.iter().for_each(|element| element.with_bytes(|bytes| writer.string(bytes)));
        }
        NodeView::Plain(element) if kind == kind::LIST => writer.string(element),
        NodeView::Packed(listpack) => {
            writer.number(NODE_PACKED);
            writer.string(listpack.as_bytes());
        }
        NodeView::Plain(element) => {
            writer.number(NODE_PLAIN);
            // Redis does not decode integers here: the bytes are written as they are.
            writer.number(element.len() as u64);
            writer.raw(element);
        }
    }
}

fn encode_set(set: &Set, kind: u8, writer: &mut Writer<'_>) {
    match (kind, set.as_listpack(), set.as_intset()) {
        (kind::SET_LISTPACK, Some(listpack), _) => writer.string(listpack.as_bytes()),
        (kind::SET_INTSET, _, Some(intset)) => writer.string(intset.as_bytes()),
        _ => {
            writer.number(set.len() as u64);
            for member in set.iter() {
                member.with_bytes(|bytes| writer.string(bytes));
            }
        }
    }
}

fn encode_sorted_set(set: &SortedSet, kind: u8, writer: &mut Writer<'_>) {
    if let (kind::ZSET_LISTPACK, Some(listpack)) = (kind, set.as_listpack()) {
        return writer.string(listpack.as_bytes());
    }
    writer.number(set.len() as u64);
    // From the highest to the lowest, so that Redis inserts at the cheap end of its list when
    // loading.
    for entry in set.iter(set.len() - 1, set.len(), true) {
        encode_entry(entry, writer);
    }
}

/// Appends a member of a big sorted set, with its score.
pub fn encode_entry(entry: Entry<'_>, writer: &mut Writer<'_>) {
    entry.member.with_bytes(|bytes| writer.string(bytes));
    writer.double(entry.score);
}

fn encode_hash(hash: &Hash, kind: u8, writer: &mut Writer<'_>) {
    let expiry_min_ms = || hash.iter().filter_map(|field| field.expiry_ms).min().unwrap_or(0);
    match (kind, hash.as_listpack(), hash.as_expiring_listpack()) {
        (kind::HASH_LISTPACK, Some(pairs), _) => writer.string(pairs.as_bytes()),
        (kind::HASH_LISTPACK_EX, _, Some(triples)) => {
            writer.milliseconds(expiry_min_ms());
            writer.string(triples.as_bytes());
        }
        _ => {
            let expiry_min_ms = (kind == kind::HASH_METADATA).then(expiry_min_ms);
            if let Some(expiry_min_ms) = expiry_min_ms {
                writer.milliseconds(expiry_min_ms);
            }
            writer.number(hash.len() as u64);
            for field in hash.iter() {
                encode_field(field, kind, expiry_min_ms, writer);
            }
        }
    }
}

/// Appends a field of a big hash of this kind. With [`kind::HASH_METADATA`], `expiry_min_ms` is the
/// earliest expiry time of all fields, which is written before their number.
pub fn encode_field(
    field: Field<'_>,
    kind: u8,
    expiry_min_ms: Option<i64>,
    writer: &mut Writer<'_>,
) {
    if let Some(expiry_min_ms) = expiry_min_ms {
        // Relative to the earliest, plus one: zero means no expiry time.
        let after = field.expiry_ms.map(|at| (at - expiry_min_ms) as u64 + 1);
        writer.number(after.unwrap_or(0));
    }
    field.name.with_bytes(|bytes| writer.string(bytes));
    field.value.with_bytes(|bytes| writer.string(bytes));
    if kind == kind::HASH_2 {
        writer.milliseconds(field.expiry_ms.unwrap_or(-1));
    }
}
