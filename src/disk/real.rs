//! The operating system's files.

use super::{Disk, File, Lock};
use rustix::fs::{FallocateFlags, FlockOperation};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// [`RealDisk::is_locked`] takes a lock for a moment: how long that may take, and how many such
/// checks in a row are waited for.
const LOOK_TIME: Duration = Duration::from_millis(5);
const LOOKS_MAX: usize = 10;

/// The mode bits removed from new files and directories.
static UMASK: AtomicU32 = AtomicU32::new(0o077);

/// Sets the permissions of files and directories created from now on: 0666 and 0777 without the
/// bits of `mask`. The process's own umask has no effect.
pub fn set_umask(mask: u32) {
    UMASK.store(mask & 0o077, Ordering::Relaxed);
}

/// Extends the permissions of a new file or directory, which only its owner may use, to those
/// configured.
fn open_to_others(path: &Path, all: u32) -> io::Result<()> {
    match UMASK.load(Ordering::Relaxed) {
        0o077 => Ok(()),
        mask => fs::set_permissions(path, fs::Permissions::from_mode(all & !mask)),
    }
}

/// The operating system's files. New ones are accessible to their owner only; see [`set_umask`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(path)?;
        open_to_others(path, 0o666)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(RealFile(fs::OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(RealFile(fs::File::open(path)?)))
    }

    fn hold(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::File::open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            // A file system without such locks has no recycling either.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
        // It may have been renamed between the two calls, and be overwritten soon.
        let (held, named) = (file.metadata()?, fs::metadata(path)?);
        if (held.dev(), held.ino()) != (named.dev(), named.ino()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Arc::new(RealFile(file)))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn recycle(&self, from: &Path, to: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).open(from)?;
        if file.metadata()?.nlink() > 1 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        fs::rename(from, to)?;
        rustix::fs::flock(&file, FlockOperation::Unlock)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            // The log has no names that are not UTF-8.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => open_to_others(dir, 0o777)?,
        }
        // The process that created an existing directory may have been killed before its name was
        // durable. A parent that cannot be opened for lack of permission cannot be synced; the
        // start goes on.
        let Ok(parent) = fs::File::open(dir.join("..")) else { return Ok(()) };
        match parent.sync_all() {
            // A read-only file system with another one mounted in it has nothing to sync.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            other => other,
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path, content: &str) -> io::Result<Box<dyn Lock>> {
        let is_new = !path.exists();
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        if is_new {
            open_to_others(path, 0o666)?;
        }
        lock_exclusively(&file)?;
        // Lock the directory, too: the lock file of a running server may be removed.
        let dir = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => fs::File::open(parent)?,
            _ => fs::File::open(".")?,
        };
        lock_exclusively(&dir)?;
        // A lock file holds a process id; anything longer is ignored.
        let mut previous = [0; 64];
        let len = file.read_at(&mut previous, 0)?;
        let previous = String::from_utf8_lossy(&previous[..len]).into_owned();
        let lock = RealLock { file, _dir: dir, previous };
        match lock.set_content(content) {
            // The content is informational.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            other => other?,
        }
        Ok(Box::new(lock))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        // The directory, too, as in `lock`.
        let dir = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        for path in [path, dir] {
            let file = match fs::File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            // The lock is released at once, with the descriptor.
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        // A file system without a size reports nothing.
        let counts = stat.f_blocks > 0;
        Ok(if counts { stat.f_bavail.saturating_mul(stat.f_frsize) } else { u64::MAX })
    }
}

/// Takes an exclusive lock. Retries for a moment, because `is_locked` of another process may hold
/// it.
fn lock_exclusively(file: &fs::File) -> io::Result<()> {
    for _ in 0..LOOKS_MAX {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOOK_TIME),
            other => return Ok(other?),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

struct RealFile(fs::File);

impl File for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn modified_ns(&self) -> io::Result<i64> {
        let metadata = self.0.metadata()?;
        Ok(metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            // Without the call, space is reserved by writing; the caller writes zeros anyway.
            Err(rustix::io::Errno::OPNOTSUPP) => {
                if self.len()? < len {
                    self.set_len(len)?;
                }
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        // Not repeated on EINTR: a retry of a failed sync proves nothing.
        self.0.sync_data()
    }
}

struct RealLock {
    file: fs::File,
    /// Keeps the directory locked.
    _dir: fs::File,
    previous: String,
}

impl Lock for RealLock {
    fn set_content(&self, content: &str) -> io::Result<()> {
        // In this order the content fits on a full disk, too.
        self.file.write_all_at(content.as_bytes(), 0)?;
        self.file.set_len(content.len() as u64)
    }

    fn previous_content(&self) -> &str {
        &self.previous
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = RealDisk.create(&path).unwrap();
        file.allocate(8192).unwrap();
        file.write_at(b"hello", 4096).unwrap();
        file.sync().unwrap();
        assert_eq!(file.len().unwrap(), 8192);
        let before = file.modified_ns().unwrap();
        RealDisk.rename(&path, &dir.path().join("b")).unwrap();
        RealDisk.sync_dir(dir.path()).unwrap();
        assert_eq!(RealDisk.list(dir.path()).unwrap(), ["b"]);
        let mut bytes = [0; 5];
        let file = RealDisk.open_to_read(&dir.path().join("b")).unwrap();
        assert_eq!(file.modified_ns().unwrap(), before);
        assert!(file.write_at(b"x", 0).is_err());
        file.read_exact_at(&mut bytes, 4096).unwrap();
        assert_eq!(&bytes, b"hello");
        assert!(file.read_exact_at(&mut bytes, 8190).is_err());
    }

    #[test]
    fn a_held_file_is_not_recycled() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "old").unwrap();
        let held = RealDisk.hold(&a).unwrap();
        let refused = RealDisk.recycle(&a, &b).map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        // A file with a second name is not recycled either, as in a backup made of links.
        let copy = dir.path().join("copy");
        RealDisk.link(&a, &copy).unwrap();
        let refused = RealDisk.recycle(&a, &b).map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        fs::remove_file(&copy).unwrap();
        let recycled = RealDisk.recycle(&a, &b).unwrap();
        recycled.write_at(b"new", 0).unwrap();
        assert_eq!(RealDisk.list(dir.path()).unwrap(), ["b"]);
        // It can be held under its new name while it is overwritten.
        assert!(RealDisk.hold(&b).is_ok());
        assert!(RealDisk.hold(&a).is_err());
    }

    #[test]
    fn is_locked_does_not_change_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!RealDisk.is_locked(&path).unwrap());
        let lock = RealDisk.lock(&path, "1").unwrap();
        assert!(RealDisk.is_locked(&path).unwrap());
        // Also if the lock file was removed.
        fs::remove_file(&path).unwrap();
        assert!(RealDisk.is_locked(&path).unwrap());
        drop(lock);
        assert!(!RealDisk.is_locked(&path).unwrap());
    }

    #[test]
    fn a_lock_is_exclusive_and_keeps_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = RealDisk.lock(&path, "1").unwrap();
        assert_eq!(lock.previous_content(), "");
        let refused = RealDisk.lock(&path, "2").map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        assert_eq!(RealDisk.lock(&path, "2").unwrap().previous_content(), "1");
    }
}
