//! Memory as the allocator and the system count it.

use crate::log_warning;
use tikv_jemalloc_ctl::{epoch, stats};

/// What the allocator has handed out, in bytes.
pub fn used() -> usize {
    // The statistics are a snapshot that advancing the epoch renews.
    let _ = epoch::advance();
    stats::allocated::read().unwrap_or(0)
}

/// What the process has in memory, in bytes.
pub fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Whether the allocator gives unused pages back in threads of its own. Without them, whoever
/// allocates does that along the way, and an idle server keeps what it has: after a million inserts
/// that were 8 MB more than it used.
pub fn set_allocator_thread(on: bool) {
    if let Err(error) = tikv_jemalloc_ctl::background_thread::write(on) {
        log_warning!("The allocator's threads could not be switched: {error}");
    }
}
