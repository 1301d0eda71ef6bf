//! Clients that wait for keys, and clients that are made to wait.

mod support;

use std::time::Duration;
use support::*;

/// Waits until so many clients wait in a blocking command.
fn until_blocked(client: &mut Client, count: usize) {
    let line = format!("blocked_clients:{count}\r\n");
    eventually("clients wait", || client.call("INFO clients").text().contains(&line).then_some(()));
}

#[test]
fn waiting_clients_are_served_in_order_of_arrival() {
    for threads in ["1", "2"] {
        let setup = Setup::new(&["--io-threads", threads]);
        let server = setup.start();
        let mut client = server.client();
        let mut waiting: Vec<Client> = Vec::new();
        for count in 1..=6 {
            let mut next = server.client();
            next.send("BLPOP other list 0");
            until_blocked(&mut client, count);
            waiting.push(next);
        }
        // Twice as much as is waited for, in one command, so that all are served by it.
        assert_eq!(client.call("RPUSH list a b c d e f g h i j k l"), int(12));
        for (waiter, element) in waiting.iter_mut().zip(["a", "b", "c", "d", "e", "f"]) {
            assert_eq!(waiter.read(), array([bulk("list"), bulk(element)]));
        }
        assert_eq!(client.call("LLEN list"), int(6));
        // What was served is logged as what it did.
        drop(waiting);
        server.kill();
        let server = setup.start();
        assert_eq!(server.client().call("LRANGE list 0 0"), array([bulk("g")]));
    }
}

#[test]
fn a_transaction_is_over_before_those_who_wait_are_served() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut client, mut waiting) = (server.client(), server.client());
    waiting.send("BLPOP list 0");
    until_blocked(&mut client, 1);
    for line in ["MULTI", "RPUSH list a", "DEL list", "EXEC"] {
        client.call(line);
    }
    assert!(waiting.is_silent(), "there was nothing when the transaction had ended");
    for line in ["MULTI", "SADD list x", "DEL list", "RPUSH list 1 2", "LLEN list", "EXEC"] {
        client.call(line);
    }
    assert_eq!(waiting.read(), array([bulk("list"), bulk("1")]));
    // Inside a transaction nobody waits.
    let replies = client.call_all(["MULTI", "BLPOP none 0", "BLMOVE none n LEFT LEFT 0", "EXEC"]);
    assert_eq!(replies[3].items().len(), 2);
}

#[test]
fn chains_of_waiting_clients_are_served_within_one_command() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut client, mut last) = (server.client(), server.client());
    let mut middle: Vec<Client> = Vec::new();
    for step in 0..20 {
        let mut next = server.client();
        next.send(&format!("BLMOVE l{step} l{} LEFT RIGHT 0", step + 1));
        middle.push(next);
        until_blocked(&mut client, step + 1);
    }
    last.send("BRPOP l20 0");
    until_blocked(&mut client, 21);
    client.call("RPUSH l0 x");
    assert_eq!(last.read(), array([bulk("l20"), bulk("x")]));
    middle.iter_mut().for_each(|client| assert_eq!(client.read(), bulk("x")));
}

#[test]
fn a_wait_ends_by_time_by_command_and_with_its_client() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut client, mut waiting) = (server.client(), server.client());
    assert_eq!(waiting.call("BLPOP none 0.05"), Value::NilArray);

    let id = waiting.call("CLIENT ID").int();
    assert_eq!(client.call(&format!("CLIENT UNBLOCK {id}")), int(0));
    for (line, expected) in [
        (format!("CLIENT UNBLOCK {id} TIMEOUT"), None),
        (format!("CLIENT UNBLOCK {id} ERROR"), Some("UNBLOCKED client unblocked")),
    ] {
        for command in ["BZPOPMIN none 0", "WAIT 1 0"] {
            waiting.send(command);
            until_blocked(&mut client, 1);
            assert_eq!(client.call(&line), int(1));
            let reply = waiting.read();
            assert_eq!(reply.is_error("UNBLOCKED"), expected.is_some(), "{command}: {reply:?}");
        }
    }

    waiting.send("BLPOP list 0");
    until_blocked(&mut client, 1);
    drop(waiting);
    until_blocked(&mut client, 0);
    assert_eq!(client.call("RPUSH list a"), int(1));
    assert_eq!(client.call("LLEN list"), int(1), "nobody takes it for one who is gone");
}

#[test]
fn a_key_that_changes_its_type_or_expires_serves_nobody() {
    let setup = Setup::new(&["--enable-debug-command", "local"]);
    let server = setup.start();
    let (mut client, mut list, mut zset) = (server.client(), server.client(), server.client());
    list.send("BLPOP k 0");
    until_blocked(&mut client, 1);
    zset.send("BZPOPMAX k 0");
    until_blocked(&mut client, 2);
    client.call_all(["SET k string", "DEL k", "SADD k x", "DEL k"]);
    assert!(list.is_silent() && zset.is_silent());
    client.call("ZADD k 5 m");
    assert_eq!(zset.read(), array([bulk("k"), bulk("m"), bulk("5")]));
    assert!(list.is_silent());
    client.call_all(["MULTI", "RPUSH k x", "PEXPIRE k 20", "DEBUG SLEEP 0.05", "EXEC"]);
    assert!(list.is_silent(), "it has expired before anyone was served");
    client.call_all(["SELECT 1", "RPUSH k y", "SELECT 0", "SWAPDB 0 1"]);
    assert_eq!(list.read(), array([bulk("k"), bulk("y")]));
}

