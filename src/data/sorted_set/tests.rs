//! Sorted sets in both encodings against a simple model.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

fn limits(entries: usize) -> Limits {
    let mut limits = Limits::new(KeyHasher::new((3, 4)));
    limits.sorted_set_listpack_entries = entries;
    limits
}

/// The elements of a model in order.
fn in_order(model: &HashMap<Vec<u8>, f64>) -> Vec<(f64, Vec<u8>)> {
    let mut all: Vec<_> = model.iter().map(|(member, &score)| (score, member.clone())).collect();
    all.sort_by(|a, b| a.partial_cmp(b).expect("scores are numbers"));
    all
}

fn shown(entry: Entry<'_>) -> (f64, Vec<u8>) {
    (entry.score, entry.member.to_vec())
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0..300i32).prop_map(|number| number.to_string().into_bytes()),
        "[ab]{0,4}".prop_map(String::into_bytes),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-5..6i32).prop_map(f64::from),
        4 => -10.0..10.0f64,
        1 => prop::sample::select(&[f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e18, 0.0][..]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn both_encodings_do_what_a_map_does(
        entries in prop::sample::select(&[0, 20, 1000][..]),
        steps in prop::collection::vec((member(), score(), 0..10u8), 1..300),
        scores in (score(), any::<bool>(), score(), any::<bool>()),
        starts in (0..350usize, 0..350usize),
    ) {
        let limits = limits(entries);
        let mut set = SortedSet::new(1, 1, &limits);
        let mut model = HashMap::new();
        for (member, score, action) in steps {
            match action {
                0..7 => {
                    let old = model.insert(member.clone(), score);
                    let expected = match old {
                        None => Change::Added,
                        Some(old) if old == score => Change::None,
                        Some(_) => Change::Updated,
                    };
                    prop_assert_eq!(set.set(&member, score, &limits), expected);
                }
                7 => prop_assert_eq!(set.remove(&member), model.remove(&member).is_some()),
                8 => {
                    let present = model.get(&member).copied();
                    let change = set.update(&member, &limits, |score| {
                        assert_eq!(score, present);
                        None
                    });
                    prop_assert_eq!(change, Change::None);
                }
                _ => {
                    let start = member.len() * 3;
                    let all = in_order(&model);
                    let gone = all.iter().skip(start).take(2);
                    gone.for_each(|(_, member)| assert!(model.remove(member).is_some()));
                    set.remove_ranks(start.min(all.len())..(start + 2).min(all.len()));
                }
            }
            prop_assert_eq!(set.len(), model.len());
        }
        prop_assert!(set.encoding_name() == "skiplist" || set.len() <= entries);
        let all = in_order(&model);
        for set in [&set, &set.clone()] {
            prop_assert_eq!(&set.iter(0, usize::MAX, false).map(shown).collect::<Vec<_>>(), &all);
            for (rank, (score, member)) in all.iter().enumerate() {
                prop_assert_eq!(set.rank(member), Some((rank, *score)));
                prop_assert_eq!(set.score(member), Some(*score));
            }
            prop_assert_eq!(set.rank(b"no such member"), None);
            let (start, count) = starts;
            let part: Vec<_> = set.iter(start, count, false).map(shown).collect();
            prop_assert!(part.iter().eq(all.iter().skip(start).take(count)));
            let part: Vec<_> = set.iter(start, count, true).map(shown).collect();
            let rank_from_end = all.len().saturating_sub(start + 1);
            let is_inside = start < all.len();
            let expected = all.iter().rev().skip(rank_from_end).take(count * usize::from(is_inside));
            prop_assert!(part.iter().eq(expected));
        }

        let (min, excludes_min, max, excludes_max) = scores;
        let range = ScoreRange { min, excludes_min, max, excludes_max };
        let inside = |score| range.begins_before(score) && range.ends_after(score);
        let count = all.iter().filter(|&&(score, _)| inside(score)).count();
        let ranks = set.ranks_by_score(&range);
        prop_assert_eq!(ranks.len(), count);
        prop_assert!(all[ranks].iter().all(|&(score, _)| inside(score)));

        let mut scanned = Vec::new();
        let mut cursor = 0;
        loop {
            cursor = set.scan(cursor, 7, |entry| scanned.push(shown(entry)));
            if cursor == 0 {
                break;
            }
        }
        scanned.sort_by(|a, b| a.partial_cmp(b).expect("scores are numbers"));
        prop_assert_eq!(&scanned, &all);

        if let Some(listpack) = set.as_listpack().filter(|listpack| !listpack.is_empty()) {
            let copy = Listpack::from_bytes(listpack.as_bytes()).expect("it is a listpack");
            let copy = SortedSet::from_listpack(copy).expect("it is a sorted set");
            prop_assert_eq!(copy.iter(0, usize::MAX, false).map(shown).collect::<Vec<_>>(), all);
        }
    }

    #[test]
    fn ranges_of_members_are_the_same_in_both_encodings(
        members in prop::collection::btree_set("[a-c]{0,3}", 0..40),
        bounds in prop::collection::vec((0..4u8, "[a-c]{0,3}"), 2),
        reverse in any::<bool>(),
    ) {
        let bound = |at: usize| match (bounds[at].0, bounds[at].1.as_bytes()) {
            (0, _) => LexBound::Lowest,
            (1, _) => LexBound::Highest,
            (2, member) => LexBound::Inclusive(member),
            (_, member) => LexBound::Exclusive(member),
        };
        let range = LexRange { min: bound(0), max: bound(1) };
        let inside = |m: &&String| {
            range.begins_before(m.as_bytes()) && range.ends_after(m.as_bytes())
        };
        let expected: Vec<_> = members.iter().filter(inside).map(|m| m.as_bytes()).collect();
        for limits in [limits(0), limits(1000)] {
            let mut set = SortedSet::new(0, 0, &limits);
            members.iter().for_each(|member| set.push_back(member.as_bytes(), 1.5, &limits));
            let ranks = set.ranks_by_lex(&range, reverse);
            let found: Vec<_> = set.iter(ranks.start, ranks.len(), false).map(shown).collect();
            prop_assert!(found.iter().map(|(_, member)| member.as_slice()).eq(expected.clone()));
        }
    }
}

