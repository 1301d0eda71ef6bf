//! Pushes: they reach a client that waits, and wait for the log like replies.

use super::connection_tests::{Client, Server, run_test, until};
use crate::engine::Guard;
use crate::session;

impl Server {
    /// Pushes lines to a client, each as a unit of its own.
    fn push(&self, client: &Client, lines: &[&'static str]) {
        let receiver = client.info.receiver().expect("it is connected");
        let mut engine = self.shared.engine.lock();
        for line in lines {
            let mut unit = engine.unit();
            unit.push(receiver.clone(), line.as_bytes().into());
            unit.end();
        }
    }

    /// Writes a key, as another client does it.
    fn write(&self, engine: &mut Guard<'_>) {
        session::Client::default().run(engine, &[b"SET", b"key", b"value"]);
    }
}

#[test]
fn a_client_that_waits_for_a_key_gets_a_push_at_once() {
    run_test(async {
        let server = Server::start();
        let mut client = server.client(0);
        client.send(&["BLPOP list 0"]).await;
        until(|| server.shared.engine.counts().waited_keys.0 == 1).await;
        server.push(&client, &["+first\r\n", "+second\r\n"]);
        assert_eq!(client.read_line().await, "+first\r\n");
        assert_eq!(client.read_line().await, "+second\r\n");
        assert!(client.info.state.lock().blocked.is_some(), "it still waits");
        let mut other = server.client(1);
        other.send(&["RPUSH list element"]).await;
        until(|| server.log.appended_lsn() > 0).await;
        server.log.settle();
        assert_eq!(client.read_line().await, "*2\r\n");
        server.end();
    });
}

#[test]
fn a_push_leaves_once_what_caused_it_is_durable() {
    run_test(async {
        let server = Server::start();
        let mut client = server.client(0);
        server.write(&mut server.shared.engine.lock());
        server.push(&client, &["+push\r\n"]);
        client.send(&["PING"]).await;
        assert_eq!(client.read_line().await, "+PONG\r\n");
        // It depends on the key, and so on the same LSN as the push.
        client.send(&["GET key"]).await;
        until(|| client.info.activity.output_bytes() > "+push\r\n".len()).await;
        assert_eq!(server.log.durable_lsn(), 0);
        server.log.settle();
        // The dispatcher finds both gates passed, and sends replies first.
        for line in ["$5\r\n", "value\r\n", "+push\r\n"] {
            assert_eq!(client.read_line().await, line);
        }
        server.end();
    });
}

#[test]
fn a_push_whose_log_has_failed_waits_until_the_log_heals() {
    run_test(async {
        let server = Server::start();
        let mut client = server.client(0);
        server.write(&mut server.shared.engine.lock());
        server.push(&client, &["+push\r\n"]);
        server.fail_syncs_after(0);
        server.log.settle();
        assert!(server.log.has_failed());
        client.send(&["PING"]).await;
        assert_eq!(client.read_line().await, "+PONG\r\n");
        assert_eq!(client.info.activity.output_bytes(), "+push\r\n".len());
        server.heal_disk();
        server.log.heal();
        assert!(!server.log.has_failed());
        assert_eq!(client.read_line().await, "+push\r\n");
        server.end();
    });
}

#[test]
fn a_client_that_left_gets_no_push() {
    run_test(async {
        let server = Server::start();
        let client = server.client(0);
        let receiver = client.info.receiver().expect("it is connected");
        let info = client.info.clone();
        drop(client);
        until(|| server.shared.clients.list().is_empty()).await;
        let mut engine = server.shared.engine.lock();
        let mut unit = engine.unit();
        unit.push(receiver, "+push\r\n".as_bytes().into());
        unit.end();
        drop(engine);
        assert_eq!(info.activity.output_bytes(), 0);
        assert!(info.receiver().is_none(), "the last push held it");
        server.end();
    });
}
