//! Pushes: what a unit causes for clients other than its own.
//!
//! They are queued in commit order under the engine's lock, and delivered in that order after it.
//! Each carries the gate of the unit that caused it.

use super::{Engine, Guard};
use crate::log::Gate;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// A message for a client, encoded.
#[derive(Clone, Debug)]
pub struct Push {
    /// The message, shared by all who receive it.
    pub bytes: Bytes,
    /// What it waits for; `None` in memory-only mode.
    pub gate: Option<Gate>,
}

/// Where pushes are delivered. It is called by any thread, and waits for nothing.
pub trait Receiver: Send + Sync {
    /// Takes a push.
    fn receive(self: Arc<Self>, push: Push);
}

/// A push whose unit is under way.
pub(super) struct Caused {
    to: Arc<dyn Receiver>,
    bytes: Bytes,
}

/// Pushes on their way, in commit order.
#[derive(Default)]
pub(super) struct Outgoing {
    queue: Mutex<VecDeque<(Arc<dyn Receiver>, Push)>>,
    /// Held by the thread that delivers.
    delivery: Mutex<()>,
}

impl Guard<'_> {
    /// Has `bytes` delivered to `to` with the end of the unit under way.
    pub fn push(&mut self, to: Arc<dyn Receiver>, bytes: Bytes) {
        self.state.caused.push(Caused { to, bytes });
    }

    /// Gives what the unit that ends has caused the gate of its end.
    pub(super) fn queue_pushes(&mut self) {
        if self.state.caused.is_empty() {
            return;
        }
        let gate = self.gate(self.state.lsn);
        let mut queue = self.engine.outgoing.queue.lock();
        for Caused { to, bytes } in self.state.caused.drain(..) {
            queue.push_back((to, Push { bytes, gate: gate.clone() }));
        }
        self.deliveries.0 = Some(self.engine);
    }
}

/// Delivers what was queued when it is dropped. The engine is free by then.
#[derive(Default)]
pub(super) struct Deliveries<'a>(Option<&'a Engine>);

impl Drop for Deliveries<'_> {
    fn drop(&mut self) {
        // What a panic leaves is not logged, and not shown.
        if let Some(engine) = self.0.take().filter(|_| !std::thread::panicking()) {
            engine.outgoing.deliver();
        }
    }
}

impl Outgoing {
    fn deliver(&self) {
        loop {
            // The thread that delivers takes what comes meanwhile.
            let Some(delivery) = self.delivery.try_lock() else { return };
            loop {
                let next = self.queue.lock().pop_front();
                let Some((to, push)) = next else { break };
                to.receive(push);
            }
            drop(delivery);
            // Another thread may have queued some between the last look and the release.
            if self.queue.lock().is_empty() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::context::Settings;
    use crate::engine::Machine;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Received {
        engine: Mutex<Option<Arc<Engine>>>,
        pushes: Mutex<Vec<Bytes>>,
        taken: AtomicUsize,
    }

    impl Receiver for Received {
        fn receive(self: Arc<Self>, push: Push) {
            if let Some(engine) = &*self.engine.lock() {
                assert!(engine.state.try_lock().is_some(), "the engine is free");
                self.taken.fetch_add(1, Ordering::Relaxed);
            }
            self.pushes.lock().push(push.bytes);
        }
    }

    #[test]
    fn pushes_are_delivered_in_commit_order_once_the_engine_is_free() {
        let engine = Arc::new(Engine::in_memory(Machine::real(), 1, Settings::default()));
        let received = Arc::new(Received::default());
        *received.engine.lock() = Some(engine.clone());
        let mut guard = engine.lock();
        for number in 0..3u8 {
            let mut unit = guard.unit();
            unit.push(received.clone(), Bytes::from(vec![number]));
            unit.push(received.clone(), Bytes::from(vec![number, 1]));
            unit.end();
        }
        assert!(received.pushes.lock().is_empty());
        drop(guard);
        let expected: [&[u8]; 6] = [&[0], &[0, 1], &[1], &[1, 1], &[2], &[2, 1]];
        assert_eq!(*received.pushes.lock(), expected);
        assert_eq!(received.taken.load(Ordering::Relaxed), 6);
        *received.engine.lock() = None;
    }
}
