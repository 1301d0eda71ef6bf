//! RESP as it comes in, well-formed or not, and what it may cost.

use super::support::*;

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
fn a_handshake_of_tls_is_closed_in_silence() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    // A record with a handshake in it; the rest of it, which may have ends of lines, does not
    // matter.
    for hello in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\x16\x03\x03\x00\x05\n\nPING\r\n"]
    {
        let mut client = server.client();
        client.send_bytes(hello);
        assert_eq!(client.read_to_end(), b"");
    }
    let mut client = server.client();
    assert_eq!(client.call("PING"), status("PONG"));
    assert_eq!(client.call_args(&["ECHO", "\x16\x03\x01"]), bulk("\x16\x03\x01"));
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
