//! Disk space: how much a file may take, so that the log can always continue.
//!
//! On a full disk, the reserved space is what ends a failure: it allows replacing the manifest,
//! writing undurable commands to a new segment, and closing the log. So a segment for commands
//! leaves `kept_bytes` free. Files that can wait (a base, a dump, a compressed segment) leave one
//! more segment free (`kept_by_copies_bytes`). When no further segment fits and writes are refused,
//! only a compaction frees space; it leaves `kept_by_last_base_bytes`. Healing, the manifest and a
//! start may take all space.

use crate::disk::Disk;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The size of the first segment after a start. Each next one is up to four times as big, so that a
/// short-lived or idle server does not write the zeros of a big segment.
pub(super) const FIRST_SEGMENT_BYTES: u64 = 1 << 20;
/// The longest line of a manifest.
const LINE_BYTES_MAX: u64 = 256;

/// A file does not fit beside the space reserved for the log.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("No space left on device: {needed} bytes are needed, and {free} are free{}", Kept(*kept))]
pub struct NoRoom {
    /// How many bytes it needs.
    pub needed: u64,
    /// How many are free.
    pub free: u64,
    /// How many of them it must leave.
    pub kept: u64,
}

/// The reserved bytes, in a message.
struct Kept(u64);

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            kept => write!(f, ", of which the last {kept} are reserved for the log"),
        }
    }
}

impl From<NoRoom> for io::Error {
    fn from(error: NoRoom) -> Self {
        Self::new(io::ErrorKind::StorageFull, error)
    }
}

/// The smallest segment for commands: 1 MiB, or `segment_bytes` if that is less.
pub(super) fn smallest_bytes(segment_bytes: u64) -> u64 {
    FIRST_SEGMENT_BYTES.min(segment_bytes)
}

/// Bytes that a segment for commands leaves free: two of the smallest segments, and a manifest of
/// `files` files.
pub(super) fn kept_bytes(segment_bytes: u64, files: usize) -> u64 {
    2 * smallest_bytes(segment_bytes) + files as u64 * LINE_BYTES_MAX
}

/// Bytes that a copy of the data leaves free: one of the smallest segments more.
pub(super) fn kept_by_copies_bytes(segment_bytes: u64, files: usize) -> u64 {
    kept_bytes(segment_bytes, files) + smallest_bytes(segment_bytes)
}

/// Bytes that a base leaves free while writes are refused: one of the smallest segments less than
/// commands would.
pub(super) fn kept_by_last_base_bytes(segment_bytes: u64, files: usize) -> u64 {
    kept_bytes(segment_bytes, files) - smallest_bytes(segment_bytes)
}

/// The space that a copy of the data may take.
#[derive(Clone)]
pub struct Room {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    kept: u64,
}

impl Room {
    /// All free space of `dir` except `kept` bytes.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, kept: u64) -> Self {
        Self { disk, dir: dir.into(), kept }
    }

    /// Fails if `more` bytes do not fit after the `written` ones.
    ///
    /// # Errors
    /// [`NoRoom`] with the bytes that both need, and those of the disk.
    pub fn check(&self, written: u64, more: u64) -> io::Result<()> {
        let free = self.disk.free_bytes(&self.dir)?;
        if free == u64::MAX || more.saturating_add(self.kept) <= free {
            return Ok(());
        }
        let (needed, free) = (written.saturating_add(more), free.saturating_add(written));
        Err(NoRoom { needed, free, kept: self.kept }.into())
    }
}

/// Whether the error is a lack of space, so that something smaller may fit.
pub fn is_out_of_space(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The possible lengths of a new file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// The preferred length.
    pub(super) usual: u64,
    /// It is halved until the file fits, but not below this.
    pub(super) least: u64,
    /// Bytes that are left free.
    pub(super) kept: u64,
}

impl Size {
    /// The length that fits into `free` bytes.
    ///
    /// # Errors
    /// If not even the least length fits.
    pub(super) fn within(self, free: u64) -> Result<u64, NoRoom> {
        let Self { usual, least, kept } = self;
        let room = if free == u64::MAX { free } else { free.saturating_sub(kept) };
        let mut size = usual.max(least);
        while size > room && size > least {
            size = (size / 2).max(least);
        }
        if size > room { Err(NoRoom { needed: least, free, kept }) } else { Ok(size) }
    }

    /// The lengths to try after a file of `size` unexpectedly did not fit; `None` after the least.
    pub(super) fn below(self, size: u64) -> Option<Self> {
        (size > self.least).then_some(Self { usual: size / 2, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_halved_until_it_fits() {
        let size = Size { usual: 64, least: 3, kept: 10 };
        for (free, expected) in
            [(u64::MAX, 64), (74, 64), (73, 32), (42, 32), (41, 16), (14, 4), (13, 3)]
        {
            assert_eq!(size.within(free), Ok(expected), "{free}");
        }
        assert_eq!(size.within(12), Err(NoRoom { needed: 3, free: 12, kept: 10 }));
        // A frame may need more than the preferred length.
        assert_eq!(Size { least: 100, ..size }.within(110), Ok(100));
        assert!(Size { least: 100, ..size }.within(109).is_err());
        assert!(size.below(4).is_some() && size.below(3).is_none());
    }
}
