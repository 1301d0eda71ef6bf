//! `repair` as an operator meets it, and a server that starts on what it has saved.

#[path = "support/data_set.rs"]
mod data_set;
mod support;

use data_set::{DataSet, Model, contents, files_below, read};
use mainstay::disk::{Disk, RealDisk};
use mainstay::log::frame::{FrameHeader, FrameKind, HEADER_BYTES};
use mainstay::log::manifest::{BaseLine, NAME, RetiredFile, SegmentLine};
use mainstay::log::reader::FrameReader;
use mainstay::log::segment::{base_name, segment_name};
use mainstay::log::{Lost, Retention, View};
use std::fs;
use std::path::{Path, PathBuf};
use support::{Server, eventually, info, tool_json, tool_says};

const DROPPED: Retention = Retention { time_s: 0, bytes: 0 };

/// A directory with a base and frames behind it, which was closed.
fn closed(home: &Path, seed: u64) -> Model {
    let dir = home.join("mainstay");
    fs::create_dir_all(&dir).unwrap();
    let mut set = DataSet::create(&dir, DROPPED, seed);
    (0..6).for_each(|_| set.batch(10));
    set.compact();
    (0..10).for_each(|_| set.batch(10));
    set.close()
}

/// The last segment: its path, and the offsets and headers of its frames of commands.
fn frames(dir: &Path) -> (PathBuf, Vec<(u64, FrameHeader)>) {
    let view = View::open(&RealDisk, dir).unwrap();
    let line = view.manifest().segments.last().unwrap();
    let name = segment_name(line.sequence);
    let end = line.end.unwrap().bytes;
    let mut reader = FrameReader::new(view.file(&name).unwrap(), end, line.identity.seed());
    let (mut offset, mut found) = (FrameReader::FIRST_OFFSET, Vec::new());
    while let Ok(header) = reader.header(offset) {
        if header.kind == FrameKind::Commands {
            found.push((offset, header));
        }
        offset += header.frame_bytes();
    }
    (dir.join(name), found)
}

fn flip(path: &Path, offset: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset as usize] ^= 4;
    fs::write(path, bytes).unwrap();
}

/// Damages the payload of a frame in the middle of the last segment; gives its header.
fn damage_a_frame(dir: &Path) -> FrameHeader {
    let (path, frames) = frames(dir);
    let (offset, header) = frames[frames.len() / 2];
    flip(&path, offset + HEADER_BYTES as u64 + 3);
    header
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_server_starts_on_what_was_saved_and_says_what_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let model = closed(home.path(), 1);
    let lost = damage_a_frame(&model.dir);
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", text(home.path()), "--out", text(&out)]);
    let range = &report["lost"][0];
    assert_eq!((&range["lsn"], &range["end_lsn"]), (&lost.lsn.into(), &lost.end_lsn().into()));
    assert_eq!((&range["from_ms"], &range["to_ms"]), (&lost.time_ms.into(), &lost.time_ms.into()));
    assert_eq!(report["end_lsn"], model.end().lsn);

    let log = home.path().join("server.log");
    let server = Server::start(&out, &["--logfile", text(&log)]);
    let mut client = server.client();
    let field = |client: &mut _, name| info(client, name).parse::<u64>().unwrap();
    assert_eq!(field(&mut client, "log_lost_ranges"), 1);
    assert_eq!(field(&mut client, "log_lost_bytes"), lost.raw_bytes);
    assert_eq!(field(&mut client, "log_lost_keys"), 0);
    assert_eq!(field(&mut client, "log_lsn_durable"), model.end().lsn);
    client.call("SET written-since 1");
    server.stop();
    let said = fs::read_to_string(&log).unwrap();
    let words = format!("could not save LSN {} to {}", lost.lsn, lost.end_lsn());
    assert!(said.contains(&words), "{said}");
    // What was lost stays known, and the rest goes on.
    let server = Server::start(&out, &[]);
    assert_eq!(field(&mut server.client(), "log_lost_ranges"), 1);
    assert_eq!(server.client().call("GET written-since").text(), "1");
    server.stop();
    tool_says(0, &["verify", text(&out)]);
}

