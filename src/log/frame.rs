//! A frame: the unit in which commands are written. `storage-format.md` specifies the bytes.

use super::lsn::Lsn;
use crate::words::counted;
use std::fmt;
use thiserror::Error;

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 64;
/// Frames begin at multiples of this.
pub const ALIGN: u64 = 8;
/// The first four bytes of every frame.
pub const MAGIC: u32 = u32::from_le_bytes(*b"MFRM");
/// LZ4 expands by at most this factor; a header that claims more is refused.
const LZ4_RATIO_MAX: u64 = 255;

/// The most bytes that a damaged payload is decompressed to.
const DAMAGED_BYTES_MAX: u64 = 16 << 20;

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Whole commands.
    Commands = 0,
    /// No payload; its header records the durable LSN.
    Marker = 1,
    /// Written by a repair in the place of lost data: see [`Lost`].
    Lost = 2,
}

/// How a payload is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// As it is.
    None = 0,
    /// An LZ4 block.
    Lz4 = 1,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the payload on disk, without the padding.
    pub stored_bytes: u64,
    /// Bytes of the payload once decoded; LSNs advance by this.
    pub raw_bytes: u64,
    /// LSN of the payload's first byte; of a marker, the LSN where the next frame begins.
    pub lsn: Lsn,
    /// Unix time in ms at which it was written; never decreases within a data set.
    pub time_ms: u64,
    /// Everything below this LSN was durable when the frame was written.
    pub durable_lsn: Lsn,
    /// CRC-32 of the stored payload, seeded by the segment's identity.
    pub payload_checksum: u32,
    /// The database that is selected where the payload begins.
    pub db: u32,
    /// The kind of its payload.
    pub kind: FrameKind,
    /// How the payload is stored.
    pub codec: Codec,
}

/// Bytes of the payload of a [`FrameKind::Lost`] frame.
pub const LOST_BYTES: usize = 24;

/// A loss recorded by a repair: the commands of a range of LSNs, or keys of a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// LSN of the first lost command; for keys of a base, the LSN of the base.
    pub lsn: Lsn,
    /// LSN after the last lost command; for keys of a base, equal to `lsn`.
    pub end_lsn: Lsn,
    /// They were written at this Unix time in ms or later; 0 if unknown.
    pub from_ms: u64,
    /// They were written at this Unix time in ms or earlier; `u64::MAX` if unknown.
    pub to_ms: u64,
    /// Number of lost keys of a base.
    pub keys: u64,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lsn, end_lsn, keys, .. } = self;
        if *keys > 0 {
            let keys = counted(*keys, "key", "keys");
            write!(f, "{keys} or more of the base as of LSN {lsn}")?;
        } else if end_lsn > lsn {
            let bytes = counted(end_lsn - lsn, "byte", "bytes");
            write!(f, "LSN {lsn} to {end_lsn}, {bytes} of commands")?;
        } else {
            write!(f, "an unknown amount at LSN {lsn}")?;
        }
        match (self.from_ms, self.to_ms) {
            (0, u64::MAX) => Ok(()),
            (0, to_ms) => write!(f, ", written by Unix time {to_ms} ms"),
            (from_ms, u64::MAX) => write!(f, ", written at Unix time {from_ms} ms or later"),
            (from_ms, to_ms) => write!(f, ", written between Unix time {from_ms} and {to_ms} ms"),
        }
    }
}

impl Lost {
    /// Decodes the payload of a sound frame with this header.
    pub fn decode(header: &FrameHeader, payload: &[u8]) -> Self {
        let u64_at =
            |at| u64::from_le_bytes(payload[at..at + 8].try_into().expect("the header was sound"));
        Self {
            lsn: header.lsn,
            end_lsn: header.end_lsn(),
            from_ms: u64_at(0),
            to_ms: u64_at(8),
            keys: u64_at(16),
        }
    }

    /// The frame's payload.
    pub fn encode(&self) -> [u8; LOST_BYTES] {
        let mut payload = [0; LOST_BYTES];
        payload[0..8].copy_from_slice(&self.from_ms.to_le_bytes());
        payload[8..16].copy_from_slice(&self.to_ms.to_le_bytes());
        payload[16..24].copy_from_slice(&self.keys.to_le_bytes());
        payload
    }
}

