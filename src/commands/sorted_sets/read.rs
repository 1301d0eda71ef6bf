//! Looking at members and counting elements.

use super::{
    CommandError, CommandResult, Context, SortedSet, lex_range, reply_element, score_range,
};
use crate::commands::scan::{Options, Scanned, cursor, matches, reply_scan};
use crate::resp::double::general_text;
use crate::resp::{Args, DoubleText, Output, Reply};

/// `ZCARD key`
pub(super) fn zcard(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let len = ctx.store.read_as::<SortedSet>(&key)?.map_or(0, SortedSet::len);
    ctx.reply.integer(len as i64);
    Ok(())
}

/// `ZSCORE key member`
pub(super) fn zscore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let set = ctx.store.read_as::<SortedSet>(&key)?;
    reply_score(&mut ctx.reply, set.and_then(|set| set.score(&args[2])));
    Ok(())
}

/// `ZMSCORE key member [member …]`
pub(super) fn zmscore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let set = ctx.store.read_as::<SortedSet>(&key)?;
    ctx.reply.array(args.len() - 2);
    for member in args.from(2).iter() {
        reply_score(&mut ctx.reply, set.and_then(|set| set.score(member)));
    }
    Ok(())
}

fn reply_score(reply: &mut Reply<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

/// `ZRANK key member [WITHSCORE]`
pub(super) fn zrank(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    rank(ctx, args, "zrank", false)
}

/// `ZREVRANK key member [WITHSCORE]`
pub(super) fn zrevrank(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    rank(ctx, args, "zrevrank", true)
}

fn rank(ctx: &mut Context<'_>, args: Args<'_>, name: &str, reverse: bool) -> CommandResult {
    if args.len() > 4 {
        return Err(CommandError::wrong_arity(name));
    }
    let with_score = match args.get(3) {
        None => false,
        Some(option) if option.eq_ignore_ascii_case(b"WITHSCORE") => true,
        Some(_) => return Err(CommandError::SYNTAX),
    };
    let key = ctx.store.key(&args[1]);
    let set = ctx.store.read_as::<SortedSet>(&key)?;
    let found = set.and_then(|set| set.rank(&args[2]).map(|found| (set.len(), found)));
    let Some((len, (rank, score))) = found else {
        if with_score {
            ctx.reply.null_array();
        } else {
            ctx.reply.null();
        }
        return Ok(());
    };
    let rank = if reverse { len - 1 - rank } else { rank };
    if with_score {
        ctx.reply.array(2);
    }
    ctx.reply.integer(rank as i64);
    if with_score {
        ctx.reply.double(score);
    }
    Ok(())
}

/// `ZCOUNT key min max`
pub(super) fn zcount(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let range = score_range(&args[2], &args[3])?;
    count(ctx, args, |set| set.ranks_by_score(&range).len())
}

/// `ZLEXCOUNT key min max`
pub(super) fn zlexcount(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let range = lex_range(&args[2], &args[3])?;
    count(ctx, args, |set| set.ranks_by_lex(&range, false).len())
}

fn count(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    count: impl FnOnce(&SortedSet) -> usize,
) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let count = ctx.store.read_as::<SortedSet>(&key)?.map_or(0, count);
    ctx.reply.integer(count as i64);
    Ok(())
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT count] [NOSCORES]`
pub(super) fn zscan(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let cursor = cursor(&args[2])?;
    let key = ctx.store.key(&args[1]);
    let Some(set) = ctx.store.read_as::<SortedSet>(&key)? else {
        reply_scan(&mut ctx.reply, 0, 0, Output::default());
        return Ok(());
    };
    let options = Options::parse(args.from(3), Scanned::Scores)?;
    let (mut found, mut elements) = (0, Output::default());
    let mut list = Reply::new(&mut elements, ctx.reply.protocol());
    let is_small = set.as_listpack().is_some();
    let next = set.scan(cursor, options.count, |entry| {
        if !entry.member.with_bytes(|member| matches(options.pattern, member)) {
            return;
        }
        reply_element(&mut list, entry.member);
        found += 1;
        if options.no_values {
            return;
        }
        // Scores are strings here, in RESP3 as well, and Redis prints those of big ones differently.
        if is_small {
            list.bulk(DoubleText::new(entry.score).as_bytes());
        } else {
            list.bulk(general_text(entry.score).as_bytes());
        }
        found += 1;
    });
    reply_scan(&mut ctx.reply, next, found, elements);
    Ok(())
}
