//! What a client sends: bytes, and the requests cut off them.

use super::cross_protocol;
use super::names;
use super::sender::Sending;
use crate::commands::spec::Begin;
use crate::commands::{CommandError, Spec};
use crate::resp::request::Parsed;
use crate::resp::{Args, ProtocolError, RequestLimits, RequestParser};
use crate::server::commands::TABLE;
use crate::session::{Request, Run};
use bytes::{Buf, BytesMut};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The buffer begins with this much room, and an idle one is cut back to it.
pub const READ_BYTES: usize = 16 * 1024;
/// A buffer that grew beyond this is given back once it is empty.
const KEPT_BYTES_MAX: usize = 256 * 1024;
/// Requests that are cut off at a time, and so executed under one taking of the engine.
const REQUESTS_MAX: usize = 64;

/// What a client has sent that is not executed.
#[derive(Default)]
pub struct Input {
    parser: RequestParser,
    /// A batch moves its beginning on, and no byte.
    bytes: BytesMut,
    ranges: Vec<(usize, usize)>,
    requests: Vec<ParsedRequest>,
    /// The first of `requests` that was not executed yet.
    next: usize,
    /// Names that are looked up before the requests are executed.
    pub names: Vec<String>,
    /// What is wrong with the bytes after `requests`.
    broken: Option<Broken>,
    /// Bytes at the start that `requests` take.
    consumed: usize,
    /// There may be requests that can be executed without reading more.
    pub has_more: bool,
}

/// Where the arguments of a request are in `ranges`.
struct ParsedRequest {
    resolved: Result<&'static Spec, CommandError>,
    first: usize,
    count: usize,
}

/// Why the bytes after the requests of a batch are not executed.
pub enum Broken {
    /// They are not RESP.
    Malformed(ProtocolError),
    /// They are HTTP, which gets no reply.
    Http,
}

impl Input {
    /// Reads from a socket. Gives how many bytes came; 0 if the peer is gone.
    pub fn poll_read<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        sending: &mut Sending<S>,
        context: &mut Context<'_>,
    ) -> Poll<usize> {
        if self.bytes.capacity() - self.bytes.len() < READ_BYTES / 4 {
            self.bytes.reserve(READ_BYTES);
        }
        let start = self.bytes.len();
        // SAFETY: the spare capacity is only handed to `ReadBuf` as uninitialised memory, and the
        // length is raised by what `ReadBuf` counts as filled.
        let (result, count) = unsafe {
            let mut buffer = ReadBuf::uninit(self.bytes.spare_capacity_mut());
            let result = sending.poll_read(context, &mut buffer);
            let count = buffer.filled().len();
            self.bytes.set_len(start + count);
            (result, count)
        };
        result.map(|result| result.map_or(0, |()| count))
    }

    /// Bytes that were read and not executed.
    pub fn unexecuted_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the client speaks TLS.
    pub fn is_tls(&self) -> bool {
        cross_protocol::is_tls(&self.bytes)
    }

    /// Cuts requests off, unless some are left that were not executed.
    pub fn parse(&mut self, bulk_bytes_max: usize) {
        if self.has_requests() {
            return;
        }
        self.has_more = false;
        self.ranges.clear();
        self.requests.clear();
        self.next = 0;
        debug_assert_eq!(self.consumed, 0);
        if self.broken.is_some() {
            return;
        }
        let limits = RequestLimits { bulk_bytes_max, ..RequestLimits::default() };
        while self.requests.len() < REQUESTS_MAX {
            let rest = &mut self.bytes[self.consumed..];
            if rest.is_empty() {
                return;
            }
            let first = self.ranges.len();
            match self.parser.parse(rest, self.consumed, &limits, &mut self.ranges) {
                Ok(Parsed::Request { consumed }) => {
                    self.consumed += consumed;
                    let count = self.ranges.len() - first;
                    if count > 0 && !self.add(first, count) {
                        self.broken = Some(Broken::Http);
                        return;
                    }
                }
                Ok(Parsed::Incomplete { needed }) => {
                    // Room for what is certainly coming, but never more than what has come.
                    let have = self.bytes.len();
                    self.bytes.reserve(needed.min(have.max(READ_BYTES)));
                    return;
                }
                Err(error) => {
                    self.broken = Some(Broken::Malformed(error));
                    return;
                }
            }
        }
        self.has_more = true;
    }

    /// Adds a request. False if it is HTTP.
    fn add(&mut self, first: usize, count: usize) -> bool {
        let args = Args::new(&self.bytes, &self.ranges[first..]);
        let resolved = TABLE.directory().resolve(args);
        match &resolved {
            // Only what no command is called can be HTTP.
            Err(_) if cross_protocol::is_http(args.at(0)) => return false,
            Ok(spec) if spec.full_name == "config|set" => {
                self.names.extend(names::in_config_set(args));
            }
            _ => {}
        }
        self.requests.push(ParsedRequest { resolved, first, count });
        true
    }

    /// Whether there are requests that were not executed.
    pub fn has_requests(&self) -> bool {
        self.next < self.requests.len()
    }

    /// The request that is `index` after the next one.
    pub fn request(&self, index: usize) -> Option<Request<'_>> {
        let parsed = self.requests.get(self.next + index)?;
        let ranges = &self.ranges[parsed.first..parsed.first + parsed.count];
        let args = Args::new(&self.bytes, ranges);
        Some(Request { resolved: parsed.resolved.as_ref().copied(), args })
    }

    /// How many requests were not executed.
    pub fn request_count(&self) -> usize {
        self.requests.len() - self.next
    }

    /// The first keys of the requests whose commands have it as their first argument.
    pub fn first_keys(&self) -> impl Iterator<Item = &[u8]> {
        self.requests[self.next..].iter().filter_map(|request| {
            let first = request.resolved.as_ref().ok()?.key_specs.first()?;
            if !matches!(first.begin, Begin::Index(1)) {
                return None;
            }
            let &(start, end) = self.ranges.get(request.first + 1)?;
            self.bytes.get(start..end)
        })
    }

    /// Whether one of the requests may write.
    pub fn may_write(&self) -> bool {
        self.requests[self.next..].iter().any(|request| {
            request
                .resolved
                .as_ref()
                .is_ok_and(|spec| spec.is_write() || matches!(TABLE.run(spec), Run::Transaction(_)))
        })
    }

    /// Notes that so many requests were executed.
    pub fn executed(&mut self, requests: usize) {
        self.next += requests;
    }

    /// Drops the requests that were cut off.
    pub fn drop_requests(&mut self) {
        self.next = self.requests.len();
    }

    /// Takes the bytes of executed requests off, unless some of the batch are left; then the batch
    /// goes on.
    pub fn end_batch(&mut self) {
        if self.has_requests() {
            self.has_more = true;
            return;
        }
        self.bytes.advance(std::mem::take(&mut self.consumed));
        // Room before the beginning does not count as capacity until it is reclaimed.
        if self.bytes.is_empty() && self.bytes.try_reclaim(KEPT_BYTES_MAX + 1) {
            self.bytes = BytesMut::new();
        }
    }

    /// Takes what is wrong with the bytes after the requests, all of which were executed.
    pub fn take_broken(&mut self) -> Option<Broken> {
        if self.has_requests() { None } else { self.broken.take() }
    }
}
