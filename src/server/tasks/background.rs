//! Snapshots that are written in the background: `BGREWRITEAOF` and `BGSAVE`, at most one at a time.
//!
//! A thread of its own writes; what it writes is encoded by the I/O threads, in slices behind their batches, and by
//! [`save_slices`] while nobody sends commands.

use crate::commands::CommandError;
use crate::engine::Guard;
use crate::engine::compact::{BASE_FORMAT, SnapshotError, compact};
use crate::engine::snapshot::{Begun, Parts, SnapshotStats};
use crate::env::Utc;
use crate::log::{CompressError, Compressed, Log, PrunedFiles};
use crate::server::panic::{self, OwnWork};
use crate::server::state::shared::Shared;
use crate::server::tasks::saves;
use crate::words::counted;
use crate::{log_notice, log_warning};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long the writer sleeps at most before it looks again.
const WRITER_PATIENCE: Duration = Duration::from_millis(2);
/// Pause between slices when nobody sends commands.
const IDLE_PAUSE: Duration = Duration::from_millis(1);

/// After the disk has refused a compressed segment, so long until it is tried again.
const COMPRESSION_PAUSE: Duration = Duration::from_secs(60);

/// While nothing begins by itself, so long until the thread that compresses looks whether that has
/// ended.
const SUSPENDED_PAUSE: Duration = Duration::from_secs(1);

/// What is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A new base of the log.
    Rewrite,
    /// An RDB file.
    Save,
}

/// How the last task of a kind ended.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Whether it succeeded; true before the first one.
    pub succeeded: bool,
    /// Seconds that it took; -1 before the first one.
    pub took_s: i64,
}

impl Default for Outcome {
    fn default() -> Self {
        Self { succeeded: true, took_s: -1 }
    }
}

struct Running {
    task: Task,
    _work: OwnWork,
    parts: Arc<Parts>,
    started: Instant,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    thread: Option<JoinHandle<()>>,
    rewrite_scheduled: bool,
    save_scheduled: bool,
    last_rewrite: Outcome,
    last_save: Outcome,
    /// Failures since the last success: after one, the next attempt by itself waits.
    failures: u32,
    failed_at: Option<Instant>,
}

/// Snapshots that are written in the background.
#[derive(Default)]
pub struct Background {
    state: Mutex<State>,
    /// A snapshot has begun.
    begun: Notify,
    /// So much is kept for the snapshot at hand that writers wait.
    backpressure: AtomicBool,
    /// An earlier server has panicked amid such work: none begins by itself.
    suspended: Arc<AtomicBool>,
}

/// What `INFO` shows.
pub struct Status {
    /// What is being written, and for how many seconds.
    pub running: Option<(Task, i64)>,
    /// A rewrite will follow what is being written.
    pub rewrite_scheduled: bool,
    /// How the last rewrite ended.
    pub last_rewrite: Outcome,
    /// How the last save ended.
    pub last_save: Outcome,
}

impl Background {
    /// What `INFO` shows.
    pub fn status(&self) -> Status {
        let state = self.state.lock();
        Status {
            running: state.running.as_ref().map(|r| (r.task, r.started.elapsed().as_secs() as i64)),
            rewrite_scheduled: state.rewrite_scheduled,
            last_rewrite: state.last_rewrite,
            last_save: state.last_save,
        }
    }

