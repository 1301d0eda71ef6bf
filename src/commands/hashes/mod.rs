//! Hashes.
//!
//! Fields may expire. A command that reads an expired field by name deletes it and states that as
//! an effect, as with keys; a command that walks over a whole hash only skips it. `HLEN` counts it,
//! and `HSET` and `HDEL` treat it as live, all as in Redis 7.4.

mod expiry;
mod random;
mod read;
mod scan;
mod setex;
#[cfg(test)]
pub(super) mod tests;
mod write;

use super::spec::{Categories, Flags, KeyFlags, KeySpec, Spec};
use super::{CommandError, CommandResult, Context, ExpiryMode, Key, Store};
use crate::data::Hash;
use crate::data::hash::Field;
use crate::data::listpack::Digits;
use crate::resp::Args;
use std::collections::BTreeMap;

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.with(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.with(Flags::FAST);
const GROW_FAST: Flags = WRITE_FAST.with(Flags::DENYOOM);

const LOOK_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO)];
const READ_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO_ACCESS)];
const UPDATE_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RW_UPDATE)];
const CHANGE_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RW_ACCESS_UPDATE)];

/// Costs, as the documentation says them.
const BY_FIELDS: &str = "O(N) in the fields named";
const BY_SIZE: &str = "O(N) in the fields of the hash";

