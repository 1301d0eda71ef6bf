//! A small data set, and changes to its files: for targets that look at what damage does.

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use mainstay::disk::{Disk, File, SimDisk};
use mainstay::env::{SimClock, seeded_random};
use mainstay::log::frame::FrameHeader;
use mainstay::log::segment::Preamble;
use mainstay::log::{
    Action, Durability, Log, Lsn, OpenError, Options, PreambleDamage, Recovery, Replay,
    Unreplayable, attach,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A change to one file.
#[derive(Arbitrary, Debug)]
pub enum Edit {
    /// Replaces a byte.
    Byte { file: u8, at: u16, by: u8 },
    /// Cuts or extends.
    Length { file: u8, len: u16 },
    /// Copies bytes of one file over those of another, at multiples of 8.
    Copy { from: u8, from_at: u16, to: u8, to_at: u16, len: u8 },
    /// Removes it.
    Remove { file: u8 },
}

/// The bytes of all commands that were replayed.
#[derive(Default)]
pub struct Stream(pub Vec<u8>);

impl Replay for Stream {
    fn preamble(&mut self, _: &Arc<dyn File>, _: &Preamble, _: Lsn) -> Result<(), PreambleDamage> {
        unreachable!("no manifest of these data sets lists a base")
    }

    fn commands(&mut self, _: &FrameHeader, payload: &[u8]) -> Result<(), Unreplayable> {
        self.0.extend_from_slice(payload);
        Ok(())
    }

    fn selected_db(&self) -> u32 {
        0
    }
}

/// A data set as the edits find it.
pub struct Image {
    pub files: Vec<(PathBuf, Vec<u8>)>,
    pub stream: Vec<u8>,
    pub durable: usize,
}

pub fn dir() -> &'static Path {
    Path::new("d")
}

/// Opens what `disk` holds.
pub fn open(disk: &SimDisk, replay: &mut Stream) -> Result<(Log, Recovery), OpenError> {
    let options = Options {
        segment_bytes: 64 << 10,
        compression_bytes_min: Some(64),
        durability: Durability::No,
        ..Options::default()
    };
    let clock = SimClock::new(1_700_000_000_000);
    attach(Arc::new(disk.clone()), dir(), options, clock, seeded_random(7), replay)
}

/// Does all that the log's threads have to do.
fn settle(log: &Log) {
    loop {
        match log.next_action() {
            Action::Drain => log.drain(),
            Action::Roll => log.roll(),
            Action::Heal => log.heal(),
            Action::Sync => {
                let ticket = log.begin_sync();
                let result = ticket.sync();
                log.finish_sync(ticket, result);
            }
            Action::Wait(_) | Action::Stop => return,
        }
    }
}

/// A data set of two segments; the one that was written last is closed, or as after a kill.
pub fn build(closed: bool) -> Image {
    let (disk, mut random) = (SimDisk::new(), seeded_random(1));
    let (log, _) = open(&disk, &mut Stream::default()).expect("an empty disk");
    let mut stream = Vec::new();
    let mut append = |len: usize| {
        let bytes: Vec<u8> = (0..len).map(|_| random() as u8 & 0x1f).collect();
        stream.extend_from_slice(&bytes);
        log.append(&mut bytes.clone(), 0);
        log.drain();
    };
    // Enough for a second segment, then some frames with syncs between them.
    append(50_000);
    append(50_000);
    settle(&log);
    for len in [3, 40, 500] {
        append(len);
        log.request_sync();
        settle(&log);
    }
    let durable = if closed {
        log.begin_close();
        settle(&log);
        log.close().expect("nothing fails here");
        log.durable_lsn()
    } else {
        append(17);
        append(100);
        log.durable_lsn()
    };
    let names = disk.list(dir()).expect("a directory");
    let files = names.iter().filter_map(|name| {
        let path = dir().join(name);
        Some((path.clone(), disk.contents(&path)?))
    });
    Image { files: files.collect(), durable: durable as usize, stream }
}

/// The files of a data set with `edits` made to them; `None` in the place of one that was removed.
pub fn edited(files: &[(PathBuf, Vec<u8>)], edits: &[Edit]) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut files: Vec<(PathBuf, Option<Vec<u8>>)> =
        files.iter().map(|(path, bytes)| (path.clone(), Some(bytes.clone()))).collect();
    let count = files.len();
    let at = |len: usize, at: u16| (len > 0).then(|| usize::from(at) % len);
    for edit in edits {
        match *edit {
            Edit::Byte { file, at: place, by } => {
                if let Some(bytes) = &mut files[usize::from(file) % count].1
                    && let Some(place) = at(bytes.len(), place)
                {
                    bytes[place] = by;
                }
            }
            Edit::Length { file, len } => {
                if let Some(bytes) = &mut files[usize::from(file) % count].1 {
                    bytes.resize(usize::from(len), 0);
                }
            }
            Edit::Copy { from, from_at, to, to_at, len } => {
                let source = files[usize::from(from) % count].1.clone().unwrap_or_default();
                let from_at = at(source.len(), from_at).unwrap_or(0) & !7;
                let copied = &source[from_at..(from_at + usize::from(len)).min(source.len())];
                if let Some(bytes) = &mut files[usize::from(to) % count].1 {
                    let to_at = at(bytes.len(), to_at).unwrap_or(0) & !7;
                    let len = copied.len().min(bytes.len() - to_at);
                    bytes[to_at..to_at + len].copy_from_slice(&copied[..len]);
                }
            }
            Edit::Remove { file } => files[usize::from(file) % count].1 = None,
        }
    }
    files
}
