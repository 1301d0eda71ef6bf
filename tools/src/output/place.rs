//! Directories that a server or a Redis is to start on.

use super::{Failure, Temporary, create_dir};
use mainstay::engine::{DIR_NAME, Engine};
use mainstay::log::Options;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory of a given name inside the output directory. It appears whole or not at all, and so
/// does the output directory if it did not exist.
pub struct Place {
    temporary: Temporary,
    path: PathBuf,
}

impl Place {
    /// The directory `name` in `dir`, or `dir` itself if that is its name.
    ///
    /// # Errors
    /// If there is something already, and those of the disk.
    pub fn new(dir: &Path, name: &str) -> Result<Self, Failure> {
        let is_inner = dir.file_name().is_some_and(|last| last == name);
        let target = if is_inner || !dir.exists() { dir.to_owned() } else { dir.join(name) };
        let temporary = Temporary::directory(&target)?;
        let path = if is_inner || target != dir {
            temporary.path().to_owned()
        } else {
            temporary.path().join(name)
        };
        if path != temporary.path() {
            create_dir(&path).map_err(Failure::doing("creating", path.display()))?;
        }
        Ok(Self { temporary, path })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts what was written, and synced, in its place.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn persist(self) -> Result<(), Failure> {
        for dir in [&*self.path, self.temporary.path()] {
            let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
            synced.map_err(Failure::doing("syncing", dir.display()))?;
        }
        self.temporary.persist()
    }
}

/// The default number of databases of a server (`databases`).
const SERVER_DATABASES: usize = 16;

/// A remark for users who start a server on the data in memory: the number of databases to
/// configure.
pub fn databases_needed(engine: &Engine) -> Option<String> {
    let guard = engine.lock();
    let used = guard.keyspace().databases().filter(|(_, database)| !database.is_empty());
    let needed = used.last().map_or(0, |(db, _)| db + 1);
    (needed > SERVER_DATABASES)
        .then(|| format!("to start on it, a server needs 'databases {needed}' or more"))
}

/// Writes what is in memory as a data set that a server starts on, in `dir` or the directory `mainstay` in it. Gives the number of
/// bytes.
///
/// # Errors
/// If there is something already, and those of the disk.
pub fn write_data_set(engine: &Engine, place: Place) -> Result<u64, Failure> {
    let mut guard = engine.lock();
    let log = guard.begin_log(place.path(), Options::default()).map_err(Failure::new)?;
    drop(guard);
    log.begin_close();
    log.close().map_err(Failure::doing("closing", place.path().display()))?;
    let mut bytes = 0;
    for entry in fs::read_dir(place.path())? {
        bytes += entry?.metadata()?.len();
    }
    place.persist()?;
    Ok(bytes)
}

/// The place of a data set: see [`Place::new`].
///
/// # Errors
/// As [`Place::new`].
pub fn data_set_in(dir: &Path) -> Result<Place, Failure> {
    Place::new(dir, DIR_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_and_nothing_in_it_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        fs::create_dir(home.join("there")).unwrap();
        for (dir, inner) in [("new", "new/x"), ("there", "there/x"), ("deep/x", "deep/x")] {
            fs::create_dir_all(home.join(dir).parent().unwrap()).unwrap();
            let place = Place::new(&home.join(dir), "x").unwrap();
            fs::write(place.path().join("file"), dir).unwrap();
            assert!(!home.join(inner).exists());
            place.persist().unwrap();
            assert_eq!(fs::read_to_string(home.join(inner).join("file")).unwrap(), dir);
            let refused = Place::new(&home.join(dir), "x").err().expect("it is not empty");
            assert!(format!("{refused:?}").contains("not empty"), "{refused:?}");
        }
        drop(Place::new(&home.join("given up"), "x").unwrap());
        let mut names: Vec<_> =
            fs::read_dir(home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["deep", "new", "there"]);
    }
}
