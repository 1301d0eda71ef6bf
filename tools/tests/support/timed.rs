//! Data sets that are written with the library, at times that the test decides.
#![allow(dead_code)] // No test file uses all of it.

use mainstay::commands::Settings;
use mainstay::disk::RealDisk;
use mainstay::engine::{Engine, Machine};
use mainstay::env::{SimClock, seeded_random};
use mainstay::log::{Durability, Log, Options};
use mainstay::resp::Output;
use mainstay::resp::args::OwnedArgs;
use mainstay::session::Client;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where its clock begins, as Unix time in ms.
pub const START_MS: i64 = 1_700_000_000_000;

/// How many databases there are.
pub const DATABASES: usize = 16;

/// Real files, and a clock and randomness that the test decides.
pub fn machine(clock: Arc<SimClock>, seed: u64) -> Machine {
    let random = move || seeded_random(seed);
    Machine { disk: Arc::new(RealDisk), clock, random: Arc::new(random) }
}

/// A data set that is being written.
pub struct DataSet {
    /// Tells the time.
    pub clock: Arc<SimClock>,
    /// What executes its commands.
    pub engine: Engine,
    client: Client,
    dir: PathBuf,
}

impl DataSet {
    /// A new one in `dir`, whose clock begins at `start_ms`.
    pub fn create(dir: &Path, start_ms: i64) -> Self {
        let options = Options {
            segment_bytes: 4 << 20,
            durability: Durability::EverySec,
            ..Options::default()
        };
        Self::open(dir, SimClock::new(start_ms), options, 1)
    }

    /// The one in `dir`, or a new one.
    pub fn open(dir: &Path, clock: Arc<SimClock>, options: Options, seed: u64) -> Self {
        let machine = machine(clock.clone(), seed);
        let opened = Engine::open(machine, dir, DATABASES, Settings::default(), options);
        Self::of(dir, clock, opened.expect("a sound data set, or none").0)
    }

    /// That of an engine that has its log in `dir`.
    pub fn of(dir: &Path, clock: Arc<SimClock>, engine: Engine) -> Self {
        Self { clock, engine, client: Client::default(), dir: dir.into() }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs a command; gives its reply.
    pub fn reply(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let args = OwnedArgs::from_slices(args);
        let mut reply = Output::default();
        self.client.execute(&mut self.engine.lock(), args.as_args(), &mut reply);
        reply.to_vec()
    }

    /// Runs a command, which must not fail.
    pub fn run(&mut self, args: &[&[u8]]) {
        let reply = self.reply(args);
        assert!(!reply.starts_with(b"-"), "{}", reply.escape_ascii());
    }

    /// Runs a command whose words are divided by blanks.
    pub fn line(&mut self, line: &str) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.run(&words);
    }

    /// Writes what was executed, in frames of its own, and syncs it.
    pub fn sync(&self) {
        let log = self.log();
        log.drain();
        log.request_sync();
        log.settle();
    }

    /// Closes the log as a server does that is stopped.
    pub fn close(&self) {
        let log = self.log();
        log.begin_close();
        log.settle();
        log.close().expect("nothing fails here");
    }

    /// The log.
    pub fn log(&self) -> Arc<Log> {
        self.engine.log().expect("there is one")
    }

    /// Whether commands are being queued.
    pub fn in_transaction(&self) -> bool {
        self.client.session.in_transaction()
    }
}
