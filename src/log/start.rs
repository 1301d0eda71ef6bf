//! Starting the writer after a recovery: a new segment, and the manifest that lists it.
//!
//! If space is short for that, the log is in the failed state: it serves what is known to be
//! durable, and healing starts the writer. Until then nothing in the directory changes.

use super::directory::remove_strays;
use super::frame::{self, FrameDamage};
use super::manifest::Manifest;
use super::options::Options;
use super::prepared;
use super::read::Tail;
use super::recovery::{OpenError, disk_error};
use super::resume::ResumePoint;
use super::room::{self, NoRoom, Size};
use super::segment::{self, Identity};
use super::state::{Log, NOTHING};
use super::summary::ManifestSummary;
use super::writer::{Segment, WriteError, Writer, begin_segment};
use crate::disk::{Disk, File};
use crate::env::{Clock, Random};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Where and how a log is started.
pub(super) struct Place<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) dir: &'a Path,
    pub(super) options: &'a Options,
    pub(super) clock: &'a dyn Clock,
}

/// The result of [`ResumePoint::start`]. It takes effect when the manifest is replaced.
pub(super) struct StartedWriter {
    pub(super) writer: Writer,
    /// The file with a copy of the bytes that will be cut off.
    pub(super) set_aside: Option<PathBuf>,
}

impl ResumePoint {
    /// Begins the segment in which the log continues, and writes the manifest that lists it. Frames
    /// that are not attested to be durable are copied into the segment and synced before the
    /// manifest lists it: that they were readable proves nothing about the medium.
    ///
    /// # Errors
    /// Those of the disk; the files made are removed then.
    pub(super) fn start(
        &mut self,
        place: &Place<'_>,
        random: &mut Random,
    ) -> Result<StartedWriter, OpenError> {
        let mut made = Vec::new();
        let started = self.start_in(place, random, &mut made);
        // They would take the space of the next attempt. If this fails, the next start does it.
        started.inspect_err(|_| made.iter().for_each(|path| drop(place.disk.remove(path))))
    }

    fn start_in(
        &mut self,
        place: &Place<'_>,
        random: &mut Random,
        made: &mut Vec<PathBuf>,
    ) -> Result<StartedWriter, OpenError> {
        let path = place.dir.join(segment::segment_name(self.sequence));
        let mut manifest = self.next_manifest();
        let copied = self.tail.as_ref().map_or(0, |tail| tail.valid.bytes - tail.end.bytes);
        let cut_bytes = self.tail.as_ref().map_or(0, |tail| tail.written_bytes - tail.valid.bytes);
        let needed = prepared::needed_bytes(copied);
        self.check_room(place, cut_bytes + needed + manifest.encode().len() as u64)
            .map_err(disk_error("creating", &path))?;
        let set_aside = match &self.tail {
            Some(tail) if cut_bytes > 0 => Some(self.set_aside(place, tail, made)?),
            _ => None,
        };
        made.push(path.clone());
        let first_lsn = self.durable_lsn();
        // This may use the reserved space: cutting the old segment frees space again.
        let usual = room::smallest_bytes(place.options.segment_bytes);
        let size = Size { usual, least: needed, kept: 0 };
        let identity = Identity::random(random);
        let build = || -> io::Result<Segment> {
            let prepared =
                prepared::prepare_within(place.disk, place.dir, self.sequence, size, true)?;
            begin_segment(prepared, &manifest, identity, first_lsn, place.clock)
        };
        let segment = build().map_err(disk_error("creating", &path))?;
        manifest.segments.push(segment.line(first_lsn));
        let mut writer =
            Writer::new(manifest, segment, self.sequence + 1, first_lsn, self.last_time_ms);
        if let Some(tail) = &mut self.tail {
            copy_undurable(tail, &mut writer, &path)?;
        }
        if copied > 0 {
            writer.segment.file.sync().map_err(disk_error("syncing", &path))?;
        }
        debug_assert_eq!(writer.written_lsn, self.lsn);
        let written = writer.manifest.write_temporary(place.disk, place.dir, 0);
        written.map_err(disk_error("replacing the manifest in", place.dir))?;
        Ok(StartedWriter { writer, set_aside })
    }

    /// Fails if space is short, before any file is made.
    fn check_room(&self, place: &Place<'_>, needed: u64) -> io::Result<()> {
        let free = place.disk.free_bytes(place.dir)?;
        if needed > free {
            return Err(NoRoom { needed, free, kept: 0 }.into());
        }
        Ok(())
    }

    /// Copies the bytes that will be cut off into a file of their own.
    fn set_aside(
        &self,
        place: &Place<'_>,
        tail: &Tail,
        made: &mut Vec<PathBuf>,
    ) -> Result<PathBuf, OpenError> {
        let sequence = self.manifest.segments.last().expect("a tail is a segment's").sequence;
        let source_path = place.dir.join(segment::segment_name(sequence));
        let source = place.disk.open_to_read(&source_path);
        let source = source.map_err(disk_error("opening", &source_path))?;
        let path = place.dir.join(format!("cut-{sequence:016}-{}.bin", tail.valid.bytes));
        made.push(path.clone());
        let copy = || -> io::Result<()> {
            let target = place.disk.create(&path)?;
            let mut buffer = vec![0; 1 << 20];
            let mut offset = tail.valid.bytes;
            while offset < tail.written_bytes {
                let count = buffer.len().min((tail.written_bytes - offset) as usize);
                // An unreadable sector stays zero: the copy is for inspection only.
                if source.read_exact_at(&mut buffer[..count], offset).is_err() {
                    buffer[..count].fill(0);
                }
                target.write_at(&buffer[..count], offset - tail.valid.bytes)?;
                offset += count as u64;
            }
            target.sync()?;
            place.disk.sync_dir(place.dir)
        };
        copy().map_err(disk_error("setting the cut bytes aside in", &path))?;
        Ok(path)
    }

