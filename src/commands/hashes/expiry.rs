//! When fields expire: `HEXPIRE`, `HTTL`, `HPERSIST` and their kin.

use super::{BAD_FIELD_COUNT, effect_of_expiry, effect_on_fields, is_live, parse_fields};
use crate::commands::numbers::integer;
use crate::commands::{CommandError, CommandResult, Context, Key, Store};
use crate::data::Hash;
use crate::resp::Args;

/// The latest time a field may expire at, as Unix time in ms: what Redis has room for.
const EXPIRY_MS_MAX: i64 = (1 << 46) - 1;

/// What `HEXPIRE` replies of a field: there is none.
const NO_FIELD: i64 = -2;
/// The field has no expiry time.
const NO_EXPIRY: i64 = -1;
/// The conditions were not met.
const NOT_MET: i64 = 0;
/// The expiry time was changed.
const CHANGED: i64 = 1;
/// The field was deleted, because the time has passed.
const DELETED: i64 = 2;

/// Units of a time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

/// Which present expiry times `HEXPIRE` replaces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Any,
    /// `NX`: none.
    Absent,
    /// `XX`: any.
    Present,
    /// `GT`: an earlier one; none at all is later than any.
    Later,
    /// `LT`: a later one, or none.
    Earlier,
}

impl Condition {
    fn parse(arg: &[u8]) -> Self {
        const NAMES: [(&str, Condition); 4] = [
            ("NX", Condition::Absent),
            ("XX", Condition::Present),
            ("GT", Condition::Later),
            ("LT", Condition::Earlier),
        ];
        let named = |(name, _): &&(&str, Condition)| arg.eq_ignore_ascii_case(name.as_bytes());
        NAMES.iter().find(named).map_or(Condition::Any, |&(_, condition)| condition)
    }

    fn is_met(self, present: Option<i64>, wanted: i64) -> bool {
        match self {
            Condition::Any => true,
            Condition::Absent => present.is_none(),
            Condition::Present => present.is_some(),
            Condition::Later => present.is_some_and(|present| present < wanted),
            Condition::Earlier => present.is_none_or(|present| present > wanted),
        }
    }
}

/// An expiry time as Unix time in ms: `arg` counts from `base_ms`. `command` is for the error.
pub(super) fn absolute_ms(
    store: &Store<'_>,
    arg: &[u8],
    unit: Unit,
    base_ms: i64,
    command: &str,
) -> Result<i64, CommandError> {
    const NEGATIVE: CommandError = CommandError::fixed("ERR invalid expire time, must be >= 0");
    let mut number = integer(arg)?;
    if unit == Unit::Milliseconds && base_ms == 0 {
        number = store.kept_expiry_ms(number);
    }
    if number < 0 {
        return Err(NEGATIVE);
    }
    let ms = match unit {
        Unit::Seconds => number.checked_mul(1000),
        Unit::Milliseconds => Some(number),
    };
    ms.and_then(|ms| ms.checked_add(base_ms))
        .filter(|&at| at <= EXPIRY_MS_MAX)
        .ok_or_else(|| CommandError::invalid_expire_time(command))
}

/// Deletes fields because they were given an expiry time that has passed, and the hash if nothing is left.
/// States the effect.
pub(super) fn delete_fields(store: &mut Store<'_>, key: &Key<'_>, names: &[&[u8]]) {
    if !names.is_empty() {
        store.changed(key);
        store.delete_if_empty::<Hash>(key);
        effect_on_fields(store, &[b"HDEL", key.bytes], names);
    }
}

/// States that fields of `key` have this expiry time now, and sees to it that they expire.
pub(super) fn state_expiry(store: &mut Store<'_>, key: &Key<'_>, at_ms: i64, names: &[&[u8]]) {
    if names.is_empty() {
        return;
    }
    store.changed(key);
    store.fields_will_expire(key);
    effect_of_expiry(store, key, at_ms, names);
}

/// States that fields of `key` do not expire any more.
pub(super) fn state_persisting(store: &mut Store<'_>, key: &Key<'_>, names: &[&[u8]]) {
    if names.is_empty() {
        return;
    }
    store.changed(key);
    let mut count = itoa::Buffer::new();
    let count = count.format(names.len()).as_bytes();
    effect_on_fields(store, &[b"HPERSIST", key.bytes, b"FIELDS", count], names);
}

/// `HEXPIRE key seconds [NX | XX | GT | LT] FIELDS count field [field …]`
pub(super) fn hexpire(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let now_ms = ctx.store.now_ms;
    expire(ctx, args, Unit::Seconds, now_ms, "hexpire")
}

/// `HPEXPIRE key milliseconds [NX | XX | GT | LT] FIELDS count field [field …]`
pub(super) fn hpexpire(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let now_ms = ctx.store.now_ms;
    expire(ctx, args, Unit::Milliseconds, now_ms, "hpexpire")
}

