//! `verify`: checks every checksum and every structure.
//!
//! | file | checks |
//! |---|---|
//! | `data_set.rs` | manifest, headers, which files there are; hands out the rest |
//! | `deep.rs` | whether the commands can be carried out |
//! | `base.rs` | the blocks of a base's RDB, each by itself |
//! | `frames.rs` | the frames of segments and bases |
//! | `redis.rs` | RDB files and append-only files |

mod base;
mod data_set;
mod deep;
mod finding;
mod frames;
mod redis;

pub use data_set::{refuse_manifest, refuse_unopened};
pub use finding::Finding;

use crate::output::{self, End, Failure, Output};
use crate::source;
use clap::Args;
use mainstay::disk::RealDisk;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Checks every checksum and every structure, on all cores.
///
/// Names each damaged range with its file, offset, LSN and time, and the keys that it touches as far as they can be made out.
/// Of a directory that a server has open, what lies below the last LSN known to be durable is checked.
/// With --deep everything is also loaded and carried out, as a start and 'restore' do it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  mainstay-tool verify /var/lib/mainstay
  mainstay-tool verify --deep /var/lib/mainstay
  mainstay-tool verify --json /backup/monday | jq .findings
  mainstay-tool verify dump.rdb appendonly.aof

Exit codes:
  0  sound
  1  damaged, or it ends in an unfinished write
  2  a path cannot be read, or a newer version wrote it; the others are checked all the same

An append-only file has no checksums, nor has an RDB file before version 5: they are
read to their end, and only what breaks their form is found.

Memory: a few MiB a core, the longest value, and on each core a retired segment that
is compressed, whole. With --deep as much as a server with the data.")]
pub struct Arguments {
    /// What to check; `-` is the standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Also executes what is sound. Takes the time and the memory of a server's start.
    #[arg(long)]
    deep: bool,
}

/// What was found out about a path.
#[derive(Default, Serialize)]
pub struct Report {
    /// What it is.
    pub kind: String,
    /// Bytes that were checked.
    pub bytes: u64,
    /// Files that were checked.
    pub files: u64,
    /// Frames that are sound.
    pub frames: u64,
    /// Blocks of bases that are sound.
    pub blocks: u64,
    /// Keys in these.
    pub base_keys: u64,
    /// Everything was also executed.
    pub executed: bool,
    /// What is damaged.
    pub findings: Vec<Finding>,
    /// What is no damage, and worth to be said.
    pub remarks: Vec<String>,
}

/// Does it.
pub fn run(arguments: &Arguments, output: &Output) -> Result<End, Failure> {
    if arguments.paths.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(Failure::new("the standard input can be read once: more than one - was given"));
    }
    let mut end = End::Good;
    for path in &arguments.paths {
        let started = Instant::now();
        let report = match check(path, arguments.deep, output) {
            Ok(report) => report,
            Err(failure) if failure.is_closed() => return Err(failure),
            Err(failure) => {
                // The others may be readable: check them, too.
                end = End::Worst;
                unreadable(path, &failure, output)?;
                continue;
            }
        };
        let took_ms = started.elapsed().as_millis() as u64;
        if !report.findings.is_empty() && end == End::Good {
            end = End::Bad;
        }
        if output.is_json() {
            #[derive(Serialize)]
            struct Verified<'a> {
                path: String,
                sound: bool,
                took_ms: u64,
                #[serde(flatten)]
                report: &'a Report,
            }
            let sound = report.findings.is_empty();
            output.json(&Verified {
                path: path.display().to_string(),
                sound,
                took_ms,
                report: &report,
            })?;
            continue;
        }
        for finding in &report.findings {
            output.line(finding)?;
        }
        for remark in &report.remarks {
            output.remark(remark);
        }
        let verdict = match report.findings.len() as u64 {
            0 => output.green("sound"),
            count => output.red(&output::counted(count, "damaged range", "damaged ranges")),
        };
        let keys = match report.base_keys {
            0 => String::new(),
            keys => format!(" with {}", output::counted(keys, "key", "keys")),
        };
        let per_second = report.bytes * 1000 / took_ms.max(1);
        output.line(format_args!(
            "{}: {}, {}: {verdict} ({}; {} and {}{keys} are sound; {}, {}/s)",
            path.display(),
            report.kind,
            output::counted(report.files, "file", "files"),
            output::bytes(report.bytes),
            output::counted(report.frames, "frame", "frames"),
            output::counted(report.blocks, "block", "blocks"),
            output::duration_ms(took_ms),
            output::bytes(per_second),
        ))?;
    }
    Ok(end)
}

/// Says that a path cannot be read.
fn unreadable(path: &Path, failure: &Failure, output: &Output) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Unreadable<'a> {
        path: String,
        error: &'a str,
    }
    let error = failure.to_string();
    if output.is_json() {
        output.json(&Unreadable { path: path.display().to_string(), error: &error })?;
    }
    output.remark(error);
    Ok(())
}

/// Checks the data set in `dir`, without executing anything.
pub fn data_set(dir: &std::path::Path, output: &Output) -> Result<Report, Failure> {
    data_set::check(&RealDisk, dir, false, output)
}

fn check(path: &std::path::Path, deep: bool, output: &Output) -> Result<Report, Failure> {
    if let Some(dir) = source::data_set_dir(path)? {
        return data_set::check(&RealDisk, &dir, deep, output);
    }
    let source = source::Source::open(path)?;
    let mut report = match source.view() {
        Some(view) => data_set::check_view(view, source.kind().name(), output)?,
        None => redis::check(&source, output)?,
    };
    deep::not_executed(&mut report, "only whole data directories are");
    Ok(report)
}
