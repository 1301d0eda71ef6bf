//! What is counted and noted of commands: calls, times and errors, and those that took long.
//!
//! A session notes what it ran in an [`Observed`], and hands that to the [`Stats`] of its thread
//! when the engine is free. Commands that show stats sum those of all threads.

use crate::commands::{CommandError, CommandResult, Directory, Flags, Spec};
use crate::engine::BlockedClient;
use crate::resp::Args;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Error codes are a client's to choose only as far as commands let them; still, only so many
/// differ.
const ERROR_CODES_MAX: usize = 128;
/// Of one batch, not more commands are noted as slow.
const SLOW_MAX: usize = 1024;
/// Arguments that are kept; the last one then tells how many there are more.
const ARGS_MAX: usize = 32;
/// Bytes that are kept of an argument; behind them it is told how many there are more.
const ARG_BYTES_MAX: usize = 128;

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

/// How long a command took, call by call. Counted in ns, as Redis does, although the clock gives
/// µs.
#[derive(Clone)]
pub struct Latency(Histogram<u64>);

impl Latency {
    fn new() -> Self {
        // 1 ns to 1 s, two digits: some 25 KiB.
        Self(Histogram::new_with_bounds(1, 1_000_000_000, 2).expect("the bounds are in order"))
    }

    fn record(&mut self, us: u64) {
        self.0.saturating_record(us.saturating_mul(1000).max(1));
    }

    fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
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

/// A command that ran or was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noted {
    Ran {
        number: u16,
        failed: bool,
        is_timed: bool,
        us: u64,
    },
    Rejected {
        number: u16,
    },
    /// One that was counted when it ran has failed after all.
    Failed {
        number: u16,
    },
}

/// What a session notes of its commands while they run.
#[derive(Default)]
pub struct Observed {
    noted: Vec<Noted>,
    errors: ErrorCodes,
    requests: u64,
    slow: Vec<Slow>,
    /// When the last command ended and the next one begins, in µs of the monotonic clock.
    mark_us: u64,
}

/// What of commands is noted: the directives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observing {
    /// `latency-tracking`: whether it is noted how long each call took.
    pub latency: bool,
    /// `slowlog-log-slower-than`: commands that take so many µs or more are noted; `None` for none.
    pub slow_from_us: Option<u64>,
}

impl Observed {
    /// Notes when the next command begins, in µs of the monotonic clock.
    pub fn begin(&mut self, now_us: u64) {
        self.mark_us = now_us;
    }

    /// When the last command ended, or the next one begins, in µs of the monotonic clock.
    pub fn mark_us(&self) -> u64 {
        self.mark_us
    }

    /// Notes a request.
    pub(super) fn request(&mut self) {
        self.requests += 1;
    }

    /// Notes a command that has just ended: that ends its time, and begins the next one's.
    pub(super) fn ended(
        &mut self,
        spec: &'static Spec,
        failed: bool,
        now_us: u64,
        observing: Observing,
    ) -> u64 {
        let us = now_us.saturating_sub(std::mem::replace(&mut self.mark_us, now_us));
        self.ran(spec, failed, us, observing);
        us
    }

    /// Notes a command that ran for so many µs.
    fn ran(&mut self, spec: &'static Spec, failed: bool, us: u64, observing: Observing) {
        let (number, is_timed) = (spec.number, observing.latency);
        self.noted.push(Noted::Ran { number, failed, is_timed, us });
    }

    /// Notes the command of a client that waited for a key: how it ended, and for how many µs it
    /// ran the last time.
    pub fn woken(
        &mut self,
        client: &BlockedClient,
        result: &CommandResult,
        took_us: u64,
        now_ms: i64,
        observing: Observing,
    ) {
        self.ran(client.spec(), result.is_err(), took_us, observing);
        if let Err(error) = result {
            self.error(error);
        }
        self.note_slow(client.spec(), client.args(), took_us, now_ms, observing);
    }

    /// Notes a command as slow if it took long enough.
    pub(super) fn note_slow(
        &mut self,
        spec: &'static Spec,
        args: Args<'_>,
        took_us: u64,
        now_ms: i64,
        observing: Observing,
    ) {
        if observing.slow_from_us.is_some_and(|from| took_us >= from)
            && !spec.flags.has(Flags::SKIP_SLOWLOG)
            && self.slow.len() < SLOW_MAX
        {
            self.slow.push(Slow::new(took_us, now_ms, args));
        }
    }

    /// Notes a command that was refused before it ran.
    pub(super) fn rejected(&mut self, spec: &'static Spec) {
        self.noted.push(Noted::Rejected { number: spec.number });
    }

    /// Notes that a command which was counted when it ran has failed after all.
    pub fn failed(&mut self, spec: &'static Spec) {
        self.noted.push(Noted::Failed { number: spec.number });
    }

