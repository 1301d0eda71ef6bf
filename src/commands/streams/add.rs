//! `XADD`, `XTRIM`, `XSETID`: how a stream grows at one end and shrinks at the other.

use super::ids::{self, IdText, NewId};
use super::{CommandError, CommandResult, Context, count};
use crate::commands::numbers::integer;
use crate::data::Stream;
use crate::data::listpack::Listpack;
use crate::data::stream::{Bound, Count, Entries, StreamId};
use crate::resp::Args;

/// A trim that was asked for.
#[derive(Clone, Copy, Debug)]
struct Trim {
    bound: Bound,
    /// `~`: whole nodes only.
    about: bool,
    /// `LIMIT`, and what stands for it.
    limit: Option<u64>,
}

/// The options that `XADD` and `XTRIM` have before the id or the end.
struct Options {
    trim: Option<Trim>,
    no_mkstream: bool,
    id: NewId,
    /// Where the options end: at the id.
    end: usize,
}

impl Options {
    fn parse(ctx: &Context<'_>, args: Args<'_>, is_add: bool) -> Result<Self, CommandError> {
        const BOTH: CommandError = CommandError::fixed(
            "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        );
        let mut options = Self { trim: None, no_mkstream: false, id: NewId::Next, end: 2 };
        let mut limit = None;
        while let Some(option) = args.get(options.end) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            let next = args.get(options.end + 1);
            if is_add && option == b"*" {
                break;
            } else if let Some(next) = next
                && (is(b"MAXLEN") || is(b"MINID"))
            {
                if options.trim.is_some() {
                    return Err(BOTH);
                }
                let mut arg = next;
                let mut about = false;
                if let Some(behind) = args.get(options.end + 2)
                    && (next == b"~" || next == b"=")
                {
                    about = next == b"~";
                    arg = behind;
                    options.end += 1;
                }
                let bound = if is(b"MAXLEN") {
                    Bound::Len(u64::try_from(integer(arg)?).map_err(|_| {
                        CommandError::fixed("ERR The MAXLEN argument must be >= 0.")
                    })?)
                } else {
                    Bound::Id(ids::id(arg, 0)?)
                };
                options.trim = Some(Trim { bound, about, limit: None });
                options.end += 2;
            } else if let Some(next) = next
                && is(b"LIMIT")
            {
                limit =
                    Some(u64::try_from(integer(next)?).map_err(|_| {
                        CommandError::fixed("ERR The LIMIT argument must be >= 0.")
                    })?);
                options.end += 2;
            } else if is_add && is(b"NOMKSTREAM") {
                options.no_mkstream = true;
                options.end += 1;
            } else if is_add {
                options.id = ids::new_id(option)?;
                break;
            } else {
                return Err(CommandError::SYNTAX);
            }
        }
        options.settle_limit(ctx, limit, is_add)?;
        Ok(options)
    }

    fn settle_limit(
        &mut self,
        ctx: &Context<'_>,
        limit: Option<u64>,
        is_add: bool,
    ) -> Result<(), CommandError> {
        let Some(trim) = &mut self.trim else {
            return if limit.is_some_and(|limit| limit > 0) {
                Err(CommandError::fixed(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                ))
            } else if !is_add {
                Err(CommandError::fixed(
                    "ERR syntax error, XTRIM must be called with a trimming strategy",
                ))
            } else {
                Ok(())
            };
        };
        trim.limit = match limit {
            Some(_) if !trim.about => {
                return Err(CommandError::fixed(
                    "ERR syntax error, LIMIT cannot be used without the special ~ option",
                ));
            }
            // Zero means that there is no limit.
            Some(limit) => Some(limit).filter(|&limit| limit > 0),
            // So much that nobody has to wait for it.
            None if trim.about => match ctx.settings.limits.stream_node_entries as u64 {
                0 => Some(10_000),
                entries => Some(entries.saturating_mul(100).min(1_000_000)),
            },
            None => None,
        };
        Ok(())
    }
}

impl Trim {
    fn run(self, entries: &mut Entries) -> u64 {
        entries.trim(self.bound, self.about, self.limit)
    }

    /// What a copy has to trim exactly to get the same: the option's name and argument.
    fn exact(self, entries: &Entries) -> (&'static [u8], String) {
        match self.bound {
            Bound::Len(len) if !self.about => (b"MAXLEN", len.to_string()),
            Bound::Len(_) => (b"MAXLEN", entries.len().to_string()),
            Bound::Id(id) if !self.about => (b"MINID", id.to_string()),
            Bound::Id(_) if entries.is_empty() => (b"MINID", StreamId::MAX.to_string()),
            Bound::Id(_) => (b"MINID", entries.first_id().to_string()),
        }
    }
}

/// The fields and values of a new entry.
fn pairs(args: Args<'_>) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
    (0..args.len() / 2).map(move |index| (args.at(2 * index), args.at(2 * index + 1)))
}

