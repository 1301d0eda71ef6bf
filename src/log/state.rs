//! The log's state, shared by its threads, and the operations that all parts use.

use super::commit::CommitBuffer;
use super::frame::Lost;
use super::lsn::{Lsn, Timeline};
use super::manifest::Manifest;
use super::options::{Durability, Options};
use super::retention::{PrunedFiles, RetentionSetting};
use super::room;
use super::stats::SyncStats;
use super::summary::ManifestSummary;
use super::writer::Writer;
use crate::disk::{Disk, Lock};
use crate::env::{Clock, Random};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// Pause between the first two attempts to heal, or to prepare a segment.
const PAUSE_US: u64 = 200_000;
/// The pause doubles after each failed attempt, at most this many times.
const PAUSE_DOUBLINGS_MAX: u32 = 3;
/// Value of `Log::oldest_us` when everything is durable.
pub(super) const NOTHING: u64 = u64::MAX;

/// Why the log refuses writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The operation that failed, with the disk's error.
    pub cause: String,
}

/// Marks that the writer is held for long; see [`Log::busy`].
pub(super) struct Busy<'a>(&'a Log);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.writer_busy.fetch_sub(1, Ordering::AcqRel);
        // Drains left to the log thread wait for this.
        self.0.kick();
    }
}

type Listener = Arc<dyn Fn() + Send + Sync>;

/// Pause before the next attempt after this many failures in a row.
pub(super) fn pause_us(failures: u32) -> u64 {
    PAUSE_US << failures.saturating_sub(1).min(PAUSE_DOUBLINGS_MAX)
}

/// The log of one data set; see the documentation of [`crate::log`].
pub struct Log {
    pub(super) dir: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Mutex<Random>,
    pub(super) options: Options,
    pub(super) durability: AtomicU8,
    pub(super) commit: Mutex<CommitBuffer>,
    pub(super) writer: Mutex<Writer>,
    pub(super) summary: Mutex<ManifestSummary>,
    /// Bytes written to the current segment.
    pub(super) segment_bytes: AtomicU64,
    /// Threads that hold the writer for long, or are about to; others leave their drain to the log
    /// thread.
    pub(super) writer_busy: AtomicUsize,
    /// A drain was left to the log thread, which does it in any mode.
    pub(super) drain_left: AtomicBool,
    pub(super) appended: AtomicU64,
    pub(super) drained: AtomicU64,
    pub(super) durable: AtomicU64,
    /// Monotonic time of the oldest undurable command, or `NOTHING`.
    pub(super) oldest_us: AtomicU64,
    /// Bytes that a frame needs and the current segment does not have; 0 if no frame waits.
    pub(super) roll_wanted: AtomicU64,
    /// Everything below this LSN is to be made durable now, in any mode.
    pub(super) sync_wanted: AtomicU64,
    pub(super) prepare_wanted: AtomicBool,
    /// Signals the end of a preparation; used with the writer's lock.
    pub(super) prepared: Condvar,
    pub(super) retention: Mutex<RetentionSetting>,
    /// Retired files that were removed and not reported yet.
    pub(super) pruned: Mutex<Option<PrunedFiles>>,
    /// Why the next segment cannot be prepared. A failure only when the segment is needed.
    pub(super) prepare_error: Mutex<Option<String>>,
    pub(super) failure: Mutex<Option<Failure>>,
    pub(super) failed: AtomicBool,
    pub(super) heal_at_us: AtomicU64,
    /// Failed attempts in a row to heal, and to prepare a segment.
    pub(super) heal_failures: AtomicU32,
    pub(super) prepare_failures: AtomicU32,
    /// Whether writes are refused because space is short and the next segment cannot be made.
    pub(super) refusing: AtomicBool,
    pub(super) closing: AtomicBool,
    /// Whether there may be work for the log thread, and the condition that it sleeps on.
    pub(super) work: Mutex<bool>,
    pub(super) work_added: Condvar,
    pub(super) prepare_lock: Mutex<()>,
    pub(super) prepare_added: Condvar,
    /// Whether there may be retired segments to compress, and the condition that their thread
    /// sleeps on.
    pub(super) retired: Mutex<bool>,
    pub(super) retired_added: Condvar,
    pub(super) threads: Mutex<Vec<JoinHandle<()>>>,
    /// Sequences of retired segments that are damaged or missing.
    pub(super) uncompressible: Mutex<BTreeSet<u64>>,
    pub(super) listeners: Mutex<Arc<[Listener]>>,
    pub(super) stats: Mutex<SyncStats>,
    /// Released when the log is closed.
    pub(super) lock: Mutex<Option<Box<dyn Lock>>>,
    /// Losses recorded by a repair, read when the log was opened.
    pub(super) lost: Vec<Lost>,
    pub(super) passed_over: u64,
    /// The directory of the data set that this one replaced, if that is kept.
    pub(super) previous_dir: Option<PathBuf>,
}

