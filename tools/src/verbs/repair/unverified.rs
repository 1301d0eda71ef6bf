//! What still decodes of the blocks of a base whose checksum is wrong.
//!
//! A record is taken as it is, so its value may be another than it was, and so may its key: that a
//! record can be read does not show that it is right. A base with a key twice does not load. So a
//! key is only taken from such a block if no sound block has it, and no such block before.

use super::report::UnverifiedBlock;
use crate::blocks::{Blocks, decode_block, decoding};
use crate::output::{Output, first_names};
use crate::source::{DATABASES, machine};
use mainstay::commands::context::Settings;
use mainstay::engine::Engine;
use mainstay::rdb::blocks::Block;
use mainstay::rdb::file::{HEADER_BYTES, Record, decode_record, header, select_database};
use mainstay::rdb::{Reader, Target};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;

/// A record: its block, and where it lies in it.
type Place = (usize, Range<usize>);

/// What is saved of the blocks of a base whose checksum is wrong.
#[derive(Default)]
pub struct Unverified {
    blocks: BTreeMap<usize, Saved>,
}

/// What is saved of a block.
struct Saved {
    /// CRC-32 of its bytes as they are.
    checksum: u32,
    /// The keys, with where the record of each lies in the block; none in the head.
    records: Vec<(Vec<u8>, Range<usize>)>,
}

impl Unverified {
    /// Looks what can be saved of the blocks that are not sound. Only their keys are kept in
    /// memory.
    ///
    /// # Errors
    /// If a sound block cannot be read any more.
    pub fn of(blocks: &Blocks, sound: &[bool], output: &Output) -> io::Result<Self> {
        let mut found = Self::default();
        let mut places: HashMap<u32, HashMap<Vec<u8>, Place>> = HashMap::new();
        for index in (0..sound.len()).filter(|&index| !sound[index]) {
            // What cannot be read is lost.
            let Ok(bytes) = blocks.read(index) else { continue };
            let checksum = Block::checksum_of(&bytes);
            if index == 0 {
                if restored_head(bytes).is_some() {
                    found.blocks.insert(0, Saved { checksum, records: Vec::new() });
                }
                continue;
            }
            let db = blocks.blocks[index].db;
            let keys = places.entry(db).or_default();
            for (key, range) in whole_records(&bytes, db) {
                keys.entry(key).or_insert((index, range));
            }
            found.blocks.insert(index, Saved { checksum, records: Vec::new() });
        }
        if places.values().any(|keys| !keys.is_empty()) {
            remove_sound(&mut places, blocks, sound, output)?;
        }
        for (key, (index, range)) in places.into_values().flatten() {
            if let Some(saved) = found.blocks.get_mut(&index) {
                saved.records.push((key, range));
            }
        }
        found.blocks.retain(|&index, saved| {
            saved.records.sort_by_key(|(_, range)| range.start);
            index == 0 || !saved.records.is_empty()
        });
        Ok(found)
    }

    /// The head of the base, if it is saved.
    ///
    /// # Errors
    /// If it cannot be read any more.
    pub fn head(&self, blocks: &Blocks) -> io::Result<Option<Vec<u8>>> {
        match self.blocks.get(&0) {
            Some(saved) => Ok(restored_head(saved.read(blocks, 0)?)),
            None => Ok(None),
        }
    }

    /// The block to write in the place of block `index`, if any of that is saved. Its offset and
    /// checksum are not set.
    ///
    /// # Errors
    /// If it cannot be read any more.
    pub fn block(&self, blocks: &Blocks, index: usize) -> io::Result<Option<(Block, Vec<u8>)>> {
        let Some(saved) = self.blocks.get(&index) else { return Ok(None) };
        let bytes = saved.read(blocks, index)?;
        let db = blocks.blocks[index].db;
        let mut kept = Vec::with_capacity(bytes.len());
        select_database(db, &mut kept);
        saved.records.iter().for_each(|(_, range)| kept.extend_from_slice(&bytes[range.clone()]));
        let keys = saved.records.len() as u32;
        Ok(Some((Block { offset: 0, db, keys, checksum: 0 }, kept)))
    }

    /// The keys that are saved of block `index`; `None` if it is lost whole.
    pub fn keys(&self, index: usize) -> Option<impl ExactSizeIterator<Item = &[u8]>> {
        self.blocks.get(&index).map(|saved| saved.records.iter().map(|(key, _)| &**key))
    }

    /// The blocks of which something is saved, for the report.
    pub fn described(&self, blocks: &Blocks) -> Vec<UnverifiedBlock> {
        let of = |(&index, saved): (&usize, &Saved)| {
            let range = blocks.range(index);
            UnverifiedBlock {
                file: blocks.name.clone(),
                offset: range.start,
                bytes: range.end - range.start,
                db: blocks.blocks[index].db,
                keys: saved.records.len() as u64,
                names: first_names(saved.records.iter().map(|(key, _)| key)),
            }
        };
        self.blocks.iter().map(of).collect()
    }
}

impl Saved {
    /// The bytes of the block, which must be those that were looked at.
    fn read(&self, blocks: &Blocks, index: usize) -> io::Result<Vec<u8>> {
        let bytes = blocks.read(index)?;
        if Block::checksum_of(&bytes) != self.checksum {
            let offset = blocks.blocks[index].offset;
            let text = format!("a block at {offset} changes while it is read");
            return Err(io::Error::other(text));
        }
        Ok(bytes)
    }
}

/// Takes out what a sound block has.
fn remove_sound(
    places: &mut HashMap<u32, HashMap<Vec<u8>, Place>>,
    blocks: &Blocks,
    sound: &[bool],
    output: &Output,
) -> io::Result<()> {
    let bar = output.bar("comparing keys", blocks.end);
    for (index, block) in blocks.blocks.iter().enumerate().skip(1) {
        let range = blocks.range(index);
        if sound[index]
            && let Some(keys) = places.get_mut(&block.db)
        {
            let bytes = blocks.read(index)?;
            decode_block(&bytes, false, &mut |_, key| {
                keys.remove(key);
            })
            .map_err(io::Error::other)?;
        }
        bar.advance(range.end - range.start);
    }
    Ok(())
}

/// The keys of the whole records that a block begins with, and where each record lies. A record
/// that is no key's of this database ends them.
fn whole_records(bytes: &[u8], db: u32) -> Vec<(Vec<u8>, Range<usize>)> {
    let decoding = decoding();
    let mut reader = Reader::new(bytes);
    let mut found = Vec::new();
    while reader.left() > 0 {
        let from = reader.offset();
        match decode_record(&mut reader, &decoding) {
            Ok(Record::Key(record)) => {
                found.push((record.key.into_owned(), from..reader.offset()));
            }
            Ok(Record::SelectDatabase(number)) if number == db => {}
            Ok(Record::ResizeDatabase { .. }) => {}
            _ => break,
        }
    }
    found
}

/// The head of a base with the header that every base has, if the rest of it can be read, libraries
/// of functions included.
fn restored_head(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(bytes.len());
    header(Target::V12, &mut head);
    head.extend_from_slice(bytes.get(HEADER_BYTES..)?);
    let decoding = decoding();
    let mut reader = Reader::new(&head);
    reader.take(HEADER_BYTES).ok()?;
    let engine = Engine::in_memory(machine(), DATABASES, Settings::default());
    while reader.left() > 0 {
        match decode_record(&mut reader, &decoding).ok()? {
            Record::Aux { .. } => {}
            Record::Function(source) => engine.lock().put_function(&source, true).ok()?,
            _ => return None,
        }
    }
    Some(head)
}
