//! From a configuration to a running server, and to its end.

use super::AnyError;
use crate::commands::Settings;
use crate::disk::RealDisk;
use crate::engine::{Engine, Machine, data_dir};
use crate::log;
use crate::server::commands::TABLE;
use crate::server::config::engine as engine_config;
use crate::server::config::{Config, Loaded};
use crate::server::logger;
use crate::server::panic;
use crate::server::process::args;
use crate::server::process::daemon::{self, PidFile, Supervisor};
use crate::server::process::load;
use crate::server::state::descriptors;
use crate::server::state::listeners::{IoThread, Listeners};
use crate::server::state::memory;
use crate::server::state::shared::Shared;
use crate::server::tasks::last_save;
use crate::{log_notice, log_warning};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// The part of each period that expiring keys may take.
const EXPIRE_SHARE: u32 = 4;
/// How long replies that may leave are waited for at the end.
const FAREWELL: Duration = Duration::from_millis(200);

/// How often it is looked whether writes are refused.
const REFUSAL_PERIOD: Duration = Duration::from_millis(100);

/// How often it is looked whether a snapshot is to be begun.
const BACKGROUND_PERIOD: Duration = Duration::from_millis(100);

/// Runs the server until it is told to end. Gives the exit status.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn run(mut loaded: Loaded) -> Result<i32, AnyError> {
    let started = Instant::now();
    // Before anything is begun that a signal could leave half done; a process in the background inherits it.
    daemon::ignore_signals();
    crate::disk::set_umask(loaded.config.umask);
    daemon::enter_data_dir(&mut loaded.config)?;
    let mut config = loaded.config;
    logger::init(&config)?;
    if config.appendonly {
        // Before anything is taken from a server that runs: its socket, its pid file.
        log::check_free(&RealDisk, &data_dir(Path::new(&config.dir.0)))?;
    }
    let supervisor = Supervisor::start(config.supervised);
    let in_background = config.daemonize && !supervisor.is_present();
    if in_background {
        daemon::daemonize()?;
    }
    // Threads do not survive a fork, so they begin after it.
    let _logging = logger::Thread::start()?;
    panic::install_hook(Path::new(&config.dir.0));
    memory::set_allocator_thread(config.jemalloc_bg_thread);
    log_notice!("{}", args::version());
    log_notice!("Port: {}, PID: {}, data in {}", config.port, std::process::id(), config.dir.0);
    loaded.notes.iter().for_each(|note| log_notice!("{note}"));
    loaded.durability.iter().for_each(|text| log_warning!("WARNING: {text}"));

    let supervisor = Arc::new(supervisor);
    let settings = engine_config::settings(&config);
    let settings = Settings { directory: TABLE.directory(), ..settings };
    let databases = config.databases as usize;
    let engine = Engine::loading(Machine::real(), databases, settings);
    descriptors::fit(&mut config)?;
    let runtimes = (0..io_threads(&config))
        .map(|_| tokio::runtime::Builder::new_current_thread().enable_all().build())
        .collect::<Result<Vec<_>, _>>()?;
    let threads: Vec<IoThread> = runtimes
        .iter()
        .map(|runtime| IoThread { runtime: runtime.handle().clone(), thread: Arc::default() })
        .collect();
    let io_threads = threads.iter().map(|io| io.thread.clone()).collect();
    let shared = Shared::new(engine, config, io_threads);
    let retention_given = loaded.retention_given.into();
    let shared = Shared { config_file: loaded.file, retention_given, started, ..shared };
    let shared = Arc::new(shared);
    let exit_asked = shared.exit.subscribe();
    shared.counters.memory_at_start_bytes.store(memory::used(), Ordering::Relaxed);
    shared.background.suspend_if_marked(Path::new(&shared.config.read().dir.0));
    log_notice!("Server initialized");
    Listeners::start(&shared, threads.clone())?;
    // Who cannot listen does not take the file from another one.
    let pid_file = PidFile::create(&shared.config.read(), in_background).unwrap_or_else(|error| {
        log_warning!("{error}");
        None
    });

    for thread in &threads {
        let (shared, io_thread) = (shared.clone(), thread.thread.clone());
        thread.runtime.spawn(async move { io_thread.gates.dispatch(&shared.engine).await });
    }
    threads[0].runtime.spawn(expire(shared.clone()));
    threads[0].runtime.spawn(every_second(shared.clone()));
    threads[0].runtime.spawn(crate::server::tasks::background::save_slices(shared.clone()));
    threads[0].runtime.spawn(background_tasks(shared.clone()));
    threads[0].runtime.spawn(report_refusals(shared.clone()));
    // Handlers are installed before anyone is told that the server is ready.
    {
        let _entered = threads[0].runtime.enter();
        for (kind, name) in
            [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")]
        {
            let (mut signals, shared) = (signal(kind)?, shared.clone());
            threads[0].runtime.spawn(async move {
                loop {
                    signals.recv().await;
                    log_warning!("Received {name}, shutting down");
                    match last_save::save_at_end(&shared, (false, false, false)) {
                        Ok(()) => break,
                        Err(_) => log_warning!("The data could not be saved: not shutting down"),
                    }
                }
                shared.request_exit(0);
            });
        }
    }

    let mut joins = Vec::new();
    for (index, runtime) in runtimes.into_iter().enumerate() {
        let mut asked = exit_asked.clone();
        let name = format!("io-{index}");
        // Held replies leave while the log closes, so the threads go on until told to end.
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let join = std::thread::Builder::new().name(name).spawn(move || {
            let _ = &mut asked;
            runtime.block_on(async move {
                let _ = stopped.await;
            });
            runtime.shutdown_background();
        })?;
        joins.push((join, stop));
    }
    supervisor.still_starting("Loading", Duration::from_secs(24 * 3600));
    let reporting = shared.clone();
    threads[0].runtime.spawn(async move { reporting.loading.report_progress().await });
    {
        let (shared, supervisor) = (shared.clone(), supervisor.clone());
        // Not joined: whoever ends the server while it loads does not wait for that.
        let states_appendonly = loaded.states_appendonly;
        let work = move || load_data(&shared, &supervisor, states_appendonly);
        std::thread::Builder::new().name("load".into()).spawn(work)?;
    }
    let status = wait_for_exit(exit_asked);
    let status = end(&shared, &supervisor, status);
    for (join, stop) in joins {
        let _ = stop.send(());
        let _ = join.join();
    }
    if let Some(path) = &shared.config.read().unixsocket {
        let _ = std::fs::remove_file(path);
    }
    drop(pid_file);
    if let Some(error) = shared.loading.error.lock().take() {
        return Err(error);
    }
    log_notice!("Bye");
    Ok(status)
}

