//! Commands on collections of a million elements, ours and a real Redis's, in interleaved rounds.
//!
//! `cargo bench --bench collections -- [part of a row …]`; `MAINSTAY_BENCH_ROUNDS` and
//! `MAINSTAY_BENCH_ELEMENTS` change 7 rounds and a million elements. Each row is a command that is sent many times over in
//! one batch, the same bytes to both servers. Two times are taken: that of the whole batch as the
//! client sees it, and that of the commands alone by the server's own `INFO commandstats`. The first
//! counts everything, also reading the request and sending the reply; the second nothing else. Both
//! ratios are the medians of the rounds'.

mod support;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use support::{AnyError, Batch, Client, Random, Server, WorkDir, median, mixed};

/// A batch is made long enough to take the slower server about so long.
const BATCH_MS: f64 = 20.0;
const BATCH_COMMANDS_MAX: usize = 4096;
/// No row goes on when its rounds have taken so long.
const ROW_MS_MAX: f64 = 5000.0;
/// More than this times Redis's time is marked.
const RATIO_MAX: f64 = 1.5;

/// In commands, `%i` stands for the number of a random element, `%r` for one with 8 digits, `%j` for the
/// last `%i` and 9, `%n` for a number that was never used before, `%m` for half the number of elements,
/// `%k` for 9 more, and `%d` followed by a key for what `DUMP` makes of it.
struct Row {
    /// What is timed.
    command: &'static str,
    /// What is done before each timing.
    before: &'static [&'static str],
    /// At most so many commands are timed at once.
    commands_max: usize,
}

/// A command that is timed many times over.
const fn many(command: &'static str) -> Row {
    Row { command, before: &[], commands_max: BATCH_COMMANDS_MAX }
}

