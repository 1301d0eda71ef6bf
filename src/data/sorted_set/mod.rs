//! Sorted sets.
//!
//! A small one is a listpack of members and scores in turn, in order, with the very bytes of Redis. A
//! big one has every element once, in an allocation of its own (`element.rs`), with two ways to it: a
//! table by member, which owns it, and a B+tree by score and member (`tree`), which knows ranks. It says
//! that it is a "skiplist", because that is what programs know.

mod builder;
mod element;
mod iter;
mod range;
mod saving;
mod small;
#[cfg(test)]
mod tests;
mod tree;

use super::listpack::{self, Listpack};
use super::saving::{Elements, InProgress};
use super::table::{Rehash, Table, prefetch};
use super::word::{Boxed, Form, Word};
use super::{KeyHasher, Limits, Malformed};
pub use builder::Builder;
use element::{Element, ElementBox};
pub use iter::{Entry, Iter};
pub use range::{LexBound, LexRange, ScoreRange};
use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;
use tree::{Bound, Tree};

/// A sorted set; see the module's page. One word.
#[repr(transparent)]
#[derive(Clone)]
pub struct SortedSet(Word<Listpack, Boxed<Big, 1>>);

/// What [`SortedSet::update`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The member is there now, and was not before.
    Added,
    /// The member has another score.
    Updated,
}

/// Hashes members.
struct MemberHasher(KeyHasher);

impl Rehash<ElementBox> for MemberHasher {
    fn rehash(&self, element: Element<'_>) -> u64 {
        self.0.hash(element.member())
    }
}

/// A big sorted set.
struct Big {
    /// Owns the elements.
    table: Table<ElementBox, MemberHasher>,
    /// Points to the same elements.
    tree: Tree,
    /// Bytes of all elements.
    element_bytes: usize,
    saving: InProgress<Elements<ElementBox, usize>>,
}

impl Big {
    fn new(hasher: KeyHasher) -> Self {
        let table = Table::new(MemberHasher(hasher));
        Self { table, tree: Tree::new(), element_bytes: 0, saving: InProgress::NONE }
    }

    fn hash(&self, member: &[u8]) -> u64 {
        self.table.hasher().0.hash(member)
    }

