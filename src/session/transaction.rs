//! `MULTI`, `EXEC`, `DISCARD`, `WATCH`, `UNWATCH`.

use super::request::{Origin, Way};
use super::state::{Queued, Session, Transaction, Watched};
use super::steps::Step;
use crate::commands::{CommandError, CommandResult, Flags, Spec};
use crate::engine::{Guard, Unit};
use crate::keyspace::{Keyspace, LastWrites};
use crate::resp::{Args, Output, Reply};
use std::sync::atomic::Ordering;

/// A transaction's commands may take this much memory together.
const QUEUED_BYTES_MAX: usize = 1 << 30;

/// Keeps a command for `EXEC`. `refused` is why it could not run now.
///
/// # Errors
/// If it cannot be queued; then `EXEC` will refuse.
pub(super) fn queue(
    session: &mut Session,
    spec: &'static Spec,
    args: Args<'_>,
    refused: Result<(), CommandError>,
) -> CommandResult {
    let refused = if spec.flags.has(Flags::NO_MULTI) || spec.flags.has(Flags::REFUSED_IN_MULTI) {
        Err(CommandError::fixed("ERR Command not allowed inside a transaction"))
    } else {
        refused
    };
    let transaction = session.transaction.as_mut().expect("only called inside a transaction");
    if let Err(error) = refused {
        transaction.broken = true;
        return Err(error);
    }
    if transaction.broken {
        // `EXEC` will refuse in any case: there is no need to remember the command.
        return Ok(());
    }
    let queued = Queued { spec, args: args.to_owned() };
    transaction.queued_bytes += queued.args.memory_bytes() + size_of::<Queued>();
    if transaction.queued_bytes > QUEUED_BYTES_MAX {
        transaction.broken = true;
        transaction.queue = Vec::new();
        return Err(CommandError::fixed("ERR the transaction's commands take too much memory"));
    }
    transaction.queue.push(queued);
    session.show_transaction();
    Ok(())
}

impl Session {
    /// Ends a transaction and forgets watched keys without a reply: `RESET`, a closed connection.
    pub fn forget_transaction(&mut self, engine: &mut Guard<'_>) {
        self.transaction = None;
        self.unwatch_all(engine.keyspace_mut());
    }

    fn unwatch_all(&mut self, keyspace: &mut Keyspace) {
        for watched in self.watched.drain(..) {
            keyspace.watches.unwatch(watched.db, &watched.key, &self.watch_flag);
        }
        self.watch_flag.store(false, Ordering::Relaxed);
        self.show_transaction();
    }

    fn watch(&mut self, engine: &mut Guard<'_>, args: Args<'_>) {
        let db = self.db();
        for key in args.from(1).iter() {
            if self.watched.iter().any(|known| known.db == db && *known.key == *key) {
                continue;
            }
            let was_expired = is_expired(engine, db, key);
            self.watched.push(Watched { db, key: key.into(), was_expired });
            engine.keyspace_mut().watches.watch(db, key, &self.watch_flag, was_expired);
        }
        self.show_transaction();
    }

    /// Whether a watched key has changed since. The reply shows that, so it waits for the write.
    fn watched_changed(&self, unit: &mut Unit<'_, '_>) -> bool {
        let keyspace = unit.keyspace();
        let slot = |w: &Watched| LastWrites::slot(keyspace.hasher().hash(&w.key), w.db);
        let written = self.watched.iter().map(|w| keyspace.last_writes.read(slot(w))).max();
        unit.depend_on(written.unwrap_or(0));
        self.watch_flag.load(Ordering::Relaxed)
            || self.watched.iter().any(|w| !w.was_expired && is_expired(unit, w.db, &w.key))
    }
}

fn is_expired(engine: &Guard<'_>, db: usize, key: &[u8]) -> bool {
    let keyspace = engine.keyspace();
    let entry = keyspace.database(db).find(keyspace.hasher().hash(key), key);
    entry.and_then(|entry| entry.expiry_ms()).is_some_and(|at| at <= engine.now_ms())
}

impl<H> Way<'_, H> {
    /// Carries out a command about transactions.
    pub(super) fn transaction(
        &mut self,
        unit: &mut Unit<'_, '_>,
        step: Step,
        args: Args<'_>,
        out: &mut Output,
    ) -> CommandResult {
        let session = &mut *self.session;
        match step {
            Step::Multi => {
                if session.in_transaction() {
                    session.break_transaction();
                    return Err(CommandError::fixed("ERR MULTI calls can not be nested"));
                }
                session.transaction = Some(Transaction::default());
                session.show_transaction();
            }
            Step::Discard => {
                if session.transaction.take().is_none() {
                    return Err(CommandError::fixed("ERR DISCARD without MULTI"));
                }
                session.unwatch_all(unit.keyspace_mut());
            }
            Step::Watch => {
                if session.in_transaction() {
                    session.break_transaction();
                    return Err(CommandError::fixed("ERR WATCH inside MULTI is not allowed"));
                }
                session.watch(unit, args);
            }
            Step::Unwatch => session.unwatch_all(unit.keyspace_mut()),
            Step::Exec => return self.exec(unit, out),
        }
        Reply::new(out, self.session.protocol()).ok();
        Ok(())
    }

    fn exec(&mut self, unit: &mut Unit<'_, '_>, out: &mut Output) -> CommandResult {
        let Some(transaction) = self.session.transaction.take() else {
            return Err(CommandError::fixed("ERR EXEC without MULTI"));
        };
        let changed = self.session.watched_changed(unit);
        self.session.unwatch_all(unit.keyspace_mut());
        if transaction.broken {
            return Err(CommandError::fixed(
                "EXECABORT Transaction discarded because of previous errors.",
            ));
        }
        if changed {
            Reply::new(out, self.session.protocol()).null_array();
            return Ok(());
        }
        if transaction.queue.iter().any(|queued| queued.spec.is_write())
            && let Err(error) = unit.check_writable()
        {
            let text = format!("EXECABORT Transaction discarded because of: {error}");
            return Err(CommandError::new(text));
        }
        Reply::new(out, self.session.protocol()).array(transaction.queue.len());
        unit.begin_whole();
        for queued in transaction.queue {
            let before = out.end();
            let args = queued.args.as_args();
            let result = self.run(unit, Origin::Exec, queued.spec, args, out);
            self.reply_error(result, before, out);
        }
        unit.end_whole();
        Ok(())
    }
}
