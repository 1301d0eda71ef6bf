//! Where the keys of a request are: for `COMMAND GETKEYS`, access lists, slots and tracking.

use super::key_spec::{Begin, Find, KeySpec, Keys};
use super::{CommandError, Flags, Spec};
use crate::resp::Args;
use crate::resp::request::parse_i64;

/// The command takes no keys.
const NO_KEYS: CommandError = CommandError::fixed("ERR The command has no key arguments");
/// Its arity is not met.
const WRONG_COUNT: CommandError =
    CommandError::fixed("ERR Invalid number of arguments specified for command");
/// Its arguments do not say where the keys are.
const INVALID: CommandError = CommandError::fixed("ERR Invalid arguments specified for command");

/// Finds the keys of a request of the command `spec`.
///
/// # Errors
/// With the texts of `COMMAND GETKEYS`, if the command has no keys or the arguments do not fit it.
pub fn keys(spec: &Spec, args: Args<'_>) -> Result<Keys, CommandError> {
    if !spec.has_keys() {
        return Err(NO_KEYS);
    }
    if !spec.arity.allows(args.len()) {
        return Err(WRONG_COUNT);
    }
    let keys = match spec.key_function {
        Some(function) => function(args),
        None => by_specs(spec.key_specs, args),
    };
    match keys {
        Some(keys) if !keys.is_empty() => Ok(keys),
        _ if spec.flags.has(Flags::NO_MANDATORY_KEYS) => Ok(Keys::default()),
        _ => Err(INVALID),
    }
}

/// The keys that the specs find; `None` if one of them does not fit the arguments.
pub fn by_specs(specs: &[KeySpec], args: Args<'_>) -> Option<Keys> {
    let mut keys = Keys::default();
    for spec in specs.iter().filter(|spec| spec.is_key()) {
        let begin = match spec.begin {
            Begin::Index(index) => usize::from(index),
            Begin::Keyword { keyword, from } => match find_keyword(args, keyword, from) {
                Some(at) => at + 1,
                None => continue,
            },
            Begin::Unknown => return None,
        };
        let (first, last, step) = match spec.find {
            Find::Range { last, step, .. } if last >= 0 => {
                (begin, begin + usize::from(last.unsigned_abs()), step)
            }
            Find::Range { last, step, limit } if limit > 1 => {
                let count = args.len().checked_sub(begin)? / usize::from(limit);
                (begin, (begin + count).checked_sub(usize::from(last.unsigned_abs()))?, step)
            }
            Find::Range { last, step, .. } => {
                (begin, args.len().checked_sub(usize::from(last.unsigned_abs()))?, step)
            }
            Find::Count { count, first, step } => {
                let count = parse_i64(args.get(begin + usize::from(count))?)?;
                let count = usize::try_from(count).ok()?;
                let first = begin + usize::from(first);
                // A count of zero is for the command to judge; there are just no keys here.
                if count == 0 {
                    continue;
                }
                (first, first.checked_add((count - 1).checked_mul(usize::from(step))?)?, step)
            }
            Find::Unknown => return None,
        };
        if first > last || last >= args.len() || spec.is_incomplete() {
            return None;
        }
        keys.push(first, last, usize::from(step), spec.flags);
    }
    Some(keys)
}

/// Where `keyword` is: searched forwards from argument `from`, or backwards from the end if `from`
/// is negative.
fn find_keyword(args: Args<'_>, keyword: &str, from: i16) -> Option<usize> {
    let is_it = |&at: &usize| args[at].eq_ignore_ascii_case(keyword.as_bytes());
    let distance = usize::from(from.unsigned_abs());
    if from > 0 {
        (distance..args.len()).find(is_it)
    } else {
        (1..=args.len().checked_sub(distance)?).rev().find(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::spec::KeyFlags;
    use crate::resp::OwnedArgs;

    fn found(specs: &[KeySpec], line: &str) -> Option<Vec<usize>> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let owned = OwnedArgs::from_slices(&words);
        let keys = by_specs(specs, owned.as_args())?;
        let list: Vec<usize> = keys.iter().map(|key| key.index).collect();
        assert_eq!(list.len(), keys.count());
        Some(list)
    }

    #[test]
    fn ranges_counts_and_keywords() {
        let all = [KeySpec::range(1, -1, 1, KeyFlags::RO)];
        assert_eq!(found(&all, "mget a b c"), Some(vec![1, 2, 3]));
        assert_eq!(found(&all, "mget"), None);
        let pairs = [KeySpec::range(1, -1, 2, KeyFlags::OW)];
        assert_eq!(found(&pairs, "mset a 1 b 2"), Some(vec![1, 3]));
        let counted = [
            KeySpec::at(1, KeyFlags::OW),
            KeySpec {
                begin: Begin::Index(2),
                find: Find::Count { count: 0, first: 1, step: 1 },
                flags: KeyFlags::RO,
            },
        ];
        assert_eq!(found(&counted, "zunionstore d 2 a b weights"), Some(vec![1, 3, 4]));
        assert_eq!(found(&counted, "zunionstore d 0 a"), Some(vec![1]));
        for bad in ["9", "x", "-1", "9223372036854775807"] {
            assert_eq!(found(&counted, &format!("zunionstore d {bad} a b")), None);
        }
        let streams = [KeySpec {
            begin: Begin::Keyword { keyword: "STREAMS", from: 1 },
            find: Find::Range { last: -1, step: 1, limit: 2 },
            flags: KeyFlags::RO,
        }];
        assert_eq!(found(&streams, "xread count 2 streams a b 0 0"), Some(vec![4, 5]));
        assert_eq!(found(&streams, "xread count 2"), Some(vec![]));
        assert_eq!(found(&streams, "xread streams"), None);
        let last_keys = [KeySpec {
            begin: Begin::Keyword { keyword: "KEYS", from: -2 },
            find: Find::Range { last: -1, step: 1, limit: 0 },
            flags: KeyFlags::RW,
        }];
        assert_eq!(found(&last_keys, "migrate h 1 \"\" 0 9 keys a b"), Some(vec![7, 8]));
    }
}
