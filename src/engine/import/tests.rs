use super::*;
use crate::data::Value;
use crate::data::testing::describe;
use crate::disk::SimDisk;
use crate::env::{SimClock, seeded_random};
use parking_lot::Mutex;

const NOW_MS: i64 = 1_700_000_000_000;

/// Imports an append-only file of these parts. Gives the report and all keys.
fn import(parts: &[&[u8]], options: Options) -> Result<(Report, Vec<String>), String> {
    let disk = SimDisk::new();
    let paths: Vec<PathBuf> = (0..parts.len()).map(|part| format!("part{part}").into()).collect();
    for (path, bytes) in paths.iter().zip(parts) {
        disk.put(path, bytes);
    }
    let operations = disk.operations();
    let machine = Machine {
        disk: Arc::new(disk.clone()),
        clock: SimClock::new(NOW_MS),
        random: Arc::new(|| seeded_random(1)),
    };
    let progress = Progress::default();
    let (source, settings) = (Source::Aof(paths), Settings::default());
    let imported = Engine::import(machine, &source, options, 16, settings, &progress);
    assert_eq!(disk.operations(), operations, "nothing is written");
    let (engine, report) = imported.map_err(|error| error.to_string())?;
    assert_eq!(progress.loaded_bytes(), progress.total_bytes());
    let guard = engine.lock();
    let mut keys = Vec::new();
    for (db, database) in guard.keyspace().databases() {
        for entry in database.iter() {
            let key = String::from_utf8_lossy(entry.key());
            let expiry = entry.expiry_ms().map_or(String::new(), |at| format!(" until {at}"));
            let value = match entry.value() {
                Value::Integer(number) => number.to_string(),
                Value::Text { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
                collection => describe(collection),
            };
            keys.push(format!("{db} {key} {value}{expiry}"));
        }
    }
    keys.sort();
    Ok((report, keys))
}

/// Commands, a line each.
fn commands(lines: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        crate::resp::write_command(&mut bytes, &words);
    }
    bytes
}

fn loaded(lines: &[&str]) -> (Report, Vec<String>) {
    import(&[&commands(lines)], Options::default()).unwrap()
}

#[test]
fn commands_are_carried_out_in_their_databases() {
    let (report, keys) = loaded(&[
        "SELECT 3",
        "set a 1",
        "MULTI",
        "INCRBY a 4",
        "SELECT 0",
        "PUBLISH channel text",
        "EXEC",
        "RPUSH l x y",
        "SCRIPT LOAD return",
        "SET gone 1 PXAT 1000",
        "PEXPIREAT l 1000",
    ]);
    assert_eq!(keys.len(), 3);
    assert!(keys[0].starts_with("0 gone ") && keys[0].ends_with(" until 1000"), "{keys:?}");
    assert!(keys[1].starts_with("0 l ") && keys[1].ends_with(" until 1000"), "{keys:?}");
    assert_eq!(keys[2], "3 a 5");
    assert_eq!((report.commands, report.ignored, report.keys, report.failed), (7, 2, 3, 0));
}

#[test]
fn each_part_begins_in_database_zero() {
    let parts = [commands(&["SELECT 2", "SET a 1"]), commands(&[]), commands(&["SET b 2"])];
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    assert_eq!(import(&parts, Options::default()).unwrap().1, ["0 b 2", "2 a 1"]);
}

#[test]
fn a_piece_of_a_command_at_the_end_is_passed_over_or_refused() {
    let (whole, second) = (commands(&["SET a 1"]), commands(&["SET b 2"]));
    let strict = Options { load_truncated: false, ..Options::default() };
    for len in 1..second.len() {
        let bytes = [&whole[..], &second[..len]].concat();
        let (report, keys) = import(&[&bytes], Options::default()).unwrap();
        assert_eq!(keys, ["0 a 1"]);
        let (path, offset) = (PathBuf::from("part0"), whole.len() as u64);
        let cut = Cut { path, offset, bytes: len as u64, cause: CutCause::Command };
        assert_eq!(report.cut, Some(cut));
        let refused = import(&[&bytes], strict).unwrap_err();
        let expected = format!("part0, offset {offset}: the file ends within a command");
        assert!(refused.starts_with(&expected), "{refused}");
        let refused = import(&[&bytes, &second], Options::default()).unwrap_err();
        assert!(refused.ends_with("it is not the last part of the append-only file"), "{refused}");
    }
}

#[test]
fn an_open_transaction_at_the_end_is_reverted() {
    let open = commands(&["SET a 1", "MULTI", "SET a 2", "SET b 2"]);
    let offset = commands(&["SET a 1"]).len() as u64;
    for end in [open.len(), open.len() - 3] {
        let (report, keys) = import(&[&open[..end]], Options::default()).unwrap();
        assert_eq!(keys, ["0 a 1"]);
        let cut = report.cut.unwrap();
        assert_eq!((cut.offset, cut.cause), (offset, CutCause::Transaction));
        assert_eq!(cut.bytes, end as u64 - offset);
    }
    let strict = Options { load_truncated: false, ..Options::default() };
    let refused = import(&[&open], strict).unwrap_err();
    assert!(refused.contains("MULTI without EXEC"), "{refused}");
}

