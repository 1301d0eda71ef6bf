//! Values that change while they are saved: the pieces are what they were at the beginning.

use super::*;
use crate::data::hash::{Field, FieldExpiry, HashHead};
use crate::data::list::{ListHead, NodeView, Side};
use crate::data::listpack::Element;
use crate::data::sorted_set::Entry;
use crate::data::stream::{Bound, Count, Counters, Group, Pending, StreamId, StreamPiece};
use crate::data::{Hash, KeyHasher, Limits, List, Set, SortedSet, Stream};
use crate::splitmix::SplitMix64;
use proptest::prelude::*;
use std::ops::ControlFlow::{Break, Continue};

/// A type of values under test.
trait Subject: Saving + Clone + Send {
    /// Whether pieces come in a certain order.
    const IS_ORDERED: bool;

    fn new() -> Self;

    /// Sets or adds what `name` stands for.
    fn set(&mut self, name: u32, value: u32);

    fn remove(&mut self, name: u32);

    /// Any of the other ways to change it.
    fn change(&mut self, kind: u8, at: u32, count: usize);

    /// The pieces that it would be saved as now.
    fn pieces(&self) -> Vec<String>;

    fn show(piece: Self::Piece<'_>) -> String;

    /// What it holds, however that lies in pieces.
    fn contents(&self) -> Vec<String> {
        self.pieces()
    }

    /// Checks what was remembered of a value with these pieces.
    fn check_head(head: Self::Head, pieces: &[String]);

    fn memory_bytes(&self) -> usize;

    fn is_ready_for_saving(&self) -> bool;
}

/// Everything is big.
fn limits() -> Limits {
    Limits {
        hash_listpack_entries: 0,
        set_intset_entries: 0,
        set_listpack_entries: 0,
        sorted_set_listpack_entries: 0,
        ..Limits::new(KeyHasher::new((5, 6)))
    }
}

fn bytes_of(name: u32) -> Vec<u8> {
    format!("{:.*}", 1 + name as usize % 30, format!("{name:x}:{name:030}")).into_bytes()
}

fn name(number: u32) -> Vec<u8> {
    format!("name {number}").into_bytes()
}

/// Uniformly distributed numbers.
fn numbers(seed: u32) -> impl FnMut() -> u64 {
    let mut numbers = SplitMix64(u64::from(seed));
    move || numbers.next()
}

impl Subject for Hash {
    const IS_ORDERED: bool = false;

    fn new() -> Self {
        let mut hash = Hash::new();
        hash.make_table(limits().hasher);
        hash
    }

    fn set(&mut self, number: u32, value: u32) {
        let expiry = match value % 5 {
            0 => FieldExpiry::At(i64::from(value) + 1),
            1 => FieldExpiry::Keep,
            _ => FieldExpiry::Clear,
        };
        self.set(&name(number), &bytes_of(value), expiry, &limits());
    }

    fn remove(&mut self, number: u32) {
        self.remove(&name(number));
    }

    fn change(&mut self, kind: u8, at: u32, count: usize) {
        if kind.is_multiple_of(2) {
            self.expire_fields(i64::from(at), count);
        } else {
            let expiry = (kind % 4 == 1).then_some(i64::from(at) + 1);
            (at..at + count as u32).for_each(|number| {
                self.set_expiry(&name(number), expiry);
            });
        }
    }

    fn pieces(&self) -> Vec<String> {
        self.iter().map(Self::show).collect()
    }

    fn show(field: Field<'_>) -> String {
        format!("{:?} {:?} {:?}", field.name.to_vec(), field.value.to_vec(), field.expiry_ms)
    }

    fn check_head(head: HashHead, pieces: &[String]) {
        assert_eq!(head.len, pieces.len());
        let expiry = |piece: &String| {
            let number = piece.split_once("Some(")?.1.strip_suffix(')')?;
            Some(number.parse::<i64>().expect("it is a number"))
        };
        let least = pieces.iter().filter_map(expiry).min();
        assert_eq!(head.next_expiry_ms.is_some(), least.is_some());
        assert!(head.next_expiry_ms <= least);
    }

