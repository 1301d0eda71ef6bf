//! How fast `verify` goes through a sound directory, beside reading its files with all pages cached.
//!
//! `cargo bench -p mainstay-tool --bench verify -- [MiB]`, by default 2,000.

#[path = "../tests/support/timed.rs"]
mod timed;

use mainstay::engine::compact::{BASE_FORMAT, compact};
use mainstay::env::seeded_random;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use timed::{DataSet, START_MS};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ROUNDS: usize = 5;
const MIB: u64 = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mib: u64 = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(2000);
    let dir = tempfile::tempdir_in(".")?;
    write(dir.path(), mib * MIB);
    let bytes = read_all(dir.path())?;
    println!("{} MiB in {} files", bytes / MIB, std::fs::read_dir(dir.path())?.count());
    println!("\n| round | read, GB/s | verify, GB/s | ratio |\n|---|---|---|---|");
    for round in 1..=ROUNDS {
        let rate = |started: Instant| bytes as f64 / 1e9 / started.elapsed().as_secs_f64();
        let started = Instant::now();
        read_all(dir.path())?;
        let read = rate(started);
        let started = Instant::now();
        let tool = Command::new(env!("CARGO_BIN_EXE_mainstay-tool"))
            .arg("verify")
            .arg(dir.path())
            .output()?;
        let verified = rate(started);
        assert!(tool.status.success(), "{}", String::from_utf8_lossy(&tool.stdout));
        println!("| {round} | {read:.2} | {verified:.2} | {:.2} |", verified / read);
    }
    Ok(())
}

/// Values that do not compress, one half of them in a base and the other in segments behind it.
fn write(dir: &Path, bytes: u64) {
    let mut set = DataSet::create(dir, START_MS);
    let mut random = seeded_random(1);
    let pool: Vec<u8> = (0..MIB / 8).flat_map(|_| random().to_le_bytes()).collect();
    let mut written = 0;
    let mut fill = |set: &mut DataSet, end: u64| {
        while written < end {
            for _ in 0..1000 {
                let len = 100 + random() % 1000;
                let at = (random() % (MIB - len)) as usize;
                let (key, value) = (format!("key:{}", random()), &pool[at..at + len as usize]);
                match random() % 10 {
                    0 => set.run(&[b"RPUSH", format!("l:{}", random() % 1000).as_bytes(), value]),
                    1 => set.run(&[
                        b"HSET",
                        format!("h:{}", random() % 1000).as_bytes(),
                        key.as_bytes(),
                        value,
                    ]),
                    _ => set.run(&[b"SET", key.as_bytes(), value]),
                }
                written += len;
            }
            set.log().drain();
            set.log().settle();
            set.log().prepare();
        }
    };
    fill(&mut set, bytes / 2);
    let begun = set.engine.lock().begin_snapshot(BASE_FORMAT).expect("none is running");
    let log = set.log();
    compact(&log, &begun, &mut || {
        set.engine.lock().save_slice(10_000);
        log.settle();
    })
    .expect("compacted");
    fill(&mut set, bytes);
    set.sync();
    set.close();
}

/// Reads all files; gives how many bytes they have.
fn read_all(dir: &Path) -> std::io::Result<u64> {
    let (mut total, mut buffer) = (0, vec![0; MIB as usize]);
    for entry in std::fs::read_dir(dir)? {
        let mut file = File::open(entry?.path())?;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                count => total += count as u64,
            }
        }
    }
    Ok(total)
}
