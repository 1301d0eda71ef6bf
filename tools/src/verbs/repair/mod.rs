//! `repair`: makes a sound copy of what can be saved.
//!
//! | file | does |
//! |---|---|
//! | `base.rs` | which of a base's blocks are sound, and another base to begin with if some are not |
//! | `unverified.rs` | what still decodes of a base's blocks that are not sound, if that is wanted |
//! | `frames.rs` | all sound frames in order, from wherever they are |
//! | `start.rs` | whether a server starts with the copy |
//! | `report.rs` | what was saved and what is lost |

mod base;
mod frames;
mod report;
mod start;
mod unverified;

pub use report::LostBlock;

use crate::output::{self, End, Failure, Output, Place, Temporary, create_dir};
use crate::source::{self, Source};
use crate::verbs::verify;
use base::Begin;
use clap::Args;
use mainstay::disk::{Disk, Lock, RealDisk};
use mainstay::engine::DIR_NAME;
use mainstay::env::system_random;
use mainstay::log::segment::{NameKind, parse_name};
use mainstay::log::{LOCK_NAME, OpenError, SalvageWriter, View};
use report::Report;
use start::{Start, Unit};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes a sound copy of what can be saved.
///
/// All sound frames, in order; where some are missing, the copy says so: a server that starts with it logs what is lost and shows
/// it in INFO. What a damaged base or frame held is taken from retired files if they have it. Otherwise a damaged block loses its keys
/// and a damaged frame its commands, and nothing else. Retired files are not copied.
///
/// The copy is read back, and executed as a server does it that starts with it. A command that
/// cannot be executed is lost, with its transaction.
#[derive(Args)]
#[command(after_help = "\
Examples:
  mainstay-tool repair /var/lib/mainstay --dry-run
  mainstay-tool repair /var/lib/mainstay --out /var/lib/repaired
  mainstay-tool repair /var/lib/mainstay --in-place
  mainstay-tool repair /var/lib/mainstay --out /var/lib/repaired --unverified

Exit codes:
  0  everything was saved
  1  something is lost or unverified, or may be lost: the report says what
  2  nothing was saved, or a newer version wrote it

With --in-place the damaged directory is kept beside the repaired one, as
NAME.damaged-TIME.

