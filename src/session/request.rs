//! The way of a request, from top to bottom: resolve, its gates, queue or run, `EXEC`, statistics.
//!
//! A client's request, a command of its `EXEC` and a blocked client that is woken pass the same
//! gates with an [`Origin`] each.

use super::later::{Later, Work};
use super::observe::{Observed, Observing};
use super::state::Session;
use super::table::{Call, FreeCall, Run, Table};
use super::transaction;
use crate::commands::{CommandError, CommandResult, Flags, Handler, Spec};
use crate::engine::{
    BlockedClient, Conditions, Engine, Guard, LOADING, Outcome, Pause, Resumed, Unit,
};
use crate::log::{Log, Lsn};
use crate::resp::{Args, Output, Reply};
use std::sync::Arc;

/// Where a command comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client's request.
    Client,
    /// The queue of a client's `EXEC`.
    Exec,
    /// A client that waited for a key.
    Woken,
}

/// A request as it was read: its command, or why there is none, and its arguments.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What [`crate::commands::Directory::resolve`] made of it.
    pub resolved: Result<&'static Spec, &'a CommandError>,
    /// All arguments, the command's name first.
    pub args: Args<'a>,
}

/// What a request needs on its way.
pub struct Way<'w, H: 'static> {
    /// The commands.
    pub table: &'w Table<H>,
    /// The client.
    pub session: &'w mut Session,
    /// The host's state of the client.
    pub host: &'w mut H,
    /// What is noted of commands.
    pub observed: &'w mut Observed,
    /// Replies that are made once the engine is free.
    pub later: &'w mut Later<H>,
}

/// What a command that ran without the engine did.
#[derive(Default)]
pub struct FreeOutcome {
    /// What its reply depends on.
    pub depends_on: Option<(Arc<Log>, Lsn)>,
    /// Whether the reply is an error.
    pub failed: bool,
}

/// The gates of a command, in order.
fn admit(origin: Origin, conditions: &Conditions, spec: &Spec) -> Result<(), CommandError> {
    // Here stands who is authenticated, and what a user may do: every client may do all.
    if origin == Origin::Client && conditions.is_loading() && !spec.flags.has(Flags::LOADING) {
        return Err(LOADING);
    }
    // Here stand a busy script, a replica that is read only, and a slot that another node has. Room
    // for writes is looked at by the unit, and a pause by the connection, which can wait.
    Ok(())
}

/// When `pause` ends, as Unix time in ms, if this command has to wait for that.
pub fn paused_until_ms(pause: Option<Pause>, session: &Session, spec: &Spec) -> Option<i64> {
    let pause = pause?;
    let writes = |spec: &Spec| spec.is_write() || spec.flags.has(Flags::MAY_REPLICATE);
    let may_write = match session.in_transaction() {
        true => spec.name == "exec" && session.queued_specs().any(writes),
        false => writes(spec),
    };
    (pause.all || may_write).then_some(pause.until_ms)
}