#[test]
fn what_is_not_known_is_refused_where_it_is() {
    let offset = commands(&["SET a 1"]).len();
    for (line, expected) in [
        ("NOSUCH x", "unknown command 'NOSUCH'"),
        ("GET", "wrong number of arguments"),
        ("EVAL return 0", "unknown command 'EVAL'"),
        ("SHUTDOWN", "unknown command 'SHUTDOWN'"),
        ("SELECT 16", "the database cannot be selected"),
    ] {
        let error = import(&[&commands(&["SET a 1", line])], Options::default()).unwrap_err();
        assert!(error.starts_with(&format!("part0, offset {offset}: ")), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let mut bytes = commands(&["SET a 1"]);
    bytes.extend_from_slice(&[0; 100]);
    let error = import(&[&bytes], Options::default()).unwrap_err();
    assert!(error.contains("offset 27: bad format"), "{error}");
}

#[test]
fn a_command_that_fails_is_counted_and_named() {
    let mut lines = vec!["SET a x"];
    lines.extend(["INCR a"; 12]);
    lines.push("SET b 1");
    let (report, keys) = loaded(&lines);
    assert_eq!(keys.len(), 2);
    assert_eq!((report.failed, report.failures.len()), (12, 10));
    let (path, offset, reason) = &report.failures[0];
    assert_eq!((path.as_path(), *offset), (Path::new("part0"), 27));
    assert!(reason.starts_with("'INCR' was answered with: ERR"), "{reason}");
}

#[test]
fn libraries_of_functions_are_kept_and_replayed() {
    let source: &[u8] = b"#!lua name=lib\nreturn 1";
    let mut bytes = Vec::new();
    crate::resp::write_command(&mut bytes, &[b"FUNCTION", b"LOAD", source]);
    let disk = SimDisk::new();
    disk.put(Path::new("a.aof"), &bytes);
    let machine = Machine {
        disk: Arc::new(disk),
        clock: SimClock::new(NOW_MS),
        random: Arc::new(|| seeded_random(1)),
    };
    let (source_file, settings) = (Source::Aof(vec!["a.aof".into()]), Settings::default());
    let progress = Progress::default();
    let options = Options::default();
    let (engine, report) =
        Engine::import(machine.clone(), &source_file, options, 16, settings.clone(), &progress)
            .unwrap();
    assert_eq!(report.functions, 1);
    let dir = Path::new("d");
    drop(engine.lock().begin_log(dir, crate::log::Options::default()).unwrap());
    drop(engine);
    let (engine, _) =
        Engine::open(machine, dir, 16, settings, crate::log::Options::default()).unwrap();
    let functions = engine.lock().state.functions.clone();
    assert_eq!(functions.sources().collect::<Vec<_>>(), [source]);
}

/// Whatever moment a power cut or a kill chooses, either nothing of ours is there and an import begins anew, or
/// everything is.
#[test]
fn a_crash_while_a_log_begins_leaves_all_or_nothing() {
    let disk = SimDisk::new();
    let lines: Vec<String> = (0..2000).map(|n| format!("SET key:{n} value:{n}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    disk.put(Path::new("a.aof"), &commands(&lines));
    let import = |disk: &SimDisk| {
        let machine = Machine {
            disk: Arc::new(disk.clone()),
            clock: SimClock::new(NOW_MS),
            random: Arc::new(|| seeded_random(1)),
        };
        let (source, settings) = (Source::Aof(vec!["a.aof".into()]), Settings::default());
        let (progress, options) = (Progress::default(), Options::default());
        let imported =
            Engine::import(machine.clone(), &source, options, 16, settings, &progress).unwrap();
        (machine, imported.0)
    };
    let dir = Path::new("d/mainstay");
    let begin = |engine: &Engine| {
        drop(engine.lock().begin_log(dir, crate::log::Options::default()).unwrap());
    };
    let snapshots = Arc::new(Mutex::new(Vec::new()));
    let taken = snapshots.clone();
    let (_, engine) = import(&disk);
    disk.observe(move |_, disk| taken.lock().push(disk.snapshot()));
    begin(&engine);
    let snapshots = std::mem::take(&mut *snapshots.lock());
    assert!(snapshots.len() > 8, "{}", snapshots.len());
    let (mut found, mut anew) = (0, 0);
    for (index, snapshot) in snapshots.iter().enumerate() {
        let mut random = seeded_random(index as u64);
        let keep_some = snapshot.after_power_cut(|| random() & 1 == 0);
        let crashed = [snapshot.after_kill(), keep_some, snapshot.after_power_cut(|| false)];
        for disk in crashed {
            if crate::engine::holds_data(&disk, Path::new("d")).unwrap() {
                found += 1;
            } else {
                anew += 1;
                begin(&import(&disk).1);
            }
            let machine = import(&disk).0;
            let options = crate::log::Options::default();
            let opened = Engine::open(machine, dir, 16, Settings::default(), options);
            let (engine, _) = opened.unwrap_or_else(|error| panic!("operation {index}: {error}"));
            assert_eq!(engine.lock().keyspace().database(0).len(), 2000);
        }
    }
    assert!(found > 0 && anew > 0, "{found} {anew}");
}
