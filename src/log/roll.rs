//! Beginning the next segment: after a full one, for a compaction, and to heal after a failure.

use super::commit::CommitBatch;
use super::manifest;
use super::prepared::{self, Prepared};
use super::room::{self, Size};
use super::segment::{self, Identity};
use super::state::{Log, pause_us};
use super::writer::{self, WriteError, Writer};
use parking_lot::MutexGuard;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Value of `roll_wanted` if no frame waits for space, but a compaction is to begin.
pub(super) const COMPACTION_ROLL: u64 = 1;

/// How long a roll waits for a segment that is being prepared. After that it fails, and the log
/// heals.
const PREPARING_PATIENCE: Duration = Duration::from_secs(1);

impl Log {
    /// Seals the current segment and continues in the next one. The seal's sync, the new header and
    /// the manifest are durable before the first frame. Meanwhile new commands stay in the commit
    /// buffer.
    pub fn roll(&self) {
        let busy = self.busy();
        let mut writer = self.writer.lock();
        let frame_bytes = self.roll_wanted.swap(0, Ordering::AcqRel);
        let result = self.roll_locked(&mut writer, frame_bytes);
        let rolled = result.is_ok();
        match result {
            // Requests made during the roll are satisfied by it.
            Ok(()) => self.roll_wanted.store(0, Ordering::Release),
            Err(error) => self.fail("beginning a new segment", &error),
        }
        drop(writer);
        drop(busy);
        if rolled {
            self.drain();
        }
        self.notify();
    }

    fn roll_locked(&self, writer: &mut MutexGuard<'_, Writer>, frame_bytes: u64) -> io::Result<()> {
        let possibly_active = writer.possibly_active.len();
        let mut has_waited = false;
        loop {
            self.seal(writer)?;
            let error = match self.begin_after_seal(writer, frame_bytes) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // The segment being prepared may hold the space that another one would need. But once a
            // manifest that ends the current segment may be active, nothing may be written to it.
            let may_wait = !has_waited
                && writer.is_preparing
                && writer.possibly_active.len() == possibly_active;
            if !may_wait {
                return Err(error);
            }
            has_waited = true;
            // The seal made commands durable: their replies leave before the wait.
            MutexGuard::unlocked(writer, || self.notify());
            let is_preparing = |writer: &mut Writer| writer.is_preparing;
            self.prepared.wait_while_for(writer, is_preparing, PREPARING_PATIENCE);
            // A drain may have written meanwhile, so the segment is sealed again.
        }
    }

    /// Begins the segment after the sealed one, with room for a frame of `frame_bytes`.
    fn begin_after_seal(&self, writer: &mut Writer, frame_bytes: u64) -> io::Result<()> {
        let for_compaction = frame_bytes == COMPACTION_ROLL;
        let prepared = match self.take_prepared(writer, frame_bytes) {
            // The compaction frees space later.
            Err(error) if for_compaction && room::is_out_of_space(&error) => {
                let least = prepared::needed_bytes(0);
                self.make_segment(writer, Size { usual: least, least, kept: 0 })?
            }
            taken => taken?,
        };
        // A compaction shortens the manifest, so it may use the reserved bytes.
        let room = if frame_bytes > COMPACTION_ROLL { manifest::ROOM_BYTES } else { 0 };
        self.begin_next(writer, prepared, room, |_| Ok(()))
    }

    /// Makes everything in the current segment durable.
    fn seal(&self, writer: &mut Writer) -> io::Result<()> {
        let start_us = self.clock.monotonic_us();
        writer.segment.file.sync()?;
        self.stats.lock().record(self.clock.monotonic_us().saturating_sub(start_us));
        let (lsn, offset) = (writer.written_lsn, writer.segment.offset);
        self.publish_durable(writer, lsn, offset);
        Ok(())
    }

    /// Makes `prepared` the current segment, beginning at the durable LSN. `fill` writes frames
    /// into it that must be durable before the manifest lists it. The manifest leaves `room` bytes
    /// of its limit.
    fn begin_next(
        &self,
        writer: &mut Writer,
        prepared: Prepared,
        room: u64,
        fill: impl FnOnce(&mut Writer) -> io::Result<()>,
    ) -> io::Result<()> {
        let identity = Identity::random(&mut **self.random.lock());
        let first_lsn = writer.durable_lsn;
        let path = self.dir.join(segment::segment_name(prepared.sequence));
        let segment =
            writer::begin_segment(prepared, &writer.manifest, identity, first_lsn, &*self.clock)
                .inspect_err(|_| self.remove_unlisted(&path))?;
        let manifest = writer.manifest_with(Some(segment.line(first_lsn)));
        let dropped = manifest.segments.len() == writer.manifest.segments.len();
        let sealed_bytes = writer.durable_offset;
        let old = std::mem::replace(&mut writer.segment, segment);
        writer.durable_offset = segment::HEADER_BYTES as u64;
        let replaced = fill(writer)
            .inspect_err(|_| self.remove_unlisted(&path))
            .and_then(|()| self.replace_manifest(writer, manifest, room, &path));
        if let Err(error) = replaced {
            // The old segment stays current, up to its durable frames.
            writer.segment = old;
            writer.durable_offset = sealed_bytes;
            return Err(error);
        }
        // The old file is only trimmed now; if that fails, the next start does it.
        if dropped {
            self.remove_unlisted(&self.dir.join(segment::segment_name(old.sequence)));
        } else {
            let _ = old.file.set_len(sealed_bytes);
        }
        Ok(())
    }

