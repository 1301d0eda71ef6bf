//! A leaf: pointers to elements in order, each with a few bits of its score.
//!
//! The 16 bits above an address, which are always zero on the systems we run on, hold a *tag*: the
//! bits of the element's key (`key_of`) behind those that the leaf's elements share. A search
//! compares tags and looks at an element only where they are equal, so it seldom leaves the leaf.
//!
//! ```text
//! tag = (key >> shift) - base
//! ```
//!
//! `shift` is as small as the distance of the leaf's first and last element allows. It grows and
//! `base` moves without a look at any element, because the tags tell what is needed; only when a
//! leaf has come to hold a much smaller range of keys are its elements read to make tags finer.
//!
//! A leaf grows in steps that are jemalloc's size classes, so little of it is ever unused, whatever
//! the order in which elements come.

use super::key_of;
use crate::data::sorted_set::element::{Element, Raw};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::{self, NonNull};

const HEADER_BYTES: usize = size_of::<Header>();
/// Bytes of each size of leaf.
const SIZES: [usize; 12] = [64, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024];
/// The most elements that a leaf holds.
pub(super) const LEAF_MAX: usize = (SIZES[SIZES.len() - 1] - HEADER_BYTES) / size_of::<Slot>();

/// The most elements in half of the largest size, which is a size too.
pub(super) const LEAF_HALF: usize = (SIZES[SIZES.len() - 1] / 2 - HEADER_BYTES) / size_of::<Slot>();

const TAG_SHIFT: u32 = 48;
const TAG_MAX: u64 = 0xffff;
const ADDRESS_MASK: usize = (1 << TAG_SHIFT) - 1;
/// How many tags a leaf's elements may spread over when tags are assigned: half of what there is,
/// so that keys outside of the range can be inserted before tags have to be assigned anew.
const SPREAD_MAX: u64 = TAG_MAX / 2;
/// If after a split the tags spread over fewer than this, finer ones are worth a look at the elements.
const SPREAD_MIN: u64 = 4096;

#[repr(C)]
struct Header {
    base: u64,
    len: u16,
    size: u8,
    shift: u8,
}

/// A tag above the address of an element.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Slot(*mut u8);

impl Slot {
    fn new(raw: Raw, tag: u64) -> Self {
        debug_assert!(tag <= TAG_MAX && raw.addr().get() <= ADDRESS_MASK);
        Self(raw.as_ptr().map_addr(|address| address | (tag as usize) << TAG_SHIFT))
    }

    #[inline]
    fn tag(self) -> u64 {
        (self.0.addr() >> TAG_SHIFT) as u64
    }

    #[inline]
    fn raw(self) -> Raw {
        let raw = self.0.map_addr(|address| address & ADDRESS_MASK);
        NonNull::new(raw).expect("a slot holds an element")
    }
}

/// A pointer to a leaf. The tree that has made it owns it. Copies are valid until the leaf is
/// resized or freed, which is unsafe for that reason; what is borrowed through one of them ends
/// before the leaf is changed through another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf(NonNull<Header>);

fn capacity_of(size: usize) -> usize {
    (SIZES[size] - HEADER_BYTES) / size_of::<Slot>()
}

/// The smallest size that holds `len` elements.
fn size_for(len: usize) -> usize {
    (0..SIZES.len()).find(|&size| capacity_of(size) >= len).expect("a leaf holds so many")
}

fn layout_of(size: usize) -> Layout {
    Layout::from_size_align(SIZES[size], align_of::<Header>()).expect("sizes are small")
}

impl Leaf {
    /// An empty leaf with room for `len` elements.
    pub(super) fn alloc(len: usize) -> Self {
        let size = size_for(len);
        // SAFETY: no size is zero.
        let raw = unsafe { alloc(layout_of(size)) };
        let Some(header) = NonNull::new(raw.cast::<Header>()) else {
            handle_alloc_error(layout_of(size))
        };
        // SAFETY: the allocation begins with a header, and is aligned for it.
        unsafe { header.write(Header { base: 0, len: 0, size: size as u8, shift: 0 }) };
        Self(header)
    }

    /// Frees the leaf, not its elements.
    ///
    /// # Safety
    /// No copy is used afterwards.
    pub(super) unsafe fn free(self) {
        let layout = layout_of(usize::from(self.header().size));
        // SAFETY: it was allocated with this layout, and is not used any more.
        unsafe { dealloc(self.0.cast().as_ptr(), layout) };
    }

