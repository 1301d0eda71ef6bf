//! The one place where keyspace and log meet. Usable as a library, without a network.
//!
//! [`Engine::lock`] gives the right to execute commands; there is one lock, one log and one order.
//! What a command did and what its reply showed is summed up in a [`Gate`]: the
//! caller holds the reply back until the log lets it pass.

mod blocking;
pub mod compact;
mod conditions;
mod embed;
mod expire;
mod fill;
pub mod functions;
pub mod import;
mod load;
mod populate;
mod prefetch;
mod progress;
pub mod published;
mod pushes;
mod read;
mod read_back;
#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
mod refusal_tests;
mod reload;
mod replay;
mod save;
mod shift;
pub mod snapshot;
#[cfg(test)]
mod snapshot_tests;
mod transfer;
mod unit;

pub use blocking::{BlockedClient, Resumed, UNBLOCKED, Unserved, WaitReply};
pub use conditions::{Conditions, Pause};
pub use progress::Progress;
pub use pushes::{Push, Receiver};
pub use reload::{Reload, ReloadError};
pub use transfer::{Export, ExportedKey};
pub use unit::{Caller, LOADING, Outcome, Ran, Unit};

use functions::Functions;
use read_back::ReadBack;

use crate::commands::CommandError;
use crate::commands::context::Settings;
use crate::commands::store::Unit as Effects;
use crate::disk::Disk;
use crate::env::{Clock, Random};
use crate::keyspace::{Garbage, Keyspace};
use crate::log::{self, Durability, Gate, Log, Lsn, OpenError, Options, Recovery};
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Effects are handed to the log when they exceed this, in the middle of a batch, so that frames can
/// be divided there.
const EFFECTS_BYTES_MAX: usize = 64 * 1024;

/// The directory of a data set's files, inside `dir`.
pub const DIR_NAME: &str = "mainstay";

/// The machine as the engine sees it.
#[derive(Clone)]
pub struct Machine {
    /// Where files are.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Makes independent sources of randomness.
    pub random: Arc<dyn Fn() -> Random + Send + Sync>,
}

impl Machine {
    /// The real one.
    pub fn real() -> Self {
        Self {
            disk: Arc::new(crate::disk::RealDisk),
            clock: Arc::new(crate::env::SystemClock::new()),
            random: Arc::new(crate::env::system_random),
        }
    }
}

/// A keyspace with its log.
pub struct Engine {
    state: Mutex<State>,
    conditions: Conditions,
    published: Mutex<published::Counts>,
    /// The log; also in the state, for whoever does not hold the lock. `None` in memory-only mode.
    log: Mutex<Option<Arc<Log>>>,
    machine: Machine,
    outgoing: pushes::Outgoing,
    moved: Arc<embed::Moved>,
}

/// What the lock protects.
struct State {
    keyspace: Keyspace,
    functions: Functions,
    settings: Settings,
    random: Random,
    log: Option<Arc<Log>>,
    /// What a new log may replace.
    leftover: log::LeftoverData,
    /// How many logs were begun: with each, LSNs count anew.
    logs: u64,
    /// The LSN behind the last command executed, those in `unit` that are not yet in the log included.
    lsn: Lsn,
    unit: Effects,
    /// Where the next expiry cycle goes on: database and cursor.
    expire_at: (usize, u64),
    /// Commands executed.
    commands: u64,
    /// Effects stated since the start.
    changes: u64,
    /// Why writes are refused though the log takes them.
    write_refusal: Option<CommandError>,
    /// Clients that wait for keys.
    blocked: HashMap<u64, Arc<BlockedClient>>,
    /// The number of the last one.
    last_blocked: u64,
    /// Set while a guard is out. It stays set when a panic drops the guard, with a unit half done.
    poisoned: bool,
    /// The snapshot at hand.
    snapshot: Option<snapshot::Running>,
    snapshot_stats: snapshot::SnapshotStats,
    /// Pushes of the unit under way.
    caused: Vec<pushes::Caused>,
}

impl Engine {
    /// An engine without a log: what it holds is gone when it is dropped.
    pub fn in_memory(machine: Machine, databases: usize, settings: Settings) -> Self {
        let state = State::new(&machine, databases, settings);
        Self::new(state, None, machine)
    }

    /// An engine that stands for another one while that is being loaded: it refuses the commands that Redis
    /// refuses meanwhile, until [`Engine::adopt`].
    pub fn loading(machine: Machine, databases: usize, settings: Settings) -> Self {
        let engine = Self::in_memory(machine, databases, settings);
        engine.conditions.set_loading(true);
        engine
    }

