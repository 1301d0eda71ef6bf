//! `SLOWLOG`: the last commands that took long, with who sent them.

use super::{ALL_NODES, ALWAYS, ALWAYS_ADMIN as ADMIN, ConnectionState, Free};
use crate::commands::spec::Categories;
use crate::commands::{CommandError, CommandResult, Spec};
use crate::commands::{numbers, reply_help};
use crate::resp::{Args, Reply};
use crate::server::config::command as config_command;
use crate::server::state::clients::ClientInfo;
use crate::session::Row;
use crate::session::Slow;
use parking_lot::Mutex;
use std::collections::VecDeque;

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

/// An entry.
struct Entry {
    id: i64,
    slow: Slow,
    addr: String,
    name: String,
}

#[derive(Default)]
struct Entries {
    /// The last one first.
    entries: VecDeque<Entry>,
    next_id: i64,
}

/// The last commands that took long.
#[derive(Default)]
pub struct Slowlog(Mutex<Entries>);

impl Slowlog {
    /// Adds what a client's commands took, and keeps at most `max` entries.
    pub fn add(&self, slow: Vec<Slow>, client: &ClientInfo, max: usize) {
        let name = client.state.lock().name.clone();
        let mut log = self.0.lock();
        for mut slow in slow {
            redact(&mut slow.args);
            let (id, addr) = (log.next_id, client.addr.clone());
            log.next_id += 1;
            log.entries.push_front(Entry { id, slow, addr, name: name.clone() });
        }
        log.entries.truncate(max);
    }

    fn show(&self, count: usize, out: &mut Reply<'_>) {
        let log = self.0.lock();
        let count = count.min(log.entries.len());
        out.array(count);
        for entry in log.entries.iter().take(count) {
            out.array(6);
            out.integer(entry.id);
            out.integer(entry.slow.at_s);
            out.integer(entry.slow.took_us as i64);
            out.array(entry.slow.args.len());
            entry.slow.args.iter().for_each(|arg| out.bulk(arg));
            out.bulk(entry.addr.as_bytes());
            out.bulk(entry.name.as_bytes());
        }
    }
}

/// Takes passwords out of a command.
fn redact(args: &mut [Vec<u8>]) {
    let Some((name, args)) = args.split_first_mut() else { return };
    let is = |arg: &[u8], word: &str| arg.eq_ignore_ascii_case(word.as_bytes());
    let hide = |args: &mut [Vec<u8>]| args.iter_mut().for_each(|arg| *arg = b"(redacted)".into());
    match &name.to_ascii_lowercase()[..] {
        b"auth" => hide(args),
        b"hello" | b"migrate" => {
            let at = args.iter().position(|arg| is(arg, "auth") || is(arg, "auth2"));
            if let Some(at) = at {
                let end = args.len().min(at + 3);
                hide(&mut args[at + 1..end]);
            }
        }
        b"config" if args.first().is_some_and(|arg| is(arg, "set")) => {
            for pair in args[1..].chunks_exact_mut(2) {
                if config_command::is_sensitive(&pair[0]) {
                    hide(&mut pair[1..]);
                }
            }
        }
        _ => {}
    }
}

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
    call.reply.integer(call.host.shared.slowlog.0.lock().entries.len() as i64);
    Ok(())
}

/// `SLOWLOG RESET`
fn reset(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    let entries = std::mem::take(&mut call.host.shared.slowlog.0.lock().entries);
    drop(entries);
    call.reply.ok();
    Ok(())
}

/// `SLOWLOG HELP`
fn help(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    reply_help(&mut call.reply, "SLOWLOG", HELP);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_kept() {
        for (line, shown) in [
            ("AUTH user secret", "AUTH (redacted) (redacted)"),
            (
                "HELLO 3 AUTH user secret SETNAME me",
                "HELLO 3 AUTH (redacted) (redacted) SETNAME me",
            ),
            ("CONFIG SET hz 5 requirepass secret", "CONFIG SET hz 5 requirepass (redacted)"),
            ("MIGRATE h 1 k 0 9 AUTH secret", "MIGRATE h 1 k 0 9 AUTH (redacted)"),
            ("SET auth secret", "SET auth secret"),
        ] {
            let mut args: Vec<Vec<u8>> = line.split(' ').map(|word| word.into()).collect();
            redact(&mut args);
            assert_eq!(String::from_utf8(args.join(&b' ')).unwrap(), shown);
        }
    }
}
