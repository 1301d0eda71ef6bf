//! Round trips of files, and invalid files.

use super::super::checksum::Checksum;
use super::super::testing::{limits, value, view};
use super::super::{Target, kind};
use super::*;
use crate::data::testing::describe;
use crate::data::{NewValue, Value};
use crate::disk::{Disk, SimDisk};
use proptest::prelude::*;
use std::path::Path;

/// A key as a test sees it: database, name, value, expiry time, idle seconds, frequency.
type Key = (u32, Vec<u8>, String, Option<i64>, Option<u64>, Option<u8>);

/// The contents of a file: the keys, and the other records as text.
type Contents = (Vec<Key>, Vec<String>);

fn read_with(source: impl Source, window_bytes: usize) -> Result<(Contents, u64), FileError> {
    let mut reader = FileReader::with_window(source, limits(), true, window_bytes)?;
    let (mut keys, mut others) = (Vec::new(), Vec::new());
    let mut db = 0;
    while let Some(()) = reader.next(|record| match record {
        Record::Key(record) => {
            let KeyRecord { key, value, expiry_ms, idle_s, frequency } = record;
            let text = describe(view(&value));
            keys.push((db, key.into_owned(), text, expiry_ms, idle_s, frequency));
        }
        Record::SelectDatabase(number) => db = number,
        other => others.push(format!("{other:?}")),
    })? {}
    Ok(((keys, others), reader.offset()))
}

fn read(bytes: &[u8]) -> Result<(Contents, u64), FileError> {
    read_with(bytes, 16)
}

/// The file of these records.
fn file(version: &[u8], records: &[u8]) -> Vec<u8> {
    let mut bytes = [version, records].concat();
    let mut checksum = Checksum::new();
    checksum.update(&bytes);
    footer(Some(checksum), &mut bytes);
    bytes
}

fn error_of(version: &[u8], records: &[u8]) -> String {
    let file = file(version, records);
    read(&file).expect_err("it has to be refused").to_string()
}

proptest! {
    #[test]
    fn what_is_written_comes_back(
        values in prop::collection::vec((value(), prop::option::of(-5..i64::MAX)), 1..8),
        target in prop::sample::select(&Target::ALL[..]),
        compress in any::<bool>(),
        window_bytes in 1..2000usize,
    ) {
        let mut bytes = Vec::new();
        header(target, &mut bytes);
        aux("redis-bits", b"64", &mut bytes);
        let mut expected = Vec::new();
        for (index, (value, expiry_ms)) in values.iter().enumerate() {
            let (key, access) = match index % 3 {
                0 => (format!("key:{index}").repeat(index + 1), Access::IdleS(300)),
                1 => (index.to_string(), Access::Frequency(7)),
                _ => (format!("{index}"), Access::None),
            };
            if index % 2 == 1 {
                select_database(index as u32 * 100, &mut bytes);
                resize_database(2, 1, &mut bytes);
            }
            let (key, value, db) = (key.into_bytes(), view(value), index.div_ceil(2) * 2);
            let db = if index == 0 { 0 } else { (db as u32 - 1) * 100 };
            let before = bytes.len();
            match key_record(&key, value, *expiry_ms, access, target, compress, &mut bytes) {
                Ok(()) => {
                    let (idle_s, frequency) = match access {
                        Access::IdleS(s) => (Some(s), None),
                        Access::Frequency(frequency) => (None, Some(frequency)),
                        Access::None => (None, None),
                    };
                    let text = match value {
                        Value::Stream(_) => older_stream(value, target),
                        _ => describe(value),
                    };
                    expected.push((db, key, text, *expiry_ms, idle_s, frequency));
                }
                Err(error) => {
                    prop_assert!(target < Target::V12, "{error}");
                    prop_assert!(error.to_string().contains("with expiring fields"));
                    prop_assert_eq!(bytes.len(), before);
                }
            }
        }
        let mut checksum = Checksum::new();
        checksum.update(&bytes);
        footer(Some(checksum), &mut bytes);
        let end = bytes.len() as u64;
        bytes.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
        let ((keys, _), read_end) = read_with(&bytes[..], window_bytes).unwrap();
        prop_assert_eq!(keys, expected);
        prop_assert_eq!(read_end, end, "bytes after the end are not read");
    }
}

/// The parts of a stream that an older version holds; its readers estimate the rest.
fn older_stream(value: Value<'_>, target: Target) -> String {
    if target > Target::V9 {
        return describe(value);
    }
    let Value::Stream(stream) = value else { unreachable!() };
    let mut stream = stream.clone();
    let counters = crate::data::stream::Counters {
        max_deleted_id: crate::data::stream::StreamId::MIN,
        entries_added: crate::data::stream::Count::new(stream.entries.len()),
        ..stream.entries.counters()
    };
    stream.entries.set_counters(counters);
    for name in stream.groups.keys().cloned().collect::<Vec<_>>() {
        let read = stream.entries.count_at(stream.groups[&name].last_id);
        stream.groups.get_mut(&name).unwrap().entries_read = read;
    }
    describe(Value::Stream(&stream))
}

