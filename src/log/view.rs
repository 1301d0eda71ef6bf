//! A read-only view of a data set, which a server may have open.
//!
//! All files of one manifest are held, so that they stay readable when the server no longer needs
//! them: a removed file stays readable while it is open, and a held file is not recycled
//! ([`Disk::hold`]).

use super::lsn::{Lsn, Until};
use super::manifest::{self, BaseLine, Manifest, RetiredFile, SegmentEnd, SegmentLine};
use super::read::Reading;
use super::reader::FrameReader;
use super::rebuilt::{RebuildReport, Rebuilt};
use super::recovery::{OpenError, Recovery, Replay, disk_error};
use super::retired::decompressed;
use super::segment::{self, FileKind, NameKind, SegmentHeader};
use super::{directory, rebuilt};
use crate::disk::{Disk, File};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How often the manifest is read again because files that it lists are gone.
const ATTEMPTS_MAX: usize = 20;

/// The files of one manifest, held.
pub struct View {
    dir: PathBuf,
    manifest: Manifest,
    files: BTreeMap<String, Arc<dyn File>>,
    /// Files that cannot be opened, with the error.
    missing: BTreeMap<String, io::Error>,
    /// Files that have another name than their own, and that name.
    displaced: BTreeMap<String, String>,
    /// Everything below is durable; set if a server has the data set open.
    durable_lsn: Option<Lsn>,
    /// Facts found while the manifest was rebuilt, if it was.
    report: Option<RebuildReport>,
}

impl View {
    /// Holds the files of the data set in `dir`. Missing files are recorded: see [`View::missing`].
    ///
    /// # Errors
    /// If the manifest cannot be used, and those of the disk.
    pub fn open(disk: &dyn Disk, dir: &Path) -> Result<Self, OpenError> {
        let mut view = Self::open_locked(disk, dir)?;
        let lock = view.dir.join(directory::LOCK_NAME);
        if disk.is_locked(&lock).map_err(disk_error("looking at", &lock))? {
            view.durable_lsn = Some(view.attested_lsn());
        }
        Ok(view)
    }

    /// As [`View::open`], for a caller that holds the lock of the data set.
    ///
    /// # Errors
    /// As [`View::open`].
    pub fn open_locked(disk: &dyn Disk, dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(manifest::NAME);
        let load = || {
            Manifest::load(disk, dir)
                .map_err(|source| OpenError::Manifest { path: path.clone(), source })
        };
        let mut manifest = load()?;
        for _ in 0..ATTEMPTS_MAX {
            let (files, missing) = hold_all(disk, dir, &manifest);
            let again = load()?;
            // A file that was recycled or removed while being opened is no longer listed.
            if again == manifest || missing.is_empty() {
                let (dir, displaced, durable_lsn) = (dir.to_owned(), BTreeMap::new(), None);
                let report = None;
                return Ok(Self { dir, manifest, files, missing, displaced, durable_lsn, report });
            }
            manifest = again;
        }
        let source = io::Error::other("its files change faster than they can be opened");
        Err(disk_error("opening the files of", dir)(source))
    }

    /// Holds the files of a data set whose manifest is damaged or missing, with a manifest rebuilt
    /// from the headers of the files. No process may have it open.
    ///
    /// # Errors
    /// If there is no file whose header can be read, or one of another version, and those of the
    /// disk.
    pub fn rebuilt(disk: &dyn Disk, dir: &Path) -> Result<Self, OpenError> {
        let Rebuilt { manifest, report, files, displaced } = rebuilt::rebuild(disk, dir)?;
        let (dir, missing, report) = (dir.to_owned(), BTreeMap::new(), Some(report));
        Ok(Self { dir, manifest, files, missing, displaced, durable_lsn: None, report })
    }

