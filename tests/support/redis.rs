//! A real Redis, to compare with.

use super::{Client, command_exists, eventually, free_port, info, skip, status};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The `redis-server` that is installed.
const INSTALLED: &str = "redis-server";

/// A real `redis-server`.
pub struct Redis {
    child: Child,
    /// Its port.
    pub port: u16,
    /// Major and minor version.
    pub version: (u32, u32),
    dir: PathBuf,
    _own_dir: Option<tempfile::TempDir>,
}

impl Redis {
    /// The programs that there are: that of `MAINSTAY_TEST_REDIS`, and the one that is installed.
    pub fn programs() -> Vec<String> {
        let installed = command_exists(INSTALLED).then(|| INSTALLED.to_owned());
        let named = std::env::var("MAINSTAY_TEST_REDIS").ok();
        let programs: Vec<_> = named.into_iter().chain(installed).collect();
        if programs.is_empty() {
            skip("comparison with Redis", "redis-server is not installed");
        }
        programs
    }

    /// Starts one without persistence: that of `MAINSTAY_TEST_REDIS`, or else the one that is installed.
    pub fn start() -> Option<Self> {
        Some(Self::start_on(Self::programs().first()?, None))
    }

    /// Starts one whose files are in `dir`, with more directives.
    pub fn start_in(dir: &Path, directives: &[&str]) -> Option<Self> {
        Some(Self::launch(Self::programs().first()?, dir, directives))
    }

    /// Starts this program, whose files are in `dir`, with more directives.
    pub fn start_program_in(program: &str, dir: &Path, directives: &[&str]) -> Self {
        Self::launch(program, dir, directives)
    }

    /// Starts one without persistence that loads an RDB file, or nothing.
    pub fn start_on(program: &str, rdb: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        if let Some(rdb) = rdb {
            std::fs::copy(rdb, dir.path().join("dump.rdb")).unwrap();
        }
        let mut redis = Self::launch(program, dir.path(), &["--appendonly", "no"]);
        redis._own_dir = Some(dir);
        redis
    }

    fn launch(program: &str, dir: &Path, directives: &[&str]) -> Self {
        // Somebody else may take the port before the server does.
        let launched = (0..10).find_map(|_| Self::try_launch(program, dir, directives));
        let mut redis = launched.unwrap_or_else(|| panic!("{program} does not start"));
        let version = info(&mut redis.client(), "redis_version");
        let mut parts = version.split('.').map(|part| part.parse().expect("a number"));
        redis.version = (parts.next().expect("a part"), parts.next().expect("two parts"));
        eprintln!("Redis {version}");
        redis
    }

    /// Gives nothing if it ends before it is ready.
    fn try_launch(program: &str, dir: &Path, directives: &[&str]) -> Option<Self> {
        let port = free_port();
        let mut command = Command::new(program);
        command.args(["--save", "", "--bind", "127.0.0.1"]).args(directives);
        // Texts are compared byte by byte.
        command.env("LC_ALL", "C");
        // Blocked clients time out when its clock ticks.
        command.args(["--enable-debug-command", "local", "--hz", "500"]);
        command.arg("--port").arg(port.to_string()).arg("--dir").arg(dir);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut redis = Self { child, port, version: (0, 0), dir: dir.to_owned(), _own_dir: None };
        let ready = eventually("redis-server listens or ends", || {
            if redis.child.try_wait().expect("waited").is_some() {
                return Some(false);
            }
            let mut client = Client::try_connect(port).ok()?;
            (client.call("PING") == status("PONG")).then_some(true)
        });
        ready.then_some(redis)
    }

    /// What a program's `redis-check-rdb` says of a file.
    pub fn check_rdb(program: &str, rdb: &Path) -> Output {
        let checker = match program.rsplit_once('/') {
            Some((dir, _)) => PathBuf::from(dir).join("redis-check-rdb"),
            None => "redis-check-rdb".into(),
        };
        Command::new(checker).arg(rdb).output().expect("redis-check-rdb lies beside the server")
    }

    /// Has it save all data, and gives the file.
    pub fn saved(&self) -> Vec<u8> {
        assert_eq!(self.client().call("SAVE"), status("OK"));
        std::fs::read(self.dir.join("dump.rdb")).unwrap()
    }

    /// Ends it without another save.
    pub fn end(mut self) {
        self.client().send("SHUTDOWN NOSAVE");
        eventually("redis-server ends", || self.child.try_wait().expect("waited"));
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
