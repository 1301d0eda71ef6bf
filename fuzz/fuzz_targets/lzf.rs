//! Any bytes as compressed ones, and as ones to compress.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay::rdb::lzf::{Packer, decompress};

fuzz_target!(|data: (u16, &[u8])| {
    let (len, bytes) = data;
    for len in [usize::from(len), bytes.len(), 2 * bytes.len()] {
        if let Some(text) = decompress(bytes, len) {
            assert_eq!(text.len(), len);
            round_trip(&text);
        }
    }
    round_trip(bytes);
});

fn round_trip(text: &[u8]) {
    if let Some(packed) = Packer::default().compress(text) {
        assert!(packed.len() + 4 <= text.len());
        assert_eq!(decompress(&packed, text.len()).as_deref(), Some(text));
        assert_eq!(decompress(&packed, text.len() + 1), None);
    }
}
