//! A disk in memory that crashes on demand.
//!
//! Every operation that changes the disk is counted and reported to an observer, so that a test can
//! take a [`Snapshot`] at each of them. A snapshot becomes a disk again in two ways: as after `kill
//! -9`, with everything written, though not durable; or as after a power cut, where a choice keeps
//! or loses each unsynced sector, length and name.

use super::{Disk, File, Lock};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The unit that a power cut keeps or loses.
pub const SECTOR_BYTES: usize = 512;

/// The unit in which snapshots share memory.
const BLOCK_BYTES: usize = 8192;

type Block = [u8; BLOCK_BYTES];

/// Bytes in blocks that clones share until one writes.
#[derive(Clone, Default)]
struct Blocks {
    blocks: Vec<Option<Arc<Block>>>,
    len: u64,
}

impl Blocks {
    fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let end = self.len.min(offset + buffer.len() as u64);
        let mut at = offset;
        while at < end {
            let (index, within) = (at as usize / BLOCK_BYTES, at as usize % BLOCK_BYTES);
            let count = (BLOCK_BYTES - within).min((end - at) as usize);
            let target = &mut buffer[(at - offset) as usize..][..count];
            match self.blocks.get(index).and_then(Option::as_ref) {
                Some(block) => target.copy_from_slice(&block[within..within + count]),
                None => target.fill(0),
            }
            at += count as u64;
        }
        end.saturating_sub(offset) as usize
    }

    fn write(&mut self, bytes: &[u8], offset: u64) {
        self.len = self.len.max(offset + bytes.len() as u64);
        let mut done = 0;
        while done < bytes.len() {
            let at = offset as usize + done;
            let (index, within) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
            let count = (BLOCK_BYTES - within).min(bytes.len() - done);
            if self.blocks.len() <= index {
                self.blocks.resize(index + 1, None);
            }
            let block = self.blocks[index].get_or_insert_with(|| Arc::new([0; BLOCK_BYTES]));
            Arc::make_mut(block)[within..within + count]
                .copy_from_slice(&bytes[done..done + count]);
            done += count;
        }
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            // Cut bytes must read as zero if the file grows again.
            let zeros = [0; BLOCK_BYTES];
            let edge = len.next_multiple_of(BLOCK_BYTES as u64).min(self.len);
            self.write(&zeros[..(edge - len) as usize], len);
            self.blocks.truncate((len as usize).div_ceil(BLOCK_BYTES));
        }
        self.len = len;
    }
}

/// One file's contents, as the page cache has them and as the medium has them.
#[derive(Clone, Default)]
struct Inode {
    cached: Blocks,
    durable: Blocks,
    /// Sectors in which the cache differs from the medium.
    unsynced: BTreeSet<u64>,
    /// Sectors that a failed sync marked clean: the next sync does not write them.
    forgotten: BTreeSet<u64>,
    allocated: u64,
    /// When the bytes last changed, as the number of that change.
    modified: i64,
}

impl Inode {
    fn write(&mut self, bytes: &[u8], offset: u64) {
        self.cached.write(bytes, offset);
        self.allocated = self.allocated.max(self.cached.len);
        if !bytes.is_empty() {
            let last = (offset + bytes.len() as u64 - 1) / SECTOR_BYTES as u64;
            for sector in offset / SECTOR_BYTES as u64..=last {
                self.unsynced.insert(sector);
                self.forgotten.remove(&sector);
            }
        }
    }

    fn persist(&mut self, sector: u64) {
        let mut bytes = [0; SECTOR_BYTES];
        let read = self.cached.read(&mut bytes, sector * SECTOR_BYTES as u64);
        let len = self.durable.len;
        self.durable.write(&bytes[..read], sector * SECTOR_BYTES as u64);
        self.durable.len = len.max(self.durable.len);
    }

    fn sync(&mut self) {
        for sector in std::mem::take(&mut self.unsynced) {
            self.persist(sector);
        }
        self.durable.set_len(self.cached.len);
    }

