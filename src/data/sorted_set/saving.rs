//! Saving a big sorted set in pieces.

use super::{Big, Element, Elements, Entry, Form, SortedSet};
use crate::data::saving::{PIECE_BYTES_MAX, PIECE_ELEMENTS_MAX, Saving};
use std::ops::ControlFlow;

impl SortedSet {
    fn big(&self) -> Option<&Big> {
        match self.0.get() {
            Form::Second(big) => Some(big),
            _ => None,
        }
    }

    fn big_mut(&mut self) -> Option<&mut Big> {
        match self.0.get_mut() {
            Form::Second(big) => Some(big),
            _ => None,
        }
    }
}

/// The head is the number of elements, which come in no certain order.
impl Saving for SortedSet {
    type Head = usize;
    type Piece<'a> = Entry<'a>;

    fn fits_one_piece(&self) -> bool {
        self.big().is_none_or(|big| {
            big.table.len() <= PIECE_ELEMENTS_MAX && big.data_bytes() <= PIECE_BYTES_MAX
        })
    }

    fn begin_saving(&mut self) {
        let big = self.big_mut().expect("a listpack fits in one piece");
        big.saving.begin(Elements::new(big.table.len(), big.table.hasher().0));
    }

    fn is_saving(&self) -> bool {
        self.big().is_some_and(|big| big.saving.is_some())
    }

    fn saving_head(&self) -> usize {
        *self.big().expect("a listpack is not being saved").saving.expect().head()
    }

    fn save_next(&mut self, visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> bool {
        let Some(big) = self.big_mut() else { return true };
        let mut visit = |element: Element<'_>| visit(Entry::of(element));
        let saving = big.saving.get_mut();
        let is_done = saving.is_none_or(|saving| saving.save_next(&big.table, &mut visit));
        if is_done {
            big.saving.end();
        }
        is_done
    }

    fn end_saving(&mut self) {
        if let Some(big) = self.big_mut() {
            big.saving.end();
        }
    }

    fn saving_bytes(&self) -> usize {
        self.big().and_then(|big| big.saving.get()).map_or(0, Elements::memory_bytes)
    }
}
