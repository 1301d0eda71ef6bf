//! From the log's bytes to the keyspace.

use super::progress::Progress;
use super::{State, load};
use crate::commands::store::{ExpiryMode, Store, Unit};
use crate::commands::{CommandError, Context, DATA, Handler, Settings};
use crate::disk::File;
use crate::log::frame::FrameHeader;
use crate::log::segment::Preamble;
use crate::log::{Lost, Lsn, PreambleDamage, Replay, Unreplayable};
use crate::resp::request::Parsed;
use crate::resp::{Args, Output, Protocol, Reply, RequestLimits, RequestParser};
use std::ops::Range;
use std::sync::Arc;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// It is none that is known here.
    #[error("{}", .0.without_arguments())]
    Unknown(CommandError),
    /// It changes no data.
    #[error("'{0}' does not belong in a log")]
    Misplaced(String),
    /// It ran and failed.
    #[error("'{0}' was answered with: {1}")]
    Failed(String, String),
}

/// Carries out the commands of the log.
pub(super) struct Replayer<'a> {
    state: &'a mut State,
    settings: Settings,
    unit: Unit,
    db: usize,
    /// When the replay began.
    start_ms: i64,
    /// When the commands at hand were written.
    now_ms: i64,
    any: bool,
    reply: Output,
    ranges: Vec<(usize, usize)>,
    buffer: Vec<u8>,
    progress: Option<Arc<Progress>>,
    /// Units that end beyond this LSN are not carried out.
    stop_lsn: Lsn,
    /// The LSN behind the last command carried out.
    reached_lsn: Lsn,
    /// Something is missing before what comes now.
    is_lossy: bool,
    /// Commands that failed because of that.
    passed_over: u64,
    /// Keys of the base, if there was one.
    base_keys: Option<u64>,
}

impl<'a> Replayer<'a> {
    pub(super) fn new(state: &'a mut State, start_ms: i64) -> Self {
        let mut replayer = Self::of_redis(state, start_ms);
        replayer.settings = replayer.settings.replaying();
        replayer
    }

    /// One that carries out the commands of a Redis's append-only file, as of `now_ms`.
    pub(super) fn of_redis(state: &'a mut State, now_ms: i64) -> Self {
        let settings = state.settings.clone();
        Self {
            state,
            settings,
            unit: Unit { discards_effects: true, ..Unit::default() },
            db: 0,
            start_ms: now_ms,
            now_ms,
            any: false,
            reply: Output::default(),
            ranges: Vec::new(),
            buffer: Vec::new(),
            progress: None,
            stop_lsn: Lsn::MAX,
            reached_lsn: 0,
            is_lossy: false,
            passed_over: 0,
            base_keys: None,
        }
    }

    /// Says from now on how many bytes were carried out.
    pub(super) fn watch(&mut self, progress: Arc<Progress>) {
        self.progress = Some(progress);
    }

    /// From now on units that end beyond `lsn` are not carried out.
    pub(super) fn stop_at(&mut self, lsn: Lsn) {
        self.stop_lsn = lsn;
    }

    /// The LSN behind the last command carried out; 0 if there was none.
    pub(super) fn reached_lsn(&self) -> Lsn {
        self.reached_lsn
    }

    /// The database that the stream has selected; `None` if it is empty.
    pub(super) fn into_selected_db(self) -> Option<usize> {
        self.any.then_some(self.db)
    }

    /// Notes that the frame which ends at `lsn` wrote what the last command did: until that is
    /// durable, readers are not shown it.
    fn note_written(&mut self, lsn: Lsn) {
        let gate = &mut self.state.keyspace.last_writes;
        for slot in self.unit.touched.drain(..) {
            // What is read again while it is served has been noted before.
            if gate.read(slot) < lsn {
                gate.wrote(slot, lsn);
            }
        }
        if std::mem::take(&mut self.unit.touched_all) {
            gate.raise_floor(lsn);
        }
    }

    /// Carries out one command.
    pub(super) fn command(&mut self, args: Args<'_>) -> Result<(), Refusal> {
        let name = || String::from_utf8_lossy(args.at(0)).into_owned();
        if args.at(0).eq_ignore_ascii_case(b"FUNCTION") {
            let changed = self.state.functions.command(args);
            return changed.map_err(|error| Refusal::Failed(name(), error));
        }
        let spec = DATA.resolve(args).map_err(Refusal::Unknown)?;
        let Handler::Data(handler) = spec.handler else {
            return Err(Refusal::Misplaced(name()));
        };
        self.reply.truncate(0);
        self.unit.touched.clear();
        drop(std::mem::take(&mut self.unit.garbage));
        let state = &mut *self.state;
        let (keyspace, unit) = (&mut state.keyspace, &mut self.unit);
        let mode = ExpiryMode::Ignore;
        let store = Store::new(keyspace, unit, self.db, self.now_ms, mode, None);
        let mut context = Context {
            store,
            reply: Reply::new(&mut self.reply, Protocol::Resp2),
            settings: &self.settings,
            random: &mut *state.random,
        };
        let result = handler(&mut context, args);
        self.db = context.store.db;
        result.map_err(|error| Refusal::Failed(name(), error.without_arguments().into_owned()))
    }
}

