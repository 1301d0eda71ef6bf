//! Walking a sorted set.

use super::element::Element;
use super::listpack::{self, Listpack};
use super::tree;
use crate::resp::double::parse_double_prefix;

/// An element.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its member; small sorted sets keep decimal numbers as integers.
    pub member: listpack::Element<'a>,
    /// Its score.
    pub score: f64,
}

impl<'a> Entry<'a> {
    pub(super) fn of(element: Element<'a>) -> Self {
        Self { member: listpack::Element::Bytes(element.member()), score: element.score() }
    }
}

/// The score that an element of a listpack is.
pub(super) fn score_of(element: listpack::Element<'_>) -> f64 {
    match element {
        listpack::Element::Integer(number) => number as f64,
        listpack::Element::Bytes(text) => parse_double_prefix(text).number,
    }
}

/// Elements in order, or in the opposite one.
pub struct Iter<'a>(Form<'a>);

enum Form<'a> {
    Listpack { elements: listpack::Iter<'a>, left: usize, reverse: bool },
    Tree(tree::Iter<'a>),
}

impl<'a> Iter<'a> {
    pub(super) fn of_tree(elements: tree::Iter<'a>) -> Self {
        Self(Form::Tree(elements))
    }

    /// `count` elements from a rank on; with `reverse` downwards.
    pub(super) fn of_listpack(
        listpack: &'a Listpack,
        rank: usize,
        count: usize,
        reverse: bool,
    ) -> Self {
        let len = listpack.len() / 2;
        if rank >= len {
            return Self(Form::Listpack { elements: listpack.iter(), left: 0, reverse });
        }
        let available = if reverse { rank + 1 } else { len - rank };
        // Backwards, it begins behind the score.
        let from = if reverse { 2 * (rank + 1) } else { 2 * rank };
        let position = isize::try_from(from).ok().and_then(|from| listpack.seek(from));
        let elements = match (position, reverse) {
            (Some(position), true) => listpack.iter_before(position),
            (Some(position), false) => listpack.iter_from(position),
            (None, _) => listpack.iter(),
        };
        Self(Form::Listpack { elements, left: count.min(available), reverse })
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        match &mut self.0 {
            Form::Tree(elements) => elements.next().map(Entry::of),
            Form::Listpack { elements, left, reverse } => {
                *left = left.checked_sub(1)?;
                let (member, score) = if *reverse {
                    let score = elements.next_back()?;
                    (elements.next_back()?, score)
                } else {
                    (elements.next()?, elements.next()?)
                };
                Some(Entry { member, score: score_of(score) })
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            Form::Tree(elements) => elements.len(),
            Form::Listpack { left, .. } => *left,
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
