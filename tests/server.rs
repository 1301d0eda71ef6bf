//! The server as its users meet it: starting, ending, configuring, the protocol.

mod support;

use support::*;

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
fn a_log_begun_at_run_time_has_everything_after_a_kill() {
    let mut setup = Setup::new(&["--appendonly", "no"]);
    let server = setup.start();
    server.wait_for_log("IS LOST");
    let mut client = server.client();
    for number in 0..3000 {
        client.send(&format!("SET k{number} v{number}"));
    }
    assert!(client.read_many(3000).iter().all(|reply| *reply == ok()));
    client.call_all(["SELECT 3", "SET other v EX 10000", "SELECT 0", "DEL k7"]);
    assert_eq!(client.call("CONFIG SET appendonly yes"), ok());
    assert_eq!(client.call("SET after 1"), ok());
    assert_eq!(client.call("CONFIG GET appendonly"), array([bulk("appendonly"), bulk("yes")]));
    server.kill();
    setup.set_directives(&[]);
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("DBSIZE"), int(3000));
    for number in (0..3000).filter(|&number| number != 7) {
        assert_eq!(client.call(&format!("GET k{number}")), bulk(&format!("v{number}")));
    }
    assert_eq!(client.call("GET after"), bulk("1"));
    client.call("SELECT 3");
    assert_eq!(client.call("GET other"), bulk("v"));
    assert!((9000..=10000).contains(&client.call("TTL other").int()));
}

#[test]
fn a_log_begun_in_the_middle_of_a_pipeline_holds_no_reply_back_for_ever() {
    let setup = Setup::new(&["--appendonly", "no"]);
    let server = setup.start();
    let mut client = server.client();
    for _ in 0..1000 {
        assert_eq!(client.call("SET counted in-memory-only"), ok());
    }
    let replies = client.call_all(["SET a 1", "CONFIG SET appendonly yes", "SET b 2", "GET a"]);
    assert_eq!(replies, [ok(), ok(), ok(), bulk("1")]);
    let replies = client.call_all(["SET c 3", "CONFIG SET appendonly no", "SET d 4", "GET c"]);
    assert_eq!(replies, [ok(), ok(), ok(), bulk("3")]);
    let replies = client.call_all(["SET e 5", "CONFIG SET appendonly yes", "GET e"]);
    assert_eq!(replies, [ok(), ok(), bulk("5")]);
    server.kill();
    let mut setup = setup;
    setup.set_directives(&[]);
    let server = setup.start();
    assert_eq!(server.client().call("DBSIZE"), int(6));
}

#[test]
fn appendfsync_changes_at_run_time() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    for mode in ["no", "everysec", "always", "no", "always"] {
        assert_eq!(client.call(&format!("CONFIG SET appendfsync {mode}")), ok());
        assert_eq!(client.call("CONFIG GET appendfsync").items()[1], bulk(mode));
        for number in 0..50 {
            assert_eq!(client.call(&format!("SET {mode}{number} 1")), ok());
        }
        if mode == "always" {
            assert_eq!(server.info("log_lag_bytes"), "0");
        }
    }
    let refused = client.call("CONFIG SET appendfsync sometimes");
    assert!(refused.is_error("ERR CONFIG SET failed"), "{refused:?}");
    assert_eq!(client.call("CONFIG GET appendfsync").items()[1], bulk("always"));
}

