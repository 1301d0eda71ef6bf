//! Walks over a table that is changed between their steps.
//!
//! A cursor is the first hash not yet visited; zero is both the start and, as a result, the end. Any
//! number is a valid cursor, so what a client sends needs no check. A step visits exactly the items
//! with hashes between its cursor and the one it returns. Since an item never changes its hash, each
//! one that is there during a whole walk is visited exactly once, whatever happens to the others.
//!
//! Clients are shown the upper 53 bits of a cursor, which numbers of every language hold: the 2,048
//! hashes that those bits do not tell apart are given out whole ([`shown_cursor`]).

use std::collections::btree_map;
use std::ops::{ControlFlow, RangeInclusive};
use std::ptr::NonNull;
use std::slice;

use super::bucket::SLOTS;
use super::segment::{BUCKETS_MAX, Found, NEVER, Segment, order_of};
use super::{DROP_AHEAD, Item, Place, Rehash, Spilled, Table, after_prefix, prefetch};

/// A step of a scan ends only where this many bits of the next hash are zero. Segments have more
/// below their prefix.
const CURSOR_LOW_BITS: u32 = u64::BITS - f64::MANTISSA_DIGITS;

/// A cursor that [`Table::scan`] has given, as clients see it: below 2^53, so that doubles and
/// signed integers hold it.
pub fn shown_cursor(cursor: u64) -> u64 {
    cursor >> CURSOR_LOW_BITS
}

/// The cursor for [`Table::scan`] of what a client was shown. Greater numbers are cursors of
/// earlier versions, which showed all bits.
pub fn cursor_shown_as(number: u64) -> u64 {
    match number >> f64::MANTISSA_DIGITS {
        0 => number << CURSOR_LOW_BITS,
        _ => number,
    }
}

/// What becomes of an item that was looked at for expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, and it expires at this time, in milliseconds. When that time has come already, it
    /// is looked at again next time.
    Keep {
        /// Milliseconds, on the same clock as `now_ms`.
        deadline_ms: u64,
    },
    /// It stays and does not expire any more.
    Unmark,
    /// It is to be removed.
    Remove,
}

/// Where a step over expiring items ends.
#[derive(Clone, Copy, Debug)]
pub struct SweepLimits {
    /// Segments to visit at most; passing one in which nothing is due takes a few nanoseconds.
    pub segments: usize,
    /// Marked items after which no further segment is begun; one has at most 889.
    pub items: usize,
}

