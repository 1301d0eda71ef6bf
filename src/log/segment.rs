//! The header and name of a segment or base. `storage-format.md` specifies the bytes.

use super::frame;
use super::lsn::{Lsn, Timeline, TimelineId};
use crate::disk::File;
use std::io;
use thiserror::Error;

/// Bytes before the first frame.
pub const HEADER_BYTES: usize = 4096;
/// The only format version that this build reads and writes.
pub const FORMAT_VERSION: u32 = 1;
/// The first eight bytes of every header.
pub const MAGIC: [u8; 8] = *b"MAINSTAY";

/// The kind of a file with frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FileKind {
    /// A part of the log.
    Segment = 0,
    /// What the log starts from: the keyspace as of an LSN.
    Base = 1,
}

/// A random 128-bit number in a file's header, unique to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity(pub [u8; 16]);

impl Identity {
    /// A random one.
    pub fn random(random: &mut dyn FnMut() -> u64) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random().to_le_bytes());
        bytes[8..].copy_from_slice(&random().to_le_bytes());
        Self(bytes)
    }

    /// The seed of the checksums of the file's frames.
    pub fn seed(&self) -> u32 {
        frame::checksum(0, &self.0)
    }
}

/// A file's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Segment or base.
    pub kind: FileKind,
    /// The data set that the file belongs to.
    pub dataset: Identity,
    /// Seeds the checksums of the frames.
    pub identity: Identity,
    /// Number of the file; increases.
    pub sequence: u64,
    /// LSN of the first frame; of a base, the LSN of its preamble.
    pub first_lsn: Lsn,
    /// The timeline of its LSNs.
    pub timeline: Timeline,
    /// Creation time (Unix ms).
    pub created_ms: u64,
    /// A base's preamble, which lies before the header.
    pub preamble: Option<Preamble>,
}

/// The RDB at the beginning of a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// Its length.
    pub bytes: u64,
    /// Offset of the index of its blocks.
    pub index_offset: u64,
    /// CRC-32 of its bytes from there on.
    pub tail_checksum: u32,
}

impl Preamble {
    /// Whether `bytes` are its bytes from the index of blocks on.
    pub fn is_tail(&self, bytes: &[u8]) -> bool {
        frame::checksum(0, bytes) == self.tail_checksum
    }
}

/// Why a header cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HeaderError {
    /// Not a file of the log, or the header is damaged.
    #[error("the file header is damaged (magic or checksum)")]
    Damaged,
    /// Written by another version.
    #[error("format version {0}, but this build reads version {FORMAT_VERSION}")]
    Version(u32),
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.kind as u32).to_le_bytes());
        bytes[16..32].copy_from_slice(&self.dataset.0);
        bytes[32..48].copy_from_slice(&self.identity.0);
        bytes[48..56].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.first_lsn.to_le_bytes());
        bytes[64..84].copy_from_slice(&self.timeline.id.0);
        bytes[88..96].copy_from_slice(&self.timeline.begin_lsn.to_le_bytes());
        bytes[96..104].copy_from_slice(&self.created_ms.to_le_bytes());
        if let Some(preamble) = &self.preamble {
            bytes[104..112].copy_from_slice(&preamble.bytes.to_le_bytes());
            bytes[112..120].copy_from_slice(&preamble.index_offset.to_le_bytes());
            bytes[120..124].copy_from_slice(&preamble.tail_checksum.to_le_bytes());
        }
        let sum = frame::checksum(0, &bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the header at `offset` of a file. A file that ends earlier has a damaged header.
    ///
    /// # Errors
    /// Those of the disk; the inner one as [`SegmentHeader::decode`].
    pub fn read(file: &dyn File, offset: u64) -> io::Result<Result<Self, HeaderError>> {
        let mut bytes = vec![0; HEADER_BYTES];
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(Self::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Ok(Err(HeaderError::Damaged))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a header from its bytes.
    ///
    /// # Errors
    /// `Version` if magic and checksum are right but the version differs, otherwise `Damaged`.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() < HEADER_BYTES || bytes[..8] != MAGIC {
            return Err(HeaderError::Damaged);
        }
        let u32_at = |at| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let u64_at = |at| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let sixteen = |at| bytes[at..at + 16].try_into().expect("16 bytes");
        if u32_at(HEADER_BYTES - 4) != frame::checksum(0, &bytes[..HEADER_BYTES - 4]) {
            return Err(HeaderError::Damaged);
        }
        if u32_at(8) != FORMAT_VERSION {
            return Err(HeaderError::Version(u32_at(8)));
        }
        let kind = match u32_at(12) {
            0 => FileKind::Segment,
            1 => FileKind::Base,
            _ => return Err(HeaderError::Damaged),
        };
        Ok(Self {
            kind,
            dataset: Identity(sixteen(16)),
            identity: Identity(sixteen(32)),
            sequence: u64_at(48),
            first_lsn: u64_at(56),
            timeline: Timeline {
                id: TimelineId(bytes[64..84].try_into().expect("20 bytes")),
                begin_lsn: u64_at(88),
            },
            created_ms: u64_at(96),
            preamble: (kind == FileKind::Base).then(|| Preamble {
                bytes: u64_at(104),
                index_offset: u64_at(112),
                tail_checksum: u32_at(120),
            }),
        })
    }
}

