//! A sorted set of integers in one block of bytes.
//!
//! ```text
//! offset  bytes
//!      0  width     u32  bytes of one integer: 2, 4 or 8
//!      4  length    u32  integers
//!      8  integers       ascending, two's complement
//! ```
//!
//! These are the very bytes that Redis keeps in memory and writes into RDB files. All numbers are
//! little-endian. All integers are as wide as the widest one ever was.

use super::block;
use super::malformed::Malformed;
use super::word::Tagged;
use std::ops::Range;
use std::ptr::NonNull;

const HEADER_BYTES: usize = 8;

/// The width that an integer needs at least.
fn width_of(number: i64) -> usize {
    if i16::try_from(number).is_ok() {
        2
    } else if i32::try_from(number).is_ok() {
        4
    } else {
        8
    }
}

fn read(bytes: &[u8], width: usize, index: usize) -> i64 {
    let bytes = &bytes[HEADER_BYTES + index * width..][..width];
    match *bytes {
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => unreachable!("an integer has 2, 4 or 8 bytes"),
    }
}

/// A sorted set of integers; see the module's page. One word, whose low bits are 2.
#[repr(transparent)]
pub struct Intset {
    /// The address of a block that begins with the header, plus the tag.
    tagged: NonNull<u8>,
}

// SAFETY: it is one pointer; blocks are aligned to 8 bytes, and the tag is added to all of them.
unsafe impl Tagged for Intset {
    const TAG: usize = 2;
}

// SAFETY: the block belongs to the set alone.
unsafe impl Send for Intset {}
// SAFETY: without a mutable borrow nothing is changed.
unsafe impl Sync for Intset {}

impl Intset {
    /// A set without members.
    pub fn new() -> Self {
        Self::owning(block::allocate_copy(&[2, 0, 0, 0, 0, 0, 0, 0]))
    }

