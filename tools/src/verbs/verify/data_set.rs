//! A data set: its manifest, the headers of its files, and who checks the rest of them.

use super::base::{check_block, check_unindexed};
use super::finding::Finding;
use super::{Report, deep, frames};
use crate::blocks::Blocks;
use crate::frames::Frames;
use crate::output::{Failure, Output};
use mainstay::disk::{Disk, File};
use mainstay::log::manifest::{BaseLine, ManifestError, RetiredFile, SegmentLine};
use mainstay::log::reader::FrameReader;
use mainstay::log::segment::frames_header_offset;
use mainstay::log::segment::{
    self, FileKind, HEADER_BYTES, Identity, SegmentHeader, base_name, segment_name,
};
use mainstay::log::{Lsn, OpenError, View, manifest};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many blocks one piece of work has.
const BLOCKS_AT_ONCE: usize = 16;

/// Work for one thread.
enum Piece {
    /// Some blocks of a base.
    Blocks(Arc<Blocks>, usize),
    /// The blocks of a base whose index cannot be used: how long the RDB is, and where the index begins if that is known.
    Unindexed(String, Arc<dyn File>, (u64, Option<u64>)),
    /// All frames of a file.
    Frames(Frames),
    /// All frames of a compressed segment, which has to be decompressed first.
    Compressed(RetiredFile, SegmentLine),
}

/// Checks the data set in `dir`, and with `deep` executes it.
pub fn check(disk: &dyn Disk, dir: &Path, deep: bool, output: &Output) -> Result<Report, Failure> {
    let (view, damaged) = match View::open(disk, dir) {
        Ok(mut view) => {
            view.find_displaced(disk).map_err(Failure::new)?;
            (view, None)
        }
        Err(OpenError::Manifest { source, path }) => {
            refuse_manifest(&path, &source)?;
            let finding = Finding::at(manifest::NAME, 0, source);
            match View::rebuilt(disk, dir) {
                Ok(view) => (view, Some(finding)),
                // No file has a header that can be read.
                Err(OpenError::Manifest { .. }) => {
                    let kind = "Mainstay data directory".to_owned();
                    let findings = vec![finding];
                    let mut report = Report { kind, files: 1, findings, ..Report::default() };
                    deep::not_executed(&mut report, "there is nothing to execute");
                    return Ok(report);
                }
                Err(error) => return Err(Failure::new(error)),
            }
        }
        Err(error) => return Err(Failure::new(error)),
    };
    refuse_unopened(&view)?;
    let mut report = check_view(&view, "Mainstay data directory", output)?;
    if let Some(finding) = damaged {
        report.findings.insert(0, finding);
        report.remarks.push(
            "the manifest cannot be used: the rest was checked as the headers of the files tell it"
                .to_owned(),
        );
        rebuilt(&view, &mut report);
    }
    report.files += 1;
    unlisted(disk, &view, &mut report)?;
    match deep {
        true => deep::execute(&view, &mut report, output)?,
        false => deep::not_executed(&mut report, "--deep does that"),
    }
    Ok(report)
}

/// A manifest that cannot be read, or that a later version wrote, is not damaged for that.
pub fn refuse_manifest(path: &Path, source: &ManifestError) -> Result<(), Failure> {
    let path = path.display();
    match source {
        ManifestError::Unreadable(_) => Err(Failure::new(format_args!("{path}: {source}"))),
        ManifestError::Version(_) => {
            Err(Failure::new(format_args!("{path}: written by a newer version: {source}")))
        }
        ManifestError::Missing | ManifestError::Damaged(_) => Ok(()),
    }
}

/// What cannot be opened is not damaged for that: there may be no permission, or no descriptor left.
pub fn refuse_unopened(view: &View) -> Result<(), Failure> {
    match view.unopened() {
        None => Ok(()),
        Some((name, error)) => {
            let path = view.dir().join(name);
            Err(Failure::new(format_args!("opening {} failed: {error}", path.display())))
        }
    }
}

