//! The fields of a big hash: a table of them.

use super::field::{FieldBox, FieldRef};
use crate::data::KeyHasher;
use crate::data::salted::SaltedHasher;
use crate::data::saving::{Elements, InProgress};
use crate::data::table::{Iter, Rehash, SweepLimits, Table, Verdict};
use std::ops::ControlFlow;

/// A table of fields.
pub(super) struct Fields {
    table: Table<FieldBox, SaltedHasher>,
    /// Bytes allocated for the fields, without the table.
    bytes: usize,
    /// How many fields have an expiry time.
    expiring: usize,
    /// No field expires before this time. It may be too early.
    next_expiry_ms: i64,
    saving: InProgress<Elements<FieldBox, HashHead>>,
}

/// What a hash was when its saving began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashHead {
    /// How many fields it had.
    pub len: usize,
    /// A time before which no field expired, as Unix time in ms; `None` if none had an expiry time.
    pub next_expiry_ms: Option<i64>,
}

impl Rehash<FieldBox> for SaltedHasher {
    fn rehash(&self, field: FieldRef<'_>) -> u64 {
        self.own(self.hash(field.name()))
    }
}

/// An expiry time as the table's deadlines count: what lies before 1970 has passed all the same.
fn deadline(expiry_ms: Option<i64>) -> Option<u64> {
    expiry_ms.map(|at| at.max(0) as u64)
}

impl Fields {
    pub(super) fn new(hasher: KeyHasher) -> Self {
        let table = Table::new(SaltedHasher::new(hasher, 0));
        Self { table, bytes: 0, expiring: 0, next_expiry_ms: i64::MAX, saving: InProgress::NONE }
    }

    /// Where a field of this name is in the table's order.
    pub(super) fn place(&self, name: &[u8]) -> u64 {
        let hasher = self.table.hasher();
        hasher.own(hasher.hash(name))
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.data_bytes() + self.saving_bytes()
    }

    /// Bytes allocated, without what is kept for a saving.
    pub(super) fn data_bytes(&self) -> usize {
        size_of::<Self>() + self.table.memory_bytes() + self.bytes
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<FieldRef<'_>> {
        self.table.find(self.place(name), |field| field.name() == name)
    }

