//! Loading the RDB at the beginning of a base, block by block, on all cores; or only looking whether it could be.

use super::State;
use super::functions::Functions;
use super::progress::Progress;
use crate::data::Limits;
use crate::disk::File;
use crate::keyspace::EntryBox;
use crate::log::PreambleDamage;
use crate::log::segment::Preamble;
use crate::rdb::blocks::{Block, read_index};
use crate::rdb::file::{Decoding, HEADER_BYTES, Record, Version, decode_record};
use crate::rdb::{Dialect, Reader};
use crate::words::counted;
use std::io;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

/// Decoded blocks that wait for their place in the keyspace.
const DECODED_MAX: usize = 4;
/// The index and what follows it; more is not believed.
const TAIL_BYTES_MAX: u64 = 1 << 30;
/// A block is one record at least, and that is in memory whole; more is not believed.
const BLOCK_BYTES_MAX: u64 = 1 << 40;
/// A look whether a base can be loaded holds no more of it at once than this: of a block with a single record that is
/// longer, it only compares the checksum.
const CHECKED_BYTES_MAX: u64 = 2 << 20;
/// So many entries ahead the table is asked for the place of one.
const AHEAD: usize = 8;

/// What a block held.
struct Decoded {
    db: u32,
    entries: Vec<(u64, EntryBox)>,
    functions: Vec<Vec<u8>>,
    /// Where it lies, for errors.
    offset: u64,
}

/// What workers need to know.
struct Source<'a> {
    file: &'a dyn File,
    blocks: &'a [Block],
    end: u64,
    decoding: Decoding,
    access: u32,
    progress: &'a Progress,
    next: AtomicUsize,
    damage: Mutex<Option<PreambleDamage>>,
}

fn damage(offset: u64, reason: impl Into<String>) -> PreambleDamage {
    PreambleDamage { offset, reason: reason.into(), is_sound: false }
}

/// What is said of a database that there is no room for.
pub(super) fn beyond(db: u32) -> String {
    format!(
        "database {db} is beyond the configured number of them: 'databases' must be {} at least",
        u64::from(db) + 1
    )
}

fn unreadable(offset: u64) -> impl FnOnce(io::Error) -> PreambleDamage {
    move |error| damage(offset, format!("it cannot be read: {error}"))
}

fn read(file: &dyn File, range: Range<u64>, len_max: u64) -> Result<Vec<u8>, PreambleDamage> {
    let at = range.start;
    let len = range.end.checked_sub(at).filter(|&len| len <= len_max);
    let len = len.ok_or_else(|| damage(at, "a part of impossible length"))?;
    // Nothing is allocated that the file cannot hold.
    let file_len = file.len().map_err(unreadable(at))?;
    if range.end > file_len {
        return Err(damage(file_len, "the file is truncated"));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, at).map_err(unreadable(at))?;
    Ok(bytes)
}

impl<'a> Source<'a> {
    fn new(
        file: &'a dyn File,
        preamble: &Preamble,
        blocks: &'a [Block],
        access: u32,
        limits: Limits,
        progress: &'a Progress,
    ) -> Self {
        Self {
            file,
            blocks,
            end: preamble.index_offset,
            decoding: Decoding { dialect: Dialect::Redis, limits, skip_modules: false },
            access,
            progress,
            next: AtomicUsize::new(0),
            damage: Mutex::new(None),
        }
    }

    fn range(&self, index: usize) -> Range<u64> {
        let end = self.blocks.get(index + 1).map_or(self.end, |next| next.offset);
        self.blocks[index].offset..end
    }

    /// Reads and decodes block `index`.
    fn decode(&self, index: usize) -> Result<Decoded, PreambleDamage> {
        let (block, range) = (self.blocks[index], self.range(index));
        let offset = range.start;
        let bytes = read(self.file, range, BLOCK_BYTES_MAX)?;
        if !block.is_sound(&bytes) {
            return Err(mismatch(&block, offset, bytes.len() as u64));
        }
        let mut reader = Reader::new(&bytes);
        if index == 0 {
            check_head(reader.take(HEADER_BYTES).ok()).map_err(|reason| damage(offset, reason))?;
        }
        let mut decoded =
            Decoded { db: block.db, entries: Vec::new(), functions: Vec::new(), offset };
        while reader.left() > 0 {
            let at = offset + reader.offset() as u64;
            // Which key it is stays unsaid, as this ends up in the server's log.
            let record = decode_record(&mut reader, &self.decoding)
                .map_err(|refused| damage(at, refused.error.to_string()))?;
            match record {
                Record::Key(record) => {
                    let hash = self.decoding.limits.hasher.hash(&record.key);
                    let entry =
                        EntryBox::new(&record.key, record.value, record.expiry_ms, self.access);
                    decoded.entries.push((hash, entry));
                }
                Record::SelectDatabase(db) if db == block.db => {}
                Record::Aux { .. } | Record::ResizeDatabase { .. } => {}
                Record::Function(source) => decoded.functions.push(source.into_owned()),
                _ => return Err(damage(at, "a record that does not belong here")),
            }
        }
        if decoded.entries.len() != block.keys as usize {
            return Err(damage(offset, "a block with another number of keys than its index says"));
        }
        self.progress.advance(bytes.len() as u64);
        Ok(decoded)
    }

    /// Compares the checksum of block `index`, however long it is.
    fn sum(&self, index: usize, go_on: &mut dyn FnMut() -> bool) -> Result<(), PreambleDamage> {
        let (block, range) = (&self.blocks[index], self.range(index));
        let mut sum = Block::summing();
        let mut at = range.start;
        while at < range.end {
            ask(at, go_on)?;
            let end = range.end.min(at + CHECKED_BYTES_MAX);
            sum.update(&read(self.file, at..end, CHECKED_BYTES_MAX)?);
            at = end;
        }
        match sum.finalize() == block.checksum {
            true => Ok(()),
            false => Err(mismatch(block, range.start, range.end - range.start)),
        }
    }

