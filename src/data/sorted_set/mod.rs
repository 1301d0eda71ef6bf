//! Sorted sets.

pub mod element;
pub mod tree;
