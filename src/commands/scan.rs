//! Walking over all keys: `KEYS`, `SCAN`, `RANDOMKEY`.

use super::glob::{self, Case};
use super::numbers::{integer, unsigned};
use super::spec::{Categories, Flags, Spec};
use super::{CommandError, CommandResult, Context, ExpiryMode};
use crate::data::table::{cursor_shown_as, shown_cursor};
use crate::resp::{Args, Output, Reply};

/// This family's part of the table.
pub static COMMANDS: [Spec; 3] = [
    Spec::data("keys", 2, keys)
        .syntax("pattern")
        .flags(Flags::READONLY, Categories::KEYSPACE.with(Categories::DANGEROUS))
        .doc("generic", "1.0.0", "O(N) in all keys of the database", "All keys that match.")
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
    Spec::data("scan", -2, scan)
        .syntax("cursor:integer [MATCH pattern] [COUNT count:integer] [TYPE type@6.0.0]")
        .flags(Flags::READONLY.with(Flags::TOUCHES_ARBITRARY_KEYS), Categories::KEYSPACE)
        .doc("generic", "2.8.0", "O(1) a call, O(N) for all keys", "Walks over the keys.")
        .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"]),
    Spec::data("randomkey", 1, randomkey)
        .flags(Flags::READONLY.with(Flags::TOUCHES_ARBITRARY_KEYS), Categories::KEYSPACE)
        .doc("generic", "1.0.0", "O(1)", "Any key.")
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"]),
];

/// What `TYPE` names, of which there are more than this server has yet.
const TYPES: [&str; 6] = ["string", "list", "set", "zset", "hash", "stream"];

/// Matches anything, also an empty key, which patterns by themselves do not.
pub fn matches(pattern: &[u8], key: &[u8]) -> bool {
    pattern == b"*" || glob::matches(pattern, key, Case::Sensitive)
}

/// `KEYS pattern`
fn keys(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (pattern, db) = (&args[1], ctx.store.db);
    let deferred = ctx.reply.deferred();
    let mut found = 0;
    for entry in ctx.store.live_entries(db).filter(|entry| matches(pattern, entry.key())) {
        ctx.reply.bulk(entry.key());
        found += 1;
    }
    ctx.reply.finish_array(deferred, found);
    Ok(())
}

/// What a command of the `SCAN` family walks over, which decides on its options.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    /// Keys: `TYPE` is an option.
    Keys,
    /// The fields of a hash: `NOVALUES` is an option.
    Fields,
    /// The members of a sorted set: `NOSCORES` is an option, as in Valkey 8.
    Scores,
    /// The members of a set.
    Members,
}

/// The options of `SCAN` and its kin.
pub struct Options<'a> {
    /// About how many elements to visit.
    pub count: usize,
    /// What elements must match; see [`matches()`].
    pub pattern: &'a [u8],
    /// Of which type a key must be.
    pub type_name: Option<&'static str>,
    /// Whether the values of a hash's fields, or the scores of a sorted set's members, are left out.
    pub no_values: bool,
}

impl<'a> Options<'a> {
    /// Reads what follows the cursor.
    ///
    /// # Errors
    /// If it is no such option, or its value is wrong.
    pub fn parse(args: Args<'a>, scanned: Scanned) -> Result<Self, CommandError> {
        const NOT_A_HASH: CommandError =
            CommandError::fixed("ERR NOVALUES option can only be used in HSCAN");
        let mut options = Self { count: 10, pattern: b"*", type_name: None, no_values: false };
        let mut rest = args;
        while let Some(name) = rest.get(0) {
            if name.eq_ignore_ascii_case(b"NOVALUES") {
                if scanned != Scanned::Fields {
                    return Err(NOT_A_HASH);
                }
                options.no_values = true;
                rest = rest.from(1);
                continue;
            }
            if name.eq_ignore_ascii_case(b"NOSCORES") && scanned == Scanned::Scores {
                options.no_values = true;
                rest = rest.from(1);
                continue;
            }
            let value = rest.get(1).ok_or(CommandError::SYNTAX)?;
            if name.eq_ignore_ascii_case(b"COUNT") {
                let count = integer(value)?;
                options.count =
                    usize::try_from(count).ok().filter(|&c| c > 0).ok_or(CommandError::SYNTAX)?;
            } else if name.eq_ignore_ascii_case(b"MATCH") {
                options.pattern = value;
            } else if name.eq_ignore_ascii_case(b"TYPE") && scanned == Scanned::Keys {
                let known = TYPES.into_iter().find(|t| t.as_bytes().eq_ignore_ascii_case(value));
                options.type_name =
                    Some(known.ok_or_else(|| {
                        CommandError::quoting("ERR unknown type name '", value, "'")
                    })?);
            } else {
                return Err(CommandError::SYNTAX);
            }
            rest = rest.from(2);
        }
        Ok(options)
    }
}

