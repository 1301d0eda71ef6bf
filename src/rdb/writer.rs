//! Writing the elements of RDB.

use super::lzf;
use super::reader::{INT8, INT16, INT32, LZF};
use crate::resp::request::parse_i64;

/// Shorter strings are never compressed.
const COMPRESSED_BYTES_MIN: usize = 21;
/// Longer strings are not 32-bit integers.
const NUMBER_BYTES_MAX: usize = 11;

/// Whether strings are compressed.
pub enum Compression<'a> {
    /// They are not.
    Off,
    /// They are, at once.
    Now,
    /// Their places in the buffer are recorded and they are compressed later: see [`super::Chunk`].
    Later(&'a mut Vec<Compressible>),
}

/// The place of a string that may be compressed.
#[derive(Clone, Copy, Debug)]
pub struct Compressible {
    /// Start of its length.
    pub start: usize,
    /// Start of its bytes.
    pub content: usize,
    /// End of its bytes.
    pub end: usize,
}

impl From<bool> for Compression<'_> {
    fn from(on: bool) -> Self {
        if on { Compression::Now } else { Compression::Off }
    }
}

/// Appends elements to a buffer.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    compression: Compression<'a>,
    packer: lzf::Packer,
}

impl<'a> Writer<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Vec<u8>, compression: impl Into<Compression<'a>>) -> Self {
        Self { out, compression: compression.into(), packer: lzf::Packer::default() }
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A length, or any number encoded as one.
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

    /// A string in its shortest form.
    pub fn string(&mut self, bytes: &[u8]) {
        if bytes.len() <= NUMBER_BYTES_MAX
            && let Some(number) = parse_i64(bytes)
        {
            return self.integer(number);
        }
        let start = self.out.len();
        let may_compress = bytes.len() >= COMPRESSED_BYTES_MIN;
        if may_compress
            && matches!(self.compression, Compression::Now)
            && append_compressed(&mut self.packer, bytes, self.out)
        {
            return;
        }
        self.plain(bytes);
        if may_compress && let Compression::Later(places) = &mut self.compression {
            let end = self.out.len();
            places.push(Compressible { start, content: end - bytes.len(), end });
        }
    }

    /// A string in its plain form.
    pub fn plain(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }
}

/// Appends `input` as a compressed string and returns true, if that is shorter than the plain form.
/// Otherwise appends nothing and returns false.
pub(super) fn append_compressed(packer: &mut lzf::Packer, input: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    // The two lengths come first but are known last: this leaves space for the longest.
    const HEAD_BYTES_MAX: usize = 1 + 2 * 9;
    out.extend([0; HEAD_BYTES_MAX]);
    if !packer.pack(input, out) {
        out.truncate(start);
        return false;
    }
    let packed_bytes = out.len() - start - HEAD_BYTES_MAX;
    let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
    let mut writer = Writer::new(&mut head, Compression::Off);
    writer.byte(0xc0 | LZF);
    writer.number(packed_bytes as u64);
    writer.number(input.len() as u64);
    out.splice(start..start + HEAD_BYTES_MAX, head);
    true
}
