//! Counts per command and per error code and times per command, for `INFO commandstats`, `errorstats` and
//! `latencystats`.

use crate::commands::Spec;
use hdrhistogram::Histogram;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// Error codes are a client's to choose only as far as commands let them; still, only so many differ.
const ERROR_CODES_MAX: usize = 128;

/// What is counted of one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandStat {
    /// How often it ran.
    pub calls: u64,
    /// How long it ran in all, in µs.
    pub us: u64,
    /// How often it was refused before it ran.
    pub rejected: u64,
    /// How often it ran and answered with an error.
    pub failed: u64,
}

/// How long a command took, call by call. Counted in ns, as Redis does, although the clock gives µs.
pub struct Latency(Histogram<u64>);

impl Latency {
    fn new() -> Self {
        // 1 ns to 1 s, two digits: some 25 KiB.
        Self(Histogram::new_with_bounds(1, 1_000_000_000, 2).expect("the bounds are in order"))
    }

    fn record(&mut self, us: u64) {
        self.0.saturating_record(us.saturating_mul(1000).max(1));
    }

    /// Calls.
    pub fn calls(&self) -> u64 {
        self.0.len()
    }

    /// How many calls took at most so many µs, for each doubling of µs that holds some.
    pub fn cumulative_us(&self) -> Vec<(u64, u64)> {
        let (mut buckets, mut calls) = (Vec::new(), 0);
        for step in self.0.iter_log(1024, 2.0) {
            let count = step.count_since_last_iteration();
            if count > 0 {
                calls += count;
                let bound_ns = self.0.highest_equivalent(step.value_iterated_to());
                buckets.push((bound_ns / 1000, calls));
            }
        }
        buckets
    }

    /// What this share of calls did not exceed, in µs.
    pub fn percentile_us(&self, percent: f64) -> f64 {
        self.0.value_at_percentile(percent) as f64 / 1000.0
    }
}

struct Counted {
    spec: &'static Spec,
    stat: CommandStat,
    latency: Option<Box<Latency>>,
}

/// Counts per command and per error code, and times per command.
#[derive(Default)]
pub struct Stats {
    /// By the address of the command's declaration, which is static.
    commands: HashMap<usize, Counted, BuildHasherDefault<AddressHasher>>,
    errors: BTreeMap<String, u64>,
    error_count: u64,
}

/// Spreads addresses; they are ours, so nobody chooses them to collide.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only addresses are hashed");
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Stats {
    fn counted(&mut self, spec: &'static Spec) -> &mut Counted {
        let new = || Counted { spec, stat: CommandStat::default(), latency: None };
        self.commands.entry(std::ptr::from_ref(spec).addr()).or_insert_with(new)
    }

    /// Notes a command that was refused before it ran.
    pub(super) fn rejected(&mut self, spec: &'static Spec) {
        self.counted(spec).stat.rejected += 1;
    }

    /// Notes that a command which was counted when it ran has failed after all.
    pub(super) fn failed(&mut self, spec: &'static Spec) {
        self.counted(spec).stat.failed += 1;
    }

    /// Notes a command that ran.
    pub(super) fn ran(&mut self, spec: &'static Spec, us: u64, failed: bool, is_timed: bool) {
        let counted = self.counted(spec);
        counted.stat.calls += 1;
        counted.stat.us += us;
        counted.stat.failed += u64::from(failed);
        if is_timed {
            counted.latency.get_or_insert_with(|| Box::new(Latency::new())).record(us);
        }
    }

    /// Notes an error reply with this code.
    pub(super) fn error(&mut self, code: &str) {
        self.error_count += 1;
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else if self.errors.len() < ERROR_CODES_MAX {
            self.errors.insert(code.to_owned(), 1);
        }
    }

    /// All commands that were called or refused, by name.
    pub fn commands(&self) -> Vec<(&'static str, CommandStat)> {
        let all = self.commands.values().map(|counted| (counted.spec.full_name, counted.stat));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }

    /// How long commands took that ran while that was asked for, by name.
    pub fn latencies(&self) -> Vec<(&'static str, &Latency)> {
        let timed = self.commands.values().filter_map(|counted| {
            counted.latency.as_deref().map(|latency| (counted.spec.full_name, latency))
        });
        let mut timed: Vec<_> = timed.collect();
        timed.sort_by_key(|(name, _)| *name);
        timed
    }

    /// Error replies by code.
    pub fn errors(&self) -> Vec<(String, u64)> {
        self.errors.iter().map(|(code, &count)| (code.clone(), count)).collect()
    }

    /// Error replies of all codes, those within transactions included.
    pub fn error_count(&self) -> u64 {
        self.error_count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::table;

    #[test]
    fn commands_and_errors_are_counted_by_name() {
        let mut stats = Stats::default();
        let get = table::by_name(b"get").unwrap();
        stats.ran(get, 3, false, true);
        stats.ran(get, 0, true, false);
        stats.rejected(table::by_name(b"append").unwrap());
        let stat = |calls, us, rejected, failed| CommandStat { calls, us, rejected, failed };
        let expected = [("append", stat(0, 0, 1, 0)), ("get", stat(2, 3, 0, 1))];
        assert_eq!(stats.commands(), expected);
        let latencies = stats.latencies();
        assert_eq!(latencies.len(), 1, "commands that never ran, or were not timed, have none");
        // What Redis says of a single call of 3 µs.
        let shown = [0.0, 50.0, 100.0].map(|percent| latencies[0].1.percentile_us(percent));
        assert_eq!((latencies[0].0, shown), ("get", [2.992, 3.007, 3.007]));
        for number in 0..2 * ERROR_CODES_MAX {
            stats.error(&number.to_string());
        }
        stats.error("0");
        assert_eq!(stats.errors().len(), ERROR_CODES_MAX);
        assert_eq!(stats.errors()[0], ("0".to_owned(), 2));
        assert_eq!(stats.error_count(), 2 * ERROR_CODES_MAX as u64 + 1);
    }
}
