//! What the keys are: gathered one by one, in memory that does not grow with their number.

use super::prefixes::{Prefix, Prefixes};
use crate::output::{JsonText, escaped};
use mainstay::commands::memory::usage_bytes;
use mainstay::data::Value;
use mainstay::keyspace::Entry;
use serde::{Serialize, Serializer};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;

/// The most databases that are counted separately; keys of others count in the totals only.
const DATABASES_MAX: usize = 4096;
/// Names of the biggest keys are kept up to so many bytes.
const NAME_BYTES_MAX: usize = 1024;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// How long keys have yet to live: names of the classes, and below how many ms each ends.
const LIVES: [(&str, u64); 8] = [
    ("past", 0),
    ("< 1 min", MINUTE_MS),
    ("< 1 hour", HOUR_MS),
    ("< 1 day", DAY_MS),
    ("< 7 days", 7 * DAY_MS),
    ("< 30 days", 30 * DAY_MS),
    ("later", u64::MAX),
    ("never", u64::MAX),
];

/// The class of what expires at such a time.
fn life(expiry_ms: Option<i64>, now_ms: i64) -> usize {
    let Some(expiry_ms) = expiry_ms else { return LIVES.len() - 1 };
    let Ok(left_ms) = u64::try_from(expiry_ms.saturating_sub(now_ms)) else { return 0 };
    if left_ms == 0 {
        return 0;
    }
    LIVES.iter().position(|(_, end_ms)| left_ms < *end_ms).unwrap_or(LIVES.len() - 2)
}

/// One key as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Key {
    /// What `MEMORY USAGE` says.
    pub bytes: u64,
    /// Its database.
    pub db: u32,
    /// What `TYPE` says.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What `OBJECT ENCODING` says.
    pub encoding: &'static str,
    /// Elements, fields, members or entries; strings have none.
    pub elements: Option<u64>,
    /// When it expires, as Unix time in ms.
    pub expiry_ms: Option<i64>,
    /// Its name.
    pub key: Name,
    /// How long the name is, in bytes; what is kept of those of the biggest keys is limited.
    pub key_bytes: u64,
}

/// A key's name, or its beginning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    bytes: Vec<u8>,
    is_cut: bool,
}

/// Escaped, on one line.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", escaped(&self.bytes), if self.is_cut { "…" } else { "" })
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        JsonText(&self.bytes).serialize(serializer)
    }
}

impl Key {
    /// What there is to say of an entry; its name is shown up to `name_bytes_max` bytes.
    pub fn of(db: u32, entry: Entry<'_>, name_bytes_max: usize) -> Self {
        let (key, value) = (entry.key(), entry.value());
        let shown = &key[..key.len().min(name_bytes_max)];
        Self {
            bytes: usage_bytes(entry) as u64,
            db,
            kind: value.type_name(),
            encoding: value.encoding_name(),
            elements: elements(value),
            expiry_ms: entry.expiry_ms(),
            key: Name { bytes: shown.to_vec(), is_cut: shown.len() < key.len() },
            key_bytes: key.len() as u64,
        }
    }
}

/// How many elements a collection has.
fn elements(value: Value<'_>) -> Option<u64> {
    let count = match value {
        Value::Integer(_) | Value::Text { .. } => return None,
        Value::List(list) => list.len(),
        Value::Set(set) => set.len(),
        Value::SortedSet(set) => set.len(),
        Value::Hash(hash) => hash.len(),
        Value::Stream(stream) => stream.len(),
    };
    Some(count as u64)
}

/// Keys of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Database {
    /// Its number.
    pub db: u32,
    /// How many keys.
    pub keys: u64,
    /// How many of them expire.
    pub expiring: u64,
    /// How long those that expire, and have not, have yet to live on average.
    pub average_ttl_ms: Option<u64>,
    /// Bytes of memory.
    pub bytes: u64,
}

/// Keys of one type and encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Encoding {
    /// What `TYPE` says.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What `OBJECT ENCODING` says.
    pub encoding: &'static str,
    /// How many keys.
    pub keys: u64,
    /// How many elements; strings have none.
    pub elements: Option<u64>,
    /// Bytes of memory.
    pub bytes: u64,
}

