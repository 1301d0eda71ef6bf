//! Encoded key records, before they are written to a file.

use super::file::{Access, KeyNotHeld, record_head};
use super::writer::{Compressible, Compression, Writer, append_compressed};
use super::{NotHeld, Target, encode_contents, kind_of, lzf};
use crate::data::Value;

/// How records are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Format {
    /// The RDB version.
    pub target: Target,
    /// Whether strings are compressed.
    pub compress: bool,
}

/// Writes the end of a record later.
type Later = Box<dyn Fn(&mut Writer<'_>) + Send>;

/// Records of one database, encoded under the engine's lock; their strings are compressed later. A
/// big value may continue in the next chunk.
#[derive(Default)]
pub struct Chunk {
    /// The database.
    pub db: u32,
    /// Whether it begins with the rest of the last record of the chunk before it.
    continues: bool,
    /// The end of each record.
    ends_at: Vec<usize>,
    bytes: Vec<u8>,
    /// Strings that may be compressed.
    strings: Vec<Compressible>,
    format: Format,
    refused: Option<KeyNotHeld>,
    /// Comes after all bytes, before the end of the last record.
    later: Option<Later>,
}

impl Chunk {
    /// An empty one.
    pub fn new(db: u32, format: Format) -> Self {
        Self { db, format, ..Self::default() }
    }

    /// The RDB version of its records.
    pub fn target(&self) -> Target {
        self.format.target
    }

    /// The first key whose value the version cannot represent, if there is one. It is not in the
    /// chunk.
    pub fn refused(&self) -> Option<&KeyNotHeld> {
        self.refused.as_ref()
    }

    /// Records that a value cannot be represented.
    pub fn refuse(&mut self, key: &[u8], reason: NotHeld) {
        self.refused.get_or_insert_with(|| KeyNotHeld { key: key.into(), reason });
    }

    /// The same chunk, marked to continue the last record of the chunk before it.
    pub fn continued(mut self) -> Self {
        self.continues = true;
        self
    }

    /// Whether it begins with the rest of the last record of the chunk before it.
    pub fn continues(&self) -> bool {
        self.continues
    }

    /// The number of records that end in it.
    pub fn keys(&self) -> u64 {
        self.ends_at.len() as u64
    }

    /// How many bytes it holds.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it is empty: no bytes, no end of a record, no refusal.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.ends_at.is_empty() && self.refused.is_none()
    }

    /// Memory in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.strings.capacity() * size_of::<Compressible>()
            + self.ends_at.capacity() * size_of::<usize>()
    }

    /// Appends a whole record.
    pub fn put(&mut self, key: &[u8], expiry_ms: Option<i64>, value: Value<'_>) {
        match kind_of(value, self.format.target) {
            Ok(kind) => {
                self.begin(key, expiry_ms, kind);
                encode_contents(value, kind, &mut self.writer());
                self.end();
            }
            Err(reason) => self.refuse(key, reason),
        }
    }

    /// Begins the record of a value of this kind: [`Chunk::writer`] writes the value, and
    /// [`Chunk::end`] ends the record.
    pub fn begin(&mut self, key: &[u8], expiry_ms: Option<i64>, kind: u8) {
        record_head(kind, key, expiry_ms, Access::None, false, &mut self.bytes);
    }

    /// Defers the rest of the current record, which may be long, to [`Chunk::pack`]. Only
    /// [`Chunk::end`] may follow.
    pub fn end_later(&mut self, later: impl Fn(&mut Writer<'_>) + Send + 'static) {
        self.later = Some(Box::new(later));
    }

    /// Ends a record.
    pub fn end(&mut self) {
        self.ends_at.push(self.bytes.len());
    }

    /// Appends elements.
    pub fn writer(&mut self) -> Writer<'_> {
        let compression = if self.format.compress {
            Compression::Later(&mut self.strings)
        } else {
            Compression::Off
        };
        Writer::new(&mut self.bytes, compression)
    }

    /// Compresses the strings and appends everything to `out`, and the end of each record in it to
    /// `ends`.
    pub fn pack(&self, packer: &mut lzf::Packer, out: &mut Vec<u8>, ends: &mut Vec<usize>) {
        let whole = self.ends_at.len() - usize::from(self.later.is_some());
        let mut record_ends = self.ends_at[..whole].iter().copied().peekable();
        let mut at = 0;
        let mut copy = |out: &mut Vec<u8>, at: &mut usize, to: usize| {
            while let Some(end) = record_ends.next_if(|&end| end <= to) {
                out.extend_from_slice(&self.bytes[*at..end]);
                *at = end;
                ends.push(out.len());
            }
            out.extend_from_slice(&self.bytes[*at..to]);
            *at = to;
        };
        for string in &self.strings {
            copy(out, &mut at, string.start);
            if append_compressed(packer, &self.bytes[string.content..string.end], out) {
                at = string.end;
            }
        }
        copy(out, &mut at, self.bytes.len());
        if let Some(later) = &self.later {
            later(&mut Writer::new(out, self.format.compress));
            ends.push(out.len());
        }
    }
}
