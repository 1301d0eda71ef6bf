//! What the copy begins with: the blocks of a base that are sound, or an older base.

use super::Arguments;
use super::report::{LostBlock, Report};
use super::unverified::Unverified;
use crate::blocks::{Blocks, decode_block, scan_blocks};
use crate::frames::Frames;
use crate::output::{self, Failure, Output, first_names};
use mainstay::disk::File;
use mainstay::log::manifest::{BaseLine, Manifest};
use mainstay::log::scan::Found;
use mainstay::log::segment::frames_header_offset;
use mainstay::log::segment::{SegmentHeader, base_name};
use mainstay::log::{Lost, Lsn, SalvageWriter, View};
use mainstay::rdb::Target;
use mainstay::rdb::blocks::{FileWriter, Sink};
use mainstay::rdb::file;
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

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
    /// Which of them are sound; unknown without an index.
    sound: Vec<bool>,
    /// What is lost, so far as there is more to say than which blocks are not sound.
    lost: Vec<LostBlock>,
    /// The header says where the index of blocks is, and that is sound.
    is_indexed: bool,
    /// Of each block it is known whether it is sound.
    is_verified: bool,
}

impl Base {
    /// Looks at all of a base. `None` if nothing can be saved of it.
    fn assess(view: &View, line: &BaseLine, output: &Output) -> Option<Self> {
        let name = base_name(line.sequence);
        let file = view.file(&name).ok()?;
        let at = frames_header_offset(line.preamble_bytes);
        let header = SegmentHeader::read(&*file, at).ok().and_then(Result::ok);
        let header = header.filter(|header| header.identity == line.identity);
        let created_ms = header.as_ref().map_or(u64::MAX, |header| header.created_ms);
        let preamble = header.and_then(|header| header.preamble);
        let preamble = preamble.filter(|preamble| preamble.bytes == line.preamble_bytes);
        let index_offset = preamble.map(|preamble| preamble.index_offset);
        let opened = preamble.and_then(|it| Blocks::open(&name, &file, &it, created_ms).ok());
        let is_indexed = opened.is_some();
        let search = || Blocks::search(&name, &file, line.preamble_bytes);
        let found = opened.or_else(|| if preamble.is_none() { search() } else { None });
        let is_found = found.is_some();
        let (blocks, lost) = match found {
            Some(blocks) => (blocks, None),
            None => scan_blocks(&name, &file, line.preamble_bytes, index_offset)?,
        };
        let lost: Vec<LostBlock> = lost.into_iter().collect();
        let bar = output.bar("checking the base", blocks.end);
        let mut sound = Vec::with_capacity(blocks.blocks.len());
        for (index, block) in blocks.blocks.iter().enumerate() {
            let range = blocks.range(index);
            sound.push(blocks.read(index).is_ok_and(|bytes| block.is_sound(&bytes)));
            bar.advance(range.end - range.start);
        }
        // An index that was only found is a right one if blocks that are not sound show it to be needed.
        let is_verified = is_indexed
            || is_found && sound.contains(&false)
            || lost.is_empty() && blocks.are_attested(line.preamble_bytes);
        let (line, file) = (line.clone(), file.clone());
        Some(Self { line, file, blocks, sound, lost, is_indexed, is_verified })
    }

    fn is_whole(&self) -> bool {
        self.lost.is_empty() && self.is_verified && self.sound.iter().all(|&sound| sound)
    }

    /// Whether any keys can be saved.
    fn has_any(&self) -> bool {
        self.sound.iter().any(|&sound| sound)
    }

