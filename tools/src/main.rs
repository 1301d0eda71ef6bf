//! `mainstay-tool`: looks into the files of a database. It has no verbs yet.

use std::process::ExitCode;

const HELP: &str = "\
mainstay-tool looks into the files of a Mainstay database.

Usage:
  mainstay-tool VERB [ARGUMENT...]
  mainstay-tool --help | --version

This version has no verbs.
";

fn main() -> ExitCode {
    let argument = std::env::args_os().nth(1);
    match argument.as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("--version" | "-v") => println!("mainstay-tool {}", env!("CARGO_PKG_VERSION")),
        Some("--help" | "-h") => print!("{HELP}"),
        Some(verb) => {
            eprint!("mainstay-tool: there is no verb '{verb}'\n\n{HELP}");
            return ExitCode::from(2);
        }
        None => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