    fn memory_bytes(&self) -> usize {
        self.memory_bytes()
    }

    fn is_ready_for_saving(&self) -> bool {
        true
    }
}

impl Subject for Set {
    const IS_ORDERED: bool = false;

    fn new() -> Self {
        Set::for_members(b"first", 1, &limits())
    }

    fn set(&mut self, number: u32, _value: u32) {
        self.insert(&name(number), &limits());
    }

    fn remove(&mut self, number: u32) {
        self.remove(&name(number));
    }

    fn change(&mut self, _kind: u8, at: u32, count: usize) {
        self.pop(count, &mut numbers(at), |_| {});
    }

    fn pieces(&self) -> Vec<String> {
        self.iter().map(Self::show).collect()
    }

    fn show(member: Element<'_>) -> String {
        format!("{:?}", member.to_vec())
    }

    fn check_head(len: usize, pieces: &[String]) {
        assert_eq!(len, pieces.len());
    }

    fn memory_bytes(&self) -> usize {
        self.memory_bytes()
    }

    fn is_ready_for_saving(&self) -> bool {
        true
    }
}

impl Subject for SortedSet {
    const IS_ORDERED: bool = false;

    fn new() -> Self {
        SortedSet::new(1, 1, &limits())
    }

    fn set(&mut self, number: u32, value: u32) {
        self.set(&name(number), f64::from(value % 700), &limits());
    }

    fn remove(&mut self, number: u32) {
        self.remove(&name(number));
    }

    fn change(&mut self, kind: u8, at: u32, count: usize) {
        if kind.is_multiple_of(2) {
            let start = (at as usize).min(self.len());
            self.remove_ranks(start..(start + count).min(self.len()));
        } else {
            for number in at..at + count as u32 {
                self.update(&name(number), &limits(), |score| score.map(|score| score + 1.5));
            }
        }
    }

    fn pieces(&self) -> Vec<String> {
        self.iter(0, usize::MAX, false).map(Self::show).collect()
    }

    fn show(entry: Entry<'_>) -> String {
        format!("{:?} {}", entry.member.to_vec(), entry.score)
    }

    fn check_head(len: usize, pieces: &[String]) {
        assert_eq!(len, pieces.len());
    }

    fn memory_bytes(&self) -> usize {
        self.memory_bytes()
    }

    fn is_ready_for_saving(&self) -> bool {
        true
    }
}

/// `name` is an index from either end here, and elements are a quarter of a node, or one of them is too big for one.
impl Subject for List {
    const IS_ORDERED: bool = true;

    fn new() -> Self {
        List::new()
    }

    fn set(&mut self, number: u32, value: u32) {
        let mut element = bytes_of(value);
        element.resize(if value.is_multiple_of(700) { 8300 } else { 40 }, b'.');
        let index = number as usize;
        match number % 8 {
            0 if index < self.len() => {
                self.set(index, &element, &list_limits());
            }
            1 if index < self.len() => {
                let pivot = self.get(index % 50).expect("it is there").to_vec();
                let side = if value.is_multiple_of(2) { Side::Left } else { Side::Right };
                self.insert(&pivot, side, &element, &list_limits());
            }
            kind => {
                self.make_room(1, element.len(), &list_limits());
                self.push(if kind < 3 { Side::Left } else { Side::Right }, &element);
            }
        }
    }

    fn remove(&mut self, number: u32) {
        let side = if number.is_multiple_of(3) { Side::Left } else { Side::Right };
        self.pop(side);
        self.shrink(&list_limits());
    }

    fn change(&mut self, kind: u8, at: u32, count: usize) {
        if kind.is_multiple_of(2) {
            self.remove_range(at as usize, count, &list_limits());
        } else if let Some(needle) = self.get(at as usize % 40).map(Element::to_vec) {
            let side = if kind % 4 == 1 { Side::Left } else { Side::Right };
            self.remove_equal(&needle, side, count, &list_limits());
        }
    }

    fn pieces(&self) -> Vec<String> {
        self.nodes().map(Self::show).collect()
    }

