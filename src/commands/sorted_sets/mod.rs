//! Sorted sets.

mod add;
mod combine;
mod pop;
mod random;
mod range;
mod read;
mod remove;
#[cfg(test)]
pub(super) mod tests;

pub(super) use add::zadd;

use super::elements::reply_element;
use super::spec::{Categories, Flags, KeyFlags, KeySpec, Spec};
use super::{CommandError, CommandResult, Context, Key};
use crate::data::SortedSet;
use crate::data::sorted_set::{Entry, LexBound, LexRange, ScoreRange};
use crate::resp::double::parse_double_prefix;
use crate::resp::{Args, Protocol, Reply};

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.with(Flags::FAST);
const GROW: Flags = Flags::WRITE.with(Flags::DENYOOM);
const GROW_FAST: Flags = GROW.with(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.with(Flags::FAST);

const READ_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO_ACCESS)];
const DELETE_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RW_DELETE)];
const POP_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RW_ACCESS_DELETE)];
const POP_KEYS: &[KeySpec] = &[KeySpec::range(1, -2, 1, KeyFlags::RW_ACCESS_DELETE)];
const READ_KEYS: &[KeySpec] = &[KeySpec::counted(1, KeyFlags::RO_ACCESS)];
const STORE_KEYS: &[KeySpec] =
    &[KeySpec::at(1, KeyFlags::OW_UPDATE), KeySpec::counted(2, KeyFlags::RO_ACCESS)];

const RANGE_COST: &str = "O(log(N)+M) in all elements and those returned";
const POP_COST: &str = "O(log(N)*M) in all elements and those taken";
const MULTI_POP_COST: &str = "O(K)+O(M*log(N)) in keys, elements taken and all elements";
const UNION_COST: &str = "O(N)+O(M*log(M)) in the elements of all inputs, and of the result";
const INTERSECTION_COST: &str =
    "O(N*K)+O(M*log(M)) in the elements of the smallest input, inputs, and elements of the result";
const DIFFERENCE_COST: &str =
    "O(L+(N-K)*log(N)) in the elements of all inputs, of the first one, and of the result";

