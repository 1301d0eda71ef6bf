//! The types of settings: how each is read from arguments, shown to `CONFIG GET` and written to a file.
//!
//! A directive's row names its type and its [`Kind`]; everything else follows from the [`Setting`]
//! implementation here, so that a new directive of a known type needs no code.

use super::arguments::quote;
use thiserror::Error;

/// Why a value was refused. The texts are those that clients of Redis know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ValueError {
    /// Neither `yes` nor `no`.
    #[error("argument must be 'yes' or 'no'")]
    NotYesNo,
    /// Not one of the names the directive knows.
    #[error("argument(s) must be one of the following: {0}")]
    NotAChoice(String),
    /// A number outside the directive's range.
    #[error("argument must be between {min} and {max} inclusive")]
    OutOfRange {
        /// The smallest value allowed, in the directive's own notation.
        min: String,
        /// The largest value allowed, in the directive's own notation.
        max: String,
    },
    /// A percentage above what the directive allows.
    #[error("percentage argument must be less or equal to {0}")]
    PercentTooLarge(u8),
    /// Not a decimal integer.
    #[error("argument couldn't be parsed into an integer")]
    NotAnInteger,
    /// Not an octal number.
    #[error("argument couldn't be parsed as an octal number")]
    NotOctal,
    /// Not a size such as `64mb`.
    #[error("argument must be a memory value")]
    NotMemory,
    /// Neither a size nor a percentage.
    #[error("argument must be a memory or percent value")]
    NotMemoryOrPercent,
    /// More or fewer arguments than the directive takes.
    #[error("wrong number of arguments")]
    ArgumentCount,
    /// Bytes that are not UTF-8; paths and names are kept as text.
    #[error("argument must be valid UTF-8 without NUL bytes")]
    NotText,
    /// A check of the directive's own failed.
    #[error("{0}")]
    Invalid(&'static str),
    /// The directive belongs to a feature that is still to come.
    #[error("not supported yet, only the default is accepted: {0}")]
    Refused(&'static str),
}

/// What a directive's values look like: the rule that its [`Setting`] type applies.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// One of the names of the setting's own type.
    Choice,
    /// A decimal integer within bounds.
    Integer {
        /// The smallest value allowed.
        min: i64,
        /// The largest value allowed.
        max: i64,
    },
    /// A rate that is taken as a hint: any number is accepted and clamped.
    Clamped {
        /// Values below become this one.
        min: i64,
        /// Values above become this one.
        max: i64,
    },
    /// Octal digits, as file permissions are written.
    Octal {
        /// The largest value allowed.
        max: u32,
    },
    /// A size in bytes with an optional unit.
    Memory {
        /// The smallest size allowed.
        min: u64,
        /// The largest size allowed.
        max: u64,
    },
    /// A size, or a percentage of `maxmemory`.
    MemoryOrPercent,
    /// Text with a check of its own.
    Text(fn(&str) -> Result<(), ValueError>),
    /// A type with rules of its own.
    Special,
}

/// Where a value comes from; a few directives add up over the lines of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The first line for this directive while the configuration is loaded.
    File,
    /// A further line for the same directive.
    Repeated,
    /// `CONFIG SET`, which always replaces.
    Command,
}

/// The arguments of one line that `CONFIG REWRITE` writes for a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewrittenLine {
    /// What follows the directive's name, quoted where needed.
    pub arguments: String,
    /// Whether the line is written even where the file has none to replace; `None` says:
    /// when the value is not the default.
    pub forced: Option<bool>,
}

/// A type that a directive's value can have.
pub trait Setting: Sized + PartialEq {
    /// Reads a value; `self` is the one in force, on which partial values build.
    fn parse(&self, arguments: &[&str], kind: &Kind, origin: Origin) -> Result<Self, ValueError>;

    /// The value as `CONFIG GET` shows it.
    fn show(&self, kind: &Kind) -> String;

    /// The lines that state the value in a file; none says that it is stated by absence.
    fn lines(&self, kind: &Kind) -> Vec<RewrittenLine> {
        vec![RewrittenLine { arguments: self.show(kind), forced: None }]
    }
}

fn single<'a>(arguments: &[&'a str]) -> Result<&'a str, ValueError> {
    match arguments {
        [one] => Ok(one),
        _ => Err(ValueError::ArgumentCount),
    }
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

