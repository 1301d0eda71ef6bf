//! The log's settings and the constants derived from them.

use super::retention::Retention;

/// When a reply may leave (`appendfsync`). Ordered from strict to lax.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Durability {
    /// When everything that it shows or did is durable.
    Always = 0,
    /// When that is drained. A sync follows within a second; if it is late, replies wait for it.
    EverySec = 1,
    /// When that is drained. The kernel decides when it reaches the disk.
    No = 2,
}

impl Durability {
    /// The stricter of the two.
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

/// Settings of a log.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of a full-grown segment in bytes (`log-segment-size`).
    pub segment_bytes: u64,
    /// Payloads of at least this many bytes are compressed; `None` turns compression off.
    pub compression_bytes_min: Option<usize>,
    /// Undurable commands are kept in memory. Beyond this many bytes, writers wait.
    pub undurable_bytes_max: u64,
    /// The initial durability.
    pub durability: Durability,
    /// The initial retention of files that a compaction has replaced.
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
/// Under `everysec`, a sync begins when the oldest undurable byte is this old. A sync of up to half
/// a second then delays no reply.
pub(super) const SYNC_AGE_US: u64 = 500_000;
/// Under `no`, a sync begins when this many bytes are undurable, because they are also kept in
/// memory.
pub(super) const UNDURABLE_BYTES_TARGET: u64 = 32 << 20;
