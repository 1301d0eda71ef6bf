//! The command line: a configuration file and directives, as `redis-server` takes them.

use crate::server::config::Sources;
use crate::server::config::arguments::{quote, split_arguments};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Print [`help`].
    Help,
    /// Print [`version`].
    Version,
    /// Read the configuration, say whether it is valid, and end.
    TestConfig(Sources),
    /// Run the server.
    Run(Sources),
}

/// Reads the arguments that follow the program's name.
///
/// Each `--name` begins a directive whose arguments reach to the next one; what comes right after a name
/// is its value even if it begins with dashes, as in `--logfile --odd--name`. The directives are kept as
/// lines of a configuration file, so one parser reads, and one kind of error names, all of them.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Invocation {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut testing = false;
    match arguments.first().map(|first| first.as_bytes()) {
        Some(b"--help" | b"-h") => return Invocation::Help,
        Some(b"--version" | b"-v") => return Invocation::Version,
        Some(b"--test-config" | b"-t") => {
            testing = true;
            arguments.remove(0);
        }
        _ => {}
    }

    let mut sources = Sources::default();
    let mut rest = arguments.as_slice();
    if let [file, after @ ..] = rest
        && !file.as_bytes().starts_with(b"-")
    {
        sources.file = Some(PathBuf::from(file));
        rest = after;
    }
    let file_given = sources.file.is_some();

    let options = &mut sources.options;
    // Whether the directive at hand has its value, so that the next `--` begins another one.
    let mut has_value = true;
    for (index, argument) in rest.iter().enumerate() {
        let next = rest.get(index + 1).map(|next| next.as_bytes());
        let (is_first, is_last) = (index == 0 && !file_given, next.is_none());
        match argument.as_bytes() {
            b"-" if is_first || is_last => sources.stdin = true,
            b"--test-config" if has_value => testing = true,
            [b'-', b'-', name @ ..] if has_value => {
                if !options.is_empty() {
                    options.push(b'\n');
                }
                options.extend_from_slice(name);
                options.push(b' ');
                // A text such as `--port 6380` in one argument brings its value along.
                has_value = split_arguments(name).is_none_or(|words| words.len() != 1);
                // Scripts that build a command line from an empty list leave `--save` without a value.
                let followed = next.is_none_or(|next| next.starts_with(b"--"));
                if name.eq_ignore_ascii_case(b"save") && followed {
                    options.extend_from_slice(b"\"\"");
                    has_value = true;
                }
            }
            value => {
                options.extend_from_slice(quote(value).as_bytes());
                options.push(b' ');
                has_value = true;
            }
        }
    }
    if testing { Invocation::TestConfig(sources) } else { Invocation::Run(sources) }
}

/// The arguments of this process, without the program's name.
pub fn of_process() -> Invocation {
    parse(std::env::args_os().skip(1))
}

/// One line that says what this is.
pub fn version() -> String {
    format!(
        "Mainstay server v={} sha={} malloc=jemalloc bits={}",
        env!("CARGO_PKG_VERSION"),
        option_env!("MAINSTAY_GIT_SHA").unwrap_or("unknown"),
        usize::BITS,
    )
}

/// How to call the server.
pub fn help() -> &'static str {
    "\
Mainstay is a durable database that speaks the Redis protocol.

Usage:
  mainstay-server [FILE] [--DIRECTIVE VALUE...]...
  mainstay-server - [--DIRECTIVE VALUE...]...
  mainstay-server --test-config [FILE] [--DIRECTIVE VALUE...]...

  FILE is a configuration file in the syntax of redis.conf; - reads one from standard
  input. Any directive of such a file can be given as an option, which then overrides
  the file. Without a file, everything has its default: data in ./data, on port 6379,
  and every write on disk before it is acknowledged.

Options:
  -t, --test-config  read the configuration, report the first fault, and end
  -v, --version      print the version
  -h, --help         print this text

Examples:
  mainstay-server
  mainstay-server /etc/mainstay/mainstay.conf
  mainstay-server --port 7000 --dir /srv/data --appendfsync everysec
  mainstay-server mainstay.conf --bind 127.0.0.1 -::1 --loglevel verbose
  mainstay-server --test-config /etc/redis/redis.conf
