//! No verb changes what it reads.

#[path = "support/data_set.rs"]
mod data_set;

use data_set::{DataSet, files_below, run_tool, tool_command};
use mainstay::log::Retention;
use std::fs;
use std::path::Path;

/// Every verb, with every source that it takes; `IN` is replaced by the source, `OUT` by a new path.
const VERBS: [&str; 20] = [
    "inspect IN",
    "inspect IN --keys",
    "inspect IN --html OUT",
    "verify IN",
    "repair IN --dry-run",
    "repair IN --out OUT",
    "repair IN --prefix --out OUT",
    "replay IN --print",
    "replay IN --until-lsn 4000 --out OUT",
    "replay IN --until-time 2030-01-01 --shift-expiry --out OUT",
    "import IN --into OUT",
    "export IN --to OUT --format rdb",
    "export IN --to OUT --format mainstay",
    "export IN --to OUT --format aof-dir",
    "export IN --to OUT --format aof",
    "export IN --to OUT --format resp",
    "export IN --to OUT --format json",
    "export IN --to OUT --format csv",
    "diff IN IN",
    "rewrite nowhere",
];

#[test]
fn no_verb_changes_what_it_reads() {
    let home = tempfile::tempdir().unwrap();
    let source = home.path().join("source");
    let killed = source.join("killed/mainstay");
    let closed = source.join("closed/mainstay");
    for (dir, seed) in [(&killed, 1), (&closed, 2)] {
        fs::create_dir_all(dir).unwrap();
        let mut set = DataSet::create(dir, Retention { time_s: 1_000_000, bytes: 0 }, seed);
        (0..4).for_each(|_| set.batch(10));
        set.compact();
        set.compress();
        (0..4).for_each(|_| set.batch(10));
        drop(if dir == &killed { set.kill() } else { set.close() });
    }
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let from = text(&closed);
    for (format, name) in [("rdb", "dump.rdb"), ("aof-dir", "redis"), ("aof", "appendonly.aof")] {
        let to = text(&source.join(name));
        run_tool(0, &["export", &from, "--to", &to, "--format", format]);
    }
    let damaged = source.join("damaged/mainstay");
    fs::create_dir_all(&damaged).unwrap();
    for (path, mut bytes) in files_below(&closed) {
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 1;
        }
        fs::write(damaged.join(path.file_name().unwrap()), bytes).unwrap();
    }
    let mut sources: Vec<_> =
        ["killed", "closed", "damaged", "dump.rdb", "redis", "appendonly.aof"]
            .iter()
            .map(|name| source.join(name))
            .collect();
    sources.extend(files_below(&closed).into_keys());

    let before = files_below(&source);
    let mut ended_well = 0;
    for path in &sources {
        for (index, verb) in VERBS.iter().enumerate() {
            let out = text(&home.path().join(format!("out-{index}")));
            let words: Vec<String> = verb
                .split(' ')
                .map(|word| match word {
                    "IN" => text(path),
                    "OUT" => out.clone(),
                    word => word.to_owned(),
                })
                .collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let ended = tool_command(&words).output().unwrap();
            let code = ended.status.code();
            let errors = String::from_utf8_lossy(&ended.stderr);
            assert!(code.is_some_and(|code| code <= 2), "{words:?}: {code:?} {errors}");
            assert!(!errors.contains("panicked"), "{words:?}: {errors}");
            ended_well += u64::from(code == Some(0));
            let path = Path::new(&out);
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else if path.exists() {
                fs::remove_file(path).unwrap();
            }
        }
        assert!(files_below(&source) == before, "{}", path.display());
    }
    assert!(ended_well > 60, "only {ended_well} did anything");
}
