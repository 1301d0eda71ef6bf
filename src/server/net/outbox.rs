//! What a connection sends: replies, those of a batch behind one gate, and pushes between them.

use super::mailbox::Mailbox;
use crate::log::{Gate, Log, Passage};
use crate::resp::{Output, Protocol, Reply};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// How many batches' replies wait separately; beyond, they wait together.
const HELD_MAX: usize = 64;
/// A push of at least this many bytes is sent from where it is.
const SHARED_BYTES_MIN: usize = 4096;

/// Replies of one batch, which wait.
struct Held {
    /// Where they end in the output.
    end: usize,
    /// `None` if they wait only for those before them.
    gate: Option<Gate>,
    /// How many replies there are.
    replies: usize,
    /// Whether one of the commands changed something.
    wrote: bool,
    protocol: Protocol,
}

/// What a connection sends.
#[derive(Default)]
pub struct Outbox {
    /// Replies are written here. [`Outbox::hold`] or [`Outbox::release`] follows.
    pub output: Output,
    /// Everything before this position may leave.
    ready: usize,
    held: VecDeque<Held>,
    /// The connection ends once everything has left.
    is_closing: bool,
}

impl Outbox {
    /// Holds the last `replies` replies back until `gate` is passed.
    pub fn hold(&mut self, gate: Gate, replies: usize, wrote: bool, protocol: Protocol) {
        self.add(Held { end: self.output.end(), gate: Some(gate), replies, wrote, protocol });
    }

    /// Lets the last `replies` replies leave, after those that are held.
    pub fn release(&mut self, replies: usize, protocol: Protocol) {
        let end = self.output.end();
        if self.held.is_empty() {
            self.ready = end;
        } else {
            // What is held before them may be refused.
            self.add(Held { end, gate: None, replies, wrote: false, protocol });
        }
    }

    fn add(&mut self, held: Held) {
        let is_full = self.held.len() >= HELD_MAX;
        match self.held.back_mut() {
            Some(last) if is_full && last.joins(&held) => {
                if let (Some(gate), Some(other)) = (&mut last.gate, &held.gate) {
                    gate.join(other);
                } else {
                    last.gate = last.gate.take().or(held.gate);
                }
                last.end = held.end;
                last.replies += held.replies;
                last.wrote |= held.wrote;
            }
            _ => self.held.push_back(held),
        }
    }

    /// Takes the pushes of a mailbox whose gates are passed. They leave before the replies that are
    /// held.
    pub fn take_passed(&mut self, mailbox: &Mailbox) {
        let Some(first) = mailbox.take_passed() else { return };
        let held = self.output.split_off(self.ready);
        let rest = std::iter::from_fn(|| mailbox.take_passed());
        for push in std::iter::once(first).chain(rest) {
            if push.len() < SHARED_BYTES_MIN {
                self.output.write(&push);
            } else {
                self.output.share(push);
            }
        }
        let bytes = self.output.end() - self.ready;
        self.ready += bytes;
        self.output.append(held);
        self.held.iter_mut().for_each(|held| held.end += bytes);
    }

    /// Makes everything ready to leave whose gate is passed.
    pub fn settle(&mut self) {
        while let Some(first) = self.held.front() {
            match first.gate.as_ref().map_or(Passage::Open, Gate::passage) {
                Passage::Wait => return,
                Passage::Open => {
                    self.ready = first.end;
                    self.held.pop_front();
                }
                Passage::Failed => self.refuse(),
            }
        }
    }

    /// The log has failed before the first held batch was durable. A client that only read learns that
    /// its reads are refused. The outcome of a write is unknown: its client is disconnected.
    fn refuse(&mut self) {
        let wrote = self.held.iter().any(|held| held.wrote);
        let Some(first) = self.held.pop_front() else { return };
        let log = first.gate.as_ref().map(|gate| &gate.log);
        let cause = log.and_then(|log| log.failure()).map_or_else(String::new, |it| it.cause);
        let mut refused = Output::default();
        let mut reply = Reply::new(&mut refused, first.protocol);
        if wrote {
            reply.error(format!(
                "MISCONF outcome unknown: {cause}. The write may or may not survive a restart"
            ));
            self.output.truncate(self.ready);
            self.output.append(refused);
            self.held.clear();
            self.is_closing = true;
        } else {
            for _ in 0..first.replies {
                reply.error(format!("MISCONF Errors writing to the log: {cause}"));
            }
            let grown = refused.len() as isize - (first.end - self.ready) as isize;
            self.output.replace(self.ready..first.end, refused);
            for held in &mut self.held {
                held.end = held.end.strict_add_signed(grown);
            }
            self.ready = first.end.strict_add_signed(grown);
            return;
        }
        self.ready = self.output.end();
    }

    /// The gate that the first held replies wait for.
    pub fn gate(&self) -> Option<&Gate> {
        self.held.front().and_then(|held| held.gate.as_ref())
    }

    /// Whether something may leave.
    pub fn has_ready(&self) -> bool {
        self.ready > self.output.start()
    }

    /// Fills `slices` with what may leave. Gives how many there are.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.output.slices(self.ready, slices)
    }

    /// Whether nothing is left to send.
    pub fn is_empty(&self) -> bool {
        self.output.is_empty() && self.held.is_empty()
    }

    /// Whether the connection ends once everything has left.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Has the connection end once everything has left.
    pub fn close(&mut self) {
        self.is_closing = true;
    }
}

impl Held {
    /// Whether these replies and later ones may wait for the same gate.
    fn joins(&self, later: &Held) -> bool {
        let log = |held: &Held| held.gate.as_ref().map(|gate| Arc::<Log>::as_ptr(&gate.log));
        match (log(self), log(later)) {
            (Some(log), Some(other)) => log == other,
            _ => true,
        }
    }
}
