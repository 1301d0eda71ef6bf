use crate::commands::testing::Bench;
use crate::resp::Protocol;
use proptest::prelude::*;
use proptest::sample::select;

/// Any command on sorted sets, for the test that replays effects.
pub(in crate::commands) fn command() -> impl Strategy<Value = String> {
    let key = || "[i-l]";
    let member = || {
        select(&["a", "b", "c", "d", "e", "1", "-7", "'a longer one, longer than the limit'"][..])
    };
    let score = || {
        prop_oneof![
            (-5..6i32).prop_map(|score| score.to_string()),
            select(&["0.1", "-1e300", "inf", "-inf", "2.5"][..]).prop_map(str::to_owned),
        ]
    };
    let option = || select(&["", "NX", "XX", "GT", "LT", "CH", "XX GT CH"][..]);
    let bound = || select(&["-inf", "(0", "0", "1.5", "+inf", "(3"][..]);
    let lex = || select(&["-", "+", "[b", "(c"][..]);
    prop_oneof![
        6 => (key(), option(), score(), member(), score(), member())
            .prop_map(|(k, o, s, a, t, b)| format!("ZADD {k} {o} {s} {a} {t} {b}")),
        3 => (key(), option(), score(), member())
            .prop_map(|(k, o, s, m)| format!("ZADD {k} {o} INCR {s} {m}")),
        2 => (key(), score(), member()).prop_map(|(k, s, m)| format!("ZINCRBY {k} {s} {m}")),
        1 => (key(), member(), member()).prop_map(|(k, a, b)| format!("ZREM {k} {a} {b}")),
        2 => (select(&["ZPOPMIN", "ZPOPMAX"][..]), key(), select(&["", "0", "2"][..]))
            .prop_map(|(name, k, count)| format!("{name} {k} {count}")),
        1 => (select(&["BZPOPMIN", "BZPOPMAX"][..]), key(), key())
            .prop_map(|(name, a, b)| format!("{name} {a} {b} 0")),
        1 => (select(&["ZMPOP", "BZMPOP 0"][..]), key(), key(), select(&["MIN", "MAX"][..]), 1..4)
            .prop_map(|(name, a, b, end, n)| format!("{name} 2 {a} {b} {end} COUNT {n}")),
        1 => (key(), -3..3, -3..3).prop_map(|(k, a, b)| format!("ZREMRANGEBYRANK {k} {a} {b}")),
        1 => (key(), bound(), bound()).prop_map(|(k, a, b)| format!("ZREMRANGEBYSCORE {k} {a} {b}")),
        1 => (key(), lex(), lex()).prop_map(|(k, a, b)| format!("ZREMRANGEBYLEX {k} {a} {b}")),
        1 => (key(), key(), -3..3, -3..3, select(&["", "REV"][..]))
            .prop_map(|(d, k, a, b, rev)| format!("ZRANGESTORE {d} {k} {a} {b} {rev}")),
        1 => (key(), key(), bound(), bound(), -1..2)
            .prop_map(|(d, k, a, b, at)| format!("ZRANGESTORE {d} {k} {a} {b} BYSCORE LIMIT {at} 2")),
        2 => (select(&["ZUNIONSTORE", "ZINTERSTORE"][..]), key(), key(), key(), score(),
            select(&["", "AGGREGATE MIN", "AGGREGATE MAX"][..]))
            .prop_map(|(name, d, a, b, w, how)| format!("{name} {d} 2 {a} {b} WEIGHTS {w} 2 {how}")),
        1 => (key(), key(), key()).prop_map(|(d, a, b)| format!("ZDIFFSTORE {d} 2 {a} {b}")),
        1 => (select(&["ZCARD", "ZSCAN", "ZRANGE", "ZRANDMEMBER"][..]), key())
            .prop_map(|(name, k)| match name {
                "ZSCAN" => format!("{name} {k} 0"),
                "ZRANGE" => format!("{name} {k} 0 -1"),
                _ => format!("{name} {k}"),
            }),
    ]
}

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const SYNTAX: &str = "-ERR syntax error";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
const NOT_FLOAT: &str = "-ERR value is not a valid float";

/// A sorted set `z` with `a` to `e`, a string `s`, and an empty big one cannot be had.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.line("ZADD z 1 a 2 b 3 c 4 d 5 e");
    bench.line("SET s text");
    bench
}

