//! An RDB file in blocks, each of which can be read by itself: so damage is located, and all cores load it.
//!
//! Other readers see an ordinary file. The index of the blocks is an auxiliary field before its end, as base64: for each
//! block its offset (8 bytes), its database (4), how many keys it holds (4), and the CRC-32 of its bytes (4),
//! little-endian all. A block ends where the next one begins, the last one where the index does. Each
//! selects its database. The first has the file's head and no keys.

use super::checksum::Checksum;
use super::chunk::Chunk;
use super::lzf::Packer;
use super::{Error, Reader, file};
use base64::prelude::{BASE64_STANDARD, Engine};
use std::io;

/// The name of the field with the index.
pub const INDEX_FIELD: &str = "mainstay-blocks";
/// A block is cut before it gets longer than this, unless a single record is.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// The opcode of an auxiliary field.
const AUX: u8 = 250;
/// Bytes of a block in the index.
const ENTRY_BYTES: usize = 20;

/// A part of the file that can be read by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it begins in the file.
    pub offset: u64,
    /// The database of its keys.
    pub db: u32,
    /// How many keys it holds.
    pub keys: u32,
    /// CRC-32 of its bytes.
    pub checksum: u32,
}

impl Block {
    /// The checksum of a block of these bytes.
    pub fn checksum_of(bytes: &[u8]) -> u32 {
        crc32fast::hash(bytes)
    }

    /// Whether these are its bytes.
    pub fn is_sound(&self, bytes: &[u8]) -> bool {
        Self::checksum_of(bytes) == self.checksum
    }
}

/// How many keys a database has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The database.
    pub db: u32,
    /// Its keys.
    pub keys: u64,
    /// How many of them have an expiry time.
    pub expiring: u64,
}

/// What there is at the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Where the index of blocks begins.
    pub index_offset: u64,
    /// CRC-32 of what follows from there.
    pub checksum: u32,
}

/// Why a file was given up.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk refused.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// A record was divided by another one. What was written must not be used.
    #[error("a record was divided by another one")]
    Order,
    /// Not as many keys came as there were. What was written must not be used.
    #[error("database {db} has {keys} keys, but {written} were written")]
    Count {
        /// The database.
        db: u32,
        /// How many keys it had.
        keys: u64,
        /// How many were written.
        written: u64,
    },
}

/// Where the bytes of a file go, one piece behind the other.
pub type Sink<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// Writes a file from chunks.
pub struct FileWriter {
    /// Announced, and how many keys of each were written.
    counts: Vec<(Count, u64)>,
    blocks: Vec<Block>,
    block: OpenBlock,
    /// Bytes of the open block that were not written yet.
    pending: Vec<u8>,
    /// How many of these are whole records, and how many records that is.
    whole_bytes: usize,
    whole_keys: u32,
    sum: Checksum,
    packer: Packer,
    packed: Vec<u8>,
    ends: Vec<usize>,
}

/// The block at hand.
#[derive(Default)]
struct OpenBlock {
    offset: u64,
    db: u32,
    sum: crc32fast::Hasher,
    /// Bytes of it that were written: it is a single record then, too long to be kept until it ends.
    written: u64,
}

