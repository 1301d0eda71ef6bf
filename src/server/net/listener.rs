//! Listening sockets, and handing accepted connections to I/O threads.

use crate::server::config::Config;
use crate::server::net::connection::Connection;
use crate::server::net::names::Names;
use crate::server::net::thread::Thread;
use crate::server::state::clients::{ClientInfo, Place};
use crate::server::state::listeners::{IoThread, Listeners, Listening};
use crate::server::state::shared::Shared;
use crate::session::Session;
use rustix::net::sockopt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The addresses that `bind` and `port` mean; optional ones (`-` before them) may fail.
fn addresses(names: &Names, config: &Config) -> io::Result<Vec<(SocketAddr, bool)>> {
    let mut addresses = Vec::new();
    if config.port == 0 {
        return Ok(addresses);
    }
    for bind in config.bind.iter() {
        let ip = names.address(bind.host)?;
        addresses.push((SocketAddr::new(ip, config.port), bind.optional));
    }
    Ok(addresses)
}

fn listen(address: SocketAddr, backlog: i32) -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, backlog)?;
    Ok(socket)
}

impl Listeners {
    /// Begins to listen; connections go to `threads` in turn, the first of which accepts.
    ///
    /// # Errors
    /// If an address that is not optional cannot be had, or none can.
    pub fn start(shared: &Arc<Shared>, threads: Vec<IoThread>) -> io::Result<()> {
        let mut listeners = shared.listeners.lock();
        listeners.threads = threads;
        let config = shared.config.read().clone();
        shared.names.look_up_all(&config);
        listeners.apply(shared, &config)?;
        if let Some(path) = &config.unixsocket {
            listeners.listen_unix(shared, path, config.unixsocketperm)?;
        }
        Ok(())
    }

    /// Listens where `config` says, instead of where the server listens now.
    ///
    /// # Errors
    /// As [`Listeners::start`]; then the server goes on listening where it did.
    pub fn apply(&mut self, shared: &Arc<Shared>, config: &Config) -> io::Result<()> {
        let wanted = addresses(&shared.names, config)?;
        let (kept, mut old): (Vec<_>, Vec<_>) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|open| wanted.iter().any(|(address, _)| *address == open.address));
        self.open = kept;
        // A wildcard address and a particular one exclude each other, so the old ones stop first.
        for stopped in &old {
            let _ = rustix::net::shutdown(&stopped.socket, rustix::net::Shutdown::Both);
        }
        match self.open_missing(shared, &wanted, config.tcp_backlog) {
            Ok(opened) => {
                self.open.extend(opened);
                old.iter().for_each(|stopped| stopped.task.abort());
                Ok(())
            }
            Err(error) => {
                for stopped in &old {
                    let _ = rustix::net::listen(&stopped.socket, config.tcp_backlog);
                }
                self.open.append(&mut old);
                Err(error)
            }
        }
    }

    fn open_missing(
        &self,
        shared: &Arc<Shared>,
        wanted: &[(SocketAddr, bool)],
        backlog: i32,
    ) -> io::Result<Vec<Listening>> {
        let mut sockets = Vec::new();
        for (address, optional) in wanted {
            if self.open.iter().any(|open| open.address == *address) {
                continue;
            }
            match listen(*address, backlog) {
                Ok(socket) => sockets.push((*address, socket)),
                // Without IPv6 on this machine, an address of it that is optional does not matter.
                Err(error)
                    if *optional
                        && (error.kind() == io::ErrorKind::AddrNotAvailable
                            || error.raw_os_error() == Some(libc::EAFNOSUPPORT)) => {}
                Err(error) => {
                    crate::log_warning!("Could not listen on {address}: {error}");
                    return Err(error);
                }
            }
        }
        if sockets.is_empty() && self.open.is_empty() && !wanted.is_empty() {
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "no address to listen on"));
        }
        sockets.into_iter().map(|(address, socket)| self.begin(shared, address, socket)).collect()
    }

    fn begin(
        &self,
        shared: &Arc<Shared>,
        address: SocketAddr,
        socket: OwnedFd,
    ) -> io::Result<Listening> {
        let second = socket.try_clone()?;
        let first = &self.threads[0].runtime;
        let _entered = first.enter();
        let listener = tokio::net::TcpListener::from_std(socket.into())?;
        let accept = accept_tcp(shared.clone(), listener, self.threads.clone());
        let task = first.spawn(accept).abort_handle();
        Ok(Listening { address, socket: second, task })
    }

    /// What is listened on, as `INFO` says it.
    pub fn describe(&self, config: &Config) -> Vec<String> {
        let binds: String =
            self.open.iter().map(|open| format!("bind={},", open.address.ip())).collect();
        let tcp = (!binds.is_empty()).then(|| format!("name=tcp,{binds}port={}", config.port));
        let unix = config.unixsocket.as_ref().map(|path| format!("name=unix,bind={path}"));
        tcp.into_iter().chain(unix).collect()
    }

    fn listen_unix(&self, shared: &Arc<Shared>, path: &str, mode: u32) -> io::Result<()> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let text = format!("the Unix socket {path} is in use by another process");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        // Left over from a server that did not close.
        let _ = std::fs::remove_file(path);
        let first = &self.threads[0].runtime;
        let _entered = first.enter();
        let listener = tokio::net::UnixListener::bind(path)?;
        if mode != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        }
        first.spawn(accept_unix(shared.clone(), listener, self.threads.clone(), path.to_owned()));
        Ok(())
    }
}

