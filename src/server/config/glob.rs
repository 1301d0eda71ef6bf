//! Shell-style patterns, for `CONFIG GET` and for the paths of `include`.

/// Whether `text` matches `pattern`, where `*` is any run, `?` any byte, `[a-z]` and `[^a-z]` a class and
/// `\` takes the next byte as it is. ASCII letters match in either case if `fold` says so.
///
/// Only the last `*` is ever retried, so the work is bounded by the product of the two lengths.
pub fn matches(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        if let Some(next) = match_one(pattern, p, text[t], fold) {
            p = next;
            t += 1;
        } else if let Some((star, start)) = retry {
            // Let the last star swallow one byte more.
            p = star;
            t = start + 1;
            retry = Some((star, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Matches one byte against the element of the pattern at `p`; returns where the next element begins.
fn match_one(pattern: &[u8], p: usize, byte: u8, fold: bool) -> Option<usize> {
    let fold_byte = |b: u8| if fold { b.to_ascii_lowercase() } else { b };
    let same = |a: u8, b: u8| fold_byte(a) == fold_byte(b);
    match (pattern.get(p)?, pattern.get(p + 1)) {
        (b'?', _) => Some(p + 1),
        (b'\\', Some(literal)) => same(*literal, byte).then_some(p + 2),
        (b'[', _) => {
            let mut at = p + 1;
            let negated = pattern.get(at) == Some(&b'^');
            at += usize::from(negated);
            let mut found = false;
            loop {
                match pattern.get(at..)? {
                    // An unclosed class ends with the pattern, as in Redis.
                    [] => break,
                    [b']', ..] => {
                        at += 1;
                        break;
                    }
                    [b'\\', literal, ..] => {
                        found |= same(*literal, byte);
                        at += 2;
                    }
                    [low, b'-', high, ..] => {
                        let (low, high) = (fold_byte(*low), fold_byte(*high));
                        found |= (low.min(high)..=low.max(high)).contains(&fold_byte(byte));
                        at += 3;
                    }
                    [literal, ..] => {
                        found |= same(*literal, byte);
                        at += 1;
                    }
                }
            }
            (found != negated).then_some(at)
        }
        (literal, _) => same(*literal, byte).then_some(p + 1),
    }
}

/// Whether a text has any character that makes it a pattern.
pub fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| b"*?[".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let table = [
            ("", "", true),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*-max-*", "hash-max-listpack-value", true),
            ("[a-c]x", "bx", true),
            ("[c-a]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[ab", "b", true),
            ("[", "[", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("[\\]]", "]", true),
            ("PORT", "port", true),
            ("[A-Z]ort", "port", true),
            ("a\\", "a\\", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes(), true),
                expected,
                "{pattern} {text}"
            );
        }
        assert!(!matches(b"PORT", b"port", false));
    }

    #[test]
    fn many_stars_end_soon() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(20_000).as_bytes(), false));
    }
}