impl FileWriter {
    /// Begins a file with `head`, which [`file::header`], [`file::aux`] and [`file::function`] made, for databases of
    /// such sizes.
    pub fn new(head: Vec<u8>, counts: &[Count]) -> Self {
        Self {
            counts: counts.iter().map(|&count| (count, 0)).collect(),
            blocks: Vec::new(),
            block: OpenBlock::default(),
            whole_bytes: head.len(),
            whole_keys: 0,
            pending: head,
            sum: Checksum::new(),
            packer: Packer::default(),
            packed: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Takes the next chunk. One that goes on with a record must follow the one that began it.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn chunk(&mut self, chunk: &Chunk, sink: &mut Sink<'_>) -> Result<(), WriteError> {
        let amid_record = self.block.written > 0 || self.pending.len() > self.whole_bytes;
        if chunk.continues() != amid_record && !chunk.is_empty() {
            return Err(WriteError::Order);
        }
        if !amid_record && (self.blocks.is_empty() || chunk.db != self.block.db) {
            self.cut(sink)?;
            self.block.db = chunk.db;
            file::select_database(chunk.db, &mut self.pending);
            let known =
                self.counts.iter().find(|(count, written)| count.db == chunk.db && *written == 0);
            if let Some((count, _)) = known {
                file::resize_database(count.keys, count.expiring, &mut self.pending);
            }
            self.whole_bytes = self.pending.len();
        }
        if let Some((_, written)) = self.counts.iter_mut().find(|(count, _)| count.db == chunk.db) {
            *written += chunk.keys();
        }
        let (mut packed, mut ends) =
            (std::mem::take(&mut self.packed), std::mem::take(&mut self.ends));
        packed.clear();
        ends.clear();
        chunk.pack(&mut self.packer, &mut packed, &mut ends);
        let mut at = 0;
        for &end in &ends {
            self.pending.extend_from_slice(&packed[at..end]);
            self.record_ended(sink)?;
            at = end;
        }
        self.pending.extend_from_slice(&packed[at..]);
        (self.packed, self.ends) = (packed, ends);
        if self.pending.len() > BLOCK_BYTES_MAX {
            if self.whole_keys > 0 {
                self.cut(sink)?;
            }
            // The record at hand is not kept until it ends.
            self.write_pending(self.pending.len(), sink)?;
        }
        Ok(())
    }

    /// Takes a block of another file as it is; not the first of that, which has a head.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn block(&mut self, block: &Block, bytes: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
        self.cut(sink)?;
        self.block.db = block.db;
        self.pending.extend_from_slice(bytes);
        self.whole_bytes = self.pending.len();
        self.whole_keys = block.keys;
        Ok(())
    }

    /// Notes that a record ends where `pending` does.
    fn record_ended(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        if self.pending.len() > BLOCK_BYTES_MAX && self.whole_keys > 0 {
            // With this record the block is too long, so it ends before it.
            self.cut(sink)?;
        }
        self.whole_bytes = self.pending.len();
        self.whole_keys += 1;
        if self.block.written > 0 || self.pending.len() > BLOCK_BYTES_MAX {
            self.cut(sink)?;
        }
        Ok(())
    }

    /// Writes the first `len` bytes of what is pending.
    fn write_pending(&mut self, len: usize, sink: &mut Sink<'_>) -> io::Result<()> {
        let bytes = &self.pending[..len];
        self.block.sum.update(bytes);
        self.sum.update(bytes);
        sink(bytes)?;
        self.block.written += len as u64;
        self.pending.drain(..len);
        self.whole_bytes = self.whole_bytes.saturating_sub(len);
        Ok(())
    }

    /// Ends the block at hand behind its last whole record.
    fn cut(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        self.write_pending(self.whole_bytes, sink)?;
        let next = OpenBlock {
            offset: self.block.offset + self.block.written,
            db: self.block.db,
            ..OpenBlock::default()
        };
        let OpenBlock { offset, db, sum, .. } = std::mem::replace(&mut self.block, next);
        let keys = std::mem::take(&mut self.whole_keys);
        self.blocks.push(Block { offset, db, keys, checksum: sum.finalize() });
        Ok(())
    }

    /// Ends the file, with the index of its blocks if `indexed`.
    ///
    /// # Errors
    /// Those of the sink; or if the databases' keys are not those that were announced.
    pub fn end(mut self, indexed: bool, sink: &mut Sink<'_>) -> Result<Tail, WriteError> {
        for &(Count { db, keys, .. }, written) in &self.counts {
            if keys != written {
                return Err(WriteError::Count { db, keys, written });
            }
        }
        self.cut(sink)?;
        let index_offset = self.block.offset;
        let mut tail = Vec::new();
        if indexed {
            let mut index = Vec::with_capacity(self.blocks.len() * ENTRY_BYTES);
            for block in &self.blocks {
                index.extend_from_slice(&block.offset.to_le_bytes());
                index.extend_from_slice(&block.db.to_le_bytes());
                index.extend_from_slice(&block.keys.to_le_bytes());
                index.extend_from_slice(&block.checksum.to_le_bytes());
            }
            file::aux(INDEX_FIELD, BASE64_STANDARD.encode(index).as_bytes(), &mut tail);
        }
        self.sum.update(&tail);
        file::footer(Some(self.sum), &mut tail);
        sink(&tail)?;
        Ok(Tail { index_offset, checksum: crc32fast::hash(&tail) })
    }
}

/// Reads the index of blocks at the end of a file: `tail` are the file's bytes from `index_offset` on.
///
/// # Errors
/// What is wrong with it.
pub fn read_index(tail: &[u8], index_offset: u64) -> Result<Vec<Block>, Error> {
    let mut reader = Reader::new(tail);
    if reader.byte()? != AUX || *reader.string()? != *INDEX_FIELD.as_bytes() {
        return Err(reader.error("no index of blocks"));
    }
    let text = reader.string()?;
    let index =
        BASE64_STANDARD.decode(&*text).map_err(|_| reader.error("an index that is not base64"))?;
    let (entries, rest) = index.as_chunks::<ENTRY_BYTES>();
    let u32_at = |entry: &[u8], at: usize| {
        u32::from_le_bytes(entry[at..at + 4].try_into().expect("4 bytes"))
    };
    let blocks: Vec<Block> = entries
        .iter()
        .map(|entry| Block {
            offset: u64::from_le_bytes(entry[..8].try_into().expect("8 bytes")),
            db: u32_at(entry, 8),
            keys: u32_at(entry, 12),
            checksum: u32_at(entry, 16),
        })
        .collect();
    let in_order = blocks.is_sorted_by(|a, b| a.offset < b.offset);
    let begins = blocks.first().is_some_and(|block| block.offset == 0);
    let ends = blocks.last().is_some_and(|block| block.offset < index_offset);
    if !rest.is_empty() || !in_order || !begins || !ends {
        return Err(reader.error("an index of blocks that do not follow each other"));
    }
    Ok(blocks)
}
