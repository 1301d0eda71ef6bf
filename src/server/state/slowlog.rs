//! The last commands that took long, with their clients.

use super::clients::ClientInfo;
use crate::resp::Reply;
use crate::server::config::command as config_command;
use crate::session::Slow;
use parking_lot::Mutex;
use std::collections::VecDeque;

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

    /// Writes the last `count` entries as `SLOWLOG GET` shows them.
    pub fn show(&self, count: usize, out: &mut Reply<'_>) {
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

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.lock().entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all entries. They keep their numbers.
    pub fn clear(&self) {
        let entries = std::mem::take(&mut self.0.lock().entries);
        drop(entries);
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