    /// Notes an error reply.
    pub fn error(&mut self, error: &CommandError) {
        self.errors.add(error.code(), 1);
    }

    /// Takes which commands took long.
    pub fn take_slow(&mut self) -> Vec<Slow> {
        std::mem::take(&mut self.slow)
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty() && self.errors.count == 0 && self.requests == 0
    }
}

/// Error replies by code.
#[derive(Clone, Default)]
struct ErrorCodes {
    by_code: BTreeMap<String, u64>,
    /// Error replies of all codes, those that found no room included.
    count: u64,
}

impl ErrorCodes {
    fn add(&mut self, code: &str, count: u64) {
        self.count += count;
        self.add_code(code, count);
    }

    fn add_code(&mut self, code: &str, count: u64) {
        if let Some(known) = self.by_code.get_mut(code) {
            *known += count;
        } else if self.by_code.len() < ERROR_CODES_MAX {
            self.by_code.insert(code.to_owned(), count);
        }
    }

    /// Takes over what `other` has counted. Its codes stay, so that they are not allocated again.
    fn take(&mut self, other: &mut Self) {
        self.sum(other);
        other.by_code.values_mut().for_each(|count| *count = 0);
        other.count = 0;
    }

    fn sum(&mut self, other: &Self) {
        self.count += other.count;
        for (code, &count) in other.by_code.iter().filter(|(_, count)| **count > 0) {
            self.add_code(code, count);
        }
    }
}

#[derive(Clone, Default)]
struct Counted {
    stat: CommandStat,
    latency: Option<Box<Latency>>,
}

/// Counts per command and per error code, and times per command.
#[derive(Clone, Default)]
pub struct Stats {
    /// By the number of the command.
    commands: Vec<Counted>,
    errors: ErrorCodes,
    requests: u64,
}

impl Stats {
    /// Takes over what a session has noted.
    pub fn add(&mut self, observed: &mut Observed) {
        self.requests += std::mem::take(&mut observed.requests);
        for noted in observed.noted.drain(..) {
            match noted {
                Noted::Ran { number, failed, is_timed, us } => {
                    let counted = self.counted(number);
                    counted.stat.calls += 1;
                    counted.stat.us += us;
                    counted.stat.failed += u64::from(failed);
                    if is_timed {
                        counted.latency.get_or_insert_with(|| Box::new(Latency::new())).record(us);
                    }
                }
                Noted::Rejected { number } => self.counted(number).stat.rejected += 1,
                Noted::Failed { number } => self.counted(number).stat.failed += 1,
            }
        }
        if observed.errors.count > 0 {
            self.errors.take(&mut observed.errors);
        }
        // What a long transaction blew up is not kept.
        if observed.noted.capacity() > 4096 {
            observed.noted = Vec::new();
        }
    }

    /// Adds what another thread has counted. Times, which are much, only on demand.
    pub fn sum(&mut self, other: &Self, with_latencies: bool) {
        self.requests += other.requests;
        for (number, counted) in other.commands.iter().enumerate() {
            if counted.stat == CommandStat::default() {
                continue;
            }
            let sum = self.counted(number as u16);
            sum.stat.calls += counted.stat.calls;
            sum.stat.us += counted.stat.us;
            sum.stat.rejected += counted.stat.rejected;
            sum.stat.failed += counted.stat.failed;
            if !with_latencies {
                continue;
            }
            match (&mut sum.latency, &counted.latency) {
                (Some(sum), Some(latency)) => sum.add(latency),
                (none @ None, Some(latency)) => *none = Some(latency.clone()),
                (_, None) => {}
            }
        }
        self.errors.sum(&other.errors);
    }

    fn counted(&mut self, number: u16) -> &mut Counted {
        let index = usize::from(number);
        if self.commands.len() <= index {
            self.commands.resize(index + 1, Counted::default());
        }
        &mut self.commands[index]
    }

    /// All commands that were called or refused, by name.
    pub fn commands(&self, directory: &Directory) -> Vec<(&'static str, CommandStat)> {
        self.named(directory, |counted| {
            (counted.stat != CommandStat::default()).then_some(counted.stat)
        })
    }

    /// How long commands took that ran while that was asked for, by name.
    pub fn latencies(&self, directory: &Directory) -> Vec<(&'static str, &Latency)> {
        self.named(directory, |counted| counted.latency.as_deref())
    }

    fn named<'a, T>(
        &'a self,
        directory: &Directory,
        show: impl Fn(&'a Counted) -> Option<T>,
    ) -> Vec<(&'static str, T)> {
        let all = directory.all().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
        let mut named: Vec<_> = all
            .filter_map(|spec| {
                let counted = self.commands.get(usize::from(spec.number))?;
                Some((spec.full_name, show(counted)?))
            })
            .collect();
        named.sort_by_key(|(name, _)| *name);
        named
    }

