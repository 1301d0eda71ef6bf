//! Hashes: fields with values, each of which may expire on its own.
//!
//! A small hash is a listpack of names and values, `listpack`. Once a field has an expiry time it is one
//! of names, values and expiry times (Unix time in ms, or 0), `listpackex`, ordered so that what expires
//! first comes first and what does not expire last. A big hash is a table, `hashtable`, whether its
//! fields expire or not. None of these ever turns back. All of this is as in Redis, and the listpacks
//! are those that its RDB files have.
//!
//! A hash does not know what time it is: an expired field is there until it is removed.

mod field;
mod fields;
mod packed;
mod saving;
#[cfg(test)]
mod tests;

use super::KeyHasher;
use super::limits::Limits;
use super::listpack::{self, Element, Listpack, Position};
use super::salted::SaltedHasher;
use super::sample::{Selection, below};
use super::table;
use super::word::{Boxed, Form, Word};
use field::{FieldBox, FieldRef};
use fields::Fields;
pub use fields::HashHead;
use std::borrow::Cow;
use std::collections::HashSet;

/// How many fields are on their way from memory at the same time.
const BATCH: usize = 16;

/// Elements of a field in a listpack, and in one with expiry times.
const PAIR: usize = 2;
const TRIPLE: usize = 3;
/// What a listpack's element takes at most beside its bytes; an expiry time takes no more than two such.
const ELEMENT_OVERHEAD_BYTES: usize = 11;
/// No field expires later than at this Unix time in ms: so it is in Redis.
pub const FIELD_EXPIRY_MAX_MS: i64 = 0xffff_ffff_ffff;
/// The expiry time of a field that does not expire, in a listpack.
const NO_EXPIRY: i64 = 0;

/// A listpack of names, values and expiry times.
type Expiring = Boxed<Listpack, 1>;

/// Fields with values; see the module's page. One word.
#[repr(transparent)]
#[derive(Clone, Debug)]
pub struct Hash(Word<Listpack, Expiring, Boxed<Fields, 2>>);

/// One field of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: Element<'a>,
    /// Its value.
    pub value: Element<'a>,
    /// When it expires, as Unix time in ms.
    pub expiry_ms: Option<i64>,
}

/// What becomes of the expiry time of a field that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldExpiry {
    /// It does not expire.
    Clear,
    /// It stays as it is; a new field does not expire.
    Keep,
    /// It expires at this Unix time in ms, which is positive.
    At(i64),
}

/// A field on its way into a hash.
#[derive(Clone, Debug)]
pub struct NewField<'a> {
    /// Its name.
    pub name: Cow<'a, [u8]>,
    /// Its value.
    pub value: Cow<'a, [u8]>,
    /// Its expiry time.
    pub expiry: FieldExpiry,
}

impl FieldExpiry {
    fn of(self, present: Option<i64>) -> Option<i64> {
        match self {
            FieldExpiry::Clear => None,
            FieldExpiry::Keep => present,
            FieldExpiry::At(at) => Some(at),
        }
    }
}

