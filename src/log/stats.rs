//! Sync statistics of `INFO persistence`.

use hdrhistogram::Histogram;

/// Counts and latencies of syncs since the start or `CONFIG RESETSTAT`.
#[derive(Clone, Debug)]
pub struct SyncStats {
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Failures of the log, and failed attempts to heal.
    pub failures: u64,
    /// Duration of the last sync in µs.
    pub last_us: u64,
    latency_us: Histogram<u64>,
}

impl Default for SyncStats {
    fn default() -> Self {
        // 1 µs to 10 min, two digits: some 20 KiB.
        let latency_us =
            Histogram::new_with_bounds(1, 600_000_000, 2).expect("the bounds are in order");
        Self { syncs: 0, failures: 0, last_us: 0, latency_us }
    }
}

impl SyncStats {
    /// Records a sync that succeeded.
    pub(super) fn record(&mut self, us: u64) {
        self.syncs += 1;
        self.last_us = us;
        self.latency_us.saturating_record(us.max(1));
    }

    /// The latency in µs that `percent` of the syncs did not exceed; 0 before the first.
    pub fn percentile_us(&self, percent: f64) -> u64 {
        self.latency_us.value_at_percentile(percent)
    }

    /// The longest sync, in µs.
    pub fn max_us(&self) -> u64 {
        self.latency_us.max()
    }
}
