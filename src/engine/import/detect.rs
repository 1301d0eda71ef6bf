//! Which files of a directory hold a Redis's data.

use super::manifest;
use super::report::{FileTime, ImportError, disk_error};
use crate::disk::{self, Disk, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a Redis keeps its data, as its directives say.
#[derive(Clone, Debug)]
pub struct Names {
    /// `dir`.
    pub dir: PathBuf,
    /// `dbfilename`.
    pub rdb: String,
    /// `appendfilename`.
    pub aof: String,
    /// `appenddirname`.
    pub aof_dir: String,
}

/// The files that hold the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An RDB file.
    Rdb(PathBuf),
    /// The parts of an append-only file, in order. Each may begin with an RDB file.
    Aof(Vec<PathBuf>),
}

/// Finds the RDB file, whatever else there is.
///
/// # Errors
/// Those of the disk.
pub fn find_rdb(disk: &dyn Disk, names: &Names) -> Result<Option<PathBuf>, ImportError> {
    if names.rdb.is_empty() {
        return Ok(None);
    }
    let path = names.dir.join(&names.rdb);
    Ok(open(disk, &path)?.map(|_| path))
}

/// Finds the append-only file, whatever else there is.
///
/// # Errors
/// If its manifest cannot be read, if a file that it lists is missing, or if the disk fails.
pub fn find_aof(disk: &dyn Disk, names: &Names) -> Result<Option<Aof>, ImportError> {
    Aof::find(disk, names)
}

/// An append-only file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aof {
    /// What names it: the manifest, or the only file.
    pub path: PathBuf,
    /// Its parts, in order. Each may begin with an RDB file.
    pub parts: Vec<PathBuf>,
}

/// When the last of these files was changed.
pub(super) fn last_change(disk: &dyn Disk, paths: &[PathBuf]) -> Result<FileTime, ImportError> {
    let mut latest = FileTime(i64::MIN);
    for path in paths {
        let file = disk.open_to_read(path).map_err(disk_error("opening", path))?;
        let changed = file.modified_ns().map_err(disk_error("asking for the time of", path))?;
        latest = latest.max(FileTime(changed));
    }
    Ok(latest)
}

impl Aof {
    fn find(disk: &dyn Disk, names: &Names) -> Result<Option<Self>, ImportError> {
        let dir = names.dir.join(&names.aof_dir);
        let manifest_name = format!("{}.manifest", names.aof);
        let manifest_path = dir.join(&manifest_name);
        if let Some(file) = open(disk, &manifest_path)? {
            let found = Self::of_manifest(disk, names, &manifest_path, &*file)?;
            // An empty manifest beside a single file is that of a start which had not taken it over yet.
            if !found.parts.is_empty() {
                return Ok(Some(found));
            }
        }
        let path = names.dir.join(&names.aof);
        if open(disk, &path)?.is_some() {
            return Ok(Some(Self { parts: vec![path.clone()], path }));
        }
        let listed = match disk.list(&dir) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(disk_error("listing", &dir)(error)),
        };
        let is_part = |name: &String| {
            let rest = name.strip_prefix(&names.aof).and_then(|rest| rest.strip_prefix('.'));
            rest.is_some_and(|rest| rest.contains(".base.") || rest.contains(".incr."))
        };
        match listed.into_iter().find(is_part) {
            Some(file) if open(disk, &manifest_path)?.is_none() => {
                Err(ImportError::ManifestMissing { dir, file, manifest: manifest_name })
            }
            _ => Ok(None),
        }
    }

    fn of_manifest(
        disk: &dyn Disk,
        names: &Names,
        path: &Path,
        file: &dyn File,
    ) -> Result<Self, ImportError> {
        let dir = names.dir.join(&names.aof_dir);
        let text =
            disk::read_all(file, manifest::BYTES_MAX).map_err(disk_error("reading", path))?;
        let mut parts = Vec::new();
        for name in manifest::parse(path, &text)? {
            let inside = dir.join(&name);
            // An upgrade from a single file moves it in after it is listed.
            let outside = names.dir.join(&name);
            if open(disk, &inside)?.is_some() {
                parts.push(inside);
            } else if name == names.aof && open(disk, &outside)?.is_some() {
                parts.push(outside);
            } else {
                return Err(ImportError::FileMissing { path: inside, manifest: path.into() });
            }
        }
        Ok(Self { path: path.into(), parts })
    }
}

/// Opens a file if it is there.
fn open(disk: &dyn Disk, path: &Path) -> Result<Option<Arc<dyn File>>, ImportError> {
    match disk.open_to_read(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk_error("opening", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    fn names() -> Names {
        let name = |text: &str| text.to_owned();
        Names { dir: "d".into(), rdb: name("dump.rdb"), aof: name("a.aof"), aof_dir: name("adir") }
    }

    fn put(disk: &SimDisk, path: &str, text: &str) {
        disk.put(&Path::new("d").join(path), text.as_bytes());
    }

    fn found(disk: &SimDisk) -> Result<Vec<String>, String> {
        let aof = find_aof(disk, &names()).map_err(|error| error.to_string())?;
        let parts = aof.map(|aof| aof.parts).unwrap_or_default();
        Ok(parts.iter().map(|path| path.display().to_string()).collect())
    }

    const MANIFEST: &str =
        "file a.aof.1.base.rdb seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n";
    const PARTS: [&str; 2] = ["d/adir/a.aof.1.base.rdb", "d/adir/a.aof.1.incr.aof"];

    #[test]
    fn either_kind_of_file_is_found_whatever_else_there_is() {
        let disk = SimDisk::new();
        let rdb = || find_rdb(&disk, &names()).unwrap();
        assert_eq!((found(&disk).unwrap(), rdb()), (vec![], None));
        put(&disk, "dump.rdb", "");
        assert_eq!((found(&disk).unwrap(), rdb()), (vec![], Some("d/dump.rdb".into())));
        put(&disk, "a.aof", "");
        assert_eq!(found(&disk).unwrap(), ["d/a.aof"]);
        put(&disk, "adir/a.aof.manifest", MANIFEST);
        assert!(found(&disk).unwrap_err().contains("d/adir/a.aof.1.base.rdb is missing, but"));
        put(&disk, "adir/a.aof.1.base.rdb", "");
        put(&disk, "adir/a.aof.1.incr.aof", "");
        assert_eq!(found(&disk).unwrap(), PARTS);
        assert_eq!(rdb(), Some("d/dump.rdb".into()));
    }

    #[test]
    fn parts_without_a_manifest_are_refused() {
        let disk = SimDisk::new();
        put(&disk, "adir/a.aof.old", "");
        assert_eq!(found(&disk).unwrap(), [""; 0]);
        put(&disk, "adir/a.aof.7.incr.aof", "");
        let error = found(&disk).unwrap_err();
        assert!(error.contains("a.aof.7.incr.aof, but no manifest a.aof.manifest"), "{error}");
        // Unless there is a single file, which an upgrade has not moved yet.
        put(&disk, "a.aof", "");
        assert_eq!(found(&disk).unwrap(), ["d/a.aof"]);
    }

    #[test]
    fn a_single_file_is_found_in_every_state_of_an_upgrade() {
        let disk = SimDisk::new();
        put(&disk, "a.aof", "");
        put(&disk, "adir/a.aof.manifest", "file a.aof seq 1 type b\n");
        assert_eq!(found(&disk).unwrap(), ["d/a.aof"]);
        put(&disk, "adir/a.aof", "");
        assert_eq!(found(&disk).unwrap(), ["d/adir/a.aof"]);
    }
}
