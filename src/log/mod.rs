//! The log: one order for everything, and the truth after a restart.
//!
//! The way of a command: [`Log::append`] puts its effect into the commit buffer, a *drain* turns what
//! has gathered into frames of the current segment, a *sync* makes them durable. Two watermarks say
//! how far each has come: [`Log::drained_lsn`] and [`Log::durable_lsn`].
//!
//! Who does what:
//! - Connection threads append. Under `everysec` and `no` they also drain before they reply, with one
//!   positioned write for all commands that gathered.
//! - One log thread does everything else, one [`Action`] at a time, as [`Log::next_action`] says: it
//!   drains under `always`, syncs, rolls to the next segment, and heals after a failure.
//! - One background thread prepares the next segment ([`Log::prepare`]).
//! - Another one compresses retired segments ([`Log::compress_retired`]).
//!
//! Nothing here starts a thread or looks at a clock of its own: a simulation drives the same steps.

pub mod base;
mod commit;
mod compact;
mod create;
pub mod frame;
pub mod manifest;
mod open;
mod read;
pub mod reader;
mod rebuilt;
mod recovery;
mod retired;
pub mod room;
mod salvage;
pub mod scan;
pub mod segment;
mod start;
mod stats;
mod time;
mod view;
mod worker;
mod writer;

pub use base::BaseWriter;
use compact::RetentionSetting;
pub use compact::{PrunedFiles, Retention};
pub use create::{LeftoverData, create};
pub use frame::Lost;
pub use open::{LOCK_NAME, attach, check_free, holds_data, reread};
pub use rebuilt::RebuildReport;
pub use recovery::{Cut, OpenError, PreambleDamage, Recovery, Replay, Unclean, Unreplayable};
pub use retired::{CompressError, Compressed, open_retired};
pub use salvage::SalvageWriter;
pub use stats::SyncStats;
pub use view::View;
pub use worker::{Action, SyncTicket};

use crate::disk::{Disk, Lock};
use crate::env::{Clock, Random};
use commit::CommitBuffer;
use manifest::Manifest;
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use writer::{WriteError, Writer};

/// A byte offset in the stream of committed commands of a data set.
pub type Lsn = u64;

/// Names a timeline; also the replication id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimelineId(pub [u8; 20]);

impl TimelineId {
    /// A new one.
    pub fn random(random: &mut dyn FnMut() -> u64) -> Self {
        let mut bytes = [0; 20];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&random().to_le_bytes()[..chunk.len()]);
        }
        Self(bytes)
    }
}

impl fmt::Display for TimelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The history in which an LSN means something: a start that had to cut begins a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Its name.
    pub id: TimelineId,
    /// The LSN at which it began.
    pub begin_lsn: Lsn,
}

/// Where reading a log ends: before the first frame that is beyond either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// Frames that begin at this LSN or above are not read.
    pub lsn: Lsn,
    /// Frames that were written later than this Unix time in ms are not read.
    pub time_ms: u64,
}

impl Until {
    /// Everything is read.
    pub const END: Self = Self { lsn: Lsn::MAX, time_ms: u64::MAX };
}

/// When a reply leaves: `appendfsync`. The stricter one is the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Durability {
    /// Once what it shows or did is durable.
    Always = 0,
    /// Once it is drained; a sync follows within a second, or replies wait for it.
    EverySec = 1,
    /// Once it is drained; the kernel decides when to write.
    No = 2,
}

impl Durability {
    /// The one of two conditions that promises more.
    pub fn stricter(self, other: Self) -> Self {
        self.min(other)
    }

    fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Always,
            1 => Self::EverySec,
            _ => Self::No,
        }
    }
}

/// Sizes and choices of a log.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of a full-grown segment in bytes (`log-segment-size`).
    pub segment_bytes: u64,
    /// Payloads of this size and more are compressed; `None` compresses nothing.
    pub compression_bytes_min: Option<usize>,
    /// Commands that are not durable are kept in memory; beyond this many bytes, writers wait.
    pub undurable_bytes_max: u64,
    /// The condition for replies at the beginning.
    pub durability: Durability,
    /// How long files are kept that a compaction has replaced, at the beginning.
    pub retention: Retention,
    /// Whether retired segments are compressed (`log-retention-compression`).
    pub compresses_retired: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            compression_bytes_min: Some(4096),
            undurable_bytes_max: 128 << 20,
            durability: Durability::Always,
            retention: Retention::default(),
            compresses_retired: true,
        }
    }
}

