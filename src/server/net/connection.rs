//! One client's connection: bytes in, batches executed, replies held back, bytes out.
//!
//! Reading goes on while replies wait or a slow client does not take them, so that neither a deep
//! pipeline nor a client that writes everything before it reads anything comes to a standstill.

use super::cross_protocol;
use super::names;
use super::reply_gates::{Registration, ReplyGates};
use crate::commands::{CommandError, Spec};
use crate::engine::{BlockedClient, UNBLOCKED, Unserved, WaitReply};
use crate::log::{Durability, Gate, Log, Lsn, Passage};
use crate::resp::request::Parsed;
use crate::resp::{Args, ProtocolError, Reply, RequestLimits, RequestParser};
use crate::server::commands::connection_state::{Block, ConnectionState, LogBlock};
use crate::server::commands::{TABLE, migrate};
use crate::server::state::clients::{Blocked, Registered};
use crate::server::state::shared::Shared;
use crate::server::state::thread::Thread;
use crate::session::{
    self, Later, Observed, Observing, Request, Run, Session, Way, paused_until_ms,
};
use bytes::{Buf, BytesMut};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Read buffers begin with this much room, and idle ones are cut back to it.
const READ_BYTES: usize = 16 * 1024;
/// Commands executed under one taking of the engine.
const BATCH_COMMANDS_MAX: usize = 64;
/// A batch ends once its replies exceed this.
const BATCH_REPLY_BYTES_MAX: usize = 256 * 1024;
/// A batch ends once it has taken this long.
const BATCH_TIME_MAX: Duration = Duration::from_micros(500);
/// While a snapshot keeps too much, writers wait this long before they try again.
const BACKPRESSURE_PAUSE_MS: u64 = 1;
/// How many batches' replies wait separately; beyond, they wait together.
const HELD_MAX: usize = 64;
/// While more than this of a client's replies has not left, none of its commands is executed.
const OUTPUT_BYTES_PAUSE: usize = 32 << 20;
/// A client to which one batch replies with more than this is disconnected.
const OUTPUT_BYTES_MAX: usize = 1 << 30;
/// Buffers that grew beyond this are given back once they are empty.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// Replies that wait for the log: those of one batch.
struct Held {
    /// Where they end in the output.
    end: usize,
    log: Arc<Log>,
    gate: Gate,
    /// How many replies there are.
    replies: usize,
    /// Whether one of the commands changed something.
    wrote: bool,
    /// Whether the dispatcher knows of it.
    registered: Option<Registration>,
}

/// One client's connection.
pub struct Connection<S> {
    stream: S,
    shared: Arc<Shared>,
    thread: Arc<Thread>,
    client: Registered,
    session: Session,
    state: ConnectionState,
    /// What is noted of commands.
    observed: Observed,
    /// Replies that are made once the engine is free.
    later: Later<ConnectionState>,
    parser: RequestParser,
    ranges: Vec<(usize, usize)>,
    requests: Vec<ParsedRequest>,
    /// The first of `requests` that was not executed yet.
    next_request: usize,
    /// Names that are looked up before they are executed.
    names: Vec<String>,
    /// What is wrong with the bytes behind `requests`.
    broken: Option<Broken>,
    /// What was read and is not executed. A batch moves its beginning on, and no byte.
    input: BytesMut,
    /// Bytes at the start of the input that `requests` take.
    consumed: usize,
    /// The input may hold whole requests that were not executed yet.
    more: bool,
    output: Vec<u8>,
    written: usize,
    /// Replies up to here may leave.
    ready: usize,
    held: VecDeque<Held>,
    /// The log is full: what must be durable before the next batch may write.
    room: Option<(Arc<Log>, Gate)>,
    /// Whether the dispatcher knows of that.
    room_registered: Option<Registration>,
    /// Commands are paused: ends when the next batch may be tried again.
    paused: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The wait for keys that the engine knows of.
    waiting: Option<Arc<BlockedClient>>,
    /// No more input is taken; the connection ends once the output is written.
    closing: bool,
    bytes_in: u64,
    bytes_out: u64,
    reads: u64,
    writes: u64,
}

