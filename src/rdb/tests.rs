//! Round trips of values, and damaged bytes.

use super::checksum::checksum;
use super::payload::{dump, restore};
use super::testing::{limits, value, view};
use crate::data::Value;
use crate::data::testing::describe;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn dumped_values_round_trip(value in value(), compress in any::<bool>()) {
        let mut payload = Vec::new();
        dump(view(&value), compress, &mut payload);
        let copy = restore(&payload, &limits()).expect("our own payload is sound");
        prop_assert_eq!(describe(view(&value)), describe(view(&copy)));
        // A value that grew big for a removed element may be small again, as when Redis loads it.
        let (before, after) = (view(&value).encoding_name(), view(&copy).encoding_name());
        prop_assert!(before == after || after.starts_with("listpack"), "{before} becomes {after}");
    }

    #[test]
    fn damaged_payloads_are_refused_or_sound(
        value in value(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut payload = Vec::new();
        dump(view(&value), false, &mut payload);
        let end = payload.len() - 10;
        for (index, mask) in flips {
            payload[index.index(end)] ^= mask;
        }
        if let Some(cut) = cut {
            payload.drain(cut.index(end)..end);
        }
        let covered = payload.len() - 8;
        let sum = checksum(&payload[..covered]);
        payload[covered..].copy_from_slice(&sum.to_le_bytes());
        if let Ok(value) = restore(&payload, &limits()) {
            // An accepted value can be inspected and written again.
            let _ = describe(view(&value));
            let mut again = Vec::new();
            dump(view(&value), true, &mut again);
            prop_assert!(restore(&again, &limits()).is_ok());
        }
    }
}

#[test]
fn a_wrong_footer_is_refused() {
    let mut payload = Vec::new();
    dump(Value::Integer(7), true, &mut payload);
    assert_eq!(payload[..4], [0, 0xc0, 7, 10]);
    for at in 0..payload.len() {
        let mut damaged = payload.clone();
        damaged[at] ^= 1;
        assert!(restore(&damaged, &limits()).is_err(), "byte {at}");
    }
    assert!(restore(b"", &limits()).is_err());
}
