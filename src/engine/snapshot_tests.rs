//! A snapshot is what the keyspace was at one moment, whatever happens while it is taken.

use super::compact::{BASE_FORMAT, SnapshotError, compact};
use super::recovery_tests::{End, Step, World, contents, settings, step};
use super::{Engine, Machine, load};
use crate::disk::{Disk, SimDisk};
use crate::env::{SimClock, seeded_random};
use crate::log::manifest::Manifest;
use crate::log::segment;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

/// What happens while a snapshot is taken.
#[derive(Clone, Debug)]
enum During {
    Step(Step),
    Slice,
    /// The log's threads do what they have to.
    Settle,
    Abort,
}

/// A command that makes a value big, or changes much of a big one.
fn filling() -> impl Strategy<Value = Step> {
    let key = prop::sample::select(&["a", "b", "c", "d"][..]);
    (key, 0..20usize, 0..60u32, 5..40u32).prop_map(|(key, what, from, count)| {
        let each = |element: &dyn Fn(u32) -> String| {
            let elements: Vec<String> = (from..from + count).map(element).collect();
            elements.join(" ")
        };
        let (members, pairs) = (each(&|n| format!("m{n}")), each(&|n| format!("m{n} v{n}:{from}")));
        Step::Command(match what {
            0 => format!("SADD {key} {members}"),
            1 => format!("SREM {key} {members}"),
            2 => format!("HSET {key} {pairs}"),
            3 => format!("HDEL {key} {members}"),
            4 => format!("ZADD {key} {}", each(&|n| format!("{} m{n}", n % 7))),
            5 => format!("ZREM {key} {members}"),
            6 => format!("RPUSH {key} {members}"),
            7 => format!("LTRIM {key} {} -2", from % 20),
            9..=12 => format!("LINSERT {key} BEFORE m{from} new"),
            13..=15 => format!("LSET {key} {} new", from % 20),
            16..=19 => format!("RENAME {key} {}", ["a", "b", "c", "d"][from as usize % 4]),
            _ => format!("SETRANGE {key} {} {}", 260_000 + from * 1000, "x".repeat(count as usize)),
        })
    })
}

fn during() -> impl Strategy<Value = During> {
    let step = step().prop_filter("nothing that ends the log", |step| {
        !matches!(step, Step::Base | Step::Restart(_))
    });
    prop_oneof![
        20 => step.prop_map(During::Step),
        6 => filling().prop_map(During::Step),
        20 => Just(During::Slice),
        2 => Just(During::Settle),
        1 => Just(During::Abort),
    ]
}

/// What the preamble of the base in force holds.
fn preamble(disk: &SimDisk) -> Vec<String> {
    let dir = Path::new("d");
    let manifest = Manifest::load(disk, dir).expect("there is one");
    let base = manifest.base.expect("a base was made");
    let file = disk.open(&dir.join(segment::base_name(base.sequence))).expect("it is there");
    let mut header = vec![0; segment::HEADER_BYTES];
    let at = crate::log::segment::frames_header_offset(base.preamble_bytes);
    file.read_exact_at(&mut header, at).expect("it has a header");
    let header = segment::SegmentHeader::decode(&header).expect("a sound one");
    let machine = Machine {
        disk: Arc::new(disk.clone()),
        clock: SimClock::new(0),
        random: Arc::new(|| seeded_random(99)),
    };
    let engine = Engine::in_memory(machine, 16, settings());
    let mut guard = engine.lock();
    let limits = guard.state.settings.limits.clone();
    let preamble = header.preamble.expect("a base has one");
    load::load(&mut guard.state, &*file, &preamble, 0, limits, &Default::default())
        .expect("it is sound");
    drop(guard);
    contents(&engine, false)
}

/// Takes a snapshot, during which `steps` happen, and makes it the base. False if it was given up.
fn take(world: &mut World, steps: &mut VecDeque<During>) -> Result<bool, TestCaseError> {
    let begun = world.engine.lock().begin_snapshot(BASE_FORMAT).expect("none is running");
    let frozen = contents(&world.engine, false);
    world.has_new_base = true;
    let log = world.log();
    let mut result = Ok(());
    let done = compact(&log, &begun, &mut || match steps.pop_front() {
        Some(During::Step(step)) => result = result.clone().and(world.step(&step)),
        Some(During::Slice) => drop(world.engine.lock().save_slice(0)),
        Some(During::Settle) => world.log().settle(),
        Some(During::Abort) => world.engine.lock().abort_snapshot(),
        None => {
            world.engine.lock().save_slice(0);
            world.log().settle();
        }
    });
    result?;
    match done {
        Ok(()) => {
            prop_assert_eq!(preamble(&world.disk), frozen);
            let names = world.disk.list(Path::new("d")).expect("a directory");
            let manifest = Manifest::load(&world.disk, Path::new("d")).expect("there is one");
            let bases = names.iter().filter(|name| name.starts_with("base-")).count();
            prop_assert_eq!(bases, 1);
            for line in &manifest.segments {
                prop_assert!(names.contains(&segment::segment_name(line.sequence)));
            }
            Ok(true)
        }
        Err(SnapshotError::Aborted) => {
            world.engine.lock().abort_snapshot();
            Ok(false)
        }
        Err(error) => Err(TestCaseError::fail(error.to_string())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_snapshot_is_the_keyspace_of_its_moment(
        before in prop::collection::vec(prop_oneof![3 => step(), 1 => filling()], 0..80),
        mut during in prop::collection::vec(during(), 1..120).prop_map(VecDeque::from),
    ) {
        let mut world = World::new();
        for step in &before {
            world.step(step)?;
        }
        let mut complete = take(&mut world, &mut during)?;
        while !complete || !during.is_empty() {
            complete = take(&mut world, &mut during)?;
        }
        world.note_contents();
        world.restart(End::Kill)?;
        world.restart(End::Close)?;
    }
}