/// Under `everysec`, replies wait once the oldest undurable byte is older than this.
pub const LAG_US_MAX: u64 = 1_000_000;
/// Under `everysec`, a sync begins once the oldest undurable byte is older than this, so that one
/// that takes up to half a second makes no reply wait.
const SYNC_AGE_US: u64 = 500_000;
/// Under `no`, a sync begins once this much is undurable: it is also kept in memory.
const UNDURABLE_BYTES_TARGET: u64 = 32 << 20;
/// Pause between the first two attempts to heal, or to prepare a segment.
const PAUSE_US: u64 = 200_000;
/// It is doubled so many times at most.
const PAUSE_DOUBLINGS_MAX: u32 = 3;
const NOTHING: u64 = u64::MAX;

/// Why the log takes no writes at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was being done to what, and the disk's answer.
    pub cause: String,
}

/// What a reply waits for: the state of what it did or showed, under the condition that was in force
/// when its command ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The highest LSN that the reply depends on.
    pub lsn: Lsn,
    /// The condition.
    pub durability: Durability,
}

/// Whether a reply may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It may.
    Open,
    /// Not yet.
    Wait,
    /// The log has failed and what the reply depends on is not durable.
    Failed,
}

/// What others want to know of the manifest, kept apart so that nobody waits for the writer.
struct ManifestSummary {
    timeline: Timeline,
    /// Where the current segment begins.
    first_lsn: Lsn,
    base_bytes: u64,
    /// When the oldest retired files were retired, and how many bytes all of them have.
    retired_ms: Option<u64>,
    retired_bytes: u64,
    segments: usize,
    /// Segments and retired files.
    files: usize,
    /// Bytes of the base and of sealed segments.
    sealed_bytes: u64,
}

impl ManifestSummary {
    fn of(manifest: &Manifest) -> Self {
        let sealed = manifest.segments.iter().filter_map(|segment| segment.end);
        let base = manifest.base.as_ref().map_or(0, |base| base.bytes);
        Self {
            timeline: manifest.timeline(),
            first_lsn: manifest.segments.last().map_or(0, |segment| segment.first_lsn),
            base_bytes: base,
            retired_ms: manifest.retired.first().map(|line| line.time_ms),
            retired_bytes: manifest.retired.iter().map(|line| line.file.bytes()).sum(),
            segments: manifest.segments.len(),
            files: manifest.segments.len() + manifest.retired.len(),
            sealed_bytes: base + sealed.map(|end| end.bytes).sum::<u64>(),
        }
    }
}

/// Somebody holds the writer for long.
struct Busy<'a>(&'a Log);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.writer_busy.fetch_sub(1, Ordering::AcqRel);
        // Drains were left to the log thread, which has waited for this.
        self.0.kick();
    }
}

type Listener = Arc<dyn Fn() + Send + Sync>;

/// How long the next attempt waits after so many in a row have failed.
fn pause_us(failures: u32) -> u64 {
    PAUSE_US << failures.saturating_sub(1).min(PAUSE_DOUBLINGS_MAX)
}

