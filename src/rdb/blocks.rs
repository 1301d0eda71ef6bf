//! An RDB file in blocks that can be read separately: damage is located, and all cores load it.
//!
//! Other readers see an ordinary file. The index of blocks is an auxiliary field before the end, as
//! base64: for each block its offset (8 bytes), its database (4), its number of keys (4), and the
//! CRC-32 of its bytes (4), all little-endian. A block ends where the next one begins, the last one
//! where the index begins; none is empty. The first block of a database selects it. The first block
//! of the file holds the head and no keys.

use super::checksum::Checksum;
use super::chunk::Chunk;
use super::lzf::Packer;
use super::{Error, Reader, file};
use base64::prelude::{BASE64_STANDARD, Engine};
use std::io;

/// The name of the auxiliary field with the index.
pub const INDEX_FIELD: &str = "mainstay-blocks";
/// The longest block in bytes, unless it is a single record.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// Blocks with at least so many keys have no unusually big key, so they serve as a sample of the
/// others.
const ORDINARY_KEYS: u32 = 16;
/// The size of a sufficient sample in bytes.
const JUDGED_BYTES: u64 = 4 << 20;
/// The opcode of an auxiliary field.
const AUX: u8 = 250;
/// Bytes of a block in the index.
const ENTRY_BYTES: usize = 20;

/// A part of the file that can be read separately.
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

    /// The same, computed incrementally.
    pub fn summing() -> crc32fast::Hasher {
        crc32fast::Hasher::new()
    }

    /// Whether `bytes` match its checksum.
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

/// The end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Where the index of blocks begins.
    pub index_offset: u64,
    /// CRC-32 of the bytes from there on.
    pub checksum: u32,
}

/// Why writing a file failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk refused.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// A record was interrupted by another one. The file must not be used.
    #[error("a record was interrupted by another one")]
    Order,
    /// The number of keys written is wrong. The file must not be used.
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

/// Receives the bytes of a file in order.
pub type Sink<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// Writes a file from chunks.
pub struct FileWriter {
    /// Announced counts, and the number of keys written of each.
    counts: Vec<(Count, u64)>,
    blocks: Vec<Block>,
    block: OpenBlock,
    /// Bytes of the open block that were not written yet.
    pending: Vec<u8>,
    /// Bytes of whole records among them, and their number.
    whole_bytes: usize,
    whole_keys: u32,
    /// Bytes and keys of the sample; see [`ORDINARY_KEYS`].
    ordinary: (u64, u64),
    sum: Checksum,
    packer: Packer,
    packed: Vec<u8>,
    ends: Vec<usize>,
}

/// The current block.
#[derive(Default)]
struct OpenBlock {
    offset: u64,
    db: u32,
    sum: crc32fast::Hasher,
    /// Bytes of it already written: it is then a single record, too long to be buffered.
    written: u64,
}

impl FileWriter {
    /// Begins a file with `head`, made by [`file::header`], [`file::aux`] and [`file::function`],
    /// for databases of these sizes.
    pub fn new(head: Vec<u8>, counts: &[Count]) -> Self {
        Self {
            counts: counts.iter().map(|&count| (count, 0)).collect(),
            blocks: Vec::new(),
            block: OpenBlock::default(),
            whole_bytes: head.len(),
            whole_keys: 0,
            ordinary: (0, 0),
            pending: head,
            sum: Checksum::new(),
            packer: Packer::default(),
            packed: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Writes the next chunk. One that continues a record must follow the one that began it.
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
            // Write the start of the record now instead of buffering it.
            self.write_pending(self.pending.len(), sink)?;
        }
        Ok(())
    }

    /// Writes a block of another file unchanged; not its first one, which holds its head.
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

    /// Records that a record ends at the end of `pending`.
    fn record_ended(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        if self.pending.len() > BLOCK_BYTES_MAX && self.whole_keys > 0 {
            // With this record the block would be too long, so it ends before it.
            self.cut(sink)?;
        }
        self.whole_bytes = self.pending.len();
        self.whole_keys += 1;
        if self.block.written > 0 || self.pending.len() > BLOCK_BYTES_MAX {
            self.cut(sink)?;
        }
        Ok(())
    }

