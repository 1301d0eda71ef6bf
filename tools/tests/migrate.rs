//! `import`, `export` and `diff`: from a Redis to us and back, and copies of a server that goes on.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use support::*;

/// The formats that hold everything, with the names of what is written.
const WHOLE: [(&str, &str); 4] =
    [("rdb", "copy.rdb"), ("aof", "copy.aof"), ("aof-dir", "redis"), ("mainstay", "ours")];

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Both must hold the same, whichever is the first.
fn assert_same(a: &str, b: &str) {
    for (a, b) in [(a, b), (b, a)] {
        let said = tool_says(0, &["diff", a, b]);
        assert!(said.starts_with("the same: "), "{said}");
    }
}

fn url(redis: &Redis) -> String {
    format!("redis://127.0.0.1:{}", redis.port)
}

/// Fills a Redis with values of all types, and functions.
fn fill_redis(redis: &Redis) {
    let mut client = redis.client();
    fill(&mut client, 1);
    if redis.version >= (7, 0) {
        assert_eq!(client.call_args(&["FUNCTION", "LOAD", LIBRARY]), bulk("lib"));
    }
    // Pending entries of which some were deleted, and a stream that was emptied.
    for line in [
        "XADD pending 1-1 a 1",
        "XADD pending 2-1 a 1",
        "XADD pending 3-1 a 1",
        "XGROUP CREATE pending g 0",
        "XREADGROUP GROUP g me COUNT 3 STREAMS pending >",
        "XDEL pending 2-1",
        "XTRIM pending MINID 2",
        "XADD emptied 5-5 a 1",
        "XTRIM emptied MAXLEN 0",
    ] {
        let reply = client.call(line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
    }
    // How many entries a group has read is not what a Redis writes to its append-only file, so it is as the file has it.
    assert_eq!(client.call("DEBUG LOADAOF"), ok());
}

/// What `redis-check-rdb` or `redis-check-aof`, beside the program, says of a file must be good.
fn check(program: &str, checker: &str, path: &Path) {
    let checker = match program.rsplit_once('/') {
        Some((dir, _)) => PathBuf::from(dir).join(checker),
        None => checker.into(),
    };
    let output = Command::new(checker).arg(path).output().expect("it lies beside the server");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {said}", path.display());
}

/// Starts `program` as the only one, whatever the environment says.
fn redis_on(program: &str, dir: &Path, appendonly: bool) -> Redis {
    let directives = if appendonly { ["--appendonly", "yes"] } else { ["--appendonly", "no"] };
    Redis::start_program_in(program, dir, &directives)
}

#[test]
fn a_redis_moves_in_and_back() {
    for program in Redis::programs() {
        there_and_back(&program);
    }
}

fn there_and_back(program: &str) {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let dir = |name: &str| {
        let path = home.join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    let source_dir = dir("source");
    let redis = redis_on(program, &source_dir, true);
    fill_redis(&redis);
    redis.saved();
    // Of both files the append-only one is what a Redis loads, and it is the newer one.
    assert_eq!(redis.client().call("SET text:1 value"), ok());
    let said = tool_says(0, &["verify", text(&source_dir), "--json"]);
    assert!(said.contains("dump.rdb is not checked: name it"), "{said}");
    let version = if redis.version >= (7, 4) { "12" } else { "10" };
    let rdb = source_dir.join("dump.rdb");
    let aof = source_dir.join("appendonlydir");
    // While it syncs, a Redis puts off what it writes.
    eventually("the Redis has written what it holds back", || {
        (info(&mut redis.client(), "aof_buffer_length") == "0").then_some(())
    });
    let before = files(&source_dir);

    // All that a Redis writes and says is the same.
    assert_same(text(&rdb), text(&aof));
    assert_same(text(&rdb), &url(&redis));

    // In, from each of them.
    let mut ours = Vec::new();
    for (name, source) in [("from-rdb", &rdb), ("from-aof", &aof), ("from-dir", &source_dir)] {
        let into = home.join(name);
        let said = tool_says(0, &["import", text(source), "--into", text(&into)]);
        assert!(said.contains(" 1 function library"), "{said}");
        assert_same(text(&into), &url(&redis));
        ours.push(into);
    }
    let again = tool_says(2, &["import", text(&rdb), "--into", text(&ours[0]), "--json"]);
    assert!(again.contains("not empty"), "{again}");

    // A server of ours holds the same, and while it runs its directory can be read.
    let server = Server::start(&ours[0], &[]);
    assert_same(&server.url(), &url(&redis));
    assert_same(text(&ours[0]), &url(&redis));

    // Out, in all formats, of the running server's directory and of an RDB file.
    let out = dir("out");
    for source in [&ours[0], &rdb] {
        for (format, name) in WHOLE {
            let to = out.join(name);
            let words = ["export", text(source), "--to", text(&to), "--format", format];
            // The RDB at the start of an append-only file is for Redis 7.0 by default.
            let version = ["--rdb-version", version];
            let version = if format == "rdb" { &version } else { &[][..] };
            tool_says(0, &[&words, version].concat());
            assert_same(text(&to), &url(&redis));
        }
        check(program, "redis-check-rdb", &out.join("copy.rdb"));
        check(program, "redis-check-aof", &out.join("copy.aof"));
        let manifest = out.join("redis/appendonlydir/appendonly.aof.manifest");
        check(program, "redis-check-aof", &manifest);
        load_into_redis(program, &out, &url(&redis));
        std::fs::remove_dir_all(&out).unwrap();
        dir("out");
    }
    server.stop();
    assert!(files(&source_dir) == before, "what was read is as it was");
}

/// Starts a Redis on each copy, and fills one through `resp`: all hold what the first one does.
fn load_into_redis(program: &str, out: &Path, expected: &str) {
    let aof = redis_on(program, &out.join("redis"), true);
    assert_same(&url(&aof), expected);
    drop(aof);

    let rdb = Redis::start_on(program, Some(&out.join("copy.rdb")));
    assert_same(&url(&rdb), expected);
    drop(rdb);

    let empty = Redis::start_on(program, None);
    let words =
        ["export", text(&out.join("ours")), "--to", "-", "--format", "resp"].map(str::to_owned);
    let mut exported = Command::new(env!("CARGO_BIN_EXE_mainstay-tool"))
        .args(&words)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = Command::new("redis-cli")
        .args(["-p", &empty.port.to_string(), "--pipe"])
        .stdin(exported.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(exported.wait().unwrap().success());
    let said = String::from_utf8_lossy(&pipe.stdout).into_owned();
    assert!(said.contains("errors: 0,"), "{said}");
    assert_same(&url(&empty), expected);
}

#[test]
fn of_two_files_of_a_redis_the_one_to_be_read_can_be_named() {
    let home = tempfile::tempdir().unwrap();
    let (aof, rdb) = (home.path().join("appendonly.aof"), home.path().join("dump.rdb"));
    let server = Server::start(&home.path().join("data"), &["--appendonly", "no"]);
    assert_eq!(server.client().call("SET k v"), ok());
    assert_eq!(server.client().call("SAVE"), ok());
    std::fs::write(&aof, b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n").unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    std::fs::File::options().write(true).open(&aof).unwrap().set_modified(old).unwrap();
    std::fs::copy(home.path().join("data/dump.rdb"), &rdb).unwrap();
    let into = home.path().join("ours");
    let said = tool_says(2, &["import", text(home.path()), "--into", text(&into), "--json"]);
    assert!(said.contains("name the one that is to be read"), "{said}");
    tool_says(0, &["import", text(&rdb), "--into", text(&into)]);
}

#[test]
fn what_an_old_version_has_no_room_for_is_said() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let server = Server::start(&data, &[]);
    let mut client = server.client();
    for line in ["XADD plain 1-1 a 1", "XADD s 1-1 a 1", "XADD s 2-1 a 1", "XDEL s 1-1", "SET k v"]
    {
        assert!(!client.call(line).is_error(""), "{line}");
    }
    let rdb = home.path().join("whole.rdb");
    tool_says(0, &["export", text(&data), "--to", text(&rdb)]);
    for (version, lessened) in [("9", true), ("10", false)] {
        let old = home.path().join("old.rdb");
        let words = ["export", text(&rdb), "--to", text(&old), "--rdb-version", version, "--force"];
        let said = tool_json(0, &words);
        let remarks = said["remarks"].to_string();
        assert_eq!(remarks.contains("no room for what 1 stream knows"), lessened, "{said}");
        tool_says(i32::from(lessened), &["diff", text(&rdb), text(&old)]);
    }
}

#[test]
fn differences_are_found_and_counted() {
    let home = tempfile::tempdir().unwrap();
    let server = |name: &str| Server::start(&home.path().join(name), &["--appendonly", "no"]);
    let (a, b) = (server("a"), server("b"));
    for server in [&a, &b] {
        let mut client = server.client();
        for line in [
            "SET same 1",
            "SET text 1",
            "SADD set a b 1",
            "HSET hash f 1 g 2",
            "PEXPIREAT same 4102444800000",
            "SET type 1",
        ] {
            client.call(line);
        }
    }
    let say = |code, more: &[&str]| {
        let (a, b) = (a.url(), b.url());
        tool_says(code, &[&["diff", &a, &b], more].concat())
    };
    assert!(say(0, &[]).starts_with("the same: 5 keys"));
    let mut client = b.client();
    // Another encoding and another order are no difference.
    client.call("SADD set x");
    client.call("SREM set x");
    assert!(say(0, &[]).starts_with("the same: 5 keys"));

    client.call("PEXPIREAT same 4102444800900");
    assert!(say(1, &[]).contains("key 'same': expires 2100-01-01 00:00:00.000Z in A"));
    say(0, &["--ignore-expiry"]);
    say(0, &["--expiry-tolerance", "900"]);
    say(1, &["--expiry-tolerance", "899"]);

    client.call("HPEXPIREAT hash 4102444800000 FIELDS 1 f");
    assert!(say(1, &["--type", "hash"]).contains("key 'hash': the value differs (hash)"));
    say(0, &["--ignore-expiry"]);
    client.call("DEL type");
    client.call("LPUSH type 1");
    client.call_args(&[&b"SET"[..], b"only \xff", b"1"]);
    let mut other = a.client();
    other.call_all(["SELECT 3", "SET far 1"]);
    let said = say(1, &["--json"]);
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = serde_json::json!([
        {"difference": "expiry", "db": 0, "key": "same", "expiry_ms": [4102444800000i64, 4102444800900i64]},
        {"difference": "only-in-a", "db": 3, "key": "far", "type": "string"},
        {"difference": "only-in-b", "db": 0, "key": {"base64": "b25seSD/"}, "type": "string"},
        {"difference": "value", "db": 0, "key": "hash", "type": ["hash", "hash"]},
        {"difference": "value", "db": 0, "key": "type", "type": ["string", "list"]},
        {"equal": false, "keys_a": 6, "keys_b": 6, "module_keys_a": 0, "module_keys_b": 0,
         "only_in_a": 1, "only_in_b": 1, "values": 2, "expiries": 1, "functions": 0},
    ]);
    // Keys come in no order of their own.
    let sorted = |lines: &[serde_json::Value]| {
        let mut lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines.last(), expected.as_array().unwrap().last());
    assert_eq!(sorted(&lines), sorted(expected.as_array().unwrap()));
    let said = say(1, &["--limit", "1"]);
    assert!(said.contains("… and 4 more") && said.lines().count() == 3, "{said}");

    // A database of the URL is the only one that is compared.
    let one = format!("{}/3", a.url());
    let said = tool_says(1, &["diff", &one, &b.url()]);
    assert!(said.ends_with("different: 1 only in A (keys: 1 in A, 0 in B)\n"), "{said}");
    tool_says(2, &["diff", &one, "/nowhere"]);
    tool_says(2, &["diff", "redis://127.0.0.1:1", &one]);
}

#[test]
fn keys_are_chosen_and_sources_put_together() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let server = Server::start(&home.path().join("server"), &["--appendonly", "no"]);
    let mut client = server.client();
    client.call_all(["SET user:1 a", "SET user:2 b PX 1", "RPUSH list 1 2 3", "SET t 1"]);
    client.call_all(["SELECT 2", "SET user:3 c", "SELECT 0", "XADD x 1-1 a b"]);
    client.call("SAVE");
    let rdb = path("server/dump.rdb");

    // Chosen on the way in.
    let words = ["import", &rdb, "--into", &path("one"), "--match", "user:*", "--json"];
    let report: serde_json::Value = serde_json::from_str(&tool_says(0, &words)).unwrap();
    assert_eq!(report["keys"], 2);
    assert_eq!(report["keys_by_type"], serde_json::json!({"string": 2}));
    assert_eq!(report["skipped"]["filtered"], 3);
    // A second source with the same keys is refused, unless they are to be replaced.
    let refused = ["import", &path("one"), &rdb, "--into", &path("two"), "--json"];
    let said = tool_says(2, &refused);
    assert!(said.contains("has come before"), "{said}");
    assert!(!home.path().join("two").exists());
    let replace = [&refused[..], &["--replace"]].concat();
    let report: serde_json::Value = serde_json::from_str(&tool_says(0, &replace)).unwrap();
    assert_eq!((&report["keys"], &report["replaced"]), (&5.into(), &2.into()));
    assert_same(&path("two"), &server.url());
    assert_same(&path("two/mainstay"), &rdb);

    // Chosen on the way out.
    let json =
        ["export", &path("two"), "--to", "-", "--format", "json", "--db", "0", "--type", "list"];
    let line = "{\"db\":0,\"key\":\"list\",\"type\":\"list\",\"expiry_ms\":null,\"value\":[\"1\",\"2\",\"3\"]}\n";
    assert_eq!(tool_says(0, &json), line);
    tool_says(0, &["export", &rdb, "--to", &path("keys.csv"), "--type", "stream"]);
    let table = std::fs::read_to_string(path("keys.csv")).unwrap();
    let (head, row) = table.split_once('\n').unwrap();
    assert_eq!(head, "db,key,type,encoding,elements,memory_bytes,expiry_ms");
    assert!(row.starts_with("0,x,stream,stream,1,"), "{row}");
    let chosen = ["--db", "2", "--match", "user:?"];
    for (format, name) in WHOLE {
        let to = path(name);
        let words = ["export", &path("two"), "--to", &to, "--format", format, "--json"];
        let said = tool_says(0, &[&words[..], &chosen].concat());
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&report["keys"], &report["format"]), (&1.into(), &format.into()));
        assert_eq!(
            tool_says(0, &["diff", &to, &format!("{}/2", server.url())]),
            "the same: 1 key\n"
        );
    }
    // What is there is not replaced by a directory, and a name says how to write.
    tool_says(2, &["export", &rdb, "--to", &path("ours"), "--format", "mainstay"]);
    tool_says(2, &["export", &rdb, "--to", &path("unknown")]);
    tool_says(2, &["export", &rdb, "--to", "-", "--format", "mainstay"]);
    tool_says(0, &["export", &rdb, "--to", &path("guess/appendonlydir")]);
    assert!(home.path().join("guess/appendonlydir/appendonly.aof.manifest").exists());
    // What a version cannot hold is named, and nothing is written.
    client.call_all(["HSET hash f 1", "HPEXPIREAT hash 4102444800000 FIELDS 1 f", "SAVE"]);
    let words = ["export", &rdb, "--to", &path("old.rdb"), "--rdb-version", "10", "--json"];
    let said = tool_says(2, &words);
    assert!(said.contains("key 'hash': RDB version 10 cannot hold"), "{said}");
    assert!(!home.path().join("old.rdb").exists());
    let left = std::fs::read_dir(home.path()).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.ends_with(".tmp")).count(), 0);
}

