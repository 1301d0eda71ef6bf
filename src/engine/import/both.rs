//! An append-only file and an RDB file side by side: whether they hold the same.
//!
//! A Redis that is switched from one to the other leaves both, and a copy may have any times. So
//! both are read, and only if they hold the same data does it not matter which of them is served.

use super::detect::{Aof, last_change};
use super::{Difference, ImportError, Options, Report, Source, bytes_of, load_into};
use crate::commands::Settings;
use crate::data::digest::Digester;
use crate::engine::progress::Progress;
use crate::engine::{Engine, Machine, State};
use crate::keyspace::{Entry, Keyspace};
use std::path::PathBuf;

impl Engine {
    /// As [`Engine::import`] of the append-only file `aof`, if the RDB file `rdb` beside it holds
    /// the same data. Both are in memory meanwhile.
    ///
    /// # Errors
    /// If they differ, or one of them cannot be imported.
    pub fn import_both(
        machine: Machine,
        aof: Aof,
        rdb: PathBuf,
        options: Options,
        databases: usize,
        settings: Settings,
        progress: &Progress,
    ) -> Result<(Self, Report), ImportError> {
        let disk = &*machine.disk;
        let (aof_source, rdb_source) = (Source::Aof(aof.parts.clone()), Source::Rdb(rdb.clone()));
        progress.begin(bytes_of(disk, &aof_source)? + bytes_of(disk, &rdb_source)?);
        let load = |source: &Source| {
            let mut state = State::new(&machine, databases, settings.clone());
            let now_ms = machine.clock.unix_ms();
            let report = load_into(&mut state, disk, source, options, now_ms, progress)?;
            Ok((state, report))
        };
        let (mut state, mut report) = load(&aof_source)?;
        let (other, _) = load(&rdb_source)?;
        let now_ms = machine.clock.unix_ms();
        let difference = Difference {
            functions: state.functions != other.functions,
            ..difference(&state.keyspace, &other.keyspace, now_ms)
        };
        if difference != Difference::default() {
            let aof_time = last_change(disk, &aof.parts)?;
            let rdb_time = last_change(disk, std::slice::from_ref(&rdb))?;
            return Err(ImportError::Different {
                aof: aof.path,
                aof_time,
                rdb,
                rdb_time,
                difference,
            });
        }
        report.twin = Some(rdb);
        // Replay counts hits and misses, which are not a client's.
        state.keyspace.stats = Default::default();
        Ok((Self::new(state, None, machine), report))
    }
}

/// In what two keyspaces differ as of this Unix time in ms.
fn difference(aof: &Keyspace, rdb: &Keyspace, now_ms: i64) -> Difference {
    let digester = Digester::default().as_of(now_ms);
    let is_live = |entry: &Entry<'_>| entry.expiry_ms().is_none_or(|at| at > now_ms);
    let mut difference = Difference::default();
    for (db, database) in aof.databases() {
        let other = rdb.database(db);
        let mut found = 0;
        for entry in database.iter().filter(is_live) {
            let twin = other.find(rdb.hasher().hash(entry.key()), entry.key()).filter(is_live);
            let Some(twin) = twin else {
                difference.aof_only += 1;
                continue;
            };
            found += 1;
            let is_same = entry.expiry_ms() == twin.expiry_ms()
                && digester.digest(entry.value()) == digester.digest(twin.value());
            difference.changed += u64::from(!is_same);
        }
        difference.rdb_only += other.iter().filter(is_live).count() as u64 - found;
    }
    difference
}
