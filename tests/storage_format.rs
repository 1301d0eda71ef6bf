//! `storage-format.md` says what the code does: its example is read by the database's own reader, and its
//! tables of offsets add up.

use mainstay::disk::{Disk, File, SimDisk};
use mainstay::env::{SimClock, seeded_random};
use mainstay::log::frame::{self, FrameDamage, FrameHeader};
use mainstay::log::manifest::Manifest;
use mainstay::log::reader::FrameReader;
use mainstay::log::segment::{self, Preamble, SegmentHeader};
use mainstay::log::{
    Lsn, OpenError, Options, PreambleDamage, Recovery, Replay, Unreplayable, attach,
};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

const TEXT: &str = include_str!("../storage-format.md");
const SEGMENT_BYTES: usize = 1 << 20;

/// The fenced block with this name behind `text` in its first line.
fn block(name: &str) -> String {
    let start = format!("```text {name}\n");
    let (_, rest) = TEXT.split_once(&start).unwrap_or_else(|| panic!("no block '{name}'"));
    rest.split_once("```").expect("the block ends").0.to_owned()
}

/// The bytes that `hexdump -C` shows.
fn parse_hexdump(dump: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut repeat = false;
    for line in dump.lines() {
        if line == "*" {
            repeat = true;
            continue;
        }
        let shown = line.split('|').next().expect("a line has a first part");
        let mut words = shown.split_whitespace();
        let offset = usize::from_str_radix(words.next().expect("an offset"), 16).expect("hex");
        if std::mem::take(&mut repeat) {
            let last = bytes[bytes.len() - 16..].to_vec();
            while bytes.len() < offset {
                bytes.extend_from_slice(&last);
            }
        }
        assert_eq!(bytes.len(), offset, "{line}");
        bytes.extend(words.map(|word| u8::from_str_radix(word, 16).expect("hex")));
    }
    bytes
}

fn example() -> Vec<u8> {
    let mut bytes = parse_hexdump(&block("segment"));
    assert_eq!(bytes.len(), 4096 + 128 + 64);
    bytes.resize(SEGMENT_BYTES, 0);
    bytes
}

/// The stated fields: what comes first in each line, and the rest by name.
fn fields() -> Vec<(String, HashMap<String, String>)> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let first = words.next().expect("a line has a first word").to_owned();
        let pair = |word: &str| {
            let (name, value) = word.split_once('=').expect("name=value");
            (name.to_owned(), value.to_owned())
        };
        (first, words.map(pair).collect())
    };
    block("fields").lines().map(line).collect()
}

#[test]
fn the_manifest_of_the_example_is_one() {
    let text = block("manifest");
    let manifest = Manifest::decode(text.as_bytes()).expect("it is sound");
    assert_eq!(manifest.encode(), text.as_bytes());
    assert_eq!(manifest.dataset.0[..3], [0, 1, 2]);
    assert_eq!((manifest.timelines.len(), manifest.timeline().begin_lsn), (1, 0));
    assert_eq!(manifest.base, None);
    let [line] = &manifest.segments[..] else { panic!("one segment") };
    assert_eq!((line.sequence, line.first_lsn, line.end), (1, 0, None));
    assert_eq!(manifest.names().collect::<Vec<_>>(), ["segment-0000000000000001.log"]);
}

#[test]
fn the_segment_of_the_example_has_the_stated_fields() {
    let manifest = Manifest::decode(block("manifest").as_bytes()).expect("it is sound");
    let bytes = example();
    let fields = fields();
    let header = SegmentHeader::decode(&bytes).expect("it is sound");
    assert_eq!(header.encode(), bytes[..segment::HEADER_BYTES]);
    assert_eq!(header.dataset, manifest.dataset);
    assert_eq!(header.identity, manifest.segments[0].identity);
    assert_eq!(header.timeline, manifest.timeline());
    let seed = header.identity.seed();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let (name, stated) = &fields[0];
    assert_eq!(name, "header");
    let found = [
        ("kind", (header.kind as u32).to_string()),
        ("sequence", header.sequence.to_string()),
        ("first_lsn", header.first_lsn.to_string()),
        ("timeline_begin", header.timeline.begin_lsn.to_string()),
        ("created_ms", header.created_ms.to_string()),
        ("seed", format!("{seed:08x}")),
        ("checksum", format!("{:08x}", number(segment::HEADER_BYTES - 4))),
    ];
    assert_eq!(*stated, found.map(|(name, value)| (name.to_owned(), value)).into());

    let disk = SimDisk::new();
    disk.put(Path::new("s"), &bytes);
    let file = disk.open(Path::new("s")).expect("it was put there");
    let mut reader = FrameReader::new(file, bytes.len() as u64, seed);
    let (mut offset, mut raw, mut stream) = (FrameReader::FIRST_OFFSET, Vec::new(), Vec::new());
    for (name, stated) in &fields[1..] {
        assert_eq!(*name, format!("{offset:#x}"));
        let header = reader.frame(offset, &mut raw).expect("it is sound");
        let at = offset as usize;
        let shown: &[u8; frame::HEADER_BYTES] =
            bytes[at..at + frame::HEADER_BYTES].try_into().expect("64 bytes");
        assert_eq!(FrameHeader::decode(shown, seed), Ok(header));
        assert_eq!(&header.encode(seed), shown);
        let found = [
            ("kind", (header.kind as u8).to_string()),
            ("codec", (header.codec as u8).to_string()),
            ("stored", header.stored_bytes.to_string()),
            ("raw", header.raw_bytes.to_string()),
            ("lsn", header.lsn.to_string()),
            ("time_ms", header.time_ms.to_string()),
            ("durable", header.durable_lsn.to_string()),
            ("db", header.db.to_string()),
            ("checksum", format!("{:08x}", number(at + 4))),
            ("payload", format!("{:08x}", header.payload_checksum)),
        ];
        assert_eq!(*stated, found.map(|(name, value)| (name.to_owned(), value)).into(), "{name}");
        stream.extend_from_slice(&raw);
        offset += header.frame_bytes();
    }
    assert_eq!(reader.frame(offset, &mut raw), Err(FrameDamage::Empty));
    let commands =
        "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$5\r\nhello\r\n$5\r\nworld\r\n";
    assert_eq!(stream, commands.as_bytes());
}

