//! How a command is declared.

use super::keys::Keys;
use super::{CommandResult, Context};
use crate::resp::Args;

/// How many arguments a command takes, its name (and its container's) included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Exactly this many.
    Exactly(u16),
    /// This many or more.
    AtLeast(u16),
}

impl Arity {
    /// Whether `count` arguments are right.
    pub fn allows(self, count: usize) -> bool {
        match self {
            Arity::Exactly(n) => count == usize::from(n),
            Arity::AtLeast(n) => count >= usize::from(n),
        }
    }

    /// As `COMMAND INFO` says it: negative for "or more".
    pub fn as_signed(self) -> i64 {
        match self {
            Arity::Exactly(n) => i64::from(n),
            Arity::AtLeast(n) => -i64::from(n),
        }
    }
}

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

/// What a command does to keys, and how exactly a [`KeySpec`] finds them: a set of flags.
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

/// Where a command's keys are among its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Where to begin.
    pub begin: Begin,
    /// How to go on from there.
    pub find: Find,
    /// What happens to the keys.
    pub flags: KeyFlags,
}

impl KeySpec {
    /// One key, at argument `index`.
    pub const fn at(index: u16, flags: KeyFlags) -> Self {
        Self::range(index, 0, 1, flags)
    }

    /// Keys from argument `index` on, every `step`-th, up to `last` as in [`Find::Range`].
    pub const fn range(index: u16, last: i16, step: u16, flags: KeyFlags) -> Self {
        Self { begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 }, flags }
    }

    /// A number of keys at argument `index`, and then the keys.
    pub const fn counted(index: u16, flags: KeyFlags) -> Self {
        Self {
            begin: Begin::Index(index),
            find: Find::Count { count: 0, first: 1, step: 1 },
            flags,
        }
    }

    /// Whether these are keys at all, and not only arguments that travel like keys.
    pub fn is_key(&self) -> bool {
        !self.flags.has(KeyFlags::NOT_KEY)
    }

    /// Whether there may be keys that this does not find.
    pub fn is_incomplete(&self) -> bool {
        self.flags.has(KeyFlags::INCOMPLETE)
    }
}

/// Where the keys of a [`KeySpec`] begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(u16),
    /// After this keyword, searched from argument `from` on (backwards from the end if negative).
    Keyword {
        /// The keyword, in upper case.
        keyword: &'static str,
        /// Where the search starts.
        from: i16,
    },
    /// Nobody can say from the arguments' order alone.
    Unknown,
}

/// How a [`KeySpec`] goes on from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Up to `last` arguments further (negative: counted from the end), every `step`-th; with
    /// `limit` > 1 only the first 1/limit of them.
    Range {
        /// Last key, relative to the beginning; -1 is the last argument.
        last: i16,
        /// Distance of keys.
        step: u16,
        /// Fraction to look at; 0 and 1 mean all.
        limit: u16,
    },
    /// A count at `count`, then keys from `first` on, every `step`-th (relative to the beginning).
    Count {
        /// Where the count is.
        count: u16,
        /// Where the first key is.
        first: u16,
        /// Distance of keys.
        step: u16,
    },
    /// Unknown.
    Unknown,
}

/// A function that carries out a command on data.
pub type DataHandler = fn(&mut Context<'_>, Args<'_>) -> CommandResult;

/// How a command is carried out.
#[derive(Clone, Copy)]
pub enum Handler {
    /// By a function of the keyspace and the arguments.
    Data(DataHandler),
    /// By the host of the table: the session or the server, whose row holds the function.
    Host,
    /// Not by itself: it is only a name for its subcommands.
    Container,
}

/// Finds the keys of a command whose [`KeySpec`]s do not tell the whole story.
pub type KeyFunction = fn(Args<'_>) -> Option<Keys>;

/// One command: everything that dispatch, `COMMAND` and later the access lists need to know.
///
/// Made by [`Spec::new`] and the setters, all of them `const`, so that a family is a `static` slice.
#[derive(Clone, Copy)]
pub struct Spec {
    /// Its number in its [`Directory`](super::Directory), dense from 0.
    pub number: u16,
    /// The name in lower case; of a subcommand, only its own.
    pub name: &'static str,
    /// The full name in lower case: `client|kill`, or the same as `name`.
    pub full_name: &'static str,
    /// Who carries it out.
    pub handler: Handler,
    /// Number of arguments.
    pub arity: Arity,
    /// What kind of command it is.
    pub flags: Flags,
    /// Where its keys are.
    pub key_specs: &'static [KeySpec],
    /// Overrules `key_specs` where they are not exact.
    pub key_function: Option<KeyFunction>,
    /// Its subcommands.
    pub subcommands: &'static [Spec],
    /// ACL categories beyond those that follow from the flags; [`Spec::categories`] has all.
    pub own_categories: Categories,
    /// The group of the documentation: `string`, `generic`, `connection`, …
    pub group: &'static str,
    /// The Redis version that introduced it.
    pub since: &'static str,
    /// Its arguments, in the notation of [`syntax`](super::syntax).
    pub syntax: &'static str,
    /// What newer versions changed and `syntax` does not show: the version and a sentence.
    pub changes: &'static [(&'static str, &'static str)],
    /// Cost, as the documentation says it.
    pub complexity: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Hints for clients and proxies.
    pub tips: &'static [&'static str],
    /// Since when it is deprecated, and what takes its place.
    pub deprecated: Option<(&'static str, &'static str)>,
}

