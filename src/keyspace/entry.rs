//! One key with its value, in one allocation.
//!
//! ```text
//! offset  bytes
//!      0  kind      u8   what the payload is, see `Kind`
//!      1  flags     u8   HAS_EXPIRY, WIDE_KEY
//!      2  key_len   u16  length of the key, unless WIDE_KEY
//!      4  access    u32  low 24 bits: LRU clock or LFU counter; high 8 bits: the epoch, see `capture.rs`
//!      8  expiry    i64  only with HAS_EXPIRY: Unix time in ms
//!         wide_len  u64  only with WIDE_KEY: length of the key
//!         payload   i64, pointer or collection, unless the value is embedded
//!         key       key_len bytes
//!         len       u8   only embedded values
//!         value     len bytes, only embedded values
//! ```
//!
//! An entry with a 16-byte key and a 3-byte value takes 28 bytes, which the allocator rounds to 32.

use crate::data::table::{Item, prefetch};
use crate::data::{Buffer, Hash, List, Set, SortedSet, Stream};
pub use crate::data::{NewValue, Value};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

const HEADER_BYTES: usize = 8;
const HAS_EXPIRY: u8 = 1;
const WIDE_KEY: u8 = 2;
const ALIGN: usize = 8;
const ACCESS_MASK: u32 = 0x00ff_ffff;
const EPOCH_SHIFT: u32 = 24;

/// The longest string that is kept inside the entry; longer ones have a buffer of their own.
pub const EMBEDDED_BYTES_MAX: usize = 192;

/// Replies refer to strings of at least this many bytes; shorter ones are copied.
pub const SHARED_BYTES_MIN: usize = 16 * 1024;

/// An entry's payload: a pointer, a collection, which is one word over a pointer, or an integer.
type Payload = *mut u8;

const _: () = assert!(size_of::<Payload>() == 8);

/// What an entry's payload is. `Text` and `TextRaw` lie inside the entry; the second is one that
/// `APPEND` or `SETRANGE` has edited, which Redis reports as `raw` whatever its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Integer,
    Text,
    TextRaw,
    Buffer,
    List,
    Set,
    SortedSet,
    Hash,
    Stream,
}

/// A type of collection: one word in an entry's payload.
pub trait Collection: Sized {
    /// The collection in a value, if it is one of this type.
    fn of(value: Value<'_>) -> Option<&Self>;

    /// The same in an entry, to change it.
    fn of_mut(entry: EntryMut<'_>) -> Option<&mut Self>;

    /// The collection on its way into an entry.
    fn into_new(self) -> NewValue<'static>;

    /// Whether it has no elements.
    fn is_empty(&self) -> bool;
}

macro_rules! collection {
    ($($name:ident)*) => {$(
        const _: () = assert!(size_of::<Option<$name>>() == 8 && align_of::<$name>() == 8);

        impl Collection for $name {
            fn of(value: Value<'_>) -> Option<&Self> {
                match value {
                    Value::$name(collection) => Some(collection),
                    _ => None,
                }
            }

            fn of_mut(entry: EntryMut<'_>) -> Option<&mut Self> {
                if entry.view().kind() != Kind::$name {
                    return None;
                }
                // SAFETY: an entry of this kind has such a collection as its payload, and the
                // borrow is exclusive.
                Some(unsafe { &mut *entry.view().payload_pointer().cast() })
            }

            fn into_new(self) -> NewValue<'static> {
                NewValue::$name(self)
            }

            fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }
    )*};
}

collection!(List Set SortedSet Hash Stream);

/// An owned entry: a pointer to the allocation described in the module's documentation.
pub struct EntryBox(NonNull<u8>);

/// An entry to look at.
#[derive(Clone, Copy)]
pub struct Entry<'a>(NonNull<u8>, PhantomData<&'a EntryBox>);

/// An entry to change in place: everything but its key and whether it has an expiry time.
pub struct EntryMut<'a>(NonNull<u8>, PhantomData<&'a mut EntryBox>);

// SAFETY: an entry owns its allocation and everything in it, and nothing in it is tied to a thread.
unsafe impl Send for EntryBox {}
// SAFETY: shared references only read.
unsafe impl Sync for EntryBox {}