/// The same sorted set in the other encoding.
fn big_bench() -> Bench {
    let mut bench = Bench::new();
    bench.settings.limits.sorted_set_listpack_entries = 0;
    bench.line("ZADD z 1 a 2 b 3 c 4 d 5 e");
    bench
}

#[test]
fn adding() {
    let mut bench = Bench::new();
    bench.replies("ZADD z 1 a 2 b", ":2");
    bench.replies("OBJECT ENCODING z", "$8 listpack");
    bench.replies("TYPE z", "+zset");
    bench.effects("ZADD z 1 a", "");
    bench.effects("ZADD z CH 3 a 2 b", "ZADD z CH 3 a 2 b");
    bench.replies("ZADD z CH 4 a 2 b 9 c", ":2");
    bench.replies("ZADD z NX 1 a 1 d", ":1");
    bench.replies("ZADD z XX CH 1 a 1 new", ":1");
    bench.replies("ZADD z GT CH 0 a 5 b", ":1");
    bench.replies("ZADD z LT CH 0 a 9 b", ":1");
    bench.replies("ZADD z INCR 0.5 a", "$3 0.5");
    bench.replies("ZADD z NX INCR 1 a", "$-1");
    bench.replies("ZADD z XX INCR 1 none", "$-1");
    bench.effects("ZINCRBY z 2 new", "ZINCRBY z 2 new");
    bench.replies("ZINCRBY z 1e20 new", "$5 1e+20");
    bench.replies("ZSCORE z a", "$3 0.5");
    bench.replies("ZADD none XX 1 a", ":0");
    bench.replies("EXISTS none", ":0");
    bench.replies("ZADD z inf top", ":1");
    bench.protocol = Protocol::Resp3;
    bench.replies("ZINCRBY z 0.25 a", ",0.75");
    bench.replies("ZADD z XX INCR 1 none", "_");
    bench.replies("ZSCORE z top", ",inf");
}

#[test]
fn what_cannot_be_added_changes_nothing() {
    let mut bench = bench();
    let both = "-ERR XX and NX options at the same time are not compatible";
    let three = "-ERR GT, LT, and/or NX options at the same time are not compatible";
    let nan = "-ERR resulting score is not a number (NaN)";
    for (line, error) in [
        ("ZADD z 1 a 2", SYNTAX),
        ("ZADD z NX XX", SYNTAX),
        ("ZADD z XX NX 1 a", both),
        ("ZADD z GT LT 1 a", three),
        ("ZADD z NX LT 1 a", three),
        ("ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair"),
        ("ZADD z 7 new x a", NOT_FLOAT),
        ("ZADD z nan a", NOT_FLOAT),
        ("ZADD s 1 a", WRONG_TYPE),
        ("ZINCRBY z x a", NOT_FLOAT),
        ("ZINCRBY s 1 a", WRONG_TYPE),
        ("ZADD z 1", "-ERR wrong number of arguments for 'zadd' command"),
    ] {
        bench.replies(line, error);
        bench.effects(line, "");
    }
    bench.replies("ZCARD z", ":5");
    bench.line("ZADD z inf top");
    bench.replies("ZINCRBY z -inf top", nan);
    bench.replies("ZADD z INCR -inf top", nan);
    bench.replies("ZSCORE z top", "$3 inf");
}

#[test]
fn encodings_change_where_redis_changes_them() {
    let mut bench = Bench::new();
    bench.settings.limits.sorted_set_listpack_entries = 3;
    bench.line("ZADD z 1 a 2 b 3 c");
    bench.replies("OBJECT ENCODING z", "$8 listpack");
    bench.line("ZADD z 4 d");
    bench.replies("OBJECT ENCODING z", "$8 skiplist");
    bench.line("ZREM z d c");
    bench.replies("OBJECT ENCODING z", "$8 skiplist");
    bench.line("ZUNIONSTORE u 1 z");
    bench.replies("OBJECT ENCODING u", "$8 listpack");
    // Four pairs make it big, though they are the same member; and they do if nothing changes, which must
    // be in the log, too.
    bench.line("ZADD y 1 a 1 a 1 a 1 a");
    bench.replies("OBJECT ENCODING y", "$8 skiplist");
    bench.effects("ZADD u 1 a 1 a 1 a 1 a", "ZADD u 1 a 1 a 1 a 1 a");
    bench.replies("OBJECT ENCODING u", "$8 skiplist");
    bench.line(&format!("ZADD long 1 {}", "x".repeat(65)));
    bench.replies("OBJECT ENCODING long", "$8 skiplist");
}

