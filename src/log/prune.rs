//! Pruning: removes retired files that retention no longer keeps.

use super::manifest;
use super::retention::{PrunedFiles, Retention, RetentionSetting};
use super::state::Log;
use super::summary::ManifestSummary;
use super::writer::Writer;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

impl Log {
    /// Changes how long retired files are kept.
    pub fn set_retention(&self, retention: Retention) {
        *self.retention.lock() = RetentionSetting { retention, is_unset: false };
    }

    /// Leaves the retention unset: existing retired files stay and replaced files join them; if
    /// there are none, none are kept.
    pub fn leave_retention_unset(&self) {
        *self.retention.lock() =
            RetentionSetting { retention: Retention::default(), is_unset: true };
    }

    /// Whether the retention `new` would remove a kept file, now or earlier than the current one,
    /// or would keep nothing.
    pub fn would_shorten(&self, new: Retention) -> bool {
        let now_ms = self.clock.unix_ms().max(0) as u64;
        let RetentionSetting { retention: old, is_unset } = *self.retention.lock();
        let summary = self.summary.lock();
        if new.keeps_nothing() {
            return !old.keeps_nothing() || summary.retired_ms.is_some();
        }
        let Some(oldest_ms) = summary.retired_ms else { return false };
        oldest_ms < new.since_ms(now_ms)
            || summary.retired_bytes > new.bytes_max()
            || !is_unset && new.time_limit_s() < old.time_limit_s()
    }

    /// Whether [`Log::prune_retired`] would remove files. Does not wait for the writer.
    pub fn has_prunable_retired(&self) -> bool {
        let now_ms = self.clock.unix_ms().max(0) as u64;
        let (since_ms, bytes_max) = self.retention.lock().limits(now_ms, true);
        let summary = self.summary.lock();
        let oldest_ms = summary.retired_ms.unwrap_or(u64::MAX);
        let too_many = summary.retired_ms.is_some() && summary.files > manifest::FILES_MAX;
        oldest_ms < since_ms || too_many || summary.retired_bytes > bytes_max
    }

    /// Whether retired files are kept only because no retention is set.
    pub fn keeps_without_limit(&self) -> bool {
        self.retention.lock().is_unset && self.summary.lock().retired_ms.is_some()
    }

    pub(super) fn note_pruned(&self, more: Option<PrunedFiles>) {
        let Some(more) = more else { return };
        let mut pruned = self.pruned.lock();
        *pruned = Some(pruned.map_or(more, |before| before.and(more)));
    }

    /// Takes the report of the files removed since the last call.
    pub fn take_pruned(&self) -> Option<PrunedFiles> {
        self.pruned.lock().take()
    }

    /// Removes the retired files that retention no longer keeps. Call it regularly.
    ///
    /// # Errors
    /// Those of the disk; the next call tries again.
    pub fn prune_retired(&self) -> io::Result<()> {
        // While this holds the writer, drains are left to the log thread instead of waiting for the
        // disk.
        let busy = self.busy();
        let gone = self.unlist_retired(&mut self.writer.lock());
        drop(busy);
        gone?.iter().for_each(|path| self.remove_unlisted(path));
        Ok(())
    }

    /// Stores a manifest without those files. Returns the paths to remove.
    fn unlist_retired(&self, writer: &mut Writer) -> io::Result<Vec<PathBuf>> {
        let now_ms = self.clock.unix_ms().max(0) as u64;
        let (since_ms, bytes_max) = self.retention.lock().limits(now_ms, true);
        let mut manifest = writer.manifest.clone();
        let gone = manifest.prune_retired(since_ms, bytes_max);
        if gone.is_empty() || self.has_failed() || self.closing.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        // Whichever manifest is active after an error, it lists every file that a start needs.
        manifest.store(&*self.disk, &self.dir)?;
        writer.manifest = manifest;
        *self.summary.lock() = ManifestSummary::of(&writer.manifest);
        self.note_pruned(PrunedFiles::of(&gone));
        let gone = gone.iter().map(|line| self.dir.join(line.file.name()));
        Ok(gone.chain(writer.possibly_active.drain(..)).collect())
    }
}
