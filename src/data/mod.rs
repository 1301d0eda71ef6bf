//! Value types and the structures that they are made of. They know nothing of keys, commands or files;
//! time and randomness come in as parameters.

pub mod hasher;
pub mod sorted_set;
pub mod table;

pub use hasher::KeyHasher;
