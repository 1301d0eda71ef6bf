//! The one table of directives. A row here is all that a new directive needs.

use super::accepted::reason;
use super::arguments::split_arguments;
use super::values::*;

/// What a directive does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The server does what it says.
    Works,
    /// Any valid value is accepted, kept and shown, and changes nothing, for the reason given.
    Kept(&'static str),
    /// Only the default is accepted, since ignoring another value would break a promise.
    Refused(&'static str),
}
use Status::{Kept, Refused, Works};

/// What `CONFIG SET`, `GET` and `REWRITE` need to know beyond the value; a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Can be changed at any time, by anybody.
    pub const NONE: Self = Self(0);
    /// Fixed once the server runs.
    pub const IMMUTABLE: Self = Self(1);
    /// Can be changed only where `enable-protected-configs` allows it.
    pub const PROTECTED: Self = Self(2);
    /// Shown only to who names it in full.
    pub const HIDDEN: Self = Self(4);
    /// Must not appear in logs.
    pub const SENSITIVE: Self = Self(8);
    /// Takes several arguments, in a file also as one quoted text.
    pub const MULTI: Self = Self(16);
    /// Can be set while the server runs only to the value it has.
    pub const PINNED: Self = Self(32);

    /// Can be set to `no` only where `enable-protected-configs` allows it.
    pub const END_PROTECTED: Self = Self(64);

    /// Both sets together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every flag of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What the server must do when a value changes while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the value is read where it is used.
    None,
    /// Listen on other addresses or another port. `bind` and `port` together need it once.
    Listen,
    /// Switch the log on or off.
    Appendonly,
    /// Change when writes become durable.
    Appendfsync,
    /// Make sure that the system allows so many descriptors.
    Maxclients,
    /// Give the logger the new threshold.
    Loglevel,
    /// Start or end the allocator's own threads.
    AllocatorThread,
    /// How long the log keeps files that a compaction has replaced.
    Retention,
}

/// One row of the table.
pub struct Directive {
    /// The name.
    pub name: &'static str,
    /// Older or other servers' names for it.
    pub aliases: &'static [&'static str],
    /// The rule for its values.
    pub kind: Kind,
    /// How it may be changed and shown.
    pub flags: Flags,
    /// What it does here.
    pub status: Status,
    /// What a change asks of the server.
    pub effect: Effect,
    set: fn(&mut Config, &[&str], &Kind, Origin) -> Result<bool, ValueError>,
    get: fn(&Config, &Kind) -> String,
    lines: fn(&Config, &Kind) -> Vec<RewrittenLine>,
    is_default: fn(&Config) -> bool,
}

