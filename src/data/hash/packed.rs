//! Small hashes as the listpacks that they are.

use super::{Boxed, FIELD_EXPIRY_MAX_MS, Form, Hash, Listpack, NO_EXPIRY, PAIR, TRIPLE, Word};
use crate::data::listpack::Element;
use crate::data::{Limits, Malformed};

impl Hash {
    /// A hash of names and values by turns.
    ///
    /// # Errors
    /// If a value is missing or a name occurs twice.
    pub fn from_listpack(pairs: Listpack) -> Result<Self, Malformed> {
        if !pairs.len().is_multiple_of(PAIR) || pairs.has_repeats(PAIR) {
            return Err(Malformed::new("a hash with a field twice or without a value", 0));
        }
        Ok(Self(Word::first(pairs)))
    }

    /// A hash of names, values and expiry times by turns, in any order.
    ///
    /// # Errors
    /// If something is missing, a name occurs twice, or an expiry time is none.
    pub fn from_expiring_listpack(triples: &Listpack) -> Result<Self, Malformed> {
        const WRONG: Malformed = Malformed::new("a hash with a damaged field", 0);
        if triples.has_repeats(TRIPLE) {
            return Err(Malformed::new("a hash with a field twice", 0));
        }
        let mut fields = Vec::with_capacity(triples.len() / TRIPLE);
        let mut elements = triples.iter();
        while let Some(name) = elements.next() {
            let (Some(value), Some(Element::Integer(expiry_ms))) =
                (elements.next(), elements.next())
            else {
                return Err(WRONG);
            };
            if !(NO_EXPIRY..=FIELD_EXPIRY_MAX_MS).contains(&expiry_ms) {
                return Err(WRONG);
            }
            fields.push((name, value, expiry_ms));
        }
        // What does not expire comes last.
        fields.sort_by_key(|&(.., expiry_ms)| (expiry_ms == NO_EXPIRY, expiry_ms));
        let mut sorted = Listpack::new();
        for (name, value, expiry_ms) in fields {
            name.with_bytes(|bytes| sorted.push_back(bytes));
            value.with_bytes(|bytes| sorted.push_back(bytes));
            sorted.push_back_integer(expiry_ms);
        }
        Ok(Self(Word::second(Boxed::new(sorted))))
    }

    /// Makes a hash that was just made of a listpack a table, if it has too many fields for one.
    pub fn settle(&mut self, limits: &Limits) {
        if self.len() > limits.hash_listpack_entries {
            self.make_table(limits.hasher);
        }
    }

    /// Names and values by turns, if the hash is small and never had a field with an expiry time.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.0.get() {
            Form::First(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// Names, values and expiry times by turns, if the hash is small and has had a field with one.
    pub fn as_expiring_listpack(&self) -> Option<&Listpack> {
        match self.0.get() {
            Form::Second(triples) => Some(triples),
            _ => None,
        }
    }
}
