//! `replay --print`: the commands of logs and append-only files, for people and machines.

#[path = "support/data_set.rs"]
mod data_set;

use data_set::*;
use mainstay::commands::Settings;
use mainstay::disk::RealDisk;
use mainstay::engine::{Engine, Machine};
use mainstay::env::{SimClock, seeded_random};
use mainstay::log::manifest::Manifest;
use mainstay::log::segment::segment_name;
use mainstay::log::{Retention, View};
use mainstay::resp::request::Parsed;
use mainstay::resp::{Args, Output, RequestLimits, RequestParser, write_command};
use mainstay::session::Client;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::Arc;

/// The JSON lines that the tool prints.
fn lines(code: i32, arguments: &[&str]) -> Vec<Json> {
    let arguments = [&["replay", "--json"], arguments].concat();
    let (printed, _) = run_tool(code, &arguments);
    printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Database and words of each command, text that is none left out.
fn commands(lines: &[Json]) -> Vec<String> {
    let command = |line: &Json| {
        let words = line["args"].as_array().expect("a command").iter();
        let words: Vec<_> = words.map(|word| word.as_str().unwrap_or("(binary)")).collect();
        format!("{} {}", line["db"], words.join(" "))
    };
    lines.iter().map(command).collect()
}

/// A small data set, with the time at which each command was written.
fn small(dir: &Path) -> DataSet {
    let mut set = DataSet::create(dir, Retention { time_s: 1000, bytes: 0 }, 1);
    let units: [&[&str]; 6] = [
        &["SET user:1 alice"],
        &["SELECT 3", "MULTI", "RPUSH list a b", "SET user:2 bob", "EXEC"],
        &["XGROUP CREATE stream group 0 MKSTREAM"],
        &["SELECT 0", "SET gone x PXAT 1700000004500"],
        &["EXPIRE"],
        &["FLUSHALL", "DEL user:1", "SET last 1"],
    ];
    for unit in units {
        set.pass_ms(1000);
        for line in unit {
            match *line {
                "EXPIRE" => set.expire(),
                line => set.line(line),
            }
        }
        set.sync();
    }
    set
}

const ALL: [&str; 7] = [
    "0 SET user:1 alice",
    "3 RPUSH list a b",
    "3 SET user:2 bob",
    "3 XGROUP CREATE stream group 0 MKSTREAM",
    "0 SET gone x PXAT 1700000004500",
    "0 DEL gone",
    "0 FLUSHALL",
];

#[test]
fn every_command_is_printed_with_lsn_time_and_database() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    let model = small(&dir).close();
    let before = files_below(&dir);
    let dir = dir.to_str().unwrap();
    let all = lines(0, &[dir]);
    assert_eq!(commands(&all)[..7], ALL);
    assert_eq!(commands(&all)[7..], ["0 SET last 1"]);
    let times: Vec<u64> = all.iter().map(|line| line["time_ms"].as_u64().unwrap()).collect();
    let since = |time| (time - START_MS as u64) / 1000;
    assert_eq!(times.iter().map(|&time| since(time)).collect::<Vec<_>>(), [1, 2, 2, 3, 4, 5, 6, 6]);
    assert_eq!(all[7]["end_lsn"], model.end().lsn);
    // Those of the transaction belong together, and no others.
    assert!(all[1]["transaction"].is_u64() && all[1]["transaction"] == all[2]["transaction"]);
    assert_eq!(all.iter().filter(|line| !line["transaction"].is_null()).count(), 2);

    let (printed, _) = run_tool(0, &["replay", dir, "--print"]);
    let printed: Vec<&str> = printed.lines().collect();
    assert_eq!(printed.len(), 10);
    assert!(printed[0].ends_with("2023-11-14 22:13:21.000Z   0  SET \"user:1\" \"alice\""));
    assert!(printed[1].ends_with("MULTI") && printed[4].ends_with("EXEC"));
    assert!(printed[2].ends_with("    RPUSH \"list\" \"a\" \"b\""), "{}", printed[2]);
    assert_eq!(files_below(Path::new(dir)), before);
}

