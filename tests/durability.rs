//! Durability against a disk that is slow, fails or is full, with the real binary. System calls are
//! held up and made to fail by strace.

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::*;

/// Every sync takes at least this long in the tests of a slow disk.
const SYNC: Duration = Duration::from_millis(300);
const SLOW_SYNCS: &str = "fdatasync:delay_enter=300000";

fn no_strace(test: &str) -> bool {
    let missing = !command_exists("strace");
    if missing {
        skip(test, "strace is not installed");
    }
    missing
}

fn slow_server() -> (Setup, Server) {
    let mut setup = Setup::new(&["--appendfsync", "always"]);
    setup.inject(Some(SLOW_SYNCS));
    let server = setup.start();
    (setup, server)
}

#[test]
fn a_set_takes_at_least_one_sync_and_fifty_at_once_share_few() {
    if no_strace("syncs are shared") {
        return;
    }
    let (_setup, server) = slow_server();
    let mut client = server.client();
    let start = Instant::now();
    assert_eq!(client.call("SET first 1"), ok());
    assert!(start.elapsed() >= SYNC, "acknowledged after {:?}", start.elapsed());

    let syncs = |client: &mut Client| -> u64 { info(client, "log_syncs").parse().unwrap() };
    let before = syncs(&mut client);
    let mut clients: Vec<Client> = (0..50).map(|_| server.client()).collect();
    let start = Instant::now();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&format!("SET {number} v"));
    }
    for client in &mut clients {
        assert_eq!(client.read(), ok());
    }
    assert!(start.elapsed() >= SYNC);
    let used = syncs(&mut client) - before;
    // Two if they are sent within one sync; a machine under load may need longer to send them.
    assert!((1..=4).contains(&used), "{used} syncs for 50 writes at once");
    assert_eq!(client.call("DBSIZE"), int(51));
}

#[test]
fn a_read_of_an_old_key_does_not_wait_for_a_write_under_way() {
    if no_strace("old keys are read at once") {
        return;
    }
    let (_setup, server) = slow_server();
    let (mut writer, mut reader) = (server.client(), server.client());
    assert_eq!(writer.call("SET old 1"), ok());
    // If reads waited, the write would have its reply when the second of them has its own. A machine
    // under load may need longer than a sync for them: then another write is tried.
    let seen = (0..10).any(|number| {
        writer.send(&format!("SET new{number} 1"));
        for _ in 0..5 {
            assert_eq!(reader.call("GET old"), bulk("1"));
            assert_eq!(reader.call("PING"), status("PONG"));
        }
        let pending = writer.is_silent();
        assert_eq!(writer.read(), ok());
        pending
    });
    assert!(seen, "reads of an old key came no earlier than the reply to a write");
}

/// A write, and a reader that may not show it before it is durable.
struct Sight {
    /// A command that is done and durable before.
    before: &'static str,
    /// Commands that the reader's own connection has sent before, up to the one that reads.
    prepare: &'static [&'static str],
    write: &'static str,
    read: &'static str,
    /// Whether the reply shows the write.
    shows: fn(&Value) -> bool,
}

fn sight(write: &'static str, read: &'static str, shows: fn(&Value) -> bool) -> Sight {
    Sight { before: "PING", prepare: &[], write, read, shows }
}

fn sight_of_change(
    before: &'static str,
    write: &'static str,
    read: &'static str,
    shows: fn(&Value) -> bool,
) -> Sight {
    Sight { before, ..sight(write, read, shows) }
}

/// The number of keys that `INFO keyspace` shows.
fn keys_of_db0(reply: &Value) -> u64 {
    let text = reply.text();
    let (_, rest) = text.split_once("db0:keys=").expect("database 0");
    rest.split(',').next().and_then(|count| count.parse().ok()).expect("a number")
}

