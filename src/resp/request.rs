//! Parsing a stream of bytes into requests.
//!
//! The parser keeps its position between calls, so that a request in many small pieces is parsed
//! once, and records positions instead of copying. It allocates in proportion to the bytes that
//! have arrived, never to a length that a client claims.

use super::args::ArgRange;
use thiserror::Error;

/// The longest inline request or length line, as in Redis.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Limits of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// The longest argument in bytes (`proto-max-bulk-len`).
    pub bulk_bytes_max: usize,
    /// The most arguments of one request.
    pub args_max: usize,
    /// Set until a client has authenticated: the limits are then 10 arguments of 16 KiB.
    pub unauthenticated: bool,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            bulk_bytes_max: 512 * 1024 * 1024,
            args_max: i32::MAX as usize,
            unauthenticated: false,
        }
    }
}

/// Why a stream is not RESP. The connection is then closed, because the start of the next request
/// is unknown.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)] // The messages are the documentation; they are Redis's own.
pub enum ProtocolError {
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    #[error("Protocol error: too big mbulk count string")]
    CountLineTooBig,
    #[error("Protocol error: invalid multibulk length")]
    InvalidCount,
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedCount,
    #[error("Protocol error: too big bulk count string")]
    BulkLineTooBig,
    #[error("Protocol error: expected '$', got '{0}'")]
    ExpectedBulk(char),
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
}

/// The result of [`RequestParser::parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The bytes end inside a request.
    Incomplete {
        /// A lower bound of the missing bytes, at least 1.
        needed: usize,
    },
    /// A request that takes this many bytes of the input. It may have no arguments (an empty line).
    Request {
        /// Bytes that belong to the request.
        consumed: usize,
    },
}

/// Parses one connection's requests. Positions are relative to the first byte of the request.
#[derive(Debug, Default)]
pub struct RequestParser {
    /// Arguments still to come of the array being read; 0 when between requests.
    args_left: usize,
    /// Length of the argument being read, once its header was seen.
    bulk_len: Option<usize>,
    /// First byte not parsed yet.
    position: usize,
    /// Bytes already searched for a line end, so that a slow line is searched once.
    searched: usize,
    /// Arguments of the request being read.
    pending: Vec<ArgRange>,
}

impl RequestParser {
    /// Continues with the request that starts at `buffer[0]`. When it is complete, appends its
    /// arguments to `args` (positions count from `buffer[0]`, plus `base`).
    ///
    /// `buffer` must begin with the same bytes as in the call before, until a request is complete.
    /// Inline requests are unquoted in place, which is why the buffer is borrowed mutably.
    ///
    /// # Errors
    /// When the bytes are not a request, or exceed `limits`.
    pub fn parse(
        &mut self,
        buffer: &mut [u8],
        base: usize,
        limits: &RequestLimits,
        args: &mut Vec<ArgRange>,
    ) -> Result<Parsed, ProtocolError> {
        if self.args_left == 0 {
            match buffer.first() {
                None => return Ok(Parsed::Incomplete { needed: 1 }),
                Some(b'*') => {}
                Some(_) => return self.parse_inline(buffer, base, args),
            }
            let Some(line_end) = self.line_end(buffer) else {
                if buffer.len() > INLINE_BYTES_MAX {
                    return Err(ProtocolError::CountLineTooBig);
                }
                return Ok(Parsed::Incomplete { needed: 1 });
            };
            let count = parse_i64(&buffer[1..line_end]).ok_or(ProtocolError::InvalidCount)?;
            if count > limits.args_max as i64 {
                return Err(ProtocolError::InvalidCount);
            }
            if count > 10 && limits.unauthenticated {
                return Err(ProtocolError::UnauthenticatedCount);
            }
            self.position = line_end + 2;
            self.searched = 0;
            if count <= 0 {
                let consumed = self.position;
                self.position = 0;
                return Ok(Parsed::Request { consumed });
            }
            self.args_left = count as usize;
            self.pending.clear();
        }
        while self.args_left > 0 {
            let len = match self.bulk_len {
                Some(len) => len,
                None => {
                    if let Some(&kind) = buffer.get(self.position)
                        && kind != b'$'
                    {
                        return Err(ProtocolError::ExpectedBulk(kind as char));
                    }
                    let Some(line_end) = self.line_end(buffer) else {
                        if buffer.len() - self.position.min(buffer.len()) > INLINE_BYTES_MAX {
                            return Err(ProtocolError::BulkLineTooBig);
                        }
                        return Ok(Parsed::Incomplete { needed: 1 });
                    };
                    let len = parse_i64(&buffer[self.position + 1..line_end])
                        .filter(|&len| len >= 0 && len as usize <= limits.bulk_bytes_max)
                        .ok_or(ProtocolError::InvalidBulkLength)?;
                    if len > 16 * 1024 && limits.unauthenticated {
                        return Err(ProtocolError::UnauthenticatedBulkLength);
                    }
                    self.position = line_end + 2;
                    self.searched = 0;
                    self.bulk_len = Some(len as usize);
                    len as usize
                }
            };
            let have = buffer.len() - self.position.min(buffer.len());
            if have < len + 2 {
                return Ok(Parsed::Incomplete { needed: len + 2 - have });
            }
            self.pending.push((self.position, self.position + len));
            self.position += len + 2;
            self.bulk_len = None;
            self.args_left -= 1;
        }
        // `base` is applied at the end, because the caller may have moved the request meanwhile.
        args.extend(self.pending.drain(..).map(|(start, end)| (start + base, end + base)));
        let consumed = std::mem::take(&mut self.position);
        // A huge request must not keep its list of arguments for the connection's lifetime.
        if self.pending.capacity() > 1024 {
            self.pending = Vec::new();
        }
        Ok(Parsed::Request { consumed })
    }

