//! Any bytes as a listpack, and then edits.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use mainstay::data::listpack::Listpack;

#[derive(Arbitrary, Debug)]
enum Edit {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    PushInteger(i64),
    Insert { at: u8, before: bool, bytes: Vec<u8> },
    Replace { at: u8, bytes: Vec<u8> },
    Remove { at: u8 },
    RemoveRange { at: u8, count: u8 },
    Split { at: u8 },
}

fn contents(pack: &Listpack) -> Vec<Vec<u8>> {
    pack.iter().map(|element| element.to_vec()).collect()
}

/// Walks it in every way; gives what is in it.
fn check(pack: &Listpack) -> Vec<Vec<u8>> {
    let all = contents(pack);
    assert_eq!(all.len(), pack.len());
    assert_eq!(pack.is_empty(), all.is_empty());
    let mut back: Vec<_> = pack.iter().rev().map(|element| element.to_vec()).collect();
    back.reverse();
    assert_eq!(back, all);
    let mut position = pack.first();
    for (index, bytes) in all.iter().enumerate() {
        let here = position.expect("an element");
        assert_eq!(pack.seek(index as isize), Some(here));
        assert_eq!(pack.seek(index as isize - all.len() as isize), Some(here));
        assert_eq!(&pack.get(here).to_vec(), bytes);
        assert!(pack.get(here).eq_bytes(bytes));
        position = pack.next(here);
    }
    assert_eq!(position, None);
    let again = Listpack::from_bytes(pack.as_bytes()).expect("its own bytes are valid");
    assert_eq!(contents(&again), all);
    all
}

fuzz_target!(|data: (Vec<Edit>, &[u8])| {
    let (edits, bytes) = data;
    // The header's length is put right half of the time: hardly any input would get past it.
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 7 && bytes[0] & 1 == 0 {
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        *bytes.last_mut().expect("not empty") = 0xff;
    }
    let mut pack = match Listpack::from_bytes(&bytes) {
        Ok(pack) => {
            assert_eq!(pack.as_bytes(), bytes);
            pack
        }
        Err(_) => Listpack::new(),
    };
    let mut model = check(&pack);
    // An integer in another spelling than the canonical one keeps its meaning, so the model is of bytes.
    for edit in edits {
        let place = |at: u8| (!model.is_empty()).then(|| usize::from(at) % model.len());
        let position = |at: usize| pack.seek(at as isize).expect("an element");
        match edit {
            Edit::PushBack(bytes) => {
                pack.push_back(&bytes);
                model.push(bytes);
            }
            Edit::PushFront(bytes) => {
                pack.push_front(&bytes);
                model.insert(0, bytes);
            }
            Edit::PushInteger(number) => {
                pack.push_back_integer(number);
                model.push(number.to_string().into_bytes());
            }
            Edit::Insert { at, before, bytes } => {
                let Some(at) = place(at) else { continue };
                let here = position(at);
                if before {
                    pack.insert_before(here, &bytes);
                } else {
                    pack.insert_after(here, &bytes);
                }
                model.insert(at + usize::from(!before), bytes);
            }
            Edit::Replace { at, bytes } => {
                let Some(at) = place(at) else { continue };
                let here = position(at);
                pack.replace(here, &bytes);
                model[at] = bytes;
            }
            Edit::Remove { at } => {
                let Some(at) = place(at) else { continue };
                let here = position(at);
                pack.remove(here);
                model.remove(at);
            }
            Edit::RemoveRange { at, count } => {
                let (at, count) = (usize::from(at), usize::from(count));
                pack.remove_range(at, count);
                let end = (at + count).min(model.len());
                model.drain(at.min(end)..end);
            }
            Edit::Split { at } => {
                let Some(at) = place(at) else { continue };
                let here = position(at);
                let tail = pack.split_off(here);
                assert_eq!(check(&tail), model[at..]);
                pack.append(&tail);
            }
        }
    }
    assert_eq!(check(&pack), model);
    for needle in &model {
        let first = pack.first().expect("not empty");
        let index = model.iter().position(|bytes| bytes == needle).expect("it is there");
        assert_eq!(pack.find(first, needle, 0), pack.seek(index as isize));
    }
});