impl<'a> From<FieldRef<'a>> for Field<'a> {
    fn from(field: FieldRef<'a>) -> Self {
        Self {
            name: Element::Bytes(field.name()),
            value: Element::Bytes(field.value()),
            expiry_ms: field.expiry_ms(),
        }
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl Hash {
    /// A hash without fields.
    pub fn new() -> Self {
        Self(Word::first(Listpack::new()))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        match self.0.get() {
            Form::First(pairs) => pairs.len() / PAIR,
            Form::Second(triples) => triples.len() / TRIPLE,
            Form::Third(fields) => fields.len(),
        }
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        match self.0.get() {
            Form::First(pairs) => pairs.is_empty(),
            Form::Second(triples) => triples.is_empty(),
            Form::Third(fields) => fields.len() == 0,
        }
    }

    /// What `OBJECT ENCODING` calls it.
    pub fn encoding_name(&self) -> &'static str {
        match self.0.get() {
            Form::First(_) => "listpack",
            Form::Second(_) => "listpackex",
            Form::Third(_) => "hashtable",
        }
    }

    /// Bytes that are allocated.
    pub fn memory_bytes(&self) -> usize {
        match self.0.get() {
            Form::First(pairs) => pairs.memory_bytes(),
            Form::Second(triples) => size_of::<Listpack>() + triples.memory_bytes(),
            Form::Third(fields) => fields.memory_bytes(),
        }
    }

    /// The field with this name.
    pub fn get(&self, name: &[u8]) -> Option<Field<'_>> {
        match self.0.get() {
            Form::First(pairs) => {
                let at = find(pairs, name, PAIR)?;
                let mut elements = pairs.iter_from(at);
                let (name, value) = (elements.next()?, elements.next()?);
                Some(Field { name, value, expiry_ms: None })
            }
            Form::Second(triples) => {
                next_triple(&mut triples.iter_from(find(triples, name, TRIPLE)?))
            }
            Form::Third(fields) => fields.find(name).map(Field::from),
        }
    }

    /// Gets ready for setting many fields at once, which are given as names and values: where this cannot
    /// remain a listpack, it becomes a table now.
    pub fn prepare<'a>(&mut self, pairs: impl ExactSizeIterator<Item = &'a [u8]>, limits: &Limits) {
        if matches!(self.0.get(), Form::Third(_)) {
            return;
        }
        let (count, mut bytes) = (pairs.len() / PAIR, 0_usize);
        let mut is_big = count > limits.hash_listpack_entries;
        for element in pairs {
            is_big |= element.len() > limits.hash_listpack_value_bytes;
            bytes = bytes.saturating_add(element.len() + ELEMENT_OVERHEAD_BYTES * 2);
        }
        if is_big || !self.has_room_for(bytes) {
            self.make_table(limits.hasher);
        }
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        match self.0.get() {
            Form::First(pairs) => pairs.has_room_for(bytes),
            Form::Second(triples) => triples.has_room_for(bytes),
            Form::Third(_) => true,
        }
    }

    /// Sets a field. True if it is new.
    pub fn set(&mut self, name: &[u8], value: &[u8], expiry: FieldExpiry, limits: &Limits) -> bool {
        let longest = name.len().max(value.len());
        let bytes = (name.len().saturating_add(value.len()))
            .saturating_add(ELEMENT_OVERHEAD_BYTES * TRIPLE);
        if longest > limits.hash_listpack_value_bytes || !self.has_room_for(bytes) {
            self.make_table(limits.hasher);
        }
        if matches!(expiry, FieldExpiry::At(_)) {
            self.make_expiring();
        }
        let is_new = match self.0.get_mut() {
            Form::First(pairs) => set_pair(pairs, name, value),
            Form::Second(triples) => set_triple(triples, name, value, expiry),
            Form::Third(fields) => fields.set(name, value, |present| expiry.of(present)),
        };
        if !matches!(self.0.get(), Form::Third(_)) && self.len() > limits.hash_listpack_entries {
            self.make_table(limits.hasher);
        }
        is_new
    }

    /// Sets several fields that are not there yet. False if one of them is; then not all may have been set.
    pub fn set_all(&mut self, fields: &[NewField<'_>], limits: &Limits) -> bool {
        for some in fields.chunks(BATCH) {
            let Form::Third(table) = self.0.get_mut() else {
                let mut some = some.iter();
                if !some.all(|field| self.set(&field.name, &field.value, field.expiry, limits)) {
                    return false;
                }
                continue;
            };
            // Their places lie anywhere in memory, so all are fetched before the first is needed. An empty table
            // decides with the first field what places are.
            let Some(first) = some.first() else { continue };
            table.place_for(&first.name);
            let mut places = [0; BATCH];
            for (place, field) in places.iter_mut().zip(some) {
                *place = table.place(&field.name);
                table.prefetch(*place);
            }
            for (field, place) in some.iter().zip(places) {
                let expiry = |present| field.expiry.of(present);
                if !table.set_at(place, &field.name, &field.value, expiry) {
                    return false;
                }
            }
        }
        true
    }

    /// Removes a field. False if there is none.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let (listpack, width): (&mut Listpack, usize) = match self.0.get_mut() {
            Form::First(pairs) => (pairs, PAIR),
            Form::Second(triples) => (triples, TRIPLE),
            Form::Third(fields) => return fields.remove(name),
        };
        let Some(at) = find(listpack, name, width) else { return false };
        listpack.remove_run(at, width);
        true
    }

    /// Sets or clears the expiry time of a field, a positive Unix time in ms. False if there is no such
    /// field.
    pub fn set_expiry(&mut self, name: &[u8], expiry_ms: Option<i64>) -> bool {
        if let Form::First(pairs) = self.0.get() {
            if find(pairs, name, PAIR).is_none() {
                return false;
            }
            if expiry_ms.is_none() {
                return true;
            }
            self.make_expiring();
        }
        match self.0.get_mut() {
            Form::First(_) => unreachable!("it has become one with expiry times"),
            Form::Second(triples) => {
                let Some(at) = find(triples, name, TRIPLE) else { return false };
                move_triple(triples, at, expiry_ms);
                true
            }
            Form::Third(fields) => fields.set_expiry(name, expiry_ms),
        }
    }

    /// Moves the expiry time of every field that has one by `delta_ms`, as far as expiry times go.
    pub fn shift_expiries(&mut self, delta_ms: i64) {
        let shifted = |at: i64| at.saturating_add(delta_ms).clamp(1, FIELD_EXPIRY_MAX_MS);
        match self.0.get_mut() {
            Form::First(_) => {}
            Form::Second(triples) => {
                // Whatever they are moved by, their order stays.
                let (mut moved, mut elements) = (Listpack::new(), triples.iter());
                while let Some(Field { name, value, expiry_ms }) = next_triple(&mut elements) {
                    push(&mut moved, name);
                    push(&mut moved, value);
                    moved.push_back_integer(expiry_ms.map_or(NO_EXPIRY, shifted));
                }
                self.0 = Word::second(Boxed::new(moved));
            }
            Form::Third(fields) => fields.move_expiries(shifted),
        }
    }

    /// A time before which no field expires, as Unix time in ms; `None` if none ever does.
    pub fn next_expiry_ms(&self) -> Option<i64> {
        match self.0.get() {
            Form::First(_) => None,
            Form::Second(triples) => next_triple(&mut triples.iter())?.expiry_ms,
            Form::Third(fields) => fields.next_expiry_ms(),
        }
    }

    /// Removes fields whose time has come by `now_ms`, at most `limit` of them, and gives their names.
    pub fn expire_fields(&mut self, now_ms: i64, limit: usize) -> Vec<Vec<u8>> {
        match self.0.get_mut() {
            Form::First(_) => Vec::new(),
            Form::Second(triples) => {
                let mut elements = triples.iter();
                let due = std::iter::from_fn(|| next_triple(&mut elements))
                    .take_while(|field| field.expiry_ms.is_some_and(|at| at <= now_ms))
                    .take(limit);
                let names: Vec<_> = due.map(|field| field.name.to_vec()).collect();
                if !names.is_empty() {
                    triples.remove_range(0, names.len() * TRIPLE);
                }
                names
            }
            Form::Third(fields) => fields.expire(now_ms, limit),
        }
    }

    /// All fields.
    pub fn iter(&self) -> Iter<'_> {
        match self.0.get() {
            Form::First(pairs) => Iter::Pairs(pairs.iter()),
            Form::Second(triples) => Iter::Triples(triples.iter()),
            Form::Third(fields) => Iter::Table(fields.iter()),
        }
    }

    /// Visits some `count` fields from `cursor` on, and gives the cursor to go on with, 0 at the end.
    /// Every field that is there from the first call (with cursor 0) to the last is visited, whatever
    /// else is set or removed in between. A listpack is visited as a whole.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(Field<'a>)) -> u64 {
        match self.0.get() {
            Form::Third(fields) => fields.scan(cursor, count, |field| visit(field.into())),
            _ => {
                self.iter().for_each(visit);
                0
            }
        }
    }

    /// A field, all with the same probability; `None` if there is none. `random` gives uniformly
    /// distributed numbers.
    pub fn random(&self, random: &mut dyn FnMut() -> u64) -> Option<Field<'_>> {
        let (listpack, width): (&Listpack, usize) = match self.0.get() {
            Form::First(pairs) => (pairs, PAIR),
            Form::Second(triples) => (triples, TRIPLE),
            Form::Third(fields) => return fields.random(random).map(Field::from),
        };
        let index = below(random, self.len()) * width;
        let elements = listpack.iter_from(listpack.seek(index as isize)?);
        if width == PAIR { Iter::Pairs(elements) } else { Iter::Triples(elements) }.next()
    }

    /// Visits `count` fields, each of which may come several times, in random order.
    pub fn sample_with_repeats<'a>(
        &'a self,
        count: usize,
        random: &mut dyn FnMut() -> u64,
        mut visit: impl FnMut(Field<'a>),
    ) {
        if let Form::Third(fields) = self.0.get() {
            for _ in 0..count {
                fields.random(&mut *random).map(Field::from).into_iter().for_each(&mut visit);
            }
            return;
        }
        // Seeking in a listpack each time would take longer than walking it once.
        let all: Vec<Field<'a>> = self.iter().collect();
        if !all.is_empty() {
            (0..count).for_each(|_| visit(all[below(random, all.len())]));
        }
    }

    /// Visits `count` different fields, or all if there are no more, every set of so many with the same
    /// probability.
    pub fn sample<'a>(
        &'a self,
        count: usize,
        random: &mut dyn FnMut() -> u64,
        mut visit: impl FnMut(Field<'a>),
    ) {
        if let Form::Third(fields) = self.0.get()
            && count < fields.len() / 3
        {
            // Few of many: hardly any is met twice.
            let mut seen = HashSet::with_capacity(count);
            while seen.len() < count {
                let Some(field) = fields.random(&mut *random) else { return };
                if seen.insert(field.name().as_ptr()) {
                    visit(field.into());
                }
            }
            return;
        }
        let mut selection = Selection::new(count, self.len());
        self.iter().filter(|_| selection.picks(random)).for_each(visit);
    }

    /// Makes a listpack one with expiry times.
    fn make_expiring(&mut self) {
        if let Form::First(pairs) = self.0.get() {
            let mut triples = Listpack::new();
            for (index, element) in pairs.iter().enumerate() {
                push(&mut triples, element);
                if index % PAIR == 1 {
                    triples.push_back_integer(NO_EXPIRY);
                }
            }
            self.0 = Word::second(Boxed::new(triples));
        }
    }

    /// Makes it a table, if it is none.
    pub fn make_table(&mut self, hasher: KeyHasher) {
        if matches!(self.0.get(), Form::Third(_)) {
            return;
        }
        let mut fields = Fields::new(hasher);
        let (mut name_digits, mut value_digits) = Default::default();
        for Field { name, value, expiry_ms } in self.iter() {
            let (name, value) = (name.bytes(&mut name_digits), value.bytes(&mut value_digits));
            fields.set(name, value, |_| expiry_ms);
        }
        self.0 = Word::third(Boxed::new(fields));
    }
}

