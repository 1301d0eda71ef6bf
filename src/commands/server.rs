//! Commands about the server itself. Most belong to the server; here is how they are declared.

use super::spec::{Flags, ServerCommand, Spec};
use super::{CommandResult, Context};
use crate::resp::Args;

/// Allowed whatever state the data is in.
const ALWAYS: Flags = Flags::LOADING.with(Flags::STALE);
const ADMIN: Flags = ALWAYS.with(Flags::ADMIN).with(Flags::NOSCRIPT);

const SAVING: Flags = Flags::NO_ASYNC_LOADING.with(Flags::ADMIN).with(Flags::NOSCRIPT);

const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const SLOWEST_SHARD: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];

/// This family's part of the table.
pub static COMMANDS: [Spec; 12] = [
    Spec::server("bgrewriteaof", 1, ServerCommand::BgRewriteAof).flags(SAVING, "").doc(
        "server",
        "1.0.0",
        "O(1)",
        "Writes a new base of the log in the background.",
    ),
    Spec::server("bgsave", -1, ServerCommand::BgSave).flags(SAVING, "").doc(
        "server",
        "1.0.0",
        "O(1)",
        "Writes an RDB file in the background.",
    ),
    Spec::data("time", 1, time)
        .flags(ALWAYS.with(Flags::FAST), "")
        .doc("server", "2.6.0", "O(1)", "The server's clock: seconds and microseconds.")
        .tips(&["nondeterministic_output"]),
    Spec::server("info", -1, ServerCommand::Info)
        .flags(ALWAYS, "dangerous")
        .doc("server", "1.0.0", "O(1)", "State and statistics of the server.")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Spec::container("config", &CONFIG).doc(
        "server",
        "2.0.0",
        "Depends on the subcommand.",
        "Looks after the configuration.",
    ),
    Spec::server("lastsave", 1, ServerCommand::LastSave)
        .flags(ALWAYS.with(Flags::FAST), "admin dangerous")
        .doc("server", "1.0.0", "O(1)", "When the last RDB file was written, as Unix time.")
        .tips(&["nondeterministic_output"]),
    Spec::server("save", 1, ServerCommand::Save).flags(SAVING.with(Flags::NO_MULTI), "").doc(
        "server",
        "1.0.0",
        "O(N) in all keys",
        "Writes the RDB file; all others wait.",
    ),
    Spec::server("shutdown", -1, ServerCommand::Shutdown)
        .flags(ADMIN.with(Flags::NO_MULTI).with(Flags::ALLOW_BUSY), "")
        .doc("server", "1.0.0", "O(1)", "Closes the database and ends the server."),
    Spec::server("debug", -2, ServerCommand::Debug)
        .flags(ADMIN.with(Flags::PROTECTED).with(Flags::SYSCMD), "")
        .doc("server", "1.0.0", "Depends on the subcommand.", "For debugging and tests."),
    Spec::server("role", 1, ServerCommand::Role)
        .flags(ALWAYS.with(Flags::NOSCRIPT).with(Flags::FAST), "admin dangerous")
        .doc("server", "2.8.12", "O(1)", "The server's role in replication."),
    Spec::server("wait", 3, ServerCommand::Wait)
        .flags(Flags::BLOCKING, "connection")
        .doc("generic", "3.0.0", "O(1)", "Waits until replicas have this connection's writes.")
        .tips(SLOWEST_SHARD),
    Spec::server("waitaof", 4, ServerCommand::WaitAof)
        .flags(Flags::BLOCKING, "connection")
        .doc("generic", "7.2.0", "O(1)", "Waits until this connection's writes are durable.")
        .tips(SLOWEST_SHARD),
];

static CONFIG: [Spec; 5] = [
    Spec::server("config|get", -3, ServerCommand::ConfigGet).flags(ADMIN, "").doc(
        "server",
        "2.0.0",
        "O(N) in the number of patterns",
        "The values of directives.",
    ),
    Spec::server("config|set", -4, ServerCommand::ConfigSet)
        .flags(ADMIN, "")
        .doc("server", "2.0.0", "O(N) in the number of directives", "Changes directives.")
        .tips(ALL_NODES),
    Spec::server("config|resetstat", 2, ServerCommand::ConfigResetStat)
        .flags(ADMIN, "")
        .doc("server", "2.0.0", "O(1)", "Sets the statistics back to zero.")
        .tips(ALL_NODES),
    Spec::server("config|rewrite", 2, ServerCommand::ConfigRewrite)
        .flags(ADMIN, "")
        .doc("server", "2.8.0", "O(1)", "Writes the directives in force to the file.")
        .tips(ALL_NODES),
    Spec::server("config|help", 2, ServerCommand::ConfigHelp).flags(ALWAYS, "").doc(
        "server",
        "5.0.0",
        "O(1)",
        "Lists the subcommands.",
    ),
];

/// `TIME`
///
/// A command sees time in milliseconds, so the last three digits of the second part are zero.
fn time(ctx: &mut Context<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.array(2);
    ctx.reply.bulk_integer(ctx.store.now_ms.div_euclid(1000));
    ctx.reply.bulk_integer(ctx.store.now_ms.rem_euclid(1000) * 1000);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn time_is_the_commands_time() {
        let mut bench = Bench::new();
        bench.now_ms = 1_700_000_000_123;
        bench.replies("TIME", "*2 $10 1700000000 $6 123000");
    }
}
