//! The members of a big set.

use crate::data::KeyHasher;
use crate::data::salted::SaltedHasher;
use crate::data::sample::Selection;
use crate::data::saving::{Elements, InProgress};
use crate::data::table::{self, Table};
use crate::data::thin_bytes::{ThinBytes, ThinRef};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// How often it is tried to pick another member for each that is wanted.
const TRIES_MAX: usize = 64;

/// How many members are on their way from memory at the same time.
pub(super) const BATCH: usize = 16;

/// The next members, which are being fetched from memory. None at the end.
pub(super) fn next_batch<'a>(
    members: &mut table::Iter<'a, ThinBytes, SaltedHasher>,
) -> impl Iterator<Item = ThinRef<'a>> + Clone + use<'a> {
    let mut batch = [None; BATCH];
    for (place, member) in batch.iter_mut().zip(members) {
        member.prefetch();
        *place = Some(member);
    }
    batch.into_iter().flatten()
}

/// The members of a big set: a table.
pub struct Members {
    table: Table<ThinBytes, SaltedHasher>,
    /// Bytes allocated for the members themselves.
    member_bytes: usize,
    saving: InProgress<Elements<ThinBytes, usize>>,
}

impl Members {
    /// No members yet; `first_hash` is the hash of one that will be among the first.
    pub(super) fn new(hasher: KeyHasher, first_hash: u64) -> Self {
        let table = Table::new(SaltedHasher::new(hasher, first_hash));
        Self { table, member_bytes: 0, saving: InProgress::NONE }
    }

    #[inline]
    fn own(&self, hash: u64) -> u64 {
        self.table.hasher().own(hash)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes allocated, members included.
    pub(super) fn memory_bytes(&self) -> usize {
        self.data_bytes() + self.saving_bytes()
    }

    /// Bytes allocated, without what is kept for a saving.
    pub(super) fn data_bytes(&self) -> usize {
        self.table.memory_bytes() + self.member_bytes
    }

    /// The hash under which a member is to be looked for, here and in all other sets of the same keyspace.
    #[inline]
    pub(super) fn hash(&self, member: &[u8]) -> u64 {
        self.table.hasher().hash(member)
    }

    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        self.table.prefetch(self.own(hash));
    }

    #[inline]
    pub(super) fn contains(&self, hash: u64, member: &[u8]) -> bool {
        self.table.find(self.own(hash), |other| other.as_slice() == member).is_some()
    }

    /// Adds a member. False if it was there.
    pub(super) fn insert(&mut self, hash: u64, member: &[u8]) -> bool {
        let is_new = !self.contains(hash, member);
        if is_new {
            self.insert_unique(hash, member);
        }
        is_new
    }

    /// Adds a member that is not there yet.
    pub(super) fn insert_unique(&mut self, hash: u64, member: &[u8]) {
        let place = self.own(hash);
        if let Some(saving) = self.saving.get_mut() {
            saving.on_insert(place, member);
        }
        let member = ThinBytes::new(member);
        self.member_bytes += member.view().memory_bytes();
        self.table.insert_unique(place, member, None);
    }

    /// Removes a member. False if it was not there.
    pub(super) fn remove(&mut self, hash: u64, member: &[u8]) -> bool {
        let place = self.own(hash);
        let removed = self.table.remove(place, |other| other.as_slice() == member);
        let was_there = removed.is_some();
        if let Some(removed) = removed {
            self.member_bytes -= removed.view().memory_bytes();
            if let Some(saving) = self.saving.get_mut() {
                saving.on_remove(place, removed);
            }
        }
        was_there
    }

    pub(super) fn random(&self, random: &mut dyn FnMut() -> u64) -> Option<ThinRef<'_>> {
        self.table.random(random)
    }

    /// Takes a random member out.
    pub(super) fn pop(&mut self, random: &mut dyn FnMut() -> u64) -> Option<ThinBytes> {
        let found = self.table.random(random)?;
        let (place, address) = (self.own(self.hash(found.as_slice())), found.address());
        let popped = self.table.remove(place, |member| member.address() == address)?;
        self.member_bytes -= popped.view().memory_bytes();
        if let Some(saving) = self.saving.get_mut() {
            saving.on_remove(place, ThinBytes::new(popped.as_slice()));
        }
        Some(popped)
    }

    /// Some members, all different, every choice as likely as the others; in no certain order.
    pub(super) fn sample<'a>(
        &'a self,
        count: usize,
        random: &mut dyn FnMut() -> u64,
        mut visit: impl FnMut(&'a [u8]),
    ) {
        if super::is_large_part(count, self.len()) {
            let mut selection = Selection::new(count, self.len());
            let picked = self.iter().filter(|_| selection.picks(random));
            picked.for_each(|member| visit(member.as_slice()));
            return;
        }
        let mut picked = HashSet::with_capacity(count);
        // At most a third are picked, so with numbers that are random three tries for two are enough.
        for _ in 0..TRIES_MAX * count {
            let Some(member) = self.random(random) else { return };
            if picked.insert(member.address()) {
                visit(member.as_slice());
            }
            if picked.len() == count {
                return;
            }
        }
        let missed = self.iter().filter(|member| !picked.contains(&member.address()));
        missed.take(count - picked.len()).for_each(|member| visit(member.as_slice()));
    }

    pub(super) fn scan<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(&'a [u8]),
    ) -> u64 {
        self.table.scan(cursor, count, |member| visit(member.as_slice()))
    }

    pub(super) fn iter(&self) -> table::Iter<'_, ThinBytes, SaltedHasher> {
        self.table.iter()
    }

    pub(super) fn begin_saving(&mut self) {
        self.saving.begin(Elements::new(self.len(), self.table.hasher().hasher()));
    }

    pub(super) fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    /// How many members there were when the saving began.
    pub(super) fn saving_head(&self) -> usize {
        *self.saving.expect().head()
    }

    pub(super) fn save_next(&mut self, visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> bool {
        let mut visit = |member: ThinRef<'_>| visit(member.as_slice());
        let is_done =
            self.saving.get_mut().is_none_or(|saving| saving.save_next(&self.table, &mut visit));
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

impl Clone for Members {
    fn clone(&self) -> Self {
        let hasher = self.table.hasher();
        let first_hash = self.iter().next().map_or(0, |first| hasher.hash(first.as_slice()));
        let mut copy = Self::new(hasher.hasher(), first_hash);
        let mut members = self.iter();
        loop {
            let batch = next_batch(&mut members);
            let mut hashes = [0; BATCH];
            for (hash, member) in hashes.iter_mut().zip(batch.clone()) {
                *hash = self.hash(member.as_slice());
                copy.prefetch(*hash);
            }
            let old_len = copy.len();
            for (hash, member) in hashes.into_iter().zip(batch) {
                copy.insert_unique(hash, member.as_slice());
            }
            if copy.len() == old_len {
                return copy;
            }
        }
    }
}
