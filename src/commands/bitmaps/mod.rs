//! Bitmaps: strings as arrays of bits. Bit 0 is the most significant bit of the first byte, and
//! whatever lies behind the end counts as zero.

mod bitfield;
mod bitop;
mod count;

use super::numbers::integer;
use super::spec::{Categories, Flags, KeyFlags, KeySpec, Spec};
use super::strings::{set_raw, string_bytes};
use super::{CommandError, CommandResult, Context, Key};
use crate::data::Buffer;
use crate::resp::Args;
use crate::resp::request::parse_i64;

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.with(Flags::FAST);
const GROW: Flags = Flags::WRITE.with(Flags::DENYOOM);

const READ_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO_ACCESS)];
const BITOP_KEYS: &[KeySpec] =
    &[KeySpec::at(2, KeyFlags::OW_UPDATE), KeySpec::range(3, -1, 1, KeyFlags::RO_ACCESS)];

/// This family's part of the table.
pub static COMMANDS: [Spec; 7] = [
    row("bitcount", -2, count::bitcount, READ, READ_KEY)
        .syntax("key [index(start:integer end:integer [index_unit<BYTE|BIT>@7.0.0])]")
        .doc("bitmap", "2.6.0", "O(N) in the bytes of the range", "How many bits are set."),
    row(
        "bitfield",
        -2,
        bitfield::bitfield,
        GROW,
        &[KeySpec::at(1, KeyFlags::RW_ACCESS_UPDATE.with(KeyFlags::VARIABLE_FLAGS))],
    )
    .syntax(
        "key [operation<GET encoding_offset(encoding offset:integer)|write(\
         [OVERFLOW wrap_sat_fail<WRAP|SAT|FAIL>] write_operation<\
         SET encoding_offset_value(encoding offset:integer value:integer)|\
         INCRBY encoding_offset_increment(encoding offset:integer increment:integer)>)>...]",
    )
    .key_function(bitfield::bitfield_keys)
    .doc(
        "bitmap",
        "3.2.0",
        "O(1) for each operation",
        "Reads and writes integers of any width at any bits of a string.",
    ),
    row("bitfield_ro", -2, bitfield::bitfield_ro, READ_FAST, READ_KEY)
        .syntax("key [GET... encoding_offset(encoding offset:integer)]")
        .doc(
            "bitmap",
            "6.0.0",
            "O(1) for each operation",
            "Reads integers of any width at any bits of a string.",
        ),
    row("bitop", -4, bitop::bitop, GROW, BITOP_KEYS).syntax("operation destkey:key key#1...").doc(
        "bitmap",
        "2.6.0",
        "O(N) in the bytes of all strings",
        "Combines strings bit by bit and stores what comes out.",
    ),
    row("bitpos", -3, count::bitpos, READ, READ_KEY)
        .syntax(
            "key bit:integer [index(start:integer [end_index(end:integer \
             [index_unit<BYTE|BIT>@7.0.0])])]",
        )
        .doc(
            "bitmap",
            "2.8.7",
            "O(N) in the bytes of the range",
            "Where the first bit is that is set, or not set.",
        ),
    row("getbit", 3, getbit, READ_FAST, READ_KEY)
        .syntax("key offset:integer")
        .doc("bitmap", "2.2.0", "O(1)", "One bit."),
    row("setbit", 4, setbit, GROW, &[KeySpec::at(1, KeyFlags::RW_ACCESS_UPDATE)])
        .syntax("key offset:integer value:integer")
        .doc(
            "bitmap",
            "2.2.0",
            "O(1), where the string does not have to grow",
            "Sets or clears one bit and gives back what it was.",
        ),
];

const fn row(
    name: &'static str,
    arity: i16,
    run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
    flags: Flags,
    keys: &'static [KeySpec],
) -> Spec {
    Spec::data(name, arity, run).flags(flags, Categories::BITMAP).keys(keys)
}

const BAD_OFFSET: CommandError =
    CommandError::fixed("ERR bit offset is not an integer or out of range");

/// A bit's number, of a byte that a string may have; `scale` multiplies it.
fn bit_offset(ctx: &Context<'_>, arg: &[u8], scale: i64) -> Result<u64, CommandError> {
    parse_i64(arg)
        .and_then(|number| number.checked_mul(scale))
        .and_then(|offset| u64::try_from(offset).ok())
        .filter(|offset| offset / 8 < ctx.settings.bulk_bytes_max as u64)
        .ok_or(BAD_OFFSET)
}

/// Whether bit `offset` is set.
fn bit(bytes: &[u8], offset: u64) -> bool {
    let byte = bytes.get((offset / 8) as usize).copied().unwrap_or(0);
    byte >> (7 - offset % 8) & 1 == 1
}

