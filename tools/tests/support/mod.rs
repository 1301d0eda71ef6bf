//! What the tests of the real binary share: the tool, servers of ours and of Redis, directories in between.

#![allow(dead_code, unused_imports)] // No test file uses all of it.

#[path = "../../../tests/support/client.rs"]
mod client;
#[path = "../../../tests/support/contents.rs"]
mod contents;
#[path = "../../../tests/support/redis.rs"]
mod redis;
mod server;
#[path = "../../../tests/support/shared.rs"]
mod shared;
mod timed;

pub use client::{Client, Value, array, bulk, error, int, ok, status, words};
pub use contents::{LIBRARY, fill};
pub use redis::Redis;
pub use server::Server;
pub use shared::{PATIENCE, command_exists, corpus, eventually, free_port, info, noise, skip};
pub use timed::{DATABASES, DataSet, START_MS, machine};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The tool with these arguments, run to its end.
pub fn tool<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay-tool"));
    command.args(arguments).stdin(Stdio::null()).output().expect("started")
}

/// The standard output of the tool, which must end with this code.
pub fn tool_says<A: AsRef<std::ffi::OsStr>>(code: i32, arguments: &[A]) -> String {
    let output = tool(arguments);
    let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{}\n{out}{err}", words.join(" "));
    out
}

/// The standard output of the tool with `--json`, which must end with this code.
pub fn tool_json(code: i32, arguments: &[&str]) -> serde_json::Value {
    let out = tool_says(code, &[arguments, &["--json"]].concat());
    serde_json::from_str(&out).expect("the output is JSON")
}

/// All files below a directory, with their bytes.
pub fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).expect("read"));
        }
    }
    found
}
