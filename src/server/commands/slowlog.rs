//! `SLOWLOG`: the last commands that took long, with their clients.

use super::{ALL_NODES, ALWAYS, ALWAYS_ADMIN as ADMIN, ConnectionState, Free};
use crate::commands::spec::Categories;
use crate::commands::{CommandError, CommandResult, Spec};
use crate::commands::{numbers, reply_help};
use crate::resp::Args;
use crate::session::Row;

/// This family's part of the table.
pub static COMMANDS: [Row<ConnectionState>; 1] = [Row::container(
    Spec::container("slowlog", &[]).doc(
        "server",
        "2.2.12",
        "Depends on the subcommand.",
        "Tells which commands took long.",
    ),
    &SLOWLOG,
)];

static SLOWLOG: [Row<ConnectionState>; 4] = [
    Row::free(
        Spec::host("slowlog|get", -2)
            .syntax("[count:integer]")
            .changes(&[("4.0.0", "An entry has the client's address and name.")])
            .flags(ADMIN, Categories::NONE)
            .doc(
                "server",
                "2.2.12",
                "O(N) in the entries shown",
                "The last commands that took long.",
            )
            .tips(&["request_policy:all_nodes", "nondeterministic_output"]),
        get,
    ),
    Row::free(
        Spec::host("slowlog|len", 2)
            .flags(ADMIN, Categories::NONE)
            .doc("server", "2.2.12", "O(1)", "How many entries there are.")
            .tips(&[
                "request_policy:all_nodes",
                "response_policy:agg_sum",
                "nondeterministic_output",
            ]),
        len,
    ),
    Row::free(
        Spec::host("slowlog|reset", 2)
            .flags(ADMIN, Categories::NONE)
            .doc("server", "2.2.12", "O(N) in the entries", "Forgets all entries.")
            .tips(ALL_NODES),
        reset,
    ),
    Row::free(
        Spec::host("slowlog|help", 2).flags(ALWAYS, Categories::NONE).doc(
            "server",
            "6.2.0",
            "O(1)",
            "Lists the subcommands.",
        ),
        help,
    ),
];

/// Entries that are shown if the command does not tell how many.
const SHOWN: usize = 10;

const HELP: &[&str] = &[
    "GET [<count>]",
    "    The last entries, 10 of them, or all for -1. Each has its number, the time at which",
    "    the command ran in seconds, how long it took in µs, its arguments, and the client.",
    "LEN",
    "    How many entries there are.",
    "RESET",
    "    Forget all entries.",
];

/// `SLOWLOG GET [count]`
fn get(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    if args.len() > 3 {
        return Err(CommandError::SYNTAX);
    }
    let range = CommandError::fixed("ERR count should be greater than or equal to -1");
    let count = match args.get(2) {
        Some(count) => match numbers::integer(count)? {
            -1 => usize::MAX,
            count => usize::try_from(count).map_err(|_| range)?,
        },
        None => SHOWN,
    };
    call.host.shared.slowlog.show(count, &mut call.reply);
    Ok(())
}

/// `SLOWLOG LEN`
fn len(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    call.reply.integer(call.host.shared.slowlog.len() as i64);
    Ok(())
}

/// `SLOWLOG RESET`
fn reset(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    call.host.shared.slowlog.clear();
    call.reply.ok();
    Ok(())
}

/// `SLOWLOG HELP`
fn help(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    reply_help(&mut call.reply, "SLOWLOG", HELP);
    Ok(())
}
