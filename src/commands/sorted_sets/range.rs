//! Ranges of ranks, scores and members.

use super::{
    CommandError, CommandResult, Context, SortedSet, lex_range, rank_range, reply_entry,
    reply_header, score_range, store,
};
use crate::commands::numbers::integer;
use crate::data::Limits;
use crate::data::sorted_set::{LexRange, ScoreRange};
use crate::resp::Args;

/// What a range is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// The bounds of a range.
enum Bounds<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Members(LexRange<'a>),
}

/// A range as arguments give it.
struct Query<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    with_scores: bool,
    /// How many elements to pass over.
    offset: i64,
    /// How many to take at most; all if negative.
    limit: i64,
}

/// Elements one after the other: as many as `count` from rank `first` on, or from there down.
struct Run {
    first: usize,
    count: usize,
    reverse: bool,
}

/// `ZRANGE key min max [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
pub(super) fn zrange(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_range(ctx, args, None, None)
}

/// `ZREVRANGE key start stop [WITHSCORES]`
pub(super) fn zrevrange(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_range(ctx, args, Some(By::Rank), Some(true))
}

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`
pub(super) fn zrangebyscore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_range(ctx, args, Some(By::Score), Some(false))
}

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`
pub(super) fn zrevrangebyscore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_range(ctx, args, Some(By::Score), Some(true))
}

/// `ZRANGEBYLEX key min max [LIMIT offset count]`
pub(super) fn zrangebylex(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_range(ctx, args, Some(By::Lex), Some(false))
}

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`
pub(super) fn zrevrangebylex(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply_range(ctx, args, Some(By::Lex), Some(true))
}

fn reply_range(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    by: Option<By>,
    reverse: Option<bool>,
) -> CommandResult {
    let query = Query::parse(args.from(2), by, reverse, false)?;
    let key = ctx.store.key(&args[1]);
    let Some(set) = ctx.store.read_as::<SortedSet>(&key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let Run { first, count, reverse } = query.run(set);
    reply_header(&mut ctx.reply, count, query.with_scores);
    for entry in set.iter(first, count, reverse) {
        reply_entry(&mut ctx.reply, entry, query.with_scores);
    }
    Ok(())
}

/// `ZRANGESTORE destination source min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]`
pub(super) fn zrangestore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let query = Query::parse(args.from(3), None, None, true)?;
    let limits = &ctx.settings.limits;
    let source = ctx.store.key(&args[2]);
    let result = match ctx.store.read_as::<SortedSet>(&source)? {
        Some(set) => query.copy(set, limits),
        None => SortedSet::new(0, 0, limits),
    };
    let destination = ctx.store.key(&args[1]);
    if store(ctx, &destination, result) {
        ctx.store.effect_verbatim(args);
    }
    Ok(())
}

impl<'a> Query<'a> {
    /// Reads the bounds and what follows them. `by` and `reverse` are what the command's name says.
    fn parse(
        args: Args<'a>,
        by: Option<By>,
        reverse: Option<bool>,
        is_store: bool,
    ) -> Result<Self, CommandError> {
        const LIMIT_OF_RANKS: CommandError = CommandError::fixed(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        );
        const SCORES_BY_LEX: CommandError = CommandError::fixed(
            "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        );
        let (mut chosen_by, mut chosen_reverse) = (by, reverse);
        let (mut offset, mut limit, mut with_scores) = (0, -1, false);
        let mut options = args.from(2);
        while let Some(option) = options.get(0) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            let mut taken = 1;
            if !is_store && is(b"WITHSCORES") {
                with_scores = true;
            } else if is(b"LIMIT") && options.len() > 2 {
                (offset, limit) = (integer(&options[1])?, integer(&options[2])?);
                taken = 3;
            } else if chosen_reverse.is_none() && is(b"REV") {
                chosen_reverse = Some(true);
            } else if chosen_by.is_none() && is(b"BYLEX") {
                chosen_by = Some(By::Lex);
            } else if chosen_by.is_none() && is(b"BYSCORE") {
                chosen_by = Some(By::Score);
            } else {
                return Err(CommandError::SYNTAX);
            }
            options = options.from(taken);
        }
        let (by, reverse) = (chosen_by.unwrap_or(By::Rank), chosen_reverse.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(LIMIT_OF_RANKS);
        }
        if with_scores && by == By::Lex {
            return Err(SCORES_BY_LEX);
        }
        let (low, high) = if reverse { (args.at(1), args.at(0)) } else { (args.at(0), args.at(1)) };
        let bounds = match by {
            By::Rank => Bounds::Ranks(integer(&args[0])?, integer(&args[1])?),
            By::Score => Bounds::Scores(score_range(low, high)?),
            By::Lex => Bounds::Members(lex_range(low, high)?),
        };
        Ok(Self { bounds, reverse, with_scores, offset, limit })
    }

    /// The elements of a sorted set that this asks for.
    fn run(&self, set: &SortedSet) -> Run {
        let reverse = self.reverse;
        let ranks = match &self.bounds {
            &Bounds::Ranks(start, end) => {
                let ranks = rank_range(start, end, set.len());
                // Backwards, ranks count from the end.
                let first = if reverse && !ranks.is_empty() {
                    set.len() - 1 - ranks.start
                } else {
                    ranks.start
                };
                return Run { first, count: ranks.len(), reverse };
            }
            Bounds::Scores(range) => set.ranks_by_score(range),
            Bounds::Members(range) => set.ranks_by_lex(range, reverse),
        };
        // How many elements of the range come first, and how many are left then.
        let (skipped, left) = match usize::try_from(self.offset) {
            Ok(offset) if offset < ranks.len() => (offset, ranks.len() - offset),
            Ok(_) => (0, 0),
            // A negative offset finds nothing in a listpack. In a skiplist it counts from the other
            // end of the range, and the walk does not stop at this one.
            Err(_) => {
                let from_other_end = usize::try_from(!self.offset).unwrap_or(usize::MAX);
                match ranks.len().checked_sub(from_other_end + 1) {
                    Some(skipped) if set.as_listpack().is_none() => {
                        (skipped, ranks.len() - skipped)
                    }
                    _ => (0, 0),
                }
            }
        };
        let count = usize::try_from(self.limit).map_or(left, |limit| limit.min(left));
        let first = match count {
            0 => 0,
            _ if reverse => ranks.end - 1 - skipped,
            _ => ranks.start + skipped,
        };
        Run { first, count, reverse }
    }

    /// The same elements as a sorted set.
    fn copy(&self, set: &SortedSet, limits: &Limits) -> SortedSet {
        let Run { first, count, reverse } = self.run(set);
        // A length that is known decides on the encoding, as in Redis.
        let len = if matches!(self.bounds, Bounds::Ranks(..)) { count } else { 0 };
        let mut result = SortedSet::new(len, 0, limits);
        for entry in set.iter(first, count, reverse) {
            entry.member.with_bytes(|member| {
                if reverse {
                    result.set(member, entry.score, limits);
                } else {
                    result.push_back(member, entry.score, limits);
                }
            });
        }
        result
    }
}
