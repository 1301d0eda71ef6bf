//! What an import did, or why it was not done.

use super::super::replay::Refusal;
use crate::env::Utc;
use crate::rdb::file::FileError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// So many failed commands are kept; beyond, they are only counted.
const FAILED_MAX: usize = 10;

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The files that were read, with their sizes in bytes.
    pub files: Vec<(PathBuf, u64)>,
    /// The RDB file that lies beside the append-only file and was found to hold the same.
    pub twin: Option<PathBuf>,
    /// What the RDB says wrote it.
    pub written_by: Option<String>,
    /// Keys that were read from an RDB.
    pub loaded: u64,
    /// Keys that are there now.
    pub keys: u64,
    /// Libraries of functions that are there now.
    pub functions: u64,
    /// Commands of append-only files that were carried out.
    pub commands: u64,
    /// Commands that change no data and were passed over.
    pub ignored: u64,
    /// Keys of an RDB file that had expired and were dropped.
    pub expired: u64,
    /// Keys with empty values that were dropped.
    pub empty: u64,
    /// Keys with values of modules that were dropped.
    pub modules: u64,
    /// What modules had written about themselves and was passed over.
    pub module_records: u64,
    /// What an append-only file ended in, if not in a whole command.
    pub cut: Option<Cut>,
    /// How many commands failed.
    pub failed: u64,
    /// The first of them: file, offset, what was wrong.
    pub failures: Vec<(PathBuf, u64, String)>,
}

impl Report {
    pub(super) fn fail(&mut self, path: &Path, offset: u64, refusal: &Refusal) {
        self.failed += 1;
        if self.failures.len() < FAILED_MAX {
            self.failures.push((path.into(), offset, refusal.to_string()));
        }
    }
}

/// An append-only file ends in something that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub path: PathBuf,
    /// Where what was passed over begins.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// What it is.
    pub cause: CutCause,
}

/// What an append-only file may end in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CutCause {
    /// The last command is not whole.
    #[error("the file ends within a command")]
    Command,
    /// The last transaction is not whole.
    #[error("the file ends within a transaction (MULTI without EXEC)")]
    Transaction,
}

/// Why data were not imported. Nothing on disk was changed.
#[derive(Debug, Error)]
pub enum ImportError {
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
    /// There are two candidates, and they hold different data.
    #[error(
        "{aof} (last changed {aof_time}) and {rdb} (last changed {rdb_time}) hold different data: {difference}"
    )]
    Different {
        /// The append-only file, or its manifest.
        aof: PathBuf,
        /// When one of its files was last changed.
        aof_time: FileTime,
        /// The RDB file.
        rdb: PathBuf,
        /// When it was last changed.
        rdb_time: FileTime,
        /// What is different.
        difference: Difference,
    },
    /// The manifest of an append-only file cannot be used.
    #[error("{path}, line {line}: {reason}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// There are parts of an append-only file, but nothing says which.
    #[error("{dir} holds {file}, but no manifest {manifest}: refusing to start without those data")]
    ManifestMissing {
        /// The directory.
        dir: PathBuf,
        /// One of the parts.
        file: String,
        /// The name that the manifest should have.
        manifest: String,
    },
    /// A part that the manifest lists is not there.
    #[error("{path} is missing, but {manifest} lists it")]
    FileMissing {
        /// The part.
        path: PathBuf,
        /// The manifest.
        manifest: PathBuf,
    },
    /// An RDB is damaged, or holds what cannot be kept.
    #[error("{path}: {source}")]
    Rdb {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: FileError,
    },
    /// The bytes are not those of an append-only file.
    #[error("{path}, offset {offset}: bad format of an append-only file: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Where the command begins that cannot be read.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A command cannot be carried out.
    #[error("{path}, offset {offset}: {reason}")]
    Command {
        /// The file.
        path: PathBuf,
        /// Where the command begins.
        offset: u64,
        /// Why.
        reason: String,
    },
    /// The file's end is missing.
    #[error("{path}, offset {offset}: {cause}{advice}", advice = truncation_advice(*last))]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where what is not whole begins.
        offset: u64,
        /// What it is.
        cause: CutCause,
        /// Whether the file is the last part, of which an unfinished write may leave a piece.
        last: bool,
    },
}

impl ImportError {
    /// The same that does not name the key that was being read, for a log that shows no user data.
    pub fn without_key(mut self) -> Self {
        if let Self::Rdb { source, .. } = &mut self {
            source.key = None;
        }
        self
    }
}

fn truncation_advice(last: bool) -> &'static str {
    if last {
        ". With 'aof-load-truncated yes' it is passed over"
    } else {
        ", and it is not the last part of the append-only file"
    }
}

pub(super) fn disk_error<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> ImportError + use<'a> {
    move |source| ImportError::Disk { doing, path: path.into(), source }
}

/// When a file was last changed, in ns of Unix time; shown as a date and a time of day in UTC, to
/// the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileTime(pub i64);

impl fmt::Display for FileTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} UTC", Utc::of_unix_s(self.0.div_euclid(1_000_000_000)))
    }
}

/// In what an append-only file and an RDB file differ. Keys that have expired do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Keys that only the append-only file has.
    pub aof_only: u64,
    /// Keys that only the RDB file has.
    pub rdb_only: u64,
    /// Keys that both have, with another value or another time to expire.
    pub changed: u64,
    /// Whether their libraries of functions differ.
    pub functions: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { aof_only, rdb_only, changed, functions } = self;
        let functions = if *functions { "; and their libraries of functions differ" } else { "" };
        write!(
            f,
            "of their keys, only the former has {aof_only}, only the latter {rdb_only}, and both have {changed} with \
             other values or times to expire{functions}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_to_the_second() {
        let shown = |seconds: i64| FileTime(seconds * 1_000_000_000 + 5).to_string();
        assert_eq!(shown(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(shown(951_827_696), "2000-02-29 12:34:56 UTC");
        assert_eq!(shown(1_735_689_599), "2024-12-31 23:59:59 UTC");
        assert_eq!(shown(-1), "1969-12-31 23:59:59 UTC");
    }
}
