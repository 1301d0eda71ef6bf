//! One node of a big list, and how much goes into one.

use crate::data::listpack::{Element, Listpack};
use crate::data::word::{Boxed, Form, Word};
use std::sync::Arc;

/// What a listpack's element is taken to need beside its bytes.
const ELEMENT_OVERHEAD_BYTES: usize = 8;

/// Bytes of a node whose limit is a number of elements.
const COUNTED_NODE_BYTES_MAX: usize = 8192;

/// How much goes into one listpack of a list: the meaning of `list-max-listpack-size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeLimit {
    bytes_max: usize,
    elements_max: Option<usize>,
}

impl NodeLimit {
    /// -1 to -5 mean 4 to 64 KiB; what is not negative is a number of elements, at least one.
    pub(super) fn new(size: i32) -> Self {
        if size < 0 {
            let doublings = size.unsigned_abs().min(5) - 1;
            Self { bytes_max: 4096 << doublings, elements_max: None }
        } else {
            let elements_max = Some(size.max(1) as usize);
            Self { bytes_max: COUNTED_NODE_BYTES_MAX, elements_max }
        }
    }

    /// Whether this is too much for one listpack.
    pub(super) fn is_passed_by(self, bytes: usize, elements: usize) -> bool {
        bytes > self.bytes_max || self.elements_max.is_some_and(|max| elements > max)
    }

    /// Whether an element of so many bytes gets a node of its own.
    pub(super) fn is_large(self, bytes: usize) -> bool {
        bytes > self.bytes_max
    }

    /// Whether this is little enough for a big list to become a small one, which must have come below
    /// half of the limit if it is `shrinking`. A limit of elements says nothing about bytes here.
    pub(super) fn lets_shrink(self, bytes: usize, elements: usize, shrinking: bool) -> bool {
        let part = if shrinking { 2 } else { 1 };
        match self.elements_max {
            Some(max) => elements <= max / part,
            None => bytes <= self.bytes_max / part,
        }
    }
}

/// A node's contents.
#[derive(Clone, Copy, Debug)]
pub enum NodeView<'a> {
    /// Elements.
    Packed(&'a Listpack),
    /// One huge element.
    Plain(&'a [u8]),
}

/// Some elements of a big list, or one huge one. Copies share the contents until one of them changes.
#[derive(Clone, Debug)]
pub(super) struct Node {
    contents: Arc<Contents>,
    /// The number of elements; kept here so that counting does not read the contents.
    len: u32,
}

type Contents = Word<Listpack, Boxed<Box<[u8]>, 1>>;

/// What the counts of an [`Arc`] take beside its contents.
const COUNTS_BYTES: usize = 2 * size_of::<usize>();

impl Node {
    pub(super) fn packed(listpack: Listpack) -> Self {
        let mut node = Self { contents: Arc::new(Word::first(listpack)), len: 0 };
        node.count();
        node
    }

    pub(super) fn plain(element: &[u8]) -> Self {
        Self { contents: Arc::new(Word::second(Boxed::new(element.into()))), len: 1 }
    }

    /// A node for one element.
    pub(super) fn with(element: &[u8], limit: NodeLimit) -> Self {
        if limit.is_large(element.len()) {
            return Self::plain(element);
        }
        let mut listpack = Listpack::new();
        listpack.push_back(element);
        Self::packed(listpack)
    }

    #[inline]
    pub(super) fn view(&self) -> NodeView<'_> {
        match self.contents.get() {
            Form::First(listpack) => NodeView::Packed(listpack),
            Form::Second(element) => NodeView::Plain(element),
            Form::Third(never) => match *never {},
        }
    }

    #[inline]
    pub(super) fn listpack(&self) -> Option<&Listpack> {
        match self.view() {
            NodeView::Packed(listpack) => Some(listpack),
            NodeView::Plain(_) => None,
        }
    }

    /// The listpack, to change it; [`Node::count`] must follow.
    pub(super) fn listpack_mut(&mut self) -> Option<&mut Listpack> {
        match Arc::make_mut(&mut self.contents).get_mut() {
            Form::First(listpack) => Some(listpack),
            Form::Second(_) => None,
            Form::Third(never) => match *never {},
        }
    }

    pub(super) fn into_listpack(self) -> Option<Listpack> {
        match Arc::unwrap_or_clone(self.contents).into_form() {
            Form::First(listpack) => Some(listpack),
            Form::Second(_) => None,
            Form::Third(never) => match never {},
        }
    }

    /// Brings the number of elements up to date.
    pub(super) fn count(&mut self) {
        if let Some(listpack) = self.listpack() {
            self.len = u32::try_from(listpack.len()).expect("a listpack is shorter than 4 GiB");
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether an element of so many bytes may be added to this node.
    pub(super) fn has_room_for(&self, bytes: usize, limit: NodeLimit) -> bool {
        let Some(listpack) = self.listpack() else { return false };
        let new_bytes = listpack.byte_len() + bytes + ELEMENT_OVERHEAD_BYTES;
        !limit.is_large(bytes) && !limit.is_passed_by(new_bytes, self.len() + 1)
    }

    /// Whether this node and another one may be made one.
    pub(super) fn may_merge_with(&self, other: &Self, limit: NodeLimit) -> bool {
        let (Some(this), Some(that)) = (self.listpack(), other.listpack()) else { return false };
        let bytes = this.byte_len() + that.byte_len() - Listpack::EMPTY_BYTES;
        !limit.is_passed_by(bytes, self.len() + other.len())
    }

    /// The element at `offset`, which there must be.
    pub(super) fn get(&self, offset: usize) -> Element<'_> {
        match self.view() {
            NodeView::Plain(element) => Element::Bytes(element),
            NodeView::Packed(listpack) => {
                let position = listpack.seek(offset as isize);
                listpack.get(position.expect("the offset is one in the node"))
            }
        }
    }

    /// Whether a copy has the same contents.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.contents) > 1
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let contents = match self.view() {
            NodeView::Packed(listpack) => listpack.memory_bytes(),
            NodeView::Plain(element) => size_of::<Box<[u8]>>() + element.len(),
        };
        COUNTS_BYTES + size_of::<Contents>() + contents
    }
}