    /// Writes the first `len` pending bytes.
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

    /// Ends the current block after its last whole record. Empty blocks are left out.
    fn cut(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        self.write_pending(self.whole_bytes, sink)?;
        if self.block.written == 0 {
            return Ok(());
        }
        let next_offset = self.block.offset + self.block.written;
        let next = OpenBlock { offset: next_offset, db: self.block.db, ..OpenBlock::default() };
        let OpenBlock { offset, db, sum, .. } = std::mem::replace(&mut self.block, next);
        let keys = std::mem::take(&mut self.whole_keys);
        if keys >= ORDINARY_KEYS {
            self.ordinary.0 += next_offset - offset;
            self.ordinary.1 += u64::from(keys);
        }
        self.blocks.push(Block { offset, db, keys, checksum: sum.finalize() });
        Ok(())
    }

    /// An estimate of the bytes still to be written, if the remaining keys are like those of the
    /// sample.
    pub fn bytes_left(&self) -> u64 {
        let (bytes, keys) = self.ordinary;
        let left = self.counts.iter().map(|(count, done)| count.keys.saturating_sub(*done));
        let left_bytes =
            u128::from(left.sum::<u64>()) * u128::from(bytes) / u128::from(keys.max(1));
        u64::try_from(left_bytes).unwrap_or(u64::MAX).saturating_add(self.pending.len() as u64)
    }

    /// Whether the sample suffices for [`FileWriter::bytes_left`].
    pub fn can_judge(&self) -> bool {
        self.ordinary.0 >= JUDGED_BYTES
    }

    /// How many bytes were written.
    pub fn bytes_written(&self) -> u64 {
        self.block.offset + self.block.written
    }

