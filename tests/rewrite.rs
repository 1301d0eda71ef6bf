//! Rewrites of the log while clients go on: what they keep, what they leave behind, when they happen by themselves.

mod support;

use std::fs;
use std::path::Path;
use support::*;

fn rewritten(client: &mut Client) {
    eventually("the rewrite ends", || {
        (info(client, "aof_rewrite_in_progress") == "0").then_some(())
    });
    assert_eq!(info(client, "aof_last_bgrewrite_status"), "ok");
}

fn files(dir: &Path, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let names = entries.map(|name| name.into_string().unwrap());
    names.filter(|name| name.starts_with(prefix)).collect()
}

const STARTED: &str = "Background append only file rewriting started";

#[test]
fn everything_is_there_after_a_rewrite_and_a_restart() {
    let setup = Setup::new(&["--log-segment-size", "64kb"]);
    let server = setup.start();
    let mut client = server.client();
    (0..3).for_each(|part| fill(&mut client, part));
    assert_eq!(client.call("BGREWRITEAOF"), status(STARTED));
    // Changed while it is written: what the frames behind the base are for.
    for number in 0..2000 {
        client.call(&format!("SET later:{} {number}", number % 700));
    }
    client.call("MULTI");
    assert_eq!(client.call("BGREWRITEAOF"), status("QUEUED"));
    client.call("SET in:transaction 1");
    client.call("EXEC");
    rewritten(&mut client);
    eventually("the scheduled one too", || {
        (info(&mut client, "aof_rewrite_scheduled") == "0").then_some(())
    });
    rewritten(&mut client);
    let before = contents(&mut client);
    server.kill();
    assert_eq!(files(&setup.log_dir(), "base-").len(), 1);
    let server = setup.start();
    assert_same_contents(&contents(&mut server.client()), &before);
    server.stop();
    let server = setup.start();
    assert_same_contents(&contents(&mut server.client()), &before);
    assert_eq!(files(&setup.log_dir(), "base-").len(), 1);
}

#[test]
fn values_longer_than_a_block_of_the_base_are_there_after_a_restart() {
    let setup = Setup::new(&["--appendonly", "no"]);
    let server = setup.start();
    let mut client = server.client();
    client.call_args(&[&b"SET"[..], b"first", &noise(3 << 20, 1)]);
    client.call("SET small 1");
    assert_eq!(client.call("CONFIG SET appendonly yes"), ok());
    client.call_all(["SELECT 3", "SET small 2"]);
    let list: Vec<String> = (0..300).map(|number| format!("{number:010000}")).collect();
    let words = ["RPUSH", "list"].into_iter().chain(list.iter().map(String::as_str));
    client.call_args(&words.collect::<Vec<_>>());
    client.call_args(&[&b"SET"[..], b"last", &noise(2 << 20, 2)]);
    client.call("SELECT 0");
    let before = contents(&mut client);
    server.kill();
    // Everything is in memory at once here, and comes in slices in a rewrite.
    let mut setup = setup;
    setup.set_directives(&[]);
    for _ in 0..2 {
        let server = setup.start();
        let mut client = server.client();
        assert_same_contents(&contents(&mut client), &before);
        assert_eq!(client.call("BGREWRITEAOF"), status(STARTED));
        rewritten(&mut client);
        server.kill();
    }
    assert_same_contents(&contents(&mut setup.start().client()), &before);
}

#[test]
fn a_process_killed_during_a_rewrite_leaves_nothing_behind() {
    let setup = Setup::new(&["--appendfsync", "everysec"]);
    for round in 0..3 {
        let server = setup.start();
        let mut client = server.client();
        for start in (0..40_000).step_by(2000) {
            let pairs: Vec<String> =
                (start..start + 2000).map(|n| format!("key:{n} value:{round}:{n}")).collect();
            client.call(&format!("MSET {}", pairs.join(" ")));
        }
        assert_eq!(client.call("BGREWRITEAOF"), status(STARTED));
        let mut last = 0;
        while last < 300 || (round > 0 && info(&mut client, "aof_rewrite_in_progress") == "1") {
            assert_eq!(client.call(&format!("SET last {last}")), ok());
            last += 1;
            if round == 1 && last > 400 {
                break;
            }
        }
        server.kill();
        let server = setup.start();
        let mut client = server.client();
        assert_eq!(client.call("GET last").text(), (last - 1).to_string());
        assert_eq!(client.call("DBSIZE"), int(40_001));
        assert_eq!(client.call("GET key:39999").text(), format!("value:{round}:39999"));
        assert!(files(&setup.log_dir(), "base-").len() <= 1);
        server.stop();
    }
}

