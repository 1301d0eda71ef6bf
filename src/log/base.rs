//! Beginning a log with what is in memory: a base, then the first segment.

use super::frame::{Codec, FrameHeader, FrameKind, checksum};
use super::manifest::{BaseLine, Manifest};
use super::open::{OpenError, disk_error, new_log, next_sequence, remove_strays, take_lock};
use super::segment::{self, FileKind, Identity, SegmentHeader};
use super::writer::{self, FIRST_SEGMENT_BYTES, Segment, Writer};
use super::{Log, Options, Timeline, TimelineId};
use crate::disk::Disk;
use crate::env::{Clock, Random};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Takes pieces of whole commands, each with the database selected at its start.
pub type WritePiece<'a> = dyn FnMut(u32, &[u8]) -> io::Result<()> + 'a;

/// Begins a data set in `dir` whose base is what `dump` writes. Files of an earlier data set there
/// are removed once the new one is in force.
///
/// # Errors
/// If another process has `dir`, or the disk fails; then what was there before is still in force.
pub fn begin(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: Options,
    clock: Arc<dyn Clock>,
    mut random: Random,
    dump: &mut dyn FnMut(&mut WritePiece<'_>) -> io::Result<()>,
) -> Result<Log, OpenError> {
    let lock = take_lock(&*disk, dir)?;
    let now_ms = clock.unix_ms().max(0) as u64;
    let sequence = next_sequence(&*disk, dir).map_err(disk_error("listing", dir))?;
    let timeline = Timeline { id: TimelineId::random(&mut random), begin_lsn: 0 };
    let dataset = Identity::random(&mut random);
    let mut header = SegmentHeader {
        kind: FileKind::Base,
        dataset,
        identity: Identity::random(&mut random),
        sequence,
        first_lsn: 0,
        timeline,
        created_ms: now_ms,
    };
    // Left behind, a base without a manifest would look like data whose manifest was lost.
    let base_path = dir.join(segment::base_name(sequence));
    let remove_base = |_: &OpenError| {
        let _ = disk.remove(&base_path);
    };
    let base = write_base(&*disk, dir, &header, dump)
        .map_err(disk_error("writing", &base_path))
        .inspect_err(remove_base)?;

    header.kind = FileKind::Segment;
    header.identity = Identity::random(&mut random);
    header.sequence = sequence + 1;
    let path = dir.join(segment::segment_name(header.sequence));
    let size = FIRST_SEGMENT_BYTES.min(options.segment_bytes);
    let segment = writer::prepare(&*disk, dir, header.sequence, size, true)
        .and_then(|prepared| writer::begin_segment(prepared, &header))
        .map_err(disk_error("creating", &path))
        .inspect_err(remove_base)?;
    let manifest = Manifest {
        dataset,
        timelines: vec![timeline],
        base: Some(base),
        segments: vec![segment.line(0)],
    };
    manifest.store(&*disk, dir).map_err(disk_error("replacing the manifest in", dir))?;
    let writer = Writer::new(manifest, segment, sequence + 2, 0, now_ms);
    remove_strays(&*disk, dir, &writer.manifest)?;
    Ok(new_log(dir, disk, clock, random, options, writer, 0, lock))
}

fn write_base(
    disk: &dyn Disk,
    dir: &Path,
    header: &SegmentHeader,
    dump: &mut dyn FnMut(&mut WritePiece<'_>) -> io::Result<()>,
) -> io::Result<BaseLine> {
    let file = disk.create(&dir.join(segment::base_name(header.sequence)))?;
    file.write_at(&header.encode(), 0)?;
    let mut place = Segment {
        file,
        sequence: header.sequence,
        identity: header.identity,
        size: u64::MAX,
        offset: segment::HEADER_BYTES as u64,
    };
    let (mut lsn, mut scratch) = (0, Vec::new());
    dump(&mut |db, payload| {
        let frame = FrameHeader {
            stored_bytes: payload.len() as u64,
            raw_bytes: payload.len() as u64,
            lsn,
            time_ms: header.created_ms,
            durable_lsn: 0,
            payload_checksum: checksum(header.identity.seed(), payload),
            db,
            kind: FrameKind::Commands,
            codec: Codec::None,
        };
        writer::put_frame(&place, &frame, payload, &mut scratch)?;
        place.offset += frame.frame_bytes();
        lsn = frame.end_lsn();
        Ok(())
    })?;
    place.file.sync()?;
    disk.sync_dir(dir)?;
    let (sequence, identity) = (header.sequence, header.identity);
    Ok(BaseLine { sequence, identity, lsn: header.first_lsn, bytes: place.offset })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;
    use crate::env::{SimClock, seeded_random};
    use crate::log::holds_data;

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
                &mut |write| write(0, &[b'x'; 20_000]),
            );
            assert!(matches!(begun, Err(OpenError::Disk { .. })), "{quota}");
            assert!(!holds_data(&disk, dir).unwrap(), "{quota}");
        }
    }
}
