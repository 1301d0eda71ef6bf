//! The table against a model, with honest and with hostile hashes.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::ptr;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::splitmix;

/// A number in place of a pointer, so that millions of items cost nothing.
#[derive(Debug, PartialEq)]
struct Number(u64);

// SAFETY: nothing is ever read through the pointer; the number is its address.
unsafe impl Item for Number {
    type Ref<'a> = u64;

    fn into_raw(self) -> NonNull<u8> {
        NonNull::new(ptr::without_provenance_mut(((self.0 + 1) * 8) as usize)).unwrap()
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw.addr().get() as u64 / 8 - 1)
    }

    unsafe fn borrow<'a>(raw: NonNull<u8>) -> Self::Ref<'a> {
        raw.addr().get() as u64 / 8 - 1
    }
}

/// How numbers are hashed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hashing {
    /// As a good hash does.
    Mixed,
    /// All alike.
    Equal,
    /// Forty bits alike, the others mixed.
    SharedPrefix,
    /// Seven hashes for all.
    Few,
    /// Half of all items in each next bit of prefix.
    Staircase,
    /// The number itself: only the last bits differ.
    Plain,
    /// The number in the top bits: evenly spread, and nothing behind.
    Reversed,
}

const HASHINGS: [Hashing; 7] = [
    Hashing::Mixed,
    Hashing::Equal,
    Hashing::SharedPrefix,
    Hashing::Few,
    Hashing::Staircase,
    Hashing::Plain,
    Hashing::Reversed,
];

fn mixed(number: u64) -> u64 {
    splitmix::mixed(number.wrapping_add(1).wrapping_mul(splitmix::STEP))
}

impl Hashing {
    fn hash(self, number: u64) -> u64 {
        match self {
            Hashing::Mixed => mixed(number),
            Hashing::Equal => 0x1234_5678_9abc_def0,
            Hashing::SharedPrefix => 0xabcd_ef01_2300_0000 | mixed(number) >> 40,
            Hashing::Few => mixed(number % 7),
            Hashing::Staircase => mixed(number) >> (number % 32),
            Hashing::Plain => number,
            Hashing::Reversed => number.reverse_bits(),
        }
    }
}

impl Rehash<Number> for Hashing {
    fn rehash(&self, item: u64) -> u64 {
        self.hash(item)
    }
}

type Numbers = Table<Number, Hashing>;

impl Numbers {
    fn put(&mut self, number: u64, deadline_ms: Option<u64>) {
        self.insert_unique(self.hasher.hash(number), Number(number), deadline_ms);
    }

    fn has(&self, number: u64) -> bool {
        self.find(self.hasher.hash(number), |found| found == number) == Some(number)
    }

    fn take(&mut self, number: u64) -> bool {
        self.remove(self.hasher.hash(number), |found| found == number) == Some(Number(number))
    }

