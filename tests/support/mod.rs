//! What the tests of the real binary share: servers in temporary directories, and a client that
//! speaks RESP without a library's opinions about it.

#![allow(dead_code, unused_imports)] // No test file uses all of it.

mod client;
mod contents;
mod redis;
mod server;
mod shared;

pub use mainstay::splitmix::SplitMix64 as Random;

pub use client::{Client, Value, array, bulk, error, int, ok, status, words};
pub use contents::{LIBRARY, assert_same_contents, contents, fill};
pub use redis::Redis;
pub use server::{Server, Setup, run_to_end};
pub use shared::{PATIENCE, command_exists, corpus, eventually, free_port, info, noise, skip};

/// Whether the long form of the tests was asked for.
pub fn full_scale() -> bool {
    std::env::var("MAINSTAY_TEST_SCALE").is_ok_and(|scale| scale == "full")
}

/// The seed of a random test: fixed, unless `MAINSTAY_TEST_SEED` says otherwise.
pub fn seed(usual: u64) -> u64 {
    let given = std::env::var("MAINSTAY_TEST_SEED");
    let seed = given.map_or(usual, |text| text.parse().expect("MAINSTAY_TEST_SEED is a number"));
    eprintln!("seed {seed}");
    seed
}
