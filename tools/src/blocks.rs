//! The RDB at the beginning of a base, block by block, sound or not.

use crate::verbs::repair::LostBlock;
use mainstay::data::{KeyHasher, Limits};
use mainstay::disk::File;
use mainstay::log::segment::Preamble;
use mainstay::rdb::blocks::{Block, FileWriter, INDEX_FIELD, read_index};
use mainstay::rdb::file::{Decoding, FileReader, HEADER_BYTES, Record, Version, decode_record};
use mainstay::rdb::{Dialect, Reader};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// The byte before a field about an RDB file.
const AUX: u8 = 250;
/// The index of blocks of a base is no longer than this.
const TAIL_BYTES_MAX: u64 = 1 << 30;

/// So much of the end of an RDB is searched for its index first.
const SEARCHED_BYTES: u64 = 1 << 20;
/// Bytes of the checksum at the end of an RDB.
const CHECKSUM_BYTES: u64 = 8;

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
    /// The time by which everything in them was written (Unix ms); `u64::MAX` if unknown.
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

    /// Finds the index in the RDB, just before its end, without the header that says where it begins. It is under no
    /// checksum then, but the blocks are under those in it.
    pub fn search(name: &str, file: &Arc<dyn File>, preamble_bytes: u64) -> Option<Self> {
        if file.len().ok()? < preamble_bytes {
            return None;
        }
        let field = [&[AUX, INDEX_FIELD.len() as u8], INDEX_FIELD.as_bytes()].concat();
        let most = preamble_bytes.min(TAIL_BYTES_MAX);
        let mut len = most.min(SEARCHED_BYTES);
        loop {
            let from = preamble_bytes - len;
            let mut tail = vec![0; len as usize];
            file.read_exact_at(&mut tail, from).ok()?;
            // The last one: a value may look like an index, but lies before it.
            if let Some(at) = tail.windows(field.len()).rposition(|bytes| bytes == field) {
                let end = from + at as u64;
                let blocks = read_index(&tail[at..], end).ok()?;
                let (name, file, created_ms) = (name.to_owned(), file.clone(), u64::MAX);
                return Some(Self { name, file, blocks, end, created_ms });
            }
            if len == most {
                return None;
            }
            len = (4 * len).min(most);
        }
    }

    /// Whether the checksum at the end of the RDB is that of an RDB with these blocks and their index: then they are
    /// what they were, wherever they were told from.
    pub fn are_attested(&self, preamble_bytes: u64) -> bool {
        let mut sum = [0; CHECKSUM_BYTES as usize];
        let at = preamble_bytes.saturating_sub(CHECKSUM_BYTES);
        let mut attested = || -> io::Result<bool> {
            self.file.read_exact_at(&mut sum, at)?;
            let mut last = Vec::new();
            let mut sink = |bytes: &[u8]| {
                last = bytes.to_vec();
                Ok(())
            };
            let mut writer = FileWriter::new(self.read(0)?, &[]);
            for (index, block) in self.blocks.iter().enumerate().skip(1) {
                writer.block(block, &self.read(index)?, &mut sink)?;
            }
            writer.end(true, &mut sink).map_err(io::Error::other)?;
            Ok(last.ends_with(&sum))
        };
        // What cannot be read is not attested.
        attested().unwrap_or(false)
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

/// Finds the blocks of a base without their index, by reading record by record: a block begins where a database is
/// selected. What follows damage cannot be found. Where the index begins may be known. Checksums are those of what is
/// there. Gives what is lost as well; `None` if not even the head can be read.
pub fn scan_blocks(
    name: &str,
    file: &Arc<dyn File>,
    preamble_bytes: u64,
    index_offset: Option<u64>,
) -> Option<(Blocks, Option<LostBlock>)> {
    let limits = Limits::new(KeyHasher::new((0, 0)));
    let source: &dyn File = &**file;
    let mut reader = FileReader::open(source, limits, false).ok()?;
    let mut found = vec![Block { offset: 0, db: 0, keys: 0, checksum: 0 }];
    let (mut keys, mut announced) = (0u64, 0u64);
    let (end, damaged) = loop {
        let at = reader.offset();
        let mut is_index = false;
        let read = reader.next(|record| match record {
            Record::SelectDatabase(db) => {
                found.push(Block { offset: at, db, keys: 0, checksum: 0 });
            }
            Record::Key(_) => {
                keys += 1;
                found.last_mut().expect("it has a head").keys += 1;
            }
            Record::ResizeDatabase { keys, .. } => announced += keys,
            // Behind keys there is no other one, so this is the index, whatever its name has become.
            Record::Aux { name, .. } => is_index = keys > 0 || name == INDEX_FIELD.as_bytes(),
            Record::End => is_index = true,
            _ => {}
        });
        match read {
            Ok(Some(())) if is_index => break (at, false),
            Ok(Some(())) => {}
            Ok(None) => break (at, false),
            Err(_) => break (at, true),
        }
    };
    let mut lost = None;
    let mut end = end;
    if damaged {
        // Either a block is damaged, or only the index, which begins as a field about the file does.
        let mut byte = [0];
        // In the head there are such fields as well.
        let is_behind_blocks = found.len() > 1;
        let is_field =
            is_behind_blocks && file.read_exact_at(&mut byte, end).is_ok() && byte == [AUX];
        if keys < announced || !(is_field || index_offset == Some(end)) {
            let last = found.pop().expect("it has a head");
            end = last.offset;
            lost = Some(LostBlock {
                file: name.to_owned(),
                offset: last.offset,
                bytes: preamble_bytes.saturating_sub(last.offset),
                db: last.db,
                // Other databases may have come behind it.
                keys: None,
                names: Vec::new(),
            });
        }
    }
    if found.is_empty() {
        return None;
    }
    let (name, file) = (name.to_owned(), file.clone());
    let mut blocks = Blocks { name, file, blocks: found, end, created_ms: u64::MAX };
    for index in 0..blocks.blocks.len() {
        let bytes = blocks.read(index).ok()?;
        blocks.blocks[index].checksum = Block::checksum_of(&bytes);
    }
    Some((blocks, lost))
}

/// How the records of a base are read.
pub fn decoding() -> Decoding {
    let limits = Limits::new(KeyHasher::new((0, 0)));
    Decoding { dialect: Dialect::Redis, limits, skip_modules: false }
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
    let decoding = decoding();
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
