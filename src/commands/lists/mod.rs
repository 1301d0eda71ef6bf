//! Lists.

mod pop;
mod search;
#[cfg(test)]
pub(super) mod tests;

use super::elements::{removed, reply_element};
use super::numbers::integer;
use super::spec::{Categories, Flags, KeyFlags, KeySpec, Spec};
use super::{CommandError, CommandResult, Context};
use crate::data::List;
use crate::data::list::Side;
use crate::resp::Args;

const READ: Flags = Flags::READONLY;
const GROW: Flags = Flags::WRITE.with(Flags::DENYOOM);
const GROW_FAST: Flags = GROW.with(Flags::FAST);
const BLOCK: Flags = Flags::WRITE.with(Flags::BLOCKING);

const READ_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO_ACCESS)];
const INSERT_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RW_INSERT)];
const DELETE_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RW_DELETE)];
const POP_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RW_ACCESS_DELETE)];
const POP_KEYS: &[KeySpec] = &[KeySpec::range(1, -2, 1, KeyFlags::RW_ACCESS_DELETE)];
const MOVE_KEYS: &[KeySpec] =
    &[KeySpec::at(1, KeyFlags::RW_ACCESS_DELETE), KeySpec::at(2, KeyFlags::RW_INSERT)];

const PUSH_COST: &str = "O(N) in the elements pushed";
const POP_COST: &str = "O(N) in the elements popped";
const MULTI_POP_COST: &str = "O(N+M) in the keys and the elements popped";
const INDEX_COST: &str = "O(N) in the distance from the nearer end";