// SAFETY: `into_raw` gives the pointer to an allocation that the box owns, `from_raw` makes the same
// box of it again, and a borrow only reads.
unsafe impl Item for EntryBox {
    type Ref<'a> = Entry<'a>;

    fn into_raw(self) -> NonNull<u8> {
        let raw = self.0;
        std::mem::forget(self);
        raw
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw)
    }

    unsafe fn borrow<'a>(raw: NonNull<u8>) -> Entry<'a> {
        Entry(raw, PhantomData)
    }
}

impl EntryBox {
    /// Allocates an entry. `access` is the LRU or LFU word, of which 24 bits are kept.
    pub fn new(key: &[u8], value: NewValue<'_>, expiry_ms: Option<i64>, access: u32) -> Self {
        match value {
            NewValue::Integer(number) => Self::with_payload(
                key,
                Kind::Integer,
                std::ptr::without_provenance_mut(number as usize),
                expiry_ms,
                access & ACCESS_MASK,
            ),
            NewValue::Text { bytes, edited } if bytes.len() <= EMBEDDED_BYTES_MAX => {
                let kind = if edited { Kind::TextRaw } else { Kind::Text };
                Self::build(key, kind, std::ptr::null_mut(), bytes, expiry_ms, access & ACCESS_MASK)
            }
            NewValue::Text { bytes, .. } => {
                let buffer = Box::new(Buffer::from(bytes.to_vec()));
                Self::new(key, NewValue::Buffer(buffer), expiry_ms, access)
            }
            NewValue::Loaded(bytes) if bytes.len() <= EMBEDDED_BYTES_MAX => {
                Self::new(key, NewValue::Text { bytes: &bytes, edited: false }, expiry_ms, access)
            }
            NewValue::Loaded(bytes) => {
                Self::new(key, NewValue::Buffer(Box::new(bytes.into())), expiry_ms, access)
            }
            NewValue::Buffer(buffer) => {
                let payload = Box::into_raw(buffer).cast();
                Self::with_payload(key, Kind::Buffer, payload, expiry_ms, access & ACCESS_MASK)
            }
            NewValue::List(list) => Self::collection(key, Kind::List, list, expiry_ms, access),
            NewValue::Set(set) => Self::collection(key, Kind::Set, set, expiry_ms, access),
            NewValue::SortedSet(set) => {
                Self::collection(key, Kind::SortedSet, set, expiry_ms, access)
            }
            NewValue::Hash(hash) => Self::collection(key, Kind::Hash, hash, expiry_ms, access),
            NewValue::Stream(stream) => {
                Self::collection(key, Kind::Stream, stream, expiry_ms, access)
            }
        }
    }

    fn collection<T: Collection>(
        key: &[u8],
        kind: Kind,
        collection: T,
        expiry_ms: Option<i64>,
        access: u32,
    ) -> Self {
        let collection = ManuallyDrop::new(collection);
        // SAFETY: a collection is one word, which is moved into the entry.
        let payload = unsafe { std::ptr::from_ref(&collection).cast::<Payload>().read() };
        Self::with_payload(key, kind, payload, expiry_ms, access & ACCESS_MASK)
    }

    fn with_payload(
        key: &[u8],
        kind: Kind,
        payload: Payload,
        expiry_ms: Option<i64>,
        word: u32,
    ) -> Self {
        Self::build(key, kind, payload, &[], expiry_ms, word)
    }

