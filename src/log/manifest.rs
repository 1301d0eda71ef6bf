//! The manifest: the list of a data set's files. A short text, replaced as a whole.

use super::frame;
use super::lsn::{Lsn, Timeline, TimelineId};
use super::segment::{FileKind, Identity, SegmentHeader, base_name, compressed_name, segment_name};
use crate::disk::{self, Disk};
use crate::env::Random;
use std::fmt::Write;
use std::io;
use std::path::Path;
use thiserror::Error;

/// The manifest's name.
pub const NAME: &str = "manifest";
/// The name of a new manifest before it replaces the old one.
pub const TEMPORARY_NAME: &str = "manifest.tmp";
/// The longest manifest that is read or stored, in bytes: some 100,000 files.
pub(super) const BYTES_MAX: u64 = 16 << 20;
/// Of that, so many bytes are reserved for starts, closes and compactions: beyond it, no segment is
/// begun for commands. A start must be able to read what was acknowledged, and a compaction
/// shortens the manifest.
pub(super) const ROOM_BYTES: u64 = 1 << 20;
/// With more files than this the oldest retired ones are pruned, whatever the retention. With the
/// longest possible lines these are 12 MiB, well below the limit.
pub(super) const FILES_MAX: usize = 64 << 10;
/// The most timelines that are listed, the current one included.
const TIMELINES_MAX: usize = 64;

/// A base as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseLine {
    /// Number of the file.
    pub sequence: u64,
    /// As in its header.
    pub identity: Identity,
    /// The LSN of its preamble.
    pub lsn: Lsn,
    /// Length of the preamble.
    pub preamble_bytes: u64,
    /// The LSN after its last frame; the first segment begins there.
    pub end_lsn: Lsn,
    /// Length of the file.
    pub bytes: u64,
}

/// Where a sealed segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEnd {
    /// The LSN after its last frame; the next segment begins there.
    pub lsn: Lsn,
    /// The offset in the file after its last frame; bytes beyond it are ignored.
    pub bytes: u64,
}

/// A segment as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentLine {
    /// Number of the file.
    pub sequence: u64,
    /// As in its header.
    pub identity: Identity,
    /// As in its header.
    pub first_lsn: Lsn,
    /// Its end; `None` for the one being written, which is the last.
    pub end: Option<SegmentEnd>,
}

/// A file that a compaction has replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetiredFile {
    /// A base.
    Base(BaseLine),
    /// A sealed segment.
    Segment(SegmentLine),
    /// A sealed segment up to its end, compressed with zstd.
    CompressedSegment {
        /// The segment's line.
        segment: SegmentLine,
        /// Length of the compressed file.
        bytes: u64,
        /// CRC-32 of the compressed file: zstd ignores some of its bits.
        checksum: u32,
    },
}

impl RetiredFile {
    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Self::Base(base) => base_name(base.sequence),
            Self::Segment(segment) => segment_name(segment.sequence),
            Self::CompressedSegment { segment, .. } => compressed_name(segment.sequence),
        }
    }

    /// Its length.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Base(base) => base.bytes,
            Self::Segment(segment) => segment.end.map_or(0, |end| end.bytes),
            Self::CompressedSegment { bytes, .. } => *bytes,
        }
    }

    fn encode(&self, text: &mut String) {
        match self {
            Self::Base(base) => base.encode(text),
            Self::Segment(segment) => segment.encode(text),
            Self::CompressedSegment { segment, bytes, checksum } => {
                segment.encode(text);
                write!(text, " zstd {bytes} {checksum:08x}").expect("writing to a string");
            }
        }
    }

    fn parse(words: &[&str]) -> Option<Self> {
        Some(match words {
            ["base", words @ ..] => Self::Base(BaseLine::parse(words)?),
            ["segment", words @ .., "zstd", bytes, checksum] => Self::CompressedSegment {
                segment: SegmentLine::parse(words)?,
                bytes: bytes.parse().ok()?,
                checksum: u32::from_str_radix(checksum, 16).ok()?,
            },
            ["segment", words @ ..] => Self::Segment(SegmentLine::parse(words)?),
            _ => return None,
        })
    }
}

/// A retired file as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredLine {
    /// When it was retired (Unix ms). Files with the same time belong together.
    pub time_ms: u64,
    /// The file.
    pub file: RetiredFile,
}

/// The list of a data set's files, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The data set's identity, which every file's header holds.
    pub dataset: Identity,
    /// Timelines, oldest first; the last is the current one.
    pub timelines: Vec<Timeline>,
    /// Files of earlier bases, oldest first.
    pub retired: Vec<RetiredLine>,
    /// The base; `None` while the log starts from an empty keyspace.
    pub base: Option<BaseLine>,
    /// Segments in the order of their LSNs, without gaps.
    pub segments: Vec<SegmentLine>,
}

