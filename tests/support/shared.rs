//! What the tests of every program share.

use super::Client;
use mainstay::splitmix::SplitMix64;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Beyond this, a test has hung: it never decides what is right, only when to give up.
pub const PATIENCE: Duration = Duration::from_secs(60);

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

/// One field of `INFO`, but of the keyspace, which waits for what was written.
pub fn info(client: &mut Client, field: &str) -> String {
    let text = client.call("INFO server clients memory persistence stats replication").text();
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {field} in INFO:\n{text}")).to_owned()
}

/// Files that other people's servers wrote, if they are here: in the directory `MAINSTAY_TEST_CORPUS`, or else
/// `shared/corpus` beside the repository.
pub fn corpus() -> Option<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let usual = ["../shared/corpus", "../../shared/corpus"].map(|path| package.join(path));
    let named = std::env::var_os("MAINSTAY_TEST_CORPUS").map(PathBuf::from);
    let found = named.into_iter().chain(usual).find(|path| path.is_dir());
    if found.is_none() {
        // It is no part of the project, so nothing fails without it.
        eprintln!("SKIPPED: no corpus");
    }
    found
}

/// Bytes that do not compress.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = SplitMix64(seed);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