"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::load;

    fn sources(line: &[&str]) -> Sources {
        match parse(line.iter().map(OsString::from)) {
            Invocation::Run(sources) => sources,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    fn options(line: &[&str]) -> String {
        String::from_utf8(sources(line).options).expect("text")
    }

    #[test]
    fn words_of_their_own() {
        let parsed = |line: &[&str]| parse(line.iter().map(OsString::from));
        assert_eq!(parsed(&["--help"]), Invocation::Help);
        assert_eq!(parsed(&["-h"]), Invocation::Help);
        assert_eq!(parsed(&["--version"]), Invocation::Version);
        assert_eq!(parsed(&["-v"]), Invocation::Version);
        let file = Sources { file: Some("a.conf".into()), ..Sources::default() };
        for line in [
            ["-t", "a.conf"].as_slice(),
            &["--test-config", "a.conf"],
            &["a.conf", "--test-config"],
        ] {
            assert_eq!(parsed(line), Invocation::TestConfig(file.clone()), "{line:?}");
        }
        assert_eq!(parsed(&["a.conf"]), Invocation::Run(file));
        assert!(version().starts_with("Mainstay server v=0."));
        assert!(help().contains("--test-config"));
    }

    #[test]
    fn files_and_standard_input() {
        assert_eq!(sources(&[]), Sources::default());
        assert!(sources(&["-"]).stdin);
        assert!(sources(&["-", "--port", "1"]).stdin);
        let both = sources(&["a.conf", "--port", "1", "-"]);
        assert!(both.stdin && both.file == Some("a.conf".into()) && both.options == b"port \"1\" ");
        assert!(!sources(&["--logfile", "-", "--port", "1"]).stdin);
    }

    #[test]
    fn options_become_lines() {
        let table: &[(&[&str], &str)] = &[
            (&["--port", "6380"], "port \"6380\" "),
            (&["--port 6380", "--hz", "5"], "port 6380 \nhz \"5\" "),
            (
                &["--save", "3600", "1", "60", "2", "--appendonly", "yes"],
                "save \"3600\" \"1\" \"60\" \"2\" \nappendonly \"yes\" ",
            ),
            (&["--save", "--port", "1"], "save \"\"\nport \"1\" "),
            (&["--save"], "save \"\""),
            (&["--save", ""], "save \"\" "),
            (&["--port", "--bla", "--hz", "5"], "port \"--bla\" \nhz \"5\" "),
            (&["--port", "--loglevel", "verbose"], "port \"--loglevel\" \"verbose\" "),
            (&["--logfile", "a b\n\"c"], "logfile \"a b\\n\\\"c\" "),
            (&["--bind", "*", "-::*"], "bind \"*\" \"-::*\" "),
        ];
        for (line, expected) in table {
            assert_eq!(&options(line), expected, "{line:?}");
        }
    }

    #[test]
    fn faults_are_reported_as_in_a_file() {
        let table: &[(&[&str], &str, &str)] = &[
            (&["--invalid"], ">>> 'invalid'", "Bad directive or wrong number of arguments"),
            (&["--port"], ">>> 'port'", "wrong number of arguments"),
            (&["--port", "6380", "--loglevel"], ">>> 'loglevel'", "wrong number of arguments"),
            (
                &["--port", "6379", "6380"],
                ">>> 'port \"6379\" \"6380\"'",
                "wrong number of arguments",
            ),
            (
                &["--port", "--bla"],
                ">>> 'port \"--bla\"'",
                "argument couldn't be parsed into an integer",
            ),
            (
                &["--shutdown-on-sigint"],
                ">>> 'shutdown-on-sigint'",
                "argument(s) must be one of the following",
            ),
            (&["a.conf", "stray"], ">>> '\"stray\"'", "Bad directive or wrong number of arguments"),
        ];
        for (line, text, message) in table {
            let sources = Sources { file: None, ..sources(line) };
            let error = load(&sources, &mut std::io::empty()).expect_err("a fault").to_string();
            assert!(error.contains(text) && error.contains(message), "{line:?}: {error}");
        }
    }

    #[test]
    fn options_set_what_they_say() {
        let line = [
            "--port",
            "6380",
            "--save",
            "3600",
            "1",
            "--bind",
            "127.0.0.1",
            "-::1",
            "--shutdown-on-sigterm",
            "nosave force",
            "--save",
            "",
        ];
        let loaded = load(&sources(&line), &mut std::io::empty()).expect("valid");
        assert_eq!(loaded.config.port, 6380);
        assert_eq!(loaded.config.bind.0, ["127.0.0.1", "-::1"]);
        assert!(loaded.config.save.0.is_empty());
        assert_eq!(loaded.file, None);
    }
}
