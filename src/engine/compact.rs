//! Writing snapshots down: compaction of the log, and dumps.

use super::functions::Functions;
use super::read_back::ReadBack;
use super::snapshot::{Begun, Next, unpack};
use super::{Engine, State};
use crate::env::Clock;
use crate::keyspace::Saved;
use crate::log::room::{Room, is_out_of_space};
use crate::log::{BaseWriter, Log};
use crate::rdb::blocks::{Count, FileWriter, Sink, Tail, WriteError};
use crate::rdb::file::{self, KeyNotHeld};
use crate::rdb::{Format, NotHeld, Target};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a base is written: in the newest version, which holds everything.
pub const BASE_FORMAT: Format = Format { target: Target::V12, compress: true };

/// How many dumps were begun.
static DUMPS: AtomicU64 = AtomicU64::new(0);

/// Why a snapshot was not written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk refused.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// A value that the version cannot hold.
    #[error("{0}")]
    NotHeld(#[from] KeyNotHeld),
    /// Something else that the version cannot hold.
    #[error("{0}")]
    FunctionsNotHeld(#[from] NotHeld),
    /// Not every key came. The snapshot is not used.
    #[error("database {db} has {keys} keys, but {written} were written")]
    Count {
        /// The database.
        db: u32,
        /// How many keys it had.
        keys: u64,
        /// How many were written.
        written: u64,
    },
    /// A record was divided by another one. The snapshot is not used.
    #[error("a record was divided by another one")]
    Order,
    /// Somebody gave it up.
    #[error("it was given up")]
    Aborted,
}

impl From<WriteError> for SnapshotError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Disk(error) => Self::Disk(error),
            WriteError::Count { db, keys, written } => Self::Count { db, keys, written },
            WriteError::Order => Self::Order,
        }
    }
}

/// The head of a file: its header and what there is to know about it.
fn head(
    format: Format,
    time_ms: i64,
    is_base: bool,
    functions: &Functions,
) -> Result<Vec<u8>, NotHeld> {
    let mut head = Vec::new();
    file::head(format.target, time_ms, is_base, &mut head);
    for source in functions.sources() {
        file::function(source, format.target, format.compress, &mut head)?;
    }
    Ok(head)
}

/// Writes one part.
fn write_part(
    part: Saved,
    format: Format,
    writer: &mut FileWriter,
    sink: &mut Sink<'_>,
) -> Result<(), SnapshotError> {
    let mut result = Ok(());
    unpack(part, format, &mut |chunk| {
        if result.is_ok() {
            result = match chunk.refused() {
                Some(refused) => Err(refused.clone().into()),
                None => writer.chunk(&chunk, sink).map_err(SnapshotError::from),
            };
        }
    });
    result
}

/// Fails once it is clear that what is still to be written will not fit: it would take the room for
/// nothing.
fn check_room(writer: &FileWriter, room: &Room) -> Result<(), SnapshotError> {
    if writer.can_judge() {
        let left = writer.bytes_left();
        // The estimate may be a little too high.
        if room.check(writer.bytes_written(), left - left / 8).is_err() {
            room.check(writer.bytes_written(), left)?;
        }
    }
    Ok(())
}

/// Puts the bytes that the whole file needs in the place of those that did not fit.
fn with_need(error: SnapshotError, writer: &FileWriter, room: &Room) -> SnapshotError {
    match error {
        SnapshotError::Disk(error) if is_out_of_space(&error) => {
            let whole = room.check(writer.bytes_written(), writer.bytes_left());
            SnapshotError::Disk(whole.err().unwrap_or(error))
        }
        other => other,
    }
}

/// Writes a snapshot. `wait` is called when there is nothing to write yet.
fn write(
    begun: &Begun,
    is_base: bool,
    room: &Room,
    sink: &mut Sink<'_>,
    wait: &mut dyn FnMut(),
) -> Result<Tail, SnapshotError> {
    let head = head(begun.format, begun.time_ms, is_base, &begun.functions)?;
    let mut writer = FileWriter::new(head, &begun.counts);
    loop {
        match begun.parts.next() {
            Next::Part(part) => {
                let written = write_part(part, begun.format, &mut writer, sink);
                written.map_err(|error| with_need(error, &writer, room))?;
                check_room(&writer, room)?;
            }
            Next::Wait => wait(),
            Next::Whole => return Ok(writer.end(is_base, sink)?),
            Next::Aborted => return Err(SnapshotError::Aborted),
        }
    }
}

