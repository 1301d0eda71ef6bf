//! Configuration: one table of directives, and everything that reads, shows, changes and writes it.
//!
//! | file | holds |
//! |---|---|
//! | `directives` | the table: a row for each directive, and the typed [`Config`] made from it |
//! | `values` | the types of settings: reading, showing and writing each |
//! | `accepted` | why a directive has no effect here, and the list for the documentation |
//! | `parse` | the syntax of `redis.conf`, and loading files |
//! | `command` | `CONFIG GET` and `CONFIG SET` as functions over a configuration |
//! | `rewrite` | `CONFIG REWRITE` |
//! | `glob` | shell-style patterns |

pub mod accepted;
pub mod command;
pub mod directives;
pub mod glob;
pub mod parse;
pub mod rewrite;
pub mod values;

pub use accepted::accepted_directives_markdown;
pub use command::{Change, Pending, SetCause, SetError};
pub use directives::{Config, DIRECTIVES, Directive, Effect, Flags, Status, find};
pub use parse::{LoadError, Loaded, Sources, load, load_text};
pub use rewrite::{RewriteError, rewrite_file};
pub use values::{AppendFsync, LogCompression, LogLevel, ProtectedAction, Supervised};
