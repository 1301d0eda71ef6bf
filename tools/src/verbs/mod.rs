//! The verbs, one file or directory each.

mod diff;
mod export;
mod import;
mod inspect;
pub mod repair;
mod replay;
mod rewrite;
pub mod verify;

use crate::output::{End, Failure, Output};
use clap::Subcommand;
use clap_complete::Shell;

/// What to do.
#[derive(Subcommand)]
pub enum Verb {
    Inspect(inspect::Arguments),
    Verify(verify::Arguments),
    Repair(repair::Arguments),
    Rewrite(rewrite::Arguments),
    Replay(replay::Arguments),
    Import(import::Arguments),
    Export(export::Arguments),
    Diff(diff::Arguments),
    /// Writes a script that completes verbs and options in a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

impl Verb {
    /// Does it.
    pub fn run(self, output: &Output) -> Result<End, Failure> {
        match self {
            Self::Inspect(arguments) => inspect::run(&arguments, output),
            Self::Verify(arguments) => verify::run(&arguments, output),
            Self::Repair(arguments) => repair::run(&arguments, output),
            Self::Rewrite(arguments) => rewrite::run(&arguments, output),
            Self::Replay(arguments) => replay::run(&arguments, output),
            Self::Import(arguments) => import::run(&arguments, output),
            Self::Export(arguments) => export::run(&arguments, output),
            Self::Diff(arguments) => diff::run(&arguments, output),
            Self::Completions { .. } => Ok(End::Good),
        }
    }
}