    /// A placeholder for the writer until it is started; `stored` is the active manifest.
    pub(super) fn placeholder_writer(self, stored: Manifest) -> Writer {
        let segment = Segment {
            file: Arc::new(UnstartedFile),
            sequence: self.sequence,
            identity: Identity([0; 16]),
            size: 0,
            offset: 0,
        };
        let (durable_lsn, next) = (self.durable_lsn(), self.sequence + 1);
        let mut writer = Writer::new(stored, segment, next, self.lsn, self.last_time_ms);
        writer.durable_lsn = durable_lsn;
        writer.pending_start = Some(Box::new(self));
        writer
    }
}

/// Copies the frames that are not attested to be durable.
fn copy_undurable(tail: &mut Tail, writer: &mut Writer, path: &Path) -> Result<(), OpenError> {
    let (seed, first_lsn) = (writer.segment.identity.seed(), writer.durable_lsn);
    for (offset, header) in &tail.undurable {
        let (old_seed, mut header) = (tail.reader.seed(), *header);
        let stored = match tail.reader.stored_payload(*offset, &header) {
            // Check it again: a new checksum would hide a change since the first read.
            Ok(stored) if frame::checksum(old_seed, stored) == header.payload_checksum => {
                Ok(stored)
            }
            Ok(_) => Err(FrameDamage::Payload),
            Err(damage) => Err(damage),
        };
        let stored = match stored {
            Ok(stored) => stored,
            // It was readable during recovery.
            Err(damage) => {
                let source = io::Error::other(damage.to_string());
                return Err(disk_error("reading again for", path)(source));
            }
        };
        header.payload_checksum = frame::checksum(seed, stored);
        header.durable_lsn = first_lsn;
        writer.write_frame(&header, stored).map_err(|error| match error {
            WriteError::Io(error) => disk_error("writing", path)(error),
            WriteError::Full(_) => unreachable!("the segment was made big enough"),
        })?;
    }
    Ok(())
}

/// Activates the manifest that [`ResumePoint::start`] wrote. If that fails, either manifest may be
/// active, so the files of both stay.
pub(super) fn activate(place: &Place<'_>, writer: &mut Writer) -> Result<(), OpenError> {
    let replaced = Manifest::replace(place.disk, place.dir);
    replaced.map_err(disk_error("replacing the manifest in", place.dir))?;
    writer.durable_lsn = writer.written_lsn;
    writer.durable_offset = writer.segment.offset;
    // The copied frames are acknowledged data from now on; the marker makes damage to them
    // detectable.
    match writer.write_marker() {
        Err(WriteError::Io(error)) => {
            let path = place.dir.join(segment::segment_name(writer.segment.sequence));
            Err(disk_error("writing", &path)(error))
        }
        _ => Ok(()),
    }
}

impl Log {
    /// Tries again to start the writer.
    pub(super) fn retry_start(
        &self,
        writer: &mut Writer,
        mut start: Box<ResumePoint>,
    ) -> io::Result<()> {
        let (disk, dir) = (&*self.disk, &*self.dir);
        let place = Place { disk, dir, options: &self.options, clock: &*self.clock };
        let started = start.start(&place, &mut self.random.lock());
        let mut new = match started {
            Ok(started) => started.writer,
            Err(error) => {
                writer.pending_start = Some(start);
                return Err(io::Error::other(error));
            }
        };
        if let Err(error) = activate(&place, &mut new) {
            // A start may need the new segment, so the next attempt makes another one.
            start.sequence += 1;
            writer.pending_start = Some(start);
            return Err(io::Error::other(error));
        }
        new.next_sequence = new.next_sequence.max(writer.next_sequence);
        *writer = new;
        *self.summary.lock() = ManifestSummary::of(&writer.manifest);
        self.segment_bytes.store(writer.segment.offset, Ordering::Relaxed);
        self.drained.store(writer.written_lsn, Ordering::Release);
        self.durable.store(writer.durable_lsn, Ordering::Release);
        let oldest = self.commit.lock().first_us().unwrap_or(NOTHING);
        self.oldest_us.store(oldest, Ordering::Release);
        // The next start removes what cannot be removed now.
        let _ = remove_strays(disk, dir, &writer.manifest);
        self.kick_compression();
        Ok(())
    }
}

/// The file of a log whose writer is not started.
struct UnstartedFile;

impl UnstartedFile {
    fn refuse<T>() -> io::Result<T> {
        Err(io::Error::other("the log has not begun to write"))
    }
}

impl File for UnstartedFile {
    fn len(&self) -> io::Result<u64> {
        Self::refuse()
    }

    fn modified_ns(&self) -> io::Result<i64> {
        Self::refuse()
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Self::refuse()
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Self::refuse()
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Self::refuse()
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Self::refuse()
    }

    fn sync(&self) -> io::Result<()> {
        Self::refuse()
    }
}
