//! Starting on the directory of a Redis: what it left there is served, kept and left as it was.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use support::{
    Client, LIBRARY, Redis, Setup, Value, assert_same_contents, bulk, command_exists, contents,
    corpus, eventually, fill, info, int, ok, skip,
};

/// All files below a directory, with their bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}

fn setup_in(dir: &Path, more: &[&str]) -> Setup {
    let directives = ["--appendfsync", "everysec", "--log-segment-size", "1mb"];
    Setup::new(&[&directives[..], more].concat()).data_in(dir)
}

/// Starts on `dir`, whose data must be `expected`, and starts again without what the Redis left. Gives the first
/// start's log.
fn check_import(dir: &Path, expected: &[String], more: &[&str]) -> String {
    let before = files(dir);
    let setup = setup_in(dir, more);
    let server = setup.start();
    let mut client = server.client();
    assert_same_contents(&contents(&mut client), expected);
    assert_eq!(client.call("SET written-since 1"), ok());
    let log = server.stop();
    assert!(log.contains("DB imported: "), "{log}");

    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("GETDEL written-since"), bulk("1"));
    assert_same_contents(&contents(&mut client), expected);
    let again = server.stop();
    assert!(!again.contains("mported"), "{again}");

    let after = files(dir);
    for (path, bytes) in &before {
        assert!(after.get(path) == Some(bytes), "{} was touched", path.display());
    }
    for path in before.keys() {
        std::fs::remove_file(path).unwrap();
    }
    let server = setup.start();
    assert_same_contents(&contents(&mut server.client()), expected);
    server.stop();
    log
}

/// Starts on `dir`, which must be refused with all of these words, and leave everything as it is.
fn check_refused(dir: &Path, more: &[&str], words: &[&str]) {
    let before = files(dir);
    let said = setup_in(dir, more).start_refused();
    for word in words {
        assert!(said.contains(word), "no {word:?} in:\n{said}");
    }
    assert_eq!(said.matches("Can't start: ").count(), 1, "{said}");
    assert!(files(dir) == before, "something was changed");
}

fn temp() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("mainstay-import-").tempdir().unwrap()
}

/// Commands as an append-only file has them, a line each.
fn commands(lines: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    lines.iter().for_each(|line| Client::encode(&mut bytes, &support::words(line)));
    bytes
}

/// An RDB of a real Redis, with what it held.
fn redis_rdb(dir: &Path) -> Option<Vec<String>> {
    let redis = Redis::start_in(dir, &["--appendonly", "no"])?;
    let mut client = redis.client();
    client.call_args(&["FUNCTION", "LOAD", LIBRARY]);
    fill(&mut client, 0);
    let expected = contents(&mut client);
    assert_eq!(client.call("SAVE"), ok());
    redis.end();
    Some(expected)
}

#[test]
fn an_rdb_file_is_imported_once() {
    let dir = temp();
    let Some(expected) = redis_rdb(dir.path()) else { return };
    let log = check_import(dir.path(), &expected, &[]);
    assert!(log.contains("dump.rdb ("), "{log}");
    assert!(log.contains(" 1 function library"), "{log}");
}

#[test]
fn without_a_log_an_rdb_file_is_loaded_into_memory() {
    let dir = temp();
    let Some(expected) = redis_rdb(dir.path()) else { return };
    std::fs::rename(dir.path().join("dump.rdb"), dir.path().join("other.rdb")).unwrap();
    let before = files(dir.path());
    let directives = ["--appendonly", "no", "--save", "", "--dbfilename", "other.rdb"];
    let setup = setup_in(dir.path(), &directives);
    for _ in 0..2 {
        let server = setup.start();
        let mut client = server.client();
        assert_same_contents(&contents(&mut client), &expected);
        assert_eq!(client.call("SET lost 1"), ok());
        server.stop();
    }
    assert!(files(dir.path()) == before);
}

