//! One of the two that are compared: each key with a digest of its value.

use super::client::Client;
use super::report::Name;
use super::url::Url;
use crate::filter::Filter;
use crate::output::{Failure, Output, counted, escaped};
use crate::source::Source;
use mainstay::data::digest::Digester;
use mainstay::data::{KeyHasher, Limits, Value};
use mainstay::engine::functions::Functions;
use mainstay::keyspace::{Entry, EntryBox};
use mainstay::rdb::payload;
use mainstay::resp::{OwnedArgs, Received, write_command};
use std::path::Path;

/// A server is asked for so many keys at once,
const SCAN_COUNT: &[u8] = b"512";
/// and for so many values.
const DUMPS: usize = 64;

/// A source or a running server.
pub(super) enum Side {
    Source(Source),
    Server(Url),
}

/// What both sides are looked at with.
pub(super) struct Look<'a> {
    pub(super) output: &'a Output,
    pub(super) filter: &'a Filter,
    pub(super) digester: Digester,
    /// What expired before is not there.
    pub(super) now_ms: i64,
    /// Whether keys with values of modules are passed over.
    pub(super) skip_modules: bool,
}

/// A key.
pub(super) struct Found<'a> {
    db: u32,
    key: &'a [u8],
    pub(super) digest: u128,
    pub(super) expiry_ms: Option<i64>,
    pub(super) kind: &'static str,
}

impl Found<'_> {
    /// The key with its database.
    pub(super) fn name(&self) -> Name {
        Name { db: self.db, key: self.key.into() }
    }
}

/// What is known of a side once all its keys were visited.
#[derive(Default)]
pub(super) struct Rest {
    /// The libraries of functions, if they can be read.
    pub(super) functions: Option<Vec<Vec<u8>>>,
    pub(super) remarks: Vec<String>,
    /// How many keys with values of modules were passed over.
    pub(super) module_keys: u64,
    /// Whether expiry times are only about right.
    pub(super) expiry_is_guessed: bool,
}

type Visit<'a> = dyn FnMut(Found<'_>) -> Result<(), Failure> + 'a;

impl Look<'_> {
    /// Visits a key that is asked for and there.
    fn visit(&self, db: u32, entry: Entry<'_>, visit: &mut Visit<'_>) -> Result<(), Failure> {
        let (value, expiry_ms) = (entry.value(), entry.expiry_ms());
        let is_gone = expiry_ms.is_some_and(|at| at < self.now_ms) || self.is_empty(value);
        if is_gone || !self.filter.takes(db, entry) {
            return Ok(());
        }
        let (key, digest, kind) = (entry.key(), self.digester.digest(value), value.type_name());
        visit(Found { db, key, digest, expiry_ms, kind })
    }

    /// Whether all that is in it has expired.
    fn is_empty(&self, value: Value<'_>) -> bool {
        let Value::Hash(hash) = value else { return false };
        hash.next_expiry_ms().is_some()
            && hash.iter().all(|field| field.expiry_ms.is_some_and(|at| at < self.now_ms))
    }
}

impl Side {
    /// Finds out what `text` means.
    pub(super) fn open(text: &str) -> Result<Self, Failure> {
        match Url::parse(text)? {
            Some(url) => Ok(Self::Server(url)),
            None => Ok(Self::Source(Source::open(Path::new(text))?)),
        }
    }

    /// The only database that is meant.
    pub(super) fn database(&self) -> Option<u32> {
        match self {
            Self::Server(url) => url.db,
            Self::Source(_) => None,
        }
    }

    /// Visits every key that is asked for; those of a server perhaps more than once.
    pub(super) fn visit(&self, look: &Look<'_>, visit: &mut Visit<'_>) -> Result<Rest, Failure> {
        match self {
            Self::Source(source) => {
                let contents =
                    source.keys(look.output, &mut |db, entry| look.visit(db, entry, visit))?;
                let mut remarks = contents.remarks;
                let modules = contents.skipped.module_keys;
                if modules > 0 {
                    let path = source.path().display();
                    // What was not looked at cannot be called the same.
                    if !look.skip_modules {
                        return Err(Failure::new(format_args!(
                            "{path}: {}, which cannot be compared (--skip-modules leaves them out)",
                            contents.skipped.modules_have_values()
                        )));
                    }
                    let (one, many) = ("key of a module is", "keys of modules are");
                    let keys = counted(modules, one, many);
                    remarks.push(format!("{path}: {keys} not compared"));
                }
                let functions = Some(contents.functions);
                Ok(Rest { functions, remarks, module_keys: modules, ..Rest::default() })
            }
            Self::Server(url) => visit_server(url, look, visit),
        }
    }
}

fn visit_server(url: &Url, look: &Look<'_>, visit: &mut Visit<'_>) -> Result<Rest, Failure> {
    let mut client = Client::connect(url)?;
    let mut rest = Rest::default();
    let probe = client.call(&[b"PEXPIRETIME", b""])?;
    let has_time = !matches!(probe, Received::Error(_));
    if !has_time {
        rest.expiry_is_guessed = true;
        let text = "has no PEXPIRETIME: expiry times are computed from PTTL";
        rest.remarks.push(format!("{} {text}", client.name()));
    }
    for db in databases(&mut client)? {
        if !look.filter.takes_database(db) {
            continue;
        }
        client.expect(&[b"SELECT", db.to_string().as_bytes()])?;
        let mut cursor = b"0".to_vec();
        loop {
            let (next, keys) = scan(&mut client, look.filter, &cursor)?;
            for keys in keys.chunks(DUMPS) {
                dump(&mut client, has_time, db, keys, look, visit)?;
            }
            cursor = next;
            if cursor == b"0" {
                break;
            }
        }
    }
    match functions(&mut client)? {
        Some(functions) => rest.functions = Some(functions),
        None => {
            rest.remarks.push(format!("{}: functions are not compared", client.name()));
        }
    }
    Ok(rest)
}

