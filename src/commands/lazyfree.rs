//! Freeing what is big without holding the engine up.

use crate::keyspace::Database;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// Databases on their way to the thread that frees them; `None` if it could not be started.
static GARBAGE: OnceLock<Option<Sender<Database>>> = OnceLock::new();

/// Up to so many keys a database is freed on the spot: cheaper than waking a thread.
const KEYS_INLINE_MAX: usize = 64;

/// Frees a database on the helper thread, which lives as long as the process.
pub(super) fn discard(database: Database) {
    if database.len() <= KEYS_INLINE_MAX {
        return;
    }
    let start = || {
        let (sender, receiver) = channel();
        let free = move || receiver.into_iter().for_each(drop);
        thread::Builder::new().name("lazyfree".into()).spawn(free).ok().map(|_| sender)
    };
    if let Some(sender) = GARBAGE.get_or_init(start) {
        // The receiver never goes away; if it did, the error would free the database here.
        drop(sender.send(database));
    }
}
