//! Calls of the disk that fail: one at a time, for every one of them, and many in a row.

use super::crash::{Crash, History, record};
use super::world::{Batch, Came, Config, Request, World, digest, dir, execute, open};
use super::{in_parallel, scaled};
use mainstay::commands::Spec;
use mainstay::disk::sim::Operation;
use mainstay::disk::{Disk, SimDisk};
use mainstay::log::{Action, Durability, Gate, Passage, manifest};
use mainstay::resp::{Output, OwnedArgs};
use mainstay::session::{self, Client, Later, Observed, Row, Session, Table, Way};
use std::io;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

pub fn injected() -> io::Error {
    io::Error::from_raw_os_error(5)
}

/// Makes the operations that `which` picks fail, from the `first`-th on (counted from 0), `count` of
/// them. Gives the number of those that were picked so far.
pub fn fail_some(
    disk: &SimDisk,
    first: u64,
    count: u64,
    which: fn(&Operation) -> bool,
) -> Arc<AtomicU64> {
    let picked = Arc::new(AtomicU64::new(0));
    let counter = picked.clone();
    disk.inject(move |operation| {
        if !which(operation) {
            return None;
        }
        let number = counter.fetch_add(1, Ordering::Relaxed);
        (first..first + count).contains(&number).then(injected)
    });
    picked
}

/// Runs a workload in which the operations from the `first`-th on fail, lets it heal, and crashes it at
/// every operation. False if there are fewer operations than that.
fn survive(first: u64, count: u64, which: fn(&Operation) -> bool) -> bool {
    let modes = [Durability::Always, Durability::EverySec, Durability::No];
    let durability = modes[(first % 3) as usize];
    let config = Config { long_syncs: false, ..Config::new(1000 + first / 3, durability) };
    let mut world = World::new(config);
    let picked = fail_some(&world.disk, first, count, which);
    let moments = record(&world);
    world.run(60);
    world.settle();
    world.check_in_memory();
    let failed = picked.load(Ordering::Relaxed) > first;
    // By itself it takes writes again.
    assert_eq!(world.log.refusal(), None, "operation {first}");
    world.run(70);
    world.sync();
    let lsn = world.model.lock().lsn();
    assert_eq!(world.log.durable_lsn(), lsn);
    let history = History::new(&world, &moments);
    history.crash_everywhere(1, 10, 50);
    for crash in [Crash::Kill, Crash::LosesAll] {
        let disk = crash.disk(&world.disk.snapshot());
        let (_, recovery) = open(&disk, &world.clock, world.config.options(), 5).unwrap();
        assert_eq!(recovery.lsn, lsn, "operation {first}, {crash:?}");
    }
    failed
}

