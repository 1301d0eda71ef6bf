//! What the log's frames say: how many, how they are stored, when they were written.

use super::report::FileReport;
use crate::frames::Frames;
use crate::output::Output;
use crate::payload;
use mainstay::log::frame::{Codec, FrameHeader, FrameKind};
use mainstay::log::manifest::{BaseLine, RetiredFile, RetiredLine, SegmentLine};
use mainstay::log::scan::{Found, Scan};
use mainstay::log::segment::{base_name, segment_name};
use mainstay::log::{Lsn, View};
use serde::Serialize;
use std::io;

/// Time is divided into so many buckets at most.
const BUCKETS_MAX: usize = 256;
/// The shortest bucket.
const BUCKET_MS_MIN: u64 = 1000;

/// What was written in one bucket of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// Bytes of commands.
    pub bytes: u64,
    /// Commands.
    pub commands: u64,
}

/// What was written when.
#[derive(Clone, Debug, Serialize)]
pub struct Rate {
    /// How long a bucket is. It doubles whenever there would be too many.
    pub bucket_ms: u64,
    /// Unix time in ms at which the first one begins, a multiple of its length.
    pub begin_ms: u64,
    /// One behind the other.
    pub buckets: Vec<Bucket>,
}

impl Default for Rate {
    fn default() -> Self {
        Self { bucket_ms: BUCKET_MS_MIN, begin_ms: 0, buckets: Vec::new() }
    }
}

impl Rate {
    /// Counts what was written at `time_ms`.
    fn add(&mut self, time_ms: u64, bytes: u64, commands: u64) {
        if self.buckets.is_empty() {
            self.begin_ms = time_ms - time_ms % self.bucket_ms;
        }
        // Times never decrease in a sound log; in a damaged one such a frame counts for the first bucket.
        let index = loop {
            let index = time_ms.saturating_sub(self.begin_ms) / self.bucket_ms;
            match usize::try_from(index) {
                Ok(index) if index < BUCKETS_MAX => break index,
                _ => self.double(),
            }
        };
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, Bucket::default());
        }
        self.buckets[index].bytes += bytes;
        self.buckets[index].commands += commands;
    }

    fn double(&mut self) {
        // Buckets begin at multiples of their length, before and afterwards.
        let odd = self.begin_ms / self.bucket_ms % 2;
        self.begin_ms -= odd * self.bucket_ms;
        let old = std::mem::take(&mut self.buckets);
        self.buckets = vec![Bucket::default(); (old.len() + odd as usize).div_ceil(2)];
        for (index, bucket) in old.into_iter().enumerate() {
            let merged = &mut self.buckets[(index + odd as usize) / 2];
            merged.bytes += bucket.bytes;
            merged.commands += bucket.commands;
        }
        self.bucket_ms = self.bucket_ms.saturating_mul(2);
    }
}

/// Frames that are stored alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// How many frames.
    pub frames: u64,
    /// Bytes of their payloads on disk.
    pub stored_bytes: u64,
    /// Bytes of their payloads once decoded.
    pub raw_bytes: u64,
}

impl Stored {
    fn add(&mut self, header: &FrameHeader) {
        self.frames += 1;
        self.stored_bytes += header.stored_bytes;
        self.raw_bytes += header.raw_bytes;
    }
}

/// The frames of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Frames with commands.
    pub frames: u64,
    /// Frames that only record the durable LSN.
    pub markers: u64,
    /// Frames that say what a repair could not save.
    pub lost: u64,
    /// Places that hold no sound frame though one follows, or though the file should not end there.
    pub damaged: u64,
    /// LSN of the first command.
    pub first_lsn: Option<Lsn>,
    /// The LSN behind the last command.
    pub end_lsn: Option<Lsn>,
    /// When the first frame was written, as Unix time in ms.
    pub first_time_ms: Option<u64>,
    /// When the last frame was written, as Unix time in ms.
    pub last_time_ms: Option<u64>,
}