/// This family's part of the table.
pub static COMMANDS: [Spec; 28] = [
    row("hdel", -3, write::hdel, WRITE_FAST, &[KeySpec::at(1, KeyFlags::RW_DELETE)])
        .syntax("key field...")
        .changes(&[("2.4.0", "Takes several fields.")])
        .doc("hash", "2.0.0", BY_FIELDS, "Deletes fields."),
    row("hexists", 3, read::hexists, READ_FAST, LOOK_KEY).syntax("key field").doc(
        "hash",
        "2.0.0",
        "O(1)",
        "Whether there is a field.",
    ),
    row("hexpire", -6, expiry::hexpire, GROW_FAST, UPDATE_KEY)
        .syntax(
            "key seconds:integer [condition<NX|XX|GT|LT>] FIELDS fields(numfields:integer \
            field...)",
        )
        .doc("hash", "7.4.0", BY_FIELDS, "Lets fields expire after some seconds."),
    row("hexpireat", -6, expiry::hexpireat, GROW_FAST, UPDATE_KEY)
        .syntax(
            "key unix-time-seconds:unix-time [condition<NX|XX|GT|LT>] FIELDS \
             fields(numfields:integer field...)",
        )
        .doc("hash", "7.4.0", BY_FIELDS, "Lets fields expire at a Unix time."),
    row("hexpiretime", -5, expiry::hexpiretime, READ_FAST, READ_KEY)
        .syntax("key FIELDS fields(numfields:integer field...)")
        .doc("hash", "7.4.0", BY_FIELDS, "The Unix times fields expire at."),
    row("hget", 3, read::hget, READ_FAST, READ_KEY).syntax("key field").doc(
        "hash",
        "2.0.0",
        "O(1)",
        "The value of a field.",
    ),
    row("hgetall", 2, read::hgetall, READ, READ_KEY)
        .syntax("key")
        .doc("hash", "2.0.0", BY_SIZE, "All fields and their values.")
        .tips(&["nondeterministic_output_order"]),
    row("hgetdel", -5, write::hgetdel, WRITE_FAST, &[KeySpec::at(1, KeyFlags::RW_ACCESS_DELETE)])
        .syntax("key FIELDS fields(numfields:integer field...)")
        .doc("hash", "8.0.0", BY_FIELDS, "The values of fields, which are deleted."),
    row("hgetex", -5, setex::hgetex, WRITE_FAST, CHANGE_KEY)
        .syntax(
            "key [expiration<EX seconds:integer|PX milliseconds:integer|EXAT \
             unix-time-seconds:unix-time|PXAT unix-time-milliseconds:unix-time|PERSIST>] \
             FIELDS fields(numfields:integer field...)",
        )
        .doc("hash", "8.0.0", BY_FIELDS, "The values of fields, whose expiry time is changed."),
    row("hincrby", 4, write::hincrby, GROW_FAST, CHANGE_KEY)
        .syntax("key field increment:integer")
        .doc("hash", "2.0.0", "O(1)", "Adds an integer to the number in a field."),
    row("hincrbyfloat", 4, write::hincrbyfloat, GROW_FAST, CHANGE_KEY)
        .syntax("key field increment:double")
        .doc("hash", "2.6.0", "O(1)", "Adds a floating point number to the number in a field."),
    row("hkeys", 2, read::hkeys, READ, READ_KEY)
        .syntax("key")
        .doc("hash", "2.0.0", BY_SIZE, "The names of all fields.")
        .tips(&["nondeterministic_output_order"]),
    row("hlen", 2, read::hlen, READ_FAST, LOOK_KEY).syntax("key").doc(
        "hash",
        "2.0.0",
        "O(1)",
        "How many fields there are.",
    ),
    row("hmget", -3, read::hmget, READ_FAST, READ_KEY).syntax("key field...").doc(
        "hash",
        "2.0.0",
        BY_FIELDS,
        "The values of several fields.",
    ),
    row("hmset", -4, write::hmset, GROW_FAST, UPDATE_KEY)
        .syntax("key field_value(field value)...")
        .doc("hash", "2.0.0", BY_FIELDS, "Sets several fields.")
        .deprecated("4.0.0", "`HSET` with multiple field-value pairs"),
    row("hpersist", -5, expiry::hpersist, WRITE_FAST, UPDATE_KEY)
        .syntax("key FIELDS fields(numfields:integer field...)")
        .doc("hash", "7.4.0", BY_FIELDS, "Lets fields live on."),
    row("hpexpire", -6, expiry::hpexpire, GROW_FAST, UPDATE_KEY)
        .syntax(
            "key milliseconds:integer [condition<NX|XX|GT|LT>] FIELDS \
             fields(numfields:integer field...)",
        )
        .doc("hash", "7.4.0", BY_FIELDS, "Lets fields expire after some milliseconds."),
    row("hpexpireat", -6, expiry::hpexpireat, GROW_FAST, UPDATE_KEY)
        .syntax(
            "key unix-time-milliseconds:unix-time [condition<NX|XX|GT|LT>] FIELDS \
             fields(numfields:integer field...)",
        )
        .doc("hash", "7.4.0", BY_FIELDS, "Lets fields expire at a Unix time in milliseconds."),
    row("hpexpiretime", -5, expiry::hpexpiretime, READ_FAST, READ_KEY)
        .syntax("key FIELDS fields(numfields:integer field...)")
        .doc("hash", "7.4.0", BY_FIELDS, "The Unix times in milliseconds fields expire at."),
    row("hpttl", -5, expiry::hpttl, READ_FAST, READ_KEY)
        .syntax("key FIELDS fields(numfields:integer field...)")
        .doc("hash", "7.4.0", BY_FIELDS, "Milliseconds that fields have to live."),
    row("hrandfield", -2, random::hrandfield, READ, READ_KEY)
        .syntax("key [options(count:integer [WITHVALUES])]")
        .doc("hash", "6.2.0", "O(N) in the fields returned", "Any fields.")
        .tips(&["nondeterministic_output"]),
    row("hscan", -3, scan::hscan, READ, READ_KEY)
        .syntax("key cursor:integer [MATCH pattern] [COUNT count:integer] [NOVALUES@7.4.0]")
        .doc("hash", "2.8.0", "O(1) a call, O(N) for all fields", "Walks over the fields.")
        .tips(&["nondeterministic_output"]),
    row("hset", -4, write::hset, GROW_FAST, UPDATE_KEY)
        .syntax("key field_value(field value)...")
        .changes(&[("4.0.0", "Takes several fields.")])
        .doc("hash", "2.0.0", BY_FIELDS, "Sets fields."),
    row("hsetex", -6, setex::hsetex, GROW_FAST, UPDATE_KEY)
        .syntax(
            "key [key_condition<NX|XX>] [condition<FNX|FXX>] [expiration<EX \
             seconds:integer|PX milliseconds:integer|EXAT unix-time-seconds:unix-time|PXAT \
             unix-time-milliseconds:unix-time|KEEPTTL>] FIELDS fields(numfields:integer \
             data(field value)...)",
        )
        .doc("hash", "8.0.0", BY_FIELDS, "Sets fields and when they expire."),
    row("hsetnx", 4, write::hsetnx, GROW_FAST, &[KeySpec::at(1, KeyFlags::RW_INSERT)])
        .syntax("key field value")
        .doc("hash", "2.0.0", "O(1)", "Sets a field that does not exist."),
    row("hstrlen", 3, read::hstrlen, READ_FAST, LOOK_KEY).syntax("key field").doc(
        "hash",
        "3.2.0",
        "O(1)",
        "The length of a field's value.",
    ),
    row("httl", -5, expiry::httl, READ_FAST, READ_KEY)
        .syntax("key FIELDS fields(numfields:integer field...)")
        .doc("hash", "7.4.0", BY_FIELDS, "Seconds that fields have to live."),
    row("hvals", 2, read::hvals, READ, READ_KEY)
        .syntax("key")
        .doc("hash", "2.0.0", BY_SIZE, "The values of all fields.")
        .tips(&["nondeterministic_output_order"]),
];

