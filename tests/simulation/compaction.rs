//! Compaction on the simulated disk: crashed at every operation, failing at every operation, on a full disk.

use super::crash::{Crash, History, Moment, record};
use super::failures::{fail_some, injected};
use super::world::{Batch, Came, Config, Request, World, check_no_strays, digest, dir, open};
use super::{in_parallel, scaled, seeds};
use mainstay::disk::sim::Operation;
use mainstay::disk::{Disk, SimDisk};
use mainstay::engine::compact::{SnapshotError, compact as compact_to_base};
use mainstay::log::manifest::{self, BaseLine, Manifest, TEMPORARY_NAME};
use mainstay::log::segment::{self, NameKind};
use mainstay::log::{Action, Durability, Lsn, Retention};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

const MODES: [Durability; 3] = [Durability::Always, Durability::EverySec, Durability::No];

fn config(seed: u64, durability: Durability) -> Config {
    Config { compacts: true, ..Config::new(seed, durability) }
}

fn load_manifest(disk: &SimDisk) -> Manifest {
    Manifest::load(disk, dir()).expect("there is one")
}

/// The base in force.
fn base_line(disk: &SimDisk) -> Option<BaseLine> {
    load_manifest(disk).base
}

/// Sets so many keys, each in a unit of its own, to values that cannot be compressed.
pub fn fill(world: &mut World, keys: usize, value_bytes: usize) {
    let mut random = mainstay::env::seeded_random(world.config.seed);
    for number in 0..keys {
        let value = (0..value_bytes).map(|_| random() as u8).collect();
        let set = Request::Set { key: format!("fill{number}"), value, expiry_ms: None };
        let batch = Batch { db: number % 3, requests: vec![set], is_transaction: false };
        assert_eq!(world.send(0, &batch), Came::Executed);
        if number % 5 == 0 {
            world.settle();
        }
    }
    world.sync();
}

/// Asserts that the preamble of the base in force is what the keyspace was at `lsn`, by starting from it
/// alone.
fn check_preamble(world: &World, lsn: Lsn) {
    let mut cut = load_manifest(&world.disk);
    let line = cut.base.as_mut().expect("a base is in force");
    assert_eq!(line.lsn, lsn);
    let frames = segment::frames_header_offset(line.preamble_bytes) + segment::HEADER_BYTES as u64;
    (line.end_lsn, line.bytes) = (lsn, frames);
    let name = segment::base_name(line.sequence);
    cut.segments.clear();
    cut.retired.clear();
    let disk = SimDisk::new();
    let contents = world.disk.contents(&dir().join(&name)).expect("it is there");
    disk.put(&dir().join(&name), &contents[..frames as usize]);
    disk.put(&dir().join(manifest::NAME), &cut.encode());
    let (engine, recovery) = open(&disk, &world.clock, world.config.options(), 3).unwrap();
    assert_eq!(recovery.lsn, lsn);
    let found = digest(engine.lock().keyspace());
    let expected = world.model.lock().digest_at(lsn);
    assert_eq!(expected, Some(found), "seed {}: the preamble", world.config.seed);
}

/// Compacts while the world goes on, and looks at the base that comes of it.
fn compact(world: &mut World) {
    let lsn = world.model.lock().lsn();
    let seed = world.config.seed;
    world.compact().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    check_preamble(world, lsn);
}

/// Begins a compaction that is given up after `turns` turns, if it has not ended by then.
fn compact_and_abort(world: &mut World, turns: usize) {
    let begun = world.begin_snapshot();
    let mut left = turns;
    let result = world.compact_with(&begun, |world| {
        if left == 0 {
            begun.parts.abort();
        }
        left = left.saturating_sub(1);
        if left.is_multiple_of(2) {
            world.engine.lock().save_slice(0);
        } else {
            world.step();
        }
    });
    match result {
        Ok(()) => {}
        Err(SnapshotError::Aborted) => check_no_unused_base(world),
        Err(error) => panic!("seed {}: {error}", world.config.seed),
    }
}

/// Asserts that no base is there but those that the manifest lists.
fn check_no_unused_base(world: &World) {
    let listed: Vec<String> = load_manifest(&world.disk).all_names().collect();
    for name in world.disk.list(dir()).unwrap() {
        let is_base = name.starts_with("base-");
        assert!(!is_base || listed.contains(&name), "seed {}: {name}", world.config.seed);
    }
}

