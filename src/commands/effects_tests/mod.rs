//! What a writing command states is what replay accepts, and does to an equal data set, whatever it
//! was given.

mod known;
mod templates;
mod words;

use super::replay_tests::{bench, contents};
use super::spec::{Flags, Handler, Spec};
use super::testing::{Bench, parse_effects, show_args};
use super::{DATA, ExpiryMode};
use crate::data::Value;
use crate::data::testing::describe;
use crate::env::seeded_random;
use crate::rdb::payload;
use crate::rdb::testing::{extreme_stream, view};
use crate::resp::OwnedArgs;
use std::collections::BTreeMap;
use templates::TEMPLATES;
use words::Words;

/// Commands that one data set gets.
const HISTORY: usize = 150;
/// No string grows longer than this, so that a test does not write gigabytes. Replay has no such
/// limit.
const STRING_BYTES_MAX: usize = 100_000;

/// Where the clock stands when a history begins.
const CLOCKS: [i64; 6] =
    [0, 1_700_000_000_000, -1, -5_000_000, 253_402_300_799_000, -62_135_596_800_000];

/// All commands and subcommands that may change the data set.
fn writing() -> impl Iterator<Item = &'static Spec> {
    let all = DATA.all().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
    all.filter(|spec| spec.is_write() || spec.flags.has(Flags::MAY_REPLICATE))
}

#[test]
fn every_writing_command_of_the_table_has_a_template() {
    for spec in writing() {
        assert!(matches!(spec.handler, Handler::Data(_)), "{} cannot be run here", spec.full_name);
        let has_template = TEMPLATES.iter().any(|(name, _)| *name == spec.full_name);
        assert!(has_template, "{} has no template", spec.full_name);
    }
    for (name, _) in TEMPLATES {
        assert!(writing().any(|spec| spec.full_name == *name), "{name} is no writing command");
    }
}

/// Two data sets: one that commands are run on, and one that gets what they state.
struct Pair {
    original: Bench,
    copy: Bench,
    words: Words,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut words = Words::new(seeded_random(seed));
        let mut original = bench();
        original.settings.bulk_bytes_max = STRING_BYTES_MAX;
        original.settings.lfu = words.below(4) == 0;
        original.now_ms = CLOCKS[words.below(CLOCKS.len())];
        let mut copy = bench();
        copy.settings = original.settings.replaying();
        copy.mode = ExpiryMode::Ignore;
        for _ in 0..4 {
            let random = &mut |bound| words.below(bound);
            let payload = extreme_stream(random);
            words.payloads.push(payload);
        }
        Self { original, copy, words }
    }

    /// A command of any kind.
    fn make(&mut self) -> (usize, OwnedArgs) {
        let index = loop {
            let index = self.words.below(TEMPLATES.len());
            let name = TEMPLATES[index].0;
            // What empties everything comes rarely, and streams, which know most, often.
            let chance = match () {
                () if name.starts_with("flush") => 1,
                () if name.starts_with('x') => 20,
                () => 5,
            };
            if self.words.below(20) < chance {
                break index;
            }
        };
        let (name, template) = TEMPLATES[index];
        let words = self.words.command(name, template);
        let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
        (index, OwnedArgs::from_slices(&words))
    }

    /// Runs a command, and on the copy what it states. Says whether it stated anything.
    fn step(&mut self, args: &OwnedArgs) -> Result<bool, String> {
        self.original.now_ms += self.words.below(200) as i64;
        // Logs are replayed later, as of the time when the frame was written.
        self.copy.now_ms = self.original.now_ms.max(0) + 1_000;
        let outcome = self.original.run(args.as_args());
        for effect in parse_effects(&outcome.effects) {
            if !known::is_known(effect.as_args()) {
                let shown = show_args(effect.as_args());
                return Err(format!("'{shown}' is an effect that Redis 7.0 does not know"));
            }
            let replayed = self.copy.run(effect.as_args());
            if replayed.reply[0] == b'-' {
                let reply = String::from_utf8_lossy(&replayed.reply).into_owned();
                return Err(format!("'{}' was answered {reply}", show_args(effect.as_args())));
            }
        }
        Ok(!outcome.effects.is_empty())
    }

    /// The first difference between both.
    fn compare(&self) -> Result<(), String> {
        let contents =
            |bench: &Bench| contents(bench).iter().map(|it| without_form(it)).collect::<Vec<_>>();
        let (have, want) = (contents(&self.copy), contents(&self.original));
        if have == want {
            return Ok(());
        }
        let differs = have.iter().zip(&want).find(|(have, want)| have != want);
        Err(format!("{} and {} keys; replayed and original: {differs:#?}", have.len(), want.len()))
    }

    /// Every value comes back from the form that it has in a base.
    fn reload(&mut self) -> Result<(), String> {
        for (_, database) in self.original.keyspace.databases() {
            for entry in database.iter() {
                let mut bytes = Vec::new();
                payload::dump(entry.value(), false, &mut bytes);
                let key = String::from_utf8_lossy(entry.key()).into_owned();
                let loaded = payload::restore(&bytes, &self.original.settings.limits);
                let loaded = loaded.map_err(|error| format!("{key} cannot be loaded: {error}"))?;
                let (have, want) = (plain(view(&loaded)), plain(entry.value()));
                if have != want {
                    return Err(format!("{key} was {want} and is loaded as {have}"));
                }
                if self.words.payloads.len() < 40 {
                    self.words.payloads.push(bytes);
                }
            }
        }
        Ok(())
    }
}

