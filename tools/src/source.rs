//! What a path leads to.
