//! Compression of retired segments with zstd: a sealed file never changes, so a compressed one can
//! replace it.
//!
//! The manifest decides: before it is replaced, the compressed file is unlisted, afterwards the
//! segment is. A start removes unlisted files.

use super::base::SYNC_BYTES;
use super::frame::FrameDamage;
use super::manifest::{RetiredFile, SegmentLine};
use super::reader::FrameReader;
use super::room::Room;
use super::segment::{self, SegmentHeader};
use super::state::Log;
use crate::disk::{Disk, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use thiserror::Error;

/// zstd's default.
const LEVEL: i32 = 3;
/// Bytes that are compressed or compared at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// A segment that [`Log::compress_retired`] has compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// The compressed file's name.
    pub name: String,
    /// Length of the segment.
    pub raw_bytes: u64,
    /// Length of the compressed file.
    pub bytes: u64,
}

/// Why a retired segment was not compressed.
#[derive(Debug, Error)]
pub enum CompressError {
    /// The segment is damaged. It is skipped until the next start.
    #[error("{path} is not compressed: {reason}")]
    Source {
        /// The segment.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// The new file or the new manifest could not be written.
    #[error("writing {path} failed: {source}")]
    Disk {
        /// The new file.
        path: PathBuf,
        /// The disk's answer.
        source: io::Error,
    },
}

impl Log {
    /// Compresses one retired segment; `None` if there is none to compress, or
    /// [`Options::compresses_retired`](super::Options::compresses_retired) is off. Takes long, but
    /// holds the writer's lock only to replace the manifest. Call it on one thread only.
    ///
    /// # Errors
    /// Why a segment was not compressed; it stays listed. After an error of the disk the next call
    /// tries the same segment again.
    pub fn compress_retired(&self) -> Result<Option<Compressed>, CompressError> {
        while let Some(segment) = self.next_uncompressed() {
            let error = match self.compress(&segment) {
                Ok(compressed) => return Ok(Some(compressed)),
                Err(error) => error,
            };
            if self.closing.load(Ordering::Acquire) {
                break;
            }
            // The segment may have been pruned or recycled meanwhile.
            let line = RetiredFile::Segment(segment.clone());
            if !self.writer.lock().manifest.retired.iter().any(|retired| retired.file == line) {
                continue;
            }
            if matches!(error, CompressError::Source { .. }) {
                self.uncompressible.lock().insert(segment.sequence);
            }
            return Err(error);
        }
        Ok(None)
    }

    /// Waits until there may be a segment to compress, or `patience` has passed. Returns false once
    /// the log is being closed.
    pub fn wait_for_retired(&self, patience: Option<Duration>) -> bool {
        let mut retired = self.retired.lock();
        if !*retired && !self.closing.load(Ordering::Acquire) {
            match patience {
                Some(patience) => {
                    self.retired_added.wait_for(&mut retired, patience);
                }
                None => self.retired_added.wait(&mut retired),
            }
        }
        *retired = false;
        !self.closing.load(Ordering::Acquire)
    }

    /// Wakes the thread that compresses retired segments.
    pub(super) fn kick_compression(&self) {
        *self.retired.lock() = true;
        self.retired_added.notify_all();
    }

    fn next_uncompressed(&self) -> Option<SegmentLine> {
        if !self.options.compresses_retired || self.closing.load(Ordering::Acquire) {
            return None;
        }
        let writer = self.writer.lock();
        if writer.pending_start.is_some() {
            return None;
        }
        let uncompressible = self.uncompressible.lock();
        // A compressed file that may be listed by the active manifest must not be written again.
        let is_free = |segment: &SegmentLine| {
            let path = self.dir.join(segment::compressed_name(segment.sequence));
            !uncompressible.contains(&segment.sequence) && !writer.possibly_active.contains(&path)
        };
        writer.manifest.retired.iter().find_map(|line| match &line.file {
            RetiredFile::Segment(segment) if is_free(segment) => Some(segment.clone()),
            _ => None,
        })
    }

    fn compress(&self, segment: &SegmentLine) -> Result<Compressed, CompressError> {
        let raw_bytes = segment.end.map_or(0, |end| end.bytes);
        let source_path = self.dir.join(segment::segment_name(segment.sequence));
        let name = segment::compressed_name(segment.sequence);
        let path = self.dir.join(&name);
        let at_source = |reason| CompressError::Source { path: source_path.clone(), reason };
        let at_disk = |source| CompressError::Disk { path: path.clone(), source };

        let source =
            self.disk.open_to_read(&source_path).map_err(|error| at_source(error.to_string()))?;
        self.verify(&source, segment).map_err(at_source)?;
        let (bytes, checksum) = self
            .write_compressed(&source, raw_bytes, &path)
            .map_err(at_disk)
            .and_then(|(file, bytes, checksum)| {
                self.compare(&source, raw_bytes, file, bytes).map_err(at_source)?;
                Ok((bytes, checksum))
            })
            .inspect_err(|_| self.remove_unlisted(&path))?;
        self.list_compressed(segment, (bytes, checksum), &path).map_err(at_disk)?;
        self.remove_unlisted(&source_path);
        Ok(Compressed { name, raw_bytes, bytes })
    }

