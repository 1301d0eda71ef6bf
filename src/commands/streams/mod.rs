//! Streams.

mod add;
mod delete;
mod groups;
mod ids;
mod info;
mod pending;
mod range;
mod read;
#[cfg(test)]
pub(in crate::commands) mod tests;
mod trim;

use super::error::quoted;
use super::numbers::{integer, unsigned};
use super::spec::{Begin, Categories, Find, Flags, KeyFlags, KeySpec, Spec};
use super::{CommandError, CommandResult, Context, Store};
use crate::commands::Key;
use crate::data::Stream;
use crate::data::stream::{Count, Group, StreamId};
use crate::resp::{Args, Reply};
use ids::IdText;

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.with(Flags::FAST);
const WRITE: Flags = Flags::WRITE;
const WRITE_FAST: Flags = Flags::WRITE.with(Flags::FAST);
const GROW: Flags = Flags::WRITE.with(Flags::DENYOOM);
const GROW_FAST: Flags = GROW.with(Flags::FAST);

const READ_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO_ACCESS)];
const LOOK_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO)];
const UPDATE_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RW_UPDATE)];
const DELETE_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RW_DELETE)];
const READ_STREAMS: &[KeySpec] = &[streams_from(1)];
const READ_GROUP_STREAMS: &[KeySpec] = &[streams_from(4)];

/// The keys behind `STREAMS`: the first half of what follows.
const fn streams_from(from: i16) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword { keyword: "STREAMS", from },
        find: Find::Range { last: -1, step: 1, limit: 2 },
        flags: KeyFlags::RO_ACCESS,
    }
}

/// This family's part of the table.
pub static COMMANDS: [Spec; 17] = [
    row("xack", -4, groups::xack, WRITE_FAST, UPDATE_KEY).syntax("key group id...").doc(
        "stream",
        "5.0.0",
        "O(1) for each id",
        "Notes that a group's consumers are done with entries.",
    ),
    row("xackdel", -6, delete::xackdel, WRITE_FAST, DELETE_KEY)
        .syntax("key group [condition<KEEPREF|DELREF|ACKED>] IDS ids(numids:integer id...)")
        .doc(
            "stream",
            "8.2.0",
            "O(1) for each id",
            "Notes that a group's consumers are done with entries, and deletes them.",
        ),
    row("xadd", -5, add::xadd, GROW_FAST, UPDATE_KEY)
        .syntax(
            "key [NOMKSTREAM@6.2.0] [condition<KEEPREF|DELREF|ACKED>@8.2.0] \
             [trim(strategy<MAXLEN|MINID@6.2.0> [operator<equal='='|approximately='~'>] \
             threshold [LIMIT count:integer@6.2.0])] id_or_auto<auto_id='*'|id> \
             field_value(field value)...",
        )
        .changes(&[("7.0.0", "An ID may be `<ms>-*`.")])
        .doc("stream", "5.0.0", "O(1), O(N) in the entries trimmed", "Appends an entry.")
        .tips(&["nondeterministic_output"]),
    row("xautoclaim", -6, pending::xautoclaim, WRITE_FAST, DELETE_KEY)
        .syntax("key group consumer min-idle-time start [COUNT count:integer] [JUSTID]")
        .changes(&[("7.0.0", "The reply ends with the IDs of deleted entries.")])
        .doc(
            "stream",
            "6.2.0",
            "O(1) if COUNT is small",
            "Takes over what others have left pending.",
        )
        .tips(&["nondeterministic_output"]),
    row("xclaim", -6, pending::xclaim, WRITE_FAST, UPDATE_KEY)
        .syntax(
            "key group consumer min-idle-time id... [IDLE ms:integer] [TIME \
             unix-time-milliseconds:unix-time] [RETRYCOUNT count:integer] [FORCE] [JUSTID] \
             [LASTID id]",
        )
        .doc(
            "stream",
            "5.0.0",
            "O(log N) in the group's pending entries",
            "Takes over entries that are pending for others.",
        )
        .tips(&["nondeterministic_output"]),
    row("xdel", -3, delete::xdel, WRITE_FAST, DELETE_KEY).syntax("key id...").doc(
        "stream",
        "5.0.0",
        "O(1) for each id",
        "Deletes entries.",
    ),
    row("xdelex", -5, delete::xdelex, WRITE_FAST, DELETE_KEY)
        .syntax("key [condition<KEEPREF|DELREF|ACKED>] IDS ids(numids:integer id...)")
        .doc(
            "stream",
            "8.2.0",
            "O(1) for each id",
            "Deletes entries, with a say in what groups still refer to.",
        ),
    Spec::container("xgroup", &groups::SUBCOMMANDS).doc(
        "stream",
        "5.0.0",
        "Depends on the subcommand.",
        "Manages consumer groups.",
    ),
    Spec::container("xinfo", &info::SUBCOMMANDS).doc(
        "stream",
        "5.0.0",
        "Depends on the subcommand.",
        "Tells about streams, groups and consumers.",
    ),
    row("xlen", 2, range::xlen, READ_FAST, LOOK_KEY).syntax("key").doc(
        "stream",
        "5.0.0",
        "O(1)",
        "How many entries a stream has.",
    ),
    row("xpending", -3, pending::xpending, READ, READ_KEY)
        .syntax(
            "key group [filters([IDLE min-idle-time:integer@6.2.0] start end count:integer \
             [consumer])]",
        )
        .changes(&[("6.2.0", "A bound may be exclusive.")])
        .doc(
            "stream",
            "5.0.0",
            "O(N) in the entries returned or, with IDLE, looked at",
            "What was delivered to a group and not acknowledged.",
        )
        .tips(&["nondeterministic_output"]),
    row("xrange", -4, range::xrange, READ, READ_KEY)
        .syntax("key start end [COUNT count:integer]")
        .changes(&[("6.2.0", "A bound may be exclusive.")])
        .doc("stream", "5.0.0", "O(N) in the entries returned", "The entries of a range of ids."),
    row("xread", -4, read::xread, READ.with(Flags::BLOCKING), READ_STREAMS)
        .syntax("[COUNT count:integer] [BLOCK milliseconds:integer] STREAMS streams(key... id...)")
        .doc(
            "stream",
            "5.0.0",
            "O(N) in the entries returned",
            "New entries of several streams. Waits for some if there are none and it is told to.",
        ),
    row("xreadgroup", -7, read::xreadgroup, WRITE.with(Flags::BLOCKING), READ_GROUP_STREAMS)
        .syntax(
            "GROUP group_consumer(group consumer) [COUNT count:integer] [BLOCK \
             milliseconds:integer] [NOACK] STREAMS streams(key... id...)",
        )
        .doc(
            "stream",
            "5.0.0",
            "O(N) in the entries returned",
            "New entries of several streams for a group's consumer, or what is pending for it.",
        ),
    row("xrevrange", -4, range::xrevrange, READ, READ_KEY)
        .syntax("key end start [COUNT count:integer]")
        .changes(&[("6.2.0", "A bound may be exclusive.")])
        .doc(
            "stream",
            "5.0.0",
            "O(N) in the entries returned",
            "The entries of a range of ids, from the last to the first.",
        ),
    row("xsetid", -3, add::xsetid, GROW_FAST, UPDATE_KEY)
        .syntax(
            "key last-id [ENTRIESADDED entries_added:integer@7.0.0] [MAXDELETEDID \
             max_deleted_entry_id@7.0.0]",
        )
        .doc("stream", "5.0.0", "O(1)", "Sets what a stream takes for its last id."),
    row("xtrim", -4, trim::xtrim, WRITE, DELETE_KEY)
        .syntax(
            "key trim(strategy<MAXLEN|MINID@6.2.0> [operator<equal='='|approximately='~'>] \
             threshold [LIMIT count:integer@6.2.0] [condition<KEEPREF|DELREF|ACKED>@8.2.0])",
        )
        .doc("stream", "5.0.0", "O(N) in the entries removed", "Removes the oldest entries.")
        .tips(&["nondeterministic_output"]),
];

