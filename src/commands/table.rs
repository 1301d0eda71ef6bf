//! The directory of commands, and looking one up by name.
//!
//! [`DATA`] holds the commands on data, which every engine carries out. A session's or a server's
//! table adds its own rows and has a directory of all of them.

use super::CommandError;
use super::error::quoted;
use super::spec::{Flags, Spec};
use super::{
    bitmaps, command, connection, databases, dump, expire, generic, geo, hashes, hyperloglog,
    lists, memory, object, scan, server, sets, sort, sorted_sets, streams, strings,
};
use crate::resp::Args;
use std::fmt;
use std::sync::LazyLock;

/// The commands on data; each family's file declares its own.
pub static FAMILIES: &[&[Spec]] = &[
    &bitmaps::COMMANDS,
    &command::COMMANDS,
    &connection::COMMANDS,
    &databases::COMMANDS,
    &dump::COMMANDS,
    &expire::COMMANDS,
    &generic::COMMANDS,
    &geo::COMMANDS,
    &hashes::COMMANDS,
    &hyperloglog::COMMANDS,
    &lists::COMMANDS,
    &memory::COMMANDS,
    &object::COMMANDS,
    &scan::COMMANDS,
    &server::COMMANDS,
    &sets::COMMANDS,
    &sort::COMMANDS,
    &sorted_sets::COMMANDS,
    &streams::COMMANDS,
    &strings::COMMANDS,
];

/// The directory of the commands on data.
pub static DATA: LazyLock<Directory> =
    LazyLock::new(|| Directory::new(FAMILIES.iter().flat_map(|family| family.iter()).copied()));

/// log2 of the index's size: a few times the number of commands, so that a probe nearly always hits.
const INDEX_LOG2: u32 = 10;
const INDEX_MASK: usize = (1 << INDEX_LOG2) - 1;

/// Commands by name. A directory lives as long as the process.
pub struct Directory {
    commands: &'static [Spec],
    /// Commands by the hash of their name, open addressing. Its load stays below one half, so that
    /// an unknown name soon meets a gap.
    index: Box<[Option<&'static Spec>]>,
    /// Commands and subcommands: one more than the highest [`Spec::number`].
    count: usize,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Numbers a command and its subcommands from `next` on.
fn numbered(mut spec: Spec, next: &mut u16) -> Spec {
    spec.number = *next;
    *next += 1;
    let subcommands = spec.subcommands.iter().map(|&sub| numbered(sub, next));
    spec.subcommands = Vec::leak(subcommands.collect());
    spec
}

impl Directory {
    /// A directory of these commands, each with its subcommands. They get dense numbers.
    ///
    /// # Panics
    /// If there are more than the index has room for.
    pub fn new(commands: impl Iterator<Item = Spec>) -> Self {
        let mut next = 0;
        let commands: Vec<Spec> = commands.map(|spec| numbered(spec, &mut next)).collect();
        let commands: &'static [Spec] = Vec::leak(commands);
        assert!(commands.len() < 1 << (INDEX_LOG2 - 1), "the index has become too small");
        let mut index = vec![None; 1 << INDEX_LOG2];
        for spec in commands {
            let mut at = hash(spec.name.as_bytes());
            while index[at].is_some() {
                at = (at + 1) & INDEX_MASK;
            }
            index[at] = Some(spec);
        }
        Self { commands, index: index.into(), count: next.into() }
    }

    /// All commands. Subcommands are found in [`Spec::subcommands`].
    pub fn all(&self) -> impl Iterator<Item = &'static Spec> + use<> {
        self.commands.iter()
    }

    /// The command or subcommand with this number.
    pub fn by_number(&self, number: u16) -> Option<&'static Spec> {
        let at = self.commands.partition_point(|spec| spec.number <= number).checked_sub(1)?;
        let (spec, subcommand) = (&self.commands[at], number - self.commands[at].number);
        match subcommand {
            0 => Some(spec),
            index => spec.subcommands.get(usize::from(index) - 1),
        }
    }