    /// Takes over the data and the log of an engine that has been loaded. Sessions, counts and settings stay
    /// what they are here.
    ///
    /// # Panics
    /// If this is not an engine that stands for another one.
    pub fn adopt(&self, loaded: Engine) {
        let loaded = loaded.state.into_inner();
        let mut state = self.state.lock();
        assert!(self.conditions.is_loading(), "only an engine without data takes some over");
        let before = std::mem::replace(&mut state.keyspace, loaded.keyspace);
        state.keyspace.watches = before.watches;
        state.keyspace.waited = before.waited;
        state.settings.limits.hasher = state.keyspace.hasher();
        state.functions = loaded.functions;
        state.logs = loaded.logs;
        state.lsn = loaded.lsn;
        state.unit = loaded.unit;
        state.unit.touched_databases = u64::MAX;
        *self.log.lock() = loaded.log.clone();
        state.log = loaded.log;
        drop(state);
        // This publishes its counts.
        drop(self.lock());
        self.conditions.set_loading(false);
    }

    /// Opens the data set in `dir`, or makes an empty one there.
    ///
    /// # Errors
    /// See [`log::attach`].
    pub fn open(
        machine: Machine,
        dir: &Path,
        databases: usize,
        settings: Settings,
        options: Options,
    ) -> Result<(Self, Recovery), OpenError> {
        let progress = Arc::new(Progress::default());
        Self::open_watched(machine, dir, databases, settings, options, &progress)
    }

    /// As [`Engine::open`], for somebody who watches how far it has come.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_watched(
        machine: Machine,
        dir: &Path,
        databases: usize,
        settings: Settings,
        options: Options,
        progress: &Arc<Progress>,
    ) -> Result<(Self, Recovery), OpenError> {
        let mut state = State::new(&machine, databases, settings);
        progress.begin(progress::bytes_to_read(&*machine.disk, dir));
        let mut replay = replay::Replayer::new(&mut state, machine.clock.unix_ms());
        replay.watch(progress.clone());
        let (log, recovery) = log::attach(
            machine.disk.clone(),
            dir,
            options,
            machine.clock.clone(),
            (machine.random)(),
            &mut replay,
        )?;
        let selected = replay.into_selected_db();
        let log = Arc::new(log);
        state.lsn = recovery.lsn;
        state.unit.stream_db = selected;
        state.log = Some(log.clone());
        Ok((Self::new(state, Some(log), machine), recovery))
    }

    fn new(state: State, log: Option<Arc<Log>>, machine: Machine) -> Self {
        let engine = Self {
            state: Mutex::new(state),
            conditions: Conditions::default(),
            published: Mutex::default(),
            log: Mutex::new(log),
            machine,
            outgoing: pushes::Outgoing::default(),
            moved: Arc::default(),
        };
        drop(engine.lock());
        engine
    }

    /// What decides whether a command may run now.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Counts as of when the engine was last released. It is not taken.
    pub fn counts(&self) -> published::Counts {
        self.published.lock().clone()
    }

    /// The log, and the LSN after the last command that was executed when the engine was last
    /// released. It is not taken.
    pub fn published_lsn(&self) -> (Option<Arc<Log>>, Lsn) {
        let published = self.published.lock();
        (published.log.clone(), published.lsn)
    }

    /// The machine's clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.machine.clock
    }

    /// The log, unless in memory-only mode.
    pub fn log(&self) -> Option<Arc<Log>> {
        self.log.lock().clone()
    }

    /// Takes the engine, to execute a bounded batch. What was executed goes to the log when the guard
    /// is dropped. Only connection threads do this.
    ///
    /// # Panics
    /// After a panic while a guard was out: the keyspace may hold a part of a unit, which no log
    /// has.
    pub fn lock(&self) -> Guard<'_> {
        let mut state = self.state.lock();
        assert!(!state.poisoned, "the engine is poisoned: a panic left a unit half done");
        state.poisoned = true;
        let now = self.machine.clock.now();
        Guard {
            engine: self,
            state,
            now_ms: now.unix_ms,
            began_us: now.monotonic_us,
            refusing: false,
            in_exec: false,
            is_serving: false,
            paused: false,
            garbage: Garbage::default(),
            deliveries: pushes::Deliveries::default(),
        }
    }
}

