//! What the log thread and the background thread do, one step at a time.

use super::commit::CommitBatch;
use super::manifest::{self, Manifest};
use super::room::{self, Size};
use super::writer::{self, Prepared, WriteError, Writer};
use super::{
    Durability, Log, Lsn, ManifestSummary, NOTHING, SYNC_AGE_US, UNDURABLE_BYTES_TARGET, pause_us,
    segment,
};
use crate::disk::File;
use parking_lot::MutexGuard;
use segment::{FileKind, Identity, SegmentHeader};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a roll is wanted for if no frame waits for room: a compaction is to begin.
pub(super) const COMPACTION_ROLL: u64 = 1;

/// A roll waits so long for a segment that is being prepared; then it fails, and the log heals as soon as it can.
const PREPARING_PATIENCE: Duration = Duration::from_secs(1);

/// What the log thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// [`Log::drain`].
    Drain,
    /// [`Log::roll`].
    Roll,
    /// [`Log::begin_sync`], the sync, [`Log::finish_sync`].
    Sync,
    /// [`Log::heal`].
    Heal,
    /// Nothing until it is woken or this much time has passed.
    Wait(Option<Duration>),
    /// The log is being closed.
    Stop,
}

/// A sync under way: what it covers.
pub struct SyncTicket {
    file: Arc<dyn File>,
    lsn: Lsn,
    offset: u64,
    start_us: u64,
}

impl SyncTicket {
    /// Makes durable what the ticket covers; to be handed to [`Log::finish_sync`] as it comes back.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

impl Log {
    /// What the log thread does next.
    pub fn next_action(&self) -> Action {
        let now_us = self.clock.monotonic_us();
        if self.has_failed() {
            let heal_at = self.heal_at_us.load(Ordering::Acquire);
            if self.closing.load(Ordering::Acquire) {
                return Action::Stop;
            }
            return match heal_at.saturating_sub(now_us) {
                0 => Action::Heal,
                left => Action::Wait(Some(Duration::from_micros(left))),
            };
        }
        if self.roll_wanted.load(Ordering::Acquire) > 0 {
            return Action::Roll;
        }
        let (appended, drained) = (self.appended_lsn(), self.drained_lsn());
        let (durable, wanted) = (self.durable_lsn(), self.sync_wanted.load(Ordering::Acquire));
        let age_us = self.lag_us();
        let (sync_now, wake_us) = match self.durability() {
            Durability::Always => (true, None),
            Durability::EverySec => (
                age_us >= SYNC_AGE_US || appended - durable > UNDURABLE_BYTES_TARGET,
                (appended > durable).then(|| SYNC_AGE_US.saturating_sub(age_us)),
            ),
            Durability::No => (appended - durable > UNDURABLE_BYTES_TARGET, None),
        };
        let sync_now = sync_now || wanted > durable;
        let closing = self.closing.load(Ordering::Acquire);
        let drain_now = sync_now || closing || self.drain_left.load(Ordering::Acquire);
        if appended > drained && drain_now {
            // Whoever holds the writer for long wakes this thread in the end.
            return if self.is_writer_busy() { Action::Wait(None) } else { Action::Drain };
        }
        if drained > durable && sync_now {
            return Action::Sync;
        }
        if closing {
            return Action::Stop;
        }
        Action::Wait(wake_us.map(Duration::from_micros))
    }

    /// Whether the log thread was woken since this was last asked. It is asked before
    /// [`Log::next_action`], so that what is added after that look wakes the wait.
    pub fn take_work(&self) -> bool {
        std::mem::take(&mut *self.work.lock())
    }

    /// The log thread: works until the log is closed.
    pub fn run(&self) {
        loop {
            self.take_work();
            match self.next_action() {
                Action::Stop => return,
                Action::Wait(timeout) => {
                    let mut work = self.work.lock();
                    if !*work {
                        match timeout {
                            Some(timeout) => {
                                self.work_added.wait_for(&mut work, timeout);
                            }
                            None => self.work_added.wait(&mut work),
                        }
                    }
                }
                action => self.act(action),
            }
        }
    }

    /// Does all that the log thread would do now: for whoever has none.
    pub fn settle(&self) {
        loop {
            match self.next_action() {
                Action::Wait(_) | Action::Stop => return,
                action => self.act(action),
            }
        }
    }

    fn act(&self, action: Action) {
        match action {
            Action::Drain => self.drain(),
            Action::Roll => self.roll(),
            Action::Heal => self.heal(),
            Action::Sync => {
                let ticket = self.begin_sync();
                let result = ticket.sync();
                self.finish_sync(ticket, result);
            }
            Action::Wait(_) | Action::Stop => {}
        }
    }

