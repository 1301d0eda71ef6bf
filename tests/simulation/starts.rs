//! What a start keeps, what one that fails leaves behind, and what it needs.

use super::crash::Crash;
use super::failures::{fail_some, injected};
use super::world::{Config, Model, World, check_no_strays, clock, digest, dir, execute, open};
use mainstay::disk::sim::{Operation, Snapshot};
use mainstay::disk::{Disk, SimDisk};
use mainstay::engine::Engine;
use mainstay::env::seeded_random;
use mainstay::log::manifest::{
    Manifest, NAME, RetiredFile, RetiredLine, SegmentEnd, SegmentLine, TEMPORARY_NAME,
};
use mainstay::log::segment::{Identity, segment_name};
use mainstay::log::{Durability, Lost, Lsn, Retention, SalvageWriter, Timeline, TimelineId, View};
use mainstay::session::Client;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a repair says of a base that is gone.
const LOST: Lost = Lost { lsn: 0, end_lsn: 0, from_ms: 0, to_ms: u64::MAX, keys: 3000 };

/// A data set that holds nothing but the record of what a repair lost, which takes no LSN.
fn repaired() -> SimDisk {
    let disk = SimDisk::new();
    let timelines = [Timeline { id: TimelineId([1; 20]), begin_lsn: 0 }];
    let dataset = (Identity([7; 16]), &timelines[..]);
    let shared = Arc::new(disk.clone());
    let mut writer = SalvageWriter::new(shared, dir(), dataset, seeded_random(1), 1);
    writer.lost(&LOST).unwrap();
    writer.finish().unwrap();
    disk
}

#[test]
fn what_a_repair_lost_is_known_at_every_start() {
    let (mut disk, mut model) = (repaired(), Model::default());
    for round in 0..8 {
        let config = Config::new(100 + round, Durability::Always);
        let (engine, recovery) = open(&disk, &clock(), config.options(), 200 + round).unwrap();
        assert_eq!(recovery.lost, [LOST], "{round}");
        let found = digest(engine.lock().keyspace());
        assert_eq!(model.digest_at(recovery.lsn), Some(found));
        let model_now = model.recovered(recovery.lsn, engine.lock().keyspace());
        let mut world = World::with(config, disk.clone(), clock(), engine, model_now);
        if round >= 4 {
            let units = world.model.lock().units.len();
            world.run(units + 40);
            world.settle();
        } else {
            // Segments in which nothing but a marker is written do not pile up.
            world.log.roll();
            world.log.roll();
            assert_eq!(world.log.sizes().0, 2, "{round}");
        }
        if round % 2 == 0 {
            world.close().unwrap();
            // The headers of the files tell of it too.
            let manifest = Manifest::load(&disk, dir()).unwrap();
            let rebuilt = View::rebuilt(&disk, dir()).unwrap();
            assert_eq!(rebuilt.manifest().segments, manifest.segments, "{round}");
        }
        model = world.model.lock().clone();
        disk = disk.snapshot().after_kill();
    }
}

#[test]
fn a_compaction_takes_the_place_of_the_record_of_what_was_lost() {
    for units in [0, 40] {
        let config = Config::new(110, Durability::Always);
        let disk = repaired();
        let (engine, _) = open(&disk, &clock(), config.options(), 210).unwrap();
        let mut world = World::with(config, disk.clone(), clock(), engine, Model::default());
        world.run(units);
        world.settle();
        world.compact_alone().unwrap();
        world.close().unwrap();
        let manifest = Manifest::load(&disk, dir()).unwrap();
        assert_eq!(manifest.segments.len(), 1, "{units}");
        let world = world.restarted(disk.snapshot().after_kill(), 211);
        assert_eq!(world.log.lost(), []);
    }
}

/// Data sets as crashes leave them, of which a start has more or less to do.
fn left_behind() -> Vec<Snapshot> {
    let mut left = vec![SimDisk::new().snapshot()];
    for durability in [Durability::Always, Durability::EverySec] {
        let mut world = World::new(Config::new(7, durability));
        world.run(120);
        let disk = world.disk.snapshot().after_kill();
        left.push(disk.snapshot());
        // The same with an unfinished write, which a start sets aside.
        let manifest = Manifest::load(&disk, dir()).unwrap();
        let path = dir().join(segment_name(manifest.segments.last().unwrap().sequence));
        let mut bytes = disk.contents(&path).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 64;
        bytes[end] = 1;
        disk.put(&path, &bytes);
        left.push(disk.snapshot());
    }
    left
}

fn files(disk: &SimDisk) -> Vec<String> {
    disk.list(dir()).unwrap()
}