/// Runs the writes, then each reader on a connection of its own. No reply that shows a write may come
/// earlier than a sync after the write was sent; and every reader must have come late enough to show
/// its write.
fn check_sights(server: &Server, sights: &[Sight]) {
    let mut writer = server.client();
    writer.call_all(sights.iter().map(|sight| sight.before));
    let mut readers: Vec<Client> = sights.iter().map(|_| server.client()).collect();
    for (reader, sight) in readers.iter_mut().zip(sights) {
        reader.call_all(sight.prepare.iter().copied());
    }
    let start = Instant::now();
    writer.send_all(sights.iter().map(|sight| sight.write));
    // The writes are executed first unless the machine is much slower than this; then nothing is shown.
    std::thread::sleep(Duration::from_millis(50));
    std::thread::scope(|scope| {
        for (mut reader, sight) in readers.drain(..).zip(sights) {
            scope.spawn(move || {
                let reply = reader.call(sight.read);
                let after = start.elapsed();
                let Sight { write, read, shows, .. } = sight;
                assert!(shows(&reply), "{read} does not show {write}: {reply:?}");
                assert!(after >= SYNC, "{read} shows {write} after {after:?}: {reply:?}");
            });
        }
    });
    for (reply, sight) in writer.read_many(sights.len()).iter().zip(sights) {
        assert!(!matches!(reply, Value::Error(_)), "{}: {reply:?}", sight.write);
    }
}

#[test]
fn nothing_shows_a_write_before_it_is_durable() {
    if no_strace("undurable writes are hidden") {
        return;
    }
    let (_setup, server) = slow_server();
    assert_eq!(server.client().call("SET durable 1"), ok());
    check_sights(
        &server,
        &[
            sight("SET a1 new", "GET a1", |reply| *reply == bulk("new")),
            sight("SET a2 new", "SETNX a2 x", |reply| *reply == int(0)),
            sight("SET a3 new", "SET a3 x NX", |reply| *reply == Value::Nil),
            sight("SET a4 new", "EXISTS a4", |reply| *reply == int(1)),
            sight("SET a5 new", "MGET x a5", |reply| reply.items()[1] == bulk("new")),
            sight("SET a6 new", "STRLEN a6", |reply| *reply == int(3)),
            sight("SET a7 new", "TYPE a7", |reply| *reply == status("string")),
            sight("SET a8 new", "INCR a8", |reply| reply.is_error("ERR value is not an integer")),
            sight("SET a9 new", "MSETNX other v a9 v", |reply| *reply == int(0)),
            sight("SET b1 new", "OBJECT ENCODING b1", |reply| *reply == bulk("embstr")),
            sight("SET b2 new", "RENAMENX durable b2", |reply| *reply == int(0)),
            sight("SET b3 new", "COPY durable b3", |reply| *reply == int(0)),
            sight("SET b4 new", "LCS b4 b4 LEN", |reply| *reply == int(3)),
            sight("SET b5 new", "TTL b5", |reply| *reply == int(-1)),
            sight("SET b6 new", "GETRANGE b6 0 -1", |reply| *reply == bulk("new")),
            sight("SET b7 new", "TOUCH b7", |reply| *reply == int(1)),
            sight("SET b8 new", "KEYS b8", |reply| reply.items().len() == 1),
            sight("SET b9 new", "SCAN 0 MATCH b9 COUNT 1000", |reply| {
                reply.items()[1].items().len() == 1
            }),
            sight("SET c1 new", "DBSIZE", |reply| reply.int() > 20),
            sight("SET c2 new", "INFO keyspace", |reply| keys_of_db0(reply) > 20),
            sight_of_change("SET d1 x", "DEL d1", "GET d1", |reply| *reply == Value::Nil),
            sight_of_change("SET d2 x", "DEL d2", "DEL d2", |reply| *reply == int(0)),
            sight_of_change("SET d3 x", "EXPIRE d3 99", "TTL d3", |reply| reply.int() > 0),
            sight_of_change("SET d4 x EX 99", "PERSIST d4", "PERSIST d4", |r| *r == int(0)),
            sight_of_change("SET d5 x", "MOVE d5 5", "EXISTS d5", |reply| *reply == int(0)),
            sight_of_change("SET d6 x", "RENAME d6 d7", "EXISTS d6 d7", |reply| *reply == int(1)),
            sight_of_change("SET d8 x", "EXPIRE d8 99", "EXPIRE d8 9 GT", |r| *r == int(0)),
            sight_of_change("SET d9 x", "APPEND d9 y", "STRLEN d9", |reply| *reply == int(2)),
            Sight {
                prepare: &["WATCH e1", "MULTI", "PING"],
                ..sight("SET e1 new", "EXEC", |reply| *reply == Value::NilArray)
            },
            Sight {
                prepare: &["MULTI", "PING", "GET e2"],
                ..sight("SET e2 new", "EXEC", |reply| reply.items()[1] == bulk("new"))
            },
        ],
    );
}

