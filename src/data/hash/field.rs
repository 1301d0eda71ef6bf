//! A field of a big hash with its value, in one allocation.
//!
//! ```text
//! name_len    varint  length of the name, doubled, plus 1 if there is an expiry time
//! value_len   varint
//! expiry      i64     only if there is one: Unix time in ms
//! name        name_len bytes
//! value       value_len bytes
//! ```
//!
//! Varints are little-endian base 128: 7 bits a byte, the high bit says that there are more. A name of
//! 14 bytes with a value of 11 takes 27 bytes, which the allocator rounds to 32.

use crate::data::block;
use crate::data::saving::Named;
use crate::data::table::Item;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The most bytes that a varint of 64 bits takes.
const VARINT_BYTES_MAX: usize = 10;
const EXPIRY_BYTES: usize = 8;

/// An owned field: a pointer to the allocation described in the module's documentation.
pub(super) struct FieldBox(NonNull<u8>);

/// A field to look at.
#[derive(Clone, Copy)]
pub(super) struct FieldRef<'a>(NonNull<u8>, PhantomData<&'a FieldBox>);

// SAFETY: a field owns its allocation, and nothing in it is tied to a thread.
unsafe impl Send for FieldBox {}
// SAFETY: shared references only read.
unsafe impl Sync for FieldBox {}

// SAFETY: `into_raw` gives the pointer to an allocation that the box owns, `from_raw` makes the same box
// of it again, and a borrow only reads.
unsafe impl Item for FieldBox {
    type Ref<'a> = FieldRef<'a>;

    fn into_raw(self) -> NonNull<u8> {
        let raw = self.0;
        std::mem::forget(self);
        raw
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw)
    }

    unsafe fn borrow<'a>(raw: NonNull<u8>) -> FieldRef<'a> {
        FieldRef(raw, PhantomData)
    }
}

impl Named for FieldBox {
    fn name(field: Self::Ref<'_>) -> &[u8] {
        field.name()
    }

    fn copy(field: FieldRef<'_>) -> Self {
        Self::new(field.name(), field.value(), field.expiry_ms())
    }

    fn view(&self) -> FieldRef<'_> {
        self.view()
    }

    fn bytes(field: FieldRef<'_>) -> usize {
        field.memory_bytes()
    }
}

/// A varint in its bytes.
struct Varint {
    bytes: [u8; VARINT_BYTES_MAX],
    len: usize,
}

impl Varint {
    fn new(mut number: usize) -> Self {
        let mut varint = Self { bytes: [0; VARINT_BYTES_MAX], len: 0 };
        loop {
            let low = (number & 0x7f) as u8;
            number >>= 7;
            varint.bytes[varint.len] = low | if number > 0 { 0x80 } else { 0 };
            varint.len += 1;
            if number == 0 {
                return varint;
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Where the parts of a field are.
#[derive(Clone, Copy)]
struct Parts {
    /// Offset of the value's length.
    value_len_at: usize,
    /// Offset of the expiry time, if there is one, or of the name.
    expiry_at: usize,
    has_expiry: bool,
    name_len: usize,
    value_len: usize,
}

impl Parts {
    fn name_at(self) -> usize {
        self.expiry_at + if self.has_expiry { EXPIRY_BYTES } else { 0 }
    }

    fn value_at(self) -> usize {
        self.name_at() + self.name_len
    }

    fn size(self) -> usize {
        self.value_at() + self.value_len
    }
}

impl FieldBox {
    /// Allocates a field.
    pub(super) fn new(name: &[u8], value: &[u8], expiry_ms: Option<i64>) -> Self {
        let name_len = Varint::new(name.len() << 1 | usize::from(expiry_ms.is_some()));
        let value_len = Varint::new(value.len());
        let expiry = expiry_ms.map(i64::to_ne_bytes);
        let expiry = expiry.as_ref().map_or(&[][..], |expiry| expiry);
        let pieces = [name_len.as_bytes(), value_len.as_bytes(), expiry, name, value];
        let size = pieces.iter().map(|piece| piece.len()).sum();
        let start = block::allocate(size);
        let mut at = start;
        for piece in pieces {
            // SAFETY: the pieces together are as long as the block, which nothing else refers to yet.
            unsafe {
                at.copy_from_nonoverlapping(NonNull::from(piece).cast(), piece.len());
                at = at.add(piece.len());
            }
        }
        Self(start)
    }

    /// Looks at the field.
    pub(super) fn view(&self) -> FieldRef<'_> {
        FieldRef(self.0, PhantomData)
    }
}

impl Drop for FieldBox {
    fn drop(&mut self) {
        let size = self.view().parts().size();
        // SAFETY: the block was allocated with this size, and its owner is gone.
        unsafe { block::free(self.0, size) };
    }
}

impl<'a> FieldRef<'a> {
    /// The varint at an offset, and where it ends.
    ///
    /// # Safety
    /// A varint begins at `at`.
    unsafe fn varint(self, mut at: usize) -> (usize, usize) {
        let (mut number, mut shift) = (0, 0);
        loop {
            // SAFETY: the caller's promise; a varint ends inside the allocation.
            let byte = unsafe { self.0.add(at).read() };
            at += 1;
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return (number, at);
            }
            shift += 7;
        }
    }

    #[inline]
    fn parts(self) -> Parts {
        // SAFETY: a field begins with two varints.
        let (head, value_len_at) = unsafe { self.varint(0) };
        // SAFETY: as above.
        let (value_len, expiry_at) = unsafe { self.varint(value_len_at) };
        let (name_len, has_expiry) = (head >> 1, head & 1 == 1);
        Parts { value_len_at, expiry_at, has_expiry, name_len, value_len }
    }

    /// # Safety
    /// The `len` bytes from `at` on lie inside the allocation.
    unsafe fn slice(self, at: usize, len: usize) -> &'a [u8] {
        // SAFETY: the caller's promise; the allocation lives during `'a` and does not change.
        unsafe { std::slice::from_raw_parts(self.0.add(at).as_ptr(), len) }
    }

    /// The field's name.
    #[inline]
    pub(super) fn name(self) -> &'a [u8] {
        let parts = self.parts();
        // SAFETY: the name lies there.
        unsafe { self.slice(parts.name_at(), parts.name_len) }
    }

