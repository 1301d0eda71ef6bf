//! The report as a page: one file that needs nothing else, no script and no network.

mod charts;
mod page;
mod tiles;
mod treemap;

pub use page::page;

use std::fmt::{self, Display, Write};

/// Width of pictures as wide as the page.
const WIDTH: f64 = 1120.0;

/// Text from outside as part of a page, in an element or in a quoted attribute. Whatever it holds, it stays text.
struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{}", self.0)
    }
}

/// Escapes what is written to it.
struct Escaper<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            c => self.0.write_char(c),
        })
    }
}

/// A share.
fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

/// A number in few letters: `950`, `12k`, `4.5M`.
fn short(number: u64) -> String {
    shortened(number, 1000.0, "")
}

/// A size in bytes in few letters: `950`, `12 K`, `4.5 M`; the units are powers of 1024.
fn short_bytes(bytes: u64) -> String {
    shortened(bytes, 1024.0, " ")
}

fn shortened(number: u64, unit: f64, before_unit: &str) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let (mut value, mut power) = (number as f64, 0);
    while value >= unit - 0.5 && power + 1 < UNITS.len() {
        value /= unit;
        power += 1;
    }
    if power == 0 {
        return number.to_string();
    }
    let digits = if value < 9.95 { 1 } else { 0 };
    let text = format!("{value:.digits$}");
    let name = if unit == 1024.0 { UNITS[power].to_uppercase() } else { UNITS[power].to_owned() };
    format!("{}{before_unit}{name}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let hostile = "<script>alert('x')</script> & \"quoted\"";
        let text = Escaped(hostile).to_string();
        assert!(!text.contains(['<', '>', '"', '\'']));
        assert_eq!(Escaped("häuser:1").to_string(), "häuser:1");
        assert_eq!(Escaped("<&>").to_string(), "&lt;&amp;&gt;");
    }

    #[test]
    fn numbers_are_short() {
        let cases = [
            (999, "999"),
            (1000, "1k"),
            (1234, "1.2k"),
            (12_345, "12k"),
            (999_600, "1M"),
            (4_500_000, "4.5M"),
            (u64::MAX, "18E"),
        ];
        for (number, text) in cases {
            assert_eq!(short(number), text);
        }
        let cases =
            [(1023, "1023"), (1024, "1 K"), (1536, "1.5 K"), (430_000, "420 K"), (5 << 30, "5 G")];
        for (number, text) in cases {
            assert_eq!(short_bytes(number), text);
        }
    }
}
