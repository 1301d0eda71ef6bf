//! Expiry times: `EXPIRE`, `TTL`, `PERSIST` and their kin.

use super::numbers::integer;
use super::spec::{Categories, Flags, KeyFlags, KeySpec, Spec};
use super::{CommandError, CommandResult, Context, ExpiryMode, Key};
use crate::resp::Args;

const WRITE: Flags = Flags::WRITE.with(Flags::FAST);
const READ: Flags = Flags::READONLY.with(Flags::FAST);
const WRITE_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RW_UPDATE)];
const READ_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO_ACCESS)];

/// This family's part of the table.
pub static COMMANDS: [Spec; 9] = [
    row("expire", -3, expire, WRITE, WRITE_KEY, "1.0.0", "Lets a key expire after some seconds.")
        .syntax("key seconds:integer [condition<NX|XX|GT|LT>@7.0.0]"),
    row("pexpire", -3, pexpire, WRITE, WRITE_KEY, "2.6.0", "Lets a key expire after milliseconds.")
        .syntax("key milliseconds:integer [condition<NX|XX|GT|LT>@7.0.0]"),
    row("expireat", -3, expireat, WRITE, WRITE_KEY, "1.2.0", "Lets a key expire at a Unix time.")
        .syntax("key unix-time-seconds:unix-time [condition<NX|XX|GT|LT>@7.0.0]"),
    row(
        "pexpireat",
        -3,
        pexpireat,
        WRITE,
        WRITE_KEY,
        "2.6.0",
        "Lets a key expire at a Unix time in milliseconds.",
    )
    .syntax("key unix-time-milliseconds:unix-time [condition<NX|XX|GT|LT>@7.0.0]"),
    row("persist", 2, persist, WRITE, WRITE_KEY, "2.2.0", "Lets a key live on.").syntax("key"),
    row("ttl", 2, ttl, READ, READ_KEY, "1.0.0", "Seconds that a key has to live.")
        .syntax("key")
        .changes(&[("2.8.0", "Replies -2 for a missing key.")])
        .tips(&["nondeterministic_output"]),
    row("pttl", 2, pttl, READ, READ_KEY, "2.6.0", "Milliseconds that a key has to live.")
        .syntax("key")
        .changes(&[("2.8.0", "Replies -2 for a missing key.")])
        .tips(&["nondeterministic_output"]),
    row("expiretime", 2, expiretime, READ, READ_KEY, "7.0.0", "The Unix time a key expires at.")
        .syntax("key"),
    row(
        "pexpiretime",
        2,
        pexpiretime,
        READ,
        READ_KEY,
        "7.0.0",
        "The Unix time in milliseconds a key expires at.",
    )
    .syntax("key"),
];

const fn row(
    name: &'static str,
    arity: i16,
    run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
    flags: Flags,
    keys: &'static [KeySpec],
    since: &'static str,
    summary: &'static str,
) -> Spec {
    Spec::data(name, arity, run)
        .flags(flags, Categories::KEYSPACE)
        .keys(keys)
        .doc("generic", since, "O(1)", summary)
}

/// Which present expiry times `EXPIRE` replaces.
#[derive(Default)]
struct Conditions {
    /// `NX`: none.
    absent: bool,
    /// `XX`: any.
    present: bool,
    /// `GT`: an earlier one; none at all is later than any.
    later: bool,
    /// `LT`: a later one, or none.
    earlier: bool,
}

