//! One bucket: a cache line of seven items, kept in hash order.
//!
//! A pointer in user space has 16 upper bits that are always zero on the 64-bit systems we run on.
//! They hold the item's *order*: the 16 hash bits that follow the prefix which its segment stands
//! for. With them a segment is rebuilt, and two are merged, without touching a single item.

use std::ptr::{self, NonNull};

/// Slots in a bucket: what fits in 64 bytes beside a tag a slot and one byte of bits.
pub(super) const SLOTS: usize = 7;

/// Addresses of items lie below this, so that 16 bits of hash fit above them.
pub(super) const ADDRESS_LIMIT: usize = 1 << ORDER_SHIFT;

const ORDER_SHIFT: u32 = 48;

const EACH_BYTE: u64 = 0x0101_0101_0101_0101;
const LOW_SEVEN: u64 = 0x7f * EACH_BYTE;
/// The top bit of each tag's byte, without the byte of bits.
const TAG_TOPS: u64 = 0x0080_8080_8080_8080;
const TAGS: u64 = (1 << 56) - 1;
const MARKS: u64 = 0x7f << 56;
const OVERFLOW: u64 = 1 << 63;

/// A pointer to an item with its order above the address; null when the slot is empty.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Word(*mut u8);

impl Word {
    const EMPTY: Self = Self(ptr::null_mut());

    pub(super) fn new(raw: NonNull<u8>, order: u16) -> Self {
        debug_assert!(raw.addr().get() < ADDRESS_LIMIT);
        Self(raw.as_ptr().map_addr(|address| address | (usize::from(order) << ORDER_SHIFT)))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_null()
    }

    pub(super) fn order(self) -> u16 {
        (self.0.addr() >> ORDER_SHIFT) as u16
    }

    /// The item's pointer; the slot must not be empty.
    pub(super) fn raw(self) -> NonNull<u8> {
        let raw = self.0.map_addr(|address| address & (ADDRESS_LIMIT - 1));
        NonNull::new(raw).expect("an empty slot has no pointer")
    }
}

/// What a slot holds, as a value that is moved between buckets.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) word: Word,
    pub(super) tag: u8,
    pub(super) marked: bool,
}

impl Slot {
    pub(super) fn order(&self) -> u16 {
        self.word.order()
    }
}

/// Seven slots, filled from the front and sorted by order.
///
/// `meta` holds the tags in its lower seven bytes; in the upper one a mark for each slot, and on top
/// the *overflow* bit: an item which belongs in this bucket or before it lies behind it. An
/// overflowed bucket is full, and every item behind it has an order no less than its last one's.
#[repr(C, align(64))]
pub(super) struct Bucket {
    words: [Word; SLOTS],
    meta: u64,
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    pub(super) fn is_full(&self) -> bool {
        !self.words[SLOTS - 1].is_empty()
    }

    pub(super) fn is_vacant(&self) -> bool {
        self.words[0].is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.words.iter().position(|word| word.is_empty()).unwrap_or(SLOTS)
    }

    pub(super) fn word(&self, at: usize) -> Word {
        self.words[at]
    }

    /// The order of the last slot; zero unless the bucket is full.
    pub(super) fn last_order(&self) -> u16 {
        self.words[SLOTS - 1].order()
    }

    /// The order of the first slot, if there is one.
    pub(super) fn first_order(&self) -> Option<u16> {
        (!self.is_vacant()).then(|| self.words[0].order())
    }

    pub(super) fn overflowed(&self) -> bool {
        self.meta & OVERFLOW != 0
    }

    pub(super) fn set_overflowed(&mut self, overflowed: bool) {
        self.meta = (self.meta & !OVERFLOW) | (u64::from(overflowed) << 63);
    }

    pub(super) fn is_marked(&self, at: usize) -> bool {
        self.meta >> (56 + at) & 1 != 0
    }

    pub(super) fn set_marked(&mut self, at: usize, marked: bool) {
        let bit = 1 << (56 + at);
        self.meta = (self.meta & !bit) | (u64::from(marked) << (56 + at));
    }

    /// The marks, a bit for each slot.
    pub(super) fn marks(&self) -> u64 {
        (self.meta & MARKS) >> 56
    }

    /// The slots whose tag is `tag`, lowest first; empty slots may be among them when it is zero.
    pub(super) fn matches(&self, tag: u8) -> Matches {
        let difference = self.meta ^ (u64::from(tag) * EACH_BYTE);
        // A byte's top bit stays clear here only when the whole byte is zero; no carry crosses bytes.
        let nonzero = ((difference & LOW_SEVEN) + LOW_SEVEN) | difference;
        Matches(!nonzero & TAG_TOPS)
    }

    pub(super) fn slot(&self, at: usize) -> Slot {
        debug_assert!(!self.words[at].is_empty());
        Slot {
            word: self.words[at],
            tag: (self.meta >> (8 * at)) as u8,
            marked: self.is_marked(at),
        }
    }

    /// Puts another item's pointer into an occupied slot, for a key with the same hash.
    pub(super) fn replace(&mut self, at: usize, raw: NonNull<u8>) -> NonNull<u8> {
        let old = self.words[at];
        self.words[at] = Word::new(raw, old.order());
        old.raw()
    }

    /// The first slot that is empty or has a greater order.
    pub(super) fn upper_bound(&self, order: u16) -> usize {
        self.words.iter().position(|word| word.is_empty() || word.order() > order).unwrap_or(SLOTS)
    }

    /// Puts `slot` at `at` and shifts what is there and behind; the bucket must not be full.
    pub(super) fn insert(&mut self, at: usize, slot: Slot) {
        debug_assert!(!self.is_full() && at <= self.len());
        self.words.copy_within(at..SLOTS - 1, at + 1);
        self.words[at] = slot.word;

        let (tags, marks) = (self.meta & TAGS, (self.meta & MARKS) >> 56);
        let (tags_before, marks_before) = ((1 << (8 * at)) - 1, (1 << at) - 1);
        let tags = (tags & tags_before)
            | (u64::from(slot.tag) << (8 * at))
            | (((tags & !tags_before) << 8) & TAGS);
        let marks = (marks & marks_before)
            | (u64::from(slot.marked) << at)
            | (((marks & !marks_before) << 1) & (MARKS >> 56));
        self.meta = (self.meta & OVERFLOW) | tags | (marks << 56);
    }

    /// Puts `slot` where its order belongs; the bucket must not be full.
    pub(super) fn insert_sorted(&mut self, slot: Slot) {
        self.insert(self.upper_bound(slot.order()), slot);
    }

    /// Takes the slot at `at` out and closes the gap.
    pub(super) fn remove(&mut self, at: usize) -> Slot {
        let slot = self.slot(at);
        self.words.copy_within(at + 1.., at);
        self.words[SLOTS - 1] = Word::EMPTY;

        let (tags, marks) = (self.meta & TAGS, (self.meta & MARKS) >> 56);
        let (tags_before, marks_before) = ((1 << (8 * at)) - 1, (1 << at) - 1);
        let tags = (tags & tags_before) | ((tags >> 8) & !tags_before);
        let marks = (marks & marks_before) | ((marks >> 1) & !marks_before);
        self.meta = (self.meta & OVERFLOW) | tags | (marks << 56);
        slot
    }
}

/// The slots that a tag was found in: the top bit of their bytes is set.
pub(super) struct Matches(u64);

impl Iterator for Matches {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let at = self.0.trailing_zeros() / 8;
        self.0 &= self.0 - 1;
        Some(at as usize)
    }
}
