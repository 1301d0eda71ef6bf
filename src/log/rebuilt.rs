//! Rebuilding the manifest of a data set from the headers of its files and the remains of the
//! manifest.

use super::frame::{FrameHeader, FrameKind};
use super::lsn::Lsn;
use super::manifest::{
    self, BaseLine, Manifest, ManifestError, RetiredFile, RetiredLine, SegmentEnd, SegmentLine,
};
use super::reader::FrameReader;
use super::recovery::{OpenError, disk_error};
use super::segment::{self, FileKind, HeaderError, Identity, NameKind, SegmentHeader};
use crate::disk::{self, Disk, File};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Facts found besides the manifest.
#[derive(Debug, Default)]
pub struct RebuildReport {
    /// Files of the log whose headers cannot be read and that are not blank.
    pub unknown: Vec<String>,
    /// Whether there is evidence that the log ends where the last segment does.
    pub is_end_known: bool,
}

/// A data set whose manifest was rebuilt.
pub(super) struct Rebuilt {
    pub(super) manifest: Manifest,
    pub(super) report: RebuildReport,
    /// The files, by the names that they should have.
    pub(super) files: BTreeMap<String, Arc<dyn File>>,
    /// The actual names of files that have another one.
    pub(super) displaced: BTreeMap<String, String>,
}

/// The header of a file with the name of a base or segment; `None` if it cannot be read.
///
/// # Errors
/// If it is of another version.
pub(super) fn header_of(
    file: &dyn File,
    kind: NameKind,
) -> Result<Option<SegmentHeader>, HeaderError> {
    if kind == NameKind::Base {
        return Ok(segment::find_header(file).ok().flatten().map(|(_, header)| header));
    }
    match SegmentHeader::read(file, 0) {
        Ok(Err(source @ HeaderError::Version(_))) => Err(source),
        read => Ok(read.ok().and_then(Result::ok)),
    }
}

/// A file whose header can be read, or was recovered.
struct Known {
    /// The name that it has.
    name: String,
    header: SegmentHeader,
    file: Arc<dyn File>,
    len: u64,
}

impl Known {
    /// The name that it should have.
    fn own_name(&self) -> String {
        match self.header.kind {
            FileKind::Segment => segment::segment_name(self.header.sequence),
            FileKind::Base => segment::base_name(self.header.sequence),
        }
    }

    /// LSN and offset after the frames from `offset` on: up to `end_lsn` if they reach it,
    /// otherwise up to the first place without a valid header.
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

    /// Whether its first frame is Lost. Such a frame may take no LSN, so the next segment may begin
    /// at the same LSN.
    fn begins_with_lost(&self) -> bool {
        let first = FrameReader::FIRST_OFFSET;
        self.walk(first, self.header.first_lsn).bytes > first
    }

    fn base_line(&self) -> Option<BaseLine> {
        let preamble = self.header.preamble?;
        let first = segment::frames_header_offset(preamble.bytes) + FrameReader::FIRST_OFFSET;
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

    /// The line of a segment that ends at `end_lsn`, where the next one begins, or that is the
    /// last.
    fn segment_line(&self, end_lsn: Option<Lsn>) -> SegmentLine {
        let end = end_lsn.map(|end_lsn| {
            let walked = self.walk(FrameReader::FIRST_OFFSET, end_lsn);
            // Damage before the end is reported when the segment is read.
            let bytes = if walked.lsn == end_lsn { walked.bytes } else { self.len };
            SegmentEnd { lsn: end_lsn, bytes }
        });
        // The last segment was closed if the file ends with its last frame; an open one has zeros
        // after it.
        let end = end.or_else(|| {
            let walked = self.walk(FrameReader::FIRST_OFFSET, Lsn::MAX);
            (walked.bytes == self.len).then_some(walked)
        });
        let SegmentHeader { sequence, identity, first_lsn, .. } = self.header;
        SegmentLine { sequence, identity, first_lsn, end }
    }

    /// Whether there is space after the last frame, as in the segment that was last. (An earlier
    /// one has it only if cutting it failed.)
    fn has_room(&self) -> bool {
        let first = FrameReader::FIRST_OFFSET;
        let mut reader = FrameReader::new(self.file.clone(), self.len, self.header.identity.seed());
        // The last frame may end in zeros.
        let written = reader.written_end(first).max(self.walk(first, Lsn::MAX).bytes);
        self.len.is_multiple_of(segment::HEADER_BYTES as u64) && written < self.len
    }
}

/// A file of the log whose header cannot be read.
struct Unknown {
    name: String,
    kind: NameKind,
    sequence: u64,
    file: Arc<dyn File>,
    len: u64,
}

impl Unknown {
    /// Whether it is blank, like a segment being prepared: full length, and zeros after the header.
    fn is_blank(&self) -> bool {
        let first = FrameReader::FIRST_OFFSET;
        let is_segment = self.kind == NameKind::Segment;
        let mut reader = FrameReader::new(self.file.clone(), self.len, 0);
        is_segment
            && self.len > first
            && self.len.is_multiple_of(first)
            && reader.written_end(first) == first
    }

