//! Big values as records in pieces: what each type gives out, as RDB has it.

use super::entry::{Collection, Entry, EntryMut};
use crate::data::saving::Saving;
use crate::data::{Hash, Set, SortedSet, Value};
use crate::rdb::{Chunk, kind};
use std::ops::ControlFlow;

/// Whether a value is so small that it is encoded in one go.
pub(super) fn fits(entry: Entry<'_>) -> bool {
    match entry.value() {
        Value::Hash(hash) => hash.fits_one_piece(),
        Value::Set(set) => set.fits_one_piece(),
        Value::SortedSet(set) => set.fits_one_piece(),
        Value::Integer(_) | Value::Text { .. } | Value::List(_) | Value::Stream(_) => true,
    }
}

/// A big value, to do something with it as one that is [`Saving`].
enum Big<'a> {
    Hash(&'a mut Hash),
    Set(&'a mut Set),
    SortedSet(&'a mut SortedSet),
}

impl<'a> Big<'a> {
    fn of(entry: EntryMut<'a>) -> Self {
        let big = match entry.view().value() {
            Value::Hash(_) => Hash::of_mut(entry).map(Self::Hash),
            Value::Set(_) => Set::of_mut(entry).map(Self::Set),
            Value::SortedSet(_) => SortedSet::of_mut(entry).map(Self::SortedSet),
            _ => None,
        };
        big.expect("a value that does not fit in one piece")
    }
}

/// Begins the saving of a big value.
pub(super) fn begin_saving(entry: EntryMut<'_>) {
    match Big::of(entry) {
        Big::Hash(hash) => hash.begin_saving(),
        Big::Set(set) => set.begin_saving(),
        Big::SortedSet(set) => set.begin_saving(),
    }
}

/// Forgets it.
pub(super) fn end_saving(entry: EntryMut<'_>) {
    match Big::of(entry) {
        Big::Hash(hash) => hash.end_saving(),
        Big::Set(set) => set.end_saving(),
        Big::SortedSet(set) => set.end_saving(),
    }
}

/// Appends the head of a big value's record.
pub(super) fn begin(chunk: &mut Chunk, key: &[u8], expiry_ms: Option<i64>, entry: EntryMut<'_>) {
    match Big::of(entry) {
        Big::Hash(hash) => {
            let head = hash.saving_head();
            let kind = if head.next_expiry_ms.is_some() { kind::HASH_METADATA } else { kind::HASH };
            chunk.begin(key, expiry_ms, kind);
            if let Some(at) = head.next_expiry_ms {
                chunk.writer().milliseconds(at);
            }
            chunk.writer().number(head.len as u64);
        }
        Big::Set(set) => {
            chunk.begin(key, expiry_ms, kind::SET);
            chunk.writer().number(set.saving_head() as u64);
        }
        Big::SortedSet(set) => {
            chunk.begin(key, expiry_ms, kind::ZSET_2);
            chunk.writer().number(set.saving_head() as u64);
        }
    }
}

/// Appends the next pieces of a big value until there are `bytes_max` bytes or more. True once it is complete.
pub(super) fn give(chunk: &mut Chunk, entry: EntryMut<'_>, bytes_max: usize) -> bool {
    let more = |chunk: &Chunk| match chunk.len() < bytes_max {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    let complete = match Big::of(entry) {
        Big::Hash(hash) => {
            let next_expiry_ms = hash.saving_head().next_expiry_ms;
            hash.save_next(&mut |field| {
                let mut writer = chunk.writer();
                if let Some(min) = next_expiry_ms {
                    // Relative to the first one, and one more, because zero says that the field does not expire.
                    writer.number(field.expiry_ms.map_or(0, |at| (at - min) as u64 + 1));
                }
                field.name.with_bytes(|bytes| writer.string(bytes));
                field.value.with_bytes(|bytes| writer.string(bytes));
                more(chunk)
            })
        }
        Big::Set(set) => set.save_next(&mut |member| {
            member.with_bytes(|bytes| chunk.writer().string(bytes));
            more(chunk)
        }),
        Big::SortedSet(set) => set.save_next(&mut |entry| {
            let mut writer = chunk.writer();
            entry.member.with_bytes(|bytes| writer.string(bytes));
            writer.double(entry.score);
            more(chunk)
        }),
    };
    if complete {
        chunk.end();
    }
    complete
}
