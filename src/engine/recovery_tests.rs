//! Whatever commands of all families have done, a start finds it again: from the log, from a base and the
//! log behind it, after a close, a kill and a power cut.

use super::{Engine, Machine};
use crate::commands::Settings;
use crate::commands::replay_tests::command;
use crate::commands::testing::words;
use crate::data::digest::digest;
use crate::data::testing::describe;
use crate::disk::{Disk, SimDisk};
use crate::env::{SimClock, seeded_random};
use crate::log::{Durability, Log, Lsn, Options, Until, View};
use crate::resp::Output;
use crate::session::Client;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const DATABASES: usize = 16;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Command(String),
    Transaction(Vec<String>),
    /// Time passes, in ms.
    Pause(u64),
    /// Keys whose time has come are deleted though nobody asks for them.
    Expire,
    /// All that was executed becomes durable.
    Sync,
    /// A new log begins, with a base.
    Base,
    Restart(End),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Close,
    Kill,
    /// With a seed for what is kept of what was not durable.
    PowerCut(u64),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => command().prop_map(Step::Command),
        6 => prop::collection::vec(command(), 1..6).prop_map(Step::Transaction),
        12 => (1..400u64).prop_map(Step::Pause),
        3 => Just(Step::Expire),
        4 => Just(Step::Sync),
        1 => Just(Step::Base),
        1 => end().prop_map(Step::Restart),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Close), Just(End::Kill), any::<u64>().prop_map(End::PowerCut)]
}

/// Everything in a keyspace: database, key, value, digest, expiry time, and on request the encoding.
pub(super) fn contents(engine: &Engine, encodings: bool) -> Vec<String> {
    let guard = engine.lock();
    let mut all = Vec::new();
    for (db, database) in guard.keyspace().databases() {
        database.assert_counts();
        for entry in database.iter() {
            let value = entry.value();
            let (key, sum) = (String::from_utf8_lossy(entry.key()), digest(value));
            let expiry_ms = entry.expiry_ms();
            let mut line = format!("{db} {key} {expiry_ms:?} {sum:x}");
            if encodings {
                // A number and its digits are one value, in two encodings.
                line += &format!(" {} {}", value.encoding_name(), describe(value));
            }
            all.push(line);
        }
    }
    all.sort();
    all
}

pub(super) fn close(log: &Log) {
    log.begin_close();
    log.settle();
    log.close().expect("nothing fails here");
}

pub(super) struct World {
    pub(super) disk: SimDisk,
    clock: Arc<SimClock>,
    pub(super) engine: Engine,
    client: Client,
    /// What was there at each LSN.
    states: BTreeMap<Lsn, Vec<String>>,
    /// A base was begun since the last start: it does not tell all encodings.
    pub(super) has_new_base: bool,
    starts: u64,
}

impl World {
    pub(super) fn new() -> Self {
        let (disk, clock) = (SimDisk::new(), SimClock::new(1_700_000_000_000));
        let engine = open(&disk, &clock, 0).0;
        let (client, states) = (Client::default(), BTreeMap::new());
        let mut world =
            Self { disk, clock, engine, client, states, has_new_base: false, starts: 0 };
        world.note();
        world
    }

    pub(super) fn log(&self) -> Arc<Log> {
        self.engine.log().expect("there is one")
    }

    /// From now on, only what is there at the end of units counts.
    pub(super) fn note_contents(&mut self) {
        self.states.clear();
        self.note();
    }

    fn note(&mut self) {
        let lsn = self.engine.lock().lsn();
        self.states.insert(lsn, contents(&self.engine, !self.has_new_base));
    }

    fn line(&mut self, line: &str) {
        let args = words(line);
        let mut guard = self.engine.lock();
        self.client.execute(&mut guard, args.as_args(), &mut Output::default());
        if let Some(blocked) = self.client.session.blocked.take() {
            guard.take_wait_reply(&blocked);
        }
    }

