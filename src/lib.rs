//! Mainstay: a durable primary database that speaks the Redis protocol.
#![warn(missing_docs)]

pub mod commands;
pub mod disk;
pub mod engine;
pub mod env;
pub mod keyspace;
pub mod log;
pub mod resp;
pub mod server;
