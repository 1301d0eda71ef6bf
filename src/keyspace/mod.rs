//! Databases, their table, entries and expiry.

pub mod table;
