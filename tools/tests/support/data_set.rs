//! Data sets that are written with the library, at times that the test decides, beside a model of what they held when.
#![allow(dead_code)] // No test file uses all of it.

#[allow(clippy::duplicate_mod)] // A test may use the rest of the support as well, which has it too.
#[path = "timed.rs"]
mod timed;

use mainstay::commands::Settings;
use mainstay::data::Value;
use mainstay::data::digest::digest;
use mainstay::disk::RealDisk;
use mainstay::engine::Engine;
use mainstay::engine::compact::{BASE_FORMAT, compact};
use mainstay::env::{Clock, Random, SimClock, seeded_random};
use mainstay::log::{Durability, Lsn, Options, Retention, Until, View};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
pub use timed::START_MS;
use timed::{DATABASES, machine};

/// Everything in a keyspace: by database and key, the expiry time and a digest of the value.
pub type Contents = BTreeMap<(usize, Vec<u8>), (Option<i64>, u128)>;

/// What an engine holds, keys that have expired included.
pub fn contents(engine: &Engine) -> Contents {
    let guard = engine.lock();
    let databases = guard.keyspace().databases();
    let entries =
        databases.flat_map(|(db, database)| database.iter().map(move |entry| (db, entry)));
    let line = |(db, entry): (usize, mainstay::keyspace::Entry<'_>)| {
        ((db, entry.key().to_vec()), (entry.expiry_ms(), digest(entry.value())))
    };
    entries.map(line).collect()
}

/// When the first key or field expires.
fn due_ms(engine: &Engine) -> Option<i64> {
    let guard = engine.lock();
    let entries = guard.keyspace().databases().flat_map(|(_, database)| database.iter());
    let times = entries.flat_map(|entry| {
        let field = match entry.value() {
            Value::Hash(hash) => hash.iter().filter_map(|field| field.expiry_ms).min(),
            _ => None,
        };
        [entry.expiry_ms(), field]
    });
    times.flatten().min()
}

/// What was there at a moment.
#[derive(Clone, Debug)]
pub struct State {
    /// Behind the last command.
    pub lsn: Lsn,
    /// When that was written, as Unix time in ms.
    pub time_ms: u64,
    /// What there was.
    pub contents: Contents,
}

/// How a data set is written.
pub fn options(retention: Retention) -> Options {
    Options {
        segment_bytes: 64 << 10,
        compression_bytes_min: Some(512),
        durability: Durability::EverySec,
        retention,
        ..Options::default()
    }
}

/// What the data set in a directory holds, read without changing anything, with its functions.
pub fn read(dir: &Path) -> (Engine, Lsn) {
    let view = View::open(&RealDisk, dir).expect("a data set");
    let machine = machine(SimClock::new(START_MS), 99);
    let (settings, progress) = (Settings::default(), Default::default());
    let read =
        Engine::read(machine, &view, view.manifest(), Until::END, DATABASES, settings, &progress);
    let (engine, recovery) = read.expect("a sound data set");
    (engine, recovery.lsn)
}

/// A data set that is being written.
pub struct DataSet {
    set: timed::DataSet,
    /// What was there behind each unit.
    pub units: Vec<State>,
    /// What was there behind each batch, which has frames of its own.
    pub batches: Vec<State>,
    /// LSNs strictly between which keys or fields may have expired one by one, before a command or without one.
    pub expiring: Vec<(Lsn, Lsn)>,
    /// When the first of what is there expires.
    due_ms: Option<i64>,
    random: Random,
    retention: Retention,
    starts: u64,
}

impl Deref for DataSet {
    type Target = timed::DataSet;

    fn deref(&self) -> &Self::Target {
        &self.set
    }
}

impl DataSet {
    /// A new one in `dir`.
    pub fn create(dir: &Path, retention: Retention, seed: u64) -> Self {
        let set = timed::DataSet::open(dir, SimClock::new(START_MS), options(retention), seed);
        Self::of(set, retention, seed)
    }

    /// A new one in `dir` that begins with a library of functions.
    pub fn with_function(dir: &Path, retention: Retention, seed: u64, source: &[u8]) -> Self {
        let clock = SimClock::new(START_MS);
        let engine =
            Engine::in_memory(machine(clock.clone(), seed), DATABASES, Settings::default());
        engine.lock().put_function(source, false).expect("a library");
        engine.lock().begin_log(dir, options(retention)).expect("an empty directory");
        Self::of(timed::DataSet::of(dir, clock, engine), retention, seed)
    }

