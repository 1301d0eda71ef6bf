//! How much memory the process takes, and what `INFO memory` says of it.

use crate::server::commands::facts::Facts;
use crate::server::commands::info::{field, zeros};
use crate::server::state::memory;
use crate::server::state::shared::Shared;
use std::sync::atomic::Ordering;
use tikv_jemalloc_ctl::stats;

/// Scripts, replication, clusters, defragmentation, muzzy pages (which the allocator makes none
/// of).
const ZEROS: [&str; 17] = [
    "allocator_muzzy",
    "used_memory_lua",
    "used_memory_vm_eval",
    "used_memory_scripts_eval",
    "number_of_cached_scripts",
    "number_of_functions",
    "used_memory_vm_functions",
    "used_memory_vm_total",
    "used_memory_functions",
    "used_memory_scripts",
    "mem_not_counted_for_evict",
    "mem_replication_backlog",
    "mem_total_replication_buffers",
    "mem_clients_slaves",
    "mem_cluster_links",
    "mem_overhead_db_hashtable_rehashing",
    "active_defrag_running",
];

fn human(bytes: usize) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "K", "M", "G"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes}B") } else { format!("{value:.2}{unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.2}T")
}

/// `INFO memory`
pub fn info(shared: &Shared, facts: &Facts, out: &mut String) {
    let used = memory::used();
    let allocator_resident = stats::resident::read().unwrap_or(0);
    let active = stats::active::read().unwrap_or(0);
    let resident = memory::resident().unwrap_or(allocator_resident);
    let config = shared.config.read();
    let sized = |out: &mut String, name: &str, bytes: usize| {
        field(out, name, bytes);
        field(out, &format!("{name}_human"), human(bytes));
    };
    let percent = |part: usize, whole: usize| format!("{:.2}%", ratio(part, whole) * 100.0);
    sized(out, "used_memory", used);
    sized(out, "used_memory_rss", resident);
    let counters = &shared.counters;
    let peak = used.max(counters.memory_peak_bytes.load(Ordering::Relaxed));
    sized(out, "used_memory_peak", peak);
    field(out, "used_memory_peak_perc", percent(used, peak));
    let at_start = counters.memory_at_start_bytes.load(Ordering::Relaxed);
    let clients: usize = shared
        .clients
        .list()
        .iter()
        .map(|client| client.activity.input_bytes() + client.activity.output_bytes())
        .sum();
    let log_bytes = facts
        .counts
        .log
        .as_ref()
        .map_or(0, |log| log.appended_lsn().saturating_sub(log.durable_lsn()));
    let overhead = at_start + clients + log_bytes as usize;
    let data = used.saturating_sub(overhead);
    field(out, "used_memory_overhead", overhead);
    field(out, "used_memory_startup", at_start);
    field(out, "used_memory_dataset", data);
    field(out, "used_memory_dataset_perc", percent(data, used.saturating_sub(at_start)));
    field(out, "allocator_allocated", used);
    field(out, "allocator_active", active);
    field(out, "allocator_resident", allocator_resident);
    let system = rustix::system::sysinfo();
    let system_bytes = system.totalram as usize * system.mem_unit as usize;
    sized(out, "total_system_memory", system_bytes);
    sized(out, "maxmemory", config.maxmemory as usize);
    field(out, "maxmemory_policy", config.maxmemory_policy.name());
    for (name, part, whole) in [
        ("allocator_frag", active, used),
        ("allocator_rss", allocator_resident, active),
        ("rss_overhead", resident, allocator_resident),
        ("mem_fragmentation", resident, used),
    ] {
        field(out, &format!("{name}_ratio"), format_args!("{:.2}", ratio(part, whole)));
        field(out, &format!("{name}_bytes"), part as i64 - whole as i64);
    }
    field(out, "mem_clients_normal", clients);
    field(out, "mem_aof_buffer", log_bytes);
    field(out, "mem_allocator", "jemalloc");
    field(out, "number_of_libraries", facts.counts.libraries);
    for name in ["used_memory_lua_human", "used_memory_vm_total_human", "used_memory_scripts_human"]
    {
        field(out, name, human(0));
    }
    let (waiting, freed) = crate::keyspace::garbage::counts();
    field(out, "lazyfree_pending_objects", waiting);
    field(out, "lazyfreed_objects", freed);
    zeros(out, &ZEROS);
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 1.0 }
}
