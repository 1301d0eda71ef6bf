//! Creating a log for the data in memory: a base, then the first segment.

use super::base::BaseWriter;
use super::directory::{holds_data, next_sequence, remove_strays, take_lock};
use super::manifest::{self, Manifest};
use super::options::Options;
use super::prepared;
use super::recovery::{OpenError, Replay, disk_error};
use super::retention::Retention;
use super::room::{self, Size};
use super::segment::{self, FileKind, Identity};
use super::state::Log;
use super::writer::{Writer, begin_segment};
use crate::disk::Disk;
use crate::env::{Clock, Random};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that this process left in a directory; a new data set may replace only those.
#[derive(Default)]
pub struct LeftoverData {
    /// The log that ended last; its files are still there.
    ended: Option<Arc<Log>>,
    /// Data sets whose creation failed although their manifest may be active.
    possibly_active: Vec<PossiblyActive>,
}

struct PossiblyActive {
    manifest: Manifest,
    /// The manifest that it was to replace.
    before: Manifest,
}

impl LeftoverData {
    /// Records that `log` ended. It is closed before the next one is created.
    pub fn end(&mut self, log: Arc<Log>) {
        *self = Self { ended: Some(log), possibly_active: Vec::new() };
    }

    /// The manifest to restore in `dir` if a new data set cannot be created. `None` if the data
    /// there are not this process's.
    fn before(&self, disk: &dyn Disk, dir: &Path) -> Option<Manifest> {
        let found = Manifest::load(disk, dir).ok()?;
        if let Some(found) = self.possibly_active.iter().find(|it| it.manifest == found) {
            return Some(found.before.clone());
        }
        let ended = self.ended.as_ref()?.writer.lock().manifest == found;
        ended.then_some(found)
    }
}

/// Creates a data set in `dir` with a base whose preamble `dump` writes and ends, and which `check`
/// then reads as a start would. Files recorded in `leftover` are removed once the new data set is
/// active. If files are retained, or are to be, the previous data set is first linked into a
/// directory beside `dir` ([`Log::previous_dir`]).
///
/// # Errors
/// If another process has `dir` open, if it holds other data, or if the disk fails. The previous
/// data set is then still active, or active again. If the disk prevents both, the error states it
/// and `leftover` records it.
pub fn create(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: Options,
    clock: Arc<dyn Clock>,
    mut random: Random,
    leftover: &mut LeftoverData,
    dump: &mut dyn FnMut(&mut BaseWriter) -> io::Result<()>,
    check: &mut dyn Replay,
) -> Result<Log, OpenError> {
    let lock = take_lock(&*disk, dir)?;
    let mut manifest = Manifest::empty(&mut random);
    let manifest_path = dir.join(manifest::NAME);
    let before = if holds_data(&*disk, dir).map_err(disk_error("looking at", dir))? {
        let before = leftover.before(&*disk, dir);
        before.ok_or_else(|| OpenError::OtherData { dir: dir.into() })?
    } else {
        // Without a manifest, a base left by a crash would look like data whose manifest was lost.
        let stored = manifest.store(&*disk, dir);
        stored.map_err(disk_error("creating", &manifest_path))?;
        manifest.clone()
    };
    let now_ms = clock.unix_ms().max(0) as u64;
    let sequence = next_sequence(&*disk, dir).map_err(disk_error("listing", dir))?;
    let identity = Identity::random(&mut random);
    let header = manifest.header(FileKind::Base, identity, sequence, 0, now_ms);
    let base_path = dir.join(segment::base_name(sequence));
    let segment_path = dir.join(segment::segment_name(sequence + 1));
    // They may be big, and space may be short.
    let discard = || {
        for path in [&base_path, &segment_path] {
            let _ = disk.remove(path);
        }
    };
    let kept = room::kept_by_copies_bytes(options.segment_bytes, 0);
    let mut write_base = || {
        let mut base = BaseWriter::create(disk.clone(), dir, header.clone(), kept)?;
        dump(&mut base)?;
        base.finish().and_then(|line| base.read_back(&manifest, line, check))
    };
    let base =
        write_base().map_err(disk_error("writing", &base_path)).inspect_err(|_| discard())?;
    manifest.base = Some(base);

    let identity = Identity::random(&mut random);
    let least = room::smallest_bytes(options.segment_bytes);
    let size = Size { usual: least, least, kept: room::kept_bytes(options.segment_bytes, 0) };
    let segment = prepared::prepare_within(&*disk, dir, sequence + 1, size, true)
        .and_then(|prepared| begin_segment(prepared, &manifest, identity, 0, &*clock))
        .map_err(disk_error("creating", &segment_path))
        .inspect_err(|_| discard())?;
    manifest.segments.push(segment.line(0));
    // The previous data set still allows restoring earlier moments.
    let keeps = !before.retired.is_empty() || options.retention != Retention::default();
    let previous_dir = match keeps && before.names().next().is_some() {
        true => Some(keep_beside(&*disk, dir, &before, now_ms).inspect_err(|_| discard())?),
        false => None,
    };
    let forget_kept = || {
        if let Some(kept) = &previous_dir {
            remove_copy(&*disk, kept, &before);
        }
    };
    manifest
        .write_temporary(&*disk, dir, 0)
        .map_err(disk_error("replacing the manifest in", dir))
        .inspect_err(|_| {
            discard();
            forget_kept();
        })?;
    if let Err(mut error) = Manifest::replace(&*disk, dir) {
        // The new manifest may be active although this returns an error. A later start must not
        // find these data then, because they would be outdated.
        match before.store(&*disk, dir) {
            Ok(()) => {
                discard();
                forget_kept();
                // The manifests of earlier attempts are not active any more either.
                let kept: Vec<String> = before.all_names().collect();
                let attempts = leftover.possibly_active.drain(..).map(|it| it.manifest);
                let names = attempts.flat_map(|manifest| manifest.all_names().collect::<Vec<_>>());
                for name in names.filter(|name| !kept.contains(name)) {
                    let _ = disk.remove(&dir.join(name));
                }
            }
            Err(again) => {
                error = io::Error::other(format!(
                    "{error}. Restoring the previous data set failed, too: {again}. The next start may load \
                     the data as they are now; another attempt replaces them"
                ));
                leftover.possibly_active.push(PossiblyActive { manifest, before });
            }
        }
        return Err(disk_error("replacing the manifest in", dir)(error));
    }
    *leftover = LeftoverData::default();
    let writer = Writer::new(manifest, segment, sequence + 2, 0, now_ms);
    // The new data set is active. The next start removes what cannot be removed now.
    let _ = remove_strays(&*disk, dir, &writer.manifest);
    let mut log = Log::new(dir, disk, clock, random, options, writer, 0, lock);
    log.previous_dir = previous_dir;
    Ok(log)
}