/// Checks the files of a view.
pub fn check_view(view: &View, kind: &str, output: &Output) -> Result<Report, Failure> {
    let mut checker = Checker { view, report: Report::default(), pieces: Vec::new() };
    checker.report.kind = kind.to_owned();
    let manifest = view.manifest();
    for line in &manifest.retired {
        match &line.file {
            RetiredFile::Base(base) => checker.base(base),
            RetiredFile::Segment(segment) => checker.segment(segment),
            RetiredFile::CompressedSegment { segment, .. } => {
                if checker.exists(&line.file.name(), (segment.first_lsn, end_lsn(segment))) {
                    checker.report.files += 1;
                    let piece = Piece::Compressed(line.file.clone(), segment.clone());
                    checker.pieces.push(piece);
                }
            }
        }
    }
    manifest.base.iter().for_each(|base| checker.base(base));
    for (name, place) in view.displaced() {
        let damage = format!(
            "it lies under the name {place}, as its header tells: nothing of it is lost for that"
        );
        checker.report.findings.push(Finding::at(name, 0, damage));
    }
    let mut lsn = manifest.base.as_ref().map_or(0, |base| base.end_lsn);
    for segment in &manifest.segments {
        // Only if the manifest was rebuilt from headers, or a single segment is checked.
        if segment.first_lsn > lsn && manifest.segments.len() + manifest.retired.len() > 1 {
            let mut finding =
                Finding::at(&segment_name(segment.sequence), 0, "the segment before it is missing");
            finding.lsn = Some((lsn, segment.first_lsn));
            checker.report.findings.push(finding);
        }
        checker.segment(segment);
        lsn = end_lsn(segment);
    }
    let Checker { mut report, pieces, .. } = checker;
    let bytes = manifest.all_names().filter_map(|name| view.file(&name).ok()?.len().ok()).sum();
    let bar = output.bar("verifying", bytes);
    run(view, pieces, &mut report, &|bytes| bar.advance(bytes))?;
    report.findings.sort_by(|a, b| (&a.file, a.offset).cmp(&(&b.file, b.offset)));
    if view.is_live() {
        report.remarks.push(format!(
            "a server has it open: checked up to LSN {}, below which everything is known to be durable",
            view.end().lsn
        ));
    }
    Ok(report)
}

fn end_lsn(segment: &SegmentLine) -> Lsn {
    segment.end.map_or(segment.first_lsn, |end| end.lsn)
}

/// Says what is not known without the manifest.
fn rebuilt(view: &View, report: &mut Report) {
    let Some(rebuilt) = view.rebuild_report() else { return };
    for name in &rebuilt.unknown {
        let text = "the file header is damaged, and there is no manifest that would say what the file holds";
        report.findings.push(Finding::at(name, 0, text));
    }
    if !rebuilt.is_end_known {
        report
            .remarks
            .push("it is unknown whether the log continued after the last segment".to_owned());
    }
}

/// Says which files there are that the manifest does not list.
fn unlisted(disk: &dyn Disk, view: &View, report: &mut Report) -> Result<(), Failure> {
    if view.is_live() {
        return Ok(());
    }
    let dir = view.dir();
    let mut known: Vec<String> = view.manifest().all_names().collect();
    known.extend(view.displaced().values().cloned());
    known.extend(view.rebuild_report().into_iter().flat_map(|rebuilt| rebuilt.unknown.clone()));
    let what = match view.rebuild_report() {
        Some(_) => "belongs to nothing that the headers tell of",
        None => "is not listed in the manifest; a start removes it",
    };
    for name in disk.list(dir).map_err(Failure::doing("listing", dir.display()))? {
        if segment::parse_name(&name).is_some() && !known.contains(&name) {
            report.remarks.push(format!("{name} {what}"));
        }
    }
    Ok(())
}

struct Checker<'a> {
    view: &'a View,
    report: Report,
    pieces: Vec<Piece>,
}

