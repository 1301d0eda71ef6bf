//! What decides whether a command may run now, for those who do not hold the engine: whether the
//! data are being loaded, and `CLIENT PAUSE`.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Conditions under which commands run; all of it is atomic.
#[derive(Debug, Default)]
pub struct Conditions {
    loading: AtomicBool,
    /// When the pause ends, as Unix time in ms; 0 without one.
    paused_until_ms: AtomicI64,
    /// Whether all commands wait, and not only those that may write.
    pauses_all: AtomicBool,
}

/// A pause that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it ends, as Unix time in ms.
    pub until_ms: i64,
    /// Whether all commands wait, and not only those that may write.
    pub all: bool,
}

impl Conditions {
    /// Whether the data are being loaded: only some commands run.
    pub fn is_loading(&self) -> bool {
        self.loading.load(Ordering::Acquire)
    }

    pub(super) fn set_loading(&self, loading: bool) {
        self.loading.store(loading, Ordering::Release);
    }

    /// The pause, unless its time is over. Meanwhile no key expires: nothing is to change.
    pub fn pause(&self, now_ms: i64) -> Option<Pause> {
        let until_ms = self.paused_until_ms.load(Ordering::Acquire);
        let all = self.pauses_all.load(Ordering::Acquire);
        (until_ms > now_ms).then_some(Pause { until_ms, all })
    }

    /// Makes commands wait until `until_ms`, Unix time: all of them, or those that may write. A
    /// pause that is in force only becomes longer and stricter.
    pub fn begin_pause(&self, now_ms: i64, until_ms: i64, all: bool) {
        let known = self.pause(now_ms);
        let until_ms = known.map_or(until_ms, |pause| pause.until_ms.max(until_ms));
        let all = all || known.is_some_and(|pause| pause.all);
        self.pauses_all.store(all, Ordering::Release);
        self.paused_until_ms.store(until_ms, Ordering::Release);
    }

    /// Ends the pause.
    pub fn end_pause(&self) {
        self.paused_until_ms.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_becomes_longer_and_stricter_only() {
        let conditions = Conditions::default();
        assert_eq!(conditions.pause(0), None);
        conditions.begin_pause(0, 100, false);
        assert_eq!(conditions.pause(99), Some(Pause { until_ms: 100, all: false }));
        assert_eq!(conditions.pause(100), None);
        conditions.begin_pause(50, 70, true);
        conditions.begin_pause(60, 80, false);
        assert_eq!(conditions.pause(60), Some(Pause { until_ms: 100, all: true }));
        conditions.end_pause();
        assert_eq!(conditions.pause(60), None);
        conditions.begin_pause(60, 80, false);
        assert_eq!(conditions.pause(60), Some(Pause { until_ms: 80, all: false }));
    }
}
