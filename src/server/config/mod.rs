//! Configuration: one table of directives, and everything that reads, shows, changes and writes it.
//!
//! | file | holds |
//! |---|---|
//! | `directives` | the table: a row for each directive, and the typed [`Config`] made from it |
//! | `engine` | what engine and log take of a configuration |
//! | `values` | the types of settings: reading, showing and writing each |
//! | `accepted` | why a directive has no effect here, and the list for the documentation |
//! | `parse` | the syntax of `redis.conf`, and loading files |
//! | `command` | `CONFIG GET` and `CONFIG SET` as functions over a configuration |
//! | `rewrite` | `CONFIG REWRITE` |
//! | `without_log` | what `appendonly no` means for what is written |

pub mod accepted;
pub mod arguments;
pub mod command;
pub mod directives;
pub mod engine;
pub mod parse;
pub mod rewrite;
pub mod values;
mod without_log;

pub use accepted::accepted_directives_markdown;
pub use command::{Change, Pending, SetCause, SetError};
pub use directives::{Config, DIRECTIVES, Directive, Effect, Flags, Status, find};
pub use parse::{LoadError, Loaded, Sources, load, load_text};
pub use rewrite::{RewriteError, rewrite_file};
pub use values::{
    AppendFsync, LogCompression, LogLevel, ProtectedAction, RdbVersion, RetentionCompression,
    SavePoints, Supervised,
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::io;

    /// Every directive that the stock files of Redis 7.4 and Valkey 8.0, Debian's file and the
    /// configuration of their test suites have, with values of our own choice in their notations.
    const STOCK: &str = r#"
        # network
        bind 127.0.0.1 -::1
        protected-mode yes
        port 6390
        tcp-backlog 64
        timeout 30
        tcp-keepalive 60

        # process
        daemonize no
        pidfile /run/example/server.pid
        loglevel verbose
        logfile ''
        always-show-logo no
        hide-user-data-from-log yes
        set-proc-title yes
        proc-title-template "{title} on {listen-addr} ({server-mode})"
        locale-collate ""
        oom-score-adj no
        oom-score-adj-values 0 100 500
        disable-thp yes
        enable-protected-configs yes
        enable-debug-command yes
        enable-module-command yes
        enable-debug-assert yes
        shutdown-on-sigterm force

        # data
        databases 4
        dir ./
        save ""
        save 3600 1 300 100
        dbfilename example.rdb
        stop-writes-on-bgsave-error yes
        rdbcompression yes
        rdbchecksum yes
        rdb-del-sync-files no
        rdb-save-incremental-fsync yes
        appendonly no
        appendfilename "example.aof"
        appenddirname "exampledir"
        appendfsync everysec
        no-appendfsync-on-rewrite no
        auto-aof-rewrite-percentage 50
        auto-aof-rewrite-min-size 32mb
        aof-load-truncated yes
        aof-use-rdb-preamble yes
        aof-timestamp-enabled no
        aof-rewrite-incremental-fsync yes

        # memory and encodings
        lazyfree-lazy-eviction yes
        lazyfree-lazy-expire yes
        lazyfree-lazy-server-del no
        lazyfree-lazy-user-del no
        lazyfree-lazy-user-flush no
        activerehashing yes
        jemalloc-bg-thread yes
        hash-max-listpack-entries 100
        hash-max-listpack-value 32
        list-max-listpack-size -1
        list-compress-depth 1
        set-max-intset-entries 100
        set-max-listpack-entries 50
        set-max-listpack-value 32
        zset-max-listpack-entries 50
        zset-max-listpack-value 32
        hll-sparse-max-bytes 2000
        stream-node-max-bytes 2kb
        stream-node-max-entries 50

        # replication
        slave-serve-stale-data yes
        replica-serve-stale-data yes
        replica-read-only yes
        replica-lazy-flush no
        replica-priority 50
        repl-diskless-sync yes
        repl-diskless-sync-delay 0
        repl-diskless-sync-max-replicas 0
        repl-diskless-load disabled
        repl-disable-tcp-nodelay no
        dual-channel-replication-enabled no
        propagation-error-behavior panic

        # observing and the rest
        acllog-max-len 64
        slowlog-log-slower-than 5000
        slowlog-max-len 64
        latency-monitor-threshold 1
        notify-keyspace-events KEA
        client-output-buffer-limit normal 0 0 0
        client-output-buffer-limit replica 128mb 32mb 30
        client-output-buffer-limit pubsub 16mb 4mb 30
        hz 20
        dynamic-hz yes
    "#;

    #[test]
    fn the_directives_of_stock_files_are_accepted() {
        let loaded = load_text(STOCK.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((loaded.config.port, loaded.config.hz), (6390, 20));
        assert_eq!(loaded.config.save.0.len(), 2);
        assert_eq!(loaded.config.client_output_buffer_limit.pubsub.soft_seconds, 30);
        assert!(!loaded.config.appendonly);
        let words: HashSet<&str> = STOCK
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|word| *word != "#")
            .collect();
        assert!(words.len() >= 82, "{}", words.len());
        assert!(loaded.notes.iter().any(|note| note.contains("notify-keyspace-events AKE")));
    }

    #[test]
    fn the_file_of_debian_is_accepted_as_it_is() {
        let path = "/etc/redis/redis.conf";
        if std::fs::File::open(path).is_err() {
            eprintln!("skipped: {path} is not here or not readable");
            return;
        }
        let options = b"supervised systemd\ndaemonize no".to_vec();
        let sources = Sources { file: Some(path.into()), stdin: false, options };
        let loaded = load(&sources, &mut io::empty()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.config.supervised, Supervised::Systemd);
        assert!(!loaded.config.daemonize);
        assert_eq!(loaded.config.dir.0, "/var/lib/redis");
    }
}