    /// Begins a sync of everything drained so far.
    pub fn begin_sync(&self) -> SyncTicket {
        let writer = self.writer.lock();
        SyncTicket {
            file: writer.segment.file.clone(),
            lsn: writer.written_lsn,
            offset: writer.segment.offset,
            start_us: self.clock.monotonic_us(),
        }
    }

    /// Ends a sync. If nothing is waiting for the next one, a marker says what is durable now.
    pub fn finish_sync(&self, ticket: SyncTicket, result: io::Result<()>) {
        if let Err(error) = result {
            self.fail("syncing the log", &error);
            self.notify();
            return;
        }
        let now_us = self.clock.monotonic_us();
        let took_us = now_us.saturating_sub(ticket.start_us);
        self.stats.lock().record(took_us);
        let mut writer = self.writer.lock();
        self.publish_durable(&mut writer, ticket.lsn, ticket.offset);
        drop(writer);
        // Replies leave before the marker is written: nobody waits for it.
        self.notify();
        let mut writer = self.writer.lock();
        let idle = writer.written_lsn == writer.durable_lsn && self.commit.lock().is_empty();
        if idle && let Err(WriteError::Io(error)) = writer.write_marker() {
            drop(writer);
            self.fail("writing to the log", &error);
            self.notify();
        }
    }

    /// Advances the durable LSN and what hangs on it.
    fn publish_durable(&self, writer: &mut Writer, lsn: Lsn, offset: u64) {
        let mut commit = self.commit.lock();
        writer.advance_durable(lsn, offset, &mut commit);
        let oldest = writer.retained.front().map(|batch| batch.first_us);
        let oldest = oldest.or(commit.first_us()).unwrap_or(NOTHING);
        self.oldest_us.store(oldest, Ordering::Release);
        self.durable.store(lsn, Ordering::Release);
    }

