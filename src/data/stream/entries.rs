//! The entries of a stream, in the order of their ids.

use super::node::Entry;
use super::saving::{SavedStream, StreamPiece, StreamTail};
use super::{Count, Fields, Groups, Node, StreamId};
use crate::data::Limits;
use crate::data::listpack::Listpack;
use crate::data::saving::InProgress;
use std::collections::{BTreeMap, btree_map};
use std::ops::ControlFlow;

/// The entries of a stream, and what it remembers of those that are gone.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    nodes: BTreeMap<StreamId, Node>,
    len: u64,
    first_id: StreamId,
    counters: Counters,
    saving: InProgress<SavedStream>,
}

/// What a stream knows besides its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The id of the last entry ever added, or the one that `XSETID` set.
    pub last_id: StreamId,
    /// The highest id of an entry that was deleted by its id.
    pub max_deleted_id: StreamId,
    /// How many entries were ever added; at least as many as there are.
    pub entries_added: Count,
}

/// Which entries a trim removes, from the lowest id on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Until at most so many are left.
    Len(u64),
    /// All below this id.
    Id(StreamId),
}

impl Entries {
    /// Entries in nodes as an RDB file carries them, by their keys.
    ///
    /// Counters that contradict the entries are made to fit, as [`Entries::set_counters`] does it.
    ///
    /// `None` if the ids of one node do not lie below those of the next, or above the last id.
    pub fn from_nodes(nodes: BTreeMap<StreamId, Node>, counters: Counters) -> Option<Self> {
        let mut last = None;
        for (&key, node) in &nodes {
            let first = node.first(key)?.id;
            last.is_none_or(|last| last < first).then_some(())?;
            last = Some(node.last(key)?.id);
        }
        let len = nodes.values().map(Node::live).sum();
        let mut entries = Self { nodes, len, ..Self::default() };
        (entries.top_id() <= Some(counters.last_id)).then_some(())?;
        entries.set_counters(counters);
        entries.find_first();
        Some(entries)
    }

    /// How many entries there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The listpacks, by the ids of their first entries.
    pub fn nodes(&self) -> &BTreeMap<StreamId, Node> {
        &self.nodes
    }

    /// What is known besides the entries.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Sets what is known besides the entries. No fewer can have been added than there are, and
    /// none with an id above the last one can have been deleted: where the counters tell otherwise,
    /// they become what is possible.
    ///
    /// # Panics
    /// If the last id is below that of an entry.
    pub fn set_counters(&mut self, counters: Counters) {
        let Counters { last_id, max_deleted_id, entries_added } = counters;
        assert!(self.top_id().is_none_or(|id| id <= last_id));
        self.counters = Counters {
            last_id,
            max_deleted_id: max_deleted_id.min(last_id),
            entries_added: entries_added.max(Count::new(self.len)),
        };
        self.drop_deleted_above(last_id);
    }

    /// Forgets deleted entries with ids above `last_id`, so that others may have these ids.
    fn drop_deleted_above(&mut self, last_id: StreamId) {
        while let Some(mut last) = self.nodes.last_entry() {
            let key = *last.key();
            if last.get().last(key).is_none_or(|entry| entry.id <= last_id) {
                break;
            }
            // Only other servers have nodes of which everything is deleted.
            if last.get().live() == 0 {
                let node = last.remove();
                if let Some(saving) = self.saving.get_mut() {
                    saving.on_remove(key, node);
                }
                continue;
            }
            if let Some(saving) = self.saving.get_mut() {
                saving.before_change(key, last.get());
            }
            let node = last.get().without_deleted(key);
            last.insert(node);
            break;
        }
    }

    /// The id of the last entry ever added, or the one that `XSETID` set.
    pub fn last_id(&self) -> StreamId {
        self.counters.last_id
    }

    /// The id of the first entry; the lowest id if there is none.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The id of the last entry that is there.
    pub fn top_id(&self) -> Option<StreamId> {
        self.range_back(StreamId::MIN, StreamId::MAX).next().map(|(id, _)| id)
    }

