//! `BITOP`: strings combined bit by bit.

use crate::commands::strings::{set_raw, string_bytes};
use crate::commands::{CommandError, CommandResult, Context, Key};
use crate::resp::Args;

/// Bytes that are combined at a time: so few that they stay in the first-level cache, whatever the
/// number of strings.
const BLOCK_BYTES: usize = 4096;

/// How strings are combined: X is the first one, Y are the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
    /// In X and in no Y.
    Diff,
    /// In any Y and not in X.
    Diff1,
    /// In X and in any Y.
    AndOr,
    /// In exactly one of all.
    One,
}

impl Operation {
    fn is_of_redis_7_0(self) -> bool {
        matches!(self, Operation::And | Operation::Or | Operation::Xor | Operation::Not)
    }
}

const OPERATIONS: [(&str, Operation); 8] = [
    ("AND", Operation::And),
    ("OR", Operation::Or),
    ("XOR", Operation::Xor),
    ("NOT", Operation::Not),
    ("DIFF", Operation::Diff),
    ("DIFF1", Operation::Diff1),
    ("ANDOR", Operation::AndOr),
    ("ONE", Operation::One),
];

/// `BITOP operation destination key [key …]`
pub(super) fn bitop(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const ONE_SOURCE: CommandError =
        CommandError::fixed("ERR BITOP NOT must be called with a single source key.");
    let named = |(name, _): &&(&str, Operation)| args[1].eq_ignore_ascii_case(name.as_bytes());
    let &(name, operation) = OPERATIONS.iter().find(named).ok_or(CommandError::SYNTAX)?;
    let sources = args.from(3);
    match operation {
        Operation::Not if sources.len() != 1 => return Err(ONE_SOURCE),
        Operation::Diff | Operation::Diff1 | Operation::AndOr if sources.len() < 2 => {
            let text = format!("ERR BITOP {name} must be called with at least two source keys.");
            return Err(CommandError::new(text));
        }
        _ => {}
    }
    // First every source is looked up, which may delete it; then all are borrowed at once.
    let keys: Vec<Key<'_>> = sources.iter().map(|source| ctx.store.key(source)).collect();
    for key in &keys {
        if let Some(entry) = ctx.store.read(key) {
            string_bytes(entry.value(), &mut itoa::Buffer::new())?;
        }
    }
    let mut digits = vec![itoa::Buffer::new(); keys.len()];
    let mut strings: Vec<&[u8]> = Vec::with_capacity(keys.len());
    for (key, digits) in keys.iter().zip(&mut digits) {
        strings.push(match ctx.store.looked_up(key) {
            Some(entry) => string_bytes(entry.value(), digits)?,
            None => &[],
        });
    }
    let result = combine(operation, &strings);
    let destination = ctx.store.key(&args[2]);
    ctx.reply.integer(result.len() as i64);
    if !result.is_empty() {
        if operation.is_of_redis_7_0() {
            ctx.store.effect_verbatim(args);
        } else {
            // `SETRANGE` leaves the same encoding, which `SET` does not.
            if ctx.store.exists(&destination) {
                ctx.store.effect(&[b"DEL", destination.bytes]);
            }
            ctx.store.effect(&[b"SETRANGE", destination.bytes, b"0", &result]);
        }
        set_raw(&mut ctx.store, &destination, result);
    } else if ctx.store.delete(&destination) {
        ctx.store.effect(&[b"DEL", destination.bytes]);
    }
    Ok(())
}

/// Combines strings, of which there is at least one; as long as the longest of them.
fn combine(operation: Operation, strings: &[&[u8]]) -> Vec<u8> {
    let len = strings.iter().map(|string| string.len()).max().unwrap_or(0);
    let mut result = vec![0; len];
    for (index, out) in result.chunks_mut(BLOCK_BYTES).enumerate() {
        let (start, len) = (index * BLOCK_BYTES, out.len());
        let mut parts = strings.iter().map(|string| {
            let rest = &string[string.len().min(start)..];
            &rest[..rest.len().min(len)]
        });
        let first = parts.next().unwrap_or_default();
        combine_block(operation, out, first, parts);
    }
    result
}

/// Combines one block into `out`, which is zero; what the sources lack counts as zero.
fn combine_block<'s>(
    operation: Operation,
    out: &mut [u8],
    first: &[u8],
    others: impl Iterator<Item = &'s [u8]>,
) {
    match operation {
        Operation::Not => {
            out[..first.len()].copy_from_slice(first);
            out.iter_mut().for_each(|byte| *byte = !*byte);
        }
        Operation::And => {
            out[..first.len()].copy_from_slice(first);
            for other in others {
                each(out, other, |byte, other| *byte &= other);
                out[other.len()..].fill(0);
            }
        }
        Operation::Or => {
            out[..first.len()].copy_from_slice(first);
            others.for_each(|other| each(out, other, |byte, other| *byte |= other));
        }
        Operation::Xor => {
            out[..first.len()].copy_from_slice(first);
            others.for_each(|other| each(out, other, |byte, other| *byte ^= other));
        }
        Operation::Diff | Operation::Diff1 | Operation::AndOr => {
            others.for_each(|other| each(out, other, |byte, other| *byte |= other));
            // What the first one lacks is in no difference from it and in no conjunction with it.
            match operation {
                Operation::Diff => each(out, first, |byte, first| *byte = first & !*byte),
                Operation::Diff1 => each(out, first, |byte, first| *byte &= !first),
                _ => each(out, first, |byte, first| *byte &= first),
            }
            if operation != Operation::Diff1 {
                out[first.len()..].fill(0);
            }
        }
        Operation::One => {
            let mut twice = [0; BLOCK_BYTES];
            out[..first.len()].copy_from_slice(first);
            for other in others {
                for ((any, twice), &other) in out.iter_mut().zip(&mut twice).zip(other) {
                    *twice |= *any & other;
                    *any |= other;
                }
            }
            let twice = &twice[..out.len()];
            each(out, twice, |byte, twice| *byte &= !twice);
        }
    }
}

