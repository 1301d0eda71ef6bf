//! What all threads of a server share.

use crate::engine::{Engine, Guard};
use crate::server::config::Config;
use crate::server::net::thread::{Thread, TrafficSum};
use crate::server::state::clients::Clients;
use crate::session::Stats;
use parking_lot::{Mutex, RwLock};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::Notify;

/// Counters that `INFO stats` shows.
#[derive(Default)]
pub struct Counters {
    /// Connections accepted since the start.
    pub connections: AtomicU64,
    /// Connections refused because of `maxclients`.
    pub rejected: AtomicU64,
    /// Clients disconnected because of `client-query-buffer-limit`.
    pub input_limits: AtomicU64,
    /// Error replies that the engine does not know of: to what is not RESP, and to commands that
    /// were still to be answered when they left it.
    pub errors: AtomicU64,
    /// How long keys were expired without being asked for, in µs.
    pub expire_us: AtomicU64,
    /// What the threads had read and written when statistics were last set back to zero.
    pub traffic_before: Mutex<TrafficSum>,
    /// The most memory in use at any full second.
    pub memory_peak_bytes: AtomicUsize,
    /// Memory in use before any data was there.
    pub memory_at_start_bytes: AtomicUsize,
    /// Commands executed in the last full second.
    pub commands_per_s: AtomicU64,
    /// Bytes read from clients in the last full second.
    pub input_bytes_per_s: AtomicU64,
    /// Bytes written to clients in the last full second.
    pub output_bytes_per_s: AtomicU64,
}

/// What all threads of a server share.
pub struct Shared {
    /// Keyspace and log.
    pub engine: Engine,
    /// The configuration in force.
    pub config: RwLock<Config>,
    /// Whether somebody has said how long the log keeps files that were replaced: a line, or
    /// `CONFIG SET`.
    pub retention_given: AtomicBool,
    /// The configuration file, for `CONFIG REWRITE`.
    pub config_file: Option<PathBuf>,
    /// Connected clients.
    pub clients: Arc<Clients>,
    /// Counters.
    pub counters: Counters,
    /// Reports of connections that speak HTTP.
    pub http_reports: crate::server::net::cross_protocol::Reports,
    /// The I/O threads.
    pub threads: Vec<Arc<Thread>>,
    /// 40 random hex digits, new with every start.
    pub run_id: String,
    /// When the process started.
    pub started: Instant,
    /// RDB files.
    pub saves: crate::server::tasks::saves::Saves,
    /// Asks the main thread to end the process; the number is the exit status.
    pub exit: tokio::sync::watch::Sender<Option<i32>>,
    /// Set once the server is ending.
    pub ending: AtomicBool,
    /// Commands that took long.
    pub slowlog: super::slowlog::Slowlog,
    /// Names in `bind`.
    pub names: crate::server::net::names::Names,
    /// Listening sockets.
    pub listeners: Mutex<super::listeners::Listeners>,
    /// `proto-max-bulk-len`, for whoever parses.
    pub bulk_bytes_max: AtomicUsize,
    /// `client-query-buffer-limit`.
    pub query_bytes_max: AtomicUsize,
    /// Whether keys are expired without being asked for (`DEBUG SET-ACTIVE-EXPIRE`).
    pub active_expiry: AtomicBool,
    /// Connections to other servers that `MIGRATE` has used and may use again.
    pub peers: crate::server::commands::migrate::Peers,
    /// Snapshots that are written in the background.
    pub background: crate::server::tasks::background::Background,
    /// Wakes connections that wait because of `CLIENT PAUSE`.
    pub unpaused: Arc<Notify>,
    /// The load that the server begins with.
    pub loading: crate::server::process::load::Loading,
}

