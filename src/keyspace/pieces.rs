//! Big values as records in pieces: what each type gives out, as RDB has it.

use super::entry::{Entry, EntryMut};
use crate::rdb::Chunk;

// Until big values remember what they were, all of them are taken to fit.

/// Whether a value is so small that it is encoded in one go.
pub(super) fn fits(entry: Entry<'_>) -> bool {
    let _ = entry;
    true
}

/// Begins the saving of a big value.
pub(super) fn begin_saving(entry: &mut EntryMut<'_>) {
    let _ = entry;
    unreachable!("all values fit")
}

/// Ends it.
pub(super) fn end_saving(entry: EntryMut<'_>) {
    let _ = entry;
}

/// Appends the head of a big value's record.
pub(super) fn begin(chunk: &mut Chunk, key: &[u8], expiry_ms: Option<i64>, entry: Entry<'_>) {
    let _ = (chunk, key, expiry_ms, entry);
}

/// Appends the next pieces of a big value, until there are `bytes_max` bytes. True once it is complete.
pub(super) fn give(chunk: &mut Chunk, entry: EntryMut<'_>, bytes_max: usize) -> bool {
    let _ = (chunk, entry, bytes_max);
    true
}
