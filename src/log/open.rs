//! Recovery: from the files of a data set to its commands and a log that can be appended to.

use super::base;
use super::commit::Commit;
use super::frame::{FrameDamage, FrameHeader, FrameKind};
use super::manifest::{
    self, BaseLine, Manifest, ManifestError, RetiredFile, SegmentEnd, SegmentLine,
};
use super::reader::FrameReader;
use super::segment::{self, FileKind, HeaderError, Identity, NameKind, Preamble, SegmentHeader};
use super::writer::{self, FIRST_SEGMENT_BYTES, Segment, WriteError, Writer};
use super::{Log, Lsn, NOTHING, Options, Shape, SyncStats, Timeline, TimelineId};
use crate::disk::{self, Disk, File, Lock};
use crate::env::{Clock, Random};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The lock file's name.
pub const LOCK_NAME: &str = "lock";

/// What is wrong with the RDB at the beginning of a base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreambleDamage {
    /// Where.
    pub offset: u64,
    /// What.
    pub reason: String,
}

/// Takes what recovery reads.
pub trait Replay {
    /// Loads the RDB at the beginning of a base, which is what the log starts from.
    ///
    /// # Errors
    /// If it is damaged or cannot be read.
    fn preamble(
        &mut self,
        file: &Arc<dyn File>,
        preamble: &Preamble,
        lsn: Lsn,
    ) -> Result<(), PreambleDamage>;

    /// Carries out the commands of one frame, written at `time_ms` (Unix time); `db` is the database
    /// selected where they begin.
    ///
    /// # Errors
    /// Why they cannot be carried out.
    fn commands(&mut self, time_ms: u64, db: u32, payload: &[u8]) -> Result<(), String>;

    /// The database selected behind the last command.
    fn selected_db(&self) -> u32;
}

/// What lay behind the place at which recovery cut the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: String,
    /// Where it was cut.
    pub offset: u64,
    /// The LSN there.
    pub lsn: Lsn,
    /// Bytes behind it, up to the last that is not zero.
    pub bytes: u64,
    /// Frames behind it whose header is valid.
    pub frames: u64,
    /// From the last frame before the cut to the last valid one behind it.
    pub span_ms: u64,
    /// Where the bytes were put.
    pub set_aside: PathBuf,
    /// What was wrong at the cut.
    pub damage: FrameDamage,
}

/// The last close was not a clean one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclean {
    /// What the lock file says of the process that did not close.
    pub process: String,
    /// Commands that were written but not known to be durable, in bytes; they were made durable.
    pub secured_bytes: u64,
}

/// What recovery did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// There was no data set; an empty one was made.
    pub created: bool,
    /// Frames read.
    pub frames: u64,
    /// Bytes of commands read.
    pub bytes: u64,
    /// The LSN at which the log goes on.
    pub lsn: Lsn,
    /// What was cut off, if anything.
    pub cut: Option<Cut>,
    /// Set if the last close was not a clean one.
    pub unclean: Option<Unclean>,
}

