//! Bytes from outside that are not what they should be.

/// Where and why bytes that claim to be an encoded value were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct Malformed {
    /// What is wrong.
    pub what: &'static str,
    /// Where in the value's bytes.
    pub offset: usize,
}

impl Malformed {
    /// `what` is wrong at byte `offset`.
    pub(crate) const fn new(what: &'static str, offset: usize) -> Self {
        Self { what, offset }
    }
}
