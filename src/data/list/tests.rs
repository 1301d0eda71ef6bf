use super::*;
use crate::data::KeyHasher;
use proptest::prelude::*;
use std::collections::VecDeque;

fn limits(size: i32) -> Limits {
    Limits { list_listpack_size: size, ..Limits::new(KeyHasher::new((0, 0))) }
}

fn push(list: &mut List, side: Side, element: &[u8], limits: &Limits) {
    list.make_room(1, element.len(), limits);
    list.push(side, element);
}

fn contents(list: &List) -> Vec<Vec<u8>> {
    let elements: Vec<_> = list.iter().map(Element::to_vec).collect();
    assert_eq!(list.len(), elements.len());
    elements
}

/// Elements in each node.
fn node_lens(list: &List) -> Vec<usize> {
    let len = |node| match node {
        NodeView::Packed(listpack) => listpack.len(),
        NodeView::Plain(_) => 1,
    };
    list.nodes().map(len).collect()
}

fn numbers(count: usize, limits: &Limits) -> List {
    let mut list = List::new();
    for number in 0..count {
        push(&mut list, Side::Right, number.to_string().as_bytes(), limits);
    }
    list
}

#[test]
fn a_list_becomes_big_by_bytes_and_small_below_half() {
    let limits = limits(-1);
    let mut list = List::new();
    for _ in 0..40 {
        push(&mut list, Side::Right, &[b'x'; 98], &limits);
    }
    // 7 bytes, and 101 for each element; the last one's overhead does not count.
    assert_eq!((list.encoding_name(), list.memory_bytes()), ("listpack", 4096));
    push(&mut list, Side::Right, &[b'x'; 98], &limits);
    assert_eq!(list.encoding_name(), "quicklist");
    assert_eq!(node_lens(&list), [40, 1]);
    list.remove_range(40, 1, &limits);
    assert_eq!(node_lens(&list), [40]);
    list.remove_range(0, 19, &limits);
    assert_eq!(list.encoding_name(), "quicklist");
    list.remove_range(0, 1, &limits);
    assert_eq!((list.encoding_name(), list.len()), ("listpack", 20));
}

#[test]
fn a_list_becomes_big_by_elements() {
    let limits = limits(8);
    let mut list = numbers(8, &limits);
    assert_eq!(list.encoding_name(), "listpack");
    push(&mut list, Side::Left, b"8", &limits);
    assert_eq!((list.encoding_name(), node_lens(&list)), ("quicklist", vec![1, 8]));
    list.remove_range(0, 1, &limits);
    assert_eq!(list.remove_equal(b"0", Side::Right, usize::MAX, &limits), 1);
    assert_eq!(list.encoding_name(), "quicklist");
    list.remove_range(4, 9, &limits);
    assert_eq!(list.encoding_name(), "listpack");
    assert_eq!(contents(&list), [b"1", b"2", b"3", b"4"]);
}

#[test]
fn a_huge_element_has_a_node_of_its_own() {
    let limits = limits(-2);
    let huge = vec![b'h'; 9000];
    let mut list = numbers(10, &limits);
    assert!(list.set(4, &huge, &limits));
    assert_eq!(node_lens(&list), [4, 1, 5]);
    assert!(list.set(4, b"4", &limits));
    // It went to the start of the next node.
    assert_eq!(node_lens(&list), [4, 6]);
    assert!(list.insert(b"3", Side::Right, &huge, &limits));
    assert!(list.insert(b"6", Side::Left, &huge, &limits));
    assert_eq!(node_lens(&list), [4, 1, 2, 1, 4]);
    assert!(list.insert(&huge, Side::Left, b"l", &limits));
    assert!(list.insert(&huge, Side::Right, b"r", &limits));
    assert_eq!(node_lens(&list), [5, 1, 3, 1, 4]);
    push(&mut list, Side::Left, &huge, &limits);
    push(&mut list, Side::Right, &huge, &limits);
    push(&mut list, Side::Right, b"end", &limits);
    assert_eq!(node_lens(&list), [1, 5, 1, 3, 1, 4, 1, 1]);
    assert_eq!(list.remove_equal(&huge, Side::Left, 3, &limits), 3);
    assert_eq!(node_lens(&list), [5, 3, 4, 1, 1]);
    assert_eq!(list.remove_equal(&huge, Side::Right, usize::MAX, &limits), 1);
    let expected = ["0", "1", "2", "3", "l", "r", "4", "5", "6", "7", "8", "9", "end"];
    assert_eq!(contents(&list), expected.map(|text| text.as_bytes()));
    let mut single = List::new();
    push(&mut single, Side::Right, &huge, &limits);
    assert_eq!(single.encoding_name(), "quicklist");
    assert!(single.set(0, b"small", &limits));
    assert_eq!(single.encoding_name(), "listpack");
    assert_eq!(contents(&single), [b"small"]);
}

