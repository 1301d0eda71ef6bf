//! Deleting keys whose time has come, though nobody asks for them.

use super::{EFFECTS_BYTES_MAX, Guard};
use crate::commands::store::{ExpiryMode, Store};

/// Keys with an expiry time that one slice looks at, about.
const SLICE_KEYS: usize = 64;

impl Guard<'_> {
    /// Deletes some keys whose time has come, in one database, and states that
    /// in the log. True if there may be more; the caller lets others run before it goes on.
    pub fn expire_slice(&mut self) -> bool {
        let start = self.begin_unit();
        if self.expiry_mode() != ExpiryMode::Delete {
            return false;
        }
        let now_ms = self.now_ms;
        let state = &mut *self.state;
        let (db, cursor) = state.expire_at;
        let database = state.keyspace.database_mut(db);
        let mut due = Vec::new();
        let next = if database.expiring() == 0 {
            0
        } else {
            database.take_due(cursor, now_ms, SLICE_KEYS, |entry| due.push(entry))
        };
        let mode = ExpiryMode::Delete;
        let mut store = Store::new(&mut state.keyspace, &mut state.unit, db, now_ms, mode, None);
        for entry in &due {
            let key = store.key(entry.view().key());
            store.expired(&key);
        }
        let databases = state.keyspace.database_count();
        state.expire_at = if next == 0 { ((db + 1) % databases, 0) } else { (db, next) };
        let at_end = state.expire_at == (0, 0);
        self.end_unit(start);
        self.serve_waiters();
        if self.state.unit.effects.len() >= EFFECTS_BYTES_MAX {
            self.flush_effects();
        }
        !at_end
    }
}
