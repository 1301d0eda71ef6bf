//! Any bytes as the value of a `RESTORE`: refused, or a value that every command can work on.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use mainstay::commands::Settings;
use mainstay::data::digest::digest;
use mainstay::engine::{Engine, Machine};
use mainstay::env::{SimClock, seeded_random};
use mainstay::rdb::checksum::checksum;
use mainstay::session::Client;
use std::sync::Arc;

/// Commands that read `k`, of all families.
const READS: &[&str] = &[
    "TYPE k",
    "OBJECT ENCODING k",
    "MEMORY USAGE k SAMPLES 0",
    "TTL k",
    "EXISTS k",
    "STRLEN k",
    "GET k",
    "GETRANGE k 1 -2",
    "GETBIT k 9",
    "BITCOUNT k",
    "BITPOS k 1",
    "BITFIELD_RO k GET u9 3",
    "LCS k k LEN",
    "PFCOUNT k",
    "LLEN k",
    "LRANGE k 0 -1",
    "LRANGE k -3 -2",
    "LINDEX k 2",
    "LINDEX k -2",
    "LPOS k a RANK -1",
    "SORT k ALPHA",
    "SCARD k",
    "SMEMBERS k",
    "SISMEMBER k a",
    "SMISMEMBER k a 1 -7",
    "SRANDMEMBER k -5",
    "SRANDMEMBER k 3",
    "SSCAN k 0",
    "SINTER k k",
    "SUNION k k",
    "SDIFF k x",
    "ZCARD k",
    "ZRANGE k 0 -1 WITHSCORES",
    "ZRANGE k 0 -1 REV",
    "ZRANGE k -inf +inf BYSCORE LIMIT 1 2",
    "ZRANGE k - + BYLEX",
    "ZCOUNT k (0 5",
    "ZLEXCOUNT k [a (c",
    "ZRANK k a WITHSCORE",
    "ZREVRANK k b",
    "ZSCORE k a",
    "ZMSCORE k a b",
    "ZRANDMEMBER k -5 WITHSCORES",
    "ZSCAN k 0",
    "ZUNION 2 k k",
    "ZINTERCARD 2 k k",
    "GEODIST k a b",
    "GEOHASH k a",
    "GEOSEARCH k FROMLONLAT 1 1 BYRADIUS 9 km",
    "HLEN k",
    "HGETALL k",
    "HKEYS k",
    "HVALS k",
    "HGET k f",
    "HMGET k f g",
    "HSTRLEN k f",
    "HEXISTS k f",
    "HRANDFIELD k -5 WITHVALUES",
    "HRANDFIELD k 2",
    "HSCAN k 0",
    "HPTTL k FIELDS 2 f g",
    "HEXPIRETIME k FIELDS 1 f",
    "XLEN k",
    "XRANGE k - +",
    "XREVRANGE k + - COUNT 3",
    "XRANGE k 1 (5-3",
    "XINFO STREAM k",
    "XINFO STREAM k FULL",
    "XINFO GROUPS k",
    "XINFO CONSUMERS k g",
    "XPENDING k g",
    "XPENDING k g - + 10",
    "XREAD STREAMS k 0",
    "DUMP k",
];

/// Commands that write it, one after another.
const WRITES: &[&str] = &[
    "APPEND k x",
    "SETRANGE k 5 yy",
    "SETBIT k 77 1",
    "PFADD k a b c",
    "INCR k",
    "RPUSH k a 12345 b",
    "LPUSH k z",
    "LINSERT k BEFORE a new",
    "LSET k 1 other",
    "LREM k -1 b",
    "LTRIM k 1 -2",
    "LPOP k 2",
    "RPOP k",
    "SADD k a 1 70000 longer-than-any-other-member-that-there-could-be",
    "SREM k a",
    "SPOP k 2",
    "ZADD k 1 a 2.5 b -inf c",
    "ZINCRBY k 3 a",
    "ZREM k b",
    "ZPOPMIN k",
    "ZPOPMAX k",
    "ZREMRANGEBYRANK k 1 1",
    "ZREMRANGEBYSCORE k 3 5",
    "HSET k f 1 g two",
    "HINCRBY k f 3",
    "HPEXPIRE k 100000 FIELDS 1 f",
    "HPERSIST k FIELDS 1 f",
    "HDEL k g",
    "XADD k * f v",
    "XADD k * g w f x",
    "XGROUP CREATE k g2 0",
    "XREADGROUP GROUP g2 c COUNT 2 STREAMS k >",
    "XREADGROUP GROUP g c COUNT 2 STREAMS k >",
    "XACK k g2 1-1",
    "XAUTOCLAIM k g d 0 0",
    "XGROUP DELCONSUMER k g c",
    "XTRIM k MAXLEN 2",
    "XDEL k 1-1",
    "XSETID k 99999999999999-1",
];

fn call(engine: &Engine, args: &[&[u8]]) -> Vec<u8> {
    let reply = Client::default().run(&mut engine.lock(), args).1;
    assert!(!reply.is_empty());
    reply
}

fn line(engine: &Engine, line: &str) -> Vec<u8> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let reply = call(engine, &words);
    assert!(!reply.starts_with(b"-ERR unknown") && !reply.starts_with(b"-ERR wrong n"), "{line}");
    reply
}

/// A copy by way of `DUMP` and `RESTORE` is the same.
fn check_copy(engine: &Engine) {
    let reply = line(engine, "DUMP k");
    let Some(start) = reply.iter().position(|&byte| byte == b'\n') else { return };
    if reply.starts_with(b"$-1") {
        return;
    }
    let payload = &reply[start + 1..reply.len() - 2];
    let restored = call(engine, &[b"RESTORE", b"copy", b"0", payload, b"REPLACE"]);
    assert_eq!(restored, b"+OK\r\n", "what was dumped is not taken back");
    let guard = engine.lock();
    let keyspace = guard.keyspace();
    let value = |key: &[u8]| {
        let entry = keyspace.database(0).find(keyspace.hasher().hash(key), key);
        digest(entry.expect("it was just there").value())
    };
    assert_eq!(value(b"k"), value(b"copy"));
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let machine = Machine {
        disk: Arc::new(mainstay::disk::SimDisk::new()),
        clock: SimClock::new(1_700_000_000_000),
        random: Arc::new(|| seeded_random(7)),
    };
    let mut settings = Settings::default();
    // Small, so that values soon become big ones.
    settings.limits.hash_listpack_entries = 6;
    settings.limits.list_listpack_size = 4;
    settings.limits.set_intset_entries = 5;
    settings.limits.set_listpack_entries = 6;
    settings.limits.sorted_set_listpack_entries = 6;
    settings.limits.stream_node_entries = 3;
    settings.bulk_bytes_max = 1 << 20;
    let engine = Engine::in_memory(machine, 1, settings);
    let mut payload = data.to_vec();
    payload.extend_from_slice(&11u16.to_le_bytes());
    let sum = checksum(&payload);
    payload.extend_from_slice(&sum.to_le_bytes());
    let reply = call(&engine, &[b"RESTORE", b"k", b"0", &payload]);
    if reply != b"+OK\r\n" {
        assert_eq!(line(&engine, "EXISTS k"), b":0\r\n");
        // Only what gets somewhere is worth keeping.
        return if data.len() > 1 { Corpus::Keep } else { Corpus::Reject };
    }
    check_copy(&engine);
    READS.iter().for_each(|read| drop(line(&engine, read)));
    WRITES.iter().for_each(|write| drop(line(&engine, write)));
    check_copy(&engine);
    Corpus::Keep
});
