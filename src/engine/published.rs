//! Counts that every guard publishes when it is released, after what it executed went to the log.
//! Commands that show them do not take the engine. The set is consistent; a reply that shows counts
//! of keys waits for its LSN.

use super::snapshot::SnapshotStats;
use super::{Guard, State};
use crate::keyspace::{Database, KeyspaceStats};
use crate::log::{Log, Lsn};
use std::sync::Arc;

/// What one database holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseCounts {
    /// Keys.
    pub keys: usize,
    /// Keys that expire.
    pub expiring: usize,
    /// When they expire on average, as Unix time in ms; `None` if none does.
    pub expiry_average_ms: Option<i64>,
    /// Hashes of which fields expire.
    pub hashes_expiring: usize,
}

impl DatabaseCounts {
    fn of(database: &Database) -> Self {
        Self {
            keys: database.len(),
            expiring: database.expiring(),
            expiry_average_ms: database.average_expiry_ms(),
            hashes_expiring: database.hashes_expiring(),
        }
    }
}

/// Counts as of one LSN.
#[derive(Clone, Default)]
pub struct Counts {
    /// The log, unless in memory-only mode.
    pub log: Option<Arc<Log>>,
    /// The LSN behind the last command executed.
    pub lsn: Lsn,
    /// Effects stated since the start.
    pub changes: u64,
    /// Hits, misses, expired keys.
    pub keyspace: KeyspaceStats,
    /// All databases, in order.
    pub databases: Vec<DatabaseCounts>,
    /// Keys that clients wait for, and how many of them wake a client when they are deleted.
    pub waited_keys: (usize, usize),
    /// What snapshots have taken.
    pub snapshot: SnapshotStats,
    /// Libraries of functions.
    pub libraries: usize,
}

impl Counts {
    /// Brings them up to date. `touched` has a bit for each database that was changed; the last bit
    /// stands for all from there on.
    fn update(&mut self, state: &State, touched: u64) {
        let log = |log: &Option<Arc<Log>>| log.as_ref().map(Arc::as_ptr);
        if log(&self.log) != log(&state.log) {
            self.log = state.log.clone();
        }
        self.lsn = state.lsn;
        self.changes = state.changes;
        self.keyspace = state.keyspace.stats.clone();
        self.waited_keys = state.keyspace.waited.counts();
        self.snapshot = state.snapshot_stats;
        self.libraries = state.functions.len();
        let count = state.keyspace.database_count();
        let touched = if self.databases.len() == count { touched } else { u64::MAX };
        self.databases.resize(count, DatabaseCounts::default());
        for db in bits(touched, count) {
            self.databases[db] = DatabaseCounts::of(state.keyspace.database(db));
        }
    }
}

/// The databases among `count` that `touched` has a bit for.
fn bits(touched: u64, count: usize) -> impl Iterator<Item = usize> {
    let mut left = touched & !(1 << 63);
    let some = std::iter::from_fn(move || {
        let db = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        (db < 63).then_some(db as usize)
    });
    let rest = if touched >> 63 == 1 { 63..count } else { 0..0 };
    some.take_while(move |&db| db < count).chain(rest)
}

impl Guard<'_> {
    /// Publishes counts.
    pub(super) fn publish(&mut self) {
        let touched = std::mem::take(&mut self.state.unit.touched_databases);
        self.engine.published.lock().update(&self.state, touched);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_stands_for_a_database_and_the_last_one_for_the_rest() {
        assert_eq!(bits(0, 16).count(), 0);
        assert_eq!(bits(0b1001, 16).collect::<Vec<_>>(), [0, 3]);
        assert_eq!(bits(u64::MAX, 4).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(bits(1 << 63, 65).collect::<Vec<_>>(), [63, 64]);
    }
}
