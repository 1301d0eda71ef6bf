//! Executing one command.

use super::{EFFECTS_BYTES_MAX, Guard, Session, Slow, State};
use crate::commands::spec::{DataHandler, EngineCommand, ServerCommand};
use crate::commands::store::{Access, ExpiryMode, Store};
use crate::commands::{CommandError, CommandResult, Context, Flags, Handler, Spec};
use crate::log::Lsn;
use crate::resp::{Args, Protocol, Reply};

/// Of one batch, not more commands are noted as slow.
const SLOW_MAX: usize = 1024;

/// What most commands are answered with while the data are being loaded.
pub const LOADING: CommandError =
    CommandError::fixed("LOADING Mainstay is loading the dataset in memory");

/// What a command did, as far as its reply is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The highest LSN that the reply depends on.
    pub lsn: Lsn,
    /// Whether it changed something. If the log fails before that is durable, its outcome is unknown.
    pub wrote: bool,
    /// Whether the reply is an error.
    pub failed: bool,
}

/// Whoever carries out the commands that concern connections and the process.
pub trait ServerCommands {
    /// Carries one out.
    ///
    /// # Errors
    /// The error reply.
    fn run(
        &mut self,
        command: ServerCommand,
        engine: &mut Guard<'_>,
        session: &mut Session,
        args: Args<'_>,
        reply: &mut Vec<u8>,
    ) -> CommandResult;
}

/// There is no server: what concerns connections and the process is refused. For whoever uses the engine as a library.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoServer;

impl ServerCommands for NoServer {
    fn run(
        &mut self,
        command: ServerCommand,
        _: &mut Guard<'_>,
        _: &mut Session,
        _: Args<'_>,
        _: &mut Vec<u8>,
    ) -> CommandResult {
        Err(CommandError::new(format!("ERR there is no server to carry out {command:?}")))
    }
}

