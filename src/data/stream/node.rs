//! A listpack of entries, in Redis's format (`t_stream.c`), so that RDB files carry the very bytes.
//!
//! ```text
//! master entry   live  deleted  fields  field…  0
//! entry          flags  ms  seq  [fields]  (value… or field value …)  elements
//! ```
//!
//! `live` and `deleted` count entries. `ms` and `seq` are relative to the node's key, the id of its first entry.
//! With the flag [`SAME_FIELDS`] the entry has the master entry's fields, of which only the values
//! follow. `elements` counts those of the entry before it, so that entries can be walked backwards; the
//! master entry's 0 ends that walk. Deleted entries stay and are flagged.

use super::StreamId;
use crate::data::Malformed;
use crate::data::listpack::{Element, Iter, Listpack, Position};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Elements of the master entry besides its fields.
const MASTER_ELEMENTS: usize = 4;

/// A listpack of entries. Everything in it is as the module says: what comes from outside was checked.
#[derive(Clone, Debug)]
pub struct Node {
    pack: Listpack,
}

/// Where an entry begins, and what its first elements say.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) at: Position,
    pub(super) id: StreamId,
    pub(super) is_deleted: bool,
    has_same_fields: bool,
    fields: usize,
    /// How many fields the master entry has: looked up once for a walk.
    master_fields: usize,
    /// The first value or field; the element count if there are none.
    first: Position,
}

