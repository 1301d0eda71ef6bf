//! Commands about the process and its connections, a file a family.

pub mod admin;
pub mod client;
pub mod facts;
pub mod info;
pub mod late;
pub mod latency;
pub mod memory;
pub mod migrate;
pub mod slowlog;
