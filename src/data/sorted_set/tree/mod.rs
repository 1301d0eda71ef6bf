//! The order of a big sorted set: a B+tree over its elements, by score and then by member, that also
//! knows ranks.
//!
//! *Leaves* hold pointers to elements, *inner nodes* subtrees with the number of elements in each.
//! So an element's rank, the element at a rank, and every bound of a range are found on one way from
//! the root down, and a walk over elements costs O(1) a step.
//!
//! The tree does not own the elements: the caller keeps each alive until it is removed.
//!
//! Leaves grow in small steps before they split (`leaf.rs`), and the ones at either end are left
//! full when elements come in order. That makes 9 to 9.5 bytes an element, whatever the order.

mod inner;
mod leaf;
#[cfg(test)]
mod tests;

use super::super::table::prefetch;
use super::element::{self, Element, Raw};
use inner::{Child, FANOUT, INNER_BYTES, Inner};
use leaf::{LEAF_HALF, LEAF_MAX, Leaf};
use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// A leaf with fewer elements is merged with a neighbour, or gets some of its elements.
const LEAF_MIN: usize = LEAF_MAX / 4;
/// Two leaves are merged if they have no more than this: few enough that the next insert does not
/// split them again.
const LEAF_MERGE_MAX: usize = LEAF_MAX * 4 / 5;
/// The same for inner nodes.
const INNER_MIN: usize = FANOUT / 4;
const INNER_MERGE_MAX: usize = FANOUT * 4 / 5;
/// More levels than memory has room for, with at least `INNER_MIN` subtrees in a node.
const HEIGHT_MAX: usize = 12;
/// How many elements ahead a walk asks the processor for.
const AHEAD: usize = 8;

/// A number that is ordered as scores are: 0.0 and -0.0 are the same.
#[inline]
pub(super) fn key_of(score: f64) -> u64 {
    // The sum turns -0.0 into 0.0 and leaves everything else as it is.
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// A place between elements.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// Before all elements with this score.
    Before(f64),
    /// After all elements with this score.
    After(f64),
}

/// The tree; see the module's page.
pub struct Tree {
    /// A leaf if the height is 0, else an inner node; anything while the tree is empty.
    root: NonNull<u8>,
    /// Levels of inner nodes.
    height: usize,
    len: usize,
    /// Bytes of all nodes.
    bytes: usize,
}

// SAFETY: the tree owns its nodes, and the elements that it points to are neither tied to a thread.
unsafe impl Send for Tree {}
// SAFETY: without a mutable borrow nothing is changed.
unsafe impl Sync for Tree {}

/// The way from the root to a leaf: inner nodes, and the subtree taken in each.
#[derive(Clone, Copy)]
struct Path {
    steps: [(Inner, usize); HEIGHT_MAX],
    height: usize,
}

impl Path {
    fn new() -> Self {
        // SAFETY: steps beyond the height are not used.
        let none = unsafe { Inner::at(NonNull::dangling()) };
        Self { steps: [(none, 0); HEIGHT_MAX], height: 0 }
    }

    fn push(&mut self, node: Inner, at: usize) {
        self.steps[self.height] = (node, at);
        self.height += 1;
    }

    fn steps(&self) -> &[(Inner, usize)] {
        &self.steps[..self.height]
    }

    /// Whether it leads to the first leaf.
    fn is_first(&self) -> bool {
        self.steps().iter().all(|&(_, at)| at == 0)
    }

    /// Whether it leads to the last leaf.
    fn is_last(&self) -> bool {
        self.steps().iter().all(|&(node, at)| at + 1 == node.len())
    }

    /// The first element after the leaf, and its key.
    fn next_separator(&self) -> Option<(u64, Raw)> {
        let mut steps = self.steps().iter().rev();
        steps.find(|&&(node, at)| at + 1 < node.len()).map(|&(node, at)| node.separator(at + 1))
    }

    /// Sets what the subtree that the first `depth` steps lead to begins with.
    fn set_first(&self, depth: usize, separator: (u64, Raw)) {
        // Where the subtree is the first one of its node, the node begins with the same.
        let mut steps = self.steps[..depth].iter().rev();
        if let Some(&(node, at)) = steps.find(|&&(_, at)| at > 0) {
            node.set_separator(at, separator);
        }
    }

