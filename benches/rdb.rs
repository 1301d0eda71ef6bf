//! How many keys per second go through an RDB file: written to memory, and read from there.
//!
//! `cargo bench --bench rdb -- [keys]`, by default two million.

use std::error::Error;
use std::time::Instant;

use mainstay::data::hash::FieldExpiry;
use mainstay::data::{Hash, KeyHasher, Limits, Value};
use mainstay::keyspace::EntryBox;
use mainstay::rdb::Target;
use mainstay::rdb::checksum::Checksum;
use mainstay::rdb::file::{self, Access, FileReader, Record};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ROUNDS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let keys = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(2_000_000u32);
    let limits = Limits::new(KeyHasher::new((1, 2)));
    let mut hash = Hash::new();
    for field in 0..4 {
        let (name, value) = (format!("field:{field}"), format!("value:{field}"));
        hash.set(name.as_bytes(), value.as_bytes(), FieldExpiry::Clear, &limits);
    }
    let text = Value::Text { bytes: b"a value of 32 bytes, to be exact", edited: false };
    println!("{keys} keys, millions a second, medians of {ROUNDS} rounds\n");
    println!("| values | bytes | written | read | read, entries made |\n|---|---|---|---|---|");
    let values = [
        ("integers", Value::Integer(1_234_567)),
        ("strings of 32 bytes", text),
        ("strings of 32 bytes, expiring", text),
        ("hashes of 4 fields", Value::Hash(&hash)),
    ];
    for (name, value) in values {
        let expiry_ms = name.contains("expiring").then_some(4_102_444_800_000);
        let (mut written, mut read, mut made) = (Vec::new(), Vec::new(), Vec::new());
        let mut bytes = Vec::new();
        for _ in 0..ROUNDS {
            written.push(rate(keys, || {
                bytes.clear();
                write(keys, value, expiry_ms, &mut bytes)
            })?);
            read.push(rate(keys, || read_all(&bytes, &limits, |_| ()))?);
            made.push(rate(keys, || {
                read_all(&bytes, &limits, |record| {
                    if let Record::Key(record) = record {
                        drop(EntryBox::new(&record.key, record.value, record.expiry_ms, 0));
                    }
                })
            })?);
        }
        let [written, read, made] = [written, read, made].map(median);
        println!("| {name} | {} | {written:.2} | {read:.2} | {made:.2} |", bytes.len());
    }
    Ok(())
}

fn write(
    keys: u32,
    value: Value<'_>,
    expiry_ms: Option<i64>,
    out: &mut Vec<u8>,
) -> Result<(), Box<dyn Error>> {
    let (target, mut key) = (Target::V11, Vec::new());
    file::header(target, out);
    for number in 0..keys {
        use std::io::Write as _;
        key.clear();
        write!(key, "key:{number:012}")?;
        file::key_record(&key, value, expiry_ms, Access::None, target, true, out)?;
    }
    let mut checksum = Checksum::new();
    checksum.update(out);
    file::footer(Some(checksum), out);
    Ok(())
}

fn read_all(
    bytes: &[u8],
    limits: &Limits,
    mut visit: impl FnMut(Record<'_>),
) -> Result<(), Box<dyn Error>> {
    let mut reader = FileReader::open(bytes, limits.clone(), false)?;
    while reader.next(&mut visit)?.is_some() {}
    Ok(())
}

/// Millions of keys a second.
fn rate(
    keys: u32,
    work: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    work()?;
    Ok(f64::from(keys) / start.elapsed().as_secs_f64() / 1e6)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
