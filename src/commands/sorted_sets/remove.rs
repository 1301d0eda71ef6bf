//! Removing elements.

use super::{CommandResult, Context, SortedSet, lex_range, rank_range, removed, score_range};
use crate::commands::numbers::integer;
use crate::resp::Args;
use std::ops::Range;

/// `ZREM key member [member …]`
pub(super) fn zrem(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let set = ctx.store.write_as::<SortedSet>(&key)?;
    let members = args.from(2);
    let count = set.map_or(0, |set| members.iter().filter(|member| set.remove(member)).count());
    if count > 0 {
        removed(ctx, &key);
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(count as i64);
    Ok(())
}

/// `ZREMRANGEBYRANK key start stop`
pub(super) fn zremrangebyrank(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (start, end) = (integer(&args[2])?, integer(&args[3])?);
    remove_range(ctx, args, |set| rank_range(start, end, set.len()))
}

/// `ZREMRANGEBYSCORE key min max`
pub(super) fn zremrangebyscore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let range = score_range(&args[2], &args[3])?;
    remove_range(ctx, args, |set| set.ranks_by_score(&range))
}

/// `ZREMRANGEBYLEX key min max`
pub(super) fn zremrangebylex(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let range = lex_range(&args[2], &args[3])?;
    remove_range(ctx, args, |set| set.ranks_by_lex(&range, false))
}

fn remove_range(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    ranks: impl FnOnce(&SortedSet) -> Range<usize>,
) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let count = match ctx.store.write_as::<SortedSet>(&key)? {
        Some(set) => {
            let ranks = ranks(set);
            let count = ranks.len();
            set.remove_ranks(ranks);
            count
        }
        None => 0,
    };
    if count > 0 {
        removed(ctx, &key);
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(count as i64);
    Ok(())
}
