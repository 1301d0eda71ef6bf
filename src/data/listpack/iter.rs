//! Walking a listpack.

use super::Element;
use super::entry::{back_length_bytes, decode, read_back_length};

/// Elements of a listpack, from both ends.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Iter<'a> {
    /// The elements that lie from `start` to `end`.
    pub(super) fn new(bytes: &'a [u8], start: usize, end: usize) -> Self {
        Self { bytes: &bytes[..end], start, end }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.start >= self.end {
            return None;
        }
        let (element, len) = decode(&self.bytes[self.start..]);
        self.start += len + back_length_bytes(len);
        Some(element)
    }
}

impl<'a> DoubleEndedIterator for Iter<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<Element<'a>> {
        if self.start >= self.end {
            return None;
        }
        let rest = &self.bytes[self.start..self.end];
        let len = read_back_length(rest).expect("an element ends with its length");
        self.end -= len + back_length_bytes(len);
        Some(decode(&self.bytes[self.end..]).0)
    }
}
