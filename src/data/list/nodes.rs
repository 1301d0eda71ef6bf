//! The nodes of a big list in their order.
//!
//! They are kept in chunks of up to 256, and each chunk knows how many elements its nodes have. So a
//! node is found by an element's index in a few steps over adjacent memory, both ends grow and
//! shrink without moving more than a chunk's nodes (or the chunks themselves, of which there is one for about
//! two megabytes of elements), and so does the middle.
//!
//! Copies of a list, and a saving of it, share chunks and nodes until one of them changes.

use super::node::{Node, NodeView};
use super::saving::SavedNodes;
use crate::data::saving::InProgress;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The most nodes in one chunk.
const CHUNK_NODES_MAX: usize = 256;

/// A chunk is merged with the next one when both together have at most this many.
const CHUNK_NODES_MERGED_MAX: usize = CHUNK_NODES_MAX / 2;

/// Some nodes that follow each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    /// Never empty, as long as the chunk is one of [`Nodes`].
    pub(super) nodes: VecDeque<Node>,
    /// How many elements they have in all.
    pub(super) len: usize,
}

impl Chunk {
    fn of(nodes: VecDeque<Node>) -> Self {
        let len = nodes.iter().map(Node::len).sum();
        Self { nodes, len }
    }

    /// Bytes allocated, without the nodes' contents.
    pub(super) fn memory_bytes(&self) -> usize {
        2 * size_of::<usize>() + size_of::<Self>() + self.nodes.capacity() * size_of::<Node>()
    }
}

/// Where a node is. Removing a node moves only those behind it, inserting one may move any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    chunk: usize,
    slot: usize,
}

/// The nodes of a big list in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    chunks: VecDeque<Arc<Chunk>>,
    len: usize,
    saving: SavingSlot,
}

/// What a saving that may be going on has of the nodes.
type SavingSlot = InProgress<SavedNodes>;

/// A chunk, to change it. If it is shared it is copied first, without its nodes' contents.
fn unshare<'a>(chunk: &'a mut Arc<Chunk>, saving: &mut SavingSlot) -> &'a mut Chunk {
    if let Some(saving) = saving.get_mut()
        && Arc::strong_count(chunk) > 1
    {
        saving.keep(chunk.memory_bytes());
    }
    Arc::make_mut(chunk)
}

/// Notes that a node's contents, if they are shared, are about to be the saving's only.
fn leave(node: &Node, saving: &mut SavingSlot) {
    if let Some(saving) = saving.get_mut()
        && node.is_shared()
    {
        saving.keep(node.memory_bytes());
    }
}

impl Nodes {
    pub(super) fn begin_saving(&mut self) {
        self.saving.begin(SavedNodes::new(&self.chunks));
    }

    pub(super) fn saving(&self) -> Option<&SavedNodes> {
        self.saving.get()
    }