struct Bytes(Vec<u8>);

impl Replay for Bytes {
    fn preamble(&mut self, _: &Arc<dyn File>, _: &Preamble, _: Lsn) -> Result<(), PreambleDamage> {
        unreachable!("the example has no base")
    }

    fn commands(&mut self, header: &FrameHeader, payload: &[u8]) -> Result<(), Unreplayable> {
        assert_eq!(header.db, 0);
        self.0.extend_from_slice(payload);
        Ok(())
    }

    fn selected_db(&self) -> u32 {
        0
    }
}

/// Opens a data set that consists of the example's manifest and this segment.
fn open(segment: &[u8]) -> (Result<Recovery, OpenError>, usize) {
    let (disk, dir) = (SimDisk::new(), Path::new("mainstay"));
    disk.create_dir(dir).expect("a simulated directory");
    disk.put(&dir.join("manifest"), block("manifest").as_bytes());
    disk.put(&dir.join("segment-0000000000000001.log"), segment);
    let mut replay = Bytes(Vec::new());
    let (clock, random) = (SimClock::new(1_700_000_001_000), seeded_random(1));
    let disk = std::sync::Arc::new(disk);
    let opened = attach(disk, dir, Options::default(), clock, random, &mut replay);
    (opened.map(|(_, recovery)| recovery), replay.0.len())
}

#[test]
fn a_start_with_the_example_goes_as_the_text_says() {
    let (recovery, bytes) = open(&example());
    let recovery = recovery.expect("it is sound");
    assert_eq!((recovery.lsn, recovery.frames, bytes), (58, 2, 58));
    assert_eq!((recovery.cut, recovery.unclean.map(|it| it.secured_bytes)), (None, Some(0)));

    let mut damaged = example();
    damaged[0x1048] ^= 1;
    let (refused, _) = open(&damaged);
    match refused {
        Err(OpenError::Corrupt { offset, lsn, lsn_end, db, damage, .. }) => {
            assert_eq!((offset, lsn, lsn_end, db), (0x1000, 0, 58, 0));
            assert_eq!(damage, FrameDamage::Payload);
        }
        other => panic!("{other:?}"),
    }

    damaged[0x1080..0x10c0].fill(0);
    let recovery = open(&damaged).0.expect("an unfinished write is cut off");
    let cut = recovery.cut.expect("there is a cut");
    assert_eq!((cut.offset, cut.lsn, cut.bytes, cut.frames), (0x1000, 0, 122, 1));
    let aside = cut.set_aside.as_deref();
    assert_eq!(aside, Some(Path::new("mainstay/cut-0000000000000001-4096.bin")));
    assert_eq!(recovery.lsn, 0);
}

#[test]
fn the_tables_of_offsets_have_no_gaps() {
    let ends: Vec<u64> = TEXT
        .split("| offset | bytes | |\n|---|---|---|\n")
        .skip(1)
        .map(|table| {
            let mut end = 0;
            for row in table.lines().take_while(|line| line.starts_with('|')) {
                let mut cells = row.split('|').skip(1).map(str::trim);
                let mut number =
                    || cells.next().and_then(|cell| cell.parse().ok()).expect("a number");
                let (offset, bytes): (u64, u64) = (number(), number());
                assert_eq!(offset, end, "{row}");
                end += bytes;
            }
            end
        })
        .collect();
    let block_bytes = 20;
    assert_eq!(ends, [segment::HEADER_BYTES as u64, frame::HEADER_BYTES as u64, block_bytes]);
}