#[test]
fn a_start_that_fails_leaves_no_file_behind() {
    for (number, snapshot) in left_behind().iter().enumerate() {
        let mut fails = 0;
        for first in 0.. {
            let disk = snapshot.after_kill();
            let before = files(&disk);
            let renames = Arc::new(AtomicU64::new(0));
            let (seen, mut count) = (renames.clone(), 0);
            disk.inject(move |operation| {
                seen.fetch_add(matches!(operation, Operation::Rename(_)).into(), Ordering::Relaxed);
                count += 1;
                (count == first + 1).then(injected)
            });
            if open(&disk, &clock(), Config::new(7, Durability::Always).options(), 1).is_ok() {
                break;
            }
            fails += 1;
            // Once the manifest is renamed, the new segment may be what the log goes on in.
            if renames.load(Ordering::Relaxed) == 0 {
                let after = files(&disk);
                let new: Vec<_> = after.iter().filter(|name| !before.contains(name)).collect();
                assert!(new.is_empty(), "{number}, {first}: {new:?}");
            }
        }
        assert!(fails > 8, "{number}: a start needs more than {fails} operations");
    }
}

#[test]
fn a_start_on_a_full_disk_takes_no_room() {
    for (number, snapshot) in left_behind().iter().enumerate() {
        let mut fails = 0;
        for room in (1..40_000).step_by(251) {
            let disk = snapshot.after_kill();
            let (before, used) = (files(&disk), disk.used_bytes());
            disk.set_quota(Some(used + room));
            match open(&disk, &clock(), Config::new(7, Durability::Always).options(), 1) {
                Ok((engine, _)) if !engine.log().unwrap().has_failed() => continue,
                // Without data there is nothing to serve.
                Ok((_, recovery)) => assert!(number > 0 && recovery.start_failure.is_some()),
                Err(error) => assert!(number == 0 && error.is_out_of_space(), "{error}"),
            }
            fails += 1;
            assert!(disk.used_bytes() <= used, "{number}, {room}");
            let after = files(&disk);
            let new: Vec<_> = after.iter().filter(|name| !before.contains(name)).collect();
            assert!(new.is_empty(), "{number}, {room}: {new:?}");
        }
        assert!(fails > 0 || number > 0, "{number}: there always was room");
    }
}

/// What a key's value is answered with.
fn get(engine: &Engine, db: usize, key: &str) -> String {
    let (mut guard, mut session) = (engine.lock(), Client::default());
    execute(&mut guard, &mut session, &["SELECT", &db.to_string()]);
    let (_, reply) = execute(&mut guard, &mut session, &["GET", key]);
    String::from_utf8(reply).unwrap()
}

/// Asserts that of every key what was durable at `durable` is shown, and nothing else is. Gives how
/// many were refused.
fn check_shown(engine: &Engine, model: &Model, durable: Lsn, what: &str) -> usize {
    let mut refused = 0;
    for ((db, key), changed) in &model.changed {
        let found = get(engine, *db, key);
        if *changed > durable {
            assert!(found.starts_with("-MISCONF"), "{what}: {key} in {db}: {found}");
            refused += 1;
            continue;
        }
        match model.value(*db, key) {
            Some(value) => {
                let value = String::from_utf8_lossy(value).into_owned();
                assert!(found.contains(&value), "{what}: {key} in {db}: {found}");
            }
            None => assert_eq!(found, "$-1\r\n", "{what}: {key} in {db}"),
        }
    }
    refused
}

/// A world that was killed with something in its log that is not known to be durable, and its disk,
/// on which there is no room beside what the manifest lists.
fn killed_on_a_full_disk(seed: u64, durability: Durability, unfinished: bool) -> (World, SimDisk) {
    let mut world = World::new(Config::new(seed, durability));
    world.run(120);
    while world.log.drained_lsn() < world.model.lock().lsn()
        || world.log.durable_lsn() == world.log.drained_lsn()
    {
        world.step();
    }
    let disk = world.disk.snapshot().after_kill();
    let manifest = Manifest::load(&disk, dir()).unwrap();
    let listed: Vec<String> = manifest.all_names().chain([NAME.to_owned()]).collect();
    for name in files(&disk).iter().filter(|name| !listed.contains(name)) {
        disk.remove(&dir().join(name)).unwrap();
    }
    if unfinished {
        let path = dir().join(segment_name(manifest.segments.last().unwrap().sequence));
        let mut bytes = disk.contents(&path).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 64;
        if end < bytes.len() {
            bytes[end] = 1;
            disk.put(&path, &bytes);
        }
    }
    disk.set_quota(Some(disk.used_bytes()));
    (world, disk)
}

