use super::*;
use crate::splitmix::SplitMix64;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow::Continue;

fn limits(intset: usize, listpack: usize) -> Limits {
    Limits {
        set_intset_entries: intset,
        set_listpack_entries: listpack,
        ..Limits::new(KeyHasher::new((1, 2)))
    }
}

fn set_of<T: AsRef<[u8]>>(members: &[T], limits: &Limits) -> Set {
    let mut set = Set::of_intset(Intset::new());
    members.iter().for_each(|member| assert!(set.insert(member.as_ref(), limits)));
    set
}

fn members(set: &Set) -> BTreeSet<Vec<u8>> {
    let members: BTreeSet<_> = set.iter().map(Element::to_vec).collect();
    assert_eq!((members.len(), members.is_empty()), (set.len(), set.is_empty()));
    members
}

/// Uniformly distributed numbers.
fn numbers() -> impl FnMut() -> u64 {
    let mut numbers = SplitMix64(1);
    move || numbers.next()
}

#[test]
fn encodings_change_where_they_do_in_redis() {
    let limits = limits(3, 5);
    let name = |members: &[&str]| set_of(members, &limits).encoding_name();
    assert_eq!(name(&["1", "2", "3"]), "intset");
    assert_eq!(name(&["1", "2", "3", "4"]), "hashtable");
    assert_eq!(name(&["1", "2", "3", "a"]), "listpack");
    assert_eq!(name(&["1", "2", "3", "a", "4"]), "listpack");
    assert_eq!(name(&["1", "2", "3", "a", "4", "b"]), "hashtable");
    assert_eq!(name(&["1", "2", &"x".repeat(64)]), "listpack");
    assert_eq!(name(&["1", "2", &"x".repeat(65)]), "hashtable");
    assert_eq!(name(&["1", "01", &"x".repeat(65)]), "hashtable");
    let short = Limits { set_listpack_value_bytes: 4, ..limits.clone() };
    assert_eq!(set_of(&["1000", "a"], &short).encoding_name(), "listpack");
    assert_eq!(set_of(&["10000", "a"], &short).encoding_name(), "hashtable");
    assert_eq!(set_of(&["-1000", "a"], &short).encoding_name(), "hashtable");

    let name =
        |first: &str, count| Set::for_members(first.as_bytes(), count, &limits).encoding_name();
    assert_eq!([name("1", 3), name("1", 4), name("1", 6)], ["intset", "listpack", "hashtable"]);
    assert_eq!([name("a", 5), name("a", 6)], ["listpack", "hashtable"]);
    let small = set_of(&["1"], &limits);
    assert!(small.is_too_small_for(4, &limits) && !small.is_too_small_for(3, &limits));
    let small = set_of(&["a"], &limits);
    assert!(small.is_too_small_for(6, &limits) && !small.is_too_small_for(5, &limits));
}

#[test]
fn a_big_set_costs_little() {
    let limits = limits(512, 128);
    let mut set = Set::of_listpack(Listpack::new());
    let count = 100_000;
    for number in 0..count {
        set.insert(format!("member:{number:08}").as_bytes(), &limits);
    }
    // 16 bytes for a member of 15, and the index.
    assert!(set.memory_bytes() < count * 30, "{} bytes", set.memory_bytes());
    let copy = set.clone();
    let joined = union(&[&set, &copy], &limits);
    assert_eq!(joined.len(), count);
    // Items that find no place in their table would cost much more.
    for other in [&copy, &joined] {
        assert!(other.memory_bytes() < count * 30, "{} bytes", other.memory_bytes());
    }
    for number in 0..count {
        assert!(set.remove(format!("member:{number:08}").as_bytes()));
    }
    assert!(set.memory_bytes() <= size_of::<Members>() + 64);
    assert_eq!(copy.len(), count);
}

/// Sets of 20 members in each encoding.
fn of_each_encoding() -> Vec<(Set, Limits)> {
    let cases =
        [(limits(20, 0), "intset"), (limits(0, 0), "hashtable"), (limits(5, 20), "listpack")];
    cases
        .into_iter()
        .map(|(limits, name)| {
            let mut set = set_of(&["0"], &limits);
            if name == "listpack" {
                set = Set::of_listpack(Listpack::new());
                set.insert(b"0", &limits);
            }
            (1..20).for_each(|n| assert!(set.insert(n.to_string().as_bytes(), &limits)));
            assert_eq!(set.encoding_name(), name);
            (set, limits)
        })
        .collect()
}

