//! The members of a big set.

use crate::data::KeyHasher;
use crate::data::sample::Selection;
use crate::data::table::{self, Table};
use crate::data::thin_bytes::{ThinBytes, ThinRef};
use std::collections::HashSet;

/// How often it is tried to pick another member for each that is wanted.
const TRIES_MAX: usize = 64;

/// The members of a big set: a table.
pub struct Members {
    table: Table<ThinBytes, KeyHasher>,
    /// Bytes allocated for the members themselves.
    member_bytes: usize,
}

impl Members {
    pub(super) fn new(hasher: KeyHasher) -> Self {
        Self { table: Table::new(hasher), member_bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes allocated, members included.
    pub(super) fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.member_bytes
    }

    /// The hash under which a member is to be looked for, here and in all other sets of the same keyspace.
    #[inline]
    pub(super) fn hash(&self, member: &[u8]) -> u64 {
        self.table.hasher().hash(member)
    }

    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        self.table.prefetch(hash);
    }

    #[inline]
    pub(super) fn contains(&self, hash: u64, member: &[u8]) -> bool {
        self.table.find(hash, |other| other.as_slice() == member).is_some()
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
        let member = ThinBytes::new(member);
        self.member_bytes += member.view().memory_bytes();
        self.table.insert_unique(hash, member, None);
    }

    /// Removes a member. False if it was not there.
    pub(super) fn remove(&mut self, hash: u64, member: &[u8]) -> bool {
        let removed = self.table.remove(hash, |other| other.as_slice() == member);
        self.forget(removed.as_ref());
        removed.is_some()
    }

    fn forget(&mut self, removed: Option<&ThinBytes>) {
        self.member_bytes -= removed.map_or(0, |member| member.view().memory_bytes());
    }

    pub(super) fn random(&self, random: &mut dyn FnMut() -> u64) -> Option<ThinRef<'_>> {
        self.table.random(random)
    }

    /// Takes a random member out.
    pub(super) fn pop(&mut self, random: &mut dyn FnMut() -> u64) -> Option<ThinBytes> {
        let found = self.table.random(random)?;
        let (hash, address) = (self.hash(found.as_slice()), found.address());
        let popped = self.table.remove(hash, |member| member.address() == address);
        self.forget(popped.as_ref());
        popped
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

    pub(super) fn iter(&self) -> table::Iter<'_, ThinBytes, KeyHasher> {
        self.table.iter()
    }
}

impl Clone for Members {
    fn clone(&self) -> Self {
        let mut copy = Self::new(*self.table.hasher());
        for member in self.iter() {
            let member = member.as_slice();
            copy.insert_unique(self.hash(member), member);
        }
        copy
    }
}
