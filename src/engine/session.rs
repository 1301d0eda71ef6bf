//! What the engine remembers of a client between its commands.

use super::BlockedClient;
use crate::commands::Spec;
use crate::keyspace::{Keyspace, WatchFlag};
use crate::resp::{OwnedArgs, Protocol};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A command that waits for `EXEC`.
pub(super) struct Queued {
    pub(super) spec: &'static Spec,
    pub(super) args: OwnedArgs,
}

/// A key under `WATCH`.
pub(super) struct Watched {
    pub(super) db: usize,
    pub(super) key: Box<[u8]>,
    /// It had already expired when it was watched, so that expiring is no change.
    pub(super) was_expired: bool,
}

/// An open `MULTI`.
#[derive(Default)]
pub(super) struct Transaction {
    pub(super) queue: Vec<Queued>,
    pub(super) queued_bytes: usize,
    /// A command could not be queued; `EXEC` will refuse.
    pub(super) broken: bool,
}

/// What the engine remembers of a client between its commands: the selected database, an open
/// transaction, watched keys.
#[derive(Default)]
pub struct Session {
    /// The selected database.
    pub db: usize,
    /// The protocol that replies are written in.
    pub protocol: Protocol,
    /// `CLIENT NO-TOUCH on`: its reads do not count as accesses.
    pub no_touch: bool,
    /// The command at hand waits for a key; the connection takes this.
    pub blocked: Option<Arc<BlockedClient>>,
    pub(super) transaction: Option<Transaction>,
    pub(super) watched: Vec<Watched>,
    pub(super) watch_flag: WatchFlag,
}

impl Session {
    /// Whether a `MULTI` is open.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// How many commands are queued, or `None` outside a transaction (`CLIENT INFO`'s `multi`).
    pub fn queued(&self) -> Option<usize> {
        self.transaction.as_ref().map(|transaction| transaction.queue.len())
    }

    /// The queued commands.
    pub(super) fn queued_specs(&self) -> impl Iterator<Item = &'static Spec> {
        let queue = self.transaction.iter().flat_map(|transaction| &transaction.queue);
        queue.map(|queued| queued.spec)
    }

    /// How many keys are watched.
    pub fn watched(&self) -> usize {
        self.watched.len()
    }

    /// Makes an open transaction fail: a command was refused before it could be queued.
    pub fn break_transaction(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.broken = true;
        }
    }

    pub(super) fn unwatch_all(&mut self, keyspace: &mut Keyspace) {
        for watched in self.watched.drain(..) {
            keyspace.watches.unwatch(watched.db, &watched.key, &self.watch_flag);
        }
        self.watch_flag.store(false, Ordering::Relaxed);
    }
}
