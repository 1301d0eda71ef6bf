//! Gates: what a reply waits for before it leaves.

use super::lsn::Lsn;
use super::options::{Durability, LAG_US_MAX};
use super::state::Log;
use std::sync::atomic::Ordering;

/// What a reply waits for: the LSN that it depends on, under the durability that was in force when
/// its command ran.
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

impl Log {
    /// Whether a reply may leave.
    pub fn passage(&self, gate: Gate) -> Passage {
        let durable = self.durable_lsn();
        if gate.lsn <= durable {
            return Passage::Open;
        }
        if self.has_failed() {
            // It may have healed meanwhile.
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
            // The mode has been relaxed since: it may never sync this LSN by itself.
            self.sync_wanted.fetch_max(gate.lsn, Ordering::AcqRel);
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