/// `HEXPIREAT key time [NX | XX | GT | LT] FIELDS count field [field …]`
pub(super) fn hexpireat(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    expire(ctx, args, Unit::Seconds, 0, "hexpireat")
}

/// `HPEXPIREAT key time [NX | XX | GT | LT] FIELDS count field [field …]`
pub(super) fn hpexpireat(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    expire(ctx, args, Unit::Milliseconds, 0, "hpexpireat")
}

fn expire(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    unit: Unit,
    base_ms: i64,
    command: &str,
) -> CommandResult {
    const BAD_COUNT: CommandError =
        CommandError::fixed("ERR Parameter `numFields` should be greater than 0");
    let key = ctx.store.key(&args[1]);
    ctx.store.write_as::<Hash>(&key)?;
    let at_ms = absolute_ms(&ctx.store, &args[2], unit, base_ms, command)?;
    let condition = Condition::parse(&args[3]);
    let names_at = if condition == Condition::Any { 3 } else { 4 };
    let names = parse_fields(args, names_at, BAD_COUNT)?;
    let due_ms = ctx.store.due_ms();
    ctx.reply.array(names.len());
    let Some(hash) = ctx.store.write_as::<Hash>(&key)? else {
        names.iter().for_each(|_| ctx.reply.integer(NO_FIELD));
        return Ok(());
    };
    let mut changed = Vec::new();
    for name in names.iter() {
        let outcome = match hash.get(name).map(|field| field.expiry_ms) {
            None => NO_FIELD,
            Some(present) if !condition.is_met(present, at_ms) => NOT_MET,
            Some(_) if at_ms <= due_ms => {
                hash.remove(name);
                DELETED
            }
            Some(_) => {
                hash.set_expiry(name, Some(at_ms));
                CHANGED
            }
        };
        if outcome == CHANGED || outcome == DELETED {
            changed.push(name);
        }
        ctx.reply.integer(outcome);
    }
    // The time is the same for all of them.
    if at_ms <= due_ms {
        delete_fields(&mut ctx.store, &key, &changed);
    } else {
        state_expiry(&mut ctx.store, &key, at_ms, &changed);
    }
    Ok(())
}

/// `HPERSIST key FIELDS count field [field …]`
pub(super) fn hpersist(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    ctx.store.write_as::<Hash>(&key)?;
    let names = parse_fields(args, 2, BAD_FIELD_COUNT)?;
    let due_ms = ctx.store.due_ms();
    ctx.reply.array(names.len());
    let Some(hash) = ctx.store.write_as::<Hash>(&key)? else {
        names.iter().for_each(|_| ctx.reply.integer(NO_FIELD));
        return Ok(());
    };
    let mut changed = Vec::new();
    for name in names.iter() {
        let outcome = match hash.get(name).filter(|field| is_live(field, due_ms)) {
            None => NO_FIELD,
            Some(field) if field.expiry_ms.is_none() => NO_EXPIRY,
            Some(_) => {
                hash.set_expiry(name, None);
                changed.push(name);
                CHANGED
            }
        };
        ctx.reply.integer(outcome);
    }
    state_persisting(&mut ctx.store, &key, &changed);
    Ok(())
}

/// `HTTL key FIELDS count field [field …]`
pub(super) fn httl(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let now_ms = ctx.store.now_ms;
    reply_times(ctx, args, |at| (at - now_ms + 999) / 1000)
}

/// `HPTTL key FIELDS count field [field …]`
pub(super) fn hpttl(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let now_ms = ctx.store.now_ms;
    reply_times(ctx, args, |at| at - now_ms)
}

/// `HEXPIRETIME key FIELDS count field [field …]`
pub(super) fn hexpiretime(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_times(ctx, args, |at| (at + 999) / 1000)
}

/// `HPEXPIRETIME key FIELDS count field [field …]`
pub(super) fn hpexpiretime(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_times(ctx, args, |at| at)
}

/// Replies with what `show` makes of the expiry time of each field.
fn reply_times(ctx: &mut Context<'_>, args: Args<'_>, show: impl Fn(i64) -> i64) -> CommandResult {
    let (key, due_ms) = (ctx.store.key(&args[1]), ctx.store.due_ms());
    let hash = ctx.store.read_as::<Hash>(&key)?;
    let names = parse_fields(args, 2, BAD_FIELD_COUNT)?;
    ctx.reply.array(names.len());
    for name in names.iter() {
        let field = hash.and_then(|hash| hash.get(name)).filter(|field| is_live(field, due_ms));
        ctx.reply.integer(match field {
            None => NO_FIELD,
            Some(field) => field.expiry_ms.map_or(NO_EXPIRY, &show),
        });
    }
    Ok(())
}
