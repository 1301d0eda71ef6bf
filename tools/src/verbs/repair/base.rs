//! What the copy begins with: the blocks of a base that are sound, or an older base.

use super::report::{LostBlock, Report};
use crate::blocks::{Blocks, decode_block, scan_blocks};
use crate::frames::Frames;
use crate::output::{self, Failure, Output};
use mainstay::disk::File;
use mainstay::log::base::frames_header_offset;
use mainstay::log::manifest::{BaseLine, Manifest};
use mainstay::log::scan::Found;
use mainstay::log::segment::{SegmentHeader, base_name};
use mainstay::log::{Lost, Lsn, SalvageWriter, View};
use mainstay::rdb::Target;
use mainstay::rdb::blocks::{FileWriter, Sink};
use mainstay::rdb::file;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// So many keys of a lost block are named.
const NAMES_MAX: usize = 100;
/// Bytes of the checksum at the end of an RDB.
const CHECKSUM_BYTES: u64 = 8;

/// What the copy begins with.
pub struct Begin {
    /// The base and the segments behind it that were chosen.
    pub history: Manifest,
    /// What can be saved of the base.
    base: Option<Base>,
}

/// What can be saved of a base.
struct Base {
    line: BaseLine,
    file: Arc<dyn File>,
    blocks: Blocks,
    /// Which of them are sound; without an index nobody knows.
    sound: Vec<bool>,
    /// What is lost, so far as there is more to say than which blocks are not sound.
    lost: Vec<LostBlock>,
    /// The index was not there, so blocks were found by reading.
    is_scanned: bool,
}

impl Base {
    /// Looks at all of a base. `None` if nothing can be saved of it.
    fn assess(view: &View, line: &BaseLine, output: &Output) -> Option<Self> {
        let name = base_name(line.sequence);
        let file = view.file(&name).ok()?;
        let at = frames_header_offset(line.preamble_bytes);
        let header = SegmentHeader::read(&*file, at).ok().and_then(Result::ok);
        let header = header.filter(|header| header.identity == line.identity);
        let created_ms = header.as_ref().map_or(0, |header| header.created_ms);
        let preamble = header.and_then(|header| header.preamble);
        let preamble = preamble.filter(|preamble| preamble.bytes == line.preamble_bytes);
        let index_offset = preamble.map(|preamble| preamble.index_offset);
        let opened = preamble.and_then(|it| Blocks::open(&name, &file, &it, created_ms).ok());
        let (blocks, lost, is_scanned) = match opened {
            Some(blocks) => (blocks, Vec::new(), false),
            None => {
                let (blocks, lost) = scan_blocks(&name, &file, line.preamble_bytes, index_offset)?;
                (blocks, lost.into_iter().collect(), true)
            }
        };
        let bar = output.bar("checking the base", blocks.end);
        let mut sound = Vec::with_capacity(blocks.blocks.len());
        for (index, block) in blocks.blocks.iter().enumerate() {
            let range = blocks.range(index);
            sound.push(blocks.read(index).is_ok_and(|bytes| block.is_sound(&bytes)));
            bar.advance(range.end - range.start);
        }
        let (line, file) = (line.clone(), file.clone());
        Some(Self { line, file, blocks, sound, lost, is_scanned })
    }

    fn is_whole(&self) -> bool {
        self.lost.is_empty() && !self.is_scanned && self.sound.iter().all(|&sound| sound)
    }

    /// Whether any keys can be saved.
    fn has_any(&self) -> bool {
        self.sound.iter().any(|&sound| sound)
    }

