//! Any bytes as a set of integers, and then edits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay::data::intset::Intset;
use std::collections::BTreeSet;

fn check(set: &Intset, model: &BTreeSet<i64>) {
    assert!(set.iter().eq(model.iter().copied()));
    assert_eq!(set.len(), model.len());
    assert_eq!(set.range(), model.first().copied().zip(model.last().copied()));
    for (index, &number) in model.iter().enumerate() {
        assert_eq!(set.get(index), Some(number));
        assert!(set.contains(number));
    }
    assert_eq!(set.get(model.len()), None);
    let again = Intset::from_bytes(set.as_bytes()).expect("its own bytes are valid");
    assert!(again.iter().eq(model.iter().copied()));
}

fuzz_target!(|data: (Vec<(bool, i64)>, &[u8])| {
    let (edits, bytes) = data;
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 8 && bytes[4] & 1 == 0 {
        // Encoding and length are put right: hardly any input would get past them.
        let width = [2, 4, 8][usize::from(bytes[0]) % 3];
        let count = (bytes.len() - 8) / width;
        bytes.truncate(8 + count * width);
        bytes[..4].copy_from_slice(&(width as u32).to_le_bytes());
        bytes[4..8].copy_from_slice(&(count as u32).to_le_bytes());
    }
    let mut set = match Intset::from_bytes(&bytes) {
        Ok(set) => {
            assert_eq!(set.as_bytes(), bytes);
            set
        }
        Err(_) => Intset::new(),
    };
    let mut model: BTreeSet<i64> = set.iter().collect();
    check(&set, &model);
    for (insert, number) in edits {
        if insert {
            assert_eq!(set.insert(number), model.insert(number));
        } else {
            assert_eq!(set.remove(number), model.remove(&number));
        }
        assert!(!set.is_empty() || model.is_empty());
    }
    check(&set, &model);
    set.retain(|number| number % 3 == 0);
    model.retain(|number| number % 3 == 0);
    check(&set, &model);
});