#[test]
fn looking_at_members() {
    for mut bench in [bench(), big_bench()] {
        bench.replies("ZCARD z", ":5");
        bench.replies("ZCARD none", ":0");
        bench.replies("ZSCORE z b", "$1 2");
        bench.replies("ZSCORE z x", "$-1");
        bench.replies("ZMSCORE z a x e", "*3 $1 1 $-1 $1 5");
        bench.replies("ZMSCORE none a", "*1 $-1");
        bench.replies("ZRANK z c", ":2");
        bench.replies("ZREVRANK z b", ":3");
        bench.replies("ZRANK z x", "$-1");
        bench.replies("ZRANK z d WITHSCORE", "*2 :3 $1 4");
        bench.replies("ZREVRANK z x WITHSCORE", "*-1");
        bench.replies("ZRANK z a x", SYNTAX);
        bench
            .replies("ZRANK z a WITHSCORE x", "-ERR wrong number of arguments for 'zrank' command");
        bench.replies("ZCOUNT z 2 (4", ":2");
        bench.replies("ZCOUNT z -inf +inf", ":5");
        bench.replies("ZCOUNT z (2 (2", ":0");
        bench.replies("ZCOUNT z 3 1", ":0");
        bench.replies("ZCOUNT z 1 x", "-ERR min or max is not a float");
        bench.replies("ZLEXCOUNT z - +", ":5");
        bench.replies("ZLEXCOUNT z a b", "-ERR min or max not valid string range item");
        bench.protocol = Protocol::Resp3;
        bench.replies("ZMSCORE z a x", "*2 ,1 _");
        bench.replies("ZRANK z x WITHSCORE", "_");
    }
    let mut bench = bench();
    for line in ["ZCARD s", "ZSCORE s a", "ZMSCORE s a", "ZRANK s a", "ZCOUNT s 1 2", "ZSCAN s 0"] {
        bench.replies(line, WRONG_TYPE);
    }
}

#[test]
fn ranges_of_ranks() {
    for mut bench in [bench(), big_bench()] {
        bench.replies("ZRANGE z 0 1", "*2 $1 a $1 b");
        bench.replies("ZRANGE z -2 -1 WITHSCORES", "*4 $1 d $1 4 $1 e $1 5");
        bench.replies("ZRANGE z 0 1 REV", "*2 $1 e $1 d");
        bench.replies("ZREVRANGE z 1 2", "*2 $1 d $1 c");
        bench.replies("ZRANGE z 3 1", "*0");
        bench.replies("ZRANGE z 5 9", "*0");
        bench.replies("ZRANGE z -100 -5", "*1 $1 a");
        bench.replies("ZRANGE none 0 1", "*0");
        bench.replies("ZRANGE z a 1", NOT_INTEGER);
        let limit = "-ERR syntax error, LIMIT is only supported in combination with either \
            BYSCORE or BYLEX";
        bench.replies("ZRANGE z 0 1 LIMIT 0 1", limit);
        bench.replies("ZRANGE z 0 1 LIMIT 0 -1", "*2 $1 a $1 b");
        bench.replies("ZREVRANGE z 0 1 REV", SYNTAX);
        bench.replies("ZRANGE z 0 1 LIMIT 0", SYNTAX);
        bench.protocol = Protocol::Resp3;
        bench.replies("ZRANGE z 0 1 WITHSCORES", "*2 *2 $1 a ,1 *2 $1 b ,2");
    }
    bench().replies("ZRANGE s 0 1", WRONG_TYPE);
}

