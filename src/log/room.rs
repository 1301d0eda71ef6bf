//! How much room on the disk a file may take, so that the log can always go on.
//!
//! On a disk that fills up, what is kept free is what ends a failure: a manifest can be replaced,
//! commands that are not durable find a new segment, and the log can be closed. So segments for
//! commands leave `kept_bytes` free, and whatever can wait (a base, a dump, a compressed segment)
//! leaves room for one more segment besides (`kept_by_copies_bytes`). Once there is no room for
//! another segment, so that writes are refused, a compaction is what gives room, and leaves only
//! `kept_by_last_base_bytes`. Healing, the manifest and a start may take all there is.

use crate::disk::Disk;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The first segment after a start is this big; each next one up to four times the one before, so
/// that a short-lived or idle server does not write a big segment's zeros.
pub(super) const FIRST_SEGMENT_BYTES: u64 = 1 << 20;
/// No line of a manifest is longer.
const LINE_BYTES_MAX: u64 = 256;

/// Something would take room that is kept for the log.
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

/// What is kept, in the words of a message.
struct Kept(u64);

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            kept => write!(f, ", the last {kept} of which are kept for the log to go on"),
        }
    }
}

impl From<NoRoom> for io::Error {
    fn from(error: NoRoom) -> Self {
        Self::new(io::ErrorKind::StorageFull, error)
    }
}

/// The shortest segment that is made for commands: 1 MiB, or `segment_bytes` if that is less.
pub(super) fn smallest_bytes(segment_bytes: u64) -> u64 {
    FIRST_SEGMENT_BYTES.min(segment_bytes)
}

/// What a segment for commands leaves free: two of the smallest, and a manifest that lists so many
/// files.
pub(super) fn kept_bytes(segment_bytes: u64, files: usize) -> u64 {
    2 * smallest_bytes(segment_bytes) + files as u64 * LINE_BYTES_MAX
}

/// What a copy of the data leaves free: room for one of the smallest segments more.
pub(super) fn kept_by_copies_bytes(segment_bytes: u64, files: usize) -> u64 {
    kept_bytes(segment_bytes, files) + smallest_bytes(segment_bytes)
}

/// What a base leaves free while writes are refused: one of the smallest segments less than they
/// would.
pub(super) fn kept_by_last_base_bytes(segment_bytes: u64, files: usize) -> u64 {
    kept_bytes(segment_bytes, files) - smallest_bytes(segment_bytes)
}

/// The room that a copy of the data may take.
#[derive(Clone)]
pub struct Room {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    kept: u64,
}

impl Room {
    /// All that is free in `dir` but so many bytes.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, kept: u64) -> Self {
        Self { disk, dir: dir.into(), kept }
    }

    /// Fails if there is no room for `more` bytes behind those that were written.
    ///
    /// # Errors
    /// [`NoRoom`], which names the bytes that both need, and those of the disk.
    pub fn check(&self, written: u64, more: u64) -> io::Result<()> {
        let free = self.disk.free_bytes(&self.dir)?;
        if free == u64::MAX || more.saturating_add(self.kept) <= free {
            return Ok(());
        }
        let (needed, free) = (written.saturating_add(more), free.saturating_add(written));
        Err(NoRoom { needed, free, kept: self.kept }.into())
    }
}

/// Whether something smaller may fit where this has failed.
pub fn is_out_of_space(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// How long a new file becomes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// So long if that fits.
    pub(super) usual: u64,
    /// It is halved until it fits, but not below this.
    pub(super) least: u64,
    /// So much is left free.
    pub(super) kept: u64,
}

impl Size {
    /// The length that fits where so many bytes are free.
    ///
    /// # Errors
    /// If not even the least does.
    pub(super) fn within(self, free: u64) -> Result<u64, NoRoom> {
        let Self { usual, least, kept } = self;
        let room = if free == u64::MAX { free } else { free.saturating_sub(kept) };
        let mut size = usual.max(least);
        while size > room && size > least {
            size = (size / 2).max(least);
        }
        if size > room { Err(NoRoom { needed: least, free, kept }) } else { Ok(size) }
    }

    /// What is tried once a file of `size` has not fitted although it should have; `None` after the
    /// least.
    pub(super) fn below(self, size: u64) -> Option<Self> {
        (size > self.least).then_some(Self { usual: size / 2, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_halved_until_it_fits_beside_what_is_kept() {
        let size = Size { usual: 64, least: 3, kept: 10 };
        for (free, expected) in
            [(u64::MAX, 64), (74, 64), (73, 32), (42, 32), (41, 16), (14, 4), (13, 3)]
        {
            assert_eq!(size.within(free), Ok(expected), "{free}");
        }
        assert_eq!(size.within(12), Err(NoRoom { needed: 3, free: 12, kept: 10 }));
        // A frame may need more than is usual.
        assert_eq!(Size { least: 100, ..size }.within(110), Ok(100));
        assert!(Size { least: 100, ..size }.within(109).is_err());
        assert!(size.below(4).is_some() && size.below(3).is_none());
    }
}