#[test]
fn keys_of_a_damaged_block_are_counted_by_the_server() {
    let home = tempfile::tempdir().unwrap();
    let model = closed(home.path(), 2);
    let view = View::open(&RealDisk, &model.dir).unwrap();
    let base = view.manifest().base.clone().unwrap();
    drop(view);
    // Far enough behind the head to be in a block with keys.
    flip(&model.dir.join(base_name(base.sequence)), base.preamble_bytes / 3);
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", text(home.path()), "--out", text(&out)]);
    let keys = report["lost_blocks"][0]["keys"].as_u64().unwrap();
    assert!(keys > 0, "{report}");
    assert_eq!(report["lost"].as_array().unwrap().len(), 0);
    // Whether or not anything was written meanwhile.
    for start in 0..3 {
        let server = Server::start(&out, &[]);
        assert_eq!(info(&mut server.client(), "log_lost_keys"), keys.to_string(), "{start}");
        assert_eq!(info(&mut server.client(), "log_lost_ranges"), "1", "{start}");
        if start == 1 {
            server.client().call("SET written-since 1");
        }
        server.stop();
    }
    tool_says(0, &["verify", text(&out)]);
}

#[test]
fn a_base_of_which_keys_are_lost_is_known_at_every_start_when_nothing_lies_behind_it() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    let server = Server::start(home.path(), &[]);
    let mut client = server.client();
    for number in 0..3000 {
        client.call(&format!("SET key:{number} value"));
    }
    client.call("BGREWRITEAOF");
    eventually("it is rewritten", || {
        let runs = info(&mut client, "aof_rewrite_in_progress") == "1";
        let waits = info(&mut client, "aof_rewrite_scheduled") == "1";
        (!runs && !waits && info(&mut client, "aof_base_size") != "0").then_some(())
    });
    server.stop();
    let view = View::open(&RealDisk, &dir).unwrap();
    let base = view.manifest().base.clone().unwrap();
    drop(view);
    flip(&dir.join(base_name(base.sequence)), base.preamble_bytes / 3);
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", text(home.path()), "--out", text(&out)]);
    let keys = report["lost_blocks"][0]["keys"].as_u64().unwrap();
    for start in 0..3 {
        let server = Server::start(&out, &[]);
        assert_eq!(info(&mut server.client(), "log_lost_keys"), keys.to_string(), "{start}");
        server.stop();
        tool_says(0, &["verify", text(&out)]);
    }
    // A repair of what was repaired knows it as well, without the manifest too: then the end is
    // unknown.
    fs::remove_file(out.join("mainstay").join(NAME)).unwrap();
    let again = home.path().join("again");
    tool_says(1, &["repair", text(&out), "--out", text(&again)]);
    let server = Server::start(&again, &[]);
    assert_eq!(info(&mut server.client(), "log_lost_keys"), keys.to_string());
    server.stop();
}

#[test]
fn a_sealed_segment_by_itself_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let model = closed(home.path(), 21);
    let view = View::open(&RealDisk, &model.dir).unwrap();
    for line in &view.manifest().segments {
        let path = model.dir.join(segment_name(line.sequence));
        tool_says(0, &["verify", text(&path)]);
        let out = home.path().join(format!("out-{}", line.sequence));
        // Only what lay before it is missing.
        let code = i32::from(line.first_lsn > 0);
        let report = tool_json(code, &["repair", text(&path), "--out", text(&out)]);
        assert_eq!(report["end_lsn"], line.end.unwrap().lsn);
        let lost = report["lost"].as_array().unwrap();
        assert!(lost.iter().all(|lost| lost["end_lsn"] == line.first_lsn), "{report}");
        // Cut within a frame it is not.
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 8]).unwrap();
        tool_says(1, &["verify", text(&path)]);
    }
}

#[test]
fn a_prefix_is_the_state_of_a_moment() {
    let home = tempfile::tempdir().unwrap();
    let model = closed(home.path(), 3);
    let lost = damage_a_frame(&model.dir);
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", "--prefix", text(home.path()), "--out", text(&out)]);
    assert_eq!(report["end_lsn"], lost.lsn);
    let (engine, lsn) = read(&out.join("mainstay"));
    assert_eq!(lsn, lost.lsn);
    assert_eq!(contents(&engine), model.at_lsn(lsn).contents);
}

#[test]
fn nothing_is_written_where_something_is_or_without_being_asked_to() {
    let home = tempfile::tempdir().unwrap();
    let model = closed(home.path(), 4);
    damage_a_frame(&model.dir);
    let before = files_below(home.path());
    let dry = tool_json(1, &["repair", "--dry-run", text(home.path())]);
    assert_eq!(dry["lost"].as_array().unwrap().len(), 1);
    tool_says(2, &["repair", text(home.path())]);
    tool_says(2, &["repair", text(home.path()), "--out", text(home.path())]);
    tool_says(2, &["repair", text(home.path()), "--out", text(&model.dir)]);
    tool_says(2, &["repair", text(&home.path().join("nowhere")), "--out", "x"]);
    assert!(files_below(home.path()) == before);
}

