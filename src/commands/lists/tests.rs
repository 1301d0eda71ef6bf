use crate::commands::testing::Bench;
use crate::resp::Protocol;
use proptest::prelude::*;
use proptest::sample::select;

/// Any command on lists, for the test that replays effects.
pub(in crate::commands) fn command() -> impl Strategy<Value = String> {
    let key = || "[d-h]";
    let element = || prop_oneof![select(&["a", "b", "1", "-7"][..]), Just("a-longer-one")];
    let side = || select(&["LEFT", "RIGHT"][..]);
    prop_oneof![
        4 => (select(&["LPUSH", "RPUSH", "LPUSHX", "RPUSHX"][..]), key(), element(), element())
            .prop_map(|(name, key, a, b)| format!("{name} {key} {a} {b}")),
        2 => (select(&["LPOP", "RPOP"][..]), key(), select(&["", "0", "1", "3"][..]))
            .prop_map(|(name, key, count)| format!("{name} {key} {count}")),
        1 => (select(&["LMPOP", "BLMPOP 0"][..]), key(), key(), side(), 1..4)
            .prop_map(|(name, a, b, side, n)| format!("{name} 2 {a} {b} {side} COUNT {n}")),
        1 => (select(&["BLPOP", "BRPOP", "RPOPLPUSH", "BRPOPLPUSH"][..]), key(), key())
            .prop_map(|(name, a, b)| match name {
                "RPOPLPUSH" => format!("{name} {a} {b}"),
                _ => format!("{name} {a} {b} 0"),
            }),
        2 => (select(&["LMOVE", "BLMOVE"][..]), key(), key(), side(), side())
            .prop_map(|(name, a, b, from, to)| match name {
                "LMOVE" => format!("{name} {a} {b} {from} {to}"),
                _ => format!("{name} {a} {b} {from} {to} 0"),
            }),
        2 => (key(), -4..4, element()).prop_map(|(key, at, e)| format!("LSET {key} {at} {e}")),
        2 => (key(), select(&["BEFORE", "AFTER"][..]), element(), element())
            .prop_map(|(key, side, pivot, e)| format!("LINSERT {key} {side} {pivot} {e}")),
        1 => (key(), -2..3, element()).prop_map(|(key, n, e)| format!("LREM {key} {n} {e}")),
        1 => (key(), -4..3, -3..4).prop_map(|(key, a, b)| format!("LTRIM {key} {a} {b}")),
        1 => (select(&["LLEN", "LINDEX 0", "LRANGE 0 -1", "LPOS a"][..]), key())
            .prop_map(|(name, key)| match name.split_once(' ') {
                Some((name, rest)) => format!("{name} {key} {rest}"),
                None => format!("{name} {key}"),
            }),
    ]
}

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

/// A list `l` with `a b c d e`, and a string `s`.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.line("RPUSH l a b c d e");
    bench.line("SET s text");
    bench
}

#[test]
fn pushing() {
    let mut bench = Bench::new();
    bench.replies("RPUSH l a b", ":2");
    bench.effects("LPUSH l c d", "LPUSH l c d");
    bench.replies("LRANGE l 0 -1", "*4 $1 d $1 c $1 a $1 b");
    bench.replies("LLEN l", ":4");
    bench.replies("OBJECT ENCODING l", "$8 listpack");
    bench.replies("TYPE l", "+list");
    bench.effects("RPUSHX l 17", "RPUSHX l 17");
    bench.replies("LPUSHX l -3 x", ":7");
    bench.replies("LINDEX l -1", "$2 17");
    bench.replies("RPUSHX none x", ":0");
    bench.effects("LPUSHX none x", "");
    bench.replies("EXISTS none", ":0");
    bench.replies("RPUSH l", "-ERR wrong number of arguments for 'rpush' command");
    bench.line("SET s text");
    for line in [
        "LPUSH s x",
        "RPUSHX s x",
        "LLEN s",
        "LINDEX s 0",
        "LSET s 0 x",
        "LRANGE s 0 1",
        "LTRIM s 0 1",
        "LINSERT s BEFORE a b",
        "LREM s 0 a",
        "LPOS s a",
        "LPOP s",
        "RPOP s 2",
        "LMPOP 2 none s LEFT",
        "LMOVE s l LEFT LEFT",
        "LMOVE l s LEFT LEFT",
        "RPOPLPUSH s l",
        "BLPOP none s 0",
        "BLMPOP 0 1 s RIGHT",
        "BLMOVE s l LEFT RIGHT 0",
        "BRPOPLPUSH l s 0",
    ] {
        bench.replies(line, WRONG_TYPE);
        bench.effects(line, "");
    }
    bench.replies("LLEN l", ":7");
}

