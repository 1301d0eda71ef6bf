//! Recovery: from the files of a data set to its commands and a log that can be appended to.

use super::commit::CommitBuffer;
use super::compact::RetentionSetting;
use super::manifest::{self, Manifest, ManifestError, RetiredFile, SegmentLine};
use super::read::Reading;
use super::reader::FrameReader;
use super::recovery::{OpenError, Recovery, Replay, Unclean, disk_error};
use super::segment::{self, NameKind};
use super::start::{Place, StartedWriter, WriterStart, activate};
use super::writer::Writer;
use super::{Log, ManifestSummary, NOTHING, Options, SyncStats, Timeline, TimelineId, Until};
use crate::disk::{self, Disk, Lock};
use crate::env::{Clock, Random};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The lock file's name.
pub const LOCK_NAME: &str = "lock";

/// A data set that is being opened.
struct Opening<'a> {
    disk: &'a dyn Disk,
    reading: Reading<'a>,
}

/// Opens the data set in `dir`, or makes an empty one: replays its commands, repairs what a crash
/// leaves behind, and gives a log that appends in a new segment. Where the disk has no room for
/// that, the log has failed: healing is to begin the segment, and only what is known to be durable
/// counts as such.
///
/// # Errors
/// If another process has it open, the disk fails, or acknowledged data is damaged or missing.
pub fn attach(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: Options,
    clock: Arc<dyn Clock>,
    mut random: Random,
    replay: &mut dyn Replay,
) -> Result<(Log, Recovery), OpenError> {
    let lock = take_lock(&*disk, dir)?;
    let files = |name: &str| disk.open(&dir.join(name));
    let reading = Reading::new(dir, &files, replay, Until::END);
    let mut opening = Opening { disk: &*disk, reading };
    let manifest_path = dir.join(manifest::NAME);
    let (mut manifest, tail) = match Manifest::load(&*disk, dir) {
        Ok(manifest) => {
            let tail = opening.reading.read(&manifest)?;
            (manifest, tail)
        }
        Err(ManifestError::Missing) => {
            opening.check_no_data()?;
            opening.reading.recovery.created = true;
            (Manifest::empty(&mut random), None)
        }
        Err(source) => return Err(OpenError::Manifest { path: manifest_path, source }),
    };
    if !manifest.is_closed() && !opening.reading.recovery.created {
        opening.reading.recovery.unclean = Some(Unclean {
            process: lock.previous_content().to_owned(),
            secured_bytes: tail.as_ref().map_or(0, |tail| tail.valid.lsn - tail.end.lsn),
        });
    }
    let lsn = match &tail {
        Some(tail) => tail.valid.lsn,
        None => manifest.end_lsn(),
    };
    opening.reading.recovery.lsn = lsn;
    // Every file that the manifest lists is there, so this is above those too.
    let sequence = next_sequence(&*disk, dir).map_err(disk_error("listing", dir))?;
    opening.make_room(&manifest)?;
    let stored = manifest.clone();
    if opening.reading.recovery.unclean.is_some() {
        // Commands may have been lost without a trace, and what comes now must not be taken for them.
        manifest.begin_timeline(Timeline { id: TimelineId::random(&mut random), begin_lsn: lsn });
    }
    let Opening { reading, .. } = opening;
    let (holds_frames, last_time_ms) = (reading.holds_frames, reading.last_time_ms);
    let (db, mut recovery) = (reading.replay.selected_db(), reading.recovery);
    let mut start = WriterStart { manifest, tail, lsn, sequence, holds_frames, last_time_ms };
    let place = Place { disk: &*disk, dir, options: &options, clock: &*clock };
    let (writer, failure) = match start.start(&place, &mut random) {
        Ok(StartedWriter { mut writer, set_aside }) => {
            activate(&place, &mut writer)?;
            remove_strays(&*disk, dir, &writer.manifest)?;
            if let Some(cut) = &mut recovery.cut {
                cut.set_aside = set_aside;
            }
            (writer, None)
        }
        // An empty data set that cannot be made is none.
        Err(error) if error.is_out_of_space() && !recovery.created => {
            (start.placeholder_writer(stored), Some(error))
        }
        Err(error) => return Err(error),
    };
    recovery.start_failure = failure.as_ref().map(ToString::to_string);
    let mut log = new_log(dir, disk, clock, random, options, writer, db, lock);
    log.lost = recovery.lost.clone();
    log.passed_over = recovery.passed_over;
    if let Some(error) = failure {
        log.fail("beginning to write", &io::Error::other(error));
    }
    Ok((log, recovery))
}

