//! The log thread: its steps, one at a time.

use super::lsn::Lsn;
use super::options::{Durability, SYNC_AGE_US, UNDURABLE_BYTES_TARGET};
use super::state::{Log, NOTHING};
use super::writer::{WriteError, Writer};
use crate::disk::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The next step of the log thread.
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
    /// Sleep until woken, or until this much time has passed.
    Wait(Option<Duration>),
    /// The log is being closed.
    Stop,
}

/// A sync in progress, and what it covers.
pub struct SyncTicket {
    file: Arc<dyn File>,
    lsn: Lsn,
    offset: u64,
    start_us: u64,
}

impl SyncTicket {
    /// Makes durable what the ticket covers. Pass the result to [`Log::finish_sync`].
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
            // The thread that holds the writer wakes this one when it is done.
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

    /// Takes the wake-up of the log thread. Call it before [`Log::next_action`], so that work added
    /// after that interrupts the wait.
    pub fn take_work(&self) -> bool {
        std::mem::take(&mut *self.work.lock())
    }

    /// Runs the log thread until the log is closed.
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

    /// Does all current work of the log thread, for a log without threads.
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

    /// Ends a sync. If nothing is left to write, a marker records the durable LSN.
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
        // Replies leave before the marker is written; they do not depend on it.
        self.notify();
        let mut writer = self.writer.lock();
        let idle = writer.written_lsn == writer.durable_lsn && self.commit.lock().is_empty();
        if idle && let Err(WriteError::Io(error)) = writer.write_marker() {
            drop(writer);
            self.fail("writing to the log", &error);
            self.notify();
        }
    }

    /// Advances the durable LSN and what depends on it.
    pub(super) fn publish_durable(&self, writer: &mut Writer, lsn: Lsn, offset: u64) {
        let mut commit = self.commit.lock();
        writer.advance_durable(lsn, offset, &mut commit);
        let oldest = writer.retained.front().map(|batch| batch.first_us);
        let oldest = oldest.or(commit.first_us()).unwrap_or(NOTHING);
        self.oldest_us.store(oldest, Ordering::Release);
        self.durable.store(lsn, Ordering::Release);
    }
}
