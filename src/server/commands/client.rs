//! Commands about connections: `CLIENT`, `HELLO`, `AUTH`, `RESET`, `QUIT`.

use crate::commands::numbers;
use crate::commands::spec::ServerCommand;
use crate::commands::{CommandError, CommandResult};
use crate::engine::{Guard, Session, Unserved};
use crate::resp::{Args, Protocol, Reply};
use crate::server::commands::admin::{ConnectionState, ReplyMode, help};
use crate::server::state::clients::ClientInfo;
use std::collections::HashSet;
use std::sync::Arc;

/// The version of Redis whose behaviour clients may expect.
pub use crate::commands::server::REDIS_VERSION;

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

/// Carries one of them out.
///
/// # Errors
/// The error reply.
pub(super) fn run(
    state: &mut ConnectionState,
    command: ServerCommand,
    engine: &mut Guard<'_>,
    session: &mut Session,
    args: Args<'_>,
    reply: &mut Vec<u8>,
) -> CommandResult {
    use ServerCommand as C;
    let mut out = Reply::new(reply, session.protocol);
    match command {
        C::Auth => {
            authenticate(args.from(1))?;
            out.ok();
        }
        C::Hello => hello(state, session, args, reply)?,
        C::Quit => {
            state.close = true;
            out.ok();
        }
        C::Reset => {
            engine.forget_transaction(session);
            session.db = 0;
            session.protocol = Protocol::Resp2;
            session.no_touch = false;
            state.reply_mode = ReplyMode::On;
            let mut shown = state.client.state.lock();
            shown.name.clear();
            shown.no_evict = false;
            drop(shown);
            Reply::new(reply, Protocol::Resp2).simple("RESET");
        }
        C::ClientId => out.integer(state.client.id as i64),
        C::ClientInfo => {
            publish(state, session);
            let line = state.client.line();
            out.verbatim("txt", format!("{line}\n").as_bytes());
        }
        C::ClientList => {
            publish(state, session);
            let listed = Listed::parse(args.from(2))?;
            let list = move |state: &mut ConnectionState, out: &mut Reply<'_>| {
                let clients = listed.select(state.shared.clients.list());
                let text: String = clients.iter().map(|client| client.line() + "\n").collect();
                out.verbatim("txt", text.as_bytes());
                Ok(())
            };
            state.late.add("client|list", out.position(), session.protocol, list);
        }
        C::ClientGetName => match state.client.state.lock().name.as_str() {
            "" => out.null(),
            name => out.bulk(name.as_bytes()),
        },
        C::ClientSetName => {
            state.client.state.lock().name = valid_name(args.at(2))?;
            out.ok();
        }
        C::ClientSetInfo => {
            set_info(state, args)?;
            out.ok();
        }
        C::ClientKill => {
            let (at, killed) = (out.position(), Killed::parse(args.from(2))?);
            let kill =
                move |state: &mut ConnectionState, out: &mut Reply<'_>| killed.kill(state, out);
            state.late.add("client|kill", at, session.protocol, kill);
        }
        C::ClientPause => {
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
            let now_ms = engine.now_ms();
            let wait_ms = numbers::timeout_ms(args.at(2), now_ms)?;
            engine.pause(now_ms.saturating_add_unsigned(wait_ms), all);
            out.ok();
        }
        C::ClientUnpause => {
            engine.unpause();
            state.shared.unpaused.notify_waiters();
            out.ok();
        }
        C::ClientUnblock => unblock(state, engine, args, &mut out)?,
        C::ClientReply => match &args.at(2).to_ascii_lowercase()[..] {
            // Within a transaction this divides the reply to `EXEC`: only a part of it is sent, as by Redis.
            b"on" => {
                if let Some(muted_from) = state.muted_from.take() {
                    out.truncate(muted_from);
                }
                // What a `SKIP` in the same transaction skips is the command behind that all the same.
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
        },
        C::ClientNoEvict => {
            state.client.state.lock().no_evict = on_off(args.at(2))?;
            out.ok();
        }
        C::ClientNoTouch => {
            session.no_touch = on_off(args.at(2))?;
            out.ok();
        }
        C::ClientHelp => help(&mut out, "CLIENT", HELP),
        other => unreachable!("{other:?} is not a command about connections"),
    }
    Ok(())
}

/// Brings what the commands here show of this connection up to date.
fn publish(state: &ConnectionState, session: &Session) {
    let mut shown = state.client.state.lock();
    shown.db = session.db;
    shown.command = state.command;
    shown.no_touch = session.no_touch;
    shown.protocol = number_of(session.protocol);
    shown.queued = session.queued();
    shown.watched = session.watched();
    shown.last = std::time::Instant::now();
}

/// The protocol's version.
pub fn number_of(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    }
}

fn on_off(arg: &[u8]) -> Result<bool, CommandError> {
    match &arg.to_ascii_lowercase()[..] {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(CommandError::SYNTAX),
    }
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

fn printable(text: &[u8]) -> Option<String> {
    let fits = text.iter().all(|&byte| (b'!'..=b'~').contains(&byte));
    fits.then(|| String::from_utf8_lossy(text).into_owned())
}

fn valid_name(name: &[u8]) -> Result<String, CommandError> {
    printable(name).ok_or(CommandError::fixed(
        "ERR Client names cannot contain spaces, newlines or special characters.",
    ))
}

fn set_info(state: &ConnectionState, args: Args<'_>) -> CommandResult {
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
    let mut shown = state.client.state.lock();
    match name.as_str() {
        "lib-name" => shown.lib_name = value,
        _ => shown.lib_ver = value,
    }
    Ok(())
}

/// `HELLO [protover [AUTH username password] [SETNAME clientname]]`
fn hello(
    state: &ConnectionState,
    session: &mut Session,
    args: Args<'_>,
    reply: &mut Vec<u8>,
) -> CommandResult {
    let mut protocol = session.protocol;
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
    session.protocol = protocol;
    let mut out = Reply::new(reply, protocol);
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

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`
fn unblock(
    state: &ConnectionState,
    engine: &mut Guard<'_>,
    args: Args<'_>,
    out: &mut Reply<'_>,
) -> CommandResult {
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
    let client = u64::try_from(id).ok().and_then(|id| state.shared.clients.get(id));
    let blocked = client.and_then(|client| client.state.lock().blocked.clone());
    out.integer(i64::from(blocked.is_some_and(|blocked| blocked.end(engine, why))));
    Ok(())
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
