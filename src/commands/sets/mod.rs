//! Sets.

mod algebra;
mod random;
#[cfg(test)]
pub(super) mod tests;

use super::elements::{removed, reply_element};
use super::scan::{Options, Scanned, cursor, matches, reply_scan};
use super::spec::{Begin, Categories, Find, Flags, KeyFlags, KeySpec, Spec};
use super::{CommandError, CommandResult, Context};
use crate::data::Set;
use crate::resp::{Args, Output, Reply};

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = READ.with(Flags::FAST);
const GROW: Flags = Flags::WRITE.with(Flags::DENYOOM);
const WRITE_FAST: Flags = Flags::WRITE.with(Flags::FAST);

const ASK_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO)];
const READ_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO_ACCESS)];
const READ_KEYS: &[KeySpec] = &[KeySpec::range(1, -1, 1, KeyFlags::RO_ACCESS)];
const STORE_KEYS: &[KeySpec] =
    &[KeySpec::at(1, KeyFlags::OW_UPDATE), KeySpec::range(2, -1, 1, KeyFlags::RO_ACCESS)];
const COUNTED_KEYS: &[KeySpec] = &[KeySpec {
    begin: Begin::Index(1),
    find: Find::Count { count: 0, first: 1, step: 1 },
    flags: KeyFlags::RO_ACCESS,
}];

const ANY_ORDER: &[&str] = &["nondeterministic_output_order"];
const ANY_OUTPUT: &[&str] = &["nondeterministic_output"];

const ALL_COST: &str = "O(N) in the members of all sets";
const INTERSECTION_COST: &str = "O(N*M) in the members of the smallest set and the number of sets";
const RANDOM_COST: &str = "O(N) in the count";

/// This family's part of the table.
pub static COMMANDS: [Spec; 17] = [
    row("sadd", -3, sadd, GROW.with(Flags::FAST), &[KeySpec::at(1, KeyFlags::RW_INSERT)])
        .syntax("key member...")
        .changes(&[("2.4.0", "Takes several members.")])
        .doc("set", "1.0.0", "O(N) in the members given", "Adds members."),
    row("scard", 2, scard, READ_FAST, ASK_KEY).syntax("key").doc(
        "set",
        "1.0.0",
        "O(1)",
        "The number of members.",
    ),
    row("sdiff", -2, algebra::sdiff, READ, READ_KEYS)
        .syntax("key...")
        .doc("set", "1.0.0", ALL_COST, "The members of the first set that no other one has.")
        .tips(ANY_ORDER),
    row("sdiffstore", -3, algebra::sdiffstore, GROW, STORE_KEYS)
        .syntax("destination:key key#1...")
        .doc(
            "set",
            "1.0.0",
            ALL_COST,
            "Stores the members of the first set that no other one has.",
        ),
    row("sinter", -2, algebra::sinter, READ, READ_KEYS)
        .syntax("key...")
        .doc("set", "1.0.0", INTERSECTION_COST, "The members that all sets have.")
        .tips(ANY_ORDER),
    row("sintercard", -3, algebra::sintercard, READ, COUNTED_KEYS)
        .syntax("numkeys:integer key... [LIMIT limit:integer]")
        .doc("set", "7.0.0", INTERSECTION_COST, "The number of members that all sets have."),
    row("sinterstore", -3, algebra::sinterstore, GROW, STORE_KEYS)
        .syntax("destination:key key#1...")
        .doc("set", "1.0.0", INTERSECTION_COST, "Stores the members that all sets have."),
    row("sismember", 3, sismember, READ_FAST, ASK_KEY).syntax("key member").doc(
        "set",
        "1.0.0",
        "O(1)",
        "Whether something is a member.",
    ),
    row("smembers", 2, smembers, READ, READ_KEY)
        .syntax("key")
        .doc("set", "1.0.0", "O(N) in the members", "All members.")
        .tips(ANY_ORDER),
    row("smismember", -3, smismember, READ_FAST, READ_KEY).syntax("key member...").doc(
        "set",
        "6.2.0",
        "O(N) in the members asked for",
        "Which of the arguments are members.",
    ),
    row(
        "smove",
        4,
        smove,
        WRITE_FAST,
        &[KeySpec::at(1, KeyFlags::RW_ACCESS_DELETE), KeySpec::at(2, KeyFlags::RW_INSERT)],
    )
    .syntax("source:key destination:key#1 member")
    .doc("set", "1.0.0", "O(1)", "Moves a member to another set."),
    row("spop", -2, random::spop, WRITE_FAST, &[KeySpec::at(1, KeyFlags::RW_ACCESS_DELETE)])
        .syntax("key [count:integer@3.2.0]")
        .doc("set", "1.0.0", RANDOM_COST, "Takes random members out.")
        .tips(ANY_OUTPUT),
    row("srandmember", -2, random::srandmember, READ, READ_KEY)
        .syntax("key [count:integer@2.6.0]")
        .doc("set", "1.0.0", RANDOM_COST, "Random members.")
        .tips(ANY_OUTPUT),
    row("srem", -3, srem, WRITE_FAST, &[KeySpec::at(1, KeyFlags::RW_DELETE)])
        .syntax("key member...")
        .changes(&[("2.4.0", "Takes several members.")])
        .doc("set", "1.0.0", "O(N) in the members given", "Removes members."),
    row("sscan", -3, sscan, READ, READ_KEY)
        .syntax("key cursor:integer [MATCH pattern] [COUNT count:integer]")
        .doc("set", "2.8.0", "O(1) a call, O(N) for all members", "Walks over the members.")
        .tips(ANY_OUTPUT),
    row("sunion", -2, algebra::sunion, READ, READ_KEYS)
        .syntax("key...")
        .doc("set", "1.0.0", ALL_COST, "The members that any of the sets has.")
        .tips(ANY_ORDER),
    row("sunionstore", -3, algebra::sunionstore, GROW, STORE_KEYS)
        .syntax("destination:key key#1...")
        .doc("set", "1.0.0", ALL_COST, "Stores the members that any of the sets has."),
];