impl Setting for bool {
    fn parse(&self, arguments: &[&str], _: &Kind, _: Origin) -> Result<Self, ValueError> {
        let text = single(arguments)?;
        if text.eq_ignore_ascii_case("yes") {
            Ok(true)
        } else if text.eq_ignore_ascii_case("no") {
            Ok(false)
        } else {
            Err(ValueError::NotYesNo)
        }
    }

    fn show(&self, _: &Kind) -> String {
        if *self { "yes" } else { "no" }.into()
    }
}

/// Reads a decimal integer in the one form that Redis accepts: no sign but `-`, no leading zeros.
fn strict_integer(text: &str) -> Option<i64> {
    let value: i64 = text.parse().ok()?;
    (itoa::Buffer::new().format(value) == text).then_some(value)
}

/// Reads a size such as `512`, `10k`, `64mb` or `1GB`. A unit with `b` counts in powers of 1024.
pub fn parse_memory(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Writes a size in the largest binary unit that divides it.
pub fn format_memory(bytes: u64) -> String {
    for (unit, factor) in [("gb", 1u64 << 30), ("mb", 1 << 20), ("kb", 1 << 10)] {
        if bytes != 0 && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// Reads a number under its directive's rule. Signed and unsigned fields share the range of `i128`.
fn parse_number(text: &str, kind: &Kind) -> Result<i128, ValueError> {
    let out_of_range = |min: &dyn ToString, max: &dyn ToString| -> Result<i128, ValueError> {
        Err(ValueError::OutOfRange { min: min.to_string(), max: max.to_string() })
    };
    match *kind {
        Kind::Octal { max } => {
            // The sign that `from_str_radix` would take is no part of a permission.
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            match u32::from_str_radix(text, 8) {
                Ok(value) if digits && value <= max => Ok(value.into()),
                Ok(_) if digits => out_of_range(&"0", &format!("{max:o}")),
                _ => Err(ValueError::NotOctal),
            }
        }
        Kind::Memory { min, max } => match parse_memory(text).ok_or(ValueError::NotMemory)? {
            value if (min..=max).contains(&value) => Ok(value.into()),
            _ => out_of_range(&min, &max),
        },
        Kind::Clamped { min, max } => {
            match strict_integer(text).ok_or(ValueError::NotAnInteger)? {
                value if (0..=i64::from(i32::MAX)).contains(&value) => {
                    Ok(value.clamp(min, max).into())
                }
                _ => out_of_range(&0, &i32::MAX),
            }
        }
        Kind::Integer { min, max } => {
            match strict_integer(text).ok_or(ValueError::NotAnInteger)? {
                value if (min..=max).contains(&value) => Ok(value.into()),
                _ => out_of_range(&min, &max),
            }
        }
        _ => Err(ValueError::NotAnInteger),
    }
}

macro_rules! number_settings {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            fn parse(&self, arguments: &[&str], kind: &Kind, _: Origin) -> Result<Self, ValueError> {
                let value = parse_number(single(arguments)?, kind)?;
                // A row whose range exceeds its field is a mistake in the table; a test looks for it.
                <$type>::try_from(value).map_err(|_| ValueError::OutOfRange {
                    min: <$type>::MIN.to_string(),
                    max: <$type>::MAX.to_string(),
                })
            }

            fn show(&self, kind: &Kind) -> String {
                match kind {
                    Kind::Octal { .. } => format!("{self:o}"),
                    _ => self.to_string(),
                }
            }

            fn lines(&self, kind: &Kind) -> Vec<RewrittenLine> {
                let arguments = match kind {
                    Kind::Memory { .. } => format_memory(u64::try_from(*self).unwrap_or(0)),
                    _ => self.show(kind),
                };
                vec![RewrittenLine { arguments, forced: None }]
            }
        }
    )*};
}
number_settings!(u16, u32, u64, i32, i64);

fn checked_text<'a>(arguments: &[&'a str], kind: &Kind) -> Result<&'a str, ValueError> {
    let text = single(arguments)?;
    if let Kind::Text(check) = kind {
        check(text)?;
    }
    Ok(text)
}

impl Setting for String {
    fn parse(&self, arguments: &[&str], kind: &Kind, _: Origin) -> Result<Self, ValueError> {
        checked_text(arguments, kind).map(Into::into)
    }

    fn show(&self, _: &Kind) -> String {
        self.clone()
    }

    fn lines(&self, _: &Kind) -> Vec<RewrittenLine> {
        vec![RewrittenLine { arguments: quote(self.as_bytes()), forced: None }]
    }
}

