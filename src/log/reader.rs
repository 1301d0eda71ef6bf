//! Reading frames: the reader of recovery and of the tools.
//!
//! It uses positioned reads, which report a bad sector and can go on after it.

use super::frame::{ALIGN, FrameDamage, FrameHeader, HEADER_BYTES, MAGIC, padding_bytes};
use super::lsn::Lsn;
use super::segment;
use crate::disk::File;
use std::io;
use std::sync::Arc;

/// Bytes read at once.
const WINDOW_BYTES: usize = 256 * 1024;

/// Reads the frames of one segment or base.
pub struct FrameReader {
    file: Arc<dyn File>,
    /// Bytes at or beyond this offset are ignored.
    end: u64,
    seed: u32,
    window: Vec<u8>,
    window_start: u64,
    stored: Vec<u8>,
}

impl FrameReader {
    /// Reads frames of `file` that lie below `end`; `seed` is that of the file's identity.
    pub fn new(file: Arc<dyn File>, end: u64, seed: u32) -> Self {
        Self { file, end, seed, window: Vec::new(), window_start: 0, stored: Vec::new() }
    }

    /// Where the checksums of its frames start from.
    pub fn seed(&self) -> u32 {
        self.seed
    }

    /// Where the first frame begins.
    pub const FIRST_OFFSET: u64 = segment::HEADER_BYTES as u64;