/// This family's part of the table.
pub static COMMANDS: [Spec; 22] = [
    row("blmove", 6, pop::blmove, GROW.with(Flags::BLOCKING), MOVE_KEYS).syntax("source:key destination:key#1 wherefrom<LEFT|RIGHT> whereto<LEFT|RIGHT> \
            timeout:double").doc(
        "list",
        "6.2.0",
        "O(1)",
        "Moves an element from an end of a list to an end of another one; waits for one to move.",
    ),
    row("blmpop", -5, pop::blmpop, BLOCK, &[KeySpec::counted(2, KeyFlags::RW_ACCESS_DELETE)]).syntax("timeout:double numkeys:integer key... where<LEFT|RIGHT> [COUNT count:integer]").doc(
        "list",
        "7.0.0",
        MULTI_POP_COST,
        "Takes elements from the first list that has any; waits for some.",
    ),
    row("blpop", -3, pop::blpop, BLOCK, POP_KEYS).syntax("key... timeout:double").changes(&[("6.0.0", "The timeout may have a fraction.")]).doc(
        "list",
        "2.0.0",
        "O(N) in the keys",
        "Takes the leftmost element of the first list that has one; waits for one.",
    ),
    row("brpop", -3, pop::brpop, BLOCK, POP_KEYS).syntax("key... timeout:double").changes(&[("6.0.0", "The timeout may have a fraction.")]).doc(
        "list",
        "2.0.0",
        "O(N) in the keys",
        "Takes the rightmost element of the first list that has one; waits for one.",
    ),
    row("brpoplpush", 4, pop::brpoplpush, GROW.with(Flags::BLOCKING), MOVE_KEYS).syntax("source:key destination:key#1 timeout:double").changes(&[("6.0.0", "The timeout may have a fraction.")])
        .doc(
            "list",
            "2.2.0",
            "O(1)",
            "Moves a list's rightmost element to the left end of another one; waits for one to move.",
        )
        .deprecated("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments"),
    row("lindex", 3, lindex, READ, READ_KEY).syntax("key index:integer").doc(
        "list",
        "1.0.0",
        INDEX_COST,
        "The element at an index.",
    ),
    row("linsert", 5, search::linsert, GROW, INSERT_KEY).syntax("key where<BEFORE|AFTER> pivot element").doc(
        "list",
        "2.2.0",
        "O(N) in the elements left of the pivot",
        "Inserts an element before or after another one.",
    ),
    row("llen", 2, llen, READ.with(Flags::FAST), &[KeySpec::at(1, KeyFlags::RO)]).syntax("key").doc(
        "list",
        "1.0.0",
        "O(1)",
        "The number of elements.",
    ),
    row("lmove", 5, pop::lmove, GROW, MOVE_KEYS).syntax("source:key destination:key#1 wherefrom<LEFT|RIGHT> whereto<LEFT|RIGHT>").doc(
        "list",
        "6.2.0",
        "O(1)",
        "Moves an element from an end of a list to an end of another one.",
    ),
    row("lmpop", -4, pop::lmpop, Flags::WRITE, &[KeySpec::counted(1, KeyFlags::RW_ACCESS_DELETE)]).syntax("numkeys:integer key... where<LEFT|RIGHT> [COUNT count:integer]").doc(
        "list",
        "7.0.0",
        MULTI_POP_COST,
        "Takes elements from the first list that has any.",
    ),
    row("lpop", -2, pop::lpop, Flags::WRITE.with(Flags::FAST), POP_KEY).syntax("key [count:integer@6.2.0]").doc(
        "list",
        "1.0.0",
        POP_COST,
        "Takes elements from the left end.",
    ),
    row("lpos", -3, search::lpos, READ, READ_KEY).syntax("key element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len:integer]").doc(
        "list",
        "6.0.6",
        "O(N) in the elements looked at",
        "Where elements of the given value are.",
    ),
    row("lpush", -3, lpush, GROW_FAST, INSERT_KEY).syntax("key element...").changes(&[("2.4.0", "Takes several elements.")]).doc(
        "list",
        "1.0.0",
        PUSH_COST,
        "Adds elements at the left end.",
    ),
    row("lpushx", -3, lpushx, GROW_FAST, INSERT_KEY).syntax("key element...").changes(&[("4.0.0", "Takes several elements.")]).doc(
        "list",
        "2.2.0",
        PUSH_COST,
        "Adds elements at the left end of a list that exists.",
    ),
    row("lrange", 4, lrange, READ, READ_KEY).syntax("key start:integer stop:integer").doc(
        "list",
        "1.0.0",
        "O(S+N) in the distance of the first element from the nearer end, and the elements returned",
        "The elements of a range of indexes.",
    ),
    row("lrem", 4, search::lrem, Flags::WRITE, DELETE_KEY).syntax("key count:integer element").doc(
        "list",
        "1.0.0",
        "O(N+M) in the list's elements and those removed",
        "Removes elements of the given value.",
    ),
    row("lset", 4, lset, GROW, &[KeySpec::at(1, KeyFlags::RW_UPDATE)]).syntax("key index:integer element").doc(
        "list",
        "1.0.0",
        INDEX_COST,
        "Replaces the element at an index.",
    ),
    row("ltrim", 4, ltrim, Flags::WRITE, DELETE_KEY).syntax("key start:integer stop:integer").doc(
        "list",
        "1.0.0",
        "O(N) in the elements removed",
        "Removes all elements outside of a range of indexes.",
    ),
    row("rpop", -2, pop::rpop, Flags::WRITE.with(Flags::FAST), POP_KEY).syntax("key [count:integer@6.2.0]").doc(
        "list",
        "1.0.0",
        POP_COST,
        "Takes elements from the right end.",
    ),
    row("rpoplpush", 3, pop::rpoplpush, GROW, MOVE_KEYS).syntax("source:key destination:key#1")
        .doc(
            "list",
            "1.2.0",
            "O(1)",
            "Moves a list's rightmost element to the left end of another one.",
        )
        .deprecated("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments"),
    row("rpush", -3, rpush, GROW_FAST, INSERT_KEY).syntax("key element...").changes(&[("2.4.0", "Takes several elements.")]).doc(
        "list",
        "1.0.0",
        PUSH_COST,
        "Adds elements at the right end.",
    ),
    row("rpushx", -3, rpushx, GROW_FAST, INSERT_KEY).syntax("key element...").changes(&[("4.0.0", "Takes several elements.")]).doc(
        "list",
        "2.2.0",
        PUSH_COST,
        "Adds elements at the right end of a list that exists.",
    ),
];

const fn row(
    name: &'static str,
    arity: i16,
    run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
    flags: Flags,
    keys: &'static [KeySpec],
) -> Spec {
    Spec::data(name, arity, run).flags(flags, Categories::LIST).keys(keys)
}

