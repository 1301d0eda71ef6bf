//! `SLOWLOG`: the last commands that took long, with who sent them.

use crate::commands::spec::ServerCommand;
use crate::commands::{CommandError, CommandResult, numbers};
use crate::engine::{Guard, Slow};
use crate::resp::{Args, Protocol, Reply};
use crate::server::commands::admin::{ConnectionState, help};
use crate::server::config::command as config_command;
use crate::server::state::clients::ClientInfo;
use parking_lot::Mutex;
use std::collections::VecDeque;

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

/// Carries `SLOWLOG` out.
///
/// # Errors
/// The error reply.
pub(super) fn run(
    state: &mut ConnectionState,
    command: ServerCommand,
    engine: &Guard<'_>,
    args: Args<'_>,
    protocol: Protocol,
    out: &mut Reply<'_>,
) -> CommandResult {
    match command {
        ServerCommand::SlowlogGet => {
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
            // What this batch has done so far is shown, and not the command itself.
            state.slow_shown = Some(engine.slow_count());
            let show = move |state: &mut ConnectionState, out: &mut Reply<'_>| {
                state.shared.slowlog.show(count, out);
                Ok(())
            };
            state.late.add("slowlog|get", out.position(), protocol, show);
        }
        ServerCommand::SlowlogLen => {
            out.integer(state.shared.slowlog.0.lock().entries.len() as i64);
        }
        ServerCommand::SlowlogReset => {
            let entries = std::mem::take(&mut state.shared.slowlog.0.lock().entries);
            drop(entries);
            out.ok();
        }
        _ => help(out, "SLOWLOG", HELP),
    }
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