/// The fields of a hash.
pub enum Iter<'a> {
    /// Of a listpack.
    Pairs(listpack::Iter<'a>),
    /// Of a listpack with expiry times.
    Triples(listpack::Iter<'a>),
    /// Of a table.
    #[allow(private_interfaces)] // To be iterated over, not to be taken apart.
    Table(table::Iter<'a, FieldBox, SaltedHasher>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        match self {
            Iter::Pairs(elements) => {
                let (name, value) = (elements.next()?, elements.next()?);
                Some(Field { name, value, expiry_ms: None })
            }
            Iter::Triples(elements) => next_triple(elements),
            Iter::Table(fields) => fields.next().map(Field::from),
        }
    }
}

/// The next field of a listpack with expiry times.
fn next_triple<'a>(elements: &mut listpack::Iter<'a>) -> Option<Field<'a>> {
    let (name, value, expiry) = (elements.next()?, elements.next()?, elements.next()?);
    Some(Field { name, value, expiry_ms: expiry_of(expiry) })
}

/// An expiry time in a listpack.
fn expiry_of(element: Element<'_>) -> Option<i64> {
    match element {
        Element::Integer(NO_EXPIRY) | Element::Bytes(_) => None,
        Element::Integer(at) => Some(at),
    }
}

/// Where the name of a field is, in a listpack of fields of `width` elements.
fn find(listpack: &Listpack, name: &[u8], width: usize) -> Option<Position> {
    listpack.find(listpack.first()?, name, width - 1)
}

