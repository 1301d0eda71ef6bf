//! `INFO`, compared with a Redis.

use super::support::*;

#[test]
fn info_has_the_fields_that_tools_ask_for() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    client.call_all(["SET k v", "SET j v EX 100", "GET k", "GET none", "NO_SUCH"]);
    let text = client.call("INFO").text();
    let field = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("no {name} in\n{text}"))
    };
    assert_eq!(field("process_id"), server.pid().to_string());
    assert_eq!(field("tcp_port"), server.port.to_string());
    assert_eq!(field("role"), "master");
    assert_eq!(field("connected_clients"), "1");
    assert_eq!(field("aof_enabled"), "1");
    let ttl_ms = field("db0").strip_prefix("keys=2,expires=1,avg_ttl=").expect("the first fields");
    let ttl_ms = ttl_ms.strip_suffix(",subexpiry=0").expect("the last field");
    assert!((1..=100_000).contains(&ttl_ms.parse::<u32>().unwrap()), "{ttl_ms}");
    assert_eq!((field("keyspace_hits"), field("keyspace_misses")), ("1", "1"));
    assert_eq!(field("total_error_replies"), "1");
    assert_eq!(field("log_lsn_appended"), field("master_repl_offset"));
    assert_eq!(field("log_lag_bytes"), "0");
    assert!(field("used_memory").parse::<u64>().unwrap() > 100_000);
    assert_eq!(field("run_id").len(), 40);
    assert!(client.call("INFO clients").text().starts_with("# Clients\r\n"));
}

/// Fields of Redis that are not here: how it was compiled, what its event loop and its main thread did, and some counts.
const FIELDS_LEFT_OUT: [&str; 13] = [
    "aof_rewrites",
    "aof_rewrites_consecutive_failures",
    "atomicvar_api",
    "current_save_keys_processed",
    "current_save_keys_total",
    "eventloop_cycles",
    "eventloop_duration_cmd_sum",
    "eventloop_duration_sum",
    "gcc_version",
    "instantaneous_eventloop_cycles_per_sec",
    "instantaneous_eventloop_duration_usec",
    "used_cpu_sys_main_thread",
    "used_cpu_user_main_thread",
];

#[test]
fn info_has_the_fields_of_redis() {
    let dir = tempfile::tempdir().unwrap();
    let Some(redis) = Redis::start_in(dir.path(), &["--appendonly", "yes"]) else { return };
    let setup = Setup::new(&[]);
    let server = setup.start();
    let fields = |mut client: Client| {
        client.call("INCR a");
        let text = client.call("INFO").text();
        let names = text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned()));
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let (ours, theirs) = (fields(server.client()), fields(redis.client()));
    let missing: Vec<_> = theirs.difference(&ours).map(String::as_str).collect();
    let unnamed: Vec<_> = missing.iter().filter(|name| !FIELDS_LEFT_OUT.contains(name)).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
    assert!(FIELDS_LEFT_OUT.iter().all(|name| !ours.contains(*name)));
    let mut client = server.client();
    for field in ["total_reads_processed", "total_writes_processed", "total_system_memory"] {
        let text = client.call("INFO memory stats").text();
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        assert!(value.unwrap().parse::<u64>().unwrap() > 0, "{field}");
    }
}

/// Lines of `INFO latencystats` without what they measured.
fn latency_lines(client: &mut Client) -> std::collections::BTreeSet<String> {
    let text = client.call("INFO latencystats").text();
    assert!(text.starts_with("# Latencystats\r\n"), "{text}");
    let lines = text.lines().skip(1).map(|line| {
        let (name, values) = line.split_once(':').expect("a field");
        let names = values.split(',').filter(|value| !value.is_empty()).map(|value| {
            let (percent, us) = value.split_once('=').expect("a percentile");
            assert!(us.parse::<f64>().unwrap() > 0.0 && us.len() - us.find('.').unwrap() == 4);
            percent
        });
        format!("{name}:{}", names.collect::<Vec<_>>().join(","))
    });
    lines.collect()
}