fn unexpected(client: &Client, command: &str) -> Failure {
    Failure::new(format_args!("{}: {command}: a reply that is none", client.name()))
}

/// The databases that hold anything.
fn databases(client: &mut Client) -> Result<Vec<u32>, Failure> {
    let Received::Bulk(text) = client.expect(&[b"INFO", b"keyspace"])? else {
        return Err(unexpected(client, "INFO"));
    };
    let text = String::from_utf8_lossy(&text);
    let number = |line: &str| line.strip_prefix("db")?.split_once(':')?.0.parse().ok();
    Ok(text.lines().filter_map(number).collect())
}

/// The next keys, and where to go on.
fn scan(
    client: &mut Client,
    filter: &Filter,
    cursor: &[u8],
) -> Result<(Vec<u8>, Vec<Vec<u8>>), Failure> {
    let mut words: Vec<&[u8]> = vec![b"SCAN", cursor, b"COUNT", SCAN_COUNT];
    if let Some(pattern) = &filter.pattern {
        words.extend([&b"MATCH"[..], pattern.as_bytes()]);
    }
    if let [kind] = &filter.types[..] {
        words.extend([&b"TYPE"[..], kind.as_bytes()]);
    }
    let reply = client.expect(&words)?;
    let Received::Array(parts) = reply else { return Err(unexpected(client, "SCAN")) };
    let Ok([Received::Bulk(next), Received::Array(keys)]) = <[Received; 2]>::try_from(parts) else {
        return Err(unexpected(client, "SCAN"));
    };
    let keys = keys.into_iter().filter_map(|key| match key {
        Received::Bulk(key) => Some(key),
        _ => None,
    });
    Ok((next, keys.collect()))
}

/// Visits these keys.
fn dump(
    client: &mut Client,
    has_time: bool,
    db: u32,
    keys: &[Vec<u8>],
    look: &Look<'_>,
    visit: &mut Visit<'_>,
) -> Result<(), Failure> {
    let mut commands = Vec::new();
    write_command(&mut commands, &[b"TIME"]);
    let expiry: &[u8] = if has_time { b"PEXPIRETIME" } else { b"PTTL" };
    for key in keys {
        write_command(&mut commands, &[expiry, key]);
        write_command(&mut commands, &[b"DUMP", key]);
    }
    client.send(&commands)?;
    let server_ms = match client.read()? {
        Received::Array(parts) => match &parts[..] {
            [Received::Bulk(s), Received::Bulk(us)] => {
                let number = |text: &[u8]| String::from_utf8_lossy(text).parse::<i64>().ok();
                let time = number(s).zip(number(us)).map(|(s, us)| s * 1000 + us / 1000);
                time.ok_or_else(|| unexpected(client, "TIME"))?
            }
            _ => return Err(unexpected(client, "TIME")),
        },
        _ => return Err(unexpected(client, "TIME")),
    };
    let limits = Limits::new(KeyHasher::new((0, 0)));
    for key in keys {
        let expiry_ms = match client.read()? {
            Received::Integer(at) if at >= 0 => Some(if has_time { at } else { server_ms + at }),
            Received::Integer(_) => None,
            Received::Error(text) => return Err(failed(client, key, &text)),
            _ => return Err(unexpected(client, "PEXPIRETIME")),
        };
        let payload = match client.read()? {
            Received::Bulk(payload) => payload,
            // It is gone.
            Received::Null => continue,
            Received::Error(text) => return Err(failed(client, key, &text)),
            _ => return Err(unexpected(client, "DUMP")),
        };
        let value = payload::restore(&payload, &limits)
            .map_err(|error| failed(client, key, &format!("what DUMP gives: {error}")))?;
        look.visit(db, EntryBox::new(key, value, expiry_ms, 0).view(), visit)?;
    }
    Ok(())
}

fn failed(client: &Client, key: &[u8], what: &str) -> Failure {
    Failure::new(format_args!("{}: key '{}': {what}", client.name(), escaped(key)))
}

/// The libraries of functions; `None` of a server that does not show them.
fn functions(client: &mut Client) -> Result<Option<Vec<Vec<u8>>>, Failure> {
    let payload = match client.call(&[b"FUNCTION", b"DUMP"])? {
        Received::Bulk(payload) => payload,
        _ => return Ok(None),
    };
    let mut functions = Functions::default();
    let words: [&[u8]; 3] = [b"FUNCTION", b"RESTORE", &payload];
    functions
        .command(OwnedArgs::from_slices(&words).as_args())
        .map_err(|error| Failure::new(format_args!("{}: FUNCTION DUMP: {error}", client.name())))?;
    Ok(Some(functions.sources().map(<[u8]>::to_vec).collect()))
}
