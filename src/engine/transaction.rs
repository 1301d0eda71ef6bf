//! `MULTI`, `EXEC`, `DISCARD`, `WATCH`, `UNWATCH`.

use super::execute::ServerCommands;
use super::session::{Queued, Transaction, Watched};
use super::{Guard, Session};
use crate::commands::spec::{EngineCommand, ServerCommand};
use crate::commands::{CommandError, CommandResult, Flags, Handler, Spec};
use crate::keyspace::LastWrites;
use crate::resp::{Args, Reply, write_command};
use std::sync::atomic::Ordering;

/// A transaction's commands may take this much memory together.
const QUEUED_BYTES_MAX: usize = 1 << 30;

impl Guard<'_> {
    /// Keeps a command for `EXEC`.
    pub(super) fn queue(
        &mut self,
        session: &mut Session,
        spec: &'static Spec,
        args: Args<'_>,
    ) -> CommandResult {
        // `MIGRATE` waits for another server, which nothing does while the engine is held. Redis does not
        // flag it so, and neither does `COMMAND INFO`.
        let migrates = matches!(spec.handler, Handler::Server(ServerCommand::Migrate));
        let refused = if migrates || spec.flags.has(Flags::NO_MULTI) {
            Err(CommandError::fixed("ERR Command not allowed inside a transaction"))
        } else if spec.is_write() {
            self.check_writable()
        } else {
            Ok(())
        };
        let transaction = session.transaction.as_mut().expect("only called inside a transaction");
        if let Err(error) = refused {
            transaction.broken = true;
            return Err(error);
        }
        if transaction.broken {
            // `EXEC` will refuse whatever it is: no need to remember it.
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
        Ok(())
    }

    /// Carries out a command about transactions.
    pub(super) fn transaction(
        &mut self,
        command: EngineCommand,
        session: &mut Session,
        args: Args<'_>,
        reply: &mut Vec<u8>,
        server: &mut dyn ServerCommands,
    ) -> CommandResult {
        match command {
            EngineCommand::Multi => {
                if session.in_transaction() {
                    session.break_transaction();
                    return Err(CommandError::fixed("ERR MULTI calls can not be nested"));
                }
                session.transaction = Some(Transaction::default());
            }
            EngineCommand::Discard => {
                if session.transaction.take().is_none() {
                    return Err(CommandError::fixed("ERR DISCARD without MULTI"));
                }
                session.unwatch_all(&mut self.state.keyspace);
            }
            EngineCommand::Watch => {
                if session.in_transaction() {
                    session.break_transaction();
                    return Err(CommandError::fixed("ERR WATCH inside MULTI is not allowed"));
                }
                self.watch(session, args);
            }
            EngineCommand::Unwatch => session.unwatch_all(&mut self.state.keyspace),
            EngineCommand::Exec => return self.exec(session, reply, server),
        }
        Reply::new(reply, session.protocol).ok();
        Ok(())
    }

    /// Ends a transaction and forgets watched keys without a word: `RESET`, a closed connection.
    pub fn forget_transaction(&mut self, session: &mut Session) {
        session.transaction = None;
        session.unwatch_all(&mut self.state.keyspace);
    }

    fn watch(&mut self, session: &mut Session, args: Args<'_>) {
        for key in args.from(1).iter() {
            let known = |w: &Watched| w.db == session.db && *w.key == *key;
            if session.watched.iter().any(known) {
                continue;
            }
            let was_expired = self.is_expired(session.db, key);
            session.watched.push(Watched { db: session.db, key: key.into(), was_expired });
            let flag = &session.watch_flag;
            self.state.keyspace.watches.watch(session.db, key, flag, was_expired);
        }
    }

    fn is_expired(&self, db: usize, key: &[u8]) -> bool {
        let keyspace = &self.state.keyspace;
        let entry = keyspace.database(db).find(keyspace.hasher().hash(key), key);
        entry.and_then(|entry| entry.expiry_ms()).is_some_and(|at| at <= self.now_ms)
    }

    /// Whether a watched key has changed since. What that shows was written by somebody: the reply
    /// waits for it.
    fn watched_changed(&mut self, session: &Session) -> bool {
        let keyspace = &self.state.keyspace;
        let slot = |w: &Watched| LastWrites::slot(keyspace.hasher().hash(&w.key), w.db);
        let seen = session.watched.iter().map(|w| keyspace.last_writes.read(slot(w))).max();
        let unit = &mut self.state.unit;
        unit.depends_on_lsn = unit.depends_on_lsn.max(seen.unwrap_or(0));
        session.watch_flag.load(Ordering::Relaxed)
            || session.watched.iter().any(|w| !w.was_expired && self.is_expired(w.db, &w.key))
    }

    fn exec(
        &mut self,
        session: &mut Session,
        reply: &mut Vec<u8>,
        server: &mut dyn ServerCommands,
    ) -> CommandResult {
        let Some(transaction) = session.transaction.take() else {
            return Err(CommandError::fixed("ERR EXEC without MULTI"));
        };
        let changed = self.watched_changed(session);
        session.unwatch_all(&mut self.state.keyspace);
        if transaction.broken {
            return Err(CommandError::fixed(
                "EXECABORT Transaction discarded because of previous errors.",
            ));
        }
        if changed {
            Reply::new(reply, session.protocol).null_array();
            return Ok(());
        }
        if transaction.queue.iter().any(|queued| queued.spec.is_write())
            && let Err(error) = self.check_writable()
        {
            let text = format!("EXECABORT Transaction discarded because of: {error}");
            return Err(CommandError::new(text));
        }
        let start = self.state.unit.effects.len();
        Reply::new(reply, session.protocol).array(transaction.queue.len());
        self.in_exec = true;
        self.state.unit.may_block = false;
        for queued in &transaction.queue {
            let before = reply.len();
            let args = queued.args.as_args();
            let result = match queued.spec.handler {
                // The only one of them that can be queued; nothing is watched any more.
                Handler::Engine(_) => {
                    Reply::new(reply, session.protocol).ok();
                    Ok(())
                }
                _ => self.run(session, queued.spec, args, reply, server),
            };
            if let Err(error) = result {
                reply.truncate(before);
                self.state.stats.error(error.code());
                Reply::new(reply, session.protocol).error(error.bytes());
            }
        }
        self.in_exec = false;
        self.frame_transaction(start);
        Ok(())
    }

    /// Puts `MULTI` and `EXEC` around the effects from `start` on, if there are several: a replica
    /// then shows all or none of them. (In the log they are in one frame either way.)
    fn frame_transaction(&mut self, start: usize) {
        let unit = &mut self.state.unit;
        if unit.effect_count < 2 {
            return;
        }
        let mut multi = Vec::new();
        write_command(&mut multi, &[b"MULTI"]);
        unit.effects.splice(start..start, multi);
        write_command(&mut unit.effects, &[b"EXEC"]);
    }
}