    /// Commands and subcommands: one more than the highest [`Spec::number`].
    pub fn count(&self) -> usize {
        self.count
    }

    /// The command called `name`, in whatever case; not a subcommand.
    pub fn by_name(&self, name: &[u8]) -> Option<&'static Spec> {
        let mut at = hash(name);
        while let Some(spec) = self.index[at] {
            if spec.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(spec);
            }
            at = (at + 1) & INDEX_MASK;
        }
        None
    }

    /// The command called `full_name`, which for a subcommand is `container|name`.
    pub fn by_full_name(&self, full_name: &[u8]) -> Option<&'static Spec> {
        let mut parts = full_name.splitn(2, |&byte| byte == b'|');
        let spec = self.by_name(parts.next()?)?;
        match parts.next() {
            Some(name) => subcommand(spec, name),
            None => Some(spec),
        }
    }

    /// The command that `args` names; a subcommand if the first argument is the name of a container
    /// and the second that of a subcommand.
    pub fn lookup(&self, args: Args<'_>) -> Option<&'static Spec> {
        let spec = self.by_name(args.get(0)?)?;
        if spec.subcommands.is_empty() {
            return Some(spec);
        }
        match args.get(1) {
            Some(name) => subcommand(spec, name),
            None => Some(spec),
        }
    }

    /// The command that a client's request names, with the right number of arguments for it.
    ///
    /// # Errors
    /// If there is no such command or subcommand, or the number of arguments is wrong.
    pub fn resolve(&self, args: Args<'_>) -> Result<&'static Spec, CommandError> {
        let found = self.lookup(args).filter(|spec| !spec.flags.has(Flags::INTERNAL));
        let Some(spec) = found else { return Err(self.unknown(args)) };
        if !spec.arity.allows(args.len()) {
            return Err(CommandError::wrong_arity(spec.full_name));
        }
        Ok(spec)
    }

    /// The error for a request that names nothing, in Redis's words and with its truncation.
    #[cold]
    fn unknown(&self, args: Args<'_>) -> CommandError {
        let name = args.get(0).unwrap_or_default();
        if let Some(container) = self.by_name(name)
            && let Some(sub) = args.get(1)
            && !container.subcommands.is_empty()
        {
            let after = format!("'. Try {} HELP.", container.name.to_ascii_uppercase());
            return CommandError::quoting("ERR unknown subcommand '", quoted(sub, 128), &after);
        }
        let mut beginning = Vec::new();
        for arg in args.from(1).iter() {
            if beginning.len() >= 128 {
                break;
            }
            let arg = quoted(arg, 128 - beginning.len());
            beginning.extend_from_slice(&[b"'", arg, b"' "].concat());
        }
        let (before, between) = (b"ERR unknown command '", b"', with args beginning with: ");
        CommandError::new([before, quoted(name, 128), between, &beginning].concat())
    }
}

/// A place in the index for a name, the same in upper and lower case. Length and the outer bytes
/// tell commands apart well enough.
fn hash(name: &[u8]) -> usize {
    let len = name.len();
    // Up to 16 bytes count, in two words that overlap where the name is shorter.
    let (head, tail) =
        if let (Some(head), Some(tail)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
        } else {
            let byte = |at: usize| name.get(at).map_or(0, |&byte| u64::from(byte));
            (byte(0) | byte(1) << 8 | byte(2) << 16, 0)
        };
    // Setting this bit makes letters lower case; what it does to other bytes only matters in that it
    // is the same every time.
    let lower = |word: u64| word | 0x2020_2020_2020_2020;
    let mixed = (lower(head) ^ lower(tail).rotate_left(29)).wrapping_add(len as u64);
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - INDEX_LOG2)) as usize
}

