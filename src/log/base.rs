//! The base: what the log starts from. One file with an RDB of everything as of an LSN, the
//! *preamble*, and then frames up to the start of the first segment. `storage-format.md` specifies
//! the bytes.

use super::commit;
use super::frame::{self, Codec, FrameHeader, FrameKind, checksum};
use super::lsn::{Lsn, Until};
use super::manifest::{BaseLine, Manifest};
use super::read::Reading;
use super::reader::FrameReader;
use super::recovery::{OpenError, Replay};
use super::room::Room;
use super::segment::{self, FileKind, SegmentHeader, frames_header_offset};
use super::writer::{Segment, put_frame};
use crate::disk::Disk;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A long write is synced after this many bytes. One sync of the whole file would delay the log's
/// own syncs.
pub const SYNC_BYTES: u64 = 4 << 20;

/// A base that is being written. It takes effect when the manifest lists it.
pub struct BaseWriter {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    place: Segment,
    header: SegmentHeader,
    synced_bytes: u64,
    preamble_bytes: u64,
    /// LSN after the last frame.
    lsn: Lsn,
    time_ms: u64,
    room: Room,
    scratch: Vec<u8>,
}

impl BaseWriter {
    /// Creates the file; writing it leaves `kept_bytes` free on the disk. The header holds the LSN
    /// of the preamble.
    pub(super) fn create(
        disk: Arc<dyn Disk>,
        dir: &Path,
        header: SegmentHeader,
        kept_bytes: u64,
    ) -> io::Result<Self> {
        debug_assert_eq!(header.kind, FileKind::Base);
        let path = dir.join(segment::base_name(header.sequence));
        let room = Room::new(disk.clone(), dir, kept_bytes);
        room.check(0, segment::HEADER_BYTES as u64)?;
        let file = disk.create(&path)?;
        let place = Segment {
            file,
            sequence: header.sequence,
            identity: header.identity,
            size: u64::MAX,
            offset: 0,
        };
        let (lsn, time_ms) = (header.first_lsn, 0);
        let (synced_bytes, preamble_bytes, scratch) = (0, 0, Vec::new());
        Ok(Self {
            disk,
            path,
            place,
            header,
            synced_bytes,
            preamble_bytes,
            lsn,
            time_ms,
            room,
            scratch,
        })
    }

