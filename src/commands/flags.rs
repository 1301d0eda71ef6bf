//! Flags of commands and of their keys, and ACL categories.

/// What kind of command it is: a set of flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u32);

#[allow(missing_docs)] // The names are Redis's; `COMMAND INFO`'s documentation explains them.
impl Flags {
    pub const NONE: Self = Self(0);
    pub const WRITE: Self = Self(1);
    pub const READONLY: Self = Self(1 << 1);
    pub const DENYOOM: Self = Self(1 << 2);
    pub const ADMIN: Self = Self(1 << 3);
    pub const PUBSUB: Self = Self(1 << 4);
    pub const NOSCRIPT: Self = Self(1 << 5);
    pub const BLOCKING: Self = Self(1 << 6);
    pub const LOADING: Self = Self(1 << 7);
    pub const STALE: Self = Self(1 << 8);
    pub const SKIP_MONITOR: Self = Self(1 << 9);
    pub const SKIP_SLOWLOG: Self = Self(1 << 10);
    pub const ASKING: Self = Self(1 << 11);
    pub const FAST: Self = Self(1 << 12);
    pub const NO_AUTH: Self = Self(1 << 13);
    pub const MAY_REPLICATE: Self = Self(1 << 14);
    pub const NO_ASYNC_LOADING: Self = Self(1 << 15);
    pub const NO_MULTI: Self = Self(1 << 16);
    pub const ALLOW_BUSY: Self = Self(1 << 17);
    pub const MOVABLEKEYS: Self = Self(1 << 18);
    pub const PROTECTED: Self = Self(1 << 19);
    pub const NO_MANDATORY_KEYS: Self = Self(1 << 21);
    pub const TOUCHES_ARBITRARY_KEYS: Self = Self(1 << 22);
    /// Documented as a command for internal use only.
    pub const SYSCMD: Self = Self(1 << 23);
    /// Runs at once although a transaction is open.
    pub const RUNS_IN_MULTI: Self = Self(1 << 24);
    /// Refused in a transaction, though Redis does not flag it so.
    pub const REFUSED_IN_MULTI: Self = Self(1 << 25);
    /// Only in the log: a client that sends it gets the error for an unknown command.
    pub const INTERNAL: Self = Self(1 << 20);

    /// Both sets of flags together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags' names as `COMMAND INFO` lists them and in its order; Redis does not show the rest.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        const SHOWN: [(Flags, &str); 19] = [
            (Flags::WRITE, "write"),
            (Flags::READONLY, "readonly"),
            (Flags::DENYOOM, "denyoom"),
            (Flags::ADMIN, "admin"),
            (Flags::PUBSUB, "pubsub"),
            (Flags::NOSCRIPT, "noscript"),
            (Flags::BLOCKING, "blocking"),
            (Flags::LOADING, "loading"),
            (Flags::STALE, "stale"),
            (Flags::SKIP_MONITOR, "skip_monitor"),
            (Flags::SKIP_SLOWLOG, "skip_slowlog"),
            (Flags::ASKING, "asking"),
            (Flags::FAST, "fast"),
            (Flags::NO_AUTH, "no_auth"),
            (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
            (Flags::NO_ASYNC_LOADING, "no_async_loading"),
            (Flags::NO_MULTI, "no_multi"),
            (Flags::MOVABLEKEYS, "movablekeys"),
            (Flags::ALLOW_BUSY, "allow_busy"),
        ];
        SHOWN.into_iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| name)
    }
}

/// What a command does to keys, and how exactly a [`KeySpec`](super::KeySpec) finds them: a set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyFlags(u16);

#[allow(missing_docs)] // Named as in `COMMAND INFO`.
impl KeyFlags {
    pub const RO: Self = Self(1);
    pub const RW: Self = Self(1 << 1);
    pub const OW: Self = Self(1 << 2);
    pub const RM: Self = Self(1 << 3);
    pub const ACCESS: Self = Self(1 << 4);
    pub const UPDATE: Self = Self(1 << 5);
    pub const INSERT: Self = Self(1 << 6);
    pub const DELETE: Self = Self(1 << 7);
    pub const NOT_KEY: Self = Self(1 << 8);
    pub const INCOMPLETE: Self = Self(1 << 9);
    pub const VARIABLE_FLAGS: Self = Self(1 << 10);