/// How many keys, or fields, expire when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Life {
    /// How long they have yet to live.
    pub left: &'static str,
    /// Unless they never expire: in at least so many ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// How many.
    pub count: u64,
    /// Bytes of memory; of fields unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// Keys of about one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// They take at least so many bytes of memory, and less than twice that.
    pub from_bytes: u64,
    /// How many keys.
    pub keys: u64,
    /// Bytes of memory of all of them.
    pub bytes: u64,
}

/// Fields of hashes that expire by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fields {
    /// Hashes with such fields.
    pub hashes: u64,
    /// Such fields.
    pub fields: u64,
    /// When.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lives: Vec<Life>,
}

/// What the keys are.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// How many keys, those that have expired and are still there included.
    pub keys: u64,
    /// How many of them expire.
    pub expiring: u64,
    /// Bytes of memory: what `MEMORY USAGE` says of each, added up.
    pub bytes: u64,
    /// By database.
    pub databases: Vec<Database>,
    /// By type and encoding, the biggest first.
    pub encodings: Vec<Encoding>,
    /// By how long they have yet to live.
    pub lives: Vec<Life>,
    /// By size, powers of two between the smallest and the biggest.
    pub sizes: Vec<Size>,
    /// Fields of hashes that expire.
    pub field_expiry: Fields,
    /// By prefix of the name.
    pub prefixes: Prefix,
    /// The biggest, the biggest first.
    pub biggest: Vec<Key>,
}

/// Gathers a [`Summary`].
pub struct Gatherer {
    now_ms: i64,
    top: usize,
    keys: u64,
    expiring: u64,
    bytes: u64,
    /// With the sum of the times that keys have yet to live, in ms, and their number.
    databases: BTreeMap<u32, (Database, u128, u64)>,
    encodings: BTreeMap<(&'static str, &'static str), Encoding>,
    lives: [(u64, u64); LIVES.len()],
    /// Keys and bytes by the logarithm of the size.
    sizes: [(u64, u64); 64],
    hashes: u64,
    fields: [u64; LIVES.len()],
    prefixes: Prefixes,
    biggest: BinaryHeap<Reverse<Key>>,
}

impl Gatherer {
    /// An empty one. It keeps the `top` biggest keys; the time is passed in.
    pub fn new(now_ms: i64, top: usize) -> Self {
        Self {
            now_ms,
            top,
            keys: 0,
            expiring: 0,
            bytes: 0,
            databases: BTreeMap::new(),
            encodings: BTreeMap::new(),
            lives: Default::default(),
            sizes: [(0, 0); 64],
            hashes: 0,
            fields: Default::default(),
            prefixes: Prefixes::default(),
            biggest: BinaryHeap::new(),
        }
    }

    /// Counts a key.
    pub fn add(&mut self, db: u32, entry: Entry<'_>) {
        let (value, expiry_ms) = (entry.value(), entry.expiry_ms());
        let bytes = usage_bytes(entry) as u64;
        self.keys += 1;
        self.bytes += bytes;
        self.expiring += u64::from(expiry_ms.is_some());

        if self.databases.len() < DATABASES_MAX || self.databases.contains_key(&db) {
            let (database, ttl_ms, living) = self.databases.entry(db).or_default();
            database.db = db;
            database.keys += 1;
            database.bytes += bytes;
            database.expiring += u64::from(expiry_ms.is_some());
            let left_ms = expiry_ms.map_or(0, |at| i128::from(at) - i128::from(self.now_ms));
            if let Some(left_ms) = u128::try_from(left_ms).ok().filter(|left| *left > 0) {
                *ttl_ms += left_ms;
                *living += 1;
            }
        }

        let (kind, encoding) = (value.type_name(), value.encoding_name());
        let group = self.encodings.entry((kind, encoding)).or_insert(Encoding {
            kind,
            encoding,
            keys: 0,
            elements: None,
            bytes: 0,
        });
        group.keys += 1;
        group.bytes += bytes;
        if let Some(count) = elements(value) {
            *group.elements.get_or_insert(0) += count;
        }

        let class = &mut self.lives[life(expiry_ms, self.now_ms)];
        class.0 += 1;
        class.1 += bytes;
        let class = &mut self.sizes[bytes.max(1).ilog2() as usize];
        class.0 += 1;
        class.1 += bytes;

        if let Value::Hash(hash) = value
            && hash.next_expiry_ms().is_some()
        {
            self.hashes += 1;
            for field in hash.iter().filter(|field| field.expiry_ms.is_some()) {
                self.fields[life(field.expiry_ms, self.now_ms)] += 1;
            }
        }
        self.prefixes.add(entry.key(), bytes);

        let is_full = self.biggest.len() >= self.top;
        if is_full && self.biggest.peek().is_none_or(|Reverse(least)| least.bytes >= bytes) {
            return;
        }
        if is_full {
            self.biggest.pop();
        }
        self.biggest.push(Reverse(Key::of(db, entry, NAME_BYTES_MAX)));
    }

