//! A simulated world: an engine with clients, its log thread and its background thread, on a simulated
//! disk and a simulated clock; beside it a model of what the data must be. One seed decides all of it.

use mainstay::commands::Settings;
use mainstay::disk::{Disk, SimDisk};
use mainstay::engine::compact::{BASE_FORMAT, SnapshotError, compact};
use mainstay::engine::snapshot::Begun;
use mainstay::engine::{Engine, Guard, Machine, Outcome};
use mainstay::env::{Random, SimClock, seeded_random};
use mainstay::keyspace::{Keyspace, Value};
use mainstay::log::manifest::{Manifest, NAME, TEMPORARY_NAME};
use mainstay::log::{
    Action, Durability, Gate, Log, Lsn, OpenError, Options, Passage, Recovery, Retention,
    SyncTicket, segment,
};
use mainstay::session;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::hash::Hasher;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub const DATABASES: usize = 3;
const START_MS: i64 = 1_700_000_000_000;
/// A reply of a client that has this many waiting is awaited before it sends more.
const HELD_MAX: usize = 6;

pub fn dir() -> &'static Path {
    Path::new("data")
}

/// How a world behaves.
#[derive(Clone, Debug)]
pub struct Config {
    pub seed: u64,
    pub durability: Durability,
    pub segment_bytes: u64,
    /// Whether the mode is changed now and then.
    pub switches: bool,
    /// Whether some syncs take 5 s of simulated time.
    pub long_syncs: bool,
    /// Whether what is recovered after a crash is compacted too.
    pub compacts: bool,
    /// How long files are kept that a compaction has replaced.
    pub retention: Retention,
    /// Every value's length is a multiple of nothing in particular below this.
    pub value_bytes_max: u64,
    pub clients: usize,
}

impl Config {
    pub fn new(seed: u64, durability: Durability) -> Self {
        Self {
            seed,
            durability,
            segment_bytes: 16 << 10,
            switches: false,
            long_syncs: durability == Durability::EverySec,
            compacts: false,
            retention: Retention::default(),
            value_bytes_max: 120,
            clients: 3,
        }
    }

    pub fn options(&self) -> Options {
        Options {
            segment_bytes: self.segment_bytes,
            durability: self.durability,
            retention: self.retention,
            ..Options::default()
        }
    }
}

/// One thing that a client asks for.
#[derive(Clone, Debug)]
pub enum Request {
    Set { key: String, value: Vec<u8>, expiry_ms: Option<i64> },
    SetIfAbsent { key: String, value: Vec<u8> },
    Incr { key: String },
    Del { key: String },
    Get { key: String },
    DbSize,
}

impl Request {
    fn words(&self) -> Vec<Vec<u8>> {
        let words: Vec<&[u8]> = match self {
            Self::Set { key, value, expiry_ms: None } => vec![b"SET", key.as_bytes(), value],
            Self::Set { key, value, expiry_ms: Some(at) } => {
                let at = at.to_string();
                let words: [&[u8]; 5] = [b"SET", key.as_bytes(), value, b"PXAT", at.as_bytes()];
                return words.iter().map(|word| word.to_vec()).collect();
            }
            Self::SetIfAbsent { key, value } => vec![b"SET", key.as_bytes(), value, b"NX"],
            Self::Incr { key } => vec![b"INCR", key.as_bytes()],
            Self::Del { key } => vec![b"DEL", key.as_bytes()],
            Self::Get { key } => vec![b"GET", key.as_bytes()],
            Self::DbSize => vec![b"DBSIZE"],
        };
        words.into_iter().map(<[u8]>::to_vec).collect()
    }
}

/// Requests that belong together, and the database they are meant for.
#[derive(Clone, Debug)]
pub struct Batch {
    pub db: usize,
    pub requests: Vec<Request>,
    pub is_transaction: bool,
}

