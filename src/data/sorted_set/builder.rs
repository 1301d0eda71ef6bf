//! Building a sorted set of elements that come in any order.

use super::element::{Element, ElementBox, set_score};
use super::tree::{self, Tree};
use super::{Big, Entry, InProgress, Limits, MemberHasher, SortedSet, Word};
use crate::data::table::Table;
use crate::data::word::Boxed;

/// Collects elements; only when they are all there are they put in order and an encoding is chosen.
pub struct Builder {
    table: Table<ElementBox, MemberHasher>,
    element_bytes: usize,
    limits: Limits,
}

impl Builder {
    /// Without elements.
    pub fn new(limits: &Limits) -> Self {
        let table = Table::new(MemberHasher(limits.hasher));
        Self { table, element_bytes: 0, limits: limits.clone() }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Adds a member with a score, or, if it is there, gives it the score that `combine` makes of the
    /// present one. Scores must be numbers.
    pub fn merge(&mut self, member: &[u8], score: f64, combine: impl FnOnce(f64) -> f64) {
        let hash = self.limits.hasher.hash(member);
        if let Some(found) = self.table.find_mut(hash, |element| element.member() == member) {
            let combined = combine(found.get().score());
            // SAFETY: the element is the table's, which is borrowed mutably, and nothing keeps it in
            // order yet.
            unsafe { set_score(found.raw(), combined) };
            return;
        }
        let element = ElementBox::new(score, member);
        self.element_bytes += element.view().allocated_bytes();
        self.table.insert_unique(hash, element, None);
    }

    /// Takes a member out, if it is there.
    pub fn remove(&mut self, member: &[u8]) {
        let hash = self.limits.hasher.hash(member);
        if let Some(element) = self.table.remove(hash, |element| element.member() == member) {
            self.element_bytes -= element.view().allocated_bytes();
        }
    }

    /// The sorted set of these elements, a small one if they are few and short enough.
    pub fn finish(self) -> SortedSet {
        let all = self.in_order();
        let longest = all.iter().map(|element| element.member().len()).max().unwrap_or(0);
        let mut small = SortedSet::new(all.len(), longest, &self.limits);
        if small.as_listpack().is_some() {
            for element in all {
                small.push_back(element.member(), element.score(), &self.limits);
            }
            return small;
        }
        let mut tree = Tree::new();
        for element in all {
            // SAFETY: the table keeps the elements until they have been taken out of the tree, and their
            // scores are changed by the tree only.
            unsafe { tree.insert(element.raw()) };
        }
        let (table, element_bytes) = (self.table, self.element_bytes);
        let big = Big { table, tree, element_bytes, saving: InProgress::NONE };
        SortedSet(Word::second(Boxed::new(big)))
    }

    /// Visits the elements in order.
    pub fn visit(&self, mut visit: impl FnMut(Entry<'_>)) {
        for element in self.in_order() {
            visit(Entry::of(element));
        }
    }

    fn in_order(&self) -> Vec<Element<'_>> {
        let mut all = Vec::with_capacity(self.len());
        let mut cursor = 0;
        loop {
            cursor = self.table.walk_segment(cursor, |element| {
                all.push((tree::key_of(element.score()), element));
            });
            if cursor == 0 {
                break;
            }
        }
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.member().cmp(b.1.member())));
        all.into_iter().map(|(_, element)| element).collect()
    }
}
