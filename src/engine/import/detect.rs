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

/// Finds the data that a Redis with an append-only file would load, or its RDB file where there is no
/// append-only file.
///
/// # Errors
/// If there are both and the RDB file is the newer one, if the manifest cannot be used or lists what is not there,
/// and those of the disk.
pub fn find(disk: &dyn Disk, names: &Names) -> Result<Option<Source>, ImportError> {
    let rdb = find_rdb(disk, names)?;
    let Some(aof) = Aof::find(disk, names)? else { return Ok(rdb) };
    if let Some(Source::Rdb(rdb)) = rdb
        && let Some(file) = open(disk, &rdb)?
    {
        let rdb_time = time(&*file, &rdb)?;
        if rdb_time > aof.time {
            let (aof, aof_time) = (aof.path, aof.time);
            return Err(ImportError::NewerRdb { aof, aof_time, rdb, rdb_time });
        }
    }
    Ok(Some(Source::Aof(aof.parts)))
}

/// Finds the RDB file, whatever else there is.
///
/// # Errors
/// Those of the disk.
pub fn find_rdb(disk: &dyn Disk, names: &Names) -> Result<Option<Source>, ImportError> {
    if names.rdb.is_empty() {
        return Ok(None);
    }
    let path = names.dir.join(&names.rdb);
    Ok(open(disk, &path)?.map(|_| Source::Rdb(path)))
}

/// An append-only file that was found.
struct Aof {
    /// What names it: the manifest, or the only file.
    path: PathBuf,
    parts: Vec<PathBuf>,
    /// When one of them was last changed.
    time: FileTime,
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
        if let Some(file) = open(disk, &path)? {
            let time = time(&*file, &path)?;
            return Ok(Some(Self { parts: vec![path.clone()], path, time }));
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
        let (mut parts, mut latest) = (Vec::new(), time(file, path)?);
        for name in manifest::parse(path, &text)? {
            let inside = dir.join(&name);
            // An upgrade from a single file moves it in after it is listed.
            let outside = names.dir.join(&name);
            let found = match open(disk, &inside)? {
                Some(file) => Some((inside.clone(), file)),
                None if name == names.aof => open(disk, &outside)?.map(|file| (outside, file)),
                None => None,
            };
            let Some((part, file)) = found else {
                return Err(ImportError::FileMissing { path: inside, manifest: path.into() });
            };
            latest = latest.max(time(&*file, &part)?);
            parts.push(part);
        }
        Ok(Self { path: path.into(), parts, time: latest })
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

fn time(file: &dyn File, path: &Path) -> Result<FileTime, ImportError> {
    file.modified_ns().map(FileTime).map_err(disk_error("asking for the time of", path))
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
        let shown = |paths: Vec<PathBuf>| {
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        match find(disk, &names()) {
            Ok(None) => Ok(vec![]),
            Ok(Some(Source::Rdb(path))) => Ok(shown(vec![path])),
            Ok(Some(Source::Aof(paths))) => Ok(shown(paths)),
            Err(error) => Err(error.to_string()),
        }
    }

    const MANIFEST: &str =
        "file a.aof.1.base.rdb seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n";
    const PARTS: [&str; 2] = ["d/adir/a.aof.1.base.rdb", "d/adir/a.aof.1.incr.aof"];

    #[test]
    fn an_append_only_file_comes_before_an_older_rdb_file() {
        let disk = SimDisk::new();
        assert_eq!(found(&disk).unwrap(), [""; 0]);
        put(&disk, "dump.rdb", "");
        assert_eq!(found(&disk).unwrap(), ["d/dump.rdb"]);
        put(&disk, "a.aof", "");
        assert_eq!(found(&disk).unwrap(), ["d/a.aof"]);
        put(&disk, "adir/a.aof.manifest", MANIFEST);
        assert!(found(&disk).unwrap_err().contains("d/adir/a.aof.1.base.rdb is missing, but"));
        put(&disk, "adir/a.aof.1.base.rdb", "");
        put(&disk, "adir/a.aof.1.incr.aof", "");
        assert_eq!(found(&disk).unwrap(), PARTS);
        put(&disk, "dump.rdb", "");
        let error = found(&disk).unwrap_err();
        assert!(error.contains("d/adir/a.aof.manifest (last changed 1970"), "{error}");
        assert!(error.contains("d/dump.rdb (last changed 1970"), "{error}");
        put(&disk, "adir/a.aof.1.incr.aof", "x");
        assert_eq!(found(&disk).unwrap(), PARTS);
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
