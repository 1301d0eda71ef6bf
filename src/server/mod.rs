//! The server: the process, the network, and the commands about both.
//!
//! A connection lives on one of `io-threads` threads, each with a runtime of its own. It parses its
//! pipeline without a lock, takes the engine for a bounded batch, and holds the replies back until the
//! log lets them pass ([`net::reply_gates`]). Connection threads are the only ones that take the
//! engine.
//!
//! | room | holds |
//! |---|---|
//! | [`process`] | start, arguments, daemon, load, end |
//! | [`net`] | listener, connection, reply gates |
//! | [`commands`] | what concerns the process and its connections, a file a family |
//! | [`tasks`] | what runs by the clock: snapshots, saves, expiry |
//! | [`state`] | the server as a few parts |
//! | [`logger`], [`mod@panic`] | the server's own log, the end of the process after a panic |
//! | [`config`] | the one table of directives |

pub mod commands;
pub mod config;
pub mod logger;
pub mod net;
pub mod panic;
pub mod process;
pub mod state;
pub mod tasks;
