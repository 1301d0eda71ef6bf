//! Commands about the server: `CONFIG`, `DEBUG`, `SHUTDOWN`, `WAIT`, `WAITAOF`, and handing the others
//! to their files.

use crate::commands::object::references;
use crate::commands::spec::ServerCommand;
use crate::commands::{CommandError, CommandResult};
use crate::commands::{glob, numbers};
use crate::data::Value;
use crate::data::digest::digest;
use crate::engine::{self, BlockedClient, Guard, LOADING, Reload, ServerCommands, Session};
use crate::log::{Log, Lsn};
use crate::resp::{Args, Reply};
use crate::server::commands::client;
use crate::server::commands::info;
use crate::server::commands::late::Late;
use crate::server::commands::latency;
use crate::server::commands::migrate;
use crate::server::commands::slowlog;
use crate::server::config::engine as engine_config;
use crate::server::config::{self, Effect, SetError, command as config_command};
use crate::server::logger;
use crate::server::state::clients::ClientInfo;
use crate::server::state::descriptors;
use crate::server::state::memory;
use crate::server::state::shared::Shared;
use crate::server::tasks::background;
use crate::server::tasks::saves;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A command that waits before it replies.
pub enum Block {
    /// For keys; the engine knows.
    Key(Arc<BlockedClient>),
    /// For the log.
    Log(LogBlock),
    /// For another server.
    Migrate(migrate::Request),
}

/// A command that waits for the log.
pub struct LogBlock {
    /// Everything below this LSN is to be durable; `None` if it waits for nothing but its timeout, because there
    /// are no replicas.
    pub until: Option<(Arc<Log>, Lsn)>,
    /// For how long at most; `None` for ever.
    pub timeout: Option<Duration>,
    /// What the reply says of the log: whether everything below the LSN is durable.
    pub local: Option<(Arc<Log>, Lsn)>,
    /// Writes the reply; the flag is the answer to `local`.
    pub reply: fn(&mut Reply<'_>, bool),
}

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

/// A timeout in ms; `None` is for ever.
fn timeout(arg: &[u8], engine: &Guard<'_>) -> Result<Option<Duration>, CommandError> {
    let ms = numbers::timeout_ms(arg, engine.now_ms())?;
    Ok((ms > 0).then(|| Duration::from_millis(ms)))
}

/// Whether a connection gets replies: `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyMode {
    /// It does.
    On,
    /// It does not.
    Off,
    /// The command behind the one at hand gets none.
    SkipNext,
    /// The command at hand gets none.
    Skip,
}

/// What the server remembers of a connection beyond the engine's session.
pub struct ConnectionState {
    /// What all connections share.
    pub shared: Arc<Shared>,
    /// What others may know of the connection.
    pub client: Arc<ClientInfo>,
    /// Connected through the loopback interface or the Unix socket.
    pub is_local: bool,
    /// The last command's full name.
    pub command: &'static str,
    /// The connection ends after the reply at hand.
    pub close: bool,
    /// The command at hand waits.
    pub block: Option<Block>,
    /// `CLIENT REPLY`.
    pub reply_mode: ReplyMode,
    /// Replies that are made once the engine is free.
    pub late: Late,
    /// How many of the batch's slow commands a late reply shows.
    pub slow_shown: Option<usize>,
    /// Where in the output begins what is not sent of the reply at hand.
    pub muted_from: Option<usize>,
}

impl ConnectionState {
    /// The state of a new connection.
    pub fn new(shared: Arc<Shared>, client: Arc<ClientInfo>, is_local: bool) -> Self {
        Self {
            shared,
            client,
            is_local,
            command: "NULL",
            close: false,
            block: None,
            reply_mode: ReplyMode::On,
            late: Late::default(),
            slow_shown: None,
            muted_from: None,
        }
    }

    /// Notes that a command begins, whose reply is to be written to the output from `position` on.
    pub fn begin_reply(&mut self, position: usize) {
        self.muted_from = self.is_muted().then_some(position);
    }

    /// Notes that the command at hand has its reply, if it is not one that waits. Whether that is sent.
    pub fn end_reply(&mut self) -> bool {
        let muted = self.is_muted();
        if self.block.is_none() {
            self.reply_mode = match self.reply_mode {
                ReplyMode::SkipNext => ReplyMode::Skip,
                ReplyMode::Skip => ReplyMode::On,
                mode => mode,
            };
        }
        !muted
    }

    /// Whether what comes next is answered with nothing.
    pub fn is_muted(&self) -> bool {
        matches!(self.reply_mode, ReplyMode::Off | ReplyMode::Skip)
    }