impl<T: Item, H: Rehash<T>> Table<T, H> {
    /// Visits the next items in the order of hash ranges, about `count` of them, and returns the
    /// cursor for the next step, or zero at the end; [`shown_cursor`] tells it to clients.
    ///
    /// Only items with equal hashes, or those of one range of hashes too dense to be told apart, can
    /// make it more than twice `count`. Over vacant prefixes it may visit fewer, or none.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(T::Ref<'a>)) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let count = count.max(1);
        let mut cursor = cursor;
        let mut visited = 0;
        for _ in 0..count.max(16) {
            let (here, next) = self.scan_segment(cursor, count - visited, &mut visit);
            visited += here;
            let Some(next) = next else {
                return 0;
            };
            cursor = next;
            if visited >= count {
                break;
            }
        }
        cursor
    }

    /// Visits the items of one segment from the cursor on, at most 889 with ordinary hashes, and
    /// returns the cursor for the next step, or zero at the end.
    pub fn walk_segment<'a>(&'a self, cursor: u64, mut visit: impl FnMut(T::Ref<'a>)) -> u64 {
        if self.is_empty() {
            return 0;
        }
        self.scan_segment(cursor, usize::MAX, &mut visit).1.unwrap_or(0)
    }

    /// Visits items of one segment from the cursor on until `visit` breaks or there are no more, and returns the
    /// cursor for the next step, or zero at the end. Items behind the one at which it broke that no
    /// cursor can tell from it are handed to `rest`: mostly there are none.
    pub fn walk_segment_until<'a>(
        &'a self,
        cursor: u64,
        mut visit: impl FnMut(T::Ref<'a>) -> ControlFlow<()>,
        mut rest: impl FnMut(T::Ref<'a>),
    ) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let index = self.index_of(cursor);
        let segment = &self.directory[index];
        if segment.spilled() > 0 {
            // What is spilled lies elsewhere, so this goes from one cursor to the next.
            let mut is_broken = false;
            let next = self.scan_segment(cursor, 1, &mut |item| {
                if is_broken {
                    rest(item);
                } else {
                    is_broken = visit(item).is_break();
                }
            });
            return next.1.unwrap_or(0);
        }
        let depth = segment.depth();
        let (start, last) = self.hashes(index);
        let from = order_of(cursor, depth);
        let first_hash = |order: u16| start | u64::from(order) << (48 - depth);
        let words = || {
            let buckets =
                if segment.is_vacant() { &[] } else { &segment.slots()[segment.home(from)..] };
            let words = buckets.iter().flat_map(|b| (0..b.len()).map(|at| b.word(at)));
            words.skip_while(|word| word.order() < from)
        };
        let mut ahead = words();
        ahead.by_ref().take(DROP_AHEAD).for_each(|word| prefetch(word.raw().as_ptr()));
        let mut broken = None;
        for word in words() {
            if let Some(next) = ahead.next() {
                prefetch(next.raw().as_ptr());
            }
            if broken.is_some_and(|order| word.order() > order) {
                break;
            }
            // SAFETY: the table owns the item and stays borrowed as long as the result.
            let item = unsafe { T::borrow(word.raw()) };
            // A cursor made at a deeper prefix may lie among the hashes of one order.
            if first_hash(word.order()) < cursor && self.hasher.rehash(item) < cursor {
                continue;
            }
            if broken.is_some() {
                rest(item);
            } else if visit(item).is_break() {
                broken = Some(word.order());
            }
        }
        let last = broken.map_or(last, |order| first_hash(order) | after_prefix(depth + 16));
        last.checked_add(1).unwrap_or(0)
    }

    /// Visits items of the cursor's segment, and returns how many and where to go on.
    fn scan_segment<'a>(
        &'a self,
        cursor: u64,
        limit: usize,
        visit: &mut impl FnMut(T::Ref<'a>),
    ) -> (usize, Option<u64>) {
        let index = self.index_of(cursor);
        let segment = &self.directory[index];
        let depth = segment.depth();
        let (start, mut last) = self.hashes(index);
        if segment.is_vacant() {
            return (0, last.checked_add(1));
        }

        let from = order_of(cursor, depth);
        let buckets = &segment.slots()[segment.home(from)..];
        let words = || {
            let words = buckets.iter().flat_map(|b| (0..b.len()).map(|at| b.word(at)));
            words.skip_while(|word| word.order() < from)
        };
        let first_hash = |order: u16| start | u64::from(order) << (48 - depth);

        // First find where to stop: items of equal order are not torn apart.
        let mut order = from;
        for (counted, word) in words().enumerate() {
            if counted >= limit && word.order() > order {
                last = first_hash(word.order()) - 1;
                break;
            }
            order = word.order();
        }
        if segment.spilled() > 0 {
            let mut counted = 0;
            for (&hash, spilled) in self.spill.range(cursor..=last) {
                counted += spilled.len();
                if counted >= limit {
                    last = hash;
                    break;
                }
            }
        }

        // What a client is shown of the next cursor must be all of it.
        last |= after_prefix(u64::BITS - CURSOR_LOW_BITS);

        let mut visited = 0;
        let mut visit = |raw: NonNull<u8>| {
            visited += 1;
            // SAFETY: the table owns the item and stays borrowed as long as the result.
            visit(unsafe { T::borrow(raw) });
        };
        for word in words() {
            let least = first_hash(word.order());
            if least > last {
                break;
            }
            let raw = word.raw();
            // The order decides, unless a boundary made at a deeper prefix, or because of spilled
            // items, falls between hashes of this order.
            let inside = if least >= cursor && least | after_prefix(depth + 16) <= last {
                true
            } else {
                // SAFETY: the table owns the item, and the borrow ends with the call.
                let hash = self.hasher.rehash(unsafe { T::borrow(raw) });
                (cursor..=last).contains(&hash)
            };
            if inside {
                visit(raw);
            }
        }
        if segment.spilled() > 0 {
            let spilled = self.spill.range(cursor..=last).flat_map(|(_, spilled)| spilled);
            spilled.for_each(|spilled| visit(spilled.raw));
        }
        (visited, last.checked_add(1))
    }

    /// Looks at marked items in segments where one may be due, and does as `judge` says; removed
    /// items are handed to `removed`. Returns the cursor for the next step, or zero at the end.
    ///
    /// In a segment that is looked at, `judge` is asked about every marked item, so it must compare
    /// deadlines itself. Memory is given back as after single removals, once a segment.
    pub fn sweep(
        &mut self,
        cursor: u64,
        now_ms: u64,
        limits: SweepLimits,
        mut judge: impl FnMut(T::Ref<'_>) -> Verdict,
        mut removed: impl FnMut(T),
    ) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let mut cursor = cursor;
        let mut items = 0;
        for _ in 0..limits.segments.max(1) {
            let index = self.index_of(cursor);
            let (_, last) = self.hashes(index);
            let segment = &self.directory[index];
            if !segment.is_vacant() && segment.header().deadline_min <= now_ms {
                items += self.sweep_segment(cursor, index, &mut judge, &mut removed);
                if self.is_empty() {
                    return 0;
                }
            }
            match last.checked_add(1) {
                Some(next) => cursor = next,
                None => return 0,
            }
            if items >= limits.items {
                break;
            }
        }
        cursor
    }

    /// Sweeps one segment and returns how many items it looked at. It begins in the middle, at the
    /// cursor, if the segment was merged with one that the sweep had already passed.
    fn sweep_segment(
        &mut self,
        cursor: u64,
        index: usize,
        judge: &mut impl FnMut(T::Ref<'_>) -> Verdict,
        removed: &mut impl FnMut(T),
    ) -> usize {
        let (first, last) = self.hashes(index);
        let from = order_of(cursor, self.directory[index].depth());
        // What is not looked at keeps the lower bound that it has.
        let passed = from > 0;
        let mut deadline_min =
            if passed { self.directory[index].header().deadline_min } else { NEVER };
        let mut looked_at = 0;
        let mut judge = |raw: NonNull<u8>| {
            looked_at += 1;
            // SAFETY: the table owns the item, and the borrow ends with the call.
            let verdict = judge(unsafe { T::borrow(raw) });
            if let Verdict::Keep { deadline_ms } = verdict {
                deadline_min = deadline_min.min(deadline_ms);
            }
            verdict
        };

        if self.directory[index].spilled() > 0 {
            // A bucket is refilled from the spill, and that moves items: all are judged before the
            // first is removed, or some would be judged twice and others passed over.
            self.sweep_spilled(index, cursor..=last, from, &mut judge, removed);
        } else {
            // From the last to the first, since removing one moves only those behind it: what is moved
            // has been judged and, because it is still there, was kept.
            for bucket in (0..self.directory[index].buckets()).rev() {
                let mut marks = self.directory[index].slots()[bucket].marks();
                while marks != 0 {
                    let slot = marks.ilog2() as usize;
                    marks &= !(1 << slot);
                    let line = &mut self.directory[index].slots_mut()[bucket];
                    if line.word(slot).order() < from {
                        continue;
                    }
                    match judge(line.word(slot).raw()) {
                        Verdict::Keep { .. } => {}
                        Verdict::Unmark => line.set_marked(slot, false),
                        Verdict::Remove => {
                            removed(self.remove_at(first, Place::Slot { index, bucket, slot }));
                        }
                    }
                }
            }
        }
        self.directory[index].header_mut().deadline_min = deadline_min;
        self.settle(cursor);
        looked_at
    }

    /// Judges the marked items of a segment of which some are spilled, and removes those that are to go.
    /// `hashes` are those to look at, `from` is the order of the first.
    #[cold]
    fn sweep_spilled(
        &mut self,
        index: usize,
        hashes: RangeInclusive<u64>,
        from: u16,
        judge: &mut impl FnMut(NonNull<u8>) -> Verdict,
        removed: &mut impl FnMut(T),
    ) {
        let mut gone = Vec::new();
        for spilled in self.spill.range_mut(hashes).flat_map(|(_, all)| all) {
            if !spilled.marked {
                continue;
            }
            match judge(spilled.raw) {
                Verdict::Keep { .. } => {}
                Verdict::Unmark => spilled.marked = false,
                Verdict::Remove => gone.push(spilled.raw),
            }
        }
        for line in self.directory[index].slots_mut() {
            let mut marks = line.marks();
            while marks != 0 {
                let slot = marks.ilog2() as usize;
                marks &= !(1 << slot);
                if line.word(slot).order() < from {
                    continue;
                }
                let raw = line.word(slot).raw();
                match judge(raw) {
                    Verdict::Keep { .. } => {}
                    Verdict::Unmark => line.set_marked(slot, false),
                    Verdict::Remove => gone.push(raw),
                }
            }
        }
        for raw in gone {
            // SAFETY: the table owns the item, and the borrow ends with the call.
            let hash = self.hasher.rehash(unsafe { T::borrow(raw) });
            let place = self.locate_raw(index, hash, raw).expect("it was there when it was judged");
            removed(self.remove_at(hash, place));
        }
    }

    /// Where in the segment of entry `index` an item with this hash lies.
    fn locate_raw(&self, index: usize, hash: u64, raw: NonNull<u8>) -> Option<Place> {
        match self.directory[index].find(hash, |word| word.raw() == raw) {
            Found::At(bucket, slot) => Some(Place::Slot { index, bucket, slot }),
            Found::Nothing => None,
            Found::PerhapsSpilled => {
                let position = self.spill.get(&hash)?.iter().position(|item| item.raw == raw)?;
                Some(Place::Spill { index, position })
            }
        }
    }

    /// A time before which no marked item expires, in milliseconds; `None` if there can be none. It
    /// may be too early, as what is removed does not move it. Costs a look at every segment.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let segments = self.directory.iter().filter(|segment| !segment.is_vacant());
        let next = segments.map(|segment| segment.header().deadline_min).min()?;
        (next != NEVER).then_some(next)
    }

    /// Takes items out segment by segment, to free a table in slices. Ends after the segment with
    /// which `count` is reached, and returns the cursor for the next step, or zero at the end.
    ///
    /// The table stays valid, but its directory is only given back once it is empty.
    pub fn drain(&mut self, cursor: u64, count: usize, mut taken: impl FnMut(T)) -> u64 {
        let mut cursor = cursor;
        let mut drained = 0;
        while !self.is_empty() {
            let index = self.index_of(cursor);
            let (_, last) = self.hashes(index);
            let items = self.items_of(index);
            self.unspill(index);
            let (first, entries) = self.entries(index);
            let vacant = Segment::vacant(self.directory[index].depth());
            self.retire(first);
            self.install(first, entries, vacant);
            self.len -= items.len();
            drained += items.len();
            for slot in items {
                // SAFETY: the item was the table's and is in none of its places any more.
                taken(unsafe { T::from_raw(slot.word.raw()) });
            }
            match last.checked_add(1) {
                Some(next) => cursor = next,
                None => break,
            }
            if drained >= count.max(1) && !self.is_empty() {
                return cursor;
            }
        }
        if self.is_empty() {
            self.release();
        }
        0
    }

    /// An item chosen by the caller's random numbers, all with the same probability.
    ///
    /// It gives up after 100 tries, which happens only with a very sparse directory, and takes the
    /// next item from a random place on.
    pub fn random(&self, mut numbers: impl FnMut() -> u64) -> Option<T::Ref<'_>> {
        const TRIES_MAX: usize = 100;

        if self.is_empty() {
            return None;
        }
        // The spill, if there is one, gets its share.
        if (numbers() % self.len as u64) < self.spilled as u64 {
            let start = numbers();
            let mut spilled = self.spill.range(start..).chain(self.spill.iter());
            let (_, equal) = spilled.next().expect("something is spilled");
            let raw = equal[(numbers() % equal.len() as u64) as usize].raw;
            // SAFETY: the table owns the item and stays borrowed as long as the result.
            return Some(unsafe { T::borrow(raw) });
        }
        let buckets_max =
            if self.directory.len() == 1 { self.directory[0].buckets() } else { BUCKETS_MAX };
        for _ in 0..TRIES_MAX {
            let index = self.index_of(numbers());
            let number = numbers();
            let bucket = ((number >> 32) as usize * buckets_max) >> 32;
            let slot = ((number & 0xffff_ffff) as usize * SLOTS) >> 32;
            // A segment counts once however many entries it has, and a slot as much as any other.
            if self.entries(index).0 != index {
                continue;
            }
            if let Some(line) = self.directory[index].slots().get(bucket)
                && !line.word(slot).is_empty()
            {
                // SAFETY: as above.
                return Some(unsafe { T::borrow(line.word(slot).raw()) });
            }
        }
        let mut chosen = None;
        let mut cursor = numbers();
        while chosen.is_none() {
            cursor = self.scan(cursor, 1, |item| {
                chosen.get_or_insert(item);
            });
        }
        chosen
    }

    /// All items, in no order that matters.
    pub fn iter(&self) -> Iter<'_, T, H> {
        Iter {
            table: self,
            index: 0,
            bucket: 0,
            slot: 0,
            spill: self.spill.values(),
            equal: [].iter(),
        }
    }
}

