//! `CONFIG`.

use super::{ALL_NODES, ALWAYS, ALWAYS_ADMIN as ADMIN, Call, ConnectionState, Free};
use crate::commands::reply_help;
use crate::commands::spec::Categories;
use crate::commands::{CommandError, CommandResult, Spec};
use crate::engine::{self, Guard};
use crate::resp::Args;
use crate::server::config::command as config_command;
use crate::server::config::engine as engine_config;
use crate::server::config::{self, Effect, SetError};
use crate::server::logger;
use crate::server::state::{descriptors, memory};
use crate::session::Row;
use std::path::Path;
use std::sync::atomic::Ordering;

/// This family's part of the table.
pub static COMMANDS: [Row<ConnectionState>; 1] = [Row::container(
    Spec::container("config", &[]).doc(
        "server",
        "2.0.0",
        "Depends on the subcommand.",
        "Looks after the configuration.",
    ),
    &CONFIG,
)];

static CONFIG: [Row<ConnectionState>; 5] = [
    Row::free(
        Spec::host("config|get", -3)
            .syntax("parameter(parameter)...")
            .changes(&[("7.0.0", "Takes several patterns.")])
            .flags(ADMIN, Categories::NONE)
            .doc("server", "2.0.0", "O(N) in the number of patterns", "The values of directives."),
        get,
    ),
    Row::engine(
        Spec::host("config|set", -4)
            .syntax("parameter_value(parameter value)...")
            .changes(&[("7.0.0", "Takes several directives.")])
            .flags(ADMIN, Categories::NONE)
            .doc("server", "2.0.0", "O(N) in the number of directives", "Changes directives.")
            .tips(ALL_NODES),
        set,
    ),
    Row::engine(
        Spec::host("config|resetstat", 2)
            .flags(ADMIN, Categories::NONE)
            .doc("server", "2.0.0", "O(1)", "Sets the statistics back to zero.")
            .tips(ALL_NODES),
        reset_stat,
    ),
    Row::free(
        Spec::host("config|rewrite", 2)
            .flags(ADMIN, Categories::NONE)
            .doc("server", "2.8.0", "O(1)", "Writes the directives in force to the file.")
            .tips(ALL_NODES),
        rewrite,
    ),
    Row::free(
        Spec::host("config|help", 2).flags(ALWAYS, Categories::NONE).doc(
            "server",
            "5.0.0",
            "O(1)",
            "Lists the subcommands.",
        ),
        help,
    ),
];

const HELP: &[&str] = &[
    "GET <pattern> [<pattern> ...]",
    "    Directives whose names match the patterns, and their values.",
    "SET <directive> <value> [<directive> <value> ...]",
    "    Change directives: all of them or none.",
    "RESETSTAT",
    "    Set the statistics of INFO back to zero.",
    "REWRITE",
    "    Write the directives in force to the configuration file.",
];

/// Why a change of the configuration was not carried out as it should have been.
enum Failure {
    /// Nothing has changed.
    Refused(String),
    /// The change is in force, but something that belongs to it was not done.
    InForce(String),
}

impl From<String> for Failure {
    fn from(cause: String) -> Self {
        Self::Refused(cause)
    }
}

/// `CONFIG GET pattern [pattern …]`
fn get(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    let patterns: Vec<&[u8]> = args.from(2).iter().collect();
    let found = config_command::get(&call.host.shared.config.read(), &patterns);
    call.reply.map(found.len());
    for (name, value) in found {
        call.reply.bulk(name.as_bytes());
        call.reply.bulk(value.as_bytes());
    }
    Ok(())
}

/// `CONFIG REWRITE`: the configuration of its turn goes to the file.
fn rewrite(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    let config = call.host.shared.config.read().clone();
    call.once_engine_is_free(move |state, reply| {
        config::rewrite_file(state.shared.config_file.as_deref(), &config)
            .map_err(|error| CommandError::new(format!("ERR {error}")))?;
        crate::log_notice!("CONFIG REWRITE executed with success.");
        reply.ok();
        Ok(())
    });
    Ok(())
}

/// `CONFIG RESETSTAT`
fn reset_stat(call: &mut Call<'_, '_, '_>, _args: Args<'_>) -> CommandResult {
    call.host.shared.reset_stats(call.unit);
    call.reply.ok();
    Ok(())
}

/// `CONFIG HELP`
fn help(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    reply_help(&mut call.reply, "CONFIG", HELP);
    Ok(())
}

