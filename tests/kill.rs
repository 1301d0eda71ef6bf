//! `kill -9`, or a panic within a transaction, while clients write, again and again on the same
//! directory: what was acknowledged is there after the restart, with exact values; nothing is there
//! that nobody sent; and what survives is a prefix of the order in which it was executed.
//!
//! Every writer numbers its steps. A step appends the writer's name and number to a journal that all
//! writers share, so that the journal is the order of execution itself, and the reply to the append
//! says where in it the step stands. Before that it sets keys of its own, so that a step that is in the
//! journal without its keys, or keys without the journal's earlier steps, show a hole.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;
use support::*;

const WRITERS: usize = 6;
/// Kills after which a new directory is begun.
const KILLS_PER_DIR: u64 = 10;

/// The value that a step writes. Some are big enough to be compressed, and to make segments roll.
fn value(round: u64, writer: usize, step: u64) -> Vec<u8> {
    let mut bytes = format!("{round}.{writer}.{step}:").into_bytes();
    match step % 16 {
        3 => bytes.resize(6000, b'c'),
        9 => bytes.extend(noise(3000, step ^ round << 20)),
        _ => bytes.resize(20 + (step % 50) as usize, b'x'),
    }
    bytes
}

fn record(writer: usize, step: u64) -> String {
    format!("{writer}.{step};")
}

/// How a writer sends its steps.
#[derive(Clone, Copy)]
enum Style {
    /// One command at a time.
    Single,
    /// Several steps before a reply is read.
    Pipelined,
    /// Each step is a transaction.
    Transaction,
}

fn style(writer: usize) -> Style {
    [Style::Single, Style::Pipelined, Style::Transaction][writer % 3]
}

/// The key of a step, the key that holds a writer's last step, and the journal.
fn keys(round: u64, writer: usize, step: u64) -> (String, String, String) {
    (
        format!("{round}.{writer}.{step}"),
        format!("{round}.{writer}.last"),
        format!("journal.{round}"),
    )
}

/// What a writer knows in the end.
#[derive(Default)]
struct Written {
    /// Steps begun.
    sent: u64,
    /// For each acknowledged step, in order, the length of the journal behind it.
    journal_len: Vec<usize>,
    /// Steps whose own key was acknowledged: at least those in the journal.
    set: u64,
}

/// Writes until the server is gone.
fn write(port: u16, round: u64, writer: usize) -> Written {
    let mut written = Written::default();
    let Ok(mut client) = Client::try_connect(port) else { return written };
    let depth = if matches!(style(writer), Style::Pipelined) { 16 } else { 1 };
    loop {
        let mut commands = Vec::new();
        for step in written.sent..written.sent + depth {
            let (key, last, journal) = keys(round, writer, step);
            let (value, number) = (value(round, writer, step), step.to_string());
            let mut put = |args: &[&[u8]]| {
                let mut bytes = Vec::new();
                Client::encode(&mut bytes, args);
                commands.push(bytes);
            };
            if matches!(style(writer), Style::Transaction) {
                put(&[b"MULTI"]);
            }
            put(&[b"SET", key.as_bytes(), &value]);
            put(&[b"SET", last.as_bytes(), number.as_bytes()]);
            put(&[b"APPEND", journal.as_bytes(), record(writer, step).as_bytes()]);
            if matches!(style(writer), Style::Transaction) {
                put(&[b"EXEC"]);
            }
        }
        if let Style::Single = style(writer) {
            written.sent += 1;
            for (number, command) in commands.iter().enumerate() {
                let sent = client.try_send_bytes(command).and_then(|()| client.try_read());
                match (number, sent) {
                    (_, Err(_)) => return written,
                    (2, Ok(reply)) => written.journal_len.push(reply.int() as usize),
                    (_, Ok(reply)) => {
                        assert_eq!(reply, ok());
                        written.set += u64::from(number == 0);
                    }
                }
            }
            continue;
        }
        written.sent += depth;
        if client.try_send_bytes(&commands.concat()).is_err() {
            return written;
        }
        for _ in 0..depth {
            if let Style::Transaction = style(writer) {
                for expected in ["OK", "QUEUED", "QUEUED", "QUEUED"] {
                    match client.try_read() {
                        Ok(reply) => assert_eq!(reply, status(expected)),
                        Err(_) => return written,
                    }
                }
                let Ok(reply) = client.try_read() else { return written };
                written.set += 1;
                written.journal_len.push(reply.items()[2].int() as usize);
            } else {
                let Ok(reply) = client.try_read() else { return written };
                assert_eq!(reply, ok());
                written.set += 1;
                let Ok(reply) = client.try_read() else { return written };
                assert_eq!(reply, ok());
                let Ok(reply) = client.try_read() else { return written };
                written.journal_len.push(reply.int() as usize);
            }
        }
    }
}

