//! Replies, written straight into a connection's output.

use super::{DoubleText, Output, write_header};
use bytes::Bytes;

/// The longest header: a type, 20 digits and the line's end.
const HEADER_BYTES_MAX: usize = 24;

/// The protocol version of a connection; `HELLO` switches it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2, the initial one.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// The start of an array whose length is not known yet; see [`Reply::deferred`].
#[must_use = "a deferred aggregate has no header until it is finished"]
pub struct Deferred(usize);

/// Writes one reply. Types that RESP2 lacks are written as Redis writes them there.
pub struct Reply<'a> {
    out: &'a mut Output,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Output, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The protocol in force.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Switches the protocol of everything written from here on.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// The position behind the last byte, as a mark for [`Reply::truncate`].
    pub fn position(&self) -> usize {
        self.out.end()
    }

    /// Removes everything written after `position`.
    pub fn truncate(&mut self, position: usize) {
        self.out.truncate(position);
    }

    /// `+text`. The text must not contain line ends.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.out.push(b'+');
        self.out.write(text.as_bytes());
        self.out.write(b"\r\n");
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.out.write(b"+OK\r\n");
    }

    /// `-text`; the text begins with its code (`ERR …`). Line ends inside become spaces, so that an
    /// argument quoted in a message cannot break the stream.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        // The text may quote a client's bytes: line ends at its end are cut, others become spaces.
        let mut text = text.as_ref();
        while let [rest @ .., b'\r' | b'\n'] = text {
            text = rest;
        }
        self.out.push(b'-');
        let line = text.iter().map(|&b| if b == b'\r' || b == b'\n' { b' ' } else { b });
        self.out.room(text.len()).extend(line);
        self.out.write(b"\r\n");
    }

    /// `:number`.
    pub fn integer(&mut self, number: i64) {
        self.header(b':', number);
    }

    /// A bulk string.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.header(b'$', bytes.len() as i64);
        // One look at the room for both.
        let out = self.out.room(bytes.len() + 2);
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }

    /// A bulk string that is sent from where it is.
    pub fn shared_bulk(&mut self, bytes: Bytes) {
        self.header(b'$', bytes.len() as i64);
        self.out.share(bytes);
        self.out.write(b"\r\n");
    }

    /// A type byte, a decimal number and the line's end.
    fn header(&mut self, kind: u8, number: i64) {
        write_header(self.out.room(HEADER_BYTES_MAX), kind, number);
    }

    /// An integer as a bulk string.
    pub fn bulk_integer(&mut self, number: i64) {
        self.bulk(itoa::Buffer::new().format(number).as_bytes());
    }

    /// A double (a bulk string in RESP2).
    pub fn double(&mut self, number: f64) {
        self.double_text(DoubleText::new(number).as_bytes());
    }

    /// A double that the caller has formatted.
    pub fn double_text(&mut self, text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.out.push(b',');
                self.out.write(text);
                self.out.write(b"\r\n");
            }
        }
    }

    /// A missing bulk string: `$-1`, or `_` in RESP3.
    pub fn null(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.out.write(b"$-1\r\n"),
            Protocol::Resp3 => self.out.write(b"_\r\n"),
        }
    }

    /// A missing array: `*-1`, or `_` in RESP3.
    pub fn null_array(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.out.write(b"*-1\r\n"),
            Protocol::Resp3 => self.out.write(b"_\r\n"),
        }
    }

    /// The header of an array of `len` elements, which the caller writes next.
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// The header of a map of `len` pairs (a flat array of twice that in RESP2).
    pub fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(len * 2),
            Protocol::Resp3 => self.header(b'%', len as i64),
        }
    }

    /// The header of a set of `len` elements (an array in RESP2).
    pub fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(len),
            Protocol::Resp3 => self.header(b'~', len as i64),
        }
    }

    /// The header of an out-of-band push of `len` elements (an array in RESP2).
    pub fn push(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(len),
            Protocol::Resp3 => self.header(b'>', len as i64),
        }
    }

    /// A boolean (`:0`, `:1` in RESP2).
    pub fn boolean(&mut self, value: bool) {
        match self.protocol {
            Protocol::Resp2 => self.integer(i64::from(value)),
            Protocol::Resp3 => {
                self.out.write(if value { b"#t\r\n" } else { b"#f\r\n" });
            }
        }
    }

    /// A verbatim string of three-letter `format` (a bulk string in RESP2).
    pub fn verbatim(&mut self, format: &str, bytes: &[u8]) {
        debug_assert_eq!(format.len(), 3);
        match self.protocol {
            Protocol::Resp2 => self.bulk(bytes),
            Protocol::Resp3 => {
                self.header(b'=', bytes.len() as i64 + 4);
                self.out.write(format.as_bytes());
                self.out.push(b':');
                self.out.write(bytes);
                self.out.write(b"\r\n");
            }
        }
    }

    /// Complete replies that were written elsewhere.
    pub fn append(&mut self, replies: Output) {
        self.out.append(replies);
    }

    /// Begins an aggregate whose length is known after its elements are written.
    pub fn deferred(&mut self) -> Deferred {
        Deferred(self.out.end())
    }

    /// Puts the header of an array of `len` elements before everything written since `deferred`.
    /// Costs a move of those of
    /// its piece.
    pub fn finish_array(&mut self, deferred: Deferred, len: usize) {
        self.finish(deferred, b'*', len);
    }

    /// As [`Reply::finish_array`], for a set.
    pub fn finish_set(&mut self, deferred: Deferred, len: usize) {
        let kind = if self.protocol == Protocol::Resp3 { b'~' } else { b'*' };
        self.finish(deferred, kind, len);
    }

    /// As [`Reply::finish_array`], for a map of `len` pairs.
    pub fn finish_map(&mut self, deferred: Deferred, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.finish(deferred, b'*', len * 2),
            Protocol::Resp3 => self.finish(deferred, b'%', len),
        }
    }

    fn finish(&mut self, deferred: Deferred, kind: u8, len: usize) {
        let mut header = Vec::with_capacity(HEADER_BYTES_MAX);
        write_header(&mut header, kind, len as i64);
        self.out.insert(deferred.0, &header);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: Protocol, write: impl FnOnce(&mut Reply<'_>)) -> String {
        let mut out = Output::default();
        write(&mut Reply::new(&mut out, protocol));
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn types_that_resp2_lacks_fall_back() {
        let all = |reply: &mut Reply<'_>| {
            reply.null();
            reply.null_array();
            reply.map(1);
            reply.set(2);
            reply.push(3);
            reply.boolean(true);
            reply.double(-0.5);
            reply.double(f64::INFINITY);
            reply.verbatim("txt", b"hi");
        };
        assert_eq!(
            written(Protocol::Resp2, all),
            "$-1\r\n*-1\r\n*2\r\n*2\r\n*3\r\n:1\r\n$4\r\n-0.5\r\n$3\r\ninf\r\n$2\r\nhi\r\n"
        );
        assert_eq!(
            written(Protocol::Resp3, all),
            "_\r\n_\r\n%1\r\n~2\r\n>3\r\n#t\r\n,-0.5\r\n,inf\r\n=6\r\ntxt:hi\r\n"
        );
    }

    #[test]
    fn a_deferred_array_gets_its_header_in_front() {
        let text = written(Protocol::Resp2, |reply| {
            reply.ok();
            let deferred = reply.deferred();
            for n in 0..12 {
                reply.integer(n);
            }
            reply.finish_array(deferred, 12);
        });
        assert!(text.starts_with("+OK\r\n*12\r\n:0\r\n"), "{text}");
    }

    #[test]
    fn an_error_never_spans_lines() {
        assert_eq!(written(Protocol::Resp2, |r| r.error("ERR a\r\n+b")), "-ERR a  +b\r\n");
    }
}