    /// Position of the `\r` that ends the line at `self.position`, once the byte after it has
    /// arrived.
    fn line_end(&mut self, buffer: &[u8]) -> Option<usize> {
        let from = self.position.max(self.searched).min(buffer.len());
        match buffer[from..].iter().position(|&b| b == b'\r') {
            Some(at) if from + at + 1 < buffer.len() => Some(from + at),
            Some(at) => {
                self.searched = from + at;
                None
            }
            None => {
                self.searched = buffer.len();
                None
            }
        }
    }

    fn parse_inline(
        &mut self,
        buffer: &mut [u8],
        base: usize,
        args: &mut Vec<ArgRange>,
    ) -> Result<Parsed, ProtocolError> {
        let from = self.searched.min(buffer.len());
        let Some(at) = buffer[from..].iter().position(|&b| b == b'\n') else {
            self.searched = buffer.len();
            if buffer.len() > INLINE_BYTES_MAX {
                return Err(ProtocolError::InlineTooBig);
            }
            return Ok(Parsed::Incomplete { needed: 1 });
        };
        let end = from + at;
        self.searched = 0;
        let line_len = if end > 0 && buffer[end - 1] == b'\r' { end - 1 } else { end };
        split_quoted(&mut buffer[..line_len], base, args)
            .map_err(|()| ProtocolError::UnbalancedQuotes)?;
        Ok(Parsed::Request { consumed: end + 1 })
    }
}

/// Splits a line into arguments as `redis-cli` does: blanks separate, `"…"` has the escapes `\n \r
/// \t \b \a \xHH`, `'…'` has `\'`. Unquotes in place: the result is never longer than its source.
fn split_quoted(line: &mut [u8], base: usize, args: &mut Vec<ArgRange>) -> Result<(), ()> {
    let mut read = 0;
    let mut write = 0;
    loop {
        while line.get(read).is_some_and(|b| b.is_ascii_whitespace() || *b == 0) {
            read += 1;
        }
        if read >= line.len() {
            return Ok(());
        }
        let start = write;
        while let Some(&byte) = line.get(read) {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' | 0 => break,
                b'"' | b'\'' => {
                    read = unquote(line, read, &mut write)?;
                    // A closing quote must be followed by a blank or nothing.
                    if line.get(read).is_some_and(|b| !b.is_ascii_whitespace()) {
                        return Err(());
                    }
                    break;
                }
                _ => {
                    line[write] = byte;
                    write += 1;
                    read += 1;
                }
            }
        }
        args.push((start + base, write + base));
    }
}

/// Unquotes from the quote at `read` and returns the position after the closing one.
fn unquote(line: &mut [u8], mut read: usize, write: &mut usize) -> Result<usize, ()> {
    let quote = line[read];
    read += 1;
    loop {
        let byte = *line.get(read).ok_or(())?;
        let (value, taken) = match byte {
            b if b == quote => return Ok(read + 1),
            b'\\' if quote == b'"' => match line.get(read + 1) {
                Some(b'x') => match (hex(line.get(read + 2)), hex(line.get(read + 3))) {
                    (Some(high), Some(low)) => (high * 16 + low, 4),
                    _ => (b'x', 2),
                },
                Some(b'n') => (b'\n', 2),
                Some(b'r') => (b'\r', 2),
                Some(b't') => (b'\t', 2),
                Some(b'b') => (8, 2),
                Some(b'a') => (7, 2),
                Some(&other) => (other, 2),
                None => return Err(()),
            },
            b'\\' if line.get(read + 1) == Some(&b'\'') => (b'\'', 2),
            other => (other, 1),
        };
        line[*write] = value;
        *write += 1;
        read += taken;
    }
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    digit.and_then(|&d| (d as char).to_digit(16)).map(|d| d as u8)
}