/// Why a data set cannot be opened. Nothing on disk was changed.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{path} is in use by another process (its lock file says: {process})")]
    Locked {
        /// The directory.
        path: PathBuf,
        /// What the lock file says.
        process: String,
    },
    /// The disk refused.
    #[error("{doing} {path} failed: {source}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The disk's answer.
        source: io::Error,
    },
    /// The manifest cannot be used.
    #[error("{path}: {source}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: ManifestError,
    },
    /// There is no manifest, but there is data.
    #[error(
        "{dir}: the manifest is missing, but there is data in {file}; refusing to start empty \
         (mainstay-tool repair can rebuild the manifest)"
    )]
    ManifestMissing {
        /// The directory.
        dir: PathBuf,
        /// A file that holds data.
        file: String,
    },
    /// A new data set is to begin where there is one already.
    #[error("{dir} holds a data set that this server has not written; refusing to replace it")]
    OtherData {
        /// The directory.
        dir: PathBuf,
    },
    /// A file that the manifest lists is not there.
    #[error("{path} is missing, but the manifest lists it (LSN {lsn} and later)")]
    FileMissing {
        /// The file.
        path: PathBuf,
        /// Where its data begins.
        lsn: Lsn,
    },
    /// A file's header cannot be used.
    #[error("{path}, offset {offset}: {source} (the file holds LSN {lsn} and later)")]
    Header {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// Why.
        source: HeaderError,
        /// Where its data begins.
        lsn: Lsn,
    },
    /// A file is sound, but not the one that the manifest lists.
    #[error("{path}: {field} in the file's header is not what the manifest says (LSN {lsn})")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What differs.
        field: &'static str,
        /// Where its data should begin.
        lsn: Lsn,
    },
    /// Acknowledged data is damaged.
    #[error(
        "{path}, offset {offset}: acknowledged data is damaged: {damage}; \
         LSN {lsn} to {lsn_end}, database {db}. Nothing was changed. \
         'mainstay-tool repair' saves everything else"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        damage: FrameDamage,
        /// First LSN that is lost.
        lsn: Lsn,
        /// LSN behind what is lost.
        lsn_end: Lsn,
        /// The database that was selected.
        db: u32,
    },
    /// The RDB at the beginning of a base is damaged.
    #[error(
        "{path}, offset {offset}: acknowledged data is damaged: {reason}; what lies before LSN {lsn}. \
         Nothing was changed. 'mainstay-tool repair' saves everything else"
    )]
    Preamble {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        reason: String,
        /// The LSN as of which it is.
        lsn: Lsn,
    },
    /// Sound bytes hold a command that cannot be carried out.
    #[error("{path}, offset {offset}: the commands at LSN {lsn} cannot be replayed: {reason}")]
    Replay {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// The frame's LSN.
        lsn: Lsn,
        /// Why.
        reason: String,
    },
}

pub(super) fn disk_error<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> OpenError + use<'a> {
    move |source| OpenError::Disk { doing, path: path.into(), source }
}

/// What recovery works on.
struct Opening<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    replay: &'a mut dyn Replay,
    recovery: Recovery,
    last_time_ms: u64,
    raw: Vec<u8>,
}

/// The open segment's frames that nobody attests to be durable, and where the valid ones end.
struct Tail {
    reader: FrameReader,
    /// Where the manifest will say that the segment ends.
    end: SegmentEnd,
    /// Frames behind that end, with their offsets: to be copied into the new segment.
    undurable: VecDeque<(u64, FrameHeader)>,
    /// Behind the last valid frame: LSN and offset.
    valid: SegmentEnd,
    /// Where the bytes to be cut off end; equal to `valid.bytes` if there are none.
    written_bytes: u64,
}

/// Opens the data set in `dir`, or makes an empty one: replays its commands, repairs what a crash
/// leaves behind, and gives a log that appends in a new segment.
///
/// # Errors
/// If another process has it open, the disk fails, or acknowledged data is damaged or missing.
pub fn attach(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: Options,
    clock: Arc<dyn Clock>,
    mut random: Random,
    replay: &mut dyn Replay,
) -> Result<(Log, Recovery), OpenError> {
    let lock = take_lock(&*disk, dir)?;
    let mut opening = Opening {
        disk: &*disk,
        dir,
        replay,
        recovery: Recovery::default(),
        last_time_ms: 0,
        raw: Vec::new(),
    };
    let manifest_path = dir.join(manifest::NAME);
    let (mut manifest, tail) = match Manifest::load(&*disk, dir) {
        Ok(manifest) => {
            let tail = opening.read(&manifest)?;
            (manifest, tail)
        }
        Err(ManifestError::Missing) => {
            opening.check_no_data()?;
            opening.recovery.created = true;
            (Manifest::empty(&mut random), None)
        }
        Err(source) => return Err(OpenError::Manifest { path: manifest_path, source }),
    };
    if !manifest.is_closed() && !opening.recovery.created {
        opening.recovery.unclean = Some(Unclean {
            process: lock.previous_content().to_owned(),
            secured_bytes: tail.as_ref().map_or(0, |tail| tail.valid.lsn - tail.end.lsn),
        });
    }
    let lsn = match &tail {
        Some(tail) => tail.valid.lsn,
        None => end_lsn(&manifest),
    };
    opening.recovery.lsn = lsn;
    if let Some(tail) = &tail
        && tail.written_bytes > tail.valid.bytes
    {
        opening.set_aside(&manifest, tail)?;
    }
    if opening.recovery.unclean.is_some() {
        // Commands may have been lost without a trace, and what comes now must not be taken for them.
        manifest.begin_timeline(Timeline { id: TimelineId::random(&mut random), begin_lsn: lsn });
    }
    let writer = opening.begin(manifest, tail, lsn, &options, &*clock, &mut random)?;
    remove_strays(&*disk, dir, &writer.manifest)?;
    let (db, recovery) = (opening.replay.selected_db(), opening.recovery);
    let log = new_log(dir, disk, clock, random, options, writer, db, lock);
    Ok((log, recovery))
}