    /// Counts an error reply.
    pub fn count_error(&self) {
        Shared::count(&self.shared.counters.errors, 1);
    }
}

impl ServerCommands for ConnectionState {
    fn run(
        &mut self,
        command: ServerCommand,
        engine: &mut Guard<'_>,
        session: &mut Session,
        args: Args<'_>,
        reply: &mut Vec<u8>,
    ) -> CommandResult {
        use ServerCommand as C;
        let protocol = session.protocol;
        let mut out = Reply::new(reply, protocol);
        match command {
            C::ConfigGet => self.config_get(args, &mut out),
            C::ConfigSet => self.config_set(engine, args, &mut out)?,
            C::ConfigRewrite => {
                let config = self.shared.config.read().clone();
                let rewrite = move |state: &mut Self, out: &mut Reply<'_>| {
                    config::rewrite_file(state.shared.config_file.as_deref(), &config)
                        .map_err(|error| CommandError::new(format!("ERR {error}")))?;
                    crate::log_notice!("CONFIG REWRITE executed with success.");
                    out.ok();
                    Ok(())
                };
                self.late.add("config|rewrite", out.position(), protocol, rewrite);
            }
            C::ConfigResetStat => {
                info::reset(&self.shared, engine);
                out.ok();
            }
            C::ConfigHelp => help(&mut out, "CONFIG", CONFIG_HELP),
            C::Info => info::info(self, engine, args, out.position(), protocol),
            C::LastSave => out.integer(self.shared.saves.status().last_s as i64),
            C::Save => {
                engine.depend_on_all_keys();
                background::save_now(&self.shared, engine)?;
                out.ok();
            }
            C::Debug => self.debug(engine, session, args, &mut out)?,
            C::BgRewriteAof => {
                background::reply(background::bgrewriteaof(&self.shared, engine), &mut out)?;
            }
            C::BgSave => {
                let schedule = match args.get(1) {
                    None => false,
                    Some(word) if args.len() == 2 && word.eq_ignore_ascii_case(b"SCHEDULE") => true,
                    Some(_) => return Err(CommandError::SYNTAX),
                };
                background::reply(background::bgsave(&self.shared, engine, schedule), &mut out)?;
            }
            C::Shutdown => self.shutdown(engine, args)?,
            C::Wait => self.wait(engine, args, &mut out)?,
            C::WaitAof => self.wait_aof(engine, args, &mut out)?,
            C::Migrate => {
                debug_assert!(!engine.in_exec(), "it is not queued");
                let request = migrate::Request::parse(session.db, session.no_touch, args)?;
                self.block = Some(Block::Migrate(request));
            }
            C::ReplicaOf => replica_of(args, &mut out)?,
            C::Role => {
                out.array(3);
                out.bulk(b"master");
                out.integer(engine.lsn() as i64);
                out.array(0);
                engine.depend_on_all_keys();
            }
            C::LatencyHelp
            | C::LatencyHistogram
            | C::LatencyHistory
            | C::LatencyLatest
            | C::LatencyReset => latency::run(command, engine, args, &mut out),
            C::SlowlogGet | C::SlowlogHelp | C::SlowlogLen | C::SlowlogReset => {
                slowlog::run(self, command, engine, args, protocol, &mut out)?;
            }
            _ => client::run(self, command, engine, session, args, reply)?,
        }
        Ok(())
    }
}

/// `REPLICAOF NO ONE`; there is nothing to replicate from yet.
fn replica_of(args: Args<'_>, out: &mut Reply<'_>) -> CommandResult {
    let is = |index: usize, word: &[u8]| args.at(index).eq_ignore_ascii_case(word);
    if is(1, b"NO") && is(2, b"ONE") {
        out.ok();
        return Ok(());
    }
    if !(0..=65535).contains(&numbers::integer(args.at(2)).unwrap_or(-1)) {
        return Err(CommandError::fixed("ERR Invalid master port"));
    }
    Err(CommandError::fixed(
        "ERR there is no replication yet, so the data would not arrive: only NO ONE is accepted",
    ))
}

