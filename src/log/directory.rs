//! The directory of a data set: its lock, the names in it, and stray files.

use super::manifest::{self, Manifest, ManifestError, RetiredFile, SegmentLine};
use super::recovery::{OpenError, disk_error};
use super::segment;
use crate::disk::{self, Disk, Lock};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The lock file's name.
pub const LOCK_NAME: &str = "lock";

/// Whether `dir` holds a data set that is not empty. An unreadable manifest counts as one.
///
/// # Errors
/// Those of the disk, except for a missing directory.
pub fn holds_data(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    match Manifest::load(disk, dir) {
        Ok(manifest) => return Ok(manifest.names().next().is_some()),
        Err(ManifestError::Missing) => {}
        Err(_) => return Ok(true),
    }
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    Ok(names.iter().any(|name| segment::parse_name(name).is_some()))
}

/// Checks that no process has the data set in `dir` open.
///
/// # Errors
/// If another process has it open, and those of the disk.
pub fn check_free(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(LOCK_NAME);
    match disk.is_locked(&path).map_err(disk_error("looking at", &path))? {
        true => Err(OpenError::Locked { path: dir.into(), process: lock_content(disk, &path) }),
        false => Ok(()),
    }
}

pub(super) fn take_lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Lock>, OpenError> {
    disk.create_dir(dir).map_err(disk_error("creating", dir))?;
    let path = dir.join(LOCK_NAME);
    disk.lock(&path, &format!("{}\n", std::process::id())).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            OpenError::Locked { path: dir.into(), process: lock_content(disk, &path) }
        } else {
            disk_error("locking", &path)(error)
        }
    })
}

/// Reads a lock file that another process holds.
fn lock_content(disk: &dyn Disk, path: &Path) -> String {
    let read = disk.open_to_read(path).and_then(|file| disk::read_all(&*file, 64));
    read.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).unwrap_or_default()
}

/// The log's files in `dir` that `manifest` does not list.
pub(super) fn strays(disk: &dyn Disk, dir: &Path, manifest: &Manifest) -> io::Result<Vec<PathBuf>> {
    let listed: BTreeSet<String> = manifest.all_names().collect();
    let mut names = disk.list(dir)?;
    names.retain(|name| {
        let ours = segment::parse_name(name).is_some() || name == manifest::TEMPORARY_NAME;
        ours && !listed.contains(name)
    });
    Ok(names.iter().map(|name| dir.join(name)).collect())
}

pub(super) fn remove_all(disk: &dyn Disk, paths: &[PathBuf]) -> Result<(), OpenError> {
    let mut removed = paths.iter().map(|path| (path, disk.remove(path)));
    removed.try_for_each(|(path, removed)| removed.map_err(disk_error("removing", path)))
}

/// Cuts sealed files to their recorded length and removes files that the manifest does not list.
pub(super) fn remove_strays(
    disk: &dyn Disk,
    dir: &Path,
    manifest: &Manifest,
) -> Result<(), OpenError> {
    for line in &manifest.segments {
        let path = dir.join(segment::segment_name(line.sequence));
        cut_to_end(disk, &path, line).map_err(disk_error("cutting", &path))?;
    }
    for retired in &manifest.retired {
        // So that they take as much space as retention assumes. A start succeeds without it.
        if let RetiredFile::Segment(line) = &retired.file {
            let _ = cut_to_end(disk, &dir.join(retired.file.name()), line);
        }
    }
    remove_all(disk, &strays(disk, dir, manifest).map_err(disk_error("listing", dir))?)
}

/// Cuts off the bytes after a sealed segment's end.
fn cut_to_end(disk: &dyn Disk, path: &Path, line: &SegmentLine) -> io::Result<()> {
    let Some(end) = line.end else { return Ok(()) };
    let file = disk.open(path)?;
    if file.len()? > end.bytes {
        file.set_len(end.bytes)?;
    }
    Ok(())
}

/// A sequence above those of all files in `dir`.
pub(super) fn next_sequence(disk: &dyn Disk, dir: &Path) -> io::Result<u64> {
    let names = disk.list(dir)?;
    let taken = names.iter().filter_map(|name| segment::parse_name(name)).map(|(_, s)| s);
    Ok(taken.max().map_or(1, |last| last + 1))
}
