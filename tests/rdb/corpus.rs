//! Files of other people's servers.

use super::contents::{Contents, Held, assert_same, read};
use super::support::Redis;
use super::{json, server};
use std::path::{Path, PathBuf};

/// Files that no server of today loads.
const REFUSED: [(&str, &str); 2] =
    [("zipmap_big_len", "the count of a zipmap's fields is wrong"), ("corrupt_ziplist", "ziplist")];

/// All files of the corpus, if there is one.
fn files() -> Vec<PathBuf> {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let corpus = std::env::var_os("MAINSTAY_TEST_CORPUS").map_or(usual, PathBuf::from);
    let mut files = Vec::new();
    for dir in ["rdb/rdb-go", "rdb/valkey-assets"] {
        let Ok(entries) = std::fs::read_dir(corpus.join(dir)) else {
            eprintln!("SKIPPED: no corpus in {}", corpus.display());
            return Vec::new();
        };
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.retain(|path| path.extension().is_some_and(|kind| kind == "rdb" || kind == "aof"));
    files.sort();
    assert!(files.len() > 40, "a corpus of {} files", files.len());
    files
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).expect("a name")
}

fn is_refused(path: &Path) -> bool {
    REFUSED.iter().any(|(name, _)| *name == stem(path))
}

#[test]
fn files_hold_what_is_written_beside_them() {
    let mut compared = 0;
    for path in files() {
        let Ok(text) = std::fs::read_to_string(path.with_extension("json")) else { continue };
        if is_refused(&path) {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let (contents, others) = read(&bytes).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        let (mut expected, functions) = json::parse(&text);
        let mut contents = json::as_described(contents);
        fill_in(&contents, &mut expected);
        drop_unknown(&mut contents, &mut expected);
        assert_same(&contents, &expected, &path.display().to_string());
        assert_eq!(others.functions, functions, "{path:?}");
        assert_eq!(others.end, bytes.len() as u64, "{path:?}");
        compared += 1;
    }
    assert!(compared == 0 || compared > 30, "only {compared} files were compared");
}

/// What the description of a stream of the first version leaves out.
fn fill_in(contents: &Contents, expected: &mut Contents) {
    for (key, (held, _)) in expected {
        if let (Held::Stream(stream), Some((Held::Stream(found), _))) = (held, contents.get(key))
            && stream.entries_added == 0
        {
            stream.entries_added = found.entries_added;
        }
    }
}

/// What descriptions say nothing of.
fn drop_unknown(contents: &mut Contents, expected: &mut Contents) {
    for (key, (held, _)) in contents {
        let Some((Held::Stream(expected), _)) = expected.get_mut(key) else { continue };
        let Held::Stream(found) = held else { continue };
        for (name, group) in &mut found.groups {
            let Some(expected) = expected.groups.get(name) else { continue };
            group.entries_read = group.entries_read.and(expected.entries_read);
        }
    }
}

#[test]
fn files_without_a_description_hold_what_redis_loads() {
    let files: Vec<_> = files()
        .into_iter()
        .filter(|path| !path.with_extension("json").exists() && !is_refused(path))
        .collect();
    if files.is_empty() {
        return;
    }
    for program in Redis::programs() {
        let is_new = Redis::start_on(&program, None).version >= (7, 4);
        for path in &files {
            let bytes = std::fs::read(path).unwrap();
            if !is_new && bytes[..9] > b"REDIS0010"[..] {
                eprintln!("SKIPPED: {path:?} is too new for {program}");
                continue;
            }
            let redis = Redis::start_on(&program, Some(path));
            let (contents, others) = read(&bytes).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            let expected = server::contents(&mut redis.client(), redis.version);
            let now_ms = now_ms();
            let lives = |time: &Option<i64>| time.is_none_or(|at| at > now_ms);
            let live = contents.into_iter().filter(|(_, (_, at))| lives(at)).collect();
            assert_same(&live, &expected, &path.display().to_string());
            if stem(path) == "corrupt_empty_keys" {
                assert_eq!(others.empty_keys, 9);
            }
            if path.extension().is_some_and(|kind| kind == "aof") {
                assert!(bytes[others.end as usize..].starts_with(b"*"), "commands follow");
            }
        }
    }
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_millis() as i64
}

#[test]
fn damaged_files_are_refused_with_the_place() {
    for path in files().iter().filter(|path| is_refused(path)) {
        let error = read(&std::fs::read(path).unwrap()).unwrap_err().to_string();
        let (_, expected) = REFUSED.iter().find(|(name, _)| *name == stem(path)).unwrap();
        assert!(error.contains(expected) && error.contains("at offset"), "{path:?}: {error}");
    }
}

#[test]
fn files_that_are_cut_are_refused_as_truncated() {
    for path in files().iter().filter(|path| !is_refused(path)) {
        let bytes = std::fs::read(path).unwrap();
        let end = read(&bytes).unwrap().1.end as usize;
        for len in [end - 1, end / 2, end * 7 / 8, 20.min(end - 1)] {
            let error = read(&bytes[..len]).unwrap_err().to_string();
            assert!(error.contains("truncated"), "{path:?} cut to {len} bytes: {error}");
        }
    }
}