Memory: as much as a server with the data, to execute the copy. With --dry-run, which
does not: a few MiB and the longest value; where something is damaged, also the retired
segments that may hold it, whole if they are compressed.")]
pub struct Arguments {
    /// A data directory, or a base or segment by itself.
    path: PathBuf,
    /// Where the copy goes: a directory that is new or empty.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["in_place", "dry_run"])]
    out: Option<PathBuf>,
    /// Puts the copy in the place of the damaged directory, which is kept under another name.
    #[arg(long, conflicts_with = "out")]
    in_place: bool,
    /// Stops at the first gap: what is saved is what there was at a moment.
    #[arg(long)]
    prefix: bool,
    /// Saves also what still decodes of a block of the base whose checksum is wrong. The report
    /// lists these blocks as unverified: names and values of their keys may be others than they
    /// were. A key that a sound block has as well stays what it is there.
    #[arg(long, conflicts_with = "prefix")]
    unverified: bool,
    /// Says what would be saved, and writes nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Does it.
pub fn run(arguments: &Arguments, output: &Output) -> Result<End, Failure> {
    let mut report = Report::default();
    // What a link leads to is repaired where it is.
    let found = source::data_set_dir(&arguments.path)?;
    let found =
        found.map(|dir| fs::canonicalize(&dir).map_err(Failure::doing("finding", dir.display())));
    let found = found.transpose()?;
    let lock = if arguments.in_place { Some(take_lock(found.as_deref())?) } else { None };
    let view = match &found {
        Some(dir) => match open(dir, lock.is_some(), &mut report)? {
            Some(view) => view,
            None => {
                report.is_unreadable = true;
                report.show(output)?;
                return Ok(End::Worst);
            }
        },
        None => open_file(&arguments.path)?,
    };
    verify::refuse_unopened(&view)?;
    let target = Target::of(arguments, found.as_deref(), lock)?;
    let mut refused: Vec<Unit> = Vec::new();
    let mut report = loop {
        let mut report = report.clone();
        save(arguments, &view, target.dir(), &refused, output, &mut report)?;
        if report.is_nothing() {
            report.show(output)?;
            return Ok(End::Worst);
        }
        let Some(dir) = target.dir() else {
            report.remark("whether a server starts with it was not tried".to_owned());
            break report;
        };
        match start::try_copy(dir, &refused, output, &mut report)? {
            Start::Good => break report,
            Start::Refused(unit) => refused.push(unit),
        }
        start::clear(dir)?;
    };
    target.fill(arguments, &mut report)?;
    report.show(output)?;
    Ok(if report.is_lossy() { End::Bad } else { End::Good })
}

/// Writes what can be saved to `dir`, if that is wanted, but for the units that a start refused.
fn save(
    arguments: &Arguments,
    view: &View,
    dir: Option<&Path>,
    refused: &[Unit],
    output: &Output,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut writer = dir.map(|dir| {
        let manifest = view.manifest();
        let created_ms = output::now_ms().max(0) as u64;
        let identity = (manifest.dataset, &manifest.timelines[..]);
        SalvageWriter::new(Arc::new(RealDisk), dir, identity, system_random(), created_ms)
    });
    let begin = Begin::choose(view, arguments, output, report)?;
    begin.write(writer.as_mut(), arguments, output, report)?;
    let stopped = arguments.prefix && report.is_lossy();
    if !stopped {
        let wanted = frames::Wanted { is_prefix: arguments.prefix, refused };
        frames::save(view, &begin, writer.as_mut(), wanted, output, report)?;
    }
    if let (Some(writer), Some(dir)) = (writer, dir) {
        writer.finish().map_err(Failure::doing("writing", dir.display()))?;
    }
    Ok(())
}

/// Takes the lock of the data set in `dir`, before anything is looked at, and leaves in it what it says.
fn take_lock(dir: Option<&Path>) -> Result<Box<dyn Lock>, Failure> {
    let dir = dir.ok_or_else(|| Failure::new("--in-place takes a data directory, not a file"))?;
    let path = dir.join(LOCK_NAME);
    let lock = RealDisk.lock(&path, "").map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            Failure::new(format_args!("{}: a server has it open", dir.display()))
        }
        _ => Failure::doing("locking", path.display())(error),
    })?;
    let said = lock.previous_content().to_owned();
    lock.set_content(&said).map_err(Failure::doing("writing", path.display()))?;
    Ok(lock)
}

/// Holds the files in `dir`; `None` if there is none whose header can be read.
fn open(dir: &Path, is_locked: bool, report: &mut Report) -> Result<Option<View>, Failure> {
    let opened = match is_locked {
        true => View::open_locked(&RealDisk, dir),
        false => View::open(&RealDisk, dir),
    };
    match opened {
        Ok(mut view) => {
            view.find_displaced(&RealDisk).map_err(Failure::new)?;
            displaced(&view, report);
            Ok(Some(view))
        }
        Err(OpenError::Manifest { source, path }) => {
            verify::refuse_manifest(&path, &source)?;
            report.remark(format!("{source}: the list of files was rebuilt from their headers"));
            match View::rebuilt(&RealDisk, dir) {
                Ok(view) => {
                    report.is_rebuilt = true;
                    displaced(&view, report);
                    without_a_base(&view, report);
                    Ok(Some(view))
                }
                Err(OpenError::Manifest { .. }) => {
                    report.remark("no file has a header that can be read".to_owned());
                    Ok(None)
                }
                Err(error) => Err(Failure::new(error)),
            }
        }
        Err(error) => Err(Failure::new(error)),
    }
}

/// Says which files lie under other names than their own.
fn displaced(view: &View, report: &mut Report) {
    for (name, place) in view.displaced() {
        report.remark(format!("{name} lies under the name {place}, as its header tells"));
    }
}

