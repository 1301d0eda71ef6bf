//! Taking the keyspace apart and together again, for tests: `DEBUG RELOAD` and `DEBUG LOADAOF`.

use super::Guard;
use super::replay::Replayer;
use crate::keyspace::{Database, EntryBox};
use crate::log;
use crate::rdb::payload;
use std::time::Duration;

/// How long what was executed may take to be drained.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

impl Guard<'_> {
    /// Writes every value in the form of RDB, reads it back and puts it in the place of the one that it came
    /// from.
    ///
    /// # Errors
    /// Which key could not be read back. Then nothing has changed.
    pub fn reload_values(&mut self) -> Result<(), String> {
        self.abort_snapshot();
        let state = &mut *self.state;
        let keyspace = &mut state.keyspace;
        let hasher = keyspace.hasher();
        let mut reloaded = Vec::new();
        let mut bytes = Vec::new();
        for (index, database) in keyspace.databases() {
            let mut copy = Database::new(hasher);
            for entry in database.iter() {
                bytes.clear();
                payload::dump(entry.value(), state.settings.rdb_compression, &mut bytes);
                let value = payload::restore(&bytes, &state.settings.limits).map_err(|error| {
                    let key = String::from_utf8_lossy(entry.key());
                    format!("key '{key}' in database {index}: {error}")
                })?;
                let (key, expiry_ms, access) = (entry.key(), entry.expiry_ms(), entry.access());
                copy.insert(hasher.hash(key), EntryBox::new(key, value, expiry_ms, access));
            }
            reloaded.push(copy);
        }
        for (index, database) in reloaded.into_iter().enumerate() {
            *keyspace.database_mut(index) = database;
            keyspace.waited.touch_all(index);
        }
        Ok(())
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
        let disk = &*self.engine.machine.disk;
        let result = log::reread(disk, log.dir(), &mut Replayer::new(state, now_ms));
        for (index, database) in before.into_iter().enumerate() {
            if result.is_err() {
                *state.keyspace.database_mut(index) = database;
            }
            state.keyspace.waited.touch_all(index);
        }
        result.map_err(|error| error.to_string())
    }
}
