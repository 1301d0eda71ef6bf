//! `replay --until-time` and `--until-lsn`: each moment that is kept can be restored, exactly.
//!
//! States are compared as files: what the tool has written is read with the library, without a server.

#[path = "support/data_set.rs"]
mod data_set;

use data_set::*;
use mainstay::disk::RealDisk;
use mainstay::env::{Random, seeded_random};
use mainstay::log::manifest::RetiredFile;
use mainstay::log::{Retention, View};
use serde_json::Value as Json;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const LIBRARY: &[u8] = b"#!lua name=kept\nredis.register_function('f', function() return 1 end)";

/// So many moments are restored, by time and by LSN.
const MOMENTS: usize = 20;

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

/// The seed of a run: another one with `MAINSTAY_TEST_SEED`. A failure prints it.
fn seed() -> u64 {
    let seed = std::env::var("MAINSTAY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(1);
    println!("MAINSTAY_TEST_SEED={seed}");
    seed
}

/// A history with compactions while commands go on, retired segments of which some are compressed, and starts.
fn history(dir: &Path, seed: u64) -> Model {
    // What was retired more than 8 seconds ago is forgotten.
    let retention = Retention { time_s: 8, bytes: 0 };
    let mut set = DataSet::with_function(dir, retention, seed, LIBRARY);
    for round in 0..7 {
        for _ in 0..6 {
            set.batch(6);
        }
        if round == 3 || round == 5 {
            set = set.restart(round == 5);
        }
        if round != 4 {
            set.compact();
        }
        if round == 2 || round == 5 {
            set.compress();
        }
        set.pass_ms(1500);
    }
    set.batch(4);
    set.close()
}

/// The earliest moment of a data set that can be restored: LSN and time.
fn earliest(dir: &Path) -> (u64, u64) {
    let view = View::open(&RealDisk, dir).expect("a data set");
    let histories = view.histories();
    let oldest = histories.last().expect("there is one");
    let base = oldest.base.as_ref().expect("it begins with a base");
    (base.lsn, view.base_time_ms(oldest).expect("it can be read"))
}

/// Restores a moment, and gives the report.
fn restore(dir: &Path, out: &Path, moment: &[&str]) -> Json {
    let (dir, out) = (dir.to_str().unwrap(), out.to_str().unwrap());
    let arguments = [&["replay", dir, "--out", out, "--json"], moment].concat();
    serde_json::from_str(&run_tool(0, &arguments).0).expect("JSON")
}

fn check(out: &Path, report: &Json, expected: &State) {
    let (engine, _) = read(&out.join("mainstay"));
    if let Some(shifted_ms) = report["shifted_ms"].as_i64() {
        engine.lock().shift_expiries(-shifted_ms);
    }
    let found = contents(&engine);
    assert!(found == expected.contents, "{report}\n{found:?}\n{:?}", expected.contents);
    let functions: Vec<Vec<u8>> = engine.lock().functions().sources().map(<[u8]>::to_vec).collect();
    assert_eq!(functions, [LIBRARY]);
    assert_eq!(report["keys"], expected.contents.len());
    let past = expected.contents.values().filter(|(expiry, _)| expiry.is_some()).count();
    if report["shifted_ms"].is_null() {
        // All of it happened years ago.
        assert_eq!(report["past"]["keys"], past);
    }
}

fn pick(random: &mut Random, from: u64, to: u64) -> u64 {
    from + random() % (to - from + 1)
}

#[test]
fn every_moment_that_is_kept_can_be_restored() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let seed = seed();
    let model = history(&dir, seed);
    let before = files_below(&dir);
    let (lsn, time_ms) = earliest(&dir);
    let end = model.end();
    assert!(lsn > 0 && end.lsn > lsn, "something was forgotten, and something kept");
    let view = View::open(&RealDisk, &dir).unwrap();
    let is_compressed = |file: &RetiredFile| matches!(file, RetiredFile::CompressedSegment { .. });
    let retired = &view.manifest().retired;
    assert!(retired.iter().any(|line| is_compressed(&line.file)));
    assert!(retired.iter().any(|line| matches!(line.file, RetiredFile::Segment(_))));
    assert!(view.histories().len() > 2);
    drop(view);

    let mut random = seeded_random(seed + 1);
    let mut bases = std::collections::BTreeSet::new();
    for number in 0..MOMENTS {
        let until_ms = pick(&mut random, time_ms, end.time_ms + 300);
        let expected = model.at_time(until_ms);
        let out = home.path().join(format!("time-{number}"));
        let report = restore(&dir, &out, &["--until-time", &until_ms.to_string()]);
        assert_eq!(report["lsn"], expected.lsn, "{report}");
        check(&out, &report, expected);
        bases.insert(report["base"].to_string());

        let mut until = pick(&mut random, lsn, end.lsn + 50);
        while !model.knows_lsn(until) {
            until = pick(&mut random, lsn, end.lsn);
        }
        let expected = model.at_lsn(until);
        let out = home.path().join(format!("lsn-{number}"));
        let report = restore(&dir, &out, &["--until-lsn", &until.to_string()]);
        // A database may have been selected already for the command that is left out.
        let lsn = report["lsn"].as_u64().expect("a number");
        assert!((expected.lsn..=until).contains(&lsn), "{report}");
        check(&out, &report, expected);
        bases.insert(report["base"].to_string());
    }
    // Restored from old bases and from the newest.
    assert!(bases.len() > 2, "{bases:?}");
    assert_eq!(files_below(&dir), before);
}

