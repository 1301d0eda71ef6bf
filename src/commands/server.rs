//! Commands about the server itself. Most belong to the server; here is how they are declared.

use super::spec::{Categories, Flags, ServerCommand, Spec};
use super::{CommandResult, Context, numbers, reply_help};
use crate::resp::Args;

/// Allowed whatever state the data is in.
pub(super) const ALWAYS: Flags = Flags::LOADING.with(Flags::STALE);
/// The version of Redis whose behaviour this is.
pub const REDIS_VERSION: &str = "7.4.1";

pub(super) const ADMIN: Flags = ALWAYS.with(Flags::ADMIN).with(Flags::NOSCRIPT);

const SAVING: Flags = Flags::NO_ASYNC_LOADING.with(Flags::ADMIN).with(Flags::NOSCRIPT);

const REPLICATION: Flags =
    Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::STALE).with(Flags::NO_ASYNC_LOADING);

pub(super) const ALL_NODES: &[&str] =
    &["request_policy:all_nodes", "response_policy:all_succeeded"];
const SLOWEST_SHARD: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];

/// This family's part of the table.
pub static COMMANDS: [Spec; 16] = [
    Spec::server("bgrewriteaof", 1, ServerCommand::BgRewriteAof)
        .flags(SAVING, Categories::NONE)
        .doc("server", "1.0.0", "O(1)", "Writes a new base of the log in the background."),
    Spec::server("bgsave", -1, ServerCommand::BgSave)
        .syntax("[SCHEDULE@3.2.2]")
        .flags(SAVING, Categories::NONE)
        .doc("server", "1.0.0", "O(1)", "Writes an RDB file in the background."),
    Spec::data("time", 1, time)
        .flags(ALWAYS.with(Flags::FAST), Categories::NONE)
        .doc("server", "2.6.0", "O(1)", "The server's clock: seconds and microseconds.")
        .tips(&["nondeterministic_output"]),
    Spec::server("info", -1, ServerCommand::Info)
        .syntax("[section...]")
        .changes(&[("7.0.0", "Takes several sections.")])
        .flags(ALWAYS, Categories::DANGEROUS)
        .doc("server", "1.0.0", "O(1)", "State and statistics of the server.")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Spec::container("config", &CONFIG).doc(
        "server",
        "2.0.0",
        "Depends on the subcommand.",
        "Looks after the configuration.",
    ),
    Spec::server("lastsave", 1, ServerCommand::LastSave)
        .flags(ALWAYS.with(Flags::FAST), Categories::ADMIN.with(Categories::DANGEROUS))
        .doc("server", "1.0.0", "O(1)", "When the last RDB file was written, as Unix time.")
        .tips(&["nondeterministic_output"]),
    Spec::server("save", 1, ServerCommand::Save)
        .flags(SAVING.with(Flags::NO_MULTI), Categories::NONE)
        .doc("server", "1.0.0", "O(N) in all keys", "Writes the RDB file; all others wait."),
    Spec::server("shutdown", -1, ServerCommand::Shutdown)
        .syntax("[nosave_save<NOSAVE|SAVE>] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]")
        .flags(ADMIN.with(Flags::NO_MULTI).with(Flags::ALLOW_BUSY), Categories::NONE)
        .doc("server", "1.0.0", "O(1)", "Closes the database and ends the server."),
    Spec::server("debug", -2, ServerCommand::Debug)
        .flags(ADMIN.with(Flags::PROTECTED).with(Flags::SYSCMD), Categories::NONE)
        .doc("server", "1.0.0", "Depends on the subcommand.", "For debugging and tests."),
    Spec::server("role", 1, ServerCommand::Role)
        .flags(
            ALWAYS.with(Flags::NOSCRIPT).with(Flags::FAST),
            Categories::ADMIN.with(Categories::DANGEROUS),
        )
        .doc("server", "2.8.12", "O(1)", "The server's role in replication."),
    Spec::server("replicaof", 3, ServerCommand::ReplicaOf)
        .syntax("args<host-port(host port:integer)|no-one(NO ONE)>")
        .flags(REPLICATION, Categories::NONE)
        .doc("server", "5.0.0", "O(1)", "Makes the server a primary, which it is."),
    Spec::server("slaveof", 3, ServerCommand::ReplicaOf)
        .syntax("args<host-port(host port:integer)|no-one(NO ONE)>")
        .flags(REPLICATION, Categories::NONE)
        .doc("server", "1.0.0", "O(1)", "Makes the server a primary, which it is.")
        .deprecated("5.0.0", "`REPLICAOF`"),
    Spec::container("module", &MODULE).doc(
        "server",
        "4.0.0",
        "Depends on the subcommand.",
        "Tells about modules, of which there are none.",
    ),
    Spec::data("lolwut", -1, lolwut)
        .syntax("[VERSION version:integer]")
        .flags(Flags::READONLY.with(Flags::FAST), Categories::NONE)
        .doc("server", "5.0.0", "O(1)", "A picture, and the version."),
    Spec::server("wait", 3, ServerCommand::Wait)
        .syntax("numreplicas:integer timeout:integer")
        .flags(Flags::BLOCKING, Categories::CONNECTION)
        .doc("generic", "3.0.0", "O(1)", "Waits until replicas have this connection's writes.")
        .tips(SLOWEST_SHARD),
    Spec::server("waitaof", 4, ServerCommand::WaitAof)
        .syntax("numlocal:integer numreplicas:integer timeout:integer")
        .flags(Flags::BLOCKING, Categories::CONNECTION)
        .doc("generic", "7.2.0", "O(1)", "Waits until this connection's writes are durable.")
        .tips(SLOWEST_SHARD),
];