/// Replays what the log in `dir` holds, whoever has it open: that one writes nothing meanwhile, and has drained
/// everything.
///
/// # Errors
/// As [`attach`]; nothing in `dir` is changed.
pub fn reread(disk: &dyn Disk, dir: &Path, replay: &mut dyn Replay) -> Result<(), OpenError> {
    let path = dir.join(manifest::NAME);
    let manifest =
        Manifest::load(disk, dir).map_err(|source| OpenError::Manifest { path, source })?;
    let (recovery, raw) = (Recovery::default(), Vec::new());
    let mut opening = Opening { disk, dir, replay, recovery, last_time_ms: 0, raw };
    opening.read(&manifest).map(|_| ())
}

/// Whether `dir` holds a data set with anything in it. What cannot be read counts as one.
///
/// # Errors
/// Those of the disk, except that there is no such directory.
pub fn holds_data(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    match Manifest::load(disk, dir) {
        Ok(manifest) => return Ok(manifest.names().next().is_some()),
        Err(ManifestError::Missing) => {}
        Err(_) => return Ok(true),
    }
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    Ok(names.iter().any(|name| segment::parse_name(name).is_some()))
}

pub(super) fn take_lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Lock>, OpenError> {
    disk.create_dir(dir).map_err(disk_error("creating", dir))?;
    let path = dir.join(LOCK_NAME);
    disk.lock(&path, &format!("{}\n", std::process::id())).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            OpenError::Locked { path: dir.into(), process: lock_content(disk, &path) }
        } else {
            disk_error("locking", &path)(error)
        }
    })
}

/// Reads a lock file that somebody else holds.
fn lock_content(disk: &dyn Disk, path: &Path) -> String {
    let read = disk.open(path).and_then(|file| disk::read_all(&*file, 64));
    read.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).unwrap_or_default()
}

fn end_lsn(manifest: &Manifest) -> Lsn {
    match manifest.segments.last() {
        Some(segment) => segment.end.map_or(segment.first_lsn, |end| end.lsn),
        None => manifest.base.as_ref().map_or(0, |base| base.end_lsn),
    }
}

