//! Files and directories that are there whole or not at all.

use super::Failure;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What is to be removed when the process is interrupted.
static BEGUN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// The exit code of a process that was interrupted, as shells have it: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// From now on an interrupt (SIGINT, SIGTERM, SIGHUP) removes what is not whole and ends the process.
pub fn clean_up_when_interrupted() {
    let set = ctrlc::set_handler(|| {
        // Held until the end: nothing is begun or put in its place any more.
        let begun = BEGUN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        begun.iter().for_each(|path| remove(path));
        std::process::exit(INTERRUPTED);
    });
    // Without a handler an interrupt leaves files behind that are named as temporary ones.
    debug_assert!(set.is_ok());
}

fn remove(path: &Path) {
    // One that is not there is removed as well.
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

/// A file or directory under a name of its own, beside the one that it gets once it is whole. Dropped before, it is removed.
pub struct Temporary {
    path: PathBuf,
    target: PathBuf,
}

impl Temporary {
    /// One that becomes `target`. Nothing is created.
    ///
    /// # Errors
    /// If `target` has no name.
    pub fn beside(target: &Path) -> Result<Self, Failure> {
        let Some(name) = target.file_name() else {
            return Err(Failure::new(format_args!("{} is no name of a file", target.display())));
        };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.tmp", std::process::id()));
        let path = target.with_file_name(hidden);
        BEGUN.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(path.clone());
        Ok(Self { path, target: target.into() })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts what was written, and synced, in its place: a file that is there is replaced, and so is an empty directory.
    ///
    /// # Errors
    /// Those of the disk. What was in its place is still there then.
    pub fn persist(self) -> Result<(), Failure> {
        let begun = BEGUN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let renamed = fs::rename(&self.path, &self.target);
        renamed.map_err(Failure::doing("renaming to", self.target.display()))?;
        let parent = self.target.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let synced = fs::File::open(parent).and_then(|dir| dir.sync_all());
        drop(begun);
        synced.map_err(Failure::doing("syncing", parent.display()))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let mut begun = BEGUN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        begun.retain(|path| *path != self.path);
        // After `persist` there is nothing of this name.
        remove(&self.path);
    }
}
