//! Sorted sets as listpacks: a member and its score in turn, in order.

use super::iter::{Entry, Iter, score_of};
use super::listpack::{Digits, Element, Listpack, Position};
use super::{LexRange, Malformed, ScoreRange};
use crate::resp::DoubleText;
use crate::resp::double::as_integer;
use std::cmp::Ordering;
use std::ops::Range;

/// A member that was found.
pub(super) struct Found {
    /// Where the member is; its score is behind it.
    pub(super) position: Position,
    pub(super) score: f64,
}

/// Looks for a member.
pub(super) fn find(listpack: &Listpack, member: &[u8]) -> Option<Found> {
    let position = listpack.find(listpack.first()?, member, 1)?;
    let score = listpack.next(position).expect("a member has a score");
    Some(Found { position, score: score_of(listpack.get(score)) })
}

/// Calls a function with a score's text: an integer if it is one, and zero has no sign then.
fn with_text<R>(score: f64, write: impl FnOnce(&[u8]) -> R) -> R {
    match as_integer(score) {
        Some(integer) => write(Digits::new().format(integer).as_bytes()),
        None => write(DoubleText::new(score).as_bytes()),
    }
}

/// Inserts a member that is not there, in order.
pub(super) fn insert(listpack: &mut Listpack, score: f64, member: &[u8]) {
    match place(listpack, score, member) {
        Some(position) => {
            let position = listpack.insert_before(position, member);
            with_text(score, |text| listpack.insert_after(position, text));
        }
        None => push_back(listpack, score, member),
    }
}

/// Adds a member at the end.
pub(super) fn push_back(listpack: &mut Listpack, score: f64, member: &[u8]) {
    listpack.push_back(member);
    with_text(score, |text| listpack.push_back(text));
}

/// Where the first member is that belongs behind another one; `None` if that belongs at the end.
fn place(listpack: &Listpack, score: f64, member: &[u8]) -> Option<Position> {
    let mut next = listpack.first();
    while let Some(position) = next {
        let score_position = listpack.next(position).expect("a member has a score");
        let other = score_of(listpack.get(score_position));
        let is_behind = other > score
            || other == score && listpack.get(position).with_bytes(|other| other > member);
        if is_behind {
            return Some(position);
        }
        next = listpack.next(score_position);
    }
    None
}

/// The ranks of the elements in a range of scores.
pub(super) fn ranks_by_score(listpack: &Listpack, range: &ScoreRange) -> Range<usize> {
    let mut scores = listpack.iter().skip(1).step_by(2).map(score_of);
    let (mut start, mut end) = (0, 0);
    for score in scores.by_ref() {
        if range.begins_before(score) {
            end = start + usize::from(range.ends_after(score));
            break;
        }
        start += 1;
    }
    if end > start {
        end += scores.take_while(|&score| range.ends_after(score)).count();
    }
    start..end.max(start)
}

/// The ranks of the elements in a range of members, as Redis finds them: it looks whether the last
/// element is not too low and the first not too high, then from one end for the first that is in the
/// range, and from there on for one that is not.
pub(super) fn ranks_by_lex(
    listpack: &Listpack,
    range: &LexRange<'_>,
    reverse: bool,
) -> Range<usize> {
    let is_low = |member: Element<'_>| !member.with_bytes(|member| range.begins_before(member));
    let is_high = |member: Element<'_>| !member.with_bytes(|member| range.ends_after(member));
    let len = listpack.len() / 2;
    let member = |index| listpack.seek(index).map(|position| listpack.get(position));
    let (Some(first), Some(last)) = (member(0), member(-2)) else { return 0..0 };
    if is_low(last) || is_high(first) {
        return 0..0;
    }
    let forward = listpack.iter().step_by(2);
    if reverse {
        // Backwards, a score comes before its member.
        let backward = || listpack.iter().rev().skip(1).step_by(2);
        let skipped = backward().take_while(|&member| is_high(member)).count();
        let count = backward().skip(skipped).take_while(|&member| !is_low(member)).count();
        len - skipped - count..len - skipped
    } else {
        let start = forward.clone().take_while(|&member| is_low(member)).count();
        let count = forward.skip(start).take_while(|&member| !is_high(member)).count();
        start..start + count
    }
}

/// Checks that a listpack is a sorted set.
pub(super) fn check(listpack: &Listpack) -> Result<(), Malformed> {
    let malformed = |what| Malformed { what, offset: 0 };
    if listpack.is_empty() || !listpack.len().is_multiple_of(2) {
        return Err(malformed("a sorted set has members without scores, or none"));
    }
    let mut before: Option<Entry<'_>> = None;
    for entry in Iter::of_listpack(listpack, 0, usize::MAX, false) {
        if entry.score.is_nan() {
            return Err(malformed("a score is not a number"));
        }
        if before.is_some_and(|before| !precedes(&before, &entry)) {
            return Err(malformed("the elements of a sorted set are not in order"));
        }
        before = Some(entry);
    }
    if listpack.has_repeats(2) {
        return Err(malformed("a member occurs twice in a sorted set"));
    }
    Ok(())
}

/// Whether an element belongs before another one.
fn precedes(one: &Entry<'_>, other: &Entry<'_>) -> bool {
    let by_member = || one.member.with_bytes(|one| other.member.with_bytes(|other| one.cmp(other)));
    let order = one.score.partial_cmp(&other.score);
    order.is_some_and(|order| order.then_with(by_member) == Ordering::Less)
}
