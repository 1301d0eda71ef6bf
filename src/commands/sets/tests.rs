use crate::commands::testing::{Bench, parse_effects};
use crate::resp::Protocol;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeSet;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

/// Any command on sets, for the test that replays effects.
pub(in crate::commands) fn command() -> impl Strategy<Value = String> {
    let key = || "[e-j]";
    let member = || select(&["a", "b", "c", "1", "2", "3", "4", "-7", "longer"][..]);
    prop_oneof![
        4 => (key(), prop::collection::vec(member(), 1..4))
            .prop_map(|(key, members)| format!("SADD {key} {}", members.join(" "))),
        // More at once than an intset, or a listpack, may have.
        1 => (key(), member(), 4..9usize).prop_map(|(key, member, count)| {
            format!("SADD {key} {}", vec![member; count].join(" "))
        }),
        2 => (key(), member(), member()).prop_map(|(key, a, b)| format!("SREM {key} {a} {b}")),
        2 => (key(), key(), member()).prop_map(|(a, b, member)| format!("SMOVE {a} {b} {member}")),
        2 => (key(), select(&["", "0", "1", "2", "9"][..]))
            .prop_map(|(key, count)| format!("SPOP {key} {count}")),
        3 => (select(&["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"][..]), key(), key(), key())
            .prop_map(|(name, to, a, b)| format!("{name} {to} {a} {b}")),
        1 => (select(&["SINTER", "SUNION", "SDIFF", "SINTERCARD 2"][..]), key(), key())
            .prop_map(|(name, a, b)| format!("{name} {a} {b}")),
        1 => (select(&["SCARD", "SMEMBERS", "SRANDMEMBER"][..]), key())
            .prop_map(|(name, key)| format!("{name} {key}")),
    ]
}

/// The words in a reply of bulk strings, sorted.
fn sorted(bench: &mut Bench, line: &str) -> String {
    let reply = String::from_utf8(bench.line(line).reply).expect("members are text");
    let mut words: Vec<_> =
        reply.split("\r\n").filter(|word| !word.is_empty() && !word.starts_with('$')).collect();
    words[1..].sort_unstable();
    words.join(" ")
}

#[test]
fn members_come_and_go() {
    let mut bench = Bench::new();
    bench.effects("SADD s 1 2 2", "SADD s 1 2 2");
    bench.replies("OBJECT ENCODING s", "$6 intset");
    bench.effects("SADD s 1 2", "");
    bench.replies("SADD s a 1 b", ":2");
    bench.replies("OBJECT ENCODING s", "$8 listpack");
    bench.replies("TYPE s", "+set");
    bench.replies("SCARD s", ":4");
    bench.replies("SMEMBERS s", "*4 $1 1 $1 2 $1 a $1 b");
    bench.replies("SISMEMBER s 2", ":1");
    bench.replies("SISMEMBER s 02", ":0");
    bench.replies("SMISMEMBER s a x 1", "*3 :1 :0 :1");
    bench.replies("SREM s a x a", ":1");
    bench.effects("SREM s x", "");
    bench.effects("SREM s 1 2 b", "SREM s 1 2 b");
    bench.replies("EXISTS s", ":0");
    bench.replies("SREM s 1", ":0");
    bench.replies("SCARD s", ":0");
    bench.replies("SISMEMBER s 1", ":0");
    bench.replies("SMISMEMBER s 1 2", "*2 :0 :0");
    bench.replies("SMEMBERS s", "*0");
    bench.protocol = Protocol::Resp3;
    bench.replies("SMEMBERS s", "~0");
    bench.line("SADD s 1");
    bench.replies("SMEMBERS s", "~1 $1 1");
    bench.replies("SISMEMBER s 1", ":1");
    bench.replies("SADD s", "-ERR wrong number of arguments for 'sadd' command");
}

#[test]
fn other_types_are_refused() {
    let mut bench = Bench::new();
    bench.line("SET t text");
    bench.line("SADD s 1");
    for line in [
        "SADD t 1",
        "SREM t 1",
        "SCARD t",
        "SMEMBERS t",
        "SISMEMBER t 1",
        "SMISMEMBER t 1",
        "SMOVE t s 1",
        "SMOVE s t 1",
        "SMOVE s t 2",
        "SPOP t",
        "SPOP t 1",
        "SRANDMEMBER t",
        "SRANDMEMBER t -1",
        "SSCAN t 0",
        "SINTER s t",
        "SINTER none t",
        "SUNION none t",
        "SDIFF none t",
        "SINTERCARD 2 none t",
        "SINTERSTORE s s t",
        "SUNIONSTORE s s t",
        "SDIFFSTORE s none t",
    ] {
        bench.replies(line, WRONG_TYPE);
        bench.effects(line, "");
    }
    bench.replies("SMOVE none t 1", ":0");
    bench.replies("SMEMBERS s", "*1 $1 1");
    // Whatever the destination was, it is overwritten.
    bench.effects("SUNIONSTORE t s", "SUNIONSTORE t s");
    bench.replies("SMEMBERS t", "*1 $1 1");
}