impl Log {
    #[allow(clippy::too_many_arguments)] // All of it is state that both ways to a log have made.
    pub(super) fn new(
        dir: &Path,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        random: Random,
        options: Options,
        writer: Writer,
        db: u32,
        lock: Box<dyn Lock>,
    ) -> Self {
        let (lsn, durable_lsn) = (writer.written_lsn, writer.durable_lsn);
        Self {
            dir: dir.into(),
            disk,
            clock,
            random: Mutex::new(random),
            durability: (options.durability as u8).into(),
            retention: Mutex::new(RetentionSetting {
                retention: options.retention,
                is_unset: false,
            }),
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
            threads: Mutex::default(),
            uncompressible: Mutex::new(BTreeSet::new()),
            listeners: Mutex::new(Arc::new([])),
            stats: Mutex::new(SyncStats::default()),
            lock: Mutex::new(Some(lock)),
            lost: Vec::new(),
            passed_over: 0,
            previous_dir: None,
        }
    }

    /// The LSN after the last command executed.
    pub fn appended_lsn(&self) -> Lsn {
        self.appended.load(Ordering::Acquire)
    }

    /// Everything below is written to the segment: it survives a kill of the process.
    pub fn drained_lsn(&self) -> Lsn {
        self.drained.load(Ordering::Acquire)
    }

    /// Everything below is on the medium: it survives a power cut.
    pub fn durable_lsn(&self) -> Lsn {
        self.durable.load(Ordering::Acquire)
    }

    /// The durability in force.
    pub fn durability(&self) -> Durability {
        Durability::from_u8(self.durability.load(Ordering::Acquire))
    }

    /// Changes the durability of commands that run from now on. The caller makes readers wait for
    /// what was visible before; see [`crate::engine`].
    pub fn set_durability(&self, durability: Durability) {
        self.durability.store(durability as u8, Ordering::Release);
        self.kick();
    }

    /// The directory of the files.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// Losses recorded by a repair, read when the log was opened.
    pub fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// The directory of the data set that this one replaced, if that is kept: whole, with a
    /// manifest of its own. Nothing is removed from it.
    pub fn previous_dir(&self) -> Option<&std::path::Path> {
        self.previous_dir.as_deref()
    }

    /// Commands skipped when the log was opened, because they depend on lost data.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// The current timeline.
    pub fn timeline(&self) -> Timeline {
        self.summary.lock().timeline
    }

    /// The number of segments, and the bytes on disk of segments and base.
    pub fn sizes(&self) -> (usize, u64) {
        let summary = self.summary.lock();
        (summary.segments, summary.sealed_bytes + self.segment_bytes.load(Ordering::Relaxed))
    }

    /// Sync counts and latencies.
    pub fn stats(&self) -> SyncStats {
        self.stats.lock().clone()
    }

    /// Resets sync counts and latencies.
    pub fn reset_stats(&self) {
        *self.stats.lock() = SyncStats::default();
    }

    /// Age of the oldest undurable command in µs; 0 if everything is durable.
    pub fn lag_us(&self) -> u64 {
        match self.oldest_us.load(Ordering::Acquire) {
            NOTHING => 0,
            oldest => self.clock.monotonic_us().saturating_sub(oldest),
        }
    }

    /// Registers `listener`, which is called when a watermark moves, and when the log fails or
    /// heals, on the thread where that happens. It must not block.
    pub fn listen(&self, listener: impl Fn() + Send + Sync + 'static) {
        let mut listeners = self.listeners.lock();
        let listener: Listener = Arc::new(listener);
        *listeners = listeners.iter().cloned().chain([listener]).collect();
    }

    pub(super) fn notify(&self) {
        // Call it with no lock held: a listener may use the log.
        let listeners = self.listeners.lock().clone();
        listeners.iter().for_each(|listener| listener());
    }

    /// Whether writes are refused.
    pub fn is_refusing(&self) -> bool {
        self.has_failed() || self.refusing.load(Ordering::Acquire)
    }

