//! Compaction: a new base replaces the old one and the segments after it.
//!
//! 1. [`Log::begin_base`] creates a file, which the caller fills with the keyspace as of an LSN.
//! 2. [`Log::roll_past`] makes the log continue in a new segment.
//! 3. [`Log::finish_base`] copies the commands between the two after the keyspace, reads the file
//!    back, replaces the manifest, and removes or retires the old files.
//!
//! Until the manifest is replaced, the old files are active. A crash leaves only a file that the
//! next start removes.

use super::base::BaseWriter;
use super::lsn::Lsn;
use super::recovery::Replay;
use super::retention::PrunedFiles;
use super::roll::COMPACTION_ROLL;
use super::room;
use super::segment::{self, FileKind, Identity};
use super::state::Log;
use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::Ordering;

fn closing() -> io::Error {
    io::Error::other("the log is being closed")
}

impl Log {
    /// Creates a base file for the keyspace as of `lsn`.
    ///
    /// # Errors
    /// Those of the disk, and if the log is being closed.
    pub fn begin_base(&self, lsn: Lsn) -> io::Result<BaseWriter> {
        let mut writer = self.writer.lock();
        if self.closing.load(Ordering::Acquire) {
            return Err(closing());
        }
        if writer.pending_start.is_some() {
            return Err(io::Error::other("the log has not begun to write"));
        }
        let sequence = writer.next_sequence;
        writer.next_sequence += 1;
        let identity = Identity::random(&mut **self.random.lock());
        let now_ms = self.clock.unix_ms().max(0) as u64;
        let header = writer.manifest.header(FileKind::Base, identity, sequence, lsn, now_ms);
        let (segment_bytes, files) = (self.options.segment_bytes, self.summary.lock().files);
        let kept = match self.is_refusing() {
            true => room::kept_by_last_base_bytes(segment_bytes, files),
            false => room::kept_by_copies_bytes(segment_bytes, files),
        };
        // The spare segment of the last compaction may hold the only free space.
        if self.disk.free_bytes(&self.dir)?.saturating_sub(kept) < self.sizes().1
            && let Some(spare) = writer.spare.take()
        {
            self.remove_unlisted(&spare);
        }
        drop(writer);
        BaseWriter::create(self.disk.clone(), &self.dir, header, kept)
    }

    /// Makes the log continue in a segment that begins at or above `lsn`. Returns true once it
    /// does; otherwise call it again after the log thread has worked.
    ///
    /// # Errors
    /// If the log has failed or is being closed.
    pub fn roll_past(&self, lsn: Lsn) -> io::Result<bool> {
        if let Some(failure) = self.failure() {
            return Err(io::Error::other(failure.cause));
        }
        if self.closing.load(Ordering::Acquire) {
            return Err(closing());
        }
        if self.summary.lock().first_lsn >= lsn {
            return Ok(true);
        }
        if self.drained_lsn() >= lsn {
            self.roll_wanted.fetch_max(COMPACTION_ROLL, Ordering::AcqRel);
            self.kick();
        } else {
            self.sync_wanted.fetch_max(lsn, Ordering::AcqRel);
            self.kick();
        }
        Ok(false)
    }

    /// Completes a base whose preamble is written, after [`Log::roll_past`] with an LSN at or above
    /// the base's. The base replaces everything before the current segment. `db` is the database
    /// selected at the base's LSN. `check` reads the new base first, as a start would.
    ///
    /// # Errors
    /// Those of the disk, and `InvalidData` if the new base cannot be read. The old files stay
    /// active. If replacing the manifest itself failed, either manifest may be active, and all
    /// files stay until the manifest is replaced again.
    pub fn finish_base(
        &self,
        mut base: BaseWriter,
        db: u32,
        check: &mut dyn Replay,
    ) -> io::Result<()> {
        let writer = self.writer.lock();
        base.written_by(writer.time.last_ms());
        let manifest = writer.manifest.clone();
        drop(writer);
        let end_lsn = manifest.segments.last().map_or(0, |segment| segment.first_lsn);
        let copied = base
            .copy_frames(&self.dir, &manifest, end_lsn, db)
            .and_then(|()| base.finish())
            .and_then(|line| base.read_back(&manifest, line, check));
        let line = match copied {
            Ok(line) => line,
            Err(error) => {
                base.discard();
                return Err(error);
            }
        };
        let busy = self.busy();
        let mut writer = self.writer.lock();
        if self.closing.load(Ordering::Acquire) {
            drop(writer);
            base.discard();
            return Err(closing());
        }
        let mut manifest = writer.manifest.clone();
        let now_ms = self.clock.unix_ms().max(0) as u64;
        let kept_before = manifest.retired.len();
        manifest.retire_below(end_lsn, now_ms);
        manifest.base = Some(line);
        let (since_ms, bytes_max) = self.retention.lock().limits(now_ms, kept_before > 0);
        let pruned = manifest.prune_retired(since_ms, bytes_max);
        let pruned = PrunedFiles::of(&pruned[..pruned.len().min(kept_before)]);
        let old = self.replace_manifest(&mut writer, manifest, 0, base.path())?;
        let kept: BTreeSet<String> = writer.manifest.all_names().collect();
        let is_gone = |name: &String| !kept.contains(name);
        let mut gone: Vec<String> = old.all_names().filter(is_gone).collect();
        // The youngest segment is the biggest one; its space is reused for the next segment. A base
        // may have any size.
        let youngest = old.segments.iter().rev();
        let mut names = youngest.map(|line| segment::segment_name(line.sequence));
        if writer.spare.is_none()
            && let Some(spare) = names.find(is_gone)
        {
            gone.retain(|name| *name != spare);
            writer.spare = Some(self.dir.join(spare));
        }
        drop(writer);
        drop(busy);
        self.note_pruned(pruned);
        self.kick_compression();
        gone.iter().for_each(|name| self.remove_unlisted(&self.dir.join(name)));
        Ok(())
    }

    /// Bytes of the base, and of base and segments together.
    pub fn base_bytes(&self) -> (u64, u64) {
        let base = self.summary.lock().base_bytes;
        (base, self.sizes().1)
    }
}