#[test]
fn in_place_the_damaged_directory_is_kept_and_a_running_servers_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let model = closed(home.path(), 5);
    let server = Server::start(home.path(), &[]);
    tool_says(2, &["repair", "--in-place", text(home.path())]);
    server.stop();
    let lost = damage_a_frame_of_any(&model.dir);
    let before = files_below(&model.dir);
    let said = tool_says(1, &["repair", "--in-place", text(home.path())]);
    let kept: Vec<PathBuf> = fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("mainstay.damaged-"))
        .collect();
    assert_eq!(kept.len(), 1, "{said}");
    assert!(said.contains(text(&kept[0])), "{said}");
    let is_data = |name: &str| name != "lock";
    for (path, bytes) in &before {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(!is_data(name) || fs::read(kept[0].join(name)).unwrap() == *bytes, "{name}");
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2, "something else was left");
    let server = Server::start(home.path(), &[]);
    assert_eq!(info(&mut server.client(), "log_lost_bytes"), lost.to_string());
    server.stop();
}

/// Damages a frame of whichever segment has one; gives how many bytes of commands it has.
fn damage_a_frame_of_any(dir: &Path) -> u64 {
    let view = View::open(&RealDisk, dir).unwrap();
    let line = view.manifest().segments.first().unwrap().clone();
    let name = segment_name(line.sequence);
    let end = line.end.unwrap().bytes;
    let mut reader = FrameReader::new(view.file(&name).unwrap(), end, line.identity.seed());
    let header = reader.header(FrameReader::FIRST_OFFSET).unwrap();
    assert_eq!(header.kind, FrameKind::Commands);
    flip(&dir.join(name), FrameReader::FIRST_OFFSET + HEADER_BYTES as u64);
    header.raw_bytes
}

#[test]
fn without_a_manifest_the_headers_tell_what_there_is() {
    for (seed, is_missing) in [(6, true), (7, false)] {
        let home = tempfile::tempdir().unwrap();
        let model = closed(home.path(), seed);
        if is_missing {
            fs::remove_file(model.dir.join(NAME)).unwrap();
        } else {
            flip(&model.dir.join(NAME), 30);
        }
        tool_says(1, &["verify", text(home.path())]);
        let out = home.path().join("out");
        // What is left of a damaged one still tells where the log ends.
        let code = i32::from(is_missing);
        let report = tool_json(code, &["repair", text(home.path()), "--out", text(&out)]);
        assert_eq!(report["end_lsn"], model.end().lsn);
        let (engine, _) = read(&out.join("mainstay"));
        assert_eq!(contents(&engine), model.end().contents);
        let said = tool_says(code, &["repair", text(home.path()), "--dry-run"]);
        assert!(!said.contains("everything"), "{said}");
        assert!(!is_missing || said.contains("something may be lost"), "{said}");
    }
}

#[test]
fn a_missing_file_loses_what_was_in_it() {
    let home = tempfile::tempdir().unwrap();
    let model = closed(home.path(), 8);
    let view = View::open(&RealDisk, &model.dir).unwrap();
    let line = view.manifest().segments[0].clone();
    drop(view);
    fs::remove_file(model.dir.join(segment_name(line.sequence))).unwrap();
    let found = tool_json(1, &["verify", text(home.path())]);
    assert!(found["findings"][0]["damage"].as_str().unwrap().contains("missing"), "{found}");
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", text(home.path()), "--out", text(&out)]);
    assert_eq!(report["lost"][0]["lsn"], line.first_lsn);
    assert_eq!(report["lost"][0]["end_lsn"], line.end.unwrap().lsn);
    tool_says(0, &["verify", text(&out)]);
}

#[test]
fn where_nothing_is_left_nothing_is_written() {
    let home = tempfile::tempdir().unwrap();
    let model = closed(home.path(), 9);
    for path in files_below(&model.dir).keys() {
        fs::write(path, [0; 10_000]).unwrap();
    }
    tool_says(1, &["verify", text(home.path())]);
    let out = home.path().join("out");
    tool_says(2, &["repair", text(home.path()), "--out", text(&out)]);
    assert!(!out.join("mainstay").exists());
}

