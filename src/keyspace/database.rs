//! One numbered database.

use super::KeyHasher;
use super::capture::{Big, Capture, Orphan};
use super::entry::{Entry, EntryBox, EntryMut};
use super::pieces;
use crate::data::Value;
use crate::data::salted::SaltedHasher;
use crate::data::table::{Rehash, SweepLimits, Table, Verdict};
use crate::env::Clock;
use crate::rdb::{Chunk, Format};
use std::collections::HashSet;
use std::sync::Arc;

/// Segments of the table that one step of expiry passes at most.
const SWEEP_SEGMENTS_MAX: usize = 256;

/// If more big values than this are being saved, what they keep is estimated from so many.
const BIGS_LOOKED_AT: usize = 64;

/// Entries that a snapshot's walk takes at once. Tests have few, and want something to happen in between.
const SAVED_AT_ONCE: usize = if cfg!(test) { 2 } else { 16 };
/// A part of a snapshot ends once it exceeds this, whoever takes it and however long that may take: it is in memory.
const SAVED_BYTES_MAX: usize = 1 << 20;

/// One database: keys with values and expiry times.
pub struct Database {
    /// Each database has its keys in an order of its own, so that to copy keys from one to another as they come
    /// is not to insert in order.
    entries: Table<EntryBox, SaltedHasher>,
    /// Keys that expire.
    expiring: usize,
    /// The sum of their expiry times, Unix times in ms.
    expiry_sum_ms: i128,
    /// The hashes of keys that hold a hash of which fields expire.
    fields_expiring: HashSet<u64>,
    /// What is born now is marked with this.
    epoch: u8,
    /// What this database was when the snapshot at hand began.
    capture: Option<Box<Capture>>,
}

/// A part of what a database was when a snapshot began.
pub enum Saved {
    /// Records, or a piece of one that goes on in the next chunk.
    Chunk(Chunk),
    /// A big value that nobody else refers to. If the last chunk ended amid a record, it is this one's.
    Orphan(Orphan),
    /// A database that was emptied at once: all that is left of it. If the last chunk ended amid a record,
    /// that goes on in it.
    Flushed(Box<Database>),
}

/// What was taken out of a database: the entry, unless a snapshot needs it yet and has taken it.
pub struct Removed(Option<EntryBox>);

impl Removed {
    /// The entry, to be freed where that suits.
    pub fn into_entry(self) -> Option<EntryBox> {
        self.0
    }
}

/// An entry on its way to another key or database.
pub struct Moving {
    entry: EntryBox,
    big: Option<Big>,
}

impl Moving {
    /// Looks at the entry.
    pub fn view(&self) -> Entry<'_> {
        self.entry.view()
    }
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

/// What of an entry the database counts.
#[derive(Clone, Copy)]
struct Times {
    expiry_ms: Option<i64>,
    fields_expire: bool,
}

impl Times {
    fn of(entry: Entry<'_>) -> Self {
        let fields_expire = next_field_expiry_ms(entry).is_some();
        Self { expiry_ms: entry.expiry_ms(), fields_expire }
    }
}

impl Database {
    /// An empty database whose keys are hashed by `hasher`.
    pub fn new(hasher: KeyHasher) -> Self {
        Self {
            entries: Table::new(SaltedHasher::new(hasher, 0)),
            expiring: 0,
            expiry_sum_ms: 0,
            fields_expiring: HashSet::new(),
            epoch: 0,
            capture: None,
        }
    }

    /// What is left when `taken` is taken out: nothing, but the same epoch.
    pub(super) fn in_place_of(taken: &Self) -> Self {
        let capture = taken.capture.as_ref().map(|capture| Box::new(capture.of_nothing()));
        let hasher = taken.entries.hasher().hasher();
        Self { epoch: taken.epoch, capture, ..Self::new(hasher) }
    }

