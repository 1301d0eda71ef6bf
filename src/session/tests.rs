//! Blocked clients: how a wait ends is one claim.

use super::Client;
use crate::commands::Settings;
use crate::disk::SimDisk;
use crate::engine::{BlockedClient, Engine, Machine, Unserved};
use crate::env::{SimClock, seeded_random};
use std::sync::Arc;

fn engine() -> Engine {
    let machine = Machine {
        disk: Arc::new(SimDisk::new()),
        clock: SimClock::new(1_700_000_000_000),
        random: Arc::new(|| seeded_random(1)),
    };
    Engine::in_memory(machine, 1, Settings::default())
}

fn run(engine: &Engine, line: &str) -> String {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let (_, reply) = Client::default().run(&mut engine.lock(), &words);
    String::from_utf8(reply).expect("text")
}

/// Has a client wait with this command.
fn block(engine: &Engine, line: &str) -> Arc<BlockedClient> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let mut client = Client::default();
    client.run(&mut engine.lock(), &words);
    client.session.blocked.take().expect("it waits")
}

fn reply(engine: &Engine, client: &Arc<BlockedClient>) -> String {
    let reply = engine.lock().take_wait_reply(client);
    String::from_utf8(reply.bytes.to_vec()).expect("text")
}

#[test]
fn a_client_that_was_unblocked_takes_no_element() {
    let engine = engine();
    let client = block(&engine, "BLPOP list 0");
    assert!(client.end(&engine, Unserved::Unblocked));
    assert!(!client.end(&engine, Unserved::TimedOut), "the first claim holds");
    assert_eq!(run(&engine, "RPUSH list a"), ":1\r\n");
    assert_eq!(run(&engine, "LLEN list"), ":1\r\n");
    assert!(reply(&engine, &client).starts_with("-UNBLOCKED"));
    assert_eq!(engine.counts().waited_keys, (0, 0));
}

#[test]
fn a_client_that_was_served_is_not_unblocked() {
    let engine = engine();
    let client = block(&engine, "BLPOP list 0");
    run(&engine, "RPUSH list a");
    assert!(!client.end(&engine, Unserved::Unblocked));
    assert_eq!(reply(&engine, &client), "*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
}

#[test]
fn a_command_that_finds_nothing_again_gives_its_claim_back() {
    let engine = engine();
    let client = block(&engine, "XREAD BLOCK 0 STREAMS stream 5-0");
    // It runs again, and the entry is older than what it asks for.
    run(&engine, "XADD stream 4-0 f v");
    assert_eq!(engine.counts().waited_keys, (1, 0));
    assert!(client.end(&engine, Unserved::TimedOut));
    assert_eq!(reply(&engine, &client), "*-1\r\n");
}

#[test]
fn a_client_that_moves_to_its_own_key_is_served_once() {
    let engine = engine();
    let client = block(&engine, "BLMOVE list list LEFT RIGHT 0");
    run(&engine, "RPUSH list a");
    assert_eq!(reply(&engine, &client), "$1\r\na\r\n");
    assert_eq!(run(&engine, "LLEN list"), ":1\r\n");
}

#[test]
fn a_long_chain_of_clients_is_served_without_recursion() {
    let engine = engine();
    let lines = (0..20_000).map(|at| format!("BLMOVE list{at} list{} LEFT RIGHT 0", at + 1));
    let clients: Vec<_> = lines.map(|line| block(&engine, &line)).collect();
    run(&engine, "RPUSH list0 a");
    assert!(clients.iter().all(|client| reply(&engine, client) == "$1\r\na\r\n"));
    assert_eq!(run(&engine, "LRANGE list20000 0 -1"), "*1\r\n$1\r\na\r\n");
}