#[test]
fn a_base_by_itself_is_saved_with_the_frames_in_it() {
    let home = tempfile::tempdir().unwrap();
    let model = closed(home.path(), 10);
    let view = View::open(&RealDisk, &model.dir).unwrap();
    let base = view.manifest().base.clone().unwrap();
    drop(view);
    let path = model.dir.join(base_name(base.sequence));
    tool_says(0, &["verify", text(&path)]);
    let out = home.path().join("out");
    let report = tool_json(0, &["repair", text(&path), "--out", text(&out)]);
    assert_eq!(report["end_lsn"], base.end_lsn);
    let (engine, lsn) = read(&out.join("mainstay"));
    assert_eq!(contents(&engine), model.at_lsn(lsn).contents);
}

#[test]
fn commands_that_need_what_is_lost_do_not_keep_a_server_from_starting() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    fs::create_dir(&dir).unwrap();
    let mut set = DataSet::create(&dir, DROPPED, 11);
    for line in ["RPUSH l a b c", "LSET l 0 x", "SET a 1", "RENAME a b", "SET other 1"] {
        set.pass_ms(1);
        set.line(line);
        set.sync();
    }
    set.close();
    let (path, frames) = frames(&dir);
    flip(&path, frames[0].0 + HEADER_BYTES as u64 + 3);
    let out = home.path().join("out");
    tool_says(1, &["repair", text(home.path()), "--out", text(&out)]);
    let server = Server::start(&out, &[]);
    let mut client = server.client();
    assert_eq!(info(&mut client, "log_lost_passed_over"), "1");
    assert_eq!(client.call("MGET a b other").items().len(), 3);
    assert_eq!(client.call("EXISTS l"), support::int(0));
    server.stop();
    // What is read of it without a server says the same.
    tool_says(
        0,
        &["export", text(&out), "--to", text(&home.path().join("copy")), "--format", "mainstay"],
    );
}

#[test]
fn a_base_that_is_gone_is_said_to_be_lost() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    fs::create_dir(&dir).unwrap();
    // Like a directory that begins with an import: its base is as of LSN 0.
    let mut set = DataSet::with_function(&dir, DROPPED, 12, b"#!lua name=f\n");
    set.line("SET a 1");
    set.sync();
    set.close();
    let view = View::open(&RealDisk, &dir).unwrap();
    let base = view.manifest().base.clone().unwrap();
    drop(view);
    fs::remove_file(dir.join(base_name(base.sequence))).unwrap();
    let found = tool_json(1, &["verify", text(home.path())]);
    assert!(found["findings"][0]["damage"].as_str().unwrap().contains("all keys"), "{found}");
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", text(home.path()), "--out", text(&out)]);
    assert_eq!(report["lost_blocks"].as_array().unwrap().len(), 1);
    let server = Server::start(&out, &[]);
    assert_eq!(info(&mut server.client(), "log_lost_ranges"), "1");
    server.stop();
}

#[test]
fn damage_to_what_a_running_server_has_made_durable_is_found() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path(), &["--appendfsync", "always"]);
    let mut client = server.client();
    for number in 0..30 {
        client.call(&format!("SET key:{number} value"));
    }
    let dir = home.path().join("mainstay");
    let view = View::open(&RealDisk, &dir).unwrap();
    assert!(view.is_live());
    let line = view.manifest().segments.last().unwrap().clone();
    let name = segment_name(line.sequence);
    let mut reader = FrameReader::new(view.file(&name).unwrap(), 1 << 20, line.identity.seed());
    let (mut at, mut commands) = (FrameReader::FIRST_OFFSET, 0);
    while commands < 2 {
        let header = reader.header(at).unwrap();
        commands += u64::from(header.kind == FrameKind::Commands);
        at += if commands < 2 { header.frame_bytes() } else { 9 };
    }
    tool_says(0, &["verify", text(home.path())]);
    // The header of the second frame of commands: the frame after it attests that it was durable.
    let file = fs::OpenOptions::new().write(true).open(dir.join(name)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"x", at).unwrap();
    tool_says(1, &["verify", text(home.path())]);
    let copy = home.path().join("copy");
    tool_says(2, &["export", text(home.path()), "--to", text(&copy), "--format", "mainstay"]);
    tool_says(1, &["repair", text(home.path()), "--dry-run"]);
}

#[test]
fn what_cannot_be_opened_is_not_damaged() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    fs::create_dir(&dir).unwrap();
    let kept = Retention { time_s: 1_000_000, bytes: 0 };
    let mut set = DataSet::create(&dir, kept, 13);
    for _ in 0..6 {
        set.batch(5);
        set.compact();
    }
    set.close();
    assert!(fs::read_dir(&dir).unwrap().count() > 12);
    for verb in ["verify", "repair --dry-run"] {
        let tool = env!("CARGO_BIN_EXE_mainstay-tool");
        let line = format!("ulimit -n 12; exec {tool} {verb} {}", text(home.path()));
        let ended = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{verb}: {said}");
        assert!(said.contains("Too many open files"), "{verb}: {said}");
        assert!(ended.stdout.is_empty(), "{verb}");
    }
    tool_says(0, &["verify", text(home.path())]);
}

