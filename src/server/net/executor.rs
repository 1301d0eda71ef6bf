//! Executes a connection's requests in batches, and gives their replies to its outbox.

use super::input::{Broken, Input};
use super::outbox::Outbox;
use super::thread::Thread;
use crate::commands::Spec;
use crate::engine::{Guard, Pause};
use crate::log::{Durability, Gate, Log};
use crate::resp::Reply;
use crate::server::commands::TABLE;
use crate::server::commands::connection_state::{Block, ConnectionState};
use crate::server::config::Config;
use crate::server::state::clients::{Blocked, Registered};
use crate::server::state::shared::Shared;
use crate::session::{Later, Observed, Observing, Session, Way, paused_until_ms};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A batch ends once its replies exceed this.
const BATCH_REPLY_BYTES_MAX: usize = 256 * 1024;
/// A batch ends once it has taken this long.
const BATCH_US_MAX: u64 = 500;
/// In a batch of at least so many requests, keys are fetched ahead.
const PREFETCHED_REQUESTS_MIN: usize = 4;
/// While a snapshot keeps too much, writers wait this long before they try again.
const BACKPRESSURE_PAUSE_MS: u64 = 1;

/// What the next batch waits for before it is executed.
pub enum Hindrance {
    /// Room in the log.
    Room(Gate),
    /// The end of a pause, or names that are looked up.
    Pause(Pin<Box<dyn Future<Output = ()> + Send>>),
}

/// Executes one connection's requests.
pub struct Executor {
    pub(super) shared: Arc<Shared>,
    pub(super) thread: Arc<Thread>,
    pub(super) client: Registered,
    pub(super) session: Session,
    pub(super) state: ConnectionState,
    /// What is noted of commands.
    pub(super) observed: Observed,
    /// Replies that are made once the engine is free.
    later: Later<ConnectionState>,
}

/// What the requests of a batch have done so far.
#[derive(Default)]
struct Batch {
    requests: usize,
    replies: usize,
    gate: Option<Gate>,
    wrote: bool,
}

impl Executor {
    /// The executor of a connection that was just accepted.
    pub fn new(
        shared: Arc<Shared>,
        thread: Arc<Thread>,
        client: Registered,
        session: Session,
        is_local: bool,
    ) -> Self {
        let state = ConnectionState::new(shared.clone(), client.info.clone(), is_local);
        let (observed, later) = (Observed::default(), Later::default());
        Self { shared, thread, client, session, state, observed, later }
    }

    /// Executes some requests under one taking of the engine. Gives what the others wait for.
    pub fn execute(&mut self, input: &mut Input, outbox: &mut Outbox) -> Option<Hindrance> {
        input.parse(self.shared.bulk_bytes_max.load(Ordering::Relaxed));
        let mut hindrance = self.hindrance(input);
        if hindrance.is_none() && input.has_requests() {
            hindrance = self.execute_requests(input, outbox);
            self.note_observed();
        }
        input.end_batch();
        // A command that waits before malformed bytes gets its reply first.
        if self.state.block.is_none()
            && !outbox.is_closing()
            && let Some(broken) = input.take_broken()
        {
            self.refuse(broken, outbox);
        }
        let at_ms = self.client.info.since.elapsed().as_millis() as u64;
        self.client.info.activity.note_batch(at_ms, input.unexecuted_bytes());
        hindrance
    }

    /// What these requests wait for before they are executed.
    fn hindrance(&self, input: &mut Input) -> Option<Hindrance> {
        let shared = &self.shared;
        if !input.names.is_empty() {
            let (shared, names) = (shared.clone(), std::mem::take(&mut input.names));
            let config = shared.config.read().clone();
            let look_up = async move { shared.names.look_up(names, &config).await };
            return Some(Hindrance::Pause(Box::pin(look_up)));
        }
        if !input.may_write() {
            return None;
        }
        if shared.background.has_backpressure() {
            return Some(pause(shared, BACKPRESSURE_PAUSE_MS));
        }
        let log = shared.engine.log()?;
        let lsn = log.backpressure_lsn()?;
        Some(Hindrance::Room(Gate { log, lsn, durability: Durability::Always }))
    }

    /// Executes one request that needs no engine, or those before the next one that needs none.
    fn execute_requests(&mut self, input: &mut Input, outbox: &mut Outbox) -> Option<Hindrance> {
        if self.shared.ending.load(Ordering::Acquire) {
            // The log is being closed: only replies still leave.
            input.drop_requests();
            outbox.close();
            return None;
        }
        let (batch, hindrance) = match self.is_free(input, 0) {
            true => self.execute_free(input, outbox),
            false => self.execute_locked(input, outbox),
        };
        input.executed(batch.requests);
        self.hold(outbox, batch.gate, batch.replies, batch.wrote);
        if self.state.close {
            outbox.close();
        }
        hindrance
    }

