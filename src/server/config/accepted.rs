//! Directives of Redis that have no effect here, or not yet: the reasons, and the list made from them.

use super::directives::{DIRECTIVES, Status};

/// Why a group of directives has no effect. The table of directives refers to these.
pub mod reason {
    /// Directives about snapshots written by a forked child.
    pub const FORK: &str = "nothing is forked, and syncs go on while a base is written";
    /// Directives about the format or upkeep of Redis's append-only file.
    pub const AOF: &str = "the log has its own format: checksummed segments with a manifest";
    /// Checksums.
    pub const RDB: &str = "what is written always has checksums, and what is read is checked";
    /// Syncing along the way.
    pub const SYNC: &str = "files are always synced along the way while they are written";
    /// The table of keys.
    pub const REHASH: &str =
        "the table of keys grows in bounded steps and is never rehashed as a whole";
    /// Freeing in the background.
    pub const LAZYFREE: &str = "what is big is always freed in the background";
    /// Defragmentation.
    pub const DEFRAG: &str =
        "there is no active defragmentation; the allocator returns memory by itself";
    /// Eviction's fine tuning.
    pub const EVICTION: &str = "there is no eviction yet; the value is kept for when there is";
    /// Encodings of small values.
    pub const ENCODING: &str = "lists are not compressed in memory";
    /// The pace of background work.
    pub const PACE: &str = "background work is paced by its own bounds, not by a fixed rate";
    /// Tuning of connections and threads.
    pub const THREADS: &str =
        "connections are spread over `io-threads`, each of which reads and writes its own";
    /// Observing slow commands.
    pub const LATENCY: &str = "kept; what it measures is not measured yet";
    /// Scripts.
    pub const SCRIPTS: &str = "there are no scripts yet; the value is kept for when there are";
    /// Keyspace events.
    pub const EVENTS: &str =
        "keyspace events are not published yet; accepted because common test setups ask for them";
    /// Replication.
    pub const REPLICATION: &str =
        "there is no replication yet; the value is kept for when there is";
    /// Cluster.
    pub const CLUSTER: &str = "there is no cluster mode yet; the value is kept for when there is";
    /// Process title and logo.
    pub const APPEARANCE: &str = "the process keeps its title and prints no logo";
    /// Modules.
    pub const MODULES: &str = "modules cannot be loaded";
    /// Collation.
    pub const LOCALE: &str = "text is compared byte by byte";
    /// Kernel settings of the process.
    pub const KERNEL: &str = "the process leaves this to the service manager";
    /// Crash reports.
    pub const CRASH: &str =
        "a crash is reported by the runtime and leaves a core where the system allows it";
    /// Client-side caching.
    pub const TRACKING: &str =
        "there is no client-side caching yet; the value is kept for when there is";
    /// ACL bookkeeping.
    pub const ACL_LOG: &str =
        "there are no access control lists yet; the value is kept for when there are";
    /// Warnings at start.
    pub const WARNINGS: &str = "no such checks are made at start";
    /// Shutdown.
    pub const SHUTDOWN: &str = "a shutdown makes everything durable first, whatever started it";
    /// Test hooks of other servers.
    pub const HOOKS: &str = "a hook for the tests of another server";
    /// What the log file may show.
    pub const PRIVACY: &str = "the log shows no user data in any case";
    /// Outgoing connections.
    pub const OUTGOING: &str =
        "only `MIGRATE` opens connections, from whichever address the system picks";
    /// Payloads of RESTORE.
    pub const SANITIZE: &str = "what is loaded or restored is always checked down to each element";
    /// Compatibility switches.
    pub const COMPATIBILITY: &str = "there is one behaviour, that of Redis";