/// All frames.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Log {
    /// Frames with commands, in all files.
    pub frames: u64,
    /// Frames that only record the durable LSN.
    pub markers: u64,
    /// Frames that say what a repair could not save.
    pub lost: u64,
    /// Places that hold no sound frame though they should; `verify` says more.
    pub damaged: u64,
    /// Commands that were written, each counted once though a base may repeat what a segment has.
    pub commands: u64,
    /// Bytes of these commands, by which LSNs advanced.
    pub bytes: u64,
    /// When the first frame was written, as Unix time in ms.
    pub first_time_ms: Option<u64>,
    /// When the last frame was written, as Unix time in ms.
    pub last_time_ms: Option<u64>,
    /// Frames stored as they are.
    pub uncompressed: Stored,
    /// Frames compressed with LZ4.
    pub lz4: Stored,
    /// What was written when.
    pub rate: Rate,
    /// Everything below this LSN is in `rate`.
    #[serde(skip)]
    covered_lsn: Lsn,
}

impl Log {
    /// Bytes of payloads in all files: as stored, and once decoded.
    pub fn payload_bytes(&self) -> (u64, u64) {
        let sum = |of: fn(&Stored) -> u64| of(&self.uncompressed) + of(&self.lz4);
        (sum(|stored| stored.stored_bytes), sum(|stored| stored.raw_bytes))
    }

    /// Adds the frames that `scan` finds. Files come in the order of their LSNs. `advance` is
    /// called with the number of bytes read.
    fn add(&mut self, scan: &mut Scan, advance: &mut dyn FnMut(u64)) -> Counts {
        let mut frames = Counts::default();
        while let Some(found) = scan.next() {
            match found {
                Found::Frame { header, padding_damaged, .. } => {
                    frames.damaged += u64::from(padding_damaged);
                    self.add_frame(&header, scan.payload_mut(), &mut frames);
                    advance(header.frame_bytes());
                }
                // The end of an unfinished write is nothing that was acknowledged.
                Found::Gap(gap) => {
                    frames.damaged += u64::from(!gap.is_tail);
                    advance(gap.end_offset.saturating_sub(gap.offset));
                }
            }
        }
        self.frames += frames.frames;
        self.markers += frames.markers;
        self.lost += frames.lost;
        self.damaged += frames.damaged;
        self.first_time_ms = self.first_time_ms.into_iter().chain(frames.first_time_ms).min();
        self.last_time_ms = self.last_time_ms.max(frames.last_time_ms);
        frames
    }

    fn add_frame(&mut self, header: &FrameHeader, raw: &mut [u8], frames: &mut Counts) {
        // One that tells what is lost has the time of that, which may be unknown.
        if header.kind != FrameKind::Lost {
            frames.first_time_ms.get_or_insert(header.time_ms);
            frames.last_time_ms = Some(header.time_ms);
        }
        match header.kind {
            FrameKind::Commands => frames.frames += 1,
            FrameKind::Marker => frames.markers += 1,
            FrameKind::Lost => frames.lost += 1,
        }
        if header.kind != FrameKind::Commands {
            return;
        }
        frames.first_lsn.get_or_insert(header.lsn);
        frames.end_lsn = Some(header.end_lsn());
        match header.codec {
            Codec::None => self.uncompressed.add(header),
            Codec::Lz4 => self.lz4.add(header),
        }
        if header.lsn >= self.covered_lsn {
            let commands = count_commands(raw);
            self.covered_lsn = header.end_lsn();
            self.commands += commands;
            self.bytes += header.raw_bytes;
            self.rate.add(header.time_ms, header.raw_bytes, commands);
        }
    }
}

/// A file with frames, as the manifest lists it.
struct Listed {
    report: FileReport,
    first_lsn: Lsn,
    is_base: bool,
    frames: io::Result<Frames>,
}

