//! Values of all types, for tests.

use super::checksum::checksum;
use super::stream::encode_stream_node;
use super::{Writer, kind};
use crate::data::hash::FieldExpiry;
use crate::data::list::Side;
use crate::data::stream::{Count, Group, Pending, StreamId};
use crate::data::{Hash, KeyHasher, Limits, List, NewValue, Set, SortedSet, Stream, Value};
use proptest::prelude::*;

/// Small limits, so that values soon become big.
pub fn limits() -> Limits {
    Limits {
        hash_listpack_entries: 8,
        set_intset_entries: 8,
        set_listpack_entries: 8,
        sorted_set_listpack_entries: 8,
        list_listpack_size: 8,
        stream_node_entries: 5,
        ..Limits::new(KeyHasher::new((3, 4)))
    }
}

/// A borrowed view of a new value.
pub fn view<'a>(value: &'a NewValue<'_>) -> Value<'a> {
    match value {
        NewValue::Integer(number) => Value::Integer(*number),
        NewValue::Text { bytes, edited } => Value::Text { bytes, edited: *edited },
        NewValue::Loaded(bytes) => Value::Text { bytes, edited: false },
        NewValue::Buffer(bytes) => Value::Text { bytes, edited: true },
        NewValue::List(list) => Value::List(list),
        NewValue::Set(set) => Value::Set(set),
        NewValue::SortedSet(set) => Value::SortedSet(set),
        NewValue::Hash(hash) => Value::Hash(hash),
        NewValue::Stream(stream) => Value::Stream(stream),
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => "[a-c]{0,3}".prop_map(String::into_bytes),
        2 => (-300..300i64).prop_map(|number| number.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        1 => prop::collection::vec(0..3u8, 0..120),
        1 => prop::collection::vec(any::<u8>(), 0..60),
    ]
}

fn many() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![
        4 => prop::collection::vec(bytes(), 1..20),
        1 => prop::collection::vec((-9..9i64).prop_map(|n| n.to_string().into_bytes()), 1..6),
    ]
}

/// Any value.
pub fn value() -> impl Strategy<Value = NewValue<'static>> {
    let expiry = || prop::option::weighted(0.3, 1..1_000_000i64);
    prop_oneof![
        bytes().prop_map(|bytes| match crate::resp::request::parse_i64(&bytes) {
            Some(number) => NewValue::Integer(number),
            None => NewValue::Loaded(bytes),
        }),
        many().prop_map(|all| {
            let mut list = List::new();
            for element in &all {
                list.make_room(1, element.len(), &limits());
                list.push(Side::Right, element);
            }
            NewValue::List(list)
        }),
        many().prop_map(|all| {
            let mut set = Set::for_members(&all[0], all.len(), &limits());
            all.iter().for_each(|member| {
                set.insert(member, &limits());
            });
            NewValue::Set(set)
        }),
        (many(), prop::collection::vec(-3.0..3.0f64, 20)).prop_map(|(all, scores)| {
            let mut set = SortedSet::new(1, 1, &limits());
            for (member, score) in all.iter().zip(scores) {
                set.set(member, score, &limits());
            }
            NewValue::SortedSet(set)
        }),
        prop::collection::vec((bytes(), bytes(), expiry()), 1..20).prop_map(|all| {
            let mut hash = Hash::new();
            for (name, value, expiry) in &all {
                let expiry = expiry.map_or(FieldExpiry::Keep, FieldExpiry::At);
                hash.set(name, value, expiry, &limits());
            }
            NewValue::Hash(hash)
        }),
        (many(), prop::collection::vec(1..20u64, 0..10)).prop_map(|(all, picks)| {
            let mut stream = Stream::new();
            for (ms, value) in all.iter().enumerate() {
                let fields = [(&b"f"[..], &value[..]), (b"g", b"1")].into_iter().take(1 + ms % 2);
                stream.entries.append(StreamId::new(ms as u64 + 1, 7), fields, &limits());
            }
            let mut group = Group::new(StreamId::new(3, 0), Some(Count::new(2)));
            let consumers = [group.add(b"a", 5, None), group.add(b"b", 6, Some(7))];
            for (index, &ms) in picks.iter().enumerate() {
                let consumer = consumers[index % 2];
                let pending =
                    Pending { consumer, delivered_ms: ms as i64, deliveries: Count::new(ms) };
                group.deliver(StreamId::new(ms, 7), pending);
                if index % 3 == 0 {
                    stream.entries.delete(StreamId::new(ms, 7));
                }
            }
            stream.groups.insert(b"group"[..].into(), group);
            NewValue::Stream(stream)
        }),
    ]
}

/// The payload for `RESTORE` of an encoded value with its kind before it.
pub fn payload(encoded: &[u8]) -> Vec<u8> {
    let mut bytes = encoded.to_vec();
    bytes.extend_from_slice(&11u16.to_le_bytes());
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// A payload with a stream of up to three entries, a group and a consumer, of any of the three
/// kinds. Its length, counters and times are values that other servers may have written: extreme,
/// and contradictory.
pub fn extreme_stream(below: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
    const NUMBERS: [u64; 12] = [
        0,
        1,
        2,
        5,
        i64::MAX as u64 - 1,
        i64::MAX as u64,
        i64::MAX as u64 + 1,
        u64::MAX - 3,
        u64::MAX - 2,
        u64::MAX - 1,
        u64::MAX,
        1_700_000_000_000,
    ];
    let number = |below: &mut dyn FnMut(usize) -> usize| NUMBERS[below(NUMBERS.len())];
    let kind =
        [kind::STREAM_LISTPACKS, kind::STREAM_LISTPACKS_2, kind::STREAM_LISTPACKS_3][below(3)];
    let mut stream = Stream::new();
    let count = below(4) as u64;
    for ms in 1..=count {
        stream.entries.append(
            StreamId::new(ms, 0),
            [(&b"a"[..], &b"b"[..])].into_iter(),
            &limits(),
        );
    }
    let mut bytes = vec![kind];
    let mut writer = Writer::new(&mut bytes, false);
    writer.number(stream.entries.nodes().len() as u64);
    for (key, node) in stream.entries.nodes() {
        encode_stream_node(*key, node, &mut writer);
    }
    let id = |writer: &mut Writer<'_>, ms, seq| {
        writer.number(ms);
        writer.number(seq);
    };
    writer.number(number(below));
    id(&mut writer, count.max(number(below)), 0);
    if kind != kind::STREAM_LISTPACKS {
        id(&mut writer, number(below), number(below));
        id(&mut writer, number(below), number(below));
        writer.number(number(below));
    }
    writer.number(1);
    writer.string(b"a");
    id(&mut writer, number(below), number(below));
    if kind != kind::STREAM_LISTPACKS {
        writer.number(number(below));
    }
    let pending = StreamId::new(1 + below(3) as u64, 0).to_bytes();
    writer.number(1);
    writer.raw(&pending);
    writer.milliseconds(number(below) as i64);
    writer.number(number(below));
    writer.number(1);
    writer.string(b"b");
    writer.milliseconds(number(below) as i64);
    if kind == kind::STREAM_LISTPACKS_3 {
        writer.milliseconds(number(below) as i64);
    }
    writer.number(1);
    writer.raw(&pending);
    payload(&bytes)
}