    /// Begins to remember what is here now, as database `db`. No entry may carry `epoch` yet.
    pub(super) fn begin_capture(
        &mut self,
        db: u32,
        epoch: u8,
        format: Format,
        clock: Arc<dyn Clock>,
    ) {
        debug_assert!(self.capture.is_none());
        self.epoch = epoch;
        let mut capture = Capture::new(db, format, clock);
        if self.entries.is_empty() {
            capture.cursor = None;
        }
        self.capture = Some(Box::new(capture));
    }

    /// Forgets what was here, given out or not.
    pub(super) fn end_capture(&mut self) {
        let Some(capture) = self.capture.take() else { return };
        for key in capture.big_keys() {
            let place = self.place(self.entries.hasher().hash(key));
            if let Some(found) = self.entries.find_mut(place, |entry| entry.key() == key) {
                // SAFETY: as in `find_mut`.
                pieces::end_saving(unsafe { EntryMut::from_raw(found.raw()) });
            }
        }
    }

    /// What is being remembered, if anything is.
    pub(super) fn capture(&self) -> Option<&Capture> {
        self.capture.as_deref()
    }

    /// Bytes of old values that wait for being given out, about.
    pub(super) fn unsaved_bytes(&mut self) -> usize {
        let Some(capture) = self.capture.as_deref() else { return 0 };
        let count = capture.big_keys().len();
        let mut bytes = 0;
        for key in capture.big_keys().take(BIGS_LOOKED_AT) {
            let place = self.entries.hasher().own(self.entries.hasher().hash(key));
            if let Some(found) = self.entries.find_mut(place, |entry| entry.key() == key) {
                // SAFETY: as in `find_mut`.
                bytes += pieces::saving_bytes(unsafe { EntryMut::from_raw(found.raw()) });
            }
        }
        capture.waiting_bytes() + bytes * count.div_ceil(BIGS_LOOKED_AT).max(1)
    }

    /// Whether the last part that was given out ended amid a record.
    pub(super) fn is_amid_record(&self) -> bool {
        self.capture.as_deref().is_some_and(Capture::is_amid_record)
    }

    /// Gives out the rest of what was here when the snapshot began, for whoever owns the database by now.
    pub fn save_rest(&mut self, format: Format, sink: &mut dyn FnMut(Chunk)) {
        while let Some(saved) = self.next_saved(true, &mut || true) {
            match saved {
                Saved::Chunk(chunk) => sink(chunk),
                Saved::Orphan(orphan) => orphan.save(format, sink),
                Saved::Flushed(_) => unreachable!("a database gives out no other one"),
            }
        }
    }

    /// Marks all entries as those of no snapshot.
    pub(super) fn forget_epochs(&mut self) {
        self.epoch = 0;
        for entry in self.entries.iter() {
            // SAFETY: the table is borrowed mutably, so nobody else looks at its entries.
            unsafe { entry.set_epoch(0) };
        }
    }

    /// Records the entry of a key if it is about to change and has no record yet.
    fn keep(&mut self, hash: u64, key: &[u8]) {
        let Some(capture) = self.capture.as_deref_mut() else { return };
        let place = self.entries.hasher().own(hash);
        let Some(found) = self.entries.find_mut(place, |entry| entry.key() == key) else { return };
        if found.get().epoch() == self.epoch {
            return;
        }
        // SAFETY: as in `find_mut`.
        let mut entry = unsafe { EntryMut::from_raw(found.raw()) };
        entry.set_epoch(self.epoch);
        capture.keep(entry);
    }

    /// Gives an entry that was taken out to the snapshot if that needs it yet.
    fn adopted(&mut self, entry: EntryBox) -> Removed {
        match self.capture.as_deref_mut() {
            Some(capture) => Removed(capture.adopt(entry)),
            None => Removed(Some(entry)),
        }
    }

