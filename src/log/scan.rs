//! Scanning the frames of a file across damage, for tools that report damage or save the rest.

use super::frame::{ALIGN, FrameDamage, FrameHeader, FrameKind};
use super::lsn::Lsn;
use super::manifest::SegmentEnd;
use super::reader::FrameReader;
use crate::disk::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Where the frames of a file end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanEnd {
    /// Where the manifest states.
    Sealed(SegmentEnd),
    /// After the last sound frame, at or above this LSN.
    Open(Lsn),
    /// At the first frame that begins at or above this LSN: a server is appending to the file.
    Live(Lsn),
}

/// What a place in a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A sound frame with the expected LSN. [`Scan::payload`] and [`Scan::stored`] return its
    /// payload.
    Frame {
        /// Where it begins.
        offset: u64,
        /// Its header.
        header: FrameHeader,
        /// Its padding is not zero, or cannot be read.
        padding_damaged: bool,
    },
    /// Bytes that hold no sound frame that belongs there.
    Gap(Gap),
}

/// Bytes that hold no sound frame that belongs there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where they begin.
    pub offset: u64,
    /// Where they end; less than `offset` if the file ends before it should.
    pub end_offset: u64,
    /// The damage at their beginning.
    pub damage: FrameDamage,
    /// The expected LSN.
    pub lsn: Lsn,
    /// The LSN of the next sound frame, or that the log is known to have reached; equal to `lsn` if
    /// no command is lost.
    pub end_lsn: Lsn,
    /// The header at the beginning, if only its payload is damaged.
    pub header: Option<FrameHeader>,
    /// When the previous frame was written (Unix ms); 0 if there is none.
    pub from_ms: u64,
    /// When the next sound frame was written (Unix ms); `u64::MAX` if there is none.
    pub to_ms: u64,
    /// There is no evidence that lost commands were acknowledged: an unfinished write looks like
    /// this.
    pub is_tail: bool,
}

impl Gap {
    /// Whether the number of lost commands is unknown: the gap is the last one, without a header
    /// that states its length.
    pub fn is_unknown(&self) -> bool {
        let is_last = self.is_tail && self.to_ms == u64::MAX;
        is_last && self.end_lsn == self.lsn && self.header.is_none()
    }
}

/// An iterator over the frames and gaps of a file.
pub struct Scan {
    reader: FrameReader,
    raw: Vec<u8>,
    end: ScanEnd,
    /// Where the valid bytes of the file end.
    end_offset: u64,
    offset: u64,
    lsn: Lsn,
    time_ms: u64,
    /// The highest durable LSN in a header.
    attested_lsn: Lsn,
    done: bool,
}

impl Scan {
    /// Scans `file`, whose checksums are seeded with `seed`, from the frame at `offset` on, which
    /// should begin at `lsn`.
    ///
    /// # Errors
    /// If the file's length cannot be read.
    pub fn new(
        file: Arc<dyn File>,
        seed: u32,
        (offset, lsn): (u64, Lsn),
        end: ScanEnd,
    ) -> io::Result<Self> {
        let len = file.len()?;
        let end_offset = match end {
            ScanEnd::Sealed(end) => end.bytes,
            ScanEnd::Open(_) | ScanEnd::Live(_) => len,
        };
        // Everything before a segment is durable when it begins.
        let attested_lsn = if let ScanEnd::Open(attested_lsn) = end { attested_lsn } else { lsn };
        Ok(Self {
            // Inserted bytes may have moved the last frames beyond the end.
            reader: FrameReader::new(file, len, seed),
            raw: Vec::new(),
            end,
            end_offset,
            offset,
            lsn,
            time_ms: 0,
            attested_lsn,
            done: false,
        })
    }

    /// The commands of the frame found last.
    pub fn payload(&self) -> &[u8] {
        &self.raw
    }

