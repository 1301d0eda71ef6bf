//! `BITFIELD`: integers of any width at any bits of a string.

use super::{BAD_OFFSET, bit_offset, edit};
use crate::commands::numbers::integer;
use crate::commands::spec::KeyFlags;
use crate::commands::spec::Keys;
use crate::commands::strings::string_bytes;
use crate::commands::{CommandError, CommandResult, Context};
use crate::resp::Args;
use crate::resp::request::parse_i64;
use std::ops::Range;

/// The width of an integer in bits, up to 64 if it is signed and up to 63 if it is not.
#[derive(Clone, Copy)]
struct Type {
    signed: bool,
    bits: u32,
}

/// What happens to a number that its type cannot hold.
#[derive(Clone, Copy)]
enum Overflow {
    /// Its lowest bits remain.
    Wrap,
    /// The nearest number that the type can hold takes its place.
    Saturate,
    /// Nothing is written.
    Fail,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

/// One operation on one integer.
#[derive(Clone, Copy)]
struct Operation {
    kind: Type,
    offset: u64,
    action: Action,
    overflow: Overflow,
}

/// What an operation does: what it replies (null if the number did not fit) and which bits it writes.
struct Outcome {
    reply: Option<i64>,
    write: Option<u64>,
}

impl Type {
    fn parse(arg: &[u8]) -> Result<Self, CommandError> {
        const BAD_TYPE: CommandError = CommandError::fixed(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        );
        let (signed, width) = match arg {
            [b'i', width @ ..] => (true, width),
            [b'u', width @ ..] => (false, width),
            _ => return Err(BAD_TYPE),
        };
        let bits_max = if signed { 64 } else { 63 };
        match parse_i64(width) {
            Some(bits) if (1..=bits_max).contains(&bits) => Ok(Self { signed, bits: bits as u32 }),
            _ => Err(BAD_TYPE),
        }
    }

    /// The smallest and the largest number of this type.
    fn bounds(self) -> (i128, i128) {
        if self.signed {
            let half = 1_i128 << (self.bits - 1);
            (-half, half - 1)
        } else {
            (0, (1_i128 << self.bits) - 1)
        }
    }

    /// The number that the lowest bits of `bits` stand for.
    fn number(self, bits: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.signed {
            (bits << unused) as i64 >> unused
        } else {
            (bits << unused >> unused) as i64
        }
    }

    /// `number`, or one above all that this type can hold where Redis takes it for that: the distance to
    /// the largest one overflows there if it needs more than 64 bits. It shows when `SET` saturates.
    fn as_compared(self, number: i64) -> i128 {
        let (_, max) = self.bounds();
        let number = i128::from(number);
        let overflows = self.bits < 64 && max - number > i128::from(i64::MAX);
        // The lowest bits, which are what wrapping leaves, stay the same.
        if overflows { number + (1 << 64) } else { number }
    }

    /// `number` as one that this type can hold; `None` if it must fit and does not.
    fn fit(self, number: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = self.bounds();
        if (min..=max).contains(&number) {
            return Some(number as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.number(number as u64)),
            Overflow::Saturate => Some(number.clamp(min, max) as i64),
            Overflow::Fail => None,
        }
    }
}

/// Bits of a string, at most 64 of them, in the lowest bits of the result.
fn read_bits(bytes: &[u8], offset: u64, bits: u32) -> u64 {
    let start = usize::try_from(offset / 8).unwrap_or(usize::MAX).min(bytes.len());
    let mut window = [0; 16];
    let len = (bytes.len() - start).min(9);
    window[..len].copy_from_slice(&bytes[start..start + len]);
    let window = u128::from_be_bytes(window) << (offset % 8);
    (window >> (128 - bits)) as u64
}

/// Overwrites bits of a string with the lowest ones of `value`. The string is long enough.
fn write_bits(bytes: &mut [u8], offset: u64, bits: u32, value: u64) {
    let start = (offset / 8) as usize;
    let len = (offset % 8 + u64::from(bits)).div_ceil(8) as usize;
    let place = &mut bytes[start..start + len];
    let mut window = [0; 16];
    window[..len].copy_from_slice(place);
    let shift = 128 - (offset % 8) as u32 - bits;
    let mask = (u128::MAX >> (128 - bits)) << shift;
    let window = u128::from_be_bytes(window) & !mask | u128::from(value) << shift & mask;
    place.copy_from_slice(&window.to_be_bytes()[..len]);
}

impl Operation {
    /// What the operation does to a string.
    fn run(&self, bytes: &[u8]) -> Outcome {
        let bits = read_bits(bytes, self.offset, self.kind.bits);
        let old = self.kind.number(bits);
        let (new, replies_old) = match self.action {
            Action::Get => return Outcome { reply: Some(old), write: None },
            // To an unsigned integer, a negative number is one that is far too large.
            Action::Set(number) if !self.kind.signed => (i128::from(number as u64), true),
            Action::Set(number) => (self.kind.as_compared(number), true),
            Action::Add(number) => (i128::from(old) + i128::from(number), false),
        };
        let Some(new) = self.kind.fit(new, self.overflow) else {
            return Outcome { reply: None, write: None };
        };
        let reply = Some(if replies_old { old } else { new });
        Outcome { reply, write: (new != old).then_some(new as u64) }
    }