/// Asserts that after whatever crash the base in force is the one that was durable or the one that the
/// process had put in force. Gives the number of times that it was the new one and not durable yet.
fn check_manifests(moments: &[Moment]) -> usize {
    let mut undecided = 0;
    let mut durable = None;
    let mut random = mainstay::env::seeded_random(1);
    for moment in moments {
        let current = base_line(&moment.snapshot.after_kill());
        if moment.operation == Operation::SyncDir {
            durable = current.clone();
        }
        let crashes = [Crash::LosesAll, Crash::KeepsAll, Crash::Random(random())];
        for crash in crashes {
            let found = base_line(&crash.disk(&moment.snapshot));
            let operation = &moment.operation;
            assert!(found == durable || found == current, "{crash:?} after {operation:?}");
            undecided += usize::from(found != durable);
        }
    }
    undecided
}

/// Lets a log be compacted several times while it is written to, and crashes it at every operation
/// from the first one on.
fn crash_compactions(name: &str, config: Config) {
    let mut world = World::new(config);
    world.run(40);
    fill(&mut world, 200, 30);
    let moments = record(&world);
    // Of a log without a base.
    compact(&mut world);
    let first = base_line(&world.disk).expect("there is one");
    assert!(first.end_lsn > first.lsn, "nothing was written during the compaction");
    // Long enough for the log to go on in the place of a segment that the compaction has made superfluous.
    let units = world.model.lock().units.len();
    world.run(units + 60);
    for turns in [0, 3, 12] {
        compact_and_abort(&mut world, turns);
    }
    // Of one with a base.
    compact(&mut world);
    let second = base_line(&world.disk).expect("there is one");
    assert!(second.sequence > first.sequence);
    check_no_unused_base(&world);
    let units = world.model.lock().units.len();
    world.run(units + 10);
    world.settle();
    world.check_in_memory();
    let history = History::new(&world, &moments);
    assert!(check_manifests(&history.moments) > 0, "no crash comes between rename and sync");
    history.crash_everywhere(scaled(1, 8), scaled(6, 1), scaled(40, 3));
    history.print(name, &world);
}

#[test]
fn a_crash_at_any_operation_of_a_compaction_loses_nothing_and_leaves_nothing_behind() {
    for (seed, durability) in (31..).zip(MODES) {
        for seed in seeds(seed..seed + 1) {
            crash_compactions(&format!("compaction, {durability:?}"), config(seed, durability));
        }
    }
}

#[test]
fn a_crash_during_a_compaction_just_after_a_start_loses_nothing() {
    // The log begins a segment at every start, so nothing but the compaction itself touches the disk.
    for seed in seeds(34..37) {
        let mut world = World::new(config(seed, Durability::Always));
        world.run(30);
        world.sync();
        for round in 1..4 {
            world = world.restarted(world.disk.snapshot().after_kill(), seed + 100 * round);
            let moments = record(&world);
            world.compact_alone().unwrap();
            let line = base_line(&world.disk).expect("there is one");
            assert_eq!(line.end_lsn, line.lsn, "nothing was written");
            check_no_unused_base(&world);
            world.disk.observe(|_, _| {});
            let history = History::new(&world, &moments);
            assert!(check_manifests(&history.moments) > 0);
            history.crash_everywhere(scaled(4, 20), scaled(4, 1), scaled(10, 1));
        }
    }
}

#[test]
fn a_snapshot_with_another_number_of_keys_is_not_put_in_force() {
    let mut world = World::new(config(38, Durability::Always));
    world.run(60);
    compact(&mut world);
    for difference in [-1, 1] {
        let before = base_line(&world.disk);
        let mut begun = world.begin_snapshot();
        let keys = &mut begun.counts[0].keys;
        *keys = keys.wrapping_add_signed(difference);
        let result = world.compact_with(&begun, |world| {
            world.engine.lock().save_slice(0);
            world.step();
        });
        assert!(matches!(result, Err(SnapshotError::Count { db: 0, .. })), "{result:?}");
        assert_eq!(base_line(&world.disk), before);
        check_no_unused_base(&world);
    }
    compact(&mut world);
}

