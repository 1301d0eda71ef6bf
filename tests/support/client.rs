//! A RESP client that does what it is told.

use super::PATIENCE;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+`
    Status(String),
    /// `-`
    Error(String),
    /// `:`
    Int(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`
    Nil,
    /// `*-1`
    NilArray,
    /// `_`
    Null,
    /// `*`
    Array(Vec<Value>),
    /// `%`
    Map(Vec<(Value, Value)>),
    /// `~`
    Set(Vec<Value>),
    /// `>`
    Push(Vec<Value>),
    /// `,`
    Double(String),
    /// `#`
    Bool(bool),
    /// `=`
    Verbatim(Vec<u8>),
}

/// `+OK`
pub fn ok() -> Value {
    status("OK")
}

/// A status.
pub fn status(text: &str) -> Value {
    Value::Status(text.into())
}

/// An error.
pub fn error(text: &str) -> Value {
    Value::Error(text.into())
}

/// A string.
pub fn bulk(text: &str) -> Value {
    Value::Bulk(text.into())
}

/// A number.
pub fn int(number: i64) -> Value {
    Value::Int(number)
}

/// An array.
pub fn array(values: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(values.into_iter().collect())
}

impl Value {
    /// The text of a string.
    pub fn text(&self) -> String {
        match self {
            Self::Bulk(bytes) | Self::Verbatim(bytes) => String::from_utf8_lossy(bytes).into(),
            Self::Status(text) => text.clone(),
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The number.
    pub fn int(&self) -> i64 {
        match self {
            Self::Int(number) => *number,
            other => panic!("not a number: {other:?}"),
        }
    }

    /// The elements.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) | Self::Set(items) => items,
            other => panic!("not an array: {other:?}"),
        }
    }

    /// Whether it is an error that begins so.
    pub fn is_error(&self, start: &str) -> bool {
        matches!(self, Self::Error(text) if text.starts_with(start))
    }
}

/// The words of a line; `''` is an empty one.
pub fn words(line: &str) -> Vec<&[u8]> {
    let word = |word| if word == "''" { "" } else { word }.as_bytes();
    line.split_ascii_whitespace().map(word).collect()
}

/// A connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to this port of the loopback interface.
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).expect("a connection")
    }

    /// Connects if somebody listens.
    pub fn try_connect(port: u16) -> io::Result<Self> {
        Self::try_connect_to("127.0.0.1", port)
    }

    /// Connects to another address.
    pub fn try_connect_to(host: &str, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send_bytes(bytes).expect("sent");
    }

    /// Sends bytes as they are.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// A command as it is sent.
    pub fn encode<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
        out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
        for arg in args {
            let arg = arg.as_ref();
            out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            out.extend_from_slice(arg);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Sends a command without waiting for its reply.
    pub fn send_args<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        let mut bytes = Vec::new();
        Self::encode(&mut bytes, args);
        self.send_bytes(&bytes);
    }

    /// Sends the words of a line as a command.
    pub fn send(&mut self, line: &str) {
        self.send_args(&words(line));
    }

    /// Sends several commands at once.
    pub fn send_all<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        let mut bytes = Vec::new();
        lines.into_iter().for_each(|line| Self::encode(&mut bytes, &words(line)));
        self.send_bytes(&bytes);
    }

    /// The next reply.
    pub fn read(&mut self) -> Value {
        self.try_read().expect("a reply")
    }

    /// The next replies.
    pub fn read_many(&mut self, count: usize) -> Vec<Value> {
        (0..count).map(|_| self.read()).collect()
    }

    /// Sends a command and reads its reply.
    pub fn call(&mut self, line: &str) -> Value {
        self.send(line);
        self.read()
    }

    /// Sends a command of any bytes and reads its reply.
    pub fn call_args<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        self.send_args(args);
        self.read()
    }

    /// Sends several commands at once and reads their replies.
    pub fn call_all<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) -> Vec<Value> {
        let lines: Vec<&str> = lines.into_iter().collect();
        self.send_all(lines.iter().copied());
        self.read_many(lines.len())
    }

    /// Whether nothing has come that was not read yet.
    pub fn is_silent(&mut self) -> bool {
        if !self.stream.buffer().is_empty() {
            return false;
        }
        self.socket().set_nonblocking(true).expect("set");
        let peeked = self.socket().peek(&mut [0]);
        self.socket().set_nonblocking(false).expect("set");
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether the server closes the connection without another reply.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Everything until the server closes the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Err(error) = self.stream.read_to_end(&mut bytes) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
        }
        bytes
    }

    /// Sets how long a reply is waited for.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.socket().set_read_timeout(Some(timeout)).expect("set");
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    fn blob(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len + 2];
        self.stream.read_exact(&mut bytes)?;
        assert!(bytes.ends_with(b"\r\n"), "a blob ends with a line's end");
        bytes.truncate(len);
        Ok(bytes)
    }

    fn values(&mut self, count: usize) -> io::Result<Vec<Value>> {
        (0..count).map(|_| self.try_read()).collect()
    }

    /// The next reply, or why there is none.
    pub fn try_read(&mut self) -> io::Result<Value> {
        let line = self.line()?;
        let (kind, rest) = line.split_at(1);
        let number = || rest.parse::<i64>().unwrap_or_else(|_| panic!("a number: {line:?}"));
        Ok(match kind {
            "+" => Value::Status(rest.into()),
            "-" => Value::Error(rest.into()),
            ":" => Value::Int(number()),
            "$" if number() < 0 => Value::Nil,
            "*" if number() < 0 => Value::NilArray,
            "$" => Value::Bulk(self.blob(number() as usize)?),
            "=" => Value::Verbatim(self.blob(number() as usize)?.split_off(4)),
            "*" => Value::Array(self.values(number() as usize)?),
            "~" => Value::Set(self.values(number() as usize)?),
            ">" => Value::Push(self.values(number() as usize)?),
            "%" => {
                let pairs = (0..number()).map(|_| Ok((self.try_read()?, self.try_read()?)));
                Value::Map(pairs.collect::<io::Result<_>>()?)
            }
            "_" => Value::Null,
            "," => Value::Double(rest.into()),
            "#" => Value::Bool(rest == "t"),
            _ => panic!("not a reply: {line:?}"),
        })
    }
}
