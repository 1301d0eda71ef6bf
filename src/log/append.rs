//! Appending: from a command's effects to a frame in the current segment.

use super::lsn::Lsn;
use super::options::{Durability, UNDURABLE_BYTES_TARGET};
use super::state::{Log, NOTHING};
use super::writer::{WriteError, Writer};
use std::sync::atomic::Ordering;

impl Log {
    /// Moves the effects of whole units into the commit buffer; `effects` is empty afterwards. `db`
    /// is the database selected after them. Returns the LSN after them. Call it in commit order,
    /// which means under the engine's lock. Does no I/O. The caller calls [`Log::submit`] before
    /// anything waits for the LSN.
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
        // Wake the log thread to sync in time, and to bound the memory of undurable commands. Under
        // `always`, `submit` wakes it once for the whole batch.
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

    /// Starts the way of appended commands to the disk: wakes the log thread under `always`, drains
    /// otherwise. Call it once for a batch of commands.
    pub fn submit(&self) {
        match self.durability() {
            Durability::Always => self.kick(),
            Durability::EverySec | Durability::No => self.drain(),
        }
    }

    /// The LSN that must be durable before the next write may run, if writers have to wait:
    /// undurable commands are kept in memory, up to a limit. `None` while the log has failed:
    /// writes are then refused instead of delayed.
    pub fn backpressure_lsn(&self) -> Option<Lsn> {
        // The durable LSN may have overtaken the appended LSN read before it.
        let undurable = self.appended_lsn().saturating_sub(self.durable_lsn());
        if undurable <= self.options.undurable_bytes_max || self.has_failed() {
            return None;
        }
        // Wait until half of the memory is free again.
        Some(self.appended_lsn() - self.options.undurable_bytes_max / 2)
    }

    /// Writes the commit buffer into the segment. Leaves this to the log thread if the segment is
    /// full or another thread holds the writer for long.
    pub fn drain(&self) {
        if self.is_writer_busy() || self.has_failed() {
            self.drain_left.store(true, Ordering::Release);
            self.kick();
            return;
        }
        let mut writer = self.writer.lock();
        if self.has_failed() {
            // It failed while this thread waited for the writer. A manifest that ends the segment
            // may be active, and would cut off what is written to it now.
            return;
        }
        let before = writer.written_lsn;
        let outcome = self.drain_locked(&mut writer);
        // Under `always` replies wait for the sync, not for the drain.
        let moved = writer.written_lsn > before && self.durability() != Durability::Always;
        let failed = self.finish_drain(outcome);
        drop(writer);
        if failed || moved {
            self.notify();
        }
    }

    /// Writes the commit buffer into the segment.
    pub(super) fn drain_locked(&self, writer: &mut Writer) -> Result<(), WriteError> {
        // A drain left to the log thread from here on is for commands appended before, or is
        // requested again.
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

    /// Handles the result of a drain. Returns whether the log failed.
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
