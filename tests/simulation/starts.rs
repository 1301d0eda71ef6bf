//! What a start keeps, what one that fails leaves behind, and what it needs.

use super::world::{Config, Model, World, clock, digest, dir, open};
use mainstay::disk::SimDisk;
use mainstay::env::seeded_random;
use mainstay::log::manifest::Manifest;
use mainstay::log::segment::Identity;
use mainstay::log::{Durability, Lost, SalvageWriter, Timeline, TimelineId, View};
use std::sync::Arc;

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
