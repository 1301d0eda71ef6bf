//! The syntax of `redis.conf`: words and quotes, and loading a file with what it includes.

use super::accepted::WORDS;
use super::arguments::split_arguments;
use super::directives::{self, Config, Flags, Status};
use super::values::{Origin, SavePoints, ValueError};
use super::without_log;
use crate::commands::glob::{self, Case};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Longest line of a configuration file.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// Largest configuration file.
pub const FILE_BYTES_MAX: u64 = 4 << 20;
/// How deep files may include each other.
pub const INCLUDE_DEPTH_MAX: usize = 16;
/// Most files that one configuration reads.
pub const FILES_MAX: usize = 256;
/// What the place of an option is called.
const COMMAND_LINE: &str = "command line";
/// How much of a faulty line an error repeats.
const SHOWN_BYTES_MAX: usize = 256;

/// What is wrong with a configuration.
#[derive(Debug, Error)]
pub enum Problem {
    /// A quote that is not closed.
    #[error("Unbalanced quotes in configuration line")]
    UnbalancedQuotes,
    /// A word that begins no directive.
    #[error("Bad directive or wrong number of arguments")]
    Unknown,
    /// A value that its directive refuses.
    #[error("{0}")]
    Value(#[from] ValueError),
    /// A word that is known and refused.
    #[error("'{word}' is not supported: {reason}")]
    Refused {
        /// The word.
        word: &'static str,
        /// Why it is refused.
        reason: &'static str,
    },
    /// A file that cannot be read.
    #[error("can't open config file '{}': {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Standard input that cannot be read.
    #[error("can't read the configuration from standard input: {0}")]
    Stdin(io::Error),
    /// A file beyond [`FILE_BYTES_MAX`].
    #[error("configuration larger than {FILE_BYTES_MAX} bytes")]
    FileTooLarge,
    /// A line beyond [`LINE_BYTES_MAX`].
    #[error("line longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// Files that include each other beyond [`INCLUDE_DEPTH_MAX`].
    #[error("files include each other more than {INCLUDE_DEPTH_MAX} deep")]
    IncludeTooDeep,
    /// More files than [`FILES_MAX`].
    #[error("more than {FILES_MAX} configuration files")]
    TooManyFiles,
}

/// Where a problem was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, `standard input` or `command line`.
    pub source: String,
    /// The line, from 1.
    pub line: usize,
    /// The line's text, shortened.
    pub text: String,
}

/// A configuration that cannot be used, in the words that Redis has for it.
#[derive(Debug)]
pub struct LoadError {
    /// Where; unknown if the first file cannot be read.
    pub place: Option<Place>,
    /// What.
    pub problem: Problem,
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(formatter, "\n*** FATAL CONFIG FILE ERROR (Mainstay {version}) ***")?;
        if let Some(Place { source, line, text }) = &self.place {
            writeln!(formatter, "Reading the configuration file, at line {line} ({source})")?;
            writeln!(formatter, ">>> '{text}'")?;
        }
        write!(formatter, "{}", self.problem)
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.problem)
    }
}

/// Where a configuration comes from; what is later in this list overrides what is earlier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Whether standard input holds more of it.
    pub stdin: bool,
    /// The options of the command line, one directive a line.
    pub options: Vec<u8>,
}

/// A configuration, and what its reader should be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that `CONFIG REWRITE` writes, as an absolute path.
    pub file: Option<PathBuf>,
    /// One line for each directive that was given another value than its default and has no effect.
    pub notes: Vec<String>,
    /// Whether a line or option says whether there is a log.
    pub states_appendonly: bool,
    /// Without a log: what is durable then and what is not, in one sentence.
    pub durability: Option<String>,
    /// Whether a line says how long the log keeps files that were replaced.
    pub retention_given: bool,
}

/// Where directives were set last: a line of a file, or the command line.
pub(super) type Places = HashMap<&'static str, String>;

