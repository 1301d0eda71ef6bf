//! What a rewrite of the log costs while commands go on, and how long a start takes, ours beside a real Redis's.
//!
//! `cargo bench --bench snapshot -- [part of a measurement's name …]`. `MAINSTAY_BENCH_KEYS`, `_ROUNDS` and `_RATE` change
//! 2 million keys, 3 rounds and 60,000 writes a second; `MAINSTAY_TEST_REDIS` names the Redis.
//!
//! Rewrites: a client writes at the given rate, another one asks for a key every millisecond. `memory` is what is
//! anonymous (`Pss` less `Pss_File`, children included) at its highest during the rewrite, above what it was before;
//! `worst` the longest that the asking client waited. Then 50 clients write as fast as they can: `throughput` is what they
//! manage during a rewrite, of what they managed before.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::*;

const VALUE_BYTES: usize = 64;
const FILL_BATCH: u64 = 20_000;
/// How long things are measured before a rewrite.
const BEFORE: Duration = Duration::from_secs(4);
const SAMPLE: Duration = Duration::from_millis(200);
const REWRITE_MAX: Duration = Duration::from_secs(120);

fn main() -> Result<(), AnyError> {
    let keys = number("MAINSTAY_BENCH_KEYS", 2_000_000) as u64;
    let rounds = number("MAINSTAY_BENCH_ROUNDS", 3);
    let rate = number("MAINSTAY_BENCH_RATE", 60_000) as u64;
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part));
    let dir = WorkDir::new("snapshot")?;
    let redis = redis();
    if let Some((_, version)) = &redis {
        println!("beside {version}");
    }
    println!("{keys} keys of 16 bytes with values of {VALUE_BYTES}, {rounds} rounds\n");
    for mode in ["everysec", "always"] {
        if is_wanted(&format!("rewrite {mode}")) {
            rewrites(&dir.0, mode, keys, rate, rounds, redis.as_ref().map(|(path, _)| &**path))?;
        }
    }
    if is_wanted("restart") {
        restarts(&dir.0, keys, rounds, redis.as_ref().map(|(path, _)| &**path))?;
    }
    Ok(())
}

fn key(number: u64) -> String {
    format!("key:{number:012}")
}

/// Every key once.
fn fill(server: &Server, keys: u64) -> Result<(), AnyError> {
    let mut client = server.client()?;
    let value = "v".repeat(VALUE_BYTES);
    for start in (0..keys).step_by(FILL_BATCH as usize) {
        let mut batch = Batch::default();
        for number in start..keys.min(start + FILL_BATCH) {
            batch.push(&["SET", &key(mixed(number) % 1_000_000_000_000), &value]);
        }
        client.run(batch)?;
    }
    Ok(())
}

/// What one rewrite cost.
#[derive(Clone, Copy, Default)]
struct Cost {
    memory: f64,
    worst_ms: f64,
    took_s: f64,
    slice_us: f64,
    preimage_us: f64,
    throughput: f64,
}

/// A writer at a fixed rate, and a client that asks every millisecond.
struct Load {
    stop: Arc<AtomicBool>,
    worst_us: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(port: u16, keys: u64, rate: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (worst_us, written) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let writer = {
            let (stop, written) = (stop.clone(), written.clone());
            std::thread::spawn(move || {
                let _ = write_at(port, keys, rate, &stop, &written);
            })
        };
        let prober = {
            let (stop, worst_us) = (stop.clone(), worst_us.clone());
            std::thread::spawn(move || {
                let _ = probe(port, &stop, &worst_us);
            })
        };
        Self { stop, worst_us, written, threads: vec![writer, prober] }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn write_at(
    port: u16,
    keys: u64,
    rate: u64,
    stop: &AtomicBool,
    written: &AtomicU64,
) -> Result<(), AnyError> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    let mut replies = socket.try_clone()?;
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while replies.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    let value = "w".repeat(VALUE_BYTES);
    let mut random = Random(7);
    let (started, mut sent) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        let due = (started.elapsed().as_micros() as u64 * rate) / 1_000_000;
        let mut batch = Batch::default();
        while sent < due && batch.bytes.len() < 1 << 16 {
            let number = random.below(keys);
            batch.push(&["SET", &key(mixed(number) % 1_000_000_000_000), &value]);
            sent += 1;
        }
        socket.write_all(&batch.bytes)?;
        written.store(sent, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1));
    }
    socket.shutdown(std::net::Shutdown::Both)?;
    let _ = reader.join();
    Ok(())
}

