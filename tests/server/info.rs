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
    assert_eq!(field("db0"), "keys=2,expires=1,avg_ttl=0");
    assert_eq!((field("keyspace_hits"), field("keyspace_misses")), ("1", "1"));
    assert_eq!(field("total_error_replies"), "1");
    assert_eq!(field("log_lsn_appended"), field("master_repl_offset"));
    assert_eq!(field("log_lag_bytes"), "0");
    assert!(field("used_memory").parse::<u64>().unwrap() > 100_000);
    assert_eq!(field("run_id").len(), 40);
    assert!(client.call("INFO clients").text().starts_with("# Clients\r\n"));
}

/// Fields of Redis that are not here: how it was compiled, what its event loop and its main thread did, and some counts.
const FIELDS_LEFT_OUT: [&str; 14] = [
    "aof_rewrites",
    "aof_rewrites_consecutive_failures",
    "atomicvar_api",
    "current_save_keys_processed",
    "current_save_keys_total",
    "eventloop_cycles",
    "eventloop_duration_cmd_sum",
    "eventloop_duration_sum",
    "expire_cycle_cpu_milliseconds",
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
