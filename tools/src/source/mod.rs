//! What a path leads to: which files, and what is in them.
//!
//! Files are opened when a source is, and held: a server may go on, compact and remove what it no longer needs.

mod detect;

pub use detect::is_rdb;

use crate::output::{Failure, Output, Temporary, counted};
use detect::Found;
use mainstay::commands::context::Settings;
use mainstay::data::Limits;
use mainstay::disk::File;
use mainstay::engine::import::{self, Options};
use mainstay::engine::{Engine, Machine, Progress};
use mainstay::keyspace::{Entry, EntryBox};
use mainstay::log::manifest::Manifest;
use mainstay::log::{Lsn, OpenError, Recovery, Until, View};
use mainstay::rdb::file::{FileReader, KeyRecord, Record};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// More databases than any server has; empty ones cost little.
pub const DATABASES: usize = 4096;

/// Progress is noted after so many records.
const PROGRESS_RECORDS: u64 = 1024;

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory of ours.
    DataSet,
    /// One of our segments by itself: commands without what was there before.
    Segment,
    /// One of our bases by itself.
    Base,
    /// An RDB file.
    Rdb,
    /// An append-only file, of one part or several.
    Aof,
}

impl Kind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::DataSet => "Mainstay data directory",
            Self::Segment => "Mainstay segment",
            Self::Base => "Mainstay base",
            Self::Rdb => "RDB file",
            Self::Aof => "append-only file",
        }
    }
}

/// A file of a source.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// What it is in the source: `base`, `segment`, `retired segment`, `part`, …
    pub what: &'static str,
}

/// What was passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Keys with empty values, as servers of old have written them.
    pub empty_keys: u64,
    /// Keys with values of modules.
    pub module_keys: u64,
    /// What modules have written about themselves.
    pub module_records: u64,
    /// Commands of an append-only file that failed, as they had failed in the server.
    pub failed_commands: u64,
    /// Commands of an append-only file that change no data.
    pub ignored_commands: u64,
}

impl Skipped {
    /// Adds what was passed over elsewhere.
    pub fn add(&mut self, other: Self) {
        self.empty_keys += other.empty_keys;
        self.module_keys += other.module_keys;
        self.module_records += other.module_records;
        self.failed_commands += other.failed_commands;
        self.ignored_commands += other.ignored_commands;
    }

    /// In words, what there is of it.
    pub fn named(self) -> impl Iterator<Item = String> {
        let all = [
            (self.empty_keys, "key with an empty value", "keys with empty values"),
            (self.module_keys, "key with a value of a module", "keys with values of modules"),
            (
                self.module_records,
                "record that a module keeps besides values",
                "records that modules keep besides values",
            ),
            (
                self.failed_commands,
                "command that failed, as it had in the server",
                "commands that failed, as they had in the server",
            ),
            (self.ignored_commands, "command that changes no data", "commands that change no data"),
        ];
        let there = all.into_iter().filter(|(number, ..)| *number > 0);
        there.map(|(number, one, many)| counted(number, one, many))
    }

    /// Keys with values of modules, as the subject of a sentence.
    pub fn modules_have_values(self) -> String {
        counted(self.module_keys, "key has a value of a module", "keys have values of modules")
    }
}

/// What there is besides keys.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// The source texts of the libraries of functions.
    pub functions: Vec<Vec<u8>>,
    /// The fields about an RDB file at the beginning.
    pub aux: Vec<(String, String)>,
    /// The LSN up to which a log was read.
    pub lsn: Option<Lsn>,
    /// When the last command that was read had been written, as Unix time in ms.
    pub time_ms: Option<u64>,
    /// What was passed over.
    pub skipped: Skipped,
    /// What people should know.
    pub remarks: Vec<String>,
}

/// What a path leads to.
pub struct Source {
    path: PathBuf,
    kind: Kind,
    found: Found,
    files: Vec<SourceFile>,
    /// The file that begins with an RDB, if one does.
    rdb: Option<Arc<dyn File>>,
    /// Fields about that RDB.
    aux: Vec<(String, String)>,
    /// What came in through a pipe.
    _piped: Option<Temporary>,
}

