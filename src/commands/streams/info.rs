//! `XINFO`.

use super::ids::IdText;
use super::{CommandError, CommandResult, Context, READ, no_such_group_at, reply_entry};
use crate::commands::numbers::integer;
use crate::commands::reply_help;
use crate::commands::spec::{Categories, Flags, KeyFlags, KeySpec, Spec};
use crate::data::Stream;
use crate::data::stream::{Consumer, Count, Entries, Group, StreamId};
use crate::resp::{Args, Reply};

const KEY: &[KeySpec] = &[KeySpec::at(2, KeyFlags::RO_ACCESS)];

/// How many entries `FULL` shows unless told.
const FULL_COUNT: usize = 10;

pub(super) static SUBCOMMANDS: [Spec; 4] = [
    Spec::data("xinfo|consumers", 4, consumers)
        .syntax("key groupname")
        .flags(READ, Categories::STREAM)
        .keys(KEY)
        .doc("stream", "5.0.0", "O(1)", "A group's consumers.")
        .tips(&["nondeterministic_output"]),
    Spec::data("xinfo|groups", 3, groups)
        .syntax("key")
        .changes(&[("7.0.0", "The reply has `entries-read` and `lag`.")])
        .flags(READ, Categories::STREAM)
        .keys(KEY)
        .doc("stream", "5.0.0", "O(1)", "A stream's consumer groups."),
    Spec::data("xinfo|help", 2, help)
        .flags(Flags::LOADING.with(Flags::STALE), Categories::STREAM)
        .doc("stream", "5.0.0", "O(1)", "Lists the subcommands."),
    Spec::data("xinfo|stream", -3, stream)
        .syntax("key [FULL full([COUNT count:integer])@6.0.0]")
        .changes(&[(
            "7.0.0",
            "The reply has `max-deleted-entry-id`, `entries-added`, \
             `recorded-first-entry-id`, `entries-read` and `lag`.",
        )])
        .flags(READ, Categories::STREAM)
        .keys(KEY)
        .doc("stream", "5.0.0", "O(1)", "All about a stream."),
];

fn help(ctx: &mut Context<'_>, _: Args<'_>) -> CommandResult {
    reply_help(
        &mut ctx.reply,
        "XINFO",
        &[
            "CONSUMERS <key> <groupname>",
            "    A group's consumers.",
            "GROUPS <key>",
            "    A stream's consumer groups.",
            "STREAM <key> [FULL [COUNT <count>]]",
            "    All about a stream.",
        ],
    );
    Ok(())
}

/// The stream at argument 2.
fn find<'s>(
    store: &'s mut crate::commands::Store<'_>,
    args: Args<'_>,
) -> Result<&'s Stream, CommandError> {
    let key = store.key(&args[2]);
    store.read_as::<Stream>(&key)?.ok_or(CommandError::NO_SUCH_KEY)
}

/// `XINFO CONSUMERS key group`
fn consumers(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let now_ms = ctx.store.now_ms;
    let stream = find(&mut ctx.store, args)?;
    let group =
        stream.groups.get(args.at(3)).ok_or_else(|| no_such_group_at(&args[2], &args[3]))?;
    let reply = &mut ctx.reply;
    reply.array(group.consumers().len());
    for (_, consumer) in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        number(reply, "pending", consumer.pending().len() as i64);
        number(reply, "idle", now_ms.saturating_sub(consumer.seen_ms).max(0));
        let inactive_ms =
            consumer.active_ms.map_or(-1, |active_ms| now_ms.saturating_sub(active_ms));
        number(reply, "inactive", inactive_ms);
    }
    Ok(())
}

/// `XINFO GROUPS key`
fn groups(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let stream = find(&mut ctx.store, args)?;
    let reply = &mut ctx.reply;
    reply.array(stream.groups.len());
    for (name, group) in &stream.groups {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        number(reply, "consumers", group.consumers().len() as i64);
        number(reply, "pending", group.pending().len() as i64);
        id(reply, "last-delivered-id", group.last_id);
        number_or_null(reply, "entries-read", group.entries_read.map(Count::get));
        number_or_null(reply, "lag", lag(&stream.entries, group));
    }
    Ok(())
}

/// How many entries the group has not been delivered, if that can be told.
fn lag(entries: &Entries, group: &Group) -> Option<u64> {
    let added = entries.counters().entries_added;
    if added == Count::default() {
        return Some(0);
    }
    let counted = group.entries_read.filter(|_| !entries.has_gaps_from(group.last_id));
    let read = counted.or_else(|| entries.count_at(group.last_id))?;
    // Below zero if more was read than added, which can be set so.
    Some(added.get().wrapping_sub(read.get()))
}