/// A directory with a base and several segments behind it, which was closed or whose server was killed.
fn long(home: &Path, seed: u64, is_killed: bool) -> (Model, Vec<SegmentLine>) {
    let dir = home.join("mainstay");
    fs::create_dir_all(&dir).unwrap();
    let mut set = DataSet::create(&dir, DROPPED, seed);
    (0..6).for_each(|_| set.batch(10));
    set.compact();
    for number in 0..350 {
        set.pass_ms(1);
        set.line(&format!("SET key:{number} {}", "x".repeat(400)));
        set.sync();
    }
    let model = if is_killed { set.kill() } else { set.close() };
    let segments = View::open(&RealDisk, &dir).unwrap().manifest().segments.clone();
    assert!(segments.len() > 2, "{segments:?}");
    (model, segments)
}

/// Damages the header of a segment.
fn damage_the_header(dir: &Path, line: &SegmentLine) -> String {
    let name = segment_name(line.sequence);
    flip(&dir.join(&name), 40);
    name
}

fn files_found(report: &serde_json::Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["file"].as_str().unwrap()).collect()
}

/// How many ranges the server says are lost that starts in `dir`.
fn lost_ranges(dir: &Path) -> String {
    let server = Server::start(dir, &[]);
    let ranges = info(&mut server.client(), "log_lost_ranges");
    server.stop();
    ranges
}

#[test]
fn without_a_manifest_a_segment_whose_header_is_damaged_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let (model, segments) = long(home.path(), 20, false);
    let last = segments.last().unwrap();
    let name = damage_the_header(&model.dir, last);
    fs::remove_file(model.dir.join(NAME)).unwrap();
    let found = tool_json(1, &["verify", text(home.path())]);
    assert!(files_found(&found).contains(&&*name), "{found}");
    let said = tool_says(1, &["verify", text(home.path())]);
    assert!(!said.contains("a start removes it"), "{said}");
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", text(home.path()), "--out", text(&out)]);
    let lost = report["lost"].as_array().unwrap().last().unwrap();
    assert_eq!((&lost["lsn"], lost["end_lsn"].is_null()), (&last.first_lsn.into(), true));
    assert!(lost["place"].as_str().unwrap().contains(&name), "{report}");
    tool_says(0, &["verify", text(&out)]);
    assert_eq!(lost_ranges(&out), "1");
}

#[test]
fn the_lines_of_a_damaged_manifest_tell_of_files_whose_headers_are_damaged() {
    let home = tempfile::tempdir().unwrap();
    let (model, segments) = long(home.path(), 21, false);
    segments.iter().for_each(|line| drop(damage_the_header(&model.dir, line)));
    let manifest = fs::read(model.dir.join(NAME)).unwrap();
    flip(&model.dir.join(NAME), 30);
    let out = home.path().join("out");
    let report = tool_json(0, &["repair", text(home.path()), "--out", text(&out)]);
    assert_eq!(report["end_lsn"], model.end().lsn);
    assert_eq!(contents(&read(&out.join("mainstay")).0), model.end().contents);
    let found = tool_json(1, &["verify", text(home.path())]);
    for line in &segments {
        assert!(files_found(&found).contains(&&*segment_name(line.sequence)), "{found}");
    }
    // Unless that very line is damaged.
    fs::write(model.dir.join(NAME), &manifest).unwrap();
    let last = segments.last().unwrap();
    let line = format!("\nsegment {} ", last.sequence).into_bytes();
    let at = manifest.windows(line.len()).position(|bytes| bytes == line).unwrap();
    flip(&model.dir.join(NAME), (at + line.len() + 3) as u64);
    let report = tool_json(1, &["repair", text(home.path()), "--dry-run"]);
    assert_eq!(report["end_lsn"], last.first_lsn);
}

#[test]
fn without_a_manifest_the_end_of_the_log_is_unknown() {
    let home = tempfile::tempdir().unwrap();
    let (model, segments) = long(home.path(), 22, false);
    fs::remove_file(model.dir.join(NAME)).unwrap();
    for (number, line) in segments.iter().rev().enumerate() {
        fs::remove_file(model.dir.join(segment_name(line.sequence))).unwrap();
        let out = home.path().join(number.to_string());
        let report = tool_json(1, &["repair", text(home.path()), "--out", text(&out)]);
        let lost = &report["lost"][0];
        assert_eq!((&lost["lsn"], lost["end_lsn"].is_null()), (&line.first_lsn.into(), true));
        tool_says(0, &["verify", text(&out)]);
    }
    assert_eq!(lost_ranges(&home.path().join("0")), "1");
}

