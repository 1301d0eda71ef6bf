//! The environment besides the disk: time and randomness.
//!
//! Both are passed as parameters, so that a simulation controls them.

use crate::splitmix::SplitMix64;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Gives the time.
pub trait Clock: Send + Sync {
    /// Unix time in ms. May jump in both directions.
    fn unix_ms(&self) -> i64;

    /// Microseconds since some moment in the past. Never goes back.
    fn monotonic_us(&self) -> u64;

    /// Both at one look. A jump of Unix time may show a tenth of a second later.
    fn now(&self) -> Now {
        Now { unix_ms: self.unix_ms(), monotonic_us: self.monotonic_us() }
    }
}

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Unix time in ms.
    pub unix_ms: i64,
    /// Microseconds since some moment in the past.
    pub monotonic_us: u64,
}

/// For how long the difference of both clocks is used. A look at a clock takes some 20 to 50 ns.
const OFFSET_US_MAX: u64 = 100_000;

/// The machine's clocks.
pub struct SystemClock {
    start: Instant,
    /// What Unix time is ahead of the monotonic clock.
    offset_us: AtomicI64,
    /// When that was measured, by the monotonic clock.
    measured_us: AtomicU64,
}

impl SystemClock {
    /// Starts the monotonic clock at 0.
    pub fn new() -> Self {
        let (offset_us, measured_us) = (unix_us().into(), 0.into());
        Self { start: Instant::now(), offset_us, measured_us }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn unix_ms(&self) -> i64 {
        unix_us().div_euclid(1000)
    }

    fn monotonic_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    fn now(&self) -> Now {
        let monotonic_us = self.monotonic_us();
        if monotonic_us.saturating_sub(self.measured_us.load(Ordering::Relaxed)) > OFFSET_US_MAX {
            self.offset_us.store(unix_us() - monotonic_us as i64, Ordering::Relaxed);
            self.measured_us.store(monotonic_us, Ordering::Relaxed);
        }
        let unix_us = monotonic_us as i64 + self.offset_us.load(Ordering::Relaxed);
        Now { unix_ms: unix_us.div_euclid(1000), monotonic_us }
    }
}

/// Unix time in µs.
fn unix_us() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_micros() as i64,
        Err(before) => -(before.duration().as_micros() as i64),
    }
}

/// A source of uniformly distributed numbers.
pub type Random = Box<dyn FnMut() -> u64 + Send>;

/// Numbers from the operating system's generator, which also seeds identities and hashes.
pub fn system_random() -> Random {
    let mut pool = [0u64; 32];
    let mut left = 0;
    Box::new(move || {
        if left == 0 {
            let mut bytes = [0u8; 256];
            let mut filled = 0;
            while filled < bytes.len() {
                let flags = rustix::rand::GetRandomFlags::empty();
                match rustix::rand::getrandom(&mut bytes[filled..], flags) {
                    Ok(more) => filled += more,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => panic!("the system gives no random numbers: {error}"),
                }
            }
            for (number, chunk) in pool.iter_mut().zip(bytes.chunks_exact(8)) {
                *number = u64::from_ne_bytes(chunk.try_into().expect("8 bytes"));
            }
            left = pool.len();
        }
        left -= 1;
        pool[left]
    })
}

/// Numbers that a seed determines, for tests and simulations.
pub fn seeded_random(seed: u64) -> Random {
    let mut numbers = SplitMix64(seed);
    Box::new(move || numbers.next())
}

/// A clock that moves only when a test advances it.
#[derive(Default)]
pub struct SimClock {
    us: AtomicU64,
    ahead_ms: AtomicI64,
}

impl SimClock {
    /// A clock at `unix_ms`.
    pub fn new(unix_ms: i64) -> Arc<Self> {
        Arc::new(Self { us: (unix_ms as u64 * 1000).into(), ahead_ms: 0.into() })
    }

    /// Lets time pass.
    pub fn advance_us(&self, us: u64) {
        self.us.fetch_add(us, Ordering::Relaxed);
    }

    /// Sets the clock ahead by so many ms, or back if negative; the monotonic clock is not
    /// affected.
    pub fn set_ahead_ms(&self, ms: i64) {
        self.ahead_ms.store(ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn unix_ms(&self) -> i64 {
        (self.monotonic_us() / 1000) as i64 + self.ahead_ms.load(Ordering::Relaxed)
    }

    fn monotonic_us(&self) -> u64 {
        self.us.load(Ordering::Relaxed)
    }
}

/// A moment in the proleptic Gregorian calendar, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc {
    /// The year.
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
    /// 0 to 23.
    pub hour: i64,
    /// 0 to 59.
    pub minute: i64,
    /// 0 to 59.
    pub second: i64,
}

impl Utc {
    /// The date and time this many seconds after 1970 began.
    pub fn of_unix_s(unix_s: i64) -> Self {
        let (days, second) = (unix_s.div_euclid(86_400), unix_s.rem_euclid(86_400));
        // The calendar repeats every 400 years. Years begin in March here, so that the leap day
        // comes last.
        let days = days + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year + i64::from(month <= 2);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        Self { year, month, day, hour, minute, second }
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}
