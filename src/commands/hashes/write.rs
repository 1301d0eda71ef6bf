//! Setting, counting and deleting fields.

use super::{
    BAD_FIELD_COUNT, effect_of_expiry, effect_on_fields, expire_named, is_live, parse_fields,
};
use crate::commands::elements::reply_element;
use crate::commands::long_double::LongDouble;
use crate::commands::numbers::integer;
use crate::commands::{CommandError, CommandResult, Context, Key};
use crate::data::Hash;
use crate::data::hash::FieldExpiry;
use crate::data::listpack::{Digits, Element};
use crate::resp::Args;
use crate::resp::request::parse_i64;

/// `HSET key field value [field value …]`
pub(super) fn hset(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let created = set_all(ctx, args, "hset")?;
    ctx.reply.integer(created as i64);
    Ok(())
}

/// `HMSET key field value [field value …]`
pub(super) fn hmset(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    set_all(ctx, args, "hmset")?;
    ctx.reply.ok();
    Ok(())
}

/// Sets the fields that the arguments name, and says how many are new.
fn set_all(ctx: &mut Context<'_>, args: Args<'_>, command: &str) -> Result<usize, CommandError> {
    if args.len() % 2 == 1 {
        return Err(CommandError::wrong_arity(command));
    }
    let key = ctx.store.key(&args[1]);
    let created = set_pairs(ctx, &key, args.from(2), FieldExpiry::Clear)?;
    ctx.store.effect_as(b"HSET", args.from(1));
    Ok(created)
}

/// Sets fields to the values behind them, and says how many are new. The caller states the effect.
pub(super) fn set_pairs(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    pairs: Args<'_>,
    expiry: FieldExpiry,
) -> Result<usize, CommandError> {
    let limits = &ctx.settings.limits;
    let hash = ctx.store.write_or_create(key, Hash::new)?;
    hash.prepare(pairs.iter(), limits);
    let mut created = 0;
    for at in (0..pairs.len()).step_by(2) {
        created += usize::from(hash.set(&pairs[at], &pairs[at + 1], expiry, limits));
    }
    ctx.store.changed(key);
    Ok(created)
}

/// `HSETNX key field value`
pub(super) fn hsetnx(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    expire_named(&mut ctx.store, &key, std::iter::once(args.at(2)))?;
    let exists = ctx.store.write_as::<Hash>(&key)?.is_some_and(|hash| hash.get(&args[2]).is_some());
    if !exists {
        set_pairs(ctx, &key, args.from(2), FieldExpiry::Clear)?;
        ctx.store.effect_as(b"HSET", args.from(1));
    }
    ctx.reply.integer(i64::from(!exists));
    Ok(())
}

/// Gives what `read` makes of the value of a field that is alive. One whose time has come is deleted.
fn old_value<T>(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    name: &[u8],
    read: impl FnOnce(Element<'_>, Option<i64>) -> T,
) -> Result<Option<T>, CommandError> {
    expire_named(&mut ctx.store, key, std::iter::once(name))?;
    let found = ctx.store.write_as::<Hash>(key)?.and_then(|hash| hash.get(name));
    Ok(found.map(|field| read(field.value, field.expiry_ms)))
}

/// Sets a field and leaves its expiry time as it is. The caller states the effect.
fn set_keeping_expiry(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    name: &[u8],
    value: &[u8],
) -> CommandResult {
    let hash = ctx.store.write_or_create(key, Hash::new)?;
    hash.set(name, value, FieldExpiry::Keep, &ctx.settings.limits);
    ctx.store.changed(key);
    Ok(())
}

/// `HINCRBY key field increment`
pub(super) fn hincrby(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const NOT_INTEGER: CommandError = CommandError::fixed("ERR hash value is not an integer");
    const OVERFLOW: CommandError = CommandError::fixed("ERR increment or decrement would overflow");
    let increment = integer(&args[3])?;
    let key = ctx.store.key(&args[1]);
    let old = old_value(ctx, &key, &args[2], |value, _| match value {
        Element::Integer(number) => Some(number),
        Element::Bytes(bytes) => parse_i64(bytes),
    })?;
    let old = old.unwrap_or(Some(0)).ok_or(NOT_INTEGER)?;
    let sum = old.checked_add(increment).ok_or(OVERFLOW)?;
    set_keeping_expiry(ctx, &key, &args[2], Digits::new().format(sum).as_bytes())?;
    ctx.store.effect_verbatim(args);
    ctx.reply.integer(sum);
    Ok(())
}

/// `HINCRBYFLOAT key field increment`
pub(super) fn hincrbyfloat(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const INFINITE: CommandError = CommandError::fixed("ERR value is NaN or Infinity");
    const NOT_FLOAT: CommandError = CommandError::fixed("ERR hash value is not a float");
    const NOT_FINITE: CommandError =
        CommandError::fixed("ERR increment would produce NaN or Infinity");
    let increment = LongDouble::parse(&args[3]).ok_or(CommandError::NOT_FLOAT)?;
    let increment = increment.checked_add(LongDouble::ZERO).ok_or(INFINITE)?;
    let (key, name) = (ctx.store.key(&args[1]), args.at(2));
    let old = old_value(ctx, &key, name, |value, expiry_ms| {
        (value.with_bytes(LongDouble::parse), expiry_ms)
    })?;
    let (old, expiry_ms) = old.unwrap_or((Some(LongDouble::ZERO), None));
    let sum = old.ok_or(NOT_FLOAT)?.checked_add(increment).ok_or(NOT_FINITE)?.to_text();
    let sum = sum.as_bytes();
    set_keeping_expiry(ctx, &key, name, sum)?;
    ctx.store.effect(&[b"HSET", key.bytes, name, sum]);
    if let Some(at_ms) = expiry_ms {
        effect_of_expiry(&mut ctx.store, &key, at_ms, &[name]);
    }
    ctx.reply.bulk(sum);
    Ok(())
}

/// `HDEL key field [field …]`
pub(super) fn hdel(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let mut deleted = 0;
    if let Some(hash) = ctx.store.write_as::<Hash>(&key)? {
        deleted = args.from(2).iter().filter(|name| hash.remove(name)).count();
    }
    if deleted > 0 {
        ctx.store.changed(&key);
        ctx.store.delete_if_empty::<Hash>(&key);
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(deleted as i64);
    Ok(())
}

/// `HGETDEL key FIELDS count field [field …]`
pub(super) fn hgetdel(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    ctx.store.write_as::<Hash>(&key)?;
    let names = parse_fields(args, 2, BAD_FIELD_COUNT)?;
    expire_named(&mut ctx.store, &key, names.iter())?;
    let due_ms = ctx.store.due_ms();
    ctx.reply.array(names.len());
    let Some(hash) = ctx.store.write_as::<Hash>(&key)? else {
        names.iter().for_each(|_| ctx.reply.null());
        return Ok(());
    };
    let mut deleted = Vec::new();
    for name in names.iter() {
        let Some(field) = hash.get(name).filter(|field| is_live(field, due_ms)) else {
            ctx.reply.null();
            continue;
        };
        reply_element(&mut ctx.reply, field.value);
        hash.remove(name);
        deleted.push(name);
    }
    if !deleted.is_empty() {
        ctx.store.changed(&key);
        ctx.store.delete_if_empty::<Hash>(&key);
        effect_on_fields(&mut ctx.store, &[b"HDEL", key.bytes], &deleted);
    }
    Ok(())
}
