//! Value types and the structures that they are made of. They know nothing of keys, commands or files;
//! time and randomness come in as parameters.
//!
//! Each collection is one word ([`word`]): a listpack (or an intset) while it is small, a box of
//! something with better orders of growth once it is not. [`Limits`] says when.

mod block;
mod buffer;
pub mod digest;
pub mod geohash;
pub mod hash;
pub mod hasher;
pub mod hyperloglog;
pub mod intset;
pub mod limits;
pub mod list;
pub mod listpack;
mod malformed;
pub mod partial_sort;
pub mod salted;
pub mod sample;
pub mod saving;
pub mod set;
pub mod sorted_set;
pub mod stream;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod thin_bytes;
mod value;
pub mod word;

pub use buffer::Buffer;
pub use hash::Hash;
pub use hasher::KeyHasher;
pub use limits::Limits;
pub use list::List;
pub use malformed::Malformed;
pub use saving::Saving;
pub use set::Set;
pub use sorted_set::SortedSet;
pub use stream::Stream;
pub use value::{NewValue, Value};
