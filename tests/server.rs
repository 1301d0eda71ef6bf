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
