//! Files that a compaction has replaced and that are kept for a time or a size.

use super::compaction::fill;
use super::crash::{Crash, History, record};
use super::failures::fail_some;
use super::world::{Config, World, check_no_strays, digest, dir, open};
use super::{scaled, seeds};
use mainstay::disk::{Disk, SimDisk};
use mainstay::log::manifest::{Manifest, RetiredLine};
use mainstay::log::{Durability, Retention};
use std::collections::BTreeSet;

const HOUR: Retention = Retention { time_s: 3600, bytes: 0 };
const EVERYTHING: Retention = Retention { time_s: 0, bytes: u64::MAX };

fn retired(disk: &SimDisk) -> Vec<RetiredLine> {
    Manifest::load(disk, dir()).expect("there is one").retired
}

/// When the groups of files were retired.
fn times(disk: &SimDisk) -> BTreeSet<u64> {
    retired(disk).iter().map(|line| line.time_ms).collect()
}

/// Asserts that every retired file is there, and nothing that is not listed.
fn check_files(disk: &SimDisk) {
    let names = disk.list(dir()).unwrap();
    for line in retired(disk) {
        let path = dir().join(line.file.name());
        assert!(names.contains(&line.file.name()), "{} is missing", path.display());
        let len = disk.open(&path).unwrap().len().unwrap();
        assert_eq!(len, line.file.bytes(), "{}", path.display());
    }
    let bases = names.iter().filter(|name| name.starts_with("base-")).count();
    let manifest = Manifest::load(disk, dir()).unwrap();
    let listed = manifest.all_names().filter(|name| name.starts_with("base-")).count();
    assert_eq!(bases, listed);
}

/// Asserts that after whatever crash every file that the manifest lists is there.
fn check_listed_files(history: &History) {
    for moment in &history.moments {
        for crash in [Crash::Kill, Crash::LosesAll, Crash::KeepsAll, Crash::Random(1)] {
            let disk = crash.disk(&moment.snapshot);
            let names = disk.list(dir()).unwrap();
            for name in Manifest::load(&disk, dir()).unwrap().all_names() {
                let operation = &moment.operation;
                assert!(names.contains(&name), "{crash:?} after {operation:?}: {name} is missing");
            }
        }
    }
}

/// A log that was compacted so many times, every 1000 s.
fn compacted(seed: u64, retention: Retention, times: usize) -> World {
    let config = Config {
        retention,
        compacts: true,
        long_syncs: false,
        ..Config::new(seed, Durability::Always)
    };
    let mut world = World::new(config);
    for _ in 0..times {
        fill(&mut world, 30, 1000);
        world.pass(1_000_000_000);
        world.compact().unwrap();
    }
    world
}

#[test]
fn retired_files_are_listed_and_survive_restarts() {
    let mut world = compacted(51, EVERYTHING, 3);
    assert_eq!(times(&world.disk).len(), 3);
    check_files(&world.disk);
    let kept = retired(&world.disk);
    // A start has something to remove then: the retired files are not it.
    for (seed, crash) in [(1, Crash::Kill), (2, Crash::LosesAll)] {
        world = world.restarted(crash.disk(&world.disk.snapshot()), seed);
        assert_eq!(retired(&world.disk), kept);
        check_files(&world.disk);
    }
    world.close().unwrap();
    world = world.restarted(world.disk.snapshot().after_kill(), 3);
    assert_eq!(retired(&world.disk), kept);
    check_files(&world.disk);
    world.compact().unwrap();
    assert!(retired(&world.disk).starts_with(&kept));
    assert_eq!(times(&world.disk).len(), 4);
}

#[test]
fn retired_files_go_by_their_time_in_whole_groups() {
    let mut world = compacted(52, HOUR, 3);
    let groups = times(&world.disk);
    assert_eq!(groups.len(), 3);
    for (index, &retired_ms) in groups.iter().enumerate() {
        let due_us =
            (retired_ms + 3_600_000 - mainstay::env::Clock::unix_ms(&*world.clock) as u64) * 1000;
        world.pass(due_us);
        world.log.forget_retired().unwrap();
        assert_eq!(times(&world.disk).len(), 3 - index, "nothing goes before its time");
        world.pass(1000);
        world.log.forget_retired().unwrap();
        let left: BTreeSet<u64> = groups.iter().skip(index + 1).copied().collect();
        assert_eq!(times(&world.disk), left);
        check_files(&world.disk);
        check_no_strays(&world.disk, &"after a group is gone");
    }
}