/// Text where empty means: not set.
impl Setting for Option<String> {
    fn parse(&self, arguments: &[&str], kind: &Kind, _: Origin) -> Result<Self, ValueError> {
        let text = checked_text(arguments, kind)?;
        Ok((!text.is_empty()).then(|| text.into()))
    }

    fn show(&self, _: &Kind) -> String {
        self.clone().unwrap_or_default()
    }

    fn lines(&self, _: &Kind) -> Vec<RewrittenLine> {
        let text = self.iter();
        text.map(|text| RewrittenLine { arguments: quote(text.as_bytes()), forced: Some(true) })
            .collect()
    }
}

/// Declares an enumeration whose names are the directive's values, in the order errors list them.
macro_rules! choices {
    ($(
        $(#[$meta:meta])*
        $type:ident { $( $variant:ident = $name:literal $(| $other:literal)* ),* $(,)? }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant,
            )*
        }

        impl $type {
            /// Every name with its value; where two names mean the same, the first is shown.
            pub const NAMES: &'static [(&'static str, $type)] =
                &[$(($name, $type::$variant), $(($other, $type::$variant),)*)*];

            /// The name of this value.
            pub fn name(self) -> &'static str {
                match self { $( $type::$variant => $name, )* }
            }
        }

        impl Setting for $type {
            fn parse(&self, arguments: &[&str], _: &Kind, _: Origin) -> Result<Self, ValueError> {
                let found = match arguments {
                    [text] => Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)),
                    _ => None,
                };
                found.map(|(_, value)| *value).ok_or_else(|| {
                    let names: Vec<&str> = Self::NAMES.iter().map(|(name, _)| *name).collect();
                    ValueError::NotAChoice(names.join(", "))
                })
            }

            fn show(&self, _: &Kind) -> String {
                self.name().into()
            }
        }
    )*};
}

choices! {
    /// When what was written becomes durable, and with it when replies leave.
    AppendFsync { Everysec = "everysec", Always = "always", No = "no" }
    /// How much is logged; the first is the most talkative.
    LogLevel { Debug = "debug", Verbose = "verbose", Notice = "notice", Warning = "warning", Nothing = "nothing" }
    /// Which supervisor started the server and wants to hear of its progress.
    Supervised { Upstart = "upstart", Systemd = "systemd", Auto = "auto", No = "no" }
    /// The facility under which the system's log files our lines.
    SyslogFacility {
        User = "user", Local0 = "local0", Local1 = "local1", Local2 = "local2", Local3 = "local3",
        Local4 = "local4", Local5 = "local5", Local6 = "local6", Local7 = "local7",
    }
    /// What is evicted when memory runs out.
    MaxmemoryPolicy {
        VolatileLru = "volatile-lru", VolatileLfu = "volatile-lfu",
        VolatileRandom = "volatile-random", VolatileTtl = "volatile-ttl",
        AllkeysLru = "allkeys-lru", AllkeysLfu = "allkeys-lfu",
        AllkeysRandom = "allkeys-random", Noeviction = "noeviction",
    }
    /// Who may do what is normally closed: nobody, everybody, or connections from this machine.
    ProtectedAction { No = "no", Yes = "yes", Local = "local" }
    /// How a frame of the log is stored.
    LogCompression { None = "none", Lz4 = "lz4" }
    /// How segments are stored that are only kept so that an earlier moment can be restored.
    RetentionCompression { None = "none", Zstd = "zstd" }
    /// The version of RDB that is written; the first is 11, or 12 where fields of hashes expire.
    RdbVersion { Auto = "auto", V9 = "9", V10 = "10", V11 = "11", V12 = "12", Valkey80 = "80" }
    /// How a replica treats a data set that arrives without a file.
    ReplDisklessLoad { Disabled = "disabled", OnEmptyDb = "on-empty-db", Swapdb = "swapdb" }
    /// Whether a TLS client must show a certificate.
    TlsAuthClients { No = "no", Yes = "yes", Optional = "optional" }
    /// Whether the kernel's out-of-memory score is adjusted.
    OomScoreAdj { No = "no", Relative = "yes" | "relative", Absolute = "absolute" }
    /// Which channels a new user may use.
    AclPubsubDefault { Allchannels = "allchannels", Resetchannels = "resetchannels" }
    /// Whether a payload given to `RESTORE` is checked in depth.
    SanitizeDumpPayload { No = "no", Yes = "yes", Clients = "clients" }
    /// How a cluster's node names itself to clients.
    ClusterEndpoint { Ip = "ip", Hostname = "hostname", Unknown = "unknown-endpoint" }
    /// What happens when a replicated command fails.
    PropagationError { Ignore = "ignore", Panic = "panic", PanicOnReplicas = "panic-on-replicas" }
}

