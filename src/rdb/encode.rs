//! Values as RDB has them.

use super::{Writer, kind, stream};
use crate::data::list::NodeView;
use crate::data::{Hash, List, Set, SortedSet, Value};

/// How a node of a list is kept.
pub(super) const NODE_PLAIN: u64 = 1;
pub(super) const NODE_PACKED: u64 = 2;

/// Appends a value; gives its kind, which belongs before it.
pub fn encode_value(value: Value<'_>, writer: &mut Writer<'_>) -> u8 {
    match value {
        Value::Integer(number) => {
            writer.integer(number);
            kind::STRING
        }
        Value::Text { bytes, .. } => {
            writer.string(bytes);
            kind::STRING
        }
        Value::List(list) => encode_list(list, writer),
        Value::Set(set) => encode_set(set, writer),
        Value::SortedSet(set) => encode_sorted_set(set, writer),
        Value::Hash(hash) => encode_hash(hash, writer),
        Value::Stream(stream) => stream::encode(stream, writer),
    }
}

fn encode_list(list: &List, writer: &mut Writer<'_>) -> u8 {
    writer.number(list.nodes().count() as u64);
    for node in list.nodes() {
        match node {
            NodeView::Packed(listpack) => {
                writer.number(NODE_PACKED);
                writer.string(listpack.as_bytes());
            }
            NodeView::Plain(element) => {
                writer.number(NODE_PLAIN);
                // Redis takes a node's bytes for what they are: no number stands for them.
                writer.number(element.len() as u64);
                writer.raw(element);
            }
        }
    }
    kind::LIST_QUICKLIST_2
}

fn encode_set(set: &Set, writer: &mut Writer<'_>) -> u8 {
    if let Some(listpack) = set.as_listpack() {
        writer.string(listpack.as_bytes());
        return kind::SET_LISTPACK;
    }
    if let Some(intset) = set.as_intset() {
        writer.string(intset.as_bytes());
        return kind::SET_INTSET;
    }
    writer.number(set.len() as u64);
    for member in set.iter() {
        member.with_bytes(|bytes| writer.string(bytes));
    }
    kind::SET
}

fn encode_sorted_set(set: &SortedSet, writer: &mut Writer<'_>) -> u8 {
    if let Some(listpack) = set.as_listpack() {
        writer.string(listpack.as_bytes());
        return kind::ZSET_LISTPACK;
    }
    writer.number(set.len() as u64);
    // From the highest to the lowest: so Redis appends to its list, when it loads them, at the cheap end.
    for entry in set.iter(set.len() - 1, set.len(), true) {
        entry.member.with_bytes(|bytes| writer.string(bytes));
        writer.double(entry.score);
    }
    kind::ZSET_2
}

fn encode_hash(hash: &Hash, writer: &mut Writer<'_>) -> u8 {
    let expiry_min_ms = hash.iter().filter_map(|field| field.expiry_ms).min();
    if let Some(listpack) = hash.as_listpack() {
        writer.string(listpack.as_bytes());
        return kind::HASH_LISTPACK;
    }
    if let Some(triples) = hash.as_expiring_listpack() {
        writer.milliseconds(expiry_min_ms.unwrap_or(0));
        writer.string(triples.as_bytes());
        return kind::HASH_LISTPACK_EX;
    }
    if let Some(expiry_min_ms) = expiry_min_ms {
        writer.milliseconds(expiry_min_ms);
    }
    writer.number(hash.len() as u64);
    for field in hash.iter() {
        if let Some(expiry_min_ms) = expiry_min_ms {
            // Relative to the first one, and one more, because zero says that the field does not expire.
            writer.number(field.expiry_ms.map_or(0, |at| (at - expiry_min_ms) as u64 + 1));
        }
        field.name.with_bytes(|bytes| writer.string(bytes));
        field.value.with_bytes(|bytes| writer.string(bytes));
    }
    if expiry_min_ms.is_some() { kind::HASH_METADATA } else { kind::HASH }
}