#[test]
fn encodings() {
    let mut bench = Bench::new();
    let many = |from: usize, to: usize| {
        (from..to).map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
    };
    bench.line(&format!("SADD i {}", many(0, 512)));
    bench.replies("OBJECT ENCODING i", "$6 intset");
    bench.line("SADD i 512");
    bench.replies("OBJECT ENCODING i", "$9 hashtable");
    bench.line(&format!("SREM i {}", many(0, 500)));
    bench.replies("OBJECT ENCODING i", "$9 hashtable");
    bench.line(&format!("SADD l a {}", many(0, 127)));
    bench.replies("OBJECT ENCODING l", "$8 listpack");
    bench.line("SADD l b");
    bench.replies("OBJECT ENCODING l", "$9 hashtable");
    // How many are given counts, not how many are new; but only if one is.
    let same = vec!["a"; 129].join(" ");
    bench.line("SADD m a");
    bench.effects(&format!("SADD m {same}"), "");
    bench.replies("OBJECT ENCODING m", "$8 listpack");
    bench.line(&format!("SADD m b {same}"));
    bench.replies("OBJECT ENCODING m", "$9 hashtable");
    bench.line("SINTERSTORE n m m");
    bench.replies("OBJECT ENCODING n", "$8 listpack");
    bench.line("SUNIONSTORE n i m");
    bench.replies("OBJECT ENCODING n", "$8 listpack");
    bench.line("COPY i j");
    bench.replies("OBJECT ENCODING j", "$9 hashtable");
    bench.replies("SCARD j", ":13");
}

#[test]
fn moving() {
    let mut bench = Bench::new();
    bench.line("SADD a 1 2 x");
    bench.effects("SMOVE a b x", "SMOVE a b x");
    bench.replies("OBJECT ENCODING b", "$8 listpack");
    bench.replies("SMOVE a b 7", ":0");
    bench.effects("SMOVE a b 7", "");
    bench.effects("SMOVE a a 1", "");
    bench.replies("SMOVE a a 1", ":1");
    bench.replies("SMOVE a a 7", ":0");
    bench.line("SADD b 1 2");
    bench.replies("SMOVE a b 1", ":1");
    bench.replies("SMOVE a b 2", ":1");
    bench.replies("EXISTS a", ":0");
    bench.replies("SCARD b", ":3");
    bench.replies("SMOVE a b 1", ":0");
}

#[test]
fn algebra() {
    let mut bench = Bench::new();
    bench.line("SADD a 1 2 3 4 x");
    bench.line("SADD b 3 4 x y");
    bench.line("SADD c 4 y");
    assert_eq!(sorted(&mut bench, "SINTER a b"), "*3 3 4 x");
    bench.replies("SINTER a b c", "*1 $1 4");
    bench.replies("SINTER a none", "*0");
    bench.replies("SINTER a a", "*5 $1 1 $1 2 $1 3 $1 4 $1 x");
    assert_eq!(sorted(&mut bench, "SUNION a none c"), "*6 1 2 3 4 x y");
    assert_eq!(sorted(&mut bench, "SDIFF a b c"), "*2 1 2");
    bench.replies("SDIFF a b a", "*0");
    bench.replies("SDIFF none a", "*0");
    bench.replies("SUNION none", "*0");
    assert_eq!(sorted(&mut bench, "SDIFF a none"), "*5 1 2 3 4 x");
    bench.replies("SINTERCARD 2 a b", ":3");
    bench.replies("SINTERCARD 2 a b LIMIT 2", ":2");
    bench.replies("SINTERCARD 2 a b limit 0", ":3");
    bench.replies("SINTERCARD 2 a none", ":0");
    let cases = [
        ("0 a", "numkeys should be greater than 0"),
        ("x a", "numkeys should be greater than 0"),
        ("2 a", "Number of keys can't be greater than number of args"),
        ("1 a LIMIT", "syntax error"),
        ("1 a FOO 1", "syntax error"),
        ("1 a LIMIT -1", "LIMIT can't be negative"),
        ("1 a LIMIT x", "LIMIT can't be negative"),
    ];
    for (args, error) in cases {
        bench.replies(&format!("SINTERCARD {args}"), &format!("-ERR {error}"));
    }
    bench.line("PEXPIREAT a 1800000000000");
    bench.effects("SINTERSTORE a a b", "SINTERSTORE a a b");
    assert_eq!(sorted(&mut bench, "SMEMBERS a"), "*3 3 4 x");
    bench.replies("TTL a", ":-1");
    bench.replies("SDIFFSTORE d b c", ":2");
    bench.replies("SUNIONSTORE d b c d", ":4");
    bench.effects("SINTERSTORE d b none", "SINTERSTORE d b none");
    bench.replies("EXISTS d", ":0");
    bench.effects("SINTERSTORE d b none", "");
    bench.effects("SDIFFSTORE d none b", "");
    bench.replies("SUNIONSTORE d none", ":0");
    bench.protocol = Protocol::Resp3;
    bench.replies("SINTER a c", "~1 $1 4");
    bench.replies("SUNION none", "~0");
    bench.replies("SDIFF c a", "~1 $1 y");
}

