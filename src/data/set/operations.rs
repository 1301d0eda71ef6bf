//! Intersections, unions and differences.
//!
//! The ways are those of Redis, so that results have the same encoding and small ones the same order. Members of big
//! sets are taken in batches: the next ones are fetched from memory while the others are compared.

use super::members::{BATCH, next_batch};
use super::{Intset, Iter, Listpack, Set, View};
use crate::data::listpack::Element;
use crate::data::{KeyHasher, Limits};
use crate::resp::request::parse_i64;
use std::ops::ControlFlow::{self, Continue};

/// A member of one set on its way to others.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    element: Element<'a>,
    /// Its hash, if one of the others has use for it.
    hash: Option<u64>,
}

/// The members of a set in batches.
struct Batches<'a> {
    members: Iter<'a>,
    batch: Vec<Candidate<'a>>,
}

impl<'a> Batches<'a> {
    fn new(set: &'a Set) -> Self {
        Self { members: set.iter(), batch: Vec::with_capacity(BATCH) }
    }

    /// The next members, hashed if there is a hasher. Empty at the end.
    fn next(&mut self, hasher: Option<&KeyHasher>) -> &[Candidate<'a>] {
        let candidate = |element: Element<'a>| {
            let hash = hasher.map(|hasher| element.with_bytes(|member| hasher.hash(member)));
            Candidate { element, hash }
        };
        self.batch.clear();
        if let Iter::Table(members) = &mut self.members {
            let elements = next_batch(members).map(|member| Element::Bytes(member.as_slice()));
            self.batch.extend(elements.map(candidate));
        } else {
            self.batch.extend(self.members.by_ref().take(BATCH).map(candidate));
        }
        &self.batch
    }
}

/// Whether any of some sets is a table, so that hashes are of use.
fn any_table(sets: &[&Set]) -> bool {
    sets.iter().any(|set| matches!(set.view(), View::Table(_)))
}

/// Fetches from memory what will be looked at when a set is asked for candidates.
fn prefetch(set: &Set, candidates: &[Candidate<'_>]) {
    if let View::Table(members) = set.view() {
        candidates.iter().filter_map(|candidate| candidate.hash).for_each(|h| members.prefetch(h));
    }
}

impl Set {
    fn has(&self, candidate: &Candidate<'_>) -> bool {
        self.contains_element(candidate.element, candidate.hash)
    }

    fn add(&mut self, candidate: &Candidate<'_>, limits: &Limits) {
        self.insert_element(candidate.element, candidate.hash, limits);
    }
}

/// Visits the members that all sets have, of which there is at least one, as long as `visit` goes on.
pub fn intersection<'a>(
    sets: &mut [&'a Set],
    limits: &Limits,
    mut visit: impl FnMut(Element<'a>) -> ControlFlow<()>,
) {
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return };
    let hasher = any_table(others).then_some(&limits.hasher);
    let mut batches = Batches::new(smallest);
    loop {
        let batch = batches.next(hasher);
        if batch.is_empty() {
            return;
        }
        // The next set is asked for every member, those after it for fewer and fewer.
        others.iter().take(1).for_each(|next| prefetch(next, batch));
        for candidate in batch {
            let has = |other: &&Set| std::ptr::eq(*other, *smallest) || other.has(candidate);
            if others.iter().all(has) && visit(candidate.element).is_break() {
                return;
            }
        }
    }
}

impl Set {
    /// The intersection of sets, of which there is at least one.
    pub fn of_intersection(sets: &mut [&Set], limits: &Limits) -> Self {
        let starts_as_intset =
            sets.iter().min_by_key(|set| set.len()).is_some_and(|set| set.as_intset().is_some());
        let mut result = if starts_as_intset {
            Self::of_intset(Intset::new())
        } else {
            Self::of_listpack(Listpack::new())
        };
        intersection(sets, limits, |element| {
            result.insert_element(element, None, limits);
            Continue(())
        });
        result.make_intset_of_integers(limits);
        result
    }

    /// Makes the set an intset if all members are integers and they are few enough.
    fn make_intset_of_integers(&mut self, limits: &Limits) {
        if self.as_intset().is_some() || self.len() > limits.set_intset_entries {
            return;
        }
        let mut intset = Intset::new();
        for element in self.iter() {
            let number = match element {
                Element::Integer(number) => Some(number),
                Element::Bytes(bytes) => parse_i64(bytes),
            };
            match number {
                Some(number) => intset.insert(number),
                None => return,
            };
        }
        *self = Self::of_intset(intset);
    }
}

/// The union of sets.
pub fn union(sets: &[&Set], limits: &Limits) -> Set {
    let mut result = Set::of_intset(Intset::new());
    for set in sets {
        add_all(&mut result, set, limits);
    }
    result
}

fn add_all(result: &mut Set, set: &Set, limits: &Limits) {
    let mut batches = Batches::new(set);
    loop {
        let hasher = any_table(&[result]).then_some(&limits.hasher);
        let batch = batches.next(hasher);
        if batch.is_empty() {
            return;
        }
        prefetch(result, batch);
        batch.iter().for_each(|candidate| result.add(candidate, limits));
    }
}

/// The members of `first` that no other set has.
pub fn difference(first: &Set, others: &mut [&Set], limits: &Limits) -> Set {
    let mut result = Set::of_intset(Intset::new());
    if others.iter().any(|other| std::ptr::eq(*other, first)) {
        return result;
    }
    // Looking up each member of the first set in all others, or taking the members of all others
    // out of a copy of the first. The former has the smaller constant factors, for which it gets a bonus.
    let look_up_work = first.len().saturating_mul(others.len() + 1) / 2;
    let remove_work = others.iter().map(|other| other.len()).sum::<usize>() + first.len();
    if look_up_work <= remove_work {
        // A big one is more likely to have a member.
        others.sort_by_key(|other| std::cmp::Reverse(other.len()));
        let hasher = any_table(others).then_some(&limits.hasher);
        let mut batches = Batches::new(first);
        loop {
            let batch = batches.next(hasher);
            if batch.is_empty() {
                return result;
            }
            others.iter().take(1).for_each(|next| prefetch(next, batch));
            let missing = |c: &&Candidate<'_>| !others.iter().any(|other| other.has(c));
            batch.iter().filter(missing).for_each(|candidate| result.add(candidate, limits));
        }
    }
    add_all(&mut result, first, limits);
    for other in others {
        let mut batches = Batches::new(other);
        loop {
            let hasher = any_table(&[&result]).then_some(&limits.hasher);
            let batch = batches.next(hasher);
            if batch.is_empty() {
                break;
            }
            prefetch(&result, batch);
            for Candidate { element, hash } in batch {
                element.with_bytes(|member| result.remove_hashed(member, *hash));
            }
            if result.is_empty() {
                return result;
            }
        }
    }
    result
}
