//! Taking elements from the ends of lists, at once or as soon as there are any.

use super::{CommandError, CommandResult, Context, List, Side, removed, reply_element, side};
use crate::commands::Key;
use crate::commands::numbers::{at_least, timeout_seconds};
use crate::commands::store::Wants;
use crate::data::list::Iter;
use crate::resp::Args;

/// `LPOP key [count]`
pub(super) fn lpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    pop(ctx, args, Side::Left)
}

/// `RPOP key [count]`
pub(super) fn rpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    pop(ctx, args, Side::Right)
}

fn pop(ctx: &mut Context<'_>, args: Args<'_>, side: Side) -> CommandResult {
    let count = match args.get(2) {
        _ if args.len() > 3 => {
            let name = args[0].to_ascii_lowercase();
            return Err(CommandError::wrong_arity(&String::from_utf8_lossy(&name)));
        }
        Some(count) => {
            let error = CommandError::fixed("ERR value is out of range, must be positive");
            Some(at_least(0, count, error)?)
        }
        None => None,
    };
    let key = ctx.store.key(args.at(1));
    let Some(list) = ctx.store.write_as::<List>(&key)? else {
        match count {
            Some(_) => ctx.reply.null_array(),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    match count {
        Some(0) => ctx.reply.array(0),
        Some(count) => {
            ctx.reply.array(count.min(list.len()));
            take(ctx, &key, side, count)?;
            ctx.store.effect_verbatim(args);
        }
        None => {
            take(ctx, &key, side, 1)?;
            ctx.store.effect_verbatim(args);
        }
    }
    Ok(())
}

/// The elements at an end of a list, the outermost first.
fn from_end(list: &List, side: Side) -> Iter<'_> {
    match side {
        Side::Left => list.iter_at(0, Side::Right),
        Side::Right => list.iter_at(list.len() - 1, Side::Left),
    }
}

/// Takes up to `count` elements from an end of the list at `key`, which exists, and replies with each.
/// The caller states the effect.
fn take(ctx: &mut Context<'_>, key: &Key<'_>, side: Side, count: usize) -> CommandResult {
    let limits = &ctx.settings.limits;
    let Some(list) = ctx.store.write_as::<List>(key)? else { return Ok(()) };
    for element in from_end(list, side).take(count) {
        reply_element(&mut ctx.reply, element);
    }
    let len = list.len();
    let index = if side == Side::Left { 0 } else { len.saturating_sub(count) };
    list.remove_range(index, count, limits);
    removed(ctx, key, len <= count);
    Ok(())
}

/// The name of the command that pops from an end.
fn pop_name(side: Side) -> &'static [u8] {
    match side {
        Side::Left => b"LPOP",
        Side::Right => b"RPOP",
    }
}

/// The first of some keys that holds a list.
///
/// # Errors
/// If one before it holds something else.
fn first_list<'k>(
    ctx: &mut Context<'_>,
    names: impl Iterator<Item = &'k [u8]>,
) -> Result<Option<(Key<'k>, usize)>, CommandError> {
    for name in names {
        let key = ctx.store.key(name);
        if let Some(list) = ctx.store.write_as::<List>(&key)? {
            return Ok(Some((key, list.len())));
        }
    }
    Ok(None)
}

/// `BLPOP key [key …] timeout`
pub(super) fn blpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    blocking_pop(ctx, args, Side::Left)
}

/// `BRPOP key [key …] timeout`
pub(super) fn brpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    blocking_pop(ctx, args, Side::Right)
}

fn blocking_pop(ctx: &mut Context<'_>, args: Args<'_>, side: Side) -> CommandResult {
    let last = args.len() - 1;
    let timeout_ms = timeout_seconds(&args[last], ctx.store.now_ms)?;
    let keys = || args.iter().take(last).skip(1);
    match first_list(ctx, keys())? {
        Some((key, _)) => {
            ctx.reply.array(2);
            ctx.reply.bulk(key.bytes);
            take(ctx, &key, side, 1)?;
            ctx.store.effect(&[pop_name(side), key.bytes]);
        }
        None => ctx.block(Wants::List, keys(), timeout_ms, args),
    }
    Ok(())
}

/// The arguments of `LMPOP` from the number of keys on.
struct MultiPop {
    key_count: usize,
    side: Side,
    count: usize,
}