    /// Passwords and users.
    pub const AUTH: &str =
        "there is no authentication yet, and a server must not look protected when it is not";
    /// TLS.
    pub const TLS: &str =
        "there is no TLS yet, and plain connections must not pass for encrypted ones";
    /// Memory limit.
    pub const MAXMEMORY: &str = "there is no eviction yet, so the limit would not hold";
    /// Being a replica.
    pub const REPLICA: &str = "there is no replication yet, so the data would not arrive";
    /// Waiting for replicas.
    pub const QUORUM: &str = "there is no replication yet, so the guarantee would not hold";
    /// Being a node of a cluster.
    pub const CLUSTER_MODE: &str = "there is no cluster mode yet, so slots would not be served";
    /// The group of the socket file.
    pub const SOCKET_GROUP: &str =
        "the group of the socket is not changed yet, so access would not be as asked";
    /// Marks on sockets.
    pub const SOCKET_MARK: &str =
        "sockets are not marked yet, so traffic would not be routed as asked";
    /// CPU affinity.
    pub const AFFINITY: &str = "threads are not pinned; use the service manager or `taskset`";
}

/// A word that only a file can have, or that no longer means anything.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// The word that begins the line.
    pub name: &'static str,
    /// Whether the line is passed over; otherwise it is refused.
    pub ignored: bool,
    /// Why.
    pub reason: &'static str,
}

const fn ignored(name: &'static str, reason: &'static str) -> Word {
    Word { name, ignored: true, reason }
}

const fn refused(name: &'static str, reason: &'static str) -> Word {
    Word { name, ignored: false, reason }
}

/// Every word of a configuration file that is neither a directive nor `include`.
pub static WORDS: &[Word] = &[
    ignored("list-max-ziplist-entries", "replaced by `list-max-listpack-size` long ago"),
    ignored("list-max-ziplist-value", "replaced by `list-max-listpack-size` long ago"),
    ignored("lua-replicate-commands", "the effects of scripts are always what is logged"),
    refused(
        "rename-command",
        "commands cannot be renamed yet, and one meant to be hidden must not stay open",
    ),
    refused("user", reason::AUTH),
    refused("loadmodule", reason::MODULES),
    refused("sentinel", "this server is no Sentinel; run a Redis Sentinel beside it"),
];

/// The table of every directive that is accepted without effect or refused, as Markdown.
///
/// The README carries this text, and a test compares the two.
pub fn accepted_directives_markdown() -> String {
    let mut kept = Vec::new();
    let mut refused = Vec::new();
    for directive in DIRECTIVES {
        match directive.status {
            Status::Works => {}
            Status::Kept(reason) => kept.push((directive.name, reason)),
            Status::Refused(reason) => refused.push((directive.name, reason)),
        }
    }
    for word in WORDS {
        if word.ignored { &mut kept } else { &mut refused }.push((word.name, word.reason));
    }
    format!(
        "Accepted and kept, without effect:\n\n{}\n\
         Refused unless the value is the default:\n\n{}",
        grouped(&kept),
        grouped(&refused)
    )
}

/// One row for each reason, in the order in which reasons first occur.
fn grouped(rows: &[(&'static str, &'static str)]) -> String {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, reason) in rows {
        let name = format!("`{name}`");
        match groups.iter_mut().find(|(known, _)| known == reason) {
            Some((_, names)) => names.push(name),
            None => groups.push((reason, vec![name])),
        }
    }
    let mut text = String::from("| directives | because |\n|---|---|\n");
    for (reason, names) in groups {
        text += &format!("| {} | {reason} |\n", names.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_directive_without_effect_once() {
        let text = accepted_directives_markdown();
        for directive in DIRECTIVES {
            // These two are also mentioned in the reasons for others.
            if ["io-threads", "list-max-listpack-size"].contains(&directive.name) {
                continue;
            }
            let listed = text.matches(&format!("`{}`", directive.name)).count();
            let expected = usize::from(directive.status != Status::Works);
            assert_eq!(listed, expected, "{}", directive.name);
        }
        assert!(text.contains("`rename-command`"));
    }
}
