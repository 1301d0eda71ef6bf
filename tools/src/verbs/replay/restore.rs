//! What a data set held at an earlier moment, as a directory that a server starts on.

use crate::frames::Frames;
use crate::output::{
    End, Failure, Output, bytes, counted, data_set_in, databases_needed, duration_ms, now_ms,
    time_ms, write_data_set,
};
use crate::source::{Contents, Kind, Source, load_history};
use mainstay::data::Value;
use mainstay::engine::Engine;
use mainstay::log::manifest::{Manifest, SegmentLine};
use mainstay::log::reader::FrameReader;
use mainstay::log::{Lsn, Until, View, segment};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The moment that is wanted.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// What was written at this Unix time in ms or before.
    Time(u64),
    /// What ends at this LSN or below.
    Lsn(Lsn),
}

impl Moment {
    fn until(self) -> Until {
        match self {
            Self::Time(time_ms) => Until { time_ms, ..Until::END },
            Self::Lsn(lsn) => Until { lsn, ..Until::END },
        }
    }

    fn in_words(self) -> String {
        match self {
            Self::Time(ms) => time_ms(ms as i64),
            Self::Lsn(lsn) => format!("LSN {lsn}"),
        }
    }
}

/// Keys and fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Past {
    keys: u64,
    fields: u64,
}

/// What was done.
#[derive(Serialize)]
struct Report {
    out: PathBuf,
    until_lsn: Option<Lsn>,
    until_time_ms: Option<u64>,
    /// Where the restored state is: behind this LSN, and when its last command was written.
    lsn: Lsn,
    time_ms: Option<u64>,
    /// Whether that is the end of what is there.
    at_end: bool,
    /// What the state was read from: this base, or nothing, and so many segments behind it.
    base: Option<String>,
    segments: usize,
    keys: u64,
    keys_by_database: BTreeMap<usize, u64>,
    functions: usize,
    /// Keys and fields whose expiry time has passed by now.
    past: Past,
    /// By how much expiry times were moved.
    shifted_ms: Option<i64>,
    bytes: u64,
    remarks: Vec<String>,
}

/// Writes what `source` held at `moment` to `out`.
///
/// # Errors
/// If that cannot be restored, or there is something at `out`; then nothing is written.
pub fn restore(
    source: &Source,
    moment: Moment,
    out: &Path,
    shift_expiry: bool,
    output: &Output,
) -> Result<End, Failure> {
    let view = match (source.view(), source.kind()) {
        (Some(view), Kind::DataSet | Kind::Base) => view,
        (_, kind) => {
            let path = source.path().display();
            let text = format!(
                "{path}: a moment is restored from a data directory, not from a {}",
                kind.name()
            );
            return Err(Failure::new(text));
        }
    };
    // Checked first, to refuse early.
    let place = data_set_in(out)?;
    let Loaded { engine, mut contents, history, mut remarks } = load(view, moment, output)?;
    let lsn = contents.lsn.unwrap_or(0);
    contents.time_ms = match lsn {
        0 => None,
        lsn => written_ms(view, lsn).or(contents.time_ms),
    };
    let at_end = lsn >= end_lsn(view);
    let last = contents.time_ms.map_or_else(|| "never".to_owned(), |ms| time_ms(ms as i64));
    let behind_end = at_end
        && match moment {
            Moment::Time(until_ms) => contents.time_ms.is_none_or(|time_ms| time_ms < until_ms),
            Moment::Lsn(until) => lsn < until,
        };
    if behind_end {
        remarks.push(format!(
            "{} lies behind the end: all of it was restored, up to LSN {lsn}, written {last}",
            moment.in_words()
        ));
    }
    let now_ms = now_ms();
    let at_ms = match moment {
        // The state at a later time is unknown.
        Moment::Time(until_ms) => Some(until_ms.min(now_ms.max(0) as u64)),
        Moment::Lsn(_) => contents.time_ms,
    };
    let mut shifted_ms = None;
    if shift_expiry && let Some(at_ms) = at_ms {
        let delta_ms = now_ms.saturating_sub_unsigned(at_ms);
        engine.lock().shift_expiries(delta_ms);
        shifted_ms = Some(delta_ms);
    }
    let past = past(&engine, now_ms);
    if past != Past::default() && !shift_expiry {
        remarks.push(format!(
            "{} and {} have expiry times that have passed since, and go when a server starts; \
             --shift-expiry gives everything the time that it had left then",
            counted(past.keys, "key", "keys"),
            counted(past.fields, "field of a hash", "fields of hashes")
        ));
    }
    let guard = engine.lock();
    let databases = guard.keyspace().databases().filter(|(_, database)| !database.is_empty());
    let keys_by_database: BTreeMap<_, _> =
        databases.map(|(db, database)| (db, database.len() as u64)).collect();
    let functions = guard.functions().len();
    drop(guard);
    let (until_lsn, until_time_ms) = match moment {
        Moment::Time(time_ms) => (None, Some(time_ms)),
        Moment::Lsn(lsn) => (Some(lsn), None),
    };
    remarks.extend(contents.remarks);
    remarks.extend(databases_needed(&engine));
    let report = Report {
        out: out.to_owned(),
        until_lsn,
        until_time_ms,
        lsn,
        time_ms: contents.time_ms,
        at_end,
        base: history.base.as_ref().map(|base| segment::base_name(base.sequence)),
        segments: history.segments.len(),
        keys: keys_by_database.values().sum(),
        keys_by_database,
        functions,
        past,
        shifted_ms,
        bytes: write_data_set(&engine, place)?,
        remarks,
    };
    show(&report, &last, output)?;
    Ok(End::Good)
}