    /// Seals the current segment and goes on in the next: the seal's sync, the new header and the
    /// manifest are durable before the first frame. In between, what is to be drained waits in the commit buffer.
    pub fn roll(&self) {
        let busy = self.busy();
        let mut writer = self.writer.lock();
        let frame_bytes = self.roll_wanted.swap(0, Ordering::AcqRel);
        let result = self.roll_locked(&mut writer, frame_bytes);
        let rolled = result.is_ok();
        match result {
            // Whoever has asked for it meanwhile has what it wants.
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
        self.seal(writer)?;
        let possibly_active = writer.possibly_active.len();
        // A compaction, which shortens the manifest, may have what is left of it.
        let room = if frame_bytes > COMPACTION_ROLL { manifest::ROOM_BYTES } else { 0 };
        let begin = |writer: &mut Writer| {
            let prepared = match self.take_prepared(writer, frame_bytes) {
                // The compaction that this is for gives room.
                Err(error) if frame_bytes == COMPACTION_ROLL && room::is_out_of_space(&error) => {
                    let least = writer::needed_bytes(0);
                    self.make_segment(writer, Size { usual: least, least, kept: 0 })?
                }
                taken => taken?,
            };
            self.begin_next(writer, prepared, room, |_| Ok(()))
        };
        match begin(writer) {
            // What is being prepared may have taken the room that another one would need. But once a manifest that ends
            // this segment may be in force, nothing may be written to it while this waits.
            Err(_) if writer.is_preparing && writer.possibly_active.len() == possibly_active => {
                // Nobody waits for what was sealed.
                MutexGuard::unlocked(writer, || self.notify());
                let is_preparing = |writer: &mut Writer| writer.is_preparing;
                self.prepared.wait_while_for(writer, is_preparing, PREPARING_PATIENCE);
                // A drain that waited for the writer has come in between.
                self.seal(writer)?;
                begin(writer)
            }
            done => done,
        }
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

    /// Makes `prepared` the current segment, at the durable LSN. `fill` writes frames into it that
    /// must be durable before the manifest names it, which leaves `room` bytes of what a start
    /// reads.
    fn begin_next(
        &self,
        writer: &mut Writer,
        prepared: Prepared,
        room: u64,
        fill: impl FnOnce(&mut Writer) -> io::Result<()>,
    ) -> io::Result<()> {
        let identity = Identity::random(&mut **self.random.lock());
        let first_lsn = writer.durable_lsn;
        let header = SegmentHeader {
            kind: FileKind::Segment,
            dataset: writer.manifest.dataset,
            identity,
            sequence: prepared.sequence,
            first_lsn,
            timeline: writer.manifest.timeline(),
            created_ms: self.clock.unix_ms().max(0) as u64,
            preamble: None,
        };
        let path = self.dir.join(segment::segment_name(prepared.sequence));
        let segment = writer::begin_segment(prepared, &header)
            .inspect_err(|_| self.remove_unlisted(&path))?;
        let manifest = writer.manifest_with(Some(segment.line(first_lsn)));
        let dropped = manifest.segments.len() == writer.manifest.segments.len();
        let sealed_bytes = writer.durable_offset;
        let old = std::mem::replace(&mut writer.segment, segment);
        let durable_offset =
            std::mem::replace(&mut writer.durable_offset, segment::HEADER_BYTES as u64);
        let (disk, dir) = (&*self.disk, &*self.dir);
        let ready = fill(writer)
            .and_then(|()| manifest.write_temporary(disk, dir, room))
            .inspect_err(|_| self.remove_unlisted(&path));
        if let Err(error) = ready.and_then(|()| {
            // If this fails the new file stays for now: that manifest may be in force after all.
            Manifest::replace(disk, dir).inspect_err(|_| writer.possibly_active.push(path))
        }) {
            // Frames go on being counted from where the old segment's durable ones end.
            writer.segment = old;
            writer.durable_offset = durable_offset;
            return Err(error);
        }
        *self.summary.lock() = ManifestSummary::of(&manifest);
        writer.manifest = manifest;
        self.remove_possibly_active(writer);
        // From here on the old file is only trimmed; if that fails, the next start does it.
        if dropped {
            self.remove_unlisted(&self.dir.join(segment::segment_name(old.sequence)));
        } else {
            let _ = old.file.set_len(sealed_bytes);
        }
        Ok(())
    }

    /// Removes a file that the manifest does not list. If that fails, the next start does it.
    pub(super) fn remove_unlisted(&self, path: &Path) {
        let _ = self.disk.remove(path);
    }

    /// Removes the files of manifests that may have been in force: now that another one has been stored, none
    /// of them is.
    pub(super) fn remove_possibly_active(&self, writer: &mut Writer) {
        writer.possibly_active.drain(..).for_each(|path| self.remove_unlisted(&path));
    }

    /// The prepared segment if it is big enough, or else a new one that leaves free what is kept.
    fn take_prepared(&self, writer: &mut Writer, frames_bytes: u64) -> io::Result<Prepared> {
        // A frame too large for a segment gets one of its own, with room for a marker.
        let needed = writer::needed_bytes(frames_bytes);
        if let Some(prepared) = writer.prepared.take() {
            if prepared.size >= needed {
                return Ok(prepared);
            }
            self.remove_unlisted(&self.dir.join(segment::segment_name(prepared.sequence)));
        }
        let usual = Writer::next_size(writer.segment.size, &self.options);
        let least = room::smallest_bytes(self.options.segment_bytes).max(needed);
        let size = Size { usual, least, kept: self.kept_bytes() };
        // To zero the spare segment takes too long here, but the room that it takes may be the last.
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
        let make = || writer::prepare_within(&*self.disk, &self.dir, sequence, size, false);
        let made = make();
        if made.is_err()
            && let Some(spare) = writer.spare.take()
        {
            self.remove_unlisted(&spare);
            return make();
        }
        made
    }

    /// Notes whether the next segment can be made.
    fn note_prepared(&self, error: Option<&io::Error>) {
        let described = error.map(|error| format!("preparing the next segment failed: {error}"));
        *self.prepare_error.lock() = described;
        match error {
            Some(_) => self.prepare_failures.fetch_add(1, Ordering::Relaxed),
            None => self.prepare_failures.swap(0, Ordering::Relaxed),
        };
    }

    /// Tries to leave the failed state: everything that is not durable is written to a new segment
    /// and synced, and the manifest cuts the old one at what was durable.
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
                // What was appended meanwhile found nobody who would drain it.
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

    /// A segment for what is not durable. Where there is not room for one of the usual kind, it has
    /// exactly the length that the frames take, and what is kept free is there for it.
    fn take_healing(&self, writer: &mut Writer) -> io::Result<Prepared> {
        // Compression may shrink this.
        let frames_bytes = writer.retained.iter().map(CommitBatch::frames_bytes_max).sum();
        match self.take_prepared(writer, frames_bytes) {
            Err(error) if room::is_out_of_space(&error) => {
                let exact = writer::needed_bytes(writer.undurable_frames_bytes(&self.options));
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
        // What was healed is acknowledged data from now on, and damage to it no torn tail.
        match writer.write_marker() {
            Err(WriteError::Io(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Prepares the next segment if one is wanted. An error only matters once the room is needed:
    /// then writes are refused until it succeeds.
    pub fn prepare(&self) {
        let mut writer = self.writer.lock();
        if writer.prepared.is_some() || !self.prepare_wanted.load(Ordering::Acquire) {
            self.prepare_wanted.store(false, Ordering::Release);
            return;
        }
        let sequence = writer.next_sequence;
        writer.next_sequence += 1;
        let usual = Writer::next_size(writer.segment.size, &self.options);
        let least = room::smallest_bytes(self.options.segment_bytes);
        let size = Size { usual, least, kept: self.kept_bytes() };
        let spare = writer.spare.take();
        writer.is_preparing = true;
        drop(writer);
        let (disk, dir) = (&*self.disk, &*self.dir);
        let recycled = spare.and_then(|spare| {
            let recycled = writer::recycle_within(disk, dir, &spare, sequence, size);
            recycled.inspect_err(|_| self.remove_unlisted(&spare)).ok()
        });
        let prepared = match recycled {
            Some(prepared) => Ok(prepared),
            None => writer::prepare_within(disk, dir, sequence, size, true),
        };
        let mut writer = self.writer.lock();
        writer.is_preparing = false;
        self.prepared.notify_all();
        self.note_prepared(prepared.as_ref().err());
        match prepared {
            // The current segment may have been left meanwhile for one that was made at once.
            Ok(prepared) if prepared.sequence < writer.segment.sequence => {
                let name = segment::segment_name(prepared.sequence);
                self.remove_unlisted(&self.dir.join(name));
            }
            Ok(prepared) => writer.prepared = Some(prepared),
            Err(_) => {
                self.request_prepare(&writer);
                return;
            }
        }
        self.prepare_wanted.store(false, Ordering::Release);
        self.refusing.store(false, Ordering::Release);
    }

    /// The background thread: prepares segments until the log is closed.
    pub fn run_prepare(&self) {
        while !self.closing.load(Ordering::Acquire) {
            self.prepare();
            let retry = self.prepare_error.lock().is_some();
            let mut held = self.prepare_lock.lock();
            if self.closing.load(Ordering::Acquire) {
                return;
            }
            if retry {
                let failures = self.prepare_failures.load(Ordering::Relaxed);
                let pause = Duration::from_micros(pause_us(failures));
                self.prepare_added.wait_for(&mut held, pause);
            } else if !self.prepare_wanted.load(Ordering::Acquire) {
                self.prepare_added.wait(&mut held);
            }
        }
    }

    /// Tells its threads to end once everything appended is durable.
    pub fn begin_close(&self) {
        self.request_sync();
        self.closing.store(true, Ordering::Release);
        let held = self.prepare_lock.lock();
        self.prepare_added.notify_all();
        drop(held);
        self.kick_compression();
        self.kick();
    }

    /// Closes the log after its threads have ended: makes everything durable, records the end, cuts
    /// the segment and removes the prepared one. What [`super::attach`] finds afterwards is complete
    /// or damaged, never undecided. The directory is free for others afterwards, whatever has failed.
    ///
    /// # Errors
    /// Those of the disk; the log is then as after a crash, and nothing acknowledged is lost.
    pub fn close(&self) -> io::Result<()> {
        let closed = self.close_files();
        if closed.is_err()
            && let Ok(manifest) = Manifest::load(&*self.disk, &self.dir)
        {
            // Whichever it is, it is this log's as long as the lock is held: the next one may replace it.
            self.writer.lock().manifest = manifest;
        }
        let lock = self.lock.lock().take();
        closed?;
        // An empty lock file says that nothing needs to be recovered.
        lock.map_or(Ok(()), |lock| lock.set_content(""))
    }

    fn close_files(&self) -> io::Result<()> {
        if self.has_failed() {
            self.heal();
        }
        self.drain();
        while self.next_close_step() {}
        if let Some(failure) = self.failure() {
            return Err(io::Error::other(failure.cause));
        }
        let mut writer = self.writer.lock();
        assert_eq!(writer.durable_lsn, self.appended_lsn(), "nothing is left to make durable");
        let manifest: Manifest = writer.manifest_with(None);
        manifest.store(&*self.disk, &self.dir)?;
        writer.manifest = manifest;
        self.remove_possibly_active(&mut writer);
        writer.segment.file.set_len(writer.durable_offset)?;
        writer.segment.file.sync()?;
        if let Some(spare) = writer.spare.take() {
            self.remove_unlisted(&spare);
        }
        if let Some(prepared) = writer.prepared.take() {
            self.disk.remove(&self.dir.join(segment::segment_name(prepared.sequence)))?;
            self.disk.sync_dir(&self.dir)?;
        }
        Ok(())
    }

    fn next_close_step(&self) -> bool {
        if self.has_failed() {
            return false;
        }
        if self.roll_wanted.load(Ordering::Acquire) > 0 {
            self.roll();
        } else if self.drained_lsn() > self.durable_lsn() {
            let ticket = self.begin_sync();
            let result = ticket.sync();
            self.finish_sync(ticket, result);
        } else {
            return false;
        }
        true
    }
}
