//! Keys as commands that create them, for a server that is filled through a connection.
//!
//! Run in order on an empty server, the commands give the same values, except when consumers of
//! streams were last seen, which no command sets.

use mainstay::data::stream::{Group, StreamId};
use mainstay::data::{Hash, List, Set, SortedSet, Stream, Value};
use mainstay::keyspace::Entry;
use mainstay::resp::double::DoubleText;
use mainstay::resp::write_command;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// The most elements of a command: pairs, members, ids.
const BATCH: usize = 64;
/// About the most bytes of its elements, unless a single one has more.
const BATCH_BYTES: usize = 1 << 20;
/// The buffer is written when it is longer than this.
const BUFFER_BYTES: usize = 1 << 16;

/// Writes commands.
pub struct CommandWriter<W> {
    out: W,
    buffer: Vec<u8>,
    db: u32,
}

impl<W: Write> CommandWriter<W> {
    /// Commands for a connection that has database 0 selected, as every new one has.
    pub fn new(out: W) -> Self {
        Self { out, buffer: Vec::new(), db: 0 }
    }

    /// Writes what makes a key.
    ///
    /// # Errors
    /// Those of the output.
    pub fn key(&mut self, db: u32, entry: Entry<'_>) -> io::Result<()> {
        if db != self.db {
            self.command(&[b"SELECT", db.to_string().as_bytes()])?;
            self.db = db;
        }
        let key = entry.key();
        match entry.value() {
            Value::Integer(number) => {
                self.command(&[b"SET", key, number.to_string().as_bytes()])?;
            }
            Value::Text { bytes, .. } => self.command(&[b"SET", key, bytes])?,
            Value::List(list) => self.list(key, list)?,
            Value::Set(set) => self.set(key, set)?,
            Value::SortedSet(set) => self.sorted_set(key, set)?,
            Value::Hash(hash) => self.hash(key, hash)?,
            Value::Stream(stream) => self.stream(key, stream)?,
        }
        match entry.expiry_ms() {
            Some(at) => self.command(&[b"PEXPIREAT", key, at.to_string().as_bytes()]),
            None => Ok(()),
        }
    }

    /// Writes what makes a library of functions.
    ///
    /// # Errors
    /// Those of the output.
    pub fn function(&mut self, source: &[u8]) -> io::Result<()> {
        self.command(&[b"FUNCTION", b"LOAD", b"REPLACE", source])
    }