/// `XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id field value [field value …]`
pub(super) fn xadd(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const NOT_ABOVE: CommandError = CommandError::fixed(
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    );
    let options = Options::parse(ctx, args, true)?;
    let fields = args.from(options.end + 1);
    if fields.len() < 2 || fields.len() % 2 == 1 {
        return Err(CommandError::wrong_arity("xadd"));
    }
    if options.id == NewId::Exactly(StreamId::MIN) {
        return Err(CommandError::fixed("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let key = ctx.store.key(&args[1]);
    let stream = ctx.store.write_as::<Stream>(&key)?;
    if options.no_mkstream && stream.is_none() {
        ctx.reply.null();
        return Ok(());
    }
    let last_id = stream.map_or(StreamId::MIN, |stream| stream.entries.last_id());
    if last_id == StreamId::MAX {
        return Err(CommandError::fixed(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let now_ms = ctx.store.now_ms.max(0) as u64;
    let id = match options.id {
        NewId::Next if now_ms > last_id.ms => StreamId::new(now_ms, 0),
        NewId::Next => last_id.next().expect("it is not the last possible one"),
        NewId::NextIn(ms) if ms == last_id.ms => {
            StreamId::new(ms, last_id.seq.checked_add(1).ok_or(NOT_ABOVE)?)
        }
        NewId::NextIn(ms) => StreamId::new(ms, 0),
        NewId::Exactly(id) => id,
    };
    if id <= last_id {
        return Err(NOT_ABOVE);
    }
    if fields.iter().map(<[u8]>::len).sum::<usize>() > Listpack::BYTES_MAX {
        return Err(CommandError::fixed("ERR Elements are too large to be stored"));
    }
    let limits = &ctx.settings.limits;
    let stream = ctx.store.write_or_create(&key, Stream::new)?;
    stream.entries.append(id, pairs(fields), limits);
    let trimmed = options.trim.map(|trim| {
        trim.run(&mut stream.entries);
        trim.exact(&stream.entries)
    });
    ctx.store.changed(&key);
    let id = IdText::new(id);
    ctx.reply.bulk(id.as_bytes());
    let (xadd, id) = (&b"XADD"[..], id.as_bytes());
    match &trimmed {
        Some((name, bound)) => {
            ctx.store.effect_with(&[xadd, key.bytes, name, b"=", bound.as_bytes(), id], fields);
        }
        None => ctx.store.effect_with(&[xadd, key.bytes, id], fields),
    }
    Ok(())
}

/// `XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT count]`
pub(super) fn xtrim(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(ctx, args, false)?;
    let trim = options.trim.expect("options without a trim are refused");
    let key = ctx.store.key(&args[1]);
    let Some(stream) = ctx.store.write_as::<Stream>(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let removed = trim.run(&mut stream.entries);
    let (name, bound) = trim.exact(&stream.entries);
    if removed > 0 {
        ctx.store.changed(&key);
        ctx.store.effect(&[b"XTRIM", key.bytes, name, b"=", bound.as_bytes()]);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}

/// `XSETID key id [ENTRIESADDED count] [MAXDELETEDID id]`
pub(super) fn xsetid(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let last_id = ids::id(&args[2], 0)?;
    let (mut entries_added, mut max_deleted_id) = (None, StreamId::MIN);
    let mut at = 3;
    while let Some(option) = args.get(at) {
        match args.get(at + 1) {
            Some(arg) if option.eq_ignore_ascii_case(b"ENTRIESADDED") => {
                const NEGATIVE: CommandError =
                    CommandError::fixed("ERR entries_added must be positive");
                entries_added = Some(count(arg, ctx.store.is_replay())?.ok_or(NEGATIVE)?);
            }
            Some(arg) if option.eq_ignore_ascii_case(b"MAXDELETEDID") => {
                max_deleted_id = ids::id(arg, 0)?;
                if last_id < max_deleted_id {
                    return Err(CommandError::fixed(
                        "ERR The ID specified in XSETID is smaller than the provided \
                         max_deleted_entry_id",
                    ));
                }
            }
            _ => return Err(CommandError::SYNTAX),
        }
        at += 2;
    }
    let key = ctx.store.key(&args[1]);
    let stream = ctx.store.write_as::<Stream>(&key)?.ok_or(CommandError::NO_SUCH_KEY)?;
    let mut counters = stream.entries.counters();
    if last_id < counters.max_deleted_id {
        return Err(CommandError::fixed(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if let Some(top_id) = stream.entries.top_id() {
        if last_id < top_id {
            return Err(CommandError::fixed(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if entries_added.is_some_and(|added| added < Count::new(stream.entries.len())) {
            return Err(CommandError::fixed(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
    }
    counters.last_id = last_id;
    counters.entries_added = entries_added.unwrap_or(counters.entries_added);
    if max_deleted_id != StreamId::MIN {
        counters.max_deleted_id = max_deleted_id;
    }
    stream.entries.set_counters(counters);
    ctx.store.changed_unwatched(&key);
    ctx.store.effect_verbatim(args);
    ctx.reply.ok();
    Ok(())
}