    /// The contents after a power cut; `keep` decides for each sector and for the length.
    fn cut(&self, keep: &mut dyn FnMut() -> bool) -> Inode {
        let mut left = self.clone();
        for sector in self.unsynced.union(&self.forgotten) {
            if keep() {
                left.persist(*sector);
            }
        }
        if self.cached.len == self.durable.len || keep() {
            left.durable.set_len(self.cached.len);
        } else {
            left.durable.set_len(self.durable.len);
        }
        Inode {
            cached: left.durable.clone(),
            allocated: left.durable.len,
            durable: left.durable,
            modified: self.modified,
            ..Inode::default()
        }
    }
}

type InodeId = u64;

#[derive(Clone, Default)]
struct State {
    inodes: BTreeMap<InodeId, Inode>,
    names: BTreeMap<PathBuf, InodeId>,
    durable_names: BTreeMap<PathBuf, InodeId>,
    /// The files that each name has had since its directory was last synced.
    unsynced_names: BTreeMap<PathBuf, Vec<Option<InodeId>>>,
    locked: BTreeSet<PathBuf>,
    lock_contents: BTreeMap<PathBuf, String>,
    next_inode: InodeId,
    /// Number of changes of files' bytes so far; serves as the time.
    changes: i64,
}

impl State {
    fn name(&mut self, path: &Path, inode: Option<InodeId>) {
        match inode {
            Some(inode) => self.names.insert(path.into(), inode),
            None => self.names.remove(path),
        };
        self.unsynced_names.entry(path.into()).or_default().push(inode);
    }

    /// Records a change of a file's bytes.
    fn modify(&mut self, inode: InodeId) -> &mut Inode {
        self.changes += 1;
        let found = self.inodes.get_mut(&inode).expect("an open file has an inode");
        found.modified = self.changes;
        found
    }

    fn used_bytes(&self) -> u64 {
        let linked: BTreeSet<_> = self.names.values().collect();
        self.inodes
            .iter()
            .filter(|(id, _)| linked.contains(id))
            .map(|(_, inode)| inode.allocated)
            .sum()
    }
}

/// An operation that changes the disk, for observers and faults.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Named after the operations.
pub enum Operation {
    Create(PathBuf),
    Write { path: PathBuf, offset: u64, len: usize },
    Allocate(PathBuf),
    SetLen(PathBuf),
    Sync(PathBuf),
    Link(PathBuf),
    Rename(PathBuf),
    Remove(PathBuf),
    SyncDir,
}

type Observer = Box<dyn FnMut(&Operation, &SimDisk) + Send>;
type Fault = Box<dyn FnMut(&Operation) -> Option<io::Error> + Send>;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    observer: Mutex<Option<Observer>>,
    fault: Mutex<Option<Fault>>,
    quota_bytes: Mutex<Option<u64>>,
    operations: Mutex<u64>,
}

/// A disk in memory; see the module's documentation. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Shared>);

/// Everything a disk holds at one moment. Cheap to take and to clone: contents are shared.
#[derive(Clone)]
pub struct Snapshot(State);

impl Snapshot {
    /// The disk after a kill of the process: everything written is there, and nothing became
    /// durable.
    pub fn after_kill(&self) -> SimDisk {
        let mut state = self.0.clone();
        state.locked.clear();
        SimDisk::with(state)
    }

    /// The disk after a power cut. `keep` is asked for every unsynced sector, length and name.
    pub fn after_power_cut(&self, mut keep: impl FnMut() -> bool) -> SimDisk {
        let mut names = self.0.durable_names.clone();
        for (path, versions) in &self.0.unsynced_names {
            // The name may have any file that it has had since the last sync of its directory.
            for version in versions {
                if keep() {
                    match version {
                        Some(inode) => names.insert(path.clone(), *inode),
                        None => names.remove(path),
                    };
                }
            }
        }
        let linked: BTreeSet<InodeId> = names.values().copied().collect();
        let inodes = self
            .0
            .inodes
            .iter()
            .filter(|(id, _)| linked.contains(id))
            .map(|(id, inode)| (*id, inode.cut(&mut keep)))
            .collect();
        SimDisk::with(State {
            inodes,
            durable_names: names.clone(),
            names,
            lock_contents: self.0.lock_contents.clone(),
            next_inode: self.0.next_inode,
            changes: self.0.changes,
            ..State::default()
        })
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn with(state: State) -> Self {
        Self(Arc::new(Shared { state: Mutex::new(state), ..Shared::default() }))
    }

    /// A snapshot of the disk.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.state.lock().clone())
    }

