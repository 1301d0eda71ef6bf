//! Requests that are not RESP but HTTP or TLS.
//!
//! HTTP: somebody makes a browser of this machine talk to the server.
//! A web page can send a `POST` with any body to any port, past every firewall. The lines of HTTP are
//! unknown commands as inline requests, but those in the body would be executed. So the connection ends
//! at the first line that gives HTTP away, as it does in Redis.
//!
//! TLS: a client is configured for it, and would take whatever is replied for a broken handshake.
//! So nothing is.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// What HTTP begins a line with: the only method with a body that needs no permission of the server it is
/// sent to, and the header that no request lacks.
const WORDS: [&[u8]; 2] = [b"POST", b"Host:"];

/// Reports come at least so far apart.
const REPORT_PERIOD: Duration = Duration::from_secs(60);

/// Whether a command that there is not is the beginning of a line of HTTP.
#[cold]
pub fn is_http(name: &[u8]) -> bool {
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(name))
}

/// Whether a connection begins as TLS does: the record of a handshake, of any version. No request
/// of a client begins with such bytes, and it may have no end of a line to wait for.
pub fn is_tls(beginning: &[u8]) -> bool {
    matches!(beginning, [0x16, 0x03, ..])
}

/// Says in the server's log what was noticed, but does not let anybody fill it.
#[derive(Debug, Default)]
pub struct Reports {
    last: Mutex<Option<Instant>>,
}

impl Reports {
    /// The connection from `peer` ends because of a request that is HTTP.
    pub fn report(&self, peer: &str) {
        if self.is_due(Instant::now()) {
            crate::log_warning!(
                "Possible SECURITY ATTACK: the connection from {peer} was closed because it sent a \
                 line of HTTP (POST or Host:). A web page may be trying to have its commands \
                 executed here (cross-protocol scripting)"
            );
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        let mut last = self.last.lock();
        let is_due = last.is_none_or(|last| now.duration_since(last) >= REPORT_PERIOD);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_once_a_minute() {
        let (reports, start) = (Reports::default(), Instant::now());
        let due = |s: u64| reports.is_due(start + Duration::from_secs(s));
        assert_eq!(
            [0, 0, 59, 60, 61, 119, 120].map(due),
            [true, false, false, true, false, false, true]
        );
    }

    #[test]
    fn the_beginning_of_a_handshake_is_tls() {
        assert!(is_tls(b"\x16\x03\x01\x02\x00\x01") && is_tls(b"\x16\x03"));
        for bytes in [&b""[..], b"\x16", b"\x17\x03\x03", b"PING\r\n", b"*1\r\n"] {
            assert!(!is_tls(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn only_whole_words_are_http() {
        for name in ["POST", "post", "Host:", "hOST:"] {
            assert!(is_http(name.as_bytes()), "{name}");
        }
        for name in ["", "HOST", "POSTS", "GET", "Host:x"] {
            assert!(!is_http(name.as_bytes()), "{name}");
        }
    }
}