fn show(report: &Report, last: &str, output: &Output) -> Result<(), Failure> {
    report.remarks.iter().for_each(|remark| output.remark(remark));
    if output.is_json() {
        return output.json(report);
    }
    let Report { lsn, past, .. } = report;
    output.line(format_args!("{}: {}", report.out.display(), bytes(report.bytes)))?;
    output.line(format_args!("  state behind LSN {lsn}, last written {last}"))?;
    let base = report.base.as_deref().unwrap_or("the beginning");
    let segments = counted(report.segments as u64, "segment", "segments");
    output.line(format_args!("  read from {base} and {segments} behind it"))?;
    output.line(format_args!(
        "  {}, {}",
        counted(report.keys, "key", "keys"),
        counted(report.functions as u64, "function library", "function libraries")
    ))?;
    for (db, keys) in &report.keys_by_database {
        output.line(format_args!("  database {db}: {}", counted(*keys, "key", "keys")))?;
    }
    if let Some(shifted_ms) = report.shifted_ms {
        let span = duration_ms(shifted_ms.unsigned_abs());
        let way = if shifted_ms < 0 { "back" } else { "on" };
        output.line(format_args!("  expiry times moved {way} by {span}"))?;
    }
    output.line(format_args!(
        "  already past: {}, {}",
        counted(past.keys, "key", "keys"),
        counted(past.fields, "field of a hash", "fields of hashes")
    ))
}

/// The state of a moment.
struct Loaded {
    engine: Engine,
    contents: Contents,
    /// What it was read from.
    history: Manifest,
    remarks: Vec<String>,
}

/// Loads the state of `moment` from the newest base that is certainly not later, or from an older one if that is damaged.
fn load(view: &View, moment: Moment, output: &Output) -> Result<Loaded, Failure> {
    let (mut remarks, mut failure, mut too_early) = (Vec::new(), None, None);
    for history in view.histories() {
        let base_lsn = history.base.as_ref().map_or(0, |base| base.lsn);
        let base_ms = match view.base_time_ms(&history) {
            Ok(base_ms) => base_ms,
            Err(error) => {
                remarks.push(format!("{error}: older files are looked at"));
                (failure, too_early) = (Some(Failure::new(error)), None);
                continue;
            }
        };
        let is_later = match moment {
            Moment::Time(until_ms) => base_ms > until_ms,
            Moment::Lsn(until) => base_lsn > until,
        };
        too_early = is_later.then_some((base_lsn, base_ms));
        if is_later {
            continue;
        }
        let history = up_to(view, history, moment);
        match load_history(view, &history, moment.until(), output) {
            Ok((engine, contents)) => return Ok(Loaded { engine, contents, history, remarks }),
            Err(error) => {
                remarks.push(format!("{error}: older files are looked at"));
                failure = Some(error);
            }
        }
    }
    remarks.iter().for_each(|remark| output.remark(remark));
    Err(match (too_early, failure) {
        (Some((lsn, ms)), _) => Failure::new(format_args!(
            "{}: {} lies before the earliest moment that can be restored: LSN {lsn}, {}",
            view.dir().display(),
            moment.in_words(),
            time_ms(ms as i64)
        )),
        (None, Some(failure)) => failure,
        (None, None) => unreachable!("a data set has one history at least"),
    })
}

