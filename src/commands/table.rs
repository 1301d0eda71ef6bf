//! The table of the commands on data.
//!
//! [`DATA`] holds the commands on data, which every engine carries out. A session's or a server's
//! table adds its own rows and has a directory of all of them.

use super::context::Settings;
use super::spec::{Directory, Spec};
use super::{
    bitmaps, command, connection, databases, dump, expire, generic, geo, hashes, hyperloglog,
    lists, memory, object, scan, server, sets, sort, sorted_sets, streams, strings,
};
use crate::data::{KeyHasher, Limits};
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

/// Settings for an engine that has the commands on data.
impl Default for Settings {
    fn default() -> Self {
        Self {
            bulk_bytes_max: 512 * 1024 * 1024,
            lfu: false,
            lfu_log_factor: 10,
            lfu_decay_minutes: 1,
            rdb_compression: true,
            latency_tracking: true,
            slow_from_us: None,
            limits: Limits::new(KeyHasher::new((0, 0))),
            directory: &DATA,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::spec;
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
            all_of_the_server().all().map(|spec| spec::hash(spec.name.as_bytes())).collect();
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