    /// Without the nodes: while it is saved a list stays a big one that would become a small one otherwise.
    fn contents(&self) -> Vec<String> {
        self.iter().map(|element| format!("{:?}", element.to_vec())).collect()
    }

    fn show(node: NodeView<'_>) -> String {
        match node {
            NodeView::Packed(listpack) => {
                let elements: Vec<_> = listpack.iter().map(Element::to_vec).collect();
                format!("{} {elements:?}", elements.len())
            }
            NodeView::Plain(element) => format!("1 plain {element:?}"),
        }
    }

    fn check_head(head: ListHead, pieces: &[String]) {
        assert_eq!(head.nodes, pieces.len());
        let len = |piece: &String| piece.split_once(' ')?.0.parse::<usize>().ok();
        assert_eq!(head.len, pieces.iter().filter_map(len).sum::<usize>());
    }

    fn memory_bytes(&self) -> usize {
        self.memory_bytes()
    }

    fn is_ready_for_saving(&self) -> bool {
        self.encoding_name() == "quicklist"
    }
}

fn list_limits() -> Limits {
    Limits { list_listpack_size: 4, ..limits() }
}

/// Names are indexes of entries, except when one is added.
impl Subject for Stream {
    const IS_ORDERED: bool = true;

    fn new() -> Self {
        Stream::new()
    }

    fn set(&mut self, number: u32, value: u32) {
        let last = self.entries.last_id();
        let id = if value.is_multiple_of(3) {
            StreamId::new(last.ms + 1, 0)
        } else {
            last.next().expect("it is not the highest one")
        };
        let (field, value) = (name(number % 3), bytes_of(value));
        self.entries.append(id, [(&field[..], &value[..])].into_iter(), &stream_limits());
        if number.is_multiple_of(20) {
            let group = self.groups.entry(name(number % 100).into());
            let group = group.or_insert_with(|| Group::new(StreamId::MIN, None));
            let consumer = match group.find(&field) {
                Some(consumer) => consumer,
                None => group.add(&field, 1, None),
            };
            group.deliver(id, Pending { consumer, delivered_ms: 2, deliveries: Count::new(1) });
        }
    }

    fn remove(&mut self, number: u32) {
        let mut range = self.entries.range(StreamId::new(u64::from(number), 0), StreamId::MAX);
        let id = range.next().map(|(id, _)| id);
        // Beyond all ids, from the end.
        let id = id.or_else(|| self.entries.top_id());
        if let Some(id) = id {
            self.entries.delete(id);
            self.groups.values_mut().for_each(|group| {
                group.acknowledge(id);
            });
        }
        if self.is_empty() && number.is_multiple_of(2) {
            // New entries come where others were.
            let last_id = StreamId::new(u64::from(number), 0).min(self.entries.last_id());
            let counters = self.entries.counters();
            self.entries.set_counters(Counters { last_id, ..counters });
        }
    }

    fn change(&mut self, kind: u8, at: u32, count: usize) {
        let bound = if kind.is_multiple_of(2) {
            Bound::Len(self.entries.len().saturating_sub(count as u64))
        } else {
            let first = self.entries.first_id();
            Bound::Id(StreamId::new(first.ms + count as u64 / 4, u64::from(at % 3)))
        };
        self.entries.trim(bound, kind % 4 < 2, None);
        self.groups.remove(&name(at % 100)[..]);
    }

    fn pieces(&self) -> Vec<String> {
        let nodes = self.entries.nodes().iter();
        let nodes = nodes.map(|(&key, node)| Self::show(StreamPiece::Node(key, node)));
        let tail = self.entries.tail(self.groups.clone());
        nodes.chain([Self::show(StreamPiece::Tail(&tail))]).collect()
    }

    fn show(piece: StreamPiece<'_>) -> String {
        match piece {
            StreamPiece::Node(key, node) => format!("{key} {:?}", node.as_bytes()),
            StreamPiece::Tail(tail) => format!("{tail:?}"),
        }
    }

    fn check_head(nodes: usize, pieces: &[String]) {
        assert_eq!(nodes + 1, pieces.len());
    }