/// An append-only file of a real Redis: a base that it rewrote, and what came after.
fn redis_aof(dir: &Path, preamble: &str) -> Option<Vec<String>> {
    let redis = Redis::start_in(dir, &["--appendonly", "yes", "--aof-use-rdb-preamble", preamble])?;
    let mut client = redis.client();
    client.call_args(&["FUNCTION", "LOAD", LIBRARY]);
    fill(&mut client, 0);
    client.call("BGREWRITEAOF");
    eventually("the rewrite", || {
        let done = info(&mut client, "aof_rewrite_in_progress") == "0"
            && info(&mut client, "aof_rewrite_scheduled") == "0";
        done.then_some(())
    });
    assert_eq!(info(&mut client, "aof_last_bgrewrite_status"), "ok");
    fill(&mut client, 1);
    for line in ["MULTI", "INCR counter", "SELECT 3", "INCR counter", "EXEC", "SELECT 0"] {
        client.call(line);
    }
    client.call("SPOP set:big:0 100");
    client.call("LMOVE list:big:0 list:small:1 LEFT RIGHT");
    client.call("RENAME text:0 renamed");
    client.call("DEL hash:big:0");
    // Before 7.2, not everything about consumer groups is in the file.
    assert_eq!(client.call("DEBUG LOADAOF"), ok());
    let expected = contents(&mut client);
    redis.end();
    Some(expected)
}

#[test]
fn an_append_only_file_in_parts_is_imported() {
    for preamble in ["yes", "no"] {
        let dir = temp();
        let Some(expected) = redis_aof(dir.path(), preamble) else { return };
        let log = check_import(dir.path(), &expected, &[]);
        assert!(log.contains(".1.incr.aof (") || log.contains(".2.incr.aof ("), "{log}");
    }
}

#[test]
fn a_single_append_only_file_is_imported_with_and_without_a_preamble() {
    for preamble in ["yes", "no"] {
        let parts = temp();
        let Some(expected) = redis_aof(parts.path(), preamble) else { return };
        // The layout before Redis 7: what are parts since then was one file.
        let parts = files(&parts.path().join("appendonlydir"));
        let part = |name: &str| {
            let found = parts.iter().find(|(path, _)| path.to_string_lossy().contains(name));
            found.expect("the part is there").1.clone()
        };
        let dir = temp();
        let whole = [part(".base."), part(".incr.")].concat();
        std::fs::write(dir.path().join("appendonly.aof"), whole).unwrap();
        check_import(dir.path(), &expected, &[]);
    }
}

#[test]
fn what_others_have_written_is_imported() {
    let Some(corpus) = corpus() else { return };
    let assets = corpus.join("rdb/valkey-assets");
    let dir = temp();
    let mut found = 0;
    for (path, bytes) in files(&assets) {
        if path.extension().is_some_and(|extension| extension == "aof") {
            std::fs::write(dir.path().join("appendonly.aof"), bytes).unwrap();
            found += 1;
        }
    }
    assert_eq!(found, 1, "one append-only file in {}", assets.display());
    let server = setup_in(dir.path(), &[]).start();
    let ours = contents(&mut server.client());
    server.stop();
    assert!(!ours.is_empty());
    let Some(redis) = Redis::start_in(dir.path(), &["--appendonly", "yes"]) else { return };
    assert_same_contents(&ours, &contents(&mut redis.client()));
}

#[test]
fn a_hand_made_file_is_imported_in_any_place() {
    let dir = temp();
    let parts = dir.path().join("parts");
    std::fs::create_dir(&parts).unwrap();
    let first = commands(&["SELECT 1", "SET a 1", "MULTI", "SET b 2", "INCR b", "EXEC"]);
    let second = [b"#TS:1700000000\r\n", &commands(&["INCR a", "SELECT 1", "INCR a"])[..]].concat();
    std::fs::write(parts.join("my file.1"), first).unwrap();
    std::fs::write(parts.join("x.2"), second).unwrap();
    let manifest =
        "file \"my file.1\" seq 1 type b\nfile old seq 1 type h\nfile x.2 seq 2 type i\n";
    std::fs::write(parts.join("x.manifest"), manifest).unwrap();
    let names = ["--appenddirname", "parts", "--appendfilename", "x"];
    let server = setup_in(dir.path(), &names).start();
    let mut client = server.client();
    assert_eq!(client.call("MGET a b"), Value::Array(vec![bulk("1"), Value::Nil]));
    client.call("SELECT 1");
    assert_eq!(client.call("MGET a b"), Value::Array(vec![bulk("2"), bulk("3")]));
    server.stop();
}

