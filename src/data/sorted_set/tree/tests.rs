//! The tree against an ordered map.

use super::*;
use crate::data::sorted_set::element::ElementBox;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// A tree with its elements, and the same in standard collections.
#[derive(Default)]
struct Both {
    tree: Tree,
    elements: HashMap<Vec<u8>, ElementBox>,
    model: BTreeMap<(u64, Vec<u8>), ()>,
}

impl Both {
    fn set(&mut self, score: f64, member: &[u8]) {
        if let Some(element) = self.elements.get(member) {
            let old = (key_of(element.view().score()), member.to_vec());
            assert!(self.model.remove(&old).is_some());
            self.tree.set_score(element.view().raw(), score);
            assert_eq!(element.view().score().to_bits(), score.to_bits());
        } else {
            let element = ElementBox::new(score, member);
            // SAFETY: the element is dropped only when it has been taken out.
            unsafe { self.tree.insert(element.view().raw()) };
            self.elements.insert(member.to_vec(), element);
        }
        self.model.insert((key_of(score), member.to_vec()), ());
    }

    fn remove(&mut self, member: &[u8]) {
        if let Some(element) = self.elements.remove(member) {
            let score = element.view().score();
            assert!(self.tree.remove(element.view().raw()));
            assert!(self.model.remove(&(key_of(score), member.to_vec())).is_some());
        }
    }

    fn remove_range(&mut self, start: usize, count: usize) {
        let gone: Vec<_> = self.model.keys().skip(start).take(count).cloned().collect();
        let (tree, elements) = (&mut self.tree, &mut self.elements);
        let mut told = Vec::new();
        tree.remove_range(start, count, |raw| {
            // SAFETY: the element is still in the map.
            let member = unsafe { Element::from_raw(raw) }.member().to_vec();
            elements.remove(&member);
            told.push(member);
        });
        assert_eq!(told, gone.iter().map(|(_, member)| member.clone()).collect::<Vec<_>>());
        for key in gone {
            self.model.remove(&key);
        }
    }

    /// Compares everything, and looks whether the tree is well formed.
    fn check(&self) {
        assert_eq!(self.tree.len(), self.model.len());
        if !self.tree.is_empty() {
            let mut first = None;
            let mut bytes = 0;
            let count = check_node(self.tree.root, self.tree.height, &mut first, &mut bytes);
            assert_eq!((count, bytes), (self.tree.len(), self.tree.memory_bytes()));
        } else {
            assert_eq!(self.tree.memory_bytes(), 0);
        }
        let shown = |element: Element<'_>| (key_of(element.score()), element.member().to_vec());
        let all: Vec<_> = self.tree.iter(0, usize::MAX, false).map(shown).collect();
        assert!(all.iter().eq(self.model.keys()));
        if let Some(last) = self.tree.len().checked_sub(1) {
            let back: Vec<_> = self.tree.iter(last, usize::MAX, true).map(shown).collect();
            assert!(back.iter().eq(self.model.keys().rev()));
        }
    }

    /// Compares ranks and ranges around some places.
    fn check_ranks(&self, scores: &[f64]) {
        let keys: Vec<_> = self.model.keys().collect();
        for (rank, (_, member)) in keys.iter().enumerate().step_by(1 + keys.len() / 50) {
            let element = self.elements[member].view();
            assert_eq!(self.tree.rank(element.score(), member), rank);
            let some: Vec<_> = self.tree.iter(rank, 3, false).map(Element::member).collect();
            assert!(some.iter().eq(keys[rank..].iter().take(3).map(|(_, member)| member)));
        }
        for &score in scores {
            let key = key_of(score);
            let before = keys.partition_point(|&&(other, _)| other < key);
            assert_eq!(self.tree.rank_of_bound(Bound::Before(score)), before);
            let after = keys.partition_point(|&&(other, _)| other <= key);
            assert_eq!(self.tree.rank_of_bound(Bound::After(score)), after);
            let member = b"m5".as_slice();
            let rank = keys.partition_point(|&(k, m)| (*k, m.as_slice()) < (key, member));
            assert_eq!(self.tree.rank(score, member), rank);
        }
        assert_eq!(self.tree.iter(self.tree.len(), 5, true).count(), 0);
    }
}

/// Counts the elements below a node, whose first one must be what its separators state.
fn check_node(
    node: NonNull<u8>,
    height: usize,
    first: &mut Option<(u64, Raw)>,
    bytes: &mut usize,
) -> usize {
    let Some(below) = height.checked_sub(1) else {
        // SAFETY: below the inner nodes there are leaves, and the tree is borrowed.
        let leaf = unsafe { Leaf::at(node) };
        leaf.check();
        let element = leaf.element(0);
        *first = Some((key_of(element.score()), element.raw()));
        *bytes += leaf.bytes();
        return leaf.len();
    };
    // SAFETY: so many levels are inner nodes, and the tree is borrowed.
    let inner = unsafe { Inner::at(node) };
    assert!((1..=FANOUT).contains(&inner.len()));
    *bytes += INNER_BYTES;
    let mut total = 0;
    for at in 0..inner.len() {
        let mut own = None;
        let count = check_node(inner.child(at), below, &mut own, bytes);
        assert_eq!(inner.count(at), count);
        if at == 0 {
            *first = own;
        } else {
            assert_eq!(own, Some(inner.separator(at)));
        }
        total += count;
    }
    total
}

