//! All sound frames in order, from wherever they are.

use super::base::Begin;
use super::report::{LostRange, Report};
use super::start::Unit;
use crate::frames::Frames;
use crate::output::{Bar, Failure, Output, counted};
use crate::payload;
use mainstay::log::frame::{self, Codec, FrameHeader, FrameKind};
use mainstay::log::manifest::{RetiredFile, SegmentLine};
use mainstay::log::scan::{Found, ScanEnd};
use mainstay::log::segment::{NameKind, base_name, parse_name, segment_name};
use mainstay::log::{Lost, Lsn, SalvageWriter, View};
use std::io;

/// What is to be saved.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Only what lies before the first gap.
    pub is_prefix: bool,
    /// All but these.
    pub refused: &'a [Unit],
}

/// Writes frames in order.
struct Saver<'a> {
    view: &'a View,
    begin: &'a Begin,
    writer: Option<&'a mut SalvageWriter>,
    report: &'a mut Report,
    bar: Bar,
    is_prefix: bool,
    refused: &'a [Unit],
    /// The LSN behind what was written.
    lsn: Lsn,
    /// Nothing more is wanted.
    stopped: bool,
}

/// Something is missing from `lsn` on.
struct Missing<'a> {
    end_lsn: Lsn,
    from_ms: u64,
    to_ms: u64,
    place: &'a str,
    is_tail: bool,
}

/// Writes all frames that can be saved, and says which cannot.
pub fn save(
    view: &View,
    begin: &Begin,
    writer: Option<&mut SalvageWriter>,
    wanted: Wanted<'_>,
    output: &Output,
    report: &mut Report,
) -> Result<(), Failure> {
    let lsn = begin.lsn();
    let total = begin.history.segments.iter().map(|line| line.end.map_or(0, |end| end.bytes)).sum();
    let bar = output.bar("saving", total);
    let Wanted { is_prefix, refused } = wanted;
    let mut saver =
        Saver { view, begin, writer, report, bar, is_prefix, refused, lsn, stopped: false };
    if let Some(frames) = begin.frames() {
        saver.file(&frames)?;
    }
    for segment in &begin.history.segments {
        if saver.stopped {
            break;
        }
        match Frames::find(view, segment) {
            Ok(frames) => saver.file(&frames)?,
            Err(error) => saver.no_file(segment, &error)?,
        }
    }
    if !saver.stopped {
        saver.behind_the_last_file()?;
    }
    saver.report.end_lsn = saver.lsn;
    Ok(())
}