impl MultiPop {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let bad_keys = CommandError::fixed("ERR numkeys should be greater than 0");
        let key_count = at_least(1, &args[0], bad_keys)?;
        let at = key_count.checked_add(1).ok_or(CommandError::SYNTAX)?;
        let side = side(args.get(at).ok_or(CommandError::SYNTAX)?)?;
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
        Ok(Self { key_count, side, count: count.unwrap_or(1) })
    }

    /// Pops from the first of the keys that holds a list. False if there is none.
    fn run(&self, ctx: &mut Context<'_>, args: Args<'_>) -> Result<bool, CommandError> {
        let Some((key, len)) = first_list(ctx, self.keys(args))? else { return Ok(false) };
        let count = self.count.min(len);
        ctx.reply.array(2);
        ctx.reply.bulk(key.bytes);
        ctx.reply.array(count);
        take(ctx, &key, self.side, count)?;
        let mut digits = itoa::Buffer::new();
        let count = digits.format(count).as_bytes();
        ctx.store.effect(&[pop_name(self.side), key.bytes, count]);
        Ok(true)
    }

    fn keys<'a>(&self, args: Args<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        args.from(1).iter().take(self.key_count)
    }
}

/// `LMPOP numkeys key [key …] LEFT|RIGHT [COUNT count]`
pub(super) fn lmpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let args = args.from(1);
    if !MultiPop::parse(args)?.run(ctx, args)? {
        ctx.reply.null_array();
    }
    Ok(())
}

/// `BLMPOP timeout numkeys key [key …] LEFT|RIGHT [COUNT count]`
pub(super) fn blmpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let pop = MultiPop::parse(args.from(2))?;
    let timeout_ms = timeout_seconds(&args[1], ctx.store.now_ms)?;
    if !pop.run(ctx, args.from(2))? {
        ctx.block(Wants::List, pop.keys(args.from(2)), timeout_ms, args);
    }
    Ok(())
}

/// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`
pub(super) fn lmove(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (from, to) = (side(&args[3])?, side(&args[4])?);
    if !move_element(ctx, args, from, to)? {
        ctx.reply.null();
    }
    Ok(())
}

/// `RPOPLPUSH source destination`
pub(super) fn rpoplpush(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    if !move_element(ctx, args, Side::Right, Side::Left)? {
        ctx.reply.null();
    }
    Ok(())
}

/// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`
pub(super) fn blmove(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (from, to) = (side(&args[3])?, side(&args[4])?);
    blocking_move(ctx, args, from, to)
}

/// `BRPOPLPUSH source destination timeout`
pub(super) fn brpoplpush(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    blocking_move(ctx, args, Side::Right, Side::Left)
}

fn blocking_move(ctx: &mut Context<'_>, args: Args<'_>, from: Side, to: Side) -> CommandResult {
    let timeout_ms = timeout_seconds(&args[args.len() - 1], ctx.store.now_ms)?;
    if move_element(ctx, args, from, to)? {
        return Ok(());
    }
    if ctx.store.may_block() {
        ctx.block(Wants::List, std::iter::once(args.at(1)), timeout_ms, args);
    } else {
        // Unlike the null array of a timeout.
        ctx.reply.null();
    }
    Ok(())
}

/// Moves an element from the list at the first argument to that at the second, replies with it and
/// states the effect. False if there is no list to take it from.
fn move_element(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    from: Side,
    to: Side,
) -> Result<bool, CommandError> {
    let (source, destination) = (ctx.store.key(args.at(1)), ctx.store.key(args.at(2)));
    let limits = &ctx.settings.limits;
    if ctx.store.write_as::<List>(&source)?.is_none() {
        return Ok(false);
    }
    ctx.store.write_as::<List>(&destination)?;

    let list = ctx.store.write_as::<List>(&source)?.expect("it was there");
    let (element, counted_bytes) = list.pop(from).expect("no list is empty");
    let is_same = source.bytes == destination.bytes;
    let is_empty = list.is_empty();
    if is_same {
        list.make_room(1, counted_bytes, limits);
        list.push(to, &element);
    }
    list.shrink(limits);
    if is_same {
        ctx.store.changed(&source);
    } else {
        let list = ctx.store.write_or_create(&destination, List::new)?;
        list.make_room(1, counted_bytes, limits);
        list.push(to, &element);
        ctx.store.changed(&destination);
        removed(ctx, &source, is_empty);
    }
    ctx.reply.bulk(&element);

    let is_right_to_left = args.len() <= 4;
    if is_right_to_left {
        ctx.store.effect(&[b"RPOPLPUSH", source.bytes, destination.bytes]);
    } else {
        ctx.store.effect(&[b"LMOVE", source.bytes, destination.bytes, args.at(3), args.at(4)]);
    }
    Ok(true)
}