impl<H> Way<'_, H> {
    /// Carries a client's request out with the engine, or queues it.
    pub fn request(
        &mut self,
        engine: &mut Guard<'_>,
        request: &Request<'_>,
        out: &mut Output,
    ) -> Outcome {
        engine.note_request();
        self.observed.request();
        if let Ok(spec) = request.resolved
            && matches!(self.table.run(spec), Run::Engine(_))
        {
            // Such a command may look at the log or change it: what was executed before is in it
            // then.
            engine.flush();
        }
        let start = out.end();
        let mut unit = engine.unit();
        let result = self.pass(&mut unit, request, out);
        let outcome = unit.end();
        let result = match engine.undurable(outcome.lsn) {
            Some(error) if result.is_ok() => Err(error),
            _ => result,
        };
        Outcome { failed: self.reply_error(result, start, out), ..outcome }
    }

    /// The way of a client's request.
    fn pass(
        &mut self,
        unit: &mut Unit<'_, '_>,
        request: &Request<'_>,
        out: &mut Output,
    ) -> CommandResult {
        let args = request.args;
        let spec = match request.resolved {
            Ok(spec) => spec,
            Err(error) => return Err(self.unresolved(unit, error, args)),
        };
        if let Err(error) = admit(Origin::Client, unit.conditions(), spec) {
            self.session.break_transaction();
            self.observed.rejected(spec);
            return Err(error);
        }
        let writable = if spec.is_write() { unit.check_writable() } else { Ok(()) };
        if self.session.in_transaction() && !spec.flags.has(Flags::RUNS_IN_MULTI) {
            transaction::queue(self.session, spec, args, writable)?;
            Reply::new(out, self.session.protocol()).simple("QUEUED");
            return Ok(());
        }
        writable.inspect_err(|_| self.observed.rejected(spec))?;
        self.run(unit, Origin::Client, spec, args, out)
    }

    /// The error for a request that names no command. It makes an open transaction fail.
    fn unresolved(
        &mut self,
        unit: &mut Unit<'_, '_>,
        error: &CommandError,
        args: Args<'_>,
    ) -> CommandError {
        // An `EXEC` that cannot be one ends the transaction all the same.
        if args.at(0).eq_ignore_ascii_case(b"exec") {
            self.session.forget_transaction(unit);
            let text = error.to_string();
            let cause = text.strip_prefix("ERR ").unwrap_or(&text);
            let text = format!("EXECABORT Transaction discarded because of: {cause}");
            return CommandError::new(text);
        }
        self.session.break_transaction();
        error.clone()
    }

    /// Runs a command that has passed its gates, and notes it.
    pub(super) fn run(
        &mut self,
        unit: &mut Unit<'_, '_>,
        origin: Origin,
        spec: &'static Spec,
        args: Args<'_>,
        out: &mut Output,
    ) -> CommandResult {
        let result = match self.table.run(spec) {
            Run::Data(handler) => {
                let caller = self.session.caller();
                let ran = unit.run(handler, caller, args, out);
                if ran.db != caller.db {
                    self.session.set_db(ran.db);
                }
                if let Some(request) = ran.block {
                    // A command that waits is noted once it has its reply.
                    let blocked = unit.begin_wait(caller, spec, request, resume);
                    self.session.blocked = Some(blocked);
                    return ran.result;
                }
                ran.result
            }
            Run::Engine(run) => {
                let reply = Reply::new(out, self.session.protocol());
                run(&mut Call { host: self.host, session: self.session, unit, reply }, args)
            }
            Run::Outside(_) if origin == Origin::Exec => {
                let work = Work::Command(args.to_owned());
                self.later.add(out.end(), spec, work, self.session.protocol());
                Ok(())
            }
            Run::Free(run) | Run::Outside(run) => {
                let (at, protocol) = (out.end(), self.session.protocol());
                let reply = Reply::new(out, protocol);
                let mut call = FreeCall::new(self.host, self.session, reply);
                let result = run(&mut call, args);
                let (rest, depends_on) = (call.take_rest(), call.depends_on);
                if let Some(rest) = rest {
                    self.later.add(at, spec, Work::Rest(rest), protocol);
                }
                if depends_on.is_some() {
                    unit.depend_on_all_keys();
                }
                result
            }
            Run::Transaction(step) => self.transaction(unit, step, args, out),
            Run::Container => Err(CommandError::wrong_arity(spec.full_name)),
        };
        let (now_us, now_ms, observing) = (unit.monotonic_us(), unit.now_ms(), observing(unit));
        self.note(spec, args, &result, now_us, now_ms, observing);
        result
    }

    /// Carries out a request whose row needs no engine, outside a transaction.
    pub fn free(
        &mut self,
        engine: &Engine,
        observing: Observing,
        request: &Request<'_>,
        out: &mut Output,
    ) -> FreeOutcome {
        let Ok(spec) = request.resolved else { return FreeOutcome::default() };
        self.observed.request();
        let start = out.end();
        let mut depends_on = None;
        let result = match (admit(Origin::Client, engine.conditions(), spec), self.table.run(spec))
        {
            (Err(error), _) => {
                self.observed.rejected(spec);
                Err(error)
            }
            (Ok(()), Run::Free(run) | Run::Outside(run)) => {
                let reply = Reply::new(out, self.session.protocol());
                let mut call = FreeCall::new(self.host, self.session, reply);
                let mut result = run(&mut call, request.args);
                if let Some(rest) = call.take_rest() {
                    result = result.and_then(|()| rest(call.host, &mut call.reply));
                }
                depends_on = call.depends_on;
                let (now_us, now_ms) = (engine.clock().monotonic_us(), engine.clock().unix_ms());
                self.note(spec, request.args, &result, now_us, now_ms, observing);
                result
            }
            (Ok(()), _) => unreachable!("{} needs the engine", spec.full_name),
        };
        FreeOutcome { depends_on, failed: self.reply_error(result, start, out) }
    }

    /// Puts an error in the place of what was replied since `start`. Whether there is one.
    pub(super) fn reply_error(
        &mut self,
        result: CommandResult,
        start: usize,
        out: &mut Output,
    ) -> bool {
        let Err(error) = result else { return false };
        out.truncate(start);
        self.observed.error(&error);
        Reply::new(out, self.session.protocol()).error(error.bytes());
        true
    }

    /// Notes a command that has ended.
    fn note(
        &mut self,
        spec: &'static Spec,
        args: Args<'_>,
        result: &CommandResult,
        now_us: u64,
        now_ms: i64,
        observing: Observing,
    ) {
        let took_us = self.observed.ended(spec, result.is_err(), now_us, observing);
        self.observed.note_slow(spec, args, took_us, now_ms, observing);
    }
}

/// Which of commands is noted, under the directives in force.
pub fn observing(engine: &Guard<'_>) -> Observing {
    let settings = engine.settings();
    Observing { latency: settings.latency_tracking, slow_from_us: settings.slow_from_us }
}

/// The way of a blocked client that is woken: its command runs again, as a unit of its own.
fn resume(engine: &mut Guard<'_>, client: &BlockedClient) -> Option<Resumed> {
    let spec = client.spec();
    let Handler::Data(handler) = spec.handler else {
        unreachable!("only commands on data wait for keys")
    };
    let mut reply = Output::default();
    let mut unit = engine.unit();
    let admitted = admit(Origin::Woken, unit.conditions(), spec);
    let mut result = admitted.and_then(|()| unit.check_writable());
    if result.is_ok() {
        let ran = unit.run(handler, client.caller(), client.args(), &mut reply);
        if ran.block.is_some() {
            return None;
        }
        result = ran.result;
    }
    let outcome = unit.end();
    if let Some(error) = engine.undurable(outcome.lsn) {
        result = result.and(Err(error));
    }
    if let Err(error) = &result {
        reply.truncate(0);
        Reply::new(&mut reply, client.caller().protocol).error(error.bytes());
    }
    let outcome = Outcome { failed: result.is_err(), ..outcome };
    Some(Resumed { reply, outcome, result })
}
