//! Walking a list.

use super::Side;
use super::node::{Node, NodeView};
use super::nodes::{Nodes, Place};
use crate::data::listpack::{self, Element, Listpack};

/// Elements of a list from one of them on, towards either end.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    here: Here<'a>,
    towards: Side,
    /// The node that `here` is in, and the others.
    nodes: Option<(&'a Nodes, Place)>,
}

/// What is left of one node.
#[derive(Clone, Debug)]
enum Here<'a> {
    Packed(listpack::Iter<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> Here<'a> {
    /// The elements of a listpack from an offset on.
    fn packed(listpack: &'a Listpack, offset: usize, towards: Side) -> Self {
        let position = listpack.seek(offset as isize).expect("the offset is one in the listpack");
        Here::Packed(match towards {
            Side::Right => listpack.iter_from(position),
            Side::Left => match listpack.next(position) {
                Some(next) => listpack.iter_before(next),
                None => listpack.iter(),
            },
        })
    }

    fn whole(node: &'a Node) -> Self {
        match node.view() {
            NodeView::Packed(listpack) => Here::Packed(listpack.iter()),
            NodeView::Plain(element) => Here::Plain(Some(element)),
        }
    }
}

impl<'a> Iter<'a> {
    /// No elements.
    pub(super) fn empty() -> Self {
        Self { here: Here::Plain(None), towards: Side::Right, nodes: None }
    }

    /// The elements of a small list from an index on, which there must be.
    pub(super) fn of_listpack(listpack: &'a Listpack, index: usize, towards: Side) -> Self {
        Self { here: Here::packed(listpack, index, towards), towards, nodes: None }
    }

    /// The elements of a big list from an index on, which there must be.
    pub(super) fn of_nodes(nodes: &'a Nodes, index: usize, towards: Side) -> Self {
        let (place, offset) = nodes.seek(index);
        let here = match nodes.get(place).view() {
            NodeView::Packed(listpack) => Here::packed(listpack, offset, towards),
            NodeView::Plain(element) => Here::Plain(Some(element)),
        };
        Self { here, towards, nodes: Some((nodes, place)) }
    }

    #[cold]
    fn next_node(&mut self) -> Option<()> {
        let (nodes, place) = self.nodes?;
        let next = match self.towards {
            Side::Left => nodes.previous(place),
            Side::Right => nodes.next(place),
        };
        let place = next?;
        self.nodes = Some((nodes, place));
        self.here = Here::whole(nodes.get(place));
        Some(())
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            let element = match (&mut self.here, self.towards) {
                (Here::Packed(elements), Side::Left) => elements.next_back(),
                (Here::Packed(elements), Side::Right) => elements.next(),
                (Here::Plain(element), _) => element.take().map(Element::Bytes),
            };
            if element.is_some() {
                return element;
            }
            self.next_node()?;
        }
    }
}