#[test]
fn a_start_on_a_full_disk_serves_what_is_durable_and_begins_once_there_is_room() {
    let mut refused = 0;
    for seed in 0..12 {
        let modes = [Durability::Always, Durability::EverySec, Durability::No];
        let durability = modes[seed as usize % 3];
        let (before, disk) = killed_on_a_full_disk(300 + seed, durability, seed % 2 == 0);
        let what = format!("seed {seed}, {durability:?}");
        let killed = disk.snapshot();
        let (engine, recovery) = open(&disk, &before.clock, before.config.options(), 1).unwrap();
        let cause = recovery.start_failure.unwrap_or_else(|| panic!("{what}: it has begun"));
        assert!(cause.contains("No space left on device"), "{what}: {cause}");
        let (log, model) = (engine.log().unwrap(), before.model.lock().clone());
        let (durable, lsn) = (log.durable_lsn(), recovery.lsn);
        assert_eq!(lsn, model.lsn(), "{what}");
        assert!(durable <= before.log.durable_lsn(), "{what}: nothing attests more");
        let operations = disk.operations();
        refused += check_shown(&engine, &model, durable, &what);
        // It is tried again, and writes are refused; nothing changes.
        let mut world =
            World::with(before.config.clone(), disk.clone(), before.clock.clone(), engine, model);
        for _ in 0..10 {
            world.pass(1_000_000);
            let mut session = Client::default();
            let (_, reply) = execute(&mut world.engine.lock(), &mut session, &["SET", "k", "v"]);
            assert!(reply.starts_with(b"-MISCONF"), "{what}");
        }
        assert!(log.stats().failures > 3, "{what}: it is not tried again");
        assert!(world.compact_alone().is_err(), "{what}");
        assert!(log.prune_retired().is_ok() && matches!(log.compress_retired(), Ok(None)));
        assert_eq!(disk.operations(), operations, "{what}: something was changed");
        let model = world.model.lock().clone();
        assert!(check_shown(&world.engine, &model, durable, &what) <= model.changed.len());

        // With room it begins, whatever crashes come in between.
        let snapshots = Arc::new(Mutex::new(vec![killed]));
        let seen = snapshots.clone();
        disk.observe(move |_, disk| seen.lock().push(disk.snapshot()));
        disk.set_quota(None);
        world.pass(2_000_000);
        disk.observe(|_, _| {});
        assert_eq!(log.refusal(), None, "{what}");
        assert_eq!((log.durable_lsn(), log.appended_lsn()), (lsn, lsn), "{what}");
        assert_eq!(check_shown(&world.engine, &model, lsn, &what), 0);
        check_no_strays(&disk, &what);
        let snapshots = std::mem::take(&mut *snapshots.lock());
        assert!(snapshots.len() > 8, "{what}");
        for (index, snapshot) in snapshots.iter().enumerate() {
            for crash in [Crash::Kill, Crash::LosesAll, Crash::KeepsAll, Crash::Random(seed)] {
                let disk = crash.disk(snapshot);
                let (engine, recovery) =
                    open(&disk, &world.clock, world.config.options(), 900 + seed).unwrap();
                let found = digest(engine.lock().keyspace());
                assert_eq!(model.digest_at(recovery.lsn), Some(found), "{what}, {index}");
                assert!(recovery.lsn >= durable, "{what}, {index}, {crash:?}");
                assert!(crash != Crash::Kill || recovery.lsn == lsn, "{what}, {index}");
            }
        }
        let units = world.model.lock().units.len();
        world.run(units + 20);
        world.sync();
        let lsn = world.log.durable_lsn();
        let world = world.restarted(Crash::LosesAll.disk(&disk.snapshot()), 800 + seed);
        assert_eq!(world.log.durable_lsn(), lsn, "{what}");
    }
    assert!(refused > 0, "nothing was written that is not known to be durable");
}

#[test]
fn a_beginning_whose_manifest_may_be_in_force_is_tried_again_beside_it() {
    for first in 0..3 {
        let (before, disk) = killed_on_a_full_disk(320 + first, Durability::EverySec, true);
        let (engine, recovery) = open(&disk, &before.clock, before.config.options(), 1).unwrap();
        assert!(recovery.start_failure.is_some());
        let model = before.model.lock().clone();
        let mut world =
            World::with(before.config.clone(), disk.clone(), before.clock.clone(), engine, model);
        disk.set_quota(None);
        // The rename or what makes it durable fails, more and more often.
        let mut left = first + 1;
        let mut written = false;
        disk.inject(move |operation| match operation {
            Operation::Sync(path) if path.ends_with(TEMPORARY_NAME) => {
                written = true;
                None
            }
            Operation::Rename(_) | Operation::SyncDir if written && left > 0 => {
                left -= 1;
                Some(injected())
            }
            _ => None,
        });
        (0..10).for_each(|_| world.pass(2_000_000));
        assert_eq!(world.log.refusal(), None, "{first}");
        assert_eq!(world.log.durable_lsn(), recovery.lsn, "{first}");
        check_no_strays(&disk, &first);
        world.restarted(Crash::LosesAll.disk(&disk.snapshot()), 850 + first);
    }
}

