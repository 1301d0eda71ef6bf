//! RDB files: those of other servers, and those that other servers load.
//!
//! `MAINSTAY_TEST_CORPUS` is a directory of dump files that many versions of Redis and Valkey have written, if not
//! `../shared/corpus`; without one, its tests are left out. What the files hold is compared with the `.json` beside
//! them, or with what a real Redis 7.4 loads (`MAINSTAY_TEST_REDIS`).

mod contents;
mod corpus;
mod exchange;
mod json;
mod server;
#[path = "../support/mod.rs"]
mod support;