/// Makes batches. What a batch looks like, the lengths of its values included, depends on the seed and
/// its number only; `generation` marks the values, so that a batch made again after a crash takes
/// exactly the place in the log of the one that the crash took, and is still told from it.
pub fn make_batch(seed: u64, number: u64, generation: u8, value_bytes_max: u64) -> Batch {
    let mut random = seeded_random(seed ^ number.wrapping_mul(0x5851_f42d_4c95_7f2d));
    let is_transaction = random().is_multiple_of(3);
    let count = if is_transaction { 2 + random() % 4 } else { 1 };
    let requests = (0..count)
        .map(|index| {
            // Few keys, so that clients read what others have only just written.
            let key = format!("k{:02}", random() % 8);
            let len = match random() % 40 {
                // Beyond the size at which payloads are compressed.
                0 => 4096 + random() % 2048,
                _ => random() % value_bytes_max,
            };
            let mut value = format!("{}-{number:06}-{index}", generation as char).into_bytes();
            value.resize(value.len() + len as usize, b'a' + (number % 26) as u8);
            match random() % 20 {
                0..=6 => Request::Set { key, value, expiry_ms: None },
                7 => Request::Set { key, value, expiry_ms: Some(START_MS + (1 << 40)) },
                8 | 9 => Request::SetIfAbsent { key, value },
                10 | 11 => Request::Incr { key: format!("n{}", random() % 4) },
                12 | 13 => Request::Del { key },
                14..=18 => Request::Get { key },
                _ => Request::DbSize,
            }
        })
        .collect();
    Batch { db: (random() % DATABASES as u64) as usize, requests, is_transaction }
}

fn entry_digest(db: usize, key: &[u8], value: &[u8], expiry_ms: Option<i64>) -> u64 {
    // Its keys are fixed, so that a digest means the same in every run.
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write_usize(db);
    hasher.write_usize(key.len());
    hasher.write(key);
    hasher.write(value);
    hasher.write_i64(expiry_ms.unwrap_or(-1));
    hasher.finish()
}

fn value_bytes(value: Value<'_>) -> Vec<u8> {
    match value {
        Value::Integer(number) => number.to_string().into_bytes(),
        Value::Text { bytes, .. } => bytes.to_vec(),
        other => panic!("the workload makes no {}", other.type_name()),
    }
}

/// One number for everything that a keyspace holds.
pub fn digest(keyspace: &Keyspace) -> u64 {
    let mut sum = 0u64;
    for (db, database) in keyspace.databases() {
        for entry in database.iter() {
            let value = value_bytes(entry.value());
            sum = sum.wrapping_add(entry_digest(db, entry.key(), &value, entry.expiry_ms()));
        }
    }
    sum
}

/// A unit of the history: a command or a transaction that changed something.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The LSN behind it.
    pub lsn: Lsn,
    /// Everything as it is after it.
    pub digest: u64,
    /// The number of the batch that it comes from.
    pub batch: u64,
}

/// A reply that left: the client knows this much.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// When it left.
    pub at_us: u64,
    /// The LSN behind the newest unit that it acknowledged or showed.
    pub lsn: Lsn,
    /// Whether it acknowledged a change; otherwise it only showed something.
    pub acknowledged: bool,
    /// The condition under which it left.
    pub durability: Durability,
}

type Values = BTreeMap<(usize, String), (Vec<u8>, Option<i64>)>;

/// What the data must be, and who knows what of it.
#[derive(Clone, Default)]
pub struct Model {
    values: Values,
    pub digest: u64,
    /// The LSN behind the last change of each key, deletions included.
    pub changed: BTreeMap<(usize, String), Lsn>,
    pub units: Vec<Unit>,
    pub known: Vec<Known>,
    /// Times without a sync that ends soon, because one takes long or the log has failed: when each
    /// began and when it ended.
    pub long_syncs: Vec<(u64, u64)>,
}

impl Model {
    fn put(&mut self, db: usize, key: &str, new: Option<(Vec<u8>, Option<i64>)>) {
        let place = (db, key.to_owned());
        let of = |(value, expiry): &(Vec<u8>, Option<i64>)| {
            entry_digest(db, key.as_bytes(), value, *expiry)
        };
        if let Some(old) = self.values.remove(&place) {
            self.digest = self.digest.wrapping_sub(of(&old));
        }
        if let Some(new) = new {
            self.digest = self.digest.wrapping_add(of(&new));
            self.values.insert(place, new);
        }
    }

