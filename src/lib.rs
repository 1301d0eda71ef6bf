//! Mainstay: a durable primary database that speaks the Redis protocol.
#![warn(missing_docs)]

pub mod keyspace;
pub mod server;
