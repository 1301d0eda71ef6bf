//! Files that a compaction has replaced and that are kept for a time or a size.

use super::compaction::fill;
use super::crash::{Crash, History, record};
use super::failures::fail_some;
use super::world::{Config, World, check_no_strays, digest, dir, open};
use super::{scaled, seeds};
use mainstay::disk::read_all;
use mainstay::disk::sim::Operation;
use mainstay::disk::{Disk, SimDisk};
use mainstay::log::manifest::{Manifest, RetiredFile, RetiredLine, SegmentLine};
use mainstay::log::reader::FrameReader;
use mainstay::log::{
    CompressError, Durability, OpenError, Options, Retention, open_retired, segment,
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

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
        world.log.prune_retired().unwrap();
        assert_eq!(times(&world.disk).len(), 3 - index, "nothing goes before its time");
        world.pass(1000);
        world.log.prune_retired().unwrap();
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
        world.log.prune_retired().unwrap();
        assert_eq!(retired(&world.disk), groups[gone - 1..].concat(), "exactly as much is kept");
        // With a byte less, the oldest group goes. A size of 0 would set no limit.
        world.log.set_retention(Retention { time_s: 0, bytes: room - 1 });
        world.log.prune_retired().unwrap();
        assert_eq!(retired(&world.disk), groups[gone..].concat());
        check_files(&world.disk);
        check_no_strays(&world.disk, &"after a group is gone");
    }
    // Without a retention, nothing is kept.
    let world = compacted(53, EVERYTHING, 2);
    world.log.set_retention(Retention::default());
    world.log.prune_retired().unwrap();
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
            world.log.prune_retired().unwrap();
            assert_eq!(retired(&disk), [], "{what}");
            check_no_strays(&disk, &what);
        }
    }
}

