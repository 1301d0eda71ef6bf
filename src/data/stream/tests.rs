//! Streams against an ordinary ordered map.

use super::*;
use crate::data::{KeyHasher, Limits};
use proptest::prelude::*;

type Model = BTreeMap<StreamId, Vec<(Vec<u8>, Vec<u8>)>>;

#[derive(Clone, Debug)]
enum Step {
    Append(u64, u64, Vec<(u8, Vec<u8>)>),
    Delete(usize),
    TrimLen(usize),
    TrimId(usize),
    TrimAbout(usize, Option<u64>),
    Range(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let fields = prop::collection::vec((0..3u8, prop::collection::vec(any::<u8>(), 0..20)), 1..4);
    prop_oneof![
        8 => (0..3u64, 0..3u64, fields).prop_map(|(ms, seq, fields)| Step::Append(ms, seq, fields)),
        3 => (0..200usize).prop_map(Step::Delete),
        1 => (0..100usize).prop_map(Step::TrimLen),
        1 => (0..100usize).prop_map(Step::TrimId),
        1 => (0..100usize, prop::option::of(0..30u64)).prop_map(|(n, l)| Step::TrimAbout(n, l)),
        4 => (0..200usize, 0..200usize).prop_map(|(a, b)| Step::Range(a, b)),
    ]
}

fn owned(fields: Fields<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.map(|(field, value)| (field.to_vec(), value.to_vec())).collect()
}

/// The id of the `index`-th entry, or one near the end if there is none.
fn id_at(model: &Model, index: usize) -> StreamId {
    model.keys().nth(index).copied().unwrap_or(StreamId::new(index as u64, 1))
}

fn check(entries: &Entries, model: &Model) {
    let all: Model = entries
        .range(StreamId::MIN, StreamId::MAX)
        .map(|(id, fields)| (id, owned(fields)))
        .collect();
    assert_eq!(&all, model);
    assert_eq!(entries.len(), model.len() as u64);
    let first = model.keys().next().copied().unwrap_or(StreamId::MIN);
    assert_eq!(entries.first_id(), first);
    assert_eq!(entries.top_id(), model.keys().next_back().copied());
    // What an RDB file would carry is accepted and is the same.
    let again = |(&key, node): (&StreamId, &Node)| {
        (key, Node::from_bytes(key, node.as_bytes()).expect("our own bytes are sound"))
    };
    let nodes = entries.nodes().iter().map(again).collect();
    let copy = Entries::from_nodes(nodes, entries.counters()).expect("they are in order");
    assert_eq!(copy.len(), entries.len());
    assert_eq!(copy.first_id(), entries.first_id());
}

proptest! {
    #[test]
    fn behaves_as_an_ordered_map(
        steps in prop::collection::vec(step(), 1..150),
        node_bytes in prop::sample::select(&[0usize, 60, 300][..]),
        node_entries in prop::sample::select(&[0usize, 1, 7][..]),
    ) {
        let limits = Limits {
            stream_node_bytes: node_bytes,
            stream_node_entries: node_entries,
            ..Limits::new(KeyHasher::new((1, 2)))
        };
        let (mut entries, mut model) = (Entries::default(), Model::new());
        for step in steps {
            match step {
                Step::Append(ms, seq, fields) => {
                    let last = entries.last_id();
                    let seq = if ms == 0 { last.seq + 1 + seq } else { seq };
                    let id = StreamId::new(last.ms + ms, seq);
                    let fields: Vec<_> =
                        fields.into_iter().map(|(name, value)| (vec![b'a' + name], value)).collect();
                    entries.append(id, fields.iter().map(|(f, v)| (&f[..], &v[..])), &limits);
                    model.insert(id, fields);
                }
                Step::Delete(index) => {
                    let id = id_at(&model, index);
                    prop_assert_eq!(entries.delete(id), model.remove(&id).is_some());
                }
                Step::TrimLen(len) => {
                    let expected = model.len().saturating_sub(len);
                    prop_assert_eq!(entries.trim(Bound::Len(len as u64), false, None), expected as u64);
                    model = model.into_iter().skip(expected).collect();
                }
                Step::TrimId(index) => {
                    let id = id_at(&model, index);
                    let kept = model.split_off(&id);
                    prop_assert_eq!(entries.trim(Bound::Id(id), false, None), model.len() as u64);
                    model = kept;
                }
                Step::TrimAbout(len, limit) => {
                    let removed = entries.trim(Bound::Len(len as u64), true, limit);
                    prop_assert!(removed <= model.len().saturating_sub(len) as u64);
                    prop_assert!(limit.is_none_or(|limit| removed <= limit));
                    model = model.into_iter().skip(removed as usize).collect();
                }
                Step::Range(a, b) => {
                    let (start, end) = (id_at(&model, a), id_at(&model, b));
                    let found: Vec<_> = entries.range(start, end).map(|(id, _)| id).collect();
                    let mut back: Vec<_> =
                        entries.range_back(start, end).map(|(id, _)| id).collect();
                    back.reverse();
                    let expected: Vec<_> = model
                        .keys()
                        .copied()
                        .filter(|&id| start <= id && id <= end)
                        .collect();
                    prop_assert_eq!(&found, &expected);
                    prop_assert_eq!(&back, &expected);
                    let fields = entries.get(start).map(owned);
                    prop_assert_eq!(fields.as_ref(), model.get(&start));
                }
            }
            check(&entries, &model);
        }
    }

    #[test]
    fn damaged_nodes_are_refused_or_harmless(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut entries = Entries::default();
        let limits = Limits::new(KeyHasher::new((1, 2)));
        for ms in 1..20 {
            let fields = [(&b"field"[..], &b"value"[..]), (b"n", b"17")];
            entries.append(StreamId::new(ms, 0), fields.into_iter().take(ms as usize % 2 + 1), &limits);
        }
        entries.delete(StreamId::new(4, 0));
        let (&key, node) = entries.nodes().first_key_value().expect("there are entries");
        let mut bytes = node.as_bytes().to_vec();
        for (index, mask) in flips {
            let index = index.index(bytes.len());
            bytes[index] ^= mask;
        }
        if let Ok(node) = Node::from_bytes(key, &bytes) {
            let counters = Counters { last_id: StreamId::MAX, ..Counters::default() };
            if let Some(entries) = Entries::from_nodes(BTreeMap::from([(key, node)]), counters) {
                let range = entries.range(StreamId::MIN, StreamId::MAX);
                prop_assert_eq!(range.count() as u64, entries.len());
            }
        }
    }
}

#[test]
fn ids_of_a_node_may_lie_further_apart_than_signed_numbers_reach() {
    let mut entries = Entries::default();
    let ids = [StreamId::new(0, u64::MAX), StreamId::new(1, 0), StreamId::new(u64::MAX, 0)];
    for id in ids {
        entries.append(
            id,
            [(&b"f"[..], &b"v"[..])].into_iter(),
            &Limits::new(KeyHasher::new((0, 0))),
        );
    }
    assert_eq!(entries.nodes().len(), 1);
    let nodes = entries
        .nodes()
        .iter()
        .map(|(&key, node)| (key, Node::from_bytes(key, node.as_bytes()).expect("its own bytes")));
    let loaded = Entries::from_nodes(nodes.collect(), entries.counters()).expect("in order");
    assert!(loaded.range(StreamId::MIN, StreamId::MAX).map(|(id, _)| id).eq(ids));
}

#[test]
fn a_last_id_may_be_set_below_a_deleted_entry_and_entries_added_behind_it() {
    let limits = Limits::new(KeyHasher::new((0, 0)));
    let mut entries = Entries::default();
    let field = || [(&b"f"[..], &b"v"[..])].into_iter();
    let id = |ms| StreamId::new(ms, 0);
    [1, 5, 9].into_iter().for_each(|ms| entries.append(id(ms), field(), &limits));
    assert!(entries.delete(id(9)) && entries.delete(id(1)));
    entries.set_counters(Counters { last_id: id(6), ..entries.counters() });
    entries.append(id(7), field(), &limits);
    let ids = |entries: &Entries| -> Vec<_> {
        entries.range(StreamId::MIN, StreamId::MAX).map(|(id, _)| id).collect()
    };
    assert_eq!(ids(&entries), [id(5), id(7)]);
    let loaded = Entries::from_nodes(entries.nodes().clone(), entries.counters()).expect("sound");
    assert_eq!(ids(&loaded), [id(5), id(7)]);
}
