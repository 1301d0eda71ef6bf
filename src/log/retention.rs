//! Retention: how long files are kept after a compaction has replaced them.

use super::lsn::Lsn;
use super::manifest::{RetiredFile, RetiredLine};

/// How long retired files are kept, so that an earlier moment can be restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// For this many seconds (`log-retention-time`); 0 means no limit of time.
    pub time_s: u64,
    /// At most this many bytes (`log-retention-size`); 0 means no limit of size. With both 0
    /// nothing is kept.
    pub bytes: u64,
}

impl Retention {
    /// Files retired before this Unix time in ms are removed.
    pub(super) fn since_ms(self, now_ms: u64) -> u64 {
        match self {
            Self { time_s: 0, .. } => 0,
            Self { time_s, .. } => now_ms.saturating_sub(time_s.saturating_mul(1000)),
        }
    }

    /// The most bytes that are kept.
    pub(super) fn bytes_max(self) -> u64 {
        match self {
            Self { time_s: 0, bytes: 0 } => 0,
            Self { bytes: 0, .. } => u64::MAX,
            Self { bytes, .. } => bytes,
        }
    }
}

impl Retention {
    pub(super) fn keeps_nothing(self) -> bool {
        self == Self::default()
    }

    /// Whether this keeps everything that `other` keeps, for as long.
    pub fn covers(self, other: Self) -> bool {
        self.time_limit_s() >= other.time_limit_s() && self.bytes_max() >= other.bytes_max()
    }

    /// The time that files are kept, in s.
    pub(super) fn time_limit_s(self) -> u64 {
        match self {
            Self { time_s: 0, bytes: 0 } => 0,
            Self { time_s: 0, .. } => u64::MAX,
            Self { time_s, .. } => time_s,
        }
    }
}

/// The retention in force, and whether it was set.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetentionSetting {
    pub(super) retention: Retention,
    /// No retention is set. If there are retired files, they stay and replaced files join them,
    /// because a gap would make them useless. If there are none, none are kept.
    pub(super) is_unset: bool,
}

impl RetentionSetting {
    /// The time before which retired files are removed, and the most bytes kept. `any`: there are
    /// retired files.
    pub(super) fn limits(self, now_ms: u64, any: bool) -> (u64, u64) {
        match self.is_unset && any {
            true => (0, u64::MAX),
            false => (self.retention.since_ms(now_ms), self.retention.bytes_max()),
        }
    }
}

/// Retired files that retention has removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrunedFiles {
    /// Number of files.
    pub files: usize,
    /// Total bytes.
    pub bytes: u64,
    /// The first LSN that can no longer be restored.
    pub first_lsn: Lsn,
    /// The LSN after the last one that can no longer be restored.
    pub end_lsn: Lsn,
    /// When the last of them was retired (Unix ms): everything in them is older.
    pub until_ms: u64,
}

impl PrunedFiles {
    pub(super) fn of(gone: &[RetiredLine]) -> Option<Self> {
        let until_ms = gone.last()?.time_ms;
        let lsns = |line: &RetiredLine| match &line.file {
            RetiredFile::Base(base) => (base.lsn, base.end_lsn),
            RetiredFile::Segment(segment) | RetiredFile::CompressedSegment { segment, .. } => {
                (segment.first_lsn, segment.end.map_or(segment.first_lsn, |end| end.lsn))
            }
        };
        Some(Self {
            files: gone.len(),
            bytes: gone.iter().map(|line| line.file.bytes()).sum(),
            first_lsn: gone.iter().map(|line| lsns(line).0).min()?,
            end_lsn: gone.iter().map(|line| lsns(line).1).max()?,
            until_ms,
        })
    }

    pub(super) fn and(self, later: Self) -> Self {
        Self {
            files: self.files + later.files,
            bytes: self.bytes + later.bytes,
            first_lsn: self.first_lsn.min(later.first_lsn),
            end_lsn: self.end_lsn.max(later.end_lsn),
            until_ms: self.until_ms.max(later.until_ms),
        }
    }
}
