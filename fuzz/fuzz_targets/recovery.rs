//! Any edits to the files of a small data set: a start refuses, or recovers a prefix.
#![no_main]

mod data_set;

use data_set::{Edit, Image, Stream, build, dir, open};
use libfuzzer_sys::fuzz_target;
use mainstay::disk::{Disk, SimDisk};
use std::sync::LazyLock;

/// One that was closed, and one that was not.
static IMAGES: LazyLock<[Image; 2]> = LazyLock::new(|| [build(true), build(false)]);

fuzz_target!(|data: (bool, Vec<Edit>)| {
    let (closed, edits) = data;
    let image = &IMAGES[usize::from(!closed)];
    let files = data_set::edited(&image.files, &edits);
    let disk = SimDisk::new();
    disk.create_dir(dir()).expect("a simulated directory");
    for (path, bytes) in &files {
        if let Some(bytes) = bytes {
            disk.put(path, bytes);
        }
    }
    let mut replay = Stream::default();
    let Ok((log, recovery)) = open(&disk, &mut replay) else { return };
    drop(log);
    assert!(image.stream.starts_with(&replay.0), "not a prefix");
    assert_eq!(recovery.lsn, replay.0.len() as u64);
    // Together several edits can take away what testifies to an acknowledged frame; one byte cannot.
    if matches!(edits[..], [Edit::Byte { .. }]) {
        assert!(replay.0.len() >= image.durable, "one byte lost acknowledged commands");
    }
    // What was recovered is there the next time too.
    let mut again = Stream::default();
    let disk = disk.snapshot().after_power_cut(|| false);
    let (_, second) = open(&disk, &mut again).expect("a recovered data set opens");
    assert_eq!((again.0, second.cut), (replay.0, None));
});