    /// Error replies by code.
    pub fn errors(&self) -> Vec<(String, u64)> {
        self.errors.by_code.iter().map(|(code, &count)| (code.clone(), count)).collect()
    }

    /// Error replies of all codes, those within transactions included.
    pub fn error_count(&self) -> u64 {
        self.errors.count
    }

    /// Requests.
    pub fn requests(&self) -> u64 {
        self.requests
    }
}

/// A command that took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slow {
    /// How long it took, in µs.
    pub took_us: u64,
    /// When it ran, as Unix time in s.
    pub at_s: i64,
    /// Its arguments, cut as Redis cuts them.
    pub args: Vec<Vec<u8>>,
}

impl Slow {
    /// Notes a command.
    pub fn new(took_us: u64, now_ms: i64, args: Args<'_>) -> Self {
        let shown = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
        let mut cut: Vec<Vec<u8>> = args.iter().take(shown).map(cut_argument).collect();
        if args.len() > shown {
            cut.push(format!("... ({} more arguments)", args.len() - shown).into_bytes());
        }
        Self { took_us, at_s: now_ms.div_euclid(1000), args: cut }
    }
}

fn cut_argument(arg: &[u8]) -> Vec<u8> {
    match arg.split_at_checked(ARG_BYTES_MAX) {
        Some((kept, rest)) if !rest.is_empty() => {
            let mut cut = kept.to_vec();
            cut.extend_from_slice(format!("... ({} more bytes)", rest.len()).as_bytes());
            cut
        }
        _ => arg.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::DATA;
    use crate::commands::testing::words;

    #[test]
    fn commands_and_errors_are_counted_by_name() {
        let (mut stats, mut observed) = (Stats::default(), Observed::default());
        let get = DATA.by_name(b"get").unwrap();
        let timed = Observing { latency: true, slow_from_us: None };
        observed.ran(get, false, 3, timed);
        observed.ran(get, true, 0, Observing::default());
        observed.rejected(DATA.by_name(b"append").unwrap());
        stats.add(&mut observed);
        let stat = |calls, us, rejected, failed| CommandStat { calls, us, rejected, failed };
        let expected = [("append", stat(0, 0, 1, 0)), ("get", stat(2, 3, 0, 1))];
        assert_eq!(stats.commands(&DATA), expected);
        let latencies = stats.latencies(&DATA);
        assert_eq!(latencies.len(), 1, "commands that never ran, or were not timed, have none");
        // What Redis shows of a single call of 3 µs.
        let shown = [0.0, 50.0, 100.0].map(|percent| latencies[0].1.percentile_us(percent));
        assert_eq!((latencies[0].0, shown), ("get", [2.992, 3.007, 3.007]));
        for number in 0..2 * ERROR_CODES_MAX {
            observed.error(&CommandError::new(number.to_string()));
        }
        observed.error(&CommandError::fixed("0"));
        stats.add(&mut observed);
        assert!(observed.is_empty());
        assert_eq!(stats.errors().len(), ERROR_CODES_MAX);
        assert_eq!(stats.errors()[0], ("0".to_owned(), 2));
        assert_eq!(stats.error_count(), 2 * ERROR_CODES_MAX as u64 + 1);
    }

    #[test]
    fn the_stats_of_threads_are_summed() {
        let get = DATA.by_name(b"get").unwrap();
        let mut sum = Stats::default();
        for _ in 0..2 {
            let (mut stats, mut observed) = (Stats::default(), Observed::default());
            observed.request();
            observed.ran(get, false, 3, Observing { latency: true, slow_from_us: None });
            observed.error(&CommandError::SYNTAX);
            stats.add(&mut observed);
            sum.sum(&stats, true);
        }
        assert_eq!(sum.commands(&DATA)[0].1.calls, 2);
        assert_eq!(sum.latencies(&DATA)[0].1.calls(), 2);
        assert_eq!((sum.errors(), sum.error_count()), (vec![("ERR".to_owned(), 2)], 2));
        assert_eq!(sum.requests(), 2);
    }

    #[test]
    fn long_commands_are_cut() {
        let long = format!("SET key {}", "x".repeat(130));
        let slow = Slow::new(5, 1999, words(&long).as_args());
        assert_eq!((slow.took_us, slow.at_s), (5, 1));
        assert_eq!(slow.args[2], format!("{}... (2 more bytes)", "x".repeat(128)).into_bytes());
        let many = format!("DEL{}", " a".repeat(40));
        let slow = Slow::new(5, 0, words(&many).as_args());
        assert_eq!(slow.args.len(), 32);
        assert_eq!(slow.args[31], b"... (10 more arguments)");
    }
}
