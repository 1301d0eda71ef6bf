//! The log: one order for everything, and the truth after a restart.
//!
//! The way of a command: [`Log::append`] puts its effect into the commit buffer, a *drain* turns what
//! has gathered into frames of the current segment, a *sync* makes them durable. Two watermarks say
//! how far each has come: [`Log::drained_lsn`] and [`Log::durable_lsn`].
//!
//! Who does what:
//! - Connection threads append. Under `everysec` and `no` they also drain before they reply, with one
//!   positioned write for all commands that gathered.
//! - One log thread does everything else, one [`Action`] at a time, as [`Log::next_action`] says: it
//!   drains under `always`, syncs, rolls to the next segment, and heals after a failure.
//! - One background thread prepares the next segment ([`Log::prepare`]).
//! - Another one compresses retired segments ([`Log::compress_retired`]).
//!
//! Nothing here starts a thread or looks at a clock of its own: a simulation drives the same steps.

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