/// Compacts a world whose new base comes out with one bit flipped. Gives that base's length. Among what it holds is
/// a value of `value_bytes`.
fn compact_damaged(seed: u64, value_bytes: usize, bit: u64) -> u64 {
    let mut world = World::new(config(seed, Durability::Always));
    world.run(120);
    fill(&mut world, 1, value_bytes);
    compact(&mut world);
    let before = base_line(&world.disk);
    let old = before.as_ref().map(|line| segment::base_name(line.sequence));
    let len = Arc::new(AtomicU64::new(0));
    let seen = len.clone();
    world.disk.observe(move |operation, disk| {
        // Its name is made durable when it is complete; and the manifest's before.
        let names = disk.list(dir()).unwrap_or_default();
        let new =
            names.iter().find(|name| name.starts_with("base-") && Some(*name) != old.as_ref());
        if let (Operation::SyncDir, Some(name)) = (operation, new) {
            let path = dir().join(name);
            let mut bytes = disk.contents(&path).expect("it is there");
            let at = bit / 8 % bytes.len() as u64;
            bytes[at as usize] ^= 1 << (bit % 8);
            seen.store(bytes.len() as u64, Ordering::Relaxed);
            disk.put(&path, &bytes);
        }
    });
    let begun = world.begin_snapshot();
    // The commands of these come behind the preamble.
    let units = world.model.lock().units.len();
    world.run(units + 8);
    assert!(world.model.lock().lsn() > begun.lsn, "bit {bit}");
    let result = world.compact_with(&begun, |world| {
        world.engine.lock().save_slice(0);
        world.step();
    });
    world.disk.observe(|_, _| {});
    match result {
        Err(SnapshotError::Disk(error)) if error.kind() == io::ErrorKind::InvalidData => {
            assert!(error.to_string().contains("a start would refuse it: "), "bit {bit}: {error}");
        }
        other => panic!("bit {bit}: {other:?}"),
    }
    assert_eq!(base_line(&world.disk), before, "bit {bit}");
    check_no_unused_base(&world);
    assert_eq!(world.log.refusal(), None, "bit {bit}: the log itself goes on");
    compact(&mut world);
    assert_ne!(base_line(&world.disk), before, "bit {bit}");
    len.load(Ordering::Relaxed)
}

#[test]
fn a_new_base_that_a_start_would_refuse_is_not_put_in_force() {
    let bits = 8 * compact_damaged(40, 100, 0);
    assert!(bits > 8 * 500, "{bits}");
    let chosen: Vec<u64> = (0..bits).step_by(scaled(23, 1)).collect();
    in_parallel(&chosen, |&bit| assert!(compact_damaged(40, 100, bit) > 0));
    // Of a record that is longer than a block may be, only the checksum is compared.
    let value_bytes = 5 << 20;
    for at in (0..value_bytes).step_by(value_bytes / scaled(3, 20)) {
        let len = compact_damaged(40, value_bytes, 8 * at as u64 + 5);
        assert!(len > value_bytes as u64);
    }
}

/// Which operations are to fail, during a compaction.
#[derive(Clone, Copy)]
struct Failing {
    /// The first of those picked, counted from 0.
    first: u64,
    count: u64,
    which: fn(&Operation) -> bool,
}

/// Lets operations of a compaction fail, and crashes everything that comes of it. False if there are fewer
/// operations than that.
fn survive(durability: Durability, failing: Failing) -> bool {
    let Failing { first, count, which } = failing;
    let config = Config { long_syncs: false, ..config(2000 + first, durability) };
    let mut world = World::new(config);
    world.run(20);
    world.settle();
    compact(&mut world);
    let units = world.model.lock().units.len();
    world.run(units + 10);
    let before = base_line(&world.disk);
    let operations = fail_some(&world.disk, first, count, which);
    let moments = record(&world);
    let result = world.compact();
    let failed = operations.load(Ordering::Relaxed) > first;
    match &result {
        Ok(()) => assert_ne!(base_line(&world.disk), before),
        Err(SnapshotError::Disk(_)) => assert!(failed, "operation {first}: {result:?}"),
        Err(error) => panic!("operation {first}: {error}"),
    }
    // Whatever has failed, it heals.
    let units = world.model.lock().units.len();
    world.run(units + 5);
    world.settle();
    world.disk.inject(|_| None);
    assert_eq!(world.log.refusal(), None, "operation {first}");
    let units = world.model.lock().units.len();
    world.run(units + 5);
    world.settle();
    let before = base_line(&world.disk);
    compact(&mut world);
    assert_ne!(base_line(&world.disk), before, "operation {first}");
    if !which(&Operation::Remove(dir().into())) {
        check_no_unused_base(&world);
    }
    world.sync();
    world.check_in_memory();
    History::new(&world, &moments).crash_everywhere(1, 60, 100);
    let lsn = world.model.lock().lsn();
    for crash in [Crash::Kill, Crash::LosesAll] {
        let disk = crash.disk(&world.disk.snapshot());
        let (_, recovery) = open(&disk, &world.clock, world.config.options(), 5).unwrap();
        assert_eq!(recovery.lsn, lsn, "operation {first}, {crash:?}");
        check_no_strays(&disk, &format!("operation {first}, {crash:?}"));
    }
    failed
}

