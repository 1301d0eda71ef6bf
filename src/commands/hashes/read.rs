//! Reading fields.

use super::{are_all_live, expire_named, is_live};
use crate::commands::elements::reply_element;
use crate::commands::{CommandResult, Context};
use crate::data::Hash;
use crate::data::hash::Field;
use crate::resp::{Args, Reply};

/// Looks at a field and replies with what `reply` makes of it, `None` if there is none that is alive.
fn look(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    reply: impl FnOnce(&mut Reply<'_>, Option<Field<'_>>),
) -> CommandResult {
    let (key, due_ms) = (ctx.store.key(&args[1]), ctx.store.due_ms());
    let found = ctx.store.read_as::<Hash>(&key)?.and_then(|hash| hash.get(&args[2]));
    let expired = found.is_some_and(|field| !is_live(&field, due_ms));
    reply(&mut ctx.reply, found.filter(|_| !expired));
    if expired {
        expire_named(&mut ctx.store, &key, std::iter::once(args.at(2)))?;
    }
    Ok(())
}

/// `HGET key field`
pub(super) fn hget(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    look(ctx, args, |reply, field| match field {
        Some(field) => reply_element(reply, field.value),
        None => reply.null(),
    })
}

/// `HEXISTS key field`
pub(super) fn hexists(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    look(ctx, args, |reply, field| reply.integer(i64::from(field.is_some())))
}

/// `HSTRLEN key field`
pub(super) fn hstrlen(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    look(ctx, args, |reply, field| {
        reply.integer(field.map_or(0, |field| field.value.len()) as i64);
    })
}

/// `HMGET key field [field …]`
pub(super) fn hmget(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (key, due_ms) = (ctx.store.key(&args[1]), ctx.store.due_ms());
    let hash = ctx.store.read_as::<Hash>(&key)?;
    let names = args.from(2);
    let mut any_expired = false;
    ctx.reply.array(names.len());
    for name in names.iter() {
        match hash.and_then(|hash| hash.get(name)) {
            Some(field) if is_live(&field, due_ms) => reply_element(&mut ctx.reply, field.value),
            found => {
                any_expired |= found.is_some();
                ctx.reply.null();
            }
        }
    }
    if any_expired { expire_named(&mut ctx.store, &key, names.iter()) } else { Ok(()) }
}

/// `HLEN key`
pub(super) fn hlen(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let len = ctx.store.read_as::<Hash>(&key)?.map_or(0, Hash::len);
    ctx.reply.integer(len as i64);
    Ok(())
}

/// `HGETALL key`
pub(super) fn hgetall(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_all(
        ctx,
        args,
        |reply, len| reply.map(len),
        |reply, field| {
            reply_element(reply, field.name);
            reply_element(reply, field.value);
        },
    )
}

/// `HKEYS key`
pub(super) fn hkeys(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_all(
        ctx,
        args,
        |reply, len| reply.array(len),
        |reply, field| reply_element(reply, field.name),
    )
}

/// `HVALS key`
pub(super) fn hvals(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_all(
        ctx,
        args,
        |reply, len| reply.array(len),
        |reply, field| reply_element(reply, field.value),
    )
}

/// Replies with an aggregate of all fields that are alive.
fn reply_all(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    header: fn(&mut Reply<'_>, usize),
    reply: impl Fn(&mut Reply<'_>, Field<'_>),
) -> CommandResult {
    let (key, due_ms) = (ctx.store.key(&args[1]), ctx.store.due_ms());
    let Some(hash) = ctx.store.read_as::<Hash>(&key)? else {
        header(&mut ctx.reply, 0);
        return Ok(());
    };
    let live = || hash.iter().filter(|field| is_live(field, due_ms));
    let count = if are_all_live(hash, due_ms) { hash.len() } else { live().count() };
    header(&mut ctx.reply, count);
    live().for_each(|field| reply(&mut ctx.reply, field));
    Ok(())
}
