//! Counts per command and per error code, for `INFO commandstats` and `errorstats`.

use crate::commands::Spec;
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

/// Counts per command and per error code.
#[derive(Default)]
pub struct Stats {
    /// By the address of the command's declaration, which is static.
    commands: HashMap<usize, (&'static Spec, CommandStat), BuildHasherDefault<AddressHasher>>,
    errors: BTreeMap<String, u64>,
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
    /// The counts of a command.
    pub(super) fn command(&mut self, spec: &'static Spec) -> &mut CommandStat {
        let address = std::ptr::from_ref(spec).addr();
        &mut self.commands.entry(address).or_insert((spec, CommandStat::default())).1
    }

    /// Notes an error reply with this code.
    pub(super) fn error(&mut self, code: &str) {
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else if self.errors.len() < ERROR_CODES_MAX {
            self.errors.insert(code.to_owned(), 1);
        }
    }

    /// All commands that were called or refused, by name.
    pub fn commands(&self) -> Vec<(&'static str, CommandStat)> {
        let all = self.commands.values().map(|(spec, stat)| (spec.full_name, *stat));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }

    /// Error replies by code.
    pub fn errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
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
        stats.command(get).calls += 1;
        stats.command(get).calls += 1;
        stats.command(table::by_name(b"append").unwrap()).failed += 1;
        let counted: Vec<_> =
            stats.commands().iter().map(|(n, s)| (*n, s.calls, s.failed)).collect();
        assert_eq!(counted, [("append", 0, 1), ("get", 2, 0)]);
        for number in 0..2 * ERROR_CODES_MAX {
            stats.error(&number.to_string());
        }
        stats.error("0");
        assert_eq!((stats.errors().len(), stats.errors()["0"]), (ERROR_CODES_MAX, 2));
    }
}
