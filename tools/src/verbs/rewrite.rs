//! `rewrite`: everything in one new base, without a server.

use crate::output::{Deferred, End, Failure, Output, bytes, counted, duration_ms};
use crate::source;
use crate::source::{DATABASES, data_set_dir, machine};
use clap::{Args, ValueEnum};
use mainstay::commands::context::Settings;
use mainstay::disk::RealDisk;
use mainstay::engine::compact::{BASE_FORMAT, SnapshotError, compact};
use mainstay::engine::{Engine, Progress};
use mainstay::log::manifest::{Manifest, NAME};
use mainstay::log::{Log, Options, Recovery, Retention};
use mainstay::rdb::Format;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// So long the snapshot is encoded before what was encoded is written, in µs.
const SLICE_US: u64 = 10_000;

/// Compacts a directory that no server has open
///
/// Writes what the data set holds as one new base, which takes the place of the base and all segments. First it does what a start of
/// the server does: it takes the lock, reads everything, and if the last server did not close the log, it makes durable what was
/// not, and sets what an unfinished write has left aside; it says so. What is damaged is refused, and nothing is changed.
///
/// The old files are in force until the new base is durable, however this ends. Afterwards they are kept as retired ones, so that
/// earlier moments can be restored; the next server keeps them as long as it is told to ('log-retention-time',
/// 'log-retention-size'). --drop-retired removes them, and those that were kept before.
///
/// All keys are held in memory. While a server runs, BGREWRITEAOF does the same.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// The data directory, or the one that it lies in
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Whether long strings in the base are compressed (LZF, as in any RDB)
    #[arg(long, value_enum, value_name = "yes|no", default_value = "yes")]
    compress: Choice,
    /// Removes all files that only served to restore earlier moments
    #[arg(long)]
    drop_retired: bool,
}

const HELP: &str = "\
Examples:
  mainstay-tool rewrite /var/lib/mainstay
  mainstay-tool rewrite /var/lib/mainstay --compress no --drop-retired

Exit codes:
  0    there is a new base
  2    there is none: a server has the directory open, something is damaged, or the disk refused
  130  interrupted: the old files are in force, or the new base if it had just been written";

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// Yes
    Yes,
    /// No
    No,
}

/// How many bytes files have.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Bytes {
    /// Those that a start reads.
    log: u64,
    /// Those that are kept to restore earlier moments.
    retired: u64,
}

/// What was done.
#[derive(Serialize)]
struct Report {
    dir: PathBuf,
    keys: u64,
    lsn: u64,
    before: Bytes,
    after: Bytes,
    took_ms: u64,
    remarks: Vec<String>,
}

/// Does it.
pub fn run(arguments: &Arguments, output: &Output) -> Result<End, Failure> {
    let started = Instant::now();
    let Some(dir) = data_set_dir(&arguments.dir)? else {
        return Err(Failure::new(format_args!(
            "{}: there is no data set of Mainstay's in this directory",
            arguments.dir.display()
        )));
    };
    let (engine, log, recovery) = open(&dir, arguments.drop_retired, output)?;
    let mut remarks = remarks(&recovery);
    let before = sizes(&dir)?;
    // From here on an interrupt only asks for an end: the log is to be closed, and no half of a base to be left.
    let interrupts = Deferred::begin();
    let format = Format { compress: arguments.compress == Choice::Yes, ..BASE_FORMAT };
    let rewritten = rewrite(&engine, &log, format, &interrupts);
    let closed = {
        log.begin_close();
        log.settle();
        log.close().map_err(Failure::doing("closing the log in", dir.display()))
    };
    let keys = match rewritten {
        Ok(keys) => keys,
        Err(SnapshotError::Aborted) if interrupts.requested() => {
            // Dropping `interrupts` ends the process.
            return Err(Failure::new("interrupted"));
        }
        Err(error) => {
            let text = format!("{}: no new base was written: {error}", dir.display());
            return Err(Failure::new(text));
        }
    };
    closed?;
    interrupts.done();
    let after = sizes(&dir)?;
    if after.retired > 0 {
        remarks.push(format!(
            "{} of files are kept to restore earlier moments, as long as 'log-retention-time' and 'log-retention-size' of the \
             next server say (--drop-retired removes them)",
            bytes(after.retired)
        ));
    }
    let (lsn, took_ms) = (log.durable_lsn(), started.elapsed().as_millis() as u64);
    let report = Report { dir, keys, lsn, before, after, took_ms, remarks };
    show(&report, output)?;
    Ok(End::Good)
}