    /// Whether snapshots begin by themselves, and retired segments are compressed.
    pub fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Relaxed)
    }

    /// Lets nothing begin by itself if an earlier server has left a mark in `dir`.
    pub fn suspend_if_marked(&self, dir: &Path) {
        if panic::is_marked(dir) {
            self.suspended.store(true, Ordering::Relaxed);
            log_warning!(
                "A panic has ended the server while a snapshot was being taken or a retired segment compressed \
                 (see {}). Neither begins by itself until a BGREWRITEAOF or BGSAVE has succeeded",
                dir.join(panic::MARK_NAME).display()
            );
        }
    }

    /// A snapshot has succeeded: whatever has panicked does not any more.
    fn resume(&self, dir: &Path) {
        if !self.is_suspended() {
            return;
        }
        match panic::unmark(dir) {
            Ok(()) => log_notice!("Snapshots begin by themselves again"),
            Err(error) => {
                let path = dir.join(panic::MARK_NAME);
                log_warning!("{} could not be removed: {error}", path.display());
            }
        }
        self.suspended.store(false, Ordering::Relaxed);
    }

    /// What the thread that compresses retired segments of `log` does until that is closed.
    pub fn compression(&self, log: Arc<Log>) -> impl FnOnce() + Send + 'static {
        let suspended = self.suspended.clone();
        move || compress_retired(&log, &suspended)
    }

    /// Whether commands that write are to wait before they take the engine.
    pub fn has_backpressure(&self) -> bool {
        self.backpressure.load(Ordering::Relaxed)
    }

    /// Lets the snapshot at hand have its share of a thread that holds the engine.
    pub fn save_slice(&self, engine: &mut Guard<'_>) {
        if engine.is_saving() {
            engine.save_slice_in_turn();
            self.backpressure.store(engine.snapshot_has_backpressure(), Ordering::Relaxed);
        }
    }

    /// Gives up what is being written, and waits until its thread has ended.
    pub fn stop(&self) {
        let thread = {
            let mut state = self.state.lock();
            (state.rewrite_scheduled, state.save_scheduled) = (false, false);
            if let Some(running) = &state.running {
                running.parts.abort();
            }
            state.thread.take()
        };
        let _ = thread.map(JoinHandle::join);
    }
}

/// `BGREWRITEAOF`
///
/// # Errors
/// If one is running, or there is no log.
pub fn bgrewriteaof(
    shared: &Arc<Shared>,
    engine: &mut Guard<'_>,
) -> Result<&'static str, CommandError> {
    if engine.log().is_none() {
        return Err(CommandError::fixed(
            "ERR Background append only file rewriting needs a log: 'appendonly' is off",
        ));
    }
    let running = shared.background.state.lock().running.as_ref().map(|running| running.task);
    if running == Some(Task::Rewrite) {
        return Err(CommandError::fixed(
            "ERR Background append only file rewriting already in progress",
        ));
    }
    if running.is_some() || !begin(shared, engine, Task::Rewrite) {
        shared.background.state.lock().rewrite_scheduled = true;
        return Ok("Background append only file rewriting scheduled");
    }
    Ok("Background append only file rewriting started")
}

/// `BGSAVE [SCHEDULE]`
///
/// # Errors
/// If something is being written and it is not to be scheduled.
pub fn bgsave(
    shared: &Arc<Shared>,
    engine: &mut Guard<'_>,
    schedule: bool,
) -> Result<&'static str, CommandError> {
    let running = shared.background.state.lock().running.as_ref().map(|running| running.task);
    match running {
        Some(Task::Save) => {
            return Err(CommandError::fixed("ERR Background save already in progress"));
        }
        Some(Task::Rewrite) if !schedule => {
            return Err(CommandError::fixed(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE \
                 SCHEDULE in order to schedule a BGSAVE whenever possible.",
            ));
        }
        _ => {}
    }
    if running.is_some() || !begin(shared, engine, Task::Save) {
        shared.background.state.lock().save_scheduled = true;
        return Ok("Background saving scheduled");
    }
    Ok("Background saving started")
}

/// `SAVE`. A rewrite that is under way is given up, and begins again later.
///
/// # Errors
/// If a save is running in the background, or it fails.
pub fn save_now(shared: &Arc<Shared>, engine: &mut Guard<'_>) -> Result<(), CommandError> {
    {
        let mut state = shared.background.state.lock();
        match state.running.as_ref().map(|running| running.task) {
            Some(Task::Save) => {
                return Err(CommandError::fixed("ERR Background save already in progress"));
            }
            Some(Task::Rewrite) => state.rewrite_scheduled = true,
            None => {}
        }
    }
    let config = shared.config.read().clone();
    let saved = shared.saves.save(engine, &config);
    saved.map_err(|error| CommandError::new(format!("ERR {error}")))
}

