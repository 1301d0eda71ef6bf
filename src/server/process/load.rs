//! From a configuration to the data: recovering our own log, or importing what a Redis has left.

use super::AnyError;
use crate::engine::import::{self, Aof, ImportError, Names, Report, Source};
use crate::engine::{self, Engine, Machine, Progress};
use crate::log::{Log, Recovery};
use crate::server::config::Config;
use crate::server::config::engine::{log_options, settings};
use crate::server::state::clock::unix_s;
use crate::words::counted;
use crate::{log_notice, log_warning};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often a long load says in the server's log how far it has come.
const REPORT_PERIOD: Duration = Duration::from_secs(5);

/// So long nobody is served who connects during a load: where there is little data, no client hears of it.
const GRACE: Duration = Duration::from_millis(500);

/// The load that a server begins with.
pub struct Loading {
    /// How far it has come.
    pub progress: Arc<Progress>,
    started: Instant,
    /// When it began, in Unix time in s.
    pub started_s: u64,
    /// Why it failed.
    pub error: Mutex<Option<AnyError>>,
    /// Keys that it has brought, and keys that were dropped because they had expired.
    pub keys: AtomicU64,
    /// See `keys`.
    pub expired: AtomicU64,
    ended: watch::Sender<bool>,
}

impl Default for Loading {
    fn default() -> Self {
        Self {
            progress: Arc::default(),
            started: Instant::now(),
            started_s: unix_s(),
            error: Mutex::new(None),
            keys: 0.into(),
            expired: 0.into(),
            ended: watch::Sender::new(false),
        }
    }
}

impl Loading {
    /// Notes that the data are served.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Waits until the data are served, but not for long.
    pub async fn wait_a_little(&self) {
        self.has_ended_within(GRACE).await;
    }

    async fn has_ended_within(&self, time: Duration) -> bool {
        let mut ended = self.ended.subscribe();
        let ended = ended.wait_for(|ended| *ended);
        tokio::time::timeout(time, ended).await.is_ok()
    }

    /// How much of the data has been loaded, from 0 to 100.
    pub fn percent(&self) -> f64 {
        match self.progress.total_bytes() {
            0 => 0.0,
            total => self.progress.loaded_bytes() as f64 * 100.0 / total as f64,
        }
    }

    /// For how many seconds it will go on, if it goes on as it has; 1 as long as nobody can tell,
    /// and at least 1.
    pub fn eta_s(&self) -> u64 {
        let (loaded, total) = (self.progress.loaded_bytes(), self.progress.total_bytes());
        if loaded == 0 {
            return 1;
        }
        let left = (total - loaded.min(total)) as f64;
        ((self.started.elapsed().as_secs_f64() * left / loaded as f64) as u64).max(1)
    }

    /// Logs now and then how far the load has come, until it has ended.
    pub async fn report_progress(&self) {
        while !self.has_ended_within(REPORT_PERIOD).await {
            log_notice!(
                "Loading: {:.1} % of {}, some {} to go",
                self.percent(),
                counted(self.progress.total_bytes(), "byte", "bytes"),
                counted(self.eta_s(), "second", "seconds")
            );
        }
    }
}

/// Loads the data that the configuration names. What is on disk stays as it is unless all of it can be
/// loaded. `states_appendonly`: a line or option says whether there is a log.
///
/// # Errors
/// Whatever keeps the data from being loaded.
pub fn load(
    config: &Config,
    states_appendonly: bool,
    loading: &Loading,
) -> Result<Engine, AnyError> {
    let machine = Machine::real();
    let (databases, settings) = (config.databases as usize, settings(config));
    let dir = Path::new(&config.dir.0);
    let is_ours = engine::holds_data(&*machine.disk, dir)?;
    if !config.appendonly {
        if is_ours {
            let text = format!(
                "'appendonly no' keeps data in memory only, but {} holds a data set: refusing to \
                 start without it. Start with 'appendonly yes', or with another 'dir'",
                engine::data_dir(dir).display()
            );
            return Err(text.into());
        }
        return match find(&machine, config, states_appendonly)? {
            Some(found) => import(machine, found, config, loading),
            None => Ok(Engine::in_memory(machine, databases, settings)),
        };
    }
    let log_dir = engine::data_dir(dir);
    if !is_ours && let Some(found) = find(&machine, config, states_appendonly)? {
        let engine = import(machine, found, config, loading)?;
        engine.lock().begin_log(&log_dir, log_options(config))?;
        log_notice!(
            "What was imported is kept in {} from now on. The files that it came from stay as they \
             are, and are not read again",
            log_dir.display()
        );
        return Ok(engine);
    }
    let started = Instant::now();
    let options = log_options(config);
    let progress = &loading.progress;
    let (engine, recovery) =
        Engine::open_watched(machine, &log_dir, databases, settings, options, progress)?;
    report_recovery(&recovery, engine.log().as_deref(), started.elapsed());
    Ok(engine)
}