    /// Decodes blocks until there are no more.
    fn work(&self, mut give: impl FnMut(Decoded) -> bool) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.blocks.len() {
                return;
            }
            match self.decode(index) {
                Ok(decoded) => {
                    if !give(decoded) {
                        return;
                    }
                }
                Err(found) => return self.note(found),
            }
        }
    }

    /// Notes damage; the first in the file is what is reported.
    fn note(&self, found: PreambleDamage) {
        // No more blocks are begun.
        self.next.store(self.blocks.len(), Ordering::Relaxed);
        let mut first = self.damage.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if first.as_ref().is_none_or(|first| found.offset < first.offset) {
            *first = Some(found);
        }
    }
}

/// Asks whether to go on at `offset`.
fn ask(offset: u64, go_on: &mut dyn FnMut() -> bool) -> Result<(), PreambleDamage> {
    match go_on() {
        true => Ok(()),
        false => Err(damage(offset, "nobody wants to know any more")),
    }
}

fn mismatch(block: &Block, offset: u64, bytes: u64) -> PreambleDamage {
    let text = format!(
        "a block of {} with {} of database {} does not match its checksum",
        counted(bytes, "byte", "bytes"),
        counted(block.keys.into(), "key", "keys"),
        block.db
    );
    damage(offset, text)
}

fn check_head(head: Option<&[u8]>) -> Result<(), String> {
    let head = head.and_then(|head| head.try_into().ok()).ok_or("no header of an RDB file")?;
    let version = Version::of_header(head).map_err(|cause| cause.to_string())?;
    match version.dialect {
        Dialect::Redis => Ok(()),
        Dialect::Valkey => Err("a base is written as Redis's RDB".to_owned()),
    }
}

/// The index of the blocks that `file` begins with.
fn blocks_of(file: &dyn File, preamble: &Preamble) -> Result<Vec<Block>, PreambleDamage> {
    let at = preamble.index_offset;
    let tail = read(file, at..preamble.bytes, TAIL_BYTES_MAX)?;
    if !preamble.is_tail(&tail) {
        return Err(damage(at, "the index of blocks does not match its checksum"));
    }
    read_index(&tail, at).map_err(|error| damage(at, error.to_string()))
}

/// Looks whether what `file` begins with could be loaded, without keeping it. `go_on` is asked now and then.
pub(super) fn check(
    file: &dyn File,
    preamble: &Preamble,
    limits: Limits,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<(), PreambleDamage> {
    let blocks = blocks_of(file, preamble)?;
    let progress = Progress::default();
    let source = Source::new(file, preamble, &blocks, 0, limits, &progress);
    for index in 0..blocks.len() {
        let range = source.range(index);
        ask(range.start, go_on)?;
        // The first one has the libraries of functions, which are no single record and are loaded whole at a start, too.
        if index > 0 && range.end.saturating_sub(range.start) > CHECKED_BYTES_MAX {
            source.sum(index, go_on)?;
            continue;
        }
        let decoded = source.decode(index)?;
        for library in &decoded.functions {
            load_functions(&mut Functions::default(), library, range.start)?;
        }
    }
    Ok(())
}

fn load_functions(
    functions: &mut Functions,
    library: &[u8],
    offset: u64,
) -> Result<(), PreambleDamage> {
    let loaded = functions.load(library, true);
    loaded.map_err(|reason| damage(offset, format!("a library of functions: {reason}")))?;
    Ok(())
}

/// Loads what `file` begins with into the keyspace of `state`, which is empty. `access` is the word of entries
/// that were used just now.
pub(super) fn load(
    state: &mut State,
    file: &dyn File,
    preamble: &Preamble,
    access: u32,
    limits: Limits,
    progress: &Progress,
) -> Result<(), PreambleDamage> {
    let blocks = blocks_of(file, preamble)?;
    let source = Source::new(file, preamble, &blocks, access, limits, progress);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    if workers == 1 || blocks.len() < 4 {
        source.work(|decoded| match put(state, decoded) {
            Ok(()) => true,
            Err(found) => {
                source.note(found);
                false
            }
        });
    } else {
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(DECODED_MAX);
            // This thread has work of its own.
            for _ in 1..workers {
                let (sender, source) = (sender.clone(), &source);
                scope.spawn(move || source.work(|decoded| sender.send(decoded).is_ok()));
            }
            drop(sender);
            for decoded in receiver {
                if let Err(found) = put(state, decoded) {
                    source.note(found);
                    break;
                }
            }
        });
    }
    let found = source.damage.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    // The index behind the blocks was read before them.
    progress.advance(preamble.bytes.saturating_sub(preamble.index_offset));
    found.map_or(Ok(()), Err)
}

/// Puts what a block held into the keyspace.
fn put(state: &mut State, decoded: Decoded) -> Result<(), PreambleDamage> {
    let Decoded { db, entries, functions, offset } = decoded;
    for library in &functions {
        load_functions(&mut state.functions, library, offset)?;
    }
    if db as usize >= state.keyspace.database_count() {
        return Err(PreambleDamage { is_sound: true, ..damage(offset, beyond(db)) });
    }
    let database = state.keyspace.database_mut(db as usize);
    let hashes: Vec<u64> = entries.iter().map(|(hash, _)| *hash).collect();
    for (index, (hash, entry)) in entries.into_iter().enumerate() {
        if let Some(&ahead) = hashes.get(index + AHEAD) {
            database.prefetch(ahead);
        }
        if !database.insert_new(hash, entry) {
            return Err(damage(offset, "a block with a key that has come before"));
        }
    }
    Ok(())
}
