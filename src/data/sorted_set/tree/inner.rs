//! An inner node: up to 31 subtrees, each with the number of elements in it and its first element.
//!
//! The first elements separate the subtrees. Their keys are kept in the node, so that scores which
//! differ are told apart without a look at an element. What the first subtree begins with is not
//! needed, so the first separator means nothing.

use super::leaf::Leaf;
use crate::data::sorted_set::element::{Element, Raw};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};

/// Subtrees in a node at most.
pub(super) const FANOUT: usize = 31;

#[repr(C)]
struct Body {
    len: usize,
    keys: [u64; FANOUT],
    counts: [usize; FANOUT],
    firsts: [Raw; FANOUT],
    children: [NonNull<u8>; FANOUT],
}

/// Bytes of a node: an allocator's size class, of which all but 24 bytes are used.
pub(super) const INNER_BYTES: usize = 1024;
const _: () = assert!(size_of::<Body>() <= INNER_BYTES);
const LAYOUT: Layout = match Layout::from_size_align(INNER_BYTES, align_of::<Body>()) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

/// A subtree on its way into a node.
#[derive(Clone, Copy)]
pub(super) struct Child {
    /// The leaf or node.
    pub(super) node: NonNull<u8>,
    /// How many elements it holds.
    pub(super) count: usize,
    /// The key of its first element.
    pub(super) key: u64,
    /// Its first element.
    pub(super) first: Raw,
}

/// A pointer to an inner node. The tree that has made it owns it. Copies are valid until the node
/// is freed, which is unsafe for that reason; what is borrowed through one of them ends before the
/// node is changed through another.
#[derive(Clone, Copy)]
pub(super) struct Inner(NonNull<Body>);

impl Inner {
    /// A node with these subtrees.
    pub(super) fn alloc(children: &[Child]) -> Self {
        // SAFETY: the layout's size is not zero.
        let Some(body) = NonNull::new(unsafe { alloc(LAYOUT) }.cast::<Body>()) else {
            handle_alloc_error(LAYOUT)
        };
        let none = NonNull::dangling();
        // SAFETY: the allocation has room for a body and is aligned for it.
        unsafe {
            body.write(Body {
                len: 0,
                keys: [0; FANOUT],
                counts: [0; FANOUT],
                firsts: [none; FANOUT],
                children: [none; FANOUT],
            });
        }
        let node = Self(body);
        node.fill(children);
        node
    }

    /// Frees the node, not its subtrees.
    ///
    /// # Safety
    /// No copy is used afterwards.
    pub(super) unsafe fn free(self) {
        // SAFETY: it was allocated with this layout, and is not used any more.
        unsafe { dealloc(self.address().as_ptr(), LAYOUT) };
    }

    /// The node at an address that [`Inner::address`] gave.
    ///
    /// # Safety
    /// The node lives while the result or a copy is used. It is changed only while its tree is
    /// borrowed mutably.
    #[inline]
    pub(super) unsafe fn at(address: NonNull<u8>) -> Self {
        Self(address.cast())
    }

    pub(super) fn address(self) -> NonNull<u8> {
        self.0.cast()
    }

    #[inline]
    fn body(&self) -> &Body {
        // SAFETY: the node lives, see `at`.
        unsafe { self.0.as_ref() }
    }

    fn body_mut(&mut self) -> &mut Body {
        // SAFETY: as above, and nothing else is borrowed from the node.
        unsafe { self.0.as_mut() }
    }

    #[inline]
    pub(super) fn len(self) -> usize {
        self.body().len
    }

    pub(super) fn is_full(self) -> bool {
        self.len() == FANOUT
    }

    /// The subtree at `at`.
    #[inline]
    pub(super) fn child(self, at: usize) -> NonNull<u8> {
        self.body().children[at]
    }

    /// The subtree at `at`, which is a leaf.
    ///
    /// # Safety
    /// It is one, and lives as [`Leaf::at`] asks.
    pub(super) unsafe fn leaf(self, at: usize) -> Leaf {
        // SAFETY: the caller's promise.
        unsafe { Leaf::at(self.child(at)) }
    }

    pub(super) fn set_child(mut self, at: usize, child: NonNull<u8>) {
        self.body_mut().children[at] = child;
    }

    /// How many elements the subtree at `at` holds.
    #[cfg(test)]
    pub(super) fn count(self, at: usize) -> usize {
        self.body().counts[at]
    }

    #[inline]
    pub(super) fn count_mut(&mut self, at: usize) -> &mut usize {
        &mut self.body_mut().counts[at]
    }

    /// How many elements the subtrees before `at` hold.
    #[inline]
    pub(super) fn count_before(self, at: usize) -> usize {
        self.body().counts[..at].iter().sum()
    }

    /// How many elements all subtrees hold.
    pub(super) fn count_all(self) -> usize {
        self.count_before(self.len())
    }

    /// The subtree in which element number `rank` is, and how many of it are before that.
    #[inline]
    pub(super) fn find_rank(self, mut rank: usize) -> (usize, usize) {
        let body = self.body();
        let last = body.len - 1;
        for (at, &count) in body.counts[..last].iter().enumerate() {
            if rank < count {
                return (at, rank);
            }
            rank -= count;
        }
        (last, rank)
    }