impl Conditions {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        const NX_ALONE: CommandError = CommandError::fixed(
            "ERR NX and XX, GT or LT options at the same time are not compatible",
        );
        const GT_OR_LT: CommandError =
            CommandError::fixed("ERR GT and LT options at the same time are not compatible");
        let mut conditions = Self::default();
        for option in args.iter() {
            let is = |text: &str| option.eq_ignore_ascii_case(text.as_bytes());
            match () {
                () if is("NX") => conditions.absent = true,
                () if is("XX") => conditions.present = true,
                () if is("GT") => conditions.later = true,
                () if is("LT") => conditions.earlier = true,
                () => {
                    return Err(CommandError::quoting("ERR Unsupported option ", option, ""));
                }
            }
        }
        let Self { absent, present, later, earlier } = conditions;
        match () {
            () if absent && (present || later || earlier) => Err(NX_ALONE),
            () if later && earlier => Err(GT_OR_LT),
            () => Ok(conditions),
        }
    }

    fn allow(&self, old_ms: Option<i64>, new_ms: i64) -> bool {
        match old_ms {
            None => !self.present && !self.later,
            Some(old_ms) => {
                !self.absent
                    && (!self.later || new_ms > old_ms)
                    && (!self.earlier || new_ms < old_ms)
            }
        }
    }
}