/// Says what is not known about the base where the manifest was rebuilt and no file is one.
fn without_a_base(view: &View, report: &mut Report) {
    let manifest = view.manifest();
    let first = manifest.segments.first();
    if manifest.base.is_some() || first.is_some_and(|segment| segment.first_lsn > 0) {
        return;
    }
    // One with which a log begins lies before the first segment; a later one is a rewrite that did not come to its end.
    let before = first.map_or(u64::MAX, |segment| segment.sequence);
    let unknown = view.rebuild_report().into_iter().flat_map(|rebuilt| &rebuilt.unknown);
    for name in unknown {
        if matches!(parse_name(name), Some((NameKind::Base, sequence)) if sequence < before) {
            report.lost_blocks.push(LostBlock {
                file: name.clone(),
                offset: 0,
                bytes: fs::metadata(view.dir().join(name)).map_or(0, |file| file.len()),
                db: 0,
                keys: None,
                names: Vec::new(),
            });
        }
    }
    if report.lost_blocks.is_empty() {
        report.remark("there is no base; it is unknown whether there was one".to_owned());
    }
}

/// Holds a base or segment by itself.
fn open_file(path: &Path) -> Result<View, Failure> {
    let source = Source::open(path)?;
    let kind = source.kind().name();
    source.into_view().ok_or_else(|| {
        Failure::new(format_args!(
            "{}: only Mainstay's own files can be repaired, and this is an {kind}; 'verify' says where it is \
             damaged",
            path.display()
        ))
    })
}

/// Gives a directory and the files in it the owner and the modes of another one.
fn belong_as(copy: &Path, original: &Path) -> Result<(), Failure> {
    let of = |path: &Path| fs::metadata(path).map_err(Failure::doing("looking at", path.display()));
    let give = |path: &Path, model: &fs::Metadata| {
        let given = chown(path, Some(model.uid()), Some(model.gid()))
            .and_then(|()| fs::set_permissions(path, model.permissions()));
        given.map_err(Failure::doing("changing the owner of", path.display()))
    };
    let files = |dir: &Path| {
        let listed = RealDisk.list(dir).map_err(Failure::doing("listing", dir.display()))?;
        Ok::<_, Failure>(listed.into_iter().map(|name| dir.join(name)).collect::<Vec<_>>())
    };
    if let Some(model) = files(original)?.first() {
        let model = of(model)?;
        files(copy)?.iter().try_for_each(|path| give(path, &model))?;
    }
    give(copy, &of(original)?)
}

/// Where the copy goes.
enum Target {
    /// Nowhere: only the report is wanted.
    Nowhere,
    /// To a new directory.
    Out(Place),
    /// In place of the damaged data set, which no process may have open.
    InPlace { temporary: Temporary, dir: PathBuf, _lock: Box<dyn Lock> },
}

impl Target {
    fn of(
        arguments: &Arguments,
        found: Option<&Path>,
        lock: Option<Box<dyn Lock>>,
    ) -> Result<Self, Failure> {
        if arguments.dry_run {
            return Ok(Self::Nowhere);
        }
        if let (Some(lock), Some(dir)) = (lock, found) {
            let temporary = Temporary::beside(dir)?;
            let copy = temporary.path();
            create_dir(copy).map_err(Failure::doing("creating", copy.display()))?;
            return Ok(Self::InPlace { temporary, dir: dir.to_owned(), _lock: lock });
        }
        let out = arguments.out.as_deref().ok_or_else(|| Failure::new("there is no --out"))?;
        if let (Some(dir), Ok(out)) = (found, fs::canonicalize(out))
            && out == dir
        {
            return Err(Failure::new("--out is the directory that is to be repaired"));
        }
        Ok(Self::Out(Place::new(out, DIR_NAME)?))
    }

    /// Where to write.
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Nowhere => None,
            Self::Out(place) => Some(place.path()),
            Self::InPlace { temporary, .. } => Some(temporary.path()),
        }
    }

    /// Puts the copy there.
    fn fill(self, arguments: &Arguments, report: &mut Report) -> Result<(), Failure> {
        match self {
            Self::Nowhere => {}
            Self::Out(place) => {
                place.persist()?;
                report.written_to = arguments.out.as_ref().map(|out| out.display().to_string());
            }
            Self::InPlace { temporary, dir, _lock } => {
                // The server that runs under another user must be able to open it.
                belong_as(temporary.path(), &dir)?;
                let now_ms = output::now_ms();
                let mut name = dir.file_name().unwrap_or_default().to_owned();
                name.push(format!(".damaged-{now_ms}"));
                let kept = dir.with_file_name(name);
                temporary.exchange(&kept)?;
                report.written_to = Some(dir.display().to_string());
                report.remark(format!("the damaged directory is kept as {}", kept.display()));
            }
        }
        Ok(())
    }
}
