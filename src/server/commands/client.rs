//! `CLIENT`.

use super::connection_state::ReplyMode;
use super::{ConnectionState, Free};
use crate::commands::spec::Categories;
use crate::commands::{CommandError, CommandResult, Flags, Spec};
use crate::commands::{numbers, reply_help};
use crate::engine::Unserved;
use crate::resp::{Args, Reply};
use crate::server::state::clients::ClientInfo;
use crate::session::Row;
use std::collections::HashSet;
use std::sync::Arc;

/// Allowed in any state of the data.
const ALWAYS: Flags = Flags::LOADING.with(Flags::STALE);
/// Also, of no use to a script.
const SESSION: Flags = ALWAYS.with(Flags::NOSCRIPT);
const ADMIN: Flags = SESSION.with(Flags::ADMIN);

/// This family's part of the table.
pub static COMMANDS: [Row<ConnectionState>; 1] = [Row::container(
    Spec::container("client", &[]).doc(
        "connection",
        "2.4.0",
        "Depends on the subcommand.",
        "Looks after connections.",
    ),
    &CLIENT,
)];

static CLIENT: [Row<ConnectionState>; 14] = [
    Row::free(client("client|id", 2, "5.0.0", "The connection's number."), id),
    Row::free(
        client("client|info", 2, "6.2.0", "All about this connection.")
            .tips(&["nondeterministic_output"]),
        info,
    ),
    Row::outside(
        client("client|list", -2, "2.4.0", "All about every connection.")
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
        list,
    ),
    Row::free(client("client|getname", 2, "2.6.9", "The connection's name."), get_name),
    Row::free(
        client("client|setname", 3, "2.6.9", "Names the connection.")
            .syntax("connection-name")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        set_name,
    ),
    Row::free(
        client("client|setinfo", 4, "7.2.0", "Notes which library the client uses.")
            .syntax("attr<LIB-NAME libname|LIB-VER libver>")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        set_info,
    ),
    Row::outside(
        client("client|kill", -3, "2.4.0", "Closes connections.")
            .syntax(
                "filter<ip-port|new-format<[ID client-id:integer@2.8.12]\
             |[TYPE normal_master_slave_pubsub<NORMAL|MASTER@3.2.0|SLAVE|\
             REPLICA@5.0.0|PUBSUB>@2.8.12]\
             |[USER username]|[ADDR ip-port@2.8.12]|[LADDR ip-port@6.2.0]\
             |[SKIPME yes/no@2.8.12]|[MAXAGE maxage:integer@7.4.0]>...>",
            )
            .flags(ADMIN, Categories::CONNECTION),
        kill,
    ),
    Row::free(
        client("client|reply", 3, "3.2.0", "Turns replies to this connection on and off.")
            .syntax("on_off_skip<ON|OFF|SKIP>"),
        reply,
    ),
    Row::free(
        client("client|pause", -3, "3.0.0", "Makes commands wait for a while.")
            .syntax("timeout:integer [mode<WRITE|ALL>@6.2.0]")
            .flags(ADMIN, Categories::CONNECTION),
        pause,
    ),
    Row::free(
        client(
            "client|unblock",
            -3,
            "5.0.0",
            "Ends another connection's wait in a blocking command.",
        )
        .syntax("client-id:integer [timeout_error<TIMEOUT|ERROR>]")
        .flags(ADMIN, Categories::CONNECTION),
        unblock,
    ),
    Row::free(
        client("client|unpause", 2, "6.2.0", "Ends a pause.").flags(ADMIN, Categories::CONNECTION),
        unpause,
    ),
    Row::free(
        client(
            "client|no-evict",
            3,
            "7.0.0",
            "Spares the connection when clients use too much memory.",
        )
        .syntax("enabled<ON|OFF>")
        .flags(ADMIN, Categories::CONNECTION),
        no_evict,
    ),
    Row::free(
        client(
            "client|no-touch",
            3,
            "7.2.0",
            "Keeps this connection's accesses from counting as use of keys.",
        )
        .syntax("enabled<ON|OFF>"),
        no_touch,
    ),
    Row::free(
        client("client|help", 2, "5.0.0", "Lists the subcommands.")
            .flags(ALWAYS, Categories::CONNECTION),
        help,
    ),
];

