//! `HRANDFIELD`: any fields.

use super::are_all_live;
use crate::commands::elements::{self, reply_element};
use crate::commands::numbers::integer;
use crate::commands::{CommandError, CommandResult, Context, ExpiryMode, Key, Store};
use crate::data::Hash;
use crate::data::hash::Field;
use crate::resp::{Args, Protocol, Reply};
use std::borrow::Cow;

/// `HRANDFIELD key [count [WITHVALUES]]`
pub(super) fn hrandfield(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const OUT_OF_RANGE: CommandError = CommandError::fixed("ERR value is out of range");
    const NEGATION_OVERFLOWS: CommandError = CommandError::fixed(
        "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    );
    let key = ctx.store.key(&args[1]);
    let Some(count) = args.get(2) else {
        let field = match pickable(&mut ctx.store, &key)? {
            Some(hash) => hash.random(ctx.random).map(|field| field.name.to_vec()),
            None => None,
        };
        match field {
            Some(name) => ctx.reply.bulk(&name),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let count = integer(count)?;
    if count == i64::MIN {
        return Err(NEGATION_OVERFLOWS);
    }
    let with_values = match args.get(3) {
        None => false,
        Some(word) if args.len() == 4 && word.eq_ignore_ascii_case(b"WITHVALUES") => true,
        Some(_) => return Err(CommandError::SYNTAX),
    };
    let repeats = count < 0;
    let count = count.unsigned_abs();
    if with_values && count > i64::MAX as u64 / 2 {
        return Err(OUT_OF_RANGE);
    }
    if repeats {
        elements::repeats(count)?;
    }
    let Some(hash) = pickable(&mut ctx.store, &key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let count = if repeats { count } else { count.min(hash.len()) };
    let nested = ctx.reply.protocol() == Protocol::Resp3;
    ctx.reply.array(if with_values && !nested { count * 2 } else { count });
    let reply = &mut ctx.reply;
    let visit = |field: Field<'_>| reply_field(reply, field, with_values, nested);
    if repeats {
        hash.sample_with_repeats(count, ctx.random, visit);
    } else {
        hash.sample(count, ctx.random, visit);
    }
    Ok(())
}

fn reply_field(reply: &mut Reply<'_>, field: Field<'_>, with_value: bool, nested: bool) {
    if with_value && nested {
        reply.array(2);
    }
    reply_element(reply, field.name);
    if with_value {
        reply_element(reply, field.value);
    }
}

/// The hash at `key` without the fields whose time has come: they are deleted, or only left out of a copy
/// where nothing may be deleted. `None` if there is nothing to pick from.
fn pickable<'s>(
    store: &'s mut Store<'_>,
    key: &Key<'_>,
) -> Result<Option<Cow<'s, Hash>>, CommandError> {
    let due_ms = store.due_ms();
    let Some(hash) = store.read_as::<Hash>(key)? else { return Ok(None) };
    let mut live = None;
    if !are_all_live(hash, due_ms) {
        if store.expiry_mode == ExpiryMode::Delete {
            store.expire_fields(key, usize::MAX);
        } else {
            let mut copy = store.peek_as::<Hash>(key)?.cloned().unwrap_or_default();
            copy.expire_fields(due_ms, usize::MAX);
            live = Some(copy);
        }
    }
    let hash = match live {
        Some(copy) => Some(Cow::Owned(copy)),
        None => store.peek_as::<Hash>(key)?.map(Cow::Borrowed),
    };
    Ok(hash.filter(|hash| !hash.is_empty()))
}
