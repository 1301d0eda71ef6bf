//! A connection whose command waits: for keys, the log, or another server.
//!
//! Waiting is a state of the connection's poll loop: replies and pushes leave meanwhile.

use super::executor::Executor;
use super::outbox::Outbox;
use super::reply_gates::Registration;
use super::thread::Thread;
use crate::engine::{BlockedClient, UNBLOCKED, Unserved, WaitReply};
use crate::log::{Durability, Gate};
use crate::resp::Reply;
use crate::server::commands::TABLE;
use crate::server::commands::connection_state::{Block, LogBlock};
use crate::server::commands::migrate;
use crate::server::state::clients::{Blocked, Unblock};
use crate::session;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Sleep, sleep};

/// A command that waits before it replies.
pub enum Wait {
    /// For keys.
    Key {
        /// The wait as the engine knows it.
        client: Arc<BlockedClient>,
        /// When it ends at the latest.
        timeout: Timeout,
    },
    /// For the log.
    Log(Box<LogWait>),
    /// For another server. The task goes on if the client goes away, so that what has arrived
    /// elsewhere does not stay here.
    Migrate {
        /// Migrates.
        task: tokio::task::JoinHandle<migrate::Finished>,
        /// What it has done.
        finished: Option<migrate::Finished>,
    },
}

/// A command that waits for the log.
pub struct LogWait {
    block: LogBlock,
    /// What everything before which is to be durable.
    gate: Option<Gate>,
    registered: Option<Registration>,
    unblock: Arc<Unblock>,
    woken: Pin<Box<OwnedNotified>>,
    timeout: Timeout,
}

/// The end of a wait by time; `None` for never.
pub struct Timeout(Option<Pin<Box<Sleep>>>);

impl Timeout {
    fn new(after: Option<Duration>) -> Self {
        Self(after.map(|after| Box::pin(sleep(after))))
    }

    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.0.as_mut().is_some_and(|sleep| sleep.as_mut().poll(context).is_ready())
    }
}

impl Wait {
    /// Begins to wait for what a command has asked for.
    pub fn new(block: Block, executor: &Executor) -> Self {
        match block {
            Block::Key(client) => {
                let timeout = Timeout::new(client.timeout_ms().map(Duration::from_millis));
                Wait::Key { client, timeout }
            }
            Block::Log(block) => {
                let unblock = match &executor.client.info.state.lock().blocked {
                    Some(Blocked::Log(unblock)) => unblock.clone(),
                    _ => unreachable!("a client that waits for the log is marked so"),
                };
                let gate = block.until.clone().map(|(log, lsn)| {
                    let durability = Durability::Always;
                    Gate { log, lsn, durability }
                });
                let (timeout, registered) = (Timeout::new(block.timeout), None);
                let woken = Box::pin(unblock.wake.clone().notified_owned());
                Wait::Log(Box::new(LogWait { block, gate, registered, unblock, woken, timeout }))
            }
            Block::Migrate(request) => {
                let (shared, thread) = (executor.shared.clone(), executor.thread.clone());
                let task = tokio::spawn(migrate::run(shared, thread, request));
                Wait::Migrate { task, finished: None }
            }
        }
    }

    /// Ready once the wait is over.
    pub fn poll(&mut self, thread: &Thread, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Wait::Key { client, timeout } => {
                if client.poll_end(context).is_ready() || timeout.is_over(context) {
                    return Poll::Ready(());
                }
            }
            Wait::Log(wait) => {
                let LogWait { gate, registered, woken, timeout, .. } = &mut **wait;
                let is_passed = gate.as_ref().is_some_and(|gate| {
                    thread.gates.poll_passage(context, gate, registered).is_ready()
                });
                if is_passed || woken.as_mut().poll(context).is_ready() || timeout.is_over(context)
                {
                    return Poll::Ready(());
                }
            }
            Wait::Migrate { task, finished } => {
                return Pin::new(task).poll(context).map(|result| *finished = result.ok());
            }
        }
        Poll::Pending
    }

    /// Replies, now that the wait is over.
    pub fn end(self, executor: &mut Executor, outbox: &mut Outbox) {
        match self {
            Wait::Key { client, .. } => end_key(&client, executor, outbox),
            Wait::Log(wait) => end_log(*wait, executor, outbox),
            Wait::Migrate { finished: Some(finished), .. } => {
                end_migration(finished, executor, outbox);
            }
            // The runtime is going down.
            Wait::Migrate { finished: None, .. } => outbox.close(),
        }
        executor.client.info.state.lock().blocked = None;
    }
}

fn end_key(client: &Arc<BlockedClient>, executor: &mut Executor, outbox: &mut Outbox) {
    client.end(&executor.shared.engine, Unserved::TimedOut);
    let (reply, observing, now_ms) = {
        let mut engine = executor.shared.engine.lock();
        let reply = engine.take_wait_reply(client);
        (reply, session::observing(&engine), engine.now_ms())
    };
    let WaitReply { bytes, outcome, log, durability, took_us, result } = reply;
    let replies = usize::from(executor.state.end_reply());
    if replies > 0 {
        outbox.output.append(bytes);
    }
    executor.observed.woken(client, &result, took_us, now_ms, observing);
    executor.note_observed();
    let gate = log.map(|log| Gate { log, lsn: outcome.lsn, durability });
    executor.hold(outbox, gate, replies, outcome.wrote);
}

fn end_log(wait: LogWait, executor: &mut Executor, outbox: &mut Outbox) {
    let LogWait { block, unblock, .. } = wait;
    let replies = executor.state.end_reply();
    if replies {
        // When the time is over, the reply tells what is durable by then.
        let durable = block.local.is_some_and(|(log, lsn)| lsn <= log.durable_lsn());
        let mut reply = Reply::new(&mut outbox.output, executor.session.protocol());
        match unblock.why.get() {
            Some(Unserved::Unblocked) => reply.error(UNBLOCKED),
            Some(Unserved::TimedOut) | None => (block.reply)(&mut reply, durable),
        }
    }
    outbox.release(usize::from(replies), executor.session.protocol());
}

fn end_migration(finished: migrate::Finished, executor: &mut Executor, outbox: &mut Outbox) {
    let replies = usize::from(executor.state.end_reply());
    if replies > 0 {
        let mut reply = Reply::new(&mut outbox.output, executor.session.protocol());
        match &finished.result {
            Ok(status) => reply.simple(status),
            Err(error) => reply.error(error.bytes()),
        }
    }
    if let Err(error) = &finished.result {
        executor.observed.error(error);
        if let Some(spec) = TABLE.directory().by_name(b"migrate") {
            executor.observed.failed(spec);
        }
    }
    executor.note_observed();
    executor.hold(outbox, finished.gate, replies, finished.wrote);
}
