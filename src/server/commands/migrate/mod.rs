//! `MIGRATE`: takes keys to another server.
//!
//! Nothing waits for the network while the engine is held, so other clients see and change the keys
//! while they travel. Keys are written down under the engine in pieces, sent without it, and deleted
//! under it again once the other server has acknowledged them. A key that was changed in between is not
//! deleted but sent again, in another round, and one that was deleted is deleted there. If that does not come to
//! rest the key stays, and the reply says so.
//!
//! In a transaction it is refused, as all that would have to wait.

mod peer;

pub use peer::{DESCRIPTORS_MAX, Peers};

use super::connection_state::Block;
use super::{Call, ConnectionState};
use crate::commands::numbers::integer;
use crate::commands::spec::Categories;
use crate::commands::spec::KeyFlags;
use crate::commands::spec::{Begin, Find};
use crate::commands::{CommandError, CommandResult, Flags, KeySpec, Keys, Spec};
use crate::engine::{ExportedKey, Guard};
use crate::log::{Gate, Lsn, Passage};
use crate::resp::Args;
use crate::server::net::thread::Thread;
use crate::server::state::shared::Shared;
use crate::session::Row;
use peer::{Failure, Peer, Place};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What is written down at one taking of the engine, but for a single bigger value.
const PIECE_BYTES: usize = 256 * 1024;
/// Keys looked at, and keys deleted, at one taking of the engine.
const PIECE_KEYS: usize = 64;
/// How often keys are sent before one that keeps changing is given up.
const ROUNDS_MAX: usize = 16;
/// The timeout if none is given.
const TIMEOUT_USUAL: Duration = Duration::from_secs(1);
/// How long a pause of writes is slept through before it is looked at again.
const PAUSE_STEP_MS: i64 = 100;

const NO_CONNECTION: CommandError =
    CommandError::fixed("IOERR error or timeout connecting to the client");
const NOT_WRITTEN: CommandError =
    CommandError::fixed("IOERR error or timeout writing to target instance");
const NOT_READ: CommandError =
    CommandError::fixed("IOERR error or timeout reading to target instance");
const ENDING: CommandError = CommandError::fixed("ERR the server is shutting down");

/// This family's part of the table.
pub static COMMANDS: [Row<ConnectionState>; 1] = [Row::engine(
    Spec::host("migrate", -6)
        .syntax(
            "host port:integer key_or_empty_string<key|empty_string=''> \
             destination-db:integer timeout:integer [COPY@3.0.0] [REPLACE@3.0.0] \
             [authentication<[AUTH password@4.0.7]|[AUTH2 username_password(username \
             password)@6.0.0]>] [KEYS key#1...@3.0.6]",
        )
        .flags(
            Flags::WRITE.with(Flags::REFUSED_IN_MULTI),
            Categories::KEYSPACE.with(Categories::DANGEROUS),
        )
        .keys(&[
            KeySpec::at(3, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE)),
            KeySpec {
                begin: Begin::Keyword { keyword: "KEYS", from: -2 },
                find: Find::Range { last: -1, step: 1, limit: 0 },
                flags: KeyFlags::RW
                    .with(KeyFlags::ACCESS)
                    .with(KeyFlags::DELETE)
                    .with(KeyFlags::INCOMPLETE),
            },
        ])
        .key_function(migrate_keys)
        .doc(
            "generic",
            "2.6.0",
            "As `DUMP` and `DEL` here and `RESTORE` there, and O(N) in the bytes that travel",
            "Takes keys to another server.",
        )
        .tips(&["nondeterministic_output"]),
    migrate,
)];

/// `MIGRATE`: the connection carries it out, which waits for it. It is refused at once while the
/// log takes no writes.
fn migrate(call: &mut Call<'_, '_, '_>, args: Args<'_>) -> CommandResult {
    let caller = call.session.caller();
    let request = Request::parse(caller.db, caller.no_touch, args)?;
    call.host.block = Some(Block::Migrate(request));
    Ok(())
}

