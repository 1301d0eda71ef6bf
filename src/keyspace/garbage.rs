//! Freeing what is big without holding the engine up.
//!
//! What a command or an expiry takes out of the keyspace gathers in a [`Garbage`], which is dropped
//! once the engine is free. Dropping it hands it to the thread `lazyfree`. What waits for that
//! thread is bounded: beyond 64 MiB, garbage is freed on the spot, by the thread that made it.

use super::{Database, EntryBox, Removed, Value};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// The thread is given no more while this much waits for it. One value or database may be bigger.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Values of up to so many allocations are freed at once: cheaper than waking a thread.
const INLINE_MAX: usize = 64;

/// A garbage of more allocations is given away before the engine is free: a transaction may make
/// any amount of it.
const ALLOCATIONS_MAX: usize = 1 << 20;

/// The way to the thread that frees; `None` if it could not be started.
static THREAD: OnceLock<Option<Sender<Batch>>> = OnceLock::new();
static WAITING_BYTES: AtomicUsize = AtomicUsize::new(0);
static WAITING_OBJECTS: AtomicU64 = AtomicU64::new(0);
static FREED_OBJECTS: AtomicU64 = AtomicU64::new(0);

/// What the thread frees in one go.
struct Batch {
    garbage: Vec<Item>,
    objects: u64,
    bytes: usize,
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.garbage.clear();
        WAITING_BYTES.fetch_sub(self.bytes, Ordering::Relaxed);
        WAITING_OBJECTS.fetch_sub(self.objects, Ordering::Relaxed);
        FREED_OBJECTS.fetch_add(self.objects, Ordering::Relaxed);
    }
}

enum Item {
    Entry(EntryBox),
    Database(Box<Database>),
}

impl Item {
    /// Keys.
    fn objects(&self) -> u64 {
        match self {
            Self::Entry(_) => 1,
            Self::Database(database) => database.len() as u64,
        }
    }

    /// Bytes; of a database, those of its entries without their big values.
    fn bytes(&self) -> usize {
        const ENTRY_BYTES: usize = 64;
        match self {
            Self::Entry(entry) => entry.view().memory_bytes(),
            Self::Database(database) => database.len() * ENTRY_BYTES,
        }
    }
}

/// How many keys wait for being freed, and how many the thread has freed since the start.
pub fn counts() -> (u64, u64) {
    (WAITING_OBJECTS.load(Ordering::Relaxed), FREED_OBJECTS.load(Ordering::Relaxed))
}

/// Sets the count of keys that the thread has freed back to zero.
pub fn reset_counts() {
    FREED_OBJECTS.store(0, Ordering::Relaxed);
}

/// What was taken out of the keyspace and is freed when this is dropped.
#[derive(Default)]
pub struct Garbage {
    items: Vec<Item>,
    /// Allocations in them, about.
    allocations: usize,
    /// Whether the dropping thread waits until everything is freed.
    waits: bool,
}

impl Garbage {
    /// Takes what was removed. Small values are freed at once.
    pub fn add(&mut self, removed: Removed) {
        let Some(entry) = removed.into_entry() else { return };
        let allocations = allocations(entry.view().value());
        if allocations > INLINE_MAX {
            self.push(Item::Entry(entry), allocations);
        }
    }

    /// Takes a database; with `waits`, whoever drops the garbage frees it.
    pub fn add_database(&mut self, database: Database, waits: bool) {
        let allocations = database.len();
        if allocations > INLINE_MAX {
            self.push(Item::Database(Box::new(database)), allocations);
            self.waits |= waits;
        }
    }

    fn push(&mut self, item: Item, allocations: usize) {
        // The last one is freed once the engine is free, however big it is.
        if self.allocations + allocations > ALLOCATIONS_MAX {
            drop(std::mem::take(self));
        }
        self.items.push(item);
        self.allocations += allocations;
    }
}

impl std::fmt::Debug for Garbage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Garbage").field("items", &self.items.len()).finish()
    }
}

impl Drop for Garbage {
    fn drop(&mut self) {
        if self.items.is_empty() || self.waits {
            return;
        }
        let start = || {
            let (sender, receiver) = channel::<Batch>();
            let free = move || receiver.into_iter().for_each(drop);
            thread::Builder::new().name("lazyfree".into()).spawn(free).ok().map(|_| sender)
        };
        let Some(sender) = THREAD.get_or_init(start) else { return };
        if WAITING_BYTES.load(Ordering::Relaxed) >= WAITING_BYTES_MAX {
            return;
        }
        let garbage = std::mem::take(&mut self.items);
        let objects = garbage.iter().map(Item::objects).sum();
        let bytes = garbage.iter().map(Item::bytes).sum();
        WAITING_BYTES.fetch_add(bytes, Ordering::Relaxed);
        WAITING_OBJECTS.fetch_add(objects, Ordering::Relaxed);
        // The receiver never goes away; if it did, the error would free it here.
        drop(sender.send(Batch { garbage, objects, bytes }));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::entry::NewValue;

    #[test]
    fn of_what_a_transaction_makes_only_the_last_big_value_is_kept() {
        let item = || Item::Entry(EntryBox::new(b"k", NewValue::Integer(1), None, 0));
        for waits in [false, true] {
            let mut garbage = Garbage::default();
            garbage.waits = waits;
            for _ in 0..3 {
                garbage.push(item(), ALLOCATIONS_MAX + 1);
                assert_eq!(garbage.items.len(), 1);
            }
            garbage.push(item(), 1);
            garbage.push(item(), 1);
            assert_eq!(garbage.items.len(), 2);
        }
    }
}