#[test]
fn ranges_of_scores() {
    for mut bench in [bench(), big_bench()] {
        bench.replies("ZRANGE z 2 (4 BYSCORE", "*2 $1 b $1 c");
        bench.replies("ZRANGEBYSCORE z 2 4 WITHSCORES LIMIT 1 5", "*4 $1 c $1 3 $1 d $1 4");
        bench.replies("ZRANGE z (4 2 BYSCORE REV", "*2 $1 c $1 b");
        bench.replies("ZREVRANGEBYSCORE z +inf -inf LIMIT 1 2", "*2 $1 d $1 c");
        bench.replies("ZRANGEBYSCORE z 2 4 LIMIT 0 -1", "*3 $1 b $1 c $1 d");
        bench.replies("ZRANGEBYSCORE z 2 4 LIMIT 3 1", "*0");
        bench.replies("ZRANGEBYSCORE z 2 4 LIMIT 0 0", "*0");
        bench.replies("ZRANGEBYSCORE z x 4", "-ERR min or max is not a float");
        bench.replies("ZRANGEBYSCORE z 1 4 BYLEX", SYNTAX);
        // These are numbers for C.
        bench.replies("ZRANGEBYSCORE z ' 0x1p1' \"2\\x00x\"", "*1 $1 b");
        bench.replies("ZCOUNT z '' 1", ":1");
        bench.replies("ZCOUNT z ( 1", ":1");
    }
    // What a negative offset means depends on the encoding.
    bench().replies("ZRANGEBYSCORE z 2 4 LIMIT -1 10", "*0");
    let mut big = big_bench();
    big.replies("ZRANGEBYSCORE z 2 4 LIMIT -1 10", "*1 $1 d");
    big.replies("ZRANGEBYSCORE z 2 4 LIMIT -3 2", "*2 $1 b $1 c");
    big.replies("ZRANGEBYSCORE z 2 4 LIMIT -4 2", "*0");
    big.replies("ZREVRANGEBYSCORE z 4 2 LIMIT -2 10", "*2 $1 c $1 b");
    big.replies("ZRANGEBYSCORE z 2 4 LIMIT -9223372036854775808 2", "*0");
}

#[test]
fn ranges_of_members() {
    for entries in [0, 128] {
        let mut bench = Bench::new();
        bench.settings.limits.sorted_set_listpack_entries = entries;
        bench.line("ZADD z 0 a 0 b 0 c 0 d");
        bench.replies("ZRANGE z [b (d BYLEX", "*2 $1 b $1 c");
        bench.replies("ZRANGEBYLEX z - + LIMIT 1 2", "*2 $1 b $1 c");
        bench.replies("ZREVRANGEBYLEX z + (b", "*2 $1 d $1 c");
        bench.replies("ZRANGE z + - BYLEX REV LIMIT 3 9", "*1 $1 a");
        bench.replies("ZRANGEBYLEX z + -", "*0");
        bench.replies("ZRANGEBYLEX z (b [b", "*0");
        bench.replies("ZLEXCOUNT z [ +", ":4");
        bench.replies("ZRANGEBYLEX z b +", "-ERR min or max not valid string range item");
        let with_scores = "-ERR syntax error, WITHSCORES not supported in combination with BYLEX";
        bench.replies("ZRANGEBYLEX z - + WITHSCORES", with_scores);
        bench.effects("ZREMRANGEBYLEX z [b [c", "ZREMRANGEBYLEX z [b [c");
        bench.replies("ZRANGE z 0 -1", "*2 $1 a $1 d");
    }
}

#[test]
fn storing_a_range() {
    for mut bench in [bench(), big_bench()] {
        bench.line("SET d text PX 1000");
        bench.replies("ZRANGESTORE d z 1 2", ":2");
        bench.replies("ZRANGE d 0 -1 WITHSCORES", "*4 $1 b $1 2 $1 c $1 3");
        bench.replies("TTL d", ":-1");
        bench.replies("ZRANGESTORE d z 5 (2 BYSCORE REV LIMIT 1 2", ":2");
        bench.replies("ZRANGE d 0 -1", "*2 $1 c $1 d");
        bench.replies("ZRANGESTORE z z 0 0 REV", ":1");
        bench.effects("ZRANGESTORE d z 5 6", "ZRANGESTORE d z 5 6");
        bench.replies("EXISTS d", ":0");
        bench.effects("ZRANGESTORE d none 0 1", "");
        bench.replies("ZRANGESTORE d z 0 1 WITHSCORES", SYNTAX);
    }
    bench().replies("ZRANGESTORE d s 0 1", WRONG_TYPE);
}