    /// Carries out a request. Gives the keys that it changed and those that its reply speaks of, the
    /// reply of a read, and whether it speaks of all keys.
    fn apply(&mut self, db: usize, request: &Request) -> Applied {
        let mut applied = Applied::default();
        match request {
            Request::Set { key, value, expiry_ms } => {
                self.put(db, key, Some((value.clone(), *expiry_ms)));
                applied.changed = Some(key.clone());
            }
            Request::SetIfAbsent { key, value } => {
                applied.looked_at = Some(key.clone());
                if !self.values.contains_key(&(db, key.clone())) {
                    self.put(db, key, Some((value.clone(), None)));
                    applied.changed = Some(key.clone());
                }
            }
            Request::Incr { key } => {
                let old = self.values.get(&(db, key.clone()));
                let old = old.map_or(0, |(value, _)| {
                    String::from_utf8_lossy(value).parse::<i64>().expect("only ever counted")
                });
                self.put(db, key, Some(((old + 1).to_string().into_bytes(), None)));
                applied.changed = Some(key.clone());
            }
            Request::Del { key } => {
                applied.looked_at = Some(key.clone());
                if self.values.contains_key(&(db, key.clone())) {
                    self.put(db, key, None);
                    applied.changed = Some(key.clone());
                }
            }
            Request::Get { key } => {
                applied.looked_at = Some(key.clone());
                applied.reply = Some(match self.values.get(&(db, key.clone())) {
                    Some((value, _)) => {
                        let mut reply = format!("${}\r\n", value.len()).into_bytes();
                        reply.extend_from_slice(value);
                        reply.extend_from_slice(b"\r\n");
                        reply
                    }
                    None => b"$-1\r\n".to_vec(),
                });
            }
            Request::DbSize => {
                let count = self.values.keys().filter(|(in_db, _)| *in_db == db).count();
                applied.reply = Some(format!(":{count}\r\n").into_bytes());
                applied.looked_at_all = true;
            }
        }
        applied
    }

    /// The model of a data set that was recovered up to `lsn` and holds `keyspace`. Everything in it
    /// was durable before anybody saw it, so nobody has anything to wait for.
    pub fn recovered(&self, lsn: Lsn, keyspace: &Keyspace) -> Self {
        let count = self.units.partition_point(|unit| unit.lsn <= lsn);
        let mut model = Self { units: self.units[..count].to_vec(), ..Self::default() };
        for (db, database) in keyspace.databases() {
            for entry in database.iter() {
                let key = String::from_utf8_lossy(entry.key()).into_owned();
                let value = value_bytes(entry.value());
                model.put(db, &key, Some((value, entry.expiry_ms())));
                model.changed.insert((db, key), 0);
            }
        }
        model
    }

    /// The value of a key.
    pub fn value(&self, db: usize, key: &str) -> Option<&[u8]> {
        self.values.get(&(db, key.to_owned())).map(|(value, _)| &value[..])
    }

    /// The LSN behind the last unit.
    pub fn lsn(&self) -> Lsn {
        self.units.last().map_or(0, |unit| unit.lsn)
    }

    /// The unit that ends at `lsn`; `None` if none does. 0 is before the first.
    pub fn digest_at(&self, lsn: Lsn) -> Option<u64> {
        if lsn == 0 {
            return Some(0);
        }
        let index = self.units.binary_search_by_key(&lsn, |unit| unit.lsn).ok()?;
        Some(self.units[index].digest)
    }
}

#[derive(Default)]
struct Applied {
    changed: Option<String>,
    looked_at: Option<String>,
    looked_at_all: bool,
    reply: Option<Vec<u8>>,
}

/// Executes one command line.
pub fn execute(
    guard: &mut Guard<'_>,
    client: &mut session::Client,
    words: &[impl AsRef<[u8]>],
) -> (Outcome, Vec<u8>) {
    let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
    client.run(guard, &words)
}

/// Opens the data set on `disk`.
pub fn open(
    disk: &SimDisk,
    clock: &Arc<SimClock>,
    options: Options,
    seed: u64,
) -> Result<(Engine, Recovery), OpenError> {
    let next = Mutex::new(seeded_random(seed));
    let machine = Machine {
        disk: Arc::new(disk.clone()),
        clock: clock.clone(),
        random: Arc::new(move || seeded_random((next.lock())())),
    };
    Engine::open(machine, dir(), DATABASES, Settings::default(), options)
}

