//! Any value of a key.

use super::{Buffer, Hash, List, Set, SortedSet, Stream};

/// A key's value, borrowed.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A string that is a canonical 64-bit integer, kept as one.
    Integer(i64),
    /// A string of bytes; `edited` once it was changed in place.
    Text {
        /// The bytes.
        bytes: &'a [u8],
        /// Whether `APPEND`, `SETRANGE` or the like has written to it.
        edited: bool,
    },
    /// A list.
    List(&'a List),
    /// A set.
    Set(&'a Set),
    /// A sorted set.
    SortedSet(&'a SortedSet),
    /// A hash.
    Hash(&'a Hash),
    /// A stream.
    Stream(&'a Stream),
}

/// A value on its way to a key.
#[derive(Debug)]
pub enum NewValue<'a> {
    /// An integer.
    Integer(i64),
    /// Bytes to copy; `edited` as in [`Value::Text`].
    Text {
        /// The bytes.
        bytes: &'a [u8],
        /// See [`Value::Text`].
        edited: bool,
    },
    /// A buffer to take over without a copy.
    Buffer(Box<Buffer>),
    /// Bytes that were not edited here: few of them are copied, many taken over.
    Loaded(Vec<u8>),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A sorted set.
    SortedSet(SortedSet),
    /// A hash.
    Hash(Hash),
    /// A stream.
    Stream(Stream),
}

impl Value<'_> {
    /// What `OBJECT ENCODING` calls it, with Redis's names and thresholds.
    pub fn encoding_name(&self) -> &'static str {
        match self {
            Value::Integer(_) => "int",
            Value::Text { bytes, edited: false } if bytes.len() <= 44 => "embstr",
            Value::Text { .. } => "raw",
            Value::List(list) => list.encoding_name(),
            Value::Set(set) => set.encoding_name(),
            Value::SortedSet(set) => set.encoding_name(),
            Value::Hash(hash) => hash.encoding_name(),
            Value::Stream(stream) => stream.encoding_name(),
        }
    }

    /// What `TYPE` calls it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Integer(_) | Value::Text { .. } => "string",
            Value::List(_) => "list",
            Value::Set(_) => "set",
            Value::SortedSet(_) => "zset",
            Value::Hash(_) => "hash",
            Value::Stream(_) => "stream",
        }
    }

    /// Whether it is a string.
    pub fn is_string(&self) -> bool {
        matches!(self, Value::Integer(_) | Value::Text { .. })
    }
}

impl<'a> Value<'a> {
    /// A copy of the value.
    pub fn to_new(self) -> NewValue<'a> {
        match self {
            Value::Integer(number) => NewValue::Integer(number),
            Value::Text { bytes, edited } => NewValue::Text { bytes, edited },
            Value::List(list) => NewValue::List(list.clone()),
            Value::Set(set) => NewValue::Set(set.clone()),
            Value::SortedSet(set) => NewValue::SortedSet(set.clone()),
            Value::Hash(hash) => NewValue::Hash(hash.clone()),
            Value::Stream(stream) => NewValue::Stream(stream.clone()),
        }
    }
}
