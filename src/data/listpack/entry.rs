//! One element of a listpack: how its bytes are written and read.
//!
//! ```text
//! 0xxxxxxx                      integer 0 to 127
//! 10xxxxxx                      string of up to 63 bytes
//! 110xxxxx xxxxxxxx             13-bit integer, two's complement
//! 1110xxxx xxxxxxxx             string of up to 4095 bytes
//! 11110000 + 4 bytes            string; its length is little-endian
//! 11110001 + 2 bytes            16-bit integer, little-endian, as are the following
//! 11110010 + 3 bytes            24-bit integer
//! 11110011 + 4 bytes            32-bit integer
//! 11110100 + 8 bytes            64-bit integer
//! ```
//!
//! Behind it comes the *back-length*, the number of bytes of all this in 1 to 5 bytes of 7 bits each, the
//! most significant first. It is made to be read backwards: all but the first byte have their high
//! bit set.

use super::Digits;
use crate::resp::request::parse_i64;

const STRING_32: u8 = 0xf0;
const INTEGER_16: u8 = 0xf1;
const INTEGER_24: u8 = 0xf2;
const INTEGER_32: u8 = 0xf3;
const INTEGER_64: u8 = 0xf4;

/// The most bytes that a back-length can have.
const BACK_LENGTH_BYTES_MAX: usize = 5;

/// An element of a listpack: a decimal number is kept as an integer.
///
/// Two elements of the same bytes are equal unless one comes from foreign bytes that keep as a string what
/// this implementation would keep as an integer; compare with [`Element::eq_bytes`] where it matters. The order
/// is for sorting only: integers come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element<'a> {
    /// A number, whose decimal digits are the element's bytes.
    Integer(i64),
    /// Any other bytes.
    Bytes(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The element's bytes; `digits` is where those of an integer are written.
    #[inline]
    pub fn bytes<'b>(self, digits: &'b mut Digits) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Element::Integer(number) => digits.format(number).as_bytes(),
            Element::Bytes(bytes) => bytes,
        }
    }

    /// Calls a function with the element's bytes.
    #[inline]
    pub fn with_bytes<R>(self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(self.bytes(&mut Digits::new()))
    }

    /// The number of the element's bytes, digits of an integer.
    pub fn len(self) -> usize {
        self.with_bytes(<[u8]>::len)
    }

    /// Whether this is the empty string.
    pub fn is_empty(self) -> bool {
        self == Element::Bytes(b"")
    }

    /// Whether the element's bytes are these.
    #[inline]
    pub fn eq_bytes(self, other: &[u8]) -> bool {
        match self {
            Element::Integer(number) => parse_i64(other) == Some(number),
            Element::Bytes(bytes) => bytes == other,
        }
    }

    /// The element as an owned string.
    pub fn to_vec(self) -> Vec<u8> {
        self.with_bytes(<[u8]>::to_vec)
    }
}

/// An element on its way into a listpack.
pub(super) struct Encoded<'a> {
    /// Type, length, and an integer's value.
    head: [u8; 9],
    head_len: usize,
    payload: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// A string; what is a decimal number exactly as one is printed becomes an integer.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        match parse_i64(bytes) {
            Some(number) => Self::integer(number),
            None => Self::string(bytes),
        }
    }

    pub(super) fn integer(number: i64) -> Self {
        let mut head = [0; 9];
        let mut tagged = |tag: u8, len: usize| {
            head[0] = tag;
            head[1..=len].copy_from_slice(&number.to_le_bytes()[..len]);
            1 + len
        };
        let head_len = match number {
            0..=0x7f => {
                head[0] = number as u8;
                1
            }
            -0x1000..=0xfff => {
                head[0] = 0xc0 | (number >> 8) as u8 & 0x1f;
                head[1] = number as u8;
                2
            }
            -0x8000..=0x7fff => tagged(INTEGER_16, 2),
            -0x80_0000..=0x7f_ffff => tagged(INTEGER_24, 3),
            -0x8000_0000..=0x7fff_ffff => tagged(INTEGER_32, 4),
            _ => tagged(INTEGER_64, 8),
        };
        Self { head, head_len, payload: &[] }
    }

    fn string(bytes: &'a [u8]) -> Self {
        let (mut head, len) = ([0; 9], bytes.len());
        let head_len = if len < 64 {
            head[0] = 0x80 | len as u8;
            1
        } else if len < 4096 {
            head[0] = 0xe0 | (len >> 8) as u8;
            head[1] = len as u8;
            2
        } else {
            head[0] = STRING_32;
            let len = u32::try_from(len).expect("a listpack's element is shorter than 4 GiB");
            head[1..5].copy_from_slice(&len.to_le_bytes());
            5
        };
        Self { head, head_len, payload: bytes }
    }

    /// Bytes without the back-length.
    fn encoded_len(&self) -> usize {
        self.head_len + self.payload.len()
    }

    /// All bytes.
    pub(super) fn len(&self) -> usize {
        self.encoded_len() + back_length_bytes(self.encoded_len())
    }

    /// Writes the element; `out` has exactly its length.
    pub(super) fn write(&self, out: &mut [u8]) {
        let (head, rest) = out.split_at_mut(self.head_len);
        head.copy_from_slice(&self.head[..self.head_len]);
        let (payload, back) = rest.split_at_mut(self.payload.len());
        payload.copy_from_slice(self.payload);
        let (len, last) = (self.encoded_len(), back.len() - 1);
        for (at, byte) in back.iter_mut().enumerate() {
            let bits = (len >> (7 * (last - at))) as u8 & 0x7f;
            *byte = if at == 0 { bits } else { bits | 0x80 };
        }
    }
}

