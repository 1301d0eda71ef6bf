//! A server of ours.

use super::{Client, PATIENCE, eventually, free_port, status};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The server's program, which lies beside the tool's.
fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_mainstay-tool")).with_file_name("mainstay-server");
    assert!(path.is_file(), "{} is missing: `cargo build` makes it", path.display());
    path
}

/// A server that runs.
pub struct Server {
    child: Child,
    /// Its port.
    pub port: u16,
}

impl Server {
    /// Starts one with its data in `dir`, and waits until it is ready.
    pub fn start(dir: &Path, directives: &[&str]) -> Self {
        // Another process may take the port before the server does.
        for _ in 0..10 {
            let port = free_port();
            let mut command = Command::new(program());
            command.arg("--port").arg(port.to_string()).arg("--dir").arg(dir).args(directives);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut server = Self { child: command.spawn().expect("started"), port };
            let ready = eventually("the server gets ready or ends", || {
                if server.child.try_wait().expect("waited").is_some() {
                    return Some(false);
                }
                let mut client = Client::try_connect(port).ok()?;
                (client.call("PING") == status("PONG")).then_some(true)
            });
            if ready {
                return server;
            }
        }
        panic!("the server does not start on {}", dir.display())
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// Where it is, for the tool.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it in order.
    pub fn stop(mut self) {
        self.client().send("SHUTDOWN");
        let ended = eventually("the server ends", || self.child.try_wait().expect("waited"));
        assert!(ended.success(), "within {PATIENCE:?}: {ended}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