#[test]
fn a_running_server_is_copied_at_a_moment() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let server = Server::start(&data, &["--appendfsync", "everysec", "--log-segment-size", "1mb"]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Numbers in the order of the commits: never is one there without those before it, and two of a transaction are
            // there together.
            let mut client = server.client();
            let mut number = 0u64;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let lines = [
                    format!("SET first {number}"),
                    format!("RPUSH list {number}"),
                    "MULTI".to_owned(),
                    format!("SET a {number}"),
                    format!("SET b:{} {number}", number % 50),
                    "EXEC".to_owned(),
                    format!("SET last {number}"),
                ];
                client.call_all(lines.iter().map(String::as_str));
                if number.is_multiple_of(500) {
                    client.call("BGREWRITEAOF");
                }
            }
        });
        // The writer ends also if this fails.
        let _end = SetAtEnd(&stop);
        for round in 0..20 {
            let (format, name) = [("mainstay", "copy"), ("rdb", "copy.rdb")][round % 2];
            let to = home.path().join(name);
            let words = ["export", text(&data), "--to", text(&to), "--format", format];
            tool_says(0, &words);
            check_prefix(&to);
            if round == 0 {
                let copy = Server::start(&to, &[]);
                assert_same(&copy.url(), text(&to));
                copy.stop();
            }
            let removed =
                if to.is_dir() { std::fs::remove_dir_all(&to) } else { std::fs::remove_file(&to) };
            removed.unwrap();
        }
    });
    // No other process writes its directory while it runs.
    tool_says(2, &["import", text(&data), "--into", text(&data)]);
    server.stop();
}