#[test]
fn config_rewrite_keeps_what_was_set() {
    let setup = Setup::new(&[]);
    let file = setup.home().join("mainstay.conf");
    std::fs::write(&file, "# a comment that stays\nhz 20\nappendfsync everysec\n").unwrap();
    let mut setup = setup;
    let path = file.display().to_string();
    setup.set_file(&path);
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("CONFIG GET hz").items()[1], bulk("20"));
    assert_eq!(client.call("CONFIG SET hz 30 timeout 100"), ok());
    // All of them or none.
    let refused = client.call("CONFIG SET hz 40 maxclients none");
    assert!(refused.is_error("ERR CONFIG SET failed"), "{refused:?}");
    assert_eq!(client.call("CONFIG REWRITE"), ok());
    server.stop();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# a comment that stays\nhz 30\n"), "{text}");
    assert!(text.contains("\ntimeout 100\n"), "{text}");
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("CONFIG GET hz").items()[1], bulk("30"));
    assert_eq!(client.call("CONFIG GET timeout").items()[1], bulk("100"));
    assert_eq!(client.call("CONFIG GET appendfsync").items()[1], bulk("everysec"));
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
fn more_clients_than_maxclients_are_told_why() {
    let setup = Setup::new(&["--maxclients", "2"]);
    let server = setup.start();
    let (mut one, mut two) = (server.client(), server.client());
    assert_eq!((one.call("PING"), two.call("PING")), (status("PONG"), status("PONG")));
    let mut third = server.client();
    assert_eq!(third.read(), error("ERR max number of clients reached"));
    assert!(third.is_closed());
    drop(two);
    eventually("there is room again", || {
        let mut client = server.client();
        client.try_send_bytes(b"PING\r\n").ok()?;
        client.try_read().is_ok_and(|reply| reply == status("PONG")).then_some(())
    });
}

#[test]
fn idle_clients_are_disconnected_after_timeout() {
    let setup = Setup::new(&["--timeout", "1"]);
    let server = setup.start();
    let mut idle = server.client();
    assert_eq!(idle.call("PING"), status("PONG"));
    assert!(idle.is_closed());
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
fn malformed_input_gets_an_error_and_ends_the_connection() {
    let server = Setup::new(&[]);
    let server = server.start();
    for (input, expected) in [
        (&b"*x\r\n"[..], "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*2147483648\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n+x\r\n", "-ERR Protocol error: expected '$', got '+'\r\n"),
        (b"*1\r\n$x\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"SET \"k v\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
        (b"PING\r\n*1\r\n!", "+PONG\r\n-ERR Protocol error: expected '$', got '!'\r\n"),
    ] {
        let mut client = server.client();
        client.send_bytes(input);
        let reply = String::from_utf8(client.read_to_end()).unwrap();
        assert_eq!(reply, expected, "{:?}", input.escape_ascii().to_string());
    }
    let mut client = server.client();
    client.send_bytes(&[b'x'; 70_000]);
    let reply = String::from_utf8(client.read_to_end()).unwrap();
    assert_eq!(reply, "-ERR Protocol error: too big inline request\r\n");
    let mut client = server.client();
    client.send_bytes(b"*");
    client.send_bytes(&[b'1'; 70_000]);
    let reply = String::from_utf8(client.read_to_end()).unwrap();
    assert_eq!(reply, "-ERR Protocol error: too big mbulk count string\r\n");
}

#[test]
fn what_a_web_page_sends_is_not_executed() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut peers = Vec::new();
    for (input, expected) in [
        (
            &b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 31\r\n\r\n\r\nSET pwned 1\r\n"
                [..],
            "",
        ),
        // The method is not always one of these, but the header is always there.
        (
            b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\nSET pwned 1\r\n",
            "-ERR wrong number of arguments for 'get' command\r\n",
        ),
        (b"*1\r\n$4\r\npOsT\r\nSET pwned 1\r\n", ""),
        (b"*2\r\n$5\r\nHOST:\r\n$1\r\nx\r\nSET pwned 1\r\n", ""),
        // What came before it was executed, and its replies leave.
        (b"SET before 1\r\nPOST\r\nSET pwned 1\r\n", "+OK\r\n"),
        (b"MULTI\r\nSET pwned 1\r\nPOST /\r\nEXEC\r\nSET pwned 1\r\n", "+OK\r\n+QUEUED\r\n"),
        // Nothing looks at what is behind it, not even for whether it is a request.
        (b"POST\r\n*x\r\n", ""),
    ] {
        let mut client = server.client();
        peers.push(client.socket().local_addr().unwrap());
        client.send_bytes(input);
        let reply = String::from_utf8(client.read_to_end()).unwrap();
        assert_eq!(reply, expected, "{:?}", input.escape_ascii().to_string());
    }
    let mut client = server.client();
    assert!(client.call("HOST x").is_error("ERR unknown command 'HOST'"));
    assert_eq!(client.call("GET before"), bulk("1"));
    assert_eq!(client.call("EXISTS pwned"), int(0));
    // It is logged with its peer, but not as often as somebody likes to fill the log.
    server.wait_for_log(&format!("from {}", peers[0]));
    let log = server.stop();
    assert_eq!(log.matches("cross-protocol").count(), 1, "{log}");
}

fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn lengths_that_are_only_claimed_take_no_memory() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    server.client().call("PING");
    let before = resident_kib(&server);
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = server.client();
        client.send_bytes(b"*2147483647\r\n$536870912\r\nfew bytes");
        clients.push(client);
        let mut client = server.client();
        client.send_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nfew bytes");
        clients.push(client);
    }
    assert_eq!(server.client().call("PING"), status("PONG"));
    let grown = resident_kib(&server).saturating_sub(before);
    assert!(grown < 20_000, "{grown} KiB more for 100 claims of 512 MB");
}

