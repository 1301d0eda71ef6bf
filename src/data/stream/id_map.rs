//! What is pending, by id: an ordered map whose copies share what neither has changed.
//!
//! Entries lie in chunks, sorted, each in one allocation. A copy costs one word for a chunk, so that a saving may have
//! its own of a group with a million pending entries; what is changed then is one chunk that is copied. Ids mostly
//! come in order and go in order: full chunks stay behind.

use super::StreamId;
use std::collections::VecDeque;
use std::ops::Index;
use std::sync::Arc;

/// The most entries in one chunk.
const CHUNK_MAX: usize = 128;
/// A chunk is merged with the next one when both together have at most this many.
const CHUNK_MERGED_MAX: usize = CHUNK_MAX / 2;

type Chunk<V> = Vec<(StreamId, V)>;

/// An ordered map; see the module's page.
#[derive(Clone, Debug)]
pub struct IdMap<V> {
    /// None is empty.
    chunks: VecDeque<Arc<Chunk<V>>>,
    len: usize,
}

/// Ids in order.
pub type IdSet = IdMap<()>;

/// Where an entry is, or belongs.
#[derive(Clone, Copy)]
struct Place {
    chunk: usize,
    slot: usize,
}

impl<V> Default for IdMap<V> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), len: 0 }
    }
}

