//! Whatever commands do, replaying the effects that they state does it again.

use super::ExpiryMode;
use super::testing::{Bench, parse_effects, show_args, words};
use crate::data::testing::describe;
use proptest::prelude::*;

/// Everything in a keyspace: database, key, value, expiry time, encoding.
pub(super) fn contents(bench: &Bench) -> Vec<String> {
    let mut all = Vec::new();
    for (db, database) in bench.keyspace.databases() {
        for entry in database.iter() {
            let value = describe(entry.value());
            let name = entry.value().encoding_name();
            all.push(format!("{:?}", (db, entry.key(), value, entry.expiry_ms(), name)));
        }
    }
    all
}

/// Collections change their encoding after a few elements.
pub(super) fn bench() -> Bench {
    let mut bench = Bench::new();
    let limits = &mut bench.settings.limits;
    limits.list_listpack_size = 4;
    limits.set_intset_entries = 5;
    limits.set_listpack_entries = 4;
    limits.sorted_set_listpack_entries = 4;
    limits.sorted_set_listpack_value_bytes = 20;
    bench
}

fn key() -> impl Strategy<Value = String> {
    "[a-e]"
}

fn value() -> impl Strategy<Value = String> {
    const WORDS: [&str; 8] = ["0", "7", "-12", "1.5", "9223372036854775807", "text", "''", "007"];
    prop_oneof![prop::sample::select(&WORDS[..]).prop_map(str::to_owned), "[a-z]{40,50}"]
}

/// A time: some of them have passed when a command runs, some are soon, some are far off.
fn expiry() -> impl Strategy<Value = String> {
    prop_oneof![
        (1..300i64).prop_map(|ms| format!("PX {ms}")),
        Just("EX 1".to_owned()),
        (-200..2000i64).prop_map(|ms| format!("PXAT {}", 1_700_000_000_000 + ms)),
        Just("EXAT 1700000001".to_owned()),
    ]
}

fn set_option() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("KEEPTTL".to_owned()),
        Just("NX".to_owned()),
        Just("XX GET".to_owned()),
        Just("GET KEEPTTL".to_owned()),
        value().prop_map(|value| format!("IFEQ {value}")),
        expiry(),
        expiry().prop_map(|expiry| format!("NX GET {expiry}")),
    ]
}

