//! Reading a file, record by record.

use super::super::checksum::Checksum;
use super::super::{Problem, Reader};
use super::error::{Cause, FileError};
use super::record::{Decoding, Record, RecordError, decode_record};
use super::{CHECKSUM_VERSION, HEADER_BYTES, Version};
use crate::data::Limits;
use crate::disk::File;
use std::io;

/// Bytes read at once, unless a record is longer.
const WINDOW_BYTES: usize = 1 << 20;

/// A source of a file's bytes.
pub trait Source {
    /// The number of bytes.
    ///
    /// # Errors
    /// Those of the disk.
    fn len_bytes(&self) -> io::Result<u64>;

    /// Reads exactly `buffer.len()` bytes.
    ///
    /// # Errors
    /// Those of the disk.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for &dyn File {
    fn len_bytes(&self) -> io::Result<u64> {
        File::len(*self)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        File::read_exact_at(*self, buffer, offset)
    }
}

impl Source for &[u8] {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let from = self.get(start..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// What was skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Keys with empty collections.
    pub empty_keys: u64,
    /// Keys with values of modules.
    pub module_keys: u64,
    /// Auxiliary data of modules.
    pub module_aux: u64,
}

/// Reads a file from its start.
///
/// It holds a window of the file: 1 MiB, or the longest record so far. A record cut by the window's
/// end is read again after the window has grown: to the record's known need or twice the size, but
/// not beyond the end of the file.
pub struct FileReader<S> {
    source: S,
    /// Bytes of the source when it was opened.
    len: u64,
    version: Version,
    decoding: Decoding,
    window: Vec<u8>,
    window_bytes: usize,
    /// Offset of the window in the file.
    start: u64,
    /// Where in the window the next record begins.
    at: usize,
    /// Bytes of the window that are in the checksum.
    summed: usize,
    checksum: Checksum,
    db: u32,
    skipped: Skipped,
    end: Option<u64>,
}

impl<S: Source> FileReader<S> {
    /// Reads a file's header.
    ///
    /// # Errors
    /// If it is no RDB file, of an unsupported version, or cannot be read.
    pub fn open(source: S, limits: Limits, skip_modules: bool) -> Result<Self, FileError> {
        Self::with_window(source, limits, skip_modules, WINDOW_BYTES)
    }

    /// As [`FileReader::open`], with a window of another size.
    pub(super) fn with_window(
        source: S,
        limits: Limits,
        skip_modules: bool,
        window_bytes: usize,
    ) -> Result<Self, FileError> {
        let at_start =
            |cause| FileError { cause, offset: 0, reading: "the header of the file", key: None };
        let len = source.len_bytes().map_err(|error| at_start(error.into()))?;
        if len < HEADER_BYTES as u64 {
            return Err(at_start(Cause::Truncated { len }));
        }
        let mut header = [0; HEADER_BYTES];
        source.read_exact_at(&mut header, 0).map_err(|error| at_start(error.into()))?;
        let version = Version::of_header(&header).map_err(at_start)?;
        let mut checksum = Checksum::new();
        checksum.update(&header);
        Ok(Self {
            source,
            len,
            version,
            decoding: Decoding { dialect: version.dialect, limits, skip_modules },
            window: Vec::new(),
            window_bytes,
            start: HEADER_BYTES as u64,
            at: 0,
            summed: 0,
            checksum,
            db: 0,
            skipped: Skipped::default(),
            end: None,
        })
    }

    /// The file's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The file's length, including bytes after the RDB.
    pub fn len_bytes(&self) -> u64 {
        self.len
    }

    /// The database of the next key.
    pub fn database(&self) -> u32 {
        self.db
    }

    /// Offset of the next record in the file; at the end, of the bytes after the RDB.
    pub fn offset(&self) -> u64 {
        self.end.unwrap_or(self.start + self.at as u64)
    }