    /// The next part of what was here when the snapshot began; `None` when nothing is left, or `more` says no
    /// before anything was found. Unless `last` says that no more will change, few old values are kept back.
    pub(super) fn next_saved(
        &mut self,
        last: bool,
        more: &mut dyn FnMut() -> bool,
    ) -> Option<Saved> {
        let capture = self.capture.as_deref_mut()?;
        // A record that was begun is ended before anything else.
        if !capture.is_amid_record()
            && let Some(kept) = capture.take_kept(last)
        {
            return Some(Saved::Chunk(kept));
        }
        if let Some(orphan) = capture.take_orphan() {
            return Some(Saved::Orphan(orphan));
        }
        let chunk = match self.save_big() {
            Some(chunk) => Some(chunk),
            None => self.save(more),
        };
        chunk.map(Saved::Chunk)
    }

    /// Records entries in the order of their hashes, until `more` says no, the part is full or the walk is through.
    /// Gives what it has encoded; big values it meets are given out by [`Database::save_big`].
    fn save(&mut self, more: &mut dyn FnMut() -> bool) -> Option<Chunk> {
        let epoch = self.epoch;
        let capture = self.capture.as_deref_mut()?;
        let mut cursor = capture.cursor?;
        let mut chunk = capture.chunk();
        let mut bigs: Vec<Box<[u8]>> = Vec::new();
        let mut batch = Vec::with_capacity(2 * SAVED_AT_ONCE);
        loop {
            // They lie anywhere in memory, so they are fetched while others are looked up.
            cursor = self.entries.scan(cursor, SAVED_AT_ONCE, |entry| {
                entry.prefetch();
                batch.push(entry);
            });
            for entry in batch.drain(..).filter(|entry| entry.epoch() != epoch) {
                if pieces::fits(entry) {
                    chunk.put(entry.key(), entry.expiry_ms(), entry.value());
                    // SAFETY: this database is borrowed mutably, so nobody else looks at its entries.
                    unsafe { entry.set_epoch(epoch) };
                } else {
                    bigs.push(entry.key().into());
                }
            }
            let is_full = chunk.len() > SAVED_BYTES_MAX;
            if !bigs.is_empty() || cursor == 0 || is_full || !more() {
                break;
            }
        }
        capture.cursor = (cursor != 0).then_some(cursor);
        for key in bigs {
            self.keep(self.entries.hasher().hash(&key), &key);
        }
        Some(chunk)
    }

    /// Gives the next pieces of a big value that is being saved, if there is one.
    fn save_big(&mut self) -> Option<Chunk> {
        let capture = self.capture.as_deref_mut()?;
        let key = capture.next_big()?;
        let place = self.entries.hasher().own(self.entries.hasher().hash(&key));
        let found = self.entries.find_mut(place, |entry| entry.key() == &*key);
        let found = found.expect("whoever takes a big value out says so to the capture");
        // SAFETY: as in `find_mut`.
        let entry = unsafe { EntryMut::from_raw(found.raw()) };
        Some(capture.give(&key, entry))
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
        self.expiring > 0 || !self.fields_expiring.is_empty()
    }

    /// When keys that expire do so on average, as Unix time in ms; `None` if there is none.
    pub fn average_expiry_ms(&self) -> Option<i64> {
        (self.expiring > 0).then(|| (self.expiry_sum_ms / self.expiring as i128) as i64)
    }

    /// How many keys hold a hash of which fields expire.
    pub fn hashes_expiring(&self) -> usize {
        self.fields_expiring.len()
    }

    /// Notes that a field of the hash at `key` was given an expiry time.
    pub fn note_field_expiry(&mut self, hash: u64, key: &[u8]) {
        let Some(mut found) = self.entries.find_mut(self.place(hash), |entry| entry.key() == key)
        else {
            return;
        };
        if next_field_expiry_ms(found.get()).is_some() {
            self.fields_expiring.insert(hash);
        }
        let deadline = deadline(found.get());
        found.set_deadline(deadline);
    }

    /// Notes that fields of the hash at `key` may have lost their expiry times.
    pub fn note_changed_fields(&mut self, hash: u64, key: &[u8]) {
        if self.fields_expiring.contains(&hash)
            && self.find(hash, key).and_then(next_field_expiry_ms).is_none()
        {
            self.fields_expiring.remove(&hash);
        }
    }

