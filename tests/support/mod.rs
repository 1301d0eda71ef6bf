//! What the tests of the real binary share: servers in temporary directories, and a client that
//! speaks RESP without a library's opinions about it.

#![allow(dead_code, unused_imports)] // No test file uses all of it.

mod client;
mod contents;
mod redis;
mod server;

pub use client::{Client, Value, array, bulk, error, int, ok, status, words};
pub use contents::{LIBRARY, assert_same_contents, contents, fill};
pub use redis::Redis;
pub use server::{Server, Setup, command_exists, free_port, info, run_to_end};

use std::time::{Duration, Instant};

/// Beyond this, a test has hung: it never decides what is right, only when to give up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the long form of the tests was asked for.
pub fn full_scale() -> bool {
    std::env::var("MAINSTAY_TEST_SCALE").is_ok_and(|scale| scale == "full")
}

/// A folder of files that other people's servers wrote, if it is here: that of `MAINSTAY_TEST_CORPUS`, or else
/// `../shared/corpus`.
pub fn corpus() -> Option<std::path::PathBuf> {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus");
    let path = std::env::var("MAINSTAY_TEST_CORPUS").unwrap_or_else(|_| usual.into());
    let path = std::path::PathBuf::from(path);
    if !path.is_dir() {
        // It is no part of the project, so nothing fails without it.
        eprintln!("SKIPPED: no corpus at {}", path.display());
        return None;
    }
    Some(path)
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

/// A small generator of numbers that a seed determines (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of them.
    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// The seed of a random test: fixed, unless `MAINSTAY_TEST_SEED` says otherwise.
pub fn seed(usual: u64) -> u64 {
    let given = std::env::var("MAINSTAY_TEST_SEED");
    let seed = given.map_or(usual, |text| text.parse().expect("MAINSTAY_TEST_SEED is a number"));
    eprintln!("seed {seed}");
    seed
}

/// Bytes that do not compress.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
