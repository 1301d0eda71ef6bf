//! `MIGRATE` between real servers: from ours to ours, and from and to a `redis-server`.

mod support;

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use support::*;

/// What makes keys of every type and encoding, and how to look at each.
const KEYS: [(&str, &[&str], &[&str]); 14] = [
    ("number", &["SET number 12345"], &["GET number"]),
    ("text", &["SET text some-text", "APPEND text -more"], &["GET text"]),
    ("long", &["SETRANGE long 100000 x"], &["GET long"]),
    ("list", &["RPUSH list a 1 -70000 longer-than-the-others"], &["LRANGE list 0 -1"]),
    ("biglist", &["BIG"], &["LRANGE biglist 0 -1"]),
    ("ints", &["SADD ints 1 2 300 70000"], &["SORT ints", "OBJECT ENCODING ints"]),
    ("set", &["SADD set a b 3"], &["SORT set ALPHA"]),
    ("bigset", &["BIG"], &["SORT bigset ALPHA"]),
    ("zset", &["ZADD zset 1 a 2.5 b -inf c"], &["ZRANGE zset 0 -1 WITHSCORES"]),
    ("bigzset", &["BIG"], &["ZRANGE bigzset 0 -1 WITHSCORES"]),
    ("hash", &["HSET hash f 1 g two"], &["HGETALL hash"]),
    ("bighash", &["BIG"], &["HLEN bighash", "HGET bighash field-77", "HGET bighash field-499"]),
    (
        "stream",
        &[
            "XADD stream 1-1 f v",
            "XADD stream 2-5 f w g x",
            "XADD stream 3-0 other y",
            "XDEL stream 2-5",
            "XGROUP CREATE stream group 0",
            "XREADGROUP GROUP group alice COUNT 1 STREAMS stream >",
        ],
        &["XRANGE stream - +", "XPENDING stream group", "XLEN stream"],
    ),
    ("hll", &["PFADD hll a b c d e"], &["PFCOUNT hll", "STRLEN hll"]),
];

fn fill(client: &mut Client) {
    for (key, lines, _) in KEYS {
        for line in lines {
            if *line != "BIG" {
                assert!(!client.call(line).is_error(""), "{line}");
                continue;
            }
            for number in 0..500 {
                let reply = client.call(&match key {
                    "biglist" => format!("RPUSH {key} an-element-of-a-longer-list-{number}"),
                    "bigset" => format!("SADD {key} member-{number}"),
                    "bigzset" => format!("ZADD {key} {number}.25 member-{number}"),
                    _ => format!("HSET {key} field-{number} value-{number}"),
                });
                assert!(!reply.is_error(""), "{reply:?}");
            }
        }
    }
    assert_eq!(client.call("PEXPIRE text 5000000"), int(1));
    assert_eq!(client.call("PEXPIRE zset 6000000"), int(1));
}

fn seen(client: &mut Client) -> Vec<Value> {
    KEYS.iter().flat_map(|(_, _, looks)| *looks).map(|line| client.call(line)).collect()
}

/// Keys whose form in RDB an older Redis does not know.
fn too_new_for(redis: &mut Client) -> &'static [&'static str] {
    let version = info(redis, "redis_version");
    if version.starts_with("7.0.") { &["set", "stream"] } else { &[] }
}

/// Takes everything from one server to another, and there it is as it was.
#[track_caller]
fn everything_travels(from: &mut Client, to: &mut Client, to_port: u16, without: &[&str]) {
    fill(from);
    without.iter().for_each(|key| assert_eq!(from.call(&format!("DEL {key}")), int(1)));
    let before = seen(from);
    // One key alone, and all others in one go.
    let alone = from.call(&format!("MIGRATE 127.0.0.1 {to_port} list 0 5000"));
    assert_eq!(alone, ok());
    let names: Vec<&str> = KEYS.iter().map(|(key, ..)| *key).collect();
    let all = format!("MIGRATE 127.0.0.1 {to_port} '' 0 5000 KEYS none {}", names.join(" "));
    assert_eq!(from.call(&all), ok());
    assert_eq!(from.call(&all), status("NOKEY"));
    assert_eq!(from.call("DBSIZE"), int(0));
    assert_eq!(seen(to), before);
    for (key, ms) in [("text", 5_000_000), ("zset", 6_000_000)] {
        let left = to.call(&format!("PTTL {key}")).int();
        assert!((1..=ms).contains(&left) && left > ms - 60_000, "{key}: {left}");
    }
    assert_eq!(to.call("PTTL hash"), int(-1));
}