/// Replays what the log in `dir` holds, whoever has it open: that one writes nothing meanwhile, and has drained
/// everything.
///
/// # Errors
/// As [`attach`]; nothing in `dir` is changed.
pub fn reread(disk: &dyn Disk, dir: &Path, replay: &mut dyn Replay) -> Result<(), OpenError> {
    let path = dir.join(manifest::NAME);
    let manifest =
        Manifest::load(disk, dir).map_err(|source| OpenError::Manifest { path, source })?;
    let files = |name: &str| disk.open(&dir.join(name));
    Reading::new(dir, &files, replay, Until::END).read(&manifest).map(|_| ())
}

/// Whether `dir` holds a data set with anything in it. What cannot be read counts as one.
///
/// # Errors
/// Those of the disk, except that there is no such directory.
pub fn holds_data(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    match Manifest::load(disk, dir) {
        Ok(manifest) => return Ok(manifest.names().next().is_some()),
        Err(ManifestError::Missing) => {}
        Err(_) => return Ok(true),
    }
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    Ok(names.iter().any(|name| segment::parse_name(name).is_some()))
}

/// Looks whether the data set in `dir` can be opened: for whoever has to know before that.
///
/// # Errors
/// If another process has it open, and those of the disk.
pub fn check_free(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(LOCK_NAME);
    match disk.is_locked(&path).map_err(disk_error("looking at", &path))? {
        true => Err(OpenError::Locked { path: dir.into(), process: lock_content(disk, &path) }),
        false => Ok(()),
    }
}

pub(super) fn take_lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Lock>, OpenError> {
    disk.create_dir(dir).map_err(disk_error("creating", dir))?;
    let path = dir.join(LOCK_NAME);
    disk.lock(&path, &format!("{}\n", std::process::id())).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            OpenError::Locked { path: dir.into(), process: lock_content(disk, &path) }
        } else {
            disk_error("locking", &path)(error)
        }
    })
}

/// Reads a lock file that somebody else holds.
fn lock_content(disk: &dyn Disk, path: &Path) -> String {
    let read = disk.open_to_read(path).and_then(|file| disk::read_all(&*file, 64));
    read.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).unwrap_or_default()
}

impl Opening<'_> {
    /// Without a manifest, only what a crash during the very first start leaves behind is passed over:
    /// segments without a single byte of frames.
    fn check_no_data(&self) -> Result<(), OpenError> {
        let names =
            self.disk.list(self.reading.dir).map_err(disk_error("listing", self.reading.dir))?;
        for name in names {
            let Some((kind, _)) = segment::parse_name(&name) else { continue };
            let path = self.reading.dir.join(&name);
            let file = self.disk.open(&path).map_err(disk_error("opening", &path))?;
            let len = file.len().map_err(disk_error("measuring", &path))?;
            let first = FrameReader::FIRST_OFFSET;
            let empty = FrameReader::new(file, len, 0).written_end(first) == first;
            if kind != NameKind::Segment || !empty {
                return Err(OpenError::ManifestMissing {
                    dir: self.reading.dir.into(),
                    file: name,
                });
            }
        }
        Ok(())
    }

    /// Removes what a crash or a failure left behind, before this start needs room of its own.
    fn make_room(&self, manifest: &Manifest) -> Result<(), OpenError> {
        let dir = self.reading.dir;
        let strays = strays(self.disk, dir, manifest).map_err(disk_error("listing", dir))?;
        if strays.is_empty() {
            return Ok(());
        }
        // Whoever stored this manifest may have been killed before it was durable: as long as a power cut can
        // bring back the one before, what only that one lists is needed.
        self.disk.sync_dir(dir).map_err(disk_error("syncing", dir))?;
        remove_all(self.disk, &strays)
    }
}