/// Begins a task, unless one is running or the engine is in the middle of a transaction.
fn begin(shared: &Arc<Shared>, engine: &mut Guard<'_>, task: Task) -> bool {
    let mut state = shared.background.state.lock();
    if state.running.is_some() {
        return false;
    }
    let format = match task {
        Task::Rewrite => BASE_FORMAT,
        Task::Save => saves::format(engine, &shared.config.read()),
    };
    let Some(begun) = engine.begin_snapshot(format) else { return false };
    let parts = begun.parts.clone();
    let (started, _work) = (Instant::now(), OwnWork::begin());
    state.running = Some(Running { task, _work, parts: parts.clone(), started });
    // The one before has ended; only its handle is left.
    let before = state.thread.take();
    let shared_there = shared.clone();
    let log = engine.log().cloned();
    let work = move || {
        let _ = before.map(JoinHandle::join);
        yield_to_others();
        let result = match (task, log) {
            (Task::Rewrite, Some(log)) => {
                compact(&log, &begun, &mut || begun.parts.wait(WRITER_PATIENCE))
            }
            (Task::Rewrite, None) => Err(SnapshotError::Aborted),
            (Task::Save, _) => save(&shared_there, &begun),
        };
        if result.is_err() {
            begun.parts.abort();
        }
        ended(&shared_there, task, result);
    };
    match std::thread::Builder::new().name("snapshot".into()).spawn(work) {
        Ok(thread) => {
            state.thread = Some(thread);
            shared.background.begun.notify_one();
            if task == Task::Save {
                shared.saves.begun_in_background(engine.changes());
            }
            log_notice!("{} started", name(task));
            true
        }
        Err(error) => {
            log_warning!("{} failed: no thread could be started: {error}", name(task));
            state.running = None;
            parts.abort();
            engine.abort_snapshot();
            false
        }
    }
}

/// The writer only takes the time that others leave.
fn yield_to_others() {
    // SAFETY: a plain system call; on Linux, 0 means the calling thread.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
    debug_assert_eq!(result, 0, "a thread may always lower its own priority");
}

fn name(task: Task) -> &'static str {
    match task {
        Task::Rewrite => "Background append only file rewriting",
        Task::Save => "Background saving",
    }
}

fn save(shared: &Shared, begun: &Begun) -> Result<(), SnapshotError> {
    let path = saves::rdb_path(&shared.config.read());
    shared.engine.dump(begun, &path, &mut || begun.parts.wait(WRITER_PATIENCE)).map(|_| ())
}

fn compress_retired(log: &Log, suspended: &AtomicBool) {
    yield_to_others();
    loop {
        if suspended.load(Ordering::Relaxed) {
            if !log.wait_for_retired(Some(SUSPENDED_PAUSE)) {
                return;
            }
            continue;
        }
        let work = OwnWork::begin();
        let compressed = log.compress_retired();
        drop(work);
        let patience = match compressed {
            Ok(Some(Compressed { name, raw_bytes, bytes })) => {
                let raw_bytes = counted(raw_bytes, "byte", "bytes");
                let bytes = counted(bytes, "byte", "bytes");
                log_notice!("Compressed {raw_bytes} of a retired segment to {name}, {bytes}");
                continue;
            }
            Ok(None) => None,
            Err(error @ CompressError::Source { .. }) => {
                log_warning!("A retired segment is left as it is: {error}");
                continue;
            }
            Err(error @ CompressError::Disk { .. }) => {
                log_warning!("A retired segment could not be compressed: {error}");
                Some(COMPRESSION_PAUSE)
            }
        };
        if !log.wait_for_retired(patience) {
            return;
        }
    }
}

/// Notes how a task has ended.
fn ended(shared: &Shared, task: Task, result: Result<(), SnapshotError>) {
    let mut state = shared.background.state.lock();
    let took = state.running.take().map_or(Duration::ZERO, |running| running.started.elapsed());
    let outcome = Outcome { succeeded: result.is_ok(), took_s: took.as_secs() as i64 };
    match &result {
        Ok(()) => {
            state.failures = 0;
            state.failed_at = None;
            shared.background.resume(Path::new(&shared.config.read().dir.0));
            log_notice!("{} succeeded, {:.3} seconds", name(task), took.as_secs_f64());
        }
        Err(SnapshotError::Aborted) => {
            // Whoever gave it up had a reason; it says nothing about the disk.
            log_notice!("{} was given up", name(task));
            return;
        }
        Err(error) => {
            state.failures += 1;
            state.failed_at = Some(Instant::now());
            let text = match task {
                Task::Rewrite => error.to_string(),
                Task::Save => {
                    let path = saves::rdb_path(&shared.config.read());
                    saves::explain(&path, error, saves::Reader::Log)
                }
            };
            log_warning!("{} failed: {text}", name(task));
        }
    }
    match task {
        Task::Rewrite => state.last_rewrite = outcome,
        Task::Save => {
            state.last_save = outcome;
            shared.saves.ended_in_background(outcome.succeeded);
        }
    }
}