/// A parsed request of the batch: where its arguments are in `ranges`.
struct ParsedRequest {
    resolved: Result<&'static Spec, CommandError>,
    first: usize,
    count: usize,
}

impl ParsedRequest {
    /// The request, whose arguments lie at `ranges` of `input`.
    fn request<'a>(&'a self, input: &'a [u8], ranges: &'a [(usize, usize)]) -> Request<'a> {
        let ranges = &ranges[self.first..self.first + self.count];
        Request { resolved: self.resolved.as_ref().copied(), args: Args::new(input, ranges) }
    }
}

/// Why the bytes behind the requests of a batch are not executed.
enum Broken {
    /// They are not RESP.
    Malformed(ProtocolError),
    /// They are HTTP, and nobody is told.
    Http,
}

enum Event {
    /// Bytes came in.
    Read(usize),
    /// Bytes went out.
    Wrote(usize),
    /// The first held batch was settled.
    Settled(Passage),
    /// The input holds more requests.
    More,
    /// Nothing is left to do, or the peer is gone.
    End,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection that was just accepted.
    pub fn new(
        stream: S,
        shared: Arc<Shared>,
        thread: Arc<Thread>,
        client: Registered,
        session: Session,
        is_local: bool,
    ) -> Self {
        let state = ConnectionState::new(shared.clone(), client.info.clone(), is_local);
        Self {
            stream,
            shared,
            thread,
            client,
            session,
            state,
            observed: Observed::default(),
            later: Later::default(),
            parser: RequestParser::default(),
            ranges: Vec::new(),
            requests: Vec::new(),
            next_request: 0,
            names: Vec::new(),
            broken: None,
            input: BytesMut::new(),
            consumed: 0,
            more: false,
            output: Vec::new(),
            written: 0,
            ready: 0,
            held: VecDeque::new(),
            room: None,
            room_registered: None,
            paused: None,
            waiting: None,
            closing: false,
            bytes_in: 0,
            bytes_out: 0,
            reads: 0,
            writes: 0,
        }
    }

    /// Serves the client until it leaves.
    pub async fn serve(mut self) {
        loop {
            match self.next_event().await {
                Event::Read(count) => {
                    self.bytes_in += count as u64;
                    self.reads += 1;
                    if cross_protocol::is_tls(&self.input) {
                        return;
                    }
                    if self.is_paused() {
                        self.more = true;
                        continue;
                    }
                    self.execute_batch();
                    let limit = self.shared.query_bytes_max.load(Ordering::Relaxed);
                    if self.input.len() > limit {
                        let id = self.client.info.id;
                        self.shared.counters.input_limits.fetch_add(1, Ordering::Relaxed);
                        crate::log_warning!("Client id={id} closed: its request is too long");
                        return;
                    }
                }
                Event::More => {
                    // Others get their turn between two batches of a deep pipeline.
                    tokio::task::yield_now().await;
                    self.execute_batch();
                }
                Event::Wrote(count) => self.wrote(count),
                Event::Settled(Passage::Failed) => self.refuse_held(),
                Event::Settled(_) => {
                    let held = self.held.pop_front().expect("only a held batch is settled");
                    self.ready = held.end;
                }
                Event::End => return,
            }
            if let Some(block) = self.state.block.take() {
                let replied = self.wait_for(block).await;
                self.client.info.state.lock().blocked = None;
                if !replied {
                    return;
                }
                self.more = true;
            }
        }
    }

