//! A connection to a server: requests, and replies of RESP2.

use super::url::{Address, Url};
use crate::output::Failure;
use mainstay::resp::write_command;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Longer than this nobody is waited for.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Replies lie no deeper in each other.
const DEPTH_MAX: usize = 4;
/// The longest line: a status, an error, a length.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Status(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Nothing,
    Array(Vec<Reply>),
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// A connection.
pub(super) struct Client {
    stream: BufReader<Box<dyn Stream>>,
    name: String,
}

impl Client {
    /// Connects and logs in.
    pub(super) fn connect(url: &Url) -> Result<Self, Failure> {
        let (name, stream) = match &url.address {
            Address::Tcp(host, port) => {
                let name = format!("{host}:{port}");
                let open = || -> io::Result<Box<dyn Stream>> {
                    let stream = TcpStream::connect((host.as_str(), *port))?;
                    stream.set_read_timeout(Some(TIMEOUT))?;
                    stream.set_write_timeout(Some(TIMEOUT))?;
                    stream.set_nodelay(true)?;
                    Ok(Box::new(stream))
                };
                (name, open())
            }
            Address::Unix(path) => {
                let open = || -> io::Result<Box<dyn Stream>> {
                    let stream = UnixStream::connect(path)?;
                    stream.set_read_timeout(Some(TIMEOUT))?;
                    stream.set_write_timeout(Some(TIMEOUT))?;
                    Ok(Box::new(stream))
                };
                (path.display().to_string(), open())
            }
        };
        let stream = stream.map_err(Failure::doing("connecting to", &name))?;
        let mut client = Self { stream: BufReader::new(stream), name };
        if let Some(password) = &url.password {
            let mut words: Vec<&[u8]> = vec![b"AUTH"];
            words.extend(url.user.as_deref().map(str::as_bytes));
            words.push(password.as_bytes());
            if let Reply::Error(text) = client.call(&words)? {
                // A server that does not know the command repeats its arguments.
                let text = text.split(", with args").next().unwrap_or_default();
                return Err(Failure::new(format_args!("{}: AUTH: {text}", client.name)));
            }
        }
        Ok(client)
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Sends commands, as [`write_command`] makes them.
    pub(super) fn send(&mut self, commands: &[u8]) -> Result<(), Failure> {
        let sent = self.stream.get_mut().write_all(commands);
        sent.map_err(Failure::doing("writing to", &self.name))
    }

    /// Reads the next reply.
    pub(super) fn read(&mut self) -> Result<Reply, Failure> {
        let read = read_reply(&mut self.stream, DEPTH_MAX);
        read.map_err(Failure::doing("reading from", &self.name))
    }

    /// Sends a command and reads its reply.
    pub(super) fn call(&mut self, words: &[&[u8]]) -> Result<Reply, Failure> {
        let mut bytes = Vec::new();
        write_command(&mut bytes, words);
        self.send(&bytes)?;
        self.read()
    }

    /// The same for a command that must succeed.
    pub(super) fn expect(&mut self, words: &[&[u8]]) -> Result<Reply, Failure> {
        match self.call(words)? {
            Reply::Error(text) => {
                let command = String::from_utf8_lossy(words[0]);
                Err(Failure::new(format_args!("{}: {command}: {text}", self.name)))
            }
            reply => Ok(reply),
        }
    }
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.strip_suffix(b"\r\n").ok_or_else(|| wrong("a reply without an end"))?;
    Ok(String::from_utf8_lossy(line).into_owned())
}

fn read_reply(stream: &mut impl BufRead, depth_max: usize) -> io::Result<Reply> {
    let line = read_line(stream)?;
    let mut chars = line.chars();
    let kind = chars.next();
    let rest = chars.as_str();
    let number = || rest.parse::<i64>().map_err(|_| wrong("a reply with a length that is none"));
    Ok(match kind {
        Some('+') => Reply::Status(rest.to_owned()),
        Some('-') => Reply::Error(rest.to_owned()),
        Some(':') => Reply::Integer(number()?),
        Some('$' | '*') if number()? < 0 => Reply::Nothing,
        Some('$') => {
            // Memory is taken for what comes, not for what is announced.
            let (mut bytes, len) = (Vec::new(), number()? as u64);
            stream.by_ref().take(len + 2).read_to_end(&mut bytes)?;
            if bytes.len() as u64 != len + 2 || !bytes.ends_with(b"\r\n") {
                return Err(wrong("a string that is not whole"));
            }
            bytes.truncate(len as usize);
            Reply::Bulk(bytes)
        }
        Some('*') if depth_max > 0 => {
            let mut replies = Vec::new();
            for _ in 0..number()? {
                replies.push(read_reply(stream, depth_max - 1)?);
            }
            Reply::Array(replies)
        }
        _ => return Err(wrong("a reply of an unknown kind")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read() {
        let read = |text: &str| read_reply(&mut text.as_bytes(), DEPTH_MAX);
        let bulk = |text: &str| Reply::Bulk(text.into());
        assert_eq!(read("+OK\r\n").unwrap(), Reply::Status("OK".into()));
        assert_eq!(read("-ERR x\r\n").unwrap(), Reply::Error("ERR x".into()));
        assert_eq!(read("$4\r\na\r\nb\r\n").unwrap(), bulk("a\r\nb"));
        assert_eq!(read("$-1\r\n").unwrap(), Reply::Nothing);
        let nested = Reply::Array(vec![Reply::Integer(-2), Reply::Array(vec![bulk("")])]);
        assert_eq!(read("*2\r\n:-2\r\n*1\r\n$0\r\n\r\n").unwrap(), nested);
        for bad in [
            "",
            "+OK",
            "$9999999999999\r\na",
            "*1\r\n",
            "?\r\n",
            "*x\r\n",
            "$\r\n",
            "$2\r\na\r\n\r\n",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert!(read(&"*1\r\n".repeat(1000)).is_err());
    }
}
