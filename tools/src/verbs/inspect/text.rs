//! The report for people.

use super::log::Log;
use super::prefixes::Prefix;
use super::report::{ContentsReport, FileReport, Report};
use crate::output::{Failure, Output, Table, bytes, count, counted, duration_ms, time_ms};

/// Prefixes with a smaller share of the memory are not shown.
const SHARE_MIN: f64 = 0.01;
/// So many levels of prefixes are shown, and so many on each.
const LEVELS_MAX: usize = 3;
const PARTS_MAX: usize = 12;
/// Columns of the write rate.
const COLUMNS_MAX: usize = 64;

/// Writes the report.
///
/// # Errors
/// If the output cannot be written.
pub fn write(report: &Report, output: &Output) -> Result<(), Failure> {
    output.line(output.bold(&report.path))?;
    let mut what = report.kind.to_owned();
    if let Some(version) = &report.rdb_version {
        what += &format!(", RDB version {version}");
    }
    if report.is_live == Some(true) {
        what += ", of a running server";
    }
    output.line(format_args!("  {what}"))?;
    if let Some(dataset) = &report.dataset {
        output.line(format_args!("  data set {dataset}"))?;
    }
    for timeline in &report.timelines {
        let begin = count(timeline.begin_lsn);
        output.line(format_args!("  timeline {} from LSN {begin}", timeline.id))?;
    }
    files(&report.files, output)?;
    if let Some(log) = report.log.as_ref().filter(|log| log.frames > 0) {
        frames(log, output)?;
    }
    if let Some(contents) = &report.contents {
        keys(contents, output)?;
    }
    Ok(())
}

fn heading(text: &str, output: &Output) -> Result<(), Failure> {
    output.line("")?;
    output.line(output.bold(text))
}

