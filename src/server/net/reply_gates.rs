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
pub struct ReplyGates {
    waiting: Mutex<Waiting>,
    /// Something was executed here that may need a drain.
    executed: AtomicBool,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    /// In the order in which they came, and so of their numbers.
    tasks: Vec<WaitingTask>,
    /// The number of the last one.
    last: u64,
}

/// Whom the dispatcher will wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration(u64);

struct WaitingTask {
    registration: Registration,
    log: Arc<Log>,
    gate: Gate,
    waker: Waker,
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

    /// Whether what is behind `gate` may leave. If not, the task is registered to be woken, unless `registered` says
    /// that it still is.
    pub fn poll_passage(
        &self,
        context: &mut Context<'_>,
        log: &Arc<Log>,
        gate: Gate,
        registered: &mut Option<Registration>,
    ) -> Poll<Passage> {
        match log.passage(gate) {
            Passage::Wait => {}
            settled => return Poll::Ready(settled),
        }
        let mut waiting = self.waiting.lock();
        // Woken does not mean passed: what was open when the dispatcher looked may be closed again, because the
        // log has fallen behind since.
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
        waiting.tasks.push(WaitingTask { registration, log: log.clone(), gate, waker });
        drop(waiting);
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
            self.take_passed(&mut woken);
            woken.drain(..).for_each(Waker::wake);
        }
    }

    /// Takes out those whose replies may leave.
    fn take_passed(&self, woken: &mut Vec<Waker>) {
        self.waiting.lock().tasks.retain(|task| {
            let waits = task.log.passage(task.gate) == Passage::Wait;
            if !waits {
                woken.push(task.waker.clone());
            }
            waits
        });
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
    fn who_was_woken_while_the_log_fell_behind_is_woken_again() {
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
        let gate = Gate { lsn, durability: Durability::EverySec };
        let gates = ReplyGates::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut registered = None;
        let mut poll = || gates.poll_passage(&mut context, &log, gate, &mut registered);
        let woken = || {
            let mut woken = Vec::new();
            gates.take_passed(&mut woken);
            woken.len()
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
