//! Starting, ending, and what a start refuses.

use super::support::*;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn a_server_on_defaults_says_what_it_does_and_closes_cleanly() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let log = server.log();
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text:?} in\n{log}"));
    assert!(at(&format!(" PID: {}", server.pid())) < at("Server initialized"));
    assert!(at("Server initialized") < at("Ready to accept connections"));
    let lock = setup.log_dir().join("lock");
    assert!(!std::fs::read(&lock).unwrap().is_empty());
    let mut client = server.client();
    assert_eq!(client.call("SET k v"), ok());
    let log = server.stop();
    assert!(log.contains("Received SIGTERM"), "{log}");
    assert_eq!(std::fs::read(&lock).unwrap(), b"");
    let server = setup.start();
    assert_eq!(server.client().call("GET k"), bulk("v"));
    assert!(!server.log().contains("did not close"), "{}", server.log());
    server.signal(libc::SIGINT);
    let log = server.wait_for_success();
    assert!(log.contains("Received SIGINT"), "{log}");
    assert_eq!(std::fs::read(&lock).unwrap(), b"");
}

#[test]
fn sigterm_ends_a_server_under_load_and_with_watched_keys() {
    let setup = Setup::new(&["--appendfsync", "everysec"]);
    let server = setup.start();
    let mut watching = server.client();
    assert_eq!(watching.call("WATCH k"), ok());
    let port = server.port;
    let writers: Vec<_> = (0..4)
        .map(|id| {
            std::thread::spawn(move || {
                let mut client = Client::connect(port);
                for n in 0i64.. {
                    let line = format!("SET {id} {n}");
                    if client.try_send_bytes(&encoded(&line)).is_err() || client.try_read().is_err()
                    {
                        return n;
                    }
                }
                unreachable!()
            })
        })
        .collect();
    eventually("a load", || (watching.call("DBSIZE").int() == 4).then_some(()));
    server.stop();
    let acknowledged: Vec<i64> = writers.into_iter().map(|w| w.join().unwrap()).collect();
    let server = setup.start();
    let mut client = server.client();
    for (id, &count) in acknowledged.iter().enumerate() {
        let last: i64 = client.call(&format!("GET {id}")).text().parse().unwrap();
        assert!(last >= count - 1, "writer {id}: {last} of {count}");
    }
}

fn encoded(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    Client::encode(&mut bytes, &words(line));
    bytes
}

#[test]
fn a_second_server_on_the_same_directory_is_refused_by_name() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let refusal = setup.start_refused();
    assert!(refusal.contains(&server.pid().to_string()), "{refusal}");
    assert!(refusal.contains(&setup.log_dir().display().to_string()), "{refusal}");
    assert_eq!(server.client().call("PING"), status("PONG"));
}

/// Signals that do not end a server.
const SURVIVED: [i32; 4] = [libc::SIGHUP, libc::SIGPIPE, libc::SIGUSR2, libc::SIGALRM];

#[test]
fn the_end_of_a_terminal_is_not_the_end_of_a_server() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    for signal in SURVIVED {
        server.signal(signal);
        assert_eq!(server.client().call("PING"), status("PONG"), "{signal}");
    }
    let log = server.stop();
    assert!(log.contains("Received SIGTERM"), "{log}");
    assert_eq!(std::fs::read(setup.log_dir().join("lock")).unwrap(), b"");
}

#[test]
fn a_directory_with_data_is_not_served_without_it() {
    let mut setup = Setup::new(&[]);
    setup.start().stop();
    setup.set_directives(&["--appendonly", "no"]);
    let refusal = setup.start_refused();
    assert!(refusal.contains("refusing to start without it"), "{refusal}");
}

