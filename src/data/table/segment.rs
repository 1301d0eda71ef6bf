//! A segment: the buckets of one hash prefix, with a header in the cache line before them.
//!
//! The buckets are one sorted sequence. An item's *home* is the bucket that its order is
//! proportional to; when that is full, its greatest item moves on to the next one, so an item lies
//! in its home or a little behind it. Because a full bucket's last order tells where the sequence
//! goes on, a look-up reads a second line only for the few orders that really lie behind, also when
//! the key does not exist. That is what lets segments be filled to nine tenths.
//!
//! Allocations are exactly jemalloc's size classes, so nothing is lost to rounding.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Range;
use std::ptr;

use super::bucket::{Bucket, SLOTS, Slot, Word};

/// Buckets in each size of segment. With the header they make 128 bytes, 192 bytes, …, 8 KiB.
const SIZES: [usize; 23] =
    [1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 19, 23, 27, 31, 39, 47, 55, 63, 79, 95, 111, 127];

/// The most buckets that a segment has. It bounds what one insert ever does: copying 8 KiB, and
/// once in eight splits hashing some 760 keys anew.
pub(super) const BUCKETS_MAX: usize = SIZES[SIZES.len() - 1];

/// How many buckets behind its home an item may lie.
const DISPLACEMENT_MAX: usize = 7;

/// The deepest prefix, so that an order and a tag can still be cut from a hash behind it.
pub(super) const DEPTH_MAX: u32 = 40;

/// A deadline later than all others: nothing expires here.
pub(super) const NEVER: u64 = u64::MAX;

/// The items at which a segment of each size is to grow. The next size up begins at 72 % full; that,
/// and not the fill before growing, decides what the index costs at the worst count. Measured between
/// one and two million items, the worst bytes an item and the most lines a look-up reads on average
/// are 11.6 and 1.32 when the next size begins at 75 %, 12.1 and 1.25 at 72 %, 12.4 and 1.20 at 70 %.
const LIMITS: [u16; SIZES.len()] = limits();

const fn limits() -> [u16; SIZES.len()] {
    let mut limits = [0; SIZES.len()];
    let mut size = 0;
    while size < SIZES.len() {
        let slots = SIZES[size] * SLOTS;
        let mut limit = slots * 82 / 100;
        if size + 1 < SIZES.len() {
            let next = SIZES[size + 1] * SLOTS * 72 / 100;
            if next > limit {
                limit = next;
            }
        }
        limits[size] = if limit < slots { limit as u16 } else { slots as u16 };
        size += 1;
    }
    limits
}

/// The number of a size in `SIZES`; `buckets` must be one of them.
fn size_of_buckets(buckets: usize) -> usize {
    SIZES.partition_point(|&size| size < buckets)
}

/// The smallest size that holds `items` without being due to grow.
pub(super) fn size_for(items: usize) -> usize {
    LIMITS.partition_point(|&limit| usize::from(limit) < items).min(SIZES.len() - 1)
}

/// The buckets of a size.
pub(super) fn buckets_of(size: usize) -> usize {
    SIZES[size]
}

/// The size above the one of `buckets`, if there is one.
pub(super) fn size_above(buckets: usize) -> Option<usize> {
    let size = size_of_buckets(buckets) + 1;
    (size < SIZES.len()).then_some(size)
}

/// The hash bits behind the prefix that sort an item in its segment.
#[inline]
pub(super) fn order_of(hash: u64, depth: u32) -> u16 {
    ((hash << depth) >> 48) as u16
}

/// Where a tag's bits end. A tag is cut from a fixed place for eight depths, behind the order of the
/// first of them, and lends its bits to the order as the prefix grows: so only every eighth split
/// has to hash keys anew. Its bits never decide the home, so all eight tell items apart.
#[inline]
fn tag_shift(depth: u32) -> u32 {
    40 - (depth.saturating_sub(1) & !7)
}

#[inline]
pub(super) fn tag_of(hash: u64, depth: u32) -> u8 {
    (hash >> tag_shift(depth)) as u8
}

