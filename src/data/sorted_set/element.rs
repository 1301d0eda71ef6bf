//! An element of a big sorted set: one allocation that its table owns and its tree points to.
//!
//! ```text
//! offset  bytes
//!      0  score   f64
//!      8  length  of the member, seven bits a byte, the lowest first; the top bit says "more follows"
//!         member
//! ```
//!
//! With a member of 15 bytes these are 24, which jemalloc rounds to 32.

use crate::data::saving::Named;
use crate::data::table::Item;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;

const SCORE_BYTES: usize = 8;
const ALIGN: usize = 8;

/// The pointer to an element's allocation.
pub(super) type Raw = NonNull<u8>;

/// An owned element.
pub struct ElementBox(Raw);

/// An element to look at.
#[derive(Clone, Copy)]
pub struct Element<'a>(Raw, PhantomData<&'a ElementBox>);

// SAFETY: an element owns its allocation, and nothing in it is tied to a thread.
unsafe impl Send for ElementBox {}
// SAFETY: shared references only read.
unsafe impl Sync for ElementBox {}

// SAFETY: `into_raw` gives the pointer to an allocation that the box owns, `from_raw` makes the same
// box of it again, and a borrow only reads.
unsafe impl Item for ElementBox {
    type Ref<'a> = Element<'a>;

    fn into_raw(self) -> NonNull<u8> {
        let raw = self.0;
        std::mem::forget(self);
        raw
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw)
    }

    unsafe fn borrow<'a>(raw: NonNull<u8>) -> Element<'a> {
        Element(raw, PhantomData)
    }
}

impl Named for ElementBox {
    fn name(element: Self::Ref<'_>) -> &[u8] {
        element.member()
    }

    fn copy(element: Element<'_>) -> Self {
        Self::new(element.score(), element.member())
    }

    fn view(&self) -> Element<'_> {
        self.view()
    }

    fn bytes(element: Element<'_>) -> usize {
        element.allocated_bytes()
    }
}

/// Bytes that the length of a member takes.
fn length_bytes(len: usize) -> usize {
    (usize::BITS - (len | 1).leading_zeros()).div_ceil(7) as usize
}

impl ElementBox {
    /// Allocates an element.
    pub fn new(score: f64, member: &[u8]) -> Self {
        let head = SCORE_BYTES + length_bytes(member.len());
        let layout = Layout::from_size_align(head + member.len(), ALIGN);
        let layout = layout.expect("a member's length fits in memory");
        // SAFETY: the layout's size is at least the score's, so it is not zero.
        let Some(raw) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the allocation has room for the score, `length_bytes` bytes of length (the loop
        // writes exactly as many) and the member, and is aligned for the score.
        unsafe {
            raw.cast::<f64>().write(score);
            let mut at = raw.as_ptr().add(SCORE_BYTES);
            let mut left = member.len();
            while left > 0x7f {
                at.write(left as u8 | 0x80);
                at = at.add(1);
                left >>= 7;
            }
            at.write(left as u8);
            std::ptr::copy_nonoverlapping(member.as_ptr(), at.add(1), member.len());
        }
        Self(raw)
    }

    /// Looks at the element.
    pub fn view(&self) -> Element<'_> {
        Element(self.0, PhantomData)
    }
}

impl Drop for ElementBox {
    fn drop(&mut self) {
        let size = self.view().allocated_bytes();
        let layout = Layout::from_size_align(size, ALIGN).expect("it was allocated so");
        // SAFETY: it was allocated with this size and alignment; neither ever changes.
        unsafe { dealloc(self.0.as_ptr(), layout) };
    }
}

impl<'a> Element<'a> {
    /// Looks at an element by its pointer.
    ///
    /// # Safety
    /// It points to an element that lives during `'a`, and whose score does not change meanwhile.
    pub(super) unsafe fn from_raw(raw: Raw) -> Self {
        Self(raw, PhantomData)
    }

    /// The element's pointer.
    pub(super) fn raw(self) -> Raw {
        self.0
    }

    /// Its score, never NaN.
    #[inline]
    pub fn score(self) -> f64 {
        // SAFETY: an element begins with its score.
        unsafe { self.0.cast::<f64>().read() }
    }

    /// Its member.
    #[inline]
    pub fn member(self) -> &'a [u8] {
        // SAFETY: length and member follow the score as `ElementBox::new` has written them, and the
        // allocation lives as long as `'a`.
        unsafe {
            let mut at = self.0.as_ptr().add(SCORE_BYTES);
            let mut byte = at.read();
            let mut len = usize::from(byte & 0x7f);
            let mut shift = 7;
            while byte & 0x80 != 0 {
                at = at.add(1);
                byte = at.read();
                len |= usize::from(byte & 0x7f) << shift;
                shift += 7;
            }
            std::slice::from_raw_parts(at.add(1), len)
        }
    }

    /// Bytes of its allocation, without the allocator's rounding.
    pub fn allocated_bytes(self) -> usize {
        let len = self.member().len();
        SCORE_BYTES + length_bytes(len) + len
    }
}

/// Sets the score of an element.
///
/// # Safety
/// `raw` points to a live element. A structure that keeps elements in order does not rely on the
/// old score afterwards.
pub(super) unsafe fn set_score(raw: Raw, score: f64) {
    // SAFETY: an element begins with its score.
    unsafe { raw.cast::<f64>().write(score) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_as_long_as_the_budget_says() {
        assert_eq!(ElementBox::new(1.0, b"member:00000001").view().allocated_bytes(), 24);
        assert_eq!(ElementBox::new(1.0, b"").view().allocated_bytes(), 9);
    }

    #[test]
    fn members_of_all_lengths_are_kept() {
        let lens = [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152];
        for &len in if cfg!(miri) { &lens[..5] } else { &lens[..] } {
            let member: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let element = ElementBox::new(-0.5, &member);
            assert_eq!(element.view().member(), member);
            assert_eq!(element.view().score().to_bits(), (-0.5f64).to_bits());
            // SAFETY: the element lives, and nothing keeps it in order.
            unsafe { set_score(element.view().raw(), f64::INFINITY) };
            assert_eq!(element.view().score(), f64::INFINITY);
            assert_eq!(element.view().member(), member);
        }
    }
}
