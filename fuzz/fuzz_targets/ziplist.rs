//! Any bytes as a ziplist.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay::data::listpack::Listpack;
use mainstay::rdb::ziplist;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    if bytes.len() > 10 && bytes[0] & 1 == 0 {
        // Length and end mark are put right: hardly any input would get past them.
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        *bytes.last_mut().expect("not empty") = 0xff;
    }
    let mut count = 0;
    let visited = ziplist::for_each(&bytes, |_| {
        count += 1;
        Ok(())
    });
    match ziplist::to_listpack(&bytes) {
        Ok(listpack) => {
            assert_eq!(visited, Ok(()));
            assert_eq!(listpack.len(), count);
            assert!(Listpack::from_bytes(listpack.as_bytes()).is_ok());
        }
        Err(error) => assert_eq!(visited, Err(error)),
    }
});
