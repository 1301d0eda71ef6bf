//! Keys under `WATCH`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A session's flag that says one of its watched keys was touched.
pub type WatchFlag = Arc<AtomicBool>;

struct Watcher {
    flag: WatchFlag,
    /// The key's time had come when it was watched: that it is deleted for that is no change.
    was_expired: bool,
}

/// Who watches which key. Every write asks this, so the empty case is one comparison.
#[derive(Default)]
pub struct Watches {
    by_key: HashMap<(usize, Box<[u8]>), Vec<Watcher>>,
}

impl Watches {
    /// Whether nobody watches anything.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Registers `flag` for a key; once is enough however often it is asked for. `was_expired` says
    /// that the key's time has already come.
    pub fn watch(&mut self, db: usize, key: &[u8], flag: &WatchFlag, was_expired: bool) {
        let watchers = self.by_key.entry((db, key.into())).or_default();
        if !watchers.iter().any(|known| Arc::ptr_eq(&known.flag, flag)) {
            watchers.push(Watcher { flag: flag.clone(), was_expired });
        }
    }

    /// Tells those who watch a key that it was deleted because its time had come, unless it already
    /// had when they began.
    pub fn expired(&mut self, db: usize, key: &[u8]) {
        if self.by_key.is_empty() {
            return;
        }
        for watcher in self.by_key.get_mut(&(db, Box::from(key))).into_iter().flatten() {
            if !std::mem::take(&mut watcher.was_expired) {
                watcher.flag.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Takes `flag` off a key.
    pub fn unwatch(&mut self, db: usize, key: &[u8], flag: &WatchFlag) {
        let place = (db, Box::from(key));
        if let Some(flags) = self.by_key.get_mut(&place) {
            flags.retain(|known| !Arc::ptr_eq(&known.flag, flag));
            if flags.is_empty() {
                self.by_key.remove(&place);
            }
        }
    }

    /// Raises the flags of all who watch this key.
    pub fn touch(&self, db: usize, key: &[u8]) {
        if !self.by_key.is_empty()
            && let Some(flags) = self.by_key.get(&(db, Box::from(key)))
        {
            flags.iter().for_each(|known| known.flag.store(true, Ordering::Relaxed));
        }
    }

    /// Raises the flags of all who watch a key of `db` for which `touched` holds.
    pub fn touch_where(&self, db: usize, touched: impl Fn(&[u8]) -> bool) {
        for ((watched_db, key), flags) in &self.by_key {
            if *watched_db == db && touched(key) {
                flags.iter().for_each(|known| known.flag.store(true, Ordering::Relaxed));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_watchers_of_the_touched_key_are_told() {
        let mut watches = Watches::default();
        let (a, b) = (WatchFlag::default(), WatchFlag::default());
        watches.watch(0, b"k", &a, false);
        watches.watch(0, b"k", &a, false);
        watches.watch(1, b"k", &b, true);
        watches.expired(1, b"k");
        watches.touch(0, b"k");
        assert!(a.load(Ordering::Relaxed) && !b.load(Ordering::Relaxed));
        watches.touch_where(1, |key| key == b"k");
        assert!(b.load(Ordering::Relaxed));
        watches.unwatch(0, b"k", &a);
        watches.unwatch(1, b"k", &b);
        assert!(watches.is_empty());
    }
}
