//! Commands about the process and its connections, a file a family.
//!
//! A family's file declares its rows, each with the function that carries it out. [`TABLE`] joins
//! them with the commands on data and those of transactions.

pub mod client;
mod config;
mod connection;
pub mod connection_state;
mod debug;
pub mod facts;
mod info;
mod latency;
mod memory;
pub mod migrate;
mod persistence;
mod replication;
pub mod slowlog;

pub use connection_state::ConnectionState;

use crate::commands::Flags;
use crate::session::{self, Table};
use std::sync::LazyLock;

/// All commands.
pub static TABLE: LazyLock<Table<ConnectionState>> = LazyLock::new(|| {
    Table::new(&[
        &client::COMMANDS,
        &config::COMMANDS,
        &connection::COMMANDS,
        &debug::COMMANDS,
        &info::COMMANDS,
        &latency::COMMANDS,
        &migrate::COMMANDS,
        &persistence::COMMANDS,
        &replication::COMMANDS,
        &slowlog::COMMANDS,
    ])
});

/// A command that needs the engine.
type Call<'c, 'u, 'e> = session::Call<'c, 'u, 'e, ConnectionState>;
/// A command that needs no engine.
type Free<'c> = session::FreeCall<'c, ConnectionState>;

/// Allowed in any state of the data.
const ALWAYS: Flags = Flags::LOADING.with(Flags::STALE);
/// Also, for administrators, and of no use to a script.
const ALWAYS_ADMIN: Flags = ALWAYS.with(Flags::ADMIN).with(Flags::NOSCRIPT);
const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
