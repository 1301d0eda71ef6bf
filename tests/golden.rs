//! Data directories that an earlier build wrote are opened by this one, with everything in them.
//!
//! In `closed` there is a base with most of them, then a log; in `killed` a log only.
//!
//! `tests/golden/v1` was written with `cargo test --test golden -- --ignored`. As long as the version
//! of the format is 1 it stays as it is; a new version gets a directory of its own beside it.
//!
//! `extremes` and `before-1970` hold what an earlier server has stated and then refused to start
//! with. They were written by the server of commit eac5b95, built without checks of overflows:
//! `MAINSTAY_TEST_SERVER=path cargo test --test golden -- --ignored write_what_was_refused`, with a
//! clock that began 5,000 s before 1970 for the latter (a preloaded `clock_gettime`).

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use support::*;

const EXPIRY_MS: i64 = 4_102_444_800_000;

/// Database, key, value, expiry time.
type Entry = (usize, String, Vec<u8>, i64);

/// What is in both directories.
fn contents() -> Vec<Entry> {
    let mut all = Vec::new();
    for number in 0..50 {
        all.push((0, format!("number:{number}"), (number * number).to_string().into_bytes(), -1));
        all.push((3, format!("text:{number}"), format!("text {number}").into_bytes(), -1));
    }
    all.push((0, "empty".into(), Vec::new(), -1));
    all.push((0, "binary".into(), (0..=255).collect(), -1));
    all.push((0, "noise".into(), noise(9_000, 1), -1));
    all.push((0, "large".into(), noise(20_000, 2), -1));
    all.push((3, "compressed".into(), b"to be compressed ".repeat(2_000), -1));
    all.push((3, "expiring".into(), b"later".to_vec(), EXPIRY_MS));
    all.push((0, "transaction:a".into(), b"1".to_vec(), -1));
    all.push((3, "transaction:b".into(), b"2".to_vec(), EXPIRY_MS + 1));
    all
}

/// Collections of every type, small and big: what writes them, and what reads them back.
fn collections() -> Vec<(Vec<String>, String)> {
    let many = |command: &str, element: fn(usize) -> String, count: usize| {
        let elements: Vec<String> = (0..count).map(element).collect();
        format!("{command} {}", elements.join(" "))
    };
    let pair = |n| format!("field:{n} value:{n}");
    let scored = |n| format!("{}.5 member:{n}", n % 17);
    let element = |n: usize| format!("element:{n}");
    let number = |n: usize| (n * 7919).to_string();
    let mut stream: Vec<String> =
        (1..250).map(|n| format!("XADD stream {n}-1 name value:{n} other {n}")).collect();
    stream.extend(
        [
            "XGROUP CREATE stream group 0 ENTRIESREAD 3",
            "XREADGROUP GROUP group consumer COUNT 20 STREAMS stream >",
            "XACK stream group 3-1 5-1",
            "XDEL stream 7-1 100-1",
            "XTRIM stream MINID 3",
        ]
        .map(str::to_owned),
    );
    let one = |line: String| vec![line];
    vec![
        (one(many("RPUSH list:small", element, 5)), "LRANGE list:small 0 -1".into()),
        (one(many("RPUSH list:big", element, 3000)), "LRANGE list:big 0 -1".into()),
        (one(many("HSET hash:small", pair, 5)), "HGETALL hash:small".into()),
        (one(many("HSET hash:big", pair, 700)), "HVALS hash:big".into()),
        (
            vec![
                many("HSET hash:expiring", pair, 5),
                format!("HPEXPIREAT hash:expiring {EXPIRY_MS} FIELDS 1 field:3"),
            ],
            "HPEXPIRETIME hash:expiring FIELDS 2 field:3 field:1".into(),
        ),
        (one(many("SADD set:numbers", number, 100)), "SMEMBERS set:numbers".into()),
        (one(many("SADD set:small", element, 20)), "SMEMBERS set:small".into()),
        (one(many("SADD set:big", element, 700)), "SMEMBERS set:big".into()),
        (one(many("ZADD zset:small", scored, 20)), "ZRANGE zset:small 0 -1 WITHSCORES".into()),
        (one(many("ZADD zset:big", scored, 700)), "ZRANGE zset:big 0 -1 WITHSCORES".into()),
        (stream.clone(), "XRANGE stream - +".into()),
        (Vec::new(), "XPENDING stream group - + 100 consumer".into()),
        (one(many("PFADD hyperloglog", element, 500)), "GET hyperloglog".into()),
    ]
}