#[test]
fn without_a_manifest_the_unused_room_of_the_last_segment_shows_that_it_is_the_last() {
    let home = tempfile::tempdir().unwrap();
    let (model, _) = long(home.path(), 23, true);
    fs::remove_file(model.dir.join(NAME)).unwrap();
    let out = home.path().join("out");
    let said = tool_says(0, &["repair", text(home.path()), "--out", text(&out)]);
    assert!(!said.contains("everything"), "{said}");
    assert_eq!(contents(&read(&out.join("mainstay")).0), model.end().contents);
}

/// A directory whose base has keys in two databases, each in a block of its own, and a library of functions.
fn two_blocks(home: &Path, seed: u64) -> (Model, PathBuf, BaseLine) {
    let dir = home.join("mainstay");
    fs::create_dir_all(&dir).unwrap();
    let source = b"#!lua name=f\nredis.register_function('f', function() return 1 end)";
    let mut set = DataSet::with_function(&dir, DROPPED, seed, source);
    for (db, word) in [(0, "early"), (3, "later")] {
        set.line(&format!("SELECT {db}"));
        (0..20).for_each(|number| set.line(&format!("SET key:{number} {word}:{number}")));
    }
    set.pass_ms(1);
    set.sync();
    set.compact();
    set.line("SET behind 1");
    set.sync();
    let model = set.close();
    let base = View::open(&RealDisk, &dir).unwrap().manifest().base.clone().unwrap();
    (model, dir.join(base_name(base.sequence)), base)
}

/// Flips a bit of the first place in a file with these bytes.
fn flip_in(path: &Path, words: &[u8]) -> u64 {
    let bytes = fs::read(path).unwrap();
    let at = bytes.windows(words.len()).position(|bytes| bytes == words).unwrap() as u64;
    flip(path, at + 1);
    at
}

/// Damages the header behind the RDB of a base.
fn damage_the_header_of(path: &Path, base: &BaseLine) {
    flip(path, base.preamble_bytes.next_multiple_of(4096) + 40);
}

/// The first frame of a copy that says that something is lost.
fn first_lost(dir: &Path) -> Lost {
    let view = View::open(&RealDisk, dir).unwrap();
    let line = view.manifest().segments[0].clone();
    let file = view.file(&segment_name(line.sequence)).unwrap();
    let mut reader = FrameReader::new(file, line.end.unwrap().bytes, line.identity.seed());
    let mut payload = Vec::new();
    let header = reader.frame(FrameReader::FIRST_OFFSET, &mut payload).unwrap();
    assert_eq!(header.kind, FrameKind::Lost);
    Lost::decode(&header, &payload)
}

#[test]
fn where_the_head_of_a_base_is_lost_the_copy_says_so() {
    let home = tempfile::tempdir().unwrap();
    let (_, path, _) = two_blocks(home.path(), 24);
    flip_in(&path, b"register_function");
    let said = tool_says(1, &["verify", text(home.path())]);
    assert!(said.contains("functions"), "{said}");
    let out = home.path().join("out");
    tool_says(1, &["repair", text(home.path()), "--out", text(&out)]);
    assert_eq!(first_lost(&out.join("mainstay")).keys, 0);
    assert_eq!(lost_ranges(&out), "1");
}

#[test]
fn blocks_that_cannot_be_verified_are_reported() {
    let home = tempfile::tempdir().unwrap();
    let (_, path, _) = two_blocks(home.path(), 25);
    flip_in(&path, b"later:7");
    let at = flip_in(&path, b"mainstay-blocks");
    flip(&path, at + 40);
    let said = tool_says(1, &["verify", text(home.path())]);
    assert!(said.contains("3 blocks were not checked"), "{said}");
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", text(home.path()), "--out", text(&out)]);
    assert_eq!((&report["is_unverified"], &report["blocks"]), (&true.into(), &3.into()));
    let lost = first_lost(&out.join("mainstay"));
    assert_eq!((lost.keys, lost.from_ms), (0, 0));
    assert_eq!(lost_ranges(&out), "1");
}