    /// A set of the given bytes, every one of which is checked.
    ///
    /// # Errors
    /// If they are no intset.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(([w0, w1, w2, w3, l0, l1, l2, l3], integers)) = bytes.split_first_chunk() else {
            return Err(Malformed::new("the header of an intset is cut", bytes.len()));
        };
        let width = u32::from_le_bytes([*w0, *w1, *w2, *w3]) as usize;
        if !matches!(width, 2 | 4 | 8) {
            return Err(Malformed::new("an intset's integers have no possible width", 0));
        }
        let len = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
        if len.checked_mul(width) != Some(integers.len()) {
            return Err(Malformed::new("an intset's length is not what it says", 4));
        }
        let value = |index| read(bytes, width, index);
        if let Some(index) = (1..len).find(|&index| value(index - 1) >= value(index)) {
            let offset = HEADER_BYTES + index * width;
            return Err(Malformed::new("an intset's integers do not ascend", offset));
        }
        Ok(Self::owning(block::allocate_copy(bytes)))
    }

    fn owning(block: NonNull<u8>) -> Self {
        // The block's address is a multiple of 8.
        Self { tagged: block.map_addr(|address| address | Self::TAG) }
    }

    #[inline]
    fn block(&self) -> NonNull<u8> {
        // SAFETY: the tag was added to a pointer into this very block.
        unsafe { self.tagged.sub(Self::TAG) }
    }

    /// All bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: so many bytes of the block are initialized, and they change only through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.block().as_ptr(), self.byte_len()) }
    }

    fn as_mut_bytes(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_bytes`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.block().as_ptr(), self.byte_len()) }
    }

    /// Width and length.
    #[inline]
    fn header(&self) -> (usize, usize) {
        // SAFETY: an intset's block begins with 8 initialized bytes and is aligned to 8.
        let [width, len] = unsafe { self.block().cast::<[u32; 2]>().read() };
        (u32::from_le(width) as usize, u32::from_le(len) as usize)
    }

    fn byte_len(&self) -> usize {
        let (width, len) = self.header();
        HEADER_BYTES + width * len
    }

    /// Bytes that are allocated.
    pub fn memory_bytes(&self) -> usize {
        block::allocated_bytes(self.byte_len())
    }

    /// The number of integers.
    pub fn len(&self) -> usize {
        self.header().1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The integer at an index of the ascending order.
    pub fn get(&self, index: usize) -> Option<i64> {
        let (width, len) = self.header();
        (index < len).then(|| read(self.as_bytes(), width, index))
    }

    /// One of the integers, picked by a random number; each is as likely as the others.
    pub fn random(&self, random: u64) -> Option<i64> {
        self.get(random.checked_rem(self.len() as u64)? as usize)
    }

    /// The first and the last integer.
    pub fn range(&self) -> Option<(i64, i64)> {
        Some((self.get(0)?, self.get(self.len() - 1)?))
    }

    /// All integers, ascending.
    pub fn iter(&self) -> Iter<'_> {
        let (width, len) = self.header();
        Iter { bytes: self.as_bytes(), width, indexes: 0..len }
    }

    /// Whether an integer is a member.
    pub fn contains(&self, number: i64) -> bool {
        width_of(number) <= self.header().0 && self.search(number).is_ok()
    }

    /// Where an integer is, or where it would have to be.
    fn search(&self, number: i64) -> Result<usize, usize> {
        let (width, len) = self.header();
        let bytes = self.as_bytes();
        let (mut low, mut high) = (0, len);
        // Numbers added in ascending order are always past the last one.
        if len > 0 && read(bytes, width, len - 1) < number {
            return Err(len);
        }
        while low < high {
            let middle = low.midpoint(high);
            match read(bytes, width, middle).cmp(&number) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Adds an integer. False if it was there.
    pub fn insert(&mut self, number: i64) -> bool {
        let Err(index) = self.search(number) else { return false };
        if width_of(number) > self.header().0 {
            self.widen(width_of(number));
        }
        let (width, len) = self.header();
        let old_len = self.byte_len();
        self.resize(old_len, old_len + width);
        self.set_len(len + 1);
        let at = HEADER_BYTES + index * width;
        let bytes = self.as_mut_bytes();
        bytes.copy_within(at..old_len, at + width);
        bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
        true
    }

    /// Removes an integer. False if it was not there.
    pub fn remove(&mut self, number: i64) -> bool {
        let Ok(index) = self.search(number) else { return false };
        let (width, len) = self.header();
        let old_len = self.byte_len();
        let at = HEADER_BYTES + index * width;
        self.as_mut_bytes().copy_within(at + width.., at);
        self.set_len(len - 1);
        self.resize(old_len, old_len - width);
        true
    }

    /// Removes the integers that `keep` is false for. It is asked once for each, in ascending order.
    pub fn retain(&mut self, mut keep: impl FnMut(i64) -> bool) {
        let (width, len) = self.header();
        let old_len = self.byte_len();
        let bytes = self.as_mut_bytes();
        let mut kept = 0;
        for index in 0..len {
            if keep(read(bytes, width, index)) {
                let from = HEADER_BYTES + index * width;
                bytes.copy_within(from..from + width, HEADER_BYTES + kept * width);
                kept += 1;
            }
        }
        self.set_len(kept);
        self.resize(old_len, HEADER_BYTES + kept * width);
    }

    /// Gives each integer more bytes.
    fn widen(&mut self, width: usize) {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.len() * width);
        bytes.extend((width as u32).to_le_bytes());
        bytes.extend((self.len() as u32).to_le_bytes());
        for number in self.iter() {
            bytes.extend(&number.to_le_bytes()[..width]);
        }
        *self = Self::owning(block::allocate_copy(&bytes));
    }

    /// Makes the block one of `new_len` bytes; new ones are zero.
    fn resize(&mut self, old_len: usize, new_len: usize) {
        // SAFETY: the block is one of `old_len` bytes, and its only user is this set.
        let block = unsafe { block::resize(self.block(), old_len, new_len) };
        if new_len > old_len {
            // SAFETY: the range lies inside the block.
            unsafe { block.add(old_len).write_bytes(0, new_len - old_len) };
        }
        self.tagged = block.map_addr(|address| address | Self::TAG);
    }

    fn set_len(&mut self, len: usize) {
        let len = u32::try_from(len).expect("an intset has fewer than 2^32 integers");
        // SAFETY: an intset's block begins with 8 initialized bytes and is aligned to 8. The callers made
        // or make as many bytes of it initialized as the length says.
        unsafe { self.block().cast::<u32>().add(1).write(len.to_le()) };
    }
}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Intset {
    fn clone(&self) -> Self {
        Self::owning(block::allocate_copy(self.as_bytes()))
    }
}

impl Drop for Intset {
    fn drop(&mut self) {
        // SAFETY: the block is one of that many bytes, and its owner is gone.
        unsafe { block::free(self.block(), self.byte_len()) };
    }
}

impl std::fmt::Debug for Intset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The integers of an intset, ascending.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    width: usize,
    indexes: Range<usize>,
}

impl Iterator for Iter<'_> {
    type Item = i64;

    #[inline]
    fn next(&mut self) -> Option<i64> {
        self.indexes.next().map(|index| read(self.bytes, self.width, index))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.indexes.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<i64> {
        self.indexes.next_back().map(|index| read(self.bytes, self.width, index))
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set_of(numbers: &[i64]) -> Intset {
        let mut set = Intset::new();
        numbers.iter().for_each(|&number| assert!(set.insert(number)));
        set
    }

    /// What `SADD` of these and `DUMP` gave on Redis 7.4.1, without the envelope.
    #[test]
    fn bytes_are_those_of_redis() {
        let cases: [(&[i64], &[u8]); 3] = [
            (&[1, 2, -3], b"\x02\0\0\0\x03\0\0\0\xfd\xff\x01\0\x02\0"),
            (&[1, -40000, 7], b"\x04\0\0\0\x03\0\0\0\xc0\x63\xff\xff\x01\0\0\0\x07\0\0\0"),
            (
                &[5, 1 << 40, -9],
                b"\x08\0\0\0\x03\0\0\0\xf7\xff\xff\xff\xff\xff\xff\xff\
                  \x05\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0",
            ),
        ];
        for (numbers, bytes) in cases {
            assert_eq!(set_of(numbers).as_bytes(), bytes);
            assert_eq!(Intset::from_bytes(bytes).unwrap().as_bytes(), bytes);
        }
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let good = set_of(&[1, 2, 300_000]).as_bytes().to_vec();
        let refuse = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            Intset::from_bytes(&bytes).unwrap_err()
        };
        let cut = Malformed::new("the header of an intset is cut", 7);
        assert_eq!(refuse(&|b| b.truncate(7)), cut);
        let width = Malformed::new("an intset's integers have no possible width", 0);
        assert_eq!(refuse(&|b| b[0] = 3), width);
        let length = Malformed::new("an intset's length is not what it says", 4);
        assert_eq!(refuse(&|b| b[4] = 2), length);
        assert_eq!(refuse(&|b| b[7] = 0x40), length);
        assert_eq!(refuse(&|b| b.push(0)), length);
        let order = Malformed::new("an intset's integers do not ascend", 12);
        assert_eq!(refuse(&|b| b[8] = 2), order);
        assert_eq!(refuse(&|b| b[8] = 9), order);
    }

    #[test]
    fn one_word() {
        assert_eq!(size_of::<Intset>(), 8);
        assert_eq!(size_of::<Option<Intset>>(), 8);
        assert_eq!(Intset::new().memory_bytes(), 8);
        assert_eq!(Intset::new().random(7), None);
    }

    proptest! {
        #[test]
        fn behaves_like_an_ordered_set(
            changes in prop::collection::vec((any::<bool>(), any::<i64>(), 50..64u32), 1..200)
        ) {
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for (adds, number, shift) in changes {
                // Few distinct ones, and now and then a wide one.
                let number = if shift == 50 { number } else { number >> shift };
                prop_assert_eq!(set.contains(number), model.contains(&number));
                if adds {
                    prop_assert_eq!(set.insert(number), model.insert(number));
                } else {
                    prop_assert_eq!(set.remove(number), model.remove(&number));
                }
                prop_assert!(set.iter().eq(model.iter().copied()));
                prop_assert_eq!(set.len(), model.len());
                prop_assert_eq!(Intset::from_bytes(set.as_bytes()).unwrap().len(), model.len());
            }
            prop_assert_eq!(set.range(), model.first().copied().zip(model.last().copied()));
            let mut half = set.clone();
            half.retain(|number| number % 2 == 0);
            prop_assert!(half.iter().eq(model.iter().copied().filter(|number| number % 2 == 0)));
            prop_assert!(Intset::from_bytes(half.as_bytes()).is_ok());
            prop_assert!(set.iter().rev().eq(model.iter().rev().copied()));
            let picked: BTreeSet<i64> = (0..model.len() as u64).filter_map(|n| set.random(n)).collect();
            prop_assert_eq!(picked, model);
        }
    }
}
