//! The sockets that the server listens on, and the threads that connections are handed to.

use crate::server::net::thread::Thread;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::runtime::Handle;

/// An I/O thread, as connections are handed to it.
#[derive(Clone)]
pub struct IoThread {
    /// The runtime that its connections live on.
    pub runtime: Handle,
    /// What the rest of the server sees of it.
    pub thread: Arc<Thread>,
}

/// The TCP sockets that the server listens on.
#[derive(Default)]
pub struct Listeners {
    pub(in crate::server) open: Vec<Listening>,
    pub(in crate::server) threads: Vec<IoThread>,
}

/// A socket, and the task that accepts from it.
pub(in crate::server) struct Listening {
    pub(in crate::server) address: SocketAddr,
    /// A second descriptor of the socket, to stop it at once from any thread.
    pub(in crate::server) socket: OwnedFd,
    pub(in crate::server) task: tokio::task::AbortHandle,
}
