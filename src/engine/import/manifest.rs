//! The manifest of an append-only file in several parts, as Redis writes it since 7.0.
//!
//! A line for each part: pairs of a key and a value, of which `file`, `seq` and `type` are needed and others
//! are passed over. A type is `b` (the base, at most one), `i` (increments, in order) or `h` (history: no
//! longer part of the data). Lines that begin with `#` are comments.

use super::report::ImportError;
use crate::resp::request::{Parsed, parse_i64};
use crate::resp::{RequestLimits, RequestParser};
use std::path::Path;

/// Redis reads no longer lines.
const LINE_BYTES_MAX: usize = 1024;

/// Larger manifests are refused.
pub(super) const BYTES_MAX: u64 = 16 << 20;

/// The names of the parts that hold the data, in order.
///
/// # Errors
/// If a line is none of a manifest, or the lines do not fit together.
pub(super) fn parse(path: &Path, text: &[u8]) -> Result<Vec<String>, ImportError> {
    let (mut base, mut increments, mut seq_before) = (None, Vec::new(), 0);
    let lines = text.split_inclusive(|&byte| byte == b'\n').enumerate();
    for (index, line) in lines {
        let error = |reason| ImportError::Manifest { path: path.into(), line: index + 1, reason };
        if line.starts_with(b"#") {
            continue;
        }
        if line.len() > LINE_BYTES_MAX || !line.ends_with(b"\n") {
            return Err(error("the line is too long or has no end"));
        }
        let part = Part::parse(line).ok_or(error("the line is none of a manifest"))?;
        if part.name.contains(['/', '\\']) || matches!(&part.name[..], "" | "." | "..") {
            return Err(error("the file is a path and not a name"));
        }
        match part.kind {
            b'b' if base.is_some() => return Err(error("there is a base already")),
            b'b' => base = Some(part.name),
            b'i' if part.seq <= seq_before => return Err(error("the sequence does not increase")),
            b'i' => {
                seq_before = part.seq;
                increments.push(part.name);
            }
            b'h' => {}
            _ => return Err(error("an unknown type of file")),
        }
    }
    if text.is_empty() {
        return Err(ImportError::Manifest { path: path.into(), line: 1, reason: "it is empty" });
    }
    Ok(base.into_iter().chain(increments).collect())
}

struct Part {
    name: String,
    seq: i64,
    kind: u8,
}

impl Part {
    fn parse(line: &[u8]) -> Option<Self> {
        // Quotes are those of requests in a line.
        let (mut line, mut ranges) = (line.to_vec(), Vec::new());
        if line.starts_with(b"*") {
            return None;
        }
        let limits = RequestLimits::default();
        let parsed = RequestParser::default().parse(&mut line, 0, &limits, &mut ranges);
        if !matches!(parsed, Ok(Parsed::Request { .. })) {
            return None;
        }
        let words: Vec<&[u8]> = ranges.iter().map(|&(start, end)| &line[start..end]).collect();
        let (pairs, []) = words.as_chunks::<2>() else { return None };
        let value = |key: &[u8]| {
            pairs.iter().rev().find(|pair| pair[0].eq_ignore_ascii_case(key)).map(|pair| pair[1])
        };
        let name = String::from_utf8(value(b"file")?.to_vec()).ok()?;
        let seq = parse_i64(value(b"seq")?).filter(|&seq| seq > 0)?;
        Some(Self { name, seq, kind: *value(b"type")?.first()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<String>, String> {
        parse(Path::new("m"), text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn parts_are_given_in_order() {
        let text = "# comment\n\
                    file a.2.base.rdb seq 2 type b\n\
                    file a.1.incr.aof seq 1 type h\n\
                    FILE \"a \\x41\" SEQ 4 TYPE i other thing\n\
                    file a.5 seq 5 type i startoffset 0\n";
        assert_eq!(parsed(text).unwrap(), ["a.2.base.rdb", "a A", "a.5"]);
        assert_eq!(parsed("file a seq 1 type h\n").unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_its_line() {
        let long = format!("file {} seq 1 type i\n", "x".repeat(1024));
        let cases = [
            ("", "line 1: it is empty"),
            ("\n", "line 1"),
            ("# a\nfile a seq 1\n", "line 2"),
            ("file a seq 1 type\n", "line 1"),
            ("file a seq 0 type i\n", "line 1"),
            ("file a seq 1 type i", "no end"),
            ("file \"a seq 1 type i\n", "line 1"),
            ("file ../a seq 1 type i\n", "path"),
            ("file .. seq 1 type i\n", "path"),
            ("*3\r\n", "line 1"),
            ("file a seq 1 type x\n", "unknown type"),
            ("file a seq 2 type i\nfile b seq 2 type i\n", "line 2: the sequence"),
            ("file a seq 1 type b\nfile b seq 2 type b\n", "line 2: there is a base"),
            (&long, "too long"),
        ];
        for (text, expected) in cases {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