/// Whether items can go from one depth to its neighbour without their hashes.
pub(super) fn same_tags(a: u32, b: u32) -> bool {
    tag_shift(a) == tag_shift(b)
}

/// An item of depth `depth` as it is one depth deeper, where tags stay the same.
pub(super) fn deepened(slot: Slot, depth: u32) -> Slot {
    debug_assert!(same_tags(depth, depth + 1));
    // The order ends at hash bit `depth + 16`, counted from the top; the tag at `64 - tag_shift`.
    let below = 63 - tag_shift(depth) - (depth + 16);
    let bit = u16::from(slot.tag >> below & 1);
    Slot { word: Word::new(slot.word.raw(), slot.order() << 1 | bit), ..slot }
}

/// An item as it is one depth higher, coming from the lower or the upper half, where tags stay.
pub(super) fn raised(slot: Slot, upper: bool) -> Slot {
    let order = slot.order() >> 1 | u16::from(upper) << 15;
    Slot { word: Word::new(slot.word.raw(), order), ..slot }
}

/// The home is proportional to the order. The scale ends about a bucket early: the last one has none
/// behind it, so it gets few items of its own, if any, and has room for its neighbours'.
#[inline]
fn home_of(order: u16, buckets: usize) -> usize {
    (usize::from(order) * scale(buckets)) >> 19
}

#[inline]
fn scale(buckets: usize) -> usize {
    buckets * 8 - 5 - buckets / 16
}

/// The least order whose home is `home`; 65536 or more when there is none.
fn first_order_of(home: usize, buckets: usize) -> usize {
    (home << 19).div_ceil(scale(buckets))
}

/// What a segment knows of itself, in a cache line that look-ups do not need.
#[repr(C, align(64))]
pub(super) struct Header {
    /// No marked item of this prefix has an earlier deadline, in milliseconds.
    pub(super) deadline_min: u64,
    /// Items in the buckets.
    pub(super) count: usize,
    /// Items of this prefix that found no place here and lie in the table's spill.
    pub(super) spilled: usize,
}

const _: () = assert!(size_of::<Header>() == size_of::<Bucket>());

/// What a look-up found: a place in the buckets, or how far it got.
pub(super) enum Found {
    /// Bucket and slot.
    At(usize, usize),
    /// No such item.
    Nothing,
    /// Not in the buckets, but it may have been spilled.
    PerhapsSpilled,
}

/// A directory entry: the segment's address with its depth below (6 bits, free by alignment) and its
/// number of buckets above (16 bits), so that a look-up goes straight to a bucket.
///
/// Without buckets there is no allocation and the prefix is empty. Several entries may hold the same
/// segment; the directory sees to it that each is freed once and that all copies change together.
#[repr(transparent)]
pub(super) struct Segment(*mut u8);

const DEPTH_MASK: usize = 63;
const BUCKETS_SHIFT: u32 = 48;

impl Segment {
    pub(super) fn vacant(depth: u32) -> Self {
        Self(ptr::without_provenance_mut(depth as usize))
    }

    fn allocate(buckets: usize, depth: u32) -> Self {
        debug_assert!(SIZES.contains(&buckets) && depth <= DEPTH_MAX);
        let layout = Self::layout(buckets);
        // SAFETY: the layout's size is never zero.
        let address = unsafe { alloc_zeroed(layout) };
        if address.is_null() {
            handle_alloc_error(layout);
        }
        assert!(address.addr() < 1 << BUCKETS_SHIFT, "user space is larger than 48 bits");
        let mut segment = Self(address.map_addr(|a| a | depth as usize | buckets << BUCKETS_SHIFT));
        segment.header_mut().deadline_min = NEVER;
        segment
    }

    fn layout(buckets: usize) -> Layout {
        let bytes = (buckets + 1) * size_of::<Bucket>();
        Layout::from_size_align(bytes, align_of::<Bucket>()).expect("a segment is at most 8 KiB")
    }

    /// Another entry for the same segment.
    pub(super) fn alias(&self) -> Self {
        Self(self.0)
    }