const fn client(
    full_name: &'static str,
    arity: i16,
    since: &'static str,
    summary: &'static str,
) -> Spec {
    Spec::host(full_name, arity).flags(SESSION, Categories::CONNECTION).doc(
        "connection",
        since,
        "O(1), O(N) in connections to list or close them",
        summary,
    )
}

const HELP: &[&str] = &[
    "GETNAME",
    "    The name of this connection.",
    "ID",
    "    The number of this connection.",
    "INFO",
    "    All about this connection.",
    "KILL <ip:port>",
    "    Close the connection from this address.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0): connected from this address",
    "    * LADDR (<ip:port>|<unixsocket>:0): connected to this address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB): of this type",
    "    * USER <username>: authenticated as this user",
    "    * SKIPME (YES|NO): whether this connection is spared",
    "    * ID <client-id>: with this number",
    "    * MAXAGE <maxage>: connected for at least so many seconds",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> ...]",
    "    All about every connection.",
    "NO-EVICT (ON|OFF)",
    "    Whether this connection is spared when clients use too much memory.",
    "NO-TOUCH (ON|OFF)",
    "    Whether this connection's accesses count as use of keys.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Make commands (that may write, or all) wait for so many ms.",
    "REPLY (ON|OFF|SKIP)",
    "    Whether this connection gets replies.",
    "SETINFO <option> <value>",
    "    Note the client's library: LIB-NAME, LIB-VER.",
    "SETNAME <name>",
    "    Name this connection.",
    "UNBLOCK <client-id> [TIMEOUT|ERROR]",
    "    End the wait of a connection in a blocking command.",
    "UNPAUSE",
    "    End a pause.",
];

/// `CLIENT ID`
fn id(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    call.reply.integer(call.host.client.id as i64);
    Ok(())
}

/// `CLIENT INFO`
fn info(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    let line = call.host.client.line(super::TABLE.directory());
    call.reply.verbatim("txt", format!("{line}\n").as_bytes());
    Ok(())
}

