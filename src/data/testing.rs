//! Values as text, to compare them.

use super::Value;
use super::stream::StreamId;

/// Everything that can be seen of a value, in an order that does not depend on hashing; without its
/// encoding, and without the times at which a stream's consumers were seen, which no log carries.
pub fn describe(value: Value<'_>) -> String {
    let sorted = |mut all: Vec<String>| {
        all.sort();
        all
    };
    let name = value.type_name();
    let contents = match value {
        Value::Integer(number) => vec![number.to_string()],
        Value::Text { bytes, .. } => vec![format!("{bytes:?}")],
        Value::List(list) => list.iter().map(|e| format!("{:?}", e.to_vec())).collect(),
        Value::Set(set) => sorted(set.iter().map(|e| format!("{:?}", e.to_vec())).collect()),
        Value::SortedSet(set) => set
            .iter(0, set.len(), false)
            .map(|entry| format!("{:?} {}", entry.member.to_vec(), entry.score))
            .collect(),
        Value::Hash(hash) => sorted(
            hash.iter()
                .map(|f| format!("{:?} {:?} {:?}", f.name.to_vec(), f.value.to_vec(), f.expiry_ms))
                .collect(),
        ),
        Value::Stream(stream) => {
            let entries = stream.entries.range(StreamId::MIN, StreamId::MAX);
            let entries = entries.map(|(id, fields)| {
                let fields: Vec<_> = fields.map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
                format!("{id} {fields:?}")
            });
            let groups = stream.groups.iter().map(|(name, group)| {
                let consumers: Vec<_> =
                    group.consumers().map(|(_, consumer)| consumer.name().to_vec()).collect();
                let (last_id, read) = (group.last_id, group.entries_read);
                let pending: Vec<_> = group
                    .pending()
                    .iter()
                    .map(|(id, p)| {
                        (id, group.consumer(p.consumer).name(), p.delivered_ms, p.deliveries)
                    })
                    .collect();
                format!("{name:?} {last_id} {read:?} {pending:?} {consumers:?}")
            });
            let counters = format!("{:?}", stream.entries.counters());
            entries.chain(groups).chain([counters]).collect()
        }
    };
    format!("{name} {contents:?}")
}
