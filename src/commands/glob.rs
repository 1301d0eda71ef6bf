//! Patterns of `KEYS`, `SCAN`, `CONFIG GET` and the paths of `include`: `*`, `?`, `[a-z]`, `[^a]`, `\` to
//! escape.

/// Whether letters match whatever their case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `a` is not `A`.
    Sensitive,
    /// `a` is `A`.
    Insensitive,
}

/// The most stars that a pattern may have and still match anything.
const STARS_MAX: usize = 1000;

/// Whether `text` matches `pattern`.
///
/// Takes at most the product of the lengths: after a mismatch only the last `*` is given one byte
/// more. Had an earlier one to take more, the last one would have found its match further left.
pub fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    // Redis never lets a pattern match nothing, not even `**`. Callers treat `*` apart where it
    // has to match an empty key.
    if text.is_empty() {
        return pattern.is_empty();
    }
    // Redis gives up on patterns with more stars than this, so they match nothing here either.
    if pattern.len() > STARS_MAX && pattern.iter().filter(|&&b| b == b'*').count() > STARS_MAX {
        return false;
    }
    let (mut at, mut read) = (0, 0);
    // Where the pattern goes on after the last star, and the text that the star leaves to it.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        if pattern.get(at) == Some(&b'*') {
            while pattern.get(at) == Some(&b'*') {
                at += 1;
            }
            if at == pattern.len() {
                return true;
            }
            star = Some((at, read));
            continue;
        }
        if let Some(next) = match_one(pattern, at, text[read], case) {
            at = next;
            read += 1;
        } else if let Some((after, from)) = star {
            at = after;
            read = from + 1;
            star = Some((after, read));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// Whether a text has any character that makes it a pattern.
pub fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| b"*?[".contains(byte))
}

/// Matches one byte with the element of the pattern at `at`, and gives the place after it.
fn match_one(pattern: &[u8], at: usize, byte: u8, case: Case) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'[' => match_class(pattern, at + 1, byte, case),
        b'\\' if at + 1 < pattern.len() => same(pattern[at + 1], byte, case).then_some(at + 2),
        literal => same(literal, byte, case).then_some(at + 1),
    }
}

fn same(a: u8, b: u8, case: Case) -> bool {
    match case {
        Case::Sensitive => a == b,
        Case::Insensitive => a.eq_ignore_ascii_case(&b),
    }
}

/// Matches `[…]`, whose inside begins at `at`. A class that is not closed ends with the pattern.
fn match_class(pattern: &[u8], mut at: usize, byte: u8, case: Case) -> Option<usize> {
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    // Redis compares the ends of a range as signed bytes.
    let order = |byte: u8| match case {
        Case::Sensitive => byte as i8,
        Case::Insensitive => byte.to_ascii_lowercase() as i8,
    };
    let mut found = false;
    loop {
        match pattern.get(at..).unwrap_or_default() {
            [] => break,
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [start, b'-', end, ..] => {
                let (low, high) =
                    if (*start as i8) <= *end as i8 { (start, end) } else { (end, start) };
                found |= (order(*low)..=order(*high)).contains(&order(byte));
                at += 3;
            }
            [one, ..] => {
                found |= same(*one, byte, case);
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive)
    }

    #[test]
    fn elements() {
        let yes = [
            ("", ""),
            ("*", "a"),
            ("a*", "a"),
            ("**", "abc"),
            ("h?llo", "hello"),
            ("h*llo", "hllo"),
            ("h*o*", "hello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-c]llo", "hbllo"),
            ("h[c-a]llo", "hbllo"),
            ("\\*", "*"),
            ("a\\", "a\\"),
            ("[\\]]", "]"),
            ("[a", "a"),
            ("[^]", "a"),
            ("[a-]", "`"),
            ("*[b]*", "abc"),
            ("a*b*c", "aXbYbZc"),
            ("[^a", "b"),
        ];
        for (pattern, text) in yes {
            assert!(check(pattern, text), "{pattern} {text}");
        }
        let no = [
            ("", "a"),
            ("a", ""),
            ("**", ""),
            ("h?llo", "hllo"),
            ("h[^e]llo", "hello"),
            ("[]", "a"),
            ("h[a-c]llo", "hdllo"),
            ("\\*", "a"),
            ("a*b", "abc"),
            ("a?", "a"),
            ("[a", "b"),
            ("[a-]", "-"),
            ("abc", "ABC"),
            ("[", "["),
        ];
        for (pattern, text) in no {
            assert!(!check(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("aBc", "AbC"), ("[A-C]", "b"), ("[a-c]", "B"), ("*X", "yx")] {
            assert!(matches(pattern.as_bytes(), text.as_bytes(), Case::Insensitive));
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "a*".repeat(5000) + "b";
        assert!(!check(&pattern, &"a".repeat(20_000)));
    }

    /// The definition, slow: a star takes nothing, or one byte and goes on.
    fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([b'*', rest @ ..], _) => {
                by_definition(rest, text) || !text.is_empty() && by_definition(pattern, &text[1..])
            }
            ([], []) => true,
            (_, [byte, text @ ..]) => match_one(pattern, 0, *byte, Case::Sensitive)
                .is_some_and(|next| by_definition(&pattern[next..], text)),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn backtracking_to_the_last_star_is_enough(pattern in "[ab*?]{0,8}", text in "[ab]{1,8}") {
            prop_assert_eq!(
                check(&pattern, &text),
                by_definition(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
