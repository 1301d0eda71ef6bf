//! The keyspace as one command sees it.
//!
//! Every way to a key leads through here, so that four things cannot be forgotten: a key whose time
//! has come is gone, a reader waits for the write that it saw, watchers hear of every change, and a
//! change has an effect in the log.

use super::CommandError;
use crate::data::{Buffer, Hash};
use crate::keyspace::entry::{Collection, NewValue};
pub use crate::keyspace::waited::Wants;
use crate::keyspace::{Entry, EntryBox, EntryMut, Garbage, Keyspace, LastWrites, Value};
use crate::resp::{Args, OwnedArgs, write_command};
use bytes::Bytes;

/// What happens to a key whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryMode {
    /// Whoever meets it deletes it, and the log says so.
    Delete,
    /// It is hidden, but stays: while the log cannot take a deletion.
    Hide,
    /// It is there: while a log is replayed, in which deletions are written down.
    Ignore,
}

/// A key on its way through a command: its bytes, its database and its hash, computed once.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    /// The key's bytes.
    pub bytes: &'k [u8],
    /// The database it is meant in.
    pub db: usize,
    /// Its hash.
    pub hash: u64,
}

impl Key<'_> {
    fn slot(&self) -> u32 {
        LastWrites::slot(self.hash, self.db)
    }
}

/// What the commands of one unit (a command, or a transaction) have done so far: the bytes for the
/// log, the keys they touched, and what a reader of their replies must wait for.
#[derive(Debug, Default)]
pub struct Unit {
    /// Effects as RESP commands.
    pub(crate) effects: Vec<u8>,
    /// Effects are counted, but not encoded: a replay has no use for them.
    pub(crate) discards_effects: bool,
    /// How many effects there are, `SELECT`s not counted.
    pub(crate) effect_count: usize,
    /// The database that the stream of effects has selected; `None` until the first effect.
    pub(crate) stream_db: Option<usize>,
    /// LastWrites slots of keys that were written.
    pub(crate) touched: Vec<u32>,
    /// Whether keys were written that nobody named (`FLUSHALL`, `SWAPDB`).
    pub(crate) touched_all: bool,
    /// A bit for each database that was changed; the last bit stands for all from there on.
    pub(crate) touched_databases: u64,
    /// The highest LSN of anything that was looked at.
    pub(crate) depends_on_lsn: u64,
    /// Whether a reply says something about all keys.
    pub(crate) depends_on_all: bool,
    /// What was taken out of the keyspace. It is freed after the engine's lock is released.
    pub(crate) garbage: Garbage,
    /// The command wants to wait.
    pub(crate) block: Option<BlockRequest>,
    /// Whether the command may wait: not in a transaction.
    pub(crate) may_block: bool,
}

/// A command's wish to wait until one of some keys was changed, and to run again then.
#[derive(Debug)]
pub struct BlockRequest {
    /// What it wants.
    pub wants: Wants,
    /// The keys, in the selected database.
    pub keys: Vec<Box<[u8]>>,
    /// For how long, in ms; `None` for ever.
    pub timeout_ms: Option<u64>,
    /// The command to run again.
    pub args: OwnedArgs,
}

/// The keyspace as one command sees it; see the module's documentation.
pub struct Store<'a> {
    keyspace: &'a mut Keyspace,
    unit: &'a mut Unit,
    /// The selected database; `SELECT` changes it.
    pub db: usize,
    /// The time, as Unix time in ms; the same for a whole command. A clock before 1970 counts as
    /// one at its beginning, so that no effect states a time before it.
    pub now_ms: i64,
    /// What happens to keys whose time has come.
    pub expiry_mode: ExpiryMode,
    /// What a lookup writes into an entry's access word: the LRU clock, or `None` to leave it be
    /// (`CLIENT NO-TOUCH`).
    pub access: Option<Access>,
}

