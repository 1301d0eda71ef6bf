//! Snapshots: the keyspace of one moment, handed bit by bit to whoever writes it down.
//!
//! Connection threads, which hold the engine anyway, encode a slice after a batch ([`Guard::save_slice`]); the writer,
//! a thread of its own, takes what they have encoded from [`Parts`], compresses it and writes it. It never
//! takes the engine.

use super::functions::Functions;
use super::{Guard, State};
use crate::data::Limits;
use crate::env::Clock;
use crate::keyspace::Saved;
use crate::log::Lsn;
use crate::rdb::blocks::Count;
use crate::rdb::{Chunk, Format};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// While more than this waits for the writer, slices stop.
const PARTS_BYTES_PAUSE: usize = 2 << 20;
/// A slice behind a batch takes this long.
const SLICE_US: u64 = 100;
/// While commands come, slices take one part in so many of the time.
const BUSY_SHARE: u64 = 40;
/// While none come, whoever asks for slices decides.
const IDLE_SHARE: u64 = 1;
/// While more than this is kept for a snapshot, commands that write wait before they take the engine.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// A snapshot that has begun.
pub struct Begun {
    /// What it is of: the keyspace behind this LSN. 0 in memory-only mode.
    pub lsn: Lsn,
    /// The database that the log's stream has selected there.
    pub db: u32,
    /// When, as Unix time in ms.
    pub time_ms: i64,
    /// How many keys there are.
    pub counts: Vec<Count>,
    /// The libraries of functions.
    pub functions: Functions,
    /// How it is to be written.
    pub format: Format,
    /// Encodings and hash function of the keyspace.
    pub limits: Limits,
    /// Where its parts come.
    pub parts: Arc<Parts>,
}

/// What comes next of a snapshot.
pub enum Next {
    /// A part.
    Part(Saved),
    /// Nothing yet.
    Wait,
    /// Nothing more: it is complete.
    Whole,
    /// Nothing more: it was given up.
    Aborted,
}

#[derive(Default)]
struct Queue {
    parts: VecDeque<Saved>,
    bytes: usize,
    whole: bool,
    aborted: bool,
}

/// Parts of a snapshot on their way from the engine to the writer.
#[derive(Default)]
pub struct Parts {
    queue: Mutex<Queue>,
    added: Condvar,
}

fn bytes_of(part: &Saved) -> usize {
    match part {
        Saved::Chunk(chunk) => chunk.memory_bytes(),
        // Memory that was there before.
        Saved::Orphan(_) | Saved::Flushed(_) => 0,
    }
}

impl Parts {
    /// Takes the next part.
    pub fn next(&self) -> Next {
        let mut queue = self.queue.lock();
        if queue.aborted {
            return Next::Aborted;
        }
        match queue.parts.pop_front() {
            Some(part) => {
                queue.bytes -= bytes_of(&part);
                Next::Part(part)
            }
            None if queue.whole => Next::Whole,
            None => Next::Wait,
        }
    }

    /// Waits until there is something, for at most `timeout`. Behind the last part, as long as that: what its writer
    /// waits for then comes from elsewhere.
    pub fn wait(&self, timeout: Duration) {
        let mut queue = self.queue.lock();
        if queue.parts.is_empty() && !queue.aborted {
            self.added.wait_for(&mut queue, timeout);
        }
    }

    /// Gives the snapshot up: nothing of it will be used. Either side may do that.
    pub fn abort(&self) {
        let mut queue = self.queue.lock();
        queue.aborted = true;
        let parts = std::mem::take(&mut queue.parts);
        drop(queue);
        drop(parts);
        self.added.notify_all();
    }

    /// Whether it was given up.
    pub fn is_aborted(&self) -> bool {
        self.queue.lock().aborted
    }

    fn push(&self, part: Saved) {
        let mut queue = self.queue.lock();
        if !queue.aborted {
            queue.bytes += bytes_of(&part);
            queue.parts.push_back(part);
        }
        self.added.notify_one();
    }

    fn end(&self) {
        self.queue.lock().whole = true;
        self.added.notify_all();
    }

    fn bytes(&self) -> usize {
        self.queue.lock().bytes
    }
}

/// Gives `sink` everything that is in a part.
pub fn unpack(part: Saved, format: Format, sink: &mut dyn FnMut(Chunk)) {
    match part {
        Saved::Chunk(chunk) => sink(chunk),
        Saved::Orphan(orphan) => orphan.save(format, sink),
        Saved::Flushed(mut database) => database.save_rest(format, sink),
    }
}

/// How much of the engine's time snapshots have taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotStats {
    /// Slices since the last snapshot began.
    pub slices: u64,
    /// The longest of them, in µs.
    pub slice_us_max: u64,
    /// The longest time for which a command kept an old value, in µs.
    pub keep_us_max: u64,
    /// Keys that the snapshot at hand has at its beginning.
    pub keys: u64,
}

/// A snapshot at hand.
pub(super) struct Running {
    parts: Arc<Parts>,
    /// When the last slice ended, and how long it took, in µs of the monotonic clock.
    last_us: (u64, u64),
    /// Commands executed by then.
    commands: u64,
}

