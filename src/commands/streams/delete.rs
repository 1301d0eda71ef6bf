//! `XDEL`, `XDELEX`, `XACKDEL`: deleting entries by their ids.

use super::ids::{self, IdText};
use super::{CommandError, CommandResult, Context, Store};
use crate::commands::Key;
use crate::commands::numbers::integer;
use crate::data::Stream;
use crate::data::stream::{Groups, StreamId};
use crate::resp::Args;
use std::collections::BTreeMap;

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
    let mut changes = Changes::default();
    let mut results = Vec::with_capacity(ids.len());
    if let Some(stream) = ctx.store.write_as::<Stream>(&key)? {
        for id in ids {
            results.push(delete(stream, id, references, &mut changes));
        }
    } else {
        results.resize(ids.len(), Outcome::Missing);
    }
    finish(ctx, &key, &changes, &results);
    Ok(())
}

/// `XACKDEL key group [KEEPREF|DELREF|ACKED] IDS count id [id …]`
pub(super) fn xackdel(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (references, ids) = parse(args, 3)?;
    let key = ctx.store.key(&args[1]);
    let mut changes = Changes::default();
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
                changes.acknowledged(args.at(2), id);
                // An entry that is gone already counts as deleted: it was acknowledged now.
                results.push(match delete(stream, id, references, &mut changes) {
                    Outcome::Missing => Outcome::Deleted,
                    outcome => outcome,
                });
            }
        }
        None => results.resize(ids.len(), Outcome::Missing),
    }
    finish(ctx, &key, &changes, &results);
    Ok(())
}

/// What `XDELEX` or `XACKDEL` has changed. It is stated in `XDEL` and `XACK`, which Redis 7.0 knows.
#[derive(Default)]
struct Changes {
    deleted: Vec<StreamId>,
    acknowledged: BTreeMap<Box<[u8]>, Vec<StreamId>>,
}

impl Changes {
    fn acknowledged(&mut self, group: &[u8], id: StreamId) {
        match self.acknowledged.get_mut(group) {
            Some(ids) => ids.push(id),
            None => drop(self.acknowledged.insert(group.into(), vec![id])),
        }
    }

    fn is_empty(&self) -> bool {
        self.deleted.is_empty() && self.acknowledged.is_empty()
    }
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
    changes: &mut Changes,
) -> Outcome {
    if stream.entries.get(id).is_none() {
        return Outcome::Missing;
    }
    if references == References::Respect && is_referred(&stream.groups, id) {
        return Outcome::StillReferred;
    }
    stream.entries.delete(id);
    changes.deleted.push(id);
    if references == References::Delete {
        for (name, group) in &mut stream.groups {
            if group.acknowledge(id) {
                changes.acknowledged(name, id);
            }
        }
    }
    Outcome::Deleted
}

fn finish(ctx: &mut Context<'_>, key: &Key<'_>, changes: &Changes, results: &[Outcome]) {
    if !changes.is_empty() {
        ctx.store.changed(key);
        effect_on_ids(&mut ctx.store, &[b"XDEL", key.bytes], &changes.deleted);
        for (group, ids) in &changes.acknowledged {
            effect_on_ids(&mut ctx.store, &[b"XACK", key.bytes, group], ids);
        }
    }
    ctx.reply.array(results.len());
    for &outcome in results {
        ctx.reply.integer(outcome as i64);
    }
}

/// States an effect, `words` and then ids, if there are any.
pub(super) fn effect_on_ids(store: &mut Store<'_>, words: &[&[u8]], ids: &[StreamId]) {
    if ids.is_empty() {
        return;
    }
    let texts: Vec<IdText> = ids.iter().map(|&id| IdText::new(id)).collect();
    let ids = texts.iter().map(IdText::as_bytes);
    let words: Vec<&[u8]> = words.iter().copied().chain(ids).collect();
    store.effect(&words);
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