/// The subcommand of `spec` called `name`.
fn subcommand(spec: &'static Spec, name: &[u8]) -> Option<&'static Spec> {
    spec.subcommands.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    /// The directory of the server, which has all commands.
    fn all_of_the_server() -> &'static Directory {
        crate::server::commands::TABLE.directory()
    }

    fn resolved(words: &[&str]) -> Result<&'static str, String> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let args = OwnedArgs::from_slices(&words);
        all_of_the_server()
            .resolve(args.as_args())
            .map(|spec| spec.full_name)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn every_command_is_found_by_its_name_in_any_case() {
        for spec in all_of_the_server().all() {
            for name in [spec.name.to_owned(), spec.name.to_ascii_uppercase()] {
                let found =
                    all_of_the_server().by_full_name(name.as_bytes()).map(|found| found.full_name);
                assert_eq!(found, Some(spec.full_name), "declared twice?");
            }
            for sub in spec.subcommands {
                let found =
                    all_of_the_server().by_full_name(sub.full_name.to_ascii_uppercase().as_bytes());
                assert_eq!(found.map(|found| found.full_name), Some(sub.full_name));
                assert!(sub.full_name.starts_with(spec.name));
            }
        }
    }

    #[test]
    fn names_hardly_collide() {
        let mut places: Vec<usize> =
            all_of_the_server().all().map(|spec| hash(spec.name.as_bytes())).collect();
        let count = places.len();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() * 10 >= count * 8, "{} places for {count} names", places.len());
    }

    #[test]
    fn numbers_are_dense_and_find_their_command() {
        let directory = all_of_the_server();
        let all = directory.all().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
        let all: Vec<&Spec> = all.collect();
        let numbers: Vec<u16> = all.iter().map(|spec| spec.number).collect();
        assert_eq!(numbers, (0..directory.count() as u16).collect::<Vec<_>>());
        for spec in all {
            let found = directory.by_number(spec.number).map(|found| found.full_name);
            assert_eq!(found, Some(spec.full_name));
        }
        assert!(directory.by_number(directory.count() as u16).is_none());
    }

    #[test]
    fn every_command_is_documented() {
        for spec in
            all_of_the_server().all().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
        {
            let texts = [spec.group, spec.since, spec.complexity, spec.summary];
            assert!(texts.iter().all(|text| !text.is_empty()), "{}", spec.full_name);
            assert!(spec.summary.ends_with('.'), "{}", spec.full_name);
        }
    }

    #[test]
    fn a_request_that_names_nothing_gets_the_reason() {
        assert_eq!(resolved(&["PING"]), Ok("ping"));
        assert_eq!(resolved(&["Client", "kIll", "x"]), Ok("client|kill"));
        let cases: [(&[&str], &str); 8] = [
            (&["ECHO"], "ERR wrong number of arguments for 'echo' command"),
            (&["CLIENT"], "ERR wrong number of arguments for 'client' command"),
            (&["client", "kill"], "ERR wrong number of arguments for 'client|kill' command"),
            (&["client", "foo", "x"], "ERR unknown subcommand 'foo'. Try CLIENT HELP."),
            (&["foo"], "ERR unknown command 'foo', with args beginning with: "),
            (&["", "a"], "ERR unknown command '', with args beginning with: 'a' "),
            (&["a|b", "a\0b"], "ERR unknown command 'a|b', with args beginning with: 'a' "),
            (
                &["client|kill", "x"],
                "ERR unknown command 'client|kill', with args beginning with: 'x' ",
            ),
        ];
        for (words, text) in cases {
            assert_eq!(resolved(words), Err(text.to_owned()), "{words:?}");
        }
        let (long, half) = ("n".repeat(300), "a".repeat(100));
        assert_eq!(
            resolved(&[&long, &half, "bb", &half, "d"]).unwrap_err(),
            format!(
                "ERR unknown command '{}', with args beginning with: '{half}' 'bb' '{}' ",
                &long[..128],
                &half[..20]
            )
        );
    }
}
