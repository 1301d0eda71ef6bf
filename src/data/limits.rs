//! How big collections may grow before their encoding changes.

use super::KeyHasher;

/// Thresholds of encodings, and the hash function of tables. The defaults are Redis's.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `hash-max-listpack-entries`: fields.
    pub hash_listpack_entries: usize,
    /// `hash-max-listpack-value`: bytes of a field or value.
    pub hash_listpack_value_bytes: usize,
    /// `list-max-listpack-size`: elements of a node, or -1 to -5 for 4 to 64 KiB.
    pub list_listpack_size: i32,
    /// `set-max-intset-entries`.
    pub set_intset_entries: usize,
    /// `set-max-listpack-entries`.
    pub set_listpack_entries: usize,
    /// `set-max-listpack-value`: bytes of a member.
    pub set_listpack_value_bytes: usize,
    /// `zset-max-listpack-entries`.
    pub sorted_set_listpack_entries: usize,
    /// `zset-max-listpack-value`: bytes of a member.
    pub sorted_set_listpack_value_bytes: usize,
    /// `stream-node-max-bytes`; 0 means no limit.
    pub stream_node_bytes: usize,
    /// `stream-node-max-entries`; 0 means no limit.
    pub stream_node_entries: usize,
    /// `hll-sparse-max-bytes`.
    pub hyperloglog_sparse_bytes: usize,
    /// The hash function of elements.
    pub hasher: KeyHasher,
}

impl Limits {
    /// Redis's defaults.
    pub fn new(hasher: KeyHasher) -> Self {
        Self {
            hash_listpack_entries: 512,
            hash_listpack_value_bytes: 64,
            list_listpack_size: -2,
            set_intset_entries: 512,
            set_listpack_entries: 128,
            set_listpack_value_bytes: 64,
            sorted_set_listpack_entries: 128,
            sorted_set_listpack_value_bytes: 64,
            stream_node_bytes: 4096,
            stream_node_entries: 100,
            hyperloglog_sparse_bytes: 3000,
            hasher,
        }
    }
}