/// The files of ours in `dir` that `manifest` does not list.
fn strays(disk: &dyn Disk, dir: &Path, manifest: &Manifest) -> io::Result<Vec<PathBuf>> {
    let listed: BTreeSet<String> = manifest.all_names().collect();
    let mut names = disk.list(dir)?;
    names.retain(|name| {
        let ours = segment::parse_name(name).is_some() || name == manifest::TEMPORARY_NAME;
        ours && !listed.contains(name)
    });
    Ok(names.iter().map(|name| dir.join(name)).collect())
}

fn remove_all(disk: &dyn Disk, paths: &[PathBuf]) -> Result<(), OpenError> {
    let mut removed = paths.iter().map(|path| (path, disk.remove(path)));
    removed.try_for_each(|(path, removed)| removed.map_err(disk_error("removing", path)))
}

/// Cuts sealed files to the length that counts and removes files that the manifest does not list.
pub(super) fn remove_strays(
    disk: &dyn Disk,
    dir: &Path,
    manifest: &Manifest,
) -> Result<(), OpenError> {
    for line in &manifest.segments {
        let path = dir.join(segment::segment_name(line.sequence));
        cut_to_end(disk, &path, line).map_err(disk_error("cutting", &path))?;
    }
    for retired in &manifest.retired {
        // They take no more room than retention counts; but a start does not fail because of them.
        if let RetiredFile::Segment(line) = &retired.file {
            let _ = cut_to_end(disk, &dir.join(retired.file.name()), line);
        }
    }
    remove_all(disk, &strays(disk, dir, manifest).map_err(disk_error("listing", dir))?)
}

/// Cuts off what lies behind a sealed segment's end.
fn cut_to_end(disk: &dyn Disk, path: &Path, line: &SegmentLine) -> io::Result<()> {
    let Some(end) = line.end else { return Ok(()) };
    let file = disk.open(path)?;
    if file.len()? > end.bytes {
        file.set_len(end.bytes)?;
    }
    Ok(())
}

/// A sequence that no file in `dir` has.
pub(super) fn next_sequence(disk: &dyn Disk, dir: &Path) -> io::Result<u64> {
    let names = disk.list(dir)?;
    let taken = names.iter().filter_map(|name| segment::parse_name(name)).map(|(_, s)| s);
    Ok(taken.max().map_or(1, |last| last + 1))
}

#[allow(clippy::too_many_arguments)] // All of it is state that both ways to a log have made.
pub(super) fn new_log(
    dir: &Path,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    random: Random,
    options: Options,
    writer: Writer,
    db: u32,
    lock: Box<dyn Lock>,
) -> Log {
    let (lsn, durable_lsn) = (writer.written_lsn, writer.durable_lsn);
    Log {
        dir: dir.into(),
        disk,
        clock,
        random: Mutex::new(random),
        durability: (options.durability as u8).into(),
        retention: Mutex::new(RetentionSetting { retention: options.retention, is_unset: false }),
        pruned: Mutex::new(None),
        options,
        commit: Mutex::new(CommitBuffer::new(lsn, db)),
        summary: Mutex::new(ManifestSummary::of(&writer.manifest)),
        segment_bytes: writer.segment.offset.into(),
        writer: Mutex::new(writer),
        writer_busy: 0.into(),
        drain_left: false.into(),
        appended: lsn.into(),
        drained: lsn.into(),
        durable: durable_lsn.into(),
        oldest_us: NOTHING.into(),
        roll_wanted: 0.into(),
        sync_wanted: 0.into(),
        prepare_wanted: false.into(),
        prepared: Condvar::new(),
        prepare_error: Mutex::new(None),
        failure: Mutex::new(None),
        failed: false.into(),
        heal_at_us: 0.into(),
        heal_failures: 0.into(),
        prepare_failures: 0.into(),
        refusing: false.into(),
        closing: false.into(),
        work: Mutex::new(false),
        work_added: Condvar::new(),
        prepare_lock: Mutex::new(()),
        prepare_added: Condvar::new(),
        retired: Mutex::new(false),
        retired_added: Condvar::new(),
        uncompressible: Mutex::new(BTreeSet::new()),
        listeners: Mutex::new(Arc::new([])),
        stats: Mutex::new(SyncStats::default()),
        lock: Mutex::new(Some(lock)),
        lost: Vec::new(),
        passed_over: 0,
        previous_dir: None,
    }
}