    /// The field's value.
    pub(super) fn value(self) -> &'a [u8] {
        let parts = self.parts();
        // SAFETY: the value lies there.
        unsafe { self.slice(parts.value_at(), parts.value_len) }
    }

    /// When the field expires, as Unix time in ms.
    pub(super) fn expiry_ms(self) -> Option<i64> {
        let parts = self.parts();
        // SAFETY: with the flag set, the expiry time lies there.
        let expiry =
            parts.has_expiry.then(|| unsafe { self.slice(parts.expiry_at, EXPIRY_BYTES) })?;
        expiry.first_chunk().copied().map(i64::from_ne_bytes)
    }

    /// Bytes that are allocated.
    pub(super) fn memory_bytes(self) -> usize {
        block::allocated_bytes(self.parts().size())
    }

    /// Overwrites value and expiry time in place; false, and nothing is changed, if they do not fit there.
    ///
    /// # Safety
    /// The field is read and written nowhere else meanwhile, and `value` is no part of it.
    pub(super) unsafe fn set_in_place(self, value: &[u8], expiry_ms: Option<i64>) -> bool {
        let old = self.parts();
        let value_len = Varint::new(value.len());
        let new = Parts { value_len: value.len(), ..old };
        let fits = expiry_ms.is_some() == old.has_expiry
            && value_len.len == old.expiry_at - old.value_len_at
            && block::allocated_bytes(new.size()) == block::allocated_bytes(old.size());
        if !fits {
            return false;
        }
        let put = |at: usize, bytes: &[u8]| {
            // SAFETY: all of this lies inside the block; the rest is the caller's promise.
            unsafe {
                self.0.add(at).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            }
        };
        put(new.value_len_at, value_len.as_bytes());
        put(new.value_at(), value);
        if let Some(expiry_ms) = expiry_ms {
            put(new.expiry_at, &expiry_ms.to_ne_bytes());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_what_the_budget_says() {
        let field = FieldBox::new(&[b'f'; 14], &[b'v'; 11], None);
        assert_eq!(field.view().parts().size(), 27);
        assert_eq!(field.view().memory_bytes(), 32);
        assert_eq!(FieldBox::new(b"f", b"v", Some(1)).view().parts().size(), 12);
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            name in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), Just(vec![7; 70_000])],
            value in prop::collection::vec(any::<u8>(), 0..200),
            other in prop::collection::vec(any::<u8>(), 0..200),
            expiry in any::<Option<i64>>(),
            later in any::<Option<i64>>(),
        ) {
            let check = |field: &FieldBox, value: &[u8], expiry: Option<i64>| {
                assert_eq!(field.view().name(), name);
                assert_eq!(field.view().value(), value);
                assert_eq!(field.view().expiry_ms(), expiry);
            };
            let field = FieldBox::new(&name, &value, expiry);
            check(&field, &value, expiry);
            // SAFETY: it is used nowhere else, and the value is not borrowed from it.
            if unsafe { field.view().set_in_place(&other, later) } {
                check(&field, &other, later);
            } else {
                check(&field, &value, expiry);
            }
        }
    }
}
