//! `CLIENT`, limits on clients, and programs and libraries that people use.

use super::support::*;

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
fn maxclients_is_lowered_to_what_the_limit_of_open_files_allows() {
    let mut setup = Setup::new(&["--log-segment-size", "64kb"]);
    setup.limit_open_files(256);
    let server = setup.start();
    let mut first = server.client();
    let max: usize = info(&mut first, "maxclients").parse().unwrap();
    assert!((100..200).contains(&max), "{max}");
    server.wait_for_log(&format!("the system allows 256: it is {max} now"));
    let mut clients: Vec<Client> = (0..300).map(|_| server.client()).collect();
    for client in clients.drain(..).skip(max - 1).collect::<Vec<_>>().iter_mut() {
        assert_eq!(client.read(), error("ERR max number of clients reached"));
        assert!(client.is_closed());
    }
    assert_eq!(info(&mut first, "rejected_connections"), (301 - max).to_string());
    let refused = first.call("CONFIG SET maxclients 1000");
    assert!(refused.is_error("ERR CONFIG SET failed"), "{refused:?}");
    assert!(!server.log().contains("Some("), "{}", server.log());
}

#[test]
fn the_log_rolls_and_is_rewritten_while_clients_have_all_descriptors() {
    let mut setup = Setup::new(&["--log-segment-size", "64kb"]);
    setup.limit_open_files(256);
    let server = setup.start();
    let mut client = server.client();
    let max: usize = info(&mut client, "maxclients").parse().unwrap();
    let idle: Vec<Client> = (0..300).map(|_| server.client()).collect();
    for n in 0..200 {
        let reply = client.call_args(&[&b"SET"[..], n.to_string().as_bytes(), &noise(2000, n)]);
        assert_eq!(reply, ok());
    }
    assert!(info(&mut client, "log_segments").parse::<u32>().unwrap() > 3);
    for (command, running) in
        [("BGREWRITEAOF", "aof_rewrite_in_progress"), ("BGSAVE", "rdb_bgsave_in_progress")]
    {
        client.call(command);
        eventually("it ends", || (info(&mut client, running) == "0").then_some(()));
    }
    assert_eq!(info(&mut client, "aof_last_bgrewrite_status"), "ok");
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "ok");
    assert_eq!(info(&mut client, "connected_clients"), max.to_string());
    assert_eq!(info(&mut client, "log_failure"), "");
    drop(idle);
}

#[test]
fn a_server_without_descriptors_for_clients_does_not_start() {
    let mut setup = Setup::new(&[]);
    setup.limit_open_files(64);
    let log = setup.start_refused();
    assert!(log.contains("the limit of 64 open files leaves none for clients"), "{log}");
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
    // Those of the version that `INFO` claims, and no others: some clients read them strictly.
    const FIELDS: &str = "id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free argv-mem \
                          multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver";
    for line in [line.to_owned(), one.call("CLIENT INFO").text()] {
        let fields: Vec<&str> =
            line.split_whitespace().filter_map(|field| Some(field.split_once('=')?.0)).collect();
        assert_eq!(fields.join(" "), FIELDS, "{line}");
    }
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