/// How a signal shuts the server down: a set of the options that `SHUTDOWN` knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownOptions(u8);

impl ShutdownOptions {
    /// No option: what `SHUTDOWN` does by itself.
    pub const DEFAULT: Self = Self(0);
    /// Save even where no save point is configured.
    pub const SAVE: Self = Self(1);
    /// Do not save.
    pub const NOSAVE: Self = Self(2);
    /// Do not wait for replicas.
    pub const NOW: Self = Self(4);
    /// Ignore errors that would prevent the shutdown.
    pub const FORCE: Self = Self(8);

    const NAMES: [(&'static str, Self); 5] = [
        ("default", Self::DEFAULT),
        ("save", Self::SAVE),
        ("nosave", Self::NOSAVE),
        ("now", Self::NOW),
        ("force", Self::FORCE),
    ];

    /// Whether every option of `other` is in this set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Setting for ShutdownOptions {
    fn parse(&self, arguments: &[&str], _: &Kind, _: Origin) -> Result<Self, ValueError> {
        let unknown = || ValueError::NotAChoice(Self::NAMES.map(|(name, _)| name).join(", "));
        if arguments.is_empty() {
            return Err(unknown());
        }
        let mut options = Self::DEFAULT;
        for text in arguments {
            let named = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
            options.0 |= named.ok_or_else(unknown)?.1.0;
        }
        if options.contains(Self::SAVE) && options.contains(Self::NOSAVE) {
            return Err(ValueError::Invalid(
                "shutdown options SAVE and NOSAVE can't be used simultaneously",
            ));
        }
        Ok(options)
    }

    fn show(&self, _: &Kind) -> String {
        if *self == Self::DEFAULT {
            return "default".into();
        }
        let set = Self::NAMES[1..].iter().filter(|(_, option)| self.contains(*option));
        joined(set.map(|(name, _)| *name))
    }
}

/// A size in bytes, or a percentage of `maxmemory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryOrPercent {
    /// So many bytes; 0 is no limit.
    Bytes(u64),
    /// So many hundredths of `maxmemory`, 1 to 100.
    Percent(u8),
}

impl Setting for MemoryOrPercent {
    fn parse(&self, arguments: &[&str], _: &Kind, _: Origin) -> Result<Self, ValueError> {
        let text = single(arguments)?;
        let max = u64::MAX >> 1;
        if let Some(percent) = text.strip_suffix('%').and_then(strict_integer).filter(|n| *n >= 0) {
            return match percent {
                0 => Ok(Self::Bytes(0)),
                1..=100 => Ok(Self::Percent(percent as u8)),
                _ => Err(ValueError::PercentTooLarge(100)),
            };
        }
        match parse_memory(text).ok_or(ValueError::NotMemoryOrPercent)? {
            bytes if bytes <= max => Ok(Self::Bytes(bytes)),
            _ => Err(ValueError::OutOfRange { min: "0".into(), max: max.to_string() }),
        }
    }

    fn show(&self, _: &Kind) -> String {
        match self {
            Self::Bytes(bytes) => bytes.to_string(),
            Self::Percent(percent) => format!("{percent}%"),
        }
    }

    fn lines(&self, kind: &Kind) -> Vec<RewrittenLine> {
        let arguments = match self {
            Self::Bytes(bytes) => format_memory(*bytes),
            Self::Percent(_) => self.show(kind),
        };
        vec![RewrittenLine { arguments, forced: None }]
    }
}

/// Most addresses that `bind` takes.
pub const BIND_ADDRESSES_MAX: usize = 16;

/// Where to listen, as written: each an address, `*` or `::*`, behind a `-` when it may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddresses(pub Vec<String>);

/// One address of `bind`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindAddress<'a> {
    /// The address to listen on; every IPv4 address is `0.0.0.0`, every IPv6 address is `::`.
    pub host: &'a str,
    /// Whether the server starts without it when this machine does not have the address.
    pub optional: bool,
}

