//! A program that embeds the engine, and is killed.

use mainstay::commands::Settings;
use mainstay::engine::{Engine, Machine};
use mainstay::log::Options;
use mainstay::session::Client;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Names the directory of the data set to the program.
const DIR: &str = "MAINSTAY_EMBEDDING_DIR";
/// What the program prints before the number of each write that it knows to be durable.
const ACKNOWLEDGED: &str = "acknowledged ";

fn open(dir: &Path) -> Engine {
    let settings = Settings::default();
    let opened = Engine::open(Machine::real(), dir, 16, settings, Options::default());
    let engine = opened.expect("the directory can be opened").0;
    engine.start();
    engine
}

#[test]
#[ignore = "the program that the other test runs and kills"]
fn program() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let (engine, mut client) = (open(Path::new(&dir)), Client::default());
    for number in 0.. {
        let number = number.to_string();
        let words: [&[u8]; 3] = [b"RPUSH", b"numbers", number.as_bytes()];
        let (outcome, reply) = client.run(&mut engine.lock(), &words);
        assert_eq!(reply[0], b':');
        engine.wait(&outcome).expect("the write is durable");
        println!("{ACKNOWLEDGED}{number}");
    }
}

#[test]
fn a_program_that_is_killed_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut acknowledged = 0;
    for round in 1..=3 {
        let mut program = Command::new(std::env::current_exe().expect("this program"))
            .args(["program", "--exact", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = program.stdout.take().expect("its output is read");
        let mut count = 0;
        for line in BufReader::new(output).lines() {
            count += usize::from(line.expect("text").starts_with(ACKNOWLEDGED));
            if count == 100 {
                // SIGKILL. What it has printed by then is still read.
                program.kill().expect("it can be killed");
            }
        }
        program.wait().expect("it has ended");
        assert!(count >= 100, "round {round}: it acknowledged {count} writes");
        acknowledged += count;
        let (engine, mut client) = (open(dir.path()), Client::default());
        let (_, reply) = client.run(&mut engine.lock(), &[b"LLEN", b"numbers"]);
        let reply = String::from_utf8(reply).expect("text");
        let len: usize = reply[1..].trim_end().parse().expect("a number");
        // Of each round, one write may be durable that the program did not print.
        assert!((acknowledged..=acknowledged + round).contains(&len), "{len} of {acknowledged}");
        engine.close().expect("the log is closed");
    }
}
