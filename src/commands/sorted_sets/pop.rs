//! Taking elements from the ends, at once or as soon as there are any.

use super::{
    CommandError, CommandResult, Context, Key, SortedSet, removed, reply_element, reply_entry,
    reply_header,
};
use crate::commands::numbers::{at_least, timeout_seconds};
use crate::commands::store::Wants;
use crate::resp::{Args, Protocol};

/// An end of a sorted set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

impl End {
    /// The command that takes elements from it.
    fn pop_name(self) -> &'static [u8] {
        match self {
            End::Min => b"ZPOPMIN",
            End::Max => b"ZPOPMAX",
        }
    }
}

/// Takes `count` elements, no more than there are, from an end of the sorted set at `key`, and gives each to
/// `each` with the reply. The caller states the effect.
fn take(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    end: End,
    count: usize,
    mut each: impl FnMut(&mut crate::resp::Reply<'_>, crate::data::sorted_set::Entry<'_>),
) -> CommandResult {
    let Some(set) = ctx.store.write_as::<SortedSet>(key)? else { return Ok(()) };
    let len = set.len();
    let (first, ranks) = match end {
        End::Min => (0, 0..count),
        End::Max => (len - 1, len - count..len),
    };
    set.iter(first, count, end == End::Max).for_each(|entry| each(&mut ctx.reply, entry));
    set.remove_ranks(ranks);
    removed(ctx, key);
    Ok(())
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
    const NOT_POSITIVE: CommandError =
        CommandError::fixed("ERR value is out of range, must be positive");
    if args.len() > 3 {
        return Err(CommandError::SYNTAX);
    }
    let count = args.get(2).map(|count| at_least(0, count, NOT_POSITIVE)).transpose()?;
    let key = ctx.store.key(&args[1]);
    let len = ctx.store.write_as::<SortedSet>(&key)?.map_or(0, |set| set.len());
    let taken = count.unwrap_or(1).min(len);
    if taken == 0 {
        ctx.reply.array(0);
        return Ok(());
    }
    // In RESP3, a lone element is not in an array of its own.
    if count.is_none() && ctx.reply.protocol() == Protocol::Resp3 {
        ctx.reply.array(2);
        take(ctx, &key, end, taken, |reply, entry| {
            reply_element(reply, entry.member);
            reply.double(entry.score);
        })?;
    } else {
        reply_header(&mut ctx.reply, taken, true);
        take(ctx, &key, end, taken, |reply, entry| reply_entry(reply, entry, true))?;
    }
    ctx.store.effect_verbatim(args);
    Ok(())
}

/// The first of some keys that holds a sorted set, and how many elements that has.
///
/// # Errors
/// If one before it holds something else.
fn first_set<'k>(
    ctx: &mut Context<'_>,
    names: impl Iterator<Item = &'k [u8]>,
) -> Result<Option<(Key<'k>, usize)>, CommandError> {
    for name in names {
        let key = ctx.store.key(name);
        if let Some(set) = ctx.store.write_as::<SortedSet>(&key)? {
            return Ok(Some((key, set.len())));
        }
    }
    Ok(None)
}

/// `BZPOPMIN key [key …] timeout`
pub(super) fn bzpopmin(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    blocking_pop(ctx, args, End::Min)
}

/// `BZPOPMAX key [key …] timeout`
pub(super) fn bzpopmax(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    blocking_pop(ctx, args, End::Max)
}

fn blocking_pop(ctx: &mut Context<'_>, args: Args<'_>, end: End) -> CommandResult {
    let last = args.len() - 1;
    let timeout_ms = timeout_seconds(&args[last], ctx.store.now_ms)?;
    let keys = || args.iter().take(last).skip(1);
    match first_set(ctx, keys())? {
        Some((key, _)) => {
            ctx.reply.array(3);
            ctx.reply.bulk(key.bytes);
            take(ctx, &key, end, 1, |reply, entry| {
                reply_element(reply, entry.member);
                reply.double(entry.score);
            })?;
            ctx.store.effect(&[end.pop_name(), key.bytes]);
        }
        None => ctx.block(Wants::SortedSet, keys(), timeout_ms, args),
    }
    Ok(())
}

/// The arguments of `ZMPOP` from the number of keys on.
struct MultiPop {
    key_count: usize,
    end: End,
    count: usize,
}

impl MultiPop {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let bad_keys = CommandError::fixed("ERR numkeys should be greater than 0");
        let key_count = at_least(1, &args[0], bad_keys)?;
        let at = key_count.checked_add(1).ok_or(CommandError::SYNTAX)?;
        let end = match args.get(at) {
            Some(end) if end.eq_ignore_ascii_case(b"MIN") => End::Min,
            Some(end) if end.eq_ignore_ascii_case(b"MAX") => End::Max,
            _ => return Err(CommandError::SYNTAX),
        };
        let mut options = args.from(at + 1).iter();
        let mut count = None;
        while let Some(name) = options.next() {
            let value = options.next().filter(|_| count.is_none());
            match value {
                Some(value) if name.eq_ignore_ascii_case(b"COUNT") => {
                    let bad_count = CommandError::fixed("ERR count should be greater than 0");
                    count = Some(at_least(1, value, bad_count)?);
                }
                _ => return Err(CommandError::SYNTAX),
            }
        }
        Ok(Self { key_count, end, count: count.unwrap_or(1) })
    }

    /// Pops from the first of the keys that holds a sorted set. False if there is none.
    fn run(&self, ctx: &mut Context<'_>, args: Args<'_>) -> Result<bool, CommandError> {
        let Some((key, len)) = first_set(ctx, self.keys(args))? else { return Ok(false) };
        let count = self.count.min(len);
        ctx.reply.array(2);
        ctx.reply.bulk(key.bytes);
        ctx.reply.array(count);
        take(ctx, &key, self.end, count, |reply, entry| {
            reply.array(2);
            reply_element(reply, entry.member);
            reply.double(entry.score);
        })?;
        let mut digits = itoa::Buffer::new();
        let count = digits.format(count).as_bytes();
        ctx.store.effect(&[self.end.pop_name(), key.bytes, count]);
        Ok(true)
    }

    fn keys<'a>(&self, args: Args<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        args.from(1).iter().take(self.key_count)
    }
}

/// `ZMPOP numkeys key [key …] MIN|MAX [COUNT count]`
pub(super) fn zmpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let args = args.from(1);
    if !MultiPop::parse(args)?.run(ctx, args)? {
        ctx.reply.null_array();
    }
    Ok(())
}

/// `BZMPOP timeout numkeys key [key …] MIN|MAX [COUNT count]`
pub(super) fn bzmpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let pop = MultiPop::parse(args.from(2))?;
    let timeout_ms = timeout_seconds(&args[1], ctx.store.now_ms)?;
    if !pop.run(ctx, args.from(2))? {
        ctx.block(Wants::SortedSet, pop.keys(args.from(2)), timeout_ms, args);
    }
    Ok(())
}
