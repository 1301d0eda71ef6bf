//! RDB files, and RDB at the beginning of an append-only file.

use super::report::ImportError;
use super::{Importer, Input};
use crate::keyspace::EntryBox;
use crate::rdb::file::{FileError, FileReader, KeyRecord, Record};

/// The progress is noted after so many records.
const PROGRESS_RECORDS: u64 = 1024;

/// What the RDB is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It is the whole file: keys that have expired are dropped, as Redis does.
    Whole,
    /// Commands may follow that count on keys which have expired since.
    Preamble,
}

/// What is wrong with a record that can be read.
enum Fault {
    /// Its key has come before.
    Duplicate(Box<[u8]>),
    /// Anything else.
    Other(String),
}

impl Importer<'_> {
    /// Loads an RDB. Gives the offset behind it.
    pub(super) fn rdb(&mut self, input: &Input, role: Role) -> Result<u64, ImportError> {
        let refused = |source: FileError| ImportError::Rdb { path: input.path.clone(), source };
        let limits = self.state.settings.limits.clone();
        let skip_modules = self.options.skip_modules;
        let mut reader = FileReader::open(&*input.file, limits, skip_modules).map_err(refused)?;
        let mut count = 0u64;
        loop {
            let (offset, db) = (reader.offset(), reader.database());
            let visited = reader.next(|record| self.record(record, db as usize, role));
            match visited.map_err(refused)? {
                None => break,
                Some(Ok(())) => {}
                Some(Err(Fault::Duplicate(key))) => return Err(refused(reader.duplicate(&key))),
                Some(Err(Fault::Other(reason))) => {
                    let path = input.path.clone();
                    return Err(ImportError::Command { path, offset, reason });
                }
            }
            count += 1;
            if count.is_multiple_of(PROGRESS_RECORDS) {
                self.reached(reader.offset());
            }
        }
        let skipped = reader.skipped();
        self.report.empty += skipped.empty_keys;
        self.report.modules += skipped.module_keys;
        self.report.module_records += skipped.module_aux;
        self.reached(reader.offset());
        Ok(reader.offset())
    }

    fn record(&mut self, record: Record<'_>, db: usize, role: Role) -> Result<(), Fault> {
        match record {
            Record::Key(key) => return self.key(key, db, role),
            Record::SelectDatabase(db) => {
                let count = self.state.keyspace.database_count();
                if db as usize >= count {
                    let text = format!("database {db} is beyond the {count} of 'databases'");
                    return Err(Fault::Other(text));
                }
            }
            Record::Function(source) => {
                let loaded = self.state.functions.load(&source, false);
                loaded.map_err(|error| Fault::Other(format!("a function library: {error}")))?;
            }
            Record::Aux { name, value } => {
                let server = match &name[..] {
                    b"redis-ver" => "Redis",
                    b"valkey-ver" => "Valkey",
                    b"mainstay-ver" => "Mainstay",
                    _ => return Ok(()),
                };
                let version = value.escape_ascii();
                self.report.written_by.get_or_insert_with(|| format!("{server} {version}"));
            }
            _ => {}
        }
        Ok(())
    }

    fn key(&mut self, record: KeyRecord<'_>, db: usize, role: Role) -> Result<(), Fault> {
        let expired = record.expiry_ms.is_some_and(|at| at < self.now_ms);
        if expired && role == Role::Whole && !self.options.keep_expired {
            self.report.expired += 1;
            return Ok(());
        }
        let KeyRecord { key, value, expiry_ms, idle_s, frequency } = record;
        let access = self.state.access(self.now_ms).restored(idle_s, frequency);
        let keyspace = &mut self.state.keyspace;
        let hash = keyspace.hasher().hash(&key);
        let entry = EntryBox::new(&key, value, expiry_ms, access);
        if !keyspace.database_mut(db).insert_new(hash, entry) {
            return Err(Fault::Duplicate(key.into_owned().into()));
        }
        self.report.loaded += 1;
        Ok(())
    }
}
