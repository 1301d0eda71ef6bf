//! RDB, Redis's format of values and of whole data sets.
//!
//! `DUMP` returns and `RESTORE` takes a single value ([`payload`]); a data set is a file
//! ([`mod@file`]).
//!
//! | file | purpose |
//! |---|---|
//! | `reader.rs`, `writer.rs` | lengths, strings, numbers |
//! | `decode.rs`, `encode.rs`, `stream.rs` | values |
//! | `ziplist.rs`, `zipmap.rs` | small collections of servers before 7.0 and 2.6, read into listpacks |
//! | `module.rs` | values of modules, which can only be skipped |
//! | `file/` | records, files, their checksums and versions |
//! | `chunk.rs`, `blocks.rs` | files written from a snapshot, in blocks that can be read separately |
//!
//! Formats and constants are those of `rdb.h` and `rdb.c` of Redis 7.4 and Valkey 9. Input is not
//! trusted: lengths are compared with the available bytes before memory is allocated, and every
//! value is checked as deeply as its use demands.

pub mod blocks;
pub mod checksum;
mod chunk;
mod decode;
mod encode;
pub mod file;
pub mod lzf;
mod module;
pub mod payload;
mod reader;
mod stream;
mod target;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod writer;
pub mod ziplist;
pub mod zipmap;

pub use chunk::{Chunk, Format};
pub use decode::decode_value;
pub use encode::{encode_contents, encode_entry, encode_field, encode_node, encode_value, kind_of};
pub use module::ModuleName;
pub use reader::Reader;
pub use stream::{encode_stream_node, encode_tail};
pub use target::{NotHeld, Target};
pub use writer::{Compression, Writer};

/// The newest Redis version that is supported.
pub const VERSION_MAX: u16 = 12;

/// Valkey's first version of its own, and the only one supported.
pub const VALKEY_VERSION: u16 = 80;

/// Whose numbers of value kinds apply: Redis 7.4 and Valkey 9 use the same number for different
/// kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Redis's, and Valkey's before version 80.
    Redis,
    /// Valkey's from version 80 on.
    Valkey,
}

impl Dialect {
    /// The dialect of a version; `None` if it is not supported.
    pub fn of_version(version: u16) -> Option<Self> {
        match version {
            1..=VERSION_MAX => Some(Dialect::Redis),
            VALKEY_VERSION => Some(Dialect::Valkey),
            _ => None,
        }
    }
}

/// The kind of a value, the byte before it: its type and encoding. The names are Redis's.
#[allow(missing_docs)]
pub mod kind {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    pub const ZSET_2: u8 = 5;
    pub const MODULE_PRE_GA: u8 = 6;
    pub const MODULE_2: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM_LISTPACKS: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_LISTPACKS_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_LISTPACKS_3: u8 = 21;
    /// Redis's, of release candidates of 7.4.
    pub const HASH_METADATA_PRE_GA: u8 = 22;
    /// Valkey's: a hash with expiring fields.
    pub const HASH_2: u8 = 22;
    pub const HASH_LISTPACK_EX_PRE_GA: u8 = 23;
    pub const HASH_METADATA: u8 = 24;
    pub const HASH_LISTPACK_EX: u8 = 25;
}

/// Why bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {offset}, reading {reading}")]
pub struct Error {
    /// The problem.
    pub problem: Problem,
    /// The offset: bytes read before it.
    pub offset: usize,
    /// The part being read.
    pub reading: &'static str,
}

/// Why bytes are invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The bytes end too early.
    #[error("the bytes end too early")]
    Cut {
        /// How many bytes are needed in all.
        needed: usize,
    },
    /// They are invalid.
    #[error("{0}")]
    Damaged(&'static str),
    /// A collection without elements, which was read to its end.
    #[error("an empty value")]
    Empty,
    /// A value that only a module can read.
    #[error("a value of the module type {0}, and modules cannot be loaded")]
    Module(ModuleName),
    /// A kind of value, or of record, that this version does not have.
    #[error("the unknown type {0}")]
    Unknown(u8),
}