#[test]
fn the_index_of_blocks_is_found_without_the_header_of_the_base() {
    let home = tempfile::tempdir().unwrap();
    let (model, path, base) = two_blocks(home.path(), 26);
    damage_the_header_of(&path, &base);
    let found = tool_json(1, &["verify", text(home.path())]);
    assert_eq!((files_found(&found).len(), &found["blocks"]), (1, &3.into()), "{found}");
    let out = home.path().join("out");
    tool_json(0, &["repair", text(home.path()), "--out", text(&out)]);
    assert_eq!(contents(&read(&out.join("mainstay")).0), model.end().contents);

    flip_in(&path, b"later:7");
    let found = tool_json(1, &["verify", text(home.path())]);
    assert!(found["findings"].as_array().unwrap().iter().any(|it| it["db"] == 3), "{found}");
    let out = home.path().join("again");
    let report = tool_json(1, &["repair", text(home.path()), "--out", text(&out)]);
    let blocks = report["lost_blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), 1, "{report}");
    assert_eq!((&blocks[0]["db"], &blocks[0]["keys"]), (&3.into(), &20.into()));
    let lost = first_lost(&out.join("mainstay"));
    assert_eq!((lost.keys, lost.to_ms), (20, u64::MAX));
}

#[test]
fn of_a_base_that_was_cut_what_is_left_cannot_be_verified() {
    let home = tempfile::tempdir().unwrap();
    let (_, path, _) = two_blocks(home.path(), 27);
    let at = flip_in(&path, b"later:7");
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(at).unwrap();
    flip_in(&path, b"early:7");
    let said = tool_says(1, &["verify", text(home.path())]);
    assert!(said.contains("blocks were not checked"), "{said}");
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", text(home.path()), "--out", text(&out)]);
    assert_eq!(report["is_unverified"], true, "{report}");
    let said = tool_says(1, &["repair", text(home.path()), "--dry-run"]);
    assert!(said.contains("cannot be verified"), "{said}");
}

#[test]
fn segments_under_wrong_names_are_found_by_their_headers() {
    for (seed, has_manifest) in [(28, true), (29, false)] {
        let home = tempfile::tempdir().unwrap();
        let (model, segments) = long(home.path(), seed, true);
        let path = |sequence| model.dir.join(segment_name(sequence));
        let (first, second) = (path(segments[0].sequence), path(segments[1].sequence));
        fs::rename(&first, path(900)).unwrap();
        fs::rename(&second, &first).unwrap();
        fs::rename(path(900), &second).unwrap();
        fs::rename(path(segments[2].sequence), path(900)).unwrap();
        if !has_manifest {
            fs::remove_file(model.dir.join(NAME)).unwrap();
        }
        let found = tool_json(1, &["verify", text(home.path())]);
        for line in &segments[..3] {
            let name = segment_name(line.sequence);
            let findings = found["findings"].as_array().unwrap();
            let about: Vec<_> = findings.iter().filter(|it| it["file"] == *name).collect();
            assert_eq!(about.len(), 1, "{found}");
            assert!(about[0]["damage"].as_str().unwrap().contains("lies under the name"));
        }
        let out = home.path().join("out");
        let report = tool_json(0, &["repair", text(home.path()), "--out", text(&out)]);
        assert_eq!(report["end_lsn"], model.end().lsn);
        assert_eq!(contents(&read(&out.join("mainstay")).0), model.end().contents);
    }
}

#[test]
fn a_manifest_of_a_newer_version_is_not_damaged() {
    let home = tempfile::tempdir().unwrap();
    let model = closed(home.path(), 30);
    let path = model.dir.join(NAME);
    let manifest = fs::read_to_string(&path).unwrap();
    let newer = manifest.replacen("mainstay-manifest 1", "mainstay-manifest 2", 1);
    let (body, _) = newer.rsplit_once(' ').unwrap();
    let body = format!("{body} ");
    let sum = mainstay::log::frame::checksum(0, body.as_bytes());
    fs::write(&path, format!("{body}{sum:08x}\n")).unwrap();
    let is_data = |(path, _): &(PathBuf, Vec<u8>)| !path.ends_with("lock");
    let files = || files_below(home.path()).into_iter().filter(is_data).collect::<Vec<_>>();
    let before = files();
    let out = home.path().join("out");
    for arguments in [
        &["verify"][..],
        &["repair", "--dry-run"],
        &["repair", "--in-place"],
        &["repair", "--out", text(&out)],
    ] {
        let ended = support::tool(&[arguments, &[text(home.path())]].concat());
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("newer version"), "{arguments:?}: {said}");
    }
    assert!(files() == before);
}