#[test]
fn the_log_is_rewritten_by_itself_once_it_has_grown() {
    let setup = Setup::new(&[
        "--appendfsync",
        "everysec",
        "--auto-aof-rewrite-min-size",
        "1mb",
        "--log-segment-size",
        "1mb",
        "--log-compression",
        "none",
    ]);
    let server = setup.start();
    let mut client = server.client();
    let value = "v".repeat(1000);
    let rewritten = eventually("it is rewritten", || {
        // What is written during a rewrite comes behind the new base's RDB, and a slow one may meet much of it.
        if info(&mut client, "aof_rewrite_in_progress") == "0" {
            for number in 0..200 {
                client.call(&format!("SET key:{number} {value}"));
            }
        }
        let base: u64 = info(&mut client, "aof_base_size").parse().unwrap();
        (base > 0).then_some(base)
    });
    assert!(rewritten < 1 << 20, "200 keys take {rewritten} bytes");
    assert_eq!(client.call("CONFIG SET auto-aof-rewrite-percentage 0"), ok());
    server.wait_for_log("Background append only file rewriting succeeded");
}

#[test]
fn the_log_can_end_and_the_server_too_while_it_is_rewritten() {
    let setup = Setup::new(&["--appendfsync", "everysec", "--enable-protected-configs", "local"]);
    let server = setup.start();
    let mut client = server.client();
    let pairs: Vec<String> = (0..30_000).map(|n| format!("key:{n} value:{n}")).collect();
    client.call(&format!("MSET {}", pairs.join(" ")));
    assert_eq!(client.call("BGREWRITEAOF"), status(STARTED));
    assert_eq!(client.call("CONFIG SET appendonly no"), ok());
    assert!(matches!(client.call("BGREWRITEAOF"), Value::Error(_)));
    assert_eq!(client.call("CONFIG SET appendonly yes"), ok());
    assert_eq!(client.call("SET more 1"), ok());
    eventually("another one begins", || {
        (client.call("BGREWRITEAOF") == status(STARTED)).then_some(())
    });
    server.stop();
    let server = setup.start();
    assert_eq!(server.client().call("DBSIZE"), int(30_001));
    assert_eq!(files(&setup.log_dir(), "base-").len(), 1);
}

#[test]
fn replaced_files_are_kept_as_long_as_retention_says() {
    let directives = ["--log-retention-size", "1gb", "--enable-protected-configs", "local"];
    let setup = Setup::new(&directives);
    let server = setup.start();
    let mut client = server.client();
    for round in 0..3 {
        assert_eq!(client.call(&format!("SET round {round}")), ok());
        assert_eq!(client.call("BGREWRITEAOF"), status(STARTED));
        rewritten(&mut client);
    }
    assert_eq!(files(&setup.log_dir(), "base-").len(), 3);
    let compressed = || {
        let names = files(&setup.log_dir(), "segment-");
        names.iter().filter(|name| name.ends_with(".log.zst")).count()
    };
    eventually("segments are compressed", || (compressed() >= 3).then_some(()));
    server.stop();
    let kept = compressed();
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("GET round").text(), "2");
    assert!(compressed() >= kept);
    assert_eq!(files(&setup.log_dir(), "base-").len(), 3);
    assert_eq!(client.call("CONFIG SET log-retention-size 0"), ok());
    eventually("they are removed", || (files(&setup.log_dir(), "base-").len() == 1).then_some(()));
    eventually("compressed ones too", || (compressed() == 0).then_some(()));
    server.wait_for_log("moments of LSN 0 to ");
}

#[test]
fn retention_and_the_log_are_ended_only_where_protected_configs_may_be_set() {
    let protected = "can't set protected config";
    let mut setup = Setup::new(&["--log-retention-time", "3600", "--log-retention-size", "1gb"]);
    let server = setup.start();
    let mut client = server.client();
    let refused = |client: &mut Client, command: &str| {
        let reply = client.call(command);
        assert!(format!("{reply:?}").contains(protected), "{command}: {reply:?}");
    };
    // Nothing was replaced yet, but what is there would not be kept once it is.
    refused(&mut client, "CONFIG SET log-retention-time 0 log-retention-size 0");
    assert_eq!(client.call("CONFIG SET log-retention-size 900mb"), ok());
    assert_eq!(client.call("SET a 1"), ok());
    assert_eq!(client.call("BGREWRITEAOF"), status(STARTED));
    rewritten(&mut client);
    // As it was, or compressed.
    let is_kept = |setup: &Setup| !files(&setup.log_dir(), "segment-0000000000000001").is_empty();
    assert!(is_kept(&setup));
    refused(&mut client, "CONFIG SET appendonly no");
    refused(&mut client, "CONFIG SET timeout 5 log-retention-time 0 log-retention-size 0");
    assert_eq!(client.call("CONFIG GET timeout").items()[1], bulk("0"), "it is refused whole");
    refused(&mut client, "CONFIG SET log-retention-size 1");
    refused(&mut client, "CONFIG SET log-retention-time 3599");
    for longer in ["log-retention-time 7200", "log-retention-size 2gb", "log-retention-size 0"] {
        assert_eq!(client.call(&format!("CONFIG SET {longer}")), ok());
    }
    // No limit to the time, and one to the size that nothing reaches.
    let both = "CONFIG SET log-retention-time 0 log-retention-size 1gb";
    assert_eq!(client.call(both), ok());
    assert_eq!(client.call("CONFIG SET appendonly yes"), ok());
    server.stop();
    assert!(is_kept(&setup));

    setup.set_directives(&["--enable-protected-configs", "local"]);
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("CONFIG SET appendonly no"), ok());
    assert_eq!(client.call("CONFIG GET appendonly").items()[1], bulk("no"));
}

