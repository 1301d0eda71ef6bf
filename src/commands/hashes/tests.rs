use crate::commands::ExpiryMode;
use crate::commands::testing::{Bench, parse_effects, show_args};
use crate::resp::Protocol;
use proptest::prelude::*;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const FAR: i64 = 1_800_000_000_000;

#[test]
fn setting_and_reading() {
    let mut bench = Bench::new();
    bench.effects("HSET h a 1 b two", "HSET h a 1 b two");
    bench.replies("HSET h a 2 c 3", ":1");
    bench.effects("HMSET h d 4", "HSET h d 4");
    bench.replies("HMSET h d 4", "+OK");
    bench.replies("HGET h a", "$1 2");
    bench.replies("HGET h none", "$-1");
    bench.replies("HGET none a", "$-1");
    bench.replies("HMGET h a none b a", "*4 $1 2 $-1 $3 two $1 2");
    bench.replies("HMGET none a b", "*2 $-1 $-1");
    bench.replies("HGETALL h", "*8 $1 a $1 2 $1 b $3 two $1 c $1 3 $1 d $1 4");
    bench.replies("HKEYS h", "*4 $1 a $1 b $1 c $1 d");
    bench.replies("HVALS h", "*4 $1 2 $3 two $1 3 $1 4");
    bench.replies("HLEN h", ":4");
    bench.replies("HSTRLEN h b", ":3");
    bench.replies("HSTRLEN h none", ":0");
    bench.replies("HEXISTS h b", ":1");
    bench.replies("HEXISTS h none", ":0");
    for line in ["HGETALL none", "HKEYS none", "HVALS none"] {
        bench.replies(line, "*0");
    }
    bench.effects("HSETNX h a 7", "");
    bench.effects("HSETNX h e 7", "HSET h e 7");
    bench.replies("HSETNX h e 8", ":0");
    bench.replies("TYPE h", "+hash");
    bench.replies("OBJECT ENCODING h", "$8 listpack");
    bench.protocol = Protocol::Resp3;
    bench.replies("HGETALL none", "%0");
    bench.replies("HGET h none", "_");
    bench.line("HDEL h a c d e");
    bench.replies("HGETALL h", "%1 $1 b $3 two");
}

#[test]
fn deleting() {
    let mut bench = Bench::new();
    bench.line("HSET h a 1 b 2 c 3 d 4");
    bench.effects("HDEL h none", "");
    bench.effects("HDEL h a none a", "HDEL h a none a");
    bench.replies("HDEL h a b", ":1");
    bench.effects("HGETDEL h FIELDS 1 none", "");
    bench.replies("HGETDEL h FIELDS 3 none c c", "*3 $-1 $1 3 $-1");
    bench.effects("HGETDEL h FIELDS 2 none d", "HDEL h d");
    bench.replies("EXISTS h", ":0");
    bench.replies("HGETDEL h FIELDS 1 a", "*1 $-1");
    bench.line("HSET h a 1");
    bench.replies("HDEL h a", ":1");
    bench.replies("EXISTS h", ":0");
    bench.replies("HDEL h a", ":0");
}

#[test]
fn counting() {
    let mut bench = Bench::new();
    bench.effects("HINCRBY h n 5", "HINCRBY h n 5");
    bench.replies("HINCRBY h n -7", ":-2");
    bench.effects("HINCRBYFLOAT h n 0.5", "HSET h n -1.5");
    bench.replies("HINCRBYFLOAT h x 3.0e3", "$4 3000");
    bench.line(&format!("HPEXPIREAT h {FAR} FIELDS 2 n x"));
    bench.effects("HINCRBYFLOAT h n 2.5", &format!("HSET h n 1; HPEXPIREAT h {FAR} FIELDS 1 n"));
    bench.effects("HINCRBY h n 1", "HINCRBY h n 1");
    bench.replies("HPEXPIRETIME h FIELDS 1 n", &format!("*1 :{FAR}"));
    bench.line("HSET h text t max 9223372036854775807 inf inf");
    bench.replies("HINCRBY h text 1", "-ERR hash value is not an integer");
    bench.replies("HINCRBYFLOAT h text 1", "-ERR hash value is not a float");
    bench.replies("HINCRBY h max 1", "-ERR increment or decrement would overflow");
    bench.replies("HINCRBY h n 1.5", "-ERR value is not an integer or out of range");
    bench.replies("HINCRBYFLOAT h n x", "-ERR value is not a valid float");
    bench.replies("HINCRBYFLOAT h n inf", "-ERR value is NaN or Infinity");
    bench.replies("HINCRBYFLOAT h inf 1", "-ERR increment would produce NaN or Infinity");
    bench.effects("HINCRBY none x y", "");
    bench.replies("EXISTS none", ":0");
}