#[test]
fn removing() {
    for mut bench in [bench(), big_bench()] {
        bench.effects("ZREM z x y", "");
        bench.replies("ZREM z a x", ":1");
        bench.replies("ZREMRANGEBYRANK z 0 0", ":1");
        bench.effects("ZREMRANGEBYRANK z 5 1", "");
        bench.replies("ZREMRANGEBYSCORE z (3 4", ":1");
        bench.replies("ZRANGE z 0 -1", "*2 $1 c $1 e");
        bench.effects("ZREMRANGEBYSCORE z -inf +inf", "ZREMRANGEBYSCORE z -inf +inf");
        bench.replies("EXISTS z", ":0");
        bench.replies("ZREM z a", ":0");
    }
    let mut bench = bench();
    bench.replies("ZREMRANGEBYRANK z a 1", NOT_INTEGER);
    bench.replies("ZREMRANGEBYSCORE z a 1", "-ERR min or max is not a float");
    for line in ["ZREM s a", "ZREMRANGEBYRANK s 0 1", "ZREMRANGEBYLEX s - +"] {
        bench.replies(line, WRONG_TYPE);
    }
    bench.replies("ZREM z a b c d e", ":5");
    bench.replies("EXISTS z", ":0");
}

#[test]
fn popping() {
    for mut bench in [bench(), big_bench()] {
        bench.replies("ZPOPMIN z", "*2 $1 a $1 1");
        bench.effects("ZPOPMAX z 2", "ZPOPMAX z 2");
        bench.replies("ZPOPMIN z 0", "*0");
        bench.replies("ZPOPMIN none 2", "*0");
        bench.replies("ZPOPMIN z -1", "-ERR value is out of range, must be positive");
        bench.replies("ZPOPMIN z x", "-ERR value is out of range, must be positive");
        bench.replies("ZPOPMIN z 1 2", SYNTAX);
        bench.replies("ZMPOP 2 none z MAX COUNT 1", "*2 $1 z *1 *2 $1 c $1 3");
        bench.effects("ZMPOP 1 z MIN COUNT 9", "ZPOPMIN z 1");
        bench.replies("ZMPOP 1 z MIN", "*-1");
        bench.replies("ZMPOP 0 z MIN", "-ERR numkeys should be greater than 0");
        bench.replies("ZMPOP 2 z MIN", SYNTAX);
        bench.replies("ZMPOP 1 z MIN COUNT 0", "-ERR count should be greater than 0");
        bench.replies("ZMPOP 1 z MIN COUNT 1 COUNT 1", SYNTAX);
    }
    let mut bench = bench();
    bench.protocol = Protocol::Resp3;
    bench.replies("ZPOPMIN z", "*2 $1 a ,1");
    bench.replies("ZPOPMIN z 1", "*1 *2 $1 b ,2");
    bench.replies("ZMPOP 1 z MAX", "*2 $1 z *1 *2 $1 e ,5");
    bench.replies("ZPOPMIN s", WRONG_TYPE);
    bench.replies("ZMPOP 2 s z MIN", WRONG_TYPE);
}

#[test]
fn popping_with_patience() {
    let mut bench = bench();
    bench.replies("BZPOPMIN none z 0", "*3 $1 z $1 a $1 1");
    bench.effects("BZPOPMAX z 0", "ZPOPMAX z");
    bench.replies("BZMPOP 0 2 none z MIN COUNT 2", "*2 $1 z *2 *2 $1 b $1 2 *2 $1 c $1 3");
    bench.effects("BZMPOP 0 1 z MIN COUNT 5", "ZPOPMIN z 1");
    bench.effects("BZPOPMIN z 0", "");
    bench.replies("BZPOPMIN z -1", "-ERR timeout is negative");
    bench.replies("BZPOPMIN z x", "-ERR timeout is not a float or out of range");
    bench.replies("BZPOPMIN s z 0", WRONG_TYPE);
    bench.replies("BZMPOP x 1 z MIN", "-ERR timeout is not a float or out of range");
    bench.replies("BZMPOP x 1 z FOO", SYNTAX);
}

