//! Connections to other servers.

use crate::resp::{Received, ReplyParser, write_command};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Connections that are kept at most while nothing uses them.
const PEERS_MAX: usize = 32;
/// Migrations under way at most. Others wait for their turn.
const BUSY_MAX: usize = 32;
/// Descriptors that migrations take at most.
pub const DESCRIPTORS_MAX: usize = PEERS_MAX + BUSY_MAX;
/// How long an unused one is kept, as in Redis.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// What is written under one timeout, as in Redis.
const CHUNK_BYTES: usize = 64 * 1024;

/// Why talking to another server failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The time was over.
    TimedOut,
    /// There is no such host, or no way to it.
    Unreachable,
    /// The connection broke, or what came is no reply.
    Broken,
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// Where another server is: host and port as `MIGRATE` was given them.
pub type Place = (Box<[u8]>, Box<[u8]>);

/// A connection to another server.
pub struct Peer {
    stream: BufReader<TcpStream>,
    /// The database selected there, if known.
    pub db: Option<i64>,
    timeout: Duration,
}

impl Peer {
    /// Connects.
    ///
    /// # Errors
    /// If there is no answer in time. A refused connection is [`Failure::Broken`], because Redis
    /// learns of it when it writes.
    pub async fn connect((host, port): &Place, timeout: Duration) -> Result<Self, Failure> {
        let host = std::str::from_utf8(host).map_err(|_| Failure::Unreachable)?;
        let port = std::str::from_utf8(port).ok().and_then(|port| port.parse::<u16>().ok());
        let connect = TcpStream::connect((host, port.ok_or(Failure::Unreachable)?));
        let connected = tokio::time::timeout(timeout, connect).await;
        let stream =
            connected.map_err(|_| Failure::TimedOut)?.map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
                    Failure::Broken
                }
                _ => Failure::Unreachable,
            })?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), db: None, timeout })
    }

    /// Sends bytes; the timeout counts for each piece.
    ///
    /// # Errors
    /// If they cannot be sent in time.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for chunk in bytes.chunks(CHUNK_BYTES) {
            within(self.timeout, self.stream.write_all(chunk)).await?;
        }
        Ok(())
    }

    /// Reads the reply to a command that is answered with a line: `Err` of the text if it is an error.
    ///
    /// # Errors
    /// If none comes in time.
    pub async fn read_line(&mut self) -> Result<Result<(), String>, Failure> {
        match within(self.timeout, read_reply(&mut self.stream)).await? {
            Received::Status(_) | Received::Integer(_) => Ok(Ok(())),
            Received::Error(text) => Ok(Err(text)),
            _ => Err(Failure::Broken),
        }
    }

    /// Sends a command and reads its reply, which is a line.
    ///
    /// # Errors
    /// As for both.
    pub async fn call(&mut self, args: &[&[u8]]) -> Result<Result<(), String>, Failure> {
        let mut bytes = Vec::new();
        write_command(&mut bytes, args);
        self.write(&bytes).await?;
        self.read_line().await
    }
}

async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, Failure> {
    Ok(tokio::time::timeout(timeout, work).await.map_err(|_| Failure::TimedOut)??)
}

/// Reads the next reply.
async fn read_reply(stream: &mut BufReader<TcpStream>) -> io::Result<Received> {
    // Statuses, errors and integers only.
    let mut parser = ReplyParser::new(0, 0);
    loop {
        let bytes = stream.fill_buf().await?;
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

/// Connections that nothing uses at the moment, at most one to each server, and turns for those
/// that are used.
pub struct Peers {
    idle: Mutex<HashMap<Place, Idle>>,
    turns: Semaphore,
}

impl Default for Peers {
    fn default() -> Self {
        Self { idle: Mutex::default(), turns: Semaphore::new(BUSY_MAX) }
    }
}

struct Idle {
    stream: std::net::TcpStream,
    db: Option<i64>,
    since: Instant,
}

impl Peers {
    /// Waits for the turn of a migration, which lasts until the result is dropped.
    pub(super) async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.acquire().await.expect("turns are never closed")
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.idle.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the connection to `place`, if there is one.
    pub(super) fn take(&self, place: &Place, timeout: Duration) -> Option<Peer> {
        let Idle { stream, db, .. } = self.idle.lock().remove(place)?;
        let stream = BufReader::new(TcpStream::from_std(stream).ok()?);
        Some(Peer { stream, db, timeout })
    }

    /// Keeps an idle connection without outstanding replies. It leaves its runtime, so that every
    /// I/O thread can take it.
    pub(super) fn keep(&self, place: &Place, peer: Peer) {
        if !peer.stream.buffer().is_empty() {
            return;
        }
        let Ok(stream) = peer.stream.into_inner().into_std() else { return };
        let idle = Idle { stream, db: peer.db, since: Instant::now() };
        let mut peers = self.idle.lock();
        if peers.len() >= PEERS_MAX && !peers.contains_key(place) {
            let oldest = peers.iter().min_by_key(|(_, idle)| idle.since).map(|(place, _)| place);
            if let Some(oldest) = oldest.cloned() {
                peers.remove(&oldest);
            }
        }
        peers.insert(place.clone(), idle);
    }

    /// Closes those that have not been used for a while.
    pub fn release_idle(&self) {
        self.idle.lock().retain(|_, idle| idle.since.elapsed() <= IDLE_MAX);
    }
}
