//! `repair --unverified`: what still decodes of a base's blocks whose checksum is wrong is saved,
//! and nothing sound is touched.

#[path = "support/data_set.rs"]
mod data_set;
mod support;

use data_set::{Contents, contents, options, read};
use mainstay::commands::Settings;
use mainstay::data::{KeyHasher, Limits};
use mainstay::disk::{Disk, File, RealDisk};
use mainstay::engine::Engine;
use mainstay::engine::compact::{BASE_FORMAT, compact};
use mainstay::env::{Random, SimClock, seeded_random};
use mainstay::log::segment::base_name;
use mainstay::log::{Retention, View, segment};
use mainstay::rdb::blocks::read_index;
use mainstay::rdb::file::{Decoding, FileReader, Record, decode_record};
use mainstay::rdb::{Dialect, Reader};
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use support::{DATABASES, DataSet, START_MS, Server, info, machine, tool_json, tool_says};

const LIBRARY: &[u8] =
    b"#!lua name=f\n-- a comment\nredis.register_function('f', function() return 1 end)";

/// A block of a base as it was written.
struct Block {
    range: Range<usize>,
    db: u32,
    /// Its keys, and where their records lie in the file.
    keys: Vec<(Vec<u8>, Range<usize>)>,
}

/// A directory with a base and nothing behind it.
struct Victim {
    home: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    blocks: Vec<Block>,
    contents: Contents,
}

fn limits() -> Limits {
    Limits::new(KeyHasher::new((0, 0)))
}

fn noise(bytes: usize, random: &mut Random) -> Vec<u8> {
    (0..bytes).map(|_| random() as u8).collect()
}

impl Victim {
    /// Two databases with several blocks each: values that fill them, and short ones of all types.
    fn new(seed: u64) -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("mainstay");
        fs::create_dir(&dir).unwrap();
        let dropped = Retention { time_s: 0, bytes: 0 };
        let clock = SimClock::new(START_MS);
        let machine = machine(clock.clone(), seed);
        let engine = Engine::in_memory(machine, DATABASES, Settings::default());
        engine.lock().put_function(LIBRARY, false).unwrap();
        engine.lock().begin_log(&dir, options(dropped)).unwrap();
        let mut set = DataSet::of(&dir, clock, engine);
        let mut random = seeded_random(seed);
        for db in [0, 3] {
            set.line(&format!("SELECT {db}"));
            for number in 0..8 {
                let value = noise(300 << 10, &mut random);
                set.run(&[b"SET", format!("filler{number}").as_bytes(), &value]);
                set.line(&format!("RPUSH l{number} a b {number}"));
                set.line(&format!("HSET h{number} f v g {number}"));
                set.line(&format!("ZADD z{number} 1.5 m 2 {number}"));
                set.line(&format!("SADD i{number} 1 2 {number}"));
                set.line(&format!("XADD x{number} 1-{number} f v"));
            }
            for number in 0..60 {
                set.line(&format!("SET k{number} value:{db}:{number} PXAT 4102444800{number:03}"));
            }
        }
        set.sync();
        set.clock.advance_us(1000);
        let begun = set.engine.lock().begin_snapshot(BASE_FORMAT).unwrap();
        let log = set.log();
        let mut work = || {
            set.engine.lock().save_slice(0);
            log.settle();
        };
        compact(&log, &begun, &mut work).unwrap();
        set.close();
        let contents = contents(&set.engine);
        drop((set, log));

        let line = View::open(&RealDisk, &dir).unwrap().manifest().base.clone().unwrap();
        let path = dir.join(base_name(line.sequence));
        let file = RealDisk.open_to_read(&path).unwrap();
        let (_, header) = segment::find_header(&*file).unwrap().unwrap();
        let index_offset = header.preamble.unwrap().index_offset;
        let bytes = fs::read(&path).unwrap();
        let tail = &bytes[index_offset as usize..line.preamble_bytes as usize];
        let index = read_index(tail, index_offset).unwrap();
        let ends = index.iter().skip(1).map(|block| block.offset).chain([index_offset]);
        let blocks: Vec<Block> = index
            .iter()
            .zip(ends)
            .map(|(block, end)| {
                let range = block.offset as usize..end as usize;
                let keys = if block.keys == 0 { Vec::new() } else { keys_of(&bytes, &range) };
                assert_eq!(keys.len(), block.keys as usize);
                Block { range, db: block.db, keys }
            })
            .collect();
        for db in [0, 3] {
            assert!(
                blocks.iter().filter(|block| block.db == db && !block.keys.is_empty()).count() > 1
            );
        }
        Self { home, path, bytes, blocks, contents }
    }

    /// Damages the bit of that byte; the others are as they were.
    fn flip(&self, at: usize, bit: u8) {
        let mut bytes = self.bytes.clone();
        bytes[at] ^= 1 << bit;
        fs::write(&self.path, bytes).unwrap();
    }

    /// Repairs it; gives the report, what a server that starts with the copy holds, and where the
    /// copy is.
    fn repair(&self, options: &[&str]) -> (serde_json::Value, Contents, PathBuf) {
        let out = self.home.path().join("out");
        let _ = fs::remove_dir_all(&out);
        let words = ["repair", self.home.path().to_str().unwrap(), "--out", out.to_str().unwrap()];
        let report = tool_json(1, &[&words[..], options].concat());
        let contents = contents(&read(&out.join("mainstay")).0);
        (report, contents, out)
    }

    /// The block in which that byte lies.
    fn block_at(&self, at: usize) -> &Block {
        self.blocks.iter().find(|block| block.range.contains(&at)).unwrap()
    }

    /// What all blocks hold but this one.
    fn without(&self, block: &Block) -> Contents {
        let mut left = self.contents.clone();
        for (key, _) in &block.keys {
            assert!(left.remove(&(block.db as usize, key.clone())).is_some());
        }
        left
    }

    fn find(&self, words: &[u8]) -> usize {
        self.bytes.windows(words.len()).position(|bytes| bytes == words).unwrap()
    }
}