#[test]
fn keys_of_every_type_travel_between_two_of_ours() {
    let (here, there) = (Setup::new(&["--appendonly", "no"]), Setup::new(&[]));
    let (from, to) = (here.start(), there.start());
    everything_travels(&mut from.client(), &mut to.client(), to.port, &[]);
    // What arrived is durable there.
    let before = seen(&mut to.client());
    to.kill();
    assert_eq!(seen(&mut there.start().client()), before);
}

#[test]
fn keys_of_every_type_travel_to_and_from_a_real_redis() {
    let Some(redis) = Redis::start() else { return };
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut ours, mut theirs) = (server.client(), redis.client());
    let too_new = too_new_for(&mut theirs);
    everything_travels(&mut ours, &mut theirs, redis.port, too_new);
    theirs.call("FLUSHALL");
    everything_travels(&mut theirs, &mut ours, server.port, &[]);
    // With a password, which goes before the keys.
    theirs.call("CONFIG SET requirepass secret");
    ours.call("SET text again");
    let migrate = |auth: &str| format!("MIGRATE 127.0.0.1 {} text 5 5000 {auth}", redis.port);
    let refused = ours.call(&migrate("AUTH wrong"));
    assert!(refused.is_error("ERR Target instance replied with error: WRONGPASS"), "{refused:?}");
    assert_eq!(ours.call(&migrate("AUTH secret COPY")), ok());
    assert_eq!(ours.call(&migrate("REPLACE AUTH2 default secret")), ok());
    assert_eq!(ours.call("EXISTS text"), int(0));
    let before = seen(&mut ours);
    server.kill();
    assert_eq!(seen(&mut setup.start().client()), before);
}

#[test]
fn fields_keep_their_times() {
    let (here, there) = (Setup::new(&[]), Setup::new(&[]));
    let (from, to) = (here.start(), there.start());
    let (mut a, mut b) = (from.client(), to.client());
    a.call("HSET h f 1 g 2");
    let at = a.call("HPEXPIREAT h 4000000000123 FIELDS 1 f");
    assert_eq!(at, array([int(1)]));
    assert_eq!(a.call(&format!("MIGRATE 127.0.0.1 {} h 0 5000", to.port)), ok());
    let times = b.call("HPEXPIRETIME h FIELDS 2 f g");
    assert_eq!(times, array([int(4_000_000_000_123), int(-1)]));
}