    /// Appends an entry.
    ///
    /// # Panics
    /// If `id` is not above the last one.
    pub fn append<'f>(
        &mut self,
        id: StreamId,
        fields: impl ExactSizeIterator<Item = (&'f [u8], &'f [u8])> + Clone,
        limits: &Limits,
    ) {
        assert!(id > self.counters.last_id);
        let bytes: usize = fields.clone().map(|(field, value)| field.len() + value.len()).sum();
        let has_room = self.nodes.last_key_value().is_some_and(|(_, node)| {
            let bytes_max = match limits.stream_node_bytes {
                0 => Listpack::BYTES_MAX,
                bytes_max => bytes_max.min(Listpack::BYTES_MAX),
            };
            let entries_max = limits.stream_node_entries as u64;
            node.byte_len() + bytes < bytes_max
                && (entries_max == 0 || node.live() + node.deleted() < entries_max)
        });
        if !has_room {
            if let Some(saving) = self.saving.get_mut() {
                saving.on_insert(id);
            }
            self.nodes.insert(id, Node::new(fields.clone().map(|(field, _)| field)));
        }
        let mut last = self.nodes.last_entry().expect("there is one, or one was just made");
        let key = *last.key();
        if let Some(saving) = self.saving.get_mut() {
            saving.before_change(key, last.get());
        }
        last.get_mut().append(key, id, fields);
        self.len += 1;
        self.counters.entries_added = self.counters.entries_added.plus(1);
        self.counters.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
    }

    /// The entries with ids from `start` to `end`, both included, in order.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        let from = self.nodes.range(..=start).next_back().map_or(start, |(&key, _)| key);
        let nodes = if start <= end { self.nodes.range(from..=end) } else { Default::default() };
        Range { nodes, current: None, start, end }
    }

    /// The same, from the last to the first.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> RangeBack<'_> {
        RangeBack { nodes: self.nodes.range(..=end), current: None, start, end }
    }

    /// The fields of the entry with this id.
    pub fn get(&self, id: StreamId) -> Option<Fields<'_>> {
        self.range(id, id).next().map(|(_, fields)| fields)
    }

    /// Deletes the entry with this id. False if there is none.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some((&key, node)) = self.nodes.range_mut(..=id).next_back() else { return false };
        let mut entry = node.first(key);
        while let Some(candidate) = entry.filter(|entry| entry.id < id) {
            entry = node.next(key, &candidate);
        }
        let Some(entry) = entry.filter(|entry| entry.id == id && !entry.is_deleted) else {
            return false;
        };
        if node.live() == 1 {
            let node = self.nodes.remove(&key);
            if let (Some(saving), Some(node)) = (self.saving.get_mut(), node) {
                saving.on_remove(key, node);
            }
        } else {
            if let Some(saving) = self.saving.get_mut() {
                saving.before_change(key, node);
            }
            node.delete(&entry);
        }
        self.len -= 1;
        self.counters.max_deleted_id = self.counters.max_deleted_id.max(id);
        if id == self.first_id {
            self.find_first();
        }
        true
    }

    /// Removes entries from the lowest id on: whole nodes as long as that may be, and then, unless it
    /// need only be about right, single entries. No node is looked at that could bring the number of
    /// removed entries above `limit`. Gives that number.
    pub fn trim(&mut self, bound: Bound, about: bool, limit: Option<u64>) -> u64 {
        let mut removed = 0;
        // Known if the last node that was looked at is not gone.
        let mut first_id = None;
        while let Some(mut first) = self.nodes.first_entry() {
            let (key, live) = (*first.key(), first.get().live());
            if matches!(bound, Bound::Len(len) if self.len <= len)
                || limit.is_some_and(|limit| removed + live > limit)
            {
                break;
            }
            let whole = match bound {
                Bound::Len(len) => self.len - live >= len,
                Bound::Id(id) => first.get().last(key).is_none_or(|last| last.id < id),
            };
            if whole {
                let node = first.remove();
                if let Some(saving) = self.saving.get_mut() {
                    saving.on_remove(key, node);
                }
                self.len -= live;
                removed += live;
                continue;
            }
            if !about {
                if let Some(saving) = self.saving.get_mut() {
                    saving.before_change(key, first.get());
                }
                let len = self.len;
                let deleted;
                (deleted, first_id) =
                    first.get_mut().delete_until(key, |entry, deleted| match bound {
                        Bound::Len(len_max) => len - deleted <= len_max,
                        Bound::Id(id) => entry.id >= id,
                    });
                self.len -= deleted;
                removed += deleted;
            }
            break;
        }
        match first_id {
            Some(id) => self.first_id = id,
            None if removed > 0 => self.find_first(),
            None => {}
        }
        removed
    }

    /// The ids of the entries that [`Entries::trim`] would remove if it passed over those that
    /// `stays` names. Looks at as many nodes as it does, and at those of which something stays.
    pub fn trimmed(
        &self,
        bound: Bound,
        about: bool,
        limit: Option<u64>,
        stays: impl Fn(StreamId) -> bool,
    ) -> Vec<StreamId> {
        let (mut len, mut ids) = (self.len, Vec::new());
        for (&key, node) in &self.nodes {
            let live = node.live();
            let last = node.last(key).map_or(key, |entry| entry.id);
            let whole = match bound {
                Bound::Len(len_max) => len.saturating_sub(live) >= len_max,
                Bound::Id(id) => last < id,
            };
            let is_enough = matches!(bound, Bound::Len(len_max) if len <= len_max)
                || limit.is_some_and(|limit| ids.len() as u64 + live > limit);
            if is_enough || !whole && about {
                break;
            }
            for (id, _) in self.range(key, last) {
                let is_enough = match bound {
                    Bound::Len(len_max) => len <= len_max,
                    Bound::Id(bound) => id >= bound,
                };
                if is_enough {
                    return ids;
                }
                if !stays(id) {
                    ids.push(id);
                    len -= 1;
                }
            }
        }
        ids
    }

    fn find_first(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX).next().map(|(id, _)| id);
        self.first_id = first.unwrap_or(StreamId::MIN);
    }

    /// About how many bytes of memory it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        // A map's nodes are about three quarters full.
        let place = (size_of::<(StreamId, Node)>() + 2) * 4 / 3;
        let nodes = self.nodes.values().map(|node| node.memory_bytes() + place);
        nodes.sum::<usize>() + self.saving.get().map_or(0, SavedStream::memory_bytes)
    }

    /// Begins the saving of a stream that has these groups.
    pub(super) fn begin_saving(&mut self, groups: Groups) {
        let tail = self.tail(groups);
        self.saving.begin(SavedStream::new(&self.nodes, tail));
    }

    /// What a stream with these groups consists of besides its nodes.
    pub fn tail(&self, groups: Groups) -> StreamTail {
        StreamTail { counters: self.counters, len: self.len, first_id: self.first_id, groups }
    }

    pub(super) fn saving(&self) -> Option<&SavedStream> {
        self.saving.get()
    }

    pub(super) fn save_next(
        &mut self,
        visit: &mut dyn FnMut(StreamPiece<'_>) -> ControlFlow<()>,
    ) -> bool {
        let saving = self.saving.get_mut();
        let is_done = saving.is_none_or(|saving| saving.save_next(&self.nodes, visit));
        if is_done {
            self.end_saving();
        }
        is_done
    }

    pub(super) fn end_saving(&mut self) {
        self.saving.end();
    }

    /// Whether an entry with an id in `from..` was deleted, although entries below it may be left: counting
    /// those that follow is not enough then.
    pub fn has_gaps_from(&self, from: StreamId) -> bool {
        let gap = self.counters.max_deleted_id;
        self.len > 0 && gap != StreamId::MIN && self.first_id <= gap && from <= gap
    }

    /// How many entries had been added when the one with this id was, as far as that can be told.
    pub fn count_at(&self, id: StreamId) -> Option<Count> {
        let Counters { last_id, max_deleted_id, entries_added } = self.counters;
        if entries_added == Count::default() {
            return Some(entries_added);
        }
        if id == last_id || (self.len == 0 && id < last_id) {
            return Some(entries_added);
        }
        let unbroken = max_deleted_id == StreamId::MIN || max_deleted_id < self.first_id;
        if id > last_id || !unbroken || id > self.first_id {
            return None;
        }
        let before = Count::new(entries_added.get() - self.len);
        Some(before.plus((id == self.first_id).into()))
    }
}