#[test]
fn nothing_shows_a_flush_or_a_swap_before_it_is_durable() {
    if no_strace("undurable flushes are hidden") {
        return;
    }
    let (_setup, server) = slow_server();
    for (write, read) in [
        ("FLUSHALL", "GET a"),
        ("FLUSHDB", "EXISTS a"),
        ("FLUSHALL", "DBSIZE"),
        ("FLUSHALL", "RANDOMKEY"),
        ("SWAPDB 0 1", "GET a"),
        ("FLUSHALL", "DEL a"),
        ("FLUSHALL", "KEYS *"),
    ] {
        let shows =
            |reply: &Value| matches!(reply, Value::Nil | Value::Int(0)) || *reply == array([]);
        check_sights(&server, &[sight_of_change("SET a x", write, read, shows)]);
        assert_eq!(server.client().call("FLUSHALL"), ok());
    }
}

#[test]
fn switching_to_always_waits_until_all_that_was_visible_is_durable() {
    if no_strace("switching to always waits") {
        return;
    }
    let mut setup = Setup::new(&["--appendfsync", "no"]);
    setup.inject(Some(SLOW_SYNCS));
    let server = setup.start();
    let mut client = server.client();
    // Nothing syncs this by itself.
    assert_eq!(client.call("SET k v"), ok());
    assert_ne!(info(&mut client, "log_lag_bytes"), "0");
    let mut other = server.client();
    let start = Instant::now();
    client.send("CONFIG SET appendfsync always");
    assert_eq!(client.read(), ok());
    assert!(start.elapsed() >= SYNC, "after {:?}", start.elapsed());
    assert_eq!(info(&mut other, "log_lag_bytes"), "0");
    let start = Instant::now();
    assert_eq!(client.call("SET k w"), ok());
    assert!(start.elapsed() >= SYNC);
}

/// Writers that go on through errors and lost connections, and remember what was acknowledged.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<BTreeMap<u64, u64>>>,
}

/// What a writer's key holds after a step.
fn load_value(writer: usize, step: u64, bytes: usize) -> Vec<u8> {
    let mut value = format!("{writer}.{step}:").into_bytes();
    value.extend(noise(bytes, step));
    value
}

/// Writer and step as a key; every writer uses so many keys again and again.
fn load_key(writer: usize, step: u64) -> String {
    format!("{writer}:{}", step % 200)
}

