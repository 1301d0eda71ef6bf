//! Saving a big hash in pieces.

use super::{Field, Fields, Form, Hash, HashHead};
use crate::data::saving::{PIECE_BYTES_MAX, PIECE_ELEMENTS_MAX, Saving};
use std::ops::ControlFlow;

impl Hash {
    fn table(&self) -> Option<&Fields> {
        match self.0.get() {
            Form::Third(fields) => Some(fields),
            _ => None,
        }
    }

    fn table_mut(&mut self) -> Option<&mut Fields> {
        match self.0.get_mut() {
            Form::Third(fields) => Some(fields),
            _ => None,
        }
    }
}

/// The fields come in no certain order.
impl Saving for Hash {
    type Head = HashHead;
    type Piece<'a> = Field<'a>;

    fn fits_one_piece(&self) -> bool {
        self.table().is_none_or(|fields| {
            fields.len() <= PIECE_ELEMENTS_MAX && fields.data_bytes() <= PIECE_BYTES_MAX
        })
    }

    fn begin_saving(&mut self) {
        self.table_mut().expect("a listpack fits in one piece").begin_saving();
    }

    fn is_saving(&self) -> bool {
        self.table().is_some_and(Fields::is_saving)
    }

    fn saving_head(&self) -> HashHead {
        self.table().expect("a listpack is not being saved").saving_head()
    }

    fn save_next(&mut self, visit: &mut dyn FnMut(Field<'_>) -> ControlFlow<()>) -> bool {
        self.table_mut().is_none_or(|fields| fields.save_next(&mut |field| visit(field.into())))
    }

    fn end_saving(&mut self) {
        if let Some(fields) = self.table_mut() {
            fields.end_saving();
        }
    }

    fn saving_bytes(&self) -> usize {
        self.table().map_or(0, Fields::saving_bytes)
    }
}