/// Waits after a failed accept, which is nearly always a lack of descriptors.
async fn pause(error: &io::Error) {
    crate::log_warning!("Accepting a connection failed: {error}");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn accept_tcp(
    shared: Arc<Shared>,
    listener: tokio::net::TcpListener,
    threads: Vec<IoThread>,
) {
    shared.loading.wait_a_little().await;
    for turn in 0.. {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let thread = threads[turn % threads.len()].clone();
        let shared = shared.clone();
        let is_local = peer.ip().to_canonical().is_loopback();
        let place = match admit(&shared, is_local) {
            Ok(place) => place,
            Err(text) => {
                // What does not fit into the socket's empty buffer at once is not worth a wait.
                let _ = stream.try_write(text.as_bytes());
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        keep_alive(&stream, shared.config.read().tcp_keepalive);
        let local = stream.local_addr().unwrap_or(peer);
        let descriptor = stream.as_raw_fd();
        let Ok(stream) = stream.into_std() else { continue };
        let io_thread = thread.thread.clone();
        thread.runtime.spawn(async move {
            let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { return };
            let names = (peer.to_string(), local.to_string());
            serve(shared, io_thread, stream, place, names, descriptor, is_local);
        });
    }
}

async fn accept_unix(
    shared: Arc<Shared>,
    listener: tokio::net::UnixListener,
    threads: Vec<IoThread>,
    path: String,
) {
    shared.loading.wait_a_little().await;
    for turn in 0.. {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let thread = threads[turn % threads.len()].clone();
        let (shared, io_thread) = (shared.clone(), thread.thread.clone());
        let place = match admit(&shared, true) {
            Ok(place) => place,
            Err(text) => {
                let _ = stream.try_write(text.as_bytes());
                continue;
            }
        };
        let descriptor = stream.as_raw_fd();
        let names = (format!("{path}:0"), format!("{path}:0"));
        let Ok(stream) = stream.into_std() else { continue };
        thread.runtime.spawn(async move {
            let Ok(stream) = tokio::net::UnixStream::from_std(stream) else { return };
            serve(shared, io_thread, stream, place, names, descriptor, true);
        });
    }
}

fn keep_alive(stream: &tokio::net::TcpStream, seconds: i32) {
    if seconds <= 0 {
        return;
    }
    let seconds = Duration::from_secs(seconds as u64);
    // A connection without keep-alive still works.
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, seconds);
    let _ = sockopt::set_tcp_keepintvl(stream, (seconds / 3).max(Duration::from_secs(1)));
    let _ = sockopt::set_tcp_keepcnt(stream, 3);
}

/// A place for a connection that was accepted, or the reply that it is refused with. That is
/// decided before the next one is accepted, so that those who are refused take one descriptor in
/// all.
fn admit(shared: &Shared, is_local: bool) -> Result<Place, String> {
    Shared::count(&shared.counters.connections, 1);
    let (protected, clients_max) = {
        let config = shared.config.read();
        (config.protected_mode, config.maxclients as usize)
    };
    let place = if protected && !is_local {
        Err(PROTECTED)
    } else {
        shared.clients.admit(clients_max).ok_or("ERR max number of clients reached")
    };
    place.map_err(|text| {
        Shared::count(&shared.counters.rejected, 1);
        format!("-{text}\r\n")
    })
}

/// Begins to serve a connection.
fn serve<S>(
    shared: Arc<Shared>,
    thread: Arc<Thread>,
    stream: S,
    place: Place,
    (peer, local): (String, String),
    descriptor: i32,
    is_local: bool,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    if shared.ending.load(Ordering::Acquire) {
        return;
    }
    let session = Session::default();
    let visible = session.visible().clone();
    let client = place.register(ClientInfo::new(&shared.clients, peer, local, descriptor, visible));
    let info = client.info.clone();
    let connection = Connection::new(stream, shared, thread, client, session, is_local);
    let task = tokio::spawn(connection.serve());
    info.set_abort(task.abort_handle());
}

const PROTECTED: &str = "DENIED Mainstay is running in protected mode because protected mode is \
    enabled and no password can be set yet. In this mode connections are only accepted from the \
    loopback interface. To accept others, turn it off with 'CONFIG SET protected-mode no' from a \
    local connection, or with 'protected-mode no' in the configuration file or on the command line; \
    be sure then that the server cannot be reached from where it should not.";
