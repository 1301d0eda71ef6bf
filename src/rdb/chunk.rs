//! Key records on their way into a file.

use super::writer::{Compressible, Compression, Writer};
use super::{encode_value, lzf};
use crate::data::Value;

/// The opcode before an expiry time in ms.
const EXPIRE_TIME_MS: u8 = 252;

/// Records of one database, as they are encoded under the engine's lock: in haste, with their strings not
/// compressed yet. What a big value goes on with in the next chunk, does not end here.
#[derive(Debug, Default)]
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
    compress: bool,
}

impl Chunk {
    /// An empty one.
    pub fn new(db: u32, compress: bool) -> Self {
        Self { db, compress, ..Self::default() }
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

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes of memory that it takes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.strings.capacity() * size_of::<Compressible>()
            + self.ends_at.capacity() * size_of::<usize>()
    }

    /// Appends a whole record.
    pub fn put(&mut self, key: &[u8], expiry_ms: Option<i64>, value: Value<'_>) {
        let kind_at = self.begin(key, expiry_ms);
        let kind = encode_value(value, &mut self.writer());
        self.bytes[kind_at] = kind;
        self.end();
    }

    /// Appends what stands before a record's value, and gives the place of the value's kind.
    fn begin(&mut self, key: &[u8], expiry_ms: Option<i64>) -> usize {
        if let Some(at) = expiry_ms {
            self.bytes.push(EXPIRE_TIME_MS);
            self.bytes.extend_from_slice(&at.to_le_bytes());
        }
        let kind_at = self.bytes.len();
        self.bytes.push(0);
        self.writer().string(key);
        kind_at
    }

    /// Begins the record of a value of this kind that is given in pieces: [`Chunk::writer`] takes what
    /// follows, and [`Chunk::end`] ends it.
    pub fn begin_pieces(&mut self, key: &[u8], expiry_ms: Option<i64>, kind: u8) {
        let kind_at = self.begin(key, expiry_ms);
        self.bytes[kind_at] = kind;
    }

    /// Ends a record.
    pub fn end(&mut self) {
        self.ends_at.push(self.bytes.len());
    }

    /// Appends elements.
    pub fn writer(&mut self) -> Writer<'_> {
        let compression =
            if self.compress { Compression::Later(&mut self.strings) } else { Compression::Off };
        Writer::new(&mut self.bytes, compression)
    }

    /// Compresses what can be and appends everything to `out`, and to `ends` where in that each record ends.
    pub fn pack(&self, packer: &mut lzf::Packer, out: &mut Vec<u8>, ends: &mut Vec<usize>) {
        let mut record_ends = self.ends_at.iter().copied().peekable();
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
            if packer.append(&self.bytes[string.content..string.end], out) {
                at = string.end;
            }
        }
        copy(out, &mut at, self.bytes.len());
    }
}