/// Asserts that every file of ours in the directory is one that the manifest lists.
pub fn check_no_strays(disk: &SimDisk, what: &dyn std::fmt::Display) {
    let manifest = Manifest::load(disk, dir()).expect("a data set that was opened has one");
    let listed: Vec<String> = manifest.all_names().chain([NAME.to_owned()]).collect();
    for name in disk.list(dir()).expect("it is there") {
        let ours = segment::parse_name(&name).is_some() || name == TEMPORARY_NAME;
        assert!(!ours || listed.contains(&name), "{what}: {name} is in no manifest");
    }
}

pub fn clock() -> Arc<SimClock> {
    SimClock::new(START_MS)
}

/// A reply that waits.
struct Held {
    gate: Gate,
    known: Known,
    wrote: bool,
}

#[derive(Default)]
struct Client {
    session: session::Client,
    held: VecDeque<Held>,
}

/// What the log thread is at.
enum LogThread {
    Awake,
    /// Until it is woken or this time has come.
    Asleep(Option<u64>),
    /// Until the sync ends; its result is there already if the disk did the work at the beginning.
    Syncing {
        ticket: SyncTicket,
        began_us: u64,
        end_us: u64,
        result: Option<io::Result<()>>,
    },
    Stopped,
}

/// What a batch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It was executed and its reply is held or has left.
    Executed,
    /// The log takes no writes.
    Refused,
}

/// A simulated world; see the module's documentation.
pub struct World {
    pub config: Config,
    pub disk: SimDisk,
    pub clock: Arc<SimClock>,
    pub engine: Engine,
    pub log: Arc<Log>,
    pub model: Arc<Mutex<Model>>,
    pub random: Random,
    pub generation: u8,
    clients: Vec<Client>,
    thread: LogThread,
    next_batch: u64,
    has_failed: bool,
    /// The last failure's place in the model's list.
    failed_index: usize,
    /// Replies that got an error because the log failed while they waited.
    pub failed_replies: u64,
    /// Batches refused because the log takes no writes.
    pub refused: u64,
}

impl World {
    /// An empty data set on an empty disk.
    pub fn new(config: Config) -> Self {
        let (disk, clock) = (SimDisk::new(), clock());
        let (engine, recovery) =
            open(&disk, &clock, config.options(), config.seed).expect("an empty disk can be used");
        assert!(recovery.created);
        Self::with(config, disk, clock, engine, Model::default())
    }

    /// A data set that was opened, and what it must hold.
    pub fn with(
        config: Config,
        disk: SimDisk,
        clock: Arc<SimClock>,
        engine: Engine,
        model: Model,
    ) -> Self {
        let log = engine.log().expect("it has a log");
        let clients = (0..config.clients).map(|_| Client::default()).collect();
        Self {
            random: seeded_random(config.seed),
            next_batch: model.units.last().map_or(0, |unit| unit.batch + 1),
            config,
            disk,
            clock,
            engine,
            log,
            model: Arc::new(Mutex::new(model)),
            generation: b'a',
            clients,
            thread: LogThread::Awake,
            has_failed: false,
            failed_index: 0,
            failed_replies: 0,
            refused: 0,
        }
    }

    pub fn now_us(&self) -> u64 {
        mainstay::env::Clock::monotonic_us(&*self.clock)
    }

    /// Something happens.
    pub fn step(&mut self) {
        let paced = self.log.durability() != Durability::Always;
        match (self.random)() % 100 {
            0..50 => {
                let client = (self.random)() as usize % self.clients.len();
                if self.clients[client].held.len() < HELD_MAX
                    && self.log.backpressure_lsn().is_none()
                {
                    self.next_batch(client);
                }
            }
            50..65 => self.log.prepare(),
            65..70 => self.log.submit(),
            70..75 => {
                let random = &mut self.random;
                self.disk.write_back(|| random().is_multiple_of(3));
            }
            75 if self.config.switches => {
                let modes = [Durability::Always, Durability::EverySec, Durability::No];
                let mode = modes[(self.random)() as usize % 3];
                self.engine.lock().set_durability(mode);
            }
            76..80 if self.config.durability == Durability::No => {
                self.log.request_sync();
            }
            _ => {
                let us = match (self.random)() % 20 {
                    // A server with a slow mode has quiet times.
                    0..10 if paced => (self.random)() % 1_000_000,
                    _ => (self.random)() % 600,
                };
                self.pass(us);
            }
        }
        self.work();
        self.deliver();
    }