impl State {
    fn new(machine: &Machine, databases: usize, mut settings: Settings) -> Self {
        let mut random = (machine.random)();
        let seed = (random(), random());
        let keyspace = Keyspace::new(databases, seed);
        settings.limits.hasher = keyspace.hasher();
        Self {
            keyspace,
            functions: Functions::default(),
            settings,
            random,
            log: None,
            leftover: log::LeftoverData::default(),
            logs: 0,
            lsn: 0,
            unit: Effects::default(),
            expire_at: (0, 0),
            commands: 0,
            changes: 0,
            write_refusal: None,
            blocked: HashMap::new(),
            last_blocked: 0,
            poisoned: false,
            snapshot: None,
            snapshot_stats: snapshot::SnapshotStats::default(),
            caused: Vec::new(),
        }
    }
}

/// The right to execute commands, and the time at which they execute.
pub struct Guard<'a> {
    engine: &'a Engine,
    state: MutexGuard<'a, State>,
    now_ms: i64,
    began_us: u64,
    /// Whether the log refused writes when the unit at hand began: that holds for all of it.
    refusing: bool,
    in_exec: bool,
    /// Blocked clients are being served.
    is_serving: bool,
    /// Whether clients were paused when the unit at hand began.
    paused: bool,
    /// What was taken out of the keyspace. It is freed last: the engine is free by then.
    garbage: Garbage,
    /// Delivers pushes when it is dropped, after the engine was released.
    deliveries: pushes::Deliveries<'a>,
}

