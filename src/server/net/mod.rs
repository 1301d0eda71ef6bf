//! The network: sockets, connections, replies that wait for the log.

pub mod connection;
#[cfg(test)]
mod connection_tests;
pub mod cross_protocol;
pub mod listener;
pub mod names;
pub mod reply_gates;
