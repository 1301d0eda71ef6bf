//! Any edits to a segment: a scan over the damage ends, gives nothing that was not written, and one changed byte costs no
//! other frame.
#![no_main]

mod data_set;

use data_set::{Edit, Image, build};
use libfuzzer_sys::fuzz_target;
use mainstay::disk::{Disk, SimDisk};
use mainstay::log::Lsn;
use mainstay::log::frame::FrameKind;
use mainstay::log::manifest::SegmentEnd;
use mainstay::log::reader::FrameReader;
use mainstay::log::scan::{Found, Scan, ScanEnd};
use mainstay::log::segment::{NameKind, SegmentHeader, parse_name};
use std::path::Path;
use std::sync::LazyLock;

/// A segment as it was written.
struct Segment {
    bytes: Vec<u8>,
    seed: u32,
    first_lsn: Lsn,
    end: SegmentEnd,
    /// Offset, LSN and length of each frame.
    frames: Vec<(u64, Lsn, u64)>,
}

static IMAGE: LazyLock<Image> = LazyLock::new(|| build(true));

/// The segments of a data set that was closed.
static SEGMENTS: LazyLock<Vec<Segment>> = LazyLock::new(|| {
    let is_segment = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(parse_name);
        name.is_some_and(|(kind, _)| kind == NameKind::Segment)
    };
    assert_eq!(IMAGE.durable, IMAGE.stream.len(), "a log that was closed has no torn tail");
    let files = IMAGE.files.iter().filter(|(path, _)| is_segment(path));
    files.map(|(_, bytes)| whole(bytes.clone())).collect()
});

fn whole(bytes: Vec<u8>) -> Segment {
    let disk = SimDisk::new();
    disk.put(Path::new("segment"), &bytes);
    let file = disk.open(Path::new("segment")).expect("it is there");
    let header = SegmentHeader::read(&*file, 0).expect("it can be read").expect("it is sound");
    let (seed, first_lsn) = (header.identity.seed(), header.first_lsn);
    let mut reader = FrameReader::new(file, bytes.len() as u64, seed);
    let (mut offset, mut lsn) = (FrameReader::FIRST_OFFSET, first_lsn);
    let mut frames = Vec::new();
    while offset < bytes.len() as u64 {
        let header = reader.header(offset).expect("it is sound");
        frames.push((offset, header.lsn, header.frame_bytes()));
        offset += header.frame_bytes();
        lsn = header.end_lsn();
    }
    Segment { seed, first_lsn, end: SegmentEnd { lsn, bytes: offset }, frames, bytes }
}

fuzz_target!(|data: (bool, u8, Vec<Edit>)| {
    let (sealed, number, edits) = data;
    let segment = &SEGMENTS[usize::from(number) % SEGMENTS.len()];
    let path = Path::new("segment").to_owned();
    let files = data_set::edited(&[(path.clone(), segment.bytes.clone())], &edits);
    let Some(bytes) = &files[0].1 else { return };
    let disk = SimDisk::new();
    disk.put(&path, bytes);
    let file = disk.open(&path).expect("it is there");
    let end = match sealed {
        true => ScanEnd::Sealed(segment.end),
        false => ScanEnd::Open(segment.first_lsn),
    };
    let start = (FrameReader::FIRST_OFFSET, segment.first_lsn);
    let mut scan = Scan::new(file, segment.seed, start, end).expect("it can be measured");
    let ((mut offset, mut lsn), mut found) = (start, Vec::new());
    // A frame takes eight bytes at least, and no two gaps follow each other.
    for _ in 0..bytes.len() / 4 + 4 {
        match scan.next() {
            Some(Found::Frame { offset: at, header, .. }) => {
                assert_eq!((at, header.lsn), (offset, lsn), "what comes next");
                if header.kind == FrameKind::Commands {
                    let range = header.lsn as usize..header.end_lsn() as usize;
                    assert_eq!(
                        scan.payload(),
                        &IMAGE.stream[range],
                        "nothing that was not written"
                    );
                }
                found.push(header.lsn);
                (offset, lsn) = (at + header.frame_bytes(), header.end_lsn());
            }
            Some(Found::Gap(gap)) => {
                assert_eq!((gap.offset, gap.lsn), (offset, lsn), "what comes next");
                assert!(gap.end_lsn >= gap.lsn);
                (offset, lsn) = (gap.end_offset, gap.end_lsn);
            }
            None => {
                if sealed {
                    assert!(lsn >= segment.end.lsn, "what is missing at the end is a gap too");
                }
                if let [Edit::Byte { at, .. }] = edits[..] {
                    check_byte(segment, u64::from(at) % segment.bytes.len() as u64, &found);
                }
                return;
            }
        }
    }
    panic!("the scan does not end");
});

/// One byte at `place` was changed: all frames but the one that it belongs to are found.
fn check_byte(segment: &Segment, place: u64, found: &[Lsn]) {
    for &(offset, lsn, len) in &segment.frames {
        let is_hit = (offset..offset + len).contains(&place);
        assert!(is_hit || found.contains(&lsn), "the frame at offset {offset} was not found");
    }
}