    /// The length that a string must have for the operation to write.
    fn len_needed(&self) -> usize {
        match self.action {
            Action::Get => 0,
            _ => self.bytes().end,
        }
    }

    /// The bytes in which the bits lie.
    fn bytes(&self) -> Range<usize> {
        let end = (self.offset + u64::from(self.kind.bits)).div_ceil(8);
        (self.offset / 8) as usize..end as usize
    }
}

/// The operations that the arguments name.
fn parse(ctx: &Context<'_>, args: Args<'_>) -> Result<Vec<Operation>, CommandError> {
    const BAD_OVERFLOW: CommandError = CommandError::fixed("ERR Invalid OVERFLOW type specified");
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut rest = args;
    while let Some(name) = rest.get(0) {
        let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
        let operands = rest.len() - 1;
        if is("OVERFLOW") && operands >= 1 {
            let is = |text: &str| rest[1].eq_ignore_ascii_case(text.as_bytes());
            overflow = if is("WRAP") {
                Overflow::Wrap
            } else if is("SAT") {
                Overflow::Saturate
            } else if is("FAIL") {
                Overflow::Fail
            } else {
                return Err(BAD_OVERFLOW);
            };
            rest = rest.from(2);
            continue;
        }
        let gets = is("GET") && operands >= 2;
        if !gets && !((is("SET") || is("INCRBY")) && operands >= 3) {
            return Err(CommandError::SYNTAX);
        }
        let kind = Type::parse(&rest[1])?;
        let offset = match &rest[2] {
            // Counted in integers of this width.
            [b'#', number @ ..] => bit_offset(ctx, number, i64::from(kind.bits))?,
            number => bit_offset(ctx, number, 1)?,
        };
        let action = if gets {
            Action::Get
        } else if is("SET") {
            Action::Set(integer(&rest[3])?)
        } else {
            Action::Add(integer(&rest[3])?)
        };
        operations.push(Operation { kind, offset, action, overflow });
        rest = rest.from(if gets { 3 } else { 4 });
    }
    Ok(operations)
}

/// `BITFIELD_RO key [GET type offset …]`
pub(super) fn bitfield_ro(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const READ_ONLY: CommandError =
        CommandError::fixed("ERR BITFIELD_RO only supports the GET subcommand");
    let operations = parse(ctx, args.from(2))?;
    if operations.iter().any(|operation| !matches!(operation.action, Action::Get)) {
        return Err(READ_ONLY);
    }
    read_all(ctx, &args[1], &operations)
}

/// `BITFIELD key [GET type offset | SET type offset value | INCRBY type offset increment |
/// OVERFLOW WRAP | SAT | FAIL …]`
pub(super) fn bitfield(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let operations = parse(ctx, args.from(2))?;
    if operations.iter().all(|operation| matches!(operation.action, Action::Get)) {
        return read_all(ctx, &args[1], &operations);
    }
    let len_needed = operations.iter().map(Operation::len_needed).max().unwrap_or(0);
    // A number of 64 bits may begin at the last bit that is allowed.
    if len_needed > isize::MAX as usize {
        return Err(BAD_OFFSET);
    }
    let key = ctx.store.key(&args[1]);
    let mut outcomes = Vec::with_capacity(operations.len());
    let (exists, grows) = match ctx.store.lookup_for_write(&key) {
        None => (false, true),
        Some(entry) => {
            let mut digits = itoa::Buffer::new();
            let bytes = string_bytes(entry.value(), &mut digits)?;
            let grows = bytes.len() < len_needed;
            if !grows {
                // As long as nothing changes, nothing is written.
                let runs = operations.iter().map(|operation| operation.run(bytes));
                outcomes.extend(runs.take_while(|outcome| outcome.write.is_none()));
            }
            (true, grows)
        }
    };
    if grows || outcomes.len() < operations.len() {
        let rest = &operations[outcomes.len()..];
        edit(ctx, &key, exists, len_needed, |string| {
            for operation in rest {
                let outcome = operation.run(string);
                if let Some(value) = outcome.write {
                    let bytes = string.edit(operation.bytes());
                    write_bits(bytes, operation.offset, operation.kind.bits, value);
                }
                outcomes.push(outcome);
            }
        });
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.array(outcomes.len());
    for outcome in outcomes {
        match outcome.reply {
            Some(number) => ctx.reply.integer(number),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

/// Replies with what operations read that write nothing.
fn read_all(ctx: &mut Context<'_>, key: &[u8], operations: &[Operation]) -> CommandResult {
    let key = ctx.store.key(key);
    let mut digits = itoa::Buffer::new();
    let bytes = match ctx.store.read(&key) {
        Some(entry) => string_bytes(entry.value(), &mut digits)?,
        None => &[],
    };
    ctx.reply.array(operations.len());
    for operation in operations {
        ctx.reply.integer(operation.kind.number(read_bits(
            bytes,
            operation.offset,
            operation.kind.bits,
        )));
    }
    Ok(())
}

/// The key of `BITFIELD`, which is only read if all operations are `GET`.
pub(super) fn bitfield_keys(args: Args<'_>) -> Option<Keys> {
    let mut rest = args.from(2);
    while let Some(name) = rest.get(0) {
        let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
        if is("GET") && rest.len() > 2 {
            rest = rest.from(3);
        } else if is("OVERFLOW") && rest.len() > 1 {
            rest = rest.from(2);
        } else {
            break;
        }
    }
    let mut keys = Keys::default();
    let reads = rest.len() == 0;
    keys.push(1, 1, 1, if reads { KeyFlags::RO_ACCESS } else { KeyFlags::RW_ACCESS_UPDATE });
    Some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_are_read_and_written_one_by_one(
            mut bytes in prop::collection::vec(any::<u8>(), 0..20),
            offset in 0..100u64,
            bits in 1..=64u32,
            value in any::<u64>(),
        ) {
            let bit = |bytes: &[u8], at| super::super::bit(bytes, at);
            let by_bits = |bytes: &[u8]| {
                (offset..offset + u64::from(bits))
                    .fold(0, |all, at| all << 1 | u64::from(bit(bytes, at)))
            };
            prop_assert_eq!(read_bits(&bytes, offset, bits), by_bits(&bytes));
            bytes.resize(32, 0x5a);
            let before = bytes.clone();
            write_bits(&mut bytes, offset, bits, value);
            prop_assert_eq!(by_bits(&bytes), value << (64 - bits) >> (64 - bits));
            for at in (0..256).filter(|at| !(offset..offset + u64::from(bits)).contains(at)) {
                prop_assert_eq!(bit(&bytes, at), bit(&before, at));
            }
        }
    }

    #[test]
    fn operations_see_one_another() {
        let mut bench = Bench::new();
        bench.replies(
            "BITFIELD k SET u8 0 255 GET u8 0 INCRBY u4 #1 1 GET i8 0",
            "*4 :0 :255 :0 :-16",
        );
        bench.replies("BITFIELD k INCRBY i5 100 1 GET u4 0", "*2 :1 :15");
        bench.replies("STRLEN k", ":14");
        bench.replies("BITFIELD_RO k GET i4 0 GET u63 1000", "*2 :-1 :0");
        bench.replies("BITFIELD k", "*0");
        bench.replies("BITFIELD none GET u8 0", "*1 :0");
        bench.replies("EXISTS none", ":0");
    }

    #[test]
    fn overflow() {
        let mut bench = Bench::new();
        let cases = [
            ("INCRBY u8 0 300", ":44"),
            ("OVERFLOW SAT INCRBY u8 0 300", ":255"),
            ("OVERFLOW FAIL INCRBY u8 0 300", "$-1"),
            ("OVERFLOW SAT INCRBY u8 0 -1", ":0"),
            ("INCRBY u8 0 -1", ":255"),
            ("INCRBY i8 0 128", ":-128"),
            ("OVERFLOW SAT INCRBY i8 0 128", ":127"),
            ("OVERFLOW SAT INCRBY i8 0 -129", ":-128"),
            ("OVERFLOW FAIL INCRBY i8 0 -129", "$-1"),
            ("OVERFLOW SAT INCRBY i64 0 9223372036854775807", ":9223372036854775807"),
            ("SET u8 0 -1 GET u8 0", ":0 :255"),
            ("OVERFLOW SAT SET u8 0 -1 GET u8 0", ":0 :255"),
            ("OVERFLOW SAT SET i8 0 -1000 GET i8 0", ":0 :-128"),
            ("OVERFLOW SAT SET i8 0 -9223372036854775680 GET i8 0", ":0 :-128"),
            ("OVERFLOW SAT SET i8 0 -9223372036854775681 GET i8 0", ":0 :127"),
            ("OVERFLOW FAIL SET u8 0 256 GET u8 0", "$-1 :0"),
            ("SET i64 0 -1 INCRBY i64 0 -9223372036854775808", ":0 :9223372036854775807"),
            ("SET u63 0 -1 INCRBY u63 0 1", ":0 :0"),
            ("SET u1 3 1 GET u4 0", ":0 :1"),
        ];
        for (operations, expected) in cases {
            bench.line("DEL k");
            let count = expected.split(' ').count();
            bench.replies(&format!("BITFIELD k {operations}"), &format!("*{count} {expected}"));
        }
        bench.protocol = crate::resp::Protocol::Resp3;
        bench.replies("BITFIELD k OVERFLOW FAIL SET u1 0 2", "*1 _");
    }

    #[test]
    fn effects() {
        let mut bench = Bench::new();
        bench.effects("BITFIELD k SET u8 0 5", "BITFIELD k SET u8 0 5");
        bench.effects("BITFIELD k SET u8 0 5", "");
        bench.effects("BITFIELD k OVERFLOW FAIL INCRBY u8 0 255", "");
        bench.effects("BITFIELD k GET u8 0", "");
        bench.effects("BITFIELD k SET u8 8 0", "BITFIELD k SET u8 8 0");
        bench.effects("BITFIELD_RO k GET u8 0", "");
        bench.line("SET n 1");
        bench.effects("BITFIELD n SET u8 0 49", "");
        bench.replies("OBJECT ENCODING n", "$3 int");
    }

    #[test]
    fn bad_arguments() {
        let mut bench = Bench::new();
        let bad_type = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
        for bad in ["u64", "i65", "u0", "8", "x8", "''", "i", "I8", "u-1"] {
            bench.replies(&format!("BITFIELD k GET {bad} 0"), bad_type);
        }
        let bad_offset = "-ERR bit offset is not an integer or out of range";
        for bad in ["-1", "#-1", "x", "#", "4294967296", "#536870912", "#9223372036854775807"] {
            bench.replies(&format!("BITFIELD k GET u8 {bad}"), bad_offset);
            bench.replies(&format!("BITFIELD_RO k GET u8 {bad}"), bad_offset);
        }
        bench.replies("BITFIELD k SET u8 0", "-ERR syntax error");
        bench.replies("BITFIELD k GET u8", "-ERR syntax error");
        bench.replies("BITFIELD k OVERFLOW", "-ERR syntax error");
        bench.replies("BITFIELD k OVERFLOW NO", "-ERR Invalid OVERFLOW type specified");
        bench.replies("BITFIELD k SET u8 0 x", "-ERR value is not an integer or out of range");
        bench.replies(
            "BITFIELD_RO k SET u8 0 1",
            "-ERR BITFIELD_RO only supports the GET subcommand",
        );
        bench.replies("EXISTS k", ":0");
    }

    #[test]
    fn keys_are_read_or_written() {
        let mut bench = Bench::new();
        bench.replies("COMMAND GETKEYSANDFLAGS BITFIELD k GET u8 0", "*1 *2 $1 k *2 +RO +access");
        bench.replies(
            "COMMAND GETKEYSANDFLAGS BITFIELD k GET u8 0 SET u8 0 1",
            "*1 *2 $1 k *3 +RW +access +update",
        );
    }
}
