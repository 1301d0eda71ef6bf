//! Crashes at every operation of the disk, and at every operation of the recoveries from them.

use super::world::{Config, Known, Model, World, check_no_strays, digest, open};
use super::{in_parallel, scaled, seeds};
use mainstay::disk::SimDisk;
use mainstay::disk::sim::{Operation, Snapshot};
use mainstay::engine::Engine;
use mainstay::env::{SimClock, seeded_random};
use mainstay::log::segment::{self, NameKind};
use mainstay::log::{Durability, Lsn};
use parking_lot::Mutex;
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The log is compacted when it has more segments than this: a start has little to read then, so that one can be made at
/// every moment of a long history.
const SEGMENTS_MAX: usize = 2;

/// Under `everysec` a power cut takes at most this much of what was acknowledged.
const LOSS_US_MAX: u64 = 1_000_000;

/// The disk behind one operation, and what the world knew then.
pub struct Moment {
    pub snapshot: Snapshot,
    /// How many replies had left.
    known: usize,
    at_us: u64,
    pub operation: Operation,
}

/// Takes a [`Moment`] at every operation.
pub fn record(world: &World) -> Arc<Mutex<Vec<Moment>>> {
    let moments = Arc::new(Mutex::new(Vec::new()));
    let (model, clock, kept) = (world.model.clone(), world.clock.clone(), moments.clone());
    world.disk.observe(move |operation, disk| {
        kept.lock().push(Moment {
            snapshot: disk.snapshot(),
            known: model.lock().known.len(),
            at_us: mainstay::env::Clock::monotonic_us(&*clock),
            operation: operation.clone(),
        });
    });
    moments
}

/// How a machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed.
    Kill,
    /// The power fails, and nothing unsynced is kept.
    LosesAll,
    /// The power fails, and everything unsynced happens to be kept.
    KeepsAll,
    /// The power fails, and this seed decides what is kept.
    Random(u64),
}

impl Crash {
    pub fn disk(self, snapshot: &Snapshot) -> SimDisk {
        match self {
            Self::Kill => snapshot.after_kill(),
            Self::LosesAll => snapshot.after_power_cut(|| false),
            Self::KeepsAll => snapshot.after_power_cut(|| true),
            Self::Random(seed) => {
                let mut random = seeded_random(seed);
                // Some cuts lose nearly everything, some hardly anything.
                let share = 1 + random() % 7;
                snapshot.after_power_cut(|| random() % 8 < share)
            }
        }
    }
}

#[derive(Default)]
struct Counts {
    recoveries: AtomicU64,
    nested: AtomicU64,
    cuts: AtomicU64,
}

/// A workload that ran, to be crashed at every moment.
pub struct History {
    config: Config,
    pub moments: Vec<Moment>,
    model: Model,
    counts: Counts,
}

/// What a recovery must give, and how to name it if it does not.
#[derive(Clone, Copy)]
struct Expected<'a> {
    history: &'a History,
    moment: &'a Moment,
    crash: Crash,
    /// In a nested crash: the operation of the recovery, and how that ended.
    nested: Option<(usize, Crash)>,
}

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, durability) = (self.history.config.seed, self.history.config.durability);
        let (operation, crash) = (&self.moment.operation, self.crash);
        write!(f, "MAINSTAY_TEST_SEED={seed}, {durability:?}: {crash:?} after {operation:?}")?;
        match self.nested {
            Some((at, crash)) => write!(f, ", then {crash:?} at operation {at} of the recovery"),
            None => Ok(()),
        }
    }
}

impl Expected<'_> {
    /// Asserts that what was recovered up to `lsn` is enough.
    fn check_lsn(&self, lsn: Lsn) {
        let known = &self.history.model.known[..self.moment.known];
        let highest = |which: &dyn Fn(&&Known) -> bool| {
            known.iter().filter(which).map(|known| known.lsn).max().unwrap_or(0)
        };
        let killed = |crash| crash == Crash::Kill;
        if killed(self.crash) && self.nested.is_none_or(|(_, crash)| killed(crash)) {
            let needed = highest(&|_| true);
            assert!(lsn >= needed, "{self}: LSN {needed} was acknowledged, {lsn} is left");
            return;
        }
        let needed = highest(&|known| known.durability == Durability::Always);
        assert!(lsn >= needed, "{self}: LSN {needed} was acknowledged or shown, {lsn} is left");

        let lost = known.iter().filter(|known| {
            known.durability == Durability::EverySec && known.acknowledged && known.lsn > lsn
        });
        let times: Vec<u64> = lost.map(|known| known.at_us).collect();
        let (first, last) = (times.iter().min(), times.iter().max());
        let (Some(first), Some(last)) = (first, last) else { return };
        let span = last - first;
        assert!(span <= LOSS_US_MAX, "{self}: what was acknowledged during {span} µs is lost");
        // As long as no sync takes longer than half a second, that second ends with the crash.
        let config = &self.history.config;
        let calm = self.moment.at_us.saturating_sub(LOSS_US_MAX + LOSS_US_MAX / 2);
        let long = &self.history.model.long_syncs;
        let is_calm = !config.switches
            && config.durability == Durability::EverySec
            && !long.iter().any(|(began, end)| *began <= self.moment.at_us && *end >= calm);
        let age = self.moment.at_us - first;
        assert!(!is_calm || age <= LOSS_US_MAX, "{self}: lost {age} µs after it was acknowledged");
    }
}