#[test]
fn encodings() {
    let mut bench = Bench::new();
    bench.settings.limits.hash_listpack_entries = 3;
    bench.settings.limits.hash_listpack_value_bytes = 5;
    bench.line("HSET h a 1 b 2 c 3");
    bench.replies("OBJECT ENCODING h", "$8 listpack");
    bench.replies("HEXPIRE h 0 FIELDS 1 none", "*1 :-2");
    bench.replies("OBJECT ENCODING h", "$8 listpack");
    bench.line(&format!("HPEXPIREAT h {FAR} FIELDS 1 c"));
    bench.replies("OBJECT ENCODING h", "$10 listpackex");
    bench.replies("HKEYS h", "*3 $1 c $1 a $1 b");
    bench.line("HSET h d 4");
    bench.replies("OBJECT ENCODING h", "$9 hashtable");
    bench.replies("HPEXPIRETIME h FIELDS 2 c d", &format!("*2 :{FAR} :-1"));
    bench.line("HSET i a 123456");
    bench.replies("OBJECT ENCODING i", "$9 hashtable");
    bench.line("COPY h j");
    bench.replies("HPEXPIRETIME j FIELDS 2 c d", &format!("*2 :{FAR} :-1"));
    bench.replies("OBJECT ENCODING j", "$9 hashtable");
}

#[test]
fn expiry_times_are_set_and_told() {
    let mut bench = Bench::new();
    let now = bench.now_ms;
    bench.line("HSET h a 1 b 2 c 3");
    let stated = format!("HPEXPIREAT h {} FIELDS 2 a b", now + 10_000);
    bench.effects("HEXPIRE h 10 FIELDS 3 a none b", &stated);
    bench.replies("HTTL h FIELDS 3 a c none", "*3 :10 :-1 :-2");
    bench.now_ms += 1;
    bench.replies("HTTL h FIELDS 1 a", "*1 :10");
    bench.replies("HPTTL h FIELDS 1 a", "*1 :9999");
    bench.replies("HEXPIRETIME h FIELDS 1 a", "*1 :1700000010");
    bench.replies("HPEXPIRETIME h FIELDS 1 a", "*1 :1700000010000");
    let cases = [
        ("NX", "a", 0),
        ("NX", "c", 1),
        ("XX", "a", 1),
        ("GT", "a", 0),
        ("LT", "a", 0),
        ("gt", "b", 1),
        ("lt", "b", 0),
    ];
    for (condition, field, outcome) in cases {
        bench.replies(
            &format!("HEXPIREAT h 1800000000 {condition} FIELDS 1 {field}"),
            &format!("*1 :{outcome}"),
        );
    }
    bench.line("HSET h c 3");
    bench.replies("HPEXPIREAT h 1800000000000 XX FIELDS 1 c", "*1 :0");
    bench.replies("HPEXPIREAT h 1800000000000 GT FIELDS 1 c", "*1 :0");
    bench.replies("HPEXPIREAT h 1800000000000 LT FIELDS 1 c", "*1 :1");
    bench.effects("HPERSIST h FIELDS 2 none a", "HPERSIST h FIELDS 1 a");
    bench.replies("HPERSIST h FIELDS 3 none a b", "*3 :-2 :-1 :1");
    bench.effects("HPERSIST h FIELDS 1 a", "");
    // A time that has passed deletes.
    bench.effects("HPEXPIRE h 0 FIELDS 3 a none b", "HDEL h a b");
    bench.replies("HEXPIREAT h 5 FIELDS 1 c", "*1 :2");
    bench.replies("EXISTS h", ":0");
    for line in ["HEXPIRE h 5 FIELDS 2 a b", "HPERSIST h FIELDS 2 a b", "HTTL h FIELDS 2 a b"] {
        bench.replies(line, "*2 :-2 :-2");
        bench.effects(line, "");
    }
}

