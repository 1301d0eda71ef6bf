//! Everything that a server holds, in a form that does not depend on the server.

use super::{Client, Value, eventually, int, noise, ok};

/// A library of functions.
pub const LIBRARY: &str = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";

/// Fills a server with values of all types and encodings. `part` tells the keys of several calls apart.
pub fn fill(client: &mut Client, part: usize) {
    let mut call = |words: &[&[u8]]| {
        let reply = client.call_args(words);
        assert!(!matches!(reply, Value::Error(_)), "{}: {reply:?}", words[0].escape_ascii());
    };
    let key = |name: &str| format!("{name}:{part}").into_bytes();
    let texts: Vec<String> = (0..700).map(|n| format!("element {n}")).collect();
    let numbers: Vec<String> = (0..700).map(|n| (n * n * 1000 - 5).to_string()).collect();
    call(&[b"SET", &key("text"), b"value"]);
    call(&[b"SET", &key("number"), b"-1234567890123"]);
    call(&[b"SET", &key("binary"), &noise(5000, 3)]);
    call(&[b"SET", &key("compressible"), &[b'x'; 5000]]);
    call(&[b"SET", b"key \x00\r\n\xff", b""]);
    call(&[b"SET", &key("expires"), b"1", b"PXAT", b"4102444800123"]);
    call(&[b"SET", &key("expired"), b"1", b"PX", b"1"]);
    for (name, count) in [("small", 5), ("big", 700)] {
        let key = |kind: &str| key(&format!("{kind}:{name}"));
        for (element, number) in texts.iter().zip(&numbers).take(count) {
            let (element, number) = (element.as_bytes(), number.as_bytes());
            call(&[b"RPUSH", &key("list"), element]);
            call(&[b"RPUSH", &key("list of numbers"), number]);
            call(&[b"SADD", &key("set"), element]);
            call(&[b"SADD", &key("intset"), number]);
            call(&[b"HSET", &key("hash"), element, number]);
            call(&[b"ZADD", &key("zset"), number, element]);
            call(&[b"XADD", &key("stream"), b"*", b"field", element, number, b"x"]);
        }
        call(&[b"PEXPIREAT", &key("list"), b"4102444800456"]);
        call(&[b"XGROUP", b"CREATE", &key("stream"), b"group", b"0"]);
        call(&[
            b"XREADGROUP",
            b"GROUP",
            b"group",
            b"me",
            b"COUNT",
            b"3",
            b"STREAMS",
            &key("stream"),
            b">",
        ]);
        call(&[b"XDEL", &key("stream"), b"1-1"]);
    }
    call(&[b"RPUSH", &key("list of big ones"), &noise(20_000, 1), b"x", &noise(9_000, 2)]);
    call(&[b"ZADD", &key("scores"), b"-inf", b"a", b"1.5", b"b", b"1e10", b"c", b"inf", b"d"]);
    call(&[b"PFADD", &key("hll"), b"a", b"b", b"c"]);
    call(&[b"SETBIT", &key("bits"), b"1000", b"1"]);
    call(&[b"SELECT", b"9"]);
    call(&[b"SET", &key("elsewhere"), b"1"]);
    call(&[b"SELECT", b"0"]);
    let hash = key("hash:small");
    let words: [&[u8]; 6] = [b"HPEXPIREAT", &hash, b"4102444800789", b"FIELDS", b"1", b"element 1"];
    let reply = client.call_args(&words);
    assert!(reply.is_error("ERR unknown") || reply == Value::Array(vec![int(1)]), "{reply:?}");
    // What has expired is gone before contents are compared.
    let expired = format!("EXISTS expired:{part}");
    eventually("a key expires", || (client.call(&expired) == int(0)).then_some(()));
}