const fn row(
    name: &'static str,
    arity: i16,
    run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
    flags: Flags,
    keys: &'static [KeySpec],
) -> Spec {
    Spec::data(name, arity, run).flags(flags, Categories::STREAM).keys(keys)
}

/// The error for a group that does not exist, or its key does not.
fn no_such_group(key: &[u8], group: &[u8], suffix: &str) -> CommandError {
    let (key, group) = (quoted(key, usize::MAX), quoted(group, usize::MAX));
    let (before, between) = (b"NOGROUP No such key '", b"' or consumer group '");
    CommandError::new([before, key, between, group, b"'", suffix.as_bytes()].concat())
}

/// The error for a group that does not exist at a key that does.
fn no_such_group_at(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (quoted(key, usize::MAX), quoted(group, usize::MAX));
    let (before, between) = (b"NOGROUP No such consumer group '", b"' for key name '");
    CommandError::new([before, group, between, key, b"'"].concat())
}

/// An argument as a count; `None` if it is negative. A log that is replayed may have one that is
/// beyond what a client can give: it counts as the greatest.
fn count(arg: &[u8], is_replay: bool) -> Result<Option<Count>, CommandError> {
    match unsigned(arg).filter(|_| is_replay) {
        Some(number) => Ok(Some(Count::new(number))),
        None => Ok(u64::try_from(integer(arg)?).ok().map(Count::new)),
    }
}

/// Replies with an entry: its id and its fields and values.
fn reply_entry<'a>(
    reply: &mut Reply<'_>,
    id: StreamId,
    fields: impl ExactSizeIterator<
        Item = (crate::data::listpack::Element<'a>, crate::data::listpack::Element<'a>),
    >,
) {
    reply.array(2);
    reply.bulk(IdText::new(id).as_bytes());
    reply.array(2 * fields.len());
    for (field, value) in fields {
        field.with_bytes(|bytes| reply.bulk(bytes));
        value.with_bytes(|bytes| reply.bulk(bytes));
    }
}

/// The stream at `key` and the group in it, for a command that reads.
fn read_group<'s>(
    store: &'s mut Store<'_>,
    key: &Key<'_>,
    group: &[u8],
) -> Result<Option<(&'s Stream, &'s Group)>, CommandError> {
    let stream = store.read_as::<Stream>(key)?;
    Ok(stream.and_then(|stream| Some((stream, stream.groups.get(group)?))))
}
