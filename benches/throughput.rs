//! Writes per second under `always` and `everysec`, ours and a real Redis's, in one interleaved run.
//!
//! `cargo bench --bench throughput` needs `redis-benchmark`, and compares with the `redis-server` on
//! the path or the one that `MAINSTAY_BENCH_REDIS` names. Machines drift, so every round measures every
//! server, and what counts are the medians of the rounds' ratios. `MAINSTAY_BENCH_ROUNDS`,
//! `MAINSTAY_BENCH_REQUESTS` and `MAINSTAY_BENCH_PIPELINE` change 7 rounds of 100,000 requests without
//! pipelining. `MAINSTAY_BENCH_DIR` is where the data goes, by default below the build directory.

use std::error::Error;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type AnyError = Box<dyn Error>;

const CLIENTS: &str = "50";
/// How many syncs the disk's median is taken from, and how much is written before each.
const DISK_SYNCS: usize = 1000;
const DISK_WRITE_BYTES: usize = 3000;

struct Server {
    name: &'static str,
    port: u16,
    process: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() -> Result<(), AnyError> {
    let rounds = number("MAINSTAY_BENCH_ROUNDS", 7);
    let requests = number("MAINSTAY_BENCH_REQUESTS", 100_000);
    let pipeline = number("MAINSTAY_BENCH_PIPELINE", 1);
    let dir = std::env::var_os("MAINSTAY_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from)
        .join("throughput");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    println!("median fdatasync after {DISK_WRITE_BYTES} bytes: {} µs", disk_sync_us(&dir)?);

    let ours = PathBuf::from(env!("CARGO_BIN_EXE_mainstay-server"));
    let redis = std::env::var_os("MAINSTAY_BENCH_REDIS").unwrap_or("redis-server".into());
    let redis = PathBuf::from(redis);
    let has_redis = Command::new(&redis).arg("--version").output().is_ok();
    let mut servers = vec![
        start("mainstay always", &ours, &dir, "always", &[])?,
        start("mainstay everysec", &ours, &dir, "everysec", &[])?,
    ];
    if has_redis {
        let version = Command::new(&redis).arg("--version").output()?.stdout;
        print!("{}", String::from_utf8_lossy(&version));
        let more = ["--appendonly", "yes", "--save", ""];
        servers.push(start("redis always", &redis, &dir, "always", &more)?);
        servers.push(start("redis everysec", &redis, &dir, "everysec", &more)?);
    } else {
        println!("no redis-server: only our own modes are compared");
    }

    let mut measured: Vec<Vec<f64>> = vec![Vec::new(); servers.len()];
    for round in 0..rounds {
        for turn in 0..servers.len() {
            // Another one begins each round, so that none always runs on a warmer machine.
            let index = (round + turn) % servers.len();
            measured[index].push(writes_per_s(servers[index].port, requests, pipeline)?);
        }
    }
    println!("\n{requests} SETs, {CLIENTS} clients, pipeline {pipeline}, {rounds} rounds\n");
    println!("| server | median writes/s | all rounds |\n|---|---|---|");
    for (server, values) in servers.iter().zip(&measured) {
        let all: Vec<String> = values.iter().map(|value| format!("{value:.0}")).collect();
        println!("| {} | {:.0} | {} |", server.name, median(values), all.join(" "));
    }
    println!("\n| ratio, median of the rounds | |\n|---|---|");
    let ratio = |name: &str, a: usize, b: usize| {
        let pairs = measured[a].iter().zip(&measured[b]);
        let ratios: Vec<f64> = pairs.map(|(a, b)| a / b).collect();
        println!("| {name} | {:.2} |", median(&ratios));
    };
    ratio("mainstay always / mainstay everysec", 0, 1);
    if has_redis {
        ratio("mainstay always / redis always", 0, 2);
        ratio("mainstay everysec / redis everysec", 1, 3);
        ratio("redis always / redis everysec", 2, 3);
    }
    drop(servers);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn disk_sync_us(dir: &Path) -> Result<f64, AnyError> {
    let path = dir.join("probe");
    let file = std::fs::File::create(&path)?;
    file.write_all_at(&vec![0; DISK_SYNCS * DISK_WRITE_BYTES], 0)?;
    file.sync_all()?;
    let mut took = Vec::new();
    for turn in 0..DISK_SYNCS {
        file.write_all_at(&[7; DISK_WRITE_BYTES], (turn * DISK_WRITE_BYTES) as u64)?;
        let started = Instant::now();
        file.sync_data()?;
        took.push(started.elapsed().as_secs_f64() * 1e6);
    }
    std::fs::remove_file(&path)?;
    Ok(median(&took).round())
}

fn start(
    name: &'static str,
    binary: &Path,
    dir: &Path,
    appendfsync: &str,
    more: &[&str],
) -> Result<Server, AnyError> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let dir = dir.join(name.replace(' ', "-"));
    std::fs::create_dir_all(&dir)?;
    let process = Command::new(binary)
        .arg("--port")
        .arg(port.to_string())
        .arg("--dir")
        .arg(&dir)
        .args(["--appendfsync", appendfsync])
        .args(more)
        .stdout(Stdio::null())
        .spawn()?;
    let server = Server { name, port, process };
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(server);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(format!("{name} did not start").into())
}

fn writes_per_s(port: u16, requests: usize, pipeline: usize) -> Result<f64, AnyError> {
    let output = Command::new("redis-benchmark")
        .args(["-t", "set", "-r", "100000", "--csv", "-c", CLIENTS])
        .args(["-p", &port.to_string()])
        .args(["-n", &requests.to_string()])
        .args(["-P", &pipeline.to_string()])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().last().ok_or("redis-benchmark printed nothing")?;
    let value = line.split(',').nth(1).ok_or("redis-benchmark printed no number")?;
    Ok(value.trim_matches('"').parse()?)
}