    /// Checks everything that the table's code relies on.
    fn assert_valid(&self) {
        assert!(self.directory.is_empty() || self.directory.len() == 1 << self.depth);
        let (mut index, mut len, mut spilled, mut bytes) = (0, 0, 0, 0);
        let (mut segments, mut deepest) = (0, 0);
        while index < self.directory.len() {
            let segment = &self.directory[index];
            let (first, entries) = self.entries(index);
            assert_eq!(first, index);
            for alias in &self.directory[first..first + entries] {
                assert_eq!(alias.depth(), segment.depth());
                assert_eq!(alias.slots().as_ptr(), segment.slots().as_ptr());
            }
            segment.assert_valid();
            let (from, to) = self.hashes(index);
            for slot in segment.items() {
                let hash = self.rehash(&slot);
                assert!((from..=to).contains(&hash));
                let fresh = slot_of(slot.word.raw(), hash, segment.depth(), slot.marked);
                assert_eq!((slot.order(), slot.tag), (fresh.order(), fresh.tag));
            }
            let here: usize = self.spill.range(from..=to).map(|(_, equal)| equal.len()).sum();
            assert_eq!(here, segment.spilled());
            len += segment.count() + here;
            spilled += here;
            bytes += segment.bytes();
            segments += 1;
            deepest += usize::from(segment.depth() == self.depth);
            index += entries;
        }
        assert_eq!(len, self.len);
        assert_eq!(spilled, self.spilled);
        assert_eq!(bytes, self.segment_bytes);
        assert_eq!((segments, deepest), (self.segments, self.deepest));
        assert!(self.spill.values().all(|equal| !equal.is_empty()));
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Inserts numbers from the first on, with a deadline for every third.
    Insert(u64, u64),
    Remove(u64, u64),
    SetDeadline(u64, Option<u64>),
    Replace(u64),
    Sweep(u64),
    /// Continues the scan that is under way, or begins one.
    Scan(usize),
    Random(u64),
    Drain(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let most: u64 = if cfg!(miri) { 600 } else { 2500 };
    let number = 0..3000_u64;
    let amount = prop_oneof![4 => 1..10_u64, 2 => 10..200_u64, 1 => 500_u64..most];
    prop_oneof![
        6 => (number.clone(), amount.clone()).prop_map(|(n, a)| Step::Insert(n, a)),
        5 => (number.clone(), amount).prop_map(|(n, a)| Step::Remove(n, a)),
        2 => (number.clone(), prop::option::of(0..100_u64))
            .prop_map(|(n, d)| Step::SetDeadline(n, d)),
        1 => number.prop_map(Step::Replace),
        1 => (0..100_u64).prop_map(Step::Sweep),
        6 => (1..300_usize).prop_map(Step::Scan),
        1 => any::<u64>().prop_map(Step::Random),
        1 => prop_oneof![9 => Just(0_usize), 1 => 1..2000_usize].prop_map(Step::Drain),
    ]
}

/// The scan under way: what must still be returned, and what has been.
struct Scan {
    cursor: u64,
    owed: HashSet<u64>,
    seen: HashSet<u64>,
}

fn run(hashing: Hashing, steps: &[Step]) {
    let mut table = Numbers::new(hashing);
    let mut model: HashMap<u64, Option<u64>> = HashMap::new();
    let mut scan: Option<Scan> = None;
    for step in steps {
        let mut gone = Vec::new();
        match *step {
            Step::Insert(first, amount) => {
                for number in first..first + amount {
                    model.entry(number).or_insert_with(|| {
                        let deadline = number.is_multiple_of(3).then_some(number % 101);
                        table.put(number, deadline);
                        deadline
                    });
                }
            }
            Step::Remove(first, amount) => {
                for number in first..first + amount {
                    assert_eq!(table.take(number), model.remove(&number).is_some());
                    gone.push(number);
                }
            }
            Step::SetDeadline(number, deadline) => {
                let found = table.find_mut(hashing.hash(number), |found| found == number);
                assert_eq!(found.is_some(), model.contains_key(&number));
                if let Some(mut found) = found {
                    assert_eq!(found.is_marked(), model[&number].is_some());
                    found.set_deadline(deadline);
                    model.insert(number, deadline);
                }
            }
            Step::Replace(number) => {
                if let Some(mut found) = table.find_mut(hashing.hash(number), |f| f == number) {
                    assert_eq!(found.replace(Number(number)), Number(number));
                    assert_eq!(found.get(), number);
                }
            }
            Step::Sweep(now) => {
                let limits = SweepLimits { segments: 2, items: 50 };
                let (mut cursor, mut judged) = (0, HashSet::new());
                loop {
                    let judge = |number: u64| {
                        assert!(judged.insert(number), "judged once");
                        match model[&number].expect("only marked items are judged") {
                            deadline if deadline > now => Verdict::Keep { deadline_ms: deadline },
                            deadline if deadline % 5 == 0 => Verdict::Unmark,
                            _ => Verdict::Remove,
                        }
                    };
                    cursor = table.sweep(cursor, now, limits, judge, |item| gone.push(item.0));
                    if cursor == 0 {
                        break;
                    }
                }
                let is_due = |deadline: &Option<u64>| deadline.is_some_and(|d| d <= now);
                for number in &gone {
                    assert!(is_due(&model.remove(number).expect("removed once")));
                }
                for deadline in model.values_mut() {
                    if is_due(deadline) {
                        assert_eq!(deadline.unwrap() % 5, 0, "what is due was judged");
                        *deadline = None;
                    }
                }
            }
            Step::Scan(count) => {
                let under_way = scan.get_or_insert_with(|| Scan {
                    cursor: 0,
                    owed: model.keys().copied().collect(),
                    seen: HashSet::new(),
                });
                let cursor = table.scan(under_way.cursor, count, |number| {
                    assert!(model.contains_key(&number));
                    under_way.owed.remove(&number);
                    assert!(under_way.seen.insert(number), "{number} is returned once");
                });
                // As a client has it in between.
                let shown = shown_cursor(cursor);
                assert!(shown < 1 << 53);
                under_way.cursor = cursor_shown_as(shown);
                if under_way.cursor == 0 {
                    assert!(under_way.owed.is_empty(), "never returned: {:?}", under_way.owed);
                    scan = None;
                }
            }
            Step::Random(seed) => {
                let mut state = seed;
                let chosen = table.random(|| {
                    state = mixed(state);
                    state
                });
                assert_eq!(chosen.is_some(), !model.is_empty());
                assert!(chosen.is_none_or(|number| model.contains_key(&number)));
            }
            Step::Drain(0) => {}
            Step::Drain(count) => {
                table.drain(1 << 63, count, |item| gone.push(item.0));
                for number in &gone {
                    assert!(model.remove(number).is_some());
                }
            }
        }
        if let Some(scan) = &mut scan {
            for number in gone {
                scan.owed.remove(&number);
                // It may be inserted and returned again.
                scan.seen.remove(&number);
            }
        }
        table.assert_valid();
        assert_eq!(table.len(), model.len());
        for number in (0..3200).step_by(7) {
            assert_eq!(table.has(number), model.contains_key(&number));
        }
    }
    assert!(model.keys().all(|&number| table.has(number)));
    assert_eq!(table.iter().collect::<HashSet<_>>(), model.keys().copied().collect());
    assert_eq!(table.iter().count(), model.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn behaves_as_a_model(
        hashing in prop::sample::select(HASHINGS.to_vec()),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        run(hashing, &steps);
    }
}

#[test]
fn an_empty_table_allocates_nothing_and_answers() {
    let mut table = Numbers::new(Hashing::Mixed);
    assert_eq!(table.memory_bytes(), 0);
    assert!(table.is_empty() && !table.has(1) && !table.take(1));
    table.prefetch(1);
    assert_eq!(table.scan(7, 10, |_| unreachable!()), 0);
    assert_eq!(table.random(|| 1), None);
    assert_eq!(table.drain(0, 1, |_| unreachable!()), 0);
    table.put(1, None);
    assert!(table.take(1));
    table.clear();
    assert_eq!(table.memory_bytes(), 0);
}

#[cfg_attr(miri, ignore = "takes hours under Miri")]
#[test]
fn the_index_costs_at_most_13_bytes_a_key_between_one_and_two_million() {
    let mut table = Numbers::new(Hashing::Mixed);
    let (mut worst, mut most_lines) = ((0.0, 0), (0.0, 0));
    for number in 0..2_000_000 {
        table.put(number, None);
        let keys = number + 1;
        if keys >= 1_000_000 && keys.is_multiple_of(10_000) {
            let bytes = table.memory_bytes() as f64 / keys as f64;
            if bytes > worst.0 {
                worst = (bytes, keys);
            }
            let lines: usize = (0..2000)
                .map(|probe| mixed(keys * 3 + probe))
                .map(|hash| table.directory[table.index_of(hash)].lines_read(hash))
                .sum();
            let lines = lines as f64 / 2000.0;
            if lines > most_lines.0 {
                most_lines = (lines, keys);
            }
        }
    }
    println!("most lines a look-up: {:.2}, at {} keys", most_lines.0, most_lines.1);
    assert!(most_lines.0 <= 1.3, "{} lines a look-up at {} keys", most_lines.0, most_lines.1);
    println!("worst: {:.2} bytes a key, at {} keys", worst.0, worst.1);
    assert!(worst.0 <= 13.0, "{} bytes a key at {} keys", worst.0, worst.1);
    println!("spilled: {}", table.spilled);
    assert!(table.spilled < 200, "an honest hash spills hardly anything: {}", table.spilled);
}

#[cfg_attr(miri, ignore = "takes hours under Miri")]
#[test]
fn small_tables_are_small() {
    for (keys, bytes_max) in [(1, 136), (7, 136), (100, 14 * 100 + 200), (1000, 14_000)] {
        let mut table = Numbers::new(Hashing::Mixed);
        (0..keys).for_each(|number| table.put(number, None));
        assert!(table.memory_bytes() <= bytes_max, "{keys}: {}", table.memory_bytes());
    }
}

#[cfg_attr(miri, ignore = "takes hours under Miri")]
#[test]
fn memory_is_given_back_in_whatever_order_items_go() {
    const KEYS: u64 = 60_000;
    let mut by_hash: Vec<u64> = (0..KEYS).collect();
    by_hash.sort_by_key(|&number| mixed(number));
    for order in [(0..KEYS).collect(), by_hash] {
        let mut table = Numbers::new(Hashing::Mixed);
        (0..KEYS).for_each(|number| table.put(number, None));
        let (gone, kept) = order.split_at(KEYS as usize * 99 / 100);
        assert!(gone.iter().all(|&number| table.take(number)));
        table.assert_valid();
        assert!(table.memory_bytes() < kept.len() * 25, "{}", table.memory_bytes());
        assert!(kept.iter().all(|&number| table.take(number)));
        assert_eq!((table.directory.len(), table.memory_bytes()), (1, 8));
    }
}

#[cfg_attr(miri, ignore = "takes hours under Miri")]
#[test]
fn hostile_hashes_do_not_blow_the_directory_up() {
    for hashing in HASHINGS {
        let mut table = Numbers::new(hashing);
        (0..20_000).for_each(|number| table.put(number, None));
        table.assert_valid();
        assert!(table.directory.len() <= 8 * table.segments.max(4), "{hashing:?}");
        let step = if matches!(hashing, Hashing::Equal | Hashing::Few) { 97 } else { 1 };
        assert!((0..20_000).step_by(step).all(|number| table.has(number)));
        assert!((0..20_000).rev().step_by(step).all(|number| table.take(number)));
        table.assert_valid();
    }
}

#[cfg_attr(miri, ignore = "takes hours under Miri")]
#[test]
fn a_scan_accepts_any_cursor_and_ends() {
    for hashing in HASHINGS {
        let mut table = Numbers::new(hashing);
        (0..5000).for_each(|number| table.put(number, None));
        for start in [1, u64::MAX, 1 << 63, 0x1234_5678_9abc_def0, mixed(3), 42, u64::MAX - 1] {
            let (mut cursor, mut seen, mut steps) = (start, HashSet::new(), 0);
            loop {
                cursor = table.scan(cursor, 10, |number| assert!(seen.insert(number)));
                steps += 1;
                assert!(steps < 5000);
                if cursor == 0 {
                    break;
                }
            }
            let expected = (0..5000).filter(|&number| hashing.hash(number) >= start);
            assert_eq!(seen, expected.collect());
        }
    }
}

#[cfg_attr(miri, ignore = "takes hours under Miri")]
#[test]
fn what_a_client_is_shown_of_a_cursor_is_all_of_it() {
    let full = std::env::var("MAINSTAY_TEST_SCALE").is_ok_and(|scale| scale == "full");
    let many = if full { 5_000_000 } else { 300_000 };
    let sizes = HASHINGS.map(|hashing| (hashing, 3000));
    for (hashing, count) in sizes.into_iter().chain([(Hashing::Mixed, many)]) {
        let mut table = Numbers::new(hashing);
        (0..count).for_each(|number| table.put(number, None));
        let (mut shown, mut seen) = (0, 0);
        let mut is_seen = vec![false; count as usize];
        loop {
            let cursor = table.scan(cursor_shown_as(shown), 10, |number| {
                assert!(!std::mem::replace(&mut is_seen[number as usize], true), "once");
                seen += 1;
            });
            shown = shown_cursor(cursor);
            assert!(
                shown < 1 << 53 && cursor_shown_as(shown) == cursor,
                "{hashing:?}: {cursor:#x}"
            );
            if shown == 0 {
                break;
            }
        }
        assert_eq!(seen, count, "{hashing:?}");
    }
}

#[test]
fn a_cursor_that_an_earlier_version_has_shown_is_a_hash() {
    for cursor in [1 << 53, 1 << 63, u64::MAX, 0x8234_5678_9abc_def0] {
        assert_eq!(cursor_shown_as(cursor), cursor);
    }
    assert_eq!(cursor_shown_as((1 << 53) - 1), u64::MAX << 11);
}

#[cfg_attr(miri, ignore = "takes hours under Miri")]
#[test]
fn a_step_of_a_scan_is_bounded() {
    let mut table = Numbers::new(Hashing::SharedPrefix);
    (0..50_000).for_each(|number| table.put(number, None));
    let mut cursor = 0;
    loop {
        let mut visited = 0;
        cursor = table.scan(cursor, 100, |_| visited += 1);
        assert!(visited <= 400, "{visited}");
        if cursor == 0 {
            break;
        }
    }
}

#[cfg_attr(miri, ignore = "takes hours under Miri")]
#[test]
fn a_walk_that_breaks_anywhere_sees_each_item_once() {
    for hashing in HASHINGS {
        let mut table = Numbers::new(hashing);
        (0..3000).for_each(|number| table.put(number, None));
        for start in [0, 1, 1 << 63, 0x1234_5678_9abc_def0, mixed(3), 42] {
            let (mut cursor, mut seen) = (start, HashSet::new());
            let mut rests = 0;
            for step in 0.. {
                let (mut wanted, mut rest) = (step % 7 + 1, Vec::new());
                cursor = table.walk_segment_until(
                    cursor,
                    |number| {
                        assert!(seen.insert(number));
                        wanted -= 1;
                        if wanted == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    },
                    |number| rest.push(number),
                );
                assert!(wanted == 0 || rest.is_empty());
                rests += rest.len();
                rest.into_iter().for_each(|number| assert!(seen.insert(number)));
                if cursor == 0 {
                    break;
                }
            }
            let expected: HashSet<u64> =
                (0..3000).filter(|&number| hashing.hash(number) >= start).collect();
            assert_eq!(seen, expected);
            // Those are few which no cursor can tell from the one at which it broke.
            assert!(hashing != Hashing::Mixed || rests < 100, "{rests}");
        }
    }
}

#[cfg_attr(miri, ignore = "takes hours under Miri")]
#[test]
fn a_sweep_judges_each_item_once_although_segments_merge() {
    run(Hashing::Reversed, &[Step::Insert(586, 1457), Step::Remove(1077, 824), Step::Sweep(92)]);
}

#[cfg_attr(miri, ignore = "takes hours under Miri")]
#[test]
fn a_sweep_passes_segments_where_nothing_is_due() {
    let mut table = Numbers::new(Hashing::Mixed);
    (0..50_000).for_each(|number| table.put(number, Some(1_000_000 + number)));
    let everything = SweepLimits { segments: usize::MAX, items: usize::MAX };
    let judge = |_: u64| unreachable!("nothing is due");
    assert_eq!(table.sweep(0, 999_999, everything, judge, |_| ()), 0);

    // Halves of a split segment know only its lower bound, until they are looked at.
    let judge = |number: u64| Verdict::Keep { deadline_ms: 1_000_000 + number };
    assert_eq!(table.sweep(0, 1_000_000, everything, judge, |_| ()), 0);

    let mut judged = 0;
    let mut removed = Vec::new();
    let judge = |number: u64| {
        judged += 1;
        match number {
            0 => Verdict::Remove,
            _ => Verdict::Keep { deadline_ms: 1_000_000 + number },
        }
    };
    assert_eq!(table.sweep(0, 1_000_000, everything, judge, |item| removed.push(item.0)), 0);
    assert_eq!(removed, [0]);
    assert!(judged <= 889, "only one segment is looked at");
    let judge = |_: u64| unreachable!("the lower bound was computed anew");
    assert_eq!(table.sweep(0, 1_000_000, everything, judge, |_| ()), 0);
}

#[cfg_attr(miri, ignore = "takes hours under Miri")]
#[test]
fn a_random_item_is_any_with_the_same_probability() {
    for keys in [5, 300, 3000] {
        let mut table = Numbers::new(Hashing::Mixed);
        (0..keys).for_each(|number| table.put(number, None));
        let draws = keys * 200;
        let mut state = 7;
        let mut hits = vec![0_u64; keys as usize];
        for _ in 0..draws {
            let chosen = table.random(|| {
                state = mixed(state);
                state
            });
            hits[chosen.unwrap() as usize] += 1;
        }
        // 200 are expected, with a deviation of 14.
        assert!(hits.iter().all(|hits| (130..=270).contains(hits)), "{keys}: {hits:?}");
    }
}

/// An item that counts how many of its kind are alive.
struct Counted(Box<(u64, Rc<Cell<usize>>)>);

impl Counted {
    fn new(number: u64, alive: &Rc<Cell<usize>>) -> Self {
        alive.set(alive.get() + 1);
        Self(Box::new((number, alive.clone())))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.1.set(self.0.1.get() - 1);
    }
}

// SAFETY: it is a box, turned into its pointer and back.
unsafe impl Item for Counted {
    type Ref<'a> = &'a (u64, Rc<Cell<usize>>);

    fn into_raw(self) -> NonNull<u8> {
        NonNull::from(Box::leak(Box::new(self))).cast()
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        // SAFETY: the caller gives a pointer from `into_raw` back.
        *unsafe { Box::from_raw(raw.cast::<Self>().as_ptr()) }
    }

    unsafe fn borrow<'a>(raw: NonNull<u8>) -> Self::Ref<'a> {
        // SAFETY: the caller keeps the item as it is during the borrow.
        unsafe { &raw.cast::<Self>().as_ref().0 }
    }
}

struct ByNumber(Hashing);

impl Rehash<Counted> for ByNumber {
    fn rehash(&self, item: &(u64, Rc<Cell<usize>>)) -> u64 {
        self.0.hash(item.0)
    }
}

#[test]
fn every_item_is_dropped_once() {
    const KEYS: usize = if cfg!(miri) { 600 } else { 3000 };
    for hashing in HASHINGS {
        let alive = Rc::new(Cell::new(0));
        let filled = || {
            let mut table = Table::new(ByNumber(hashing));
            for number in 0..KEYS as u64 {
                let item = Counted::new(number, &alive);
                table.insert_unique(hashing.hash(number), item, Some(number));
            }
            assert_eq!(alive.get(), KEYS);
            table
        };
        let mut table = filled();
        for number in 0..100 {
            let mut found = table.find_mut(hashing.hash(number), |item| item.0 == number).unwrap();
            found.replace(Counted::new(number, &alive));
        }
        assert_eq!(alive.get(), KEYS);
        for number in 100..200 {
            assert!(table.remove(hashing.hash(number), |item| item.0 == number).is_some());
        }
        assert_eq!(alive.get(), KEYS - 100);
        let everything = SweepLimits { segments: usize::MAX, items: usize::MAX };
        let judge = |item: &(u64, _)| match item.0 {
            200..400 => Verdict::Remove,
            number => Verdict::Keep { deadline_ms: number },
        };
        table.sweep(0, u64::MAX - 1, everything, judge, drop);
        assert_eq!(alive.get(), KEYS - 300);
        table.drain(0, 10, drop);
        assert_eq!(alive.get(), table.len());
        drop(table);
        assert_eq!(alive.get(), 0);

        let mut table = filled();
        table.clear();
        assert_eq!((alive.get(), table.len()), (0, 0));

        let mut table = filled();
        let mut cursor = 0;
        loop {
            cursor = table.drain(cursor, 100, drop);
            if cursor == 0 {
                break;
            }
        }
        assert_eq!((alive.get(), table.memory_bytes()), (0, 0));
    }
}
