//! The server as parts, each handed to those that need it.

pub mod clients;
pub mod clock;
pub mod descriptors;
pub mod listeners;
pub mod memory;
pub mod shared;
pub mod slowlog;