    /// Ends the file, with the index of its blocks if `indexed`.
    ///
    /// # Errors
    /// Those of the sink; or if the numbers of keys are not the announced ones.
    pub fn end(mut self, indexed: bool, sink: &mut Sink<'_>) -> Result<Tail, WriteError> {
        for &(Count { db, keys, .. }, written) in &self.counts {
            if keys != written {
                return Err(WriteError::Count { db, keys, written });
            }
        }
        self.cut(sink)?;
        let index_offset = self.block.offset;
        // A start would refuse the file after the files that it replaces are gone.
        assert!(follow_each_other(&self.blocks, index_offset), "{:?}", self.blocks);
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

/// Whether no block is empty, and together they are all bytes before the index.
fn follow_each_other(blocks: &[Block], index_offset: u64) -> bool {
    blocks.first().is_some_and(|block| block.offset == 0)
        && blocks.is_sorted_by(|a, b| a.offset < b.offset)
        && blocks.last().is_some_and(|block| block.offset < index_offset)
}

/// Reads the index of blocks at the end of a file: `tail` holds the file's bytes from
/// `index_offset` on.
///
/// # Errors
/// `Damaged` if it is invalid.
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
    if !rest.is_empty() || !follow_each_other(&blocks, index_offset) {
        return Err(reader.error("an index of blocks that do not follow each other"));
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::super::chunk::Format;
    use super::super::file::{FileReader, Record};
    use super::*;
    use crate::data::{KeyHasher, Limits, Value};
    use crate::disk::{Disk, SimDisk};
    use proptest::prelude::*;
    use std::path::Path;

    /// A key, where its value is divided into two chunks, and whether the next key is in another
    /// chunk or database.
    #[derive(Clone, Debug)]
    struct Key {
        value_bytes: usize,
        divided_at: Option<prop::sample::Index>,
        next_chunk: bool,
        next_db: bool,
    }

    fn key() -> impl Strategy<Value = Key> {
        let value_bytes = prop_oneof![
            3 => 0..200usize,
            1 => BLOCK_BYTES_MAX - 60..BLOCK_BYTES_MAX + 20,
            1 => 0..3 * BLOCK_BYTES_MAX,
        ];
        let parts =
            (value_bytes, any::<Option<prop::sample::Index>>(), any::<bool>(), any::<bool>());
        parts.prop_map(|(value_bytes, divided_at, next_chunk, next_db)| Key {
            value_bytes,
            divided_at,
            next_chunk,
            next_db,
        })
    }

    /// The chunks of such keys, and how many keys each database has.
    fn chunks(keys: &[Key]) -> (Vec<Chunk>, Vec<Count>) {
        let mut chunks = vec![Chunk::new(0, Format::default())];
        let mut counts = vec![Count { db: 0, keys: 0, expiring: 0 }];
        for (number, key) in keys.iter().enumerate() {
            let db = counts.last().unwrap().db;
            let (name, value) = (number.to_string(), vec![b'x'; key.value_bytes]);
            let chunk = chunks.last_mut().unwrap();
            match key.divided_at {
                None => {
                    chunk.put(name.as_bytes(), None, Value::Text { bytes: &value, edited: false })
                }
                Some(at) => {
                    let (first, second) = value.split_at(at.index(value.len() + 1));
                    chunk.begin(name.as_bytes(), None, 0);
                    chunk.writer().number(value.len() as u64);
                    chunk.writer().raw(first);
                    let mut next = Chunk::new(db, Format::default()).continued();
                    next.writer().raw(second);
                    next.end();
                    chunks.push(next);
                }
            }
            counts.last_mut().unwrap().keys += 1;
            if key.next_db {
                counts.push(Count { db: db + 1, keys: 0, expiring: 0 });
            }
            if key.next_db || key.next_chunk {
                chunks.push(Chunk::new(counts.last().unwrap().db, Format::default()));
            }
        }
        chunks.retain(|chunk| !chunk.is_empty());
        counts.retain(|count| count.keys > 0);
        (chunks, counts)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn blocks_follow_each_other_and_hold_every_key(
            keys in prop::collection::vec(key(), 0..8),
        ) {
            let (chunks, counts) = chunks(&keys);
            let mut head = Vec::new();
            file::header(Default::default(), &mut head);
            let mut writer = FileWriter::new(head, &counts);
            let mut bytes = Vec::new();
            let mut sink = |part: &[u8]| {
                bytes.extend_from_slice(part);
                Ok(())
            };
            for chunk in &chunks {
                writer.chunk(chunk, &mut sink).unwrap();
            }
            let tail = writer.end(true, &mut sink).unwrap();

            let index_offset = tail.index_offset as usize;
            prop_assert_eq!(crc32fast::hash(&bytes[index_offset..]), tail.checksum);
            let blocks = read_index(&bytes[index_offset..], tail.index_offset);
            prop_assert!(blocks.is_ok(), "{:?}", blocks);
            let blocks = blocks.unwrap();
            let mut found = vec![0; counts.len()];
            for (number, block) in blocks.iter().enumerate() {
                let end = blocks.get(number + 1).map_or(tail.index_offset, |next| next.offset);
                let block_bytes = &bytes[block.offset as usize..end as usize];
                prop_assert!(block.is_sound(block_bytes));
                prop_assert!(block_bytes.len() <= BLOCK_BYTES_MAX || block.keys == 1);
                if block.keys > 0 {
                    let index = counts.iter().position(|count| count.db == block.db);
                    found[index.unwrap()] += u64::from(block.keys);
                }
            }
            prop_assert!(found.iter().copied().eq(counts.iter().map(|count| count.keys)));

            // Other readers see an ordinary file.
            let disk = SimDisk::new();
            disk.put(Path::new("f"), &bytes);
            let file = disk.open(Path::new("f")).unwrap();
            let limits = Limits::new(KeyHasher::new((0, 0)));
            let mut reader = FileReader::open(&*file, limits, true).unwrap();
            let mut names = Vec::new();
            while let Some(name) = reader
                .next(|record| match record {
                    Record::Key(record) => Some(String::from_utf8(record.key.to_vec()).unwrap()),
                    _ => None,
                })
                .unwrap()
            {
                names.extend(name);
            }
            prop_assert!(names.into_iter().eq((0..keys.len()).map(|number| number.to_string())));
        }
    }
}
