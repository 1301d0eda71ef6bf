//! Loading again what is in memory already, for tests: `DEBUG RELOAD` and `DEBUG LOADAOF`.

use super::Guard;
use super::import::{self, ImportError, Report, Source};
use super::progress::Progress;
use super::replay::Replayer;
use crate::keyspace::{Database, Removed};
use crate::log;
use crate::rdb::payload;
use crate::resp::write_command;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;

/// How long what was executed may take to be drained.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// How `DEBUG RELOAD` goes about it.
#[derive(Clone, Copy, Debug)]
pub struct Reload {
    /// What is there goes first.
    pub flush: bool,
    /// What is in the file takes the place of what is there; otherwise no key may be in both.
    pub merge: bool,
    /// Values of modules are dropped.
    pub skip_modules: bool,
}

/// Why a file was not reloaded.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// It could not be loaded.
    #[error("{0}")]
    Import(#[from] ImportError),
    /// The log takes no writes.
    #[error("{0}")]
    Refused(String),
    /// A key is there already.
    #[error("the key \"{}\" of the file is in database {db} already", key.escape_ascii())]
    Duplicate {
        /// The database.
        db: usize,
        /// The key.
        key: Box<[u8]>,
    },
}

impl Guard<'_> {
    /// Throws away what is in memory and loads the RDB file at `path`. What comes of it is logged.
    ///
    /// # Errors
    /// Why it could not be loaded. Then nothing has changed.
    pub fn reload_rdb(&mut self, path: &Path, how: Reload) -> Result<Report, ReloadError> {
        if self.state.log.is_some() {
            self.check_writable().map_err(|error| ReloadError::Refused(error.to_string()))?;
        }
        self.abort_snapshot();
        let disk = self.engine.machine.disk.clone();
        let (source, progress) = (Source::Rdb(path.into()), Progress::default());
        let options = import::Options { skip_modules: how.skip_modules, ..Default::default() };
        let now_ms = self.now_ms;
        let state = &mut *self.state;
        let count = state.keyspace.database_count();
        let mut before: Vec<_> = (0..count).map(|index| state.keyspace.take(index)).collect();
        let functions = state.functions.clone();
        if how.flush || how.merge {
            state.functions = Default::default();
        }
        let loaded = import::load_into(state, &*disk, &source, options, now_ms, &progress)
            .map_err(ReloadError::Import)
            .and_then(|report| match how.flush {
                true => Ok(report),
                false => self.keep_before(&mut before, how.merge).map(|()| report),
            });
        let state = &mut *self.state;
        match &loaded {
            Ok(_) if !how.flush && how.merge => {
                for source in functions.sources() {
                    // One that was loaded has taken this one's place.
                    let _ = state.functions.load(source, false);
                }
            }
            Ok(_) => {}
            Err(_) => {
                state.functions = functions;
                for (index, database) in before.into_iter().enumerate() {
                    *state.keyspace.database_mut(index) = database;
                }
            }
        }
        for index in 0..count {
            state.keyspace.waited.touch_all(index);
        }
        state.unit.touched_databases = u64::MAX;
        if loaded.is_ok() {
            self.log_full_state();
        }
        loaded
    }

    /// Puts what was there `before` beside what was loaded.
    fn keep_before(&mut self, before: &mut [Database], merge: bool) -> Result<(), ReloadError> {
        let keyspace = &mut self.state.keyspace;
        let hasher = keyspace.hasher();
        let is_loaded =
            |loaded: &Database, key: &[u8]| loaded.find(hasher.hash(key), key).is_some();
        if !merge {
            for (index, database) in before.iter().enumerate() {
                let loaded = keyspace.database(index);
                if let Some(twice) = database.iter().find(|entry| is_loaded(loaded, entry.key())) {
                    return Err(ReloadError::Duplicate { db: index, key: twice.key().into() });
                }
            }
        }
        for (index, database) in before.iter_mut().enumerate() {
            let keys: Vec<Box<[u8]>> = database.iter().map(|entry| entry.key().into()).collect();
            let loaded = keyspace.database_mut(index);
            for key in keys {
                let hash = hasher.hash(&key);
                // No snapshot is under way that would keep it.
                let entry = database.remove(hash, &key).and_then(Removed::into_entry);
                if let Some(entry) = entry
                    && !is_loaded(loaded, &key)
                {
                    loaded.insert(hash, entry);
                }
            }
        }
        Ok(())
    }

    /// States in the log, as one effect of the unit at hand, everything that is there.
    fn log_full_state(&mut self) {
        if self.state.log.is_none() {
            return;
        }
        let state = &mut *self.state;
        let effects = &mut state.unit.effects;
        let (mut selected, mut digits) = (0, itoa::Buffer::new());
        write_command(effects, &[b"SELECT", b"0"]);
        write_command(effects, &[b"FLUSHALL"]);
        write_command(effects, &[b"FUNCTION", b"FLUSH"]);
        state.functions.write_commands(effects);
        let mut payload = Vec::new();
        for (db, database) in state.keyspace.databases() {
            if !database.is_empty() {
                write_command(effects, &[b"SELECT", digits.format(db).as_bytes()]);
                selected = db;
            }
            for entry in database.iter() {
                payload.clear();
                payload::dump(entry.value(), true, &mut payload);
                let at = digits.format(entry.expiry_ms().unwrap_or(0)).as_bytes();
                write_command(effects, &[b"RESTORE", entry.key(), at, &payload, b"ABSTTL"]);
            }
        }
        state.unit.stream_db = Some(selected);
        // Not a count of keys: it says that the parts belong together.
        state.unit.effect_count += 2;
        state.unit.touched_all = true;
        state.unit.touched_databases = u64::MAX;
    }

    /// Throws away what is in memory and replays the log. Without one, nothing happens.
    ///
    /// # Errors
    /// Why the log could not be replayed. Then nothing has changed.
    pub fn reload_log(&mut self) -> Result<(), String> {
        self.flush_effects();
        self.abort_snapshot();
        let Some(log) = self.state.log.clone() else { return Ok(()) };
        log.request_sync();
        log.submit();
        let mut waited = Duration::ZERO;
        while log.drained_lsn() < self.state.lsn {
            if waited > DRAIN_TIME_MAX {
                return Err("the log has not taken everything in time".to_owned());
            }
            std::thread::sleep(Duration::from_millis(1));
            waited += Duration::from_millis(1);
        }
        let now_ms = self.now_ms;
        let state = &mut *self.state;
        let count = state.keyspace.database_count();
        let before: Vec<_> = (0..count).map(|index| state.keyspace.take(index)).collect();
        let functions = std::mem::take(&mut state.functions);
        let disk = &*self.engine.machine.disk;
        let result = log::reread(disk, log.dir(), &mut Replayer::new(state, now_ms));
        for (index, database) in before.into_iter().enumerate() {
            if result.is_err() {
                *state.keyspace.database_mut(index) = database;
            }
            state.keyspace.waited.touch_all(index);
        }
        state.unit.touched_databases = u64::MAX;
        if result.is_err() {
            state.functions = functions;
        }
        result.map_err(|error| error.to_string())
    }
}
