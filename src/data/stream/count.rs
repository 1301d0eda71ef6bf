//! Numbers that only grow and have an end.

use std::fmt;

/// How often something has happened. Other servers know it as a signed number of 64 bits, and so do
/// the commands that carry it in the log: what is beyond that counts as the greatest one.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count(u64);

impl Count {
    /// The greatest one.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// `number`, or the greatest one if that is beyond it.
    pub const fn new(number: u64) -> Self {
        if number > Self::MAX.0 { Self::MAX } else { Self(number) }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// After it has happened so many times more.
    pub const fn plus(self, more: u64) -> Self {
        Self::new(self.0.saturating_add(more))
    }
}

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
