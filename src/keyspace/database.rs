//! One numbered database.

use super::KeyHasher;
use super::entry::{Entry, EntryBox, EntryMut};
use crate::data::Value;
use crate::data::salted::SaltedHasher;
use crate::data::table::{Rehash, SweepLimits, Table, Verdict};

/// Segments of the table that one step of expiry passes at most.
const SWEEP_SEGMENTS_MAX: usize = 256;

/// One database: keys with values and expiry times.
pub struct Database {
    /// Each database has its keys in an order of its own, so that to copy keys from one to another as they come
    /// is not to insert in order.
    entries: Table<EntryBox, SaltedHasher>,
    expiring: usize,
    /// Whether there may be hashes with fields that expire.
    fields_may_expire: bool,
}

impl Rehash<EntryBox> for SaltedHasher {
    fn rehash(&self, entry: Entry<'_>) -> u64 {
        self.own(self.hash(entry.key()))
    }
}

/// When something of an entry expires, the key itself or a field, as the table's deadlines count: what
/// lies before 1970 has passed all the same.
fn deadline(entry: Entry<'_>) -> Option<u64> {
    let times = [entry.expiry_ms(), next_field_expiry_ms(entry)];
    times.into_iter().flatten().min().map(|at| at.max(0) as u64)
}

/// A time before which no field of a hash expires.
fn next_field_expiry_ms(entry: Entry<'_>) -> Option<i64> {
    match entry.value() {
        Value::Hash(hash) => hash.next_expiry_ms(),
        _ => None,
    }
}

impl Database {
    /// An empty database whose keys are hashed by `hasher`.
    pub fn new(hasher: KeyHasher) -> Self {
        Self {
            entries: Table::new(SaltedHasher::new(hasher, 0)),
            expiring: 0,
            fields_may_expire: false,
        }
    }

    /// Where a key with this hash is in the table's order.
    fn place(&self, hash: u64) -> u64 {
        self.entries.hasher().own(hash)
    }

    /// How many keys there are, logically expired ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many keys have an expiry time.
    pub fn expiring(&self) -> usize {
        self.expiring
    }

    /// Whether any key or field may expire.
    pub fn may_expire(&self) -> bool {
        self.expiring > 0 || self.fields_may_expire
    }

    /// Notes that a field of the hash at `key` was given an expiry time.
    pub fn note_field_expiry(&mut self, hash: u64, key: &[u8]) {
        let Some(mut found) = self.entries.find_mut(self.place(hash), |entry| entry.key() == key)
        else {
            return;
        };
        self.fields_may_expire |= next_field_expiry_ms(found.get()).is_some();
        let deadline = deadline(found.get());
        found.set_deadline(deadline);
    }

    /// The entry of `key`, whose hash is `hash`.
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Entry<'_>> {
        debug_assert_eq!(hash, self.entries.hasher().hash(key));
        self.entries.find(self.place(hash), |entry| entry.key() == key)
    }

    /// As [`Database::find`], to change the value in place. Whether it expires, and when, is changed
    /// with [`Database::set_expiry`] only.
    pub fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<EntryMut<'_>> {
        let found = self.entries.find_mut(self.place(hash), |entry| entry.key() == key)?;
        // SAFETY: the table, and with it the entry, stays mutably borrowed as long as the result.
        Some(unsafe { EntryMut::from_raw(found.raw()) })
    }

    /// Inserts an entry and gives back the one of the same key that it replaces.
    pub fn insert(&mut self, hash: u64, entry: EntryBox) -> Option<EntryBox> {
        if self.entries.is_empty() {
            let hasher = self.entries.hasher().hasher();
            self.entries = Table::new(SaltedHasher::new(hasher, hash));
        }
        let deadline = deadline(entry.view());
        self.expiring += usize::from(entry.view().expiry_ms().is_some());
        self.fields_may_expire |= next_field_expiry_ms(entry.view()).is_some();
        let key = entry.view();
        match self.entries.find_mut(self.place(hash), |known| known.key() == key.key()) {
            None => {
                self.entries.insert_unique(self.place(hash), entry, deadline);
                None
            }
            Some(mut found) => {
                if deadline.is_some() || found.is_marked() {
                    found.set_deadline(deadline);
                }
                let old = found.replace(entry);
                self.expiring -= usize::from(old.view().expiry_ms().is_some());
                Some(old)
            }
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<EntryBox> {
        let old = self.entries.remove(self.place(hash), |entry| entry.key() == key)?;
        self.expiring -= usize::from(old.view().expiry_ms().is_some());
        Some(old)
    }

    /// Sets or clears the expiry time of a key; false if there is no such key.
    pub fn set_expiry(&mut self, hash: u64, key: &[u8], expiry_ms: Option<i64>) -> bool {
        let Some(mut found) = self.entries.find_mut(self.place(hash), |entry| entry.key() == key)
        else {
            return false;
        };
        if let Some(at) = expiry_ms {
            // SAFETY: as in `find_mut`.
            let mut entry = unsafe { EntryMut::from_raw(found.raw()) };
            if entry.set_expiry_in_place(at) {
                let deadline = deadline(found.get());
                found.set_deadline(deadline);
                return true;
            }
        }
        if expiry_ms.is_none() && found.get().expiry_ms().is_none() {
            return true;
        }
        let Some(entry) = self.remove(hash, key) else { return false };
        self.insert(hash, entry.rebuilt(None, expiry_ms));
        true
    }

    /// All entries in the order of their hashes.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries.iter()
    }

    /// Visits some `count` entries from `cursor` on, in the order of their hashes, and gives the
    /// cursor to go on with, 0 at the end. Every entry that is there from the first call (with
    /// cursor 0) to the last is visited, whatever else is inserted or removed in between.
    pub fn scan(&self, cursor: u64, count: usize, visit: impl FnMut(Entry<'_>)) -> u64 {
        self.entries.scan(cursor, count, visit)
    }

    /// An entry picked by `random`, which gives uniformly distributed numbers.
    pub fn random(&self, random: impl FnMut() -> u64) -> Option<Entry<'_>> {
        self.entries.random(random)
    }

    /// Takes out entries whose time has come by `now_ms`, from `cursor` on, and gives the cursor to go
    /// on with, 0 at the end. Ends soon after `limit` entries of which something expires were looked at.
    /// `fields_due` is told the keys of hashes of which a field's time may have come.
    pub fn take_due(
        &mut self,
        cursor: u64,
        now_ms: i64,
        limit: usize,
        mut taken: impl FnMut(EntryBox),
        mut fields_due: impl FnMut(&[u8]),
    ) -> u64 {
        let limits = SweepLimits { segments: SWEEP_SEGMENTS_MAX, items: limit };
        let mut count = 0;
        let next = self.entries.sweep(
            cursor,
            now_ms.max(0) as u64,
            limits,
            |entry| {
                if entry.expiry_ms().is_some_and(|at| at <= now_ms) {
                    return Verdict::Remove;
                }
                if next_field_expiry_ms(entry).is_some_and(|at| at <= now_ms) {
                    fields_due(entry.key());
                }
                deadline(entry).map_or(Verdict::Unmark, |deadline_ms| Verdict::Keep { deadline_ms })
            },
            |entry| {
                count += 1;
                taken(entry);
            },
        );
        self.expiring -= count;
        if next == 0 && self.expiring == 0 {
            self.fields_may_expire = self.entries.next_deadline_ms().is_some();
        }
        next
    }
}