#[test]
fn fields_whose_time_has_come() {
    let mut bench = Bench::new();
    let reads = [
        ("HGET h a", "$-1", "HDEL h a"),
        ("HMGET h a b", "*2 $-1 $1 2", "HDEL h a"),
        ("HEXISTS h a", ":0", "HDEL h a"),
        ("HSTRLEN h a", ":0", "HDEL h a"),
        ("HGETALL h", "*2 $1 b $1 2", ""),
        ("HKEYS h", "*1 $1 b", ""),
        ("HVALS h", "*1 $1 2", ""),
        ("HSCAN h 0", "*2 $1 0 *2 $1 b $1 2", ""),
        ("HLEN h", ":2", ""),
        ("HRANDFIELD h 5", "*1 $1 b", "HDEL h a"),
        ("HTTL h FIELDS 1 a", "*1 :-2", ""),
        ("HPERSIST h FIELDS 1 a", "*1 :-2", ""),
        ("HSETNX h a 5", ":1", "HDEL h a; HSET h a 5"),
        ("HINCRBY h a 5", ":5", "HDEL h a; HINCRBY h a 5"),
        ("HINCRBYFLOAT h a 5", "$1 5", "HDEL h a; HSET h a 5"),
        ("HSET h a 5", ":0", "HSET h a 5"),
        ("HDEL h a", ":1", "HDEL h a"),
        ("HGETDEL h FIELDS 1 a", "*1 $-1", "HDEL h a"),
        ("HGETEX h PERSIST FIELDS 2 a b", "*2 $-1 $1 2", "HDEL h a"),
        ("HSETEX h FNX KEEPTTL FIELDS 1 a 5", ":1", "HDEL h a; HSET h a 5"),
    ];
    for encoding in ["listpackex", "hashtable"] {
        bench.settings.limits.hash_listpack_entries = if encoding == "hashtable" { 1 } else { 9 };
        for (line, reply, effects) in reads {
            for (mode, effects) in [(ExpiryMode::Delete, Some(effects)), (ExpiryMode::Hide, None)] {
                // What only hides writes nothing, either.
                let is_write = line.starts_with("HSET")
                    || ["HINCRBY", "HDEL", "HGETDEL", "HGETEX", "HPERSIST"]
                        .contains(&line.split([' ']).next().unwrap_or_default())
                    || line.starts_with("HINCRBYFLOAT");
                if mode == ExpiryMode::Hide && is_write {
                    continue;
                }
                bench.mode = ExpiryMode::Delete;
                bench.line("DEL h");
                bench.line("HSET h a 1 b 2");
                bench.line("HPEXPIRE h 10 FIELDS 1 a");
                bench.replies("OBJECT ENCODING h", &format!("${} {encoding}", encoding.len()));
                bench.now_ms += 10;
                bench.mode = mode;
                let outcome = bench.line(line);
                let shown = String::from_utf8_lossy(&outcome.reply).replace("\r\n", " ");
                assert_eq!(shown.trim_end(), reply, "{line}");
                let stated: Vec<String> = parse_effects(&outcome.effects)
                    .iter()
                    .map(|effect| show_args(effect.as_args()))
                    .filter(|effect| !effect.starts_with("SELECT"))
                    .collect();
                assert_eq!(stated.join("; "), effects.unwrap_or(""), "{line}");
            }
        }
        // The last one takes the hash with it, and what the key's expiry time was.
        bench.line("DEL h");
        bench.line("HSET h a 1");
        bench.line(&format!("PEXPIREAT h {FAR}"));
        bench.line("HPEXPIRE h 10 FIELDS 1 a");
        bench.now_ms += 10;
        bench.effects("HINCRBY h a 1", "HDEL h a; HINCRBY h a 1");
        bench.replies("PTTL h", ":-1");
        bench.line("HPEXPIRE h 10 FIELDS 1 a");
        bench.now_ms += 10;
        bench.replies("HRANDFIELD h", "$-1");
        bench.replies("EXISTS h", ":0");
    }
}