/// Why a manifest cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// There is none.
    #[error("there is no manifest")]
    Missing,
    /// The disk could not read it.
    #[error("the manifest cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// Written by another version.
    #[error("the manifest has format version {0}, but this build reads version 1")]
    Version(String),
    /// Its bytes were changed, or it contradicts itself.
    #[error("the manifest is damaged: {0}")]
    Damaged(&'static str),
}

fn hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(out, "{byte:02x}").expect("writing to a string");
    }
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

impl BaseLine {
    fn encode(&self, text: &mut String) {
        let Self { sequence, identity, lsn, preamble_bytes, end_lsn, bytes } = self;
        write!(text, "base {sequence} ").expect("writing to a string");
        hex(text, &identity.0);
        write!(text, " {lsn} {preamble_bytes} {end_lsn} {bytes}").expect("writing to a string");
    }

    /// Reads the words after the first.
    fn parse(words: &[&str]) -> Option<Self> {
        let [sequence, identity, lsn, preamble, end_lsn, bytes] = words else { return None };
        Some(Self {
            sequence: sequence.parse().ok()?,
            identity: Identity(unhex(identity)?),
            lsn: lsn.parse().ok()?,
            preamble_bytes: preamble.parse().ok()?,
            end_lsn: end_lsn.parse().ok()?,
            bytes: bytes.parse().ok()?,
        })
    }
}

impl SegmentLine {
    fn encode(&self, text: &mut String) {
        write!(text, "segment {} ", self.sequence).expect("writing to a string");
        hex(text, &self.identity.0);
        match self.end {
            Some(end) => write!(text, " {} {} {}", self.first_lsn, end.lsn, end.bytes),
            None => write!(text, " {} open", self.first_lsn),
        }
        .expect("writing to a string");
    }

    /// Reads the words after the first.
    fn parse(words: &[&str]) -> Option<Self> {
        let [sequence, identity, first_lsn, end @ ..] = words else { return None };
        Some(Self {
            sequence: sequence.parse().ok()?,
            identity: Identity(unhex(identity)?),
            first_lsn: first_lsn.parse().ok()?,
            end: match end {
                ["open"] => None,
                [lsn, bytes] => {
                    Some(SegmentEnd { lsn: lsn.parse().ok()?, bytes: bytes.parse().ok()? })
                }
                _ => return None,
            },
        })
    }
}

