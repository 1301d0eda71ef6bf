//! What `COMMAND DOCS` states of a command, all of it made from the command's row.

use super::spec::{Flags, Spec};
use super::syntax::{self, Argument};
use crate::resp::Reply;

/// Replies with a command's name and the map that describes it.
pub(super) fn write_entry(reply: &mut Reply<'_>, spec: &'static Spec) {
    reply.bulk(spec.full_name.as_bytes());
    let arguments = syntax::parse(spec.syntax).expect("the tests parse the syntax of every row");
    let history = history(spec, &arguments);
    let doc_flags: &[&str] = match (spec.deprecated, spec.flags.has(Flags::SYSCMD)) {
        (Some(_), _) => &["deprecated"],
        (None, true) => &["syscmd"],
        (None, false) => &[],
    };
    let fields = 4
        + usize::from(!doc_flags.is_empty())
        + 2 * usize::from(spec.deprecated.is_some())
        + usize::from(!history.is_empty())
        + usize::from(!arguments.is_empty())
        + usize::from(!spec.subcommands.is_empty());
    reply.map(fields);
    write_pair(reply, "summary", spec.summary);
    write_pair(reply, "since", spec.since);
    write_pair(reply, "group", spec.group);
    write_pair(reply, "complexity", spec.complexity);
    if !doc_flags.is_empty() {
        write_flags(reply, "doc_flags", doc_flags);
    }
    if let Some((since, instead)) = spec.deprecated {
        write_pair(reply, "deprecated_since", since);
        write_pair(reply, "replaced_by", instead);
    }
    if !history.is_empty() {
        reply.bulk(b"history");
        reply.set(history.len());
        for (version, change) in &history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    write_arguments(reply, &arguments);
    if !spec.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(spec.subcommands.len());
        spec.subcommands.iter().for_each(|sub| write_entry(reply, sub));
    }
}

fn write_pair(reply: &mut Reply<'_>, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

fn write_flags(reply: &mut Reply<'_>, name: &str, flags: &[&str]) {
    reply.bulk(name.as_bytes());
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.simple(flag));
}

/// The field `arguments`; none if there are no arguments.
fn write_arguments(reply: &mut Reply<'_>, arguments: &[Argument]) {
    if arguments.is_empty() {
        return;
    }
    reply.bulk(b"arguments");
    reply.array(arguments.len());
    arguments.iter().for_each(|argument| write_argument(reply, argument));
}

fn write_argument(reply: &mut Reply<'_>, argument: &Argument) {
    let flags = [
        (argument.is_optional, "optional"),
        (argument.is_multiple, "multiple"),
        (argument.repeats_token, "multiple_token"),
    ];
    let flags: Vec<&str> =
        flags.into_iter().filter_map(|(set, name)| set.then_some(name)).collect();
    let fields = 2
        + usize::from(argument.key_spec_index.is_some())
        + usize::from(argument.token.is_some())
        + usize::from(argument.since.is_some())
        + usize::from(!flags.is_empty())
        + usize::from(!argument.parts().is_empty());
    reply.map(fields);
    write_pair(reply, "name", &argument.name);
    write_pair(reply, "type", argument.kind.name());
    if let Some(index) = argument.key_spec_index {
        reply.bulk(b"key_spec_index");
        reply.integer(index.into());
    }
    if let Some(token) = argument.token {
        write_pair(reply, "token", token);
    }
    if let Some(since) = argument.since {
        write_pair(reply, "since", since);
    }
    if !flags.is_empty() {
        write_flags(reply, "flags", &flags);
    }
    write_arguments(reply, argument.parts());
}

