//! Beginning a log with what is in memory: a base, then the first segment.

use super::base::BaseWriter;
use super::manifest::{self, Manifest};
use super::open::{holds_data, new_log, next_sequence, remove_strays, take_lock};
use super::recovery::{OpenError, Replay, disk_error};
use super::segment::{self, FileKind, Identity, SegmentHeader};
use super::writer::{self, FIRST_SEGMENT_BYTES, Writer};
use super::{Log, Options};
use crate::disk::Disk;
use crate::env::{Clock, Random};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Begins a data set in `dir` with a base whose preamble `dump` writes and ends, and which `check` then reads as a
/// start would. The files that `replaces`, a log that
/// was closed, left there are removed once the new data set is in force.
///
/// # Errors
/// If another process has `dir`, if it holds other data, or the disk fails; then what was there before
/// is still in force.
pub fn begin(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: Options,
    clock: Arc<dyn Clock>,
    mut random: Random,
    replaces: Option<&Log>,
    dump: &mut dyn FnMut(&mut BaseWriter) -> io::Result<()>,
    check: &mut dyn Replay,
) -> Result<Log, OpenError> {
    let lock = take_lock(&*disk, dir)?;
    let mut manifest = Manifest::empty(&mut random);
    let manifest_path = dir.join(manifest::NAME);
    if holds_data(&*disk, dir).map_err(disk_error("looking at", dir))? {
        let known = replaces.map(|log| log.writer.lock().manifest.clone());
        if known.is_none() || Manifest::load(&*disk, dir).ok() != known {
            return Err(OpenError::OtherData { dir: dir.into() });
        }
    } else {
        // Without one, a base that a crash leaves behind would look like data whose manifest was lost.
        let stored = manifest.store(&*disk, dir);
        stored.map_err(disk_error("creating", &manifest_path))?;
    }
    let now_ms = clock.unix_ms().max(0) as u64;
    let sequence = next_sequence(&*disk, dir).map_err(disk_error("listing", dir))?;
    let mut header = SegmentHeader {
        kind: FileKind::Base,
        dataset: manifest.dataset,
        identity: Identity::random(&mut random),
        sequence,
        first_lsn: 0,
        timeline: manifest.timeline(),
        created_ms: now_ms,
        preamble: None,
    };
    let path = dir.join(segment::base_name(sequence));
    let mut write_base = || {
        let mut base = BaseWriter::create(disk.clone(), dir, header.clone())?;
        dump(&mut base)?;
        base.finish().and_then(|line| base.read_back(&manifest, line, check))
    };
    let mut made = vec![path.clone()];
    // What counts for nothing would take the room that is short.
    let discard = |made: &[PathBuf]| made.iter().for_each(|path| drop(disk.remove(path)));
    let base =
        write_base().map_err(disk_error("writing", &path)).inspect_err(|_| discard(&made))?;
    manifest.base = Some(base);

    header.kind = FileKind::Segment;
    header.identity = Identity::random(&mut random);
    header.sequence = sequence + 1;
    let path = dir.join(segment::segment_name(header.sequence));
    made.push(path.clone());
    let size = FIRST_SEGMENT_BYTES.min(options.segment_bytes);
    let segment = writer::prepare(&*disk, dir, header.sequence, size, true)
        .and_then(|prepared| writer::begin_segment(prepared, &header))
        .map_err(disk_error("creating", &path))
        .inspect_err(|_| discard(&made))?;
    manifest.segments.push(segment.line(0));
    let written = manifest.write_temporary(&*disk, dir, 0).inspect_err(|_| discard(&made));
    let stored = written.and_then(|()| Manifest::replace(&*disk, dir));
    stored.map_err(disk_error("replacing the manifest in", dir))?;
    let writer = Writer::new(manifest, segment, sequence + 2, 0, now_ms);
    remove_strays(&*disk, dir, &writer.manifest)?;
    Ok(new_log(dir, disk, clock, random, options, writer, 0, lock))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;
    use crate::env::{SimClock, seeded_random};
    use crate::log::frame::FrameHeader;
    use crate::log::segment::Preamble;
    use crate::log::{Lsn, PreambleDamage, holds_data};

    /// Takes every base for sound.
    struct Believes;

    impl Replay for Believes {
        fn preamble(
            &mut self,
            _: &Arc<dyn crate::disk::File>,
            _: &Preamble,
            _: Lsn,
        ) -> Result<(), PreambleDamage> {
            Ok(())
        }

        fn commands(&mut self, _: &FrameHeader, _: &[u8]) -> Result<(), String> {
            Ok(())
        }

        fn selected_db(&self) -> u32 {
            0
        }
    }

    #[test]
    fn a_base_that_cannot_be_written_leaves_nothing_behind() {
        let dir = Path::new("d");
        // Too little for the base, then too little for the segment behind it.
        for quota in [10_000, 100_000] {
            let disk = SimDisk::new();
            disk.set_quota(Some(quota));
            let begun = begin(
                Arc::new(disk.clone()),
                dir,
                Options::default(),
                SimClock::new(0),
                seeded_random(1),
                None,
                &mut |base| {
                    base.write(&[b'x'; 20_000])?;
                    base.end_preamble(0, 0);
                    Ok(())
                },
                &mut Believes,
            );
            assert!(matches!(begun, Err(OpenError::Disk { .. })), "{quota}");
            assert!(!holds_data(&disk, dir).unwrap(), "{quota}");
            assert_eq!(disk.list(dir).unwrap(), [manifest::NAME], "{quota}");
        }
    }
}