/// What a Redis has left.
enum Found {
    /// It is read.
    One(Source),
    /// No line says which of them is read.
    Both(Aof, PathBuf),
}

/// Finds what a Redis has left, and says in the log what of it is not read.
fn find(
    machine: &Machine,
    config: &Config,
    states_appendonly: bool,
) -> Result<Option<Found>, AnyError> {
    let (disk, names) = (&*machine.disk, names(config));
    let rdb = import::find_rdb(disk, &names)?;
    if !config.appendonly {
        // As a Redis, it has no use for an append-only file, sound or not.
        let unread = match import::find_aof(disk, &names) {
            Ok(aof) => aof.map(|aof| aof.path.display().to_string()),
            Err(error) => Some(format!("an append-only file ({error})")),
        };
        if let Some(unread) = unread {
            log_warning!("Not read, because of 'appendonly no': {unread}");
        }
        return Ok(rdb.map(|rdb| Found::One(Source::Rdb(rdb))));
    }
    Ok(match (import::find_aof(disk, &names)?, rdb) {
        (Some(aof), Some(rdb)) if !states_appendonly => Some(Found::Both(aof, rdb)),
        (Some(aof), rdb) => {
            if let Some(rdb) = rdb {
                log_warning!("Not read, because of 'appendonly yes': {}", rdb.display());
            }
            Some(Found::One(Source::Aof(aof.parts)))
        }
        (None, rdb) => rdb.map(|rdb| Found::One(Source::Rdb(rdb))),
    })
}

/// Where a Redis with this configuration would have its data.
pub fn names(config: &Config) -> Names {
    Names {
        dir: config.dir.0.clone().into(),
        rdb: config.dbfilename.clone(),
        aof: config.appendfilename.clone(),
        aof_dir: config.appenddirname.clone(),
    }
}

fn import(
    machine: Machine,
    found: Found,
    config: &Config,
    loading: &Loading,
) -> Result<Engine, AnyError> {
    let started = Instant::now();
    let options = import::Options {
        load_truncated: config.aof_load_truncated,
        skip_modules: config.import_skip_modules,
        keep_expired: false,
    };
    let (databases, settings) = (config.databases as usize, settings(config));
    let progress = &loading.progress;
    let (engine, report) = match found {
        Found::One(source) => {
            Engine::import(machine, &source, options, databases, settings, progress)
                .map_err(ImportError::without_key)?
        }
        Found::Both(aof, rdb) => {
            let choice = format!(
                "No line of the configuration says which of them is read: 'appendonly yes' reads {}, \
                 'appendonly no' reads {}",
                aof.path.display(),
                rdb.display()
            );
            Engine::import_both(machine, aof, rdb, options, databases, settings, progress)
                .map_err(|error| format!("{}. {choice}", error.without_key()))?
        }
    };
    report_import(&report, started.elapsed());
    loading.keys.store(report.loaded, Ordering::Relaxed);
    loading.expired.store(report.expired, Ordering::Relaxed);
    Ok(engine)
}

