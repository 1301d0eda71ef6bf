//! What `INFO` shows of the engine, taken in one go while it is held. Everything else is gathered
//! once it is free.

use crate::engine::snapshot::SnapshotStats;
use crate::engine::{CommandStat, Guard};
use crate::keyspace::KeyspaceStats;
use crate::log::{Log, Lsn};
use std::sync::Arc;

/// What one database holds.
pub struct DatabaseFacts {
    /// Its number.
    pub db: usize,
    /// Keys.
    pub keys: usize,
    /// Keys that expire.
    pub expiring: usize,
    /// For how many ms they live on average; 0 if there is none.
    pub ttl_ms: i64,
    /// Hashes of which fields expire.
    pub hashes_expiring: usize,
}

/// What `INFO` shows of the engine.
pub struct Facts {
    /// The log, unless in memory-only mode.
    pub log: Option<Arc<Log>>,
    /// The LSN behind the last command executed.
    pub lsn: Lsn,
    /// Whether the data are still being loaded.
    pub is_loading: bool,
    /// Effects stated since the start.
    pub changes: u64,
    /// Commands executed.
    pub commands: u64,
    /// Error replies of commands.
    pub errors: u64,
    /// Hits, misses, expired keys.
    pub keyspace: KeyspaceStats,
    /// Databases that are not empty.
    pub databases: Vec<DatabaseFacts>,
    /// Keys that clients wait for, and those of them whose waiters are told when they are gone.
    pub waited_keys: (usize, usize),
    /// What snapshots have taken.
    pub snapshot: SnapshotStats,
    /// Libraries of functions.
    pub libraries: usize,
    /// Counts by command, if they are shown.
    pub command_stats: Vec<(&'static str, CommandStat)>,
    /// Percentiles in µs by command, if they are shown: one for each of those asked for.
    pub latencies_us: Vec<(&'static str, Vec<f64>)>,
    /// Error replies by code, if they are shown.
    pub error_codes: Vec<(String, u64)>,
}

/// Which of the longer lists are shown.
#[derive(Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Counts by command.
    pub command_stats: bool,
    /// Times by command, at these percentiles.
    pub percentiles: Option<&'a [f64]>,
    /// Error replies by code.
    pub error_codes: bool,
}

impl Facts {
    /// Takes them. Whoever shows databases waits for all that was written ([`Guard::depend_on_all_keys`]).
    pub fn take(engine: &Guard<'_>, wanted: Wanted<'_>) -> Self {
        let now_ms = engine.now_ms();
        let stats = engine.command_stats();
        let filled = engine.keyspace().databases().filter(|(_, database)| !database.is_empty());
        let databases = filled.map(|(db, database)| DatabaseFacts {
            db,
            keys: database.len(),
            expiring: database.expiring(),
            ttl_ms: database.average_expiry_ms().map_or(0, |at| at.saturating_sub(now_ms).max(0)),
            hashes_expiring: database.hashes_expiring(),
        });
        let latencies = |percentiles: &[f64]| {
            let shown = |latency: &crate::engine::Latency| {
                percentiles.iter().map(|&percent| latency.percentile_us(percent)).collect()
            };
            stats.latencies().into_iter().map(|(name, latency)| (name, shown(latency))).collect()
        };
        Self {
            log: engine.log().cloned(),
            lsn: engine.lsn(),
            is_loading: engine.is_loading(),
            changes: engine.changes(),
            commands: engine.commands(),
            errors: stats.error_count(),
            keyspace: engine.keyspace().stats.clone(),
            databases: databases.collect(),
            waited_keys: engine.waited_keys(),
            snapshot: engine.snapshot_stats(),
            libraries: engine.functions().sources().count(),
            command_stats: if wanted.command_stats { stats.commands() } else { Vec::new() },
            latencies_us: wanted.percentiles.map_or_else(Vec::new, latencies),
            error_codes: if wanted.error_codes { stats.errors() } else { Vec::new() },
        }
    }
}
