//! Recovery: reads the files of a data set, and opens the log for appending.

use super::directory::{next_sequence, remove_all, remove_strays, strays, take_lock};
use super::lsn::{Timeline, TimelineId, Until};
use super::manifest::{self, Manifest, ManifestError};
use super::options::Options;
use super::read::Reading;
use super::reader::FrameReader;
use super::recovery::{OpenError, Recovery, Replay, Unclean, disk_error};
use super::resume::ResumePoint;
use super::segment::{self, NameKind};
use super::start::{Place, StartedWriter, activate};
use super::state::Log;
use crate::disk::Disk;
use crate::env::{Clock, Random};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A data set that is being opened.
struct Opening<'a> {
    disk: &'a dyn Disk,
    reading: Reading<'a>,
}

/// Opens the data set in `dir`, or creates an empty one: replays its commands, repairs the traces
/// of a crash, and returns a log that appends to a new segment. If space is short for that segment,
/// the log is in the failed state: healing begins the segment, and until then only what is known to
/// be durable counts as durable.
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
    // All listed files exist, so this is above their sequences, too.
    let sequence = next_sequence(&*disk, dir).map_err(disk_error("listing", dir))?;
    opening.make_room(&manifest)?;
    let stored = manifest.clone();
    if opening.reading.recovery.unclean.is_some() {
        // Commands may have been lost without a trace; the new timeline distinguishes their LSNs
        // from those of later commands.
        manifest.begin_timeline(Timeline { id: TimelineId::random(&mut random), begin_lsn: lsn });
    }
    let Opening { reading, .. } = opening;
    let (holds_frames, last_time_ms) = (reading.holds_frames, reading.last_time_ms);
    let (db, mut recovery) = (reading.replay.selected_db(), reading.recovery);
    let mut start = ResumePoint { manifest, tail, lsn, sequence, holds_frames, last_time_ms };
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
        // An empty data set that cannot be created is an error.
        Err(error) if error.is_out_of_space() && !recovery.created => {
            (start.placeholder_writer(stored), Some(error))
        }
        Err(error) => return Err(error),
    };
    recovery.start_failure = failure.as_ref().map(ToString::to_string);
    let mut log = Log::new(dir, disk, clock, random, options, writer, db, lock);
    log.lost = recovery.lost.clone();
    log.passed_over = recovery.passed_over;
    if let Some(error) = failure {
        log.fail("beginning to write", &io::Error::other(error));
    }
    Ok((log, recovery))
}

/// Replays the log in `dir`, even if it is open. Its owner must have drained everything and must
/// not write meanwhile.
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

impl Opening<'_> {
    /// Checks that a directory without a manifest holds nothing but the traces of a crash during
    /// the very first start: segments with no byte of frames.
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

    /// Removes stray files of a crash or a failure, before this start needs the space.
    fn make_room(&self, manifest: &Manifest) -> Result<(), OpenError> {
        let dir = self.reading.dir;
        let strays = strays(self.disk, dir, manifest).map_err(disk_error("listing", dir))?;
        if strays.is_empty() {
            return Ok(());
        }
        // The process that stored this manifest may have been killed before it was durable. Until
        // it is, a power cut can bring back the previous one, which needs the files that only it
        // lists.
        self.disk.sync_dir(dir).map_err(disk_error("syncing", dir))?;
        remove_all(self.disk, &strays)
    }
}