    /// Why writes are refused, if they are.
    pub fn refusal(&self) -> Option<String> {
        if !self.is_refusing() {
            return None;
        }
        if let Some(failure) = &*self.failure.lock() {
            return Some(failure.cause.clone());
        }
        self.prepare_failure()
    }

    /// Why the next segment cannot be made, if it cannot. Writes are refused when it is needed.
    pub fn prepare_failure(&self) -> Option<String> {
        self.prepare_error.lock().clone()
    }

    /// Whether the log has failed and not healed yet.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Whether a thread holds the writer for long.
    pub(super) fn is_writer_busy(&self) -> bool {
        self.writer_busy.load(Ordering::Acquire) > 0
    }

    /// Announces that this thread will hold the writer for long.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.writer_busy.fetch_add(1, Ordering::AcqRel);
        Busy(self)
    }

    /// Wakes the log thread.
    pub(super) fn kick(&self) {
        let mut work = self.work.lock();
        if !*work {
            *work = true;
            self.work_added.notify_one();
        }
    }

    /// Enters the failed state: writes are refused until [`Log::heal`] succeeds. Hold the writer
    /// where a drain must not come in between.
    pub(super) fn fail(&self, doing: &str, error: &io::Error) {
        let cause = format!("{doing} failed: {error}");
        *self.failure.lock() = Some(Failure { cause });
        self.failed.store(true, Ordering::Release);
        self.heal_failures.store(0, Ordering::Relaxed);
        self.heal_at_us.store(self.clock.monotonic_us() + PAUSE_US, Ordering::Release);
        self.stats.lock().failures += 1;
        self.kick();
    }

    /// The failure, while there is one.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.lock().clone()
    }

    /// Bytes that a segment for commands leaves free on the disk.
    pub(super) fn kept_bytes(&self) -> u64 {
        room::kept_bytes(self.options.segment_bytes, self.summary.lock().files)
    }

    /// Bytes that a copy of the data (such as a dump) leaves free on the disk for the log.
    pub fn kept_by_copies_bytes(&self) -> u64 {
        room::kept_by_copies_bytes(self.options.segment_bytes, self.summary.lock().files)
    }

    /// Wakes the background thread to make the next segment.
    pub(super) fn request_prepare(&self, writer: &Writer) {
        if !self.prepare_wanted.swap(true, Ordering::AcqRel) {
            let _held = self.prepare_lock.lock();
            self.prepare_added.notify_one();
        }
        // While the next segment cannot be made, writes are refused before this one is full, so
        // that every command that runs can be logged.
        let left_bytes = writer.segment.size - writer.segment.offset;
        let smallest = room::smallest_bytes(self.options.segment_bytes);
        let low = left_bytes < (writer.segment.size.max(smallest) / 4).min(4 << 20);
        let refusing = low && self.prepare_error.lock().is_some();
        self.refusing.store(refusing, Ordering::Release);
    }

    /// Makes `manifest` the active one; it lists the new file at `path`, and leaves `room` bytes of
    /// what a start reads. Returns the previous one.
    ///
    /// # Errors
    /// Those of the disk. The new file is removed, unless the new manifest may be active: then it
    /// is kept until the manifest is replaced the next time.
    pub(super) fn replace_manifest(
        &self,
        writer: &mut Writer,
        manifest: Manifest,
        room: u64,
        path: &Path,
    ) -> io::Result<Manifest> {
        let (disk, dir) = (&*self.disk, &*self.dir);
        manifest.write_temporary(disk, dir, room).inspect_err(|_| self.remove_unlisted(path))?;
        Manifest::replace(disk, dir)
            .inspect_err(|_| writer.possibly_active.push(path.to_owned()))?;
        *self.summary.lock() = ManifestSummary::of(&manifest);
        let old = std::mem::replace(&mut writer.manifest, manifest);
        self.remove_possibly_active(writer);
        Ok(old)
    }

    /// Removes a file that the manifest does not list. On failure the next start removes it.
    pub(super) fn remove_unlisted(&self, path: &Path) {
        let _ = self.disk.remove(path);
    }

    /// Removes files listed only by manifests that may have been active: another manifest has been
    /// stored since, so none of them is active now.
    pub(super) fn remove_possibly_active(&self, writer: &mut Writer) {
        writer.possibly_active.drain(..).for_each(|path| self.remove_unlisted(&path));
    }
}
