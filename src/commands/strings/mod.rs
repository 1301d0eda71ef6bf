//! Strings.

mod counters;
mod lcs;
mod set;

use super::numbers::integer;
use super::spec::{Categories, Flags, KeyFlags, KeySpec, Spec};
use super::{CommandError, CommandResult, Context, Key, Store};
use crate::keyspace::Value;
use crate::keyspace::entry::{EMBEDDED_BYTES_MAX, NewValue, SHARED_BYTES_MIN};
use crate::resp::request::parse_i64;
use crate::resp::{Args, Reply};

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.with(Flags::FAST);
const GROW: Flags = Flags::WRITE.with(Flags::DENYOOM);
const GROW_FAST: Flags = GROW.with(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.with(Flags::FAST);

const READ_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO_ACCESS)];
const UPDATE_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RW_ACCESS_UPDATE)];
const OVERWRITE_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::OW_UPDATE)];
const DELETE_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RW_ACCESS_DELETE)];

/// This family's part of the table.
pub static COMMANDS: [Spec; 23] =
    [
        row("append", 3, append, GROW_FAST, &[KeySpec::at(1, KeyFlags::RW_INSERT)])
            .syntax("key value")
            .doc("string", "2.0.0", "O(1) on average", "Adds to the end of a string."),
        row("decr", 2, counters::decr, GROW_FAST, UPDATE_KEY).syntax("key").doc(
            "string",
            "1.0.0",
            "O(1)",
            "Subtracts one from a number.",
        ),
        row("decrby", 3, counters::decrby, GROW_FAST, UPDATE_KEY)
            .syntax("key decrement:integer")
            .doc("string", "1.0.0", "O(1)", "Subtracts an integer from a number."),
        row("delifeq", 3, set::delifeq, WRITE_FAST, DELETE_KEY).syntax("key value").doc(
            "string",
            "9.0.0",
            "O(1)",
            "Deletes a string that has the given value.",
        ),
        row("get", 2, get, READ_FAST, READ_KEY).syntax("key").doc(
            "string",
            "1.0.0",
            "O(1)",
            "A string's value.",
        ),
        row("getdel", 2, getdel, WRITE_FAST, DELETE_KEY).syntax("key").doc(
            "string",
            "6.2.0",
            "O(1)",
            "A string's value, which is deleted.",
        ),
        row("getex", -2, set::getex, WRITE_FAST, UPDATE_KEY)
            .syntax(
                "key [expiration<EX seconds:integer|PX milliseconds:integer|EXAT \
                 unix-time-seconds:unix-time|PXAT unix-time-milliseconds:unix-time|PERSIST>]",
            )
            .doc("string", "6.2.0", "O(1)", "A string's value, whose expiry time is changed."),
        row("getrange", 4, getrange, READ, READ_KEY).syntax("key start:integer end:integer").doc(
            "string",
            "2.4.0",
            "O(N) in the bytes returned",
            "A part of a string.",
        ),
        row("getset", 3, set::getset, GROW_FAST, UPDATE_KEY)
            .syntax("key value")
            .doc("string", "1.0.0", "O(1)", "Sets a string and gives back what it was.")
            .deprecated("6.2.0", "`SET` with the `!GET` argument"),
        row("incr", 2, counters::incr, GROW_FAST, UPDATE_KEY).syntax("key").doc(
            "string",
            "1.0.0",
            "O(1)",
            "Adds one to a number.",
        ),
        row("incrby", 3, counters::incrby, GROW_FAST, UPDATE_KEY)
            .syntax("key increment:integer")
            .doc("string", "1.0.0", "O(1)", "Adds an integer to a number."),
        row("incrbyfloat", 3, counters::incrbyfloat, GROW_FAST, UPDATE_KEY)
            .syntax("key increment:double")
            .doc("string", "2.6.0", "O(1)", "Adds a floating point number to a number."),
        row("lcs", -3, lcs::lcs, READ, &[KeySpec::range(1, 1, 1, KeyFlags::RO_ACCESS)])
            .syntax("key1:key key2:key [LEN] [IDX] [MINMATCHLEN len:integer] [WITHMATCHLEN]")
            .doc(
                "string",
                "7.0.0",
                "O(N*M) in the lengths of the strings",
                "The longest common subsequence of two strings.",
            ),
        row("mget", -2, mget, READ_FAST, &[KeySpec::range(1, -1, 1, KeyFlags::RO_ACCESS)])
            .syntax("key...")
            .doc("string", "1.0.0", "O(N) in the number of keys", "The values of several strings.")
            .tips(&["request_policy:multi_shard"]),
        row("mset", -3, set::mset, GROW, &[KeySpec::range(1, -1, 2, KeyFlags::OW_UPDATE)])
            .syntax("key_value(key value)...")
            .doc("string", "1.0.1", "O(N) in the number of keys", "Sets several strings.")
            .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
        row("msetnx", -3, set::msetnx, GROW, &[KeySpec::range(1, -1, 2, KeyFlags::OW_INSERT)])
            .syntax("key_value(key value)...")
            .doc(
                "string",
                "1.0.1",
                "O(N) in the number of keys",
                "Sets several strings if none of the keys exists.",
            ),
        row("psetex", 4, set::psetex, GROW, OVERWRITE_KEY)
            .syntax("key milliseconds:integer value")
            .doc("string", "2.6.0", "O(1)", "Sets a string that expires after some milliseconds.")
            .deprecated("2.6.12", "`SET` with the `PX` argument"),
        row(
            "set",
            -3,
            set::set,
            GROW,
            &[KeySpec::at(1, KeyFlags::RW_ACCESS_UPDATE.with(KeyFlags::VARIABLE_FLAGS))],
        )
        .syntax(
            "key value [condition<NX|XX|IFEQ comparison-value@8.1.0>@2.6.12] [GET@6.2.0] \
                 [expiration<EX seconds:integer@2.6.12|PX milliseconds:integer@2.6.12|EXAT \
                 unix-time-seconds:unix-time@6.2.0|PXAT \
                 unix-time-milliseconds:unix-time@6.2.0|KEEPTTL@6.0.0>]",
        )
        .changes(&[("7.0.0", "`NX` and `GET` may be combined.")])
        .key_function(set::set_keys)
        .doc("string", "1.0.0", "O(1)", "Sets a string, whatever the key held."),
        row("setex", 4, set::setex, GROW, OVERWRITE_KEY)
            .syntax("key seconds:integer value")
            .doc("string", "2.0.0", "O(1)", "Sets a string that expires after some seconds.")
            .deprecated("2.6.12", "`SET` with the `EX` argument"),
        row("setnx", 3, set::setnx, GROW_FAST, &[KeySpec::at(1, KeyFlags::OW_INSERT)])
            .syntax("key value")
            .doc("string", "1.0.0", "O(1)", "Sets a string if the key does not exist.")
            .deprecated("2.6.12", "`SET` with the `NX` argument"),
        row("setrange", 4, setrange, GROW, &[KeySpec::at(1, KeyFlags::RW_UPDATE)])
            .syntax("key offset:integer value")
            .doc(
                "string",
                "2.2.0",
                "O(M) in the bytes written, where the string does not have to grow",
                "Overwrites a part of a string.",
            ),
        row("strlen", 2, strlen, READ_FAST, &[KeySpec::at(1, KeyFlags::RO)]).syntax("key").doc(
            "string",
            "2.2.0",
            "O(1)",
            "A string's length.",
        ),
        row("substr", 4, getrange, READ, READ_KEY)
            .syntax("key start:integer end:integer")
            .doc("string", "1.0.0", "O(N) in the bytes returned", "A part of a string.")
            .deprecated("2.0.0", "`GETRANGE`"),
    ];