fn keys_of(bytes: &[u8], range: &Range<usize>) -> Vec<(Vec<u8>, Range<usize>)> {
    let decoding = Decoding { dialect: Dialect::Redis, limits: limits(), skip_modules: false };
    let mut reader = Reader::new(&bytes[range.clone()]);
    let mut keys = Vec::new();
    while reader.left() > 0 {
        let from = range.start + reader.offset();
        if let Record::Key(record) = decode_record(&mut reader, &decoding).unwrap() {
            keys.push((record.key.into_owned(), from..range.start + reader.offset()));
        }
    }
    keys
}

fn len(list: &serde_json::Value) -> usize {
    list.as_array().unwrap().len()
}

#[test]
fn a_flipped_bit_in_a_value_loses_its_block_and_with_the_option_only_the_value() {
    let victim = Victim::new(1);
    let at = victim.find(b"value:3:7") + 8;
    victim.flip(at, 0);
    let block = victim.block_at(at);
    let (report, contents, _) = victim.repair(&[]);
    assert_eq!((len(&report["lost_blocks"]), len(&report["unverified_blocks"])), (1, 0));
    assert_eq!(report["lost_blocks"][0]["keys"], block.keys.len());
    assert_eq!(contents, victim.without(block));

    let (report, mut contents, out) = victim.repair(&["--unverified"]);
    assert_eq!(
        (len(&report["lost_blocks"]), len(&report["unverified_blocks"])),
        (0, 1),
        "{report}"
    );
    let said = &report["unverified_blocks"][0];
    assert_eq!(said["file"], victim.path.file_name().unwrap().to_str().unwrap());
    assert_eq!(
        (&said["offset"], &said["bytes"]),
        (&block.range.start.into(), &block.range.len().into())
    );
    assert_eq!((&said["db"], &said["keys"]), (&block.db.into(), &block.keys.len().into()));
    let names: Vec<_> = block.keys.iter().map(|(key, _)| String::from_utf8_lossy(key)).collect();
    assert_eq!(said["names"], serde_json::json!(names), "{said}");
    // The value is another one; all else is as it was.
    let name = (3, b"k7".to_vec());
    let of_k7 = (contents.remove(&name).unwrap(), victim.contents[&name]);
    assert_ne!(of_k7.0, of_k7.1);
    let mut others = victim.contents.clone();
    others.remove(&name);
    assert_eq!(contents, others);

    let words = ["repair", victim.home.path().to_str().unwrap(), "--unverified", "--dry-run"];
    let said = tool_says(1, &words);
    assert!(said.contains("unverified: the checksum of a block of the base is wrong"), "{said}");
    assert!(said.contains(" more\n") && !said.contains("something is lost"), "{said}");
    // A server starts with it, and knows that not everything is as it was.
    let server = Server::start(&out, &[]);
    let mut client = server.client();
    assert_eq!(info(&mut client, "log_lost_ranges"), "1");
    client.call("SELECT 3");
    assert_eq!(client.call("GET k7").text(), "value:3:6");
    assert_eq!(client.call("GET k8").text(), "value:3:8");
    server.stop();
}

#[test]
fn a_name_that_a_sound_block_has_is_not_saved_from_another_one() {
    let victim = Victim::new(2);
    let is_elsewhere = |block: &Block, name: &[u8]| {
        let others = victim.blocks.iter();
        let mut others = others.filter(|it| it.db == block.db && it.range != block.range);
        others.any(|other| other.keys.iter().any(|(key, _)| key == name))
    };
    // A short key, one bit of whose name makes it that of a key in another block.
    let mut found = None;
    for block in &victim.blocks {
        for (key, range) in block.keys.iter().filter(|(key, _)| key.starts_with(b"k")) {
            let last = key.len() - 1;
            let mut twin = key.clone();
            twin[last] ^= 1;
            if is_elsewhere(block, &twin) {
                let record = &victim.bytes[range.clone()];
                let place = record.windows(key.len()).position(|bytes| bytes == *key).unwrap();
                found = Some((block, key, twin, range.start + place + last));
            }
        }
    }
    let (block, key, twin, at) = found.expect("keys of two blocks with names that are alike");
    victim.flip(at, 0);
    let (report, contents, _) = victim.repair(&["--unverified"]);
    let mut expected = victim.contents.clone();
    expected.remove(&(block.db as usize, key.clone()));
    assert_eq!(contents, expected);
    let lost = &report["lost_blocks"][0];
    assert_eq!((&lost["keys"], len(&lost["names"])), (&1.into(), 1), "{report}");
    assert_eq!(lost["names"][0], String::from_utf8(twin).unwrap());
    assert_eq!(report["unverified_blocks"][0]["keys"], block.keys.len() - 1);
}

