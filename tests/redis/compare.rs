//! When two replies say the same.

use super::support::Value;
use std::cell::Cell;

/// How far apart two servers' clocks and the moments of two replies may be, in milliseconds.
const CLOCK_TOLERANCE_MS: u64 = 60_000;

/// A difference that is meant to be.
pub struct Allowed {
    /// Why it is.
    pub reason: &'static str,
    /// Whether a command's replies, ours and Redis's, differ by just this.
    applies: fn(&str, &[Vec<u8>], &Value, &Value) -> bool,
    /// How often it was met.
    pub met: Cell<u64>,
}

impl Allowed {
    fn new(reason: &'static str, applies: fn(&str, &[Vec<u8>], &Value, &Value) -> bool) -> Self {
        Self { reason, applies, met: Cell::new(0) }
    }
}

/// The value with every zero unsigned.
fn unsigned(value: &Value) -> Value {
    match value {
        Value::Bulk(bytes) if bytes == b"-0" => Value::Bulk(b"0".to_vec()),
        Value::Double(text) if text == "-0" => Value::Double("0".into()),
        Value::Array(items) => Value::Array(items.iter().map(unsigned).collect()),
        other => other.clone(),
    }
}

/// All differences that are meant to be.
pub fn allowed() -> Vec<Allowed> {
    fn encodings(name: &str, ours: &Value, theirs: &Value, expected: (&str, &str)) -> bool {
        let is = |value: &Value, text: &str| *value == Value::Bulk(text.into());
        name == "OBJECT" && is(ours, expected.0) && is(theirs, expected.1)
    }
    vec![
        Allowed::new(
            "the references of a small integer are said to be i32::MAX, in Redis only while the value is \
             one of those that all keys share",
            |name, _, ours, theirs| {
                let max = i64::from(i32::MAX);
                name == "OBJECT" && (ours, theirs) == (&Value::Int(max), &Value::Int(1))
            },
        ),
        Allowed::new(
            "keys that share an integer in Redis share the time of its last use",
            |name, args, ours, theirs| {
                name == "OBJECT"
                    && args.get(1).is_some_and(|arg| arg.eq_ignore_ascii_case(b"IDLETIME"))
                    && matches!((ours, theirs), (Value::Int(_), Value::Int(_)))
            },
        ),
        Allowed::new(
            "what INCRBYFLOAT wrote is an integer at once if it is one, in Redis only after it was \
             loaded again",
            |name, _, ours, theirs| encodings(name, ours, theirs, ("int", "embstr")),
        ),
        Allowed::new(
            "an expiry time for fields that a hash does not have leaves the hash as it is",
            |name, _, ours, theirs| encodings(name, ours, theirs, ("listpack", "listpackex")),
        ),
        Allowed::new(
            "SORT leaves a sorted set as it is, Redis makes it a skiplist to read it",
            |name, args, ours, theirs| {
                args.last().is_some_and(|key| key.starts_with(b"w"))
                    && encodings(name, ours, theirs, ("listpack", "skiplist"))
            },
        ),
        Allowed::new(
            "a score of zero loses its sign in a listpack, in which the result of a store begins or not",
            |name, _, ours, theirs| {
                name.trim_start_matches('B').starts_with('Z') && unsigned(ours) == unsigned(theirs)
            },
        ),
        Allowed::new(
            "SORT in Redis takes every number for out of range once another command has met one that is",
            |name, _, ours, theirs| {
                name.starts_with("SORT")
                    && matches!(ours, Value::Array(_))
                    && theirs.is_error("ERR One or more scores can't be converted into double")
            },
        ),
        Allowed::new(
            "LINSERT and LSET that find no place leave a list as it is, Redis has made room by then",
            |name, args, ours, theirs| {
                args.last().is_some_and(|key| key.starts_with(b"i"))
                    && encodings(name, ours, theirs, ("listpack", "quicklist"))
            },
        ),
        Allowed::new(
            "SPOP that takes most of a set leaves it as it is, Redis makes a new one of the rest",
            |name, _, ours, theirs| {
                encodings(name, ours, theirs, ("hashtable", "listpack"))
                    || encodings(name, ours, theirs, ("hashtable", "intset"))
                    || encodings(name, ours, theirs, ("listpack", "intset"))
            },
        ),
        Allowed::new(
            "setting a bit to what it is makes a short string raw in Redis, which its log does not say",
            |name, args, ours, theirs| {
                args.last().is_some_and(|key| key.starts_with(b"b"))
                    && (encodings(name, ours, theirs, ("embstr", "raw"))
                        || encodings(name, ours, theirs, ("int", "raw")))
            },
        ),
        Allowed::new(
            "SCAN refuses a TYPE that no type has, as Valkey does and later versions of Redis",
            |name, _, ours, _| name == "SCAN" && ours.is_error("ERR unknown type name"),
        ),
        Allowed::new("the texts of HELP are our own", |_, args, ours, theirs| {
            args.get(1).is_some_and(|arg| arg.eq_ignore_ascii_case(b"HELP"))
                && matches!((ours, theirs), (Value::Array(_), Value::Array(_)))
        }),
    ]
}

