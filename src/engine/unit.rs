//! A unit: what is executed together, logged in one frame or not at all, and shown together.

use super::{EFFECTS_BYTES_MAX, Guard, State};
use crate::commands::spec::DataHandler;
use crate::commands::store::{Access, BlockRequest, ExpiryMode, Store};
use crate::commands::{CommandError, CommandResult, Context};
use crate::log::Lsn;
use crate::resp::{Args, Output, Protocol, Reply};
use std::ops::{Deref, DerefMut};

/// What most commands are answered with while the data are being loaded.
pub const LOADING: CommandError =
    CommandError::fixed("LOADING Mainstay is loading the dataset in memory");

/// What a unit did, as far as its reply is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The highest LSN that the reply depends on.
    pub lsn: Lsn,
    /// Whether it changed something. If the log fails before that is durable, its outcome is
    /// unknown.
    pub wrote: bool,
    /// Whether the reply is an error.
    pub failed: bool,
}

/// What a command on data needs to know of its client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The selected database.
    pub db: usize,
    /// The protocol that the reply is written in.
    pub protocol: Protocol,
    /// `CLIENT NO-TOUCH on`: its reads do not count as accesses.
    pub no_touch: bool,
}

/// What a command on data gives back beside its reply.
pub struct Ran {
    /// Success, or the error reply.
    pub result: CommandResult,
    /// The database that is selected then.
    pub db: usize,
    /// The command found nothing and asks to wait.
    pub block: Option<BlockRequest>,
}

/// A unit that is open: a command, a transaction, or work of the server's own. It ends when it is
/// dropped; [`Unit::end`] also gives what its reply waits for. A panic within it discards it, and
/// poisons the engine.
pub struct Unit<'u, 'e> {
    engine: &'u mut Guard<'e>,
    /// Where its effects begin.
    start: usize,
    is_open: bool,
}

impl<'e> Guard<'e> {
    /// Begins a unit.
    pub fn unit(&mut self) -> Unit<'_, 'e> {
        self.paused = self.engine.conditions.pause(self.now_ms).is_some();
        self.refusing = self.state.log.as_ref().is_some_and(|log| log.is_refusing());
        let unit = &mut self.state.unit;
        unit.effect_count = 0;
        unit.touched.clear();
        unit.touched_all = false;
        unit.depends_on_lsn = 0;
        unit.depends_on_all = false;
        unit.may_block = true;
        let start = unit.effects.len();
        Unit { engine: self, start, is_open: true }
    }

    /// Refuses a write while the log takes none, or the server asks for that.
    ///
    /// # Errors
    /// The error reply, with the cause.
    pub fn check_writable(&self) -> Result<(), CommandError> {
        if let Some(refusal) = &self.state.write_refusal {
            return Err(refusal.clone());
        }
        if !self.refusing {
            return Ok(());
        }
        // It may have healed since the unit began; then there is no cause to name any more.
        let cause = self.state.log.as_ref().and_then(|log| log.refusal());
        Err(misconf(&cause.unwrap_or_else(|| "they were refused a moment ago".to_owned())))
    }

    /// While the log takes no writes or clients are paused, expired keys are hidden and stay. As
    /// [`Guard::check_writable`] this is decided once for a unit: one that may write also states
    /// what it deletes, although the log may fail meanwhile, or replaying it would meet keys that
    /// were not there.
    pub(super) fn expiry_mode(&self) -> ExpiryMode {
        if self.refusing || self.paused { ExpiryMode::Hide } else { ExpiryMode::Delete }
    }

    /// Runs the handler of a command on data.
    pub(super) fn run_data(
        &mut self,
        handler: DataHandler,
        caller: Caller,
        args: Args<'_>,
        reply: &mut Output,
    ) -> Ran {
        let now_ms = self.now_ms;
        let expiry_mode = self.expiry_mode();
        let state = &mut *self.state;
        let access = (!caller.no_touch).then(|| state.access(now_ms));
        let (keyspace, unit) = (&mut state.keyspace, &mut state.unit);
        let store = Store::new(keyspace, unit, caller.db, now_ms, expiry_mode, access);
        let mut context = Context {
            store,
            reply: Reply::new(reply, caller.protocol),
            settings: &state.settings,
            random: &mut *state.random,
        };
        let result = handler(&mut context, args);
        let db = context.store.db;
        Ran { result, db, block: state.unit.block.take() }
    }
}

