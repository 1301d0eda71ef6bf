//! Setting strings, with conditions and expiry times: `SET`, `MSET`, `GETEX` and their kin.

use super::{new_string, reply_get, string_bytes};
use crate::commands::expire::expire_at;
use crate::commands::numbers::integer;
use crate::commands::spec::KeyFlags;
use crate::commands::{CommandError, CommandResult, Context, Keys, Store};
use crate::resp::Args;

/// When `SET` sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition<'a> {
    Always,
    /// The key does not exist.
    Absent,
    /// It exists.
    Present,
    /// It is a string of this value.
    Equal(&'a [u8]),
}

/// How an expiry time is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TimeUnit {
    /// `EX`: seconds from now.
    Seconds,
    /// `PX`: milliseconds from now.
    Milliseconds,
    /// `EXAT`: Unix time in seconds.
    UnixSeconds,
    /// `PXAT`: Unix time in milliseconds.
    UnixMilliseconds,
}

/// What happens to the expiry time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expiry<'a> {
    /// Nothing said: `SET` clears it, `GETEX` leaves it alone.
    Unsaid,
    /// `KEEPTTL`.
    Keep,
    /// `PERSIST`.
    Clear,
    /// A new one, not read yet.
    At(TimeUnit, &'a [u8]),
}

/// The options of `SET` and `GETEX`.
struct Options<'a> {
    condition: Condition<'a>,
    get: bool,
    expiry: Expiry<'a>,
}

impl<'a> Options<'a> {
    const NONE: Self = Self { condition: Condition::Always, get: false, expiry: Expiry::Unsaid };

