//! `replay`.

use crate::output::{End, Failure, Output};
use clap::Args;

/// Prints commands, or restores an earlier moment.
#[derive(Args)]
pub struct Arguments {}

/// Does it.
pub fn run(_: &Arguments, _: &Output) -> Result<End, Failure> {
    Err(Failure::new("this verb is not there yet"))
}
