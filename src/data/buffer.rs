//! Long strings, which are changed in place, can be saved in pieces, and can be shared with replies.

use super::saving::{InProgress, PIECE_BYTES_MAX, Saving};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Deref, Range};
use std::sync::Arc;

/// A string is given out, and kept before it changes, in pieces of this many bytes.
const PAGE_BYTES: usize = 64 * 1024;

/// What a kept page is taken to cost beside its bytes.
const KEPT_BYTES: usize = 32;

/// A string of bytes that is changed in place.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    bytes: Storage,
    saving: InProgress<SavedPages>,
}

/// Where the bytes are. Those of most strings are never shared: they cost no second allocation.
#[derive(Clone, Debug)]
enum Storage {
    Own(Vec<u8>),
    /// They are or were shared with replies. The next change takes them back, and copies them if a
    /// reply still holds them.
    Shared(Arc<Vec<u8>>),
}

impl Default for Storage {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

impl Storage {
    fn bytes(&self) -> &Vec<u8> {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => Arc::unwrap_or_clone(bytes),
        }
    }

    fn edit(&mut self) -> &mut Vec<u8> {
        if let Self::Shared(_) = self {
            *self = Self::Own(std::mem::take(self).into_vec());
        }
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(_) => unreachable!("they were taken back"),
        }
    }

    fn share(&mut self) -> Arc<Vec<u8>> {
        if let Self::Own(bytes) = self {
            *self = Self::Shared(Arc::new(std::mem::take(bytes)));
        }
        match self {
            Self::Shared(bytes) => bytes.clone(),
            Self::Own(_) => unreachable!("they were just shared"),
        }
    }
}

/// What a reply holds of a string.
struct SharedBytes(Arc<Vec<u8>>);

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// What a string was when its saving began, as far as it has not been given out.
#[derive(Debug)]
struct SavedPages {
    /// How long it was.
    len: usize,
    /// Where the first page begins that was not given out.
    next: usize,
    /// Pages that have changed since, by where they begin.
    kept: BTreeMap<usize, Box<[u8]>>,
    kept_bytes: usize,
}

impl SavedPages {
    fn page(&self, start: usize) -> Range<usize> {
        start..self.len.min(start + PAGE_BYTES)
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.kept.len() * KEPT_BYTES + self.kept_bytes
    }

    fn before_change(&mut self, bytes: &[u8], range: Range<usize>) {
        let first = range.start.max(self.next) / PAGE_BYTES * PAGE_BYTES;
        for start in (first..range.end.min(self.len)).step_by(PAGE_BYTES) {
            let page = self.page(start);
            self.kept.entry(start).or_insert_with(|| {
                self.kept_bytes += page.len();
                bytes[page].into()
            });
        }
    }
}

impl Buffer {
    /// The bytes, to change those in a range and to append more. All others before the end must stay as they are.
    pub fn edit(&mut self, range: Range<usize>) -> &mut Vec<u8> {
        if let Some(saving) = self.saving.get_mut() {
            saving.before_change(self.bytes.bytes(), range);
        }
        self.bytes.edit()
    }

    /// The bytes as they are now, by reference. A change while they are held copies them first.
    pub fn share(&mut self) -> Bytes {
        Bytes::from_owner(SharedBytes(self.bytes.share()))
    }

    /// The bytes alone.
    pub fn into_vec(self) -> Vec<u8> {
        self.bytes.into_vec()
    }

    /// Bytes allocated, those of this handle included.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.bytes().capacity() + self.saving_bytes()
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: Storage::Own(bytes), saving: InProgress::NONE }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.bytes()
    }
}

/// The head is the length in bytes. Pieces are at most 64 KiB and come in their order.
impl Saving for Buffer {
    type Head = usize;
    type Piece<'a> = &'a [u8];

    fn fits_one_piece(&self) -> bool {
        self.len() <= PIECE_BYTES_MAX
    }

    fn begin_saving(&mut self) {
        let len = self.len();
        self.saving.begin(SavedPages { len, next: 0, kept: BTreeMap::new(), kept_bytes: 0 });
    }

    fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    fn saving_head(&self) -> usize {
        self.saving.expect().len
    }

