//! Writing everything as an RDB file, with the engine held: `SAVE` and the end of a server.

use super::Guard;
use crate::data::Value;
use crate::disk::{Disk, File};
use crate::keyspace::Entry;
use crate::rdb::checksum::Checksum;
use crate::rdb::file::{self, Access, KeyNotHeld};
use crate::rdb::{NotHeld, Target};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The file is written in pieces of this size, or of one key's.
const PIECE_BYTES: usize = 256 << 10;

/// With `incremental_sync`, what was written is synced whenever it exceeds this.
const SYNC_BYTES: u64 = 4 << 20;

/// How a file is to be written.
#[derive(Clone, Copy, Debug)]
pub struct SaveOptions {
    /// For which servers; `None` is version 11, or 12 if there is a hash of which fields expire.
    pub target: Option<Target>,
    /// Whether strings are compressed.
    pub compress: bool,
    /// Whether the file ends with a checksum.
    pub checksum: bool,
    /// Whether it is synced along the way, so that the last sync takes less long.
    pub incremental_sync: bool,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Keys in the file.
    pub keys: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Why nothing was saved. What had the file's name before still has it.
#[derive(Debug, Error)]
pub enum SaveError {
    /// The disk refused.
    #[error("{doing} {path} failed: {source}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The disk's answer.
        source: io::Error,
    },
    /// The version cannot hold a key.
    #[error("{0}; see 'rdb-version'")]
    Key(#[from] KeyNotHeld),
    /// The version cannot hold something else.
    #[error("{0}; see 'rdb-version'")]
    Other(#[from] NotHeld),
}

impl Guard<'_> {
    /// For which servers a file has to be that holds what is there now.
    pub fn rdb_target(&self, wanted: Option<Target>) -> Target {
        wanted.unwrap_or_else(|| {
            let mut databases = self.state.keyspace.databases().map(|(_, database)| database);
            let expires = |entry: Entry<'_>| match entry.value() {
                Value::Hash(hash) => hash.next_expiry_ms().is_some(),
                _ => false,
            };
            match databases.any(|database| database.may_expire() && database.iter().any(expires)) {
                true => Target::V12,
                false => Target::V11,
            }
        })
    }

    /// Writes everything to the file at `path`, which is durable when this returns. The engine is held
    /// meanwhile.
    ///
    /// # Errors
    /// Those of the disk, and if the version cannot hold what is there.
    pub fn save(&mut self, path: &Path, options: SaveOptions) -> Result<Saved, SaveError> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let temporary = dir.join(format!("temp-{}.rdb", std::process::id()));
        let disk = self.engine.machine.disk.clone();
        let saved = self.save_as(&*disk, &temporary, options).and_then(|saved| {
            disk.rename(&temporary, path).map_err(disk_error("renaming", &temporary))?;
            disk.sync_dir(dir).map_err(disk_error("syncing", dir))?;
            Ok(saved)
        });
        if saved.is_err() {
            let _ = disk.remove(&temporary);
        }
        saved
    }

    fn save_as(
        &self,
        disk: &dyn Disk,
        path: &Path,
        options: SaveOptions,
    ) -> Result<Saved, SaveError> {
        let file = disk.create(path).map_err(disk_error("creating", path))?;
        let checksum = options.checksum.then(Checksum::new);
        let (buffer, path, sync) = (Vec::new(), path.to_owned(), options.incremental_sync);
        let mut out = Output { file, path, buffer, bytes: 0, synced: 0, checksum, sync };
        let (target, compress) = (self.rdb_target(options.target), options.compress);
        file::header(target, &mut out.buffer);
        file::aux("mainstay-ver", env!("CARGO_PKG_VERSION").as_bytes(), &mut out.buffer);
        file::aux("redis-bits", usize::BITS.to_string().as_bytes(), &mut out.buffer);
        file::aux("ctime", (self.now_ms / 1000).to_string().as_bytes(), &mut out.buffer);
        for source in self.state.functions.sources() {
            file::function(source, target, compress, &mut out.buffer)?;
        }
        let mut keys = 0;
        for (db, database) in self.state.keyspace.databases() {
            if database.is_empty() {
                continue;
            }
            file::select_database(db as u32, &mut out.buffer);
            let (count, expiring) = (database.len() as u64, database.expiring() as u64);
            file::resize_database(count, expiring, &mut out.buffer);
            for entry in database.iter() {
                let access = match self.state.settings.lfu {
                    true => Access::Frequency(entry.access() as u8),
                    false => Access::None,
                };
                let (key, value, expiry_ms) = (entry.key(), entry.value(), entry.expiry_ms());
                let buffer = &mut out.buffer;
                file::key_record(key, value, expiry_ms, access, target, compress, buffer)?;
                keys += 1;
                if out.buffer.len() >= PIECE_BYTES {
                    out.write()?;
                }
            }
        }
        out.write()?;
        file::footer(out.checksum.take(), &mut out.buffer);
        out.write()?;
        out.sync()?;
        Ok(Saved { keys, bytes: out.bytes })
    }
}

/// A file that is being written.
struct Output {
    file: Arc<dyn File>,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Bytes written.
    bytes: u64,
    /// Bytes that were synced along the way.
    synced: u64,
    checksum: Option<Checksum>,
    sync: bool,
}

impl Output {
    fn write(&mut self) -> Result<(), SaveError> {
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&self.buffer);
        }
        let written = self.file.write_at(&self.buffer, self.bytes);
        written.map_err(disk_error("writing", &self.path))?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        if self.sync && self.bytes - self.synced >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SaveError> {
        self.file.sync().map_err(disk_error("syncing", &self.path))?;
        self.synced = self.bytes;
        Ok(())
    }
}

fn disk_error<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> SaveError + use<'a> {
    move |source| SaveError::Disk { doing, path: path.into(), source }
}
