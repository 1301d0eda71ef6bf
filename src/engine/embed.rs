//! What a program that embeds the engine needs beside [`Engine::lock`]: threads, waiting until a
//! reply may be shown, and the end.

use super::unit::misconf;
use super::{Engine, Outcome};
use crate::commands::CommandError;
use crate::log::{Gate, Log, Passage};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::time::Duration;

/// A watermark may also move by time alone, unnoticed by listeners.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// Wakes those who wait for the log.
#[derive(Default)]
pub(super) struct Moved {
    lock: Mutex<()>,
    condvar: Condvar,
}

impl Engine {
    /// Starts the threads of the log, if there is one. Without them nothing becomes durable by
    /// itself.
    ///
    /// # Panics
    /// If the system starts no thread.
    pub fn start(&self) {
        let Some(log) = self.log() else { return };
        let moved = self.moved.clone();
        log.listen(move || {
            drop(moved.lock.lock());
            moved.condvar.notify_all();
        });
        log.start();
    }

    /// Waits until a reply may be shown: what it depends on is as durable as the log's mode promises.
    /// The engine must not be held. [`Engine::start`] comes before.
    ///
    /// # Errors
    /// If the log has failed. The outcome of a write is unknown then.
    pub fn wait(&self, outcome: &Outcome) -> Result<(), CommandError> {
        let Some(log) = self.log() else { return Ok(()) };
        log.submit();
        let (lsn, durability) = (outcome.lsn, log.durability());
        let gate = Gate { log, lsn, durability };
        let mut held = self.moved.lock.lock();
        loop {
            match gate.passage() {
                Passage::Open => return Ok(()),
                Passage::Failed => return Err(misconf(&gate.log.refusal().unwrap_or_default())),
                Passage::Wait => drop(self.moved.condvar.wait_for(&mut held, LOOK_PERIOD)),
            }
        }
    }

    /// Closes the log: everything in it becomes durable, its threads end, and the next start reads
    /// it as one that was closed. Nothing may be executed afterwards.
    ///
    /// # Errors
    /// Those of the disk. The next start recovers what was durable.
    pub fn close(&self) -> io::Result<()> {
        drop(self.lock());
        self.log().as_deref().map_or(Ok(()), Log::end)
    }
}