/// What the commands that read collections reply, those without an order sorted; of pending entries, which.
fn read_collections(client: &mut Client) -> Vec<String> {
    client.call("SELECT 5");
    let mut replies = Vec::new();
    for (_, read) in collections() {
        let reply = client.call(&read);
        let mut parts: Vec<String> = match &reply {
            Value::Bulk(_) => vec![format!("{reply:?}")],
            _ if read.starts_with("XPENDING") => {
                reply.items().iter().map(|entry| format!("{:?}", entry.items()[0])).collect()
            }
            _ => reply.items().iter().map(|item| format!("{item:?}")).collect(),
        };
        assert!(!parts.is_empty(), "{read}");
        if read.starts_with("SMEMBERS") || read.starts_with("HVALS") {
            parts.sort();
        }
        replies.push(format!("{read}: {}", parts.join(" ")));
    }
    replies
}

fn write_collections(client: &mut Client) {
    client.call("SELECT 5");
    for line in collections().iter().flat_map(|(writes, _)| writes) {
        let reply = client.call(line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Writes the contents, and things that are not there in the end.
fn write(client: &mut Client, entries: &[Entry]) {
    for (db, key, value, expiry) in entries.iter().filter(|e| !e.1.starts_with("transaction")) {
        assert_eq!(client.call(&format!("SELECT {db}")), ok());
        let set = client.call_args(&[&b"SET"[..], key.as_bytes(), value]);
        assert_eq!(set, ok());
        if *expiry > 0 {
            assert_eq!(client.call(&format!("PEXPIREAT {key} {expiry}")), int(1));
        }
    }
    let expiry = EXPIRY_MS + 1;
    client.call_all(["SELECT 0", "SET transaction:a 0", "SET gone x", "SET gone:too x PX 1"]);
    let set = format!("SET transaction:b 2 PXAT {expiry}");
    let transaction = ["MULTI", "INCR transaction:a", "SELECT 3", &set, "DEL gone", "EXEC"];
    assert_eq!(client.call_all(transaction)[5].items().len(), 4);
    client.call_all(["SELECT 0", "DEL gone", "SELECT 7", "SET flushed x", "FLUSHDB"]);
}

fn check(server: &Server) {
    let mut client = server.client();
    let mut found = Vec::new();
    for db in (0..16).filter(|&db| db != 5) {
        assert_eq!(client.call(&format!("SELECT {db}")), ok());
        for key in client.call("KEYS *").items() {
            let key = key.text();
            let Value::Bulk(value) = client.call(&format!("GET {key}")) else { continue };
            let expiry = client.call(&format!("PEXPIRETIME {key}")).int();
            found.push((db, key, value, expiry));
        }
    }
    let mut expected = contents();
    expected.sort();
    found.sort();
    let names = |entries: &[Entry]| -> Vec<String> {
        entries.iter().map(|(db, key, _, expiry)| format!("{db} {key} {expiry}")).collect()
    };
    assert_eq!(names(&found), names(&expected));
    assert!(found == expected, "a value differs");

    let fresh = Setup::new(&[]);
    let fresh = fresh.start();
    write_collections(&mut fresh.client());
    let (have, want) = (read_collections(&mut client), read_collections(&mut fresh.client()));
    assert_eq!(have, want);
}

fn opens(name: &str, recovers: bool) {
    let setup = Setup::new(&[]);
    copy(&golden(name), &setup.log_dir());
    let server = setup.start();
    assert_eq!(server.log().contains("did not close the log"), recovers, "{}", server.log());
    check(&server);
    assert_eq!(server.client().call("SET more 1"), ok());
    assert_eq!(server.client().call("DEL more"), int(1));
    server.stop();
    let server = setup.start();
    check(&server);
}

#[test]
fn a_directory_of_format_1_that_was_closed_cleanly_opens() {
    opens("closed", false);
}

#[test]
fn a_directory_of_format_1_of_a_killed_server_opens() {
    opens("killed", true);
}

/// What `DUMP` gives of streams of the entries 1-0 and 2-0: one to which one entry was added, one
/// to which 2^63 + 4 were, one of whose group 2^63 - 1 were read, and one of Redis 5 that takes its
/// length for 1.
const PAYLOADS: [(&str, &str); 4] = [
    (
        "short",
        "1501100000000000000001000000000000000028280000000f0002010001010181660200010201000100018176020401\
         0201010100018176020401ff0202000100000001000b0063d65806a1460d90",
    ),
    (
        "beyond",
        "1501100000000000000001000000000000000028280000000f0002010001010181660200010201000100018176020401\
         0201010100018176020401ff02020001000000818000000000000004000b00778c5f7a170cc620",
    ),
    (
        "read",
        "1501100000000000000001000000000000000028280000000f0002010001010181660200010201000100018176020401\
         0201010100018176020401ff02020001000000020101670100817fffffffffffffff00000b00cb95004740c9f9f5",
    ),
    (
        "old",
        "0f01100000000000000001000000000000000028280000000f0002010001010181660200010201000100018176020401\
         0201010100018176020401ff010200000a00d170f2f0aa1190e6",
    ),
];

fn restore(client: &mut Client, key: &str, ttl: &str, hex: &str) {
    let digits: Vec<u8> =
        hex.bytes().map(|digit| (digit as char).to_digit(16).unwrap() as u8).collect();
    let payload: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    let args = [&b"RESTORE"[..], key.as_bytes(), ttl.as_bytes(), &payload];
    assert_eq!(client.call_args(&args), ok());
}

/// Counters at the end of what they have room for. Some lie in a base.
fn write_extremes(client: &mut Client) {
    for (key, hex) in PAYLOADS {
        restore(client, &format!("base:{key}"), "0", hex);
    }
    client.call("BGREWRITEAOF");
    eventually("the log is rewritten", || {
        (info(client, "aof_base_size") != "0" && info(client, "aof_rewrite_in_progress") == "0")
            .then_some(())
    });
    for (key, hex) in PAYLOADS {
        restore(client, key, "0", hex);
    }
    for key in PAYLOADS.iter().flat_map(|(key, _)| [(*key).to_owned(), format!("base:{key}")]) {
        client.call(&format!("XGROUP CREATE {key} g 0"));
        let read = client.call(&format!("XREADGROUP GROUP g c STREAMS {key} >"));
        assert!(!read.items().is_empty(), "{key}");
    }
    for line in [
        "XADD created 1-0 f v",
        "XGROUP CREATE created g 0 ENTRIESREAD 9223372036854775807",
        "XREADGROUP GROUP g c STREAMS created >",
        "XADD set 1-0 f v",
        "XGROUP CREATE set g 0",
        "XGROUP SETID set g 0 ENTRIESREAD 9223372036854775807",
        "XREADGROUP GROUP g c STREAMS set >",
        "XADD claimed 1-0 f v",
        "XGROUP CREATE claimed g 0",
        "XREADGROUP GROUP g c STREAMS claimed >",
        "XCLAIM claimed g c 0 1-0 RETRYCOUNT 9223372036854775807",
        "XCLAIM claimed g c 0 1-0",
        "XAUTOCLAIM claimed g c 0 0",
        "XREADGROUP GROUP g c STREAMS claimed 0",
        "XADD added 1-0 f v",
        "XSETID added 1-0 ENTRIESADDED 9223372036854775807",
        "XADD added 2-0 f v",
        "XGROUP CREATE added g 0",
        "XREADGROUP GROUP g c STREAMS added >",
    ] {
        let reply = client.call(line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
    }
}

/// Length, entries added, and those that the group has read, as they are once the log has been
/// replayed. Of the latter the log has what the server had counted from the number of entries
/// added, which was too small.
const EXTREMES: [(&str, i64, i64, i64); 12] = [
    ("base:short", 2, 2, 1),
    ("base:beyond", 2, i64::MAX, i64::MAX),
    ("base:read", 2, 2, i64::MAX),
    ("base:old", 2, 2, 1),
    ("short", 2, 2, 1),
    ("beyond", 2, i64::MAX, i64::MAX),
    ("read", 2, 2, i64::MAX),
    ("old", 2, 2, 1),
    ("created", 1, 1, i64::MAX),
    ("set", 1, 1, i64::MAX),
    ("claimed", 1, 1, 1),
    ("added", 2, i64::MAX, i64::MAX),
];

fn check_extremes(client: &mut Client) {
    for (key, len, added, read) in EXTREMES {
        let of = |reply: &Value, name: &str| {
            let items = reply.items();
            let at = items.iter().position(|item| *item == bulk(name)).expect("the field");
            items[at + 1].clone()
        };
        let stream = client.call(&format!("XINFO STREAM {key} FULL"));
        let group = &of(&stream, "groups").items()[0].clone();
        let found =
            [of(&stream, "length"), of(&stream, "entries-added"), of(group, "entries-read")];
        assert_eq!(found, [len, added, read].map(int), "{key}");
        // The groups in these payloads had been delivered the first entry.
        let delivered = if key.ends_with("read") { len - 1 } else { len };
        assert_eq!(of(group, "pel-count"), int(delivered), "{key}");
    }
    let pending = client.call("XPENDING claimed g - + 10").items()[0].items()[3].clone();
    assert_eq!(pending, int(i64::MAX));
}

/// Times that lie before 1970, because the clock does.
fn write_before_1970(client: &mut Client) {
    assert!(
        client.call("TIME").items()[0].text().starts_with('-'),
        "the clock is at its usual time"
    );
    for line in [
        "SET stays v",
        "SET gone v",
        "EXPIRE gone 100",
        "HSET hash stays 1 a 1 b 1 c 1 d 1",
        "HEXPIRE hash 10 FIELDS 1 a",
        "HPEXPIRE hash 10000 FIELDS 1 b",
        "HGETEX hash EX 10 FIELDS 1 c",
        "HSETEX hash PX 10000 FIELDS 1 d 2",
        "XADD stream * f v",
        "XGROUP CREATE stream g 0",
        "XREADGROUP GROUP g c STREAMS stream >",
    ] {
        let reply = client.call(line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
    }
    restore(client, "restored", "1000", PAYLOADS[0].1);
}

fn check_before_1970(client: &mut Client) {
    assert_eq!(client.call("GET stays"), bulk("v"));
    assert_eq!(client.call("HGETALL hash"), array(["stays", "1"].map(bulk)));
    assert_eq!(client.call("XPENDING stream g - + 10").items().len(), 1);
    assert_eq!(client.call("EXISTS gone restored"), int(0));
}

fn opens_again_and_again(name: &str, check: fn(&mut Client)) {
    let setup = Setup::new(&[]);
    copy(&golden(name), &setup.log_dir());
    let server = setup.start();
    check(&mut server.client());
    server.stop();
    let server = setup.start();
    check(&mut server.client());
    server.client().call("BGREWRITEAOF");
    eventually("the log is rewritten", || {
        (server.info("aof_rewrite_in_progress") == "0").then_some(())
    });
    server.kill();
    check(&mut setup.start().client());
}

#[test]
fn a_log_with_counters_at_their_ends_opens() {
    opens_again_and_again("extremes", check_extremes);
}

#[test]
fn a_log_with_times_before_1970_opens() {
    opens_again_and_again("before-1970", check_before_1970);
}

#[test]
#[ignore = "writes tests/golden/v1/extremes and before-1970 anew, with a server that refuses them"]
fn write_what_was_refused() {
    let setup = Setup::new(&["--log-segment-size", "64kb"]);
    let server = setup.start();
    let mut client = server.client();
    let is_early = client.call("TIME").items()[0].text().starts_with('-');
    let name = if is_early { "before-1970" } else { "extremes" };
    let write = if is_early { write_before_1970 } else { write_extremes };
    write(&mut client);
    server.stop();
    let _ = fs::remove_dir_all(golden(name));
    copy(&setup.log_dir(), &golden(name));
}

#[test]
#[ignore = "writes tests/golden/v1 anew"]
fn write_the_directories() {
    let all = contents();
    for name in ["closed", "killed"] {
        let mut setup = Setup::new(&["--log-segment-size", "64kb"]);
        let server = if name == "closed" {
            // Begun at run time, so that there is a base.
            setup.set_directives(&["--log-segment-size", "64kb", "--appendonly", "no"]);
            let server = setup.start();
            let mut client = server.client();
            for (db, key, value, _) in all.iter().filter(|e| e.3 < 0).take(60) {
                client.call(&format!("SELECT {db}"));
                assert_eq!(client.call_args(&[&b"SET"[..], key.as_bytes(), value]), ok());
            }
            write_collections(&mut client);
            assert_eq!(client.call("CONFIG SET appendonly yes"), ok());
            server
        } else {
            let server = setup.start();
            write_collections(&mut server.client());
            server
        };
        write(&mut server.client(), &all);
        if name == "closed" {
            server.stop();
        } else {
            server.kill();
        }
        let _ = fs::remove_dir_all(golden(name));
        copy(&setup.log_dir(), &golden(name));
    }
}