    /// Calls `observer` after every operation that changed the disk, with the disk at that time.
    pub fn observe(&self, observer: impl FnMut(&Operation, &SimDisk) + Send + 'static) {
        *self.0.observer.lock() = Some(Box::new(observer));
    }

    /// Calls `fault` before every operation; an error makes it fail. A sync that fails leaves its
    /// sectors marked clean, as Linux does; a write that fails has written half of its bytes.
    pub fn inject(&self, fault: impl FnMut(&Operation) -> Option<io::Error> + Send + 'static) {
        *self.0.fault.lock() = Some(Box::new(fault));
    }

    /// Limits the total size of all files.
    pub fn set_quota(&self, bytes: Option<u64>) {
        *self.0.quota_bytes.lock() = bytes;
    }

    /// Writes some unsynced sectors, as the kernel may at any time; `choose` decides for each. A
    /// later power cut can then leave sectors of different ages.
    pub fn write_back(&self, mut choose: impl FnMut() -> bool) {
        for inode in self.0.state.lock().inodes.values_mut() {
            let chosen: Vec<u64> = inode.unsynced.iter().copied().filter(|_| choose()).collect();
            for sector in chosen {
                inode.persist(sector);
                inode.unsynced.remove(&sector);
            }
        }
    }

    /// Total size of all files.
    pub fn used_bytes(&self) -> u64 {
        self.0.state.lock().used_bytes()
    }

    /// Number of operations that have changed the disk.
    pub fn operations(&self) -> u64 {
        *self.0.operations.lock()
    }

    /// A file's current bytes, for a test to inspect or damage.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.0.state.lock();
        let inode = &state.inodes[state.names.get(path)?];
        let mut bytes = vec![0; inode.cached.len as usize];
        inode.cached.read(&mut bytes, 0);
        Some(bytes)
    }

    /// Creates a file that is durable at once, without a call of observers.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.0.state.lock();
        let id = state.next_inode;
        state.next_inode += 1;
        let mut inode = Inode::default();
        inode.write(bytes, 0);
        inode.sync();
        state.inodes.insert(id, inode);
        state.modify(id);
        state.names.insert(path.into(), id);
        state.durable_names.insert(path.into(), id);
        state.unsynced_names.remove(path);
    }

    /// Runs one operation: asks for a fault, changes the state, calls the observer.
    fn operate<T>(
        &self,
        operation: Operation,
        change: impl FnOnce(&mut State, Option<u64>) -> io::Result<T>,
    ) -> io::Result<T> {
        let injected = self.0.fault.lock().as_mut().and_then(|fault| fault(&operation));
        if let Some(error) = injected {
            if let Operation::Sync(path) = &operation {
                let mut state = self.0.state.lock();
                if let Some(id) = state.names.get(path).copied()
                    && let Some(inode) = state.inodes.get_mut(&id)
                {
                    let unsynced = std::mem::take(&mut inode.unsynced);
                    inode.forgotten.extend(unsynced);
                }
            }
            return Err(error);
        }
        let quota = *self.0.quota_bytes.lock();
        let result = change(&mut self.0.state.lock(), quota)?;
        *self.0.operations.lock() += 1;
        // Taken out while it runs, so that it can use the disk itself.
        let observer = self.0.observer.lock().take();
        if let Some(mut observer) = observer {
            observer(&operation, self);
            self.0.observer.lock().get_or_insert(observer);
        }
        Ok(result)
    }

    fn file(&self, path: &Path, inode: InodeId) -> Arc<dyn File> {
        Arc::new(SimFile { disk: self.clone(), path: path.into(), inode })
    }
}

fn no_space() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())
}