/// Reads a whole configuration. Nothing but the files is touched: no directory is entered and no log
/// file opened, so that a configuration can be tested beside a running server.
pub fn load(sources: &Sources, stdin: &mut dyn Read) -> Result<Loaded, LoadError> {
    let no_place = |problem| LoadError { place: None, problem };
    let mut loader = Loader::default();
    let mut file = None;
    if let Some(path) = &sources.file {
        let absolute = std::path::absolute(path);
        let absolute =
            absolute.map_err(|source| no_place(Problem::Open { path: path.clone(), source }))?;
        loader.read_file(&absolute).map_err(|problem| match problem {
            Failure::Here(problem) => no_place(problem),
            Failure::Placed(error) => error,
        })?;
        file = Some(absolute);
    }
    if sources.stdin {
        let text = read_bounded(stdin, Problem::Stdin).map_err(no_place)?;
        loader.read_text(&text, "standard input")?;
    }
    loader.read_text(&sources.options, COMMAND_LINE)?;

    let mut notes = Vec::new();
    for directive in directives::DIRECTIVES {
        if let Status::Kept(reason) = directive.status
            && loader.places.contains_key(directive.name)
            && !directive.is_default(&loader.config)
        {
            let is_secret = directive.flags.has(Flags::SENSITIVE);
            let value = if is_secret { "…".into() } else { directive.get(&loader.config) };
            notes.push(format!("'{} {value}' has no effect: {reason}", directive.name));
        }
    }
    let (config, places) = loader.finish();
    let durability = without_log::durability(&config, &places);
    let states_appendonly = places.contains_key("appendonly");
    let retention = ["log-retention-time", "log-retention-size"];
    let retention_given = retention.iter().any(|name| places.contains_key(name));
    Ok(Loaded { config, file, notes, states_appendonly, durability, retention_given })
}

/// Reads a configuration from text alone, as if it were a file.
pub fn load_text(text: &[u8]) -> Result<Loaded, LoadError> {
    let sources = Sources { options: text.to_vec(), ..Sources::default() };
    load(&sources, &mut io::empty())
}

/// What a file sets whose text is `text`, with what it includes.
pub(super) struct Given {
    /// The configuration that a start with this file alone has.
    pub config: Config,
    /// Directives that included files set.
    pub included: HashSet<&'static str>,
}

/// Reads what a file sets. Lines of its own that cannot be read are passed over; those of files
/// that it includes are not.
pub(super) fn given_by(text: &[u8]) -> Result<Given, LoadError> {
    let (mut own, mut included) = (Loader::default(), Loader::default());
    for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        let words = if line.starts_with(b"#") { None } else { split_arguments(line) };
        let is_include = words.as_ref().and_then(|words| words.first());
        if !is_include.is_some_and(|word| word.eq_ignore_ascii_case(b"include")) {
            let before = own.config.clone();
            if own.read_text(line, "").is_err() {
                // It may have been set in part.
                own.config = before;
            }
            continue;
        }
        included.read_text(line, "")?;
        own.read_text(line, "")?;
    }
    let included = included.places.into_keys().collect();
    Ok(Given { config: own.finish().0, included })
}

fn read_bounded(
    from: &mut dyn Read,
    failed: impl FnOnce(io::Error) -> Problem,
) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::new();
    match from.take(FILE_BYTES_MAX + 1).read_to_end(&mut text) {
        Err(error) => Err(failed(error)),
        Ok(_) if text.len() as u64 > FILE_BYTES_MAX => Err(Problem::FileTooLarge),
        Ok(_) => Ok(text),
    }
}

/// A failure that either gets its place from the line that led to it, or has one already.
enum Failure {
    Here(Problem),
    Placed(LoadError),
}

impl<P: Into<Problem>> From<P> for Failure {
    fn from(problem: P) -> Self {
        Failure::Here(problem.into())
    }
}

#[derive(Default)]
struct Loader {
    config: Config,
    places: Places,
    files: usize,
    depth: usize,
}