impl BindAddresses {
    /// The addresses with their prefixes and wildcards resolved.
    pub fn iter(&self) -> impl Iterator<Item = BindAddress<'_>> {
        self.0.iter().map(|text| {
            let (host, optional) = match text.strip_prefix('-') {
                Some(rest) => (rest, true),
                None => (text.as_str(), false),
            };
            let host = match host {
                "*" => "0.0.0.0",
                "::*" => "::",
                host => host,
            };
            BindAddress { host, optional }
        })
    }
}

impl Default for BindAddresses {
    fn default() -> Self {
        Self(vec!["*".into(), "-::*".into()])
    }
}

impl Setting for BindAddresses {
    fn parse(&self, arguments: &[&str], _: &Kind, _: Origin) -> Result<Self, ValueError> {
        match arguments {
            [""] => Ok(Self(Vec::new())),
            many if many.len() > BIND_ADDRESSES_MAX => {
                Err(ValueError::Invalid("Too many bind addresses specified."))
            }
            some => Ok(Self(some.iter().map(|text| text.to_string()).collect())),
        }
    }

    fn show(&self, _: &Kind) -> String {
        self.0.join(" ")
    }

    fn lines(&self, _: &Kind) -> Vec<RewrittenLine> {
        let arguments = match self.0.as_slice() {
            [] => "\"\"".into(),
            some => joined(some.iter().map(|text| quote_if_needed(text))),
        };
        vec![RewrittenLine { arguments, forced: None }]
    }
}

fn quote_if_needed(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*-.:%_/[]".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) { text.into() } else { quote(text.as_bytes()) }
}

/// The data directory. It is written to files as it stands, which by then is an absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir(pub String);

impl DataDir {
    /// The directory of a server that was told none.
    pub const DEFAULT: &str = "./data";
}

impl Setting for DataDir {
    fn parse(&self, arguments: &[&str], _: &Kind, _: Origin) -> Result<Self, ValueError> {
        match single(arguments)? {
            "" => Err(ValueError::Invalid("No such file or directory")),
            text => Ok(Self(text.into())),
        }
    }

    fn show(&self, _: &Kind) -> String {
        self.0.clone()
    }

    /// Always written: the next start may happen in another working directory.
    fn lines(&self, _: &Kind) -> Vec<RewrittenLine> {
        vec![RewrittenLine { arguments: quote(self.0.as_bytes()), forced: Some(true) }]
    }
}

/// One rule of `save`: so many changes within so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// The span of time.
    pub seconds: i64,
    /// The number of changes within it.
    pub changes: i32,
}

/// Most rules of `save` that are kept.
pub const SAVE_POINTS_MAX: usize = 64;

/// The rules of `save`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavePoints(pub Vec<SavePoint>);

impl SavePoints {
    /// The rules of a Redis whose configuration has none.
    pub fn of_redis() -> Self {
        let point = |(seconds, changes)| SavePoint { seconds, changes };
        Self([(3600, 1), (300, 100), (60, 10_000)].map(point).into())
    }
}

impl Setting for SavePoints {
    fn parse(&self, arguments: &[&str], _: &Kind, origin: Origin) -> Result<Self, ValueError> {
        let invalid = ValueError::Invalid("Invalid save parameters");
        if matches!(arguments, [""] | []) {
            return Ok(Self::default());
        }
        let (pairs, []) = arguments.as_chunks::<2>() else { return Err(invalid) };
        // The lines of a file add up; what was in force before the first one does not count.
        let mut points = if origin == Origin::Repeated { self.0.clone() } else { Vec::new() };
        for [seconds, changes] in pairs {
            match (seconds.parse::<i64>(), changes.parse::<i32>()) {
                (Ok(seconds @ 1..), Ok(changes @ 0..)) => {
                    let point = SavePoint { seconds, changes };
                    // A second one of the same would do nothing, and what the command line adds to
                    // a file would be one more with each rewrite of that.
                    if !points.contains(&point) {
                        points.push(point);
                    }
                }
                _ => return Err(invalid),
            }
        }
        if points.len() > SAVE_POINTS_MAX {
            return Err(ValueError::Invalid("Too many save parameters"));
        }
        Ok(Self(points))
    }

    fn show(&self, _: &Kind) -> String {
        joined(self.0.iter().map(|point| format!("{} {}", point.seconds, point.changes)))
    }