/// A command of which one is timed, after some others.
const fn once(command: &'static str, before: &'static [&'static str]) -> Row {
    Row { command, before, commands_max: 1 }
}

/// A command that takes much of the collection `tmp`, which is made anew for each timing.
const fn some(commands_max: usize, command: &'static str, before: &'static [&'static str]) -> Row {
    Row { command, before, commands_max }
}

const NOTHING: &[&str] = &[];

const ROWS: &[Row] = &[
    many("LINDEX l %m"),
    many("LINDEX l %i"),
    many("LRANGE l %m %k"),
    many("LRANGE l %i %j"),
    many("LSET l %m element:%r"),
    many("LINSERT l BEFORE element:%r new"),
    many("LREM l 1 element:%r"),
    many("LREM l -1 element:%r"),
    many("LPOS l element:%r"),
    many("LPOS l element:%r RANK -1"),
    many("LPUSH l element:%n"),
    many("RPUSH l element:%n"),
    many("LPOP l"),
    many("RPOP l"),
    some(1000, "LPOP tmp 100", &["COPY l tmp REPLACE"]),
    many("LMOVE l l LEFT RIGHT"),
    many("LTRIM l 1 -2"),
    many("LLEN l"),
    once("LRANGE l 0 -1", NOTHING),
    once("LTRIM tmp 1000 2000", &["COPY l tmp REPLACE"]),
    once("LTRIM tmp 400000 -400000", &["COPY l tmp REPLACE"]),
    once("LREM tmp 0 element:00500000", &["COPY l tmp REPLACE"]),
    many("HGET h field:%r"),
    many("HSET h field:%r value:%r"),
    many("HSET h new:%n value:%r"),
    many("HDEL h field:%r"),
    many("HEXISTS h field:%r"),
    many("HSTRLEN h field:%r"),
    many("HMGET h field:%r field:%r field:%r field:%r"),
    many("HINCRBY hn field:%r 5"),
    many("HINCRBYFLOAT hn field:%r 0.5"),
    many("HRANDFIELD h"),
    many("HRANDFIELD h 10"),
    many("HRANDFIELD h 10 WITHVALUES"),
    many("HRANDFIELD h 1000"),
    many("HRANDFIELD h -10"),
    many("HSCAN h 0"),
    many("HSCAN h 0 COUNT 1000"),
    many("HEXPIRE hn 10000 FIELDS 1 field:%r"),
    many("HTTL hn FIELDS 1 field:%r"),
    many("HLEN h"),
    once("HRANDFIELD h 500000", NOTHING),
    once("HGETALL h", NOTHING),
    once("HKEYS h", NOTHING),
    once("HVALS h", NOTHING),
    many("SADD s new:%n"),
    many("SREM s member:%r"),
    many("SISMEMBER s member:%r"),
    many("SMISMEMBER s member:%r member:%r member:%r"),
    many("SPOP s"),
    many("SPOP s 10"),
    some(100, "SPOP tmp 1000", &["COPY s tmp REPLACE"]),
    many("SRANDMEMBER s"),
    many("SRANDMEMBER s 10"),
    many("SRANDMEMBER s -10"),
    many("SRANDMEMBER s 1000"),
    many("SMOVE s s3 member:%r"),
    many("SSCAN s 0"),
    many("SSCAN s 0 COUNT 1000"),
    many("SINTER s small"),
    many("SINTERCARD 2 s s2 LIMIT 10"),
    once("SPOP tmp 900000", &["COPY s tmp REPLACE"]),
    once("SRANDMEMBER s 500000", NOTHING),
    once("SMEMBERS s", NOTHING),
    once("SINTER s s2", NOTHING),
    once("SINTERCARD 2 s s2", NOTHING),
    once("SINTERSTORE tmp s s2", &["DEL tmp"]),
    once("SUNION s s2", NOTHING),
    once("SUNIONSTORE tmp s s2", &["DEL tmp"]),
    once("SDIFF s s2", NOTHING),
    once("SDIFFSTORE tmp s s2", &["DEL tmp"]),
    once("SINTER i i2", NOTHING),
    once("SMEMBERS i", NOTHING),
    many("ZADD z %i member:%r"),
    many("ZADD z %i new:%n"),
    many("ZADD z XX CH INCR 1 member:%r"),
    many("ZREM z member:%r"),
    many("ZRANK z member:%r"),
    many("ZREVRANK z member:%r"),
    many("ZSCORE z member:%r"),
    many("ZMSCORE z member:%r member:%r"),
    many("ZRANGE z %m %k"),
    many("ZRANGE z %i %j REV"),
    many("ZRANGE z 0 9"),
    many("ZREVRANGE z %m %k WITHSCORES"),
    many("ZRANGEBYSCORE z %i +inf LIMIT 0 10"),
    many("ZRANGEBYSCORE z -inf +inf LIMIT %m 10"),
    many("ZREVRANGEBYSCORE z %i -inf LIMIT 0 10"),
    many("ZRANGEBYLEX zl [member:%r + LIMIT 0 10"),
    many("ZREVRANGEBYLEX zl [member:%r - LIMIT 0 10"),
    many("ZCOUNT z %i +inf"),
    many("ZLEXCOUNT zl [member:%r +"),
    many("ZINCRBY z 1.5 member:%r"),
    many("ZPOPMIN z"),
    many("ZPOPMAX z 10"),
    many("ZRANDMEMBER z"),
    many("ZRANDMEMBER z 10"),
    many("ZRANDMEMBER z -10 WITHSCORES"),
    some(4096, "ZREMRANGEBYRANK tmp %i %j", &["COPY z tmp REPLACE"]),
    some(4096, "ZREMRANGEBYSCORE tmp %i %j", &["COPY z tmp REPLACE"]),
    many("ZSCAN z 0"),
    many("ZCARD z"),
    once("ZRANGE z 0 -1", NOTHING),
    once("ZRANGE z 0 -1 WITHSCORES", NOTHING),
    once("ZRANGESTORE tmp z 0 -1", &["DEL tmp"]),
    once("ZREMRANGEBYRANK tmp 1000 900000", &["COPY z tmp REPLACE"]),
    once("ZUNION 2 z z2", NOTHING),
    once("ZINTER 2 z z2", NOTHING),
    once("ZINTERCARD 2 z z2", NOTHING),
    once("ZDIFF 2 z z2", NOTHING),
    once("ZUNIONSTORE tmp 2 z z2", &["DEL tmp"]),
    once("ZINTERSTORE tmp 2 z z2", &["DEL tmp"]),
    once("ZDIFFSTORE tmp 2 z z2", &["DEL tmp"]),
    many("XADD x %n-1 user member:%r action click"),
    many("XADD x MAXLEN ~ 1000000 %n-1 user member:%r action click"),
    many("XADD x MAXLEN = 1000000 %n-1 user member:%r action click"),
    many("XRANGE x %i + COUNT 1"),
    many("XRANGE x %i + COUNT 10"),
    many("XREVRANGE x %i - COUNT 10"),
    many("XREAD COUNT 10 STREAMS x %i"),
    many("XDEL x %i-1"),
    many("XLEN x"),
    many("XTRIM x MINID 100"),
    many("XINFO STREAM x"),
    many("XREADGROUP GROUP fresh c COUNT 10 STREAMS x >"),
    many("XREADGROUP GROUP noack c COUNT 10 NOACK STREAMS x >"),
    many("XREADGROUP GROUP all c COUNT 10 STREAMS x %i"),
    many("XACK x all %i-1"),
    many("XPENDING x all"),
    many("XPENDING x all %i + 10"),
    many("XPENDING x all %i + 10 c"),
    many("XCLAIM x all c2 0 %i-1"),
    many("XCLAIM x all c2 0 %i-1 JUSTID"),
    many("XAUTOCLAIM x all c2 0 %i COUNT 10"),
    once("XRANGE x - +", NOTHING),
    once("XREVRANGE x + -", NOTHING),
    once("XTRIM tmp MAXLEN 1000", &["COPY x tmp REPLACE"]),
    many("GETRANGE b %i %j"),
    many("SETRANGE b %i hello"),
    many("APPEND b hello"),
    many("GETBIT b %i"),
    many("SETBIT b %i 1"),
    many("BITFIELD b INCRBY u16 %i 1"),
    many("STRLEN b"),
    once("BITCOUNT b", NOTHING),
    once("BITCOUNT b 1 -2", NOTHING),
    once("BITPOS zeros 1", NOTHING),
    once("BITOP AND tmp b b2", &["DEL tmp"]),
    once("BITOP XOR tmp b b2", &["DEL tmp"]),
    once("BITOP NOT tmp b", &["DEL tmp"]),
    once("GET b", NOTHING),
    many("PFADD p member:%r"),
    many("PFCOUNT p"),
    many("PFCOUNT p p2"),
    many("PFMERGE p3 p p2"),
    many("GEOSEARCH g FROMLONLAT 2.35 48.85 BYRADIUS 10 km"),
    many("GEOSEARCH g FROMLONLAT 2.35 48.85 BYBOX 50 50 km ASC COUNT 10"),
    many("GEOSEARCH g FROMMEMBER member:%r BYRADIUS 20 km COUNT 5 ANY"),
    many("GEOADD g 2.35 48.85 member:%r"),
    many("GEODIST g member:%r member:%r"),
    once("GEOSEARCH g FROMLONLAT 2.35 48.85 BYRADIUS 3000 km ASC", NOTHING),
    many("SCAN 0 COUNT 1000"),
    many("RANDOMKEY"),
    once("SORT i DESC LIMIT 0 10", NOTHING),
    once("SORT s ALPHA LIMIT 0 10", NOTHING),
    once("SORT l ALPHA STORE tmp", &["DEL tmp"]),
    once("COPY l tmp", &["DEL tmp"]),
    once("COPY h tmp", &["DEL tmp"]),
    once("COPY s tmp", &["DEL tmp"]),
    once("COPY z tmp", &["DEL tmp"]),
    once("COPY x tmp", &["DEL tmp"]),
    once("RENAME tmp tmp2", &["DEL tmp tmp2", "COPY z tmp"]),
    once("DEL tmp", &["COPY l tmp REPLACE"]),
    once("DEL tmp", &["COPY h tmp REPLACE"]),
    once("DEL tmp", &["COPY s tmp REPLACE"]),
    once("DEL tmp", &["COPY z tmp REPLACE"]),
    once("DEL tmp", &["COPY x tmp REPLACE"]),
    once("UNLINK tmp", &["COPY l tmp REPLACE"]),
    once("UNLINK tmp", &["COPY h tmp REPLACE"]),
    once("UNLINK tmp", &["COPY s tmp REPLACE"]),
    once("UNLINK tmp", &["COPY z tmp REPLACE"]),
    once("UNLINK tmp", &["COPY x tmp REPLACE"]),
    once("UNLINK tmp", &["COPY b tmp REPLACE"]),
    once("SET tmp x", &["COPY z tmp REPLACE"]),
    once("DUMP l", NOTHING),
    once("DUMP h", NOTHING),
    once("DUMP s", NOTHING),
    once("DUMP z", NOTHING),
    once("DUMP x", NOTHING),
    once("RESTORE tmp 0 %dl", &["DEL tmp"]),
    once("RESTORE tmp 0 %dh", &["DEL tmp"]),
    once("RESTORE tmp 0 %ds", &["DEL tmp"]),
    once("RESTORE tmp 0 %dz", &["DEL tmp"]),
    once("RESTORE tmp 0 %dx", &["DEL tmp"]),
    once("MEMORY USAGE z", NOTHING),
    many("OBJECT ENCODING z"),
];

/// One command of text as words, with the placeholders filled in.
struct Filler {
    elements: u64,
    random: Random,
    last: u64,
    fresh: u64,
    dumps: HashMap<&'static str, Vec<u8>>,
}

impl Filler {
    fn word(&mut self, word: &'static str) -> Vec<u8> {
        let Some(at) = word.find('%') else { return word.into() };
        let (before, placeholder, after) = (&word[..at], &word[at + 1..at + 2], &word[at + 2..]);
        let value = match placeholder {
            "r" => format!("{:08}", self.random.below(self.elements)),
            "i" => {
                self.last = self.random.below(self.elements);
                self.last.to_string()
            }
            "j" => (self.last + 9).to_string(),
            "n" => {
                self.fresh += 1;
                self.fresh.to_string()
            }
            "m" => (self.elements / 2).to_string(),
            "k" => (self.elements / 2 + 9).to_string(),
            "d" => return self.dumps[after].clone(),
            other => unreachable!("placeholder {other}"),
        };
        format!("{before}{value}{after}").into_bytes()
    }

    fn push(&mut self, batch: &mut Batch, command: &'static str) {
        let words: Vec<Vec<u8>> = command.split(' ').map(|word| self.word(word)).collect();
        batch.push(&words);
    }
}

/// Adds the commands that make element `n` of `elements` of a data set; the key is its name.
type Element = fn(&mut Batch, u64, u64);

/// The data sets. Those of one command each are made by number 0.
const DATA: &[(&str, Element)] = &[
    ("l", |batch, n, _| batch.push(&["RPUSH", "l", &format!("element:{n:08}")])),
    ("h", |batch, n, _| {
        batch.push(&["HSET", "h", &format!("field:{n:08}"), &format!("value:{n:08}")]);
    }),
    ("hn", |batch, n, _| batch.push(&["HSET", "hn", &format!("field:{n:08}"), &n.to_string()])),
    ("s", |batch, n, _| batch.push(&["SADD", "s", &format!("member:{n:08}")])),
    ("s2", |batch, n, all| batch.push(&["SADD", "s2", &format!("member:{:08}", n + all / 2)])),
    ("small", |batch, n, all| {
        if n < 100 {
            batch.push(&["SADD", "small", &format!("member:{:08}", mixed(n) % all)]);
        }
    }),
    ("i", |batch, n, _| batch.push(&["SADD", "i", &n.to_string()])),
    ("i2", |batch, n, all| batch.push(&["SADD", "i2", &(n + all / 2).to_string()])),
    ("z", |batch, n, all| {
        batch.push(&["ZADD", "z", &(mixed(n) % all).to_string(), &format!("member:{n:08}")]);
    }),
    ("z2", |batch, n, all| {
        let member = format!("member:{:08}", n + all / 2);
        batch.push(&["ZADD", "z2", &(mixed(n) % all).to_string(), &member]);
    }),
    ("zl", |batch, n, _| batch.push(&["ZADD", "zl", "0", &format!("member:{n:08}")])),
    ("x", |batch, n, all| {
        let id = format!("{}-1", n + 1);
        batch.push(&["XADD", "x", &id, "user", &format!("member:{n:08}"), "action", "click"]);
        if n + 1 == all {
            for group in ["all", "fresh", "noack"] {
                batch.push(&["XGROUP", "CREATE", "x", group, "0"]);
            }
            for _ in 0..all / 1000 {
                let read =
                    ["XREADGROUP", "GROUP", "all", "c", "COUNT", "1000", "STREAMS", "x", ">"];
                batch.push(&read);
            }
        }
    }),
    ("b", |batch, n, _| string(batch, n, "b", "a")),
    ("b2", |batch, n, _| string(batch, n, "b2", "q")),
    ("zeros", |batch, n, _| string(batch, n, "zeros", "\0")),
    ("p", |batch, n, _| batch.push(&["PFADD", "p", &n.to_string()])),
    ("p2", |batch, n, all| batch.push(&["PFADD", "p2", &(n + all / 2).to_string()])),
    ("g", |batch, n, _| {
        let degrees = |number: u64, from: f64, width: f64| {
            let part = (mixed(number) >> 11) as f64 / (1u64 << 53) as f64;
            format!("{:.6}", from + width * part)
        };
        let (longitude, latitude) = (degrees(2 * n, -10.0, 40.0), degrees(2 * n + 1, 35.0, 25.0));
        batch.push(&["GEOADD", "g", &longitude, &latitude, &format!("member:{n:08}")]);
    }),
];

/// A string of 16 MiB.
fn string(batch: &mut Batch, n: u64, key: &str, byte: &str) {
    if n == 0 {
        batch.push(&["SET", key, &byte.repeat(16 << 20)]);
    }
}

/// A server under test.
struct Side {
    server: Server,
    client: Client,
}

/// What a batch took, in µs a command.
#[derive(Clone, Copy)]
struct Took {
    wall_us: f64,
    server_us: f64,
}

impl Side {
    fn new(server: Server) -> Result<Self, AnyError> {
        let client = server.client()?;
        Ok(Self { server, client })
    }

    /// Calls of a command and the µs they took, so far.
    fn stat(&mut self, name: &str) -> Result<(f64, f64), AnyError> {
        let text = self.client.text(&["INFO", "commandstats"])?;
        let prefix = format!("cmdstat_{name}:calls=");
        let Some(line) = text.lines().find_map(|line| line.strip_prefix(&prefix)) else {
            return Ok((0.0, 0.0));
        };
        let (calls, rest) = line.split_once(",usec=").ok_or("no usec")?;
        let us = rest.split(',').next().ok_or("no usec")?;
        Ok((calls.parse()?, us.parse()?))
    }

    fn time(&mut self, row: &Row, before: &[u8], batch: &[u8]) -> Result<Took, AnyError> {
        if !before.is_empty() {
            self.client.run(Batch { bytes: before.to_vec() })?;
            std::thread::sleep(Duration::from_millis(30));
        }
        let words: Vec<String> = row.command.split(' ').map(str::to_lowercase).take(2).collect();
        let name = match words[0].as_str() {
            "xinfo" | "memory" | "object" => words.join("|"),
            name => name.to_owned(),
        };
        let (calls, us) = self.stat(&name)?;
        let batch = Batch { bytes: batch.to_vec() };
        let start = Instant::now();
        let first = self.client.run(batch)?;
        let wall_us = start.elapsed().as_secs_f64() * 1e6;
        if first.first() == Some(&b'-') {
            let text = String::from_utf8_lossy(&first);
            let line = text.lines().next().unwrap_or_default();
            return Err(format!("{} says {line}", self.server.name).into());
        }
        let (calls_now, us_now) = self.stat(&name)?;
        let calls = calls_now - calls;
        Ok(Took { wall_us: wall_us / calls, server_us: (us_now - us) / calls })
    }
}

/// Makes the data sets that a row names, unless they are there.
fn prepare(
    row: &Row,
    sides: &mut [Side],
    filler: &mut Filler,
    made: &mut HashSet<&'static str>,
) -> Result<(), AnyError> {
    let commands = row.before.iter().chain([&row.command]);
    let words: Vec<&str> = commands.flat_map(|command| command.split(' ')).collect();
    for (name, element) in DATA {
        let dump = words.iter().any(|word| word.strip_prefix("%d") == Some(name));
        if (dump || words.contains(name)) && made.insert(name) {
            for side in &mut *sides {
                for from in (0..filler.elements).step_by(2000) {
                    let mut batch = Batch::default();
                    let to = filler.elements.min(from + 2000);
                    (from..to).for_each(|n| element(&mut batch, n, filler.elements));
                    side.client.run(batch)?;
                }
            }
        }
        if dump {
            // The last is Redis, if there is one; ours must read its dumps.
            let side = sides.last_mut().expect("there is a server");
            filler.dumps.insert(name, side.client.bulk(&["DUMP", name])?);
        }
    }
    Ok(())
}

fn measure(
    row: &Row,
    sides: &mut [Side],
    filler: &mut Filler,
    rounds: usize,
) -> Result<Vec<Vec<Took>>, AnyError> {
    let mut took = vec![Vec::new(); sides.len()];
    let mut before = Batch::default();
    row.before.iter().for_each(|command| filler.push(&mut before, command));
    let mut commands = 1;
    let mut round = 0;
    while round < rounds {
        let mut batch = Batch::default();
        (0..commands).for_each(|_| filler.push(&mut batch, row.command));
        let mut slowest_ms: f64 = 0.0;
        for turn in 0..sides.len() {
            // Another one begins each round, so that none always runs on a warmer machine.
            let index = (round + turn) % sides.len();
            let measured = sides[index].time(row, &before.bytes, &batch.bytes)?;
            slowest_ms = slowest_ms.max(measured.wall_us * commands as f64 / 1000.0);
            took[index].push(measured);
        }
        if round == 0 && slowest_ms < BATCH_MS && commands < row.commands_max {
            // Too short to say anything; that was no round.
            commands = (commands * 4).min(row.commands_max);
            took.iter_mut().for_each(Vec::clear);
        } else {
            round += 1;
        }
        if slowest_ms * round as f64 > ROW_MS_MAX {
            break;
        }
    }
    Ok(took)
}

struct Line {
    ratio: f64,
    text: String,
}

fn main() -> Result<(), AnyError> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let rounds = support::number("MAINSTAY_BENCH_ROUNDS", 7);
    let elements = support::number("MAINSTAY_BENCH_ELEMENTS", 1_000_000) as u64;
    let dir = WorkDir::new("collections")?;
    let mut sides = vec![Side::new(Server::in_memory("mainstay", &support::ours(), &dir.0)?)?];
    if let Some((path, version)) = support::redis() {
        println!("beside {version}");
        sides.push(Side::new(Server::in_memory("redis", &path, &dir.0)?)?);
    } else {
        println!("no redis-server: only ours is measured");
    }
    let mut filler = Filler {
        elements,
        random: Random(1),
        last: 0,
        fresh: 10 * elements,
        dumps: HashMap::new(),
    };
    let mut made = HashSet::new();
    let mut lines = Vec::new();
    for row in ROWS {
        let mut label = row.command.to_owned();
        if let Some(first) = row.before.first() {
            label = format!("{label} (after {})", row.before.last().unwrap_or(first));
        }
        if !args.is_empty() && !args.iter().any(|arg| label.contains(arg.as_str())) {
            continue;
        }
        prepare(row, &mut sides, &mut filler, &mut made)?;
        let took = match measure(row, &mut sides, &mut filler, rounds) {
            Ok(took) => took,
            Err(error) => {
                println!("| {label} | not measured: {error} |");
                continue;
            }
        };
        let middle = |side: &[Took], time: fn(&Took) -> f64| {
            median(&side.iter().map(time).collect::<Vec<f64>>())
        };
        let show = |side: &[Took]| {
            let (wall, server) = (middle(side, |t| t.wall_us), middle(side, |t| t.server_us));
            format!("{wall:.1} | {server:.1}")
        };
        let line = match took.as_slice() {
            [ours, theirs] => {
                let ratio = |time: fn(&Took) -> f64| {
                    let pairs = ours.iter().zip(theirs);
                    // Both clocks count whole µs.
                    median(
                        &pairs
                            .map(|(a, b)| (time(a) + 0.05) / (time(b) + 0.05))
                            .collect::<Vec<f64>>(),
                    )
                };
                let (wall, server) = (ratio(|t| t.wall_us), ratio(|t| t.server_us));
                let mark = if wall > RATIO_MAX { " **slower**" } else { "" };
                let text = format!(
                    "| {wall:.2} | {server:.2} | {label}{mark} | {} | {} |",
                    show(ours),
                    show(theirs)
                );
                Line { ratio: wall, text }
            }
            ours => Line {
                ratio: 0.0,
                text: format!("| – | – | {label} | {} | – | – |", show(&ours[0])),
            },
        };
        eprintln!("{}", line.text);
        lines.push(line);
    }
    lines.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    let slower = lines.iter().filter(|line| line.ratio > RATIO_MAX).count();
    println!("\n{elements} elements, {rounds} rounds; ratios ours / Redis, µs a command\n");
    println!("| ratio | by server | command | ours | by server | Redis | by server |");
    println!("|---|---|---|---|---|---|---|");
    lines.iter().for_each(|line| println!("{}", line.text));
    println!("\n{slower} of {} commands take more than {RATIO_MAX} times as long", lines.len());
    Ok(())
}
