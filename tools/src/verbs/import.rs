//! `import`.

use crate::output::{End, Failure, Output};
use clap::Args;

/// Makes a data directory of RDB files and append-only files.
#[derive(Args)]
pub struct Arguments {}

/// Does it.
pub fn run(_: &Arguments, _: &Output) -> Result<End, Failure> {
    Err(Failure::new("this verb is not there yet"))
}
