//! What others send to a client: pushes, which wait here until their gates are passed.
//!
//! Pushes leave in the order in which they came. One whose log has failed waits until the log heals.

use crate::engine::Push;
use crate::log::{Gate, Passage};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A client's pushes.
#[derive(Default)]
pub struct Mailbox {
    pushes: Mutex<Pushes>,
    /// Bytes of the pushes that wait.
    bytes: AtomicUsize,
}

#[derive(Default)]
struct Pushes {
    waiting: VecDeque<Push>,
    /// The dispatcher knows the gate of a push that is or was the first.
    is_registered: bool,
    is_closed: bool,
}

impl Mailbox {
    /// Adds a push. Whether its gate is to be registered with the dispatcher.
    pub fn add(&self, push: Push) -> bool {
        let mut pushes = self.pushes.lock();
        if pushes.is_closed {
            return false;
        }
        self.bytes.fetch_add(push.bytes.len(), Ordering::Relaxed);
        pushes.waiting.push_back(push);
        !std::mem::replace(&mut pushes.is_registered, true)
    }

    /// Takes the first push if its gate is passed.
    pub fn take_passed(&self) -> Option<Bytes> {
        if self.bytes() == 0 {
            return None;
        }
        let mut pushes = self.pushes.lock();
        let gate = &pushes.waiting.front()?.gate;
        if gate.as_ref().is_some_and(|gate| gate.passage() != Passage::Open) {
            return None;
        }
        let push = pushes.waiting.pop_front()?;
        self.bytes.fetch_sub(push.bytes.len(), Ordering::Relaxed);
        Some(push.bytes)
    }

    /// The gate of the first push, for the dispatcher, which has none of this mailbox any more.
    /// `None` if no push waits.
    pub fn next_registration(&self) -> Option<Option<Gate>> {
        let mut pushes = self.pushes.lock();
        let gate = pushes.waiting.front().map(|push| push.gate.clone());
        pushes.is_registered = gate.is_some();
        gate
    }

    /// Bytes of the pushes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Drops what waits, and what comes from now on. Whether the dispatcher has a gate of it.
    pub fn close(&self) -> bool {
        let mut pushes = self.pushes.lock();
        self.bytes.store(0, Ordering::Relaxed);
        let closed = Pushes { is_closed: true, ..Pushes::default() };
        std::mem::replace(&mut *pushes, closed).is_registered
    }
}