#[test]
fn requests_may_come_byte_by_byte_or_all_at_once() {
    let setup = Setup::new(&["--appendfsync", "no"]);
    let server = setup.start();
    let mut client = server.client();
    let mut stream = Vec::new();
    Client::encode(&mut stream, &words("SET key value"));
    stream.extend_from_slice(b"GET key\r\n\r\n  GET \"key\"\n*0\r\n");
    Client::encode(&mut stream, &words("APPEND key ''"));
    let expected = [ok(), bulk("value"), bulk("value"), int(5)];
    for &byte in &stream {
        client.send_bytes(&[byte]);
    }
    assert_eq!(client.read_many(4), expected);
    for at in 1..stream.len() {
        client.send_bytes(&stream[..at]);
        std::thread::sleep(std::time::Duration::from_millis(1));
        client.send_bytes(&stream[at..]);
        assert_eq!(client.read_many(4), expected, "divided at {at}");
    }
}

#[test]
fn a_pipeline_of_a_hundred_thousand_commands_needs_no_reply_to_be_read_meanwhile() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    let mut bytes = Vec::new();
    for _ in 0..50_000 {
        Client::encode(&mut bytes, &words("INCR counter"));
        Client::encode(&mut bytes, &words("GET counter"));
    }
    client.send_bytes(&bytes);
    for number in 1..=50_000 {
        assert_eq!(client.read(), int(number));
        assert_eq!(client.read(), bulk(&number.to_string()));
    }
}

#[test]
fn replies_that_were_taken_take_no_memory_however_long_the_pipeline() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    let value = noise(10_000, 1);
    assert_eq!(client.call_args(&[&b"SET"[..], b"big", &value]), ok());
    let before = resident_kib(&server);
    // There is always a write whose replies are held back, but never many.
    let mut round = Vec::new();
    Client::encode(&mut round, &words("INCR counter"));
    Client::encode(&mut round, &words("GET big"));
    client.send_bytes(&round.repeat(64));
    let mut peak = 0;
    for number in 1..=20_000 {
        assert_eq!(client.read(), int(number));
        assert!(client.read() == Value::Bulk(value.clone()));
        client.send_bytes(&round);
        if number % 1000 == 0 {
            peak = peak.max(resident_kib(&server));
        }
    }
    let grown = peak.saturating_sub(before);
    assert!(grown < 50_000, "{grown} KiB for a pipeline whose replies are taken");
}

#[test]
fn resp3_is_spoken_after_hello_and_left_by_reset() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    let Value::Map(fields) = client.call("HELLO 3 SETNAME me") else { panic!("not a map") };
    assert!(fields.contains(&(bulk("proto"), int(3))), "{fields:?}");
    assert!(fields.contains(&(bulk("mode"), bulk("standalone"))), "{fields:?}");
    assert_eq!(client.call("GET missing"), Value::Null);
    assert_eq!(client.call("CLIENT GETNAME"), bulk("me"));
    let config = client.call("CONFIG GET hz");
    assert_eq!(config, Value::Map(vec![(bulk("hz"), bulk("10"))]));
    assert!(matches!(client.call("INFO server"), Value::Verbatim(_)));
    client.call_all(["SELECT 5", "MULTI", "SET x y"]);
    assert_eq!(client.call("RESET"), status("RESET"));
    assert_eq!(client.call("GET missing"), Value::Nil);
    assert_eq!(client.call("CLIENT GETNAME"), Value::Nil);
    assert_eq!(client.call("EXEC"), error("ERR EXEC without MULTI"));
    assert!(client.call("CLIENT INFO").text().contains(" db=0 "));
    assert_eq!(client.call("HELLO 4"), error("NOPROTO unsupported protocol version"));
}