#[test]
fn a_node_without_room_is_split_and_merged() {
    let limits = limits(6);
    let mut list = numbers(24, &limits);
    assert_eq!(node_lens(&list), [6, 6, 6, 6]);
    assert!(list.insert(b"8", Side::Right, b"a", &limits));
    assert_eq!(node_lens(&list), [6, 3, 4, 6, 6]);
    assert!(list.insert(b"14", Side::Left, b"b", &limits));
    assert_eq!(node_lens(&list), [6, 3, 4, 3, 4, 6]);
    // What fits together is merged.
    assert!(list.insert(b"1", Side::Left, b"c", &limits));
    assert_eq!(contents(&list).len(), 27);
    list.remove_range(3, 17, &limits);
    assert_eq!(list.len(), 10);
}

#[test]
fn what_does_not_exist_changes_nothing() {
    let limits = limits(4);
    let mut list = numbers(4, &limits);
    assert!(!list.set(4, b"x", &limits));
    assert!(!list.insert(b"9", Side::Left, b"x", &limits));
    assert_eq!(list.remove_equal(b"9", Side::Left, usize::MAX, &limits), 0);
    list.remove_range(4, 1, &limits);
    assert_eq!((list.encoding_name(), list.len()), ("listpack", 4));
    assert!(list.get(4).is_none());
    assert!(list.iter_at(4, Side::Left).next().is_none());
    assert_eq!((list.index(-4), list.index(-5), list.index(4)), (Some(0), None, None));
    assert_eq!(list.index(i64::MIN), None);
}

#[test]
fn a_new_list_settles() {
    let limits = limits(4);
    let mut listpack = Listpack::new();
    (0..4).for_each(|number| listpack.push_back_integer(number));
    let mut list = List::of_listpack(listpack.clone());
    list.settle(&limits);
    assert_eq!(list.encoding_name(), "listpack");
    listpack.push_back_integer(4);
    let mut list = List::of_listpack(listpack);
    list.settle(&limits);
    assert_eq!((list.encoding_name(), list.len()), ("quicklist", 5));
    list.settle(&self::limits(5));
    assert_eq!((list.encoding_name(), list.len()), ("listpack", 5));
}

