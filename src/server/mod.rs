//! Connections, sessions, configuration and metrics: all that faces the network.

pub mod args;
pub mod config;
pub mod daemon;
pub mod logger;
