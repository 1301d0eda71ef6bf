//! `DEBUG`.

use super::{ALWAYS_ADMIN as ADMIN, Call, ConnectionState};
use crate::commands::object::references;
use crate::commands::spec::Categories;
use crate::commands::{CommandError, CommandResult, Flags, Spec};
use crate::commands::{glob, numbers, reply_help};
use crate::data::Value;
use crate::data::digest::digest;
use crate::engine::{Guard, LOADING, Reload};
use crate::resp::{Args, Reply};
use crate::server::config::command as config_command;
use crate::server::tasks::{background, saves};
use crate::session::Row;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// This family's part of the table.
pub static COMMANDS: [Row<ConnectionState>; 1] = [Row::engine(
    Spec::host("debug", -2)
        .flags(ADMIN.with(Flags::PROTECTED).with(Flags::SYSCMD), Categories::NONE)
        .doc("server", "1.0.0", "Depends on the subcommand.", "For debugging and tests."),
    debug,
)];

const HELP: &[&str] = &[
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

/// `DEBUG subcommand …`
fn debug(call: &mut Call<'_, '_, '_>, args: Args<'_>) -> CommandResult {
    let (state, out, db) = (&*call.host, &mut call.reply, call.session.db());
    let engine: &mut Guard<'_> = call.unit;
    let allowed = state.shared.config.read().enable_debug_command;
    if !config_command::is_allowed(allowed, state.is_local) {
        return Err(CommandError::fixed(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
             \"local\", you can run it from a local connection, otherwise you need to set \
             this option in the configuration file, and then restart the server.",
        ));
    }
    let name = args.at(1).to_ascii_lowercase();
    match (&name[..], args.len()) {
        (b"help", 2) => reply_help(out, "DEBUG", HELP),
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
            state.shared.active_expiry.store(args.at(2) != b"0", Ordering::Relaxed);
            out.ok();
        }
        (b"log", 3) => {
            crate::log_warning!("DEBUG LOG: {}", String::from_utf8_lossy(args.at(2)));
            out.ok();
        }
        (b"reload", _) => {
            state.reload(engine, args)?;
            out.ok();
        }
        (b"loadaof", 2) => {
            engine.reload_log().map_err(|error| {
                CommandError::new(format!("ERR Error trying to load the log: {error}"))
            })?;
            out.ok();
        }
        (b"error", 3) => return Err(CommandError::new(args.at(2))),
        (b"populate", 3..=5) => {
            let not_positive = CommandError::fixed("ERR value is out of range, must be positive");
            let number = |arg| numbers::at_least(0, arg, not_positive.clone());
            let count = number(args.at(2))? as u64;
            let size = args.get(4).map(number).transpose()?.filter(|&size| size > 0);
            engine.populate(db, count, args.get(3).unwrap_or(b"key"), size)?;
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
                let found = keyspace.database(db).find(keyspace.hasher().hash(key), key);
                let sum = found.map_or(0, |entry| digest(entry.value()));
                out.simple(&format!("{sum:040x}"));
            }
        }
        (b"object", 3) => state.debug_object(engine, db, args.at(2), out)?,
        _ => return Err(CommandError::subcommand_syntax("DEBUG", args.at(1))),
    }
    Ok(())
}

impl ConnectionState {
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
}
