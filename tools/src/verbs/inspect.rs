//! `inspect`.

use crate::output::{End, Failure, Output};
use clap::Args;

/// Says what a path holds: files, keys, memory, expiries, the log.
#[derive(Args)]
pub struct Arguments {}

/// Does it.
pub fn run(_: &Arguments, _: &Output) -> Result<End, Failure> {
    Err(Failure::new("this verb is not there yet"))
}
