//! Replies and pushes that wait for the log, on one I/O thread.
//!
//! Connections execute and register here. One task per thread, the dispatcher, then submits to the
//! log for all of them (under `everysec` and `no` that is one write), and has those whose gates are
//! passed send: it writes to their sockets itself, so that no connection's task is woken for a reply.
//! The dispatcher is woken by what was executed on this thread, and by each watermark of the log that
//! moves.

use crate::engine::Engine;
use crate::log::{Gate, Passage};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;

/// What sends replies and pushes of one connection.
pub trait Sends: Send + Sync {
    /// The gate that [`ReplyGates::add_replies`] was given is passed, or its log has failed.
    fn replies_passed(self: Arc<Self>);

    /// The gate that [`ReplyGates::add_pushes`] was given is passed.
    fn pushes_passed(self: Arc<Self>);
}

/// One I/O thread's gates.
#[derive(Default)]
pub struct ReplyGates {
    waiting: Mutex<Waiting>,
    /// Something was executed here that may need a drain.
    executed: AtomicBool,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    /// In the order of their numbers.
    tasks: Vec<WaitingTask>,
    /// The number of the last one.
    last: u64,
    replies: Vec<(Gate, Arc<dyn Sends>)>,
    pushes: Vec<(Option<Gate>, Arc<dyn Sends>)>,
}

/// The registration of a task that the dispatcher will wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration(u64);

struct WaitingTask {
    registration: Registration,
    gate: Gate,
    waker: Waker,
}

/// Those whose gates are passed.
#[derive(Default)]
struct Passed {
    tasks: Vec<Waker>,
    replies: Vec<Arc<dyn Sends>>,
    pushes: Vec<Arc<dyn Sends>>,
}

impl ReplyGates {
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

    /// Has replies sent once their gate is passed.
    pub fn add_replies(&self, gate: Gate, sender: Arc<dyn Sends>) {
        self.waiting.lock().replies.push((gate.clone(), sender));
        self.wake_if_passed(&gate);
    }

    /// Has pushes sent once the gate of the first one is passed; at once if it has none. From any
    /// thread.
    pub fn add_pushes(&self, gate: Option<Gate>, sender: Arc<dyn Sends>) {
        self.waiting.lock().pushes.push((gate.clone(), sender));
        match gate {
            Some(gate) => self.wake_if_passed(&gate),
            None => self.wake(),
        }
    }

    /// A gate may have been passed before it was registered, unseen by the dispatcher.
    fn wake_if_passed(&self, gate: &Gate) {
        if gate.passage() != Passage::Wait {
            self.wake();
        }
    }

    /// Removes what was registered for a sender.
    pub fn remove(&self, sender: &Arc<dyn Sends>) {
        let mut waiting = self.waiting.lock();
        let is_other = |other: &Arc<dyn Sends>| !Arc::ptr_eq(other, sender);
        waiting.replies.retain(|(_, other)| is_other(other));
        waiting.pushes.retain(|(_, other)| is_other(other));
    }

    /// Whether a gate is passed. If not, the task is registered to be woken, unless `registered`
    /// still is.
    pub fn poll_passage(
        &self,
        context: &mut Context<'_>,
        gate: &Gate,
        registered: &mut Option<Registration>,
    ) -> Poll<Passage> {
        match gate.passage() {
            Passage::Wait => {}
            settled => return Poll::Ready(settled),
        }
        let mut waiting = self.waiting.lock();
        // Woken does not mean passed: a gate that was passed when the dispatcher looked may be closed
        // again, because the log has fallen behind since.
        let still = registered.is_some_and(|it| {
            waiting.tasks.binary_search_by_key(&it.0, |task| task.registration.0).is_ok()
        });
        if still {
            return Poll::Pending;
        }
        waiting.last += 1;
        let registration = Registration(waiting.last);
        *registered = Some(registration);
        let waker = context.waker().clone();
        waiting.tasks.push(WaitingTask { registration, gate: gate.clone(), waker });
        drop(waiting);
        // It may have been passed before it was registered, unseen by the dispatcher.
        match gate.passage() {
            Passage::Wait => Poll::Pending,
            settled => Poll::Ready(settled),
        }
    }

    /// The dispatcher; never returns.
    pub async fn dispatch(&self, engine: &Engine) {
        let mut passed = Passed::default();
        // It writes for all connections: the share of work that a task may do at a time is for one.
        let work = async {
            loop {
                self.wake.notified().await;
                if self.executed.swap(false, Ordering::AcqRel)
                    && let Some(log) = engine.log()
                {
                    log.submit();
                }
                self.take_passed(&mut passed);
                passed.tasks.drain(..).for_each(Waker::wake);
                passed.replies.drain(..).for_each(|sender| sender.replies_passed());
                passed.pushes.drain(..).for_each(|sender| sender.pushes_passed());
            }
        };
        tokio::task::unconstrained(work).await
    }

    /// Takes out those whose gates are passed.
    fn take_passed(&self, passed: &mut Passed) {
        let mut waiting = self.waiting.lock();
        let is_settled = |gate: &Gate| gate.passage() != Passage::Wait;
        let tasks = waiting.tasks.extract_if(.., |task| is_settled(&task.gate));
        passed.tasks.extend(tasks.map(|task| task.waker));
        let replies = waiting.replies.extract_if(.., |(gate, _)| is_settled(gate));
        passed.replies.extend(replies.map(|(_, sender)| sender));
        let is_open = |gate: &Gate| gate.passage() == Passage::Open;
        let pushes = waiting.pushes.extract_if(.., |(gate, _)| gate.as_ref().is_none_or(is_open));
        passed.pushes.extend(pushes.map(|(_, sender)| sender));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::context::Settings;
    use crate::disk::SimDisk;
    use crate::engine::Machine;
    use crate::env::{SimClock, seeded_random};
    use crate::log::{Durability, Options};
    use std::path::Path;

    #[test]
    fn a_task_woken_while_the_log_falls_behind_is_woken_again() {
        let clock = SimClock::new(0);
        let machine = Machine {
            disk: Arc::new(SimDisk::new()),
            clock: clock.clone(),
            random: Arc::new(|| seeded_random(1)),
        };
        let options = Options { durability: Durability::EverySec, ..Options::default() };
        let opened = Engine::open(machine, Path::new("d"), 1, Settings::default(), options);
        let log = opened.expect("an empty disk").0.log().expect("it has one");
        let lsn = log.append(&mut b"*1\r\n$4\r\nPING\r\n".to_vec(), 0);
        let gate = Gate { log: log.clone(), lsn, durability: Durability::EverySec };
        let gates = ReplyGates::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut registered = None;
        let mut poll = || gates.poll_passage(&mut context, &gate, &mut registered);
        let woken = || {
            let mut passed = Passed::default();
            gates.take_passed(&mut passed);
            passed.tasks.len()
        };
        assert_eq!((poll(), poll()), (Poll::Pending, Poll::Pending), "it is not written yet");
        assert_eq!(woken(), 0);
        log.drain();
        assert_eq!(woken(), 1, "once, however often it was asked");
        // A sync takes long, and the task gets its turn only now.
        clock.advance_us(2_000_000);
        assert_eq!(poll(), Poll::Pending);
        assert_eq!(woken(), 0);
        log.settle();
        assert_eq!(woken(), 1);
        assert_eq!(poll(), Poll::Ready(Passage::Open));
    }
}