/// Why bytes are not a sound frame.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FrameDamage {
    /// Only zeros: nothing was written here.
    #[error("no frame, only zeros")]
    Empty,
    /// The file ends inside the frame.
    #[error("the file ends inside the frame")]
    Truncated,
    /// The header's checksum does not match its bytes, or there is no header.
    #[error("no valid frame header")]
    Header,
    /// The header is sound but contradicts itself.
    #[error("the frame header is valid but its contents are impossible")]
    Impossible,
    /// The payload's checksum does not match its bytes.
    #[error("the payload does not match its checksum")]
    Payload,
    /// The bytes that align the next frame are not zero.
    #[error("the padding is not zero")]
    Padding,
    /// The payload's checksum is right, but it does not decompress to the length in the header.
    #[error("the payload cannot be decompressed")]
    Codec,
    /// The disk reports a read error.
    #[error("the disk reports a read error")]
    Unreadable,
    /// A sound frame whose LSN is not the expected one.
    #[error("a frame with another LSN than the expected one")]
    OutOfOrder,
}

/// CRC-32 (IEEE 802.3) of `bytes`, started from a segment's seed so that frames of other segments
/// do not verify.
pub fn checksum(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// Zero bytes after a payload of `stored_bytes`.
pub fn padding_bytes(stored_bytes: u64) -> u64 {
    stored_bytes.wrapping_neg() % ALIGN
}

/// Bytes of a whole frame: header, payload and padding.
pub fn frame_bytes(stored_bytes: u64) -> u64 {
    HEADER_BYTES as u64 + stored_bytes + padding_bytes(stored_bytes)
}

impl FrameHeader {
    /// Bytes of the whole frame: header, payload and padding.
    pub fn frame_bytes(&self) -> u64 {
        frame_bytes(self.stored_bytes)
    }

    /// The LSN after the frame.
    pub fn end_lsn(&self) -> Lsn {
        self.lsn + self.raw_bytes
    }

    /// The header's bytes.
    pub fn encode(&self, seed: u32) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.stored_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.raw_bytes.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.lsn.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.time_ms.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.durable_lsn.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.payload_checksum.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.db.to_le_bytes());
        bytes[56] = self.kind as u8;
        bytes[57] = self.codec as u8;
        let sum = checksum(seed, &bytes[8..]);
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// `Empty` for zeros, `Header` if magic or checksum are wrong, `Impossible` if only the
    /// contents are.
    pub fn decode(bytes: &[u8; HEADER_BYTES], seed: u32) -> Result<Self, FrameDamage> {
        let u32_at = |at| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let u64_at = |at| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        if u32_at(0) != MAGIC || u32_at(4) != checksum(seed, &bytes[8..]) {
            let empty = bytes.iter().all(|&b| b == 0);
            return Err(if empty { FrameDamage::Empty } else { FrameDamage::Header });
        }
        let header = Self {
            stored_bytes: u64_at(8),
            raw_bytes: u64_at(16),
            lsn: u64_at(24),
            time_ms: u64_at(32),
            durable_lsn: u64_at(40),
            payload_checksum: u32_at(48),
            db: u32_at(52),
            kind: match bytes[56] {
                0 => FrameKind::Commands,
                1 => FrameKind::Marker,
                2 => FrameKind::Lost,
                _ => return Err(FrameDamage::Impossible),
            },
            codec: match bytes[57] {
                0 => Codec::None,
                1 => Codec::Lz4,
                _ => return Err(FrameDamage::Impossible),
            },
        };
        let plausible = match header.codec {
            // Its decoded length is the lost range, not the payload's length.
            Codec::None if header.kind == FrameKind::Lost => {
                header.stored_bytes == LOST_BYTES as u64
            }
            Codec::None => header.stored_bytes == header.raw_bytes,
            Codec::Lz4 if header.kind == FrameKind::Lost => false,
            Codec::Lz4 => header.raw_bytes <= header.stored_bytes.saturating_mul(LZ4_RATIO_MAX),
        };
        let lengths = header.stored_bytes <= i64::MAX as u64
            && header.lsn.checked_add(header.raw_bytes).is_some()
            && match header.kind {
                FrameKind::Commands => header.raw_bytes > 0,
                FrameKind::Marker => header.raw_bytes == 0,
                FrameKind::Lost => true,
            };
        let reserved = bytes[58..].iter().all(|&b| b == 0);
        let attested = header.durable_lsn <= header.lsn;
        if plausible && lengths && reserved && attested {
            Ok(header)
        } else {
            Err(FrameDamage::Impossible)
        }
    }

    /// Checks a stored payload (without padding) and decodes it into `raw`, which is emptied first.
    ///
    /// # Errors
    /// `Payload` or `Codec`.
    pub fn decode_payload(
        &self,
        stored: &[u8],
        seed: u32,
        raw: &mut Vec<u8>,
    ) -> Result<(), FrameDamage> {
        debug_assert_eq!(stored.len() as u64, self.stored_bytes);
        raw.clear();
        if checksum(seed, stored) != self.payload_checksum {
            return Err(FrameDamage::Payload);
        }
        match self.codec {
            Codec::None => raw.extend_from_slice(stored),
            Codec::Lz4 => {
                raw.resize(self.raw_bytes as usize, 0);
                let count = lz4_flex::block::decompress_into(stored, raw)
                    .map_err(|_| FrameDamage::Codec)?;
                if count as u64 != self.raw_bytes {
                    return Err(FrameDamage::Codec);
                }
            }
        }
        Ok(())
    }
}

