//! Files and directories that are there whole or not at all.

use super::Failure;
use mainstay::log::manifest;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

/// What is to be removed when the process is interrupted.
static BEGUN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Whether an interrupt only asks for an end, and whether one has.
static DEFERRED: AtomicBool = AtomicBool::new(false);
static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Where the standard input was copied to, and the last part of that.
static PIPED: OnceLock<[String; 2]> = OnceLock::new();

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

    /// Whether an interrupt has asked the process to end.
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
    /// A file that is there by then stays.
    keeps: bool,
}

impl Temporary {
    /// One that becomes `target`. Nothing is created, and nothing is asked about what is there.
    ///
    /// # Errors
    /// If `target` has no name.
    pub fn beside(target: &Path) -> Result<Self, Failure> {
        Self::begin(target, |_| Ok(())).map(|(temporary, ())| temporary)
    }

    /// One that becomes `target`, a file, and that file to write to. A file that is there is only
    /// replaced with `force`. Symbolic links are followed: what they lead to is replaced, and it
    /// keeps its mode.
    ///
    /// # Errors
    /// If there is a file and `force` is not given, or something else than a regular file, or the
    /// directory is one of a data set's; those of the disk.
    pub fn file(target: &Path, force: bool) -> Result<(Self, File), Failure> {
        let there = there(target)?;
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            return Err(Failure::new(format_args!(
                "{} is no regular file: nothing is changed (`-` is the standard output)",
                target.display()
            )));
        }
        let place = place(target, there.is_some())?;
        refuse_data_set(target, &place)?;
        let (mut temporary, file) = match there {
            Some(_) if !force => return Err(exists(target)),
            Some(there) => {
                // Not readable for others before it has the mode of what it replaces.
                let (temporary, file) = Self::begin(&place, |path| create_file(path, 0o600))?;
                let mode = Permissions::from_mode(there.permissions().mode() & 0o777);
                let path = temporary.path.display();
                file.set_permissions(mode).map_err(Failure::doing("setting the mode of", path))?;
                (temporary, file)
            }
            // Data are their owner's alone.
            None => Self::begin(&place, |path| create_file(path, 0o600))?,
        };
        temporary.keeps = !force;
        Ok((temporary, file))
    }

    /// A file with the standard input, for positioned reads, accessible to this process's user
    /// only. Messages name it `-`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn piped() -> Result<(Self, File), Failure> {
        let like = std::env::temp_dir().join("mainstay-tool-input");
        let (temporary, file) = Self::begin(&like, |path| create_file(path, 0o600))?;
        let name = temporary.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // There is one standard input; a second time it is empty.
        let _ = PIPED.set([temporary.path.display().to_string(), name]);
        Ok((temporary, file))
    }

    /// One that becomes `target`, a directory, and is created. Symbolic links are followed.
    ///
    /// # Errors
    /// If there is something else than an empty directory, or it lies in one of a data set's; those of the disk.
    pub fn directory(target: &Path) -> Result<Self, Failure> {
        let there = there(target)?;
        if there.as_ref().is_some_and(|there| !there.is_dir()) {
            let text = format!("{} is no directory: nothing is changed", target.display());
            return Err(Failure::new(text));
        }
        let place = place(target, there.is_some())?;
        refuse_data_set(target, &place)?;
        if there.is_some() {
            let listed = fs::read_dir(&place).map(|mut entries| entries.next().is_some());
            if listed.map_err(Failure::doing("listing", target.display()))? {
                let text = format!("{} is not empty: nothing is changed", target.display());
                return Err(Failure::new(text));
            }
        }
        let parent = parent(&place);
        fs::create_dir_all(parent).map_err(Failure::doing("creating", parent.display()))?;
        // Last, and without its parents: an existing one may have another owner.
        Self::begin(&place, create_dir).map(|(temporary, ())| temporary)
    }

    /// Finds a name and creates the file or directory. The name cannot be guessed, so that other
    /// users of the directory cannot create it first.
    fn begin<T>(
        target: &Path,
        create: impl FnOnce(&Path) -> io::Result<T>,
    ) -> Result<(Self, T), Failure> {
        let Some(name) = target.file_name() else {
            return Err(Failure::new(format_args!("{} is no name of a file", target.display())));
        };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        let random = mainstay::env::system_random()();
        hidden.push(format!(".{}-{random:016x}.tmp", std::process::id()));
        let path = target.with_file_name(hidden);
        // Held until it is noted, so that an interrupt finds it, and noted only if it is ours.
        let mut begun = BEGUN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let created = create(&path).map_err(Failure::doing("creating", path.display()))?;
        begun.push(path.clone());
        Ok((Self { path, target: target.into(), keeps: false }, created))
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
        fs::rename(&path, kept).map_err(|error| {
            Failure::new(format_args!(
                "{} was replaced, and what was there before is kept as {}: renaming it to {} failed: {error}",
                target.display(),
                path.display(),
                kept.display()
            ))
        })?;
        sync_parent(&target)
    }

    /// Puts what was written, and synced, in its place: a file that is there is replaced if that
    /// was asked for, and so is an empty directory.
    ///
    /// # Errors
    /// If there is a file by now that must not be replaced; those of the disk. What was in its
    /// place is still there then.
    pub fn persist(self) -> Result<(), Failure> {
        let begun = BEGUN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let renamed = match self.keeps {
            true => rename_to_new(&self.path, &self.target),
            false => fs::rename(&self.path, &self.target),
        };
        if let Err(error) = &renamed
            && self.keeps
            && error.kind() == io::ErrorKind::AlreadyExists
        {
            drop(begun);
            return Err(exists(&self.target));
        }
        renamed.map_err(Failure::doing("renaming to", self.target.display()))?;
        let synced = sync_parent(&self.target);
        drop(begun);
        synced
    }
}