impl Guard<'_> {
    /// The keyspace, to look at. Whoever replies with what it finds waits for
    /// [`Guard::lsn`].
    pub fn keyspace(&self) -> &Keyspace {
        &self.state.keyspace
    }

    /// As [`Guard::keyspace`], to change what is no data.
    pub(crate) fn keyspace_mut(&mut self) -> &mut Keyspace {
        &mut self.state.keyspace
    }

    /// What decides whether a command may run now.
    pub fn conditions(&self) -> &Conditions {
        &self.engine.conditions
    }

    /// Notes that the reply depends on what ends at `lsn`.
    pub fn depend_on(&mut self, lsn: Lsn) {
        let unit = &mut self.state.unit;
        unit.depends_on_lsn = unit.depends_on_lsn.max(lsn);
    }

    /// The libraries of functions.
    pub fn functions(&self) -> &Functions {
        &self.state.functions
    }

    /// Sets why writes are refused though the log takes them, in the words of the error; `None` to take them.
    pub fn set_write_refusal(&mut self, refusal: Option<CommandError>) {
        self.state.write_refusal = refusal;
    }

    /// Changes directives that commands look at. The hash function stays what it is.
    pub fn set_settings(&mut self, mut settings: Settings) {
        settings.limits.hasher = self.state.keyspace.hasher();
        settings.directory = self.state.settings.directory;
        self.state.settings = settings;
    }

    /// What commands look at.
    pub fn settings(&self) -> &Settings {
        &self.state.settings
    }

    /// The LSN behind the last command executed.
    pub fn lsn(&self) -> Lsn {
        self.state.lsn
    }

    /// Sets hits, misses and expired keys back to zero.
    pub fn reset_stats(&mut self) {
        self.state.keyspace.stats = Default::default();
    }

    /// Effects stated since the start.
    pub fn changes(&self) -> u64 {
        self.state.changes
    }

    /// Notes that a request runs, for the pace of snapshots.
    pub fn note_request(&mut self) {
        self.state.commands += 1;
    }

    /// Microseconds since some moment in the past.
    pub fn monotonic_us(&self) -> u64 {
        self.engine.machine.clock.monotonic_us()
    }

    /// When the engine was taken, in µs of the monotonic clock.
    pub fn began_us(&self) -> u64 {
        self.began_us
    }

    /// The time at which this batch executes, as Unix time in ms.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Whether the command at hand is part of a transaction, so that it must not wait for anything.
    pub fn in_exec(&self) -> bool {
        self.in_exec
    }

    /// Whether the data are still being loaded.
    pub fn is_loading(&self) -> bool {
        self.engine.conditions.is_loading()
    }

    /// Notes that the reply at hand says something about all keys.
    pub fn depend_on_all_keys(&mut self) {
        self.state.unit.depends_on_all = true;
    }

    /// The log, unless in memory-only mode.
    pub fn log(&self) -> Option<&Arc<Log>> {
        self.state.log.as_ref()
    }

    /// What a reply waits for that depends on `lsn`; `None` in memory-only mode.
    pub fn gate(&self, lsn: Lsn) -> Option<Gate> {
        let log = self.state.log.clone()?;
        let durability = log.durability();
        Some(Gate { log, lsn, durability })
    }

    /// The condition under which replies leave now; `No` in memory-only mode.
    pub fn durability(&self) -> Durability {
        self.state.log.as_ref().map_or(Durability::No, |log| log.durability())
    }

    /// Changes the condition for replies. Whatever was visible before stays behind the gate: readers
    /// wait for it under the new condition.
    pub fn set_durability(&mut self, durability: Durability) {
        // Effects are not handed over here: in the middle of a transaction that would divide it.
        if let Some(log) = &self.state.log {
            log.set_durability(durability);
        }
        let lsn = self.state.lsn;
        self.state.keyspace.last_writes.raise_floor(lsn);
    }

    /// Begins a log of what is in memory now, in `dir`: a base with everything, then a segment. What
    /// `dir` holds is replaced if it is what this engine's last log left there. Gives the new log,
    /// whose threads the caller starts. The base is durable when this returns; the engine is held
    /// meanwhile.
    ///
    /// # Errors
    /// Those of the disk, if another process has the directory, or if it holds other data. Then
    /// nothing has changed, unless the error says so: what can be on disk then is replaced by the next attempt.
    pub fn begin_log(&mut self, dir: &Path, options: Options) -> Result<Arc<Log>, OpenError> {
        assert!(self.state.log.is_none(), "there is one log at a time");
        self.flush_effects();
        self.abort_snapshot();
        let machine = &self.engine.machine;
        let now_ms = self.now_ms;
        let state = &mut *self.state;
        let mut leftover = std::mem::take(&mut state.leftover);
        let limits = state.settings.limits.clone();
        let created = log::create(
            machine.disk.clone(),
            dir,
            options,
            machine.clock.clone(),
            (machine.random)(),
            &mut leftover,
            &mut |base| compact::write_whole(state, &machine.clock, now_ms, base),
            &mut ReadBack::new(limits, &mut || true),
        );
        state.leftover = leftover;
        let log = Arc::new(created?);
        state.logs += 1;
        state.lsn = log.appended_lsn();
        state.unit.stream_db = None;
        // LSNs count anew; no reader has anything to wait for.
        state.keyspace.last_writes = crate::keyspace::LastWrites::new();
        state.log = Some(log.clone());
        *self.engine.log.lock() = Some(log.clone());
        Ok(log)
    }

    /// Goes on without the log, which the caller closes.
    pub fn end_log(&mut self) -> Option<Arc<Log>> {
        self.flush_effects();
        if let Some(log) = self.state.log.take() {
            self.state.leftover.end(log);
        }
        self.engine.log.lock().take()
    }

    /// Hands everything executed so far to the log, before the guard is dropped; but not a part of a
    /// transaction, which is never divided.
    pub fn flush(&mut self) {
        self.flush_effects();
    }

    /// Hands the effects of finished units to the log.
    fn flush_effects(&mut self) {
        let state = &mut *self.state;
        if state.unit.effects.is_empty() || self.in_exec {
            return;
        }
        match &state.log {
            Some(log) => {
                let db = state.unit.stream_db.expect("an effect selects a database");
                // Gates open by the engine's LSN: were the log's behind it, replies would leave too
                // early.
                let end = log.appended_lsn() + state.unit.effects.len() as u64;
                assert_eq!(end, state.lsn, "the log's LSN is not the engine's");
                log.append(&mut state.unit.effects, db as u32);
            }
            None => state.unit.effects.clear(),
        }
        // A buffer that a huge value blew up is not kept.
        if state.unit.effects.capacity() > 4 * EFFECTS_BYTES_MAX {
            state.unit.effects = Vec::new();
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A part of a unit is not logged, and nothing behind it.
            self.state.unit.effects.clear();
            return;
        }
        self.flush_effects();
        self.publish();
        self.garbage = std::mem::take(&mut self.state.unit.garbage);
        self.state.poisoned = false;
    }
}

/// The directory of the data set's files inside the configured `dir`.
pub fn data_dir(dir: &Path) -> PathBuf {
    dir.join(DIR_NAME)
}

/// Whether `dir`, as configured, holds a data set.
///
/// # Errors
/// Those of the disk.
pub fn holds_data(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    log::holds_data(disk, &data_dir(dir))
}