    /// The prepared segment if it is big enough, otherwise a new one that leaves the reserved space
    /// free.
    fn take_prepared(&self, writer: &mut Writer, frames_bytes: u64) -> io::Result<Prepared> {
        // A frame too large for a usual segment gets one of its own, with space for a marker.
        let needed = prepared::needed_bytes(frames_bytes);
        if let Some(prepared) = writer.prepared.take() {
            if prepared.size >= needed {
                return Ok(prepared);
            }
            self.remove_unlisted(&self.dir.join(segment::segment_name(prepared.sequence)));
        }
        let usual = Writer::next_size(writer.segment.size, &self.options);
        let least = room::smallest_bytes(self.options.segment_bytes).max(needed);
        let size = Size { usual, least, kept: self.kept_bytes() };
        // Zeroing the spare segment takes too long here, but its space may be the last.
        if let Ok(free) = self.disk.free_bytes(&self.dir)
            && size.within(free).ok() != Some(usual.max(least))
            && let Some(spare) = writer.spare.take()
        {
            self.remove_unlisted(&spare);
        }
        let prepared = self.make_segment(writer, size);
        self.note_prepared(prepared.as_ref().err());
        prepared
    }

    /// Makes a segment that is needed at once.
    fn make_segment(&self, writer: &mut Writer, size: Size) -> io::Result<Prepared> {
        let sequence = writer.next_sequence;
        writer.next_sequence += 1;
        let make = || prepared::prepare_within(&*self.disk, &self.dir, sequence, size, false);
        let made = make();
        if made.is_err()
            && let Some(spare) = writer.spare.take()
        {
            self.remove_unlisted(&spare);
            return make();
        }
        made
    }

    /// Records whether the next segment can be made.
    pub(super) fn note_prepared(&self, error: Option<&io::Error>) {
        let described = error.map(|error| format!("preparing the next segment failed: {error}"));
        *self.prepare_error.lock() = described;
        match error {
            Some(_) => self.prepare_failures.fetch_add(1, Ordering::Relaxed),
            None => self.prepare_failures.swap(0, Ordering::Relaxed),
        };
    }

    /// Tries to leave the failed state: writes everything undurable to a new segment and syncs it;
    /// the manifest ends the old segment at the durable LSN.
    pub fn heal(&self) {
        let busy = self.busy();
        let mut writer = self.writer.lock();
        let result = self.heal_locked(&mut writer);
        drop(writer);
        drop(busy);
        match result {
            Ok(()) => {
                *self.failure.lock() = None;
                self.failed.store(false, Ordering::Release);
                // Drain the commands appended meanwhile.
                self.drain();
                self.notify();
            }
            Err(error) => {
                self.stats.lock().failures += 1;
                if let Some(failure) = &mut *self.failure.lock() {
                    failure.cause = format!("writing to the log failed, and still does: {error}");
                }
                let failures = self.heal_failures.fetch_add(1, Ordering::Relaxed) + 1;
                let at = self.clock.monotonic_us() + pause_us(failures);
                self.heal_at_us.store(at, Ordering::Release);
            }
        }
    }

    /// A segment for the undurable commands. If there is no space for a usual one, it has exactly
    /// the length of the frames, and uses the reserved space.
    fn take_healing(&self, writer: &mut Writer) -> io::Result<Prepared> {
        // An upper bound: compression may shrink the frames.
        let frames_bytes = writer.retained.iter().map(CommitBatch::frames_bytes_max).sum();
        match self.take_prepared(writer, frames_bytes) {
            Err(error) if room::is_out_of_space(&error) => {
                let exact = prepared::needed_bytes(writer.undurable_frames_bytes(&self.options));
                self.make_segment(writer, Size { usual: exact, least: exact, kept: 0 })
            }
            taken => taken,
        }
    }

    fn heal_locked(&self, writer: &mut Writer) -> io::Result<()> {
        if let Some(start) = writer.pending_start.take() {
            return self.retry_start(writer, start);
        }
        self.roll_wanted.store(0, Ordering::Release);
        if let Some(batch) = self.commit.lock().take() {
            writer.retained.push_back(batch);
        }
        let (written, attested) = (writer.written_lsn, writer.attested_lsn);
        writer.written_lsn = writer.durable_lsn;
        let options = &self.options;
        let clock = &*self.clock;
        let room = if writer.retained.is_empty() { 0 } else { manifest::ROOM_BYTES };
        let filled = self.take_healing(writer).and_then(|prepared| {
            self.begin_next(writer, prepared, room, |writer| {
                match writer.write_retained(options, clock) {
                    Ok(()) => writer.segment.file.sync(),
                    Err(WriteError::Io(error)) => Err(error),
                    Err(WriteError::Full(_)) => unreachable!("the segment was made big enough"),
                }
            })
        });
        if let Err(error) = filled {
            (writer.written_lsn, writer.attested_lsn) = (written, attested);
            return Err(error);
        }
        self.drained.store(writer.written_lsn, Ordering::Release);
        let (lsn, offset) = (writer.written_lsn, writer.segment.offset);
        self.publish_durable(writer, lsn, offset);
        // The healed commands are acknowledged data from now on; the marker makes damage to them
        // detectable.
        match writer.write_marker() {
            Err(WriteError::Io(error)) => Err(error),
            _ => Ok(()),
        }
    }
}