    pub(super) fn save_next(
        &mut self,
        visit: &mut dyn FnMut(NodeView<'_>) -> ControlFlow<()>,
    ) -> bool {
        let is_done = self.saving.get_mut().is_none_or(|saving| saving.save_next(visit));
        if is_done {
            self.end_saving();
        }
        is_done
    }

    pub(super) fn end_saving(&mut self) {
        self.saving.end();
    }

    /// The number of elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The only node, if there is exactly one.
    pub(super) fn only(&self) -> Option<&Node> {
        let is_only = self.chunks.len() == 1 && self.chunks[0].nodes.len() == 1;
        is_only.then(|| &self.chunks[0].nodes[0])
    }

    pub(super) fn first(&self) -> Option<Place> {
        (!self.chunks.is_empty()).then_some(Place { chunk: 0, slot: 0 })
    }

    pub(super) fn last(&self) -> Option<Place> {
        let chunk = self.chunks.len().checked_sub(1)?;
        Some(Place { chunk, slot: self.chunks[chunk].nodes.len() - 1 })
    }

    pub(super) fn next(&self, Place { chunk, slot }: Place) -> Option<Place> {
        if slot + 1 < self.chunks[chunk].nodes.len() {
            Some(Place { chunk, slot: slot + 1 })
        } else {
            (chunk + 1 < self.chunks.len()).then_some(Place { chunk: chunk + 1, slot: 0 })
        }
    }

    pub(super) fn previous(&self, Place { chunk, slot }: Place) -> Option<Place> {
        if let Some(slot) = slot.checked_sub(1) {
            return Some(Place { chunk, slot });
        }
        let chunk = chunk.checked_sub(1)?;
        Some(Place { chunk, slot: self.chunks[chunk].nodes.len() - 1 })
    }

    pub(super) fn get(&self, place: Place) -> &Node {
        &self.chunks[place.chunk].nodes[place.slot]
    }

    /// Changes a node. If it has no element left, [`Nodes::remove`] must follow.
    pub(super) fn change<R>(&mut self, place: Place, change: impl FnOnce(&mut Node) -> R) -> R {
        let chunk = unshare(&mut self.chunks[place.chunk], &mut self.saving);
        let node = &mut chunk.nodes[place.slot];
        leave(node, &mut self.saving);
        let old_len = node.len();
        let result = change(node);
        node.count();
        let new_len = node.len();
        chunk.len = chunk.len - old_len + new_len;
        self.len = self.len - old_len + new_len;
        result
    }

    /// The node of an element, which there must be, and its offset in it. Sought from the nearer end.
    pub(super) fn seek(&self, index: usize) -> (Place, usize) {
        assert!(index < self.len, "the caller has compared with the length");
        if index < self.len / 2 {
            let mut rest = index;
            let mut chunk = 0;
            while rest >= self.chunks[chunk].len {
                rest -= self.chunks[chunk].len;
                chunk += 1;
            }
            let nodes = &self.chunks[chunk].nodes;
            let mut slot = 0;
            while rest >= nodes[slot].len() {
                rest -= nodes[slot].len();
                slot += 1;
            }
            (Place { chunk, slot }, rest)
        } else {
            // How many elements lie from the one that is sought to the end, itself included.
            let mut rest = self.len - index;
            let mut chunk = self.chunks.len() - 1;
            while rest > self.chunks[chunk].len {
                rest -= self.chunks[chunk].len;
                chunk -= 1;
            }
            let nodes = &self.chunks[chunk].nodes;
            let mut slot = nodes.len() - 1;
            while rest > nodes[slot].len() {
                rest -= nodes[slot].len();
                slot -= 1;
            }
            (Place { chunk, slot }, nodes[slot].len() - rest)
        }
    }

    pub(super) fn push_front(&mut self, node: Node) {
        self.make_chunk_if_empty();
        self.insert_at(Place { chunk: 0, slot: 0 }, node);
    }

    pub(super) fn push_back(&mut self, node: Node) {
        self.make_chunk_if_empty();
        let chunk = self.chunks.len() - 1;
        self.insert_at(Place { chunk, slot: self.chunks[chunk].nodes.len() }, node);
    }

    /// Inserts a node behind the one at `place`, or before it, and says where it is.
    pub(super) fn insert(&mut self, place: Place, after: bool, node: Node) -> Place {
        let slot = place.slot + usize::from(after);
        self.insert_at(Place { slot, ..place }, node)
    }

    fn make_chunk_if_empty(&mut self) {
        if self.chunks.is_empty() {
            // Exactly one: a deque's own first growth would take four.
            self.chunks = VecDeque::with_capacity(1);
            self.chunks.push_back(Arc::default());
        }
    }

    /// Inserts a node at a slot, which may be the one behind a chunk's last.
    fn insert_at(&mut self, Place { mut chunk, mut slot }: Place, node: Node) -> Place {
        let len = self.chunks[chunk].nodes.len();
        if len == CHUNK_NODES_MAX {
            // Adding at an end leaves full chunks.
            let is_end = slot == len && chunk + 1 == self.chunks.len() || slot == 0 && chunk == 0;
            let at = if is_end { slot } else { len / 2 };
            let lower = unshare(&mut self.chunks[chunk], &mut self.saving);
            let upper = Chunk::of(lower.nodes.split_off(at));
            lower.len -= upper.len;
            self.chunks.insert(chunk + 1, Arc::new(upper));
            if slot > at || at == len {
                (chunk, slot) = (chunk + 1, slot - at);
            }
        }
        self.len += node.len();
        let chunk_mut = unshare(&mut self.chunks[chunk], &mut self.saving);
        chunk_mut.len += node.len();
        chunk_mut.nodes.insert(slot, node);
        Place { chunk, slot }
    }

    /// Removes a node, and says where the one behind it is now.
    pub(super) fn remove(&mut self, place: Place) -> Option<Place> {
        self.take(place).1
    }

    /// Takes a node out, and says where the one behind it is now.
    pub(super) fn take(&mut self, place: Place) -> (Node, Option<Place>) {
        let Place { chunk: at, slot } = place;
        let chunk = unshare(&mut self.chunks[at], &mut self.saving);
        let node = chunk.nodes.remove(slot).expect("a place is that of a node");
        leave(&node, &mut self.saving);
        chunk.len -= node.len();
        self.len -= node.len();
        if chunk.nodes.is_empty() {
            self.chunks.remove(at);
            return (node, (at < self.chunks.len()).then_some(Place { chunk: at, slot: 0 }));
        }
        let len = chunk.nodes.len();
        if len * 4 < chunk.nodes.capacity() {
            chunk.nodes.shrink_to(len * 2);
        }
        let next_len = self.chunks.get(at + 1).map(|next| next.nodes.len());
        if next_len.is_some_and(|next_len| len + next_len <= CHUNK_NODES_MERGED_MAX) {
            let mut next = self.chunks.remove(at + 1).expect("there is a next one");
            let next = unshare(&mut next, &mut self.saving);
            let chunk = unshare(&mut self.chunks[at], &mut self.saving);
            chunk.nodes.append(&mut next.nodes);
            chunk.len += next.len;
        }
        let place = if slot < self.chunks[at].nodes.len() {
            Some(place)
        } else {
            (at + 1 < self.chunks.len()).then_some(Place { chunk: at + 1, slot: 0 })
        };
        (node, place)
    }

    /// All nodes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.chunks.iter().flat_map(|chunk| &chunk.nodes)
    }