#[test]
fn listpacks_are_those_of_redis() {
    let limits = limits(128);
    let mut set = SortedSet::new(1, 1, &limits);
    for (member, score) in
        [("one", 1.0), ("17", 1.5), ("big", 1e300), ("low", f64::NEG_INFINITY), ("nil", -0.0)]
    {
        assert_eq!(set.set(member.as_bytes(), score, &limits), Change::Added);
    }
    let listpack = set.as_listpack().expect("it is small");
    let elements: Vec<_> = listpack.iter().collect();
    use listpack::Element::{Bytes, Integer};
    let expected = [
        Bytes(b"low"),
        Bytes(b"-inf"),
        Bytes(b"nil"),
        Integer(0),
        Bytes(b"one"),
        Integer(1),
        Integer(17),
        Bytes(b"1.5"),
        Bytes(b"big"),
        Bytes(b"1e+300"),
    ];
    assert_eq!(elements, expected);
}

#[test]
fn what_is_no_sorted_set_is_refused() {
    let build = |elements: &[&str]| {
        let mut listpack = Listpack::new();
        elements.iter().for_each(|element| listpack.push_back(element.as_bytes()));
        SortedSet::from_listpack(listpack)
    };
    assert!(build(&["a", "1", "b", "1", "a1", "2.5"]).is_ok());
    for bad in [
        &[][..],
        &["a"],
        &["a", "nan"],
        &["a", "2", "b", "1"],
        &["b", "1", "a", "1"],
        &["a", "1", "a", "1"],
        &["a", "1", "a", "2"],
    ] {
        assert!(build(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn encodings_change_where_redis_changes_them() {
    let limits = limits(4);
    let mut set = SortedSet::new(4, 64, &limits);
    for number in 0..4 {
        set.set(format!("{number}").as_bytes(), 1.0, &limits);
        assert_eq!(set.encoding_name(), "listpack");
    }
    set.set(b"0", 2.0, &limits);
    assert_eq!(set.encoding_name(), "listpack");
    assert!(!set.grow_for(4, &limits));
    set.set(b"4", 1.0, &limits);
    assert_eq!(set.encoding_name(), "skiplist");
    let mut set = SortedSet::new(1, 1, &limits);
    set.set(&[b'x'; 64], 1.0, &limits);
    assert_eq!(set.encoding_name(), "listpack");
    set.set(&[b'y'; 65], 1.0, &limits);
    assert_eq!(set.encoding_name(), "skiplist");
    assert_eq!(SortedSet::new(5, 1, &limits).encoding_name(), "skiplist");
    assert_eq!(SortedSet::new(1, 65, &limits).encoding_name(), "skiplist");
}
