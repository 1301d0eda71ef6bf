//! Files and directories that are there whole or not at all.

use super::Failure;
use rustix::fs::{CWD, RenameFlags};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is to be removed when the process is interrupted.
static BEGUN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Whether an interrupt only asks for an end, and whether one has.
static DEFERRED: AtomicBool = AtomicBool::new(false);
static REQUESTED: AtomicBool = AtomicBool::new(false);

/// The exit code of a process that was interrupted, as shells have it: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// From now on an interrupt (SIGINT, SIGTERM, SIGHUP) removes what is not whole and ends the process.
pub fn clean_up_when_interrupted() {
    let set = ctrlc::set_handler(|| {
        if DEFERRED.load(Ordering::SeqCst) {
            REQUESTED.store(true, Ordering::SeqCst);
        } else {
            end();
        }
    });
    // Without a handler an interrupt leaves files behind that are named as temporary ones.
    debug_assert!(set.is_ok());
}

/// Removes what is not whole, and ends the process.
fn end() -> ! {
    // Held until the end: nothing is begun or put in its place any more.
    let begun = BEGUN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    begun.iter().for_each(|path| remove(path));
    std::process::exit(INTERRUPTED);
}

/// As long as this is there, an interrupt does not end the process but asks for it: what is being done to a data set is to be
/// given up in order. Dropped after that, it ends the process.
pub struct Deferred(());

impl Deferred {
    /// Begins to defer interrupts; one at a time.
    pub fn begin() -> Self {
        DEFERRED.store(true, Ordering::SeqCst);
        Self(())
    }

    /// Ends that. What was being done is done, so an interrupt that came meanwhile came too late.
    pub fn done(self) {
        REQUESTED.store(false, Ordering::SeqCst);
    }

    /// Whether somebody wants this to end.
    pub fn requested(&self) -> bool {
        REQUESTED.load(Ordering::SeqCst)
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        DEFERRED.store(false, Ordering::SeqCst);
        if self.requested() {
            end();
        }
    }
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

    /// Puts what was written, and synced, in the place of a directory that is there and is kept as `kept`. At no moment
    /// is there nothing in its place.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn exchange(mut self, kept: &Path) -> Result<(), Failure> {
        // Held until the end: an interrupt must not remove what has changed places.
        let mut begun = BEGUN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (path, target) = (std::mem::take(&mut self.path), self.target.clone());
        let exchanged = rustix::fs::renameat_with(CWD, &path, CWD, &target, RenameFlags::EXCHANGE);
        if let Err(error) = exchanged {
            drop(begun);
            // It is removed as what is not whole.
            self.path = path;
            return Err(Failure::doing("replacing", target.display())(error.into()));
        }
        begun.retain(|other| *other != path);
        fs::rename(&path, kept).map_err(Failure::doing("renaming to", kept.display()))?;
        sync_parent(&target)
    }

    /// Puts what was written, and synced, in its place: a file that is there is replaced, and so is an empty directory.
    ///
    /// # Errors
    /// Those of the disk. What was in its place is still there then.
    pub fn persist(self) -> Result<(), Failure> {
        let begun = BEGUN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let renamed = fs::rename(&self.path, &self.target);
        renamed.map_err(Failure::doing("renaming to", self.target.display()))?;
        let synced = sync_parent(&self.target);
        drop(begun);
        synced
    }
}

/// Makes the name of a file durable.
fn sync_parent(path: &Path) -> Result<(), Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let synced = fs::File::open(parent).and_then(|dir| dir.sync_all());
    synced.map_err(Failure::doing("syncing", parent.display()))
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let mut begun = BEGUN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        begun.retain(|path| *path != self.path);
        // After `persist` there is nothing of this name, and after `exchange` no name.
        if !self.path.as_os_str().is_empty() {
            remove(&self.path);
        }
    }
}