#[test]
fn unions_intersections_and_differences() {
    for entries in [0, 128] {
        let mut bench = Bench::new();
        bench.settings.limits.sorted_set_listpack_entries = entries;
        bench.line("ZADD x 1 a 2 b 3 c");
        bench.line("ZADD y 10 b 20 c 30 d");
        bench.replies("ZUNION 2 x y", "*4 $1 a $1 b $1 c $1 d");
        let union = "*8 $1 a $1 1 $1 b $2 12 $1 c $2 23 $1 d $2 30";
        bench.replies("ZUNION 2 x y WITHSCORES", union);
        bench.replies("ZINTER 3 x y x WITHSCORES", "*4 $1 b $2 14 $1 c $2 26");
        bench.replies("ZINTER 2 x y WEIGHTS 2 0.5 WITHSCORES", "*4 $1 b $1 9 $1 c $2 16");
        bench.replies("ZINTER 2 x y AGGREGATE MAX WITHSCORES", "*4 $1 b $2 10 $1 c $2 20");
        bench.replies("ZUNION 2 x none AGGREGATE MIN", "*3 $1 a $1 b $1 c");
        bench.replies("ZDIFF 2 x y WITHSCORES", "*2 $1 a $1 1");
        bench.replies("ZDIFF 2 x x", "*0");
        bench.replies("ZINTERCARD 2 x y", ":2");
        bench.replies("ZINTERCARD 2 x y LIMIT 1", ":1");
        bench.replies("ZINTERCARD 2 x y LIMIT 0", ":2");
        bench.replies("ZINTERCARD 2 x y LIMIT -1", "-ERR LIMIT can't be negative");
        bench.line("SET d text PX 1000");
        bench.effects("ZUNIONSTORE d 2 x y", "ZUNIONSTORE d 2 x y");
        bench.replies("ZCARD d", ":4");
        bench.replies("TTL d", ":-1");
        bench.replies("ZINTERSTORE x 2 x y", ":2");
        bench.replies("ZDIFFSTORE d 1 none", ":0");
        bench.replies("EXISTS d", ":0");
        bench.effects("ZDIFFSTORE d 1 none", "");
        // By convention, this is zero.
        bench.line("ZADD p inf m");
        bench.line("ZADD q -inf m");
        bench.replies("ZUNION 2 p q WITHSCORES", "*2 $1 m $1 0");
        bench.replies("ZUNION 1 p WEIGHTS 0 WITHSCORES", "*2 $1 m $1 0");
        bench.protocol = Protocol::Resp3;
        bench.replies("ZUNION 1 p WITHSCORES", "*1 *2 $1 m ,inf");
    }
    let mut bench = bench();
    for (line, error) in [
        ("ZUNION 0 z", "-ERR at least 1 input key is needed for 'zunion' command"),
        ("ZINTERSTORE d -1 z", "-ERR at least 1 input key is needed for 'zinterstore' command"),
        ("ZUNION x z", NOT_INTEGER),
        ("ZUNION 3 z z", SYNTAX),
        ("ZUNION 1 s x", WRONG_TYPE),
        ("ZUNION 1 z WEIGHTS x", "-ERR weight value is not a float"),
        ("ZUNION 1 z WEIGHTS", SYNTAX),
        ("ZUNION 1 z AGGREGATE x", SYNTAX),
        ("ZUNIONSTORE d 1 z WITHSCORES", SYNTAX),
        ("ZDIFF 1 z WEIGHTS 1", SYNTAX),
        ("ZINTERCARD 1 z LIMIT x", "-ERR LIMIT can't be negative"),
    ] {
        bench.replies(line, error);
        bench.effects(line, "");
    }
}

#[test]
fn sets_are_inputs_too() {
    for entries in [0, 128] {
        let mut bench = bench();
        bench.settings.limits.set_listpack_entries = entries;
        bench.line("SADD set a b 7");
        bench.replies("ZINTER 2 z set WITHSCORES", "*4 $1 a $1 2 $1 b $1 3");
        bench.replies(
            "ZUNION 2 set z WEIGHTS 5 0 AGGREGATE MAX WITHSCORES",
            "*12 $1 c $1 0 \
            $1 d $1 0 $1 e $1 0 $1 7 $1 5 $1 a $1 5 $1 b $1 5",
        );
        bench.replies("ZDIFF 2 set z WITHSCORES", "*2 $1 7 $1 1");
        bench.replies("ZDIFF 2 z set", "*3 $1 c $1 d $1 e");
        bench.replies("ZINTERCARD 2 set z", ":2");
        bench.replies("ZCARD set", WRONG_TYPE);
    }
}

