//! The parts of a file, to be written in this order:
//!
//! 1. [`header`], any number of [`aux`] (or [`head`]), [`function`];
//! 2. for each database [`select_database`], [`resize_database`] and its keys: [`key_record`], or
//!    [`record_head`] and the value;
//! 3. [`footer`].
//!
//! They append to a buffer. The caller computes the checksum over all bytes before the footer.

use super::super::checksum::Checksum;
use super::super::{NotHeld, Target, Writer, encode_contents, kind_of};
use super::error::KeyNotHeld;
use super::{FUNCTION_VERSION, opcode};
use crate::data::Value;

/// When or how often a key was used, if that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Neither.
    None,
    /// Seconds since its last use.
    IdleS(u64),
    /// How often it was used, as LFU counts it.
    Frequency(u8),
}

/// The header.
pub fn header(target: Target, out: &mut Vec<u8>) {
    let text = match target {
        Target::Valkey80 => format!("VALKEY{:03}", target.version()),
        _ => format!("REDIS{:04}", target.version()),
    };
    out.extend_from_slice(text.as_bytes());
}

/// An auxiliary field: metadata of the file.
pub fn aux(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.push(opcode::AUX);
    let mut writer = Writer::new(out, false);
    writer.string(name.as_bytes());
    writer.string(value);
}

/// The start of a file: the header, and fields with the server's version and this Unix time in ms.
/// Set `is_base` if commands may follow the RDB.
pub fn head(target: Target, time_ms: i64, is_base: bool, out: &mut Vec<u8>) {
    header(target, out);
    aux("redis-ver", b"7.4.1", out);
    aux("redis-bits", usize::BITS.to_string().as_bytes(), out);
    aux("ctime", (time_ms / 1000).to_string().as_bytes(), out);
    aux("mainstay-ver", env!("CARGO_PKG_VERSION").as_bytes(), out);
    aux("aof-base", if is_base { b"1" } else { b"0" }, out);
}

/// A function library's source.
///
/// # Errors
/// If the target has no functions.
pub fn function(
    source: &[u8],
    target: Target,
    compress: bool,
    out: &mut Vec<u8>,
) -> Result<(), NotHeld> {
    if target.version() < FUNCTION_VERSION {
        return Err(NotHeld { target, what: "function libraries" });
    }
    out.push(opcode::FUNCTION);
    Writer::new(out, compress).string(source);
    Ok(())
}

/// The database of the keys that follow.
pub fn select_database(db: u32, out: &mut Vec<u8>) {
    out.push(opcode::SELECT_DB);
    Writer::new(out, false).number(db.into());
}

/// How many keys the database has, and how many of them expire.
pub fn resize_database(keys: u64, expiring: u64, out: &mut Vec<u8>) {
    out.push(opcode::RESIZE_DB);
    let mut writer = Writer::new(out, false);
    writer.number(keys);
    writer.number(expiring);
}

/// A key's record except its value, which is of the given kind.
pub fn record_head(
    kind: u8,
    key: &[u8],
    expiry_ms: Option<i64>,
    access: Access,
    compress: bool,
    out: &mut Vec<u8>,
) {
    let mut writer = Writer::new(out, compress);
    if let Some(ms) = expiry_ms {
        writer.byte(opcode::EXPIRY_MS);
        writer.milliseconds(ms);
    }
    match access {
        Access::None => {}
        Access::IdleS(s) => {
            writer.byte(opcode::IDLE);
            writer.number(s);
        }
        Access::Frequency(frequency) => {
            writer.byte(opcode::FREQUENCY);
            writer.byte(frequency);
        }
    }
    writer.byte(kind);
    writer.string(key);
}

/// A key's record.
///
/// # Errors
/// If the target cannot hold the value; nothing is appended then.
pub fn key_record(
    key: &[u8],
    value: Value<'_>,
    expiry_ms: Option<i64>,
    access: Access,
    target: Target,
    compress: bool,
    out: &mut Vec<u8>,
) -> Result<(), KeyNotHeld> {
    let kind = kind_of(value, target).map_err(|reason| KeyNotHeld { key: key.into(), reason })?;
    record_head(kind, key, expiry_ms, access, compress, out);
    encode_contents(value, kind, &mut Writer::new(out, compress));
    Ok(())
}

/// The end, with the checksum of all bytes before it, or none. `checksum` is the sum of the bytes
/// before the footer; this adds its first byte.
pub fn footer(checksum: Option<Checksum>, out: &mut Vec<u8>) {
    out.push(opcode::END);
    let sum = checksum.map_or(0, |mut checksum| {
        checksum.update(&[opcode::END]);
        checksum.value()
    });
    out.extend_from_slice(&sum.to_le_bytes());
}
