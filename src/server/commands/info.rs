//! `INFO`: sections and fields as Redis names them, and our own about the log.

use super::facts::Facts;
use super::{ALWAYS, ConnectionState, Free, TABLE};
use crate::commands::server::REDIS_VERSION;
use crate::commands::spec::Categories;
use crate::commands::{CommandResult, Spec};
use crate::resp::Args;
use crate::server::state::clock::unix_s;
use crate::server::state::shared::Shared;
use crate::server::tasks::background::{self, Outcome, Task};
use crate::session::Row;
use std::fmt::Write;
use std::sync::atomic::Ordering;

type Section = (&'static str, &'static str, fn(&Shared, &Facts, &mut String));

/// Sections in the order in which they are shown.
const SECTIONS: [Section; 13] = [
    ("server", "Server", server),
    ("clients", "Clients", clients),
    ("memory", "Memory", crate::server::commands::memory::info),
    ("persistence", "Persistence", persistence),
    ("stats", "Stats", stats),
    ("replication", "Replication", replication),
    ("cpu", "CPU", cpu),
    ("modules", "Modules", |_, _, _| {}),
    ("commandstats", "Commandstats", commandstats),
    ("errorstats", "Errorstats", errorstats),
    ("latencystats", "Latencystats", latencystats),
    ("cluster", "Cluster", |_, _, out| field(out, "cluster_enabled", 0)),
    ("keyspace", "Keyspace", keyspace),
];

/// Nothing is forked, so that no page is copied on write.
const PERSISTENCE_ZEROS: [&str; 8] = [
    "current_cow_peak",
    "current_cow_size",
    "current_cow_size_age",
    "current_fork_perc",
    "rdb_last_cow_size",
    "aof_last_cow_size",
    "module_fork_in_progress",
    "module_fork_last_cow_size",
];

/// Replication, eviction, publishing, tracking, defragmentation, access lists, forks.
const STATS_ZEROS: [&str; 38] = [
    "total_net_repl_input_bytes",
    "total_net_repl_output_bytes",
    "instantaneous_input_repl_kbps",
    "instantaneous_output_repl_kbps",
    "sync_full",
    "sync_partial_ok",
    "sync_partial_err",
    "expired_time_cap_reached_count",
    "evicted_keys",
    "evicted_clients",
    "evicted_scripts",
    "total_eviction_exceeded_time",
    "current_eviction_exceeded_time",
    "pubsub_channels",
    "pubsub_patterns",
    "pubsubshard_channels",
    "latest_fork_usec",
    "total_forks",
    "slave_expires_tracked_keys",
    "active_defrag_hits",
    "active_defrag_misses",
    "active_defrag_key_hits",
    "active_defrag_key_misses",
    "total_active_defrag_time",
    "current_active_defrag_time",
    "tracking_total_keys",
    "tracking_total_items",
    "tracking_total_prefixes",
    "unexpected_error_replies",
    "dump_payload_sanitizations",
    "io_threaded_reads_processed",
    "io_threaded_writes_processed",
    "reply_buffer_shrinks",
    "reply_buffer_expands",
    "acl_access_denied_auth",
    "acl_access_denied_cmd",
    "acl_access_denied_key",
    "acl_access_denied_channel",
];

pub(super) fn field(out: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = write!(out, "{name}:{value}\r\n");
}

/// Fields of Redis about what there is not here, so that it never happens.
pub(super) fn zeros(out: &mut String, names: &[&str]) {
    names.iter().for_each(|name| field(out, name, 0));
}

/// This family's part of the table.
pub static COMMANDS: [Row<ConnectionState>; 1] = [Row::outside(
    Spec::host("info", -1)
        .syntax("[section...]")
        .changes(&[("7.0.0", "Takes several sections.")])
        .flags(ALWAYS, Categories::DANGEROUS)
        .doc("server", "1.0.0", "O(1)", "State and statistics of the server.")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    info,
)];