impl<'a, T: Item, H: Rehash<T>> IntoIterator for &'a Table<T, H> {
    type Item = T::Ref<'a>;
    type IntoIter = Iter<'a, T, H>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterates over all items of a table.
pub struct Iter<'a, T: Item, H> {
    table: &'a Table<T, H>,
    index: usize,
    bucket: usize,
    slot: usize,
    spill: btree_map::Values<'a, u64, Vec<Spilled>>,
    equal: slice::Iter<'a, Spilled>,
}

impl<T: Item, H> Iter<'_, T, H> {
    fn next_raw(&mut self) -> Option<NonNull<u8>> {
        while let Some(segment) = self.table.directory.get(self.index) {
            while let Some(line) = segment.slots().get(self.bucket) {
                if self.slot < line.len() {
                    self.slot += 1;
                    return Some(line.word(self.slot - 1).raw());
                }
                (self.bucket, self.slot) = (self.bucket + 1, 0);
            }
            // Further entries may hold the same segment.
            self.index += 1 << (self.table.depth - segment.depth());
            self.bucket = 0;
        }
        loop {
            if let Some(spilled) = self.equal.next() {
                return Some(spilled.raw);
            }
            self.equal = self.spill.next()?.iter();
        }
    }
}

impl<'a, T: Item, H> Iterator for Iter<'a, T, H> {
    type Item = T::Ref<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: the table owns the item and stays borrowed as long as the result.
        self.next_raw().map(|raw| unsafe { T::borrow(raw) })
    }
}
