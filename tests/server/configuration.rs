//! `CONFIG`, and the log switched on and off at run time.

use super::support::*;

#[test]
fn a_log_begun_at_run_time_has_everything_after_a_kill() {
    let mut setup = Setup::new(&["--appendonly", "no"]);
    let server = setup.start();
    server.wait_for_log("since the last RDB file is lost");
    let mut client = server.client();
    for number in 0..3000 {
        client.send(&format!("SET k{number} v{number}"));
    }
    assert!(client.read_many(3000).iter().all(|reply| *reply == ok()));
    client.call_all(["SELECT 3", "SET other v EX 10000", "SELECT 0", "DEL k7"]);
    assert_eq!(client.call("CONFIG SET appendonly yes"), ok());
    assert_eq!(client.call("SET after 1"), ok());
    assert_eq!(client.call("CONFIG GET appendonly"), array([bulk("appendonly"), bulk("yes")]));
    server.kill();
    setup.set_directives(&[]);
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("DBSIZE"), int(3000));
    for number in (0..3000).filter(|&number| number != 7) {
        assert_eq!(client.call(&format!("GET k{number}")), bulk(&format!("v{number}")));
    }
    assert_eq!(client.call("GET after"), bulk("1"));
    client.call("SELECT 3");
    assert_eq!(client.call("GET other"), bulk("v"));
    assert!((9000..=10000).contains(&client.call("TTL other").int()));
}

#[test]
fn a_log_begun_in_the_middle_of_a_pipeline_holds_no_reply_back_for_ever() {
    let setup = Setup::new(&["--appendonly", "no", "--enable-protected-configs", "local"]);
    let server = setup.start();
    let mut client = server.client();
    for _ in 0..1000 {
        assert_eq!(client.call("SET counted in-memory-only"), ok());
    }
    let replies = client.call_all(["SET a 1", "CONFIG SET appendonly yes", "SET b 2", "GET a"]);
    assert_eq!(replies, [ok(), ok(), ok(), bulk("1")]);
    let replies = client.call_all(["SET c 3", "CONFIG SET appendonly no", "SET d 4", "GET c"]);
    assert_eq!(replies, [ok(), ok(), ok(), bulk("3")]);
    let replies = client.call_all(["SET e 5", "CONFIG SET appendonly yes", "GET e"]);
    assert_eq!(replies, [ok(), ok(), bulk("5")]);
    server.kill();
    let mut setup = setup;
    setup.set_directives(&[]);
    let server = setup.start();
    assert_eq!(server.client().call("DBSIZE"), int(6));
}

#[test]
fn appendfsync_changes_at_run_time() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    for mode in ["no", "everysec", "always", "no", "always"] {
        assert_eq!(client.call(&format!("CONFIG SET appendfsync {mode}")), ok());
        assert_eq!(client.call("CONFIG GET appendfsync").items()[1], bulk(mode));
        for number in 0..50 {
            assert_eq!(client.call(&format!("SET {mode}{number} 1")), ok());
        }
        if mode == "always" {
            assert_eq!(server.info("log_lag_bytes"), "0");
        }
    }
    let refused = client.call("CONFIG SET appendfsync sometimes");
    assert!(refused.is_error("ERR CONFIG SET failed"), "{refused:?}");
    assert_eq!(client.call("CONFIG GET appendfsync").items()[1], bulk("always"));
}