/// Encodes snapshots while nobody sends commands.
pub async fn save_slices(shared: Arc<Shared>) {
    loop {
        shared.background.begun.notified().await;
        while is_saving(&shared) {
            let begun = Instant::now();
            while save_idle_slice(&shared) && begun.elapsed() < IDLE_PAUSE / 2 {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(IDLE_PAUSE).await;
        }
        shared.background.backpressure.store(false, Ordering::Relaxed);
    }
}

fn is_saving(shared: &Shared) -> bool {
    !shared.ending.load(Ordering::Acquire) && shared.engine.lock().is_saving()
}

/// Takes the engine for one slice. True if another one may follow at once.
fn save_idle_slice(shared: &Shared) -> bool {
    let mut engine = shared.engine.lock();
    if shared.ending.load(Ordering::Acquire) {
        return false;
    }
    let more = engine.save_slice_when_idle();
    let backpressure = engine.snapshot_has_backpressure();
    shared.background.backpressure.store(backpressure, Ordering::Relaxed);
    more
}

/// Begins what was scheduled, a save if a save point is due, and a rewrite once the log has grown as much as the
/// configuration allows. To be called now and then.
pub fn tick(shared: &Arc<Shared>) {
    if let Some(log) = shared.engine.log()
        && log.has_prunable_retired()
    {
        // It waits for the disk, which connections must not.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = log.prune_retired() {
                log_warning!("Files that are not to be kept any longer cannot be removed: {error}");
            }
        });
    }
    if let Some(log) = shared.engine.log()
        && let Some(pruned) = log.take_pruned()
    {
        let PrunedFiles { files, bytes, first_lsn, end_lsn, until_ms } = pruned;
        log_notice!(
            "Removed {files} files, {bytes} bytes, that were kept long enough ('log-retention-time', \
             'log-retention-size'): moments of LSN {first_lsn} to {end_lsn}, before {} UTC, can no longer be restored",
            Utc::of_unix_s((until_ms / 1000) as i64)
        );
    }
    let config = shared.config.read().clone();
    let changes = {
        let mut engine = shared.engine.lock();
        if engine.is_loading() {
            return;
        }
        shared.saves.refuse_writes(&mut engine, &config);
        engine.changes()
    };
    let (rewrite, save) = {
        let state = shared.background.state.lock();
        if state.running.is_some() {
            return;
        }
        let pause = Duration::from_secs(u64::from(state.failures.min(60)));
        let suspended = shared.background.is_suspended();
        let waits = suspended || state.failed_at.is_some_and(|at| at.elapsed() < pause);
        let due = shared.saves.due(&config.save, changes).filter(|_| !suspended);
        if let Some((changes, seconds)) = due {
            let changes = counted(changes as u64, "change", "changes");
            let seconds = counted(seconds as u64, "second", "seconds");
            log_notice!("{changes} in {seconds}. Saving...");
        }
        let rewrite = state.rewrite_scheduled || (!waits && is_rewrite_due(shared));
        (rewrite, state.save_scheduled || due.is_some())
    };
    if !rewrite && !save {
        return;
    }
    let mut engine = shared.engine.lock();
    if shared.ending.load(Ordering::Acquire) {
        return;
    }
    if rewrite && engine.log().is_none() {
        shared.background.state.lock().rewrite_scheduled = false;
        return;
    }
    let task = if rewrite { Task::Rewrite } else { Task::Save };
    if begin(shared, &mut engine, task) {
        let mut state = shared.background.state.lock();
        match task {
            Task::Rewrite => state.rewrite_scheduled = false,
            Task::Save => state.save_scheduled = false,
        }
    }
}

fn is_rewrite_due(shared: &Shared) -> bool {
    let Some(log) = shared.engine.log() else { return false };
    let (percentage, min_bytes) = {
        let config = shared.config.read();
        (config.auto_aof_rewrite_percentage, config.auto_aof_rewrite_min_size)
    };
    let (base_bytes, bytes) = log.base_bytes();
    percentage > 0
        && !log.has_failed()
        && bytes >= min_bytes
        && (bytes - base_bytes) as u128 * 100 >= base_bytes as u128 * percentage as u128
}

/// What `INFO` shows of slices.
pub fn fields(stats: &SnapshotStats) -> [(&'static str, u64); 4] {
    [
        ("snapshot_slices", stats.slices),
        ("snapshot_slice_us_max", stats.slice_us_max),
        ("snapshot_preimage_us_max", stats.keep_us_max),
        ("snapshot_keys", stats.keys),
    ]
}