/// The log of one data set; see the module's documentation.
pub struct Log {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    random: Mutex<Random>,
    options: Options,
    durability: AtomicU8,
    commit: Mutex<CommitBuffer>,
    writer: Mutex<Writer>,
    summary: Mutex<ManifestSummary>,
    /// Bytes of the current segment that are written.
    segment_bytes: AtomicU64,
    /// How many hold the writer for long, or are about to; others then leave their drain to the log thread.
    writer_busy: AtomicUsize,
    /// A drain was left to the log thread: somebody waits for it, in whatever mode.
    drain_left: AtomicBool,
    appended: AtomicU64,
    drained: AtomicU64,
    durable: AtomicU64,
    /// Monotonic time of the oldest command that is not durable, or `NOTHING`.
    oldest_us: AtomicU64,
    /// Bytes that a frame needs and the current segment does not have; 0 if nothing waits.
    roll_wanted: AtomicU64,
    /// Everything below this is to be made durable now, whatever the mode.
    sync_wanted: AtomicU64,
    prepare_wanted: AtomicBool,
    /// A preparation has ended; goes with the writer's lock.
    prepared: Condvar,
    retention: Mutex<RetentionSetting>,
    /// Retired files that were removed, until somebody reports it.
    pruned: Mutex<Option<PrunedFiles>>,
    /// Why the next segment cannot be prepared; only once it is needed is that a failure.
    prepare_error: Mutex<Option<String>>,
    failure: Mutex<Option<Failure>>,
    failed: AtomicBool,
    heal_at_us: AtomicU64,
    /// Attempts to heal, and to prepare a segment, that have failed in a row.
    heal_failures: AtomicU32,
    prepare_failures: AtomicU32,
    /// Whether the room is short and no more can be made.
    refusing: AtomicBool,
    closing: AtomicBool,
    /// Whether there may be work for the log thread, and what it sleeps on.
    work: Mutex<bool>,
    work_added: Condvar,
    prepare_lock: Mutex<()>,
    prepare_added: Condvar,
    /// Whether there may be retired segments to compress, and what their thread sleeps on.
    retired: Mutex<bool>,
    retired_added: Condvar,
    /// Sequences of retired segments that are damaged or gone.
    uncompressible: Mutex<BTreeSet<u64>>,
    listeners: Mutex<Arc<[Listener]>>,
    stats: Mutex<SyncStats>,
    /// Let go when the log is closed.
    lock: Mutex<Option<Box<dyn Lock>>>,
    /// What a repair could not save, as the log said when it was opened.
    lost: Vec<Lost>,
    passed_over: u64,
    /// Where the data set is that this one took the place of, if it is kept.
    previous_dir: Option<PathBuf>,
}

impl Log {
    /// The LSN behind the last command executed.
    pub fn appended_lsn(&self) -> Lsn {
        self.appended.load(Ordering::Acquire)
    }

    /// Everything below is in the segment: a killed process loses none of it.
    pub fn drained_lsn(&self) -> Lsn {
        self.drained.load(Ordering::Acquire)
    }

    /// Everything below is on the medium: a power cut loses none of it.
    pub fn durable_lsn(&self) -> Lsn {
        self.durable.load(Ordering::Acquire)
    }

    /// The condition for replies now in force.
    pub fn durability(&self) -> Durability {
        Durability::from_u8(self.durability.load(Ordering::Acquire))
    }

    /// Changes the condition for replies to commands that run from now on. The caller makes readers
    /// wait for what was visible before; see [`crate::engine`].
    pub fn set_durability(&self, durability: Durability) {
        self.durability.store(durability as u8, Ordering::Release);
        self.kick();
    }

    /// The directory that the files are in.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// What a repair could not save, as the log said when it was opened.
    pub fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// The directory of the data set that this one took the place of, if that is kept: whole, with
    /// its own manifest. Nothing is removed from it.
    pub fn previous_dir(&self) -> Option<&std::path::Path> {
        self.previous_dir.as_deref()
    }

    /// How many commands were passed over when it was opened because they need what is lost.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// The timeline in which LSNs count now.
    pub fn timeline(&self) -> Timeline {
        self.summary.lock().timeline
    }

    /// How many segments there are, and how many bytes they and the base take on disk.
    pub fn sizes(&self) -> (usize, u64) {
        let summary = self.summary.lock();
        (summary.segments, summary.sealed_bytes + self.segment_bytes.load(Ordering::Relaxed))
    }

    /// Sync counts and latencies.
    pub fn stats(&self) -> SyncStats {
        self.stats.lock().clone()
    }

    /// Forgets sync counts and latencies.
    pub fn reset_stats(&self) {
        *self.stats.lock() = SyncStats::default();
    }

    /// How old the oldest undurable command is, in µs; 0 if all is durable.
    pub fn lag_us(&self) -> u64 {
        match self.oldest_us.load(Ordering::Acquire) {
            NOTHING => 0,
            oldest => self.clock.monotonic_us().saturating_sub(oldest),
        }
    }

    /// Calls `listener` whenever a watermark moved or the log failed or healed, from whatever thread
    /// that happened on. It must not block.
    pub fn listen(&self, listener: impl Fn() + Send + Sync + 'static) {
        let mut listeners = self.listeners.lock();
        let listener: Listener = Arc::new(listener);
        *listeners = listeners.iter().cloned().chain([listener]).collect();
    }

