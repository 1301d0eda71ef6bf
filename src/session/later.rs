//! Replies within an `EXEC` that are made once the engine is free, and put in their place then.

use super::observe::Observed;
use super::state::Session;
use super::table::{FreeCall, Rest, Run, Table};
use crate::commands::Spec;
use crate::log::{Log, Lsn};
use crate::resp::{Output, OwnedArgs, Protocol, Reply};
use std::sync::Arc;

/// Replies that are still to be made, in the order of their commands.
pub struct Later<H: 'static>(Vec<LaterReply<H>>);

impl<H> Default for Later<H> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

struct LaterReply<H: 'static> {
    /// Where in the output it belongs; `None` if it is not sent.
    at: Option<usize>,
    spec: &'static Spec,
    work: Work<H>,
    protocol: Protocol,
}

/// What makes a reply.
pub(super) enum Work<H> {
    /// The whole command, with these arguments.
    Command(OwnedArgs),
    /// The rest of it.
    Rest(Rest<H>),
}

impl<H> Later<H> {
    /// Has the reply of a command made later, which belongs at `at`.
    pub(super) fn add(
        &mut self,
        at: usize,
        spec: &'static Spec,
        work: Work<H>,
        protocol: Protocol,
    ) {
        self.0.push(LaterReply { at: Some(at), spec, work, protocol });
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends none of those that belong at `from` or after it. They are made all the same.
    pub fn mute(&mut self, from: usize) {
        for later in &mut self.0 {
            later.at = later.at.filter(|&at| at < from);
        }
    }

    /// Whether one of them is sent.
    pub fn is_sent(&self) -> bool {
        self.0.iter().any(|later| later.at.is_some())
    }

    /// Makes all of them, and puts them into `output`. Gives what the last of them that shows
    /// counts of keys depends on.
    pub fn make(
        &mut self,
        table: &Table<H>,
        session: &mut Session,
        host: &mut H,
        observed: &mut Observed,
        output: &mut Output,
    ) -> Option<(Arc<Log>, Lsn)> {
        let replies = std::mem::take(&mut self.0);
        let mut moved = replies.iter().find_map(|later| later.at).unwrap_or(output.end());
        let mut after = output.split_off(moved);
        let mut depends_on = None;
        for later in replies {
            let mut unsent = Output::default();
            let out = match later.at {
                Some(at) => {
                    let rest = after.split_off(at - moved);
                    output.append(std::mem::replace(&mut after, rest));
                    moved = at;
                    &mut *output
                }
                None => &mut unsent,
            };
            let before = out.end();
            let mut reply = Reply::new(out, later.protocol);
            let result = match (later.work, table.run(later.spec)) {
                (Work::Rest(rest), _) => rest(&mut *host, &mut reply),
                (Work::Command(args), Run::Outside(run)) => {
                    let mut call = FreeCall::new(&mut *host, &mut *session, reply);
                    let result = run(&mut call, args.as_args());
                    depends_on = call.depends_on.or(depends_on);
                    result
                }
                (Work::Command(_), _) => continue,
            };
            if let Err(error) = result {
                out.truncate(before);
                Reply::new(out, later.protocol).error(error.bytes());
                observed.error(&error);
                observed.failed(later.spec);
            }
        }
        output.append(after);
        depends_on
    }
}