#[test]
fn streams_wake_their_readers() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut client, mut reader, mut member) = (server.client(), server.client(), server.client());
    client.call_all(["XADD s 1-1 f old", "XGROUP CREATE s g $"]);
    reader.send("XREAD BLOCK 0 STREAMS s $");
    until_blocked(&mut client, 1);
    member.send("XREADGROUP GROUP g m BLOCK 0 STREAMS s >");
    until_blocked(&mut client, 2);
    client.call("XADD s 1-2 f new");
    let entry = array([bulk("1-2"), array([bulk("f"), bulk("new")])]);
    let expected = array([array([bulk("s"), array([entry])])]);
    assert_eq!(reader.read(), expected);
    assert_eq!(member.read(), expected);
    member.send("XREADGROUP GROUP g m BLOCK 0 STREAMS s >");
    until_blocked(&mut client, 1);
    client.call("DEL s");
    assert!(member.read().is_error("NOGROUP"));
}

#[test]
fn a_pause_holds_back_writes_or_everything() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut client, mut writer) = (server.client(), server.client());
    client.call_all(["SET k v", "SET gone x PX 30"]);
    assert_eq!(client.call("CLIENT PAUSE 100000 WRITE"), ok());
    writer.send("SET k w");
    assert_eq!(client.call("GET k"), bulk("v"));
    assert!(writer.is_silent());
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(client.call("DBSIZE"), int(2), "nothing expires meanwhile");
    let replies = client.call_all(["MULTI", "GET k", "EXEC"]);
    assert_eq!(replies[2], array([bulk("v")]));
    assert_eq!(client.call("CLIENT UNPAUSE"), ok());
    assert_eq!(writer.read(), ok());
    assert_eq!(client.call("GET k"), bulk("w"));

    assert_eq!(client.call("CLIENT PAUSE 1000"), ok());
    client.send("GET k");
    assert!(client.is_silent());
    assert_eq!(client.read(), bulk("w"));
    assert!(client.call("CLIENT PAUSE abc").is_error("ERR timeout is not an integer"));
    assert!(client.call("CLIENT PAUSE 1 NONE").is_error("ERR CLIENT PAUSE mode must be"));
}

#[test]
fn what_is_wrong_behind_a_command_that_waits_is_answered_after_it() {
    let check = |connect: &dyn Fn() -> Client| {
        let mut client = connect();
        for (between, replies) in [(&["PING"][..], "+PONG\r\n"), (&[], "")] {
            let mut bytes = Vec::new();
            Client::encode(&mut bytes, &["BLPOP", "list", "0"]);
            between.iter().for_each(|name| Client::encode(&mut bytes, &[name]));
            bytes.extend_from_slice(b"*1\r\n@4\r\nPING\r\n");
            let mut waiting = connect();
            waiting.send_bytes(&bytes);
            until_blocked(&mut client, 1);
            assert!(waiting.is_silent(), "it has nothing to be told yet");
            client.call("RPUSH list a");
            let expected = format!(
                "*2\r\n$4\r\nlist\r\n$1\r\na\r\n{replies}\
                 -ERR Protocol error: expected '$', got '@'\r\n"
            );
            assert_eq!(String::from_utf8_lossy(&waiting.read_to_end()), expected);
        }
    };
    let server = Setup::new(&[]).start();
    check(&|| server.client());
    let dir = tempfile::tempdir().unwrap();
    let Some(redis) = Redis::start_in(dir.path(), &[]) else { return };
    check(&|| redis.client());
}

#[test]
fn what_is_malformed_is_not_answered_while_replies_are_switched_off() {
    let connect = |connect: &dyn Fn() -> Client, mode: &str| {
        let mut bytes = Vec::new();
        Client::encode(&mut bytes, &["CLIENT", "REPLY", mode]);
        bytes.extend_from_slice(b"*1\r\n@4\r\nPING\r\n");
        let mut client = connect();
        client.send_bytes(&bytes);
        client
    };
    let answer = "+OK\r\n-ERR Protocol error: expected '$', got '@'\r\n";
    let server = Setup::new(&[]).start();
    for (mode, replies) in [("OFF", ""), ("SKIP", ""), ("ON", answer)] {
        let mut client = connect(&|| server.client(), mode);
        assert_eq!(String::from_utf8_lossy(&client.read_to_end()), replies, "{mode}");
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(redis) = Redis::start_in(dir.path(), &[]) else { return };
    // With nothing to be sent, Redis does not close the connection either.
    let mut muted = ["OFF", "SKIP"].map(|mode| connect(&|| redis.client(), mode));
    let mut client = connect(&|| redis.client(), "ON");
    assert_eq!(String::from_utf8_lossy(&client.read_to_end()), answer);
    assert!(muted.iter_mut().all(Client::is_silent));
}