/// The element behind another one of the same field.
fn behind(listpack: &Listpack, position: Position) -> Position {
    listpack.next(position).expect("a field has all its elements")
}

fn push(listpack: &mut Listpack, element: Element<'_>) {
    match element {
        Element::Integer(number) => listpack.push_back_integer(number),
        Element::Bytes(bytes) => listpack.push_back(bytes),
    }
}

fn set_pair(pairs: &mut Listpack, name: &[u8], value: &[u8]) -> bool {
    match find(pairs, name, PAIR) {
        Some(at) => {
            pairs.replace(behind(pairs, at), value);
            false
        }
        None => {
            pairs.push_back(name);
            pairs.push_back(value);
            true
        }
    }
}

fn set_triple(triples: &mut Listpack, name: &[u8], value: &[u8], expiry: FieldExpiry) -> bool {
    let Some(at) = find(triples, name, TRIPLE) else {
        insert_triple(triples, name, value, expiry.of(None));
        return true;
    };
    let value_at = triples.replace(behind(triples, at), value);
    let present = expiry_of(triples.get(behind(triples, value_at)));
    let wanted = expiry.of(present);
    // One that is given its expiry time anew takes its place among those that expire at the same time.
    if wanted != present || matches!(expiry, FieldExpiry::At(_)) {
        move_triple(triples, at, wanted);
    }
    false
}

