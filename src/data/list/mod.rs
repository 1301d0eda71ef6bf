//! Lists.
//!
//! A list is a listpack while it is small. A big one, a `quicklist`, is a sequence of nodes: listpacks of some
//! kilobytes, and elements that are too big for one. It does not turn back into a small one while it is
//! being saved.

mod iter;
mod node;
mod nodes;
mod quicklist;
mod saving;
#[cfg(test)]
mod tests;

use super::listpack::{Element, Listpack};
use super::word::{Boxed, Form, Word};
use super::{Limits, Saving};
pub use iter::Iter;
pub use node::NodeView;
use node::{Node, NodeLimit};
use quicklist::Quicklist;
pub use saving::ListHead;
use std::fmt;

/// One of a list's two ends, or the way there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where index 0 is.
    Left,
    /// Where the last index is.
    Right,
}

/// A list; see the module's page. One word. A copy shares its nodes until one of both changes.
#[derive(Clone)]
pub struct List(Word<Listpack, Boxed<Quicklist, 1>>);

/// What a list is made of.
enum View<'a> {
    Small(&'a Listpack),
    Big(&'a Quicklist),
}

/// What a list is made of, to change it.
enum ViewMut<'a> {
    Small(&'a mut Listpack),
    Big(&'a mut Quicklist),
}

impl List {
    /// A list without elements.
    pub fn new() -> Self {
        Self::of_listpack(Listpack::new())
    }

    /// A list of a listpack's elements, to which [`List::settle`] may be applied.
    pub fn of_listpack(listpack: Listpack) -> Self {
        Self(Word::first(listpack))
    }

    fn view(&self) -> View<'_> {
        match self.0.get() {
            Form::First(listpack) => View::Small(listpack),
            Form::Second(quicklist) => View::Big(quicklist),
            Form::Third(never) => match *never {},
        }
    }

    fn view_mut(&mut self) -> ViewMut<'_> {
        match self.0.get_mut() {
            Form::First(listpack) => ViewMut::Small(listpack),
            Form::Second(quicklist) => ViewMut::Big(quicklist),
            Form::Third(never) => match *never {},
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match self.view() {
            View::Small(listpack) => listpack.len(),
            View::Big(quicklist) => quicklist.nodes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Redis's name of the encoding.
    pub fn encoding_name(&self) -> &'static str {
        match self.view() {
            View::Small(_) => "listpack",
            View::Big(_) => "quicklist",
        }
    }

    /// Bytes allocated. Takes time in proportion to the nodes.
    pub fn memory_bytes(&self) -> usize {
        match self.view() {
            View::Small(listpack) => listpack.memory_bytes(),
            View::Big(quicklist) => size_of::<Quicklist>() + quicklist.nodes.memory_bytes(),
        }
    }

    /// The nodes, of which a small list has one.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        let (small, big) = match self.view() {
            View::Small(listpack) => (Some(NodeView::Packed(listpack)), None),
            View::Big(quicklist) => (None, Some(quicklist.nodes.iter().map(Node::view))),
        };
        small.into_iter().chain(big.into_iter().flatten())
    }

    /// Makes the list a big one if it would be too long with so many more elements and so many more bytes
    /// of theirs. To be called before they are pushed, once for all of them: that is how Redis does it.
    pub fn make_room(&mut self, elements: usize, bytes: usize, limits: &Limits) {
        let limit = NodeLimit::new(limits.list_listpack_size);
        let ViewMut::Small(listpack) = self.view_mut() else { return };
        let bytes = listpack.byte_len().saturating_add(bytes);
        if limit.is_passed_by(bytes, listpack.len() + elements) {
            self.make_big(limit);
        }
    }

    fn make_big(&mut self, limit: NodeLimit) {
        let ViewMut::Small(listpack) = self.view_mut() else { return };
        let listpack = std::mem::take(listpack);
        let mut quicklist = Quicklist::new(limit);
        if !listpack.is_empty() {
            quicklist.nodes.push_back(Node::packed(listpack));
        }
        self.0 = Word::second(Boxed::new(quicklist));
    }

    /// Adds a node behind all elements: lists that were loaded keep the nodes that they had. The node must
    /// not be empty.
    pub fn push_node(&mut self, listpack: Listpack, limits: &Limits) {
        debug_assert!(!listpack.is_empty());
        if self.is_empty() && !self.is_saving() {
            *self = Self::of_listpack(listpack);
            return;
        }
        self.make_big(NodeLimit::new(limits.list_listpack_size));
        if let ViewMut::Big(quicklist) = self.view_mut() {
            quicklist.nodes.push_back(Node::packed(listpack));
        }
    }

    /// Makes a list that has lost something a small one, if little enough is left.
    pub fn shrink(&mut self, limits: &Limits) {
        self.make_small(limits, true);
    }

    /// Gives a list that was just made the encoding that it should have.
    pub fn settle(&mut self, limits: &Limits) {
        self.make_room(0, 0, limits);
        self.make_small(limits, false);
    }

    fn make_small(&mut self, limits: &Limits, shrinking: bool) {
        let ViewMut::Big(quicklist) = self.view_mut() else { return };
        let limit = NodeLimit::new(limits.list_listpack_size);
        if quicklist.nodes.saving().is_none()
            && let Some(node) = quicklist.nodes.only()
            && let Some(listpack) = node.listpack()
            && limit.lets_shrink(listpack.byte_len(), node.len(), shrinking)
        {
            let first = quicklist.nodes.first().expect("there is one node");
            let listpack = quicklist.nodes.take(first).0.into_listpack();
            *self = Self::of_listpack(listpack.expect("it is packed"));
        }
    }

    /// Adds an element at an end. [`List::make_room`] goes before.
    pub fn push(&mut self, side: Side, element: &[u8]) {
        match (self.view_mut(), side) {
            (ViewMut::Small(listpack), Side::Left) => listpack.push_front(element),
            (ViewMut::Small(listpack), Side::Right) => listpack.push_back(element),
            (ViewMut::Big(quicklist), _) => quicklist.push(side, element),
        }
    }

    /// An index counted from the left, of one that is counted from the right if it is negative.
    pub fn index(&self, index: i64) -> Option<usize> {
        let len = self.len();
        match index {
            0.. => usize::try_from(index).ok().filter(|&index| index < len),
            _ => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
        }
    }

    /// The element at an index.
    pub fn get(&self, index: usize) -> Option<Element<'_>> {
        match self.view() {
            View::Small(listpack) => {
                let position = listpack.seek(isize::try_from(index).ok()?)?;
                Some(listpack.get(position))
            }
            View::Big(quicklist) if index < quicklist.nodes.len() => {
                let (place, offset) = quicklist.nodes.seek(index);
                Some(quicklist.nodes.get(place).get(offset))
            }
            View::Big(_) => None,
        }
    }

    /// The elements from an index on, towards one of the ends.
    pub fn iter_at(&self, index: usize, towards: Side) -> Iter<'_> {
        match self.view() {
            _ if index >= self.len() => Iter::empty(),
            View::Small(listpack) => Iter::of_listpack(listpack, index, towards),
            View::Big(quicklist) => Iter::of_nodes(&quicklist.nodes, index, towards),
        }
    }

    /// All elements, from the left.
    pub fn iter(&self) -> Iter<'_> {
        self.iter_at(0, Side::Right)
    }

    /// Takes the element at an end out, and gives its bytes and what Redis counts of them when it decides
    /// whether they fit into a small list: not those of an integer out of a big one. A list that has become
    /// small enough stays what it is; [`List::shrink`] may follow.
    pub fn pop(&mut self, side: Side) -> Option<(Vec<u8>, usize)> {
        let last = self.len().checked_sub(1)?;
        let index = if side == Side::Left { 0 } else { last };
        let element = self.get(index).expect("the list is not empty");
        let is_counted =
            matches!((element, self.view()), (Element::Bytes(_), _) | (_, View::Small(_)));
        let bytes = element.to_vec();
        let counted_bytes = if is_counted { bytes.len() } else { 0 };
        self.cut(index, 1);
        Some((bytes, counted_bytes))
    }

    /// Puts another element in place of the one at an index. False if there is none.
    pub fn set(&mut self, index: usize, element: &[u8], limits: &Limits) -> bool {
        if index >= self.len() {
            return false;
        }
        self.make_room(1, element.len(), limits);
        match self.view_mut() {
            ViewMut::Small(listpack) => {
                let position = listpack.seek(index as isize).expect("the index exists");
                listpack.replace(position, element);
            }
            ViewMut::Big(quicklist) => quicklist.set(index, element),
        }
        self.shrink(limits);
        true
    }

    /// Inserts an element on one side of the first one that is `pivot`. False if there is none.
    pub fn insert(&mut self, pivot: &[u8], side: Side, element: &[u8], limits: &Limits) -> bool {
        let after = side == Side::Right;
        if let ViewMut::Small(listpack) = self.view_mut() {
            let first = listpack.first();
            let Some(found) = first.and_then(|first| listpack.find(first, pivot, 0)) else {
                return false;
            };
            let limit = NodeLimit::new(limits.list_listpack_size);
            if !limit.is_passed_by(listpack.byte_len() + element.len(), listpack.len() + 1) {
                match after {
                    true => listpack.insert_after(found, element),
                    false => listpack.insert_before(found, element),
                };
                return true;
            }
            self.make_room(1, element.len(), limits);
        }
        let ViewMut::Big(quicklist) = self.view_mut() else { unreachable!("it was made big") };
        let Some((place, position)) = quicklist.find(pivot) else { return false };
        quicklist.insert(place, position, after, element);
        true
    }

    /// Removes `count` elements from an index on, or as many as there are.
    pub fn remove_range(&mut self, index: usize, count: usize, limits: &Limits) {
        self.cut(index, count);
        self.shrink(limits);
    }

    fn cut(&mut self, index: usize, count: usize) {
        let count = count.min(self.len().saturating_sub(index));
        match self.view_mut() {
            ViewMut::Small(listpack) => listpack.remove_range(index, count),
            ViewMut::Big(quicklist) => quicklist.remove_range(index, count),
        }
    }

    /// Removes elements that are `needle`, at most `count_max`, those first that are nearest to the given
    /// side. Says how many.
    pub fn remove_equal(
        &mut self,
        needle: &[u8],
        from: Side,
        count_max: usize,
        limits: &Limits,
    ) -> usize {
        let removed = match self.view_mut() {
            ViewMut::Small(listpack) => remove_equal(listpack, needle, from, count_max),
            ViewMut::Big(quicklist) => quicklist.remove_equal(needle, from, count_max),
        };
        if removed > 0 {
            self.shrink(limits);
        }
        removed
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a List {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Removes elements that are `needle` from a listpack, at most `count_max`, from the given side on.
fn remove_equal(listpack: &mut Listpack, needle: &[u8], from: Side, count_max: usize) -> usize {
    let mut removed = 0;
    match from {
        Side::Left => {
            let mut at = listpack.first();
            while removed < count_max
                && let Some(found) = at.and_then(|at| listpack.find(at, needle, 0))
            {
                // Each removal moves everything behind it, so equal neighbors go together.
                let equal = listpack.iter_from(found).take_while(|next| next.eq_bytes(needle));
                let count = equal.take(count_max - removed).count();
                at = listpack.remove_run(found, count);
                removed += count;
            }
        }
        Side::Right => {
            let mut at = listpack.last();
            while let Some(here) = at.filter(|_| removed < count_max) {
                at = listpack.previous(here);
                if listpack.get(here).eq_bytes(needle) {
                    listpack.remove(here);
                    removed += 1;
                }
            }
        }
    }
    removed
}
