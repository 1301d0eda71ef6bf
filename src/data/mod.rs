//! Value types and the structures that they are made of. They know nothing of keys, commands or files;
//! time and randomness come in as parameters.

mod block;
pub mod hasher;
pub mod intset;
pub mod listpack;
mod malformed;
pub mod table;

pub use hasher::KeyHasher;
pub use malformed::Malformed;
