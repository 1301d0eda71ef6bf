//! Elements of lists by their value: `LINSERT`, `LPOS`, `LREM`.

use super::{CommandError, CommandResult, Context, List, Side, removed};
use crate::commands::numbers::{at_least, symmetric_integer};
use crate::resp::Args;

/// `LINSERT key BEFORE|AFTER pivot element`
pub(super) fn linsert(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let side = if args[2].eq_ignore_ascii_case(b"after") {
        Side::Right
    } else if args[2].eq_ignore_ascii_case(b"before") {
        Side::Left
    } else {
        return Err(CommandError::SYNTAX);
    };
    let key = ctx.store.key(args.at(1));
    let limits = &ctx.settings.limits;
    let Some(list) = ctx.store.write_as::<List>(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    if !list.insert(&args[3], side, &args[4], limits) {
        ctx.reply.integer(-1);
        return Ok(());
    }
    let len = list.len();
    ctx.store.changed(&key);
    ctx.store.effect_verbatim(args);
    ctx.reply.integer(len as i64);
    Ok(())
}

/// `LREM key count element`
pub(super) fn lrem(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let count = symmetric_integer(&args[2])?;
    let key = ctx.store.key(args.at(1));
    let limits = &ctx.settings.limits;
    let Some(list) = ctx.store.write_as::<List>(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let from = if count < 0 { Side::Right } else { Side::Left };
    let count_max = match count {
        0 => usize::MAX,
        _ => usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
    };
    let count = list.remove_equal(&args[3], from, count_max, limits);
    if count > 0 {
        let is_empty = list.is_empty();
        removed(ctx, &key, is_empty);
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(count as i64);
    Ok(())
}

/// The options of `LPOS`.
struct Options {
    /// How many matches are passed over.
    skipped: usize,
    /// Where the search begins.
    from: Side,
    /// How many matches are returned; without this, one, and not as an array.
    count_max: Option<usize>,
    /// How many elements are looked at.
    compared_max: usize,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        const RANK_ZERO: CommandError = CommandError::fixed(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
             or use negative to start from the end of the list",
        );
        let no_limit = |number: usize| if number == 0 { usize::MAX } else { number };
        let mut options =
            Self { skipped: 0, from: Side::Left, count_max: None, compared_max: usize::MAX };
        for at in (0..args.len()).step_by(2) {
            let (name, value) = (args.at(at), args.get(at + 1).ok_or(CommandError::SYNTAX)?);
            if name.eq_ignore_ascii_case(b"RANK") {
                let rank = symmetric_integer(value)?;
                options.from = if rank < 0 { Side::Right } else { Side::Left };
                let rank = usize::try_from(rank.unsigned_abs()).unwrap_or(usize::MAX);
                options.skipped = rank.checked_sub(1).ok_or(RANK_ZERO)?;
            } else if name.eq_ignore_ascii_case(b"COUNT") {
                let error = CommandError::fixed("ERR COUNT can't be negative");
                options.count_max = Some(no_limit(at_least(0, value, error)?));
            } else if name.eq_ignore_ascii_case(b"MAXLEN") {
                let error = CommandError::fixed("ERR MAXLEN can't be negative");
                options.compared_max = no_limit(at_least(0, value, error)?);
            } else {
                return Err(CommandError::SYNTAX);
            }
        }
        Ok(options)
    }
}

/// `LPOS key element [RANK rank] [COUNT count] [MAXLEN length]`
pub(super) fn lpos(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args.from(3))?;
    let key = ctx.store.key(args.at(1));
    let Some(list) = ctx.store.read_as::<List>(&key)? else {
        match options.count_max {
            Some(_) => ctx.reply.array(0),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let (start, towards) = match options.from {
        Side::Left => (0, Side::Right),
        Side::Right => (list.len() - 1, Side::Left),
    };
    let needle = args.at(2);
    let compared = list.iter_at(start, towards).take(options.compared_max).enumerate();
    let mut matches = compared
        .filter(|(_, element)| element.eq_bytes(needle))
        .map(|(distance, _)| start.abs_diff(distance) as i64)
        .skip(options.skipped);
    match options.count_max {
        Some(count_max) => {
            let deferred = ctx.reply.deferred();
            let mut count = 0;
            for index in matches.take(count_max) {
                ctx.reply.integer(index);
                count += 1;
            }
            ctx.reply.finish_array(deferred, count);
        }
        None => match matches.next() {
            Some(index) => ctx.reply.integer(index),
            None => ctx.reply.null(),
        },
    }
    Ok(())
}
