//! Saving a big stream in pieces.
//!
//! Entries lie in nodes that are never split, and new nodes are added after all others. So a node
//! is kept whole at its first change, and the walk goes through the keys of the beginning.
//!
//! Consumer groups are copied when the saving begins. Copies share chunks of pending entries until
//! one of both changes, so a copy takes a few words for each consumer and one for some hundred
//! pending entries; only the number of consumers is not bounded. The last piece has all groups. A
//! caller that writes them in steps takes a copy.

use super::{Counters, Group, Groups, Node, Stream, StreamId};
use crate::data::saving::{PASSED_OVER_MAX, PIECE_BYTES_MAX, PIECE_ELEMENTS_MAX, Saving};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// How many pending entries and consumers the groups of a stream may have in all if it is to be given out in one
/// piece.
const PIECE_PENDING_MAX: usize = 1000;

/// What a kept node is taken to cost in its map, in bytes.
const KEPT_BYTES: usize = 48;

/// A part of a stream as it was when its saving began.
#[derive(Clone, Copy, Debug)]
pub enum StreamPiece<'a> {
    /// A listpack of entries with its key. They come in the order of their keys.
    Node(StreamId, &'a Node),
    /// What a stream consists of besides its entries: the last piece.
    Tail(&'a StreamTail),
}

/// What a stream consists of besides its entries.
#[derive(Clone, Debug)]
pub struct StreamTail {
    /// What it knows of ids and counts.
    pub counters: Counters,
    /// How many entries there are.
    pub len: u64,
    /// The id of the first entry; the lowest id if there is none.
    pub first_id: StreamId,
    /// The consumer groups.
    pub groups: Groups,
}

/// What a stream was when its saving began, as far as it has not been given out.
#[derive(Debug)]
pub(super) struct SavedStream {
    nodes: usize,
    /// The keys of nodes that are still to be given out: the lowest and the highest one possible.
    wanted: Option<(StreamId, StreamId)>,
    /// What lay at keys that are wanted and have changed since: a node, or none.
    kept: BTreeMap<StreamId, Option<Node>>,
    /// Bytes of the nodes that are kept.
    kept_bytes: usize,
    tail: StreamTail,
    /// Bytes of the groups, without what is pending: most of that is shared with the stream.
    tail_bytes: usize,
}

impl SavedStream {
    pub(super) fn new(nodes: &BTreeMap<StreamId, Node>, tail: StreamTail) -> Self {
        let wanted = nodes.first_key_value().zip(nodes.last_key_value());
        let wanted = wanted.map(|((&first, _), (&last, _))| (first, last));
        let tail_bytes = tail.groups.values().map(Group::own_bytes).sum();
        Self { nodes: nodes.len(), wanted, kept: BTreeMap::new(), kept_bytes: 0, tail, tail_bytes }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.kept.len() * KEPT_BYTES + self.kept_bytes + self.tail_bytes
    }

    fn is_wanted(&self, key: StreamId) -> bool {
        self.wanted.is_some_and(|(first, last)| first <= key && key <= last)
    }

    fn keep(&mut self, key: StreamId, node: Option<Node>) {
        self.kept_bytes += node.as_ref().map_or(0, Node::memory_bytes);
        self.kept.insert(key, node);
    }

    /// To be called before a node changes.
    pub(super) fn before_change(&mut self, key: StreamId, node: &Node) {
        if self.is_wanted(key) && !self.kept.contains_key(&key) {
            self.keep(key, Some(node.clone()));
        }
    }

    /// To be called when a node is added.
    pub(super) fn on_insert(&mut self, key: StreamId) {
        if self.is_wanted(key) && !self.kept.contains_key(&key) {
            self.keep(key, None);
        }
    }

    /// To be called with every node that was removed.
    pub(super) fn on_remove(&mut self, key: StreamId, node: Node) {
        if self.is_wanted(key) && !self.kept.contains_key(&key) {
            self.keep(key, Some(node));
        }
    }

    /// Gives out the next pieces; see [`Saving::save_next`].
    pub(super) fn save_next(
        &mut self,
        nodes: &BTreeMap<StreamId, Node>,
        visit: &mut dyn FnMut(StreamPiece<'_>) -> ControlFlow<()>,
    ) -> bool {
        let mut passed_over = 0;
        while let Some((first, last)) = self.wanted {
            let present = nodes.range(first..=last).next();
            let is_kept = |&(&kept, _): &(&StreamId, &Option<Node>)| {
                present.is_none_or(|(&present, _)| kept <= present)
            };
            let kept = self.kept.first_key_value().filter(is_kept).map(|(&key, _)| key);
            let (key, flow) = match (kept, present) {
                (Some(key), _) => {
                    let node = self.kept.remove(&key).flatten();
                    self.kept_bytes -= node.as_ref().map_or(0, Node::memory_bytes);
                    passed_over += usize::from(node.is_none());
                    (key, node.map(|node| visit(StreamPiece::Node(key, &node))))
                }
                (None, Some((&key, node))) => (key, Some(visit(StreamPiece::Node(key, node)))),
                (None, None) => {
                    self.wanted = None;
                    break;
                }
            };
            self.wanted = key.next().map(|next| (next, last)).filter(|(next, last)| next <= last);
            if flow.is_some_and(|flow| flow.is_break()) || passed_over == PASSED_OVER_MAX {
                return false;
            }
        }
        // Whether it says Break or not, there is nothing more.
        let _ = visit(StreamPiece::Tail(&self.tail));
        true
    }
}

/// The head is the number of nodes.
impl Saving for Stream {
    type Head = usize;
    type Piece<'a> = StreamPiece<'a>;

    /// Groups with many pending entries or consumers do not fit either.
    fn fits_one_piece(&self) -> bool {
        let nodes = self.entries.nodes();
        let mut pending = 0;
        nodes.len() <= PIECE_ELEMENTS_MAX
            && self.groups.len() <= PIECE_ELEMENTS_MAX
            && nodes.values().map(Node::memory_bytes).sum::<usize>() <= PIECE_BYTES_MAX
            && self.groups.values().all(|group| {
                pending += group.pending().len() + group.consumers().len();
                pending <= PIECE_PENDING_MAX
            })
    }

    /// Copies the consumer groups; see the module's page.
    fn begin_saving(&mut self) {
        let groups = self.groups.clone();
        self.entries.begin_saving(groups);
    }

    fn is_saving(&self) -> bool {
        self.entries.saving().is_some()
    }

    fn saving_head(&self) -> usize {
        self.entries.saving().expect("the caller has begun a saving").nodes
    }

    fn save_next(&mut self, visit: &mut dyn FnMut(StreamPiece<'_>) -> ControlFlow<()>) -> bool {
        self.entries.save_next(visit)
    }

    fn end_saving(&mut self) {
        self.entries.end_saving();
    }

    fn saving_bytes(&self) -> usize {
        self.entries.saving().map_or(0, SavedStream::memory_bytes)
    }
}
