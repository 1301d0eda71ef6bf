//! Where the log goes on after a start has read it.

use super::lsn::Lsn;
use super::manifest::Manifest;
use super::read::Tail;
use super::reader::FrameReader;

/// What a start has read and goes on from. It can be tried any number of times.
pub(super) struct ResumePoint {
    /// The one in force, with the timeline that begins now.
    pub(super) manifest: Manifest,
    /// The open segment's, unless the data set was closed.
    pub(super) tail: Option<Tail>,
    /// Behind the last command.
    pub(super) lsn: Lsn,
    /// Of the new segment.
    pub(super) sequence: u64,
    /// Whether the last segment holds a frame that is no marker.
    pub(super) holds_frames: bool,
    pub(super) last_time_ms: u64,
}

impl ResumePoint {
    /// Everything below is attested to be durable.
    pub(super) fn durable_lsn(&self) -> Lsn {
        self.tail.as_ref().map_or(self.lsn, |tail| tail.end.lsn)
    }

    /// The manifest in which the last segment has its end, before the new one is listed.
    pub(super) fn next_manifest(&self) -> Manifest {
        let mut manifest = self.manifest.clone();
        if let Some(tail) = &self.tail {
            let last = manifest.segments.last_mut().expect("a tail is a segment's");
            last.end = Some(tail.end);
        }
        // That it takes no LSN does not make it empty: what a repair lost may be all that it tells.
        let holds_frames = match &self.tail {
            Some(tail) => tail.end.bytes > FrameReader::FIRST_OFFSET,
            None => self.holds_frames,
        };
        if !holds_frames {
            manifest.segments.pop();
        }
        // The line of the new segment must have a place.
        manifest.prune_retired(0, u64::MAX);
        manifest
    }
}