    /// As [`Scan::payload`], for parsers that modify it.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.raw
    }

    /// The payload of the frame found last, as stored.
    pub fn stored(&self) -> &[u8] {
        self.reader.stored()
    }

    /// The LSN after the item found last.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// The offset after the item found last.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the bytes of a gap, at most the first `bytes_max`, as far as they are readable.
    pub fn gap_bytes(&mut self, gap: &Gap, bytes_max: usize) -> Vec<u8> {
        let len = gap.end_offset.saturating_sub(gap.offset).min(bytes_max as u64) as usize;
        self.reader.raw_bytes(gap.offset, len)
    }

    /// All sound command frames anywhere in the file whose LSNs lie within `lsns`: offset and
    /// header, in order of LSN.
    pub fn displaced(&mut self, lsns: Range<Lsn>) -> Vec<(u64, FrameHeader)> {
        let (mut found, mut at, mut raw) = (Vec::new(), 0, Vec::new());
        while let Some((offset, header)) = self.reader.find_header(at) {
            let is_sound = self.reader.frame_ignoring_padding(offset, &mut raw).is_ok();
            let fits = lsns.contains(&header.lsn) && header.end_lsn() <= lsns.end;
            if is_sound && fits && header.kind == FrameKind::Commands {
                found.push((offset, header));
            }
            at = offset + if is_sound { header.frame_bytes() } else { ALIGN };
        }
        found.sort_by_key(|(_, header)| header.lsn);
        found.dedup_by_key(|(_, header)| header.lsn);
        found
    }

    /// The payload of the frame at `offset` as stored, if it is sound.
    pub fn stored_at(&mut self, offset: u64) -> Option<&[u8]> {
        let mut raw = Vec::new();
        self.reader.frame_ignoring_padding(offset, &mut raw).ok()?;
        Some(self.reader.stored())
    }

    fn take(&mut self, header: FrameHeader, padding_damaged: bool) -> Found {
        let offset = self.offset;
        self.offset += header.frame_bytes();
        self.lsn = header.end_lsn();
        self.time_ms = self.time_ms.max(header.time_ms);
        self.attested_lsn = self.attested_lsn.max(header.durable_lsn);
        Found::Frame { offset, header, padding_damaged }
    }

    fn is_at_end(&self) -> bool {
        match self.end {
            ScanEnd::Sealed(end) => self.offset >= end.bytes && self.lsn >= end.lsn,
            ScanEnd::Open(_) => false,
            ScanEnd::Live(lsn) => self.lsn >= lsn,
        }
    }

    /// Finds the next sound frame that can follow.
    fn gap(&mut self, damage: FrameDamage) -> Option<Found> {
        let (offset, lsn, from_ms) = (self.offset, self.lsn, self.time_ms);
        let header = self.reader.header(offset).ok().filter(|header| header.lsn == lsn);
        // A sound header gives the extent of the damage; nothing inside it is a frame.
        let mut from = offset + header.map_or(ALIGN, |header| header.frame_bytes());
        let mut raw = Vec::new();
        // Headers with damaged payloads attest durability, too.
        let mut attested_lsn = self.attested_lsn;
        let next = loop {
            let Some((at, header)) = self.reader.find_header(from) else { break None };
            attested_lsn = attested_lsn.max(header.durable_lsn);
            let is_sound = self.reader.frame(at, &mut raw).is_ok();
            if is_sound && header.lsn >= lsn && self.is_within(&header) {
                break Some((at, header));
            }
            // The length in a header without a sound payload may be wrong and hide a frame.
            from = at + if is_sound { header.frame_bytes() } else { ALIGN };
        };
        self.attested_lsn = attested_lsn;
        let gap = Gap {
            offset,
            end_offset: 0,
            damage,
            lsn,
            end_lsn: lsn,
            header,
            from_ms,
            to_ms: u64::MAX,
            is_tail: false,
        };
        if let Some((at, header)) = next {
            (self.offset, self.lsn) = (at, header.lsn);
            return Some(Found::Gap(Gap {
                end_offset: at,
                end_lsn: header.lsn,
                to_ms: header.time_ms,
                // Without a later header that attests it, these frames may not have been
                // acknowledged.
                is_tail: matches!(self.end, ScanEnd::Open(_)) && attested_lsn <= lsn,
                ..gap
            }));
        }
        self.done = true;
        let end_offset = match self.end {
            ScanEnd::Sealed(_) => self.end_offset,
            _ => self.reader.written_end(offset),
        };
        let claimed = header.map_or(lsn, |header| header.end_lsn());
        let (end_lsn, is_tail) = match self.end {
            ScanEnd::Sealed(end) => (end.lsn.max(lsn), false),
            ScanEnd::Live(end) => (end, false),
            ScanEnd::Open(_) if attested_lsn > lsn => (attested_lsn.max(claimed), false),
            ScanEnd::Open(_) => (claimed, true),
        };
        (self.offset, self.lsn) = (end_offset, end_lsn);
        let is_nothing = end_offset <= offset && end_lsn == lsn;
        (!is_nothing).then_some(Found::Gap(Gap { end_offset, end_lsn, is_tail, ..gap }))
    }

    /// Whether a frame can belong to this file: it must not reach beyond its end.
    fn is_within(&self, header: &FrameHeader) -> bool {
        match self.end {
            ScanEnd::Sealed(end) => header.end_lsn() <= end.lsn,
            ScanEnd::Open(_) | ScanEnd::Live(_) => true,
        }
    }
}

impl Iterator for Scan {
    type Item = Found;

    /// The next frame or gap; `None` at the end.
    fn next(&mut self) -> Option<Found> {
        if self.done || self.is_at_end() {
            return None;
        }
        let offset = self.offset;
        let damage = match self.reader.frame(offset, &mut self.raw) {
            Ok(header) if header.lsn == self.lsn => return Some(self.take(header, false)),
            Ok(_) => FrameDamage::OutOfOrder,
            Err(FrameDamage::Padding) => {
                match self.reader.frame_ignoring_padding(offset, &mut self.raw) {
                    Ok(header) if header.lsn == self.lsn => return Some(self.take(header, true)),
                    _ => FrameDamage::Padding,
                }
            }
            Err(damage) => damage,
        };
        self.gap(damage)
    }
}
