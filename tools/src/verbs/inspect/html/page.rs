//! The page, section by section.

use super::super::log::Log;
use super::super::report::{ContentsReport, FileReport, Report};
use super::super::summary::{Database, Encoding, Key, Life, Size, Summary};
use super::{Escaped, charts, percent, short_bytes, tiles};
use crate::output::{bytes, count, counted, duration_ms, time_ms};
use std::fmt::{Display, Write};

const STYLE: &str = include_str!("style.css");

/// The page.
pub fn page(report: &Report) -> String {
    let mut page = Page(String::new());
    page.head(report);
    let keys = report.contents.as_ref().map(|contents| &contents.keys).filter(|keys| keys.keys > 0);
    if let Some(keys) = keys {
        page.keys(keys);
    }
    if let Some(log) = report.log.as_ref().filter(|log| log.frames > 0) {
        page.log(log);
    }
    if let Some(keys) = keys {
        page.biggest(&keys.biggest, report.inspected_ms);
        page.databases(&keys.databases);
    }
    page.files(&report.files);
    if let Some(contents) = &report.contents {
        page.origin(contents);
    }
    page.put(format_args!(
        "<footer>Written by <code>mainstay-tool inspect</code> {}. Sizes are in powers of 1024, times in UTC. Memory is what \
         <code>MEMORY USAGE</code> says of each key.</footer></body></html>\n",
        env!("CARGO_PKG_VERSION")
    ));
    page.0
}

struct Page(String);

/// A point in time, without the milliseconds.
fn moment(ms: u64) -> String {
    let text = time_ms(i64::try_from(ms).unwrap_or(i64::MAX));
    text.split_once('.').map_or(text.clone(), |(seconds, _)| seconds.to_owned())
}

/// A bar as long as the share of `part` in `most`.
fn bar(part: u64, most: u64) -> String {
    let share = 100.0 * part as f64 / most.max(1) as f64;
    format!("<td class=\"b\"><i style=\"width:{share:.1}%\"></i></td>")
}

impl Page {
    fn put(&mut self, html: impl Display) {
        let _ = write!(self.0, "{html}");
    }

    fn section(&mut self, title: &str, text: &str) {
        self.put(format_args!("<section><h2>{title}</h2>"));
        if !text.is_empty() {
            self.put(format_args!("<p>{text}</p>"));
        }
    }

    fn tile(&mut self, name: &str, value: impl Display, beneath: impl Display) {
        let value = Escaped(value);
        self.put(format_args!(
            "<div><dt>{name}</dt><dd>{value}</dd><dd>{}</dd></div>",
            Escaped(beneath)
        ));
    }

