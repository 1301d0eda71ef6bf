//! `XGROUP` and `XACK`.

use super::delete::parse_ids;
use super::{CommandError, CommandResult, Context, GROW, WRITE, count, ids, no_such_group_at};
use crate::commands::reply_help;
use crate::commands::spec::{Categories, Flags, KeyFlags, KeySpec, Spec};
use crate::data::Stream;
use crate::data::stream::{Count, Group, StreamId};
use crate::resp::{Args, Reply};

const INSERT: &[KeySpec] = &[KeySpec::at(2, KeyFlags::RW_INSERT)];
const UPDATE: &[KeySpec] = &[KeySpec::at(2, KeyFlags::RW_UPDATE)];
const DELETE: &[KeySpec] = &[KeySpec::at(2, KeyFlags::RW_DELETE)];

pub(super) static SUBCOMMANDS: [Spec; 6] = [
    Spec::data("xgroup|create", -5, create)
        .syntax(
            "key groupname id<id|new_id='$'> [MKSTREAM] [ENTRIESREAD entries_read:integer@7.0.0]",
        )
        .flags(GROW, Categories::STREAM)
        .keys(INSERT)
        .doc("stream", "5.0.0", "O(1)", "Makes a consumer group."),
    Spec::data("xgroup|createconsumer", 5, create_consumer)
        .syntax("key groupname consumername")
        .flags(GROW, Categories::STREAM)
        .keys(INSERT)
        .doc("stream", "6.2.0", "O(1)", "Makes a consumer in a group."),
    Spec::data("xgroup|delconsumer", 5, delete_consumer)
        .syntax("key groupname consumername")
        .flags(WRITE, Categories::STREAM)
        .keys(DELETE)
        .doc("stream", "5.0.0", "O(1)", "Deletes a consumer from a group."),
    Spec::data("xgroup|destroy", 4, destroy)
        .syntax("key groupname")
        .flags(WRITE, Categories::STREAM)
        .keys(DELETE)
        .doc("stream", "5.0.0", "O(N) in the group's pending entries", "Deletes a consumer group."),
    Spec::data("xgroup|help", 2, help)
        .flags(Flags::LOADING.with(Flags::STALE), Categories::STREAM)
        .doc("stream", "5.0.0", "O(1)", "Lists the subcommands."),
    Spec::data("xgroup|setid", -5, set_id)
        .syntax("key groupname id<id|new_id='$'> [ENTRIESREAD entries_read:integer@7.0.0]")
        .flags(WRITE, Categories::STREAM)
        .keys(UPDATE)
        .doc("stream", "5.0.0", "O(1)", "Sets the last id that a group was delivered."),
];

const NO_KEY: CommandError = CommandError::fixed(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
     the MKSTREAM option to create an empty stream automatically.",
);

/// The options of `CREATE` and `SETID`, from argument 5 on.
struct Options {
    mkstream: bool,
    entries_read: Option<Count>,
}

impl Options {
    fn parse(args: Args<'_>, is_create: bool, is_replay: bool) -> Result<Self, CommandError> {
        let mut options = Self { mkstream: false, entries_read: None };
        let mut at = 5;
        while let Some(option) = args.get(at) {
            match args.get(at + 1) {
                _ if is_create && option.eq_ignore_ascii_case(b"MKSTREAM") => {
                    options.mkstream = true;
                    at += 1;
                }
                Some(arg) if option.eq_ignore_ascii_case(b"ENTRIESREAD") => {
                    const NEGATIVE: CommandError =
                        CommandError::fixed("ERR value for ENTRIESREAD must be positive or -1");
                    options.entries_read = count(arg, is_replay)?;
                    if options.entries_read.is_none() && arg != b"-1" {
                        return Err(NEGATIVE);
                    }
                    at += 2;
                }
                _ => return Err(CommandError::subcommand_syntax("XGROUP", args.at(1))),
            }
        }
        Ok(options)
    }
}