impl Guard<'_> {
    /// Begins a snapshot of what is in memory now. `None` in the middle of a transaction, or if one is running.
    pub fn begin_snapshot(&mut self, format: Format) -> Option<Begun> {
        if self.in_exec || self.state.snapshot.is_some() {
            return None;
        }
        self.flush_effects();
        let clock = self.engine.machine.clock.clone();
        let state = &mut *self.state;
        let counts = state.keyspace.begin_snapshot(format, clock);
        let parts = Arc::new(Parts::default());
        state.snapshot =
            Some(Running { parts: parts.clone(), last_us: (0, 0), commands: state.commands });
        state.snapshot_stats = SnapshotStats {
            keys: counts.iter().map(|count| count.keys).sum(),
            ..SnapshotStats::default()
        };
        Some(Begun {
            lsn: state.lsn,
            db: state.unit.stream_db.unwrap_or(0) as u32,
            time_ms: self.now_ms,
            counts,
            functions: state.functions.clone(),
            format,
            limits: state.settings.limits.clone(),
            parts,
        })
    }

    /// Whether a snapshot wants slices.
    pub fn is_saving(&self) -> bool {
        self.state.snapshot.is_some()
    }

    /// What the snapshot at hand, or the last one, has cost.
    pub fn snapshot_stats(&self) -> SnapshotStats {
        self.state.snapshot_stats
    }

    /// Encodes some of the snapshot at hand for about `budget_us`. False if there was nothing to do: no
    /// snapshot, or the writer does not keep up.
    pub fn save_slice(&mut self, budget_us: u64) -> bool {
        if self.in_exec {
            return false;
        }
        let clock = &*self.engine.machine.clock;
        self.state.save_slice(clock, budget_us)
    }

    /// A slice behind a batch of commands, if it is time for one.
    pub fn save_slice_in_turn(&mut self) {
        self.save_slice_at_share(BUSY_SHARE);
    }

    /// A slice while perhaps nobody sends commands. True if there may be more to do at once.
    pub fn save_slice_when_idle(&mut self) -> bool {
        let commands = self.state.commands;
        let idle = self.state.snapshot.as_ref().is_some_and(|running| running.commands == commands);
        // Nobody writes while too much is kept, so it is given out as quickly as possible.
        let hurry = idle || self.snapshot_has_backpressure();
        self.save_slice_at_share(if hurry { IDLE_SHARE } else { BUSY_SHARE })
    }

    fn save_slice_at_share(&mut self, share: u64) -> bool {
        let Some(running) = &self.state.snapshot else { return false };
        let (ended_us, took_us) = running.last_us;
        let clock = self.engine.machine.clock.clone();
        let start_us = clock.monotonic_us();
        if start_us < ended_us + took_us * (share - 1) || !self.save_slice(SLICE_US) {
            return false;
        }
        let end_us = clock.monotonic_us();
        let commands = self.state.commands;
        if let Some(running) = &mut self.state.snapshot {
            running.last_us = (end_us, end_us - start_us);
            running.commands = commands;
        }
        true
    }

    /// Gives the snapshot at hand up.
    pub fn abort_snapshot(&mut self) {
        if let Some(running) = self.state.snapshot.take() {
            running.parts.abort();
            self.state.keyspace.end_snapshot();
        }
    }

    /// Whether so much is kept for the snapshot at hand that writers are to wait before they take the engine.
    pub fn snapshot_has_backpressure(&mut self) -> bool {
        let state = &mut *self.state;
        state.snapshot.as_ref().is_some_and(|running| {
            running.parts.bytes() + state.keyspace.unsaved_bytes() > KEPT_BYTES_MAX
        })
    }
}

impl State {
    fn save_slice(&mut self, clock: &dyn Clock, budget_us: u64) -> bool {
        let Some(running) = &self.snapshot else { return false };
        if running.parts.is_aborted() {
            self.snapshot = None;
            self.keyspace.end_snapshot();
            return false;
        }
        if running.parts.bytes() > PARTS_BYTES_PAUSE {
            return false;
        }
        let start_us = clock.monotonic_us();
        let mut now_us = start_us;
        let mut more = || {
            now_us = clock.monotonic_us();
            now_us - start_us < budget_us
        };
        while let Some(part) = self.keyspace.next_saved(&mut more) {
            if !matches!(&part, Saved::Chunk(chunk) if chunk.is_empty()) {
                running.parts.push(part);
            }
            if !more() {
                break;
            }
        }
        if self.keyspace.is_saved() {
            running.parts.end();
            self.snapshot_stats.keep_us_max = self.keyspace.keep_us_max();
            self.snapshot = None;
            self.keyspace.end_snapshot();
        } else {
            self.snapshot_stats.keep_us_max = self.keyspace.keep_us_max();
        }
        let stats = &mut self.snapshot_stats;
        stats.slices += 1;
        stats.slice_us_max = stats.slice_us_max.max(clock.monotonic_us() - start_us);
        true
    }
}
