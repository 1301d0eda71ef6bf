//! The times of frames: they never decrease, whatever the clock does, and never stand still.

use crate::env::Clock;

/// Source of the times of frames. If the clock shows less than the last time (it was set ahead and
/// back, or the previous server's clock was ahead), times advance at half the real speed until the
/// clock has caught up.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameTime {
    /// The last time (Unix ms).
    last_ms: u64,
    /// The monotonic clock at the last time.
    mark_us: Option<u64>,
}

impl FrameTime {
    /// Continues after `last_ms`, the last time read.
    pub(super) fn from(last_ms: u64) -> Self {
        Self { last_ms, mark_us: None }
    }

    pub(super) fn last_ms(self) -> u64 {
        self.last_ms
    }

    /// The time of the frame written now.
    pub(super) fn now(&mut self, clock: &dyn Clock) -> u64 {
        let (unix_ms, monotonic_us) = (clock.unix_ms().max(0) as u64, clock.monotonic_us());
        let mark_us = *self.mark_us.get_or_insert(monotonic_us);
        let passed_ms = monotonic_us.saturating_sub(mark_us) / 2000;
        let slow_ms = self.last_ms.saturating_add(passed_ms);
        if unix_ms >= slow_ms {
            *self = Self { last_ms: unix_ms, mark_us: Some(monotonic_us) };
        } else {
            // Fractions of a ms carry over to the next call.
            *self = Self { last_ms: slow_ms, mark_us: Some(mark_us + passed_ms * 2000) };
        }
        self.last_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SimClock;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn times_catch_up_after_a_jump_of_the_clock_and_back() {
        let clock = SimClock::new(1_000_000);
        let mut time = FrameTime::from(0);
        assert_eq!(time.now(&*clock), 1_000_000);
        clock.set_ahead_ms(HOUR_MS);
        let ahead = time.now(&*clock);
        assert_eq!(ahead, 1_000_000 + HOUR_MS as u64);
        clock.set_ahead_ms(0);
        // Calls every 0.7 ms add up like long pauses.
        (0..2000).for_each(|_| {
            clock.advance_us(700);
            time.now(&*clock);
        });
        assert_eq!(time.last_ms(), ahead + 700);
        let mut last = time.last_ms();
        for _ in 0..115 {
            clock.advance_us(60_000_000);
            let next = time.now(&*clock);
            assert!(next >= last + 30_000 && next > clock.unix_ms() as u64);
            last = next;
        }
        // After two hours the two agree again.
        clock.advance_us(6 * 60_000_000);
        assert_eq!(time.now(&*clock), clock.unix_ms() as u64);
    }

    #[test]
    fn times_catch_up_after_a_start_with_a_slow_clock() {
        let clock = SimClock::new(5_000);
        let mut time = FrameTime::from(10_000);
        assert_eq!(time.now(&*clock), 10_000);
        clock.advance_us(4_000_000);
        assert_eq!(time.now(&*clock), 12_000);
        clock.advance_us(6_000_000);
        assert_eq!(time.now(&*clock), 15_000);
        assert_eq!(clock.unix_ms(), 15_000);
    }

    #[test]
    fn extreme_clocks_and_times_are_handled() {
        let clock = SimClock::new(0);
        clock.set_ahead_ms(-HOUR_MS);
        assert_eq!(FrameTime::from(0).now(&*clock), 0);
        let mut time = FrameTime::from(u64::MAX);
        clock.advance_us(10_000_000);
        assert_eq!(time.now(&*clock), u64::MAX);
    }
}