impl Shared {
    /// What the I/O threads `threads` share, as of a start just now and without a
    /// configuration file.
    pub fn new(engine: Engine, config: Config, threads: Vec<Arc<Thread>>) -> Self {
        let mut random = crate::env::system_random();
        let shared = Self {
            engine,
            bulk_bytes_max: 0.into(),
            query_bytes_max: 0.into(),
            config: RwLock::new(config),
            retention_given: false.into(),
            config_file: None,
            clients: Arc::default(),
            counters: Counters::default(),
            http_reports: Default::default(),
            threads,
            run_id: crate::log::TimelineId::random(&mut random).to_string(),
            started: Instant::now(),
            saves: Default::default(),
            exit: tokio::sync::watch::Sender::new(None),
            ending: false.into(),
            slowlog: Default::default(),
            names: Default::default(),
            listeners: Default::default(),
            active_expiry: true.into(),
            peers: Default::default(),
            background: Default::default(),
            unpaused: Arc::default(),
            loading: Default::default(),
        };
        shared.apply_limits(&shared.config.read());
        shared
    }

    /// Hands the limits of connections to those that look at them all the time.
    pub fn apply_limits(&self, config: &Config) {
        self.bulk_bytes_max.store(config.proto_max_bulk_len as usize, Ordering::Relaxed);
        self.query_bytes_max.store(config.client_query_buffer_limit as usize, Ordering::Relaxed);
        let limit = &config.client_output_buffer_limit.normal;
        let soft_s = limit.soft_seconds.unsigned_abs();
        self.clients.output_limits.set(
            limit.hard_bytes as usize,
            limit.soft_bytes as usize,
            soft_s,
        );
    }

    /// Has the threads of `log` started, and each I/O thread woken by it.
    pub fn start_log(&self, log: &Arc<crate::log::Log>) {
        for thread in &self.threads {
            let thread = thread.clone();
            log.listen(move || thread.gates.wake());
        }
        log.start();
        log.spawn("log-compress", self.background.compression(log.clone()));
    }

    /// Sets how long `log` keeps retired files. Unless the configuration gives a limit, they stay.
    pub fn apply_retention(&self, log: &crate::log::Log, config: &Config) {
        if self.retention_given.load(Ordering::Acquire) {
            log.set_retention(crate::server::config::engine::retention(config));
        } else {
            log.leave_retention_unset();
        }
    }

    /// What all threads have counted of commands; times only on demand.
    pub fn stats(&self, with_latencies: bool) -> Stats {
        let mut sum = Stats::default();
        self.threads.iter().for_each(|thread| sum.sum(&thread.stats.lock(), with_latencies));
        sum
    }

    /// Requests that all threads have carried out.
    pub fn requests(&self) -> u64 {
        self.threads.iter().map(|thread| thread.stats.lock().requests()).sum()
    }

    /// What all threads have read and written since statistics were last set back to zero.
    pub fn traffic(&self) -> TrafficSum {
        self.traffic_since_start().since(&self.counters.traffic_before.lock())
    }

    fn traffic_since_start(&self) -> TrafficSum {
        TrafficSum::of(self.threads.iter().map(|thread| &**thread))
    }

    /// `CONFIG RESETSTAT`: sets all statistics back to zero.
    pub fn reset_stats(&self, engine: &mut Guard<'_>) {
        engine.reset_stats();
        crate::keyspace::garbage::reset_counts();
        let counters = &self.counters;
        for counter in [
            &counters.connections,
            &counters.rejected,
            &counters.input_limits,
            &self.clients.output_limits.disconnections,
            &counters.errors,
            &counters.expire_us,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        *counters.traffic_before.lock() = self.traffic_since_start();
        self.threads.iter().for_each(|thread| *thread.stats.lock() = Stats::default());
        if let Some(log) = engine.log() {
            log.reset_stats();
        }
    }

    /// Asks the main thread to end the process with this status.
    pub fn request_exit(&self, status: i32) {
        self.exit.send_modify(|exit| {
            exit.get_or_insert(status);
        });
    }

    /// Seconds since the start.
    pub fn uptime_s(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Adds to a counter.
    pub fn count(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}