    /// Counts the expiry times of an entry that comes.
    fn enter(&mut self, hash: u64, times: Times) {
        if let Some(at) = times.expiry_ms {
            self.expiring += 1;
            self.expiry_sum_ms += i128::from(at);
        }
        if times.fields_expire {
            self.fields_expiring.insert(hash);
        }
    }

    /// Checks what is counted against what is there.
    #[cfg(test)]
    pub fn assert_counts(&self) {
        let times = || self.iter().map(Times::of);
        let sum = times().filter_map(|times| times.expiry_ms).map(i128::from).sum::<i128>();
        assert_eq!(self.expiring, times().filter(|times| times.expiry_ms.is_some()).count());
        assert_eq!(self.expiry_sum_ms, sum);
        assert_eq!(self.hashes_expiring(), times().filter(|times| times.fields_expire).count());
    }

    /// Takes the expiry times of an entry that goes out of the count.
    fn leave(&mut self, hash: u64, entry: Entry<'_>) {
        if let Some(at) = entry.expiry_ms() {
            self.expiring -= 1;
            self.expiry_sum_ms -= i128::from(at);
        }
        if !self.fields_expiring.is_empty() {
            self.fields_expiring.remove(&hash);
        }
    }

    /// The entry of `key`, whose hash is `hash`.
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Entry<'_>> {
        debug_assert_eq!(hash, self.entries.hasher().hash(key));
        self.entries.find(self.place(hash), |entry| entry.key() == key)
    }

    /// As [`Database::find`], to change the value in place. Whether it expires, and when, is changed
    /// with [`Database::set_expiry`] only.
    pub fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<EntryMut<'_>> {
        self.keep(hash, key);
        self.find_for_access(hash, key)
    }

    /// As [`Database::find`], to note an access.
    pub fn find_for_access(&mut self, hash: u64, key: &[u8]) -> Option<EntryMut<'_>> {
        let found = self.entries.find_mut(self.place(hash), |entry| entry.key() == key)?;
        // SAFETY: the table, and with it the entry, stays mutably borrowed as long as the result.
        Some(unsafe { EntryMut::from_raw(found.raw()) })
    }

    /// Inserts an entry in place of the one of the same key, which it gives back.
    pub fn insert(&mut self, hash: u64, mut entry: EntryBox) -> Removed {
        self.keep(hash, entry.view().key());
        entry.view_mut().set_epoch(self.epoch);
        if self.entries.is_empty() {
            let hasher = self.entries.hasher().hasher();
            self.entries = Table::new(SaltedHasher::new(hasher, hash));
        }
        let deadline = deadline(entry.view());
        let times = Times::of(entry.view());
        let key = entry.view();
        match self.entries.find_mut(self.place(hash), |known| known.key() == key.key()) {
            None => {
                self.entries.insert_unique(self.place(hash), entry, deadline);
                self.enter(hash, times);
                Removed(None)
            }
            Some(mut found) => {
                if deadline.is_some() || found.is_marked() {
                    found.set_deadline(deadline);
                }
                let old = found.replace(entry);
                self.leave(hash, old.view());
                self.enter(hash, times);
                self.adopted(old)
            }
        }
    }

    /// Inserts an entry whose key is not there yet; false if it is, and nothing is changed.
    pub fn insert_new(&mut self, hash: u64, entry: EntryBox) -> bool {
        let is_new = self.find(hash, entry.view().key()).is_none();
        if is_new {
            self.insert(hash, entry);
        }
        is_new
    }

    /// Asks the processor to fetch the place of a key.
    pub fn prefetch(&self, hash: u64) {
        self.entries.prefetch(self.place(hash));
    }

    /// Asks the processor to fetch the entry of a key whose place is in its cache.
    pub fn prefetch_entry(&self, hash: u64) {
        // The first one that may be it. None is read.
        if let Some(entry) = self.entries.find(self.place(hash), |_| true) {
            entry.prefetch();
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Removed> {
        let entry = self.take_out(hash, key)?;
        Some(self.adopted(entry))
    }

    fn take_out(&mut self, hash: u64, key: &[u8]) -> Option<EntryBox> {
        self.keep(hash, key);
        let old = self.entries.remove(self.place(hash), |entry| entry.key() == key)?;
        self.leave(hash, old.view());
        Some(old)
    }

    /// Takes an entry out that goes on living under another key, here or elsewhere.
    pub fn detach(&mut self, hash: u64, key: &[u8]) -> Option<Moving> {
        let entry = self.take_out(hash, key)?;
        let big = self.capture.as_deref_mut().and_then(|capture| capture.part(key));
        Some(Moving { entry, big })
    }

    /// Puts such an entry here, in place of the one of the same key, which it gives back.
    pub fn attach(
        &mut self,
        hash: u64,
        key: &[u8],
        moving: Moving,
        expiry_ms: Option<i64>,
    ) -> Removed {
        let Moving { entry, big } = moving;
        let old = self.insert(hash, entry.rebuilt(Some(key), expiry_ms));
        if let (Some(big), Some(capture)) = (big, self.capture.as_deref_mut()) {
            capture.join(key, big);
        }
        old
    }

    /// Sets or clears the expiry time of a key; false if there is no such key.
    pub fn set_expiry(&mut self, hash: u64, key: &[u8], expiry_ms: Option<i64>) -> bool {
        self.keep(hash, key);
        let Some(mut found) = self.entries.find_mut(self.place(hash), |entry| entry.key() == key)
        else {
            return false;
        };
        if let Some(at) = expiry_ms {
            // SAFETY: as in `find_mut`.
            let mut entry = unsafe { EntryMut::from_raw(found.raw()) };
            let old_ms = entry.view().expiry_ms().unwrap_or(0);
            if entry.set_expiry_in_place(at) {
                self.expiry_sum_ms += i128::from(at) - i128::from(old_ms);
                let deadline = deadline(found.get());
                found.set_deadline(deadline);
                return true;
            }
        }
        if expiry_ms.is_none() && found.get().expiry_ms().is_none() {
            return true;
        }
        let Some(moving) = self.detach(hash, key) else { return false };
        self.attach(hash, key, moving, expiry_ms);
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

    /// Takes out entries whose time has come by `now_ms`, from `cursor` on, and gives the cursor to
    /// go on with, 0 at the end. Ends soon after `limit` entries of which something expires were
    /// looked at. `removed` is given their keys and what they held, `fields_due` those of hashes of
    /// which a field's time may have come.
    pub fn remove_due(
        &mut self,
        cursor: u64,
        now_ms: i64,
        limit: usize,
        mut removed: impl FnMut(Box<[u8]>, Removed),
        mut fields_due: impl FnMut(&[u8]),
    ) -> u64 {
        let limits = SweepLimits { segments: SWEEP_SEGMENTS_MAX, items: limit };
        let (mut count, mut sum_ms) = (0, 0);
        let hasher = self.entries.hasher().hasher();
        let fields_expiring = &mut self.fields_expiring;
        let epoch = self.epoch;
        let mut capture = self.capture.as_deref_mut();
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
            |mut entry| {
                count += 1;
                sum_ms += i128::from(entry.view().expiry_ms().unwrap_or(0));
                if !fields_expiring.is_empty() {
                    fields_expiring.remove(&hasher.hash(entry.view().key()));
                }
                let key = entry.view().key().into();
                let rest = match &mut capture {
                    Some(capture) => {
                        if entry.view().epoch() != epoch {
                            capture.keep(entry.view_mut());
                        }
                        capture.adopt(entry)
                    }
                    None => Some(entry),
                };
                removed(key, Removed(rest));
            },
        );
        self.expiring -= count;
        self.expiry_sum_ms -= sum_ms;
        next
    }
}
