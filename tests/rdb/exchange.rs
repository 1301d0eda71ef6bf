//! Files from a real Redis to the library, and back to a real Redis.

use super::contents::{Contents, Held, HeldStream, assert_same, limits, read};
use super::server;
use super::support::{Client, Redis, Value, noise};
use mainstay::data::{self, NewValue};
use mainstay::rdb::checksum::Checksum;
use mainstay::rdb::file::{self, Access, FileReader, Record};
use mainstay::rdb::{Dialect, Target};

/// Makes keys of all types and encodings, in several databases.
fn fill(client: &mut Client, version: (u32, u32)) {
    let call = |client: &mut Client, line: &str| {
        let reply = client.call(line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
    };
    let integers = [0, -1, 127, -129, 32_768, -40_000, 3_000_000_000, i64::MIN, i64::MAX];
    for (index, integer) in integers.iter().enumerate() {
        call(client, &format!("SET int:{index} {integer}"));
        call(client, &format!("RPUSH list:integers {integer}"));
        call(client, &format!("SADD set:integers:{} {integer}", index / 3));
        call(client, &format!("ZADD zset:integers {integer} {integer}"));
        call(client, &format!("HSET hash:integers {integer} {integer}"));
    }
    call(client, "SET empty ''");
    call(client, "SET 12345 a:key:that:is:a:number");
    for (name, value) in [("noise", noise(30_000, 1)), ("repeats", b"again and ".repeat(3_000))] {
        client.call_args(&[&b"SET"[..], name.as_bytes(), &value]);
        client.call_args(&[&b"RPUSH"[..], b"list:long", &value, b"short", &value]);
        client.call_args(&[&b"HSET"[..], b"hash:long", name.as_bytes(), &value]);
        client.call_args(&[&b"SADD"[..], b"set:long", &value[..100]]);
        client.call_args(&[&b"ZADD"[..], b"zset:long", b"1.5", &value[..100]]);
    }
    for index in 0..700 {
        call(client, &format!("RPUSH list:big element:{index}"));
        call(client, &format!("SADD set:big member:{index}"));
        call(client, &format!("SADD set:intset:big {}", index * index * 1000));
        call(client, &format!("ZADD zset:big {}.25 member:{index}", index % 50));
        call(client, &format!("HSET hash:big field:{index} value:{index}"));
    }
    call(client, "SADD set:small a b 3");
    call(client, "ZADD zset:small -inf low 0 zero 1e300 high +inf top 3 c 3 b 3 a -0.1 d");
    call(client, "HSET hash:small a 1 b two c ''");
    call(client, "PFADD hyperloglog a b c d e");
    for index in 1..300 {
        let line = if index % 7 == 0 { "other 1 fields 2" } else { "field value number 12" };
        call(client, &format!("XADD stream {index}-{} {line}", index % 3));
    }
    call(client, "XDEL stream 5-2 299-2");
    call(client, "XGROUP CREATE stream group 0");
    call(client, "XREADGROUP GROUP group alice COUNT 20 STREAMS stream >");
    call(client, "XREADGROUP GROUP group bob COUNT 5 STREAMS stream >");
    call(client, "XACK stream group 3-0");
    call(client, "XGROUP CREATECONSUMER stream group idle");
    call(client, "XGROUP CREATE stream other 17-1");
    call(client, "XADD stream:empty 7-7 a b");
    call(client, "XTRIM stream:empty MAXLEN 0");
    call(client, "PEXPIREAT noise 4102444800123");
    call(client, "SELECT 9");
    call(client, "SET expires later PXAT 4102444800000");
    call(client, "RPUSH list a b c");
    if version >= (7, 4) {
        call(client, "HSET hash:expiring a 1 b 2 c 3");
        call(client, "HPEXPIREAT hash:expiring 4102444800000 FIELDS 1 b");
        call(client, "HPEXPIREAT hash:expiring 4102444800900 FIELDS 1 c");
        for index in 0..600 {
            call(client, &format!("HSET hash:expiring:big field:{index} value"));
        }
        call(client, "HPEXPIREAT hash:expiring:big 4102444805000 FIELDS 2 field:1 field:2");
        call(client, "HPEXPIREAT hash:expiring:big 4102444804000 FIELDS 1 field:3");
        // Once a field was one that expires.
        call(client, "HSET hash:persistent a 1 b 2");
        call(client, "HPEXPIREAT hash:persistent 4102444800000 FIELDS 1 a");
        call(client, "HPERSIST hash:persistent FIELDS 1 a");
    }
    call(client, "SELECT 0");
}

fn view<'a>(value: &'a NewValue<'_>) -> data::Value<'a> {
    match value {
        NewValue::Integer(number) => data::Value::Integer(*number),
        NewValue::Text { bytes, edited } => data::Value::Text { bytes, edited: *edited },
        NewValue::Loaded(bytes) => data::Value::Text { bytes, edited: false },
        NewValue::Buffer(bytes) => data::Value::Text { bytes, edited: true },
        NewValue::List(list) => data::Value::List(list),
        NewValue::Set(set) => data::Value::Set(set),
        NewValue::SortedSet(set) => data::Value::SortedSet(set),
        NewValue::Hash(hash) => data::Value::Hash(hash),
        NewValue::Stream(stream) => data::Value::Stream(stream),
    }
}

/// The same file, written anew for a target. What that cannot hold is left out, and named.
fn rewritten(bytes: &[u8], target: Target, compress: bool) -> (Vec<u8>, Vec<String>) {
    let (mut out, mut refused) = (Vec::new(), Vec::new());
    file::header(target, &mut out);
    file::aux("redis-ver", b"7.4.1", &mut out);
    let mut reader = FileReader::open(bytes, limits(), false).unwrap();
    while let Some(()) = reader
        .next(|record| match record {
            Record::SelectDatabase(db) => file::select_database(db, &mut out),
            Record::ResizeDatabase { keys, expiring } => {
                file::resize_database(keys, expiring, &mut out);
            }
            Record::Key(record) => {
                let (key, value, access) = (&record.key, view(&record.value), Access::None);
                let expiry_ms = record.expiry_ms;
                let written =
                    file::key_record(key, value, expiry_ms, access, target, compress, &mut out);
                refused.extend(written.err().map(|error| error.to_string()));
            }
            Record::Aux { .. } | Record::End => {}
            other => panic!("{other:?}"),
        })
        .unwrap()
    {}
    let mut checksum = Checksum::new();
    checksum.update(&out);
    file::footer(Some(checksum), &mut out);
    (out, refused)
}

/// What a version keeps of these keys.
fn kept(mut contents: Contents, target: Target) -> Contents {
    let expires = |held: &Held| match held {
        Held::Hash(fields) => fields.values().any(|(_, time)| time.is_some()),
        _ => false,
    };
    if target < Target::V12 {
        contents.retain(|_, (held, _)| !expires(held));
    }
    for (held, _) in contents.values_mut() {
        let Held::Stream(stream) = held else { continue };
        for group in stream.groups.values_mut() {
            if target < Target::V10 {
                group.entries_read = None;
            }
            if target < Target::V11 {
                group.consumers.values_mut().for_each(|consumer| consumer.1 = None);
            }
        }
        if target < Target::V10 {
            *stream = HeldStream {
                max_deleted_id: String::new(),
                entries_added: 0,
                ..std::mem::take(stream)
            };
        }
    }
    contents
}

#[test]
fn files_go_from_redis_to_us_and_back() {
    for program in Redis::programs() {
        let redis = Redis::start_on(&program, None);
        let (mut client, version) = (redis.client(), redis.version);
        let newest = match version {
            (7, 4..) | (8.., _) => Target::V12,
            (7, 2) => Target::V11,
            _ => Target::V10,
        };
        // As other thresholds have it, so that other encodings are met.
        for thresholds in ["128", "4"] {
            for name in ["hash-max-listpack-entries", "zset-max-listpack-entries"] {
                client.call(&format!("CONFIG SET {name} {thresholds}"));
            }
            client.call(&format!("CONFIG SET list-max-listpack-size {thresholds}"));
            client.call("FLUSHALL");
            fill(&mut client, version);
            let expected = server::contents(&mut client, version);
            let saved = redis.saved();
            let (found, others) = read(&saved).unwrap();
            assert_same(&kept(found, newest), &kept(expected.clone(), newest), "what was saved");
            assert!(others.aux.iter().any(|(name, _)| name == "redis-ver"));
            for target in Target::ALL {
                let (bytes, refused) = rewritten(&saved, target, thresholds == "4");
                let what = format!("{program} and version {}", target.version());
                let (again, _) = read(&bytes).unwrap();
                let lost = target.min(newest);
                let expected = kept(expected.clone(), lost);
                assert_same(&kept(again, lost), &expected, &what);
                let expiring = if version >= (7, 4) && target < Target::V12 { 2 } else { 0 };
                assert_eq!(refused.len(), expiring, "{refused:?}");
                assert!(refused.iter().all(|text| text.contains("hash:expiring")), "{refused:?}");
                if target > newest || target.dialect() == Dialect::Valkey {
                    continue;
                }
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("ours.rdb");
                std::fs::write(&path, &bytes).unwrap();
                let check = Redis::check_rdb(&program, &path);
                assert!(check.status.success(), "{what}: {check:?}");
                let loaded = Redis::start_on(&program, Some(&path));
                let loaded = server::contents(&mut loaded.client(), version);
                assert_same(&kept(loaded, lost), &expected, &what);
            }
        }
    }
}
