//! RDB files that the server writes: a real Redis loads them, and so does the server.

mod support;

use std::path::Path;
use support::{
    LIBRARY, Redis, Server, Setup, Value, assert_same_contents, bulk, contents, fill, info, int, ok,
};

/// A server with data of all types in memory only.
fn filled(more: &[&str]) -> (Setup, Server) {
    let directives = ["--appendonly", "no", "--save", "", "--enable-debug-command", "yes"];
    let setup = Setup::new(&[&directives[..], more].concat());
    let server = setup.start();
    fill(&mut server.client(), 0);
    (setup, server)
}

/// The names in a directory.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_real_redis_loads_what_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let Some(redis) = Redis::start_in(dir.path(), &["--appendonly", "no"]) else { return };
    let version = redis.version;
    let mut client = redis.client();
    client.call_args(&["FUNCTION", "LOAD", LIBRARY]);
    fill(&mut client, 0);
    if version < (7, 4) {
        // There are fields that expire, which this Redis does not know.
        client.call("DEL hash:small:0");
    }
    assert_eq!(client.call("SAVE"), ok());
    redis.end();

    let setup = Setup::new(&[]).data_in(dir.path());
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("SET by-us 1"), ok());
    if version < (7, 2) {
        assert_eq!(client.call("CONFIG SET rdb-version 10"), ok());
    }
    for (compression, checksum) in [("yes", "yes"), ("no", "yes")] {
        assert_eq!(client.call(&format!("CONFIG SET rdbcompression {compression}")), ok());
        assert_eq!(client.call("CONFIG GET rdbchecksum").items()[1], bulk(checksum));
        assert_eq!(client.call("SAVE"), ok());
        let ours = contents(&mut client);
        let back = tempfile::tempdir().unwrap();
        std::fs::copy(dir.path().join("dump.rdb"), back.path().join("dump.rdb")).unwrap();
        let redis = Redis::start_in(back.path(), &["--appendonly", "no"]).unwrap();
        let mut theirs = redis.client();
        assert_same_contents(&ours, &contents(&mut theirs));
        let libraries = theirs.call("FUNCTION LIST");
        assert_eq!(libraries.items().len(), 1, "{libraries:?}");
        redis.end();
    }
    server.stop();
}

#[test]
fn what_is_saved_is_loaded_again() {
    let (setup, server) = filled(&[]);
    let mut client = server.client();
    let at_start = client.call("LASTSAVE").int();
    assert_eq!(client.call("SAVE"), ok());
    assert!(client.call("LASTSAVE").int() >= at_start);
    assert_eq!(info(&mut client, "rdb_saves"), "1");
    assert_eq!(info(&mut client, "snapshot_slices"), "0", "all others have waited anyway");
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "0");
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "ok");
    let saved = contents(&mut client);
    assert_eq!(client.call("SET lost 1"), ok());
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "1");
    assert_eq!(names(&setup.dir()), ["dump.rdb"]);
    server.stop();
    let server = setup.start();
    assert_same_contents(&contents(&mut server.client()), &saved);
    assert_eq!(server.info("rdb_last_load_keys_loaded"), saved.len().to_string());
    server.stop();
}

#[test]
fn nothing_is_reloaded_within_a_transaction() {
    let setup = Setup::new(&["--enable-debug-command", "yes"]);
    let server = setup.start();
    let mut client = server.client();
    let commands = ["MULTI", "SET a 1", "DEBUG LOADAOF", "DEBUG RELOAD", "GET a", "EXEC"];
    let replies = client.call_all(commands);
    let [set, log, rdb, get] = replies[5].items() else { panic!("four replies: {replies:?}") };
    assert_eq!((set, get), (&ok(), &bulk("1")));
    for refused in [log, rdb] {
        assert!(refused.is_error("ERR DEBUG RELOAD and LOADAOF cannot"), "{refused:?}");
    }
    assert_eq!(client.call("DEBUG LOADAOF"), ok());
    assert_eq!(client.call("GET a"), bulk("1"));
}

