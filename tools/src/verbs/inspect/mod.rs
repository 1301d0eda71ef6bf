//! `inspect`: what a path holds.
//!
//! | module | holds |
//! |---|---|
//! | `summary`, `prefixes` | what is gathered of the keys, in bounded memory |
//! | `log` | what is gathered of the log's frames |
//! | `report` | all of it, as JSON has it |
//! | `text`, `html/` | the same for people, and as a page |
//! | `keys` | one line a key instead |

mod html;
mod keys;
mod log;
mod prefixes;
mod report;
mod summary;
mod text;

use crate::filter::Filter;
use crate::output::{self, End, Failure, Output, Temporary, escaped, refuse_source};
use crate::source::{Contents, Kind, Skipped, Source};
use clap::Args;
use mainstay::rdb::file::{HEADER_BYTES, Version};
use report::{ContentsReport, FileReport, FunctionReport, Report, TimelineReport};
use std::io::Write;
use std::path::{Path, PathBuf};
use summary::Gatherer;

/// Names of function libraries and values of fields are shown up to so many bytes.
const SHOWN_BYTES_MAX: usize = 512;

/// Says what a path holds: files, keys, memory, expiries, the log.
///
/// An RDB file, or a base with nothing behind it, is read key by key, in little memory however big it is. Everything else has
/// to be loaded: the keyspace is in memory then. Of a segment by itself only the log is shown.
#[derive(Args)]
#[command(after_help = "\
Examples:
  mainstay-tool inspect data                       what is in a data directory
  mainstay-tool inspect dump.rdb --html dump.html  the same as a page with pictures
  mainstay-tool inspect data --json | jq .contents.biggest
  mainstay-tool inspect data --keys | sort -k4nr | head
  mainstay-tool inspect data --keys --match 'user:*' --type hash

With --keys there is a line for each key: database, type, encoding, bytes of memory, elements, when it expires, name.
What a key or the log does not have is shown as `-`. Memory is what MEMORY USAGE says on a server.

Exit codes: 0 all of it was read; 1 something is damaged or missing, and the rest is shown; 2 nothing can be read.")]
pub struct Arguments {
    /// What to look into; `-` is the standard input.
    path: PathBuf,
    /// Writes one line for each key, and nothing else; with --json a JSON object a line.
    #[arg(long, conflicts_with_all = ["html", "top"])]
    keys: bool,
    /// Writes a page with pictures, which needs no other file and no network; `-` is the standard output.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// A file that is there is replaced by the page; otherwise it is refused.
    #[arg(long, requires = "html")]
    force: bool,
    /// How many of the biggest keys are shown.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(..=10_000))]
    top: u16,
    #[command(flatten)]
    filter: Filter,
}