/// Decompresses a damaged LZ4 block up to the damage: at most `raw_bytes`.
pub fn decompress_damaged(stored: &[u8], raw_bytes: u64) -> Vec<u8> {
    // The length may be right, yet too long to allocate for a guess.
    let mut raw = vec![0; raw_bytes.min(DAMAGED_BYTES_MAX) as usize];
    // Bytes after the damage stay zero; the decoder does not return how many it wrote.
    let _ = lz4_flex::block::decompress_into(stored, &mut raw);
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FrameHeader {
        FrameHeader {
            stored_bytes: 5,
            raw_bytes: 5,
            lsn: 1000,
            time_ms: 1_700_000_000_000,
            durable_lsn: 900,
            payload_checksum: checksum(7, b"hello"),
            db: 3,
            kind: FrameKind::Commands,
            codec: Codec::None,
        }
    }

    #[test]
    fn a_header_comes_back() {
        assert_eq!(FrameHeader::decode(&header().encode(7), 7), Ok(header()));
        assert_eq!(header().frame_bytes(), 72);
        assert_eq!(FrameHeader::decode(&[0; HEADER_BYTES], 7), Err(FrameDamage::Empty));
    }

    #[test]
    fn flipped_bits_and_frames_of_other_segments_are_found() {
        let bytes = header().encode(7);
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&damaged, 7), Err(FrameDamage::Header), "bit {bit}");
        }
        assert_eq!(FrameHeader::decode(&bytes, 8), Err(FrameDamage::Header));
    }

    #[test]
    fn impossible_headers_are_refused() {
        let cases = [
            FrameHeader { raw_bytes: 6, ..header() },
            FrameHeader { durable_lsn: 1001, ..header() },
            FrameHeader { lsn: u64::MAX, durable_lsn: 0, ..header() },
            FrameHeader { kind: FrameKind::Marker, ..header() },
            FrameHeader { kind: FrameKind::Lost, ..header() },
            FrameHeader { kind: FrameKind::Lost, codec: Codec::Lz4, stored_bytes: 24, ..header() },
            FrameHeader { raw_bytes: 0, stored_bytes: 0, ..header() },
            FrameHeader { codec: Codec::Lz4, raw_bytes: 5 * 255 + 1, ..header() },
        ];
        for case in cases {
            let decoded = FrameHeader::decode(&case.encode(7), 7);
            assert_eq!(decoded, Err(FrameDamage::Impossible), "{case:?}");
        }
    }

    #[test]
    fn lost_frames_round_trip() {
        let lost = Lost { lsn: 1000, end_lsn: 5000, from_ms: 1, to_ms: 2, keys: 3 };
        let payload = lost.encode();
        let header = FrameHeader {
            kind: FrameKind::Lost,
            stored_bytes: LOST_BYTES as u64,
            raw_bytes: 4000,
            payload_checksum: checksum(7, &payload),
            ..header()
        };
        let header = FrameHeader::decode(&header.encode(7), 7).unwrap();
        let mut raw = Vec::new();
        header.decode_payload(&payload, 7, &mut raw).unwrap();
        assert_eq!(Lost::decode(&header, &raw), lost);
    }

    #[test]
    fn payloads_are_checked() {
        let mut raw = Vec::new();
        assert_eq!(header().decode_payload(b"hello", 7, &mut raw), Ok(()));
        assert_eq!(raw, b"hello");
        assert_eq!(header().decode_payload(b"hellO", 7, &mut raw), Err(FrameDamage::Payload));
        let nonsense = FrameHeader { codec: Codec::Lz4, raw_bytes: 100, ..header() };
        assert_eq!(nonsense.decode_payload(b"hello", 7, &mut raw), Err(FrameDamage::Codec));
    }
}