/// Changes each byte of `out` that `other` has a counterpart of.
#[inline(always)] // A loop of its own for every operation, which the compiler makes one of vectors.
fn each(out: &mut [u8], other: &[u8], change: impl Fn(&mut u8, u8)) {
    out.iter_mut().zip(other).for_each(|(byte, &other)| change(byte, other));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::{Bench, words};
    use proptest::prelude::*;

    /// One bit, from the bits of all strings at its place.
    fn of_bits(operation: Operation, bits: &[bool]) -> bool {
        let (x, y) = (bits[0], bits[1..].contains(&true));
        match operation {
            Operation::And => !bits.contains(&false),
            Operation::Or => x || y,
            Operation::Xor => bits.iter().filter(|&&bit| bit).count() % 2 == 1,
            Operation::Not => !x,
            Operation::Diff => x && !y,
            Operation::Diff1 => !x && y,
            Operation::AndOr => x && y,
            Operation::One => bits.iter().filter(|&&bit| bit).count() == 1,
        }
    }

    proptest! {
        #[test]
        fn blocks_are_what_bit_by_bit_gives(
            strings in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..40),
                    (any::<u8>(), 4090..4110usize).prop_map(|(byte, len)| {
                        (0..len).map(|at| byte.wrapping_mul(at as u8)).collect::<Vec<u8>>()
                    }),
                ],
                1..5,
            ),
        ) {
            let strings: Vec<&[u8]> = strings.iter().map(|string| &string[..]).collect();
            let len = strings.iter().map(|string| string.len()).max().unwrap_or(0);
            for (name, operation) in OPERATIONS {
                let strings = if operation == Operation::Not { &strings[..1] } else { &strings[..] };
                let len = if operation == Operation::Not { strings[0].len() } else { len };
                let result = combine(operation, strings);
                prop_assert_eq!(result.len(), len);
                for at in 0..len as u64 * 8 {
                    let bit = |string: &&[u8]| super::super::bit(string, at);
                    let bits: Vec<bool> = strings.iter().map(bit).collect();
                    let expected = of_bits(operation, &bits);
                    prop_assert_eq!(bit(&&result[..]), expected, "{} at {}", name, at);
                }
            }
        }
    }

    #[test]
    fn results_are_stored() {
        let mut bench = Bench::new();
        bench.line("SET a foobar");
        bench.line("SET b abcdef");
        bench.line("SET n 12 ");
        bench.effects("BITOP AND d a b", "BITOP AND d a b");
        bench.replies("GET d", "$6 `bc`ab");
        bench.replies("OBJECT ENCODING d", "$3 raw");
        bench.line("PEXPIREAT d 1800000000000");
        bench.replies("BITOP or d n none", ":2");
        bench.replies("GET d", "$2 12");
        bench.replies("OBJECT ENCODING d", "$3 raw");
        bench.replies("PTTL d", ":-1");
        bench.replies("BITOP XOR a a a", ":6");
        bench.replies("GET a", "$6 \0\0\0\0\0\0");
        bench.replies("BITOP DIFF d b n", ":6");
        bench.effects("BITOP NOT d none", "DEL d");
        bench.replies("EXISTS d", ":0");
        bench.effects("BITOP AND d none none", "");
        bench.replies("BITOP AND d none none", ":0");
        bench.run(words("SET a \"\\xf0\"").as_args());
        bench.run(words("SET b \"\\xcc\"").as_args());
        bench.run(words("SET c \"\\xaa\"").as_args());
        let cases = [("DIFF", 0x10), ("DIFF1", 0x0e), ("andor", 0xe0), ("One", 0x16)];
        for (name, expected) in cases {
            bench.replies(&format!("BITOP {name} d a b c"), ":1");
            assert_eq!(bench.line("GET d").reply[4], expected, "{name}");
        }
    }

    #[test]
    fn bad_arguments() {
        let mut bench = Bench::new();
        bench.replies("BITOP NAND d a", "-ERR syntax error");
        bench.replies("BITOP not d a b", "-ERR BITOP NOT must be called with a single source key.");
        for name in ["DIFF", "DIFF1", "ANDOR"] {
            bench.replies(
                &format!("BITOP {} d a", name.to_lowercase()),
                &format!("-ERR BITOP {name} must be called with at least two source keys."),
            );
        }
        bench.replies("BITOP AND d", "-ERR wrong number of arguments for 'bitop' command");
    }
}
