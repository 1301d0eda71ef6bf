//! Snapshots without fork: what the keyspace was at one moment, given out bit by bit while it goes on changing.
//!
//! Each database remembers for itself (`capture.rs`); here is what concerns all of them.

use super::{Database, Keyspace, Saved};
use crate::env::Clock;
use crate::rdb::Format;
use crate::rdb::blocks::Count;
use std::collections::VecDeque;
use std::sync::Arc;

/// The snapshot at hand, and what is left of earlier ones.
#[derive(Default)]
pub(super) struct State {
    is_running: bool,
    /// What entries that the last snapshot knows are marked with.
    epoch: u8,
    /// How many snapshots have begun since all entries had the same epoch.
    unfinished: u8,
    /// Databases that were emptied at once.
    flushed: VecDeque<Database>,
}

impl State {
    /// Keeps a database that was taken out if it is not saved yet; gives it back otherwise.
    pub(super) fn adopt(&mut self, taken: Database) -> Option<Database> {
        if self.is_running && taken.capture().is_some_and(|capture| !capture.is_done()) {
            self.flushed.push_back(taken);
            return None;
        }
        Some(taken)
    }
}

impl Keyspace {
    /// Begins a snapshot of what is there now. Gives the counts of databases that are not empty.
    /// Strings are prepared for being compressed if `compress` says so; `clock` measures what keeping old values takes.
    ///
    /// # Panics
    /// If one is running already.
    pub fn begin_snapshot(&mut self, format: Format, clock: Arc<dyn Clock>) -> Vec<Count> {
        assert!(!self.snapshot.is_running, "there is one snapshot at a time");
        let state = &mut self.snapshot;
        if state.unfinished == u8::MAX - 1 {
            // So many were aborted in a row that their marks cannot be told from the next one's.
            self.databases.iter_mut().for_each(Database::forget_epochs);
            (state.epoch, state.unfinished) = (0, 0);
        }
        state.unfinished += 1;
        // 0 is the mark of what no snapshot has seen.
        state.epoch = if state.epoch == u8::MAX { 1 } else { state.epoch + 1 };
        state.is_running = true;
        let mut counts = Vec::new();
        for (db, database) in self.databases.iter_mut().enumerate() {
            if !database.is_empty() {
                let (keys, expiring) = (database.len() as u64, database.expiring() as u64);
                counts.push(Count { db: db as u32, keys, expiring });
            }
            database.begin_capture(db as u32, state.epoch, format, clock.clone());
        }
        counts
    }

    /// Whether a snapshot is running.
    pub fn is_saving(&self) -> bool {
        self.snapshot.is_running
    }

    /// The next part of the snapshot. `None` when all of it was given out, or if `more` says no before anything
    /// was found; [`Keyspace::is_saved`] tells which.
    pub fn next_saved(&mut self, more: &mut dyn FnMut() -> bool) -> Option<Saved> {
        let flushed = &mut self.snapshot.flushed;
        if let Some(at) = flushed.iter().position(Database::is_amid_record) {
            return flushed.remove(at).map(Box::new).map(Saved::Flushed);
        }
        if let Some(at) = self.databases.iter().position(Database::is_amid_record) {
            return self.databases[at].next_saved(false, more);
        }
        if let Some(database) = flushed.pop_front() {
            return Some(Saved::Flushed(Box::new(database)));
        }
        for last in [false, true] {
            for database in &mut self.databases {
                if let Some(saved) = database.next_saved(last, more) {
                    return Some(saved);
                }
            }
        }
        None
    }

    /// Whether the whole snapshot was given out.
    pub fn is_saved(&self) -> bool {
        let is_done = |database: &Database| database.capture().is_none_or(|c| c.is_done());
        self.snapshot.flushed.is_empty() && self.databases.iter().all(is_done)
    }

    /// Bytes of old values that wait for being given out, about.
    pub fn unsaved_bytes(&mut self) -> usize {
        self.databases.iter_mut().map(Database::unsaved_bytes).sum()
    }

    /// The longest time that one old value took to be kept since the snapshot began, in µs.
    pub fn keep_us_max(&self) -> u64 {
        let captures = self.databases.iter().filter_map(Database::capture);
        captures.map(|capture| capture.keep_us_max()).max().unwrap_or(0)
    }

    /// Ends the snapshot, whether all of it was given out or not.
    pub fn end_snapshot(&mut self) {
        let whole = self.is_saved();
        let state = &mut self.snapshot;
        state.is_running = false;
        state.flushed.clear();
        if whole {
            state.unfinished = 0;
        }
        self.databases.iter_mut().for_each(Database::end_capture);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::NewValue;
    use crate::env::SimClock;
    use crate::keyspace::EntryBox;
    use crate::rdb::Target;

    #[test]
    fn no_part_takes_much_memory_however_long_it_may_take() {
        let mut keyspace = Keyspace::new(1, (1, 2));
        let (value, keys) = ([b'v'; 10_000], 500);
        for number in 0..keys {
            let key = format!("key{number}").into_bytes();
            let entry =
                EntryBox::new(&key, NewValue::Text { bytes: &value, edited: false }, None, 0);
            let hash = keyspace.hasher().hash(&key);
            assert!(keyspace.database_mut(0).insert_new(hash, entry));
        }
        let format = Format { target: Target::V12, compress: false };
        keyspace.begin_snapshot(format, SimClock::new(0));
        let (mut written, mut longest) = (0, 0);
        while let Some(saved) = keyspace.next_saved(&mut || true) {
            let Saved::Chunk(chunk) = saved else { panic!("nothing changed meanwhile") };
            written += chunk.keys();
            longest = longest.max(chunk.len());
        }
        assert_eq!(written, keys);
        assert!(longest < 2 << 20, "{longest} bytes at once");
        keyspace.end_snapshot();
    }
}
