//! Any pattern against any text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay::commands::glob::{Case, matches};

fuzz_target!(|data: (&[u8], &[u8])| {
    let (pattern, text) = data;
    let plain = !pattern.iter().any(|byte| b"*?[\\".contains(byte));
    for case in [Case::Sensitive, Case::Insensitive] {
        let found = matches(pattern, text, case);
        if plain {
            let same = match case {
                Case::Sensitive => pattern == text,
                Case::Insensitive => pattern.eq_ignore_ascii_case(text),
            };
            assert_eq!(found, same);
        }
    }
    let quote = |text: &[u8]| text.iter().flat_map(|&byte| [b'\\', byte]).collect::<Vec<u8>>();
    let whole = quote(text);
    assert!(matches(&whole, text, Case::Sensitive));
    if !text.is_empty() {
        let (start, end) = (&text[..text.len() / 3], &text[text.len() / 2..]);
        let middle = [&quote(start)[..], b"*", &quote(end)].concat();
        assert!(matches(&middle, text, Case::Sensitive));
    }
});
