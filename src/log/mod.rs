//! The log: the one order of all commands, and the only truth after a restart.
//!
//! A command takes three steps: [`Log::append`] puts its effect into the commit buffer, a *drain*
//! writes the buffer as frames into the current segment, and a *sync* makes them durable. Two
//! watermarks give the progress: [`Log::drained_lsn`] and [`Log::durable_lsn`].
//!
//! Threads:
//! - Connection threads append. Under `everysec` and `no` they also drain before they reply, with
//!   one positioned write for all commands in the buffer.
//! - One log thread does everything else, one [`Action`] at a time, as [`Log::next_action`]
//!   decides: it drains under `always`, syncs, rolls to the next segment, and heals after a
//!   failure.
//! - One background thread prepares the next segment ([`Log::prepare`]).
//! - A second background thread compresses retired segments ([`Log::compress_retired`]).
//!
//! This module starts no threads and takes the time from the [`Clock`](crate::env::Clock) that it
//! is given, so that a simulation drives the same steps.
//!
//! | files | purpose |
//! |---|---|
//! | `lsn`, `frame`, `segment`, `manifest`, `commit`, `time` | LSNs and the format of files |
//! | `options`, `retention`, `stats`, `summary`, `room` | settings, figures, disk space |
//! | `reader`, `recovery`, `read`, `scan`, `rebuilt`, `view` | reading a data set |
//! | `prepared`, `writer`, `base`, `salvage` | writing files |
//! | `directory`, `resume`, `start`, `open`, `create` | opening and creating a log |
//! | `state` | the log's state |
//! | `append`, `gate`, `worker`, `roll`, `prepare`, `close` | its operations |
//! | `compact`, `prune`, `retired` | compaction and retained files |

mod append;
pub mod base;
mod close;
mod commit;
mod compact;
mod create;
mod directory;
pub mod frame;
mod gate;
mod lsn;
pub mod manifest;
mod open;
mod options;
mod prepare;
mod prepared;
mod prune;
mod read;
pub mod reader;
mod rebuilt;
mod recovery;
mod resume;
mod retention;
mod retired;
mod roll;
pub mod room;
mod salvage;
pub mod scan;
pub mod segment;
mod start;
mod state;
mod stats;
mod summary;
mod threads;
mod time;
mod view;
mod worker;
mod writer;

pub use base::BaseWriter;
pub use create::{LeftoverData, create};
pub use directory::{LOCK_NAME, check_free, holds_data};
pub use frame::Lost;
pub use gate::{Gate, Passage};
pub use lsn::{Lsn, Timeline, TimelineId, Until};
pub use open::{attach, reread};
pub use options::{Durability, LAG_US_MAX, Options};
pub use rebuilt::RebuildReport;
pub use recovery::{Cut, OpenError, PreambleDamage, Recovery, Replay, Unclean, Unreplayable};
pub use retention::{PrunedFiles, Retention};
pub use retired::{CompressError, Compressed, open_retired};
pub use salvage::SalvageWriter;
pub use state::{Failure, Log};
pub use stats::SyncStats;
pub use view::View;
pub use worker::{Action, SyncTicket};
