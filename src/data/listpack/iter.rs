//! Walking a listpack.

use super::entry::{back_length_bytes, decode, read_back_length};
use super::{Element, Listpack};
use crate::resp::request::parse_i64;

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

/// So few elements are compared each with each.
const PAIRWISE_MAX: usize = 8;

impl Listpack {
    /// Whether two of the elements at the indexes 0, `step`, 2 × `step`, … have the same bytes: of a hash's
    /// names and values, with 2, whether a name occurs twice.
    pub fn has_repeats(&self, step: usize) -> bool {
        // Foreign bytes may keep as a string what is an integer elsewhere.
        let plain = |element| match element {
            Element::Bytes(bytes) => parse_i64(bytes).map_or(element, Element::Integer),
            Element::Integer(_) => element,
        };
        let all = || self.iter().step_by(step).map(plain);
        if self.len().div_ceil(step) <= PAIRWISE_MAX {
            let mut rest = all();
            while let Some(element) = rest.next() {
                if rest.clone().any(|other| other == element) {
                    return true;
                }
            }
            return false;
        }
        let mut all: Vec<_> = all().collect();
        all.sort_unstable();
        all.windows(2).any(|pair| pair[0] == pair[1])
    }
}