    pub(super) fn iter(&self) -> Iter<'_, FieldBox, SaltedHasher> {
        self.table.iter()
    }

    pub(super) fn scan<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        visit: impl FnMut(FieldRef<'a>),
    ) -> u64 {
        self.table.scan(cursor, count, visit)
    }

    pub(super) fn random(&self, random: impl FnMut() -> u64) -> Option<FieldRef<'_>> {
        self.table.random(random)
    }

    /// Notes that a field takes so many bytes and has such an expiry time.
    fn count(&mut self, bytes: usize, expiry_ms: Option<i64>) {
        self.bytes += bytes;
        if let Some(at) = expiry_ms {
            self.expiring += 1;
            self.next_expiry_ms = self.next_expiry_ms.min(at);
        }
    }

    /// Notes that there is no such field any more.
    fn discount(&mut self, bytes: usize, had_expiry: bool) {
        self.bytes -= bytes;
        self.expiring -= usize::from(had_expiry);
        if self.expiring == 0 {
            self.next_expiry_ms = i64::MAX;
        }
    }

    /// Sets a field; `expiry` is told the present expiry time, if there is such a field, and gives the
    /// one that it is to have. True if the field is new.
    pub(super) fn set(
        &mut self,
        name: &[u8],
        value: &[u8],
        expiry: impl FnOnce(Option<i64>) -> Option<i64>,
    ) -> bool {
        let hash = self.place_for(name);
        self.set_at(hash, name, value, expiry)
    }

    /// Where a field of this name goes; where an empty table puts its fields depends on the first.
    pub(super) fn place_for(&mut self, name: &[u8]) -> u64 {
        if self.table.is_empty() {
            let hasher = self.table.hasher().hasher();
            self.table = Table::new(SaltedHasher::new(hasher, hasher.hash(name)));
        }
        self.place(name)
    }

    /// Asks the processor to fetch that place.
    pub(super) fn prefetch(&self, place: u64) {
        self.table.prefetch(place);
    }

    /// As [`Fields::set`], with the place of the name.
    pub(super) fn set_at(
        &mut self,
        hash: u64,
        name: &[u8],
        value: &[u8],
        expiry: impl FnOnce(Option<i64>) -> Option<i64>,
    ) -> bool {
        let Some(mut found) = self.table.find_mut(hash, |field| field.name() == name) else {
            let expiry_ms = expiry(None);
            let field = FieldBox::new(name, value, expiry_ms);
            let bytes = field.view().memory_bytes();
            if let Some(saving) = self.saving.get_mut() {
                saving.on_insert(hash, name);
            }
            self.table.insert_unique(hash, field, deadline(expiry_ms));
            self.count(bytes, expiry_ms);
            return true;
        };
        let old = found.get();
        let (old_bytes, old_expiry) = (old.memory_bytes(), old.expiry_ms());
        let expiry_ms = expiry(old_expiry);
        let is_wanted = self.saving.get().is_some_and(|saving| saving.wants(hash, name));
        // SAFETY: the table is borrowed mutably, so the field is used nowhere else.
        if is_wanted || !unsafe { old.set_in_place(value, expiry_ms) } {
            let old = found.replace(FieldBox::new(name, value, expiry_ms));
            if let Some(saving) = self.saving.get_mut() {
                saving.on_replace(hash, old);
            }
        }
        if expiry_ms != old_expiry {
            found.set_deadline(deadline(expiry_ms));
        }
        let bytes = found.get().memory_bytes();
        self.discount(old_bytes, old_expiry.is_some());
        self.count(bytes, expiry_ms);
        false
    }

    /// Sets or clears the expiry time of a field. False if there is no such field.
    pub(super) fn set_expiry(&mut self, name: &[u8], expiry_ms: Option<i64>) -> bool {
        let hash = self.place(name);
        let Some(mut found) = self.table.find_mut(hash, |field| field.name() == name) else {
            return false;
        };
        let old = found.get();
        let (old_bytes, had_expiry) = (old.memory_bytes(), old.expiry_ms().is_some());
        let field = FieldBox::new(name, old.value(), expiry_ms);
        let bytes = field.view().memory_bytes();
        let old = found.replace(field);
        found.set_deadline(deadline(expiry_ms));
        if let Some(saving) = self.saving.get_mut() {
            saving.on_replace(hash, old);
        }
        self.discount(old_bytes, had_expiry);
        self.count(bytes, expiry_ms);
        true
    }

    /// Gives every field that expires the time that `moved` makes of its own.
    pub(super) fn move_expiries(&mut self, moved: impl Fn(i64) -> i64) {
        let expiring = self
            .table
            .iter()
            .filter_map(|field| field.expiry_ms().map(|at| (field.name().to_vec(), moved(at))));
        let expiring: Vec<_> = expiring.collect();
        for (name, at) in &expiring {
            self.set_expiry(name, Some(*at));
        }
        // The time kept for the first of them may be one from before.
        self.next_expiry_ms = expiring.iter().map(|&(_, at)| at).min().unwrap_or(i64::MAX);
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let hash = self.place(name);
        let Some(old) = self.table.remove(hash, |field| field.name() == name) else {
            return false;
        };
        self.discount(old.view().memory_bytes(), old.view().expiry_ms().is_some());
        if let Some(saving) = self.saving.get_mut() {
            saving.on_remove(hash, old);
        }
        true
    }

    /// A time before which no field expires, if any ever does.
    pub(super) fn next_expiry_ms(&self) -> Option<i64> {
        (self.expiring > 0).then_some(self.next_expiry_ms)
    }

    /// Takes out fields whose time has come by `now_ms`, at most `limit` of them, and gives their names.
    pub(super) fn expire(&mut self, now_ms: i64, limit: usize) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        if self.next_expiry_ms().is_none_or(|next| next > now_ms) {
            return names;
        }
        let hasher = *self.table.hasher();
        let (mut bytes, mut left, mut cursor) = (0, limit, 0);
        while left > 0 {
            let removing = &mut left;
            cursor = self.table.sweep(
                cursor,
                now_ms.max(0) as u64,
                SweepLimits { segments: usize::MAX, items: limit },
                |field| match field.expiry_ms() {
                    None => Verdict::Unmark,
                    Some(at) if at <= now_ms && *removing > 0 => {
                        *removing -= 1;
                        Verdict::Remove
                    }
                    at => Verdict::Keep { deadline_ms: deadline(at).unwrap_or(0) },
                },
                |field| {
                    bytes += field.view().memory_bytes();
                    names.push(field.view().name().to_vec());
                    if let Some(saving) = self.saving.get_mut() {
                        let place = hasher.own(hasher.hash(field.view().name()));
                        saving.on_remove(place, field);
                    }
                },
            );
            if cursor == 0 {
                break;
            }
        }
        self.bytes -= bytes;
        self.expiring -= names.len();
        // The table knows a time before which nothing expires for each of its segments.
        let next = self.table.next_deadline_ms().map_or(i64::MAX, |at| at as i64);
        self.next_expiry_ms = if self.expiring == 0 { i64::MAX } else { next };
        names
    }

    pub(super) fn begin_saving(&mut self) {
        let head = HashHead { len: self.len(), next_expiry_ms: self.next_expiry_ms() };
        self.saving.begin(Elements::new(head, self.table.hasher().hasher()));
    }

    pub(super) fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    pub(super) fn saving_head(&self) -> HashHead {
        *self.saving.expect().head()
    }

    pub(super) fn save_next(
        &mut self,
        visit: &mut dyn FnMut(FieldRef<'_>) -> ControlFlow<()>,
    ) -> bool {
        let is_done =
            self.saving.get_mut().is_none_or(|saving| saving.save_next(&self.table, visit));
        if is_done {
            self.end_saving();
        }
        is_done
    }

    pub(super) fn end_saving(&mut self) {
        self.saving.end();
    }

    pub(super) fn saving_bytes(&self) -> usize {
        self.saving.get().map_or(0, Elements::memory_bytes)
    }
}

impl Clone for Fields {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.table.hasher().hasher());
        for field in self.table.iter() {
            copy.set(field.name(), field.value(), |_| field.expiry_ms());
        }
        copy
    }
}