/// Gives `change` a string to change that has at least `len` bytes: zeros are added where
/// there are fewer, or no key at all. The caller states the effect.
fn edit<R>(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    exists: bool,
    len: usize,
    change: impl FnOnce(&mut Buffer) -> R,
) -> R {
    if exists {
        let string = ctx.store.string_mut(key);
        let old_len = string.len();
        if old_len < len {
            string.edit(old_len..old_len).resize(len, 0);
        }
        return change(string);
    }
    let mut string = Buffer::from(vec![0; len]);
    let result = change(&mut string);
    set_raw(&mut ctx.store, key, string.into_vec());
    result
}

/// `GETBIT key offset`
fn getbit(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let offset = bit_offset(ctx, &args[2], 1)?;
    let key = ctx.store.key(&args[1]);
    let is_set = match ctx.store.read(&key) {
        Some(entry) => bit(string_bytes(entry.value(), &mut itoa::Buffer::new())?, offset),
        None => false,
    };
    ctx.reply.integer(i64::from(is_set));
    Ok(())
}

/// `SETBIT key offset bit`
fn setbit(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const BAD_BIT: CommandError = CommandError::fixed("ERR bit is not an integer or out of range");
    let offset = bit_offset(ctx, &args[2], 1)?;
    let wanted = match integer(&args[3]) {
        Ok(0) => false,
        Ok(1) => true,
        _ => return Err(BAD_BIT),
    };
    let key = ctx.store.key(&args[1]);
    let byte = (offset / 8) as usize;
    let found = match ctx.store.lookup_for_write(&key) {
        Some(entry) => {
            let mut digits = itoa::Buffer::new();
            let bytes = string_bytes(entry.value(), &mut digits)?;
            Some((bytes.len(), bit(bytes, offset)))
        }
        None => None,
    };
    let (len, was_set) = found.unwrap_or_default();
    if len <= byte || was_set != wanted {
        edit(ctx, &key, found.is_some(), byte + 1, |string| {
            let mask = 0x80 >> (offset % 8);
            let byte = &mut string.edit(byte..byte + 1)[byte];
            *byte = if wanted { *byte | mask } else { *byte & !mask };
        });
        ctx.store.effect_verbatim(args);
    }
    ctx.reply.integer(i64::from(was_set));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn bits_are_set_and_read() {
        let mut bench = Bench::new();
        bench.replies("GETBIT k 7", ":0");
        bench.effects("SETBIT k 7 1", "SETBIT k 7 1");
        bench.effects("SETBIT k 7 1", "");
        bench.replies("SETBIT k 7 1", ":1");
        bench.replies("GETBIT k 7", ":1");
        bench.replies("GETBIT k 6", ":0");
        bench.replies("GETBIT k 100000", ":0");
        bench.replies("GET k", "$1 \u{1}");
        bench.effects("SETBIT k 16 0", "SETBIT k 16 0");
        bench.replies("STRLEN k", ":3");
        bench.replies("SETBIT k 7 0", ":1");
        bench.replies("GET k", "$3 \0\0\0");
        bench.effects("SETBIT new 0 0", "SETBIT new 0 0");
        bench.replies("OBJECT ENCODING new", "$3 raw");
    }

    #[test]
    fn numbers_are_strings_of_digits() {
        let mut bench = Bench::new();
        bench.line("SET n 1");
        bench.replies("GETBIT n 2", ":1");
        bench.replies("SETBIT n 6 1", ":0");
        bench.replies("GET n", "$1 3");
        bench.replies("OBJECT ENCODING n", "$3 raw");
    }

    #[test]
    fn expiry_stays() {
        let mut bench = Bench::new();
        bench.line("SET k abc PXAT 1800000000000");
        bench.line("SETBIT k 1000 1");
        bench.replies("PEXPIRETIME k", ":1800000000000");
    }

    #[test]
    fn bad_arguments() {
        let mut bench = Bench::new();
        let offset = "-ERR bit offset is not an integer or out of range";
        for bad in ["-1", "x", "#1", "4294967296", "9223372036854775808"] {
            bench.replies(&format!("SETBIT k {bad} 1"), offset);
            bench.replies(&format!("GETBIT k {bad}"), offset);
        }
        for bad in ["2", "-1", "x"] {
            bench.replies(
                &format!("SETBIT k 0 {bad}"),
                "-ERR bit is not an integer or out of range",
            );
        }
        bench.settings.bulk_bytes_max = 2;
        bench.replies("SETBIT k 15 1", ":0");
        bench.replies("SETBIT k 16 1", offset);
        bench.replies("GETBIT k", "-ERR wrong number of arguments for 'getbit' command");
    }
}
