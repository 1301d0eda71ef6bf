//! The register of connected clients.

use crate::commands::Directory;
use crate::engine::{BlockedClient, Engine, Receiver, Unserved};
use crate::log_warning;
use crate::session::Visible;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
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
    /// The part of its session that others read.
    pub session: Arc<Visible>,
    /// What each batch changes.
    pub activity: Activity,
    /// What few commands change.
    pub state: Mutex<ClientState>,
    receiver: OnceLock<Weak<dyn Receiver>>,
    limits: Arc<OutputLimits>,
    abort: Mutex<Option<tokio::task::AbortHandle>>,
}

/// What few commands change.
#[derive(Clone, Debug, Default)]
pub struct ClientState {
    /// `CLIENT SETNAME`.
    pub name: String,
    /// `CLIENT SETINFO LIB-NAME`.
    pub lib_name: String,
    /// `CLIENT SETINFO LIB-VER`.
    pub lib_ver: String,
    /// `CLIENT NO-EVICT on`.
    pub no_evict: bool,
    /// Waits in a blocking command.
    pub blocked: Option<Blocked>,
}

/// What each batch of a client changes. Its connection writes it, anyone reads it.
#[derive(Debug, Default)]
pub struct Activity {
    /// When the last batch was executed, in ms since it connected.
    last_ms: AtomicU64,
    /// The number of the last command, and 1; 0 before the first.
    command: AtomicU32,
    input_bytes: AtomicUsize,
    reply_bytes: AtomicUsize,
    push_bytes: AtomicUsize,
    /// Since when its output is beyond the soft limit, in ms since it connected, and 1; 0 if it is
    /// not.
    over_soft_since_ms: AtomicU64,
}

impl Activity {
    /// Notes a batch: when it ended, and the bytes that are not executed then.
    pub fn note_batch(&self, at_ms: u64, input_bytes: usize) {
        self.last_ms.store(at_ms, Ordering::Relaxed);
        self.input_bytes.store(input_bytes, Ordering::Relaxed);
    }

    /// Notes the bytes that have not left.
    pub fn note_output(&self, reply_bytes: usize, push_bytes: usize) {
        self.reply_bytes.store(reply_bytes, Ordering::Relaxed);
        self.note_pushes(push_bytes);
    }

    /// Notes the bytes of pushes that wait for the log.
    pub fn note_pushes(&self, push_bytes: usize) {
        self.push_bytes.store(push_bytes, Ordering::Relaxed);
    }

    /// Notes the command that runs now.
    pub fn note_command(&self, number: u16) {
        self.command.store(u32::from(number) + 1, Ordering::Relaxed);
    }

    /// Bytes received and not yet executed.
    pub fn input_bytes(&self) -> usize {
        self.input_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of replies and pushes that have not left.
    pub fn output_bytes(&self) -> usize {
        self.reply_bytes.load(Ordering::Relaxed) + self.push_bytes.load(Ordering::Relaxed)
    }

    /// Full name of the last command.
    fn command(&self, directory: &Directory) -> &'static str {
        let number = self.command.load(Ordering::Relaxed).checked_sub(1);
        number
            .and_then(|number| directory.by_number(number as u16))
            .map_or("NULL", |it| it.full_name)
    }
}

/// `client-output-buffer-limit normal`: clients of which more has not left are disconnected.
#[derive(Debug, Default)]
pub struct OutputLimits {
    /// Beyond so many bytes at once; 0 for no limit.
    hard_bytes: AtomicUsize,
    /// Beyond so many bytes for longer than `soft_s`; 0 for no limit.
    soft_bytes: AtomicUsize,
    soft_s: AtomicU64,
    /// Clients that were disconnected.
    pub disconnections: AtomicU64,
}

impl OutputLimits {
    /// Sets the limits. 0 bytes are no limit.
    pub fn set(&self, hard_bytes: usize, soft_bytes: usize, soft_s: u64) {
        self.hard_bytes.store(hard_bytes, Ordering::Relaxed);
        self.soft_bytes.store(soft_bytes, Ordering::Relaxed);
        self.soft_s.store(soft_s, Ordering::Relaxed);
    }

    /// Whether there is a hard limit.
    pub fn has_hard(&self) -> bool {
        self.hard_bytes.load(Ordering::Relaxed) > 0
    }