#[derive(Clone, Debug)]
enum Step {
    Set(f64, u32),
    /// Many at once, from a number on, upwards or downwards, all scores that far apart.
    Run(u32, u32, f64),
    Remove(u32),
    RemoveRange(u32, u32),
    Nudge(u32, f64),
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-20..20i32).prop_map(f64::from),
        8 => -1e3..1e3f64,
        2 => any::<f64>().prop_filter("scores are numbers", |score| !score.is_nan()),
        1 => prop::sample::select(&[f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX,
            f64::MIN_POSITIVE, 5e-324, -5e-324][..]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let number = || 0..3000u32;
    prop_oneof![
        4 => (score(), number()).prop_map(|(score, member)| Step::Set(score, member)),
        4 => (number(), 1..700u32, prop::sample::select(&[1.0, -1.0, 0.0, 1e-9, 1e300][..]))
            .prop_map(|(from, count, apart)| Step::Run(from, count, apart)),
        4 => number().prop_map(Step::Remove),
        2 => (0..6000u32, 0..900u32).prop_map(|(start, count)| Step::RemoveRange(start, count)),
        4 => (number(), -3.0..3.0f64).prop_map(|(member, by)| Step::Nudge(member, by)),
    ]
}

fn name(number: u32) -> Vec<u8> {
    format!("m{number}").into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_tree_is_an_ordered_map_with_ranks(
        steps in prop::collection::vec(step(), 1..60),
        scores in prop::collection::vec(score(), 6),
    ) {
        let mut both = Both::default();
        for step in steps {
            match step {
                Step::Set(score, member) => both.set(score, &name(member)),
                Step::Run(from, count, apart) => {
                    for n in 0..count {
                        // Infinitely far apart times zero is no number.
                        both.set(f64::from(n) * apart.min(1e300), &name(from + n));
                    }
                }
                Step::Remove(member) => both.remove(&name(member)),
                Step::RemoveRange(start, count) => {
                    both.remove_range(start as usize, count as usize);
                }
                Step::Nudge(member, by) => {
                    if let Some(element) = both.elements.get(&name(member)) {
                        let score = element.view().score() + by;
                        both.set(score, &name(member));
                    }
                }
            }
            both.check();
        }
        both.check_ranks(&scores);
        let len = both.tree.len();
        both.remove_range(0, len);
        both.check();
    }
}

/// Numbers without an order.
fn scattered(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| n.wrapping_mul(0x9e37_79b1).rotate_left(13).wrapping_mul(0x85eb_ca6b))
}

#[cfg_attr(miri, ignore = "takes hours under Miri")]
#[test]
fn many_elements_in_any_order_then_none() {
    const COUNT: u32 = 60_000;
    let orders: [Box<dyn Iterator<Item = f64>>; 5] = [
        Box::new((0..COUNT).map(f64::from)),
        Box::new((0..COUNT).rev().map(f64::from)),
        Box::new(scattered(COUNT).map(|n| f64::from(n) / 1e3)),
        Box::new(scattered(COUNT).map(|n| f64::from(n % 100))),
        Box::new((0..COUNT).map(|_| 0.0)),
    ];
    for scores in orders {
        let mut both = Both::default();
        for (number, score) in scores.enumerate() {
            both.set(score, &name(number as u32));
        }
        both.check();
        both.check_ranks(&[0.0, 1.5, 77.0, 1e5, -1.0]);
        let bytes = both.tree.memory_bytes() as f64 / f64::from(COUNT);
        assert!(bytes < 10.0, "{bytes}");
        for (round, number) in scattered(COUNT).enumerate() {
            both.remove(&name(number % COUNT));
            if round % 10_000 == 0 {
                both.check();
            }
        }
        both.check();
        // What is left of the elements fills its nodes at least by a quarter.
        let bytes = both.tree.memory_bytes() as f64 / both.tree.len() as f64;
        assert!(bytes < 20.0, "{bytes}");
        let len = both.tree.len();
        both.remove_range(10, len - 20);
        both.check();
        assert_eq!(both.tree.len(), 20);
        assert_eq!(both.tree.height, 0);
    }
}

#[test]
fn members_are_found_by_a_predicate() {
    let count = if cfg!(miri) { 500 } else { 5000 };
    let mut both = Both::default();
    for number in 0..count {
        both.set(7.0, format!("{number:04}").as_bytes());
    }
    for number in [0, 1, 60, 127, count / 2, count - 1] {
        let member = format!("{number:04}");
        let below = both.tree.rank_where(|other| other.member() < member.as_bytes());
        assert_eq!(below, number);
    }
    assert_eq!(both.tree.rank_where(|_| true), count);
    assert_eq!(both.tree.rank_where(|_| false), 0);
    assert_eq!(Tree::new().rank_where(|_| true), 0);
}