/// `EXPIRE key seconds [NX | XX | GT | LT]`
fn expire(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    set_time(ctx, args, ctx.store.now_ms, 1000, "expire")
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`
fn pexpire(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    set_time(ctx, args, ctx.store.now_ms, 1, "pexpire")
}

/// `EXPIREAT key unix-seconds [NX | XX | GT | LT]`
fn expireat(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    set_time(ctx, args, 0, 1000, "expireat")
}

/// `PEXPIREAT key unix-milliseconds [NX | XX | GT | LT]`
fn pexpireat(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    set_time(ctx, args, 0, 1, "pexpireat")
}

/// The time is the argument times `unit_ms`, counted from `base_ms`; it may lie in the past.
fn set_time(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    base_ms: i64,
    unit_ms: i64,
    command: &str,
) -> CommandResult {
    let conditions = Conditions::parse(args.from(3))?;
    let at_ms = integer(&args[2])?
        .checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(base_ms))
        .ok_or_else(|| CommandError::invalid_expire_time(command))?;
    let key = ctx.store.key(&args[1]);
    let allowed = match ctx.store.lookup_for_write(&key) {
        Some(entry) => conditions.allow(entry.expiry_ms(), at_ms),
        None => false,
    };
    if allowed {
        expire_at(ctx, &key, at_ms);
    }
    ctx.reply.integer(i64::from(allowed));
    Ok(())
}

/// Lets a key that exists expire at a time: at once if that has passed, unless a log is replayed,
/// in which deletions are written down.
pub(super) fn expire_at(ctx: &mut Context<'_>, key: &Key<'_>, at_ms: i64) {
    if at_ms <= ctx.store.now_ms && ctx.store.expiry_mode != ExpiryMode::Ignore {
        ctx.store.remove(key);
        ctx.store.effect(&[b"DEL", key.bytes]);
        return;
    }
    let at_ms = ctx.store.kept_expiry_ms(at_ms);
    ctx.store.set_expiry(key, Some(at_ms));
    let mut digits = itoa::Buffer::new();
    ctx.store.effect(&[b"PEXPIREAT", key.bytes, digits.format(at_ms).as_bytes()]);
}

/// `PERSIST key`
fn persist(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let entry = ctx.store.lookup_for_write(&key);
    let has_expiry = entry.is_some_and(|entry| entry.expiry_ms().is_some());
    if has_expiry {
        ctx.store.set_expiry(&key, None);
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(i64::from(has_expiry));
    Ok(())
}

/// `TTL key`
fn ttl(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_time(ctx, args, ctx.store.now_ms, to_seconds)
}

/// `PTTL key`
fn pttl(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_time(ctx, args, ctx.store.now_ms, |ms| ms)
}

/// `EXPIRETIME key`
fn expiretime(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_time(ctx, args, 0, to_seconds)
}

/// `PEXPIRETIME key`
fn pexpiretime(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_time(ctx, args, 0, |ms| ms)
}

/// To the nearest second.
fn to_seconds(ms: i64) -> i64 {
    ms / 1000 + i64::from(ms % 1000 >= 500)
}

/// The time from `base_ms` to a key's expiry; -1 if it does not expire, -2 if it does not exist.
fn reply_time(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    base_ms: i64,
    convert: fn(i64) -> i64,
) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let answer = match ctx.store.peek_counted(&key).map(|entry| entry.expiry_ms()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => convert(at_ms.saturating_sub(base_ms).max(0)),
    };
    ctx.reply.integer(answer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::ExpiryMode;
    use crate::commands::testing::Bench;

    #[test]
    fn times_and_their_effects() {
        let mut bench = Bench::new();
        bench.replies("EXPIRE k 10", ":0");
        bench.effects("EXPIRE k 10", "");
        bench.line("SET k v");
        bench.replies("TTL k", ":-1");
        bench.effects("EXPIRE k 10", "PEXPIREAT k 1700000010000");
        bench.replies("TTL k", ":10");
        bench.replies("PTTL k", ":10000");
        bench.replies("EXPIRETIME k", ":1700000010");
        bench.replies("PEXPIRETIME k", ":1700000010000");
        bench.effects("PEXPIRE k 1500", "PEXPIREAT k 1700000001500");
        bench.replies("TTL k", ":2");
        bench.effects("EXPIREAT k 1800000000", "PEXPIREAT k 1800000000000");
        bench.effects("PEXPIREAT k 1800000000001", "PEXPIREAT k 1800000000001");
        bench.effects("PERSIST k", "PERSIST k");
        bench.effects("PERSIST k", "");
        bench.replies("PERSIST k", ":0");
        bench.effects("EXPIRE k -1", "DEL k");
        bench.replies("TTL k", ":-2");
        for line in ["EXPIRE k 9223372036854775", "PEXPIRE k 9223372036854775807"] {
            let name = line.split(' ').next().unwrap_or_default().to_lowercase();
            bench.replies(line, &format!("-ERR invalid expire time in '{name}' command"));
        }
        bench.line("SET k v");
        bench.replies("EXPIREAT k -9223372036854775", ":1");
        bench.replies("EXISTS k", ":0");
    }

    #[test]
    fn conditions() {
        let mut bench = Bench::new();
        bench.line("SET k v");
        bench.replies("EXPIRE k 100 XX", ":0");
        bench.replies("EXPIRE k 100 GT", ":0");
        bench.replies("EXPIRE k 100 NX", ":1");
        bench.replies("EXPIRE k 100 NX", ":0");
        bench.replies("EXPIRE k 50 GT", ":0");
        bench.replies("EXPIRE k 100 GT", ":0");
        bench.replies("EXPIRE k 200 LT", ":0");
        bench.replies("EXPIRE k 50 xx lt", ":1");
        bench.replies("EXPIRE k 60 XX GT", ":1");
        bench.line("PERSIST k");
        bench.replies("EXPIRE k 60 XX LT", ":0");
        bench.replies("EXPIRE k 60 LT", ":1");
        bench.replies("EXPIRE k x AB", "-ERR Unsupported option AB");
        bench.replies(
            "EXPIRE k x NX LT",
            "-ERR NX and XX, GT or LT options at the same time are not compatible",
        );
        bench.replies(
            "EXPIRE k x GT LT",
            "-ERR GT and LT options at the same time are not compatible",
        );
        bench.replies("EXPIRE k x", "-ERR value is not an integer or out of range");
    }

    #[test]
    fn an_expired_key_is_gone_and_the_log_says_so() {
        let mut bench = Bench::new();
        bench.line("SET k v PX 10");
        bench.now_ms += 10;
        bench.effects("GET k", "DEL k");
        bench.effects("GET k", "");
        bench.line("SET k v PX 10");
        bench.now_ms += 10;
        bench.mode = ExpiryMode::Hide;
        bench.effects("GET k", "");
        bench.replies("GET k", "$-1");
        bench.replies("DBSIZE", ":1");
        bench.mode = ExpiryMode::Ignore;
        bench.replies("GET k", "$1 v");
        bench.effects("PEXPIREAT k 5", "PEXPIREAT k 5");
        bench.replies("PEXPIRETIME k", ":5");
    }
}