    fn of(set: timed::DataSet, retention: Retention, seed: u64) -> Self {
        let mut set = Self {
            set,
            units: Vec::new(),
            batches: Vec::new(),
            expiring: Vec::new(),
            due_ms: None,
            random: seeded_random(seed),
            retention,
            starts: 0,
        };
        set.note_unit();
        set.batches.push(set.units[0].clone());
        set
    }

    /// The time, as Unix time in ms.
    pub fn now_ms(&self) -> u64 {
        self.clock.unix_ms() as u64
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.random)() % bound
    }

    /// Lets time pass.
    pub fn pass_ms(&mut self, ms: u64) {
        self.clock.advance_us(ms * 1000);
    }

    /// Runs a command, which must not fail.
    pub fn run(&mut self, args: &[&[u8]]) {
        let reply = self.set.reply(args);
        // What fails because a key has another type is part of a random workload.
        let fails = reply.starts_with(b"-") && !reply.starts_with(b"-WRONGTYPE");
        assert!(!fails, "{}", reply.escape_ascii());
        if !self.set.in_transaction() {
            self.note_unit();
        }
    }

    /// Runs a command whose words are divided by blanks.
    pub fn line(&mut self, line: &str) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.run(&words);
    }

    fn note_unit(&mut self) {
        let (lsn, time_ms) = (self.engine.lock().lsn(), self.now_ms());
        if let Some(before) = self.units.last()
            && self.due_ms.is_some_and(|due_ms| due_ms as u64 <= time_ms)
        {
            self.expiring.push((before.lsn, lsn));
        }
        self.due_ms = due_ms(&self.engine);
        self.units.push(State { lsn, time_ms, contents: contents(&self.engine) });
    }

    /// Deletes what has expired.
    pub fn expire(&mut self) {
        while self.engine.lock().expire_slice() {}
        self.note_unit();
    }

    /// Writes what was executed, in frames of its own, and syncs it.
    pub fn sync(&mut self) {
        self.set.sync();
        self.log().prepare();
        let state = self.units.last().expect("there is one").clone();
        self.batches.push(State { time_ms: self.now_ms(), ..state });
    }

    /// A batch of random commands at one time, synced at that time.
    pub fn batch(&mut self, commands: u64) {
        let ms = 1 + self.below(400);
        self.pass_ms(ms);
        if self.below(3) == 0 {
            self.expire();
        }
        for _ in 0..commands {
            if self.below(12) == 0 {
                self.line("MULTI");
                for _ in 0..1 + self.below(4) {
                    self.random_command();
                }
                self.line("EXEC");
            } else {
                self.random_command();
            }
        }
        self.sync();
    }

    fn random_command(&mut self) {
        let (n, key) = (self.below(1000), self.below(12));
        let soon_ms = self.now_ms() + 1 + self.below(3000);
        let line = match self.below(32) {
            0..=2 => format!("SELECT {}", [0, 0, 3, 9][n as usize % 4]),
            3 | 4 => format!("SET s{key} value:{n}"),
            5 | 6 => format!("SET s{key} {n} PXAT {soon_ms}"),
            7 => format!("APPEND s{key} {}", "x".repeat(n as usize)),
            8 => format!("INCR counter{key}"),
            9 | 10 => format!("RPUSH l{key} {}", many(n, "e")),
            11 => format!("LPOP l{key} {}", 1 + n % 5),
            12 | 13 => format!("SADD set{key} {}", many(n, "m")),
            14 => format!("SPOP set{key} {}", 1 + n % 3),
            15 | 16 => format!("ZADD z{key} {}", many(n, "1.5 m")),
            17 => format!("ZREMRANGEBYRANK z{key} 0 {}", n % 3),
            18 | 19 => format!("HSET h{key} {}", many(n, "v f")),
            20..=22 => format!("HPEXPIREAT h{key} {soon_ms} FIELDS 2 {} {}", n % 7, n % 5),
            23 => format!("HDEL h{key} {}", n % 7),
            24 => format!("XADD x{key} * field {n}"),
            25 => format!("XTRIM x{key} MAXLEN {}", n % 5),
            26 => format!("PFADD p{key} {}", many(n, "e")),
            27 | 28 => {
                let kind = ["s", "l", "set", "z", "h", "x", "p"][n as usize % 7];
                format!("PEXPIREAT {kind}{key} {soon_ms}")
            }
            29 => format!("DEL s{key} l{key} h{}", n % 12),
            30 if n % 10 == 0 => "FLUSHDB".to_owned(),
            30 => format!("COPY h{key} h{} REPLACE", (key + 1 + n % 11) % 12),
            _ => format!("SETRANGE s{key} {} {n}", n % 2000),
        };
        self.line(&line);
    }

    /// Compacts the log, while a batch is written.
    pub fn compact(&mut self) {
        self.clock.advance_us(1000);
        let begun = self.engine.lock().begin_snapshot(BASE_FORMAT).expect("none is running");
        let log = self.log();
        let mut batches = VecDeque::from([5]);
        let done = compact(&log, &begun, &mut || {
            self.engine.lock().save_slice(0);
            if let Some(commands) = batches.pop_front() {
                self.batch(commands);
            }
            log.settle();
        });
        done.expect("compacted");
    }

    /// Compresses what is retired.
    pub fn compress(&mut self) {
        while self.log().compress_retired().expect("compressed").is_some() {}
    }

    /// The server is killed, or stopped, and starts again.
    pub fn restart(self, close: bool) -> Self {
        let Self { set, retention, starts, .. } = self;
        if close {
            set.close();
        }
        let (dir, clock) = (set.dir().to_owned(), set.clock.clone());
        drop(set);
        let set = timed::DataSet::open(&dir, clock, options(retention), 1000 + starts);
        Self { set, starts: starts + 1, ..self }
    }

    /// Stops the server, and gives the model.
    pub fn close(self) -> Model {
        self.set.close();
        self.kill()
    }

    /// Kills the server, and gives the model.
    pub fn kill(self) -> Model {
        let Self { set, units, batches, expiring, .. } = self;
        Model { dir: set.dir().to_owned(), units, batches, expiring }
    }
}