#[test]
fn info_latencystats_is_as_in_redis() {
    let dir = tempfile::tempdir().unwrap();
    let Some(redis) = Redis::start_in(dir.path(), &["--appendonly", "yes"]) else { return };
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut ours, mut theirs) = (server.client(), redis.client());
    let mut both_args = |args: &[&[u8]]| {
        let is_error = ours.call_args(args).is_error("");
        assert_eq!(is_error, theirs.call_args(args).is_error(""), "{args:?}");
        let (ours, theirs) = (latency_lines(&mut ours), latency_lines(&mut theirs));
        assert_eq!(ours, theirs, "{args:?}");
        (is_error, ours)
    };
    let mut both = |line: &str| both_args(&words(line));
    both("CONFIG RESETSTAT");
    both("SET a 1");
    both("GET");
    both("LPUSH a 1");
    both("XGROUP CREATE none g 0");
    let percentiles = b"latency-tracking-info-percentiles";
    let (is_error, lines) = both_args(&[b"CONFIG", b"SET", percentiles, b"0 50 99.95 100"]);
    assert!(!is_error && lines.contains("latency_percentiles_usec_set:p0,p50,p99.95,p100"));
    let (is_error, lines) = both_args(&[b"CONFIG", b"SET", percentiles, b""]);
    assert!(!is_error && lines.contains("latency_percentiles_usec_set:"));
    let mut both = |line: &str| both_args(&words(line));
    assert!(both("CONFIG SET latency-tracking no").1.is_empty());
    both("ECHO a");
    both("CONFIG SET latency-tracking yes");
    both("CONFIG RESETSTAT");
    let text = server.client().call("INFO").text();
    assert!(!text.contains("Latencystats"), "only who asks for it gets it");
    assert!(server.client().call("INFO all").text().contains("# Latencystats\r\n"));
}

#[test]
fn hashes_of_which_fields_expire_are_counted() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    let count = |client: &mut Client| {
        let text = client.call("INFO keyspace").text();
        let (_, count) = text.trim_end().rsplit_once("subexpiry=").expect("the field");
        count.parse::<u32>().expect("a number")
    };
    for (line, hashes) in [
        ("HSET a f 1 g 2", 0),
        ("HEXPIRE a 1000 FIELDS 1 f", 1),
        ("HSET b f 1", 1),
        ("HEXPIRE b 1000 FIELDS 1 f", 2),
        ("EXPIRE b 1000", 2),
        ("HPERSIST a FIELDS 1 f", 1),
        ("RENAME b c", 1),
        ("COPY c d", 2),
        ("HSET c f 2", 1),
        ("HEXPIRE c 1000 FIELDS 1 f", 2),
        ("SET c x", 1),
        ("HDEL d f", 0),
    ] {
        let reply = client.call(line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
        assert_eq!(count(&mut client), hashes, "{line}");
    }
}

#[test]
fn errors_within_transactions_and_of_late_replies_are_counted() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    client.call_all(["SET text x", "MULTI", "INCR text", "GET text", "LPUSH text a", "EXEC"]);
    assert_eq!(server.info("total_error_replies"), "2");
    assert!(client.call("CLIENT KILL nobody:1").is_error("ERR No such client"));
    client.call_all(["MULTI", "CLIENT KILL nobody:1", "EXEC"]);
    assert_eq!(server.info("total_error_replies"), "4");
    let text = client.call("INFO errorstats").text();
    assert!(text.contains("errorstat_ERR:count=3") && text.contains("errorstat_WRONGTYPE:count=1"));
    let text = client.call("INFO commandstats").text();
    let line = text.lines().find(|line| line.starts_with("cmdstat_client|kill:")).expect("a line");
    assert!(line.ends_with("failed_calls=2"), "{line}");
    client.call("CONFIG RESETSTAT");
    assert_eq!(server.info("total_error_replies"), "0");
}

#[test]
fn replies_that_need_no_engine_stand_in_their_place_in_a_transaction() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut client, mut other) = (server.client(), server.client());
    let id = other.call("CLIENT ID").int();
    let kill = format!("CLIENT KILL ID {id}");
    let lines = ["MULTI", "INFO cpu", "SET a 1", "CLIENT LIST", "GET a", &kill, "INCR a", "EXEC"];
    client.send_all(lines.into_iter().chain(["GET a"]));
    let replies = client.read_many(lines.len() + 1);
    let items = replies[lines.len() - 1].items();
    assert!(items[0].text().starts_with("# CPU\r\n"), "{items:?}");
    assert_eq!(items[1], ok());
    assert_eq!(items[2].text().lines().count(), 2, "{items:?}");
    assert_eq!((&items[3], &items[4], &items[5]), (&bulk("1"), &int(1), &int(2)));
    assert_eq!(items.len(), 6);
    assert_eq!(replies[lines.len()], bulk("2"));
    assert!(other.is_closed());

    // What came in one piece with it is shown as well.
    client.send_all(["HELLO 3", "CLIENT LIST", "HELLO 2"]);
    let replies = client.read_many(3);
    assert!(replies[1].text().contains(" resp=3 "), "{replies:?}");

    // Muted, they are carried out all the same, and their replies are not sent.
    let mut third = server.client();
    let id = third.call("CLIENT ID").int();
    client.send_all(["CLIENT REPLY OFF", "INFO", &format!("CLIENT KILL ID {id}"), "INFO cpu"]);
    client.send_all(["CLIENT REPLY ON", "CLIENT REPLY SKIP", "CLIENT LIST", "INFO cpu"]);
    assert_eq!(client.read(), ok());
    assert!(client.read().text().starts_with("# CPU\r\n"));
    assert!(third.is_closed());
    // Itself: what comes behind is not executed.
    client.send_all(["CLIENT KILL TYPE normal SKIPME no", "SET b 1"]);
    assert_eq!(client.read(), int(1));
    assert!(client.is_closed());
    assert_eq!(server.client().call("GET b"), Value::Nil);
}