#[test]
fn filters_choose_commands() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    small(&dir).close();
    let dir = dir.to_str().unwrap();
    let all = lines(0, &[dir]);
    let last_lsn = all[7]["lsn"].to_string();
    let cases: [(&[&str], &[usize]); 14] = [
        (&["--match", "user:*"], &[0, 2, 6]),
        (&["--match", "user:*", "--command", "set"], &[0, 2]),
        (&["--command", "rpush", "--command", "xgroup create"], &[1, 3]),
        (&["--command", "XGROUP|DESTROY"], &[]),
        (&["--db", "3"], &[1, 2, 3, 6]),
        (&["--db", "3", "--match", "list"], &[1, 6]),
        (&["--from-lsn", &last_lsn], &[7]),
        (&["--to-lsn", &last_lsn], &[0, 1, 2, 3, 4, 5, 6]),
        (&["--from-time", "2023-11-14T22:13:24Z", "--to-time", "1700000005"], &[4, 5]),
        (&["--from-time", "1700000005001"], &[6, 7]),
        (&["--to-time", "1700000000"], &[]),
        (&["--from-time", "-1h"], &[]),
        (&["--all"], &[0, 1, 2, 3, 4, 5, 6, 7]),
        (&["--match", "*", "--command", "del"], &[5]),
    ];
    for (filters, expected) in cases {
        let found = commands(&lines(0, &[&[dir], filters].concat()));
        let expected: Vec<_> = expected.iter().map(|&at| commands(&all)[at].clone()).collect();
        assert_eq!(found, expected, "{filters:?}");
    }
    // A transaction of which something is shown stays one.
    let (printed, _) = run_tool(0, &["replay", dir, "--match", "list", "--format", "resp"]);
    let expected = "*1\r\n$5\r\nMULTI\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*4\r\n$5\r\nRPUSH\r\n$4\r\nlist\r\n$1\r\na\
                    \r\n$1\r\nb\r\n*1\r\n$4\r\nEXEC\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*1\r\n$8\r\nFLUSHALL\r\n";
    assert_eq!(printed, expected);
    let (_, said) = run_tool(2, &["replay", dir, "--from-time", "yesterday"]);
    assert!(said.contains("a time is"), "{said}");
}

/// What a server holds to which this stream is sent.
fn carried_out(stream: &[u8]) -> Contents {
    let machine = Machine {
        disk: Arc::new(RealDisk),
        clock: SimClock::new(START_MS),
        random: Arc::new(|| seeded_random(7)),
    };
    let engine = Engine::in_memory(machine, 16, Settings::default());
    let (mut client, mut stream, mut at) = (Client::default(), stream.to_vec(), 0);
    while at < stream.len() {
        let (mut ranges, mut reply) = (Vec::new(), Output::default());
        let limits = RequestLimits::default();
        let parsed = RequestParser::default().parse(&mut stream[at..], 0, &limits, &mut ranges);
        let Ok(Parsed::Request { consumed }) = parsed else { panic!("the stream is cut") };
        let args = Args::new(&stream[at..], &ranges);
        client.execute(&mut engine.lock(), args, &mut reply);
        let reply = reply.to_vec();
        assert!(!reply.starts_with(b"-"), "{}", reply.escape_ascii());
        at += consumed;
    }
    contents(&engine)
}

/// A data set whose beginning is still there, in retired files that are compressed and in others.
fn whole_history(dir: &Path, seed: u64) -> DataSet {
    let mut set = DataSet::create(dir, Retention { time_s: 1000, bytes: 0 }, seed);
    for round in 0..3 {
        (0..6).for_each(|_| set.batch(8));
        set.compact();
        if round == 1 {
            set.compress();
        }
        set.pass_ms(5);
    }
    (0..4).for_each(|_| set.batch(8));
    set
}

