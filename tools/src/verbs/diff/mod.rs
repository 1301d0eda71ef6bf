//! `diff`: two data sets, key by key.
//!
//! | file | holds |
//! |---|---|
//! | `side.rs` | what is compared: a source, or a running server; each key as a digest |
//! | `client.rs` | a connection to a server |
//! | `url.rs` | where a server is |
//! | `report.rs` | the differences |

mod client;
mod report;
mod side;
mod url;

use crate::filter::Filter;
use crate::output::{End, Failure, Output, now_ms};
use clap::Args;
use mainstay::data::digest::Digester;
use report::{Difference, Name, Report};
use side::{Found, Look, Side};
use std::collections::{BTreeSet, HashMap};

/// Compares two data sets key by key
///
/// A and B are paths, or running servers by their URLs. Values are compared, not encodings: the same members are the
/// same set. Of streams, entries, what is remembered of deleted ones, groups, consumers and pending entries are
/// compared, and not when consumers were last seen. Keys and fields of hashes whose time has passed are as if they
/// were not there.
///
/// Of each key of A its name and a digest of 128 bits are held in memory. A path that is not an RDB file or a base needs memory
/// for its whole data set while it is read. From a server keys are read with SCAN, DUMP and PEXPIRETIME (PTTL before Redis 7.0) in
/// small portions; concurrent writes may show as differences. Functions are
/// compared if all keys are, except those of servers without FUNCTION DUMP.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// A path or a server
    #[arg(value_name = "A")]
    a: String,
    /// Another one
    #[arg(value_name = "B")]
    b: String,
    #[command(flatten)]
    filter: Filter,
    /// Keys with values of modules in files are left out and counted; otherwise they are refused
    #[arg(long)]
    skip_modules: bool,
    /// Does not look at when keys, and fields of hashes, expire
    #[arg(long)]
    ignore_expiry: bool,
    /// Keys may expire so many ms sooner or later; fields of hashes may not
    #[arg(long, value_name = "MS", default_value_t = 0, conflicts_with = "ignore_expiry")]
    expiry_tolerance: u64,
    /// Shows so many differences; all are counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

const HELP: &str = "\
With --json there is a line for each difference that is shown,
  {\"difference\", \"db\", \"key\", …}
the difference being only-in-a, only-in-b, value, expiry or function. The last line has the
numbers.

Servers:
  redis://[user:password@]host[:port][/database]
  unix:/path/to/socket[?db=database]
With a database, only that one is compared. Escape special characters of passwords with %.

Examples:
  mainstay-tool diff /backup/monday dump.rdb
  mainstay-tool diff /var/lib/mainstay redis://127.0.0.1:6379
  mainstay-tool diff redis://:secret@old:6379/0 unix:/run/mainstay.sock --expiry-tolerance 1000
  mainstay-tool diff a.rdb b.rdb --ignore-expiry --match 'user:*' --json

Exit codes:
  0  both hold the same
  1  they differ
  2  they could not be compared";

/// Without PEXPIRETIME an expiry time is computed from two clock readings.
const PTTL_TOLERANCE_MS: u64 = 1000;

/// Does it.
pub fn run(arguments: &Arguments, output: &Output) -> Result<End, Failure> {
    let begun_ms = now_ms();
    if arguments.a == "-" && arguments.b == "-" {
        return Err(Failure::new("the standard input can be read once: more than one - was given"));
    }
    let sides = [Side::open(&arguments.a)?, Side::open(&arguments.b)?];
    let filter = common_filter(arguments, &sides)?;
    let mut random = mainstay::env::system_random();
    let mut digester = Digester::new((random(), random())).as_of(begun_ms);
    if arguments.ignore_expiry {
        digester = digester.ignoring_field_expiry();
    }
    let skip_modules = arguments.skip_modules;
    let look = Look { output, filter: &filter, digester, now_ms: begun_ms, skip_modules };
    let mut comparison = Comparison {
        known: HashMap::new(),
        other_expiry: Vec::new(),
        report: Report::new(output, arguments.limit),
    };
    let [a, b] = &sides;
    let rest_a = a.visit(&look, &mut |found| {
        comparison.known.insert(found.name(), Known::of(&found));
        Ok(())
    })?;
    comparison.report.keys_a = comparison.known.len() as u64;
    let rest_b = b.visit(&look, &mut |found| comparison.compare(&found))?;
    if !arguments.ignore_expiry {
        let is_guessed = rest_a.expiry_is_guessed || rest_b.expiry_is_guessed;
        let least_ms = if is_guessed { PTTL_TOLERANCE_MS } else { 0 };
        comparison.expiries(arguments.expiry_tolerance.max(least_ms))?;
    }
    comparison.single()?;
    comparison.report.skipped_a = rest_a.module_keys;
    comparison.report.skipped_b = rest_b.module_keys;
    rest_a.remarks.iter().chain(&rest_b.remarks).for_each(|remark| output.remark(remark));
    if filter.is_open()
        && let (Some(a), Some(b)) = (rest_a.functions, rest_b.functions)
    {
        comparison.functions(a, b)?;
    }
    comparison.report.end()
}

/// What is known of a key.
struct Known {
    digest: u128,
    expiry_ms: Option<i64>,
    kind: &'static str,
    in_a: bool,
    in_b: bool,
}

impl Known {
    /// As A has it.
    fn of(found: &Found<'_>) -> Self {
        let &Found { digest, expiry_ms, kind, .. } = found;
        Self { digest, expiry_ms, kind, in_a: true, in_b: false }
    }
}

/// Both sides, key by key.
struct Comparison<'a> {
    known: HashMap<Name, Known>,
    /// Keys with the same value and another expiry time, which may be near enough.
    other_expiry: Vec<(Name, Option<i64>, Option<i64>)>,
    report: Report<'a>,
}