/// The cursor of a command of the `SCAN` family, as tables take it.
///
/// # Errors
/// If it is no number.
pub fn cursor(arg: &[u8]) -> Result<u64, CommandError> {
    const BAD_CURSOR: CommandError = CommandError::fixed("ERR invalid cursor");
    unsigned(arg).map(cursor_shown_as).ok_or(BAD_CURSOR)
}

/// Replies with the cursor to go on with and `found` elements, which are already written.
pub fn reply_scan(reply: &mut Reply<'_>, next: u64, found: usize, elements: Output) {
    reply.array(2);
    let mut digits = itoa::Buffer::new();
    reply.bulk(digits.format(shown_cursor(next)).as_bytes());
    reply.array(found);
    reply.append(elements);
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
///
/// Of the keys it meets, it deletes those that it would have returned had their time not come.
fn scan(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let cursor = cursor(&args[1])?;
    let options = Options::parse(args.from(2), Scanned::Keys)?;
    let (mut found, mut expired, mut keys) = (0, Vec::new(), Output::default());
    let mut list = Reply::new(&mut keys, ctx.reply.protocol());
    let db = ctx.store.db;
    let next = ctx.store.scan(db, cursor, options.count, |entry, is_expired| {
        let fits = options.type_name.is_none_or(|name| entry.value().type_name() == name);
        if !fits || !matches(options.pattern, entry.key()) {
            return;
        }
        if is_expired {
            expired.push(entry.key().to_vec());
        } else {
            list.bulk(entry.key());
            found += 1;
        }
    });
    if ctx.store.expiry_mode == ExpiryMode::Delete {
        for name in &expired {
            let key = ctx.store.key(name);
            ctx.store.expire(&key);
        }
    }
    reply_scan(&mut ctx.reply, next, found, keys);
    Ok(())
}

/// `RANDOMKEY`
fn randomkey(ctx: &mut Context<'_>, _args: Args<'_>) -> CommandResult {
    /// How many expired keys it passes over before it stops to guess.
    const TRIES: usize = 100;
    let (db, deletes) = (ctx.store.db, ctx.store.expiry_mode == ExpiryMode::Delete);
    for _ in 0..TRIES {
        let Some((entry, is_expired)) = ctx.store.random(db, &mut *ctx.random) else {
            ctx.reply.null();
            return Ok(());
        };
        if !is_expired {
            ctx.reply.bulk(entry.key());
            return Ok(());
        }
        if deletes {
            let name = entry.key().to_vec();
            let key = ctx.store.key(&name);
            ctx.store.expire(&key);
        }
    }
    match ctx.store.live_entries(db).next() {
        Some(entry) => ctx.reply.bulk(entry.key()),
        None => ctx.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::ExpiryMode;
    use crate::commands::testing::{Bench, parse_effects};

    /// All keys that `SCAN` gives with these options.
    fn scan_all(bench: &mut Bench, options: &str) -> Vec<String> {
        let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
        loop {
            let reply = bench.line(&format!("SCAN {cursor} {options}")).reply;
            let text = String::from_utf8(reply).expect("keys are text");
            let mut words = text.split("\r\n").filter(|w| !w.starts_with(['*', '$', ':']));
            cursor = words.next().expect("a cursor").to_owned();
            keys.extend(words.filter(|w| !w.is_empty()).map(str::to_owned));
            if cursor == "0" {
                keys.sort();
                return keys;
            }
        }
    }

    #[test]
    fn scanning_finds_everything_once() {
        let mut bench = Bench::new();
        for n in 0..1000 {
            bench.line(&format!("SET key:{n} v"));
        }
        for options in ["", "COUNT 7", "TYPE string", "type STRING MATCH key:* COUNT 1000000"] {
            assert_eq!(scan_all(&mut bench, options).len(), 1000, "{options}");
        }
        assert_eq!(scan_all(&mut bench, "MATCH key:1??").len(), 100);
        assert_eq!(scan_all(&mut bench, "TYPE list").len(), 0);
        bench.replies("SCAN x", "-ERR invalid cursor");
        bench.replies("SCAN 0 COUNT 0", "-ERR syntax error");
        bench.replies("SCAN 0 COUNT x", "-ERR value is not an integer or out of range");
        bench.replies("SCAN 0 COUNT", "-ERR syntax error");
        bench.replies("SCAN 0 foo bar", "-ERR syntax error");
        bench.replies("SCAN 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN");
        bench.replies("SCAN 0 TYPE foo", "-ERR unknown type name 'foo'");
    }

    /// The cursor in a reply, and how many elements follow it.
    fn step(bench: &mut Bench, line: &str) -> (u64, usize) {
        let reply = String::from_utf8(bench.line(line).reply).expect("the elements are text");
        let mut lines = reply.split("\r\n").skip(2);
        let cursor = lines.next().and_then(|text| text.parse().ok()).expect("a cursor");
        let count = lines.next().and_then(|text| text.strip_prefix('*')?.parse().ok());
        (cursor, count.expect("an array"))
    }

    #[test]
    fn cursors_are_numbers_that_every_language_holds() {
        const COUNT: usize = 2000;
        let mut bench = Bench::new();
        for n in 0..COUNT {
            bench.line(&format!("SET key:{n} v"));
            bench.line(&format!("HSET h field:{n} v"));
            bench.line(&format!("SADD s member:{n}"));
            bench.line(&format!("ZADD z {n} member:{n}"));
        }
        for (name, each) in [("SCAN", 1), ("HSCAN h", 2), ("SSCAN s", 1), ("ZSCAN z", 2)] {
            let (mut cursor, mut found, mut greatest) = (0, 0, 0);
            loop {
                let (next, count) = step(&mut bench, &format!("{name} {cursor}"));
                (cursor, found, greatest) = (next, found + count, greatest.max(next));
                if cursor == 0 {
                    break;
                }
            }
            let others = if name == "SCAN" { 3 } else { 0 };
            assert_eq!(found, each * COUNT + others, "{name}");
            assert!((1 << 52..1 << 53).contains(&greatest), "{name}: {greatest}");
            // Whatever a client makes up, it gets to an end.
            for mut cursor in [1, (1 << 53) - 1, 1 << 53, i64::MAX as u64, 1 << 63, u64::MAX] {
                let mut steps = 0;
                while cursor != 0 {
                    cursor = step(&mut bench, &format!("{name} {cursor}")).0;
                    steps += 1;
                    assert!(steps < COUNT, "{name}");
                }
            }
        }
    }

    #[test]
    fn expired_keys_are_not_seen() {
        let mut bench = Bench::new();
        bench.line("SET '' v");
        for n in 0..500 {
            bench.line(&format!("SET key:{n} v PX 10"));
        }
        bench.now_ms += 10;
        bench.mode = ExpiryMode::Hide;
        bench.replies("KEYS *", "*1 $0 ");
        bench.replies("KEYS **", "*0");
        bench.replies("RANDOMKEY", "$0 ");
        assert!(scan_all(&mut bench, "").is_empty());
        bench.replies("DBSIZE", ":501");
        bench.mode = ExpiryMode::Delete;
        let effects = parse_effects(&bench.line("SCAN 0 COUNT 1000 MATCH key:1*").effects);
        assert_eq!(effects.len(), 1 + 111);
        bench.replies("RANDOMKEY", "$0 ");
        scan_all(&mut bench, "");
        bench.replies("DBSIZE", ":1");
        bench.line("DEL ''");
        bench.replies("RANDOMKEY", "$-1");
    }
}