    /// What was gathered.
    pub fn finish(self) -> Summary {
        let databases = self.databases.into_values().map(|(mut database, ttl_ms, living)| {
            let average_ms = ttl_ms.checked_div(living.into());
            database.average_ttl_ms = average_ms.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX));
            database
        });
        let mut encodings: Vec<_> = self.encodings.into_values().collect();
        encodings.sort_by_key(|group| Reverse(group.bytes));
        let lives = |counts: [(u64, Option<u64>); LIVES.len()]| -> Vec<Life> {
            let class = |index: usize, (count, bytes)| Life {
                left: LIVES[index].0,
                from_ms: (1..LIVES.len() - 1).contains(&index).then(|| LIVES[index - 1].1),
                count,
                bytes,
            };
            counts.into_iter().enumerate().map(|(index, counts)| class(index, counts)).collect()
        };
        let fields = self.fields.iter().sum();
        let field_lives =
            if fields > 0 { lives(self.fields.map(|n| (n, None))) } else { Vec::new() };
        let filled = |index: &usize| self.sizes[*index].0 > 0;
        let (first, last) = ((0..64).find(filled), (0..64).rfind(filled));
        let sizes = first.zip(last).map(|(first, last)| first..=last).into_iter().flatten();
        let sizes = sizes.map(|index| {
            let (keys, bytes) = self.sizes[index];
            Size { from_bytes: 1 << index, keys, bytes }
        });
        Summary {
            keys: self.keys,
            expiring: self.expiring,
            bytes: self.bytes,
            databases: databases.collect(),
            encodings,
            lives: lives(self.lives.map(|(keys, bytes)| (keys, Some(bytes)))),
            sizes: sizes.collect(),
            field_expiry: Fields { hashes: self.hashes, fields, lives: field_lives },
            prefixes: self.prefixes.finish(),
            biggest: self.biggest.into_sorted_vec().into_iter().map(|Reverse(key)| key).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay::data::hash::FieldExpiry;
    use mainstay::data::{Hash, KeyHasher, Limits, NewValue};
    use mainstay::keyspace::EntryBox;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn text(key: &str, value: &[u8], expiry_ms: Option<i64>) -> EntryBox {
        EntryBox::new(key.as_bytes(), NewValue::Text { bytes: value, edited: false }, expiry_ms, 0)
    }

    #[test]
    fn classes_of_lives_end_where_they_say() {
        let class = |left_ms: i64| LIVES[life(Some(NOW_MS + left_ms), NOW_MS)].0;
        let cases = [
            (-1, "past"),
            (0, "past"),
            (1, "< 1 min"),
            (59_999, "< 1 min"),
            (60_000, "< 1 hour"),
            (86_400_000, "< 7 days"),
            (30 * 86_400_000, "later"),
        ];
        for (left_ms, want) in cases {
            assert_eq!(class(left_ms), want, "{left_ms}");
        }
        assert_eq!(LIVES[life(Some(i64::MIN), NOW_MS)].0, "past");
        assert_eq!(LIVES[life(Some(i64::MAX), i64::MIN)].0, "later");
        assert_eq!(LIVES[life(None, NOW_MS)].0, "never");
    }

    #[test]
    fn everything_adds_up() {
        let mut gatherer = Gatherer::new(NOW_MS, 3);
        for n in 0..100_usize {
            let expiry_ms = (n % 2 == 0).then_some(NOW_MS + 1000 * n as i64);
            let entry = text(&format!("text:{n}"), &vec![b'x'; n * 10], expiry_ms);
            gatherer.add((n % 3) as u32, entry.view());
        }
        let mut hash = Hash::new();
        let limits = Limits::new(KeyHasher::new((0, 0)));
        hash.set(b"stays", b"1", FieldExpiry::Keep, &limits);
        hash.set(b"goes", b"1", FieldExpiry::At(NOW_MS + 5), &limits);
        hash.set(b"went", b"1", FieldExpiry::At(NOW_MS - 5), &limits);
        let hash = EntryBox::new(b"hash", NewValue::Hash(hash), None, 0);
        gatherer.add(0, hash.view());
        let summary = gatherer.finish();

        assert_eq!((summary.keys, summary.expiring), (101, 50));
        let keys = |keys: &mut dyn Iterator<Item = u64>| assert_eq!(keys.sum::<u64>(), 101);
        keys(&mut summary.databases.iter().map(|database| database.keys));
        keys(&mut summary.encodings.iter().map(|group| group.keys));
        keys(&mut summary.lives.iter().map(|class| class.count));
        keys(&mut summary.sizes.iter().map(|class| class.keys));
        let bytes = |bytes: &mut dyn Iterator<Item = u64>| {
            assert_eq!(bytes.sum::<u64>(), summary.bytes);
        };
        bytes(&mut summary.databases.iter().map(|database| database.bytes));
        bytes(&mut summary.encodings.iter().map(|group| group.bytes));
        bytes(&mut summary.lives.iter().filter_map(|class| class.bytes));
        bytes(&mut summary.sizes.iter().map(|class| class.bytes));
        assert_eq!(summary.prefixes.bytes, summary.bytes);

        for class in &summary.sizes {
            assert!(class.bytes >= class.keys * class.from_bytes);
            assert!(class.bytes <= class.keys * (2 * class.from_bytes - 1));
        }
        let biggest: Vec<_> = summary.biggest.iter().map(|key| key.key.to_string()).collect();
        assert_eq!(biggest, ["text:99", "text:98", "text:97"]);
        // 2, 4, … 98 seconds, of which every third is in database 0; the one of 0 seconds has passed.
        assert_eq!(
            summary.databases[0].average_ttl_ms,
            Some((6..=96).step_by(6).sum::<u64>() * 1000 / 16)
        );
        assert_eq!((summary.field_expiry.hashes, summary.field_expiry.fields), (1, 2));
        let fields: Vec<_> = summary.field_expiry.lives.iter().map(|class| class.count).collect();
        assert_eq!(fields, [1, 1, 0, 0, 0, 0, 0, 0]);
        let group = summary.encodings.iter().find(|group| group.kind == "hash").unwrap();
        assert_eq!((group.encoding, group.elements), ("listpackex", Some(3)));
    }

    #[test]
    fn nothing_grows_with_names_and_databases() {
        let mut gatherer = Gatherer::new(NOW_MS, 1);
        for db in 0..DATABASES_MAX as u32 + 10 {
            gatherer.add(db, text("k", b"", None).view());
        }
        gatherer.add(0, text(&"\n".repeat(5000), b"", None).view());
        let summary = gatherer.finish();
        assert_eq!(summary.databases.len(), DATABASES_MAX);
        assert_eq!(summary.keys, DATABASES_MAX as u64 + 11);
        assert_eq!(summary.biggest[0].key_bytes, 5000);
        assert_eq!(summary.biggest[0].key.to_string(), "\\n".repeat(NAME_BYTES_MAX) + "…");
    }

    #[test]
    fn there_may_be_nothing() {
        let summary = Gatherer::new(NOW_MS, 0).finish();
        assert_eq!((summary.keys, summary.sizes.len(), summary.biggest.len()), (0, 0, 0));
        let mut gatherer = Gatherer::new(NOW_MS, 0);
        gatherer.add(0, text("k", b"", None).view());
        assert_eq!(gatherer.finish().biggest.len(), 0);
    }
}