/// Sets a flag when it goes.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a copy holds is what a prefix of the writer's commands leaves behind.
fn check_prefix(copy: &Path) {
    let mut numbers = std::collections::HashMap::new();
    let mut list = Vec::new();
    for line in tool_says(0, &["export", text(copy), "--to", "-", "--format", "json"]).lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let key = line["key"].as_str().unwrap().to_owned();
        let number = |value: &serde_json::Value| value.as_str().unwrap().parse::<u64>().unwrap();
        match &line["value"] {
            serde_json::Value::Array(values) => list = values.iter().map(number).collect(),
            value => drop(numbers.insert(key, number(value))),
        }
    }
    let of = |key: &str| numbers.get(key).copied().unwrap_or(0);
    let latest_b = (0..50).map(|index| of(&format!("b:{index}"))).max().unwrap_or(0);
    assert!(list.iter().copied().eq(1..=list.len() as u64), "the list has no gap");
    let steps = [of("first"), list.len() as u64, of("a"), of("last")];
    assert_eq!(of("a"), latest_b, "a transaction is not divided");
    assert!(steps.windows(2).all(|pair| pair[0] >= pair[1]), "{steps:?}");
    assert!(steps[0] - steps[3] <= 1, "{steps:?}");
}

/// Files of the corpus that no server of today loads.
const REFUSED: [&str; 2] = ["zipmap_big_len.rdb", "corrupt_ziplist.rdb"];