/// Loads the data; from then on they are served.
fn load_data(shared: &Arc<Shared>, supervisor: &Supervisor, states_appendonly: bool) {
    let config = shared.config.read().clone();
    match load::load(&config, states_appendonly, &shared.loading) {
        Ok(loaded) => {
            if let Some(log) = loaded.log() {
                // It may have been changed meanwhile.
                let config = shared.config.read();
                log.set_durability(engine_config::durability(config.appendfsync));
                shared.apply_retention(&log, &config);
                drop(config);
                if log.keeps_without_limit() {
                    log_warning!(
                        "Files are kept that rewrites have replaced, but no line says how long: they stay, and more \
                         come to them. Set 'log-retention-time' or 'log-retention-size'"
                    );
                }
                shared.start_log(&log);
            }
            shared.engine.adopt(loaded);
            shared.loading.end();
            log_notice!("Ready to accept connections");
            supervisor.ready();
        }
        Err(error) => {
            *shared.loading.error.lock() = Some(error);
            shared.request_exit(1);
        }
    }
}

fn wait_for_exit(mut asked: tokio::sync::watch::Receiver<Option<i32>>) -> i32 {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let wait = async { asked.wait_for(Option::is_some).await.map_or(Some(1), |status| *status) };
    // Without a runtime of its own the main thread can only look now and then; there always is one.
    runtime.map_or(Some(1), |runtime| runtime.block_on(wait)).unwrap_or(1)
}

