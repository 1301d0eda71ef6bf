//! What a database was when a snapshot began, while it goes on changing.
//!
//! A walk in the order of the table encodes every entry, some at a time. Whoever is about to change or remove an
//! entry that the walk has not reached first has its old value encoded here ([`Capture::keep`]). The entry's
//! *epoch* says that its record has been made; what is born after the beginning is marked so at birth. So every
//! entry of the beginning is recorded exactly once.
//!
//! A value that is too big to be encoded in one go remembers by itself what it was
//! ([`crate::data::saving`]) and is given out in pieces. It may be renamed or moved meanwhile, so its name of the
//! beginning is noted here; when it is deleted it becomes an *orphan*, which the snapshot owns.

use super::entry::{EntryBox, EntryMut};
use super::pieces;
use crate::env::Clock;
use crate::rdb::{Chunk, Format, kind_of};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Old values are handed on in chunks of this size.
const CHUNK_BYTES: usize = 64 * 1024;
/// Of a big value, this much is given out at once. Tests want something to happen in between.
const PIECE_BYTES: usize = if cfg!(test) { 64 } else { 32 * 1024 };

/// The name under which a big value is saved, whatever becomes of it.
#[derive(Debug)]
pub struct Big {
    /// Its database at the beginning.
    db: u32,
    /// Its key at the beginning.
    key: Box<[u8]>,
    /// When it expired, as of the beginning.
    expiry_ms: Option<i64>,
    /// What kind of value it was.
    kind: u8,
    /// Whether its record has been begun.
    begun: bool,
}

impl Big {
    /// A chunk for its next pieces.
    fn chunk(&self, format: Format) -> Chunk {
        let chunk = Chunk::new(self.db, format);
        if self.begun { chunk.continued() } else { chunk }
    }

    /// Appends the next pieces of the value to `chunk`. True once its record is complete.
    fn give(&mut self, mut entry: EntryMut<'_>, chunk: &mut Chunk) -> bool {
        debug_assert_eq!(self.db, chunk.db);
        if !self.begun {
            chunk.begin(&self.key, self.expiry_ms, self.kind);
            pieces::begin(chunk, self.kind, entry.reborrow());
            self.begun = true;
        }
        pieces::give(chunk, self.kind, entry, PIECE_BYTES)
    }
}

/// A big value that was deleted before it was given out whole.
pub struct Orphan {
    big: Big,
    entry: EntryBox,
}

impl Orphan {
    /// Gives out all that is left.
    pub fn save(mut self, format: Format, sink: &mut dyn FnMut(Chunk)) {
        loop {
            let mut chunk = self.big.chunk(format);
            let whole = self.big.give(self.entry.view_mut(), &mut chunk);
            sink(chunk);
            if whole {
                return;
            }
        }
    }
}

/// What one database was; see the module's page.
pub struct Capture {
    db: u32,
    format: Format,
    /// The first hash that the walk has not reached; `None` once it is through.
    pub(super) cursor: Option<u64>,
    /// Old values, encoded.
    kept: Chunk,
    full: VecDeque<Chunk>,
    full_bytes: usize,
    /// Big values that are being saved, by the keys they have now.
    bigs: HashMap<Box<[u8]>, Big>,
    /// Which of them come next. Some may be gone.
    next: VecDeque<Box<[u8]>>,
    /// The one whose record was begun.
    current: Option<Box<[u8]>>,
    orphans: VecDeque<Orphan>,
    orphan_bytes: usize,
    clock: Arc<dyn Clock>,
    keep_us_max: u64,
}

impl Capture {
    /// Begins for database `db`.
    pub(super) fn new(db: u32, format: Format, clock: Arc<dyn Clock>) -> Self {
        Self {
            db,
            format,
            cursor: Some(0),
            kept: Chunk::new(db, format),
            full: VecDeque::new(),
            full_bytes: 0,
            bigs: HashMap::new(),
            next: VecDeque::new(),
            current: None,
            orphans: VecDeque::new(),
            orphan_bytes: 0,
            clock,
            keep_us_max: 0,
        }
    }

    /// For a database that is empty and began later.
    pub(super) fn of_nothing(&self) -> Self {
        Self { cursor: None, ..Self::new(self.db, self.format, self.clock.clone()) }
    }

    /// Whether everything was given out.
    pub(super) fn is_done(&self) -> bool {
        self.cursor.is_none()
            && self.bigs.is_empty()
            && self.orphans.is_empty()
            && self.full.is_empty()
            && self.kept.is_empty()
    }