#[test]
fn client_reply_off_and_skip_mute_replies() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    client.send_all(["CLIENT REPLY OFF", "SET a 1", "GET a", "WAIT 1 20", "NO_SUCH"]);
    assert_eq!(client.call("CLIENT REPLY ON"), ok());
    client.send_all(["CLIENT REPLY SKIP", "WAITAOF 0 1 20", "GET a"]);
    assert_eq!(client.read(), bulk("1"));
    client.send_all(["CLIENT REPLY SKIP", "GET a", "PING"]);
    assert_eq!(client.read(), status("PONG"));
}

#[test]
fn client_reply_within_a_transaction_mutes_what_comes_behind_it() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    for (lines, replies) in [
        (
            &["MULTI", "CLIENT REPLY SKIP", "PING", "EXEC", "PING", "ECHO x"][..],
            "+OK +QUEUED +QUEUED *2 +PONG $1 x ",
        ),
        (
            &["MULTI", "PING", "CLIENT REPLY OFF", "PING", "EXEC", "PING", "CLIENT REPLY ON"],
            "+OK +QUEUED +QUEUED +QUEUED *3 +PONG +OK ",
        ),
        (
            &["MULTI", "PING", "CLIENT REPLY OFF", "PING", "CLIENT REPLY ON", "ECHO x", "EXEC"],
            "+OK +QUEUED +QUEUED +QUEUED +QUEUED +QUEUED *5 +PONG +OK $1 x ",
        ),
        (
            &["CLIENT REPLY OFF", "MULTI", "PING", "CLIENT REPLY ON", "PING", "EXEC", "ECHO x"],
            "+OK +PONG $1 x ",
        ),
        (
            &["MULTI", "CLIENT REPLY SKIP", "CLIENT REPLY ON", "EXEC", "PING", "ECHO x"],
            "+OK +QUEUED +QUEUED *2 +OK $1 x ",
        ),
        (&["MULTI", "CLIENT REPLY SKIP", "DISCARD", "PING"], "+OK +QUEUED +OK +PONG "),
        (&["CLIENT REPLY SKIP", "EXEC", "PING"], "+PONG "),
    ] {
        let mut client = server.client();
        client.send_all(lines.iter().copied());
        client.send_all(["CLIENT REPLY ON", "QUIT"]);
        let got = String::from_utf8(client.read_to_end()).unwrap().replace("\r\n", " ");
        let got = got.strip_suffix("+OK +OK ").unwrap_or_else(|| panic!("{lines:?}: {got}"));
        assert_eq!(got, replies, "{lines:?}");
    }
}

