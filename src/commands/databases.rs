//! Whole databases: `DBSIZE`, `FLUSHDB`, `FLUSHALL`, `SWAPDB`.

use super::numbers::int32;
use super::spec::{Categories, Flags, Spec};
use super::{CommandError, CommandResult, Context};
use crate::resp::Args;

/// This family's part of the table.
pub static COMMANDS: [Spec; 4] = [
    Spec::data("dbsize", 1, dbsize)
        .flags(Flags::READONLY.with(Flags::FAST), Categories::KEYSPACE)
        .doc("server", "1.0.0", "O(1)", "The number of keys in the database.")
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    Spec::data("flushdb", -1, flushdb)
        .syntax("[async<ASYNC@4.0.0|SYNC@6.2.0>]")
        .flags(Flags::WRITE, Categories::KEYSPACE.with(Categories::DANGEROUS))
        .doc("server", "1.0.0", "O(N) in the number of keys", "Empties the database.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::data("flushall", -1, flushall)
        .syntax("[async<ASYNC@4.0.0|SYNC@6.2.0>]")
        .flags(Flags::WRITE, Categories::KEYSPACE.with(Categories::DANGEROUS))
        .doc("server", "1.0.0", "O(N) in the number of keys", "Empties all databases.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::data("swapdb", 3, swapdb)
        .syntax("index1:integer index2:integer")
        .flags(Flags::WRITE.with(Flags::FAST), Categories::KEYSPACE.with(Categories::DANGEROUS))
        .doc("server", "4.0.0", "O(N) in the number of watched keys", "Exchanges two databases."),
];

/// `DBSIZE`
fn dbsize(ctx: &mut Context<'_>, _args: Args<'_>) -> CommandResult {
    let db = ctx.store.db;
    ctx.reply.integer(ctx.store.len(db) as i64);
    Ok(())
}

/// Whether to wait until everything is freed: only on `SYNC`.
fn waits(args: Args<'_>) -> Result<bool, CommandError> {
    match args.get(1) {
        None => Ok(false),
        Some(mode) if args.len() == 2 && mode.eq_ignore_ascii_case(b"SYNC") => Ok(true),
        Some(mode) if args.len() == 2 && mode.eq_ignore_ascii_case(b"ASYNC") => Ok(false),
        Some(_) => Err(CommandError::SYNTAX),
    }
}

/// Empties a database; false if it was empty.
fn flush(ctx: &mut Context<'_>, db: usize, waits: bool) -> bool {
    if ctx.store.len(db) == 0 {
        return false;
    }
    ctx.store.flush(db, waits);
    true
}

/// `FLUSHDB [ASYNC | SYNC]`
fn flushdb(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (waits, db) = (waits(args)?, ctx.store.db);
    if flush(ctx, db, waits) {
        ctx.store.effect(&[b"FLUSHDB"]);
    }
    ctx.reply.ok();
    Ok(())
}

/// `FLUSHALL [ASYNC | SYNC]`
fn flushall(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let waits = waits(args)?;
    let mut any = false;
    for db in 0..ctx.store.database_count() {
        any |= flush(ctx, db, waits);
    }
    if any {
        ctx.store.effect(&[b"FLUSHALL"]);
    }
    ctx.reply.ok();
    Ok(())
}

/// `SWAPDB index1 index2`
fn swapdb(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const BAD_FIRST: CommandError = CommandError::fixed("ERR invalid first DB index");
    const BAD_SECOND: CommandError = CommandError::fixed("ERR invalid second DB index");
    let first = int32(&args[1]).map_err(|_| BAD_FIRST)?;
    let second = int32(&args[2]).map_err(|_| BAD_SECOND)?;
    let (first, second) = (ctx.existing_database(first)?, ctx.existing_database(second)?);
    if first != second {
        ctx.store.swap(first, second);
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn flushing() {
        let mut bench = Bench::new();
        bench.effects("FLUSHALL", "");
        for n in 0..200 {
            bench.line(&format!("SET key:{n} v"));
        }
        bench.line("SELECT 1");
        bench.line("SET k v");
        bench.replies("DBSIZE", ":1");
        bench.effects("FLUSHDB SYNC", "1> FLUSHDB");
        bench.replies("DBSIZE", ":0");
        bench.effects("FLUSHDB", "");
        bench.effects("FLUSHALL async", "1> FLUSHALL");
        bench.line("SELECT 0");
        bench.replies("DBSIZE", ":0");
        for bad in ["FLUSHDB x", "FLUSHALL SYNC ASYNC"] {
            bench.replies(bad, "-ERR syntax error");
        }
    }

    #[test]
    fn swapping() {
        let mut bench = Bench::new();
        bench.line("SET k v");
        bench.effects("SWAPDB 0 3", "SWAPDB 0 3");
        bench.effects("SWAPDB 3 3", "");
        bench.replies("DBSIZE", ":0");
        bench.line("SELECT 3");
        bench.replies("GET k", "$1 v");
        bench.replies("SWAPDB a 0", "-ERR invalid first DB index");
        bench.replies("SWAPDB 0 9999999999", "-ERR invalid second DB index");
        bench.replies("SWAPDB 0 16", "-ERR DB index is out of range");
    }
}
