//! Writing everything as an RDB file at once, with the engine held: `SAVE` and the end of a server.

use super::Guard;
use super::compact::SnapshotError;
use crate::rdb::{Format, Target};
use std::path::Path;

/// What one slice encodes before it is written, in µs.
const SLICE_US: u64 = 10_000;

impl Guard<'_> {
    /// For which servers a file is to be that holds what is there now, if nobody says so: version 11, or 12 if
    /// there is a hash of which fields expire.
    pub fn rdb_target(&self) -> Target {
        let mut databases = self.state.keyspace.databases();
        match databases.any(|(_, database)| database.hashes_expiring() > 0) {
            true => Target::V12,
            false => Target::V11,
        }
    }

    /// Writes everything to the file at `path`, which is durable when this returns; gives its size in bytes. The
    /// engine is held meanwhile. A snapshot that is under way is given up.
    ///
    /// # Errors
    /// Those of the disk, if the format cannot hold what is there, and in the middle of a transaction. Then what
    /// was at `path` is as it was.
    pub fn save(&mut self, path: &Path, format: Format) -> Result<u64, SnapshotError> {
        self.abort_snapshot();
        // They tell of snapshots beside which commands go on.
        let stats = self.state.snapshot_stats;
        let begun = self.begin_snapshot(format).ok_or(SnapshotError::Aborted)?;
        let saved = self.engine.dump(&begun, path, &mut || {
            self.save_slice(SLICE_US);
        });
        self.abort_snapshot();
        self.state.snapshot_stats = stats;
        saved
    }
}
