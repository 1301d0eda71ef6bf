use crate::commands::testing::Bench;
use crate::resp::Protocol;
use proptest::prelude::*;
use proptest::sample::select;

/// Any command on positions, for the test that replays effects.
pub(in crate::commands) fn command() -> impl Strategy<Value = String> {
    let key = || "[i-l]";
    let member = || select(&["a", "b", "c", "d", "e"][..]);
    let position = || (-180.0..180.0f64, -85.0..85.0f64).prop_map(|(x, y)| format!("{x} {y}"));
    let store = || select(&["", "COUNT 2", "STOREDIST", "COUNT 1 ANY STOREDIST DESC"][..]);
    prop_oneof![
        4 => (key(), select(&["", "NX", "XX CH"][..]), position(), member(), position(), member())
            .prop_map(|(k, o, p, a, q, b)| format!("GEOADD {k} {o} {p} {a} {q} {b}")),
        2 => (key(), key(), position(), 1..20_000, store())
            .prop_map(|(d, k, p, r, o)| {
                format!("GEOSEARCHSTORE {d} {k} FROMLONLAT {p} BYRADIUS {r} km {o}")
            }),
        1 => (key(), key(), member(), 1..9000, select(&["STORE", "STOREDIST"][..]))
            .prop_map(|(d, k, m, r, o)| format!("GEORADIUSBYMEMBER {k} {m} {r} mi {o} {d}")),
        1 => (key(), member(), member()).prop_map(|(k, a, b)| format!("GEODIST {k} {a} {b}")),
    ]
}

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const SYNTAX: &str = "-ERR syntax error";

/// Two cities in `sicily`, and a string `s`.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.line("GEOADD sicily 13.361389 38.115556 palermo 15.087269 37.502669 catania");
    bench.line("SET s text");
    bench
}

// What is expected here was asked of Redis 7.4.1.

#[test]
fn positions() {
    let mut bench = bench();
    bench.effects(
        "GEOADD sicily CH 13.583333 37.316667 agrigento",
        "ZADD sicily CH 3479030013248308 agrigento",
    );
    bench.replies("GEOADD sicily NX 1 1 agrigento", ":0");
    bench.replies("TYPE sicily", "+zset");
    bench.replies("GEODIST sicily palermo catania", "$11 166274.1516");
    bench.replies("GEODIST sicily palermo catania KM", "$8 166.2742");
    bench.replies("GEODIST sicily palermo palermo", "$6 0.0000");
    bench.replies("GEODIST sicily palermo none", "$-1");
    bench.replies("GEODIST none palermo catania", "$-1");
    bench.replies("GEOHASH sicily palermo none", "*2 $11 sqc8b49rny0 $-1");
    bench.replies("GEOHASH none a", "*1 $-1");
    bench.replies(
        "GEOPOS sicily palermo none",
        "*2 *2 $20 13.36138933897018433 $20 38.11555639549629859 *-1",
    );
    bench.replies("GEOPOS sicily", "*0");
    bench.protocol = Protocol::Resp3;
    bench.replies(
        "GEOPOS sicily palermo none",
        "*2 *2 ,13.36138933897018433 ,38.11555639549629859 _",
    );
    bench.replies("GEODIST sicily palermo catania mi", "$8 103.3182");
}

#[test]
fn searching() {
    let mut bench = bench();
    let search = "GEOSEARCH sicily FROMLONLAT 15 37 BYRADIUS 200 km";
    bench.replies(&format!("{search} ASC"), "*2 $7 catania $7 palermo");
    bench.replies(&format!("{search} DESC COUNT 1"), "*1 $7 palermo");
    bench.replies(
        &format!("{search} COUNT 1 WITHDIST WITHHASH WITHCOORD"),
        "*1 *4 $7 catania $7 56.4413 :3479447370796909 *2 $20 15.08726745843887329 \
            $20 37.50266842333162032",
    );
    bench.replies(
        "GEOSEARCH sicily FROMMEMBER palermo BYBOX 400 400 km DESC WITHDIST",
        "*2 *2 $7 catania $8 166.2742 *2 $7 palermo $6 0.0000",
    );
    bench.replies("GEORADIUS sicily 15 37 100 km", "*1 $7 catania");
    bench.replies("GEORADIUS_RO sicily 15 37 100 km STORE d", SYNTAX);
    bench.replies("GEORADIUSBYMEMBER sicily palermo 1 m WITHDIST", "*1 *2 $7 palermo $6 0.0000");
    bench.replies("GEORADIUSBYMEMBER_RO none x nonsense nonsense", "*0");
    bench.replies("GEOSEARCH none FROMMEMBER x BYRADIUS 1 m", "*0");
}