/// Entries of a range of ids, in order.
pub struct Range<'a> {
    nodes: btree_map::Range<'a, StreamId, Node>,
    current: Option<(StreamId, &'a Node, Entry)>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Iterator for Range<'a> {
    type Item = (StreamId, Fields<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = self.current.and_then(|(key, node, entry)| {
                node.next(key, &entry).map(|entry| (key, node, entry))
            });
            let (key, node, entry) = match next {
                Some(next) => next,
                None => {
                    let (&key, node) = self.nodes.next()?;
                    (key, node, node.first(key)?)
                }
            };
            if entry.id > self.end {
                self.nodes = btree_map::Range::default();
                self.current = None;
                return None;
            }
            self.current = Some((key, node, entry));
            if entry.id >= self.start && !entry.is_deleted {
                return Some((entry.id, node.fields(&entry)));
            }
        }
    }
}

/// Entries of a range of ids, from the last to the first.
pub struct RangeBack<'a> {
    nodes: btree_map::Range<'a, StreamId, Node>,
    current: Option<(StreamId, &'a Node, Entry)>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = (StreamId, Fields<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = self.current.and_then(|(key, node, entry)| {
                node.previous(key, &entry).map(|entry| (key, node, entry))
            });
            let (key, node, entry) = match next {
                Some(next) => next,
                None => {
                    let (&key, node) = self.nodes.next_back()?;
                    (key, node, node.last(key)?)
                }
            };
            if entry.id < self.start {
                self.nodes = btree_map::Range::default();
                self.current = None;
                return None;
            }
            self.current = Some((key, node, entry));
            if entry.id <= self.end && !entry.is_deleted {
                return Some((entry.id, node.fields(&entry)));
            }
        }
    }
}
