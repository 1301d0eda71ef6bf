//! Printing the commands of a source, a frame at a time.

use super::printer::{Command, Format, Place, Printer};
use super::selection::Selection;
use crate::frames::Frames;
use crate::output::{Bar, End, Failure, Output, counted};
use crate::payload;
use crate::source::{Kind, Source, is_rdb};
use mainstay::data::{KeyHasher, Limits};
use mainstay::disk::{Disk, File, RealDisk};
use mainstay::engine::import::reader::{CommandReader, ReadError, Step};
use mainstay::log::frame::{FrameKind, Lost};
use mainstay::log::manifest::{BaseLine, Manifest, SegmentLine};
use mainstay::log::scan::{Found, Gap, Scan};
use mainstay::log::segment::frames_header_offset;
use mainstay::log::{Lsn, View, segment};
use mainstay::rdb::file::FileReader;
use mainstay::resp::Args;
use std::io::{self, IsTerminal};
use std::path::Path;

/// A transaction whose end has not come yet.
struct Open<'a> {
    place: Place<'a>,
    time_ms: Option<u64>,
    db: u32,
    /// Whether a command of it was printed.
    shown: bool,
}

/// Commands on their way to the printer.
struct Stream<'a> {
    selection: &'a Selection,
    printer: Printer,
    transaction: Option<Open<'a>>,
    /// The database that is selected.
    db: u32,
}

fn is(args: Args<'_>, name: &str) -> bool {
    args.at(0).eq_ignore_ascii_case(name.as_bytes())
}

impl<'a> Stream<'a> {
    /// Takes the next command, which is `wanted` as far as LSN and time go.
    fn command(
        &mut self,
        place: Place<'a>,
        time_ms: Option<u64>,
        args: Args<'_>,
        wanted: bool,
    ) -> Result<(), Failure> {
        let db = self.db;
        if is(args, "MULTI") && args.len() == 1 {
            self.transaction = Some(Open { place, time_ms, db, shown: false });
            return Ok(());
        }
        if is(args, "EXEC") && args.len() == 1 {
            return match self.transaction.take() {
                Some(Open { shown: true, .. }) => self.printer.exec(place, time_ms, db),
                _ => Ok(()),
            };
        }
        if is(args, "SELECT") {
            let number =
                args.get(1).and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
            self.db = number.unwrap_or(db);
            // Every command says where it is carried out.
            if !self.selection.names(args) {
                return Ok(());
            }
        }
        if !wanted || !self.selection.takes(db, args) {
            return Ok(());
        }
        let mut transaction = None;
        if let Some(open) = &mut self.transaction {
            if !std::mem::replace(&mut open.shown, true) {
                self.printer.multi(open.place, open.time_ms, open.db)?;
            }
            transaction = Some(match open.place {
                Place::Log { lsn, .. } => lsn,
                Place::File { offset, .. } => offset,
            });
        }
        self.printer.command(Command { place, time_ms, db, args, transaction })
    }
}

/// Prints the commands of a source that were chosen.
///
/// # Errors
/// If it has none, or cannot be read at all.
pub fn print(
    source: &Source,
    selection: &Selection,
    (format, full, all): (Format, bool, bool),
    output: &Output,
) -> Result<End, Failure> {
    let names = source.files().iter().map(|file| file.path.file_name().unwrap_or_default());
    let names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let printer = Printer::new(format, full);
    let mut stream = Stream { selection, printer, transaction: None, db: 0 };
    let end = match source.view() {
        Some(view) => {
            let history = match all {
                true => view.histories().pop().unwrap_or_else(|| view.manifest().clone()),
                false => view.manifest().clone(),
            };
            print_log(view, &history, &mut stream, output)?
        }
        None if source.kind() == Kind::Aof => print_aof(source, &names, &mut stream, output)?,
        None => {
            return Err(Failure::new(format_args!(
                "{}: an RDB file has keys, but no commands (inspect --keys shows them)",
                source.path().display()
            )));
        }
    };
    stream.printer.flush()?;
    Ok(end)
}

/// A progress bar, unless it would get in the way of what is printed.
fn bar(output: &Output, total_bytes: u64) -> Option<Bar> {
    (!io::stdout().is_terminal()).then(|| output.bar("reading", total_bytes))
}

