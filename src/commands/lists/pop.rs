//! Taking elements from the ends of lists, at once or as soon as there are any.

use super::{CommandError, CommandResult, Context, List, Side, removed, reply_element, side};
use crate::commands::Key;
use crate::commands::ends::{
    Shape, TwoEnded, blocking_multi_pop, blocking_pop, multi_pop, pop_count,
};
use crate::commands::numbers::timeout_seconds;
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
    if args.len() > 3 {
        let name = args[0].to_ascii_lowercase();
        return Err(CommandError::wrong_arity(&String::from_utf8_lossy(&name)));
    }
    let count = pop_count(args.get(2))?;
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
            let len = list.len();
            ctx.reply.array(count.min(len));
            List::take(ctx, &key, side, count.min(len), Shape::Flat)?;
            ctx.store.effect_verbatim(args);
        }
        None => {
            List::take(ctx, &key, side, 1, Shape::Flat)?;
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

impl TwoEnded for List {
    type End = Side;
    const WANTS: Wants = Wants::List;
    const ELEMENT_VALUES: usize = 1;

    fn end(word: &[u8]) -> Option<Side> {
        side(word).ok()
    }

    fn pop_name(side: Side) -> &'static [u8] {
        match side {
            Side::Left => b"LPOP",
            Side::Right => b"RPOP",
        }
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn take(
        ctx: &mut Context<'_>,
        key: &Key<'_>,
        side: Side,
        count: usize,
        _: Shape,
    ) -> CommandResult {
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
}

/// `BLPOP key [key …] timeout`
pub(super) fn blpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    blocking_pop::<List>(ctx, args, Side::Left)
}

/// `BRPOP key [key …] timeout`
pub(super) fn brpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    blocking_pop::<List>(ctx, args, Side::Right)
}

/// `LMPOP numkeys key [key …] LEFT|RIGHT [COUNT count]`
pub(super) fn lmpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    multi_pop::<List>(ctx, args)
}

/// `BLMPOP timeout numkeys key [key …] LEFT|RIGHT [COUNT count]`
pub(super) fn blmpop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    blocking_multi_pop::<List>(ctx, args)
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
