//! Compaction: a new base takes the place of the old one and of the segments behind it.
//!
//! 1. [`Log::begin_base`]: a file for the keyspace as of an LSN, which somebody fills.
//! 2. [`Log::roll_past`]: the log goes on in a new segment.
//! 3. [`Log::finish_base`]: the commands between the two are copied behind the keyspace, the whole is read back, the
//!    manifest is replaced, and files that only the old one needed go.
//!
//! Until the manifest is replaced, the old files are in force, and a crash leaves nothing but a file that the next
//! start removes.

use super::base::BaseWriter;
use super::manifest::{self, Manifest, RetiredFile, RetiredLine};
use super::room;
use super::segment::{self, FileKind, Identity, SegmentHeader};
use super::worker::COMPACTION_ROLL;
use super::writer::Writer;
use super::{Log, Lsn, ManifestSummary, Replay};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// How long retired files are kept, so that an earlier moment can be restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// For so many seconds (`log-retention-time`); 0 sets no limit to the time.
    pub time_s: u64,
    /// At most so many bytes (`log-retention-size`); 0 sets no limit to the size. With both 0 nothing is kept.
    pub bytes: u64,
}

impl Retention {
    /// What was retired before this time goes.
    fn since_ms(self, now_ms: u64) -> u64 {
        match self {
            Self { time_s: 0, .. } => 0,
            Self { time_s, .. } => now_ms.saturating_sub(time_s.saturating_mul(1000)),
        }
    }

    /// More than this is not kept.
    fn bytes_max(self) -> u64 {
        match self {
            Self { time_s: 0, bytes: 0 } => 0,
            Self { bytes: 0, .. } => u64::MAX,
            Self { bytes, .. } => bytes,
        }
    }
}

impl Retention {
    fn keeps_nothing(self) -> bool {
        self == Self::default()
    }

    /// Whether everything that `other` keeps is kept as long.
    pub fn covers(self, other: Self) -> bool {
        self.time_limit_s() >= other.time_limit_s() && self.bytes_max() >= other.bytes_max()
    }

    /// For so long files are kept, in s.
    fn time_limit_s(self) -> u64 {
        match self {
            Self { time_s: 0, bytes: 0 } => 0,
            Self { time_s: 0, .. } => u64::MAX,
            Self { time_s, .. } => time_s,
        }
    }
}

/// How long retired files are kept, and who says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetentionSetting {
    pub(super) retention: Retention,
    /// Nobody has said how long: what is kept stays, and as long as there is something what is
    /// replaced comes to it, for a gap would make it useless. Otherwise nothing is kept.
    pub(super) is_unset: bool,
}

impl RetentionSetting {
    /// What was retired before this time goes, and what has more than so many bytes together, if
    /// there is any.
    fn limits(self, now_ms: u64, any: bool) -> (u64, u64) {
        match self.is_unset && any {
            true => (0, u64::MAX),
            false => (self.retention.since_ms(now_ms), self.retention.bytes_max()),
        }
    }
}

/// Retired files that were removed because they were not to be kept any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrunedFiles {
    /// How many.
    pub files: usize,
    /// Their length together.
    pub bytes: u64,
    /// Moments from this LSN on can no longer be restored.
    pub first_lsn: Lsn,
    /// Those below this one.
    pub end_lsn: Lsn,
    /// When the last of them was retired, as Unix time in ms: all those moments lie before it.
    pub until_ms: u64,
}

impl PrunedFiles {
    fn of(gone: &[RetiredLine]) -> Option<Self> {
        let until_ms = gone.last()?.time_ms;
        let lsns = |line: &RetiredLine| match &line.file {
            RetiredFile::Base(base) => (base.lsn, base.end_lsn),
            RetiredFile::Segment(segment) | RetiredFile::CompressedSegment { segment, .. } => {
                (segment.first_lsn, segment.end.map_or(segment.first_lsn, |end| end.lsn))
            }
        };
        Some(Self {
            files: gone.len(),
            bytes: gone.iter().map(|line| line.file.bytes()).sum(),
            first_lsn: gone.iter().map(|line| lsns(line).0).min()?,
            end_lsn: gone.iter().map(|line| lsns(line).1).max()?,
            until_ms,
        })
    }