#[test]
fn options_and_errors_are_those_of_redis() {
    let (here, there) = (Setup::new(&["--appendonly", "no"]), Setup::new(&["--appendonly", "no"]));
    let (from, to) = (here.start(), there.start());
    let (mut a, mut b) = (from.client(), to.client());
    let port = to.port;
    let migrate = |rest: &str| format!("MIGRATE 127.0.0.1 {port} {rest}");
    for (line, reply) in [
        ("k 0 x", error("ERR value is not an integer or out of range")),
        ("k x 10", error("ERR value is not an integer or out of range")),
        ("k 0 10 NX", error("ERR syntax error")),
        ("k 0 10 AUTH", error("ERR syntax error")),
        ("k 0 10 AUTH2 u", error("ERR syntax error")),
        (
            "k 0 10 KEYS a",
            error(
                "ERR When using MIGRATE KEYS option, the key argument must be set to the empty \
                 string",
            ),
        ),
        ("'' 0 10 KEYS", status("NOKEY")),
        ("none 0 10", status("NOKEY")),
    ] {
        assert_eq!(a.call(&migrate(line)), reply, "{line}");
    }
    a.call_all(["MSET k v l w m x", "SELECT 3", "SET in3 y", "SELECT 0"]);
    assert_eq!(from.info("migrate_cached_sockets"), "0");
    assert_eq!(a.call(&migrate("k 9 5000 COPY")), ok());
    assert_eq!(from.info("migrate_cached_sockets"), "1");
    assert_eq!(
        a.call(&migrate("k 9 5000 copy")),
        error("ERR Target instance replied with error: BUSYKEY Target key name already exists.")
    );
    a.call("SET k other");
    assert_eq!(a.call(&migrate("k 9 5000 COPY REPLACE")), ok());
    assert_eq!(a.call("GET k"), bulk("other"));
    b.call("SELECT 9");
    assert_eq!(b.call("GET k"), bulk("other"));
    // What is acknowledged is deleted, and only that.
    let reply = a.call(&migrate("'' 9 5000 KEYS l k m"));
    assert!(reply.is_error("ERR Target instance replied with error: BUSYKEY"), "{reply:?}");
    assert_eq!(a.call("KEYS *"), array([bulk("k")]));
    assert_eq!(b.call("MGET k l m"), array([bulk("other"), bulk("w"), bulk("x")]));
    // After an error about the database nothing lands in the one that was selected before.
    let reply = a.call(&migrate("k 99 5000 REPLACE"));
    assert_eq!(
        reply,
        error("ERR Target instance replied with error: ERR DB index is out of range")
    );
    assert_eq!((a.call("EXISTS k"), b.call("EXISTS k")), (int(1), int(1)));
    a.call("SELECT 3");
    assert_eq!(a.call(&migrate("in3 9 5000 AUTH2 default any")), ok());
    assert_eq!(b.call("GET in3"), bulk("y"));
    a.call("SET in3 z");
    let reply = a.call(&migrate("in3 9 5000 REPLACE AUTH2 nobody any"));
    assert!(reply.is_error("ERR Target instance replied with error: WRONGPASS"), "{reply:?}");
    assert_eq!(a.call("GET in3"), bulk("z"));
    // In a transaction it is refused before anything is executed.
    let replies = a.call_all(["MULTI", &migrate("in3 9 5000 REPLACE"), "EXEC"]);
    assert!(replies[1].is_error("ERR Command not allowed inside a transaction"));
    assert!(replies[2].is_error("EXECABORT"));
    // A server that is gone: the connection kept to it is found broken, and another is not to be had.
    to.kill();
    let reply = a.call(&migrate("in3 9 5000 REPLACE"));
    assert_eq!(reply, error("IOERR error or timeout writing to target instance"));
    assert_eq!(a.call("GET in3"), bulk("z"));
    let reply = a.call("MIGRATE no-such-host.invalid 1 in3 9 5000");
    assert_eq!(reply, error("IOERR error or timeout connecting to the client"));
    let errors = a.call("INFO errorstats").text();
    assert!(errors.contains("errorstat_IOERR:count=2"), "{errors}");
    assert_eq!(
        a.call("COMMAND GETKEYS MIGRATE h 1 '' 0 9 AUTH keys KEYS a b"),
        array([bulk("a"), bulk("b")])
    );
}

/// A peer that accepts and reads but replies only when told to.
struct SilentPeer {
    port: u16,
    held: std::sync::Arc<AtomicBool>,
}

impl SilentPeer {
    /// Passes everything on to `port`, and replies back unless they are held.
    fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let held = std::sync::Arc::new(AtomicBool::new(true));
        let flag = held.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
                let (mut from, mut to) = (stream.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let flag = flag.clone();
                std::thread::spawn(move || {
                    let (mut from, mut to) = (server, stream);
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = std::io::Read::read(&mut from, &mut buffer) {
                        while flag.load(Ordering::Relaxed) {
                            std::thread::sleep(std::time::Duration::from_millis(1));
                        }
                        let _ = std::io::Write::write_all(&mut to, &buffer[..count]);
                    }
                });
            }
        });
        Self { port: own, held }
    }
}

