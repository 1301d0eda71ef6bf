//! What a big sorted set costs: bytes an element by the allocator's own count, and nanoseconds an
//! operation.
//!
//! `cargo bench --bench sorted_set -- [elements …]`, by default 1.0 and 1.9 million with members of 15
//! bytes, inserted by ascending scores, by descending ones, by random ones, and all with one score.

use std::hint::black_box;
use std::time::Instant;

use mainstay::data::sorted_set::{ScoreRange, SortedSet};
use mainstay::data::{KeyHasher, Limits};
use mainstay::splitmix::mixed;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn member(number: u64) -> [u8; 15] {
    let mut member = *b"member:00000000";
    let mut left = number;
    for digit in member[7..].iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    member
}

fn allocated() -> usize {
    tikv_jemalloc_ctl::epoch::advance().expect("jemalloc has statistics");
    tikv_jemalloc_ctl::stats::allocated::read().expect("jemalloc has statistics")
}

fn timed(name: &str, operations: u64, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let ns = start.elapsed().as_nanos() as f64 / operations as f64;
    println!("  {name:<32} {ns:>8.1} ns");
}

fn walk(set: &SortedSet, rank: usize) {
    for entry in set.iter(rank, 10, false) {
        black_box(entry.member.len());
    }
}

fn sorted_set(elements: u64, order: &str, score: impl Fn(u64) -> f64) {
    const PROBES: u64 = 300_000;

    println!("{elements} elements, {order}");
    let limits = Limits::new(KeyHasher::new((1, 2)));
    let before = allocated();
    let mut set = SortedSet::new(1, 15, &limits);
    timed("insert", elements, || {
        for number in 0..elements {
            set.set(&member(number), score(number), &limits);
        }
    });
    let bytes = (allocated() - before) as f64 / elements as f64;
    let counted = set.memory_bytes() as f64 / elements as f64;
    println!("  {bytes:.2} bytes an element by jemalloc, {counted:.2} counted");
    let probe = |number: u64| mixed(number) % elements;
    timed("score of a member", PROBES, || {
        for number in 0..PROBES {
            assert!(set.score(&member(probe(number))).is_some());
        }
    });
    timed("rank of a member", PROBES, || {
        for number in 0..PROBES {
            assert!(set.rank(&member(probe(number))).is_some());
        }
    });
    timed("10 elements from a random rank", PROBES, || {
        for number in 0..PROBES {
            walk(&set, probe(number) as usize);
        }
    });
    timed("10 elements from a random score", PROBES, || {
        for number in 0..PROBES {
            let min = score(probe(number));
            let max = f64::INFINITY;
            let range = ScoreRange { min, excludes_min: false, max, excludes_max: false };
            let ranks = set.ranks_by_score(&range);
            walk(&set, ranks.start);
        }
    });
    timed("a step of a walk over all", elements, || {
        let mut sum = 0.0;
        set.iter(0, usize::MAX, false)
            .for_each(|entry| sum += entry.score + entry.member.len() as f64);
        black_box(sum);
    });
    timed("a tiny change of a score", PROBES, || {
        for number in 0..PROBES {
            set.update(&member(probe(number)), &limits, |score| Some(score? * (1.0 + 1e-13)));
        }
    });
    timed("a new score", PROBES, || {
        for number in 0..PROBES {
            set.set(&member(probe(number)), score(probe(number + 7)) + 0.5, &limits);
        }
    });
    timed("remove", elements, || {
        for number in 0..elements {
            set.remove(&member(number));
        }
    });
}

fn main() {
    let counts: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![1_000_000, 1_900_000] } else { counts };
    for elements in counts {
        sorted_set(elements, "ascending", |number| number as f64);
        sorted_set(elements, "descending", |number| -(number as f64));
        sorted_set(elements, "random", |number| mixed(number) as f64 / 1e10);
        sorted_set(elements, "one score", |_| 0.0);
    }
}
