//! Keys on their way to another server: the two ends of `MIGRATE` that need the engine.
//!
//! Nobody is held up while keys travel. So whether a key has changed meanwhile is looked at when it has
//! arrived. The read gate tells: it notes every write, also those that `WATCH` does not count as one (a
//! consumer group's progress). Keys share its slots, so now and then one seems changed that was not.

use super::{Guard, Outcome};
use crate::commands::CommandError;
use crate::commands::store::{ExpiryMode, Store};
use crate::keyspace::LastWrites;
use crate::log::Lsn;
use crate::rdb::payload::dump;
use crate::resp::write_command;

/// A key that was sent, or is about to be.
#[derive(Debug)]
pub struct ExportedKey {
    /// Its name.
    pub key: Box<[u8]>,
    /// The log that LSNs count in, and the key's last write there.
    written: (u64, Lsn),
}

/// Keys that were written down for another server at one moment.
#[derive(Debug)]
pub struct Export {
    /// Those for which a command was written, in the order of the commands.
    pub keys: Vec<ExportedKey>,
    /// How many of the keys asked for this has dealt with.
    pub asked: usize,
    /// What the commands show depends on this LSN.
    pub lsn: Lsn,
}

impl Guard<'_> {
    /// Appends to `out` the commands that bring the first of `keys` to another server, as many as
    /// `bytes_max` allows but at least one key's. Keys that do not exist are passed over. With `again`
    /// they have been sent before and changed since: what is there is replaced, and what does not exist
    /// any more is deleted there, too.
    ///
    /// # Errors
    /// While the log has failed, if what would be sent may not survive.
    pub fn export_keys(
        &mut self,
        (db, no_touch): (usize, bool),
        keys: &[Box<[u8]>],
        (replace, again): (bool, bool),
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<Export, CommandError> {
        let mut unit = self.unit();
        let (now_ms, mode) = (unit.now_ms, unit.expiry_mode());
        let state = &mut *unit.state;
        let compress = state.settings.rdb_compression;
        let access = (!no_touch && !again).then(|| state.access(now_ms));
        let mut store = Store::new(&mut state.keyspace, &mut state.unit, db, now_ms, mode, access);
        let (mut sent, mut asked, mut payload) = (Vec::new(), 0, Vec::new());
        for name in keys {
            asked += 1;
            let key = store.key(name);
            let entry = if again { store.peek(&key) } else { store.read(&key) };
            match entry {
                Some(entry) => {
                    let ttl_ms = entry.expiry_ms().map_or(0, |at| at.saturating_sub(now_ms).max(1));
                    payload.clear();
                    dump(entry.value(), compress, &mut payload);
                    let mut digits = itoa::Buffer::new();
                    let ttl = digits.format(ttl_ms).as_bytes();
                    let words: &[&[u8]] = &[b"RESTORE", name, ttl, &payload, b"REPLACE"];
                    let count = if replace || again { 5 } else { 4 };
                    write_command(out, &words[..count]);
                }
                None if again => write_command(out, &[b"DEL", name]),
                None => continue,
            }
            sent.push((name, key));
            if out.len() >= bytes_max {
                break;
            }
        }
        let lsn = unit.end().lsn;
        let written = |hash| self.last_write(db, hash);
        let keys = sent
            .into_iter()
            .map(|(name, key)| ExportedKey { key: name.clone(), written: written(key.hash) })
            .collect();
        match self.undurable(lsn) {
            Some(error) => Err(error),
            None => Ok(Export { keys, asked, lsn }),
        }
    }

    /// Deletes keys that have arrived elsewhere, unless they were changed since they departed: those
    /// are added to `changed`.
    ///
    /// # Errors
    /// If the log takes no writes. Then all of them stay.
    pub fn delete_exported(
        &mut self,
        db: usize,
        keys: Vec<ExportedKey>,
        changed: &mut Vec<Box<[u8]>>,
    ) -> Result<Outcome, CommandError> {
        let mut unit = self.unit();
        unit.check_writable()?;
        let hasher = unit.state.keyspace.hasher();
        let (unchanged, others): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|sent| unit.last_write(db, hasher.hash(&sent.key)) == sent.written);
        changed.extend(others.into_iter().map(|sent| sent.key));
        let (now_ms, mode) = (unit.now_ms, unit.expiry_mode());
        debug_assert_ne!(mode, ExpiryMode::Hide, "the caller waits for the end of a pause");
        let state = &mut *unit.state;
        let mut store = Store::new(&mut state.keyspace, &mut state.unit, db, now_ms, mode, None);
        let mut effect: Vec<&[u8]> = vec![b"DEL"];
        for sent in &unchanged {
            // It may be gone: it was named twice, or its time has come.
            if store.delete(&store.key(&sent.key)) {
                effect.push(&sent.key);
            }
        }
        if effect.len() > 1 {
            store.effect(&effect);
        }
        Ok(unit.end())
    }

    /// When a pause of writes ends, as Unix time in ms, if there is one.
    pub fn writes_paused_until_ms(&self) -> Option<i64> {
        self.engine.conditions.pause(self.now_ms).map(|pause| pause.until_ms)
    }

    fn last_write(&self, db: usize, hash: u64) -> (u64, Lsn) {
        (self.state.logs, self.state.keyspace.last_writes.read(LastWrites::slot(hash, db)))
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::words;
    use crate::disk::SimDisk;
    use crate::engine::Engine;
    use crate::engine::recovery_tests::{close, open, options};
    use crate::env::SimClock;
    use crate::resp::Output;
    use crate::session::Client;
    use std::path::Path;

    fn run(engine: &Engine, line: &str) {
        let args = words(line);
        Client::default().execute(&mut engine.lock(), args.as_args(), &mut Output::default());
    }

    #[test]
    fn a_key_that_was_changed_in_another_log_stays() {
        let (disk, clock) = (SimDisk::new(), SimClock::new(1_700_000_000_000));
        let engine = open(&disk, &clock, 0).0;
        run(&engine, "SET key v1");
        let mut sent = Vec::new();
        let names: [Box<[u8]>; 1] = [(*b"key").into()];
        let export = engine.lock().export_keys((0, false), &names, (false, false), 1, &mut sent);
        let export = export.expect("sent");
        let old = engine.lock().end_log().expect("there is one");
        close(&old);
        engine.lock().begin_log(Path::new("d"), options()).expect("begun");
        // Its last write is at the same LSN as before, in the other log.
        run(&engine, "SET key v2");
        assert_eq!(engine.lock().lsn(), export.lsn);
        let mut changed = Vec::new();
        let outcome =
            engine.lock().delete_exported(0, export.keys, &mut changed).expect("no failure");
        assert_eq!((changed, outcome.wrote), (names.to_vec(), false));
    }
}
