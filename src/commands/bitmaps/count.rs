//! `BITCOUNT` and `BITPOS`: counting and finding bits in a range.

use crate::commands::numbers::integer;
use crate::commands::strings::string_bytes;
use crate::commands::{CommandError, CommandResult, Context};
use crate::resp::Args;
use std::ops::Range;

/// What the bounds of a range count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn parse(arg: &[u8]) -> Result<Self, CommandError> {
        if arg.eq_ignore_ascii_case(b"BIT") {
            Ok(Self::Bit)
        } else if arg.eq_ignore_ascii_case(b"BYTE") {
            Ok(Self::Byte)
        } else {
            Err(CommandError::SYNTAX)
        }
    }

    /// The bits from `start` to `end` (inclusive; negative ones count from the end) in a string of
    /// `len` bytes. Strings are at most 2^61 bytes long, as no memory has more.
    fn range(self, start: i64, end: i64, len: usize) -> Range<u64> {
        let bits_each = if self == Unit::Bit { 1 } else { 8 };
        let total = len as i64 * 8 / bits_each;
        let from_start =
            |index: i64| if index < 0 { index.saturating_add(total).max(0) } else { index };
        let (start, end) = (from_start(start), from_start(end).min(total - 1));
        if start > end {
            return 0..0;
        }
        (start * bits_each) as u64..((end + 1) * bits_each) as u64
    }
}

