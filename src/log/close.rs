//! Closing the log.

use super::manifest::Manifest;
use super::segment;
use super::state::Log;
use std::io;
use std::sync::atomic::Ordering;

impl Log {
    /// Asks the log's threads to end when everything appended is durable.
    pub fn begin_close(&self) {
        self.request_sync();
        self.closing.store(true, Ordering::Release);
        let held = self.prepare_lock.lock();
        self.prepare_added.notify_all();
        drop(held);
        self.kick_compression();
        self.kick();
    }

    /// Closes the log after its threads have ended: makes everything durable, records the end in
    /// the manifest, cuts the segment and removes the prepared one. After that, [`super::attach`]
    /// finds a data set that is either complete or damaged. The directory is unlocked in any case.
    ///
    /// # Errors
    /// Those of the disk. The next start then recovers as after a crash; no acknowledged command is
    /// lost.
    pub fn close(&self) -> io::Result<()> {
        let closed = self.close_files();
        if closed.is_err()
            && let Ok(manifest) = Manifest::load(&*self.disk, &self.dir)
        {
            // Either manifest belongs to this log while the lock is held, so the next log may
            // replace it.
            self.writer.lock().manifest = manifest;
        }
        let lock = self.lock.lock().take();
        closed?;
        // An empty lock file marks a clean close.
        lock.map_or(Ok(()), |lock| lock.set_content(""))
    }

    fn close_files(&self) -> io::Result<()> {
        if self.has_failed() {
            self.heal();
        }
        self.drain();
        while self.next_close_step() {}
        if let Some(failure) = self.failure() {
            return Err(io::Error::other(failure.cause));
        }
        let mut writer = self.writer.lock();
        assert_eq!(writer.durable_lsn, self.appended_lsn(), "nothing is left to make durable");
        let manifest: Manifest = writer.manifest_with(None);
        manifest.store(&*self.disk, &self.dir)?;
        writer.manifest = manifest;
        self.remove_possibly_active(&mut writer);
        writer.segment.file.set_len(writer.durable_offset)?;
        writer.segment.file.sync()?;
        if let Some(spare) = writer.spare.take() {
            self.remove_unlisted(&spare);
        }
        if let Some(prepared) = writer.prepared.take() {
            self.disk.remove(&self.dir.join(segment::segment_name(prepared.sequence)))?;
            self.disk.sync_dir(&self.dir)?;
        }
        Ok(())
    }

    fn next_close_step(&self) -> bool {
        if self.has_failed() {
            return false;
        }
        if self.roll_wanted.load(Ordering::Acquire) > 0 {
            self.roll();
        } else if self.drained_lsn() > self.durable_lsn() {
            let ticket = self.begin_sync();
            let result = ticket.sync();
            self.finish_sync(ticket, result);
        } else {
            return false;
        }
        true
    }
}
