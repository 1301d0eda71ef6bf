//! Random commands, sent to a real `redis-server` and to ours: the replies are the same, and in the
//! end so are the keys. `MAINSTAY_TEST_SEED` tries another sequence.

mod support;

use support::*;

type Args = Vec<Vec<u8>>;

fn shown(args: &Args) -> String {
    let words: Vec<String> = args.iter().map(|arg| arg.escape_ascii().to_string()).collect();
    words.join(" ")
}

/// Makes up commands. Keys are few, so that commands meet each other's values.
struct Generator(Random, Open);

/// Whether a transaction is open. What a `MULTI` or a `WATCH` within one does to it has changed from
/// version to version, so it is left out.
type Open = bool;

impl Generator {
    fn key(&mut self) -> Vec<u8> {
        self.0.pick(&["a", "b", "c", "d", "e"]).into()
    }

    fn value(&mut self) -> Vec<u8> {
        match self.0.below(6) {
            0 => self.number().into_bytes(),
            1 => {
                self.0.pick(&["", "text", "007", "1.5", "-0", " 1", "\r\n", "3.0e3", "inf"]).into()
            }
            2 => noise(self.0.below(60) as usize, self.0.next()),
            3 => vec![b'x'; 40 + self.0.below(10) as usize],
            _ => self.0.below(100).to_string().into(),
        }
    }

    fn number(&mut self) -> String {
        match self.0.below(4) {
            0 => {
                let edges = ["9223372036854775807", "-9223372036854775808", "0", "-1", "1"];
                self.0.pick(&edges).into()
            }
            1 => format!("-{}", self.0.below(100_000)),
            _ => self.0.below(100_000).to_string(),
        }
    }

    /// A time so far away that it does not come, or one that has passed.
    fn expiry(&mut self) -> (&'static str, String) {
        let far = 100_000 + self.0.below(1000) * 1000;
        match self.0.below(6) {
            0 => ("EX", far.to_string()),
            1 => ("PX", (far * 1000).to_string()),
            2 => ("EXAT", (4_000_000_000 + far).to_string()),
            3 => ("PXAT", ((4_000_000_000 + far) * 1000).to_string()),
            4 => ("EXAT", "1000000000".into()),
            _ => ("EX", self.0.pick(&["0", "-5", "x", "9223372036854775807"]).into()),
        }
    }

