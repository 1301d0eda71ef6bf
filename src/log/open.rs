//! Recovery: from the files of a data set to its commands and a log that can be appended to.

use super::commit::Commit;
use super::frame::FrameDamage;
use super::manifest::{self, Manifest, ManifestError, RetiredFile, SegmentLine};
use super::read::{Reading, Tail};
use super::reader::FrameReader;
use super::recovery::{OpenError, Recovery, Replay, Unclean, disk_error};
use super::room::{self, Size};
use super::segment::{self, FileKind, Identity, NameKind, SegmentHeader};
use super::writer::{self, Segment, WriteError, Writer};
use super::{Log, Lsn, NOTHING, Options, Shape, SyncStats, Timeline, TimelineId, Until};
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
    /// Files that this start has made, which count for nothing before the manifest is replaced.
    made: Vec<PathBuf>,
}

/// Opens the data set in `dir`, or makes an empty one: replays its commands, repairs what a crash
/// leaves behind, and gives a log that appends in a new segment.
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
    let mut opening = Opening { disk: &*disk, reading, made: Vec::new() };
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
    if opening.reading.recovery.unclean.is_some() {
        // Commands may have been lost without a trace, and what comes now must not be taken for them.
        manifest.begin_timeline(Timeline { id: TimelineId::random(&mut random), begin_lsn: lsn });
    }
    let begun = opening.begin(manifest, tail, lsn, sequence, &options, &*clock, &mut random);
    let mut writer = begun.inspect_err(|_| opening.discard())?;
    opening.put_in_force(&mut writer)?;
    remove_strays(&*disk, dir, &writer.manifest)?;
    let (db, recovery) = (opening.reading.replay.selected_db(), opening.reading.recovery);
    let mut log = new_log(dir, disk, clock, random, options, writer, db, lock);
    log.lost = recovery.lost.clone();
    log.passed_over = recovery.passed_over;
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

    /// Removes what this start has made: it fails, and would take the next one's room. If that fails, the next start
    /// does it.
    fn discard(&self) {
        self.made.iter().for_each(|path| drop(self.disk.remove(path)));
    }

    /// Copies the bytes that will be cut off into a file of their own.
    fn set_aside(&mut self, manifest: &Manifest, tail: &Tail) -> Result<(), OpenError> {
        let line = manifest.segments.last().expect("a tail is a segment's");
        let source =
            self.reading.open_file(&segment::segment_name(line.sequence), line.first_lsn)?;
        let name = format!("cut-{:016}-{}.bin", line.sequence, tail.valid.bytes);
        let path = self.reading.dir.join(name);
        self.made.push(path.clone());
        let copy = || -> io::Result<()> {
            let target = self.disk.create(&path)?;
            let mut buffer = vec![0; 1 << 20];
            let mut offset = tail.valid.bytes;
            while offset < tail.written_bytes {
                let count = buffer.len().min((tail.written_bytes - offset) as usize);
                // A sector that cannot be read stays zero: it is being set aside, not relied on.
                if source.read_exact_at(&mut buffer[..count], offset).is_err() {
                    buffer[..count].fill(0);
                }
                target.write_at(&buffer[..count], offset - tail.valid.bytes)?;
                offset += count as u64;
            }
            target.sync()?;
            self.disk.sync_dir(self.reading.dir)
        };
        copy().map_err(disk_error("setting the cut bytes aside in", &path))?;
        self.reading.recovery.cut.as_mut().expect("there is a cut").set_aside = path;
        Ok(())
    }

    /// Begins the segment that the log goes on in, and writes the manifest that will list it. Frames that nobody
    /// attests to be durable are copied into it and synced before the manifest names it: that they could be read
    /// proves nothing about the medium.
    fn begin(
        &mut self,
        mut manifest: Manifest,
        tail: Option<Tail>,
        lsn: Lsn,
        sequence: u64,
        options: &Options,
        clock: &dyn Clock,
        random: &mut Random,
    ) -> Result<Writer, OpenError> {
        if let Some(tail) = &tail
            && tail.written_bytes > tail.valid.bytes
        {
            self.set_aside(&manifest, tail)?;
        }
        let path = self.reading.dir.join(segment::segment_name(sequence));
        self.made.push(path.clone());

        let first_lsn = tail.as_ref().map_or(lsn, |tail| tail.end.lsn);
        if let Some(tail) = &tail {
            let last = manifest.segments.last_mut().expect("a tail is a segment's");
            last.end = Some(tail.end);
        }
        // That it takes no LSN does not make it empty: what a repair lost may be all that it tells.
        let holds_frames = match &tail {
            Some(tail) => tail.end.bytes > FrameReader::FIRST_OFFSET,
            None => self.reading.holds_frames,
        };
        if !holds_frames {
            manifest.segments.pop();
        }
        // The line of the new segment must have a place.
        manifest.forget_retired(0, u64::MAX);
        let copied = tail.as_ref().map_or(0, |tail| tail.valid.bytes - tail.end.bytes);
        let needed = writer::needed_bytes(copied);
        // What is kept free is there for this: behind it the old segment is cut, which gives room.
        let usual = room::smallest_bytes(options.segment_bytes);
        let size = Size { usual, least: needed, kept: 0 };
        let identity = Identity::random(random);

        let build = || -> io::Result<Segment> {
            let prepared =
                writer::prepare_within(self.disk, self.reading.dir, sequence, size, true)?;
            let header = SegmentHeader {
                kind: FileKind::Segment,
                dataset: manifest.dataset,
                identity,
                sequence,
                first_lsn,
                timeline: manifest.timeline(),
                created_ms: clock.unix_ms().max(0) as u64,
                preamble: None,
            };
            writer::begin_segment(prepared, &header)
        };
        let segment = build().map_err(disk_error("creating", &path))?;
        manifest.segments.push(segment.line(first_lsn));
        let mut writer =
            Writer::new(manifest, segment, sequence + 1, first_lsn, self.reading.last_time_ms);
        if let Some(mut tail) = tail {
            let seed = identity.seed();
            while let Some((offset, mut header)) = tail.undurable.pop_front() {
                let old_seed = tail.reader.seed();
                let sum = |stored| super::frame::checksum(old_seed, stored);
                let stored = match tail.reader.stored_payload(offset, &header) {
                    // Read once more, so checked once more: its new checksum would hide a difference.
                    Ok(stored) if sum(stored) == header.payload_checksum => Ok(stored),
                    Ok(_) => Err(FrameDamage::Payload),
                    Err(damage) => Err(damage),
                };
                let stored = match stored {
                    Ok(stored) => stored,
                    // It could be read a moment ago.
                    Err(damage) => {
                        let source = io::Error::other(damage.to_string());
                        return Err(disk_error("reading again for", &path)(source));
                    }
                };
                header.payload_checksum = super::frame::checksum(seed, stored);
                header.durable_lsn = first_lsn;
                writer.write_frame(&header, stored).map_err(|error| match error {
                    WriteError::Io(error) => disk_error("writing", &path)(error),
                    WriteError::Full(_) => unreachable!("the segment was made big enough"),
                })?;
            }
            if copied > 0 {
                writer.segment.file.sync().map_err(disk_error("syncing", &path))?;
            }
        }
        debug_assert_eq!(writer.written_lsn, lsn);
        let written = writer.manifest.write_temporary(self.disk, self.reading.dir, 0);
        written.map_err(disk_error("replacing the manifest in", self.reading.dir))?;
        Ok(writer)
    }

    /// Replaces the manifest by the one that [`Opening::begin`] has written. If that fails nobody knows which is in force,
    /// so the files of both stay.
    fn put_in_force(&self, writer: &mut Writer) -> Result<(), OpenError> {
        let dir = self.reading.dir;
        let replaced = Manifest::replace(self.disk, dir);
        replaced.map_err(disk_error("replacing the manifest in", dir))?;
        writer.durable_lsn = writer.written_lsn;
        writer.durable_offset = writer.segment.offset;
        // What was copied is acknowledged data from now on, and damage to it no torn tail.
        match writer.write_marker() {
            Err(WriteError::Io(error)) => {
                let path = dir.join(segment::segment_name(writer.segment.sequence));
                Err(disk_error("writing", &path)(error))
            }
            _ => Ok(()),
        }
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
    let lsn = writer.written_lsn;
    Log {
        dir: dir.into(),
        disk,
        clock,
        random: Mutex::new(random),
        durability: (options.durability as u8).into(),
        retention: Mutex::new(options.retention),
        options,
        commit: Mutex::new(Commit::new(lsn, db)),
        shape: Mutex::new(Shape::of(&writer.manifest)),
        segment_bytes: writer.segment.offset.into(),
        writer: Mutex::new(writer),
        writer_busy: 0.into(),
        drain_left: false.into(),
        appended: lsn.into(),
        drained: lsn.into(),
        durable: lsn.into(),
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
    }
}
