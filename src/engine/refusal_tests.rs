//! A log that fails or heals in the middle of a transaction: whether it took writes when the transaction began
//! holds for all of it.

use super::recovery_tests::{close, contents, open};
use super::{Engine, Outcome};
use crate::commands::Spec;
use crate::commands::testing::words;
use crate::disk::SimDisk;
use crate::env::SimClock;
use crate::log::Log;
use crate::resp::Output;
use crate::session::{Later, Observed, Request, Row, Session, Table, Way};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

/// What happens to the log at the moment of `LASTSAVE`.
struct Moment(fn(&Log));

static ROWS: [Row<Moment>; 1] = [Row::engine(Spec::host("lastsave", 1), |call, _| {
    assert!(call.unit.in_exec());
    (call.host.0)(call.unit.log().expect("there is one"));
    call.reply.ok();
    Ok(())
})];

static TABLE: LazyLock<Table<Moment>> = LazyLock::new(|| Table::new(&[&ROWS]));

fn fail(log: &Log) {
    let ticket = log.begin_sync();
    log.finish_sync(ticket, Err(io::Error::other("the disk is gone")));
    assert!(log.is_refusing());
}

fn heal(log: &Log) {
    log.heal();
    assert!(!log.is_refusing());
}

fn nothing(_: &Log) {}

/// Executes commands of one client, the last of which has this outcome and reply.
fn run(engine: &Engine, moment: fn(&Log), lines: &[&str]) -> (Outcome, String) {
    let (mut session, mut last) = (Session::default(), None);
    for line in lines {
        let (args, mut reply) = (words(line), Output::default());
        let mut way = Way {
            table: &*TABLE,
            session: &mut session,
            host: &mut Moment(moment),
            observed: &mut Observed::default(),
            later: &mut Later::default(),
        };
        let args = args.as_args();
        let resolved = TABLE.directory().resolve(args);
        let request = Request { resolved: resolved.as_ref().copied(), args };
        let outcome = way.request(&mut engine.lock(), &request, &mut reply);
        last = Some((outcome, String::from_utf8(reply.to_vec()).expect("text")));
    }
    last.expect("a command")
}

/// An engine with keys of which those named `old…` have expired, though nobody has looked since.
fn with_expired_keys() -> (SimDisk, Arc<SimClock>, Engine) {
    let (disk, clock) = (SimDisk::new(), SimClock::new(1_700_000_000_000));
    let engine = open(&disk, &clock, 0).0;
    let lines = [
        "RPUSH old_list a b",
        "PEXPIRE old_list 10",
        "SADD old_set a",
        "PEXPIRE old_set 10",
        "SET old_number 7 PX 10",
        "SET old_text x PX 10",
        "SET old_read x PX 10",
        "SET new x",
    ];
    run(&engine, nothing, &lines);
    clock.advance_us(20_000);
    (disk, clock, engine)
}

#[test]
fn a_transaction_in_which_the_log_fails_deletes_expired_keys_to_its_end() {
    let (disk, clock, engine) = with_expired_keys();
    let transaction = [
        "MULTI",
        "LASTSAVE",
        "RPUSH old_list c",
        "SADD old_set b",
        "INCR old_number",
        "APPEND old_text y",
        "GET old_read",
        "SET new y",
        "EXEC",
    ];
    let (outcome, reply) = run(&engine, fail, &transaction);
    // It has run, and what it did is not durable.
    assert!(outcome.wrote);
    assert!(reply.starts_with("-MISCONF "), "{reply}");
    let log = engine.log().expect("there is one");
    heal(&log);
    // Nothing of what had expired is in what came after it.
    let values = [
        "MULTI",
        "LRANGE old_list 0 -1",
        "SMEMBERS old_set",
        "GET old_number",
        "GET old_text",
        "EXISTS old_read",
        "GET new",
        "DBSIZE",
        "EXEC",
    ];
    let expected = "*7\r\n*1\r\n$1\r\nc\r\n*1\r\n$1\r\nb\r\n$1\r\n1\r\n$1\r\ny\r\n:0\r\n$1\r\ny\r\n\
        :5\r\n";
    assert_eq!(run(&engine, nothing, &values).1, expected);

    let before = contents(&engine, false);
    let (killed, lsn) = open(&disk.snapshot().after_kill(), &clock, 1);
    assert_eq!((contents(&killed, false), lsn), (before.clone(), log.durable_lsn()));
    close(&log);
    let (started, _) = open(&disk.snapshot().after_kill(), &clock, 2);
    assert_eq!(contents(&started, false), before);
}

#[test]
fn a_transaction_in_which_the_log_heals_leaves_expired_keys_to_its_end() {
    let (_disk, _clock, engine) = with_expired_keys();
    let log = engine.log().expect("there is one");
    // What is there is durable, so that it can be shown while the log has failed.
    heal(&log);
    fail(&log);
    let count = contents(&engine, false).len();
    let reads = ["MULTI", "GET old_text", "LASTSAVE", "GET old_read", "LLEN old_list", "EXEC"];
    let (outcome, reply) = run(&engine, heal, &reads);
    assert_eq!(reply, "*4\r\n$-1\r\n+OK\r\n$-1\r\n:0\r\n");
    assert!(!outcome.wrote);
    assert_eq!(contents(&engine, false).len(), count);
    // The next unit asks anew.
    assert!(run(&engine, nothing, &["GET old_read"]).0.wrote);
    assert_eq!(contents(&engine, false).len(), count - 1);
}

fn panics(_: &Log) {
    panic!("on purpose");
}

#[test]
fn a_panic_within_a_transaction_discards_it_and_poisons_the_engine() {
    let (disk, clock, engine) = with_expired_keys();
    let before = contents(&engine, true);
    let log = engine.log().expect("there is one");
    let appended = log.appended_lsn();
    let lines = ["MULTI", "SET half x", "LASTSAVE", "SET other x", "EXEC"];
    catch_unwind(AssertUnwindSafe(|| run(&engine, panics, &lines))).expect_err("a panic");
    catch_unwind(AssertUnwindSafe(|| engine.lock().lsn())).expect_err("the engine is poisoned");
    assert_eq!(log.appended_lsn(), appended, "nothing was logged");
    log.submit();
    drop((engine, log));
    let again = open(&disk, &clock, 0).0;
    assert_eq!(contents(&again, true), before);
}
