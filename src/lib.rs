//! Mainstay: a durable primary database that speaks the Redis protocol.
#![warn(missing_docs)]

pub mod commands;
pub mod keyspace;
pub mod resp;
pub mod server;