/// This family's part of the table.
pub static COMMANDS: [Spec; 35] = [
    row("bzmpop", -5, pop::bzmpop, BLOCKING, &[KeySpec::counted(2, KeyFlags::RW_ACCESS_DELETE)])
        .syntax("timeout:double numkeys:integer key... where<MIN|MAX> [COUNT count:integer]")
        .doc(
            "sorted-set",
            "7.0.0",
            MULTI_POP_COST,
            "Takes elements from an end of the first sorted set that has any, or waits for one.",
        ),
    row("bzpopmax", -3, pop::bzpopmax, BLOCKING.with(Flags::FAST), POP_KEYS)
        .syntax("key... timeout:double")
        .changes(&[("6.0.0", "The timeout may have a fraction.")])
        .doc(
            "sorted-set",
            "5.0.0",
            "O(log(N)) in the elements",
            "Takes the element with the highest score, or waits for one.",
        ),
    row("bzpopmin", -3, pop::bzpopmin, BLOCKING.with(Flags::FAST), POP_KEYS)
        .syntax("key... timeout:double")
        .changes(&[("6.0.0", "The timeout may have a fraction.")])
        .doc(
            "sorted-set",
            "5.0.0",
            "O(log(N)) in the elements",
            "Takes the element with the lowest score, or waits for one.",
        ),
    row("zadd", -4, add::zadd, GROW_FAST, &[KeySpec::at(1, KeyFlags::RW_UPDATE)])
        .syntax(
            "key [condition<NX|XX>@3.0.2] [comparison<GT|LT>@6.2.0] [change=CH@3.0.2] \
             [increment=INCR@3.0.2] score_member(score:double member)...",
        )
        .changes(&[("2.4.0", "Takes several members.")])
        .doc(
            "sorted-set",
            "1.2.0",
            "O(log(N)) for each member, in the elements",
            "Adds members, or changes their scores.",
        ),
    row("zcard", 2, read::zcard, READ_FAST, &[KeySpec::at(1, KeyFlags::RO)]).syntax("key").doc(
        "sorted-set",
        "1.2.0",
        "O(1)",
        "How many elements there are.",
    ),
    row("zcount", 4, read::zcount, READ_FAST, READ_KEY).syntax("key min:double max:double").doc(
        "sorted-set",
        "2.0.0",
        "O(log(N)) in the elements",
        "How many elements have scores in a range.",
    ),
    row("zdiff", -3, combine::zdiff, READ, READ_KEYS)
        .syntax("numkeys:integer key... [WITHSCORES]")
        .doc(
            "sorted-set",
            "6.2.0",
            DIFFERENCE_COST,
            "The elements of the first sorted set whose members are in no other.",
        ),
    row("zdiffstore", -4, combine::zdiffstore, GROW, STORE_KEYS)
        .syntax("destination:key numkeys:integer key#1...")
        .doc(
            "sorted-set",
            "6.2.0",
            DIFFERENCE_COST,
            "Stores the elements of the first sorted set whose members are in no other.",
        ),
    row("zincrby", 4, add::zincrby, GROW_FAST, &[KeySpec::at(1, KeyFlags::RW_ACCESS_UPDATE)])
        .syntax("key increment:integer member")
        .doc("sorted-set", "1.2.0", "O(log(N)) in the elements", "Adds to a member's score."),
    row("zinter", -3, combine::zinter, READ, READ_KEYS)
        .syntax(
            "numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE \
             aggregate<SUM|MIN|MAX>] [WITHSCORES]",
        )
        .doc(
            "sorted-set",
            "6.2.0",
            INTERSECTION_COST,
            "The elements whose members are in all sorted sets.",
        ),
    row("zintercard", -3, combine::zintercard, READ, READ_KEYS)
        .syntax("numkeys:integer key... [LIMIT limit:integer]")
        .doc(
            "sorted-set",
            "7.0.0",
            "O(N*K) in the elements of the smallest input, and inputs",
            "How many members are in all sorted sets.",
        ),
    row("zinterstore", -4, combine::zinterstore, GROW, STORE_KEYS)
        .syntax(
            "destination:key numkeys:integer key#1... [WEIGHTS weight:integer...] [AGGREGATE \
             aggregate<SUM|MIN|MAX>]",
        )
        .doc(
            "sorted-set",
            "2.0.0",
            INTERSECTION_COST,
            "Stores the elements whose members are in all sorted sets.",
        ),
    row("zlexcount", 4, read::zlexcount, READ_FAST, READ_KEY).syntax("key min max").doc(
        "sorted-set",
        "2.8.9",
        "O(log(N)) in the elements",
        "How many members are in a range, where all scores are the same.",
    ),
    row("zmpop", -4, pop::zmpop, Flags::WRITE, &[KeySpec::counted(1, KeyFlags::RW_ACCESS_DELETE)])
        .syntax("numkeys:integer key... where<MIN|MAX> [COUNT count:integer]")
        .doc(
            "sorted-set",
            "7.0.0",
            MULTI_POP_COST,
            "Takes elements from an end of the first sorted set that has any.",
        ),
    row("zmscore", -3, read::zmscore, READ_FAST, READ_KEY).syntax("key member...").doc(
        "sorted-set",
        "6.2.0",
        "O(N) in the members asked for",
        "The scores of members.",
    ),
    row("zpopmax", -2, pop::zpopmax, WRITE_FAST, POP_KEY).syntax("key [count:integer]").doc(
        "sorted-set",
        "5.0.0",
        POP_COST,
        "Takes the elements with the highest scores.",
    ),
    row("zpopmin", -2, pop::zpopmin, WRITE_FAST, POP_KEY).syntax("key [count:integer]").doc(
        "sorted-set",
        "5.0.0",
        POP_COST,
        "Takes the elements with the lowest scores.",
    ),
    row("zrandmember", -2, random::zrandmember, READ, READ_KEY)
        .syntax("key [options(count:integer [WITHSCORES])]")
        .doc("sorted-set", "6.2.0", "O(N) in the elements returned", "Any elements.")
        .tips(&["nondeterministic_output"]),
    row("zrange", -4, range::zrange, READ, READ_KEY)
        .syntax(
            "key start stop [sortby<BYSCORE|BYLEX>@6.2.0] [REV@6.2.0] [LIMIT \
             offset_count(offset:integer count:integer)@6.2.0] [WITHSCORES]",
        )
        .doc(
            "sorted-set",
            "1.2.0",
            RANGE_COST,
            "The elements of a range of ranks, scores or members.",
        ),
    row("zrangebylex", -4, range::zrangebylex, READ, READ_KEY)
        .syntax("key min max [LIMIT offset_count(offset:integer count:integer)]")
        .doc("sorted-set", "2.8.9", RANGE_COST, "The elements of a range of members.")
        .deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    row("zrangebyscore", -4, range::zrangebyscore, READ, READ_KEY)
        .syntax(
            "key min:double max:double [WITHSCORES@2.0.0] [LIMIT offset_count(offset:integer \
             count:integer)]",
        )
        .doc("sorted-set", "1.0.5", RANGE_COST, "The elements of a range of scores.")
        .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument"),
    row(
        "zrangestore",
        -5,
        range::zrangestore,
        GROW,
        &[KeySpec::at(1, KeyFlags::OW_UPDATE), KeySpec::at(2, KeyFlags::RO_ACCESS)],
    )
    .syntax(
        "dst:key src:key#1 min max [sortby<BYSCORE|BYLEX>] [REV] [LIMIT \
         offset_count(offset:integer count:integer)]",
    )
    .doc(
        "sorted-set",
        "6.2.0",
        "O(log(N)+M) in all elements and those stored",
        "Stores the elements of a range of ranks, scores or members.",
    ),
    row("zrank", -3, read::zrank, READ_FAST, READ_KEY).syntax("key member [WITHSCORE@7.2.0]").doc(
        "sorted-set",
        "2.0.0",
        "O(log(N)) in the elements",
        "How many elements are before a member.",
    ),
    row("zrem", -3, remove::zrem, WRITE_FAST, DELETE_KEY)
        .syntax("key member...")
        .changes(&[("2.4.0", "Takes several members.")])
        .doc(
            "sorted-set",
            "1.2.0",
            "O(M*log(N)) in the members to remove, and the elements",
            "Removes members.",
        ),
    row("zremrangebylex", 4, remove::zremrangebylex, Flags::WRITE, DELETE_KEY)
        .syntax("key min max")
        .doc(
            "sorted-set",
            "2.8.9",
            "O(log(N)+M) in all elements and those removed",
            "Removes the elements of a range of members, where all scores are the same.",
        ),
    row("zremrangebyrank", 4, remove::zremrangebyrank, Flags::WRITE, DELETE_KEY)
        .syntax("key start:integer stop:integer")
        .doc(
            "sorted-set",
            "2.0.0",
            "O(log(N)+M) in all elements and those removed",
            "Removes the elements of a range of ranks.",
        ),
    row("zremrangebyscore", 4, remove::zremrangebyscore, Flags::WRITE, DELETE_KEY)
        .syntax("key min:double max:double")
        .doc(
            "sorted-set",
            "1.2.0",
            "O(log(N)+M) in all elements and those removed",
            "Removes the elements of a range of scores.",
        ),
    row("zrevrange", -4, range::zrevrange, READ, READ_KEY)
        .syntax("key start:integer stop:integer [WITHSCORES]")
        .doc("sorted-set", "1.2.0", RANGE_COST, "The elements of a range of ranks, from the end.")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` argument"),
    row("zrevrangebylex", -4, range::zrevrangebylex, READ, READ_KEY)
        .syntax("key max min [LIMIT offset_count(offset:integer count:integer)]")
        .doc("sorted-set", "2.8.9", RANGE_COST, "The elements of a range of members, backwards.")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
    row("zrevrangebyscore", -4, range::zrevrangebyscore, READ, READ_KEY)
        .syntax(
            "key max:double min:double [WITHSCORES] [LIMIT offset_count(offset:integer \
             count:integer)]",
        )
        .doc("sorted-set", "2.2.0", RANGE_COST, "The elements of a range of scores, backwards.")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
    row("zrevrank", -3, read::zrevrank, READ_FAST, READ_KEY)
        .syntax("key member [WITHSCORE@7.2.0]")
        .doc(
            "sorted-set",
            "2.0.0",
            "O(log(N)) in the elements",
            "How many elements are behind a member.",
        ),
    row("zscan", -3, read::zscan, READ, READ_KEY)
        .syntax("key cursor:integer [MATCH pattern] [COUNT count:integer] [NOSCORES@8.0.0]")
        .doc(
            "sorted-set",
            "2.8.0",
            "O(1) a call, O(N) for all elements",
            "Walks over the elements.",
        )
        .tips(&["nondeterministic_output"]),
    row("zscore", 3, read::zscore, READ_FAST, READ_KEY).syntax("key member").doc(
        "sorted-set",
        "1.2.0",
        "O(1)",
        "A member's score.",
    ),
    row("zunion", -3, combine::zunion, READ, READ_KEYS)
        .syntax(
            "numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE \
             aggregate<SUM|MIN|MAX>] [WITHSCORES]",
        )
        .doc(
            "sorted-set",
            "6.2.0",
            UNION_COST,
            "The elements whose members are in any of the sorted sets.",
        ),
    row("zunionstore", -4, combine::zunionstore, GROW, STORE_KEYS)
        .syntax(
            "destination:key numkeys:integer key#1... [WEIGHTS weight:integer...] [AGGREGATE \
             aggregate<SUM|MIN|MAX>]",
        )
        .doc(
            "sorted-set",
            "2.0.0",
            UNION_COST,
            "Stores the elements whose members are in any of the sorted sets.",
        ),
];

const BLOCKING: Flags = Flags::WRITE.with(Flags::BLOCKING);

const fn row(
    name: &'static str,
    arity: i16,
    run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
    flags: Flags,
    keys: &'static [KeySpec],
) -> Spec {
    Spec::data(name, arity, run).flags(flags, Categories::SORTEDSET).keys(keys)
}

/// Replies with the header of `len` elements: of an array, in which scores are elements of their own
/// in RESP2.
fn reply_header(reply: &mut Reply<'_>, len: usize, with_scores: bool) {
    let is_flat = with_scores && reply.protocol() == Protocol::Resp2;
    reply.array(if is_flat { len * 2 } else { len });
}

/// Replies with one of those elements.
fn reply_entry(reply: &mut Reply<'_>, entry: Entry<'_>, with_scores: bool) {
    if with_scores && reply.protocol() == Protocol::Resp3 {
        reply.array(2);
    }
    reply_element(reply, entry.member);
    if with_scores {
        reply.double(entry.score);
    }
}

/// Records that a sorted set has lost elements, and deletes it if none are left.
fn removed(ctx: &mut Context<'_>, key: &Key<'_>) {
    if !ctx.store.delete_if_empty::<SortedSet>(key) {
        ctx.store.changed(key);
    }
}

/// Stores the result of a command in place of whatever `key` holds, or deletes that if there is none, and
/// replies with the number of elements. True if anything has changed.
pub(super) fn store(ctx: &mut Context<'_>, key: &Key<'_>, result: SortedSet) -> bool {
    let len = result.len();
    ctx.reply.integer(len as i64);
    if len == 0 {
        return ctx.store.delete(key);
    }
    ctx.store.put(key, result, None);
    true
}

/// A range of scores.
fn score_range(min: &[u8], max: &[u8]) -> Result<ScoreRange, CommandError> {
    const NOT_FLOAT: CommandError = CommandError::fixed("ERR min or max is not a float");
    let bound = |arg: &[u8]| {
        let (text, is_exclusive) = match arg {
            [b'(', text @ ..] => (text, true),
            text => (text, false),
        };
        // As C's strings end: at the first NUL.
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        let prefix = parse_double_prefix(text);
        let is_number = prefix.len == text.len() && !prefix.number.is_nan();
        if is_number { Ok((prefix.number, is_exclusive)) } else { Err(NOT_FLOAT) }
    };
    let ((min, excludes_min), (max, excludes_max)) = (bound(min)?, bound(max)?);
    Ok(ScoreRange { min, excludes_min, max, excludes_max })
}

/// A range of members.
fn lex_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, CommandError> {
    const NOT_VALID: CommandError =
        CommandError::fixed("ERR min or max not valid string range item");
    let bound = |arg: &'a [u8]| match arg {
        // As C's strings end: at the first NUL.
        [b'+'] | [b'+', 0, ..] => Ok(LexBound::Highest),
        [b'-'] | [b'-', 0, ..] => Ok(LexBound::Lowest),
        [b'(', member @ ..] => Ok(LexBound::Exclusive(member)),
        [b'[', member @ ..] => Ok(LexBound::Inclusive(member)),
        _ => Err(NOT_VALID),
    };
    Ok(LexRange { min: bound(min)?, max: bound(max)? })
}

/// The ranks from `start` to `end`, inclusive, of `len` elements; negative ones count from the end.
fn rank_range(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    let from_start = |rank: i64| if rank < 0 { len.saturating_add(rank) } else { rank };
    let (start, end) = (from_start(start).max(0), from_start(end).min(len - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}