/// Ends the server: nothing more is executed, everything executed becomes durable, replies leave.
fn end(shared: &Arc<Shared>, supervisor: &Supervisor, status: i32) -> i32 {
    supervisor.stopping();
    shared.ending.store(true, Ordering::Release);
    // Whoever took the engine before has finished once this has it; whoever comes later looks at
    // `ending` first.
    if shared.engine.lock().is_loading() {
        return status;
    }
    shared.background.stop();
    let Some(log) = shared.engine.log() else { return status };
    log_notice!("Closing the log");
    match log.end() {
        Ok(()) => {
            std::thread::sleep(FAREWELL);
            log_notice!("The log is closed at LSN {}", log.durable_lsn());
            status
        }
        Err(error) => {
            log_warning!(
                "The log could not be closed: {error}. Nothing that was acknowledged under \
                 'appendfsync always' is lost; the next start recovers"
            );
            1
        }
    }
}

fn io_threads(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (config.io_threads as usize).clamp(1, cores)
}

/// Expires keys that nobody asks for, in slices between which connections get their turn.
async fn expire(shared: Arc<Shared>) {
    loop {
        let period = Duration::from_millis(1000 / u64::from(shared.config.read().hz.max(1) as u32));
        tokio::time::sleep(period).await;
        // Deleting keeps old values, and a snapshot may have too many of them; expired keys are hidden anyway.
        if !shared.active_expiry.load(Ordering::Relaxed) || shared.background.has_backpressure() {
            continue;
        }
        let started = Instant::now();
        loop {
            let (more, deleted) = {
                let mut engine = shared.engine.lock();
                if shared.ending.load(Ordering::Acquire) {
                    return;
                }
                let (before, begun) = (engine.lsn(), Instant::now());
                let more = engine.expire_slice();
                let took_us = begun.elapsed().as_micros() as u64;
                Shared::count(&shared.counters.expire_us, took_us);
                (more, engine.lsn() > before)
            };
            if deleted {
                shared.threads[0].gates.executed();
            }
            if !more || started.elapsed() > period / EXPIRE_SHARE {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Begins snapshots when it is time for them.
async fn background_tasks(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(BACKGROUND_PERIOD).await;
        crate::server::tasks::background::tick(&shared);
    }
}

/// Takes what `INFO` shows per second, and disconnects clients that have been idle for longer than
/// `timeout`.
async fn every_second(shared: Arc<Shared>) {
    let (mut commands_before, mut input_before, mut output_before) = (0, 0, 0);
    // `CONFIG RESETSTAT` sets counters back.
    let advance = |before: &mut u64, now: u64| now.saturating_sub(std::mem::replace(before, now));
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let counters = &shared.counters;
        counters.memory_peak_bytes.fetch_max(memory::used(), Ordering::Relaxed);
        let (commands, traffic) = (shared.requests(), shared.traffic());
        for (rate, before, now) in [
            (&counters.commands_per_s, &mut commands_before, commands),
            (&counters.input_bytes_per_s, &mut input_before, traffic.read_bytes),
            (&counters.output_bytes_per_s, &mut output_before, traffic.written_bytes),
        ] {
            rate.store(advance(before, now), Ordering::Relaxed);
        }
        shared.peers.release_idle();
        let timeout = shared.config.read().timeout;
        for client in shared.clients.list() {
            let is_blocked = || client.state.lock().blocked.is_some();
            if timeout > 0 && client.idle_s() > timeout as u64 && !is_blocked() {
                client.kill();
            } else {
                client.end_if_over_limit();
            }
        }
    }
}

/// Says in the server's log when writes begin to be refused, and when they are taken again.
async fn report_refusals(shared: Arc<Shared>) {
    let mut reported: Option<String> = None;
    let mut warned = false;
    loop {
        tokio::time::sleep(REFUSAL_PERIOD).await;
        let log = shared.engine.log();
        let unprepared = log.as_ref().and_then(|log| log.prepare_failure());
        if let Some(cause) = unprepared.as_ref().filter(|_| !warned) {
            log_warning!("Writes will be refused once this segment is full: {cause}");
        }
        warned = unprepared.is_some();
        let refusal = log.and_then(|log| log.refusal());
        if refusal == reported {
            continue;
        }
        match &refusal {
            Some(cause) => {
                log_warning!("Writes are refused until this heals, reads are served: {cause}");
            }
            None => log_notice!("Writes are taken again"),
        }
        reported = refusal;
    }
}
