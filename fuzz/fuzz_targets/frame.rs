//! Any bytes as a file of frames.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay::disk::{Disk, SimDisk};
use mainstay::log::frame::{self, FrameHeader, HEADER_BYTES, MAGIC};
use mainstay::log::reader::FrameReader;
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    let Some((&flags, data)) = data.split_first() else { return };
    let seed = u32::from(flags >> 1);
    let mut bytes = data.to_vec();
    if flags & 1 == 1 {
        put_checksums_right(&mut bytes, seed);
    }
    let disk = SimDisk::new();
    disk.put(Path::new("f"), &bytes);
    let file = disk.open(Path::new("f")).expect("it was put there");
    let mut reader = FrameReader::new(file, bytes.len() as u64, seed);

    let (mut offset, mut raw) = (0, Vec::new());
    while let Ok(header) = reader.frame(offset, &mut raw) {
        assert_eq!(raw.len() as u64, header.raw_bytes);
        let at = offset as usize;
        assert_eq!(header.encode(seed), bytes[at..at + HEADER_BYTES]);
        offset += header.frame_bytes();
        assert!(offset <= bytes.len() as u64);
    }
    let mut from = 0;
    while let Some((at, header)) = reader.find_header(from) {
        assert!(at >= from && at % frame::ALIGN == 0);
        let _ = reader.frame(at, &mut raw);
        from = at + header.frame_bytes();
    }
    let end = reader.written_end(0) as usize;
    assert!(bytes[end..].iter().all(|&byte| byte == 0));
});

/// Without this hardly any input would get past the first checksum.
fn put_checksums_right(bytes: &mut [u8], seed: u32) {
    let mut at = 0;
    while at + HEADER_BYTES <= bytes.len() {
        let stored = u64::from_le_bytes(bytes[at + 8..at + 16].try_into().expect("8 bytes"));
        let end = at as u64 + HEADER_BYTES as u64 + stored.min(1 << 40);
        if end <= bytes.len() as u64 {
            let sum = frame::checksum(seed, &bytes[at + HEADER_BYTES..end as usize]);
            bytes[at + 48..at + 52].copy_from_slice(&sum.to_le_bytes());
        }
        bytes[at..at + 4].copy_from_slice(&MAGIC.to_le_bytes());
        let sum = frame::checksum(seed, &bytes[at + 8..at + HEADER_BYTES]);
        bytes[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
        let header: &[u8; HEADER_BYTES] =
            bytes[at..at + HEADER_BYTES].try_into().expect("64 bytes");
        match FrameHeader::decode(header, seed) {
            Ok(header) if header.frame_bytes() < bytes.len() as u64 => {
                at += header.frame_bytes() as usize;
            }
            _ => return,
        }
    }
}