    /// Writes the sound blocks, and what is saved of others, as a new RDB. Gives where its index
    /// begins, and the checksum from there on.
    fn copy(
        &self,
        unverified: &Unverified,
        sink: &mut Sink<'_>,
        report: &mut Report,
    ) -> io::Result<(u64, u32)> {
        let blocks = &self.blocks;
        let mut head = Vec::new();
        if self.sound.first() == Some(&true) {
            head = blocks.read(0)?;
        } else if let Some(restored) = unverified.head(blocks)? {
            head = restored;
        } else {
            file::header(Target::V12, &mut head);
            report.remark(
                "the head of the base is lost, and with it functions, if there were any".to_owned(),
            );
        }
        let mut writer = FileWriter::new(head, &[]);
        report.blocks += u64::from(self.sound.first() == Some(&true));
        // The database that a reader is in who knows nothing of blocks.
        let mut selected = None;
        for (index, block) in blocks.blocks.iter().enumerate().skip(1) {
            if self.sound[index] {
                // Read again, so checked again.
                let bytes = blocks.read(index)?;
                if !block.is_sound(&bytes) {
                    let text = format!("a block at {} changes while it is read", block.offset);
                    return Err(io::Error::other(text));
                }
                let mut select = Vec::new();
                file::select_database(block.db, &mut select);
                if selected == Some(block.db) || bytes.starts_with(&select) {
                    writer.block(block, &bytes, sink)?;
                } else {
                    // The block that selected it is lost.
                    writer.block(block, &[select, bytes].concat(), sink)?;
                }
                selected = Some(block.db);
                report.blocks += 1;
            } else if let Some((block, bytes)) = unverified.block(blocks, index)? {
                writer.block(&block, &bytes, sink)?;
                selected = Some(block.db);
            }
        }
        let tail = writer.end(true, sink).map_err(io::Error::other)?;
        Ok((tail.index_offset, tail.checksum))
    }

    /// Reports how sound blocks were identified, if not by the index.
    fn remark(&self, report: &mut Report) {
        let name = &self.blocks.name;
        let end = self.blocks.end;
        report.is_unverified = !self.is_verified;
        let text = match (self.is_indexed, self.is_verified) {
            (true, _) => return,
            (false, false) => format!(
                "the index of blocks is damaged and was rebuilt; whether the blocks before offset {end} are sound cannot be verified"
            ),
            (false, true) if self.sound.contains(&false) => {
                "the header is damaged; which blocks are sound the index in the RDB tells"
                    .to_owned()
            }
            (false, true) => {
                "the index of blocks was rebuilt; the RDB's own checksum is right".to_owned()
            }
        };
        report.remark(format!("{name}: {text}"));
    }

    /// By when all of it had been written. Without the header that is before the first frame behind it, or before now.
    fn created_ms(&self) -> u64 {
        if self.blocks.created_ms < u64::MAX {
            return self.blocks.created_ms;
        }
        let frames = Frames::of_base(self.file.clone(), &self.line);
        let first = frames.scan().ok().and_then(|mut scan| {
            scan.find_map(|found| match found {
                Found::Frame { header, .. } => Some(header.time_ms),
                Found::Gap(_) => None,
            })
        });
        first.unwrap_or_else(|| output::now_ms().max(0) as u64)
    }

    /// The blocks of which keys are lost, with what can be made out of these.
    fn describe_lost(&self, unverified: &Unverified) -> Vec<LostBlock> {
        let mut lost = self.lost.clone();
        for (index, block) in self.blocks.blocks.iter().enumerate() {
            if self.sound[index] {
                continue;
            }
            let saved: Option<HashSet<&[u8]>> = unverified.keys(index).map(Iterator::collect);
            let known = u64::from(block.keys);
            let lost_keys = known.saturating_sub(saved.as_ref().map_or(0, HashSet::len) as u64);
            if saved.is_some() && lost_keys == 0 {
                continue;
            }
            let saved = saved.unwrap_or_default();
            let range = self.blocks.range(index);
            let mut keys = BTreeSet::new();
            if let Ok(bytes) = self.blocks.read(index) {
                // What cannot be read ends it.
                let _ = decode_block(&bytes, index == 0, &mut |_, key| {
                    if !saved.contains(key) {
                        keys.insert(key.to_vec());
                    }
                });
            }
            lost.push(LostBlock {
                file: self.blocks.name.clone(),
                offset: range.start,
                bytes: range.end - range.start,
                db: block.db,
                keys: Some(lost_keys),
                names: first_names(&keys),
            });
        }
        lost
    }
}