#[test]
fn config_rewrite_keeps_what_was_set() {
    let setup = Setup::new(&[]);
    let file = setup.home().join("mainstay.conf");
    std::fs::write(&file, "# a comment that stays\nhz 20\nappendfsync everysec\n").unwrap();
    let mut setup = setup;
    let path = file.display().to_string();
    setup.set_file(&path);
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("CONFIG GET hz").items()[1], bulk("20"));
    assert_eq!(client.call("CONFIG SET hz 30 timeout 100"), ok());
    // All of them or none.
    let refused = client.call("CONFIG SET hz 40 maxclients none");
    assert!(refused.is_error("ERR CONFIG SET failed"), "{refused:?}");
    assert_eq!(client.call("CONFIG REWRITE"), ok());
    server.stop();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# a comment that stays\nhz 30\n"), "{text}");
    assert!(text.contains("\ntimeout 100\n"), "{text}");
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("CONFIG GET hz").items()[1], bulk("30"));
    assert_eq!(client.call("CONFIG GET timeout").items()[1], bulk("100"));
    assert_eq!(client.call("CONFIG GET appendfsync").items()[1], bulk("everysec"));
}

#[test]
fn debug_is_refused_unless_it_was_enabled() {
    let mut setup = Setup::new(&[]);
    let server = setup.start();
    assert!(server.client().call("DEBUG SLEEP 0").is_error("ERR DEBUG command not allowed"));
    let refused = server.client().call("CONFIG SET enable-debug-command yes");
    assert!(refused.is_error("ERR CONFIG SET failed"), "{refused:?}");
    server.stop();
    setup.set_directives(&["--enable-debug-command", "local"]);
    let server = setup.start();
    assert_eq!(server.client().call("DEBUG SLEEP 0"), ok());
}

#[test]
fn configuring_the_log_within_a_transaction_does_not_divide_it() {
    let setup = Setup::new(&["--enable-protected-configs", "local"]);
    let server = setup.start();
    let mut client = server.client();
    let commands = [
        "SET before 1",
        "MULTI",
        "INCR n",
        "CONFIG SET appendfsync everysec",
        "CONFIG SET appendonly no",
        "WAITAOF 1 0 0",
        "INCR n",
        "EXEC",
        "CONFIG SET appendfsync always",
        "INCR n",
    ];
    let replies = client.call_all(commands);
    let inner = replies[7].items();
    assert_eq!((&inner[0], &inner[1], &inner[4]), (&int(1), &ok(), &int(2)));
    assert!(inner[2].is_error("ERR CONFIG SET failed"), "{inner:?}");
    assert_eq!(replies[8..], [ok(), int(3)]);
    server.kill();
    let server = setup.start();
    assert_eq!(server.client().call("GET n"), bulk("3"));
}

#[test]
fn config_rewrite_in_a_transaction_takes_the_configuration_of_its_place() {
    let mut setup = Setup::new(&[]);
    let file = setup.home().join("mainstay.conf");
    std::fs::write(&file, "hz 10\n").unwrap();
    setup.set_file(&file.display().to_string());
    let server = setup.start();
    let mut client = server.client();
    let lines = ["MULTI", "CONFIG SET hz 20", "CONFIG REWRITE", "CONFIG SET hz 30", "EXEC"];
    let replies = client.call_all(lines);
    assert_eq!(replies[4], array([ok(), ok(), ok()]));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.lines().any(|line| line == "hz 20"), "{text}");
    assert_eq!(client.call("CONFIG GET hz").items()[1], bulk("30"));
}

#[test]
fn names_in_bind_are_looked_up() {
    let setup = Setup::new(&["--bind", "127.0.0.1"]);
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("CONFIG SET bind 127.0.0.2"), ok());
    assert_eq!(client.call("CONFIG SET bind localhost"), ok());
    let mut client = server.client();
    let refused = client.call("CONFIG SET bind no-such-host.invalid");
    assert!(refused.is_error("ERR CONFIG SET failed"), "{refused:?}");
    server.wait_for_log("'no-such-host.invalid' has no address");
    assert_eq!(client.call("CONFIG GET bind").items()[1], bulk("localhost"));
    let lines = ["MULTI", "CONFIG SET bind 127.0.0.2", "CONFIG SET bind localhost", "EXEC"];
    assert_eq!(client.call_all(lines)[3], array([ok(), ok()]));
    assert_eq!(server.client().call("PING"), status("PONG"));
}
