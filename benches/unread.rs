//! A client that sends millions of requests before it reads a reply, beside a real Redis: the time
//! must grow with their number, and other clients must not wait for them.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{AnyError, Server, WorkDir, median, number, ours, redis};

/// Requests, in millions.
const MILLIONS: [usize; 3] = [1, 2, 4];
const REQUEST: &[u8] = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
const VALUE_BYTES: usize = 100;

/// Seconds until all replies are there, and the longest time that another client's `PING` took
/// meanwhile.
fn measure(server: &Server, requests: usize) -> Result<(f64, Duration), AnyError> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| -> Result<Duration, std::io::Error> {
            let mut socket = TcpStream::connect(("127.0.0.1", server.port))?;
            socket.set_nodelay(true)?;
            let mut longest = Duration::ZERO;
            while !done.load(Ordering::Relaxed) {
                let sent = Instant::now();
                socket.write_all(b"PING\r\n")?;
                socket.read_exact(&mut [0; 7])?;
                longest = longest.max(sent.elapsed());
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(longest)
        });
        let all = || -> Result<f64, AnyError> {
            let mut socket = TcpStream::connect(("127.0.0.1", server.port))?;
            let some = REQUEST.repeat(10_000);
            let reply_bytes = format!("${VALUE_BYTES}\r\n").len() + VALUE_BYTES + 2;
            let started = Instant::now();
            (0..requests / 10_000).try_for_each(|_| socket.write_all(&some))?;
            let (mut buffer, mut left) = (vec![0; 1 << 20], requests * reply_bytes);
            while left > 0 {
                match socket.read(&mut buffer)? {
                    0 => return Err("the server closed the connection".into()),
                    count => left -= count,
                }
            }
            Ok(started.elapsed().as_secs_f64())
        };
        let seconds = all();
        done.store(true, Ordering::Relaxed);
        let longest = other.join().map_err(|_| "the other client panicked")??;
        Ok((seconds?, longest))
    })
}

fn main() -> Result<(), AnyError> {
    let rounds = number("MAINSTAY_BENCH_ROUNDS", 3);
    let dir = WorkDir::new("unread")?;
    let mut servers = vec![Server::in_memory("ours", &ours(), &dir.0)?];
    match redis() {
        Some((path, version)) => {
            println!("beside {version}");
            servers.push(Server::in_memory("Redis", &path, &dir.0)?);
        }
        None => println!("no Redis to compare with"),
    }
    for server in &servers {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port))?;
        write!(socket, "SET k {}\r\n", "x".repeat(VALUE_BYTES))?;
        socket.read_exact(&mut [0; 5])?;
    }
    println!("{rounds} rounds, GETs of {VALUE_BYTES} bytes, all sent before a reply is read");
    println!("| million requests | server | seconds | longest PING of another client, ms |");
    println!("|---|---|---|---|");
    for millions in MILLIONS {
        let mut seconds = vec![Vec::new(); servers.len()];
        let mut longest = vec![Duration::ZERO; servers.len()];
        for _ in 0..rounds {
            for (index, server) in servers.iter().enumerate() {
                let (took, ping) = measure(server, millions * 1_000_000)?;
                seconds[index].push(took);
                longest[index] = longest[index].max(ping);
            }
        }
        for (index, server) in servers.iter().enumerate() {
            let (median, ping) = (median(&seconds[index]), longest[index].as_millis());
            println!("| {millions} | {} | {median:.2} | {ping} |", server.name);
        }
        if let [ours, theirs] = &seconds[..] {
            println!("ratio at {millions} million: {:.2}", median(ours) / median(theirs));
        }
    }
    Ok(())
}