/// `CONFIG SET directive value [directive value …]`
fn set(call: &mut Call<'_, '_, '_>, args: Args<'_>) -> CommandResult {
    let state = &mut *call.host;
    let engine: &mut Guard<'_> = call.unit;
    let refuse = |error: SetError| CommandError::new(format!("ERR {error}"));
    let arguments: Vec<&[u8]> = args.from(2).iter().collect();
    let current = state.shared.config.read().clone();
    let pending = config_command::set(&current, &arguments, state.is_local).map_err(refuse)?;
    state.check_retention(engine, &current, &pending).map_err(refuse)?;
    let mut flaw = None;
    for (index, (effect, change)) in pending.effects().iter().enumerate() {
        match state.carry_out(*effect, engine, &pending.config) {
            Ok(()) => {}
            Err(Failure::InForce(cause)) => flaw = Some(refuse(change.failed(cause))),
            Err(Failure::Refused(cause)) => {
                crate::log_warning!("CONFIG SET failed: {cause}");
                // What was carried out before it is taken back; that returns to a state that held.
                for (effect, _) in pending.effects().iter().take(index) {
                    let _ = state.carry_out(*effect, engine, &current);
                }
                return Err(refuse(change.failed(cause)));
            }
        }
    }
    engine.set_settings(engine_config::settings(&pending.config));
    state.shared.saves.refuse_writes(engine, &pending.config);
    state.shared.apply_limits(&pending.config);
    *state.shared.config.write() = pending.config;
    if let Some(flaw) = flaw {
        return Err(flaw);
    }
    call.reply.ok();
    Ok(())
}

impl ConnectionState {
    /// Retention is what is left after a wrong command: who may only send commands does not shorten
    /// it.
    fn check_retention(
        &self,
        engine: &Guard<'_>,
        current: &config::Config,
        pending: &config::Pending,
    ) -> Result<(), SetError> {
        let effects = pending.effects();
        let changed = effects.iter().find(|(effect, _)| *effect == Effect::Retention);
        let Some((_, change)) = changed else { return Ok(()) };
        if config_command::is_allowed(current.enable_protected_configs, self.is_local) {
            return Ok(());
        }
        let new = engine_config::retention(&pending.config);
        let shortens = match engine.log() {
            Some(log) => log.would_shorten(new),
            // Nobody knows what is kept on the disk.
            None => !new.covers(engine_config::retention(current)),
        };
        if shortens { Err(change.protected()) } else { Ok(()) }
    }

    fn carry_out(
        &mut self,
        effect: Effect,
        engine: &mut Guard<'_>,
        config: &config::Config,
    ) -> Result<(), Failure> {
        match effect {
            Effect::None => {}
            Effect::Listen => {
                let listened = self.shared.listeners.lock().apply(&self.shared, config);
                listened.map_err(|error| {
                    crate::log_warning!("Could not listen: {error}");
                    "Unable to listen on this port. Check server logs.".to_owned()
                })?;
            }
            Effect::Appendfsync => {
                engine.set_durability(engine_config::durability(config.appendfsync));
                if let Some(log) = engine.log() {
                    log.request_sync();
                }
                // The reply waits, under the new condition, for all that was visible.
                engine.depend_on_all_keys();
            }
            Effect::Appendonly => self.switch_log(engine, config)?,
            Effect::Maxclients => {
                let room = descriptors::room_for_clients(config);
                if room < u64::from(config.maxclients) {
                    return Err(Failure::Refused(format!(
                        "The operating system is not able to handle the specified number of clients, try \
                         with {room}"
                    )));
                }
            }
            Effect::Loglevel => logger::set_level(config.loglevel),
            Effect::Retention => {
                self.shared.retention_given.store(true, Ordering::Release);
                if let Some(log) = engine.log() {
                    log.set_retention(engine_config::retention(config));
                }
            }
            Effect::AllocatorThread => memory::set_allocator_thread(config.jemalloc_bg_thread),
        }
        Ok(())
    }

    /// `CONFIG SET appendonly`: begins a log of what is in memory, or closes the log.
    fn switch_log(
        &mut self,
        engine: &mut Guard<'_>,
        config: &config::Config,
    ) -> Result<(), Failure> {
        let refused = |why: &str| Err(Failure::Refused(why.to_owned()));
        if engine.in_exec() {
            return refused("the log cannot be begun or ended within a transaction");
        }
        if engine.is_loading() {
            return refused("the data are still being loaded");
        }
        // What is being written belongs to the log that ends, or to none.
        engine.abort_snapshot();
        self.shared.background.stop();
        if config.appendonly {
            let dir = engine::data_dir(Path::new(&config.dir.0));
            let log = engine
                .begin_log(&dir, engine_config::log_options(config))
                .map_err(|error| error.to_string())?;
            self.shared.apply_retention(&log, config);
            self.shared.start_log(&log);
            crate::log_notice!("A log begins in {}", dir.display());
            if let Some(kept) = log.previous_dir() {
                crate::log_notice!(
                    "The log before, with the earlier moments that can be restored from it, is kept in {} until \
                     somebody removes it",
                    kept.display()
                );
            }
        } else if let Some(log) = engine.end_log() {
            crate::log_warning!(
                "WARNING: 'appendonly' was switched off: what is written from now on IS LOST when \
                 the server ends, unless an RDB file has it by then. The log in {} stays as it is until \
                 'appendonly' is switched on again: then a new one takes its place, and where earlier \
                 moments are kept, the whole log is kept in a directory beside it",
                log.dir().display()
            );
            if let Err(error) = log.end() {
                // It is as after a crash: the next start with it recovers what was acknowledged.
                // There is no way back to it: its threads have ended.
                crate::log_warning!("The log could not be closed: {error}");
                return Err(Failure::InForce(format!(
                    "'appendonly' is 'no' from now on, but the log could not be closed: {error}. A start \
                     with it recovers what was acknowledged"
                )));
            }
        }
        Ok(())
    }
}