/// Records of all sorts in a small file: strings in each encoding, small collections, expiry times.
fn small_file() -> Vec<u8> {
    let mut records = Vec::new();
    aux("redis-ver", b"7.4.1", &mut records);
    function(b"#!lua name=l\n", Target::V12, false, &mut records).unwrap();
    // A module's data: when to load it, a string, an end.
    records.extend([opcode::MODULE_AUX, 0x81, 1, 2, 3, 4, 5, 6, 7, 8, 2, 1, 5, 1, b'x', 0]);
    select_database(3, &mut records);
    resize_database(9, 1, &mut records);
    records.extend([opcode::SLOT_INFO, 5, 1, 0]);
    for (key, number) in [("a", 7), ("b", -300), ("c", 70_000), ("d", i64::MAX)] {
        let value = Value::Integer(number);
        key_record(key.as_bytes(), value, Some(9), Access::None, Target::V12, true, &mut records)
            .unwrap();
    }
    let text = Value::Text { bytes: &[b'z'; 60], edited: false };
    key_record(b"e", text, None, Access::IdleS(1), Target::V12, true, &mut records).unwrap();
    records.extend([opcode::EXPIRY_S, 1, 0, 0, 0]);
    // A quicklist of a ziplist, a set, a hash of which a field expires.
    let ziplist = b"\x0e\0\0\0\x0a\0\0\0\x01\0\0\x01x\xff";
    records.extend([kind::LIST_QUICKLIST, 1, b'f', 1, ziplist.len() as u8]);
    records.extend(ziplist);
    records.extend([kind::SET, 1, b'g', 2, 1, b'x', 0xc0, 9]);
    records.extend([kind::HASH_METADATA, 1, b'h', 5, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, b'n', 1, b'v']);
    // A value of a module.
    records.extend([kind::MODULE_2, 1, b'm', 0x81, 1, 2, 3, 4, 5, 6, 7, 8, 1, 5, 0]);
    file(b"REDIS0012", &records)
}

#[test]
fn the_small_file_is_read() {
    let ((keys, others), end) = read(&small_file()).unwrap();
    let shown: Vec<_> = keys.iter().map(|key| format!("{} {} {:?}", key.0, key.2, key.3)).collect();
    assert_eq!(
        shown,
        [
            "3 string [\"7\"] Some(9)",
            "3 string [\"-300\"] Some(9)",
            "3 string [\"70000\"] Some(9)",
            &format!("3 string [\"{}\"] Some(9)", i64::MAX),
            &format!("3 string [\"{:?}\"] None", [b'z'; 60]),
            "3 list [\"[120]\"] Some(1000)",
            "3 set [\"[120]\", \"[57]\"] None",
            "3 hash [\"[110] [118] Some(5)\"] None",
        ]
    );
    assert_eq!(others.len(), 7, "{others:?}");
    assert_eq!(end, small_file().len() as u64);
}

#[test]
fn values_of_old_kinds_become_those_of_today() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/rdb");
    let read = |name, version: &[u8]| {
        let seed = std::fs::read(seeds.join(name)).unwrap();
        let ((keys, _), _) = read(&[version, &seed[1..]].concat()).unwrap();
        let keys = keys.into_iter();
        keys.map(|key| (String::from_utf8(key.1).unwrap(), key.2)).collect::<Vec<_>>()
    };
    let list = |all: &[&str]| {
        let shown: Vec<_> = all.iter().map(|text| format!("{:?}", text.as_bytes())).collect();
        format!("list {shown:?}")
    };
    let long = "x".repeat(300);
    let numbers = i64::from_le_bytes([0x11; 8]).to_string();
    let ziplist = ["a", "bc", "0", "12", "-128", "12345", "-8191487", "-2080177663"];
    let ziplist = [&ziplist[..], &[&numbers, &long, "xyz"]].concat();
    let quicklist = [&ziplist[..], &["a", "1", "b", "c"]].concat();
    let expected = [
        ("zm", format!("hash {:?}", ["[97] [49, 50] None", "[107, 101, 121] [118] None"])),
        ("lz", list(&ziplist)),
        ("zz", format!("zset {:?}", ["[97] 1", "[98] 1.5"])),
        ("hz", format!("hash {:?}", ["[97] [49] None", "[98] [99] None"])),
        ("ql", list(&quicklist)),
        ("z1", format!("zset {:?}", ["[110] -inf", "[109] 1.5"])),
        ("l", list(&["m", "12345"])),
        ("s", format!("set {:?}", ["[109]", "[57]"])),
        ("h22", format!("hash {:?}", ["[102] [118] Some(5)"])),
    ];
    for (found, (key, text)) in read("old", b"REDIS0012").into_iter().zip(expected) {
        let sorted = |text: &str| {
            let mut letters: Vec<char> = text.chars().collect();
            letters.sort_unstable();
            letters
        };
        assert_eq!(found.0, key);
        // Sets and hashes are described in an order of their own.
        let is_ordered = text.starts_with("list") || text.starts_with("zset");
        assert!(found.1 == text || !is_ordered && sorted(&found.1) == sorted(&text), "{found:?}");
    }
    assert_eq!(read("old", b"REDIS0012").len(), 9);
    let valkey = format!("hash {:?}", ["[102] [118] Some(4102444800000)"]);
    assert_eq!(read("valkey", b"VALKEY080"), [("hv".to_owned(), valkey)]);
    assert!(read("modules", b"REDIS0012").is_empty());
}

