//! `export`: a copy of what a source holds, for Redis, for pipes and for people.
//!
//! | file | writes |
//! |---|---|
//! | `keys.rs` | where keys come from: once or several times |
//! | `rdb.rs` | RDB files, also those that append-only files begin with |
//! | `json.rs` | JSON lines |
//! | `csv.rs` | a table of key statistics |
//! | `sink.rs` | files and the standard output |

mod csv;
mod json;
mod keys;
mod rdb;
mod sink;

use crate::commands_of::CommandWriter;
use crate::filter::Filter;
use crate::output::{
    End, Failure, Output, Place, bytes, counted, data_set_in, databases_needed, refuse_source,
    write_data_set,
};
use crate::source::{Contents, Skipped, Source};
use clap::{Args, ValueEnum};
use keys::Keys;
use mainstay::keyspace::Entry;
use mainstay::rdb::Target;
use serde::Serialize;
use sink::Sink;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The directory of a multi-part append-only file of Redis, and the names of its parts (the
/// defaults of `appenddirname` and `appendfilename`).
const AOF_DIR: &str = "appendonlydir";
const AOF_BASE: &str = "appendonly.aof.1.base.rdb";
const AOF_INCREMENT: &str = "appendonly.aof.1.incr.aof";
const AOF_MANIFEST: &str = "appendonly.aof.manifest";

/// Writes a copy of what a path holds, for Redis, for pipes and for people
///
/// A running server's directory can be read as well: the copy is what was durable when its files were opened, and where that
/// is, is said. A copy with --format mainstay is the way to back a running server up.
///
/// Keys whose time has passed are copied as they are, except by resp. Function libraries come along whatever keys are chosen.
///
/// From an RDB file or a base, all formats but mainstay are written key by key, in little memory. mainstay, and all formats
/// from other sources, need memory for the whole data set.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// What to read
    #[arg(value_name = "PATH")]
    source: PathBuf,
    /// What to write; - is the standard output, and then there is no report
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// A file that is there is replaced, once the new one is whole; otherwise it is refused. A
    /// directory is never replaced
    #[arg(long)]
    force: bool,
    /// How; guessed from the name if it is not given (.rdb, .aof, .resp, .json, .jsonl, .csv, appendonlydir)
    #[arg(long)]
    format: Option<Format>,
    /// RDB version of rdb, aof and aof-dir: 9 for Redis 5 and later, 10 for 7.0, 11 for 7.2 and Valkey, 12 for 7.4, 80 for
    /// Valkey 9. Without it, 11 for rdb and 10 for aof and aof-dir, or 12 if there is a hash of which fields expire: to
    /// find that out, RDB files and bases are read twice. What 9 has no room for of streams is left out, and said
    #[arg(long, value_name = "N", value_parser = parse_target)]
    rdb_version: Option<Target>,
    #[command(flatten)]
    filter: Filter,
    /// Keys with values of modules are left out and counted; otherwise they are refused
    #[arg(long)]
    skip_modules: bool,
}

const HELP: &str = "\
Formats:
  rdb       an RDB file
  mainstay  a data directory that a server starts on
  aof-dir   an append-only file in several parts: with 'appendonly yes', Redis 7.0 and later
            starts on it
  aof       a single append-only file that begins with an RDB: Redis 7.0 and later read it, and
            5.0 to 6.2 with --rdb-version 9
  resp      the commands that make the keys, for `redis-cli --pipe` to an empty server of
            Redis 7.0 or later; 7.4 if fields of hashes expire
  json      JSON lines: a key a line, with its value
  csv       a table: a key a line, with type, encoding, elements, memory and expiry time