    pub(super) fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Command(line) => self.line(line),
            Step::Transaction(lines) => {
                self.line("MULTI");
                lines.iter().for_each(|line| self.line(line));
                self.line("EXEC");
            }
            Step::Pause(ms) => self.clock.advance_us(ms * 1000),
            Step::Expire => while self.engine.lock().expire_slice() {},
            Step::Sync => {
                self.log().request_sync();
                self.log().settle();
            }
            Step::Base => {
                let old = self.engine.lock().end_log().expect("there is one");
                close(&old);
                drop(old);
                self.engine.lock().begin_log(Path::new("d"), options()).expect("begun");
                self.states.clear();
                self.has_new_base = true;
            }
            Step::Restart(end) => return self.restart(*end),
        }
        self.note();
        Ok(())
    }

    pub(super) fn restart(&mut self, end: End) -> Result<(), TestCaseError> {
        let log = self.log();
        let disk = match end {
            End::Close => {
                close(&log);
                self.disk.snapshot().after_kill()
            }
            End::Kill => {
                log.drain();
                self.disk.snapshot().after_kill()
            }
            End::PowerCut(seed) => {
                log.drain();
                let mut random = seeded_random(seed);
                self.disk.snapshot().after_power_cut(|| random() & 1 == 0)
            }
        };
        let (durable, appended) = (log.durable_lsn(), log.appended_lsn());
        self.starts += 1;
        let (engine, lsn) = open(&disk, &self.clock, self.starts);
        prop_assert!((durable..=appended).contains(&lsn), "{durable} <= {lsn} <= {appended}");
        if !matches!(end, End::PowerCut(_)) {
            prop_assert_eq!(lsn, appended);
        }
        let expected = self.states.get(&lsn).expect("the end of a unit");
        prop_assert_eq!(&contents(&engine, !self.has_new_base), expected);
        (self.disk, self.engine, self.client) = (disk, engine, Client::default());
        self.has_new_base = false;
        self.states.clear();
        self.note();
        Ok(())
    }
}

pub(super) fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        compression_bytes_min: Some(64),
        durability: Durability::EverySec,
        ..Options::default()
    }
}

pub(super) fn open(disk: &SimDisk, clock: &Arc<SimClock>, start: u64) -> (Engine, Lsn) {
    let (machine, dir) = (machine(disk, clock, start), Path::new("d"));
    let (engine, recovery) = Engine::open(machine, dir, DATABASES, settings(), options())
        .expect("what was written is recovered");
    (engine, recovery.lsn)
}

fn machine(disk: &SimDisk, clock: &Arc<SimClock>, start: u64) -> Machine {
    let calls = AtomicU64::new(0);
    Machine {
        disk: Arc::new(disk.clone()),
        clock: clock.clone(),
        // Another hash function with every start, and other numbers for each data set.
        random: Arc::new(move || {
            seeded_random(start << 32 | calls.fetch_add(1, Ordering::Relaxed))
        }),
    }
}

pub(super) fn settings() -> Settings {
    let mut settings = Settings::default();
    let limits = &mut settings.limits;
    // Collections change their encoding after a few elements.
    limits.list_listpack_size = 4;
    limits.set_intset_entries = 5;
    limits.set_listpack_entries = 4;
    limits.hash_listpack_entries = 6;
    limits.sorted_set_listpack_entries = 4;
    limits.sorted_set_listpack_value_bytes = 20;
    limits.stream_node_entries = 4;
    settings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_start_finds_what_was_there(
        steps in prop::collection::vec(step(), 1..150),
        last in end(),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.step(step)?;
        }
        world.restart(last)?;
        world.restart(End::Close)?;
    }
}

/// Makes the `first`-th operation (counted from 0) and the `count` - 1 behind it fail. Gives how many were tried.
fn fail_some(disk: &SimDisk, first: u64, count: u64) -> Arc<AtomicU64> {
    let tried = Arc::new(AtomicU64::new(0));
    let counter = tried.clone();
    disk.inject(move |_| {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        (first..first + count).contains(&number).then(|| io::Error::other("injected"))
    });
    tried
}

/// What a start finds on `disk`, as it is and as power cuts may leave it.
fn found(world: &World, disk: &SimDisk) -> Vec<Vec<String>> {
    let snapshot = disk.snapshot();
    let mut random = seeded_random(1);
    let disks = [
        snapshot.after_kill(),
        snapshot.after_power_cut(|| false),
        snapshot.after_power_cut(|| true),
        snapshot.after_power_cut(|| random() & 1 == 0),
    ];
    disks.iter().map(|disk| contents(&open(disk, &world.clock, 9).0, false)).collect()
}

/// An engine whose log was ended, with what a start would find instead of what it holds.
fn ended(had_log: bool) -> (World, Vec<String>) {
    let mut world = World::new();
    if !had_log {
        // Nobody has written the log that is there.
        world.disk = SimDisk::new();
        world.engine =
            Engine::in_memory(machine(&world.disk, &world.clock, 0), DATABASES, settings());
        world.line("SET after 1");
        return (world, Vec::new());
    }
    world.line("SET before 1");
    let before = contents(&world.engine, false);
    close(&world.engine.lock().end_log().expect("there is one"));
    world.line("SET after 1");
    (world, before)
}