fn probe(port: u16, stop: &AtomicBool, worst_us: &AtomicU64) -> Result<(), AnyError> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_nodelay(true)?;
    let mut buffer = [0; 512];
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        socket.write_all(b"GET key:none\r\n")?;
        if socket.read(&mut buffer)? == 0 {
            return Ok(());
        }
        worst_us.fetch_max(asked.elapsed().as_micros() as u64, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Begins a rewrite, and calls `sample` until it has ended. Gives how long it took.
fn rewrite(
    server: &Server,
    mut sample: impl FnMut() -> Result<(), AnyError>,
) -> Result<f64, AnyError> {
    let mut client = server.client()?;
    let mut batch = Batch::default();
    batch.push(&["BGREWRITEAOF"]);
    let reply = client.run(batch)?;
    if reply.starts_with(b"-") {
        return Err(String::from_utf8_lossy(&reply).into());
    }
    let started = Instant::now();
    loop {
        std::thread::sleep(SAMPLE);
        sample()?;
        if client.info("persistence", "aof_rewrite_in_progress")? == 0.0 {
            let status = client.text(&["INFO", "persistence"])?;
            if !status.contains("aof_last_bgrewrite_status:ok") {
                return Err("the rewrite failed".into());
            }
            return Ok(started.elapsed().as_secs_f64());
        }
        if started.elapsed() > REWRITE_MAX {
            return Err("the rewrite does not end".into());
        }
    }
}

fn measure(server: &Server, keys: u64, rate: u64) -> Result<Cost, AnyError> {
    let mut cost = Cost::default();
    let load = Load::start(server.port, keys, rate);
    std::thread::sleep(BEFORE);
    let before = server.private_pss_bytes()?;
    let mut highest = before;
    load.worst_us.store(0, Ordering::Relaxed);
    let (written, begun) = (load.written.load(Ordering::Relaxed), Instant::now());
    cost.took_s = rewrite(server, || {
        highest = highest.max(server.private_pss_bytes()?);
        Ok(())
    })?;
    cost.worst_ms = load.worst_us.load(Ordering::Relaxed) as f64 / 1000.0;
    let reached = (load.written.load(Ordering::Relaxed) - written) as f64;
    if reached / begun.elapsed().as_secs_f64() < rate as f64 * 0.9 {
        println!("(the writer did not reach its rate)");
    }
    load.end();
    cost.memory = highest / before - 1.0;
    let mut client = server.client()?;
    cost.slice_us = client.info("persistence", "snapshot_slice_us_max").unwrap_or(0.0);
    cost.preimage_us = client.info("persistence", "snapshot_preimage_us_max").unwrap_or(0.0);

    let _clients = Unthrottled::start(server.port, keys)?;
    std::thread::sleep(Duration::from_secs(1));
    let commands = |client: &mut Client| client.info("stats", "total_commands_processed");
    let (start, begun) = (commands(&mut client)?, Instant::now());
    std::thread::sleep(BEFORE);
    let usual = (commands(&mut client)? - start) / begun.elapsed().as_secs_f64();
    let (start, begun) = (commands(&mut client)?, Instant::now());
    rewrite(server, || Ok(()))?;
    let during = (commands(&mut client)? - start) / begun.elapsed().as_secs_f64();
    cost.throughput = during / usual;
    Ok(cost)
}

/// Clients that write as fast as they can.
struct Unthrottled(Child);

impl Unthrottled {
    fn start(port: u16, keys: u64) -> Result<Self, AnyError> {
        let child = Command::new("redis-benchmark")
            .args(["-p", &port.to_string(), "-r", &keys.to_string(), "-d", "64"])
            .args(["-t", "set", "-c", "50", "-l", "-q"])
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Unthrottled {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rewrites(
    dir: &Path,
    mode: &str,
    keys: u64,
    rate: u64,
    rounds: usize,
    redis: Option<&Path>,
) -> Result<(), AnyError> {
    let common =
        ["--appendonly", "yes", "--appendfsync", mode, "--auto-aof-rewrite-percentage", "0"];
    let more = [&common[..], &["--save", ""]].concat();
    println!("rewrites at {rate} writes a second, {mode}");
    println!("| server | memory | worst ms | took s | slice µs | pre-image µs | throughput |");
    println!("|---|---|---|---|---|---|---|");
    let mut costs: [Vec<Cost>; 2] = Default::default();
    for _ in 0..rounds {
        let ours_path = ours();
        let servers = [("mainstay", Some(&*ours_path)), ("redis", redis)];
        for (index, (name, path)) in servers.into_iter().enumerate() {
            let Some(path) = path else { continue };
            let server = Server::start(name, path, dir, &more)?;
            fill(&server, keys)?;
            let cost = measure(&server, keys, rate)?;
            println!(
                "| {name} | {:+.1} % | {:.1} | {:.1} | {:.0} | {:.0} | {:.2} |",
                cost.memory * 100.0,
                cost.worst_ms,
                cost.took_s,
                cost.slice_us,
                cost.preimage_us,
                cost.throughput
            );
            costs[index].push(cost);
        }
    }
    let [ours, theirs] = costs;
    let middle =
        |costs: &[Cost], of: fn(&Cost) -> f64| median(&costs.iter().map(of).collect::<Vec<_>>());
    println!(
        "\nmedians: memory {:+.1} %, throughput {:.2}",
        middle(&ours, |cost| cost.memory) * 100.0,
        middle(&ours, |cost| cost.throughput)
    );
    if !theirs.is_empty() {
        let ratios: Vec<f64> = ours
            .iter()
            .zip(&theirs)
            .map(|(ours, theirs)| ours.worst_ms / theirs.worst_ms)
            .collect();
        println!("worst latency, ours of Redis's: {:.2}\n", median(&ratios));
    }
    Ok(())
}

/// Starts a server on what it left behind and gives the seconds until it has loaded it.
fn start_s(
    name: &'static str,
    path: &Path,
    dir: &Path,
    options: &[&str],
    keys: f64,
) -> Result<f64, AnyError> {
    let begun = Instant::now();
    let server = Server::resume(name, path, dir, options)?;
    let mut client = server.client()?;
    loop {
        let mut batch = Batch::default();
        batch.push(&["DBSIZE"]);
        let reply = client.run(batch)?;
        if !reply.starts_with(b"-") {
            let took = begun.elapsed().as_secs_f64();
            let text = String::from_utf8_lossy(&reply);
            let found: f64 = text.trim_start_matches(':').lines().next().unwrap_or("").parse()?;
            if found != keys {
                return Err(format!("{name} has {found} keys instead of {keys}").into());
            }
            server.shut_down()?;
            return Ok(took);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn restarts(dir: &Path, keys: u64, rounds: usize, redis: Option<&Path>) -> Result<(), AnyError> {
    let options = [
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
        "--auto-aof-rewrite-percentage",
        "0",
        "--save",
        "",
    ];
    println!("| start from | ours, s | Redis, s | ratio |\n|---|---|---|---|");
    let ours_path = ours();
    for from_base in [true, false] {
        let mut counts = [0.0; 2];
        let servers = [("mainstay", Some(&*ours_path)), ("redis", redis)];
        for (index, (name, path)) in servers.into_iter().enumerate() {
            let Some(path) = path else { continue };
            let server = Server::start(name, path, dir, &options)?;
            fill(&server, keys)?;
            if from_base {
                rewrite(&server, || Ok(()))?;
            }
            let mut client = server.client()?;
            let keyspace = client.text(&["INFO", "keyspace"])?;
            let count = keyspace.split("keys=").nth(1).and_then(|rest| rest.split(',').next());
            counts[index] = count.ok_or("no keys")?.parse()?;
            server.shut_down()?;
        }
        let mut times: [Vec<f64>; 2] = Default::default();
        for _ in 0..rounds {
            for (index, (name, path)) in servers.into_iter().enumerate() {
                let Some(path) = path else { continue };
                times[index].push(start_s(name, path, dir, &options, counts[index])?);
            }
        }
        let what = if from_base { "a base" } else { "a log of as many commands" };
        let theirs = if times[1].is_empty() { f64::NAN } else { median(&times[1]) };
        let ratios: Vec<f64> = times[0].iter().zip(&times[1]).map(|(a, b)| a / b).collect();
        let ratio = if ratios.is_empty() { f64::NAN } else { median(&ratios) };
        println!("| {what} | {:.2} | {theirs:.2} | {ratio:.2} |", median(&times[0]));
    }
    Ok(())
}