    /// Writes what was gathered, and gives the output back.
    ///
    /// # Errors
    /// Those of the output.
    pub fn end(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.out)
    }

    fn command(&mut self, words: &[&[u8]]) -> io::Result<()> {
        write_command(&mut self.buffer, words);
        if self.buffer.len() > BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// One command for as many `elements`, of several words each, as go together.
    fn batches<const N: usize>(
        &mut self,
        head: &[&[u8]],
        elements: impl Iterator<Item = [Vec<u8>; N]>,
    ) -> io::Result<()> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for element in elements {
            bytes += element.iter().map(Vec::len).sum::<usize>();
            batch.push(element);
            if batch.len() == BATCH || bytes >= BATCH_BYTES {
                self.batch(head, &mut batch)?;
                bytes = 0;
            }
        }
        self.batch(head, &mut batch)
    }

    fn batch<const N: usize>(
        &mut self,
        head: &[&[u8]],
        batch: &mut Vec<[Vec<u8>; N]>,
    ) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let words = batch.iter().flatten().map(Vec::as_slice);
        let words: Vec<&[u8]> = head.iter().copied().chain(words).collect();
        self.command(&words)?;
        batch.clear();
        Ok(())
    }

    fn list(&mut self, key: &[u8], list: &List) -> io::Result<()> {
        self.batches(&[b"RPUSH", key], list.iter().map(|element| [element.to_vec()]))
    }

    fn set(&mut self, key: &[u8], set: &Set) -> io::Result<()> {
        self.batches(&[b"SADD", key], set.iter().map(|member| [member.to_vec()]))
    }

    fn sorted_set(&mut self, key: &[u8], set: &SortedSet) -> io::Result<()> {
        let entries = set
            .iter(0, set.len(), false)
            .map(|entry| [DoubleText::new(entry.score).as_bytes().to_vec(), entry.member.to_vec()]);
        self.batches(&[b"ZADD", key], entries)
    }

    fn hash(&mut self, key: &[u8], hash: &Hash) -> io::Result<()> {
        let fields = hash.iter().map(|field| [field.name.to_vec(), field.value.to_vec()]);
        self.batches(&[b"HSET", key], fields)?;
        let (mut at, mut names) = (0, Vec::new());
        for field in hash.iter() {
            let Some(expiry_ms) = field.expiry_ms else { continue };
            if expiry_ms != at || names.len() == BATCH {
                self.field_expiry(key, at, &mut names)?;
                at = expiry_ms;
            }
            names.push(field.name.to_vec());
        }
        self.field_expiry(key, at, &mut names)
    }

    /// When these fields expire.
    fn field_expiry(&mut self, key: &[u8], at_ms: i64, names: &mut Vec<Vec<u8>>) -> io::Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let (at, count) = (at_ms.to_string(), names.len().to_string());
        let head = [b"HPEXPIREAT", key, at.as_bytes(), b"FIELDS", count.as_bytes()];
        let words: Vec<&[u8]> = head.into_iter().chain(names.iter().map(Vec::as_slice)).collect();
        self.command(&words)?;
        names.clear();
        Ok(())
    }

    fn stream(&mut self, key: &[u8], stream: &Stream) -> io::Result<()> {
        let entries = &stream.entries;
        let counters = entries.counters();
        for (name, group) in &stream.groups {
            self.group(key, name, group)?;
        }
        self.pending_deleted(key, stream)?;
        for (id, fields) in entries.range(StreamId::MIN, StreamId::MAX) {
            let id = id.to_string();
            let fields = fields.flat_map(|(name, value)| [name.to_vec(), value.to_vec()]);
            let fields: Vec<_> = fields.collect();
            let head: [&[u8]; 3] = [b"XADD", key, id.as_bytes()];
            let fields = fields.iter().map(Vec::as_slice);
            self.command(&head.into_iter().chain(fields).collect::<Vec<_>>())?;
        }
        if entries.is_empty() && stream.groups.is_empty() {
            // An entry that does not stay makes the key.
            let id = counters.last_id.max(StreamId::new(0, 1)).to_string();
            self.command(&[b"XADD", key, b"MAXLEN", b"0", id.as_bytes(), b"", b""])?;
        }
        for (name, group) in &stream.groups {
            self.claims(key, name, group, |id| entries.get(id).is_some())?;
        }
        self.command(&[
            b"XSETID",
            key,
            counters.last_id.to_string().as_bytes(),
            b"ENTRIESADDED",
            counters.entries_added.to_string().as_bytes(),
            b"MAXDELETEDID",
            counters.max_deleted_id.to_string().as_bytes(),
        ])
    }

    /// What is pending of entries that were deleted. Only entries that are there can be claimed: they are added, claimed, and
    /// trimmed away (which a stream does not remember as it does deleting) before the stream's own ones come.
    fn pending_deleted(&mut self, key: &[u8], stream: &Stream) -> io::Result<()> {
        let is_deleted = |id| stream.entries.get(id).is_none();
        let pending = stream.groups.values().flat_map(|group| group.pending().iter());
        let deleted: BTreeSet<_> = pending.map(|(id, _)| id).filter(|&id| is_deleted(id)).collect();
        if deleted.is_empty() {
            return Ok(());
        }
        for id in deleted {
            self.command(&[b"XADD", key, id.to_string().as_bytes(), b"", b""])?;
        }
        for (name, group) in &stream.groups {
            self.claims(key, name, group, is_deleted)?;
        }
        self.command(&[b"XTRIM", key, b"MAXLEN", b"=", b"0"])?;
        self.command(&[b"XSETID", key, b"0-0"])
    }

    /// What makes a group with its consumers, and the stream if need be.
    fn group(&mut self, key: &[u8], name: &[u8], group: &Group) -> io::Result<()> {
        let delivered = group.last_id.to_string();
        let read = group.entries_read.map_or("-1".to_owned(), |read| read.to_string());
        let head: [&[u8]; 5] = [b"XGROUP", b"CREATE", key, name, delivered.as_bytes()];
        let options = [&b"MKSTREAM"[..], b"ENTRIESREAD", read.as_bytes()];
        self.command(&[&head[..], &options].concat())?;
        for (_, consumer) in group.consumers() {
            self.command(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()])?;
        }
        Ok(())
    }

    /// What makes entries of these ids pending.
    fn claims(
        &mut self,
        key: &[u8],
        name: &[u8],
        group: &Group,
        is_wanted: impl Fn(StreamId) -> bool,
    ) -> io::Result<()> {
        let mut pending = group.pending().iter().filter(|&(id, _)| is_wanted(id)).peekable();
        while let Some((first, &how)) = pending.next() {
            let mut ids = vec![first.to_string()];
            // Neighbours often were delivered together.
            while ids.len() < BATCH
                && let Some((id, _)) = pending.next_if(|&(_, &other)| other == how)
            {
                ids.push(id.to_string());
            }
            let consumer = group.consumer(how.consumer).name();
            let (time, count) = (how.delivered_ms.to_string(), how.deliveries.to_string());
            let mut words: Vec<&[u8]> = vec![b"XCLAIM", key, name, consumer, b"0"];
            words.extend(ids.iter().map(String::as_bytes));
            words.extend([&b"TIME"[..], time.as_bytes(), b"RETRYCOUNT", count.as_bytes()]);
            words.extend([&b"JUSTID"[..], b"FORCE"]);
            self.command(&words)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use mainstay::commands::Settings;
    use mainstay::data::digest::digest;
    use mainstay::disk::SimDisk;
    use mainstay::engine::{Engine, Machine};
    use mainstay::env::{SimClock, seeded_random};
    use mainstay::resp::request::Parsed;
    use mainstay::resp::{Args, Output, OwnedArgs, RequestLimits, RequestParser};
    use mainstay::session::Client;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn engine() -> Engine {
        let machine = Machine {
            disk: Arc::new(SimDisk::new()),
            clock: SimClock::new(NOW_MS),
            random: Arc::new(|| seeded_random(1)),
        };
        Engine::in_memory(machine, 4, Settings::default())
    }

    fn run(engine: &Engine, client: &mut Client, args: Args<'_>) -> Vec<u8> {
        let mut reply = Output::default();
        client.execute(&mut engine.lock(), args, &mut reply);
        reply.to_vec()
    }

    type Contents = BTreeMap<(usize, Vec<u8>), (u128, Option<i64>)>;

    fn contents(engine: &Engine) -> Contents {
        let guard = engine.lock();
        let mut all = Contents::new();
        for (db, database) in guard.keyspace().databases() {
            all.extend(database.iter().map(|entry| {
                ((db, entry.key().to_vec()), (digest(entry.value()), entry.expiry_ms()))
            }));
        }
        all
    }

    /// The commands that make what the engine holds.
    fn written(engine: &Engine) -> Vec<u8> {
        let mut writer = CommandWriter::new(Vec::new());
        let guard = engine.lock();
        for (db, database) in guard.keyspace().databases() {
            database.iter().for_each(|entry| writer.key(db as u32, entry).unwrap());
        }
        writer.end().unwrap()
    }

    /// Carries out commands, none of which may fail.
    fn carried_out(mut commands: &mut [u8]) -> Engine {
        let (engine, mut session) = (engine(), Client::default());
        while !commands.is_empty() {
            let mut ranges = Vec::new();
            let limits = RequestLimits::default();
            let parsed = RequestParser::default().parse(commands, 0, &limits, &mut ranges);
            let Ok(Parsed::Request { consumed }) = parsed else { panic!("{parsed:?}") };
            let args = Args::new(commands, &ranges);
            assert!(args.len() <= 2 * BATCH + 12);
            let reply = run(&engine, &mut session, args);
            let shown: Vec<_> = args.iter().map(|arg| arg.escape_ascii().to_string()).collect();
            assert!(!reply.starts_with(b"-"), "{shown:?}: {}", reply.escape_ascii());
            commands = &mut commands[consumed..];
        }
        engine
    }

    fn word() -> impl Strategy<Value = String> {
        prop_oneof![Just("''".to_owned()), "[a-d]", (-300..300i64).prop_map(|n| n.to_string())]
    }

    fn score() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<f64>().prop_filter("a number", |n| !n.is_nan()).prop_map(|n| format!("{n:e}")),
            prop::sample::select(&["inf", "-inf", "-0", "3"][..]).prop_map(str::to_owned),
        ]
    }

    fn many(count: usize) -> String {
        (0..count).map(|n| format!("{n} e:{n}")).collect::<Vec<_>>().join(" ")
    }

    /// Each type has keys of its own, so that most commands do something.
    fn command() -> impl Strategy<Value = String> {
        let id = || (0..3u64, 0..12u64).prop_map(|(ms, seq)| format!("{ms}-{seq}"));
        let key = "[ab]";
        prop_oneof![
            1 => (0..4u32).prop_map(|db| format!("SELECT {db}")),
            1 => (key, word()).prop_map(|(key, value)| format!("SET t{key} {value}")),
            1 => (key, word(), 0..200usize)
                .prop_map(|(key, value, n)| format!("RPUSH l{key} {value} {}", many(n))),
            1 => (key, word(), 0..200usize)
                .prop_map(|(key, value, n)| format!("SADD s{key} {value} {}", many(n))),
            1 => (key, score(), word()).prop_map(|(key, at, name)| format!("ZADD z{key} {at} {name}")),
            1 => (key, 1..200usize).prop_map(|(key, n)| format!("ZADD z{key} {}", many(n))),
            1 => (key, word(), 0..300usize)
                .prop_map(|(key, name, n)| format!("HSET h{key} {name} x {}", many(n))),
            1 => (key, word(), 1..400i64).prop_map(|(key, name, at)| format!(
                "HPEXPIREAT h{key} {} FIELDS 3 {name} 1 2",
                NOW_MS + at
            )),
            1 => ("[tlszhx][ab]", 1..400i64)
                .prop_map(|(key, at)| format!("PEXPIREAT {key} {}", NOW_MS + at)),
            8 => (key, id(), word()).prop_map(|(key, id, f)| format!("XADD x{key} {id} {f} 1")),
            4 => (key, id()).prop_map(|(key, id)| format!("XDEL x{key} {id}")),
            1 => (key, 0..6u32).prop_map(|(key, n)| format!("XTRIM x{key} MAXLEN {n}")),
            2 => (key, "[gh]", id(), -1..9i64).prop_map(|(key, group, id, n)| format!(
                "XGROUP CREATE x{key} {group} {id} MKSTREAM ENTRIESREAD {n}"
            )),
            4 => (key, "[gh]", "[mn]", 1..9u32).prop_map(|(key, group, name, n)| format!(
                "XREADGROUP GROUP {group} {name} COUNT {n} STREAMS x{key} >"
            )),
            1 => (key, "[gh]", id()).prop_map(|(key, group, id)| format!("XACK x{key} {group} {id}")),
            1 => (key, id(), 0..50u32).prop_map(|(key, id, n)| format!(
                "XSETID x{key} {id} ENTRIESADDED {n} MAXDELETEDID 0-1"
            )),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn running_the_commands_gives_the_same_value(
            commands in prop::collection::vec(command(), 1..60),
        ) {
            let (engine, mut session) = (engine(), Client::default());
            for line in &commands {
                let word = |word| if word == "''" { "" } else { word }.as_bytes();
                let words: Vec<&[u8]> = line.split_ascii_whitespace().map(word).collect();
                run(&engine, &mut session, OwnedArgs::from_slices(&words).as_args());
            }
            let again = carried_out(&mut written(&engine));
            let (before, after) = (contents(&engine), contents(&again));
            for (key, value) in &before {
                let shown = key.1.escape_ascii();
                prop_assert_eq!(after.get(key), Some(value), "{} {}", key.0, shown);
            }
            prop_assert_eq!(before.len(), after.len());
        }
    }
}