/// What is there must not be replaced.
fn exists(target: &Path) -> Failure {
    let text = "exists: nothing is changed (--force replaces it)";
    Failure::new(format_args!("{} {text}", target.display()))
}

/// Renames a file, unless there is something of its new name.
fn rename_to_new(path: &Path, target: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, path, CWD, target, RenameFlags::NOREPLACE) {
        // The file system cannot rename like that, so what comes between these two steps is not
        // seen.
        Err(Errno::INVAL | Errno::NOSYS) if fs::symlink_metadata(target).is_err() => {
            fs::rename(path, target)
        }
        Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::AlreadyExists.into()),
        renamed => Ok(renamed?),
    }
}

/// Creates a directory for its owner alone.
pub fn create_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)
}

/// Creates a file that is not there yet.
pub fn create_file(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// What `target` leads to, if anything.
fn there(target: &Path) -> Result<Option<fs::Metadata>, Failure> {
    match fs::metadata(target) {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(target).is_ok() {
                let text = "is a symbolic link to nothing: nothing is changed";
                return Err(Failure::new(format_args!("{} {text}", target.display())));
            }
            Ok(None)
        }
        Err(error) => Err(Failure::doing("looking at", target.display())(error)),
    }
}

/// The name that is to be given: that of what is there, not of a symbolic link to it.
fn place(target: &Path, is_there: bool) -> Result<PathBuf, Failure> {
    if !is_there {
        return Ok(target.to_owned());
    }
    fs::canonicalize(target).map_err(Failure::doing("looking at", target.display()))
}

/// The files of a data set's directory are a server's, and what it does not know there it does not expect.
fn refuse_data_set(target: &Path, place: &Path) -> Result<(), Failure> {
    let place = std::path::absolute(place).unwrap_or_else(|_| place.to_owned());
    let is_data_set = |dir: &&Path| {
        let path = dir.join(manifest::NAME);
        // Opening something else could wait for ever.
        let is_file = fs::metadata(&path).is_ok_and(|there| there.is_file());
        let mut magic = Vec::new();
        let file = is_file.then(|| File::open(&path)).and_then(Result::ok);
        let read = file.and_then(|file| file.take(32).read_to_end(&mut magic).ok());
        read.is_some() && magic.starts_with(b"mainstay-manifest")
    };
    match place.ancestors().skip(1).find(is_data_set) {
        Some(dir) => Err(Failure::new(format_args!(
            "{} lies in the data directory {}: nothing is changed",
            target.display(),
            dir.display()
        ))),
        None => Ok(()),
    }
}

/// A text as people see it: with `-` for the name of what the standard input was copied to, which is gone when they read it
/// and comes from code that knows only files. It is too random to be anything else by chance.
pub(super) fn with_names(text: String) -> String {
    let Some([path, name]) = PIPED.get().filter(|[_, name]| text.contains(name)) else {
        return text;
    };
    text.replace(path, "-").replace(name, "-")
}

/// The directory in which a name is.
pub(super) fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Makes the name of a file durable.
fn sync_parent(path: &Path) -> Result<(), Failure> {
    let parent = parent(path);
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
