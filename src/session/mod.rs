//! The way of a request: resolve, its gates, queue or run, `EXEC`, statistics.
//!
//! | file | holds |
//! |---|---|
//! | `request` | the way itself, one function to read from top to bottom |
//! | `table` | a row for each command, with the function that carries it out |
//! | `transaction` | `MULTI`, `EXEC`, `WATCH` |
//! | `state` | what is remembered of a client between its commands |
//! | `observe` | counts, times, slow commands |
//! | `later` | replies within `EXEC` that are made once the engine is free |
//! | `client` | a client without a connection |

mod client;
mod later;
mod observe;
mod request;
mod state;
mod steps;
mod table;
#[cfg(test)]
mod tests;
mod transaction;

pub use client::{COMMANDS, Client};
pub use later::Later;
pub use observe::{CommandStat, Latency, Observed, Observing, Slow, Stats};
pub use request::{FreeOutcome, Origin, Request, Way, observing, paused_until_ms};
pub use state::{Session, Visible};
pub use table::{Call, FreeCall, Row, Run, Table};
