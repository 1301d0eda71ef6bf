//! Any bytes as the entries of a stream's node, and then what commands do to it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay::data::stream::{Bound, Counters, Entries, Node, StreamId};
use std::collections::BTreeMap;

fn contents(entries: &Entries) -> Vec<(StreamId, Vec<(Vec<u8>, Vec<u8>)>)> {
    let all = entries.range(StreamId::MIN, StreamId::MAX);
    let all = all.map(|(id, fields)| {
        (id, fields.map(|(field, value)| (field.to_vec(), value.to_vec())).collect())
    });
    all.collect()
}

fn check(entries: &Entries) {
    let all = contents(entries);
    assert_eq!(all.len() as u64, entries.len());
    let back: Vec<_> = entries.range_back(StreamId::MIN, StreamId::MAX).map(|(id, _)| id).collect();
    assert!(back.iter().rev().eq(all.iter().map(|(id, _)| id)));
    for (id, fields) in &all {
        let found = entries.get(*id).expect("it is there");
        assert!(found.map(|(field, value)| (field.to_vec(), value.to_vec())).eq(fields.clone()));
    }
    for (key, node) in entries.nodes() {
        Node::from_bytes(*key, node.as_bytes()).expect("its own bytes are valid");
    }
}

// The node's key as a stream in RDB has it, a number of edits, the edits, the node.
fuzz_target!(|data: &[u8]| {
    let Some((key, data)) = data.split_first_chunk::<16>() else { return };
    let Some((&count, data)) = data.split_first() else { return };
    let Some((edits, bytes)) = data.split_at_checked(usize::from(count)) else { return };
    let key = StreamId::from_bytes(*key);
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 7 {
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        *bytes.last_mut().expect("not empty") = 0xff;
    }
    let Ok(node) = Node::from_bytes(key, &bytes) else { return };
    assert_eq!(node.as_bytes(), bytes);
    let counters = Counters { last_id: StreamId::MAX, ..Counters::default() };
    let Some(mut entries) = Entries::from_nodes(BTreeMap::from([(key, node)]), counters) else {
        return;
    };
    check(&entries);
    for &edit in edits {
        let all = contents(&entries);
        let Some((id, _)) = all.get(usize::from(edit) % all.len().max(1)) else { break };
        if edit & 0x80 == 0 {
            assert!(entries.delete(*id));
            assert!(entries.get(*id).is_none());
        } else {
            let trimmed = entries.trim(Bound::Id(*id), edit & 0x40 != 0, None);
            assert_eq!(entries.len() + trimmed, all.len() as u64);
        }
        check(&entries);
    }
});
