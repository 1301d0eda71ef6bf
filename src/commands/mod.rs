//! The commands: one file a family, one table that declares them all.
//!
//! A command is a function of a [`Context`] and its arguments. It changes the keyspace through
//! [`Store`], writes its reply, and states its *effect*: the deterministic command that the log
//! carries and that brings a copy of the keyspace to the same state.

pub mod context;
pub mod error;
pub mod spec;
pub mod store;
pub mod table;

pub use context::{Context, Settings};
pub use error::CommandError;
pub use spec::{Arity, Flags, Handler, KeySpec, Spec};
pub use store::{ExpiryMode, Key, Store, Unit};

/// What a command's function gives back; an error replaces whatever it has replied so far.
pub type CommandResult = Result<(), CommandError>;
