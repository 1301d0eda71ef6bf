//! Replies of one log while that ends and another one begins: each waits for the log that its command ran with.
//!
//! Connections run on a simulated disk, and all of them on one thread in turn, each with the dispatcher of an I/O
//! thread of its own. The first log has no threads: nothing in it becomes durable before it is closed.

use crate::disk::SimDisk;
use crate::disk::sim::Operation;
use crate::engine::{Engine, Machine, data_dir};
use crate::env::{SimClock, seeded_random};
use crate::log::Log;
use crate::server::config::engine as engine_config;
use crate::server::config::{Config, ProtectedAction};
use crate::server::net::connection::Connection;
use crate::server::net::thread::Thread;
use crate::server::state::clients::ClientInfo;
use crate::server::state::shared::Shared;
use crate::session::Session;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

/// A wait that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

const END_LOG: &str = "CONFIG SET appendonly no";
const BEGIN_LOG: &str = "CONFIG SET appendonly yes";

pub(super) struct Server {
    disk: SimDisk,
    pub(super) shared: Arc<Shared>,
    /// The log that there is at first.
    pub(super) log: Arc<Log>,
}

impl Server {
    /// One with two I/O threads' dispatchers.
    pub(super) fn start() -> Self {
        let disk = SimDisk::new();
        let machine = Machine {
            disk: Arc::new(disk.clone()),
            clock: SimClock::new(1_700_000_000_000),
            random: Arc::new(|| seeded_random(1)),
        };
        let enable_protected_configs = ProtectedAction::Yes;
        let config = Config { enable_protected_configs, ..Config::default() };
        let dir = data_dir(Path::new(&config.dir.0));
        let (settings, options) =
            (engine_config::settings(&config), engine_config::log_options(&config));
        let (engine, _) = Engine::open(machine, &dir, 16, settings, options).expect("opened");
        let log = engine.log().expect("there is one");
        let threads = [Arc::<Thread>::default(), Arc::default()];
        let shared = Arc::new(Shared::new(engine, config, threads.to_vec()));
        for thread in threads {
            let (shared, listener) = (shared.clone(), thread.clone());
            log.listen(move || listener.gates.wake());
            tokio::spawn(async move { thread.gates.dispatch(&shared.engine).await });
        }
        Self { disk, shared, log }
    }

    /// A client whose connection lives on this I/O thread.
    pub(super) fn client(&self, thread: usize) -> Client {
        let (stream, other) = tokio::io::duplex(1 << 20);
        let thread = self.shared.threads[thread].clone();
        let session = Session::default();
        let clients = &self.shared.clients;
        let info =
            ClientInfo::new(clients, "here".into(), "there".into(), 0, session.visible().clone());
        let client = clients.admit(usize::MAX).expect("a place").register(info);
        let info = client.info.clone();
        let connection = Connection::new(other, self.shared.clone(), thread, client, session, true);
        tokio::spawn(connection.serve());
        Client { stream: BufReader::new(stream), info }
    }

    /// From now on syncs of files fail; or only once the manifest has been replaced so often.
    pub(super) fn fail_syncs_after(&self, mut replacements: usize) {
        self.disk.inject(move |operation| {
            if matches!(operation, Operation::Rename(_)) {
                replacements = replacements.saturating_sub(1);
            }
            let fails = replacements == 0 && matches!(operation, Operation::Sync(_));
            fails.then(|| io::Error::other("the disk is gone"))
        });
    }

    /// From now on nothing fails.
    pub(super) fn heal_disk(&self) {
        self.disk.inject(|_| None);
    }

    /// Ends the log and begins another one, as another thread does it that holds the engine.
    fn switch_logs(&self) -> Arc<Log> {
        let (config, mut engine) = (self.shared.config.read(), self.shared.engine.lock());
        let old = engine.end_log().expect("there is one");
        old.end().expect("nothing fails here");
        let dir = data_dir(Path::new(&config.dir.0));
        let new = engine.begin_log(&dir, engine_config::log_options(&config)).expect("begun");
        drop(engine);
        self.shared.start_log(&new);
        new
    }

    /// Closes the last log, which may have failed.
    pub(super) fn end(self) {
        if let Some(log) = self.shared.engine.log() {
            let _ = log.end();
        }
    }
}

pub(super) struct Client {
    stream: BufReader<DuplexStream>,
    pub(super) info: Arc<ClientInfo>,
}