#[test]
fn reloading_keeps_everything_and_the_log_has_what_came_of_it() {
    let setup = Setup::new(&["--enable-debug-command", "yes", "--appendfsync", "no"]);
    let server = setup.start();
    let mut client = server.client();
    fill(&mut client, 0);
    let before = contents(&mut client);
    assert_eq!(client.call("DEBUG RELOAD"), ok());
    assert_same_contents(&contents(&mut client), &before);
    assert_eq!(client.call("DEBUG LOADAOF"), ok());
    assert_same_contents(&contents(&mut client), &before);

    assert_eq!(client.call("SET text:0 changed"), ok());
    assert_eq!(client.call("SET new 1"), ok());
    let twice = client.call("DEBUG RELOAD NOSAVE NOFLUSH");
    assert!(twice.is_error("ERR Error trying to load the RDB dump: the key"), "{twice:?}");
    assert_eq!(client.call("MGET text:0 new"), Value::Array(vec![bulk("changed"), bulk("1")]));
    assert_eq!(client.call("DEBUG RELOAD NOSAVE NOFLUSH MERGE"), ok());
    assert_eq!(client.call("MGET text:0 new"), Value::Array(vec![bulk("value"), bulk("1")]));
    assert_eq!(client.call("DEBUG RELOAD NOSAVE"), ok());
    assert_same_contents(&contents(&mut client), &before);
    assert!(client.call("DEBUG RELOAD LATER").is_error("ERR DEBUG RELOAD only supports"));
    server.kill();
    let server = setup.start();
    assert_same_contents(&contents(&mut server.client()), &before);
    server.stop();
}

#[test]
fn what_a_version_cannot_hold_is_refused_by_name() {
    let (setup, server) = filled(&[]);
    let mut client = server.client();
    assert_eq!(client.call("SAVE"), ok());
    let path = setup.dir().join("dump.rdb");
    let before = std::fs::read(&path).unwrap();
    assert!(before.starts_with(b"REDIS0012"), "a field expires");
    for version in ["9", "10", "11"] {
        assert_eq!(client.call(&format!("CONFIG SET rdb-version {version}")), ok());
        let refused = client.call("SAVE");
        assert!(refused.is_error("ERR "), "{refused:?}");
        let Value::Error(text) = refused else { unreachable!() };
        assert!(text.contains("hash:small:0") && text.contains("rdb-version"), "{text}");
        assert!(!client.call("BGSAVE").is_error(""));
        support::eventually("the save in the background fails", || {
            (info(&mut client, "rdb_bgsave_in_progress") == "0").then_some(())
        });
        assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "err");
        assert!(std::fs::read(&path).unwrap() == before);
        assert_eq!(names(&setup.dir()), ["dump.rdb"]);
    }
    assert_eq!(client.call("DEL hash:small:0"), int(1));
    for (version, magic) in
        [("auto", "REDIS0011"), ("10", "REDIS0010"), ("12", "REDIS0012"), ("80", "VALKEY080")]
    {
        assert_eq!(client.call(&format!("CONFIG SET rdb-version {version}")), ok());
        let all = contents(&mut client);
        assert_eq!(client.call("DEBUG RELOAD"), ok());
        assert_same_contents(&contents(&mut client), &all);
        assert!(std::fs::read(&path).unwrap().starts_with(magic.as_bytes()), "{version}");
    }
    assert!(client.call("CONFIG SET rdb-version 8").is_error("ERR"));
    // No user data is logged.
    let log = server.stop();
    assert!(log.contains("a hash with expiring fields") && !log.contains("hash:"), "{log}");
}

#[test]
fn the_end_saves_if_it_is_told_to_or_there_are_save_points() {
    let has_file = |setup: &Setup| setup.dir().join("dump.rdb").exists();
    for (points, how, saves) in [
        ("", "SHUTDOWN", false),
        ("", "SHUTDOWN SAVE", true),
        ("3600 1", "SHUTDOWN", true),
        ("3600 1", "SHUTDOWN NOSAVE", false),
        ("3600 1", "SIGTERM", true),
        ("", "SIGTERM", false),
    ] {
        let setup = Setup::new(&["--appendonly", "no", "--save", points]);
        let server = setup.start();
        let mut client = server.client();
        assert_eq!(client.call("SET k 1"), ok());
        if how == "SIGTERM" {
            server.stop();
        } else {
            client.send(how);
            assert!(client.is_closed());
            server.wait_for_success();
        }
        assert_eq!(has_file(&setup), saves, "{points:?} {how}");
        let server = setup.start();
        assert_eq!(server.client().call("DBSIZE"), int(i64::from(saves)));
        server.client().send("SHUTDOWN NOSAVE");
        server.wait_for_success();
    }
}

