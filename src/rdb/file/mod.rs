//! Whole data sets as RDB files.
//!
//! ```text
//! header    REDIS and the version in 4 digits, or VALKEY and 3 digits records   each begins with a
//! byte that identifies it: an opcode (243 and above) or the kind of a value end       opcode 255;
//! from version 5 on the CRC-64 of all bytes before, little-endian, or 0 if there is none
//! ```
//!
//! | opcode | record | read | written |
//! |---|---|---|---|
//! | 243 | a slot that was being imported (Valkey) | refused | |
//! | 244 | slot, keys in it, keys that expire | yes | |
//! | 245 | source of a function library | yes | from version 10 on |
//! | 246 | the same, of release candidates of 7.0 | refused, as in Redis | |
//! | 247 | auxiliary data of a module | skipped | |
//! | 248, 249 | of the next key: idle seconds; LFU frequency | yes | |
//! | 250 | a field about the file: name, value | yes | yes |
//! | 251 | keys in the database, keys that expire | yes | yes |
//! | 252, 253 | of the next key: expiry time in ms; in seconds | yes | ms |
//! | 254 | the database of the keys that follow | yes | yes |
//!
//! A key's record is any of 248, 249, 252 and 253, then the kind, the key and the value.
//!
//! Bytes may follow the end: an append-only file may begin with an RDB file.

mod encode;
mod error;
mod reader;
mod record;
#[cfg(test)]
mod tests;

pub use encode::{
    Access, aux, footer, function, head, header, key_record, record_head, resize_database,
    select_database,
};
pub use error::{Cause, FileError, KeyNotHeld};
pub use reader::{FileReader, Skipped, Source};
pub use record::{Decoding, KeyRecord, Record, decode_record};

use super::{Dialect, VALKEY_VERSION, VERSION_MAX};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 9;

/// The first version with a checksum.
const CHECKSUM_VERSION: u16 = 5;
/// The first version with opcode 245.
const FUNCTION_VERSION: u16 = 10;

mod opcode {
    pub(super) const SLOT_IMPORT: u8 = 243;
    pub(super) const SLOT_INFO: u8 = 244;
    pub(super) const FUNCTION: u8 = 245;
    pub(super) const FUNCTION_PRE_GA: u8 = 246;
    pub(super) const MODULE_AUX: u8 = 247;
    pub(super) const IDLE: u8 = 248;
    pub(super) const FREQUENCY: u8 = 249;
    pub(super) const AUX: u8 = 250;
    pub(super) const RESIZE_DB: u8 = 251;
    pub(super) const EXPIRY_MS: u8 = 252;
    pub(super) const EXPIRY_S: u8 = 253;
    pub(super) const SELECT_DB: u8 = 254;
    pub(super) const END: u8 = 255;
}

/// A file's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The number.
    pub number: u16,
    /// The dialect of its bytes.
    pub dialect: Dialect,
}

impl Version {
    /// Reads the version in a header.
    ///
    /// # Errors
    /// If it is not the header of an RDB file, or the version is not supported.
    pub fn of_header(header: &[u8; HEADER_BYTES]) -> Result<Self, Cause> {
        let (digits, dialect) = if let Some(digits) = header.strip_prefix(b"REDIS") {
            (digits, Dialect::Redis)
        } else if let Some(digits) = header.strip_prefix(b"VALKEY") {
            (digits, Dialect::Valkey)
        } else {
            return Err(Cause::Magic(*header));
        };
        let is_number = digits.iter().all(u8::is_ascii_digit);
        let number = str::from_utf8(digits).ok().filter(|_| is_number);
        let number = number.and_then(|digits| digits.parse().ok()).ok_or(Cause::Magic(*header))?;
        match (dialect, number) {
            (Dialect::Redis, 1..=VERSION_MAX) | (Dialect::Valkey, VALKEY_VERSION) => {
                Ok(Self { number, dialect })
            }
            (Dialect::Redis, _) => Err(Cause::Version { server: "Redis", number }),
            (Dialect::Valkey, _) => Err(Cause::Version { server: "Valkey", number }),
        }
    }
}