    /// Writes the sound blocks as a new RDB. Gives where its index begins, the checksum from there on, and its last bytes.
    fn copy(&self, sink: &mut Sink<'_>, report: &mut Report) -> io::Result<((u64, u32), Vec<u8>)> {
        let blocks = &self.blocks;
        let mut head = Vec::new();
        if self.sound.first() == Some(&true) {
            head = blocks.read(0)?;
        } else {
            file::header(Target::V12, &mut head);
            report.remark(
                "the head of the base is lost, and with it functions, if there were any".to_owned(),
            );
        }
        let mut last = Vec::new();
        let mut sink = |bytes: &[u8]| {
            last = bytes.to_vec();
            sink(bytes)
        };
        let mut writer = FileWriter::new(head, &[]);
        report.blocks += u64::from(self.sound.first() == Some(&true));
        for (index, block) in blocks.blocks.iter().enumerate().skip(1) {
            if self.sound[index] {
                // Read again, so checked again.
                let bytes = blocks.read(index)?;
                if !block.is_sound(&bytes) {
                    let text = format!("a block at {} changes while it is read", block.offset);
                    return Err(io::Error::other(text));
                }
                writer.block(block, &bytes, &mut sink)?;
                report.blocks += 1;
            }
        }
        let tail = writer.end(true, &mut sink).map_err(io::Error::other)?;
        Ok(((tail.index_offset, tail.checksum), last))
    }

    /// The blocks that are lost, with what can be made out of their keys.
    fn describe_lost(&self) -> Vec<LostBlock> {
        let mut lost = self.lost.clone();
        for (index, block) in self.blocks.blocks.iter().enumerate() {
            if self.sound[index] {
                continue;
            }
            let range = self.blocks.range(index);
            let mut keys = BTreeSet::new();
            if let Ok(bytes) = self.blocks.read(index) {
                // What cannot be read ends it.
                let _ = decode_block(&bytes, index == 0, &mut |_, key| {
                    keys.insert(key.to_vec());
                });
            }
            lost.push(LostBlock {
                file: self.blocks.name.clone(),
                offset: range.start,
                bytes: range.end - range.start,
                db: block.db,
                keys: Some(block.keys.into()),
                names: keys.iter().take(NAMES_MAX).map(|key| output::escaped(key)).collect(),
            });
        }
        lost
    }
}

impl Begin {
    /// Chooses what to begin with: the newest base if it is sound; otherwise an older one, if everything that came behind it
    /// is still there; otherwise what is left of the newest.
    pub fn choose(view: &View, output: &Output, report: &mut Report) -> Result<Self, Failure> {
        let mut histories = view.histories();
        let newest = histories.remove(0);
        let Some(line) = newest.base.clone() else {
            return Ok(Self { history: newest, base: None });
        };
        let base = Base::assess(view, &line, output);
        if base.as_ref().is_some_and(Base::is_whole) {
            return Ok(Self { history: newest, base });
        }
        let name = base_name(line.sequence);
        let mut partial = base.filter(Base::has_any).map(|base| (newest.clone(), Some(base)));
        for history in histories {
            let older = match &history.base {
                None => None,
                Some(line) => match Base::assess(view, line, output) {
                    Some(base) if base.has_any() => Some(base),
                    _ => continue,
                },
            };
            let is_whole = older.as_ref().is_none_or(Base::is_whole);
            if is_whole && is_unbroken(view, &history, line.end_lsn) {
                let from = match &history.base {
                    Some(base) => base_name(base.sequence),
                    None => "the first segment".to_owned(),
                };
                report.remark(format!(
                    "{name} is damaged: what it held is rebuilt from {from} and what came behind"
                ));
                return Ok(Self { history, base: older });
            }
            partial = partial.or(Some((history, older)));
        }
        Ok(match partial {
            Some((history, base)) => Self { history, base },
            // Nothing is left of what there was before the segments.
            None => {
                report.lost_blocks.push(LostBlock {
                    file: name,
                    offset: 0,
                    bytes: line.bytes,
                    db: 0,
                    keys: None,
                    names: Vec::new(),
                });
                Self { history: Manifest { base: None, ..newest }, base: None }
            }
        })
    }

    /// Where the frames behind the base begin.
    pub fn lsn(&self) -> Lsn {
        self.base.as_ref().map_or(0, |base| base.line.lsn)
    }

    /// The frames in the base.
    pub fn frames(&self) -> Option<Frames> {
        self.base.as_ref().map(|base| Frames::of_base(base.file.clone(), &base.line))
    }

