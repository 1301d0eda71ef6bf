//! Big values as records in pieces: what each type gives out, as RDB has it.

use super::entry::{Collection, Entry, EntryMut};
use crate::data::saving::Saving;
use crate::data::stream::StreamPiece;
use crate::data::{Buffer, Hash, List, Set, SortedSet, Stream, Value};
use crate::rdb::{
    Chunk, encode_entry, encode_field, encode_node, encode_stream_node, encode_tail, kind,
};
use std::ops::ControlFlow;

/// Whether a value is so small that it is encoded in one go.
pub(super) fn fits(entry: Entry<'_>) -> bool {
    match entry.value() {
        Value::Integer(_) => true,
        Value::Text { .. } => entry.buffer_of().is_none_or(Buffer::fits_one_piece),
        Value::List(list) => list.fits_one_piece(),
        Value::Hash(hash) => hash.fits_one_piece(),
        Value::Set(set) => set.fits_one_piece(),
        Value::SortedSet(set) => set.fits_one_piece(),
        Value::Stream(stream) => stream.fits_one_piece(),
    }
}

/// A big value.
enum Big<'a> {
    String(&'a mut Buffer),
    List(&'a mut List),
    Hash(&'a mut Hash),
    Set(&'a mut Set),
    SortedSet(&'a mut SortedSet),
    Stream(&'a mut Stream),
}

/// Does the same with a big value of any type.
macro_rules! each {
    ($big:expr, $value:ident => $result:expr) => {
        match $big {
            Big::String($value) => $result,
            Big::List($value) => $result,
            Big::Hash($value) => $result,
            Big::Set($value) => $result,
            Big::SortedSet($value) => $result,
            Big::Stream($value) => $result,
        }
    };
}

impl<'a> Big<'a> {
    fn of(entry: EntryMut<'a>) -> Self {
        let big = match entry.view().value() {
            Value::Integer(_) => None,
            Value::Text { .. } => entry.into_buffer().map(Self::String),
            Value::List(_) => List::of_mut(entry).map(Self::List),
            Value::Hash(_) => Hash::of_mut(entry).map(Self::Hash),
            Value::Set(_) => Set::of_mut(entry).map(Self::Set),
            Value::SortedSet(_) => SortedSet::of_mut(entry).map(Self::SortedSet),
            Value::Stream(_) => Stream::of_mut(entry).map(Self::Stream),
        };
        big.expect("a value that does not fit in one piece")
    }
}

/// Begins the saving of a big value.
pub(super) fn begin_saving(entry: EntryMut<'_>) {
    each!(Big::of(entry), value => value.begin_saving());
}

/// Forgets it.
pub(super) fn end_saving(entry: EntryMut<'_>) {
    each!(Big::of(entry), value => value.end_saving());
}

/// Bytes that a big value keeps for being saved.
pub(super) fn saving_bytes(entry: EntryMut<'_>) -> usize {
    each!(Big::of(entry), value => value.saving_bytes())
}

/// Appends what stands before the pieces of a big value of this kind.
pub(super) fn begin(chunk: &mut Chunk, kind: u8, entry: EntryMut<'_>) {
    let count = match Big::of(entry) {
        Big::String(string) => string.saving_head(),
        Big::List(list) if kind == kind::LIST => list.saving_head().len,
        Big::List(list) => list.saving_head().nodes,
        Big::Hash(hash) => {
            let head = hash.saving_head();
            if kind == kind::HASH_METADATA {
                chunk.writer().milliseconds(head.next_expiry_ms.unwrap_or(0));
            }
            head.len
        }
        Big::Set(set) => set.saving_head(),
        Big::SortedSet(set) => set.saving_head(),
        Big::Stream(stream) => stream.saving_head(),
    };
    chunk.writer().number(count as u64);
}

/// Appends the next pieces of a big value until there are `bytes_max` bytes or more. True once it is complete.
pub(super) fn give(chunk: &mut Chunk, kind: u8, entry: EntryMut<'_>, bytes_max: usize) -> bool {
    let more = |chunk: &Chunk| match chunk.len() < bytes_max {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    let complete = match Big::of(entry) {
        Big::String(string) => string.save_next(&mut |bytes| {
            chunk.writer().raw(bytes);
            more(chunk)
        }),
        Big::List(list) => list.save_next(&mut |node| {
            encode_node(node, kind, &mut chunk.writer());
            more(chunk)
        }),
        Big::Hash(hash) => {
            let head = hash.is_saving().then(|| hash.saving_head());
            let expiry_min_ms = match head {
                Some(head) if kind == kind::HASH_METADATA => head.next_expiry_ms.or(Some(0)),
                _ => None,
            };
            hash.save_next(&mut |field| {
                encode_field(field, kind, expiry_min_ms, &mut chunk.writer());
                more(chunk)
            })
        }
        Big::Set(set) => set.save_next(&mut |member| {
            member.with_bytes(|bytes| chunk.writer().string(bytes));
            more(chunk)
        }),
        Big::SortedSet(set) => set.save_next(&mut |entry| {
            encode_entry(entry, &mut chunk.writer());
            more(chunk)
        }),
        Big::Stream(stream) => stream.save_next(&mut |piece| {
            match piece {
                StreamPiece::Node(key, node) => {
                    encode_stream_node(key, node, &mut chunk.writer());
                }
                StreamPiece::Tail(tail) => {
                    // Groups may be long. A copy shares what they consist of.
                    let tail = tail.clone();
                    chunk.end_later(move |writer| {
                        let (counters, len, first_id) = (tail.counters, tail.len, tail.first_id);
                        encode_tail(counters, len, first_id, &tail.groups, kind, writer);
                    });
                }
            }
            more(chunk)
        }),
    };
    if complete {
        chunk.end();
    }
    complete
}