impl Listed {
    fn base(view: &View, line: &BaseLine, retired_ms: Option<u64>) -> Self {
        let name = base_name(line.sequence);
        let frames = view.file(&name).map(|file| Frames::of_base(file, line));
        let report = FileReport {
            name,
            what: "base".into(),
            sequence: Some(line.sequence),
            retired_ms,
            ..FileReport::default()
        };
        Self { report, first_lsn: line.lsn, is_base: true, frames }
    }

    fn segment(view: &View, line: &SegmentLine, name: String, retired_ms: Option<u64>) -> Self {
        let report = FileReport {
            name,
            what: "segment".into(),
            sequence: Some(line.sequence),
            state: Some(if line.end.is_some() { "sealed" } else { "open" }),
            retired_ms,
            ..FileReport::default()
        };
        let frames = Frames::find(view, line);
        Self { report, first_lsn: line.first_lsn, is_base: false, frames }
    }

    fn retired(view: &View, line: &RetiredLine) -> Self {
        match &line.file {
            RetiredFile::Base(base) => Self::base(view, base, Some(line.time_ms)),
            RetiredFile::Segment(segment) | RetiredFile::CompressedSegment { segment, .. } => {
                Self::segment(view, segment, line.file.name(), Some(line.time_ms))
            }
        }
    }

    /// How many bytes there are to read.
    fn len(&self) -> u64 {
        let len = |frames: &Frames| frames.file.len().unwrap_or(0).saturating_sub(frames.first.0);
        self.frames.as_ref().map_or(0, len)
    }
}

/// Reads all frames of a view, retired files included. Gives them with the files in the manifest's order, and says of
/// which files nothing could be read.
pub fn read(view: &View, output: &Output) -> (Log, Vec<FileReport>, Vec<String>) {
    let manifest = view.manifest();
    let retired = manifest.retired.iter().map(|line| Listed::retired(view, line));
    let base = manifest.base.iter().map(|line| Listed::base(view, line, None));
    let segments = manifest
        .segments
        .iter()
        .map(|line| Listed::segment(view, line, segment_name(line.sequence), None));
    let mut files: Vec<Listed> = retired.chain(base).chain(segments).collect();
    // Where a base begins at the LSN of a segment, the frames are the segment's.
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|&index| (files[index].first_lsn, files[index].is_base));
    let bar = output.bar("frames", files.iter().map(Listed::len).sum());
    let (mut log, mut errors) = (Log::default(), Vec::new());
    for index in order {
        let Listed { report, frames, .. } = &mut files[index];
        let scan = frames.as_ref().map_err(io::Error::to_string);
        match scan.and_then(|frames| frames.scan().map_err(|error| error.to_string())) {
            Ok(mut scan) => {
                report.frames = Some(log.add(&mut scan, &mut |bytes| bar.advance(bytes)));
            }
            Err(error) => errors.push(format!("{} cannot be read: {error}", report.name)),
        }
    }
    (log, files.into_iter().map(|file| file.report).collect(), errors)
}

