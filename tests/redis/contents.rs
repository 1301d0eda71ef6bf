//! Whether two servers hold the same.

use super::compare::{Comparison, sorted};
use super::run::shown;
use super::support::{Client, Value, ok};

type Args = Vec<Vec<u8>>;

fn ask(client: &mut Client, questions: &[Args]) -> Vec<Value> {
    let mut bytes = Vec::new();
    questions.iter().for_each(|args| Client::encode(&mut bytes, args));
    client.send_bytes(&bytes);
    client.read_many(questions.len())
}

fn question(words: &[&str], key: &[u8]) -> Args {
    let name = words[0].split(' ').map(|word| word.as_bytes().to_vec());
    let rest = words[1..].iter().map(|word| word.as_bytes().to_vec());
    name.chain([key.to_vec()]).chain(rest).collect()
}

/// Compares all databases key by key: values, encodings, expiry times. Says what differs first.
pub fn compare(
    comparison: &Comparison,
    ours: &mut Client,
    theirs: &mut Client,
) -> Result<(), String> {
    for db in 0..16 {
        let select = format!("SELECT {db}");
        assert_eq!((ours.call(&select), theirs.call(&select)), (ok(), ok()));
        let (our_keys, their_keys) = (ours.call("KEYS *"), theirs.call("KEYS *"));
        if sorted(our_keys.items()) != sorted(their_keys.items()) {
            return Err(format!("keys of database {db}: {our_keys:?}\n  theirs: {their_keys:?}"));
        }
        for key in our_keys.items() {
            let Value::Bulk(key) = key else { panic!("not a key: {key:?}") };
            let kind = ours.call_args(&question(&["TYPE"], key)).text();
            let mut questions = vec![
                question(&["TYPE"], key),
                question(&["OBJECT ENCODING"], key),
                question(&["PEXPIRETIME"], key),
            ];
            match &kind[..] {
                "string" => questions.push(question(&["GET"], key)),
                "list" => questions.push(question(&["LRANGE", "0", "-1"], key)),
                "set" => questions.push(question(&["SMEMBERS"], key)),
                "zset" => questions.push(question(&["ZRANGE", "0", "-1", "WITHSCORES"], key)),
                "stream" => {
                    questions
                        .push([question(&["XINFO STREAM", "FULL", "COUNT", "0"], key)].concat());
                }
                "hash" => {
                    questions.push(question(&["HGETALL"], key));
                    questions.push(question(&["HLEN"], key));
                    let fields = ours.call_args(&question(&["HKEYS"], key));
                    let fields = fields.items();
                    if comparison.exact_errors && !fields.is_empty() {
                        let count = fields.len().to_string();
                        let mut times = question(&["HPEXPIRETIME", "FIELDS", &count], key);
                        for field in fields {
                            let Value::Bulk(field) = field else {
                                panic!("not a field: {field:?}")
                            };
                            times.push(field.clone());
                        }
                        questions.push(times);
                    }
                }
                _ => {}
            }
            let (our_answers, their_answers) = (ask(ours, &questions), ask(theirs, &questions));
            let encoding = our_answers[1].clone();
            for ((args, ours), theirs) in questions.iter().zip(&our_answers).zip(&their_answers) {
                // Small hashes keep the order in which fields came.
                let in_order =
                    args[0] == b"HGETALL" && encoding != Value::Bulk(b"hashtable".to_vec());
                let same = comparison.is_same(args, ours, theirs) && (!in_order || ours == theirs);
                if !same {
                    return Err(format!(
                        "contents of database {db}, {} ({kind}, {encoding:?}): {ours:?}\n  theirs: {theirs:?}",
                        shown(args)
                    ));
                }
            }
        }
    }
    Ok(())
}