/// Lets this process open as many files as it may: all that a manifest lists are held at once.
pub fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it is not allowed, a file that cannot be opened is reported.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// The machine on which the tool runs.
pub fn machine() -> Machine {
    Machine::real()
}

/// The directory of the data set of ours that `path` leads to, if it is a directory and there is one, sound or not.
///
/// # Errors
/// Those of the disk.
pub fn data_set_dir(path: &Path) -> Result<Option<PathBuf>, Failure> {
    if path.is_dir() { detect::data_set_in(path) } else { Ok(None) }
}

impl Source {
    /// Finds out what `path` leads to, and holds its files; `-` is the standard input.
    ///
    /// # Errors
    /// If nothing is there, or nothing that is known.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let piped = (path == Path::new("-")).then(detect::spool).transpose()?;
        let there = piped.as_ref().map_or(path, Temporary::path);
        let found = detect::find(there)?;
        let mut source = Self::of(path, found)?;
        if let (Kind::Base | Kind::Segment, [file]) = (source.kind, &mut source.files[..]) {
            // By itself it may have any name.
            file.path = there.to_owned();
        }
        source._piped = piped;
        Ok(source)
    }

    /// The source that was found at `path`.
    fn of(path: &Path, (kind, found): (Kind, Found)) -> Result<Self, Failure> {
        let files = detect::files(&found)?;
        let rdb = match &found {
            // One that is missing is for those to report who need it.
            Found::Ours(view) => view.base().and_then(Result::ok),
            Found::Redis(import::Source::Rdb(path)) => Some(detect::open(path)?),
            Found::Redis(import::Source::Aof(parts))
            | Found::Both(import::Aof { parts, .. }, _) => {
                let first = parts.first().filter(|first| detect::is_rdb(first));
                first.map(|first| detect::open(first)).transpose()?
            }
        };
        let aux = rdb.as_deref().map_or_else(Vec::new, detect::read_aux);
        Ok(Self { path: path.to_owned(), kind, found, files, rdb, aux, _piped: None })
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its files.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The fields about the RDB that it begins with.
    pub fn aux(&self) -> &[(String, String)] {
        &self.aux
    }

    /// Manifest and files of what is ours.
    pub fn view(&self) -> Option<&View> {
        match &self.found {
            Found::Ours(view) => Some(view),
            Found::Redis(_) | Found::Both(..) => None,
        }
    }

    /// Manifest and files of what is ours, to keep.
    pub fn into_view(self) -> Option<View> {
        match self.found {
            Found::Ours(view) => Some(*view),
            Found::Redis(_) | Found::Both(..) => None,
        }
    }

    /// The file that begins with an RDB, if one does.
    pub fn rdb(&self) -> Option<&dyn File> {
        self.rdb.as_deref()
    }

    /// Whether its keys lie one behind the other in an RDB, with nothing behind them that changes them.
    pub fn is_streamed(&self) -> bool {
        match (self.kind, self.view()) {
            (Kind::Rdb, _) => true,
            (Kind::Base, Some(view)) => {
                view.manifest().base.as_ref().is_some_and(|base| base.lsn == base.end_lsn)
            }
            _ => false,
        }
    }

    /// Calls `visit` with each key and its database, keys that have expired included. RDB files and bases are
    /// read record by record; everything else is held in memory.
    ///
    /// # Errors
    /// If the source is damaged or cannot be read, and those of `visit`.
    pub fn keys(
        &self,
        output: &Output,
        visit: &mut dyn FnMut(u32, Entry<'_>) -> Result<(), Failure>,
    ) -> Result<Contents, Failure> {
        if self.is_streamed()
            && let Some(file) = self.rdb()
        {
            return self.stream(file, output, visit);
        }
        let (engine, contents) = self.load(output)?;
        let guard = engine.lock();
        for (db, database) in guard.keyspace().databases() {
            for entry in database.iter() {
                visit(db as u32, entry)?;
            }
        }
        Ok(contents)
    }

    fn stream(
        &self,
        file: &dyn File,
        output: &Output,
        visit: &mut dyn FnMut(u32, Entry<'_>) -> Result<(), Failure>,
    ) -> Result<Contents, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(format_args!("{}: {error}", self.files[0].path.display()))
        };
        let limits = Limits::new(mainstay::data::KeyHasher::new((0, 0)));
        let mut reader = FileReader::open(file, limits, true).map_err(|error| failed(&error))?;
        let bar = output.bar("reading", reader.len_bytes());
        let mut contents = Contents::default();
        let (mut records, mut reached) = (0u64, 0);
        loop {
            let db = reader.database();
            let visited = reader.next(|record| match record {
                Record::Key(KeyRecord { key, value, expiry_ms, .. }) => {
                    visit(db, EntryBox::new(&key, value, expiry_ms, 0).view())
                }
                Record::Function(source) => {
                    contents.functions.push(source.into_owned());
                    Ok(())
                }
                _ => Ok(()),
            });
            match visited.map_err(|error| failed(&error))? {
                Some(visited) => visited?,
                None => break,
            }
            records += 1;
            if records.is_multiple_of(PROGRESS_RECORDS) {
                bar.advance(reader.offset() - reached);
                reached = reader.offset();
            }
        }
        let skipped = reader.skipped();
        contents.skipped.empty_keys = skipped.empty_keys;
        contents.skipped.module_keys = skipped.module_keys;
        contents.skipped.module_records = skipped.module_aux;
        contents.aux = self.aux.clone();
        if let Some(base) = self.view().and_then(|view| view.manifest().base.as_ref()) {
            contents.lsn = Some(base.lsn);
        }
        Ok(contents)
    }

    /// Everything in memory: an engine without a log.
    ///
    /// # Errors
    /// If the source is damaged or cannot be read.
    pub fn load(&self, output: &Output) -> Result<(Engine, Contents), Failure> {
        match &self.found {
            Found::Redis(source) => self.load_redis(output, |options, progress| {
                let settings = Settings::default();
                Engine::import(machine(), source, options, DATABASES, settings, progress)
                    .map_err(Failure::new)
            }),
            Found::Both(aof, rdb) => self.load_redis(output, |options, progress| {
                let (aof, rdb, settings) = (aof.clone(), rdb.clone(), Settings::default());
                Engine::import_both(machine(), aof, rdb, options, DATABASES, settings, progress)
                    .map_err(|error| {
                        Failure::new(format_args!("{error}; name the one that is to be read"))
                    })
            }),
            Found::Ours(view) if self.kind == Kind::Segment => Err(Failure::new(format_args!(
                "{}: a segment by itself has commands, but not the keys that they change: LSN {} and later \
                 (replay --print shows them)",
                self.path.display(),
                view.manifest().segments[0].first_lsn
            ))),
            Found::Ours(view) => {
                let (engine, mut contents) =
                    load_history(view, view.manifest(), Until::END, output)?;
                contents.aux = self.aux.clone();
                Ok((engine, contents))
            }
        }
    }

    fn load_redis(
        &self,
        output: &Output,
        import: impl FnOnce(Options, &Progress) -> Result<(Engine, import::Report), Failure>,
    ) -> Result<(Engine, Contents), Failure> {
        let options = Options { load_truncated: true, skip_modules: true, keep_expired: true };
        let progress = Arc::new(Progress::default());
        let following = output.bar("loading", 0).follow(progress.clone());
        let (engine, report) = import(options, &progress)?;
        drop(following);
        let mut contents = Contents {
            functions: engine.lock().functions().sources().map(<[u8]>::to_vec).collect(),
            aux: self.aux.clone(),
            skipped: Skipped {
                empty_keys: report.empty,
                module_keys: report.modules,
                module_records: report.module_records,
                failed_commands: report.failed,
                ignored_commands: report.ignored,
            },
            ..Contents::default()
        };
        if let Some(cut) = &report.cut {
            contents.remarks.push(format!(
                "{}, offset {}: {}: passed over its last {}",
                cut.path.display(),
                cut.offset,
                cut.cause,
                counted(cut.bytes, "byte", "bytes")
            ));
        }
        for (path, offset, reason) in &report.failures {
            contents.remarks.push(format!("{}, offset {offset}: {reason}", path.display()));
        }
        Ok((engine, contents))
    }
}

