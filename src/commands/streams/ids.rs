//! Ids of entries in arguments and replies.

use crate::commands::CommandError;
use crate::commands::numbers::unsigned;
use crate::data::stream::StreamId;
use std::io::Write;

const INVALID: CommandError =
    CommandError::fixed("ERR Invalid stream ID specified as stream command argument");

/// No longer text is an id.
const TEXT_BYTES_MAX: usize = 127;

/// The text of an id: `ms-seq`.
pub(super) struct IdText {
    bytes: [u8; 41],
    len: usize,
}

impl IdText {
    pub(super) fn new(id: StreamId) -> Self {
        let mut bytes = [0; 41];
        let mut rest = &mut bytes[..];
        write!(rest, "{id}").expect("two numbers of at most 20 digits and a dash have room");
        let len = 41 - rest.len();
        Self { bytes, len }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// An id: `ms-seq`, or `ms` with `seq` as given.
pub(super) fn id(arg: &[u8], seq: u64) -> Result<StreamId, CommandError> {
    let valid = Some(arg).filter(|arg| arg.len() <= TEXT_BYTES_MAX);
    let parse = |arg: &[u8]| match arg.iter().position(|&byte| byte == b'-') {
        Some(dash) => Some(StreamId::new(unsigned(&arg[..dash])?, unsigned(&arg[dash + 1..])?)),
        None => Some(StreamId::new(unsigned(arg)?, seq)),
    };
    valid.and_then(parse).ok_or(INVALID)
}

/// An id, or `-` or `+` for the lowest and the highest one.
pub(super) fn id_or_end(arg: &[u8], seq: u64) -> Result<StreamId, CommandError> {
    match arg {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => id(arg, seq),
    }
}

/// The id of a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`
    Next,
    /// `ms-*`
    NextIn(u64),
    /// `ms-seq`
    Exactly(StreamId),
}

pub(super) fn new_id(arg: &[u8]) -> Result<NewId, CommandError> {
    match arg.strip_suffix(b"-*") {
        _ if arg == b"*" => Ok(NewId::Next),
        Some(ms) if !ms.contains(&b'-') && arg.len() <= TEXT_BYTES_MAX => {
            unsigned(ms).map(NewId::NextIn).ok_or(INVALID)
        }
        _ => id(arg, 0).map(NewId::Exactly),
    }
}

/// The lower end of a range, which `(` excludes.
pub(super) fn range_start(arg: &[u8]) -> Result<StreamId, CommandError> {
    match arg.strip_prefix(b"(") {
        Some(arg) if !arg.is_empty() => {
            id(arg, 0)?.next().ok_or(CommandError::fixed("ERR invalid start ID for the interval"))
        }
        _ => id_or_end(arg, 0),
    }
}

/// The upper end of a range, which `(` excludes.
pub(super) fn range_end(arg: &[u8]) -> Result<StreamId, CommandError> {
    match arg.strip_prefix(b"(") {
        Some(arg) if !arg.is_empty() => id(arg, u64::MAX)?
            .previous()
            .ok_or(CommandError::fixed("ERR invalid end ID for the interval")),
        _ => id_or_end(arg, u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_as_redis_reads_them() {
        let new = StreamId::new;
        assert_eq!(id(b"5-7", 3), Ok(new(5, 7)));
        assert_eq!(id(b"5", 3), Ok(new(5, 3)));
        for wrong in ["", "-", "+", "5-", "-5", "5-7-9", "a", "5-*", "1.5", &"1".repeat(128)] {
            assert_eq!(id(wrong.as_bytes(), 0), Err(INVALID), "{wrong}");
        }
        assert_eq!(id_or_end(b"+", 0), Ok(StreamId::MAX));
        assert_eq!(new_id(b"*"), Ok(NewId::Next));
        assert_eq!(new_id(b"12-*"), Ok(NewId::NextIn(12)));
        assert_eq!(new_id(b"12"), Ok(NewId::Exactly(new(12, 0))));
        assert_eq!(new_id(b"1-2-*"), Err(INVALID));
        assert_eq!(range_start(b"(5-7"), Ok(new(5, 8)));
        assert_eq!(range_start(b"(5"), Ok(new(5, 1)));
        assert_eq!(range_end(b"(5-0"), Ok(new(4, u64::MAX)));
        assert_eq!(range_end(b"5"), Ok(new(5, u64::MAX)));
        assert!(range_end(b"(0-0").is_err() && range_start(b"(").is_err());
        assert_eq!(IdText::new(StreamId::MAX).as_bytes(), StreamId::MAX.to_string().as_bytes());
    }
}
