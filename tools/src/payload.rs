//! The commands in the payload of a frame, sound or damaged.

use mainstay::commands::{DATA, keys};
use mainstay::resp::request::Parsed;
use mainstay::resp::{Args, RequestLimits, RequestParser};
use std::collections::BTreeSet;

/// A damaged payload is not searched any further once so many keys were found.
const KEYS_MAX: usize = 1000;

fn limits() -> RequestLimits {
    // What is in a log was accepted once.
    RequestLimits { bulk_bytes_max: usize::MAX / 4, ..RequestLimits::default() }
}

/// Calls `visit` with each command of a payload and the offset behind it.
///
/// # Errors
/// Where, and why, the payload is no sequence of whole commands; and those of `visit`.
pub fn each<E: From<(usize, String)>>(
    payload: &mut [u8],
    mut visit: impl FnMut(usize, Args<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let (mut at, mut ranges) = (0, Vec::new());
    while at < payload.len() {
        ranges.clear();
        match RequestParser::default().parse(&mut payload[at..], 0, &limits(), &mut ranges) {
            Ok(Parsed::Request { consumed }) if !ranges.is_empty() => {
                let args = Args::new(&payload[at..], &ranges);
                at += consumed;
                visit(at, args)?;
            }
            Ok(_) => return Err((at, "it does not end with a whole command".to_owned()).into()),
            Err(error) => return Err((at, error.to_string()).into()),
        }
    }
    Ok(())
}

/// The keys of a command, those that its specifications find.
pub fn keys_of<'a>(args: Args<'a>) -> Vec<&'a [u8]> {
    let Some(spec) = DATA.lookup(args) else { return Vec::new() };
    let Ok(found) = keys(spec, args) else { return Vec::new() };
    found.iter().filter_map(|key| args.get(key.index)).collect()
}

/// The keys of the commands that can be made out in damaged bytes, which may be wrong themselves.
pub fn keys_in_damaged(mut bytes: &mut [u8]) -> BTreeSet<Vec<u8>> {
    let (mut found, mut ranges) = (BTreeSet::new(), Vec::new());
    while !bytes.is_empty() && found.len() < KEYS_MAX {
        ranges.clear();
        let is_command = bytes[0] == b'*';
        let parsed = is_command
            .then(|| RequestParser::default().parse(bytes, 0, &limits(), &mut ranges).ok())
            .flatten();
        let passed = match parsed {
            Some(Parsed::Request { consumed }) if !ranges.is_empty() => {
                let args = Args::new(bytes, &ranges);
                found.extend(keys_of(args).into_iter().map(<[u8]>::to_vec));
                consumed
            }
            // Not a command, or not a whole one: the next may begin behind any line.
            _ => match bytes[1..].windows(2).position(|pair| pair == b"\n*") {
                Some(at) => at + 2,
                None => bytes.len(),
            },
        };
        bytes = &mut bytes[passed..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay::resp::write_command;

    fn payload() -> Vec<u8> {
        let mut bytes = Vec::new();
        write_command(&mut bytes, &[b"SET", b"a", b"1"]);
        write_command(&mut bytes, &[b"MSET", b"b", b"2", b"c", b"3"]);
        write_command(&mut bytes, &[b"DEL", b"d"]);
        bytes
    }

    #[test]
    fn commands_are_found_with_their_keys() {
        let (mut seen, mut ends) = (Vec::new(), Vec::new());
        let visit = |end, args: Args<'_>| {
            ends.push(end);
            seen.push(keys_of(args).into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
            Ok::<(), (usize, String)>(())
        };
        each(&mut payload(), visit).unwrap();
        assert_eq!(
            seen,
            [vec![b"a".to_vec()], vec![b"b".to_vec(), b"c".to_vec()], vec![b"d".to_vec()]]
        );
        assert_eq!(ends.last(), Some(&payload().len()));
        let mut cut = payload();
        cut.pop();
        let ended = each(&mut cut, |_, _| Ok::<(), (usize, String)>(()));
        assert_eq!(ended.unwrap_err().0, ends[1]);
    }

    #[test]
    fn around_damage_keys_are_found_nevertheless() {
        let mut bytes = payload();
        let at = bytes.windows(4).position(|word| word == b"MSET").unwrap();
        bytes[at - 4] = b'x';
        let found = keys_in_damaged(&mut bytes);
        assert!(found.contains(&b"a"[..]) && found.contains(&b"d"[..]), "{found:?}");
        assert!(keys_in_damaged(&mut [0; 100]).is_empty());
    }
}
