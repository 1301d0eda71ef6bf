//! The blocks of a base's RDB, each by itself.

use super::Report;
use super::finding::Finding;
use crate::blocks::{Blocks, decode_block, scan_blocks};
use crate::output::counted;
use mainstay::disk::File;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Checks block `index`. Gives the number of its keys if it is sound.
pub fn check_block(blocks: &Blocks, index: usize, findings: &mut Vec<Finding>) -> Option<u64> {
    let block = blocks.blocks[index];
    let range = blocks.range(index);
    let bytes = range.end - range.start;
    let mut finding = Finding::at(&blocks.name, range.start, "");
    finding.bytes = bytes;
    finding.time_ms = Some((None, Some(blocks.created_ms).filter(|&ms| ms < u64::MAX)));
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
            return None;
        }
    };
    let mut keys = BTreeSet::new();
    let decoded = decode_block(&read, index == 0, &mut |db, key| {
        if db == block.db {
            keys.insert(key.to_vec());
        }
    });
    let damage = match (block.is_sound(&read), decoded) {
        (true, Ok(count)) if count == u64::from(block.keys) => return Some(count),
        (true, Ok(count)) => {
            let keys = counted(count, "key", "keys");
            format!("a block with {keys}, but its index says {}", block.keys)
        }
        (true, Err(error)) => format!("a sound block with a record that cannot be read: {error}"),
        (false, _) => "a block does not match its checksum".to_owned(),
    };
    finding.damage = damage + functions;
    finding.name_keys(&keys);
    findings.push(finding);
    None
}

/// Checks the blocks of a base whose index cannot be used: the checksum of the RDB may verify all
/// of them together.
pub fn check_unindexed(
    name: &str,
    file: &Arc<dyn File>,
    (preamble_bytes, index_offset): (u64, Option<u64>),
    report: &mut Report,
) {
    let mut unchecked = |text: String| {
        let mut finding = Finding::at(name, 0, text);
        finding.bytes = preamble_bytes;
        report.findings.push(finding);
    };
    let Some((blocks, lost)) = scan_blocks(name, file, preamble_bytes, index_offset) else {
        return unchecked("the blocks were not checked: they cannot be told apart".to_owned());
    };
    let count = blocks.blocks.len() as u64;
    let not_checked = counted(count, "block was not checked", "blocks were not checked");
    if let Some(lost) = lost {
        unchecked(format!(
            "{not_checked}, and from offset {} on they cannot be told apart",
            lost.offset
        ));
    } else if blocks.are_attested(preamble_bytes) {
        report.blocks += count;
        report.base_keys += blocks.blocks.iter().map(|block| u64::from(block.keys)).sum::<u64>();
        report.bytes += preamble_bytes;
        let text = "the RDB's own checksum is right, so its blocks are sound";
        report.remarks.push(format!("{name}: {text}"));
    } else {
        unchecked(format!(
            "{not_checked}: neither their index can be used nor the RDB's own checksum"
        ));
    }
}