impl Opening<'_> {
    /// Reads everything that the manifest lists. Gives the tail of the open segment, if the data set
    /// was not closed.
    fn read(&mut self, manifest: &Manifest) -> Result<Option<Tail>, OpenError> {
        // All files are looked for first, so that a missing one is named before an hour of replay.
        if let Some(base) = &manifest.base {
            self.open_file(&segment::base_name(base.sequence), base.lsn)?;
        }
        for line in &manifest.segments {
            self.open_file(&segment::segment_name(line.sequence), line.first_lsn)?;
        }
        if let Some(base) = &manifest.base {
            self.read_base(manifest, base)?;
        }
        let mut tail = None;
        for line in &manifest.segments {
            let (mut reader, path) = self.open_segment(manifest, line)?;
            match line.end {
                Some(end) => {
                    let start = (FrameReader::FIRST_OFFSET, line.first_lsn);
                    self.read_sealed(&mut reader, &path, start, end)?;
                }
                None => tail = Some(self.read_open(reader, &path, line.first_lsn)?),
            }
        }
        Ok(tail)
    }

    fn open_file(&self, name: &str, lsn: Lsn) -> Result<Arc<dyn File>, OpenError> {
        let path = self.dir.join(name);
        self.disk.open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => OpenError::FileMissing { path, lsn },
            _ => disk_error("opening", &path)(error),
        })
    }

    fn checked_header(
        &self,
        path: &Path,
        file: &dyn File,
        offset: u64,
        lsn: Lsn,
    ) -> Result<SegmentHeader, OpenError> {
        let mut bytes = vec![0; segment::HEADER_BYTES];
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let source = HeaderError::Damaged;
                return Err(OpenError::Header { path: path.into(), offset, source, lsn });
            }
            Err(error) => return Err(disk_error("reading", path)(error)),
        }
        SegmentHeader::decode(&bytes).map_err(|source| OpenError::Header {
            path: path.into(),
            offset,
            source,
            lsn,
        })
    }

    fn read_base(&mut self, manifest: &Manifest, line: &BaseLine) -> Result<(), OpenError> {
        let path = self.dir.join(segment::base_name(line.sequence));
        let file = self.open_file(&segment::base_name(line.sequence), line.lsn)?;
        let header_offset = base::frames_header_offset(line.preamble_bytes);
        let header = self.checked_header(&path, &*file, header_offset, line.lsn)?;
        let expected = (FileKind::Base, manifest.dataset, line.identity, line.sequence, line.lsn);
        check_header(&path, &header, expected)?;
        let Some(preamble) = header.preamble.filter(|it| it.bytes == line.preamble_bytes) else {
            let field = "the length of the preamble";
            return Err(OpenError::Foreign { path, field, lsn: line.lsn });
        };
        self.check_padding(&path, &*file, line, header_offset)?;
        self.last_time_ms = self.last_time_ms.max(header.created_ms);
        self.replay.preamble(&file, &preamble, line.lsn).map_err(|damage| {
            let PreambleDamage { offset, reason } = damage;
            OpenError::Preamble { path: path.clone(), offset, reason, lsn: line.lsn }
        })?;
        let mut reader = FrameReader::new(file, line.bytes, line.identity.seed());
        let first = header_offset + FrameReader::FIRST_OFFSET;
        let end = SegmentEnd { lsn: line.end_lsn, bytes: line.bytes };
        self.read_sealed(&mut reader, &path, (first, line.lsn), end)
    }

    /// Between the preamble and the header behind it are zeros.
    fn check_padding(
        &self,
        path: &Path,
        file: &dyn File,
        line: &BaseLine,
        header_offset: u64,
    ) -> Result<(), OpenError> {
        let mut padding = vec![0; (header_offset - line.preamble_bytes) as usize];
        let read = file.read_exact_at(&mut padding, line.preamble_bytes);
        read.map_err(disk_error("reading", path))?;
        match padding.iter().position(|&byte| byte != 0) {
            None => Ok(()),
            Some(at) => Err(OpenError::Preamble {
                path: path.into(),
                offset: line.preamble_bytes + at as u64,
                reason: "bytes behind the preamble that are not zero".to_owned(),
                lsn: line.lsn,
            }),
        }
    }

    fn open_segment(
        &self,
        manifest: &Manifest,
        line: &SegmentLine,
    ) -> Result<(FrameReader, PathBuf), OpenError> {
        let name = segment::segment_name(line.sequence);
        let path = self.dir.join(&name);
        let file = self.open_file(&name, line.first_lsn)?;
        let header = self.checked_header(&path, &*file, 0, line.first_lsn)?;
        let (dataset, sequence) = (manifest.dataset, line.sequence);
        let expected = (FileKind::Segment, dataset, line.identity, sequence, line.first_lsn);
        check_header(&path, &header, expected)?;
        let len = file.len().map_err(disk_error("measuring", &path))?;
        let end = line.end.map_or(len, |end| end.bytes);
        Ok((FrameReader::new(file, end, line.identity.seed()), path))
    }

    /// Reads and replays one frame. The outer error ends recovery, the inner one says that there is no
    /// sound frame with this LSN.
    fn replay_frame(
        &mut self,
        reader: &mut FrameReader,
        path: &Path,
        offset: u64,
        lsn: Lsn,
    ) -> Result<Result<FrameHeader, FrameDamage>, OpenError> {
        let header = match reader.frame(offset, &mut self.raw) {
            Ok(header) if header.lsn == lsn => header,
            Ok(_) => return Ok(Err(FrameDamage::OutOfOrder)),
            Err(damage) => return Ok(Err(damage)),
        };
        self.recovery.frames += 1;
        self.recovery.bytes += header.raw_bytes;
        self.last_time_ms = self.last_time_ms.max(header.time_ms);
        if header.kind == FrameKind::Commands {
            self.replay
                .commands(header.time_ms, header.db, &self.raw)
                .map_err(|reason| OpenError::Replay { path: path.into(), offset, lsn, reason })?;
        }
        Ok(Ok(header))
    }

    fn read_sealed(
        &mut self,
        reader: &mut FrameReader,
        path: &Path,
        (mut offset, mut lsn): (u64, Lsn),
        end: SegmentEnd,
    ) -> Result<(), OpenError> {
        loop {
            let damage = if offset == end.bytes && lsn == end.lsn {
                return Ok(());
            } else if offset >= end.bytes {
                FrameDamage::Truncated
            } else {
                match self.replay_frame(reader, path, offset, lsn)? {
                    Ok(header) => {
                        offset += header.frame_bytes();
                        lsn = header.end_lsn();
                        continue;
                    }
                    Err(damage) => damage,
                }
            };
            return Err(self.corrupt(reader, path, offset, lsn, end.lsn, damage));
        }
    }

    /// The error for damaged acknowledged data at `offset`, where `lsn` should be; what is lost ends
    /// at the next frame that is sound, or at `known_lsn`.
    fn corrupt(
        &self,
        reader: &mut FrameReader,
        path: &Path,
        offset: u64,
        lsn: Lsn,
        known_lsn: Lsn,
        damage: FrameDamage,
    ) -> OpenError {
        let mut from = offset;
        let mut lsn_end = known_lsn;
        let mut db = self.replay.selected_db();
        while let Some((at, header)) = reader.find_header(from) {
            let sound = reader.frame(at, &mut Vec::new()).is_ok();
            if sound && header.lsn >= lsn && at > offset {
                lsn_end = header.lsn;
                break;
            }
            if at == offset {
                db = header.db;
            }
            from = at + header.frame_bytes();
        }
        OpenError::Corrupt { path: path.into(), offset, damage, lsn, lsn_end, db }
    }

    /// Reads the segment that was being written: up to the first invalid frame, and behind it for
    /// frames that testify to what was durable.
    fn read_open(
        &mut self,
        mut reader: FrameReader,
        path: &Path,
        first_lsn: Lsn,
    ) -> Result<Tail, OpenError> {
        // A segment begins when everything before it is durable.
        let mut attested_lsn = first_lsn;
        let mut end = SegmentEnd { lsn: first_lsn, bytes: FrameReader::FIRST_OFFSET };
        let mut valid = end;
        let mut undurable = VecDeque::new();
        let damage = loop {
            match self.replay_frame(&mut reader, path, valid.bytes, valid.lsn)? {
                Ok(header) => {
                    attested_lsn = attested_lsn.max(header.durable_lsn);
                    undurable.push_back((valid.bytes, header));
                    valid.bytes += header.frame_bytes();
                    valid.lsn = header.end_lsn();
                }
                Err(damage) => break damage,
            }
            // A marker is not synced itself: one is known to be on the medium only once commands
            // behind it are, and the end that the manifest names must be.
            let is_commands = |(_, header): &(u64, FrameHeader)| header.kind == FrameKind::Commands;
            while let Some(index) = undurable.iter().position(is_commands)
                && let (at, header) = undurable[index]
                && header.end_lsn() <= attested_lsn
            {
                end = SegmentEnd { lsn: header.end_lsn(), bytes: at + header.frame_bytes() };
                undurable.drain(..=index);
            }
        };
        let written_bytes = reader.written_end(valid.bytes);
        let (mut frames, mut span_ms, mut from) = (0, 0, valid.bytes);
        while let Some((at, header)) = reader.find_header(from) {
            attested_lsn = attested_lsn.max(header.durable_lsn);
            frames += 1;
            span_ms = header.time_ms.saturating_sub(self.last_time_ms).max(span_ms);
            from = at + header.frame_bytes();
        }
        if valid.lsn < attested_lsn {
            let (offset, lsn) = (valid.bytes, valid.lsn);
            return Err(self.corrupt(&mut reader, path, offset, lsn, attested_lsn, damage));
        }
        if written_bytes > valid.bytes {
            self.recovery.cut = Some(Cut {
                file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                offset: valid.bytes,
                lsn: valid.lsn,
                bytes: written_bytes - valid.bytes,
                frames,
                span_ms,
                set_aside: PathBuf::new(),
                damage,
            });
        }
        Ok(Tail { reader, end, undurable, valid, written_bytes })
    }

    /// Without a manifest, only what a crash during the very first start leaves behind is passed over:
    /// segments without a single byte of frames.
    fn check_no_data(&self) -> Result<(), OpenError> {
        let names = self.disk.list(self.dir).map_err(disk_error("listing", self.dir))?;
        for name in names {
            let Some((kind, _)) = segment::parse_name(&name) else { continue };
            let path = self.dir.join(&name);
            let file = self.disk.open(&path).map_err(disk_error("opening", &path))?;
            let len = file.len().map_err(disk_error("measuring", &path))?;
            let first = FrameReader::FIRST_OFFSET;
            let empty = FrameReader::new(file, len, 0).written_end(first) == first;
            if kind != NameKind::Segment || !empty {
                return Err(OpenError::ManifestMissing { dir: self.dir.into(), file: name });
            }
        }
        Ok(())
    }

    /// Copies the bytes that will be cut off into a file of their own.
    fn set_aside(&mut self, manifest: &Manifest, tail: &Tail) -> Result<(), OpenError> {
        let line = manifest.segments.last().expect("a tail is a segment's");
        let source = self.open_file(&segment::segment_name(line.sequence), line.first_lsn)?;
        let name = format!("cut-{:016}-{}.bin", line.sequence, tail.valid.bytes);
        let path = self.dir.join(name);
        let copy = || -> io::Result<()> {
            let target = self.disk.create(&path)?;
            let mut buffer = vec![0; 1 << 20];
            let mut offset = tail.valid.bytes;
            while offset < tail.written_bytes {
                let count = buffer.len().min((tail.written_bytes - offset) as usize);
                // A sector that cannot be read stays zero: it is being set aside, not relied on.
                if source.read_exact_at(&mut buffer[..count], offset).is_err() {
                    buffer[..count].fill(0);
                }
                target.write_at(&buffer[..count], offset - tail.valid.bytes)?;
                offset += count as u64;
            }
            target.sync()?;
            self.disk.sync_dir(self.dir)
        };
        copy().map_err(disk_error("setting the cut bytes aside in", &path))?;
        self.recovery.cut.as_mut().expect("there is a cut").set_aside = path;
        Ok(())
    }

    /// Begins the segment that the log goes on in. Frames that nobody attests to be durable are copied
    /// into it and synced before the manifest names it: that they could be read proves nothing about
    /// the medium.
    fn begin(
        &mut self,
        mut manifest: Manifest,
        tail: Option<Tail>,
        lsn: Lsn,
        options: &Options,
        clock: &dyn Clock,
        random: &mut Random,
    ) -> Result<Writer, OpenError> {
        // Every file that the manifest lists is there, so this is above those too.
        let sequence =
            next_sequence(self.disk, self.dir).map_err(disk_error("listing", self.dir))?;
        let path = self.dir.join(segment::segment_name(sequence));

        let first_lsn = tail.as_ref().map_or(lsn, |tail| tail.end.lsn);
        if let Some(tail) = &tail {
            let last = manifest.segments.last_mut().expect("a tail is a segment's");
            last.end = Some(tail.end);
        }
        if manifest.segments.last().is_some_and(|last| last.first_lsn == first_lsn) {
            manifest.segments.pop();
        }
        let copied = tail.as_ref().map_or(0, |tail| tail.valid.bytes - tail.end.bytes);
        let needed = segment::HEADER_BYTES as u64 + copied + super::frame::HEADER_BYTES as u64;
        let size = FIRST_SEGMENT_BYTES.min(options.segment_bytes).max(needed);
        let identity = Identity::random(random);

        let build = || -> io::Result<Segment> {
            let prepared = writer::prepare(self.disk, self.dir, sequence, size, true)?;
            let header = SegmentHeader {
                kind: FileKind::Segment,
                dataset: manifest.dataset,
                identity,
                sequence,
                first_lsn,
                timeline: manifest.timeline(),
                created_ms: clock.unix_ms().max(0) as u64,
                preamble: None,
            };
            writer::begin_segment(prepared, &header)
        };
        let segment = build().map_err(disk_error("creating", &path))?;
        manifest.segments.push(segment.line(first_lsn));
        let mut writer = Writer::new(manifest, segment, sequence + 1, first_lsn, self.last_time_ms);
        if let Some(mut tail) = tail {
            let seed = identity.seed();
            while let Some((offset, mut header)) = tail.undurable.pop_front() {
                let old_seed = tail.reader.seed();
                let sum = |stored| super::frame::checksum(old_seed, stored);
                let stored = match tail.reader.stored_payload(offset, &header) {
                    // Read once more, so checked once more: its new checksum would hide a difference.
                    Ok(stored) if sum(stored) == header.payload_checksum => Ok(stored),
                    Ok(_) => Err(FrameDamage::Payload),
                    Err(damage) => Err(damage),
                };
                let stored = match stored {
                    Ok(stored) => stored,
                    // It could be read a moment ago.
                    Err(damage) => {
                        let source = io::Error::other(damage.to_string());
                        return Err(disk_error("reading again for", &path)(source));
                    }
                };
                header.payload_checksum = super::frame::checksum(seed, stored);
                header.durable_lsn = first_lsn;
                writer.write_frame(&header, stored).map_err(|error| match error {
                    WriteError::Io(error) => disk_error("writing", &path)(error),
                    WriteError::Full(_) => unreachable!("the segment was made big enough"),
                })?;
            }
            if copied > 0 {
                writer.segment.file.sync().map_err(disk_error("syncing", &path))?;
            }
        }
        debug_assert_eq!(writer.written_lsn, lsn);
        let stored = writer.manifest.store(self.disk, self.dir);
        stored.map_err(disk_error("replacing the manifest in", self.dir))?;
        writer.durable_lsn = lsn;
        writer.durable_offset = writer.segment.offset;
        // What was copied is acknowledged data from now on, and damage to it no torn tail.
        match writer.write_marker() {
            Err(WriteError::Io(error)) => Err(disk_error("writing", &path)(error)),
            _ => Ok(writer),
        }
    }
}

