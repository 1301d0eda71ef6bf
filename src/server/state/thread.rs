//! One I/O thread, as the rest of the server sees it.

use crate::server::net::reply_gates::ReplyGates;
use crate::session::Stats;
use parking_lot::Mutex;

/// One I/O thread, as the rest of the server sees it.
#[derive(Default)]
pub struct Thread {
    /// Replies of its connections that wait for the log.
    pub gates: ReplyGates,
    /// What its connections have counted of commands.
    pub stats: Mutex<Stats>,
}