/// How an access is noted in an entry.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// The current LRU clock, 24 bits of seconds.
    Lru(u32),
    /// LFU: minutes, a random number, log factor and decay time in minutes.
    Lfu {
        /// Unix time in minutes, low 16 bits.
        minutes: u16,
        /// A random number that decides whether the counter grows.
        random: u32,
        /// `lfu-log-factor`.
        log_factor: u32,
        /// `lfu-decay-time`.
        decay_minutes: u32,
    },
}

impl Access {
    /// The word of a new entry.
    pub fn initial(self) -> u32 {
        match self {
            Access::Lru(clock) => clock,
            // A new key starts at 5, so that it is not the first to be evicted.
            Access::Lfu { minutes, .. } => u32::from(minutes) << 8 | 5,
        }
    }

    /// The word of an entry that comes from elsewhere, as far as the policy in force has use for what is
    /// known of it: for how many seconds nobody had used it, or how often it was used.
    pub fn restored(self, idle_s: Option<u64>, frequency: Option<u8>) -> u32 {
        match (self, idle_s, frequency) {
            (Access::Lru(clock), Some(idle_s), _) => {
                clock.wrapping_sub(idle_s as u32) & 0x00ff_ffff
            }
            (Access::Lfu { minutes, .. }, _, Some(frequency)) => {
                u32::from(minutes) << 8 | u32::from(frequency)
            }
            _ => self.initial(),
        }
    }

    /// The word after an access to an entry whose word was `word`.
    pub fn touched(self, word: u32) -> u32 {
        match self {
            Access::Lru(clock) => clock,
            Access::Lfu { minutes, random, log_factor, .. } => {
                let counter = self.decayed(word);
                let base = counter.saturating_sub(5);
                let chance = 1.0 / (f64::from(base) * f64::from(log_factor) + 1.0);
                let grows = counter < 255 && f64::from(random) / f64::from(u32::MAX) < chance;
                u32::from(minutes) << 8 | (counter + u32::from(grows))
            }
        }
    }

    /// The LFU counter of `word` as of now: it loses one for every `decay_minutes` without access.
    pub fn decayed(self, word: u32) -> u32 {
        let counter = word & 255;
        match self {
            Access::Lfu { minutes, decay_minutes, .. } if decay_minutes > 0 => {
                let since = minutes.wrapping_sub((word >> 8) as u16);
                counter.saturating_sub(u32::from(since) / decay_minutes)
            }
            _ => counter,
        }
    }
}

fn as_type<T: Collection>(entry: Option<Entry<'_>>) -> Result<Option<&T>, CommandError> {
    entry.map(|entry| T::of(entry.value()).ok_or(CommandError::WRONG_TYPE)).transpose()
}

impl<'a> Store<'a> {
    /// A view of `keyspace` with database `db` selected, at time `now_ms`; see the field.
    pub fn new(
        keyspace: &'a mut Keyspace,
        unit: &'a mut Unit,
        db: usize,
        now_ms: i64,
        expiry_mode: ExpiryMode,
        access: Option<Access>,
    ) -> Self {
        Self { keyspace, unit, db, now_ms: now_ms.max(0), expiry_mode, access }
    }

