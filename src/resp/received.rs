//! Replies of other servers, parsed from bytes as they arrive.

use thiserror::Error;

/// The longest line in bytes: a status, an error, a length.
const LINE_BYTES_MAX: usize = 64 << 10;

/// A reply of RESP2 that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names are those of the protocol.
pub enum Received {
    Status(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    /// A null bulk string or a null array.
    Null,
    Array(Vec<Received>),
}

/// Why bytes are not a reply.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ReceiveError {
    /// A line is longer than 64 KiB or has no proper end.
    #[error("a reply without an end")]
    Line,
    /// A number is malformed.
    #[error("a reply with an invalid number")]
    Number,
    /// A string is not followed by a line end.
    #[error("a string without an end")]
    Bulk,
    /// A string is longer, or arrays are nested deeper, than the limits allow.
    #[error("a reply that is too big")]
    TooBig,
    /// The first byte is not that of a known type.
    #[error("a reply of an unknown type")]
    Type,
}

/// Parses the replies of one connection. It keeps its position between calls and allocates in
/// proportion to the bytes received, not to lengths that the other server claims.
#[derive(Debug)]
pub struct ReplyParser {
    depth_max: usize,
    bulk_bytes_max: u64,
    line: Vec<u8>,
    /// The string being received, and its length.
    bulk: Option<(Vec<u8>, u64)>,
    /// Arrays being received, outermost first, with the number of elements still missing.
    arrays: Vec<(Vec<Received>, u64)>,
}

impl ReplyParser {
    /// Accepts arrays nested up to `depth_max` deep, and strings up to `bulk_bytes_max` bytes.
    pub fn new(depth_max: usize, bulk_bytes_max: u64) -> Self {
        Self { depth_max, bulk_bytes_max, line: Vec::new(), bulk: None, arrays: Vec::new() }
    }

    /// Parses `bytes`, which follow those of the calls before. Returns how many of them were used,
    /// and the reply if it is complete; the rest belongs to the next reply.
    ///
    /// # Errors
    /// If the bytes are not a reply within the limits. The parser must not be used afterwards.
    pub fn parse(&mut self, bytes: &[u8]) -> Result<(usize, Option<Received>), ReceiveError> {
        let mut used = 0;
        while used < bytes.len() {
            let rest = &bytes[used..];
            let (taken, element) = match self.bulk.take() {
                Some((content, len)) => self.parse_bulk(rest, content, len)?,
                None => self.parse_line(rest)?,
            };
            used += taken;
            if let Some(reply) = element.and_then(|element| self.add(element)) {
                return Ok((used, Some(reply)));
            }
        }
        Ok((used, None))
    }

    fn parse_line(&mut self, bytes: &[u8]) -> Result<(usize, Option<Received>), ReceiveError> {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        if self.line.len() + taken > LINE_BYTES_MAX {
            return Err(ReceiveError::Line);
        }
        self.line.extend_from_slice(&bytes[..taken]);
        if end.is_none() {
            return Ok((taken, None));
        }
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r\n").ok_or(ReceiveError::Line)?;
        let (kind, text) = line.split_first().ok_or(ReceiveError::Type)?;
        let text = String::from_utf8_lossy(text).into_owned();
        let number = || text.parse::<i64>().map_err(|_| ReceiveError::Number);
        let element = match kind {
            b'+' => Received::Status(text),
            b'-' => Received::Error(text),
            b':' => Received::Integer(number()?),
            b'$' | b'*' if number()? < 0 => Received::Null,
            b'$' => {
                let len = number()? as u64;
                if len > self.bulk_bytes_max {
                    return Err(ReceiveError::TooBig);
                }
                self.bulk = Some((Vec::new(), len));
                return Ok((taken, None));
            }
            b'*' if self.arrays.len() >= self.depth_max => return Err(ReceiveError::TooBig),
            b'*' => match number()? as u64 {
                0 => Received::Array(Vec::new()),
                len => {
                    self.arrays.push((Vec::new(), len));
                    return Ok((taken, None));
                }
            },
            _ => return Err(ReceiveError::Type),
        };
        Ok((taken, Some(element)))
    }

    fn parse_bulk(
        &mut self,
        bytes: &[u8],
        mut content: Vec<u8>,
        len: u64,
    ) -> Result<(usize, Option<Received>), ReceiveError> {
        let missing = (len + 2 - content.len() as u64).min(bytes.len() as u64) as usize;
        content.extend_from_slice(&bytes[..missing]);
        if (content.len() as u64) < len + 2 {
            self.bulk = Some((content, len));
            return Ok((missing, None));
        }
        if !content.ends_with(b"\r\n") {
            return Err(ReceiveError::Bulk);
        }
        content.truncate(len as usize);
        Ok((missing, Some(Received::Bulk(content))))
    }

    /// Adds an element to the innermost array. Returns the reply if that completes it.
    fn add(&mut self, mut element: Received) -> Option<Received> {
        while let Some((mut elements, missing)) = self.arrays.pop() {
            elements.push(element);
            if missing > 1 {
                self.arrays.push((elements, missing - 1));
                return None;
            }
            element = Received::Array(elements);
        }
        Some(element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first reply in `text`, which arrives in pieces of `size` bytes.
    fn parse(text: &str, size: usize) -> Result<Option<Received>, ReceiveError> {
        let mut parser = ReplyParser::new(4, 1 << 50);
        for piece in text.as_bytes().chunks(size) {
            if let (used, Some(reply)) = parser.parse(piece)? {
                assert!(used > 0 && used <= piece.len());
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    #[test]
    fn replies_are_parsed_in_pieces_of_any_size() {
        let bulk = |text: &str| Received::Bulk(text.into());
        let nested = Received::Array(vec![Received::Integer(-2), Received::Array(vec![bulk("")])]);
        for (text, reply) in [
            ("+OK\r\n", Received::Status("OK".into())),
            ("-ERR x\r\n", Received::Error("ERR x".into())),
            ("$4\r\na\r\nb\r\n", bulk("a\r\nb")),
            ("$-1\r\n", Received::Null),
            ("*0\r\n", Received::Array(Vec::new())),
            ("*2\r\n:-2\r\n*1\r\n$0\r\n\r\n", nested),
        ] {
            for size in 1..=text.len() {
                assert_eq!(parse(text, size), Ok(Some(reply.clone())), "{text:?} by {size}");
            }
        }
    }

    #[test]
    fn bytes_after_a_reply_are_left() {
        let mut parser = ReplyParser::new(0, 0);
        assert_eq!(parser.parse(b":1\r\n:2\r\n"), Ok((4, Some(Received::Integer(1)))));
    }

    #[test]
    fn incomplete_and_invalid_replies_are_not_complete() {
        for text in ["", "+OK", "$9999999999999\r\na", "*1\r\n"] {
            assert_eq!(parse(text, 100), Ok(None), "{text:?}");
        }
        for text in ["?\r\n", "\r\n", "+OK\n", "*x\r\n", "$\r\n", "$2\r\na\r\n\r\n"] {
            assert!(parse(text, 100).is_err(), "{text:?}");
        }
        assert_eq!(parse(&"*1\r\n".repeat(1000), 100), Err(ReceiveError::TooBig));
        assert_eq!(parse(&"x".repeat(100_000), 100), Err(ReceiveError::Line));
        assert_eq!(ReplyParser::new(0, 9).parse(b"$10\r\n"), Err(ReceiveError::TooBig));
    }
}
