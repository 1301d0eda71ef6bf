//! Transactions, expiry and durability as a client sees them.

use super::support::*;

#[test]
fn keys_of_debug_populate_are_logged_like_others() {
    let setup = Setup::new(&["--enable-debug-command", "yes"]);
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("SET key:1 mine"), ok());
    assert_eq!(client.call("DEBUG POPULATE 1000"), ok());
    assert_eq!(client.call("DEBUG POPULATE 2 short 2"), ok());
    assert_eq!(client.call("DEBUG POPULATE 2 long 20"), ok());
    assert_eq!(client.call("DEBUG POPULATE 2 zero 0"), ok());
    let negative = error("ERR value is out of range, must be positive");
    for bad in ["x", "-1", "1 a x", "1 a -1"] {
        assert_eq!(client.call(&format!("DEBUG POPULATE {bad}")), negative, "{bad}");
    }
    for much in ["9223372036854775807", "1000 a 1000000", "1 a 9223372036854775807"] {
        let refused = client.call(&format!("DEBUG POPULATE {much}"));
        assert!(refused.is_error("ERR that is too much"), "{much}: {refused:?}");
    }
    assert!(client.call("DEBUG POPULATE 1 a 2 3").is_error("ERR unknown subcommand"));
    server.kill();
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("DBSIZE"), int(1006));
    for (key, value) in [
        ("key:0", "value:0"),
        ("key:1", "mine"),
        ("key:999", "value:999"),
        ("short:1", "va"),
        ("long:1", "value:1\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("zero:1", "value:1"),
    ] {
        assert_eq!(client.call(&format!("GET {key}")), bulk(value), "{key}");
    }
    assert_eq!(client.call_args(&["DEBUG", "ERROR", "FOO bar\r\nbaz"]), error("FOO bar  baz"));
}

#[test]
fn both_ways_to_ask_for_references_agree() {
    let setup = Setup::new(&["--enable-debug-command", "yes"]);
    let server = setup.start();
    let mut client = server.client();
    for policy in ["noeviction", "allkeys-lfu"] {
        assert_eq!(client.call(&format!("CONFIG SET maxmemory-policy {policy}")), ok());
        for value in ["0", "9999", "10000", "-1", "text"] {
            assert_eq!(client.call(&format!("SET k {value}")), ok());
            let count = client.call("OBJECT REFCOUNT k").int();
            let said = client.call("DEBUG OBJECT k").text();
            assert!(said.contains(&format!(" refcount:{count} ")), "{policy} {value}: {said}");
        }
    }
}

#[test]
fn a_primary_can_only_be_told_to_be_one() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    for name in ["REPLICAOF", "SLAVEOF"] {
        assert_eq!(client.call(&format!("{name} no ONE")), ok());
        assert_eq!(client.call(&format!("{name} host x")), error("ERR Invalid master port"));
        let refused = client.call(&format!("{name} 127.0.0.1 6379"));
        assert!(refused.is_error("ERR there is no replication yet"), "{refused:?}");
    }
    assert_eq!(client.call("ROLE").items()[0], bulk("master"));
}

#[test]
fn transactions_are_all_or_nothing_and_watch_aborts_them() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut one, mut two) = (server.client(), server.client());
    let replies = one.call_all(["WATCH k", "MULTI", "SET k 1", "GET k", "EXEC"]);
    assert_eq!(replies[4], array([ok(), bulk("1")]));
    one.call_all(["WATCH k", "MULTI", "SET k 2"]);
    assert_eq!(two.call("SET k other"), ok());
    assert_eq!(one.call("EXEC"), Value::NilArray);
    assert_eq!(one.call("GET k"), bulk("other"));
    let replies = one.call_all(["MULTI", "SET k 3", "NO_SUCH", "EXEC", "GET k"]);
    assert!(replies[2].is_error("ERR unknown command 'NO_SUCH'"), "{replies:?}");
    assert!(replies[3].is_error("EXECABORT "), "{replies:?}");
    assert_eq!(replies[4], bulk("other"));
    let replies = one.call_all(["MULTI", "INCR k", "SET j 1", "EXEC", "GET j"]);
    assert!(replies[3].items()[0].is_error("ERR value is not an integer"));
    assert_eq!(replies[4], bulk("1"));
}

