//! What a command sees while it runs.

use super::CommandError;
use super::numbers::int32;
use super::spec::Directory;
use super::store::{Access, BlockRequest, Store, Wants};
use crate::data::Limits;
use crate::resp::{Args, OwnedArgs, Reply};

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
    /// `rdbcompression`: whether `DUMP` compresses strings.
    pub rdb_compression: bool,
    /// `latency-tracking`: whether it is noted how long each call of a command takes.
    pub latency_tracking: bool,
    /// `slowlog-log-slower-than`: commands that take so many µs or more are noted; `None` for none.
    pub slow_from_us: Option<u64>,
    /// Thresholds of encodings.
    pub limits: Limits,
    /// The commands that there are, for `COMMAND`. The engine keeps its first one.
    pub directory: &'static Directory,
}

impl Settings {
    /// The same for replaying a log: what was once accepted is replayed, whatever is accepted
    /// today.
    pub fn replaying(&self) -> Self {
        let mut settings = self.clone();
        settings.bulk_bytes_max = usize::MAX / 4;
        // The log says when a HyperLogLog became dense.
        settings.limits.hyperloglog_sparse_bytes = usize::MAX;
        settings
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

impl Context<'_> {
    /// Ends a command that has found nothing: it waits until one of `keys` holds what it `wants`, and
    /// then runs again from the start, as often as it takes. `args` are the whole command's, and `timeout_ms` is
    /// 0 to wait for ever. In a transaction nothing waits: the reply is the null array of a timeout.
    pub fn block<'k>(
        &mut self,
        wants: Wants,
        keys: impl Iterator<Item = &'k [u8]>,
        timeout_ms: u64,
        args: Args<'_>,
    ) {
        if self.store.may_block() {
            self.block_as(wants, keys, timeout_ms, args.to_owned());
        } else {
            self.reply.null_array();
        }
    }

    /// As [`Context::block`] for a command that may wait, with another command to run then.
    pub fn block_as<'k>(
        &mut self,
        wants: Wants,
        keys: impl Iterator<Item = &'k [u8]>,
        timeout_ms: u64,
        args: OwnedArgs,
    ) {
        let keys = keys.map(Box::from).collect();
        let timeout_ms = Some(timeout_ms).filter(|&ms| ms > 0);
        self.store.block(BlockRequest { wants, keys, timeout_ms, args });
    }

    /// An argument as the number of a database that exists.
    ///
    /// # Errors
    /// If it is not a number, or there is no such database.
    pub fn database_index(&self, arg: &[u8]) -> Result<usize, CommandError> {
        self.existing_database(int32(arg)?)
    }

    /// `index` as the number of a database that exists.
    ///
    /// # Errors
    /// If there is no such database.
    pub fn existing_database(&self, index: i32) -> Result<usize, CommandError> {
        usize::try_from(index)
            .ok()
            .filter(|&index| index < self.store.database_count())
            .ok_or(CommandError::DB_OUT_OF_RANGE)
    }

    /// Refuses a string that would grow beyond `proto-max-bulk-len`: `len` bytes and `more`.
    ///
    /// # Errors
    /// If it would.
    pub fn check_string_len(&self, len: usize, more: usize) -> Result<(), CommandError> {
        match len.checked_add(more) {
            Some(total) if total <= self.settings.bulk_bytes_max => Ok(()),
            _ => Err(CommandError::STRING_TOO_LONG),
        }
    }

    /// The clock of access words as of now, also for a connection whose accesses do not count.
    pub fn access_clock(&self) -> Access {
        if self.settings.lfu {
            Access::Lfu {
                minutes: (self.store.now_ms / 60_000) as u16,
                random: 0,
                log_factor: self.settings.lfu_log_factor,
                decay_minutes: self.settings.lfu_decay_minutes,
            }
        } else {
            Access::Lru((self.store.now_ms / 1000) as u32 & 0x00ff_ffff)
        }
    }
}
