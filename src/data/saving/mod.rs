//! Big values that are saved in pieces while they change.
//!
//! A snapshot shows every value as of one moment, and a command may wait only for a bounded part of
//! that work. So a big value remembers its state when its saving began: an element that is changed
//! or removed before it was given out is kept (as of its first change), and an element that is
//! added is marked as new.
//!
//! Everything here is in memory. The caller that takes the pieces decides how they are written.

mod elements;
#[cfg(test)]
mod tests;

pub(super) use elements::{Elements, Named};
use std::ops::ControlFlow;

/// A value is given out in one piece if it has no more elements or nodes than this.
pub const PIECE_ELEMENTS_MAX: usize = if cfg!(test) { 8 } else { 256 };

/// A value is given out in one piece if it has no more bytes than this.
pub const PIECE_BYTES_MAX: usize = 32 * 1024;

/// What a step passes over at most without showing a piece: elements that are new, stretches of a table that are
/// empty.
pub(super) const PASSED_OVER_MAX: usize = 256;

/// A value that remembers what it was when its saving began, and gives that out in pieces, while it goes on
/// changing.
///
/// A copy of a value that is being saved is not being saved.
pub trait Saving: 'static {
    /// What has to be known before the first piece, as of the beginning.
    type Head;
    /// One piece: an element, a node.
    type Piece<'a>;

    /// Whether the value is so small that it can be given out in one go: at most [`PIECE_ELEMENTS_MAX`] elements or
    /// nodes and [`PIECE_BYTES_MAX`] bytes. A listpack and an intset always are, because each command
    /// takes as long for one as saving it does. It takes bounded work to say so, and means something only
    /// as long as no saving is going on.
    fn fits_one_piece(&self) -> bool;

    /// Begins: from now on every change keeps what it changes. An unfinished saving is forgotten.
    ///
    /// # Panics
    /// If the value is one that always fits in one piece, for example a listpack.
    fn begin_saving(&mut self);

    /// Whether a saving has begun and not ended.
    fn is_saving(&self) -> bool;

    /// What it was at the beginning.
    ///
    /// # Panics
    /// If no saving is going on.
    fn saving_head(&self) -> Self::Head;

    /// Gives out the next pieces, each exactly once, until `visit` says Break (the piece it was shown counts as
    /// given), all were given, or much was passed over of which there is nothing to show. True when all were given;
    /// then the saving has ended by itself. True also if none is going on.
    fn save_next(&mut self, visit: &mut dyn FnMut(Self::Piece<'_>) -> ControlFlow<()>) -> bool;

    /// Forgets an unfinished saving. Takes time in proportion to what is kept for it.
    fn end_saving(&mut self);

    /// Bytes kept for the saving only, about. Takes the same time whatever they are.
    fn saving_bytes(&self) -> usize;
}

/// The state of a saving that may be going on: one word. A copy of a value has none.
#[derive(Debug)]
pub(super) struct InProgress<S>(Option<Box<S>>);

impl<S> InProgress<S> {
    pub(super) const NONE: Self = Self(None);

    pub(super) fn begin(&mut self, state: S) {
        self.0 = Some(Box::new(state));
    }

    pub(super) fn end(&mut self) {
        self.0 = None;
    }

    #[inline]
    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    #[inline]
    pub(super) fn get(&self) -> Option<&S> {
        self.0.as_deref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self) -> Option<&mut S> {
        self.0.as_deref_mut()
    }

    /// The state of a saving that is going on.
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn expect(&self) -> &S {
        self.get().expect("the caller has begun a saving")
    }
}

impl<S> Default for InProgress<S> {
    fn default() -> Self {
        Self::NONE
    }
}

impl<S> Clone for InProgress<S> {
    fn clone(&self) -> Self {
        Self::NONE
    }
}