#[test]
fn the_command_line_is_checked_before_anything_happens() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = run_to_end(dir.path(), arguments);
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let (success, text) = run(&["--version"]);
    assert!(success && text.starts_with("Mainstay server v="), "{text}");
    let (success, text) = run(&["--help"]);
    assert!(success && text.contains("--test-config"), "{text}");
    let (success, text) = run(&["--test-config", "--port", "1234"]);
    assert!(success && text.contains("valid"), "{text}");
    let (success, text) = run(&["--test-config", "--appendonly", "no"]);
    assert!(success && text.contains("data are durable as of the last RDB file"), "{text}");

    let file = dir.path().join("bad.conf");
    std::fs::write(&file, "port 1234\n\nno-such-directive 1\n").unwrap();
    for arguments in [&["bad.conf"][..], &["--test-config", "bad.conf"]] {
        let (success, text) = run(arguments);
        assert!(!success, "{text}");
        assert!(text.contains("no-such-directive") && text.contains("line 3"), "{text}");
    }
    for (directive, value) in [
        ("requirepass", "secret"),
        ("maxmemory", "100mb"),
        ("cluster-enabled", "yes"),
        ("replicaof", "localhost 6379"),
        ("tls-port", "6380"),
    ] {
        let (success, text) = run(&[&format!("--{directive}"), value]);
        assert!(!success && text.contains(directive), "{directive}: {text}");
        assert!(!dir.path().join("data").exists(), "{directive}: nothing is begun");
    }
}

#[test]
fn a_server_listens_on_several_addresses_and_a_unix_socket() {
    use std::io::{Read, Write};
    let setup = Setup::new(&["--bind", "127.0.0.1", "127.0.0.2", "--unixsocket", "s.sock"]);
    let server = setup.start();
    for host in ["127.0.0.1", "127.0.0.2"] {
        let mut client = Client::try_connect_to(host, server.port).unwrap();
        assert_eq!(client.call("PING"), status("PONG"));
    }
    let path = setup.dir().join("s.sock");
    let mut socket = std::os::unix::net::UnixStream::connect(&path).unwrap();
    socket.write_all(b"PING\r\n").unwrap();
    let mut reply = [0; 7];
    socket.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
    // Elsewhere, while it runs; connections that are there stay.
    let mut old = server.client();
    assert_eq!(old.call("CONFIG SET bind 127.0.0.3"), ok());
    assert!(Client::try_connect_to("127.0.0.3", server.port).is_ok());
    eventually("the old address is left", || Client::try_connect(server.port).err());
    assert_eq!(old.call("PING"), status("PONG"));
    server.stop();
    assert!(!path.exists());
}

#[test]
fn a_server_in_the_background_leaves_a_pid_file_and_logs_to_a_file() {
    let setup = Setup::new(&[]);
    let port = free_port().to_string();
    let pid_file = setup.home().join("s.pid");
    let log_file = setup.home().join("s.log");
    let arguments = [
        "--port",
        &port,
        "--dir",
        &setup.dir().display().to_string(),
        "--daemonize",
        "yes",
        "--pidfile",
        &pid_file.display().to_string(),
        "--logfile",
        &log_file.display().to_string(),
    ];
    let output = run_to_end(setup.home(), &arguments);
    assert!(output.status.success(), "{output:?}");
    let mut client = eventually("it listens", || Client::try_connect(port.parse().unwrap()).ok());
    assert_eq!(client.call("SET k v"), ok());
    let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let log = std::fs::read_to_string(&log_file).unwrap();
    assert!(log.contains(&format!(" PID: {pid}")), "{log}");
    for signal in SURVIVED {
        // SAFETY: sends a signal to the process that this test started.
        unsafe { libc::kill(pid, signal) };
        assert_eq!(client.call("PING"), status("PONG"), "{signal}");
    }
    client.send("SHUTDOWN");
    assert!(client.is_closed());
    eventually("the pid file goes", || (!pid_file.exists()).then_some(()));
    assert_eq!(std::fs::read(setup.log_dir().join("lock")).unwrap(), b"");
}

#[test]
fn a_log_never_begins_over_the_data_of_another_server() {
    let mut setup = Setup::new(&["--appendonly", "no"]);
    let memory_only = setup.start();
    setup.set_directives(&[]);
    let other = setup.start();
    assert_eq!(other.client().call("SET precious value"), ok());
    other.stop();
    let refused = memory_only.client().call("CONFIG SET appendonly yes");
    assert!(format!("{refused:?}").contains("holds a data set"), "{refused:?}");
    assert_eq!(memory_only.client().call("SET still works"), ok());
    memory_only.stop();
    let again = setup.start();
    assert_eq!(again.client().call("GET precious"), bulk("value"));
}

#[test]
fn a_running_server_keeps_its_directory_even_without_the_lock_file() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    std::fs::remove_file(setup.log_dir().join("lock")).unwrap();
    assert!(setup.start_refused().contains("in use by another process"));
    assert_eq!(server.client().call("SET a 1"), ok());
}