    /// Writes the allocation. `payload` counts unless the kind is embedded, `embedded` only if it is.
    fn build(
        key: &[u8],
        kind: Kind,
        payload: Payload,
        embedded: &[u8],
        expiry_ms: Option<i64>,
        word: u32,
    ) -> Self {
        let wide = key.len() > usize::from(u16::MAX);
        let is_embedded = matches!(kind, Kind::Text | Kind::TextRaw);
        debug_assert!(embedded.len() <= EMBEDDED_BYTES_MAX && (is_embedded || embedded.is_empty()));
        let flags =
            if expiry_ms.is_some() { HAS_EXPIRY } else { 0 } | if wide { WIDE_KEY } else { 0 };
        let mut size = HEADER_BYTES + key.len();
        size += 8 * (usize::from(expiry_ms.is_some()) + usize::from(wide));
        size += if is_embedded { 1 + embedded.len() } else { 8 };
        let layout = Layout::from_size_align(size, ALIGN).expect("a key's length fits in memory");
        // SAFETY: the layout's size is at least the header's, so it is not zero.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        let mut at = start.as_ptr();
        let mut put = |bytes: &[u8]| {
            // SAFETY: the sizes of all pieces put here add up to `size` (asserted below), so `at`
            // stays inside the allocation, which nothing else refers to yet.
            unsafe {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len());
                at = at.add(bytes.len());
            }
        };
        put(&[kind as u8, flags]);
        put(&(if wide { 0 } else { key.len() as u16 }).to_ne_bytes());
        put(&word.to_ne_bytes());
        if let Some(expiry_ms) = expiry_ms {
            put(&expiry_ms.to_ne_bytes());
        }
        if wide {
            put(&(key.len() as u64).to_ne_bytes());
        }
        if !is_embedded {
            put(&[0; size_of::<Payload>()]);
        }
        put(key);
        if is_embedded {
            put(&[embedded.len() as u8]);
            put(embedded);
        }
        debug_assert_eq!(at as usize - start.as_ptr() as usize, size);
        let entry = Self(start);
        if !is_embedded {
            // SAFETY: there is a payload, and nothing else refers to the entry yet. It is written
            // as a pointer, so that it is one when it is read.
            unsafe { entry.view().payload_pointer().write(payload) };
        }
        entry
    }

    /// Looks at the entry.
    pub fn view(&self) -> Entry<'_> {
        Entry(self.0, PhantomData)
    }

    /// Borrows the entry to change it in place.
    pub fn view_mut(&mut self) -> EntryMut<'_> {
        EntryMut(self.0, PhantomData)
    }

    /// The same value under another key or with another expiry time; what has an allocation of its own
    /// moves, it is not copied.
    pub fn rebuilt(self, key: Option<&[u8]>, expiry_ms: Option<i64>) -> Self {
        let old = self.view();
        let new_key = key.unwrap_or(old.key());
        if old.is_embedded() {
            return Self::new(new_key, old.value().to_new(), expiry_ms, old.access());
        }
        // SAFETY: what is not embedded has a payload.
        let payload = unsafe { old.payload_pointer().read() };
        let new = Self::with_payload(new_key, old.kind(), payload, expiry_ms, old.access());
        // SAFETY: the first byte is the kind. What the payload owned belongs to the new entry now;
        // an integer owns nothing and takes the same room.
        unsafe { self.0.as_ptr().write(Kind::Integer as u8) };
        new
    }
}

impl<'a> Entry<'a> {
    /// # Safety
    /// `offset` lies inside the allocation.
    unsafe fn byte(self, offset: usize) -> u8 {
        // SAFETY: the caller's promise; the entry lives during `'a`.
        unsafe { self.0.as_ptr().add(offset).read() }
    }

    /// # Safety
    /// The 8 bytes from `offset` on lie inside the allocation, and `offset` is a multiple of 8.
    unsafe fn word(self, offset: usize) -> u64 {
        // SAFETY: the caller's promise; the entry lives during `'a` and is aligned to 8 bytes.
        unsafe { self.0.as_ptr().add(offset).cast::<u64>().read() }
    }

