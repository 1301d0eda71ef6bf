//! Deleting keys whose time has come, though nobody asks for them.

use super::{EFFECTS_BYTES_MAX, Guard};
use crate::commands::store::{ExpiryMode, Store};

/// Keys deleted in one slice.
const SLICE_KEYS: usize = 64;

impl Guard<'_> {
    /// Deletes some keys whose time has come, at most [`SLICE_KEYS`] of one database, and states that
    /// in the log. True if there may be more; the caller lets others run before it goes on.
    pub fn expire_slice(&mut self) -> bool {
        if self.expiry_mode() != ExpiryMode::Delete {
            return false;
        }
        let now_ms = self.now_ms;
        let start = self.begin_unit();
        let state = &mut *self.state;
        let (db, cursor) = state.expire_at;
        let database = state.keyspace.database_mut(db);
        let mut due: Vec<Box<[u8]>> = Vec::new();
        let next = if database.expiring() == 0 {
            0
        } else {
            database.due(cursor, now_ms, SLICE_KEYS, |entry| due.push(entry.key().into()))
        };
        let mut store =
            Store::new(&mut state.keyspace, &mut state.unit, db, now_ms, ExpiryMode::Delete, None);
        for key in &due {
            let key = store.key(key);
            store.expire(&key);
        }
        let databases = state.keyspace.database_count();
        state.expire_at = if next == 0 { ((db + 1) % databases, 0) } else { (db, next) };
        let at_end = state.expire_at == (0, 0);
        self.end_unit(start);
        if self.state.unit.effects.len() >= EFFECTS_BYTES_MAX {
            self.flush_effects();
        }
        !at_end
    }
}