#[test]
fn files_of_other_servers_are_copied_in_every_version() {
    let Some(corpus) = corpus() else { return };
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let mut copied = 0;
    for dir in ["rdb/rdb-go", "rdb/valkey-assets"] {
        for entry in std::fs::read_dir(corpus.join(dir)).unwrap() {
            let file = entry.unwrap().path();
            let (name, source) = (file.file_name().unwrap().to_str().unwrap(), text(&file));
            if !name.ends_with(".rdb") && !name.ends_with(".aof") {
                continue;
            }
            if REFUSED.contains(&name) {
                tool_says(2, &["export", source, "--to", &path("refused.rdb")]);
                tool_says(2, &["import", source, "--into", &path("refused")]);
                continue;
            }
            // Other formats once, versions all.
            let into = path(&format!("ours-{copied}"));
            tool_says(0, &["import", source, "--into", &into, "--skip-modules"]);
            assert_same(&into, source);
            for version in ["10", "11", "12", "80"] {
                let copy = path("copy.rdb");
                let words = ["export", source, "--to", &copy, "--rdb-version", version, "--json"];
                let output = tool(&[&words[..], &["--force"]].concat());
                let said = String::from_utf8_lossy(&output.stdout);
                if said.contains("cannot hold a hash with expiring fields") {
                    assert!(["10", "11"].contains(&version), "{name}: {said}");
                    continue;
                }
                assert!(output.status.success(), "{name}: {said}");
                tool_says(0, &["diff", source, &copy]);
            }
            copied += 1;
        }
    }
    assert!(copied > 40, "{copied} files");
}