/// Opens the data set as a server does, but forgets no retired file unless it is to.
fn open(
    dir: &Path,
    drop_retired: bool,
    output: &Output,
) -> Result<(Engine, Arc<Log>, Recovery), Failure> {
    let kept = Retention { time_s: 0, bytes: u64::MAX };
    let options = Options {
        retention: if drop_retired { Retention::default() } else { kept },
        compresses_retired: false,
        ..Options::default()
    };
    let progress = Arc::new(Progress::default());
    let following = output.bar("loading", 0).follow(progress.clone());
    let settings = Settings::default();
    let opened = Engine::open_watched(machine(), dir, DATABASES, settings, options, &progress);
    let (engine, recovery) = opened.map_err(Failure::new)?;
    drop(following);
    if let Some(cause) = &recovery.start_failure {
        return Err(Failure::new(cause));
    }
    match engine.log() {
        Some(log) => Ok((engine, log, recovery)),
        None => unreachable!("an engine that was opened has a log"),
    }
}

/// Writes the new base, and gives the number of keys in it.
fn rewrite(
    engine: &Engine,
    log: &Log,
    format: Format,
    interrupts: &Deferred,
) -> Result<u64, SnapshotError> {
    let begun = engine.lock().begin_snapshot(format).ok_or(SnapshotError::Aborted)?;
    compact(log, &begun, &mut || {
        let mut guard = engine.lock();
        if interrupts.requested() {
            guard.abort_snapshot();
        }
        guard.save_slice(SLICE_US);
        drop(guard);
        log.settle();
    })?;
    Ok(begun.counts.iter().map(|count| count.keys).sum())
}

fn sizes(dir: &Path) -> Result<Bytes, Failure> {
    let manifest = Manifest::load(&RealDisk, dir)
        .map_err(|error| Failure::new(format_args!("{}: {error}", dir.join(NAME).display())))?;
    let base = manifest.base.as_ref().map_or(0, |base| base.bytes);
    let segments = manifest.segments.iter().filter_map(|line| line.end).map(|end| end.bytes);
    let retired = manifest.retired.iter().map(|line| line.file.bytes()).sum();
    Ok(Bytes { log: base + segments.sum::<u64>(), retired })
}

/// What a start has found, and done about it.
fn remarks(recovery: &Recovery) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(unclean) = &recovery.unclean {
        remarks.push(format!(
            "the last server (process {}) did not close the log: {} that were not known to be durable were made durable",
            unclean.process.trim(),
            bytes(unclean.secured_bytes)
        ));
    }
    if let Some(cut) = &recovery.cut {
        remarks.push(format!(
            "{} ended in an unfinished write and was cut at offset {} (LSN {}): {}; {} were set aside in {}",
            cut.file,
            cut.offset,
            cut.lsn,
            cut.damage,
            bytes(cut.bytes),
            cut.set_aside.as_deref().unwrap_or(Path::new("no file")).display()
        ));
    }
    remarks.extend(source::lost_remarks(recovery));
    remarks
}

fn show(report: &Report, output: &Output) -> Result<(), Failure> {
    report.remarks.iter().for_each(|remark| output.remark(remark));
    if output.is_json() {
        return output.json(report);
    }
    let Report { dir, keys, lsn, before, after, took_ms, .. } = report;
    output.line(format_args!(
        "{}: one base as of LSN {lsn} with {}, in {}",
        dir.display(),
        counted(*keys, "key", "keys"),
        duration_ms(*took_ms)
    ))?;
    output.line(format_args!("  log: {} before, {} now", bytes(before.log), bytes(after.log)))?;
    output.line(format_args!(
        "  retired files: {} before, {} now",
        bytes(before.retired),
        bytes(after.retired)
    ))
}
