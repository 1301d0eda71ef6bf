//! `HELLO`, `AUTH`, `RESET`, `QUIT`.

use super::client::valid_name;
use super::connection_state::ReplyMode;
use super::{Call, ConnectionState, Free};
use crate::commands::numbers;
use crate::commands::server::REDIS_VERSION;
use crate::commands::spec::Categories;
use crate::commands::{CommandError, CommandResult, Flags, Spec};
use crate::resp::{Args, Protocol};
use crate::session::Row;

/// Allowed in any state of the data, of no use to a script, allowed before the client has
/// authenticated and while a script runs.
const HANDSHAKE: Flags = Flags::LOADING
    .with(Flags::STALE)
    .with(Flags::NOSCRIPT)
    .with(Flags::FAST)
    .with(Flags::NO_AUTH)
    .with(Flags::ALLOW_BUSY);

/// This family's part of the table.
pub static COMMANDS: [Row<ConnectionState>; 4] = [
    Row::free(
        Spec::host("quit", -1)
            .flags(HANDSHAKE.with(Flags::RUNS_IN_MULTI), Categories::CONNECTION)
            .doc("connection", "1.0.0", "O(1)", "Closes the connection.")
            .deprecated("7.2.0", "just closing the connection"),
        quit,
    ),
    Row::free(
        Spec::host("hello", -1)
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
        hello,
    ),
    Row::engine(
        Spec::host("reset", 1)
            .flags(HANDSHAKE.with(Flags::RUNS_IN_MULTI), Categories::CONNECTION)
            .doc("connection", "6.2.0", "O(1)", "Puts the connection back into its first state."),
        reset,
    ),
    Row::free(
        Spec::host("auth", -2)
            .syntax("[username@6.0.0] password")
            .flags(HANDSHAKE, Categories::CONNECTION)
            .doc(
                "connection",
                "1.0.0",
                "O(N) in the number of the user's passwords",
                "Authenticates the connection.",
            ),
        auth,
    ),
];

/// `AUTH [username] password`
fn auth(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    authenticate(args.from(1))?;
    call.reply.ok();
    Ok(())
}

/// `QUIT`
fn quit(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    call.host.close = true;
    call.reply.ok();
    Ok(())
}

/// `RESET`
fn reset(call: &mut Call<'_, '_, '_>, _args: Args<'_>) -> CommandResult {
    let session = &mut *call.session;
    session.forget_transaction(call.unit);
    session.set_db(0);
    session.set_protocol(Protocol::Resp2);
    session.set_no_touch(false);
    call.host.reply_mode = ReplyMode::On;
    let mut shown = call.host.client.state.lock();
    shown.name.clear();
    shown.no_evict = false;
    drop(shown);
    call.reply.set_protocol(Protocol::Resp2);
    call.reply.simple("RESET");
    Ok(())
}

/// There is one user, `default`, and it needs no password.
fn authenticate(args: Args<'_>) -> CommandResult {
    match (args.get(0), args.len()) {
        (Some(_), 1) => Err(CommandError::fixed(
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        )),
        (Some(b"default"), 2) => Ok(()),
        (_, 2) => Err(CommandError::fixed(
            "WRONGPASS invalid username-password pair or user is disabled.",
        )),
        _ => Err(CommandError::SYNTAX),
    }
}

/// `HELLO [protover [AUTH username password] [SETNAME clientname]]`
fn hello(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    let (state, session) = (&mut *call.host, &mut *call.session);
    let mut protocol = session.protocol();
    let mut name = None;
    if let Some(version) = args.get(1) {
        protocol = match numbers::integer(version) {
            Ok(2) => Protocol::Resp2,
            Ok(3) => Protocol::Resp3,
            Ok(_) => return Err(CommandError::fixed("NOPROTO unsupported protocol version")),
            Err(_) => {
                return Err(CommandError::fixed(
                    "ERR Protocol version is not an integer or out of range",
                ));
            }
        };
        let mut at = 2;
        while let Some(option) = args.get(at) {
            match (&option.to_ascii_lowercase()[..], args.len() - at) {
                (b"auth", 3..) => {
                    authenticate_pair(args.at(at + 1))?;
                    at += 3;
                }
                (b"setname", 2..) => {
                    name = Some(valid_name(args.at(at + 1))?);
                    at += 2;
                }
                _ => {
                    let before = "ERR Syntax error in HELLO option '";
                    return Err(CommandError::quoting(before, option, "'"));
                }
            }
        }
    }
    if let Some(name) = name {
        state.client.state.lock().name = name;
    }
    session.set_protocol(protocol);
    let out = &mut call.reply;
    out.set_protocol(protocol);
    out.map(7);
    out.bulk(b"server");
    out.bulk(b"redis");
    out.bulk(b"version");
    out.bulk(REDIS_VERSION.as_bytes());
    out.bulk(b"proto");
    out.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    out.bulk(b"id");
    out.integer(state.client.id as i64);
    out.bulk(b"mode");
    out.bulk(b"standalone");
    out.bulk(b"role");
    out.bulk(b"master");
    out.bulk(b"modules");
    out.array(0);
    Ok(())
}

fn authenticate_pair(user: &[u8]) -> CommandResult {
    if user == b"default" {
        return Ok(());
    }
    Err(CommandError::fixed("WRONGPASS invalid username-password pair or user is disabled."))
}