/// How many bytes the back-length of an element has. The limits are one below what 7-bit groups
/// could hold, from the second on: so it is in Redis.
#[inline]
pub(super) const fn back_length_bytes(encoded_len: usize) -> usize {
    match encoded_len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => BACK_LENGTH_BYTES_MAX,
    }
}

/// Reads the back-length at the end of `bytes`; `None` if there is none.
#[inline]
pub(super) fn read_back_length(bytes: &[u8]) -> Option<usize> {
    let mut value = 0;
    for (group, &byte) in bytes.iter().rev().take(BACK_LENGTH_BYTES_MAX).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * group);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The length of the element at the start of `bytes`, without its back-length. `None` if it begins like
/// no element, or its head is cut; whether the rest of it is there is not looked at.
#[inline]
pub(super) fn encoded_len(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    Some(match first {
        0..=0x7f => 1,
        0x80..=0xbf => 1 + usize::from(first & 0x3f),
        0xc0..=0xdf => 2,
        0xe0..=0xef => 2 + (usize::from(first & 0xf) << 8 | usize::from(*bytes.get(1)?)),
        STRING_32 => {
            let len = bytes.get(1..5)?.try_into().expect("four bytes");
            5 + u32::from_le_bytes(len) as usize
        }
        INTEGER_16 => 3,
        INTEGER_24 => 4,
        INTEGER_32 => 5,
        INTEGER_64 => 9,
        _ => return None,
    })
}

/// The element at the start of `bytes`, and its length without the back-length.
///
/// # Panics
/// If there is none: the bytes are a listpack's, which has been checked.
#[inline]
pub(super) fn decode(bytes: &[u8]) -> (Element<'_>, usize) {
    let first = bytes[0];
    match first {
        0..=0x7f => (Element::Integer(i64::from(first)), 1),
        0x80..=0xbf => {
            let end = 1 + usize::from(first & 0x3f);
            (Element::Bytes(&bytes[1..end]), end)
        }
        _ => decode_long(bytes),
    }
}

fn decode_long(bytes: &[u8]) -> (Element<'_>, usize) {
    let len = encoded_len(bytes).expect("a listpack's element begins with one of the encodings");
    let encoded = &bytes[..len];
    let element = match encoded[0] {
        0xc0..=0xdf => {
            let bits = u16::from(encoded[0]) << 8 | u16::from(encoded[1]);
            // The 13 bits are moved to the top and back, so that the sign is carried along.
            Element::Integer(i64::from((bits << 3) as i16 >> 3))
        }
        0xe0..=0xef => Element::Bytes(&encoded[2..]),
        STRING_32 => Element::Bytes(&encoded[5..]),
        _ => {
            let mut value = [0; 8];
            value[8 - (len - 1)..].copy_from_slice(&encoded[1..]);
            Element::Integer(i64::from_le_bytes(value) >> (64 - 8 * (len - 1)))
        }
    };
    (element, len)
}
