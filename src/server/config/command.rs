//! `CONFIG GET` and `CONFIG SET` as functions over a configuration, without a server.
//!
//! A set has two phases. [`set`] validates everything and returns a [`Pending`] change that holds the
//! configuration as it would be; nothing is in force yet. The server carries out the effects and then
//! installs [`Pending::config`], or drops it and undoes what it had begun.

use super::directives::{self, Config, DIRECTIVES, Directive, Effect, Flags};
use super::values::{Origin, ProtectedAction, ValueError};
use crate::commands::glob::{self, Case};
use thiserror::Error;

/// Why `CONFIG SET` failed. With `ERR ` before it, the text is what Redis answers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetError {
    /// A name without a value.
    #[error("syntax error")]
    Syntax,
    /// No directive has this name.
    #[error("Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// One directive could not be set, so none was.
    #[error("CONFIG SET failed (possibly related to argument '{argument}') - {cause}")]
    Failed {
        /// The directive's name.
        argument: String,
        /// Why.
        cause: SetCause,
    },
}

/// What was wrong with one directive of a `CONFIG SET`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetCause {
    /// It cannot change while the server runs.
    #[error("can't set immutable config")]
    Immutable,
    /// It may not be changed from this connection.
    #[error("can't set protected config")]
    Protected,
    /// It occurs twice.
    #[error("duplicate parameter")]
    Duplicate,
    /// It can only keep its value while the server runs.
    #[error("can't be changed while the server runs")]
    Pinned,
    /// Its value is not valid.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The server could not carry the change out.
    #[error("{0}")]
    Effect(String),
}

/// A directive whose value changes.
#[derive(Clone, Debug)]
pub struct Change {
    /// The directive.
    pub directive: &'static Directive,
    /// The name by which the client called it.
    pub name: &'static str,
}

impl Change {
    /// The error for a client that may not make this change.
    pub fn protected(&self) -> SetError {
        SetError::Failed { argument: self.name.into(), cause: SetCause::Protected }
    }

    /// The error for a client when the server could not carry this change out.
    pub fn failed(&self, cause: impl Into<String>) -> SetError {
        SetError::Failed { argument: self.name.into(), cause: SetCause::Effect(cause.into()) }
    }
}

/// A valid `CONFIG SET` that is not in force yet.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The configuration as it will be.
    pub config: Config,
    /// Every directive whose value differs, in the order given.
    pub changes: Vec<Change>,
}

impl Pending {
    /// What the server must do, each effect once, with the first change that asks for it.
    pub fn effects(&self) -> Vec<(Effect, &Change)> {
        let mut effects: Vec<(Effect, &Change)> = Vec::new();
        for change in &self.changes {
            let effect = change.directive.effect;
            if effect != Effect::None && effects.iter().all(|(known, _)| *known != effect) {
                effects.push((effect, change));
            }
        }
        effects
    }
}

/// Whether a connection may do what is guarded by `yes`, `no` or `local`.
pub fn is_allowed(action: ProtectedAction, connection_is_local: bool) -> bool {
    match action {
        ProtectedAction::Yes => true,
        ProtectedAction::No => false,
        ProtectedAction::Local => connection_is_local,
    }
}

/// Prepares a `CONFIG SET` of the arguments that follow the subcommand: names and values in turn.
pub fn set(
    config: &Config,
    arguments: &[&[u8]],
    connection_is_local: bool,
) -> Result<Pending, SetError> {
    let (pairs, []) = arguments.as_chunks::<2>() else { return Err(SetError::Syntax) };

    let mut found: Vec<(&'static Directive, &'static str, &[u8])> = Vec::new();
    for [name, value] in pairs {
        let text = || String::from_utf8_lossy(name).into_owned();
        let failed = |cause| SetError::Failed { argument: text(), cause };
        let Some((directive, known)) = directives::find(name) else {
            return Err(SetError::Unknown(text()));
        };
        if directive.flags.has(Flags::IMMUTABLE) {
            return Err(failed(SetCause::Immutable));
        }
        let allowed = is_allowed(config.enable_protected_configs, connection_is_local);
        if directive.flags.has(Flags::PROTECTED) && !allowed {
            return Err(failed(SetCause::Protected));
        }
        if found.iter().any(|(other, _, _)| std::ptr::eq(*other, directive)) {
            return Err(failed(SetCause::Duplicate));
        }
        found.push((directive, known, value));
    }

    let mut pending = Pending { config: config.clone(), changes: Vec::new() };
    for (directive, name, value) in found {
        let failed = |cause| SetError::Failed { argument: name.into(), cause };
        let parts: Vec<&[u8]> = match value {
            value if !directive.flags.has(Flags::MULTI) => vec![value],
            [] => Vec::new(),
            value => value.split(|byte| *byte == b' ').collect(),
        };
        let changed = directive
            .set(&mut pending.config, &parts, Origin::Command)
            .map_err(|error| failed(error.into()))?;
        if changed && directive.flags.has(Flags::PINNED) {
            return Err(failed(SetCause::Pinned));
        }
        let allowed = is_allowed(config.enable_protected_configs, connection_is_local);
        let ends =
            directive.flags.has(Flags::END_PROTECTED) && directive.get(&pending.config) == "no";
        if changed && ends && !allowed {
            return Err(failed(SetCause::Protected));
        }
        if changed {
            pending.changes.push(Change { directive, name });
        }
    }
    Ok(pending)
}