impl Loader {
    /// The configuration, once everything is read.
    fn finish(self) -> (Config, Places) {
        let Self { mut config, places, .. } = self;
        if !config.appendonly && !places.contains_key("save") {
            // A Redis that such a file was written for saves by itself. Without a log that is all
            // there is.
            config.save = SavePoints::of_redis();
        }
        (config, places)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Failure> {
        self.files += 1;
        if self.files > FILES_MAX {
            return Err(Problem::TooManyFiles.into());
        }
        let failed = |source| Problem::Open { path: path.into(), source };
        let mut file = std::fs::File::open(path).map_err(failed)?;
        let text = read_bounded(&mut file, failed)?;
        self.read_text(&text, &path.display().to_string()).map_err(Failure::Placed)
    }

    fn read_text(&mut self, text: &[u8], source: &str) -> Result<(), LoadError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let read = self.read_line(line.trim_ascii()).map_err(|failure| match failure {
                Failure::Placed(error) => error,
                Failure::Here(problem) => LoadError {
                    place: Some(Place {
                        source: source.into(),
                        line: index + 1,
                        text: shown(line.trim_ascii()),
                    }),
                    problem,
                },
            })?;
            if let Some(name) = read {
                let place = match source {
                    COMMAND_LINE => format!("the {COMMAND_LINE}"),
                    file => format!("{file}, line {}", index + 1),
                };
                self.places.insert(name, place);
            }
        }
        Ok(())
    }

    /// Reads a line; gives the directive that it sets.
    fn read_line(&mut self, line: &[u8]) -> Result<Option<&'static str>, Failure> {
        if line.len() > LINE_BYTES_MAX {
            return Err(Problem::LineTooLong.into());
        }
        if line.starts_with(b"#") {
            return Ok(None);
        }
        let arguments = split_arguments(line).ok_or(Problem::UnbalancedQuotes)?;
        let Some((word, arguments)) = arguments.split_first() else { return Ok(None) };
        if let Some((directive, _)) = directives::find(word) {
            let repeated = self.places.contains_key(directive.name);
            let origin = if repeated { Origin::Repeated } else { Origin::File };
            let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            directive.set_from_line(&mut self.config, &arguments, origin)?;
            return Ok(Some(directive.name));
        }
        if word.eq_ignore_ascii_case(b"include")
            && let [path] = arguments
        {
            return self.include(path).map(|()| None);
        }
        match WORDS.iter().find(|known| known.name.as_bytes().eq_ignore_ascii_case(word)) {
            Some(known) if known.ignored && arguments.len() == 1 => Ok(None),
            Some(known) if !known.ignored => {
                Err(Problem::Refused { word: known.name, reason: known.reason }.into())
            }
            _ => Err(Problem::Unknown.into()),
        }
    }

    /// Reads a file, or every file that matches a pattern, of which there may be none.
    fn include(&mut self, path: &[u8]) -> Result<(), Failure> {
        if self.depth == INCLUDE_DEPTH_MAX {
            return Err(Problem::IncludeTooDeep.into());
        }
        use std::os::unix::ffi::OsStrExt;
        let given = Path::new(std::ffi::OsStr::from_bytes(path));
        let paths = if glob::is_pattern(path) { expand(given)? } else { vec![given.into()] };
        self.depth += 1;
        for path in paths {
            self.read_file(&path)?;
        }
        self.depth -= 1;
        Ok(())
    }
}

/// The existing paths that match a pattern, sorted. A leading dot is matched only by a dot.
fn expand(pattern: &Path) -> Result<Vec<PathBuf>, Problem> {
    use std::os::unix::ffi::OsStrExt;
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str().as_bytes();
        if !glob::is_pattern(name) {
            found.iter_mut().for_each(|path| path.push(component));
            continue;
        }
        let mut next = Vec::new();
        for directory in &found {
            let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
            // What is no directory, or cannot be read, matches nothing, as with a shell.
            let Ok(entries) = std::fs::read_dir(listed) else { continue };
            for entry in entries.flatten() {
                let file_name = entry.file_name();
                let hidden = file_name.as_bytes().starts_with(b".") && !name.starts_with(b".");
                if !hidden && glob::matches(name, file_name.as_bytes(), Case::Sensitive) {
                    next.push(directory.join(file_name));
                }
                if next.len() > FILES_MAX {
                    return Err(Problem::TooManyFiles);
                }
            }
        }
        found = next;
    }
    found.retain(|path| path.exists());
    found.sort();
    Ok(found)
}

