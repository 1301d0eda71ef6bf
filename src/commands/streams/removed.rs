//! Entries and references that commands of later versions remove, stated in commands that every
//! version knows.

use super::ids::IdText;
use crate::commands::{Key, Store};
use crate::data::stream::StreamId;
use std::collections::BTreeMap;

/// What was removed, to be stated once the stream is no longer borrowed.
#[derive(Default)]
pub(super) struct Removed {
    /// Entries.
    pub(super) entries: Vec<StreamId>,
    /// References of groups, by group.
    pub(super) references: BTreeMap<Box<[u8]>, Vec<StreamId>>,
}

impl Removed {
    /// Adds a reference of a group.
    pub(super) fn add_reference(&mut self, group: &[u8], id: StreamId) {
        match self.references.get_mut(group) {
            Some(ids) => ids.push(id),
            None => drop(self.references.insert(group.into(), vec![id])),
        }
    }

    /// Whether nothing was removed.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.references.is_empty()
    }

    /// States it as effects.
    pub(super) fn state(self, store: &mut Store<'_>, key: &Key<'_>) {
        let mut state = |head: &[&[u8]], ids: &[StreamId]| {
            if ids.is_empty() {
                return;
            }
            let texts: Vec<IdText> = ids.iter().map(|&id| IdText::new(id)).collect();
            let words: Vec<&[u8]> =
                head.iter().copied().chain(texts.iter().map(IdText::as_bytes)).collect();
            store.effect(&words);
        };
        state(&[b"XDEL", key.bytes], &self.entries);
        for (group, ids) in &self.references {
            state(&[b"XACK", key.bytes, group], ids);
        }
    }
}