JSON lines:
  {\"db\":0,\"key\":\"k\",\"type\":\"string\",\"expiry_ms\":null,\"value\":\"v\"}
  Bytes that are not UTF-8 are {\"base64\":\"…\"} wherever a string could be. Lists and sets are
  arrays; sorted sets arrays of [member, score], where a score may be \"inf\" or \"-inf\"; hashes
  arrays of {\"field\", \"value\"}, with \"expiry_ms\" where the field expires; streams objects with
  \"entries\", \"last_id\", \"max_deleted_id\", \"entries_added\" and \"groups\". Libraries of
  functions follow as {\"function\":\"source\"}.

Examples:
  mainstay-tool export /var/lib/mainstay --to /backup/monday --format mainstay
  mainstay-tool export /var/lib/mainstay --to dump.rdb --rdb-version 10
  mainstay-tool export dump.rdb --to - --format json --match 'user:*' | jq .key
  mainstay-tool export dump.rdb --to - --format resp | redis-cli --pipe
  mainstay-tool export /var/lib/mainstay --to keys.csv --force

Exit codes:
  0  the copy is there, whole
  2  there is none, and what was at its place is as it was; of what went to the standard
     output, the end is missing";

/// How a copy is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Format {
    Rdb,
    Mainstay,
    AofDir,
    Aof,
    Resp,
    Json,
    Csv,
}

impl Format {
    /// What a name says.
    fn guess(path: &Path) -> Option<Self> {
        if path.file_name()? == AOF_DIR {
            return Some(Self::AofDir);
        }
        Some(match path.extension()?.to_str()? {
            "rdb" => Self::Rdb,
            "aof" => Self::Aof,
            "resp" => Self::Resp,
            "json" | "jsonl" | "ndjson" => Self::Json,
            "csv" => Self::Csv,
            _ => return None,
        })
    }

    /// Whether it is, or begins with, an RDB file.
    fn begins_with_rdb(self) -> bool {
        matches!(self, Self::Rdb | Self::Aof | Self::AofDir)
    }

    /// Whether it is a directory.
    fn is_directory(self) -> bool {
        matches!(self, Self::Mainstay | Self::AofDir)
    }
}

fn parse_target(text: &str) -> Result<Target, String> {
    let target = text.parse().ok().and_then(Target::of_version);
    target.ok_or_else(|| {
        let known = Target::ALL.map(|target| target.version().to_string());
        format!("it is none of {}", known.join(", "))
    })
}

/// What was done, for machines.
#[derive(Serialize)]
struct Report<'a> {
    source: &'a Path,
    target: &'a Path,
    format: Format,
    rdb_version: Option<u16>,
    keys: u64,
    functions: usize,
    bytes: u64,
    lsn: Option<u64>,
    skipped: Skipped,
    remarks: &'a [String],
}

/// What was left out because it could not be kept, for people.
fn left_out(skipped: Skipped) -> impl Iterator<Item = String> {
    skipped.named().map(|what| format!("left out: {what}"))
}

/// What was written.
struct Written {
    keys: u64,
    bytes: u64,
    target: Option<Target>,
    contents: Contents,
}

/// Does it.
pub fn run(arguments: &Arguments, output: &Output) -> Result<End, Failure> {
    let is_stream = arguments.to.as_os_str() == "-";
    let guessed = if is_stream { None } else { Format::guess(&arguments.to) };
    let Some(format) = arguments.format.or(guessed) else {
        let text = "the format cannot be told from the name of the target: give --format";
        return Err(Failure::new(text));
    };
    if is_stream && format.is_directory() {
        return Err(Failure::new("a directory cannot be written to the standard output"));
    }
    if arguments.rdb_version.is_some() && !format.begins_with_rdb() {
        return Err(Failure::new("--rdb-version is for the formats rdb, aof and aof-dir"));
    }
    let source = Source::open(&arguments.source)?;
    if !is_stream {
        refuse_source(&source, &arguments.to)?;
    }
    let written = match format {
        Format::Mainstay => data_set(arguments, &source, output)?,
        Format::AofDir => aof_dir(arguments, &source, output)?,
        _ => {
            let mut sink = Sink::new(&arguments.to, arguments.force)?;
            let (keys, target, contents) = match format {
                Format::Rdb | Format::Aof => {
                    let is_base = format == Format::Aof;
                    rdb(arguments, &source, output, is_base, &mut sink)?
                }
                Format::Resp => commands(arguments, &source, output, &mut sink)?,
                Format::Json => {
                    let (keys, contents) = each(arguments, &source, output, &mut |db, entry| {
                        json::key(&mut sink, db, entry)
                    })?;
                    contents
                        .functions
                        .iter()
                        .try_for_each(|text| json::function(&mut sink, text))?;
                    (keys, None, contents)
                }
                Format::Csv => {
                    csv::head(&mut sink)?;
                    let (keys, contents) = each(arguments, &source, output, &mut |db, entry| {
                        csv::key(&mut sink, db, entry)
                    })?;
                    (keys, None, contents)
                }
                Format::Mainstay | Format::AofDir => unreachable!("they were dealt with before"),
            };
            Written { keys, target, contents, bytes: sink.end()? }
        }
    };
    let Written { keys, bytes: size, target, contents } = written;
    contents.remarks.iter().for_each(|remark| output.remark(remark));
    if is_stream {
        // There is no report that would say it.
        left_out(contents.skipped).for_each(|line| output.remark(line));
        return Ok(End::Good);
    }
    if output.is_json() {
        output.json(&Report {
            source: &arguments.source,
            target: &arguments.to,
            format,
            rdb_version: target.map(Target::version),
            keys,
            functions: contents.functions.len(),
            bytes: size,
            lsn: contents.lsn,
            skipped: contents.skipped,
            remarks: &contents.remarks,
        })?;
    } else {
        let version =
            target.map_or(String::new(), |target| format!(", RDB version {}", target.version()));
        output.line(format_args!(
            "{}: {}, {}, {}{version}",
            arguments.to.display(),
            counted(keys, "key", "keys"),
            counted(contents.functions.len() as u64, "function library", "function libraries"),
            bytes(size)
        ))?;
        left_out(contents.skipped).try_for_each(|line| output.line(line))?;
    }
    Ok(End::Good)
}

/// Refuses what would not be whole, unless that is what is asked for.
fn refuse_modules(arguments: &Arguments, contents: &Contents) -> Result<(), Failure> {
    if contents.skipped.module_keys == 0 || arguments.skip_modules {
        return Ok(());
    }
    Err(Failure::new(format_args!(
        "{}: {}, which cannot be copied (--skip-modules leaves them out)",
        arguments.source.display(),
        contents.skipped.modules_have_values()
    )))
}

/// Visits each key that is asked for, once. Gives their number.
fn each(
    arguments: &Arguments,
    source: &Source,
    output: &Output,
    visit: &mut dyn FnMut(u32, Entry<'_>) -> Result<(), Failure>,
) -> Result<(u64, Contents), Failure> {
    let mut keys = 0;
    let contents = source.keys(output, &mut |db, entry| {
        if !arguments.filter.takes(db, entry) {
            return Ok(());
        }
        keys += 1;
        visit(db, entry)
    })?;
    refuse_modules(arguments, &contents)?;
    Ok((keys, contents))
}

fn rdb(
    arguments: &Arguments,
    source: &Source,
    output: &Output,
    is_base: bool,
    sink: &mut dyn Write,
) -> Result<(u64, Option<Target>, Contents), Failure> {
    let mut keys = Keys::new(source, &arguments.filter, output)?;
    let target = match arguments.rdb_version {
        Some(target) => target,
        // Redis 7.0 is the first to have the parts of `aof-dir`.
        None => rdb::target_for(&mut keys, if is_base { Target::V10 } else { Target::V11 })?,
    };
    let mut writer = rdb::Writer::new(sink, target, is_base);
    let (mut number, mut lessened) = (0, 0);
    let mut contents = keys.each(&mut |db, entry| {
        number += 1;
        lessened += u64::from(rdb::is_lessened(entry.value(), target));
        writer.key(db, entry)
    })?;
    if lessened > 0 {
        contents.remarks.push(format!(
            "{}: RDB version {} has no room for what {} of entries added, deleted and read by groups; a Redis that \
             reads it guesses",
            arguments.to.display(),
            target.version(),
            counted(lessened, "stream knows", "streams know")
        ));
    }
    refuse_modules(arguments, &contents)?;
    contents.functions.iter().try_for_each(|source| writer.function(source))?;
    writer.end()?;
    Ok((number, Some(target), contents))
}

fn commands(
    arguments: &Arguments,
    source: &Source,
    output: &Output,
    sink: &mut dyn Write,
) -> Result<(u64, Option<Target>, Contents), Failure> {
    let mut writer = CommandWriter::new(sink);
    let now_ms = crate::output::now_ms();
    let mut gone = 0;
    let (keys, contents) = each(arguments, source, output, &mut |db, entry| {
        if entry.expiry_ms().is_some_and(|at| at < now_ms) {
            gone += 1;
            return Ok(());
        }
        Ok(writer.key(db, entry)?)
    })?;
    contents.functions.iter().try_for_each(|source| writer.function(source))?;
    writer.end()?;
    Ok((keys - gone, None, contents))
}

/// A directory that a server starts on.
fn data_set(arguments: &Arguments, source: &Source, output: &Output) -> Result<Written, Failure> {
    let place = data_set_in(&arguments.to)?;
    let filter = &arguments.filter;
    let (engine, mut contents) = source.load(output)?;
    refuse_modules(arguments, &contents)?;
    let mut guard = engine.lock();
    if !filter.is_open() {
        guard.retain(&mut |db, entry| filter.takes(db, entry));
    }
    let keys = guard.keyspace().databases().map(|(_, database)| database.len() as u64).sum();
    drop(guard);
    contents.remarks.extend(databases_needed(&engine));
    let bytes = write_data_set(&engine, place)?;
    Ok(Written { keys, bytes, target: None, contents })
}

/// A directory that a Redis starts on.
fn aof_dir(arguments: &Arguments, source: &Source, output: &Output) -> Result<Written, Failure> {
    let place = Place::new(&arguments.to, AOF_DIR)?;
    let dir = place.path();
    let mut base = Sink::plain(&dir.join(AOF_BASE))?;
    let (keys, target, contents) = rdb(arguments, source, output, true, &mut base)?;
    let bytes = base.end()?;
    Sink::plain(&dir.join(AOF_INCREMENT))?.end()?;
    let mut manifest = Sink::plain(&dir.join(AOF_MANIFEST))?;
    writeln!(manifest, "file {AOF_BASE} seq 1 type b")?;
    writeln!(manifest, "file {AOF_INCREMENT} seq 1 type i")?;
    manifest.end()?;
    place.persist()?;
    Ok(Written { keys, bytes, target, contents })
}
