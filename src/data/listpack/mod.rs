//! A listpack: many small elements in one block of bytes.
//!
//! ```text
//! offset  bytes
//!      0  total     u32  bytes of all this
//!      4  count     u16  elements; 65535 if there are that many or more
//!      6  elements       see `entry.rs`
//!         end       u8   0xFF
//! ```
//!
//! These are the very bytes that Redis keeps in memory and writes into RDB files, as
//! <https://github.com/antirez/listpack/blob/master/listpack.md> describes them. All numbers are
//! little-endian.

mod entry;
mod iter;
#[cfg(test)]
mod tests;

use super::block;
use super::malformed::Malformed;
use super::word::Tagged;
pub use entry::Element;
use entry::{Encoded, back_length_bytes, decode, encoded_len, read_back_length};
pub use iter::Iter;
use std::ptr::NonNull;

/// Where the digits of an [`Element::Integer`] are written.
pub type Digits = itoa::Buffer;

const HEADER_BYTES: usize = 6;
const END: u8 = 0xff;
const EMPTY: [u8; HEADER_BYTES + 1] = [7, 0, 0, 0, 0, 0, END];

/// The count of a listpack that has too many elements to say so.
const COUNT_UNKNOWN: u16 = u16::MAX;

/// Where an element of a listpack is. It means nothing any more once the listpack is changed, except as the
/// changing method says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u32);

impl Position {
    fn new(offset: usize) -> Self {
        Self(u32::try_from(offset).expect("a listpack is shorter than 4 GiB"))
    }

    fn offset(self) -> usize {
        self.0 as usize
    }
}

/// A sequence of elements in one block of bytes; see the module's page. One word.
///
/// A position that is not one of the listpack's elements makes its methods panic or do something senseless,
/// but nothing worse.
#[repr(transparent)]
pub struct Listpack {
    /// A block whose first four bytes are the length of the initialized part.
    block: NonNull<u8>,
}

// SAFETY: it is one pointer, and blocks are aligned to 8 bytes.
unsafe impl Tagged for Listpack {
    const TAG: usize = 0;
}

// SAFETY: the block belongs to the listpack alone.
unsafe impl Send for Listpack {}
// SAFETY: without a mutable borrow nothing is changed.
unsafe impl Sync for Listpack {}

impl Listpack {
    /// The most bytes that a listpack is made to hold; see [`Listpack::has_room_for`].
    pub const BYTES_MAX: usize = 1 << 30;

    /// The bytes of one without elements.
    pub const EMPTY_BYTES: usize = EMPTY.len();

    /// A listpack without elements.
    pub fn new() -> Self {
        Self { block: block::allocate_copy(&EMPTY) }
    }