fn many(n: u64, word: &str) -> String {
    let words: Vec<String> = (0..1 + n % 9).map(|at| format!("{word}{}", (n + at) % 7)).collect();
    match word {
        // Pairs: the number behind the blank is a name.
        "v f" => {
            (0..1 + n % 9).map(|at| format!("{} v{n}", (n + at) % 7)).collect::<Vec<_>>().join(" ")
        }
        _ => words.join(" "),
    }
}

/// What a data set held when.
pub struct Model {
    /// Where its files are.
    pub dir: PathBuf,
    /// What was there behind each unit.
    pub units: Vec<State>,
    /// What was there behind each batch.
    pub batches: Vec<State>,
    expiring: Vec<(Lsn, Lsn)>,
}

impl Model {
    /// What was there at a time.
    pub fn at_time(&self, time_ms: u64) -> &State {
        let count = self.batches.partition_point(|state| state.time_ms <= time_ms);
        &self.batches[count.checked_sub(1).expect("a time behind the beginning")]
    }

    /// What was there at an LSN.
    pub fn at_lsn(&self, lsn: Lsn) -> &State {
        let count = self.units.partition_point(|state| state.lsn <= lsn);
        &self.units[count.checked_sub(1).expect("there is one at 0")]
    }

    /// Whether the model knows what was there: not where something expired on the way.
    pub fn knows_lsn(&self, lsn: Lsn) -> bool {
        !self.expiring.iter().any(|&(from, to)| from < lsn && lsn < to)
    }

    /// Behind the last command.
    pub fn end(&self) -> &State {
        self.batches.last().expect("there is one")
    }
}

/// All files below a directory, with their bytes.
pub fn files_below(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).expect("read"));
        }
    }
    found
}

/// The tool, to be run with these arguments.
pub fn tool_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay-tool"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// The tool with these arguments, run to its end, which must have this code: what it has written to its two outputs.
pub fn run_tool(code: i32, arguments: &[&str]) -> (String, String) {
    let Output { status, stdout, stderr } = tool_command(arguments).output().expect("started");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (out, err) = (text(stdout), text(stderr));
    assert_eq!(status.code(), Some(code), "{}\n{out}{err}", arguments.join(" "));
    (out, err)
}
