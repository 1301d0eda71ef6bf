//! What the tool writes to, and how it ends.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use support::*;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// An RDB file of version 11 with one key, and with one of a module if `module`; no checksum.
fn rdb(module: bool) -> Vec<u8> {
    let mut rdb = b"REDIS0011\xfe\x00".to_vec();
    if module {
        rdb.extend_from_slice(b"\x07\x01m\x81");
        rdb.extend_from_slice(&(7u64 << 40 | 1).to_be_bytes());
        rdb.extend_from_slice(b"\x00");
    }
    rdb.extend_from_slice(b"\x00\x01k\x01v\xff\0\0\0\0\0\0\0\0");
    rdb
}

/// What the tool says on the standard error; it must end with code 2.
fn refused(arguments: &[&str]) -> String {
    let output = tool(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    said
}

#[test]
fn only_files_are_replaced_and_never_the_source() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let source = path("dump.rdb");
    fs::write(&source, rdb(false)).unwrap();
    let export =
        |to: &Path| refused(&["export", text(&source), "--to", text(to), "--format", "json"]);
    let inspect = |to: &Path| refused(&["inspect", text(&source), "--html", text(to)]);

    // Under each of its names.
    fs::hard_link(&source, path("hard")).unwrap();
    symlink(&source, path("soft")).unwrap();
    for to in [source.clone(), path("hard"), path("soft")] {
        for said in [export(&to), inspect(&to)] {
            assert!(said.contains("is the same file as"), "{said}");
            assert!(said.contains(text(&to)) && said.contains(text(&source)), "{said}");
        }
    }
    assert_eq!(fs::read(&source).unwrap(), rdb(false));

    // What is no file.
    let made = Command::new("mkfifo").arg(path("fifo")).status().unwrap();
    assert!(made.success());
    fs::create_dir(path("dir")).unwrap();
    symlink("/dev/null", path("null")).unwrap();
    symlink("nothing", path("dangling")).unwrap();
    for to in ["fifo", "dir", "null"] {
        for said in [export(&path(to)), inspect(&path(to))] {
            assert!(said.contains("is no regular file"), "{said}");
            assert!(said.contains("`-` is the standard output"), "{said}");
        }
    }
    assert!(export(Path::new("/dev/null")).contains("is no regular file"));
    assert!(export(&path("dangling")).contains("a symbolic link to nothing"));
    let said = refused(&["export", text(&source), "--to", "/dev/null", "--format", "mainstay"]);
    assert!(!said.is_empty());

    // A file keeps its mode, also behind a link, which stays one.
    let kept = path("kept.json");
    fs::write(&kept, "old").unwrap();
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o600)).unwrap();
    symlink("kept.json", path("link.json")).unwrap();
    tool_says(0, &["export", text(&source), "--to", text(&path("link.json")), "--force"]);
    assert!(fs::symlink_metadata(path("link.json")).unwrap().is_symlink());
    assert!(fs::read_to_string(&kept).unwrap().contains("\"key\":\"k\""));
    assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
    tool_says(0, &["inspect", text(&source), "--html", text(&kept), "--force"]);
    assert!(fs::read_to_string(&kept).unwrap().contains("<html"));
    assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
    // A new one holds data, and is its owner's alone.
    tool_says(0, &["export", text(&source), "--to", text(&path("new.json"))]);
    let mode = |name: &str| fs::metadata(path(name)).unwrap().mode() & 0o777;
    assert_eq!(mode("new.json"), 0o600);
    tool_says(0, &["export", text(&source), "--to", text(&path("copy")), "--format", "mainstay"]);
    assert_eq!(
        (mode("copy"), mode("copy/mainstay"), mode("copy/mainstay/manifest")),
        (0o700, 0o700, 0o600)
    );

    let left = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| text(name.as_ref()).ends_with(".tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_is_there_is_only_replaced_with_force() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let source = path("dump.rdb");
    fs::write(&source, rdb(false)).unwrap();
    fs::write(path("file"), "old").unwrap();
    symlink("file", path("link")).unwrap();
    fs::create_dir_all(path("dir/mainstay")).unwrap();
    fs::create_dir_all(path("dir/appendonlydir")).unwrap();
    for inner in ["dir/mainstay/file", "dir/appendonlydir/file"] {
        fs::write(path(inner), "old").unwrap();
    }
    let before = files(home.path());
    let mut words = vec![vec!["inspect", text(&source), "--html"]];
    for format in ["rdb", "aof", "resp", "json", "csv"] {
        words.push(vec!["export", text(&source), "--format", format, "--to"]);
    }
    for words in &words {
        for to in ["file", "link"] {
            let to = path(to);
            let said = refused(&[&words[..], &[text(&to)]].concat());
            assert!(said.contains(text(&to)) && said.contains("--force"), "{said}");
            assert_eq!(files(home.path()), before, "{words:?}");
        }
        let to = path("file");
        tool_says(0, &[&words[..], &[text(&to), "--force"]].concat());
        assert_ne!(fs::read(&to).unwrap(), b"old", "{words:?}");
        fs::write(&to, "old").unwrap();
        // The standard output is nothing that is there.
        assert!(tool(&[&words[..], &["-"]].concat()).status.success(), "{words:?}");
    }
    // A directory with something in it never is.
    for format in ["mainstay", "aof-dir"] {
        for force in [&[][..], &["--force"]] {
            let to = path("dir");
            let words = ["export", text(&source), "--format", format, "--to", text(&to)];
            let said = refused(&[&words[..], force].concat());
            assert!(said.contains("is not empty: nothing is changed"), "{said}");
            assert_eq!(files(home.path()), before, "{words:?}");
        }
    }
}