/// Cuts sealed files to the length that counts and removes files that the manifest does not list.
pub(super) fn remove_strays(
    disk: &dyn Disk,
    dir: &Path,
    manifest: &Manifest,
) -> Result<(), OpenError> {
    for line in &manifest.segments {
        let path = dir.join(segment::segment_name(line.sequence));
        cut_to_end(disk, &path, line).map_err(disk_error("cutting", &path))?;
    }
    for retired in &manifest.retired {
        // They take no more room than retention counts; but a start does not fail because of them.
        if let RetiredFile::Segment(line) = &retired.file {
            let _ = cut_to_end(disk, &dir.join(retired.file.name()), line);
        }
    }
    let listed: Vec<String> = manifest.all_names().collect();
    let names = disk.list(dir).map_err(disk_error("listing", dir))?;
    for name in names {
        let ours = segment::parse_name(&name).is_some() || name == manifest::TEMPORARY_NAME;
        if ours && !listed.contains(&name) {
            let path = dir.join(&name);
            disk.remove(&path).map_err(disk_error("removing", &path))?;
        }
    }
    Ok(())
}

/// Cuts off what lies behind a sealed segment's end.
fn cut_to_end(disk: &dyn Disk, path: &Path, line: &SegmentLine) -> io::Result<()> {
    let Some(end) = line.end else { return Ok(()) };
    let file = disk.open(path)?;
    if file.len()? > end.bytes {
        file.set_len(end.bytes)?;
    }
    Ok(())
}