impl Comparison<'_> {
    /// Compares a key of B with what is known of A.
    fn compare(&mut self, found: &Found<'_>) -> Result<(), Failure> {
        let name = found.name();
        let Some(known) = self.known.get_mut(&name) else {
            // What SCAN gives twice is counted once.
            self.known.insert(name, Known { in_a: false, in_b: true, ..Known::of(found) });
            self.report.keys_b += 1;
            return Ok(());
        };
        if known.in_b {
            return Ok(());
        }
        known.in_b = true;
        self.report.keys_b += 1;
        if known.digest != found.digest {
            return self.report.add(&name, Difference::Value(known.kind, found.kind));
        }
        if known.expiry_ms != found.expiry_ms {
            self.other_expiry.push((name, known.expiry_ms, found.expiry_ms));
        }
        Ok(())
    }

    /// Reports expiry times that are further apart than this.
    fn expiries(&mut self, tolerance_ms: u64) -> Result<(), Failure> {
        for (name, a_ms, b_ms) in std::mem::take(&mut self.other_expiry) {
            let is_near = a_ms.zip(b_ms).is_some_and(|(a, b)| a.abs_diff(b) <= tolerance_ms);
            if !is_near {
                self.report.add(&name, Difference::Expiry(a_ms, b_ms))?;
            }
        }
        Ok(())
    }

    /// Reports the keys that only one side has.
    fn single(&mut self) -> Result<(), Failure> {
        // What has expired since it was looked at may have been gone when the other side was.
        let now_ms = now_ms();
        let is_there = |known: &Known| known.expiry_ms.is_none_or(|at| at >= now_ms);
        let single =
            self.known.iter().filter(|(_, known)| known.in_a != known.in_b && is_there(known));
        let mut single: Vec<_> = single.collect();
        single.sort_by_key(|&(name, _)| name);
        for (name, &Known { kind, in_a, .. }) in single {
            let only = if in_a { Difference::OnlyInA(kind) } else { Difference::OnlyInB(kind) };
            self.report.add(name, only)?;
        }
        Ok(())
    }

    /// Reports the libraries of functions that only one side has.
    fn functions(&mut self, a: Vec<Vec<u8>>, b: Vec<Vec<u8>>) -> Result<(), Failure> {
        let (a, b): (BTreeSet<_>, BTreeSet<_>) = (a.into_iter().collect(), b.into_iter().collect());
        a.difference(&b).try_for_each(|source| self.report.add_function(source, true))?;
        b.difference(&a).try_for_each(|source| self.report.add_function(source, false))
    }
}

/// A URL with a database is about that one.
fn common_filter(arguments: &Arguments, sides: &[Side; 2]) -> Result<Filter, Failure> {
    let mut filter = arguments.filter.clone();
    for db in sides.iter().filter_map(Side::database) {
        if !filter.takes_database(db) {
            return Err(Failure::new(format_args!(
                "database {db} of a URL is none of those that --db or the other URL name"
            )));
        }
        filter.databases = vec![db];
    }
    Ok(filter)
}
