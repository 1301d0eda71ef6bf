//! The background thread: makes the next segment ready before it is needed.

use super::prepared;
use super::room::{self, Size};
use super::segment;
use super::state::{Log, pause_us};
use super::writer::Writer;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Log {
    /// Prepares the next segment if one is wanted. An error matters only when the segment is
    /// needed: writes are then refused until a preparation succeeds.
    pub fn prepare(&self) {
        let mut writer = self.writer.lock();
        if writer.prepared.is_some() || !self.prepare_wanted.load(Ordering::Acquire) {
            self.prepare_wanted.store(false, Ordering::Release);
            return;
        }
        let sequence = writer.next_sequence;
        writer.next_sequence += 1;
        let usual = Writer::next_size(writer.segment.size, &self.options);
        let least = room::smallest_bytes(self.options.segment_bytes);
        let size = Size { usual, least, kept: self.kept_bytes() };
        let spare = writer.spare.take();
        writer.is_preparing = true;
        drop(writer);
        let (disk, dir) = (&*self.disk, &*self.dir);
        let recycled = spare.and_then(|spare| {
            let recycled = prepared::recycle_within(disk, dir, &spare, sequence, size);
            recycled.inspect_err(|_| self.remove_unlisted(&spare)).ok()
        });
        let prepared = match recycled {
            Some(prepared) => Ok(prepared),
            None => prepared::prepare_within(disk, dir, sequence, size, true),
        };
        let mut writer = self.writer.lock();
        writer.is_preparing = false;
        self.prepared.notify_all();
        self.note_prepared(prepared.as_ref().err());
        match prepared {
            // The log may have moved on meanwhile to a segment that was made at once.
            Ok(prepared) if prepared.sequence < writer.segment.sequence => {
                let name = segment::segment_name(prepared.sequence);
                self.remove_unlisted(&self.dir.join(name));
            }
            Ok(prepared) => writer.prepared = Some(prepared),
            Err(_) => {
                self.request_prepare(&writer);
                return;
            }
        }
        self.prepare_wanted.store(false, Ordering::Release);
        self.refusing.store(false, Ordering::Release);
    }

    /// The background thread: prepares segments until the log is closed.
    pub fn run_prepare(&self) {
        while !self.closing.load(Ordering::Acquire) {
            self.prepare();
            let retry = self.prepare_error.lock().is_some();
            let mut held = self.prepare_lock.lock();
            if self.closing.load(Ordering::Acquire) {
                return;
            }
            if retry {
                let failures = self.prepare_failures.load(Ordering::Relaxed);
                let pause = Duration::from_micros(pause_us(failures));
                self.prepare_added.wait_for(&mut held, pause);
            } else if !self.prepare_wanted.load(Ordering::Acquire) {
                self.prepare_added.wait(&mut held);
            }
        }
    }
}
