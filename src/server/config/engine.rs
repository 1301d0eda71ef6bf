//! What engine and log take of a configuration.

use super::{AppendFsync, Config, LogCompression, RetentionCompression};
use crate::commands::Settings;
use crate::data::{KeyHasher, Limits};
use crate::log::{Durability, Options, Retention};

/// What the log's options are under this configuration.
pub fn log_options(config: &Config) -> Options {
    let compressed = config.log_compression == LogCompression::Lz4;
    Options {
        segment_bytes: config.log_segment_size,
        compression_bytes_min: compressed.then_some(config.log_compression_min_bytes as usize),
        durability: durability(config.appendfsync),
        retention: retention(config),
        compresses_retired: config.log_retention_compression == RetentionCompression::Zstd,
        ..Options::default()
    }
}

/// How long files that a compaction has replaced are kept under this configuration.
pub fn retention(config: &Config) -> Retention {
    Retention { time_s: config.log_retention_time, bytes: config.log_retention_size }
}

/// The condition for replies that `appendfsync` means.
pub fn durability(appendfsync: AppendFsync) -> Durability {
    match appendfsync {
        AppendFsync::Always => Durability::Always,
        AppendFsync::Everysec => Durability::EverySec,
        AppendFsync::No => Durability::No,
    }
}

/// What commands look at under this configuration.
pub fn settings(config: &Config) -> Settings {
    // The engine puts its own hash function in.
    let limits = Limits {
        hash_listpack_entries: config.hash_max_listpack_entries as usize,
        hash_listpack_value_bytes: config.hash_max_listpack_value as usize,
        list_listpack_size: config.list_max_listpack_size,
        set_intset_entries: config.set_max_intset_entries as usize,
        set_listpack_entries: config.set_max_listpack_entries as usize,
        set_listpack_value_bytes: config.set_max_listpack_value as usize,
        sorted_set_listpack_entries: config.zset_max_listpack_entries as usize,
        sorted_set_listpack_value_bytes: config.zset_max_listpack_value as usize,
        stream_node_bytes: config.stream_node_max_bytes as usize,
        stream_node_entries: config.stream_node_max_entries as usize,
        hyperloglog_sparse_bytes: config.hll_sparse_max_bytes as usize,
        ..Limits::new(KeyHasher::new((0, 0)))
    };
    Settings {
        bulk_bytes_max: config.proto_max_bulk_len as usize,
        lfu: config.maxmemory_policy.name().ends_with("-lfu"),
        lfu_log_factor: config.lfu_log_factor as u32,
        lfu_decay_minutes: config.lfu_decay_time as u32,
        rdb_compression: config.rdbcompression,
        latency_tracking: config.latency_tracking,
        slow_from_us: u64::try_from(config.slowlog_log_slower_than).ok(),
        limits,
        ..Settings::default()
    }
}
