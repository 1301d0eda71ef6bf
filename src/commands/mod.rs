//! The commands: one file a family, one table that declares them all.
//!
//! A command is a function of a [`Context`] and its arguments. It changes the keyspace through
//! [`Store`], writes its reply, and states its *effect*: the deterministic command that the log
//! carries and that brings a copy of the keyspace to the same state.

pub mod bitmaps;
pub mod command;
pub mod connection;
pub mod context;
pub mod databases;
mod docs;
pub mod dump;
#[cfg(test)]
mod effects_tests;
mod elements;
mod ends;
pub mod error;
pub mod expire;
mod flags;
pub mod generic;
pub mod geo;
pub mod glob;
pub mod hashes;
pub mod hyperloglog;
mod key_spec;
pub mod keys;
pub mod lists;
pub mod long_double;
pub mod memory;
pub mod numbers;
pub mod object;
#[cfg(test)]
pub(crate) mod replay_tests;
pub mod scan;
pub mod server;
pub mod sets;
pub mod sort;
pub mod sorted_sets;
pub mod spec;
pub mod store;
pub mod streams;
pub mod strings;
pub mod syntax;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;

pub use context::{Context, Settings};
pub use error::CommandError;
pub use keys::keys;
pub use spec::{Arity, Directory, Flags, FoundKey, Handler, KeySpec, Keys, Spec};
pub use store::{ExpiryMode, Key, Store, Unit};
pub use table::DATA;

use crate::resp::Reply;

/// What a command's function gives back; an error replaces whatever it has replied so far.
pub type CommandResult = Result<(), CommandError>;

/// Writes what `<name> HELP` gives: `lines` in pairs of a subcommand and what it does.
pub fn reply_help(reply: &mut Reply<'_>, name: &str, lines: &[&str]) {
    reply.array(lines.len() + 3);
    reply.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for line in lines.iter().chain(&["HELP", "    Print this help."]) {
        reply.simple(line);
    }
}