    fn string(&mut self) -> Args {
        let (key, other, value) = (self.key(), self.key(), self.value());
        let number = self.number();
        let small = (self.0.below(80) as i64 - 20).to_string();
        let end = (self.0.below(80) as i64 - 20).to_string();
        let command = |name: &str, rest: &[&[u8]]| {
            let mut args: Args = name.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            args.extend(rest.iter().map(|arg| arg.to_vec()));
            args
        };
        match self.0.below(22) {
            0..=3 => {
                let mut args = command("SET", &[&key, &value]);
                for _ in 0..self.0.below(3) {
                    match self.0.below(5) {
                        0 => args.push("NX".into()),
                        1 => args.push("XX".into()),
                        2 => args.push("GET".into()),
                        3 => args.push("KEEPTTL".into()),
                        _ => {
                            let (option, time) = self.expiry();
                            args.extend([option.into(), time.into_bytes()]);
                        }
                    }
                }
                args
            }
            4 => {
                let name = self.0.pick(&["GET", "STRLEN", "GETDEL", "INCR", "DECR", "get"]);
                command(name, &[&key])
            }
            5 => command(self.0.pick(&["INCRBY", "DECRBY"]), &[&key, number.as_bytes()]),
            6 => {
                let by =
                    self.0.pick(&["1.5", "-0.1", "1e3", "nan", "inf", "0", "3.0", "1e400", "x"]);
                command("INCRBYFLOAT", &[&key, by.as_bytes()])
            }
            7 => command("APPEND", &[&key, &value]),
            8 => command("SETNX", &[&key, &value]),
            9 => command("GETSET", &[&key, &value]),
            10 => command("SETRANGE", &[&key, small.as_bytes(), &value]),
            11 => {
                let name = self.0.pick(&["GETRANGE", "SUBSTR"]);
                command(name, &[&key, small.as_bytes(), end.as_bytes()])
            }
            12 => command("MGET", &[&key, &other, b"none"]),
            13 => {
                let more = self.value();
                command(self.0.pick(&["MSET", "MSETNX"]), &[&key, &value, &other, &more])
            }
            14 => {
                let name = self.0.pick(&["SETEX", "PSETEX"]);
                let time = self.0.pick(&["100000000", "0", "-1", "x", "9223372036854775807"]);
                command(name, &[&key, time.as_bytes(), &value])
            }
            15..=16 => {
                let mut args = command("GETEX", &[&key]);
                match self.0.below(3) {
                    0 => args.push("PERSIST".into()),
                    1 => {
                        let (option, time) = self.expiry();
                        args.extend([option.into(), time.into_bytes()]);
                    }
                    _ => {}
                }
                args
            }
            17 => {
                let option = self.0.pick(&["", "LEN", "IDX", "IDX WITHMATCHLEN", "LEN IDX"]);
                let mut args = command("LCS", &[&key, &other]);
                args.extend(option.split_ascii_whitespace().map(|word| word.into()));
                args
            }
            // Arguments are missing, or are too many.
            18 => command(self.0.pick(&["SET", "GET", "MSET", "APPEND", "NOSUCH", "LCS"]), &[&key]),
            19 => command(self.0.pick(&["GET", "INCR", "SETNX"]), &[&key, &value, &other]),
            _ => command("GET", &[&key]),
        }
    }

    fn generic(&mut self) -> Args {
        let (key, other) = (self.key(), self.key());
        let db = self.0.pick(&["0", "1", "2", "2", "16", "x"]).as_bytes().to_vec();
        let mut args: Args = Vec::new();
        let mut command = |name: &str, rest: &[&[u8]]| {
            args.extend(name.split(' ').map(|word| word.as_bytes().to_vec()));
            args.extend(rest.iter().map(|arg| arg.to_vec()));
        };
        match self.0.below(16) {
            0 => command(self.0.pick(&["DEL", "UNLINK", "EXISTS", "TOUCH"]), &[&key, &other, &key]),
            1 => command("TYPE", &[&key]),
            2..=3 => command(self.0.pick(&["RENAME", "RENAMENX"]), &[&key, &other]),
            4 => command("COPY", &[&key, &other]),
            5 => command("COPY", &[&key, &other, b"DB", &db, b"REPLACE"]),
            6 => command("MOVE", &[&key, &db]),
            7 => command("SELECT", &[&db]),
            8 => command("DBSIZE", &[]),
            9 => {
                let pattern = self.0.pick(&["*", "[ab]", "[^a]", "?", "x*", "\\a", "[a-c]", "["]);
                command("KEYS", &[pattern.as_bytes()]);
            }
            10 => command("SWAPDB", &[b"1", &db]),
            11 => command("OBJECT ENCODING", &[&key]),
            12 if self.0.below(20) == 0 => {
                command(
                    self.0.pick(&["FLUSHDB", "FLUSHALL", "FLUSHDB ASYNC", "FLUSHALL SYNC"]),
                    &[],
                );
            }
            13 => command("SCAN 0 COUNT 1000 MATCH", &[&key]),
            14 => command("ECHO", &[&key]),
            _ => command("EXISTS", &[&key]),
        }
        args
    }