#[test]
fn the_longest_history_without_a_gap_is_the_prefix() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    fs::create_dir(&dir).unwrap();
    let kept = Retention { time_s: 1_000_000, bytes: 0 };
    let mut set = DataSet::create(&dir, kept, 31);
    for _ in 0..2 {
        (0..6).for_each(|_| set.batch(10));
        set.compact();
    }
    (0..3).for_each(|_| set.batch(10));
    let model = set.close();
    let view = View::open(&RealDisk, &dir).unwrap();
    let manifest = view.manifest().clone();
    let base = manifest.base.unwrap();
    flip(&dir.join(base_name(base.sequence)), base.preamble_bytes / 3);
    // The last of the retired segments has what was written between the bases, and what came before.
    let (name, mut reader) = manifest
        .retired
        .iter()
        .rev()
        .find_map(|line| match &line.file {
            RetiredFile::Segment(line) => {
                let (name, end) = (segment_name(line.sequence), line.end.unwrap().bytes);
                let file = view.file(&name).unwrap();
                Some((name, FrameReader::new(file, end, line.identity.seed())))
            }
            _ => None,
        })
        .unwrap();
    let first = reader.header(FrameReader::FIRST_OFFSET).unwrap();
    let headers = reader.headers((FrameReader::FIRST_OFFSET, first.lsn));
    let is_commands = |(_, header): &(u64, FrameHeader)| header.kind == FrameKind::Commands;
    let (at, lost) = headers.filter(is_commands).nth(2).unwrap();
    assert!(lost.end_lsn() < base.lsn, "{lost:?}");
    flip(&dir.join(name), at + HEADER_BYTES as u64);
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", "--prefix", text(home.path()), "--out", text(&out)]);
    assert_eq!(report["end_lsn"], lost.lsn, "{report}");
    let (engine, lsn) = read(&out.join("mainstay"));
    assert_eq!((lsn, contents(&engine)), (lost.lsn, model.at_lsn(lost.lsn).contents.clone()));
}

/// Damages the header of the last frame of a killed server's log, so that nothing after it attests
/// durability.
fn damage_the_last_header(dir: &Path, line: &SegmentLine) -> FrameHeader {
    let path = dir.join(segment_name(line.sequence));
    let mut bytes = fs::read(&path).unwrap();
    let file = RealDisk.hold(&path).unwrap();
    let mut reader = FrameReader::new(file, bytes.len() as u64, line.identity.seed());
    let headers = reader.headers((FrameReader::FIRST_OFFSET, line.first_lsn));
    let is_commands = |(_, header): &(u64, FrameHeader)| header.kind == FrameKind::Commands;
    let (at, header) = headers.filter(is_commands).last().unwrap();
    bytes[(at + header.frame_bytes()) as usize..].fill(0);
    bytes[at as usize + 20] ^= 4;
    fs::write(&path, bytes).unwrap();
    header
}

#[test]
fn the_loss_at_an_unfinished_end_is_unknown() {
    let home = tempfile::tempdir().unwrap();
    let (model, segments) = long(home.path(), 32, true);
    let header = damage_the_last_header(&model.dir, segments.last().unwrap());
    let said = tool_says(1, &["verify", text(home.path())]);
    let words = format!("an unknown amount is lost at LSN {}", header.lsn);
    assert!(said.contains(&words) && !said.contains("no command is lost"), "{said}");
}

#[test]
fn a_prefix_says_of_nothing_that_it_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let (model, segments) = long(home.path(), 33, true);
    let header = damage_the_last_header(&model.dir, segments.last().unwrap());
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", "--prefix", text(home.path()), "--out", text(&out)]);
    assert_eq!(report["end_lsn"], header.lsn);
    assert_eq!(lost_ranges(&out), "0");
}

#[test]
fn without_a_manifest_what_cannot_be_opened_is_not_damaged_either() {
    let home = tempfile::tempdir().unwrap();
    let (model, _) = long(home.path(), 34, false);
    fs::remove_file(model.dir.join(NAME)).unwrap();
    std::os::unix::fs::symlink("nowhere", model.dir.join(segment_name(900))).unwrap();
    for verb in ["verify", "repair --dry-run"] {
        for (limit, cause) in [(6, "Too many open files"), (100, "No such file")] {
            let tool = env!("CARGO_BIN_EXE_mainstay-tool");
            let line = format!("ulimit -n {limit}; exec {tool} {verb} {}", text(home.path()));
            let ended = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            let said = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(2), "{verb}: {said}");
            assert!(said.contains(cause), "{verb}: {said}");
        }
    }
}