impl Checker<'_> {
    /// Whether a file can be opened; if not, that is damage.
    fn exists(&mut self, name: &str, lsn: (Lsn, Lsn)) -> bool {
        let Err(error) = self.view.file(name) else { return true };
        let missing = error.kind() == io::ErrorKind::NotFound;
        let damage = if missing { "the file is missing".to_owned() } else { error.to_string() };
        let mut finding = Finding::at(name, 0, damage);
        finding.lsn = Some(lsn);
        self.report.findings.push(finding);
        false
    }

    /// The header at `offset`, if it is sound and the one that the manifest lists.
    fn header(
        &mut self,
        name: &str,
        file: &dyn File,
        offset: u64,
        (kind, identity, sequence, first_lsn): (FileKind, Identity, u64, Lsn),
    ) -> Option<SegmentHeader> {
        let damage = match SegmentHeader::read(file, offset) {
            Err(error) => format!("the header cannot be read: {error}"),
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(header))
                if (header.kind, header.dataset) == (kind, self.view.manifest().dataset)
                    && (header.identity, header.sequence) == (identity, sequence)
                    && header.first_lsn == first_lsn =>
            {
                return Some(header);
            }
            Ok(Ok(_)) => "the header is that of another file than the manifest lists".to_owned(),
        };
        let mut finding = Finding::at(name, offset, damage);
        finding.bytes = HEADER_BYTES as u64;
        self.report.findings.push(finding);
        None
    }

    fn base(&mut self, line: &BaseLine) {
        let name = base_name(line.sequence);
        if !self.exists(&name, (0, line.end_lsn)) {
            let finding =
                self.report.findings.last_mut().expect("it says that there is no such file");
            finding.damage.push_str(": all keys in it are lost");
            if line.end_lsn == 0 {
                finding.lsn = None;
            }
            return;
        }
        self.report.files += 1;
        let Ok(file) = self.view.file(&name) else { return };
        let Ok(len) = file.len() else { return };
        if len > line.bytes {
            let mut finding = Finding::at(&name, line.bytes, "bytes behind the end of the base");
            finding.bytes = len - line.bytes;
            self.report.findings.push(finding);
        }
        let at = frames_header_offset(line.preamble_bytes);
        let expected = (FileKind::Base, line.identity, line.sequence, line.lsn);
        let header = self.header(&name, &*file, at, expected);
        let mut padding = vec![0; (at - line.preamble_bytes) as usize];
        if file.read_exact_at(&mut padding, line.preamble_bytes).is_ok()
            && let Some(wrong) = padding.iter().position(|&byte| byte != 0)
        {
            let text = "bytes behind the RDB that should be zero";
            let offset = line.preamble_bytes + wrong as u64;
            self.report.findings.push(Finding::at(&name, offset, text));
        }
        let (preamble, created_ms) = match &header {
            Some(header) => (header.preamble, header.created_ms),
            None => (None, u64::MAX),
        };
        let preamble = preamble.filter(|it| it.bytes == line.preamble_bytes);
        let blocks = match preamble {
            Some(preamble) => match Blocks::open(&name, &file, &preamble, created_ms) {
                Ok(blocks) => Some(blocks),
                Err(damage) => {
                    let text = format!("the index of blocks: {damage}");
                    let mut finding = Finding::at(&name, preamble.index_offset, text);
                    finding.bytes = preamble.bytes - preamble.index_offset.min(preamble.bytes);
                    self.report.findings.push(finding);
                    None
                }
            },
            None => {
                if header.is_some() {
                    let text =
                        "the header does not say the length of the RDB that the manifest says";
                    self.report.findings.push(Finding::at(&name, at, text));
                }
                Blocks::search(&name, &file, line.preamble_bytes)
            }
        };
        match blocks {
            Some(blocks) => {
                let blocks = Arc::new(blocks);
                let firsts = (0..blocks.blocks.len()).step_by(BLOCKS_AT_ONCE);
                self.pieces.extend(firsts.map(|first| Piece::Blocks(blocks.clone(), first)));
            }
            None => {
                let places = (line.preamble_bytes, preamble.map(|it| it.index_offset));
                self.pieces.push(Piece::Unindexed(name, file.clone(), places));
            }
        }
        self.pieces.push(Piece::Frames(Frames::of_base(file, line)));
    }

    fn segment(&mut self, line: &SegmentLine) {
        let name = segment_name(line.sequence);
        if !self.exists(&name, (line.first_lsn, end_lsn(line))) {
            return;
        }
        self.report.files += 1;
        let Ok(file) = self.view.file(&name) else { return };
        let Ok(len) = file.len() else { return };
        let expected = (FileKind::Segment, line.identity, line.sequence, line.first_lsn);
        self.header(&name, &*file, 0, expected);
        if line.end.is_some_and(|end| len > end.bytes) && !self.view.is_live() {
            self.behind_the_end(&name, &file, line, len);
        }
        let frames = Frames::of_segment(self.view, file, line);
        self.pieces.push(Piece::Frames(frames));
    }

    /// Looks at what lies behind the end of a sealed segment: what a close or a roll that was interrupted leaves there is zeros and
    /// frames that had not been acknowledged, or markers. The next start cuts it off.
    fn behind_the_end(&mut self, name: &str, file: &Arc<dyn File>, line: &SegmentLine, len: u64) {
        let Some(end) = line.end else { return };
        let mut reader = FrameReader::new(file.clone(), len, line.identity.seed());
        let (mut offset, mut raw) = (end.bytes, Vec::new());
        while let Ok(header) = reader.frame(offset, &mut raw)
            && header.lsn >= end.lsn
        {
            offset += header.frame_bytes();
        }
        let written = reader.written_end(offset);
        if written > offset {
            let text =
                "bytes behind the segment's end that do not belong there; a start cuts them off";
            let mut finding = Finding::at(name, offset, text);
            finding.bytes = written - offset;
            self.report.findings.push(finding);
        }
    }
}

