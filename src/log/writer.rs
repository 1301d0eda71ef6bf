//! The writer: the current segment, and the commands kept until they are durable.

use super::commit::{self, CommitBatch, CommitBuffer};
use super::frame::{self, ALIGN, Codec, FrameHeader, FrameKind};
use super::lsn::Lsn;
use super::manifest::{Manifest, SegmentEnd, SegmentLine};
use super::options::Options;
use super::prepared::Prepared;
use super::resume::ResumePoint;
use super::room::FIRST_SEGMENT_BYTES;
use super::segment::{self, FileKind, Identity};
use super::time::FrameTime;
use crate::disk::File;
use crate::env::Clock;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Payloads up to this size are copied after their header, so that a frame is one write.
const COPY_BYTES_MAX: usize = 64 * 1024;
/// A bigger buffer for compressed payloads is given back.
const COMPRESSED_BYTES_MAX: usize = 2 << 20;

/// A segment file and the position in it.
pub(super) struct Segment {
    pub(super) file: Arc<dyn File>,
    pub(super) sequence: u64,
    pub(super) identity: Identity,
    pub(super) size: u64,
    /// Offset of the next frame.
    pub(super) offset: u64,
}

/// Why a frame could not be written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The segment is full: a new one with space for a frame of this size is needed.
    Full(u64),
    /// The disk failed.
    Io(io::Error),
}

/// The state of the one thread that writes: see [`crate::log`] for the threads.
pub(super) struct Writer {
    pub(super) manifest: Manifest,
    pub(super) segment: Segment,
    pub(super) prepared: Option<Prepared>,
    /// The next segment is being prepared, without the writer's lock.
    pub(super) is_preparing: bool,
    pub(super) next_sequence: u64,
    /// LSN after the last frame written.
    pub(super) written_lsn: Lsn,
    /// LSN below which everything is durable, and its offset in the segment.
    pub(super) durable_lsn: Lsn,
    pub(super) durable_offset: u64,
    /// The durable LSN recorded by the last frame in the segment.
    pub(super) attested_lsn: Lsn,
    /// Undurable commands, oldest first.
    pub(super) retained: VecDeque<CommitBatch>,
    /// Files listed only by manifests that may be active because replacing the manifest failed.
    /// Once another manifest is stored, they are removed.
    pub(super) possibly_active: Vec<PathBuf>,
    /// A segment that is no longer needed, whose space the next one reuses.
    pub(super) spare: Option<PathBuf>,
    /// What is left to start before anything can be written.
    pub(super) pending_start: Option<Box<ResumePoint>>,
    pub(super) time: FrameTime,
    scratch: Vec<u8>,
    compressed: Vec<u8>,
}

impl Writer {
    pub(super) fn new(
        manifest: Manifest,
        segment: Segment,
        next_sequence: u64,
        lsn: Lsn,
        last_time_ms: u64,
    ) -> Self {
        Self {
            durable_offset: segment.offset,
            manifest,
            segment,
            prepared: None,
            is_preparing: false,
            next_sequence,
            written_lsn: lsn,
            durable_lsn: lsn,
            attested_lsn: 0,
            retained: VecDeque::new(),
            possibly_active: Vec::new(),
            spare: None,
            pending_start: None,
            time: FrameTime::from(last_time_ms),
            scratch: Vec::new(),
            compressed: Vec::new(),
        }
    }

