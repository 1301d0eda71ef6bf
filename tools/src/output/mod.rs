//! What people and machines see.
//!
//! Results go to the standard output; progress and remarks to the standard error, so that a pipe gets results only.

mod json_text;
mod names;
mod place;
mod progress;
mod table;
mod target;
mod temporary;
mod units;

pub use json_text::JsonText;
pub use names::{first_names, names};
pub use place::{Place, data_set_in, databases_needed, write_data_set};
pub use progress::Bar;
pub use table::Table;
pub use target::refuse_source;
pub use temporary::{Deferred, Temporary, clean_up_when_interrupted, create_dir, create_file};
pub use units::{bytes, count, counted, duration_ms, escaped, time_ms};

use clap::Args;
use mainstay::env::{Clock, SystemClock};
use serde::Serialize;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// The time, as Unix time in ms.
pub fn now_ms() -> i64 {
    SystemClock::new().unix_ms()
}

/// The exit code if the reader of the standard output is gone, as shells report a process ended by
/// SIGPIPE: 128 and the signal's number.
const CLOSED: u8 = 141;

/// Options of all verbs.
#[derive(Args, Default)]
// Verbs have groups of the same name.
#[group(skip)]
pub struct Arguments {
    /// Writes JSON, for machines.
    #[arg(long, global = true)]
    json: bool,
    /// Shows no progress.
    #[arg(long, short, global = true)]
    quiet: bool,
}

/// How a verb ended that did what it was asked for. What the codes mean is each verb's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Exit code 0.
    Good,
    /// Exit code 1: damaged, something lost, different.
    Bad,
    /// Exit code 2: unreadable, nothing to be saved.
    Worst,
}

/// Why a verb was not carried out: exit code 2, and these words on the standard error.
#[derive(Debug)]
pub struct Failure {
    text: String,
    /// The reader of the standard output is gone, which is no failure of the tool.
    closed: bool,
}

impl Failure {
    /// One with these words.
    pub fn new(text: impl fmt::Display) -> Self {
        Self { text: temporary::with_names(text.to_string()), closed: false }
    }

    /// Whether the cause is only that the reader of the standard output is gone.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// For `map_err`: `doing` something to `what` failed.
    pub fn doing(doing: &'static str, what: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::new(format_args!("{doing} {what} failed: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Writing results failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let closed = error.kind() == io::ErrorKind::BrokenPipe;
        Self { text: format!("writing the output failed: {error}"), closed }
    }
}

/// Where a verb's results and remarks go.
pub struct Output {
    json: bool,
    quiet: bool,
    colour: bool,
}

impl Output {
    /// As the options and the environment have it.
    pub fn new(arguments: &Arguments) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = !plain && !arguments.json && io::stdout().is_terminal();
        Self { json: arguments.json, quiet: arguments.quiet, colour }
    }

    /// Whether machines read it.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// `text`, emphasised where that can be seen.
    pub fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }

    /// `text` in the colour of what is well.
    pub fn green(&self, text: &str) -> String {
        self.styled("32", text)
    }

    /// `text` in the colour of what is not.
    pub fn red(&self, text: &str) -> String {
        self.styled("31", text)
    }

    fn styled(&self, style: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Writes a result for machines, on a line of its own.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let text = serde_json::to_string(value).map_err(Failure::new)?;
        Ok(writeln!(out, "{}", temporary::with_names(text))?)
    }

    /// Writes a line of a result for people.
    pub fn line(&self, text: impl fmt::Display) -> Result<(), Failure> {
        let text = temporary::with_names(text.to_string());
        Ok(writeln!(io::stdout().lock(), "{text}")?)
    }

    /// Writes a result as it is, for a program.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// Says something beside the results.
    pub fn remark(&self, text: impl fmt::Display) {
        // If it cannot be written, nothing else can be done.
        let text = temporary::with_names(text.to_string());
        let _ = writeln!(io::stderr().lock(), "mainstay-tool: {text}");
    }

    /// A progress bar over so many bytes; it shows on a terminal only.
    pub fn bar(&self, doing: &'static str, total_bytes: u64) -> Bar {
        let shown = !self.quiet && !self.json && io::stderr().is_terminal();
        Bar::new(doing, total_bytes, shown)
    }

    /// The exit code, after the last words.
    pub fn end(&self, ended: Result<End, Failure>) -> ExitCode {
        match ended {
            Ok(End::Good) => ExitCode::SUCCESS,
            Ok(End::Bad) => ExitCode::from(1),
            Ok(End::Worst) => ExitCode::from(2),
            // What was found cannot have been said, so the code says nothing of it either.
            Err(Failure { closed: true, .. }) => ExitCode::from(CLOSED),
            Err(Failure { text, .. }) => {
                if self.json {
                    let _ = self.json(&serde_json::json!({ "error": text }));
                }
                self.remark(text);
                ExitCode::from(2)
            }
        }
    }
}