/// Offset of the header in a base whose preamble has `preamble_bytes` bytes.
pub fn frames_header_offset(preamble_bytes: u64) -> u64 {
    preamble_bytes.next_multiple_of(HEADER_BYTES as u64)
}

/// Finds the header after the preamble of a base without the manifest, and its offset. Searches
/// multiples of the header's length from the end of the file, because the frames are usually
/// shorter than the preamble.
///
/// # Errors
/// Those of the disk.
pub fn find_header(file: &dyn File) -> io::Result<Option<(u64, SegmentHeader)>> {
    let unit = HEADER_BYTES as u64;
    let mut bytes = vec![0; HEADER_BYTES];
    let mut at = file.len()? / unit * unit;
    while at >= unit {
        at -= unit;
        file.read_exact_at(&mut bytes[..MAGIC.len()], at)?;
        if bytes[..MAGIC.len()] != MAGIC {
            continue;
        }
        file.read_exact_at(&mut bytes, at)?;
        if let Ok(header) = SegmentHeader::decode(&bytes)
            && header.preamble.is_some_and(|it| frames_header_offset(it.bytes) == at)
        {
            return Ok(Some((at, header)));
        }
    }
    Ok(None)
}

/// The name of segment `sequence`.
pub fn segment_name(sequence: u64) -> String {
    format!("segment-{sequence:016}.log")
}

/// The name of the base with this sequence.
pub fn base_name(sequence: u64) -> String {
    format!("base-{sequence:016}.log")
}

/// The name of segment `sequence` once it is retired and compressed.
pub fn compressed_name(sequence: u64) -> String {
    format!("segment-{sequence:016}.log.zst")
}

/// The kind of a file according to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A segment.
    Segment,
    /// A retired segment, compressed.
    CompressedSegment,
    /// A base.
    Base,
}

/// Kind and sequence in a file's name; `None` if it is not a name of the log.
pub fn parse_name(name: &str) -> Option<(NameKind, u64)> {
    let (stem, suffix) = name.split_once('.')?;
    let (prefix, digits) = stem.split_once('-')?;
    let kind = match (prefix, suffix) {
        ("segment", "log") => NameKind::Segment,
        ("segment", "log.zst") => NameKind::CompressedSegment,
        ("base", "log") => NameKind::Base,
        _ => return None,
    };
    let sequence = digits.parse().ok()?;
    // Only exact names: other files must not be removed.
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    (digits.len() == 16 && all_digits).then_some((kind, sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_round_trips_and_every_flipped_bit_is_found() {
        let header = SegmentHeader {
            kind: FileKind::Segment,
            dataset: Identity([1; 16]),
            identity: Identity([2; 16]),
            sequence: 3,
            first_lsn: 4,
            timeline: Timeline { id: TimelineId([5; 20]), begin_lsn: 6 },
            created_ms: 7,
            preamble: None,
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&damaged), Err(HeaderError::Damaged), "bit {bit}");
        }
        assert_eq!(SegmentHeader::decode(&bytes[..4095]), Err(HeaderError::Damaged));
    }

    #[test]
    fn only_exact_names_are_parsed() {
        assert_eq!(parse_name(&segment_name(12)), Some((NameKind::Segment, 12)));
        assert_eq!(parse_name(&compressed_name(9)), Some((NameKind::CompressedSegment, 9)));
        assert_eq!(parse_name(&base_name(1)), Some((NameKind::Base, 1)));
        for name in [
            "segment-1.log",
            "segment-+000000000000001.log",
            "manifest",
            "base-000000000000000x.log",
            "base-0000000000000001.log.zst",
            "segment-0000000000000001.zst",
            "x-0000000000000001.log",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