impl Client {
    /// Sends commands as one batch.
    pub(super) async fn send(&mut self, lines: &[&str]) {
        let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.stream.write_all(text.as_bytes()).await.expect("taken");
    }

    /// Reads a line; nothing if the connection has ended.
    pub(super) async fn read_line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_line(&mut line)).await;
        read.expect("a reply comes").expect("text");
        line
    }

    /// Reads the error of a write that nobody knows the outcome of, behind which the connection ends.
    async fn read_unknown_outcome(&mut self) {
        let line = self.read_line().await;
        assert!(line.starts_with("-MISCONF outcome unknown: "), "{line}");
        assert_eq!(self.read_line().await, "");
    }
}

/// Lets all others run until this is so.
pub(super) async fn until(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it comes to that");
}

pub(super) fn run_test(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(test);
}

#[test]
fn a_write_in_a_log_that_cannot_be_closed_is_not_acknowledged_because_there_is_none_any_more() {
    run_test(async {
        let server = Server::start();
        server.fail_syncs_after(0);
        let mut client = server.client(0);
        client.send(&["SET key value", END_LOG]).await;
        client.read_unknown_outcome().await;
        assert!(server.shared.engine.log().is_none());
        server.end();
    });
}

#[test]
fn what_somebody_waited_for_in_a_log_that_cannot_be_closed_is_not_shown() {
    run_test(async {
        let server = Server::start();
        server.fail_syncs_after(0);
        let (mut waiting, mut client) = (server.client(0), server.client(1));
        waiting.send(&["BLPOP list 0"]).await;
        until(|| server.shared.engine.counts().waited_keys.0 == 1).await;
        client.send(&["RPUSH list element", END_LOG]).await;
        waiting.read_unknown_outcome().await;
        client.read_unknown_outcome().await;
        server.end();
    });
}

#[test]
fn a_write_in_a_log_that_its_batch_has_begun_waits_for_that_one() {
    run_test(async {
        let server = Server::start();
        // One manifest ends the first log, the next one begins the second; nothing more is durable then.
        server.fail_syncs_after(2);
        let mut client = server.client(0);
        let long = format!("SET long {}", "x".repeat(1000));
        client.send(&[&long, END_LOG, BEGIN_LOG, "SET key value"]).await;
        for _ in 0..3 {
            assert_eq!(client.read_line().await, "+OK\r\n");
        }
        client.read_unknown_outcome().await;
        // In the first log all below its LSN had been durable.
        assert!(server.shared.engine.lock().lsn() < server.log.durable_lsn());
        server.end();
    });
}

#[test]
fn a_reply_that_is_held_while_another_thread_begins_a_log_waits_for_the_one_before() {
    run_test(async {
        let server = Server::start();
        let mut writer = server.client(0);
        writer.send(&["SET key value"]).await;
        until(|| server.log.appended_lsn() > 0).await;
        assert_eq!(server.log.durable_lsn(), 0);
        let new = server.switch_logs();
        // It may never come to the LSN that the reply waits for.
        assert!(new.appended_lsn() < server.log.durable_lsn());
        assert_eq!(writer.read_line().await, "+OK\r\n");
        server.end();
    });
}

#[test]
fn what_needs_no_engine_is_answered_while_the_engine_is_held() {
    let (shared_there, shared_here) = std::sync::mpsc::channel();
    let (held_here, held_there) = std::sync::mpsc::channel();
    let (replied_there, replied_here) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        run_test(async move {
            let server = Server::start();
            let mut client = server.client(0);
            shared_there.send(server.shared.clone()).expect("taken");
            held_there.recv().expect("held");
            client.send(&["CLIENT GETNAME", "CONFIG GET hz", "LASTSAVE", "INFO server"]).await;
            let mut lines = Vec::new();
            while lines.last().is_none_or(|line: &String| !line.starts_with("redis_version:")) {
                lines.push(client.read_line().await);
            }
            replied_there.send(lines).expect("taken");
            server.end();
        });
    });
    let shared: Arc<Shared> = shared_here.recv().expect("a server");
    let engine = shared.engine.lock();
    held_here.send(()).expect("taken");
    let lines = replied_here.recv_timeout(PATIENCE);
    drop(engine);
    let lines = lines.expect("replies come while the engine is held");
    assert_eq!(lines[..3], ["$-1\r\n", "*2\r\n", "$2\r\n"]);
    drop(shared);
    thread.join().expect("no panic");
}