    /// Reads the options of `SET`, or of `GETEX` if `getex`. The same option may be given twice.
    fn parse(args: Args<'a>, getex: bool) -> Result<Self, CommandError> {
        let mut options = Self::NONE;
        let mut at = 0;
        while let Some(name) = args.get(at) {
            let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
            let (condition, expiry) = (options.condition, options.expiry);
            let unit = [
                ("EX", TimeUnit::Seconds),
                ("PX", TimeUnit::Milliseconds),
                ("EXAT", TimeUnit::UnixSeconds),
                ("PXAT", TimeUnit::UnixMilliseconds),
            ]
            .into_iter()
            .find_map(|(text, unit)| is(text).then_some(unit));
            if let Some(unit) = unit {
                let fits = match expiry {
                    Expiry::Unsaid => true,
                    Expiry::At(before, _) => before == unit,
                    Expiry::Keep | Expiry::Clear => false,
                };
                let value = args.get(at + 1).filter(|_| fits).ok_or(CommandError::SYNTAX)?;
                options.expiry = Expiry::At(unit, value);
                at += 1;
            } else if getex {
                if !is("PERSIST") || !matches!(expiry, Expiry::Unsaid | Expiry::Clear) {
                    return Err(CommandError::SYNTAX);
                }
                options.expiry = Expiry::Clear;
            } else if is("NX") && matches!(condition, Condition::Always | Condition::Absent) {
                options.condition = Condition::Absent;
            } else if is("XX") && matches!(condition, Condition::Always | Condition::Present) {
                options.condition = Condition::Present;
            } else if is("GET") {
                options.get = true;
            } else if is("KEEPTTL") && matches!(expiry, Expiry::Unsaid | Expiry::Keep) {
                options.expiry = Expiry::Keep;
            } else if is("IFEQ")
                && condition == Condition::Always
                && let Some(value) = args.get(at + 1)
            {
                options.condition = Condition::Equal(value);
                at += 1;
            } else {
                return Err(CommandError::SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }
}

/// An expiry time as Unix time in ms; `command` is for the error. It must be positive, and fit.
fn absolute_ms(
    unit: TimeUnit,
    text: &[u8],
    store: &Store<'_>,
    command: &str,
) -> Result<i64, CommandError> {
    let mut number = integer(text)?;
    if unit == TimeUnit::UnixMilliseconds {
        number = store.kept_expiry_ms(number);
    }
    let in_ms = match unit {
        TimeUnit::Seconds | TimeUnit::UnixSeconds => number.checked_mul(1000),
        TimeUnit::Milliseconds | TimeUnit::UnixMilliseconds => Some(number),
    };
    let base = match unit {
        TimeUnit::Seconds | TimeUnit::Milliseconds => store.now_ms,
        TimeUnit::UnixSeconds | TimeUnit::UnixMilliseconds => 0,
    };
    in_ms
        .filter(|_| number > 0)
        .and_then(|ms| ms.checked_add(base))
        .filter(|&ms| ms > 0)
        .ok_or_else(|| CommandError::invalid_expire_time(command))
}

/// `SET key value [NX | XX | IFEQ value] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
pub(super) fn set(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    if args.len() == 3 {
        let key = ctx.store.key(&args[1]);
        ctx.store.set(&key, new_string(&args[2]), None);
        ctx.store.effect(&[b"SET", key.bytes, &args[2]]);
        ctx.reply.ok();
        return Ok(());
    }
    let options = Options::parse(args.from(3), false)?;
    let replies = !options.get;
    let done = set_with(ctx, "set", &args[1], &args[2], options)?;
    match done {
        _ if !replies => {}
        true => ctx.reply.ok(),
        false => ctx.reply.null(),
    }
    Ok(())
}

/// `SETNX key value`
pub(super) fn setnx(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let options = Options { condition: Condition::Absent, ..Options::NONE };
    let done = set_with(ctx, "setnx", &args[1], &args[2], options)?;
    ctx.reply.integer(i64::from(done));
    Ok(())
}

/// `SETEX key seconds value`
pub(super) fn setex(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let expiry = Expiry::At(TimeUnit::Seconds, args.at(2));
    let options = Options { expiry, ..Options::NONE };
    set_with(ctx, "setex", &args[1], &args[3], options)?;
    ctx.reply.ok();
    Ok(())
}

/// `PSETEX key milliseconds value`
pub(super) fn psetex(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let expiry = Expiry::At(TimeUnit::Milliseconds, args.at(2));
    let options = Options { expiry, ..Options::NONE };
    set_with(ctx, "psetex", &args[1], &args[3], options)?;
    ctx.reply.ok();
    Ok(())
}

/// Sets a string if the options let it, and states what it did as a plain `SET`. False if they did
/// not. Replies only with what `GET` asks for.
fn set_with(
    ctx: &mut Context<'_>,
    command: &str,
    key: &[u8],
    value: &[u8],
    options: Options<'_>,
) -> Result<bool, CommandError> {
    let expiry_ms = match options.expiry {
        Expiry::At(unit, text) => Some(absolute_ms(unit, text, &ctx.store, command)?),
        _ => None,
    };
    let key = ctx.store.key(key);
    if options.get {
        reply_get(ctx, &key)?;
    }
    let keep = options.expiry == Expiry::Keep;
    // A bare `SET` with an expiry time does not depend on what was there, so it need not look.
    let mut found = false;
    if options.condition != Condition::Always || keep {
        let entry = ctx.store.lookup_for_write(&key);
        found = entry.is_some();
        let allowed = match (options.condition, entry) {
            (Condition::Always, _) => true,
            (Condition::Absent, entry) => entry.is_none(),
            (Condition::Present, entry) => entry.is_some(),
            (Condition::Equal(_), None) => false,
            (Condition::Equal(wanted), Some(entry)) => {
                string_bytes(entry.value(), &mut itoa::Buffer::new())? == wanted
            }
        };
        if !allowed {
            return Ok(false);
        }
    }
    if let Some(at_ms) = expiry_ms {
        ctx.store.set(&key, new_string(value), expiry_ms);
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(at_ms).as_bytes();
        ctx.store.effect(&[b"SET", key.bytes, value, b"PXAT", digits]);
    } else if keep && found {
        ctx.store.set_keeping_expiry(&key, new_string(value));
        ctx.store.effect(&[b"SET", key.bytes, value, b"KEEPTTL"]);
    } else {
        ctx.store.set(&key, new_string(value), None);
        ctx.store.effect(&[b"SET", key.bytes, value]);
    }
    Ok(true)
}

/// The key of `SET`, which is read only if an option asks for what it held.
pub(super) fn set_keys(args: Args<'_>) -> Option<Keys> {
    let reads = |arg: &[u8]| arg.eq_ignore_ascii_case(b"GET") || arg.eq_ignore_ascii_case(b"IFEQ");
    let mut keys = Keys::default();
    let flags = if args.from(3).iter().any(reads) {
        KeyFlags::RW_ACCESS_UPDATE
    } else {
        KeyFlags::OW_UPDATE
    };
    keys.push(1, 1, 1, flags);
    Some(keys)
}

/// `GETSET key value`
pub(super) fn getset(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    reply_get(ctx, &key)?;
    ctx.store.set(&key, new_string(&args[2]), None);
    ctx.store.effect(&[b"SET", key.bytes, &args[2]]);
    Ok(())
}

/// `MSET key value [key value …]`
pub(super) fn mset(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    set_pairs(ctx, args.from(1), "mset")?;
    ctx.reply.ok();
    Ok(())
}

/// `MSETNX key value [key value …]`
pub(super) fn msetnx(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let pairs = args.from(1);
    let mut names = pairs.iter().step_by(2);
    let any_exists = pairs.len().is_multiple_of(2)
        && names.any(|name| {
            let key = ctx.store.key(name);
            ctx.store.exists(&key)
        });
    if !any_exists {
        set_pairs(ctx, pairs, "msetnx")?;
    }
    ctx.reply.integer(i64::from(!any_exists));
    Ok(())
}

fn set_pairs(ctx: &mut Context<'_>, pairs: Args<'_>, command: &str) -> CommandResult {
    if !pairs.len().is_multiple_of(2) {
        return Err(CommandError::wrong_arity(command));
    }
    for at in (0..pairs.len()).step_by(2) {
        let key = ctx.store.key(&pairs[at]);
        ctx.store.set(&key, new_string(&pairs[at + 1]), None);
    }
    ctx.store.effect_as(b"MSET", pairs);
    Ok(())
}

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
pub(super) fn getex(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args.from(2), true)?;
    let key = ctx.store.key(&args[1]);
    if !reply_get(ctx, &key)? {
        return Ok(());
    }
    match options.expiry {
        Expiry::Unsaid | Expiry::Keep => {}
        Expiry::Clear => {
            let has_expiry = ctx.store.peek(&key).is_some_and(|entry| entry.expiry_ms().is_some());
            if has_expiry {
                ctx.store.set_expiry(&key, None);
                ctx.store.effect(&[b"PERSIST", key.bytes]);
            }
        }
        Expiry::At(unit, text) => {
            let at_ms = absolute_ms(unit, text, &ctx.store, "getex")?;
            expire_at(ctx, &key, at_ms);
        }
    }
    Ok(())
}

/// `DELIFEQ key value`
pub(super) fn delifeq(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let equal = match ctx.store.lookup_for_write(&key) {
        Some(entry) => string_bytes(entry.value(), &mut itoa::Buffer::new())? == &args[2],
        None => false,
    };
    if equal {
        ctx.store.remove(&key);
        ctx.store.effect(&[b"DEL", key.bytes]);
    }
    ctx.reply.integer(i64::from(equal));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn options_that_exclude_each_other() {
        let mut bench = Bench::new();
        let bad = [
            "NX XX",
            "XX NX",
            "EX",
            "PX 1 EX 1",
            "KEEPTTL EX 1",
            "EX 1 KEEPTTL",
            "PERSIST",
            "foo",
            "IFEQ",
            "IFEQ a NX",
            "XX IFEQ a",
            "IFEQ a IFEQ a",
            "EXAT 1 PXAT 1",
            "GET EX",
        ];
        for options in bad {
            bench.replies(&format!("SET k v {options}"), "-ERR syntax error");
        }
        for options in ["PERSIST EX 1", "EX 1 PERSIST", "KEEPTTL", "NX", "EX", "GET"] {
            bench.replies(&format!("GETEX k {options}"), "-ERR syntax error");
        }
        bench.replies("SET k v ex 10 EX 20 nx NX get GET", "$-1");
        bench.replies("TTL k", ":20");
    }

    #[test]
    fn conditions() {
        let mut bench = Bench::new();
        bench.effects("SET k a XX", "");
        bench.replies("SET k a XX", "$-1");
        bench.effects("SET k a NX", "SET k a");
        bench.replies("SET k b NX", "$-1");
        bench.replies("SET k b NX GET", "$1 a");
        bench.replies("GET k", "$1 a");
        bench.replies("SET k b XX GET", "$1 a");
        bench.replies("SET new b GET", "$-1");
        bench.replies("SET k c IFEQ a", "$-1");
        bench.effects("SET k c IFEQ b PX 1000", "SET k c PXAT 1700000001000");
        bench.replies("SET none c IFEQ b", "$-1");
        bench.replies("SET k 5 IFEQ c GET", "$1 c");
        bench.replies("SET k d IFEQ c GET", "$1 5");
        bench.replies("SET k d IFEQ 5", "+OK");
        bench.replies("DELIFEQ k x", ":0");
        bench.effects("DELIFEQ k d", "DEL k");
        bench.replies("DELIFEQ k d", ":0");
        bench.replies("SETNX n 1", ":1");
        bench.replies("SETNX n 2", ":0");
        bench.replies("GETSET n 3", "$1 1");
        bench.effects("GETSET n 4", "SET n 4");
    }

    #[test]
    fn expiry_times_are_stated_absolutely() {
        let mut bench = Bench::new();
        bench.effects("SET k v EX 10", "SET k v PXAT 1700000010000");
        bench.effects("SET k v KEEPTTL", "SET k v KEEPTTL");
        bench.replies("PTTL k", ":10000");
        bench.effects("SET k v PX 5 GET", "SET k v PXAT 1700000000005");
        bench.effects("SET k v EXAT 1800000000", "SET k v PXAT 1800000000000");
        bench.effects("SET k v PXAT 1800000000001", "SET k v PXAT 1800000000001");
        bench.effects("SETEX k 1 v", "SET k v PXAT 1700000001000");
        bench.effects("PSETEX k 1 v", "SET k v PXAT 1700000000001");
        bench.now_ms += 1;
        bench.effects("SET k v KEEPTTL", "DEL k; SET k v");
        bench.effects("SET k v", "SET k v");
        bench.replies("TTL k", ":-1");
        bench.effects("GETEX k EX 10", "PEXPIREAT k 1700000010001");
        bench.effects("GETEX k", "");
        bench.effects("GETEX k PERSIST", "PERSIST k");
        bench.effects("GETEX k PERSIST", "");
        bench.replies("GETEX k EXAT 1", "$1 v");
        bench.replies("EXISTS k", ":0");
        for (line, name) in [
            ("SET k v EX 0", "set"),
            ("SET k v PX -1", "set"),
            ("SETEX k -10 v", "setex"),
            ("PSETEX k 9223372036854775807 v", "psetex"),
            ("SET k v EX 9223372036854775", "set"),
        ] {
            bench.replies(line, &format!("-ERR invalid expire time in '{name}' command"));
        }
        bench.replies("SET k v EX x NX", "-ERR value is not an integer or out of range");
        bench.replies("GETEX none EX 0", "$-1");
        bench.line("SET k v");
        bench.replies("GETEX k EX 0", "-ERR invalid expire time in 'getex' command");
    }

    #[test]
    fn several_at_once() {
        let mut bench = Bench::new();
        bench.effects("MSET a 1 b two", "MSET a 1 b two");
        bench.replies("MGET a b", "*2 $1 1 $3 two");
        bench.replies("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command");
        bench.replies("MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command");
        bench.replies("MSETNX c 1 b 2", ":0");
        bench.effects("MSETNX c 1 d 2", "MSET c 1 d 2");
        bench.replies("COMMAND GETKEYS MSET a 1 b 2", "*2 $1 a $1 b");
        bench.replies("COMMAND GETKEYSANDFLAGS SET a 1", "*1 *2 $1 a *2 +OW +update");
        bench.replies("COMMAND GETKEYSANDFLAGS SET a 1 get", "*1 *2 $1 a *3 +RW +access +update");
    }
}
