//! Replies that wait for the log, on one I/O thread.
//!
//! Connections execute and register here; one task per thread, the dispatcher, then submits to the log
//! for all of them (under `everysec` and `no` that is one write), and wakes those whose replies may leave. It
//! is woken when something was executed on this thread, and when the log says that a watermark moved.

use crate::engine::Engine;
use crate::log::{Gate, Log, Passage};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;

/// One I/O thread's waiting replies.
#[derive(Default)]
pub struct Waiters {
    waiting: Mutex<Vec<Waiter>>,
    /// Something was executed here that may need a drain.
    executed: AtomicBool,
    wake: Notify,
}

struct Waiter {
    log: Arc<Log>,
    gate: Gate,
    waker: Waker,
}

impl Waiters {
    /// Wakes the dispatcher; safe from any thread.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Notes that commands were executed on this thread, so that the dispatcher submits them once the
    /// other connections that are ready have executed theirs.
    pub fn executed(&self) {
        self.executed.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether what is behind `gate` may leave; registers the task to be woken if not, unless
    /// `registered` says that it is: whoever is registered stays so until it is woken.
    pub fn poll_passage(
        &self,
        context: &mut Context<'_>,
        log: &Arc<Log>,
        gate: Gate,
        registered: &mut bool,
    ) -> Poll<Passage> {
        match log.passage(gate) {
            Passage::Wait => {}
            settled => return Poll::Ready(settled),
        }
        if std::mem::replace(registered, true) {
            return Poll::Pending;
        }
        let waiter = Waiter { log: log.clone(), gate, waker: context.waker().clone() };
        self.waiting.lock().push(waiter);
        // It may have passed between the first look and the registration, unseen by the dispatcher.
        match log.passage(gate) {
            Passage::Wait => Poll::Pending,
            settled => Poll::Ready(settled),
        }
    }

    /// The dispatcher; never returns.
    pub async fn dispatch(&self, engine: &Engine) {
        let mut woken = Vec::new();
        loop {
            self.wake.notified().await;
            if self.executed.swap(false, Ordering::AcqRel)
                && let Some(log) = engine.log()
            {
                log.submit();
            }
            self.waiting.lock().retain(|waiter| {
                let waits = waiter.log.passage(waiter.gate) == Passage::Wait;
                if !waits {
                    woken.push(waiter.waker.clone());
                }
                waits
            });
            woken.drain(..).for_each(Waker::wake);
        }
    }
}