#[test]
fn storing() {
    let mut bench = bench();
    let search = "sicily FROMLONLAT 15 37 BYRADIUS 200 km";
    bench.effects(
        &format!("GEOSEARCHSTORE d {search}"),
        "ZADD d 3479099956230698 palermo 3479447370796909 catania",
    );
    bench.effects(
        "GEORADIUS sicily 15 37 100 km STOREDIST d",
        "DEL d; ZADD d 56.4412578701582 catania",
    );
    bench.replies(&format!("GEOSEARCHSTORE d {search} STOREDIST"), ":2");
    bench.replies("ZSCORE d palermo", "$18 190.44242984775784");
    bench.effects("GEOSEARCHSTORE d none FROMLONLAT 0 0 BYRADIUS 1 m", "DEL d");
    bench.replies("EXISTS d", ":0");
    bench.effects("GEOSEARCHSTORE d sicily FROMLONLAT 0 0 BYRADIUS 1 m", "");
    bench.replies("GEOSEARCHSTORE d sicily FROMLONLAT 0 0 BYRADIUS 1 m", ":0");
}

#[test]
fn bad_arguments() {
    let mut bench = bench();
    let center = "FROMLONLAT 15 37";
    let unit = "-ERR unsupported unit provided. please use M, KM, FT, MI";
    let not_float = "-ERR value is not a valid float";
    for (line, error) in [
        ("GEOADD sicily 13 38 a 1".to_owned(), SYNTAX),
        ("GEOADD sicily XX NX 13 38 a".to_owned(), SYNTAX),
        ("GEOADD sicily NX CH CH".to_owned(), SYNTAX),
        ("GEOADD sicily x 38 a".to_owned(), not_float),
        (
            "GEOADD sicily 0 0 b 200 100 a".to_owned(),
            "-ERR invalid longitude,latitude pair 200.000000,100.000000",
        ),
        ("GEOADD s 13 38 a".to_owned(), WRONG_TYPE),
        ("GEODIST sicily palermo catania x".to_owned(), unit),
        ("GEODIST sicily palermo catania m m".to_owned(), SYNTAX),
        ("GEODIST s a b".to_owned(), WRONG_TYPE),
        ("GEOHASH s a".to_owned(), WRONG_TYPE),
        ("GEOPOS s a".to_owned(), WRONG_TYPE),
        ("GEORADIUS s 1 1 1 m".to_owned(), WRONG_TYPE),
        ("GEORADIUS sicily 1 1 x m".to_owned(), "-ERR need numeric radius"),
        ("GEORADIUS sicily 1 1 -1 m".to_owned(), "-ERR radius cannot be negative"),
        ("GEORADIUS sicily 1 1 1 x".to_owned(), unit),
        (
            "GEORADIUS sicily 1 1 1 m STORE d WITHDIST".to_owned(),
            "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and \
                WITHCOORD options",
        ),
        (
            "GEORADIUSBYMEMBER sicily none 1 m".to_owned(),
            "-ERR could not decode requested zset member",
        ),
        (format!("GEOSEARCH sicily {center} BYBOX x 1 m"), "-ERR need numeric width"),
        (format!("GEOSEARCH sicily {center} BYBOX 1 x m"), "-ERR need numeric height"),
        (
            format!("GEOSEARCH sicily {center} BYBOX 1 -1 m"),
            "-ERR height or width cannot be negative",
        ),
        (format!("GEOSEARCH sicily {center} BYRADIUS 1 m BYBOX 1 1 m"), SYNTAX),
        (format!("GEOSEARCH sicily {center} BYRADIUS 1 m COUNT 0"), "-ERR COUNT must be > 0"),
        (
            format!("GEOSEARCH sicily {center} BYRADIUS 1 m ANY"),
            "-ERR the ANY argument requires COUNT argument",
        ),
        (format!("GEOSEARCH sicily {center} BYRADIUS 1 m STOREDIST"), SYNTAX),
        (
            "GeoSearch sicily BYRADIUS 1 m ASC ASC".to_owned(),
            "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GeoSearch",
        ),
        (
            format!("GEOSEARCH sicily {center} ASC ASC"),
            "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
        ),
        (
            format!("GEOSEARCHSTORE d sicily {center} BYRADIUS 1 m WITHDIST"),
            "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
    ] {
        bench.replies(&line, error);
        bench.effects(&line, "");
    }
    bench.replies("ZCARD sicily", ":2");
}
