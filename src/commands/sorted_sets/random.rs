//! `ZRANDMEMBER`: any elements.

use super::{
    CommandError, CommandResult, Context, SortedSet, reply_element, reply_entry, reply_header,
};
use crate::commands::elements::repeats;
use crate::commands::numbers::symmetric_integer;
use crate::data::sample::{Selection, below};
use crate::resp::Args;
use std::collections::HashSet;

/// If fewer elements than the total divided by this are asked for, ranks are drawn until enough
/// different ones have come; otherwise each element is taken or left.
const SPARSE: usize = 3;

/// `ZRANDMEMBER key [count [WITHSCORES]]`
pub(super) fn zrandmember(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const OUT_OF_RANGE: CommandError = CommandError::fixed("ERR value is out of range");
    let count = args.get(2).map(symmetric_integer).transpose()?;
    let with_scores = match args.get(3) {
        None => false,
        Some(option) if args.len() == 4 && option.eq_ignore_ascii_case(b"WITHSCORES") => true,
        Some(_) => return Err(CommandError::SYNTAX),
    };
    if with_scores && count.is_some_and(|count| count.unsigned_abs() > i64::MAX as u64 / 2) {
        return Err(OUT_OF_RANGE);
    }
    let key = ctx.store.key(&args[1]);
    let set = ctx.store.read_as::<SortedSet>(&key)?;
    let Some(count) = count else {
        match set.and_then(|set| set.get(below(ctx.random, set.len()))) {
            Some(entry) => reply_element(&mut ctx.reply, entry.member),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let Some(set) = set.filter(|_| count != 0) else {
        ctx.reply.array(0);
        return Ok(());
    };
    let len = set.len();
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 || wanted == 1 {
        let wanted = repeats(count.unsigned_abs())?;
        reply_header(&mut ctx.reply, wanted, with_scores);
        for _ in 0..wanted {
            let entry = set.get(below(ctx.random, len)).expect("the rank is one of the set's");
            reply_entry(&mut ctx.reply, entry, with_scores);
        }
        return Ok(());
    }
    reply_header(&mut ctx.reply, wanted.min(len), with_scores);
    if wanted >= len {
        // Backwards, as Redis replies with all of them.
        for entry in set.iter(len - 1, len, true) {
            reply_entry(&mut ctx.reply, entry, with_scores);
        }
    } else if set.as_listpack().is_some() || wanted >= len / SPARSE {
        let mut selection = Selection::new(wanted, len);
        for entry in set.iter(0, len, false).filter(|_| selection.picks(ctx.random)) {
            reply_entry(&mut ctx.reply, entry, with_scores);
        }
    } else {
        let mut drawn = HashSet::with_capacity(wanted);
        while drawn.len() < wanted {
            let rank = below(ctx.random, len);
            if drawn.insert(rank) {
                let entry = set.get(rank).expect("the rank is one of the set's");
                reply_entry(&mut ctx.reply, entry, with_scores);
            }
        }
    }
    Ok(())
}