#[test]
fn what_had_time_left_has_it_again() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let seed = seed();
    let model = history(&dir, seed);
    let (lsn, time_ms) = earliest(&dir);
    let end = model.end();
    let mut random = seeded_random(seed + 1);
    for number in 0..5 {
        let until_ms = pick(&mut random, time_ms, end.time_ms);
        let expected = model.at_time(until_ms);
        let out = home.path().join(format!("time-{number}"));
        let from_ms = now_ms();
        let until = until_ms.to_string();
        let report = restore(&dir, &out, &["--until-time", &until, "--shift-expiry"]);
        let shifted_ms = report["shifted_ms"].as_u64().expect("it was shifted");
        assert!((from_ms - until_ms..=now_ms() - until_ms).contains(&shifted_ms), "{report}");
        check(&out, &report, expected);

        // By LSN, the moment is when the last command was written.
        let state = &model.batches[model.batches.len() - 1 - number];
        assert!(state.lsn > lsn);
        let out = home.path().join(format!("lsn-{number}"));
        let report =
            restore(&dir, &out, &["--until-lsn", &state.lsn.to_string(), "--shift-expiry"]);
        let written_ms = report["time_ms"].as_u64().expect("something was written");
        let first = model.batches.iter().find(|batch| batch.lsn == state.lsn);
        assert_eq!(written_ms, first.expect("it is there").time_ms, "{report}");
        let shifted_ms = report["shifted_ms"].as_u64().expect("it was shifted");
        assert!((from_ms - written_ms..=now_ms() - written_ms).contains(&shifted_ms), "{report}");
        check(&out, &report, model.at_lsn(state.lsn));
    }
}

/// Between two frames it is the earlier state; at a frame's own time its commands are in.
#[test]
fn the_borders_of_frames() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let mut set = DataSet::create(&dir, Retention::default(), 5);
    for number in 0..3 {
        set.pass_ms(1000);
        set.line(&format!("SET key {number}"));
        set.line("RPUSH list x");
        set.sync();
    }
    let model = set.close();
    let start = model.batches[0].time_ms;
    let moments = [0, 999, 1000, 1001, 1999, 2000, 2999, 3000];
    for (number, since_ms) in moments.into_iter().enumerate() {
        let out = home.path().join(format!("out-{number}"));
        let report = restore(&dir, &out, &["--until-time", &(start + since_ms).to_string()]);
        let expected = &model.batches[(since_ms / 1000) as usize];
        assert_eq!(report["lsn"], expected.lsn, "{report}");
        let (engine, _) = read(&out.join("mainstay"));
        assert_eq!(contents(&engine), expected.contents);
    }
    // Each LSN of a transaction but the last is that before it.
    let out = home.path().join("one");
    let mid = model.units[1].lsn - 1;
    let report = restore(&dir, &out, &["--until-lsn", &mid.to_string()]);
    assert_eq!(report["keys"], 0, "{report}");
}

#[test]
fn what_is_not_kept_any_more_is_refused_in_words() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    history(&dir, seed());
    let (lsn, time_ms) = earliest(&dir);
    let out = home.path().join("out");
    let [dir, out_text] = [&dir, &out].map(|path| path.to_str().unwrap());
    let moments = [("--until-lsn", lsn - 1), ("--until-time", time_ms - 1), ("--until-time", 0)];
    for (option, value) in moments {
        let value = value.to_string();
        let (printed, said) = run_tool(2, &["replay", dir, option, &value, "--out", out_text]);
        assert_eq!(printed, "");
        assert!(said.contains("before the earliest moment that can be restored"), "{said}");
        assert!(said.contains(&format!("LSN {lsn},")), "{said}");
        assert!(!out.exists());
    }
    // The earliest itself can be.
    run_tool(0, &["replay", dir, "--until-lsn", &lsn.to_string(), "--out", out_text]);
    run_tool(0, &["verify", out_text]);
    // And nothing is written over.
    let before = files_below(&out);
    let (_, said) = run_tool(2, &["replay", dir, "--until-time", "now", "--out", out_text]);
    assert!(said.contains("not empty"), "{said}");
    assert_eq!(files_below(&out), before);
    let names: Vec<_> =
        std::fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing temporary is left: {names:?}");
}

