//! `XDEL`, `XDELEX`, `XACKDEL`: deleting entries by their ids.

use super::removed::Removed;
use super::{CommandError, CommandResult, Context, ids};
use crate::commands::Key;
use crate::commands::numbers::integer;
use crate::data::Stream;
use crate::data::stream::{Groups, StreamId};
use crate::resp::Args;

/// What becomes of groups' references to an entry that is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum References {
    /// They stay.
    Keep,
    /// They are deleted, too.
    Delete,
    /// The entry stays as long as there are any.
    Respect,
}

impl References {
    /// What a word asks for, if it is about references.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        const WORDS: [(&str, References); 3] = [
            ("KEEPREF", References::Keep),
            ("DELREF", References::Delete),
            ("ACKED", References::Respect),
        ];
        let named = |(name, _): &&(&str, Self)| word.eq_ignore_ascii_case(name.as_bytes());
        WORDS.iter().find(named).map(|&(_, references)| references)
    }
}

/// Whether a group was not delivered the entry yet, or one of its consumers has not acknowledged
/// it.
pub(super) fn is_referred(groups: &Groups, id: StreamId) -> bool {
    groups.values().any(|group| id > group.last_id || group.pending().contains(id))
}

/// `XDEL key id [id …]`
pub(super) fn xdel(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let Some(stream) = ctx.store.write_as::<Stream>(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let ids = parse_ids(args.from(2))?;
    let deleted = ids.iter().filter(|&&id| stream.entries.delete(id)).count();
    if deleted > 0 {
        ctx.store.changed(&key);
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(deleted as i64);
    Ok(())
}

/// `XDELEX key [KEEPREF|DELREF|ACKED] IDS count id [id …]`
pub(super) fn xdelex(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (references, ids) = parse(args, 2)?;
    let key = ctx.store.key(&args[1]);
    let mut removed = Removed::default();
    let mut results = Vec::with_capacity(ids.len());
    if let Some(stream) = ctx.store.write_as::<Stream>(&key)? {
        for id in ids {
            results.push(delete(stream, id, references, &mut removed));
        }
    } else {
        results.resize(ids.len(), Outcome::Missing);
    }
    finish(ctx, &key, removed, &results);
    Ok(())
}

/// `XACKDEL key group [KEEPREF|DELREF|ACKED] IDS count id [id …]`
pub(super) fn xackdel(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (references, ids) = parse(args, 3)?;
    let key = ctx.store.key(&args[1]);
    let mut removed = Removed::default();
    let mut results = Vec::with_capacity(ids.len());
    let stream = ctx.store.write_as::<Stream>(&key)?;
    match stream.filter(|stream| stream.groups.contains_key(args.at(2))) {
        Some(stream) => {
            for id in ids {
                let group = stream.groups.get_mut(args.at(2)).expect("it was just there");
                if !group.acknowledge(id) {
                    results.push(Outcome::Missing);
                    continue;
                }
                removed.add_reference(args.at(2), id);
                // An entry that is gone already counts as deleted: it was acknowledged now.
                results.push(match delete(stream, id, references, &mut removed) {
                    Outcome::Missing => Outcome::Deleted,
                    outcome => outcome,
                });
            }
        }
        None => results.resize(ids.len(), Outcome::Missing),
    }
    finish(ctx, &key, removed, &results);
    Ok(())
}

/// What became of one entry; the numbers are those of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Missing = -1,
    Deleted = 1,
    StillReferred = 2,
}

fn delete(
    stream: &mut Stream,
    id: StreamId,
    references: References,
    removed: &mut Removed,
) -> Outcome {
    if stream.entries.get(id).is_none() {
        return Outcome::Missing;
    }
    if references == References::Respect && is_referred(&stream.groups, id) {
        return Outcome::StillReferred;
    }
    stream.entries.delete(id);
    removed.entries.push(id);
    if references == References::Delete {
        for (name, group) in &mut stream.groups {
            if group.acknowledge(id) {
                removed.add_reference(name, id);
            }
        }
    }
    Outcome::Deleted
}

fn finish(ctx: &mut Context<'_>, key: &Key<'_>, removed: Removed, results: &[Outcome]) {
    if !removed.is_empty() {
        ctx.store.changed(key);
        removed.state(&mut ctx.store, key);
    }
    ctx.reply.array(results.len());
    for &outcome in results {
        ctx.reply.integer(outcome as i64);
    }
}

/// The options and ids from argument `at` on.
fn parse(args: Args<'_>, mut at: usize) -> Result<(References, Vec<StreamId>), CommandError> {
    let mut references = None;
    loop {
        let option = args.get(at).ok_or(CommandError::SYNTAX)?;
        if option.eq_ignore_ascii_case(b"IDS") {
            break;
        }
        let chosen = References::parse(option).ok_or(CommandError::SYNTAX)?;
        if references.replace(chosen).is_some() {
            return Err(CommandError::SYNTAX);
        }
        at += 1;
    }
    const COUNT: CommandError = CommandError::fixed("ERR Number of IDs must be a positive integer");
    const MISMATCH: CommandError =
        CommandError::fixed("ERR The `numids` parameter must match the number of arguments");
    let count = integer(args.get(at + 1).ok_or(CommandError::SYNTAX)?).map_err(|_| COUNT)?;
    let ids = args.from(at + 2);
    match usize::try_from(count) {
        Ok(0) | Err(_) => Err(COUNT),
        Ok(count) if count != ids.len() => Err(MISMATCH),
        Ok(_) => Ok((references.unwrap_or(References::Keep), parse_ids(ids)?)),
    }
}

/// All ids are looked at before anything is done.
pub(super) fn parse_ids(args: Args<'_>) -> Result<Vec<StreamId>, CommandError> {
    args.iter().map(|arg| ids::id(arg, 0)).collect()
}
