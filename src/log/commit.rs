//! The commit buffer: holds the effects of executed commands until a drain takes them.

use super::frame;
use super::lsn::Lsn;
use std::ops::Range;

/// A frame ends at the first unit boundary after this many bytes, which bounds the cost of damage
/// to a frame.
const FRAME_BYTES_TARGET: usize = 256 * 1024;

/// The most empty buffers that are kept for reuse.
const SPARE_MAX: usize = 3;
/// Bigger buffers are freed instead.
const SPARE_BYTES_MAX: usize = 4 << 20;

/// The end of a frame's commands.
#[derive(Clone, Copy, Debug)]
struct FrameEnd {
    /// Offset in the batch.
    offset: usize,
    /// The database selected there.
    db: u32,
}

/// The commands between two drains.
#[derive(Debug)]
pub(super) struct CommitBatch {
    bytes: Vec<u8>,
    start_lsn: Lsn,
    start_db: u32,
    frame_ends: Vec<FrameEnd>,
    /// Monotonic time at which the first of them ran.
    pub(super) first_us: u64,
}

impl CommitBatch {
    fn new(start_lsn: Lsn, start_db: u32, bytes: Vec<u8>) -> Self {
        debug_assert!(bytes.is_empty());
        Self { bytes, start_lsn, start_db, frame_ends: Vec::new(), first_us: 0 }
    }

    pub(super) fn end_lsn(&self) -> Lsn {
        self.start_lsn + self.bytes.len() as u64
    }

    /// Bytes of its frames in a segment, if nothing can be compressed.
    pub(super) fn frames_bytes_max(&self) -> u64 {
        let frame_overhead = frame::HEADER_BYTES as u64 + frame::ALIGN;
        self.bytes.len() as u64 + self.frame_ends.len() as u64 * frame_overhead
    }

    fn end_db(&self) -> u32 {
        self.frame_ends.last().map_or(self.start_db, |frame_end| frame_end.db)
    }

    /// The commands of the frame that begins at `lsn`: the database selected there, and the bytes.
    /// `lsn` must be the start of a frame.
    pub(super) fn next_frame(&self, lsn: Lsn) -> Option<(u32, &[u8])> {
        let start = lsn.checked_sub(self.start_lsn)? as usize;
        if start >= self.bytes.len() {
            return None;
        }
        let mut db = self.start_db;
        for frame_end in &self.frame_ends {
            if frame_end.offset <= start {
                db = frame_end.db;
                continue;
            }
            let range: Range<usize> = start..frame_end.offset;
            return Some((db, &self.bytes[range]));
        }
        unreachable!("the last frame ends at the end of the bytes")
    }
}

/// The commit buffer. Its lock is held for a copy or a swap, never for I/O.
#[derive(Debug)]
pub(super) struct CommitBuffer {
    current: CommitBatch,
    spare: Vec<Vec<u8>>,
}

impl CommitBuffer {
    pub(super) fn new(lsn: Lsn, db: u32) -> Self {
        Self { current: CommitBatch::new(lsn, db, Vec::new()), spare: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.current.bytes.is_empty()
    }

    /// When the oldest command in the buffer ran.
    pub(super) fn first_us(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.current.first_us)
    }

    /// Appends the effects of whole units, after which database `db` is selected, and empties
    /// `effects`. Returns the LSN after them.
    pub(super) fn append(&mut self, effects: &mut Vec<u8>, db: u32, now_us: u64) -> Lsn {
        let current = &mut self.current;
        if current.bytes.is_empty() {
            current.first_us = now_us;
        }
        if current.bytes.is_empty() && effects.len() > current.bytes.capacity() {
            // Big effects are moved instead of copied.
            std::mem::swap(&mut current.bytes, effects);
        } else {
            current.bytes.extend_from_slice(effects);
        }
        effects.clear();
        let end = current.bytes.len();
        let frame_start =
            current.frame_ends.iter().rev().nth(1).map_or(0, |frame_end| frame_end.offset);
        match current.frame_ends.last_mut() {
            // The last frame is still small: extend it.
            Some(last) if last.offset - frame_start < FRAME_BYTES_TARGET => {
                *last = FrameEnd { offset: end, db }
            }
            _ => current.frame_ends.push(FrameEnd { offset: end, db }),
        }
        current.end_lsn()
    }

    /// Takes the contents.
    pub(super) fn take(&mut self) -> Option<CommitBatch> {
        if self.is_empty() {
            return None;
        }
        let buffer = self.spare.pop().unwrap_or_default();
        let next = CommitBatch::new(self.current.end_lsn(), self.current.end_db(), buffer);
        Some(std::mem::replace(&mut self.current, next))
    }

    /// Returns the buffer of durable commands for reuse.
    pub(super) fn recycle(&mut self, batch: CommitBatch) {
        let mut bytes = batch.bytes;
        if self.spare.len() < SPARE_MAX && bytes.capacity() <= SPARE_BYTES_MAX {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

/// Compresses `raw` if it is long enough and shrinks by more than 1/16.
pub(super) fn compress<'a>(
    raw: &'a [u8],
    compression_bytes_min: Option<usize>,
    scratch: &'a mut Vec<u8>,
) -> (frame::Codec, &'a [u8]) {
    let wanted = compression_bytes_min.is_some_and(|min| raw.len() >= min);
    if !wanted {
        return (frame::Codec::None, raw);
    }
    scratch.resize(lz4_flex::block::get_maximum_output_size(raw.len()), 0);
    match lz4_flex::block::compress_into(raw, scratch) {
        Ok(len) if len < raw.len() - raw.len() / 16 => (frame::Codec::Lz4, &scratch[..len]),
        _ => (frame::Codec::None, raw),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_end_at_units_and_record_their_database() {
        let mut commit = CommitBuffer::new(100, 0);
        let unit = FRAME_BYTES_TARGET / 2;
        for db in 1..=5 {
            commit.append(&mut vec![db as u8; unit], db, 7);
        }
        let batch = commit.take().unwrap();
        assert!(commit.take().is_none());
        let mut lsn = 100;
        let mut frames = Vec::new();
        while let Some((db, bytes)) = batch.next_frame(lsn) {
            frames.push((db, bytes.len() / unit));
            lsn += bytes.len() as u64;
        }
        assert_eq!(frames, [(0, 2), (2, 2), (4, 1)]);
        assert_eq!(lsn, batch.end_lsn());
        assert_eq!(batch.first_us, 7);
        let lsn = commit.append(&mut b"x".to_vec(), 5, 8);
        assert_eq!(lsn, batch.end_lsn() + 1);
        assert_eq!(commit.take().unwrap().next_frame(batch.end_lsn()), Some((5, &b"x"[..])));
    }

    #[test]
    fn payloads_are_compressed_only_if_that_saves_space() {
        let mut scratch = Vec::new();
        let (codec, stored) = compress(&[7; 10_000], Some(4096), &mut scratch);
        assert!(codec == frame::Codec::Lz4 && stored.len() < 200);
        assert_eq!(compress(&[7; 100], Some(4096), &mut scratch).0, frame::Codec::None);
        assert_eq!(compress(&[7; 10_000], None, &mut scratch).0, frame::Codec::None);
        let mut random = crate::env::seeded_random(1);
        let noise: Vec<u8> = (0..10_000).map(|_| random() as u8).collect();
        assert_eq!(compress(&noise, Some(4096), &mut scratch).0, frame::Codec::None);
    }
}