/// Survives failures at the first operation, the second, and so on, in all modes, until there is none left. Only
/// every so many of these runs is done; 1 or a number that 3 does not divide.
fn survive_all(count: u64, which: fn(&Operation) -> bool, every: usize) {
    let is_over = AtomicU64::new(0);
    let runs: Vec<u64> = (0..30_000).step_by(every).collect();
    in_parallel(&runs, |&run| {
        let failing = Failing { first: run / 3, count, which };
        // One mode needs fewer operations than another.
        if is_over.load(Ordering::Relaxed) < 12 && !survive(MODES[(run % 3) as usize], failing) {
            is_over.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert!(is_over.load(Ordering::Relaxed) > 0, "it ended before the last operation");
}

#[test]
fn every_operation_of_a_compaction_may_fail_once() {
    survive_all(1, |_| true, scaled(13, 1));
}

#[test]
fn every_operation_of_a_compaction_may_fail_three_times_in_a_row() {
    survive_all(3, |_| true, scaled(19, 1));
}

#[test]
fn every_replacement_of_the_manifest_during_a_compaction_may_fail() {
    let replaces = |operation: &Operation| match operation {
        Operation::Rename(_) | Operation::SyncDir => true,
        Operation::Sync(path) => path.ends_with(TEMPORARY_NAME),
        _ => false,
    };
    survive_all(1, replaces, scaled(2, 1));
}

#[test]
fn while_nothing_can_be_written_a_compaction_fails_and_the_next_one_succeeds() {
    let mut world = World::new(config(39, Durability::Always));
    world.run(30);
    compact(&mut world);
    let before = base_line(&world.disk);
    world.disk.inject(|operation| match operation {
        Operation::Write { path, .. } => path.to_str()?.contains("base-").then(injected),
        _ => None,
    });
    for _ in 0..3 {
        assert!(matches!(world.compact(), Err(SnapshotError::Disk(_))));
        check_no_unused_base(&world);
    }
    assert_eq!(base_line(&world.disk), before);
    assert_eq!(world.log.stats().failures, 0, "the log itself is sound");
    world.disk.inject(|_| None);
    compact(&mut world);
}

#[test]
fn on_a_full_disk_a_compaction_fails_and_the_log_goes_on() {
    let failures = AtomicU64::new(0);
    let rooms: Vec<u64> = (0..150).step_by(scaled(8, 1)).collect();
    in_parallel(&rooms, |&room| {
        let durability = MODES[(room / 8 % 3) as usize];
        let config = Config { long_syncs: false, ..config(40 + room, durability) };
        let mut world = World::new(config);
        // The base will need some 40 KiB.
        fill(&mut world, 80, 500);
        world.sync();
        world.log.prepare();
        world.settle();
        let before = base_line(&world.disk);
        let moments = record(&world);
        let used = world.disk.used_bytes();
        world.disk.set_quota(Some(used + room * 1024));
        let result = world.compact_alone();
        if let Err(error) = result {
            assert!(error.to_string().contains("No space left on device"), "{room}: {error}");
            failures.fetch_add(1, Ordering::Relaxed);
            check_no_unused_base(&world);
            assert_eq!(base_line(&world.disk), before, "{room}");
        }
        // There is no more room than before.
        let units = world.model.lock().units.len();
        world.run(units + 5);
        world.settle();
        assert_eq!(world.log.refusal(), None, "{room}");
        world.disk.set_quota(None);
        compact(&mut world);
        world.check_in_memory();
        History::new(&world, &moments).crash_everywhere(1, 20, 50);
    });
    let failures = failures.load(Ordering::Relaxed) as usize;
    assert!((1..rooms.len()).contains(&failures), "{failures} of {} failed", rooms.len());
}

#[test]
fn on_a_full_disk_the_log_has_the_room_of_a_segment_that_a_compaction_made_superfluous() {
    let mut world = World::new(config(60, Durability::Always));
    fill(&mut world, 60, 500);
    let set = Request::Set { key: "one more".into(), value: b"value".to_vec(), expiry_ms: None };
    let batch = Batch { db: 0, requests: vec![set], is_transaction: false };
    world.compact_alone().unwrap();
    assert_eq!(world.send(0, &batch), Came::Executed);
    world.pass(1000);
    // What the compaction made superfluous is there, and no segment that was prepared.
    let open_segment = load_manifest(&world.disk).segments.last().unwrap().sequence;
    let names = world.disk.list(dir()).unwrap();
    let segments = names.iter().filter_map(|name| segment::parse_name(name));
    let others: Vec<u64> = segments
        .filter(|(kind, sequence)| *kind == NameKind::Segment && *sequence != open_segment)
        .map(|(_, sequence)| sequence)
        .collect();
    assert!(others.len() == 1 && others[0] < open_segment, "{names:?}");
    // There is room for another base beside what is kept for the log, but only once that segment is
    // gone.
    let base_bytes = base_line(&world.disk).expect("there is one").bytes;
    let kept = world.log.kept_by_copies_bytes();
    world.disk.set_quota(Some(world.disk.used_bytes() + base_bytes + kept - (8 << 10)));
    world.compact_alone().unwrap();
    assert_eq!(world.log.stats().failures, 0);
}

#[test]
fn nobody_waits_for_a_manifest_that_a_compaction_or_retention_replaces() {
    let retention = Retention { time_s: 0, bytes: u64::MAX };
    let mut world = World::new(Config { retention, ..config(61, Durability::No) });
    world.run(60);
    let log = world.log.clone();
    let drains = Arc::new(AtomicU64::new(0));
    let counter = drains.clone();
    world.disk.observe(move |operation, _| {
        if !matches!(operation, Operation::Rename(path) if path.ends_with(manifest::NAME)) {
            return;
        }
        // A connection that wants to reply; a limit of a minute only says that it hangs.
        let (log, (done, is_done)) = (log.clone(), channel());
        std::thread::spawn(move || {
            log.drain();
            let _ = done.send(());
        });
        is_done.recv_timeout(Duration::from_secs(60)).expect("a drain waits for the disk");
        counter.fetch_add(1, Ordering::Relaxed);
    });
    world.compact_alone().unwrap();
    let of_compaction = drains.load(Ordering::Relaxed);
    world.log.set_retention(Retention::default());
    world.log.prune_retired().unwrap();
    assert!(of_compaction >= 1 && drains.load(Ordering::Relaxed) > of_compaction);
}

#[test]
fn a_drain_that_was_left_while_the_manifest_is_replaced_is_done_right_after() {
    for durability in MODES {
        let mut world = World::new(config(62, durability));
        world.run(60);
        world.sync();
        let log = world.log.clone();
        let writes = Arc::new(AtomicU64::new(0));
        let counter = writes.clone();
        world.disk.observe(move |operation, _| {
            if !matches!(operation, Operation::Rename(path) if path.ends_with(manifest::NAME)) {
                return;
            }
            counter.fetch_add(1, Ordering::Relaxed);
            let (log, (done, is_done)) = (log.clone(), channel());
            std::thread::spawn(move || {
                log.append(&mut b"*1\r\n$4\r\nPING\r\n".to_vec(), 0);
                log.submit();
                // The log thread neither drains now nor asks again and again.
                let _ = done.send((log.next_action(), log.drained_lsn() < log.appended_lsn()));
            });
            let seen =
                is_done.recv_timeout(Duration::from_secs(60)).expect("a write waits for the disk");
            assert_eq!(seen, (Action::Wait(None), true), "{durability:?}");
        });
        let begun = world.begin_snapshot();
        let log = world.log.clone();
        compact_to_base(&log, &begun, &mut || {
            world.engine.lock().save_slice(0);
            log.settle();
        })
        .unwrap();
        world.disk.observe(|_, _| {});
        assert!(writes.load(Ordering::Relaxed) > 0);
        log.take_work();
        log.settle();
        assert_eq!(log.drained_lsn(), log.appended_lsn(), "{durability:?}: nobody else drains it");
    }
}
