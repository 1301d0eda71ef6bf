//! A big list: nodes with as much in them as fits into one, and the rules by which they are split and
//! merged.
//!
//! The rules are those of Redis 7.4, so that nodes end where they do there. It shows: a list becomes a
//! small one again when a single node is left, and `DUMP` gives the nodes as they are.

use super::Side;
use super::node::{Node, NodeLimit, NodeView};
use super::nodes::{Nodes, Place};
use crate::data::listpack::{Listpack, Position};

/// A big list; see the module's page.
#[derive(Clone, Debug)]
pub(super) struct Quicklist {
    pub(super) nodes: Nodes,
    /// What goes into a node: as the directive was when the list became a big one.
    limit: NodeLimit,
}

impl Quicklist {
    pub(super) fn new(limit: NodeLimit) -> Self {
        Self { nodes: Nodes::default(), limit }
    }

    pub(super) fn push(&mut self, side: Side, element: &[u8]) {
        let end = match side {
            Side::Left => self.nodes.first(),
            Side::Right => self.nodes.last(),
        };
        let has_room = |place: &Place| self.has_room(*place, element);
        match (side, end.filter(has_room)) {
            (Side::Left, Some(place)) => {
                self.change(place, |listpack| listpack.push_front(element))
            }
            (Side::Right, Some(place)) => {
                self.change(place, |listpack| listpack.push_back(element))
            }
            (Side::Left, None) => self.nodes.push_front(Node::with(element, self.limit)),
            (Side::Right, None) => self.nodes.push_back(Node::with(element, self.limit)),
        }
    }

    fn has_room(&self, place: Place, element: &[u8]) -> bool {
        self.nodes.get(place).has_room_for(element.len(), self.limit)
    }

    /// Changes the listpack of a packed node.
    fn change<R>(&mut self, place: Place, change: impl FnOnce(&mut Listpack) -> R) -> R {
        let packed = "the caller has looked whether the node is packed";
        self.nodes.change(place, |node| change(node.listpack_mut().expect(packed)))
    }

    /// Puts another element in place of the one at an index that exists.
    pub(super) fn set(&mut self, index: usize, element: &[u8]) {
        let (place, offset) = self.nodes.seek(index);
        let is_large = self.limit.is_large(element.len());
        let node = self.nodes.get(place);
        let Some(listpack) = node.listpack() else {
            if is_large {
                self.nodes.change(place, |node| *node = Node::plain(element));
            } else {
                let inserted = self.insert_beside(place, true, element);
                let old =
                    self.nodes.previous(inserted).expect("it was inserted behind the old one");
                self.nodes.remove(old);
            }
            return;
        };
        let position = listpack.seek(offset as isize).expect("the offset is one in the node");
        if !is_large {
            self.change(place, |listpack| listpack.replace(position, element));
            return;
        }
        // The huge one gets a node of its own in between.
        let plain = Node::plain(element);
        let plain = match listpack.next(position) {
            None => self.nodes.insert(place, true, plain),
            Some(next) => {
                let tail = self.change(place, |listpack| listpack.split_off(next));
                let tail = self.nodes.insert(place, true, Node::packed(tail));
                self.nodes.insert(tail, false, plain)
            }
        };
        let place = self.nodes.previous(plain).expect("it was inserted behind another one");
        if self.nodes.get(place).len() == 1 {
            self.nodes.remove(place);
        } else {
            self.change(place, |listpack| listpack.remove(position));
            self.merge_around(self.nodes.next(place).expect("the huge element's node is there"));
        }
    }

    /// Inserts an element next to another one: the one at `position` of a packed node, or a plain
    /// node's only one.
    pub(super) fn insert(
        &mut self,
        place: Place,
        position: Option<Position>,
        after: bool,
        element: &[u8],
    ) {
        let Some(position) = position else {
            self.insert_beside(place, after, element);
            return;
        };
        if self.has_room(place, element) {
            self.change(place, |listpack| match after {
                true => listpack.insert_after(position, element),
                false => listpack.insert_before(position, element),
            });
            return;
        }
        let listpack = self.listpack_at(place);
        // Where the node has to be split.
        let cut = if after { listpack.next(position) } else { Some(position) };
        let Some(cut) = cut.filter(|&cut| Some(cut) != listpack.first()) else {
            self.insert_beside(place, after, element);
            return;
        };
        let mut tail = self.change(place, |listpack| listpack.split_off(cut));
        if self.limit.is_large(element.len()) {
            let tail = self.nodes.insert(place, true, Node::packed(tail));
            self.nodes.insert(tail, false, Node::plain(element));
            return;
        }
        if after {
            tail.push_front(element);
        } else {
            self.change(place, |listpack| listpack.push_back(element));
        }
        let tail = self.nodes.insert(place, true, Node::packed(tail));
        // Redis merges around the part that the element did not join.
        let center = if after { self.nodes.previous(tail) } else { Some(tail) };
        self.merge_around(center.expect("the tail was inserted behind another one"));
    }