/// A line as an error shows it: without the arguments where they are secret, or may be as nobody
/// knows what they are.
fn shown(line: &[u8]) -> String {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'=';
    let (word, arguments) = line.split_at(line.iter().position(is_end).unwrap_or(line.len()));
    let is_open = word.eq_ignore_ascii_case(b"include")
        || directives::find(word)
            .is_some_and(|(directive, _)| !directive.flags.has(Flags::SENSITIVE));
    match arguments.trim_ascii().is_empty() || is_open {
        true => shortened(line),
        false => format!("{} (what follows is not shown)", shortened(word)),
    }
}

fn shortened(line: &[u8]) -> String {
    match line.get(..SHOWN_BYTES_MAX) {
        Some(start) if line.len() > SHOWN_BYTES_MAX => {
            format!("{}…", String::from_utf8_lossy(start))
        }
        _ => String::from_utf8_lossy(line).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::directives::{DIRECTIVES, Directive};
    use super::super::values::{LogLevel, SavePoint};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(bytes: Vec<u8>) {
            let _ = load_text(&bytes);
        }
    }

    fn config(text: &str) -> Config {
        load_text(text.as_bytes()).unwrap_or_else(|error| panic!("{error}")).config
    }

    #[test]
    fn directives_of_every_kind() {
        let config = config(
            "# a comment\r\n\
             PORT 7000\r\n\
             bind 127.0.0.1 -::1\n\
             unixsocketperm 770\n\
             proto-max-bulk-len 64mb\n\
             loglevel Verbose\n\
             save 900 1\n\
             save 60 1000 10 5\n\
             client-output-buffer-limit slave 1mb 0 0\n\
             logfile \"a\\x42c\"\n\
             slave-priority 7\n\
             shutdown-on-sigterm nosave force\n\
             maxclients 5\n\
             maxclients 6\n",
        );
        assert_eq!(config.port, 7000);
        assert_eq!(config.bind.0, ["127.0.0.1", "-::1"]);
        assert_eq!(config.unixsocketperm, 0o770);
        assert_eq!(config.proto_max_bulk_len, 64 << 20);
        assert_eq!(config.loglevel, LogLevel::Verbose);
        let points = [(900, 1), (60, 1000), (10, 5)];
        assert_eq!(config.save.0, points.map(|(seconds, changes)| SavePoint { seconds, changes }));
        assert_eq!(config.client_output_buffer_limit.replica.hard_bytes, 1 << 20);
        assert_eq!(config.client_output_buffer_limit.pubsub.hard_bytes, 32 << 20);
        assert_eq!(config.logfile, "aBc");
        assert_eq!(config.replica_priority, 7);
        assert_eq!(config.maxclients, 6);
    }

    #[test]
    fn an_empty_save_forgets_the_lines_before_it() {
        assert_eq!(config("save 900 1\nsave \"\"\n").save.0, []);
        assert_eq!(config("save ''\nsave 5 6\n").save.0.len(), 1);
        assert_eq!(config("save \"5 6 7 8\"\n").save.0.len(), 2);
    }

    #[test]
    fn without_a_log_save_points_are_those_of_redis_unless_a_line_says_otherwise() {
        let save = |text: &str| config(text).save;
        let of_redis = SavePoints::of_redis();
        assert_eq!(of_redis.0.len(), 3);
        assert_eq!(save("appendonly no"), of_redis);
        assert_eq!(save("appendonly yes\nappendonly no"), of_redis);
        for text in ["", "appendonly yes", "appendonly no\nsave ''", "save ''\nappendonly no"] {
            assert_eq!(save(text), SavePoints::default(), "{text}");
        }
        assert_eq!(save("appendonly no\nsave 5 6").0.len(), 1);
    }

    #[test]
    fn without_a_log_it_is_said_what_is_durable_and_which_line_makes_it_so() {
        let said = |text: &str| load_text(text.as_bytes()).expect("valid").durability;
        assert_eq!(said("appendonly yes\nsave 5 6"), None);
        assert_eq!(said(""), None);
        let text = said("appendonly no").expect("a sentence");
        for words in [
            "'appendonly no' (the command line)",
            "'save 3600 1 300 100 60 10000' (the default of a Redis)",
            "since the last RDB file is lost",
            "'appendonly yes' there",
        ] {
            assert!(text.contains(words), "no {words:?} in {text}");
        }
        let text = said("appendonly no\nsave ''").expect("a sentence");
        for words in ["'appendonly no' and 'save \"\"' (both the command line)", "is lost when"] {
            assert!(text.contains(words), "no {words:?} in {text}");
        }
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.conf");
        std::fs::write(&path, "port 1\nappendonly no\n\nsave 9 1\n").expect("written");
        let sources = Sources { file: Some(path.clone()), ..Sources::default() };
        let text = load(&sources, &mut io::empty()).expect("valid").durability.expect("said");
        for line in [2, 4] {
            let place = format!("({}, line {line})", path.display());
            assert!(text.contains(&place), "no {place:?} in {text}");
        }
    }

    #[test]
    fn faults_name_their_line() {
        let table = [
            ("nope 1", "Bad directive or wrong number of arguments"),
            ("include", "Bad directive or wrong number of arguments"),
            ("port \"1", "Unbalanced quotes in configuration line"),
            ("port", "wrong number of arguments"),
            ("port 1 2", "wrong number of arguments"),
            ("port x", "argument couldn't be parsed into an integer"),
            ("port 01", "argument couldn't be parsed into an integer"),
            ("port 65536", "argument must be between 0 and 65535 inclusive"),
            ("unixsocketperm 888", "argument couldn't be parsed as an octal number"),
            ("unixsocketperm 1000", "argument must be between 0 and 777 inclusive"),
            ("maxmemory 1tb", "argument must be a memory value"),
            (
                "proto-max-bulk-len 1",
                "argument must be between 1048576 and 9223372036854775807 inclusive",
            ),
            ("proto-max-bulk-len 99999999999gb", "argument must be a memory value"),
            ("maxmemory-clients 101%", "percentage argument must be less or equal to 100"),
            ("maxmemory-clients x", "argument must be a memory or percent value"),
            ("daemonize 1", "argument must be 'yes' or 'no'"),
            ("appendfsync x", "argument(s) must be one of the following: everysec, always, no"),
            (
                "shutdown-on-sigint",
                "argument(s) must be one of the following: default, save, nosave, now, force",
            ),
            ("save 1", "Invalid save parameters"),
            ("save 0 1", "Invalid save parameters"),
            ("replicaof 127.0.0.1 abc", "Invalid master port"),
            ("replicaof a", "wrong number of arguments"),
            ("dbfilename a/b", "dbfilename can't be a path, just a filename"),
            ("logfile \"\\xff\"", "argument must be valid UTF-8 without NUL bytes"),
            ("log-segment-size 1kb", "argument must be between 65536 and 68719476736 inclusive"),
        ];
        for (line, expected) in table {
            let error = load_text(format!("# one\n\n  {line}\n").as_bytes()).expect_err(line);
            assert_eq!(error.problem.to_string(), expected, "{line}");
            let place = error.place.as_ref().expect("a place");
            let shown = if line == "nope 1" { "nope (what follows is not shown)" } else { line };
            assert_eq!((place.line, place.text.as_str()), (3, shown));
            assert_eq!(
                error.to_string(),
                format!(
                    "\n*** FATAL CONFIG FILE ERROR (Mainstay {}) ***\n\
                     Reading the configuration file, at line 3 (command line)\n>>> '{shown}'\n{expected}",
                    env!("CARGO_PKG_VERSION")
                )
            );
        }
    }

    #[test]
    fn features_to_come_are_refused_unless_off() {
        for line in [
            "requirepass secret",
            "masterauth secret",
            "primaryauth secret",
            "user alice on",
            "tls-port 6390",
            "tls-cert-file a.pem",
            "aclfile users.acl",
            "maxmemory 1gb",
            "maxmemory-clients 5%",
            "replicaof 127.0.0.1 6379",
            "slaveof 127.0.0.1 6379",
            "rename-command CONFIG \"\"",
            "loadmodule a.so",
            "cluster-enabled yes",
            "min-replicas-to-write 1",
            "unixsocketgroup wheel",
            "sentinel monitor a 127.0.0.1 1 1",
        ] {
            let error = load_text(line.as_bytes()).expect_err(line).problem.to_string();
            assert!(error.contains("not supported"), "{line}: {error}");
        }
        for line in [
            "requirepass \"\"",
            "tls-port 0",
            "tls-auth-clients yes",
            "maxmemory 0",
            "replicaof no one",
            "cluster-enabled no",
            "min-slaves-to-write 0",
            "aclfile ''",
            "lua-replicate-commands yes",
        ] {
            assert_eq!(config(line), Config::default(), "{line}");
        }
    }

    #[test]
    fn no_error_shows_a_secret() {
        let secrets = DIRECTIVES.iter().filter(|directive| directive.flags.has(Flags::SENSITIVE));
        let names = secrets.flat_map(Directive::names);
        let words = ["user", "rename-command", "sentinel", "requirepas", "\"requirepass\""];
        let mut count = 0;
        for name in names.chain(words) {
            for line in [
                format!("{name} hunter2"),
                format!("{name} a hunter2"),
                format!("{} 'hunter2' on >hunter2", name.to_uppercase()),
                format!("{name} \"hunter2"),
                format!("{name}=hunter2"),
                format!("{name}\thunter2 x"),
            ] {
                let error = load_text(line.as_bytes()).expect_err(&line).to_string();
                assert!(!error.contains("hunter2"), "{line}: {error}");
                assert!(error.contains(">>> '"), "{line}: {error}");
                count += 1;
            }
        }
        assert!(count > 60, "{count}");
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let loaded = load_text(b"activedefrag yes\nhz 20\ndynamic-hz yes\n").expect("valid");
        assert_eq!(loaded.notes.len(), 1, "{:?}", loaded.notes);
        assert!(loaded.notes[0].starts_with("'activedefrag yes' has no effect: "));
    }

    #[test]
    fn files_include_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("written");
        std::fs::create_dir(path("conf.d")).expect("created");
        let root = dir.path().display();
        write(
            "main.conf",
            &format!(
                "port 1\ninclude {root}/conf.d/*.conf\ninclude {root}/none/*.conf\ntimeout 9\n"
            ),
        );
        write("conf.d/10.conf", "port 10\ntimeout 5\n");
        write("conf.d/20.conf", "port 20\n");
        write("conf.d/.hidden.conf", "port 30\n");
        write("conf.d/30.txt", "port 40\n");
        let sources = Sources {
            file: Some(path("main.conf")),
            stdin: true,
            options: b"maxclients 3".to_vec(),
        };
        let loaded = load(&sources, &mut &b"maxclients 2\nhz 33"[..]).expect("valid");
        assert_eq!((loaded.config.port, loaded.config.timeout), (20, 9));
        assert_eq!((loaded.config.maxclients, loaded.config.hz), (3, 33));
        assert_eq!(loaded.file, Some(path("main.conf")));

        write("conf.d/20.conf", "port 20\nport x\n");
        let place = load(&sources, &mut io::empty()).expect_err("a fault").place.expect("a place");
        assert!(place.source.ends_with("conf.d/20.conf"));
        assert_eq!(place.line, 2);

        write("conf.d/20.conf", &format!("include {root}/absent.conf"));
        let error = load(&sources, &mut io::empty()).expect_err("a fault");
        assert!(error.to_string().contains("absent.conf': No such file"), "{error}");

        write("conf.d/20.conf", &format!("include {root}/conf.d/20.conf"));
        let error = load(&sources, &mut io::empty()).expect_err("a fault");
        assert!(matches!(error.problem, Problem::IncludeTooDeep), "{error}");
    }

    #[test]
    fn sizes_are_bounded() {
        let line = format!("logfile {}", "x".repeat(LINE_BYTES_MAX));
        assert!(matches!(
            load_text(line.as_bytes()).expect_err("long").problem,
            Problem::LineTooLong
        ));
        let sources = Sources { stdin: true, ..Sources::default() };
        let error = load(&sources, &mut io::repeat(b'#')).expect_err("large");
        assert!(matches!(error.problem, Problem::FileTooLarge));
    }
}
