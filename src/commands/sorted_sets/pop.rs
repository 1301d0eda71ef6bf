//! Taking elements from the ends, at once or as soon as there are any.

use super::{CommandError, CommandResult, Context, Key, SortedSet, removed, reply_element};
use crate::commands::ends::{
    Shape, TwoEnded, blocking_multi_pop, blocking_pop, multi_pop, pop_count,
};
use crate::commands::store::Wants;
use crate::resp::{Args, Protocol};

/// An end of a sorted set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum End {
    Min,
    Max,
}

impl TwoEnded for SortedSet {
    type End = End;
    const WANTS: Wants = Wants::SortedSet;
    const ELEMENT_VALUES: usize = 2;

    fn end(word: &[u8]) -> Option<End> {
        [(&b"MIN"[..], End::Min), (b"MAX", End::Max)]
            .into_iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name))
            .map(|(_, end)| end)
    }

    fn pop_name(end: End) -> &'static [u8] {
        match end {
            End::Min => b"ZPOPMIN",
            End::Max => b"ZPOPMAX",
        }
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn take(
        ctx: &mut Context<'_>,
        key: &Key<'_>,
        end: End,
        count: usize,
        shape: Shape,
    ) -> CommandResult {
        let Some(set) = ctx.store.write_as::<SortedSet>(key)? else { return Ok(()) };
        let len = set.len();
        let (first, ranks) = match end {
            End::Min => (0, 0..count),
            End::Max => (len - 1, len - count..len),
        };
        for entry in set.iter(first, count, end == End::Max) {
            if shape == Shape::Nested {
                ctx.reply.array(2);
            }
            reply_element(&mut ctx.reply, entry.member);
            ctx.reply.double(entry.score);
        }
        set.remove_ranks(ranks);
        removed(ctx, key);
        Ok(())
    }
}

/// `ZPOPMIN key [count]`
pub(super) fn zpopmin(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    pop(ctx, args, End::Min)
}

/// `ZPOPMAX key [count]`
pub(super) fn zpopmax(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    pop(ctx, args, End::Max)
}

fn pop(ctx: &mut Context<'_>, args: Args<'_>, end: End) -> CommandResult {
    if args.len() > 3 {
        return Err(CommandError::SYNTAX);
    }
    let count = pop_count(args.get(2))?;
    let key = ctx.store.key(&args[1]);
    let len = ctx.store.write_as::<SortedSet>(&key)?.map_or(0, |set| set.len());
    let taken = count.unwrap_or(1).min(len);
    if taken == 0 {
        ctx.reply.array(0);
        return Ok(());
    }
    // In RESP3, each element is in an array of its own, except a lone one.
    let shape = match (ctx.reply.protocol(), count) {
        (Protocol::Resp3, Some(_)) => Shape::Nested,
        _ => Shape::Flat,
    };
    match shape {
        Shape::Nested => ctx.reply.array(taken),
        Shape::Flat => ctx.reply.array(2 * taken),
    }
    SortedSet::take(ctx, &key, end, taken, shape)?;
    ctx.store.effect_verbatim(args);
    Ok(())
}

/// `BZPOPMIN key [key …] timeout`
pub(super) fn bzpopmin(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    blocking_pop::<SortedSet>(ctx, args, End::Min)
}

/// `BZPOPMAX key [key …] timeout`
pub(super) fn bzpopmax(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    blocking_pop::<SortedSet>(ctx, args, End::Max)
}

/// `ZMPOP numkeys key [key …] MIN|MAX [COUNT count]`
pub(super) fn zmpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    multi_pop::<SortedSet>(ctx, args)
}

/// `BZMPOP timeout numkeys key [key …] MIN|MAX [COUNT count]`
pub(super) fn bzmpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    blocking_multi_pop::<SortedSet>(ctx, args)
}
