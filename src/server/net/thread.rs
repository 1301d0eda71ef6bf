//! One I/O thread, as the rest of the server sees it.

use super::reply_gates::ReplyGates;
use crate::session::Stats;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// One I/O thread, as the rest of the server sees it.
#[derive(Default)]
pub struct Thread {
    /// Replies of its connections that wait for the log.
    pub gates: ReplyGates,
    /// What its connections have counted of commands.
    pub stats: Mutex<Stats>,
    /// What its connections have read and written.
    pub traffic: Traffic,
}

/// What connections of one thread have read and written since the start. Only that thread counts.
#[derive(Debug, Default)]
pub struct Traffic {
    read_bytes: AtomicU64,
    reads: AtomicU64,
    written_bytes: AtomicU64,
    writes: AtomicU64,
}

/// Traffic of several threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficSum {
    /// Bytes read from clients.
    pub read_bytes: u64,
    /// Reads from clients.
    pub reads: u64,
    /// Bytes written to clients.
    pub written_bytes: u64,
    /// Writes to clients.
    pub writes: u64,
}

impl Traffic {
    /// Counts a read.
    pub fn read(&self, bytes: usize) {
        add(&self.read_bytes, bytes as u64);
        add(&self.reads, 1);
    }

    /// Counts a write.
    pub fn wrote(&self, bytes: usize) {
        add(&self.written_bytes, bytes as u64);
        add(&self.writes, 1);
    }
}

/// Adds without a locked instruction: the caller is the only writer.
fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
}

impl TrafficSum {
    /// What these threads have read and written since the start.
    pub fn of<'a>(threads: impl IntoIterator<Item = &'a Thread>) -> Self {
        let mut sum = Self::default();
        for Thread { traffic, .. } in threads {
            sum.read_bytes += traffic.read_bytes.load(Ordering::Relaxed);
            sum.reads += traffic.reads.load(Ordering::Relaxed);
            sum.written_bytes += traffic.written_bytes.load(Ordering::Relaxed);
            sum.writes += traffic.writes.load(Ordering::Relaxed);
        }
        sum
    }

    /// What came after `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            read_bytes: self.read_bytes - earlier.read_bytes,
            reads: self.reads - earlier.reads,
            written_bytes: self.written_bytes - earlier.written_bytes,
            writes: self.writes - earlier.writes,
        }
    }
}