    /// Waits for whatever comes first: room to write, a held batch, input.
    async fn next_event(&mut self) -> Event {
        poll_fn(|context| {
            if self.written < self.ready {
                let bytes = &self.output[self.written..self.ready];
                match Pin::new(&mut self.stream).poll_write(context, bytes) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Event::End),
                    Poll::Ready(Ok(count)) => return Poll::Ready(Event::Wrote(count)),
                    Poll::Pending => {}
                }
            }
            if let Some(held) = self.held.front_mut()
                && let Poll::Ready(passage) = self.thread.gates.poll_passage(
                    context,
                    &held.log,
                    held.gate,
                    &mut held.registered,
                )
            {
                return Poll::Ready(Event::Settled(passage));
            }
            if self.closing {
                let done = self.written == self.output.len() && self.held.is_empty();
                return if done { Poll::Ready(Event::End) } else { Poll::Pending };
            }
            if self.is_paused() {
                // Input is still taken, so that a client which writes everything before it reads
                // anything gets that far; but only so much.
                let limit = self.shared.query_bytes_max.load(Ordering::Relaxed);
                return match self.input.len() < limit {
                    true => self.poll_input(context),
                    false => Poll::Pending,
                };
            }
            if let Some((log, gate)) = &self.room {
                let registered = &mut self.room_registered;
                return match self.thread.gates.poll_passage(context, log, *gate, registered) {
                    Poll::Ready(_) => Poll::Ready(Event::More),
                    Poll::Pending => Poll::Pending,
                };
            }
            if let Some(paused) = &mut self.paused {
                return match paused.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(Event::More),
                    Poll::Pending => Poll::Pending,
                };
            }
            if self.more {
                return Poll::Ready(Event::More);
            }
            self.poll_input(context)
        })
        .await
    }

    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if self.input.capacity() - self.input.len() < READ_BYTES / 4 {
            self.input.reserve(READ_BYTES);
        }
        let start = self.input.len();
        // SAFETY: the spare capacity is only handed to `ReadBuf` as uninitialised memory, and the
        // length is raised by what `ReadBuf` says was filled.
        let (result, count) = unsafe {
            let mut buffer = ReadBuf::uninit(self.input.spare_capacity_mut());
            let result = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
            let count = buffer.filled().len();
            self.input.set_len(start + count);
            (result, count)
        };
        match result {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) if count > 0 => Poll::Ready(Event::Read(count)),
            Poll::Ready(_) => Poll::Ready(Event::End),
        }
    }

    /// Whether nothing more is executed until the client has taken some of its replies.
    fn is_paused(&self) -> bool {
        self.output.len() - self.written > OUTPUT_BYTES_PAUSE
    }

    /// Parses some requests and executes them under one taking of the engine.
    fn execute_batch(&mut self) {
        if self.next_request == self.requests.len() {
            self.parse_batch();
        }
        self.room = self.missing_room();
        self.room_registered = None;
        self.paused = None;
        if !self.names.is_empty() {
            let (shared, names) = (self.shared.clone(), std::mem::take(&mut self.names));
            let config = shared.config.read().clone();
            self.paused = Some(Box::pin(async move { shared.names.look_up(names, &config).await }));
        } else if self.shared.background.has_backpressure() && self.writes() {
            self.paused = Some(paused(&self.shared, BACKPRESSURE_PAUSE_MS));
        } else if self.room.is_none() && self.next_request < self.requests.len() {
            self.execute_parsed();
        }
        if self.next_request < self.requests.len() {
            // A long batch was divided; what is left keeps its place in the input.
            self.more = !self.closing;
        } else {
            self.input.advance(std::mem::take(&mut self.consumed));
            // A command that waits before it gets its reply first.
            if self.state.block.is_none()
                && let Some(broken) = self.broken.take()
                && !self.closing
            {
                self.closing = true;
                match broken {
                    Broken::Malformed(error) => {
                        self.state.count_error();
                        if !self.state.is_muted() {
                            let mut reply = Reply::new(&mut self.output, self.session.protocol());
                            reply.error(format!("ERR {error}"));
                            self.release(1);
                        }
                    }
                    Broken::Http => self.shared.http_reports.report(&self.client.info.addr),
                }
            }
            // Room behind the beginning does not count as capacity until it is reclaimed.
            if self.input.is_empty() && self.input.try_reclaim(KEPT_BYTES_MAX + 1) {
                self.input = BytesMut::new();
            }
        }
        self.publish();
    }

    /// What has to become durable before these requests can be executed, if one of them writes and the
    /// log is full.
    fn missing_room(&self) -> Option<(Arc<Log>, Gate)> {
        if !self.writes() {
            return None;
        }
        let log = self.shared.engine.log()?;
        let lsn = log.backpressure_lsn()?;
        Some((log, Gate { lsn, durability: Durability::Always }))
    }

    /// Whether one of the parsed requests may write.
    fn writes(&self) -> bool {
        let writes = |request: &ParsedRequest| {
            request
                .resolved
                .as_ref()
                .is_ok_and(|spec| spec.is_write() || matches!(TABLE.run(spec), Run::Transaction(_)))
        };
        self.requests[self.next_request..].iter().any(writes)
    }

    /// Cuts requests off the input.
    fn parse_batch(&mut self) {
        self.more = false;
        self.ranges.clear();
        self.requests.clear();
        self.next_request = 0;
        debug_assert_eq!(self.consumed, 0);
        if self.broken.is_some() {
            return;
        }
        let bulk_bytes_max = self.shared.bulk_bytes_max.load(Ordering::Relaxed);
        let limits = RequestLimits { bulk_bytes_max, ..RequestLimits::default() };
        while self.requests.len() < BATCH_COMMANDS_MAX {
            let rest = &mut self.input[self.consumed..];
            if rest.is_empty() {
                return;
            }
            let first = self.ranges.len();
            match self.parser.parse(rest, self.consumed, &limits, &mut self.ranges) {
                Ok(Parsed::Request { consumed }) => {
                    self.consumed += consumed;
                    let count = self.ranges.len() - first;
                    if count > 0 {
                        let args = Args::new(&self.input, &self.ranges[first..]);
                        let resolved = TABLE.directory().resolve(args);
                        // Only what no command is called can be HTTP: others are not looked at.
                        if resolved.is_err() && cross_protocol::is_http(args.at(0)) {
                            self.broken = Some(Broken::Http);
                            return;
                        }
                        if let Ok(spec) = &resolved
                            && spec.full_name == "config|set"
                        {
                            self.names.extend(names::in_config_set(args));
                        }
                        self.requests.push(ParsedRequest { resolved, first, count });
                    }
                }
                Ok(Parsed::Incomplete { needed }) => {
                    // Room for what is certainly coming, but never more than what has come.
                    let have = self.input.len();
                    self.input.reserve(needed.min(have.max(READ_BYTES)));
                    return;
                }
                Err(error) => {
                    self.broken = Some(Broken::Malformed(error));
                    return;
                }
            }
        }
        self.more = true;
    }

    /// Executes what was parsed: one request that needs no engine, or those before the next one
    /// that needs none.
    fn execute_parsed(&mut self) {
        if self.shared.ending.load(Ordering::Acquire) {
            self.end_unexecuted();
        } else if self.is_free(self.next_request) {
            self.execute_free();
        } else {
            self.execute_locked();
        }
        self.note_observed();
        if self.output.len() - self.written > OUTPUT_BYTES_MAX {
            self.shared.counters.output_limits.fetch_add(1, Ordering::Relaxed);
            let id = self.client.info.id;
            crate::log_warning!("Client id={id} closed: it does not take its replies");
            self.output.clear();
            (self.written, self.ready, self.closing) = (0, 0, true);
            self.held.clear();
        }
    }

    /// The log is being closed: nothing more is executed, only replies still leave.
    fn end_unexecuted(&mut self) {
        self.next_request = self.requests.len();
        self.closing = true;
    }

    /// Whether a request needs no engine.
    fn is_free(&self, index: usize) -> bool {
        let resolved = self.requests[index].resolved.as_ref();
        resolved.is_ok_and(|spec| TABLE.is_free(spec, &self.session))
    }

    /// Executes the next request, which needs no engine.
    fn execute_free(&mut self) {
        let shared = self.shared.clone();
        let (engine, before) = (&shared.engine, self.output.len());
        let request = self.requests[self.next_request].request(&self.input, &self.ranges);
        if let Ok(spec) = request.resolved {
            let now_ms = engine.clock().unix_ms();
            let pause = engine.conditions().pause(now_ms);
            if let Some(until_ms) = paused_until_ms(pause, &self.session, spec) {
                self.paused = Some(paused(&shared, until_ms.saturating_sub(now_ms).max(1) as u64));
                return;
            }
            self.client.info.activity.note_command(spec.number);
        }
        let observing = {
            let config = shared.config.read();
            let slow_from_us = u64::try_from(config.slowlog_log_slower_than).ok();
            Observing { latency: config.latency_tracking, slow_from_us }
        };
        self.observed.begin(engine.clock().monotonic_us());
        self.state.begin_reply(before);
        let mut way = Way {
            table: &*TABLE,
            session: &mut self.session,
            host: &mut self.state,
            observed: &mut self.observed,
            later: &mut self.later,
        };
        let outcome = way.free(engine, observing, &request, &mut self.output);
        self.next_request += 1;
        let replies = usize::from(self.end_command(before, outcome.failed));
        self.closing |= self.state.close;
        match outcome.depends_on {
            Some((log, lsn)) => {
                let durability = log.durability();
                self.settle(Some(log), lsn, durability, false, replies);
            }
            None => self.release(replies),
        }
    }

    /// Notes that a command has ended, whose reply begins at `before`. Whether that is sent.
    fn end_command(&mut self, before: usize, failed: bool) -> bool {
        if let Some(client) = self.session.blocked.take() {
            self.waiting = Some(client.clone());
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
            self.output.truncate(muted_from);
            self.later.mute(muted_from);
        }
        self.output.len() > before || self.later.is_sent()
    }

    /// Executes requests under one taking of the engine.
    fn execute_locked(&mut self) {
        let started = Instant::now();
        let start = self.output.len();
        let (mut lsn, mut wrote, mut replies) = (0, false, 0);
        let mut done = 0;
        let shared = self.shared.clone();
        let mut engine = shared.engine.lock();
        if shared.ending.load(Ordering::Acquire) {
            drop(engine);
            self.end_unexecuted();
            return;
        }
        self.observed.begin(engine.monotonic_us());
        // A batch belongs to one log: it ends with a command that begins or ends one.
        let mut log = engine.log().cloned();
        let durability = engine.durability();
        let pause = engine.conditions().pause(engine.now_ms());
        let mut last = None;
        while self.next_request + done < self.requests.len() {
            let index = self.next_request + done;
            if done > 0 && self.is_free(index) {
                break;
            }
            let request = self.requests[index].request(&self.input, &self.ranges);
            let before = self.output.len();
            if let Ok(spec) = request.resolved {
                if let Some(until_ms) = paused_until_ms(pause, &self.session, spec) {
                    let wait_ms = until_ms.saturating_sub(engine.now_ms()).max(1) as u64;
                    self.paused = Some(paused(&shared, wait_ms));
                    break;
                }
                last = Some(spec.number);
            }
            self.state.begin_reply(before);
            let mut way = Way {
                table: &*TABLE,
                session: &mut self.session,
                host: &mut self.state,
                observed: &mut self.observed,
                later: &mut self.later,
            };
            let outcome = way.request(&mut engine, &request, &mut self.output);
            done += 1;
            lsn = lsn.max(outcome.lsn);
            wrote |= outcome.wrote;
            replies += usize::from(self.end_command(before, outcome.failed));
            let same_log = engine.log().map(Arc::as_ptr) == log.as_ref().map(Arc::as_ptr);
            let has_later = !self.later.is_empty();
            if self.state.close || self.state.block.is_some() || has_later || !same_log {
                break;
            }
            // A look at the clock costs as much as a small command: only now and then.
            let long = done % 8 == 0 && started.elapsed() > BATCH_TIME_MAX;
            if long || self.output.len() - start > BATCH_REPLY_BYTES_MAX {
                break;
            }
        }
        if let Some(number) = last {
            self.client.info.activity.note_command(number);
        }
        // `CONFIG SET appendfsync always` waits under the condition that it brings about.
        let durability = durability.stricter(engine.durability());
        shared.background.save_slice(&mut engine);
        drop(engine);
        self.note_slow();
        if !self.later.is_empty() {
            let (session, host) = (&mut self.session, &mut self.state);
            let (observed, output) = (&mut self.observed, &mut self.output);
            let depends_on = self.later.make(&TABLE, session, host, observed, output);
            if let Some((shown, shown_lsn)) = depends_on {
                if log.as_ref().is_none_or(|log| !Arc::ptr_eq(&shown, log)) {
                    // Another thread has begun a log meanwhile. The replies wait for both.
                    self.settle(log.replace(shown), lsn, durability, wrote, 0);
                    lsn = 0;
                }
                lsn = lsn.max(shown_lsn);
            }
        }
        self.next_request += done;
        self.closing |= self.state.close;
        self.settle(log, lsn, durability, wrote, replies);
    }

    /// Hands what was noted of commands to the thread.
    fn note_observed(&mut self) {
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

    /// Holds the last `replies` replies back until what they depend on is durable, if it is not.
    fn settle(
        &mut self,
        log: Option<Arc<Log>>,
        lsn: Lsn,
        durability: Durability,
        wrote: bool,
        replies: usize,
    ) {
        let end = self.output.len();
        match log {
            Some(log) if lsn > log.durable_lsn() => {
                self.thread.gates.executed();
                let gate = Gate { lsn, durability };
                self.hold(Held { end, log, gate, replies, wrote, registered: None });
            }
            _ => self.release(replies),
        }
    }

    /// Lets the last `replies` replies leave, behind those that are held.
    fn release(&mut self, replies: usize) {
        let end = self.output.len();
        match self.held.back() {
            None => self.ready = end,
            Some(last) => {
                // They wait for nothing but their turn; what is held before them may be refused.
                let (log, gate) = (last.log.clone(), Gate { lsn: 0, durability: Durability::No });
                let wrote = false;
                self.hold(Held { end, log, gate, replies, wrote, registered: None });
            }
        }
    }

    fn hold(&mut self, held: Held) {
        let full = self.held.len() >= HELD_MAX;
        match self.held.back_mut() {
            Some(last) if full && Arc::ptr_eq(&last.log, &held.log) => {
                last.gate.durability = last.gate.durability.stricter(held.gate.durability);
                last.gate.lsn = last.gate.lsn.max(held.gate.lsn);
                last.end = held.end;
                last.replies += held.replies;
                last.wrote |= held.wrote;
            }
            _ => self.held.push_back(held),
        }
    }

    /// The log has failed before the first held batch was durable. A client that only read learns that
    /// its reads are refused; one that wrote cannot be told what became of it, and is disconnected.
    fn refuse_held(&mut self) {
        let start = self.ready;
        let wrote = self.held.iter().any(|held| held.wrote);
        let failure = self.held.front().and_then(|held| held.log.failure());
        let cause = failure.map_or_else(String::new, |failure| failure.cause);
        let mut refused = Vec::new();
        let mut reply = Reply::new(&mut refused, self.session.protocol());
        if wrote {
            reply.error(format!(
                "MISCONF outcome unknown: {cause}. The write may or may not survive a restart"
            ));
            self.output.truncate(start);
            self.held.clear();
            self.closing = true;
        } else {
            let held = self.held.pop_front().expect("only a held batch is refused");
            for _ in 0..held.replies {
                reply.error(format!("MISCONF Errors writing to the log: {cause}"));
            }
            let grown = refused.len() as isize - (held.end - start) as isize;
            self.output.splice(start..held.end, refused.drain(..));
            for later in &mut self.held {
                later.end = later.end.strict_add_signed(grown);
            }
            self.ready = held.end.strict_add_signed(grown);
            return;
        }
        self.output.extend_from_slice(&refused);
        self.ready = self.output.len();
    }

    fn wrote(&mut self, count: usize) {
        self.written += count;
        self.bytes_out += count as u64;
        self.writes += 1;
        if self.written == self.output.len() {
            self.output.clear();
            (self.written, self.ready) = (0, 0);
            // What is held now has no reply: a command that waits, or one with its replies switched off.
            self.held.iter_mut().for_each(|held| held.end = 0);
            if self.output.capacity() > KEPT_BYTES_MAX {
                self.output = Vec::new();
            }
        } else if self.written > KEPT_BYTES_MAX && self.written > self.output.len() / 2 {
            let written = std::mem::take(&mut self.written);
            self.output.drain(..written);
            self.ready -= written;
            self.held.iter_mut().for_each(|held| held.end -= written);
        }
    }

    /// Writes everything out that was replied so far. False if the client is gone.
    async fn write_all(&mut self) -> bool {
        while self.written < self.output.len() || !self.held.is_empty() {
            let closing = std::mem::replace(&mut self.closing, true);
            let event = self.next_event().await;
            self.closing = closing;
            match event {
                Event::Wrote(count) => self.wrote(count),
                Event::Settled(Passage::Failed) => self.refuse_held(),
                Event::Settled(_) => {
                    let held = self.held.pop_front().expect("only a held batch is settled");
                    self.ready = held.end;
                }
                Event::Read(_) | Event::More | Event::End => return false,
            }
        }
        true
    }

    /// Waits until `done`, or until the time is over. Some input is taken meanwhile, to notice a client
    /// that is gone and waits for nothing: then it gives false.
    async fn wait_until(
        &mut self,
        timeout: Option<Duration>,
        mut done: impl FnMut(&ReplyGates, &mut Context<'_>) -> Poll<()>,
    ) -> bool {
        let wait = poll_fn(|context| {
            while self.input.len() < 2 * READ_BYTES {
                match self.poll_input(context) {
                    Poll::Pending => break,
                    Poll::Ready(Event::Read(count)) => {
                        self.bytes_in += count as u64;
                        self.reads += 1;
                    }
                    Poll::Ready(_) => return Poll::Ready(false),
                }
            }
            done(&self.thread.gates, context).map(|()| true)
        });
        match timeout {
            None => wait.await,
            Some(timeout) => tokio::time::timeout(timeout, wait).await.unwrap_or(true),
        }
    }

    /// Waits for what a blocking command waits for, and replies. False if the client is gone, or is to go
    /// because of what it was told about commands before that one.
    async fn wait_for(&mut self, block: Block) -> bool {
        if !self.write_all().await || self.closing {
            return false;
        }
        match block {
            Block::Key(waiter) => self.wait_for_key(&waiter).await,
            Block::Log(block) => self.wait_for_log(block).await,
            Block::Migrate(request) => self.wait_for_migration(request).await,
        }
    }

    async fn wait_for_migration(&mut self, request: migrate::Request) -> bool {
        // A task of its own: it goes on if the client goes away, so that what has arrived elsewhere does
        // not stay here.
        let (shared, thread) = (self.shared.clone(), self.thread.clone());
        let mut task = tokio::spawn(migrate::run(shared, thread, request));
        let mut finished = None;
        let done = |_: &ReplyGates, context: &mut Context<'_>| {
            Pin::new(&mut task).poll(context).map(|result| finished = result.ok())
        };
        if !self.wait_until(None, done).await {
            return false;
        }
        let Some(finished) = finished else { return false };
        let replies = usize::from(self.state.end_reply());
        if replies > 0 {
            let mut reply = Reply::new(&mut self.output, self.session.protocol());
            match &finished.result {
                Ok(status) => reply.simple(status),
                Err(error) => reply.error(error.bytes()),
            }
        }
        if let Err(error) = &finished.result {
            self.observed.error(error);
            if let Some(spec) = TABLE.directory().by_name(b"migrate") {
                self.observed.failed(spec);
            }
        }
        self.note_observed();
        let migrate::Finished { log, lsn, durability, wrote, .. } = finished;
        self.settle(log, lsn, durability, wrote, replies);
        true
    }

    async fn wait_for_key(&mut self, client: &Arc<BlockedClient>) -> bool {
        let timeout = client.timeout_ms().map(Duration::from_millis);
        if !self.wait_until(timeout, |_, context| client.poll_end(context)).await {
            return false;
        }
        self.waiting = None;
        client.end(&self.shared.engine, Unserved::TimedOut);
        let (reply, observing, now_ms) = {
            let mut engine = self.shared.engine.lock();
            let reply = engine.take_wait_reply(client);
            (reply, session::observing(&engine), engine.now_ms())
        };
        let replies = usize::from(self.state.end_reply());
        if replies > 0 {
            self.output.extend_from_slice(&reply.bytes);
        }
        let WaitReply { outcome, log, durability, took_us, result, .. } = reply;
        self.observed.woken(client, &result, took_us, now_ms, observing);
        self.note_observed();
        self.settle(log, outcome.lsn, durability, outcome.wrote, replies);
        true
    }

    async fn wait_for_log(&mut self, block: LogBlock) -> bool {
        let unblock = match &self.client.info.state.lock().blocked {
            Some(Blocked::Log(unblock)) => unblock.clone(),
            _ => unreachable!("a client that waits for the log is marked so"),
        };
        let mut registered = None;
        let mut woken = std::pin::pin!(unblock.wake.notified());
        let done = |gates: &ReplyGates, context: &mut Context<'_>| {
            if woken.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            match &block.until {
                Some((log, lsn)) => {
                    let gate = Gate { lsn: *lsn, durability: Durability::Always };
                    gates.poll_passage(context, log, gate, &mut registered).map(|_| ())
                }
                None => Poll::Pending,
            }
        };
        // When the time has passed the client gets its reply all the same.
        if !self.wait_until(block.timeout, done).await {
            return false;
        }
        let replies = self.state.end_reply();
        if replies {
            let durable = block.local.is_some_and(|(log, lsn)| lsn <= log.durable_lsn());
            let mut reply = Reply::new(&mut self.output, self.session.protocol());
            match unblock.why.get() {
                Some(Unserved::Unblocked) => reply.error(UNBLOCKED),
                Some(Unserved::TimedOut) | None => (block.reply)(&mut reply, durable),
            }
        }
        self.release(usize::from(replies));
        true
    }

    /// Brings what others may know of this client up to date.
    fn publish(&mut self) {
        let info = &self.client.info;
        let output_bytes = self.output.len() - self.written;
        let at_ms = info.since.elapsed().as_millis() as u64;
        info.activity.note(at_ms, self.input.len(), output_bytes);
        let counters = &self.shared.counters;
        let (bytes_in, bytes_out) =
            (std::mem::take(&mut self.bytes_in), std::mem::take(&mut self.bytes_out));
        counters.input_bytes.fetch_add(bytes_in, Ordering::Relaxed);
        counters.output_bytes.fetch_add(bytes_out, Ordering::Relaxed);
        counters.reads.fetch_add(std::mem::take(&mut self.reads), Ordering::Relaxed);
        counters.writes.fetch_add(std::mem::take(&mut self.writes), Ordering::Relaxed);
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The engine may be poisoned.
            return;
        }
        if self.session.watched() > 0 {
            self.session.forget_transaction(&mut self.shared.engine.lock());
        }
        if let Some(waiter) = self.waiting.take() {
            self.shared.engine.lock().take_wait_reply(&waiter);
        }
    }
}

/// Ends with the pause, or earlier.
fn paused(shared: &Shared, wait_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    // It counts from here, while the engine is held, so that no end of the pause is missed.
    let unpaused = shared.unpaused.clone().notified_owned();
    Box::pin(async move {
        let _ = tokio::time::timeout(Duration::from_millis(wait_ms), unpaused).await;
    })
}
