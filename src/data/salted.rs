//! Hashes that lie in another order in each table.
//!
//! Tables keep their items in the order of hashes, and give them out in it. If two tables used the same hashes, to
//! copy one into the other would be to insert in order: all at the low end of a table that
//! has not yet grown for it, where most find no place. Copies are common: stored unions and the like, or a client that
//! adds to one set what it reads from another.

use super::KeyHasher;

/// A hasher with an order of its own. What is hashed once can be looked for in many tables.
#[derive(Clone, Copy, Debug)]
pub struct SaltedHasher {
    hasher: KeyHasher,
    salt: u64,
}

impl SaltedHasher {
    /// A hasher for a table whose first item has this hash. That item comes last in the table's order, so that
    /// a copy, whose first item is another one then, has another order.
    pub fn new(hasher: KeyHasher, first_hash: u64) -> Self {
        Self { hasher, salt: first_hash }
    }

    /// The hash of `bytes` by the hasher itself, which is the same for all tables.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        self.hasher.hash(bytes)
    }

    /// Where an item with this hash is in the table's order.
    #[inline]
    pub fn own(&self, hash: u64) -> u64 {
        // A bijection. The multiplication brings the low bits, which tell little about the order elsewhere,
        // into the high ones, which decide here.
        !(hash ^ self.salt).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// The hasher itself.
    pub fn hasher(&self) -> KeyHasher {
        self.hasher
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_item_comes_last_and_copies_have_another_order() {
        let hasher = KeyHasher::new((1, 2));
        let mut hashes: Vec<u64> = (0..1000).map(|n: u32| hasher.hash(&n.to_le_bytes())).collect();
        let salted = SaltedHasher::new(hasher, hashes[0]);
        assert_eq!(salted.own(hashes[0]), u64::MAX);
        hashes.sort_by_key(|&hash| salted.own(hash));
        let copy = SaltedHasher::new(hasher, hashes[0]);
        // Of the first tenth of the original, about every tenth is in the first tenth of the copy.
        let low = hashes[..100].iter().filter(|&&hash| copy.own(hash) < u64::MAX / 10).count();
        assert!((2..25).contains(&low), "{low}");
    }
}