#[test]
fn every_truncation_is_reported_as_one() {
    let bytes = small_file();
    for len in 0..bytes.len() {
        match read(&bytes[..len]) {
            Err(FileError { cause: Cause::Truncated { len: stated }, .. }) => {
                assert_eq!(stated, len as u64);
            }
            other => panic!("{len} bytes: {other:?}"),
        }
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let sound = small_file();
    // A bit of the version may make it one without a checksum.
    for bit in HEADER_BYTES * 8..sound.len() * 8 {
        let mut bytes = sound.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&bytes).is_err(), "bit {bit}");
    }
}

#[test]
fn a_file_without_a_checksum_never_panics_whatever_is_flipped() {
    let mut sound = small_file();
    let end = sound.len() - 8;
    sound[end..].fill(0);
    assert!(read(&sound).is_ok());
    for bit in 0..end * 8 {
        let mut bytes = sound.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let _ = read(&bytes);
    }
}

#[test]
fn a_claimed_length_costs_nothing() {
    for kind in 0..kind::HASH_LISTPACK_EX + 1 {
        for claim in [
            &[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
            &[0x80, 0x7f, 0xff, 0xff, 0xff],
        ] {
            // A time stands before the contents of the last two kinds.
            let time = if kind >= kind::HASH_METADATA { &[0; 8][..] } else { &[] };
            let records = [&[kind, 1, b'k'], time, claim].concat();
            assert!(read(&file(b"REDIS0012", &records)).is_err(), "kind {kind}");
        }
    }
}

#[test]
fn only_known_versions_and_magics_are_read() {
    for version in [b"REDIS0001", b"REDIS0002", b"REDIS0012", b"VALKEY080"] {
        assert!(read(&file(version, &[])).is_ok(), "{}", version.escape_ascii());
    }
    // Versions before 5 have no checksum.
    assert!(read(b"REDIS0004\xff").is_ok());
    let refused: [(&[u8; 9], &str); 7] = [
        (b"REDIS0000", "version 0 of Redis"),
        (b"REDIS0013", "version 13 of Redis"),
        (b"REDIS0080", "version 80 of Redis"),
        (b"VALKEY011", "version 11 of Valkey"),
        (b"VALKEY081", "version 81 of Valkey"),
        (b"REDIS00x1", "no RDB file"),
        (b"*3\r\n$3\r\nS", "no RDB file: it begins with \"*3\\r\\n$3\\r\\nS\""),
    ];
    for (version, text) in refused {
        let error = error_of(version, &[]);
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn type_22_depends_on_the_dialect() {
    let redis = [22, 1, b'k', 1, 0x7f, 0xff, 1, b'f', 1, b'v'];
    let valkey = [&[22, 1, b'k', 1, 1, b'f', 1, b'v'][..], &16_383i64.to_le_bytes()].concat();
    for (version, records) in [(b"REDIS0012", &redis[..]), (b"VALKEY080", &valkey)] {
        let ((keys, _), _) = read(&file(version, records)).unwrap();
        assert_eq!(keys[0].2, "hash [\"[102] [118] Some(16383)\"]");
    }
    assert!(error_of(b"VALKEY080", &[24, 1, b'k']).contains("unknown type 24"));
}

#[test]
fn errors_name_offset_and_key() {
    let records = [254, 2, kind::HASH, 3, b'k', 0, b'y', 2, 1, b'f', 1, b'v', 1, b'f', 1, b'w'];
    let error = error_of(b"REDIS0011", &records);
    assert!(error.starts_with("a hash with a field twice (at offset 25, "), "{error}");
    assert!(error.ends_with("of the key \"k\\x00y\" in database 2)"), "{error}");
    let error = error_of(b"REDIS0011", &[opcode::FUNCTION_PRE_GA]);
    assert!(error.contains("release candidates"), "{error}");
    let error = error_of(b"REDIS0011", &[opcode::EXPIRY_S, 1, 0, 0, 0, 254, 1]);
    assert!(error.contains("no key after its expiry time, idle time or frequency"), "{error}");
    let error = error_of(b"REDIS0011", &[200]);
    assert!(error.contains("unknown type 200"), "{error}");
    let duplicate = FileReader::open(&small_file()[..], limits(), false).unwrap().duplicate(b"k");
    assert!(duplicate.to_string().contains("in this database already"), "{duplicate}");
}

#[test]
fn modules_are_refused_by_name_or_skipped() {
    let value = [kind::MODULE_2, 1, b'm', 0x81, 1, 2, 3, 4, 5, 6, 7, 8, 1, 5, 0];
    let bytes = file(b"REDIS0009", &value);
    let mut reader = FileReader::open(&bytes[..], limits(), false).unwrap();
    let error = reader.next(|_| ()).unwrap_err();
    assert!(matches!(error.cause, Cause::Module(_)), "{error}");
    assert!(error.to_string().contains("module type AQIDBAUGB"), "{error}");
    let mut reader = FileReader::open(&bytes[..], limits(), true).unwrap();
    while reader.next(|_| ()).unwrap().is_some() {}
    assert_eq!(reader.skipped(), Skipped { module_keys: 1, ..Skipped::default() });
    // How long a value of the old kind is cannot be seen.
    let old = file(b"REDIS0008", &[kind::MODULE_PRE_GA, 1, b'm', 1, 1, 5, 0]);
    let mut reader = FileReader::open(&old[..], limits(), true).unwrap();
    assert!(reader.next(|_| ()).is_err());
}

#[test]
fn empty_collections_are_skipped() {
    let empty_listpack = [7, 7, 0, 0, 0, 0, 0, 0xff];
    let empty_ziplist = [11, 11, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0xff];
    let time = [0; 8];
    let mut records = Vec::new();
    for kind in [kind::LIST, kind::SET, kind::ZSET, kind::ZSET_2, kind::HASH, kind::LIST_QUICKLIST]
    {
        records.extend([kind, 1, b'k', 0]);
    }
    for kind in [kind::LIST_ZIPLIST, kind::ZSET_ZIPLIST, kind::HASH_ZIPLIST] {
        records.extend([kind, 1, b'k']);
        records.extend(empty_ziplist);
    }
    for kind in [kind::HASH_LISTPACK, kind::ZSET_LISTPACK, kind::SET_LISTPACK] {
        records.extend([kind, 1, b'k']);
        records.extend(empty_listpack);
    }
    records.extend([kind::LIST_QUICKLIST_2, 1, b'k', 1, 2]);
    records.extend(empty_listpack);
    records.extend([kind::HASH_METADATA, 1, b'k']);
    records.extend([&time[..], &[0]].concat());
    records.extend([kind::HASH_LISTPACK_EX, 1, b'k']);
    records.extend([&time[..], &empty_listpack].concat());
    records.extend([kind::STRING, 1, b'k', 1, b'v']);
    let bytes = file(b"REDIS0012", &records);
    let mut reader = FileReader::open(&bytes[..], limits(), false).unwrap();
    let mut keys = 0;
    while let Some(is_key) = reader.next(|record| matches!(record, Record::Key(_))).unwrap() {
        keys += usize::from(is_key);
    }
    assert_eq!((keys, reader.skipped().empty_keys), (1, 15));
}

#[test]
fn a_file_is_read_through_a_window() {
    let disk = SimDisk::new();
    let path = Path::new("dump.rdb");
    let file = disk.create(path).unwrap();
    let mut bytes = Vec::new();
    header(Target::V11, &mut bytes);
    let noise: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    for len in [10, 1_000, 100_000, 5, 50_000, 3] {
        let value = NewValue::Loaded(noise[..len].to_vec());
        let (key, target) = (len.to_string(), Target::V11);
        key_record(key.as_bytes(), view(&value), None, Access::None, target, false, &mut bytes)
            .unwrap();
    }
    footer(None, &mut bytes);
    file.write_at(&bytes, 0).unwrap();
    let (contents, end) = read_with(&*file, 64).unwrap();
    assert_eq!(contents.0.len(), 6);
    assert_eq!(end, bytes.len() as u64);
    assert_eq!(contents, read_with(&bytes[..], 1 << 20).unwrap().0);
}