/// The keys of `MIGRATE`: one, or those behind `KEYS`, which is no keyword where it is a password.
fn migrate_keys(args: Args<'_>) -> Option<Keys> {
    const FLAGS: KeyFlags = KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE);
    let mut keys = Keys::default();
    let mut at = 6;
    while let Some(option) = args.get(at) {
        at += match &option.to_ascii_lowercase()[..] {
            b"keys" => {
                if args.at(3).is_empty() && at + 1 < args.len() {
                    keys.push(at + 1, args.len() - 1, 1, FLAGS);
                }
                return Some(keys);
            }
            b"auth" => 2,
            b"auth2" => 3,
            _ => 1,
        };
    }
    keys.push(3, 3, 1, FLAGS);
    Some(keys)
}

/// What a `MIGRATE` asks for.
#[derive(Debug)]
pub struct Request {
    place: Place,
    /// The database here, and whether looking at the keys is no access.
    from: (usize, bool),
    /// The database there.
    to: i64,
    timeout: Duration,
    copy: bool,
    replace: bool,
    /// The arguments of `AUTH`.
    auth: Option<Vec<Box<[u8]>>>,
    keys: Vec<Box<[u8]>>,
}

impl Request {
    /// Reads the arguments of a client that has database `db` selected.
    ///
    /// # Errors
    /// The error reply.
    pub fn parse(db: usize, no_touch: bool, args: Args<'_>) -> Result<Self, CommandError> {
        let (mut copy, mut replace, mut auth) = (false, false, None);
        let mut keys = vec![Box::from(args.at(3))];
        let mut at = 6;
        while let Some(option) = args.get(at) {
            let mut take = |count: usize| {
                let taken: Vec<_> = args.from(at + 1).iter().take(count).map(Box::from).collect();
                at += count;
                if taken.len() == count { Ok(taken) } else { Err(CommandError::SYNTAX) }
            };
            match &option.to_ascii_lowercase()[..] {
                b"copy" => copy = true,
                b"replace" => replace = true,
                b"auth" => auth = Some(take(1)?),
                b"auth2" => auth = Some(take(2)?),
                b"keys" if !args.at(3).is_empty() => {
                    return Err(CommandError::fixed(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the \
                         empty string",
                    ));
                }
                b"keys" => {
                    keys = args.from(at + 1).iter().map(Box::from).collect();
                    break;
                }
                _ => return Err(CommandError::SYNTAX),
            }
            at += 1;
        }
        let timeout = match integer(args.at(5))? {
            ms if ms > 0 => Duration::from_millis(ms.unsigned_abs()),
            _ => TIMEOUT_USUAL,
        };
        let to = integer(args.at(4))?;
        let place = (args.at(1).into(), args.at(2).into());
        Ok(Self { place, from: (db, no_touch), to, timeout, copy, replace, auth, keys })
    }
}

/// How a `MIGRATE` has ended.
pub struct Finished {
    /// The reply: a status or an error.
    pub result: Result<&'static str, CommandError>,
    /// Whether keys were deleted.
    pub wrote: bool,
    /// What the reply waits for.
    pub gate: Option<Gate>,
}

/// Carries one out. Dropped before it ends, it leaves keys that have arrived elsewhere here, too.
pub async fn run(shared: Arc<Shared>, thread: Arc<Thread>, request: Request) -> Finished {
    let peers = shared.clone();
    let _turn = peers.peers.turn().await;
    let mut migration = Migration { shared, thread, request, wrote: false, gate: None };
    let result = migration.run().await;
    Finished { result, wrote: migration.wrote, gate: migration.gate }
}

struct Migration {
    shared: Arc<Shared>,
    thread: Arc<Thread>,
    request: Request,
    wrote: bool,
    /// What everything that it has seen or done waits for.
    gate: Option<Gate>,
}

/// What became of the keys of one round.
#[derive(Default)]
struct Round {
    /// None of the keys was there.
    nothing: bool,
    /// Those that the other server has.
    acknowledged: Vec<ExportedKey>,
    /// The first error that it replied with.
    refusal: Option<String>,
    /// The connection failed after the first reply.
    broken: bool,
}

/// Why a round came to nothing.
enum Stop {
    /// The connection broke before anything was acknowledged.
    Broken(CommandError),
    /// Another try would not help.
    Final(CommandError),
}