/// How many commands a payload holds, up to the first place where there is none.
fn count_commands(payload: &mut [u8]) -> u64 {
    let mut commands = 0;
    let counted = payload::each(payload, |_, _| {
        commands += 1;
        Ok::<(), (usize, String)>(())
    });
    // Whether a payload is whole is for `verify` to say.
    drop(counted);
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay::disk::{Disk, SimDisk};
    use mainstay::log::frame::checksum;
    use mainstay::log::manifest::SegmentEnd;
    use mainstay::log::scan::ScanEnd;
    use proptest::prelude::*;
    use std::path::Path;

    const SEED: u32 = 7;

    fn frame(lsn: Lsn, time_ms: u64, payload: &[u8]) -> Vec<u8> {
        let kind = if payload.is_empty() { FrameKind::Marker } else { FrameKind::Commands };
        let header = FrameHeader {
            stored_bytes: payload.len() as u64,
            raw_bytes: payload.len() as u64,
            lsn,
            time_ms,
            durable_lsn: 0,
            payload_checksum: checksum(SEED, payload),
            db: 0,
            kind,
            codec: Codec::None,
        };
        let mut bytes = header.encode(SEED).to_vec();
        bytes.extend_from_slice(payload);
        bytes.resize(header.frame_bytes() as usize, 0);
        bytes
    }

    fn read(log: &mut Log, bytes: &[u8], first_lsn: Lsn, end: ScanEnd) -> Counts {
        let disk = SimDisk::new();
        disk.put(Path::new("file"), bytes);
        let file = disk.open_to_read(Path::new("file")).unwrap();
        let mut scan = Scan::new(file, SEED, (0, first_lsn), end).unwrap();
        let mut advanced = 0;
        let frames = log.add(&mut scan, &mut |more| advanced += more);
        assert!(advanced <= bytes.len() as u64);
        frames
    }

    fn sealed(bytes: &[u8], lsn: Lsn) -> ScanEnd {
        ScanEnd::Sealed(SegmentEnd { lsn, bytes: bytes.len() as u64 })
    }

    const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

    #[test]
    fn frames_are_counted_once() {
        let mut log = Log::default();
        let two = [PING, PING].concat();
        let mut bytes = [frame(0, 1000, &two), frame(28, 1500, b"")].concat();
        bytes.extend(frame(28, 4000, PING));
        let frames = read(&mut log, &bytes, 0, sealed(&bytes, 42));
        assert_eq!((frames.frames, frames.markers, frames.damaged), (2, 1, 0));
        assert_eq!((frames.first_lsn, frames.end_lsn), (Some(0), Some(42)));
        assert_eq!((frames.first_time_ms, frames.last_time_ms), (Some(1000), Some(4000)));
        // A base has the same frame again.
        let again = frame(28, 4000, PING);
        read(&mut log, &again, 28, sealed(&again, 42));
        assert_eq!((log.frames, log.commands, log.bytes), (3, 3, 42));
        let buckets: Vec<_> = log.rate.buckets.iter().map(|b| (b.commands, b.bytes)).collect();
        assert_eq!(buckets, [(2, 28), (0, 0), (0, 0), (1, 14)]);
    }

    #[test]
    fn damage_is_passed_over_and_counted() {
        let mut bytes =
            [frame(0, 1000, PING), frame(14, 1000, PING), frame(28, 1000, PING)].concat();
        bytes[100] ^= 1;
        let frames = read(&mut Log::default(), &bytes, 0, sealed(&bytes, 42));
        assert_eq!((frames.frames, frames.damaged, frames.end_lsn), (2, 1, Some(42)));
        // An open file may end with what was not written to its end.
        let end = bytes.len() - 20;
        let frames = read(&mut Log::default(), &bytes[..end], 0, ScanEnd::Open(0));
        assert_eq!((frames.frames, frames.damaged), (1, 0));
        bytes.truncate(end);
        let frames = read(&mut Log::default(), &bytes, 0, sealed(&bytes, 42));
        assert_eq!((frames.frames, frames.damaged), (1, 1));
    }

    proptest! {
        #[test]
        fn buckets_add_up_and_stay_few(
            begin_ms in 0..2_000_000_000_000_u64,
            steps in prop::collection::vec(prop_oneof![0..3000_u64, 0..1_000_000_000_u64], 1..300),
        ) {
            let mut rate = Rate::default();
            let (mut time_ms, mut times) = (begin_ms, Vec::new());
            for step in &steps {
                time_ms += step;
                times.push(time_ms);
                rate.add(time_ms, 3, 1);
                prop_assert!(rate.buckets.len() <= BUCKETS_MAX);
            }
            prop_assert_eq!(rate.begin_ms % rate.bucket_ms, 0);
            for (index, bucket) in rate.buckets.iter().enumerate() {
                let from_ms = rate.begin_ms + index as u64 * rate.bucket_ms;
                let inside = times.iter().filter(|t| (from_ms..from_ms + rate.bucket_ms).contains(t));
                prop_assert_eq!(bucket.commands, inside.count() as u64);
                prop_assert_eq!(bucket.bytes, 3 * bucket.commands);
            }
        }
    }
}