#[test]
fn waitaof_waits_for_durability_in_every_mode() {
    let setup = Setup::new(&["--appendfsync", "no"]);
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("SET k v"), ok());
    assert_ne!(server.info("log_lag_bytes"), "0");
    assert_eq!(client.call("WAITAOF 1 0 0"), array([int(1), int(0)]));
    assert_eq!(server.info("log_lag_bytes"), "0");
    assert_eq!(client.call("WAITAOF 1 1 20"), array([int(1), int(0)]));
    assert_eq!(client.call("WAIT 0 0"), int(0));
    let one_disk = "ERR value is out of range, value must between 0 and 1";
    let positive = "ERR value is out of range, must be positive";
    for (line, text) in [
        ("WAITAOF 2 x x", one_disk),
        ("WAITAOF -1 0 0", one_disk),
        ("WAITAOF x 0 0", "ERR value is not an integer or out of range"),
        ("WAITAOF 1 x 0", positive),
        ("WAITAOF 1 -1 x", positive),
        ("WAITAOF 1 9223372036854775808 0", positive),
        ("WAITAOF 1 0 x", "ERR timeout is not an integer or out of range"),
        ("WAITAOF 1 0 -1", "ERR timeout is negative"),
    ] {
        assert_eq!(client.call(line), error(text), "{line}");
    }
}

#[test]
fn a_watched_key_that_expires_and_is_deleted_for_it_breaks_the_transaction() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call_all(["SET k v PX 20", "WATCH k"]), [ok(), ok()]);
    eventually("the key is deleted", || (client.call("DBSIZE") == int(0)).then_some(()));
    let replies = client.call_all(["MULTI", "SET k x", "EXEC"]);
    assert_eq!(replies[2], Value::NilArray);
    assert_eq!(client.call("EXISTS k"), int(0));
}

#[test]
fn fields_that_expire_are_deleted_though_nobody_asks() {
    let setup = Setup::new(&["--hash-max-listpack-entries", "20"]);
    let server = setup.start();
    let mut client = server.client();
    // One hash is a listpack, and the other one a table.
    for (key, count) in [("small", 10), ("big", 1000)] {
        for n in 0..count {
            client.call(&format!("HSET {key} f{n} v"));
        }
        let fields: Vec<String> = (1..count).map(|n| format!("f{n}")).collect();
        let line = format!("HPEXPIRE {key} 30 FIELDS {} {}", fields.len(), fields.join(" "));
        assert_eq!(client.call(&line).items(), vec![int(1); fields.len()]);
        client.call(&format!("HSET gone-{key} f v"));
        client.call(&format!("HPEXPIRE gone-{key} 30 FIELDS 1 f"));
    }
    let ask = ["HLEN small", "HLEN big", "DBSIZE"];
    eventually("the fields are deleted", || {
        (client.call_all(ask) == [int(1), int(1), int(2)]).then_some(())
    });
    drop(client);
    server.kill();
    let server = setup.start();
    assert_eq!(server.client().call_all(ask), [int(1), int(1), int(2)]);
}

#[test]
fn a_value_beyond_todays_limit_is_still_replayed() {
    let setup = Setup::new(&["--proto-max-bulk-len", "4mb"]);
    let server = setup.start();
    assert_eq!(server.client().call("SETRANGE k 3000000 x"), int(3_000_001));
    server.stop();
    let mut lower = setup;
    lower.set_directives(&["--proto-max-bulk-len", "1mb"]);
    let server = lower.start();
    assert_eq!(server.client().call("STRLEN k"), int(3_000_001));
}
