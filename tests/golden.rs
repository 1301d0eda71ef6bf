//! Data directories that an earlier build wrote are opened by this one, with everything in them.
//!
//! In `closed` there is a base with most of them, then a log; in `killed` a log only.
//!
//! `tests/golden/v1` was written with `cargo test --test golden -- --ignored`. As long as the version
//! of the format is 1 it stays as it is; a new version gets a directory of its own beside it.

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
