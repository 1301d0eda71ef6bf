//! The payload of `DUMP` and `RESTORE`: a value after its kind, then a version and a checksum.

use super::checksum::checksum;
use super::{Dialect, Error, NotHeld, Reader, Target, decode_value, encode_value, kind};
use crate::data::{Limits, NewValue, Value};

/// Bytes of version and checksum.
pub const FOOTER_BYTES: usize = 10;

/// Why a payload was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The version is not supported, the checksum is wrong, or both are missing.
    #[error("version or checksum are wrong")]
    Footer,
    /// The value cannot be read.
    #[error("{0}")]
    Value(#[from] Error),
    /// Bytes follow the value.
    #[error("{0} bytes after the value")]
    Trailing(usize),
}

/// The lowest version that has this kind of value.
fn version_of(kind: u8) -> u16 {
    match kind {
        kind::SET_LISTPACK | kind::STREAM_LISTPACKS_3 => 11,
        kind::HASH_METADATA | kind::HASH_LISTPACK_EX => 12,
        _ => 10,
    }
}

/// Writes a value.
pub fn dump(value: Value<'_>, compress: bool, out: &mut Vec<u8>) {
    dump_for(value, Target::V12, compress, out).expect("it holds every value");
}

/// Writes a value as `target` can read it.
///
/// # Errors
/// If it cannot hold the value; nothing is written then.
pub fn dump_for(
    value: Value<'_>,
    target: Target,
    compress: bool,
    out: &mut Vec<u8>,
) -> Result<(), NotHeld> {
    let start = out.len();
    let kind = encode_value(value, target, compress, out)?;
    out.extend_from_slice(&version_of(kind).to_le_bytes());
    let sum = checksum(&out[start..]);
    out.extend_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// The RDB version that a payload has, whether the rest of it is right or not; `None` if it is too
/// short for one.
pub fn version(payload: &[u8]) -> Option<u16> {
    let at = payload.len().checked_sub(FOOTER_BYTES)?;
    Some(u16::from_le_bytes([payload[at], payload[at + 1]]))
}

/// Reads a value.
///
/// # Errors
/// If it is not exactly one value with its version and checksum.
pub fn restore<'a>(payload: &'a [u8], limits: &Limits) -> Result<NewValue<'a>, PayloadError> {
    let value_end = payload.len().checked_sub(FOOTER_BYTES).ok_or(PayloadError::Footer)?;
    let (covered, sum) = payload.split_at(value_end + 2);
    let version = u16::from_le_bytes([covered[value_end], covered[value_end + 1]]);
    let dialect = Dialect::of_version(version).ok_or(PayloadError::Footer)?;
    if checksum(covered).to_le_bytes() != *sum {
        return Err(PayloadError::Footer);
    }
    let mut reader = Reader::new(&payload[..value_end]);
    let kind = reader.byte()?;
    let value = decode_value(kind, &mut reader, dialect, limits)?;
    match reader.left() {
        0 => Ok(value),
        left => Err(PayloadError::Trailing(left)),
    }
}