    fn memory_bytes(&self) -> usize {
        self.memory_bytes()
    }

    fn is_ready_for_saving(&self) -> bool {
        true
    }
}

fn stream_limits() -> Limits {
    Limits { stream_node_entries: 5, ..limits() }
}

#[derive(Clone, Debug)]
enum Step {
    Set { at: u32, count: u32, value: u32 },
    Remove { at: u32, count: u32 },
    Change { kind: u8, at: u32, count: usize },
    Clear,
    Save(usize),
    Abort,
}

/// Names are below this.
const NAMES: u32 = 5000;

fn step() -> impl Strategy<Value = Step> {
    // Mostly few, at times many, so that tables split and merge.
    let count = || prop_oneof![6 => 1..20u32, 2 => 100..600u32, 1 => 2000..NAMES];
    prop_oneof![
        6 => (0..NAMES, count(), 0..2000u32)
            .prop_map(|(at, count, value)| Step::Set { at, count, value }),
        4 => (0..NAMES, count()).prop_map(|(at, count)| Step::Remove { at, count }),
        4 => (any::<u8>(), 0..NAMES, count())
            .prop_map(|(kind, at, count)| Step::Change { kind, at, count: count as usize }),
        1 => Just(Step::Clear),
        10 => prop_oneof![4 => 1..10usize, 2 => 50..500usize, 1 => 1000..4000usize]
            .prop_map(Step::Save),
        1 => Just(Step::Abort),
    ]
}

/// A value, a copy that is changed in the same way and never saved, and what was given out.
struct Trial<S: Subject> {
    value: S,
    copy: S,
    frozen: Vec<String>,
    given: Vec<String>,
}

impl<S: Subject> Trial<S> {
    fn change(&mut self, change: impl Fn(&mut S)) {
        change(&mut self.value);
        change(&mut self.copy);
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Set { at, count, value } => {
                let all = |value_of: &mut S| {
                    (at..at + count)
                        .for_each(|number| value_of.set(number % NAMES, value + number));
                };
                self.change(all);
            }
            Step::Remove { at, count } => self.change(|value| {
                (at..at + count).for_each(|number| value.remove(number % NAMES));
            }),
            Step::Change { kind, at, count } => self.change(|value| value.change(kind, at, count)),
            Step::Clear => {
                self.change(|value| (0..NAMES).for_each(|number| value.remove(number)));
            }
            Step::Save(count) => {
                if self.value.is_saving() {
                    self.save(count);
                } else if self.value.is_ready_for_saving() {
                    self.value.begin_saving();
                    self.frozen = self.value.pieces();
                    self.given.clear();
                    S::check_head(self.value.saving_head(), &self.frozen);
                    assert!(!self.value.clone().is_saving());
                }
            }
            Step::Abort => self.value.end_saving(),
        }
        let is_same =
            self.value.memory_bytes() == self.copy.memory_bytes() + self.value.saving_bytes();
        assert!(is_same || S::IS_ORDERED);
    }

    /// Takes `count` pieces, if there are so many.
    fn save(&mut self, count: usize) {
        let wanted = self.given.len() + count;
        let mut steps = 0;
        while self.value.is_saving() && self.given.len() < wanted {
            let given = &mut self.given;
            let mut shown = 0;
            let is_done = self.value.save_next(&mut |piece| {
                shown += 1;
                given.push(S::show(piece));
                if given.len() < wanted { Continue(()) } else { Break(()) }
            });
            assert_eq!(is_done, !self.value.is_saving());
            steps += usize::from(shown == 0);
            assert!(steps < 1000, "it goes on");
        }
        if !self.value.is_saving() {
            self.check();
        }
    }

    fn check(&mut self) {
        if !S::IS_ORDERED {
            self.given.sort_unstable();
            self.frozen.sort_unstable();
        }
        assert_eq!(self.given.len(), self.frozen.len());
        assert!(self.given == self.frozen);
        assert_eq!(self.value.saving_bytes(), 0);
        assert!(self.value.save_next(&mut |_| panic!("all were given")));
    }

