//! Which LSN a reader of a key must wait for.
//!
//! A small fixed table maps a key's hash to the LSN of its last write. Keys that share a slot only
//! make a reader wait for a later LSN than it needed to, never for an earlier one.

use crate::data::table::prefetch;

/// log2 of the number of slots: 64 Ki slots of 8 bytes are half a MiB.
const SLOTS_LOG2: u32 = 16;

/// LSN of the last write by hash of the key.
pub struct LastWrites {
    slots: Box<[u64]>,
    /// What every reader waits for, whatever it reads.
    floor: u64,
}

impl LastWrites {
    /// A table in which nothing waits.
    pub fn new() -> Self {
        Self { slots: vec![0; 1 << SLOTS_LOG2].into_boxed_slice(), floor: 0 }
    }

    /// The slot of a key with this hash in database `db`. The databases share the table; mixing the
    /// number in keeps the same key in two databases from sharing a slot.
    pub fn slot(hash: u64, db: usize) -> u32 {
        let mixed = (hash ^ (db as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (64 - SLOTS_LOG2)) as u32
    }

    /// The LSN that a reader of `slot` must wait for.
    pub fn read(&self, slot: u32) -> u64 {
        self.slots[slot as usize].max(self.floor)
    }

    /// Asks the processor to fetch a slot.
    pub fn prefetch(&self, slot: u32) {
        prefetch(self.slots.as_ptr().wrapping_add(slot as usize).cast());
    }

    /// Notes a write that ends at `lsn`.
    pub fn wrote(&mut self, slot: u32, lsn: u64) {
        let seen = &mut self.slots[slot as usize];
        debug_assert!(*seen <= lsn, "LSNs only grow");
        *seen = lsn;
    }

    /// Makes every later read wait for at least `lsn`: `FLUSHALL`, `SWAPDB` and a change of
    /// durability mode touch keys that nobody names.
    pub fn raise_floor(&mut self, lsn: u64) {
        self.floor = self.floor.max(lsn);
    }

    /// What a reader of all keys' existence waits for at least.
    pub fn floor(&self) -> u64 {
        self.floor
    }
}

impl Default for LastWrites {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_waits_for_its_key_and_for_the_floor() {
        let mut writes = LastWrites::new();
        let slot = LastWrites::slot(42, 0);
        assert_eq!(writes.read(slot), 0);
        writes.wrote(slot, 100);
        assert_eq!(writes.read(slot), 100);
        assert_eq!(writes.read(slot ^ 1), 0);
        writes.raise_floor(200);
        assert_eq!((writes.read(slot), writes.read(slot ^ 1)), (200, 200));
    }
}
