//! What the tool writes to, and how it ends.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
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
    let made = std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap();
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
    tool_says(0, &["export", text(&source), "--to", text(&path("link.json"))]);
    assert!(fs::symlink_metadata(path("link.json")).unwrap().is_symlink());
    assert!(fs::read_to_string(&kept).unwrap().contains("\"key\":\"k\""));
    assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
    tool_says(0, &["inspect", text(&source), "--html", text(&kept)]);
    assert!(fs::read_to_string(&kept).unwrap().contains("<html"));
    assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
    // A new one is as the umask has it.
    fs::write(path("like"), "").unwrap();
    tool_says(0, &["export", text(&source), "--to", text(&path("new.json"))]);
    let mode = |name: &str| fs::metadata(path(name)).unwrap().mode() & 0o777;
    assert_eq!(mode("new.json"), mode("like") & 0o644);

    let left = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| text(name.as_ref()).ends_with(".tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
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