    /// What was skipped so far.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Passes the next record to `visit` and returns its result; `None` after the last record. The
    /// checksum is checked before the end is passed.
    ///
    /// # Errors
    /// If the file is damaged, cannot be read, or holds unsupported records.
    pub fn next<R>(&mut self, visit: impl FnOnce(Record<'_>) -> R) -> Result<Option<R>, FileError> {
        if self.end.is_some() {
            return Ok(None);
        }
        loop {
            let mut reader = Reader::new(&self.window[self.at..]);
            match decode_record(&mut reader, &self.decoding) {
                Ok(record) => {
                    self.at += reader.offset();
                    match &record {
                        Record::SelectDatabase(db) => self.db = *db,
                        Record::EmptyKey(_) => self.skipped.empty_keys += 1,
                        Record::ModuleKey(..) => self.skipped.module_keys += 1,
                        Record::ModuleAux(_) => self.skipped.module_aux += 1,
                        Record::End => {
                            drop(record);
                            self.finish()?;
                            return Ok(Some(visit(Record::End)));
                        }
                        _ => {}
                    }
                    return Ok(Some(visit(record)));
                }
                Err(RecordError { error, key }) => {
                    let Problem::Cut { needed } = error.problem else {
                        return Err(self.error(error, key));
                    };
                    let left = self.len - self.start - self.at as u64;
                    if needed as u64 > left {
                        return Err(self.error(error, key));
                    }
                    let at = error.offset;
                    self.fill(needed).map_err(|cause| FileError {
                        cause,
                        offset: self.offset() + at as u64,
                        reading: error.reading,
                        key: key.map(|key| (self.db, key)),
                    })?;
                }
            }
        }
    }

    /// The error for a duplicate key, which the caller has found.
    pub fn duplicate(&self, key: &[u8]) -> FileError {
        FileError {
            cause: Cause::Duplicate,
            offset: self.offset(),
            reading: "the record before",
            key: Some((self.db, key.into())),
        }
    }

    fn error(&self, error: super::super::Error, key: Option<Box<[u8]>>) -> FileError {
        let cause = match error.problem {
            Problem::Cut { .. } => Cause::Truncated { len: self.len },
            Problem::Damaged(what) => Cause::Damaged(what),
            Problem::Empty => Cause::Damaged("an empty value"),
            Problem::Module(name) => Cause::Module(name),
            Problem::Unknown(kind) => Cause::Unknown(kind),
        };
        FileError {
            cause,
            offset: self.offset() + error.offset as u64,
            reading: error.reading,
            key: key.map(|key| (self.db, key)),
        }
    }

    /// Loads at least `needed` bytes from the next record on into the window; the file has them.
    fn fill(&mut self, needed: usize) -> Result<(), Cause> {
        self.sum();
        let present = self.window.len() - self.at;
        let left = usize::try_from(self.len - self.offset()).unwrap_or(usize::MAX);
        let len = needed.max(2 * present).max(self.window_bytes).min(left);
        self.start += self.at as u64;
        self.window.drain(..self.at);
        self.at = 0;
        self.summed = 0;
        if self.window.capacity() > 2 * len {
            self.window.shrink_to(len);
        }
        self.window.reserve_exact(len - present);
        self.window.resize(len, 0);
        let offset = self.start + present as u64;
        Ok(self.source.read_exact_at(&mut self.window[present..], offset)?)
    }

    /// Adds the bytes read to the checksum.
    fn sum(&mut self) {
        self.checksum.update(&self.window[self.summed..self.at]);
        self.summed = self.at;
    }

    /// Checks the checksum after the last record.
    fn finish(&mut self) -> Result<(), FileError> {
        self.sum();
        if self.version.number < CHECKSUM_VERSION {
            self.end = Some(self.offset());
            return Ok(());
        }
        let mut found = [0; 8];
        let offset = self.offset();
        let wrong = |cause| FileError { cause, offset, reading: "the checksum", key: None };
        if self.len - offset < found.len() as u64 {
            return Err(wrong(Cause::Truncated { len: self.len }));
        }
        let read = self.source.read_exact_at(&mut found, offset);
        read.map_err(|error| wrong(error.into()))?;
        let (found, computed) = (u64::from_le_bytes(found), self.checksum.value());
        // Zero means that no checksum was computed.
        if found != 0 && found != computed {
            return Err(wrong(Cause::Checksum { found, computed }));
        }
        self.end = Some(offset + 8);
        Ok(())
    }
}