/// All keys of the first 16 databases with types, values and expiry times, a line each, in order.
pub fn contents(client: &mut Client) -> Vec<String> {
    let knows_field_expiry = !client.call("HPEXPIRETIME no FIELDS 1 x").is_error("ERR unknown");
    let mut lines = Vec::new();
    for db in 0..16 {
        assert_eq!(client.call(&format!("SELECT {db}")), ok());
        for key in client.call("KEYS *").items() {
            let Value::Bulk(key) = key else { panic!("not a key: {key:?}") };
            lines.push(line(client, db, key, knows_field_expiry));
        }
    }
    assert_eq!(client.call("SELECT 0"), ok());
    lines.sort();
    lines
}

fn line(client: &mut Client, db: usize, key: &[u8], knows_field_expiry: bool) -> String {
    let mut ask = |words: &[&str]| {
        let words = words.iter().map(|&word| if word == "KEY" { key } else { word.as_bytes() });
        client.call_args(&words.collect::<Vec<_>>())
    };
    let kind = ask(&["TYPE", "KEY"]).text();
    let mut answers = vec![ask(&["PEXPIRETIME", "KEY"])];
    match &kind[..] {
        "string" => answers.push(ask(&["GET", "KEY"])),
        "list" => answers.push(ask(&["LRANGE", "KEY", "0", "-1"])),
        "set" => answers.push(sorted(ask(&["SMEMBERS", "KEY"]), 1)),
        "zset" => answers.push(ask(&["ZRANGE", "KEY", "0", "-1", "WITHSCORES"])),
        "hash" => {
            let fields = ask(&["HGETALL", "KEY"]);
            if knows_field_expiry {
                for field in fields.items().iter().step_by(2) {
                    let Value::Bulk(field) = field else { panic!("not a field: {field:?}") };
                    let words = [b"HPEXPIRETIME", key, b"FIELDS", b"1", field];
                    let at = client.call_args(&words);
                    if at != Value::Array(vec![Value::Int(-1)]) {
                        answers.push(Value::Array(vec![Value::Bulk(field.clone()), at]));
                    }
                }
                answers.sort_by_key(|answer| format!("{answer:?}"));
            }
            answers.push(sorted(fields, 2));
        }
        "stream" => {
            answers.push(ask(&["XRANGE", "KEY", "-", "+"]));
            let groups = ask(&["XINFO", "GROUPS", "KEY"]);
            for group in groups.items() {
                let Value::Bulk(name) = &group.items()[1] else { panic!("no name: {group:?}") };
                answers.push(client.call_args(&[b"XPENDING", key, name]));
            }
            answers.push(groups);
        }
        other => panic!("an unknown type: {other}"),
    }
    let mut line = format!("{db} {} {kind}", key.escape_ascii());
    answers.iter().for_each(|answer| show(answer, &mut line));
    line
}

fn show(value: &Value, out: &mut String) {
    out.push(' ');
    match value {
        Value::Bulk(bytes) => *out += &bytes.escape_ascii().to_string(),
        Value::Int(number) => *out += &number.to_string(),
        Value::Array(values) => {
            out.push('[');
            values.iter().for_each(|value| show(value, out));
            out.push(']');
        }
        other => *out += &format!("{other:?}"),
    }
}

/// Fails with the first difference if two servers do not hold the same.
pub fn assert_same_contents(ours: &[String], theirs: &[String]) {
    let difference = ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs);
    if let Some((ours, theirs)) = difference {
        let same = ours.bytes().zip(theirs.bytes()).take_while(|(a, b)| a == b).count();
        let around = |line: &str| {
            let start: String = line.chars().take(60).collect();
            let (from, to) = (same.saturating_sub(40), line.len().min(same + 80));
            format!("{start} … {}", line.get(from..to).unwrap_or_default())
        };
        panic!("ours:   {}\ntheirs: {}", around(ours), around(theirs));
    }
    assert_eq!(ours.len(), theirs.len(), "one has more keys");
}

/// An array whose elements, `size` at a time, have no order of their own.
fn sorted(value: Value, size: usize) -> Value {
    let mut groups: Vec<_> = value.items().chunks(size).map(<[Value]>::to_vec).collect();
    groups.sort_by_key(|group| format!("{group:?}"));
    Value::Array(groups.concat())
}
