//! Any bytes as a configuration file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay::server::config::{DIRECTIVES, load_text};

fuzz_target!(|data: &[u8]| {
    // Included files are those of the machine, which are not part of the input.
    if data.to_ascii_lowercase().windows(7).any(|window| window == b"include") {
        return;
    }
    let Ok(loaded) = load_text(data) else { return };
    let mut text = String::new();
    for directive in DIRECTIVES {
        for line in directive.lines(&loaded.config) {
            text.push_str(&format!("{} {}\n", directive.name, line.arguments));
        }
    }
    match load_text(text.as_bytes()) {
        Ok(again) => assert_eq!(again.config, loaded.config, "{text}"),
        Err(error) => panic!("{error}"),
    }
});
