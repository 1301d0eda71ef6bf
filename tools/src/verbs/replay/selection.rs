//! Which commands are printed.

use super::moment;
use crate::output::{Failure, now_ms};
use crate::payload;
use clap::Args;
use mainstay::commands::glob::{Case, matches};
use mainstay::log::Lsn;
use mainstay::resp;

/// Commands without keys that touch all of them.
const OF_ALL_KEYS: [&str; 3] = ["FLUSHALL", "FLUSHDB", "SWAPDB"];

/// Of these, those that concern more than the selected database.
const OF_ALL_DATABASES: [&str; 2] = ["FLUSHALL", "SWAPDB"];

/// Options that choose commands; without any, all of them.
#[derive(Args)]
pub struct Filters {
    /// Only commands with a key that matches this pattern, as in KEYS; what touches all keys (FLUSHALL, FLUSHDB, SWAPDB) as well
    #[arg(long = "match", value_name = "GLOB")]
    pattern: Option<String>,
    /// Only this command, or one subcommand ('xgroup create'), in upper or lower case; may be given several times
    #[arg(long = "command", value_name = "NAME")]
    commands: Vec<String>,
    /// Only commands in this database; may be given several times
    #[arg(long = "db", value_name = "N")]
    databases: Vec<u32>,
    /// Only commands that begin at this LSN or above
    #[arg(long, value_name = "LSN")]
    from_lsn: Option<Lsn>,
    /// Only commands that end at this LSN or below
    #[arg(long, value_name = "LSN")]
    to_lsn: Option<Lsn>,
    /// Only commands that were written at this time or later
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from_time: Option<String>,
    /// Only commands that were written at this time or earlier
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to_time: Option<String>,
}

/// The same, understood.
pub struct Selection {
    pattern: Option<Vec<u8>>,
    /// Names in lower case, a subcommand's behind a space.
    commands: Vec<Vec<u8>>,
    databases: Vec<u32>,
    /// The LSNs between which commands lie.
    pub lsns: (Lsn, Lsn),
    /// The Unix times in ms between which, both included, they were written.
    pub times_ms: (u64, u64),
    /// Whether LSNs were given.
    pub by_lsn: bool,
    /// Whether times were given.
    pub by_time: bool,
}

impl Filters {
    /// Understands what people have written.
    ///
    /// # Errors
    /// If a time is none.
    pub fn selection(&self) -> Result<Selection, Failure> {
        let now_ms = now_ms();
        let time = |text: &Option<String>, default| match text {
            Some(text) => moment::parse(text, now_ms)
                .map_err(|reason| Failure::new(format_args!("'{text}': {reason}"))),
            None => Ok(default),
        };
        let name = |name: &String| {
            let words: Vec<_> = name.split(['|', ' ']).filter(|word| !word.is_empty()).collect();
            words.join(" ").to_ascii_lowercase().into_bytes()
        };
        Ok(Selection {
            pattern: self.pattern.as_ref().map(|pattern| pattern.clone().into_bytes()),
            commands: self.commands.iter().map(name).collect(),
            databases: self.databases.clone(),
            lsns: (self.from_lsn.unwrap_or(0), self.to_lsn.unwrap_or(Lsn::MAX)),
            times_ms: (time(&self.from_time, 0)?, time(&self.to_time, u64::MAX)?),
            by_lsn: self.from_lsn.or(self.to_lsn).is_some(),
            by_time: self.from_time.is_some() || self.to_time.is_some(),
        })
    }
}

fn is_one_of(args: resp::Args<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| args.at(0).eq_ignore_ascii_case(name.as_bytes()))
}

impl Selection {
    /// Whether a command is chosen that stands in the database `db`, as far as names, keys and databases go.
    pub fn takes(&self, db: u32, args: resp::Args<'_>) -> bool {
        let in_database = self.databases.is_empty()
            || self.databases.contains(&db)
            || is_one_of(args, &OF_ALL_DATABASES);
        in_database && self.takes_name(args) && self.takes_keys(args)
    }

    /// Whether commands of this name are selected.
    pub fn names(&self, args: resp::Args<'_>) -> bool {
        !self.commands.is_empty() && self.takes_name(args)
    }

    fn takes_name(&self, args: resp::Args<'_>) -> bool {
        let is_it = |wanted: &Vec<u8>| {
            let mut words = wanted.split(|&byte| byte == b' ');
            let name = words.next().unwrap_or_default();
            args.at(0).eq_ignore_ascii_case(name)
                && words.next().is_none_or(|sub| {
                    args.get(1).is_some_and(|word| word.eq_ignore_ascii_case(sub))
                })
        };
        self.commands.is_empty() || self.commands.iter().any(is_it)
    }

    fn takes_keys(&self, args: resp::Args<'_>) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        // Where it stands alone a star matches an empty key as well.
        let is_match = |key: &&[u8]| pattern == b"*" || matches(pattern, key, Case::Sensitive);
        is_one_of(args, &OF_ALL_KEYS) || payload::keys_of(args).iter().any(is_match)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay::resp::OwnedArgs;

    fn selection() -> Selection {
        Selection {
            pattern: None,
            commands: Vec::new(),
            databases: Vec::new(),
            lsns: (0, Lsn::MAX),
            times_ms: (0, u64::MAX),
            by_lsn: false,
            by_time: false,
        }
    }

    fn takes(selection: &Selection, db: u32, line: &str) -> bool {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        selection.takes(db, OwnedArgs::from_slices(&words).as_args())
    }

    #[test]
    fn any_key_of_a_command_may_match() {
        let selection = Selection { pattern: Some(b"b*".to_vec()), ..selection() };
        for line in ["SET b1 x", "MSET a 1 b 2", "LMOVE a bb LEFT LEFT", "flushall", "SWAPDB 0 1"] {
            assert!(takes(&selection, 0, line), "{line}");
        }
        for line in ["SET a b", "MSET a b c b", "FUNCTION LOAD b", "NOSUCH b"] {
            assert!(!takes(&selection, 0, line), "{line}");
        }
    }

    #[test]
    fn names_and_databases() {
        let commands = vec![b"set".to_vec(), b"xgroup create".to_vec()];
        let selection = Selection { commands, databases: vec![3], ..selection() };
        assert!(takes(&selection, 3, "Set a 1"));
        assert!(takes(&selection, 3, "XGROUP CREATE x g 0"));
        assert!(!takes(&selection, 0, "Set a 1"));
        assert!(!takes(&selection, 3, "XGROUP DESTROY x g"));
        assert!(!takes(&selection, 3, "SETEX a 1 1"));
    }
}
