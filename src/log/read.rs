//! Reading a data set: from its files to its commands. Used by recovery and by the tools.

use super::frame::{FrameDamage, FrameHeader, FrameKind, Lost};
use super::lsn::{Lsn, Until};
use super::manifest::{BaseLine, Manifest, SegmentEnd, SegmentLine};
use super::reader::FrameReader;
use super::recovery::{Cut, OpenError, PreambleDamage, Recovery, Replay, disk_error};
use super::segment::{self, FileKind, Identity, SegmentHeader};
use crate::disk::File;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens the files of a data set by name.
pub(super) type Files<'a> = dyn Fn(&str) -> io::Result<Arc<dyn File>> + 'a;

/// What a place in a file holds.
enum Step {
    /// A frame that was replayed.
    Frame(FrameHeader),
    /// A frame beyond the end of reading.
    Stop,
    /// No sound frame with the expected LSN.
    Damage(FrameDamage),
}

/// A data set that is being read.
pub(super) struct Reading<'a> {
    pub(super) dir: &'a Path,
    pub(super) files: &'a Files<'a>,
    pub(super) replay: &'a mut dyn Replay,
    /// Where reading ends.
    pub(super) until: Until,
    pub(super) recovery: Recovery,
    pub(super) last_time_ms: u64,
    /// Whether the last file read holds a frame other than markers.
    pub(super) holds_frames: bool,
    /// Whether reading ended at `until`.
    pub(super) stopped: bool,
    raw: Vec<u8>,
}