fn begin(world: &World) -> Result<(), String> {
    let begun = world.engine.lock().begin_log(Path::new("d"), options());
    begun.map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_log_that_cannot_begin_leaves_what_was_there_and_can_begin_later() {
    for had_log in [false, true] {
        // One failure, and so many that nothing can be put back.
        for count in [1, 2, 3, 4, 100] {
            let (mut fails, mut unsettled) = (0, 0);
            for first in 0.. {
                let (world, before) = ended(had_log);
                let tried = fail_some(&world.disk, first, count);
                let begun = begin(&world);
                world.disk.inject(|_| None);
                let now = contents(&world.engine, false);
                let Err(error) = begun else {
                    assert!(found(&world, &world.disk).iter().all(|found| *found == now));
                    if tried.load(Ordering::Relaxed) <= first {
                        break;
                    }
                    continue;
                };
                fails += 1;
                assert!(error.contains("injected"), "{error}");
                let may_be_active = error.contains("Restoring the previous data set failed");
                unsettled += u64::from(may_be_active);
                for found in found(&world, &world.disk) {
                    assert!(
                        found == before || may_be_active && found == now,
                        "{had_log}, {count} from {first} on, {error}: {found:?}"
                    );
                }
                begin(&world).unwrap_or_else(|error| panic!("{count} from {first} on: {error}"));
                assert!(found(&world, &world.disk).iter().all(|found| *found == now));
                let names = world.disk.list(Path::new("d")).expect("listed");
                let files = names.iter().filter(|name| name.ends_with(".log")).count();
                assert_eq!(files, 2, "{count} from {first} on: {names:?}");
            }
            assert!(fails > 10, "a beginning needs more than {fails} operations");
            assert_eq!(unsettled > 0, count > 1, "{count}");
        }
    }
}

#[test]
fn a_log_whose_close_failed_can_be_followed_by_another_and_is_found_until_then() {
    for count in [1, 100] {
        for first in 0.. {
            let mut world = World::new();
            world.line("SET before 1");
            let before = contents(&world.engine, false);
            let log = world.engine.lock().end_log().expect("there is one");
            log.begin_close();
            log.settle();
            let tried = fail_some(&world.disk, first, count);
            let closed = log.close();
            world.disk.inject(|_| None);
            assert!(found(&world, &world.disk).iter().all(|found| *found == before));
            world.line("SET after 1");
            begin(&world).unwrap_or_else(|error| panic!("{count} from {first} on: {error}"));
            let now = contents(&world.engine, false);
            assert!(found(&world, &world.disk).iter().all(|found| *found == now));
            if tried.load(Ordering::Relaxed) <= first {
                closed.expect("nothing has failed");
                assert!(first > 4, "a close needs more than {first} operations");
                break;
            }
        }
    }
}

/// The progress of a load that ends at `lsn`, in percent.
fn percent_at(disk: &SimDisk, clock: &Arc<SimClock>, lsn: Lsn) -> u64 {
    let view = View::open(disk, Path::new("d")).expect("it can be read");
    let (until, progress) = (Until { lsn, ..Until::END }, Arc::default());
    let (machine, history) = (machine(disk, clock, 9), view.manifest());
    Engine::read(machine, &view, history, until, DATABASES, settings(), &progress).expect("read");
    progress.loaded_bytes() * 100 / progress.total_bytes()
}

#[test]
fn the_progress_of_a_load_counts_bytes_as_they_lie_in_the_files() {
    let mut world = World::new();
    // Of this nearly nothing is left once it is compressed.
    for key in 0..50 {
        world.line(&format!("SET a{key} {}", "x".repeat(20_000)));
    }
    let middle = world.engine.lock().lsn();
    // What is written at once may be one frame.
    world.step(&Step::Sync).expect("synced");
    let mut random = seeded_random(1);
    for key in 0..100 {
        let digits: String = (0..200).map(|_| format!("{:016x}", random())).collect();
        world.line(&format!("SET b{key} {digits}"));
    }
    world.step(&Step::Sync).expect("synced");
    let disk = world.disk.snapshot().after_kill();
    assert!(percent_at(&disk, &world.clock, middle) < 10);
    assert!(percent_at(&disk, &world.clock, Lsn::MAX) > 95);

    // The room behind the end of the last segment is not to be read.
    let (disk, clock) = (SimDisk::new(), SimClock::new(1_700_000_000_000));
    let (engine, _) = open(&disk, &clock, 0);
    engine.log().expect("there is one").drain();
    let disk = disk.snapshot().after_kill();
    let (machine, progress) = (machine(&disk, &clock, 1), Arc::default());
    let (dir, options) = (Path::new("d"), options());
    let opened = Engine::open_watched(machine, dir, DATABASES, settings(), options, &progress);
    opened.expect("opened");
    assert!(progress.total_bytes() <= 8192, "{}", progress.total_bytes());
}