/// `CLIENT LIST [TYPE type | ID id …]`
fn list(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    let clients = Listed::parse(args.from(2))?.select(call.host.shared.clients.list());
    let directory = super::TABLE.directory();
    let text: String = clients.iter().map(|client| client.line(directory) + "\n").collect();
    call.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// `CLIENT GETNAME`
fn get_name(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    match call.host.client.state.lock().name.as_str() {
        "" => call.reply.null(),
        name => call.reply.bulk(name.as_bytes()),
    }
    Ok(())
}

/// `CLIENT SETNAME name`
fn set_name(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    call.host.client.state.lock().name = valid_name(args.at(2))?;
    call.reply.ok();
    Ok(())
}

/// `CLIENT KILL address | option value …`
fn kill(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    Killed::parse(args.from(2))?.kill(call.host, &mut call.reply)
}

/// `CLIENT PAUSE timeout [WRITE|ALL]`
fn pause(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    let all = match args.get(3) {
        None => true,
        Some(mode) if mode.eq_ignore_ascii_case(b"ALL") => true,
        Some(mode) if mode.eq_ignore_ascii_case(b"WRITE") => false,
        Some(_) => {
            return Err(CommandError::fixed("ERR CLIENT PAUSE mode must be WRITE or ALL"));
        }
    };
    if args.len() > 4 {
        return Err(CommandError::SYNTAX);
    }
    let engine = &call.host.shared.engine;
    let now_ms = engine.clock().unix_ms();
    let wait_ms = numbers::timeout_ms(args.at(2), now_ms)?;
    engine.conditions().begin_pause(now_ms, now_ms.saturating_add_unsigned(wait_ms), all);
    call.reply.ok();
    Ok(())
}

/// `CLIENT UNPAUSE`
fn unpause(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    call.host.shared.engine.conditions().end_pause();
    call.host.shared.unpaused.notify_waiters();
    call.reply.ok();
    Ok(())
}

/// `CLIENT REPLY ON|OFF|SKIP`
fn reply(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    let (state, out) = (&mut *call.host, &mut call.reply);
    match &args.at(2).to_ascii_lowercase()[..] {
        // Within a transaction this divides the reply to `EXEC`: only a part of it is sent, as by
        // Redis.
        b"on" => {
            if let Some(muted_from) = state.muted_from.take() {
                out.truncate(muted_from);
            }
            // What a `SKIP` in the same transaction skips is the command after that all the same.
            if state.reply_mode != ReplyMode::SkipNext {
                state.reply_mode = ReplyMode::On;
            }
            out.ok();
        }
        b"off" => {
            state.muted_from.get_or_insert(out.position());
            state.reply_mode = ReplyMode::Off;
        }
        b"skip" if state.reply_mode != ReplyMode::Off => {
            state.reply_mode = ReplyMode::SkipNext;
        }
        b"skip" => {}
        _ => return Err(CommandError::SYNTAX),
    }
    Ok(())
}

/// `CLIENT NO-EVICT ON|OFF`
fn no_evict(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    call.host.client.state.lock().no_evict = on_off(args.at(2))?;
    call.reply.ok();
    Ok(())
}

/// `CLIENT NO-TOUCH ON|OFF`
fn no_touch(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    call.session.set_no_touch(on_off(args.at(2))?);
    call.reply.ok();
    Ok(())
}

/// `CLIENT HELP`
fn help(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    reply_help(&mut call.reply, "CLIENT", HELP);
    Ok(())
}

fn on_off(arg: &[u8]) -> Result<bool, CommandError> {
    match &arg.to_ascii_lowercase()[..] {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(CommandError::SYNTAX),
    }
}

fn printable(text: &[u8]) -> Option<String> {
    let fits = text.iter().all(|&byte| (b'!'..=b'~').contains(&byte));
    fits.then(|| String::from_utf8_lossy(text).into_owned())
}

pub(super) fn valid_name(name: &[u8]) -> Result<String, CommandError> {
    printable(name).ok_or(CommandError::fixed(
        "ERR Client names cannot contain spaces, newlines or special characters.",
    ))
}

/// `CLIENT SETINFO LIB-NAME|LIB-VER value`
fn set_info(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    let name = args.at(2).to_ascii_lowercase();
    if name != b"lib-name" && name != b"lib-ver" {
        return Err(CommandError::quoting("ERR Unrecognized option '", args.at(2), "'"));
    }
    let name = String::from_utf8_lossy(&name).into_owned();
    let value = printable(args.at(3)).ok_or_else(|| {
        CommandError::new(format!(
            "ERR {name} cannot contain spaces, newlines or special characters."
        ))
    })?;
    let mut shown = call.host.client.state.lock();
    match name.as_str() {
        "lib-name" => shown.lib_name = value,
        _ => shown.lib_ver = value,
    }
    drop(shown);
    call.reply.ok();
    Ok(())
}

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`
fn unblock(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    let why = match args.get(3) {
        None => Unserved::TimedOut,
        Some(why) if why.eq_ignore_ascii_case(b"TIMEOUT") => Unserved::TimedOut,
        Some(why) if why.eq_ignore_ascii_case(b"ERROR") => Unserved::Unblocked,
        Some(_) => {
            return Err(CommandError::fixed(
                "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
    };
    let id = numbers::integer(args.at(2))?;
    let client = u64::try_from(id).ok().and_then(|id| call.host.shared.clients.get(id));
    let blocked = client.and_then(|client| client.state.lock().blocked.clone());
    call.reply.integer(i64::from(
        blocked.is_some_and(|blocked| blocked.end(&call.host.shared.engine, why)),
    ));
    Ok(())
}

/// Whether clients of this type exist here: all are normal.
fn is_normal(kind: &[u8]) -> Result<bool, CommandError> {
    match &kind.to_ascii_lowercase()[..] {
        b"normal" => Ok(true),
        b"master" | b"primary" | b"replica" | b"slave" | b"pubsub" => Ok(false),
        _ => Err(CommandError::quoting("ERR Unknown client type '", kind, "'")),
    }
}

/// What `CLIENT LIST` shows.
enum Listed {
    All,
    None,
    Ids(HashSet<i64>),
}

impl Listed {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let Some(option) = args.get(0) else { return Ok(Self::All) };
        match (&option.to_ascii_lowercase()[..], args.len()) {
            (b"type", 2) => Ok(if is_normal(args.at(1))? { Self::All } else { Self::None }),
            (b"id", 2..) => {
                const INVALID: CommandError = CommandError::fixed("ERR Invalid client ID");
                let ids = args.from(1).iter().map(|arg| numbers::integer(arg).map_err(|_| INVALID));
                // Numbers that no client can have are not found, like those that none has.
                Ok(Self::Ids(ids.collect::<Result<_, _>>()?))
            }
            _ => Err(CommandError::SYNTAX),
        }
    }

    fn select(&self, mut clients: Vec<Arc<ClientInfo>>) -> Vec<Arc<ClientInfo>> {
        match self {
            Self::All => {}
            Self::None => clients.clear(),
            Self::Ids(ids) => clients.retain(|client| ids.contains(&(client.id as i64))),
        }
        clients
    }
}

/// Which connections `CLIENT KILL` closes: those that every filter fits.
#[derive(Default)]
struct Killed {
    /// The form with nothing but an address.
    is_old_form: bool,
    id: Option<u64>,
    age_s_min: u64,
    addr: Option<Vec<u8>>,
    laddr: Option<Vec<u8>>,
    /// None is of the type asked for.
    none: bool,
    spares_itself: bool,
}

impl Killed {
    fn parse(options: Args<'_>) -> Result<Self, CommandError> {
        if options.len() == 1 {
            let addr = Some(options.at(0).to_vec());
            return Ok(Self { is_old_form: true, addr, ..Self::default() });
        }
        if !options.len().is_multiple_of(2) {
            return Err(CommandError::SYNTAX);
        }
        let mut killed = Self { spares_itself: true, ..Self::default() };
        for at in (0..options.len()).step_by(2) {
            let value = options.at(at + 1);
            match &options.at(at).to_ascii_lowercase()[..] {
                b"id" => match numbers::integer(value) {
                    Ok(id) if id > 0 => killed.id = Some(id as u64),
                    _ => return Err(CommandError::fixed("ERR client-id should be greater than 0")),
                },
                b"maxage" => match numbers::integer(value) {
                    Ok(age) if age > 0 => killed.age_s_min = age as u64,
                    Ok(_) => {
                        return Err(CommandError::fixed("ERR maxage should be greater than 0"));
                    }
                    Err(_) => {
                        let text = "ERR maxage is not an integer or out of range";
                        return Err(CommandError::fixed(text));
                    }
                },
                b"type" => killed.none |= !is_normal(value)?,
                b"addr" => killed.addr = Some(value.to_vec()),
                b"laddr" => killed.laddr = Some(value.to_vec()),
                b"user" => {
                    if value != b"default" {
                        return Err(CommandError::quoting("ERR No such user '", value, "'"));
                    }
                }
                b"skipme" => match &value.to_ascii_lowercase()[..] {
                    b"yes" => killed.spares_itself = true,
                    b"no" => killed.spares_itself = false,
                    _ => return Err(CommandError::SYNTAX),
                },
                _ => return Err(CommandError::SYNTAX),
            }
        }
        Ok(killed)
    }

    fn fits(&self, client: &ClientInfo) -> bool {
        let is = |wanted: &Option<Vec<u8>>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| *wanted == found.as_bytes())
        };
        !self.none
            && self.id.is_none_or(|id| id == client.id)
            && client.since.elapsed().as_secs() >= self.age_s_min
            && is(&self.addr, &client.addr)
            && is(&self.laddr, &client.laddr)
    }

    fn kill(self, state: &mut ConnectionState, out: &mut Reply<'_>) -> CommandResult {
        let mut killed = 0;
        for client in state.shared.clients.list() {
            let is_itself = client.id == state.client.id;
            if !self.fits(&client) || (is_itself && self.spares_itself) {
                continue;
            }
            if is_itself {
                // This connection ends after the reply.
                state.close = true;
            } else {
                client.kill();
            }
            killed += 1;
        }
        match (self.is_old_form, killed) {
            (true, 0) => return Err(CommandError::fixed("ERR No such client")),
            (true, _) => out.ok(),
            (false, _) => out.integer(killed),
        }
        Ok(())
    }
}