#[test]
fn random_members() {
    let mut bench = Bench::new();
    bench.replies("SPOP s", "$-1");
    bench.replies("SPOP s 1", "*0");
    bench.replies("SRANDMEMBER s", "$-1");
    bench.replies("SRANDMEMBER s 1", "*0");
    bench.line("SADD s a");
    bench.replies("SRANDMEMBER s", "$1 a");
    bench.replies("SRANDMEMBER s -3", "*3 $1 a $1 a $1 a");
    bench.replies("SRANDMEMBER s 3", "*1 $1 a");
    bench.replies("SRANDMEMBER s 0", "*0");
    bench.replies("SRANDMEMBER s 1 2", "-ERR syntax error");
    bench.replies("SRANDMEMBER s x", "-ERR value is not an integer or out of range");
    bench.replies("SRANDMEMBER s -9223372036854775807", "-ERR value is out of range");
    bench.replies("SPOP s 1 2", "-ERR syntax error");
    bench.replies("SPOP s -1", "-ERR value is out of range, must be positive");
    bench.effects("SPOP s 0", "");
    bench.effects("SPOP s", "SREM s a");
    bench.replies("EXISTS s", ":0");
    bench.line("SADD s a b");
    bench.effects("SPOP s 2", "DEL s");
    bench.line("SADD s 1");
    bench.protocol = Protocol::Resp3;
    bench.replies("SRANDMEMBER s 1", "*1 $1 1");
    bench.replies("SPOP s 1", "~1 $1 1");
    bench.replies("SPOP s 1", "~0");
    bench.replies("SRANDMEMBER s", "_");
}

#[test]
fn many_random_members() {
    let mut bench = Bench::new();
    let all: Vec<String> = (0..3000).map(|number| format!("m{number}")).collect();
    bench.line(&format!("SADD s {}", all.join(" ")));
    let words = |reply: &[u8]| -> Vec<String> {
        let reply = String::from_utf8_lossy(reply).into_owned();
        reply.split("\r\n").filter(|word| word.starts_with('m')).map(str::to_owned).collect()
    };
    for count in [10, 2900] {
        let members = words(&bench.line(&format!("SRANDMEMBER s {count}")).reply);
        assert_eq!(members.len(), count);
        assert_eq!(members.into_iter().collect::<BTreeSet<_>>().len(), count);
    }
    assert_eq!(words(&bench.line("SRANDMEMBER s -5000").reply).len(), 5000);
    let outcome = bench.line("SPOP s 2500");
    let popped = words(&outcome.reply);
    // In effects of bounded length, which name what was popped.
    let effects = parse_effects(&outcome.effects);
    let lens: Vec<_> = effects.iter().map(|effect| effect.as_args().len()).collect();
    assert_eq!(lens, [2, 1026, 1026, 454]);
    let removed = effects[1..].iter().flat_map(|effect| {
        assert_eq!((effect.as_args().at(0), effect.as_args().at(1)), (&b"SREM"[..], &b"s"[..]));
        let members: Vec<_> = effect.as_args().from(2).iter().map(<[u8]>::to_vec).collect();
        members
    });
    assert!(removed.eq(popped.iter().map(|member| member.as_bytes())));
    assert_eq!(popped.iter().collect::<BTreeSet<_>>().len(), 2500);
    bench.replies("SCARD s", ":500");
}

#[test]
fn scanning() {
    let mut bench = Bench::new();
    bench.replies("SSCAN s 0", "*2 $1 0 *0");
    bench.replies("SSCAN s 0 FOO", "*2 $1 0 *0");
    bench.replies("SSCAN s x", "-ERR invalid cursor");
    bench.line("SADD s 1 2 x");
    bench.replies("SSCAN s 0", "*2 $1 0 *3 $1 1 $1 2 $1 x");
    bench.replies("SSCAN s 7 COUNT 1 MATCH [0-9]", "*2 $1 0 *2 $1 1 $1 2");
    bench.replies("SSCAN s 0 FOO 1", "-ERR syntax error");
    bench.replies("SSCAN s 0 TYPE set", "-ERR syntax error");
    bench.replies("SSCAN s 0 COUNT 0", "-ERR syntax error");
    let all: Vec<String> = (0..1000).map(|number| format!("m{number}")).collect();
    bench.line(&format!("SADD s {}", all.join(" ")));
    let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
    loop {
        let reply = bench.line(&format!("SSCAN s {cursor} COUNT 50 MATCH m*")).reply;
        let reply = String::from_utf8(reply).expect("members are text");
        cursor = reply.split("\r\n").nth(2).expect("a cursor").to_owned();
        found.extend(reply.split("\r\n").filter(|w| w.starts_with('m')).map(str::to_owned));
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found.len(), 1000);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>().len(), 1000);
}
