//! A server that is told to end does so, whatever its other tasks are about to do.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server, killed if the test fails.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if let Some(done) = attempt() {
            return done;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what}: not within 20 s");
}

#[test]
fn a_server_ends_with_expiry_cycles_under_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let address = free.expect("a free port");
    let data = dir.path().join("data");
    // Cycles follow each other so closely that one wants the engine while the server ends.
    let child = Command::new(env!("CARGO_BIN_EXE_mainstay-server"))
        .args(["--port", &address.port().to_string(), "--hz", "500", "--dir"])
        .arg(&data)
        .stdout(Stdio::null())
        .spawn();
    let mut server = Server(child.expect("the server starts"));
    let mut client = until("connecting", || TcpStream::connect(address).ok());
    client.write_all(b"SET a b PX 1\r\n").expect("the server reads");
    let mut reply = [0; 5];
    client.read_exact(&mut reply).expect("the server replies");
    assert_eq!(&reply, b"+OK\r\n");
    client.write_all(b"SHUTDOWN\r\n").expect("the server reads");
    let status = until("ending", || server.0.try_wait().expect("a child can be waited for"));
    assert!(status.success(), "{status}");
    let lock = std::fs::read(data.join("mainstay/lock")).expect("the lock file stays");
    assert!(lock.is_empty(), "the log was not closed");
}
