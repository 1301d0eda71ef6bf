//! Saving a big set in pieces.

use super::{Element, Members, Set, View, ViewMut};
use crate::data::saving::{PIECE_BYTES_MAX, PIECE_ELEMENTS_MAX, Saving};
use std::ops::ControlFlow;

impl Set {
    fn table(&self) -> Option<&Members> {
        match self.view() {
            View::Table(members) => Some(members),
            _ => None,
        }
    }

    fn table_mut(&mut self) -> Option<&mut Members> {
        match self.view_mut() {
            ViewMut::Table(members) => Some(members),
            _ => None,
        }
    }
}

/// The head is the number of members, which come in no certain order.
impl Saving for Set {
    type Head = usize;
    type Piece<'a> = Element<'a>;

    fn fits_one_piece(&self) -> bool {
        self.table().is_none_or(|members| {
            members.len() <= PIECE_ELEMENTS_MAX && members.data_bytes() <= PIECE_BYTES_MAX
        })
    }

    fn begin_saving(&mut self) {
        self.table_mut().expect("a listpack or an intset fits in one piece").begin_saving();
    }

    fn is_saving(&self) -> bool {
        self.table().is_some_and(Members::is_saving)
    }

    fn saving_head(&self) -> usize {
        self.table().expect("a listpack or an intset is not being saved").saving_head()
    }

    fn save_next(&mut self, visit: &mut dyn FnMut(Element<'_>) -> ControlFlow<()>) -> bool {
        let mut visit = |member: &[u8]| visit(Element::Bytes(member));
        self.table_mut().is_none_or(|members| members.save_next(&mut visit))
    }

    fn end_saving(&mut self) {
        if let Some(members) = self.table_mut() {
            members.end_saving();
        }
    }

    fn saving_bytes(&self) -> usize {
        self.table().map_or(0, Members::saving_bytes)
    }
}