/// What survived of a round: its journal, and how many of each writer's keys there are.
struct Survived {
    journal: Vec<u8>,
    keys: Vec<u64>,
}

/// Checks what a restarted server has of a round.
fn check(client: &mut Client, round: u64, written: &[Written]) -> Survived {
    let (_, _, journal) = keys(round, 0, 0);
    let journal = match client.call(&format!("GET {journal}")) {
        Value::Bulk(bytes) => bytes,
        Value::Nil => Vec::new(),
        other => panic!("the journal is {other:?}"),
    };
    // The journal consists of steps that were sent, each writer's without a gap.
    let mut in_journal = [0; WRITERS];
    let mut end_of = BTreeMap::new();
    let mut end = 0;
    let text = std::str::from_utf8(&journal).expect("a journal of text");
    assert!(text.is_empty() || text.ends_with(';'), "the journal ends within a step");
    for entry in text.split_terminator(';') {
        let (writer, step) = entry.split_once('.').expect("writer and step");
        let (writer, step): (usize, u64) = (writer.parse().unwrap(), step.parse().unwrap());
        assert_eq!(step, in_journal[writer], "round {round}: writer {writer} has a gap");
        assert!(step < written[writer].sent, "round {round}: nobody sent {entry}");
        in_journal[writer] += 1;
        end += entry.len() + 1;
        end_of.insert((writer, step), end);
    }
    let mut survived = Vec::new();
    for (writer, written) in written.iter().enumerate() {
        // What was acknowledged stands where the acknowledgement said.
        for (step, &len) in written.journal_len.iter().enumerate() {
            let found = end_of.get(&(writer, step as u64));
            assert_eq!(found, Some(&len), "round {round}: acknowledged step {writer}.{step}");
        }
        // The writer's keys are a prefix of what it sent, with exact values.
        let mut present = 0;
        let mut gone = false;
        for from in (0..written.sent).step_by(500) {
            let steps = from..(from + 500).min(written.sent);
            let mut args = vec!["MGET".to_owned()];
            args.extend(steps.clone().map(|step| keys(round, writer, step).0));
            let values = client.call_args(&args);
            for (step, found) in steps.zip(values.items()) {
                match found {
                    Value::Nil => gone = true,
                    found => {
                        assert!(!gone, "round {round}: a hole before {writer}.{step}");
                        let expected = Value::Bulk(value(round, writer, step));
                        assert!(*found == expected, "round {round}: value of {writer}.{step}");
                        present += 1;
                    }
                }
            }
        }
        assert!(present >= written.set, "round {round}: {present} of {} keys", written.set);
        // A step's keys come before its place in the journal, and after that of the step before.
        let journaled: u64 = in_journal[writer];
        match style(writer) {
            Style::Transaction => assert_eq!(present, journaled, "writer {writer}: torn"),
            _ => assert!(
                present == journaled || present == journaled + 1,
                "round {round}, writer {writer}: {present} keys, {journaled} in the journal"
            ),
        }
        let last = match client.call(&format!("GET {}", keys(round, writer, 0).1)) {
            Value::Nil => 0,
            last => last.text().parse::<u64>().unwrap() + 1,
        };
        assert!(
            last == present || last + 1 == present && last == journaled,
            "round {round}, writer {writer}: last is {last}, {present} keys"
        );
        survived.push(present);
    }
    Survived { journal, keys: survived }
}

/// How a server ends in the middle of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// `kill -9`.
    Kill,
    /// A panic between two writes of a transaction, which must leave nothing.
    Panic,
}