/// Links the active data set of `dir` into a directory beside it: each file gets a second name, and
/// the copy its own manifest. Returns that directory.
fn keep_beside(
    disk: &dyn Disk,
    dir: &Path,
    manifest: &Manifest,
    now_ms: u64,
) -> Result<PathBuf, OpenError> {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(format!(".before-{now_ms}"));
    let kept = dir.with_file_name(name);
    disk.create_dir(&kept).map_err(disk_error("creating", &kept))?;
    let link = |name: String| match disk.link(&dir.join(&name), &kept.join(&name)) {
        // A start tolerates a missing retired file, too.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        linked => linked,
    };
    let copied = manifest
        .all_names()
        .try_for_each(link)
        .and_then(|()| disk.sync_dir(&kept))
        .and_then(|()| manifest.store(disk, &kept));
    let copied = copied.map_err(disk_error("keeping what was there before in", &kept));
    copied.inspect_err(|_| remove_copy(disk, &kept, manifest))?;
    Ok(kept)
}

/// Removes the files that [`keep_beside`] created, except the directory.
fn remove_copy(disk: &dyn Disk, kept: &Path, manifest: &Manifest) {
    let names = manifest.all_names().chain([manifest::NAME.to_owned()]);
    names.for_each(|name| drop(disk.remove(&kept.join(name))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;
    use crate::env::{SimClock, seeded_random};
    use crate::log::frame::FrameHeader;
    use crate::log::segment::Preamble;
    use crate::log::{Lsn, PreambleDamage, Unreplayable, holds_data};

    /// Accepts every base.
    struct AcceptsAll;

    impl Replay for AcceptsAll {
        fn preamble(
            &mut self,
            _: &Arc<dyn crate::disk::File>,
            _: &Preamble,
            _: Lsn,
        ) -> Result<(), PreambleDamage> {
            Ok(())
        }

        fn commands(&mut self, _: &FrameHeader, _: &[u8]) -> Result<(), Unreplayable> {
            Ok(())
        }

        fn selected_db(&self) -> u32 {
            0
        }
    }

    #[test]
    fn a_failed_creation_removes_its_files() {
        let dir = Path::new("d");
        // Too little for the base, then for the segment.
        for quota in [10_000, 100_000] {
            let disk = SimDisk::new();
            disk.set_quota(Some(quota));
            let created = create(
                Arc::new(disk.clone()),
                dir,
                Options::default(),
                SimClock::new(0),
                seeded_random(1),
                &mut LeftoverData::default(),
                &mut |base| {
                    base.write(&[b'x'; 20_000])?;
                    base.end_preamble(0, 0);
                    Ok(())
                },
                &mut AcceptsAll,
            );
            assert!(matches!(created, Err(OpenError::Disk { .. })), "{quota}");
            assert!(!holds_data(&disk, dir).unwrap(), "{quota}");
            assert_eq!(disk.list(dir).unwrap(), [manifest::NAME], "{quota}");
        }
    }
}