/// The versions that changed a command, oldest first, and what they changed: the arguments that are
/// newer than the command, then the changes that its row states.
fn history(spec: &Spec, arguments: &[Argument]) -> Vec<(&'static str, String)> {
    let mut added = Vec::new();
    let argument_sets = arguments.iter();
    argument_sets.for_each(|argument| collect_added(argument, spec.since, &mut added));
    let mut history: Vec<(&'static str, String)> = Vec::new();
    for (version, names) in added {
        match history.iter_mut().find(|(existing, _)| *existing == version) {
            Some((_, text)) => text.extend([", ", &names]),
            None => history.push((version, format!("Takes {names}"))),
        }
    }
    history.iter_mut().for_each(|(_, text)| text.push('.'));
    history.extend(spec.changes.iter().map(|&(version, text)| (version, text.to_owned())));
    // Stable: what is derived stays first within a version.
    history.sort_by_key(|(version, _)| syntax::version(version));
    history
}

/// Adds the versions that introduced `argument` and parts of it after `since`, and what they
/// introduced.
fn collect_added(
    argument: &Argument,
    since: &'static str,
    added: &mut Vec<(&'static str, String)>,
) {
    let own = argument.since.unwrap_or(since);
    if syntax::version(own) > syntax::version(since) {
        let names = shown_names(argument);
        if !names.is_empty() {
            added.push((own, names.join(", ")));
        }
    }
    argument.parts().iter().for_each(|part| collect_added(part, own, added));
}

/// The names of an argument in the history: its token, or the tokens of its parts of the same
/// version, or its name.
fn shown_names(argument: &Argument) -> Vec<String> {
    match (argument.token, argument.parts()) {
        (Some(token), _) => vec![format!("`{token}`")],
        (None, []) => vec![format!("`{}`", argument.name)],
        (None, parts) => {
            parts.iter().filter(|part| part.since.is_none()).flat_map(shown_names).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use crate::resp::Protocol;

    #[test]
    fn a_command_is_described_by_a_map() {
        let mut bench = Bench::new();
        bench.protocol = Protocol::Resp3;
        bench.replies(
            "COMMAND DOCS substr none",
            "%1 $6 substr %8 $7 summary $19 A part of a string. $5 since $5 1.0.0 $5 group \
             $6 string $10 complexity $26 O(N) in the bytes returned $9 doc_flags ~1 +deprecated \
             $16 deprecated_since $5 2.0.0 $11 replaced_by $10 `GETRANGE` $9 arguments *3 %3 $4 \
             name $3 key $4 type $3 key $14 key_spec_index :0 %2 $4 name $5 start $4 type $7 \
             integer %2 $4 name $3 end $4 type $7 integer",
        );
        let container = bench.line("COMMAND DOCS object").reply;
        let container = String::from_utf8_lossy(&container).into_owned();
        assert!(container.contains("$11\r\nsubcommands\r\n%5\r\n$15\r\nobject|encoding\r\n%5\r\n"));
    }

    #[test]
    fn arguments_nest_and_have_flags() {
        let mut bench = Bench::new();
        let docs = bench.line("COMMAND DOCS lpop geoadd sort").reply;
        let docs = String::from_utf8(docs).expect("text").replace("\r\n", " ");
        for part in [
            "*8 $4 name $5 count $4 type $7 integer $5 since $5 6.2.0 $5 flags *1 +optional",
            "*10 $4 name $6 change $4 type $10 pure-token $5 token $2 CH $5 since $5 6.2.0",
            "*8 $4 name $25 longitude_latitude_member $4 type $5 block $5 flags *1 +multiple \
             $9 arguments *3 *4 $4 name $9 longitude $4 type $6 double",
            "*10 $4 name $7 pattern $4 type $7 pattern $14 key_spec_index :1 $5 token $3 GET \
             $5 flags *3 +optional +multiple +multiple_token",
        ] {
            assert!(docs.contains(part), "{part}\n{docs}");
        }
    }

    /// The history that `COMMAND DOCS` shows, in one line.
    fn history(name: &str) -> String {
        let docs = Bench::new().line(&format!("COMMAND DOCS {name}")).reply;
        let docs = String::from_utf8(docs).expect("text").replace("\r\n", " ");
        let Some((_, history)) = docs.split_once("$7 history ") else { return String::new() };
        history.split_once(" $9 arguments").expect("arguments follow").0.to_owned()
    }

    #[test]
    fn history_is_what_newer_versions_added_and_changed() {
        assert_eq!(history("get"), "");
        assert_eq!(history("lpop"), "*1 *2 $5 6.2.0 $14 Takes `count`.");
        assert_eq!(history("ttl"), "*1 *2 $5 2.8.0 $29 Replies -2 for a missing key.");
        assert_eq!(
            history("set"),
            "*5 *2 $6 2.6.12 $29 Takes `NX`, `XX`, `EX`, `PX`. *2 $5 6.0.0 $16 Takes `KEEPTTL`. \
             *2 $5 6.2.0 $28 Takes `GET`, `EXAT`, `PXAT`. \
             *2 $5 7.0.0 $31 `NX` and `GET` may be combined. *2 $5 8.1.0 $13 Takes `IFEQ`."
        );
    }
}