/// A file of a history.
enum Part<'a> {
    Base(&'a BaseLine),
    Segment(&'a SegmentLine),
}

impl Part<'_> {
    /// The name that the file has or, if it was compressed, had.
    fn name(&self) -> String {
        match self {
            Self::Base(line) => segment::base_name(line.sequence),
            Self::Segment(line) => segment::segment_name(line.sequence),
        }
    }

    /// LSN of the first frame, and behind the last one if that is known.
    fn lsns(&self) -> (Lsn, Lsn) {
        match self {
            Self::Base(line) => (line.lsn, line.end_lsn),
            Self::Segment(line) => (line.first_lsn, line.end.map_or(Lsn::MAX, |end| end.lsn)),
        }
    }

    /// How many bytes its frames have, if that is known.
    fn bytes(&self) -> u64 {
        match self {
            Self::Base(line) => {
                line.bytes - frames_header_offset(line.preamble_bytes).min(line.bytes)
            }
            Self::Segment(line) => line.end.map_or(0, |end| end.bytes),
        }
    }

    fn scan(&self, view: &View) -> io::Result<Scan> {
        let frames = match self {
            Self::Base(line) => Frames::of_base(view.file(&self.name())?, line),
            Self::Segment(line) => Frames::find(view, line)?,
        };
        frames.scan()
    }
}

fn print_log(
    view: &View,
    history: &Manifest,
    stream: &mut Stream<'_>,
    output: &Output,
) -> Result<End, Failure> {
    let (from_lsn, to_lsn) = stream.selection.lsns;
    let (from_ms, to_ms) = stream.selection.times_ms;
    let segments = history.segments.iter().map(Part::Segment);
    let parts: Vec<Part<'_>> = history.base.iter().map(Part::Base).chain(segments).collect();
    let bar = bar(output, parts.iter().map(Part::bytes).sum());
    let mut end = End::Good;
    if view.is_live() {
        output.remark(format_args!(
            "a server has {} open: what is durable is printed, up to LSN {}",
            view.dir().display(),
            view.end().lsn
        ));
    }
    'files: for part in parts {
        let (name, lsns) = (part.name(), part.lsns());
        if lsns.1 <= from_lsn && lsns.0 < lsns.1 {
            continue;
        }
        if lsns.0 >= to_lsn {
            break;
        }
        let mut scan = match part.scan(view) {
            Ok(scan) => scan,
            Err(error) => {
                end = End::Bad;
                output.remark(format_args!("{name}: LSN {} and later: {error}", lsns.0));
                continue;
            }
        };
        while let Some(found) = scan.next() {
            let (offset, header) = match found {
                Found::Frame { offset, header, .. } => (offset, header),
                Found::Gap(gap) => {
                    if !gap.is_tail {
                        end = End::Bad;
                    }
                    output.remark(describe(&name, &gap));
                    continue;
                }
            };
            if let Some(bar) = &bar {
                bar.advance(header.frame_bytes());
            }
            if header.lsn >= to_lsn || header.time_ms > to_ms {
                break 'files;
            }
            // A frame that tells of lost keys has no LSNs of its own.
            let is_before = header.end_lsn() <= from_lsn && header.raw_bytes > 0;
            if is_before || header.time_ms < from_ms {
                continue;
            }
            match header.kind {
                FrameKind::Marker => continue,
                FrameKind::Lost => {
                    stream.printer.lost(&Lost::decode(&header, scan.payload()))?;
                    continue;
                }
                FrameKind::Commands => {}
            }
            (stream.db, stream.transaction) = (header.db, None);
            let mut begin = 0;
            let printed = payload::each(scan.payload_mut(), |behind, args| {
                let lsn = header.lsn + begin as u64;
                let end_lsn = header.lsn + behind as u64;
                begin = behind;
                let place = Place::Log { lsn, end_lsn };
                let wanted = lsn >= from_lsn && end_lsn <= to_lsn;
                stream.command(place, Some(header.time_ms), args, wanted).map_err(Stopped::Failed)
            });
            match printed {
                Ok(()) => {}
                Err(Stopped::Failed(failure)) => return Err(failure),
                Err(Stopped::Unknown(at, reason)) => {
                    end = End::Bad;
                    output.remark(format_args!(
                        "{name}, offset {offset}: a sound frame whose commands cannot be read from LSN {} on: {reason}",
                        header.lsn + at as u64
                    ));
                }
            }
        }
    }
    Ok(end)
}

/// Why a frame's commands were not printed to the end.
enum Stopped {
    /// They are none.
    Unknown(usize, String),
    /// They could not be written.
    Failed(Failure),
}

impl From<(usize, String)> for Stopped {
    fn from((at, reason): (usize, String)) -> Self {
        Self::Unknown(at, reason)
    }
}

fn describe(name: &str, gap: &Gap) -> String {
    let Gap { offset, end_offset, damage, lsn, end_lsn, .. } = gap;
    let bytes = counted(end_offset.saturating_sub(*offset), "byte", "bytes");
    if gap.is_tail {
        return format!("{name}, offset {offset}: {damage}: {bytes} of an unfinished write");
    }
    let commands = match lsn == end_lsn {
        true => "no command is lost".to_owned(),
        false => format!("LSN {lsn} to {end_lsn} cannot be read"),
    };
    format!("{name}, offset {offset}: {damage}: {bytes} passed over, {commands}")
}

