//! The keyspace: numbered databases of keys with values and expiry times, all in memory.
//!
//! Time and randomness come in as parameters, so that a run can be repeated exactly.

mod capture;
pub mod database;
pub mod entry;
pub mod garbage;
pub mod last_writes;
mod pieces;
pub mod snapshot;
pub mod waited;
pub mod watch;

pub use crate::data::Value;
pub use capture::Orphan;
pub use database::{Database, Moving, Removed, Saved};
pub use entry::{Entry, EntryBox, EntryMut};
pub use garbage::Garbage;
pub use last_writes::LastWrites;
pub use waited::Waited;
pub use watch::{WatchFlag, Watches};

pub use crate::data::KeyHasher;

/// Counters that `INFO` shows and `CONFIG RESETSTAT` zeroes.
#[derive(Clone, Debug, Default)]
pub struct KeyspaceStats {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys deleted because their time had come.
    pub expired: u64,
    /// Fields of hashes deleted because their time had come.
    pub expired_fields: u64,
}

/// All databases and what is kept across them.
pub struct Keyspace {
    hasher: KeyHasher,
    databases: Vec<Database>,
    /// LSN of the last write per key, for the read gate.
    pub last_writes: LastWrites,
    /// Keys that transactions watch.
    pub watches: Watches,
    /// Keys that clients wait for.
    pub waited: Waited,
    /// Counters.
    pub stats: KeyspaceStats,
    snapshot: snapshot::State,
}

impl Keyspace {
    /// `databases` empty databases; `seed` is the secret of the key hash.
    pub fn new(databases: usize, seed: (u64, u64)) -> Self {
        let hasher = KeyHasher::new(seed);
        Self {
            hasher,
            databases: (0..databases).map(|_| Database::new(hasher)).collect(),
            last_writes: LastWrites::new(),
            watches: Watches::default(),
            waited: Waited::default(),
            stats: KeyspaceStats::default(),
            snapshot: snapshot::State::default(),
        }
    }

    /// The hash function of keys.
    pub fn hasher(&self) -> KeyHasher {
        self.hasher
    }

    /// How many databases there are.
    pub fn database_count(&self) -> usize {
        self.databases.len()
    }

    /// Database `index`.
    ///
    /// # Panics
    /// If there is no such database; `SELECT` checks.
    pub fn database(&self, index: usize) -> &Database {
        &self.databases[index]
    }

    /// As [`Keyspace::database`], to change it.
    pub fn database_mut(&mut self, index: usize) -> &mut Database {
        &mut self.databases[index]
    }

    /// All databases in order.
    pub fn databases(&self) -> impl Iterator<Item = (usize, &Database)> {
        self.databases.iter().enumerate()
    }

    /// Exchanges the contents of two databases.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.databases.swap(a, b);
    }

    /// Takes out everything database `index` holds, so that it can be freed elsewhere; nothing if a snapshot
    /// needs it yet.
    pub fn take(&mut self, index: usize) -> Database {
        let vacant = Database::in_place_of(&self.databases[index]);
        let taken = std::mem::replace(&mut self.databases[index], vacant);
        match self.snapshot.adopt(taken) {
            Some(taken) => taken,
            None => Database::new(self.hasher),
        }
    }
}
