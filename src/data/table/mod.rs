//! The table of the keyspace, and of big hashes and sets: extendible hashing over bounded segments.
//!
//! A *directory* is indexed by the first bits of a key's hash and names the *segment* that holds all
//! items with that prefix. A segment keeps its items sorted by hash in *buckets* of one cache line
//! (see `bucket.rs`); it grows in small steps up to 8 KiB and then splits in two (`segment.rs`).
//! So growth is spread over all inserts: the most that one of them does is to rebuild one segment
//! and, when the directory is too short, to double that: one copy of 8 bytes a segment into memory
//! made ready before. At a hundred million keys that makes 262,144 entries, 2 MiB, and was measured to
//! take 0.1 to 0.2 ms; a split takes 10 to 20 µs, every eighth one of a prefix up to 0.1 ms.
//!
//! A hash costs time, and one that touches the key costs a cache miss; so callers compute it once a
//! command and pass it in, and the table keeps enough of its bits to move items without asking
//! again, except in one of eight splits.
//!
//! A walk over the table keeps a *cursor*, a boundary in the order of hashes: all below it has been
//! visited, nothing above. Splits, merges and resizing do not move items over it (`cursor.rs`).
//!
//! Hashes that share long prefixes do not make the directory grow; what finds no place in a segment
//! because of them goes to the *spill*, an ordinary ordered map. With a keyed hash that happens to
//! less than one item in ten thousand.

mod bucket;
mod cursor;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ptr::NonNull;

use bucket::{ADDRESS_LIMIT, Slot, Word};
pub use cursor::{Iter, SweepLimits, Verdict, cursor_shown_as, shown_cursor};
use segment::{DEPTH_MAX, Found, NEVER, Segment};

/// Two segments are merged when together they have at most this many items: few enough that many
/// must be inserted before they split again.
const MERGE_ITEMS_MAX: usize = 300;

/// A segment that shares its prefix with more spilled items than this is no longer rebuilt, so that
/// hostile hashes cannot make single operations expensive.
const SPILL_REBUILD_MAX: usize = 256;

/// How many items ahead the processor is asked for when all are dropped.
const DROP_AHEAD: usize = 8;

/// What a spilled item is taken to cost in the ordered map, in bytes.
const SPILLED_BYTES: usize = 72;

/// An owned, non-null pointer that a table can hold: a box of some sort.
///
/// # Safety
///
/// `from_raw` and `borrow` must be sound for every pointer that `into_raw` gave and that was not yet
/// turned back. The table gives shared borrows of several items at once, and a mutable one only
/// while it is itself borrowed mutably. Addresses must be below 2^48, which the table checks.
pub unsafe trait Item: Sized {
    /// A shared borrow of an item, such as `&'a Entry`.
    type Ref<'a>: Copy;

    /// Gives up ownership for a pointer.
    fn into_raw(self) -> NonNull<u8>;

    /// Takes ownership back.
    ///
    /// # Safety
    ///
    /// `raw` came from `into_raw`, this is called once for it, and no borrow of it is alive.
    unsafe fn from_raw(raw: NonNull<u8>) -> Self;

    /// Looks at an item.
    ///
    /// # Safety
    ///
    /// `raw` came from `into_raw`, and the item is neither taken back nor changed during `'a`.
    unsafe fn borrow<'a>(raw: NonNull<u8>) -> Self::Ref<'a>;
}