    /// Writes what can be saved of the base, and says what cannot.
    pub fn write(
        &self,
        writer: Option<&mut SalvageWriter>,
        is_prefix: bool,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let Some(base) = &self.base else {
            if let Some(writer) = writer
                && report.is_lossy()
            {
                // How many keys there were nobody knows.
                let lost = Lost { lsn: 0, end_lsn: 0, from_ms: 0, to_ms: u64::MAX, keys: 1 };
                writer.lost(&lost).map_err(Failure::doing("writing", "the copy"))?;
            }
            return Ok(());
        };
        report.base_lsn = base.line.lsn;
        report.end_lsn = base.line.lsn;
        report.lost_blocks.extend(base.describe_lost());
        if is_prefix && report.is_lossy() {
            report.remark("the first gap is in the base".to_owned());
            return Ok(());
        }
        let created_ms = base.blocks.created_ms;
        let failed = || Failure::doing("copying", &base.blocks.name);
        let mut last = Vec::new();
        match writer {
            None => {
                let (_, end) = base.copy(&mut |_| Ok(()), report).map_err(failed())?;
                last = end;
            }
            Some(writer) => {
                let written = writer.base(base.line.lsn, created_ms, |out| {
                    let (tail, end) = base.copy(&mut |bytes| out.write(bytes), report)?;
                    last = end;
                    Ok::<_, io::Error>(tail)
                });
                written.map_err(failed())?;
                if report.is_lossy() {
                    // There may be no keys among what is lost, as in the head: then something may be missing.
                    let keys = report.lost_keys();
                    let lsn = base.line.lsn;
                    let (from_ms, to_ms) = (0, created_ms);
                    let lost = Lost { lsn, end_lsn: lsn, from_ms, to_ms, keys };
                    writer.lost(&lost).map_err(failed())?;
                }
            }
        }
        if base.is_scanned {
            self.verify_scanned(base, &last, report);
        }
        Ok(())
    }

    /// Where the index of blocks was lost, the checksum at the end of the RDB shows whether the blocks are what they were: the RDB
    /// that was written has the same one then.
    fn verify_scanned(&self, base: &Base, last: &[u8], report: &mut Report) {
        let mut sum = [0; CHECKSUM_BYTES as usize];
        let at = base.line.preamble_bytes.saturating_sub(CHECKSUM_BYTES);
        let read = base.file.read_exact_at(&mut sum, at);
        let is_same = read.is_ok() && last.ends_with(&sum);
        let name = &base.blocks.name;
        if is_same {
            report.remark(format!(
                "{name}: the index of blocks was rebuilt; the RDB's own checksum is right"
            ));
        } else if base.lost.is_empty() {
            report.is_unverified = true;
            report.remark(format!(
                "{name}: the index of blocks is damaged and was rebuilt; whether the blocks are sound cannot be verified"
            ));
        }
    }
}

/// Whether a history has every frame up to `end_lsn`.
fn is_unbroken(view: &View, history: &Manifest, end_lsn: Lsn) -> bool {
    let mut lsn = 0;
    let mut walk = |frames: Frames| -> bool {
        let Ok(mut scan) = frames.scan() else { return false };
        if frames.first.1 > lsn && lsn > 0 {
            return false;
        }
        for found in scan.by_ref() {
            match found {
                Found::Frame { .. } => {}
                Found::Gap(gap) if gap.lsn == gap.end_lsn => {}
                Found::Gap(gap) => return gap.lsn >= end_lsn,
            }
        }
        lsn = scan.lsn();
        true
    };
    if let Some(line) = &history.base {
        let Ok(file) = view.file(&base_name(line.sequence)) else { return false };
        if !walk(Frames::of_base(file, line)) {
            return false;
        }
    }
    let segments = history.segments.iter().filter(|segment| segment.first_lsn < end_lsn);
    for segment in segments {
        let Ok(frames) = Frames::find(view, segment) else { return false };
        if !walk(frames) {
            return false;
        }
    }
    lsn >= end_lsn
}