    /// Searches all names for files that are missing or replaced by another file: the identity in
    /// the header identifies a file. Compressed segments have none.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn find_displaced(&mut self, disk: &dyn Disk) -> Result<(), OpenError> {
        let retired = self.manifest.retired.iter().map(|line| line.file.clone());
        let base = self.manifest.base.iter().cloned().map(RetiredFile::Base);
        let segments = self.manifest.segments.iter().cloned().map(RetiredFile::Segment);
        let mut wanted: BTreeMap<[u8; 16], String> = BTreeMap::new();
        for listed in retired.chain(base).chain(segments) {
            let (offset, identity) = match &listed {
                RetiredFile::Base(line) => {
                    (segment::frames_header_offset(line.preamble_bytes), line.identity)
                }
                RetiredFile::Segment(line) => (0, line.identity),
                RetiredFile::CompressedSegment { .. } => continue,
            };
            let name = listed.name();
            let is_elsewhere = match (self.files.get(&name), self.missing.get(&name)) {
                // A file with a damaged header may still be the right one.
                (Some(file), _) => SegmentHeader::read(&**file, offset)
                    .is_ok_and(|read| read.is_ok_and(|header| header.identity != identity)),
                (None, Some(error)) => error.kind() == io::ErrorKind::NotFound,
                (None, None) => false,
            };
            if is_elsewhere {
                wanted.insert(identity.0, name);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        for other in disk.list(&self.dir).map_err(disk_error("listing", &self.dir))? {
            let kind = match segment::parse_name(&other) {
                Some((kind, _)) if kind != NameKind::CompressedSegment => kind,
                _ => continue,
            };
            let path = self.dir.join(&other);
            let file = match disk.hold(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(disk_error("opening", &path)(error)),
            };
            if let Ok(Some(header)) = rebuilt::header_of(&*file, kind)
                && let Some(name) = wanted.remove(&header.identity.0)
            {
                self.missing.remove(&name);
                self.files.insert(name.clone(), file);
                self.displaced.insert(name, other);
            }
        }
        Ok(())
    }

    /// Files that have another name than their own, and that name.
    pub fn displaced(&self) -> &BTreeMap<String, String> {
        &self.displaced
    }

    /// Holds a single base, as a data set of its own.
    ///
    /// # Errors
    /// If it is none, and those of the disk.
    pub fn of_base(disk: &dyn Disk, path: &Path, header_offset: u64) -> Result<Self, OpenError> {
        let file = disk.hold(path).map_err(disk_error("opening", path))?;
        let header = read_header(&*file, path, header_offset)?;
        let (FileKind::Base, Some(preamble)) = (header.kind, header.preamble) else {
            let (path, field) = (path.to_owned(), "the kind of file");
            return Err(OpenError::Foreign { path, field, lsn: header.first_lsn });
        };
        let len = file.len().map_err(disk_error("measuring", path))?;
        let mut reader = FrameReader::new(file.clone(), len, header.identity.seed());
        let first = segment::frames_header_offset(preamble.bytes) + FrameReader::FIRST_OFFSET;
        let last = reader.headers((first, header.first_lsn)).last();
        let end_lsn = last.map_or(header.first_lsn, |(_, frame)| frame.end_lsn());
        let line = BaseLine {
            sequence: header.sequence,
            identity: header.identity,
            lsn: header.first_lsn,
            preamble_bytes: preamble.bytes,
            end_lsn,
            bytes: len,
        };
        let name = segment::base_name(header.sequence);
        Ok(Self::of_file(path, &header, name, file, (Some(line), Vec::new())))
    }

    /// Holds a single segment.
    ///
    /// # Errors
    /// If it is none, and those of the disk.
    pub fn of_segment(disk: &dyn Disk, path: &Path) -> Result<Self, OpenError> {
        let file = disk.hold(path).map_err(disk_error("opening", path))?;
        let header = read_header(&*file, path, 0)?;
        let (sequence, identity, first_lsn) = (header.sequence, header.identity, header.first_lsn);
        // Without a manifest, a segment that ends right after a frame is sealed: an open one has
        // space after its last frame.
        let len = file.len().map_err(disk_error("measuring", path))?;
        let mut reader = FrameReader::new(file.clone(), len, identity.seed());
        let last = reader.headers((FrameReader::FIRST_OFFSET, first_lsn)).last();
        let after_last = last.map(|(at, frame)| (at + frame.frame_bytes(), frame.end_lsn()));
        let (bytes, lsn) = after_last.unwrap_or((FrameReader::FIRST_OFFSET, first_lsn));
        let end = (bytes == len).then_some(SegmentEnd { lsn, bytes });
        let line = SegmentLine { sequence, identity, first_lsn, end };
        let name = segment::segment_name(sequence);
        Ok(Self::of_file(path, &header, name, file, (None, vec![line])))
    }

    fn of_file(
        path: &Path,
        header: &SegmentHeader,
        name: String,
        file: Arc<dyn File>,
        (base, segments): (Option<BaseLine>, Vec<SegmentLine>),
    ) -> Self {
        let (timelines, retired) = (vec![header.timeline], Vec::new());
        Self {
            dir: path.parent().unwrap_or(Path::new("")).to_owned(),
            manifest: Manifest { dataset: header.dataset, timelines, retired, base, segments },
            files: BTreeMap::from([(name, file)]),
            missing: BTreeMap::new(),
            displaced: BTreeMap::new(),
            durable_lsn: None,
            report: None,
        }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The manifest of the held files.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Facts found while the manifest was rebuilt, if it was.
    pub fn rebuild_report(&self) -> Option<&RebuildReport> {
        self.report.as_ref()
    }

    /// Whether a server has the data set open.
    pub fn is_live(&self) -> bool {
        self.durable_lsn.is_some()
    }

    /// The latest end of reading. If a server has the data set open: the LSN below which everything
    /// was durable when the files were opened.
    pub fn end(&self) -> Until {
        Until { lsn: self.durable_lsn.unwrap_or(Lsn::MAX), ..Until::END }
    }

    /// The files that could not be opened, with the errors.
    pub fn missing(&self) -> impl Iterator<Item = (&str, &io::Error)> {
        self.missing.iter().map(|(name, error)| (name.as_str(), error))
    }

    /// A file that exists and cannot be opened, for lack of permissions or descriptors, with the
    /// error: this is no damage.
    pub fn unopened(&self) -> Option<(&str, &io::Error)> {
        self.missing().find(|(_, error)| error.kind() != io::ErrorKind::NotFound)
    }

    /// The file of this name, as it is on the disk.
    ///
    /// # Errors
    /// If it could not be opened or is not listed.
    pub fn file(&self, name: &str) -> io::Result<Arc<dyn File>> {
        match (self.files.get(name), self.missing.get(name)) {
            (Some(file), _) => Ok(file.clone()),
            (None, Some(error)) => Err(io::Error::new(error.kind(), error.to_string())),
            (None, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The file of the base, if there is a base.
    pub fn base(&self) -> Option<io::Result<Arc<dyn File>>> {
        let line = self.manifest.base.as_ref()?;
        Some(self.file(&segment::base_name(line.sequence)))
    }

    /// A retired file for reading. A compressed segment is decompressed into memory.
    ///
    /// # Errors
    /// Those of the disk, and `InvalidData` if a compressed file does not match the manifest or is
    /// damaged.
    pub fn retired(&self, retired: &RetiredFile) -> io::Result<Arc<dyn File>> {
        decompressed(self.file(&retired.name())?, retired)
    }

    /// The file of a base or segment by its current or former name.
    fn by_name(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let found = self.file(name);
        if found.is_ok() {
            return found;
        }
        let compressed = self.manifest.retired.iter().find(|line| match &line.file {
            RetiredFile::CompressedSegment { segment, .. } => {
                segment::segment_name(segment.sequence) == name
            }
            _ => false,
        });
        compressed.map_or(found, |line| self.retired(&line.file))
    }

    /// The ways to read the data set, each as a manifest of a base and everything after it. The
    /// first is that of a start; the older ones begin with retired bases, or without a base.
    pub fn histories(&self) -> Vec<Manifest> {
        let mut histories = vec![self.manifest.clone()];
        let mut segments = self.manifest.segments.clone();
        let retired = &self.manifest.retired;
        for group in retired.chunk_by(|a, b| a.time_ms == b.time_ms).rev() {
            let (mut base, mut before) = (None, Vec::new());
            for line in group {
                match &line.file {
                    RetiredFile::Base(line) => base = Some(line.clone()),
                    RetiredFile::Segment(segment)
                    | RetiredFile::CompressedSegment { segment, .. } => {
                        before.push(segment.clone());
                    }
                }
            }
            before.append(&mut segments);
            segments = before;
            let history = Manifest { base, segments: segments.clone(), ..self.manifest.clone() };
            // Everything before a gap is useless.
            if history.check().is_err() {
                break;
            }
            histories.push(history);
        }
        histories
    }

    /// Reads one of the [histories](View::histories) from its beginning to `until` or
    /// [`View::end`], whichever is first.
    ///
    /// # Errors
    /// If something in that range is damaged, missing or cannot be replayed.
    pub fn read(
        &self,
        history: &Manifest,
        until: Until,
        replay: &mut dyn Replay,
    ) -> Result<Recovery, OpenError> {
        let end = self.end();
        let until = Until { lsn: until.lsn.min(end.lsn), time_ms: until.time_ms };
        let files = |name: &str| self.by_name(name);
        let mut reading = Reading::new(&self.dir, &files, replay, until);
        reading.read(history)?;
        let mut recovery = reading.recovery;
        recovery.time_ms = reading.last_time_ms;
        Ok(recovery)
    }

    /// The time by which everything before the base of `history` was written (Unix ms).
    ///
    /// # Errors
    /// If the base cannot be read.
    pub fn base_time_ms(&self, history: &Manifest) -> Result<u64, OpenError> {
        let Some(line) = &history.base else { return Ok(0) };
        let name = segment::base_name(line.sequence);
        let path = self.dir.join(&name);
        let file = self.by_name(&name).map_err(disk_error("opening", &path))?;
        let at = segment::frames_header_offset(line.preamble_bytes);
        Ok(read_header(&*file, &path, at)?.created_ms)
    }

    /// The LSN below which everything is durable, as recorded in the headers of the open segment's
    /// frames.
    fn attested_lsn(&self) -> Lsn {
        let Some(line) = self.manifest.segments.last() else {
            return self.manifest.base.as_ref().map_or(0, |base| base.end_lsn);
        };
        let mut attested = line.end.map_or(line.first_lsn, |end| end.lsn);
        let Ok(file) = self.file(&segment::segment_name(line.sequence)) else { return attested };
        let Ok(len) = file.len() else { return attested };
        let mut reader = FrameReader::new(file, len, line.identity.seed());
        let mut offset = FrameReader::FIRST_OFFSET;
        // Also after damage: what a header attests must be readable, otherwise it is reported as
        // damage.
        while let Some((at, header)) = reader.find_header(offset) {
            attested = attested.max(header.durable_lsn);
            offset = at + header.frame_bytes();
        }
        attested
    }
}

/// Open files by name, and the errors of the others.
type Held = (BTreeMap<String, Arc<dyn File>>, BTreeMap<String, io::Error>);

fn hold_all(disk: &dyn Disk, dir: &Path, manifest: &Manifest) -> Held {
    let (mut files, mut missing) = (BTreeMap::new(), BTreeMap::new());
    for name in manifest.all_names() {
        match disk.hold(&dir.join(&name)) {
            Ok(file) => drop(files.insert(name, file)),
            Err(error) => drop(missing.insert(name, error)),
        }
    }
    (files, missing)
}

fn read_header(file: &dyn File, path: &Path, offset: u64) -> Result<SegmentHeader, OpenError> {
    let read = SegmentHeader::read(file, offset).map_err(disk_error("reading", path))?;
    read.map_err(|source| OpenError::Header { path: path.into(), offset, source, lsn: 0 })
}