    fn expire(&mut self) -> Args {
        let key = self.key();
        let words = |text: &str| -> Args { text.split(' ').map(|word| word.into()).collect() };
        let mut args = match self.0.below(7) {
            0 => words(self.0.pick(&["TTL", "EXPIRETIME", "PEXPIRETIME", "PERSIST"])),
            1 => words("PERSIST"),
            2..=4 => words(self.0.pick(&["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"])),
            _ => words("TTL"),
        };
        let name = String::from_utf8(args[0].clone()).unwrap();
        args.push(key);
        if let "EXPIRE" | "PEXPIRE" | "EXPIREAT" | "PEXPIREAT" = &name[..] {
            let far = 100_000 + self.0.below(100) * 1000;
            let time = match &name[..] {
                "EXPIRE" => far.to_string(),
                "PEXPIRE" => (far * 1000).to_string(),
                "EXPIREAT" => (4_000_000_000 + far).to_string(),
                _ => ((4_000_000_000 + far) * 1000).to_string(),
            };
            let odd = self.0.pick(&["0", "-1", "x", "9223372036854775807", "-9223372036854775808"]);
            args.push(if self.0.below(4) == 0 { odd.into() } else { time.into_bytes() });
            match self.0.below(3) {
                0 => args.push(self.0.pick(&["NX", "XX", "GT", "LT", "??"]).into()),
                1 if self.0.below(3) == 0 => args.extend(words("XX GT")),
                _ => {}
            }
        }
        args
    }

    /// The words of a line, in which `$k` is any key, `$f` a field, `$v` a value, `$n` a number, `$b` the
    /// number of a bit, `$i` an index and `$t` the type of a bit field.
    fn line(&mut self, line: &str) -> Args {
        let word = |word: &str| match word {
            "$k" => self.key(),
            "$f" => self.0.pick(&["f1", "f2", "f3", "4", "5", "", "a longer name"]).into(),
            "$v" => self.value(),
            "$n" => self.number().into(),
            "$b" => {
                self.0.pick(&["0", "1", "7", "8", "13", "63", "64", "500", "-1", "-9", "x"]).into()
            }
            "$t" => self.0.pick(&["u1", "u8", "i8", "u63", "i64", "i5", "u31", "u64", "x"]).into(),
            "$i" => (self.0.below(600) as i64 - 100).to_string().into(),
            other => other.into(),
        };
        line.split(' ').map(word).collect()
    }

    fn bits(&mut self) -> Args {
        let line = self.0.pick(&[
            "SET $k $v",
            "SETBIT $k $b 1",
            "SETBIT $k $b 0",
            "GETBIT $k $b",
            "BITCOUNT $k",
            "BITCOUNT $k $i $i",
            "BITCOUNT $k $i $i BIT",
            "BITPOS $k 1",
            "BITPOS $k 0",
            "BITPOS $k 0 $i",
            "BITPOS $k 1 $i $i",
            "BITPOS $k 0 $i $i BIT",
            "BITOP AND $k $k $k $k",
            "BITOP OR $k $k $k",
            "BITOP XOR $k $k $k",
            "BITOP NOT $k $k",
            "BITFIELD $k SET $t $b $n GET $t $b",
            "BITFIELD $k INCRBY $t #3 $n OVERFLOW SAT INCRBY $t $b $n",
            "BITFIELD $k OVERFLOW FAIL SET $t $b $n INCRBY $t $b $n",
            "BITFIELD_RO $k GET $t $b GET i8 0",
            "GET $k",
            "DEL $k",
            "PFADD $k",
            "PFADD $k $v $v $n",
            "PFADD $k $n $n $n $n $n $n",
            "PFCOUNT $k",
            "PFCOUNT $k $k",
            "PFMERGE $k $k $k",
            "PFDEBUG TODENSE $k",
            "PFDEBUG DECODE $k",
        ]);
        self.line(line)
    }

