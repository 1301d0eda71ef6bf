//! Any bytes as a zipmap.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay::data::listpack::Listpack;
use mainstay::rdb::zipmap;

fuzz_target!(|data: &[u8]| {
    for bytes in [data.to_vec(), [&[254], data, &[0xff]].concat()] {
        if let Ok((pairs, longest)) = zipmap::to_listpack(&bytes) {
            assert!(pairs.len() >= 2 && pairs.len() % 2 == 0);
            let lengths = pairs.iter().map(|element| element.len());
            assert_eq!(lengths.max(), Some(longest));
            assert!(Listpack::from_bytes(pairs.as_bytes()).is_ok());
        }
    }
});
