use super::*;
use crate::splitmix::SplitMix64;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn limits() -> Limits {
    Limits {
        hash_listpack_entries: 8,
        hash_listpack_value_bytes: 16,
        ..Limits::new(KeyHasher::new((3, 4)))
    }
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn contents(hash: &Hash) -> Model {
    let entry = |field: Field<'_>| (field.name.to_vec(), (field.value.to_vec(), field.expiry_ms));
    hash.iter().map(entry).collect()
}

/// Asserts that a hash is what the model says, in every way of looking at it.
fn check(hash: &Hash, model: &Model) {
    assert_eq!(&contents(hash), model);
    assert_eq!(hash.len(), model.len());
    assert_eq!(hash.is_empty(), model.is_empty());
    let next = model.values().filter_map(|&(_, expiry)| expiry).min();
    assert_eq!(hash.next_expiry_ms().is_some(), next.is_some());
    assert!(hash.next_expiry_ms() <= next || next.is_none());
    for (name, (value, expiry_ms)) in model {
        let field = hash.get(name).expect("the model has it");
        assert!(field.name.eq_bytes(name) && field.value.eq_bytes(value));
        assert_eq!(field.expiry_ms, *expiry_ms);
    }
    let mut scanned = Vec::new();
    let mut cursor = 0;
    loop {
        cursor = hash.scan(cursor, 3, |field| scanned.push(field.name.to_vec()));
        if cursor == 0 {
            break;
        }
    }
    scanned.sort();
    assert!(scanned.iter().eq(model.keys()));
    if hash.encoding_name() == "listpackex" {
        assert_eq!(hash.next_expiry_ms(), next);
        let times: Vec<i64> = hash.iter().map(|f| f.expiry_ms.unwrap_or(i64::MAX)).collect();
        assert!(times.is_sorted(), "{times:?}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(Vec<u8>, Vec<u8>, FieldExpiry),
    Remove(Vec<u8>),
    SetExpiry(Vec<u8>, Option<i64>),
    Expire(i64, usize),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof!["[a-f]", "[0-9]", "x[0-9]{2}"].prop_map(String::into_bytes)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[0-9]{0,3}".prop_map(String::into_bytes),
        4 => any::<i64>().prop_map(|number| number.to_string().into_bytes()[..].to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let expiry = prop_oneof![
        Just(FieldExpiry::Clear),
        Just(FieldExpiry::Keep),
        (1..50i64).prop_map(FieldExpiry::At),
    ];
    prop_oneof![
        6 => (name(), value(), expiry).prop_map(|(name, value, expiry)| Step::Set(name, value, expiry)),
        3 => name().prop_map(Step::Remove),
        3 => (name(), prop::option::of(1..50i64)).prop_map(|(name, at)| Step::SetExpiry(name, at)),
        1 => (0..50i64, 0..5usize).prop_map(|(now, limit)| Step::Expire(now, limit)),
    ]
}

proptest! {
    #[test]
    fn a_hash_is_a_map(
        steps in prop::collection::vec(step(), 0..80),
        entries in prop_oneof![Just(4usize), Just(30)],
    ) {
        let limits = Limits { hash_listpack_entries: entries, ..limits() };
        let (mut hash, mut model) = (Hash::new(), Model::new());
        for step in steps {
            match step {
                Step::Set(name, value, expiry) => {
                    let present = model.get(&name).and_then(|&(_, expiry)| expiry);
                    let is_new = !model.contains_key(&name);
                    prop_assert_eq!(hash.set(&name, &value, expiry, &limits), is_new);
                    model.insert(name, (value, expiry.of(present)));
                }
                Step::Remove(name) => {
                    prop_assert_eq!(hash.remove(&name), model.remove(&name).is_some());
                }
                Step::SetExpiry(name, at) => {
                    let field = model.get_mut(&name);
                    prop_assert_eq!(hash.set_expiry(&name, at), field.is_some());
                    field.into_iter().for_each(|field| field.1 = at);
                }
                Step::Expire(now_ms, limit) => {
                    let is_due = |expiry: Option<i64>| expiry.is_some_and(|at| at <= now_ms);
                    let due = model.values().filter(|&&(_, expiry)| is_due(expiry)).count();
                    let gone = hash.expire_fields(now_ms, limit);
                    prop_assert_eq!(gone.len(), due.min(limit));
                    for name in gone {
                        prop_assert!(is_due(model.remove(&name).expect("it was there").1));
                    }
                }
            }
            check(&hash, &model);
            if hash.encoding_name() != "hashtable" {
                prop_assert!(hash.len() <= entries);
            }
        }
        let copy = hash.clone();
        prop_assert_eq!(copy.encoding_name(), hash.encoding_name());
        prop_assert_eq!(copy.memory_bytes() > 0, true);
        drop(hash);
        check(&copy, &model);
    }
}

fn names(hash: &Hash) -> String {
    let names: Vec<_> =
        hash.iter().map(|field| String::from_utf8(field.name.to_vec()).expect("text")).collect();
    names.join(" ")
}

#[test]
fn encodings_change_where_redis_changes_them() {
    let limits = limits();
    let mut hash = Hash::new();
    for n in 0..8 {
        hash.set(format!("f{n}").as_bytes(), b"v", FieldExpiry::Keep, &limits);
    }
    assert_eq!(hash.encoding_name(), "listpack");
    let mut expiring = hash.clone();
    assert!(expiring.set_expiry(b"f3", Some(7)));
    assert_eq!(expiring.encoding_name(), "listpackex");
    assert!(expiring.set_expiry(b"f3", None));
    assert_eq!(expiring.encoding_name(), "listpackex");
    for hash in [&mut hash, &mut expiring] {
        hash.set(b"f8", b"v", FieldExpiry::Keep, &limits);
        assert_eq!(hash.encoding_name(), "hashtable");
        assert_eq!(hash.len(), 9);
        hash.remove(b"f8");
        assert_eq!(hash.encoding_name(), "hashtable");
    }
    for (name, value) in [("f", &b"0123456789abcdefg"[..]), ("0123456789abcdefg", b"v")] {
        let mut hash = Hash::new();
        hash.set(name.as_bytes(), value, FieldExpiry::Keep, &limits);
        assert_eq!(hash.encoding_name(), "hashtable");
    }
    let pairs: Vec<&[u8]> = vec![b"f"; 18];
    let mut hash = Hash::new();
    hash.prepare(pairs[..16].iter().copied(), &limits);
    assert_eq!(hash.encoding_name(), "listpack");
    hash.prepare(pairs.iter().copied(), &limits);
    assert_eq!(hash.encoding_name(), "hashtable");
}

#[test]
fn fields_are_in_the_order_in_which_they_expire() {
    let limits = limits();
    let mut hash = Hash::new();
    for name in ["a", "b", "c", "d"] {
        hash.set(name.as_bytes(), b"v", FieldExpiry::Clear, &limits);
    }
    hash.set_expiry(b"b", Some(20));
    hash.set_expiry(b"d", Some(10));
    assert_eq!(names(&hash), "d b a c");
    // Those that expire at the same time: the last one comes first.
    hash.set_expiry(b"a", Some(20));
    assert_eq!(names(&hash), "d a b c");
    hash.set(b"a", b"w", FieldExpiry::Keep, &limits);
    assert_eq!(names(&hash), "d a b c");
    hash.set(b"d", b"w", FieldExpiry::Clear, &limits);
    assert_eq!(names(&hash), "a b c d");
    hash.set(b"e", b"w", FieldExpiry::At(30), &limits);
    assert_eq!(names(&hash), "a b e c d");
    assert_eq!(hash.next_expiry_ms(), Some(20));
    assert_eq!(hash.expire_fields(29, 1), [b"a"]);
    assert_eq!(hash.expire_fields(29, 10), [b"b"]);
    assert_eq!(names(&hash), "e c d");
}

#[test]
fn samples_are_uniform() {
    let limits = limits();
    let mut numbers = SplitMix64(7);
    let mut random = || numbers.next();
    // A listpack, one with expiry times, and a table of which few or many are wanted.
    for (size, expires, wanted) in
        [(5, false, 2), (5, true, 2), (40, false, 3), (40, true, 20), (9, false, 4)]
    {
        let mut hash = Hash::new();
        for n in 0..size {
            let expiry = if expires { FieldExpiry::At(n + 1) } else { FieldExpiry::Clear };
            hash.set(n.to_string().as_bytes(), b"v", expiry, &limits);
        }
        let size = size as usize;
        let mut counts = vec![[0_usize; 3]; size];
        let index = |field: Field<'_>| {
            let name = String::from_utf8(field.name.to_vec()).expect("digits");
            name.parse::<usize>().expect("a number")
        };
        let rounds = 400 * size;
        for _ in 0..rounds / wanted {
            let mut seen = Vec::new();
            hash.sample(wanted, &mut random, |field| seen.push(index(field)));
            let all = seen.len();
            seen.iter().for_each(|&n| counts[n][0] += 1);
            seen.sort_unstable();
            seen.dedup();
            assert_eq!((all, seen.len()), (wanted, wanted));
            hash.sample_with_repeats(wanted, &mut random, |field| counts[index(field)][1] += 1);
            for _ in 0..wanted {
                counts[index(hash.random(&mut random).expect("not empty"))][2] += 1;
            }
        }
        // About 400 each, with a standard deviation below 20.
        for count in counts.iter().flatten() {
            assert!((300..500).contains(count), "{size} {wanted}: {counts:?}");
        }
    }
    assert!(Hash::new().random(&mut random).is_none());
    Hash::new().sample_with_repeats(3, &mut random, |_| panic!("there is none"));
    Hash::new().sample(3, &mut random, |_| panic!("there is none"));
}

#[test]
fn memory_is_within_its_budget() {
    let limits = limits();
    let mut hash = Hash::new();
    let count = 100_000;
    for n in 0..count {
        let name = format!("field:{n:08}");
        hash.set(name.as_bytes(), b"value:01234", FieldExpiry::Clear, &limits);
    }
    let bytes = hash.memory_bytes() as f64 / f64::from(count);
    assert!((40.0..48.0).contains(&bytes), "{bytes} bytes a field");
    for n in 0..count {
        assert!(hash.remove(format!("field:{n:08}").as_bytes()));
    }
    assert!(hash.memory_bytes() < 1000, "{}", hash.memory_bytes());
}

#[test]
fn a_listpack_with_a_time_that_is_none_is_refused() {
    let of_time = |time| {
        let mut triples = Listpack::new();
        triples.push_back(b"name");
        triples.push_back(b"value");
        triples.push_back_integer(time);
        Hash::from_expiring_listpack(&triples)
    };
    assert!(of_time(0).is_ok() && of_time(FIELD_EXPIRY_MAX_MS).is_ok());
    assert!(of_time(-1).is_err() && of_time(FIELD_EXPIRY_MAX_MS + 1).is_err());
}
