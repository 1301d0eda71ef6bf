//! Writing the elements of RDB.

use super::lzf;
use super::reader::{INT8, INT16, INT32, LZF};
use crate::resp::request::parse_i64;

/// Shorter strings are never compressed.
const COMPRESSED_BYTES_MIN: usize = 21;
/// Longer strings are no numbers of 32 bits.
const NUMBER_BYTES_MAX: usize = 11;

/// Appends elements to a buffer.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    compress: bool,
}

impl<'a> Writer<'a> {
    /// Appends to `out`; strings are compressed if `compress` says so.
    pub fn new(out: &'a mut Vec<u8>, compress: bool) -> Self {
        Self { out, compress }
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A length, or any number that is written as one.
    pub fn number(&mut self, number: u64) {
        match number {
            0..0x40 => self.byte(number as u8),
            0x40..0x4000 => self.raw(&(0x4000 | number as u16).to_be_bytes()),
            _ => match u32::try_from(number) {
                Ok(number) => {
                    self.byte(0x80);
                    self.raw(&number.to_be_bytes());
                }
                Err(_) => {
                    self.byte(0x81);
                    self.raw(&number.to_be_bytes());
                }
            },
        }
    }

    /// A time in ms.
    pub fn milliseconds(&mut self, ms: i64) {
        self.raw(&ms.to_le_bytes());
    }

    /// A double in its eight bytes.
    pub fn double(&mut self, number: f64) {
        self.raw(&number.to_le_bytes());
    }

    /// A number as a string.
    pub fn integer(&mut self, number: i64) {
        if let Ok(number) = i8::try_from(number) {
            self.raw(&[0xc0 | INT8, number as u8]);
        } else if let Ok(number) = i16::try_from(number) {
            self.byte(0xc0 | INT16);
            self.raw(&number.to_le_bytes());
        } else if let Ok(number) = i32::try_from(number) {
            self.byte(0xc0 | INT32);
            self.raw(&number.to_le_bytes());
        } else {
            self.plain(itoa::Buffer::new().format(number).as_bytes());
        }
    }

    /// A string, in the form that takes the least room.
    pub fn string(&mut self, bytes: &[u8]) {
        if bytes.len() <= NUMBER_BYTES_MAX
            && let Some(number) = parse_i64(bytes)
        {
            return self.integer(number);
        }
        if self.compress
            && bytes.len() >= COMPRESSED_BYTES_MIN
            && let Some(packed) = lzf::compress(bytes)
        {
            self.byte(0xc0 | LZF);
            self.number(packed.len() as u64);
            self.number(bytes.len() as u64);
            return self.raw(&packed);
        }
        self.plain(bytes);
    }

    fn plain(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }
}
