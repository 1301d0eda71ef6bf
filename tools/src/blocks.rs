//! The RDB at the beginning of a base, block by block, sound or not.

use mainstay::data::{KeyHasher, Limits};
use mainstay::disk::File;
use mainstay::log::segment::Preamble;
use mainstay::rdb::blocks::{Block, read_index};
use mainstay::rdb::file::{Decoding, HEADER_BYTES, Record, Version, decode_record};
use mainstay::rdb::{Dialect, Reader};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// The index of blocks of a base is no longer than this.
const TAIL_BYTES_MAX: u64 = 1 << 30;

/// The blocks of a base.
pub struct Blocks {
    /// The file's name.
    pub name: String,
    /// Its bytes.
    pub file: Arc<dyn File>,
    /// The blocks, in order.
    pub blocks: Vec<Block>,
    /// Where the last one ends.
    pub end: u64,
    /// When everything in them had been written, Unix time in ms.
    pub created_ms: u64,
}

impl Blocks {
    /// Reads the index of the base in `file`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(
        name: &str,
        file: &Arc<dyn File>,
        preamble: &Preamble,
        created_ms: u64,
    ) -> Result<Self, String> {
        let len = preamble.bytes.checked_sub(preamble.index_offset);
        let len = len.filter(|&len| len <= TAIL_BYTES_MAX).ok_or("its length is impossible")?;
        let file_len = file.len().map_err(|error| error.to_string())?;
        if preamble.bytes > file_len {
            return Err("the file ends before it does".to_owned());
        }
        let mut tail = vec![0; len as usize];
        let read = file.read_exact_at(&mut tail, preamble.index_offset);
        read.map_err(|error| error.to_string())?;
        if !preamble.is_tail(&tail) {
            return Err("it does not match its checksum".to_owned());
        }
        let blocks = read_index(&tail, preamble.index_offset).map_err(|error| error.to_string())?;
        let (name, file, end) = (name.to_owned(), file.clone(), preamble.index_offset);
        Ok(Self { name, file, blocks, end, created_ms })
    }

    /// Where block `index` lies.
    pub fn range(&self, index: usize) -> Range<u64> {
        let end = self.blocks.get(index + 1).map_or(self.end, |next| next.offset);
        self.blocks[index].offset..end
    }

    /// The bytes of block `index`, whether they are sound or not.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn read(&self, index: usize) -> io::Result<Vec<u8>> {
        let range = self.range(index);
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    }
}

/// Decodes the records of a block; `key` is called with each key and its database. Gives how many keys there are.
///
/// # Errors
/// What cannot be read; keys before it have been given.
pub fn decode_block(
    bytes: &[u8],
    is_head: bool,
    key: &mut dyn FnMut(u32, &[u8]),
) -> Result<u64, String> {
    let limits = Limits::new(KeyHasher::new((0, 0)));
    let decoding = Decoding { dialect: Dialect::Redis, limits, skip_modules: false };
    let mut reader = Reader::new(bytes);
    if is_head {
        let head = reader.take(HEADER_BYTES).map_err(|error| error.to_string())?;
        let head = head.try_into().map_err(|_| "no header of an RDB file")?;
        Version::of_header(head).map_err(|cause| cause.to_string())?;
    }
    let (mut db, mut count) = (0, 0);
    while reader.left() > 0 {
        let refused = |error: mainstay::rdb::Error| error.to_string();
        match decode_record(&mut reader, &decoding).map_err(|error| refused(error.error))? {
            Record::Key(record) => {
                count += 1;
                key(db, &record.key);
            }
            Record::SelectDatabase(number) => db = number,
            Record::Aux { .. } | Record::ResizeDatabase { .. } | Record::Function(_) => {}
            _ => return Err("a record that does not belong in a block".to_owned()),
        }
    }
    Ok(count)
}
