//! The syntax of a line of a configuration file: its arguments, and quotes around them.

/// Splits a line into its arguments; `None` when a quote is not closed, or not followed by a blank.
///
/// Double quotes know `\n \r \t \b \a`, `\xHH` and the backslash before any other byte; single quotes
/// know only `\'`.
pub fn split_arguments(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let blank = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0b;
    let mut arguments = Vec::new();
    let mut rest = line;
    loop {
        rest = &rest[rest.iter().take_while(|byte| blank(**byte)).count()..];
        if rest.is_empty() {
            return Some(arguments);
        }
        let mut argument = Vec::new();
        let mut quote = None;
        rest = loop {
            rest = match (quote, rest) {
                (None, []) => break rest,
                (None, [b' ' | b'\n' | b'\r' | b'\t' | 0, after @ ..]) => break after,
                (None, [mark @ (b'"' | b'\''), after @ ..]) => {
                    quote = Some(*mark);
                    after
                }
                (Some(_), []) => return None,
                (Some(mark), [byte, after @ ..]) if mark == *byte => match after {
                    [next, ..] if !blank(*next) => return None,
                    _ => break after,
                },
                (Some(b'"'), [b'\\', b'x', high, low, after @ ..])
                    if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
                {
                    argument.push(hex_digit(*high) << 4 | hex_digit(*low));
                    after
                }
                (Some(b'"'), [b'\\', escaped, after @ ..]) => {
                    argument.push(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 0x08,
                        b'a' => 0x07,
                        other => *other,
                    });
                    after
                }
                (Some(b'\''), [b'\\', b'\'', after @ ..]) => {
                    argument.push(b'\'');
                    after
                }
                (_, [byte, after @ ..]) => {
                    argument.push(*byte);
                    after
                }
            };
        };
        arguments.push(argument);
    }
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// Writes bytes as one double-quoted argument, which [`split_arguments`] reads back.
pub fn quote(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x07 => text.push_str("\\a"),
            0x08 => text.push_str("\\b"),
            b' '..=b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\x{other:02x}")),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Option<Vec<String>> {
        let arguments = split_arguments(line.as_bytes())?;
        Some(arguments.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    }

    #[test]
    fn words_and_quotes() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            (" \t ", &[]),
            ("port 6379", &["port", "6379"]),
            ("  port\t 6379  ", &["port", "6379"]),
            (r#"logfile """#, &["logfile", ""]),
            ("logfile ''", &["logfile", ""]),
            (r#"a "b c" d"#, &["a", "b c", "d"]),
            (r#""\x41\x62\n\r\t\a\b\\\"\q""#, &["Ab\n\r\t\x07\x08\\\"q"]),
            (r#""\x4""#, &["x4"]),
            (r"'it\'s \n'", &[r"it's \n"]),
            (r#"a"b""#, &["ab"]),
            ("save 3600 1 300 100", &["save", "3600", "1", "300", "100"]),
        ];
        for (line, expected) in table {
            assert_eq!(
                words(line).as_deref(),
                Some(*expected)
                    .map(|e| e.iter().map(|w| w.to_string()).collect::<Vec<_>>())
                    .as_deref(),
                "{line}"
            );
        }
        for unbalanced in [r#"a "b"#, "a 'b", r#"a "b"c"#, "'a'b", r#""\"#, r#""\""#] {
            assert_eq!(words(unbalanced), None, "{unbalanced}");
        }
    }

    proptest! {
        #[test]
        fn quoting_is_undone_by_splitting(bytes: Vec<u8>) {
            let quoted = quote(&bytes);
            prop_assert!(quoted.is_ascii());
            prop_assert_eq!(split_arguments(quoted.as_bytes()), Some(vec![bytes]));
        }

        #[test]
        fn any_bytes_are_split_or_refused(bytes: Vec<u8>) {
            let _ = split_arguments(&bytes);
        }
    }
}
