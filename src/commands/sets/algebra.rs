//! Intersections, unions and differences.

use super::{CommandError, CommandResult, Context, Set, reply_element, reply_members};
use crate::commands::numbers::at_least;
use crate::commands::{Key, Store};
use crate::data::{Limits, set};
use crate::resp::Args;
use std::ops::ControlFlow::{Break, Continue};

/// Reads the sets at some keys; those after one that does not exist as well, for they may be no sets.
///
/// # Errors
/// If a key holds something else.
fn read_all<'k>(
    ctx: &mut Context<'_>,
    names: impl Iterator<Item = &'k [u8]>,
) -> Result<Vec<Key<'k>>, CommandError> {
    names
        .map(|name| {
            let key = ctx.store.key(name);
            ctx.store.read_as::<Set>(&key).map(|_| key)
        })
        .collect()
}

/// The sets at keys that were read; `None` if one of them does not exist.
fn all_of<'s>(store: &'s Store<'_>, keys: &[Key<'_>]) -> Option<Vec<&'s Set>> {
    keys.iter().map(|key| store.borrow_as(key)).collect()
}

/// The sets at keys that were read, but for those that do not exist.
fn some_of<'s>(store: &'s Store<'_>, keys: &[Key<'_>]) -> Vec<&'s Set> {
    keys.iter().filter_map(|key| store.borrow_as(key)).collect()
}

/// `SINTER key [key …]`
pub(super) fn sinter(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let keys = read_all(ctx, args.iter().skip(1))?;
    let deferred = ctx.reply.deferred();
    let mut count = 0;
    if let Some(mut sets) = all_of(&ctx.store, &keys) {
        set::intersection(&mut sets, &ctx.settings.limits, |member| {
            reply_element(&mut ctx.reply, member);
            count += 1;
            Continue(())
        });
    }
    ctx.reply.finish_set(deferred, count);
    Ok(())
}

/// `SINTERCARD numkeys key [key …] [LIMIT limit]`
pub(super) fn sintercard(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let bad_count = CommandError::fixed("ERR numkeys should be greater than 0");
    let key_count = at_least(1, &args[1], bad_count)?;
    if key_count > args.len() - 2 {
        let error = "ERR Number of keys can't be greater than number of args";
        return Err(CommandError::fixed(error));
    }
    let mut limit = 0;
    let mut options = args.from(2 + key_count).iter();
    while let Some(name) = options.next() {
        match options.next() {
            Some(value) if name.eq_ignore_ascii_case(b"LIMIT") => {
                limit = at_least(0, value, CommandError::fixed("ERR LIMIT can't be negative"))?;
            }
            _ => return Err(CommandError::SYNTAX),
        }
    }
    let keys = read_all(ctx, args.iter().skip(2).take(key_count))?;
    let mut count = 0;
    if let Some(mut sets) = all_of(&ctx.store, &keys) {
        set::intersection(&mut sets, &ctx.settings.limits, |_| {
            count += 1;
            if count == limit { Break(()) } else { Continue(()) }
        });
    }
    ctx.reply.integer(count as i64);
    Ok(())
}

fn union(ctx: &Context<'_>, keys: &[Key<'_>], limits: &Limits) -> Set {
    set::union(&some_of(&ctx.store, keys), limits)
}

/// What only the first set has; nothing if that does not exist.
fn difference(ctx: &Context<'_>, keys: &[Key<'_>], limits: &Limits) -> Option<Set> {
    let first = ctx.store.borrow_as(&keys[0])?;
    Some(set::difference(first, &mut some_of(&ctx.store, &keys[1..]), limits))
}

/// `SUNION key [key …]`
pub(super) fn sunion(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let keys = read_all(ctx, args.iter().skip(1))?;
    let set = union(ctx, &keys, &ctx.settings.limits);
    reply_members(&mut ctx.reply, Some(&set));
    Ok(())
}

/// `SDIFF key [key …]`
pub(super) fn sdiff(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let keys = read_all(ctx, args.iter().skip(1))?;
    let set = difference(ctx, &keys, &ctx.settings.limits);
    reply_members(&mut ctx.reply, set.as_ref());
    Ok(())
}

/// `SINTERSTORE destination key [key …]`
pub(super) fn sinterstore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let keys = read_all(ctx, args.iter().skip(2))?;
    let limits = &ctx.settings.limits;
    let sets = all_of(&ctx.store, &keys);
    let result = sets.map(|mut sets| Set::of_intersection(&mut sets, limits));
    store(ctx, args, result);
    Ok(())
}

/// `SUNIONSTORE destination key [key …]`
pub(super) fn sunionstore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let keys = read_all(ctx, args.iter().skip(2))?;
    let result = union(ctx, &keys, &ctx.settings.limits);
    store(ctx, args, Some(result));
    Ok(())
}

/// `SDIFFSTORE destination key [key …]`
pub(super) fn sdiffstore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let keys = read_all(ctx, args.iter().skip(2))?;
    let result = difference(ctx, &keys, &ctx.settings.limits);
    store(ctx, args, result);
    Ok(())
}

/// Stores a result at the first argument, whatever is there, and replies with the number of members. Without
/// any, the key is deleted.
fn store(ctx: &mut Context<'_>, args: Args<'_>, result: Option<Set>) {
    let key = ctx.store.key(args.at(1));
    let result = result.filter(|set| !set.is_empty());
    let len = result.as_ref().map_or(0, Set::len);
    let is_changed = match result {
        Some(set) => {
            ctx.store.put(&key, set, None);
            true
        }
        None => ctx.store.delete(&key),
    };
    if is_changed {
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(len as i64);
}
