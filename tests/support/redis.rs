//! A real Redis, to compare with.

use super::{Client, command_exists, eventually, free_port, info, skip, status};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A real `redis-server` without persistence.
pub struct Redis {
    child: Child,
    /// Its port.
    pub port: u16,
    /// Major and minor version.
    pub version: (u32, u32),
    dir: tempfile::TempDir,
}

/// The `redis-server` that is installed.
const INSTALLED: &str = "redis-server";

/// What `MAINSTAY_TEST_REDIS` names.
fn named() -> Option<String> {
    std::env::var("MAINSTAY_TEST_REDIS").ok()
}

impl Redis {
    /// Starts one: that of `MAINSTAY_TEST_REDIS`, or else the one that is installed.
    pub fn start() -> Option<Self> {
        match (named(), command_exists(INSTALLED)) {
            (Some(program), _) => Some(Self::start_on(&program, None)),
            (None, true) => Some(Self::start_on(INSTALLED, None)),
            (None, false) => {
                skip("comparison with Redis", "redis-server is not installed");
                None
            }
        }
    }

    /// The programs that there are: that of `MAINSTAY_TEST_REDIS`, and the one that is installed.
    pub fn programs() -> Vec<String> {
        let installed = command_exists(INSTALLED).then(|| INSTALLED.to_owned());
        let programs: Vec<_> = named().into_iter().chain(installed).collect();
        if programs.is_empty() {
            skip("comparison with Redis", "redis-server is not installed");
        }
        programs
    }

    /// Starts one that loads an RDB file, or nothing.
    pub fn start_on(program: &str, rdb: Option<&Path>) -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        if let Some(rdb) = rdb {
            std::fs::copy(rdb, dir.path().join("dump.rdb")).unwrap();
        }
        let mut command = Command::new(program);
        command.args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]);
        // Texts are compared byte by byte.
        command.env("LC_ALL", "C");
        // Blocked clients time out when its clock ticks.
        command.args(["--enable-debug-command", "local", "--hz", "500"]);
        command.arg("--port").arg(port.to_string()).arg("--dir").arg(dir.path());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut redis = Self { child, port, version: (0, 0), dir };
        eventually("redis-server listens", || {
            if let Ok(Some(status)) = redis.child.try_wait() {
                panic!("{program} has ended with {status}, started on {rdb:?}");
            }
            let mut client = Client::try_connect(port).ok()?;
            (client.call("PING") == status("PONG")).then_some(())
        });
        let version = info(&mut redis.client(), "redis_version");
        let mut parts = version.split('.').map(|part| part.parse().expect("a number"));
        redis.version = (parts.next().expect("a part"), parts.next().expect("two parts"));
        eprintln!("Redis {version}");
        redis
    }

    /// What its `redis-check-rdb` says of a file.
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
        std::fs::read(self.dir.path().join("dump.rdb")).unwrap()
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
