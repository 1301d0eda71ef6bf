//! Long replies, and limits on what a client does not take.

use super::support::*;
use std::io::Read;
use std::time::Duration;

/// Sets a string of so many bytes without sending them.
fn set_long(client: &mut Client, key: &str, bytes: usize) {
    let last = (bytes - 1).to_string();
    let len = client.call_args(&["SETRANGE", key, &last, "x"]);
    assert_eq!(len, int(bytes as i64));
}

/// Reads a line that is not counted among replies.
fn header(client: &mut Client) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\r\n") {
        client.socket().read_exact(&mut byte).expect("a line");
        line.push(byte[0]);
    }
    String::from_utf8(line).expect("text")
}

/// Reads a string of so many zeros but for the last byte, and its end.
fn read_long(client: &mut Client, bytes: usize) {
    assert_eq!(header(client), format!("${bytes}\r\n"));
    let (mut left, mut piece) = (bytes, vec![1; 1 << 20]);
    while left > 0 {
        let part = &mut piece[..left.min(1 << 20)];
        client.socket().read_exact(part).expect("the whole string");
        left -= part.len();
        let zeros = if left > 0 { part.len() } else { part.len() - 1 };
        assert!(part[..zeros].iter().all(|&byte| byte == 0));
    }
    assert_eq!(header(client), "\r\n");
}

#[test]
fn a_reply_above_a_gibibyte_is_not_cut() {
    const MIB: usize = 1 << 20;
    let setup = Setup::new(&["--proto-max-bulk-len", "2gb"]);
    let server = setup.start();
    let mut client = server.client();
    set_long(&mut client, "one", MIB);
    let many: Vec<&str> = std::iter::once("MGET").chain(std::iter::repeat_n("one", 1100)).collect();
    client.send_args(&many);
    assert_eq!(header(&mut client), "*1100\r\n");
    (0..1100).for_each(|_| read_long(&mut client, MIB));
    set_long(&mut client, "huge", 1100 * MIB);
    client.send("GET huge");
    read_long(&mut client, 1100 * MIB);
    assert_eq!(info(&mut client, "client_output_buffer_limit_disconnections"), "0");
}

#[test]
fn a_string_that_changes_while_it_is_sent_is_sent_as_it_was() {
    const BYTES: usize = 64 << 20;
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut slow, mut other) = (server.client(), server.client());
    set_long(&mut other, "key", BYTES);
    slow.send("GET key");
    let _ = header(&mut slow);
    assert_eq!(other.call("SETRANGE key 0 changed"), int(BYTES as i64));
    assert_eq!(other.call("GETRANGE key 0 6"), bulk("changed"));
    other.call("DEL key");
    let mut received = vec![1; BYTES];
    slow.socket().read_exact(&mut received).expect("the whole string");
    assert!(received[..BYTES - 1].iter().all(|&byte| byte == 0) && received[BYTES - 1] == b'x');
}

#[test]
fn a_client_beyond_the_hard_limit_of_output_is_disconnected() {
    let setup = Setup::new(&[]);
    let server = setup.start();
    let (mut slow, mut other) = (server.client(), server.client());
    set_long(&mut other, "key", 16 << 20);
    assert_eq!(other.call_args(&LIMIT.map(|word| word.replace("HARD", "10mb"))), ok());
    slow.send("GET key");
    eventually("it is disconnected", || {
        let count = info(&mut other, "client_output_buffer_limit_disconnections");
        (count == "1").then_some(())
    });
    assert!(slow.read_to_end().len() < 16 << 20);
    server.wait_for_log("beyond client-output-buffer-limit");
    // Others are not affected, and without a limit it is served.
    assert_eq!(other.call_args(&LIMIT.map(|word| word.replace("HARD", "0"))), ok());
    let mut again = server.client();
    again.send("GET key");
    read_long(&mut again, 16 << 20);
}

const LIMIT: [&str; 4] = ["CONFIG", "SET", "client-output-buffer-limit", "normal HARD 0 0"];

#[test]
fn a_client_beyond_the_soft_limit_for_too_long_is_disconnected() {
    let setup = Setup::new(&["--client-output-buffer-limit", "normal 0 1mb 1"]);
    let server = setup.start();
    let (mut slow, mut quick) = (server.client(), server.client());
    set_long(&mut quick, "key", 32 << 20);
    slow.send("GET key");
    // A client that takes its replies is not.
    quick.set_timeout(Duration::from_secs(60));
    quick.send("GET key");
    read_long(&mut quick, 32 << 20);
    eventually("the other is disconnected", || {
        let count = info(&mut quick, "client_output_buffer_limit_disconnections");
        (count == "1").then_some(())
    });
    assert!(slow.read_to_end().len() < 32 << 20);
}