#[test]
fn a_configuration_of_redis_without_a_log_loses_nothing_at_a_clean_end() {
    let mut setup = Setup::new(&[]);
    // A stock file has no line about `save`.
    let file = setup.home().join("redis.conf");
    std::fs::write(&file, "timeout 0\nappendonly no\ndbfilename dump.rdb\n").unwrap();
    setup.set_file(file.to_str().unwrap());
    let server = setup.start();
    let place = format!("WARNING: 'appendonly no' ({}, line 2)", file.display());
    assert!(server.log().contains(&place), "{}", server.log());
    let mut client = server.client();
    assert_eq!(client.call("CONFIG GET save").items()[1], bulk("3600 1 300 100 60 10000"));
    assert_eq!(client.call("SET new write"), ok());
    server.stop();
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("GET new"), bulk("write"));
    assert_eq!(client.call("CONFIG REWRITE"), ok());
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("save 3600 1\nsave 300 100\nsave 60 10000\n"), "{text}");
    // The choice was made at the start.
    assert_eq!(client.call("CONFIG SET appendonly yes"), ok());
    assert_eq!(client.call("CONFIG GET save").items()[1], bulk("3600 1 300 100 60 10000"));
    server.stop();
}

#[test]
fn a_server_that_cannot_save_goes_on_unless_it_is_forced_to_end() {
    let setup = Setup::new(&["--appendonly", "no", "--save", "3600 1"]);
    let server = setup.start();
    let mut client = server.client();
    // Nothing takes the place of a directory that is not empty.
    std::fs::create_dir_all(setup.dir().join("dump.rdb/x")).unwrap();
    assert!(client.call("SAVE").is_error("ERR saving "));
    assert_eq!(names(&setup.dir()), ["dump.rdb"]);
    assert_eq!(client.call("SET k 1"), ok());
    assert!(client.call("SHUTDOWN").is_error("ERR Errors trying to SHUTDOWN"));
    server.signal(libc::SIGTERM);
    support::eventually("SIGTERM is refused", || {
        server.log().contains("not shutting down").then_some(())
    });
    assert_eq!(client.call("GET k"), bulk("1"));
    client.send("SHUTDOWN FORCE");
    assert!(client.is_closed());
    server.wait_for_success();
}

#[test]
fn a_save_in_the_background_is_of_the_moment_at_which_it_began() {
    let (setup, server) = filled(&[]);
    let mut client = server.client();
    let before = contents(&mut client);
    let replies = client.call_all(["BGSAVE", "SET later 1", "DEL list:big:0", "FLUSHALL"]);
    assert_eq!(replies[0], support::status("Background saving started"));
    support::eventually("it is saved", || {
        (info(&mut client, "rdb_bgsave_in_progress") == "0").then_some(())
    });
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "ok");
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "3");
    assert_eq!(names(&setup.dir()), ["dump.rdb"]);
    server.stop();
    let server = setup.start();
    assert_same_contents(&contents(&mut server.client()), &before);
    server.stop();
}

#[test]
fn save_points_save_and_a_failure_refuses_writes_until_one_succeeds() {
    let setup = Setup::new(&["--appendonly", "no"]);
    let server = setup.start();
    let mut client = server.client();
    let file = setup.dir().join("dump.rdb");
    std::fs::create_dir_all(file.join("x")).unwrap();
    assert_eq!(
        client.call("CONFIG SET save"),
        support::error("ERR wrong number of arguments for 'config|set' command")
    );
    assert_eq!(client.call_args(&["CONFIG", "SET", "save", "1 1"]), ok());
    assert_eq!(client.call("SET k 1"), ok());
    support::eventually("writes are refused", || {
        client.call("SET k 2").is_error("MISCONF").then_some(())
    });
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "err");
    server.wait_for_log("dump.rdb failed");
    assert!(client.call("GET k").text().parse::<u64>().is_ok());
    assert_eq!(client.call("CONFIG SET stop-writes-on-bgsave-error no"), ok());
    assert_eq!(client.call("SET k 3"), ok());
    assert_eq!(client.call("CONFIG SET stop-writes-on-bgsave-error yes"), ok());
    assert!(client.call("SET k 4").is_error("MISCONF"));
    std::fs::remove_dir_all(&file).unwrap();
    support::eventually("a save succeeds", || {
        (info(&mut client, "rdb_last_bgsave_status") == "ok").then_some(())
    });
    support::eventually("writes are taken", || (client.call("SET k 5") == ok()).then_some(()));
    assert!(file.is_file());
    client.send("SHUTDOWN NOSAVE");
    server.wait_for_success();
}
