//! Data of modules: values of their own types, and auxiliary data. Only the module can interpret
//! it, but its elements are self-describing, so it can be skipped.

use super::{Error, Problem, Reader};
use std::fmt;

/// Kinds of elements. The names are Redis's.
const EOF: u64 = 0;
const SINT: u64 = 1;
const UINT: u64 = 2;
const FLOAT: u64 = 3;
const DOUBLE: u64 = 4;
const STRING: u64 = 5;

/// The letters of the 64 six-bit values in a type's name.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NAME_LETTERS: usize = 9;
/// Bits of the version of a type's encoding, after its name.
const VERSION_BITS: u32 = 10;

/// The name of a module's type, which has nine letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModuleName([u8; NAME_LETTERS]);

impl ModuleName {
    /// The name in a type's id: 54 bits of name, 10 of the encoding's version.
    pub fn of_id(id: u64) -> Self {
        let mut bits = id >> VERSION_BITS;
        let mut name = [0; NAME_LETTERS];
        for letter in name.iter_mut().rev() {
            *letter = LETTERS[(bits & 63) as usize];
            bits >>= 6;
        }
        Self(name)
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.0).expect("its letters are ASCII"))
    }
}

impl fmt::Debug for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads the name of a module's type.
pub(super) fn name(reader: &mut Reader<'_>) -> Result<ModuleName, Error> {
    reader.reading("a module type's id");
    reader.number().map(ModuleName::of_id)
}

/// The error for a value of a module's type, which cannot be loaded.
pub(super) fn refuse(reader: &mut Reader<'_>) -> Error {
    match name(reader) {
        Ok(name) => reader.problem(Problem::Module(name)),
        Err(error) => error,
    }
}

/// Skips a module's auxiliary data; its name was read already.
pub(super) fn skip_aux(reader: &mut Reader<'_>) -> Result<(), Error> {
    reader.reading("when a module's data is to be loaded");
    if reader.number()? != UINT {
        return Err(reader.error("something other than a number"));
    }
    reader.number()?;
    skip(reader)
}

/// Skips elements up to the end mark.
pub(super) fn skip(reader: &mut Reader<'_>) -> Result<(), Error> {
    reader.reading("a module's data");
    loop {
        match reader.number()? {
            EOF => return Ok(()),
            SINT | UINT => drop(reader.number()?),
            FLOAT => drop(reader.take(4)?),
            DOUBLE => drop(reader.take(8)?),
            STRING => reader.skip_string()?,
            _ => return Err(reader.error("an unknown kind of element")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_nine_letters_of_six_bits() {
        let id = |name: &str, version| {
            let bits = |letter| LETTERS.iter().position(|&l| l == letter).unwrap() as u64;
            name.bytes().fold(0, |id, letter| id << 6 | bits(letter)) << VERSION_BITS | version
        };
        assert_eq!(ModuleName::of_id(id("ReJSON-RL", 3)).to_string(), "ReJSON-RL");
        assert_eq!(ModuleName::of_id(0).to_string(), "AAAAAAAAA");
        assert_eq!(ModuleName::of_id(u64::MAX).to_string(), "_________");
    }

    #[test]
    fn elements_are_skipped_up_to_the_end_mark() {
        let bytes = [1, 5, 2, 0x80, 0, 0, 1, 0, 3, 9, 9, 9, 9, 4, 1, 1, 1, 1, 1, 1, 1, 1];
        let bytes = [&bytes[..], &[5, 2, b'a', b'b', 5, 0xc0, 7, 0]].concat();
        let mut reader = Reader::new(&bytes);
        assert_eq!(skip(&mut reader), Ok(()));
        assert_eq!(reader.left(), 0);
        for len in 0..bytes.len() {
            let error = skip(&mut Reader::new(&bytes[..len])).unwrap_err();
            assert!(matches!(error.problem, Problem::Cut { .. }), "{len}: {error}");
        }
        assert!(skip(&mut Reader::new(&[6])).is_err());
    }
}