#[derive(Clone, Debug)]
enum Change {
    Push(Side, usize),
    Pop(Side, usize),
    Set(prop::sample::Index, usize),
    Insert(u8, Side, usize),
    RemoveRange(prop::sample::Index, usize),
    RemoveEqual(u8, Side, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let side = || prop_oneof![Just(Side::Left), Just(Side::Right)];
    // Mostly short ones, some that fill a node, some that are too long for one.
    let len = || prop_oneof![20 => 1..40usize, 3 => 1000..3000usize, 1 => 4090..4110usize];
    prop_oneof![
        6 => (side(), len()).prop_map(|(side, len)| Change::Push(side, len)),
        1 => (side(), 1..4usize).prop_map(|(side, count)| Change::Pop(side, count)),
        2 => (any::<prop::sample::Index>(), len()).prop_map(|(at, len)| Change::Set(at, len)),
        3 => (any::<u8>(), side(), len()).prop_map(|(p, side, len)| Change::Insert(p, side, len)),
        1 => (any::<prop::sample::Index>(), 0..40usize).prop_map(|(at, n)| Change::RemoveRange(at, n)),
        1 => (any::<u8>(), side(), 1..4usize).prop_map(|(e, s, n)| Change::RemoveEqual(e, s, n)),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_deque(
        size in prop_oneof![Just(-1), 1..9i32],
        changes in prop::collection::vec(change(), 1..200),
    ) {
        let limits = limits(size);
        let limit = NodeLimit::new(size);
        let (mut list, mut model) = (List::new(), VecDeque::<Vec<u8>>::new());
        let element = |step: usize, len: usize| [&[b'a' + (step % 26) as u8][..], &vec![b'.'; len - 1]].concat();
        for (step, change) in changes.into_iter().enumerate() {
            let chosen = |model: &VecDeque<Vec<u8>>, byte: u8| {
                model.get(usize::from(byte) % model.len().max(1)).cloned().unwrap_or_default()
            };
            match change {
                Change::Push(side, len) => {
                    let element = element(step, len);
                    push(&mut list, side, &element, &limits);
                    if side == Side::Left {
                        model.push_front(element);
                    } else {
                        model.push_back(element);
                    }
                }
                Change::Pop(side, count) => {
                    let count = count.min(model.len());
                    let start = if side == Side::Left { 0 } else { model.len() - count };
                    list.remove_range(start, count, &limits);
                    model.drain(start..start + count);
                }
                Change::Set(at, len) => {
                    let at = if model.is_empty() { 0 } else { at.index(model.len()) };
                    let element = element(step, len);
                    prop_assert_eq!(list.set(at, &element, &limits), !model.is_empty());
                    if let Some(old) = model.get_mut(at) {
                        *old = element;
                    }
                }
                Change::Insert(pivot, side, len) => {
                    let (pivot, element) = (chosen(&model, pivot), element(step, len));
                    let found = model.iter().position(|other| *other == pivot);
                    prop_assert_eq!(list.insert(&pivot, side, &element, &limits), found.is_some());
                    if let Some(found) = found {
                        model.insert(found + usize::from(side == Side::Right), element);
                    }
                }
                Change::RemoveRange(at, count) => {
                    let at = if model.is_empty() { 0 } else { at.index(model.len()) };
                    list.remove_range(at, count, &limits);
                    model.drain(at..(at + count).min(model.len()));
                }
                Change::RemoveEqual(needle, side, count) => {
                    let needle = chosen(&model, needle);
                    let mut found: Vec<_> = (0..model.len()).filter(|&at| model[at] == needle).collect();
                    if side == Side::Right {
                        found.reverse();
                    }
                    found.truncate(count);
                    prop_assert_eq!(list.remove_equal(&needle, side, count, &limits), found.len());
                    found.sort_unstable();
                    found.iter().rev().for_each(|&at| { model.remove(at); });
                }
            }
            if model.is_empty() {
                // The key would be deleted.
                list = List::new();
            }
            prop_assert_eq!(list.len(), model.len());
            for node in list.nodes() {
                match node {
                    NodeView::Packed(listpack) if list.encoding_name() == "quicklist" => {
                        prop_assert!(!listpack.is_empty());
                    }
                    NodeView::Plain(element) => prop_assert!(limit.is_large(element.len())),
                    NodeView::Packed(_) => {}
                }
            }
        }
        prop_assert_eq!(contents(&list), model.iter().cloned().collect::<Vec<_>>());
        for at in 0..model.len() {
            prop_assert!(list.get(at).unwrap().eq_bytes(&model[at]));
            let left: Vec<_> = list.iter_at(at, Side::Left).map(Element::to_vec).collect();
            prop_assert!(left.iter().eq(model.iter().take(at + 1).rev()));
            let right: Vec<_> = list.iter_at(at, Side::Right).map(Element::to_vec).collect();
            prop_assert!(right.iter().eq(model.iter().skip(at)));
        }
        prop_assert_eq!(contents(&list.clone()), contents(&list));
    }
}
