//! The register of connected clients.

use crate::engine::{BlockedClient, Guard, Unserved};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::Notify;

/// What others may know of a connected client: `CLIENT LIST`, `CLIENT KILL`, `INFO clients`.
pub struct ClientInfo {
    /// A number that is never used again.
    pub id: u64,
    /// The client's address.
    pub addr: String,
    /// The address it connected to.
    pub laddr: String,
    /// The descriptor of its socket.
    pub fd: i32,
    /// When it connected.
    pub since: Instant,
    /// What changes with its commands.
    pub state: Mutex<ClientState>,
    abort: Mutex<Option<tokio::task::AbortHandle>>,
}

/// What changes with a client's commands.
#[derive(Clone, Debug)]
pub struct ClientState {
    /// `CLIENT SETNAME`.
    pub name: String,
    /// `CLIENT SETINFO LIB-NAME`.
    pub lib_name: String,
    /// `CLIENT SETINFO LIB-VER`.
    pub lib_ver: String,
    /// The selected database.
    pub db: usize,
    /// Full name of its last command.
    pub command: &'static str,
    /// When that came.
    pub last: Instant,
    /// Commands queued in a transaction.
    pub queued: Option<usize>,
    /// Keys watched.
    pub watched: usize,
    /// 2 or 3.
    pub protocol: u8,
    /// Bytes received and not yet executed.
    pub input_bytes: usize,
    /// Bytes of replies not yet taken.
    pub output_bytes: usize,
    /// `CLIENT NO-EVICT on`.
    pub no_evict: bool,
    /// `CLIENT NO-TOUCH on`.
    pub no_touch: bool,
    /// Waits in a blocking command.
    pub blocked: Option<Blocked>,
}

/// How a client that waits in a blocking command can be told to go on.
#[derive(Clone, Debug)]
pub enum Blocked {
    /// It waits for keys.
    Key(Arc<BlockedClient>),
    /// It waits for the log or a time.
    Log(Arc<Unblock>),
    /// It waits for another server, which nobody can shorten.
    Migrate,
}

/// Whether and how a client that waits for the log is told to go on.
#[derive(Debug, Default)]
pub struct Unblock {
    /// How.
    pub why: OnceLock<Unserved>,
    /// Wakes it.
    pub wake: Notify,
}

impl Blocked {
    /// Ends the wait. False if it has already ended.
    pub fn end(&self, engine: &mut Guard<'_>, why: Unserved) -> bool {
        match self {
            Blocked::Key(waiter) => engine.end_wait(waiter, why),
            Blocked::Log(unblock) => {
                let ended = unblock.why.set(why).is_ok();
                unblock.wake.notify_one();
                ended
            }
            Blocked::Migrate => false,
        }
    }
}

impl ClientInfo {
    /// A client that has just connected.
    pub fn new(id: u64, addr: String, laddr: String, fd: i32) -> Self {
        let now = Instant::now();
        let state = ClientState {
            name: String::new(),
            lib_name: String::new(),
            lib_ver: String::new(),
            db: 0,
            command: "NULL",
            last: now,
            queued: None,
            watched: 0,
            protocol: 2,
            input_bytes: 0,
            output_bytes: 0,
            no_evict: false,
            no_touch: false,
            blocked: None,
        };
        let (state, abort) = (Mutex::new(state), Mutex::new(None));
        Self { id, addr, laddr, fd, since: now, state, abort }
    }

    /// Whether it is connected through the Unix socket.
    pub fn is_unix(&self) -> bool {
        self.addr.ends_with(":0")
    }

    /// Says how the connection's task is ended.
    pub fn set_abort(&self, handle: tokio::task::AbortHandle) {
        *self.abort.lock() = Some(handle);
    }

    /// Ends the connection.
    pub fn kill(&self) {
        if let Some(handle) = &*self.abort.lock() {
            handle.abort();
        }
    }

    /// The line of `CLIENT LIST`, without its end.
    pub fn line(&self) -> String {
        let state = self.state.lock();
        let mut flags = String::new();
        for (letter, set) in [
            ('x', state.queued.is_some()),
            ('b', state.blocked.is_some()),
            ('U', self.is_unix()),
            ('e', state.no_evict),
            ('T', state.no_touch),
        ] {
            if set {
                flags.push(letter);
            }
        }
        if flags.is_empty() {
            flags.push('N');
        }
        let mut line = String::with_capacity(400);
        let _ = write!(
            line,
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub=0 psub=0 \
             ssub=0 multi={} watch={} qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 \
             obl={} oll=0 omem=0 tot-mem={} events=r cmd={} user=default redir=-1 resp={} \
             lib-name={} lib-ver={}",
            self.id,
            self.addr,
            self.laddr,
            self.fd,
            state.name,
            self.since.elapsed().as_secs(),
            state.last.elapsed().as_secs(),
            flags,
            state.db,
            state.queued.map_or(-1, |queued| queued as i64),
            state.watched,
            state.input_bytes,
            state.output_bytes,
            state.input_bytes + state.output_bytes,
            state.command,
            state.protocol,
            state.lib_name,
            state.lib_ver,
        );
        line
    }
}

/// The register of connected clients.
#[derive(Default)]
pub struct Clients {
    by_id: Mutex<BTreeMap<u64, Arc<ClientInfo>>>,
    next_id: AtomicU64,
    count: AtomicUsize,
}

impl Clients {
    /// A number for the next client.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes one of `max` places, if one is free.
    pub fn admit(self: &Arc<Self>, max: usize) -> Option<Place> {
        let more = |count| (count < max).then_some(count + 1);
        let taken = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Place(self.clone()))
    }

    /// The client with this number.
    pub fn get(&self, id: u64) -> Option<Arc<ClientInfo>> {
        self.by_id.lock().get(&id).cloned()
    }

    /// All clients in the order of their numbers.
    pub fn list(&self) -> Vec<Arc<ClientInfo>> {
        self.by_id.lock().values().cloned().collect()
    }
}

/// A client's place among `maxclients`, from the moment at which it is accepted.
pub struct Place(Arc<Clients>);

impl Place {
    /// Registers a client until the returned value is dropped.
    pub fn register(self, info: ClientInfo) -> Registered {
        let info = Arc::new(info);
        self.0.by_id.lock().insert(info.id, info.clone());
        Registered { place: self, info }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A registered client.
pub struct Registered {
    place: Place,
    /// What others may know of it.
    pub info: Arc<ClientInfo>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.place.0.by_id.lock().remove(&self.info.id);
    }
}