/// A command of any family.
pub(crate) fn command() -> impl Strategy<Value = String> {
    let db = || 0..3usize;
    prop_oneof![
        6 => (key(), value(), set_option()).prop_map(|(k, v, o)| format!("SET {k} {v} {o}")),
        3 => (prop::sample::select(&["GET", "GETDEL", "INCR", "DECR", "PERSIST", "TTL", "TYPE",
            "STRLEN", "EXISTS", "TOUCH"][..]), key()).prop_map(|(n, k)| format!("{n} {k}")),
        4 => (prop::sample::select(&["APPEND", "INCRBY", "DECRBY", "INCRBYFLOAT", "SETNX",
            "GETSET", "DELIFEQ", "SETRANGE x 3"][..]), key(), value())
            .prop_map(|(n, k, v)| match n.split_once(' ') {
                Some((name, _)) => format!("{name} {k} 3 {v}"),
                None => format!("{n} {k} {v}"),
            }),
        3 => (key(), prop_oneof![Just("PERSIST".to_owned()), Just(String::new()), expiry()])
            .prop_map(|(k, o)| format!("GETEX {k} {o}")),
        3 => (prop::sample::select(&["EXPIRE", "PEXPIRE", "PEXPIREAT 17000000"][..]), key(),
            -2..900i64, prop::sample::select(&["", "NX", "XX", "GT", "LT"][..]))
            .prop_map(|(n, k, t, o)| match n.split_once(' ') {
                Some((name, _)) => format!("{name} {k} {} {o}", 1_700_000_000_000 + t),
                None => format!("{n} {k} {t} {o}"),
            }),
        1 => (prop::sample::select(&["SETEX", "PSETEX"][..]), key(), 1..300i64, value())
            .prop_map(|(n, k, t, v)| format!("{n} {k} {t} {v}")),
        3 => (prop::sample::select(&["RENAME", "RENAMENX", "COPY", "LCS", "MGET", "UNLINK", "DEL"]
            [..]), key(), key()).prop_map(|(n, a, b)| format!("{n} {a} {b}")),
        2 => (key(), key(), db()).prop_map(|(a, b, db)| format!("COPY {a} {b} DB {db} REPLACE")),
        2 => (key(), db()).prop_map(|(k, db)| format!("MOVE {k} {db}")),
        2 => (prop::sample::select(&["MSET", "MSETNX"][..]), key(), value(), key(), value())
            .prop_map(|(n, a, v, b, w)| format!("{n} {a} {v} {b} {w}")),
        8 => super::lists::tests::command(),
        10 => super::sorted_sets::tests::command(),
        3 => super::geo::tests::command(),
        12 => super::hashes::tests::command(),
        8 => super::streams::tests::command(),
        3 => (prop::sample::select(&["SETBIT $ 9 1", "SETBIT $ 40 0", "BITFIELD $ INCRBY u5 7 9",
            "BITFIELD $ OVERFLOW FAIL SET u2 30 9", "PFADD $", "PFADD $ x y", "PFCOUNT $"][..]), key())
            .prop_map(|(line, k)| line.replace('$', &k)),
        1 => (prop::sample::select(&["BITOP OR", "BITOP NOT", "PFMERGE", "PFADD"][..]), key(), key())
            .prop_map(|(n, a, b)| format!("{n} {a} {b}")),
        8 => super::sets::tests::command(),
        1 => db().prop_map(|db| format!("SELECT {db}")),
        1 => (db(), db()).prop_map(|(a, b)| format!("SWAPDB {a} {b}")),
        1 => prop::sample::select(&["SCAN 0", "KEYS *", "RANDOMKEY", "DBSIZE", "SCAN 0 MATCH [ab]",
            "FLUSHDB", "FLUSHALL ASYNC"][..]).prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn replaying_the_effects_gives_the_same_keyspace(
        steps in prop::collection::vec((command(), 0..40i64), 1..120),
    ) {
        let mut bench = bench();
        let mut effects = Vec::new();
        for (line, pause_ms) in &steps {
            bench.now_ms += pause_ms;
            effects.extend(bench.line(line).effects);
        }
        let mut copy = self::bench();
        copy.mode = ExpiryMode::Ignore;
        // Whenever a log is replayed, it is later.
        copy.now_ms = bench.now_ms + 1_000_000;
        for effect in parse_effects(&effects) {
            let effect = effect.as_args();
            let outcome = copy.run(effect);
            prop_assert!(outcome.reply[0] != b'-', "{} failed", show_args(effect));
            // What an effect does is stated by the same effect: a replica can pass it on.
            if &effect[0] != b"SELECT" {
                let again = parse_effects(&outcome.effects);
                let again: Vec<String> = again.iter().map(|e| show_args(e.as_args())).collect();
                prop_assert_eq!(again.last(), Some(&show_args(effect)));
                prop_assert_eq!(&again[..again.len() - 1], &[format!("SELECT {}", copy.db)]);
            }
        }
        prop_assert_eq!(contents(&bench), contents(&copy));
    }

    #[test]
    fn no_arguments_make_a_command_panic(
        name in prop::sample::select(super::DATA.all()
            .flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
            .filter(|spec| matches!(spec.handler, super::Handler::Data(_)))
            .map(|spec| spec.full_name.replace('|', " "))
            .collect::<Vec<_>>()),
        args in prop::collection::vec(prop_oneof![
            prop::sample::select(&["-9223372036854775808", "9223372036854775807", "1", "-1", "k",
                "''", "EX", "PX", "XX", "GET", "IFEQ", "DB", "COUNT", "MATCH", "TYPE", "[", "\\\\",
                "IDX", "MINMATCHLEN", "1e400", "0x", "FILTERBY", "ACLCAT", "\\xff", "\"\\xff\\x00\"",
                "2147483648", "PERSIST", "NX", "GT", "PXAT", "KEEPTTL", "*"][..])
                .prop_map(str::to_owned),
            "[a-z|]{1,3}",
        ], 0..6),
    ) {
        let mut bench = Bench::new();
        bench.settings.bulk_bytes_max = 10_000;
        bench.line("MSET k value 1 17");
        let outcome = bench.run(words(&format!("{name} {}", args.join(" "))).as_args());
        prop_assert!(outcome.reply.ends_with(b"\r\n"));
    }
}
