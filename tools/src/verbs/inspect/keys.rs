//! One line a key.

use super::summary::Key;
use crate::filter::Filter;
use crate::output::{End, Failure, Output, time_ms};
use crate::source::{Kind, Source};
use std::io::{self, BufWriter, Write};

/// Writes a line for each key that counts, one after the other as they are read.
///
/// # Errors
/// If the source has no keys, is damaged or cannot be read, or the output cannot be written.
pub fn write(source: &Source, filter: &Filter, output: &Output) -> Result<End, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut seen = false;
    let read = source.keys(output, &mut |db, entry| {
        seen = true;
        if !filter.takes(db, entry) {
            return Ok(());
        }
        let key = Key::of(db, entry, usize::MAX);
        if output.is_json() {
            serde_json::to_writer(&mut out, &key).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        } else {
            line(&key, &mut out)?;
        }
        Ok(())
    });
    out.flush()?;
    drop(out);
    match read {
        Ok(contents) => {
            contents.remarks.iter().for_each(|remark| output.remark(remark));
            Ok(End::Good)
        }
        // The lines of the keys before the damage have been written.
        Err(failure) if seen && source.kind() != Kind::Segment && !failure.is_closed() => {
            output.remark(failure);
            Ok(End::Bad)
        }
        Err(failure) => Err(failure),
    }
}

fn line(key: &Key, out: &mut impl Write) -> io::Result<()> {
    let elements = key.elements.map_or("-".to_owned(), |count| count.to_string());
    // No blank within, so that columns can be cut.
    let expires = key.expiry_ms.map_or("-".to_owned(), |at| time_ms(at).replace(' ', "T"));
    let Key { db, kind, encoding, bytes, key, .. } = key;
    writeln!(out, "{db:<2} {kind:<6} {encoding:<10} {bytes:>10} {elements:>8} {expires:<24} {key}")
}