#[test]
fn nothing_is_written_into_a_data_directory() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    fs::write(home.join("dump.rdb"), rdb(false)).unwrap();
    let dump = home.join("dump.rdb");
    tool_says(0, &["import", text(&dump), "--into", text(&home.join("ours"))]);
    let data = if home.join("ours/mainstay").is_dir() {
        home.join("ours/mainstay")
    } else {
        home.join("ours")
    };
    let before = files(&data);
    let base = before.keys().find(|path| path.extension().is_none()).unwrap();
    let manifest = data.join("manifest");
    for to in [&manifest, &data.join("copy.json"), base] {
        for source in [&data, &manifest, &dump] {
            let said = refused(&["export", text(source), "--to", text(to), "--format", "json"]);
            assert!(said.contains(text(to)) && said.contains(text(&data)), "{said}");
            let said = refused(&["inspect", text(source), "--html", text(to)]);
            assert!(said.contains(text(to)) && said.contains(text(&data)), "{said}");
        }
    }
    let inside = data.join("copy");
    let said = refused(&["export", text(&data), "--to", text(&inside), "--format", "mainstay"]);
    assert!(said.contains("lies in"), "{said}");
    assert_eq!(files(&data), before);

    // Nor over the manifest of an append-only file.
    let redis = home.join("appendonlydir");
    tool_says(0, &["export", text(&dump), "--to", text(&redis)]);
    let before = files(&redis);
    let to = redis.join("appendonly.aof.manifest");
    let said = refused(&["export", text(&redis), "--to", text(&to), "--format", "json"]);
    assert!(said.contains("is the manifest of"), "{said}");
    assert_eq!(files(&redis), before);
}

/// The tool with these arguments, this standard input, and a standard output without a reader.
fn code_when_closed(arguments: &[&str]) -> Option<i32> {
    let mut tool = Command::new(env!("CARGO_BIN_EXE_mainstay-tool"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = tool.args(arguments).stdin(Stdio::null()).stdout(writer).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    output.status.code()
}

#[test]
fn an_output_that_cannot_be_written_is_no_success() {
    let home = tempfile::tempdir().unwrap();
    let dump = home.path().join("dump.rdb");
    fs::write(&dump, &rdb(false)[..15]).unwrap();
    tool_says(1, &["verify", text(&dump)]);
    assert_eq!(code_when_closed(&["verify", text(&dump)]), Some(141));
    assert_eq!(code_when_closed(&["completions", "bash"]), Some(141));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut tool = Command::new(env!("CARGO_BIN_EXE_mainstay-tool"));
    let output = tool.args(["completions", "bash"]).stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("writing the output failed"), "{said}");
    assert!(tool_says(0, &["completions", "bash"]).contains("mainstay-tool"));
}

#[test]
fn no_directory_is_made_in_a_data_directory() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let rdb_file = path("a.rdb");
    fs::write(&rdb_file, rdb(false)).unwrap();
    let data = path("data");
    tool_says(0, &["import", &rdb_file, "--into", &data]);
    let before = names_below(Path::new(&data));
    for inside in ["data/mainstay/sub", "data/mainstay/sub/deeper"] {
        let out = path(inside);
        for words in [
            &["import", &rdb_file, "--into", &out][..],
            &["repair", &data, "--out", &out],
            &["replay", &data, "--until-time", "now", "--out", &out],
            &["export", &data, "--to", &out, "--format", "mainstay"],
            &["export", &data, "--to", &out, "--format", "aof-dir"],
            &["export", &data, "--to", &out, "--format", "json"],
        ] {
            let said = refused(words);
            assert!(said.contains(" lies in "), "{words:?}: {said}");
        }
    }
    assert_eq!(names_below(Path::new(&data)), before);
}

