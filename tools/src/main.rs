//! `mainstay-tool`: looks into the files of a database, verifies, repairs, rewrites, replays and migrates them.
//!
//! | module | holds |
//! |---|---|
//! | `verbs/` | one file, or directory, a verb |
//! | `source/` | what a path leads to: which files, and the keys in them |
//! | `blocks.rs`, `frames.rs`, `payload.rs` | blocks of bases, frames, commands in frames: sound or damaged |
//! | `filter.rs` | which keys a verb is about |
//! | `commands_of.rs` | keys as the commands that make them |
//! | `output/` | what people and machines see: numbers, tables, progress; files that are there whole or not at all |

mod blocks;
mod commands_of;
mod filter;
mod frames;
mod output;
mod payload;
mod source;
mod verbs;

use clap::{CommandFactory, Parser};
use output::{End, Output};
use std::process::ExitCode;
use verbs::Verb;

// The one that the server uses: what values take of memory is then what they take there.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const HELP: &str = "\
Exit codes: each verb has its own, 2 whenever it was not carried out. Besides:
  130  interrupted; what was not whole is removed
  141  the reader of the standard output closed it, as with `| head`; the result is unknown";

/// Looks into the files of a Mainstay database, verifies, repairs, rewrites, replays and migrates them.
///
/// Wherever a PATH is asked for, it may be a directory of Mainstay's (or the one that it lies in), one of its segments
/// or bases, an RDB file of any version, or an append-only file of Redis or Valkey: a single one, or the directory of one in
/// several parts. No verb changes what it reads, unless it says so.
#[derive(Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = HELP)]
struct Arguments {
    #[command(flatten)]
    output: output::Arguments,
    #[command(subcommand)]
    verb: Verb,
}

fn main() -> ExitCode {
    let Arguments { output, verb } = Arguments::parse();
    let output = Output::new(&output);
    output::clean_up_when_interrupted();
    source::allow_many_files();
    match verb {
        Verb::Completions { shell } => {
            let mut command = Arguments::command();
            // It cannot fail in memory; on a stream it panics.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "mainstay-tool", &mut script);
            output.end(output.bytes(&script).map(|()| End::Good))
        }
        verb => output.end(verb.run(&output)),
    }
}