const fn row(
    name: &'static str,
    arity: i16,
    run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
    flags: Flags,
    keys: &'static [KeySpec],
) -> Spec {
    Spec::data(name, arity, run).flags(flags, Categories::SET).keys(keys)
}

/// Replies with all members.
fn reply_members(reply: &mut Reply<'_>, set: Option<&Set>) {
    reply.set(set.map_or(0, Set::len));
    set.into_iter().flatten().for_each(|member| reply_element(reply, member));
}

/// `SADD key member [member …]`
fn sadd(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (key, members) = (ctx.store.key(args.at(1)), args.from(2));
    let limits = &ctx.settings.limits;
    let make = || Set::for_members(&members[0], members.len(), limits);
    let set = ctx.store.write_or_create(&key, make)?;
    // Only what has an effect may change the encoding, or a replay would give another one.
    if set.is_too_small_for(members.len(), limits)
        && members.iter().any(|member| !set.contains(member))
    {
        set.make_table(limits.hasher);
    }
    let added = members.iter().filter(|member| set.insert(member, limits)).count();
    if added > 0 {
        ctx.store.changed(&key);
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(added as i64);
    Ok(())
}

/// `SREM key member [member …]`
fn srem(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(args.at(1));
    let mut count = 0;
    if let Some(set) = ctx.store.write_as::<Set>(&key)? {
        count = args.from(2).iter().filter(|member| set.remove(member)).count();
        let is_empty = set.is_empty();
        if count > 0 {
            removed(ctx, &key, is_empty);
            ctx.store.effect_verbatim(args);
        }
    }
    ctx.reply.integer(count as i64);
    Ok(())
}

/// `SMOVE source destination member`
fn smove(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (source, destination) = (ctx.store.key(args.at(1)), ctx.store.key(args.at(2)));
    let (member, limits) = (args.at(3), &ctx.settings.limits);
    let moves = match ctx.store.write_as::<Set>(&source)? {
        None => false,
        Some(set) => {
            let is_member = set.contains(member);
            ctx.store.write_as::<Set>(&destination)?;
            is_member
        }
    };
    if moves && source.bytes != destination.bytes {
        let set = ctx.store.write_as::<Set>(&source)?.expect("it has the member");
        set.remove(member);
        let is_empty = set.is_empty();
        removed(ctx, &source, is_empty);
        let make = || Set::for_members(member, 1, limits);
        if ctx.store.write_or_create(&destination, make)?.insert(member, limits) {
            ctx.store.changed(&destination);
        }
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(i64::from(moves));
    Ok(())
}

/// `SCARD key`
fn scard(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(args.at(1));
    let len = ctx.store.read_as::<Set>(&key)?.map_or(0, Set::len);
    ctx.reply.integer(len as i64);
    Ok(())
}

/// `SISMEMBER key member`
fn sismember(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(args.at(1));
    let is_member = ctx.store.read_as::<Set>(&key)?.is_some_and(|set| set.contains(&args[2]));
    ctx.reply.integer(i64::from(is_member));
    Ok(())
}

/// `SMISMEMBER key member [member …]`
fn smismember(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(args.at(1));
    let set = ctx.store.read_as::<Set>(&key)?;
    ctx.reply.array(args.len() - 2);
    for member in args.from(2).iter() {
        ctx.reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

/// `SMEMBERS key`
fn smembers(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(args.at(1));
    let set = ctx.store.read_as::<Set>(&key)?;
    reply_members(&mut ctx.reply, set);
    Ok(())
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
fn sscan(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let cursor = cursor(&args[2])?;
    let key = ctx.store.key(args.at(1));
    let (mut found, mut members, mut next) = (0, Output::default(), 0);
    let mut list = Reply::new(&mut members, ctx.reply.protocol());
    // The options are parsed only if the key exists, as in Redis.
    if let Some(set) = ctx.store.read_as::<Set>(&key)? {
        let options = Options::parse(args.from(3), Scanned::Members)?;
        next = set.scan(cursor, options.count, |member| {
            if member.with_bytes(|bytes| matches(options.pattern, bytes)) {
                reply_element(&mut list, member);
                found += 1;
            }
        });
    }
    reply_scan(&mut ctx.reply, next, found, members);
    Ok(())
}
