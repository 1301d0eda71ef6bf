//! The differences, as they are found.

use crate::output::{End, Failure, JsonText, Output, count, counted, escaped, time_ms};
use serde_json::{Value, json};

/// How a key differs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Difference {
    /// B does not have it. With its type.
    OnlyInA(&'static str),
    /// A does not have it.
    OnlyInB(&'static str),
    /// The values differ; their types.
    Value(&'static str, &'static str),
    /// Only the expiry times differ, in ms of Unix time.
    Expiry(Option<i64>, Option<i64>),
}

/// A key with its database.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name {
    /// The database.
    pub(super) db: u32,
    /// The key.
    pub(super) key: Box<[u8]>,
}

/// Shows differences and counts them.
pub(super) struct Report<'a> {
    output: &'a Output,
    limit: usize,
    shown: usize,
    pub(super) keys_a: u64,
    pub(super) keys_b: u64,
    /// How many keys with values of modules were not compared.
    pub(super) skipped_a: u64,
    pub(super) skipped_b: u64,
    only_in_a: u64,
    only_in_b: u64,
    values: u64,
    expiries: u64,
    functions: u64,
}

impl<'a> Report<'a> {
    /// One that shows at most `limit` differences.
    pub(super) fn new(output: &'a Output, limit: usize) -> Self {
        Self {
            output,
            limit,
            shown: 0,
            keys_a: 0,
            keys_b: 0,
            skipped_a: 0,
            skipped_b: 0,
            only_in_a: 0,
            only_in_b: 0,
            values: 0,
            expiries: 0,
            functions: 0,
        }
    }

    /// Adds a key that differs.
    pub(super) fn add(&mut self, name: &Name, difference: Difference) -> Result<(), Failure> {
        let shown = |ms: Option<i64>| ms.map_or("never".to_owned(), time_ms);
        let (counter, word, text, more) = match difference {
            Difference::OnlyInA(kind) => {
                (&mut self.only_in_a, "only-in-a", format!("only in A ({kind})"), json!(kind))
            }
            Difference::OnlyInB(kind) => {
                (&mut self.only_in_b, "only-in-b", format!("only in B ({kind})"), json!(kind))
            }
            Difference::Value(a, b) if a == b => {
                (&mut self.values, "value", format!("the value differs ({a})"), json!([a, b]))
            }
            Difference::Value(a, b) => {
                (&mut self.values, "value", format!("{a} in A, {b} in B"), json!([a, b]))
            }
            Difference::Expiry(a, b) => {
                let text = format!("expires {} in A, {} in B", shown(a), shown(b));
                (&mut self.expiries, "expiry", text, json!([a, b]))
            }
        };
        *counter += 1;
        if !self.shows_one_more() {
            return Ok(());
        }
        let Name { db, key } = name;
        if !self.output.is_json() {
            return self.output.line(format_args!("db {db}, key '{}': {text}", escaped(key)));
        }
        let mut line = json!({ "difference": word, "db": db, "key": json!(JsonText(key)) });
        match difference {
            Difference::Expiry(..) => line["expiry_ms"] = more,
            _ => line["type"] = more,
        }
        self.output.json(&line)
    }

    /// Adds a library of functions that only one side has.
    pub(super) fn add_function(&mut self, source: &[u8], in_a: bool) -> Result<(), Failure> {
        self.functions += 1;
        if !self.shows_one_more() {
            return Ok(());
        }
        let head = source.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let side = if in_a { "A" } else { "B" };
        if self.output.is_json() {
            let (head, side) = (JsonText(head), side.to_lowercase());
            let line = json!({ "difference": "function", "head": json!(head), "only_in": side });
            return self.output.json(&line);
        }
        let head = escaped(head);
        self.output.line(format_args!("library '{head}': only in {side}, or with another source"))
    }

    fn shows_one_more(&mut self) -> bool {
        let shows = self.shown < self.limit;
        self.shown += usize::from(shows);
        shows
    }

    /// Says how many there are.
    pub(super) fn end(self) -> Result<End, Failure> {
        let counts = [
            ("only_in_a", "only in A", "only in A", self.only_in_a),
            ("only_in_b", "only in B", "only in B", self.only_in_b),
            ("values", "with another value", "with other values", self.values),
            ("expiries", "with another expiry time", "with other expiry times", self.expiries),
            ("functions", "library of functions", "libraries of functions", self.functions),
        ];
        let total: u64 = counts.iter().map(|(.., number)| number).sum();
        if self.output.is_json() {
            let mut line =
                json!({ "equal": total == 0, "keys_a": self.keys_a, "keys_b": self.keys_b });
            line["module_keys_a"] = self.skipped_a.into();
            line["module_keys_b"] = self.skipped_b.into();
            for (name, .., number) in counts {
                line[name] = Value::from(number);
            }
            self.output.json(&line)?;
        } else if total == 0 {
            let keys = counted(self.keys_a, "key", "keys");
            let skipped = match self.skipped_a + self.skipped_b {
                0 => String::new(),
                _ => {
                    let (a, b) = (count(self.skipped_a), count(self.skipped_b));
                    format!(" (not compared: {a} of modules in A, {b} in B)")
                }
            };
            self.output.line(self.output.green(&format!("the same: {keys}{skipped}")))?;
        } else {
            if total > self.shown as u64 {
                let more = count(total - self.shown as u64);
                self.output.line(format_args!("… and {more} more"))?;
            }
            let counts: Vec<_> = counts
                .iter()
                .filter(|(.., number)| *number > 0)
                .map(|(_, one, many, number)| counted(*number, one, many))
                .collect();
            let (a, b) = (count(self.keys_a), count(self.keys_b));
            let text = format!("different: {} (keys: {a} in A, {b} in B)", counts.join(", "));
            self.output.line(self.output.red(&text))?;
        }
        Ok(if total == 0 { End::Good } else { End::Bad })
    }
}