/// `history` without segments that only hold what is later: if one of them is damaged, that does not matter.
fn up_to(view: &View, history: Manifest, moment: Moment) -> Manifest {
    let is_later = |line: &SegmentLine| match moment {
        Moment::Lsn(until) => line.first_lsn >= until,
        Moment::Time(until_ms) => begins_behind(view, line, until_ms),
    };
    let mut history = history;
    // One by one: the time of an unreadable segment is unknown, but the first later one bounds it.
    if let Some(count) = history.segments.iter().position(is_later) {
        history.segments.truncate(count);
    }
    history
}

/// Whether a segment's first frame was certainly written later than `until_ms`.
fn begins_behind(view: &View, line: &SegmentLine, until_ms: u64) -> bool {
    let first = reader(view, line)
        .and_then(|mut reader| reader.header(FrameReader::FIRST_OFFSET).map_err(io::Error::other));
    first.is_ok_and(|header| header.time_ms > until_ms)
}

fn reader(view: &View, line: &SegmentLine) -> io::Result<FrameReader> {
    let Frames { file, seed, .. } = Frames::find(view, line)?;
    let end = line.end.map_or(file.len()?, |end| end.bytes);
    Ok(FrameReader::new(file, end, seed))
}

/// When the command before `lsn` was written, if a frame has it. A base only says by when everything in it had been.
fn written_ms(view: &View, lsn: Lsn) -> Option<u64> {
    let oldest = view.histories().pop()?;
    let mut lines = oldest.segments.iter();
    let holds =
        |line: &&SegmentLine| line.first_lsn < lsn && line.end.is_none_or(|end| end.lsn >= lsn);
    let line = lines.find(holds)?;
    let mut reader = reader(view, line).ok()?;
    let mut headers = reader.headers((FrameReader::FIRST_OFFSET, line.first_lsn));
    headers.find(|(_, header)| header.end_lsn() >= lsn).map(|(_, header)| header.time_ms)
}

/// The LSN behind the last command that is there.
fn end_lsn(view: &View) -> Lsn {
    let manifest = view.manifest();
    let Some(line) = manifest.segments.last() else {
        return manifest.base.as_ref().map_or(0, |base| base.end_lsn);
    };
    if let Some(end) = line.end {
        return end.lsn;
    }
    let last = reader(view, line)
        .ok()
        .and_then(|mut reader| reader.headers((FrameReader::FIRST_OFFSET, line.first_lsn)).last());
    let lsn = last.map_or(line.first_lsn, |(_, header)| header.end_lsn());
    lsn.min(view.end().lsn)
}

/// What has expired by `now_ms`.
fn past(engine: &Engine, now_ms: i64) -> Past {
    let (guard, mut past) = (engine.lock(), Past::default());
    for entry in guard.keyspace().databases().flat_map(|(_, database)| database.iter()) {
        let is_past = |at: Option<i64>| at.is_some_and(|at| at <= now_ms);
        past.keys += u64::from(is_past(entry.expiry_ms()));
        if let Value::Hash(hash) = entry.value()
            && is_past(hash.next_expiry_ms())
        {
            past.fields += hash.iter().filter(|field| is_past(field.expiry_ms)).count() as u64;
        }
    }
    past
}