const fn row(
    name: &'static str,
    arity: i16,
    run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
    flags: Flags,
    keys: &'static [KeySpec],
) -> Spec {
    Spec::data(name, arity, run).flags(flags, Categories::STRING).keys(keys)
}

/// The bytes of a string; `digits` is where those of an integer are written.
pub(super) fn string_bytes<'v>(
    value: Value<'v>,
    digits: &'v mut itoa::Buffer,
) -> Result<&'v [u8], CommandError> {
    match value {
        Value::Integer(number) => Ok(digits.format(number).as_bytes()),
        Value::Text { bytes, .. } => Ok(bytes),
        _ => Err(CommandError::WRONG_TYPE),
    }
}

/// Replies with a string.
fn reply_string(reply: &mut Reply<'_>, value: Value<'_>) -> CommandResult {
    reply.bulk(string_bytes(value, &mut itoa::Buffer::new())?);
    Ok(())
}

/// An argument as a value: an integer is kept as one.
pub(super) fn new_string(bytes: &[u8]) -> NewValue<'_> {
    match parse_i64(bytes) {
        Some(number) => NewValue::Integer(number),
        None => NewValue::Text { bytes, edited: false },
    }
}

/// Sets a key, without an expiry time, to bytes that were computed and not sent: such a string is `raw`
/// whatever its length. The caller states the effect.
pub(super) fn set_raw(store: &mut Store<'_>, key: &Key<'_>, bytes: Vec<u8>) {
    let value = if bytes.len() > EMBEDDED_BYTES_MAX {
        NewValue::Buffer(Box::new(bytes.into()))
    } else {
        NewValue::Text { bytes: &bytes, edited: true }
    };
    store.set(key, value, None);
}

