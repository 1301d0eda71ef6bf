//! One client's connection: bytes in, batches executed, replies and pushes out.
//!
//! Reading goes on while replies wait or a slow client does not take them, so that neither a deep
//! pipeline nor a client that writes everything before it reads anything comes to a standstill.
//! All that a connection waits for is a state of one poll loop, so that pushes leave at any time.

use super::executor::{Executor, Hindrance};
use super::input::{Input, READ_BYTES};
use super::reply_gates::Registration;
use super::sender::Sender;
use super::thread::Thread;
use super::wait::Wait;
use crate::server::state::clients::Registered;
use crate::server::state::shared::Shared;
use crate::session::Session;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

/// While more than this of a client's replies has not left, none of its commands is executed, unless
/// `client-output-buffer-limit` ends the connection at some point.
const OUTPUT_BYTES_PAUSE: usize = 32 << 20;
/// While a command waits, no more input than this is taken, to notice a client that is gone.
const WAITING_INPUT_BYTES: usize = 2 * READ_BYTES;

/// One client's connection.
pub struct Connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    sender: Arc<Sender<S>>,
    input: Input,
    executor: Executor,
    /// What the next batch waits for.
    hindrance: Option<Hindrance>,
    /// The dispatcher knows what it waits for.
    registered: Option<Registration>,
    /// The command that waits before it replies.
    wait: Option<Wait>,
}

enum Event {
    /// Bytes came in.
    Read(usize),
    /// The input holds more requests.
    More,
    /// The command that waited may reply.
    Waited,
    /// Nothing is left to do, or the peer is gone.
    End,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<S> {
    /// A connection that was just accepted.
    pub fn new(
        stream: S,
        shared: Arc<Shared>,
        thread: Arc<Thread>,
        client: Registered,
        session: Session,
        is_local: bool,
    ) -> Self {
        let sender = Arc::new(Sender::new(stream, thread.clone(), client.info.clone()));
        client.info.set_receiver(sender.clone());
        Self {
            sender,
            input: Input::default(),
            executor: Executor::new(shared, thread, client, session, is_local),
            hindrance: None,
            registered: None,
            wait: None,
        }
    }

    /// Serves the client until it leaves.
    pub async fn serve(mut self) {
        loop {
            match self.next_event().await {
                Event::Read(count) => {
                    self.executor.thread.traffic.read(count);
                    if self.input.is_tls() {
                        return;
                    }
                    if self.wait.is_some() || self.has_backlog() {
                        self.input.has_more = true;
                        continue;
                    }
                    self.execute();
                    if self.input.unexecuted_bytes() > self.input_bytes_max() {
                        self.report_long_request();
                        return;
                    }
                }
                Event::More => {
                    // Others get their turn between two batches of a deep pipeline.
                    tokio::task::yield_now().await;
                    self.execute();
                }
                Event::Waited => {
                    if let Some(wait) = self.wait.take() {
                        wait.end(&mut self.executor, &mut self.sender.lock().outbox);
                        self.input.has_more = true;
                    }
                }
                Event::End => return,
            }
        }
    }

    /// Waits for what comes first: bytes, the end of a wait, the turn of the next batch. Meanwhile
    /// what may leave is sent.
    async fn next_event(&mut self) -> Event {
        poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        let sender = self.sender.clone();
        let mut sending = sender.lock();
        sender.send_for(&mut sending, context.waker());
        if sending.is_broken() || self.executor.client.info.end_if_over_limit() {
            return Poll::Ready(Event::End);
        }
        if sending.outbox.is_closing() {
            if sending.outbox.is_empty() {
                return Poll::Ready(Event::End);
            }
            sending.await_sent();
            return Poll::Pending;
        }
        let input_bytes_max = if let Some(wait) = &mut self.wait {
            if wait.poll(&self.executor.thread, context).is_ready() {
                return Poll::Ready(Event::Waited);
            }
            WAITING_INPUT_BYTES
        } else if self.is_backlog(sending.outbox.output.len()) {
            // Input is still taken, so that a client which writes everything before it reads
            // anything gets that far; but only so much.
            sending.await_sent();
            self.input_bytes_max()
        } else if let Some(hindrance) = &mut self.hindrance {
            let gates = &self.executor.thread.gates;
            let is_over = match hindrance {
                Hindrance::Room(gate) => {
                    gates.poll_passage(context, gate, &mut self.registered).is_ready()
                }
                Hindrance::Pause(pause) => pause.as_mut().poll(context).is_ready(),
            };
            return if is_over { Poll::Ready(Event::More) } else { Poll::Pending };
        } else if self.input.has_more {
            return Poll::Ready(Event::More);
        } else {
            usize::MAX
        };
        if self.input.unexecuted_bytes() >= input_bytes_max {
            return Poll::Pending;
        }
        self.input.poll_read(&mut sending, context).map(|count| match count {
            0 => Event::End,
            count => Event::Read(count),
        })
    }

    /// Executes a batch.
    fn execute(&mut self) {
        let outbox = &mut self.sender.lock().outbox;
        self.registered = None;
        self.hindrance = self.executor.execute(&mut self.input, outbox);
        if let Some(block) = self.executor.state.block.take() {
            self.wait = Some(Wait::new(block, &self.executor));
        }
    }

    /// Whether nothing more is executed until the client has taken some of its replies.
    fn has_backlog(&self) -> bool {
        self.is_backlog(self.sender.lock().outbox.output.len())
    }

    fn is_backlog(&self, output_bytes: usize) -> bool {
        output_bytes > OUTPUT_BYTES_PAUSE && !self.executor.shared.clients.output_limits.has_hard()
    }

    /// `client-query-buffer-limit`.
    fn input_bytes_max(&self) -> usize {
        self.executor.shared.query_bytes_max.load(Ordering::Relaxed)
    }

    fn report_long_request(&self) {
        Shared::count(&self.executor.shared.counters.input_limits, 1);
        let id = self.executor.client.info.id;
        crate::log_warning!("Client id={id} closed: its request is too long");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Drop for Connection<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The engine may be poisoned.
            return;
        }
        self.sender.close();
        if let Some(Wait::Key { client, .. }) = &self.wait {
            self.executor.shared.engine.lock().take_wait_reply(client);
        }
    }
}