impl From<CommandError> for Stop {
    fn from(error: CommandError) -> Self {
        Self::Final(error)
    }
}

/// What a failure means while the first reply has not come.
fn stop(failure: Failure, error: CommandError) -> Stop {
    match failure {
        Failure::TimedOut | Failure::Unreachable => Stop::Final(error),
        Failure::Broken => Stop::Broken(error),
    }
}

impl Migration {
    async fn run(&mut self) -> Result<&'static str, CommandError> {
        let mut keys = std::mem::take(&mut self.request.keys);
        let mut refusal = None;
        for round in 0..ROUNDS_MAX {
            let outcome = self.round(&keys, round > 0).await?;
            if outcome.nothing {
                return Ok("NOKEY");
            }
            refusal = refusal.or(outcome.refusal);
            keys.clear();
            if !self.request.copy {
                self.delete(outcome.acknowledged, &mut keys).await?;
            }
            if outcome.broken && refusal.is_none() {
                return Err(NOT_READ);
            }
            if outcome.broken || keys.is_empty() {
                break;
            }
        }
        if let Some(text) = refusal {
            return Err(CommandError::new(format!(
                "ERR Target instance replied with error: {text}"
            )));
        }
        match keys.first() {
            None => Ok("OK"),
            Some(key) => Err(CommandError::new(format!(
                "ERR {} of the keys, '{}' among them, were changed every time while they were on \
                 their way: they stay here, and the target instance has them as they were before",
                keys.len(),
                key.escape_ascii(),
            ))),
        }
    }

    /// Sends keys and reads what the other server says; with a new connection if it has closed the old one.
    async fn round(&mut self, keys: &[Box<[u8]>], again: bool) -> Result<Round, CommandError> {
        match self.try_round(keys, again).await {
            Ok(round) => return Ok(round),
            Err(Stop::Final(error)) => return Err(error),
            Err(Stop::Broken(_)) => {}
        }
        match self.try_round(keys, again).await {
            Ok(round) => Ok(round),
            Err(Stop::Final(error) | Stop::Broken(error)) => Err(error),
        }
    }

    async fn try_round(&mut self, keys: &[Box<[u8]>], again: bool) -> Result<Round, Stop> {
        let mut round = Round::default();
        let mut sent = Vec::new();
        let mut connection = None;
        let mut rest = keys;
        let mut piece = Vec::new();
        while !rest.is_empty() {
            piece.clear();
            let next = &rest[..rest.len().min(PIECE_KEYS)];
            let export = {
                let (from, replace) = (self.request.from, self.request.replace);
                let mut engine = self.lock()?;
                let options = (replace, again);
                let export = engine.export_keys(from, next, options, PIECE_BYTES, &mut piece)?;
                let about = About::new(&engine, export.lsn, false);
                drop(engine);
                self.note(about);
                export
            };
            rest = &rest[export.asked..];
            if export.keys.is_empty() {
                continue;
            }
            self.wait_until_durable().await?;
            let peer = match &mut connection {
                Some(peer) => peer,
                none => match self.connect().await? {
                    Ok(peer) => none.insert(peer),
                    Err(text) => {
                        round.refusal = Some(text);
                        return Ok(round);
                    }
                },
            };
            peer.write(&piece).await.map_err(|failure| stop(failure, NOT_WRITTEN))?;
            sent.extend(export.keys);
        }
        let Some(mut peer) = connection else {
            round.nothing = true;
            return Ok(round);
        };
        for (index, key) in sent.into_iter().enumerate() {
            match peer.read_line().await {
                Ok(Ok(())) => round.acknowledged.push(key),
                Ok(Err(text)) => {
                    round.refusal.get_or_insert(text);
                }
                Err(failure) if index == 0 => return Err(stop(failure, NOT_READ)),
                Err(_) => {
                    round.broken = true;
                    return Ok(round);
                }
            }
        }
        self.shared.peers.keep(&self.request.place, peer);
        Ok(round)
    }

    /// A connection that is authenticated and has the right database selected: whatever is sent after an error there
    /// would end up in another. The inner error is the other server's.
    async fn connect(&self) -> Result<Result<Peer, String>, Stop> {
        let Request { place, timeout, to, auth, .. } = &self.request;
        let mut peer = match self.shared.peers.take(place, *timeout) {
            Some(peer) => peer,
            None => Peer::connect(place, *timeout).await.map_err(|failure| match failure {
                Failure::Broken => Stop::Final(NOT_WRITTEN),
                Failure::TimedOut | Failure::Unreachable => Stop::Final(NO_CONNECTION),
            })?,
        };
        let mut refused = Ok(());
        let not_read = |failure| stop(failure, NOT_READ);
        if let Some(auth) = auth {
            let mut words: Vec<&[u8]> = vec![b"AUTH"];
            words.extend(auth.iter().map(|word| &**word));
            refused = peer.call(&words).await.map_err(not_read)?;
        }
        if refused.is_ok() && peer.db != Some(*to) {
            peer.db = None;
            let mut digits = itoa::Buffer::new();
            let words: [&[u8]; 2] = [b"SELECT", digits.format(*to).as_bytes()];
            refused = peer.call(&words).await.map_err(not_read)?;
        }
        if let Err(text) = refused {
            peer.db = None;
            self.shared.peers.keep(place, peer);
            return Ok(Err(text));
        }
        peer.db = Some(*to);
        Ok(Ok(peer))
    }

    /// Deletes keys that have arrived; those that were changed meanwhile are added to `changed`.
    async fn delete(
        &mut self,
        keys: Vec<ExportedKey>,
        changed: &mut Vec<Box<[u8]>>,
    ) -> Result<(), CommandError> {
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            let waits_ms = {
                let mut engine = self.lock()?;
                match engine.writes_paused_until_ms() {
                    Some(until_ms) => (until_ms - engine.now_ms()).clamp(1, PAUSE_STEP_MS),
                    None => {
                        let piece = keys.by_ref().take(PIECE_KEYS).collect();
                        let outcome =
                            engine.delete_exported(self.request.from.0, piece, changed)?;
                        let about = About::new(&engine, outcome.lsn, outcome.wrote);
                        drop(engine);
                        self.note(about);
                        0
                    }
                }
            };
            if waits_ms > 0 {
                tokio::time::sleep(Duration::from_millis(waits_ms.unsigned_abs())).await;
            }
        }
        Ok(())
    }

    fn lock(&self) -> Result<Guard<'_>, CommandError> {
        let engine = self.shared.engine.lock();
        if self.shared.ending.load(Ordering::Acquire) { Err(ENDING) } else { Ok(engine) }
    }

    fn note(&mut self, about: About) {
        self.gate = match (self.gate.take(), about.gate) {
            (Some(before), Some(mut gate)) if Arc::ptr_eq(&before.log, &gate.log) => {
                gate.lsn = gate.lsn.max(before.lsn);
                Some(gate)
            }
            // In another log all that was there before is before its end now.
            (_, Some(gate)) => Some(Gate { lsn: about.end, ..gate }),
            (_, None) => None,
        };
        self.wrote |= about.wrote;
        self.thread.gates.executed();
    }

    /// Waits until what was written down may be shown to others.
    async fn wait_until_durable(&self) -> Result<(), CommandError> {
        let Some(gate) = &self.gate else { return Ok(()) };
        let mut registered = None;
        let passage =
            poll_fn(|context| self.thread.gates.poll_passage(context, gate, &mut registered));
        match passage.await {
            Passage::Failed => {
                let cause = gate.log.refusal().unwrap_or_default();
                Err(CommandError::new(format!("MISCONF Errors writing to the log: {cause}")))
            }
            _ => Ok(()),
        }
    }
}

/// What a taking of the engine has to do with the log.
struct About {
    gate: Option<Gate>,
    /// The LSN after everything.
    end: Lsn,
    wrote: bool,
}

impl About {
    fn new(engine: &Guard<'_>, lsn: Lsn, wrote: bool) -> Self {
        Self { gate: engine.gate(lsn), end: engine.lsn(), wrote }
    }
}