    /// Bytes allocated, the nodes' contents included. What copies share counts for each of them.
    pub(super) fn memory_bytes(&self) -> usize {
        let chunks = self.chunks.capacity() * size_of::<Arc<Chunk>>();
        let nodes = self.chunks.iter().map(|chunk| chunk.memory_bytes());
        let saving = self.saving.get().map_or(0, SavedNodes::memory_bytes);
        chunks + nodes.sum::<usize>() + self.iter().map(Node::memory_bytes).sum::<usize>() + saving
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::NodeLimit;
    use super::*;
    use proptest::prelude::*;

    fn node(elements: usize) -> Node {
        let mut node = Node::with(b"0", NodeLimit::new(-2));
        for _ in 1..elements {
            node.listpack_mut().expect("it is packed").push_back(b"0");
        }
        node.count();
        node
    }

    fn check(nodes: &Nodes, model: &[usize]) {
        assert!(nodes.iter().map(Node::len).eq(model.iter().copied()));
        assert_eq!(nodes.len(), model.iter().sum::<usize>());
        for chunk in &nodes.chunks {
            assert!((1..=CHUNK_NODES_MAX).contains(&chunk.nodes.len()));
            assert_eq!(chunk.len, chunk.nodes.iter().map(Node::len).sum::<usize>());
        }
    }

    fn place_of(nodes: &Nodes, index: usize) -> Place {
        let mut place = nodes.first().expect("there are nodes");
        for _ in 0..index {
            place = nodes.next(place).expect("there are enough nodes");
        }
        place
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]
        #[test]
        fn behaves_like_a_vector(
            ends in prop::collection::vec((any::<bool>(), 1..4usize), 0..700),
            changes in prop::collection::vec(
                (0..4u8, any::<prop::sample::Index>(), 1..4usize), 0..600),
        ) {
            let (mut nodes, mut model) = (Nodes::default(), Vec::new());
            for (front, len) in ends {
                if front {
                    nodes.push_front(node(len));
                    model.insert(0, len);
                } else {
                    nodes.push_back(node(len));
                    model.push(len);
                }
            }
            check(&nodes, &model);
            for (step, (kind, at, len)) in changes.into_iter().enumerate() {
                if model.is_empty() {
                    break;
                }
                let at = at.index(model.len());
                let place = place_of(&nodes, at);
                match kind {
                    0 => {
                        let inserted = nodes.insert(place, step % 2 == 0, node(len));
                        prop_assert_eq!(nodes.get(inserted).len(), len);
                        model.insert(at + usize::from(step % 2 == 0), len);
                    }
                    1 => {
                        nodes.change(place, |node| node.listpack_mut().unwrap().push_back(b"1"));
                        model[at] += 1;
                    }
                    _ => {
                        let next = nodes.remove(place);
                        model.remove(at);
                        prop_assert_eq!(next, (at < model.len()).then(|| place_of(&nodes, at)));
                    }
                }
            }
            check(&nodes, &model);
            let mut index = 0;
            for (at, &len) in model.iter().enumerate() {
                for offset in [0, len - 1] {
                    let (place, found) = nodes.seek(index + offset);
                    prop_assert_eq!(found, offset);
                    prop_assert_eq!(place, place_of(&nodes, at));
                }
                index += len;
            }
            let mut place = nodes.last();
            for &len in model.iter().rev() {
                prop_assert_eq!(nodes.get(place.unwrap()).len(), len);
                place = nodes.previous(place.unwrap());
            }
            prop_assert_eq!(place, None);
        }
    }
}