    fn head(&mut self, report: &Report) {
        let path = Escaped(&report.path);
        self.put(format_args!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{path}</title><style>{STYLE}</style></head><body><h1>{path}</h1><p>{}",
            Escaped(capital(report.kind)),
        ));
        if let Some(version) = &report.rdb_version {
            self.put(format_args!(", RDB version {}", Escaped(version)));
        }
        if report.is_live == Some(true) {
            self.put(", of a running server");
        }
        let inspected = moment(u64::try_from(report.inspected_ms).unwrap_or(0));
        self.put(format_args!(" · inspected {inspected} UTC"));
        if let Some(filter) = report.contents.as_ref().and_then(|contents| contents.filter.as_ref())
        {
            self.put(format_args!(" · only {}", Escaped(filter)));
        }
        self.put("</p>");
        for error in &report.errors {
            self.put(format_args!("<p class=\"bad\">{}</p>", Escaped(error)));
        }
        for remark in &report.remarks {
            self.put(format_args!("<p>{}</p>", Escaped(remark)));
        }
        self.put("<dl class=\"tiles\">");
        if let Some(contents) = &report.contents {
            let keys = &contents.keys;
            let databases = keys.databases.len();
            let databases = counted(databases as u64, "database", "databases");
            self.tile("Keys", count(keys.keys), format_args!("in {databases}"));
            let average = keys.bytes.checked_div(keys.keys).unwrap_or(0);
            self.tile(
                "Memory",
                bytes(keys.bytes),
                format_args!("{} a key on average", bytes(average)),
            );
            let fields = keys.field_expiry.fields;
            let beneath = match fields {
                0 => counted(keys.expiring, "key", "keys"),
                _ => format!(
                    "{}, {}",
                    counted(keys.expiring, "key", "keys"),
                    counted(fields, "field of a hash", "fields of hashes")
                ),
            };
            self.tile("Expiring", percent(keys.expiring, keys.keys), beneath);
        }
        let on_disk: u64 = report.files.iter().map(|file| file.bytes).sum();
        let files = counted(report.files.len() as u64, "file", "files");
        self.tile("On disk", bytes(on_disk), format_args!("in {files}"));
        if let Some(log) = report.log.as_ref().filter(|log| log.frames > 0) {
            let span = log.first_time_ms.zip(log.last_time_ms);
            let span_ms = span.map_or(0, |(first, last)| last.saturating_sub(first));
            let within = format!("{} in {}", bytes(log.bytes), step_length(span_ms));
            self.tile("Commands in the log", count(log.commands), within);
            let (stored, raw) = log.payload_bytes();
            let ratio = raw as f64 / stored.max(1) as f64;
            let beneath = format!("{} stored as {}", bytes(raw), bytes(stored));
            self.tile("Compression", format_args!("{ratio:.2} : 1"), beneath);
        }
        self.put("</dl>");
    }

    fn keys(&mut self, keys: &Summary) {
        self.section(
            "Memory by prefix",
            "Areas are in proportion to memory. Names are cut behind <code>:</code>, <code>/</code> and <code>|</code>; \
             <code>*</code> stands for numbers, UUIDs and other ids.",
        );
        let treemap = tiles::treemap(&keys.prefixes);
        self.put(format_args!("<div class=\"wide\">{treemap}</div></section>"));

        self.section("Types and encodings", "");
        self.encodings(&keys.encodings, keys.bytes);
        self.put("</section><div class=\"two\"><div>");
        self.section("Sizes of keys", "Memory of a key, in bytes; classes begin at powers of two.");
        let bars: Vec<_> = keys.sizes.iter().map(size_bar).collect();
        self.put(charts::histogram("Sizes of keys", &bars));
        self.put("</section></div><div>");
        self.section("Expiry", "How long keys have yet to live, as of the time of this page.");
        let bars: Vec<_> = keys.lives.iter().map(life_bar).collect();
        self.put(charts::histogram("Expiry", &bars));
        self.put("</section></div></div>");
    }

    fn databases(&mut self, databases: &[Database]) {
        if databases.len() < 2 {
            return;
        }
        self.section("Databases", "");
        self.put(
            "<table><tr><th>Database</th><th class=\"n\">Keys</th><th class=\"n\">Expiring</th>\
             <th class=\"n\">Average time to live</th><th class=\"n\">Memory</th><th></th></tr>",
        );
        let most = databases.iter().map(|database| database.bytes).max().unwrap_or(0);
        for database in databases {
            self.put(format_args!(
                "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>{}</tr>",
                database.db,
                count(database.keys),
                count(database.expiring),
                database.average_ttl_ms.map_or(String::new(), duration_ms),
                bytes(database.bytes),
                bar(database.bytes, most),
            ));
        }
        self.put("</table></section>");
    }

    fn encodings(&mut self, groups: &[Encoding], total: u64) {
        self.put(
            "<table><tr><th>Type</th><th>Encoding</th><th class=\"n\">Keys</th><th class=\"n\">Elements</th>\
             <th class=\"n\">Memory</th><th class=\"n\">Share</th><th></th></tr>",
        );
        let most = groups.iter().map(|group| group.bytes).max().unwrap_or(0);
        for group in groups {
            self.put(format_args!(
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>{}</tr>",
                group.kind,
                group.encoding,
                count(group.keys),
                group.elements.map_or(String::new(), count),
                bytes(group.bytes),
                percent(group.bytes, total),
                bar(group.bytes, most),
            ));
        }
        self.put("</table>");
    }

    fn biggest(&mut self, keys: &[Key], now_ms: i64) {
        if keys.is_empty() {
            return;
        }
        self.section("Biggest keys", "");
        self.put(
            "<table><tr><th>Key</th><th class=\"n\">Database</th><th>Type</th><th>Encoding</th><th class=\"n\">Elements</th>\
             <th>Expires</th><th class=\"n\">Memory</th><th></th></tr>",
        );
        let most = keys.first().map_or(0, |key| key.bytes);
        for key in keys {
            let expires = key.expiry_ms.map_or(String::new(), |at| {
                match u64::try_from(at.saturating_sub(now_ms)) {
                    Ok(left @ 1..) => format!("in {}", duration_ms(left)),
                    _ => "past".to_owned(),
                }
            });
            self.put(format_args!(
                "<tr><td><code>{}</code></td><td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td>{expires}</td><td class=\"n\">{}</td>{}</tr>",
                Escaped(shortened(&key.key.to_string())),
                key.db,
                key.kind,
                key.encoding,
                key.elements.map_or(String::new(), count),
                bytes(key.bytes),
                bar(key.bytes, most),
            ));
        }
        self.put("</table></section>");
    }

    fn log(&mut self, log: &Log) {
        let rate = &log.rate;
        let end_ms = rate.bucket_ms.saturating_mul(rate.buckets.len() as u64);
        let text = format!(
            "Commands as they were written, before compression, from {} to {} UTC. A step is {} long.",
            moment(rate.begin_ms),
            moment(rate.begin_ms.saturating_add(end_ms)),
            step_length(rate.bucket_ms),
        );
        self.section("Write rate of the log", &text);
        self.put(format_args!("<div class=\"wide\">{}</div>", charts::rate(rate)));
        self.put(
            "<table><tr><th>Frames</th><th class=\"n\">Count</th><th class=\"n\">Stored</th>\
             <th class=\"n\">Decoded</th><th class=\"n\">Ratio</th></tr>",
        );
        for (name, stored) in [("uncompressed", &log.uncompressed), ("LZ4", &log.lz4)] {
            let ratio = stored.raw_bytes as f64 / stored.stored_bytes.max(1) as f64;
            let ratio = if stored.frames > 0 { format!("{ratio:.2} : 1") } else { String::new() };
            self.put(format_args!(
                "<tr><td>{name}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{ratio}</td></tr>",
                count(stored.frames),
                bytes(stored.stored_bytes),
                bytes(stored.raw_bytes),
            ));
        }
        self.put(format_args!(
            "<tr><td>markers</td><td class=\"n\">{}</td><td></td><td></td><td></td></tr></table></section>",
            count(log.markers)
        ));
    }

    fn files(&mut self, files: &[FileReport]) {
        self.section("Files", "");
        let has_frames = files.iter().any(|file| file.frames.is_some());
        self.put("<table class=\"files\"><tr><th>File</th><th>What</th>");
        if has_frames {
            self.put(
                "<th class=\"n\">First LSN</th><th class=\"n\">End LSN</th><th>Written</th><th class=\"n\">Frames</th>",
            );
        }
        self.put("<th class=\"n\">Size</th></tr>");
        for file in files {
            let (name, what) = (Escaped(&file.name), Escaped(file.described()));
            self.put(format_args!("<tr><td><code>{name}</code></td><td>{what}</td>"));
            if has_frames {
                let frames = file.frames.as_ref();
                let lsn = |lsn: Option<u64>| lsn.map_or(String::new(), count);
                let span = frames.and_then(|f| f.first_time_ms.zip(f.last_time_ms));
                let span = span.map_or(String::new(), |(first, last)| between(first, last));
                self.put(format_args!(
                    "<td class=\"n\">{}</td><td class=\"n\">{}</td><td>{span}</td><td class=\"n\">{}</td>",
                    lsn(frames.and_then(|frames| frames.first_lsn)),
                    lsn(frames.and_then(|frames| frames.end_lsn)),
                    frames.map_or(String::new(), |frames| count(frames.frames)),
                ));
            }
            let size = bytes(file.bytes);
            self.put(format_args!("<td class=\"n\">{size}</td></tr>"));
        }
        self.put("</table></section>");
    }

    /// Fields about the file, function libraries, and what was passed over.
    fn origin(&mut self, contents: &ContentsReport) {
        if !contents.aux.is_empty() {
            self.section("Fields of the RDB", "");
            self.put("<table><tr><th>Name</th><th>Value</th></tr>");
            for (name, value) in &contents.aux {
                let (name, value) = (Escaped(name), Escaped(shortened(value)));
                self.put(format_args!("<tr><td>{name}</td><td><code>{value}</code></td></tr>"));
            }
            self.put("</table></section>");
        }
        if !contents.functions.is_empty() {
            self.section("Function libraries", "");
            self.put("<table><tr><th>First line</th><th class=\"n\">Source</th></tr>");
            for function in &contents.functions {
                let (line, size) = (Escaped(&function.first_line), bytes(function.bytes));
                self.put(format_args!(
                    "<tr><td><code>{line}</code></td><td class=\"n\">{size}</td></tr>"
                ));
            }
            self.put("</table></section>");
        }
        if contents.skipped.iter().any(|(_, number)| *number > 0) {
            self.section("Passed over", "");
            self.put("<table>");
            for (what, number) in contents.skipped.iter().filter(|(_, number)| *number > 0) {
                self.put(format_args!(
                    "<tr><td>{what}</td><td class=\"n\">{}</td></tr>",
                    count(*number)
                ));
            }
            self.put("</table></section>");
        }
    }
}

/// Long names are cut.
fn shortened(text: &str) -> String {
    const LETTERS_MAX: usize = 120;
    match text.char_indices().nth(LETTERS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// A span of time in which the day is said once if it is the same.
fn between(first_ms: u64, last_ms: u64) -> String {
    let (first, last) = (moment(first_ms), moment(last_ms));
    match (first.split_once(' '), last.split_once(' ')) {
        (Some((day, from)), Some((end, to))) if day == end => format!("{day} {from} – {to}"),
        _ => format!("{first} – {last}"),
    }
}

/// `8 s` and `2 min`, not `8.0 s` and `2 min 0 s`.
fn step_length(ms: u64) -> String {
    duration_ms(ms).replace(".0 s", " s").replace(" min 0 s", " min").replace(" h 0 min", " h")
}

fn size_bar(class: &Size) -> charts::Bar {
    let label = short_bytes(class.from_bytes);
    charts::Bar { label, keys: class.keys, bytes: class.bytes }
}

fn life_bar(class: &Life) -> charts::Bar {
    charts::Bar { label: class.left.to_owned(), keys: class.count, bytes: class.bytes.unwrap_or(0) }
}