#[test]
fn errors_quote_arguments_byte_by_byte() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    for (args, expected) in [
        (
            &[&b"fo\xff"[..], b"a\xffb", b"x\xc3"][..],
            &b"-ERR unknown command 'fo\xff', with args beginning with: 'a\xffb' 'x\xc3' \r\n"[..],
        ),
        (
            &[b"fo\ro\n", b"a\r\nb\xff"],
            b"-ERR unknown command 'fo o ', with args beginning with: 'a  b\xff' \r\n",
        ),
        (&[b"CLIENT", b"\xff"], b"-ERR unknown subcommand '\xff'. Try CLIENT HELP.\r\n"),
        (&[b"CLIENT", b"LIST", b"TYPE", b"\xff"], b"-ERR Unknown client type '\xff'\r\n"),
        (&[b"CLIENT", b"KILL", b"USER", b"\xff"], b"-ERR No such user '\xff'\r\n"),
        (&[b"CLIENT", b"SETINFO", b"\xff", b"x"], b"-ERR Unrecognized option '\xff'\r\n"),
        (&[b"HELLO", b"3", b"\xff"], b"-ERR Syntax error in HELLO option '\xff'\r\n"),
        (
            &[b"XREADGROUP", b"GROUP", b"\xffg", b"c", b"STREAMS", b"k\xff", b">"],
            b"-NOGROUP No such key 'k\xff' or consumer group '\xffg' in XREADGROUP with GROUP \
              option\r\n",
        ),
    ] {
        let mut client = server.client();
        client.send_args(args);
        client.send("QUIT");
        let expected = [expected, b"+OK\r\n"].concat();
        assert_eq!(
            client.read_to_end().escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}

#[test]
fn clients_are_listed_and_killed() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut one, mut two) = (server.client(), server.client());
    two.call("CLIENT SETNAME victim");
    let id = two.call("CLIENT ID").int();
    let list = one.call("CLIENT LIST").text();
    assert_eq!(list.lines().count(), 2);
    let line = list.lines().find(|line| line.contains("name=victim")).expect("listed");
    assert!(line.starts_with(&format!("id={id} addr=127.0.0.1:")), "{line}");
    assert!(line.contains(" cmd=client|id "), "{line}");
    for (ids, count) in [("0", 0), ("-1", 0), ("9223372036854775807", 0), (&*format!("0 {id}"), 1)]
    {
        let list = one.call(&format!("CLIENT LIST ID {ids}")).text();
        assert_eq!(list.lines().count(), count, "{ids}");
    }
    for ids in ["x", "01", "9223372036854775808", "1 x"] {
        let refused = one.call(&format!("CLIENT LIST ID {ids}"));
        assert_eq!(refused, error("ERR Invalid client ID"), "{ids}");
    }
    assert_eq!(one.call(&format!("CLIENT KILL ID {id}")), int(1));
    assert!(two.is_closed());
    assert_eq!(one.call(&format!("CLIENT KILL ID {id}")), int(0));
    assert_eq!(one.call("CLIENT KILL 1.2.3.4:5"), error("ERR No such client"));
    // Also one that waits for something that never comes, or is gone by itself.
    let mut waiting = server.client();
    let id = waiting.call("CLIENT ID").int();
    waiting.send("WAIT 1 0");
    eventually("it waits", || (server.info("blocked_clients") == "1").then_some(()));
    assert_eq!(one.call(&format!("CLIENT KILL ID {id}")), int(1));
    assert!(waiting.is_closed());
    let mut waiting = server.client();
    waiting.send("WAIT 1 0");
    eventually("it waits", || (server.info("blocked_clients") == "1").then_some(()));
    drop(waiting);
    eventually("it is noticed", || (server.info("blocked_clients") == "0").then_some(()));
}

#[test]
fn transactions_are_all_or_nothing_and_watch_aborts_them() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut one, mut two) = (server.client(), server.client());
    let replies = one.call_all(["WATCH k", "MULTI", "SET k 1", "GET k", "EXEC"]);
    assert_eq!(replies[4], array([ok(), bulk("1")]));
    one.call_all(["WATCH k", "MULTI", "SET k 2"]);
    assert_eq!(two.call("SET k other"), ok());
    assert_eq!(one.call("EXEC"), Value::NilArray);
    assert_eq!(one.call("GET k"), bulk("other"));
    let replies = one.call_all(["MULTI", "SET k 3", "NO_SUCH", "EXEC", "GET k"]);
    assert!(replies[2].is_error("ERR unknown command 'NO_SUCH'"), "{replies:?}");
    assert!(replies[3].is_error("EXECABORT "), "{replies:?}");
    assert_eq!(replies[4], bulk("other"));
    let replies = one.call_all(["MULTI", "INCR k", "SET j 1", "EXEC", "GET j"]);
    assert!(replies[3].items()[0].is_error("ERR value is not an integer"));
    assert_eq!(replies[4], bulk("1"));
}