impl Manifest {
    /// The manifest's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = String::from("mainstay-manifest 1\ndataset ");
        hex(&mut text, &self.dataset.0);
        for timeline in &self.timelines {
            text.push_str("\ntimeline ");
            hex(&mut text, &timeline.id.0);
            write!(text, " {}", timeline.begin_lsn).expect("writing to a string");
        }
        for line in &self.retired {
            write!(text, "\nretired {} ", line.time_ms).expect("writing to a string");
            line.file.encode(&mut text);
        }
        if let Some(base) = &self.base {
            text.push('\n');
            base.encode(&mut text);
        }
        for segment in &self.segments {
            text.push('\n');
            segment.encode(&mut text);
        }
        text.push_str("\nchecksum ");
        let sum = frame::checksum(0, text.as_bytes());
        writeln!(text, "{sum:08x}").expect("writing to a string");
        text.into_bytes()
    }

    /// Reads a manifest. Accepts only the exact bytes that [`Manifest::encode`] writes, so that
    /// every flipped bit is found.
    ///
    /// # Errors
    /// `Version` or `Damaged`.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let damaged = ManifestError::Damaged;
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
        let (body, sum) = text.rsplit_once("checksum ").ok_or(damaged("it has no checksum"))?;
        let covered = body.len() + "checksum ".len();
        let expected = format!("{:08x}\n", frame::checksum(0, &bytes[..covered]));
        if sum != expected {
            return Err(damaged("it does not match its checksum"));
        }
        let mut lines = body.lines();
        match lines.next().and_then(|line| line.strip_prefix("mainstay-manifest ")) {
            Some("1") => {}
            Some(version) => return Err(ManifestError::Version(version.to_owned())),
            None => return Err(damaged("its first line is not a manifest's")),
        }
        let manifest = Self::parse_lines(lines).ok_or(damaged("a line is malformed"))?;
        if manifest.encode() != bytes {
            return Err(damaged("it is not in its canonical form"));
        }
        manifest.check().map_err(damaged)?;
        Ok(manifest)
    }

    fn parse_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut dataset = None;
        let mut timelines = Vec::new();
        let mut retired = Vec::new();
        let mut base = None;
        let mut segments = Vec::new();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["dataset", id] => dataset = Some(Identity(unhex(id)?)),
                ["timeline", id, begin] => timelines
                    .push(Timeline { id: TimelineId(unhex(id)?), begin_lsn: begin.parse().ok()? }),
                ["base", ref words @ ..] => base = Some(BaseLine::parse(words)?),
                ["segment", ref words @ ..] => segments.push(SegmentLine::parse(words)?),
                ["retired", time_ms, ref words @ ..] => {
                    let file = RetiredFile::parse(words)?;
                    retired.push(RetiredLine { time_ms: time_ms.parse().ok()?, file });
                }
                _ => return None,
            }
        }
        Some(Self { dataset: dataset?, timelines, retired, base, segments })
    }

    /// Checks that the files are in order and without gaps.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.timelines.is_empty() {
            return Err("it lists no timeline");
        }
        if let Some(base) = &self.base
            && (base.lsn > base.end_lsn || base.preamble_bytes > base.bytes)
        {
            return Err("its base ends before it begins");
        }
        let is_open = |line: &RetiredLine| match &line.file {
            RetiredFile::Base(_) => false,
            RetiredFile::Segment(segment) | RetiredFile::CompressedSegment { segment, .. } => {
                segment.end.is_none()
            }
        };
        if self.retired.iter().any(is_open) || !self.retired.is_sorted_by_key(|line| line.time_ms) {
            return Err("its retired files are not sealed and in order");
        }
        let mut lsn = self.base.as_ref().map_or(0, |base| base.end_lsn);
        let mut sequence = None;
        for (index, segment) in self.segments.iter().enumerate() {
            if segment.first_lsn != lsn {
                return Err("its segments do not follow on each other");
            }
            if sequence.is_some_and(|last| segment.sequence <= last) {
                return Err("its segments are not in order");
            }
            sequence = Some(segment.sequence);
            match segment.end {
                Some(end) if end.lsn >= lsn => lsn = end.lsn,
                None if index + 1 == self.segments.len() => {}
                _ => return Err("a segment's end is not where it can be"),
            }
        }
        Ok(())
    }

    /// The manifest of a data set without anything in it.
    pub(super) fn empty(random: &mut Random) -> Self {
        Self {
            dataset: Identity::random(random),
            timelines: vec![Timeline { id: TimelineId::random(random), begin_lsn: 0 }],
            retired: Vec::new(),
            base: None,
            segments: Vec::new(),
        }
    }

    /// The header of a new file of the data set: on the current timeline, without a preamble.
    pub(super) fn header(
        &self,
        kind: FileKind,
        identity: Identity,
        sequence: u64,
        first_lsn: Lsn,
        created_ms: u64,
    ) -> SegmentHeader {
        SegmentHeader {
            kind,
            dataset: self.dataset,
            identity,
            sequence,
            first_lsn,
            timeline: self.timeline(),
            created_ms,
            preamble: None,
        }
    }

    /// Makes `timeline` the current one, and drops the oldest beyond the limit.
    pub(super) fn begin_timeline(&mut self, timeline: Timeline) {
        self.timelines.push(timeline);
        let dropped = self.timelines.len().saturating_sub(TIMELINES_MAX);
        self.timelines.drain(..dropped);
    }

    /// The current timeline.
    pub fn timeline(&self) -> Timeline {
        *self.timelines.last().expect("a manifest names a timeline")
    }

    /// Whether the last close was clean: every segment has its end.
    pub fn is_closed(&self) -> bool {
        self.segments.last().is_some_and(|segment| segment.end.is_some())
    }

    /// The highest LSN that the manifest records; of an open segment, its first LSN.
    pub fn end_lsn(&self) -> Lsn {
        match self.segments.last() {
            Some(segment) => segment.end.map_or(segment.first_lsn, |end| end.lsn),
            None => self.base.as_ref().map_or(0, |base| base.end_lsn),
        }
    }

    /// The names of the files that a start needs.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let base = self.base.as_ref().map(|base| base_name(base.sequence));
        base.into_iter().chain(self.segments.iter().map(|s| segment_name(s.sequence)))
    }

    /// The names of all files that it lists.
    pub fn all_names(&self) -> impl Iterator<Item = String> {
        self.names().chain(self.retired.iter().map(|line| line.file.name()))
    }

    /// Moves the base and the segments that end at or before `lsn` to the retired files.
    pub(super) fn retire_below(&mut self, lsn: Lsn, time_ms: u64) {
        // Times identify and order the groups, so they increase even if the clock does not.
        let last_ms = self.retired.last().map_or(0, |line| line.time_ms + 1);
        let time_ms = time_ms.max(last_ms);
        let line = |file| RetiredLine { time_ms, file };
        self.retired.extend(self.base.take().map(|base| line(RetiredFile::Base(base))));
        let is_old = |segment: &mut SegmentLine| segment.end.is_some_and(|end| end.lsn <= lsn);
        let old = self.segments.extract_if(.., is_old);
        self.retired.extend(old.map(|segment| line(RetiredFile::Segment(segment))));
    }

    /// Replaces the retired `segment` by its compressed file. Returns false if it is not listed.
    pub(super) fn compress_retired(
        &mut self,
        segment: &SegmentLine,
        bytes: u64,
        checksum: u32,
    ) -> bool {
        let listed = self.retired.iter_mut().map(|line| &mut line.file);
        let old = RetiredFile::Segment(segment.clone());
        let Some(file) = listed.into_iter().find(|file| **file == old) else { return false };
        *file = RetiredFile::CompressedSegment { segment: segment.clone(), bytes, checksum };
        true
    }

    /// Removes from the list, and returns, the retired files that were retired before `since_ms`,
    /// and the oldest of those that exceed `bytes_max` or the number of files. Files retired
    /// together go together.
    pub(super) fn prune_retired(&mut self, since_ms: u64, bytes_max: u64) -> Vec<RetiredLine> {
        let mut bytes = 0;
        let mut files = self.segments.len();
        let mut first_kept = self.retired.len();
        for group in self.retired.chunk_by(|a, b| a.time_ms == b.time_ms).rev() {
            bytes += group.iter().map(|line| line.file.bytes()).sum::<u64>();
            files += group.len();
            if group[0].time_ms < since_ms || bytes > bytes_max || files > FILES_MAX {
                break;
            }
            first_kept -= group.len();
        }
        self.retired.drain(..first_kept).collect()
    }

    /// Reads the manifest of the data set in `dir`.
    ///
    /// # Errors
    /// `Missing` if there is none, otherwise the reason why it cannot be used.
    pub fn load(disk: &dyn Disk, dir: &Path) -> Result<Self, ManifestError> {
        let file = match disk.open_to_read(&dir.join(NAME)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ManifestError::Missing);
            }
            Err(error) => return Err(ManifestError::Unreadable(error)),
        };
        let bytes = disk::read_all(&*file, BYTES_MAX).map_err(ManifestError::Unreadable)?;
        Self::decode(&bytes)
    }

    /// Replaces the manifest of `dir`: written, synced, renamed, directory synced.
    ///
    /// # Errors
    /// Those of the disk, and `FileTooLarge` if a start could not read it. After an error either
    /// manifest may be active.
    pub fn store(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        self.write_temporary(disk, dir, 0)?;
        Self::replace(disk, dir)
    }

    /// The first half of [`Manifest::store`]. On failure the old manifest is active, and the
    /// temporary file is removed. The manifest must leave `room` bytes of the limit.
    pub(super) fn write_temporary(&self, disk: &dyn Disk, dir: &Path, room: u64) -> io::Result<()> {
        debug_assert_eq!(self.check(), Ok(()));
        let bytes = self.encode();
        let (len, bytes_max) = (bytes.len() as u64, BYTES_MAX - room);
        if len > bytes_max {
            let text = format!(
                "the manifest would have {len} bytes, more than {bytes_max}: too many files until a compaction"
            );
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        let path = dir.join(TEMPORARY_NAME);
        let write = || {
            let file = disk.create(&path)?;
            file.write_at(&bytes, 0)?;
            file.sync()
        };
        write().inspect_err(|_| drop(disk.remove(&path)))
    }

    /// The second half: activates what [`Manifest::write_temporary`] wrote. On failure either
    /// manifest may be active.
    pub(super) fn replace(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        disk.rename(&dir.join(TEMPORARY_NAME), &dir.join(NAME))?;
        disk.sync_dir(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    fn manifest() -> Manifest {
        let segment = |sequence, first_lsn, end| SegmentLine {
            sequence,
            identity: Identity([sequence as u8; 16]),
            first_lsn,
            end,
        };
        Manifest {
            dataset: Identity([0xab; 16]),
            timelines: vec![Timeline { id: TimelineId([1; 20]), begin_lsn: 0 }],
            retired: vec![
                RetiredLine {
                    time_ms: 3,
                    file: RetiredFile::CompressedSegment {
                        segment: segment(6, 0, Some(SegmentEnd { lsn: 3, bytes: 9 })),
                        bytes: 8,
                        checksum: 0xab,
                    },
                },
                RetiredLine {
                    time_ms: 3,
                    file: RetiredFile::Segment(segment(
                        7,
                        3,
                        Some(SegmentEnd { lsn: 5, bytes: 9 }),
                    )),
                },
            ],
            base: Some(BaseLine {
                sequence: 1,
                identity: Identity([9; 16]),
                lsn: 5,
                preamble_bytes: 77,
                end_lsn: 10,
                bytes: 99,
            }),
            segments: vec![
                segment(2, 10, Some(SegmentEnd { lsn: 50, bytes: 5000 })),
                segment(3, 50, None),
            ],
        }
    }

    #[test]
    fn a_manifest_is_replaced_as_a_whole() {
        let (disk, dir) = (SimDisk::new(), Path::new("d"));
        assert!(matches!(Manifest::load(&disk, dir), Err(ManifestError::Missing)));
        manifest().store(&disk, dir).unwrap();
        assert_eq!(Manifest::load(&disk, dir).unwrap(), manifest());
        let lost = disk.snapshot().after_power_cut(|| false);
        assert_eq!(Manifest::load(&lost, dir).unwrap(), manifest());
    }

    fn retired(number: u64) -> RetiredLine {
        let end = Some(SegmentEnd { lsn: number + 1, bytes: 9 });
        let (sequence, identity) = (number, Identity([7; 16]));
        let segment = SegmentLine { sequence, identity, first_lsn: number, end };
        RetiredLine { time_ms: number / 1000, file: RetiredFile::Segment(segment) }
    }

    #[test]
    fn a_manifest_too_long_to_read_is_not_stored() {
        let (disk, dir) = (SimDisk::new(), Path::new("d"));
        manifest().store(&disk, dir).unwrap();
        let mut long = Manifest { retired: Vec::new(), ..manifest() };
        let others = long.encode().len();
        long.retired.push(retired(1_000_000));
        let line = long.encode().len() - others;
        long.retired = vec![retired(1_000_000); (BYTES_MAX as usize - others) / line];
        // A start may store it, but the running log must leave some bytes.
        long.store(&disk, dir).unwrap();
        assert_eq!(Manifest::load(&disk, dir).unwrap(), long);
        let refused = long.write_temporary(&disk, dir, ROOM_BYTES).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        let mut longer = long.clone();
        longer.retired.push(retired(1_000_000));
        let refused = longer.store(&disk, dir).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(Manifest::load(&disk, dir).unwrap(), long);
        assert_eq!(disk.list(dir).unwrap(), [NAME]);
    }

    #[test]
    fn retired_files_are_pruned_before_the_manifest_is_full() {
        let mut manifest = manifest();
        manifest.retired = (0..70_000).map(retired).collect();
        let pruned = manifest.prune_retired(0, u64::MAX);
        assert_eq!(pruned.len() % 1000, 0, "what was retired together goes together");
        let files = manifest.retired.len() + manifest.segments.len();
        assert!((FILES_MAX - 1000..=FILES_MAX).contains(&files), "{files}");
        assert!(manifest.prune_retired(0, u64::MAX).is_empty());
        // The longest possible lines.
        let end = Some(SegmentEnd { lsn: u64::MAX, bytes: u64::MAX });
        let segment = SegmentLine {
            sequence: u64::MAX,
            identity: Identity([7; 16]),
            first_lsn: u64::MAX,
            end,
        };
        let file = RetiredFile::CompressedSegment { segment, bytes: u64::MAX, checksum: u32::MAX };
        manifest.retired = vec![RetiredLine { time_ms: u64::MAX, file }; FILES_MAX];
        assert!(manifest.encode().len() as u64 <= BYTES_MAX - ROOM_BYTES);
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_found() {
        let bytes = manifest().encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&damaged).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..len]).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn contradictory_manifests_are_refused() {
        let mut gap = manifest();
        gap.segments[1].first_lsn = 51;
        let mut order = manifest();
        order.segments[1].sequence = 2;
        let mut open = manifest();
        open.segments[0].end = None;
        let mut unsealed = manifest();
        unsealed.retired[0].file = RetiredFile::CompressedSegment {
            segment: SegmentLine { end: None, ..manifest().segments[0].clone() },
            bytes: 8,
            checksum: 0xab,
        };
        for wrong in [gap, order, open, unsealed] {
            assert!(Manifest::decode(&wrong.encode()).is_err());
        }
    }
}