    /// Writes the retained commands that are not written yet.
    pub(super) fn write_retained(
        &mut self,
        options: &Options,
        clock: &dyn Clock,
    ) -> Result<(), WriteError> {
        self.time.now(clock);
        let retained = std::mem::take(&mut self.retained);
        let mut result = Ok(());
        let start = retained.partition_point(|batch| batch.end_lsn() <= self.written_lsn);
        'all: for batch in retained.range(start..) {
            while let Some((db, raw)) = batch.next_frame(self.written_lsn) {
                if let Err(error) = self.write_commands(db, raw, options) {
                    result = Err(error);
                    break 'all;
                }
            }
        }
        self.retained = retained;
        result
    }

    fn write_commands(&mut self, db: u32, raw: &[u8], options: &Options) -> Result<(), WriteError> {
        let mut compressed = std::mem::take(&mut self.compressed);
        let (codec, stored) = commit::compress(raw, options.compression_bytes_min, &mut compressed);
        let header = FrameHeader {
            stored_bytes: stored.len() as u64,
            raw_bytes: raw.len() as u64,
            lsn: self.written_lsn,
            time_ms: self.time.last_ms(),
            durable_lsn: self.durable_lsn,
            payload_checksum: frame::checksum(self.segment.identity.seed(), stored),
            db,
            kind: FrameKind::Commands,
            codec,
        };
        let result = self.write_frame(&header, stored);
        if compressed.capacity() <= COMPRESSED_BYTES_MAX {
            self.compressed = compressed;
        }
        result
    }

    /// Writes a marker with the durable LSN, unless a frame already records it or there is no
    /// space.
    pub(super) fn write_marker(&mut self) -> Result<(), WriteError> {
        debug_assert_eq!(self.written_lsn, self.durable_lsn);
        if self.attested_lsn >= self.durable_lsn {
            return Ok(());
        }
        let header = FrameHeader {
            stored_bytes: 0,
            raw_bytes: 0,
            lsn: self.written_lsn,
            time_ms: self.time.last_ms(),
            durable_lsn: self.durable_lsn,
            payload_checksum: frame::checksum(self.segment.identity.seed(), &[]),
            db: 0,
            kind: FrameKind::Marker,
            codec: Codec::None,
        };
        match self.write_frame(&header, &[]) {
            // Without space, the next segment's first frame records it.
            Err(WriteError::Full(_)) => Ok(()),
            other => other,
        }
    }

    /// Writes one frame at the segment's end.
    pub(super) fn write_frame(
        &mut self,
        header: &FrameHeader,
        stored: &[u8],
    ) -> Result<(), WriteError> {
        let bytes = header.frame_bytes();
        let segment = &mut self.segment;
        debug_assert_eq!(segment.offset % ALIGN, 0);
        if segment.offset + bytes > segment.size {
            return Err(WriteError::Full(bytes));
        }
        put_frame(segment, header, stored, &mut self.scratch).map_err(WriteError::Io)?;
        segment.offset += bytes;
        self.written_lsn = header.end_lsn();
        self.attested_lsn = self.attested_lsn.max(header.durable_lsn);
        Ok(())
    }

    /// Records that everything below `lsn`, at `offset` of the segment, is durable.
    pub(super) fn advance_durable(&mut self, lsn: Lsn, offset: u64, commit: &mut CommitBuffer) {
        debug_assert!(lsn >= self.durable_lsn && lsn <= self.written_lsn);
        self.durable_lsn = lsn;
        self.durable_offset = offset;
        while self.retained.front().is_some_and(|batch| batch.end_lsn() <= lsn) {
            commit.recycle(self.retained.pop_front().expect("it has a front"));
        }
    }

    /// The manifest in which the current segment ends at the durable LSN and `next` begins there. A
    /// segment without commands is left out: the server writes no other frames without LSNs than
    /// markers.
    pub(super) fn manifest_with(&self, next: Option<SegmentLine>) -> Manifest {
        let mut manifest = self.manifest.clone();
        let last = manifest.segments.last_mut().expect("a log has a segment");
        debug_assert_eq!(last.sequence, self.segment.sequence);
        if last.first_lsn == self.durable_lsn && next.is_some() {
            manifest.segments.pop();
        } else {
            last.end = Some(SegmentEnd { lsn: self.durable_lsn, bytes: self.durable_offset });
        }
        manifest.segments.extend(next);
        manifest
    }

    /// The size of the segment after one of `size`, if it fits.
    pub(super) fn next_size(size: u64, options: &Options) -> u64 {
        (size * 4).max(FIRST_SEGMENT_BYTES).min(options.segment_bytes)
    }

    /// The exact bytes of the frames of all undurable commands, in a segment that begins with them.
    pub(super) fn undurable_frames_bytes(&self, options: &Options) -> u64 {
        let (mut lsn, mut bytes, mut compressed) = (self.durable_lsn, 0, Vec::new());
        let start = self.retained.partition_point(|batch| batch.end_lsn() <= lsn);
        for batch in self.retained.range(start..) {
            while let Some((_, raw)) = batch.next_frame(lsn) {
                let (_, stored) =
                    commit::compress(raw, options.compression_bytes_min, &mut compressed);
                bytes += frame::frame_bytes(stored.len() as u64);
                lsn += raw.len() as u64;
            }
        }
        bytes
    }
}

/// Begins a segment at `first_lsn` in the file `prepared`: its header is durable when this returns.
pub(super) fn begin_segment(
    prepared: Prepared,
    manifest: &Manifest,
    identity: Identity,
    first_lsn: Lsn,
    clock: &dyn Clock,
) -> io::Result<Segment> {
    let Prepared { file, sequence, size } = prepared;
    let now_ms = clock.unix_ms().max(0) as u64;
    let header = manifest.header(FileKind::Segment, identity, sequence, first_lsn, now_ms);
    file.write_at(&header.encode(), 0)?;
    file.sync()?;
    Ok(Segment { file, sequence, identity, size, offset: segment::HEADER_BYTES as u64 })
}

impl Segment {
    /// The manifest's line of this segment while it is being written.
    pub(super) fn line(&self, first_lsn: Lsn) -> SegmentLine {
        SegmentLine { sequence: self.sequence, identity: self.identity, first_lsn, end: None }
    }
}

/// Writes header, payload and padding at the segment's end.
pub(super) fn put_frame(
    segment: &Segment,
    header: &FrameHeader,
    stored: &[u8],
    scratch: &mut Vec<u8>,
) -> io::Result<()> {
    let encoded = header.encode(segment.identity.seed());
    let padding = frame::padding_bytes(header.stored_bytes) as usize;
    scratch.clear();
    scratch.extend_from_slice(&encoded);
    if stored.len() <= COPY_BYTES_MAX {
        scratch.extend_from_slice(stored);
        scratch.resize(scratch.len() + padding, 0);
        return segment.file.write_at(scratch, segment.offset);
    }
    segment.file.write_at(scratch, segment.offset)?;
    let at = segment.offset + frame::HEADER_BYTES as u64;
    segment.file.write_at(stored, at)?;
    segment.file.write_at(&[0; ALIGN as usize][..padding], at + stored.len() as u64)
}
