//! Sends random commands to both servers and compares.

use super::compare::{Comparison, allowed};
use super::contents;
use super::grammar::{Grammar, Made};
use super::support::{Client, Redis, Server, Value, ok, seed};
use super::words::Words;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Differences after which a run ends.
const DIFFERENCES_MAX: usize = 60;
/// Commands that are remembered to show how a difference came about.
const REMEMBERED: usize = 3000;

/// A command as text.
pub fn shown(args: &[Vec<u8>]) -> String {
    let word = |arg: &Vec<u8>| match arg.escape_ascii().to_string() {
        text if text.is_empty() => "''".to_owned(),
        text if text.len() > 300 => format!("{}… ({} bytes)", &text[..100], arg.len()),
        text => text,
    };
    args.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn text_of(reply: &Value) -> String {
    let all = |items: &[Value]| items.iter().map(text_of).collect::<Vec<_>>().join(" ");
    match reply {
        Value::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Value::Array(items) => format!("[{}]", all(items)),
        Value::Set(items) => format!("~[{}]", all(items)),
        Value::Map(pairs) => {
            let pairs =
                pairs.iter().map(|(key, value)| format!("{}: {}", text_of(key), text_of(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Status(text) | Value::Error(text) => text.clone(),
        other => format!("{other:?}"),
    }
}

fn shown_reply(reply: &Value) -> String {
    let text = text_of(reply);
    if text.len() > 3000 {
        format!("{}…", text.chars().take(3000).collect::<String>())
    } else {
        text
    }
}

fn name(args: &[Vec<u8>]) -> String {
    String::from_utf8_lossy(&args[0]).to_ascii_uppercase()
}

/// A pair of connections, one to each server.
struct Duo {
    ours: Client,
    theirs: Client,
    /// Commands of the transaction that is open.
    queued: Option<Vec<Made>>,
}

/// Directives about encodings with values that make collections big early.
const THRESHOLDS: [(&str, &str, &str); 13] = [
    ("hash-max-listpack-entries", "512", "5"),
    ("hash-max-listpack-value", "64", "12"),
    ("set-max-intset-entries", "512", "6"),
    ("set-max-listpack-entries", "128", "7"),
    ("set-max-listpack-value", "64", "12"),
    ("zset-max-listpack-entries", "128", "6"),
    ("zset-max-listpack-value", "64", "12"),
    ("list-max-listpack-size", "-2", "4"),
    ("list-compress-depth", "0", "1"),
    ("stream-node-max-entries", "100", "5"),
    ("stream-node-max-bytes", "4096", "200"),
    ("hll-sparse-max-bytes", "3000", "100"),
    ("proto-max-bulk-len", "536870912", "1048576"),
];

/// A run.
pub struct Run {
    grammar: Grammar,
    words: Words,
    comparison: Comparison,
    duos: Vec<Duo>,
    /// Successes of each name of the grammar.
    counts: Vec<u64>,
    commands: u64,
    errors: u64,
    remembered: VecDeque<(usize, Vec<Vec<u8>>, String)>,
    differences: Vec<String>,
    /// How many there were.
    differing: usize,
    families: Vec<&'static str>,
    only: Option<String>,
}

impl Run {
    /// Prepares a run of these families.
    pub fn new(
        families: &[(&'static str, &'static [&'static str])],
        server: &Server,
        redis: &Redis,
        usual_seed: u64,
    ) -> Self {
        let mut grammar = Grammar::default();
        for (family, lines) in families {
            grammar.add(family, lines, redis.version);
        }
        let duo = |hello: &str| {
            let mut duo = Duo { ours: server.client(), theirs: redis.client(), queued: None };
            for client in [&mut duo.ours, &mut duo.theirs] {
                client.call(hello);
            }
            duo
        };
        let mut run = Self {
            words: Words::new(seed(usual_seed)),
            comparison: Comparison { allowed: allowed(), exact_errors: redis.version >= (7, 4) },
            duos: vec![duo("HELLO 2"), duo("HELLO 3"), duo("HELLO 2")],
            counts: vec![0; grammar.names.len()],
            commands: 0,
            errors: 0,
            remembered: VecDeque::new(),
            differences: Vec::new(),
            differing: 0,
            families: families.iter().map(|(family, _)| *family).collect(),
            only: std::env::var("MAINSTAY_TEST_FAMILY").ok(),
            grammar,
        };
        // Keys expire when they are asked for, and not when one of the servers comes to it.
        let Duo { ours, theirs, .. } = &mut run.duos[0];
        for client in [ours, theirs] {
            assert_eq!(client.call("DEBUG SET-ACTIVE-EXPIRE 0"), ok());
        }
        run
    }

    /// Sends about so many commands, and more until each command and option has succeeded `least` times,
    /// then compares all contents.
    pub fn go(&mut self, count: u64, least: u64) {
        // What cannot succeed must not make it go on for ever.
        let end = 5 * count;
        let mut batches = 0;
        while (self.commands < count || self.only.is_none() && self.is_rare(least))
            && self.commands < end
            && self.differing < DIFFERENCES_MAX
        {
            if batches % 400 == 0 {
                self.compare_contents();
                self.change_thresholds();
            }
            batches += 1;
            self.batch();
        }
        self.compare_contents();
    }

    /// Says what was counted, and fails if there were differences or something succeeded too rarely.
    pub fn end(self, least: u64) {
        let mut table: Vec<_> = self.grammar.names.iter().zip(&self.counts).collect();
        table.sort();
        for row in table.chunks(4) {
            let cells: Vec<_> =
                row.iter().map(|(name, count)| format!("{name:<30}{count:>7}")).collect();
            eprintln!("{}", cells.join("   "));
        }
        for allowed in &self.comparison.allowed {
            eprintln!("allowed {:>6} times: {}", allowed.met.get(), allowed.reason);
        }
        eprintln!("{} commands, {} errors", self.commands, self.errors);
        assert!(self.differences.is_empty(), "{}", self.differences.join("\n\n"));
        assert!(self.errors < self.commands / 2, "a run of nothing but mistakes compares nothing");
        if self.only.is_none() {
            let rare: Vec<_> = table.iter().filter(|(_, count)| **count < least).collect();
            assert!(rare.is_empty(), "these succeeded fewer than {least} times: {rare:?}");
        }
    }

    /// Whether something has succeeded less often than that.
    fn is_rare(&self, least: u64) -> bool {
        self.counts.iter().any(|&count| count < least)
    }

    fn below(&mut self, end: usize) -> usize {
        self.words.random.below(end as u64) as usize
    }

    /// Both servers get the same thresholds, the usual ones or low ones, and begin with nothing.
    fn change_thresholds(&mut self) {
        let low = self.below(3);
        for (name, usual, small) in THRESHOLDS {
            let value = match low {
                0 => usual,
                1 => small,
                _ => [usual, small][self.below(2)],
            };
            let command = format!("CONFIG SET {name} {value}");
            let duo = &mut self.duos[0];
            // Redis 7.0 does not know them all.
            let _ = duo.theirs.call(&command);
            assert_eq!(duo.ours.call(&command), ok(), "{command}");
        }
        self.empty();
    }

    /// Both servers begin with nothing.
    fn empty(&mut self) {
        for duo in &mut self.duos {
            for client in [&mut duo.ours, &mut duo.theirs] {
                client.call("DISCARD");
                client.call("UNWATCH");
                client.call("FLUSHALL");
            }
            duo.queued = None;
        }
        self.remembered.clear();
    }

    /// A line of the grammar: of a family, or one that has succeeded rarely so far.
    fn line(&mut self, family: Option<&str>) -> usize {
        let all = self.grammar.lines.len();
        if let Some(family) = family {
            loop {
                let line = self.below(all);
                if self.grammar.lines[line].family == family {
                    return line;
                }
            }
        }
        self.below(all)
    }

    /// A line with what has succeeded most rarely.
    fn needed_line(&mut self) -> usize {
        let least = (0..self.counts.len()).min_by_key(|&name| self.counts[name]).expect("names");
        let lines: Vec<usize> = (0..self.grammar.lines.len())
            .filter(|&line| self.grammar.lines[line].counts.contains(&least))
            .collect();
        lines[self.below(lines.len())]
    }

    /// A command is made wrong.
    fn mutate(&mut self, args: &mut Vec<Vec<u8>>) {
        let at = 1 + self.below(args.len());
        let inside = at.min(args.len() - 1);
        match self.below(7) {
            0 if inside > 0 => drop(args.pop()),
            1 if inside > 0 => drop(args.remove(inside)),
            2 if inside > 0 => args.insert(inside, args[inside].clone()),
            3 | 4 if inside > 0 => args[inside] = self.words.hostile(),
            5 if inside > 0 && args.len() > 2 => {
                let other = 1 + self.below(args.len() - 1);
                args.swap(inside, other);
            }
            _ => args.insert(at.min(args.len()), self.words.hostile()),
        }
    }

    /// A command that can be sent in a pipeline.
    fn command(&mut self, family: Option<&str>, in_transaction: bool, needed: bool) -> Made {
        loop {
            let line = if needed { self.needed_line() } else { self.line(family) };
            let mut made = self.grammar.make(line, &mut self.words);
            // A wrong score would make the order of ranges by members undefined.
            let fixed =
                made.args.iter().any(|arg| arg.starts_with(b"y")) && name(&made.args) == "ZADD";
            if !fixed && self.below(12) == 0 {
                self.mutate(&mut made.args);
                made.counted.clear();
            }
            let in_place = !in_transaction || !has_aftermath(&made.args) && !is_nested(&made.args);
            if is_safe(&made.args) && in_place {
                return made;
            }
        }
    }

    /// Sends some commands at once and compares the replies.
    fn batch(&mut self) {
        let at = self.below(self.duos.len());
        let only = self.only.clone();
        let choice = self.below(self.families.len() * 4 / 3);
        let family = only.as_deref().or(self.families.get(choice).copied());
        let mut commands: Vec<Made> = Vec::new();
        let mut in_transaction = false;
        // Encodings are asked for all the time, or only now and then.
        let probing = self.below(3) == 0;
        for number in 0..60 {
            let made = self.command(family, in_transaction, only.is_none() && number % 5 == 0);
            match &name(&made.args)[..] {
                "MULTI" if made.args.len() == 1 => in_transaction = true,
                "DISCARD" if made.args.len() == 1 => in_transaction = false,
                "EXEC" => in_transaction = false,
                _ => {}
            }
            let last = has_aftermath(&made.args);
            let key = made.args.get(1).filter(|_| probing && !last).cloned();
            commands.push(made);
            if let Some(key) = key {
                let args = vec![b"OBJECT".to_vec(), b"ENCODING".to_vec(), key];
                commands.push(Made { args, counted: Vec::new() });
            }
            if last {
                break;
            }
        }
        if in_transaction {
            commands.push(Made { args: vec![b"EXEC".to_vec()], counted: Vec::new() });
        }
        let expire = self.below(30) == 0;
        if expire {
            let line = match self.below(2) {
                0 => vec![b"PEXPIRE".to_vec(), self.words.word("any"), b"1".to_vec()],
                _ => {
                    let (key, field) = (self.words.word("hash"), self.words.word("field"));
                    let words: [&[u8]; 6] = [b"HPEXPIRE", &key, b"1", b"FIELDS", b"1", &field];
                    words.iter().map(|word| word.to_vec()).collect()
                }
            };
            let known = self.comparison.exact_errors || line[0] == b"PEXPIRE";
            if known && !commands.last().is_some_and(|made| has_aftermath(&made.args)) {
                commands.push(Made { args: line, counted: Vec::new() });
            }
        }
        let mut bytes = Vec::new();
        commands.iter().for_each(|made| Client::encode(&mut bytes, &made.args));
        let duo = &mut self.duos[at];
        duo.ours.send_bytes(&bytes);
        duo.theirs.send_bytes(&bytes);
        let mut last = None;
        let mut difference = None;
        for made in commands {
            let (ours, theirs) = (self.duos[at].ours.read(), self.duos[at].theirs.read());
            if difference.is_none() && !self.judge(at, &made, &ours, &theirs) {
                difference = Some((made.args.clone(), shown_reply(&ours), shown_reply(&theirs)));
            }
            last = Some((made.args, ours, theirs));
        }
        if let Some((args, ours, theirs)) = difference {
            self.differs(&args, &ours, &theirs);
        } else if let Some((args, ours, theirs)) = last
            && has_aftermath(&args)
            && let Err(problem) = self.aftermath(at, &args, &ours, &theirs)
        {
            self.differs(
                &args,
                &format!("{} {problem}", shown_reply(&ours)),
                &shown_reply(&theirs),
            );
        }
        if expire {
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Whether the replies to a command are right; counts it.
    fn judge(&mut self, at: usize, made: &Made, ours: &Value, theirs: &Value) -> bool {
        self.commands += 1;
        if self.remembered.len() == REMEMBERED {
            self.remembered.pop_front();
        }
        self.remembered.push_back((at, made.args.clone(), shown_reply(ours)));
        let queued = Value::Status("QUEUED".into());
        let success = |counts: &mut Vec<u64>, made: &Made| {
            made.counted.iter().for_each(|&number| counts[number] += 1);
        };
        let name = name(&made.args);
        if *ours == queued && *theirs == queued {
            self.duos[at].queued.get_or_insert_default().push(made.clone());
            return true;
        }
        if name == "EXEC" || name == "DISCARD" || name == "RESET" {
            let commands = self.duos[at].queued.take().unwrap_or_default();
            if let (Value::Array(ours), Value::Array(theirs)) = (ours, theirs) {
                success(&mut self.counts, made);
                if ours.len() != commands.len() || theirs.len() != commands.len() {
                    return false;
                }
                return commands.iter().zip(ours.iter().zip(theirs)).all(
                    |(made, (ours, theirs))| {
                        if !matches!(ours, Value::Error(_)) {
                            success(&mut self.counts, made);
                        }
                        self.comparison.is_same(&made.args, ours, theirs)
                    },
                );
            }
        }
        if matches!(ours, Value::Error(_)) {
            self.errors += 1;
        } else {
            success(&mut self.counts, made);
        }
        if name == "DUMP"
            && let (Value::Bulk(ours), Value::Bulk(theirs)) = (ours, theirs)
        {
            let payload = if self.commands.is_multiple_of(2) { ours } else { theirs };
            self.words.add_payload(payload);
        }
        self.comparison.is_same(&made.args, ours, theirs)
    }

    /// Remembers a difference. Both servers begin anew, so that one does not make others.
    fn differs(&mut self, args: &[Vec<u8>], ours: &str, theirs: &str) {
        let mut before: Vec<String> = Vec::new();
        let mut keys: BTreeSet<&Vec<u8>> =
            args.iter().skip(1).filter(|arg| !arg.is_empty()).collect();
        for (at, other, reply) in self.remembered.iter().rev() {
            let name = name(other);
            let moves = ["RENAME", "RENAMENX", "COPY"].contains(&&name[..]);
            if moves && other.get(2).is_some_and(|key| keys.contains(key)) {
                keys.insert(&other[1]);
            }
            let is_read =
                ["GET", "TYPE", "TTL", "XINFO", "SCARD", "TOUCH", "WATCH"].contains(&&name[..]);
            let concerns = other.iter().skip(1).any(|arg| keys.contains(arg) && arg.len() == 2)
                || ["SELECT", "SWAPDB", "FLUSHALL"].contains(&&name[..]);
            if concerns
                && !is_read
                && !reply.starts_with("ERR")
                && !reply.starts_with("WRONG")
                && before.len() < 60
            {
                let reply: String = reply.chars().take(150).collect();
                before.push(format!("      [{at}] {} -> {reply}", shown(other)));
            }
        }
        before.reverse();
        let text = format!(
            "DIFFERENCE: {} \n    ours: {ours}\n  theirs: {theirs}\n    before:\n{}",
            shown(args),
            before.join("\n")
        );
        // The first of a command's differences is enough.
        let kind = format!("DIFFERENCE: {} ", name(args));
        let known = self.differences.iter().filter(|known| known.starts_with(&kind)).count();
        if known < 2 {
            self.differences.push(text);
        }
        self.differing += 1;
        self.empty();
    }

    fn compare_contents(&mut self) {
        let Duo { ours, theirs, .. } = &mut self.duos[2];
        // They have selected the same database again when this is over.
        if let Err(problem) = contents::compare(&self.comparison, ours, theirs) {
            self.differs(&[b"the contents".to_vec()], &problem, "");
        }
    }

    /// What a command chose at random must be possible, and what it changed at random is made the same.
    fn aftermath(
        &mut self,
        at: usize,
        args: &[Vec<u8>],
        ours: &Value,
        theirs: &Value,
    ) -> Result<(), String> {
        let Duo { ours: our_client, theirs: their_client, .. } = &mut self.duos[at];
        let name = name(args);
        if name == "XADD" {
            if matches!(ours, Value::Bulk(_)) {
                let last: Vec<Vec<u8>> = [b"XREVRANGE", &args[1][..], b"+", b"-", b"COUNT", b"1"]
                    .map(<[u8]>::to_vec)
                    .to_vec();
                let fields =
                    |reply: Value| reply.items().first().map(|entry| entry.items()[1].clone());
                let (ours, theirs) = (our_client.call_args(&last), their_client.call_args(&last));
                if fields(ours) != fields(theirs) {
                    return Err("the entry is not the same".into());
                }
                let delete = [b"DEL".to_vec(), args[1].clone()];
                our_client.call_args(&delete);
                their_client.call_args(&delete);
            }
            return Ok(());
        }
        let (ours, theirs) = (chosen(args, ours), chosen(args, theirs));
        if ours.is_empty() && theirs.is_empty() {
            return Ok(());
        }
        let different = |items: &[Value]| {
            let distinct: BTreeSet<_> = items.iter().map(|item| format!("{item:?}")).collect();
            distinct.len() == items.len()
        };
        let with = |name: &str, items: &[Value]| -> Vec<Vec<u8>> {
            let items = items.iter().map(|item| match item {
                Value::Bulk(bytes) => bytes.clone(),
                other => panic!("not a member: {other:?}"),
            });
            let key = args.get(1).filter(|_| name != "EXISTS");
            [name.as_bytes().to_vec()].into_iter().chain(key.cloned()).chain(items).collect()
        };
        let negative = args.get(2).is_some_and(|count| count.starts_with(b"-"));
        if !(negative || different(&ours) && different(&theirs)) {
            return Err("an element comes twice".into());
        }
        if name == "SPOP" {
            let but = |these: &[Value], those: &[Value]| -> Vec<Value> {
                these.iter().filter(|item| !those.contains(item)).cloned().collect()
            };
            let (back, away) = (but(&theirs, &ours), but(&ours, &theirs));
            if back.is_empty() {
                return Ok(());
            }
            let count = Value::Int(back.len() as i64);
            // First back, so that the set does not become empty meanwhile.
            let replies = [
                their_client.call_args(&with("SADD", &back)),
                their_client.call_args(&with("SREM", &away)),
            ];
            return if replies == [count.clone(), count] {
                Ok(())
            } else {
                Err("not a member".into())
            };
        }
        let question = match &name[..] {
            "SRANDMEMBER" => "SMISMEMBER",
            "HRANDFIELD" => "HMGET",
            "ZRANDMEMBER" => "ZMSCORE",
            _ => "EXISTS",
        };
        // The other server knows whether it is one.
        for (client, items) in [(our_client, &theirs), (their_client, &ours)] {
            let reply = client.call_args(&with(question, items));
            let known = match &reply {
                Value::Int(count) => *count == items.len() as i64,
                Value::Array(answers) => answers
                    .iter()
                    .all(|answer| !matches!(answer, Value::Nil | Value::Null | Value::Int(0))),
                _ => false,
            };
            if !known {
                return Err(format!("not all are there: {reply:?}"));
            }
        }
        Ok(())
    }
}

/// The elements that a command chose, without their values.
fn chosen(args: &[Vec<u8>], reply: &Value) -> Vec<Value> {
    let pairs = args.len() > 3;
    match reply {
        Value::Bulk(_) => vec![reply.clone()],
        Value::Array(items) | Value::Set(items) => match items.first() {
            Some(Value::Array(_)) => items.iter().map(|pair| pair.items()[0].clone()).collect(),
            _ => items.iter().step_by(if pairs { 2 } else { 1 }).cloned().collect(),
        },
        _ => Vec::new(),
    }
}

/// Whether something has to be looked at, or to be made the same, right after a command.
fn has_aftermath(args: &[Vec<u8>]) -> bool {
    match &name(args)[..] {
        "SPOP" | "SRANDMEMBER" | "HRANDFIELD" | "ZRANDMEMBER" | "RANDOMKEY" => true,
        "XADD" => args.iter().any(|arg| arg == b"*"),
        _ => false,
    }
}

/// Whether a command belongs outside a transaction. Whether it breaks one differs between versions: in
/// Redis 7.4 it does not, in Valkey 8 and in ours it does.
fn is_nested(args: &[Vec<u8>]) -> bool {
    matches!(&name(args)[..], "MULTI" | "WATCH")
}

/// Whether a command neither waits for long nor takes gigabytes.
fn is_safe(args: &[Vec<u8>]) -> bool {
    let text =
        |at: usize| args.get(at).map(|arg| String::from_utf8_lossy(arg).to_ascii_lowercase());
    let is_short = |timeout: Option<String>| {
        let timeout = timeout.unwrap_or_default();
        let number = timeout.trim_start().parse::<f64>();
        !timeout.contains("0x")
            && number.map_or(true, |n| n < 0.0 || n.is_nan() || n > 1e15 || (n > 1e-5 && n < 0.05))
    };
    let is_soon = |at: usize| {
        text(at).is_some_and(|time| time.parse().is_ok_and(|time: i64| (1..90_000).contains(&time)))
    };
    match &name(args)[..] {
        // What expires meanwhile does so on one server before the other.
        "EXPIRE" | "PEXPIRE" | "SETEX" | "PSETEX" | "HEXPIRE" | "HPEXPIRE" | "RESTORE" => {
            !is_soon(2)
        }
        "SET" | "GETEX" => (2..args.len())
            .all(|at| !matches!(text(at).as_deref(), Some("ex" | "px")) || !is_soon(at + 1)),
        "BLPOP" | "BRPOP" | "BLMOVE" | "BRPOPLPUSH" | "BZPOPMIN" | "BZPOPMAX" => {
            is_short(text(args.len() - 1))
        }
        "BLMPOP" | "BZMPOP" => is_short(text(1)),
        "XREAD" | "XREADGROUP" => (0..args.len()).all(|at| {
            text(at).is_none_or(|arg| arg != "block")
                || !text(at + 1)
                    .unwrap_or_default()
                    .parse::<i64>()
                    .is_ok_and(|ms| ms == 0 || ms > 10)
        }),
        // Elements with the same weight come in any order if weights are texts.
        "SORT" | "SORT_RO" => {
            let has =
                |word: &str| (2..args.len()).any(|at| text(at).is_some_and(|arg| arg == word));
            !(has("by") && has("alpha"))
                // What Redis refuses by mistake, it does not store.
                && (has("alpha") || !has("store"))
                && args.get(1).is_none_or(|key| key.starts_with(b"w"))
        }
        "SETBIT" | "BITFIELD" => args.get(1).is_none_or(|key| key.starts_with(b"b")),
        // Redis takes the lower half of such an index.
        "LSET"
            if text(2)
                .unwrap_or_default()
                .parse()
                .is_ok_and(|n: i64| i32::try_from(n).is_err()) =>
        {
            false
        }
        "LSET" | "LINSERT" => args.get(1).is_none_or(|key| key.starts_with(b"i")),
        // What a HyperLogLog counts that was damaged is nobody's business: these keys are never edited as
        // strings.
        name if name.starts_with("PF") => {
            args.iter().skip(1).all(|arg| arg.len() != 2 || arg[0] == b'p')
        }
        "SRANDMEMBER" | "HRANDFIELD" | "ZRANDMEMBER" => !text(2)
            .unwrap_or_default()
            .parse::<i64>()
            .is_ok_and(|count| count < -1000 && count > i64::MIN),
        _ => true,
    }
}