#[test]
fn too_few_databases_are_no_damage() {
    let mut setup = Setup::new(&["--databases", "32"]);
    let server = setup.start();
    let mut client = server.client();
    client.call_all(["SELECT 20", "SET k v"]);
    server.kill();
    let refused = |setup: &mut Setup, cause: &str| {
        setup.set_directives(&["--databases", "16"]);
        let said = setup.start_refused();
        assert!(said.contains(cause), "{said}");
        assert!(!said.contains("damaged") && !said.contains("repair"), "{said}");
        setup.set_directives(&["--databases", "21"]);
    };
    // In the log, then in a base.
    refused(&mut setup, "'SELECT' was answered with: ERR DB index is out of range");
    let server = setup.start();
    let mut client = server.client();
    client.call("BGREWRITEAOF");
    eventually("it is rewritten", || {
        let base = info(&mut client, "aof_base_size") != "0";
        (base && info(&mut client, "aof_rewrite_in_progress") == "0").then_some(())
    });
    server.stop();
    refused(
        &mut setup,
        "database 20 is beyond the configured number of them: 'databases' must be 21 at least",
    );
    let server = setup.start();
    assert_eq!(server.client().call_all(["SELECT 20", "GET k"])[1], bulk("v"));
}

#[test]
fn a_start_that_is_refused_takes_nothing_from_the_server_that_runs() {
    let directives = ["--unixsocket", "s.sock", "--pidfile", "s.pid"];
    let setup = Setup::new(&directives);
    let server = setup.start();
    let (socket, pid_file) = (setup.dir().join("s.sock"), setup.dir().join("s.pid"));
    let check = |what: &str| {
        assert!(std::os::unix::net::UnixStream::connect(&socket).is_ok(), "{what}");
        let pid = std::fs::read_to_string(&pid_file).unwrap();
        assert_eq!(pid.trim(), server.pid().to_string(), "{what}");
    };
    check("at first");
    assert!(setup.start_refused().contains("in use by another process"));
    check("another start on the directory");
    // In memory only, it would not need the directory.
    let path = socket.to_str().unwrap();
    let other = ["--appendonly", "no", "--unixsocket", path, "--pidfile", "s.pid"];
    let other = Setup::new(&other).data_in(&setup.home().join("other"));
    assert!(other.start_refused().contains("s.sock is in use by another process"));
    check("another start on the socket");
    server.stop();
    assert!(!socket.exists() && !pid_file.exists());
}

/// The modes of a directory and of everything in it.
fn modes(dir: &Path) -> Vec<(String, u32)> {
    let mut modes = vec![(dir.display().to_string(), mode(dir))];
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            modes.extend(self::modes(&path));
        } else {
            modes.push((path.display().to_string(), mode(&path)));
        }
    }
    modes
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_data_are_their_owners_alone_unless_a_umask_opens_them() {
    // Whatever the mask of this process is.
    for (umask, of_directories, of_files) in
        [(None, 0o700, 0o600), (Some("027"), 0o750, 0o640), (Some("0"), 0o777, 0o666)]
    {
        let directives: Vec<&str> = umask.iter().flat_map(|mask| ["--umask", mask]).collect();
        let mut setup = Setup::new(&[]);
        let socket = setup.home().join("socket");
        let socket = socket.to_str().unwrap();
        let all = [&directives[..], &["--unixsocket", socket, "--unixsocketperm", "770"]].concat();
        setup.set_directives(&all);
        let server = setup.start();
        let mut client = server.client();
        assert_eq!(client.call("SET a 1"), ok());
        assert_eq!(client.call("SAVE"), ok());
        assert_eq!(
            client.call("BGREWRITEAOF").text(),
            "Background append only file rewriting started"
        );
        eventually("it is rewritten", || (info(&mut client, "aof_base_size") != "0").then_some(()));
        assert_eq!(mode(Path::new(socket)), 0o770);
        server.stop();
        let found = modes(&setup.dir());
        assert!(found.len() > 5, "{found:?}");
        for (path, mode) in found {
            let expected = if Path::new(&path).is_dir() { of_directories } else { of_files };
            assert_eq!(mode, expected, "umask {umask:?}: {path} has mode {mode:o}");
        }
    }
    let setup = Setup::new(&["--umask", "700"]);
    assert!(setup.start_refused().contains("argument must be between 0 and 77 inclusive"));
}
