//! Unions, intersections and differences.

use super::{
    CommandError, CommandResult, Context, Key, SortedSet, reply_entry, reply_header, store,
};
use crate::commands::numbers::{at_least, integer};
use crate::data::Set;
use crate::data::sorted_set::Builder;
use crate::keyspace::Value;
use crate::resp::{Args, parse_double};

/// How inputs are combined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Reply,
    Store,
    Count,
}

/// How the scores of one member are made one.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            // By convention, infinities that cancel each other out make zero.
            Aggregate::Sum => number_or_zero(a + b),
            Aggregate::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Aggregate::Max => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }
}

fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What follows the keys.
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// Of how many members to count; 0 means all.
    limit: usize,
}

impl Options {
    fn parse(
        args: Args<'_>,
        key_count: usize,
        operation: Operation,
        purpose: Purpose,
    ) -> Result<Self, CommandError> {
        const BAD_WEIGHT: CommandError = CommandError::fixed("ERR weight value is not a float");
        const NEGATIVE: CommandError = CommandError::fixed("ERR LIMIT can't be negative");
        let mut options = Self {
            weights: vec![1.0; key_count],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
        };
        let has_scores = operation != Operation::Difference && purpose != Purpose::Count;
        let mut rest = args;
        while let Some(option) = rest.get(0) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            let taken;
            if has_scores && rest.len() > key_count && is(b"WEIGHTS") {
                for (weight, arg) in options.weights.iter_mut().zip(rest.from(1).iter()) {
                    *weight = parse_double(arg).ok_or(BAD_WEIGHT)?;
                }
                taken = 1 + key_count;
            } else if has_scores && rest.len() > 1 && is(b"AGGREGATE") {
                options.aggregate = match &rest[1] {
                    name if name.eq_ignore_ascii_case(b"SUM") => Aggregate::Sum,
                    name if name.eq_ignore_ascii_case(b"MIN") => Aggregate::Min,
                    name if name.eq_ignore_ascii_case(b"MAX") => Aggregate::Max,
                    _ => return Err(CommandError::SYNTAX),
                };
                taken = 2;
            } else if purpose == Purpose::Reply && is(b"WITHSCORES") {
                options.with_scores = true;
                taken = 1;
            } else if purpose == Purpose::Count && rest.len() > 1 && is(b"LIMIT") {
                options.limit = at_least(0, &rest[1], NEGATIVE)?;
                taken = 2;
            } else {
                return Err(CommandError::SYNTAX);
            }
            rest = rest.from(taken);
        }
        Ok(options)
    }
}

