//! Keys that clients wait for.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// Those who wait for one key, in order of arrival.
#[derive(Default)]
struct Queue {
    waiters: VecDeque<u64>,
    /// The key is in the list of ready ones.
    is_ready: bool,
}

/// Who waits for which key, and which of those keys were changed. Every write asks this, so the empty
/// case is one comparison.
#[derive(Default)]
pub struct Waited {
    by_db: BTreeMap<usize, HashMap<Box<[u8]>, Queue>>,
    ready: VecDeque<(usize, Box<[u8]>)>,
}

impl Waited {
    /// Whether nobody waits for anything.
    pub fn is_empty(&self) -> bool {
        self.by_db.is_empty()
    }

    /// How many keys are waited for.
    pub fn keys(&self) -> usize {
        self.by_db.values().map(HashMap::len).sum()
    }

    /// Registers a waiter for a key, behind those who already wait; once is enough however often it is
    /// asked for.
    pub fn wait(&mut self, db: usize, key: &[u8], waiter: u64) {
        let queue = self.by_db.entry(db).or_default().entry(key.into()).or_default();
        if !queue.waiters.contains(&waiter) {
            queue.waiters.push_back(waiter);
        }
    }

    /// Takes a waiter off a key.
    pub fn forget(&mut self, db: usize, key: &[u8], waiter: u64) {
        let Some(keys) = self.by_db.get_mut(&db) else { return };
        let Some(queue) = keys.get_mut(key) else { return };
        queue.waiters.retain(|&known| known != waiter);
        if queue.waiters.is_empty() {
            keys.remove(key);
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

    /// Who waits for a key, in order of arrival.
    pub fn waiters(&self, db: usize, key: &[u8]) -> impl Iterator<Item = u64> {
        let queue = self.by_db.get(&db).and_then(|keys| keys.get(key));
        queue.into_iter().flat_map(|queue| queue.waiters.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_keys_come_in_the_order_of_changes_and_waiters_in_that_of_arrival() {
        let mut waited = Waited::default();
        waited.touch(0, b"nobody waits for this");
        for (key, waiter) in [(b"a", 3), (b"b", 1), (b"a", 2), (b"a", 3)] {
            waited.wait(0, key, waiter);
        }
        waited.wait(1, b"a", 9);
        assert_eq!(waited.keys(), 3);
        waited.touch(0, b"b");
        waited.touch(0, b"a");
        waited.touch(0, b"b");
        assert_eq!(waited.next_ready(), Some((0, Box::from(&b"b"[..]))));
        waited.touch(0, b"b");
        assert_eq!(waited.waiters(0, b"a").collect::<Vec<_>>(), [3, 2]);
        assert_eq!(waited.next_ready(), Some((0, Box::from(&b"a"[..]))));
        assert_eq!(waited.next_ready(), Some((0, Box::from(&b"b"[..]))));
        assert_eq!(waited.next_ready(), None);
        waited.touch_all(1);
        assert_eq!(waited.next_ready(), Some((1, Box::from(&b"a"[..]))));
        for (db, key, waiter) in [(0, b"a", 2), (0, b"a", 3), (0, b"b", 1), (1, b"a", 9)] {
            waited.forget(db, key, waiter);
        }
        assert!(waited.is_empty());
    }
}