    /// Always written, since `save` has had other defaults elsewhere and the file may travel.
    fn lines(&self, _: &Kind) -> Vec<RewrittenLine> {
        let line = |arguments: String| RewrittenLine { arguments, forced: Some(true) };
        match self.0.as_slice() {
            [] => vec![line("\"\"".into())],
            some => some.iter().map(|p| line(format!("{} {}", p.seconds, p.changes))).collect(),
        }
    }
}

/// How much output may wait for one class of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferLimit {
    /// Beyond so many bytes the client is disconnected at once; 0 is no limit.
    pub hard_bytes: u64,
    /// Beyond so many bytes for `soft_seconds` it is disconnected; 0 is no limit.
    pub soft_bytes: u64,
    /// How long the soft limit may be exceeded.
    pub soft_seconds: i64,
}

/// The limits of every class of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferLimits {
    /// Ordinary clients.
    pub normal: BufferLimit,
    /// Replicas.
    pub replica: BufferLimit,
    /// Clients with subscriptions.
    pub pubsub: BufferLimit,
}

impl Default for BufferLimits {
    fn default() -> Self {
        let limit = |hard_mib: u64, soft_mib: u64| BufferLimit {
            hard_bytes: hard_mib << 20,
            soft_bytes: soft_mib << 20,
            soft_seconds: 60,
        };
        Self { normal: BufferLimit::default(), replica: limit(256, 64), pubsub: limit(32, 8) }
    }
}

impl BufferLimits {
    fn class(&mut self, name: &str) -> Option<&mut BufferLimit> {
        match name.to_ascii_lowercase().as_str() {
            "normal" => Some(&mut self.normal),
            "replica" | "slave" => Some(&mut self.replica),
            "pubsub" => Some(&mut self.pubsub),
            _ => None,
        }
    }
}

impl Setting for BufferLimits {
    fn parse(&self, arguments: &[&str], _: &Kind, _: Origin) -> Result<Self, ValueError> {
        let (groups, []) = arguments.as_chunks::<4>() else {
            return Err(ValueError::Invalid(
                "Wrong number of arguments in buffer limit configuration.",
            ));
        };
        let mut limits = *self;
        for [class, hard, soft, seconds] in groups {
            let class = limits.class(class).ok_or(ValueError::Invalid(
                "Invalid client class specified in buffer limit configuration.",
            ))?;
            match (parse_memory(hard), parse_memory(soft), seconds.parse::<i64>()) {
                (Some(hard_bytes), Some(soft_bytes), Ok(soft_seconds @ 0..)) => {
                    *class = BufferLimit { hard_bytes, soft_bytes, soft_seconds };
                }
                _ => {
                    return Err(ValueError::Invalid(
                        "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
                    ));
                }
            }
        }
        Ok(limits)
    }

    fn show(&self, _: &Kind) -> String {
        let classes = [("normal", self.normal), ("slave", self.replica), ("pubsub", self.pubsub)];
        joined(classes.iter().map(|(name, limit)| {
            format!("{name} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
        }))
    }

    fn lines(&self, _: &Kind) -> Vec<RewrittenLine> {
        let default = Self::default();
        let classes = [
            ("normal", self.normal, default.normal),
            ("replica", self.replica, default.replica),
            ("pubsub", self.pubsub, default.pubsub),
        ];
        let line = |(name, limit, default): (&str, BufferLimit, BufferLimit)| RewrittenLine {
            arguments: format!(
                "{name} {} {} {}",
                format_memory(limit.hard_bytes),
                format_memory(limit.soft_bytes),
                limit.soft_seconds
            ),
            forced: Some(limit != default),
        };
        let mut lines: Vec<RewrittenLine> = classes.into_iter().map(line).collect();
        // A file may state fewer classes than there are: those that matter take its lines first.
        lines.sort_by_key(|line| line.forced != Some(true));
        lines
    }
}

/// The out-of-memory scores of a primary, a replica and a child process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomScores(pub [i32; 3]);

impl Setting for OomScores {
    fn parse(&self, arguments: &[&str], _: &Kind, _: Origin) -> Result<Self, ValueError> {
        let texts: [&str; 3] = arguments.try_into().map_err(|_| ValueError::ArgumentCount)?;
        let mut scores = [0; 3];
        for (score, text) in scores.iter_mut().zip(texts) {
            *score = text.parse().ok().filter(|score| (-2000..=2000).contains(score)).ok_or(
                ValueError::Invalid(
                    "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
                ),
            )?;
        }
        Ok(Self(scores))
    }

