//! Random commands of all families, hostile arguments among them, sent to a real `redis-server` and to
//! ours: the replies are the same, and in the end so are the contents.
//!
//! `MAINSTAY_TEST_REDIS` is the path of the `redis-server` to compare with, 7.4 if everything is to be
//! compared; otherwise it is the one that is installed. What it does not know is left out.
//! `MAINSTAY_TEST_SEED` tries another sequence, `MAINSTAY_TEST_FAMILY` one family only.

mod bitmaps;
mod compare;
mod contents;
mod docs;
mod generic;
mod geo;
mod grammar;
mod hashes;
mod hyperloglog;
mod lists;
mod run;
mod sets;
mod sorted_sets;
mod streams;
mod strings;
#[path = "../support/mod.rs"]
mod support;
mod transactions;
mod words;

use support::{Random, Redis, Setup, full_scale, seed};

/// All families with the forms of their commands.
const FAMILIES: [(&str, &[&str]); 11] = [
    ("strings", strings::LINES),
    ("generic", generic::LINES),
    ("lists", lists::LINES),
    ("sets", sets::LINES),
    ("hashes", hashes::LINES),
    ("sorted_sets", sorted_sets::LINES),
    ("geo", geo::LINES),
    ("streams", streams::LINES),
    ("bitmaps", bitmaps::LINES),
    ("hyperloglog", hyperloglog::LINES),
    ("transactions", transactions::LINES),
];

/// Families that changed too much since Redis 7.0 to be compared with it.
const LATER: [&str; 3] = ["sorted_sets", "geo", "streams"];

#[test]
fn random_commands_of_all_families_reply_as_redis_does() {
    let Some(redis) = Redis::start() else { return };
    let setup = Setup::new(&["--appendfsync", "no", "--enable-debug-command", "local"]);
    let server = setup.start();
    // Scores and streams look different in older versions.
    let known = |family: &&(&str, _)| redis.version >= (7, 4) || !LATER.contains(&family.0);
    let families: Vec<_> = FAMILIES.iter().filter(known).copied().collect();
    let mut run = run::Run::new(&families, &server, &redis, 1);
    let (count, least) = if full_scale() { (1_200_000, 1000) } else { (80_000, 10) };
    run.go(count, least);
    run.end(least);
}

#[test]
fn keys_match_patterns_as_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let setup = Setup::new(&["--appendfsync", "no"]);
    let server = setup.start();
    let (mut ours, mut theirs) = (server.client(), redis.client());
    let mut random = Random(seed(5));
    let mut word = |letters: &[u8], len: u64| -> Vec<u8> {
        let len = random.below(len);
        (0..len).map(|_| letters[random.below(letters.len() as u64) as usize]).collect()
    };
    for _ in 0..200 {
        let args = [b"SET".to_vec(), word(b"ab-[]^*\xff\x80", 5), b"v".to_vec()];
        assert_eq!(ours.call_args(&args), theirs.call_args(&args));
    }
    for _ in 0..if full_scale() { 50_000 } else { 2_000 } {
        let args = vec![b"KEYS".to_vec(), word(b"ab-[[]^*?\\\xff\x80", 8)];
        let (ours, theirs) = (ours.call_args(&args), theirs.call_args(&args));
        let (ours, theirs) = (compare::sorted(ours.items()), compare::sorted(theirs.items()));
        assert_eq!(ours, theirs, "{}", run::shown(&args));
    }
}
