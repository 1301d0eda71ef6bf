//! Writing the result of a repair: a separate data set, cleanly closed, that a start opens.

use super::base::BaseWriter;
use super::frame::{Codec, FrameHeader, FrameKind, LOST_BYTES, Lost, checksum};
use super::lsn::{Lsn, Timeline, TimelineId};
use super::manifest::{Manifest, SegmentEnd};
use super::segment::{self, FileKind, Identity, SegmentHeader};
use super::writer::{Segment, put_frame};
use crate::disk::Disk;
use crate::env::Random;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A segment ends when it is longer than this.
const SEGMENT_BYTES: u64 = 64 << 20;

/// Writes a data set from frames in order, without gaps except those recorded as lost.
pub struct SalvageWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    random: Random,
    manifest: Manifest,
    created_ms: u64,
    sequence: u64,
    segment: Option<Segment>,
    /// The LSN after what was written.
    lsn: Lsn,
    time_ms: u64,
    scratch: Vec<u8>,
}

impl SalvageWriter {
    /// Begins a data set with these `timelines` in the empty directory `dir`.
    pub fn new(
        disk: Arc<dyn Disk>,
        dir: &Path,
        (dataset, timelines): (Identity, &[Timeline]),
        random: Random,
        created_ms: u64,
    ) -> Self {
        let manifest = Manifest {
            dataset,
            timelines: timelines.to_vec(),
            retired: Vec::new(),
            base: None,
            segments: Vec::new(),
        };
        Self {
            disk,
            dir: dir.to_owned(),
            random,
            manifest,
            created_ms,
            sequence: 1,
            segment: None,
            lsn: 0,
            time_ms: 0,
            scratch: Vec::new(),
        }
    }

    /// The LSN after what was written.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    fn header(&mut self, kind: FileKind, first_lsn: Lsn, created_ms: u64) -> SegmentHeader {
        let sequence = self.sequence;
        self.sequence += 1;
        let identity = Identity::random(&mut *self.random);
        self.manifest.header(kind, identity, sequence, first_lsn, created_ms)
    }

    /// Writes the base; must come first. `preamble` writes the state at `lsn`, and returns the
    /// offset of its index of blocks and the checksum from there on. Everything in it was written
    /// by `created_ms`.
    ///
    /// # Errors
    /// Those of the disk and of `preamble`.
    pub fn base<E: From<io::Error>>(
        &mut self,
        lsn: Lsn,
        created_ms: u64,
        preamble: impl FnOnce(&mut BaseWriter) -> Result<(u64, u32), E>,
    ) -> Result<(), E> {
        assert!(self.lsn == 0 && self.segment.is_none(), "the base comes first");
        let header = self.header(FileKind::Base, lsn, created_ms);
        let mut base = BaseWriter::create(self.disk.clone(), &self.dir, header, 0)?;
        let (index_offset, tail_checksum) = preamble(&mut base)?;
        base.end_preamble(index_offset, tail_checksum);
        self.manifest.base = Some(base.finish()?);
        self.lsn = lsn;
        Ok(())
    }

    /// Writes a frame of commands that begins where the last one ended; `stored` is its payload as
    /// stored.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn frame(&mut self, header: &FrameHeader, stored: &[u8]) -> io::Result<()> {
        assert_eq!(header.lsn, self.lsn, "frames come without gaps");
        self.put(header, stored)
    }

    /// Writes a Lost frame, which begins where the last frame ended.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn lost(&mut self, lost: &Lost) -> io::Result<()> {
        assert_eq!(lost.lsn, self.lsn, "frames come without gaps");
        let header = FrameHeader {
            stored_bytes: LOST_BYTES as u64,
            raw_bytes: lost.end_lsn - lost.lsn,
            lsn: lost.lsn,
            time_ms: self.time_ms,
            durable_lsn: 0,
            payload_checksum: 0,
            db: 0,
            kind: FrameKind::Lost,
            codec: Codec::None,
        };
        self.put(&header, &lost.encode())
    }

    fn put(&mut self, header: &FrameHeader, stored: &[u8]) -> io::Result<()> {
        if self.segment.as_ref().is_some_and(|segment| segment.offset > SEGMENT_BYTES) {
            self.end_segment()?;
        }
        let segment = match self.segment.take() {
            Some(segment) => segment,
            None => self.begin_segment()?,
        };
        let segment = self.segment.insert(segment);
        self.time_ms = self.time_ms.max(header.time_ms);
        let header = FrameHeader {
            time_ms: self.time_ms,
            durable_lsn: header.lsn,
            payload_checksum: checksum(segment.identity.seed(), stored),
            ..*header
        };
        put_frame(segment, &header, stored, &mut self.scratch)?;
        segment.offset += header.frame_bytes();
        self.lsn = header.end_lsn();
        Ok(())
    }

    fn begin_segment(&mut self) -> io::Result<Segment> {
        let header = self.header(FileKind::Segment, self.lsn, self.created_ms);
        let file = self.disk.create(&self.dir.join(segment::segment_name(header.sequence)))?;
        file.write_at(&header.encode(), 0)?;
        let segment = Segment {
            file,
            sequence: header.sequence,
            identity: header.identity,
            size: u64::MAX,
            offset: segment::HEADER_BYTES as u64,
        };
        self.manifest.segments.push(segment.line(self.lsn));
        Ok(segment)
    }

    fn end_segment(&mut self) -> io::Result<()> {
        if let Some(segment) = self.segment.take() {
            segment.file.sync()?;
            let line = self.manifest.segments.last_mut().expect("its line was added with it");
            line.end = Some(SegmentEnd { lsn: self.lsn, bytes: segment.offset });
        }
        Ok(())
    }

    /// Ends the data set and makes it durable. A new timeline begins, because LSNs that are lost
    /// may have been handed out.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn finish(mut self) -> io::Result<Manifest> {
        if self.manifest.segments.is_empty() {
            // A closed data set has a segment.
            self.segment = Some(self.begin_segment()?);
        }
        self.end_segment()?;
        let id = TimelineId::random(&mut *self.random);
        self.manifest.begin_timeline(Timeline { id, begin_lsn: self.lsn });
        self.manifest.store(&*self.disk, &self.dir)?;
        Ok(self.manifest)
    }
}
