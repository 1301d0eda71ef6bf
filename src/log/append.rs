//! The way of a command into the log: the commit buffer, then a frame of the current segment.

use super::lsn::Lsn;
use super::options::{Durability, UNDURABLE_BYTES_TARGET};
use super::state::{Log, NOTHING};
use super::writer::{WriteError, Writer};
use std::sync::atomic::Ordering;

impl Log {
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
    pub(super) fn drain_locked(&self, writer: &mut Writer) -> Result<(), WriteError> {
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
    pub(super) fn finish_drain(&self, outcome: Result<(), WriteError>) -> bool {
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
}
