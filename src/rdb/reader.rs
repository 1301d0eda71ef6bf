//! Reading the elements of RDB.

use super::{Error, Problem, lzf};
use std::borrow::Cow;

/// Special encodings of strings, after the bits `11`.
pub(super) const INT8: u8 = 0;
pub(super) const INT16: u8 = 1;
pub(super) const INT32: u8 = 2;
pub(super) const LZF: u8 = 3;

/// Reads from untrusted bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    reading: &'static str,
}

/// A string, or an integer encoded instead of its digits.
pub(super) enum Text<'a> {
    Integer(i64),
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Text<'a> {
    fn into_bytes(self) -> Cow<'a, [u8]> {
        match self {
            Text::Integer(number) => {
                Cow::Owned(itoa::Buffer::new().format(number).as_bytes().to_vec())
            }
            Text::Bytes(bytes) => bytes,
        }
    }
}

/// A length, or the number of a special encoding.
enum Length {
    Plain(u64),
    Special(u8),
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, reading: "a value" }
    }

    /// Names what is read from here on, for errors.
    #[inline]
    pub fn reading(&mut self, what: &'static str) {
        self.reading = what;
    }

    /// How many bytes were read.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// An error at this place.
    pub fn error(&self, what: &'static str) -> Error {
        self.problem(Problem::Damaged(what))
    }

    /// As [`Reader::error`], with any problem.
    pub fn problem(&self, problem: Problem) -> Error {
        Error { problem, offset: self.at, reading: self.reading }
    }

    /// The error that `len` bytes are needed and fewer are left.
    #[cold]
    fn cut(&self, len: usize) -> Error {
        self.problem(Problem::Cut { needed: self.at.saturating_add(len) })
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let Some(taken) = self.bytes[self.at..].get(..len) else { return Err(self.cut(len)) };
        self.at += len;
        Ok(taken)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        Ok(self.take(N)?.try_into().expect("so many were taken"))
    }

    /// One byte.
    ///
    /// # Errors
    /// If there is none.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    /// A time in ms.
    ///
    /// # Errors
    /// If it is cut.
    pub fn milliseconds(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_le_bytes)
    }

    /// A double in its eight bytes.
    ///
    /// # Errors
    /// If it is cut.
    pub fn double(&mut self) -> Result<f64, Error> {
        self.array().map(f64::from_le_bytes)
    }

    /// A double as text, of the first version of sorted sets.
    ///
    /// # Errors
    /// If it is cut or no number.
    pub fn text_double(&mut self) -> Result<f64, Error> {
        match self.byte()? {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            len => {
                let text = str::from_utf8(self.take(len.into())?).ok();
                let number = text.and_then(|text| text.parse().ok());
                number.ok_or(self.error("a score that is no number"))
            }
        }
    }

    fn length_or_special(&mut self) -> Result<Length, Error> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match first >> 6 {
            0 => Length::Plain(low.into()),
            1 => Length::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            2 if first == 0x80 => Length::Plain(u32::from_be_bytes(self.array()?).into()),
            2 if first == 0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
            2 => return Err(self.error("an unknown form of length")),
            _ => Length::Special(low),
        })
    }

    /// A length, or any number encoded as one.
    ///
    /// # Errors
    /// If it is cut, or is none.
    pub fn number(&mut self) -> Result<u64, Error> {
        match self.length_or_special()? {
            Length::Plain(number) => Ok(number),
            Length::Special(_) => Err(self.error("a special encoding in place of a length")),
        }
    }

    /// A number of items that follow, each of which takes at least `bytes_min`.
    ///
    /// # Errors
    /// If it is cut, or the bytes left are too few for them.
    pub fn count(&mut self, bytes_min: usize) -> Result<usize, Error> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        match count.checked_mul(bytes_min) {
            Some(bytes) if bytes <= self.left() => Ok(count),
            bytes => Err(self.cut(bytes.unwrap_or(usize::MAX))),
        }
    }

    /// A string, copied only if it has to be decoded.
    ///
    /// # Errors
    /// If it is cut, or cannot be decoded.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        self.text().map(Text::into_bytes)
    }

    /// As [`Reader::string`], but integers stay integers.
    #[inline]
    pub(super) fn text(&mut self) -> Result<Text<'a>, Error> {
        match self.length_or_special()? {
            Length::Plain(len) => {
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                self.take(len).map(|bytes| Text::Bytes(Cow::Borrowed(bytes)))
            }
            Length::Special(special) => self.special(special),
        }
    }

    fn special(&mut self, special: u8) -> Result<Text<'a>, Error> {
        let number = match special {
            INT8 => i8::from_le_bytes(self.array()?).into(),
            INT16 => i16::from_le_bytes(self.array()?).into(),
            INT32 => i32::from_le_bytes(self.array()?).into(),
            LZF => {
                let (packed, len) = self.compressed()?;
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let bytes = lzf::decompress(packed, len);
                return bytes
                    .map(|bytes| Text::Bytes(Cow::Owned(bytes)))
                    .ok_or(self.error("damaged LZF"));
            }
            _ => return Err(self.error("an unknown encoding of a string")),
        };
        Ok(Text::Integer(number))
    }

    /// A compressed string's bytes, and the decompressed length that it claims.
    fn compressed(&mut self) -> Result<(&'a [u8], u64), Error> {
        let packed_len = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let len = self.number()?;
        Ok((self.take(packed_len)?, len))
    }

    /// Skips a string without decoding it.
    ///
    /// # Errors
    /// If it is cut, or of an unknown encoding.
    pub fn skip_string(&mut self) -> Result<(), Error> {
        match self.length_or_special()? {
            Length::Plain(len) => self.take(usize::try_from(len).unwrap_or(usize::MAX)),
            Length::Special(INT8) => self.take(1),
            Length::Special(INT16) => self.take(2),
            Length::Special(INT32) => self.take(4),
            Length::Special(LZF) => self.compressed().map(|(packed, _)| packed),
            Length::Special(_) => Err(self.error("an unknown encoding of a string")),
        }
        .map(drop)
    }
}
