//! Gates: what a reply waits for before it leaves.

use super::lsn::Lsn;
use super::options::{Durability, LAG_US_MAX};
use super::state::Log;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a reply or a push waits for: an LSN of a log, under the durability that was in force when
/// its command ran.
#[derive(Clone)]
pub struct Gate {
    /// The log that the LSN belongs to.
    pub log: Arc<Log>,
    /// The highest LSN that the reply depends on.
    pub lsn: Lsn,
    /// The condition: the durability that the writer was promised.
    pub durability: Durability,
}

impl Gate {
    /// Whether what waits for it may leave.
    pub fn passage(&self) -> Passage {
        self.log.passage(self.lsn, self.durability)
    }

    /// Makes this gate one for `other` as well, which names the same log.
    pub fn join(&mut self, other: &Gate) {
        debug_assert!(Arc::ptr_eq(&self.log, &other.log));
        self.lsn = self.lsn.max(other.lsn);
        self.durability = self.durability.stricter(other.durability);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Gate");
        shown.field("lsn", &self.lsn).field("durability", &self.durability).finish_non_exhaustive()
    }
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

impl Log {
    /// Whether a reply may leave that depends on `lsn` under this durability.
    pub fn passage(&self, lsn: Lsn, durability: Durability) -> Passage {
        if lsn <= self.durable_lsn() {
            return Passage::Open;
        }
        if self.has_failed() {
            // It may have healed meanwhile.
            let open = lsn <= self.durable_lsn();
            return if open { Passage::Open } else { Passage::Failed };
        }
        let open = match durability {
            Durability::Always => false,
            Durability::EverySec => lsn <= self.drained_lsn() && self.lag_us() <= LAG_US_MAX,
            Durability::No => lsn <= self.drained_lsn(),
        };
        if open {
            return Passage::Open;
        }
        if durability < self.durability() {
            // The mode has been relaxed since: it may never sync this LSN by itself.
            self.sync_wanted.fetch_max(lsn, Ordering::AcqRel);
            self.kick();
        }
        Passage::Wait
    }

    /// Requests a sync of everything appended so far, in any mode. Returns the LSN after it.
    pub fn request_sync(&self) -> Lsn {
        let lsn = self.appended_lsn();
        self.sync_wanted.fetch_max(lsn, Ordering::AcqRel);
        self.kick();
        lsn
    }
}
