//! `replay`: what the log did, and what was there at an earlier moment.
//!
//! | file | holds |
//! |---|---|
//! | `moment` | points in time as people write them |
//! | `selection` | which commands are printed |
//! | `print` | going through the commands of a source |
//! | `printer` | commands, for people and machines |
//! | `restore` | the state of a moment as a directory |

mod moment;
mod print;
mod printer;
mod restore;
mod selection;

use crate::output::{End, Failure, Output};
use crate::source::Source;
use clap::Args;
use mainstay::log::Lsn;
use printer::Format;
use restore::Moment;
use selection::Filters;
use std::path::PathBuf;

/// Prints commands, or restores an earlier moment
///
/// Without --out, prints the commands of a data directory, of one of its segments or bases, or of an append-only file, with LSN (or
/// offset), time and database. Keys that an RDB at the beginning brings are not shown. It needs no more memory than one frame, a
/// compressed segment, or one command of an append-only file takes. Damaged frames are named and passed over.
///
/// With --out, writes what a data directory held at an earlier moment as a directory that a server starts on. The earliest moment
/// is the beginning of the oldest base that is kept ('log-retention-time', 'log-retention-size'). All keys are held in memory.
///
/// On the directory of a running server, both end where its log is known to be durable.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// What to read; - is the standard input
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Prints commands, which is what is done without --out
    #[arg(long, conflicts_with = "out")]
    print: bool,
    #[command(flatten, next_help_heading = "Printing")]
    filters: Filters,
    /// How commands are printed; --json means json
    #[arg(long, value_enum, conflicts_with = "out", help_heading = "Printing")]
    format: Option<Format>,
    /// Shows long arguments and long commands in full
    #[arg(long, conflicts_with = "out", help_heading = "Printing")]
    full: bool,
    /// Begins with the oldest file that is kept, not with the base in force
    #[arg(long, conflicts_with = "out", help_heading = "Printing")]
    all: bool,
    /// Restores what was there at this time: what was written at it or before
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        requires = "out",
        conflicts_with = "until_lsn",
        help_heading = "Restoring"
    )]
    until_time: Option<String>,
    /// Restores what was there at this LSN: commands and transactions that end at it or below
    #[arg(long, value_name = "LSN", requires = "out", help_heading = "Restoring")]
    until_lsn: Option<Lsn>,
    /// Where to write: a directory, new or empty, or one in which 'mainstay' is
    #[arg(long, value_name = "DIR", conflicts_with = "Filters", help_heading = "Restoring")]
    out: Option<PathBuf>,
    /// What had ten minutes left at that moment has ten minutes left now
    #[arg(long, requires = "out", help_heading = "Restoring")]
    shift_expiry: bool,
}

const HELP: &str = "\
A TIME is 2026-01-31T12:00:00Z, '2026-01-31 12:00:00.123+01:00' (UTC where there is no offset, never the local time zone), a
date, '10m ago', -1h30m, now, or Unix time: in seconds, from 100000000000 on in milliseconds.

Examples:
  mainstay-tool replay /var/lib/mainstay --match 'user:17' --from-time '1h ago'
  mainstay-tool replay /var/lib/mainstay --all --command flushall --command del
  mainstay-tool replay segment-0000000000000004.log --format resp | redis-cli --pipe
  mainstay-tool replay /var/lib/mainstay --until-time '2026-01-31 11:59:00Z' --out /srv/restored
  mainstay-tool replay /var/lib/mainstay --until-lsn 123456 --out /srv/restored --shift-expiry

Human format: LSN, time, database, command. Commands of a transaction are indented between MULTI and EXEC.

RESP format: the commands as a server reads them, SELECT where the database changes, MULTI and EXEC around what belongs together.

JSON lines, one object a command: lsn and end_lsn (of an append-only file: offset, and file if there are several), time_ms (Unix
time in ms, or null), db, transaction (the lsn or offset at which the transaction begins, if it is part of one), args (strings, or
{\"base64\": \"…\"} if they are not UTF-8). What a repair has lost is {\"lost\": {lsn, end_lsn, from_ms, to_ms, keys}}.

Exit codes:
  0  everything that was asked for was printed, or the directory is there, whole
  1  printed, but some of it is damaged or missing, as the standard error says
  2  unreadable, or nothing was restored";

/// Does it.
pub fn run(arguments: &Arguments, output: &Output) -> Result<End, Failure> {
    let moment = match (&arguments.until_time, arguments.until_lsn) {
        (Some(text), _) => {
            let time_ms = moment::parse(text, crate::output::now_ms());
            let named = |reason| Failure::new(format_args!("'{text}': {reason}"));
            Some(Moment::Time(time_ms.map_err(named)?))
        }
        (None, Some(lsn)) => Some(Moment::Lsn(lsn)),
        (None, None) => None,
    };
    if let Some(out) = &arguments.out {
        let Some(moment) = moment else {
            return Err(Failure::new("--out wants --until-time or --until-lsn"));
        };
        let source = Source::open(&arguments.path)?;
        return restore::restore(&source, moment, out, arguments.shift_expiry, output);
    }
    let selection = arguments.filters.selection()?;
    let format = match arguments.format {
        Some(format) => format,
        None if output.is_json() => Format::Json,
        None => Format::Human,
    };
    let source = Source::open(&arguments.path)?;
    print::print(&source, &selection, (format, arguments.full, arguments.all), output)
}