    /// The LSN of the preamble.
    pub fn first_lsn(&self) -> Lsn {
        self.header.first_lsn
    }

    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.place.offset
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.place.offset == 0
    }

    /// Appends to the preamble.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Includes the header after the preamble, which begins at a multiple of its length.
        let header_bytes = 2 * segment::HEADER_BYTES as u64;
        self.room.check(self.place.offset, bytes.len() as u64 + header_bytes)?;
        self.place.file.write_at(bytes, self.place.offset)?;
        self.place.offset += bytes.len() as u64;
        self.sync_some()
    }

    /// The space that it may take.
    pub fn room(&self) -> &Room {
        &self.room
    }

    fn sync_some(&mut self) -> io::Result<()> {
        if self.place.offset - self.synced_bytes < SYNC_BYTES {
            return Ok(());
        }
        self.synced_bytes = self.place.offset;
        self.place.file.sync()
    }

    /// Ends the preamble, whose index of blocks begins at `index_offset`.
    pub fn end_preamble(&mut self, index_offset: u64, tail_checksum: u32) {
        self.preamble_bytes = self.place.offset;
        self.header.preamble =
            Some(segment::Preamble { bytes: self.preamble_bytes, index_offset, tail_checksum });
        let at = frames_header_offset(self.preamble_bytes);
        self.place.offset = at + segment::HEADER_BYTES as u64;
    }

    /// Records that everything below the base's LSN was written by `time_ms`.
    pub(super) fn written_by(&mut self, time_ms: u64) {
        self.header.created_ms = self.header.created_ms.max(time_ms);
    }

    /// Copies the commands of sealed segments from the preamble's LSN up to `end_lsn`, where a
    /// segment begins. `db` is the database selected at the preamble's LSN.
    ///
    /// # Errors
    /// Those of the disk, and `InvalidData` if a segment is damaged.
    pub(super) fn copy_frames(
        &mut self,
        dir: &Path,
        manifest: &Manifest,
        end_lsn: Lsn,
        db: u32,
    ) -> io::Result<()> {
        let mut raw = Vec::new();
        for line in &manifest.segments {
            let Some(end) = line.end else { break };
            if end.lsn <= self.lsn || line.first_lsn >= end_lsn {
                continue;
            }
            let path = dir.join(segment::segment_name(line.sequence));
            let file = self.disk.open(&path)?;
            let mut reader = FrameReader::new(file, end.bytes, line.identity.seed());
            let mut offset = FrameReader::FIRST_OFFSET;
            while offset < end.bytes {
                let damaged = |damage: frame::FrameDamage| {
                    let text = format!("{}, offset {offset}: {damage}", path.display());
                    io::Error::new(io::ErrorKind::InvalidData, text)
                };
                let header = reader.header(offset).map_err(damaged)?;
                if header.kind == FrameKind::Commands && header.end_lsn() > self.lsn {
                    let header = reader.frame(offset, &mut raw).map_err(damaged)?;
                    self.copy_frame(&header, &raw, db)?;
                }
                offset += header.frame_bytes();
            }
        }
        if self.lsn != end_lsn {
            let text = format!("the log has no commands at LSN {}", self.lsn);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(())
    }

    /// Writes the commands of one frame, except those below the preamble's LSN.
    fn copy_frame(&mut self, header: &FrameHeader, raw: &[u8], db: u32) -> io::Result<()> {
        let Some(skip) = self.lsn.checked_sub(header.lsn) else {
            let text = format!("a gap in the log before LSN {}", header.lsn);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        let raw = &raw[skip as usize..];
        let mut compressed = Vec::new();
        let (codec, stored) = match header.codec {
            Codec::None => (Codec::None, raw),
            _ => commit::compress(raw, Some(0), &mut compressed),
        };
        let frame = FrameHeader {
            stored_bytes: stored.len() as u64,
            raw_bytes: raw.len() as u64,
            lsn: self.lsn,
            time_ms: header.time_ms.max(self.time_ms),
            durable_lsn: self.lsn,
            payload_checksum: checksum(self.place.identity.seed(), stored),
            db: if skip > 0 { db } else { header.db },
            kind: FrameKind::Commands,
            codec,
        };
        self.room.check(self.place.offset, frame.frame_bytes())?;
        put_frame(&self.place, &frame, stored, &mut self.scratch)?;
        self.place.offset += frame.frame_bytes();
        self.lsn = frame.end_lsn();
        self.time_ms = frame.time_ms;
        self.sync_some()
    }

    /// Makes the file and its name durable. Returns the manifest's line for it.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn finish(&self) -> io::Result<BaseLine> {
        let at = frames_header_offset(self.preamble_bytes);
        self.place.file.write_at(&self.header.encode(), at)?;
        self.place.file.sync()?;
        self.disk.sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        Ok(BaseLine {
            sequence: self.header.sequence,
            identity: self.header.identity,
            lsn: self.header.first_lsn,
            preamble_bytes: self.preamble_bytes,
            end_lsn: self.lsn,
            bytes: self.place.offset,
        })
    }

    /// Reads the finished file as a start would, with `check` as the replay. Returns its line.
    ///
    /// # Errors
    /// Those of the disk, and `InvalidData` if a start would refuse it.
    pub(super) fn read_back(
        &self,
        manifest: &Manifest,
        line: BaseLine,
        check: &mut dyn Replay,
    ) -> io::Result<BaseLine> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let files = |name: &str| self.disk.open(&dir.join(name));
        let mut reading = Reading::new(dir, &files, check, Until::END);
        match reading.read_base(manifest, &line) {
            Ok(()) => Ok(line),
            Err(OpenError::Disk { source, .. }) => Err(source),
            Err(error) => {
                let text = format!("the new base is not used, a start would refuse it: {error}");
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
        }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, which no manifest lists. On failure the next start removes it.
    pub fn discard(self) {
        let _ = self.disk.remove(&self.path);
    }
}
