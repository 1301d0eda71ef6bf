//! What is remembered of a client between its commands, and kept once: the session changes it, and
//! `CLIENT LIST` and `INFO` read it from any thread.

use crate::commands::Spec;
use crate::engine::{BlockedClient, Caller};
use crate::keyspace::WatchFlag;
use crate::resp::{OwnedArgs, Protocol};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicUsize, Ordering};

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

/// The part of a session that other threads read. One thread writes it.
#[derive(Debug)]
pub struct Visible {
    db: AtomicU32,
    /// 2 or 3.
    protocol: AtomicU32,
    no_touch: AtomicBool,
    /// Commands queued; -1 outside a transaction.
    queued: AtomicI64,
    watched: AtomicUsize,
}

impl Default for Visible {
    fn default() -> Self {
        Self {
            db: 0.into(),
            protocol: 2.into(),
            no_touch: false.into(),
            queued: (-1).into(),
            watched: 0.into(),
        }
    }
}

impl Visible {
    /// The selected database.
    pub fn db(&self) -> usize {
        self.db.load(Ordering::Relaxed) as usize
    }

    /// The version of the protocol that replies are written in.
    pub fn protocol_version(&self) -> u32 {
        self.protocol.load(Ordering::Relaxed)
    }

    /// `CLIENT NO-TOUCH on`: its reads do not count as accesses.
    pub fn no_touch(&self) -> bool {
        self.no_touch.load(Ordering::Relaxed)
    }

    /// How many commands are queued; -1 outside a transaction.
    pub fn queued(&self) -> i64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// How many keys are watched.
    pub fn watched(&self) -> usize {
        self.watched.load(Ordering::Relaxed)
    }
}

/// What is remembered of a client between its commands: the selected database, the protocol, an
/// open transaction, watched keys.
#[derive(Default)]
pub struct Session {
    visible: Arc<Visible>,
    /// The last command waits for a key; the connection takes this.
    pub blocked: Option<Arc<BlockedClient>>,
    pub(super) transaction: Option<Transaction>,
    pub(super) watched: Vec<Watched>,
    pub(super) watch_flag: WatchFlag,
}

impl Session {
    /// The part that other threads read.
    pub fn visible(&self) -> &Arc<Visible> {
        &self.visible
    }

    /// The selected database.
    pub fn db(&self) -> usize {
        self.visible.db()
    }

    /// Selects a database.
    pub fn set_db(&mut self, db: usize) {
        self.visible.db.store(db as u32, Ordering::Relaxed);
    }

    /// The protocol that replies are written in.
    pub fn protocol(&self) -> Protocol {
        match self.visible.protocol_version() {
            3 => Protocol::Resp3,
            _ => Protocol::Resp2,
        }
    }

    /// Sets the protocol that replies are written in.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        let version = if protocol == Protocol::Resp3 { 3 } else { 2 };
        self.visible.protocol.store(version, Ordering::Relaxed);
    }

    /// Whether its reads count as accesses: `CLIENT NO-TOUCH`.
    pub fn set_no_touch(&mut self, no_touch: bool) {
        self.visible.no_touch.store(no_touch, Ordering::Relaxed);
    }

    /// What a command on data needs to know.
    pub fn caller(&self) -> Caller {
        let no_touch = self.visible.no_touch();
        Caller { db: self.db(), protocol: self.protocol(), no_touch }
    }

    /// Whether a `MULTI` is open.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
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

    /// Shows what has become of transaction and watched keys.
    pub(super) fn show_transaction(&self) {
        let queued = self.transaction.as_ref().map_or(-1, |open| open.queue.len() as i64);
        self.visible.queued.store(queued, Ordering::Relaxed);
        self.visible.watched.store(self.watched.len(), Ordering::Relaxed);
    }
}
