//! Commands about the connection. Most belong to the server; here is how they are declared.

use super::spec::{Categories, Flags, ServerCommand, Spec};
use super::{CommandError, CommandResult, Context};
use crate::resp::Args;

/// Allowed whatever state the data is in.
const ALWAYS: Flags = Flags::LOADING.with(Flags::STALE);
/// Also, of no use to a script.
const SESSION: Flags = ALWAYS.with(Flags::NOSCRIPT);
/// Also, allowed before the client has authenticated and while a script runs.
const HANDSHAKE: Flags = SESSION.with(Flags::FAST).with(Flags::NO_AUTH).with(Flags::ALLOW_BUSY);
const ADMIN: Flags = SESSION.with(Flags::ADMIN);

/// This family's part of the table.
pub static COMMANDS: [Spec; 8] =
    [
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
        Spec::server("quit", -1, ServerCommand::Quit)
            .flags(HANDSHAKE, Categories::CONNECTION)
            .doc("connection", "1.0.0", "O(1)", "Closes the connection.")
            .deprecated("7.2.0", "just closing the connection"),
        Spec::server("hello", -1, ServerCommand::Hello)
            .syntax(
                "[arguments(protover:integer [AUTH username_password(username password)] [SETNAME \
             clientname])]",
            )
            .changes(&[("6.2.0", "The protocol's version may be left out.")])
            .flags(HANDSHAKE, Categories::CONNECTION)
            .doc(
                "connection",
                "6.0.0",
                "O(1)",
                "Agrees on the protocol's version, authenticates and names the connection.",
            ),
        Spec::server("reset", 1, ServerCommand::Reset)
            .flags(HANDSHAKE, Categories::CONNECTION)
            .doc("connection", "6.2.0", "O(1)", "Puts the connection back into its first state."),
        Spec::server("auth", -2, ServerCommand::Auth)
            .syntax("[username@6.0.0] password")
            .flags(HANDSHAKE, Categories::CONNECTION)
            .doc(
                "connection",
                "1.0.0",
                "O(N) in the number of the user's passwords",
                "Authenticates the connection.",
            ),
        Spec::container("client", &CLIENT).doc(
            "connection",
            "2.4.0",
            "Depends on the subcommand.",
            "Looks after connections.",
        ),
    ];

static CLIENT: [Spec; 14] = [
    client("client|id", 2, ServerCommand::ClientId, "5.0.0", "The connection's number."),
    client("client|info", 2, ServerCommand::ClientInfo, "6.2.0", "All about this connection.")
        .tips(&["nondeterministic_output"]),
    client("client|list", -2, ServerCommand::ClientList, "2.4.0", "All about every connection.")
        .syntax(
            "[TYPE normal_master_replica_pubsub<NORMAL|MASTER|REPLICA|PUBSUB>@5.0.0] \
             [ID id(client-id:integer...)@6.2.0]",
        )
        .changes(&[
            ("2.8.12", "The reply has `id`."),
            ("6.0.0", "The reply has `user`."),
            ("6.2.0", "The reply has `argv-mem`, `tot-mem`, `laddr` and `redir`."),
            ("7.0.0", "The reply has `resp`, `multi-mem`, `rbs` and `rbp`."),
            ("7.0.3", "The reply has `ssub`."),
        ])
        .flags(ADMIN, Categories::CONNECTION)
        .tips(&["nondeterministic_output"]),
    client("client|getname", 2, ServerCommand::ClientGetName, "2.6.9", "The connection's name."),
    client("client|setname", 3, ServerCommand::ClientSetName, "2.6.9", "Names the connection.")
        .syntax("connection-name")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    client(
        "client|setinfo",
        4,
        ServerCommand::ClientSetInfo,
        "7.2.0",
        "Notes which library the client uses.",
    )
    .syntax("attr<LIB-NAME libname|LIB-VER libver>")
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    client("client|kill", -3, ServerCommand::ClientKill, "2.4.0", "Closes connections.")
        .syntax(
            "filter<ip-port|new-format<[ID client-id:integer@2.8.12]\
             |[TYPE normal_master_slave_pubsub<NORMAL|MASTER@3.2.0|SLAVE|\
             REPLICA@5.0.0|PUBSUB>@2.8.12]\
             |[USER username]|[ADDR ip-port@2.8.12]|[LADDR ip-port@6.2.0]\
             |[SKIPME yes/no@2.8.12]|[MAXAGE maxage:integer@7.4.0]>...>",
        )
        .flags(ADMIN, Categories::CONNECTION),
    client(
        "client|reply",
        3,
        ServerCommand::ClientReply,
        "3.2.0",
        "Turns replies to this connection on and off.",
    )
    .syntax("on_off_skip<ON|OFF|SKIP>"),
    client(
        "client|pause",
        -3,
        ServerCommand::ClientPause,
        "3.0.0",
        "Makes commands wait for a while.",
    )
    .syntax("timeout:integer [mode<WRITE|ALL>@6.2.0]")
    .flags(ADMIN, Categories::CONNECTION),
    client(
        "client|unblock",
        -3,
        ServerCommand::ClientUnblock,
        "5.0.0",
        "Ends another connection's wait in a blocking command.",
    )
    .syntax("client-id:integer [timeout_error<TIMEOUT|ERROR>]")
    .flags(ADMIN, Categories::CONNECTION),
    client("client|unpause", 2, ServerCommand::ClientUnpause, "6.2.0", "Ends a pause.")
        .flags(ADMIN, Categories::CONNECTION),
    client(
        "client|no-evict",
        3,
        ServerCommand::ClientNoEvict,
        "7.0.0",
        "Spares the connection when clients use too much memory.",
    )
    .syntax("enabled<ON|OFF>")
    .flags(ADMIN, Categories::CONNECTION),
    client(
        "client|no-touch",
        3,
        ServerCommand::ClientNoTouch,
        "7.2.0",
        "Keeps this connection's accesses from counting as use of keys.",
    )
    .syntax("enabled<ON|OFF>"),
    client("client|help", 2, ServerCommand::ClientHelp, "5.0.0", "Lists the subcommands.")
        .flags(ALWAYS, Categories::CONNECTION),
];

const fn client(
    full_name: &'static str,
    arity: i16,
    command: ServerCommand,
    since: &'static str,
    summary: &'static str,
) -> Spec {
    Spec::server(full_name, arity, command).flags(SESSION, Categories::CONNECTION).doc(
        "connection",
        since,
        "O(1), O(N) in connections to list or close them",
        summary,
    )
}

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