    /// # Safety
    /// The `len` bytes from `offset` on lie inside the allocation, and nothing writes to them
    /// during `'a`.
    unsafe fn slice(self, offset: usize, len: usize) -> &'a [u8] {
        // SAFETY: the caller's promise; the entry lives during `'a`.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(offset), len) }
    }

    fn kind(self) -> Kind {
        // SAFETY: every entry begins with a header of 8 bytes.
        match unsafe { self.byte(0) } {
            0 => Kind::Integer,
            1 => Kind::Text,
            2 => Kind::TextRaw,
            3 => Kind::Buffer,
            4 => Kind::List,
            5 => Kind::Set,
            6 => Kind::SortedSet,
            7 => Kind::Hash,
            8 => Kind::Stream,
            other => unreachable!("entry of kind {other}"),
        }
    }

    fn has(self, flag: u8) -> bool {
        // SAFETY: as in `kind`.
        unsafe { self.byte(1) & flag != 0 }
    }

    fn is_embedded(self) -> bool {
        matches!(self.kind(), Kind::Text | Kind::TextRaw)
    }

    fn key_len(self) -> usize {
        if self.has(WIDE_KEY) {
            // SAFETY: with the flag set, the length lies after the header and the expiry time.
            unsafe { self.word(HEADER_BYTES + 8 * usize::from(self.has(HAS_EXPIRY))) as usize }
        } else {
            // SAFETY: as in `kind`.
            usize::from(u16::from_ne_bytes(unsafe { [self.byte(2), self.byte(3)] }))
        }
    }

    /// Offset of the payload, or of the key if the value is embedded.
    fn payload_offset(self) -> usize {
        HEADER_BYTES + 8 * (usize::from(self.has(HAS_EXPIRY)) + usize::from(self.has(WIDE_KEY)))
    }

    /// The payload in its place, which is aligned to 8 bytes as everything before it is.
    ///
    /// # Safety
    /// The value is not embedded.
    unsafe fn payload_pointer(self) -> *mut Payload {
        debug_assert!(!self.is_embedded());
        // SAFETY: an entry whose value is not embedded has a payload at this offset.
        unsafe { self.0.as_ptr().add(self.payload_offset()).cast() }
    }

    fn key_offset(self) -> usize {
        self.payload_offset() + if self.is_embedded() { 0 } else { size_of::<Payload>() }
    }

    /// Where the length of an embedded value is.
    fn key_end(self) -> usize {
        self.key_offset() + self.key_len()
    }

    /// The value, if it is embedded.
    fn embedded(self) -> Option<&'a [u8]> {
        let at = self.key_end();
        // SAFETY: an embedded value follows the key as its length and so many bytes, which never
        // change.
        self.is_embedded().then(|| unsafe { self.slice(at + 1, usize::from(self.byte(at))) })
    }

    fn size(self) -> usize {
        self.key_end() + self.embedded().map_or(0, |value| 1 + value.len())
    }

    /// The key.
    pub fn key(self) -> &'a [u8] {
        // SAFETY: the key lies there, and never changes.
        unsafe { self.slice(self.key_offset(), self.key_len()) }
    }

    /// When the key expires, as Unix time in ms.
    pub fn expiry_ms(self) -> Option<i64> {
        // SAFETY: with the flag set, the expiry time follows the header.
        self.has(HAS_EXPIRY).then(|| unsafe { self.word(HEADER_BYTES) as i64 })
    }

    /// The LRU clock or LFU counter: 24 bits.
    pub fn access(self) -> u32 {
        self.access_word() & ACCESS_MASK
    }

    fn access_word(self) -> u32 {
        // SAFETY: the header's last 4 bytes are the access word.
        unsafe { self.0.as_ptr().add(4).cast::<u32>().read() }
    }

    /// Which snapshot has recorded the entry, or saw it born.
    pub(super) fn epoch(self) -> u8 {
        (self.access_word() >> EPOCH_SHIFT) as u8
    }

    /// Notes that a snapshot has recorded the entry.
    ///
    /// # Safety
    /// The entry's header is read and written nowhere else meanwhile.
    pub(super) unsafe fn set_epoch(self, epoch: u8) {
        // SAFETY: as in `access_word`; the caller promises the rest.
        unsafe {
            let word = self.0.as_ptr().add(4).cast::<u32>();
            word.write(word.read() & ACCESS_MASK | u32::from(epoch) << EPOCH_SHIFT);
        }
    }

    /// Asks the processor to fetch the entry.
    pub(super) fn prefetch(self) {
        prefetch(self.0.as_ptr());
    }

    /// The value.
    pub fn value(self) -> Value<'a> {
        match self.kind() {
            // SAFETY: an integer is the payload.
            Kind::Integer => Value::Integer(unsafe { self.word(self.payload_offset()) as i64 }),
            Kind::Buffer => Value::Text { bytes: self.buffer(), edited: true },
            // SAFETY: an entry of this kind has such a collection as its payload, and lives for `'a`.
            Kind::List => Value::List(unsafe { &*self.payload_pointer().cast() }),
            // SAFETY: as above.
            Kind::Set => Value::Set(unsafe { &*self.payload_pointer().cast() }),
            // SAFETY: as above.
            Kind::SortedSet => Value::SortedSet(unsafe { &*self.payload_pointer().cast() }),
            // SAFETY: as above.
            Kind::Hash => Value::Hash(unsafe { &*self.payload_pointer().cast() }),
            // SAFETY: as above.
            Kind::Stream => Value::Stream(unsafe { &*self.payload_pointer().cast() }),
            kind @ (Kind::Text | Kind::TextRaw) => {
                let bytes = self.embedded().expect("these two are embedded");
                Value::Text { bytes, edited: kind == Kind::TextRaw }
            }
        }
    }

    /// Whether the value is a string with a buffer of its own.
    pub fn has_buffer(self) -> bool {
        self.kind() == Kind::Buffer
    }

    /// Whether replies share the bytes of this string instead of copying them.
    pub fn is_shareable(self) -> bool {
        self.buffer_of().is_some_and(|buffer| buffer.len() >= SHARED_BYTES_MIN)
    }

    /// The buffer of a string that has one.
    pub(super) fn buffer_of(self) -> Option<&'a Buffer> {
        self.has_buffer().then(|| self.buffer())
    }

    fn buffer_pointer(self) -> *mut Buffer {
        assert_eq!(self.kind(), Kind::Buffer);
        // SAFETY: an entry of this kind has a payload.
        unsafe { self.payload_pointer().read() }.cast()
    }

    fn buffer(self) -> &'a Buffer {
        // SAFETY: the payload of this kind came from `Box::into_raw` and is freed with the entry.
        unsafe { &*self.buffer_pointer() }
    }

    /// Bytes of memory this entry holds, without the allocator's rounding.
    pub fn memory_bytes(self) -> usize {
        let outside = match self.value() {
            Value::Integer(_) => 0,
            Value::Text { .. } if self.has_buffer() => self.buffer().memory_bytes(),
            Value::Text { .. } => 0,
            Value::List(list) => list.memory_bytes(),
            Value::Set(set) => set.memory_bytes(),
            Value::SortedSet(set) => set.memory_bytes(),
            Value::Hash(hash) => hash.memory_bytes(),
            Value::Stream(stream) => stream.memory_bytes(),
        };
        self.size() + outside
    }
}