/// What a data set held at `until`, in memory. `history` is one of [`View::histories`].
///
/// # Errors
/// If something on the way there is damaged, missing or cannot be read.
pub fn load_history(
    view: &View,
    history: &Manifest,
    until: Until,
    output: &Output,
) -> Result<(Engine, Contents), Failure> {
    let (engine, recovery) =
        execute(view, history, until, "loading", output).map_err(Failure::new)?;
    let contents = Contents {
        functions: engine.lock().functions().sources().map(<[u8]>::to_vec).collect(),
        lsn: Some(recovery.lsn),
        time_ms: Some(recovery.time_ms).filter(|&time_ms| time_ms > 0),
        remarks: remarks(view, &recovery),
        ..Contents::default()
    };
    Ok((engine, contents))
}

/// Loads what a data set held at `until` as a start would. `history` is one of [`View::histories`],
/// and `doing` is what the bar shows.
///
/// # Errors
/// If something on the way there is damaged, missing or cannot be replayed.
pub fn execute(
    view: &View,
    history: &Manifest,
    until: Until,
    doing: &'static str,
    output: &Output,
) -> Result<(Engine, Recovery), OpenError> {
    let progress = Arc::new(Progress::default());
    let following = output.bar(doing, 0).follow(progress.clone());
    let settings = Settings::default();
    let done = Engine::read(machine(), view, history, until, DATABASES, settings, &progress);
    drop(following);
    done
}

