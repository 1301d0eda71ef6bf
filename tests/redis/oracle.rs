//! The real Redis that ours is compared with.

use super::support::{Client, command_exists, eventually, free_port, info, ok, skip, status};
use std::process::{Child, Command, Stdio};

/// A real `redis-server` without persistence.
pub struct Redis {
    child: Child,
    /// Its port.
    pub port: u16,
    /// Major and minor version.
    pub version: (u32, u32),
    _dir: tempfile::TempDir,
}

impl Redis {
    /// Starts the one that `MAINSTAY_TEST_REDIS` names, or else the one that is installed.
    pub fn start() -> Option<Self> {
        let program =
            std::env::var("MAINSTAY_TEST_REDIS").unwrap_or_else(|_| "redis-server".into());
        if !program.contains('/') && !command_exists(&program) {
            skip("comparison with Redis", "redis-server is not installed");
            return None;
        }
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut command = Command::new(program);
        command.args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]);
        // Texts are compared byte by byte.
        command.env("LC_ALL", "C");
        // Blocked clients time out when its clock ticks.
        command.args(["--enable-debug-command", "local", "--hz", "500"]);
        command.arg("--port").arg(port.to_string()).arg("--dir").arg(dir.path());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut redis = Self { child, port, version: (0, 0), _dir: dir };
        eventually("redis-server listens", || {
            let mut client = Client::try_connect(port).ok()?;
            (client.call("PING") == status("PONG")).then_some(())
        });
        let mut client = redis.client();
        let version = info(&mut client, "redis_version");
        let mut parts = version.split('.').map(|part| part.parse().expect("a number"));
        redis.version = (parts.next().unwrap(), parts.next().unwrap());
        eprintln!("Redis {version}");
        Some(redis)
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

/// Keys expire when they are asked for, and not when one of the servers comes to it.
pub fn expire_lazily(client: &mut Client) {
    assert_eq!(client.call("DEBUG SET-ACTIVE-EXPIRE 0"), ok());
}