    /// Fails once the log is being closed, so that closing does not wait for a big segment.
    fn check_open(&self) -> io::Result<()> {
        match self.closing.load(Ordering::Acquire) {
            true => Err(io::Error::other("the log is being closed")),
            false => Ok(()),
        }
    }

    /// Checks that `file` is sound from its header to its last frame. The error states the damage.
    fn verify(&self, file: &Arc<dyn File>, segment: &SegmentLine) -> Result<(), String> {
        let end = segment.end.ok_or("it is not sealed")?;
        let header =
            SegmentHeader::read(&**file, 0).map_err(|error| format!("its header: {error}"))?;
        let header = header.map_err(|error| error.to_string())?;
        if (header.identity, header.sequence) != (segment.identity, segment.sequence) {
            return Err("it is not the file that the manifest lists".to_owned());
        }
        let mut reader = FrameReader::new(file.clone(), end.bytes, segment.identity.seed());
        let (mut offset, mut lsn) = (FrameReader::FIRST_OFFSET, segment.first_lsn);
        let mut raw = Vec::new();
        while (offset, lsn) != (end.bytes, end.lsn) {
            self.check_open().map_err(|error| error.to_string())?;
            let frame = match reader.frame(offset, &mut raw) {
                Ok(frame) if frame.lsn == lsn => Ok(frame),
                Ok(_) => Err(FrameDamage::OutOfOrder),
                Err(damage) => Err(damage),
            };
            let frame = frame.map_err(|damage| format!("offset {offset}: {damage}"))?;
            offset += frame.frame_bytes();
            lsn = frame.end_lsn();
        }
        Ok(())
    }

    /// Writes the first `raw_bytes` of `source`, compressed, to a new file at `path`, and makes the
    /// file and its name durable. Returns the file, its length and its checksum.
    fn write_compressed(
        &self,
        source: &Arc<dyn File>,
        raw_bytes: u64,
        path: &Path,
    ) -> io::Result<(Arc<dyn File>, u64, u32)> {
        let file = self.disk.create(path)?;
        let sum = crc32fast::Hasher::new();
        let room = Room::new(self.disk.clone(), &self.dir, self.kept_by_copies_bytes());
        let target = Target { file: &*file, room, offset: 0, synced_bytes: 0, sum };
        let mut encoder = zstd::Encoder::new(target, LEVEL)?;
        encoder.set_pledged_src_size(Some(raw_bytes))?;
        encoder.include_contentsize(true)?;
        encoder.include_checksum(true)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut offset = 0;
        while offset < raw_bytes {
            self.check_open()?;
            let count = chunk.len().min((raw_bytes - offset) as usize);
            source.read_exact_at(&mut chunk[..count], offset)?;
            encoder.write_all(&chunk[..count])?;
            offset += count as u64;
        }
        let Target { offset: bytes, sum, .. } = encoder.finish()?;
        file.sync()?;
        self.disk.sync_dir(&self.dir)?;
        Ok((file, bytes, sum.finalize()))
    }

    /// Checks that `file` decompresses to the first `raw_bytes` of `source`. The error states the
    /// difference.
    fn compare(
        &self,
        source: &Arc<dyn File>,
        raw_bytes: u64,
        file: Arc<dyn File>,
        bytes: u64,
    ) -> Result<(), String> {
        let describe = |error: io::Error| format!("reading it back: {error}");
        let mut decoder = decoder(file, bytes).map_err(describe)?;
        let (mut expected, mut found) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
        let mut offset = 0;
        while offset < raw_bytes {
            self.check_open().map_err(describe)?;
            let count = expected.len().min((raw_bytes - offset) as usize);
            source.read_exact_at(&mut expected[..count], offset).map_err(describe)?;
            decoder.read_exact(&mut found[..count]).map_err(describe)?;
            if expected[..count] != found[..count] {
                return Err(format!("it differs after offset {offset} when read back"));
            }
            offset += count as u64;
        }
        // The decoder checks the checksum at the end.
        match decoder.read(&mut found).map_err(describe)? {
            0 => Ok(()),
            _ => Err("it is longer when read back".to_owned()),
        }
    }

