//! Where a server is: `redis://[user:password@]host[:port][/database]`, `unix:/path[?db=database]`.

use crate::output::Failure;
use std::path::PathBuf;

/// The port of Redis.
const PORT: u16 = 6379;

/// Where a server is, and as whom to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) address: Address,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// The only database that is meant.
    pub(super) db: Option<u32>,
}

/// Where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Url {
    /// Reads a URL. `None` if it is a path.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, Failure> {
        // Passwords are not repeated.
        let wrong = |what: &str| Failure::new(format_args!("the URL of a server: {what}"));
        let database = |text: &str| match text {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| wrong("the database is no number")),
        };
        if text.starts_with("rediss://") {
            return Err(wrong("connections with TLS (rediss) cannot be made"));
        }
        if let Some(rest) = text.strip_prefix("unix:") {
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
            let db = match options.strip_prefix("db=") {
                Some(db) => database(db)?,
                None if options.is_empty() => None,
                None => return Err(wrong("behind the ? only db= is known")),
            };
            let address = Address::Unix(PathBuf::from(path));
            return Ok(Some(Self { address, user: None, password: None, db }));
        }
        let Some(rest) = text.strip_prefix("redis://") else { return Ok(None) };
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (host, db) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match host.rsplit_once(':') {
            // An IPv6 address stands in brackets.
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong("the port is no number"))?)
            }
            _ => (host, PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        let decode = |text: &str| decoded(text).ok_or_else(|| wrong("a % that stands for nothing"));
        let (user, password) = match login.map(|login| login.split_once(':')) {
            None => (None, None),
            Some(Some((user, password))) => {
                (Some(decode(user)?).filter(|user| !user.is_empty()), Some(decode(password)?))
            }
            Some(None) => (None, Some(decode(login.unwrap_or_default())?)),
        };
        let address = Address::Tcp(host.to_owned(), port);
        Ok(Some(Self { address, user, password, db: database(db)? }))
    }
}

/// Without the escapes that URLs have (RFC 3986, section 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        rest = more;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let parse = |text| Url::parse(text).unwrap().unwrap();
        let tcp = |host: &str, port| Url {
            address: Address::Tcp(host.into(), port),
            user: None,
            password: None,
            db: None,
        };
        assert_eq!(parse("redis://h"), tcp("h", 6379));
        assert_eq!(parse("redis://h:1/2"), Url { db: Some(2), ..tcp("h", 1) });
        assert_eq!(parse("redis://[::1]:1"), tcp("::1", 1));
        assert_eq!(parse("redis://[::1]/"), tcp("::1", 6379));
        let login = |user: Option<&str>, password: &str| Url {
            user: user.map(str::to_owned),
            password: Some(password.into()),
            ..tcp("h", 1)
        };
        assert_eq!(parse("redis://:p%40s@h:1"), login(None, "p@s"));
        assert_eq!(parse("redis://u:p:@h:1"), login(Some("u"), "p:"));
        assert_eq!(parse("redis://p@h:1"), login(None, "p"));
        let unix = |db| Url { address: Address::Unix("/a".into()), db, ..tcp("h", 1) };
        assert_eq!(parse("unix:/a"), unix(None));
        assert_eq!(parse("unix:///a?db=3"), unix(Some(3)));
        assert_eq!(Url::parse("/a/dump.rdb").unwrap(), None);
        for bad in ["redis://h:x", "redis://h/x", "rediss://h", "redis://:%4@h", "unix:/a?x=1"] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }
}
