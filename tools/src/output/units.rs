//! Numbers, times and keys as people read them.

use mainstay::env::Utc;
use mainstay::words::noun;

/// A size in bytes: `17 B`, `1.5 KiB`, `2.0 GiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would be rounded to 1024.0 is 1.0 of the next unit.
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// A number with its thousands apart: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something: `1 key`, `1,234 keys`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), noun(number, one, many))
}

/// A span of time in its two biggest units: `350 ms`, `1.5 s`, `2 min 3 s`, `5 d 7 h`.
pub fn duration_ms(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 => format!("{ms} ms"),
        1..60 => format!("{}.{} s", s, ms % 1000 / 100),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

/// A Unix time in ms as UTC: `2026-01-31 23:59:59.123Z`.
pub fn time_ms(ms: i64) -> String {
    format!("{}.{:03}Z", Utc::of_unix_s(ms.div_euclid(1000)), ms.rem_euclid(1000))
}

/// Bytes of a key or value as text on one line: what cannot be printed, quotes and backslashes are escaped.
pub fn escaped(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c.is_control() || c == '"' || c == '\\') => {
            text.to_owned()
        }
        _ => bytes.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (size, text) in cases {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn numbers_and_spans() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(count(number), text);
        }
        let cases = [(0, "0 keys"), (1, "1 key"), (1234, "1,234 keys")];
        for (number, text) in cases {
            assert_eq!(counted(number, "key", "keys"), text);
        }
        let cases = [
            (999, "999 ms"),
            (1_500, "1.5 s"),
            (123_000, "2 min 3 s"),
            (7_260_000, "2 h 1 min"),
            (460_000_000, "5 d 7 h"),
        ];
        for (ms, text) in cases {
            assert_eq!(duration_ms(ms), text);
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01 00:00:00.000Z"),
            (-1, "1969-12-31 23:59:59.999Z"),
            (951_782_400_000, "2000-02-29 00:00:00.000Z"),
            (1_700_000_000_250, "2023-11-14 22:13:20.250Z"),
            (4_107_542_399_999, "2100-02-28 23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01 00:00:00.000Z"),
        ];
        for (ms, text) in cases {
            assert_eq!(time_ms(ms), text);
        }
    }

    #[test]
    fn keys_stay_on_one_line() {
        assert_eq!(escaped("häuser:1".as_bytes()), "häuser:1");
        assert_eq!(escaped(b"a\nb\"\xff"), "a\\nb\\\"\\xff");
    }
}