    /// A listpack of the given bytes, every one of which is checked.
    ///
    /// # Errors
    /// If they are no listpack.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        check(bytes)?;
        Ok(Self { block: block::allocate_copy(bytes) })
    }

    /// All bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: so many bytes of the block are initialized, and they change only through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.block.as_ptr(), self.byte_len()) }
    }

    fn as_mut_bytes(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_bytes`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.block.as_ptr(), self.byte_len()) }
    }

    /// The number of all bytes.
    #[inline]
    pub fn byte_len(&self) -> usize {
        // SAFETY: a listpack's block has at least 7 bytes and is aligned to 8.
        u32::from_le(unsafe { self.block.cast::<u32>().read() }) as usize
    }

    /// Bytes that are allocated.
    pub fn memory_bytes(&self) -> usize {
        block::allocated_bytes(self.byte_len())
    }

    /// The number of elements. From 65535 on they have to be counted.
    pub fn len(&self) -> usize {
        match self.count() {
            COUNT_UNKNOWN => self.iter().count(),
            count => usize::from(count),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.byte_len() == EMPTY.len()
    }

    /// Whether `more` bytes can be added without passing [`Listpack::BYTES_MAX`]: callers ask before they
    /// add anything that input decides. An element takes at most 10 bytes beside its own.
    pub fn has_room_for(&self, more: usize) -> bool {
        self.byte_len().checked_add(more).is_some_and(|bytes| bytes <= Self::BYTES_MAX)
    }

    fn count(&self) -> u16 {
        let bytes = self.as_bytes();
        u16::from_le_bytes([bytes[4], bytes[5]])
    }

    fn set_count(&mut self, count: u16) {
        self.as_mut_bytes()[4..6].copy_from_slice(&count.to_le_bytes());
    }

    /// Where the end mark is.
    #[inline]
    fn end(&self) -> usize {
        self.byte_len() - 1
    }

    fn position(&self, offset: usize) -> Option<Position> {
        (offset < self.end()).then(|| Position::new(offset))
    }

    /// Where the element before `offset` begins.
    fn before(&self, offset: usize) -> usize {
        let bytes = &self.as_bytes()[..offset];
        let len = read_back_length(bytes).expect("an element ends with its length");
        offset - len - back_length_bytes(len)
    }

    /// Where the element at `offset` ends.
    fn after(&self, offset: usize) -> usize {
        let bytes = &self.as_bytes()[offset..];
        let len = encoded_len(bytes).expect("a position is that of an element");
        offset + len + back_length_bytes(len)
    }

    /// The first element.
    pub fn first(&self) -> Option<Position> {
        self.position(HEADER_BYTES)
    }

    /// The last element.
    pub fn last(&self) -> Option<Position> {
        (!self.is_empty()).then(|| Position::new(self.before(self.end())))
    }

    /// The element behind another one.
    pub fn next(&self, position: Position) -> Option<Position> {
        self.position(self.after(position.offset()))
    }

    /// The element in front of another one.
    pub fn previous(&self, position: Position) -> Option<Position> {
        let offset = position.offset();
        (offset > HEADER_BYTES).then(|| Position::new(self.before(offset)))
    }

    /// The element at an index; negative ones count from the end. It is sought from the nearer end.
    pub fn seek(&self, index: isize) -> Option<Position> {
        let (forwards, steps) = match self.count() {
            COUNT_UNKNOWN if index >= 0 => (true, index.unsigned_abs()),
            COUNT_UNKNOWN => (false, index.unsigned_abs() - 1),
            count => {
                let count = usize::from(count);
                let index = match index {
                    0.. => index.unsigned_abs(),
                    _ => count.checked_sub(index.unsigned_abs())?,
                };
                if index >= count {
                    return None;
                }
                let is_near_start = index <= count / 2;
                (is_near_start, if is_near_start { index } else { count - 1 - index })
            }
        };
        if forwards {
            let end = self.end();
            let mut offset = HEADER_BYTES;
            for _ in 0..steps {
                if offset >= end {
                    return None;
                }
                offset = self.after(offset);
            }
            self.position(offset)
        } else {
            let mut offset = self.last()?.offset();
            for _ in 0..steps {
                if offset == HEADER_BYTES {
                    return None;
                }
                offset = self.before(offset);
            }
            Some(Position::new(offset))
        }
    }

    /// The element at a position.
    #[inline]
    pub fn get(&self, position: Position) -> Element<'_> {
        decode(&self.as_bytes()[position.offset()..self.end()]).0
    }

    /// All elements.
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(self.as_bytes(), HEADER_BYTES, self.end())
    }

    /// The elements from a position on.
    pub fn iter_from(&self, position: Position) -> Iter<'_> {
        Iter::new(self.as_bytes(), position.offset(), self.end())
    }

    /// The elements in front of a position; backwards, those on the way from there to the start.
    pub fn iter_before(&self, position: Position) -> Iter<'_> {
        Iter::new(self.as_bytes(), HEADER_BYTES, position.offset())
    }

    /// The first element from `from` on whose bytes are `needle`. After each element that is compared
    /// `skip` others are passed over: with 1 only the fields of field and value pairs are looked at.
    pub fn find(&self, from: Position, needle: &[u8], skip: usize) -> Option<Position> {
        let number = crate::resp::request::parse_i64(needle);
        let bytes = &self.as_bytes()[..self.end()];
        let mut offset = from.offset();
        let mut skipping = 0;
        while offset < bytes.len() {
            let rest = &bytes[offset..];
            let len = if skipping == 0 {
                skipping = skip;
                let (element, len) = decode(rest);
                let is_same = match element {
                    Element::Bytes(bytes) => bytes == needle,
                    Element::Integer(own) => number == Some(own),
                };
                if is_same {
                    return Some(Position::new(offset));
                }
                len
            } else {
                skipping -= 1;
                encoded_len(rest).expect("the elements have been checked")
            };
            offset += len + back_length_bytes(len);
        }
        None
    }

    /// Adds an element at the end. The bytes of a decimal number, exactly as one is printed, are kept
    /// as an integer.
    pub fn push_back(&mut self, bytes: &[u8]) {
        self.splice(self.end(), 0, &Encoded::new(bytes), 1);
    }

    /// Adds an integer at the end.
    pub fn push_back_integer(&mut self, number: i64) {
        self.splice(self.end(), 0, &Encoded::integer(number), 1);
    }

    /// Adds an element at the start.
    pub fn push_front(&mut self, bytes: &[u8]) {
        self.splice(HEADER_BYTES, 0, &Encoded::new(bytes), 1);
    }

    /// Inserts an element in front of the one at `position`, and says where it is.
    pub fn insert_before(&mut self, position: Position, bytes: &[u8]) -> Position {
        self.splice(position.offset(), 0, &Encoded::new(bytes), 1);
        position
    }

    /// Inserts an element behind the one at `position`, which stays valid, and says where it is.
    pub fn insert_after(&mut self, position: Position, bytes: &[u8]) -> Position {
        let offset = self.after(position.offset());
        self.splice(offset, 0, &Encoded::new(bytes), 1);
        Position::new(offset)
    }

    /// Puts another element in place of the one at `position`, and says where it is: at the same
    /// position.
    pub fn replace(&mut self, position: Position, bytes: &[u8]) -> Position {
        let offset = position.offset();
        let old_len = self.after(offset) - offset;
        self.splice(offset, old_len, &Encoded::new(bytes), 0);
        position
    }

    /// As [`Listpack::replace`], with an integer.
    pub fn replace_integer(&mut self, position: Position, number: i64) -> Position {
        let offset = position.offset();
        let old_len = self.after(offset) - offset;
        self.splice(offset, old_len, &Encoded::integer(number), 0);
        position
    }

    /// Removes an element, and says where the one behind it is now: at the same position.
    pub fn remove(&mut self, position: Position) -> Option<Position> {
        self.remove_run(position, 1)
    }

    /// Removes an element and those behind it, `count` in all or as many as there are, and says where the
    /// one behind them is now: at the same position.
    pub fn remove_run(&mut self, position: Position, count: usize) -> Option<Position> {
        let (start, end) = (position.offset(), self.end());
        let (mut offset, mut removed) = (start, 0);
        while removed < count && offset < end {
            offset = self.after(offset);
            removed += 1;
        }
        self.cut(start, offset, removed);
        self.position(start)
    }

    /// Removes `count` elements from an index on, or as many as there are.
    pub fn remove_range(&mut self, index: usize, count: usize) {
        let index = isize::try_from(index).unwrap_or(isize::MAX);
        if let Some(position) = self.seek(index) {
            self.remove_run(position, count);
        }
    }

    /// Takes off the element at `position` and everything behind it, as another listpack.
    pub fn split_off(&mut self, position: Position) -> Self {
        let (start, end) = (position.offset(), self.end());
        let moved = self.iter_from(position).count();
        let mut tail = Self::new();
        tail.insert_encoded(HEADER_BYTES, &self.as_bytes()[start..end], moved);
        self.cut(start, end, moved);
        tail
    }

    /// Adds all elements of another listpack at the end.
    pub fn append(&mut self, other: &Self) {
        let elements = &other.as_bytes()[HEADER_BYTES..other.end()];
        self.insert_encoded(self.end(), elements, other.len());
    }

    /// Removes the bytes of `count` elements.
    fn cut(&mut self, start: usize, end: usize, count: usize) {
        let old_len = self.byte_len();
        self.as_mut_bytes().copy_within(end.., start);
        let new_len = old_len - (end - start);
        self.set_byte_len(new_len);
        let new_count = match self.count() {
            _ if new_len == EMPTY.len() => 0,
            COUNT_UNKNOWN => COUNT_UNKNOWN,
            known => known - u16::try_from(count).expect("a known count is below 65535"),
        };
        self.set_count(new_count);
        // SAFETY: the block was one of `old_len` bytes, and its only user is this listpack.
        self.block = unsafe { block::resize(self.block, old_len, new_len) };
    }

    /// Puts an element in place of `removed` bytes at `offset`; `added` is by how many elements there are
    /// more then.
    fn splice(&mut self, offset: usize, removed: usize, entry: &Encoded<'_>, added: usize) {
        let room = self.make_room(offset, removed, entry.len());
        entry.write(room);
        self.add_count(added);
    }

    fn insert_encoded(&mut self, offset: usize, elements: &[u8], count: usize) {
        self.make_room(offset, 0, elements.len()).copy_from_slice(elements);
        self.add_count(count);
    }

    fn add_count(&mut self, added: usize) {
        let count = usize::from(self.count()) + added;
        self.set_count(u16::try_from(count).unwrap_or(COUNT_UNKNOWN));
    }

    /// Makes `removed` bytes at `offset` to `added` ones, which the caller writes.
    fn make_room(&mut self, offset: usize, removed: usize, added: usize) -> &mut [u8] {
        let old_len = self.byte_len();
        let new_len = old_len - removed + added;
        assert!(u32::try_from(new_len).is_ok(), "a listpack is shorter than 4 GiB");
        let (from, to) = (offset + removed, offset + added);
        assert!(HEADER_BYTES <= offset && from < old_len, "no element is outside of the listpack");
        if new_len > old_len {
            // SAFETY: the block is one of `old_len` bytes, and its only user is this listpack.
            self.block = unsafe { block::resize(self.block, old_len, new_len) };
        }
        if from != to {
            // SAFETY: the block has room for the longer of both, `old_len` bytes of it are initialized,
            // and `from..old_len` as well as its copy at `to` lie inside.
            unsafe {
                let start = self.block.as_ptr();
                std::ptr::copy(start.add(from), start.add(to), old_len - from);
            }
            if to > old_len {
                // What the caller writes begins with bytes that were there before, and goes on with these.
                // SAFETY: the range lies inside the block.
                unsafe { self.block.as_ptr().add(old_len).write_bytes(0, to - old_len) };
            }
            self.set_byte_len(new_len);
        }
        if new_len < old_len {
            // SAFETY: as above.
            self.block = unsafe { block::resize(self.block, old_len, new_len) };
        }
        &mut self.as_mut_bytes()[offset..to]
    }

    fn set_byte_len(&mut self, len: usize) {
        // SAFETY: a listpack's block has at least 7 bytes and is aligned to 8. The callers made `len`
        // bytes of it initialized.
        unsafe { self.block.cast::<u32>().write((len as u32).to_le()) };
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Listpack {
    fn clone(&self) -> Self {
        Self { block: block::allocate_copy(self.as_bytes()) }
    }
}

impl Drop for Listpack {
    fn drop(&mut self) {
        // SAFETY: the block is one of that many bytes, and its owner is gone.
        unsafe { block::free(self.block, self.byte_len()) };
    }
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Checks that bytes are a listpack: each length, each back-length, the end, the count.
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Malformed::new("the header of a listpack is cut", bytes.len()));
    };
    let [total @ .., count_low, count_high] = *header;
    if u32::from_le_bytes(total) as usize != bytes.len() || bytes.len() > Listpack::BYTES_MAX {
        return Err(Malformed::new("a listpack's length is not what it says", 0));
    }
    let Some((&END, elements)) = rest.split_last() else {
        return Err(Malformed::new("a listpack does not end with its end mark", bytes.len() - 1));
    };
    let (mut at, mut count) = (0, 0);
    while at < elements.len() {
        let Some(len) = encoded_len(&elements[at..]) else {
            return Err(Malformed::new("no encoding of an element", HEADER_BYTES + at));
        };
        let end = at + len + back_length_bytes(len);
        let Some(element) = elements.get(at..end) else {
            return Err(Malformed::new(
                "an element passes the end of its listpack",
                HEADER_BYTES + at,
            ));
        };
        if read_back_length(element) != Some(len) {
            return Err(Malformed::new(
                "the back-length of an element is wrong",
                HEADER_BYTES + at,
            ));
        }
        at = end;
        count += 1;
    }
    let said = u16::from_le_bytes([count_low, count_high]);
    if said != COUNT_UNKNOWN && usize::from(said) != count {
        return Err(Malformed::new("the count of a listpack's elements is wrong", 4));
    }
    Ok(())
}