/// Compares replies.
pub struct Comparison {
    /// The differences that are meant to be.
    pub allowed: Vec<Allowed>,
    /// Whether texts of errors are as in the version that ours follows.
    pub exact_errors: bool,
}

impl Comparison {
    /// Whether the replies to a command say the same, or differ as they are meant to.
    pub fn is_same(&self, args: &[Vec<u8>], ours: &Value, theirs: &Value) -> bool {
        if ours == theirs {
            return true;
        }
        // Older versions look at arguments in another order, with other texts, and have other encodings.
        let is_encoding = args.get(1).is_some_and(|arg| arg.eq_ignore_ascii_case(b"ENCODING"));
        if !self.exact_errors && (matches!(ours, Value::Error(_)) || is_encoding) {
            return true;
        }
        let name = String::from_utf8_lossy(&args[0]).to_ascii_uppercase();
        if same_by_nature(&name, args, ours, theirs) {
            return true;
        }
        let allowed =
            self.allowed.iter().find(|allowed| (allowed.applies)(&name, args, ours, theirs));
        allowed.is_some_and(|allowed| {
            allowed.met.set(allowed.met.get() + 1);
            true
        })
    }
}

/// Elements in an order that does not depend on theirs.
pub fn sorted(values: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    texts.sort_unstable();
    texts
}

/// Pairs of elements, however the protocol's version writes them, in an order of their own.
fn pairs(value: &Value) -> Option<Vec<String>> {
    let mut texts: Vec<String> = match value {
        Value::Array(items) => items.chunks(2).map(|pair| format!("{pair:?}")).collect(),
        Value::Map(pairs) => pairs.iter().map(|pair| format!("{pair:?}")).collect(),
        _ => return None,
    };
    texts.sort_unstable();
    Some(texts)
}

fn items(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => Some(items),
        _ => None,
    }
}

fn same_sets(ours: &Value, theirs: &Value) -> bool {
    matches!((items(ours), items(theirs)), (Some(ours), Some(theirs)) if sorted(ours) == sorted(theirs))
}

