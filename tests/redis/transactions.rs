//! Transactions.

/// The forms of the commands; the grammar module says how to read them.
pub const LINES: &[&str] = &["MULTI", "EXEC", "DISCARD", "WATCH { $any }", "UNWATCH"];