    fn hash(&mut self) -> Args {
        let line = self.0.pick(&[
            "HSET $k $f $v",
            "HSET $k $f $v $f $v $f $v",
            "HMSET $k $f $v $n $v",
            "HSET $k $f",
            "HSETNX $k $f $v",
            "HGET $k $f",
            "HMGET $k $f $f none",
            "HGETALL $k",
            "HKEYS $k",
            "HVALS $k",
            "HLEN $k",
            "HEXISTS $k $f",
            "HSTRLEN $k $f",
            "HINCRBY $k $f $n",
            "HINCRBYFLOAT $k $f $v",
            "HDEL $k $f",
            "HDEL $k $f $f $f",
            "HSCAN $k 0 COUNT 10000",
            "HSCAN $k 0 MATCH f*",
            "HRANDFIELD $k 100",
            "HRANDFIELD $k 100 WITHVALUES",
            "HRANDFIELD $k $n $v",
            "OBJECT ENCODING $k",
            "RENAME $k $k",
            "COPY $k $k REPLACE",
            "DEL $k",
        ]);
        self.line(line)
    }

    fn transaction(&mut self) -> Args {
        let names: &[&str] = match self.1 {
            true => &["EXEC", "EXEC", "DISCARD", "UNWATCH"],
            false => &["MULTI", "MULTI", "MULTI", "WATCH", "UNWATCH", "EXEC", "DISCARD"],
        };
        let name = self.0.pick(names);
        self.1 = name == "MULTI" || self.1 && name == "UNWATCH";
        let mut args: Args = vec![name.into()];
        if name == "WATCH" {
            args.push(self.key());
        }
        args
    }

    fn command(&mut self) -> Args {
        match self.0.below(20) {
            0..=9 => self.string(),
            10..=14 => self.generic(),
            15..=17 => self.expire(),
            _ => self.transaction(),
        }
    }
}

/// Whether two replies say the same: keys come in any order, and times may differ by as much as the two
/// servers were apart when they looked at their clocks.
fn is_same(args: &Args, ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Array(ours), Value::Array(theirs)) => {
            let mut pairs = ours.iter().zip(theirs);
            const UNORDERED: [&[u8]; 7] =
                [b"KEYS", b"EXEC", b"HGETALL", b"HKEYS", b"HVALS", b"HSCAN", b"HRANDFIELD"];
            let in_any_order = UNORDERED.contains(&&args[0][..]);
            ours.len() == theirs.len() && pairs.all(|(ours, theirs)| is_same(args, ours, theirs))
                || in_any_order && sorted(ours) == sorted(theirs)
        }
        (Value::Int(ours), Value::Int(theirs)) if *ours > 50_000 => {
            let tolerance = if *ours > 50_000_000 { 60_000 } else { 60 };
            ours == theirs || is_time(args) && ours.abs_diff(*theirs) < tolerance
        }
        // What `INCRBYFLOAT` wrote is an integer here at once if it is one, in Redis only after it was
        // loaded again.
        (Value::Bulk(ours), Value::Bulk(theirs)) if args[0] == b"OBJECT" || args[0] == b"EXEC" => {
            ours == theirs || ours == b"int" && theirs == b"embstr"
        }
        _ => ours == theirs,
    }
}

/// Whether the reply, or one in it, may be a time that depends on now.
fn is_time(args: &Args) -> bool {
    let name = args[0].to_ascii_uppercase();
    [&b"TTL"[..], b"EXPIRETIME", b"PEXPIRETIME", b"PTTL", b"EXEC"].contains(&&name[..])
}

fn sorted(values: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    texts.sort();
    texts
}

/// Compares all databases key by key, with types, encodings and expiry times.
fn compare_contents(ours: &mut Client, theirs: &mut Client) {
    for client in [&mut *ours, &mut *theirs] {
        client.call("RESET");
    }
    for db in 0..16 {
        let select = format!("SELECT {db}");
        assert_eq!((ours.call(&select), theirs.call(&select)), (ok(), ok()));
        let (our_keys, their_keys) = (ours.call("KEYS *"), theirs.call("KEYS *"));
        assert_eq!(sorted(our_keys.items()), sorted(their_keys.items()), "keys of {db}");
        for key in our_keys.items() {
            let Value::Bulk(key) = key else { panic!("not a key: {key:?}") };
            for question in ["GET", "HGETALL", "TYPE", "PEXPIRETIME"] {
                let args = vec![question.into(), key.clone()];
                let (ours, theirs) = (ours.call_args(&args), theirs.call_args(&args));
                assert!(
                    is_same(&args, &ours, &theirs),
                    "{db} {}: {ours:?}, {theirs:?}",
                    shown(&args)
                );
            }
        }
    }
}

