//! A disk with little room: what is made of it, what is kept free, and what refuses at once.

use super::compaction::fill;
use super::crash::{History, record};
use super::failures::injected;
use super::scaled;
use super::world::{Batch, Came, Config, Request, World, dir};
use mainstay::disk::Disk;
use mainstay::disk::sim::Operation;
use mainstay::engine::compact::SnapshotError;
use mainstay::env::seeded_random;
use mainstay::log::manifest::{Manifest, NAME};
use mainstay::log::room::NoRoom;
use mainstay::log::{Durability, segment};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const MIB: u64 = 1 << 20;

fn set(key: String, value: Vec<u8>) -> Batch {
    let requests = vec![Request::Set { key, value, expiry_ms: None }];
    Batch { db: 0, requests, is_transaction: false }
}

/// Writes values that cannot be compressed until writes are refused. Gives how many bytes that
/// were.
fn write_until_refused(world: &mut World, value_bytes: usize) -> u64 {
    let mut random = seeded_random(world.config.seed);
    for number in 0..100_000 {
        let value: Vec<u8> = (0..value_bytes).map(|_| random() as u8).collect();
        if world.send(0, &set(format!("k{}", number % 8), value)) == Came::Refused {
            return number * value_bytes as u64;
        }
        world.log.submit();
        world.log.prepare();
        world.pass(10_000);
    }
    panic!("the disk never fills");
}

#[test]
fn where_a_segment_of_the_usual_size_does_not_fit_a_smaller_one_is_made() {
    let config = Config { segment_bytes: 64 * MIB, ..Config::new(1, Durability::Always) };
    let mut world = World::new(config);
    world.disk.set_quota(Some(80 * MIB));
    let least_free = Arc::new(AtomicU64::new(u64::MAX));
    let seen = least_free.clone();
    world.disk.observe(move |operation, disk| {
        // The manifest may have what is kept free.
        if matches!(operation, Operation::Allocate(_) | Operation::Create(_)) {
            seen.fetch_min(disk.free_bytes(dir()).unwrap(), Ordering::Relaxed);
        }
    });
    let written = write_until_refused(&mut world, 100_000);
    assert!(written > 74 * MIB, "refused after {} KiB of 80 MiB", written >> 10);
    assert_eq!(world.log.stats().failures, 0, "nothing that was executed had to fail");
    let free = least_free.load(Ordering::Relaxed);
    assert!(free >= 2 * MIB, "an attempt left only {free} bytes");
    world.disk.observe(|_, _| {});
    let full = world.disk.snapshot();
    // Nearly all of it is history, and a compaction has room enough to end that.
    world.compact_alone().unwrap();
    world.log.prepare();
    assert_eq!(world.log.refusal(), None);
    assert!(write_until_refused(&mut world, 100_000) > 70 * MIB);
    assert_eq!(world.log.stats().failures, 0);

    let mut world = world.restarted(full.after_kill(), 9);
    world.disk.set_quota(Some(80 * MIB));
    write_until_refused(&mut world, 100_000);
    // A little room, and it goes on.
    world.disk.set_quota(Some(83 * MIB));
    world.settle();
    world.pass(5_000_000);
    world.log.prepare();
    assert_eq!(world.log.refusal(), None);
    assert!(write_until_refused(&mut world, 100_000) > MIB);
}

#[test]
fn attempts_to_go_on_are_made_at_growing_intervals() {
    let mut world = World::new(Config::new(2, Durability::Always));
    world.run(10);
    world.settle();
    let attempts = Arc::new(AtomicU64::new(0));
    let counter = attempts.clone();
    // As a quota does, of which the free room of the file system tells nothing.
    world.disk.inject(move |operation| match operation {
        Operation::Sync(_) => Some(injected()),
        Operation::Allocate(_) => {
            counter.fetch_add(1, Ordering::Relaxed);
            Some(io::ErrorKind::QuotaExceeded.into())
        }
        _ => None,
    });
    while !world.log.has_failed() {
        world.step();
    }
    // Also a segment that was prepared is used up then.
    world.pass(60_000_000);
    let made = attempts.load(Ordering::Relaxed);
    assert!((20..160).contains(&made), "{made} attempts in a minute");
    world.disk.inject(|_| None);
    world.pass(2_000_000);
    assert!(!world.log.has_failed(), "it heals soon once there is room");
}

