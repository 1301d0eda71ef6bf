//! What the elements of a table were when a saving began.
//!
//! A cursor goes through the table in the order of hashes, in which elements keep their places whatever happens to
//! others. What lies before it has been given out and may change freely. What lies behind it and
//! changes is kept in two tables: elements as they were, and the names of those that are new. Both are used up as
//! the cursor comes by; in the end only elements are left that are gone from the table itself.
//!
//! A table that has become empty may be replaced by one with another order: everything that was not given
//! out is kept then, and all that comes after is noted as new or passed by the new order.

use super::PASSED_OVER_MAX;
use crate::data::KeyHasher;
use crate::data::salted::SaltedHasher;
use crate::data::table::{Item, Rehash, Table};
use crate::data::thin_bytes::{ThinBytes, ThinRef};
use std::ops::ControlFlow::{self, Break, Continue};

/// An element of a table that has a name.
pub trait Named: Item + 'static {
    /// Its name, which never changes.
    fn name(element: Self::Ref<'_>) -> &[u8];

    /// A copy.
    fn copy(element: Self::Ref<'_>) -> Self;

    /// Looks at an element that is in no table.
    fn view(&self) -> Self::Ref<'_>;

    /// Bytes allocated.
    fn bytes(element: Self::Ref<'_>) -> usize;
}

impl Named for ThinBytes {
    fn name(element: Self::Ref<'_>) -> &[u8] {
        element.as_slice()
    }

    fn copy(element: ThinRef<'_>) -> Self {
        Self::new(element.as_slice())
    }

    fn view(&self) -> ThinRef<'_> {
        self.view()
    }

    fn bytes(element: ThinRef<'_>) -> usize {
        element.memory_bytes()
    }
}

/// Hashes elements by their names.
#[derive(Clone, Copy)]
struct ByName(SaltedHasher);

impl<T: Named> Rehash<T> for ByName {
    fn rehash(&self, element: T::Ref<'_>) -> u64 {
        self.0.own(self.0.hash(T::name(element)))
    }
}

/// Elements by their names.
struct NameTable<T: Named> {
    table: Table<T, ByName>,
    /// Bytes of the elements themselves.
    bytes: usize,
}

impl<T: Named> NameTable<T> {
    fn new(hasher: KeyHasher) -> Self {
        // Another order than that of the table that is saved, whose elements come in their order.
        Self { table: Table::new(ByName(SaltedHasher::new(hasher, 0))), bytes: 0 }
    }

    fn place(&self, name: &[u8]) -> u64 {
        let hasher = self.table.hasher().0;
        hasher.own(hasher.hash(name))
    }

    fn has(&self, name: &[u8]) -> bool {
        !self.table.is_empty()
            && self.table.find(self.place(name), |other| T::name(other) == name).is_some()
    }

    fn insert(&mut self, element: T) {
        let place = self.place(T::name(element.view()));
        self.bytes += T::bytes(element.view());
        self.table.insert_unique(place, element, None);
    }

    fn take(&mut self, name: &[u8]) -> Option<T> {
        if self.table.is_empty() {
            return None;
        }
        let taken = self.table.remove(self.place(name), |other| T::name(other) == name)?;
        self.bytes -= T::bytes(taken.view());
        Some(taken)
    }

    fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.bytes
    }
}

/// What the elements of a table were when a saving began, as far as they have not been given out.
pub struct Elements<T: Named, Head> {
    head: Head,
    /// The first place in the table that was not passed; `None` when all were.
    cursor: Option<u64>,
    /// What has been changed or removed since at places not passed.
    changed: NameTable<T>,
    /// The names of what is at places not passed now and was not there at the beginning.
    born: NameTable<ThinBytes>,
    /// How far `changed` was emptied, once everything else was given.
    emptied: u64,
}

impl<T: Named, Head> Elements<T, Head> {
    /// Begins the saving of a table.
    pub fn new(head: Head, hasher: KeyHasher) -> Self {
        let (changed, born) = (NameTable::new(hasher), NameTable::new(hasher));
        Self { head, cursor: Some(0), changed, born, emptied: 0 }
    }

    /// What was to be remembered besides the elements.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Bytes kept for the saving only.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.changed.memory_bytes() + self.born.memory_bytes()
    }

    fn is_passed(&self, place: u64) -> bool {
        self.cursor.is_none_or(|cursor| place < cursor)
    }

    /// Whether an element of the table is as it was at the beginning and was not given out: it must not change then
    /// without being kept.
    pub fn wants(&self, place: u64, name: &[u8]) -> bool {
        !self.is_passed(place) && !self.changed.has(name) && !self.born.has(name)
    }

    /// To be called before an element changes in its place.
    pub fn before_change(&mut self, place: u64, old: T::Ref<'_>) {
        if self.wants(place, T::name(old)) {
            self.changed.insert(T::copy(old));
        }
    }

    /// To be called when another element of the same name has taken the place of this one.
    pub fn on_replace(&mut self, place: u64, old: T) {
        if self.wants(place, T::name(old.view())) {
            self.changed.insert(old);
        }
    }

    /// To be called when an element is added to the table.
    pub fn on_insert(&mut self, place: u64, name: &[u8]) {
        if !self.is_passed(place) && !self.changed.has(name) {
            self.born.insert(ThinBytes::new(name));
        }
    }

    /// To be called with every element that was removed from the table.
    pub fn on_remove(&mut self, place: u64, element: T) {
        let name = T::name(element.view());
        if !self.is_passed(place) && self.born.take(name).is_none() && !self.changed.has(name) {
            self.changed.insert(element);
        }
    }

    /// Gives out what the next elements of the table were; see [`super::Saving::save_next`].
    pub fn save_next<H: Rehash<T>>(
        &mut self,
        table: &Table<T, H>,
        visit: &mut dyn FnMut(T::Ref<'_>) -> ControlFlow<()>,
    ) -> bool {
        let mut passed_over = 0;
        let mut pass_over = || {
            passed_over += 1;
            if passed_over < PASSED_OVER_MAX { Continue(()) } else { Break(()) }
        };
        let mut rest = Vec::new();
        while let Some(cursor) = self.cursor {
            let (changed, born) = (&mut self.changed, &mut self.born);
            let mut flow = pass_over();
            let next = table.walk_segment_until(
                cursor,
                |element| {
                    let name = T::name(element);
                    flow = if born.take(name).is_some() {
                        pass_over()
                    } else if let Some(old) = changed.take(name) {
                        visit(old.view())
                    } else {
                        visit(element)
                    };
                    flow
                },
                |element| rest.push(element),
            );
            // The cursor passes these, too, so they are kept until the end.
            for element in rest.drain(..) {
                let name = T::name(element);
                if self.born.take(name).is_none() && !self.changed.has(name) {
                    self.changed.insert(T::copy(element));
                }
            }
            self.cursor = (next != 0).then_some(next);
            if flow.is_break() {
                return self.is_done();
            }
        }
        while !self.is_done() {
            let mut found = None;
            let next = self.changed.table.walk_segment_until(
                self.emptied,
                |element| {
                    found = Some(T::name(element).to_vec());
                    Break(())
                },
                |_| {},
            );
            let flow = match found.and_then(|name| self.changed.take(&name)) {
                Some(old) => visit(old.view()),
                None => {
                    self.emptied = next;
                    pass_over()
                }
            };
            if flow.is_break() {
                break;
            }
        }
        self.is_done()
    }

    fn is_done(&self) -> bool {
        self.cursor.is_none() && self.changed.table.is_empty()
    }
}
