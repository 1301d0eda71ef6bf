//! From the log's bytes to the keyspace.

use super::{State, load};
use crate::commands::store::{ExpiryMode, Store, Unit};
use crate::commands::{Context, Handler, Settings, table};
use crate::disk::File;
use crate::log::segment::Preamble;
use crate::log::{Lsn, PreambleDamage, Replay};
use crate::resp::request::Parsed;
use crate::resp::{Args, Protocol, Reply, RequestLimits, RequestParser};
use std::sync::Arc;

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
    reply: Vec<u8>,
    ranges: Vec<(usize, usize)>,
    buffer: Vec<u8>,
}

impl<'a> Replayer<'a> {
    pub(super) fn new(state: &'a mut State, start_ms: i64) -> Self {
        // What was once accepted is replayed, whatever is accepted today.
        let mut settings = Settings { bulk_bytes_max: usize::MAX / 4, ..state.settings.clone() };
        // The log says when a HyperLogLog became dense.
        settings.limits.hyperloglog_sparse_bytes = usize::MAX;
        Self {
            state,
            settings,
            unit: Unit::default(),
            db: 0,
            start_ms,
            now_ms: 0,
            any: false,
            reply: Vec::new(),
            ranges: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// The database that the stream has selected; `None` if it is empty.
    pub(super) fn into_selected_db(self) -> Option<usize> {
        self.any.then_some(self.db)
    }

    fn command(&mut self, args: Args<'_>) -> Result<(), String> {
        let name = || String::from_utf8_lossy(args.at(0)).into_owned();
        if args.at(0).eq_ignore_ascii_case(b"MULTI") || args.at(0).eq_ignore_ascii_case(b"EXEC") {
            // A frame holds a transaction whole, so there is nothing left to hold together.
            return Ok(());
        }
        let spec = table::resolve(args).map_err(|error| error.text().to_owned())?;
        let Handler::Data(handler) = spec.handler else {
            return Err(format!("'{}' does not belong in a log", name()));
        };
        self.reply.clear();
        self.unit.effects.clear();
        self.unit.touched.clear();
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
        result.map_err(|error| format!("'{}' was answered with: {error}", name()))
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
        load::load(self.state, &**file, preamble, access, self.settings.limits.clone())
    }

    fn commands(&mut self, time_ms: u64, db: u32, payload: &[u8]) -> Result<(), String> {
        if db as usize >= self.state.keyspace.database_count() {
            return Err(format!("database {db} is beyond the configured number of databases"));
        }
        self.db = db as usize;
        self.now_ms = time_ms as i64;
        self.any = true;
        let mut parser = RequestParser::default();
        let limits = RequestLimits { bulk_bytes_max: usize::MAX / 4, ..RequestLimits::default() };
        // The parser wants a buffer that it may unquote inline requests in; the log has none.
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(payload);
        let mut rest = &mut buffer[..];
        while !rest.is_empty() {
            let mut ranges = std::mem::take(&mut self.ranges);
            ranges.clear();
            let parsed = parser.parse(rest, 0, &limits, &mut ranges);
            let consumed = match parsed {
                Ok(Parsed::Request { consumed }) if !ranges.is_empty() => consumed,
                Ok(_) => return Err("the payload does not end with a whole command".to_owned()),
                Err(error) => return Err(error.to_string()),
            };
            self.command(Args::new(rest, &ranges))?;
            self.ranges = ranges;
            rest = &mut rest[consumed..];
        }
        if buffer.capacity() <= 4 << 20 {
            self.buffer = buffer;
        }
        Ok(())
    }

    fn selected_db(&self) -> u32 {
        self.db as u32
    }
}
