//! A byte string as a pointer to its only allocation: what a big set holds for each member.
//!
//! ```text
//! length      seven bits a byte, the lowest first; the top bit says "more follows"
//! bytes
//! ```
//!
//! With 15 bytes or less that is one of the allocator's smallest blocks, of 16 bytes.

use super::block;
use super::salted::SaltedHasher;
use super::table::{Item, Rehash, prefetch};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The most bytes that a length takes.
const LENGTH_BYTES_MAX: usize = 10;

/// An owned byte string; see the module's page. One word.
pub struct ThinBytes(NonNull<u8>);

/// A byte string to look at. Nothing of it is read before [`ThinRef::as_slice`] is called.
#[derive(Clone, Copy)]
pub struct ThinRef<'a>(NonNull<u8>, PhantomData<&'a ThinBytes>);

// SAFETY: a byte string owns its allocation, and nothing in it is tied to a thread.
unsafe impl Send for ThinBytes {}
// SAFETY: shared references only read.
unsafe impl Sync for ThinBytes {}

// SAFETY: `into_raw` gives the pointer to an allocation that the box owns, `from_raw` makes the same box
// of it again, and a borrow only reads.
unsafe impl Item for ThinBytes {
    type Ref<'a> = ThinRef<'a>;

    fn into_raw(self) -> NonNull<u8> {
        let raw = self.0;
        std::mem::forget(self);
        raw
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw)
    }

    unsafe fn borrow<'a>(raw: NonNull<u8>) -> ThinRef<'a> {
        ThinRef(raw, PhantomData)
    }
}

impl Rehash<ThinBytes> for SaltedHasher {
    fn rehash(&self, bytes: ThinRef<'_>) -> u64 {
        self.own(self.hash(bytes.as_slice()))
    }
}

impl ThinBytes {
    /// A copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let mut length = [0; LENGTH_BYTES_MAX];
        let (mut head_len, mut rest) = (0, bytes.len());
        while rest > 0x7f {
            length[head_len] = rest as u8 | 0x80;
            head_len += 1;
            rest >>= 7;
        }
        length[head_len] = rest as u8;
        head_len += 1;
        let block = block::allocate(head_len + bytes.len());
        // SAFETY: the block has room for both, and nothing else refers to it yet.
        unsafe {
            block.copy_from_nonoverlapping(NonNull::from(&length).cast(), head_len);
            let after = block.add(head_len);
            after.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        }
        Self(block)
    }

    /// Looks at the byte string.
    pub fn view(&self) -> ThinRef<'_> {
        ThinRef(self.0, PhantomData)
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.view().as_slice()
    }
}

impl<'a> ThinRef<'a> {
    /// Length, and where the bytes begin.
    #[inline]
    fn head(self) -> (usize, usize) {
        let (mut len, mut at) = (0, 0);
        loop {
            // SAFETY: a byte string begins with its length, whose last byte is the first without the
            // top bit.
            let byte = unsafe { self.0.add(at).read() };
            len |= usize::from(byte & 0x7f) << (7 * at);
            at += 1;
            if byte & 0x80 == 0 {
                return (len, at);
            }
        }
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(self) -> &'a [u8] {
        let (len, at) = self.head();
        // SAFETY: so many bytes follow, and they are neither changed nor freed during `'a`.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(at), len) }
    }

    /// Where it is, which tells it apart from all others that live at the same time.
    pub fn address(self) -> usize {
        self.0.addr().get()
    }

    /// Bytes allocated.
    pub fn memory_bytes(self) -> usize {
        let (len, at) = self.head();
        block::allocated_bytes(at + len)
    }

    /// Asks the processor to fetch the first bytes.
    #[inline]
    pub fn prefetch(self) {
        prefetch(self.0.as_ptr());
    }
}

impl Drop for ThinBytes {
    fn drop(&mut self) {
        let (len, at) = self.view().head();
        // SAFETY: the block is one of that many bytes, and its owner is gone.
        unsafe { block::free(self.0, at + len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_strings_of_all_lengths() {
        let (all, long) = if cfg!(miri) { (20, 129) } else { (300, 3_000_000) };
        for len in (0..all).chain([127, 128, long - 1, long]) {
            let bytes: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
            let thin = ThinBytes::new(&bytes);
            assert_eq!(thin.as_slice(), bytes);
            let raw = thin.into_raw();
            // SAFETY: it was just made from one.
            let thin = unsafe { ThinBytes::from_raw(raw) };
            assert_eq!(thin.as_slice(), bytes);
        }
        assert_eq!(ThinBytes::new(&[0; 15]).view().memory_bytes(), 16);
        assert_eq!(ThinBytes::new(&[0; 16]).view().memory_bytes(), 32);
    }
}