    /// Time passes, and the log thread does not oversleep.
    pub fn pass(&mut self, us: u64) {
        let end = self.now_us() + us;
        loop {
            let now = self.now_us();
            let stop = match &self.thread {
                LogThread::Asleep(Some(at)) => *at,
                LogThread::Syncing { end_us, .. } => *end_us,
                _ => end,
            };
            let stop = stop.clamp(now, end);
            self.clock.advance_us(stop - now);
            self.work();
            self.deliver();
            if stop >= end {
                return;
            }
        }
    }

    /// The log thread does what it can without waiting.
    pub fn work(&mut self) {
        loop {
            match std::mem::replace(&mut self.thread, LogThread::Awake) {
                LogThread::Stopped => {
                    self.thread = LogThread::Stopped;
                    return;
                }
                LogThread::Asleep(at) => {
                    let due = at.is_some_and(|at| at <= self.now_us());
                    if !due && !self.log.take_work() {
                        self.thread = LogThread::Asleep(at);
                        return;
                    }
                    self.act();
                }
                LogThread::Awake => self.act(),
                LogThread::Syncing { ticket, began_us, end_us, result } => {
                    if self.now_us() < end_us {
                        self.thread = LogThread::Syncing { ticket, began_us, end_us, result };
                        return;
                    }
                    let result = result.unwrap_or_else(|| ticket.sync());
                    self.log.finish_sync(ticket, result);
                }
            }
        }
    }

    /// The log thread takes its next step.
    fn act(&mut self) {
        self.log.take_work();
        match self.log.next_action() {
            Action::Drain => self.log.drain(),
            Action::Roll => self.log.roll(),
            Action::Heal => self.log.heal(),
            Action::Stop => self.thread = LogThread::Stopped,
            Action::Wait(time) => {
                let at = time.map(|time| self.now_us() + time.as_micros() as u64);
                self.thread = LogThread::Asleep(at);
            }
            Action::Sync => {
                let ticket = self.log.begin_sync();
                let takes_us = match (self.random)() % 50 {
                    0 if self.config.long_syncs => 5_000_000,
                    _ => 100 + (self.random)() % 1500,
                };
                // The disk does the work at some time in between: what is written meanwhile may
                // or may not become durable with it.
                let early = (self.random)().is_multiple_of(2);
                let result = early.then(|| ticket.sync());
                let began_us = self.now_us();
                let end_us = began_us + takes_us;
                if takes_us > 500_000 {
                    self.model.lock().long_syncs.push((began_us, end_us));
                }
                self.thread = LogThread::Syncing { ticket, began_us, end_us, result };
            }
        }
    }

    /// Replies leave that may, in their order.
    pub fn deliver(&mut self) {
        let now_us = self.now_us();
        if self.log.has_failed() != self.has_failed {
            self.has_failed = !self.has_failed;
            let long = &mut self.model.lock().long_syncs;
            if self.has_failed {
                self.failed_index = long.len();
                long.push((now_us, u64::MAX));
            } else {
                long[self.failed_index].1 = now_us;
            }
        }
        for client in &mut self.clients {
            while let Some(held) = client.held.front() {
                match held.gate.passage() {
                    Passage::Wait => break,
                    Passage::Open => {
                        let held = client.held.pop_front().expect("it has a front");
                        if held.known.lsn > 0 {
                            self.model.lock().known.push(Known { at_us: now_us, ..held.known });
                        }
                    }
                    Passage::Failed => {
                        // The connection ends; what became of its writes nobody knows.
                        self.failed_replies +=
                            client.held.iter().filter(|h| h.wrote).count() as u64;
                        client.held.clear();
                    }
                }
            }
        }
    }

    /// A client sends the next batch.
    pub fn next_batch(&mut self, client: usize) -> Came {
        let Config { seed, value_bytes_max, .. } = self.config;
        let batch = make_batch(seed, self.next_batch, self.generation, value_bytes_max);
        let came = self.send(client, &batch);
        match came {
            Came::Executed => self.next_batch += 1,
            Came::Refused => self.refused += 1,
        }
        came
    }