#[test]
fn indexes() {
    let mut bench = bench();
    bench.replies("LINDEX l 0", "$1 a");
    bench.replies("LINDEX l -5", "$1 a");
    bench.replies("LINDEX l 5", "$-1");
    bench.replies("LINDEX l -6", "$-1");
    bench.replies("LINDEX l x", "-ERR value is not an integer or out of range");
    bench.replies("LINDEX none x", "$-1");
    bench.effects("LSET l -1 E", "LSET l -1 E");
    bench.replies("LSET l 5 x", "-ERR index out of range");
    bench.replies("LSET l x x", "-ERR value is not an integer or out of range");
    bench.replies("LSET none x x", "-ERR no such key");
    bench.replies("LRANGE l -2 100", "*2 $1 d $1 E");
    bench.replies("LRANGE l -100 0", "*1 $1 a");
    bench.replies("LRANGE l 3 2", "*0");
    bench.replies("LRANGE l 5 9", "*0");
    bench.replies(
        "LRANGE l -9223372036854775808 9223372036854775807",
        "*5 $1 a $1 b $1 c $1 d $1 E",
    );
    bench.replies("LRANGE l -9 -8", "*0");
    bench.replies("LRANGE none 0 x", "-ERR value is not an integer or out of range");
    bench.replies("LRANGE none 0 1", "*0");
    bench.effects("LTRIM l 0 -1", "");
    bench.effects("LTRIM l 1 -2", "LTRIM l 1 -2");
    bench.replies("LRANGE l 0 -1", "*3 $1 b $1 c $1 d");
    bench.replies("LTRIM l 2 1", "+OK");
    bench.replies("EXISTS l", ":0");
    bench.effects("LTRIM l 2 1", "");
    bench.replies("LTRIM l x 1", "-ERR value is not an integer or out of range");
    bench.protocol = Protocol::Resp3;
    bench.replies("LINDEX none 0", "_");
    bench.replies("LRANGE none 0 1", "*0");
}

#[test]
fn inserting_and_removing_by_value() {
    let mut bench = bench();
    bench.effects("LINSERT l before a 0", "LINSERT l before a 0");
    bench.replies("LINSERT l AFTER e a", ":7");
    bench.replies("LINSERT l AFTER x a", ":-1");
    bench.effects("LINSERT l AFTER x a", "");
    bench.replies("LINSERT none AFTER x a", ":0");
    bench.replies("LINSERT none NEAR x a", "-ERR syntax error");
    bench.replies("LRANGE l 0 -1", "*7 $1 0 $1 a $1 b $1 c $1 d $1 e $1 a");
    bench.effects("LREM l -1 a", "LREM l -1 a");
    bench.replies("LREM l 0 a", ":1");
    bench.replies("LREM l 5 0", ":1");
    bench.effects("LREM l 5 0", "");
    bench.replies("LRANGE l 0 -1", "*4 $1 b $1 c $1 d $1 e");
    bench.replies("LREM none 0 a", ":0");
    let range = "-ERR value is out of range, value must between -9223372036854775807 and \
        9223372036854775807";
    bench.replies("LREM none -9223372036854775808 a", range);
    bench.replies("LREM none x a", "-ERR value is not an integer or out of range");
    bench.line("RPUSH one 1 1");
    bench.replies("LREM one -9223372036854775807 1", ":2");
    bench.replies("EXISTS one", ":0");
}