/// Names and values of every directive that one of the patterns matches, each name once.
///
/// A pattern without wildcards is answered under the name as it was typed; hidden directives are shown
/// only to such a pattern.
pub fn get(config: &Config, patterns: &[&[u8]]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, directive: &Directive| {
        if found.iter().all(|(known, _)| !known.eq_ignore_ascii_case(name)) {
            found.push((name.into(), directive.get(config)));
        }
    };
    for pattern in patterns {
        if !glob::is_pattern(pattern) {
            if let (Some((directive, _)), Ok(typed)) =
                (directives::find(pattern), std::str::from_utf8(pattern))
            {
                add(typed, directive);
            }
            continue;
        }
        for directive in DIRECTIVES.iter().filter(|row| !row.flags.has(Flags::HIDDEN)) {
            for name in directive.names() {
                if glob::matches(pattern, name.as_bytes(), Case::Insensitive) {
                    add(name, directive);
                }
            }
        }
    }
    found
}

/// Whether the value given for this name must be kept out of logs.
pub fn is_sensitive(name: &[u8]) -> bool {
    directives::find(name).is_some_and(|(directive, _)| directive.flags.has(Flags::SENSITIVE))
}

#[cfg(test)]
mod tests {
    use super::super::values::{AppendFsync, LogLevel};
    use super::*;

    fn try_set(config: &Config, line: &[&str]) -> Result<Pending, SetError> {
        let arguments: Vec<&[u8]> = line.iter().map(|text| text.as_bytes()).collect();
        set(config, &arguments, true)
    }

    fn shown(config: &Config, patterns: &[&str]) -> Vec<(String, String)> {
        let patterns: Vec<&[u8]> = patterns.iter().map(|text| text.as_bytes()).collect();
        get(config, &patterns)
    }

    fn value(config: &Config, name: &str) -> String {
        shown(config, &[name]).pop().expect("a directive").1
    }

    #[test]
    fn sets_are_prepared_as_a_whole() {
        let before = Config::default();
        let pending = try_set(&before, &["port", "7000", "Bind", "127.0.0.1 ::1", "timeout", "0"]);
        let pending = pending.expect("valid");
        assert_eq!(pending.config.port, 7000);
        assert_eq!(pending.config.bind.0, ["127.0.0.1", "::1"]);
        let changed: Vec<&str> = pending.changes.iter().map(|change| change.name).collect();
        assert_eq!(changed, ["port", "bind"], "timeout kept its value");
        let effects = pending.effects();
        assert_eq!(effects.len(), 1);
        assert_eq!((effects[0].0, effects[0].1.name), (Effect::Listen, "port"));
        assert_eq!(
            effects[0].1.failed("Unable to listen on this port. Check server logs.").to_string(),
            "CONFIG SET failed (possibly related to argument 'port') - \
             Unable to listen on this port. Check server logs."
        );
        assert_eq!(before, Config::default());
    }