#[test]
fn waitaof_waits_for_durability_in_every_mode() {
    let setup = Setup::new(&["--appendfsync", "no"]);
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call("SET k v"), ok());
    assert_ne!(server.info("log_lag_bytes"), "0");
    assert_eq!(client.call("WAITAOF 1 0 0"), array([int(1), int(0)]));
    assert_eq!(server.info("log_lag_bytes"), "0");
    assert_eq!(client.call("WAITAOF 1 1 20"), array([int(1), int(0)]));
    assert_eq!(client.call("WAIT 0 0"), int(0));
    let one_disk = "ERR value is out of range, value must between 0 and 1";
    let positive = "ERR value is out of range, must be positive";
    for (line, text) in [
        ("WAITAOF 2 x x", one_disk),
        ("WAITAOF -1 0 0", one_disk),
        ("WAITAOF x 0 0", "ERR value is not an integer or out of range"),
        ("WAITAOF 1 x 0", positive),
        ("WAITAOF 1 -1 x", positive),
        ("WAITAOF 1 9223372036854775808 0", positive),
        ("WAITAOF 1 0 x", "ERR timeout is not an integer or out of range"),
        ("WAITAOF 1 0 -1", "ERR timeout is negative"),
    ] {
        assert_eq!(client.call(line), error(text), "{line}");
    }
}

#[test]
fn debug_is_refused_unless_it_was_enabled() {
    let mut setup = Setup::new(&[]);
    let server = setup.start();
    assert!(server.client().call("DEBUG SLEEP 0").is_error("ERR DEBUG command not allowed"));
    let refused = server.client().call("CONFIG SET enable-debug-command yes");
    assert!(refused.is_error("ERR CONFIG SET failed"), "{refused:?}");
    server.stop();
    setup.set_directives(&["--enable-debug-command", "local"]);
    let server = setup.start();
    assert_eq!(server.client().call("DEBUG SLEEP 0"), ok());
}

#[test]
fn info_has_the_fields_that_tools_ask_for() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    client.call_all(["SET k v", "SET j v EX 100", "GET k", "GET none", "NO_SUCH"]);
    let text = client.call("INFO").text();
    let field = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("no {name} in\n{text}"))
    };
    assert_eq!(field("process_id"), server.pid().to_string());
    assert_eq!(field("tcp_port"), server.port.to_string());
    assert_eq!(field("role"), "master");
    assert_eq!(field("connected_clients"), "1");
    assert_eq!(field("aof_enabled"), "1");
    assert_eq!(field("db0"), "keys=2,expires=1,avg_ttl=0");
    assert_eq!((field("keyspace_hits"), field("keyspace_misses")), ("1", "1"));
    assert_eq!(field("total_error_replies"), "1");
    assert_eq!(field("log_lsn_appended"), field("master_repl_offset"));
    assert_eq!(field("log_lag_bytes"), "0");
    assert!(field("used_memory").parse::<u64>().unwrap() > 100_000);
    assert_eq!(field("run_id").len(), 40);
    assert!(client.call("INFO clients").text().starts_with("# Clients\r\n"));
}

fn output_of(command: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(command).args(arguments).output().expect("it runs");
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{command} {arguments:?}: {text}");
    text
}

#[test]
fn redis_cli_and_redis_benchmark_run_without_a_warning() {
    if !command_exists("redis-cli") || !command_exists("redis-benchmark") {
        return skip("tools of Redis", "they are not installed");
    }
    let setup = Setup::new(&[]);
    let server = setup.start();
    let port = server.port.to_string();
    assert_eq!(output_of("redis-cli", &["-p", &port, "SET", "k", "v"]), "OK\n");
    assert_eq!(output_of("redis-cli", &["-3", "-p", &port, "GET", "k"]), "v\n");
    assert!(output_of("redis-cli", &["-p", &port, "INFO"]).contains("mainstay_version:"));
    for pipeline in ["1", "16"] {
        let arguments =
            ["-p", &port, "-t", "set,get,incr,mset", "-n", "2000", "-P", pipeline, "-q"];
        let text = output_of("redis-benchmark", &arguments);
        assert_eq!(text.matches("requests per second").count(), 4, "{text}");
        assert!(!text.contains("WARN") && !text.contains("ERR"), "{text}");
    }
}

#[test]
fn a_client_library_works() {
    use redis::Commands;
    let setup = Setup::new(&[]);
    let server = setup.start();
    for suffix in ["", "?protocol=resp3"] {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/2{suffix}", server.port));
        let mut connection = client.unwrap().get_connection().unwrap();
        let _: () = connection.set("k", 41).unwrap();
        let number: i64 = connection.incr("k", 1).unwrap();
        assert_eq!(number, 42);
        let both: (i64, Option<String>) =
            redis::pipe().atomic().get("k").get("none").query(&mut connection).unwrap();
        assert_eq!(both, (42, None));
        let keys: Vec<String> = connection.scan().unwrap().map(Result::unwrap).collect();
        assert_eq!(keys, ["k"]);
    }
}

