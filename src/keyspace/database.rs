//! One numbered database.

use super::KeyHasher;
use super::entry::{Entry, EntryBox};
use std::collections::BTreeMap;

/// One database: keys with values and expiry times.
pub struct Database {
    hasher: KeyHasher,
    entries: BTreeMap<(u64, Box<[u8]>), EntryBox>,
    expiring: usize,
}

impl Database {
    /// An empty database whose keys are hashed by `hasher`.
    pub fn new(hasher: KeyHasher) -> Self {
        Self { hasher, entries: BTreeMap::new(), expiring: 0 }
    }

    /// How many keys there are, logically expired ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys have an expiry time.
    pub fn expiring(&self) -> usize {
        self.expiring
    }

    /// The entry of `key`, whose hash is `hash`.
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        debug_assert_eq!(hash, self.hasher.hash(key));
        self.entries.get(&(hash, key.into()))
    }

    /// As [`Database::find`], to change the value in place. The expiry time is changed with
    /// [`Database::set_expiry`] only, which keeps the count.
    pub fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut Entry> {
        self.entries.get_mut(&(hash, key.into()))
    }

    /// Inserts an entry and gives back the one of the same key that it replaces.
    pub fn insert(&mut self, hash: u64, entry: EntryBox) -> Option<EntryBox> {
        self.expiring += usize::from(entry.expiry_ms().is_some());
        let old = self.entries.insert((hash, entry.key().into()), entry);
        if let Some(old) = &old {
            self.expiring -= usize::from(old.expiry_ms().is_some());
        }
        old
    }

    /// Takes an entry out.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<EntryBox> {
        let old = self.entries.remove(&(hash, key.into()));
        if let Some(old) = &old {
            self.expiring -= usize::from(old.expiry_ms().is_some());
        }
        old
    }

    /// Sets or clears the expiry time of a key; false if there is no such key.
    pub fn set_expiry(&mut self, hash: u64, key: &[u8], expiry_ms: Option<i64>) -> bool {
        let Some(entry) = self.remove(hash, key) else { return false };
        self.insert(hash, entry.rebuilt(None, expiry_ms));
        true
    }

    /// All entries in the order of their hashes.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Visits some `count` entries from `cursor` on, in the order of their hashes, and gives the
    /// cursor to go on with, 0 at the end. Every entry that is there from the first call (with
    /// cursor 0) to the last is visited, whatever else is inserted or removed in between.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&Entry)) -> u64 {
        let mut last = 0;
        let rest = self.entries.range((cursor, Box::from(&b""[..]))..);
        for (visited, ((hash, _), entry)) in rest.enumerate() {
            if visited >= count && *hash != last {
                return *hash;
            }
            visit(entry);
            last = *hash;
        }
        0
    }

    /// An entry picked by `random`, which gives uniformly distributed numbers.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<&Entry> {
        let index = (random() as usize).checked_rem(self.entries.len())?;
        self.entries.values().nth(index)
    }

    /// Visits entries whose time has come by `now_ms`, at most `limit`, from `cursor` on, and gives
    /// the cursor to go on with, 0 at the end.
    pub fn due(
        &self,
        cursor: u64,
        now_ms: i64,
        limit: usize,
        mut visit: impl FnMut(&Entry),
    ) -> u64 {
        let mut left = limit;
        for ((hash, _), entry) in self.entries.range((cursor, Box::from(&b""[..]))..) {
            if left == 0 {
                return *hash;
            }
            if entry.expiry_ms().is_some_and(|at| at <= now_ms) {
                visit(entry);
                left -= 1;
            }
        }
        0
    }
}