/// An argument as `LEFT` or `RIGHT`.
fn side(arg: &[u8]) -> Result<Side, CommandError> {
    if arg.eq_ignore_ascii_case(b"right") {
        Ok(Side::Right)
    } else if arg.eq_ignore_ascii_case(b"left") {
        Ok(Side::Left)
    } else {
        Err(CommandError::SYNTAX)
    }
}

/// `LPUSH key element [element …]`
fn lpush(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    push(ctx, args, Side::Left)
}

/// `RPUSH key element [element …]`
fn rpush(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    push(ctx, args, Side::Right)
}

fn push(ctx: &mut Context<'_>, args: Args<'_>, side: Side) -> CommandResult {
    let key = ctx.store.key(args.at(1));
    let limits = &ctx.settings.limits;
    let list = ctx.store.write_or_create(&key, List::new)?;
    let elements = args.from(2);
    list.make_room(elements.len(), elements.iter().map(<[u8]>::len).sum(), limits);
    for element in elements.iter() {
        list.push(side, element);
    }
    let len = list.len();
    ctx.store.changed(&key);
    ctx.store.effect_verbatim(args);
    ctx.reply.integer(len as i64);
    Ok(())
}

/// `LPUSHX key element [element …]`
fn lpushx(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    push_if_exists(ctx, args, Side::Left)
}

/// `RPUSHX key element [element …]`
fn rpushx(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    push_if_exists(ctx, args, Side::Right)
}

fn push_if_exists(ctx: &mut Context<'_>, args: Args<'_>, side: Side) -> CommandResult {
    let key = ctx.store.key(args.at(1));
    if ctx.store.exists(&key) {
        push(ctx, args, side)
    } else {
        ctx.reply.integer(0);
        Ok(())
    }
}

/// `LLEN key`
fn llen(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(args.at(1));
    let len = ctx.store.read_as::<List>(&key)?.map_or(0, List::len);
    ctx.reply.integer(len as i64);
    Ok(())
}

/// `LINDEX key index`
fn lindex(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(args.at(1));
    let Some(list) = ctx.store.read_as::<List>(&key)? else {
        ctx.reply.null();
        return Ok(());
    };
    let index = list.index(integer(&args[2])?);
    match index.and_then(|index| list.get(index)) {
        Some(element) => reply_element(&mut ctx.reply, element),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// `LSET key index element`
fn lset(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(args.at(1));
    let limits = &ctx.settings.limits;
    let list = ctx.store.write_as::<List>(&key)?.ok_or(CommandError::NO_SUCH_KEY)?;
    let index = list.index(integer(&args[2])?).ok_or(CommandError::OUT_OF_RANGE)?;
    list.set(index, &args[3], limits);
    ctx.store.changed(&key);
    ctx.store.effect_verbatim(args);
    ctx.reply.ok();
    Ok(())
}

/// The indexes from `start` to `stop` of a list, both of which may count from the right: the first
/// one and how many. Zero of them if there are none.
fn range(list: &List, start: i64, stop: i64) -> (usize, usize) {
    let len = list.len() as i64;
    let from_left = |index: i64| if index < 0 { len + index } else { index };
    let (first, last) = (from_left(start).max(0), from_left(stop).min(len - 1));
    if first > last { (0, 0) } else { (first as usize, (last - first + 1) as usize) }
}

/// `LRANGE key start stop`
fn lrange(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (start, stop) = (integer(&args[2])?, integer(&args[3])?);
    let key = ctx.store.key(args.at(1));
    let Some(list) = ctx.store.read_as::<List>(&key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let (first, count) = range(list, start, stop);
    ctx.reply.array(count);
    for element in list.iter_at(first, Side::Right).take(count) {
        reply_element(&mut ctx.reply, element);
    }
    Ok(())
}

/// `LTRIM key start stop`
fn ltrim(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (start, stop) = (integer(&args[2])?, integer(&args[3])?);
    let key = ctx.store.key(args.at(1));
    let limits = &ctx.settings.limits;
    if let Some(list) = ctx.store.write_as::<List>(&key)? {
        let (first, count) = range(list, start, stop);
        if count < list.len() {
            list.remove_range(first + count, usize::MAX, limits);
            list.remove_range(0, first, limits);
            let is_empty = list.is_empty();
            removed(ctx, &key, is_empty);
            ctx.store.effect_verbatim(args);
        }
    }
    ctx.reply.ok();
    Ok(())
}
