//! A table of key statistics (RFC 4180, with line feeds).

use crate::output::{Failure, escaped};
use mainstay::data::Value;
use mainstay::keyspace::Entry;
use std::io::Write;

/// Writes the names of the columns.
pub(super) fn head(out: &mut dyn Write) -> Result<(), Failure> {
    Ok(writeln!(out, "db,key,type,encoding,elements,memory_bytes,expiry_ms")?)
}

/// Writes a key's line. What cannot be printed in a key is escaped.
pub(super) fn key(out: &mut dyn Write, db: u32, entry: Entry<'_>) -> Result<(), Failure> {
    let value = entry.value();
    let elements = match value {
        Value::Integer(_) | Value::Text { .. } => 1,
        Value::List(list) => list.len(),
        Value::Set(set) => set.len(),
        Value::SortedSet(set) => set.len(),
        Value::Hash(hash) => hash.len(),
        Value::Stream(stream) => stream.len(),
    };
    let (name, kind, encoding) = (escaped(entry.key()), value.type_name(), value.encoding_name());
    let memory = entry.memory_bytes();
    let expiry = entry.expiry_ms().map_or(String::new(), |at| at.to_string());
    let name = quoted(&name);
    Ok(writeln!(out, "{db},{name},{kind},{encoding},{elements},{memory},{expiry}")?)
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay::data::NewValue;
    use mainstay::keyspace::EntryBox;

    #[test]
    fn a_key_stays_in_its_column() {
        let mut out = Vec::new();
        let entry = EntryBox::new(b"a,\"b\"\n", NewValue::Integer(7), Some(5), 0);
        key(&mut out, 2, entry.view()).unwrap();
        let memory = entry.view().memory_bytes();
        let expected = format!("2,\"a,\\\"\"b\\\"\"\\n\",string,int,1,{memory},5\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
