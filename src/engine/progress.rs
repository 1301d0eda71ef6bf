//! How far a load has come, for whoever shows it meanwhile.

use crate::disk::{Disk, File};
use crate::log::manifest::{Manifest, SegmentLine};
use crate::log::reader::FrameReader;
use crate::log::segment::segment_name;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// In pieces of so many bytes it is looked for where the written part of a segment ends.
const PIECE_BYTES: u64 = 4096;

/// How far a load has come. The loading thread writes it, others read.
#[derive(Debug, Default)]
pub struct Progress {
    total_bytes: AtomicU64,
    loaded_bytes: AtomicU64,
}

impl Progress {
    /// Notes how many bytes there are to load in all.
    pub fn begin(&self, total_bytes: u64) {
        self.loaded_bytes.store(0, Ordering::Relaxed);
        self.total_bytes.store(total_bytes, Ordering::Relaxed);
    }

    /// Notes how many bytes have been loaded so far.
    pub fn reached(&self, loaded_bytes: u64) {
        self.loaded_bytes.store(loaded_bytes, Ordering::Relaxed);
    }

    /// Notes that so many more bytes have been loaded.
    pub fn advance(&self, bytes: u64) {
        self.loaded_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many bytes there are to load; 0 until that is known.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    /// How many bytes have been loaded, at most as many as there are.
    pub fn loaded_bytes(&self) -> u64 {
        self.loaded_bytes.load(Ordering::Relaxed).min(self.total_bytes())
    }
}

/// How many bytes of files are read to replay what `manifest` lists: the base, and the frames of
/// the segments. `open` gives where a segment ends whose end no line says.
pub(super) fn bytes_of(manifest: &Manifest, open: impl Fn(&SegmentLine) -> u64) -> u64 {
    let base = manifest.base.as_ref().map_or(0, |base| base.bytes);
    let end = |line: &SegmentLine| line.end.map_or_else(|| open(line), |end| end.bytes);
    let frames = |line| end(line).saturating_sub(FrameReader::FIRST_OFFSET);
    base + manifest.segments.iter().map(frames).sum::<u64>()
}

/// How many bytes a start reads of the data set in `dir`; 0 if its manifest cannot be read, which
/// the start will say.
pub(super) fn bytes_to_read(disk: &dyn Disk, dir: &Path) -> u64 {
    let Ok(manifest) = Manifest::load(disk, dir) else { return 0 };
    bytes_of(&manifest, |line| {
        let file = disk.open_to_read(&dir.join(segment_name(line.sequence)));
        file.and_then(|file| written_bytes(&*file)).unwrap_or(0)
    })
}

/// Where the written part of a file ends, about: behind it are zeros. Found in a few reads, so
/// zeros within what was written may be taken for the end.
pub(super) fn written_bytes(file: &dyn File) -> io::Result<u64> {
    let len = file.len()?;
    let (mut written, mut zeros) = (0, len.div_ceil(PIECE_BYTES));
    let mut piece = [0; PIECE_BYTES as usize];
    while written < zeros {
        let middle = (written + zeros) / 2;
        let at = middle * PIECE_BYTES;
        let piece = &mut piece[..(len - at).min(PIECE_BYTES) as usize];
        file.read_exact_at(piece, at)?;
        if piece.iter().all(|&byte| byte == 0) {
            zeros = middle;
        } else {
            written = middle + 1;
        }
    }
    Ok((written * PIECE_BYTES).min(len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    #[test]
    fn the_written_part_of_a_file_is_found_among_the_zeros_behind_it() {
        let disk = SimDisk::new();
        for (written, len) in [(0, 0), (0, 9000), (1, 1), (5000, 1 << 20), (9000, 9000)] {
            let mut bytes = vec![7; written];
            bytes.resize(len, 0);
            let path = Path::new("d/f");
            disk.put(path, &bytes);
            let found = written_bytes(&*disk.open_to_read(path).unwrap()).unwrap();
            let expected = (written as u64).next_multiple_of(PIECE_BYTES).min(len as u64);
            assert_eq!(found, expected, "{written} of {len}");
        }
    }
}