#[test]
fn what_is_cut_off_is_passed_over_or_refused_and_stays() {
    let whole = commands(&["SET a 1", "SET b 2"]);
    let cases = [
        (whole.len() - 5, "offset 27: the file ends within a command"),
        (whole.len(), "offset 54: the file ends within a transaction"),
    ];
    for (index, (len, said)) in cases.into_iter().enumerate() {
        let dir = temp();
        let mut bytes = whole[..len].to_vec();
        if index == 1 {
            bytes.extend(commands(&["MULTI", "SET a 2"]));
        }
        let path = dir.path().join("appendonly.aof");
        std::fs::write(&path, &bytes).unwrap();
        check_refused(dir.path(), &["--aof-load-truncated", "no"], &["appendonly.aof", said]);
        let setup = setup_in(dir.path(), &[]);
        let server = setup.start();
        assert_eq!(server.client().call("GET a"), bulk("1"));
        assert_eq!(server.client().call("DBSIZE"), int(1 + index as i64));
        let log = server.stop();
        assert!(log.contains(said), "{log}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_damaged_append_only_file_is_refused_where_it_is_damaged() {
    let sound = commands(&["SET a 1"]);
    for (bad, said) in [
        (commands(&["NOSUCH a"]), "unknown command 'NOSUCH'"),
        (commands(&["SELECT 99", "SET a 2"]), "the database cannot be selected"),
        (b"+OK\r\n".to_vec(), "bad format of an append-only file"),
        (vec![0; 50], "bad format of an append-only file"),
        (b"*2\r\n$3\r\nGETX\r\n$1\r\na\r\n".to_vec(), "bad format of an append-only file"),
    ] {
        let dir = temp();
        let bytes = [&sound[..], &bad, &sound].concat();
        std::fs::write(dir.path().join("appendonly.aof"), bytes).unwrap();
        check_refused(dir.path(), &[], &["appendonly.aof, offset 27: ", said]);
    }
}

#[test]
fn a_manifest_that_does_not_fit_is_refused() {
    let dir = temp();
    let parts = dir.path().join("appendonlydir");
    std::fs::create_dir(&parts).unwrap();
    let name = "appendonly.aof.1.incr.aof";
    std::fs::write(parts.join(name), commands(&["SET a 1"])).unwrap();
    check_refused(dir.path(), &[], &[name, "no manifest appendonly.aof.manifest"]);
    let manifest = parts.join("appendonly.aof.manifest");
    std::fs::write(&manifest, format!("file {name} seq 1 type i\nfile x seq 1 type i\n")).unwrap();
    check_refused(dir.path(), &[], &["appendonly.aof.manifest, line 2", "sequence"]);
    std::fs::write(&manifest, format!("file {name} seq 1 type i\nfile x seq 2 type i\n")).unwrap();
    check_refused(dir.path(), &[], &["appendonlydir/x is missing", "appendonly.aof.manifest"]);
    // Only the last part may be cut off.
    std::fs::write(parts.join("x"), b"").unwrap();
    std::fs::write(parts.join(name), &commands(&["SET a 1"])[..20]).unwrap();
    check_refused(dir.path(), &[], &["offset 0", "not the last part"]);
}

/// The directory of a Redis with an append-only file that was switched off, and an RDB file that
/// was written since: both have these keys, and the RDB file those that are only in it.
fn redis_with_both(only_rdb: &[&str]) -> Option<tempfile::TempDir> {
    let dir = temp();
    redis_aof(dir.path(), "yes")?;
    let redis = Redis::start_in(dir.path(), &["--appendonly", "yes"])?;
    let mut client = redis.client();
    assert_eq!(client.call("CONFIG SET appendonly no"), ok());
    only_rdb.iter().for_each(|key| drop(client.call(&format!("SET {key} 1"))));
    assert_eq!(client.call("SAVE"), ok());
    redis.end();
    Some(dir)
}

#[test]
fn of_two_candidates_a_line_of_the_configuration_says_which_is_read() {
    let Some(dir) = redis_with_both(&["in-rdb"]) else { return };
    let words = ["No line of the configuration", "'appendonly yes' reads", "'appendonly no' reads"];
    let counts = "only the former has 0, only the latter 1, and both have 0";
    let rdb = std::fs::File::options().write(true).open(dir.path().join("dump.rdb")).unwrap();
    let changed = std::time::Duration::new(1_700_000_000, 123_456_789);
    rdb.set_modified(std::time::UNIX_EPOCH + changed).unwrap();
    let time = "dump.rdb (last changed 2023-11-14 22:13:20 UTC)";
    check_refused(dir.path(), &[], &[words[0], words[1], words[2], counts, time]);
    for (value, has) in [("no", 1), ("yes", 0)] {
        let server = setup_in(dir.path(), &["--appendonly", value, "--save", ""]).start();
        assert_eq!(server.client().call("EXISTS in-rdb"), int(has), "{value}");
        let log = server.stop();
        let unread = format!("Not read, because of 'appendonly {value}': ");
        let (_, name) = log.split_once(&unread).unwrap_or_else(|| panic!("{log}"));
        let name = name.lines().next().unwrap_or_default();
        assert_eq!(name.ends_with("dump.rdb"), value == "yes", "{log}");
    }
}

#[test]
fn of_two_candidates_that_hold_the_same_either_may_be_read_whatever_their_times() {
    let Some(dir) = redis_with_both(&[]) else { return };
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    for path in files(&dir.path().join("appendonlydir")).keys() {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(time).unwrap();
    }
    let server = setup_in(dir.path(), &[]).start();
    assert!(server.client().call("DBSIZE").int() > 0);
    let log = server.stop();
    assert!(log.contains("dump.rdb holds the same"), "{log}");
}

#[test]
fn an_append_only_file_that_is_not_asked_for_may_be_damaged() {
    let dir = temp();
    if redis_rdb(dir.path()).is_none() {
        return;
    }
    std::fs::write(dir.path().join("appendonly.aof"), b"nonsense").unwrap();
    check_refused(dir.path(), &[], &["appendonly.aof, offset 0", "'appendonly no' reads"]);
    let server = setup_in(dir.path(), &["--appendonly", "no", "--save", ""]).start();
    assert!(server.client().call("DBSIZE").int() > 0);
    server.stop();
}

#[test]
fn a_damaged_rdb_file_is_refused_where_it_is_damaged() {
    let source = temp();
    if redis_rdb(source.path()).is_none() {
        return;
    }
    let sound = std::fs::read(source.path().join("dump.rdb")).unwrap();
    let mut wrong_sum = sound.clone();
    *wrong_sum.last_mut().unwrap() ^= 1;
    let mut future = sound.clone();
    future[5..9].copy_from_slice(b"0099");
    let half = sound.len() / 2;
    let truncated = format!("ends after {half} bytes");
    for (bytes, said) in [
        (&sound[..half], &truncated[..]),
        (&wrong_sum, "the checksum is"),
        (&future, "version 99"),
        (b"", "truncated"),
        (b"no such thing", "no RDB file"),
    ] {
        let dir = temp();
        std::fs::write(dir.path().join("dump.rdb"), bytes).unwrap();
        check_refused(dir.path(), &[], &["dump.rdb", "offset", said]);
        check_refused(dir.path(), &["--appendonly", "no"], &["dump.rdb", "offset", said]);
    }
    let dir = temp();
    std::fs::write(dir.path().join("dump.rdb"), &sound).unwrap();
    check_refused(dir.path(), &["--databases", "9"], &["dump.rdb", "database 9 is beyond"]);
}

#[test]
fn no_key_is_named_when_a_file_is_refused() {
    let mut value = b"REDIS0009".to_vec();
    // A list of a type that there is not, under a key.
    value.extend([0, 6, b's', b'e', b'c', b'r', b'e', b't', 0xc3, 1]);
    for (name, bytes) in [
        ("dump.rdb", value),
        ("appendonly.aof", commands(&["NOSUCH secret"])),
        ("appendonly.aof", commands(&["XCLAIM secret secret secret 0 1-1"])),
    ] {
        let dir = temp();
        std::fs::write(dir.path().join(name), bytes).unwrap();
        let setup = setup_in(dir.path(), &[]);
        let said = match setup.try_start() {
            Ok(server) => server.stop(),
            Err(said) => said,
        };
        assert!(said.contains(name) && said.contains("offset"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn values_of_modules_are_refused_or_dropped_on_request() {
    let mut bytes = b"REDIS0009".to_vec();
    // A module's record about itself, a value of a module, a string; no checksum.
    bytes.extend([247, 0x81, 1, 2, 3, 4, 5, 6, 7, 8, 2, 1, 5, 1, b'x', 0]);
    bytes.extend([7, 1, b'm', 0x81, 1, 2, 3, 4, 5, 6, 7, 8, 1, 5, 0]);
    bytes.extend([0, 1, b'k', 1, b'v', 255, 0, 0, 0, 0, 0, 0, 0, 0]);
    let dir = temp();
    std::fs::write(dir.path().join("dump.rdb"), bytes).unwrap();
    check_refused(dir.path(), &[], &["dump.rdb", "module"]);
    let server = setup_in(dir.path(), &["--import-skip-modules", "yes"]).start();
    assert_eq!(server.client().call("KEYS *"), Value::Array(vec![bulk("k")]));
    let log = server.stop();
    assert!(log.contains("1 key with a value of a module: dropped"), "{log}");
    assert!(log.contains("1 record of a module that belongs to no key: passed over"), "{log}");
}

/// An append-only file of so many keys.
fn big_file(dir: &Path, keys: usize) {
    let mut bytes = Vec::new();
    for key in 0..keys {
        let words = [b"SET".to_vec(), format!("key:{key}").into_bytes(), vec![b'x'; 100]];
        Client::encode(&mut bytes, &words);
    }
    std::fs::write(dir.join("appendonly.aof"), bytes).unwrap();
}

#[test]
fn an_import_that_was_killed_begins_anew() {
    let dir = temp();
    big_file(dir.path(), 50_000);
    let setup = setup_in(dir.path(), &[]);
    for step in 0..12 {
        let server = setup.spawn();
        eventually("the server begins", || server.log().contains(" PID: ").then_some(()));
        std::thread::sleep(std::time::Duration::from_millis(step * 40));
        server.kill();
    }
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("DBSIZE"), int(50_000));
    assert_eq!(client.call("STRLEN key:49999"), int(100));
    server.stop();
}

#[test]
fn while_data_are_loaded_clients_are_told_so() {
    if !command_exists("strace") {
        return skip("commands while loading", "strace is not installed");
    }
    let dir = temp();
    big_file(dir.path(), 100_000);
    let mut setup = setup_in(dir.path(), &[]);
    // Each MiB of some 14 takes so long to read.
    setup.inject(Some("pread64:delay_enter=200000"));
    let server = setup.spawn();
    let mut client = eventually("it listens", || {
        server.log().contains(" PID: ").then_some(())?;
        Client::try_connect(server.port).ok()
    });
    let loading = "LOADING Mainstay is loading the dataset in memory";
    assert_eq!(client.call("GET key:1"), support::error(loading));
    assert_eq!(client.call("PING"), support::error(loading));
    assert_eq!(client.call("DBSIZE"), support::error(loading));
    assert_eq!(client.call("SELECT 3"), ok());
    assert_eq!(client.call("SELECT 0"), ok());
    assert_eq!(client.call("WATCH key:1"), ok());
    assert_eq!(client.call("MULTI"), ok());
    assert_eq!(client.call("SET key:1 x"), support::error(loading));
    assert!(client.call("EXEC").is_error("EXECABORT"));
    assert!(client.call("CONFIG SET appendonly no").is_error("ERR"));
    assert_eq!(info(&mut client, "loading"), "1");
    assert_eq!(info(&mut client, "async_loading"), "0");
    let total = std::fs::metadata(dir.path().join("appendonly.aof")).unwrap().len();
    assert_eq!(info(&mut client, "loading_total_bytes"), total.to_string());
    let part: f64 = info(&mut client, "loading_loaded_perc").parse().unwrap();
    assert!((0.0..100.0).contains(&part), "{part}");
    eventually("something is loaded", || {
        (info(&mut client, "loading_loaded_bytes") != "0").then_some(())
    });
    eventually("it is loaded", || (info(&mut client, "loading") == "0").then_some(()));
    assert_eq!(client.call("DBSIZE"), int(100_000));
    assert_eq!(client.call("SET key:1 x"), ok());
    server.stop();
}
