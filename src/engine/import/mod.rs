//! Starting on the directory of a Redis: its data are read into memory, its files are left as they are.
//!
//! | file | holds |
//! |---|---|
//! | `detect` | which files of a directory hold the data |
//! | `both` | where there are two candidates, whether they hold the same |
//! | `manifest` | the manifest of an append-only file in several parts |
//! | `reader` | commands out of an append-only file |
//! | `aof` | carrying them out |
//! | `rdb` | RDB files, and RDB at the beginning of an append-only file |
//! | `report` | what was done, and why not |
//!
//! What a load has read is served only once all of it is read. To keep it, the caller begins a log
//! ([`super::Guard::begin_log`]); until that log's manifest is there, a start begins anew.

mod aof;
mod both;
mod detect;
mod manifest;
mod rdb;
pub mod reader;
mod report;
#[cfg(test)]
mod tests;

pub use detect::{Aof, Names, Source, find_aof, find_rdb};
pub use report::{Cut, CutCause, Difference, ImportError, Report};

use super::progress::Progress;
use super::replay;
use super::{Engine, Machine, State};
use crate::commands::{DATA, Settings};
use crate::disk::{Disk, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How an import treats what is not as it should be.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `aof-load-truncated`: what an unfinished write left at the end of an append-only file is passed
    /// over; otherwise it is refused.
    pub load_truncated: bool,
    /// `import-skip-modules`: values of modules are dropped and counted; otherwise they are refused.
    pub skip_modules: bool,
    /// Keys of an RDB file that have expired are loaded like others; otherwise they are dropped and counted, as Redis
    /// does.
    pub keep_expired: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { load_truncated: true, skip_modules: false, keep_expired: false }
    }
}

/// What the parts of an import share.
struct Importer<'a> {
    state: &'a mut State,
    options: Options,
    progress: &'a Progress,
    /// Bytes of the files before the one at hand.
    bytes_before: u64,
    now_ms: i64,
    report: Report,
}

/// A file to be read.
struct Input {
    path: PathBuf,
    file: Arc<dyn File>,
    len: u64,
}

impl Input {
    fn open(disk: &dyn Disk, path: &Path) -> Result<Self, ImportError> {
        let file = disk.open_to_read(path).map_err(report::disk_error("opening", path))?;
        let len = file.len().map_err(report::disk_error("measuring", path))?;
        Ok(Self { path: path.into(), file, len })
    }

    fn disk_error(&self, source: std::io::Error) -> ImportError {
        report::disk_error("reading", &self.path)(source)
    }
}

impl Importer<'_> {
    fn source(&mut self, disk: &dyn Disk, source: &Source) -> Result<(), ImportError> {
        let inputs = inputs_of(disk, source)?;
        for (index, input) in inputs.iter().enumerate() {
            match source {
                Source::Rdb(_) => {
                    self.rdb(input, rdb::Role::Whole)?;
                }
                Source::Aof(_) => self.aof(input, index + 1 == inputs.len())?,
            }
            self.bytes_before += input.len;
            self.reached(0);
            self.report.files.push((input.path.clone(), input.len));
        }
        let databases = self.state.keyspace.databases();
        self.report.keys = databases.map(|(_, database)| database.len() as u64).sum();
        self.report.functions = self.state.functions.len() as u64;
        Ok(())
    }

    /// Notes how far the file at hand was read.
    fn reached(&self, offset: u64) {
        self.progress.reached(self.bytes_before + offset);
    }
}

/// The files of `source`, opened.
fn inputs_of(disk: &dyn Disk, source: &Source) -> Result<Vec<Input>, ImportError> {
    let paths = match source {
        Source::Rdb(path) => std::slice::from_ref(path),
        Source::Aof(paths) => paths,
    };
    paths.iter().map(|path| Input::open(disk, path)).collect()
}

/// How many bytes there are to read.
fn bytes_of(disk: &dyn Disk, source: &Source) -> Result<u64, ImportError> {
    Ok(inputs_of(disk, source)?.iter().map(|input| input.len).sum())
}

/// Loads what the files hold into a keyspace that is empty. The progress, which has begun, goes on.
pub(super) fn load_into(
    state: &mut State,
    disk: &dyn Disk,
    source: &Source,
    options: Options,
    now_ms: i64,
    progress: &Progress,
) -> Result<Report, ImportError> {
    let report = Report::default();
    let bytes_before = progress.loaded_bytes();
    let mut importer = Importer { state, options, progress, bytes_before, now_ms, report };
    importer.source(disk, source)?;
    Ok(importer.report)
}

/// Commands of an append-only file that are not carried out as others are.
const KNOWN: [&str; 3] = ["MULTI", "EXEC", "FUNCTION"];

/// Reads the commands of an append-only file from `offset` on without carrying them out. Gives where it ends otherwise than
/// behind a whole command or transaction: the offset, what is wrong, and whether the file just ends there.
///
/// # Errors
/// Those of the disk.
pub fn check_commands(
    file: Arc<dyn File>,
    len: u64,
    offset: u64,
) -> std::io::Result<Option<(u64, String, bool)>> {
    let mut reader = reader::CommandReader::new(file, len, offset);
    let mut transaction = None;
    loop {
        let step = match reader.next() {
            Ok(step) => step,
            Err(reader::ReadError::Disk(error)) => return Err(error),
            Err(reader::ReadError::Format { offset, reason }) => {
                return Ok(Some((offset, reason, false)));
            }
        };
        let cut = |offset, cause: CutCause| Some((offset, cause.to_string(), true));
        match (step, transaction) {
            (reader::Step::End, None) => return Ok(None),
            (reader::Step::End | reader::Step::Cut { .. }, Some(begin)) => {
                return Ok(cut(begin, CutCause::Transaction));
            }
            (reader::Step::Cut { offset }, None) => return Ok(cut(offset, CutCause::Command)),
            (reader::Step::Command { offset }, _) => {
                let args = reader.args();
                // What an import would refuse.
                let is_known =
                    replay::is_one_of(args, &KNOWN) || replay::is_one_of(args, &aof::IGNORED);
                if let Err(error) = DATA.resolve(args)
                    && !is_known
                {
                    return Ok(Some((offset, error.to_string(), false)));
                }
                let name = args.at(0);
                if name.eq_ignore_ascii_case(b"MULTI") {
                    transaction = transaction.or(Some(offset));
                } else if name.eq_ignore_ascii_case(b"EXEC") {
                    transaction = None;
                }
            }
        }
    }
}

impl Engine {
    /// An engine without a log that holds what the files of a Redis hold. They are only read.
    ///
    /// # Errors
    /// If a file cannot be read, is damaged, or holds what cannot be kept.
    pub fn import(
        machine: Machine,
        source: &Source,
        options: Options,
        databases: usize,
        settings: Settings,
        progress: &Progress,
    ) -> Result<(Self, Report), ImportError> {
        let mut state = State::new(&machine, databases, settings);
        let now_ms = machine.clock.unix_ms();
        progress.begin(bytes_of(&*machine.disk, source)?);
        let report = load_into(&mut state, &*machine.disk, source, options, now_ms, progress)?;
        // Replay counts hits and misses, which are not a client's.
        state.keyspace.stats = Default::default();
        Ok((Self::new(state, None, machine), report))
    }
}
