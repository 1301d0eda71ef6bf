//! Numbers kept as strings: `INCR` and its kin.

use super::{new_string, string_bytes};
use crate::commands::long_double::LongDouble;
use crate::commands::numbers::integer;
use crate::commands::{CommandError, CommandResult, Context};
use crate::keyspace::Value;
use crate::keyspace::entry::NewValue;
use crate::resp::Args;

/// `INCR key`
pub(super) fn incr(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    add(ctx, args, 1)
}

/// `DECR key`
pub(super) fn decr(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    add(ctx, args, -1)
}

/// `INCRBY key increment`
pub(super) fn incrby(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    add(ctx, args, integer(&args[2])?)
}

/// `DECRBY key decrement`
pub(super) fn decrby(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const OVERFLOW: CommandError = CommandError::fixed("ERR decrement would overflow");
    add(ctx, args, integer(&args[2])?.checked_neg().ok_or(OVERFLOW)?)
}

fn add(ctx: &mut Context<'_>, args: Args<'_>, increment: i64) -> CommandResult {
    const OVERFLOW: CommandError = CommandError::fixed("ERR increment or decrement would overflow");
    let key = ctx.store.key(&args[1]);
    let old = match ctx.store.lookup_for_write(&key).map(|entry| entry.value()) {
        None => None,
        Some(Value::Integer(number)) => Some(number),
        Some(value) => Some(integer(string_bytes(value, &mut itoa::Buffer::new())?)?),
    };
    let sum = old.unwrap_or(0).checked_add(increment).ok_or(OVERFLOW)?;
    match old {
        Some(_) => ctx.store.set_keeping_expiry(&key, NewValue::Integer(sum)),
        None => ctx.store.set(&key, NewValue::Integer(sum), None),
    }
    ctx.store.effect_verbatim(args);
    ctx.reply.integer(sum);
    Ok(())
}

/// `INCRBYFLOAT key increment`
///
/// The log carries the result, so that a copy does not depend on how it computes.
pub(super) fn incrbyfloat(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const NOT_FINITE: CommandError =
        CommandError::fixed("ERR increment would produce NaN or Infinity");
    let key = ctx.store.key(&args[1]);
    let old = match ctx.store.lookup_for_write(&key) {
        None => None,
        Some(entry) => {
            let mut digits = itoa::Buffer::new();
            let text = string_bytes(entry.value(), &mut digits)?;
            Some(LongDouble::parse(text).ok_or(CommandError::NOT_FLOAT)?)
        }
    };
    let increment = LongDouble::parse(&args[2]).ok_or(CommandError::NOT_FLOAT)?;
    let sum = old.unwrap_or(LongDouble::ZERO).checked_add(increment).ok_or(NOT_FINITE)?;
    let text = sum.to_text();
    let text = text.as_bytes();
    match old {
        Some(_) => {
            ctx.store.set_keeping_expiry(&key, new_string(text));
            ctx.store.effect(&[b"SET", key.bytes, text, b"KEEPTTL"]);
        }
        None => {
            ctx.store.set(&key, new_string(text), None);
            ctx.store.effect(&[b"SET", key.bytes, text]);
        }
    }
    ctx.reply.bulk(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn integers() {
        let mut bench = Bench::new();
        bench.effects("INCR k", "INCR k");
        bench.replies("INCRBY k 41", ":42");
        bench.replies("DECR k", ":41");
        bench.replies("DECRBY k 50", ":-9");
        bench.replies("OBJECT ENCODING k", "$3 int");
        bench.line("PEXPIREAT k 1800000000000");
        bench.replies("INCR k", ":-8");
        bench.replies("PEXPIRETIME k", ":1800000000000");
        bench.line("SET max 9223372036854775807");
        bench.replies("INCR max", "-ERR increment or decrement would overflow");
        bench.replies("DECRBY max -1", "-ERR increment or decrement would overflow");
        bench.replies("DECRBY k -9223372036854775808", "-ERR decrement would overflow");
        bench.replies("INCRBY k 1.5", "-ERR value is not an integer or out of range");
        for bad in ["'1 1'", "abc", "' 1'", "01", "''"] {
            bench.line(&format!("SET bad {bad}"));
            bench.replies("INCR bad", "-ERR value is not an integer or out of range");
        }
        bench.line("SET raw 1");
        bench.line("APPEND raw 0");
        bench.replies("INCR raw", ":11");
        bench.replies("OBJECT ENCODING raw", "$3 int");
    }

    #[test]
    fn floats() {
        let mut bench = Bench::new();
        bench.effects("INCRBYFLOAT k 1.5", "SET k 1.5");
        bench.line("PEXPIREAT k 1800000000000");
        bench.effects("INCRBYFLOAT k 1.5e0", "SET k 3 KEEPTTL");
        bench.replies("PEXPIRETIME k", ":1800000000000");
        bench.replies("INCRBYFLOAT k -3.25", "$5 -0.25");
        bench.replies("INCRBYFLOAT k abc", "-ERR value is not a valid float");
        bench.replies("INCRBYFLOAT k +inf", "-ERR increment would produce NaN or Infinity");
        bench.line("SET k ' 11'");
        bench.replies("INCRBYFLOAT k 1", "-ERR value is not a valid float");
    }
}
