//! `CLIENT PAUSE`: for a while, some commands wait before they execute.

use super::{Guard, Session};
use crate::commands::spec::EngineCommand;
use crate::commands::{Flags, Handler, Spec};

/// A pause that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    /// When it ends, as Unix time in ms.
    pub(super) until_ms: i64,
    /// Whether all commands wait, and not only those that may write.
    all: bool,
}

impl Guard<'_> {
    /// Makes commands wait until `until_ms`, Unix time: all of them, or those that may write. A pause
    /// that is under way only becomes longer and stricter.
    pub fn pause(&mut self, until_ms: i64, all: bool) {
        let known = self.current_pause();
        self.state.pause = Some(Pause {
            until_ms: known.map_or(until_ms, |pause| pause.until_ms.max(until_ms)),
            all: all || known.is_some_and(|pause| pause.all),
        });
    }

    /// Ends the pause.
    pub fn unpause(&mut self) {
        self.state.pause = None;
    }

    /// When the pause ends for which this command has to wait, as Unix time in ms.
    pub fn paused_until_ms(&self, session: &Session, spec: &Spec) -> Option<i64> {
        let pause = self.current_pause()?;
        (pause.all || may_write(session, spec)).then_some(pause.until_ms)
    }

    /// The pause, unless its time is over. Meanwhile no key expires: nothing is to change.
    pub(super) fn current_pause(&self) -> Option<Pause> {
        self.state.pause.filter(|pause| pause.until_ms > self.now_ms)
    }
}

fn may_write(session: &Session, spec: &Spec) -> bool {
    let writes = |spec: &Spec| spec.is_write() || spec.flags.has(Flags::MAY_REPLICATE);
    match spec.handler {
        Handler::Engine(EngineCommand::Exec) => session.queued_specs().any(writes),
        _ => !session.in_transaction() && writes(spec),
    }
}