    fn notify(&self) {
        // Called with no lock held: a listener may look at the log.
        let listeners = self.listeners.lock().clone();
        listeners.iter().for_each(|listener| listener());
    }

    /// Puts effects of whole units into the commit buffer and empties `effects`; `db` is the database
    /// that is selected behind them. Gives the LSN behind them. To be called in commit order, that is
    /// under the engine's lock; does no I/O. Before anyone waits for it, [`Log::submit`] is called.
    pub fn append(&self, effects: &mut Vec<u8>, db: u32) -> Lsn {
        debug_assert!(!effects.is_empty());
        let now_us = self.clock.monotonic_us();
        let mut commit = self.commit.lock();
        let lsn = commit.append(effects, db, now_us);
        self.appended.store(lsn, Ordering::Release);
        let was_durable = self.oldest_us.load(Ordering::Relaxed) == NOTHING;
        if was_durable {
            self.oldest_us.store(now_us, Ordering::Release);
        }
        drop(commit);
        // What begins to age is to be synced in time, and what is kept in memory is bounded. Under
        // `always` the log thread is told by `submit`, once for all that was executed together.
        let durable = self.durable_lsn();
        let kick = match self.durability() {
            Durability::Always => false,
            Durability::EverySec => was_durable || lsn - durable > UNDURABLE_BYTES_TARGET,
            Durability::No => lsn - durable > UNDURABLE_BYTES_TARGET,
        };
        if kick || self.sync_wanted.load(Ordering::Relaxed) > durable {
            self.kick();
        }
        lsn
    }

    /// Moves what was appended on its way, before anyone waits for it: under `always` the log thread is
    /// told, otherwise the caller drains. To be called once for many commands, when no more are ready.
    pub fn submit(&self) {
        match self.durability() {
            Durability::Always => self.kick(),
            Durability::EverySec | Durability::No => self.drain(),
        }
    }

    /// The LSN that must be durable before a writer takes the engine, if it has to wait: what is not
    /// durable is kept in memory, and that is bounded. Not while the log has failed: then writes are
    /// refused, not delayed.
    pub fn backpressure_lsn(&self) -> Option<Lsn> {
        // What is durable may move beyond what was appended a moment ago.
        let undurable = self.appended_lsn().saturating_sub(self.durable_lsn());
        if undurable <= self.options.undurable_bytes_max || self.has_failed() {
            return None;
        }
        // Half of the room is made free before the next one writes.
        Some(self.appended_lsn() - self.options.undurable_bytes_max / 2)
    }

    /// Whether writes are refused now.
    pub fn is_refusing(&self) -> bool {
        self.has_failed() || self.refusing.load(Ordering::Acquire)
    }

    /// Why writes are refused now, if they are.
    pub fn refusal(&self) -> Option<String> {
        if !self.is_refusing() {
            return None;
        }
        if let Some(failure) = &*self.failure.lock() {
            return Some(failure.cause.clone());
        }
        self.prepare_failure()
    }

    /// Why the next segment cannot be made, if it cannot: writes are refused once it is needed.
    pub fn prepare_failure(&self) -> Option<String> {
        self.prepare_error.lock().clone()
    }

    /// Whether the log has failed and not healed yet.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Whether a reply may leave.
    pub fn passage(&self, gate: Gate) -> Passage {
        let durable = self.durable_lsn();
        if gate.lsn <= durable {
            return Passage::Open;
        }
        if self.has_failed() {
            // It may have healed since the first look.
            let open = gate.lsn <= self.durable_lsn();
            return if open { Passage::Open } else { Passage::Failed };
        }
        let open = match gate.durability {
            Durability::Always => false,
            Durability::EverySec => gate.lsn <= self.drained_lsn() && self.lag_us() <= LAG_US_MAX,
            Durability::No => gate.lsn <= self.drained_lsn(),
        };
        if open {
            return Passage::Open;
        }
        if gate.durability < self.durability() {
            // The mode has become laxer since: by itself it may never sync what this waits for.
            self.sync_wanted.fetch_max(gate.lsn, Ordering::AcqRel);
            self.kick();
        }
        Passage::Wait
    }

