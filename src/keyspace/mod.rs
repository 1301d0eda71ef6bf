//! Databases, their table, entries and expiry.
