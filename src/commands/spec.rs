//! How a command is declared.

pub use super::flags::{Categories, Flags, KeyFlags};
pub use super::key_spec::{Begin, Find, FoundKey, KeySpec, Keys};

use super::context::Context;
use super::error::quoted;
use super::{CommandError, CommandResult};
use crate::resp::Args;
use std::fmt;

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
    /// Its number in its [`Directory`], dense from 0.
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

/// log2 of the index's size: a few times the number of commands, so that a probe nearly always hits.
const INDEX_LOG2: u32 = 10;
const INDEX_MASK: usize = (1 << INDEX_LOG2) - 1;

/// Commands by name. A directory lives as long as the process.
pub struct Directory {
    commands: &'static [Spec],
    /// Commands by the hash of their name, open addressing. Its load stays below one half, so that
    /// an unknown name soon meets a gap.
    index: Box<[Option<&'static Spec>]>,
    /// Commands and subcommands: one more than the highest [`Spec::number`].
    count: usize,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Numbers a command and its subcommands from `next` on.
fn numbered(mut spec: Spec, next: &mut u16) -> Spec {
    spec.number = *next;
    *next += 1;
    let subcommands = spec.subcommands.iter().map(|&sub| numbered(sub, next));
    spec.subcommands = Vec::leak(subcommands.collect());
    spec
}

impl Directory {
    /// A directory of these commands, each with its subcommands. They get dense numbers.
    ///
    /// # Panics
    /// If there are more than the index has room for.
    pub fn new(commands: impl Iterator<Item = Spec>) -> Self {
        let mut next = 0;
        let commands: Vec<Spec> = commands.map(|spec| numbered(spec, &mut next)).collect();
        let commands: &'static [Spec] = Vec::leak(commands);
        assert!(commands.len() < 1 << (INDEX_LOG2 - 1), "the index has become too small");
        let mut index = vec![None; 1 << INDEX_LOG2];
        for spec in commands {
            let mut at = hash(spec.name.as_bytes());
            while index[at].is_some() {
                at = (at + 1) & INDEX_MASK;
            }
            index[at] = Some(spec);
        }
        Self { commands, index: index.into(), count: next.into() }
    }

    /// All commands. Subcommands are found in [`Spec::subcommands`].
    pub fn all(&self) -> impl Iterator<Item = &'static Spec> + use<> {
        self.commands.iter()
    }

    /// The command or subcommand with this number.
    pub fn by_number(&self, number: u16) -> Option<&'static Spec> {
        let at = self.commands.partition_point(|spec| spec.number <= number).checked_sub(1)?;
        let (spec, subcommand) = (&self.commands[at], number - self.commands[at].number);
        match subcommand {
            0 => Some(spec),
            index => spec.subcommands.get(usize::from(index) - 1),
        }
    }

    /// Commands and subcommands: one more than the highest [`Spec::number`].
    pub fn count(&self) -> usize {
        self.count
    }

    /// The command called `name`, in whatever case; not a subcommand.
    pub fn by_name(&self, name: &[u8]) -> Option<&'static Spec> {
        let mut at = hash(name);
        while let Some(spec) = self.index[at] {
            if spec.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(spec);
            }
            at = (at + 1) & INDEX_MASK;
        }
        None
    }

    /// The command called `full_name`, which for a subcommand is `container|name`.
    pub fn by_full_name(&self, full_name: &[u8]) -> Option<&'static Spec> {
        let mut parts = full_name.splitn(2, |&byte| byte == b'|');
        let spec = self.by_name(parts.next()?)?;
        match parts.next() {
            Some(name) => subcommand(spec, name),
            None => Some(spec),
        }
    }

    /// The command that `args` names; a subcommand if the first argument is the name of a container
    /// and the second that of a subcommand.
    pub fn lookup(&self, args: Args<'_>) -> Option<&'static Spec> {
        let spec = self.by_name(args.get(0)?)?;
        if spec.subcommands.is_empty() {
            return Some(spec);
        }
        match args.get(1) {
            Some(name) => subcommand(spec, name),
            None => Some(spec),
        }
    }

    /// The command that a client's request names, with the right number of arguments for it.
    ///
    /// # Errors
    /// If there is no such command or subcommand, or the number of arguments is wrong.
    pub fn resolve(&self, args: Args<'_>) -> Result<&'static Spec, CommandError> {
        let found = self.lookup(args).filter(|spec| !spec.flags.has(Flags::INTERNAL));
        let Some(spec) = found else { return Err(self.unknown(args)) };
        if !spec.arity.allows(args.len()) {
            return Err(CommandError::wrong_arity(spec.full_name));
        }
        Ok(spec)
    }

    /// The error for a request that names nothing, in Redis's words and with its truncation.
    #[cold]
    fn unknown(&self, args: Args<'_>) -> CommandError {
        let name = args.get(0).unwrap_or_default();
        if let Some(container) = self.by_name(name)
            && let Some(sub) = args.get(1)
            && !container.subcommands.is_empty()
        {
            let after = format!("'. Try {} HELP.", container.name.to_ascii_uppercase());
            return CommandError::quoting("ERR unknown subcommand '", quoted(sub, 128), &after);
        }
        let mut beginning = Vec::new();
        for arg in args.from(1).iter() {
            if beginning.len() >= 128 {
                break;
            }
            let arg = quoted(arg, 128 - beginning.len());
            beginning.extend_from_slice(&[b"'", arg, b"' "].concat());
        }
        let (before, between) = (b"ERR unknown command '", b"', with args beginning with: ");
        CommandError::new([before, quoted(name, 128), between, &beginning].concat())
    }
}

/// A place in the index for a name, the same in upper and lower case. Length and the outer bytes
/// tell commands apart well enough.
pub(super) fn hash(name: &[u8]) -> usize {
    let len = name.len();
    // Up to 16 bytes count, in two words that overlap where the name is shorter.
    let (head, tail) =
        if let (Some(head), Some(tail)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
        } else {
            let byte = |at: usize| name.get(at).map_or(0, |&byte| u64::from(byte));
            (byte(0) | byte(1) << 8 | byte(2) << 16, 0)
        };
    // Setting this bit makes letters lower case; what it does to other bytes only matters in that it
    // is the same every time.
    let lower = |word: u64| word | 0x2020_2020_2020_2020;
    let mixed = (lower(head) ^ lower(tail).rotate_left(29)).wrapping_add(len as u64);
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - INDEX_LOG2)) as usize
}

/// The subcommand of `spec` called `name`.
fn subcommand(spec: &'static Spec, name: &[u8]) -> Option<&'static Spec> {
    spec.subcommands.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name))
}
