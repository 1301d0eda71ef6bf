//! How a command is declared.

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

/// What kind of command it is; the names `COMMAND INFO` gives.
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

    /// The flags' names as `COMMAND INFO` lists them, in bit order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        const NAMES: [&str; 19] = [
            "write",
            "readonly",
            "denyoom",
            "admin",
            "pubsub",
            "noscript",
            "blocking",
            "loading",
            "stale",
            "skip_monitor",
            "skip_slowlog",
            "asking",
            "fast",
            "no_auth",
            "may_replicate",
            "no_async_loading",
            "no_multi",
            "allow_busy",
            "movablekeys",
        ];
        NAMES.into_iter().enumerate().filter(move |(bit, _)| self.0 >> bit & 1 == 1).map(|(_, n)| n)
    }
}

/// Where a command's keys are among its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Where to begin.
    pub begin: Begin,
    /// How to go on from there.
    pub find: Find,
    /// What happens to the keys: space-separated `RO RW OW RM access update insert delete
    /// not_key incomplete variable_flags`, as `COMMAND INFO` lists them.
    pub flags: &'static str,
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

/// Who carries a command out.
#[derive(Clone, Copy)]
pub enum Handler {
    /// A function of the keyspace and the arguments.
    Data(fn(&mut Context<'_>, Args<'_>) -> CommandResult),
    /// The engine: transactions.
    Engine(EngineCommand),
    /// The server: what concerns connections, configuration and the process.
    Server(ServerCommand),
    /// Its subcommands; alone it is only a name.
    Container(&'static [Spec]),
}

/// Commands that the engine carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Named after the commands.
pub enum EngineCommand {
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
}

/// Commands that the server carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Named after the commands.
pub enum ServerCommand {
    Auth,
    ClientGetName,
    ClientHelp,
    ClientId,
    ClientInfo,
    ClientKill,
    ClientList,
    ClientNoEvict,
    ClientNoTouch,
    ClientReply,
    ClientSetInfo,
    ClientSetName,
    ConfigGet,
    ConfigHelp,
    ConfigResetStat,
    ConfigRewrite,
    ConfigSet,
    Debug,
    Hello,
    Info,
    LastSave,
    Quit,
    Reset,
    Role,
    Shutdown,
    Wait,
    WaitAof,
}

/// One command: everything that dispatch, `COMMAND` and later the access lists need to know.
pub struct Spec {
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
    /// ACL categories beyond those that follow from the flags, without `@`, space-separated.
    pub categories: &'static str,
    /// The group of the documentation: `string`, `generic`, `connection`, …
    pub group: &'static str,
    /// The Redis version that introduced it.
    pub since: &'static str,
    /// Cost, as the documentation says it.
    pub complexity: &'static str,
    /// One sentence.
    pub summary: &'static str,
}

impl Spec {
    /// Whether it may change the keyspace.
    pub fn is_write(&self) -> bool {
        self.flags.has(Flags::WRITE)
    }
}