/// Whether replies are the same as far as a command's nature determines them: some come in any order, some
/// are a random choice, some tell the time.
fn same_by_nature(name: &str, args: &[Vec<u8>], ours: &Value, theirs: &Value) -> bool {
    if std::mem::discriminant(ours) != std::mem::discriminant(theirs) {
        return false;
    }
    match name {
        "KEYS" | "SMEMBERS" | "SDIFF" | "SINTER" | "SUNION" | "HKEYS" | "HVALS" => {
            same_sets(ours, theirs)
        }
        "HGETALL" => pairs(ours).is_some() && pairs(ours) == pairs(theirs),
        "SCAN" | "SSCAN" | "HSCAN" | "ZSCAN" => {
            let (Value::Array(ours), Value::Array(theirs)) = (ours, theirs) else { return false };
            let ended = |reply: &[Value]| reply[0] == Value::Bulk(b"0".to_vec());
            let novalues = args.iter().any(|arg| arg.eq_ignore_ascii_case(b"NOVALUES"));
            // What a step of a scan gives is its own business; the whole is not.
            ours.len() == 2
                && theirs.len() == 2
                && (args[if name == "SCAN" { 1 } else { 2 }] != b"0"
                    || !ended(ours)
                    || !ended(theirs)
                    || match name {
                        "HSCAN" | "ZSCAN" if !novalues => pairs(&ours[1]) == pairs(&theirs[1]),
                        _ => same_sets(&ours[1], &theirs[1]),
                    })
        }
        // Without a pattern to sort by, the elements of a set come in any order.
        "SORT" | "SORT_RO" => {
            let by = args.iter().position(|arg| arg.eq_ignore_ascii_case(b"BY"));
            let pattern = by.and_then(|by| args.get(by + 1));
            let unsorted = pattern.is_some_and(|pattern| !pattern.contains(&b'*'));
            matches!((ours, theirs), (Value::Array(ours), Value::Array(theirs))
                if unsorted && ours.len() == theirs.len())
        }
        // Whether they are elements is asked afterwards.
        "SPOP" | "SRANDMEMBER" | "HRANDFIELD" | "ZRANDMEMBER" | "RANDOMKEY" => {
            match (items(ours), items(theirs)) {
                (Some(ours), Some(theirs)) => ours.len() == theirs.len(),
                _ => true,
            }
        }
        "TTL" | "PTTL" | "EXPIRETIME" | "PEXPIRETIME" | "HTTL" | "HPTTL" | "HEXPIRETIME"
        | "HPEXPIRETIME" => {
            let tolerance = if name.contains('P') && name != "EXPIRETIME" && name != "HEXPIRETIME" {
                CLOCK_TOLERANCE_MS
            } else {
                CLOCK_TOLERANCE_MS / 1000
            };
            same_numbers(ours, theirs, &|ours, theirs| {
                ours > 50_000 && ours.abs_diff(theirs) < tolerance
            })
        }
        "OBJECT" if args.get(1).is_some_and(|arg| arg.eq_ignore_ascii_case(b"IDLETIME")) => {
            same_numbers(ours, theirs, &|ours, theirs| ours.abs_diff(theirs) < 60)
        }
        // An id made of the time.
        "XADD" => matches!(ours, Value::Bulk(_)) && args.iter().any(|arg| arg == b"*"),
        // A payload that one of them wrote, both read.
        "DUMP" => matches!(ours, Value::Bulk(_)),
        "XPENDING" => same_pending(ours, theirs),
        "XINFO" => same_information(ours, theirs),
        _ => false,
    }
}

/// Whether replies differ at most in numbers, and these as `tolerated` says.
fn same_numbers(ours: &Value, theirs: &Value, tolerated: &dyn Fn(i64, i64) -> bool) -> bool {
    match (ours, theirs) {
        (Value::Int(ours), Value::Int(theirs)) => ours == theirs || tolerated(*ours, *theirs),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .zip(theirs)
                    .all(|(ours, theirs)| same_numbers(ours, theirs, tolerated))
        }
        _ => ours == theirs,
    }
}

/// Pending entries: how long ago they were delivered is as the clock has it.
fn same_pending(ours: &Value, theirs: &Value) -> bool {
    let (Some(ours), Some(theirs)) = (items(ours), items(theirs)) else { return ours == theirs };
    ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|(ours, theirs)| match (items(ours), items(theirs)) {
            (
                Some([our_id, our_name, Value::Int(our_idle), our_count]),
                Some([id, name, Value::Int(idle), count]),
            ) => {
                (our_id, our_name, our_count) == (id, name, count)
                    && our_idle.abs_diff(*idle) < CLOCK_TOLERANCE_MS
            }
            _ => ours == theirs,
        })
}

/// What `XINFO` says: times are as the clock has them, and how Redis's tree is built is not asked for.
fn same_information(ours: &Value, theirs: &Value) -> bool {
    let field = |key: &Value, our: &Value, their: &Value| match key {
        Value::Bulk(key) => match (&key[..], our, their) {
            (b"idle" | b"inactive", Value::Int(our), Value::Int(their)) => {
                our.abs_diff(*their) < CLOCK_TOLERANCE_MS && (*our < 0) == (*their < 0)
            }
            (b"radix-tree-keys" | b"radix-tree-nodes", Value::Int(_), Value::Int(_)) => true,
            _ => same_information(our, their),
        },
        _ => same_information(our, their),
    };
    match (ours, theirs) {
        (Value::Map(ours), Value::Map(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .zip(theirs)
                    .all(|(our, their)| our.0 == their.0 && field(&our.0, &our.1, &their.1))
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len()
                && (0..ours.len()).all(|at| match at {
                    0 => same_information(&ours[0], &theirs[0]),
                    _ => field(&ours[at - 1], &ours[at], &theirs[at]),
                })
        }
        // Times since the epoch, in milliseconds.
        (Value::Int(ours), Value::Int(theirs)) => {
            ours == theirs
                || *ours > 1_000_000_000_000 && ours.abs_diff(*theirs) < CLOCK_TOLERANCE_MS
        }
        _ => ours == theirs,
    }
}
