//! The file operations that the log and snapshots need.
//!
//! Two implementations: [`RealDisk`] uses the operating system; [`SimDisk`] lives in memory, and a
//! simulated crash loses, tears and reorders whatever was not synced. Everything written to disk
//! goes through this trait, so all of it can be tested against such crashes.

mod real;
pub mod sim;

pub use real::{RealDisk, set_umask};
pub use sim::SimDisk;

use std::io;
use std::path::Path;
use std::sync::Arc;

/// A file system. Paths are used as given.
pub trait Disk: Send + Sync {
    /// Creates a file, or empties an existing one. Its name is durable after [`Disk::sync_dir`].
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens an existing file for reading only: it may be one that this process must not write.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens an existing file for reading only, and prevents recycling it while it is open. The
    /// error is of kind `WouldBlock` or `NotFound` if it is being recycled.
    fn hold(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Gives a file a second name. Durable after [`Disk::sync_dir`].
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames a file in order to overwrite it. The error is of kind `WouldBlock` if a process
    /// holds the file, or if the file has a second name.
    fn recycle(&self, from: &Path, to: &Path) -> io::Result<Arc<dyn File>>;

    /// Renames a file and replaces the one that had the new name. Durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name. Durable after [`Disk::sync_dir`].
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Creates a directory unless it exists, and makes its name durable in either case, as far as
    /// permissions allow.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks the file at `path` for this process and writes `content` into it. The error is of kind
    /// `WouldBlock` if another process holds it.
    fn lock(&self, path: &Path, content: &str) -> io::Result<Box<dyn Lock>>;

    /// Whether some process holds the lock file at `path`.
    fn is_locked(&self, path: &Path) -> io::Result<bool>;

    /// Free bytes of the file system of `dir`; `u64::MAX` if it does not report them. Less may fit:
    /// other processes take space, and quotas are not included.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// An open file. Reads and writes take their position; there is no cursor.
pub trait File: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// When the file's bytes last changed, in ns of Unix time.
    fn modified_ns(&self) -> io::Result<i64>;

    /// Reads up to `buffer.len()` bytes; 0 only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reserves space so that writes below `len` cannot fail for lack of it. The file becomes at
    /// least that long; new bytes are zero.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes everything written so far durable, the length included (`fdatasync`). After an error
    /// the state of everything written since the last success is unknown, and a second call proves
    /// nothing.
    fn sync(&self) -> io::Result<()>;

    /// Reads exactly `buffer.len()` bytes; an `UnexpectedEof` error if the file ends before.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A held lock file; dropping it releases the lock.
pub trait Lock: Send + Sync {
    /// Replaces the lock file's content.
    fn set_content(&self, content: &str) -> io::Result<()>;

    /// The file's content before it was locked: empty after a clean close.
    fn previous_content(&self) -> &str;
}

/// Reads a whole file of at most `bytes_max` bytes.
///
/// # Errors
/// Those of the disk, and `InvalidData` if the file is longer.
pub fn read_all(file: &dyn File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let len = file.len()?;
    if len > bytes_max {
        let text = format!("{len} bytes, more than the limit of {bytes_max}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
