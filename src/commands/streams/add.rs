//! `XADD` and `XSETID`: how a stream grows.

use super::ids::{self, IdText, NewId};
use super::trim::Options;
use super::{CommandError, CommandResult, Context, count};
use crate::data::Stream;
use crate::data::listpack::Listpack;
use crate::data::stream::{Count, StreamId};
use crate::resp::Args;

/// The fields and values of a new entry.
fn pairs(args: Args<'_>) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
    (0..args.len() / 2).map(move |index| (args.at(2 * index), args.at(2 * index + 1)))
}

/// `XADD key [NOMKSTREAM] [KEEPREF|DELREF|ACKED] [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id
/// field value [field value …]`
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
    let trimmed = options.trim.map(|trim| trim.run(stream));
    ctx.store.changed(&key);
    let id = IdText::new(id);
    ctx.reply.bulk(id.as_bytes());
    let (xadd, id) = (&b"XADD"[..], id.as_bytes());
    match trimmed.as_ref().and_then(|trimmed| trimmed.exact.as_ref()) {
        Some((name, bound)) => {
            ctx.store.effect_with(&[xadd, key.bytes, name, b"=", bound.as_bytes(), id], fields);
        }
        None => ctx.store.effect_with(&[xadd, key.bytes, id], fields),
    }
    if let Some(trimmed) = trimmed {
        trimmed.state_rest(&mut ctx.store, &key);
    }
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