#[test]
fn values_and_expiry_times_at_once() {
    let mut bench = Bench::new();
    let at = bench.now_ms + 10_000;
    bench.effects(
        "HSETEX h EX 10 FIELDS 2 a 1 b 2",
        &format!("HSET h a 1 b 2; HPEXPIREAT h {at} FIELDS 2 a b"),
    );
    bench.replies("HPEXPIRETIME h FIELDS 2 a b", &format!("*2 :{at} :{at}"));
    bench.effects(
        "HSETEX h KEEPTTL FIELDS 2 a 3 c 4",
        &format!("HSET h a 3 c 4; HPEXPIREAT h {at} FIELDS 1 a"),
    );
    bench.replies("HPEXPIRETIME h FIELDS 2 a c", &format!("*2 :{at} :-1"));
    bench.effects("HSETEX h FIELDS 1 a 5", "HSET h a 5");
    bench.replies("HPTTL h FIELDS 1 a", "*1 :-1");
    bench.replies("HSETEX h FNX FIELDS 2 a 1 z 1", ":0");
    bench.replies("HSETEX h FXX FIELDS 2 a 1 z 1", ":0");
    bench.replies("HSETEX h fxx PX 5000 FIELDS 2 a 1 b 1", ":1");
    bench.replies("HSETEX h FNX FIELDS 2 y 1 z 1", ":1");
    bench.replies("HSETEX none FXX FIELDS 1 a 1", ":0");
    bench.replies("HSETEX none XX FIELDS 1 a 1", ":0");
    bench.replies("HSETEX h NX FIELDS 1 a 1", ":0");
    bench.effects("HSETEX h XX FNX PXAT 5 FIELDS 1 q 1", "");
    bench.replies("HSETEX h XX FNX PXAT 5 FIELDS 1 q 1", ":1");
    bench.effects("HSETEX h PXAT 5 FIELDS 2 q 1 z 1", "HDEL h z");
    bench.replies("HSETEX n NX EXAT 1 FIELDS 1 q 1", ":1");
    bench.replies("EXISTS n", ":0");

    let at = bench.now_ms + 7000;
    bench.effects("HGETEX h EX 7 FIELDS 3 a none c", &format!("HPEXPIREAT h {at} FIELDS 2 a c"));
    bench.replies("HGETEX h PERSIST FIELDS 3 a none c", "*3 $1 1 $-1 $1 4");
    bench.effects("HGETEX h PERSIST FIELDS 3 a none c", "");
    bench.effects("HGETEX h FIELDS 1 a", "");
    bench.effects("HGETEX h PXAT 1 FIELDS 1 a", "HDEL h a");
    bench.replies("HGETEX none PX 1 FIELDS 1 a", "*1 $-1");
}