/// An input: a sorted set, or a set, whose members all have the score 1.
#[derive(Clone, Copy)]
enum Input<'a> {
    Nothing,
    Sorted(&'a SortedSet),
    Set(&'a Set),
}

impl Input<'_> {
    fn len(self) -> usize {
        match self {
            Input::Nothing => 0,
            Input::Sorted(set) => set.len(),
            Input::Set(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Input::Nothing => None,
            Input::Sorted(set) => set.score(member),
            Input::Set(set) => set.contains(member).then_some(1.0),
        }
    }

    /// Visits all members and their scores, as long as `visit` gives true.
    fn visit(self, mut visit: impl FnMut(&[u8], f64) -> bool) {
        match self {
            Input::Nothing => {}
            Input::Sorted(set) => {
                for entry in set.iter(0, usize::MAX, false) {
                    if !entry.member.with_bytes(|member| visit(member, entry.score)) {
                        return;
                    }
                }
            }
            Input::Set(set) => {
                for member in set.iter() {
                    if !member.with_bytes(|member| visit(member, 1.0)) {
                        return;
                    }
                }
            }
        }
    }
}

/// The members of the first input that are in no other one.
fn difference(inputs: &[Input<'_>], result: &mut Builder) {
    let Some((&first, others)) = inputs.split_first() else { return };
    let all: usize = inputs.iter().map(|input| input.len()).sum();
    if first.len() * inputs.len() / 2 <= all {
        first.visit(|member, score| {
            if others.iter().all(|other| other.score(member).is_none()) {
                result.merge(member, score, |_| score);
            }
            true
        });
        return;
    }
    // The others are so much smaller that it is less work to take their members out.
    first.visit(|member, score| {
        result.merge(member, score, |_| score);
        true
    });
    for other in others {
        other.visit(|member, _| {
            result.remove(member);
            !result.is_empty()
        });
    }
}

/// Visits the members that all inputs have, with their scores, as long as `visit` gives true.
fn intersection(
    inputs: &[(Input<'_>, f64)],
    aggregate: Aggregate,
    mut visit: impl FnMut(&[u8], f64) -> bool,
) {
    let Some((&(first, weight), others)) = inputs.split_first() else { return };
    first.visit(|member, score| {
        let mut total = number_or_zero(weight * score);
        for (other, weight) in others {
            let Some(score) = other.score(member) else { return true };
            total = aggregate.of(total, weight * score);
        }
        visit(member, total)
    });
}

/// The members that any input has.
fn union(inputs: &[(Input<'_>, f64)], aggregate: Aggregate, result: &mut Builder) {
    for (input, weight) in inputs {
        input.visit(|member, score| {
            let score = number_or_zero(weight * score);
            result.merge(member, score, |present| aggregate.of(present, score));
            true
        });
    }
}

/// `ZUNION numkeys key [key …] [WEIGHTS weight …] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]`
pub(super) fn zunion(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    combine(ctx, args, "zunion", Operation::Union, Purpose::Reply)
}

/// `ZINTER numkeys key [key …] [WEIGHTS weight …] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]`
pub(super) fn zinter(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    combine(ctx, args, "zinter", Operation::Intersection, Purpose::Reply)
}

/// `ZDIFF numkeys key [key …] [WITHSCORES]`
pub(super) fn zdiff(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    combine(ctx, args, "zdiff", Operation::Difference, Purpose::Reply)
}

/// `ZINTERCARD numkeys key [key …] [LIMIT limit]`
pub(super) fn zintercard(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    combine(ctx, args, "zintercard", Operation::Intersection, Purpose::Count)
}

/// `ZUNIONSTORE destination numkeys key [key …] [WEIGHTS weight …] [AGGREGATE SUM|MIN|MAX]`
pub(super) fn zunionstore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    combine(ctx, args, "zunionstore", Operation::Union, Purpose::Store)
}

/// `ZINTERSTORE destination numkeys key [key …] [WEIGHTS weight …] [AGGREGATE SUM|MIN|MAX]`
pub(super) fn zinterstore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    combine(ctx, args, "zinterstore", Operation::Intersection, Purpose::Store)
}

/// `ZDIFFSTORE destination numkeys key [key …]`
pub(super) fn zdiffstore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    combine(ctx, args, "zdiffstore", Operation::Difference, Purpose::Store)
}

fn combine(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    name: &str,
    operation: Operation,
    purpose: Purpose,
) -> CommandResult {
    let counted = args.from(if purpose == Purpose::Store { 2 } else { 1 });
    let key_count = integer(&counted[0])?;
    if key_count < 1 {
        let text = format!("ERR at least 1 input key is needed for '{name}' command");
        return Err(CommandError::new(text));
    }
    let key_count = usize::try_from(key_count).map_err(|_| CommandError::SYNTAX)?;
    if key_count > counted.len() - 1 {
        return Err(CommandError::SYNTAX);
    }
    let names = counted.from(1).iter().take(key_count);
    let keys: Vec<Key<'_>> = names.map(|name| ctx.store.key(name)).collect();
    for key in &keys {
        let entry = ctx.store.read(key);
        let fits = |value| matches!(value, Value::SortedSet(_) | Value::Set(_));
        if entry.is_some_and(|entry| !fits(entry.value())) {
            return Err(CommandError::WRONG_TYPE);
        }
    }
    let options = Options::parse(counted.from(1 + key_count), key_count, operation, purpose)?;
    let inputs = keys.iter().map(|key| match ctx.store.looked_up(key).map(|e| e.value()) {
        Some(Value::SortedSet(set)) => Input::Sorted(set),
        Some(Value::Set(set)) => Input::Set(set),
        _ => Input::Nothing,
    });
    let limits = &ctx.settings.limits;
    if purpose == Purpose::Count {
        let count = count(inputs.map(|input| (input, 1.0)).collect(), options.limit);
        ctx.reply.integer(count as i64);
        return Ok(());
    }
    let mut result = Builder::new(limits);
    if operation == Operation::Difference {
        difference(&inputs.collect::<Vec<_>>(), &mut result);
    } else {
        let mut weighted: Vec<_> = inputs.zip(options.weights.iter().copied()).collect();
        // The order decides how sums are rounded, besides how much there is to do.
        weighted.sort_by_key(|(input, _)| input.len());
        if operation == Operation::Union {
            union(&weighted, options.aggregate, &mut result);
        } else {
            intersection(&weighted, options.aggregate, |member, score| {
                result.merge(member, score, |_| score);
                true
            });
        }
    }
    if purpose == Purpose::Store {
        let destination = ctx.store.key(args.at(1));
        if store(ctx, &destination, result.finish()) {
            ctx.store.effect_verbatim(args);
        }
    } else {
        reply_header(&mut ctx.reply, result.len(), options.with_scores);
        result.visit(|entry| reply_entry(&mut ctx.reply, entry, options.with_scores));
    }
    Ok(())
}

/// How many members are in all inputs; no more than `limit` are counted, unless that is 0.
fn count(mut inputs: Vec<(Input<'_>, f64)>, limit: usize) -> usize {
    inputs.sort_by_key(|(input, _)| input.len());
    let mut count = 0;
    intersection(&inputs, Aggregate::Sum, |_, _| {
        count += 1;
        count != limit
    });
    count
}
