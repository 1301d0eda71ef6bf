//! The network: sockets, connections, replies and pushes that wait for the log.

pub mod connection;
#[cfg(test)]
mod connection_tests;
pub mod cross_protocol;
mod executor;
mod input;
pub mod listener;
mod mailbox;
pub mod names;
mod outbox;
#[cfg(test)]
mod push_tests;
pub mod reply_gates;
mod sender;
pub mod thread;
mod wait;