/// The frames of the open segment that are not attested to be durable, and where the valid ones
/// end.
pub(super) struct Tail {
    pub(super) reader: FrameReader,
    /// Where the manifest will end the segment.
    pub(super) end: SegmentEnd,
    /// Frames after that end, with their offsets: to be copied into the new segment.
    pub(super) undurable: VecDeque<(u64, FrameHeader)>,
    /// LSN and offset after the last valid frame.
    pub(super) valid: SegmentEnd,
    /// Where the bytes to be cut off end; `valid.bytes` if there are none.
    pub(super) written_bytes: u64,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        dir: &'a Path,
        files: &'a Files<'a>,
        replay: &'a mut dyn Replay,
        until: Until,
    ) -> Self {
        let (recovery, raw) = (Recovery::default(), Vec::new());
        Self {
            dir,
            files,
            replay,
            until,
            recovery,
            last_time_ms: 0,
            holds_frames: false,
            stopped: false,
            raw,
        }
    }

    /// Reads everything that the manifest lists. Returns the tail of the open segment, if the data
    /// set was not closed.
    pub(super) fn read(&mut self, manifest: &Manifest) -> Result<Option<Tail>, OpenError> {
        // Open all files first, to report a missing one before a long replay.
        if let Some(base) = &manifest.base {
            self.open_file(&segment::base_name(base.sequence), base.lsn)?;
        }
        for line in &manifest.segments {
            self.open_file(&segment::segment_name(line.sequence), line.first_lsn)?;
        }
        if let Some(base) = &manifest.base {
            self.read_base(manifest, base)?;
        }
        let mut tail = None;
        for line in &manifest.segments {
            if self.stopped {
                break;
            }
            let (mut reader, path) = self.open_segment(manifest, line)?;
            self.holds_frames = false;
            match line.end {
                Some(end) => {
                    let start = (FrameReader::FIRST_OFFSET, line.first_lsn);
                    self.read_sealed(&mut reader, &path, start, end)?;
                }
                None => tail = self.read_open(reader, &path, line.first_lsn)?,
            }
        }
        Ok(tail)
    }

    pub(super) fn open_file(&self, name: &str, lsn: Lsn) -> Result<Arc<dyn File>, OpenError> {
        let path = self.dir.join(name);
        (self.files)(name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => OpenError::FileMissing { path, lsn },
            _ => disk_error("opening", &path)(error),
        })
    }

    fn checked_header(
        &self,
        path: &Path,
        file: &dyn File,
        offset: u64,
        lsn: Lsn,
    ) -> Result<SegmentHeader, OpenError> {
        let read = SegmentHeader::read(file, offset).map_err(disk_error("reading", path))?;
        read.map_err(|source| OpenError::Header { path: path.into(), offset, source, lsn })
    }

    /// Reads the base that `line` lists.
    pub(super) fn read_base(
        &mut self,
        manifest: &Manifest,
        line: &BaseLine,
    ) -> Result<(), OpenError> {
        let path = self.dir.join(segment::base_name(line.sequence));
        let file = self.open_file(&segment::base_name(line.sequence), line.lsn)?;
        let header_offset = segment::frames_header_offset(line.preamble_bytes);
        let header = self.checked_header(&path, &*file, header_offset, line.lsn)?;
        let expected = (FileKind::Base, manifest.dataset, line.identity, line.sequence, line.lsn);
        check_header(&path, &header, expected)?;
        let Some(preamble) = header.preamble.filter(|it| it.bytes == line.preamble_bytes) else {
            let field = "the length of the preamble";
            return Err(OpenError::Foreign { path, field, lsn: line.lsn });
        };
        self.check_padding(&path, &*file, line, header_offset)?;
        self.last_time_ms = self.last_time_ms.max(header.created_ms);
        self.recovery.lsn = line.lsn;
        self.replay.preamble(&file, &preamble, line.lsn).map_err(|damage| {
            let PreambleDamage { offset, reason, is_sound } = damage;
            let (path, lsn) = (path.clone(), line.lsn);
            match is_sound {
                true => OpenError::Replay { path, offset, lsn, end_lsn: lsn, reason },
                false => OpenError::Preamble { path, offset, reason, lsn },
            }
        })?;
        self.recovery.base_keys = self.replay.base_keys();
        let mut reader = FrameReader::new(file, line.bytes, line.identity.seed());
        let first = header_offset + FrameReader::FIRST_OFFSET;
        let end = SegmentEnd { lsn: line.end_lsn, bytes: line.bytes };
        self.read_sealed(&mut reader, &path, (first, line.lsn), end)
    }

    /// Checks that the bytes between the preamble and the header are zero.
    fn check_padding(
        &self,
        path: &Path,
        file: &dyn File,
        line: &BaseLine,
        header_offset: u64,
    ) -> Result<(), OpenError> {
        let mut padding = vec![0; (header_offset - line.preamble_bytes) as usize];
        let read = file.read_exact_at(&mut padding, line.preamble_bytes);
        read.map_err(disk_error("reading", path))?;
        match padding.iter().position(|&byte| byte != 0) {
            None => Ok(()),
            Some(at) => Err(OpenError::Preamble {
                path: path.into(),
                offset: line.preamble_bytes + at as u64,
                reason: "bytes after the preamble that are not zero".to_owned(),
                lsn: line.lsn,
            }),
        }
    }

    fn open_segment(
        &self,
        manifest: &Manifest,
        line: &SegmentLine,
    ) -> Result<(FrameReader, PathBuf), OpenError> {
        let name = segment::segment_name(line.sequence);
        let path = self.dir.join(&name);
        let file = self.open_file(&name, line.first_lsn)?;
        let header = self.checked_header(&path, &*file, 0, line.first_lsn)?;
        let (dataset, sequence) = (manifest.dataset, line.sequence);
        let expected = (FileKind::Segment, dataset, line.identity, sequence, line.first_lsn);
        check_header(&path, &header, expected)?;
        let len = file.len().map_err(disk_error("measuring", &path))?;
        let end = line.end.map_or(len, |end| end.bytes);
        Ok((FrameReader::new(file, end, line.identity.seed()), path))
    }

    /// Reads and replays one frame. An error ends recovery.
    fn replay_frame(
        &mut self,
        reader: &mut FrameReader,
        path: &Path,
        offset: u64,
        lsn: Lsn,
    ) -> Result<Step, OpenError> {
        let header = match reader.frame(offset, &mut self.raw) {
            Ok(header) if header.lsn == lsn => header,
            Ok(_) => return Ok(Step::Damage(FrameDamage::OutOfOrder)),
            Err(damage) => return Ok(Step::Damage(damage)),
        };
        if header.lsn >= self.until.lsn || header.time_ms > self.until.time_ms {
            self.stopped = true;
            return Ok(Step::Stop);
        }
        self.recovery.frames += 1;
        self.recovery.lsn = header.end_lsn();
        self.last_time_ms = self.last_time_ms.max(header.time_ms);
        self.holds_frames |= header.kind != FrameKind::Marker;
        match header.kind {
            FrameKind::Commands => {
                self.recovery.bytes += header.raw_bytes;
                self.replay.commands(&header, &self.raw).map_err(|refused| OpenError::Replay {
                    path: path.into(),
                    offset,
                    lsn: refused.unit.start,
                    end_lsn: refused.unit.end,
                    reason: refused.reason,
                })?;
            }
            FrameKind::Lost => {
                let lost = Lost::decode(&header, &self.raw);
                self.replay.lost(&lost);
                self.recovery.lost.push(lost);
            }
            FrameKind::Marker => {}
        }
        self.recovery.passed_over = self.replay.passed_over();
        Ok(Step::Frame(header))
    }

    fn read_sealed(
        &mut self,
        reader: &mut FrameReader,
        path: &Path,
        (mut offset, mut lsn): (u64, Lsn),
        end: SegmentEnd,
    ) -> Result<(), OpenError> {
        loop {
            let damage = if offset == end.bytes && lsn == end.lsn {
                return Ok(());
            } else if offset >= end.bytes {
                FrameDamage::Truncated
            } else {
                match self.replay_frame(reader, path, offset, lsn)? {
                    Step::Frame(header) => {
                        offset += header.frame_bytes();
                        lsn = header.end_lsn();
                        continue;
                    }
                    Step::Stop => return Ok(()),
                    Step::Damage(damage) => damage,
                }
            };
            return Err(self.corrupt(reader, path, offset, lsn, end.lsn, damage));
        }
    }

    /// The error for damaged acknowledged data at `offset`, where `lsn` should be. What is lost
    /// ends at the next sound frame, or at `known_lsn`.
    fn corrupt(
        &self,
        reader: &mut FrameReader,
        path: &Path,
        offset: u64,
        lsn: Lsn,
        known_lsn: Lsn,
        damage: FrameDamage,
    ) -> OpenError {
        let mut from = offset;
        let mut lsn_end = known_lsn;
        let mut db = self.replay.selected_db();
        while let Some((at, header)) = reader.find_header(from) {
            let sound = reader.frame(at, &mut Vec::new()).is_ok();
            if sound && header.lsn >= lsn && at > offset {
                lsn_end = header.lsn;
                break;
            }
            if at == offset {
                db = header.db;
            }
            from = at + header.frame_bytes();
        }
        OpenError::Corrupt { path: path.into(), offset, damage, lsn, lsn_end, db }
    }

    /// Reads the segment that was being written, up to the first invalid frame. Searches the rest
    /// for headers that attest what was durable. Returns `None` if reading ended at `until`.
    fn read_open(
        &mut self,
        mut reader: FrameReader,
        path: &Path,
        first_lsn: Lsn,
    ) -> Result<Option<Tail>, OpenError> {
        // Everything before a segment is durable when it begins.
        let mut attested_lsn = first_lsn;
        let mut end = SegmentEnd { lsn: first_lsn, bytes: FrameReader::FIRST_OFFSET };
        let mut valid = end;
        let mut undurable = VecDeque::new();
        let damage = loop {
            match self.replay_frame(&mut reader, path, valid.bytes, valid.lsn)? {
                Step::Frame(header) => {
                    attested_lsn = attested_lsn.max(header.durable_lsn);
                    undurable.push_back((valid.bytes, header));
                    valid.bytes += header.frame_bytes();
                    valid.lsn = header.end_lsn();
                }
                Step::Stop => return Ok(None),
                Step::Damage(damage) => break damage,
            }
            // Markers are not synced: one is known to be on the medium only once later commands
            // are. The end in the manifest must be on the medium.
            let is_commands = |(_, header): &(u64, FrameHeader)| header.kind != FrameKind::Marker;
            while let Some(index) = undurable.iter().position(is_commands)
                && let (at, header) = undurable[index]
                && header.end_lsn() <= attested_lsn
            {
                end = SegmentEnd { lsn: header.end_lsn(), bytes: at + header.frame_bytes() };
                undurable.drain(..=index);
            }
        };
        let written_bytes = reader.written_end(valid.bytes);
        let (mut frames, mut span_ms, mut from) = (0, 0, valid.bytes);
        while let Some((at, header)) = reader.find_header(from) {
            attested_lsn = attested_lsn.max(header.durable_lsn);
            frames += 1;
            span_ms = header.time_ms.saturating_sub(self.last_time_ms).max(span_ms);
            from = at + header.frame_bytes();
        }
        if valid.lsn < attested_lsn {
            let (offset, lsn) = (valid.bytes, valid.lsn);
            return Err(self.corrupt(&mut reader, path, offset, lsn, attested_lsn, damage));
        }
        if written_bytes > valid.bytes {
            self.recovery.cut = Some(Cut {
                file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                offset: valid.bytes,
                lsn: valid.lsn,
                bytes: written_bytes - valid.bytes,
                frames,
                span_ms,
                set_aside: None,
                damage,
            });
        }
        Ok(Some(Tail { reader, end, undurable, valid, written_bytes }))
    }
}

fn check_header(
    path: &Path,
    header: &SegmentHeader,
    (kind, dataset, identity, sequence, first_lsn): (FileKind, Identity, Identity, u64, Lsn),
) -> Result<(), OpenError> {
    let field = if header.kind != kind {
        "the kind of file"
    } else if header.dataset != dataset {
        "the data set"
    } else if header.identity != identity {
        "the identity"
    } else if header.sequence != sequence {
        "the sequence"
    } else if header.first_lsn != first_lsn {
        "the first LSN"
    } else {
        return Ok(());
    };
    Err(OpenError::Foreign { path: path.into(), field, lsn: first_lsn })
}