/// `BITCOUNT key [start end [BYTE | BIT]]`
pub(super) fn bitcount(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let bounds = match args.len() {
        2 => None,
        4 | 5 => {
            let (start, end) = (integer(&args[2])?, integer(&args[3])?);
            Some((start, end, args.get(4).map_or(Ok(Unit::Byte), Unit::parse)?))
        }
        _ => return Err(CommandError::SYNTAX),
    };
    let key = ctx.store.key(&args[1]);
    let count = match ctx.store.read(&key) {
        None => 0,
        Some(entry) => {
            let mut digits = itoa::Buffer::new();
            let bytes = string_bytes(entry.value(), &mut digits)?;
            match bounds {
                None => count_ones(bytes),
                // Redis compares negative bounds before it cuts them to the string.
                Some((start, end, _)) if start < 0 && end < 0 && start > end => 0,
                Some((start, end, unit)) => {
                    count_ones_in(bytes, unit.range(start, end, bytes.len()))
                }
            }
        }
    };
    ctx.reply.integer(count as i64);
    Ok(())
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]`
pub(super) fn bitpos(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const BAD_BIT: CommandError = CommandError::fixed("ERR The bit argument must be 1 or 0.");
    let wanted = match integer(&args[2])? {
        0 => false,
        1 => true,
        _ => return Err(BAD_BIT),
    };
    if args.len() > 6 {
        return Err(CommandError::SYNTAX);
    }
    let start = args.get(3).map_or(Ok(0), integer)?;
    let unit = args.get(5).map_or(Ok(Unit::Byte), Unit::parse)?;
    let end = args.get(4).map(integer).transpose()?;
    let key = ctx.store.key(&args[1]);
    let position = match ctx.store.read(&key) {
        None if wanted => None,
        None => Some(0),
        Some(entry) => {
            let mut digits = itoa::Buffer::new();
            let bytes = string_bytes(entry.value(), &mut digits)?;
            let range = unit.range(start, end.unwrap_or(-1), bytes.len());
            let behind = range.end;
            // Without an end, the zeros behind the string count.
            let endless = !wanted && end.is_none() && !range.is_empty();
            find(bytes, range, wanted).or(endless.then_some(behind))
        }
    };
    ctx.reply.integer(position.map_or(-1, |position| position as i64));
    Ok(())
}

/// How many bits are set.
fn count_ones(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has the instruction.
        return unsafe { count_ones_popcnt(bytes) };
    }
    count_ones_by_words(bytes)
}

/// The same with the processor's own instruction, which not every x86-64 has.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn count_ones_popcnt(bytes: &[u8]) -> u64 {
    count_ones_by_words(bytes)
}

#[inline(always)] // So that it is compiled for its callers' processors.
fn count_ones_by_words(bytes: &[u8]) -> u64 {
    // Four counts that do not wait for one another.
    let mut counts = [0; 4];
    let (blocks, rest) = bytes.as_chunks::<32>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (count, word) in counts.iter_mut().zip(words) {
            *count += u64::from(u64::from_ne_bytes(*word).count_ones());
        }
    }
    counts.iter().sum::<u64>() + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// The byte `index` with the bits outside of `range` replaced by `filler`.
fn masked(bytes: &[u8], index: u64, range: &Range<u64>, filler: bool) -> u8 {
    let first = index * 8;
    let mut inside = 0xff;
    if range.start > first {
        inside &= 0xff >> (range.start - first);
    }
    if range.end < first + 8 {
        inside &= !(0xff >> (range.end - first));
    }
    let byte = bytes[index as usize];
    if filler { byte | !inside } else { byte & inside }
}

/// How many bits of a range inside the string are set.
fn count_ones_in(bytes: &[u8], range: Range<u64>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let (first, last) = (range.start / 8, (range.end - 1) / 8);
    let edge = |index| u64::from(masked(bytes, index, &range, false).count_ones());
    if first == last {
        return edge(first);
    }
    edge(first) + count_ones(&bytes[first as usize + 1..last as usize]) + edge(last)
}

/// The first bit of a range inside the string that is `wanted`.
fn find(bytes: &[u8], range: Range<u64>, wanted: bool) -> Option<u64> {
    if range.is_empty() {
        return None;
    }
    let (first, last) = (range.start / 8, (range.end - 1) / 8);
    // Bytes in which nothing is to be found.
    let dull: u8 = if wanted { 0 } else { 0xff };
    let in_edge = |index: u64| {
        let found = masked(bytes, index, &range, !wanted) ^ dull;
        (found != 0).then(|| index * 8 + u64::from(found.leading_zeros()))
    };
    if let Some(found) = in_edge(first) {
        return Some(found);
    }
    if first == last {
        return None;
    }
    let middle = &bytes[first as usize + 1..last as usize];
    let (words, _) = middle.as_chunks::<8>();
    let skipped = words.iter().take_while(|word| **word == [dull; 8]).count() * 8;
    let in_middle = middle[skipped..].iter().position(|&byte| byte != dull).map(|at| {
        let index = first + 1 + (skipped + at) as u64;
        index * 8 + u64::from((bytes[index as usize] ^ dull).leading_zeros())
    });
    in_middle.or_else(|| in_edge(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counting_and_finding_are_what_bit_by_bit_gives(
            mut bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(255), any::<u8>()], 0..90),
            stretch in any::<Option<bool>>(),
            start in 0..800u64,
            len in 0..800u64,
        ) {
            if let Some(ones) = stretch {
                let len = bytes.len();
                bytes[len / 4..].fill(if ones { 255 } else { 0 });
            }
            let total = bytes.len() as u64 * 8;
            let range = start.min(total)..(start + len).min(total);
            let range = if range.is_empty() { 0..0 } else { range };
            let is_set = |at: &u64| super::super::bit(&bytes, *at);
            prop_assert_eq!(
                count_ones_in(&bytes, range.clone()),
                range.clone().filter(is_set).count() as u64
            );
            prop_assert_eq!(count_ones(&bytes), (0..total).filter(is_set).count() as u64);
            prop_assert_eq!(find(&bytes, range.clone(), true), range.clone().find(is_set));
            prop_assert_eq!(
                find(&bytes, range.clone(), false),
                range.clone().find(|at| !is_set(at))
            );
        }
    }

    #[test]
    fn bitcount() {
        let mut bench = Bench::new();
        bench.line("SET k foobar");
        bench.line("SET n 7");
        let cases = [
            ("k", 26),
            ("n", 5),
            ("none", 0),
            ("none 0 -1", 0),
            ("k 0 0", 4),
            ("k 1 1 BYTE", 6),
            ("k 5 30 bit", 17),
            ("k 1 1 BIT", 1),
            ("k -6 -7", 0),
            ("k -7 -6", 4),
            ("k -100 -99", 4),
            ("k -99 -100", 0),
            ("k 6 10", 0),
            ("k 2 1", 0),
            ("k -9223372036854775808 9223372036854775807 BIT", 26),
        ];
        for (arguments, count) in cases {
            bench.replies(&format!("BITCOUNT {arguments}"), &format!(":{count}"));
        }
        bench.replies("BITCOUNT k 0", "-ERR syntax error");
        bench.replies("BITCOUNT k 0 1 BITS", "-ERR syntax error");
        bench.replies("BITCOUNT k 0 1 BIT x", "-ERR syntax error");
        bench.replies("BITCOUNT k x 1 BITS", "-ERR value is not an integer or out of range");
    }

    #[test]
    fn bitpos() {
        let mut bench = Bench::new();
        bench.run(crate::commands::testing::words("SET k \"\\xff\\xf0\\x00\"").as_args());
        bench.run(crate::commands::testing::words("SET ones \"\\xff\\xff\\xff\"").as_args());
        bench.line("SET empty ''");
        let cases = [
            ("k 0", 12),
            ("k 1", 0),
            ("k 1 2", -1),
            ("k 0 0 0", -1),
            ("k 1 1 -1", 8),
            ("k 0 2 -1", 16),
            ("k 0 7 15 BIT", 12),
            ("k 1 12 -1 BIT", -1),
            ("k 0 5 3", -1),
            ("k 0 3", -1),
            ("ones 0", 24),
            ("ones 0 1", 24),
            ("ones 0 0 -1", -1),
            ("ones 0 0 100 BIT", -1),
            ("ones 1 9 9 BIT", 9),
            ("empty 0", -1),
            ("empty 1", -1),
            ("none 0", 0),
            ("none 1", -1),
            ("none 0 5 9", 0),
        ];
        for (arguments, position) in cases {
            bench.replies(&format!("BITPOS {arguments}"), &format!(":{position}"));
        }
        bench.replies("BITPOS k 2", "-ERR The bit argument must be 1 or 0.");
        bench.replies("BITPOS k x", "-ERR value is not an integer or out of range");
        bench.replies("BITPOS k 0 0 1 BITS", "-ERR syntax error");
        bench.replies("BITPOS k 0 0 1 BIT 1", "-ERR syntax error");
        bench.replies("BITPOS k 0 0 x BITS", "-ERR syntax error");
    }
}