    fn save_next(&mut self, visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> bool {
        let Some(saving) = self.saving.get_mut() else { return true };
        while saving.next < saving.len {
            let page = saving.page(saving.next);
            let flow = match saving.kept.remove(&page.start) {
                Some(kept) => {
                    saving.kept_bytes -= kept.len();
                    visit(&kept)
                }
                None => visit(&self.bytes.bytes()[page.clone()]),
            };
            saving.next = page.end;
            if flow.is_break() {
                break;
            }
        }
        let is_done = saving.next == saving.len;
        if is_done {
            self.end_saving();
        }
        is_done
    }

    fn end_saving(&mut self) {
        self.saving.end();
    }

    fn saving_bytes(&self) -> usize {
        self.saving.get().map_or(0, SavedPages::memory_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ops::ControlFlow::{Break, Continue};

    #[derive(Clone, Debug)]
    enum Step {
        Fill(usize, usize, u8),
        Append(usize, u8),
        Replace(usize),
        Share,
        Drop,
        Save(usize),
        Abort,
    }

    fn step() -> impl Strategy<Value = Step> {
        let at = || 0..400_000usize;
        let len = || prop_oneof![1..10usize, 1..200_000usize];
        prop_oneof![
            4 => (at(), len(), any::<u8>()).prop_map(|(at, len, byte)| Step::Fill(at, len, byte)),
            2 => (len(), any::<u8>()).prop_map(|(len, byte)| Step::Append(len, byte)),
            1 => len().prop_map(Step::Replace),
            2 => Just(Step::Share),
            1 => Just(Step::Drop),
            6 => (1..4usize).prop_map(Step::Save),
            1 => Just(Step::Abort),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_string_is_saved_as_it_was(
            first in 0..300_000usize,
            steps in prop::collection::vec(step(), 1..40),
        ) {
            let mut model: Vec<u8> = (0..first).map(|at| (at % 251) as u8).collect();
            let mut buffer = Buffer::from(model.clone());
            let (mut frozen, mut given) = (Vec::new(), Vec::new());
            let mut shared = Vec::new();
            for step in steps.into_iter().chain([Step::Save(1), Step::Save(usize::MAX)]) {
                match step {
                    Step::Fill(at, len, byte) => {
                        let end = at + len;
                        for bytes in [&mut model, buffer.edit(at..end)] {
                            bytes.resize(bytes.len().max(end), 0);
                            bytes[at..end].fill(byte);
                        }
                    }
                    Step::Append(len, byte) => {
                        let old_len = buffer.len();
                        for bytes in [&mut model, buffer.edit(old_len..old_len)] {
                            bytes.resize(old_len + len, byte);
                        }
                    }
                    Step::Replace(len) => {
                        model = vec![b'r'; len];
                        *buffer.edit(0..usize::MAX) = model.clone();
                    }
                    Step::Share => shared.push((buffer.share(), model.clone())),
                    Step::Drop => drop(shared.pop()),
                    Step::Save(count) if buffer.is_saving() => {
                        let mut left = count;
                        let is_done = buffer.save_next(&mut |page| {
                            assert!(page.len() <= PAGE_BYTES);
                            given.extend_from_slice(page);
                            left -= 1;
                            if left > 0 { Continue(()) } else { Break(()) }
                        });
                        prop_assert_eq!(is_done, !buffer.is_saving());
                        if is_done {
                            prop_assert!(given == frozen);
                            prop_assert_eq!(buffer.saving_bytes(), 0);
                        }
                    }
                    Step::Save(_) => {
                        buffer.begin_saving();
                        frozen.clone_from(&model);
                        given.clear();
                        prop_assert_eq!(buffer.saving_head(), frozen.len());
                        prop_assert!(!buffer.clone().is_saving());
                    }
                    Step::Abort => buffer.end_saving(),
                }
                prop_assert!(*buffer == *model);
                prop_assert!(shared.iter().all(|(bytes, was)| bytes == was));
            }
        }
    }

    #[test]
    fn a_string_is_copied_only_if_a_reply_holds_it_when_it_changes() {
        assert_eq!(size_of::<Buffer>(), 32);
        let mut buffer = Buffer::from(vec![1; 100_000]);
        let at = buffer.as_ptr();
        let (first, second) = (buffer.share(), buffer.share());
        assert_eq!((first.as_ptr(), second.as_ptr(), buffer.as_ptr()), (at, at, at));
        drop((first, second));
        buffer.edit(0..1)[0] = 2;
        assert_eq!(buffer.as_ptr(), at);
        let held = buffer.share();
        buffer.edit(0..1)[0] = 3;
        assert_ne!(buffer.as_ptr(), at);
        assert_eq!((held[0], buffer[0]), (2, 3));
    }

    #[test]
    fn only_what_is_touched_is_kept() {
        let mut buffer = Buffer::from(vec![1; 5 * PAGE_BYTES]);
        let most = Buffer::from(vec![1; PIECE_BYTES_MAX]);
        assert!(!buffer.fits_one_piece() && most.fits_one_piece());
        buffer.begin_saving();
        let empty = buffer.saving_bytes();
        let len = buffer.len();
        buffer.edit(len..len).push(2);
        assert_eq!(buffer.saving_bytes(), empty);
        buffer.edit(PAGE_BYTES..PAGE_BYTES + 1)[PAGE_BYTES] = 3;
        buffer.edit(PAGE_BYTES + 9..PAGE_BYTES + 10)[PAGE_BYTES + 9] = 3;
        assert_eq!(buffer.saving_bytes(), empty + PAGE_BYTES + KEPT_BYTES);
        assert!(!buffer.save_next(&mut |_| Break(())) && !buffer.save_next(&mut |_| Break(())));
        buffer.edit(0..2 * PAGE_BYTES).fill(4);
        assert_eq!(buffer.saving_bytes(), empty);
    }
}
