//! A connection to a server: requests, and replies of RESP2.

use super::url::{Address, Url};
use crate::output::Failure;
use mainstay::resp::{Received, ReplyParser, write_command};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long a read or a write may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The deepest nesting of arrays in a reply.
const DEPTH_MAX: usize = 4;

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
            if let Received::Error(text) = client.call(&words)? {
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
    pub(super) fn read(&mut self) -> Result<Received, Failure> {
        read_reply(&mut self.stream).map_err(Failure::doing("reading from", &self.name))
    }

    /// Sends a command and reads its reply.
    pub(super) fn call(&mut self, words: &[&[u8]]) -> Result<Received, Failure> {
        let mut bytes = Vec::new();
        write_command(&mut bytes, words);
        self.send(&bytes)?;
        self.read()
    }

    /// The same for a command that must succeed.
    pub(super) fn expect(&mut self, words: &[&[u8]]) -> Result<Received, Failure> {
        match self.call(words)? {
            Received::Error(text) => {
                let command = String::from_utf8_lossy(words[0]);
                Err(Failure::new(format_args!("{}: {command}: {text}", self.name)))
            }
            reply => Ok(reply),
        }
    }
}

fn read_reply(stream: &mut impl BufRead) -> io::Result<Received> {
    let mut parser = ReplyParser::new(DEPTH_MAX, u64::MAX >> 1);
    loop {
        let bytes = match stream.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let parsed = parser.parse(bytes);
        let (used, reply) =
            parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        stream.consume(used);
        if let Some(reply) = reply {
            return Ok(reply);
        }
    }
}
