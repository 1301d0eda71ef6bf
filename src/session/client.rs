//! A client without a connection, for programs that embed the engine.

use super::later::Later;
use super::observe::{Observed, Stats};
use super::request::{Request, Way};
use super::state::Session;
use super::table::Table;
use crate::engine::{Guard, Outcome};
use crate::resp::{Args, Output, OwnedArgs};
use std::sync::LazyLock;

/// The commands on data and those of transactions.
pub static COMMANDS: LazyLock<Table<()>> = LazyLock::new(|| Table::new(&[]));

/// A client of an embedded engine: it carries out commands on data and transactions.
#[derive(Default)]
pub struct Client {
    /// What is remembered of it between its commands.
    pub session: Session,
    /// What was counted of its commands.
    pub stats: Stats,
    observed: Observed,
}

impl Client {
    /// Executes a command and appends its reply, in RESP, to `reply`. The reply may be shown once
    /// the log lets it pass: see [`crate::log::Log::passage`].
    pub fn execute(
        &mut self,
        engine: &mut Guard<'_>,
        args: Args<'_>,
        reply: &mut Output,
    ) -> Outcome {
        self.observed.begin(engine.began_us());
        let mut way = Way {
            table: &*COMMANDS,
            session: &mut self.session,
            host: &mut (),
            observed: &mut self.observed,
            later: &mut Later::<()>::default(),
        };
        let resolved = COMMANDS.directory().resolve(args);
        let request = Request { resolved: resolved.as_ref().copied(), args };
        let outcome = way.request(engine, &request, reply);
        self.stats.add(&mut self.observed);
        outcome
    }

    /// As [`Client::execute`], for words in a slice. Gives the reply, too.
    pub fn run(&mut self, engine: &mut Guard<'_>, words: &[&[u8]]) -> (Outcome, Vec<u8>) {
        let (args, mut reply) = (OwnedArgs::from_slices(words), Output::default());
        let outcome = self.execute(engine, args.as_args(), &mut reply);
        (outcome, reply.to_vec())
    }
}