    fn find(&self, member: &[u8]) -> Option<Element<'_>> {
        self.table.find(self.hash(member), |element| element.member() == member)
    }

    /// Inserts an element whose member is not there yet.
    fn insert(&mut self, score: f64, member: &[u8]) {
        let hash = self.hash(member);
        self.insert_hashed(hash, score, member);
    }

    fn insert_hashed(&mut self, hash: u64, score: f64, member: &[u8]) {
        let element = ElementBox::new(score, member);
        let raw = element.view().raw();
        self.element_bytes += element.view().allocated_bytes();
        if let Some(saving) = self.saving.get_mut() {
            saving.on_insert(hash, member);
        }
        self.table.insert_unique(hash, element, None);
        // SAFETY: the table keeps the element until it has been taken out of the tree, and its score is
        // changed by the tree only.
        unsafe { self.tree.insert(raw) };
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let hash = self.hash(member);
        let Some(element) = self.table.remove(hash, |element| element.member() == member) else {
            return false;
        };
        let was_there = self.tree.remove(element.view().raw());
        debug_assert!(was_there);
        self.element_bytes -= element.view().allocated_bytes();
        if let Some(saving) = self.saving.get_mut() {
            saving.on_remove(hash, element);
        }
        true
    }

    /// Gives an element another score. Its hash is `hash`.
    fn set_score(&mut self, hash: u64, raw: NonNull<u8>, score: f64) {
        if let Some(saving) = self.saving.get_mut() {
            // SAFETY: the table owns the element, and the borrow ends before its score changes.
            saving.before_change(hash, unsafe { Element::from_raw(raw) });
        }
        self.tree.set_score(raw, score);
    }

    /// Bytes allocated, without what is kept for a saving.
    fn data_bytes(&self) -> usize {
        let index = self.table.memory_bytes() + self.tree.memory_bytes();
        size_of::<Self>() + index + self.element_bytes
    }

    /// How many elements from the first on have members that `counts` is true for, if scores are all the
    /// same; otherwise some number that follows from the elements alone, and not from the tree's form.
    fn rank_where(&self, counts: impl Fn(&[u8]) -> bool) -> usize {
        let counts = |element: Element<'_>| counts(element.member());
        let at = |rank| self.tree.iter(rank, 1, false).next();
        let (mut low, mut high) = (0, self.tree.len());
        let ends = at(0).zip(at(high.wrapping_sub(1)));
        if ends.is_none_or(|(first, last)| first.score() == last.score()) {
            return self.tree.rank_where(counts);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if at(middle).is_some_and(counts) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn remove_ranks(&mut self, ranks: Range<usize>) {
        // Neighbours by score lie anywhere in memory, so a run of them is fetched before it is needed.
        const RUN: usize = 32;
        let Self { table, tree, element_bytes, saving } = self;
        let mut run: Vec<NonNull<u8>> = Vec::with_capacity(RUN);
        let mut hashes = [0; RUN];
        let mut remove_run = |run: &mut Vec<NonNull<u8>>| {
            for (raw, hash) in run.iter().zip(&mut hashes) {
                // SAFETY: the table still owns the element.
                let element = unsafe { Element::from_raw(*raw) };
                *element_bytes -= element.allocated_bytes();
                *hash = table.hasher().rehash(element);
                table.prefetch(*hash);
            }
            for (raw, hash) in run.drain(..).zip(&hashes) {
                let removed = table.remove(*hash, |other| other.raw() == raw);
                debug_assert!(removed.is_some());
                if let (Some(saving), Some(removed)) = (saving.get_mut(), removed) {
                    saving.on_remove(*hash, removed);
                }
            }
        };
        tree.remove_range(ranks.start, ranks.len(), |raw| {
            prefetch(raw.as_ptr());
            run.push(raw);
            if run.len() == RUN {
                remove_run(&mut run);
            }
        });
        remove_run(&mut run);
    }
}

impl Clone for Big {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.table.hasher().0);
        for element in self.tree.iter(0, usize::MAX, false) {
            copy.insert(element.score(), element.member());
        }
        copy
    }
}

impl SortedSet {
    /// An empty sorted set in the encoding for about `len` elements, the first of which has a member of
    /// `member_bytes`.
    pub fn new(len: usize, member_bytes: usize, limits: &Limits) -> Self {
        let is_small = len <= limits.sorted_set_listpack_entries
            && member_bytes <= limits.sorted_set_listpack_value_bytes;
        if is_small { Self(Word::first(Listpack::new())) } else { Self::new_big(limits) }
    }

    fn new_big(limits: &Limits) -> Self {
        Self(Word::second(Boxed::new(Big::new(limits.hasher))))
    }

    /// A small sorted set of the given elements, members and scores in turn.
    ///
    /// # Errors
    /// If they are not in order, a score is none, or a member occurs twice.
    pub fn from_listpack(listpack: Listpack) -> Result<Self, Malformed> {
        small::check(&listpack)?;
        Ok(Self(Word::first(listpack)))
    }