/// `XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD count]`
fn create(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args, true, ctx.store.is_replay())?;
    let key = ctx.store.key(&args[2]);
    let stream = ctx.store.write_as::<Stream>(&key)?;
    if stream.is_none() && !options.mkstream {
        return Err(NO_KEY);
    }
    if args.len() > 8 {
        return Err(CommandError::subcommand_syntax("XGROUP", args.at(1)));
    }
    let id = match args.at(4) {
        b"$" => stream.as_ref().map_or(StreamId::MIN, |stream| stream.entries.last_id()),
        arg => ids::id(arg, 0)?,
    };
    if stream.as_ref().is_some_and(|stream| stream.groups.contains_key(args.at(3))) {
        return Err(CommandError::fixed("BUSYGROUP Consumer Group name already exists"));
    }
    let is_new = stream.is_none();
    let stream = ctx.store.write_or_create(&key, Stream::new)?;
    stream.groups.insert(args.at(3).into(), Group::new(id, options.entries_read));
    if is_new {
        ctx.store.changed(&key);
    } else {
        ctx.store.changed_unwatched(&key);
    }
    ctx.store.effect_verbatim(args);
    ctx.reply.ok();
    Ok(())
}

/// `XGROUP SETID key group id|$ [ENTRIESREAD count]`
fn set_id(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args, false, ctx.store.is_replay())?;
    if args.len() > 7 {
        return Err(CommandError::subcommand_syntax("XGROUP", args.at(1)));
    }
    with_group(ctx, args, |reply, stream, name| {
        let id = match args.at(4) {
            b"$" => stream.entries.last_id(),
            arg => ids::id_or_end(arg, 0)?,
        };
        let group = stream.groups.get_mut(name).expect("it was just there");
        group.last_id = id;
        group.entries_read = options.entries_read;
        reply.ok();
        Ok(true)
    })
}

/// `XGROUP DESTROY key group`
fn destroy(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[2]);
    let stream = ctx.store.write_as::<Stream>(&key)?.ok_or(NO_KEY)?;
    let removed = stream.groups.remove(args.at(3));
    if removed.is_some() {
        ctx.store.changed_unwatched(&key);
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(removed.is_some().into());
    Ok(())
}

/// `XGROUP CREATECONSUMER key group consumer`
fn create_consumer(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let now_ms = ctx.store.now_ms;
    with_group(ctx, args, |reply, stream, name| {
        let group = stream.groups.get_mut(name).expect("it was just there");
        let is_new = group.find(args.at(4)).is_none();
        if is_new {
            group.add(args.at(4), now_ms, None);
        }
        reply.integer(is_new.into());
        Ok(is_new)
    })
}

/// `XGROUP DELCONSUMER key group consumer`
fn delete_consumer(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    with_group(ctx, args, |reply, stream, name| {
        let group = stream.groups.get_mut(name).expect("it was just there");
        let consumer = group.find(args.at(4));
        let pending = consumer.map_or(0, |consumer| group.remove(consumer));
        reply.integer(pending as i64);
        Ok(consumer.is_some())
    })
}

/// Does something with the group at argument 3 of the stream at argument 2; if that says that it changed
/// something, the command is its own effect.
fn with_group(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    run: impl FnOnce(&mut Reply<'_>, &mut Stream, &[u8]) -> Result<bool, CommandError>,
) -> CommandResult {
    let key = ctx.store.key(&args[2]);
    let stream = ctx.store.write_as::<Stream>(&key)?.ok_or(NO_KEY)?;
    if !stream.groups.contains_key(args.at(3)) {
        return Err(no_such_group_at(key.bytes, args.at(3)));
    }
    if run(&mut ctx.reply, stream, args.at(3))? {
        ctx.store.changed_unwatched(&key);
        ctx.store.effect_verbatim(args);
    }
    Ok(())
}

fn help(ctx: &mut Context<'_>, _: Args<'_>) -> CommandResult {
    reply_help(
        &mut ctx.reply,
        "XGROUP",
        &[
            "CREATE <key> <groupname> <id|$> [MKSTREAM] [ENTRIESREAD <entries-read>]",
            "    Make a consumer group.",
            "CREATECONSUMER <key> <groupname> <consumer>",
            "    Make a consumer in a group.",
            "DELCONSUMER <key> <groupname> <consumer>",
            "    Delete a consumer from a group.",
            "DESTROY <key> <groupname>",
            "    Delete a consumer group.",
            "SETID <key> <groupname> <id|$> [ENTRIESREAD <entries-read>]",
            "    Set the last id that a group was delivered.",
        ],
    );
    Ok(())
}

/// `XACK key group id [id …]`
pub(super) fn xack(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let stream = ctx.store.write_as::<Stream>(&key)?;
    let Some(group) = stream.and_then(|stream| stream.groups.get_mut(args.at(2))) else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let ids = parse_ids(args.from(3))?;
    let acknowledged = ids.into_iter().filter(|&id| group.acknowledge(id)).count();
    if acknowledged > 0 {
        ctx.store.changed_unwatched(&key);
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(acknowledged as i64);
    Ok(())
}