impl End {
    fn carry_out(self, server: Server) {
        match self {
            End::Kill => server.kill(),
            End::Panic => {
                let log =
                    server.panic(&["MULTI", "SET half:1 x", "DEBUG PANIC", "SET half:2 x", "EXEC"]);
                assert!(log.contains("has panicked at src/"), "{log}");
            }
        }
    }
}

fn kill_repeatedly(mode: &str, end: End) {
    let kills = if full_scale() { 100 } else { 10 };
    let mut random = Random(seed(7));
    let mut acknowledged = 0;
    let mut segments_max = 0;
    let mut setup = None;
    let mut history: Vec<(Vec<Written>, Survived)> = Vec::new();
    for kill in 0..kills {
        let round = kill % KILLS_PER_DIR;
        if round == 0 {
            history.clear();
            let directives = ["--appendfsync", mode, "--log-segment-size", "64kb"];
            let directives = [&directives[..], &["--enable-debug-command", "yes"]].concat();
            setup = Some(Setup::new(&directives));
        }
        let setup: &Setup = setup.as_ref().expect("begun with the first round");
        let server = setup.start();
        let port = server.port;
        let writers: Vec<_> =
            (0..WRITERS).map(|id| std::thread::spawn(move || write(port, round, id))).collect();
        std::thread::sleep(Duration::from_millis(30 + random.below(120)));
        end.carry_out(server);
        let written: Vec<Written> = writers.into_iter().map(|w| w.join().expect("wrote")).collect();
        acknowledged += written.iter().map(|w| w.journal_len.len()).sum::<usize>();
        if kill % 3 == 1 {
            // Killed again while it recovers, or just after.
            let server = setup.spawn();
            std::thread::sleep(Duration::from_millis(random.below(30)));
            server.kill();
        }
        let server = setup.start();
        let mut client = server.client();
        let survived = check(&mut client, round, &written);
        history.push((written, survived));
        // Rounds before this one are as they were when they were checked, to the key.
        let mut count = 0;
        for (old, (written, survived)) in history.iter().enumerate() {
            let journal = client.call(&format!("GET journal.{old}"));
            let expected = &survived.journal;
            assert!(
                journal == Value::Bulk(expected.clone())
                    || journal == Value::Nil && expected.is_empty(),
                "the journal of round {old} has changed"
            );
            count += usize::from(!expected.is_empty());
            for (writer, &keys) in survived.keys.iter().enumerate() {
                let last = client.call(&format!("EXISTS {old}.{writer}.last")).int();
                count += keys as usize + last as usize;
                assert!(written[writer].sent >= keys);
            }
        }
        assert_eq!(client.call("DBSIZE").int(), count as i64, "nothing else is there");
        if round + 1 == KILLS_PER_DIR {
            for (old, (written, survived)) in history.iter().enumerate() {
                let again = check(&mut client, old as u64, written);
                assert_eq!(again.keys, survived.keys, "round {old} has changed");
            }
        }
        let segments: usize = server.info("log_segments").parse().unwrap();
        segments_max = segments_max.max(segments);
        // Half of the servers that were checked are killed as well, the others are closed.
        if kill % 2 == 0 {
            server.kill();
        } else {
            server.stop();
        }
    }
    // Otherwise this has tested nothing.
    assert!(acknowledged as u64 > kills, "only {acknowledged} steps were acknowledged");
    assert!(segments_max > 5, "only {segments_max} segments");
    eprintln!(
        "{mode}, {end:?}: {kills} ends, {acknowledged} acknowledged steps, {segments_max} segments"
    );
}

#[test]
fn a_killed_server_loses_nothing_acknowledged_under_always() {
    kill_repeatedly("always", End::Kill);
}

#[test]
fn a_killed_server_loses_nothing_acknowledged_under_everysec() {
    kill_repeatedly("everysec", End::Kill);
}

#[test]
fn a_killed_server_loses_nothing_acknowledged_under_no() {
    kill_repeatedly("no", End::Kill);
}

#[test]
fn a_panicked_server_loses_nothing_acknowledged_under_always() {
    kill_repeatedly("always", End::Panic);
}

#[test]
fn a_panicked_server_loses_nothing_acknowledged_under_everysec() {
    kill_repeatedly("everysec", End::Panic);
}

#[test]
fn a_panicked_server_loses_nothing_acknowledged_under_no() {
    kill_repeatedly("no", End::Panic);
}
