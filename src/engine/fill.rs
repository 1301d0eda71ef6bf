//! Putting keys in and taking them out without commands, for whoever makes a data set of other ones.

use super::Guard;
use crate::data::NewValue;
use crate::keyspace::{Entry, EntryBox};

impl Guard<'_> {
    /// Puts a key in; says whether it did. One that is there stays as it is, unless it is to be replaced.
    ///
    /// # Panics
    /// If there is a log, which would not know of it, or no such database.
    pub fn put(
        &mut self,
        db: usize,
        key: &[u8],
        value: NewValue<'_>,
        expiry_ms: Option<i64>,
        replace: bool,
    ) -> bool {
        self.assert_no_log();
        let access = self.state.access(self.now_ms).initial();
        let keyspace = &mut self.state.keyspace;
        let hash = keyspace.hasher().hash(key);
        let entry = EntryBox::new(key, value, expiry_ms, access);
        let database = keyspace.database_mut(db);
        if replace {
            database.insert(hash, entry);
            return true;
        }
        database.insert_new(hash, entry)
    }

    /// Adds a library of functions.
    ///
    /// # Errors
    /// As [`super::functions::Functions::load`].
    ///
    /// # Panics
    /// If there is a log, which would not know of it.
    pub fn put_function(&mut self, source: &[u8], replace: bool) -> Result<(), String> {
        self.assert_no_log();
        self.state.functions.load(source, replace)
    }

    /// Takes every key out that is not to be kept.
    ///
    /// # Panics
    /// If there is a log, which would not know of it.
    pub fn retain(&mut self, keep: &mut dyn FnMut(u32, Entry<'_>) -> bool) {
        self.assert_no_log();
        let keyspace = &mut self.state.keyspace;
        let hasher = keyspace.hasher();
        for db in 0..keyspace.database_count() {
            let database = keyspace.database_mut(db);
            // A table does not change while it is walked.
            let entries = database.iter();
            let dropped = entries.filter(|&entry| !keep(db as u32, entry));
            let dropped: Vec<Box<[u8]>> = dropped.map(|entry| entry.key().into()).collect();
            for key in dropped {
                database.remove(hasher.hash(&key), &key);
            }
        }
    }

    pub(super) fn assert_no_log(&self) {
        assert!(self.state.log.is_none(), "what a log has not seen would be gone after a start");
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Engine, Machine};
    use super::*;
    use crate::commands::Settings;
    use crate::disk::SimDisk;
    use crate::env::{SimClock, seeded_random};
    use std::sync::Arc;

    fn engine() -> Engine {
        let machine = Machine {
            disk: Arc::new(SimDisk::new()),
            clock: SimClock::new(1_700_000_000_000),
            random: Arc::new(|| seeded_random(1)),
        };
        Engine::in_memory(machine, 4, Settings::default())
    }

    #[test]
    fn keys_are_put_in_once_and_taken_out() {
        let engine = engine();
        let mut guard = engine.lock();
        for number in 0..100 {
            let key = format!("key:{number}");
            assert!(guard.put(3, key.as_bytes(), NewValue::Integer(number), None, false));
            assert!(!guard.put(3, key.as_bytes(), NewValue::Integer(-1), Some(5), false));
        }
        assert!(guard.put(3, b"key:7", NewValue::Integer(70), Some(5), true));
        guard.retain(&mut |db, entry| db == 3 && entry.key().ends_with(b"7"));
        let database = guard.keyspace().database(3);
        assert_eq!((database.len(), database.expiring()), (10, 1));
        assert!(database.iter().all(|entry| entry.key().ends_with(b"7")));
    }
}