/// Replies with a string, or null if there is none, as `GET` does. False if there is none.
fn reply_get(ctx: &mut Context<'_>, key: &Key<'_>) -> Result<bool, CommandError> {
    let Some(entry) = ctx.store.read(key) else {
        ctx.reply.null();
        return Ok(false);
    };
    if entry.is_shareable() {
        ctx.reply.shared_bulk(ctx.store.share_string(key));
    } else {
        reply_string(&mut ctx.reply, entry.value())?;
    }
    Ok(true)
}

/// `GET key`
fn get(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    reply_get(ctx, &key).map(|_| ())
}

/// `GETDEL key`
fn getdel(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    if reply_get(ctx, &key)? {
        ctx.store.remove(&key);
        ctx.store.effect(&[b"DEL", key.bytes]);
    }
    Ok(())
}

/// `MGET key [key …]`
fn mget(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    ctx.reply.array(args.len() - 1);
    for name in args.from(1).iter() {
        let key = ctx.store.key(name);
        if reply_get(ctx, &key).is_err() {
            ctx.reply.null();
        }
    }
    Ok(())
}

/// `STRLEN key`
fn strlen(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let len = match ctx.store.read(&key) {
        Some(entry) => string_bytes(entry.value(), &mut itoa::Buffer::new())?.len(),
        None => 0,
    };
    ctx.reply.integer(len as i64);
    Ok(())
}

/// `GETRANGE key start end`, `SUBSTR key start end`
fn getrange(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (start, end) = (integer(&args[2])?, integer(&args[3])?);
    let key = ctx.store.key(&args[1]);
    let Some(entry) = ctx.store.read(&key) else {
        ctx.reply.bulk(b"");
        return Ok(());
    };
    let mut digits = itoa::Buffer::new();
    let bytes = string_bytes(entry.value(), &mut digits)?;
    let len = bytes.len() as i64;
    // Negative indexes count from the end; whatever lies outside is cut off.
    let from_start = |index: i64| if index < 0 { (len + index).max(0) } else { index };
    let (first, last) = (from_start(start), from_start(end).min(len - 1));
    let is_empty = start < 0 && end < 0 && start > end || first > last || len == 0;
    if is_empty {
        ctx.reply.bulk(b"");
        return Ok(());
    }
    let range = first as usize..last as usize + 1;
    if entry.is_shareable() && range.len() >= SHARED_BYTES_MIN {
        ctx.reply.shared_bulk(ctx.store.share_string(&key).slice(range));
    } else {
        ctx.reply.bulk(&bytes[range]);
    }
    Ok(())
}

/// `APPEND key value`
fn append(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (key, tail) = (ctx.store.key(&args[1]), &args[2]);
    let len = match ctx.store.lookup_for_write(&key) {
        None => {
            ctx.store.set(&key, new_string(tail), None);
            tail.len()
        }
        Some(entry) => {
            let len = string_bytes(entry.value(), &mut itoa::Buffer::new())?.len();
            ctx.check_string_len(len, tail.len())?;
            ctx.store.string_mut(&key).edit(len..len).extend_from_slice(tail);
            len + tail.len()
        }
    };
    ctx.store.effect_verbatim(args);
    ctx.reply.integer(len as i64);
    Ok(())
}

