//! `COMMAND DOCS` of ours and of a real `redis-server`: the arguments of every command that both
//! have, and the versions that changed it.

use crate::support::{Client, Redis, Setup, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Commands whose arguments are not the same, and why. An argument newer than the Redis compared
/// with is left out before the comparison and needs no entry.
const OTHER_ARGUMENTS: [(&str, &str); 1] = [(
    "client|kill",
    "names are made of letters, digits, `-`, `_` and `/`: `ip-port`, not `ip:port`",
)];

/// Commands that changed in other versions than Redis states, and why.
const OTHER_HISTORY: [(&str, &str); 3] = [
    ("georadiusbymember", "`ANY` is as new as in `GEORADIUS`"),
    ("georadiusbymember_ro", "`ANY` is as new as in `GEORADIUS_RO`"),
    ("zrevrangebyscore", "Redis states a change that is older than the command"),
];

/// The fields of a map; RESP2 sends it as an array of names and values.
fn fields(map: &Value) -> BTreeMap<String, &Value> {
    map.items().chunks(2).map(|pair| (pair[0].text(), &pair[1])).collect()
}

/// What `COMMAND DOCS` states of all commands and subcommands, by full name.
fn docs(client: &mut Client) -> BTreeMap<String, Doc> {
    let mut docs = BTreeMap::new();
    collect(&client.call("COMMAND DOCS"), &mut docs);
    docs
}

struct Doc {
    arguments: Vec<Value>,
    /// Versions of `history`.
    changed_in: BTreeSet<String>,
}

fn collect(map: &Value, docs: &mut BTreeMap<String, Doc>) {
    for (name, doc) in fields(map) {
        let doc = fields(doc);
        let arguments = doc.get("arguments").map_or(Vec::new(), |list| list.items().to_vec());
        let history = doc.get("history").map_or(&[][..], |list| list.items());
        let changed_in = history.iter().map(|entry| entry.items()[0].text()).collect();
        docs.insert(name, Doc { arguments, changed_in });
        if let Some(subcommands) = doc.get("subcommands") {
            collect(subcommands, docs);
        }
    }
}

/// Whether a version is not newer than `limit`.
fn is_known(version: &str, limit: (u32, u32)) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().expect("a number"));
    (parts.next().expect("a part"), parts.next().expect("two parts")) <= limit
}

/// Arguments in one line each, parts indented; those newer than `version` are left out.
fn shown(arguments: &[Value], version: (u32, u32), indent: usize, out: &mut String) {
    for argument in arguments {
        let fields = fields(argument);
        if fields.get("since").is_some_and(|since| !is_known(&since.text(), version)) {
            continue;
        }
        out.push_str(&"  ".repeat(indent));
        for name in ["name", "type", "key_spec_index", "token"] {
            match fields.get(name) {
                Some(Value::Int(number)) => out.push_str(&format!("{name}={number} ")),
                Some(text) => out.push_str(&format!("{name}={} ", text.text())),
                None => {}
            }
        }
        let flags = fields.get("flags").map_or(&[][..], |flags| flags.items());
        let flags: BTreeSet<String> = flags.iter().map(Value::text).collect();
        out.push_str(&format!("{flags:?}\n"));
        if let Some(parts) = fields.get("arguments") {
            shown(parts.items(), version, indent + 1, out);
        }
    }
}

#[test]
fn commands_have_the_arguments_and_the_history_that_redis_documents() {
    let Some(redis) = Redis::start() else { return };
    if redis.version < (7, 0) {
        return; // It has no COMMAND DOCS.
    }
    let setup = Setup::new(&["--appendfsync", "no"]);
    let server = setup.start();
    let (ours, theirs) = (docs(&mut server.client()), docs(&mut redis.client()));
    let (mut compared, mut wrong) = (0, Vec::new());
    for (name, theirs) in &theirs {
        let Some(ours) = ours.get(name) else { continue };
        compared += 1;
        let [our_text, their_text] = [ours, theirs].map(|doc| {
            let mut text = String::new();
            shown(&doc.arguments, redis.version, 0, &mut text);
            text
        });
        let is_exception = OTHER_ARGUMENTS.iter().any(|(other, _)| other == name);
        if (our_text != their_text) != is_exception {
            wrong.push(format!("{name}\nours:\n{our_text}theirs:\n{their_text}"));
        }
        let known = |doc: &Doc| -> BTreeSet<String> {
            doc.changed_in.iter().filter(|it| is_known(it, redis.version)).cloned().collect()
        };
        let is_exception = OTHER_HISTORY.iter().any(|(other, _)| other == name);
        let (our_versions, their_versions) = (known(ours), known(theirs));
        if (our_versions != their_versions) != is_exception {
            wrong.push(format!("history of {name}: {our_versions:?}, Redis {their_versions:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 200, "only {compared} commands are in both");
}
