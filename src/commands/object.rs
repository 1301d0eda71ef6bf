//! `OBJECT` and `TYPE`: how a value is kept.

use super::spec::{Categories, Flags, KeyFlags, KeySpec, Spec};
use super::store::Access;
use super::{CommandError, CommandResult, Context, reply_help};
use crate::keyspace::{Entry, Value};
use crate::resp::Args;

/// This family's part of the table.
pub static COMMANDS: [Spec; 2] = [
    Spec::data("type", 2, type_of)
        .syntax("key")
        .flags(Flags::READONLY.with(Flags::FAST), Categories::KEYSPACE)
        .keys(&[KeySpec::at(1, KeyFlags::RO)])
        .doc("generic", "1.0.0", "O(1)", "The type of a key's value."),
    Spec::container("object", &OBJECT).doc(
        "generic",
        "2.2.3",
        "Depends on the subcommand.",
        "Tells how values are kept.",
    ),
];

static OBJECT: [Spec; 5] = [
    row("object|encoding", encoding, "2.2.3", "How a key's value is kept in memory.").syntax("key"),
    row("object|freq", freq, "4.0.0", "How often a key is used, as the LFU policies count it.")
        .syntax("key"),
    row("object|idletime", idletime, "2.2.3", "Seconds since a key was last used.").syntax("key"),
    row("object|refcount", refcount, "2.2.3", "How many keys share a key's value.").syntax("key"),
    Spec::data("object|help", 2, help)
        .flags(Flags::LOADING.with(Flags::STALE), Categories::KEYSPACE)
        .doc("generic", "6.2.0", "O(1)", "Lists the subcommands."),
];

const SECOND_ARGUMENT: &[KeySpec] = &[KeySpec::at(2, KeyFlags::RO)];

const fn row(
    full_name: &'static str,
    run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
    since: &'static str,
    summary: &'static str,
) -> Spec {
    Spec::data(full_name, 3, run)
        .flags(Flags::READONLY, Categories::KEYSPACE)
        .keys(SECOND_ARGUMENT)
        .doc("generic", since, "O(1)", summary)
        .tips(&["nondeterministic_output"])
}

/// `TYPE key`
fn type_of(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let entry = ctx.store.peek_counted(&key);
    ctx.reply.simple(entry.map_or("none", |entry| entry.value().type_name()));
    Ok(())
}

/// Looks at the key of an `OBJECT` command; replies null if it does not exist.
fn look<T>(ctx: &mut Context<'_>, args: Args<'_>, see: impl FnOnce(Entry<'_>) -> T) -> Option<T> {
    let key = ctx.store.key(&args[2]);
    let seen = ctx.store.peek_counted(&key).map(see);
    if seen.is_none() {
        ctx.reply.null();
    }
    seen
}

/// `OBJECT ENCODING key`
fn encoding(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    if let Some(name) = look(ctx, args, |entry| entry.value().encoding_name()) {
        ctx.reply.bulk(name.as_bytes());
    }
    Ok(())
}

/// How many keys are said to share a value.
///
/// Nothing is shared here, but Redis shares small integers, unless an LFU policy (`lfu`) counts for
/// each key, and says so; clients look for it.
pub fn references(entry: Entry<'_>, lfu: bool) -> i64 {
    let is_shared = !lfu && matches!(entry.value(), Value::Integer(0..10_000));
    if is_shared { i64::from(i32::MAX) } else { 1 }
}

/// `OBJECT REFCOUNT key`
fn refcount(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let lfu = ctx.settings.lfu;
    if let Some(references) = look(ctx, args, |entry| references(entry, lfu)) {
        ctx.reply.integer(references);
    }
    Ok(())
}

/// `OBJECT IDLETIME key`
fn idletime(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const LFU: CommandError = CommandError::fixed(
        "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
         switching between policies at runtime LRU and LFU data will take some time to adjust.",
    );
    let clock = ctx.access_clock();
    if let Some(last) = look(ctx, args, |entry| entry.access()) {
        let Access::Lru(now) = clock else { return Err(LFU) };
        // The clock has 24 bits and goes round.
        ctx.reply.integer(i64::from(now.wrapping_sub(last) & 0x00ff_ffff));
    }
    Ok(())
}

/// `OBJECT FREQ key`
fn freq(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const NO_LFU: CommandError = CommandError::fixed(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
         that when switching between policies at runtime LRU and LFU data will take some time to \
         adjust.",
    );
    let clock = ctx.access_clock();
    if let Some(word) = look(ctx, args, |entry| entry.access()) {
        let Access::Lfu { .. } = clock else { return Err(NO_LFU) };
        ctx.reply.integer(clock.decayed(word).into());
    }
    Ok(())
}

/// `OBJECT HELP`
fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> CommandResult {
    reply_help(
        &mut ctx.reply,
        "OBJECT",
        &[
            "ENCODING <key>",
            "    How the value is kept in memory.",
            "FREQ <key>",
            "    How often the key is used, on a logarithmic scale.",
            "IDLETIME <key>",
            "    Seconds since the key was last used.",
            "REFCOUNT <key>",
            "    How many keys share the value.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn how_values_are_kept() {
        let mut bench = Bench::new();
        for (value, encoding) in
            [("12", "int"), ("9223372036854775808", "embstr"), ("012", "embstr"), ("1.5", "embstr")]
        {
            bench.line(&format!("SET k {value}"));
            bench.replies("OBJECT ENCODING k", &format!("${} {encoding}", encoding.len()));
        }
        for (len, encoding) in [(44, "embstr"), (45, "raw"), (500, "raw")] {
            bench.line(&format!("SET k {}", "x".repeat(len)));
            bench.replies("OBJECT ENCODING k", &format!("${} {encoding}", encoding.len()));
        }
        for (value, count) in [("0", i32::MAX), ("9999", i32::MAX), ("10000", 1), ("-1", 1)] {
            bench.line(&format!("SET k {value}"));
            bench.replies("OBJECT REFCOUNT k", &format!(":{count}"));
        }
        bench.replies("OBJECT ENCODING none", "$-1");
        bench.replies("TYPE k", "+string");
        bench.replies("TYPE none", "+none");
        let error = "-ERR wrong number of arguments for 'object|freq' command";
        bench.replies("OBJECT FREQ", error);
        assert!(bench.line("OBJECT HELP").reply.starts_with(b"*11\r\n+OBJECT <subcommand>"));
    }

    #[test]
    fn only_use_counts_as_use() {
        let mut bench = Bench::new();
        bench.line("SET k v");
        bench.now_ms += 7000;
        for line in ["TTL k", "TYPE k", "EXISTS k", "OBJECT ENCODING k"] {
            bench.line(line);
        }
        bench.replies("OBJECT IDLETIME k", ":7");
        bench.replies("TOUCH k", ":1");
        bench.replies("OBJECT IDLETIME k", ":0");
        assert!(
            bench.line("OBJECT FREQ k").reply.starts_with(b"-ERR An LFU maxmemory policy is not")
        );
        bench.replies("OBJECT FREQ none", "$-1");
        bench.settings.lfu = true;
        bench.line("DEL k");
        bench.line("SET k v");
        bench.replies("OBJECT FREQ k", ":5");
        bench.line("GET k");
        bench.line("SET k w");
        bench.replies("OBJECT FREQ k", ":7");
        assert!(
            bench.line("OBJECT IDLETIME k").reply.starts_with(b"-ERR An LFU maxmemory policy is s")
        );
    }
}