fn time(ms: u64) -> String {
    time_ms(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

fn files(files: &[FileReport], output: &Output) -> Result<(), Failure> {
    heading("Files", output)?;
    if files.iter().all(|file| file.frames.is_none()) {
        let mut table = Table::new(&["file", "what", ">size"]);
        for file in files {
            table.row([file.name.clone(), file.described(), bytes(file.bytes)]);
        }
        return table.write(output);
    }
    let mut table =
        Table::new(&["file", "what", ">size", ">frames", ">first LSN", ">end LSN", "written", ""]);
    for file in files {
        let frames = file.frames.as_ref();
        let number = |number: Option<u64>| number.map_or(String::new(), count);
        let damaged = frames.map_or(0, |frames| frames.damaged);
        table.row([
            file.name.clone(),
            file.described(),
            bytes(file.bytes),
            number(frames.map(|frames| frames.frames)),
            number(frames.and_then(|frames| frames.first_lsn)),
            number(frames.and_then(|frames| frames.end_lsn)),
            frames.and_then(|frames| frames.first_time_ms).map_or(String::new(), time),
            match damaged {
                0 => String::new(),
                _ => output.red(&format!("damaged in {}", counted(damaged, "place", "places"))),
            },
        ]);
    }
    table.write(output)
}

fn frames(log: &Log, output: &Output) -> Result<(), Failure> {
    heading("Log", output)?;
    let (commands, size) = (counted(log.commands, "command", "commands"), bytes(log.bytes));
    let frames = counted(log.frames, "frame of commands", "frames of commands");
    let markers = counted(log.markers, "marker", "markers");
    output.line(format_args!("  {commands}, {size}"))?;
    output.line(format_args!("  {frames}, {markers}"))?;
    if log.lost > 0 {
        let lost = counted(log.lost, "frame", "frames");
        output.line(format_args!("  {lost} about what a repair could not save"))?;
    }
    if log.lz4.frames > 0 {
        let (stored, raw) = (log.lz4.stored_bytes, log.lz4.raw_bytes);
        output.line(format_args!(
            "  {} of them compressed with LZ4: {} as {}, {:.2} : 1",
            count(log.lz4.frames),
            bytes(raw),
            bytes(stored),
            raw as f64 / stored.max(1) as f64,
        ))?;
    }
    if let (Some(first), Some(last)) = (log.first_time_ms, log.last_time_ms) {
        let span = duration_ms(last.saturating_sub(first));
        output.line(format_args!("  written from {} to {}, {span}", time(first), time(last)))?;
    }
    let (columns, column_ms, peak) = rate_line(log);
    if log.rate.buckets.len() > 1 {
        let (peak, span) = (bytes(peak), duration_ms(column_ms));
        output.line(format_args!("  |{columns}|  peak {peak}/s, {span} a column"))?;
    }
    Ok(())
}

/// The write rate as a line of blocks; how long one of them is, and bytes a second of the highest.
fn rate_line(log: &Log) -> (String, u64, u64) {
    let rate = &log.rate;
    let width = rate.buckets.len().div_ceil(COLUMNS_MAX).max(1);
    let sum = |buckets: &[super::log::Bucket]| buckets.iter().map(|bucket| bucket.bytes).sum();
    let sums: Vec<u64> = rate.buckets.chunks(width).map(sum).collect();
    let most = sums.iter().copied().max().unwrap_or(0);
    let column_ms = rate.bucket_ms.saturating_mul(width as u64);
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let block = |sum: u64| {
        let eighths = (sum as f64 / most.max(1) as f64 * 8.0).ceil() as usize;
        BLOCKS[eighths.min(8)]
    };
    let per_second = most as f64 / (column_ms as f64 / 1000.0);
    (sums.into_iter().map(block).collect(), column_ms, per_second as u64)
}

fn keys(contents: &ContentsReport, output: &Output) -> Result<(), Failure> {
    let keys = &contents.keys;
    let title = match &contents.filter {
        Some(filter) => format!("Keys: only {filter}"),
        None => "Keys".to_owned(),
    };
    heading(&title, output)?;
    let (number, size) = (counted(keys.keys, "key", "keys"), bytes(keys.bytes));
    let expiring = counted(keys.expiring, "expires", "expire");
    output.line(format_args!("  {number}, {size} of memory, {expiring}"))?;
    if let Some(lsn) = contents.lsn {
        let as_of = contents.time_ms.map_or(String::new(), |ms| format!(", {}", time(ms)));
        output.line(format_args!("  as of LSN {}{as_of}", count(lsn)))?;
    }
    for (what, number) in contents.skipped.iter().filter(|(_, number)| *number > 0) {
        output.line(format_args!("  passed over: {what}: {}", count(*number)))?;
    }
    let mut table = Table::new(&[">database", ">keys", ">expiring", ">average TTL", ">memory"]);
    for database in &keys.databases {
        table.row([
            database.db.to_string(),
            count(database.keys),
            count(database.expiring),
            database.average_ttl_ms.map_or(String::new(), duration_ms),
            bytes(database.bytes),
        ]);
    }
    table.write(output)?;

    if keys.keys > 0 {
        heading("Types and encodings", output)?;
        let mut table =
            Table::new(&["type", "encoding", ">keys", ">elements", ">memory", ">share"]);
        for group in &keys.encodings {
            table.row([
                group.kind.to_owned(),
                group.encoding.to_owned(),
                count(group.keys),
                group.elements.map_or(String::new(), count),
                bytes(group.bytes),
                percent(group.bytes, keys.bytes),
            ]);
        }
        table.write(output)?;

        heading("Memory by prefix", output)?;
        let mut table = Table::new(&["prefix", ">keys", ">memory", ">share"]);
        prefixes(&keys.prefixes, keys.bytes, 0, &mut table);
        table.write(output)?;

        heading("Time to live", output)?;
        let mut table = Table::new(&["left", ">keys", ">memory", ">share"]);
        for class in keys.lives.iter().filter(|class| class.count > 0) {
            let size = class.bytes.unwrap_or(0);
            table.row([
                class.left.to_owned(),
                count(class.count),
                bytes(size),
                percent(size, keys.bytes),
            ]);
        }
        table.write(output)?;

        heading("Sizes", output)?;
        let mut table = Table::new(&[">from", ">keys", ">memory", ">share"]);
        for class in keys.sizes.iter().filter(|class| class.keys > 0) {
            table.row([
                bytes(class.from_bytes),
                count(class.keys),
                bytes(class.bytes),
                percent(class.bytes, keys.bytes),
            ]);
        }
        table.write(output)?;
    }
    if keys.field_expiry.fields > 0 {
        heading("Fields of hashes that expire", output)?;
        let (fields, hashes) = (keys.field_expiry.fields, keys.field_expiry.hashes);
        let hashes = counted(hashes, "hash", "hashes");
        output.line(format_args!("  {} in {hashes}", count(fields)))?;
        let mut table = Table::new(&["left", ">fields"]);
        for class in keys.field_expiry.lives.iter().filter(|class| class.count > 0) {
            table.row([class.left.to_owned(), count(class.count)]);
        }
        table.write(output)?;
    }
    if !keys.biggest.is_empty() {
        heading("Biggest keys", output)?;
        let mut table =
            Table::new(&[">memory", ">db", "type", "encoding", ">elements", "expires", "key"]);
        for key in &keys.biggest {
            table.row([
                bytes(key.bytes),
                key.db.to_string(),
                key.kind.to_owned(),
                key.encoding.to_owned(),
                key.elements.map_or(String::new(), count),
                key.expiry_ms.map_or(String::new(), time_ms),
                key.key.to_string(),
            ]);
        }
        table.write(output)?;
    }
    if !contents.aux.is_empty() {
        heading("Fields of the RDB", output)?;
        let mut table = Table::new(&["name", "value"]);
        for (name, value) in &contents.aux {
            table.row([name.clone(), value.clone()]);
        }
        table.write(output)?;
    }
    if !contents.functions.is_empty() {
        heading("Function libraries", output)?;
        let mut table = Table::new(&["first line", ">source"]);
        for function in &contents.functions {
            table.row([function.first_line.clone(), bytes(function.bytes)]);
        }
        table.write(output)?;
    }
    Ok(())
}

/// A row for a prefix and, indented, for what it consists of.
fn prefixes(prefix: &Prefix, total: u64, level: usize, table: &mut Table) {
    let row = |name: String, keys: u64, size: u64, level: usize| {
        [format!("{}{name}", "  ".repeat(level)), count(keys), bytes(size), percent(size, total)]
    };
    // What all names have in common is worth a row only if that is anything.
    let below = level + usize::from(!prefix.prefix.is_empty());
    if below > level {
        table.row(row(prefix.prefix.clone(), prefix.keys, prefix.bytes, level));
    }
    if below >= LEVELS_MAX || prefix.parts.is_empty() {
        return;
    }
    let is_shown = |part: &&Prefix| part.bytes as f64 >= SHARE_MIN * total as f64;
    let (mut keys, mut size, mut any) = (prefix.keys, prefix.bytes, false);
    for part in prefix.parts.iter().filter(is_shown).take(PARTS_MAX) {
        prefixes(part, total, below, table);
        keys -= part.keys;
        size -= part.bytes;
        any = true;
    }
    if any && size as f64 >= SHARE_MIN * total as f64 {
        table.row(row("(other)".to_owned(), keys, size, below));
    }
}