    /// Bytes of old values that wait here.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.kept.len() + self.full_bytes + self.orphan_bytes
    }

    /// Whether a record was begun and not ended.
    pub(super) fn is_amid_record(&self) -> bool {
        self.current.is_some() || self.orphans.front().is_some_and(|orphan| orphan.big.begun)
    }

    /// The longest time that keeping one old value took, in µs.
    pub(super) fn keep_us_max(&self) -> u64 {
        self.keep_us_max
    }

    /// Records an entry that is about to change and has no record yet.
    pub(super) fn keep(&mut self, entry: EntryMut<'_>) {
        let start_us = self.clock.monotonic_us();
        self.keep_untimed(entry);
        self.keep_us_max = self.keep_us_max.max(self.clock.monotonic_us() - start_us);
    }

    fn keep_untimed(&mut self, entry: EntryMut<'_>) {
        if pieces::fits(entry.view()) {
            let view = entry.view();
            self.kept.put(view.key(), view.expiry_ms(), view.value());
            if self.kept.len() >= CHUNK_BYTES {
                self.turn();
            }
            return;
        }
        let key: Box<[u8]> = entry.view().key().into();
        let kind = match kind_of(entry.view().value(), self.format.target) {
            Ok(kind) => kind,
            Err(reason) => return self.kept.refuse(&key, reason),
        };
        let expiry_ms = entry.view().expiry_ms();
        pieces::begin_saving(entry);
        self.next.push_back(key.clone());
        self.bigs.insert(key.clone(), Big { db: self.db, key, expiry_ms, kind, begun: false });
    }

    /// Puts the old values so far with those that are ready.
    fn turn(&mut self) {
        if !self.kept.is_empty() {
            let full = std::mem::replace(&mut self.kept, Chunk::new(self.db, self.format));
            self.full_bytes += full.len();
            self.full.push_back(full);
        }
    }

    /// Takes an entry that was removed from the database if its record is not complete; gives it back
    /// otherwise.
    pub(super) fn adopt(&mut self, mut entry: EntryBox) -> Option<EntryBox> {
        let Some(big) = self.part(entry.view().key()) else { return Some(entry) };
        self.orphan_bytes += pieces::saving_bytes(entry.view_mut());
        let orphan = Orphan { big, entry };
        if orphan.big.begun {
            self.orphans.push_front(orphan);
        } else {
            self.orphans.push_back(orphan);
        }
        None
    }

    /// Forgets the big value at `key`, which leaves it.
    pub(super) fn part(&mut self, key: &[u8]) -> Option<Big> {
        if self.bigs.is_empty() {
            return None;
        }
        if self.current.as_deref() == Some(key) {
            self.current = None;
        }
        self.bigs.remove(key)
    }

    /// Knows from now on that a big value is at `key`.
    pub(super) fn join(&mut self, key: &[u8], big: Big) {
        if big.begun {
            debug_assert!(self.current.is_none(), "one record at a time");
            self.current = Some(key.into());
        } else {
            self.next.push_back(key.into());
        }
        self.bigs.insert(key.into(), big);
    }

    /// The keys of the big values that are being saved.
    pub(super) fn big_keys(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.bigs.keys().map(|key| &**key)
    }

    /// The key of the big value whose pieces come next, if there is one.
    pub(super) fn next_big(&mut self) -> Option<Box<[u8]>> {
        if self.current.is_none() {
            while let Some(key) = self.next.pop_front() {
                if self.bigs.contains_key(&key) {
                    self.current = Some(key);
                    break;
                }
            }
        }
        self.current.clone()
    }

    /// Gives the next pieces of the big value at `key`, which is `entry`.
    pub(super) fn give(&mut self, key: &[u8], entry: EntryMut<'_>) -> Chunk {
        let big = self.bigs.get_mut(key).expect("it is one of those that are being saved");
        let mut chunk = big.chunk(self.format);
        if big.give(entry, &mut chunk) {
            self.bigs.remove(key);
            self.current = None;
        }
        chunk
    }

    /// The next old values that are ready, all of them if `all` says so. Not to be called amid a record.
    pub(super) fn take_kept(&mut self, all: bool) -> Option<Chunk> {
        debug_assert!(!self.is_amid_record());
        if all {
            self.turn();
        }
        let chunk = self.full.pop_front()?;
        self.full_bytes -= chunk.len();
        Some(chunk)
    }

    /// The next orphan; none amid the record of a value that is still here.
    pub(super) fn take_orphan(&mut self) -> Option<Orphan> {
        if self.current.is_some() {
            return None;
        }
        let mut orphan = self.orphans.pop_front()?;
        self.orphan_bytes -= pieces::saving_bytes(orphan.entry.view_mut());
        Some(orphan)
    }

    /// An empty chunk for the walk.
    pub(super) fn chunk(&self) -> Chunk {
        Chunk::new(self.db, self.format)
    }
}