#[test]
fn a_crash_during_retiring_or_pruning_leaves_no_stray_files() {
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
        world.log.prune_retired().unwrap();
        assert!(times(&world.disk).is_subset(&before) && times(&world.disk).len() == 2);
        world.log.set_retention(Retention::default());
        world.log.prune_retired().unwrap();
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
fn pruning_that_fails_is_tried_again() {
    let mut first = 0;
    loop {
        let mut world = compacted(57, EVERYTHING, 2);
        let moments = record(&world);
        world.log.set_retention(Retention::default());
        let operations = fail_some(&world.disk, first, 1, |_| true);
        let pruned = world.log.prune_retired();
        let failed = operations.load(std::sync::atomic::Ordering::Relaxed) > first;
        assert!(failed || pruned.is_ok(), "{pruned:?}");
        assert_eq!(world.log.refusal(), None);
        let units = world.model.lock().units.len();
        world.run(units + 5);
        world.log.prune_retired().unwrap();
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

/// Compacts a log until the manifest that would list the new base cannot be put in force, or nobody knows
/// whether it is; then calls `check` with it.
fn with_doubtful_base(check: impl Fn(World, &str)) {
    let (mut first, mut checked) = (0, 0);
    loop {
        let mut world = compacted(61, HOUR, 1);
        fill(&mut world, 30, 1000);
        let operations = fail_some(&world.disk, first, 1, |operation| {
            matches!(operation, Operation::Rename(_) | Operation::SyncDir)
        });
        let compacted = world.compact();
        world.disk.inject(|_| None);
        if operations.load(std::sync::atomic::Ordering::Relaxed) <= first {
            break;
        }
        // Where the log has failed it heals, and that settles which manifest is in force.
        if compacted.is_err() && !world.log.has_failed() {
            check(world, &format!("operation {first}"));
            checked += 1;
        }
        first += 1;
    }
    assert!(checked > 0);
}

#[test]
fn a_base_of_a_compaction_that_failed_goes_when_the_log_is_closed() {
    with_doubtful_base(|mut world, what| {
        world.close().unwrap();
        check_no_strays(&world.disk, &what);
    });
}

#[test]
fn a_base_of_a_compaction_that_failed_goes_with_the_retired_files() {
    with_doubtful_base(|world, what| {
        world.clock.advance_us(2 * 3_600_000_000);
        world.log.prune_retired().unwrap();
        assert_eq!(retired(&world.disk), [], "{what}");
        check_files(&world.disk);
    });
}

#[test]
fn a_log_that_is_begun_anew_keeps_the_one_before_whatever_crashes() {
    let mut world = compacted(59, EVERYTHING, 2);
    world.close().unwrap();
    assert!(world.engine.lock().end_log().is_some());
    let before = Manifest::load(&world.disk, dir()).unwrap();
    assert!(before.retired.len() > 2);
    let snapshots = Arc::new(Mutex::new(Vec::new()));
    let seen = snapshots.clone();
    world.disk.observe(move |_, disk| seen.lock().push(disk.snapshot()));
    let log = world.engine.lock().begin_log(dir(), world.config.options()).unwrap();
    world.disk.observe(|_, _| {});
    let kept = log.previous_dir().expect("it is kept").to_owned();
    let (mut old, mut new) = (0, 0);
    for snapshot in &*snapshots.lock() {
        for crash in [Crash::Kill, Crash::LosesAll, Crash::KeepsAll, Crash::Random(1)] {
            let disk = crash.disk(snapshot);
            let place = if Manifest::load(&disk, dir()).unwrap() == before {
                old += 1;
                dir()
            } else {
                new += 1;
                &kept
            };
            assert_eq!(Manifest::load(&disk, place).unwrap(), before, "{crash:?}");
            for name in before.all_names() {
                let bytes =
                    |disk: &SimDisk, place: &Path| disk.contents(&place.join(&name)).unwrap();
                // That it was cut to its end need not be durable.
                let expected = bytes(&world.disk, &kept);
                assert!(bytes(&disk, place).starts_with(&expected), "{crash:?}: {name}");
            }
            let (engine, _) = open(&disk, &world.clock, world.config.options(), 77).unwrap();
            assert_eq!(digest(engine.lock().keyspace()), world.model.lock().digest, "{crash:?}");
        }
    }
    assert!(old > 20 && new > 8, "{old}, {new}");
}

#[test]
fn a_log_that_cannot_be_begun_anew_leaves_the_one_before_as_it_is() {
    for first in 0.. {
        let mut world = compacted(60, EVERYTHING, 1);
        world.close().unwrap();
        assert!(world.engine.lock().end_log().is_some());
        let before = Manifest::load(&world.disk, dir()).unwrap();
        let operations = fail_some(&world.disk, first, 1, |_| true);
        let begun = world.engine.lock().begin_log(dir(), world.config.options()).is_ok();
        world.disk.inject(|_| None);
        if !begun {
            assert_eq!(Manifest::load(&world.disk, dir()).unwrap(), before, "{first}");
            check_files(&world.disk);
            let log = world.engine.lock().begin_log(dir(), world.config.options()).unwrap();
            assert!(log.previous_dir().is_some(), "{first}");
        }
        if operations.load(std::sync::atomic::Ordering::Relaxed) <= first {
            assert!(first > 20, "it takes more operations than {first}");
            return;
        }
    }
}

/// When the frames in the last segment were written.
fn frame_times(disk: &SimDisk) -> Vec<u64> {
    let manifest = Manifest::load(disk, dir()).expect("there is one");
    let line = manifest.segments.last().expect("there is one");
    let file = disk.open(&dir().join(segment::segment_name(line.sequence))).unwrap();
    let len = file.len().unwrap();
    let mut reader = FrameReader::new(file, len, line.identity.seed());
    let (mut offset, mut times) = (FrameReader::FIRST_OFFSET, Vec::new());
    while let Ok(frame) = reader.frame(offset, &mut Vec::new()) {
        times.push(frame.time_ms);
        offset += frame.frame_bytes();
    }
    times
}

#[test]
fn moments_within_an_hour_that_the_clock_was_set_ahead_for_a_while_can_be_told_apart() {
    let config = Config { segment_bytes: 1 << 20, ..Config::new(62, Durability::Always) };
    let mut world = World::new(config);
    fill(&mut world, 1, 10);
    world.clock.set_ahead_ms(3_600_000);
    fill(&mut world, 1, 10);
    world.clock.set_ahead_ms(0);
    let ahead = *frame_times(&world.disk).last().unwrap();
    for minute in 1..=150 {
        world.pass(60_000_000);
        if minute == 70 {
            // A start goes on with the catching up.
            world = world.restarted(Crash::Kill.disk(&world.disk.snapshot()), 63);
        }
        fill(&mut world, 1, 10);
        let times = frame_times(&world.disk);
        assert!(times.is_sorted(), "{times:?}");
        let (last, now) = (*times.last().unwrap(), mainstay::env::Clock::unix_ms(&*world.clock));
        assert!(last + 60_000 > ahead + minute * 29_900, "minute {minute}: it stands still");
        assert!(minute < 125 || last.abs_diff(now as u64) < 1000, "minute {minute}: {last}, {now}");
    }
}

/// The segment that a retired file is or was.
fn segment_of(line: &RetiredLine) -> Option<&SegmentLine> {
    match &line.file {
        RetiredFile::Base(_) => None,
        RetiredFile::Segment(segment) | RetiredFile::CompressedSegment { segment, .. } => {
            Some(segment)
        }
    }
}

fn is_compressed(line: &RetiredLine) -> bool {
    matches!(line.file, RetiredFile::CompressedSegment { .. })
}

/// What each retired segment holds, by its sequence.
fn contents(disk: &SimDisk) -> BTreeMap<u64, Vec<u8>> {
    let read = |line: RetiredLine| {
        let segment = segment_of(&line)?;
        let file = open_retired(disk, dir(), &line.file);
        let file = file.unwrap_or_else(|error| panic!("{:?}: {error}", line.file));
        let mut bytes = read_all(&*file, 1 << 20).expect("it is there");
        bytes.truncate(segment.end.expect("it is sealed").bytes as usize);
        Some((segment.sequence, bytes))
    };
    retired(disk).into_iter().filter_map(read).collect()
}

/// Compresses until nothing is left; gives the errors.
fn compress_all(world: &World) -> Vec<CompressError> {
    let mut errors = Vec::new();
    loop {
        match world.log.compress_retired() {
            Ok(Some(_)) => {}
            Ok(None) => return errors,
            Err(error) => errors.push(error),
        }
        assert!(errors.len() < 10, "it goes on for ever: {errors:?}");
    }
}

#[test]
fn retired_segments_are_compressed_and_read_back_byte_for_byte() {
    let mut world = compacted(58, EVERYTHING, 3);
    let expected = contents(&world.disk);
    let before = retired(&world.disk);
    assert!(expected.len() > 3);
    for done in 1..=expected.len() {
        let compressed = world.log.compress_retired().unwrap().expect("one is left");
        assert!(compressed.bytes < compressed.raw_bytes, "{compressed:?}");
        assert_eq!(retired(&world.disk).iter().filter(|line| is_compressed(line)).count(), done);
        assert!(contents(&world.disk) == expected, "{compressed:?}");
        check_files(&world.disk);
        check_no_strays(&world.disk, &compressed.name);
    }
    assert_eq!(world.log.compress_retired().unwrap(), None);
    let kept = retired(&world.disk);
    let kept_segments: Vec<_> = kept.iter().map(segment_of).collect();
    assert_eq!(kept_segments, before.iter().map(segment_of).collect::<Vec<_>>());

    // What it was can be read frame by frame, without the file's tail being there.
    for line in &kept {
        let Some(segment) = segment_of(line) else { continue };
        let end = segment.end.expect("it is sealed");
        let file = open_retired(&world.disk, dir(), &line.file).unwrap();
        let mut reader = FrameReader::new(file, end.bytes, segment.identity.seed());
        let (mut offset, mut lsn) = (FrameReader::FIRST_OFFSET, segment.first_lsn);
        while offset < end.bytes {
            let frame = reader.frame(offset, &mut Vec::new()).unwrap();
            assert_eq!(frame.lsn, lsn);
            (offset, lsn) = (offset + frame.frame_bytes(), frame.end_lsn());
        }
        assert_eq!((offset, lsn), (end.bytes, end.lsn));
    }

    world = world.restarted(Crash::LosesAll.disk(&world.disk.snapshot()), 1);
    assert_eq!(retired(&world.disk), kept);
    assert!(contents(&world.disk) == expected);

    // Without its manifest it is data all the same, however short it is.
    let disk = world.disk.snapshot().after_kill();
    for name in disk.list(dir()).unwrap() {
        if !name.ends_with(".zst") {
            disk.remove(&dir().join(name)).unwrap();
        }
    }
    let left = disk.list(dir()).unwrap();
    assert_eq!(left.len(), expected.len());
    let opened = open(&disk, &world.clock, world.config.options(), 4).map(|_| ());
    assert!(matches!(opened, Err(OpenError::ManifestMissing { .. })), "{opened:?}");
    assert!(left.iter().all(|name| disk.contents(&dir().join(name)).is_some()));

    // What is kept is counted as it is on the disk.
    let bytes: u64 = kept.iter().map(|line| line.file.bytes()).sum();
    world.log.set_retention(Retention { time_s: 0, bytes });
    world.log.prune_retired().unwrap();
    assert_eq!(retired(&world.disk), kept);
    world.log.set_retention(Retention { time_s: 0, bytes: bytes - 1 });
    world.log.prune_retired().unwrap();
    assert_eq!(times(&world.disk).len(), 2);
    check_files(&world.disk);
    world.log.set_retention(Retention::default());
    world.log.prune_retired().unwrap();
    check_no_strays(&world.disk, &"without a retention");
}

#[test]
fn nothing_is_compressed_that_is_not_to_be() {
    let world = compacted(63, EVERYTHING, 1);
    let disk = world.disk.snapshot().after_kill();
    let options = Options { compresses_retired: false, ..world.config.options() };
    let (engine, _) = open(&disk, &world.clock, options, 6).unwrap();
    let before = retired(&disk);
    assert!(before.iter().any(|line| segment_of(line).is_some()));
    assert_eq!(engine.log().unwrap().compress_retired().unwrap(), None);
    assert_eq!(retired(&disk), before);
}

#[test]
fn a_retired_segment_that_is_damaged_is_left_as_it_is() {
    let world = compacted(59, EVERYTHING, 2);
    let before = retired(&world.disk);
    let victim = before.iter().find(|line| segment_of(line).is_some()).unwrap();
    let name = victim.file.name();
    let end = victim.file.bytes();
    let first = FrameReader::FIRST_OFFSET;
    // In the header, in a frame's header, in the last payload, and all of it.
    for at in [Some(20), Some(first + 9), Some(end - 9), None] {
        let disk = world.disk.snapshot().after_kill();
        let world = world.restarted(disk.clone(), 2);
        let path = dir().join(&name);
        match at {
            Some(at) => {
                let file = disk.open(&path).unwrap();
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_at(&[byte[0] ^ 4], at).unwrap();
            }
            None => disk.remove(&path).unwrap(),
        }
        let damaged = disk.contents(&path);
        let errors = compress_all(&world);
        let [CompressError::Source { path: named, .. }] = &errors[..] else {
            panic!("byte {at:?}: {errors:?}");
        };
        assert_eq!(*named, path);
        assert_eq!(disk.contents(&path), damaged);
        for line in retired(&disk) {
            let is_segment = segment_of(&line).is_some();
            assert_eq!(is_compressed(&line), is_segment && line.file != victim.file, "{line:?}");
        }
        let sequence = segment_of(victim).unwrap().sequence;
        assert_eq!(disk.contents(&dir().join(segment::compressed_name(sequence))), None);
    }
}

#[test]
fn a_damaged_compressed_segment_is_noticed() {
    let world = compacted(62, EVERYTHING, 1);
    assert_eq!(compress_all(&world).len(), 0);
    let kept = retired(&world.disk);
    let line = kept.iter().find(|line| is_compressed(line)).unwrap();
    let path = dir().join(line.file.name());
    let bytes = world.disk.contents(&path).unwrap();
    let raw = contents(&world.disk)[&segment_of(line).unwrap().sequence].clone();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        world.disk.put(&path, &damaged);
        assert!(open_retired(&world.disk, dir(), &line.file).is_err(), "byte {at}");
        world.disk.put(&path, &bytes[..at]);
        assert!(open_retired(&world.disk, dir(), &line.file).is_err(), "cut at {at}");
    }
    world.disk.put(&path, &[&bytes[..], b"x"].concat());
    assert!(open_retired(&world.disk, dir(), &line.file).is_err());
    world.disk.put(&path, &bytes);
    let file = open_retired(&world.disk, dir(), &line.file).unwrap();
    assert!(read_all(&*file, 1 << 20).unwrap() == raw);
}

/// Asserts that whatever crash `disk` meets, what was retired is there, before and after the start behind it.
fn check_contents(disk: &SimDisk, world: &World, expected: &BTreeMap<u64, Vec<u8>>, what: &str) {
    for crash in [Crash::Kill, Crash::LosesAll, Crash::KeepsAll, Crash::Random(3)] {
        let disk = crash.disk(&disk.snapshot());
        assert!(contents(&disk) == *expected, "{crash:?} after {what}");
        drop(open(&disk, &world.clock, world.config.options(), 9).unwrap());
        assert!(contents(&disk) == *expected, "{crash:?} after {what}, and a start");
        check_no_strays(&disk, &what);
    }
}

#[test]
fn a_crash_while_a_segment_is_compressed_leaves_it_in_one_file() {
    let mut world = compacted(60, EVERYTHING, 2);
    let expected = contents(&world.disk);
    let moments = record(&world);
    while world.log.compress_retired().unwrap().is_some() {
        let units = world.model.lock().units.len();
        world.run(units + 2);
    }
    world.settle();
    assert!(contents(&world.disk) == expected);
    let history = History::new(&world, &moments);
    check_listed_files(&history);
    for moment in &history.moments {
        let disk = moment.snapshot.after_kill();
        assert!(contents(&disk) == expected, "after {:?}", moment.operation);
        for crash in [Crash::LosesAll, Crash::KeepsAll, Crash::Random(3)] {
            let disk = crash.disk(&moment.snapshot);
            assert!(contents(&disk) == expected, "{crash:?} after {:?}", moment.operation);
        }
    }
    history.crash_everywhere(scaled(1, 8), scaled(20, 1), scaled(40, 3));
}

#[test]
fn a_segment_that_cannot_be_compressed_is_compressed_another_time() {
    let mut first = 0;
    loop {
        let mut world = compacted(61, EVERYTHING, 1);
        let expected = contents(&world.disk);
        let operations = fail_some(&world.disk, first, 1, |_| true);
        let errors = compress_all(&world);
        let failed = operations.load(std::sync::atomic::Ordering::Relaxed) > first;
        assert!(errors.len() <= usize::from(failed), "{errors:?}");
        assert_eq!(world.log.refusal(), None);
        let what = format!("operation {first}: {errors:?}");
        check_contents(&world.disk, &world, &expected, &what);
        // Once a manifest is stored nothing is in doubt.
        let units = world.model.lock().units.len();
        world.run(units + 5);
        world.compact().unwrap();
        let expected = contents(&world.disk);
        assert_eq!(compress_all(&world).len(), 0, "{what}");
        let compressed = retired(&world.disk).iter().filter(|line| is_compressed(line)).count();
        assert_eq!(compressed, expected.len(), "{what}");
        check_contents(&world.disk, &world, &expected, &what);
        if !failed {
            return;
        }
        first += 1;
    }
}
