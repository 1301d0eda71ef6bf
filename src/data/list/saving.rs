//! Saving a big list in pieces.
//!
//! A saving holds the chunks that the list had when it began, which costs one word for each. Chunks and nodes
//! are shared until one of both sides changes: what a command touches first is copied, one chunk's handles and one
//! node.

use super::node::{Node, NodeView};
use super::nodes::Chunk;
use super::{List, View, ViewMut};
use crate::data::saving::{PIECE_BYTES_MAX, PIECE_ELEMENTS_MAX, Saving};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What a list was when its saving began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListHead {
    /// How many nodes it had.
    pub nodes: usize,
    /// How many elements they had.
    pub len: usize,
}

/// The nodes that a list had when its saving began, as far as they have not been given out.
#[derive(Debug)]
pub(super) struct SavedNodes {
    head: ListHead,
    chunks: VecDeque<Arc<Chunk>>,
    /// The next node of the first chunk.
    slot: usize,
    /// Bytes of chunks and nodes that the list itself does not have any more, about.
    kept_bytes: usize,
}

impl SavedNodes {
    pub(super) fn new(chunks: &VecDeque<Arc<Chunk>>) -> Self {
        let nodes = chunks.iter().map(|chunk| chunk.nodes.len()).sum();
        let head = ListHead { nodes, len: chunks.iter().map(|chunk| chunk.len).sum() };
        Self { head, chunks: chunks.clone(), slot: 0, kept_bytes: 0 }
    }

    pub(super) fn head(&self) -> ListHead {
        self.head
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.chunks.capacity() * size_of::<Arc<Chunk>>() + self.kept_bytes
    }

    /// Notes that so many bytes are the list's no more, and are kept here.
    pub(super) fn keep(&mut self, bytes: usize) {
        self.kept_bytes += bytes;
    }

    /// Gives out the next nodes; see [`Saving::save_next`].
    pub(super) fn save_next(
        &mut self,
        visit: &mut dyn FnMut(NodeView<'_>) -> ControlFlow<()>,
    ) -> bool {
        while let Some(chunk) = self.chunks.front() {
            let flow = visit(chunk.nodes[self.slot].view());
            self.slot += 1;
            if self.slot == chunk.nodes.len() {
                if Arc::strong_count(chunk) == 1 {
                    let own = chunk.nodes.iter().filter(|node| !node.is_shared());
                    let freed = own.map(Node::memory_bytes).sum::<usize>() + chunk.memory_bytes();
                    self.kept_bytes = self.kept_bytes.saturating_sub(freed);
                }
                self.chunks.pop_front();
                self.slot = 0;
            }
            if flow.is_break() {
                break;
            }
        }
        self.chunks.is_empty()
    }
}

/// The nodes come in their order.
impl Saving for List {
    type Head = ListHead;
    type Piece<'a> = NodeView<'a>;

    fn fits_one_piece(&self) -> bool {
        let View::Big(quicklist) = self.view() else { return true };
        let mut bytes = 0;
        quicklist.nodes.iter().enumerate().all(|(index, node)| {
            bytes += node.memory_bytes();
            index < PIECE_ELEMENTS_MAX && bytes <= PIECE_BYTES_MAX
        })
    }

    /// Takes time in proportion to the chunks of nodes, of which there is one for about two megabytes.
    fn begin_saving(&mut self) {
        let ViewMut::Big(quicklist) = self.view_mut() else {
            panic!("a listpack fits in one piece");
        };
        quicklist.nodes.begin_saving();
    }

    fn is_saving(&self) -> bool {
        matches!(self.view(), View::Big(quicklist) if quicklist.nodes.saving().is_some())
    }

    fn saving_head(&self) -> ListHead {
        let View::Big(quicklist) = self.view() else { panic!("a listpack is not being saved") };
        quicklist.nodes.saving().expect("the caller has begun a saving").head()
    }

    fn save_next(&mut self, visit: &mut dyn FnMut(NodeView<'_>) -> ControlFlow<()>) -> bool {
        let ViewMut::Big(quicklist) = self.view_mut() else { return true };
        quicklist.nodes.save_next(visit)
    }

    fn end_saving(&mut self) {
        if let ViewMut::Big(quicklist) = self.view_mut() {
            quicklist.nodes.end_saving();
        }
    }

    fn saving_bytes(&self) -> usize {
        let View::Big(quicklist) = self.view() else { return 0 };
        quicklist.nodes.saving().map_or(0, SavedNodes::memory_bytes)
    }
}
