//! Streams: entries of fields and values in the order of their ids, with consumer groups.
//!
//! Entries lie in listpacks ([`Node`]), ordered by the id of their first one.

mod count;
mod entries;
mod group;
mod id;
mod id_map;
mod node;
mod saving;
#[cfg(test)]
mod tests;

pub use count::Count;
pub use entries::{Bound, Counters, Entries, Range, RangeBack};
pub use group::{Consumer, ConsumerId, Group, Pending};
pub use id::StreamId;
pub use id_map::{IdMap, IdSet};
pub use node::{Fields, Node};
pub use saving::{StreamPiece, StreamTail};

use std::collections::BTreeMap;

/// Consumer groups, by their names.
pub type Groups = BTreeMap<Box<[u8]>, Group>;

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct Stream(Box<Parts>);

/// What a stream consists of.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The entries.
    pub entries: Entries,
    /// The consumer groups.
    pub groups: Groups,
}

impl Stream {
    /// A stream without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// A stream of these parts.
    pub fn from_parts(parts: Parts) -> Self {
        Self(Box::new(parts))
    }

    /// What `OBJECT ENCODING` says.
    pub fn encoding_name(&self) -> &'static str {
        "stream"
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.entries.len() as usize
    }

    /// Whether there are no entries. Such a stream stays, unlike other collections.
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// About how many bytes of memory it holds.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Parts>() + self.0.entries.memory_bytes() + groups_bytes(&self.0.groups)
    }
}

/// About how many bytes of memory groups hold.
fn groups_bytes(groups: &Groups) -> usize {
    groups.iter().map(|(name, group)| name.len() + group.memory_bytes()).sum()
}

impl std::ops::Deref for Stream {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl std::ops::DerefMut for Stream {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}