/// Writes the reply of a `HELP` subcommand.
pub fn help(out: &mut Reply<'_>, command: &str, lines: &[&str]) {
    out.array(lines.len() + 3);
    out.simple(&format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.iter().for_each(|line| out.simple(line));
    out.simple("HELP");
    out.simple("    Print this help.");
}

const CONFIG_HELP: &[&str] = &[
    "GET <pattern> [<pattern> ...]",
    "    Directives whose names match the patterns, and their values.",
    "SET <directive> <value> [<directive> <value> ...]",
    "    Change directives: all of them or none.",
    "RESETSTAT",
    "    Set the statistics of INFO back to zero.",
    "REWRITE",
    "    Write the directives in force to the configuration file.",
];

const DEBUG_HELP: &[&str] = &[
    "DIGEST",
    "    A number for everything in all databases.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    A number for each of these values.",
    "ERROR <message>",
    "    Reply with this error.",
    "LOADAOF",
    "    Throw away what is in memory and replay the log.",
    "LOG <message>",
    "    Write a message to the server's log.",
    "PANIC",
    "    End the process with a panic.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Add keys '<prefix>:<number>' that are not there, with values of this size in bytes.",
    "RELOAD [NOSAVE] [NOFLUSH] [MERGE]",
    "    Write the RDB file and load it; without writing it; beside what is there; in its place.",
    "SEGFAULT",
    "    End the process as a crash would.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Whether keys are expired without being asked for.",
    "SLEEP <seconds>",
    "    Hold the whole server for so long.",
    "STRINGMATCH-LEN <len> <pattern>",
    "    Match a string of so many letters against a pattern.",
];

impl ConnectionState {
    fn config_get(&self, args: Args<'_>, out: &mut Reply<'_>) {
        let patterns: Vec<&[u8]> = args.from(2).iter().collect();
        let found = config_command::get(&self.shared.config.read(), &patterns);
        out.map(found.len());
        for (name, value) in found {
            out.bulk(name.as_bytes());
            out.bulk(value.as_bytes());
        }
    }

    fn config_set(
        &mut self,
        engine: &mut Guard<'_>,
        args: Args<'_>,
        out: &mut Reply<'_>,
    ) -> CommandResult {
        let refuse = |error: SetError| CommandError::new(format!("ERR {error}"));
        let arguments: Vec<&[u8]> = args.from(2).iter().collect();
        let current = self.shared.config.read().clone();
        let pending = config_command::set(&current, &arguments, self.is_local).map_err(refuse)?;
        self.check_retention(engine, &current, &pending).map_err(refuse)?;
        let mut flaw = None;
        for (index, (effect, change)) in pending.effects().iter().enumerate() {
            match self.carry_out(*effect, engine, &pending.config) {
                Ok(()) => {}
                Err(Failure::InForce(cause)) => flaw = Some(refuse(change.failed(cause))),
                Err(Failure::Refused(cause)) => {
                    crate::log_warning!("CONFIG SET failed: {cause}");
                    // What was carried out before it is taken back; that returns to a state that held.
                    for (effect, _) in pending.effects().iter().take(index) {
                        let _ = self.carry_out(*effect, engine, &current);
                    }
                    return Err(refuse(change.failed(cause)));
                }
            }
        }
        engine.set_settings(engine_config::settings(&pending.config));
        self.shared.saves.refuse_writes(engine, &pending.config);
        let config = &pending.config;
        self.shared.bulk_bytes_max.store(config.proto_max_bulk_len as usize, Ordering::Relaxed);
        let query_bytes_max = config.client_query_buffer_limit as usize;
        self.shared.query_bytes_max.store(query_bytes_max, Ordering::Relaxed);
        *self.shared.config.write() = pending.config;
        if let Some(flaw) = flaw {
            return Err(flaw);
        }
        out.ok();
        Ok(())
    }

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
            if let Err(error) = self.shared.close_log(&log) {
                // It is as after a crash: the next start with it recovers what was acknowledged. There is no
                // way back to it: its threads have ended.
                crate::log_warning!("The log could not be closed: {error}");
                return Err(Failure::InForce(format!(
                    "'appendonly' is 'no' from now on, but the log could not be closed: {error}. A start \
                     with it recovers what was acknowledged"
                )));
            }
        }
        Ok(())
    }

    fn debug(
        &mut self,
        engine: &mut Guard<'_>,
        session: &Session,
        args: Args<'_>,
        out: &mut Reply<'_>,
    ) -> CommandResult {
        let allowed = self.shared.config.read().enable_debug_command;
        if !config_command::is_allowed(allowed, self.is_local) {
            return Err(CommandError::fixed(
                "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
                 \"local\", you can run it from a local connection, otherwise you need to set \
                 this option in the configuration file, and then restart the server.",
            ));
        }
        let name = args.at(1).to_ascii_lowercase();
        match (&name[..], args.len()) {
            (b"help", 2) => help(out, "DEBUG", DEBUG_HELP),
            (b"reload" | b"loadaof", _) if engine.is_loading() => return Err(LOADING),
            (b"reload" | b"loadaof", _) if engine.in_exec() => {
                // What the transaction has done so far is in memory, but in no log yet.
                return Err(CommandError::fixed(
                    "ERR DEBUG RELOAD and LOADAOF cannot be carried out within a transaction",
                ));
            }
            (b"sleep", 3) => {
                let text = std::str::from_utf8(args.at(2)).unwrap_or_default();
                let seconds: f64 = text.parse().map_err(|_| CommandError::NOT_FLOAT)?;
                if seconds > 0.0 {
                    // An hour is longer than any test, and keeps the conversion from overflowing.
                    std::thread::sleep(Duration::from_secs_f64(seconds.min(3600.0)));
                }
                out.ok();
            }
            (b"set-active-expire", 3) => {
                self.shared.active_expiry.store(args.at(2) != b"0", Ordering::Relaxed);
                out.ok();
            }
            (b"log", 3) => {
                crate::log_warning!("DEBUG LOG: {}", String::from_utf8_lossy(args.at(2)));
                out.ok();
            }
            (b"reload", _) => {
                self.reload(engine, args)?;
                out.ok();
            }
            (b"loadaof", 2) => {
                engine.reload_log().map_err(|error| {
                    CommandError::new(format!("ERR Error trying to load the log: {error}"))
                })?;
                out.ok();
            }
            (b"error", 3) => out.error(args.at(2)),
            (b"populate", 3..=5) => {
                let not_positive =
                    CommandError::fixed("ERR value is out of range, must be positive");
                let number = |arg| numbers::at_least(0, arg, not_positive.clone());
                let count = number(args.at(2))? as u64;
                let size = args.get(4).map(number).transpose()?.filter(|&size| size > 0);
                engine.populate(session.db, count, args.get(3).unwrap_or(b"key"), size)?;
                out.ok();
            }
            (b"segfault", 2) => std::process::abort(),
            (b"panic", 2) => panic!("DEBUG PANIC"),
            (b"jmap" | b"dict-resizing" | b"replybuffer" | b"quicklist-packed-threshold", _) => {
                out.ok();
            }
            (b"stringmatch-len", 4) => {
                let len = numbers::integer(args.at(2))?.clamp(0, 1 << 24) as usize;
                let text = vec![b'a'; len];
                out.integer(i64::from(glob::matches(args.at(3), &text, glob::Case::Sensitive)));
            }
            (b"digest", 2) => {
                engine.depend_on_all_keys();
                let mut sum = 0u128;
                for (db, database) in engine.keyspace().databases() {
                    for entry in database.iter() {
                        let value = digest(entry.value());
                        let times = (db as u128) << 64 | entry.expiry_ms().unwrap_or(-1) as u128;
                        let key = digest(Value::Text { bytes: entry.key(), edited: false });
                        let parts = [value, times, key].map(u128::to_le_bytes).concat();
                        let whole = digest(Value::Text { bytes: &parts, edited: false });
                        sum = sum.wrapping_add(whole);
                    }
                }
                out.simple(&format!("{sum:040x}"));
            }
            (b"digest-value", _) => {
                engine.depend_on_all_keys();
                let keyspace = engine.keyspace();
                let keys = args.from(2);
                out.array(keys.len());
                for key in keys.iter() {
                    let found =
                        keyspace.database(session.db).find(keyspace.hasher().hash(key), key);
                    let sum = found.map_or(0, |entry| digest(entry.value()));
                    out.simple(&format!("{sum:040x}"));
                }
            }
            (b"object", 3) => self.debug_object(engine, session.db, args.at(2), out)?,
            _ => return Err(CommandError::subcommand_syntax("DEBUG", args.at(1))),
        }
        Ok(())
    }

    fn reload(&self, engine: &mut Guard<'_>, args: Args<'_>) -> CommandResult {
        let config = self.shared.config.read().clone();
        let skip_modules = config.import_skip_modules;
        let (mut save, mut how) = (true, Reload { flush: true, merge: false, skip_modules });
        for option in args.from(2).iter() {
            match &option.to_ascii_uppercase()[..] {
                b"NOSAVE" => save = false,
                b"NOFLUSH" => how.flush = false,
                b"MERGE" => how.merge = true,
                _ => {
                    return Err(CommandError::fixed(
                        "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                    ));
                }
            }
        }
        if save {
            background::save_now(&self.shared, engine)?;
        }
        engine.reload_rdb(&saves::rdb_path(&config), how).map_err(|error| {
            CommandError::new(format!("ERR Error trying to load the RDB dump: {error}"))
        })?;
        Ok(())
    }

    fn debug_object(
        &self,
        engine: &mut Guard<'_>,
        db: usize,
        key: &[u8],
        out: &mut Reply<'_>,
    ) -> CommandResult {
        engine.depend_on_all_keys();
        let keyspace = engine.keyspace();
        let hash = keyspace.hasher().hash(key);
        let found = keyspace.database(db).find(hash, key);
        let entry = found.ok_or(CommandError::NO_SUCH_KEY)?;
        let mut payload = Vec::new();
        crate::rdb::payload::dump(entry.value(), false, &mut payload);
        let mut text = format!(
            "Value at:0x0 refcount:{} encoding:{} serializedlength:{} lru:{} lru_seconds_idle:0",
            references(entry, engine.settings().lfu),
            entry.value().encoding_name(),
            payload.len() - crate::rdb::payload::FOOTER_BYTES,
            entry.access(),
        );
        if let Value::List(list) = entry.value()
            && entry.value().encoding_name() == "quicklist"
        {
            let nodes = list.nodes().count();
            let (config, per_node) = (self.shared.config.read(), list.len() as f64 / nodes as f64);
            text += &format!(
                " ql_nodes:{nodes} ql_avg_node:{per_node:.2} ql_listpack_max:{} ql_compressed:{} \
                 ql_uncompressed_size:{}",
                config.list_max_listpack_size,
                u8::from(config.list_compress_depth != 0),
                list.memory_bytes(),
            );
        }
        out.simple(&text);
        Ok(())
    }

    fn shutdown(&mut self, engine: &mut Guard<'_>, args: Args<'_>) -> CommandResult {
        let (mut save, mut nosave, mut force, mut abort) = (false, false, false, false);
        for arg in args.from(1).iter() {
            match &arg.to_ascii_lowercase()[..] {
                b"save" => save = true,
                b"nosave" => nosave = true,
                b"now" => {}
                b"force" => force = true,
                b"abort" => abort = true,
                _ => return Err(CommandError::SYNTAX),
            }
        }
        if (save && nosave) || (abort && args.len() > 2) {
            return Err(CommandError::SYNTAX);
        }
        if abort {
            return Err(CommandError::fixed("ERR No shutdown in progress."));
        }
        crate::log_warning!("User requested shutdown...");
        saves::save_at_end(&self.shared, engine, (save, nosave, force))
            .map_err(|_| CommandError::fixed("ERR Errors trying to SHUTDOWN. Check logs."))?;
        self.close = true;
        self.shared.request_exit(0);
        Ok(())
    }

    fn wait(
        &mut self,
        engine: &mut Guard<'_>,
        args: Args<'_>,
        out: &mut Reply<'_>,
    ) -> CommandResult {
        let replicas = numbers::integer(args.at(1))?;
        let timeout = timeout(args.at(2), engine)?;
        if replicas <= 0 || engine.in_exec() {
            out.integer(0);
        } else {
            let reply = |reply: &mut Reply<'_>, _| reply.integer(0);
            self.block = Some(Block::Log(LogBlock { until: None, timeout, local: None, reply }));
        }
        Ok(())
    }

    fn wait_aof(
        &mut self,
        engine: &mut Guard<'_>,
        args: Args<'_>,
        out: &mut Reply<'_>,
    ) -> CommandResult {
        let locals = numbers::integer(args.at(1))?;
        if !(0..=1).contains(&locals) {
            return Err(CommandError::fixed(
                "ERR value is out of range, value must between 0 and 1",
            ));
        }
        let not_positive = CommandError::fixed("ERR value is out of range, must be positive");
        let replicas = numbers::at_least(0, args.at(2), not_positive)?;
        let timeout = timeout(args.at(3), engine)?;
        let Some(log) = engine.log().cloned() else {
            if locals > 0 {
                return Err(CommandError::fixed(
                    "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
                ));
            }
            out.array(2);
            out.integer(0);
            out.integer(0);
            return Ok(());
        };
        fn reply(reply: &mut Reply<'_>, durable: bool) {
            reply.array(2);
            reply.integer(i64::from(durable));
            reply.integer(0);
        }
        let lsn = engine.lsn();
        let durable = lsn <= log.durable_lsn();
        if engine.in_exec() || (replicas == 0 && (durable || locals == 0)) {
            reply(out, durable);
            return Ok(());
        }
        engine.flush();
        log.request_sync();
        let local = Some((log.clone(), lsn));
        let until = (replicas == 0).then_some((log, lsn));
        self.block = Some(Block::Log(LogBlock { until, timeout, local, reply }));
        Ok(())
    }
}