    /// Moves on to the next leaf, or to the one before. False, and nothing is changed, if there is
    /// none.
    fn step(&mut self, forward: bool) -> bool {
        let can_step = |&(node, at): &(Inner, usize)| {
            if forward { at + 1 < node.len() } else { at > 0 }
        };
        let Some(level) = self.steps().iter().rposition(can_step) else { return false };
        let at = &mut self.steps[level].1;
        *at = if forward { *at + 1 } else { *at - 1 };
        for level in level + 1..self.height {
            let (above, at) = self.steps[level - 1];
            // SAFETY: the path leads through inner nodes of a tree that is borrowed.
            let node = unsafe { Inner::at(above.child(at)) };
            self.steps[level] = (node, if forward { 0 } else { node.len() - 1 });
        }
        true
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// An empty tree, which allocates nothing yet.
    pub fn new() -> Self {
        Self { root: NonNull::dangling(), height: 0, len: 0, bytes: 0 }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes allocated, without the elements.
    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// Inserts an element. An equal one must not be there.
    ///
    /// # Safety
    /// The element stays alive as long as it is in the tree, and its score changes only through
    /// [`Tree::set_score`].
    pub(super) unsafe fn insert(&mut self, raw: Raw) {
        // SAFETY: the caller promises so.
        let element = unsafe { Element::from_raw(raw) };
        let (key, member) = (key_of(element.score()), element.member());
        self.len += 1;
        if self.len == 1 {
            let leaf = Leaf::alloc(1);
            // SAFETY: the tree is borrowed mutably, and nothing of the leaf is borrowed here.
            unsafe { leaf.insert(0, key, raw) };
            (self.root, self.height, self.bytes) = (leaf.address(), 0, leaf.bytes());
            return;
        }
        let (path, leaf) = self.descend(|mut node| {
            let at = node.find(key, |other| other.member() < member);
            *node.count_mut(at) += 1;
            at
        });
        let at = leaf.count_below(key, |other| other.member() < member);
        if !leaf.is_full() {
            // SAFETY: the tree is borrowed mutably, and nothing of the leaf is borrowed here.
            unsafe { leaf.insert(at, key, raw) };
        } else if leaf.len() < LEAF_MAX {
            let leaf = self.resize_leaf(&path, leaf, leaf.len() + 1);
            // SAFETY: the tree is borrowed mutably, and nothing of the leaf is borrowed here.
            unsafe { leaf.insert(at, key, raw) };
        } else {
            self.split_leaf(&path, leaf, at, key, raw);
        }
    }

    /// Takes an element out. False if it was not there.
    pub(super) fn remove(&mut self, raw: Raw) -> bool {
        let Some((path, leaf, at)) = self.locate(raw) else { return false };
        self.remove_at(&path, leaf, at, 1);
        true
    }

    /// Removes `count` elements from rank `start` on, and calls `removed` with each once the tree
    /// no longer uses it.
    pub(super) fn remove_range(
        &mut self,
        start: usize,
        count: usize,
        mut removed: impl FnMut(Raw),
    ) {
        let mut left = count.min(self.len.saturating_sub(start));
        let mut chunk = Vec::with_capacity(left.min(LEAF_MAX));
        while left > 0 {
            let (path, leaf, at) = self.seek(start);
            let here = left.min(leaf.len() - at);
            chunk.extend((at..at + here).map(|at| leaf.raw(at)));
            self.remove_at(&path, leaf, at, here);
            chunk.drain(..).for_each(&mut removed);
            left -= here;
        }
    }

    /// Changes the score of an element that is in the tree, and puts it in its new place.
    pub(super) fn set_score(&mut self, raw: Raw, score: f64) {
        let (path, leaf, at) = self.locate(raw).expect("the element is in the tree");
        let element = leaf.element(at);
        let (old_key, key, member) = (key_of(element.score()), key_of(score), element.member());
        let is_before = |other_key: u64, other: Raw| {
            // SAFETY: elements in a tree are alive.
            other_key < key
                || other_key == key && unsafe { Element::from_raw(other) }.member() < member
        };
        let in_leaf = |at: usize| (key_of(leaf.element(at).score()), leaf.raw(at));
        // A higher score keeps the element after its predecessors, a lower one before its
        // successors.
        let keeps_place = match key.cmp(&old_key) {
            Ordering::Equal => true,
            Ordering::Greater => {
                let next =
                    if at + 1 < leaf.len() { Some(in_leaf(at + 1)) } else { path.next_separator() };
                next.is_none_or(|(key, raw)| !is_before(key, raw))
            }
            Ordering::Less if at > 0 => {
                let (key, raw) = in_leaf(at - 1);
                is_before(key, raw)
            }
            // The one before is in another leaf; to look there would cost as much as to move.
            Ordering::Less => path.is_first(),
        };
        if keeps_place {
            // SAFETY: the element is alive, and the tree takes note of its score next.
            unsafe { element::set_score(raw, score) };
            // SAFETY: the tree is borrowed mutably, and nothing of the leaf is borrowed here.
            unsafe { leaf.set_key(at, key) };
            if at == 0 {
                path.set_first(path.height, (key, raw));
            }
            return;
        }
        self.remove_at(&path, leaf, at, 1);
        // SAFETY: the element is alive, and not in the tree; as what it was inserted with still holds.
        unsafe {
            element::set_score(raw, score);
            self.insert(raw);
        }
    }

    /// How many elements are before the one with this score and member, be it there or not.
    pub fn rank(&self, score: f64, member: &[u8]) -> usize {
        let key = key_of(score);
        self.count(
            |node| node.find(key, |other| other.member() <= member),
            |leaf| leaf.count_below(key, |other| other.member() < member),
        )
    }

    /// How many elements are before a bound.
    pub fn rank_of_bound(&self, bound: Bound) -> usize {
        let (key, ties_count) = match bound {
            Bound::Before(score) => (key_of(score), false),
            Bound::After(score) => (key_of(score), true),
        };
        self.count(
            |node| node.find(key, |_| ties_count),
            |leaf| leaf.count_below(key, |_| ties_count),
        )
    }

    /// How many elements from the first on `counts` is true for, if it is true for none that follow
    /// one for which it is false; some number otherwise.
    pub fn rank_where(&self, counts: impl Fn(Element<'_>) -> bool) -> usize {
        self.count(|node| node.find_while(&counts), |leaf| leaf.count_while(&counts))
    }

    /// `count` elements from rank `start` on; backwards, if `reverse`, from `start` down.
    pub fn iter(&self, start: usize, count: usize, reverse: bool) -> Iter<'_> {
        let available = if start >= self.len {
            0
        } else if reverse {
            start + 1
        } else {
            self.len - start
        };
        let left = count.min(available);
        let (path, leaf, at) = match left {
            0 => (Path::new(), None, 0),
            _ => {
                let (path, leaf, at) = self.seek(start);
                (path, Some(leaf), at)
            }
        };
        let mut iter = Iter { path, leaf, at, left, reverse, tree: PhantomData };
        iter.prefetch();
        iter
    }

    /// Goes down to a leaf, through the subtree that `choose` names in each inner node.
    fn descend(&self, mut choose: impl FnMut(Inner) -> usize) -> (Path, Leaf) {
        let mut path = Path::new();
        let mut node = self.root;
        for _ in 0..self.height {
            // SAFETY: so many levels of nodes of this tree are inner nodes.
            let inner = unsafe { Inner::at(node) };
            let at = choose(inner);
            path.push(inner, at);
            node = inner.child(at);
            Inner::prefetch(node);
        }
        // SAFETY: below the inner nodes of this tree there are leaves.
        (path, unsafe { Leaf::at(node) })
    }

    /// Adds up the elements before the place that the two searches lead to.
    fn count(&self, in_node: impl Fn(Inner) -> usize, in_leaf: impl Fn(Leaf) -> usize) -> usize {
        if self.len == 0 {
            return 0;
        }
        let (mut node, mut before) = (self.root, 0);
        for _ in 0..self.height {
            // SAFETY: so many levels of nodes of this tree are inner nodes.
            let inner = unsafe { Inner::at(node) };
            let at = in_node(inner);
            node = inner.child(at);
            Inner::prefetch(node);
            before += inner.count_before(at);
        }
        // SAFETY: below the inner nodes of this tree there are leaves.
        before + in_leaf(unsafe { Leaf::at(node) })
    }

    /// The place of element number `rank`, which must be there.
    fn seek(&self, mut rank: usize) -> (Path, Leaf, usize) {
        debug_assert!(rank < self.len);
        let (path, leaf) = self.descend(|node| {
            let (at, rest) = node.find_rank(rank);
            rank = rest;
            at
        });
        (path, leaf, rank)
    }

    /// The place of an element.
    fn locate(&self, raw: Raw) -> Option<(Path, Leaf, usize)> {
        if self.len == 0 {
            return None;
        }
        // SAFETY: callers pass elements that are alive.
        let element = unsafe { Element::from_raw(raw) };
        let (key, member) = (key_of(element.score()), element.member());
        let (path, leaf) = self.descend(|node| node.find(key, |other| other.member() <= member));
        let at = leaf.count_below(key, |other| other.member() < member);
        (at < leaf.len() && leaf.raw(at) == raw).then_some((path, leaf, at))
    }

    /// Notes where the leaf at the end of a path is now.
    fn set_leaf(&mut self, path: &Path, leaf: Leaf) {
        match path.steps().last() {
            Some(&(parent, at)) => parent.set_child(at, leaf.address()),
            None => self.root = leaf.address(),
        }
    }

    fn resize_leaf(&mut self, path: &Path, leaf: Leaf, len: usize) -> Leaf {
        self.bytes -= leaf.bytes();
        // SAFETY: the caller goes on with the result.
        let leaf = unsafe { leaf.resized(len) };
        self.bytes += leaf.bytes();
        self.set_leaf(path, leaf);
        leaf
    }

    /// Inserts an element into a leaf that is full and cannot grow. The counts on the way to it
    /// include the new element already.
    fn split_leaf(&mut self, path: &Path, leaf: Leaf, at: usize, key: u64, raw: Raw) {
        let is_last = at == leaf.len() && path.is_last();
        let is_first = at == 0 && path.is_first();
        self.bytes -= leaf.bytes();
        // Where elements come in order, full leaves stay behind.
        let (left, right) = if is_last || is_first {
            let new = Leaf::alloc(1);
            // SAFETY: the tree is borrowed mutably, and nothing of the leaf is borrowed here.
            unsafe { new.insert(0, key, raw) };
            if is_last { (leaf, new) } else { (new, leaf) }
        } else {
            // The half that the element is not for fills one of the sizes to the last slot.
            let is_left = at <= LEAF_MAX - LEAF_HALF;
            let middle = if is_left { LEAF_MAX - LEAF_HALF } else { LEAF_HALF };
            // SAFETY: the tree is borrowed mutably, and nothing of the leaf is borrowed here.
            let right = unsafe { leaf.split_off(middle, !is_left) };
            // SAFETY: the tree points to the result from here on.
            let left = unsafe { leaf.resized(middle + usize::from(is_left)) };
            // SAFETY: the tree is borrowed mutably, and nothing of the leaf is borrowed here.
            unsafe {
                left.refine();
                right.refine();
            }
            if is_left {
                // SAFETY: the tree is borrowed mutably, and nothing of the leaf is borrowed here.
                unsafe { left.insert(at, key, raw) };
            } else {
                // SAFETY: the tree is borrowed mutably, and nothing of the leaf is borrowed here.
                unsafe { right.insert(at - middle, key, raw) };
            }
            (left, right)
        };
        self.bytes += left.bytes() + right.bytes();
        self.set_leaf(path, left);
        let first = right.element(0);
        let child = Child {
            node: right.address(),
            count: right.len(),
            key: key_of(first.score()),
            first: first.raw(),
        };
        self.insert_child(path, left.len(), child);
    }

    /// Inserts a subtree behind the one at the end of a path, which holds `left` elements now.
    fn insert_child(&mut self, path: &Path, mut left: usize, mut right: Child) {
        for depth in (0..path.height).rev() {
            let (mut node, at) = path.steps[depth];
            *node.count_mut(at) = left;
            if !node.is_full() {
                node.insert(at + 1, right);
                return;
            }
            let above = Path { height: depth, ..*path };
            let new = if at + 1 == FANOUT && above.is_last() {
                Inner::child_of(&[right])
            } else {
                // At the beginning, too, a full node stays behind.
                let middle = if at == 0 && above.is_first() { 1 } else { FANOUT / 2 };
                let mut new = node.split_off(middle);
                if at < middle {
                    node.insert(at + 1, right);
                } else {
                    // SAFETY: `split_off` has just made it.
                    unsafe { Inner::at(new.node) }.insert(at + 1 - middle, right);
                    new.count += right.count;
                }
                new
            };
            self.bytes += INNER_BYTES;
            (left, right) = (node.count_all(), new);
        }
        // The first separator means nothing, so anything will do.
        let old = Child { node: self.root, count: left, key: right.key, first: right.first };
        self.root = Inner::alloc(&[old, right]).address();
        self.bytes += INNER_BYTES;
        self.height += 1;
        assert!(self.height <= HEIGHT_MAX);
    }

    /// Takes elements out of one leaf.
    fn remove_at(&mut self, path: &Path, leaf: Leaf, at: usize, count: usize) {
        // SAFETY: the tree is borrowed mutably, and nothing of the leaf is borrowed here.
        unsafe { leaf.remove(at, count) };
        self.len -= count;
        for &(mut node, at) in path.steps() {
            *node.count_mut(at) -= count;
        }
        if leaf.len() == 0 {
            self.bytes -= leaf.bytes();
            // SAFETY: it is taken out of its parent next, or the tree is empty.
            unsafe { leaf.free() };
            self.remove_child(path, path.height);
            return;
        }
        if at == 0 {
            let first = leaf.element(0);
            path.set_first(path.height, (key_of(first.score()), first.raw()));
        }
        if leaf.len() < LEAF_MIN && self.balance_leaf(path) {
            return;
        }
        let bytes = leaf.bytes();
        // SAFETY: the tree points to the result from here on.
        if let Some(leaf) = unsafe { leaf.shrunk() } {
            self.bytes -= bytes - leaf.bytes();
            self.set_leaf(path, leaf);
        }
    }

    /// Takes the subtree that the first `depth` steps lead to, which has been freed, out of its
    /// parent.
    fn remove_child(&mut self, path: &Path, depth: usize) {
        let Some(level) = depth.checked_sub(1) else {
            debug_assert_eq!(self.len, 0);
            (self.root, self.height) = (NonNull::dangling(), 0);
            return;
        };
        let (node, at) = path.steps[level];
        if node.len() == 1 {
            self.bytes -= INNER_BYTES;
            // SAFETY: it is taken out of its parent next, or the tree is empty.
            unsafe { node.free() };
            self.remove_child(path, level);
            return;
        }
        if at == 0 {
            path.set_first(level, node.separator(1));
        }
        node.remove(at);
        self.balance_inner(path, level);
    }

    /// Merges a leaf that has become small with a neighbour of the same parent, or moves elements
    /// from that one. False if it has none.
    fn balance_leaf(&mut self, path: &Path) -> bool {
        let Some(&(mut parent, at)) = path.steps().last() else { return false };
        if parent.len() == 1 {
            return false;
        }
        let at = if at + 1 < parent.len() { at } else { at - 1 };
        // SAFETY: the last node of a path has leaves.
        let (left, right) = unsafe { (parent.leaf(at), parent.leaf(at + 1)) };
        let total = left.len() + right.len();
        self.bytes -= left.bytes() + right.bytes();
        let kept = if total <= LEAF_MERGE_MAX { total } else { total / 2 };
        // SAFETY: they are neighbours, and the tree points to the results from here on.
        let (left, right) = unsafe { left.balance(right, kept) };
        parent.set_child(at, left.address());
        *parent.count_mut(at) = left.len();
        if right.len() == 0 {
            self.bytes += left.bytes();
            // SAFETY: its entry is removed next.
            unsafe { right.free() };
            parent.remove(at + 1);
            self.balance_inner(path, path.height - 1);
        } else {
            self.bytes += left.bytes() + right.bytes();
            parent.set_child(at + 1, right.address());
            *parent.count_mut(at + 1) = right.len();
            let first = right.element(0);
            parent.set_separator(at + 1, (key_of(first.score()), first.raw()));
        }
        true
    }

    /// Does the same for the inner node of a level, from which a subtree has been taken.
    fn balance_inner(&mut self, path: &Path, level: usize) {
        let (node, _) = path.steps[level];
        let Some(above) = level.checked_sub(1) else {
            // A node at the end may also have one subtree only.
            while self.height > 0 {
                // SAFETY: with a height, the root is an inner node.
                let node = unsafe { Inner::at(self.root) };
                if node.len() > 1 {
                    break;
                }
                self.root = node.child(0);
                self.height -= 1;
                self.bytes -= INNER_BYTES;
                // SAFETY: the root is another one now.
                unsafe { node.free() };
            }
            return;
        };
        let (mut parent, at) = path.steps[above];
        if node.len() >= INNER_MIN || parent.len() == 1 {
            return;
        }
        let at = if at + 1 < parent.len() { at } else { at - 1 };
        // SAFETY: the nodes above the last one of a path have inner nodes.
        let (left, right) =
            unsafe { (Inner::at(parent.child(at)), Inner::at(parent.child(at + 1))) };
        let total = left.len() + right.len();
        let kept = if total <= INNER_MERGE_MAX { total } else { total / 2 };
        let first = left.balance(right, parent.separator(at + 1), kept);
        *parent.count_mut(at) = left.count_all();
        match first {
            Some(first) => {
                *parent.count_mut(at + 1) = right.count_all();
                parent.set_separator(at + 1, first);
            }
            None => {
                // SAFETY: its entry is removed next.
                unsafe { right.free() };
                self.bytes -= INNER_BYTES;
                parent.remove(at + 1);
                self.balance_inner(path, above);
            }
        }
    }

    /// Frees all nodes.
    fn release(&mut self) {
        /// # Safety
        /// The node is one of that height and is used no more.
        unsafe fn release(node: NonNull<u8>, height: usize) {
            let Some(below) = height.checked_sub(1) else {
                // SAFETY: the caller's promise.
                unsafe { Leaf::at(node).free() };
                return;
            };
            // SAFETY: the caller's promise; the subtrees are lower by one and go with their node.
            unsafe {
                let inner = Inner::at(node);
                (0..inner.len()).for_each(|at| release(inner.child(at), below));
                inner.free();
            }
        }
        if self.len > 0 {
            // SAFETY: the caller drops the tree or forgets its root.
            unsafe { release(self.root, self.height) };
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.release();
    }
}

/// Elements in order; see [`Tree::iter`].
pub struct Iter<'a> {
    path: Path,
    /// None if there is nothing to give.
    leaf: Option<Leaf>,
    at: usize,
    left: usize,
    reverse: bool,
    tree: PhantomData<&'a Tree>,
}

impl Iter<'_> {
    /// Asks the processor for the first elements that the current leaf will give.
    fn prefetch(&mut self) {
        let Some(leaf) = self.leaf else { return };
        for ahead in 0..AHEAD.min(self.left) {
            leaf.prefetch(if self.reverse { self.at.wrapping_sub(ahead) } else { self.at + ahead });
        }
    }

    /// Moves on to the next leaf.
    fn step(&mut self) {
        let has_more = self.path.step(!self.reverse);
        assert!(has_more, "as many elements are left as were counted");
        let &(parent, at) = self.path.steps().last().expect("a path that can be stepped");
        // SAFETY: the last node of a path has leaves, and the tree is borrowed.
        let leaf = unsafe { parent.leaf(at) };
        self.leaf = Some(leaf);
        self.at = if self.reverse { leaf.len() - 1 } else { 0 };
        self.prefetch();
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.left == 0 {
            return None;
        }
        let leaf = self.leaf?;
        // SAFETY: the tree is borrowed during `'a`, and elements in it live and do not change.
        let element = unsafe { Element::from_raw(leaf.raw(self.at)) };
        self.left -= 1;
        if self.left == 0 {
            return Some(element);
        }
        if self.reverse {
            leaf.prefetch(self.at.wrapping_sub(AHEAD));
            match self.at.checked_sub(1) {
                Some(at) => self.at = at,
                None => self.step(),
            }
        } else {
            leaf.prefetch(self.at + AHEAD);
            self.at += 1;
            if self.at == leaf.len() {
                self.step();
            }
        }
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
