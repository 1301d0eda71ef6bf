//! The hash of keys and of elements.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// Hashes byte strings with a secret key: without it, colliding strings cannot be chosen.
#[derive(Clone, Copy, Debug)]
pub struct KeyHasher {
    seed: (u64, u64),
}

impl KeyHasher {
    /// A hasher with the given secret.
    pub fn new(seed: (u64, u64)) -> Self {
        Self { seed }
    }

    /// The hash of `bytes`.
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.seed.0, self.seed.1);
        hasher.write(bytes);
        hasher.finish()
    }
}
