//! What the tests of the real binary share: the tool, servers of ours and of Redis, directories in between.

#![allow(dead_code, unused_imports)] // No test file uses all of it.

#[path = "../../../tests/support/client.rs"]
mod client;
#[path = "../../../tests/support/contents.rs"]
mod contents;
#[path = "../../../tests/support/redis.rs"]
mod redis;
mod server;
mod timed;

pub use client::{Client, Value, array, bulk, error, int, ok, status, words};
pub use contents::{LIBRARY, fill};
pub use redis::Redis;
pub use server::Server;
pub use timed::{DataSet, START_MS};

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Beyond this, a test has hung: it never decides what is right, only when to give up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The tool with these arguments, run to its end.
pub fn tool<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay-tool"));
    command.args(arguments).stdin(Stdio::null()).output().expect("started")
}

/// The standard output of the tool, which must end with this code.
pub fn tool_says<A: AsRef<std::ffi::OsStr>>(code: i32, arguments: &[A]) -> String {
    let output = tool(arguments);
    let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{}\n{out}{err}", words.join(" "));
    out
}

/// The standard output of the tool with `--json`, which must end with this code.
pub fn tool_json(code: i32, arguments: &[&str]) -> serde_json::Value {
    let out = tool_says(code, &[arguments, &["--json"]].concat());
    serde_json::from_str(&out).expect("the output is JSON")
}

/// Dump files that other servers wrote: `MAINSTAY_TEST_CORPUS`, or where they are by default.
pub fn corpus() -> Option<PathBuf> {
    let path = match std::env::var_os("MAINSTAY_TEST_CORPUS") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"),
    };
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there", path.display());
    None
}

/// All files below a directory, with their bytes.
pub fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).expect("read"));
        }
    }
    found
}

/// A port of the loopback interface that nobody uses now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Whether a program is installed.
pub fn command_exists(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
}

/// Says that a test did not run, or fails where nothing may be skipped.
pub fn skip(what: &str, missing: &str) {
    assert!(std::env::var("CI").is_err(), "{what}: {missing}, which CI must have");
    eprintln!("SKIPPED: {what}: {missing}");
}

/// Waits until `done` gives something.
pub fn eventually<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One field of `INFO`.
pub fn info(client: &mut Client, field: &str) -> String {
    let text = client.call("INFO").text();
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {field} in INFO:\n{text}")).to_owned()
}

/// Bytes that do not compress (splitmix64).
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
