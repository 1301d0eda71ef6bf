//! RDB, Redis's format of values: what `DUMP` gives and `RESTORE` takes.
//!
//! Formats and their constants are those of Redis's `rdb.h` and `rdb.c`. Nothing here trusts what it reads: lengths
//! are compared with what is there before anything is allocated for them, and every value is checked
//! as deeply as its use demands.

pub mod checksum;
mod chunk;
mod decode;
mod encode;
pub mod lzf;
pub mod payload;
mod reader;
mod stream;
#[cfg(test)]
mod tests;
mod writer;

pub use chunk::Chunk;
pub use decode::decode_value;
pub use encode::encode_value;
pub use reader::Reader;
pub use writer::{Compression, Writer};

/// The newest version that is read.
pub const VERSION_MAX: u16 = 12;

/// What a value is and how it is encoded: the byte before it. The names are Redis's.
#[allow(missing_docs)]
pub mod kind {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    pub const ZSET_2: u8 = 5;
    pub const SET_INTSET: u8 = 11;
    pub const STREAM_LISTPACKS: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_LISTPACKS_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_LISTPACKS_3: u8 = 21;
    pub const HASH_METADATA: u8 = 24;
    pub const HASH_LISTPACK_EX: u8 = 25;
}

/// The lowest version whose servers can read a kind of value that is written here.
pub fn version_of(kind: u8) -> u16 {
    match kind {
        kind::SET_LISTPACK | kind::STREAM_LISTPACKS_3 => 11,
        kind::HASH_METADATA | kind::HASH_LISTPACK_EX => 12,
        _ => 10,
    }
}

/// Why bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct Error {
    /// What is wrong.
    pub what: &'static str,
    /// Where: how many bytes were read before.
    pub offset: usize,
}