impl Load {
    fn start(port: u16, writers: usize, bytes: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (acknowledged, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let threads = (0..writers)
            .map(|writer| {
                let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
                let refused = refused.clone();
                std::thread::spawn(move || {
                    // Slot to the last step that was acknowledged there.
                    let mut last = BTreeMap::new();
                    let mut client = Client::connect(port);
                    let mut step = 0;
                    while !stop.load(Ordering::Relaxed) {
                        step += 1;
                        let value = load_value(writer, step, bytes);
                        let key = load_key(writer, step);
                        let mut command = Vec::new();
                        Client::encode(&mut command, &[b"SET", key.as_bytes(), &value]);
                        match client.try_send_bytes(&command).and_then(|()| client.try_read()) {
                            Ok(Value::Status(text)) if text == "OK" => {
                                last.insert(step % 200, step);
                                acknowledged.fetch_add(1, Ordering::Relaxed);
                            }
                            Ok(reply) => {
                                assert!(reply.is_error("MISCONF "), "{reply:?}");
                                refused.fetch_add(1, Ordering::Relaxed);
                                let unknown = reply.is_error("MISCONF outcome unknown");
                                if unknown {
                                    assert!(client.is_closed(), "what it sent next has no meaning");
                                    client = Client::connect(port);
                                }
                                std::thread::sleep(Duration::from_millis(5));
                            }
                            // The server was killed.
                            Err(_) if stop.load(Ordering::Relaxed) => return last,
                            Err(error) => panic!("writer {writer} lost its connection: {error}"),
                        }
                    }
                    last
                })
            })
            .collect();
        Self { stop, acknowledged, refused, threads }
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits for so many more acknowledged writes.
    fn wait_for_more(&self, count: u64) {
        let target = self.acknowledged() + count;
        eventually("writes are acknowledged", || (self.acknowledged() >= target).then_some(()));
    }

    /// Kills the server under load; gives each writer's last acknowledged step by slot.
    fn kill(self, server: Server) -> Vec<BTreeMap<u64, u64>> {
        self.stop.store(true, Ordering::Relaxed);
        server.kill();
        self.threads.into_iter().map(|thread| thread.join().expect("wrote")).collect()
    }
}

/// Every slot holds what was acknowledged last, or something that was sent later.
fn check_load(client: &mut Client, written: &[BTreeMap<u64, u64>], bytes: usize) {
    for (writer, last) in written.iter().enumerate() {
        for (&slot, &step) in last {
            let Value::Bulk(found) = client.call(&format!("GET {writer}:{slot}")) else {
                panic!("acknowledged step {step} of writer {writer} is lost");
            };
            let head = found.split(|&byte| byte == b':').next().unwrap_or_default();
            let head = String::from_utf8_lossy(head);
            let (_, found_step) = head.split_once('.').expect("writer and step");
            let found_step: u64 = found_step.parse().expect("a step");
            assert!(found_step >= step, "slot {slot} of {writer}: {found_step}, not {step}");
            assert_eq!(found_step % 200, slot);
            assert!(
                found == load_value(writer, found_step, bytes),
                "value of {writer}.{found_step}"
            );
        }
    }
}

fn failing_syncs(mode: &str) {
    if no_strace("failing syncs") {
        return;
    }
    let mut setup = Setup::new(&["--appendfsync", mode, "--log-segment-size", "1mb"]);
    setup.inject(Some("fdatasync:error=EIO:when=30..40"));
    let server = setup.start();
    let mut reader = server.client();
    assert_eq!(reader.call("SET old 1"), ok());
    reader.call("WAITAOF 1 0 0");
    let load = Load::start(server.port, 4, 500);
    let failures = |reader: &mut Client| {
        let text = reader.call("INFO persistence");
        let text = text.text();
        let count = text.lines().find_map(|line| line.strip_prefix("log_sync_failures:"));
        count.expect("a field").parse::<u64>().expect("a number")
    };
    eventually("a sync fails", || {
        assert_eq!(reader.call("GET old"), bulk("1"), "reads go on");
        (failures(&mut reader) > 0).then_some(())
    });
    eventually("a write is refused", || {
        assert_eq!(reader.call("GET old"), bulk("1"), "reads go on");
        (load.refused() > 0).then_some(())
    });
    eventually("the log heals", || {
        assert_eq!(reader.call("GET old"), bulk("1"), "reads go on");
        (info(&mut reader, "aof_last_write_status") == "ok").then_some(())
    });
    load.wait_for_more(200);
    // Under the other modes what follows the last sync is safe from a killed process only.
    let written = load.kill(server);
    setup.inject(None);
    let server = setup.start();
    check_load(&mut server.client(), &written, 500);
    assert_eq!(server.client().call("GET old"), bulk("1"));
}

#[test]
fn writes_are_refused_while_syncs_fail_and_resume_by_themselves_under_always() {
    failing_syncs("always");
}

#[test]
fn writes_are_refused_while_syncs_fail_and_resume_by_themselves_under_everysec() {
    failing_syncs("everysec");
}

#[test]
fn a_huge_value_and_a_transaction_larger_than_a_segment_survive_a_kill() {
    let mib = if full_scale() { 512 } else { 40 };
    let setup = Setup::new(&["--log-segment-size", "1mb"]);
    let server = setup.start();
    let mut client = server.client();
    let huge = noise(mib << 20, 1);
    assert_eq!(client.call_args(&[&b"SET"[..], b"noise", &huge]), ok());
    let text = b"to be compressed. ".repeat((mib << 20) / 18);
    assert_eq!(client.call_args(&[&b"SET"[..], b"text", &text]), ok());
    client.send("MULTI");
    for number in 0..60 {
        let key = format!("t{number}");
        client.send_args(&[&b"SET"[..], key.as_bytes(), &noise(100_000, number)]);
    }
    client.send("EXEC");
    assert_eq!(client.read(), ok());
    (0..60).for_each(|_| assert_eq!(client.read(), status("QUEUED")));
    assert_eq!(client.read(), array((0..60).map(|_| ok())));
    server.kill();
    let server = setup.start();
    let mut client = server.client();
    let is = |client: &mut Client, key: &str, expected: &[u8]| {
        // Not `assert_eq`: nobody wants to see them.
        matches!(client.call(&format!("GET {key}")), Value::Bulk(found) if found == expected)
    };
    assert!(is(&mut client, "noise", &huge));
    assert!(is(&mut client, "text", &text));
    for number in 0..60 {
        assert!(is(&mut client, &format!("t{number}"), &noise(100_000, number)));
    }
    assert_eq!(client.call("DBSIZE"), int(62));
}

/// A small file system of its own.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "mainstay-test"]).arg(dir.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self { dir })
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

fn full_disk(mode: &str) {
    let Some(disk) = SmallDisk::mount("24m") else {
        eprintln!("SKIPPED: a full disk: no right to mount a file system");
        return;
    };
    std::fs::write(disk.ballast(), vec![1; 12 << 20]).unwrap();
    let setup = Setup::new(&["--appendfsync", mode, "--log-segment-size", "1mb"]);
    let setup = setup.data_in(&disk.path().join("data"));
    let server = setup.start();
    let mut reader = server.client();
    assert_eq!(reader.call("SET old 1"), ok());
    reader.call("WAITAOF 1 0 0");
    let load = Load::start(server.port, 4, 10_000);
    eventually("the disk is full", || (load.refused() > 100).then_some(()));
    for _ in 0..100 {
        assert_eq!(reader.call("GET old"), bulk("1"), "reads go on");
    }
    let refusal = reader.call("SET other 1");
    assert!(refusal.is_error("MISCONF Errors writing to the log: "), "{refusal:?}");
    assert!(format!("{refusal:?}").contains("No space left on device"), "{refusal:?}");
    let cause = info(&mut reader, "log_failure");
    assert!(cause.contains("No space left on device"), "{cause}");
    std::fs::remove_file(disk.ballast()).unwrap();
    load.wait_for_more(100);
    eventually("nothing fails any more", || {
        let fields = ["log_failure", "log_prepare_failure"];
        fields.iter().all(|field| info(&mut reader, field).is_empty()).then_some(())
    });
    let written = load.kill(server);
    let server = setup.start();
    check_load(&mut server.client(), &written, 10_000);
    assert_eq!(server.client().call("GET old"), bulk("1"));
    server.stop();
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room_under_always() {
    full_disk("always");
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room_under_everysec() {
    full_disk("everysec");
}

/// The names and contents of a directory's files.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn a_start_without_room_serves_what_is_durable_and_takes_writes_once_there_is_room() {
    let mut setup = Setup::new(&["--appendfsync", "no"]);
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("SET durable 1"), ok());
    assert_eq!(client.call("WAITAOF 1 0 0"), array([int(1), int(0)]));
    // Its frame attests what was durable before it, and nothing attests the frame itself.
    assert_eq!(client.call("SET younger 1"), ok());
    server.kill();

    // Enough for the manifest, not for a segment.
    setup.limit_files(Some(4096));
    let server = setup.start();
    server.wait_for_log("Writing cannot begin: ");
    let before = files(&setup.log_dir());
    let mut client = server.client();
    assert_eq!(client.call("GET durable"), bulk("1"));
    assert!(client.call("GET younger").is_error("MISCONF "));
    assert!(client.call("EXISTS younger").is_error("MISCONF "));
    assert!(client.call("SET durable 2").is_error("MISCONF "));
    assert!(client.call("DBSIZE").is_error("MISCONF "), "it tells of all keys");
    assert!(info(&mut client, "log_failure").contains("File too large"));
    eventually("it was tried again", || {
        let failures = info(&mut client, "log_sync_failures");
        (failures.parse::<u64>().expect("a number") >= 3).then_some(())
    });
    assert!(files(&setup.log_dir()) == before, "something was changed");

    server.unlimit_files();
    eventually("writes are taken", || (client.call("SET other 1") == ok()).then_some(()));
    assert_eq!(client.call("GET younger"), bulk("1"));
    assert_eq!(client.call("DBSIZE"), int(3));
    server.kill();
    setup.limit_files(None);
    assert_eq!(setup.start().client().call("DBSIZE"), int(3));
}

#[test]
fn a_segment_that_cannot_be_prepared_is_reported_before_writes_are_refused_for_it() {
    let Some(disk) = SmallDisk::mount("24m") else {
        eprintln!("SKIPPED: a segment that cannot be prepared: no right to mount a file system");
        return;
    };
    let setup = Setup::new(&["--log-segment-size", "1mb"]).data_in(&disk.path().join("data"));
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("SET before 1"), ok());
    disk.fill();
    // The next segment is wanted once a quarter of this one is used, and needed when a quarter is left.
    assert_eq!(client.call_args(&[b"SET", b"half".as_slice(), &noise(500_000, 1)]), ok());
    eventually("the cause is shown", || {
        info(&mut client, "log_prepare_failure").contains("No space left on device").then_some(())
    });
    assert_eq!(info(&mut client, "log_failure"), "");
    assert_eq!(client.call("SET small 1"), ok(), "there is room for this one");
    assert_eq!(client.call_args(&[b"SET", b"most".as_slice(), &noise(350_000, 2)]), ok());
    let refusal = client.call("SET other 1");
    assert!(refusal.is_error("MISCONF Errors writing to the log: "), "{refusal:?}");
    assert!(format!("{refusal:?}").contains("No space left on device"), "{refusal:?}");
    assert_eq!(client.call("GET small"), bulk("1"), "reads go on");
    assert_eq!(
        info(&mut client, "log_sync_failures"),
        "0",
        "nothing that was executed had to fail"
    );

    std::fs::remove_file(disk.ballast()).unwrap();
    eventually("writes are taken again", || (client.call("SET other 1") == ok()).then_some(()));
    assert_eq!(info(&mut client, "log_prepare_failure"), "");
    server.kill();
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("DBSIZE"), int(5));
    server.stop();
}