    /// Takes what is left, elsewhere, as if the value had been handed over.
    fn finish(mut self) {
        std::thread::scope(|scope| {
            scope.spawn(move || {
                if self.value.is_saving() {
                    self.save(usize::MAX / 2);
                }
                assert!(self.value.contents() == self.copy.contents());
            });
        });
    }
}

fn try_steps<S: Subject>(steps: Vec<Step>, is_empty_at_end: bool) {
    let mut trial =
        Trial { value: S::new(), copy: S::new(), frozen: Vec::new(), given: Vec::new() };
    steps.into_iter().for_each(|step| trial.run(step));
    if is_empty_at_end {
        trial.run(Step::Clear);
    }
    trial.finish();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn hashes_are_saved_as_they_were(
        steps in prop::collection::vec(step(), 1..60),
        is_empty_at_end in any::<bool>(),
    ) {
        try_steps::<Hash>(steps, is_empty_at_end);
    }

    #[test]
    fn sets_are_saved_as_they_were(
        steps in prop::collection::vec(step(), 1..60),
        is_empty_at_end in any::<bool>(),
    ) {
        try_steps::<Set>(steps, is_empty_at_end);
    }

    #[test]
    fn lists_are_saved_as_they_were(
        steps in prop::collection::vec(step(), 1..60),
        is_empty_at_end in any::<bool>(),
    ) {
        try_steps::<List>(steps, is_empty_at_end);
    }

    #[test]
    fn streams_are_saved_as_they_were(
        steps in prop::collection::vec(step(), 1..60),
        is_empty_at_end in any::<bool>(),
    ) {
        try_steps::<Stream>(steps, is_empty_at_end);
    }

    #[test]
    fn sorted_sets_are_saved_as_they_were(
        steps in prop::collection::vec(step(), 1..60),
        is_empty_at_end in any::<bool>(),
    ) {
        try_steps::<SortedSet>(steps, is_empty_at_end);
    }
}

#[test]
fn each_element_is_given_once_one_at_a_time() {
    // Some hashes are so near to each other that the cursor cannot stand between them.
    fn check<S: Subject>() {
        let mut value = S::new();
        (0..20_000).for_each(|number| value.set(number, number));
        let mut given = Vec::new();
        value.begin_saving();
        while !value.save_next(&mut |piece| {
            given.push(S::show(piece));
            Break(())
        }) {}
        let mut pieces = value.pieces();
        pieces.sort_unstable();
        given.sort_unstable();
        assert!(given == pieces);
    }
    check::<Hash>();
    check::<Set>();
    check::<SortedSet>();
}

#[test]
fn small_values_fit_in_one_piece() {
    const MOST: u32 = PIECE_ELEMENTS_MAX as u32;
    const MORE: u32 = MOST + 1;
    fn fits<S: Subject>(count: u32) -> bool {
        let mut value = S::new();
        (0..count).for_each(|number| value.set(number, number));
        value.fits_one_piece()
    }
    assert!(fits::<Hash>(MOST) && fits::<Set>(MOST) && fits::<SortedSet>(MOST));
    assert!(!fits::<Hash>(MORE) && !fits::<Set>(MORE) && !fits::<SortedSet>(MORE));
    let huge = vec![b'x'; PIECE_BYTES_MAX];
    let (mut hash, mut set) = (Hash::new(), <Set as Subject>::new());
    hash.set(b"name", &huge, FieldExpiry::Clear, &limits());
    set.insert(&huge, &limits());
    let mut sorted_set = <SortedSet as Subject>::new();
    sorted_set.set(&huge, 1.0, &limits());
    assert!(!hash.fits_one_piece() && !set.fits_one_piece() && !sorted_set.fits_one_piece());
    let limits = Limits::new(KeyHasher::new((5, 6)));
    assert!(Hash::new().fits_one_piece());
    let mut intset = Set::for_members(b"1", 1, &limits);
    (0..512).for_each(|number: u32| assert!(intset.insert(number.to_string().as_bytes(), &limits)));
    assert!(intset.fits_one_piece() && !intset.is_saving() && intset.saving_bytes() == 0);
}
