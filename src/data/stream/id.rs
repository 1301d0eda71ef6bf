//! The ids of a stream's entries.

use std::fmt;

/// An entry's id: a time and a number within it. Ids only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds; those of Unix time if the server chose it.
    pub ms: u64,
    /// A number within the millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The lowest one, which no entry has.
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// The highest one.
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// An id.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The one above; `None` above the highest.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The one below; `None` below the lowest.
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// The id as 16 bytes that sort as ids do: how RDB files write it.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The id of 16 such bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(bytes);
        Self { ms: (number >> 64) as u64, seq: number as u64 }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_carry_over() {
        let id = StreamId::new;
        assert_eq!(id(1, 2).next(), Some(id(1, 3)));
        assert_eq!(id(1, u64::MAX).next(), Some(id(2, 0)));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(id(1, 0).previous(), Some(id(0, u64::MAX)));
        assert_eq!(id(1, 2).previous(), Some(id(1, 1)));
        assert_eq!(StreamId::MIN.previous(), None);
        assert_eq!(StreamId::from_bytes(id(7, 9).to_bytes()), id(7, 9));
        assert!(id(1, 2).to_bytes() < id(1, 300).to_bytes());
        assert_eq!(id(3, 4).to_string(), "3-4");
    }
}