#[test]
fn the_head_is_used_if_it_can_be_read() {
    let victim = Victim::new(3);
    let functions = |out: &Path| read(&out.join("mainstay")).0.lock().functions().len();
    for (words, is_saved) in [(&b"a comment"[..], true), (b"REDIS0012", true), (b"#!lua", false)] {
        victim.flip(victim.find(words), 0);
        let (report, contents, out) = victim.repair(&["--unverified"]);
        assert_eq!(contents, victim.contents);
        assert_eq!(functions(&out), usize::from(is_saved), "{report}");
        assert_eq!(len(&report["unverified_blocks"]), usize::from(is_saved), "{report}");
        assert_eq!(len(&report["lost_blocks"]), usize::from(!is_saved), "{report}");
        let (report, contents, out) = victim.repair(&[]);
        assert_eq!((contents == victim.contents, functions(&out)), (true, 0), "{report}");
    }
}

#[test]
fn keys_stay_in_their_database_where_the_block_that_selects_it_is_lost() {
    let victim = Victim::new(4);
    let first = victim.blocks.iter().find(|block| block.db == 3).unwrap();
    victim.flip(first.range.end - 1, 0);
    let (_, contents, out) = victim.repair(&[]);
    assert_eq!(contents, victim.without(first));
    let dir = out.join("mainstay");
    let line = View::open(&RealDisk, &dir).unwrap().manifest().base.clone().unwrap();
    let file = RealDisk.open_to_read(&dir.join(base_name(line.sequence))).unwrap();
    // As a reader sees them who knows nothing of blocks.
    let file: &dyn File = &*file;
    let mut reader = FileReader::open(file, limits(), false).unwrap();
    let mut names = BTreeSet::new();
    loop {
        let key = reader.next(|record| match record {
            Record::Key(record) => Some(record.key.into_owned()),
            _ => None,
        });
        match key.unwrap() {
            Some(Some(key)) => names.extend([(reader.database() as usize, key)]),
            Some(None) => {}
            None => break,
        }
    }
    assert!(names.iter().eq(contents.keys()), "{names:?}");
}

#[test]
fn whichever_bit_is_flipped_the_copy_starts_and_what_is_sound_is_as_it_was() {
    let full = std::env::var("MAINSTAY_TEST_SCALE").is_ok_and(|scale| scale == "full");
    let victim = Victim::new(5);
    let mut random = seeded_random(6);
    let short: Vec<Range<usize>> = victim
        .blocks
        .iter()
        .flat_map(|block| &block.keys)
        .map(|(_, range)| range.clone())
        .filter(|range| range.len() < 200)
        .collect();
    let end = victim.blocks.last().unwrap().range.end;
    let (mut saved, mut lost) = (0, 0);
    for _ in 0..if full { 3000 } else { 200 } {
        // Most of the bytes are those of long values, of which one is like the other.
        let range = match random() % 8 {
            0 => 0..end,
            1 => victim.blocks[0].range.clone(),
            _ => short[random() as usize % short.len()].clone(),
        };
        let (at, bit) = (range.start + random() as usize % range.len(), (random() % 8) as u8);
        victim.flip(at, bit);
        let (report, contents, _) = victim.repair(&["--unverified"]);
        let block = victim.block_at(at);
        let sound = victim.without(block);
        for (name, value) in &sound {
            assert_eq!(contents.get(name), Some(value), "byte {at}, bit {bit}: {name:?}");
        }
        let keys = |list: &str| -> u64 {
            report[list].as_array().unwrap().iter().map(|it| it["keys"].as_u64().unwrap()).sum()
        };
        let unverified = keys("unverified_blocks");
        assert_eq!(contents.len() as u64, sound.len() as u64 + unverified, "{at}, {bit}: {report}");
        assert!(
            unverified + keys("lost_blocks") >= block.keys.len() as u64,
            "{at}, {bit}: {report}"
        );
        saved += unverified;
        lost += keys("lost_blocks");
    }
    assert!(saved > 0 && lost > 0, "{saved} saved, {lost} lost");
    println!("{saved} keys were saved of unsound blocks, {lost} lost");
}

#[test]
fn a_prefix_has_nothing_unverified() {
    tool_says(2, &["repair", "x", "--out", "y", "--prefix", "--unverified"]);
}
