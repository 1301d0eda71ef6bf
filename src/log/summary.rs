//! Facts of the manifest that can be read without the writer's lock.

use super::lsn::{Lsn, Timeline};
use super::manifest::Manifest;

/// Facts of the manifest, kept apart from it so that readers do not wait for the writer.
pub(super) struct ManifestSummary {
    pub(super) timeline: Timeline,
    /// Where the current segment begins.
    pub(super) first_lsn: Lsn,
    pub(super) base_bytes: u64,
    /// When the oldest retired files were retired (Unix ms), and the bytes of all retired files.
    pub(super) retired_ms: Option<u64>,
    pub(super) retired_bytes: u64,
    pub(super) segments: usize,
    /// Number of segments and retired files.
    pub(super) files: usize,
    /// Bytes of the base and of sealed segments.
    pub(super) sealed_bytes: u64,
}

impl ManifestSummary {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let sealed = manifest.segments.iter().filter_map(|segment| segment.end);
        let base = manifest.base.as_ref().map_or(0, |base| base.bytes);
        Self {
            timeline: manifest.timeline(),
            first_lsn: manifest.segments.last().map_or(0, |segment| segment.first_lsn),
            base_bytes: base,
            retired_ms: manifest.retired.first().map(|line| line.time_ms),
            retired_bytes: manifest.retired.iter().map(|line| line.file.bytes()).sum(),
            segments: manifest.segments.len(),
            files: manifest.segments.len() + manifest.retired.len(),
            sealed_bytes: base + sealed.map(|end| end.bytes).sum::<u64>(),
        }
    }
}