/// A sequence that no file in `dir` has.
pub(super) fn next_sequence(disk: &dyn Disk, dir: &Path) -> io::Result<u64> {
    let names = disk.list(dir)?;
    let taken = names.iter().filter_map(|name| segment::parse_name(name)).map(|(_, s)| s);
    Ok(taken.max().map_or(1, |last| last + 1))
}

fn check_header(
    path: &Path,
    header: &SegmentHeader,
    (kind, dataset, identity, sequence, first_lsn): (FileKind, Identity, Identity, u64, Lsn),
) -> Result<(), OpenError> {
    let field = if header.kind != kind {
        "the kind of file"
    } else if header.dataset != dataset {
        "the data set"
    } else if header.identity != identity {
        "the identity"
    } else if header.sequence != sequence {
        "the sequence"
    } else if header.first_lsn != first_lsn {
        "the first LSN"
    } else {
        return Ok(());
    };
    Err(OpenError::Foreign { path: path.into(), field, lsn: first_lsn })
}

#[allow(clippy::too_many_arguments)] // All of it is state that both ways to a log have made.
pub(super) fn new_log(
    dir: &Path,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    random: Random,
    options: Options,
    writer: Writer,
    db: u32,
    lock: Box<dyn Lock>,
) -> Log {
    let lsn = writer.written_lsn;
    Log {
        dir: dir.into(),
        disk,
        clock,
        random: Mutex::new(random),
        durability: (options.durability as u8).into(),
        retention: Mutex::new(options.retention),
        options,
        commit: Mutex::new(Commit::new(lsn, db)),
        shape: Mutex::new(Shape::of(&writer.manifest)),
        segment_bytes: writer.segment.offset.into(),
        writer: Mutex::new(writer),
        writer_busy: 0.into(),
        appended: lsn.into(),
        drained: lsn.into(),
        durable: lsn.into(),
        oldest_us: NOTHING.into(),
        roll_wanted: 0.into(),
        sync_wanted: 0.into(),
        prepare_wanted: false.into(),
        prepare_error: Mutex::new(None),
        failure: Mutex::new(None),
        failed: false.into(),
        heal_at_us: 0.into(),
        refusing: false.into(),
        closing: false.into(),
        work: Mutex::new(false),
        work_added: Condvar::new(),
        prepare_lock: Mutex::new(()),
        prepare_added: Condvar::new(),
        retired: Mutex::new(false),
        retired_added: Condvar::new(),
        uncompressible: Mutex::new(BTreeSet::new()),
        listeners: Mutex::new(Arc::new([])),
        stats: Mutex::new(SyncStats::default()),
        lock: Mutex::new(Some(lock)),
    }
}