#[test]
fn when_the_log_fails_a_reader_gets_as_many_replies_as_it_sent_commands() {
    if no_strace("replies keep their number") {
        return;
    }
    let mut setup = Setup::new(&["--appendfsync", "always"]);
    // The second sync, that of `SET k`, is slow and then fails.
    setup.inject(Some("fdatasync:error=EIO:delay_enter=500000:when=6+"));
    let server = setup.start();
    let (mut writer, mut reader) = (server.client(), server.client());
    for number in 0..20 {
        writer.send(&format!("SET k new{number}"));
        // One packet each, so that each is a batch of its own.
        for command in ["GET k", "GET old", "PING"] {
            reader.send(command);
            std::thread::sleep(Duration::from_millis(5));
        }
        let replies = reader.read_many(3);
        assert!(
            replies[0].is_error("MISCONF") || replies[0] == bulk(&format!("new{number}")),
            "{replies:?}"
        );
        assert!(replies[1] == Value::Nil || replies[1].is_error("MISCONF"), "{replies:?}");
        assert_eq!(replies[2], status("PONG"));
        if writer.read().is_error("MISCONF") {
            return;
        }
    }
    panic!("no sync failed");
}

#[test]
fn a_client_whose_write_failed_does_not_wait_for_a_key_any_more() {
    if no_strace("the end of a wait behind a write that failed") {
        return;
    }
    let mut setup = Setup::new(&["--appendfsync", "always"]);
    setup.inject(Some("fdatasync:error=EIO:when=6..7"));
    let server = setup.start();
    let failed = (0..20).any(|_| {
        let mut client = server.client();
        client.send_bytes(b"SET a 1\r\nBLPOP q 0\r\n");
        let reply = client.read();
        let failed = reply != ok();
        if failed {
            assert!(reply.is_error("MISCONF outcome unknown"), "{reply:?}");
            assert!(client.is_closed());
        }
        failed
    });
    assert!(failed, "no sync failed");
    let mut other = server.client();
    eventually("writes are taken again", || (other.call("SET b 1") == ok()).then_some(()));
    eventually("nobody waits", || (info(&mut other, "blocked_clients") == "0").then_some(()));
    assert_eq!(other.call("RPUSH q el"), int(1));
    assert_eq!(other.call("LRANGE q 0 -1"), array([bulk("el")]));
}

