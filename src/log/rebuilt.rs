//! What a data set consists of, without its manifest: told by the headers of its files.

use super::frame::{FrameHeader, FrameKind};
use super::manifest::{
    self, BaseLine, Manifest, ManifestError, RetiredFile, RetiredLine, SegmentEnd, SegmentLine,
};
use super::reader::FrameReader;
use super::recovery::{OpenError, disk_error};
use super::segment::{self, NameKind, SegmentHeader};
use super::{Lsn, base};
use crate::disk::{Disk, File};
use std::path::Path;
use std::sync::Arc;

/// A file with a header that can be read.
struct Known {
    header: SegmentHeader,
    file: Arc<dyn File>,
    len: u64,
}

impl Known {
    /// LSN and offset behind the frames from `offset` on: up to `end_lsn` if they reach it, otherwise up to the first
    /// that has no valid header.
    fn walk(&self, offset: u64, end_lsn: Lsn) -> SegmentEnd {
        let mut reader = FrameReader::new(self.file.clone(), self.len, self.header.identity.seed());
        let first = SegmentEnd { lsn: self.header.first_lsn, bytes: offset };
        let is_before_end = |(_, frame): &(u64, FrameHeader)| {
            frame.lsn < end_lsn || frame.kind == FrameKind::Lost && frame.raw_bytes == 0
        };
        let last = reader.headers((first.bytes, first.lsn)).take_while(is_before_end).last();
        last.map_or(first, |(at, frame)| SegmentEnd {
            lsn: frame.end_lsn(),
            bytes: at + frame.frame_bytes(),
        })
    }

    /// Whether it is a segment that tells what is lost before any command: that takes no LSN, so the next segment may
    /// begin where this one does.
    fn begins_with_lost(&self) -> bool {
        let first = FrameReader::FIRST_OFFSET;
        self.walk(first, self.header.first_lsn).bytes > first
    }

    fn base_line(&self) -> Option<BaseLine> {
        let preamble = self.header.preamble?;
        let first = base::frames_header_offset(preamble.bytes) + FrameReader::FIRST_OFFSET;
        let end = self.walk(first, Lsn::MAX);
        Some(BaseLine {
            sequence: self.header.sequence,
            identity: self.header.identity,
            lsn: self.header.first_lsn,
            preamble_bytes: preamble.bytes,
            end_lsn: end.lsn,
            bytes: self.len,
        })
    }

    /// The line of a segment that ends where one begins at `end_lsn`, or that is open.
    fn segment_line(&self, end_lsn: Option<Lsn>) -> SegmentLine {
        let end = end_lsn.map(|end_lsn| {
            let walked = self.walk(FrameReader::FIRST_OFFSET, end_lsn);
            // What is damaged on the way is found by whoever reads it.
            let bytes = if walked.lsn == end_lsn { walked.bytes } else { self.len };
            SegmentEnd { lsn: end_lsn, bytes }
        });
        // The last one was closed if it ends with its last frame; one that is open has zeros behind it.
        let end = end.or_else(|| {
            let walked = self.walk(FrameReader::FIRST_OFFSET, Lsn::MAX);
            (walked.bytes == self.len).then_some(walked)
        });
        let SegmentHeader { sequence, identity, first_lsn, .. } = self.header;
        SegmentLine { sequence, identity, first_lsn, end }
    }
}

/// A manifest of what is in `dir`, as the headers of the files say. Its segments may have gaps between them.
///
/// # Errors
/// If there is no file whose header can be read, and those of the disk.
pub(super) fn manifest(disk: &dyn Disk, dir: &Path) -> Result<Manifest, OpenError> {
    let (mut bases, mut segments) = (Vec::new(), Vec::new());
    for name in disk.list(dir).map_err(disk_error("listing", dir))? {
        let path = dir.join(&name);
        let kind = match segment::parse_name(&name) {
            // A compressed segment is a retired one.
            Some((kind, _)) if kind != NameKind::CompressedSegment => kind,
            _ => continue,
        };
        let file = disk.hold(&path).map_err(disk_error("opening", &path))?;
        let len = file.len().map_err(disk_error("measuring", &path))?;
        let found = match kind {
            NameKind::Base => base::find_header(&*file).ok().flatten().map(|(_, header)| header),
            _ => SegmentHeader::read(&*file, 0).ok().and_then(Result::ok),
        };
        let Some(header) = found else { continue };
        let known = Known { header, file, len };
        if kind == NameKind::Base { bases.push(known) } else { segments.push(known) }
    }
    let sequence = |known: &Known| known.header.sequence;
    bases.sort_by_key(sequence);
    segments.sort_by_key(sequence);
    let newest = segments.last().or(bases.last()).map(|known| &known.header);
    let Some(newest) = newest else {
        let (path, source) = (dir.join(manifest::NAME), ManifestError::Missing);
        return Err(OpenError::Manifest { path, source });
    };
    let (dataset, timelines) = (newest.dataset, vec![newest.timeline]);
    bases.retain(|known| known.header.dataset == dataset);
    segments.retain(|known| known.header.dataset == dataset);

    let mut retired = Vec::new();
    let mut retire = |file| retired.push(RetiredLine { time_ms: 0, file });
    let mut lines: Vec<BaseLine> = bases.iter().filter_map(Known::base_line).collect();
    let base = lines.pop();
    lines.into_iter().for_each(|line| retire(RetiredFile::Base(line)));
    let begin_lsn = base.as_ref().map_or(0, |base| base.end_lsn);
    // A later file that begins earlier shows that the one before was discarded.
    let mut live: Vec<&Known> = Vec::new();
    for known in &segments {
        let first_lsn = known.header.first_lsn;
        while live.last().is_some_and(|last| {
            last.header.first_lsn > first_lsn
                || last.header.first_lsn == first_lsn && !last.begins_with_lost()
        }) {
            live.pop();
        }
        live.push(known);
    }
    let mut segments = Vec::new();
    for (index, known) in live.iter().enumerate() {
        let line = known.segment_line(live.get(index + 1).map(|next| next.header.first_lsn));
        if known.header.first_lsn >= begin_lsn {
            segments.push(line);
        } else if line.end.is_some() {
            retire(RetiredFile::Segment(line));
        }
    }
    Ok(Manifest { dataset, timelines, retired, base, segments })
}
