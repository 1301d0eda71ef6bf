//! Key records on their way into a file.

use super::file::{Access, KeyNotHeld, record_head};
use super::writer::{Compressible, Compression, Writer, append_compressed};
use super::{NotHeld, Target, encode_contents, kind_of, lzf};
use crate::data::Value;

/// How records are to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Format {
    /// For which servers.
    pub target: Target,
    /// Whether strings are compressed.
    pub compress: bool,
}

/// What writes the end of a record later.
type Later = Box<dyn Fn(&mut Writer<'_>) + Send>;

/// Records of one database, as they are encoded under the engine's lock: in haste, with their strings not
/// compressed yet. What a big value goes on with in the next chunk, does not end here.
#[derive(Default)]
pub struct Chunk {
    /// The database.
    pub db: u32,
    /// Whether its first bytes belong to the record with which the chunk before it ended.
    continues: bool,
    /// Where each record in it ends.
    ends_at: Vec<usize>,
    bytes: Vec<u8>,
    /// Strings that may be compressed.
    strings: Vec<Compressible>,
    format: Format,
    refused: Option<KeyNotHeld>,
    /// Belongs behind all bytes, before the last record ends.
    later: Option<Later>,
}

impl Chunk {
    /// An empty one.
    pub fn new(db: u32, format: Format) -> Self {
        Self { db, format, ..Self::default() }
    }

    /// For which servers its records are.
    pub fn target(&self) -> Target {
        self.format.target
    }

    /// The first key whose value they cannot hold, if there is one. It is not in the chunk.
    pub fn refused(&self) -> Option<&KeyNotHeld> {
        self.refused.as_ref()
    }

    /// Notes that a value cannot be held.
    pub fn refuse(&mut self, key: &[u8], reason: NotHeld) {
        self.refused.get_or_insert_with(|| KeyNotHeld { key: key.into(), reason });
    }

    /// The same, for what goes on in it.
    pub fn continued(mut self) -> Self {
        self.continues = true;
        self
    }

    /// Whether its first bytes belong to the record with which the chunk before it ended.
    pub fn continues(&self) -> bool {
        self.continues
    }

    /// How many records end in it.
    pub fn keys(&self) -> u64 {
        self.ends_at.len() as u64
    }

    /// How many bytes it holds.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it says nothing: no bytes, no end of a record, no refusal.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.ends_at.is_empty() && self.refused.is_none()
    }

    /// Bytes of memory that it takes.
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

    /// Begins the record of a value of this kind: [`Chunk::writer`] takes what follows, and [`Chunk::end`] ends
    /// it.
    pub fn begin(&mut self, key: &[u8], expiry_ms: Option<i64>, kind: u8) {
        record_head(kind, key, expiry_ms, Access::None, false, &mut self.bytes);
    }

    /// Leaves what the record at hand ends with to whoever packs the chunk, because it may be long. Only
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

    /// Compresses what can be and appends everything to `out`, and to `ends` where in that each record ends.
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
