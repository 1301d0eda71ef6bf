//! `rewrite`: one base in the place of everything, and never less than what was there.

#[path = "support/data_set.rs"]
mod data_set;

use data_set::*;
use mainstay::disk::RealDisk;
use mainstay::log::manifest::Manifest;
use mainstay::log::segment::segment_name;
use mainstay::log::{Retention, View};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A data set with two compactions behind it, whose retired files are kept.
fn data_set(dir: &Path, seed: u64) -> DataSet {
    let mut set = DataSet::create(dir, Retention { time_s: 1000, bytes: 0 }, seed);
    for _ in 0..2 {
        (0..5).for_each(|_| set.batch(8));
        set.compact();
        set.pass_ms(5);
    }
    (0..5).for_each(|_| set.batch(8));
    set
}

/// All files, but not what the lock file says, which is for people.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = files_below(dir);
    files.remove(&dir.join("lock"));
    files
}

/// Nothing is in the directory but what the manifest lists, it has been closed, and all is in the base.
fn check_tidy(dir: &Path) -> Manifest {
    let manifest = Manifest::load(&RealDisk, dir).unwrap();
    let listed: Vec<String> = manifest.all_names().collect();
    for path in files(dir).into_keys() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name == "manifest" || name.starts_with("cut-") || listed.contains(&name), "{name}");
    }
    run_tool(0, &["verify", dir.to_str().unwrap()]);
    let ends = manifest.segments.iter().map(|line| line.end.expect("it was closed").lsn);
    assert!(ends.eq(manifest.segments.iter().map(|line| line.first_lsn)), "all is in the base");
    manifest
}

#[test]
fn the_same_is_there_in_one_base_and_earlier_moments_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    let model = data_set(&dir, 1).close();
    let retired = View::open(&RealDisk, &dir).unwrap().manifest().retired.len();
    assert!(retired > 0);
    // The directory around it will do.
    let (printed, _) = run_tool(0, &["rewrite", home.path().to_str().unwrap(), "--json"]);
    let report: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let end = model.end();
    assert_eq!((&report["keys"], &report["lsn"]), (&end.contents.len().into(), &end.lsn.into()));
    let manifest = check_tidy(&dir);
    assert!(manifest.base.is_some_and(|base| base.lsn == end.lsn && base.end_lsn == end.lsn));
    assert!(manifest.retired.len() > retired);
    let (engine, lsn) = read(&dir);
    assert_eq!((contents(&engine), lsn), (end.contents.clone(), end.lsn));
    drop(engine);

    let state = &model.batches[3];
    let (lsn, out) = (state.lsn.to_string(), home.path().join("out"));
    let [from, to] = [&dir, &out].map(|path| path.to_str().unwrap());
    run_tool(0, &["replay", from, "--until-lsn", &lsn, "--out", to]);
    assert_eq!(contents(&read(&out.join("mainstay")).0), state.contents);

    let (printed, _) = run_tool(0, &["rewrite", from, "--drop-retired", "--compress", "no"]);
    assert!(printed.contains("one base as of LSN"), "{printed}");
    let manifest = check_tidy(&dir);
    assert!(manifest.retired.is_empty());
    assert_eq!(contents(&read(&dir).0), end.contents);
}

#[test]
fn strings_are_compressed_or_not() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    let mut set = DataSet::create(&dir, Retention::default(), 2);
    for key in 0..20 {
        set.run(&[b"SET", format!("key:{key}").as_bytes(), &b"again and ".repeat(1000)]);
    }
    set.sync();
    let model = set.close();
    let mut sizes = Vec::new();
    for choice in ["yes", "no"] {
        run_tool(0, &["rewrite", dir.to_str().unwrap(), "--compress", choice, "--drop-retired"]);
        sizes.push(check_tidy(&dir).base.expect("there is one").bytes);
        assert_eq!(contents(&read(&dir).0), model.end().contents);
    }
    assert!(sizes[0] < 20_000 && sizes[1] > 200_000, "{sizes:?}");
}

#[test]
fn a_directory_that_a_server_has_open_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    // The server is this test.
    let set = data_set(&dir, 3);
    let before = files(&dir);
    let (printed, said) = run_tool(2, &["rewrite", dir.to_str().unwrap()]);
    assert_eq!(printed, "");
    assert!(said.contains(&std::process::id().to_string()), "{said}");
    assert_eq!(files(&dir), before);
    drop(set);
    let (_, said) = run_tool(2, &["rewrite", home.path().join("nothing").to_str().unwrap()]);
    assert!(said.contains("no data set"), "{said}");
    assert!(!home.path().join("nothing").exists());
}

#[test]
fn what_is_damaged_is_refused_and_stays_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    data_set(&dir, 4).close();
    let manifest = Manifest::load(&RealDisk, &dir).unwrap();
    let path = dir.join(segment_name(manifest.segments[0].sequence));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let before = files(&dir);
    let (_, said) = run_tool(2, &["rewrite", dir.to_str().unwrap()]);
    assert!(said.contains("segment-"), "{said}");
    assert_eq!(files(&dir), before);
}

#[test]
fn what_an_unfinished_write_has_left_is_set_aside_and_said() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    let model = data_set(&dir, 5).kill();
    let manifest = Manifest::load(&RealDisk, &dir).unwrap();
    let open = manifest.segments.iter().find(|line| line.end.is_none()).expect("it was killed");
    let path = dir.join(segment_name(open.sequence));
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap().next_multiple_of(8);
    bytes[end..end + 4].copy_from_slice(b"torn");
    std::fs::write(&path, bytes).unwrap();
    let (_, said) = run_tool(0, &["rewrite", dir.to_str().unwrap()]);
    assert!(said.contains("ended in an unfinished write"), "{said}");
    assert!(said.contains("did not close the log"), "{said}");
    check_tidy(&dir);
    assert_eq!(contents(&read(&dir).0), model.end().contents);
}

/// Killed or interrupted at any place, it leaves what was there, and the next one does it all.
#[test]
fn however_it_ends_nothing_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    let mut set = data_set(&dir, 6);
    let value = "x".repeat(200);
    for key in 0..100 {
        let fields: String = (0..100).map(|field| format!(" f{field} {value}{field}")).collect();
        set.line(&format!("HSET hash:{key}{fields}"));
    }
    set.sync();
    let expected = set.close().end().contents.clone();
    for step in 0..12 {
        let mut child = tool_command(&["rewrite", dir.to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Wherever that is: nothing depends on it.
        std::thread::sleep(Duration::from_millis(25 * step));
        if step % 2 == 0 {
            let pid = child.id().to_string();
            let sent = Command::new("kill").args(["-INT", &pid]).stderr(Stdio::null()).status();
            sent.expect("there is a kill");
        } else {
            let _ = child.kill();
        }
        let status = child.wait().unwrap();
        if step % 2 == 0 {
            assert!(matches!(status.code(), Some(0 | 130) | None), "{status}");
        }
        assert!(contents(&read(&dir).0) == expected, "after step {step}");
    }
    run_tool(0, &["rewrite", dir.to_str().unwrap(), "--drop-retired"]);
    let manifest = check_tidy(&dir);
    assert!(manifest.retired.is_empty());
    assert!(contents(&read(&dir).0) == expected);
}