fn names_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(names_below(&path));
        }
        names.push(path);
    }
    names.sort();
    names
}

#[test]
fn keys_of_modules_are_refused_or_counted() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let (with, without) = (path("with.rdb"), path("without.rdb"));
    fs::write(&with, rdb(true)).unwrap();
    fs::write(&without, rdb(false)).unwrap();
    for format in ["rdb", "mainstay", "aof-dir", "aof", "resp", "json", "csv"] {
        let to = path(&format!("copy.{format}"));
        let words = ["export", &with, "--to", &to, "--format", format];
        let said = refused(&words);
        assert!(said.contains("1 key has a value of a module"), "{format}: {said}");
        assert!(!Path::new(&to).exists());
        let report = tool_json(0, &[&words[..], &["--skip-modules"]].concat());
        assert_eq!(report["skipped"]["module_keys"], 1, "{report}");
        assert_eq!(report["keys"], 1, "{report}");
    }
    let to = path("text.rdb");
    let said = tool_says(0, &["export", &with, "--to", &to, "--skip-modules"]);
    assert!(said.contains("left out: 1 key with a value of a module"), "{said}");
    for (a, b) in [(&with, &without), (&without, &with)] {
        assert!(refused(&["diff", a, b]).contains("1 key has a value of a module"));
        let said = tool_says(0, &["diff", a, b, "--skip-modules"]);
        assert!(said.starts_with("the same: 1 key (not compared: "), "{said}");
    }
    let report = tool_json(0, &["diff", &with, &without, "--skip-modules"]);
    assert_eq!((&report["module_keys_a"], &report["module_keys_b"]), (&1.into(), &0.into()));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_checked() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let (empty, good, bad) = (path("empty"), path("good.rdb"), path("bad.rdb"));
    fs::write(&empty, "").unwrap();
    fs::write(&good, rdb(false)).unwrap();
    fs::write(&bad, &rdb(false)[..15]).unwrap();
    for verb in ["verify", "inspect"] {
        assert!(refused(&[verb, &empty]).contains(&format!("{empty}: the file is empty")));
        // The standard input of these tests is empty.
        assert!(refused(&[verb, "-"]).contains("mainstay-tool: -: the file is empty"));
    }
    assert!(refused(&["import", &empty, "--into", &path("ours")]).contains("the file is empty"));
    assert!(refused(&["verify", "-", "-"]).contains("more than one -"));
    assert!(refused(&["diff", "-", "-"]).contains("more than one -"));

    let said = tool_says(2, &["verify", &path("missing"), &good, &bad, "--json"]);
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert_eq!(lines[0]["path"], path("missing"));
    assert!(lines[0]["error"].as_str().unwrap().contains("No such file"), "{said}");
    assert_eq!((&lines[1]["path"], &lines[1]["sound"]), (&good.into(), &true.into()));
    assert_eq!(lines[2]["sound"], false);

    // What is said of the standard input does not say where it was copied to.
    for words in [&["inspect", "-"][..], &["inspect", "-", "--json"], &["verify", "-"]] {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_mainstay-tool"));
        let input = fs::File::open(&bad).unwrap();
        let output = tool.args(words).stdin(input).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!output.status.success(), "{said}");
        assert!(!said.contains("mainstay-tool-input"), "{said}");
    }
}

#[test]
fn an_append_only_file_with_an_unknown_command_is_named() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("appendonly.aof");
    let good = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    std::fs::write(&path, good).unwrap();
    let path = path.to_str().unwrap();
    tool_says(0, &["verify", path]);
    std::fs::write(path, format!("{good}*2\r\n$4\r\nNOPE\r\n$1\r\na\r\n{good}")).unwrap();
    let found = tool_json(1, &["verify", path]);
    assert_eq!(found["findings"][0]["offset"], good.len());
}
