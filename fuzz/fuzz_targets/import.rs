//! Any bytes as what a Redis has left in its directory: an append-only file, one in parts, or an RDB file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay::commands::Settings;
use mainstay::disk::SimDisk;
use mainstay::engine::import::{Names, Options, Source, find_aof, find_rdb};
use mainstay::engine::{Engine, Machine, Progress};
use mainstay::env::{SimClock, seeded_random};
use std::path::Path;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    let Some((&kind, bytes)) = data.split_first() else { return };
    let disk = SimDisk::new();
    let put = |name: &str, bytes: &[u8]| disk.put(&Path::new("d").join(name), bytes);
    match kind % 4 {
        0 => put("a.aof", bytes),
        1 => put("dump.rdb", bytes),
        2 => put("parts/a.aof.manifest", bytes),
        _ => {
            let (first, second) = bytes.split_at(bytes.len() / 2);
            put("parts/a.aof.manifest", b"file 1 seq 1 type b\nfile 2 seq 2 type i\n");
            put("parts/1", first);
            put("parts/2", second);
        }
    }
    let names = Names {
        dir: "d".into(),
        rdb: "dump.rdb".into(),
        aof: "a.aof".into(),
        aof_dir: "parts".into(),
    };
    let before = disk.operations();
    let source = match (find_aof(&disk, &names), find_rdb(&disk, &names)) {
        (Ok(Some(aof)), _) => Source::Aof(aof.parts),
        (_, Ok(Some(rdb))) => Source::Rdb(rdb),
        _ => return,
    };
    let machine = Machine {
        disk: Arc::new(disk.clone()),
        clock: SimClock::new(1_700_000_000_000),
        random: Arc::new(|| seeded_random(1)),
    };
    let settings = Settings { bulk_bytes_max: 1 << 20, ..Settings::default() };
    let options = Options {
        load_truncated: kind & 4 == 0,
        skip_modules: kind & 8 == 0,
        keep_expired: kind & 16 == 0,
    };
    let progress = Progress::default();
    if let Ok((engine, report)) = Engine::import(machine, &source, options, 4, settings, &progress)
    {
        let engine = engine.lock();
        let keys: usize = engine.keyspace().databases().map(|(_, database)| database.len()).sum();
        assert_eq!(report.keys, keys as u64);
        assert_eq!(progress.loaded_bytes(), progress.total_bytes());
    }
    assert_eq!(disk.operations(), before, "an import only reads");
});