#[test]
fn big_values_are_freed_in_the_background() {
    let setup = Setup::new(&["--appendfsync", "no", "--hz", "100"]);
    let server = setup.start();
    let mut client = server.client();
    let mut freed = 0;
    for end in ["SET list x", "DEL list", "PEXPIRE list 1", "RENAME other list", "FLUSHALL"] {
        let values: Vec<String> = (0..1000).map(|n| format!("value number {n}")).collect();
        let words = ["SADD", "list"].into_iter().chain(values.iter().map(String::as_str));
        client.call_args(&words.collect::<Vec<_>>());
        client.call("SET other x");
        for n in 0..100 {
            client.call(&format!("SET key:{n} x"));
        }
        let reply = client.call(end);
        assert!(!matches!(reply, Value::Error(_)), "{reply:?}");
        let least = if end == "FLUSHALL" { 100 } else { 1 };
        eventually(&format!("{end} frees in the background"), || {
            let now = info(&mut client, "lazyfreed_objects").parse::<u64>().expect("a number");
            (now >= freed + least).then(|| freed = now)
        });
        assert_eq!(info(&mut client, "lazyfree_pending_objects"), "0");
        client.call("DEL list");
        eventually("everything is freed", || {
            let now = info(&mut client, "lazyfreed_objects").parse().expect("a number");
            (std::mem::replace(&mut freed, now) == now).then_some(())
        });
    }
}

#[test]
fn slowlog_keeps_the_last_commands_that_took_long() {
    let setup = Setup::new(&["--slowlog-log-slower-than", "0", "--slowlog-max-len", "5"]);
    let server = setup.start();
    let mut client = server.client();
    client.call_all(["CLIENT SETNAME me", "SLOWLOG RESET", "SET k v", "MULTI", "GET k", "EXEC"]);
    let log = client.call("SLOWLOG GET 3");
    let commands: Vec<_> = log.items().iter().map(|entry| entry.items()[3].clone()).collect();
    let get = array([bulk("GET"), bulk("k")]);
    assert_eq!(commands[..2], [get, array([bulk("MULTI")])], "EXEC is none, what it executes is");
    let (first, second) = (log.items()[0].items(), log.items()[1].items());
    assert_eq!(first.len(), 6);
    assert_eq!(first[0].int(), second[0].int() + 1);
    assert_eq!(first[5], bulk("me"));
    (0..20).for_each(|_| drop(client.call("PING")));
    assert_eq!(client.call("SLOWLOG LEN"), int(5));
    assert_eq!(client.call("SLOWLOG GET -1").items().len(), 5);
    assert!(client.call("SLOWLOG GET -2").is_error("ERR count should be greater than or equal"));
    client.call("CONFIG SET slowlog-log-slower-than -1");
    client.call_all(["SLOWLOG RESET", "PING"]);
    assert_eq!(client.call("SLOWLOG LEN"), int(0));
}

#[test]
fn latency_histogram_counts_calls() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    client.call_all(["SET k v", "SET k w", "CLIENT ID", "CLIENT GETNAME"]);
    let histogram = client.call("LATENCY HISTOGRAM set client nope");
    let names: Vec<_> = histogram.items().iter().step_by(2).map(Value::text).collect();
    assert_eq!(names, ["client|getname", "client|id", "set"]);
    let set = histogram.items()[5].items();
    assert_eq!((&set[0], &set[1], &set[2]), (&bulk("calls"), &int(2), &bulk("histogram_usec")));
    assert_eq!(set[3].items().last(), Some(&int(2)), "all calls are in the last bucket");
    assert_eq!(client.call("LATENCY LATEST"), array([]));
    assert_eq!(client.call("LATENCY RESET"), int(0));
}

/// What the exporter of metrics for Prometheus asks.
#[test]
fn the_queries_of_an_exporter_are_answered() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    for line in [
        "CLIENT SETNAME redis_exporter",
        "CONFIG GET *",
        "INFO ALL",
        "LATENCY LATEST",
        "LATENCY HISTOGRAM",
        "SLOWLOG LEN",
        "SLOWLOG GET 1",
        "CLIENT LIST",
        "DBSIZE",
        "MEMORY USAGE none",
        "SCAN 0 COUNT 100",
    ] {
        let reply = client.call(line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
    }
}