#[test]
fn positions() {
    let mut bench = Bench::new();
    bench.line("RPUSH l a b c 1 2 3 c c");
    bench.replies("LPOS l c", ":2");
    bench.replies("LPOS l c RANK 2", ":6");
    bench.replies("LPOS l c RANK -1", ":7");
    bench.replies("LPOS l c RANK -3", ":2");
    bench.replies("LPOS l c RANK 4", "$-1");
    bench.replies("LPOS l c COUNT 2", "*2 :2 :6");
    bench.replies("LPOS l c COUNT 0 RANK 2", "*2 :6 :7");
    bench.replies("LPOS l c COUNT 0 RANK -1 MAXLEN 2", "*2 :7 :6");
    bench.replies("LPOS l c COUNT 1 MAXLEN 2", "*0");
    bench.replies("LPOS l 1 MAXLEN 0", ":3");
    bench.replies("LPOS l x", "$-1");
    bench.replies("LPOS none x", "$-1");
    bench.replies("LPOS none x COUNT 1", "*0");
    bench.replies("LPOS none x COUNT", "-ERR syntax error");
    bench.replies("LPOS none x FOO 1", "-ERR syntax error");
    bench.replies("LPOS none x COUNT -1", "-ERR COUNT can't be negative");
    bench.replies("LPOS none x MAXLEN x", "-ERR MAXLEN can't be negative");
    bench.replies(
        "LPOS none x RANK 0",
        "-ERR RANK can't be zero: use 1 to start from the first \
        match, 2 from the second ... or use negative to start from the end of the list",
    );
    bench.replies("LPOS none x RANK x", "-ERR value is not an integer or out of range");
}

#[test]
fn popping() {
    let mut bench = bench();
    bench.effects("LPOP l", "LPOP l");
    bench.replies("RPOP l", "$1 e");
    bench.replies("LPOP l 0", "*0");
    bench.effects("LPOP l 0", "");
    bench.replies("RPOP l 2", "*2 $1 d $1 c");
    bench.effects("RPOP l 10", "RPOP l 10");
    bench.replies("EXISTS l", ":0");
    bench.replies("LPOP l", "$-1");
    bench.replies("LPOP l 0", "*-1");
    bench.replies("LPOP l 1 2", "-ERR wrong number of arguments for 'lpop' command");
    bench.replies("LPOP l -1", "-ERR value is out of range, must be positive");
    bench.replies("LPOP l x", "-ERR value is out of range, must be positive");
    bench.line("RPUSH l 1 2 3");
    bench.effects("LMPOP 2 none l LEFT COUNT 2", "LPOP l 2");
    bench.replies("LMPOP 2 none l right COUNT 9", "*2 $1 l *1 $1 3");
    bench.replies("LMPOP 2 none l LEFT", "*-1");
    let count = "-ERR count should be greater than 0";
    let cases = [
        ("0 l LEFT", "-ERR numkeys should be greater than 0"),
        ("x l LEFT", "-ERR numkeys should be greater than 0"),
        ("9223372036854775807 l LEFT", "-ERR syntax error"),
        ("2 l LEFT", "-ERR syntax error"),
        ("1 l UP", "-ERR syntax error"),
        ("1 l LEFT COUNT", "-ERR syntax error"),
        ("1 l LEFT COUNT 0", count),
        ("1 l LEFT COUNT x", count),
        ("1 l LEFT COUNT 1 COUNT 1", "-ERR syntax error"),
        ("1 l LEFT FOO 1", "-ERR syntax error"),
    ];
    for (args, error) in cases {
        bench.replies(&format!("LMPOP {args}"), error);
        bench.replies(&format!("BLMPOP x {args}"), error);
    }
    bench.protocol = Protocol::Resp3;
    bench.replies("LPOP l", "_");
    bench.replies("LPOP l 1", "_");
    bench.replies("LMPOP 1 l LEFT", "_");
}

