//! What a command sees while it runs.

use super::store::Store;
use crate::resp::Reply;

/// Directives that commands look at. The server fills it in and changes it at run time.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `proto-max-bulk-len`: no string grows beyond this many bytes.
    pub bulk_bytes_max: usize,
    /// Whether `maxmemory-policy` is one of the LFU policies, so that access words are LFU counters.
    pub lfu: bool,
    /// `lfu-log-factor`.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time` in minutes.
    pub lfu_decay_minutes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bulk_bytes_max: 512 * 1024 * 1024,
            lfu: false,
            lfu_log_factor: 10,
            lfu_decay_minutes: 1,
        }
    }
}

/// What a command sees while it runs: the keyspace through its [`Store`], the reply, the settings.
///
/// The parts are public fields so that a value borrowed from `store` can be written to `reply`.
pub struct Context<'a> {
    /// The keyspace, with the selected database, the time and the effects of this command.
    pub store: Store<'a>,
    /// Where the reply goes.
    pub reply: Reply<'a>,
    /// Directives.
    pub settings: &'a Settings,
    /// Uniformly distributed numbers; deterministic under test.
    pub random: &'a mut dyn FnMut() -> u64,
}