impl Guard<'_> {
    /// Executes one command, or queues it if the session is in a transaction. `resolved` is what
    /// [`crate::commands::table::resolve`] made of it.
    pub fn execute(
        &mut self,
        session: &mut Session,
        resolved: Result<&'static Spec, CommandError>,
        args: Args<'_>,
        reply: &mut Vec<u8>,
        server: &mut dyn ServerCommands,
    ) -> Outcome {
        self.state.commands += 1;
        let start = reply.len();
        if let Ok(spec) = &resolved
            && matches!(spec.handler, Handler::Server(_))
        {
            // Such a command may look at the log or change it: what was executed before is in it then.
            self.flush_effects();
        }
        let unit_start = self.begin_unit();
        let result = match resolved {
            Ok(spec) => self.dispatch(session, spec, args, reply, server),
            // An `EXEC` that cannot be one ends the transaction all the same.
            Err(error) if args.at(0).eq_ignore_ascii_case(b"exec") => {
                self.forget_transaction(session);
                let text = error.to_string();
                let cause = text.strip_prefix("ERR ").unwrap_or(&text);
                Err(CommandError::new(format!(
                    "EXECABORT Transaction discarded because of: {cause}"
                )))
            }
            Err(error) => {
                session.break_transaction();
                Err(error)
            }
        };
        if let Err(error) = result {
            reply.truncate(start);
            self.state.stats.error(error.code());
            Reply::new(reply, session.protocol).error(error.bytes());
        }
        let lsn = self.end_unit(unit_start);
        let wrote = self.state.unit.effects.len() > unit_start;
        self.hide_undurable(session.protocol, start, lsn, reply);
        self.serve_blocked_clients();
        if self.state.unit.effects.len() >= EFFECTS_BYTES_MAX {
            self.flush_effects();
        }
        Outcome { lsn, wrote, failed: reply.get(start) == Some(&b'-') }
    }

    fn dispatch(
        &mut self,
        session: &mut Session,
        spec: &'static Spec,
        args: Args<'_>,
        reply: &mut Vec<u8>,
        server: &mut dyn ServerCommands,
    ) -> CommandResult {
        if self.state.loading && !spec.flags.has(Flags::LOADING) {
            session.break_transaction();
            self.state.stats.rejected(spec);
            return Err(LOADING);
        }
        if session.in_transaction() && !runs_inside_multi(spec) {
            self.queue(session, spec, args)?;
            Reply::new(reply, session.protocol).simple("QUEUED");
            return Ok(());
        }
        if spec.is_write()
            && let Err(error) = self.check_writable()
        {
            self.state.stats.rejected(spec);
            return Err(error);
        }
        match spec.handler {
            Handler::Engine(command) => {
                let result = self.transaction(command, session, args, reply, server);
                self.count(spec, Some(args), &result);
                result
            }
            _ => self.run(session, spec, args, reply, server),
        }
    }

    /// Counts a command that has just run, and notes one with `args` that took long. Time is taken
    /// once for its end and the next one's beginning.
    pub(super) fn count(
        &mut self,
        spec: &'static Spec,
        args: Option<Args<'_>>,
        result: &CommandResult,
    ) {
        let now_us = self.engine.machine.clock.monotonic_us();
        let took_us = now_us.saturating_sub(std::mem::replace(&mut self.mark_us, now_us));
        let is_timed = self.state.settings.latency_tracking;
        self.state.stats.ran(spec, took_us, result.is_err(), is_timed);
        if self.state.settings.slow_from_us.is_some_and(|from| took_us >= from)
            && !spec.flags.has(Flags::SKIP_SLOWLOG)
            && self.slow.len() < SLOW_MAX
            && let Some(args) = args
        {
            self.slow.push(Slow::new(took_us, self.now_ms, args));
        }
    }

    /// Runs a command that is not about transactions.
    pub(super) fn run(
        &mut self,
        session: &mut Session,
        spec: &'static Spec,
        args: Args<'_>,
        reply: &mut Vec<u8>,
        server: &mut dyn ServerCommands,
    ) -> CommandResult {
        let result = self.run_uncounted(session, spec, args, reply, server);
        // A command that waits is counted once it has its reply.
        if session.blocked.is_none() {
            self.count(spec, Some(args), &result);
        }
        result
    }

    fn run_uncounted(
        &mut self,
        session: &mut Session,
        spec: &'static Spec,
        args: Args<'_>,
        reply: &mut Vec<u8>,
        server: &mut dyn ServerCommands,
    ) -> CommandResult {
        match spec.handler {
            Handler::Data(handler) => {
                let (db, protocol) = (session.db, session.protocol);
                let (result, db) =
                    self.run_data(handler, db, protocol, session.no_touch, args, reply);
                session.db = db;
                if let Some(request) = self.state.unit.block.take() {
                    self.begin_wait(session, spec, request);
                }
                result
            }
            Handler::Server(command) => server.run(command, self, session, args, reply),
            Handler::Engine(_) | Handler::Container => {
                unreachable!("{} is not run from here", spec.full_name)
            }
        }
    }

    /// Runs the handler of a command on data. Gives the database that is selected then, too.
    pub(super) fn run_data(
        &mut self,
        handler: DataHandler,
        db: usize,
        protocol: Protocol,
        no_touch: bool,
        args: Args<'_>,
        reply: &mut Vec<u8>,
    ) -> (CommandResult, usize) {
        let now_ms = self.now_ms;
        let expiry_mode = self.expiry_mode();
        let state = &mut *self.state;
        let access = (!no_touch).then(|| state.access(now_ms));
        let (keyspace, unit) = (&mut state.keyspace, &mut state.unit);
        let store = Store::new(keyspace, unit, db, now_ms, expiry_mode, access);
        let mut context = Context {
            store,
            reply: Reply::new(reply, protocol),
            settings: &state.settings,
            random: &mut *state.random,
        };
        let result = handler(&mut context, args);
        (result, context.store.db)
    }

    /// Refuses a write while the log takes none, or somebody has asked for that.
    pub(super) fn check_writable(&self) -> Result<(), CommandError> {
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

    /// While the log takes no writes or clients are paused, expired keys are hidden and stay. As [`Guard::check_writable`]
    /// this is decided once for a unit: one that may write also states what it deletes, although the
    /// log may fail meanwhile, or replaying it would meet keys that were not there.
    pub(super) fn expiry_mode(&self) -> ExpiryMode {
        if self.refusing || self.paused { ExpiryMode::Hide } else { ExpiryMode::Delete }
    }

    /// While the log has failed, nothing shows a value that is not durable and may never be.
    pub(super) fn hide_undurable(
        &mut self,
        protocol: Protocol,
        start: usize,
        lsn: Lsn,
        reply: &mut Vec<u8>,
    ) {
        let Some(log) = &self.state.log else { return };
        if log.has_failed() && lsn > log.durable_lsn() && reply.get(start) != Some(&b'-') {
            let cause = log.refusal().unwrap_or_default();
            let error = misconf(&cause);
            reply.truncate(start);
            Reply::new(reply, protocol).error(error.bytes());
            self.state.stats.error(error.code());
        }
    }

    /// Begins a unit: a command or a transaction. Gives the offset at which its effects begin.
    pub(super) fn begin_unit(&mut self) -> usize {
        self.paused = self.current_pause().is_some();
        self.refusing = self.state.log.as_ref().is_some_and(|log| log.is_refusing());
        let unit = &mut self.state.unit;
        unit.effect_count = 0;
        unit.touched.clear();
        unit.touched_all = false;
        unit.depends_on_lsn = 0;
        unit.depends_on_all = false;
        unit.may_block = true;
        unit.effects.len()
    }

    /// Ends a unit whose effects begin at `start`: readers of what it wrote wait for its end. Gives
    /// the LSN that its reply waits for.
    pub(super) fn end_unit(&mut self, start: usize) -> Lsn {
        let state = &mut *self.state;
        let unit = &mut state.unit;
        let bytes = unit.effects.len() - start;
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
        if unit.depends_on_all { state.lsn } else { unit.depends_on_lsn }
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

/// Commands that run at once although a transaction is open.
fn runs_inside_multi(spec: &Spec) -> bool {
    match spec.handler {
        Handler::Engine(command) => command != EngineCommand::Unwatch,
        Handler::Server(command) => matches!(command, ServerCommand::Quit | ServerCommand::Reset),
        _ => false,
    }
}

/// The error for a write that the log cannot take.
pub(super) fn misconf(cause: &str) -> CommandError {
    CommandError::new(format!("MISCONF Errors writing to the log: {cause}"))
}
