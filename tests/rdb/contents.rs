//! What a data set holds, and what the library finds in a file.

use mainstay::data::stream::StreamId;
use mainstay::data::{KeyHasher, Limits, NewValue, Stream};
use mainstay::rdb::file::{FileError, FileReader, Record};
use std::collections::{BTreeMap, BTreeSet};

pub type Bytes = Vec<u8>;

/// All keys: database and name, value, expiry time in ms.
pub type Contents = BTreeMap<(u32, Bytes), (Held, Option<i64>)>;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Held {
    String(Bytes),
    List(Vec<Bytes>),
    Set(BTreeSet<Bytes>),
    SortedSet(Vec<(Bytes, f64)>),
    /// Names, values, expiry times.
    Hash(BTreeMap<Bytes, (Bytes, Option<i64>)>),
    Stream(HeldStream),
}

/// A stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeldStream {
    /// Ids, fields.
    pub entries: Vec<(String, Vec<(Bytes, Bytes)>)>,
    pub last_id: String,
    pub max_deleted_id: String,
    pub entries_added: u64,
    pub groups: BTreeMap<Bytes, HeldGroup>,
}

/// A consumer group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeldGroup {
    pub last_id: String,
    pub entries_read: Option<u64>,
    /// Id, consumer, time of delivery, number of deliveries.
    pub pending: Vec<(String, Bytes, i64, u64)>,
    /// When they were seen, and when they were active.
    pub consumers: BTreeMap<Bytes, (i64, Option<i64>)>,
}

pub fn limits() -> Limits {
    Limits::new(KeyHasher::new((1, 2)))
}

/// What a file holds besides keys.
#[derive(Debug, Default)]
pub struct Others {
    pub aux: Vec<(String, String)>,
    pub functions: Vec<Bytes>,
    pub empty_keys: u64,
    /// Offset of what follows.
    pub end: u64,
}

/// Reads a file with the library.
pub fn read(bytes: &[u8]) -> Result<(Contents, Others), FileError> {
    let (mut contents, mut others) = (Contents::new(), Others::default());
    let mut db = 0;
    let mut reader = FileReader::open(bytes, limits(), false)?;
    while let Some(repeated) = reader.next(|record| {
        match record {
            Record::SelectDatabase(number) => db = number,
            Record::Aux { name, value } => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                others.aux.push((text(&name), text(&value)));
            }
            Record::Function(source) => others.functions.push(source.into_owned()),
            Record::Key(record) => {
                let key = record.key.into_owned();
                let held = (held(&record.value), record.expiry_ms);
                return contents.insert((db, key.clone()), held).map(|_| key);
            }
            _ => {}
        }
        None
    })? {
        if let Some(key) = repeated {
            return Err(reader.duplicate(&key));
        }
    }
    others.empty_keys = reader.skipped().empty_keys;
    others.end = reader.offset();
    Ok((contents, others))
}

fn held(value: &NewValue<'_>) -> Held {
    match value {
        NewValue::Integer(number) => Held::String(number.to_string().into_bytes()),
        NewValue::Text { bytes, .. } => Held::String(bytes.to_vec()),
        NewValue::Buffer(bytes) => Held::String(bytes.to_vec()),
        NewValue::Loaded(bytes) => Held::String(bytes.clone()),
        NewValue::List(list) => Held::List(list.iter().map(|element| element.to_vec()).collect()),
        NewValue::Set(set) => Held::Set(set.iter().map(|member| member.to_vec()).collect()),
        NewValue::SortedSet(set) => {
            let all = set.iter(0, usize::MAX, false);
            Held::SortedSet(all.map(|entry| (entry.member.to_vec(), entry.score)).collect())
        }
        NewValue::Hash(hash) => {
            let field = |field: mainstay::data::hash::Field<'_>| {
                (field.name.to_vec(), (field.value.to_vec(), field.expiry_ms))
            };
            Held::Hash(hash.iter().map(field).collect())
        }
        NewValue::Stream(stream) => Held::Stream(held_stream(stream)),
    }
}

fn held_stream(stream: &Stream) -> HeldStream {
    let counters = stream.entries.counters();
    let entries = stream.entries.range(StreamId::MIN, StreamId::MAX).map(|(id, fields)| {
        (id.to_string(), fields.map(|(field, value)| (field.to_vec(), value.to_vec())).collect())
    });
    let groups = stream.groups.iter().map(|(name, group)| {
        let pending = group.pending().iter().map(|(id, pending)| {
            let consumer = group.consumer(pending.consumer).name().to_vec();
            (id.to_string(), consumer, pending.delivered_ms, pending.deliveries.get())
        });
        let consumers = group.consumers().map(|(_, consumer)| {
            (consumer.name().to_vec(), (consumer.seen_ms, consumer.active_ms))
        });
        let group = HeldGroup {
            last_id: group.last_id.to_string(),
            entries_read: group.entries_read.map(|count| count.get()),
            pending: pending.collect(),
            consumers: consumers.collect(),
        };
        (name.to_vec(), group)
    });
    HeldStream {
        entries: entries.collect(),
        last_id: counters.last_id.to_string(),
        max_deleted_id: counters.max_deleted_id.to_string(),
        entries_added: counters.entries_added.get(),
        groups: groups.collect(),
    }
}

/// Says which keys differ, if any do.
#[track_caller]
pub fn assert_same(found: &Contents, expected: &Contents, what: &str) {
    let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    for key in keys {
        let (found, expected) = (found.get(key), expected.get(key));
        assert!(
            found == expected,
            "{what}: database {}, key {}:\n  found    {found:?}\n  expected {expected:?}",
            key.0,
            key.1.escape_ascii()
        );
    }
}
