//! Where the log continues after a start has read it.

use super::lsn::Lsn;
use super::manifest::Manifest;
use super::read::Tail;
use super::reader::FrameReader;

/// What a start has read, and the place where the log continues. Starting the writer from it can be
/// repeated.
pub(super) struct ResumePoint {
    /// The active manifest, with the timeline that begins now.
    pub(super) manifest: Manifest,
    /// The tail of the open segment, unless the data set was closed.
    pub(super) tail: Option<Tail>,
    /// The LSN after the last command.
    pub(super) lsn: Lsn,
    /// The new segment's sequence.
    pub(super) sequence: u64,
    /// Whether the last segment holds frames other than markers.
    pub(super) holds_frames: bool,
    pub(super) last_time_ms: u64,
}

impl ResumePoint {
    /// Everything below this LSN is attested to be durable.
    pub(super) fn durable_lsn(&self) -> Lsn {
        self.tail.as_ref().map_or(self.lsn, |tail| tail.end.lsn)
    }

    /// The manifest in which the last segment is sealed, before the new one is listed.
    pub(super) fn next_manifest(&self) -> Manifest {
        let mut manifest = self.manifest.clone();
        if let Some(tail) = &self.tail {
            let last = manifest.segments.last_mut().expect("a tail is a segment's");
            last.end = Some(tail.end);
        }
        // Not empty: it may hold only Lost frames.
        let holds_frames = match &self.tail {
            Some(tail) => tail.end.bytes > FrameReader::FIRST_OFFSET,
            None => self.holds_frames,
        };
        if !holds_frames {
            manifest.segments.pop();
        }
        // Leave space for the line of the new segment.
        manifest.prune_retired(0, u64::MAX);
        manifest
    }
}
