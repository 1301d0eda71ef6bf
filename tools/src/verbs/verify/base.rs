//! The blocks of a base's RDB, each by itself.

use super::finding::Finding;
use crate::blocks::{Blocks, decode_block};
use std::collections::BTreeSet;

/// Checks block `index`.
pub fn check_block(blocks: &Blocks, index: usize, findings: &mut Vec<Finding>) -> bool {
    let block = blocks.blocks[index];
    let range = blocks.range(index);
    let bytes = range.end - range.start;
    let mut finding = Finding::at(&blocks.name, range.start, "");
    finding.bytes = bytes;
    finding.time_ms = Some((None, Some(blocks.created_ms)));
    finding.db = Some(block.db);
    finding.key_count = Some(block.keys.into());
    let functions = match index {
        0 => "; functions may lie in it, if there were any",
        _ => "",
    };
    let read = match blocks.read(index) {
        Ok(read) => read,
        Err(error) => {
            finding.damage = format!("a block cannot be read: {error}{functions}");
            findings.push(finding);
            return false;
        }
    };
    let mut keys = BTreeSet::new();
    let decoded = decode_block(&read, index == 0, &mut |db, key| {
        if db == block.db {
            keys.insert(key.to_vec());
        }
    });
    let damage = match (block.is_sound(&read), decoded) {
        (true, Ok(count)) if count == u64::from(block.keys) => return true,
        (true, Ok(count)) => {
            format!("a block with {count} keys, but its index says {}", block.keys)
        }
        (true, Err(error)) => format!("a sound block with a record that cannot be read: {error}"),
        (false, _) => "a block does not match its checksum".to_owned(),
    };
    finding.damage = damage + functions;
    finding.name_keys(&keys);
    findings.push(finding);
    false
}