    /// Gives the allocation back; the items are the caller's to have taken.
    ///
    /// # Safety
    ///
    /// No alias may be used afterwards.
    pub(super) unsafe fn free(self) {
        if !self.is_vacant() {
            // SAFETY: it was allocated with this layout, and the caller uses no other copy.
            unsafe { dealloc(self.address(), Self::layout(self.buckets())) };
        }
    }

    #[inline]
    pub(super) fn depth(&self) -> u32 {
        (self.0.addr() & DEPTH_MASK) as u32
    }

    #[inline]
    pub(super) fn buckets(&self) -> usize {
        self.0.addr() >> BUCKETS_SHIFT
    }

    pub(super) fn is_vacant(&self) -> bool {
        self.buckets() == 0
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        if self.is_vacant() { 0 } else { Self::layout(self.buckets()).size() }
    }

    #[inline]
    fn address(&self) -> *mut u8 {
        self.0.map_addr(|address| address & ((1 << BUCKETS_SHIFT) - 1) & !DEPTH_MASK)
    }

    pub(super) fn header(&self) -> &Header {
        assert!(!self.is_vacant());
        // SAFETY: a segment with buckets is a live allocation that begins with its header.
        unsafe { &*self.address().cast::<Header>() }
    }

    pub(super) fn header_mut(&mut self) -> &mut Header {
        assert!(!self.is_vacant());
        // SAFETY: as in `header`; the table is borrowed mutably, and with it every alias.
        unsafe { &mut *self.address().cast::<Header>() }
    }

    /// The buckets; none when the segment is vacant.
    #[inline]
    pub(super) fn slots(&self) -> &[Bucket] {
        if self.is_vacant() {
            return &[];
        }
        // SAFETY: behind the header lie as many buckets as the entry says; all-zero is a valid bucket.
        unsafe {
            let first = self.address().cast::<Bucket>().add(1);
            std::slice::from_raw_parts(first, self.buckets())
        }
    }

    pub(super) fn slots_mut(&mut self) -> &mut [Bucket] {
        if self.is_vacant() {
            return &mut [];
        }
        // SAFETY: as in `slots`; the table is borrowed mutably, and with it every alias.
        unsafe {
            let first = self.address().cast::<Bucket>().add(1);
            std::slice::from_raw_parts_mut(first, self.buckets())
        }
    }

    /// Items in the buckets.
    pub(super) fn count(&self) -> usize {
        if self.is_vacant() { 0 } else { self.header().count }
    }

    /// Items of this prefix in the spill.
    pub(super) fn spilled(&self) -> usize {
        if self.is_vacant() { 0 } else { self.header().spilled }
    }

    /// Items at which this segment should grow or split.
    pub(super) fn limit(&self) -> usize {
        if self.is_vacant() { 0 } else { usize::from(LIMITS[size_of_buckets(self.buckets())]) }
    }

    /// The header, to be prefetched; null when the segment is vacant.
    #[inline]
    pub(super) fn header_pointer(&self) -> *const u8 {
        self.address()
    }

    /// The bucket in which a look-up for `hash` begins, to be prefetched.
    #[inline]
    pub(super) fn home_pointer(&self, hash: u64) -> *const u8 {
        let buckets = self.buckets();
        if buckets == 0 {
            return ptr::null();
        }
        let home = home_of(order_of(hash, self.depth()), buckets);
        self.address().wrapping_add((home + 1) * size_of::<Bucket>())
    }

    /// The bucket in which a walk over all orders from `order` on begins.
    pub(super) fn home(&self, order: u16) -> usize {
        home_of(order, self.buckets())
    }

