//! From a configuration to a running server, and to its end.

pub mod args;
pub mod daemon;
pub mod load;
pub mod start;

/// The error that keeps the server from starting.
pub type AnyError = Box<dyn std::error::Error + Send + Sync>;
