//! Deleting keys whose time has come, though nobody asks for them.

use super::Guard;
use crate::commands::store::{ExpiryMode, Store};

/// Keys with an expiry time that one slice looks at, about.
const SLICE_KEYS: usize = 64;

/// Fields of hashes that one slice deletes at most.
const SLICE_FIELDS: usize = 512;

impl Guard<'_> {
    /// Deletes some keys whose time has come, in one database, and states that
    /// in the log. True if there may be more; the caller lets others run before it goes on.
    pub fn expire_slice(&mut self) -> bool {
        let mut unit = self.unit();
        if unit.expiry_mode() != ExpiryMode::Delete {
            return false;
        }
        let now_ms = unit.now_ms;
        let state = &mut *unit.state;
        let (db, cursor) = state.expire_at;
        let database = state.keyspace.database_mut(db);
        let (mut due, mut hashes) = (Vec::new(), Vec::new());
        let mut next = if !database.may_expire() {
            0
        } else {
            let fields_due = |key: &[u8]| hashes.push(key.to_vec());
            let garbage = &mut state.unit.garbage;
            let removed = |key, old| {
                due.push(key);
                garbage.add(old);
            };
            database.remove_due(cursor, now_ms, SLICE_KEYS, removed, fields_due)
        };
        let mode = ExpiryMode::Delete;
        let mut store = Store::new(&mut state.keyspace, &mut state.unit, db, now_ms, mode, None);
        for name in &due {
            let key = store.key(name);
            store.expired(&key);
        }
        let mut fields_left = SLICE_FIELDS;
        for name in &hashes {
            let key = store.key(name);
            fields_left -= store.expire_fields(&key, fields_left);
        }
        if fields_left == 0 {
            // There may be more in the same hashes, which the next slice looks at again.
            next = cursor;
        }
        let databases = state.keyspace.database_count();
        state.expire_at =
            if next == 0 && fields_left > 0 { ((db + 1) % databases, 0) } else { (db, next) };
        let at_end = state.expire_at == (0, 0) && fields_left > 0;
        unit.end();
        !at_end
    }
}