    /// Stores a manifest that lists the file at `path` instead of `segment`.
    fn list_compressed(
        &self,
        segment: &SegmentLine,
        (bytes, checksum): (u64, u32),
        path: &Path,
    ) -> io::Result<()> {
        let busy = self.busy();
        let mut writer = self.writer.lock();
        let mut manifest = writer.manifest.clone();
        let is_wanted = !self.closing.load(Ordering::Acquire)
            && !self.has_failed()
            && manifest.compress_retired(segment, bytes, checksum);
        let stored = if is_wanted {
            self.replace_manifest(&mut writer, manifest, 0, path).map(drop)
        } else {
            self.remove_unlisted(path);
            Err(io::Error::other("the log has failed, is being closed or has pruned the segment"))
        };
        drop(writer);
        drop(busy);
        stored
    }
}

/// Opens a retired file for reading. A compressed segment is decompressed into memory.
///
/// # Errors
/// Those of the disk, and `InvalidData` if a compressed file does not match the manifest or is
/// damaged.
pub fn open_retired(
    disk: &dyn Disk,
    dir: &Path,
    retired: &RetiredFile,
) -> io::Result<Arc<dyn File>> {
    decompressed(disk.open_to_read(&dir.join(retired.name()))?, retired)
}

/// As [`open_retired`], for an open file.
pub(super) fn decompressed(
    file: Arc<dyn File>,
    retired: &RetiredFile,
) -> io::Result<Arc<dyn File>> {
    let RetiredFile::CompressedSegment { segment, bytes, checksum } = retired else {
        return Ok(file);
    };
    let invalid = |text: String| {
        let text = format!("{}: {text}", retired.name());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let raw_bytes = segment.end.map_or(0, |end| end.bytes);
    let len = file.len()?;
    if len != *bytes {
        return Err(invalid(format!("{len} bytes, but the manifest lists {bytes}")));
    }
    if file_checksum(&*file, len)? != *checksum {
        return Err(invalid("it does not match the checksum in the manifest".to_owned()));
    }
    let (modified_ns, mut raw) = (file.modified_ns()?, Vec::new());
    // Reading one byte more finds a file that is too long, and makes the decoder check the checksum
    // otherwise.
    let mut limited = decoder(file, len)?.take(raw_bytes + 1);
    limited.read_to_end(&mut raw).map_err(|error| invalid(error.to_string()))?;
    if raw.len() as u64 != raw_bytes {
        return Err(invalid(format!("it does not hold the {raw_bytes} bytes of the segment")));
    }
    Ok(Arc::new(Decompressed { raw, modified_ns }))
}

/// CRC-32 of the first `len` bytes of `file`.
fn file_checksum(file: &dyn File, len: u64) -> io::Result<u32> {
    let (mut sum, mut chunk) = (crc32fast::Hasher::new(), vec![0; CHUNK_BYTES]);
    let mut offset = 0;
    while offset < len {
        let count = chunk.len().min((len - offset) as usize);
        file.read_exact_at(&mut chunk[..count], offset)?;
        sum.update(&chunk[..count]);
        offset += count as u64;
    }
    Ok(sum.finalize())
}

/// Decompresses the first `bytes` of `file`.
fn decoder(file: Arc<dyn File>, bytes: u64) -> io::Result<impl Read> {
    zstd::Decoder::new(Source { file, offset: 0 }.take(bytes))
}

/// Reads a file from its beginning.
struct Source {
    file: Arc<dyn File>,
    offset: u64,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Writes a file from its beginning, and syncs it in pieces so that the log's own syncs are not
/// delayed.
struct Target<'a> {
    file: &'a dyn File,
    room: Room,
    offset: u64,
    synced_bytes: u64,
    sum: crc32fast::Hasher,
}

impl Write for Target<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room.check(self.offset, bytes.len() as u64)?;
        self.file.write_at(bytes, self.offset)?;
        self.sum.update(bytes);
        self.offset += bytes.len() as u64;
        if self.offset - self.synced_bytes >= SYNC_BYTES {
            self.synced_bytes = self.offset;
            self.file.sync()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A decompressed segment.
struct Decompressed {
    raw: Vec<u8>,
    modified_ns: i64,
}

impl Decompressed {
    fn refuse() -> io::Error {
        io::Error::new(io::ErrorKind::Unsupported, "a decompressed file is read-only")
    }
}

impl File for Decompressed {
    fn len(&self) -> io::Result<u64> {
        Ok(self.raw.len() as u64)
    }

    fn modified_ns(&self) -> io::Result<i64> {
        Ok(self.modified_ns)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.raw.len());
        (&self.raw[start..]).read(buffer)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(Self::refuse())
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Err(Self::refuse())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(Self::refuse())
    }

    fn sync(&self) -> io::Result<()> {
        Err(Self::refuse())
    }
}