const fn row(
    name: &'static str,
    arity: i16,
    run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
    flags: Flags,
    keys: &'static [KeySpec],
) -> Spec {
    Spec::data(name, arity, run).flags(flags, Categories::HASH).keys(keys)
}

/// Whether a field's time has not come; `due_ms` is [`Store::due_ms`].
fn is_live(field: &Field<'_>, due_ms: i64) -> bool {
    field.expiry_ms.is_none_or(|at| at > due_ms)
}

/// Whether no field's time has come.
fn are_all_live(hash: &Hash, due_ms: i64) -> bool {
    hash.next_expiry_ms().is_none_or(|at| at > due_ms)
}

/// Deletes those of the named fields whose time has come, and the hash if nothing is left, unless
/// what has expired is only to be hidden.
fn expire_named<'n>(
    store: &mut Store<'_>,
    key: &Key<'_>,
    names: impl Iterator<Item = &'n [u8]>,
) -> CommandResult {
    let due_ms = store.due_ms();
    if store.expiry_mode != ExpiryMode::Delete {
        return Ok(());
    }
    let Some(hash) = store.write_as::<Hash>(key)? else { return Ok(()) };
    if are_all_live(hash, due_ms) {
        return Ok(());
    }
    let mut expired = Vec::new();
    for name in names {
        if hash.get(name).is_some_and(|field| !is_live(&field, due_ms)) {
            hash.remove(name);
            expired.push(name);
        }
    }
    store.fields_expired(key, &expired);
    Ok(())
}

/// States an effect: `words` and then the names of fields.
fn effect_on_fields(store: &mut Store<'_>, words: &[&[u8]], names: &[&[u8]]) {
    store.effect(&[words, names].concat());
}

/// States that fields of `key` expire at this time. After an `HSET` of the same fields, which clears
/// their expiry times, this is what `HSETEX` does; Redis 7.4 knows both, but not `HSETEX`.
fn effect_of_expiry(store: &mut Store<'_>, key: &Key<'_>, at_ms: i64, names: &[&[u8]]) {
    let (mut at, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
    let at = at.format(at_ms).as_bytes();
    let count = count.format(names.len()).as_bytes();
    effect_on_fields(store, &[b"HPEXPIREAT", key.bytes, at, b"FIELDS", count], names);
}

/// States a whole hash in a key that does not exist: the fields, then when they expire.
pub(super) fn effect_of_hash(store: &mut Store<'_>, key: &Key<'_>, hash: &Hash) {
    /// Fields of one `HSET`.
    const FIELDS_MAX: usize = 1_000;
    let mut digits = (Digits::new(), Digits::new());
    let mut pairs: Vec<Vec<u8>> = Vec::new();
    let mut by_expiry: BTreeMap<i64, Vec<Vec<u8>>> = BTreeMap::new();
    let mut fields = hash.iter().peekable();
    while let Some(field) = fields.next() {
        let name = field.name.bytes(&mut digits.0).to_vec();
        if let Some(at_ms) = field.expiry_ms {
            by_expiry.entry(at_ms).or_default().push(name.clone());
        }
        pairs.push(name);
        pairs.push(field.value.bytes(&mut digits.1).to_vec());
        if pairs.len() == 2 * FIELDS_MAX || fields.peek().is_none() {
            let words: Vec<&[u8]> = pairs.iter().map(Vec::as_slice).collect();
            effect_on_fields(store, &[b"HSET", key.bytes], &words);
            pairs.clear();
        }
    }
    for (at_ms, names) in by_expiry {
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        effect_of_expiry(store, key, at_ms, &names);
    }
}

/// The names behind `FIELDS count`, which begins at argument `at`; `bad_count` is what to say of a
/// count that is no positive number.
fn parse_fields<'a>(
    args: Args<'a>,
    at: usize,
    bad_count: CommandError,
) -> Result<Args<'a>, CommandError> {
    const NO_FIELDS: CommandError = CommandError::fixed(
        "ERR Mandatory argument FIELDS is missing or not at the right position",
    );
    const WRONG_COUNT: CommandError =
        CommandError::fixed("ERR The `numfields` parameter must match the number of arguments");
    if !args.get(at).is_some_and(|word| word.eq_ignore_ascii_case(b"FIELDS")) {
        return Err(NO_FIELDS);
    }
    let count = args.get(at + 1).and_then(crate::resp::request::parse_i64);
    let count = count.and_then(|count| usize::try_from(count).ok()).filter(|&count| count > 0);
    let names = args.from(at + 2);
    if count.ok_or(bad_count)? == names.len() { Ok(names) } else { Err(WRONG_COUNT) }
}

/// What most commands say of a number of fields that is none.
const BAD_FIELD_COUNT: CommandError =
    CommandError::fixed("ERR Number of fields must be a positive integer");
