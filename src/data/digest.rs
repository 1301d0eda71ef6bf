//! A number for everything that a value holds, to tell whether two are the same.

use super::Value;
use super::listpack::Element;
use super::stream::StreamId;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// A digest of a value's type and contents. It does not depend on the encoding, nor on the order of what has
/// none; and not on the times at which a stream's consumers were seen, which no log carries.
pub fn digest(value: Value<'_>) -> u128 {
    let mut whole = Digest::new(value.type_name().as_bytes());
    match value {
        Value::Integer(number) => whole.bytes(itoa::Buffer::new().format(number).as_bytes()),
        Value::Text { bytes, .. } => whole.bytes(bytes),
        Value::List(list) => list.iter().for_each(|element| whole.element(element)),
        Value::Set(set) => whole.unordered(set.iter(), |member, part| part.element(member)),
        Value::SortedSet(set) => {
            for entry in set.iter(0, set.len(), false) {
                whole.element(entry.member);
                whole.number(entry.score.to_bits());
            }
        }
        Value::Hash(hash) => whole.unordered(hash.iter(), |field, part| {
            part.element(field.name);
            part.element(field.value);
            part.number(field.expiry_ms.unwrap_or(-1) as u64);
        }),
        Value::Stream(stream) => {
            for (id, fields) in stream.entries.range(StreamId::MIN, StreamId::MAX) {
                whole.bytes(&id.to_bytes());
                for (field, value) in fields {
                    whole.element(field);
                    whole.element(value);
                }
            }
            let counters = stream.entries.counters();
            whole.bytes(&counters.last_id.to_bytes());
            whole.bytes(&counters.max_deleted_id.to_bytes());
            whole.number(counters.entries_added);
            for (name, group) in &stream.groups {
                whole.bytes(name);
                whole.bytes(&group.last_id.to_bytes());
                whole.number(group.entries_read.unwrap_or(u64::MAX));
                group.consumers().for_each(|(_, consumer)| whole.bytes(consumer.name()));
                for (id, pending) in group.pending().iter() {
                    whole.bytes(&id.to_bytes());
                    whole.bytes(group.consumer(pending.consumer).name());
                    whole.number(pending.delivered_ms as u64);
                    whole.number(pending.deliveries);
                }
            }
        }
    }
    whole.finish()
}

struct Digest(SipHasher13);

impl Digest {
    fn new(what: &[u8]) -> Self {
        let mut digest = Self(SipHasher13::new());
        digest.bytes(what);
        digest
    }

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

    fn unordered<T>(&mut self, parts: impl Iterator<Item = T>, write: impl Fn(T, &mut Digest)) {
        let mut sum = 0u128;
        for part in parts {
            let mut digest = Digest::new(b"part");
            write(part, &mut digest);
            sum = sum.wrapping_add(digest.finish());
        }
        self.0.write(&sum.to_le_bytes());
    }

    fn finish(&self) -> u128 {
        self.0.finish128().as_u128()
    }
}