#[test]
fn random_fields() {
    let mut bench = Bench::new();
    bench.replies("HRANDFIELD none", "$-1");
    bench.replies("HRANDFIELD none 3", "*0");
    bench.line("HSET h a 1");
    bench.replies("HRANDFIELD h", "$1 a");
    bench.replies("HRANDFIELD h 0", "*0");
    bench.replies("HRANDFIELD h 5", "*1 $1 a");
    bench.replies("HRANDFIELD h -2", "*2 $1 a $1 a");
    bench.replies("HRANDFIELD h -2 WITHVALUES", "*4 $1 a $1 1 $1 a $1 1");
    bench.replies("HRANDFIELD h 5 withvalues", "*2 $1 a $1 1");
    bench.protocol = Protocol::Resp3;
    bench.replies("HRANDFIELD h -2 WITHVALUES", "*2 *2 $1 a $1 1 *2 $1 a $1 1");
    bench.replies("HRANDFIELD h x", "-ERR value is not an integer or out of range");
    bench.replies("HRANDFIELD h 1 x", "-ERR syntax error");
    bench.replies("HRANDFIELD h 1 WITHVALUES x", "-ERR syntax error");
    bench.replies(
        "HRANDFIELD h -9223372036854775808",
        "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    );
    bench.replies("HRANDFIELD h 9223372036854775807 WITHVALUES", "-ERR value is out of range");
    bench.replies("HRANDFIELD h -9223372036854775807", "-ERR value is out of range");
}

#[test]
fn scanning() {
    let mut bench = Bench::new();
    bench.line("HSET h a 1 bb 2");
    bench.replies("HSCAN h 0", "*2 $1 0 *4 $1 a $1 1 $2 bb $1 2");
    bench.replies("HSCAN h 5 MATCH b* COUNT 1", "*2 $1 0 *2 $2 bb $1 2");
    bench.replies("HSCAN h 0 NOVALUES MATCH *", "*2 $1 0 *2 $1 a $2 bb");
    bench.replies("HSCAN none 0 FOO", "*2 $1 0 *0");
    bench.replies("HSCAN h 0 FOO", "-ERR syntax error");
    bench.replies("HSCAN h 0 TYPE hash", "-ERR syntax error");
    bench.replies("HSCAN h x", "-ERR invalid cursor");
    bench.settings.limits.hash_listpack_entries = 10;
    for n in 0..1000 {
        bench.line(&format!("HSET big f{n} {n}"));
    }
    let (mut cursor, mut names, mut calls) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let reply = bench.line(&format!("HSCAN big {cursor} NOVALUES COUNT 50")).reply;
        let reply = String::from_utf8(reply).expect("text");
        let mut words = reply.split("\r\n").filter(|w| !w.is_empty() && !w.starts_with(['*', '$']));
        cursor = words.next().expect("a cursor").to_owned();
        names.extend(words.map(str::to_owned));
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 1000);
    assert!(calls > 5, "{calls}");
}

#[test]
fn bad_arguments() {
    let mut bench = Bench::new();
    bench.line("SET s x");
    bench.line("HSET h a 1");
    for line in [
        "HSET s a 1",
        "HMSET s a 1",
        "HSETNX s a 1",
        "HGET s a",
        "HMGET s a",
        "HGETALL s",
        "HKEYS s",
        "HVALS s",
        "HLEN s",
        "HEXISTS s a",
        "HSTRLEN s a",
        "HDEL s a",
        "HINCRBY s a 1",
        "HINCRBYFLOAT s a 1",
        "HGETDEL s FIELDS 1 a",
        "HGETEX s FIELDS 1 a",
        "HRANDFIELD s",
        "HSETEX s FIELDS 1 a 1",
        "HEXPIRE s x FIELDS 0 a",
        "HTTL s FIELDS 0 a",
        "HSCAN s 0",
        "HPERSIST s FIELDS 0 a",
        "HRANDFIELD s 1",
    ] {
        bench.replies(line, WRONG_TYPE);
    }
    bench.replies("HSET h a", "-ERR wrong number of arguments for 'hset' command");
    bench.replies("HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command");
    bench.replies("HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command");
    let position = "-ERR Mandatory argument FIELDS is missing or not at the right position";
    let count = "-ERR Number of fields must be a positive integer";
    let mismatch = "-ERR The `numfields` parameter must match the number of arguments";
    for command in ["HTTL h", "HPEXPIRETIME none", "HPERSIST h", "HGETDEL h", "HGETEX h EX 5"] {
        bench.replies(&format!("{command} FIELD 1 a"), position);
        for bad in ["0", "-1", "x"] {
            bench.replies(&format!("{command} FIELDS {bad} a"), count);
        }
        bench.replies(&format!("{command} FIELDS 2 a"), mismatch);
    }
    bench.replies("HGETEX h EX 5 FIELDS", count);
    bench.replies("HGETEX h PERSIST 1 a", position);
    let negative = "-ERR invalid expire time, must be >= 0";
    bench.replies("HEXPIRE h -1 FIELDS 1 a", negative);
    bench.replies("HGETEX h PX -1 FIELDS 1 a", negative);
    bench.replies("HSETEX h PX -1 FIELDS 1 a b", negative);
    bench.replies("HEXPIRE h 5 FIELDS 0 a", "-ERR Parameter `numFields` should be greater than 0");
    bench.replies("HEXPIRE h 5 NX FIELDS 1", mismatch);
    bench.replies("HEXPIRE h 5 ZZ FIELDS 1 a", position);
    for time in ["70368744177664", "9223372036854775807"] {
        for command in ["hpexpireat", "hexpire"] {
            bench.replies(
                &format!("{command} h {time} FIELDS 1 a"),
                &format!("-ERR invalid expire time in '{command}' command"),
            );
        }
    }
    bench.replies("HPEXPIREAT h 70368744177663 FIELDS 1 a", "*1 :1");
    let arity = "-ERR wrong number of arguments for 'hsetex' command";
    bench.replies("HSETEX h FIELDS 1 a", arity);
    bench.replies("HSETEX h FIELDS 1 a b c", arity);
    bench.replies("HSETEX h FIELDS 1 a b c d", arity);
    bench.replies("HSETEX h EX 1 FNX FIELDS", arity);
    bench.replies("HSETEX h EX 1 FNX KEEPTTX", "-ERR unknown argument: KEEPTTX");
    bench.replies(
        "HSETEX h FNX KEEPTTL EX 5",
        "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
    );
    bench
        .replies("HSETEX h EX 1 FNX FXX", "-ERR Only one of FXX or FNX arguments can be specified");
    bench.replies("HSETEX h FXX NX XX PXAT", "-ERR unknown argument: XX");
    bench.replies("HSETEX key FXX NX FIELDX PXAT", "-ERR unknown argument: FIELDX");
    bench.replies("HSETEX h FIELDS 0 a b", "-ERR invalid number of fields");
    bench.replies("HSETEX h EX x FIELDS 1 a b", "-ERR value is not an integer or out of range");
}