fn print_aof<'a>(
    source: &Source,
    names: &'a [String],
    stream: &mut Stream<'a>,
    output: &Output,
) -> Result<End, Failure> {
    if stream.selection.by_lsn {
        return Err(Failure::new(format_args!(
            "{}: an append-only file has offsets, but no LSNs to select by",
            source.path().display()
        )));
    }
    let parts = source.files();
    let bar = bar(output, parts.iter().map(|part| part.bytes).sum());
    let mut end = End::Good;
    for (index, part) in parts.iter().enumerate() {
        // Where there are several, people want to know in which one.
        let name = (parts.len() > 1).then(|| &*names[index]);
        let is_last = index + 1 == parts.len();
        (stream.db, stream.transaction) = (0, None);
        let broken = print_part(&part.path, name, stream, bar.as_ref())?;
        if let Some(open) = stream.transaction.take() {
            output.remark(format_args!(
                "{}, offset {}: a transaction without its end: a Redis that reads this carries none of it out",
                part.path.display(),
                open.place.begin()
            ));
            if open.shown {
                stream.printer.discard()?;
            }
        }
        match broken {
            None => {}
            // Only the end may be one that was not finished.
            Some(Broken::Cut(offset)) if is_last => {
                let text = format!(
                    "{}, offset {offset}: the file ends amid a command",
                    part.path.display()
                );
                output.remark(text);
            }
            Some(broken) => {
                end = End::Bad;
                let (Broken::Cut(offset) | Broken::Damaged(offset, _)) = &broken;
                let reason = match &broken {
                    Broken::Cut(_) => "the file ends amid a command",
                    Broken::Damaged(_, reason) => reason,
                };
                output.remark(format_args!(
                    "{}, offset {offset}: {reason}: the rest of the file cannot be read",
                    part.path.display()
                ));
            }
        }
    }
    Ok(end)
}

/// Why a part was not read to the end, with the offset.
enum Broken {
    /// It ends amid a command.
    Cut(u64),
    /// What is there is no command.
    Damaged(u64, String),
}

fn print_part<'a>(
    path: &Path,
    name: Option<&'a str>,
    stream: &mut Stream<'a>,
    bar: Option<&Bar>,
) -> Result<Option<Broken>, Failure> {
    let file = RealDisk.open_to_read(path).map_err(Failure::doing("opening", path.display()))?;
    let len = file.len().map_err(Failure::doing("measuring", path.display()))?;
    let advance = |bytes| bar.into_iter().for_each(|bar| bar.advance(bytes));
    let mut at = 0;
    if is_rdb(path) {
        match behind_rdb(&*file) {
            Ok(behind) => at = behind,
            Err(error) => return Ok(Some(Broken::Damaged(error.0, error.1))),
        }
        advance(at);
    }
    let (from_ms, to_ms) = stream.selection.times_ms;
    let mut reader = CommandReader::new(file, len, at);
    loop {
        let offset = match reader.next() {
            Ok(Step::Command { offset }) => offset,
            Ok(Step::End) => return Ok(None),
            Ok(Step::Cut { offset }) => return Ok(Some(Broken::Cut(offset))),
            Err(ReadError::Format { offset, reason }) => {
                return Ok(Some(Broken::Damaged(offset, reason)));
            }
            Err(ReadError::Disk(error)) => {
                return Err(Failure::doing("reading", path.display())(error));
            }
        };
        advance(reader.offset() - at);
        at = reader.offset();
        let time_ms = reader.time_s().map(|time_s| time_s.saturating_mul(1000));
        let wanted = match time_ms {
            Some(time_ms) => (from_ms..=to_ms).contains(&time_ms),
            // Unknown, so it is shown only without a filter.
            None => !stream.selection.by_time,
        };
        stream.command(Place::File { file: name, offset }, time_ms, reader.args(), wanted)?;
    }
}

/// Where the commands begin behind an RDB.
fn behind_rdb(file: &dyn File) -> Result<u64, (u64, String)> {
    let limits = Limits::new(KeyHasher::new((0, 0)));
    let mut reader =
        FileReader::open(file, limits, true).map_err(|error| (0, error.to_string()))?;
    loop {
        match reader.next(|_| ()) {
            Ok(Some(())) => {}
            Ok(None) => return Ok(reader.offset()),
            Err(error) => return Err((reader.offset(), error.to_string())),
        }
    }
}