    #[test]
    fn every_error_in_the_words_of_redis() {
        let failed = |argument: &str, cause: &str| {
            format!("CONFIG SET failed (possibly related to argument '{argument}') - {cause}")
        };
        let range = "argument must be between 1 and 4294967295 inclusive";
        let table: &[(&[&str], String)] = &[
            (&["port"], "syntax error".into()),
            (
                &["Nope", "1"],
                "Unknown option or number of arguments for CONFIG SET - 'Nope'".into(),
            ),
            (
                &["timeout", "x", "nope", "1"],
                "Unknown option or number of arguments for CONFIG SET - 'nope'".into(),
            ),
            (&["databases", "3"], failed("databases", "can't set immutable config")),
            (&["dir", "/tmp"], failed("dir", "can't set protected config")),
            (&["timeout", "5", "TIMEOUT", "6"], failed("TIMEOUT", "duplicate parameter")),
            (
                &["slave-priority", "5", "replica-priority", "6"],
                failed("replica-priority", "duplicate parameter"),
            ),
            (
                &["slave-priority", "-1"],
                failed("slave-priority", "argument must be between 0 and 2147483647 inclusive"),
            ),
            (&["port", "abc"], failed("port", "argument couldn't be parsed into an integer")),
            (&["port", ""], failed("port", "argument couldn't be parsed into an integer")),
            (&["port", "70000"], failed("port", "argument must be between 0 and 65535 inclusive")),
            (&["MAXCLIENTS", "0"], failed("maxclients", range)),
            (&["maxclients", "-1"], failed("maxclients", range)),
            (&["maxmemory", "-1"], failed("maxmemory", "argument must be a memory value")),
            (&["maxmemory", "1xb"], failed("maxmemory", "argument must be a memory value")),
            (&["appendonly", "x"], failed("appendonly", "argument must be 'yes' or 'no'")),
            (
                &["appendfsync", "x"],
                failed(
                    "appendfsync",
                    "argument(s) must be one of the following: everysec, always, no",
                ),
            ),
            (&["save", "1"], failed("save", "Invalid save parameters")),
            (&["save", "10  100"], failed("save", "Invalid save parameters")),
            (
                &["oom-score-adj-values", "1"],
                failed("oom-score-adj-values", "wrong number of arguments"),
            ),
            (
                &["client-output-buffer-limit", "x"],
                failed(
                    "client-output-buffer-limit",
                    "Wrong number of arguments in buffer limit configuration.",
                ),
            ),
            (
                &["client-output-buffer-limit", "master 0 0 0"],
                failed(
                    "client-output-buffer-limit",
                    "Invalid client class specified in buffer limit configuration.",
                ),
            ),
            (
                &["client-output-buffer-limit", "normal 0 0 -1"],
                failed(
                    "client-output-buffer-limit",
                    "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
                ),
            ),
            (
                &["maxmemory-clients", "200%"],
                failed("maxmemory-clients", "percentage argument must be less or equal to 100"),
            ),
            (
                &["maxmemory-clients", "x%"],
                failed("maxmemory-clients", "argument must be a memory or percent value"),
            ),
            (
                &["latency-tracking-info-percentiles", "200"],
                failed(
                    "latency-tracking-info-percentiles",
                    "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
                ),
            ),
            (
                &["latency-tracking-info-percentiles", "x"],
                failed(
                    "latency-tracking-info-percentiles",
                    "Invalid latency-tracking-info-percentiles parameters",
                ),
            ),
            (
                &["notify-keyspace-events", "q"],
                failed(
                    "notify-keyspace-events",
                    "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
                ),
            ),
            (
                &["shutdown-on-sigterm", "x"],
                failed(
                    "shutdown-on-sigterm",
                    "argument(s) must be one of the following: default, save, nosave, now, force",
                ),
            ),
            (
                &["shutdown-on-sigterm", "save nosave"],
                failed(
                    "shutdown-on-sigterm",
                    "shutdown options SAVE and NOSAVE can't be used simultaneously",
                ),
            ),
            (
                &["proc-title-template", "{x}"],
                failed(
                    "proc-title-template",
                    "template format is invalid or contains unknown variables",
                ),
            ),
            (
                &["bind", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"],
                failed("bind", "Too many bind addresses specified."),
            ),
        ];
        let config = Config::default();
        for (arguments, expected) in table {
            let error = try_set(&config, arguments).expect_err("an error").to_string();
            assert_eq!(&error, expected, "{arguments:?}");
        }
        let refused =
            try_set(&config, &["requirepass", "secret"]).expect_err("an error").to_string();
        assert!(refused.starts_with(&failed("requirepass", "not supported yet")), "{refused}");
        assert!(try_set(&config, &["requirepass", "", "maxmemory", "0"]).is_ok());
    }

    #[test]
    fn protected_directives_open_as_configured() {
        let mut config = Config::default();
        let arguments: [&[u8]; 2] = [b"dbfilename", b"a.rdb"];
        for (action, remote, local) in [
            (ProtectedAction::No, false, false),
            (ProtectedAction::Local, false, true),
            (ProtectedAction::Yes, true, true),
        ] {
            config.enable_protected_configs = action;
            assert_eq!(set(&config, &arguments, false).is_ok(), remote);
            assert_eq!(set(&config, &arguments, true).is_ok(), local);
        }
        let error =
            try_set(&config, &["dir", "/elsewhere"]).expect_err("the log stays where it is");
        assert!(error.to_string().ends_with("can't be changed while the server runs"));
        assert!(try_set(&config, &["dir", "./data"]).is_ok());
    }

    #[test]
    fn multiple_arguments_in_one_value() {
        let after = |line: &[&str]| try_set(&Config::default(), line).expect("valid").config;
        assert_eq!(value(&after(&["save", "60 1 3600 5"]), "save"), "60 1 3600 5");
        assert_eq!(value(&after(&["save", ""]), "save"), "");
        assert_eq!(value(&after(&["bind", ""]), "bind"), "");
        let config = after(&["shutdown-on-sigterm", "force nosave"]);
        assert_eq!(value(&config, "shutdown-on-sigterm"), "nosave force");
        let config = after(&["client-output-buffer-limit", "replica 1kb 2k 3"]);
        let expected = "normal 0 0 0 slave 1024 2000 3 pubsub 33554432 8388608 60";
        assert_eq!(value(&config, "client-output-buffer-limit"), expected);
    }

    #[test]
    fn values_are_shown_as_redis_shows_them() {
        let config = Config {
            unixsocketperm: 0o700,
            appendfsync: AppendFsync::Everysec,
            loglevel: LogLevel::Nothing,
            ..Config::default()
        };
        for (name, expected) in [
            ("unixsocketperm", "700"),
            ("appendfsync", "everysec"),
            ("loglevel", "nothing"),
            ("proto-max-bulk-len", "536870912"),
            ("bind", "* -::*"),
            ("latency-tracking-info-percentiles", "50 99 99.9"),
            ("oom-score-adj-values", "0 200 800"),
            ("unixsocket", ""),
            ("replicaof", ""),
            ("list-max-ziplist-size", "-2"),
        ] {
            assert_eq!(value(&config, name), expected, "{name}");
        }
        let set =
            |events| try_set(&config, &["notify-keyspace-events", events]).expect("valid").config;
        for (events, expected) in [("KEA", "AKE"), ("Elg$", "g$lE"), ("mKn", "nKm"), ("", "")] {
            assert_eq!(value(&set(events), "notify-keyspace-events"), expected);
        }
        assert!(set("KEA").notify_keyspace_events.contains('x'));
        assert!(!set("KEA").notify_keyspace_events.contains('m'));
    }

    #[test]
    fn patterns_find_names_and_aliases() {
        let config = Config::default();
        let names = |patterns: &[&str]| -> Vec<String> {
            shown(&config, patterns).into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(&["PORT"]), ["PORT"]);
        assert_eq!(
            names(&["HASH-MAX-*-value"]),
            ["hash-max-listpack-value", "hash-max-ziplist-value"]
        );
        assert_eq!(
            names(&["slave-priority", "*-PRIORITY"]),
            ["slave-priority", "replica-priority"]
        );
        assert_eq!(names(&["port", "por[st]", "none", "none*"]), ["port"]);
        assert!(!names(&["*"]).contains(&"debug-context".to_string()));
        assert_eq!(names(&["debug-context"]), ["debug-context"]);
        assert!(names(&["*"]).len() > 190);
    }

    /// What a test suite of Redis does first: set each directive to the value it has.
    #[test]
    fn every_value_shown_can_be_set() {
        let config = Config { enable_protected_configs: ProtectedAction::Yes, ..Config::default() };
        for (name, value) in shown(&config, &["*"]) {
            match try_set(&config, &[&name, &value]) {
                Ok(pending) => assert!(pending.changes.is_empty(), "{name} {value}"),
                Err(SetError::Failed { cause: SetCause::Immutable, .. }) => {}
                Err(error) => panic!("{name} {value}: {error}"),
            }
        }
    }

    #[test]
    fn secrets_are_known() {
        assert!(
            is_sensitive(b"RequirePass") && is_sensitive(b"primaryauth") && !is_sensitive(b"port")
        );
    }
}