impl History {
    /// Ends the recording of `world`.
    pub fn new(world: &World, moments: &Mutex<Vec<Moment>>) -> Self {
        Self {
            config: world.config.clone(),
            moments: std::mem::take(&mut moments.lock()),
            model: world.model.lock().clone(),
            counts: Counts::default(),
        }
    }

    /// Crashes at every moment in every way. After every `write_every`-th recovery more is written and
    /// crashed, and every `nested_every`-th recovery is itself crashed at every operation.
    pub fn crash_everywhere(&self, random_crashes: u64, write_every: usize, nested_every: usize) {
        let indexes: Vec<usize> = (0..self.moments.len()).collect();
        in_parallel(&indexes, |&index| {
            let moment = &self.moments[index];
            let mut random = seeded_random(self.config.seed ^ (index as u64) << 20);
            let crashes = [Crash::Kill, Crash::LosesAll, Crash::KeepsAll];
            // Here a part of what is unsynced decides which files count.
            let is_replacing = matches!(moment.operation, Operation::Rename(_));
            let random_crashes = random_crashes + if is_replacing { 6 } else { 0 };
            let more = (0..random_crashes).map(|_| Crash::Random(random()));
            for (number, crash) in crashes.into_iter().chain(more).enumerate() {
                let expected = Expected { history: self, moment, crash, nested: None };
                let nth = |every| (index + number).is_multiple_of(every);
                self.crash_once(expected, nth(write_every), nth(nested_every));
            }
        });
    }

    fn recover(&self, disk: &SimDisk, expected: Expected<'_>) -> (Engine, Lsn) {
        let clock = SimClock::new(expected.moment.at_us as i64 / 1000);
        // An identity is never used twice: the seed differs from that of the workload.
        let seed = !self.config.seed ^ disk.operations();
        let opened = open(disk, &clock, self.config.options(), seed);
        let (engine, recovery) = match opened {
            Ok(opened) => opened,
            Err(error) => panic!("{expected}: {error}"),
        };
        self.counts.cuts.fetch_add(u64::from(recovery.cut.is_some()), Ordering::Relaxed);
        let lsn = recovery.lsn;
        let found = digest(engine.lock().keyspace());
        let of_prefix = self.model.digest_at(lsn);
        assert_eq!(of_prefix, Some(found), "{expected}: LSN {lsn} is no prefix of what was done");
        expected.check_lsn(lsn);
        check_no_strays(disk, &expected);
        (engine, lsn)
    }

