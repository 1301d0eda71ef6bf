//! Bytes of memory an element, ours and a real Redis's, against the budget.
//!
//! `cargo bench --bench memory -- [elements …] [part of a row's name …]`, by default 1.0 and 1.9
//! million, which lie just after and just before a table doubles. Each row fills fresh servers over the
//! wire. What counts is `used_memory` beyond that of an empty server, which must also be what the
//! process really takes: the growth of its anonymous resident memory.

mod support;

use std::path::Path;
use std::time::Duration;
use support::{AnyError, Batch, Server, WorkDir, mixed};

const BATCH_COMMANDS: u64 = 2000;
/// Within some time jemalloc, both servers' allocator, gives pages back that were freed.
const SETTLE: Duration = Duration::from_secs(5);

struct Row {
    name: &'static str,
    /// Bytes an element at most.
    budget: Option<f64>,
    /// Adds the command that makes the element with this number.
    element: fn(&mut Batch, u64),
}

const ROWS: &[Row] = &[
    Row {
        name: "16-byte key, 3-byte string",
        budget: Some(45.0),
        element: |batch, n| batch.push(&["SET", &format!("key:{n:012}"), "abc"]),
    },
    Row {
        name: "the same with an expiry",
        budget: Some(62.0),
        element: |batch, n| batch.push(&["SET", &format!("key:{n:012}"), "abc", "EX", "86400"]),
    },
    Row {
        name: "16-byte key, 64-byte string",
        budget: Some(110.0),
        element: |batch, n| batch.push(&["SET", &format!("key:{n:012}"), &format!("{n:064}")]),
    },
    Row {
        name: "15-byte members in one sorted set, ascending scores",
        budget: Some(56.0),
        element: |batch, n| batch.push(&["ZADD", "z", &n.to_string(), &format!("member:{n:08}")]),
    },
    Row {
        name: "15-byte members in one sorted set, random scores",
        budget: Some(56.0),
        element: |batch, n| {
            let score = mixed(n) as f64 / 1e10;
            batch.push(&["ZADD", "z", &score.to_string(), &format!("member:{n:08}")]);
        },
    },
    Row {
        name: "14-byte fields with 11-byte values in one hash",
        budget: Some(48.0),
        element: |batch, n| {
            batch.push(&[
                "HSET",
                "h",
                &format!("field:{n:08}"),
                &format!("value:{:05}", n % 99_999),
            ]);
        },
    },
    Row {
        name: "13-byte keys of 4-field hashes",
        budget: Some(125.0),
        element: |batch, n| {
            let key = format!("user:{n:08}");
            let name = format!("name{:06}", n % 1_000_000);
            let age = (n % 90).to_string();
            batch
                .push(&["HSET", &key, "name", &name, "age", &age, "city", "Paris", "plan", "free"]);
        },
    },
    Row {
        name: "16-byte members in one set",
        budget: None,
        element: |batch, n| batch.push(&["SADD", "s", &format!("member:{n:09}")]),
    },
    Row {
        name: "16-byte elements in one list",
        budget: None,
        element: |batch, n| batch.push(&["RPUSH", "l", &format!("element:{n:08}")]),
    },
    Row {
        name: "entries of 2 fields in one stream",
        budget: None,
        element: |batch, n| {
            let id = format!("{}-{}", 1_700_000_000_000 + n / 4, n % 4 + 1);
            let user = format!("{:08}", mixed(n) % 100_000_000);
            batch.push(&["XADD", "x", &id, "user", &user, "action", "click"]);
        },
    },
];

struct Measured {
    used_bytes: f64,
    rss_bytes: f64,
}

fn measure(
    name: &'static str,
    binary: &Path,
    dir: &Path,
    row: &Row,
    elements: u64,
) -> Result<Measured, AnyError> {
    let server = Server::in_memory(name, binary, dir)?;
    let snapshot = || -> Result<Measured, AnyError> {
        std::thread::sleep(SETTLE);
        let used_bytes = server.client()?.info("memory", "used_memory")?;
        Ok(Measured { used_bytes, rss_bytes: server.anonymous_rss_bytes()? })
    };
    let fill = |from: u64, to: u64| -> Result<(), AnyError> {
        let mut client = server.client()?;
        let mut number = from;
        while number < to {
            let mut batch = Batch::default();
            let end = to.min(number + BATCH_COMMANDS);
            (number..end).for_each(|number| (row.element)(&mut batch, number));
            let first = client.run(batch)?;
            if first.first() == Some(&b'-') {
                return Err(String::from_utf8_lossy(&first).into());
            }
            number = end;
        }
        Ok(())
    };
    // What the first connection and the first commands allocate for good is nobody's element.
    fill(0, BATCH_COMMANDS)?;
    server.client()?.run({
        let mut batch = Batch::default();
        batch.push(&["FLUSHALL"]);
        batch
    })?;
    let before = snapshot()?;
    fill(0, elements)?;
    let after = snapshot()?;
    Ok(Measured {
        used_bytes: after.used_bytes - before.used_bytes,
        rss_bytes: after.rss_bytes - before.rss_bytes,
    })
}

fn main() -> Result<(), AnyError> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let counts: Vec<u64> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    let filters: Vec<&String> = args.iter().filter(|arg| arg.parse::<u64>().is_err()).collect();
    let counts = if counts.is_empty() { vec![1_000_000, 1_900_000] } else { counts };
    let dir = WorkDir::new("memory")?;
    let redis = support::redis();
    match &redis {
        Some((_, version)) => println!("beside {version}"),
        None => println!("no redis-server: only ours is measured"),
    }
    println!("\n`used_memory` an element, and what part it is of the growth of anonymous RSS\n");
    println!("| elements | a million of … | budget | ours | of RSS | Redis | of RSS | |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut failed = 0;
    for elements in counts {
        for row in ROWS {
            if !filters.is_empty() && !filters.iter().any(|filter| row.name.contains(*filter)) {
                continue;
            }
            let show = |measured: &Measured| {
                let each = measured.used_bytes / elements as f64;
                format!("{each:.1} B | {:.2}", measured.used_bytes / measured.rss_bytes)
            };
            let ours = measure("mainstay", &support::ours(), &dir.0, row, elements)?;
            let theirs = match &redis {
                Some((path, _)) => show(&measure("redis", path, &dir.0, row, elements)?),
                None => "– | –".to_owned(),
            };
            let mut remarks = Vec::new();
            if row.budget.is_some_and(|budget| ours.used_bytes / elements as f64 > budget) {
                remarks.push("**over budget**");
            }
            if (ours.used_bytes / ours.rss_bytes - 1.0).abs() > 0.1 {
                remarks.push("**not what the process takes**");
            }
            failed += remarks.len();
            let budget = row.budget.map_or("–".to_owned(), |budget| format!("{budget} B"));
            let millions = elements as f64 / 1e6;
            println!(
                "| {millions:.1} M | {} | {budget} | {} | {theirs} | {} |",
                row.name,
                show(&ours),
                remarks.join(", ")
            );
        }
    }
    println!(
        "\n{}",
        match failed {
            0 => "everything is within budget".to_owned(),
            count => format!("{count} figures are out of bounds"),
        }
    );
    Ok(())
}