    /// Whether the request that is `index` after the next one needs no engine.
    fn is_free(&self, input: &Input, index: usize) -> bool {
        let request = input.request(index);
        let spec = request.and_then(|request| request.resolved.ok());
        spec.is_some_and(|spec| TABLE.is_free(spec, &self.session))
    }

    /// Executes the next request, which needs no engine.
    fn execute_free(&mut self, input: &Input, outbox: &mut Outbox) -> (Batch, Option<Hindrance>) {
        let shared = self.shared.clone();
        let (engine, before) = (&shared.engine, outbox.output.end());
        let Some(request) = input.request(0) else { return Default::default() };
        if let Ok(spec) = request.resolved {
            let now_ms = engine.clock().unix_ms();
            let pause = engine.conditions().pause(now_ms);
            if let Some(hindrance) = self.paused(pause, spec, now_ms) {
                return (Batch::default(), Some(hindrance));
            }
            self.client.info.activity.note_command(spec.number);
        }
        let observing = observing(&shared.config.read());
        self.observed.begin(engine.clock().monotonic_us());
        self.state.begin_reply(before);
        let outcome = self.way().free(engine, observing, &request, &mut outbox.output);
        let replies = usize::from(self.end_command(before, outcome.failed, outbox));
        let gate = outcome.depends_on.map(|(log, lsn)| {
            let durability = log.durability();
            Gate { log, lsn, durability }
        });
        (Batch { requests: 1, replies, gate, wrote: false }, None)
    }

    /// Executes requests under one taking of the engine.
    fn execute_locked(&mut self, input: &Input, outbox: &mut Outbox) -> (Batch, Option<Hindrance>) {
        let shared = self.shared.clone();
        let mut engine = shared.engine.lock();
        if shared.ending.load(Ordering::Acquire) {
            // The next batch ends the connection.
            return Default::default();
        }
        self.observed.begin(engine.began_us());
        // A batch belongs to one log: it ends with a command that begins or ends one.
        let mut gate = engine.gate(0);
        let pause = engine.conditions().pause(engine.now_ms());
        if input.request_count() >= PREFETCHED_REQUESTS_MIN {
            engine.prefetch(self.session.caller().db, input.first_keys());
        }
        let start = outbox.output.end();
        let (mut batch, mut hindrance, mut last) = (Batch::default(), None, None);
        while let Some(request) = input.request(batch.requests) {
            if batch.requests > 0 && self.is_free(input, batch.requests) {
                break;
            }
            let before = outbox.output.end();
            if let Ok(spec) = request.resolved {
                hindrance = self.paused(pause, spec, engine.now_ms());
                if hindrance.is_some() {
                    break;
                }
                last = Some(spec.number);
            }
            self.state.begin_reply(before);
            let outcome = self.way().request(&mut engine, &request, &mut outbox.output);
            batch.requests += 1;
            batch.wrote |= outcome.wrote;
            batch.replies += usize::from(self.end_command(before, outcome.failed, outbox));
            if let Some(gate) = &mut gate {
                gate.lsn = gate.lsn.max(outcome.lsn);
            }
            let is_last = self.state.close || self.state.block.is_some() || !self.later.is_empty();
            if is_last
                || !is_of(&engine, gate.as_ref())
                || outbox.output.end() - start > BATCH_REPLY_BYTES_MAX
                || self.observed.mark_us() - engine.began_us() > BATCH_US_MAX
            {
                break;
            }
        }
        if let Some(number) = last {
            self.client.info.activity.note_command(number);
        }
        if let Some(gate) = &mut gate {
            // `CONFIG SET appendfsync always` waits under the condition that it brings about.
            gate.durability = gate.durability.stricter(engine.durability());
        }
        shared.background.save_slice(&mut engine);
        drop(engine);
        self.note_slow();
        batch.gate = gate;
        self.make_later(&mut batch, outbox);
        (batch, hindrance)
    }

    /// Makes the replies that were left for when the engine is free.
    fn make_later(&mut self, batch: &mut Batch, outbox: &mut Outbox) {
        if self.later.is_empty() {
            return;
        }
        let (session, host) = (&mut self.session, &mut self.state);
        let (observed, output) = (&mut self.observed, &mut outbox.output);
        let Some((log, lsn)) = self.later.make(&TABLE, session, host, observed, output) else {
            return;
        };
        let durability = batch.gate.as_ref().map_or(Durability::No, |gate| gate.durability);
        let shown = Gate { log, lsn, durability };
        match &mut batch.gate {
            Some(gate) if Arc::ptr_eq(&gate.log, &shown.log) => gate.join(&shown),
            gate => {
                // Another thread has begun a log meanwhile. The replies wait for both.
                let before = gate.replace(shown);
                self.hold(outbox, before, 0, batch.wrote);
            }
        }
    }