impl std::fmt::Debug for Directive {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Directive").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Directive {
    /// Sets the value; says whether it is another one than before. After an error the
    /// configuration is to be thrown away.
    pub fn set(
        &self,
        config: &mut Config,
        arguments: &[&[u8]],
        origin: Origin,
    ) -> Result<bool, ValueError> {
        let arguments = arguments
            .iter()
            .map(|bytes| std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
            .collect::<Option<Vec<&str>>>()
            .ok_or(ValueError::NotText)?;
        if !self.flags.has(Flags::MULTI) && arguments.len() != 1 {
            return Err(ValueError::ArgumentCount);
        }
        let changed = (self.set)(config, &arguments, &self.kind, origin)?;
        match self.status {
            Status::Refused(reason) if !self.is_default(config) => Err(ValueError::Refused(reason)),
            _ => Ok(changed),
        }
    }

    /// Sets the value from a line of a file, where one quoted text may hold several arguments.
    pub fn set_from_line(
        &self,
        config: &mut Config,
        arguments: &[&[u8]],
        origin: Origin,
    ) -> Result<bool, ValueError> {
        match arguments {
            [one] if self.flags.has(Flags::MULTI) && !one.is_empty() => {
                let parts = split_arguments(one).ok_or(ValueError::ArgumentCount)?;
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                self.set(config, &parts, origin)
            }
            _ => self.set(config, arguments, origin),
        }
    }

    /// The value as `CONFIG GET` shows it.
    pub fn get(&self, config: &Config) -> String {
        (self.get)(config, &self.kind)
    }

    /// The lines that state the value in a file.
    pub fn lines(&self, config: &Config) -> Vec<RewrittenLine> {
        (self.lines)(config, &self.kind)
    }

    /// Whether the value is the one of a server that was told nothing.
    pub fn is_default(&self, config: &Config) -> bool {
        (self.is_default)(config)
    }

    /// Every name, the main one first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// Finds a directive by any of its names, in any case; also says under which name.
pub fn find(name: &[u8]) -> Option<(&'static Directive, &'static str)> {
    DIRECTIVES.iter().find_map(|directive| {
        let mut names = directive.names();
        let known = names.find(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
        Some((directive, known))
    })
}

/// From rows `"name" | "alias" => field: Type = default, kind, flags, status, effect;` makes the struct
/// with its defaults and the table with typed getters and setters.
macro_rules! directives {
    ($(
        $name:literal $(| $alias:literal)* => $field:ident : $type:ty = $default:expr,
        $kind:expr, $flags:expr, $status:expr $(, $effect:expr)? ;
    )*) => {
        /// The whole configuration: one typed field for each directive.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $(
                #[doc = concat!("`", $name, "`")]
                pub $field: $type,
            )*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        /// Every directive, in the order of the table.
        pub static DIRECTIVES: &[Directive] = &[$(
            Directive {
                name: $name,
                aliases: &[$($alias),*],
                kind: $kind,
                flags: $flags,
                status: $status,
                effect: directives!(@effect $($effect)?),
                set: |config, arguments, kind, origin| {
                    let new = Setting::parse(&config.$field, arguments, kind, origin)?;
                    let changed = new != config.$field;
                    config.$field = new;
                    Ok(changed)
                },
                get: |config, kind| config.$field.show(kind),
                lines: |config, kind| config.$field.lines(kind),
                is_default: |config| {
                    let default: $type = $default;
                    config.$field == default
                },
            },
        )*];
    };
    (@effect) => { Effect::None };
    (@effect $effect:expr) => { $effect };
}

const MUTABLE: Flags = Flags::NONE;
const IMMUTABLE: Flags = Flags::IMMUTABLE;
const HIDDEN: Flags = Flags::HIDDEN;
const HIDDEN_IMMUTABLE: Flags = Flags::HIDDEN.with(Flags::IMMUTABLE);
const MULTI: Flags = Flags::MULTI;
const SENSITIVE: Flags = Flags::SENSITIVE;

const INT_MAX: i64 = i32::MAX as i64;
const INT_MIN: i64 = i32::MIN as i64;
const LONG_MAX: i64 = i64::MAX;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const BOOL: Kind = Kind::Bool;
const CHOICE: Kind = Kind::Choice;
const SPECIAL: Kind = Kind::Special;
const TEXT: Kind = Kind::Text(|_| Ok(()));
const COUNT: Kind = int(0, INT_MAX);
const LONG_COUNT: Kind = int(0, LONG_MAX);
const PORT: Kind = int(0, 65535);
const SIZE: Kind = memory(0, i64::MAX as u64);

const fn int(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max }
}

const fn memory(min: u64, max: u64) -> Kind {
    Kind::Memory { min, max }
}

fn check_file_name(
    text: &str,
    empty: Option<&'static str>,
    path: &'static str,
) -> Result<(), ValueError> {
    match (text, empty) {
        ("", Some(message)) => Err(ValueError::Invalid(message)),
        _ if text.contains(['/', '\\']) => Err(ValueError::Invalid(path)),
        _ => Ok(()),
    }
}

const DB_FILE: Kind =
    Kind::Text(|text| check_file_name(text, None, "dbfilename can't be a path, just a filename"));
const LOG_FILE: Kind = Kind::Text(|text| {
    check_file_name(
        text,
        Some("appendfilename can't be empty"),
        "appendfilename can't be a path, just a filename",
    )
});
const LOG_DIR: Kind = Kind::Text(|text| {
    check_file_name(
        text,
        Some("appenddirname can't be empty"),
        "appenddirname can't be a path, just a dirname",
    )
});
const TITLE: Kind = Kind::Text(check_title_template);

/// Accepts text with the variables that a process title may have.
fn check_title_template(template: &str) -> Result<(), ValueError> {
    const VARIABLES: [&str; 7] =
        ["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];
    let invalid = ValueError::Invalid("template format is invalid or contains unknown variables");
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('{') {
        let (variable, after) = after.split_once('}').ok_or_else(|| invalid.clone())?;
        if !VARIABLES.contains(&variable) {
            return Err(invalid);
        }
        rest = after;
    }
    if template.trim().is_empty() { Err(invalid) } else { Ok(()) }
}

#[rustfmt::skip]
directives! {
    // The process.
    "daemonize" => daemonize: bool = false, BOOL, IMMUTABLE, Works;
    "supervised" => supervised: Supervised = Supervised::No, CHOICE, IMMUTABLE, Works;
    "pidfile" => pidfile: Option<String> = None, TEXT, IMMUTABLE, Works;
    "loglevel" => loglevel: LogLevel = LogLevel::Notice, CHOICE, MUTABLE, Works, Effect::Loglevel;
    "logfile" => logfile: String = String::new(), TEXT, IMMUTABLE, Works;
    "syslog-enabled" => syslog_enabled: bool = false, BOOL, IMMUTABLE, Works;
    "syslog-ident" => syslog_ident: String = "mainstay".into(), TEXT, IMMUTABLE, Works;
    "syslog-facility" => syslog_facility: SyslogFacility = SyslogFacility::Local0, CHOICE, IMMUTABLE, Works;
    "always-show-logo" => always_show_logo: bool = false, BOOL, IMMUTABLE, Kept(reason::APPEARANCE);
    "set-proc-title" => set_proc_title: bool = true, BOOL, IMMUTABLE, Kept(reason::APPEARANCE);
    "proc-title-template" => proc_title_template: String = "{title} {listen-addr} {server-mode}".into(), TITLE, MUTABLE, Kept(reason::APPEARANCE);
    "locale-collate" => locale_collate: String = String::new(), TEXT, MUTABLE, Kept(reason::LOCALE);
    "crash-log-enabled" => crash_log_enabled: bool = true, BOOL, MUTABLE, Kept(reason::CRASH);
    "crash-memcheck-enabled" => crash_memcheck_enabled: bool = true, BOOL, MUTABLE, Kept(reason::CRASH);
    "use-exit-on-panic" => use_exit_on_panic: bool = false, BOOL, HIDDEN, Kept(reason::CRASH);
    "watchdog-period" => watchdog_period: i32 = 0, COUNT, HIDDEN, Kept(reason::CRASH);
    "hide-user-data-from-log" => hide_user_data_from_log: bool = false, BOOL, MUTABLE, Kept(reason::PRIVACY);
    "ignore-warnings" => ignore_warnings: String = String::new(), TEXT, MUTABLE, Kept(reason::WARNINGS);
    "disable-thp" => disable_thp: bool = true, BOOL, IMMUTABLE, Kept(reason::KERNEL);
    "oom-score-adj" => oom_score_adj: OomScoreAdj = OomScoreAdj::No, CHOICE, MUTABLE, Kept(reason::KERNEL);
    "oom-score-adj-values" => oom_score_adj_values: OomScores = OomScores([0, 200, 800]), SPECIAL, MULTI, Kept(reason::KERNEL);
    "server-cpulist" | "server_cpulist" => server_cpulist: Option<String> = None, TEXT, IMMUTABLE, Kept(reason::AFFINITY);
    "bio-cpulist" | "bio_cpulist" => bio_cpulist: Option<String> = None, TEXT, IMMUTABLE, Kept(reason::AFFINITY);
    "aof-rewrite-cpulist" | "aof_rewrite_cpulist" => aof_rewrite_cpulist: Option<String> = None, TEXT, IMMUTABLE, Kept(reason::AFFINITY);
    "bgsave-cpulist" | "bgsave_cpulist" => bgsave_cpulist: Option<String> = None, TEXT, IMMUTABLE, Kept(reason::AFFINITY);
    "shutdown-timeout" => shutdown_timeout: i32 = 10, COUNT, MUTABLE, Kept(reason::SHUTDOWN);
    "shutdown-on-sigint" => shutdown_on_sigint: ShutdownOptions = ShutdownOptions::DEFAULT, SPECIAL, MULTI, Kept(reason::SHUTDOWN);
    "shutdown-on-sigterm" => shutdown_on_sigterm: ShutdownOptions = ShutdownOptions::DEFAULT, SPECIAL, MULTI, Kept(reason::SHUTDOWN);

    // The network.
    "bind" => bind: BindAddresses = BindAddresses::default(), SPECIAL, MULTI, Works, Effect::Listen;
    "bind-source-addr" => bind_source_addr: Option<String> = None, TEXT, MUTABLE, Kept(reason::OUTGOING);
    "port" => port: u16 = 6379, PORT, MUTABLE, Works, Effect::Listen;
    "unixsocket" => unixsocket: Option<String> = None, TEXT, IMMUTABLE, Works;
    "unixsocketperm" => unixsocketperm: u32 = 0, Kind::Octal { max: 0o777 }, IMMUTABLE, Works;
    "unixsocketgroup" => unixsocketgroup: Option<String> = None, TEXT, IMMUTABLE, Refused(reason::SOCKET_GROUP);
    "socket-mark-id" => socket_mark_id: u32 = 0, int(0, u32::MAX as i64), IMMUTABLE, Refused(reason::SOCKET_MARK);
    "protected-mode" => protected_mode: bool = true, BOOL, MUTABLE, Works;
    "tcp-backlog" => tcp_backlog: i32 = 511, COUNT, IMMUTABLE, Works;
    "tcp-keepalive" => tcp_keepalive: i32 = 300, COUNT, MUTABLE, Works;
    "timeout" => timeout: i32 = 0, COUNT, MUTABLE, Works;
    "maxclients" => maxclients: u32 = 10000, int(1, u32::MAX as i64), MUTABLE, Works, Effect::Maxclients;
    "max-new-connections-per-cycle" => max_new_connections_per_cycle: u32 = 10, int(1, 1000), MUTABLE, Kept(reason::THREADS);
    "max-new-tls-connections-per-cycle" => max_new_tls_connections_per_cycle: u32 = 1, int(1, 1000), MUTABLE, Kept(reason::THREADS);
    "io-threads" => io_threads: u32 = 1, int(1, 128), IMMUTABLE, Works;
    "io-threads-do-reads" => io_threads_do_reads: bool = false, BOOL, IMMUTABLE, Kept(reason::THREADS);
    "events-per-io-thread" => events_per_io_thread: i32 = 2, COUNT, MUTABLE, Kept(reason::THREADS);
    "prefetch-batch-max-size" => prefetch_batch_max_size: i32 = 16, int(0, 128), MUTABLE, Kept(reason::THREADS);
    "proto-max-bulk-len" => proto_max_bulk_len: u64 = 512 * MIB, memory(MIB, i64::MAX as u64), MUTABLE, Works;
    "client-query-buffer-limit" => client_query_buffer_limit: u64 = GIB, memory(MIB, i64::MAX as u64), MUTABLE, Works;
    "client-output-buffer-limit" => client_output_buffer_limit: BufferLimits = BufferLimits::default(), SPECIAL, MULTI, Works;
    "maxmemory-clients" => maxmemory_clients: MemoryOrPercent = MemoryOrPercent::Bytes(0), Kind::MemoryOrPercent, MUTABLE, Refused(reason::MAXMEMORY);
    "tracking-table-max-keys" => tracking_table_max_keys: u64 = 1_000_000, LONG_COUNT, MUTABLE, Kept(reason::TRACKING);
    "enable-protected-configs" => enable_protected_configs: ProtectedAction = ProtectedAction::No, CHOICE, IMMUTABLE, Works;
    "enable-debug-command" => enable_debug_command: ProtectedAction = ProtectedAction::No, CHOICE, IMMUTABLE, Works;
    "enable-module-command" => enable_module_command: ProtectedAction = ProtectedAction::No, CHOICE, IMMUTABLE, Kept(reason::MODULES);
    "extended-redis-compatibility" => extended_redis_compatibility: bool = false, BOOL, MUTABLE, Kept(reason::COMPATIBILITY);
    "availability-zone" => availability_zone: String = String::new(), TEXT, MUTABLE, Kept(reason::CLUSTER);

    // Data and durability.
    "databases" => databases: i32 = 16, int(1, INT_MAX), IMMUTABLE, Works;
    "dir" => dir: DataDir = DataDir(DataDir::DEFAULT.into()), SPECIAL, Flags::PROTECTED.with(Flags::PINNED), Works;
    "umask" => umask: u32 = 0o077, Kind::Octal { max: 0o077 }, IMMUTABLE, Works;
    "appendonly" => appendonly: bool = true, BOOL, Flags::END_PROTECTED, Works, Effect::Appendonly;
    "appendfsync" => appendfsync: AppendFsync = AppendFsync::Always, CHOICE, MUTABLE, Works, Effect::Appendfsync;
    "log-segment-size" => log_segment_size: u64 = 64 * MIB, memory(64 * KIB, 64 * GIB), IMMUTABLE, Works;
    "log-compression" => log_compression: LogCompression = LogCompression::Lz4, CHOICE, IMMUTABLE, Works;
    "log-compression-min-bytes" => log_compression_min_bytes: u64 = 4 * KIB, memory(0, GIB), IMMUTABLE, Works;
    "log-retention-time" => log_retention_time: u64 = 0, int(0, 1 << 40), MUTABLE, Works, Effect::Retention;
    "log-retention-size" => log_retention_size: u64 = 0, memory(0, i64::MAX as u64), MUTABLE, Works, Effect::Retention;
    "log-retention-compression" => log_retention_compression: RetentionCompression = RetentionCompression::Zstd, CHOICE, IMMUTABLE, Works;
    "appendfilename" => appendfilename: String = "appendonly.aof".into(), LOG_FILE, IMMUTABLE, Works;
    "appenddirname" => appenddirname: String = "appendonlydir".into(), LOG_DIR, IMMUTABLE, Works;
    "no-appendfsync-on-rewrite" => no_appendfsync_on_rewrite: bool = false, BOOL, MUTABLE, Kept(reason::FORK);
    "auto-aof-rewrite-percentage" => auto_aof_rewrite_percentage: i32 = 100, COUNT, MUTABLE, Works;
    "auto-aof-rewrite-min-size" => auto_aof_rewrite_min_size: u64 = 64 * MIB, SIZE, MUTABLE, Works;
    "aof-rewrite-incremental-fsync" => aof_rewrite_incremental_fsync: bool = true, BOOL, MUTABLE, Kept(reason::SYNC);
    "aof-load-truncated" => aof_load_truncated: bool = true, BOOL, MUTABLE, Works;
    "import-skip-modules" => import_skip_modules: bool = false, BOOL, MUTABLE, Works;
    "aof-use-rdb-preamble" => aof_use_rdb_preamble: bool = true, BOOL, MUTABLE, Kept(reason::AOF);
    "aof-timestamp-enabled" => aof_timestamp_enabled: bool = false, BOOL, MUTABLE, Kept(reason::AOF);
    "aof-disable-auto-gc" => aof_disable_auto_gc: bool = false, BOOL, HIDDEN, Kept(reason::AOF);
    "save" => save: SavePoints = SavePoints::default(), SPECIAL, MULTI, Works;
    "dbfilename" => dbfilename: String = "dump.rdb".into(), DB_FILE, Flags::PROTECTED, Works;
    "stop-writes-on-bgsave-error" => stop_writes_on_bgsave_error: bool = true, BOOL, MUTABLE, Works;
    "rdbcompression" => rdbcompression: bool = true, BOOL, MUTABLE, Works;
    "rdbchecksum" => rdbchecksum: bool = true, BOOL, IMMUTABLE, Kept(reason::RDB);
    "rdb-version" => rdb_version: RdbVersion = RdbVersion::Auto, CHOICE, MUTABLE, Works;
    "rdb-save-incremental-fsync" => rdb_save_incremental_fsync: bool = true, BOOL, MUTABLE, Kept(reason::SYNC);
    "rdb-del-sync-files" => rdb_del_sync_files: bool = false, BOOL, MUTABLE, Kept(reason::REPLICATION);
    "sanitize-dump-payload" => sanitize_dump_payload: SanitizeDumpPayload = SanitizeDumpPayload::No, CHOICE, MUTABLE, Kept(reason::SANITIZE);

    // Memory and expiry.
    "maxmemory" => maxmemory: u64 = 0, memory(0, u64::MAX), MUTABLE, Refused(reason::MAXMEMORY);
    "maxmemory-policy" => maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::Noeviction, CHOICE, MUTABLE, Kept(reason::EVICTION);
    "maxmemory-samples" => maxmemory_samples: i32 = 5, int(1, 64), MUTABLE, Kept(reason::EVICTION);
    "maxmemory-eviction-tenacity" => maxmemory_eviction_tenacity: i32 = 10, int(0, 100), MUTABLE, Kept(reason::EVICTION);
    "lfu-log-factor" => lfu_log_factor: i32 = 10, COUNT, MUTABLE, Kept(reason::EVICTION);
    "lfu-decay-time" => lfu_decay_time: i32 = 1, COUNT, MUTABLE, Kept(reason::EVICTION);
    "active-expire-effort" => active_expire_effort: i32 = 1, int(1, 10), MUTABLE, Kept(reason::PACE);
    "hz" => hz: i32 = 10, Kind::Clamped { min: 1, max: 500 }, MUTABLE, Works;
    "dynamic-hz" => dynamic_hz: bool = true, BOOL, MUTABLE, Kept(reason::PACE);
    "lazyfree-lazy-eviction" => lazyfree_lazy_eviction: bool = false, BOOL, MUTABLE, Kept(reason::LAZYFREE);
    "lazyfree-lazy-expire" => lazyfree_lazy_expire: bool = false, BOOL, MUTABLE, Kept(reason::LAZYFREE);
    "lazyfree-lazy-server-del" => lazyfree_lazy_server_del: bool = false, BOOL, MUTABLE, Kept(reason::LAZYFREE);
    "lazyfree-lazy-user-del" => lazyfree_lazy_user_del: bool = false, BOOL, MUTABLE, Kept(reason::LAZYFREE);
    "lazyfree-lazy-user-flush" => lazyfree_lazy_user_flush: bool = false, BOOL, MUTABLE, Kept(reason::LAZYFREE);
    "activerehashing" => activerehashing: bool = true, BOOL, MUTABLE, Kept(reason::REHASH);
    "jemalloc-bg-thread" => jemalloc_bg_thread: bool = true, BOOL, MUTABLE, Works, Effect::AllocatorThread;
    "activedefrag" => activedefrag: bool = false, BOOL, MUTABLE, Kept(reason::DEFRAG);
    "active-defrag-cycle-min" => active_defrag_cycle_min: i32 = 1, int(1, 99), MUTABLE, Kept(reason::DEFRAG);
    "active-defrag-cycle-max" => active_defrag_cycle_max: i32 = 25, int(1, 99), MUTABLE, Kept(reason::DEFRAG);
    "active-defrag-threshold-lower" => active_defrag_threshold_lower: i32 = 10, int(0, 1000), MUTABLE, Kept(reason::DEFRAG);
    "active-defrag-threshold-upper" => active_defrag_threshold_upper: i32 = 100, int(0, 1000), MUTABLE, Kept(reason::DEFRAG);
    "active-defrag-max-scan-fields" => active_defrag_max_scan_fields: u64 = 1000, int(1, LONG_MAX), MUTABLE, Kept(reason::DEFRAG);
    "active-defrag-ignore-bytes" => active_defrag_ignore_bytes: u64 = 100 * MIB, memory(1, i64::MAX as u64), MUTABLE, Kept(reason::DEFRAG);

    // Encodings of small values.
    "hash-max-listpack-entries" | "hash-max-ziplist-entries" => hash_max_listpack_entries: u64 = 512, LONG_COUNT, MUTABLE, Works;
    "hash-max-listpack-value" | "hash-max-ziplist-value" => hash_max_listpack_value: u64 = 64, SIZE, MUTABLE, Works;
    "list-max-listpack-size" | "list-max-ziplist-size" => list_max_listpack_size: i32 = -2, int(INT_MIN, INT_MAX), MUTABLE, Works;
    "list-compress-depth" => list_compress_depth: i32 = 0, COUNT, MUTABLE, Kept(reason::ENCODING);
    "set-max-intset-entries" => set_max_intset_entries: u64 = 512, LONG_COUNT, MUTABLE, Works;
    "set-max-listpack-entries" => set_max_listpack_entries: u64 = 128, LONG_COUNT, MUTABLE, Works;
    "set-max-listpack-value" => set_max_listpack_value: u64 = 64, LONG_COUNT, MUTABLE, Works;
    "zset-max-listpack-entries" | "zset-max-ziplist-entries" => zset_max_listpack_entries: u64 = 128, LONG_COUNT, MUTABLE, Works;
    "zset-max-listpack-value" | "zset-max-ziplist-value" => zset_max_listpack_value: u64 = 64, SIZE, MUTABLE, Works;
    "hll-sparse-max-bytes" => hll_sparse_max_bytes: u64 = 3000, SIZE, MUTABLE, Works;
    "stream-node-max-bytes" => stream_node_max_bytes: u64 = 4096, SIZE, MUTABLE, Works;
    "stream-node-max-entries" => stream_node_max_entries: i64 = 100, LONG_COUNT, MUTABLE, Works;

    // Observing.
    "slowlog-log-slower-than" => slowlog_log_slower_than: i64 = 10000, int(-1, LONG_MAX), MUTABLE, Works;
    "slowlog-max-len" => slowlog_max_len: u64 = 128, LONG_COUNT, MUTABLE, Works;
    "latency-monitor-threshold" => latency_monitor_threshold: i64 = 0, LONG_COUNT, MUTABLE, Kept(reason::LATENCY);
    "latency-tracking" => latency_tracking: bool = true, BOOL, MUTABLE, Works;
    "latency-tracking-info-percentiles" => latency_tracking_info_percentiles: Percentiles = Percentiles::default(), SPECIAL, MULTI, Works;
    "notify-keyspace-events" => notify_keyspace_events: KeyspaceEvents = KeyspaceEvents::default(), SPECIAL, MUTABLE, Kept(reason::EVENTS);
    "busy-reply-threshold" | "lua-time-limit" => busy_reply_threshold: i64 = 5000, LONG_COUNT, MUTABLE, Kept(reason::SCRIPTS);

    // Passwords and users.
    "requirepass" => requirepass: Option<String> = None, TEXT, SENSITIVE, Refused(reason::AUTH);
    "aclfile" => aclfile: String = String::new(), TEXT, IMMUTABLE, Refused(reason::AUTH);
    "acl-pubsub-default" => acl_pubsub_default: AclPubsubDefault = AclPubsubDefault::Resetchannels, CHOICE, MUTABLE, Kept(reason::ACL_LOG);
    "acllog-max-len" => acllog_max_len: u64 = 128, LONG_COUNT, MUTABLE, Kept(reason::ACL_LOG);

    // TLS.
    "tls-port" => tls_port: u16 = 0, PORT, MUTABLE, Refused(reason::TLS);
    "tls-session-cache-size" => tls_session_cache_size: i32 = 20 * 1024, COUNT, MUTABLE, Refused(reason::TLS);
    "tls-session-cache-timeout" => tls_session_cache_timeout: i32 = 300, COUNT, MUTABLE, Refused(reason::TLS);
    "tls-cluster" => tls_cluster: bool = false, BOOL, MUTABLE, Refused(reason::TLS);
    "tls-replication" => tls_replication: bool = false, BOOL, MUTABLE, Refused(reason::TLS);
    "tls-auth-clients" => tls_auth_clients: TlsAuthClients = TlsAuthClients::Yes, CHOICE, MUTABLE, Refused(reason::TLS);
    "tls-prefer-server-ciphers" => tls_prefer_server_ciphers: bool = false, BOOL, MUTABLE, Refused(reason::TLS);
    "tls-session-caching" => tls_session_caching: bool = true, BOOL, MUTABLE, Refused(reason::TLS);
    "tls-cert-file" => tls_cert_file: Option<String> = None, TEXT, MUTABLE, Refused(reason::TLS);
    "tls-key-file" => tls_key_file: Option<String> = None, TEXT, MUTABLE, Refused(reason::TLS);
    "tls-key-file-pass" => tls_key_file_pass: Option<String> = None, TEXT, SENSITIVE, Refused(reason::TLS);
    "tls-client-cert-file" => tls_client_cert_file: Option<String> = None, TEXT, MUTABLE, Refused(reason::TLS);
    "tls-client-key-file" => tls_client_key_file: Option<String> = None, TEXT, MUTABLE, Refused(reason::TLS);
    "tls-client-key-file-pass" => tls_client_key_file_pass: Option<String> = None, TEXT, SENSITIVE, Refused(reason::TLS);
    "tls-dh-params-file" => tls_dh_params_file: Option<String> = None, TEXT, MUTABLE, Refused(reason::TLS);
    "tls-ca-cert-file" => tls_ca_cert_file: Option<String> = None, TEXT, MUTABLE, Refused(reason::TLS);
    "tls-ca-cert-dir" => tls_ca_cert_dir: Option<String> = None, TEXT, MUTABLE, Refused(reason::TLS);
    "tls-protocols" => tls_protocols: Option<String> = None, TEXT, MUTABLE, Refused(reason::TLS);
    "tls-ciphers" => tls_ciphers: Option<String> = None, TEXT, MUTABLE, Refused(reason::TLS);
    "tls-ciphersuites" => tls_ciphersuites: Option<String> = None, TEXT, MUTABLE, Refused(reason::TLS);

    // Replication.
    "replicaof" | "slaveof" => replicaof: ReplicaOf = ReplicaOf::default(), SPECIAL, MULTI.with(IMMUTABLE), Refused(reason::REPLICA);
    "masterauth" | "primaryauth" => masterauth: Option<String> = None, TEXT, SENSITIVE, Refused(reason::REPLICA);
    "masteruser" | "primaryuser" => masteruser: Option<String> = None, TEXT, SENSITIVE, Refused(reason::REPLICA);
    "min-replicas-to-write" | "min-slaves-to-write" => min_replicas_to_write: i32 = 0, COUNT, MUTABLE, Refused(reason::QUORUM);
    "min-replicas-max-lag" | "min-slaves-max-lag" => min_replicas_max_lag: i32 = 10, COUNT, MUTABLE, Kept(reason::REPLICATION);
    "repl-diskless-sync" => repl_diskless_sync: bool = true, BOOL, MUTABLE, Kept(reason::REPLICATION);
    "repl-diskless-sync-delay" => repl_diskless_sync_delay: i32 = 5, COUNT, MUTABLE, Kept(reason::REPLICATION);
    "repl-diskless-sync-max-replicas" => repl_diskless_sync_max_replicas: i32 = 0, COUNT, MUTABLE, Kept(reason::REPLICATION);
    "repl-diskless-load" => repl_diskless_load: ReplDisklessLoad = ReplDisklessLoad::Disabled, CHOICE, MUTABLE, Kept(reason::REPLICATION);
    "dual-channel-replication-enabled" => dual_channel_replication_enabled: bool = false, BOOL, MUTABLE, Kept(reason::REPLICATION);
    "repl-disable-tcp-nodelay" => repl_disable_tcp_nodelay: bool = false, BOOL, MUTABLE, Kept(reason::REPLICATION);
    "repl-timeout" => repl_timeout: i32 = 60, int(1, INT_MAX), MUTABLE, Kept(reason::REPLICATION);
    "repl-ping-replica-period" | "repl-ping-slave-period" => repl_ping_replica_period: i32 = 10, int(1, INT_MAX), MUTABLE, Kept(reason::REPLICATION);
    "repl-backlog-size" => repl_backlog_size: u64 = MIB, memory(1, i64::MAX as u64), MUTABLE, Kept(reason::REPLICATION);
    "repl-backlog-ttl" => repl_backlog_ttl: i64 = 3600, LONG_COUNT, MUTABLE, Kept(reason::REPLICATION);
    "replica-lazy-flush" | "slave-lazy-flush" => replica_lazy_flush: bool = false, BOOL, MUTABLE, Kept(reason::REPLICATION);
    "replica-serve-stale-data" | "slave-serve-stale-data" => replica_serve_stale_data: bool = true, BOOL, MUTABLE, Kept(reason::REPLICATION);
    "replica-read-only" | "slave-read-only" => replica_read_only: bool = true, BOOL, MUTABLE, Kept(reason::REPLICATION);
    "replica-ignore-maxmemory" | "slave-ignore-maxmemory" => replica_ignore_maxmemory: bool = true, BOOL, MUTABLE, Kept(reason::REPLICATION);
    "replica-ignore-disk-write-errors" => replica_ignore_disk_write_errors: bool = false, BOOL, MUTABLE, Kept(reason::REPLICATION);
    "replica-announced" => replica_announced: bool = true, BOOL, MUTABLE, Kept(reason::REPLICATION);
    "replica-announce-ip" | "slave-announce-ip" => replica_announce_ip: Option<String> = None, TEXT, MUTABLE, Kept(reason::REPLICATION);
    "replica-announce-port" | "slave-announce-port" => replica_announce_port: u16 = 0, PORT, MUTABLE, Kept(reason::REPLICATION);
    "replica-priority" | "slave-priority" => replica_priority: i32 = 100, COUNT, MUTABLE, Kept(reason::REPLICATION);
    "propagation-error-behavior" => propagation_error_behavior: PropagationError = PropagationError::Ignore, CHOICE, MUTABLE, Kept(reason::REPLICATION);

    // Cluster.
    "cluster-enabled" => cluster_enabled: bool = false, BOOL, IMMUTABLE, Refused(reason::CLUSTER_MODE);
    "cluster-config-file" => cluster_config_file: String = "nodes.conf".into(), TEXT, IMMUTABLE, Kept(reason::CLUSTER);
    "cluster-port" => cluster_port: u16 = 0, PORT, IMMUTABLE, Kept(reason::CLUSTER);
    "cluster-node-timeout" => cluster_node_timeout: i64 = 15000, LONG_COUNT, MUTABLE, Kept(reason::CLUSTER);
    "cluster-ping-interval" => cluster_ping_interval: i64 = 0, LONG_COUNT, HIDDEN, Kept(reason::CLUSTER);
    "cluster-require-full-coverage" => cluster_require_full_coverage: bool = true, BOOL, MUTABLE, Kept(reason::CLUSTER);
    "cluster-replica-no-failover" | "cluster-slave-no-failover" => cluster_replica_no_failover: bool = false, BOOL, MUTABLE, Kept(reason::CLUSTER);
    "cluster-replica-validity-factor" | "cluster-slave-validity-factor" => cluster_replica_validity_factor: i32 = 10, COUNT, MUTABLE, Kept(reason::CLUSTER);
    "cluster-allow-replica-migration" => cluster_allow_replica_migration: bool = true, BOOL, MUTABLE, Kept(reason::CLUSTER);
    "cluster-migration-barrier" => cluster_migration_barrier: i32 = 1, COUNT, MUTABLE, Kept(reason::CLUSTER);
    "cluster-allow-reads-when-down" => cluster_allow_reads_when_down: bool = false, BOOL, MUTABLE, Kept(reason::CLUSTER);
    "cluster-allow-pubsubshard-when-down" => cluster_allow_pubsubshard_when_down: bool = true, BOOL, MUTABLE, Kept(reason::CLUSTER);
    "cluster-link-sendbuf-limit" => cluster_link_sendbuf_limit: u64 = 0, memory(0, u64::MAX), MUTABLE, Kept(reason::CLUSTER);
    "cluster-announce-ip" => cluster_announce_ip: Option<String> = None, TEXT, MUTABLE, Kept(reason::CLUSTER);
    "cluster-announce-client-ipv4" => cluster_announce_client_ipv4: Option<String> = None, TEXT, MUTABLE, Kept(reason::CLUSTER);
    "cluster-announce-client-ipv6" => cluster_announce_client_ipv6: Option<String> = None, TEXT, MUTABLE, Kept(reason::CLUSTER);
    "cluster-announce-hostname" => cluster_announce_hostname: Option<String> = None, TEXT, MUTABLE, Kept(reason::CLUSTER);
    "cluster-announce-human-nodename" => cluster_announce_human_nodename: Option<String> = None, TEXT, MUTABLE, Kept(reason::CLUSTER);
    "cluster-announce-port" => cluster_announce_port: u16 = 0, PORT, MUTABLE, Kept(reason::CLUSTER);
    "cluster-announce-bus-port" => cluster_announce_bus_port: u16 = 0, PORT, MUTABLE, Kept(reason::CLUSTER);
    "cluster-announce-tls-port" => cluster_announce_tls_port: u16 = 0, PORT, MUTABLE, Kept(reason::CLUSTER);
    "cluster-preferred-endpoint-type" => cluster_preferred_endpoint_type: ClusterEndpoint = ClusterEndpoint::Ip, CHOICE, MUTABLE, Kept(reason::CLUSTER);
    "cluster-blacklist-ttl" => cluster_blacklist_ttl: u64 = 60, LONG_COUNT, MUTABLE, Kept(reason::CLUSTER);
    "cluster-slot-stats-enabled" => cluster_slot_stats_enabled: bool = false, BOOL, MUTABLE, Kept(reason::CLUSTER);

    // Hooks for the tests of Redis and Valkey.
    "enable-debug-assert" => enable_debug_assert: bool = false, BOOL, HIDDEN_IMMUTABLE, Kept(reason::HOOKS);
    "debug-context" => debug_context: String = String::new(), TEXT, HIDDEN, Kept(reason::HOOKS);
    "rdb-key-save-delay" => rdb_key_save_delay: i32 = 0, int(INT_MIN, INT_MAX), HIDDEN, Kept(reason::HOOKS);
    "key-load-delay" => key_load_delay: i32 = 0, int(INT_MIN, INT_MAX), HIDDEN, Kept(reason::HOOKS);
    "loading-process-events-interval-bytes" => loading_process_events_interval_bytes: i64 = 2 << 20, int(1024, INT_MAX), HIDDEN, Kept(reason::HOOKS);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_lowercase() {
        let mut seen = HashSet::new();
        for name in DIRECTIVES.iter().flat_map(Directive::names) {
            assert!(seen.insert(name), "{name} twice");
            assert_eq!(name, name.to_ascii_lowercase());
        }
    }

    #[test]
    fn defaults_are_valid_and_are_their_own_lines() {
        let defaults = Config::default();
        for directive in DIRECTIVES {
            assert!(directive.is_default(&defaults), "{}", directive.name);
            for line in directive.lines(&defaults) {
                let arguments = split_arguments(line.arguments.as_bytes()).expect("balanced");
                let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
                let mut config = Config::default();
                let result = directive.set_from_line(&mut config, &arguments, Origin::File);
                assert_eq!(result, Ok(false), "{} {}", directive.name, line.arguments);
            }
        }
    }

    /// Setting the ends of each range finds rows whose field is too narrow for it.
    #[test]
    fn ranges_fit_their_fields() {
        for directive in DIRECTIVES {
            let (min, max) = match directive.kind {
                Kind::Integer { min, max } => (min.to_string(), max.to_string()),
                Kind::Memory { min, max } => (min.to_string(), max.to_string()),
                Kind::Octal { max } => ("0".into(), format!("{max:o}")),
                _ => continue,
            };
            for end in [min, max] {
                let result = directive.set(&mut Config::default(), &[end.as_bytes()], Origin::File);
                let fits = matches!(result, Ok(_) | Err(ValueError::Refused(_)));
                assert!(fits, "{} {end}: {result:?}", directive.name);
            }
        }
    }

    #[test]
    fn the_defaults_are_those_of_a_durable_primary() {
        let config = Config::default();
        assert!(config.appendonly);
        assert_eq!(config.appendfsync, AppendFsync::Always);
        assert!(config.save.0.is_empty());
        assert_eq!(config.dir.0, "./data");
        assert_eq!((config.port, config.databases, config.maxclients), (6379, 16, 10000));
    }

    #[test]
    fn title_templates() {
        let check = |template| check_title_template(template).is_ok();
        assert!(check("{title} {listen-addr} x{port}"));
        for bad in ["", "{x}", "{title", "{}"] {
            assert!(!check(bad), "{bad}");
        }
    }
}
