//! The table: a row for each command, which holds the function that carries it out, typed by what
//! that needs. It is generic over its host, so that the engine is embedded with the commands on
//! data and transactions, and a server adds what concerns the process and its connections.

use super::state::Session;
use super::steps::{self, Step};
use crate::commands::spec::DataHandler;
use crate::commands::table::FAMILIES;
use crate::commands::{CommandResult, Directory, Flags, Handler, Spec};
use crate::engine::Unit;
use crate::log::{Log, Lsn};
use crate::resp::{Args, Reply};
use std::sync::Arc;

/// A command of the host, with what it needs: the engine and the session.
pub struct Call<'c, 'u, 'e, H> {
    /// The host's state of this client.
    pub host: &'c mut H,
    /// The client.
    pub session: &'c mut Session,
    /// The unit that the command is, or is a part of; through it the engine.
    pub unit: &'c mut Unit<'u, 'e>,
    /// Where the reply goes.
    pub reply: Reply<'c>,
}

/// A command of the host that needs no engine.
pub struct FreeCall<'c, H> {
    /// The host's state of this client.
    pub host: &'c mut H,
    /// The client.
    pub session: &'c mut Session,
    /// Where the reply goes.
    pub reply: Reply<'c>,
    /// What the reply depends on, if it shows counts of keys: a log and an LSN.
    pub depends_on: Option<(Arc<Log>, Lsn)>,
    rest: Option<Rest<H>>,
}

/// The rest of a command, which makes its reply.
pub(super) type Rest<H> = Box<dyn FnOnce(&mut H, &mut Reply<'_>) -> CommandResult + Send>;

impl<'c, H> FreeCall<'c, H> {
    pub(super) fn new(host: &'c mut H, session: &'c mut Session, reply: Reply<'c>) -> Self {
        Self { host, session, reply, depends_on: None, rest: None }
    }

    /// Puts the rest of the command off until the engine is free. It makes the reply.
    pub fn once_engine_is_free(
        &mut self,
        rest: impl FnOnce(&mut H, &mut Reply<'_>) -> CommandResult + Send + 'static,
    ) {
        self.rest = Some(Box::new(rest));
    }

    pub(super) fn take_rest(&mut self) -> Option<Rest<H>> {
        self.rest.take()
    }
}

/// How a command is carried out.
pub enum Run<H> {
    /// On data.
    Data(DataHandler),
    /// With engine and session.
    Engine(fn(&mut Call<'_, '_, '_, H>, Args<'_>) -> CommandResult),
    /// With the session; nothing is locked. Within `EXEC` it runs in its turn, though the engine is
    /// held: it waits for nothing, reads no file and walks over no clients, but may put its rest
    /// off ([`FreeCall::once_engine_is_free`]).
    Free(fn(&mut FreeCall<'_, H>, Args<'_>) -> CommandResult),
    /// As `Free`, but never while the engine is held. Within `EXEC` its reply is made once the
    /// engine is free, and put in its place.
    Outside(fn(&mut FreeCall<'_, H>, Args<'_>) -> CommandResult),
    /// It opens, ends or carries out a transaction.
    Transaction(Step),
    /// Not at all: it is a name for its subcommands.
    Container,
}

impl<H> Clone for Run<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Run<H> {}

/// A row of the table.
pub struct Row<H: 'static> {
    spec: Spec,
    run: Run<H>,
    subcommands: &'static [Row<H>],
}

impl<H> Row<H> {
    /// A command that needs the engine and the session.
    pub const fn engine(
        spec: Spec,
        run: fn(&mut Call<'_, '_, '_, H>, Args<'_>) -> CommandResult,
    ) -> Self {
        Self { spec, run: Run::Engine(run), subcommands: &[] }
    }

    /// A command that needs no engine; see [`Run::Free`].
    pub const fn free(
        spec: Spec,
        run: fn(&mut FreeCall<'_, H>, Args<'_>) -> CommandResult,
    ) -> Self {
        Self { spec, run: Run::Free(run), subcommands: &[] }
    }

    /// A command that never runs while the engine is held; see [`Run::Outside`].
    pub const fn outside(
        spec: Spec,
        run: fn(&mut FreeCall<'_, H>, Args<'_>) -> CommandResult,
    ) -> Self {
        Self { spec, run: Run::Outside(run), subcommands: &[] }
    }

    /// A name for `subcommands`.
    pub const fn container(spec: Spec, subcommands: &'static [Row<H>]) -> Self {
        Self { spec, run: Run::Container, subcommands }
    }
}

/// All commands of a host.
pub struct Table<H: 'static> {
    directory: &'static Directory,
    /// By the number of the command.
    runs: Vec<Run<H>>,
}

impl<H> Table<H> {
    /// The commands on data, those of transactions, and these rows. It lives as long as the
    /// process.
    pub fn new(families: &[&'static [Row<H>]]) -> Self {
        let mut specs: Vec<Spec> =
            FAMILIES.iter().flat_map(|family| family.iter()).copied().collect();
        specs.extend(steps::COMMANDS.iter().map(|(spec, _)| *spec));
        for row in families.iter().flat_map(|family| family.iter()) {
            let subcommands: Vec<Spec> = row.subcommands.iter().map(|sub| sub.spec).collect();
            specs.push(Spec { subcommands: Vec::leak(subcommands), ..row.spec });
        }
        let directory: &'static Directory = Box::leak(Box::new(Directory::new(specs.into_iter())));
        let mut runs = vec![Run::Container; directory.count()];
        for spec in directory.all().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands)) {
            if let Handler::Data(run) = spec.handler {
                runs[usize::from(spec.number)] = Run::Data(run);
            }
        }
        let mut set = |name: &str, run| {
            let spec = directory.by_full_name(name.as_bytes()).expect("it was just declared");
            runs[usize::from(spec.number)] = run;
        };
        for (spec, step) in &steps::COMMANDS {
            set(spec.full_name, Run::Transaction(*step));
        }
        for row in families.iter().flat_map(|family| family.iter()) {
            set(row.spec.full_name, row.run);
            row.subcommands.iter().for_each(|sub| set(sub.spec.full_name, sub.run));
        }
        Self { directory, runs }
    }

    /// The commands by name.
    pub fn directory(&self) -> &'static Directory {
        self.directory
    }

    /// Whether a command of this table runs now without the engine, and is not queued.
    pub fn is_free(&self, spec: &'static Spec, session: &Session) -> bool {
        matches!(self.run(spec), Run::Free(_) | Run::Outside(_))
            && (!session.in_transaction() || spec.flags.has(Flags::RUNS_IN_MULTI))
    }

    /// How a command of this table is carried out.
    pub fn run(&self, spec: &'static Spec) -> Run<H> {
        self.runs[usize::from(spec.number)]
    }
}