    fn is_over(limit: &AtomicUsize, bytes: usize) -> bool {
        let limit = limit.load(Ordering::Relaxed);
        limit > 0 && bytes > limit
    }
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
    pub wake: Arc<Notify>,
}

impl Blocked {
    /// Ends the wait. False if it has already ended.
    pub fn end(&self, engine: &Engine, why: Unserved) -> bool {
        match self {
            Blocked::Key(waiter) => waiter.end(engine, why),
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
    pub fn new(
        clients: &Clients,
        addr: String,
        laddr: String,
        fd: i32,
        session: Arc<Visible>,
    ) -> Self {
        Self {
            id: clients.next_id.fetch_add(1, Ordering::Relaxed) + 1,
            addr,
            laddr,
            fd,
            since: Instant::now(),
            session,
            activity: Activity::default(),
            state: Mutex::default(),
            receiver: OnceLock::new(),
            limits: clients.output_limits.clone(),
            abort: Mutex::new(None),
        }
    }

    /// Sets what pushes to it are delivered to.
    pub fn set_receiver(&self, receiver: Arc<impl Receiver + 'static>) {
        let receiver: Arc<dyn Receiver> = receiver;
        // It is set once, by its connection.
        let _ = self.receiver.set(Arc::downgrade(&receiver));
    }

    /// What pushes to it are delivered to; `None` once it is gone.
    pub fn receiver(&self) -> Option<Arc<dyn Receiver>> {
        self.receiver.get()?.upgrade()
    }

    /// Ends the connection if more of its output than `client-output-buffer-limit` allows has not
    /// left. Whether it ends.
    pub fn end_if_over_limit(&self) -> bool {
        let (bytes, limits) = (self.activity.output_bytes(), &*self.limits);
        let since = &self.activity.over_soft_since_ms;
        let is_over = if OutputLimits::is_over(&limits.hard_bytes, bytes) {
            true
        } else if OutputLimits::is_over(&limits.soft_bytes, bytes) {
            let now_ms = self.since.elapsed().as_millis() as u64;
            let begun = since.compare_exchange(0, now_ms + 1, Ordering::Relaxed, Ordering::Relaxed);
            let for_ms = begun.map_or_else(|since_ms| now_ms + 1 - since_ms, |_| 0);
            for_ms > limits.soft_s.load(Ordering::Relaxed) * 1000
        } else {
            if since.load(Ordering::Relaxed) > 0 {
                since.store(0, Ordering::Relaxed);
            }
            false
        };
        if is_over && self.kill() {
            limits.disconnections.fetch_add(1, Ordering::Relaxed);
            log_warning!(
                "Client id={} closed: {bytes} bytes of output beyond client-output-buffer-limit",
                self.id
            );
        }
        is_over
    }

    /// For how many seconds it has sent nothing.
    pub fn idle_s(&self) -> u64 {
        let last_ms = self.activity.last_ms.load(Ordering::Relaxed);
        (self.since.elapsed().as_millis() as u64).saturating_sub(last_ms) / 1000
    }

    /// Whether it is connected through the Unix socket.
    pub fn is_unix(&self) -> bool {
        self.addr.ends_with(":0")
    }

    /// Says how the connection's task is ended.
    pub fn set_abort(&self, handle: tokio::task::AbortHandle) {
        *self.abort.lock() = Some(handle);
    }

    /// Ends the connection. False if it has ended or is about to.
    pub fn kill(&self) -> bool {
        let handle = self.abort.lock().take();
        handle.inspect(|handle| handle.abort()).is_some()
    }

    /// The line of `CLIENT LIST`, without its end.
    pub fn line(&self, directory: &Directory) -> String {
        let state = self.state.lock();
        let mut flags = String::new();
        for (letter, set) in [
            ('x', self.session.queued() >= 0),
            ('b', state.blocked.is_some()),
            ('U', self.is_unix()),
            ('e', state.no_evict),
            ('T', self.session.no_touch()),
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
            self.idle_s(),
            flags,
            self.session.db(),
            self.session.queued(),
            self.session.watched(),
            self.activity.input_bytes(),
            self.activity.output_bytes(),
            self.activity.input_bytes() + self.activity.output_bytes(),
            self.activity.command(directory),
            self.session.protocol_version(),
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
    /// `client-output-buffer-limit normal`.
    pub output_limits: Arc<OutputLimits>,
}

impl Clients {
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
