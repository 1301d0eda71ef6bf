//! Positions in the log: LSNs, and the timelines in which they are valid.

use std::fmt;

/// A byte offset in the stream of committed commands of a data set.
pub type Lsn = u64;

/// Names a timeline; also the replication id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimelineId(pub [u8; 20]);

impl TimelineId {
    /// A random one.
    pub fn random(random: &mut dyn FnMut() -> u64) -> Self {
        let mut bytes = [0; 20];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&random().to_le_bytes()[..chunk.len()]);
        }
        Self(bytes)
    }
}

impl fmt::Display for TimelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The history in which an LSN is valid. A start that may have lost commands begins a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Its id.
    pub id: TimelineId,
    /// The LSN at which it began.
    pub begin_lsn: Lsn,
}

/// Where reading a log ends: before the first frame that is beyond either limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// Frames that begin at this LSN or above are left out.
    pub lsn: Lsn,
    /// Frames written later than this Unix time in ms are left out.
    pub time_ms: u64,
}

impl Until {
    /// No limit.
    pub const END: Self = Self { lsn: Lsn::MAX, time_ms: u64::MAX };
}
