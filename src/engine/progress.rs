//! How far a load has come, for whoever shows it meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};

/// How far a load has come. The loading thread writes it, others read.
#[derive(Debug, Default)]
pub struct Progress {
    total_bytes: AtomicU64,
    loaded_bytes: AtomicU64,
}

impl Progress {
    /// Notes how many bytes there are to load in all.
    pub fn begin(&self, total_bytes: u64) {
        self.loaded_bytes.store(0, Ordering::Relaxed);
        self.total_bytes.store(total_bytes, Ordering::Relaxed);
    }

    /// Notes how many bytes have been loaded so far.
    pub fn reached(&self, loaded_bytes: u64) {
        self.loaded_bytes.store(loaded_bytes, Ordering::Relaxed);
    }

    /// Notes that so many more bytes have been loaded.
    pub fn advance(&self, bytes: u64) {
        self.loaded_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many bytes there are to load; 0 until that is known.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    /// How many bytes have been loaded, at most as many as there are.
    pub fn loaded_bytes(&self) -> u64 {
        self.loaded_bytes.load(Ordering::Relaxed).min(self.total_bytes())
    }
}