    /// The elements' bytes, if the sorted set is small.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.0.get() {
            Form::First(listpack) => Some(listpack),
            _ => None,
        }
    }

    /// What `OBJECT ENCODING` says.
    pub fn encoding_name(&self) -> &'static str {
        if self.as_listpack().is_some() { "listpack" } else { "skiplist" }
    }

    /// Bytes that are allocated, without the allocator's rounding.
    pub fn memory_bytes(&self) -> usize {
        match self.0.get() {
            Form::First(listpack) => listpack.memory_bytes(),
            Form::Second(big) => {
                big.data_bytes() + big.saving.get().map_or(0, Elements::memory_bytes)
            }
            Form::Third(never) => match *never {},
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self.0.get() {
            Form::First(listpack) => listpack.len() / 2,
            Form::Second(big) => big.tree.len(),
            Form::Third(never) => match *never {},
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        match self.0.get() {
            Form::First(listpack) => listpack.is_empty(),
            Form::Second(big) => big.tree.is_empty(),
            Form::Third(never) => match *never {},
        }
    }

    /// A member's score.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self.0.get() {
            Form::First(listpack) => small::find(listpack, member).map(|found| found.score),
            Form::Second(big) => big.find(member).map(Element::score),
            Form::Third(never) => match *never {},
        }
    }

    /// How many elements are before a member, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match self.0.get() {
            Form::First(listpack) => {
                let entries = Iter::of_listpack(listpack, 0, usize::MAX, false);
                let found = entries.enumerate().find(|(_, entry)| entry.member.eq_bytes(member));
                found.map(|(rank, entry)| (rank, entry.score))
            }
            Form::Second(big) => {
                let score = big.find(member)?.score();
                Some((big.tree.rank(score, member), score))
            }
            Form::Third(never) => match *never {},
        }
    }

    /// Asks `decide` for a member's new score, with the present one if it is there, and does as it says:
    /// `None` means to change nothing. The score must be a number.
    pub fn update(
        &mut self,
        member: &[u8],
        limits: &Limits,
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Change {
        if let Form::First(listpack) = self.0.get_mut() {
            if let Some(found) = small::find(listpack, member) {
                return match decide(Some(found.score)) {
                    Some(score) if score != found.score => {
                        listpack.remove_run(found.position, 2);
                        small::insert(listpack, score, member);
                        Change::Updated
                    }
                    _ => Change::None,
                };
            }
            let Some(score) = decide(None) else { return Change::None };
            if self.has_room_for(member, limits)
                && let Form::First(listpack) = self.0.get_mut()
            {
                small::insert(listpack, score, member);
            } else {
                self.make_big(limits).insert(score, member);
            }
            return Change::Added;
        }
        let big = self.make_big(limits);
        let hash = big.hash(member);
        let found = big.table.find(hash, |element| element.member() == member);
        match found.map(|element| (element.score(), element.raw())) {
            Some((old, raw)) => match decide(Some(old)) {
                Some(score) if score != old => {
                    debug_assert!(!score.is_nan());
                    big.set_score(hash, raw, score);
                    Change::Updated
                }
                _ => Change::None,
            },
            None => {
                let Some(score) = decide(None) else { return Change::None };
                debug_assert!(!score.is_nan());
                big.insert_hashed(hash, score, member);
                Change::Added
            }
        }
    }

    /// Sets a member's score, whether it is there or not. The score must be a number.
    pub fn set(&mut self, member: &[u8], score: f64, limits: &Limits) -> Change {
        self.update(member, limits, |_| Some(score))
    }

    /// Adds an element behind all others, whose member is not there yet.
    pub fn push_back(&mut self, member: &[u8], score: f64, limits: &Limits) {
        if self.has_room_for(member, limits)
            && let Form::First(listpack) = self.0.get_mut()
        {
            small::push_back(listpack, score, member);
        } else {
            self.make_big(limits).insert(score, member);
        }
    }

    /// Removes a member. False if it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self.0.get_mut() {
            Form::First(listpack) => {
                let Some(found) = small::find(listpack, member) else { return false };
                listpack.remove_run(found.position, 2);
                true
            }
            Form::Second(big) => big.remove(member),
            Form::Third(never) => match *never {},
        }
    }

    /// Removes the elements of these ranks.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match self.0.get_mut() {
            Form::First(listpack) => listpack.remove_range(ranks.start * 2, ranks.len() * 2),
            Form::Second(big) => big.remove_ranks(ranks),
            Form::Third(never) => match *never {},
        }
    }

    /// The element of a rank.
    pub fn get(&self, rank: usize) -> Option<Entry<'_>> {
        self.iter(rank, 1, false).next()
    }

    /// `count` elements, or as many as there are, from a rank on; with `reverse` downwards.
    pub fn iter(&self, rank: usize, count: usize, reverse: bool) -> Iter<'_> {
        match self.0.get() {
            Form::First(listpack) => Iter::of_listpack(listpack, rank, count, reverse),
            Form::Second(big) => Iter::of_tree(big.tree.iter(rank, count, reverse)),
            Form::Third(never) => match *never {},
        }
    }

    /// The ranks of the elements in a range of scores.
    pub fn ranks_by_score(&self, range: &ScoreRange) -> Range<usize> {
        match self.0.get() {
            Form::First(listpack) => small::ranks_by_score(listpack, range),
            Form::Second(big) => {
                let (min, max) = (range.min, range.max);
                let min = if range.excludes_min { Bound::After(min) } else { Bound::Before(min) };
                let max = if range.excludes_max { Bound::Before(max) } else { Bound::After(max) };
                let start = big.tree.rank_of_bound(min);
                start..big.tree.rank_of_bound(max).max(start)
            }
            Form::Third(never) => match *never {},
        }
    }

    /// The ranks of the elements in a range of members.
    ///
    /// If scores differ, which elements these are means little, but for a small sorted set they are those
    /// that Redis finds, which then depends on the direction in which it looks.
    pub fn ranks_by_lex(&self, range: &LexRange<'_>, reverse: bool) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        match self.0.get() {
            Form::First(listpack) => small::ranks_by_lex(listpack, range, reverse),
            Form::Second(big) => {
                let start = big.rank_where(|member| !range.begins_before(member));
                let end = big.rank_where(|member| range.ends_after(member));
                start..end.max(start)
            }
            Form::Third(never) => match *never {},
        }
    }

    /// Visits about `count` elements and gives the cursor for the next call, or 0 at the end; a small
    /// sorted set is visited as a whole. Elements that are there during a whole walk are all visited.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Entry<'_>)) -> u64 {
        match self.0.get() {
            Form::First(_) => {
                self.iter(0, usize::MAX, false).for_each(visit);
                0
            }
            Form::Second(big) => big.table.scan(cursor, count, |element| visit(Entry::of(element))),
            Form::Third(never) => match *never {},
        }
    }

    /// Whether a small sorted set stays small with another member.
    fn has_room_for(&self, member: &[u8], limits: &Limits) -> bool {
        /// More than what an element takes beside its member.
        const OVERHEAD_BYTES: usize = 64;
        self.as_listpack().is_some_and(|listpack| {
            member.len() <= limits.sorted_set_listpack_value_bytes
                && listpack.len() / 2 < limits.sorted_set_listpack_entries
                && listpack.has_room_for(member.len() + OVERHEAD_BYTES)
        })
    }

    /// Makes it a big one if it is small and `len` elements are too many for that. False if nothing
    /// has changed.
    pub fn grow_for(&mut self, len: usize, limits: &Limits) -> bool {
        let is_due = self.as_listpack().is_some() && len > limits.sorted_set_listpack_entries;
        if is_due {
            self.make_big(limits);
        }
        is_due
    }

    fn make_big(&mut self, limits: &Limits) -> &mut Big {
        if let Form::First(listpack) = self.0.get() {
            let mut big = Big::new(limits.hasher);
            for entry in Iter::of_listpack(listpack, 0, usize::MAX, false) {
                entry.member.with_bytes(|member| big.insert(entry.score, member));
            }
            *self = Self(Word::second(Boxed::new(big)));
        }
        match self.0.get_mut() {
            Form::Second(big) => big,
            _ => unreachable!("it was just made big"),
        }
    }
}

impl fmt::Debug for SortedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |entry: Entry<'_>| {
            (String::from_utf8_lossy(&entry.member.to_vec()).into_owned(), entry.score)
        };
        f.debug_map().entries(self.iter(0, usize::MAX, false).map(shown)).finish()
    }
}
