//! `LATENCY`: how long calls of commands took.
//!
//! Events are not watched yet (`latency-monitor-threshold`), so there is nothing to show of them.

use super::{ALWAYS, ALWAYS_ADMIN as ADMIN, ConnectionState, Free};
use crate::commands::reply_help;
use crate::commands::spec::Categories;
use crate::commands::{CommandResult, Spec};
use crate::resp::Args;
use crate::session::Row;

const EACH_NODE: &[&str] =
    &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

/// This family's part of the table.
pub static COMMANDS: [Row<ConnectionState>; 1] = [Row::container(
    Spec::container("latency", &[]).doc(
        "server",
        "2.8.13",
        "Depends on the subcommand.",
        "Tells how long things took.",
    ),
    &LATENCY,
)];

static LATENCY: [Row<ConnectionState>; 5] = [
    Row::outside(
        Spec::host("latency|histogram", -2)
            .syntax("[command...]")
            .flags(ADMIN, Categories::NONE)
            .doc(
                "server",
                "7.0.0",
                "O(N) in the commands shown",
                "How long calls of commands took.",
            )
            .tips(EACH_NODE),
        histogram,
    ),
    Row::free(
        Spec::host("latency|history", 3)
            .syntax("event")
            .flags(ADMIN, Categories::NONE)
            .doc("server", "2.8.13", "O(1)", "The times that were noted of an event.")
            .tips(EACH_NODE),
        no_events,
    ),
    Row::free(
        Spec::host("latency|latest", 2)
            .flags(ADMIN, Categories::NONE)
            .doc("server", "2.8.13", "O(1)", "The last time that was noted of each event.")
            .tips(EACH_NODE),
        no_events,
    ),
    Row::free(
        Spec::host("latency|reset", -2)
            .syntax("[event...]")
            .flags(ADMIN, Categories::NONE)
            .doc("server", "2.8.13", "O(1)", "Forgets times of events.")
            .tips(&["request_policy:all_nodes", "response_policy:agg_sum"]),
        reset,
    ),
    Row::free(
        Spec::host("latency|help", 2).flags(ALWAYS, Categories::NONE).doc(
            "server",
            "2.8.13",
            "O(1)",
            "Lists the subcommands.",
        ),
        help,
    ),
];

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

/// `LATENCY HISTORY event` and `LATENCY LATEST`
fn no_events(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    call.reply.array(0);
    Ok(())
}

/// `LATENCY RESET [event …]`
fn reset(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    call.reply.integer(0);
    Ok(())
}

/// `LATENCY HELP`
fn help(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    reply_help(&mut call.reply, "LATENCY", HELP);
    Ok(())
}

/// Of the commands named, or of all that ran: by name, the calls and how many took at most so many
/// µs.
fn histogram(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    let (names, out) = (args.from(2), &mut call.reply);
    let is_shown = |name: &str| {
        let container = name.split('|').next().unwrap_or(name);
        let is = |asked: &[u8]| {
            asked.eq_ignore_ascii_case(name.as_bytes())
                || asked.eq_ignore_ascii_case(container.as_bytes())
        };
        names.len() == 0 || names.iter().any(is)
    };
    let stats = call.host.shared.stats(true);
    let mut shown = stats.latencies(super::TABLE.directory());
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
    Ok(())
}