#[test]
fn a_log_that_is_begun_anew_leaves_the_one_before_with_its_moments_whole() {
    let directives = ["--log-retention-time", "3600", "--enable-protected-configs", "local"];
    let setup = Setup::new(&directives);
    let server = setup.start();
    let mut client = server.client();
    for round in 0..2 {
        assert_eq!(client.call(&format!("SET round {round}")), ok());
        assert_eq!(client.call("BGREWRITEAOF"), status(STARTED));
        rewritten(&mut client);
    }
    assert_eq!(client.call("SET last 1"), ok());
    assert_eq!(client.call("CONFIG SET appendonly no"), ok());
    let bases = files(&setup.log_dir(), "base-");
    assert_eq!((bases.len(), client.call("FLUSHALL")), (2, ok()));
    assert_eq!(client.call("CONFIG SET appendonly yes"), ok());
    assert_eq!(client.call("SET new 1"), ok());
    let kept = files(&setup.dir(), "mainstay.before-");
    assert_eq!(kept.len(), 1, "{kept:?}");
    server.wait_for_log(&format!("is kept in {}", setup.dir().join(&kept[0]).display()));
    let kept_dir = setup.dir().join(&kept[0]);
    assert_eq!(files(&kept_dir, "base-"), bases);
    assert_eq!(files(&setup.log_dir(), "base-").len(), 1);
    // What it replaces goes on being kept, and is no room for others.
    assert_eq!(client.call("BGREWRITEAOF"), status(STARTED));
    rewritten(&mut client);
    server.kill();
    assert_eq!(setup.start().client().call("KEYS *"), array([bulk("new")]));

    // It is a data set by itself.
    let other = setup.home().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::rename(&kept_dir, other.join("mainstay")).unwrap();
    let setup = Setup::new(&["--log-retention-time", "3600"]).data_in(&other);
    let server = setup.start();
    assert_eq!(server.client().call("MGET round last"), array([bulk("1"), bulk("1")]));
    assert_eq!(files(&setup.log_dir(), "base-").len(), 2);
}

#[test]
fn without_a_line_that_says_how_long_nothing_that_is_kept_is_removed() {
    let mut setup = Setup::new(&["--log-retention-time", "3600"]);
    let rewrite = |client: &mut Client| {
        assert!(matches!(client.call("INCR n"), Value::Int(_)));
        assert_eq!(client.call("BGREWRITEAOF"), status(STARTED));
        rewritten(client);
    };
    let bases = |setup: &Setup| files(&setup.log_dir(), "base-").len();
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("SET n 0"), ok());
    (0..2).for_each(|_| rewrite(&mut client));
    assert_eq!(bases(&setup), 2);
    server.stop();

    // The line was forgotten.
    setup.set_directives(&[]);
    let server = setup.start();
    server.wait_for_log("but no line says how long");
    let mut client = server.client();
    // What is replaced now comes to it: with a gap, what is older would be useless.
    (0..2).for_each(|_| rewrite(&mut client));
    assert_eq!(bases(&setup), 4);
    server.kill();
    let server = setup.start();
    let mut client = server.client();
    // Two ticks of the clock that removes files.
    rewrite(&mut client);
    assert_eq!(bases(&setup), 5);
    assert!(!server.log().contains("can no longer be restored"));
    server.stop();

    // A line that says so does.
    setup.set_directives(&["--log-retention-time", "0"]);
    let server = setup.start();
    eventually("they are removed", || (bases(&setup) == 1).then_some(()));
    server.wait_for_log("can no longer be restored");
}

#[test]
fn after_a_panic_amid_a_rewrite_none_begins_by_itself_until_one_that_was_asked_for_succeeds() {
    let mut setup = Setup::new(&["--enable-debug-command", "yes"]);
    let server = setup.start();
    let mut client = server.client();
    (0..3).for_each(|part| fill(&mut client, part));
    let before = contents(&mut client);
    // In one batch, so that the rewrite has not come far.
    server.panic(&["BGREWRITEAOF", "DEBUG PANIC"]);

    setup.set_directives(&[
        "--auto-aof-rewrite-min-size",
        "1kb",
        "--auto-aof-rewrite-percentage",
        "1",
    ]);
    let server = setup.start();
    let mut client = server.client();
    assert_same_contents(&contents(&mut client), &before);
    assert_eq!(info(&mut client, "background_suspended"), "1");
    eventually("a rewrite would have begun by itself", || {
        (info(&mut client, "uptime_in_seconds").parse::<u64>().expect("a number") >= 2)
            .then_some(())
    });
    assert!(!server.log().contains(STARTED), "{}", server.log());
    assert_eq!(client.call("BGREWRITEAOF"), status(STARTED));
    rewritten(&mut client);
    assert_eq!(info(&mut client, "background_suspended"), "0");
    (3..6).for_each(|part| fill(&mut client, part));
    eventually("a rewrite begins by itself", || {
        (server.log().matches(STARTED).count() > 1).then_some(())
    });
    server.kill();
    assert_eq!(setup.start().info("background_suspended"), "0");
}
