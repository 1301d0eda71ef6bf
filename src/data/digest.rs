//! A number for everything that a value holds, to tell whether two are the same.

use super::listpack::Element;
use super::stream::StreamId;
use super::{Stream, Value};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// How digests are made: those of one digester can be compared with each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Digester {
    key: (u64, u64),
    ignores_field_expiry: bool,
    now_ms: Option<i64>,
}

/// A digest of a value's type and contents. It does not depend on the encoding, nor on the order of what has
/// none; and not on the times at which a stream's consumers were seen, which no log carries.
pub fn digest(value: Value<'_>) -> u128 {
    Digester::default().digest(value)
}

impl Digester {
    /// A digester with a secret key: without it, values with equal digests cannot be constructed.
    pub fn new(key: (u64, u64)) -> Self {
        Self { key, ..Self::default() }
    }

    /// The same that does not look at when fields of hashes expire.
    pub fn ignoring_field_expiry(self) -> Self {
        Self { ignores_field_expiry: true, ..self }
    }

    /// The same that does not look at fields of hashes that expired before this Unix time in ms.
    pub fn as_of(self, now_ms: i64) -> Self {
        Self { now_ms: Some(now_ms), ..self }
    }

    /// A digest of a value's type and contents, as [`digest()`].
    pub fn digest(&self, value: Value<'_>) -> u128 {
        let mut whole = self.begin(value.type_name().as_bytes());
        match value {
            Value::Integer(number) => whole.bytes(itoa::Buffer::new().format(number).as_bytes()),
            Value::Text { bytes, .. } => whole.bytes(bytes),
            Value::List(list) => list.iter().for_each(|element| whole.element(element)),
            Value::Set(set) => self.unordered(&mut whole, set.iter(), |member, part| {
                part.element(member);
            }),
            Value::SortedSet(set) => {
                for entry in set.iter(0, set.len(), false) {
                    whole.element(entry.member);
                    // The sign of zero is kept by one encoding and not by the other.
                    whole.number((entry.score + 0.0).to_bits());
                }
            }
            Value::Hash(hash) => {
                let fields = hash.iter().filter(|field| !self.hides(field.expiry_ms));
                self.unordered(&mut whole, fields, |field, part| {
                    part.element(field.name);
                    part.element(field.value);
                    let expiry_ms = field.expiry_ms.filter(|_| !self.ignores_field_expiry);
                    part.number(expiry_ms.unwrap_or(-1) as u64);
                });
            }
            Value::Stream(stream) => whole.stream(stream),
        }
        whole.finish()
    }

    fn hides(&self, expiry_ms: Option<i64>) -> bool {
        expiry_ms.is_some_and(|at| self.now_ms.is_some_and(|now_ms| at < now_ms))
    }

    fn begin(&self, what: &[u8]) -> Digest {
        let mut digest = Digest(SipHasher13::new_with_keys(self.key.0, self.key.1));
        digest.bytes(what);
        digest
    }

    fn unordered<T>(
        &self,
        whole: &mut Digest,
        parts: impl Iterator<Item = T>,
        write: impl Fn(T, &mut Digest),
    ) {
        let mut sum = 0u128;
        for part in parts {
            let mut digest = self.begin(b"part");
            write(part, &mut digest);
            sum = sum.wrapping_add(digest.finish());
        }
        whole.0.write(&sum.to_le_bytes());
    }
}

struct Digest(SipHasher13);

impl Digest {
    /// With its length, so that no two sequences run together.
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.write(bytes);
    }

    fn number(&mut self, number: u64) {
        self.0.write(&number.to_le_bytes());
    }

    fn element(&mut self, element: Element<'_>) {
        element.with_bytes(|bytes| self.bytes(bytes));
    }

    fn stream(&mut self, stream: &Stream) {
        for (id, fields) in stream.entries.range(StreamId::MIN, StreamId::MAX) {
            self.bytes(&id.to_bytes());
            for (field, value) in fields {
                self.element(field);
                self.element(value);
            }
        }
        let counters = stream.entries.counters();
        self.bytes(&counters.last_id.to_bytes());
        self.bytes(&counters.max_deleted_id.to_bytes());
        self.number(counters.entries_added.get());
        for (name, group) in &stream.groups {
            self.bytes(name);
            self.bytes(&group.last_id.to_bytes());
            self.number(group.entries_read.map_or(u64::MAX, crate::data::stream::Count::get));
            group.consumers().for_each(|(_, consumer)| self.bytes(consumer.name()));
            for (id, pending) in group.pending().iter() {
                self.bytes(&id.to_bytes());
                self.bytes(group.consumer(pending.consumer).name());
                self.number(pending.delivered_ms as u64);
                self.number(pending.deliveries.get());
            }
        }
    }

    fn finish(&self) -> u128 {
        self.0.finish128().as_u128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::hash::FieldExpiry;
    use crate::data::{Hash, KeyHasher, Limits};

    #[test]
    fn what_expires_is_looked_at_as_asked_for() {
        let limits = Limits::new(KeyHasher::new((1, 2)));
        let hash = |fields: &[(&str, Option<i64>)]| {
            let mut hash = Hash::new();
            for &(name, at) in fields {
                let expiry = at.map_or(FieldExpiry::Clear, FieldExpiry::At);
                hash.set(name.as_bytes(), b"1", expiry, &limits);
            }
            hash
        };
        let whole = hash(&[("a", None), ("b", Some(50)), ("c", Some(200))]);
        let later = hash(&[("c", Some(300)), ("a", None)]);
        let digester = Digester::new((3, 4));
        let of = |digester: Digester, hash: &Hash| digester.digest(Value::Hash(hash));
        assert_ne!(of(digester, &whole), of(digester, &later));
        assert_ne!(of(digester.as_of(100), &whole), of(digester.as_of(100), &later));
        let ignoring = digester.ignoring_field_expiry();
        assert_ne!(of(ignoring, &whole), of(ignoring, &later));
        assert_eq!(of(ignoring.as_of(100), &whole), of(ignoring.as_of(100), &later));
        assert_ne!(of(ignoring.as_of(50), &whole), of(ignoring.as_of(50), &later));
        assert_ne!(of(digester, &whole), digest(Value::Hash(&whole)));
    }
}
