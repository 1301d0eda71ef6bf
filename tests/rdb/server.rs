//! What a server holds, asked for with commands.

use super::contents::{Bytes, Contents, Held, HeldGroup, HeldStream};
use super::support::{Client, Value, ok};
use std::collections::HashMap;

/// Everything in all databases.
pub fn contents(client: &mut Client, version: (u32, u32)) -> Contents {
    let mut contents = Contents::new();
    for db in 0..16 {
        assert_eq!(client.call(&format!("SELECT {db}")), ok());
        for key in client.call("KEYS *").items() {
            let key = bytes(key);
            let expiry_ms = ask(client, "PEXPIRETIME", &key, "").int();
            let held = held(client, &key, version);
            contents.insert((db, key), (held, (expiry_ms >= 0).then_some(expiry_ms)));
        }
    }
    contents
}

fn bytes(value: &Value) -> Bytes {
    match value {
        Value::Bulk(bytes) => bytes.clone(),
        other => panic!("no string: {other:?}"),
    }
}

fn all_bytes(value: &Value) -> Vec<Bytes> {
    value.items().iter().map(bytes).collect()
}

fn ask(client: &mut Client, command: &str, key: &[u8], rest: &str) -> Value {
    let words = |words: &str| -> Vec<Bytes> {
        words.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
    };
    client.call_args(&[words(command), vec![key.to_vec()], words(rest)].concat())
}

fn held(client: &mut Client, key: &[u8], version: (u32, u32)) -> Held {
    match &ask(client, "TYPE", key, "").text()[..] {
        "string" => Held::String(bytes(&ask(client, "GET", key, ""))),
        "list" => Held::List(all_bytes(&ask(client, "LRANGE", key, "0 -1"))),
        "set" => Held::Set(all_bytes(&ask(client, "SMEMBERS", key, "")).into_iter().collect()),
        "zset" => {
            let all = all_bytes(&ask(client, "ZRANGE", key, "0 -1 WITHSCORES"));
            let number = |text: &Bytes| str::from_utf8(text).unwrap().parse().unwrap();
            let pairs = all.chunks(2).map(|pair| (pair[0].clone(), number(&pair[1])));
            Held::SortedSet(pairs.collect())
        }
        "hash" => {
            let all = all_bytes(&ask(client, "HGETALL", key, ""));
            let names = all.iter().step_by(2);
            let times = if version >= (7, 4) {
                let count = (all.len() / 2).to_string();
                let mut args = [&b"HPEXPIRETIME"[..], key, b"FIELDS", count.as_bytes()].to_vec();
                args.extend(names.map(|name| &name[..]));
                client.call_args(&args).items().iter().map(Value::int).collect()
            } else {
                vec![-1; all.len() / 2]
            };
            let fields = all.chunks(2).zip(times).map(|(pair, time)| {
                (pair[0].clone(), (pair[1].clone(), (time >= 0).then_some(time)))
            });
            Held::Hash(fields.collect())
        }
        "stream" => Held::Stream(stream(client, key)),
        other => panic!("{other}"),
    }
}

/// A reply of names and values by turns.
fn fields(value: &Value) -> HashMap<String, &Value> {
    value.items().chunks(2).map(|pair| (pair[0].text(), &pair[1])).collect()
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn stream(client: &mut Client, key: &[u8]) -> HeldStream {
    let reply = ask(client, "XINFO STREAM", key, "FULL COUNT 0");
    let info = fields(&reply);
    let entries = info["entries"].items().iter().map(|entry| {
        let pairs = all_bytes(&entry.items()[1]);
        let pairs = pairs.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        (entry.items()[0].text(), pairs)
    });
    let groups = info["groups"].items().iter().map(|group| {
        let info = fields(group);
        let pending = info["pending"].items().iter().map(|entry| {
            let [id, consumer, time, count] = entry.items() else { panic!("{entry:?}") };
            (id.text(), bytes(consumer), time.int(), count.int() as u64)
        });
        let consumers = info["consumers"].items().iter().map(|consumer| {
            let info = fields(consumer);
            let active = info.get("active-time").map(|time| time.int()).filter(|&ms| ms != -1);
            (bytes(info["name"]), (info["seen-time"].int(), active))
        });
        let group = HeldGroup {
            last_id: info["last-delivered-id"].text(),
            entries_read: number(info["entries-read"]),
            pending: pending.collect(),
            consumers: consumers.collect(),
        };
        (bytes(info["name"]), group)
    });
    HeldStream {
        entries: entries.collect(),
        last_id: info["last-generated-id"].text(),
        max_deleted_id: info["max-deleted-entry-id"].text(),
        entries_added: number(info["entries-added"]).unwrap(),
        groups: groups.collect(),
    }
}