    /// `bytes` as a key of the selected database.
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        self.key_in(self.db, bytes)
    }

    /// `bytes` as a key of database `db`.
    pub fn key_in<'k>(&self, db: usize, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, db, hash: self.keyspace.hasher().hash(bytes) }
    }

    /// How many databases there are.
    pub fn database_count(&self) -> usize {
        self.keyspace.database_count()
    }

    /// Notes that the reply depends on this key.
    fn look(&mut self, key: &Key<'_>) {
        self.unit.depends_on_lsn =
            self.unit.depends_on_lsn.max(self.keyspace.last_writes.read(key.slot()));
    }

    /// Notes that the reply depends on keys that nobody named: it waits for every write so far.
    pub fn depend_on_all_keys(&mut self) {
        self.unit.depends_on_all = true;
    }

    /// Notes that `key` was changed: watchers are told, and readers wait for this command's effect.
    fn touch(&mut self, key: &Key<'_>) {
        self.keyspace.watches.touch(key.db, key.bytes);
        self.keyspace.waited.touch(key.db, key.bytes);
        self.unit.touched.push(key.slot());
        self.unit.touched_databases |= 1 << key.db.min(63);
    }

    /// Whether the command at hand may wait for a key: not in a transaction.
    pub fn may_block(&self) -> bool {
        self.unit.may_block
    }

    /// Asks to wait; see [`super::Context::block`].
    pub(super) fn block(&mut self, request: BlockRequest) {
        debug_assert!(self.unit.may_block);
        self.unit.block = Some(request);
    }

    /// Whatever expires at this time or before has expired, as this store sees it.
    pub fn due_ms(&self) -> i64 {
        if self.expiry_mode == ExpiryMode::Ignore { i64::MIN } else { self.now_ms }
    }

    /// An expiry time that a command gives, as Unix time in ms, as it is kept. Older versions have
    /// written times before 1970 into logs, when their clock stood there: replay takes them for the
    /// first moment that is a time.
    pub fn kept_expiry_ms(&self, at_ms: i64) -> i64 {
        if self.is_replay() { at_ms.max(1) } else { at_ms }
    }

    /// Whether an entry's time has come, as this store sees it.
    fn is_expired(&self, expiry_ms: Option<i64>) -> bool {
        expiry_ms.is_some_and(|at| at <= self.due_ms())
    }

    /// Looks for a live entry; deletes one whose time has come. False if there is none.
    fn settle(&mut self, key: &Key<'_>) -> bool {
        self.look(key);
        let database = self.keyspace.database(key.db);
        let Some(entry) = database.find(key.hash, key.bytes) else { return false };
        if !self.is_expired(entry.expiry_ms()) {
            return true;
        }
        if self.expiry_mode == ExpiryMode::Delete {
            self.expire(key);
        }
        false
    }

    /// Deletes a key because its time has come, and states that as an effect.
    pub fn expire(&mut self, key: &Key<'_>) {
        if let Some(old) = self.keyspace.database_mut(key.db).remove(key.hash, key.bytes) {
            self.unit.garbage.add(old);
        }
        self.expired(key);
    }

    /// States that a key was deleted because its time had come.
    pub fn expired(&mut self, key: &Key<'_>) {
        self.keyspace.stats.expired += 1;
        self.keyspace.watches.expired(key.db, key.bytes);
        self.keyspace.waited.touch(key.db, key.bytes);
        self.unit.touched.push(key.slot());
        self.unit.touched_databases |= 1 << key.db.min(63);
        self.effect_in(key.db, &[b"DEL", key.bytes]);
    }

    /// The entry of `key` for a command that reads it. Counts as a hit or a miss and as an access.
    pub fn read(&mut self, key: &Key<'_>) -> Option<Entry<'_>> {
        if !self.settle(key) {
            self.keyspace.stats.misses += 1;
            return None;
        }
        self.keyspace.stats.hits += 1;
        self.accessed(key)
    }

    /// The entry of `key` for a command that only asks about it (`TYPE`, `TTL`, `OBJECT`): neither
    /// hit nor miss, no access.
    pub fn peek(&mut self, key: &Key<'_>) -> Option<Entry<'_>> {
        if !self.settle(key) {
            return None;
        }
        self.keyspace.database(key.db).find(key.hash, key.bytes)
    }

    /// As [`Store::peek`], but counted as a hit or a miss, as Redis does for `TTL` and the like.
    pub fn peek_counted(&mut self, key: &Key<'_>) -> Option<Entry<'_>> {
        if !self.settle(key) {
            self.keyspace.stats.misses += 1;
            return None;
        }
        self.keyspace.stats.hits += 1;
        self.keyspace.database(key.db).find(key.hash, key.bytes)
    }

    /// The entry of a key that the same command has already looked up. As this takes no exclusive
    /// borrow, several entries may be held at once.
    pub fn looked_up(&self, key: &Key<'_>) -> Option<Entry<'_>> {
        let entry = self.keyspace.database(key.db).find(key.hash, key.bytes)?;
        (!self.is_expired(entry.expiry_ms())).then_some(entry)
    }

    /// The entry of `key` for a command that will write it. An access, but neither hit nor miss.
    pub fn lookup_for_write(&mut self, key: &Key<'_>) -> Option<Entry<'_>> {
        if !self.settle(key) {
            return None;
        }
        self.accessed(key)
    }

    fn accessed(&mut self, key: &Key<'_>) -> Option<Entry<'_>> {
        let database = self.keyspace.database_mut(key.db);
        let entry = database.find_for_access(key.hash, key.bytes)?;
        Some(Self::note_access(self.access, entry).into_view())
    }

    fn accessed_mut(&mut self, key: &Key<'_>) -> Option<EntryMut<'_>> {
        let entry = self.keyspace.database_mut(key.db).find_mut(key.hash, key.bytes)?;
        Some(Self::note_access(self.access, entry))
    }

    fn note_access(access: Option<Access>, mut entry: EntryMut<'_>) -> EntryMut<'_> {
        if let Some(access) = access {
            let word = access.touched(entry.view().access());
            entry.set_access(word);
        }
        entry
    }

    /// The collection at `key` for a command that reads it, as [`Store::read`].
    ///
    /// # Errors
    /// If the key holds another type.
    pub fn read_as<T: Collection>(&mut self, key: &Key<'_>) -> Result<Option<&T>, CommandError> {
        as_type(self.read(key))
    }

    /// The collection at `key` for a command that only asks about it, as [`Store::peek`].
    ///
    /// # Errors
    /// If the key holds another type.
    pub fn peek_as<T: Collection>(&mut self, key: &Key<'_>) -> Result<Option<&T>, CommandError> {
        as_type(self.peek(key))
    }

    /// The collection at `key` which this command has read already, for looking at several at once.
    pub fn borrow_as<T: Collection>(&self, key: &Key<'_>) -> Option<&T> {
        T::of(self.keyspace.database(key.db).find(key.hash, key.bytes)?.value())
    }

    /// The collection at `key` for a command that will change it, as [`Store::lookup_for_write`]. Who
    /// has changed it says so with [`Store::changed`].
    ///
    /// # Errors
    /// If the key holds another type.
    pub fn write_as<T: Collection>(
        &mut self,
        key: &Key<'_>,
    ) -> Result<Option<&mut T>, CommandError> {
        if !self.settle(key) {
            return Ok(None);
        }
        let entry = self.accessed_mut(key).expect("a settled key is there");
        T::of_mut(entry).map(Some).ok_or(CommandError::WRONG_TYPE)
    }

    /// As [`Store::write_as`]; what `make` gives is put there first if there is nothing. It must not
    /// stay empty.
    ///
    /// # Errors
    /// If the key holds another type.
    pub fn write_or_create<T: Collection>(
        &mut self,
        key: &Key<'_>,
        make: impl FnOnce() -> T,
    ) -> Result<&mut T, CommandError> {
        if !self.settle(key) {
            let access = self.initial_access();
            let entry = EntryBox::new(key.bytes, make().into_new(), None, access);
            self.keyspace.database_mut(key.db).insert(key.hash, entry);
        }
        let entry = self.accessed_mut(key).expect("a settled key is there, or was just made");
        T::of_mut(entry).ok_or(CommandError::WRONG_TYPE)
    }

    /// Notes that the value of `key` was changed: watchers are told, readers wait for this command's
    /// effect, and clients that wait for the key are looked at. The caller states the effect.
    pub fn changed(&mut self, key: &Key<'_>) {
        self.touch(key);
        self.keyspace.database_mut(key.db).note_changed_fields(key.hash, key.bytes);
    }

    /// As [`Store::changed`], but watchers are not told: what consumer groups remember of a stream is
    /// no change of its value, as Redis has it.
    pub fn changed_unwatched(&mut self, key: &Key<'_>) {
        self.keyspace.waited.touch(key.db, key.bytes);
        self.unit.touched.push(key.slot());
    }

    /// Deletes the collection at `key`, which was just changed, if nothing is left in it. The
    /// effect that took the last element out implies it.
    pub fn delete_if_empty<T: Collection>(&mut self, key: &Key<'_>) -> bool {
        let entry = self.keyspace.database(key.db).find(key.hash, key.bytes);
        let is_empty = entry.and_then(|entry| T::of(entry.value())).is_some_and(T::is_empty);
        is_empty && self.remove(key)
    }

    /// Deletes fields of the hash at `key` whose time has come, at most `limit` of them, states that, and
    /// deletes the hash if nothing is left. Gives how many there were.
    pub fn expire_fields(&mut self, key: &Key<'_>, limit: usize) -> usize {
        let now_ms = self.now_ms;
        let database = self.keyspace.database_mut(key.db);
        let Some(hash) = database.find_mut(key.hash, key.bytes).and_then(Hash::of_mut) else {
            return 0;
        };
        let names = hash.expire_fields(now_ms, limit);
        self.fields_expired(key, &names);
        self.fields_will_expire(key);
        names.len()
    }

    /// States that fields of the hash at `key` were removed because their time had come, and deletes the
    /// hash if nothing is left.
    pub fn fields_expired(&mut self, key: &Key<'_>, names: &[impl AsRef<[u8]>]) {
        if names.is_empty() {
            return;
        }
        self.keyspace.stats.expired_fields += names.len() as u64;
        self.changed(key);
        self.delete_if_empty::<Hash>(key);
        let mut words: Vec<&[u8]> = vec![b"HDEL", key.bytes];
        words.extend(names.iter().map(AsRef::as_ref));
        self.effect_in(key.db, &words);
    }

    /// Sees to it that the fields of the hash at `key` are deleted when their time has come, though
    /// nobody asks for them: whoever gives one an expiry time calls this.
    pub fn fields_will_expire(&mut self, key: &Key<'_>) {
        self.keyspace.database_mut(key.db).note_field_expiry(key.hash, key.bytes);
    }

    /// Sets a key to a collection, whatever was there. The caller states the effect.
    pub fn put<T: Collection>(&mut self, key: &Key<'_>, value: T, expiry_ms: Option<i64>) {
        debug_assert!(!value.is_empty(), "no key holds an empty collection");
        self.set(key, value.into_new(), expiry_ms);
    }

    /// Whether a live entry of `key` exists.
    pub fn exists(&mut self, key: &Key<'_>) -> bool {
        self.settle(key)
    }

    /// Sets a key to a value, with or without an expiry time, whatever was there. The caller states
    /// the effect.
    pub fn set(&mut self, key: &Key<'_>, value: NewValue<'_>, expiry_ms: Option<i64>) {
        // How often a key is used outlives its value, or one that is only ever written would look
        // as if it were new.
        let access = match self.access {
            Some(Access::Lru(clock)) => clock,
            access => {
                let old = self.keyspace.database(key.db).find(key.hash, key.bytes);
                let touched =
                    |old: Entry<'_>| access.map_or(old.access(), |a| a.touched(old.access()));
                old.map_or_else(|| self.initial_access(), touched)
            }
        };
        let entry = EntryBox::new(key.bytes, value, expiry_ms, access);
        self.insert(key, entry);
    }

    /// The access word of a new entry. It is used now, also if accesses are not noted.
    pub fn initial_access(&self) -> u32 {
        self.access.unwrap_or(Access::Lru((self.now_ms / 1000) as u32)).initial()
    }

    /// Sets a key to a value and leaves its expiry time as it is.
    pub fn set_keeping_expiry(&mut self, key: &Key<'_>, value: NewValue<'_>) {
        if let NewValue::Integer(number) = value
            && let Some(mut entry) =
                self.keyspace.database_mut(key.db).find_mut(key.hash, key.bytes)
            && entry.set_integer(number)
        {
            self.touch(key);
            return;
        }
        let old = self.keyspace.database(key.db).find(key.hash, key.bytes);
        let expiry_ms = old.and_then(|entry| entry.expiry_ms());
        self.set(key, value, expiry_ms);
    }

    /// The bytes of a string by reference, for a reply. The entry [is shareable](Entry::is_shareable).
    ///
    /// # Panics
    /// If it is not: the caller has looked.
    pub fn share_string(&mut self, key: &Key<'_>) -> Bytes {
        let database = self.keyspace.database_mut(key.db);
        let entry = database.find_mut(key.hash, key.bytes).expect("the caller has looked");
        entry.into_buffer().expect("the caller has looked").share()
    }

    /// A string that exists, to change it in place; the value becomes `raw`. The caller states the effect.
    ///
    /// # Panics
    /// If the key does not exist: the caller has looked.
    pub fn string_mut(&mut self, key: &Key<'_>) -> &mut Buffer {
        self.touch(key);
        let database = self.keyspace.database_mut(key.db);
        let entry = database.find(key.hash, key.bytes).expect("the caller has looked");
        if !entry.has_buffer() {
            let bytes = match entry.value() {
                Value::Integer(number) => itoa::Buffer::new().format(number).as_bytes().to_vec(),
                Value::Text { bytes, .. } => bytes.to_vec(),
                other => unreachable!("the caller has looked, but it is a {}", other.type_name()),
            };
            let value = NewValue::Buffer(Box::new(bytes.into()));
            let entry = EntryBox::new(key.bytes, value, entry.expiry_ms(), entry.access());
            database.insert(key.hash, entry);
        }
        let entry = database.find_mut(key.hash, key.bytes).expect("it was just there");
        entry.into_buffer().expect("it was just given a buffer")
    }

    /// Puts an entry in place of whatever the key held. The entry's key must be `key`.
    pub fn insert(&mut self, key: &Key<'_>, entry: EntryBox) {
        debug_assert_eq!(entry.view().key(), key.bytes);
        self.touch(key);
        let old = self.keyspace.database_mut(key.db).insert(key.hash, entry);
        self.unit.garbage.add(old);
    }

    /// Removes a key, live or not; the caller has looked, and states the effect. False if there was none.
    pub fn remove(&mut self, key: &Key<'_>) -> bool {
        let Some(old) = self.keyspace.database_mut(key.db).remove(key.hash, key.bytes) else {
            return false;
        };
        self.unit.garbage.add(old);
        self.touch(key);
        true
    }

    /// Puts the value of one key, with its expiry time, in place of another's. The caller has looked, and
    /// states the effect.
    pub fn relocate(&mut self, from: &Key<'_>, to: &Key<'_>) {
        let database = self.keyspace.database_mut(from.db);
        let Some(moving) = database.detach(from.hash, from.bytes) else { return };
        let expiry_ms = moving.view().expiry_ms();
        self.touch(from);
        self.touch(to);
        let old = self.keyspace.database_mut(to.db).attach(to.hash, to.bytes, moving, expiry_ms);
        self.unit.garbage.add(old);
    }

    /// Deletes a live key. False if there was none. The caller states the effect.
    pub fn delete(&mut self, key: &Key<'_>) -> bool {
        self.settle(key) && self.remove(key)
    }

    /// Sets or clears the expiry time of a key that exists. The caller states the effect.
    pub fn set_expiry(&mut self, key: &Key<'_>, expiry_ms: Option<i64>) {
        self.touch(key);
        self.keyspace.database_mut(key.db).set_expiry(key.hash, key.bytes, expiry_ms);
    }

    /// How many keys a database has, those whose time has come included.
    pub fn len(&mut self, db: usize) -> usize {
        self.depend_on_all_keys();
        self.keyspace.database(db).len()
    }

    /// All live entries of a database.
    pub fn live_entries(&mut self, db: usize) -> impl Iterator<Item = Entry<'_>> {
        self.depend_on_all_keys();
        let is_live = |entry: &Entry<'_>| !self.is_expired(entry.expiry_ms());
        self.keyspace.database(db).iter().filter(is_live)
    }

    /// Visits some `count` entries of a database, as [`crate::keyspace::Database::scan`]; `visit`
    /// is also told whether the entry's time has come.
    pub fn scan(
        &mut self,
        db: usize,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(Entry<'_>, bool),
    ) -> u64 {
        self.depend_on_all_keys();
        let database = self.keyspace.database(db);
        database.scan(cursor, count, |entry| visit(entry, self.is_expired(entry.expiry_ms())))
    }

    /// An entry of a database picked by `random`, and whether its time has come.
    pub fn random(&mut self, db: usize, random: impl FnMut() -> u64) -> Option<(Entry<'_>, bool)> {
        self.depend_on_all_keys();
        let entry = self.keyspace.database(db).random(random)?;
        Some((entry, self.is_expired(entry.expiry_ms())))
    }

    /// Empties a database. With `waits`, what it held is freed before the reply leaves. The caller
    /// states the effect.
    pub fn flush(&mut self, db: usize, waits: bool) {
        self.unit.touched_all = true;
        self.unit.touched_databases = u64::MAX;
        let database = self.keyspace.database(db);
        let hasher = self.keyspace.hasher();
        self.keyspace.watches.touch_where(db, |key| database.find(hasher.hash(key), key).is_some());
        self.keyspace.waited.touch_all(db);
        let database = self.keyspace.take(db);
        self.unit.garbage.add_database(database, waits);
    }

    /// Exchanges two databases. The caller states the effect.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.unit.touched_all = true;
        self.unit.touched_databases = u64::MAX;
        let hasher = self.keyspace.hasher();
        for (watched, other) in [(a, b), (b, a)] {
            let (here, there) = (self.keyspace.database(watched), self.keyspace.database(other));
            self.keyspace.watches.touch_where(watched, |key| {
                let hash = hasher.hash(key);
                here.find(hash, key).is_some() || there.find(hash, key).is_some()
            });
        }
        self.keyspace.waited.touch_all(a);
        self.keyspace.waited.touch_all(b);
        self.keyspace.swap(a, b);
    }

    /// Counters.
    pub fn stats(&mut self) -> &mut crate::keyspace::KeyspaceStats {
        &mut self.keyspace.stats
    }

    /// States an effect in the selected database: a command that brings a copy to the same state.
    pub fn effect(&mut self, args: &[&[u8]]) {
        self.effect_in(self.db, args);
    }

    /// States the command itself as its effect.
    pub fn effect_verbatim(&mut self, args: Args<'_>) {
        self.effect_as(args.at(0), args.from(1));
    }

    /// States a command of another name with the given arguments.
    pub fn effect_as(&mut self, name: &[u8], args: Args<'_>) {
        self.effect_with(&[name], args);
    }

    /// States a command that begins with `head` and goes on with the given arguments.
    pub fn effect_with(&mut self, head: &[&[u8]], args: Args<'_>) {
        if !self.begin_effect(self.db) {
            return;
        }
        let out = &mut self.unit.effects;
        crate::resp::write_header(out, b'*', (head.len() + args.len()) as i64);
        head.iter().for_each(|arg| crate::resp::write_bulk(out, arg));
        args.iter().for_each(|arg| crate::resp::write_bulk(out, arg));
    }

    /// Whether a log is replayed, in which everything is taken as it is written.
    pub fn is_replay(&self) -> bool {
        self.expiry_mode == ExpiryMode::Ignore
    }

    /// States an effect in database `db`.
    pub fn effect_in(&mut self, db: usize, args: &[&[u8]]) {
        if self.begin_effect(db) {
            write_command(&mut self.unit.effects, args);
        }
    }

    /// Counts an effect and selects its database. False if it is not to be encoded.
    fn begin_effect(&mut self, db: usize) -> bool {
        self.unit.effect_count += 1;
        if self.unit.discards_effects {
            return false;
        }
        if self.unit.stream_db != Some(db) {
            self.unit.stream_db = Some(db);
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(db).as_bytes();
            write_command(&mut self.unit.effects, &[b"SELECT", digits]);
        }
        true
    }
}
