//! Where in a data set frames are.

use mainstay::disk::File;
use mainstay::log::manifest::{BaseLine, RetiredFile, SegmentEnd, SegmentLine};
use mainstay::log::reader::FrameReader;
use mainstay::log::scan::{Scan, ScanEnd};
use mainstay::log::segment::frames_header_offset;
use mainstay::log::segment::{base_name, compressed_name, segment_name};
use mainstay::log::{Lsn, View};
use std::io;
use std::sync::Arc;

/// Files that are made for a segment have lengths that are multiples of this, until they are cut to their end.
const SIZE_UNIT: u64 = 4096;

/// The frames of a file.
pub struct Frames {
    /// The file's name.
    pub name: String,
    /// Its bytes.
    pub file: Arc<dyn File>,
    /// Where its checksums start from.
    pub seed: u32,
    /// Offset and LSN of the first frame.
    pub first: (u64, Lsn),
    /// Where they end.
    pub end: ScanEnd,
}

impl Frames {
    /// Those of a base.
    pub fn of_base(file: Arc<dyn File>, line: &BaseLine) -> Self {
        let first = frames_header_offset(line.preamble_bytes) + FrameReader::FIRST_OFFSET;
        Self {
            name: base_name(line.sequence),
            file,
            seed: line.identity.seed(),
            first: (first, line.lsn),
            end: ScanEnd::Sealed(SegmentEnd { lsn: line.end_lsn, bytes: line.bytes }),
        }
    }

    /// Those of a segment of `view`.
    pub fn of_segment(view: &View, file: Arc<dyn File>, line: &SegmentLine) -> Self {
        let end = match line.end {
            Some(end) => ScanEnd::Sealed(end),
            None if view.is_live() => ScanEnd::Live(view.end().lsn),
            None => ScanEnd::Open(line.first_lsn),
        };
        let (name, seed) = (segment_name(line.sequence), line.identity.seed());
        Self { name, file, seed, first: (FrameReader::FIRST_OFFSET, line.first_lsn), end }
    }

    /// Finds those of a segment, which may be a retired one and compressed.
    ///
    /// # Errors
    /// If its file is missing or cannot be read.
    pub fn find(view: &View, line: &SegmentLine) -> io::Result<Self> {
        let name = segment_name(line.sequence);
        let compressed = view.manifest().retired.iter().find(|retired| {
            matches!(&retired.file, RetiredFile::CompressedSegment { segment, .. } if segment == line)
        });
        let (name, file) = match compressed {
            Some(retired) => (compressed_name(line.sequence), view.retired(&retired.file)?),
            None => (name.clone(), view.file(&name)?),
        };
        Ok(Self { name, ..Self::of_segment(view, file, line) })
    }

    /// Whether the file of an open segment was cut behind its last frame, which a scan has found to end at `offset`:
    /// there are zeros behind it, and the length of a file is a multiple of a unit, until it is sealed.
    pub fn is_cut(&self, offset: u64) -> bool {
        let len = self.file.len().unwrap_or(0);
        matches!(self.end, ScanEnd::Open(_)) && offset >= len && !len.is_multiple_of(SIZE_UNIT)
    }

    /// Goes through them.
    ///
    /// # Errors
    /// If the file cannot be measured.
    pub fn scan(&self) -> io::Result<Scan> {
        Scan::new(self.file.clone(), self.seed, self.first, self.end)
    }
}