impl Spec {
    /// A command with the given full name (`client|kill` for a subcommand) and arity, negative for
    /// "or more", carried out by `handler`.
    pub const fn new(full_name: &'static str, arity: i16, handler: Handler) -> Self {
        let mut at = full_name.len();
        while at > 0 && full_name.as_bytes()[at - 1] != b'|' {
            at -= 1;
        }
        let arity = match arity {
            0.. => Arity::Exactly(arity as u16),
            _ => Arity::AtLeast(arity.unsigned_abs()),
        };
        Self {
            number: 0,
            name: full_name.split_at(at).1,
            full_name,
            handler,
            arity,
            flags: Flags::NONE,
            key_specs: &[],
            key_function: None,
            subcommands: &[],
            own_categories: Categories::NONE,
            group: "",
            since: "",
            syntax: "",
            changes: &[],
            complexity: "",
            summary: "",
            tips: &[],
            deprecated: None,
        }
    }

    /// A command that is a function of the keyspace and its arguments.
    pub const fn data(
        full_name: &'static str,
        arity: i16,
        run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
    ) -> Self {
        Self::new(full_name, arity, Handler::Data(run))
    }

    /// A command that the host of the table carries out.
    pub const fn host(full_name: &'static str, arity: i16) -> Self {
        Self::new(full_name, arity, Handler::Host)
    }

    /// A name for `subcommands`, nothing by itself.
    pub const fn container(name: &'static str, subcommands: &'static [Spec]) -> Self {
        let mut spec = Self::new(name, -2, Handler::Container);
        spec.subcommands = subcommands;
        spec
    }

    /// With these flags, and ACL categories that do not follow from them.
    pub const fn flags(mut self, flags: Flags, categories: Categories) -> Self {
        self.flags = flags;
        self.own_categories = categories;
        self
    }

    /// With these arguments, in the notation of [`syntax`](super::syntax).
    pub const fn syntax(mut self, syntax: &'static str) -> Self {
        self.syntax = syntax;
        self
    }

    /// With changes in newer versions: the version and a sentence each.
    pub const fn changes(mut self, changes: &'static [(&'static str, &'static str)]) -> Self {
        self.changes = changes;
        self
    }

    /// With keys at these places.
    pub const fn keys(mut self, key_specs: &'static [KeySpec]) -> Self {
        self.key_specs = key_specs;
        self
    }

    /// With a function that finds the keys.
    pub const fn key_function(mut self, function: KeyFunction) -> Self {
        self.key_function = Some(function);
        self
    }

    /// With documentation.
    pub const fn doc(
        mut self,
        group: &'static str,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Self {
        self.group = group;
        self.since = since;
        self.complexity = complexity;
        self.summary = summary;
        self
    }

    /// With hints for clients and proxies.
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    /// Deprecated since a version, in favour of something else.
    pub const fn deprecated(mut self, since: &'static str, instead: &'static str) -> Self {
        self.deprecated = Some((since, instead));
        self
    }

    /// With subcommands beside what it does alone.
    pub const fn subcommands(mut self, subcommands: &'static [Spec]) -> Self {
        self.subcommands = subcommands;
        self
    }

    /// Whether it may change the keyspace.
    pub fn is_write(&self) -> bool {
        self.flags.has(Flags::WRITE)
    }

    /// Whether it takes keys.
    pub fn has_keys(&self) -> bool {
        self.key_function.is_some() || self.key_specs.iter().any(KeySpec::is_key)
    }

    /// Its ACL categories: those that it declares and those that follow from its flags.
    pub fn categories(&self) -> Categories {
        let own = self.own_categories;
        let speed = match self.flags.has(Flags::FAST) {
            true => Categories::FAST,
            false => Categories::SLOW,
        };
        let implied = [
            (Flags::WRITE, Categories::WRITE),
            (Flags::ADMIN, Categories::ADMIN.with(Categories::DANGEROUS)),
            (Flags::PUBSUB, Categories::PUBSUB),
            (Flags::BLOCKING, Categories::BLOCKING),
        ];
        let mut categories = own.with(speed);
        for (_, implied) in implied.into_iter().filter(|(flag, _)| self.flags.has(*flag)) {
            categories = categories.with(implied);
        }
        match self.flags.has(Flags::READONLY) && !own.has(Categories::SCRIPTING) {
            true => categories.with(Categories::READ),
            false => categories,
        }
    }

    /// First key, last key and step, as `COMMAND INFO` has said it since before there were key
    /// specs, and whether there are keys that this does not cover.
    pub fn legacy_range(&self) -> (i64, i64, i64, bool) {
        let mut covered: Option<(i64, i64, i64)> = None;
        let mut movable = false;
        for spec in self.key_specs {
            let (Begin::Index(first), Find::Range { last, step, .. }) = (spec.begin, spec.find)
            else {
                movable = true;
                continue;
            };
            let first = i64::from(first);
            let last = if last < 0 { i64::from(last) } else { first + i64::from(last) };
            // Only a lone range may have a step; several must follow one another without a gap.
            let alone = self.key_specs.len() == 1;
            match covered {
                _ if step != 1 && !alone => movable = true,
                Some((_, end, _)) if end != first - 1 => movable = true,
                before => {
                    movable |= spec.is_incomplete();
                    covered = Some((before.map_or(first, |(first, ..)| first), last, step.into()));
                }
            }
        }
        let (first, last, step) = covered.unwrap_or_default();
        (first, last, step, movable)
    }
}
