//! Everything that a server holds, in a form that does not depend on the server.

use super::{Client, Value, ok};

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