fn compare(usual_seed: u64, mut command: impl FnMut(&mut Generator) -> Args) {
    let Some(redis) = Redis::start() else { return };
    let setup = Setup::new(&["--appendfsync", "no", "--enable-debug-command", "local"]);
    let server = setup.start();
    let (mut ours, mut theirs) = (server.client(), Client::connect(redis.port));
    for client in [&mut ours, &mut theirs] {
        // Expired keys go when they are asked for, and not when one of the servers comes to it.
        assert_eq!(client.call("DEBUG SET-ACTIVE-EXPIRE 0"), ok());
    }
    let mut generator = Generator(Random(seed(usual_seed)), false);
    let count = if full_scale() { 200_000 } else { 6_000 };
    let mut errors = 0;
    for number in 0..count {
        let args = command(&mut generator);
        ours.send_args(&args);
        theirs.send_args(&args);
        let (ours, theirs) = (ours.read(), theirs.read());
        assert!(
            is_same(&args, &ours, &theirs),
            "command {number}: {}\n   ours: {ours:?}\n theirs: {theirs:?}",
            shown(&args)
        );
        errors += usize::from(matches!(ours, Value::Error(_)));
    }
    // A generator of nothing but mistakes would compare nothing.
    assert!(errors < count / 2, "{errors} errors");
    compare_contents(&mut ours, &mut theirs);
    // What was replied is what a restart has.
    drop(ours);
    server.kill();
    let server = setup.start();
    compare_contents(&mut server.client(), &mut theirs);
}

#[test]
fn string_commands_reply_as_redis_does() {
    compare(1, Generator::string);
}

#[test]
fn commands_about_keys_and_databases_reply_as_redis_does() {
    compare(
        2,
        |generator| {
            if generator.0.below(3) == 0 { generator.string() } else { generator.generic() }
        },
    );
}

#[test]
fn commands_about_expiry_reply_as_redis_does() {
    compare(
        3,
        |generator| {
            if generator.0.below(3) == 0 { generator.string() } else { generator.expire() }
        },
    );
}

#[test]
fn commands_about_bits_and_hyperloglogs_reply_as_redis_does() {
    compare(6, Generator::bits);
}

#[test]
fn commands_about_hashes_reply_as_redis_does() {
    compare(7, Generator::hash);
}

#[test]
fn all_commands_and_transactions_of_them_reply_as_redis_does() {
    compare(4, Generator::command);
}

#[test]
fn keys_match_patterns_as_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let setup = Setup::new(&["--appendfsync", "no"]);
    let server = setup.start();
    let (mut ours, mut theirs) = (server.client(), Client::connect(redis.port));
    let mut random = Random(seed(5));
    let mut word = |letters: &[u8], len: u64| -> Vec<u8> {
        let len = random.below(len);
        (0..len).map(|_| letters[random.below(letters.len() as u64) as usize]).collect()
    };
    for _ in 0..200 {
        let args = [b"SET".to_vec(), word(b"ab-[]^*\xff\x80", 5), b"v".to_vec()];
        assert_eq!(ours.call_args(&args), theirs.call_args(&args));
    }
    for _ in 0..if full_scale() { 50_000 } else { 2_000 } {
        let args = vec![b"KEYS".to_vec(), word(b"ab-[[]^*?\\\xff\x80", 8)];
        let (ours, theirs) = (ours.call_args(&args), theirs.call_args(&args));
        assert!(is_same(&args, &ours, &theirs), "{}: {ours:?}, {theirs:?}", shown(&args));
    }
}
