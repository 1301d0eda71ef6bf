//! Popping from collections with two ends, lists and sorted sets: what `BLPOP` and `BZPOPMIN`,
//! `LMPOP` and `ZMPOP`, `BLMPOP` and `BZMPOP` have in common.

use super::numbers::{at_least, timeout_seconds};
use super::store::Wants;
use super::{CommandError, CommandResult, Context, Key};
use crate::keyspace::entry::Collection;
use crate::resp::Args;

/// How an element that was popped is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// All that belongs to it in a row.
    Flat,
    /// In an array of its own, if it is more than one value.
    Nested,
}

/// A collection that is popped from either end.
pub(super) trait TwoEnded: Collection {
    /// An end.
    type End: Copy;
    /// What a client waits for that wants to pop one.
    const WANTS: Wants;
    /// Values that a flat element consists of.
    const ELEMENT_VALUES: usize;

    /// The end that an argument names.
    fn end(word: &[u8]) -> Option<Self::End>;

    /// The name of the command that pops from an end.
    fn pop_name(end: Self::End) -> &'static [u8];

    /// How many elements there are.
    fn len(&self) -> usize;

    /// Pops `count` elements, no more than there are, from an end of the collection at `key`, and
    /// replies with each. The caller states the effect.
    fn take(
        ctx: &mut Context<'_>,
        key: &Key<'_>,
        end: Self::End,
        count: usize,
        shape: Shape,
    ) -> CommandResult;
}

/// The first of some keys that holds a `T`, and how many elements that has.
///
/// # Errors
/// If a key before it holds another type.
fn first<'k, T: TwoEnded>(
    ctx: &mut Context<'_>,
    names: impl Iterator<Item = &'k [u8]>,
) -> Result<Option<(Key<'k>, usize)>, CommandError> {
    for name in names {
        let key = ctx.store.key(name);
        if let Some(collection) = ctx.store.write_as::<T>(&key)? {
            return Ok(Some((key, collection.len())));
        }
    }
    Ok(None)
}

/// `name key [key …] timeout`: pops one element, or waits for one.
pub(super) fn blocking_pop<T: TwoEnded>(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    end: T::End,
) -> CommandResult {
    let last = args.len() - 1;
    let timeout_ms = timeout_seconds(&args[last], ctx.store.now_ms)?;
    let keys = || args.iter().take(last).skip(1);
    match first::<T>(ctx, keys())? {
        Some((key, _)) => {
            ctx.reply.array(1 + T::ELEMENT_VALUES);
            ctx.reply.bulk(key.bytes);
            T::take(ctx, &key, end, 1, Shape::Flat)?;
            ctx.store.effect(&[T::pop_name(end), key.bytes]);
        }
        None => ctx.block(T::WANTS, keys(), timeout_ms, args),
    }
    Ok(())
}

/// `name numkeys key [key …] end [COUNT count]`
pub(super) fn multi_pop<T: TwoEnded>(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let args = args.from(1);
    if !MultiPop::<T>::parse(args)?.run(ctx, args)? {
        ctx.reply.null_array();
    }
    Ok(())
}

/// `name timeout numkeys key [key …] end [COUNT count]`
pub(super) fn blocking_multi_pop<T: TwoEnded>(
    ctx: &mut Context<'_>,
    args: Args<'_>,
) -> CommandResult {
    let pop = MultiPop::<T>::parse(args.from(2))?;
    let timeout_ms = timeout_seconds(&args[1], ctx.store.now_ms)?;
    if !pop.run(ctx, args.from(2))? {
        ctx.block(T::WANTS, pop.keys(args.from(2)), timeout_ms, args);
    }
    Ok(())
}

/// The arguments of a [`multi_pop`] from the number of keys on.
struct MultiPop<T: TwoEnded> {
    key_count: usize,
    end: T::End,
    count: usize,
}

impl<T: TwoEnded> MultiPop<T> {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let bad_keys = CommandError::fixed("ERR numkeys should be greater than 0");
        let key_count = at_least(1, &args[0], bad_keys)?;
        let at = key_count.checked_add(1).ok_or(CommandError::SYNTAX)?;
        let end = args.get(at).and_then(T::end).ok_or(CommandError::SYNTAX)?;
        let mut options = args.from(at + 1).iter();
        let mut count = None;
        while let Some(name) = options.next() {
            let value = options.next().filter(|_| count.is_none());
            match value {
                Some(value) if name.eq_ignore_ascii_case(b"COUNT") => {
                    let bad_count = CommandError::fixed("ERR count should be greater than 0");
                    count = Some(at_least(1, value, bad_count)?);
                }
                _ => return Err(CommandError::SYNTAX),
            }
        }
        Ok(Self { key_count, end, count: count.unwrap_or(1) })
    }

    /// Pops from the first of the keys that holds a `T`. False if there is none.
    fn run(&self, ctx: &mut Context<'_>, args: Args<'_>) -> Result<bool, CommandError> {
        let Some((key, len)) = first::<T>(ctx, self.keys(args))? else { return Ok(false) };
        let count = self.count.min(len);
        ctx.reply.array(2);
        ctx.reply.bulk(key.bytes);
        ctx.reply.array(count);
        T::take(ctx, &key, self.end, count, Shape::Nested)?;
        let mut digits = itoa::Buffer::new();
        let count = digits.format(count).as_bytes();
        ctx.store.effect(&[T::pop_name(self.end), key.bytes, count]);
        Ok(true)
    }

    fn keys<'a>(&self, args: Args<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a, T> {
        args.from(1).iter().take(self.key_count)
    }
}

/// The optional count of `LPOP`, `SPOP` and the like.
///
/// # Errors
/// If it is not a number, or negative.
pub(super) fn pop_count(arg: Option<&[u8]>) -> Result<Option<usize>, CommandError> {
    const NOT_POSITIVE: CommandError =
        CommandError::fixed("ERR value is out of range, must be positive");
    arg.map(|count| at_least(0, count, NOT_POSITIVE)).transpose()
}