/// Computes the hash of an item that is already in the table.
///
/// It must be the one under which the item was inserted. All 64 bits count, the first ones most.
pub trait Rehash<T: Item> {
    /// The item's hash.
    fn rehash(&self, item: T::Ref<'_>) -> u64;
}

/// An item without a place in its segment.
struct Spilled {
    raw: NonNull<u8>,
    marked: bool,
}

/// Items without a place, by hash.
type Spill = BTreeMap<u64, Vec<Spilled>>;

/// A hash table of owned pointers; see the module's page.
///
/// Items that may expire are *marked*, so that expiry looks at no others.
pub struct Table<T: Item, H> {
    /// Empty, or 2^depth entries.
    directory: Vec<Segment>,
    /// Room for the directory of twice the length, made ready ahead; its contents mean nothing.
    next_directory: Vec<Segment>,
    depth: u32,
    /// Segments with the directory's depth: when none is left, the directory is halved.
    deepest: usize,
    /// Segments, vacant ones included.
    segments: usize,
    segment_bytes: usize,
    len: usize,
    spill: Spill,
    spilled: usize,
    hasher: H,
    owns: PhantomData<T>,
}

// SAFETY: the table owns its items and everything else that its pointers lead to.
unsafe impl<T: Item + Send, H: Send> Send for Table<T, H> {}
// SAFETY: without a mutable borrow, nothing but `T::Ref`s are handed out and nothing is changed.
unsafe impl<T: Item + Sync, H: Sync> Sync for Table<T, H> {}

/// Where an item lies; valid until the table is changed.
#[derive(Clone, Copy)]
enum Place {
    Slot { index: usize, bucket: usize, slot: usize },
    Spill { index: usize, position: usize },
}

impl<T: Item, H: Rehash<T>> Table<T, H> {
    /// An empty table, which allocates nothing yet.
    pub fn new(hasher: H) -> Self {
        Self {
            directory: Vec::new(),
            next_directory: Vec::new(),
            depth: 0,
            deepest: 0,
            segments: 0,
            segment_bytes: 0,
            len: 0,
            spill: BTreeMap::new(),
            spilled: 0,
            hasher,
            owns: PhantomData,
        }
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hasher that was given to `new`.
    pub fn hasher(&self) -> &H {
        &self.hasher
    }

    /// The number of segments, each with at most 889 items.
    pub fn segment_count(&self) -> usize {
        self.segments
    }

    /// Bytes allocated for the index, without the items. It is exact as long as nothing is spilled.
    pub fn memory_bytes(&self) -> usize {
        self.segment_bytes
            + (self.directory.capacity() + self.next_directory.capacity()) * size_of::<Segment>()
            + self.spilled * SPILLED_BYTES
    }

    /// Asks the processor to fetch the bucket in which a look-up for `hash` will begin.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if let Some(segment) = self.directory.get(self.index_of(hash)) {
            prefetch(segment.home_pointer(hash));
        }
    }

