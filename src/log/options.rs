//! Sizes, modes and choices of a log.

use super::retention::Retention;

/// When a reply leaves: `appendfsync`. The stricter one is the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Durability {
    /// Once what it shows or did is durable.
    Always = 0,
    /// Once it is drained; a sync follows within a second, or replies wait for it.
    EverySec = 1,
    /// Once it is drained; the kernel decides when to write.
    No = 2,
}

impl Durability {
    /// The one of two conditions that promises more.
    pub fn stricter(self, other: Self) -> Self {
        self.min(other)
    }

    pub(super) fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Always,
            1 => Self::EverySec,
            _ => Self::No,
        }
    }
}

/// Sizes and choices of a log.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of a full-grown segment in bytes (`log-segment-size`).
    pub segment_bytes: u64,
    /// Payloads of this size and more are compressed; `None` compresses nothing.
    pub compression_bytes_min: Option<usize>,
    /// Commands that are not durable are kept in memory; beyond this many bytes, writers wait.
    pub undurable_bytes_max: u64,
    /// The condition for replies at the beginning.
    pub durability: Durability,
    /// How long files are kept that a compaction has replaced, at the beginning.
    pub retention: Retention,
    /// Whether retired segments are compressed (`log-retention-compression`).
    pub compresses_retired: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            compression_bytes_min: Some(4096),
            undurable_bytes_max: 128 << 20,
            durability: Durability::Always,
            retention: Retention::default(),
            compresses_retired: true,
        }
    }
}

/// Under `everysec`, replies wait once the oldest undurable byte is older than this.
pub const LAG_US_MAX: u64 = 1_000_000;
/// Under `everysec`, a sync begins once the oldest undurable byte is older than this, so that one
/// that takes up to half a second makes no reply wait.
pub(super) const SYNC_AGE_US: u64 = 500_000;
/// Under `no`, a sync begins once this much is undurable: it is also kept in memory.
pub(super) const UNDURABLE_BYTES_TARGET: u64 = 32 << 20;