/// A command on a hash, for the test that replays effects.
pub(in crate::commands) fn command() -> impl Strategy<Value = String> {
    let key = || "[a-c]";
    let field = || prop_oneof!["[f-k]", "[0-3]", "[f-h]{14,18}"];
    let value = || prop_oneof!["[0-9]{1,3}", "[a-z]{1,3}", "x{60,70}", Just("''".to_owned())];
    let time = || prop_oneof![0..300i64, Just(1_700_000_000_000)];
    let condition = prop::sample::select(&["", "NX", "XX", "GT", "LT"][..]);
    let option = prop_oneof![
        Just(String::new()),
        Just("KEEPTTL".to_owned()),
        (0..300i64).prop_map(|ms| format!("PX {ms}")),
        (-200..2000i64).prop_map(|ms| format!("PXAT {}", 1_700_000_000_000 + ms)),
    ];
    prop_oneof![
        4 => (key(), field(), value(), field(), value())
            .prop_map(|(k, f, v, g, w)| format!("HSET {k} {f} {v} {g} {w}")),
        2 => (prop::sample::select(&["HSETNX", "HINCRBY", "HINCRBYFLOAT"][..]), key(), field(), value())
            .prop_map(|(n, k, f, v)| format!("{n} {k} {f} {v}")),
        2 => (prop::sample::select(&["HDEL", "HMGET", "HGETDEL FIELDS 2", "HPERSIST FIELDS 2",
            "HGETEX FIELDS 2", "HGETEX PERSIST FIELDS 2"][..]), key(), field(), field())
            .prop_map(|(n, k, f, g)| {
                let (name, options) = n.split_once(' ').unwrap_or((n, ""));
                format!("{name} {k} {options} {f} {g}")
            }),
        1 => (prop::sample::select(&["HGETALL", "HLEN", "HRANDFIELD", "HKEYS"][..]), key())
            .prop_map(|(n, k)| format!("{n} {k}")),
        3 => (key(), time(), condition, field(), field())
            .prop_map(|(k, t, c, f, g)| {
                let name = if t > 1000 { "HPEXPIREAT" } else { "HPEXPIRE" };
                format!("{name} {k} {t} {c} FIELDS 2 {f} {g}")
            }),
        2 => (key(), option, prop::sample::select(&["", "FNX", "FXX", "NX", "XX"][..]), field(),
            value()).prop_map(|(k, o, c, f, v)| format!("HSETEX {k} {c} {o} FIELDS 1 {f} {v}")),
        1 => (key(), time(), field()).prop_map(|(k, t, f)| format!("HGETEX {k} PX {t} FIELDS 1 {f}")),
    ]
}
