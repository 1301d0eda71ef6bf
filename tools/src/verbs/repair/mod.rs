//! `repair`: makes a sound copy of what can be saved.
//!
//! | file | does |
//! |---|---|
//! | `base.rs` | which of a base's blocks are sound, and another base to begin with if some are not |
//! | `frames.rs` | all sound frames in order, from wherever they are |
//! | `report.rs` | what was saved and what is lost |

mod base;
mod frames;
mod report;

pub use report::LostBlock;

use crate::output::{End, Failure, Output, Place, Temporary};
use crate::source::{self, Source};
use crate::verbs::verify;
use base::Begin;
use clap::Args;
use mainstay::disk::{Disk, Lock, RealDisk};
use mainstay::engine::DIR_NAME;
use mainstay::env::{Clock, SystemClock, system_random};
use mainstay::log::{LOCK_NAME, OpenError, SalvageWriter, View};
use report::Report;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes a sound copy of what can be saved.
///
/// All sound frames, in order; where some are missing, the copy says so: a server that starts with it logs what is lost and shows
/// it in INFO. What a damaged base or frame held is taken from retired files if they have it. Otherwise a damaged block loses its keys
/// and a damaged frame its commands, and nothing else. Retired files are not copied.
#[derive(Args)]
#[command(after_help = "\
Examples:
  mainstay-tool repair /var/lib/mainstay --dry-run
  mainstay-tool repair /var/lib/mainstay --out /var/lib/repaired
  mainstay-tool repair /var/lib/mainstay --in-place

Exit codes:
  0  everything was saved
  1  something is lost: the report says what
  2  nothing was saved

With --in-place the damaged directory is kept beside the repaired one, as NAME.damaged-TIME.
Memory: a few MiB, the longest value, and a retired segment whole if it is compressed.")]
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
    /// Says what would be saved, and writes nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Does it.
pub fn run(arguments: &Arguments, output: &Output) -> Result<End, Failure> {
    let found = source::data_set_dir(&arguments.path)?;
    let mut report = Report::default();
    let single;
    let view = match &found {
        Some(dir) => match View::open(&RealDisk, dir) {
            Ok(view) => view,
            Err(OpenError::Manifest { source, .. }) => {
                report.remark(format!(
                    "{source}: what there is was told by the headers of the files"
                ));
                match View::rebuilt(&RealDisk, dir) {
                    Ok(view) => view,
                    Err(_) => {
                        report.remark("no file has a header that can be read".to_owned());
                        report.show(output)?;
                        return Ok(End::Worst);
                    }
                }
            }
            Err(error) => return Err(Failure::new(error)),
        },
        None => {
            single = Source::open(&arguments.path)?;
            if single.view().is_none() {
                return Err(Failure::new(format_args!(
                    "{}: only Mainstay's own files can be repaired; 'import' takes what can be read of an {}",
                    arguments.path.display(),
                    single.kind().name()
                )));
            }
            single.into_view().ok_or_else(|| Failure::new("nothing to repair"))?
        }
    };
    let target = Target::of(arguments, found.as_deref(), &view)?;
    let mut writer = target.dir().map(|dir| {
        let manifest = view.manifest();
        let created_ms = SystemClock::new().unix_ms().max(0) as u64;
        let identity = (manifest.dataset, &manifest.timelines[..]);
        SalvageWriter::new(Arc::new(RealDisk), dir, identity, system_random(), created_ms)
    });
    let begin = Begin::choose(&view, output, &mut report)?;
    begin.write(writer.as_mut(), arguments.prefix, &mut report)?;
    let stopped = arguments.prefix && report.is_lossy();
    if !stopped {
        frames::save(&view, &begin, writer.as_mut(), arguments.prefix, output, &mut report)?;
    }
    if report.is_nothing() {
        report.show(output)?;
        return Ok(End::Worst);
    }
    if let (Some(writer), Some(dir)) = (writer, target.dir()) {
        writer.finish().map_err(Failure::doing("writing", dir.display()))?;
        let copy = verify::data_set(dir, output)?;
        if let Some(finding) = copy.findings.first() {
            return Err(Failure::new(format_args!(
                "the copy was read back and is damaged, so it was not kept: {finding}"
            )));
        }
        target.fill(arguments, &mut report)?;
    }
    report.show(output)?;
    Ok(if report.is_lossy() { End::Bad } else { End::Good })
}

/// Where the copy goes.
enum Target {
    /// Nowhere: only the report is wanted.
    Nowhere,
    /// To a new directory.
    Out(Place),
    /// In the place of what was damaged, which nobody else may have open meanwhile.
    InPlace { temporary: Temporary, dir: PathBuf, lock: Box<dyn Lock> },
}

impl Target {
    fn of(arguments: &Arguments, found: Option<&Path>, view: &View) -> Result<Self, Failure> {
        if arguments.dry_run {
            return Ok(Self::Nowhere);
        }
        if let Some(out) = &arguments.out {
            return Ok(Self::Out(Place::new(out, DIR_NAME)?));
        }
        let Some(dir) = found else {
            return Err(Failure::new("--in-place takes a data directory, not a file"));
        };
        if view.is_live() {
            return Err(Failure::new(format_args!("{}: a server has it open", dir.display())));
        }
        let path = dir.join(LOCK_NAME);
        let lock = RealDisk.lock(&path, &format!("{}\n", std::process::id()));
        let lock = lock.map_err(Failure::doing("locking", path.display()))?;
        let temporary = Temporary::beside(dir)?;
        let copy = temporary.path();
        fs::create_dir(copy).map_err(Failure::doing("creating", copy.display()))?;
        Ok(Self::InPlace { temporary, dir: dir.to_owned(), lock })
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
            Self::InPlace { temporary, dir, lock } => {
                // What is kept says nothing of this process.
                lock.set_content("").map_err(Failure::doing("writing", dir.display()))?;
                let now_ms = SystemClock::new().unix_ms();
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