    pub const RO_ACCESS: Self = Self::RO.with(Self::ACCESS);
    pub const RW_ACCESS: Self = Self::RW.with(Self::ACCESS);
    pub const RW_UPDATE: Self = Self::RW.with(Self::UPDATE);
    pub const RW_INSERT: Self = Self::RW.with(Self::INSERT);
    pub const RW_DELETE: Self = Self::RW.with(Self::DELETE);
    pub const RW_ACCESS_UPDATE: Self = Self::RW_ACCESS.with(Self::UPDATE);
    pub const RW_ACCESS_INSERT: Self = Self::RW_ACCESS.with(Self::INSERT);
    pub const RW_ACCESS_DELETE: Self = Self::RW_ACCESS.with(Self::DELETE);
    pub const OW_UPDATE: Self = Self::OW.with(Self::UPDATE);
    pub const OW_INSERT: Self = Self::OW.with(Self::INSERT);
    pub const RM_DELETE: Self = Self::RM.with(Self::DELETE);

    /// Both sets of flags together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags' names as `COMMAND INFO` lists them and in its order, that of the bits.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        const NAMES: [&str; 11] = [
            "RO",
            "RW",
            "OW",
            "RM",
            "access",
            "update",
            "insert",
            "delete",
            "not_key",
            "incomplete",
            "variable_flags",
        ];
        (0..).zip(NAMES).filter(move |(bit, _)| self.0 & 1 << bit != 0).map(|(_, name)| name)
    }
}

/// A set of ACL categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Categories(u32);

#[allow(missing_docs)] // Named as in `ACL CAT`.
impl Categories {
    pub const NONE: Self = Self(0);
    pub const KEYSPACE: Self = Self(1);
    pub const READ: Self = Self(1 << 1);
    pub const WRITE: Self = Self(1 << 2);
    pub const SET: Self = Self(1 << 3);
    pub const SORTEDSET: Self = Self(1 << 4);
    pub const LIST: Self = Self(1 << 5);
    pub const HASH: Self = Self(1 << 6);
    pub const STRING: Self = Self(1 << 7);
    pub const BITMAP: Self = Self(1 << 8);
    pub const HYPERLOGLOG: Self = Self(1 << 9);
    pub const GEO: Self = Self(1 << 10);
    pub const STREAM: Self = Self(1 << 11);
    pub const PUBSUB: Self = Self(1 << 12);
    pub const ADMIN: Self = Self(1 << 13);
    pub const FAST: Self = Self(1 << 14);
    pub const SLOW: Self = Self(1 << 15);
    pub const BLOCKING: Self = Self(1 << 16);
    pub const DANGEROUS: Self = Self(1 << 17);
    pub const CONNECTION: Self = Self(1 << 18);
    pub const TRANSACTION: Self = Self(1 << 19);
    pub const SCRIPTING: Self = Self(1 << 20);

    /// The names in the order of the bits, in which Redis lists them.
    const NAMES: [&str; 21] = [
        "keyspace",
        "read",
        "write",
        "set",
        "sortedset",
        "list",
        "hash",
        "string",
        "bitmap",
        "hyperloglog",
        "geo",
        "stream",
        "pubsub",
        "admin",
        "fast",
        "slow",
        "blocking",
        "dangerous",
        "connection",
        "transaction",
        "scripting",
    ];

    /// The category called `name`, in lower case and without `@`.
    pub fn by_name(name: &[u8]) -> Option<Self> {
        let bit = Self::NAMES.iter().position(|known| known.as_bytes() == name)?;
        Some(Self(1 << bit))
    }

    /// Both sets of categories together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names, without `@`, in the order in which Redis lists them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        (0..).zip(Self::NAMES).filter(move |(bit, _)| self.0 & 1 << bit != 0).map(|(_, name)| name)
    }
}