    /// The item with this hash that `same` accepts.
    #[inline]
    pub fn find(&self, hash: u64, same: impl FnMut(T::Ref<'_>) -> bool) -> Option<T::Ref<'_>> {
        let place = self.locate(hash, same)?;
        // SAFETY: the table owns the item and stays borrowed as long as the result.
        Some(unsafe { T::borrow(self.raw_at(hash, place)) })
    }

    /// The same, to change, replace, mark or remove it.
    #[inline]
    pub fn find_mut(
        &mut self,
        hash: u64,
        same: impl FnMut(T::Ref<'_>) -> bool,
    ) -> Option<Occupied<'_, T, H>> {
        let place = self.locate(hash, same)?;
        Some(Occupied { table: self, hash, place })
    }

    /// Removes the item with this hash that `same` accepts, and gives memory back where enough of it
    /// is unused.
    pub fn remove(&mut self, hash: u64, same: impl FnMut(T::Ref<'_>) -> bool) -> Option<T> {
        if let Some(segment) = self.directory.get(self.index_of(hash)) {
            // The counts are needed last; without this their cache miss would come on top.
            prefetch(segment.header_pointer());
        }
        self.find_mut(hash, same).map(Occupied::remove)
    }

    /// Inserts an item that is not yet there, with the time at which it expires, in milliseconds.
    ///
    /// Inserting an equal one twice is not noticed: there are two then.
    ///
    /// # Panics
    ///
    /// When the item's address is not below 2^48.
    pub fn insert_unique(&mut self, hash: u64, item: T, deadline_ms: Option<u64>) {
        let raw = item.into_raw();
        assert!(raw.addr().get() < ADDRESS_LIMIT, "an item lies above 48 bits of address");
        if self.directory.is_empty() {
            // Exactly one entry: a vector's own first growth would take four.
            self.directory = Vec::with_capacity(1);
            self.directory.push(Segment::vacant(0));
            (self.depth, self.deepest, self.segments) = (0, 1, 1);
        }
        let marked = deadline_ms.is_some();
        loop {
            let index = self.index_of(hash);
            let segment = &self.directory[index];
            let slot = slot_of(raw, hash, segment.depth(), marked);
            let has_room = segment.count() < segment.limit() && segment.fits(slot.order());
            if !has_room && self.make_room(index) {
                // The item's segment is another one now.
                continue;
            }
            let segment = &mut self.directory[index];
            let header = segment.header_mut();
            header.deadline_min = header.deadline_min.min(deadline_ms.unwrap_or(NEVER));
            if let Some(slot) = segment.insert(slot) {
                segment.header_mut().spilled += 1;
                self.spill(slot);
            }
            self.len += 1;
            return;
        }
    }

    /// Drops all items and gives all memory back.
    pub fn clear(&mut self) {
        self.release();
    }

    #[inline]
    fn index_of(&self, hash: u64) -> usize {
        // Two shifts, because one by 64 is not defined and a directory of one entry needs it.
        ((hash >> 1) >> (63 - self.depth)) as usize
    }

    /// The entries that hold the segment of entry `index`: the first one, and how many.
    fn entries(&self, index: usize) -> (usize, usize) {
        let count = 1 << (self.depth - self.directory[index].depth());
        (index & !(count - 1), count)
    }

    /// The first and the last hash of the segment of entry `index`.
    fn hashes(&self, index: usize) -> (u64, u64) {
        let (first, _) = self.entries(index);
        let first = ((first as u64) << (63 - self.depth)) << 1;
        (first, first | after_prefix(self.directory[index].depth()))
    }

    #[inline]
    fn locate(&self, hash: u64, mut same: impl FnMut(T::Ref<'_>) -> bool) -> Option<Place> {
        if self.len == 0 {
            return None;
        }
        let index = self.index_of(hash);
        let segment = &self.directory[index];
        // SAFETY: the table owns the item, and the borrow ends with the call.
        match segment.find(hash, |word| same(unsafe { T::borrow(word.raw()) })) {
            Found::At(bucket, slot) => Some(Place::Slot { index, bucket, slot }),
            Found::Nothing => None,
            Found::PerhapsSpilled => self.locate_spilled(index, hash, same),
        }
    }

    #[cold]
    fn locate_spilled(
        &self,
        index: usize,
        hash: u64,
        mut same: impl FnMut(T::Ref<'_>) -> bool,
    ) -> Option<Place> {
        // SAFETY: as in `locate`.
        let is_same = |spilled: &Spilled| same(unsafe { T::borrow(spilled.raw) });
        let position = self.spill.get(&hash)?.iter().position(is_same)?;
        Some(Place::Spill { index, position })
    }

    fn raw_at(&self, hash: u64, place: Place) -> NonNull<u8> {
        match place {
            Place::Slot { index, bucket, slot } => {
                self.directory[index].slots()[bucket].word(slot).raw()
            }
            Place::Spill { position, .. } => self.spill[&hash][position].raw,
        }
    }

    fn rehash(&self, slot: &Slot) -> u64 {
        // SAFETY: the slot comes from this table, and the borrow ends with the call.
        self.hasher.rehash(unsafe { T::borrow(slot.word.raw()) })
    }

    /// Puts an item that a segment has no place for, and has counted as spilled, into the spill.
    #[cold]
    fn spill(&mut self, slot: Slot) {
        let hash = self.rehash(&slot);
        let spilled = Spilled { raw: slot.word.raw(), marked: slot.marked };
        self.spill.entry(hash).or_default().push(spilled);
        self.spilled += 1;
    }

    /// Grows or splits a segment. False when that would not help: when it is less than half full and
    /// still has no room where it is needed, or when the directory is not allowed to grow.
    fn make_room(&mut self, index: usize) -> bool {
        let segment = &self.directory[index];
        if segment.is_vacant() {
            return self.resize(index, 0);
        }
        let buckets = segment.buckets();
        if segment.count() * 2 < buckets * bucket::SLOTS || segment.spilled() > SPILL_REBUILD_MAX {
            return false;
        }
        match segment::size_above(buckets) {
            Some(size) => self.resize(index, size),
            None => self.split(index),
        }
    }

    /// Builds a segment anew in another size. False, and nothing is changed, when the items do not
    /// fit into it.
    fn resize(&mut self, index: usize, size: usize) -> bool {
        let items = self.items_of(index);
        let old = &self.directory[index];
        let deadline_min = if old.is_vacant() { NEVER } else { old.header().deadline_min };
        let Some(new) = Segment::build(&items, size, old.depth(), deadline_min, None) else {
            return false;
        };
        self.unspill(index);
        let (first, count) = self.entries(index);
        self.retire(first);
        self.install(first, count, new);
        true
    }

    /// Splits a segment in two. False when the directory may not grow for it.
    fn split(&mut self, index: usize) -> bool {
        let depth = self.directory[index].depth();
        if depth == DEPTH_MAX {
            return false;
        }
        let mut index = index;
        if depth == self.depth {
            // Ordinary hashes leave at most every other entry without a segment of its own; a much
            // sparser directory is a sign of hashes made to blow it up.
            if self.directory.len() > 4 * self.segments.max(4) {
                return false;
            }
            self.double();
            index *= 2;
        }

        let mut items = self.items_of(index);
        let deadline_min = self.directory[index].header().deadline_min;
        let middle = items.partition_point(|slot| slot.order() >> 15 == 0);
        self.descend(&mut items, depth);
        // Only items whose orders were equal can have come out of order.
        sort_nearly_sorted(&mut items[..middle]);
        sort_nearly_sorted(&mut items[middle..]);

        self.unspill(index);
        let (first, count) = self.entries(index);
        self.retire(first);
        let half = count / 2;
        for (first, items) in [(first, &items[..middle]), (first + half, &items[middle..])] {
            self.install_built(first, half, items, depth + 1, deadline_min);
        }
        self.segments += 1;
        if depth + 1 == self.depth {
            self.deepest += 2;
        }
        self.prepare_to_double();
        true
    }

    /// Merges a segment with its buddy, the other half of their common prefix, if both have become
    /// small. False when they have not.
    fn merge(&mut self, index: usize) -> bool {
        let depth = self.directory[index].depth();
        if depth == 0 {
            return false;
        }
        let (first, count) = self.entries(index);
        let (lower, upper) = (first & !count, first | count);
        let both = [&self.directory[lower], &self.directory[upper]];
        let total: usize = both.iter().map(|half| half.count() + half.spilled()).sum();
        if both.iter().any(|half| half.depth() != depth) || total > MERGE_ITEMS_MAX {
            return false;
        }

        let deadline_min = both
            .iter()
            .filter(|half| !half.is_vacant())
            .map(|half| half.header().deadline_min)
            .min()
            .unwrap_or(NEVER);
        let mut items = Vec::with_capacity(total);
        for half in [lower, upper] {
            let raised = self.items_of(half).into_iter();
            items.extend(raised.map(|slot| segment::raised(slot, half == upper)));
            self.unspill(half);
        }
        if !segment::same_tags(depth, depth - 1) {
            for slot in &mut items {
                slot.tag = segment::tag_of(self.rehash(slot), depth - 1);
            }
        }
        self.retire(lower);
        self.retire(upper);
        self.install_built(lower, count * 2, &items, depth - 1, deadline_min);
        self.segments -= 1;
        if depth == self.depth {
            self.deepest -= 2;
            if self.deepest == 0 {
                self.halve();
            }
        }
        true
    }

    /// Gives memory back around `hash` after a removal.
    fn settle(&mut self, hash: u64) {
        const SHRINK_PERCENT: usize = 45;

        let segment = &self.directory[self.index_of(hash)];
        let is_low =
            |count: usize, buckets: usize| count * 100 < buckets * bucket::SLOTS * SHRINK_PERCENT;
        if !is_low(segment.count(), segment.buckets()) || segment.spilled() > SPILL_REBUILD_MAX {
            return;
        }
        // Each round takes one bit from the prefix and handles few items, so this is bounded.
        while self.merge(self.index_of(hash)) {}

        let index = self.index_of(hash);
        let segment = &self.directory[index];
        let items = segment.count() + segment.spilled();
        if items == 0 {
            let vacant = Segment::vacant(segment.depth());
            let (first, count) = self.entries(index);
            self.retire(first);
            self.install(first, count, vacant);
        } else {
            let size = segment::size_for(items + items / 8);
            if segment::buckets_of(size) < segment.buckets() {
                self.resize(index, size);
            }
        }
    }

    /// All items of a segment by order, spilled ones included.
    fn items_of(&self, index: usize) -> Vec<Slot> {
        let segment = &self.directory[index];
        let mut items = Vec::with_capacity(segment.count() + segment.spilled());
        items.extend(segment.items());
        if segment.spilled() > 0 {
            let (first, last) = self.hashes(index);
            for (&hash, spilled) in self.spill.range(first..=last) {
                let slot = |s: &Spilled| slot_of(s.raw, hash, segment.depth(), s.marked);
                items.extend(spilled.iter().map(slot));
            }
            items.sort_by_key(Slot::order);
        }
        items
    }

    /// Forgets the spilled items of a segment, after `items_of` has taken them along.
    fn unspill(&mut self, index: usize) {
        let spilled = self.directory[index].spilled();
        if spilled > 0 {
            let (first, last) = self.hashes(index);
            let hashes: Vec<u64> = self.spill.range(first..=last).map(|(&hash, _)| hash).collect();
            for hash in hashes {
                self.spill.remove(&hash);
            }
            self.spilled -= spilled;
        }
    }

    /// Turns items of one depth into items of the next.
    fn descend(&self, items: &mut [Slot], depth: u32) {
        const AHEAD: usize = 8;

        if segment::same_tags(depth, depth + 1) {
            for slot in items {
                *slot = segment::deepened(*slot, depth);
            }
            return;
        }
        for at in 0..items.len() {
            if let Some(ahead) = items.get(at + AHEAD) {
                prefetch(ahead.word.raw().as_ptr());
            }
            let slot = items[at];
            items[at] = slot_of(slot.word.raw(), self.rehash(&slot), depth + 1, slot.marked);
        }
    }

    /// Frees the segment of an entry; all its entries must be overwritten next.
    fn retire(&mut self, index: usize) {
        let segment = self.directory[index].alias();
        self.segment_bytes -= segment.bytes();
        // SAFETY: the callers overwrite the entries, the only other copies, before they are read.
        unsafe { segment.free() };
    }

    /// Makes `count` entries from `first` on hold a segment.
    fn install(&mut self, first: usize, count: usize, segment: Segment) {
        self.segment_bytes += segment.bytes();
        self.directory[first..first + count].fill_with(|| segment.alias());
    }

    /// The same with a segment built from items; those that find no place in it are spilled.
    fn install_built(
        &mut self,
        first: usize,
        count: usize,
        items: &[Slot],
        depth: u32,
        deadline_min: u64,
    ) {
        if items.is_empty() {
            self.install(first, count, Segment::vacant(depth));
            return;
        }
        let mut spill = Vec::new();
        let size = segment::size_for(items.len());
        let built = Segment::build(items, size, depth, deadline_min, Some(&mut spill));
        self.install(first, count, built.expect("a segment that may spill can be built"));
        for slot in spill {
            self.spill(slot);
        }
    }

    /// Touches one page of the next directory, once most entries have a segment of their own.
    ///
    /// The first touch of a page takes the kernel longer than filling it: for two megabytes about a
    /// millisecond, which one insert would otherwise wait for. There is one split for every page
    /// many times over before the directory doubles.
    fn prepare_to_double(&mut self) {
        const PAGE_ENTRIES: usize = 4096 / size_of::<Segment>();

        let len = self.directory.len();
        if len < PAGE_ENTRIES || self.segments < len / 4 * 3 {
            return;
        }
        if self.next_directory.capacity() == 0 {
            self.next_directory = Vec::with_capacity(len * 2);
        }
        let touched = self.next_directory.len();
        let touched = (touched + PAGE_ENTRIES).min(len * 2);
        self.next_directory.resize_with(touched, || Segment::vacant(0));
    }

    fn double(&mut self) {
        let mut directory = std::mem::take(&mut self.next_directory);
        directory.clear();
        directory.reserve_exact(self.directory.len() * 2);
        for segment in &self.directory {
            directory.extend([segment.alias(), segment.alias()]);
        }
        self.directory = directory;
        self.depth += 1;
        self.deepest = 0;
    }

    fn halve(&mut self) {
        self.next_directory = Vec::new();
        let mut directory = Vec::with_capacity(self.directory.len() / 2);
        directory.extend(self.directory.iter().step_by(2).map(Segment::alias));
        self.directory = directory;
        self.depth -= 1;
        self.deepest = self.directory.iter().filter(|s| s.depth() == self.depth).count();
    }

    fn remove_at(&mut self, hash: u64, place: Place) -> T {
        let raw = match place {
            Place::Slot { index, bucket, slot } => self.remove_slot(index, bucket, slot),
            Place::Spill { index, position } => {
                self.directory[index].header_mut().spilled -= 1;
                self.spilled -= 1;
                take_spilled(&mut self.spill, hash, position).raw
            }
        };
        self.len -= 1;
        // SAFETY: the item was the table's and is in none of its places any more.
        unsafe { T::from_raw(raw) }
    }

    /// Takes an item out of a segment, which may bring others back from the spill.
    fn remove_slot(&mut self, index: usize, bucket: usize, slot: usize) -> NonNull<u8> {
        let depth = self.directory[index].depth();
        let (start, _) = self.hashes(index);
        let first_hash = |order: usize| start.wrapping_add((order as u64) << (48 - depth));
        let (spill, count) = (&mut self.spill, &mut self.spilled);
        let segment = &mut self.directory[index];
        let removed = segment.remove(bucket, slot, |orders| {
            let hashes = first_hash(orders.start)..=first_hash(orders.end).wrapping_sub(1);
            let (&hash, _) = spill.range(hashes).next()?;
            *count -= 1;
            let Spilled { raw, marked } = take_spilled(spill, hash, 0);
            Some(slot_of(raw, hash, depth, marked))
        });
        removed.word.raw()
    }
}

impl<T: Item, H> Table<T, H> {
    /// Drops the items in a segment's buckets.
    ///
    /// # Safety
    ///
    /// The buckets are not read again.
    unsafe fn drop_items(segment: &Segment) {
        // They lie anywhere in memory, so each is fetched a little before it is dropped.
        let mut ahead = segment.items();
        ahead.by_ref().take(DROP_AHEAD).for_each(|slot| prefetch(slot.word.raw().as_ptr()));
        for slot in segment.items() {
            if let Some(next) = ahead.next() {
                prefetch(next.word.raw().as_ptr());
            }
            // SAFETY: every item is in one place, and the caller promises the rest.
            drop(unsafe { T::from_raw(slot.word.raw()) });
        }
    }

    /// Drops all items and frees all memory.
    fn release(&mut self) {
        let directory = std::mem::take(&mut self.directory);
        self.next_directory = Vec::new();
        let mut index = 0;
        while index < directory.len() {
            let segment = directory[index].alias();
            index += 1 << (self.depth - segment.depth());
            // SAFETY: the other entries for it are skipped, and the directory is dropped next.
            unsafe {
                Self::drop_items(&segment);
                segment.free();
            }
        }
        for spilled in std::mem::take(&mut self.spill).into_values().flatten() {
            // SAFETY: as above.
            drop(unsafe { T::from_raw(spilled.raw) });
        }
        (self.depth, self.deepest, self.segments, self.segment_bytes) = (0, 0, 0, 0);
        (self.len, self.spilled) = (0, 0);
    }
}

impl<T: Item, H> Drop for Table<T, H> {
    fn drop(&mut self) {
        self.release();
    }
}

/// An item that was found, in a table that is borrowed for changing it.
pub struct Occupied<'a, T: Item, H: Rehash<T>> {
    table: &'a mut Table<T, H>,
    hash: u64,
    place: Place,
}

impl<'a, T: Item, H: Rehash<T>> Occupied<'a, T, H> {
    /// Looks at the item.
    pub fn get(&self) -> T::Ref<'_> {
        // SAFETY: the table owns the item, and it stays borrowed as long as the result.
        unsafe { T::borrow(self.raw()) }
    }

    /// The item's pointer. While this entry is borrowed mutably the item is borrowed nowhere else,
    /// so it may be changed in place, except its key.
    pub fn raw(&self) -> NonNull<u8> {
        self.table.raw_at(self.hash, self.place)
    }

    /// Puts an item with the same hash in this one's place, and gives this one back. The mark stays.
    ///
    /// # Panics
    ///
    /// When the item's address is not below 2^48.
    pub fn replace(&mut self, item: T) -> T {
        let raw = item.into_raw();
        assert!(raw.addr().get() < ADDRESS_LIMIT, "an item lies above 48 bits of address");
        let old = match self.place {
            Place::Slot { index, bucket, slot } => {
                self.table.directory[index].slots_mut()[bucket].replace(slot, raw)
            }
            Place::Spill { position, .. } => {
                std::mem::replace(&mut self.spilled(position).raw, raw)
            }
        };
        // SAFETY: the old item has left the table and is not borrowed.
        unsafe { T::from_raw(old) }
    }

    /// Whether the item is marked as one that expires.
    pub fn is_marked(&self) -> bool {
        match self.place {
            Place::Slot { index, bucket, slot } => {
                self.table.directory[index].slots()[bucket].is_marked(slot)
            }
            Place::Spill { position, .. } => self.table.spill[&self.hash][position].marked,
        }
    }

    /// Marks the item as one that expires at `deadline_ms`, or as one that does not expire.
    pub fn set_deadline(&mut self, deadline_ms: Option<u64>) {
        let marked = deadline_ms.is_some();
        let index = match self.place {
            Place::Slot { index, bucket, slot } => {
                self.table.directory[index].slots_mut()[bucket].set_marked(slot, marked);
                index
            }
            Place::Spill { index, position } => {
                self.spilled(position).marked = marked;
                index
            }
        };
        let header = self.table.directory[index].header_mut();
        header.deadline_min = header.deadline_min.min(deadline_ms.unwrap_or(NEVER));
    }

    /// Removes the item.
    pub fn remove(self) -> T {
        let item = self.table.remove_at(self.hash, self.place);
        self.table.settle(self.hash);
        item
    }

    fn spilled(&mut self, position: usize) -> &mut Spilled {
        &mut self.table.spill.get_mut(&self.hash).expect("the item was found here")[position]
    }
}

fn take_spilled(spill: &mut Spill, hash: u64, position: usize) -> Spilled {
    let equal = spill.get_mut(&hash).expect("the item was found here");
    let taken = equal.swap_remove(position);
    if equal.is_empty() {
        spill.remove(&hash);
    }
    taken
}

/// All hash bits behind a prefix.
fn after_prefix(depth: u32) -> u64 {
    u64::MAX >> depth
}

#[inline]
fn slot_of(raw: NonNull<u8>, hash: u64, depth: u32, marked: bool) -> Slot {
    let word = Word::new(raw, segment::order_of(hash, depth));
    Slot { word, tag: segment::tag_of(hash, depth), marked }
}

/// Sorts by order; linear when hardly anything is out of place.
fn sort_nearly_sorted(items: &mut [Slot]) {
    for at in 1..items.len() {
        let mut to = at;
        while to > 0 && items[to - 1].order() > items[to].order() {
            items.swap(to - 1, to);
            to -= 1;
        }
    }
}

/// Asks the processor to fetch the cache line at `address`.
#[inline]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint; it is defined for every address and has no effect on memory.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
