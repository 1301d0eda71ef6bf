//! The descriptions beside the corpus's files.
//!
//! They are text, so bytes that are none have become U+FFFD, and an entry's fields have lost their order.

use super::contents::{Bytes, Contents, Held, HeldGroup, HeldStream};
use serde_json::Value;

/// What a description says: the keys, and function libraries.
pub fn parse(text: &str) -> (Contents, Vec<Bytes>) {
    let all: Value = serde_json::from_str(text).expect("JSON");
    let (mut contents, mut functions) = (Contents::new(), Vec::new());
    for object in all.as_array().expect("an array") {
        let held = match object["type"].as_str().expect("a type") {
            "aux" => continue,
            "functions" => {
                functions.push(bytes(&object["functionsLua"]));
                continue;
            }
            "string" => Held::String(bytes(&object["value"])),
            "list" => Held::List(all_bytes(&object["values"])),
            "set" => Held::Set(all_bytes(&object["members"]).into_iter().collect()),
            "zset" => {
                let entry = |entry: &Value| {
                    let score = entry["score"].as_f64().expect("a score");
                    (bytes(&entry["member"]), score)
                };
                let mut all: Vec<_> = array(&object["entries"]).iter().map(entry).collect();
                all.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
                Held::SortedSet(all)
            }
            "hash" => {
                let times = &object["expire"];
                let field = |(name, value): (&String, &Value)| {
                    let time = times.get(name).and_then(Value::as_i64).filter(|&ms| ms > 0);
                    (name.as_bytes().to_vec(), (bytes(value), time))
                };
                Held::Hash(object["hash"].as_object().expect("fields").iter().map(field).collect())
            }
            "stream" => Held::Stream(stream(object)),
            other => panic!("{other}"),
        };
        let db = u32::try_from(object["db"].as_u64().expect("a number")).expect("a database");
        let expiry_ms = object.get("expiration").map(|time| unix_ms(time.as_str().expect("text")));
        contents.insert((db, bytes(&object["key"])), (held, expiry_ms));
    }
    (contents, functions)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn bytes(value: &Value) -> Bytes {
    value.as_str().expect("text").as_bytes().to_vec()
}

fn all_bytes(value: &Value) -> Vec<Bytes> {
    array(value).iter().map(bytes).collect()
}

fn stream(object: &Value) -> HeldStream {
    let text = |value: &Value| value.as_str().unwrap_or("0-0").to_owned();
    let messages = array(&object["entries"]).iter().flat_map(|node| array(&node["msgs"]));
    let live = messages.filter(|message| message["deleted"] == Value::Bool(false));
    let entries = live.map(|message| {
        let fields = message["fields"].as_object().expect("fields").iter();
        let fields = fields.map(|(field, value)| (field.as_bytes().to_vec(), bytes(value)));
        (text(&message["id"]), fields.collect())
    });
    let groups = array(&object["groups"]).iter().map(|group| {
        let mut held = HeldGroup {
            last_id: text(&group["lastId"]),
            entries_read: group["entriesRead"].as_u64(),
            ..HeldGroup::default()
        };
        for consumer in array(&group["consumers"]) {
            let name = bytes(&consumer["name"]);
            let seen = consumer["seenTime"].as_i64().expect("a time");
            held.consumers.insert(name.clone(), (seen, consumer["activeTime"].as_i64()));
            for id in array(&consumer["pending"]) {
                let mut all = array(&group["pending"]).iter();
                let pending = all.find(|pending| pending["id"] == *id).expect("it is pending");
                let (time, count) = (&pending["deliveryTime"], &pending["deliveryCount"]);
                let (time, count) = (time.as_i64().unwrap(), count.as_u64().unwrap());
                held.pending.push((text(id), name.clone(), time, count));
            }
        }
        held.pending.sort();
        (bytes(&group["name"]), held)
    });
    HeldStream {
        entries: entries.collect(),
        last_id: text(&object["lastId"]),
        max_deleted_id: text(&object["maxDeletedId"]),
        // The first version of streams does not say it.
        entries_added: object["addedEntriesCount"].as_u64().unwrap_or(0),
        groups: groups.collect(),
    }
}

/// A time as `2022-12-25T18:11:12.573+08:00`.
fn unix_ms(text: &str) -> i64 {
    let (date, rest) = text.split_once('T').expect("a date and a time");
    let (time, zone) = match rest.split_once(['+', 'Z']) {
        Some((time, "")) => (time, "00:00"),
        Some((time, zone)) => (time, zone),
        None => panic!("a zone in the west: {text}"),
    };
    let numbers = |text: &str, at: char| -> Vec<f64> {
        text.split(at).map(|number| number.parse().expect("a number")).collect()
    };
    let (date, time, zone) = (numbers(date, '-'), numbers(time, ':'), numbers(zone, ':'));
    let (year, month, day) = (date[0] as i64, date[1] as i64, date[2] as i64);
    // Days since a first of March, so that leap days come last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let minutes = (days - 719_468) * 1440 + (time[0] - zone[0]) as i64 * 60;
    let minutes = minutes + (time[1] - zone[1]) as i64;
    minutes * 60_000 + (time[2] * 1000.0).round() as i64
}

/// What a description would say of these keys.
pub fn as_described(contents: Contents) -> Contents {
    let described = |((db, key), (held, expiry_ms))| {
        let held = match held {
            Held::String(bytes) => Held::String(text(bytes)),
            Held::List(all) => Held::List(all.into_iter().map(text).collect()),
            Held::Set(all) => Held::Set(all.into_iter().map(text).collect()),
            Held::SortedSet(all) => {
                Held::SortedSet(all.into_iter().map(|(name, score)| (text(name), score)).collect())
            }
            Held::Hash(all) => {
                let field = |(name, (value, time))| (text(name), (text(value), time));
                Held::Hash(all.into_iter().map(field).collect())
            }
            Held::Stream(mut stream) => {
                for (_, fields) in &mut stream.entries {
                    let last: std::collections::BTreeMap<_, _> = fields.drain(..).collect();
                    fields.extend(last);
                }
                Held::Stream(stream)
            }
        };
        ((db, text(key)), (held, expiry_ms))
    };
    contents.into_iter().map(described).collect()
}

/// Bytes as text, with one U+FFFD for each byte that is none.
fn text(bytes: Bytes) -> Bytes {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    text.into_bytes()
}