impl Begin {
    /// Chooses what to begin with: the newest base if it is sound; otherwise an older one, if
    /// everything that came behind it is still there; otherwise what is left of the newest, also if
    /// that is unverified. Of a prefix nothing is left with a damaged base, so it begins with the
    /// sound one behind which most is there without a gap.
    pub fn choose(
        view: &View,
        arguments: &Arguments,
        output: &Output,
        report: &mut Report,
    ) -> Result<Self, Failure> {
        let is_prefix = arguments.prefix;
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
        let mut longest: Option<(Lsn, Manifest, Option<Base>)> = None;
        let (mut partial, mut unsound) = (None, None);
        match base {
            Some(base) if base.has_any() => partial = Some((newest.clone(), Some(base))),
            // Nothing of it is sound.
            base => unsound = base.filter(|_| arguments.unverified),
        }
        for history in histories {
            let older = match &history.base {
                None => None,
                Some(line) => match Base::assess(view, line, output) {
                    Some(base) if base.has_any() => Some(base),
                    _ => continue,
                },
            };
            let is_whole = older.as_ref().is_none_or(Base::is_whole);
            if is_whole {
                let reached = reached(view, &history, line.end_lsn);
                if reached >= line.end_lsn {
                    let from = begin_name(&history);
                    report.remark(format!(
                        "{name} is damaged: what it held is rebuilt from {from} and what came behind"
                    ));
                    return Ok(Self { history, base: older });
                }
                if is_prefix && longest.as_ref().is_none_or(|(longest, ..)| reached > *longest) {
                    longest = Some((reached, history, older));
                    continue;
                }
            }
            partial = partial.or(Some((history, older)));
        }
        if let Some((reached, history, base)) = longest.filter(|(reached, ..)| *reached > 0) {
            let from = begin_name(&history);
            report.remark(format!(
                "{name} is damaged: the prefix begins with {from}, and is not broken before LSN {reached}"
            ));
            return Ok(Self { history, base });
        }
        if partial.is_none() && unsound.is_some() {
            return Ok(Self { history: newest, base: unsound });
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
        arguments: &Arguments,
        output: &Output,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let is_prefix = arguments.prefix;
        let Some(base) = &self.base else {
            if let Some(writer) = writer
                && report.is_lossy()
                && !is_prefix
            {
                // The number of keys is unknown.
                let lost = Lost { lsn: 0, end_lsn: 0, from_ms: 0, to_ms: u64::MAX, keys: 1 };
                writer.lost(&lost).map_err(Failure::doing("writing", "the copy"))?;
            }
            return Ok(());
        };
        report.base_lsn = base.line.lsn;
        report.end_lsn = base.line.lsn;
        let failed = || Failure::doing("copying", &base.blocks.name);
        let unverified = match arguments.unverified {
            true => Unverified::of(&base.blocks, &base.sound, output).map_err(failed())?,
            false => Unverified::default(),
        };
        report.lost_blocks.extend(base.describe_lost(&unverified));
        report.unverified_blocks.extend(unverified.described(&base.blocks));
        base.remark(report);
        if is_prefix && report.is_lossy() {
            report.remark("the first gap is in the base".to_owned());
            return Ok(());
        }
        let Some(writer) = writer else {
            base.copy(&unverified, &mut |_| Ok(()), report).map_err(failed())?;
            return Ok(());
        };
        let written = writer.base(base.line.lsn, base.created_ms(), |out| {
            base.copy(&unverified, &mut |bytes| out.write(bytes), report)
        });
        written.map_err(failed())?;
        if report.is_lossy() {
            // There may be no keys among what is lost, as in the head: then something may be missing.
            let (lsn, keys) = (base.line.lsn, report.lost_keys());
            let (from_ms, to_ms) = (0, base.blocks.created_ms);
            let lost = Lost { lsn, end_lsn: lsn, from_ms, to_ms, keys };
            writer.lost(&lost).map_err(failed())?;
        }
        Ok(())
    }
}

/// What a history begins with.
fn begin_name(history: &Manifest) -> String {
    match &history.base {
        Some(base) => base_name(base.sequence),
        None => "the first segment".to_owned(),
    }
}

/// The LSN up to which a history has every frame; it is not looked at beyond `end_lsn`.
fn reached(view: &View, history: &Manifest, end_lsn: Lsn) -> Lsn {
    let mut lsn = history.base.as_ref().map_or(0, |line| line.lsn);
    // Whether the file goes on where the one before ended, without a gap.
    let mut walk = |frames: Frames| -> bool {
        let Ok(mut scan) = frames.scan() else { return false };
        if frames.first.1 > lsn {
            return false;
        }
        for found in scan.by_ref() {
            match found {
                Found::Frame { header, .. } => lsn = lsn.max(header.end_lsn()),
                Found::Gap(gap) if gap.lsn == gap.end_lsn => {}
                Found::Gap(_) => return false,
            }
        }
        true
    };
    if let Some(line) = &history.base {
        let Ok(file) = view.file(&base_name(line.sequence)) else { return 0 };
        if !walk(Frames::of_base(file, line)) {
            return lsn;
        }
    }
    for segment in history.segments.iter().filter(|segment| segment.first_lsn < end_lsn) {
        let Ok(frames) = Frames::find(view, segment) else { break };
        if !walk(frames) {
            break;
        }
    }
    lsn
}
