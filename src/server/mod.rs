//! Connections, sessions, configuration and metrics: all that faces the network.
//!
//! A connection lives on one of `io-threads` threads, each with a runtime of its own. It parses its
//! pipeline without a lock, takes the engine for a bounded batch, and holds the replies back until the
//! log lets them pass ([`waiters`]). Connection threads are the only ones that take the engine.

pub mod admin;
pub mod args;
pub mod background;
pub mod client;
pub mod clients;
pub mod config;
pub mod connection;
#[cfg(test)]
mod connection_tests;
pub mod cross_protocol;
pub mod daemon;
pub mod descriptors;
pub mod facts;
pub mod info;
pub mod late;
pub mod latency;
pub mod listener;
pub mod load;
pub mod logger;
pub mod memory;
pub mod migrate;
pub mod names;
pub mod panic;
pub mod run;
pub mod saves;
pub mod shared;
pub mod slowlog;
pub mod waiters;
