//! The log's threads: started once it is open, joined when it is closed.

use super::state::Log;
use std::io;
use std::sync::Arc;
use std::thread::Builder;

impl Log {
    /// Starts the log's threads: `log` drains and syncs, `log-prepare` makes segments ahead of time.
    ///
    /// # Panics
    /// If the system starts no thread.
    pub fn start(self: &Arc<Self>) {
        let (log, prepare) = (self.clone(), self.clone());
        self.spawn("log", move || log.run());
        self.spawn("log-prepare", move || prepare.run_prepare());
    }

    /// Starts another thread that works on the log, and ends soon after [`Log::begin_close`].
    ///
    /// # Panics
    /// If the system starts no thread.
    pub fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) {
        let thread = Builder::new().name(name.into()).spawn(work);
        self.threads.lock().push(thread.expect("the system starts threads"));
    }

    /// Ends the threads, and closes the log: everything in it becomes durable, and its end is
    /// recorded.
    ///
    /// # Errors
    /// As [`Log::close`].
    pub fn end(&self) -> io::Result<()> {
        self.begin_close();
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(|thread| drop(thread.join()));
        self.close()
    }
}
