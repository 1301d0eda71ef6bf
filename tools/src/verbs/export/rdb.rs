//! RDB files, key by key.

use super::keys::Keys;
use crate::output::{Failure, escaped, now_ms};
use mainstay::data::Value;
use mainstay::data::stream::StreamId;
use mainstay::keyspace::Entry;
use mainstay::rdb::Target;
use mainstay::rdb::checksum::Checksum;
use mainstay::rdb::file::{self, Access};
use std::io::Write;

/// What was encoded is written once it is longer.
const BUFFER_BYTES: usize = 1 << 20;

/// The default RDB version for these keys: `oldest`, or the newest if a hash has expiring fields.
pub(super) fn target_for(keys: &mut Keys<'_>, oldest: Target) -> Result<Target, Failure> {
    let expires = keys.any(&mut |entry| match entry.value() {
        Value::Hash(hash) => hash.next_expiry_ms().is_some(),
        _ => false,
    })?;
    Ok(if expires { Target::V12 } else { oldest })
}

/// Whether a value is more than what a reader of such a file makes of it.
pub(super) fn is_lessened(value: Value<'_>, target: Target) -> bool {
    let Value::Stream(stream) = value else { return false };
    if target > Target::V9 {
        return false;
    }
    let counters = stream.entries.counters();
    counters.entries_added.get() != stream.entries.len()
        || counters.max_deleted_id != StreamId::MIN
        || stream.groups.iter().any(|(_, group)| group.entries_read.is_some())
}

/// Writes a file.
pub(super) struct Writer<'a> {
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
    checksum: Checksum,
    target: Target,
    db: Option<u32>,
}

impl<'a> Writer<'a> {
    /// Begins one; `is_base` if it is what an append-only file begins with.
    pub(super) fn new(out: &'a mut dyn Write, target: Target, is_base: bool) -> Self {
        let mut buffer = Vec::new();
        file::head(target, now_ms(), is_base, &mut buffer);
        Self { out, buffer, checksum: Checksum::new(), target, db: None }
    }

    /// Writes a key.
    pub(super) fn key(&mut self, db: u32, entry: Entry<'_>) -> Result<(), Failure> {
        if self.db != Some(db) {
            file::select_database(db, &mut self.buffer);
            self.db = Some(db);
        }
        let (key, value, expiry_ms) = (entry.key(), entry.value(), entry.expiry_ms());
        let buffer = &mut self.buffer;
        file::key_record(key, value, expiry_ms, Access::None, self.target, true, buffer).map_err(
            |refused| {
                let advice = "another --rdb-version can";
                Failure::new(format_args!("key '{}': {}; {advice}", escaped(key), refused.reason))
            },
        )?;
        if self.buffer.len() > BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes a library of functions, which readers accept anywhere among the keys.
    pub(super) fn function(&mut self, source: &[u8]) -> Result<(), Failure> {
        file::function(source, self.target, true, &mut self.buffer).map_err(Failure::new)
    }

    /// Ends the file.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        self.flush()?;
        file::footer(Some(self.checksum), &mut self.buffer);
        Ok(self.out.write_all(&self.buffer)?)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.checksum.update(&self.buffer);
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}