    fn and(self, later: Self) -> Self {
        Self {
            files: self.files + later.files,
            bytes: self.bytes + later.bytes,
            first_lsn: self.first_lsn.min(later.first_lsn),
            end_lsn: self.end_lsn.max(later.end_lsn),
            until_ms: self.until_ms.max(later.until_ms),
        }
    }
}

fn closing() -> io::Error {
    io::Error::other("the log is being closed")
}

impl Log {
    /// Begins a base of what the keyspace is at `lsn`.
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
        let header = SegmentHeader {
            kind: FileKind::Base,
            dataset: writer.manifest.dataset,
            identity: Identity::random(&mut **self.random.lock()),
            sequence,
            first_lsn: lsn,
            timeline: writer.manifest.timeline(),
            created_ms: self.clock.unix_ms().max(0) as u64,
            preamble: None,
        };
        let (segment_bytes, files) = (self.options.segment_bytes, self.summary.lock().files);
        let kept = match self.is_refusing() {
            true => room::kept_by_last_base_bytes(segment_bytes, files),
            false => room::kept_by_copies_bytes(segment_bytes, files),
        };
        // What a compaction has left may be all the room that this one has.
        if self.disk.free_bytes(&self.dir)?.saturating_sub(kept) < self.sizes().1
            && let Some(spare) = writer.spare.take()
        {
            self.remove_unlisted(&spare);
        }
        drop(writer);
        BaseWriter::create(self.disk.clone(), &self.dir, header, kept)
    }

    /// Sees to it that the log goes on in a segment that begins at or above `lsn`. True once it does; until then
    /// this is to be asked again, when the log thread has had its turn.
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

    /// Completes a base whose preamble is written, behind [`Log::roll_past`] with an LSN not below the base's: it takes
    /// the place of all that lies before the current segment. `db` is the database that was selected at the
    /// base's LSN. Before that, `check` reads the new base as a start would.
    ///
    /// # Errors
    /// Those of the disk, and `InvalidData` if the new base cannot be read. The old files are in force then; or, if
    /// replacing the manifest itself failed, nobody knows which, and all stay until the manifest is replaced again.
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
        let path = base.path().to_owned();
        let stored = manifest
            .write_temporary(&*self.disk, &self.dir, 0)
            .inspect_err(|_| self.remove_unlisted(&path))
            .and_then(|()| {
                Manifest::replace(&*self.disk, &self.dir)
                    .inspect_err(|_| writer.possibly_active.push(path.clone()))
            });
        let old = match stored {
            Ok(()) => {
                self.remove_possibly_active(&mut writer);
                *self.summary.lock() = ManifestSummary::of(&manifest);
                Some(std::mem::replace(&mut writer.manifest, manifest))
            }
            Err(_) => None,
        };
        let kept: BTreeSet<String> = writer.manifest.all_names().collect();
        let is_gone = |name: &String| !kept.contains(name);
        let mut gone: Vec<String> =
            old.iter().flat_map(Manifest::all_names).filter(is_gone).collect();
        // The youngest segment is the biggest, and makes the next one. A base may be of any size.
        let youngest = old.iter().flat_map(|old| old.segments.iter().rev());
        let mut names = youngest.map(|line| segment::segment_name(line.sequence));
        if writer.spare.is_none()
            && let Some(spare) = names.find(is_gone)
        {
            gone.retain(|name| *name != spare);
            writer.spare = Some(self.dir.join(spare));
        }
        drop(writer);
        drop(busy);
        stored?;
        self.note_pruned(pruned);
        self.kick_compression();
        gone.iter().for_each(|name| self.remove_unlisted(&self.dir.join(name)));
        Ok(())
    }

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

    fn note_pruned(&self, more: Option<PrunedFiles>) {
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

    /// How many bytes the base has, and how many the log has in all.
    pub fn base_bytes(&self) -> (u64, u64) {
        let base = self.summary.lock().base_bytes;
        (base, self.sizes().1)
    }
}
