//! RDB versions to write, by the servers that read them.

use super::{Dialect, VALKEY_VERSION};

/// An RDB version to write, ordered by when servers began to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Target {
    /// Redis 5 and later: no listpacks except in streams, no functions.
    V9,
    /// Redis 7.0 and later: no sets as listpacks.
    V10,
    /// Redis 7.2 and later, Valkey.
    #[default]
    V11,
    /// Redis 7.4 and later: hashes with expiring fields.
    V12,
    /// Valkey 9: hashes with expiring fields, in its own format.
    Valkey80,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::V9, Self::V10, Self::V11, Self::V12, Self::Valkey80];

    /// The target with this version number; `None` if it cannot be written.
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

    /// The dialect of its bytes.
    pub fn dialect(self) -> Dialect {
        match self {
            Target::Valkey80 => Dialect::Valkey,
            _ => Dialect::Redis,
        }
    }
}

/// A value that a version cannot represent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("RDB version {} cannot hold {what}", target.version())]
pub struct NotHeld {
    /// The version.
    pub target: Target,
    /// The value's description.
    pub what: &'static str,
}