/// `SETRANGE key offset value`
fn setrange(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const BAD_OFFSET: CommandError = CommandError::fixed("ERR offset is out of range");
    let offset = usize::try_from(integer(&args[2])?).map_err(|_| BAD_OFFSET)?;
    let (key, part) = (ctx.store.key(&args[1]), &args[3]);
    let old_len = match ctx.store.lookup_for_write(&key) {
        Some(entry) => Some(string_bytes(entry.value(), &mut itoa::Buffer::new())?.len()),
        None => None,
    };
    if part.is_empty() {
        ctx.reply.integer(old_len.unwrap_or(0) as i64);
        return Ok(());
    }
    ctx.check_string_len(offset, part.len())?;
    let end = offset + part.len();
    let overwrite = |bytes: &mut Vec<u8>| {
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset..end].copy_from_slice(part);
    };
    if old_len.is_some() {
        overwrite(ctx.store.string_mut(&key).edit(offset..end));
    } else {
        let mut bytes = Vec::new();
        overwrite(&mut bytes);
        set_raw(&mut ctx.store, &key, bytes);
    }
    ctx.store.effect_verbatim(args);
    ctx.reply.integer(old_len.unwrap_or(0).max(end) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn get_and_its_kin() {
        let mut bench = Bench::new();
        bench.replies("GET k", "$-1");
        bench.replies("SET k value", "+OK");
        bench.replies("GET k", "$5 value");
        bench.replies("SET n 42", "+OK");
        bench.replies("MGET k none n", "*3 $5 value $-1 $2 42");
        bench.replies("STRLEN k", ":5");
        bench.replies("STRLEN n", ":2");
        bench.replies("STRLEN none", ":0");
        bench.effects("GET k", "");
        bench.effects("GETDEL k", "DEL k");
        bench.effects("GETDEL k", "");
        bench.replies("GETDEL n", "$2 42");
        bench.replies("EXISTS n", ":0");
    }

    #[test]
    fn ranges_are_cut_to_the_string() {
        let mut bench = Bench::new();
        bench.line("SET k 'Hello World'");
        bench.line("SET n 12345");
        let cases = [
            ("k 0 3", "Hell"),
            ("k 0 -1", "Hello World"),
            ("k -4 -1", "orld"),
            ("k 5 3", ""),
            ("k 5 5000", " World"),
            ("k -5000 10000", "Hello World"),
            ("k -1 -5000", ""),
            ("k -5000 -5000", "H"),
            ("n 1 2", "23"),
            ("none 0 -1", ""),
            ("k -9223372036854775808 9223372036854775807", "Hello World"),
            ("k 11 20", ""),
        ];
        for (range, part) in cases {
            for name in ["GETRANGE", "SUBSTR"] {
                let shown = format!("${} {part}", part.len());
                bench.replies(&format!("{name} {range}"), &shown);
            }
        }
        bench.replies("GETRANGE k a 1", "-ERR value is not an integer or out of range");
    }

    #[test]
    fn append_and_setrange_edit_in_place() {
        let mut bench = Bench::new();
        bench.replies("APPEND k 12", ":2");
        bench.replies("OBJECT ENCODING k", "$3 int");
        bench.line("PEXPIREAT k 1800000000000");
        bench.effects("APPEND k 34", "APPEND k 34");
        bench.replies("GET k", "$4 1234");
        bench.replies("OBJECT ENCODING k", "$3 raw");
        bench.replies("PEXPIRETIME k", ":1800000000000");
        bench.effects("SETRANGE k 6 x", "SETRANGE k 6 x");
        bench.replies("GET k", "$7 1234\0\0x");
        bench.effects("SETRANGE k 2 ''", "");
        bench.replies("SETRANGE k 2 ''", ":7");
        bench.replies("SETRANGE none 2 ''", ":0");
        bench.replies("EXISTS none", ":0");
        bench.replies("SETRANGE new 1 a", ":2");
        bench.replies("OBJECT ENCODING new", "$3 raw");
        bench.replies("SETRANGE new -1 a", "-ERR offset is out of range");
        bench.settings.bulk_bytes_max = 8;
        let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
        bench.replies("SETRANGE new 8 a", too_long);
        bench.replies("SETRANGE new 9223372036854775807 a", too_long);
        bench.replies("SETRANGE other 8 a", too_long);
        bench.replies("APPEND k ab", too_long);
        bench.replies("APPEND k a", ":8");
    }
}
