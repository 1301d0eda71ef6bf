//! `PING`, `ECHO`, `SELECT`.

use super::spec::{Categories, Flags, Spec};
use super::{CommandError, CommandResult, Context};
use crate::resp::Args;

/// Allowed whatever state the data is in.
const ALWAYS: Flags = Flags::LOADING.with(Flags::STALE);

/// This family's part of the table.
pub static COMMANDS: [Spec; 3] = [
    Spec::data("ping", -1, ping)
        .syntax("[message]")
        .flags(Flags::FAST, Categories::CONNECTION)
        .doc("connection", "1.0.0", "O(1)", "Shows that the server is alive.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::data("echo", 2, echo)
        .syntax("message")
        .flags(ALWAYS.with(Flags::FAST), Categories::CONNECTION)
        .doc("connection", "1.0.0", "O(1)", "Gives its argument back."),
    Spec::data("select", 2, select)
        .syntax("index:integer")
        .flags(ALWAYS.with(Flags::FAST), Categories::CONNECTION)
        .doc("connection", "1.0.0", "O(1)", "Chooses the connection's database."),
];

/// `PING [message]`
fn ping(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    match (args.get(1), args.len()) {
        (None, _) => ctx.reply.simple("PONG"),
        (Some(message), 2) => ctx.reply.bulk(message),
        _ => return Err(CommandError::wrong_arity("ping")),
    }
    Ok(())
}

/// `ECHO message`
fn echo(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    ctx.reply.bulk(&args[1]);
    Ok(())
}

/// `SELECT index`
fn select(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    ctx.store.db = ctx.database_index(&args[1])?;
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn ping_echo_select() {
        let mut bench = Bench::new();
        bench.replies("PING", "+PONG");
        bench.replies("PING hi", "$2 hi");
        bench.replies("PING a b", "-ERR wrong number of arguments for 'ping' command");
        bench.replies("ECHO hi", "$2 hi");
        bench.replies("SELECT 15", "+OK");
        assert_eq!(bench.db, 15);
        bench.replies("SELECT 16", "-ERR DB index is out of range");
        bench.replies("SELECT -1", "-ERR DB index is out of range");
        bench.replies("SELECT x", "-ERR value is not an integer or out of range");
        bench.replies(
            "SELECT 2147483648",
            "-ERR value is out of range, value must between -2147483648 and 2147483647",
        );
        assert_eq!(bench.db, 15);
    }
}