fn check_quota(state: &State, quota: Option<u64>, more: u64) -> io::Result<()> {
    match quota {
        Some(quota) if more > 0 && state.used_bytes() + more > quota => Err(no_space()),
        _ => Ok(()),
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let inode = self.operate(Operation::Create(path.into()), |state, quota| {
            check_quota(state, quota, 1)?;
            let id = state.next_inode;
            state.next_inode += 1;
            state.inodes.insert(id, Inode::default());
            state.name(path, Some(id));
            Ok(id)
        })?;
        Ok(self.file(path, inode))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let state = self.0.state.lock();
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        drop(state);
        Ok(self.file(path, inode))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path)
    }

    fn hold(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(Operation::Link(to.into()), |state, _| {
            let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
            state.name(to, Some(inode));
            Ok(())
        })
    }

    fn recycle(&self, from: &Path, to: &Path) -> io::Result<Arc<dyn File>> {
        let state = self.0.state.lock();
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        if state.names.values().filter(|other| **other == inode).count() > 1 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        drop(state);
        self.rename(from, to)?;
        self.open(to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(Operation::Rename(to.into()), |state, _| {
            let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
            state.name(to, Some(inode));
            state.name(from, None);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.operate(Operation::Remove(path.into()), |state, _| {
            if !state.names.contains_key(path) {
                return Err(io::ErrorKind::NotFound.into());
            }
            state.name(path, None);
            Ok(())
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.0.state.lock();
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.operate(Operation::SyncDir, |state, _| {
            let unsynced = std::mem::take(&mut state.unsynced_names);
            for (path, versions) in unsynced {
                if path.parent() != Some(dir) {
                    state.unsynced_names.insert(path, versions);
                    continue;
                }
                match state.names.get(&path).copied() {
                    Some(inode) => state.durable_names.insert(path, inode),
                    None => state.durable_names.remove(&path),
                };
            }
            Ok(())
        })
    }

    fn lock(&self, path: &Path, content: &str) -> io::Result<Box<dyn Lock>> {
        let mut state = self.0.state.lock();
        if !state.locked.insert(path.into()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let previous = state.lock_contents.insert(path.into(), content.into()).unwrap_or_default();
        Ok(Box::new(SimLock { disk: self.clone(), path: path.into(), previous }))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        Ok(self.0.state.lock().locked.contains(path))
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let quota = *self.0.quota_bytes.lock();
        Ok(quota.map_or(u64::MAX, |quota| quota.saturating_sub(self.used_bytes())))
    }
}

struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: InodeId,
}

impl SimFile {
    fn change<T>(
        &self,
        operation: Operation,
        change: impl FnOnce(&mut Inode) -> T,
        more: impl FnOnce(&Inode) -> u64,
    ) -> io::Result<T> {
        let writes = matches!(operation, Operation::Write { .. } | Operation::SetLen(_));
        self.disk.operate(operation, |state, quota| {
            check_quota(state, quota, more(&state.inodes[&self.inode]))?;
            if writes {
                return Ok(change(state.modify(self.inode)));
            }
            Ok(change(state.inodes.get_mut(&self.inode).expect("an open file has an inode")))
        })
    }
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.state.lock().inodes[&self.inode].cached.len)
    }

    fn modified_ns(&self) -> io::Result<i64> {
        Ok(self.disk.0.state.lock().inodes[&self.inode].modified)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(self.disk.0.state.lock().inodes[&self.inode].cached.read(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let operation = Operation::Write { path: self.path.clone(), offset, len: bytes.len() };
        let end = offset + bytes.len() as u64;
        let written = self.change(
            operation,
            |inode| inode.write(bytes, offset),
            |inode| end.saturating_sub(inode.allocated),
        );
        if written.is_err() {
            let mut state = self.disk.0.state.lock();
            let inode = state.inodes.get_mut(&self.inode).expect("an open file has an inode");
            let half = &bytes[..bytes.len() / 2];
            if offset + half.len() as u64 <= inode.allocated {
                inode.write(half, offset);
            }
        }
        written
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.change(
            Operation::Allocate(self.path.clone()),
            |inode| {
                inode.allocated = inode.allocated.max(len);
                inode.cached.len = inode.cached.len.max(len);
            },
            |inode| len.saturating_sub(inode.allocated),
        )
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(
            Operation::SetLen(self.path.clone()),
            |inode| {
                inode.cached.set_len(len);
                inode.allocated = len;
                let beyond = len.div_ceil(SECTOR_BYTES as u64);
                inode.unsynced.retain(|sector| *sector < beyond);
                inode.forgotten.retain(|sector| *sector < beyond);
            },
            |_| 0,
        )
    }

    fn sync(&self) -> io::Result<()> {
        self.change(Operation::Sync(self.path.clone()), Inode::sync, |_| 0)
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    previous: String,
}

impl Lock for SimLock {
    fn set_content(&self, content: &str) -> io::Result<()> {
        self.disk.0.state.lock().lock_contents.insert(self.path.clone(), content.into());
        Ok(())
    }

    fn previous_content(&self) -> &str {
        &self.previous
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.0.state.lock().locked.remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> &'static Path {
        Path::new("d/a")
    }

    #[test]
    fn a_power_cut_loses_unsynced_writes() {
        let disk = SimDisk::new();
        let file = disk.create(path()).unwrap();
        file.write_at(&[1; 1024], 0).unwrap();
        let unnamed = disk.snapshot().after_power_cut(|| false);
        assert_eq!(unnamed.contents(path()), None);

        file.sync().unwrap();
        disk.sync_dir(Path::new("d")).unwrap();
        file.write_at(&[2; 1024], 512).unwrap();
        let lost = disk.snapshot().after_power_cut(|| false).contents(path()).unwrap();
        assert_eq!(lost, [1; 1024]);
        let kept = disk.snapshot().after_power_cut(|| true).contents(path()).unwrap();
        assert_eq!((&kept[..512], &kept[512..]), (&[1; 512][..], &[2; 1024][..]));
        let mut turn = false;
        let torn = disk.snapshot().after_power_cut(|| {
            turn = !turn;
            turn
        });
        let torn = torn.contents(path()).unwrap();
        assert_eq!((torn[512], torn[1023]), (2, 2));
        assert!(torn.len() < 1536 || torn[1024] == 0 || torn[1024] == 2);
    }

    #[test]
    fn a_kill_loses_nothing_and_makes_nothing_durable() {
        let disk = SimDisk::new();
        let file = disk.create(path()).unwrap();
        file.write_at(b"x", 0).unwrap();
        let after = disk.snapshot().after_kill();
        assert_eq!(after.contents(path()).unwrap(), b"x");
        assert_eq!(after.snapshot().after_power_cut(|| false).contents(path()), None);
    }

    #[test]
    fn a_failed_sync_forgets() {
        let disk = SimDisk::new();
        let file = disk.create(path()).unwrap();
        disk.sync_dir(Path::new("d")).unwrap();
        file.write_at(&[1; 512], 0).unwrap();
        let mut failures = 1;
        disk.inject(move |operation| {
            let fails = matches!(operation, Operation::Sync(_)) && failures > 0;
            failures -= i32::from(fails);
            fails.then(|| io::Error::other("injected"))
        });
        assert!(file.sync().is_err());
        file.sync().unwrap();
        let after = disk.snapshot().after_power_cut(|| false).contents(path()).unwrap();
        assert_eq!(after, [0; 512], "the second sync must not have written what the first lost");
    }

    #[test]
    fn the_kernel_may_write_before_a_sync() {
        let disk = SimDisk::new();
        let file = disk.create(path()).unwrap();
        file.allocate(1024).unwrap();
        file.sync().unwrap();
        disk.sync_dir(Path::new("d")).unwrap();
        file.write_at(&[1; 1024], 0).unwrap();
        let mut turn = false;
        disk.write_back(|| {
            turn = !turn;
            turn
        });
        file.write_at(&[2; 1024], 0).unwrap();
        let left = disk.snapshot().after_power_cut(|| false).contents(path()).unwrap();
        assert_eq!((left[0], left[512]), (1, 0), "the old bytes of a rewritten sector");
    }

    #[test]
    fn a_failed_write_may_be_partial() {
        let disk = SimDisk::new();
        let file = disk.create(path()).unwrap();
        file.allocate(8).unwrap();
        disk.inject(|_| Some(io::Error::other("injected")));
        assert!(file.write_at(&[1; 8], 0).is_err());
        assert_eq!(disk.contents(path()).unwrap(), [1, 1, 1, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn the_quota_limits_and_recovers_space() {
        let disk = SimDisk::new();
        disk.set_quota(Some(4096));
        let file = disk.create(path()).unwrap();
        file.allocate(4096).unwrap();
        file.write_at(&[1; 4096], 0).unwrap();
        assert_eq!(file.write_at(&[1], 4096).unwrap_err().raw_os_error(), Some(28));
        file.set_len(100).unwrap();
        file.write_at(&[1; 3000], 100).unwrap();
    }
}
