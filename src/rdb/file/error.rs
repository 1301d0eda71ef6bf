//! Why a file was refused, and why a key cannot be written.

use super::super::{ModuleName, NotHeld, VALKEY_VERSION, VERSION_MAX};
use super::HEADER_BYTES;
use std::fmt;
use std::io;

/// A file that was refused: the cause, its offset, and the part being read.
#[derive(Debug)]
pub struct FileError {
    /// The cause.
    pub cause: Cause,
    /// How many bytes into the file.
    pub offset: u64,
    /// The part being read.
    pub reading: &'static str,
    /// The key whose value it is, if that was known, and its database.
    pub key: Option<(u32, Box<[u8]>)>,
}

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// It does not begin like an RDB file.
    #[error("this is no RDB file: it begins with \"{}\"", .0.escape_ascii())]
    Magic([u8; HEADER_BYTES]),
    /// Its version is not supported.
    #[error(
        "version {number} of {server}'s RDB is not known, only 1 to {VERSION_MAX} of Redis and {VALKEY_VERSION} of Valkey"
    )]
    Version {
        /// Whose version.
        server: &'static str,
        /// Its number.
        number: u16,
    },
    /// It ends too early.
    #[error("the file is truncated: it ends after {len} bytes")]
    Truncated {
        /// Its length in bytes.
        len: u64,
    },
    /// It is damaged.
    #[error("{0}")]
    Damaged(&'static str),
    /// A kind of value or record that the version does not have.
    #[error("the unknown type {0}")]
    Unknown(u8),
    /// A value of a module.
    #[error("a value of the module type {0}, and modules cannot be loaded")]
    Module(ModuleName),
    /// A duplicate key in a database.
    #[error("a key that is in this database already")]
    Duplicate,
    /// Its checksum is wrong.
    #[error("the checksum is {found:016x}, but that of the bytes is {computed:016x}")]
    Checksum {
        /// The checksum in the file.
        found: u64,
        /// The checksum of its bytes.
        computed: u64,
    },
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The most bytes of a key that are shown.
const SHOWN_BYTES_MAX: usize = 128;

/// A key to show.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN_BYTES_MAX)];
        let more = if shown.len() < self.0.len() { "…" } else { "" };
        write!(f, "\"{}{more}\"", shown.escape_ascii())
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at offset {}, reading {}", self.cause, self.offset, self.reading)?;
        if let Some((db, key)) = &self.key {
            write!(f, " of the key {} in database {db}", Shown(key))?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// A key whose value a version cannot represent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: the key {}", Shown(key))]
pub struct KeyNotHeld {
    /// The key.
    pub key: Box<[u8]>,
    /// Why not.
    pub reason: NotHeld,
}
