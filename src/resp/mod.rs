//! The wire protocol: requests as slices of the read buffer, replies written in place.
//!
//! Independent of the commands' meaning: [`request`] cuts a byte stream into requests without
//! copying their arguments, [`reply`] writes RESP2 and RESP3 to an [`output`], [`received`] parses
//! replies of other servers, [`double`] prints and parses doubles.

pub mod args;
pub mod double;
pub mod output;
pub mod received;
pub mod reply;
pub mod request;

pub use args::{Args, OwnedArgs};
pub use double::{DoubleText, parse_double};
pub use output::Output;
pub use received::{ReceiveError, Received, ReplyParser};
pub use reply::{Protocol, Reply};
pub use request::{ProtocolError, RequestLimits, RequestParser};

/// Appends one command as an array of bulk strings, the form used in the log and for replicas.
pub fn write_command(out: &mut Vec<u8>, args: &[&[u8]]) {
    write_header(out, b'*', args.len() as i64);
    for arg in args {
        write_bulk(out, arg);
    }
}

/// Appends `$<len>\r\n<bytes>\r\n`.
pub(crate) fn write_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    write_header(out, b'$', bytes.len() as i64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends a type byte, a decimal number and the line's end.
pub(crate) fn write_header(out: &mut Vec<u8>, kind: u8, number: i64) {
    if (0..10).contains(&number) {
        out.extend_from_slice(&[kind, b'0' + number as u8, b'\r', b'\n']);
        return;
    }
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}