/// What people should know of how a log was read.
fn remarks(view: &View, recovery: &Recovery) -> Vec<String> {
    let mut remarks = Vec::new();
    if view.is_live() {
        remarks.push(format!(
            "a server has {} open: read up to LSN {} at most, below which everything is known to be durable",
            view.dir().display(),
            view.end().lsn
        ));
    }
    if let Some(cut) = &recovery.cut {
        remarks.push(format!(
            "{}, offset {}: {}: passed over the last {}, of an unfinished write",
            cut.file,
            cut.offset,
            cut.damage,
            counted(cut.bytes, "byte", "bytes")
        ));
    }
    remarks.extend(lost_remarks(recovery));
    remarks
}

/// What an earlier repair could not save.
pub fn lost_remarks(recovery: &Recovery) -> Vec<String> {
    let lost = recovery.lost.iter();
    let mut remarks: Vec<_> =
        lost.map(|lost| format!("an earlier repair could not save {lost}")).collect();
    if recovery.passed_over > 0 {
        let (one, many) = ("command needs what is lost", "commands need what is lost");
        let commands = counted(recovery.passed_over, one, many);
        remarks.push(format!("passed over: {commands}"));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output;
    use std::fs;

    /// A server that goes on removes the files of the manifest before.
    #[test]
    fn what_is_removed_after_it_was_found_is_still_read() {
        let home = tempfile::tempdir().unwrap();
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/v1/closed");
        for entry in fs::read_dir(golden).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), home.path().join(entry.file_name())).unwrap();
        }
        let found = detect::find(home.path()).unwrap();
        fs::remove_dir_all(home.path()).unwrap();
        let source = Source::of(home.path(), found).unwrap();
        assert!(source.aux().iter().any(|(name, _)| name == "mainstay-ver"));
        assert!(source.rdb().is_some());
        let output = Output::new(&output::Arguments::default());
        let (engine, contents) = source.load(&output).unwrap();
        assert!(engine.lock().keyspace().databases().any(|(_, database)| !database.is_empty()));
        assert_eq!(contents.aux, source.aux());
    }
}
