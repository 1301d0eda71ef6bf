//! `XTRIM`, and the trimming of `XADD`: how a stream shrinks at its beginning.

use super::delete::{References, effect_on_ids, is_referred};
use super::ids::{self, NewId};
use super::{CommandError, CommandResult, Context, Store};
use crate::commands::Key;
use crate::commands::numbers::integer;
use crate::data::Stream;
use crate::data::stream::{Bound, Entries, Parts, StreamId};
use crate::resp::Args;

/// A trim that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trim {
    bound: Bound,
    /// `~`: whole nodes only.
    about: bool,
    /// `LIMIT`, and what stands for it.
    limit: Option<u64>,
    /// What becomes of groups' references to what is removed.
    references: References,
}

/// The options that `XADD` and `XTRIM` have before the id or the end.
pub(super) struct Options {
    pub(super) trim: Option<Trim>,
    pub(super) no_mkstream: bool,
    pub(super) id: NewId,
    /// Where the options end: at the id.
    pub(super) end: usize,
}

impl Options {
    pub(super) fn parse(
        ctx: &Context<'_>,
        args: Args<'_>,
        is_add: bool,
    ) -> Result<Self, CommandError> {
        const BOTH: CommandError = CommandError::fixed(
            "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        );
        let mut options = Self { trim: None, no_mkstream: false, id: NewId::Next, end: 2 };
        let mut limit = None;
        let mut references = None;
        while let Some(option) = args.get(options.end) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            let next = args.get(options.end + 1);
            if is_add && option == b"*" {
                break;
            } else if let Some(next) = next
                && (is(b"MAXLEN") || is(b"MINID"))
            {
                if options.trim.is_some() {
                    return Err(BOTH);
                }
                let mut arg = next;
                let mut about = false;
                if let Some(behind) = args.get(options.end + 2)
                    && (next == b"~" || next == b"=")
                {
                    about = next == b"~";
                    arg = behind;
                    options.end += 1;
                }
                let bound = if is(b"MAXLEN") {
                    Bound::Len(u64::try_from(integer(arg)?).map_err(|_| {
                        CommandError::fixed("ERR The MAXLEN argument must be >= 0.")
                    })?)
                } else {
                    Bound::Id(ids::id(arg, 0)?)
                };
                let references = References::Keep;
                options.trim = Some(Trim { bound, about, limit: None, references });
                options.end += 2;
            } else if let Some(next) = next
                && is(b"LIMIT")
            {
                limit =
                    Some(u64::try_from(integer(next)?).map_err(|_| {
                        CommandError::fixed("ERR The LIMIT argument must be >= 0.")
                    })?);
                options.end += 2;
            } else if let Some(chosen) = References::parse(option) {
                if references.replace(chosen).is_some() {
                    return Err(CommandError::SYNTAX);
                }
                options.end += 1;
            } else if is_add && is(b"NOMKSTREAM") {
                options.no_mkstream = true;
                options.end += 1;
            } else if is_add {
                options.id = ids::new_id(option)?;
                break;
            } else {
                return Err(CommandError::SYNTAX);
            }
        }
        options.settle_limit(ctx, limit, is_add)?;
        if let (Some(trim), Some(references)) = (&mut options.trim, references) {
            trim.references = references;
        }
        Ok(options)
    }

    fn settle_limit(
        &mut self,
        ctx: &Context<'_>,
        limit: Option<u64>,
        is_add: bool,
    ) -> Result<(), CommandError> {
        let Some(trim) = &mut self.trim else {
            return if limit.is_some_and(|limit| limit > 0) {
                Err(CommandError::fixed(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                ))
            } else if !is_add {
                Err(CommandError::fixed(
                    "ERR syntax error, XTRIM must be called with a trimming strategy",
                ))
            } else {
                Ok(())
            };
        };
        trim.limit = match limit {
            Some(_) if !trim.about => {
                return Err(CommandError::fixed(
                    "ERR syntax error, LIMIT cannot be used without the special ~ option",
                ));
            }
            // Zero means that there is no limit.
            Some(limit) => Some(limit).filter(|&limit| limit > 0),
            // An approximate trim deletes at most so many entries, as in Redis.
            None if trim.about => match ctx.settings.limits.stream_node_entries as u64 {
                0 => Some(10_000),
                entries => Some(entries.saturating_mul(100).min(1_000_000)),
            },
            None => None,
        };
        Ok(())
    }
}