impl<V> IdMap<V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// About how many bytes are allocated.
    pub fn memory_bytes(&self) -> usize {
        // A chunk's counts and vector, and its handle.
        const CHUNK_BYTES: usize = 2 * size_of::<usize>() + size_of::<Chunk<()>>();
        let chunks = self.chunks.len() * CHUNK_BYTES + self.chunks.capacity() * size_of::<usize>();
        chunks + self.len * size_of::<(StreamId, V)>()
    }

    /// Where an id is, or where it belongs: in the chunk of those before it, if there is one.
    fn locate(&self, id: StreamId) -> Result<Place, Place> {
        let chunk = self.chunks.partition_point(|chunk| chunk[0].0 <= id).saturating_sub(1);
        let entries = self.chunks.get(chunk).map_or(&[][..], |chunk| chunk);
        match entries.binary_search_by_key(&id, |&(id, _)| id) {
            Ok(slot) => Ok(Place { chunk, slot }),
            Err(slot) => Err(Place { chunk, slot }),
        }
    }

    /// The value of an id.
    pub fn get(&self, id: StreamId) -> Option<&V> {
        let Place { chunk, slot } = self.locate(id).ok()?;
        Some(&self.chunks[chunk][slot].1)
    }

    /// Whether there is such an id.
    pub fn contains(&self, id: StreamId) -> bool {
        self.locate(id).is_ok()
    }

    /// The lowest id.
    pub fn first(&self) -> Option<StreamId> {
        Some(self.chunks.front()?.first()?.0)
    }

    /// The highest id.
    pub fn last(&self) -> Option<StreamId> {
        Some(self.chunks.back()?.last()?.0)
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (StreamId, &V)> {
        self.walk(Place { chunk: 0, slot: 0 })
    }

    /// The entries with ids from `start` to `end`, both included, in order.
    pub fn range(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = (StreamId, &V)> {
        let (Ok(place) | Err(place)) = self.locate(start);
        self.walk(place).take_while(move |&(id, _)| id <= end)
    }

    fn walk(&self, Place { chunk, slot }: Place) -> impl Iterator<Item = (StreamId, &V)> {
        let entries = self.chunks.iter().skip(chunk).flat_map(|chunk| chunk.iter());
        entries.skip(slot).map(|(id, value)| (*id, value))
    }
}

impl<V: Clone> IdMap<V> {
    /// Sets the value of an id, and gives back the one that it had.
    pub fn insert(&mut self, id: StreamId, value: V) -> Option<V> {
        let Place { mut chunk, mut slot } = match self.locate(id) {
            Ok(Place { chunk, slot }) => {
                let entry = &mut Arc::make_mut(&mut self.chunks[chunk])[slot];
                return Some(std::mem::replace(&mut entry.1, value));
            }
            Err(place) => place,
        };
        if self.chunks.is_empty() {
            self.chunks.push_back(Arc::default());
        }
        if self.chunks[chunk].len() == CHUNK_MAX {
            // One behind all others leaves a full chunk behind.
            let is_last = slot == CHUNK_MAX && chunk + 1 == self.chunks.len();
            let at = if is_last { CHUNK_MAX } else { CHUNK_MAX / 2 };
            let upper = Arc::make_mut(&mut self.chunks[chunk]).split_off(at);
            self.chunks.insert(chunk + 1, Arc::new(upper));
            if slot > at || is_last {
                (chunk, slot) = (chunk + 1, slot - at);
            }
        }
        Arc::make_mut(&mut self.chunks[chunk]).insert(slot, (id, value));
        self.len += 1;
        None
    }

    /// Takes an id out, and gives the value that it had.
    pub fn remove(&mut self, id: StreamId) -> Option<V> {
        let Place { chunk, slot } = self.locate(id).ok()?;
        let entries = Arc::make_mut(&mut self.chunks[chunk]);
        let (_, value) = entries.remove(slot);
        self.len -= 1;
        let left = entries.len();
        let next = self.chunks.get(chunk + 1).map(|next| next.len());
        if left == 0 {
            self.chunks.remove(chunk);
        } else if next.is_some_and(|next| left + next <= CHUNK_MERGED_MAX) {
            let next = self.chunks.remove(chunk + 1).expect("there is a next one");
            Arc::make_mut(&mut self.chunks[chunk]).extend(Arc::unwrap_or_clone(next));
        }
        Some(value)
    }
}

impl<V> Index<StreamId> for IdMap<V> {
    type Output = V;

    fn index(&self, id: StreamId) -> &V {
        self.get(id).expect("the caller knows that it is there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn check(map: &IdMap<u64>, model: &BTreeMap<StreamId, u64>) {
        assert_eq!(map.len(), model.len());
        assert!(map.iter().eq(model.iter().map(|(&id, value)| (id, value))));
        assert_eq!(map.first(), model.keys().next().copied());
        assert_eq!(map.last(), model.keys().next_back().copied());
        assert!(map.chunks.iter().all(|chunk| (1..=CHUNK_MAX).contains(&chunk.len())));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn behaves_as_an_ordered_map(
            steps in prop::collection::vec((0..8u8, 0..600u64, 1..300u64), 1..60),
        ) {
            let (mut map, mut model) = (IdMap::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (kind, at, count) in steps {
                for number in at..at + count {
                    let id = match kind {
                        // Scattered, or in order, up or down.
                        0..2 => StreamId::new(number * 7919 % 600, 0),
                        7 => StreamId::new(600 - number.min(600), 0),
                        _ => StreamId::new(number, 0),
                    };
                    if kind % 2 == 0 {
                        prop_assert_eq!(map.remove(id), model.remove(&id));
                    } else {
                        prop_assert_eq!(map.insert(id, count), model.insert(id, count));
                    }
                    prop_assert_eq!(map.contains(id), model.contains_key(&id));
                }
                check(&map, &model);
                let (start, end) = (StreamId::new(at, 0), StreamId::new(at + count, 0));
                let expected = model.range(start..=end).map(|(&id, value)| (id, value));
                prop_assert!(map.range(start, end).eq(expected));
                copies.push((map.clone(), model.clone()));
            }
            copies.iter().for_each(|(map, model)| check(map, model));
        }
    }

    #[test]
    fn chunks_are_full_where_ids_come_in_order() {
        let mut map = IdMap::default();
        for ms in 0..10_000 {
            map.insert(StreamId::new(ms, 0), ms);
        }
        assert_eq!(map.chunks.len(), 10_000_usize.div_ceil(CHUNK_MAX));
        for ms in 0..9_999 {
            assert_eq!(map.remove(StreamId::new(ms, 0)), Some(ms));
        }
        assert_eq!((map.len(), map.chunks.len()), (1, 1));
        assert_eq!(map[StreamId::new(9_999, 0)], 9_999);
    }
}
