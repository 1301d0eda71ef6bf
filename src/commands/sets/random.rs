//! `SPOP` and `SRANDMEMBER`.

use super::{CommandError, CommandResult, Context, Set, removed, reply_element, reply_members};
use crate::commands::Key;
use crate::commands::elements::repeats;
use crate::commands::ends::pop_count;
use crate::commands::numbers::symmetric_integer;
use crate::resp::Args;

/// How many members one effect takes out at most.
const EFFECT_MEMBERS_MAX: usize = 1024;

/// Members that were taken out: the arguments of the effects.
struct Popped {
    bytes: Vec<u8>,
    /// For each effect the key, and then the members.
    ranges: Vec<(usize, usize)>,
}

impl Popped {
    fn new(key: &Key<'_>) -> Self {
        Self { bytes: key.bytes.to_vec(), ranges: Vec::new() }
    }

    fn push(&mut self, key: &Key<'_>, member: &[u8]) {
        if self.ranges.len().is_multiple_of(EFFECT_MEMBERS_MAX + 1) {
            self.ranges.push((0, key.bytes.len()));
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(member);
        self.ranges.push((start, self.bytes.len()));
    }

    fn state(&self, ctx: &mut Context<'_>) {
        for ranges in self.ranges.chunks(EFFECT_MEMBERS_MAX + 1) {
            ctx.store.effect_as(b"SREM", Args::new(&self.bytes, ranges));
        }
    }
}

/// `SPOP key [count]`
pub(super) fn spop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    if args.len() > 3 {
        return Err(CommandError::SYNTAX);
    }
    let count = pop_count(args.get(2))?;
    let key = ctx.store.key(args.at(1));
    let Some(set) = ctx.store.write_as::<Set>(&key)? else {
        match count {
            Some(_) => ctx.reply.set(0),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    match count {
        Some(0) => {
            ctx.reply.set(0);
            return Ok(());
        }
        Some(count) if count >= set.len() => {
            reply_members(&mut ctx.reply, Some(set));
            ctx.store.remove(&key);
            ctx.store.effect(&[b"DEL", key.bytes]);
            return Ok(());
        }
        Some(count) => ctx.reply.set(count),
        None => {}
    }
    let (mut popped, reply) = (Popped::new(&key), &mut ctx.reply);
    set.pop(count.unwrap_or(1), ctx.random, |member| {
        reply_element(reply, member);
        member.with_bytes(|member| popped.push(&key, member));
    });
    let is_empty = set.is_empty();
    removed(ctx, &key, is_empty);
    popped.state(ctx);
    Ok(())
}

fn absolute(count: i64) -> usize {
    usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX)
}

/// `SRANDMEMBER key [count]`
pub(super) fn srandmember(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let count = match args.get(2) {
        _ if args.len() > 3 => return Err(CommandError::SYNTAX),
        Some(count) => Some(symmetric_integer(count)?),
        None => None,
    };
    let key = ctx.store.key(args.at(1));
    let reply = &mut ctx.reply;
    let Some(set) = ctx.store.read_as::<Set>(&key)? else {
        match count {
            Some(_) => reply.array(0),
            None => reply.null(),
        }
        return Ok(());
    };
    match count {
        None => match set.random(ctx.random) {
            Some(member) => reply_element(reply, member),
            None => reply.null(),
        },
        Some(count) if count < 0 => {
            let count = repeats(count.unsigned_abs())?;
            reply.array(count);
            set.sample_with_repeats(count, ctx.random, |member| reply_element(reply, member));
        }
        Some(count) => {
            let count = absolute(count).min(set.len());
            reply.array(count);
            set.sample(count, ctx.random, |member| reply_element(reply, member));
        }
    }
    Ok(())
}
