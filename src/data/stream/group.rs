//! Consumer groups: which entries were delivered to which consumer and are not acknowledged yet.

use super::id_map::{IdMap, IdSet};
use super::{Count, StreamId};
use std::collections::BTreeMap;

/// A consumer group. A copy shares what is pending until one of both changes.
#[derive(Clone, Debug)]
pub struct Group {
    /// The last id that was delivered.
    pub last_id: StreamId,
    /// How many of the stream's entries have been read, as far as that is known.
    pub entries_read: Option<Count>,
    pending: IdMap<Pending>,
    by_name: BTreeMap<Box<[u8]>, ConsumerId>,
    /// By [`ConsumerId`]; vacant ones are used again.
    consumers: Vec<Option<Consumer>>,
    vacant: Vec<u32>,
}

/// A consumer's number within its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerId(u32);

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Whose it is.
    pub consumer: ConsumerId,
    /// When it was delivered last, as Unix time in ms.
    pub delivered_ms: i64,
    /// How often it was delivered.
    pub deliveries: Count,
}

/// A consumer.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last asked for anything, as Unix time in ms.
    pub seen_ms: i64,
    /// When it last got anything; `None` if it never did.
    pub active_ms: Option<i64>,
    pending: IdSet,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The ids of what it has not acknowledged, in order.
    pub fn pending(&self) -> &IdSet {
        &self.pending
    }
}

impl Group {
    /// A group without consumers that has been delivered everything up to `last_id`.
    pub fn new(last_id: StreamId, entries_read: Option<Count>) -> Self {
        Self {
            last_id,
            entries_read,
            pending: IdMap::default(),
            by_name: BTreeMap::new(),
            consumers: Vec::new(),
            vacant: Vec::new(),
        }
    }

    /// Everything delivered and not acknowledged, by id.
    pub fn pending(&self) -> &IdMap<Pending> {
        &self.pending
    }

    /// The consumers in the order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerId, &Consumer)> {
        self.by_name.values().map(|&id| (id, self.consumer(id)))
    }

    /// The consumer of this name.
    pub fn find(&self, name: &[u8]) -> Option<ConsumerId> {
        self.by_name.get(name).copied()
    }

    /// A consumer that exists.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers[id.0 as usize].as_ref().expect("it exists")
    }

    /// As [`Group::consumer`], to change its times.
    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers[id.0 as usize].as_mut().expect("it exists")
    }

    /// Adds a consumer of a name that none has.
    pub fn add(&mut self, name: &[u8], seen_ms: i64, active_ms: Option<i64>) -> ConsumerId {
        let consumer =
            Consumer { name: name.into(), seen_ms, active_ms, pending: IdSet::default() };
        let index = match self.vacant.pop() {
            Some(index) => {
                self.consumers[index as usize] = Some(consumer);
                index
            }
            None => {
                self.consumers.push(Some(consumer));
                self.consumers.len() as u32 - 1
            }
        };
        let id = ConsumerId(index);
        let known = self.by_name.insert(name.into(), id);
        assert!(known.is_none(), "the caller has looked for the name");
        id
    }

    /// Removes a consumer with all that is pending for it, and says how much that was.
    pub fn remove(&mut self, id: ConsumerId) -> usize {
        let consumer = self.consumers[id.0 as usize].take().expect("it exists");
        self.vacant.push(id.0);
        self.by_name.remove(&consumer.name);
        for (id, ()) in consumer.pending.iter() {
            self.pending.remove(id);
        }
        consumer.pending.len()
    }

    /// Records a delivery; the entry may have been pending for another consumer.
    pub fn deliver(&mut self, id: StreamId, pending: Pending) {
        if let Some(old) = self.pending.insert(id, pending)
            && old.consumer != pending.consumer
        {
            self.consumer_mut(old.consumer).pending.remove(id);
        }
        self.consumer_mut(pending.consumer).pending.insert(id, ());
    }

    /// Takes an entry off the pending ones. False if it was not pending.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(id) else { return false };
        self.consumer_mut(pending.consumer).pending.remove(id);
        true
    }

    /// About how many bytes of memory it holds.
    pub fn memory_bytes(&self) -> usize {
        let consumers = self.consumers.iter().flatten();
        let pending = consumers.map(|consumer| consumer.pending.memory_bytes());
        self.own_bytes() + self.pending.memory_bytes() + pending.sum::<usize>()
    }

    /// The same without what is pending, which copies share.
    pub(super) fn own_bytes(&self) -> usize {
        let names = self.consumers.iter().flatten().map(|consumer| 2 * consumer.name.len());
        size_of::<Self>()
            + self.consumers.capacity() * size_of::<Option<Consumer>>()
            + names.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_pending_for_one_consumer() {
        let id = |ms| StreamId::new(ms, 0);
        let mut group = Group::new(StreamId::MIN, None);
        let (a, b) = (group.add(b"a", 1, None), group.add(b"b", 1, None));
        let pending = |consumer| Pending { consumer, delivered_ms: 5, deliveries: Count::new(1) };
        group.deliver(id(1), pending(a));
        group.deliver(id(2), pending(a));
        group.deliver(id(1), pending(b));
        assert_eq!(group.consumer(a).pending().iter().collect::<Vec<_>>(), [(id(2), &())]);
        assert_eq!(group.pending()[id(1)].consumer, b);
        assert!(group.acknowledge(id(2)) && !group.acknowledge(id(2)));
        assert_eq!(group.remove(b), 1);
        assert!(group.pending().is_empty());
        assert_eq!(group.add(b"c", 1, None), b, "numbers are used again");
        assert_eq!(group.consumers().map(|(_, c)| c.name()).collect::<Vec<_>>(), [b"a", b"c"]);
    }
}