#[test]
fn samples_are_uniform() {
    let mut random = numbers();
    for (set, _) in of_each_encoding() {
        // 6000 picks of 20 members, so 300 of each, with a standard deviation of 17.
        for count in [1, 3, 10, 15] {
            let (mut distinct, mut repeated, mut popped) =
                (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
            for _ in 0..6000 / count {
                let mut round = BTreeSet::new();
                set.sample(count, &mut random, |member| {
                    assert!(round.insert(member.to_vec()));
                    *distinct.entry(member.to_vec()).or_insert(0) += 1;
                });
                assert_eq!(round.len(), count);
                set.sample_with_repeats(count, &mut random, |member| {
                    *repeated.entry(member.to_vec()).or_insert(0) += 1;
                });
                let (mut left, mut taken) = (set.clone(), BTreeSet::new());
                left.pop(count, &mut random, |member| {
                    assert!(taken.insert(member.to_vec()));
                    *popped.entry(member.to_vec()).or_insert(0) += 1;
                });
                assert_eq!((taken.len(), left.len()), (count, 20 - count));
                assert!(taken.iter().all(|member| !left.contains(member)));
            }
            for counts in [distinct, repeated, popped] {
                assert_eq!(counts.len(), 20);
                let is_fair = counts.values().all(|count| (215..385).contains(count));
                assert!(is_fair, "{} {count}: {counts:?}", set.encoding_name());
            }
        }
        let (mut all, mut none) = (Vec::new(), set.clone());
        set.sample(100, &mut random, |member| all.push(member.to_vec()));
        none.pop(100, &mut random, |_| {});
        assert_eq!((all.len(), none.len()), (20, 0));
        assert!(none.random(&mut random).is_none());
        none.sample_with_repeats(5, &mut random, |_| panic!("there is nothing"));
        none.sample(5, &mut random, |_| panic!("there is nothing"));
    }
}

#[test]
fn scans_visit_all() {
    for (set, _) in of_each_encoding() {
        let (mut cursor, mut visited, mut steps) = (0, Vec::new(), 0);
        loop {
            cursor = set.scan(cursor, 3, |member| visited.push(member.to_vec()));
            steps += 1;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(visited.len(), 20);
        assert_eq!(visited.into_iter().collect::<BTreeSet<_>>(), members(&set));
        assert_eq!(steps > 1, set.encoding_name() == "hashtable");
    }
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (-6..6i64).prop_map(|number| number.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        2 => "[a-f]".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 60..70),
    ]
}

/// Limits with which a set of integers that is too big for an intset is too big for a listpack: otherwise the
/// encoding depends on the order of members.
fn some_limits() -> impl Strategy<Value = Limits> {
    (1..8usize, 0..8usize).prop_map(|(listpack, more)| limits(listpack + more, listpack))
}

proptest! {
    #[test]
    fn behaves_like_a_set(
        limits in some_limits(),
        changes in prop::collection::vec((0..3u8, member()), 1..60),
    ) {
        let (mut set, mut model) = (Set::of_intset(Intset::new()), BTreeSet::new());
        for (kind, member) in changes {
            prop_assert_eq!(set.contains(&member), model.contains(&member));
            if kind > 0 {
                prop_assert_eq!(set.insert(&member, &limits), !model.contains(&member));
                model.insert(member);
            } else {
                prop_assert_eq!(set.remove(&member), model.remove(&member));
            }
            prop_assert_eq!(&members(&set), &model);
        }
        prop_assert_eq!(members(&set.clone()), model);
    }

    #[test]
    fn algebra_is_right(
        limits in some_limits(),
        contents in prop::collection::vec(prop::collection::btree_set(member(), 0..14), 1..5),
        copies in prop::collection::vec(0..4usize, 0..2),
    ) {
        let sets: Vec<Set> = contents
            .iter()
            .map(|all| set_of(&all.iter().collect::<Vec<_>>(), &limits))
            .collect();
        let mut refs: Vec<&Set> = sets.iter().collect();
        let mut contents: Vec<_> = contents.iter().collect();
        for copy in copies {
            // The same key may be named twice.
            refs.push(refs[copy % sets.len()]);
            contents.push(contents[copy % sets.len()]);
        }
        let all: BTreeSet<_> = contents.iter().flat_map(|set| set.iter().cloned()).collect();
        let common = all.iter().filter(|m| contents.iter().all(|set| set.contains(*m)));
        let common: BTreeSet<_> = common.cloned().collect();
        let others = |m: &&Vec<u8>| contents[1..].iter().any(|set| set.contains(*m));
        let only: BTreeSet<_> = contents[0].iter().filter(|m| !others(m)).cloned().collect();

        prop_assert_eq!(members(&union(&refs, &limits)), all);
        let others = &mut refs[1..].to_vec();
        prop_assert_eq!(members(&difference(refs[0], others, &limits)), only);
        let mut visited = BTreeSet::new();
        intersection(&mut refs.clone(), &limits, |member| {
            assert!(visited.insert(member.to_vec()));
            Continue(())
        });
        prop_assert_eq!(&visited, &common);
        let intersected = Set::of_intersection(&mut refs, &limits);
        prop_assert_eq!(&members(&intersected), &common);
        // However the sets were encoded, the result is what an intset or a listpack of it can be.
        let are_numbers = common.iter().all(|member| parse_i64(member).is_some());
        let are_short = common.iter().all(|member| member.len() <= 64);
        let expected = match common.len() {
            len if are_numbers && len <= limits.set_intset_entries => "intset",
            len if are_short && len <= limits.set_listpack_entries => "listpack",
            _ => "hashtable",
        };
        prop_assert_eq!(intersected.encoding_name(), expected);
    }
}