    /// A client sends a batch.
    pub fn send(&mut self, client: usize, batch: &Batch) -> Came {
        let durability = self.log.durability();
        let session = &mut self.clients[client].session;
        let mut guard = self.engine.lock();
        if session.session.db() != batch.db {
            execute(&mut guard, session, &["SELECT", &batch.db.to_string()]);
        }
        if batch.is_transaction {
            execute(&mut guard, session, &["MULTI"]);
            for request in &batch.requests {
                execute(&mut guard, session, &request.words());
            }
        }
        let (outcome, reply) = if batch.is_transaction {
            execute(&mut guard, session, &["EXEC"])
        } else {
            execute(&mut guard, session, &batch.requests[0].words())
        };
        if outcome.failed && !outcome.wrote {
            let text = String::from_utf8_lossy(&reply);
            assert!(text.contains("MISCONF") || text.starts_with("-EXECABORT"), "{text}");
            assert!(self.log.is_refusing() || self.log.has_failed(), "refused for nothing: {text}");
            drop(guard);
            self.check_durable_reads();
            return Came::Refused;
        }
        let wrote = outcome.wrote;
        let lsn = self.apply(batch, outcome, &reply);
        drop(guard);
        // Most of the time it is submitted at once; sometimes others execute before that.
        if !(self.random)().is_multiple_of(5) {
            self.log.submit();
        }
        let known = Known { at_us: 0, lsn, acknowledged: wrote, durability };
        let gate = Gate { log: self.log.clone(), lsn: outcome.lsn, durability };
        self.clients[client].held.push_back(Held { gate, known, wrote });
        Came::Executed
    }

    /// Carries out in the model what the engine did. Gives the LSN behind the newest unit that the
    /// reply acknowledges or shows.
    fn apply(&self, batch: &Batch, outcome: Outcome, reply: &[u8]) -> Lsn {
        let model = &mut *self.model.lock();
        let mut shown = 0;
        let mut changed = Vec::new();
        let mut expected = Vec::new();
        for request in &batch.requests {
            let applied = model.apply(batch.db, request);
            if let Some(key) = applied.looked_at {
                let last = model.changed.get(&(batch.db, key)).copied().unwrap_or(0);
                shown = shown.max(last);
            }
            if applied.looked_at_all {
                // It shows how many keys of this database there are, that is, all its changes.
                let of_db = model.changed.iter().filter(|((db, _), _)| *db == batch.db);
                shown = of_db.map(|(_, lsn)| *lsn).max().unwrap_or(0).max(shown);
            }
            changed.extend(applied.changed);
            expected.extend(applied.reply);
        }
        assert_eq!(outcome.wrote, !changed.is_empty(), "{batch:?}");
        for expected in expected {
            let found = reply.windows(expected.len()).any(|part| part == expected);
            assert!(found || outcome.failed, "{batch:?}: {}", String::from_utf8_lossy(reply));
        }
        if changed.is_empty() {
            return shown;
        }
        for key in changed {
            model.changed.insert((batch.db, key), outcome.lsn);
        }
        assert!(outcome.lsn > model.lsn());
        let unit = Unit { lsn: outcome.lsn, digest: model.digest, batch: self.next_batch };
        model.units.push(unit);
        outcome.lsn
    }

    /// While writes are refused, every durable value can be read.
    pub fn check_durable_reads(&self) {
        let model = self.model.lock();
        let mut guard = self.engine.lock();
        let durable = self.log.durable_lsn();
        let mut session = session::Client::default();
        for ((db, key), (value, _)) in model.values.iter().take(20) {
            let changed = model.changed[&(*db, key.clone())];
            execute(&mut guard, &mut session, &["SELECT", &db.to_string()]);
            let (_, reply) = execute(&mut guard, &mut session, &["GET", key]);
            let text = String::from_utf8_lossy(&reply);
            if changed <= durable {
                let expected = String::from_utf8_lossy(value);
                // Keys may share a slot of the read gate; with this few they hardly ever do.
                assert!(text.contains(&*expected), "GET {key} in {db}: {text}");
            } else if self.log.has_failed() {
                assert!(text.starts_with("-MISCONF"), "GET {key} in {db} shows {text}");
            }
        }
    }