#[test]
fn moving() {
    let mut bench = bench();
    bench.effects("LMOVE l m left right", "LMOVE l m left right");
    bench.effects("RPOPLPUSH l m", "RPOPLPUSH l m");
    bench.replies("LRANGE m 0 -1", "*2 $1 e $1 a");
    bench.replies("LMOVE m m RIGHT LEFT", "$1 a");
    bench.replies("LRANGE m 0 -1", "*2 $1 a $1 e");
    bench.replies("LMOVE m l LEFT LEFT", "$1 a");
    bench.replies("LMOVE m l RIGHT RIGHT", "$1 e");
    bench.replies("EXISTS m", ":0");
    bench.replies("LRANGE l 0 -1", "*5 $1 a $1 b $1 c $1 d $1 e");
    bench.replies("LMOVE m l UP RIGHT", "-ERR syntax error");
    bench.replies("LMOVE none l LEFT RIGHT", "$-1");
    bench.effects("LMOVE none s LEFT RIGHT", "");
    bench.line("RPUSH single 1");
    bench.replies("LMOVE single single LEFT RIGHT", "$1 1");
    bench.replies("LRANGE single 0 -1", "*1 $1 1");
}

#[test]
fn blocking_ones_that_find_something() {
    let mut bench = bench();
    bench.effects("BLPOP none l 0", "LPOP l");
    bench.replies("BRPOP l l 0.5", "*2 $1 l $1 e");
    bench.effects("BRPOP l 0", "RPOP l");
    bench.effects("BLMPOP 1 2 none l LEFT COUNT 1", "LPOP l 1");
    bench.replies("BLMPOP 1 1 l RIGHT COUNT 5", "*2 $1 l *1 $1 c");
    bench.replies("EXISTS l", ":0");
    bench.line("RPUSH l a b c");
    bench.effects("BLMOVE l m LEFT right 0", "LMOVE l m LEFT right");
    bench.effects("BRPOPLPUSH l m 0", "RPOPLPUSH l m");
    bench.replies("LRANGE m 0 -1", "*2 $1 c $1 a");
    for line in ["BLPOP l", "BRPOP l", "BLMOVE l m LEFT LEFT", "BRPOPLPUSH l m"] {
        bench.replies(&format!("{line} -1"), "-ERR timeout is negative");
        bench.replies(&format!("{line} x"), "-ERR timeout is not a float or out of range");
        bench.replies(&format!("{line} 1e300"), "-ERR timeout is out of range");
    }
    bench.replies("BLMPOP x 1 l LEFT", "-ERR timeout is not a float or out of range");
    bench.replies("LLEN l", ":1");
}

#[test]
fn what_would_wait_in_a_transaction_times_out_at_once() {
    let mut bench = Bench::new();
    for line in ["BLPOP l 0", "BRPOP l m 0", "BLMPOP 0 1 l LEFT"] {
        bench.replies(line, "*-1");
        bench.effects(line, "");
    }
    bench.replies("BLMOVE l m LEFT LEFT 0", "$-1");
    bench.replies("BRPOPLPUSH l m 0", "$-1");
}

#[test]
fn long_lists_change_their_encoding() {
    let mut bench = Bench::new();
    bench.settings.limits.list_listpack_size = 4;
    bench.line("RPUSH l 1 2 3 4");
    bench.replies("OBJECT ENCODING l", "$8 listpack");
    bench.line("RPUSH l 5");
    bench.replies("OBJECT ENCODING l", "$9 quicklist");
    bench.replies("LINDEX l 4", "$1 5");
    bench.line("LPOP l 2");
    bench.replies("OBJECT ENCODING l", "$9 quicklist");
    bench.line("LPOP l 2");
    bench.replies("OBJECT ENCODING l", "$8 listpack");
    bench.line("RPUSH l 6 7");
    // A rotation leaves as many as there were.
    bench.line("LINSERT l BEFORE 6 x");
    bench.line("LINSERT l BEFORE 6 y");
    bench.replies("OBJECT ENCODING l", "$9 quicklist");
    bench.replies("LMOVE l l LEFT RIGHT", "$1 5");
    bench.replies("LRANGE l 0 -1", "*5 $1 x $1 y $1 6 $1 7 $1 5");
    bench.line("COPY l m");
    bench.replies("LRANGE m 1 2", "*2 $1 y $1 6");
    bench.replies("OBJECT ENCODING m", "$9 quicklist");
}