/// `INFO [section …]`
fn info(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    let asked: Vec<Vec<u8>> = args.from(1).iter().map(<[u8]>::to_ascii_lowercase).collect();
    let asked = |name: &str| asked.iter().any(|asked| asked == name.as_bytes());
    let all = asked("all") || asked("everything");
    let default = args.len() == 1 || asked("default");
    let shared = &*call.host.shared;
    let facts = Facts::take(shared, all || asked("latencystats"));
    // Counts of keys show what was written. While the log has failed that may be taken back, so
    // they are shown only where they are asked for, and all the rest always.
    let failed = facts.counts.log.as_ref().is_some_and(|log| log.has_failed());
    let is_shown = |name: &str| match name {
        "keyspace" if failed => asked(name),
        // As in Redis, what is counted of every command is shown only where it is asked for.
        "commandstats" | "latencystats" => all || asked(name),
        _ => all || default || asked(name),
    };
    let mut text = String::new();
    for (_, title, write) in SECTIONS.into_iter().filter(|(name, ..)| is_shown(name)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let _ = write!(text, "# {title}\r\n");
        write(shared, &facts, &mut text);
    }
    if is_shown("keyspace") {
        call.depends_on = facts.counts.log.map(|log| (log, facts.counts.lsn));
    }
    call.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn server(shared: &Shared, _: &Facts, out: &mut String) {
    let config = shared.config.read();
    let uname = rustix::system::uname();
    field(out, "redis_version", REDIS_VERSION);
    field(out, "server_name", "mainstay");
    field(out, "mainstay_version", env!("CARGO_PKG_VERSION"));
    field(out, "redis_git_sha1", option_env!("MAINSTAY_GIT_SHA").unwrap_or("00000000"));
    field(out, "redis_git_dirty", 0);
    field(out, "redis_build_id", "0");
    field(out, "redis_mode", "standalone");
    let _ = write!(
        out,
        "os:{} {} {}\r\n",
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy()
    );
    field(out, "arch_bits", usize::BITS);
    field(out, "monotonic_clock", "POSIX clock_gettime");
    field(out, "multiplexing_api", "epoll");
    field(out, "process_id", std::process::id());
    field(out, "process_supervised", config.supervised.name());
    field(out, "run_id", &shared.run_id);
    field(out, "tcp_port", config.port);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    field(out, "server_time_usec", now.map_or(0, |since| since.as_micros()));
    field(out, "uptime_in_seconds", shared.uptime_s());
    field(out, "uptime_in_days", shared.uptime_s() / 86_400);
    field(out, "hz", config.hz);
    field(out, "configured_hz", config.hz);
    field(out, "lru_clock", unix_s() & 0x00ff_ffff);
    let executable = std::env::current_exe().unwrap_or_default();
    field(out, "executable", executable.display());
    let file = shared.config_file.as_deref().unwrap_or(std::path::Path::new(""));
    field(out, "config_file", file.display());
    field(out, "io_threads_active", u8::from(shared.threads.len() > 1));
    shared.listeners.lock().describe(&config).iter().enumerate().for_each(|(number, listener)| {
        field(out, &format!("listener{number}"), listener);
    });
}

fn clients(shared: &Shared, facts: &Facts, out: &mut String) {
    let clients = shared.clients.list();
    let (mut input_max, mut output_max, mut blocked, mut watching, mut watched) = (0, 0, 0, 0, 0);
    for client in &clients {
        input_max = input_max.max(client.activity.input_bytes());
        output_max = output_max.max(client.activity.output_bytes());
        blocked += usize::from(client.state.lock().blocked.is_some());
        watching += usize::from(client.session.watched() > 0);
        watched += client.session.watched();
    }
    field(out, "connected_clients", clients.len());
    field(out, "cluster_connections", 0);
    field(out, "maxclients", shared.config.read().maxclients);
    field(out, "client_recent_max_input_buffer", input_max);
    field(out, "client_recent_max_output_buffer", output_max);
    field(out, "blocked_clients", blocked);
    field(out, "tracking_clients", 0);
    field(out, "pubsub_clients", 0);
    field(out, "watching_clients", watching);
    field(out, "clients_in_timeout_table", 0);
    field(out, "total_watched_keys", watched);
    let (waited, told) = facts.counts.waited_keys;
    field(out, "total_blocking_keys", waited);
    field(out, "total_blocking_keys_on_nokey", told);
}

fn persistence(shared: &Shared, facts: &Facts, out: &mut String) {
    let is_loading = facts.is_loading;
    field(out, "loading", u8::from(is_loading));
    field(out, "async_loading", 0);
    let saves = shared.saves.status();
    let unsaved = saves.unsaved_changes(facts.counts.changes);
    field(out, "rdb_changes_since_last_save", unsaved);
    let status = shared.background.status();
    let seconds = |task| status.running.filter(|&(running, _)| running == task).map(|(_, s)| s);
    let (save_s, rewrite_s) = (seconds(Task::Save), seconds(Task::Rewrite));
    let word = |outcome: Outcome| if outcome.succeeded { "ok" } else { "err" };
    field(out, "rdb_bgsave_in_progress", u8::from(save_s.is_some()));
    field(out, "rdb_last_save_time", saves.last_s);
    field(out, "rdb_last_bgsave_status", if saves.background_ok { "ok" } else { "err" });
    field(out, "rdb_last_bgsave_time_sec", status.last_save.took_s);
    field(out, "rdb_current_bgsave_time_sec", save_s.unwrap_or(-1));
    field(out, "rdb_saves", saves.count);
    zeros(out, &PERSISTENCE_ZEROS);
    field(out, "rdb_last_load_keys_expired", shared.loading.expired.load(Ordering::Relaxed));
    field(out, "rdb_last_load_keys_loaded", shared.loading.keys.load(Ordering::Relaxed));
    let is_enabled = facts.counts.log.is_some() || is_loading && shared.config.read().appendonly;
    field(out, "aof_enabled", u8::from(is_enabled));
    field(out, "aof_rewrite_in_progress", u8::from(rewrite_s.is_some()));
    field(out, "aof_rewrite_scheduled", u8::from(status.rewrite_scheduled));
    field(out, "aof_last_rewrite_time_sec", status.last_rewrite.took_s);
    field(out, "aof_current_rewrite_time_sec", rewrite_s.unwrap_or(-1));
    field(out, "aof_last_bgrewrite_status", word(status.last_rewrite));
    field(out, "background_suspended", u8::from(shared.background.is_suspended()));
    for (name, value) in background::fields(&facts.counts.snapshot) {
        field(out, name, value);
    }
    if is_loading {
        let loading = &shared.loading;
        field(out, "loading_start_time", loading.started_s);
        field(out, "loading_total_bytes", loading.progress.total_bytes());
        field(out, "loading_rdb_used_mem", 0);
        field(out, "loading_loaded_bytes", loading.progress.loaded_bytes());
        field(out, "loading_loaded_perc", format_args!("{:.2}", loading.percent()));
        field(out, "loading_eta_seconds", loading.eta_s());
    }
    let Some(log) = &facts.counts.log else { return };
    let failure = log.refusal();
    let (segments, bytes) = log.sizes();
    let stats = log.stats();
    field(out, "aof_last_write_status", if failure.is_some() { "err" } else { "ok" });
    field(out, "aof_current_size", bytes);
    field(out, "aof_base_size", log.base_bytes().0);
    field(out, "aof_pending_rewrite", 0);
    field(out, "aof_buffer_length", log.appended_lsn().saturating_sub(log.drained_lsn()));
    field(out, "aof_pending_bio_fsync", u8::from(log.appended_lsn() > log.durable_lsn()));
    field(out, "aof_delayed_fsync", 0);
    field(out, "log_timeline", log.timeline().id);
    field(out, "log_lsn_appended", log.appended_lsn());
    field(out, "log_lsn_written", log.drained_lsn());
    field(out, "log_lsn_durable", log.durable_lsn());
    field(out, "log_lag_bytes", log.appended_lsn().saturating_sub(log.durable_lsn()));
    field(out, "log_lag_ms", log.lag_us() / 1000);
    field(out, "log_segments", segments);
    field(out, "log_bytes", bytes);
    field(out, "log_syncs", stats.syncs);
    field(out, "log_sync_failures", stats.failures);
    field(out, "log_sync_last_us", stats.last_us);
    field(out, "log_sync_p50_us", stats.percentile_us(50.0));
    field(out, "log_sync_p99_us", stats.percentile_us(99.0));
    field(out, "log_sync_p999_us", stats.percentile_us(99.9));
    field(out, "log_sync_max_us", stats.max_us());
    let lost = log.lost();
    field(out, "log_lost_ranges", lost.len());
    field(out, "log_lost_bytes", lost.iter().map(|lost| lost.end_lsn - lost.lsn).sum::<u64>());
    field(out, "log_lost_keys", lost.iter().map(|lost| lost.keys).sum::<u64>());
    field(out, "log_lost_passed_over", log.passed_over());
    field(out, "log_failure", failure.as_deref().unwrap_or(""));
    field(out, "log_prepare_failure", log.prepare_failure().as_deref().unwrap_or(""));
}

fn stats(shared: &Shared, facts: &Facts, out: &mut String) {
    let counters = &shared.counters;
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (commands, traffic) = (facts.stats.requests(), shared.traffic());
    let output_limits = &shared.clients.output_limits.disconnections;
    let keyspace = &facts.counts.keyspace;
    field(out, "total_connections_received", read(&counters.connections));
    field(out, "total_commands_processed", commands);
    field(out, "instantaneous_ops_per_sec", read(&counters.commands_per_s));
    field(out, "total_net_input_bytes", traffic.read_bytes);
    field(out, "total_net_output_bytes", traffic.written_bytes);
    let kib = |counter| format!("{:.2}", read(counter) as f64 / 1024.0);
    field(out, "instantaneous_input_kbps", kib(&counters.input_bytes_per_s));
    field(out, "instantaneous_output_kbps", kib(&counters.output_bytes_per_s));
    field(out, "total_reads_processed", traffic.reads);
    field(out, "total_writes_processed", traffic.writes);
    field(out, "client_query_buffer_limit_disconnections", read(&counters.input_limits));
    field(out, "client_output_buffer_limit_disconnections", read(output_limits));
    field(out, "rejected_connections", read(&counters.rejected));
    field(out, "expired_subkeys", keyspace.expired_fields);
    field(out, "expired_keys", keyspace.expired);
    field(out, "expired_stale_perc", "0.00");
    field(out, "keyspace_hits", keyspace.hits);
    field(out, "keyspace_misses", keyspace.misses);
    field(out, "migrate_cached_sockets", shared.peers.len());
    field(out, "total_error_replies", facts.stats.error_count() + read(&counters.errors));
    let expire_us = read(&counters.expire_us);
    field(out, "expire_cycle_cpu_milliseconds", expire_us / 1000);
    zeros(out, &STATS_ZEROS);
}

fn replication(_: &Shared, facts: &Facts, out: &mut String) {
    field(out, "role", "master");
    field(out, "connected_slaves", 0);
    field(out, "master_failover_state", "no-failover");
    let zeros = "0".repeat(40);
    let id = facts.counts.log.as_ref().map_or(zeros.clone(), |log| log.timeline().id.to_string());
    field(out, "master_replid", id);
    field(out, "master_replid2", zeros);
    field(out, "master_repl_offset", facts.counts.lsn);
    field(out, "second_repl_offset", -1);
    field(out, "repl_backlog_active", 0);
    field(out, "repl_backlog_size", 0);
    field(out, "repl_backlog_first_byte_offset", 0);
    field(out, "repl_backlog_histlen", 0);
}

fn cpu(_: &Shared, _: &Facts, out: &mut String) {
    // SAFETY: `getrusage` only writes into the zeroed structure it is given.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| format!("{}.{:06}", time.tv_sec, time.tv_usec);
    field(out, "used_cpu_sys", seconds(usage.ru_stime));
    field(out, "used_cpu_user", seconds(usage.ru_utime));
    field(out, "used_cpu_sys_children", "0.000000");
    field(out, "used_cpu_user_children", "0.000000");
}

fn keyspace(_: &Shared, facts: &Facts, out: &mut String) {
    for (db, counts) in facts.counts.databases.iter().enumerate().filter(|(_, it)| it.keys > 0) {
        let ttl_ms = |at_ms: i64| at_ms.saturating_sub(facts.now_ms).max(0);
        let _ = write!(
            out,
            "db{db}:keys={},expires={},avg_ttl={},subexpiry={}\r\n",
            counts.keys,
            counts.expiring,
            counts.expiry_average_ms.map_or(0, ttl_ms),
            counts.hashes_expiring
        );
    }
}

fn commandstats(_: &Shared, facts: &Facts, out: &mut String) {
    for (name, stat) in facts.stats.commands(TABLE.directory()) {
        let per_call = if stat.calls > 0 { stat.us as f64 / stat.calls as f64 } else { 0.0 };
        let _ = write!(
            out,
            "cmdstat_{name}:calls={},usec={},usec_per_call={per_call:.2},rejected_calls={},\
             failed_calls={}\r\n",
            stat.calls, stat.us, stat.rejected, stat.failed
        );
    }
}

fn latencystats(shared: &Shared, facts: &Facts, out: &mut String) {
    let (is_timed, percentiles) = {
        let config = shared.config.read();
        (config.latency_tracking, config.latency_tracking_info_percentiles.clone())
    };
    if !is_timed {
        return;
    }
    for (name, latency) in facts.stats.latencies(TABLE.directory()) {
        let _ = write!(out, "latency_percentiles_usec_{name}:");
        for (index, &percent) in percentiles.0.iter().enumerate() {
            let separator = if index > 0 { "," } else { "" };
            let _ = write!(out, "{separator}p{percent}={:.3}", latency.percentile_us(percent));
        }
        out.push_str("\r\n");
    }
}

fn errorstats(_: &Shared, facts: &Facts, out: &mut String) {
    for (code, count) in facts.stats.errors() {
        let _ = write!(out, "errorstat_{code}:count={count}\r\n");
    }
}