/// What a trim has done, to be stated once the stream is no longer borrowed.
pub(super) struct Trimmed {
    /// How many entries were removed.
    pub(super) removed: u64,
    /// What a copy has to trim exactly to get the same: the option's name and argument. `None` if
    /// the entries that were removed are not simply the first ones.
    pub(super) exact: Option<(&'static [u8], String)>,
    /// The entries that were removed if they are not the first ones.
    deleted: Vec<StreamId>,
    /// The groups whose references to removed entries were deleted, with the ids of these.
    acknowledged: Vec<(Box<[u8]>, Vec<StreamId>)>,
}

impl Trimmed {
    /// States what was done besides the exact trim, in commands that every version knows.
    pub(super) fn state_rest(self, store: &mut Store<'_>, key: &Key<'_>) {
        effect_on_ids(store, &[b"XDEL", key.bytes], &self.deleted);
        for (group, ids) in &self.acknowledged {
            effect_on_ids(store, &[b"XACK", key.bytes, group], ids);
        }
    }
}

impl Trim {
    pub(super) fn run(self, stream: &mut Stream) -> Trimmed {
        let mut trimmed =
            Trimmed { removed: 0, exact: None, deleted: Vec::new(), acknowledged: Vec::new() };
        let Parts { entries, groups } = &mut **stream;
        match self.references {
            References::Keep => {}
            References::Delete => {
                let ids = entries.trimmed(self.bound, self.about, self.limit, |_| false);
                for (name, group) in groups {
                    let ids: Vec<_> =
                        ids.iter().copied().filter(|&id| group.acknowledge(id)).collect();
                    trimmed.acknowledged.push((name.clone(), ids));
                }
            }
            References::Respect => {
                trimmed.deleted = entries
                    .trimmed(self.bound, self.about, self.limit, |id| is_referred(groups, id));
                trimmed.removed = trimmed.deleted.len() as u64;
                trimmed.deleted.iter().for_each(|&id| {
                    entries.delete(id);
                });
                return trimmed;
            }
        }
        trimmed.removed = entries.trim(self.bound, self.about, self.limit);
        trimmed.exact = Some(self.exact(entries));
        trimmed
    }

    /// What a copy has to trim exactly to get the same: the option's name and argument.
    fn exact(self, entries: &Entries) -> (&'static [u8], String) {
        match self.bound {
            Bound::Len(len) if !self.about => (b"MAXLEN", len.to_string()),
            Bound::Len(_) => (b"MAXLEN", entries.len().to_string()),
            Bound::Id(id) if !self.about => (b"MINID", id.to_string()),
            Bound::Id(_) if entries.is_empty() => (b"MINID", StreamId::MAX.to_string()),
            Bound::Id(_) => (b"MINID", entries.first_id().to_string()),
        }
    }
}

/// `XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT count] [KEEPREF|DELREF|ACKED]`
pub(super) fn xtrim(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(ctx, args, false)?;
    let trim = options.trim.expect("options without a trim are refused");
    let key = ctx.store.key(&args[1]);
    let Some(stream) = ctx.store.write_as::<Stream>(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let trimmed = trim.run(stream);
    let removed = trimmed.removed;
    if removed > 0 {
        ctx.store.changed(&key);
        if let Some((name, bound)) = &trimmed.exact {
            ctx.store.effect(&[b"XTRIM", key.bytes, name, b"=", bound.as_bytes()]);
        }
        trimmed.state_rest(&mut ctx.store, &key);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}
