//! Any bytes as an RDB file: refused, or read to its end, and what was read can be written for every version that
//! holds it and read again.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use mainstay::data::digest::digest;
use mainstay::data::{KeyHasher, Limits, NewValue, Value};
use mainstay::rdb::file::{self, Access, FileReader, Record};
use mainstay::rdb::{Reader, Target, decode_value, kind_of};

fn limits() -> Limits {
    Limits {
        // Small, so that values soon become big ones.
        hash_listpack_entries: 4,
        set_intset_entries: 4,
        set_listpack_entries: 4,
        sorted_set_listpack_entries: 4,
        list_listpack_size: 4,
        ..Limits::new(KeyHasher::new((1, 2)))
    }
}

fn view<'a>(value: &'a NewValue<'_>) -> Value<'a> {
    match value {
        NewValue::Integer(number) => Value::Integer(*number),
        NewValue::Text { bytes, edited } => Value::Text { bytes, edited: *edited },
        NewValue::Loaded(bytes) => Value::Text { bytes, edited: false },
        NewValue::Buffer(bytes) => Value::Text { bytes, edited: true },
        NewValue::List(list) => Value::List(list),
        NewValue::Set(set) => Value::Set(set),
        NewValue::SortedSet(set) => Value::SortedSet(set),
        NewValue::Hash(hash) => Value::Hash(hash),
        NewValue::Stream(stream) => Value::Stream(stream),
    }
}

fn check(value: Value<'_>) {
    for target in Target::ALL {
        let mut bytes = Vec::new();
        let record = file::key_record(b"", value, None, Access::None, target, true, &mut bytes);
        let Ok(kind) = kind_of(value, target) else {
            assert!(record.is_err() && bytes.is_empty());
            continue;
        };
        assert!(record.is_ok() && bytes[..2] == [kind, 0]);
        let mut reader = Reader::new(&bytes[2..]);
        let again = decode_value(kind, &mut reader, target.dialect(), &limits());
        let again = again.expect("what was written is read");
        assert_eq!(reader.left(), 0);
        // The oldest version leaves out some of what is known of a stream.
        if target > Target::V9 {
            assert_eq!(digest(view(&again)), digest(value), "version {}", target.version());
        }
    }
}

// The first byte decides about the header, so that inputs need not find it, and whether modules are passed over.
fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&choice, records)) = data.split_first() else { return Corpus::Reject };
    let headers: [&[u8]; 4] = [b"REDIS0012", b"VALKEY080", b"REDIS0003", b""];
    let bytes = [headers[usize::from(choice & 3)], records].concat();
    let Ok(mut reader) = FileReader::open(&bytes[..], limits(), choice & 4 != 0) else {
        return Corpus::Keep;
    };
    let mut offset = reader.offset();
    while let Ok(Some(())) = reader.next(|record| {
        if let Record::Key(record) = record {
            check(view(&record.value));
        }
    }) {
        assert!(offset < reader.offset() && reader.offset() <= bytes.len() as u64);
        offset = reader.offset();
    }
    Corpus::Keep
});