    /// Puts an element behind a node, or before it: into the neighbor if that has room, or else into a node
    /// of its own. Says which one that is.
    fn insert_beside(&mut self, place: Place, after: bool, element: &[u8]) -> Place {
        let neighbor = if after { self.nodes.next(place) } else { self.nodes.previous(place) };
        match neighbor.filter(|&neighbor| self.has_room(neighbor, element)) {
            Some(neighbor) => {
                self.change(neighbor, |listpack| match after {
                    true => listpack.push_front(element),
                    false => listpack.push_back(element),
                });
                neighbor
            }
            None => self.nodes.insert(place, after, Node::with(element, self.limit)),
        }
    }

    fn listpack_at(&self, place: Place) -> &Listpack {
        self.nodes.get(place).listpack().expect("the caller has looked whether the node is packed")
    }

    /// Merges nodes near one that was split, where two fit into one.
    fn merge_around(&mut self, mut center: Place) {
        let before = self.nodes.previous(center);
        if let Some((first, second)) = before.and_then(|b| Some((self.nodes.previous(b)?, b)))
            && self.merge(first, second)
        {
            // What was merged lay in front of the center.
            center = self.nodes.next(first).expect("the center is behind both");
        }
        if let Some(first) = self.nodes.next(center)
            && let Some(second) = self.nodes.next(first)
        {
            self.merge(first, second);
        }
        if let Some(before) = self.nodes.previous(center)
            && self.merge(before, center)
        {
            center = before;
        }
        if let Some(next) = self.nodes.next(center) {
            self.merge(center, next);
        }
    }

    /// Merges the second of two neighbors into the first, if they fit into one.
    fn merge(&mut self, first: Place, second: Place) -> bool {
        if !self.nodes.get(first).may_merge_with(self.nodes.get(second), self.limit) {
            return false;
        }
        let (tail, _) = self.nodes.take(second);
        let tail = tail.into_listpack().expect("what may be merged is packed");
        self.change(first, |listpack| listpack.append(&tail));
        true
    }

    /// Removes `count` elements from an index on; they must exist.
    pub(super) fn remove_range(&mut self, index: usize, mut count: usize) {
        if count == 0 {
            return;
        }
        let (place, mut offset) = self.nodes.seek(index);
        let mut next = Some(place);
        while let Some(place) = next.filter(|_| count > 0) {
            let len = self.nodes.get(place).len();
            let removed = count.min(len - offset);
            if removed == len {
                next = self.nodes.remove(place);
            } else {
                self.change(place, |listpack| listpack.remove_range(offset, removed));
                next = self.nodes.next(place);
            }
            count -= removed;
            offset = 0;
        }
    }

    /// Removes elements that are `needle`, at most `limit` of them, from the given side on. Says how many.
    pub(super) fn remove_equal(&mut self, needle: &[u8], from: Side, limit: usize) -> usize {
        let mut removed = 0;
        let mut place = match from {
            Side::Left => self.nodes.first(),
            Side::Right => self.nodes.last(),
        };
        while let Some(at) = place.filter(|_| removed < limit) {
            let node = self.nodes.get(at);
            let len = node.len();
            let gone = match node.view() {
                NodeView::Plain(element) => usize::from(element == needle),
                NodeView::Packed(_) => self.change(at, |listpack| {
                    super::remove_equal(listpack, needle, from, limit - removed)
                }),
            };
            removed += gone;
            place = match (from, gone == len) {
                (Side::Left, true) => self.nodes.remove(at),
                (Side::Left, false) => self.nodes.next(at),
                (Side::Right, is_empty) => {
                    let previous = self.nodes.previous(at);
                    if is_empty {
                        self.nodes.remove(at);
                    }
                    previous
                }
            };
        }
        removed
    }

    /// The first element that is `needle`: its node, and its position if that is a packed one.
    pub(super) fn find(&self, needle: &[u8]) -> Option<(Place, Option<Position>)> {
        let mut place = self.nodes.first();
        while let Some(at) = place {
            let node = self.nodes.get(at);
            match node.view() {
                NodeView::Packed(listpack) => {
                    let found = listpack.first().and_then(|first| listpack.find(first, needle, 0));
                    if found.is_some() {
                        return Some((at, found));
                    }
                }
                NodeView::Plain(element) if element == needle => return Some((at, None)),
                NodeView::Plain(_) => {}
            }
            place = self.nodes.next(at);
        }
        None
    }
}