#[test]
fn any_elements() {
    for mut bench in [bench(), big_bench()] {
        let everything = "*10 $1 e $1 5 $1 d $1 4 $1 c $1 3 $1 b $1 2 $1 a $1 1";
        bench.replies("ZRANDMEMBER z 5 WITHSCORES", everything);
        bench.replies("ZRANDMEMBER z 0", "*0");
        bench.replies("ZRANDMEMBER none", "$-1");
        bench.replies("ZRANDMEMBER none 1", "*0");
        for (count, expected) in [(1, 1), (2, 2), (4, 4), (-3, 3), (-20, 20)] {
            let reply = bench.line(&format!("ZRANDMEMBER z {count}")).reply;
            let text = String::from_utf8(reply).expect("members are text");
            let mut members: Vec<_> = text.split("\r\n").skip(2).step_by(2).collect();
            assert!(text.starts_with(&format!("*{expected}\r\n")), "{text}");
            assert!(members.iter().all(|member| "abcde".contains(member)), "{text}");
            members.sort_unstable();
            members.dedup();
            assert!(count < 0 || members.len() == expected, "{text}");
        }
        bench.replies("ZRANDMEMBER z x", NOT_INTEGER);
        bench.replies("ZRANDMEMBER z 1 x", SYNTAX);
        bench.replies("ZRANDMEMBER z 1 WITHSCORES x", SYNTAX);
        let range = "-ERR value is out of range, value must between -9223372036854775807 and \
            9223372036854775807";
        bench.replies("ZRANDMEMBER z -9223372036854775808", range);
        let out_of_range = "-ERR value is out of range";
        bench.replies("ZRANDMEMBER z -9223372036854775807 WITHSCORES", out_of_range);
        bench.replies("ZRANDMEMBER z 9223372036854775807 WITHSCORES", out_of_range);
    }
    // Few of many are drawn, not selected.
    let mut bench = Bench::new();
    let members: Vec<String> = (0..200).map(|number| format!("0 {number}")).collect();
    bench.line(&format!("ZADD z {}", members.join(" ")));
    let reply = bench.line("ZRANDMEMBER z 20").reply;
    let text = String::from_utf8(reply).expect("members are text");
    let mut members: Vec<_> = text.split("\r\n").skip(2).step_by(2).collect();
    members.sort_unstable();
    members.dedup();
    assert_eq!(members.len(), 20, "{text}");
}

#[test]
fn walking() {
    let mut bench = bench();
    bench.replies("ZSCAN z 0 MATCH [ab]", "*2 $1 0 *4 $1 a $1 1 $1 b $1 2");
    bench.replies("ZSCAN none 0 nonsense", "*2 $1 0 *0");
    bench.replies("ZSCAN z x", "-ERR invalid cursor");
    bench.replies("ZSCAN z 0 COUNT 0", SYNTAX);
    bench.replies("ZSCAN z 0 NOSCORES MATCH [ab]", "*2 $1 0 *2 $1 a $1 b");
    bench.line("SADD members x");
    bench.replies("SSCAN members 0 NOSCORES", SYNTAX);
    bench.replies("ZSCAN z 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN");
    bench.replies("ZSCAN z 0 TYPE zset", SYNTAX);
    bench.settings.limits.sorted_set_listpack_entries = 0;
    bench.line("ZADD big 0.1 tenth");
    bench.protocol = Protocol::Resp3;
    bench.replies("ZSCAN big 0", "*2 $1 0 *2 $5 tenth $19 0.10000000000000001");
    bench.protocol = Protocol::Resp2;
    for number in 0..500 {
        bench.line(&format!("ZADD big {number} m{number}"));
    }
    let (mut cursor, mut found) = ("0".to_owned(), 0);
    loop {
        let reply = bench.line(&format!("ZSCAN big {cursor} COUNT 20")).reply;
        let text = String::from_utf8(reply).expect("members are text");
        let mut words = text.split("\r\n").filter(|word| !word.starts_with(['*', '$']));
        cursor = words.next().expect("a cursor").to_owned();
        found += words.filter(|word| word.starts_with(['m', 't'])).count();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found, 501);
}
