//! Clients that wait for a key: `BLPOP`, `XREAD BLOCK` and the like.
//!
//! Such a command runs as any other. If it finds nothing it asks to wait ([`crate::commands::Context::block`]), and the
//! engine remembers it. After each unit, those who wait for a key that the unit changed are served in
//! order of arrival: the same command runs again, as a unit of its own after the one that
//! woke it. So what it does is logged as what it did, and nothing comes between.
//!
//! How a wait ends (served, timed out, unblocked, gone) is decided by one claim: the lock of its
//! [`End`]. A command that runs again holds it while it runs, so that nothing else ends the wait
//! before it is known whether the command has found something.

use super::unit::{Caller, Outcome};
use super::{Engine, Guard};
use crate::commands::store::{BlockRequest, Wants};
use crate::commands::{CommandError, CommandResult, Spec};
use crate::keyspace::Value;
use crate::log::{Durability, Log, Lsn};
use crate::resp::{Args, Output, OwnedArgs, Reply};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

/// Runs the command of a blocked client again, as a unit of its own. `None` if it found nothing.
pub type Resume = fn(&mut Guard<'_>, &BlockedClient) -> Option<Resumed>;

/// A command that has run again and found something.
pub struct Resumed {
    /// The reply.
    pub reply: Output,
    /// What it depends on.
    pub outcome: Outcome,
    /// Success, or the error that is the reply.
    pub result: CommandResult,
}

/// A client that waits for one of several keys; shared by the engine and its connection.
pub struct BlockedClient {
    id: u64,
    spec: &'static Spec,
    args: OwnedArgs,
    caller: Caller,
    wants: Wants,
    keys: Vec<Box<[u8]>>,
    /// For how long, in ms; `None` for ever.
    timeout_ms: Option<u64>,
    resume: Resume,
    end: Mutex<End>,
}

/// How the wait has ended, if it has. Its lock is the claim to end it.
#[derive(Default)]
struct End {
    reply: Option<WaitReply>,
    /// The reply was taken.
    is_over: bool,
    waker: Option<Waker>,
}

impl End {
    fn is_open(&self) -> bool {
        self.reply.is_none() && !self.is_over
    }

    fn end(&mut self, reply: WaitReply) {
        self.reply = Some(reply);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// What ended a wait, for the connection to pass on.
pub struct WaitReply {
    /// The reply.
    pub bytes: Output,
    /// What it depends on.
    pub outcome: Outcome,
    /// The log in which that is.
    pub log: Option<Arc<Log>>,
    /// The condition under which it leaves.
    pub durability: Durability,
    /// How long the command ran that found something, in µs.
    pub took_us: u64,
    /// Success, or the error that is the reply.
    pub result: CommandResult,
}

impl BlockedClient {
    /// For how long the client waits at most, in ms; `None` for ever.
    pub fn timeout_ms(&self) -> Option<u64> {
        self.timeout_ms
    }

    /// Its command.
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// The command that runs again.
    pub fn args(&self) -> Args<'_> {
        self.args.as_args()
    }

    /// What its command needs to know of it.
    pub fn caller(&self) -> Caller {
        self.caller
    }

    /// Ready once the wait has ended.
    pub fn poll_end(&self, context: &mut TaskContext<'_>) -> Poll<()> {
        let mut end = self.end.lock();
        if end.reply.is_some() {
            return Poll::Ready(());
        }
        end.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ends a wait that was not served. False if it has ended before. Waits while the command runs
    /// again.
    pub fn end(&self, engine: &Engine, why: Unserved) -> bool {
        let mut end = self.end.lock();
        if !end.is_open() {
            return false;
        }
        // That nothing is there may be due to a command that is not yet durable.
        let (log, lsn) = engine.published_lsn();
        let durability = log.as_ref().map_or(Durability::No, |log| log.durability());
        end.end(self.unserved(why, log, lsn, durability));
        true
    }

    fn unserved(
        &self,
        why: Unserved,
        log: Option<Arc<Log>>,
        lsn: Lsn,
        durability: Durability,
    ) -> WaitReply {
        let mut bytes = Output::default();
        let mut reply = Reply::new(&mut bytes, self.caller.protocol);
        let result = match why {
            Unserved::TimedOut => {
                reply.null_array();
                Ok(())
            }
            Unserved::Unblocked => {
                reply.error(UNBLOCKED);
                Err(CommandError::fixed(UNBLOCKED))
            }
        };
        let outcome = Outcome { lsn, wrote: false, failed: result.is_err() };
        WaitReply { bytes, outcome, log, durability, took_us: 0, result }
    }
}

impl fmt::Debug for BlockedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("BlockedClient");
        shown.field("id", &self.id).field("command", &self.spec.name).finish()
    }
}

/// What a client reads whose wait was ended with `CLIENT UNBLOCK … ERROR`.
pub const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

/// Why a wait ends without having been served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// Its time is over, or is treated so.
    TimedOut,
    /// `CLIENT UNBLOCK … ERROR`.
    Unblocked,
}

