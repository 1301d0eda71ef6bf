//! `XLEN`, `XRANGE`, `XREVRANGE`.

use super::{CommandError, CommandResult, Context, ids, reply_entry};
use crate::commands::numbers::integer;
use crate::data::Stream;
use crate::resp::Args;

/// `XLEN key`
pub(super) fn xlen(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let len = ctx.store.read_as::<Stream>(&key)?.map_or(0, Stream::len);
    ctx.reply.integer(len as i64);
    Ok(())
}

/// `XRANGE key start end [COUNT count]`
pub(super) fn xrange(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    range(ctx, args, false)
}

/// `XREVRANGE key end start [COUNT count]`
pub(super) fn xrevrange(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    range(ctx, args, true)
}

fn range(ctx: &mut Context<'_>, args: Args<'_>, back: bool) -> CommandResult {
    let (start, end) = if back { (3, 2) } else { (2, 3) };
    let (start, end) = (ids::range_start(&args[start])?, ids::range_end(&args[end])?);
    let mut count = usize::MAX;
    let mut at = 4;
    while let Some(option) = args.get(at) {
        match args.get(at + 1) {
            Some(arg) if option.eq_ignore_ascii_case(b"COUNT") => {
                count = usize::try_from(integer(arg)?).unwrap_or(0);
                at += 2;
            }
            _ => return Err(CommandError::SYNTAX),
        }
    }
    let key = ctx.store.key(&args[1]);
    let Some(stream) = ctx.store.read_as::<Stream>(&key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    if count == 0 {
        ctx.reply.null_array();
        return Ok(());
    }
    let deferred = ctx.reply.deferred();
    let mut found = 0;
    let mut reply = |(id, fields)| {
        reply_entry(&mut ctx.reply, id, fields);
        found += 1;
    };
    if back {
        stream.entries.range_back(start, end).take(count).for_each(&mut reply);
    } else {
        stream.entries.range(start, end).take(count).for_each(&mut reply);
    }
    ctx.reply.finish_array(deferred, found);
    Ok(())
}
