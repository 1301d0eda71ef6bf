//! What the benchmarks of whole servers share: starting them, talking to them, comparing them.
//!
//! A `redis-server` beside ours is the one that `MAINSTAY_TEST_REDIS` names, or the one on the path.
#![allow(dead_code, reason = "each benchmark uses some of it")]

#[allow(unused_imports)] // Not every benchmark needs them.
pub use mainstay::splitmix::{SplitMix64 as Random, mixed};
use std::error::Error;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub type AnyError = Box<dyn Error>;

/// Where servers keep their files, emptied when it is made and removed when it is dropped: a folder in
/// `MAINSTAY_BENCH_DIR`, by default below the build directory.
pub struct WorkDir(pub PathBuf);

impl WorkDir {
    pub fn new(name: &str) -> Result<Self, AnyError> {
        let dir = std::env::var_os("MAINSTAY_BENCH_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from)
            .join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Our binary, built in the same profile as the benchmark.
pub fn ours() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_mainstay-server"))
}

/// A real Redis and what it says of its version, if there is one.
pub fn redis() -> Option<(PathBuf, String)> {
    let path = std::env::var_os("MAINSTAY_TEST_REDIS").unwrap_or("redis-server".into());
    let version = Command::new(&path).arg("--version").output().ok()?.stdout;
    Some((path.into(), String::from_utf8_lossy(&version).trim().to_owned()))
}

/// A number from the environment.
pub fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The one in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A running server; killed when dropped.
pub struct Server {
    pub name: &'static str,
    pub port: u16,
    process: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// Starts a server with a folder of its own below `dir` and waits until it takes connections.
    pub fn start(
        name: &'static str,
        binary: &Path,
        dir: &Path,
        options: &[&str],
    ) -> Result<Self, AnyError> {
        let folder = dir.join(name.replace(' ', "-"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        Self::resume(name, binary, dir, options)
    }

    /// As [`Server::start`], with what an earlier one has left in the folder.
    pub fn resume(
        name: &'static str,
        binary: &Path,
        dir: &Path,
        options: &[&str],
    ) -> Result<Self, AnyError> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let dir = dir.join(name.replace(' ', "-"));
        let process = Command::new(binary)
            .args([OsString::from("--port"), port.to_string().into()])
            .args([OsString::from("--dir"), dir.into()])
            .args(options)
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self { name, port, process };
        for _ in 0..5000 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(format!("{name} did not start").into())
    }

    /// As [`Server::start`], with all data in memory only.
    pub fn in_memory(name: &'static str, binary: &Path, dir: &Path) -> Result<Self, AnyError> {
        Self::start(name, binary, dir, &["--appendonly", "no", "--save", ""])
    }

    /// A new connection.
    pub fn client(&self) -> Result<Client, AnyError> {
        let socket = TcpStream::connect(("127.0.0.1", self.port))?;
        socket.set_nodelay(true)?;
        Ok(Client { socket, buffer: vec![0; 1 << 20] })
    }

    /// Memory of the process and its children that no file backs, each page divided by those who share it, in
    /// bytes (`Pss` less `Pss_File`).
    pub fn private_pss_bytes(&self) -> Result<f64, AnyError> {
        let parent = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        let mut bytes = 0.0;
        for process in std::iter::once(parent).chain(children) {
            // A child may have ended meanwhile.
            let Ok(text) = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")) else {
                continue;
            };
            let field = |name: &str| -> f64 {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                let kib = line.and_then(|line| line.split_whitespace().next());
                kib.and_then(|kib| kib.parse().ok()).unwrap_or(0.0)
            };
            bytes += (field("Pss:") - field("Pss_File:")) * 1024.0;
        }
        Ok(bytes)
    }

    /// Asks the server to end, and waits until it has.
    pub fn shut_down(mut self) -> Result<(), AnyError> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
        socket.write_all(b"SHUTDOWN NOSAVE\r\n")?;
        self.process.wait()?;
        Ok(())
    }

    /// Anonymous memory that is resident, in bytes.
    pub fn anonymous_rss_bytes(&self) -> Result<f64, AnyError> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.ok_or("no RssAnon in /proc")?.parse::<f64>()? * 1024.0)
    }
}

/// Requests as they go over the wire.
#[derive(Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
}

impl Batch {
    /// Adds a command.
    pub fn push<T: AsRef<[u8]>>(&mut self, words: &[T]) {
        let out = &mut self.bytes;
        let _ = write!(out, "*{}\r\n", words.len());
        for word in words {
            let _ = write!(out, "${}\r\n", word.as_ref().len());
            out.extend_from_slice(word.as_ref());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// What ends the replies to a batch: the reply to an `ECHO` of something that no data contains.
const END: &str = "~end of the batch~";

/// A connection that sends batches and reads past their replies.
pub struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Sends a batch and reads until all of it is answered. Replies are not parsed, or the client would
    /// take longer than the server. Gives the beginning of the first.
    pub fn run(&mut self, mut batch: Batch) -> Result<Vec<u8>, AnyError> {
        batch.push(&["ECHO", END]);
        let end = format!("${}\r\n{END}\r\n", END.len());
        let mut requests = self.socket.try_clone()?;
        // Somebody else writes: a server that is not read from may stop reading.
        let writer = std::thread::spawn(move || requests.write_all(&batch.bytes));
        let (mut first, mut tail) = (Vec::new(), Vec::new());
        loop {
            let count = self.socket.read(&mut self.buffer)?;
            if count == 0 {
                return Err("the server closed the connection".into());
            }
            let got = &self.buffer[..count];
            if first.len() < 100 {
                first.extend_from_slice(&got[..count.min(100)]);
            }
            tail.extend_from_slice(&got[count.saturating_sub(end.len())..]);
            tail.drain(..tail.len().saturating_sub(end.len()));
            if tail == end.as_bytes() {
                writer.join().map_err(|_| "the writer panicked")??;
                return Ok(first);
            }
        }
    }

    /// Sends one command and gives its reply, which must be text (`INFO`).
    pub fn text(&mut self, words: &[&str]) -> Result<String, AnyError> {
        Ok(String::from_utf8(self.bulk(words)?)?)
    }

    /// Sends one command and gives its reply, which must be a bulk string.
    pub fn bulk(&mut self, words: &[&str]) -> Result<Vec<u8>, AnyError> {
        let mut batch = Batch::default();
        batch.push(words);
        self.socket.write_all(&batch.bytes)?;
        let mut reply: Vec<u8> = Vec::new();
        loop {
            let count = self.socket.read(&mut self.buffer)?;
            if count == 0 {
                return Err("the server closed the connection".into());
            }
            reply.extend_from_slice(&self.buffer[..count]);
            let Some(header) = reply.iter().position(|byte| *byte == b'\n') else { continue };
            let head = std::str::from_utf8(&reply[..header])?.trim();
            let len: usize = head.strip_prefix('$').ok_or(head)?.parse()?;
            if reply.len() >= header + 1 + len + 2 {
                return Ok(reply[header + 1..header + 1 + len].to_vec());
            }
        }
    }

    /// A numeric field of a section of `INFO`.
    pub fn info(&mut self, section: &str, field: &str) -> Result<f64, AnyError> {
        let text = self.text(&["INFO", section])?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(line.ok_or_else(|| format!("no {field} in INFO {section}"))?.trim().parse()?)
    }
}
