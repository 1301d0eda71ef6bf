//! Streams: their listpacks unchanged, their counters, and their consumer groups.

use super::{Error, Reader, Writer, kind};
use crate::data::Stream;
use crate::data::stream::{
    Count, Counters, Entries, Group, Groups, Node, Parts, Pending, StreamId,
};
use std::collections::BTreeMap;

/// Encodes an unknown number.
const UNKNOWN: u64 = u64::MAX;

/// Bytes of an id in the lists of pending entries.
const ID_BYTES: usize = 16;

pub(super) fn encode(stream: &Stream, kind: u8, writer: &mut Writer<'_>) {
    let entries = &stream.entries;
    writer.number(entries.nodes().len() as u64);
    for (key, node) in entries.nodes() {
        encode_stream_node(*key, node, writer);
    }
    let (len, first_id) = (entries.len(), entries.first_id());
    encode_tail(entries.counters(), len, first_id, &stream.groups, kind, writer);
}

/// Appends a node of a stream.
pub fn encode_stream_node(key: StreamId, node: &Node, writer: &mut Writer<'_>) {
    writer.string(&key.to_bytes());
    writer.string(node.as_bytes());
}

/// Appends what follows a stream's nodes. Fields that an older version lacks are left out; its
/// readers estimate them.
pub fn encode_tail(
    counters: Counters,
    len: u64,
    first_id: StreamId,
    groups: &Groups,
    kind: u8,
    writer: &mut Writer<'_>,
) {
    writer.number(len);
    write_id(writer, counters.last_id);
    if kind != kind::STREAM_LISTPACKS {
        write_id(writer, first_id);
        write_id(writer, counters.max_deleted_id);
        writer.number(counters.entries_added.get());
    }
    writer.number(groups.len() as u64);
    for (name, group) in groups {
        writer.string(name);
        write_id(writer, group.last_id);
        if kind != kind::STREAM_LISTPACKS {
            writer.number(group.entries_read.map_or(UNKNOWN, Count::get));
        }
        writer.number(group.pending().len() as u64);
        for (id, pending) in group.pending().iter() {
            writer.raw(&id.to_bytes());
            writer.milliseconds(pending.delivered_ms);
            writer.number(pending.deliveries.get());
        }
        writer.number(group.consumers().len() as u64);
        for (_, consumer) in group.consumers() {
            writer.string(consumer.name());
            writer.milliseconds(consumer.seen_ms);
            if kind == kind::STREAM_LISTPACKS_3 {
                writer.milliseconds(consumer.active_ms.unwrap_or(-1));
            }
            writer.number(consumer.pending().len() as u64);
            for (id, ()) in consumer.pending().iter() {
                writer.raw(&id.to_bytes());
            }
        }
    }
}

fn write_id(writer: &mut Writer<'_>, id: StreamId) {
    writer.number(id.ms);
    writer.number(id.seq);
}

fn read_id(reader: &mut Reader<'_>) -> Result<StreamId, Error> {
    Ok(StreamId::new(reader.number()?, reader.number()?))
}

/// An id in its 16 bytes.
fn raw_id(bytes: &[u8], reader: &Reader<'_>) -> Result<StreamId, Error> {
    let bytes = bytes.try_into().map_err(|_| reader.error("an id of another length than 16"))?;
    Ok(StreamId::from_bytes(bytes))
}

pub(super) fn decode(kind: u8, reader: &mut Reader<'_>) -> Result<Stream, Error> {
    let mut nodes = BTreeMap::new();
    reader.reading("the count of a stream's nodes");
    for _ in 0..reader.count(2)? {
        reader.reading("a stream's node");
        let key = reader.string()?;
        let key = raw_id(&key, reader)?;
        let bytes = reader.string()?;
        let node = Node::from_bytes(key, &bytes).map_err(|error| reader.error(error.what))?;
        if nodes.insert(key, node).is_some() {
            return Err(reader.error("a stream with two nodes of one id"));
        }
    }
    reader.reading("a stream's length and ids");
    // Early versions could miscount trimmed entries, and later ones keep that count: the entries
    // are authoritative.
    let len = reader.number()?;
    let last_id = read_id(reader)?;
    let counters = if kind == kind::STREAM_LISTPACKS {
        Counters { last_id, max_deleted_id: StreamId::MIN, entries_added: Count::new(len) }
    } else {
        // The first entry's id is for readers that cannot find it.
        read_id(reader)?;
        let max_deleted_id = read_id(reader)?;
        Counters { last_id, max_deleted_id, entries_added: Count::new(reader.number()?) }
    };
    let entries = Entries::from_nodes(nodes, counters);
    let entries = entries.ok_or(reader.error("a stream whose entries are not in order"))?;
    let mut groups = Groups::new();
    reader.reading("the count of a stream's groups");
    for _ in 0..reader.count(5)? {
        reader.reading("a consumer group");
        let name = reader.string()?;
        let group = decode_group(kind, reader, &entries)?;
        if groups.insert(name.into(), group).is_some() {
            return Err(reader.error("a stream with two groups of one name"));
        }
    }
    Ok(Stream::from_parts(Parts { entries, groups }))
}

fn decode_group(kind: u8, reader: &mut Reader<'_>, entries: &Entries) -> Result<Group, Error> {
    let last_id = read_id(reader)?;
    let entries_read = if kind == kind::STREAM_LISTPACKS {
        entries.count_at(last_id)
    } else {
        Some(reader.number()?).filter(|&number| number != UNKNOWN).map(Count::new)
    };
    let mut pending = BTreeMap::new();
    reader.reading("a consumer group's pending entries");
    for _ in 0..reader.count(ID_BYTES + 9)? {
        let id = reader.take(ID_BYTES)?;
        let id = raw_id(id, reader)?;
        let (delivered_ms, deliveries) = (reader.milliseconds()?, Count::new(reader.number()?));
        if pending.insert(id, (delivered_ms, deliveries)).is_some() {
            return Err(reader.error("an entry that is pending twice"));
        }
    }
    let mut group = Group::new(last_id, entries_read);
    reader.reading("the count of a group's consumers");
    for _ in 0..reader.count(10)? {
        reader.reading("a consumer");
        let name = reader.string()?;
        if group.find(&name).is_some() {
            return Err(reader.error("two consumers of one name"));
        }
        let seen_ms = reader.milliseconds()?;
        let active_ms = if kind == kind::STREAM_LISTPACKS_3 {
            Some(reader.milliseconds()?).filter(|&ms| ms != -1)
        } else {
            Some(seen_ms)
        };
        let consumer = group.add(&name, seen_ms, active_ms);
        for _ in 0..reader.count(ID_BYTES)? {
            let id = reader.take(ID_BYTES)?;
            let id = raw_id(id, reader)?;
            // Removed, so that no entry is pending for two consumers.
            let (delivered_ms, deliveries) = pending
                .remove(&id)
                .ok_or(reader.error("an entry that is pending for a consumer only"))?;
            group.deliver(id, Pending { consumer, delivered_ms, deliveries });
        }
    }
    if !pending.is_empty() {
        return Err(reader.error("an entry that is pending for no consumer"));
    }
    Ok(group)
}
