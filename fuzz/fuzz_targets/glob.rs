//! Any pattern against any text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay::commands::glob::{self as keys, Case};
use mainstay::server::config::glob as names;

fuzz_target!(|data: (&[u8], &[u8])| {
    let (pattern, text) = data;
    let plain = !pattern.iter().any(|byte| b"*?[\\".contains(byte));
    for (fold, case) in [(false, Case::Sensitive), (true, Case::Insensitive)] {
        let found = [keys::matches(pattern, text, case), names::matches(pattern, text, fold)];
        if plain {
            let same = if fold { pattern.eq_ignore_ascii_case(text) } else { pattern == text };
            assert_eq!(found, [same; 2]);
        }
    }
    let quote = |text: &[u8]| text.iter().flat_map(|&byte| [b'\\', byte]).collect::<Vec<u8>>();
    let whole = quote(text);
    assert!(keys::matches(&whole, text, Case::Sensitive) && names::matches(&whole, text, false));
    if !text.is_empty() {
        let (start, end) = (&text[..text.len() / 3], &text[text.len() / 2..]);
        let middle = [&quote(start)[..], b"*", &quote(end)].concat();
        assert!(keys::matches(&middle, text, Case::Sensitive));
        assert!(names::matches(&middle, text, false));
    }
});
