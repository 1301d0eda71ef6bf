//! Beginning a log with what is in memory: a base, then the first segment.

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

/// What this process has left in a directory: only that is replaced by a new data set.
#[derive(Default)]
pub struct LeftoverData {
    /// The log that was ended last; its files stay.
    ended: Option<Arc<Log>>,
    /// Data sets whose beginning has failed, but whose manifest may be in force all the same.
    possibly_active: Vec<PossiblyActive>,
}

struct PossiblyActive {
    manifest: Manifest,
    /// What it was to replace.
    before: Manifest,
}

impl LeftoverData {
    /// Notes that `log` was ended. It is closed before the next one begins.
    pub fn end(&mut self, log: Arc<Log>) {
        *self = Self { ended: Some(log), possibly_active: Vec::new() };
    }

    /// What is to be in force again in `dir` if a new data set cannot begin. `None` if the data that are there
    /// are somebody else's.
    fn before(&self, disk: &dyn Disk, dir: &Path) -> Option<Manifest> {
        let found = Manifest::load(disk, dir).ok()?;
        if let Some(found) = self.possibly_active.iter().find(|it| it.manifest == found) {
            return Some(found.before.clone());
        }
        let ended = self.ended.as_ref()?.writer.lock().manifest == found;
        ended.then_some(found)
    }
}

/// Begins a data set in `dir` with a base whose preamble `dump` writes and ends, and which `check`
/// then reads as a start would. The files that are there because this process has `leftover` them are
/// removed once the new data set is in force. Where files of earlier moments are kept, or are to
/// be, the whole data set from before gets a place beside `dir` first ([`Log::previous_dir`]).
///
/// # Errors
/// If another process has `dir`, if it holds other data, or the disk fails; then what was there before
/// is still in force, or in force again. If the disk lets neither happen, the error says so, and `leftover` knows it.
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
        // Without one, a base that a crash leaves behind would look like data whose manifest was lost.
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
    // They may be big, and the disk may be full.
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
    // Earlier moments can still be restored from there.
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
        // It may be in force. Whoever is told that this has failed must not find these data at a later start, when
        // they are old.
        match before.store(&*disk, dir) {
            Ok(()) => {
                discard();
                forget_kept();
                // Nor is one of the earlier attempts in force any more.
                let kept: Vec<String> = before.all_names().collect();
                let attempts = leftover.possibly_active.drain(..).map(|it| it.manifest);
                let names = attempts.flat_map(|manifest| manifest.all_names().collect::<Vec<_>>());
                for name in names.filter(|name| !kept.contains(name)) {
                    let _ = disk.remove(&dir.join(name));
                }
            }
            Err(again) => {
                error = io::Error::other(format!(
                    "{error}. What was there before could not be put back either: {again}. The next start \
                     may find the data as they are now; another attempt replaces them"
                ));
                leftover.possibly_active.push(PossiblyActive { manifest, before });
            }
        }
        return Err(disk_error("replacing the manifest in", dir)(error));
    }
    *leftover = LeftoverData::default();
    let writer = Writer::new(manifest, segment, sequence + 2, 0, now_ms);
    // The new data set is in force. What cannot be removed now goes at the next start.
    let _ = remove_strays(&*disk, dir, &writer.manifest);
    let mut log = Log::new(dir, disk, clock, random, options, writer, 0, lock);
    log.previous_dir = previous_dir;
    Ok(log)
}

/// Gives the data set that is in force in `dir` a second place beside it: each file another name,
/// and a manifest of their own. Gives that directory.
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
        // A start does not miss a retired file either.
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

/// Removes what [`keep_beside`] has made, but for the directory.
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

    /// Takes every base for sound.
    struct Believes;

    impl Replay for Believes {
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
    fn a_base_that_cannot_be_written_leaves_nothing_behind() {
        let dir = Path::new("d");
        // Too little for the base, then too little for the segment behind it.
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
                &mut Believes,
            );
            assert!(matches!(created, Err(OpenError::Disk { .. })), "{quota}");
            assert!(!holds_data(&disk, dir).unwrap(), "{quota}");
            assert_eq!(disk.list(dir).unwrap(), [manifest::NAME], "{quota}");
        }
    }
}