impl Saver<'_> {
    /// Without a manifest, commands after the last file may be missing.
    fn behind_the_last_file(&mut self) -> Result<(), Failure> {
        let Some(rebuilt) = self.view.rebuild_report() else { return Ok(()) };
        let last = self.begin.history.segments.last().map_or(0, |line| line.sequence);
        // One before it was made superfluous, or left a gap that is known.
        let is_behind = |name: &&str| matches!(parse_name(name), Some((NameKind::Segment, sequence)) if sequence > last);
        let unknown: Vec<&str> =
            rebuilt.unknown.iter().map(String::as_str).filter(is_behind).collect();
        if !unknown.is_empty() {
            let place = format!(
                "{}: the header is damaged, and there is no manifest that would say what the file holds",
                unknown.join(", ")
            );
            return self.unknown_end(place, 0, false);
        }
        let lsn = self.lsn;
        if rebuilt.is_end_known {
            self.report.remark(format!("nothing shows that there was more behind LSN {lsn}"));
            return Ok(());
        }
        let place = format!("without the manifest it is unknown what followed LSN {lsn}");
        self.unknown_end(place, 0, false)
    }

    /// Saves the frames of one file.
    fn file(&mut self, frames: &Frames) -> Result<(), Failure> {
        let reading = || Failure::doing("reading", &frames.name);
        if frames.first.1 > self.lsn {
            let missing = Missing {
                end_lsn: frames.first.1,
                from_ms: 0,
                to_ms: u64::MAX,
                place: "the file that held them is missing",
                is_tail: false,
            };
            self.missing(None, &missing)?;
        }
        let mut scan = frames.scan().map_err(reading())?;
        let lost_before = self.report.lost.len();
        while !self.stopped
            && let Some(found) = scan.next()
        {
            match found {
                Found::Frame { header, offset, padding_damaged } => {
                    if padding_damaged {
                        let text = "the bytes behind a frame were damaged, the frame is not";
                        self.report.remark(format!("{}, offset {offset}: {text}", frames.name));
                    }
                    // Of a live data set, what lies beyond the end is not known to be durable.
                    let beyond = matches!(frames.end, ScanEnd::Live(lsn) if header.end_lsn() > lsn);
                    if header.lsn == self.lsn && !beyond {
                        self.put(&header, scan.stored()).map_err(reading())?;
                    }
                    self.bar.advance(header.frame_bytes());
                }
                Found::Gap(gap) => {
                    let bytes = gap.end_offset.saturating_sub(gap.offset);
                    let bytes = counted(bytes, "byte", "bytes");
                    let place =
                        format!("{}, offset {}, {bytes}: {}", frames.name, gap.offset, gap.damage);
                    if gap.end_lsn <= self.lsn && gap.is_unknown() {
                        self.unknown_end(place, gap.from_ms, true)?;
                        continue;
                    }
                    if gap.end_lsn <= self.lsn {
                        self.report.remark(format!("{place}; no command is lost"));
                        continue;
                    }
                    let (from_ms, to_ms) = match gap.header {
                        Some(header) if header.end_lsn() == gap.end_lsn => {
                            (header.time_ms, header.time_ms)
                        }
                        _ => (gap.from_ms, gap.to_ms),
                    };
                    let (end_lsn, is_tail) = (gap.end_lsn, gap.is_tail);
                    let missing = Missing { end_lsn, from_ms, to_ms, place: &place, is_tail };
                    self.missing(Some(frames), &missing)?;
                }
            }
        }
        if !self.stopped && self.report.lost.len() == lost_before && frames.is_cut(scan.offset()) {
            let place = format!("{}: the file was cut", frames.name);
            self.unknown_end(place, 0, true)?;
        }
        Ok(())
    }

    /// A segment that cannot be read at all.
    fn no_file(&mut self, segment: &SegmentLine, error: &io::Error) -> Result<(), Failure> {
        let place = format!("{}: {error}", segment_name(segment.sequence));
        match segment.end {
            Some(end) => {
                let (end_lsn, from_ms, to_ms) = (end.lsn, 0, u64::MAX);
                let missing = Missing { end_lsn, from_ms, to_ms, place: &place, is_tail: false };
                self.missing(None, &missing)
            }
            None => self.unknown_end(place, 0, false),
        }
    }

    /// An unknown amount is missing at the end.
    fn unknown_end(
        &mut self,
        place: String,
        from_ms: u64,
        unfinished_write: bool,
    ) -> Result<(), Failure> {
        if self.is_prefix {
            // What there was at a moment says nothing about what came later.
            self.stopped = true;
        } else if let Some(writer) = &mut self.writer {
            let (lsn, to_ms) = (self.lsn, u64::MAX);
            let lost = Lost { lsn, end_lsn: lsn, from_ms, to_ms, keys: 0 };
            writer.lost(&lost).map_err(Failure::doing("writing", "the copy"))?;
        }
        self.report.lost.push(LostRange {
            lsn: self.lsn,
            end_lsn: None,
            from_ms: Some(from_ms).filter(|&ms| ms > 0),
            to_ms: None,
            place,
            unfinished_write,
        });
        Ok(())
    }

    /// Looks everywhere for what is missing up to an LSN, and notes what is lost. `here` is the file in which it should be.
    fn missing(&mut self, here: Option<&Frames>, missing: &Missing<'_>) -> Result<(), Failure> {
        let lsns = self.lsn..missing.end_lsn;
        let elsewhere = self.elsewhere();
        // Of frames that are found twice the first counts: one that is only out of its place.
        let mut scans = Vec::new();
        let mut found = Vec::new();
        for frames in here.into_iter().chain(&elsewhere) {
            let Ok(mut scan) = frames.scan() else { continue };
            let displaced = scan.displaced(lsns.clone());
            let source = scans.len();
            found.extend(displaced.into_iter().map(|(offset, header)| (source, offset, header)));
            scans.push(scan);
        }
        found.sort_by_key(|(source, _, header)| (header.lsn, *source));
        let mut from_ms = missing.from_ms;
        for (source, offset, header) in found {
            if header.lsn < self.lsn {
                continue;
            }
            self.lose(header.lsn, (from_ms, header.time_ms), missing)?;
            if self.stopped {
                return Ok(());
            }
            let Some(stored) = scans[source].stored_at(offset) else { continue };
            if header.lsn == self.lsn {
                self.put(&header, stored).map_err(Failure::doing("writing", "the copy"))?;
                self.report.frames_from_elsewhere += 1;
                from_ms = header.time_ms;
            }
        }
        self.lose(missing.end_lsn, (from_ms, missing.to_ms), missing)
    }

    /// Notes that everything up to an LSN is lost, unless it was saved.
    fn lose(
        &mut self,
        end_lsn: Lsn,
        (from_ms, to_ms): (u64, u64),
        missing: &Missing<'_>,
    ) -> Result<(), Failure> {
        if self.lsn >= end_lsn {
            return Ok(());
        }
        let lost = Lost { lsn: self.lsn, end_lsn, from_ms, to_ms, keys: 0 };
        self.report.lost(&lost, missing.place, missing.is_tail);
        if self.is_prefix {
            self.stopped = true;
            return Ok(());
        }
        if let Some(writer) = &mut self.writer {
            writer.lost(&lost).map_err(Failure::doing("writing", "the copy"))?;
        }
        self.lsn = end_lsn;
        Ok(())
    }

    fn put(&mut self, header: &FrameHeader, stored: &[u8]) -> io::Result<()> {
        if header.kind == FrameKind::Marker {
            return Ok(());
        }
        if header.kind == FrameKind::Lost && self.is_prefix {
            let lost = Lost {
                lsn: header.lsn,
                end_lsn: header.end_lsn(),
                from_ms: 0,
                to_ms: header.time_ms,
                keys: 0,
            };
            self.report.lost(&lost, "an earlier repair could not save it", false);
            self.stopped = true;
            return Ok(());
        }
        let refused = self.refused;
        let within =
            |unit: &&Unit| header.lsn <= unit.lsns.start && unit.lsns.end <= header.end_lsn();
        if header.kind == FrameKind::Commands && refused.iter().any(|unit| within(&unit)) {
            return self.put_around(header, stored, refused.iter().filter(within));
        }
        self.put_whole(header, stored)
    }

    fn put_whole(&mut self, header: &FrameHeader, stored: &[u8]) -> io::Result<()> {
        if let Some(writer) = &mut self.writer {
            writer.frame(header, stored)?;
        }
        self.lsn = header.end_lsn();
        self.report.frames += 1;
        self.report.command_bytes += header.raw_bytes;
        Ok(())
    }

    /// Writes the commands of a frame around those that cannot be executed, in frames of their own.
    fn put_around<'u>(
        &mut self,
        header: &FrameHeader,
        stored: &[u8],
        refused: impl Iterator<Item = &'u Unit>,
    ) -> io::Result<()> {
        // It is sound: its checksum was compared when it was found.
        let mut raw = match header.codec {
            Codec::None => stored.to_vec(),
            Codec::Lz4 => frame::decompress_damaged(stored, header.raw_bytes),
        };
        if raw.len() as u64 != header.raw_bytes {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it cannot be decompressed"));
        }
        let mut units: Vec<&Unit> = refused.collect();
        units.sort_by_key(|unit| unit.lsns.start);
        let mut db = header.db;
        for unit in units {
            let (from, to) = (self.lsn - header.lsn, unit.lsns.start - header.lsn);
            self.put_part(header, &mut raw[from as usize..to as usize], &mut db)?;
            let time_ms = header.time_ms;
            let place = format!("it cannot be executed: {}", unit.reason);
            let missing = Missing {
                end_lsn: unit.lsns.end,
                from_ms: time_ms,
                to_ms: time_ms,
                place: &place,
                is_tail: false,
            };
            self.lose(unit.lsns.end, (time_ms, time_ms), &missing)
                .map_err(|failure| io::Error::other(failure.to_string()))?;
            if self.stopped {
                return Ok(());
            }
            let lost = unit.lsns.start - header.lsn..unit.lsns.end - header.lsn;
            db = selected(&mut raw[lost.start as usize..lost.end as usize], db);
        }
        let from = (self.lsn - header.lsn) as usize;
        self.put_part(header, &mut raw[from..], &mut db)
    }

    /// Writes commands of a frame as one of their own; they begin in database `db`.
    fn put_part(
        &mut self,
        header: &FrameHeader,
        commands: &mut [u8],
        db: &mut u32,
    ) -> io::Result<()> {
        if commands.is_empty() {
            return Ok(());
        }
        let bytes = commands.len() as u64;
        let part = FrameHeader {
            lsn: self.lsn,
            raw_bytes: bytes,
            stored_bytes: bytes,
            codec: Codec::None,
            db: *db,
            ..*header
        };
        self.put_whole(&part, commands)?;
        *db = selected(commands, *db);
        Ok(())
    }

    /// Frames in files that are not part of the history: retired segments, and the frames in other bases.
    fn elsewhere(&self) -> Vec<Frames> {
        let manifest = self.view.manifest();
        let history = &self.begin.history;
        let mut found = Vec::new();
        let mut base = |line: &mainstay::log::manifest::BaseLine| {
            if history.base.as_ref() != Some(line)
                && let Ok(file) = self.view.file(&base_name(line.sequence))
            {
                found.push(Frames::of_base(file, line));
            }
        };
        manifest.base.iter().for_each(&mut base);
        for line in &manifest.retired {
            if let RetiredFile::Base(line) = &line.file {
                base(line);
            }
        }
        for line in &manifest.retired {
            if let RetiredFile::Segment(segment) | RetiredFile::CompressedSegment { segment, .. } =
                &line.file
                && !history.segments.contains(segment)
                && segment.end.is_some_and(|end| end.lsn > self.lsn)
                && let Ok(frames) = Frames::find(self.view, segment)
            {
                found.push(frames);
            }
        }
        found
    }
}

/// The database that is selected behind these commands, if it is `db` before them.
fn selected(commands: &mut [u8], mut db: u32) -> u32 {
    let each = payload::each(commands, |_, args| {
        if args.at(0).eq_ignore_ascii_case(b"SELECT")
            && let Some(number) = args.get(1).and_then(|number| std::str::from_utf8(number).ok())
        {
            db = number.parse().unwrap_or(db);
        }
        Ok::<(), (usize, String)>(())
    });
    // What is no command selects nothing.
    drop(each);
    db
}