impl Node {
    /// A node with a master entry of these fields and no entries.
    pub(super) fn new<'f>(fields: impl ExactSizeIterator<Item = &'f [u8]>) -> Self {
        let mut pack = Listpack::new();
        pack.push_back_integer(0);
        pack.push_back_integer(0);
        pack.push_back_integer(fields.len() as i64);
        fields.for_each(|field| pack.push_back(field));
        pack.push_back_integer(0);
        Self { pack }
    }

    /// The bytes, as RDB files carry them.
    pub fn as_bytes(&self) -> &[u8] {
        self.pack.as_bytes()
    }

    pub(super) fn byte_len(&self) -> usize {
        self.pack.byte_len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.pack.memory_bytes()
    }

    fn integer(&self, at: Position) -> i64 {
        match self.pack.get(at) {
            Element::Integer(number) => number,
            Element::Bytes(_) => unreachable!("an integer was checked to be here"),
        }
    }

    fn after(&self, at: Position) -> Position {
        self.pack.next(at).expect("an element was checked to follow")
    }

    fn skip(&self, mut at: Position, elements: usize) -> Position {
        for _ in 0..elements {
            at = self.after(at);
        }
        at
    }

    fn head(&self) -> Position {
        self.pack.first().expect("there is a master entry")
    }

    /// How many entries there are, without the deleted ones.
    pub(super) fn live(&self) -> u64 {
        self.integer(self.head()) as u64
    }

    /// How many entries are flagged as deleted.
    pub(super) fn deleted(&self) -> u64 {
        self.integer(self.after(self.head())) as u64
    }

    fn master_fields(&self) -> (usize, Position) {
        let count = self.skip(self.head(), 2);
        (self.integer(count) as usize, self.after(count))
    }

    fn set_counts(&mut self, live: u64, deleted: u64) {
        let at = self.pack.replace_integer(self.head(), live as i64);
        let at = self.after(at);
        self.pack.replace_integer(at, deleted as i64);
    }

    /// Appends an entry, whose id is above all others in the node. `key` is the node's.
    pub(super) fn append<'f>(
        &mut self,
        key: StreamId,
        id: StreamId,
        fields: impl ExactSizeIterator<Item = (&'f [u8], &'f [u8])> + Clone,
    ) {
        let count = fields.len();
        self.set_counts(self.live() + 1, self.deleted());
        let (master_count, first) = self.master_fields();
        let names = || self.pack.iter_from(first);
        let same = count == master_count
            && names().zip(fields.clone()).all(|(name, (field, _))| name.eq_bytes(field));
        let pack = &mut self.pack;
        pack.push_back_integer(if same { SAME_FIELDS } else { 0 });
        pack.push_back_integer(id.ms.wrapping_sub(key.ms) as i64);
        pack.push_back_integer(id.seq.wrapping_sub(key.seq) as i64);
        if !same {
            pack.push_back_integer(count as i64);
        }
        for (field, value) in fields {
            if !same {
                pack.push_back(field);
            }
            pack.push_back(value);
        }
        pack.push_back_integer(if same { count + 3 } else { 2 * count + 4 } as i64);
    }

    /// The entry that begins at `at`.
    fn read(&self, key: StreamId, at: Position, master_fields: usize) -> Entry {
        let flags = self.integer(at);
        let ms = self.after(at);
        let seq = self.after(ms);
        let mut first = self.after(seq);
        let id = StreamId {
            ms: key.ms.wrapping_add(self.integer(ms) as u64),
            seq: key.seq.wrapping_add(self.integer(seq) as u64),
        };
        let has_same_fields = flags & SAME_FIELDS != 0;
        let fields = if has_same_fields {
            master_fields
        } else {
            let count = self.integer(first);
            first = self.after(first);
            count as usize
        };
        let is_deleted = flags & DELETED != 0;
        Entry { at, id, is_deleted, has_same_fields, fields, master_fields, first }
    }

    /// The first entry, deleted or not.
    pub(super) fn first(&self, key: StreamId) -> Option<Entry> {
        let (fields, first) = self.master_fields();
        let at = self.pack.next(self.skip(first, fields))?;
        Some(self.read(key, at, fields))
    }

    /// The last entry, deleted or not.
    pub(super) fn last(&self, key: StreamId) -> Option<Entry> {
        self.ending_at(key, self.pack.last()?, self.master_fields().0)
    }

    /// The entry behind another one.
    pub(super) fn next(&self, key: StreamId, entry: &Entry) -> Option<Entry> {
        let elements = if entry.has_same_fields { entry.fields } else { 2 * entry.fields };
        let at = self.pack.next(self.skip(entry.first, elements))?;
        Some(self.read(key, at, entry.master_fields))
    }

    /// The entry before another one.
    pub(super) fn previous(&self, key: StreamId, entry: &Entry) -> Option<Entry> {
        self.ending_at(key, self.pack.previous(entry.at)?, entry.master_fields)
    }

    /// The entry whose element count, the last of its elements, is at `end`.
    fn ending_at(&self, key: StreamId, end: Position, master_fields: usize) -> Option<Entry> {
        let elements = self.integer(end);
        if elements == 0 {
            return None;
        }
        let mut at = end;
        for _ in 0..elements {
            at = self.pack.previous(at).expect("an element was checked to precede");
        }
        Some(self.read(key, at, master_fields))
    }

    /// The node without its deleted entries; there must be others.
    pub(super) fn without_deleted(&self, key: StreamId) -> Self {
        let mut entry = self.first(key);
        let mut node: Option<Self> = None;
        while let Some(here) = entry {
            if !here.is_deleted {
                let fields: Vec<(Vec<u8>, Vec<u8>)> = self
                    .fields(&here)
                    .map(|(field, value)| (field.to_vec(), value.to_vec()))
                    .collect();
                let fields = || fields.iter().map(|(field, value)| (&field[..], &value[..]));
                let node = node.get_or_insert_with(|| Self::new(fields().map(|(field, _)| field)));
                node.append(key, here.id, fields());
            }
            entry = self.next(key, &here);
        }
        node.expect("a node has an entry")
    }

    /// Flags an entry as deleted.
    pub(super) fn delete(&mut self, entry: &Entry) {
        self.flag(entry);
        self.set_counts(self.live() - 1, self.deleted() + 1);
    }

    /// Flags entries as deleted from the first one on, until `done` says so of one and of how many were
    /// flagged before. Gives that number, and the id of the first entry that is left.
    pub(super) fn delete_until(
        &mut self,
        key: StreamId,
        mut done: impl FnMut(&Entry, u64) -> bool,
    ) -> (u64, Option<StreamId>) {
        let mut flagged = 0;
        let mut entry = self.first(key);
        while let Some(here) = entry.filter(|entry| !done(entry, flagged)) {
            if !here.is_deleted {
                self.flag(&here);
                flagged += 1;
            }
            entry = self.next(key, &here);
        }
        while let Some(here) = entry.filter(|entry| entry.is_deleted) {
            entry = self.next(key, &here);
        }
        // Last, because other counts may take other room and move the entries.
        self.set_counts(self.live() - flagged, self.deleted() + flagged);
        (flagged, entry.map(|entry| entry.id))
    }

    /// Flags an entry as deleted. The flags keep their length, so nothing moves.
    fn flag(&mut self, entry: &Entry) {
        debug_assert!(!entry.is_deleted);
        let flags = self.integer(entry.at) | DELETED;
        self.pack.replace_integer(entry.at, flags);
    }

    /// An entry's fields and values.
    pub(super) fn fields(&self, entry: &Entry) -> Fields<'_> {
        let names = entry.has_same_fields.then(|| self.pack.iter_from(self.master_fields().1));
        Fields { names, values: self.pack.iter_from(entry.first), left: entry.fields }
    }

    /// A node of foreign bytes: how RDB files carry it. `key` is the node's.
    ///
    /// # Errors
    /// If anything is not as it should be.
    pub fn from_bytes(key: StreamId, bytes: &[u8]) -> Result<Self, Malformed> {
        let node = Self { pack: Listpack::from_bytes(bytes)? };
        match node.check(key) {
            Some(()) => Ok(node),
            None => Err(Malformed::new("a stream's entries are not what their counts say", 0)),
        }
    }

    /// Checks all that the other functions take for granted.
    fn check(&self, key: StreamId) -> Option<()> {
        let mut elements = self.pack.iter();
        let mut integer = || match elements.next() {
            Some(Element::Integer(number)) => Some(number),
            _ => None,
        };
        let (live, deleted) = (integer()?, integer()?);
        let left = self.pack.len();
        let master_fields = usize::try_from(integer()?).ok().filter(|&fields| fields <= left)?;
        let mut elements = self.pack.iter().skip(MASTER_ELEMENTS - 1 + master_fields);
        let integer = |elements: &mut dyn Iterator<Item = Element<'_>>| match elements.next() {
            Some(Element::Integer(number)) => Some(number),
            _ => None,
        };
        (integer(&mut elements)? == 0).then_some(())?;
        let (mut counts, mut last) = ([0i64; 2], None);
        while let Some(flags) = elements.next() {
            let Element::Integer(flags) = flags else { return None };
            let id = StreamId {
                // Differences have 64 bits, and so no sign: the order of ids tells what is
                // possible.
                ms: key.ms.wrapping_add(integer(&mut elements)? as u64),
                seq: key.seq.wrapping_add(integer(&mut elements)? as u64),
            };
            (id >= key && last.is_none_or(|last| last < id)).then_some(())?;
            last = Some(id);
            let count = if flags & SAME_FIELDS != 0 {
                master_fields
            } else {
                let fields = usize::try_from(integer(&mut elements)?).ok();
                2 * fields.filter(|&fields| fields <= left)?
            };
            if count > 0 {
                elements.nth(count - 1)?;
            }
            let own = if flags & SAME_FIELDS != 0 { 3 } else { 4 };
            (integer(&mut elements)? == count as i64 + own).then_some(())?;
            counts[usize::from(flags & DELETED != 0)] += 1;
        }
        (counts == [live, deleted]).then_some(())
    }
}

/// The fields and values of an entry.
#[derive(Clone)]
pub struct Fields<'a> {
    names: Option<Iter<'a>>,
    values: Iter<'a>,
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Element<'a>, Element<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = self.names.as_mut().unwrap_or(&mut self.values).next();
        let name = name.expect("a field was checked to be here");
        Some((name, self.values.next().expect("a value was checked to be here")))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}