impl<'a> EntryMut<'a> {
    /// Borrows an entry by its pointer.
    ///
    /// # Safety
    /// `raw` points to an entry that is borrowed nowhere else during `'a`.
    pub(super) unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw, PhantomData)
    }

    /// Looks at the entry.
    pub fn view(&self) -> Entry<'_> {
        Entry(self.0, PhantomData)
    }

    /// Borrows the entry for a shorter time.
    pub(super) fn reborrow(&mut self) -> EntryMut<'_> {
        Self(self.0, PhantomData)
    }

    /// Gives the exclusive borrow up for a shared one.
    pub fn into_view(self) -> Entry<'a> {
        Entry(self.0, PhantomData)
    }

    /// Sets the LRU clock or LFU counter, of which 24 bits are kept.
    pub fn set_access(&mut self, access: u32) {
        // SAFETY: the header's last 4 bytes are the access word, and `&mut self` is exclusive.
        unsafe {
            let word = self.0.as_ptr().add(4).cast::<u32>();
            word.write(word.read() & !ACCESS_MASK | access & ACCESS_MASK);
        }
    }

    /// Notes that a snapshot has recorded the entry.
    pub(super) fn set_epoch(&mut self, epoch: u8) {
        // SAFETY: the borrow is exclusive.
        unsafe { self.view().set_epoch(epoch) };
    }

    /// The buffer of a string that has one, to change it in place.
    pub fn into_buffer(self) -> Option<&'a mut Buffer> {
        // SAFETY: as in `Entry::buffer`; the borrow is exclusive.
        self.view().has_buffer().then(|| unsafe { &mut *self.view().buffer_pointer() })
    }

    /// Overwrites an integer in place; false if the value is of another kind.
    pub fn set_integer(&mut self, number: i64) -> bool {
        if self.view().kind() != Kind::Integer {
            return false;
        }
        // SAFETY: an integer is the payload, and `&mut self` is exclusive.
        unsafe { self.view().payload_pointer().cast::<i64>().write(number) };
        true
    }

    /// Overwrites the expiry time in place; false if the entry has no room for one.
    pub fn set_expiry_in_place(&mut self, expiry_ms: i64) -> bool {
        if !self.view().has(HAS_EXPIRY) {
            return false;
        }
        // SAFETY: with the flag set, 8 bytes of expiry follow the header; `&mut self` is exclusive.
        unsafe { self.0.as_ptr().add(HEADER_BYTES).cast::<i64>().write(expiry_ms) };
        true
    }
}

