//! Configuration directives: one table, parsing, and the `CONFIG` command over it.