    /// The leaf at an address that [`Leaf::address`] gave.
    ///
    /// # Safety
    /// The leaf lives while the result or a copy is used. It is changed only while its tree is
    /// borrowed mutably.
    pub(super) unsafe fn at(address: NonNull<u8>) -> Self {
        Self(address.cast())
    }

    pub(super) fn address(self) -> NonNull<u8> {
        self.0.cast()
    }

    fn header(&self) -> &Header {
        // SAFETY: the leaf lives, see `at`, and begins with a header.
        unsafe { self.0.as_ref() }
    }

    /// The header, to change it.
    ///
    /// # Safety
    /// Nothing else is borrowed from the leaf, through this pointer or a copy, while the result is.
    unsafe fn header_mut(&mut self) -> &mut Header {
        // SAFETY: the leaf lives, see `at`, and the caller promises the rest.
        unsafe { self.0.as_mut() }
    }

    fn first_slot(self) -> *mut Slot {
        // SAFETY: slots follow the header in the same allocation, which is aligned for them.
        unsafe { self.0.add(1).cast().as_ptr() }
    }

    fn slots(&self) -> &[Slot] {
        // SAFETY: the leaf lives, see `at`, and its first `len` slots are initialised.
        unsafe { std::slice::from_raw_parts(self.first_slot(), self.len()) }
    }

    /// The slots in use, to change them.
    ///
    /// # Safety
    /// As for [`Leaf::header_mut`].
    unsafe fn slots_mut(&mut self) -> &mut [Slot] {
        // SAFETY: as in `slots`, and the caller promises the rest.
        unsafe { std::slice::from_raw_parts_mut(self.first_slot(), self.len()) }
    }

    #[inline]
    pub(super) fn len(self) -> usize {
        usize::from(self.header().len)
    }

    pub(super) fn bytes(self) -> usize {
        SIZES[usize::from(self.header().size)]
    }

    pub(super) fn is_full(self) -> bool {
        self.len() == capacity_of(usize::from(self.header().size))
    }

    /// The element at a position.
    #[inline]
    pub(super) fn raw(self, at: usize) -> Raw {
        self.slots()[at].raw()
    }