impl Unit<'_, '_> {
    /// Runs a command on data.
    pub fn run(
        &mut self,
        handler: DataHandler,
        caller: Caller,
        args: Args<'_>,
        reply: &mut Output,
    ) -> Ran {
        self.engine.run_data(handler, caller, args, reply)
    }

    /// Forbids its commands to wait: they are parts of a whole.
    pub fn forbid_blocking(&mut self) {
        self.engine.state.unit.may_block = false;
    }

    /// Begins the part of the unit that is not divided: until [`Unit::end_whole`] nothing of it
    /// goes to the log.
    pub fn begin_whole(&mut self) {
        self.forbid_blocking();
        self.engine.in_exec = true;
    }

    /// Ends what [`Unit::begin_whole`] began. Several effects are put between `MULTI` and `EXEC`,
    /// so that a replica shows all or none of them. (In the log they are in one frame either way.)
    pub fn end_whole(&mut self) {
        self.engine.in_exec = false;
        let unit = &mut self.engine.state.unit;
        if unit.effect_count < 2 {
            return;
        }
        let mut multi = Vec::new();
        crate::resp::write_command(&mut multi, &[b"MULTI"]);
        unit.effects.splice(self.start..self.start, multi);
        crate::resp::write_command(&mut unit.effects, &[b"EXEC"]);
    }

    /// Ends the unit: readers of what it wrote wait for its end. Gives what its reply waits for.
    /// Clients that wait for what it changed are served.
    pub fn end(mut self) -> Outcome {
        self.close()
    }

    fn close(&mut self) -> Outcome {
        self.is_open = false;
        let state = &mut *self.engine.state;
        let unit = &mut state.unit;
        let bytes = unit.effects.len().saturating_sub(self.start);
        if bytes > 0 {
            state.lsn += bytes as u64;
            unit.depends_on_lsn = state.lsn;
            state.changes += unit.effect_count as u64;
            for slot in unit.touched.drain(..) {
                state.keyspace.last_writes.wrote(slot, state.lsn);
            }
            if unit.touched_all {
                state.keyspace.last_writes.raise_floor(state.lsn);
            }
        }
        let lsn = if unit.depends_on_all { state.lsn } else { unit.depends_on_lsn };
        self.engine.queue_pushes();
        self.engine.serve_blocked_clients();
        if self.engine.state.unit.effects.len() >= EFFECTS_BYTES_MAX {
            self.engine.flush_effects();
        }
        Outcome { lsn, wrote: bytes > 0, failed: false }
    }
}

impl Drop for Unit<'_, '_> {
    fn drop(&mut self) {
        if self.is_open && !std::thread::panicking() {
            self.close();
        }
    }
}

impl<'e> Deref for Unit<'_, 'e> {
    type Target = Guard<'e>;

    fn deref(&self) -> &Guard<'e> {
        self.engine
    }
}

impl<'e> DerefMut for Unit<'_, 'e> {
    fn deref_mut(&mut self) -> &mut Guard<'e> {
        self.engine
    }
}

impl Guard<'_> {
    /// What a reply becomes that depends on `lsn`, while the log has failed and that is not durable
    /// and may never be: an error.
    pub fn undurable(&self, lsn: Lsn) -> Option<CommandError> {
        let log = self.state.log.as_ref()?;
        let is_shown = !log.has_failed() || lsn <= log.durable_lsn();
        (!is_shown).then(|| misconf(&log.refusal().unwrap_or_default()))
    }
}

impl State {
    /// How accesses are noted now.
    pub(super) fn access(&mut self, now_ms: i64) -> Access {
        if self.settings.lfu {
            Access::Lfu {
                minutes: (now_ms / 60_000) as u16,
                random: (self.random)() as u32,
                log_factor: self.settings.lfu_log_factor,
                decay_minutes: self.settings.lfu_decay_minutes,
            }
        } else {
            Access::Lru((now_ms / 1000) as u32 & 0x00ff_ffff)
        }
    }
}

/// The error for a write that the log cannot take.
pub(super) fn misconf(cause: &str) -> CommandError {
    CommandError::new(format!("MISCONF Errors writing to the log: {cause}"))
}
