//! Sets.
//!
//! A set is an intset as long as all members are integers, a listpack while it is small, and a table once it
//! is big. It never turns back. When it turns is as in Redis 7.4.

mod members;
mod operations;
mod saving;
#[cfg(test)]
mod tests;

use super::intset::{self, Intset};
use super::listpack::{self, Digits, Element, Listpack};
use super::salted::SaltedHasher;
use super::sample::{Selection, below};
use super::table;
use super::thin_bytes::ThinBytes;
use super::word::{Boxed, Form, Word};
use super::{KeyHasher, Limits};
use crate::resp::request::parse_i64;
use members::{BATCH, Members};
pub use operations::{difference, intersection, union};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// No intset has more integers than this.
const INTSET_LEN_MAX: usize = 1 << 30;

/// A set; see the module's page. One word.
#[derive(Clone)]
pub struct Set(Word<Listpack, Intset, Boxed<Members, 1>>);

/// What a set is made of.
enum View<'a> {
    Listpack(&'a Listpack),
    Intset(&'a Intset),
    Table(&'a Members),
}

/// What a set is made of, to change it.
enum ViewMut<'a> {
    Listpack(&'a mut Listpack),
    Intset(&'a mut Intset),
    Table(&'a mut Members),
}

/// Whether `count` is so much of `len` that it takes less time to walk over all than to pick some and to
/// remember which.
fn is_large_part(count: usize, len: usize) -> bool {
    count > len / 3
}

/// How many digits, and perhaps a minus, a number has.
fn digits(number: i64) -> usize {
    Digits::new().format(number).len()
}

impl Set {
    /// A set without members, to which some are added at once: about `count`, of which `first` is the first.
    pub fn for_members(first: &[u8], count: usize, limits: &Limits) -> Self {
        if count <= limits.set_intset_entries && parse_i64(first).is_some() {
            Self::of_intset(Intset::new())
        } else if count <= limits.set_listpack_entries {
            Self::of_listpack(Listpack::new())
        } else {
            Self::of_table(Members::new(limits.hasher, limits.hasher.hash(first)))
        }
    }

    /// A set of a listpack's elements, which must be all different.
    pub fn of_listpack(listpack: Listpack) -> Self {
        Self(Word::first(listpack))
    }

    /// A set of integers.
    pub fn of_intset(intset: Intset) -> Self {
        Self(Word::second(intset))
    }

    fn of_table(members: Members) -> Self {
        Self(Word::third(Boxed::new(members)))
    }

    fn view(&self) -> View<'_> {
        match self.0.get() {
            Form::First(listpack) => View::Listpack(listpack),
            Form::Second(intset) => View::Intset(intset),
            Form::Third(members) => View::Table(members),
        }
    }

    fn view_mut(&mut self) -> ViewMut<'_> {
        match self.0.get_mut() {
            Form::First(listpack) => ViewMut::Listpack(listpack),
            Form::Second(intset) => ViewMut::Intset(intset),
            Form::Third(members) => ViewMut::Table(members),
        }
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        match self.view() {
            View::Listpack(listpack) => listpack.len(),
            View::Intset(intset) => intset.len(),
            View::Table(members) => members.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Redis's name of the encoding.
    pub fn encoding_name(&self) -> &'static str {
        match self.view() {
            View::Listpack(_) => "listpack",
            View::Intset(_) => "intset",
            View::Table(_) => "hashtable",
        }
    }

    /// Bytes allocated.
    pub fn memory_bytes(&self) -> usize {
        match self.view() {
            View::Listpack(listpack) => listpack.memory_bytes(),
            View::Intset(intset) => intset.memory_bytes(),
            View::Table(members) => size_of::<Members>() + members.memory_bytes(),
        }
    }

    /// The set as a listpack, if it is one.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.view() {
            View::Listpack(listpack) => Some(listpack),
            _ => None,
        }
    }

    /// The set as an intset, if it is one.
    pub fn as_intset(&self) -> Option<&Intset> {
        match self.view() {
            View::Intset(intset) => Some(intset),
            _ => None,
        }
    }

    /// All members, in no certain order.
    pub fn iter(&self) -> Iter<'_> {
        match self.view() {
            View::Listpack(listpack) => Iter::Listpack(listpack.iter()),
            View::Intset(intset) => Iter::Intset(intset.iter()),
            View::Table(members) => Iter::Table(members.iter()),
        }
    }

    /// Whether a byte string is a member.
    pub fn contains(&self, member: &[u8]) -> bool {
        match self.view() {
            View::Listpack(listpack) => {
                listpack.first().is_some_and(|first| listpack.find(first, member, 0).is_some())
            }
            View::Intset(intset) => parse_i64(member).is_some_and(|number| intset.contains(number)),
            View::Table(members) => members.contains(members.hash(member), member),
        }
    }

    /// As [`Set::contains`]; the element's hash is computed only if it is needed and not given.
    fn contains_element(&self, element: Element<'_>, hash: Option<u64>) -> bool {
        match (self.view(), element) {
            (View::Intset(intset), Element::Integer(number)) => intset.contains(number),
            (View::Table(members), _) => element.with_bytes(|member| {
                members.contains(hash.unwrap_or_else(|| members.hash(member)), member)
            }),
            _ => element.with_bytes(|member| self.contains(member)),
        }
    }

    /// Whether the set becomes a table when `count` members are added at once: that is decided before
    /// looking at them.
    pub fn is_too_small_for(&self, count: usize, limits: &Limits) -> bool {
        match self.view() {
            View::Listpack(_) => count > limits.set_listpack_entries,
            View::Intset(_) => count > limits.set_intset_entries,
            View::Table(_) => false,
        }
    }

    /// Makes the set a table if it is anything else.
    pub fn make_table(&mut self, hasher: KeyHasher) {
        if matches!(self.view(), View::Table(_)) {
            return;
        }
        let first = self.iter().next();
        let first_hash = first.map_or(0, |first| first.with_bytes(|first| hasher.hash(first)));
        let mut members = Members::new(hasher, first_hash);
        for member in self.iter() {
            member.with_bytes(|member| members.insert_unique(members.hash(member), member));
        }
        *self = Self::of_table(members);
    }

    /// Adds a member. False if it was there.
    pub fn insert(&mut self, member: &[u8], limits: &Limits) -> bool {
        self.insert_hashed(member, None, limits)
    }

    /// Adds several members. False if one of them was there; then not all may have been added.
    pub fn insert_all(&mut self, members: &[Cow<'_, [u8]>], limits: &Limits) -> bool {
        for some in members.chunks(BATCH) {
            let mut hashes = [None; BATCH];
            if let ViewMut::Table(table) = self.view_mut() {
                // Their places lie anywhere in memory, so all are fetched before the first is needed.
                for (hash, member) in hashes.iter_mut().zip(some) {
                    let its = table.hash(member);
                    table.prefetch(its);
                    *hash = Some(its);
                }
            }
            let mut hashed = some.iter().zip(hashes);
            if !hashed.all(|(member, hash)| self.insert_hashed(member, hash, limits)) {
                return false;
            }
        }
        true
    }

    /// As [`Set::insert`]; the member's hash is computed only if it is needed and not given.
    fn insert_hashed(&mut self, member: &[u8], hash: Option<u64>, limits: &Limits) -> bool {
        match self.view_mut() {
            ViewMut::Table(members) => {
                return members.insert(hash.unwrap_or_else(|| members.hash(member)), member);
            }
            ViewMut::Intset(intset) => match parse_i64(member) {
                Some(number) => return self.insert_integer(number, limits),
                None if fits_listpack(intset, member, limits) => {
                    let mut listpack = Listpack::new();
                    intset.iter().for_each(|number| listpack.push_back_integer(number));
                    listpack.push_back(member);
                    *self = Self::of_listpack(listpack);
                    return true;
                }
                None => {}
            },
            ViewMut::Listpack(listpack) => {
                if listpack.first().is_some_and(|first| listpack.find(first, member, 0).is_some()) {
                    return false;
                }
                if listpack.len() < limits.set_listpack_entries
                    && member.len() <= limits.set_listpack_value_bytes
                    && listpack.has_room_for(member.len())
                {
                    listpack.push_back(member);
                    return true;
                }
            }
        }
        self.make_table(limits.hasher);
        self.insert_hashed(member, hash, limits)
    }

    /// Adds an integer, as [`Set::insert`] its digits. False if it was there.
    fn insert_integer(&mut self, number: i64, limits: &Limits) -> bool {
        let ViewMut::Intset(intset) = self.view_mut() else {
            return self.insert_hashed(Digits::new().format(number).as_bytes(), None, limits);
        };
        let is_new = intset.insert(number);
        if is_new && intset.len() > limits.set_intset_entries.min(INTSET_LEN_MAX) {
            self.make_table(limits.hasher);
        }
        is_new
    }

    fn insert_element(&mut self, element: Element<'_>, hash: Option<u64>, limits: &Limits) -> bool {
        match element {
            Element::Integer(number) => self.insert_integer(number, limits),
            Element::Bytes(member) => self.insert_hashed(member, hash, limits),
        }
    }

    /// Removes a member. False if it was not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        self.remove_hashed(member, None)
    }

    /// As [`Set::remove`]; the member's hash is computed only if it is needed and not given.
    fn remove_hashed(&mut self, member: &[u8], hash: Option<u64>) -> bool {
        match self.view_mut() {
            ViewMut::Table(members) => {
                members.remove(hash.unwrap_or_else(|| members.hash(member)), member)
            }
            ViewMut::Intset(intset) => {
                parse_i64(member).is_some_and(|number| intset.remove(number))
            }
            ViewMut::Listpack(listpack) => {
                let first = listpack.first();
                let found = first.and_then(|first| listpack.find(first, member, 0));
                found.map(|position| listpack.remove(position)).is_some()
            }
        }
    }

    /// A member picked by uniformly distributed numbers, each as likely as the others.
    pub fn random(&self, random: &mut dyn FnMut() -> u64) -> Option<Element<'_>> {
        match self.view() {
            View::Listpack(listpack) => {
                let position = listpack.seek(below(random, listpack.len()) as isize)?;
                Some(listpack.get(position))
            }
            View::Intset(intset) => intset.random(random()).map(Element::Integer),
            View::Table(members) => {
                members.random(random).map(|member| Element::Bytes(member.as_slice()))
            }
        }
    }

    /// Visits `count` random members, each time any of them; none if there are none.
    pub fn sample_with_repeats<'a>(
        &'a self,
        count: usize,
        random: &mut dyn FnMut() -> u64,
        mut visit: impl FnMut(Element<'a>),
    ) {
        // Finding an element of a listpack takes a walk, so all are found once.
        let elements: Vec<_> = match self.view() {
            View::Listpack(listpack) if count > 1 => listpack.iter().collect(),
            _ => Vec::new(),
        };
        for _ in 0..count {
            let picked = match elements.len() {
                0 => self.random(random),
                len => Some(elements[below(random, len)]),
            };
            let Some(element) = picked else { return };
            visit(element);
        }
    }

    /// Visits `count` random members, all different, or all if there are no more. In no certain order.
    pub fn sample<'a>(
        &'a self,
        count: usize,
        random: &mut dyn FnMut() -> u64,
        mut visit: impl FnMut(Element<'a>),
    ) {
        match self.view() {
            View::Table(members) if count < members.len() => {
                members.sample(count, random, |member| visit(Element::Bytes(member)));
            }
            View::Intset(intset) if !is_large_part(count, intset.len()) => {
                // Floyd's way: every choice of indexes is as likely as the others.
                let mut picked = HashSet::with_capacity(count);
                for last in intset.len() - count..intset.len() {
                    let index = below(random, last + 1);
                    let index = if picked.insert(index) { index } else { last };
                    picked.insert(index);
                    visit(Element::Integer(
                        intset.get(index).expect("the index is below the length"),
                    ));
                }
            }
            _ => {
                let mut selection = Selection::new(count, self.len());
                self.iter().filter(|_| selection.picks(random)).for_each(visit);
            }
        }
    }

    /// Takes `count` random members out, or all if there are no more, every choice as likely as the others.
    pub fn pop(
        &mut self,
        count: usize,
        random: &mut dyn FnMut() -> u64,
        mut visit: impl FnMut(Element<'_>),
    ) {
        match self.view_mut() {
            ViewMut::Table(members) => {
                for _ in 0..count {
                    let Some(member) = members.pop(random) else { return };
                    visit(Element::Bytes(member.as_slice()));
                }
            }
            ViewMut::Intset(intset) => {
                let mut selection = Selection::new(count, intset.len());
                intset.retain(|number| {
                    let picked = selection.picks(random);
                    if picked {
                        visit(Element::Integer(number));
                    }
                    !picked
                });
            }
            ViewMut::Listpack(listpack) => {
                let mut selection = Selection::new(count, listpack.len());
                let mut at = listpack.first();
                while let Some(position) = at {
                    at = if selection.picks(random) {
                        visit(listpack.get(position));
                        listpack.remove(position)
                    } else {
                        listpack.next(position)
                    };
                }
            }
        }
    }

    /// Visits some `count` members from a cursor on, which is 0 at first, and gives the cursor to go on with,
    /// 0 at the end. What is not a table is visited as a whole.
    pub fn scan<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(Element<'a>),
    ) -> u64 {
        match self.view() {
            View::Table(members) => {
                members.scan(cursor, count, |member| visit(Element::Bytes(member)))
            }
            _ => {
                self.iter().for_each(visit);
                0
            }
        }
    }
}

/// Whether an intset can become a listpack to which `member` is added.
fn fits_listpack(intset: &Intset, member: &[u8], limits: &Limits) -> bool {
    let value_bytes_max = limits.set_listpack_value_bytes;
    let (first, last) = intset.range().unwrap_or_default();
    intset.len() < limits.set_listpack_entries
        && member.len() <= value_bytes_max
        && (intset.is_empty() || digits(first).max(digits(last)) <= value_bytes_max)
        // An integer takes at most 10 bytes.
        && (intset.len() * 10).saturating_add(member.len()) <= Listpack::BYTES_MAX
}

/// The members of a set, in no certain order.
pub enum Iter<'a> {
    /// Those of a listpack.
    Listpack(listpack::Iter<'a>),
    /// Those of an intset.
    Intset(intset::Iter<'a>),
    /// Those of a table.
    Table(table::Iter<'a, ThinBytes, SaltedHasher>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            Iter::Listpack(elements) => elements.next(),
            Iter::Intset(numbers) => numbers.next().map(Element::Integer),
            Iter::Table(members) => members.next().map(|member| Element::Bytes(member.as_slice())),
        }
    }
}

impl<'a> IntoIterator for &'a Set {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}