impl Guard<'_> {
    /// Makes a client wait, as its command has asked. `resume` runs that again.
    pub fn begin_wait(
        &mut self,
        caller: Caller,
        spec: &'static Spec,
        request: BlockRequest,
        resume: Resume,
    ) -> Arc<BlockedClient> {
        let state = &mut *self.state;
        state.last_blocked += 1;
        let id = state.last_blocked;
        for key in &request.keys {
            state.keyspace.waited.wait(caller.db, key, request.wants, id);
        }
        let client = Arc::new(BlockedClient {
            id,
            spec,
            args: request.args,
            caller,
            wants: request.wants,
            keys: request.keys,
            timeout_ms: request.timeout_ms,
            resume,
            end: Mutex::default(),
        });
        state.blocked.insert(id, client.clone());
        client
    }

    /// Serves those who wait for keys that have been changed.
    pub(super) fn serve_blocked_clients(&mut self) {
        // What a served command changes is seen by the loop that serves it.
        if std::mem::replace(&mut self.is_serving, true) {
            return;
        }
        while let Some((db, key)) = self.state.keyspace.waited.next_ready() {
            // What took long may have outlived the key.
            self.now_ms = self.now_ms.max(self.engine.machine.clock.unix_ms());
            let mut last = 0;
            while let Some(id) = self.next_blocked(db, &key, last) {
                let client = self.state.blocked[&id].clone();
                self.serve(&client);
                last = id;
            }
        }
        self.is_serving = false;
    }

    /// The first to have come after client `after` of those who want what a key holds now, or whose
    /// command also replies when the key is gone.
    fn next_blocked(&self, db: usize, key: &[u8], after: u64) -> Option<u64> {
        let keyspace = &self.state.keyspace;
        let entry = keyspace.database(db).find(keyspace.hasher().hash(key), key);
        let entry = entry.filter(|entry| entry.expiry_ms().is_none_or(|at| at > self.now_ms));
        let wants: &[Wants] = match entry.map(|entry| entry.value()) {
            Some(Value::List(_)) => &[Wants::List, Wants::StreamGroup],
            Some(Value::SortedSet(_)) => &[Wants::SortedSet, Wants::StreamGroup],
            Some(Value::Stream(_)) => &[Wants::Stream, Wants::StreamGroup],
            _ => &[Wants::StreamGroup],
        };
        keyspace.waited.next_client(db, key, wants, after)
    }

    /// Runs a waiting command again, and ends the wait unless it still finds nothing.
    fn serve(&mut self, client: &Arc<BlockedClient>) {
        let mut end = client.end.lock();
        if !end.is_open() {
            // Its connection will take it off.
            return;
        }
        let begun_us = self.monotonic_us();
        let Some(resumed) = (client.resume)(self, client) else { return };
        let (log, durability) = (self.state.log.clone(), self.durability());
        let took_us = self.monotonic_us().saturating_sub(begun_us);
        self.forget(client);
        let Resumed { reply: bytes, outcome, result } = resumed;
        end.end(WaitReply { bytes, outcome, log, durability, took_us, result });
    }

    /// Takes the reply of a wait that has ended. It ends now as timed out if it has not; so this is also
    /// how a client that is gone is forgotten.
    pub fn take_wait_reply(&mut self, client: &Arc<BlockedClient>) -> WaitReply {
        self.forget(client);
        let mut end = client.end.lock();
        let reply = match end.reply.take() {
            Some(reply) => reply,
            None => {
                let (log, durability) = (self.state.log.clone(), self.durability());
                client.unserved(Unserved::TimedOut, log, self.state.lsn, durability)
            }
        };
        end.is_over = true;
        reply
    }

    fn forget(&mut self, client: &BlockedClient) {
        if self.state.blocked.remove(&client.id).is_none() {
            return;
        }
        for key in &client.keys {
            let waited = &mut self.state.keyspace.waited;
            waited.forget(client.caller.db, key, client.wants, client.id);
        }
    }
}