/// Which keys are counted, in words, if not all are.
fn described(filter: &Filter) -> Option<String> {
    let numbers: Vec<_> = filter.databases.iter().map(u32::to_string).collect();
    let all = [
        (!numbers.is_empty()).then(|| format!("database {}", numbers.join(", "))),
        (!filter.types.is_empty()).then(|| format!("type {}", filter.types.join(", "))),
        filter.pattern.as_ref().map(|pattern| format!("names like {pattern}")),
    ];
    let all: Vec<String> = all.into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Does it.
pub fn run(arguments: &Arguments, output: &Output) -> Result<End, Failure> {
    let to_stdout = arguments.html.as_deref() == Some(Path::new("-"));
    if to_stdout && output.is_json() {
        return Err(Failure::new("the standard output is either for --json or for --html"));
    }
    let source = Source::open(&arguments.path)?;
    let page = match arguments.html.as_deref().filter(|_| !to_stdout) {
        Some(path) => {
            refuse_source(&source, path)?;
            Some((path, Temporary::file(path, arguments.force)?))
        }
        None => None,
    };
    if arguments.keys {
        return keys::write(&source, &arguments.filter, output);
    }
    let (report, is_sound) = gather(arguments, &source, output)?;
    for line in report.errors.iter().chain(&report.remarks) {
        output.remark(line);
    }
    if to_stdout {
        output.bytes(html::page(&report).as_bytes())?;
    }
    if let Some((path, (temporary, mut file))) = page {
        let text = html::page(&report);
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(Failure::doing("writing", path.display()))?;
        temporary.persist()?;
    }
    if output.is_json() {
        output.json(&report)?;
    } else if arguments.html.is_none() {
        text::write(&report, output)?;
    }
    Ok(if is_sound { End::Good } else { End::Bad })
}

/// Everything that is to be said, and whether all of it could be read.
fn gather(
    arguments: &Arguments,
    source: &Source,
    output: &Output,
) -> Result<(Report, bool), Failure> {
    let now_ms = output::now_ms();
    let mut report = Report {
        path: source.path().display().to_string(),
        kind: source.kind().name(),
        inspected_ms: now_ms,
        rdb_version: rdb_version(source),
        is_live: None,
        dataset: None,
        timelines: Vec::new(),
        files: Vec::new(),
        log: None,
        contents: None,
        errors: Vec::new(),
        remarks: Vec::new(),
    };
    let mut is_sound = true;
    if let Some(view) = source.view() {
        let manifest = view.manifest();
        report.dataset =
            Some(manifest.dataset.0.iter().map(|byte| format!("{byte:02x}")).collect());
        report.timelines = manifest
            .timelines
            .iter()
            .map(|it| TimelineReport { id: it.id.to_string(), begin_lsn: it.begin_lsn })
            .collect();
        report.is_live = (source.kind() == Kind::DataSet).then(|| view.is_live());
        let (log, files, errors) = log::read(view, output);
        is_sound = errors.is_empty() && log.damaged == 0;
        report.files = files;
        report.log = Some(log);
        report.errors = errors;
    }
    list_files(source, &mut report.files);

    // A segment by itself has commands, but not the keys that they change.
    if source.kind() != Kind::Segment {
        let mut gatherer = Gatherer::new(now_ms, usize::from(arguments.top));
        let mut seen = 0u64;
        let read = source.keys(output, &mut |db, entry| {
            seen += 1;
            if arguments.filter.takes(db, entry) {
                gatherer.add(db, entry);
            }
            Ok(())
        });
        let contents = match read {
            Ok(contents) => contents,
            // What was seen before the damage is worth more than nothing.
            Err(failure) if seen > 0 || report.log.as_ref().is_some_and(|log| log.frames > 0) => {
                is_sound = false;
                report.errors.push(failure.to_string());
                Contents { aux: source.aux().to_vec(), ..Contents::default() }
            }
            Err(failure) => return Err(failure),
        };
        report.remarks.extend(contents.remarks.iter().cloned());
        if is_sound || seen > 0 {
            report.contents =
                Some(contents_report(contents, described(&arguments.filter), gatherer));
        }
    }
    Ok((report, is_sound))
}

/// Adds lengths to what is known of the files, and files that are not ours.
fn list_files(source: &Source, reports: &mut Vec<FileReport>) {
    for file in source.files() {
        let name = match source.path() == Path::new("-") {
            true => "-".to_owned(),
            false => file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let is_single = matches!(source.kind(), Kind::Segment | Kind::Base);
        match reports.iter_mut().find(|report| is_single || report.name == name) {
            Some(report) => {
                // A file by itself may have any name.
                report.name = name;
                report.bytes = file.bytes;
            }
            None => {
                let (what, bytes) = (file.what.to_owned(), file.bytes);
                reports.push(FileReport { name, what, bytes, ..FileReport::default() });
            }
        }
    }
}

fn contents_report(
    contents: Contents,
    filter: Option<String>,
    gatherer: Gatherer,
) -> ContentsReport {
    let shown = |bytes: &[u8]| escaped(&bytes[..bytes.len().min(SHOWN_BYTES_MAX)]);
    let first_line =
        |source: &[u8]| shown(source.split(|&byte| byte == b'\n').next().unwrap_or(b""));
    let Skipped { empty_keys, module_keys, module_records, failed_commands, ignored_commands } =
        contents.skipped;
    ContentsReport {
        lsn: contents.lsn,
        time_ms: contents.time_ms,
        aux: contents
            .aux
            .iter()
            .map(|(name, value)| (shown(name.as_bytes()), shown(value.as_bytes())))
            .collect(),
        functions: contents
            .functions
            .iter()
            .map(|source| FunctionReport {
                first_line: first_line(source),
                bytes: source.len() as u64,
            })
            .collect(),
        skipped: vec![
            ("empty keys", empty_keys),
            ("keys of modules", module_keys),
            ("records of modules", module_records),
            ("commands that failed", failed_commands),
            ("commands that change no data", ignored_commands),
        ],
        filter,
        keys: gatherer.finish(),
    }
}

/// The version of the RDB that the source is, or begins with.
fn rdb_version(source: &Source) -> Option<String> {
    let mut header = [0; HEADER_BYTES];
    source.rdb()?.read_exact_at(&mut header, 0).ok()?;
    let version = Version::of_header(&header).ok()?;
    Some(match version.dialect {
        mainstay::rdb::Dialect::Redis => version.number.to_string(),
        mainstay::rdb::Dialect::Valkey => format!("{} of Valkey", version.number),
    })
}