    /// The element at a position.
    #[inline]
    pub(super) fn element(&self, at: usize) -> Element<'_> {
        // SAFETY: elements in a tree live, and do not change while it is borrowed.
        unsafe { Element::from_raw(self.raw(at)) }
    }

    /// Asks the processor to fetch the element at a position, if there is one.
    #[inline]
    pub(super) fn prefetch(self, at: usize) {
        if let Some(slot) = self.slots().get(at) {
            super::prefetch(slot.raw().as_ptr());
        }
    }

    /// How many elements have a lower key, or the same key and `tied` says that they count.
    #[inline]
    pub(super) fn count_below(self, key: u64, tied: impl Fn(Element<'_>) -> bool) -> usize {
        let &Header { base, shift, .. } = self.header();
        let Some(tag) = (key >> shift).checked_sub(base) else { return 0 };
        let slots = self.slots();
        if tag > TAG_MAX {
            return slots.len();
        }
        let low = slots.partition_point(|slot| slot.tag() < tag);
        let same = slots[low..].iter().take_while(|slot| slot.tag() == tag);
        // Mostly there is at most one, but where scores are equal there may be many.
        let same = match same.take(4).count() {
            few @ 0..4 => &slots[low..low + few],
            _ => &slots[low..low + slots[low..].partition_point(|slot| slot.tag() <= tag)],
        };
        low + same.partition_point(|slot| {
            // SAFETY: elements in a tree are alive, and do not change while it is borrowed.
            let element = unsafe { Element::from_raw(slot.raw()) };
            let other = key_of(element.score());
            other < key || other == key && tied(element)
        })
    }

    /// How many elements from the first on `counts` is true for.
    pub(super) fn count_while(self, counts: impl Fn(Element<'_>) -> bool) -> usize {
        // SAFETY: elements in a tree are alive, and do not change while it is borrowed.
        self.slots().partition_point(|slot| counts(unsafe { Element::from_raw(slot.raw()) }))
    }

    /// Makes sure that `key` has a tag.
    ///
    /// # Safety
    /// Nothing is borrowed from the leaf.
    unsafe fn cover(mut self, key: u64) {
        let &Header { base, shift, .. } = self.header();
        let quotient = key >> shift;
        if quotient.wrapping_sub(base) <= TAG_MAX {
            return;
        }
        let (low, high) = match self.slots() {
            [] => (quotient, quotient),
            [first, .., last] => (base + first.tag(), base + last.tag()),
            [only] => (base + only.tag(), base + only.tag()),
        };
        let (low, high) = (low.min(quotient), high.max(quotient));
        let more = shift_for(low, high);
        let new_base = base_for(low >> more, high >> more);
        // SAFETY: the caller promises that nothing is borrowed.
        for slot in unsafe { self.slots_mut() } {
            *slot = Slot::new(slot.raw(), ((base + slot.tag()) >> more) - new_base);
        }
        // SAFETY: the caller promises that nothing is borrowed.
        let header = unsafe { self.header_mut() };
        (header.base, header.shift) = (new_base, shift + more as u8);
    }

    /// Inserts an element at a position. The leaf must not be full.
    ///
    /// # Safety
    /// Nothing is borrowed from the leaf.
    pub(super) unsafe fn insert(mut self, at: usize, key: u64, raw: Raw) {
        assert!(!self.is_full() && at <= self.len());
        // SAFETY: the caller promises that nothing is borrowed.
        unsafe { self.cover(key) };
        let &Header { base, shift, .. } = self.header();
        let len = self.len();
        // SAFETY: the leaf is not full, so one more slot lies inside the allocation.
        unsafe {
            let slot = self.first_slot().add(at);
            ptr::copy(slot, slot.add(1), len - at);
            slot.write(Slot::new(raw, (key >> shift) - base));
        }
        // SAFETY: the caller promises that nothing is borrowed.
        unsafe { self.header_mut().len += 1 };
    }

    /// Takes `count` elements out from a position on.
    ///
    /// # Safety
    /// Nothing is borrowed from the leaf.
    pub(super) unsafe fn remove(mut self, at: usize, count: usize) {
        // SAFETY: the caller promises that nothing is borrowed.
        unsafe {
            self.slots_mut().copy_within(at + count.., at);
            self.header_mut().len -= count as u16;
        }
    }

    /// The key of the element at a position has become another one that keeps its place.
    ///
    /// # Safety
    /// Nothing is borrowed from the leaf.
    pub(super) unsafe fn set_key(mut self, at: usize, key: u64) {
        // SAFETY: the caller promises that nothing is borrowed.
        unsafe { self.cover(key) };
        let &Header { base, shift, .. } = self.header();
        // SAFETY: the caller promises that nothing is borrowed.
        let slot = unsafe { &mut self.slots_mut()[at] };
        *slot = Slot::new(slot.raw(), (key >> shift) - base);
    }

    /// Gives the leaf the smallest size that holds `len` elements; its address changes.
    ///
    /// # Safety
    /// No copy of `self` is used afterwards.
    #[must_use]
    pub(super) unsafe fn resized(self, len: usize) -> Self {
        assert!(len >= self.len());
        let (old, new) = (usize::from(self.header().size), size_for(len));
        // SAFETY: it was allocated with the old layout, and sizes are small and not zero. The caller
        // uses only the new pointer afterwards.
        let raw = unsafe { realloc(self.address().as_ptr(), layout_of(old), SIZES[new]) };
        let Some(header) = NonNull::new(raw.cast::<Header>()) else {
            handle_alloc_error(layout_of(new))
        };
        let mut leaf = Self(header);
        // SAFETY: nothing is borrowed from the new leaf.
        unsafe { leaf.header_mut().size = new as u8 };
        leaf
    }

    /// The same leaf in a smaller allocation, if it is much smaller than the one it has.
    ///
    /// # Safety
    /// If there is a result, no copy of `self` is used afterwards.
    pub(super) unsafe fn shrunk(self) -> Option<Self> {
        let size = usize::from(self.header().size);
        let fits = size_for(self.len() + 1);
        // SAFETY: the caller's promise.
        (fits + 2 <= size).then(|| unsafe { self.resized(self.len() + 1) })
    }

    /// Moves the elements from a position on into a new leaf, which has room for one more if asked.
    ///
    /// # Safety
    /// Nothing is borrowed from the leaf.
    pub(super) unsafe fn split_off(mut self, at: usize, with_room: bool) -> Self {
        assert!(at <= self.len());
        let moved = self.len() - at;
        let mut new = Self::alloc(moved + usize::from(with_room));
        // SAFETY: the new leaf has room for so many, and the two are different allocations.
        unsafe {
            let from = self.first_slot().add(at);
            ptr::copy_nonoverlapping(from, new.first_slot(), moved);
        }
        let &Header { base, shift, .. } = self.header();
        // SAFETY: nothing is borrowed from the new leaf.
        let header = unsafe { new.header_mut() };
        (header.base, header.shift, header.len) = (base, shift, moved as u16);
        // SAFETY: the caller promises that nothing is borrowed.
        unsafe { self.header_mut().len = at as u16 };
        new
    }

    /// Makes tags finer where they have become too coarse.
    ///
    /// # Safety
    /// Nothing is borrowed from the leaf.
    pub(super) unsafe fn refine(self) {
        let &Header { shift, .. } = self.header();
        let [first, .., last] = self.slots() else { return };
        if shift == 0 || last.tag() - first.tag() >= SPREAD_MIN {
            return;
        }
        let last = self.len() - 1;
        let (low, high) = (key_of(self.element(0).score()), key_of(self.element(last).score()));
        if shift_for(low, high) < u32::from(shift) {
            // SAFETY: the caller promises that nothing is borrowed.
            unsafe { self.assign_tags(low, high) };
        }
    }

    /// Gives all elements tags, when the lowest and the highest key are these.
    ///
    /// # Safety
    /// Nothing is borrowed from the leaf.
    unsafe fn assign_tags(mut self, low: u64, high: u64) {
        let shift = shift_for(low, high);
        let base = base_for(low >> shift, high >> shift);
        let all_equal = low == high;
        (0..self.len()).for_each(|at| {
            if !all_equal {
                self.prefetch(at)
            }
        });
        // SAFETY: the caller promises that nothing is borrowed.
        for slot in unsafe { self.slots_mut() } {
            let raw = slot.raw();
            // SAFETY: elements in a tree are alive, and do not change while it is borrowed.
            let key = || key_of(unsafe { Element::from_raw(raw) }.score());
            let key = if all_equal { low } else { key() };
            *slot = Slot::new(raw, (key >> shift) - base);
        }
        // SAFETY: the caller promises that nothing is borrowed.
        let header = unsafe { self.header_mut() };
        (header.base, header.shift) = (base, shift as u8);
    }

    /// Moves elements between this leaf and the next one, so that this one has `len`. Both may get
    /// other addresses.
    ///
    /// # Safety
    /// They are two leaves, and no copy of either is used afterwards.
    pub(super) unsafe fn balance(self, next: Self, len: usize) -> (Self, Self) {
        let all: Vec<Slot> = self.slots().iter().chain(next.slots()).copied().collect();
        let (here, there) = all.split_at(len);
        // SAFETY: the caller's promise.
        unsafe { (self.filled(here), next.filled(there)) }
    }

    /// The leaf with these elements in place of its own.
    ///
    /// # Safety
    /// No copy of `self` is used afterwards, and `slots` is not borrowed from it.
    unsafe fn filled(mut self, slots: &[Slot]) -> Self {
        // SAFETY: the caller promises that nothing is borrowed.
        unsafe { self.header_mut().len = 0 };
        // SAFETY: the caller's promise.
        let mut leaf = unsafe { self.resized((slots.len() + 1).min(LEAF_MAX)) };
        // SAFETY: the leaf has been given room for so many.
        unsafe { ptr::copy_nonoverlapping(slots.as_ptr(), leaf.first_slot(), slots.len()) };
        // SAFETY: nothing is borrowed from the new leaf.
        unsafe { leaf.header_mut().len = slots.len() as u16 };
        if let Some(last) = slots.len().checked_sub(1) {
            let keys = [0, last].map(|at| key_of(leaf.element(at).score()));
            // SAFETY: nothing is borrowed from the new leaf.
            unsafe { leaf.assign_tags(keys[0], keys[1]) };
        }
        leaf
    }

    /// Whether tags say what the elements' scores are.
    #[cfg(test)]
    pub(super) fn check(self) {
        let &Header { base, shift, .. } = self.header();
        for (at, slot) in self.slots().iter().enumerate() {
            assert_eq!(slot.tag() + base, key_of(self.element(at).score()) >> shift);
        }
    }
}

/// How far quotients must be shifted for their distance to leave room in the tags.
fn shift_for(low: u64, high: u64) -> u32 {
    let bits = 64 - (high - low).leading_zeros();
    // Rounding may add one to the distance, which a spread of half the tags makes harmless.
    let shift = bits.saturating_sub(64 - SPREAD_MAX.leading_zeros());
    if (high >> shift) - (low >> shift) > SPREAD_MAX { shift + 1 } else { shift }
}

/// A base that leaves as much room below the lowest tag as above the highest.
fn base_for(low: u64, high: u64) -> u64 {
    low.saturating_sub((TAG_MAX - (high - low)) / 2)
}