static CONFIG: [Spec; 5] =
    [
        Spec::server("config|get", -3, ServerCommand::ConfigGet)
            .syntax("parameter(parameter)...")
            .changes(&[("7.0.0", "Takes several patterns.")])
            .flags(ADMIN, Categories::NONE)
            .doc("server", "2.0.0", "O(N) in the number of patterns", "The values of directives."),
        Spec::server("config|set", -4, ServerCommand::ConfigSet)
            .syntax("parameter_value(parameter value)...")
            .changes(&[("7.0.0", "Takes several directives.")])
            .flags(ADMIN, Categories::NONE)
            .doc("server", "2.0.0", "O(N) in the number of directives", "Changes directives.")
            .tips(ALL_NODES),
        Spec::server("config|resetstat", 2, ServerCommand::ConfigResetStat)
            .flags(ADMIN, Categories::NONE)
            .doc("server", "2.0.0", "O(1)", "Sets the statistics back to zero.")
            .tips(ALL_NODES),
        Spec::server("config|rewrite", 2, ServerCommand::ConfigRewrite)
            .flags(ADMIN, Categories::NONE)
            .doc("server", "2.8.0", "O(1)", "Writes the directives in force to the file.")
            .tips(ALL_NODES),
        Spec::server("config|help", 2, ServerCommand::ConfigHelp)
            .flags(ALWAYS, Categories::NONE)
            .doc("server", "5.0.0", "O(1)", "Lists the subcommands."),
    ];

static MODULE: [Spec; 2] = [
    Spec::data("module|list", 2, module_list)
        .flags(Flags::ADMIN.with(Flags::NOSCRIPT), Categories::NONE)
        .doc("server", "4.0.0", "O(1)", "The modules that are loaded: none.")
        .tips(&["nondeterministic_output_order"]),
    Spec::data("module|help", 2, module_help).flags(ALWAYS, Categories::NONE).doc(
        "server",
        "5.0.0",
        "O(1)",
        "Lists the subcommands.",
    ),
];

/// `MODULE LIST`
fn module_list(ctx: &mut Context<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.array(0);
    Ok(())
}

/// `MODULE HELP`
fn module_help(ctx: &mut Context<'_>, _args: Args<'_>) -> CommandResult {
    reply_help(ctx, "MODULE", &["LIST", "    The modules that are loaded: there are none."]);
    Ok(())
}

/// A mast, held by its stays.
const PICTURE: &str = "\
           |>
          /|\\
         / | \\
        /  |  \\
       /   |   \\
      /    |    \\
     /_____|_____\\
   ________|________
   \\               /
~~~~\\_____________/~~~~
  ~~~~   ~~~~   ~~~~
";

/// `LOLWUT [VERSION version] [arg …]`: one picture, whatever is asked for.
fn lolwut(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    if args.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"VERSION"))
        && let Some(version) = args.get(2)
    {
        numbers::integer(version)?;
    }
    let text = format!(
        "{PICTURE}\nEvery stay holds. Mainstay {}, as Redis ver. {REDIS_VERSION}\n",
        env!("CARGO_PKG_VERSION")
    );
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

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
    fn there_are_no_modules_and_one_picture() {
        let mut bench = Bench::new();
        bench.replies("MODULE LIST", "*0");
        let picture = bench.line("LOLWUT").reply;
        let text = String::from_utf8(picture.clone()).expect("text");
        assert!(text.contains("Redis ver. 7.4.1\n"), "{text}");
        for line in ["LOLWUT VERSION 5 1 2 3", "LOLWUT VERSION", "LOLWUT any"] {
            assert_eq!(bench.line(line).reply, picture, "{line}");
        }
        bench.replies("LOLWUT VERSION x", "-ERR value is not an integer or out of range");
    }

    #[test]
    fn time_is_the_commands_time() {
        let mut bench = Bench::new();
        bench.now_ms = 1_700_000_000_123;
        bench.replies("TIME", "*2 $10 1700000000 $6 123000");
    }
}