#[test]
fn the_log_can_be_switched_off_while_syncs_fail() {
    if no_strace("switching a failing log off") {
        return;
    }
    let mut setup = Setup::new(&["--enable-protected-configs", "local"]);
    setup.inject(Some("fdatasync:error=EIO:when=12+"));
    let server = setup.start();
    let mut writer = server.client();
    eventually("a write fails", || {
        let answered = writer.try_send_bytes(b"SET k before\r\n").is_ok();
        let reply = answered.then(|| writer.try_read().ok()).flatten();
        (reply != Some(ok())).then_some(())
    });
    let mut client = server.client();
    assert!(client.call("SET k x").is_error("MISCONF"));
    eventually("each attempt to heal counts", || {
        let failures = info(&mut client, "log_sync_failures");
        (failures.parse::<u64>().expect("a number") >= 3).then_some(())
    });
    assert_eq!(client.call("CONFIG SET appendonly no"), ok());
    assert_eq!(client.call("SET k after"), ok());
    assert_eq!(client.call("GET k"), bulk("after"));
    server.wait_for_log("'appendonly' was switched off");
}

#[test]
fn a_log_that_could_not_be_closed_can_be_followed_by_another() {
    if no_strace("a log that cannot be closed") {
        return;
    }
    let mut setup = Setup::new(&["--appendonly", "no", "--enable-protected-configs", "local"]);
    // The two before are those of the beginning; each thread counts its own.
    setup.inject(Some("rename:error=EIO:when=3"));
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("CONFIG SET appendonly yes"), ok());
    assert_eq!(client.call("SET a 1"), ok());
    let reply = client.call("CONFIG SET appendonly no maxclients 100");
    assert!(reply.is_error("ERR CONFIG SET failed"), "{reply:?}");
    assert!(format!("{reply:?}").contains("is 'no' from now on"), "{reply:?}");
    assert_eq!(client.call("CONFIG GET appendonly").items()[1], bulk("no"));
    assert_eq!(client.call("CONFIG GET maxclients").items()[1], bulk("100"));
    assert_eq!(client.call("SET b 2"), ok());
    assert_eq!(client.call("CONFIG SET appendonly yes"), ok());
    assert_eq!(client.call("SET c 3"), ok());
    server.kill();
    setup.inject(None);
    setup.set_directives(&[]);
    let server = setup.start();
    assert_eq!(server.client().call("MGET a b c"), array(["1", "2", "3"].map(bulk)));
}

#[test]
fn the_names_of_the_data_directories_are_made_durable_at_every_start() {
    if no_strace("names of directories") {
        return;
    }
    let mut setup = Setup::new(&[]);
    let trace = setup.home().join("trace");
    setup.inject(Some("fsync:delay_enter=1"));
    setup.trace_to(&trace);
    // What is there may have been made by a process that was killed before it was durable.
    for start in ["made", "there already"] {
        setup.start().stop();
        let calls = std::fs::read_to_string(&trace).unwrap();
        for parent in [setup.home().to_owned(), setup.dir()] {
            let parent = format!("<{}>", parent.canonicalize().unwrap().display());
            let is_sync = |call: &str| call.contains("fsync(") && call.contains(&parent);
            assert!(calls.lines().any(is_sync), "{start}: {parent} is not synced:\n{calls}");
        }
    }
}
