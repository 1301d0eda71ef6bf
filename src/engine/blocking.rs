//! Clients that wait for a key: `BLPOP`, `XREAD BLOCK` and the like.
//!
//! Such a command runs as any other. If it finds nothing it asks to wait ([`crate::commands::Context::block`]), and the
//! engine remembers it. After each unit, those who wait for a key that the unit changed are served in
//! order of arrival: the same command simply runs again, as a unit of its own behind the one that
//! woke it. So what it does is logged as what it did, and nothing comes between.

use super::execute::Outcome;
use super::{Guard, Session};
use crate::commands::store::{BlockRequest, Wants};
use crate::commands::{CommandError, Handler, Spec};
use crate::keyspace::Value;
use crate::log::{Durability, Log};
use crate::resp::{OwnedArgs, Protocol, Reply};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

/// A client that waits for one of several keys; shared by the engine and its connection.
pub struct BlockedClient {
    id: u64,
    spec: &'static Spec,
    args: OwnedArgs,
    db: usize,
    protocol: Protocol,
    no_touch: bool,
    wants: Wants,
    keys: Vec<Box<[u8]>>,
    /// For how long, in ms; `None` for ever.
    timeout_ms: Option<u64>,
    end: Mutex<End>,
}

#[derive(Default)]
struct End {
    reply: Option<WaitReply>,
    waker: Option<Waker>,
}

/// What ended a wait, for the connection to pass on.
pub struct WaitReply {
    /// The reply's bytes.
    pub bytes: Vec<u8>,
    /// What it depends on.
    pub outcome: Outcome,
    /// The log in which that is.
    pub log: Option<Arc<Log>>,
    /// The condition under which it leaves.
    pub durability: Durability,
}

impl BlockedClient {
    /// For how long the client waits at most, in ms; `None` for ever.
    pub fn timeout_ms(&self) -> Option<u64> {
        self.timeout_ms
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

    fn has_ended(&self) -> bool {
        self.end.lock().reply.is_some()
    }
}

impl fmt::Debug for BlockedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockedClient")
            .field("id", &self.id)
            .field("command", &self.spec.name)
            .finish()
    }
}

/// What a client reads whose wait was ended with `CLIENT UNBLOCK … ERROR`.
pub const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

/// Why a wait ends without having been served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// Its time is over, or somebody said that it should be treated so.
    TimedOut,
    /// `CLIENT UNBLOCK … ERROR`.
    Unblocked,
}

impl Guard<'_> {
    /// Makes a client wait, as its command has asked.
    pub(super) fn begin_wait(
        &mut self,
        session: &mut Session,
        spec: &'static Spec,
        request: BlockRequest,
    ) {
        let state = &mut *self.state;
        state.last_blocked += 1;
        let id = state.last_blocked;
        for key in &request.keys {
            state.keyspace.waited.wait(session.db, key, request.wants, id);
        }
        let client = Arc::new(BlockedClient {
            id,
            spec,
            args: request.args,
            db: session.db,
            protocol: session.protocol,
            no_touch: session.no_touch,
            wants: request.wants,
            keys: request.keys,
            timeout_ms: request.timeout_ms,
            end: Mutex::default(),
        });
        state.blocked.insert(id, client.clone());
        session.blocked = Some(client);
    }

    /// Serves those who wait for keys that have been changed.
    pub(super) fn serve_blocked_clients(&mut self) {
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
    }

    /// The first to have come after client `after` of those who want what a key holds now, or whose
    /// command has something to say whatever that is.
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

    /// Runs a waiting command again, and ends the wait unless it finds nothing still.
    fn serve(&mut self, client: &Arc<BlockedClient>) {
        let Handler::Data(handler) = client.spec.handler else {
            unreachable!("only commands on data wait for keys")
        };
        let start = self.begin_unit();
        let mut bytes = Vec::new();
        let args = client.args.as_args();
        let mut result = self.check_writable();
        if result.is_ok() {
            let (db, protocol) = (client.db, client.protocol);
            (result, _) = self.run_data(handler, db, protocol, client.no_touch, args, &mut bytes);
        }
        if self.state.unit.block.take().is_some() {
            self.end_unit(start);
            return;
        }
        self.count(client.spec, None, &result);
        if let Err(error) = result {
            bytes.clear();
            self.state.stats.error(error.code());
            Reply::new(&mut bytes, client.protocol).error(error.bytes());
        }
        let lsn = self.end_unit(start);
        let wrote = self.state.unit.effects.len() > start;
        self.hide_undurable(client.protocol, 0, lsn, &mut bytes);
        let outcome = Outcome { lsn, wrote, failed: bytes.first() == Some(&b'-') };
        self.finish_wait(client, bytes, outcome);
    }

    /// Ends a wait that was not served. False if it was served before.
    pub fn end_wait(&mut self, client: &Arc<BlockedClient>, why: Unserved) -> bool {
        if client.has_ended() {
            return false;
        }
        let mut bytes = Vec::new();
        let mut reply = Reply::new(&mut bytes, client.protocol);
        match why {
            Unserved::TimedOut => reply.null_array(),
            Unserved::Unblocked => reply.error(UNBLOCKED),
        }
        let result = match why {
            Unserved::TimedOut => Ok(()),
            Unserved::Unblocked => Err(CommandError::fixed(UNBLOCKED)),
        };
        self.count(client.spec, None, &result);
        if let Err(error) = &result {
            self.state.stats.error(error.code());
        }
        // That nothing is there may be the doing of a command which is not yet durable.
        let outcome =
            Outcome { lsn: self.state.lsn, wrote: false, failed: why == Unserved::Unblocked };
        self.finish_wait(client, bytes, outcome);
        true
    }

    /// Takes the reply of a wait that has ended. It ends now as timed out if it has not; so this is also
    /// how a client that is gone is forgotten.
    pub fn take_wait_reply(&mut self, client: &Arc<BlockedClient>) -> WaitReply {
        self.end_wait(client, Unserved::TimedOut);
        client.end.lock().reply.take().expect("a wait that has ended has a reply, taken once")
    }

    fn finish_wait(&mut self, client: &Arc<BlockedClient>, bytes: Vec<u8>, outcome: Outcome) {
        let (log, durability) = (self.state.log.clone(), self.durability());
        for key in &client.keys {
            self.state.keyspace.waited.forget(client.db, key, client.wants, client.id);
        }
        self.state.blocked.remove(&client.id);
        let mut end = client.end.lock();
        end.reply = Some(WaitReply { bytes, outcome, log, durability });
        if let Some(waker) = end.waker.take() {
            waker.wake();
        }
    }

    /// For how many keys clients wait, and for how many of them somebody who is also told when they are gone.
    pub fn waited_keys(&self) -> (usize, usize) {
        let waited = &self.state.keyspace.waited;
        (waited.keys(), waited.keys_wanted_as(Wants::StreamGroup))
    }
}
