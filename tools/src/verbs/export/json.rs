//! JSON lines: a key a line. The form is that of the help page.

use crate::output::{Failure, JsonText};
use mainstay::data::listpack::Element;
use mainstay::data::stream::{Count, Group, StreamId};
use mainstay::data::{Stream, Value};
use mainstay::keyspace::Entry;
use serde::ser::{SerializeMap, SerializeTuple};
use serde::{Serialize, Serializer};
use std::io::Write;

/// Writes a key.
pub(super) fn key(out: &mut dyn Write, db: u32, entry: Entry<'_>) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        db: u32,
        key: JsonText<'a>,
        #[serde(rename = "type")]
        kind: &'static str,
        expiry_ms: Option<i64>,
        value: JsonValue<'a>,
    }
    let value = entry.value();
    let line = Line {
        db,
        key: JsonText(entry.key()),
        kind: value.type_name(),
        expiry_ms: entry.expiry_ms(),
        value: JsonValue(value),
    };
    write_line(out, &line)
}

/// Writes a library of functions.
pub(super) fn function(out: &mut dyn Write, source: &[u8]) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        function: JsonText<'a>,
    }
    write_line(out, &Line { function: JsonText(source) })
}

fn write_line(mut out: &mut dyn Write, line: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer(&mut out, line).map_err(std::io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// An element of a collection.
struct Text<'a>(Element<'a>);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.with_bytes(|bytes| JsonText(bytes).serialize(serializer))
    }
}

/// A value, element by element.
struct JsonValue<'a>(Value<'a>);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Integer(number) => serializer.collect_str(&number),
            Value::Text { bytes, .. } => JsonText(bytes).serialize(serializer),
            Value::List(list) => serializer.collect_seq(list.iter().map(Text)),
            Value::Set(set) => serializer.collect_seq(set.iter().map(Text)),
            Value::SortedSet(set) => serializer.collect_seq(
                set.iter(0, set.len(), false).map(|entry| (Text(entry.member), Score(entry.score))),
            ),
            Value::Hash(hash) => {
                #[derive(Serialize)]
                struct Field<'a> {
                    field: Text<'a>,
                    value: Text<'a>,
                    #[serde(skip_serializing_if = "Option::is_none")]
                    expiry_ms: Option<i64>,
                }
                serializer.collect_seq(hash.iter().map(|field| Field {
                    field: Text(field.name),
                    value: Text(field.value),
                    expiry_ms: field.expiry_ms,
                }))
            }
            Value::Stream(stream) => JsonStream(stream).serialize(serializer),
        }
    }
}

/// A score: a number where JSON has one for it.
struct Score(f64);

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

struct JsonStream<'a>(&'a Stream);

impl Serialize for JsonStream<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counters = self.0.entries.counters();
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("entries", &StreamEntries(self.0))?;
        map.serialize_entry("last_id", &counters.last_id.to_string())?;
        map.serialize_entry("max_deleted_id", &counters.max_deleted_id.to_string())?;
        map.serialize_entry("entries_added", &counters.entries_added.get())?;
        map.serialize_entry("groups", &Groups(self.0))?;
        map.end()
    }
}

struct StreamEntries<'a>(&'a Stream);

impl Serialize for StreamEntries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'a> {
            id: String,
            fields: Vec<Pair<'a>>,
        }
        struct Pair<'a>(Element<'a>, Element<'a>);
        impl Serialize for Pair<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut pair = serializer.serialize_tuple(2)?;
                pair.serialize_element(&Text(self.0))?;
                pair.serialize_element(&Text(self.1))?;
                pair.end()
            }
        }
        let entries = self.0.entries.range(StreamId::MIN, StreamId::MAX);
        serializer.collect_seq(entries.map(|(id, fields)| Entry {
            id: id.to_string(),
            fields: fields.map(|(name, value)| Pair(name, value)).collect(),
        }))
    }
}

struct Groups<'a>(&'a Stream);

impl Serialize for Groups<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct JsonGroup<'a> {
            name: JsonText<'a>,
            last_id: String,
            entries_read: Option<u64>,
            consumers: Vec<Consumer<'a>>,
            pending: Pending<'a>,
        }
        #[derive(Serialize)]
        struct Consumer<'a> {
            name: JsonText<'a>,
            seen_ms: i64,
            active_ms: Option<i64>,
        }
        let groups = self.0.groups.iter();
        serializer.collect_seq(groups.map(|(name, group)| {
            JsonGroup {
                name: JsonText(name),
                last_id: group.last_id.to_string(),
                entries_read: group.entries_read.map(Count::get),
                consumers: group
                    .consumers()
                    .map(|(_, consumer)| Consumer {
                        name: JsonText(consumer.name()),
                        seen_ms: consumer.seen_ms,
                        active_ms: consumer.active_ms,
                    })
                    .collect(),
                pending: Pending(group),
            }
        }))
    }
}

struct Pending<'a>(&'a Group);

impl Serialize for Pending<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Delivery<'a> {
            id: String,
            consumer: JsonText<'a>,
            delivered_ms: i64,
            deliveries: u64,
        }
        serializer.collect_seq(self.0.pending().iter().map(|(id, pending)| Delivery {
            id: id.to_string(),
            consumer: JsonText(self.0.consumer(pending.consumer).name()),
            delivered_ms: pending.delivered_ms,
            deliveries: pending.deliveries.get(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay::data::hash::FieldExpiry;
    use mainstay::data::{Hash, KeyHasher, Limits, NewValue, SortedSet};
    use mainstay::keyspace::EntryBox;

    fn line(value: NewValue<'_>, expiry_ms: Option<i64>) -> String {
        let mut out = Vec::new();
        key(&mut out, 3, EntryBox::new(b"k\xff", value, expiry_ms, 0).view()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_as_the_help_page_says() {
        let limits = Limits::new(KeyHasher::new((1, 2)));
        let start = r#"{"db":3,"key":{"base64":"a/8="},"type":"#;
        assert_eq!(
            line(NewValue::Integer(-5), Some(7)),
            format!("{start}\"string\",\"expiry_ms\":7,\"value\":\"-5\"}}\n")
        );
        let mut set = SortedSet::new(2, 1, &limits);
        set.set(b"a", 1.5, &limits);
        set.set(b"\xfe", f64::INFINITY, &limits);
        assert_eq!(
            line(NewValue::SortedSet(set), None),
            format!(
                "{start}\"zset\",\"expiry_ms\":null,\"value\":[[\"a\",1.5],[{{\"base64\":\"/g==\"}},\
                 \"inf\"]]}}\n"
            )
        );
        let mut hash = Hash::new();
        hash.set(b"f", b"1", FieldExpiry::At(9), &limits);
        assert_eq!(
            line(NewValue::Hash(hash), None),
            format!(
                "{start}\"hash\",\"expiry_ms\":null,\"value\":[{{\"field\":\"f\",\"value\":\"1\",\
                 \"expiry_ms\":9}}]}}\n"
            )
        );
    }
}