    /// Goes on until `units` units were executed.
    pub fn run(&mut self, units: usize) {
        let mut steps = 0;
        while self.model.lock().units.len() < units {
            self.step();
            steps += 1;
            assert!(steps < 1000 * (units + 10), "seed {}: it does not go on", self.config.seed);
        }
    }

    /// Lets everything come to rest: replies have left, and nothing happens any more.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            self.log.submit();
            self.log.prepare();
            self.work();
            self.deliver();
            if self.clients.iter().all(|client| client.held.is_empty()) && !self.log.has_failed() {
                return;
            }
            self.pass(20_000);
        }
        panic!("seed {}: replies wait for ever", self.config.seed);
    }

    /// Makes everything durable.
    pub fn sync(&mut self) {
        let lsn = self.log.request_sync();
        for _ in 0..1000 {
            self.settle();
            if self.log.durable_lsn() >= lsn {
                return;
            }
            self.pass(20_000);
        }
        panic!("seed {}: a sync that was asked for never comes", self.config.seed);
    }

    /// The same data set after a restart from `disk`, which may be what a crash has left. `seed` is not the
    /// one that it was opened with before: no identity is used twice.
    pub fn restarted(&self, disk: SimDisk, seed: u64) -> Self {
        let (engine, recovery) = open(&disk, &self.clock, self.config.options(), seed)
            .unwrap_or_else(|error| panic!("seed {}: {error}", self.config.seed));
        let mut model = self.model.lock().recovered(recovery.lsn, engine.lock().keyspace());
        assert_eq!(model.digest_at(recovery.lsn), Some(model.digest));
        if recovery.lsn > 0 {
            // What a start has recovered is durable before anybody sees it.
            let (at_us, durability) = (0, Durability::Always);
            model.known.push(Known { at_us, lsn: recovery.lsn, acknowledged: false, durability });
        }
        Self::with(self.config.clone(), disk, self.clock.clone(), engine, model)
    }

    /// Begins a snapshot that is to become a base.
    pub fn begin_snapshot(&self) -> Begun {
        self.engine.lock().begin_snapshot(BASE_FORMAT).expect("none is running")
    }

    /// Compacts the log while the world goes on.
    pub fn compact(&mut self) -> Result<(), SnapshotError> {
        let begun = self.begin_snapshot();
        self.compact_with(&begun, |world| {
            if (world.random)().is_multiple_of(3) {
                world.engine.lock().save_slice(0);
            } else {
                world.step();
            }
        })
    }

    /// Makes a base of the snapshot that has begun; `turn` is what happens in the world meanwhile, bit by bit.
    pub fn compact_with(
        &mut self,
        begun: &Begun,
        mut turn: impl FnMut(&mut Self),
    ) -> Result<(), SnapshotError> {
        let log = self.log.clone();
        let mut turns = 0;
        let result = compact(&log, begun, &mut || {
            turn(self);
            turns += 1;
            assert!(turns < 100_000, "seed {}: the compaction does not end", self.config.seed);
        });
        // As the server does it: whatever is left of one that failed is given up.
        if result.is_err() {
            self.engine.lock().abort_snapshot();
        }
        result
    }

    /// Nothing happens but the compaction.
    pub fn compact_alone(&mut self) -> Result<(), SnapshotError> {
        let begun = self.begin_snapshot();
        self.compact_with(&begun, |world| {
            world.engine.lock().save_slice(0);
            world.pass(1000);
        })
    }

    /// Closes the log as the server does.
    pub fn close(&mut self) -> io::Result<()> {
        self.log.begin_close();
        for _ in 0..1000 {
            self.work();
            if matches!(self.thread, LogThread::Stopped) {
                break;
            }
            self.pass(10_000);
        }
        assert!(matches!(self.thread, LogThread::Stopped), "the log thread does not end");
        let result = self.log.close();
        self.deliver();
        result
    }

    /// Asserts that engine and model hold the same.
    pub fn check_in_memory(&self) {
        assert_eq!(digest(self.engine.lock().keyspace()), self.model.lock().digest);
    }
}