impl Drop for EntryBox {
    fn drop(&mut self) {
        let view = self.view();
        let layout = Layout::from_size_align(view.size(), ALIGN).expect("it was allocated so");
        // SAFETY: the entry owns its payload, which is of its kind, and drops it once.
        unsafe {
            match view.kind() {
                Kind::Integer | Kind::Text | Kind::TextRaw => {}
                Kind::Buffer => drop(Box::from_raw(view.buffer_pointer())),
                Kind::List => view.payload_pointer().cast::<List>().drop_in_place(),
                Kind::Set => view.payload_pointer().cast::<Set>().drop_in_place(),
                Kind::SortedSet => view.payload_pointer().cast::<SortedSet>().drop_in_place(),
                Kind::Hash => view.payload_pointer().cast::<Hash>().drop_in_place(),
                Kind::Stream => view.payload_pointer().cast::<Stream>().drop_in_place(),
            }
        }
        // SAFETY: `build` allocated this with the same size (nothing that counts towards it changes
        // afterwards) and alignment.
        unsafe { dealloc(self.0.as_ptr(), layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_what_the_budget_says() {
        let text = |bytes| NewValue::Text { bytes, edited: false };
        assert_eq!(EntryBox::new(&[b'k'; 16], text(b"abc"), None, 0).view().size(), 28);
        assert_eq!(EntryBox::new(&[b'k'; 16], text(b"abc"), Some(1), 0).view().size(), 36);
        assert_eq!(EntryBox::new(&[b'k'; 16], text(&[b'v'; 64]), None, 0).view().size(), 89);
        assert_eq!(EntryBox::new(&[b'k'; 16], NewValue::Integer(7), None, 0).view().size(), 32);
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            key in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                Just(vec![7u8; 70_000]),
            ],
            text in prop::collection::vec(any::<u8>(), 0..400),
            number in any::<Option<i64>>(),
            expiry in any::<Option<i64>>(),
            access in any::<u32>(),
            edited in any::<bool>(),
        ) {
            let value = match number {
                Some(number) => NewValue::Integer(number),
                None => NewValue::Text { bytes: &text, edited },
            };
            let mut entry = EntryBox::new(&key, value, expiry, access);
            let check = |entry: &EntryBox, key: &[u8], expiry: Option<i64>| {
                let entry = entry.view();
                assert_eq!(entry.key(), key);
                assert_eq!(entry.expiry_ms(), expiry);
                assert_eq!(entry.access(), access & ACCESS_MASK);
                match (entry.value(), number) {
                    (Value::Integer(have), Some(want)) => assert_eq!(have, want),
                    (Value::Text { bytes, .. }, None) => assert_eq!(bytes, text),
                    other => panic!("{other:?}"),
                }
            };
            check(&entry, &key, expiry);
            entry.view_mut().set_access(access);
            if entry.view_mut().set_expiry_in_place(5) {
                check(&entry, &key, Some(5));
            }
            let entry = entry.rebuilt(Some(b"other"), Some(9));
            check(&entry, b"other", Some(9));
            let entry = entry.rebuilt(None, None);
            check(&entry, b"other", None);
        }
    }
}