/// Gives the field at a position another expiry time, and so another place.
fn move_triple(triples: &mut Listpack, at: Position, expiry_ms: Option<i64>) {
    let mut elements = triples.iter_from(at);
    let mut next = || elements.next().expect("a field has all its elements").to_vec();
    let (name, value) = (next(), next());
    triples.remove_run(at, TRIPLE);
    insert_triple(triples, &name, &value, expiry_ms);
}

/// Inserts a field in front of those that expire at the same time or later.
fn insert_triple(triples: &mut Listpack, name: &[u8], value: &[u8], expiry_ms: Option<i64>) {
    let expiry = expiry_ms.unwrap_or(NO_EXPIRY);
    let mut place = None;
    if let Some(expiry_ms) = expiry_ms {
        let mut at = triples.first();
        while let Some(name_at) = at {
            let expiry_at = behind(triples, behind(triples, name_at));
            if expiry_of(triples.get(expiry_at)).is_none_or(|other| other >= expiry_ms) {
                place = Some(name_at);
                break;
            }
            at = triples.next(expiry_at);
        }
    }
    match place {
        None => {
            triples.push_back(name);
            triples.push_back(value);
            triples.push_back_integer(expiry);
        }
        Some(place) => {
            let mut digits = listpack::Digits::new();
            let name_at = triples.insert_before(place, name);
            let value_at = triples.insert_after(name_at, value);
            triples.insert_after(value_at, digits.format(expiry).as_bytes());
        }
    }
}