#[test]
fn configuring_the_log_within_a_transaction_does_not_divide_it() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    let commands = [
        "SET before 1",
        "MULTI",
        "INCR n",
        "CONFIG SET appendfsync everysec",
        "CONFIG SET appendonly no",
        "WAITAOF 1 0 0",
        "INCR n",
        "EXEC",
        "CONFIG SET appendfsync always",
        "INCR n",
    ];
    let replies = client.call_all(commands);
    let inner = replies[7].items();
    assert_eq!((&inner[0], &inner[1], &inner[4]), (&int(1), &ok(), &int(2)));
    assert!(inner[2].is_error("ERR CONFIG SET failed"), "{inner:?}");
    assert_eq!(replies[8..], [ok(), int(3)]);
    server.kill();
    let server = setup.start();
    assert_eq!(server.client().call("GET n"), bulk("3"));
}

#[test]
fn a_watched_key_that_expires_and_is_deleted_for_it_breaks_the_transaction() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let mut client = server.client();
    assert_eq!(client.call_all(["SET k v PX 20", "WATCH k"]), [ok(), ok()]);
    eventually("the key is deleted", || (client.call("DBSIZE") == int(0)).then_some(()));
    let replies = client.call_all(["MULTI", "SET k x", "EXEC"]);
    assert_eq!(replies[2], Value::NilArray);
    assert_eq!(client.call("EXISTS k"), int(0));
}

#[test]
fn fields_that_expire_are_deleted_though_nobody_asks() {
    let setup = Setup::new(&["--hash-max-listpack-entries", "20"]);
    let server = setup.start();
    let mut client = server.client();
    // One hash is a listpack, and the other one a table.
    for (key, count) in [("small", 10), ("big", 1000)] {
        for n in 0..count {
            client.call(&format!("HSET {key} f{n} v"));
        }
        let fields: Vec<String> = (1..count).map(|n| format!("f{n}")).collect();
        let line = format!("HPEXPIRE {key} 30 FIELDS {} {}", fields.len(), fields.join(" "));
        assert_eq!(client.call(&line).items(), vec![int(1); fields.len()]);
        client.call(&format!("HSET gone-{key} f v"));
        client.call(&format!("HPEXPIRE gone-{key} 30 FIELDS 1 f"));
    }
    let ask = ["HLEN small", "HLEN big", "DBSIZE"];
    eventually("the fields are deleted", || {
        (client.call_all(ask) == [int(1), int(1), int(2)]).then_some(())
    });
    drop(client);
    server.kill();
    let server = setup.start();
    assert_eq!(server.client().call_all(ask), [int(1), int(1), int(2)]);
}

#[test]
fn a_value_beyond_todays_limit_is_still_replayed() {
    let setup = Setup::new(&["--proto-max-bulk-len", "4mb"]);
    let server = setup.start();
    assert_eq!(server.client().call("SETRANGE k 3000000 x"), int(3_000_001));
    server.stop();
    let mut lower = setup;
    lower.set_directives(&["--proto-max-bulk-len", "1mb"]);
    let server = lower.start();
    assert_eq!(server.client().call("STRLEN k"), int(3_000_001));
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

/// Fields of Redis that are not here: how it was compiled, what its event loop and its main thread did, and some counts.
const FIELDS_LEFT_OUT: [&str; 14] = [
    "aof_rewrites",
    "aof_rewrites_consecutive_failures",
    "atomicvar_api",
    "current_save_keys_processed",
    "current_save_keys_total",
    "eventloop_cycles",
    "eventloop_duration_cmd_sum",
    "eventloop_duration_sum",
    "expire_cycle_cpu_milliseconds",
    "gcc_version",
    "instantaneous_eventloop_cycles_per_sec",
    "instantaneous_eventloop_duration_usec",
    "used_cpu_sys_main_thread",
    "used_cpu_user_main_thread",
];

#[test]
fn info_has_the_fields_of_redis() {
    let dir = tempfile::tempdir().unwrap();
    let Some(redis) = Redis::start_in(dir.path(), &["--appendonly", "yes"]) else { return };
    let setup = Setup::new(&[]);
    let server = setup.start();
    let fields = |mut client: Client| {
        client.call("INCR a");
        let text = client.call("INFO").text();
        let names = text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned()));
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let (ours, theirs) = (fields(server.client()), fields(redis.client()));
    let missing: Vec<_> = theirs.difference(&ours).map(String::as_str).collect();
    let unnamed: Vec<_> = missing.iter().filter(|name| !FIELDS_LEFT_OUT.contains(name)).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
    assert!(FIELDS_LEFT_OUT.iter().all(|name| !ours.contains(*name)));
    let mut client = server.client();
    for field in ["total_reads_processed", "total_writes_processed", "total_system_memory"] {
        let text = client.call("INFO memory stats").text();
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        assert!(value.unwrap().parse::<u64>().unwrap() > 0, "{field}");
    }
}