#[test]
fn a_peer_that_does_not_answer_holds_nobody_up_and_loses_nothing() {
    let (here, there) = (Setup::new(&[]), Setup::new(&["--appendonly", "no"]));
    let (from, to) = (here.start(), there.start());
    let peer = SilentPeer::before(to.port);
    let (mut a, mut other, mut b) = (from.client(), from.client(), to.client());
    a.call_all(["SET k v", "SET gone v"]);
    a.send(&format!("MIGRATE 127.0.0.1 {} k 0 300", peer.port));
    // The others go on meanwhile.
    assert_eq!(other.call("GET k"), bulk("v"));
    assert_eq!(a.read(), error("IOERR error or timeout reading to target instance"));
    assert_eq!(a.call("GET k"), bulk("v"));

    // Keys that change while they travel.
    a.call("XGROUP CREATE s g $ MKSTREAM");
    let line = "MIGRATE 127.0.0.1 {} '' 0 60000 REPLACE KEYS k gone s";
    a.send(&line.replace("{}", &peer.port.to_string()));
    // `SELECT` is answered before keys leave.
    peer.held.store(false, Ordering::Relaxed);
    assert_eq!(a.read(), ok());
    a.call_all(["SET k v", "SET gone v", "XGROUP CREATE s g $ MKSTREAM"]);
    peer.held.store(true, Ordering::Relaxed);
    b.call("FLUSHALL");
    a.send(&line.replace("{}", &peer.port.to_string()));
    eventually("the keys are there", || (b.call("GET k") == bulk("v")).then_some(()));
    // The others were written down with it, at one taking of the engine.
    let replies = other.call_all(["SET k changed", "DEL gone", "XGROUP CREATECONSUMER s g alice"]);
    assert_eq!(replies, [ok(), int(1), int(1)]);
    peer.held.store(false, Ordering::Relaxed);
    assert_eq!(a.read(), ok());
    assert_eq!(other.call("DBSIZE"), int(0));
    assert_eq!(b.call("GET k"), bulk("changed"));
    assert_eq!(b.call("EXISTS gone"), int(0));
    // Watchers do not hear of a consumer, but it travels.
    let consumers = b.call("XINFO CONSUMERS s g");
    assert_eq!(consumers.items().len(), 1);
    drop(other);
    // What was deleted here is so after a restart, too.
    from.kill();
    assert_eq!(here.start().client().call("DBSIZE"), int(0));
}

#[test]
fn a_client_that_goes_away_does_not_leave_keys_on_both_sides() {
    let (here, there) = (Setup::new(&[]), Setup::new(&["--appendonly", "no"]));
    let (from, to) = (here.start(), there.start());
    let peer = SilentPeer::before(to.port);
    let (mut a, mut b) = (from.client(), to.client());
    a.call("SET k v");
    peer.held.store(false, Ordering::Relaxed);
    assert_eq!(a.call(&format!("MIGRATE 127.0.0.1 {} k 0 60000", peer.port)), ok());
    a.call("SET k w");
    peer.held.store(true, Ordering::Relaxed);
    a.send(&format!("MIGRATE 127.0.0.1 {} k 0 60000 REPLACE", peer.port));
    eventually("it is there", || (b.call("GET k") == bulk("w")).then_some(()));
    drop(a);
    peer.held.store(false, Ordering::Relaxed);
    let mut other = from.client();
    eventually("it is gone here", || (other.call("EXISTS k") == int(0)).then_some(()));
}

#[test]
fn a_server_that_is_its_own_target_loses_nothing() {
    let setup = Setup::new(&["--appendonly", "no"]);
    let server = setup.start();
    let mut client = server.client();
    client.call("SET k v");
    let migrate = |rest: &str| format!("MIGRATE 127.0.0.1 {} {rest}", server.port);
    let reply = client.call(&migrate("k 0 5000 REPLACE"));
    assert!(reply.is_error("ERR 1 of the keys, 'k' among them, were changed"), "{reply:?}");
    assert_eq!(client.call("GET k"), bulk("v"));
    assert_eq!(client.call(&migrate("k 1 5000")), ok());
    assert_eq!(client.call("EXISTS k"), int(0));
    client.call("SELECT 1");
    assert_eq!(client.call("GET k"), bulk("v"));
}