    /// Looks for the item with this hash for which `same` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut same: impl FnMut(Word) -> bool) -> Found {
        let slots = self.slots();
        if slots.is_empty() {
            return Found::Nothing;
        }
        let depth = self.depth();
        let (order, tag) = (order_of(hash, depth), tag_of(hash, depth));
        let home = home_of(order, slots.len());
        for (at, bucket) in slots.iter().enumerate().skip(home).take(DISPLACEMENT_MAX + 1) {
            for slot in bucket.matches(tag) {
                let word = bucket.word(slot);
                if word.order() == order && !word.is_empty() && same(word) {
                    return Found::At(at, slot);
                }
            }
            if !bucket.overflowed() || order < bucket.last_order() {
                return Found::Nothing;
            }
        }
        Found::PerhapsSpilled
    }

    /// The bucket where an item of this order is to be put: the first one that has room, or has
    /// greater items, or behind which it may not go.
    fn place(&self, order: u16) -> usize {
        let slots = self.slots();
        let home = home_of(order, slots.len());
        let last = (home + DISPLACEMENT_MAX).min(slots.len() - 1);
        let mut at = home;
        while at < last && slots[at].overflowed() && order >= slots[at].last_order() {
            at += 1;
        }
        at
    }

    /// Whether an item with the greatest order of a full bucket may lie in the bucket behind it.
    fn may_move_on(order: u16, at: usize, buckets: usize) -> bool {
        at + 1 < buckets && at + 1 - home_of(order, buckets) <= DISPLACEMENT_MAX
    }

    /// Whether an item of this order can be inserted without spilling one.
    pub(super) fn fits(&self, order: u16) -> bool {
        if self.is_vacant() {
            return false;
        }
        let slots = self.slots();
        let mut carried = order;
        for at in self.place(order)..slots.len() {
            if !slots[at].is_full() {
                return true;
            }
            carried = carried.max(slots[at].last_order());
            if !Self::may_move_on(carried, at, slots.len()) {
                return false;
            }
        }
        false
    }

    /// Inserts an item, moving greater ones on. Gives back the one that finds no place, if any: it
    /// belongs in the spill, and the caller counts it there.
    pub(super) fn insert(&mut self, slot: Slot) -> Option<Slot> {
        let buckets = self.buckets();
        let mut at = self.place(slot.order());
        let mut carried = slot;
        loop {
            let bucket = &mut self.slots_mut()[at];
            if !bucket.is_full() {
                bucket.insert_sorted(carried);
                self.header_mut().count += 1;
                return None;
            }
            if carried.order() < bucket.last_order() {
                let greatest = bucket.remove(SLOTS - 1);
                bucket.insert_sorted(carried);
                carried = greatest;
            }
            bucket.set_overflowed(true);
            if !Self::may_move_on(carried.order(), at, buckets) {
                return Some(carried);
            }
            at += 1;
        }
    }

    /// Takes an item out and moves those that were displaced because of it back.
    ///
    /// `unspill` takes the least spilled item out of a range of orders, which is never empty, from
    /// the spill, if there is one.
    pub(super) fn remove(
        &mut self,
        bucket: usize,
        slot: usize,
        mut unspill: impl FnMut(Range<usize>) -> Option<Slot>,
    ) -> Slot {
        let buckets = self.buckets();
        let spilled = self.spilled() > 0;
        let slots = self.slots_mut();
        let removed = slots[bucket].remove(slot);
        // The order of the item that belongs into a bucket but lies in the next one.
        let displaced = |slots: &[Bucket], at: usize| {
            let next = slots.get(at + 1).and_then(Bucket::first_order);
            next.filter(|&order| home_of(order, buckets) <= at)
        };
        let mut unspilled = 0;
        let mut at = bucket;
        while slots[at].overflowed() {
            let displaced = displaced(slots, at);
            if spilled {
                // What may lie here, and belongs before what is displaced.
                let first = first_order_of(at.saturating_sub(DISPLACEMENT_MAX), buckets);
                let end = displaced.map_or(first_order_of(at + 1, buckets), usize::from);
                let end = end.min(1 << 16);
                if first < end
                    && let Some(slot) = unspill(first..end)
                {
                    slots[at].insert(SLOTS - 1, slot);
                    unspilled = 1;
                    break;
                }
            }
            if displaced.is_none() {
                slots[at].set_overflowed(false);
                break;
            }
            let moved = slots[at + 1].remove(0);
            slots[at].insert(SLOTS - 1, moved);
            at += 1;
        }
        // With spilled items, only a look into the spill could tell whether a bit is still needed.
        if !spilled {
            for at in bucket..at {
                let needed = displaced(slots, at).is_some();
                slots[at].set_overflowed(needed);
            }
        }
        let header = self.header_mut();
        header.count = header.count + unspilled - 1;
        header.spilled -= unspilled;
        removed
    }

    /// All items in the buckets, by order.
    pub(super) fn items(&self) -> impl Iterator<Item = Slot> {
        self.slots().iter().flat_map(|bucket| (0..bucket.len()).map(|at| bucket.slot(at)))
    }

    /// A segment with these items, sorted by order, in `size` or one of the two above it. Only when
    /// they fit in none of them, which no honest hash brings about, and `spill` allows it, those that
    /// find no place are put there.
    pub(super) fn build(
        items: &[Slot],
        size: usize,
        depth: u32,
        deadline_min: u64,
        spill: Option<&mut Vec<Slot>>,
    ) -> Option<Self> {
        debug_assert!(items.is_sorted_by_key(Slot::order));
        for &buckets in SIZES[size..].iter().take(3) {
            let mut segment = Self::allocate(buckets, depth);
            segment.header_mut().deadline_min = deadline_min;
            if segment.fill(items, |_| false) {
                return Some(segment);
            }
            // SAFETY: it has no alias yet, and its items are still the caller's.
            unsafe { segment.free() };
        }
        let spill = spill?;
        let mut segment = Self::allocate(SIZES[size], depth);
        segment.header_mut().deadline_min = deadline_min;
        segment.fill(items, |slot| {
            spill.push(slot);
            true
        });
        Some(segment)
    }

    /// Puts sorted items into empty buckets. Those that find no place are offered to `spill`; where
    /// it refuses, the result is false.
    fn fill(&mut self, items: &[Slot], mut spill: impl FnMut(Slot) -> bool) -> bool {
        let mut spilled = 0;
        let slots = self.slots_mut();
        let buckets = slots.len();
        // The bucket that is being filled, and how many items it has.
        let (mut reached, mut len) = (0, 0);
        'items: for &slot in items {
            let home = home_of(slot.order(), buckets);
            if home > reached {
                (reached, len) = (home, 0);
            }
            while len == SLOTS {
                slots[reached].set_overflowed(true);
                if !Self::may_move_on(slot.order(), reached, buckets) {
                    if !spill(slot) {
                        return false;
                    }
                    spilled += 1;
                    continue 'items;
                }
                (reached, len) = (reached + 1, 0);
            }
            slots[reached].insert(len, slot);
            len += 1;
        }
        let header = self.header_mut();
        header.count = items.len() - spilled;
        header.spilled = spilled;
        true
    }

    /// How many buckets a look-up reads that finds nothing; for tests.
    #[cfg(test)]
    pub(super) fn lines_read(&self, hash: u64) -> usize {
        let (slots, order) = (self.slots(), order_of(hash, self.depth()));
        let from_home = &slots[home_of(order, slots.len())..];
        let goes_on = |bucket: &&Bucket| bucket.overflowed() && order >= bucket.last_order();
        1 + from_home.iter().take(DISPLACEMENT_MAX).take_while(goes_on).count()
    }

    /// Checks what every operation relies on; for tests.
    #[cfg(test)]
    pub(super) fn assert_valid(&self) {
        let buckets = self.buckets();
        let mut order_before = 0;
        for (at, bucket) in self.slots().iter().enumerate() {
            assert!(bucket.is_full() || !bucket.overflowed());
            for slot in 0..bucket.len() {
                let order = bucket.word(slot).order();
                let home = home_of(order, buckets);
                assert!(home <= at && at - home <= DISPLACEMENT_MAX);
                assert!((home..at).all(|passed| self.slots()[passed].overflowed()));
                assert!(order >= order_before, "a segment is sorted");
                order_before = order;
            }
            assert!((bucket.len()..SLOTS).all(|slot| bucket.word(slot).is_empty()));
            assert!(bucket.marks() >> bucket.len() == 0);
        }
        assert_eq!(self.items().count(), self.count());
    }
}
