//! Keys that clients wait for.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};

/// What a client that waits for a key wants to find there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// A list.
    List,
    /// A sorted set.
    SortedSet,
    /// A stream.
    Stream,
    /// A stream with a consumer group; the command also has something to say once it is gone.
    StreamGroup,
}

/// Those who wait for one key.
#[derive(Default)]
struct Queue {
    /// For each of [`Wants`], the clients in order of arrival, which is that of their numbers. So
    /// nobody has to be asked who wants something else.
    clients: [BTreeSet<u64>; 4],
    /// The key is in the list of ready ones.
    is_ready: bool,
}

/// Who waits for which key, and which of those keys were changed. Every write asks this, so the empty
/// case is one comparison.
#[derive(Default)]
pub struct Waited {
    by_db: BTreeMap<usize, HashMap<Box<[u8]>, Queue>>,
    ready: VecDeque<(usize, Box<[u8]>)>,
    /// Keys that clients wait for, and how many of them wake a client when they are deleted.
    counts: (usize, usize),
}

impl Waited {
    /// Whether nobody waits for anything.
    pub fn is_empty(&self) -> bool {
        self.by_db.is_empty()
    }

    /// How many keys clients wait for, and how many of them as a stream with a consumer group.
    pub fn counts(&self) -> (usize, usize) {
        self.counts
    }

    /// Registers a client for a key. Who comes later has a higher number.
    pub fn wait(&mut self, db: usize, key: &[u8], wants: Wants, client: u64) {
        let keys = self.by_db.entry(db).or_default();
        let (before, groups) = (keys.len(), Wants::StreamGroup as usize);
        let queue = keys.entry(key.into()).or_default();
        let had_groups = !queue.clients[groups].is_empty();
        queue.clients[wants as usize].insert(client);
        self.counts.1 += usize::from(!had_groups && !queue.clients[groups].is_empty());
        self.counts.0 += keys.len() - before;
    }

    /// Takes a client off a key.
    pub fn forget(&mut self, db: usize, key: &[u8], wants: Wants, client: u64) {
        let Some(keys) = self.by_db.get_mut(&db) else { return };
        let Some(queue) = keys.get_mut(key) else { return };
        let groups = Wants::StreamGroup as usize;
        let had_groups = !queue.clients[groups].is_empty();
        queue.clients[wants as usize].remove(&client);
        self.counts.1 -= usize::from(had_groups && queue.clients[groups].is_empty());
        if queue.clients.iter().all(BTreeSet::is_empty) {
            keys.remove(key);
            self.counts.0 -= 1;
            if keys.is_empty() {
                self.by_db.remove(&db);
            }
        }
    }

    /// Notes that a key was changed.
    pub fn touch(&mut self, db: usize, key: &[u8]) {
        if self.by_db.is_empty() {
            return;
        }
        if let Some(queue) = self.by_db.get_mut(&db).and_then(|keys| keys.get_mut(key))
            && !std::mem::replace(&mut queue.is_ready, true)
        {
            self.ready.push_back((db, key.into()));
        }
    }

    /// Notes that all keys of a database were changed.
    pub fn touch_all(&mut self, db: usize) {
        for (key, queue) in self.by_db.get_mut(&db).into_iter().flatten() {
            if !std::mem::replace(&mut queue.is_ready, true) {
                self.ready.push_back((db, key.clone()));
            }
        }
    }

    /// The next key that was changed and is waited for, in the order of the changes.
    pub fn next_ready(&mut self) -> Option<(usize, Box<[u8]>)> {
        let (db, key) = self.ready.pop_front()?;
        if let Some(queue) = self.by_db.get_mut(&db).and_then(|keys| keys.get_mut(&key)) {
            queue.is_ready = false;
        }
        Some((db, key))
    }

    /// The first to have come after client `after` of those who want one of `wants` at a key.
    pub fn next_client(&self, db: usize, key: &[u8], wants: &[Wants], after: u64) -> Option<u64> {
        let queue = self.by_db.get(&db)?.get(key)?;
        let later = |&wants: &Wants| {
            queue.clients[wants as usize].range((Excluded(after), Unbounded)).next().copied()
        };
        wants.iter().filter_map(later).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_keys_come_in_the_order_of_changes_and_waiters_in_that_of_arrival() {
        let mut waited = Waited::default();
        waited.touch(0, b"nobody waits for this");
        let (list, group) = (Wants::List, Wants::StreamGroup);
        for (key, wants, client) in
            [(b"b", list, 1), (b"a", list, 2), (b"a", group, 3), (b"a", list, 4), (b"a", list, 4)]
        {
            waited.wait(0, key, wants, client);
        }
        waited.wait(1, b"a", list, 9);
        assert_eq!(waited.counts(), (3, 1));
        waited.touch(0, b"b");
        waited.touch(0, b"a");
        waited.touch(0, b"b");
        assert_eq!(waited.next_ready(), Some((0, Box::from(&b"b"[..]))));
        waited.touch(0, b"b");
        for (wants, after, next) in [
            (&[list][..], 0, Some(2)),
            (&[list], 2, Some(4)),
            (&[list, group], 2, Some(3)),
            (&[list, group], 4, None),
            (&[Wants::Stream], 0, None),
        ] {
            assert_eq!(waited.next_client(0, b"a", wants, after), next);
        }
        assert_eq!(waited.next_ready(), Some((0, Box::from(&b"a"[..]))));
        assert_eq!(waited.next_ready(), Some((0, Box::from(&b"b"[..]))));
        assert_eq!(waited.next_ready(), None);
        waited.touch_all(1);
        assert_eq!(waited.next_ready(), Some((1, Box::from(&b"a"[..]))));
        for (key, wants, client) in
            [(b"a", list, 2), (b"a", group, 3), (b"a", list, 4), (b"b", list, 1)]
        {
            waited.forget(0, key, wants, client);
        }
        waited.forget(1, b"a", list, 9);
        assert!(waited.is_empty());
        assert_eq!(waited.counts(), (0, 0));
    }
}
