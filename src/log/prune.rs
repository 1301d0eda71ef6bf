//! Retention: retired files that are kept long enough go.

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

    /// Nobody says how long retired files are kept: those that are there stay, and what a
    /// compaction replaces comes to them; where there are none, none are kept.
    pub fn leave_retention_unset(&self) {
        *self.retention.lock() =
            RetentionSetting { retention: Retention::default(), is_unset: true };
    }

    /// Whether a file that is kept would go, now or earlier than before, under this retention; or
    /// nothing would be kept any more.
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

    /// Whether there are retired files that are not to be kept any longer. Waits for nobody.
    pub fn has_prunable_retired(&self) -> bool {
        let now_ms = self.clock.unix_ms().max(0) as u64;
        let (since_ms, bytes_max) = self.retention.lock().limits(now_ms, true);
        let summary = self.summary.lock();
        let oldest_ms = summary.retired_ms.unwrap_or(u64::MAX);
        let too_many = summary.retired_ms.is_some() && summary.files > manifest::FILES_MAX;
        oldest_ms < since_ms || too_many || summary.retired_bytes > bytes_max
    }

    /// Whether retired files are kept only because nobody says how long.
    pub fn keeps_without_limit(&self) -> bool {
        self.retention.lock().is_unset && self.summary.lock().retired_ms.is_some()
    }

    pub(super) fn note_pruned(&self, more: Option<PrunedFiles>) {
        let Some(more) = more else { return };
        let mut pruned = self.pruned.lock();
        *pruned = Some(pruned.map_or(more, |before| before.and(more)));
    }

    /// Retired files that were removed since this was last asked.
    pub fn take_pruned(&self) -> Option<PrunedFiles> {
        self.pruned.lock().take()
    }

    /// Removes retired files that are not to be kept any longer. To be called now and then.
    ///
    /// # Errors
    /// Those of the disk; the files are removed another time then.
    pub fn prune_retired(&self) -> io::Result<()> {
        // Nobody waits for the disk behind the writer meanwhile: a drain is left to the log thread.
        let busy = self.busy();
        let gone = self.unlist_retired(&mut self.writer.lock());
        drop(busy);
        gone?.iter().for_each(|path| self.remove_unlisted(path));
        Ok(())
    }

    /// Replaces the manifest by one without those retired files. Gives what is to be removed.
    fn unlist_retired(&self, writer: &mut Writer) -> io::Result<Vec<PathBuf>> {
        let now_ms = self.clock.unix_ms().max(0) as u64;
        let (since_ms, bytes_max) = self.retention.lock().limits(now_ms, true);
        let mut manifest = writer.manifest.clone();
        let gone = manifest.prune_retired(since_ms, bytes_max);
        if gone.is_empty() || self.has_failed() || self.closing.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        // Whichever manifest is in force afterwards, it lists every file that a start needs.
        manifest.store(&*self.disk, &self.dir)?;
        writer.manifest = manifest;
        *self.summary.lock() = ManifestSummary::of(&writer.manifest);
        self.note_pruned(PrunedFiles::of(&gone));
        let gone = gone.iter().map(|line| self.dir.join(line.file.name()));
        Ok(gone.chain(writer.possibly_active.drain(..)).collect())
    }
}