impl Replay for Replayer<'_> {
    fn preamble(
        &mut self,
        file: &Arc<dyn File>,
        preamble: &Preamble,
        _lsn: Lsn,
    ) -> Result<(), PreambleDamage> {
        let access = self.state.access(self.start_ms).initial();
        let limits = self.settings.limits.clone();
        let progress = self.progress.clone().unwrap_or_default();
        load::load(self.state, &**file, preamble, access, limits, &progress)?;
        let databases = self.state.keyspace.databases();
        self.base_keys = Some(databases.map(|(_, database)| database.len() as u64).sum());
        Ok(())
    }

    fn commands(&mut self, header: &FrameHeader, payload: &[u8]) -> Result<(), Unreplayable> {
        let mut at = 0;
        self.frame(header, payload, &mut at).map_err(|reason| {
            let unit = unit_at(&mut payload.to_vec(), at);
            let unit = header.lsn + unit.start as u64..header.lsn + unit.end as u64;
            Unreplayable { unit, reason }
        })
    }

    fn lost(&mut self, _: &Lost) {
        self.is_lossy = true;
    }

    fn passed_over(&self) -> u64 {
        self.passed_over
    }

    fn base_keys(&self) -> Option<u64> {
        self.base_keys
    }

    fn selected_db(&self) -> u32 {
        self.db as u32
    }
}

impl Replayer<'_> {
    /// Carries out the commands of a frame; `at` becomes the offset of the command that fails.
    fn frame(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        at: &mut usize,
    ) -> Result<(), String> {
        let db = header.db;
        if db as usize >= self.state.keyspace.database_count() {
            return Err(load::beyond(db));
        }
        self.db = db as usize;
        self.now_ms = header.time_ms as i64;
        self.any = true;
        // The parser wants a buffer that it may unquote inline requests in; the log has none.
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(payload);
        let mut ranges = std::mem::take(&mut self.ranges);
        if header.end_lsn() > self.stop_lsn {
            let room = self.stop_lsn.saturating_sub(header.lsn) as usize;
            let whole_bytes = units_within(&mut buffer, room, &mut ranges)?;
            buffer.truncate(whole_bytes);
        }
        let mut rest = &mut buffer[..];
        while !rest.is_empty() {
            let consumed = next_command(rest, &mut ranges)?;
            let args = Args::new(rest, &ranges);
            // A frame holds a transaction whole, so there is nothing left to hold together.
            if !is_one_of(args, &["MULTI", "EXEC"]) {
                let done = self.command(args);
                self.note_written(header.end_lsn());
                match done {
                    // Its key or group may be among what is lost.
                    Err(Refusal::Failed(..)) if self.is_lossy => self.passed_over += 1,
                    done => done.map_err(|refusal| refusal.to_string())?,
                }
            }
            rest = &mut rest[consumed..];
            *at += consumed;
        }
        self.reached_lsn = header.lsn + buffer.len() as u64;
        self.ranges = ranges;
        if let Some(progress) = &self.progress {
            // As it lies in the file, where it may be compressed.
            progress.advance(header.frame_bytes());
        }
        if buffer.capacity() <= 4 << 20 {
            self.buffer = buffer;
        }
        Ok(())
    }
}

/// Where the unit with the command at `at` is: that command, or its transaction. What does not hold
/// together is one unit with all that follows.
fn unit_at(bytes: &mut [u8], at: usize) -> Range<usize> {
    let (mut start, mut place, mut in_transaction) = (0, 0, false);
    let mut ranges = Vec::new();
    while place < bytes.len() {
        if !in_transaction {
            start = place;
        }
        let Ok(consumed) = next_command(&mut bytes[place..], &mut ranges) else { break };
        let args = Args::new(&bytes[place..], &ranges);
        in_transaction =
            is_one_of(args, &["MULTI"]) || in_transaction && !is_one_of(args, &["EXEC"]);
        place += consumed;
        if !in_transaction && place > at {
            return start..place;
        }
    }
    start..bytes.len()
}

/// Finds the arguments of the command that `bytes` begin with; gives its length.
fn next_command(bytes: &mut [u8], ranges: &mut Vec<(usize, usize)>) -> Result<usize, String> {
    let limits = RequestLimits { bulk_bytes_max: usize::MAX / 4, ..RequestLimits::default() };
    ranges.clear();
    match RequestParser::default().parse(bytes, 0, &limits, ranges) {
        Ok(Parsed::Request { consumed }) if !ranges.is_empty() => Ok(consumed),
        Ok(_) => Err("the payload does not end with a whole command".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// How many of the first `room` bytes are whole units: commands, and transactions up to their end.
pub(super) fn units_within(
    bytes: &mut [u8],
    room: usize,
    ranges: &mut Vec<(usize, usize)>,
) -> Result<usize, String> {
    let (mut at, mut whole, mut in_transaction) = (0, 0, false);
    while at < bytes.len() {
        let consumed = next_command(&mut bytes[at..], ranges)?;
        let args = Args::new(&bytes[at..], ranges);
        in_transaction =
            is_one_of(args, &["MULTI"]) || in_transaction && !is_one_of(args, &["EXEC"]);
        at += consumed;
        if at > room {
            break;
        }
        if !in_transaction {
            whole = at;
        }
    }
    Ok(whole)
}

/// Whether a command is one of these.
pub(super) fn is_one_of(args: Args<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| args.at(0).eq_ignore_ascii_case(name.as_bytes()))
}