#[test]
fn retired_files_go_by_their_size_in_whole_groups() {
    let world = compacted(53, EVERYTHING, 4);
    let all = retired(&world.disk);
    let groups: Vec<&[RetiredLine]> = all.chunk_by(|a, b| a.time_ms == b.time_ms).collect();
    assert!(groups.iter().all(|group| group.len() > 1), "a group of several files is to go whole");
    let bytes_of = |groups: &[&[RetiredLine]]| -> u64 {
        groups.iter().flat_map(|group| group.iter()).map(|line| line.file.bytes()).sum()
    };
    for gone in 1..=groups.len() {
        let room = bytes_of(&groups[gone - 1..]);
        world.log.set_retention(Retention { time_s: 0, bytes: room });
        world.log.forget_retired().unwrap();
        assert_eq!(retired(&world.disk), groups[gone - 1..].concat(), "exactly as much is kept");
        // With a byte less, the oldest group goes. A size of 0 would set no limit.
        world.log.set_retention(Retention { time_s: 0, bytes: room - 1 });
        world.log.forget_retired().unwrap();
        assert_eq!(retired(&world.disk), groups[gone..].concat());
        check_files(&world.disk);
        check_no_strays(&world.disk, &"after a group is gone");
    }
    // Without a retention, nothing is kept.
    let world = compacted(53, EVERYTHING, 2);
    world.log.set_retention(Retention::default());
    world.log.forget_retired().unwrap();
    assert_eq!(retired(&world.disk), []);
    check_no_strays(&world.disk, &"without a retention");
}

#[test]
fn a_start_needs_no_retired_file() {
    let world = compacted(54, EVERYTHING, 2);
    let expected = world.model.lock().digest;
    for line in retired(&world.disk) {
        let path = dir().join(line.file.name());
        for damage in ["missing", "empty", "other bytes"] {
            let what = format!("{}: {damage}", path.display());
            let disk = world.disk.snapshot().after_kill();
            match damage {
                "missing" => disk.remove(&path).unwrap(),
                "empty" => disk.put(&path, &[]),
                _ => disk.put(&path, &[0x55; 5000]),
            }
            let disk = disk.snapshot().after_kill();
            let world = world.restarted(disk.clone(), 5);
            assert_eq!(digest(world.engine.lock().keyspace()), expected, "{what}");
            world.log.set_retention(Retention::default());
            world.log.forget_retired().unwrap();
            assert_eq!(retired(&disk), [], "{what}");
            check_no_strays(&disk, &what);
        }
    }
}

#[test]
fn a_crash_while_files_are_retired_or_forgotten_leaves_none_behind() {
    for seed in seeds(55..57) {
        let mut world = compacted(seed, HOUR, 2);
        let moments = record(&world);
        // The third compaction finds the first group too old, the fourth keeps three.
        world.pass(2_700_000_000);
        let units = world.model.lock().units.len();
        world.run(units + 5);
        world.compact().unwrap();
        assert_eq!(times(&world.disk).len(), 2);
        world.compact().unwrap();
        let before = times(&world.disk);
        assert_eq!(before.len(), 3);
        world.pass(1_700_000_000);
        world.log.forget_retired().unwrap();
        assert!(times(&world.disk).is_subset(&before) && times(&world.disk).len() == 2);
        world.log.set_retention(Retention::default());
        world.log.forget_retired().unwrap();
        assert_eq!(retired(&world.disk), []);
        let units = world.model.lock().units.len();
        world.run(units + 5);
        world.settle();
        let history = History::new(&world, &moments);
        check_listed_files(&history);
        history.crash_everywhere(scaled(1, 8), scaled(8, 1), scaled(40, 3));
    }
}

#[test]
fn retired_files_that_cannot_be_forgotten_are_forgotten_another_time() {
    let mut first = 0;
    loop {
        let mut world = compacted(57, EVERYTHING, 2);
        let moments = record(&world);
        world.log.set_retention(Retention::default());
        let operations = fail_some(&world.disk, first, 1, |_| true);
        let forgotten = world.log.forget_retired();
        let failed = operations.load(std::sync::atomic::Ordering::Relaxed) > first;
        assert!(failed || forgotten.is_ok(), "{forgotten:?}");
        assert_eq!(world.log.refusal(), None);
        let units = world.model.lock().units.len();
        world.run(units + 5);
        world.log.forget_retired().unwrap();
        assert_eq!(retired(&world.disk), [], "operation {first}");
        world.compact().unwrap();
        world.sync();
        History::new(&world, &moments).crash_everywhere(1, 20, 50);
        let lsn = world.model.lock().lsn();
        let disk = Crash::Kill.disk(&world.disk.snapshot());
        let (_, recovery) = open(&disk, &world.clock, world.config.options(), 5).unwrap();
        assert_eq!(recovery.lsn, lsn);
        check_no_strays(&disk, &format!("operation {first}"));
        if !failed {
            return;
        }
        first += 1;
    }
}