    /// Asks for everything that is in the log so far to be made durable, in any mode.
    pub fn request_sync(&self) -> Lsn {
        let lsn = self.appended_lsn();
        self.sync_wanted.fetch_max(lsn, Ordering::AcqRel);
        self.kick();
        lsn
    }

    /// Whether the writer is held for long.
    fn is_writer_busy(&self) -> bool {
        self.writer_busy.load(Ordering::Acquire) > 0
    }

    /// Announces that the writer will be held for long.
    fn busy(&self) -> Busy<'_> {
        self.writer_busy.fetch_add(1, Ordering::AcqRel);
        Busy(self)
    }

    /// Wakes the log thread.
    fn kick(&self) {
        let mut work = self.work.lock();
        if !*work {
            *work = true;
            self.work_added.notify_one();
        }
    }

    /// Writes what has gathered in the commit buffer into the segment. If the segment is full or the
    /// writer is taken for long, that is left to the log thread.
    pub fn drain(&self) {
        if self.is_writer_busy() || self.has_failed() {
            self.drain_left.store(true, Ordering::Release);
            self.kick();
            return;
        }
        let mut writer = self.writer.lock();
        if self.has_failed() {
            // It failed while this waited for the writer. What is written to the segment now would be
            // lost: a manifest that ends it may be in force.
            return;
        }
        let before = writer.written_lsn;
        let outcome = self.drain_locked(&mut writer);
        // Under `always` nobody waits for a drain, only for the sync that follows.
        let moved = writer.written_lsn > before && self.durability() != Durability::Always;
        let failed = self.finish_drain(outcome);
        drop(writer);
        if failed || moved {
            self.notify();
        }
    }

    /// Moves the commit buffer's contents into the segment.
    fn drain_locked(&self, writer: &mut Writer) -> Result<(), WriteError> {
        // Whoever leaves a drain from here on has appended before, or has it done again.
        self.drain_left.store(false, Ordering::Release);
        if let Some(batch) = self.commit.lock().take() {
            writer.retained.push_back(batch);
        }
        let result = writer.write_retained(&self.options, &*self.clock);
        self.drained.store(writer.written_lsn, Ordering::Release);
        let used = writer.segment.offset;
        self.segment_bytes.store(used, Ordering::Relaxed);
        if writer.prepared.is_none() && used > writer.segment.size / 4 {
            self.request_prepare(writer);
        }
        result
    }

    /// Handles how a drain ended; true if the log failed.
    fn finish_drain(&self, outcome: Result<(), WriteError>) -> bool {
        match outcome {
            Ok(()) => false,
            Err(WriteError::Full(bytes)) => {
                self.roll_wanted.store(bytes, Ordering::Release);
                self.kick();
                false
            }
            Err(WriteError::Io(error)) => {
                self.fail("writing to the log", &error);
                true
            }
        }
    }

    /// Enters the failed state: writes are refused until [`Log::heal`] succeeds. Called with the
    /// writer held where a drain must not come in between.
    fn fail(&self, doing: &str, error: &io::Error) {
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

    /// What segments for commands leave free on the disk.
    fn kept_bytes(&self) -> u64 {
        room::kept_bytes(self.options.segment_bytes, self.summary.lock().files)
    }

    /// What a copy of the data, a dump for example, leaves free on the disk so that the log can go
    /// on meanwhile.
    pub fn kept_by_copies_bytes(&self) -> u64 {
        room::kept_by_copies_bytes(self.options.segment_bytes, self.summary.lock().files)
    }

    /// Asks the background thread for the next segment.
    fn request_prepare(&self, writer: &Writer) {
        if !self.prepare_wanted.swap(true, Ordering::AcqRel) {
            let _held = self.prepare_lock.lock();
            self.prepare_added.notify_one();
        }
        // As long as the next segment cannot be made, writes are refused before this one is full, so
        // that none is executed that cannot be written down.
        let left_bytes = writer.segment.size - writer.segment.offset;
        let smallest = room::smallest_bytes(self.options.segment_bytes);
        let low = left_bytes < (writer.segment.size.max(smallest) / 4).min(4 << 20);
        let refusing = low && self.prepare_error.lock().is_some();
        self.refusing.store(refusing, Ordering::Release);
    }
}
