//! What `INFO` shows, taken before the text is made. Nothing of it takes the engine.

use crate::engine::published::Counts;
use crate::server::state::shared::Shared;
use crate::session::Stats;

/// What `INFO` shows of engine and commands.
pub struct Facts {
    /// Counts as of when the engine was last released.
    pub counts: Counts,
    /// What all threads have counted of commands.
    pub stats: Stats,
    /// Whether the data are being loaded.
    pub is_loading: bool,
    /// The time, as Unix time in ms.
    pub now_ms: i64,
}

impl Facts {
    /// Takes them; times of commands only on demand.
    pub fn take(shared: &Shared, with_latencies: bool) -> Self {
        let is_loading = shared.engine.conditions().is_loading();
        let now_ms = shared.engine.clock().unix_ms();
        Self {
            counts: shared.engine.counts(),
            stats: shared.stats(with_latencies),
            is_loading,
            now_ms,
        }
    }
}
