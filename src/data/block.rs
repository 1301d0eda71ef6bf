//! Blocks of bytes that hold their own length, so that one pointer is enough.
//!
//! How much is allocated follows from the length alone. It is rounded up as the allocator would round
//! it anyway (jemalloc has four sizes between one power of two and the next), so appending
//! rarely moves a block, and no capacity has to be stored.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::NonNull;

/// Blocks begin at multiples of this, which leaves the low three bits of their addresses free.
const ALIGN: usize = 8;

/// Bytes that the block of a value of `len` bytes takes.
pub const fn allocated_bytes(len: usize) -> usize {
    match len {
        0..=8 => 8,
        9..=128 => len.next_multiple_of(16),
        _ => len.next_multiple_of((1 << (len - 1).ilog2()) / 4),
    }
}

fn layout(len: usize) -> Layout {
    Layout::from_size_align(allocated_bytes(len), ALIGN).expect("a block fits into memory")
}

/// A new block with room for `len` bytes, which are not initialized.
pub fn allocate(len: usize) -> NonNull<u8> {
    let layout = layout(len);
    // SAFETY: the layout's size is never zero.
    let block = unsafe { alloc(layout) };
    NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout))
}

/// A new block that holds `bytes`.
pub fn allocate_copy(bytes: &[u8]) -> NonNull<u8> {
    let block = allocate(bytes.len());
    // SAFETY: the block has room for that many bytes, and nothing else refers to it yet.
    unsafe { block.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
    block
}

/// Makes a block of `old_len` bytes one of `new_len`, which may move it. Bytes beyond the smaller
/// of both lengths are lost, or not initialized.
///
/// # Safety
///
/// `block` is one of `old_len` bytes, and the caller holds the only pointer to it that is still
/// used.
pub unsafe fn resize(block: NonNull<u8>, old_len: usize, new_len: usize) -> NonNull<u8> {
    let (old, new) = (layout(old_len), layout(new_len));
    if old == new {
        return block;
    }
    // SAFETY: the caller's block has this layout, and the new size is neither zero nor too large.
    let moved = unsafe { realloc(block.as_ptr(), old, new.size()) };
    NonNull::new(moved).unwrap_or_else(|| handle_alloc_error(new))
}

/// Frees a block.
///
/// # Safety
///
/// `block` is one of `len` bytes, and the caller holds the only pointer to it that is still used.
pub unsafe fn free(block: NonNull<u8>, len: usize) {
    // SAFETY: the caller's block has this layout.
    unsafe { dealloc(block.as_ptr(), layout(len)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg_attr(miri, ignore = "takes hours under Miri")]
    #[test]
    fn sizes_are_those_of_the_allocator() {
        let cases = [(0, 8), (7, 8), (9, 16), (16, 16), (17, 32), (113, 128), (128, 128)];
        let above = [(129, 160), (161, 192), (256, 256), (257, 320), (8192, 8192), (8193, 10240)];
        for (len, bytes) in cases.into_iter().chain(above) {
            assert_eq!(allocated_bytes(len), bytes, "{len}");
        }
        for len in 1..100_000 {
            let bytes = allocated_bytes(len);
            assert!(bytes >= len && allocated_bytes(bytes) == bytes);
            assert!(len < 16 || bytes - len <= len / 4 + 16, "{len} takes {bytes}");
        }
    }
}
