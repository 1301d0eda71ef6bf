//! What sends to one client: the socket, the outbox and the mailbox.
//!
//! The connection's task executes into the outbox and sends when it runs. The dispatcher of its I/O
//! thread sends what waited for the log, without waking the task. Both run on one thread, so that the
//! lock between them is free; other threads only add to the mailbox.

use super::mailbox::Mailbox;
use super::outbox::Outbox;
use super::reply_gates::Sends;
use super::thread::Thread;
use crate::engine::{Push, Receiver};
use crate::server::state::clients::ClientInfo;
use parking_lot::{Mutex, MutexGuard};
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Slices that are written at a time.
const SLICES: usize = 16;
/// Bytes that are written in one turn; others get theirs then.
const TURN_BYTES_MAX: usize = 1 << 20;

/// What sends to one client.
pub struct Sender<S> {
    sending: Mutex<Sending<S>>,
    mailbox: Mailbox,
    thread: Arc<Thread>,
    client: Arc<ClientInfo>,
}

/// The part that its I/O thread uses.
pub struct Sending<S> {
    /// `None` once the connection has ended.
    stream: Option<S>,
    /// What is sent.
    pub outbox: Outbox,
    /// The connection's task.
    task: Waker,
    /// The dispatcher has the gate of the first held replies.
    is_registered: bool,
    /// The task waits for output to leave.
    is_awaited: bool,
    /// The peer takes nothing any more.
    is_broken: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Sender<S> {
    /// What sends to a client that has just connected.
    pub fn new(stream: S, thread: Arc<Thread>, client: Arc<ClientInfo>) -> Self {
        let sending = Sending {
            stream: Some(stream),
            outbox: Outbox::default(),
            task: Waker::noop().clone(),
            is_registered: false,
            is_awaited: false,
            is_broken: false,
        };
        Self { sending: Mutex::new(sending), mailbox: Mailbox::default(), thread, client }
    }

    /// Takes the part that its I/O thread uses.
    pub fn lock(&self) -> MutexGuard<'_, Sending<S>> {
        self.sending.lock()
    }

    /// Sends what may leave, as far as the socket takes it, and registers what waits for the log.
    /// What the socket does not take is sent once it does: that wakes `task`.
    pub fn send_for(self: &Arc<Self>, sending: &mut Sending<S>, task: &Waker) {
        if !sending.task.will_wake(task) {
            sending.task.clone_from(task);
        }
        sending.is_awaited = false;
        self.send(sending);
    }

    fn send(self: &Arc<Self>, sending: &mut Sending<S>) {
        sending.outbox.settle();
        sending.outbox.take_passed(&self.mailbox);
        let written = sending.write();
        if written > 0 {
            self.thread.traffic.wrote(written);
        }
        self.client.activity.note_output(sending.outbox.output.len(), self.mailbox.bytes());
        if !sending.is_registered
            && let Some(gate) = sending.outbox.gate()
        {
            self.thread.gates.add_replies(gate.clone(), self.clone());
            sending.is_registered = true;
        }
    }

    /// Sends in the dispatcher's turn.
    fn dispatch(self: &Arc<Self>, sending: &mut Sending<S>) {
        self.send(sending);
        if sending.is_awaited || sending.is_broken || sending.outbox.is_closing() {
            sending.task.wake_by_ref();
        }
    }

    /// Ends the connection: nothing more is sent.
    pub fn close(self: &Arc<Self>) {
        let mut sending = self.sending.lock();
        sending.stream = None;
        sending.outbox = Outbox::default();
        if self.mailbox.close() || sending.is_registered {
            let sender: Arc<dyn Sends> = self.clone();
            self.thread.gates.remove(&sender);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sending<S> {
    /// Writes what may leave. Gives how many bytes the socket has taken.
    fn write(&mut self) -> usize {
        let (Some(stream), mut written) = (&mut self.stream, 0) else { return 0 };
        let mut context = Context::from_waker(&self.task);
        while self.outbox.has_ready() && !self.is_broken {
            if written >= TURN_BYTES_MAX {
                self.task.wake_by_ref();
                break;
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let stream = Pin::new(&mut *stream);
            let wrote = match self.outbox.slices(&mut slices) {
                1 => stream.poll_write(&mut context, &slices[0]),
                count => stream.poll_write_vectored(&mut context, &slices[..count]),
            };
            match wrote {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.outbox.output.take(count);
                    written += count;
                }
                Poll::Ready(_) => self.is_broken = true,
                Poll::Pending => break,
            }
        }
        written
    }

    /// Reads from the socket.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_read(context, buffer),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Has the task woken when the dispatcher has sent something.
    pub fn await_sent(&mut self) {
        self.is_awaited = true;
    }

    /// Whether the peer takes nothing any more.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Sends for Sender<S> {
    fn replies_passed(self: Arc<Self>) {
        let mut sending = self.sending.lock();
        sending.is_registered = false;
        self.dispatch(&mut sending);
    }

    fn pushes_passed(self: Arc<Self>) {
        self.dispatch(&mut self.sending.lock());
        if let Some(gate) = self.mailbox.next_registration() {
            self.thread.gates.add_pushes(gate, self.clone());
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Receiver for Sender<S> {
    fn receive(self: Arc<Self>, push: Push) {
        let gate = push.gate.clone();
        if self.mailbox.add(push) {
            self.thread.gates.add_pushes(gate, self.clone());
        }
        self.client.activity.note_pushes(self.mailbox.bytes());
        self.client.end_if_over_limit();
    }
}
