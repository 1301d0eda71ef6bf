//! Adding members and changing scores.

use super::{CommandError, CommandResult, Context, SortedSet};
use crate::data::Limits;
use crate::data::sorted_set::Change;
use crate::resp::{Args, parse_double};

/// What `ZADD` is to do.
#[derive(Clone, Copy, Default)]
struct Options {
    only_new: bool,
    only_existing: bool,
    only_greater: bool,
    only_less: bool,
    /// Counts changed members, too.
    counts_changes: bool,
    /// Adds to scores.
    increment: bool,
}

impl Options {
    /// Reads options from the front of the arguments, and says how many there are.
    fn parse(&mut self, args: Args<'_>) -> usize {
        for (at, arg) in args.iter().enumerate() {
            let is = |name: &[u8]| arg.eq_ignore_ascii_case(name);
            let option = match arg {
                _ if is(b"NX") => &mut self.only_new,
                _ if is(b"XX") => &mut self.only_existing,
                _ if is(b"CH") => &mut self.counts_changes,
                _ if is(b"INCR") => &mut self.increment,
                _ if is(b"GT") => &mut self.only_greater,
                _ if is(b"LT") => &mut self.only_less,
                _ => return at,
            };
            *option = true;
        }
        args.len()
    }

    fn check(&self, pairs: usize) -> CommandResult {
        if self.only_new && self.only_existing {
            return Err(CommandError::fixed(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        if [self.only_new, self.only_greater, self.only_less].iter().filter(|&&is| is).count() > 1 {
            return Err(CommandError::fixed(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.increment && pairs > 1 {
            return Err(CommandError::fixed(
                "ERR INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }

    /// The score that a member gets, if it is one.
    fn score(&self, given: f64, present: Option<f64>) -> Option<f64> {
        let Some(present) = present else {
            return (!self.only_existing).then_some(given);
        };
        let score = if self.increment { present + given } else { given };
        let is_refused = self.only_new
            || self.only_less && score >= present
            || self.only_greater && score <= present;
        (!is_refused).then_some(score)
    }

    /// Sets the scores of some members.
    fn run(&self, set: &mut SortedSet, pairs: Args<'_>, limits: &Limits) -> Done {
        let mut done = Done::default();
        for at in (0..pairs.len()).step_by(2) {
            let given = parse_double(&pairs[at]).expect("scores have been checked");
            let change = set.update(&pairs[at + 1], limits, |present| {
                done.score = self.score(given, present);
                done.score
            });
            match change {
                Change::None => {}
                Change::Added => done.added += 1,
                Change::Updated => done.updated += 1,
            }
        }
        done
    }
}

/// What was done.
#[derive(Default)]
struct Done {
    added: usize,
    updated: usize,
    /// The score of the last member, unless an option kept it from getting one.
    score: Option<f64>,
}

/// `ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member [score member …]`
pub(in crate::commands) fn zadd(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    add(ctx, args, Options::default())
}

/// `ZINCRBY key increment member`
pub(super) fn zincrby(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    // As in Redis, it takes options that leave enough arguments.
    add(ctx, args, Options { increment: true, ..Options::default() })
}

fn add(ctx: &mut Context<'_>, args: Args<'_>, mut options: Options) -> CommandResult {
    const NAN: CommandError = CommandError::fixed("ERR resulting score is not a number (NaN)");
    let pairs = args.from(2 + options.parse(args.from(2)));
    let count = pairs.len() / 2;
    if !pairs.len().is_multiple_of(2) || count == 0 {
        return Err(CommandError::SYNTAX);
    }
    options.check(count)?;
    for score in pairs.iter().step_by(2) {
        parse_double(score).ok_or(CommandError::NOT_FLOAT)?;
    }

    let (limits, key) = (&ctx.settings.limits, ctx.store.key(&args[1]));
    let done = match ctx.store.write_as::<SortedSet>(&key)? {
        Some(set) => {
            if options.increment && !options.only_new {
                let given = parse_double(&pairs[0]);
                let sum = set.score(&pairs[1]).zip(given).map(|(present, given)| present + given);
                if sum.is_some_and(f64::is_nan) {
                    return Err(NAN);
                }
            }
            let has_grown = set.grow_for(count, limits);
            let done = options.run(set, pairs, limits);
            if has_grown || done.added + done.updated > 0 {
                ctx.store.changed(&key);
                ctx.store.effect_verbatim(args);
            }
            done
        }
        None if options.only_existing => Done::default(),
        None => {
            let mut set = SortedSet::new(count, pairs[1].len(), limits);
            let done = options.run(&mut set, pairs, limits);
            ctx.store.put(&key, set, None);
            ctx.store.effect_verbatim(args);
            done
        }
    };
    match done.score {
        _ if !options.increment => {
            let changed = if options.counts_changes { done.updated } else { 0 };
            ctx.reply.integer((done.added + changed) as i64);
        }
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    Ok(())
}
