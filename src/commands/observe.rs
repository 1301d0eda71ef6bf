//! `SLOWLOG` and `LATENCY`: what took long. The server carries them out.

use super::server::{ADMIN, ALL_NODES, ALWAYS};
use super::spec::{Categories, ServerCommand, Spec};

const EACH_NODE: &[&str] =
    &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

/// This family's part of the table.
pub static COMMANDS: [Spec; 2] = [
    Spec::container("slowlog", &SLOWLOG).doc(
        "server",
        "2.2.12",
        "Depends on the subcommand.",
        "Tells which commands took long.",
    ),
    Spec::container("latency", &LATENCY).doc(
        "server",
        "2.8.13",
        "Depends on the subcommand.",
        "Tells how long things took.",
    ),
];

static SLOWLOG: [Spec; 4] = [
    Spec::server("slowlog|get", -2, ServerCommand::SlowlogGet)
        .syntax("[count:integer]")
        .changes(&[("4.0.0", "An entry has the client's address and name.")])
        .flags(ADMIN, Categories::NONE)
        .doc("server", "2.2.12", "O(N) in the entries shown", "The last commands that took long.")
        .tips(&["request_policy:all_nodes", "nondeterministic_output"]),
    Spec::server("slowlog|len", 2, ServerCommand::SlowlogLen)
        .flags(ADMIN, Categories::NONE)
        .doc("server", "2.2.12", "O(1)", "How many entries there are.")
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
    Spec::server("slowlog|reset", 2, ServerCommand::SlowlogReset)
        .flags(ADMIN, Categories::NONE)
        .doc("server", "2.2.12", "O(N) in the entries", "Forgets all entries.")
        .tips(ALL_NODES),
    Spec::server("slowlog|help", 2, ServerCommand::SlowlogHelp)
        .flags(ALWAYS, Categories::NONE)
        .doc("server", "6.2.0", "O(1)", "Lists the subcommands."),
];

static LATENCY: [Spec; 5] = [
    Spec::server("latency|histogram", -2, ServerCommand::LatencyHistogram)
        .syntax("[command...]")
        .flags(ADMIN, Categories::NONE)
        .doc("server", "7.0.0", "O(N) in the commands shown", "How long calls of commands took.")
        .tips(EACH_NODE),
    Spec::server("latency|history", 3, ServerCommand::LatencyHistory)
        .syntax("event")
        .flags(ADMIN, Categories::NONE)
        .doc("server", "2.8.13", "O(1)", "The times that were noted of an event.")
        .tips(EACH_NODE),
    Spec::server("latency|latest", 2, ServerCommand::LatencyLatest)
        .flags(ADMIN, Categories::NONE)
        .doc("server", "2.8.13", "O(1)", "The last time that was noted of each event.")
        .tips(EACH_NODE),
    Spec::server("latency|reset", -2, ServerCommand::LatencyReset)
        .syntax("[event...]")
        .flags(ADMIN, Categories::NONE)
        .doc("server", "2.8.13", "O(1)", "Forgets times of events.")
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum"]),
    Spec::server("latency|help", 2, ServerCommand::LatencyHelp)
        .flags(ALWAYS, Categories::NONE)
        .doc("server", "2.8.13", "O(1)", "Lists the subcommands."),
];
