//! Any bytes as a manifest.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay::log::frame;
use mainstay::log::manifest::Manifest;

fuzz_target!(|data: &[u8]| {
    check(data);
    // Again with a right checksum, without which nothing is looked at.
    let mut bytes = b"mainstay-manifest 1\n".to_vec();
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\nchecksum ");
    let sum = frame::checksum(0, &bytes);
    bytes.extend_from_slice(format!("{sum:08x}\n").as_bytes());
    check(&bytes);
});

fn check(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::decode(bytes) {
        assert_eq!(manifest.encode(), bytes);
        manifest.timeline();
        manifest.is_closed();
        manifest.names().for_each(drop);
    }
}