/// Survives failures at the first operation, the second, and so on, until there is none left.
fn survive_all(count: u64, which: fn(&Operation) -> bool, every: u64) {
    let is_over = AtomicU64::new(0);
    let firsts: Vec<u64> = (0..10_000).step_by(every as usize).collect();
    in_parallel(&firsts, |&first| {
        // The modes take turns, and one needs fewer operations than another.
        if is_over.load(Ordering::Relaxed) < 12 && !survive(first, count, which) {
            is_over.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert!(is_over.load(Ordering::Relaxed) > 0, "it ended before the last operation");
}

#[test]
fn every_sync_may_fail_once() {
    survive_all(1, |operation| matches!(operation, Operation::Sync(_)), scaled(4, 1));
}

#[test]
fn every_sync_may_fail_ten_times_in_a_row() {
    survive_all(10, |operation| matches!(operation, Operation::Sync(_)), scaled(10, 1));
}

#[test]
fn every_operation_may_fail_once() {
    survive_all(1, |_| true, scaled(10, 1));
}

#[test]
fn every_operation_may_fail_three_times_in_a_row() {
    survive_all(3, |_| true, scaled(16, 1));
}

/// A world in which much was written, and its disk as a kill leaves it.
fn killed(durability: Durability) -> (World, SimDisk) {
    let mut world = World::new(Config::new(7, durability));
    world.run(120);
    let disk = world.disk.snapshot().after_kill();
    (world, disk)
}

#[test]
fn a_start_that_fails_can_be_tried_again() {
    for durability in [Durability::Always, Durability::EverySec] {
        let (world, disk) = killed(durability);
        let needed = world.log.drained_lsn();
        let starts = [(disk.snapshot(), needed), (SimDisk::new().snapshot(), 0)];
        for (snapshot, needed) in starts {
            let mut fails = 0;
            for first in 0.. {
                let disk = snapshot.after_kill();
                fail_some(&disk, first, 1, |_| true);
                let Err(error) = open(&disk, &world.clock, world.config.options(), 1) else {
                    break;
                };
                assert!(error.to_string().contains("failed"), "{error}");
                fails += 1;
                disk.inject(|_| None);
                for crash in [Crash::Kill, Crash::LosesAll, Crash::Random(first)] {
                    let disk = crash.disk(&disk.snapshot());
                    let opened = open(&disk, &world.clock, world.config.options(), 2);
                    let (engine, recovery) =
                        opened.unwrap_or_else(|error| panic!("{first}, {crash:?}: {error}"));
                    let found = digest(engine.lock().keyspace());
                    assert_eq!(world.model.lock().digest_at(recovery.lsn), Some(found));
                    if crash == Crash::Kill {
                        assert_eq!(recovery.lsn, needed, "{first}");
                    }
                }
            }
            assert!(fails > 10, "a start needs more than {fails} operations");
        }
    }
}

#[test]
fn a_close_that_fails_or_is_crashed_loses_nothing() {
    for durability in [Durability::Always, Durability::EverySec, Durability::No] {
        for first in 0.. {
            let mut world = World::new(Config::new(8, durability));
            world.run(40);
            // What a close begins with: commands in the commit buffer, nobody at work.
            let lsn = world.model.lock().lsn();
            fail_some(&world.disk, first, 1, |_| true);
            let moments = record(&world);
            let closed = world.close();
            let failed = closed.is_err();
            let history = History::new(&world, &moments);
            history.crash_everywhere(1, 1000, 1000);
            for crash in [Crash::Kill, Crash::LosesAll, Crash::Random(first)] {
                let disk = crash.disk(&world.disk.snapshot());
                let (_, recovery) = open(&disk, &world.clock, world.config.options(), 5).unwrap();
                if !failed {
                    assert_eq!(recovery.lsn, lsn, "{first}, {crash:?}: {closed:?}");
                    assert_eq!((&recovery.cut, &recovery.unclean), (&None, &None));
                }
            }
            if !failed && first > 20 {
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_writes_and_takes_them_again_once_there_is_room() {
    for (seed, durability) in
        [(1, Durability::Always), (2, Durability::EverySec), (3, Durability::No)]
    {
        for room in (0..60).step_by(scaled(20, 1)) {
            let config = Config { long_syncs: false, ..Config::new(seed, durability) };
            let mut world = World::new(config);
            world.run(20);
            let moments = record(&world);
            world.disk.set_quota(Some(world.disk.used_bytes() + room * 1024));
            let mut steps = 0;
            while world.refused == 0 {
                world.step();
                steps += 1;
                assert!(steps < 20_000, "{durability:?}, {room}: the disk never fills");
            }
            let refusal = world.log.refusal().expect("it refuses");
            assert!(refusal.contains("No space left on device"), "{refusal}");
            for _ in 0..200 {
                world.step();
            }
            world.check_durable_reads();
            world.disk.set_quota(None);
            world.settle();
            world.pass(1_000_000);
            world.log.prepare();
            assert_eq!(world.log.refusal(), None, "{durability:?}, {room}");
            let units = world.model.lock().units.len();
            world.run(units + 20);
            world.settle();
            world.check_in_memory();
            History::new(&world, &moments).crash_everywhere(1, scaled(50, 10), 100);
        }
    }
}

#[test]
fn an_outage_leaves_no_files_behind() {
    for at_rename in [false, true] {
        let mut world = World::new(Config::new(9, Durability::Always));
        world.run(20);
        world.settle();
        world.disk.inject(move |operation| match operation {
            Operation::Sync(path) if path.ends_with("segment-0000000000000001.log") => {
                Some(injected())
            }
            Operation::Rename(_) if at_rename => Some(injected()),
            Operation::Create(path) if path.ends_with(manifest::TEMPORARY_NAME) && !at_rename => {
                Some(injected())
            }
            _ => None,
        });
        while !world.log.has_failed() {
            world.step();
        }
        world.pass(5_000_000);
        let during = world.disk.list(dir()).unwrap();
        // Before the rename it is certain that the new segment counts for nothing.
        assert!(at_rename || during.len() <= 4, "{during:?}");
        world.disk.inject(|_| None);
        world.settle();
        let after = world.disk.list(dir()).unwrap();
        assert!(after.len() <= 4, "{after:?}");
    }
}

#[test]
fn many_small_writes_heal() {
    // Each drain is a frame of its own, and together their headers outweigh the commands.
    let mut world = World::new(Config::new(10, Durability::No));
    let batch =
        Batch { db: 0, requests: vec![Request::Incr { key: "n".into() }], is_transaction: false };
    world.disk.inject(|operation| matches!(operation, Operation::Sync(_)).then(injected));
    let mut written = 0;
    while world.send(0, &batch) == Came::Executed {
        world.log.drain();
        world.deliver();
        written += 1;
        if written == 4000 {
            world.log.request_sync();
        }
        if written >= 4000 {
            world.pass(10_000);
        }
    }
    assert!(world.log.has_failed());
    world.disk.inject(|_| None);
    world.settle();
    let lsn = world.model.lock().lsn();
    assert_eq!(world.log.durable_lsn(), lsn);
}

#[test]
fn a_huge_value_and_a_transaction_larger_than_a_segment_are_whole_or_not_there() {
    for durability in [Durability::Always, Durability::EverySec] {
        let config = Config { long_syncs: false, ..Config::new(11, durability) };
        let mut world = World::new(config);
        world.run(10);
        world.settle();
        let moments = record(&world);
        let mut random = mainstay::env::seeded_random(1);
        // Bytes that cannot be compressed.
        let mut noise = |len: usize| (0..len).map(|_| random() as u8).collect::<Vec<u8>>();
        let set = |key: &str, value| Request::Set { key: key.into(), value, expiry_ms: None };
        let huge =
            Batch { db: 1, requests: vec![set("huge", noise(3 << 20))], is_transaction: false };
        let large = Batch {
            db: 2,
            requests: (0..40).map(|n| set(&format!("large{n}"), noise(2000))).collect(),
            is_transaction: true,
        };
        for batch in [huge, large] {
            assert_eq!(world.send(0, &batch), Came::Executed);
            world.settle();
        }
        let units = world.model.lock().units.len();
        world.run(units + 5);
        world.sync();
        History::new(&world, &moments).crash_everywhere(1, 100, 100);
        let disk = Crash::LosesAll.disk(&world.disk.snapshot());
        let (engine, _) = open(&disk, &world.clock, world.config.options(), 5).unwrap();
        assert_eq!(
            digest(engine.lock().keyspace()),
            world.model.lock().units.last().unwrap().digest
        );
    }
}

#[test]
fn without_syncs_an_amount_of_undurable_bytes_wakes_the_log_thread() {
    let mut world = World::new(Config::new(12, Durability::No));
    world.settle();
    world.work();
    let mut effects = Vec::new();
    let value = vec![b'x'; 33 << 20];
    mainstay::resp::write_command(&mut effects, &[b"SET", b"k", &value]);
    let lsn = world.log.append(&mut effects, 0);
    for _ in 0..3 {
        world.pass(10_000_000);
    }
    assert_eq!(world.log.durable_lsn(), lsn);
}

#[test]
fn a_segment_prepared_while_the_log_rolled_past_it_is_not_used() {
    let mut world = World::new(Config::new(13, Durability::Always));
    let log = world.log.clone();
    let mut rolled = false;
    world.disk.observe(move |operation, _| {
        // In the middle of preparing segment 2 the log thread needs a new one at once.
        let prepares = matches!(operation, Operation::Allocate(path)
            if path.ends_with("segment-0000000000000002.log"));
        if prepares && !std::mem::replace(&mut rolled, true) {
            log.roll();
        }
    });
    world.run(300);
    world.settle();
    assert!(world.log.sizes().0 > 3);
    let disk = Crash::LosesAll.disk(&world.disk.snapshot());
    let (engine, _) = open(&disk, &world.clock, world.config.options(), 5).unwrap();
    assert_eq!(digest(engine.lock().keyspace()), world.model.lock().units.last().unwrap().digest);
}

#[test]
fn a_segment_that_takes_the_last_room_while_it_is_prepared_is_waited_for() {
    let mut world = World::new(Config::new(15, Durability::Always));
    let (log, disk) = (world.log.clone(), world.disk.clone());
    let (rolled, has_rolled) = channel();
    let mut begun = false;
    let was_prepared = Arc::new(AtomicU64::new(0));
    let prepared = was_prepared.clone();
    world.disk.observe(move |operation, _| {
        // Its room is there, its zeros are not.
        let prepares = matches!(operation, Operation::Allocate(path)
            if path.ends_with("segment-0000000000000002.log"));
        if prepares && !std::mem::replace(&mut begun, true) {
            // Enough for a manifest, not for another segment.
            disk.set_quota(Some(disk.used_bytes() + 8 * 1024));
            let (log, rolled, (started, has_started)) = (log.clone(), rolled.clone(), channel());
            let roll = std::thread::spawn(move || {
                let _ = started.send(());
                log.roll();
                let _ = rolled.send(());
            });
            let _ = has_started.recv();
            prepared.store(1, Ordering::Relaxed);
            // It fails at once, or waits for this preparation: then there is nothing to see of it yet.
            for _ in 0..100 {
                if roll.is_finished() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let first = world.log.sizes().0;
    let came = (0..100_000).any(|_| {
        world.step();
        was_prepared.load(Ordering::Relaxed) > 0
    });
    assert!(came, "it was never prepared");
    // A limit of a minute only says that it hangs.
    has_rolled.recv_timeout(Duration::from_secs(60)).expect("the roll ends with the preparation");
    assert_eq!(world.log.stats().failures, 0, "the room was there");
    assert!(world.log.sizes().0 > first);
    world.disk.set_quota(None);
    world.settle();
}

#[test]
fn once_a_manifest_that_ends_the_segment_may_be_in_force_a_roll_waits_for_nothing() {
    let mut world = World::new(Config::new(16, Durability::EverySec));
    let (log, disk) = (world.log.clone(), world.disk.clone());
    let mut begun = false;
    world.disk.observe(move |operation, _| {
        let prepares = matches!(operation, Operation::Allocate(path)
            if path.ends_with("segment-0000000000000002.log"));
        if prepares && !std::mem::replace(&mut begun, true) {
            // The manifest is replaced, and then nobody knows whether that is durable.
            let mut fails = true;
            let mut renamed = false;
            disk.inject(move |operation| match operation {
                Operation::Rename(path) if path.ends_with(manifest::NAME) => {
                    renamed = true;
                    None
                }
                Operation::SyncDir if renamed && std::mem::take(&mut fails) => Some(injected()),
                _ => None,
            });
            log.roll();
            assert!(log.has_failed(), "what is drained now would be lost");
        }
    });
    let came = (0..100_000).any(|_| {
        world.step();
        world.log.stats().failures > 0
    });
    assert!(came, "it was never prepared");
    world.disk.inject(|_| None);
    world.settle();
    world.sync();
    let disk = Crash::LosesAll.disk(&world.disk.snapshot());
    let (engine, _) = open(&disk, &world.clock, world.config.options(), 5).unwrap();
    assert_eq!(digest(engine.lock().keyspace()), world.model.lock().units.last().unwrap().digest);
}

#[test]
fn a_reply_is_settled_under_its_own_condition_after_a_change_to_a_laxer_one() {
    let mut world = World::new(Config::new(14, Durability::Always));
    let batch =
        Batch { db: 0, requests: vec![Request::Incr { key: "n".into() }], is_transaction: false };
    world.send(0, &batch);
    let lsn = world.model.lock().lsn();
    let gate = Gate { log: world.log.clone(), lsn, durability: Durability::Always };
    world.engine.lock().set_durability(Durability::No);
    world.log.drain();
    assert_eq!(gate.passage(), Passage::Wait, "it is written, but not durable");
    world.settle();
    assert_eq!(gate.passage(), Passage::Open);
    assert!(world.log.durable_lsn() >= gate.lsn);
}

/// A host whose `CONFIG` changes the mode.
static ROWS: [Row<()>; 1] = [Row::engine(Spec::host("config", -2), |call, _| {
    call.unit.set_durability(Durability::EverySec);
    Ok(())
})];

static TABLE: LazyLock<Table<()>> = LazyLock::new(|| Table::new(&[&ROWS]));

#[test]
fn a_change_of_mode_inside_a_transaction_does_not_divide_it() {
    let world = World::new(Config::new(15, Durability::No));
    let mut session = Session::default();
    let mut guard = world.engine.lock();
    execute(&mut guard, &mut Client::default(), &["SET", "before", "1"]);
    let lines: [&[&str]; 5] = [
        &["MULTI"],
        &["SET", "a", "1"],
        &["CONFIG", "SET", "appendfsync", "everysec"],
        &["SET", "b", "1"],
        &["EXEC"],
    ];
    for words in lines {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let args = OwnedArgs::from_slices(&words);
        let args = args.as_args();
        let mut way = Way {
            table: &*TABLE,
            session: &mut session,
            host: &mut (),
            observed: &mut Observed::default(),
            later: &mut Later::default(),
        };
        let resolved = TABLE.directory().resolve(args);
        let request = session::Request { resolved: resolved.as_ref().copied(), args };
        way.request(&mut guard, &request, &mut Output::default());
    }
    drop(guard);
    assert_eq!(world.log.durability(), Durability::EverySec);
    world.log.drain();
    let disk = world.disk.snapshot().after_kill();
    let (engine, recovery) = open(&disk, &world.clock, world.config.options(), 5).unwrap();
    let guard = engine.lock();
    assert_eq!(guard.keyspace().database(0).len(), 3);
    assert_eq!(recovery.frames, 1, "whatever was executed under one lock is one frame");
}

#[test]
fn a_log_thread_with_nothing_to_do_sleeps() {
    for durability in [Durability::Always, Durability::EverySec, Durability::No] {
        let mut world = World::new(Config::new(16, durability));
        world.run(20);
        world.sync();
        world.pass(2_000_000);
        world.log.take_work();
        assert_eq!(world.log.next_action(), Action::Wait(None));
    }
}