#[test]
fn a_moment_behind_the_end_is_the_end() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let mut set = DataSet::create(&dir, Retention::default(), 7);
    (0..5).for_each(|_| set.batch(5));
    let end = set.batches.last().unwrap().clone();
    let (dir_text, out) = (dir.to_str().unwrap(), home.path().join("out"));
    let out_text = out.to_str().unwrap();
    let before = files_below(&dir);
    // A server has it open, this test.
    let arguments = ["replay", dir_text, "--until-time", "1h ago", "--out", out_text];
    let (printed, said) = run_tool(0, &arguments);
    assert!(said.contains("lies behind the end"), "{said}");
    assert!(said.contains("a server has"), "{said}");
    assert!(printed.contains(&format!("LSN {}", end.lsn)), "{printed}");
    assert_eq!(files_below(&dir), before);
    let (engine, _) = read(&out.join("mainstay"));
    assert_eq!(contents(&engine), end.contents);
    set.kill();
}

/// A file that holds only what is later may be missing, even if there is another one of those before it.
#[test]
fn what_lies_behind_the_moment_need_not_be_there() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let mut set = DataSet::with_function(&dir, Retention::default(), 9, LIBRARY);
    (0..4).for_each(|_| set.batch(5));
    set.compact();
    let state = set.batches.last().unwrap().clone();
    set.pass_ms(1000);
    set.batch(5);
    let mut set = set.restart(true);
    set.batch(5);
    let model = set.close();
    let view = View::open(&RealDisk, &dir).unwrap();
    let segments = &view.manifest().segments;
    assert_eq!(segments.len(), 2);
    let last = mainstay::log::segment::segment_name(segments[1].sequence);
    std::fs::remove_file(dir.join(last)).unwrap();
    let time_ms = (state.time_ms + 500).to_string();
    let (out, lsn_out) = (home.path().join("by-time"), home.path().join("by-lsn"));
    let report = restore(&dir, &out, &["--until-time", &time_ms]);
    check(&out, &report, model.at_lsn(state.lsn));
    let report = restore(&dir, &lsn_out, &["--until-lsn", &state.lsn.to_string()]);
    check(&lsn_out, &report, &state);
}

/// Damage behind the moment does not matter; damage before it is got round with an older base.
#[test]
fn damage_is_got_round_where_that_is_possible() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let retention = Retention { time_s: 1000, bytes: 0 };
    let mut set = DataSet::with_function(&dir, retention, 8, LIBRARY);
    for _ in 0..3 {
        (0..4).for_each(|_| set.batch(5));
        set.compact();
        set.pass_ms(10);
    }
    (0..4).for_each(|_| set.batch(5));
    let model = set.close();
    let base_lsn = {
        let view = View::open(&RealDisk, &dir).unwrap();
        let base = view.manifest().base.clone().expect("it was compacted");
        let path = dir.join(mainstay::log::segment::base_name(base.sequence));
        // A bit in the middle of the newest preamble.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[base.preamble_bytes as usize / 2] ^= 4;
        std::fs::write(&path, bytes).unwrap();
        // And the segment behind it.
        let last = view.manifest().segments.last().expect("there is one");
        let path = dir.join(mainstay::log::segment::segment_name(last.sequence));
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.len() - 20;
        bytes[at] ^= 4;
        std::fs::write(&path, bytes).unwrap();
        base.lsn
    };
    let state = model.batches.iter().rev().find(|state| state.lsn <= base_lsn).unwrap();
    let out = home.path().join("before");
    let report = restore(&dir, &out, &["--until-lsn", &state.lsn.to_string()]);
    check(&out, &report, state);

    let state = &model.batches[model.batches.len() - 3];
    assert!(state.lsn > base_lsn);
    let out = home.path().join("behind");
    let report = restore(&dir, &out, &["--until-lsn", &state.lsn.to_string()]);
    check(&out, &report, state);
    assert!(report["remarks"].to_string().contains("older files are looked at"), "{report}");

    // The last commands are gone, and no other file has them.
    let out = home.path().join("end");
    let (dir, out) = (dir.to_str().unwrap(), out.to_str().unwrap());
    run_tool(2, &["replay", dir, "--until-time", "now", "--out", out]);
}