    fn way(&mut self) -> Way<'_, ConnectionState> {
        Way {
            table: &TABLE,
            session: &mut self.session,
            host: &mut self.state,
            observed: &mut self.observed,
            later: &mut self.later,
        }
    }

    /// What a request waits for while clients are paused.
    fn paused(&self, pause: Option<Pause>, spec: &Spec, now_ms: i64) -> Option<Hindrance> {
        let until_ms = paused_until_ms(pause, &self.session, spec)?;
        Some(self::pause(&self.shared, until_ms.saturating_sub(now_ms).max(1) as u64))
    }

    /// Notes that a command has ended, whose reply begins at `before`. Whether that is sent.
    fn end_command(&mut self, before: usize, failed: bool, outbox: &mut Outbox) -> bool {
        if let Some(client) = self.session.blocked.take() {
            self.state.block = Some(Block::Key(client));
        }
        if let Some(block) = &self.state.block {
            // Before the engine is free again, so that the next to take it can unblock it.
            self.client.info.state.lock().blocked = Some(match block {
                Block::Key(client) => Blocked::Key(client.clone()),
                Block::Log(_) => Blocked::Log(Arc::default()),
                Block::Migrate(_) => Blocked::Migrate,
            });
        }
        self.state.end_reply();
        // An error stands in the place of the whole reply, of which nothing is left then.
        if failed {
            self.later.mute(before);
        }
        if let Some(muted_from) = self.state.muted_from {
            let muted_from = if failed { before } else { muted_from };
            outbox.output.truncate(muted_from);
            self.later.mute(muted_from);
        }
        outbox.output.end() > before || self.later.is_sent()
    }

    /// Ends the connection after bytes that are no request.
    fn refuse(&mut self, broken: Broken, outbox: &mut Outbox) {
        outbox.close();
        match broken {
            Broken::Malformed(error) => {
                self.state.count_error();
                if !self.state.is_muted() {
                    let protocol = self.session.protocol();
                    Reply::new(&mut outbox.output, protocol).error(format!("ERR {error}"));
                    outbox.release(1, protocol);
                }
            }
            Broken::Http => self.shared.http_reports.report(&self.client.info.addr),
        }
    }

    /// Holds the last `replies` replies back until what they depend on is durable, if it is not.
    pub(super) fn hold(
        &self,
        outbox: &mut Outbox,
        gate: Option<Gate>,
        replies: usize,
        wrote: bool,
    ) {
        match gate {
            Some(gate) if gate.lsn > gate.log.durable_lsn() => {
                self.thread.gates.executed();
                outbox.hold(gate, replies, wrote, self.session.protocol());
            }
            _ => outbox.release(replies, self.session.protocol()),
        }
    }

    /// Hands what was noted of commands to the thread.
    pub(super) fn note_observed(&mut self) {
        self.note_slow();
        if !self.observed.is_empty() {
            self.thread.stats.lock().add(&mut self.observed);
        }
    }

    fn note_slow(&mut self) {
        let slow = self.observed.take_slow();
        if !slow.is_empty() {
            let max = self.shared.config.read().slowlog_max_len as usize;
            self.shared.slowlog.add(slow, &self.client.info, max);
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // After a panic the engine may be poisoned.
        if !std::thread::panicking() && self.session.watched() > 0 {
            self.session.forget_transaction(&mut self.shared.engine.lock());
        }
    }
}

/// What of commands is noted, under the directives in force.
fn observing(config: &Config) -> Observing {
    let slow_from_us = u64::try_from(config.slowlog_log_slower_than).ok();
    Observing { latency: config.latency_tracking, slow_from_us }
}

/// Whether the gate's log is the engine's.
fn is_of(engine: &Guard<'_>, gate: Option<&Gate>) -> bool {
    engine.log().map(Arc::<Log>::as_ptr) == gate.map(|gate| Arc::as_ptr(&gate.log))
}

/// Ends after so many ms, or earlier with the pause of clients.
fn pause(shared: &Shared, wait_ms: u64) -> Hindrance {
    // It counts from here, while the engine is held, so that no end of the pause is missed.
    let unpaused = shared.unpaused.clone().notified_owned();
    Hindrance::Pause(Box::pin(async move {
        let _ = tokio::time::timeout(Duration::from_millis(wait_ms), unpaused).await;
    }))
}