    fn show(&self, _: &Kind) -> String {
        joined(self.0)
    }
}

/// The classes of keyspace events that are published: a set of letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyspaceEvents(u16);

impl KeyspaceEvents {
    /// Every letter, in the order in which a set is shown.
    const LETTERS: &str = "g$lshzxetdnKEm";
    /// The letters that `A` stands for: all but new keys, misses, and the choice of channel.
    const ALL: u16 = 0b11_1111_1111;

    /// Whether events of the class with this letter are published.
    pub fn contains(self, letter: char) -> bool {
        Self::LETTERS.find(letter).is_some_and(|bit| self.0 >> bit & 1 == 1)
    }
}

impl Setting for KeyspaceEvents {
    fn parse(&self, arguments: &[&str], _: &Kind, _: Origin) -> Result<Self, ValueError> {
        let mut set = 0;
        for letter in single(arguments)?.chars() {
            set |= match (letter, Self::LETTERS.find(letter)) {
                ('A', _) => Self::ALL,
                (_, Some(bit)) => 1 << bit,
                (_, None) => {
                    return Err(ValueError::Invalid(
                        "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
                    ));
                }
            };
        }
        Ok(Self(set))
    }

    fn show(&self, _: &Kind) -> String {
        let all = self.0 & Self::ALL == Self::ALL;
        let mut shown = String::from(if all { "A" } else { "" });
        // Redis shows `A` in place of every class before the channels, new keys among them; a value
        // that is read back must mean the same, so `n` is shown beside `A` here.
        let hidden = if all { Self::ALL } else { 0 };
        let letters = Self::LETTERS.chars().enumerate();
        shown.extend(letters.filter(|(bit, _)| (self.0 & !hidden) >> bit & 1 == 1).map(|(_, c)| c));
        shown
    }

    fn lines(&self, kind: &Kind) -> Vec<RewrittenLine> {
        vec![RewrittenLine { arguments: quote(self.show(kind).as_bytes()), forced: None }]
    }
}

/// Most percentiles that latency tracking keeps.
pub const PERCENTILES_MAX: usize = 64;

/// The percentiles that `INFO latencystats` shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Percentiles(pub Vec<f64>);

impl Default for Percentiles {
    fn default() -> Self {
        Self(vec![50.0, 99.0, 99.9])
    }
}

impl Setting for Percentiles {
    fn parse(&self, arguments: &[&str], _: &Kind, _: Origin) -> Result<Self, ValueError> {
        let invalid = ValueError::Invalid("Invalid latency-tracking-info-percentiles parameters");
        if arguments == [""] {
            return Ok(Self(Vec::new()));
        }
        if arguments.len() > PERCENTILES_MAX {
            return Err(invalid);
        }
        let parse = |text: &&str| match text.parse::<f64>() {
            Ok(value) if (0.0..=100.0).contains(&value) => Ok(value),
            Ok(value) if !value.is_nan() => Err(ValueError::Invalid(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
            )),
            _ => Err(invalid.clone()),
        };
        Ok(Self(arguments.iter().map(parse).collect::<Result<_, _>>()?))
    }

    fn show(&self, _: &Kind) -> String {
        joined(&self.0)
    }

    fn lines(&self, kind: &Kind) -> Vec<RewrittenLine> {
        let arguments = if self.0.is_empty() { "\"\"".into() } else { self.show(kind) };
        vec![RewrittenLine { arguments, forced: None }]
    }
}

/// The primary to replicate from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaOf(pub Option<(String, u16)>);

impl Setting for ReplicaOf {
    fn parse(&self, arguments: &[&str], _: &Kind, _: Origin) -> Result<Self, ValueError> {
        let [host, port] = arguments else { return Err(ValueError::ArgumentCount) };
        if host.eq_ignore_ascii_case("no") && port.eq_ignore_ascii_case("one") {
            return Ok(Self(None));
        }
        let port = port.parse().map_err(|_| ValueError::Invalid("Invalid master port"))?;
        Ok(Self(Some((host.to_string(), port))))
    }

    fn show(&self, _: &Kind) -> String {
        self.0.as_ref().map(|(host, port)| format!("{host} {port}")).unwrap_or_default()
    }

    fn lines(&self, _: &Kind) -> Vec<RewrittenLine> {
        let line = |(host, port): &(String, u16)| RewrittenLine {
            arguments: format!("{} {port}", quote_if_needed(host)),
            forced: Some(true),
        };
        self.0.iter().map(line).collect()
    }
}