    fn crash_once(&self, expected: Expected<'_>, writes: bool, nests: bool) {
        let disk = expected.crash.disk(&expected.moment.snapshot);
        let during = Arc::new(Mutex::new(Vec::new()));
        if nests {
            let kept = during.clone();
            disk.observe(move |_, disk| kept.lock().push(disk.snapshot()));
        }
        let (engine, lsn) = self.recover(&disk, expected);
        disk.observe(|_, _| {});
        self.counts.recoveries.fetch_add(1, Ordering::Relaxed);
        if writes {
            let at_us = expected.moment.at_us;
            let count = write_on(&self.model, &self.config, disk, engine, lsn, at_us, &expected);
            self.counts.recoveries.fetch_add(count, Ordering::Relaxed);
        }
        let during = std::mem::take(&mut *during.lock());
        for (at, snapshot) in during.iter().enumerate() {
            let random = Crash::Random(lsn ^ (at as u64) << 32);
            for crash in [Crash::Kill, Crash::LosesAll, random] {
                let expected = Expected { nested: Some((at, crash)), ..expected };
                self.recover(&crash.disk(snapshot), expected);
                self.counts.nested.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub fn print(&self, name: &str, world: &World) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Written past the test runner, which keeps what is printed to itself.
        let _ = writeln!(
            std::io::stderr(),
            "{name}, seed {}: {} units, {} syncs, {} rolls; {} crash points, {} recoveries \
             ({} of them cut), {} recoveries from crashes during recovery",
            self.config.seed,
            self.model.units.len(),
            world.log.stats().syncs,
            rolls(&self.moments),
            self.moments.len(),
            count(&self.counts.recoveries),
            count(&self.counts.cuts),
            count(&self.counts.nested),
        );
    }
}

/// Writes one more unit into a log that was recovered up to `lsn`, which takes exactly the place of what
/// was discarded, and crashes before and after it is durable: what was discarded never comes back.
/// Gives the number of recoveries.
pub fn write_on(
    model: &Model,
    config: &Config,
    disk: SimDisk,
    engine: Engine,
    lsn: Lsn,
    at_us: u64,
    what: &dyn fmt::Display,
) -> u64 {
    let model = model.recovered(lsn, engine.lock().keyspace());
    let clock = SimClock::new(at_us as i64 / 1000);
    let config = &Config { long_syncs: false, ..config.clone() };
    let mut world = World::with(config.clone(), disk, clock, engine, model);
    world.generation = b'z';
    let units = world.model.lock().units.len() + 1;
    while world.model.lock().units.len() < units {
        world.next_batch(0);
    }
    world.log.drain();
    let after = |world: &World, crash: Crash, at_least: Lsn| {
        let disk = crash.disk(&world.disk.snapshot());
        let (engine, recovery) = match open(&disk, &world.clock, world.config.options(), lsn ^ 77) {
            Ok(opened) => opened,
            Err(error) => panic!("{what}, and {crash:?} after one more unit: {error}"),
        };
        let found = digest(engine.lock().keyspace());
        let of_prefix = world.model.lock().digest_at(recovery.lsn);
        assert_eq!(
            of_prefix,
            Some(found),
            "{what}, and {crash:?} after one more unit: at LSN {} is something else than was \
             written after the restart at LSN {lsn}",
            recovery.lsn
        );
        let found = recovery.lsn;
        assert!(found >= at_least, "{what}, and {crash:?}: {found} is below {at_least}");
        check_no_strays(&disk, &what);
    };
    // Whatever was recovered is durable before anybody sees it.
    after(&world, Crash::LosesAll, lsn);
    after(&world, Crash::Random(lsn), lsn);
    after(&world, Crash::Kill, lsn);
    world.sync();
    let lsn = world.model.lock().lsn();
    after(&world, Crash::LosesAll, lsn);
    if !config.compacts {
        return 4;
    }
    world.compact().unwrap_or_else(|error| panic!("{what}, and a compaction: {error}"));
    after(&world, Crash::LosesAll, lsn);
    world.sync();
    let lsn = world.model.lock().lsn();
    after(&world, Crash::LosesAll, lsn);
    6
}

/// How often a new segment was begun since the recording began.
fn rolls(moments: &[Moment]) -> usize {
    let begins = |moment: &&Moment| {
        // A segment is begun by writing its header.
        let Operation::Write { path, offset: 0, len: segment::HEADER_BYTES } = &moment.operation
        else {
            return false;
        };
        let name = path.file_name().and_then(|name| name.to_str()).and_then(segment::parse_name);
        matches!(name, Some((NameKind::Segment, _)))
    };
    moments.iter().filter(begins).count()
}

/// Runs a workload of the size that is asked for and crashes it everywhere.
fn crash_a_workload(name: &str, config: Config) {
    let mut world = World::new(config);
    let moments = record(&world);
    let (syncs_min, rolls_min) = scaled((100, 2), (1000, 20));
    while world.log.stats().syncs < syncs_min || rolls(&moments.lock()) < rolls_min {
        let units = world.model.lock().units.len();
        world.run(units + 10);
        if world.log.sizes().0 > SEGMENTS_MAX {
            world.compact().expect("the disk is sound");
        }
    }
    world.settle();
    world.check_in_memory();
    let history = History::new(&world, &moments);
    let acknowledged = history.model.known.iter().filter(|known| known.acknowledged).count();
    let shown = history.model.known.len() - acknowledged;
    let units = history.model.units.len();
    assert!(acknowledged == units && shown > units / 20, "{shown} shown");
    history.crash_everywhere(scaled(1, 4), scaled(4, 1), scaled(60, 1));
    history.print(name, &world);
}

#[test]
fn always_loses_nothing_acknowledged_and_nothing_shown() {
    for seed in seeds(1..2) {
        crash_a_workload("always", Config::new(seed, Durability::Always));
    }
}

#[test]
fn everysec_loses_at_most_the_last_second_however_long_syncs_take() {
    for seed in seeds(2..3) {
        crash_a_workload("everysec", Config::new(seed, Durability::EverySec));
    }
}

#[test]
fn no_keeps_a_prefix() {
    for seed in seeds(3..4) {
        crash_a_workload("no", Config::new(seed, Durability::No));
    }
}

#[test]
fn a_change_of_mode_keeps_every_promise_already_given() {
    for seed in seeds(4..5) {
        let config = Config { switches: true, ..Config::new(seed, Durability::Always) };
        crash_a_workload("changing modes", config);
    }
}