#[test]
fn healing_takes_exactly_the_room_of_its_frames() {
    let mut world = World::new(Config::new(3, Durability::No));
    world.run(10);
    world.settle();
    world.sync();
    let moments = record(&world);
    world.disk.inject(|operation| matches!(operation, Operation::Sync(_)).then(injected));
    // Uncompressed that is 400 KB.
    for number in 0..40 {
        assert_eq!(world.send(0, &set(format!("k{number}"), vec![b'x'; 10_000])), Came::Executed);
        world.log.drain();
        world.work();
    }
    world.log.request_sync();
    while !world.log.has_failed() {
        world.pass(10_000);
    }
    world.disk.inject(|_| None);
    // Frames of some 100 bytes each, a header and a manifest.
    world.disk.set_quota(Some(world.disk.used_bytes() + 20 * 1024));
    world.settle();
    assert_eq!(world.log.durable_lsn(), world.model.lock().lsn());
    let manifest = Manifest::load(&world.disk, dir()).unwrap();
    let last = manifest.segments.last().unwrap().sequence;
    let bytes = world.disk.contents(&dir().join(segment::segment_name(last))).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    assert!(bytes.len() as u64 - used <= 4096 + 64, "{used} of {} bytes", bytes.len());
    History::new(&world, &moments).crash_everywhere(1, scaled(20, 2), 100);
}

#[test]
fn a_compaction_without_enough_room_fails_at_once_and_names_the_bytes_that_it_needs() {
    let config =
        Config { segment_bytes: 4 * MIB, compacts: true, ..Config::new(4, Durability::Always) };
    let mut world = World::new(config);
    fill(&mut world, 2_500, 10_000);
    world.log.prepare();
    let used = world.disk.used_bytes();
    world.disk.set_quota(Some(used + 15 * MIB));
    let most_used = Arc::new(AtomicU64::new(0));
    let seen = most_used.clone();
    world.disk.observe(move |_, disk| {
        seen.fetch_max(disk.used_bytes(), Ordering::Relaxed);
    });
    let refused = world.compact_alone();
    let Err(SnapshotError::Disk(error)) = refused else { panic!("{refused:?}") };
    let no_room = error.get_ref().and_then(|inner| inner.downcast_ref::<NoRoom>());
    let NoRoom { needed, kept, .. } = *no_room.unwrap_or_else(|| panic!("{error}"));
    assert!(kept >= 3 * MIB, "{error}");
    let written = most_used.load(Ordering::Relaxed) - used;
    assert!(written < 8 * MIB, "{written} bytes were written for nothing");
    assert_eq!(world.disk.used_bytes(), used);
    assert_eq!(world.log.stats().failures, 0, "the log goes on");

    world.disk.set_quota(Some(used + needed + kept + MIB));
    world.compact_alone().unwrap();
    let base = Manifest::load(&world.disk, dir()).unwrap().base.expect("there is one");
    let off = needed.abs_diff(base.bytes);
    assert!(off < base.bytes / 10, "{needed} bytes were named, and {} are needed", base.bytes);
}

#[test]
fn a_small_compaction_may_take_all_but_what_is_kept_and_the_log_goes_on() {
    let mut world = World::new(Config { compacts: true, ..Config::new(5, Durability::Always) });
    fill(&mut world, 80, 500);
    world.log.prepare();
    let used = world.disk.used_bytes();
    let (mut failed, mut done) = (0, 0);
    for room in (0..180).step_by(scaled(6, 1)) {
        world.disk.set_quota(Some(world.disk.used_bytes() + room * 1024));
        let least_free = Arc::new(AtomicU64::new(u64::MAX));
        let seen = least_free.clone();
        world.disk.observe(move |operation, disk| {
            if matches!(operation, Operation::Write { path, .. } if path.to_string_lossy().contains("base-")) {
                seen.fetch_min(disk.free_bytes(dir()).unwrap(), Ordering::Relaxed);
            }
        });
        match world.compact_alone() {
            Ok(()) => done += 1,
            Err(error) => {
                assert!(error.to_string().contains("bytes are needed"), "{room}: {error}");
                failed += 1;
            }
        }
        let free = least_free.load(Ordering::Relaxed);
        assert!(free >= 3 * (16 << 10), "{room}: {free} bytes were left");
        assert_eq!(world.log.stats().failures, 0, "{room}");
        world.disk.set_quota(None);
    }
    assert!(failed > 0 && done > 0, "{failed} failed, {done} were done, from {used} bytes on");
    assert!(world.disk.contents(&dir().join(NAME)).is_some());
}