    /// `len` bytes at `offset` through the window; fewer at the end.
    fn bytes(&mut self, offset: u64, len: usize) -> Result<&[u8], FrameDamage> {
        let len = len.min(self.end.saturating_sub(offset) as usize);
        if len == 0 {
            return Ok(&[]);
        }
        let window_end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || offset + len as u64 > window_end {
            let want = WINDOW_BYTES.max(len).min((self.end - offset) as usize);
            self.window.resize(want, 0);
            self.window_start = offset;
            let mut filled = 0;
            while filled < want {
                match self.file.read_at(&mut self.window[filled..], offset + filled as u64) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // The bytes before the bad place can be used.
                    Err(_) if filled >= len => break,
                    Err(_) => {
                        self.window.clear();
                        return Err(FrameDamage::Unreadable);
                    }
                }
            }
            self.window.truncate(filled);
        }
        let from = (offset - self.window_start) as usize;
        let to = (from + len).min(self.window.len());
        Ok(&self.window[from..to])
    }

    /// The header of the frame at `offset`.
    ///
    /// # Errors
    /// The damage found there.
    pub fn header(&mut self, offset: u64) -> Result<FrameHeader, FrameDamage> {
        let (seed, end) = (self.seed, self.end);
        let bytes = self.bytes(offset, HEADER_BYTES)?;
        let Ok(bytes) = <&[u8; HEADER_BYTES]>::try_from(bytes) else {
            let empty = bytes.iter().all(|&b| b == 0);
            return Err(if empty { FrameDamage::Empty } else { FrameDamage::Truncated });
        };
        let header = FrameHeader::decode(bytes, seed)?;
        // Checked before memory for the payload is allocated.
        let room = end - offset;
        let fits = header.stored_bytes <= room && header.frame_bytes() <= room;
        if fits { Ok(header) } else { Err(FrameDamage::Truncated) }
    }

    /// The headers of the frames from `offset` on, where `lsn` begins, with their offsets: up to
    /// the first place without a valid header of the expected LSN. Payloads are not read.
    pub fn headers(
        &mut self,
        (mut offset, mut lsn): (u64, Lsn),
    ) -> impl Iterator<Item = (u64, FrameHeader)> {
        std::iter::from_fn(move || {
            let header = self.header(offset).ok().filter(|header| header.lsn == lsn)?;
            let at = offset;
            (offset, lsn) = (offset + header.frame_bytes(), header.end_lsn());
            Some((at, header))
        })
    }

    /// Reads the frame at `offset`: returns its header, and decodes its payload into `raw`.
    ///
    /// # Errors
    /// The damage found there.
    pub fn frame(&mut self, offset: u64, raw: &mut Vec<u8>) -> Result<FrameHeader, FrameDamage> {
        let header = self.header(offset)?;
        self.stored_payload(offset, &header)?;
        header.decode_payload(&self.stored, self.seed, raw)?;
        Ok(header)
    }

    /// As [`FrameReader::frame`], but ignores the padding.
    ///
    /// # Errors
    /// The damage found there.
    pub fn frame_ignoring_padding(
        &mut self,
        offset: u64,
        raw: &mut Vec<u8>,
    ) -> Result<FrameHeader, FrameDamage> {
        let header = self.header(offset)?;
        match self.stored_payload(offset, &header) {
            Ok(_) | Err(FrameDamage::Padding) => {}
            Err(damage) => return Err(damage),
        }
        header.decode_payload(&self.stored, self.seed, raw)?;
        Ok(header)
    }

    /// The payload read last, as stored.
    pub fn stored(&self) -> &[u8] {
        &self.stored
    }

    /// `len` bytes at `offset`, or as many as can be read.
    pub fn raw_bytes(&mut self, offset: u64, len: usize) -> Vec<u8> {
        self.bytes(offset, len).map(<[u8]>::to_vec).unwrap_or_default()
    }

    /// The payload of the frame at `offset` as stored, without a check of its checksum.
    pub fn stored_payload(
        &mut self,
        offset: u64,
        header: &FrameHeader,
    ) -> Result<&[u8], FrameDamage> {
        let len = header.stored_bytes as usize;
        let padding = padding_bytes(header.stored_bytes) as usize;
        let mut stored = std::mem::take(&mut self.stored);
        stored.clear();
        let at = offset + HEADER_BYTES as u64;
        if len + padding <= WINDOW_BYTES {
            stored.extend_from_slice(self.bytes(at, len + padding)?);
        } else {
            stored.resize(len + padding, 0);
            match self.file.read_exact_at(&mut stored, at) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(FrameDamage::Truncated);
                }
                Err(_) => return Err(FrameDamage::Unreadable),
            }
        }
        if stored.len() != len + padding {
            return Err(FrameDamage::Truncated);
        }
        let padded = stored[len..].iter().any(|&b| b != 0);
        stored.truncate(len);
        self.stored = stored;
        if padded { Err(FrameDamage::Padding) } else { Ok(&self.stored) }
    }

    /// The first offset from `from` on at which a frame with a valid header begins.
    pub fn find_header(&mut self, from: u64) -> Option<(u64, FrameHeader)> {
        let mut offset = from.next_multiple_of(ALIGN);
        while offset < self.end {
            let bytes = match self.bytes(offset, WINDOW_BYTES) {
                Ok(bytes) if !bytes.is_empty() => bytes,
                Ok(_) => return None,
                // An unreadable sector holds no header.
                Err(_) => {
                    offset += 512;
                    continue;
                }
            };
            let len = bytes.len() as u64;
            let found = bytes.chunks(8).position(|chunk| chunk.starts_with(&MAGIC.to_le_bytes()));
            match found {
                Some(index) => {
                    let at = offset + 8 * index as u64;
                    if let Ok(header) = self.header(at) {
                        return Some((at, header));
                    }
                    offset = at + 8;
                }
                None => offset += len.next_multiple_of(8),
            }
        }
        None
    }

    /// The offset after the last non-zero byte at or after `from`, or `from`.
    pub fn written_end(&mut self, from: u64) -> u64 {
        let (mut offset, mut end) = (from, from);
        while offset < self.end {
            let (len, last) = match self.bytes(offset, WINDOW_BYTES) {
                Ok(bytes) => (bytes.len() as u64, bytes.iter().rposition(|&b| b != 0)),
                Err(_) => (512, Some(511)),
            };
            if len == 0 {
                break;
            }
            if let Some(last) = last {
                end = offset + last as u64 + 1;
            }
            offset += len;
        }
        end
    }
}
