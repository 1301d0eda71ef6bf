//! Data sets made with the library, and the tool run on them.
#![allow(dead_code)] // Each test uses some of it.

use mainstay::commands::spec::ServerCommand;
use mainstay::commands::{CommandResult, Settings, resolve};
use mainstay::disk::RealDisk;
use mainstay::engine::{Engine, Guard, Machine, ServerCommands, Session};
use mainstay::env::{SimClock, seeded_random};
use mainstay::log::{Action, Durability, Log, Options};
use mainstay::resp::Args;
use mainstay::resp::args::OwnedArgs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

/// Where its clock begins, as Unix time in ms.
pub const START_MS: i64 = 1_700_000_000_000;

/// A data set that is being written.
pub struct DataSet {
    /// Tells the time.
    pub clock: Arc<SimClock>,
    /// What executes its commands.
    pub engine: Engine,
    session: Session,
    dir: PathBuf,
}

struct NoServer;

impl ServerCommands for NoServer {
    fn run(
        &mut self,
        command: ServerCommand,
        _: &mut Guard<'_>,
        _: &mut Session,
        _: Args<'_>,
        _: &mut Vec<u8>,
    ) -> CommandResult {
        panic!("{command:?} needs a server")
    }
}

impl DataSet {
    /// A new one in `dir`, whose clock begins at `start_ms`.
    pub fn create(dir: &Path, start_ms: i64) -> Self {
        let clock = SimClock::new(start_ms);
        let machine = Machine {
            disk: Arc::new(RealDisk),
            clock: clock.clone(),
            random: Arc::new(|| seeded_random(1)),
        };
        let options = Options {
            segment_bytes: 4 << 20,
            durability: Durability::EverySec,
            ..Options::default()
        };
        let (engine, _) = Engine::open(machine, dir, 16, Settings::default(), options)
            .expect("an empty directory becomes a data set");
        Self { clock, engine, session: Session::default(), dir: dir.into() }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs a command, which must not fail.
    pub fn run(&mut self, args: &[&[u8]]) {
        let args = OwnedArgs::from_slices(args);
        let mut reply = Vec::new();
        let resolved = resolve(args.as_args());
        let mut guard = self.engine.lock();
        guard.execute(&mut self.session, resolved, args.as_args(), &mut reply, &mut NoServer);
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
        settle(&log);
    }

    /// Closes the log as a server does that is stopped.
    pub fn close(self) {
        let log = self.log();
        log.begin_close();
        settle(&log);
        log.close().expect("nothing fails here");
    }

    fn log(&self) -> Arc<Log> {
        self.engine.log().expect("there is one")
    }
}

/// Does all that the log's threads have to do.
fn settle(log: &Log) {
    loop {
        match log.next_action() {
            Action::Drain => log.drain(),
            Action::Roll => log.roll(),
            Action::Heal => log.heal(),
            Action::Sync => {
                let ticket = log.begin_sync();
                let result = ticket.sync();
                log.finish_sync(ticket, result);
            }
            Action::Wait(_) | Action::Stop => return,
        }
    }
}

/// Runs the tool.
pub fn tool(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mainstay-tool"))
        .args(args)
        .env_remove("NO_COLOR")
        .output()
        .expect("the tool can be started")
}

/// Runs the tool, which must exit with `code`; gives its standard output.
pub fn tool_exits(code: i32, args: &[&str]) -> String {
    let output = tool(args);
    let remarks = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {remarks}");
    String::from_utf8(output.stdout).expect("the output is text")
}

/// The same for an output that is JSON.
pub fn tool_json(code: i32, args: &[&str]) -> serde_json::Value {
    let mut args = args.to_vec();
    args.push("--json");
    serde_json::from_str(&tool_exits(code, &args)).expect("the output is JSON")
}

/// The bytes of all files in a directory, by name.
pub fn files_in(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).expect("the directory is there");
    let entry = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.expect("the directory can be read");
        let bytes = std::fs::read(entry.path()).expect("the file can be read");
        (entry.file_name().to_string_lossy().into_owned(), bytes)
    };
    entries.map(entry).collect()
}

/// Dump files that other servers wrote, if they are there; see `tests/README.md`.
pub fn corpus() -> Option<PathBuf> {
    let path = match std::env::var_os("MAINSTAY_TEST_CORPUS") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"),
    };
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}