#[test]
fn running_the_stream_gives_the_same_values() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    let set = whole_history(&dir, 2);
    let dir = dir.to_str().unwrap();
    // A server has it open, this test; all of it is durable.
    let (live, said) = {
        let output = tool_command(&["replay", dir, "--all", "--format", "resp"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(said.contains("a server has"), "{said}");
    let model = set.close();
    assert_eq!(carried_out(&live), model.end().contents);
    let output = tool_command(&["replay", dir, "--all", "--format", "resp"]).output().unwrap();
    assert_eq!(output.stdout, live);
}

#[test]
fn a_segment_and_a_base_by_themselves() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    whole_history(&dir, 3).close();
    let all = lines(0, &[dir.to_str().unwrap()]);
    let view = View::open(&RealDisk, &dir).unwrap();
    let manifest = view.manifest();
    let base = mainstay::log::segment::base_name(manifest.base.as_ref().unwrap().sequence);
    let segments = manifest.segments.iter().map(|line| segment_name(line.sequence));
    let mut found = Vec::new();
    for name in std::iter::once(base).chain(segments) {
        // Under any name.
        let copy = home.path().join("copy");
        std::fs::copy(dir.join(name), &copy).unwrap();
        found.extend(lines(0, &[copy.to_str().unwrap()]));
    }
    assert_eq!(found, all);
}

#[test]
fn what_is_damaged_is_named_and_passed_over() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    small(&dir).close();
    let manifest = Manifest::load(&RealDisk, &dir).unwrap();
    let name = segment_name(manifest.segments[0].sequence);
    let path = dir.join(&name);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|word| word == b"list").unwrap();
    bytes[at] = b'L';
    std::fs::write(&path, bytes).unwrap();
    let dir = dir.to_str().unwrap();
    let (printed, said) = run_tool(1, &["replay", dir, "--json"]);
    let found: Vec<Json> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [&ALL[..1], &ALL[3..], &["0 SET last 1"]].concat();
    assert_eq!(commands(&found), expected);
    assert!(said.contains(&name) && said.contains("cannot be read"), "{said}");
    // Other paths are not checked.
    let lsn = found[1]["lsn"].to_string();
    assert_eq!(run_tool(1, &["replay", dir, "--to-lsn", &lsn]).0.lines().count(), 1);
    std::fs::remove_file(&path).unwrap();
    let (printed, said) = run_tool(1, &["replay", dir]);
    assert!(printed.is_empty() && said.contains(&name), "{said}");
}

#[test]
fn what_a_repair_could_not_save_is_shown() {
    let home = tempfile::tempdir().unwrap();
    let (dir, out) = (home.path().join("mainstay"), home.path().join("out"));
    small(&dir).close();
    let manifest = Manifest::load(&RealDisk, &dir).unwrap();
    let path = dir.join(segment_name(manifest.segments[0].sequence));
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|word| word == b"list").unwrap();
    bytes[at] = b'L';
    std::fs::write(&path, bytes).unwrap();
    let [dir, out] = [&dir, &out].map(|path| path.to_str().unwrap());
    run_tool(1, &["repair", dir, "--out", out]);
    let found = lines(0, &[out]);
    let (lost, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|line| !line["lost"].is_null());
    assert_eq!(commands(&others), [&ALL[..1], &ALL[3..], &["0 SET last 1"]].concat());
    let [lost] = &lost[..] else { panic!("{lost:?}") };
    assert_eq!(lost["lost"]["lsn"], others[0]["end_lsn"]);
    // What selects the database of the next command is no loss.
    assert!(lost["lost"]["end_lsn"].as_u64() <= others[1]["lsn"].as_u64(), "{lost}");
    let (printed, _) = run_tool(0, &["replay", out]);
    assert_eq!(printed.matches("LOST before a repair: commands up to LSN").count(), 1, "{printed}");
}