/// Does all pieces, on all cores.
fn run(
    view: &View,
    pieces: Vec<Piece>,
    report: &mut Report,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(), Failure> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Result<Report, Failure>>> = Mutex::new(Vec::new());
    let work = || {
        let mut done = Report::default();
        let outcome = loop {
            let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) else {
                break Ok(done);
            };
            if let Err(failure) = check_piece(view, piece, &mut done, progress) {
                break Err(failure);
            }
        };
        results.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(outcome);
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        (1..threads.min(pieces.len())).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    for done in results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        let done = done?;
        report.bytes += done.bytes;
        report.frames += done.frames;
        report.blocks += done.blocks;
        report.base_keys += done.base_keys;
        report.findings.extend(done.findings);
        report.remarks.extend(done.remarks);
    }
    Ok(())
}

fn check_piece(
    view: &View,
    piece: &Piece,
    report: &mut Report,
    progress: &dyn Fn(u64),
) -> Result<(), Failure> {
    let check_frames = |frames: &Frames, findings: &mut Vec<Finding>| {
        frames::check(frames, findings, progress).map_err(Failure::doing("reading", &frames.name))
    };
    match piece {
        Piece::Blocks(blocks, first) => {
            for index in *first..(first + BLOCKS_AT_ONCE).min(blocks.blocks.len()) {
                let range = blocks.range(index);
                if let Some(keys) = check_block(blocks, index, &mut report.findings) {
                    report.blocks += 1;
                    report.base_keys += keys;
                }
                report.bytes += range.end - range.start;
                progress(range.end - range.start);
            }
        }
        Piece::Unindexed(name, file, places) => {
            check_unindexed(name, file, *places, report);
            progress(places.0);
        }
        Piece::Frames(frames) => {
            let counts = check_frames(frames, &mut report.findings)?;
            report.frames += counts.frames;
            report.bytes += counts.bytes;
        }
        Piece::Compressed(file, line) => match view.retired(file) {
            Ok(raw) => {
                let header = SegmentHeader::read(&*raw, 0).ok().and_then(Result::ok);
                if header.is_none_or(|header| header.identity != line.identity) {
                    let text = "the segment in it is not the one that the manifest lists";
                    report.findings.push(Finding::at(&file.name(), 0, text));
                }
                let frames = Frames { name: file.name(), ..Frames::of_segment(view, raw, line) };
                let counts = check_frames(&frames, &mut report.findings)?;
                report.frames += counts.frames;
                report.bytes += file.bytes();
            }
            Err(error) => {
                let mut finding = Finding::at(&file.name(), 0, error);
                finding.bytes = file.bytes();
                finding.lsn = Some((line.first_lsn, end_lsn(line)));
                report.findings.push(finding);
            }
        },
    }
    Ok(())
}