/// Says what an import did.
fn report_import(report: &Report, took: Duration) {
    for (path, bytes) in &report.files {
        let bytes = counted(*bytes, "byte", "bytes");
        log_notice!("Imported from {} ({bytes})", path.display());
    }
    if let Some(twin) = &report.twin {
        log_notice!("{} holds the same", twin.display());
    }
    if let Some(server) = &report.written_by {
        log_notice!("The RDB was written by {server}");
    }
    log_notice!(
        "DB imported: {}, {}, {} carried out, {:.3} seconds",
        counted(report.keys, "key", "keys"),
        counted(report.functions, "function library", "function libraries"),
        counted(report.commands, "command", "commands"),
        took.as_secs_f64()
    );
    for (count, one, many, what) in [
        (report.expired, "expired key", "expired keys", "dropped"),
        (report.ignored, "command", "commands", "passed over, as no data change"),
    ] {
        if count > 0 {
            log_notice!("{}: {what}", counted(count, one, many));
        }
    }
    for (count, one, many, what) in [
        (report.empty, "key with an empty value", "keys with empty values", "dropped"),
        (
            report.modules,
            "key with a value of a module",
            "keys with values of modules",
            "dropped ('import-skip-modules yes')",
        ),
        (
            report.module_records,
            "record of a module that belongs to no key",
            "records of modules that belong to no key",
            "passed over",
        ),
        (
            report.failed,
            "command failed and has changed nothing",
            "commands failed and have changed nothing",
            "the first of them follow",
        ),
    ] {
        if count > 0 {
            log_warning!("{}: {what}", counted(count, one, many));
        }
    }
    for (path, offset, reason) in &report.failures {
        log_warning!("{}, offset {offset}: {reason}", path.display());
    }
    if let Some(cut) = &report.cut {
        log_warning!(
            "{}, offset {}: {}: passed over its last {} ('aof-load-truncated yes')",
            cut.path.display(),
            cut.offset,
            cut.cause,
            counted(cut.bytes, "byte", "bytes")
        );
    }
}

/// Says what recovery did.
fn report_recovery(recovery: &Recovery, log: Option<&Log>, took: Duration) {
    let dir = log.map(|log| log.dir().display().to_string()).unwrap_or_default();
    if recovery.created {
        log_notice!("A new data set begins in {dir}");
        return;
    }
    let base = recovery.base_keys.map_or(String::new(), |keys| {
        format!("a base with {}, and behind it ", counted(keys, "key", "keys"))
    });
    log_notice!(
        "DB loaded from the log in {dir}: {base}{}, {} of commands, up to LSN {}, {:.3} seconds",
        counted(recovery.frames, "frame", "frames"),
        counted(recovery.bytes, "byte", "bytes"),
        recovery.lsn,
        took.as_secs_f64()
    );
    if let Some(unclean) = &recovery.unclean {
        let process = unclean.process.trim();
        let outcome = match recovery.start_failure {
            None => "made durable",
            Some(_) => "to be made durable once there is room",
        };
        log_warning!(
            "The last server (process {process}) did not close the log; {outcome}: {} of commands, \
             written but not known to be durable before",
            counted(unclean.secured_bytes, "byte", "bytes")
        );
    }
    if let Some(cut) = &recovery.cut {
        let place = match &cut.set_aside {
            Some(path) => format!("set aside in {}", path.display()),
            None => "to be set aside once there is room".to_owned(),
        };
        log_warning!(
            "{} ended in an unfinished write and was cut at offset {} (LSN {}): {}. Behind the cut \
             lay {} with {}, {:.3} seconds; {place}. None of it \
             was known to be durable",
            cut.file,
            cut.offset,
            cut.lsn,
            cut.damage,
            counted(cut.bytes, "byte", "bytes"),
            counted(cut.frames, "whole frame header", "whole frame headers"),
            cut.span_ms as f64 / 1000.0
        );
    }
    if let Some(cause) = &recovery.start_failure {
        let durable_lsn = log.map_or(0, Log::durable_lsn);
        log_warning!(
            "Writing cannot begin: {cause}. Until there is room, writes are refused, and so are reads of \
             keys that were last written above LSN {durable_lsn}, which is not known to be durable"
        );
    }
    for lost in &recovery.lost {
        log_warning!("A repair could not save {lost}");
    }
    if recovery.passed_over > 0 {
        log_warning!(
            "Passed over, because what is needed is lost: {}",
            counted(recovery.passed_over, "command", "commands")
        );
    }
}
