//! What the keyspace's table costs: nanoseconds an operation, bytes a key, and the longest insert.
//!
//! `cargo bench --bench table -- [keys …]`, by default one and ten million. Beside it runs the
//! standard library's map over the same boxed items and with the same hash.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use mainstay::data::table::{Item, Rehash, Table};
use siphasher::sip::SipHasher13;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A key of 16 bytes, as an entry of the keyspace begins.
struct Key(Box<[u64; 2]>);

// SAFETY: it is a box, turned into its pointer and back.
unsafe impl Item for Key {
    type Ref<'a> = &'a [u64; 2];

    fn into_raw(self) -> NonNull<u8> {
        NonNull::from(Box::leak(self.0)).cast()
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        // SAFETY: the caller gives a pointer from `into_raw` back.
        Self(unsafe { Box::from_raw(raw.cast().as_ptr()) })
    }

    unsafe fn borrow<'a>(raw: NonNull<u8>) -> Self::Ref<'a> {
        // SAFETY: the caller keeps the item as it is during the borrow.
        unsafe { raw.cast().as_ref() }
    }
}

struct Sip;

impl Rehash<Key> for Sip {
    fn rehash(&self, item: &[u64; 2]) -> u64 {
        hash(item)
    }
}

fn hash(key: &[u64; 2]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(1, 2);
    hasher.write_u64(key[0]);
    hasher.write_u64(key[1]);
    hasher.finish()
}

/// The standard map hashes with the same function.
#[derive(Default)]
struct SameHash(u64);

impl Hasher for SameHash {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers are hashed");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(PartialEq, Eq)]
struct Hashed(Box<[u64; 2]>);

impl std::hash::Hash for Hashed {
    fn hash<S: Hasher>(&self, state: &mut S) {
        state.write_u64(hash(&self.0));
    }
}

fn key(number: u64) -> [u64; 2] {
    [number, !number]
}

/// The numbers below `keys` in an order that no cache foresees.
fn shuffled(keys: u64) -> impl Iterator<Item = u64> {
    let step = (keys as f64 * 0.618) as u64 | 1;
    let step = (step..).step_by(2).find(|&step| gcd(step, keys) == 1).unwrap_or(1);
    let mut at = 0;
    (0..keys).map(move |_| {
        at = (at + step) % keys;
        at
    })
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn timed(name: &str, operations: u64, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let ns = start.elapsed().as_nanos() as f64 / operations as f64;
    println!("  {name:<32} {ns:>8.1} ns");
}

fn allocated() -> usize {
    tikv_jemalloc_ctl::epoch::advance().expect("jemalloc has statistics");
    tikv_jemalloc_ctl::stats::allocated::read().expect("jemalloc has statistics")
}

fn table(keys: u64) {
    println!("table, {keys} keys");
    let mut items: Vec<Key> = (0..keys).map(|number| Key(Box::new(key(number)))).collect();
    let before = allocated();
    let mut table = Table::new(Sip);
    timed("insert", keys, || {
        for item in items.drain(..) {
            table.insert_unique(hash(&item.0), item, None);
        }
    });
    let (index, counted) = (allocated() - before, table.memory_bytes());
    let a_key = |bytes: usize| bytes as f64 / keys as f64;
    println!("  index: {:.2} bytes a key, {:.2} by jemalloc", a_key(counted), a_key(index));
    timed("find, hit", keys, || {
        for number in shuffled(keys) {
            let key = key(number);
            assert!(table.find(hash(&key), |found| *found == key).is_some());
        }
    });
    timed("find, hit, prefetched by 8", keys, || {
        let mut numbers = shuffled(keys);
        let mut batch = Vec::with_capacity(8);
        loop {
            batch.clear();
            batch.extend(numbers.by_ref().take(8).map(|number| (hash(&key(number)), key(number))));
            if batch.is_empty() {
                break;
            }
            batch.iter().for_each(|&(hash, _)| table.prefetch(hash));
            for (hash, key) in &batch {
                assert!(table.find(*hash, |found| found == key).is_some());
            }
        }
    });
    timed("find, miss", keys, || {
        for number in shuffled(keys) {
            let key = key(number + keys);
            assert!(table.find(hash(&key), |found| *found == key).is_none());
        }
    });
    timed("scan, 10 a step", keys, || {
        let (mut cursor, mut sum) = (0, 0);
        loop {
            cursor = table.scan(cursor, 10, |found| sum += std::ptr::from_ref(found).addr());
            if cursor == 0 {
                break;
            }
        }
        black_box(sum);
    });
    timed("remove", keys, || {
        for number in shuffled(keys) {
            let key = key(number);
            assert!(table.remove(hash(&key), |found| *found == key).is_some());
        }
    });

    let mut took = Vec::with_capacity(keys as usize);
    for number in 0..keys {
        let item = Key(Box::new(key(number)));
        let hash = hash(&item.0);
        let start = Instant::now();
        table.insert_unique(hash, item, None);
        took.push(start.elapsed().as_nanos() as u32);
    }
    took.sort_unstable();
    let at = |share: f64| Duration::from_nanos(took[(keys as f64 * share) as usize].into());
    let longest = &took[took.len() - 5..];
    println!("  one insert: p50 {:?}, p99 {:?}, p99.9 {:?}", at(0.5), at(0.99), at(0.999));
    println!("  p99.99 {:?}, p99.999 {:?}, longest {longest:?} ns", at(0.9999), at(0.99999));
}

fn standard(keys: u64) {
    println!("std HashMap, {keys} keys");
    let mut items: Vec<Hashed> = (0..keys).map(|number| Hashed(Box::new(key(number)))).collect();
    let mut map = HashMap::<Hashed, (), BuildHasherDefault<SameHash>>::default();
    timed("insert", keys, || {
        for item in items.drain(..) {
            map.insert(item, ());
        }
    });
    let mut probe = Hashed(Box::new(key(0)));
    timed("find, hit", keys, || {
        for number in shuffled(keys) {
            *probe.0 = key(number);
            assert!(map.contains_key(&probe));
        }
    });
    timed("find, miss", keys, || {
        for number in shuffled(keys) {
            *probe.0 = key(number + keys);
            assert!(!map.contains_key(&probe));
        }
    });
    timed("remove", keys, || {
        for number in shuffled(keys) {
            *probe.0 = key(number);
            assert!(map.remove(&probe).is_some());
        }
    });
}

/// How long doubling a directory of this many entries takes: allocate twice the room and copy.
fn directory(entries: usize) {
    let old: Vec<u64> = (0..entries as u64).collect();
    let double = || {
        let start = Instant::now();
        let mut new = Vec::with_capacity(entries * 2);
        for &entry in &old {
            new.extend([entry, entry]);
        }
        black_box(&new);
        start.elapsed()
    };
    let mut took: Vec<Duration> = (0..9).map(|_| double()).collect();
    let first = took[0];
    took.sort();
    println!("doubling a directory of {entries}: first {first:?}, median {:?}", took[4]);
}

fn main() {
    let counts: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![1_000_000, 10_000_000] } else { counts };
    for keys in counts {
        table(keys);
        standard(keys);
    }
    for bits in [17, 18, 19] {
        directory(1 << bits);
    }
}