#[test]
fn a_start_has_the_room_of_what_a_crash_left_behind() {
    for snapshot in &left_behind()[1..] {
        let disk = snapshot.after_kill();
        // The next segment was being prepared.
        disk.put(&dir().join(segment_name(9_999)), &[0; 64 << 10]);
        disk.set_quota(Some(disk.used_bytes()));
        let options = Config::new(7, Durability::Always).options();
        let (engine, _) = open(&disk, &clock(), options, 1).unwrap();
        assert_eq!(engine.log().unwrap().refusal(), None);
        check_no_strays(&disk, &"on a full disk");
    }
}

#[test]
fn what_only_the_old_manifest_lists_stays_until_the_new_one_is_durable() {
    let mut world = World::new(Config::new(8, Durability::Always));
    world.run(60);
    world.settle();
    let renamed = Arc::new(Mutex::new(Vec::new()));
    let seen = renamed.clone();
    world.disk.observe(move |operation, disk| {
        if matches!(operation, Operation::Rename(path) if path.ends_with(NAME)) {
            seen.lock().push(disk.snapshot());
        }
    });
    world.compact_alone().unwrap();
    let lsn = world.log.durable_lsn();
    let renamed = std::mem::take(&mut *renamed.lock());
    assert!(!renamed.is_empty());
    // Killed before the directory was synced; then the power fails during the next start.
    for snapshot in renamed {
        for first in 0.. {
            let disk = snapshot.after_kill();
            fail_some(&disk, first, u64::MAX / 2, |_| true);
            let failed = open(&disk, &world.clock, world.config.options(), 3).is_err();
            for crash in [Crash::LosesAll, Crash::KeepsAll, Crash::Random(first)] {
                let disk = crash.disk(&disk.snapshot());
                let (_, recovery) = open(&disk, &world.clock, world.config.options(), 4)
                    .unwrap_or_else(|error| panic!("{first}, {crash:?}: {error}"));
                assert_eq!(recovery.lsn, lsn, "{first}, {crash:?}");
            }
            if !failed {
                break;
            }
        }
    }
}

/// The longest manifest that a start reads.
const MANIFEST_BYTES_MAX: usize = 16 << 20;

#[test]
fn a_manifest_does_not_outgrow_what_a_start_reads() {
    // Everything is kept for ever.
    let retention = Retention { time_s: u64::MAX, bytes: 0 };
    let config = Config { retention, ..Config::new(9, Durability::Always) };
    let mut world = World::new(config);
    world.run(20);
    world.settle();
    world.close().unwrap();
    // Files of many compactions, which a start does not miss. All lines are of one length.
    let mut manifest = Manifest::load(&world.disk, dir()).unwrap();
    let retired = |number: u64| RetiredLine {
        time_ms: 1_000_000 + number / 100,
        file: RetiredFile::Segment(SegmentLine {
            sequence: 1_000_000 + number,
            identity: Identity([8; 16]),
            first_lsn: 1_000_000 + number,
            end: Some(SegmentEnd { lsn: 1_000_001 + number, bytes: 5000 }),
        }),
    };
    let empty = manifest.encode().len();
    manifest.retired.push(retired(0));
    let count = (MANIFEST_BYTES_MAX - empty) / (manifest.encode().len() - empty);
    manifest.retired = (0..count as u64).map(retired).collect();
    assert!(manifest.encode().len() > MANIFEST_BYTES_MAX - 200);
    manifest.store(&world.disk, dir()).unwrap();

    for seed in [2, 3] {
        world = world.restarted(world.disk.snapshot().after_kill(), seed);
        let units = world.model.lock().units.len();
        world.run(units + 400);
        world.settle();
        assert!(world.log.sizes().0 > 3, "it does not roll");
    }
    let lsn = world.log.durable_lsn();
    let world = world.restarted(world.disk.snapshot().after_kill(), 4);
    assert_eq!(world.log.durable_lsn(), lsn);
    // The youngest of the retired files are still listed.
    let left = Manifest::load(&world.disk, dir()).unwrap().retired;
    assert_eq!(left.last(), Some(&retired(count as u64 - 1)));
    assert!(left.len() < count);
}