/// `XINFO STREAM key [FULL [COUNT count]]`
fn stream(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let is = |at: usize, name: &[u8]| args.get(at).is_some_and(|a| a.eq_ignore_ascii_case(name));
    let syntax = || CommandError::subcommand_syntax("XINFO", args.at(1));
    let stream = find(&mut ctx.store, args)?;
    let full = match args.len() {
        3 => None,
        4 if is(3, b"FULL") => Some(FULL_COUNT),
        6 if is(3, b"FULL") && is(4, b"COUNT") => match usize::try_from(integer(&args[5])?) {
            Ok(0) => Some(usize::MAX),
            count => Some(count.unwrap_or(FULL_COUNT)),
        },
        _ => return Err(syntax()),
    };
    let reply = &mut ctx.reply;
    let counters = stream.entries.counters();
    let nodes = stream.entries.nodes().len() as i64;
    reply.map(if full.is_some() { 9 } else { 10 });
    number(reply, "length", stream.entries.len() as i64);
    number(reply, "radix-tree-keys", nodes);
    // Redis counts the inner nodes of its tree, too. Ours has one above the leaves while it is small.
    number(reply, "radix-tree-nodes", nodes + 1);
    id(reply, "last-generated-id", counters.last_id);
    id(reply, "max-deleted-entry-id", counters.max_deleted_id);
    number(reply, "entries-added", counters.entries_added.get() as i64);
    id(reply, "recorded-first-entry-id", stream.entries.first_id());
    match full {
        None => {
            number(reply, "groups", stream.groups.len() as i64);
            let (min, max) = (StreamId::MIN, StreamId::MAX);
            for (name, entry) in [
                ("first-entry", stream.entries.range(min, max).next()),
                ("last-entry", stream.entries.range_back(min, max).next()),
            ] {
                reply.bulk(name.as_bytes());
                match entry {
                    Some((id, fields)) => reply_entry(reply, id, fields),
                    None => reply.null(),
                }
            }
        }
        Some(count) => {
            reply.bulk(b"entries");
            let entries = || stream.entries.range(StreamId::MIN, StreamId::MAX).take(count);
            reply.array(count.min(stream.len()));
            entries().for_each(|(id, fields)| reply_entry(reply, id, fields));
            reply.bulk(b"groups");
            reply.array(stream.groups.len());
            for (name, group) in &stream.groups {
                full_group(reply, &stream.entries, name, group, count);
            }
        }
    }
    Ok(())
}

fn full_group(reply: &mut Reply<'_>, entries: &Entries, name: &[u8], group: &Group, count: usize) {
    reply.map(7);
    reply.bulk(b"name");
    reply.bulk(name);
    id(reply, "last-delivered-id", group.last_id);
    number_or_null(reply, "entries-read", group.entries_read.map(Count::get));
    number_or_null(reply, "lag", lag(entries, group));
    number(reply, "pel-count", group.pending().len() as i64);
    reply.bulk(b"pending");
    reply.array(count.min(group.pending().len()));
    for (id, pending) in group.pending().iter().take(count) {
        reply.array(4);
        reply.bulk(IdText::new(id).as_bytes());
        reply.bulk(group.consumer(pending.consumer).name());
        reply.integer(pending.delivered_ms);
        reply.integer(pending.deliveries.get() as i64);
    }
    reply.bulk(b"consumers");
    reply.array(group.consumers().len());
    for (_, consumer) in group.consumers() {
        full_consumer(reply, group, consumer, count);
    }
}

fn full_consumer(reply: &mut Reply<'_>, group: &Group, consumer: &Consumer, count: usize) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(consumer.name());
    number(reply, "seen-time", consumer.seen_ms);
    number(reply, "active-time", consumer.active_ms.unwrap_or(-1));
    number(reply, "pel-count", consumer.pending().len() as i64);
    reply.bulk(b"pending");
    reply.array(count.min(consumer.pending().len()));
    for (id, ()) in consumer.pending().iter().take(count) {
        let pending = &group.pending()[id];
        reply.array(3);
        reply.bulk(IdText::new(id).as_bytes());
        reply.integer(pending.delivered_ms);
        reply.integer(pending.deliveries.get() as i64);
    }
}

fn number(reply: &mut Reply<'_>, name: &str, number: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(number);
}

fn number_or_null(reply: &mut Reply<'_>, name: &str, number: Option<u64>) {
    reply.bulk(name.as_bytes());
    match number {
        Some(number) => reply.integer(number as i64),
        None => reply.null(),
    }
}

fn id(reply: &mut Reply<'_>, name: &str, id: StreamId) {
    reply.bulk(name.as_bytes());
    reply.bulk(IdText::new(id).as_bytes());
}