#[test]
fn what_is_left_out_is_said() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let command = |words: &[&str]| {
        let mut bytes = Vec::new();
        Client::encode(&mut bytes, words);
        bytes
    };
    let mut aof = command(&["SET", "a", "1"]);
    aof.extend(command(&["SET", "gone", "1", "PXAT", "1000"]));
    aof.extend(command(&["INCR", "a"]));
    aof.extend(command(&["LPUSH", "a", "1"]));
    aof.extend(command(&["SELECT", "20"]));
    aof.extend(command(&["SET", "far", "1"]));
    let whole = aof.len();
    aof.extend_from_slice(&command(&["SET", "b", "2"])[..15]);
    std::fs::write(path("cut.aof"), &aof).unwrap();
    let said = tool_says(0, &["import", &path("cut.aof"), "--into", &path("ours"), "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&report["keys"], &report["keys_by_type"]["string"]), (&2.into(), &2.into()));
    assert_eq!(
        (&report["skipped"]["expired"], &report["skipped"]["failed_commands"]),
        (&1.into(), &1.into())
    );
    let remarks: Vec<_> =
        report["remarks"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let has = |text: &str| remarks.iter().any(|remark| remark.contains(text));
    assert!(
        has(&format!("cut.aof, offset {whole}: the file ends within a command")),
        "{remarks:?}"
    );
    assert!(has("'databases 21'"), "{remarks:?}");
    assert_eq!(std::fs::read(path("cut.aof")).unwrap(), aof);

    // A key with a value of a module (an id, no more), then one without; no checksum.
    let mut rdb = b"REDIS0011\xfe\x00\x07\x01m\x81".to_vec();
    rdb.extend_from_slice(&(7u64 << 40 | 1).to_be_bytes());
    rdb.extend_from_slice(b"\x00\x00\x01k\x01v\xff\0\0\0\0\0\0\0\0");
    std::fs::write(path("modules.rdb"), rdb).unwrap();
    let words = ["import", &path("modules.rdb"), "--into", &path("modules"), "--json"];
    let said = tool_says(2, &words);
    assert!(said.contains("1 key has a value of a module"), "{said}");
    assert!(!home.path().join("modules").exists());
    let said = tool_says(0, &[&words[..], &["--skip-modules"]].concat());
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&report["keys"], &report["skipped"]["module_keys"]), (&1.into(), &1.into()));

    // Through pipes.
    let mut words = vec!["import", "-", "--into"];
    let piped = path("piped");
    words.push(&piped);
    let file = std::fs::File::open(path("cut.aof")).unwrap();
    let mut tool = Command::new(env!("CARGO_BIN_EXE_mainstay-tool"));
    let output = tool.args(&words).stdin(file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_same(&piped, &path("ours"));
}

#[test]
fn servers_are_reached_in_every_way() {
    for program in Redis::programs() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("socket");
        let directives = ["--appendonly", "no", "--unixsocket", text(&socket)];
        let redis = Redis::start_program_in(&program, home.path(), &directives);
        // One of before PEXPIRETIME.
        let old_home = tempfile::tempdir().unwrap();
        let directives = ["--appendonly", "no", "--rename-command", "PEXPIRETIME", ""];
        let old = Redis::start_program_in(&program, old_home.path(), &directives);
        for redis in [&redis, &old] {
            let mut client = redis.client();
            client.call_all(["SET a 1 PXAT 4102444800000", "SADD s 1 2 x", "SELECT 5", "SET b 1"]);
            client.call("ACL SETUSER user on >p@ss ~* &* +@all");
        }
        assert_same(&url(&redis), &url(&old));
        assert_same(&format!("unix:{}?db=5", text(&socket)), &format!("{}/5", url(&old)));
        redis.client().call("ACL SETUSER default resetpass >other");
        assert_same(&format!("redis://user:p%40ss@127.0.0.1:{}", redis.port), &url(&old));
        assert_same(&format!("redis://:other@127.0.0.1:{}", redis.port), &url(&old));
        let said = tool_says(2, &["diff", &url(&redis), &url(&old), "--json"]);
        assert!(said.contains("NOAUTH"), "{said}");
    }
}

#[test]
fn a_password_that_a_server_repeats_is_not_shown() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // One whose AUTH has another name.
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        let reply = "-ERR unknown command 'AUTH', with args beginning with: 'hunter2' \r\n";
        stream.write_all(reply.as_bytes()).unwrap();
    });
    let home = tempfile::tempdir().unwrap();
    let rdb = home.path().join("dump.rdb");
    std::fs::write(&rdb, b"REDIS0009\xff\0\0\0\0\0\0\0\0").unwrap();
    let there = format!("redis://:hunter2@127.0.0.1:{port}");
    let said = tool_says(2, &["diff", text(&rdb), &there, "--json"]);
    server.join().unwrap();
    assert!(said.contains("AUTH: ERR unknown command 'AUTH'"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}
