//! Freeing what is big without holding the engine up.

use crate::keyspace::{Database, EntryBox, Value};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// What only waits for being dropped.
type Garbage = Box<dyn Send>;

/// The way to the thread that frees; `None` if it could not be started.
static GARBAGE: OnceLock<Option<Sender<Garbage>>> = OnceLock::new();

/// Up to so many keys or elements are freed on the spot: cheaper than waking a thread.
const INLINE_MAX: usize = 64;

/// Frees a database on the helper thread.
pub(super) fn discard(database: Database) {
    if database.len() > INLINE_MAX {
        free(Box::new(database));
    }
}

/// Frees an entry, on the helper thread if its value consists of many allocations.
pub(super) fn discard_entry(entry: EntryBox) {
    if allocations(entry.view().value()) > INLINE_MAX {
        free(Box::new(entry));
    }
}

/// At most so many allocations make up a value.
fn allocations(value: Value<'_>) -> usize {
    let (encoding, len) = match value {
        Value::Integer(_) | Value::Text { .. } => return 1,
        Value::List(list) => (list.encoding_name(), list.len()),
        Value::Set(set) => (set.encoding_name(), set.len()),
        Value::SortedSet(set) => (set.encoding_name(), set.len()),
        Value::Hash(hash) => (hash.encoding_name(), hash.len()),
        Value::Stream(stream) => (stream.encoding_name(), stream.len()),
    };
    if matches!(encoding, "listpack" | "intset") { 1 } else { len }
}

/// Drops something on the helper thread, which lives as long as the process.
fn free(garbage: Garbage) {
    let start = || {
        let (sender, receiver) = channel::<Garbage>();
        let free = move || receiver.into_iter().for_each(drop);
        thread::Builder::new().name("lazyfree".into()).spawn(free).ok().map(|_| sender)
    };
    if let Some(sender) = GARBAGE.get_or_init(start) {
        // The receiver never goes away; if it did, the error would free it here.
        drop(sender.send(garbage));
    }
}