/// Writes everything at once, with the engine held.
pub(super) fn write_whole(
    state: &mut State,
    clock: &Arc<dyn Clock>,
    time_ms: i64,
    base: &mut BaseWriter,
) -> io::Result<()> {
    let counts = state.keyspace.begin_snapshot(BASE_FORMAT, clock.clone());
    let written = write_now(state, &counts, time_ms, base);
    state.keyspace.end_snapshot();
    written.map_err(|error| match error {
        SnapshotError::Disk(error) => error,
        other => io::Error::other(other),
    })
}

fn write_now(
    state: &mut State,
    counts: &[Count],
    time_ms: i64,
    base: &mut BaseWriter,
) -> Result<(), SnapshotError> {
    let mut writer = FileWriter::new(head(BASE_FORMAT, time_ms, true, &state.functions)?, counts);
    let mut sink = |bytes: &[u8]| base.write(bytes);
    while let Some(part) = state.keyspace.next_saved(&mut || true) {
        write_part(part, BASE_FORMAT, &mut writer, &mut sink)?;
    }
    let tail = writer.end(true, &mut sink)?;
    base.end_preamble(tail.index_offset, tail.checksum);
    Ok(())
}

/// Writes a snapshot as the log's new base, which takes the place of all that lies before. `wait` is called when
/// something has to happen elsewhere first: a slice of the snapshot, a turn of the log's thread.
///
/// # Errors
/// Why there is no new base. The old one is in force.
pub fn compact(log: &Log, begun: &Begun, wait: &mut dyn FnMut()) -> Result<(), SnapshotError> {
    let result = compact_or_fail(log, begun, wait);
    if result.is_err() {
        begun.parts.abort();
    }
    result
}

fn compact_or_fail(log: &Log, begun: &Begun, wait: &mut dyn FnMut()) -> Result<(), SnapshotError> {
    let mut base = log.begin_base(begun.lsn)?;
    let room = base.room().clone();
    let written = write(begun, true, &room, &mut |bytes| base.write(bytes), wait)
        .map(|tail| base.end_preamble(tail.index_offset, tail.checksum))
        .and_then(|()| roll(log, begun, wait));
    match written {
        Ok(()) => {
            let mut go_on = || !begun.parts.is_aborted();
            let mut check = ReadBack::new(begun.limits.clone(), &mut go_on);
            let finished = log.finish_base(base, begun.db, &mut check);
            finished.map_err(|error| match begun.parts.is_aborted() {
                true => SnapshotError::Aborted,
                false => error.into(),
            })
        }
        Err(error) => {
            base.discard();
            Err(error)
        }
    }
}

/// Lets the log go on in a new segment.
fn roll(log: &Log, begun: &Begun, wait: &mut dyn FnMut()) -> Result<(), SnapshotError> {
    let lsn = log.drained_lsn().max(begun.lsn);
    while !log.roll_past(lsn)? {
        if begun.parts.is_aborted() {
            return Err(SnapshotError::Aborted);
        }
        wait();
    }
    Ok(())
}

impl Engine {
    /// Writes a snapshot to a file of its own, which takes the place of `path` once it is durable.
    ///
    /// # Errors
    /// Why it was not written. What was at `path` is as it was.
    pub fn dump(
        &self,
        begun: &Begun,
        path: &Path,
        wait: &mut dyn FnMut(),
    ) -> Result<u64, SnapshotError> {
        let disk = &*self.machine.disk;
        let dir = path.parent().unwrap_or(Path::new("."));
        // One that was given up may not have ended yet, so each has a file of its own.
        let number = DUMPS.fetch_add(1, Ordering::Relaxed);
        let temporary = dir.join(format!("temp-{}-{number}.rdb", std::process::id()));
        let write = |wait: &mut dyn FnMut()| -> Result<u64, SnapshotError> {
            let file = disk.create(&temporary)?;
            let kept = self.log().map_or(0, |log| log.kept_by_copies_bytes());
            let room = Room::new(self.machine.disk.clone(), dir, kept);
            let (mut offset, mut synced) = (0, 0);
            let mut sink = |bytes: &[u8]| {
                room.check(offset, bytes.len() as u64)?;
                file.write_at(bytes, offset)?;
                offset += bytes.len() as u64;
                if offset - synced >= crate::log::base::SYNC_BYTES {
                    synced = offset;
                    file.sync()?;
                }
                Ok(())
            };
            write(begun, false, &room, &mut sink, wait)?;
            file.sync()?;
            disk.rename(&temporary, path)?;
            disk.sync_dir(dir)?;
            Ok(offset)
        };
        write(wait).inspect_err(|_| {
            begun.parts.abort();
            let _ = disk.remove(&temporary);
        })
    }
}