/// A decimal number of the protocol: optional minus, no leading zeros beyond a lone `0`, no blanks.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut value: i64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        let digit = i64::from(digit - b'0');
        value = value.checked_mul(10)?;
        value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_be_moved_between_two_calls() {
        let mut parser = RequestParser::default();
        let limits = RequestLimits::default();
        let (mut args, whole) = (Vec::new(), b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
        for end in 1..whole.len() {
            let mut buffer = whole[..end].to_vec();
            let first = parser.parse(&mut buffer, 1000, &limits, &mut args);
            assert!(matches!(first, Ok(Parsed::Incomplete { .. })), "{end}");
            let mut buffer = whole.to_vec();
            let second = parser.parse(&mut buffer, 10, &limits, &mut args);
            assert_eq!(second, Ok(Parsed::Request { consumed: whole.len() }));
            assert_eq!(std::mem::take(&mut args), [(18, 21), (27, 28)], "{end}");
        }
    }

    /// Feeds `input` in pieces of `step` bytes and collects every request.
    fn parse_all(input: &[u8], step: usize) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let mut parser = RequestParser::default();
        let limits = RequestLimits::default();
        let mut buffer = Vec::new();
        let mut requests = Vec::new();
        for piece in input.chunks(step) {
            buffer.extend_from_slice(piece);
            loop {
                let mut args = Vec::new();
                match parser.parse(&mut buffer, 0, &limits, &mut args)? {
                    Parsed::Incomplete { needed } => {
                        assert!(needed > 0 && args.is_empty());
                        break;
                    }
                    Parsed::Request { consumed } => {
                        requests.push(args.iter().map(|&(s, e)| buffer[s..e].to_vec()).collect());
                        buffer.drain(..consumed);
                    }
                }
            }
        }
        Ok(requests)
    }

    fn words(list: &[&str]) -> Vec<Vec<u8>> {
        list.iter().map(|w| w.as_bytes().to_vec()).collect()
    }

    #[test]
    fn any_cut_of_the_stream_gives_the_same_requests() {
        let input = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n\r\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\nset \"a b\" 'c\\'d' \"\\x41\\n\"\r\n";
        let expected = vec![
            words(&["GET", "k"]),
            words(&["PING"]),
            vec![],
            vec![],
            vec![],
            words(&[""]),
            words(&["set", "a b", "c'd", "A\n"]),
        ];
        for step in 1..=input.len() {
            assert_eq!(parse_all(input, step).unwrap(), expected, "in pieces of {step}");
        }
    }

    #[test]
    fn errors_have_the_texts_of_redis() {
        let cases: [(&[u8], &str); 8] = [
            (b"*x\r\n", "Protocol error: invalid multibulk length"),
            (b"*2147483648\r\n", "Protocol error: invalid multibulk length"),
            (b"*1\r\n:3\r\n", "Protocol error: expected '$', got ':'"),
            (b"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"),
            (b"*1\r\n$536870913\r\n", "Protocol error: invalid bulk length"),
            (b"*1\r\n$99999999999999999999999\r\n", "Protocol error: invalid bulk length"),
            (b"set \"a\r\n", "Protocol error: unbalanced quotes in request"),
            (b"set \"a\"b\r\n", "Protocol error: unbalanced quotes in request"),
        ];
        for (input, message) in cases {
            assert_eq!(parse_all(input, 1).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn endless_lines_are_refused() {
        let long = vec![b'a'; INLINE_BYTES_MAX + 10];
        assert_eq!(parse_all(&long, 1000).unwrap_err(), ProtocolError::InlineTooBig);
        let mut count = b"*".to_vec();
        count.extend(std::iter::repeat_n(b'1', INLINE_BYTES_MAX + 10));
        assert_eq!(parse_all(&count, 1000).unwrap_err(), ProtocolError::CountLineTooBig);
    }

    #[test]
    fn claimed_counts_allocate_nothing() {
        let mut parser = RequestParser::default();
        let mut buffer = b"*2147483647\r\n$536870912\r\n".to_vec();
        let mut args = Vec::new();
        let parsed = parser.parse(&mut buffer, 0, &RequestLimits::default(), &mut args).unwrap();
        assert!(matches!(parsed, Parsed::Incomplete { .. }));
        assert_eq!((args.capacity(), parser.pending.capacity()), (0, 0));
    }

    #[test]
    fn numbers() {
        let cases: [(&str, Option<i64>); 9] = [
            ("0", Some(0)),
            ("-0", None),
            ("01", None),
            ("+1", None),
            ("", None),
            ("-", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
        ];
        for (text, value) in cases {
            assert_eq!(parse_i64(text.as_bytes()), value, "{text}");
        }
    }
}