fn aof(commands: &[&[&[u8]]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for words in commands {
        match words {
            [annotation] if annotation.starts_with(b"#") => bytes.extend_from_slice(annotation),
            words => write_command(&mut bytes, words),
        }
    }
    bytes
}

#[test]
fn append_only_files_have_offsets_and_perhaps_times() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("appendonly.aof");
    let mut bytes = aof(&[
        &[b"SELECT", b"2"],
        &[b"#TS:1700000001\r\n"],
        &[b"MULTI"],
        &[b"SET", b"a\xff", b"1"],
        &[b"EXEC"],
        &[b"#TS:1700000002\r\n"],
        &[b"DEL", b"b"],
    ]);
    let whole = bytes.len();
    bytes.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$1");
    std::fs::write(&path, &bytes).unwrap();
    let path = path.to_str().unwrap();
    let found = lines(0, &[path]);
    let key = json!({ "base64": "Yf8=" });
    assert_eq!(found[0]["args"], json!(["SET", key, "1"]));
    assert_eq!((&found[0]["db"], &found[0]["time_ms"]), (&2.into(), &1_700_000_001_000u64.into()));
    let multi = bytes.windows(5).position(|word| word == b"MULTI").unwrap() - 8;
    assert_eq!(found[0]["transaction"], multi);
    assert_eq!((&found[1]["args"], found.len()), (&json!(["DEL", "b"]), 2));
    assert_eq!(commands(&lines(0, &[path, "--from-time", "1700000002"])), ["2 DEL b"]);
    let (_, said) = run_tool(0, &["replay", path]);
    assert!(said.contains(&format!("offset {whole}: the file ends amid a command")), "{said}");
    let (_, said) = run_tool(2, &["replay", path, "--from-lsn", "5"]);
    assert!(said.contains("no LSNs"), "{said}");
    // A transaction without its end: a Redis would carry none of it out.
    let unfinished = home.path().join("unfinished.aof");
    let mut begun = bytes[..whole].to_vec();
    let at = begun.len();
    begun.extend(aof(&[&[b"MULTI"], &[b"SET", b"q", b"1"]]));
    std::fs::write(&unfinished, begun).unwrap();
    let unfinished = unfinished.to_str().unwrap();
    let (printed, said) = run_tool(0, &["replay", unfinished, "--format", "resp"]);
    assert!(printed.ends_with("$1\r\n1\r\n*1\r\n$7\r\nDISCARD\r\n"), "{printed}");
    assert!(said.contains(&format!("offset {at}: a transaction without its end")), "{said}");
    // Damage ends it: there is nothing to find the next command by.
    bytes[whole - 9] = b'x';
    let damaged = home.path().join("damaged.aof");
    std::fs::write(&damaged, &bytes).unwrap();
    let (printed, said) = run_tool(1, &["replay", damaged.to_str().unwrap()]);
    assert_eq!(printed.lines().count(), 3, "{printed}");
    assert!(said.contains("the rest of the file cannot be read"), "{said}");
}

#[test]
fn an_append_only_file_in_several_parts() {
    let home = tempfile::tempdir().unwrap();
    // The RDB at the beginning: what is in it are no commands.
    let machine = Machine {
        disk: Arc::new(RealDisk),
        clock: SimClock::new(START_MS),
        random: Arc::new(|| seeded_random(7)),
    };
    let engine = Engine::in_memory(machine, 16, Settings::default());
    let value = mainstay::data::NewValue::Integer(5);
    engine.lock().put(0, b"in the rdb", value, None, true);
    let dir = home.path().join("appendonlydir");
    std::fs::create_dir(&dir).unwrap();
    let mut guard = engine.lock();
    let format = mainstay::rdb::Format { target: guard.rdb_target(), compress: true };
    guard.save(&dir.join("appendonly.aof.1.base.rdb"), format).unwrap();
    drop(guard);
    std::fs::write(dir.join("appendonly.aof.1.incr.aof"), aof(&[&[b"SET", b"a", b"1"]])).unwrap();
    std::fs::write(dir.join("appendonly.aof.2.incr.aof"), aof(&[&[b"SET", b"b", b"1"]])).unwrap();
    let manifest = "file appendonly.aof.1.base.rdb seq 1 type b\n\
                    file appendonly.aof.1.incr.aof seq 1 type i\nfile appendonly.aof.2.incr.aof seq 2 type i\n";
    std::fs::write(dir.join("appendonly.aof.manifest"), manifest).unwrap();
    let found = lines(0, &[home.path().to_str().unwrap()]);
    assert_eq!(commands(&found), ["0 SET a 1", "0 SET b 1"]);
    assert_eq!(found[1]["file"], "appendonly.aof.2.incr.aof");
    let rdb = dir.join("appendonly.aof.1.base.rdb");
    let (_, said) = run_tool(2, &["replay", rdb.to_str().unwrap()]);
    assert!(said.contains("no commands"), "{said}");
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let both = ["replay", "x", "--until-lsn", "1", "--until-time", "now", "--out", "y"];
    let cases: [&[&str]; 5] = [
        &both,
        &["replay", "x", "--until-lsn", "1"],
        &["replay", "x", "--out", "y"],
        &["replay", "x", "--out", "y", "--until-lsn", "1", "--match", "a"],
        &["replay", "x", "--shift-expiry"],
    ];
    for arguments in cases {
        let (printed, said) = run_tool(2, arguments);
        assert!(printed.is_empty() && said.contains("--"), "{arguments:?}: {said}");
    }
}
