//! `export`.

use crate::output::{End, Failure, Output};
use clap::Args;

/// Writes a copy of what a path holds, for Redis, for pipes and for people.
#[derive(Args)]
pub struct Arguments {}

/// Does it.
pub fn run(_: &Arguments, _: &Output) -> Result<End, Failure> {
    Err(Failure::new("this verb is not there yet"))
}
