//! Keys, whatever they hold: `DEL`, `EXISTS`, `RENAME`, `MOVE`, `COPY` and their kin.

use super::spec::{Categories, Flags, KeyFlags, KeySpec, Spec};
use super::{CommandError, CommandResult, Context};
use crate::keyspace::EntryBox;
use crate::resp::Args;

const FAST_READ: Flags = Flags::READONLY.with(Flags::FAST);
const FAST_WRITE: Flags = Flags::WRITE.with(Flags::FAST);
const SUM_OF_SHARDS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];

/// This family's part of the table.
pub static COMMANDS: [Spec; 8] = [
    Spec::data("copy", -3, copy)
        .syntax("source:key destination:key#1 [DB destination-db:integer] [REPLACE]")
        .flags(Flags::WRITE.with(Flags::DENYOOM), Categories::KEYSPACE)
        .keys(&[KeySpec::at(1, KeyFlags::RO_ACCESS), KeySpec::at(2, KeyFlags::OW_UPDATE)])
        .doc("generic", "6.2.0", "O(N) in the size of the value", "Copies a value to another key."),
    Spec::data("del", -2, del)
        .syntax("key...")
        .flags(Flags::WRITE, Categories::KEYSPACE)
        .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RM_DELETE)])
        .doc("generic", "1.0.0", "O(N) in the keys and their elements", "Deletes keys.")
        .tips(SUM_OF_SHARDS),
    Spec::data("unlink", -2, del)
        .syntax("key...")
        .flags(FAST_WRITE, Categories::KEYSPACE)
        .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RM_DELETE)])
        .doc("generic", "4.0.0", "O(1) a key", "Deletes keys and frees them in the background.")
        .tips(SUM_OF_SHARDS),
    Spec::data("exists", -2, exists)
        .syntax("key...")
        .changes(&[("3.0.3", "Takes several keys.")])
        .flags(FAST_READ, Categories::KEYSPACE)
        .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RO)])
        .doc("generic", "1.0.0", "O(N) in the number of keys", "How many of the keys exist.")
        .tips(SUM_OF_SHARDS),
    Spec::data("move", 3, move_to)
        .syntax("key db:integer")
        .flags(FAST_WRITE, Categories::KEYSPACE)
        .keys(&[KeySpec::at(1, KeyFlags::RW_ACCESS_UPDATE)])
        .doc("generic", "1.0.0", "O(1)", "Moves a key to another database."),
    Spec::data("rename", 3, rename)
        .syntax("key newkey:key#1")
        .flags(Flags::WRITE, Categories::KEYSPACE)
        .keys(&[KeySpec::at(1, KeyFlags::RW_ACCESS_DELETE), KeySpec::at(2, KeyFlags::OW_UPDATE)])
        .doc("generic", "1.0.0", "O(1)", "Gives a value another key, whatever that held."),
    Spec::data("renamenx", 3, renamenx)
        .syntax("key newkey:key#1")
        .changes(&[("3.2.0", "A key may be renamed to itself.")])
        .flags(FAST_WRITE, Categories::KEYSPACE)
        .keys(&[KeySpec::at(1, KeyFlags::RW_ACCESS_DELETE), KeySpec::at(2, KeyFlags::OW_INSERT)])
        .doc("generic", "1.0.0", "O(1)", "Gives a value another key that does not exist yet."),
    Spec::data("touch", -2, touch)
        .syntax("key...")
        .flags(FAST_READ, Categories::KEYSPACE)
        .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RO)])
        .doc("generic", "3.2.1", "O(N) in the number of keys", "Counts keys as used now.")
        .tips(SUM_OF_SHARDS),
];