/// An entry without how a set is encoded: a small set of numbers may be a listpack, for which Redis
/// 7.0 has no form, and is an intset once it is restored.
fn without_form(entry: &str) -> String {
    let encodings = ["intset", "listpack", "hashtable"].map(|name| format!(", \"{name}\")"));
    let is_set = entry.contains("], \"set [");
    let encoding = encodings.iter().find(|&encoding| is_set && entry.ends_with(encoding));
    encoding.and_then(|encoding| entry.strip_suffix(encoding)).unwrap_or(entry).to_owned()
}

/// A value as text, without what depends on its encoding: whether a string is a number or its
/// digits, and whether a score of zero has a sign, which small sorted sets have no room for.
fn plain(value: Value<'_>) -> String {
    match value {
        Value::Integer(number) => {
            describe(Value::Text { bytes: number.to_string().as_bytes(), edited: false })
        }
        Value::SortedSet(_) => describe(value).replace("] -0\"", "] 0\""),
        value => describe(value),
    }
}

/// Runs one history; counts for each template how often it stated something.
fn history(seed: u64, stated: &mut [u64], compare_each: bool) -> Result<(), String> {
    let mut pair = Pair::new(seed);
    for step in 0..HISTORY {
        let (index, args) = pair.make();
        let result = pair.step(&args).and_then(|any| {
            stated[index] += u64::from(any);
            if compare_each { pair.compare() } else { Ok(()) }
        });
        let now_ms = pair.original.now_ms;
        result.map_err(|error| {
            format!("{step}, at {now_ms}: {}: {error}", show_args(args.as_args()))
        })?;
        if step == HISTORY / 2 {
            pair.reload()?;
        }
    }
    pair.compare()?;
    pair.reload()
}

#[test]
fn what_commands_state_is_replayed_into_an_equal_data_set() {
    let full = std::env::var("MAINSTAY_TEST_SCALE").is_ok_and(|scale| scale == "full");
    let commands: usize = if full { 2_000_000 } else { 200_000 };
    let given = std::env::var("MAINSTAY_TEST_SEED");
    let seed: u64 = given.map_or(11, |text| text.parse().expect("MAINSTAY_TEST_SEED is a number"));
    let mut stated = vec![0; TEMPLATES.len()];
    for number in 0..(commands / HISTORY) as u64 {
        let seed = seed.wrapping_add(number);
        if let Err(error) = history(seed, &mut stated, false) {
            // Once more, to find the first command that has done it.
            let first = history(seed, &mut stated, true).err().unwrap_or(error);
            panic!("MAINSTAY_TEST_SEED={seed}: command {first}");
        }
    }
    let mut by_name = BTreeMap::new();
    for ((name, _), count) in TEMPLATES.iter().zip(&stated) {
        *by_name.entry(*name).or_insert(0) += count;
    }
    eprintln!("{} of {commands} commands stated effects: {by_name:?}", stated.iter().sum::<u64>());
    let silent: Vec<_> = by_name.iter().filter(|(_, count)| **count == 0).collect();
    assert!(silent.is_empty(), "never stated anything: {silent:?}");
}