    /// Recovers its header from the remains of the manifest, if its frames match.
    fn known(&self, remains: &[u8], like: &SegmentHeader) -> Option<Known> {
        let lines = remains.split(|&byte| byte == b'\n');
        let mut lines = lines.filter_map(|line| hint(std::str::from_utf8(line).ok()?));
        let (_, identity, first_lsn) = lines
            .find(|&(sequence, ..)| self.kind == NameKind::Segment && sequence == self.sequence)?;
        let mut reader = FrameReader::new(self.file.clone(), self.len, identity.seed());
        let (at, frame) = reader.find_header(FrameReader::FIRST_OFFSET)?;
        let is_first = at == FrameReader::FIRST_OFFSET;
        let first_lsn = if is_first { frame.lsn } else { first_lsn.min(frame.lsn) };
        let sequence = self.sequence;
        let header = SegmentHeader {
            kind: FileKind::Segment,
            identity,
            sequence,
            first_lsn,
            preamble: None,
            ..like.clone()
        };
        let (name, file) = (self.name.clone(), self.file.clone());
        Some(Known { name, header, file, len: self.len })
    }
}

/// Sequence, identity and first LSN in a line of a damaged manifest, if it is that of a segment.
fn hint(line: &str) -> Option<(u64, Identity, Lsn)> {
    let mut words = line.strip_prefix("segment ")?.split(' ');
    let sequence = words.next()?.parse().ok()?;
    let identity = u128::from_str_radix(words.next()?, 16).ok()?;
    Some((sequence, Identity(identity.to_be_bytes()), words.next()?.parse().ok()?))
}

/// Whether the remains of the manifest end with the same segment and end.
fn ends_alike(remains: &[u8], manifest: &Manifest) -> bool {
    let bytes = manifest.encode();
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let (Some(from), Some(to)) = (text.rfind("\nsegment "), text.rfind("checksum ")) else {
        return false;
    };
    let Some(end) = bytes.get(from..to + "checksum ".len()) else { return false };
    remains.windows(end.len()).any(|bytes| bytes == end)
}

/// Rebuilds the manifest of `dir` from the headers of its files. There may be gaps between its
/// segments. The header identifies a file, not its name.
///
/// # Errors
/// If there is no file whose header can be read, or one of another version, and those of the disk.
pub(super) fn rebuild(disk: &dyn Disk, dir: &Path) -> Result<Rebuilt, OpenError> {
    let (mut bases, mut segments, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for name in disk.list(dir).map_err(disk_error("listing", dir))? {
        let path = dir.join(&name);
        let (kind, sequence) = match segment::parse_name(&name) {
            // A compressed segment is a retired one.
            Some((kind, sequence)) if kind != NameKind::CompressedSegment => (kind, sequence),
            _ => continue,
        };
        let file = disk.hold(&path).map_err(disk_error("opening", &path))?;
        let len = file.len().map_err(disk_error("measuring", &path))?;
        let found = header_of(&*file, kind).map_err(|source| {
            let path = path.clone();
            OpenError::Header { path, offset: 0, source, lsn: 0 }
        })?;
        let Some(header) = found else {
            unknown.push(Unknown { name, kind, sequence, file, len });
            continue;
        };
        let known = Known { name, header, file, len };
        if known.header.kind == FileKind::Base { bases.push(known) } else { segments.push(known) }
    }
    // Of two files with the same sequence, prefer the one with the right name.
    let order = |known: &Known| (known.header.sequence, known.name != known.own_name());
    bases.sort_by_key(order);
    segments.sort_by_key(order);
    let newest = segments.last().or(bases.last()).map(|known| &known.header);
    let Some(newest) = newest.cloned() else {
        let (path, source) = (dir.join(manifest::NAME), ManifestError::Missing);
        return Err(OpenError::Manifest { path, source });
    };
    let (dataset, timelines) = (newest.dataset, vec![newest.timeline]);
    // The remains are used only where the files confirm them.
    let remains = disk.open_to_read(&dir.join(manifest::NAME));
    let remains =
        remains.and_then(|file| disk::read_all(&*file, manifest::BYTES_MAX)).unwrap_or_default();
    unknown.retain(|file| match file.known(&remains, &newest) {
        Some(known) => {
            segments.push(known);
            false
        }
        None => !file.is_blank(),
    });
    segments.sort_by_key(order);
    let (mut files, mut displaced) = (BTreeMap::new(), BTreeMap::new());
    for found in [&mut bases, &mut segments] {
        found.retain(|known| known.header.dataset == dataset);
        found.dedup_by_key(|known| known.header.sequence);
        for known in found {
            let name = known.own_name();
            if name != known.name {
                displaced.insert(name.clone(), known.name.clone());
            }
            files.insert(name, known.file.clone());
        }
    }

    let mut retired = Vec::new();
    let mut retire = |file| retired.push(RetiredLine { time_ms: 0, file });
    let mut lines: Vec<BaseLine> = bases.iter().filter_map(Known::base_line).collect();
    let base = lines.pop();
    lines.into_iter().for_each(|line| retire(RetiredFile::Base(line)));
    let begin_lsn = base.as_ref().map_or(0, |base| base.end_lsn);
    // A later file that begins earlier shows that the one before it was discarded.
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
    let manifest = Manifest { dataset, timelines, retired, base, segments };
    let is_last = |known: &&&Known| {
        manifest.segments.last().is_some_and(|line| line.identity == known.header.identity)
    };
    let has_room = live.iter().find(is_last).is_some_and(|known| known.has_room());
    let is_end_known = has_room || ends_alike(&remains, &manifest);
    let unknown = unknown.into_iter().map(|file| file.name).collect();
    let report = RebuildReport { unknown, is_end_known };
    Ok(Rebuilt { manifest, report, files, displaced })
}
