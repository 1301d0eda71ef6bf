//! `REPLICAOF`, `ROLE`, `WAIT`, `WAITAOF`.

use super::connection_state::{Block, LogBlock};
use super::{Call, ConnectionState, Free};
use crate::commands::numbers;
use crate::commands::spec::Categories;
use crate::commands::{CommandError, CommandResult, Flags, Spec};
use crate::engine::Guard;
use crate::resp::{Args, Reply};
use crate::session::Row;
use std::time::Duration;

/// Allowed in any state of the data.
const ALWAYS: Flags = Flags::LOADING.with(Flags::STALE);
const REPLICATION: Flags =
    Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::STALE).with(Flags::NO_ASYNC_LOADING);
const SLOWEST_SHARD: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];

/// This family's part of the table.
pub static COMMANDS: [Row<ConnectionState>; 5] = [
    Row::free(
        Spec::host("role", 1)
            .flags(
                ALWAYS.with(Flags::NOSCRIPT).with(Flags::FAST),
                Categories::ADMIN.with(Categories::DANGEROUS),
            )
            .doc("server", "2.8.12", "O(1)", "The server's role in replication."),
        role,
    ),
    Row::free(
        Spec::host("replicaof", 3)
            .syntax("args<host-port(host port:integer)|no-one(NO ONE)>")
            .flags(REPLICATION, Categories::NONE)
            .doc("server", "5.0.0", "O(1)", "Makes the server a primary, which it is."),
        replica_of,
    ),
    Row::free(
        Spec::host("slaveof", 3)
            .syntax("args<host-port(host port:integer)|no-one(NO ONE)>")
            .flags(REPLICATION, Categories::NONE)
            .doc("server", "1.0.0", "O(1)", "Makes the server a primary, which it is.")
            .deprecated("5.0.0", "`REPLICAOF`"),
        replica_of,
    ),
    Row::engine(
        Spec::host("wait", 3)
            .syntax("numreplicas:integer timeout:integer")
            .flags(Flags::BLOCKING, Categories::CONNECTION)
            .doc("generic", "3.0.0", "O(1)", "Waits until replicas have this connection's writes.")
            .tips(SLOWEST_SHARD),
        wait,
    ),
    Row::engine(
        Spec::host("waitaof", 4)
            .syntax("numlocal:integer numreplicas:integer timeout:integer")
            .flags(Flags::BLOCKING, Categories::CONNECTION)
            .doc("generic", "7.2.0", "O(1)", "Waits until this connection's writes are durable.")
            .tips(SLOWEST_SHARD),
        wait_aof,
    ),
];

/// A timeout in ms; `None` is for ever.
fn timeout(arg: &[u8], engine: &Guard<'_>) -> Result<Option<Duration>, CommandError> {
    let ms = numbers::timeout_ms(arg, engine.now_ms())?;
    Ok((ms > 0).then(|| Duration::from_millis(ms)))
}

/// `REPLICAOF NO ONE`; there is nothing to replicate from yet.
fn replica_of(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    let is = |index: usize, word: &[u8]| args.at(index).eq_ignore_ascii_case(word);
    if is(1, b"NO") && is(2, b"ONE") {
        call.reply.ok();
        return Ok(());
    }
    if !(0..=65535).contains(&numbers::integer(args.at(2)).unwrap_or(-1)) {
        return Err(CommandError::fixed("ERR Invalid master port"));
    }
    Err(CommandError::fixed(
        "ERR there is no replication yet, so the data would not arrive: only NO ONE is accepted",
    ))
}

/// `ROLE`
fn role(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    let (log, lsn) = call.host.shared.engine.published_lsn();
    call.depends_on = log.map(|log| (log, lsn));
    call.reply.array(3);
    call.reply.bulk(b"master");
    call.reply.integer(lsn as i64);
    call.reply.array(0);
    Ok(())
}

/// `WAIT numreplicas timeout`
fn wait(call: &mut Call<'_, '_, '_>, args: Args<'_>) -> CommandResult {
    let replicas = numbers::integer(args.at(1))?;
    let timeout = timeout(args.at(2), call.unit)?;
    if replicas <= 0 || call.unit.in_exec() {
        call.reply.integer(0);
    } else {
        let reply = |reply: &mut Reply<'_>, _| reply.integer(0);
        call.host.block = Some(Block::Log(LogBlock { until: None, timeout, local: None, reply }));
    }
    Ok(())
}

/// `WAITAOF numlocal numreplicas timeout`
fn wait_aof(call: &mut Call<'_, '_, '_>, args: Args<'_>) -> CommandResult {
    let locals = numbers::integer(args.at(1))?;
    if !(0..=1).contains(&locals) {
        return Err(CommandError::fixed("ERR value is out of range, value must between 0 and 1"));
    }
    let not_positive = CommandError::fixed("ERR value is out of range, must be positive");
    let replicas = numbers::at_least(0, args.at(2), not_positive)?;
    let timeout = timeout(args.at(3), call.unit)?;
    let Some(log) = call.unit.log().cloned() else {
        if locals > 0 {
            return Err(CommandError::fixed(
                "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
            ));
        }
        call.reply.array(2);
        call.reply.integer(0);
        call.reply.integer(0);
        return Ok(());
    };
    fn reply(reply: &mut Reply<'_>, durable: bool) {
        reply.array(2);
        reply.integer(i64::from(durable));
        reply.integer(0);
    }
    let lsn = call.unit.lsn();
    let durable = lsn <= log.durable_lsn();
    if call.unit.in_exec() || (replicas == 0 && (durable || locals == 0)) {
        reply(&mut call.reply, durable);
        return Ok(());
    }
    call.unit.flush();
    log.request_sync();
    let local = Some((log.clone(), lsn));
    let until = (replicas == 0).then_some((log, lsn));
    call.host.block = Some(Block::Log(LogBlock { until, timeout, local, reply }));
    Ok(())
}
