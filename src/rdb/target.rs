//! For which servers something is written.

use super::{Dialect, VALKEY_VERSION};

/// A version of RDB to write. The order is that in which servers learned to read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Target {
    /// Redis 5 and later: no listpacks but those of streams, no functions.
    V9,
    /// Redis 7.0 and later: no sets as listpacks.
    V10,
    /// Redis 7.2 and later, Valkey.
    #[default]
    V11,
    /// Redis 7.4 and later: hashes of which fields expire.
    V12,
    /// Valkey 9: hashes of which fields expire, in its own way.
    Valkey80,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::V9, Self::V10, Self::V11, Self::V12, Self::Valkey80];

    /// The target of a version's number; `None` if none is written.
    pub fn of_version(version: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.version() == version)
    }

    /// The version's number.
    pub fn version(self) -> u16 {
        match self {
            Target::V9 => 9,
            Target::V10 => 10,
            Target::V11 => 11,
            Target::V12 => 12,
            Target::Valkey80 => VALKEY_VERSION,
        }
    }

    /// How its bytes are to be read.
    pub fn dialect(self) -> Dialect {
        match self {
            Target::Valkey80 => Dialect::Valkey,
            _ => Dialect::Redis,
        }
    }
}

/// What a version cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("RDB version {} cannot hold {what}", target.version())]
pub struct NotHeld {
    /// The version.
    pub target: Target,
    /// What it cannot hold.
    pub what: &'static str,
}