/// `DEL key [key …]` and `UNLINK key [key …]`, which free in the same way.
fn del(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let mut deleted = 0;
    for name in args.from(1).iter() {
        let key = ctx.store.key(name);
        deleted += i64::from(ctx.store.delete(&key));
    }
    if deleted > 0 {
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(deleted);
    Ok(())
}

/// `EXISTS key [key …]`; a key given twice counts twice.
fn exists(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let mut found = 0;
    for name in args.from(1).iter() {
        let key = ctx.store.key(name);
        found += i64::from(ctx.store.peek_counted(&key).is_some());
    }
    ctx.reply.integer(found);
    Ok(())
}

/// `TOUCH key [key …]`
fn touch(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let mut found = 0;
    for name in args.from(1).iter() {
        let key = ctx.store.key(name);
        found += i64::from(ctx.store.read(&key).is_some());
    }
    ctx.reply.integer(found);
    Ok(())
}

/// `RENAME key newkey`
fn rename(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let from = ctx.store.key(&args[1]);
    if ctx.store.lookup_for_write(&from).is_none() {
        return Err(CommandError::NO_SUCH_KEY);
    }
    if args[1] != args[2] {
        rename_entry(ctx, &args[1], &args[2]);
    }
    ctx.reply.ok();
    Ok(())
}

/// `RENAMENX key newkey`
fn renamenx(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (from, to) = (ctx.store.key(&args[1]), ctx.store.key(&args[2]));
    if ctx.store.lookup_for_write(&from).is_none() {
        return Err(CommandError::NO_SUCH_KEY);
    }
    let free = args[1] != args[2] && !ctx.store.exists(&to);
    if free {
        rename_entry(ctx, &args[1], &args[2]);
    }
    ctx.reply.integer(i64::from(free));
    Ok(())
}

/// Moves a value to another key; the log says so with a `RENAME`, whose outcome does not depend on
/// whether that key exists.
fn rename_entry(ctx: &mut Context<'_>, from: &[u8], to: &[u8]) {
    ctx.store.relocate(&ctx.store.key(from), &ctx.store.key(to));
    ctx.store.effect(&[b"RENAME", from, to]);
}

/// `MOVE key db`
fn move_to(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let db = ctx.database_index(&args[2])?;
    if db == ctx.store.db {
        return Err(CommandError::SAME_OBJECT);
    }
    let (from, to) = (ctx.store.key(&args[1]), ctx.store.key_in(db, &args[1]));
    let moves = ctx.store.lookup_for_write(&from).is_some() && !ctx.store.exists(&to);
    if moves {
        ctx.store.relocate(&from, &to);
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(i64::from(moves));
    Ok(())
}

/// `COPY source destination [DB index] [REPLACE]`
fn copy(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (mut db, mut replace) = (ctx.store.db, false);
    let mut at = 3;
    while let Some(option) = args.get(at) {
        if option.eq_ignore_ascii_case(b"REPLACE") {
            replace = true;
        } else if option.eq_ignore_ascii_case(b"DB")
            && let Some(index) = args.get(at + 1)
        {
            db = ctx.database_index(index)?;
            at += 1;
        } else {
            return Err(CommandError::SYNTAX);
        }
        at += 1;
    }
    let (from, to) = (ctx.store.key(&args[1]), ctx.store.key_in(db, &args[2]));
    if from.db == to.db && from.bytes == to.bytes {
        return Err(CommandError::SAME_OBJECT);
    }
    let access = ctx.store.initial_access();
    let copied = ctx
        .store
        .read(&from)
        .map(|entry| EntryBox::new(to.bytes, entry.value().to_new(), entry.expiry_ms(), access));
    let copied = copied.filter(|_| replace || !ctx.store.exists(&to));
    let done = copied.is_some();
    if let Some(entry) = copied {
        ctx.store.insert(&to, entry);
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(i64::from(done));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn big_values_are_unlinked_as_small_ones_are() {
        let mut bench = Bench::new();
        for n in 0..1000 {
            bench.line(&format!("SADD s {n}x"));
            bench.line(&format!("RPUSH l {n}"));
            bench.line(&format!("HSET h {n} v"));
            bench.line(&format!("ZADD z 1 {n}"));
            bench.line(&format!("XADD x {n}-1 f v"));
        }
        bench.effects("UNLINK s l none", "UNLINK s l none");
        bench.replies("DBSIZE", ":3");
        bench.replies("UNLINK h z x s", ":3");
        bench.replies("DBSIZE", ":0");
    }

    #[test]
    fn deleting_and_counting() {
        let mut bench = Bench::new();
        bench.line("MSET a 1 b 2 c 3");
        bench.replies("EXISTS a b none a", ":3");
        bench.replies("TOUCH a none", ":1");
        bench.effects("DEL none", "");
        bench.effects("DEL a none b", "DEL a none b");
        bench.replies("UNLINK c c", ":1");
        bench.replies("EXISTS a b c", ":0");
    }

    #[test]
    fn renaming_takes_the_expiry_time_along() {
        let mut bench = Bench::new();
        bench.replies("RENAME a b", "-ERR no such key");
        bench.line("SET a 1 PX 5000");
        bench.line("SET b 2");
        bench.replies("RENAMENX a b", ":0");
        bench.replies("RENAMENX a a", ":0");
        bench.effects("RENAME a a", "");
        bench.effects("RENAME a b", "RENAME a b");
        bench.replies("PTTL b", ":5000");
        bench.replies("GET b", "$1 1");
        bench.effects("RENAMENX b c", "RENAME b c");
        bench.line("SET d 1");
        bench.line("RENAME d c");
        bench.replies("PTTL c", ":-1");
    }

    #[test]
    fn moving_between_databases() {
        let mut bench = Bench::new();
        bench.line("SET a 1 PX 5000");
        bench.replies("MOVE a 0", "-ERR source and destination objects are the same");
        bench.replies("MOVE a 16", "-ERR DB index is out of range");
        bench.replies("MOVE a x", "-ERR value is not an integer or out of range");
        bench.replies("MOVE none 1", ":0");
        bench.effects("MOVE a 1", "MOVE a 1");
        bench.line("SET a 2");
        bench.replies("MOVE a 1", ":0");
        bench.line("SELECT 1");
        bench.replies("PTTL a", ":5000");
        bench.effects("MOVE a 2", "1> MOVE a 2");
    }

    #[test]
    fn copying() {
        let mut bench = Bench::new();
        bench.line("SET a 1 PX 5000");
        bench.replies("COPY a a", "-ERR source and destination objects are the same");
        bench.replies("COPY a b DB", "-ERR syntax error");
        bench.replies("COPY a b DB 99", "-ERR DB index is out of range");
        bench.replies("COPY none b", ":0");
        bench.replies("COPY a b", ":1");
        bench.replies("PTTL b", ":5000");
        bench.line("APPEND a 2");
        bench.replies("COPY a b", ":0");
        bench.effects("COPY a b REPLACE", "COPY a b REPLACE");
        bench.replies("OBJECT ENCODING b", "$3 raw");
        bench.replies("COPY a a db 1", ":1");
        bench.line("SELECT 1");
        bench.replies("GET a", "$2 12");
    }
}