    /// Key and first element of the subtree at `at`, which is not the first one.
    pub(super) fn separator(self, at: usize) -> (u64, Raw) {
        debug_assert!((1..self.len()).contains(&at));
        (self.body().keys[at], self.body().firsts[at])
    }

    pub(super) fn set_separator(mut self, at: usize, (key, first): (u64, Raw)) {
        let body = self.body_mut();
        (body.keys[at], body.firsts[at]) = (key, first);
    }

    /// The last subtree whose first element has a lower key, or the same key and `tied` says that it
    /// counts; the first subtree if there is no such.
    #[inline]
    pub(super) fn find(self, key: u64, tied: impl Fn(Element<'_>) -> bool) -> usize {
        let body = self.body();
        let keys = &body.keys[1..body.len];
        // To compare them all is faster than to search: nothing needs to be predicted.
        let low = keys.iter().map(|&other| usize::from(other < key)).sum::<usize>();
        let same = keys[low..].iter().take_while(|&&other| other == key).count();
        low + body.firsts[1 + low..1 + low + same].partition_point(|&first| {
            // SAFETY: elements in a tree are alive, and do not change while it is borrowed.
            tied(unsafe { Element::from_raw(first) })
        })
    }

    /// The last subtree whose first element `counts` is true for, or the first one.
    pub(super) fn find_while(self, counts: impl Fn(Element<'_>) -> bool) -> usize {
        let body = self.body();
        body.firsts[1..body.len].partition_point(|&first| {
            // SAFETY: elements in a tree are alive, and do not change while it is borrowed.
            counts(unsafe { Element::from_raw(first) })
        })
    }

    /// The subtree at `at` with its separator; of the first one that means nothing.
    fn get(self, at: usize) -> Child {
        let body = self.body();
        Child {
            node: body.children[at],
            count: body.counts[at],
            key: body.keys[at],
            first: body.firsts[at],
        }
    }

    /// All subtrees, the separator of the first one being `first`.
    fn all(self, first: (u64, Raw)) -> impl Iterator<Item = Child> {
        (0..self.len()).map(move |at| match at {
            0 => Child { key: first.0, first: first.1, ..self.get(0) },
            _ => self.get(at),
        })
    }

    /// Puts these subtrees in place of whatever there is.
    fn fill(mut self, children: &[Child]) {
        let body = self.body_mut();
        body.len = children.len();
        for (at, child) in children.iter().enumerate() {
            body.children[at] = child.node;
            body.counts[at] = child.count;
            body.keys[at] = child.key;
            body.firsts[at] = child.first;
        }
    }

    /// Inserts a subtree. The node must not be full.
    pub(super) fn insert(mut self, at: usize, child: Child) {
        let body = self.body_mut();
        let len = body.len;
        debug_assert!(at <= len && len < FANOUT);
        body.children.copy_within(at..len, at + 1);
        body.counts.copy_within(at..len, at + 1);
        body.keys.copy_within(at..len, at + 1);
        body.firsts.copy_within(at..len, at + 1);
        body.len += 1;
        body.children[at] = child.node;
        body.counts[at] = child.count;
        body.keys[at] = child.key;
        body.firsts[at] = child.first;
    }

    /// Takes out the entry of a subtree.
    pub(super) fn remove(mut self, at: usize) {
        let body = self.body_mut();
        let len = body.len;
        debug_assert!(at < len);
        body.children.copy_within(at + 1..len, at);
        body.counts.copy_within(at + 1..len, at);
        body.keys.copy_within(at + 1..len, at);
        body.firsts.copy_within(at + 1..len, at);
        body.len -= 1;
    }

    /// Moves the subtrees from `at` on into a new node, which is returned as a subtree itself.
    pub(super) fn split_off(mut self, at: usize) -> Child {
        let moved: Vec<Child> = (at..self.len()).map(|at| self.get(at)).collect();
        self.body_mut().len = at;
        Self::child_of(&moved)
    }

    /// A new node with these subtrees, as a subtree.
    pub(super) fn child_of(children: &[Child]) -> Child {
        let node = Self::alloc(children);
        let &Child { key, first, .. } = children.first().expect("a node has a subtree");
        Child { node: node.address(), count: node.count_all(), key, first }
    }

    /// Moves subtrees between this node and the next one, which begins with `first`, so that this
    /// one has `len`, and returns what the next one begins with then, unless it is empty.
    pub(super) fn balance(self, next: Self, first: (u64, Raw), len: usize) -> Option<(u64, Raw)> {
        let own = (0..self.len()).map(|at| self.get(at));
        let all: Vec<Child> = own.chain(next.all(first)).collect();
        let (here, there) = all.split_at(len);
        self.fill(here);
        next.fill(there);
        there.first().map(|child| (child.key, child.first))
    }

    /// Asks the processor to fetch what a search will look at.
    #[inline]
    pub(super) fn prefetch(address: NonNull<u8>) {
        for line in [64, 128, 192] {
            super::prefetch(ptr::without_provenance(address.addr().get() + line));
        }
    }
}
