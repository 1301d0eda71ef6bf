//! `LATENCY`: how long calls of commands took.
//!
//! Events are not watched yet (`latency-monitor-threshold`), so there is nothing to tell of them.

use crate::commands::spec::ServerCommand;
use crate::engine::Guard;
use crate::resp::{Args, Reply};
use crate::server::commands::admin::help;

const HELP: &[&str] = &[
    "HISTOGRAM [<command> ...]",
    "    How many calls of the commands took at most 1, 2, 4, ... µs.",
    "HISTORY <event>",
    "    The times that were noted of an event: none.",
    "LATEST",
    "    The last time that was noted of each event: none.",
    "RESET [<event> ...]",
    "    Forget what was noted, and tell of how many events.",
];

/// Carries `LATENCY` out.
pub(super) fn run(command: ServerCommand, engine: &Guard<'_>, args: Args<'_>, out: &mut Reply<'_>) {
    match command {
        ServerCommand::LatencyHistogram => histogram(engine, args.from(2), out),
        ServerCommand::LatencyHistory | ServerCommand::LatencyLatest => out.array(0),
        ServerCommand::LatencyReset => out.integer(0),
        _ => help(out, "LATENCY", HELP),
    }
}

/// Of the commands named, or of all that ran: by name, the calls and how many took at most so many
/// µs.
fn histogram(engine: &Guard<'_>, names: Args<'_>, out: &mut Reply<'_>) {
    let is_shown = |name: &str| {
        let container = name.split('|').next().unwrap_or(name);
        let is = |asked: &[u8]| {
            asked.eq_ignore_ascii_case(name.as_bytes())
                || asked.eq_ignore_ascii_case(container.as_bytes())
        };
        names.len() == 0 || names.iter().any(is)
    };
    let mut shown = engine.command_stats().latencies();
    shown.retain(|(name, _)| is_shown(name));
    out.map(shown.len());
    for (name, latency) in shown {
        out.bulk(name.as_bytes());
        out.map(2);
        out.bulk(b"calls");
        out.integer(latency.calls() as i64);
        out.bulk(b"histogram_usec");
        let buckets = latency.cumulative_us();
        out.map(buckets.len());
        for (us, calls) in buckets {
            out.integer(us as i64);
            out.integer(calls as i64);
        }
    }
}
