//! `HSCAN`: walking over the fields.

use super::is_live;
use crate::commands::elements::reply_element;
use crate::commands::scan::{Options, Scanned, cursor, matches, reply_scan};
use crate::commands::{CommandResult, Context};
use crate::data::Hash;
use crate::resp::{Args, Output, Reply};

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]`
pub(super) fn hscan(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let cursor = cursor(&args[2])?;
    let (key, due_ms) = (ctx.store.key(&args[1]), ctx.store.due_ms());
    let Some(hash) = ctx.store.read_as::<Hash>(&key)? else {
        reply_scan(&mut ctx.reply, 0, 0, Output::default());
        return Ok(());
    };
    let options = Options::parse(args.from(3), Scanned::Fields)?;
    let (mut found, mut elements) = (0, Output::default());
    let mut list = Reply::new(&mut elements, ctx.reply.protocol());
    let next = hash.scan(cursor, options.count, |field| {
        if !is_live(&field, due_ms) || !field.name.with_bytes(|name| matches(options.pattern, name))
        {
            return;
        }
        reply_element(&mut list, field.name);
        found += 1;
        if !options.no_values {
            reply_element(&mut list, field.value);
            found += 1;
        }
    });
    reply_scan(&mut ctx.reply, next, found, elements);
    Ok(())
}