/// Lines of `INFO latencystats` without what they measured.
fn latency_lines(client: &mut Client) -> std::collections::BTreeSet<String> {
    let text = client.call("INFO latencystats").text();
    assert!(text.starts_with("# Latencystats\r\n"), "{text}");
    let lines = text.lines().skip(1).map(|line| {
        let (name, values) = line.split_once(':').expect("a field");
        let names = values.split(',').filter(|value| !value.is_empty()).map(|value| {
            let (percent, us) = value.split_once('=').expect("a percentile");
            assert!(us.parse::<f64>().unwrap() > 0.0 && us.len() - us.find('.').unwrap() == 4);
            percent
        });
        format!("{name}:{}", names.collect::<Vec<_>>().join(","))
    });
    lines.collect()
}

#[test]
fn info_latencystats_is_as_in_redis() {
    let dir = tempfile::tempdir().unwrap();
    let Some(redis) = Redis::start_in(dir.path(), &["--appendonly", "yes"]) else { return };
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut ours, mut theirs) = (server.client(), redis.client());
    let mut both_args = |args: &[&[u8]]| {
        let is_error = ours.call_args(args).is_error("");
        assert_eq!(is_error, theirs.call_args(args).is_error(""), "{args:?}");
        let (ours, theirs) = (latency_lines(&mut ours), latency_lines(&mut theirs));
        assert_eq!(ours, theirs, "{args:?}");
        (is_error, ours)
    };
    let mut both = |line: &str| both_args(&words(line));
    both("CONFIG RESETSTAT");
    both("SET a 1");
    both("GET");
    both("LPUSH a 1");
    both("XGROUP CREATE none g 0");
    let percentiles = b"latency-tracking-info-percentiles";
    let (is_error, lines) = both_args(&[b"CONFIG", b"SET", percentiles, b"0 50 99.95 100"]);
    assert!(!is_error && lines.contains("latency_percentiles_usec_set:p0,p50,p99.95,p100"));
    let (is_error, lines) = both_args(&[b"CONFIG", b"SET", percentiles, b""]);
    assert!(!is_error && lines.contains("latency_percentiles_usec_set:"));
    let mut both = |line: &str| both_args(&words(line));
    assert!(both("CONFIG SET latency-tracking no").1.is_empty());
    both("ECHO a");
    both("CONFIG SET latency-tracking yes");
    both("CONFIG RESETSTAT");
    let text = server.client().call("INFO").text();
    assert!(!text.contains("Latencystats"), "only who asks for it gets it");
    assert!(server.client().call("INFO all").text().contains("# Latencystats\r\n"));
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

#[test]
fn a_client_that_reads_gets_all_of_a_pipeline_larger_than_any_buffer() {
    let setup = Setup::new(&["--appendonly", "no"]);
    let server = setup.start();
    let mut client = server.client();
    client.call_args(&[&b"SET"[..], b"k", &vec![b'x'; 4 << 20]]);
    client.send_all(std::iter::repeat_n("GET k", 400));
    for _ in 0..400 {
        assert_eq!(client.read().text().len(), 4 << 20);
    }
}
