//! A real Redis, to compare with.

use super::{Client, command_exists, eventually, free_port, info, skip, status};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A real `redis-server`.
pub struct Redis {
    child: Child,
    /// Its port.
    pub port: u16,
    /// Major and minor version.
    pub version: (u32, u32),
    _dir: Option<tempfile::TempDir>,
}

impl Redis {
    /// Starts one without persistence: that of `MAINSTAY_TEST_REDIS`, or else the one that is installed.
    pub fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut redis = Self::start_in(dir.path(), &["--appendonly", "no"])?;
        redis._dir = Some(dir);
        Some(redis)
    }

    /// Starts one whose files are in `dir`, with more directives.
    pub fn start_in(dir: &Path, directives: &[&str]) -> Option<Self> {
        let program = std::env::var("MAINSTAY_TEST_REDIS").unwrap_or("redis-server".into());
        if !program.contains('/') && !command_exists(&program) {
            skip("comparison with Redis", "redis-server is not installed");
            return None;
        }
        let port = free_port();
        let mut command = Command::new(program);
        command.args(["--save", "", "--bind", "127.0.0.1"]).args(directives);
        // Texts are compared byte by byte.
        command.env("LC_ALL", "C");
        // Blocked clients time out when its clock ticks.
        command.args(["--enable-debug-command", "local", "--hz", "500"]);
        command.arg("--port").arg(port.to_string()).arg("--dir").arg(dir);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut redis = Self { child, port, version: (0, 0), _dir: None };
        eventually("redis-server listens", || {
            let mut client = Client::try_connect(port).ok()?;
            (client.call("PING") == status("PONG")).then_some(())
        });
        let version = info(&mut redis.client(), "redis_version");
        let mut parts = version.split('.').map(|part| part.parse().expect("a number"));
        redis.version = (parts.next().expect("a part"), parts.next().expect("two parts"));
        eprintln!("Redis {version}");
        Some(redis)
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
